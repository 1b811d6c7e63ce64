"""Plays `conversation.json` through a running server and shows what it remembers."""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import datetime
from importlib.resources import files
from typing import Any

from agent_memory_client import MemoryAPIClient, MemoryClientConfig
from agent_memory_client.filters import Namespace, UserId
from agent_memory_client.models import MemoryMessage, MemoryRecordResult, WorkingMemory
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

WAIT_SECONDS = 120.0
PAGE = 50


def play(base_url: str) -> int:
    """Play the demo against a server; 0 when every session was remembered, 1 when it took too long."""
    return asyncio.run(_play(base_url, Console()))


def _conversation() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(files("app.demo").joinpath("conversation.json").read_text("utf-8"))
    return loaded


async def _play(base_url: str, console: Console) -> int:
    # A namespace of its own each time, so that the demo always starts from nothing.
    namespace = f"demo-{secrets.token_hex(3)}"
    conversation = _conversation()
    user = conversation["user_id"]
    client = MemoryAPIClient(MemoryClientConfig(base_url=base_url, default_namespace=namespace, timeout=30.0))
    try:
        console.rule("[bold]A conversation goes in")
        sessions = conversation["sessions"]
        total = sum(len(s["messages"]) for s in sessions)
        with _progress(console) as progress:
            sent = progress.add_task("sending messages", total=total)
            for session in sessions:
                await _send(client, namespace, user, session, lambda: progress.advance(sent))
            distilled = progress.add_task("distilling in the background", total=total)
            if not await _wait(client, namespace, user, sessions, lambda n: progress.update(distilled, completed=n)):
                console.print(
                    f"[red]Not finished after {WAIT_SECONDS:.0f} s.[/] Is a worker running? See {base_url}/readyz"
                )
                return 1
        memories = await _memories(client, namespace)
        console.rule(f"[bold]{len(memories)} memories come out")
        console.print(_table(memories))
        console.rule("[bold]Questions, answered by search")
        for question in conversation["questions"]:
            found = await client.search_long_term_memory(
                question, namespace=Namespace(eq=namespace), user_id=UserId(eq=user), limit=3
            )
            console.print(f"\n[bold cyan]{question}[/]")
            for hit in found.memories:
                console.print(f"  [green]{1 - hit.dist:4.2f}[/] {hit.text}", highlight=False)
        console.print(f"\nnamespace [bold]{namespace}[/], user [bold]{user}[/] at {base_url}")
        return 0
    finally:
        await client.close()


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description:30s}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


async def _send(client: MemoryAPIClient, namespace: str, user: str, session: dict[str, Any], tick: Any) -> None:
    """Put a session as an agent does: again after each message, always whole."""
    said: list[MemoryMessage] = []
    for message in session["messages"]:
        said.append(
            MemoryMessage(
                role=message["role"],
                content=message["content"],
                created_at=datetime.fromisoformat(message["created_at"]),
            )
        )
        document = WorkingMemory(
            session_id=session["session_id"],
            namespace=namespace,
            user_id=user,
            messages=said,
            data=session.get("data") or {},
        )
        await client.put_working_memory(session["session_id"], document)
        tick()


async def _wait(client: MemoryAPIClient, namespace: str, user: str, sessions: list[dict[str, Any]], show: Any) -> bool:
    """Until every message of every session is marked as distilled."""
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
    total = sum(len(s["messages"]) for s in sessions)
    while asyncio.get_running_loop().time() < deadline:
        done = 0
        for session in sessions:
            _created, stored = await client.get_or_create_working_memory(
                session["session_id"], namespace=namespace, user_id=user
            )
            done += sum(m.discrete_memory_extracted == "t" for m in stored.messages)
        show(done)
        if done == total:
            return True
        await asyncio.sleep(0.25)
    return False


async def _memories(client: MemoryAPIClient, namespace: str) -> list[MemoryRecordResult]:
    found: list[MemoryRecordResult] = []
    while True:
        page = await client.search_long_term_memory(
            "", namespace=Namespace(eq=namespace), limit=PAGE, offset=len(found)
        )
        found += page.memories
        if len(page.memories) < PAGE:
            return sorted(found, key=lambda m: m.created_at)


def _table(memories: list[MemoryRecordResult]) -> Table:
    table = Table(show_lines=False, header_style="bold")
    table.add_column("memory", ratio=5)
    table.add_column("type")
    table.add_column("date")
    table.add_column("entities", ratio=2)
    table.add_column("topics", ratio=2)
    for memory in memories:
        table.add_row(
            memory.text,
            str(getattr(memory.memory_type, "value", memory.memory_type)),
            f"{memory.event_date:%Y-%m-%d}" if memory.event_date else "",
            ", ".join(memory.entities or ()),
            ", ".join(memory.topics or ()),
        )
    return table
