"""A window of conversation as a model sees it: numbered lines of data, cut into portions that fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.memory.extraction.dialogue import ASSISTANT_ROLES, SYSTEM_ROLES, heard, speaker_of, time_zone
from app.memory.models import ExtractionWindow, Message
from app.providers.tokens import count_tokens

# A time stamp is repeated after this long a silence: relative dates are counted from it.
SILENCE = timedelta(hours=1)
LONGEST_SUMMARY_TOKENS = 300
LEAST_CONTEXT_TOKENS = 100


@dataclass(frozen=True, slots=True)
class Line:
    """A message, or a part of a long one, as the model sees it."""

    number: int
    message: Message
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Portion:
    """What one model call sees: lines to distil, and earlier ones that explain them."""

    earlier: tuple[Line, ...]
    new: tuple[Line, ...]

    def sources(self, numbers: Sequence[int]) -> tuple[str, ...]:
        """Message ids of new lines, in order, without repetitions; numbers that name none are ignored."""
        wanted = set(numbers)
        return tuple(dict.fromkeys(line.message.id for line in self.new if line.number in wanted))


def portions(window: ExtractionWindow, *, window_tokens: int, context_tokens: int) -> Iterator[Portion]:
    """The window in portions of at most `window_tokens` of new lines.

    The context never outweighs what is new, so that the tokens sent grow with the conversation and not faster.
    System and tool messages are left out, unless the strategy's configuration asks for their role.
    """
    messages = [m for m in (*window.context, *window.new) if heard(m, window) or _assistant(m)]
    context_ids = {m.id for m in window.context}
    earlier: list[Line] = []
    new: list[Line] = []
    for line in _lines(messages, window_tokens):
        if line.message.id in context_ids:
            earlier.append(line)
            continue
        if new and sum(item.tokens for item in new) + line.tokens > window_tokens:
            yield _portion(earlier, new, context_tokens)
            earlier, new = earlier + new, []
        new.append(line)
    if any(heard(line.message, window) for line in new):
        yield _portion(earlier, new, context_tokens)


def _assistant(message: Message) -> bool:
    return message.role.lower() in ASSISTANT_ROLES


def _portion(earlier: Sequence[Line], new: Sequence[Line], context_tokens: int) -> Portion:
    room = min(context_tokens, max(LEAST_CONTEXT_TOKENS, sum(line.tokens for line in new)))
    kept: list[Line] = []
    for line in reversed(earlier):
        if line.tokens > room:
            break
        room -= line.tokens
        kept.insert(0, line)
    return Portion(tuple(kept), tuple(new))


def _lines(messages: Sequence[Message], most_tokens: int) -> Iterator[Line]:
    number = 0
    for message in messages:
        for part in _parts(message.content, most_tokens):
            number += 1
            # As a JSON string no content can end its line, let alone the conversation.
            text = f"{number} {speaker_of(message)}: {json.dumps(part, ensure_ascii=False)}"
            yield Line(number, message, text, count_tokens(text))


def _parts(content: str, most_tokens: int) -> Iterator[str]:
    """A long message in pieces, cut at a line or a space where there is one."""
    size = most_tokens * 3  # characters; a token has about four
    while len(content) > size:
        cut = max(content.rfind("\n", size // 2, size), content.rfind(". ", size // 2, size) + 1)
        cut = cut if cut > 0 else size
        yield content[:cut]
        content = content[cut:].lstrip()
    if content.strip():
        yield content


def rendered(portion: Portion, window: ExtractionWindow) -> str:
    """The portion as the text of one user message, between markers that its content cannot forge."""
    zone = time_zone(window.timezone)
    head = [f"Time zone: {window.timezone}"] if window.timezone != "UTC" else []
    if window.summary:
        head.append(f"Summary of what was said before: {json.dumps(shortened(window.summary), ensure_ascii=False)}")
    body: list[str] = []
    last: datetime | None = None
    for title, lines in (("EARLIER (explains references only)", portion.earlier), ("NEW", portion.new)):
        if lines:
            body.append(title)
        for line in lines:
            said = line.message.created_at.astimezone(zone)
            if last is None or said.date() != last.date() or said - last > SILENCE:
                body.append(f"[{said:%A %Y-%m-%d %H:%M}]")
            last = said
            body.append(line.text)
    text = "\n".join(body)
    marker = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return "\n".join([*head, f"<conversation {marker}>", text, f"</conversation {marker}>"])


def shortened(text: str) -> str:
    """The end of a summary that is too long to be sent along each time."""
    while count_tokens(text) > LONGEST_SUMMARY_TOKENS:
        text = text[len(text) // 4 + 1 :]
    return text


def is_machine(message: Message) -> bool:
    """Whether a system prompt or a tool speaks."""
    return message.role.lower() in SYSTEM_ROLES
