"""Takes steps through the published Python client: JSON steps on stdin, a JSON result for each on stdout."""

import asyncio
import json
import sys
from typing import Any

from agent_memory_client import MemoryAPIClient, create_memory_client
from agent_memory_client.exceptions import MemoryNotFoundError, MemoryServerError
from agent_memory_client.models import (
    ClientMemoryRecord,
    CreateSummaryViewRequest,
    ForgetPolicy,
    MemoryMessage,
    WorkingMemory,
)


class Driver:
    def __init__(self, client: MemoryAPIClient) -> None:
        self.client = client
        self.view = ""

    async def health(self) -> Any:
        return await self.client.health_check()

    async def get_or_create(self, id: str) -> Any:
        return (await self.client.get_or_create_working_memory(id))[1]

    async def put(self, id: str, session: Any) -> Any:
        memory = WorkingMemory(session_id=id, namespace=self.client.config.default_namespace, **session)
        return await self.client.put_working_memory(id, memory)

    async def set_data(self, id: str, data: Any) -> Any:
        return await self.client.set_working_memory_data(id, data)

    async def append(self, id: str, messages: Any) -> Any:
        await self.client.append_messages_to_working_memory(id, [MemoryMessage(**m) for m in messages])
        return {}  # it answers with the whole session, ours with what was added

    async def add_memories(self, id: str, memories: Any) -> Any:
        return await self.client.add_memories_to_working_memory(id, [ClientMemoryRecord(**m) for m in memories])

    async def promote(self, id: str) -> Any:
        return await self.client.promote_working_memories_to_long_term(id)

    async def list_sessions(self, limit: int, offset: int) -> Any:
        return await self.client.list_sessions(limit=limit, offset=offset)

    async def delete_session(self, id: str) -> Any:
        return await self.client.delete_working_memory(id)

    async def create(self, memories: Any) -> Any:
        return await self.client.create_long_term_memory([ClientMemoryRecord(**m) for m in memories])

    async def bulk(self, memories: Any, batch: int) -> Any:
        records = [ClientMemoryRecord(**m) for m in memories]
        return await self.client.bulk_create_long_term_memories([records], batch_size=batch, delay_between_batches=0)

    async def search(self, request: Any) -> Any:
        return await self.client.search_long_term_memory(**request)

    async def search_all(self, request: Any, batch: int) -> Any:
        return [hit async for hit in self.client.search_all_long_term_memories(**request, batch_size=batch)]

    async def get(self, id: str) -> Any:
        return await self.client.get_long_term_memory(id)

    async def edit(self, id: str, updates: Any) -> Any:
        return await self.client.edit_long_term_memory(id, updates)

    async def delete(self, ids: list[str]) -> Any:
        return await self.client.delete_long_term_memories(ids)

    async def forget(self, policy: Any) -> Any:
        namespace = self.client.config.default_namespace
        return await self.client.forget_long_term_memories(ForgetPolicy(**policy), namespace=namespace, dry_run=True)

    async def prompt(self, query: str, session: str, search: Any) -> Any:
        return await self.client.memory_prompt(query, session_id=session, long_term_search=search)

    async def create_view(self, view: Any) -> Any:
        made = await self.client.create_summary_view(CreateSummaryViewRequest(**view))
        self.view = made.id
        return made

    async def get_view(self) -> Any:
        return await self.client.get_summary_view(self.view)

    async def list_views(self) -> Any:
        return [v for v in await self.client.list_summary_views() if v.id == self.view]

    async def run_partition(self, group: Any) -> Any:
        return await self.client.run_summary_view_partition(self.view, group)

    async def list_partitions(self) -> Any:
        return await self.client.list_summary_view_partitions(self.view)

    async def run_view(self) -> Any:
        task = await self.client.run_summary_view(self.view)
        while task and task.status in ("pending", "running"):
            await asyncio.sleep(0.1)
            task = await self.client.get_task(task.id)
        return task

    async def delete_view(self) -> Any:
        return await self.client.delete_summary_view(self.view)

    async def get_task(self, id: str) -> Any:
        return await self.client.get_task(id)


def plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


async def main(url: str, namespace: str) -> None:
    async with await create_memory_client(url, default_namespace=namespace) as client:
        driver, results = Driver(client), []
        for name, arguments in json.load(sys.stdin):
            try:
                result = plain(await getattr(driver, name)(**arguments))
                results.append({"error": 404} if result is None else result)
            except MemoryNotFoundError:
                results.append({"error": 404})
            except MemoryServerError as error:
                results.append({"error": error.status_code})
        json.dump(results, sys.stdout)


asyncio.run(main(*sys.argv[1:3]))
