"""Creates until they are searchable, and the pipeline: each against the models' own time in the same run."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence

from app.config import Settings
from app.providers.embeddings import create_embedder
from app.providers.entities import SpacyEntityRecognizer
from tests.load.wire import Connection, Request
from tests.support.builders import unique
from tests.support.scripted_llm import LlmRequest, Reply, ScriptedLLM, as_json, slowly
from tests.support.stack import FAST

LLM_SECONDS = 0.5
PLACES = ("Lisbon", "Oslo", "Kyoto", "Lima", "Tartu", "Cork", "Accra", "Hanoi", "Quito", "Perth")
THINGS = ("boat", "bicycle", "violin", "telescope", "tent", "camera", "guitar", "canoe", "loom", "kite")
_LINE = re.compile(r'^(\d+) User: (".*")$', re.MULTILINE)


def said(number: int) -> str:
    """A message from which the rules make one memory."""
    return f"I own {number + 2} {THINGS[number % 10]}s in {PLACES[number // 10 % 10]}."


def encode_seconds(texts: Sequence[str]) -> float:
    """What encoding the texts alone takes in this process, warm."""
    embedder = create_embedder(Settings())
    embedder.embed(texts[:4])
    started = time.perf_counter()
    embedder.embed(texts)
    return time.perf_counter() - started


def spacy_seconds(texts: Sequence[str]) -> float:
    """What spaCy alone takes for the texts in this process, warm."""
    recognizer = SpacyEntityRecognizer(Settings().ner_model)
    recognizer.recognize(texts[:4])
    started = time.perf_counter()
    recognizer.recognize(texts)
    return time.perf_counter() - started


def total(connection: Connection, namespace: str) -> int:
    """How many memories of a tenant are searchable."""
    listing = Request.of("POST", "/v1/long-term-memory/search", {"namespace": {"eq": namespace}, "limit": 1})
    return int(json.loads(connection.send(listing)[1])["total"])


def waiting(connection: Connection) -> int:
    """How much work the outbox holds."""
    return int(json.loads(connection.send(Request.of("GET", "/readyz"))[1])["outbox"]["total"])


def create_until_searchable(
    url: str, *, batch: int, batches: int, at_rest: bool = False, deduplicate: bool = True
) -> float:
    """Seconds for `batches` creates of `batch` memories each, one after the other, until all are searchable.

    `at_rest`: each begins when what the one before left for the background is done, a time that does not count. Else
    topics and entities of the one before are found meanwhile.
    """
    connection, namespace = Connection(url), unique("create")
    seconds = 0.0
    for first in range(0, batch * batches, batch):
        memories = [
            {"id": f"m{n}", "text": f"Note {n}: {said(n)}", "namespace": namespace, "user_id": "u"}
            for n in range(first, first + batch)
        ]
        body = {"memories": memories, "deduplicate": deduplicate}
        started = time.perf_counter()
        status, answer = connection.send(Request.of("POST", "/v1/long-term-memory/", body))
        assert status == 200, answer
        while total(connection, namespace) < first + batch:
            time.sleep(0.02)  # each asking takes time from what is measured
        seconds += time.perf_counter() - started
        if at_rest:
            _until_at_rest(connection)
    _until_at_rest(connection)  # what is enriched still is not for the next measurement
    connection.close()
    return seconds


def _until_at_rest(connection: Connection) -> None:
    while waiting(connection):
        time.sleep(0.2)


def put_sessions(url: str, namespace: str, sessions: int, messages: int) -> None:
    """PUT sessions of so many messages, each message a fact of its own, each session another user's."""
    connection = Connection(url)
    for number in range(sessions):
        lines = [
            {"id": unique("msg"), "role": "user", "content": said(number * messages + n),
             "created_at": f"2026-01-05T10:{n:02d}:00Z"}
            for n in range(messages)
        ]  # fmt: skip
        body = {"messages": lines, "namespace": namespace, "user_id": f"user-{number}"}
        status, answer = connection.send(Request.of("PUT", f"/v1/working-memory/{unique('s')}", body))
        assert status == 200, answer
    connection.close()


def pipeline_rules(url: str, *, sessions: int, messages: int) -> tuple[int, float]:
    """Memories made of the sessions, and seconds until nothing is left to do, the debounce taken off."""
    connection, namespace = Connection(url), unique("rules")
    started = time.perf_counter()
    put_sessions(url, namespace, sessions, messages)
    while waiting(connection):
        time.sleep(0.1)  # more often, and the asking would be a part of what is measured
    seconds = time.perf_counter() - started - float(FAST["EXTRACTION_DEBOUNCE_SECONDS"])
    made = total(connection, namespace)
    connection.close()
    return made, seconds


def one_memory_each(request: LlmRequest) -> Reply:
    """Half a second of thought, then one memory for each of the user's new lines."""
    if request.purpose != "extract":
        return slowly(LLM_SECONDS, as_json({"memories": []}))
    asked = request.messages[1]["content"]
    lines = [(int(n), json.loads(text)) for n, text in _LINE.findall(asked[asked.rfind("\nNEW\n") :])]
    found = [{"text": f"User owns{text[5:-1]}", "type": "semantic", "quote": text, "lines": [n]} for n, text in lines]
    return slowly(LLM_SECONDS, as_json({"memories": found}))


def pipeline_llm(url: str, llm: ScriptedLLM, *, sessions: int, at_once: int) -> tuple[int, float, float]:
    """Memories made, how long the model's calls took from the first to the last, and the ideal: all places busy."""
    llm.reply_always(one_memory_each)
    before = len(llm.chats)
    made, _seconds = pipeline_rules(url, sessions=sessions, messages=10)
    calls = llm.chats[before:]
    span = calls[-1].at + LLM_SECONDS - calls[0].at
    return made, span, -(-len(calls) // at_once) * LLM_SECONDS
