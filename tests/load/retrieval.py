"""How well searches find what answers a question: LoCoMo's turns and questions, through the HTTP API.

    python -m tests.load.retrieval DATA                 # an own stack; DATA: a LoCoMo file or its reshaped form
    python -m tests.load.retrieval DATA --base-url http://127.0.0.1:8000 --json out.json
    python -m tests.load.retrieval DATA --together 6    # long memories: six turns of a session in each

One memory per turn, created with the official client, deduplication off; each question is searched in its
conversation's namespace, 20 hits, adversarial questions and those without evidence left out. A turn is found when the
memory that holds it is among the first k. The published client (0.14.0) has no argument for the mode of a search:
`ModeClient` adds it to the body that the client itself composes. Access tracking is switched off in the own stack, so
that the order of questions changes nothing.

Baselines of the same run, in this process: exact dense search ("speaker: text", the server's own embedding model) and
BM25 over the same texts (k1 1.2, b 0.75, stop words removed, Snowball stems).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from agent_memory_client import MemoryAPIClient, MemoryClientConfig
from agent_memory_client.models import ClientMemoryRecord, MemoryTypeEnum

from app.config import Settings
from app.evaluation.datasets import Conversation, Question, Turn, load_conversations
from app.evaluation.metrics import KEYS, mean_figures, ranking_figures
from app.providers.embeddings import create_embedder
from app.store.analysis import QUESTION_WORDS, stems
from tests.support.builders import unique
from tests.support.stack import Stack

LIMIT = 20
BATCH = 100
RUNS = (("semantic", None), ("keyword", None), ("hybrid", 0.5), ("hybrid", None))


class ModeClient(MemoryAPIClient):
    """The official client, with `search_mode` and `hybrid_alpha` in the body of its searches."""

    def __init__(self, config: MemoryClientConfig) -> None:
        super().__init__(config)
        self.extra: dict[str, Any] = {}
        self._client.event_hooks["request"].append(self._extend)

    async def _extend(self, request: httpx.Request) -> None:
        if self.extra and request.url.path.endswith("/long-term-memory/search"):
            content = json.dumps({**json.loads(request.content), **self.extra}).encode()
            request.stream = httpx.ByteStream(content)
            request.headers["Content-Length"] = str(len(content))


def together(conversation: Conversation, count: int) -> Conversation:
    """The same conversation with so many turns of a session in one memory, one a line."""
    turns: list[Turn] = []
    holder: dict[str, str] = {}
    for _session, group in itertools.groupby(conversation.turns, key=lambda turn: turn.session):
        of_session = list(group)
        for part in (of_session[start : start + count] for start in range(0, len(of_session), count)):
            turns.append(replace(part[0], text="\n".join(turn.text for turn in part)))
            holder |= {turn.id: part[0].id for turn in part}
    questions = (
        replace(q, evidence=tuple(dict.fromkeys(holder[turn_id] for turn_id in q.evidence)))
        for q in conversation.questions
    )
    return replace(conversation, turns=tuple(turns), questions=tuple(questions))


async def fill(client: ModeClient, conversation: Conversation, namespace: str) -> None:
    """Create a conversation's memories and wait until all are searchable."""
    records = [
        ClientMemoryRecord(
            id=f"{namespace}:{turn.id}",
            text=turn.text,
            memory_type=MemoryTypeEnum.EPISODIC,
            namespace=namespace,
            session_id=f"{namespace}:{turn.session}",
            event_date=turn.date,
            created_at=turn.date,
        )
        for turn in conversation.turns
    ]
    for start in range(0, len(records), BATCH):
        await client.create_long_term_memory(records[start : start + BATCH], deduplicate=False)
    for _ in range(1200):
        listed = await client._client.post(
            "/v1/long-term-memory/search", json={"namespace": {"eq": namespace}, "limit": 1}
        )
        if listed.json()["total"] == len(records):
            return
        await asyncio.sleep(0.25)
    raise TimeoutError(f"{namespace}: not all memories were indexed")


async def ask(client: ModeClient, question: Question, namespace: str) -> list[str]:
    """The turn ids of the hits."""
    found = await client.search_long_term_memory(question.text, namespace={"eq": namespace}, limit=LIMIT)
    return [memory.id.removeprefix(f"{namespace}:") for memory in found.memories]


