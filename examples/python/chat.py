"""A chat agent with memory.

    pip install agent-memory-client openai
    python chat.py maya            # Ctrl-D ends the conversation; the next one remembers it

From the environment: MEMORY_URL, MEMORY_NAMESPACE, OPENAI_API_KEY, OPENAI_BASE_URL (any compatible server), MODEL.
"""

import asyncio
import os
import sys
import uuid
from datetime import UTC, datetime

from agent_memory_client import MemoryAPIClient, create_memory_client
from agent_memory_client.models import MemoryMessage
from openai import AsyncOpenAI

NAMESPACE = os.environ.get("MEMORY_NAMESPACE", "chat")
MODEL = os.environ.get("MODEL", "gpt-5-mini")
INSTRUCTIONS = "You are a helpful assistant. Use what you remember about the user when it matters."


async def answer(memory: MemoryAPIClient, model: AsyncOpenAI, session: str, user: str, said: str) -> str:
    """What the model says, given the conversation so far and what is remembered from earlier ones."""
    prompt = await memory.memory_prompt(
        query=said,
        session_id=session,
        namespace=NAMESPACE,
        user_id=user,
        model_name=MODEL,
        long_term_search={"text": said, "user_id": {"eq": user}, "limit": 5},
    )
    remembered = [{"role": m["role"], "content": m["content"]["text"]} for m in prompt["messages"]]
    messages = [{"role": "system", "content": INSTRUCTIONS}, *remembered]
    reply = await model.chat.completions.create(model=MODEL, messages=messages)
    text = reply.choices[0].message.content or ""
    turn = [
        MemoryMessage(role="user", content=said, created_at=datetime.now(UTC)),
        MemoryMessage(role="assistant", content=text, created_at=datetime.now(UTC)),
    ]
    await memory.append_messages_to_working_memory(session, turn, namespace=NAMESPACE, user_id=user)
    return text


async def main(user: str) -> None:
    """Talk until the input ends."""
    session = f"chat-{uuid.uuid4()}"
    url = os.environ.get("MEMORY_URL", "http://localhost:8000")
    memory = await create_memory_client(url, default_namespace=NAMESPACE)
    async with memory, AsyncOpenAI() as model:
        await memory.get_or_create_working_memory(session, namespace=NAMESPACE, user_id=user)
        for line in sys.stdin:
            if said := line.strip():
                print(await answer(memory, model, session, user, said), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "maya"))
