"""Readers of public benchmark files that the user downloads: LoCoMo and LongMemEval. No data ships with the project."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_LOCOMO_CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}


class UnknownFormat(ValueError):
    """The file is neither LoCoMo nor LongMemEval."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One memory to be: `text` begins with the speaker."""

    id: str
    session: str
    text: str
    date: datetime


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the ids of the turns that answer it."""

    text: str
    category: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A haystack with its questions."""

    id: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]


def load_conversations(path: Path) -> list[Conversation]:
    """Read a LoCoMo file (as published, or reshaped into sessions and questions) or a LongMemEval file.

    Questions that have no evidence, LoCoMo's adversarial and LongMemEval's abstention ones are left out, as in the
    evaluations of their authors. Raises UnknownFormat.
    """
    items = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(items, list) or not items or not isinstance(items[0], dict):
        raise UnknownFormat(f"{path}: expected a list of conversations")
    readers = {"questions": _reshaped_locomo, "qa": _locomo, "haystack_sessions": _longmemeval}
    for key, reader in readers.items():
        if key in items[0]:
            return [c for c in (reader(item, number) for number, item in enumerate(items)) if c.questions]
    raise UnknownFormat(f"{path}: neither LoCoMo nor LongMemEval (first entry has {', '.join(sorted(items[0]))})")


def _reshaped_locomo(item: Mapping[str, Any], number: int) -> Conversation:
    turns = [
        Turn(turn["id"], str(session["session"]), _said(turn, turn.get("image_caption")), _date(session["date"]))
        for session in item["sessions"]
        for turn in session["turns"]
    ]
    asked = ((q["question"], q["category"], q["evidence"]) for q in item["questions"])
    return Conversation(str(item.get("id", number)), tuple(turns), _questions(asked, turns))


def _locomo(item: Mapping[str, Any], number: int) -> Conversation:
    talk = item["conversation"]
    turns = [
        Turn(
            turn["dia_id"],
            name.removeprefix("session_"),
            _said(turn, turn.get("blip_caption")),
            _date(talk[f"{name}_date_time"]),
        )
        for name in sorted((n for n in talk if re.fullmatch(r"session_\d+", n)), key=lambda n: int(n.split("_")[1]))
        for turn in talk[name]
    ]
    asked = (
        (q["question"], _LOCOMO_CATEGORIES.get(q["category"], str(q["category"])), q.get("evidence") or ())
        for q in item["qa"]
    )
    return Conversation(str(item.get("sample_id", number)), tuple(turns), _questions(asked, turns))


def _longmemeval(item: Mapping[str, Any], number: int) -> Conversation:
    """Turns with evidence are marked in the history; abstention questions (`…_abs`) have no place that answers them.

    A filler session may be in one history twice, so turns are told apart by the session's place as well.
    """
    turns: list[Turn] = []
    evidence: list[str] = []
    sessions = zip(item["haystack_session_ids"], item["haystack_dates"], item["haystack_sessions"], strict=True)
    for order, (session_id, date, messages) in enumerate(sessions):
        session = f"{order}:{session_id}"
        for place, message in enumerate(messages):
            turns.append(Turn(f"{session}:{place}", session, f"{message['role']}: {message['content']}", _date(date)))
            if message.get("has_answer"):
                evidence.append(turns[-1].id)
    name = str(item.get("question_id", number))
    asked = () if name.endswith("_abs") else ((item["question"], item["question_type"], evidence),)
    return Conversation(name, tuple(turns), _questions(asked, turns))


def _said(turn: Mapping[str, Any], caption: str | None) -> str:
    return f"{turn['speaker']}: {turn['text']}" + (f" [{caption}]" if caption else "")


def _questions(asked: Iterable[tuple[str, str, Iterable[str]]], turns: Iterable[Turn]) -> tuple[Question, ...]:
    known = {turn.id for turn in turns}

    def kept() -> Iterator[Question]:
        for text, category, evidence in asked:
            found = tuple(dict.fromkeys(e for e in evidence if e in known))
            if found and category != "adversarial":
                yield Question(str(text), category, found)

    return tuple(kept())


def _date(text: str) -> datetime:
    """LoCoMo: `1:56 pm on 8 May, 2023`; LongMemEval: `2023/05/20 (Sat) 02:21`."""
    for form in ("%I:%M %p on %d %B, %Y", "%Y/%m/%d (%a) %H:%M"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise UnknownFormat(f"unknown date {text!r}")