class Bm25:
    """Exact BM25 over a conversation."""

    def __init__(self, texts: Sequence[str], k1: float = 1.2, b: float = 0.75) -> None:
        counts = [Counter(self._terms(text)) for text in texts]
        lengths = [sum(count.values()) for count in counts]
        mean = sum(lengths) / len(lengths)
        documents = Counter(term for count in counts for term in count)
        self._size = len(texts)
        self._weights: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for row, (count, length) in enumerate(zip(counts, lengths, strict=True)):
            for term, frequency in count.items():
                idf = math.log(1 + (self._size - documents[term] + 0.5) / (documents[term] + 0.5))
                share = frequency * (k1 + 1) / (frequency + k1 * (1 - b + b * length / mean))
                self._weights[term].append((row, idf * share))

    @staticmethod
    def _terms(text: str) -> list[str]:
        return [term for term in stems(text) if term not in QUESTION_WORDS]

    def scores(self, query: str) -> np.ndarray[Any, Any]:
        """The score of each text."""
        scores = np.zeros(self._size)
        for term in set(self._terms(query)):
            for row, weight in self._weights.get(term, ()):
                scores[row] += weight
        return scores


def baselines(conversations: Sequence[Conversation]) -> dict[str, list[tuple[str, dict[str, float]]]]:
    """(category, figures) of each question for the two in-process baselines."""
    embedder = create_embedder(Settings())
    rows: dict[str, list[tuple[str, dict[str, float]]]] = {"dense (in process)": [], "BM25 (in process)": []}
    for conversation in conversations:
        texts = [turn.text for turn in conversation.turns]
        ids = [turn.id for turn in conversation.turns]
        vectors, words = embedder.embed(texts), Bm25(texts)
        asked = embedder.embed([question.text for question in conversation.questions])
        for question, vector in zip(conversation.questions, asked, strict=True):
            for name, scores in (
                ("dense (in process)", vectors @ vector),
                ("BM25 (in process)", words.scores(question.text)),
            ):
                order = [ids[row] for row in np.argsort(-scores, kind="stable")[:LIMIT] if scores[row] > 0]
                rows[name].append((question.category, ranking_figures(order, question.evidence)))
    return rows


async def measure(
    base_url: str, conversations: Sequence[Conversation]
) -> dict[str, list[tuple[str, dict[str, float]]]]:
    """(category, figures) of each question for each mode of the server."""
    run = unique("locomo")
    rows: dict[str, list[tuple[str, dict[str, float]]]] = {}
    async with ModeClient(MemoryClientConfig(base_url=base_url, timeout=120)) as client:
        for conversation in conversations:
            started = time.monotonic()
            await fill(client, conversation, f"{run}-{conversation.id}")
            spent = time.monotonic() - started
            print(f"{conversation.id}: {len(conversation.turns)} memories in {spent:.0f} s", file=sys.stderr)
        for mode, alpha in RUNS:
            client.extra = {"search_mode": mode} | ({"hybrid_alpha": alpha} if alpha is not None else {})
            name = f"{mode}, alpha {alpha or 'default 0.7'}" if mode == "hybrid" else mode
            rows[name] = []
            for conversation in conversations:
                for question in conversation.questions:
                    order = await ask(client, question, f"{run}-{conversation.id}")
                    rows[name].append((question.category, ranking_figures(order, question.evidence)))
    return rows


def report(rows: dict[str, list[tuple[str, dict[str, float]]]], say: Callable[[str], None] = print) -> dict[str, Any]:
    """Print the tables; the same figures as nested dictionaries."""
    figures: dict[str, Any] = {}
    categories = ["all", *sorted({category for found in rows.values() for category, _ in found})]
    for category in categories:
        say(f"\n{category}\n{'':28s}" + "".join(f"{key:>9s}" for key in KEYS))
        for name, found in rows.items():
            chosen = [figure for kind, figure in found if category in ("all", kind)]
            mean = mean_figures(chosen)
            figures.setdefault(name, {})[category] = {**mean, "questions": len(chosen)}
            say(f"{name:28s}" + "".join(f"{100 * mean[key]:9.1f}" for key in KEYS))
    return figures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--base-url", help="measure this server instead of an own stack")
    parser.add_argument("--enrich", action="store_true", help="own stack: leave topics and entities on (slower)")
    parser.add_argument("--together", type=int, default=1, help="so many turns in one memory")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    conversations = [together(found, arguments.together) for found in load_conversations(arguments.data)]
    settings = {"ACCESS_TRACKING_MIN_AGE_SECONDS": str(10**9)}
    if not arguments.enrich:
        settings |= {"ENABLE_NER": "false", "ENABLE_TOPIC_EXTRACTION": "false"}
    stack = None if arguments.base_url else Stack(**settings)
    try:
        base_url = arguments.base_url or (stack.start().base_url if stack else "")
        rows = asyncio.run(measure(base_url, conversations))
    finally:
        if stack is not None:
            stack.stop()
    figures = report({**baselines(conversations), **rows})
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
