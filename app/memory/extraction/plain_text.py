"""From a chat message to plain sentences: code, logs and quotations cut out, informal spelling made regular.

Everything here keeps track of where the text came from, so that a memory can quote the literal span of the message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Bounds on what one pass looks at, so that no message, however odd, takes more than linear time.
LONGEST_LINE = 500
LONGEST_PASSAGE = 3000

# Cut out of the text: nothing in them is the speaker's own statement.
_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|<(pre|code)>.*?</\1>|`[^`\n]{25,}`", re.DOTALL)
_NOT_PROSE_LINE = re.compile(
    r"^\s*(?:>.*|\$ .*|#!.*|Traceback \(most recent call last\).*|File \".*|at [\w.$<>]+\(.*|.*\bline \d+, in\b.*|"
    r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*|.*\b(?:ERROR|WARN|WARNING|DEBUG|TRACE|FATAL)\b.*|"
    r"\w*(?:Error|Exception)\b:.*|(?:import|from|def|class|return|const|let|var|function|SELECT|INSERT|UPDATE|public|"
    r"private|#include|if|for|while|else|elif|try|except|async|await|print)\b.*[;{(:=)]\s*$|[\w.\[\]]+\s*=\s*\S.*|"
    r".*[{};]\s*$|</?\w+.*>|[\W_]+|\|.*\|)\s*$"
)
_LONG_QUOTATION = re.compile(r"[\"“][^\"“”\n]{40,}[\"”]")
_LABEL = re.compile(
    r"\s*(?:context|background|note|update|info|question|fyi|tl;?dr|edit|ps|reminder|task|goal|issue|problem|"
    r"about me|setup|current setup|disclaimer|important|situation|constraints?|requirements?|preferences?|details|"
    r"facts|profile|bio|diet|health|family|hobbies|long story short)\s*:\s+",
    re.IGNORECASE,
)
_LABEL_WITHIN = re.compile(rf"(?:(?<=[.!?] )|^){_LABEL.pattern}(?=(?:I|I'm|I've|i|we|my|our)\b)", re.IGNORECASE)
# "I live in Leipzig, moved here for Nele, she's a biologist": a comma where a full stop should be. Only between two
# main clauses: the first begins with its subject, the second with a pronoun or a possessive and a verb.
_SPLICE = re.compile(
    r",\s+(?:and\s+|but\s+|so\s+)?(?=(?:(?:I|we|she|he|they)(?:'m|'ve|'s|'re|'ll|'d)?\s+(?!think|guess|mean|hope|said|says|"
    r"suppose|know\b|believe)|(?:my|our|his|her|their)\s+(?:[\w'-]+\s+){1,2}(?:is|was|has|are|were|had|can|can't|does|doesn't|"
    r"don't|loves?|hates?|works?|lives?|wants?|likes?|needs?|plays?)\b))",
)
_MAIN_CLAUSE = re.compile(
    r"^\W*(?:(?:ok|okay|so|well|hi|hey|hello|yeah|yes|anyway|basically|and|but|also|long story)\b[\s,]*)*"
    r"(?:(?:I|we|she|he|they)(?:'m|'ve|'s|'re|'ll|'d)?|my|our|his|her|their)\s+\S+\s+\S+",
    re.IGNORECASE,
)
_SPACES = re.compile(r"\s{2,}")
_BULLET = re.compile(r"^\s*(?:[-*•–]|\d{1,2}[.)])\s+")
_PICTOGRAPH = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\ufe0f\u200d\U0001f1e6-\U0001f1ff]+|"
    r"(?<!\S)(?::-?[)(DPpO/|*]|;-?\)|<3|xD|XD|:'\(|\^\^)(?=[\s.,!?]|$)|https?://\S+"
)
# Between two sentences a pictograph is the full stop.
_PICTOGRAPH_STOP = re.compile("(?<=\\w)\\s*[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d]+\\s+(?=[A-Z])")

# Informal spelling, made regular before parsing.
_SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), written)
    for pattern, written in (
        (r"\bi(?=['’](?:m|ve|d|ll)\b)|(?<![\w.'’-])i(?=\s)", "I"),
        (r"\bim\b(?= \w)", "I'm"), (r"\bive\b", "I've"), (r"\bdont\b", "don't"), (r"\bdoesnt\b", "doesn't"),
        (r"\bdidnt\b", "didn't"), (r"\bcant\b", "can't"), (r"\bisnt\b", "isn't"), (r"\bwasnt\b", "wasn't"),
        (r"\bhavent\b", "haven't"), (r"\bwont\b(?= \w)", "won't"),
        (r"\bgonna\b", "going to"), (r"\bwanna\b", "want to"), (r"\b(?:'ve |have )?(?:gotta|got to)\b", "have to"),
        (r"\b(?:kinda|sorta)\b ", ""), (r"\bcuz\b|(?<!\w)'?cause\b(?= (?:i|we|my|the|he|she|it)\b)", "because"),
        (r"\btmrw\b|\btmr\b|\btomoz\b", "tomorrow"), (r"\bw/(?= ?\w)", "with "), (r"\bbday\b", "birthday"),
        (r"\b(mon|tues|wednes|thurs|fri|satur|sun)day\b", r"\1day"), (r"!{2,}", "!"), (r"\s?\.{2,}|…", ","),
        (r"\s[–—-]{1,2}\s|—", ", "),
    )
)  # fmt: skip
_WEEKDAYS = re.compile(r"\b(monday|tuesday|wednesday|thursday|friday|saturday|sunday)(s?)\b")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of prose out of a message.

    `text` is regular enough to parse; `origin[i]` is the position in the message of its i-th character (with one more
    entry for its end).
    """

    text: str
    origin: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where `text[start:end]` came from in the message."""
        if start >= end:
            return self.origin[start], self.origin[start]
        return self.origin[start], max(self.origin[end - 1] + 1, self.origin[start])


def passages(content: str, start: int = 0) -> list[Passage]:
    """The prose of a message from `start` on, in pieces that end where a line of thought ends."""
    hidden = content
    for pattern in (_CODE, _LONG_QUOTATION):
        hidden = pattern.sub(lambda match: "\x00" * len(match.group()), hidden)
    found: list[Passage] = []
    begun: tuple[int, int] | None = None
    position = 0
    for line in hidden.splitlines(keepends=True):
        first, last = position, position + len(line)
        position = last
        first = max(first, start)
        if first >= last:
            continue
        body = hidden[first:last]
        if (len(body) < LONGEST_LINE and _NOT_PROSE_LINE.match(body)) or (
            "\x00" in body and not body.replace("\x00", "").strip()
        ):
            _close(content, hidden, begun, found)
            begun = None
            continue
        bullet = _BULLET.match(body)
        if bullet:
            _close(content, hidden, begun, found)
            begun = None
            first += bullet.end()
        label = _LABEL.match(hidden[first:last])
        if label:
            _close(content, hidden, begun, found)
            begun = None
            first += label.end()
        wrapped = begun and body[:1].islower() and begun[1] - begun[0] > 60
        if begun and not wrapped:
            _close(content, hidden, begun, found)
            begun = None
        begun = (begun[0], last) if begun else (first, last)
    _close(content, hidden, begun, found)
    return found


def _close(content: str, hidden: str, span: tuple[int, int] | None, found: list[Passage]) -> None:
    if span is not None:
        for match in re.finditer(r"[^\x00]+", hidden[span[0] : span[1]]):
            last = span[0] + match.end()
            for start in range(span[0] + match.start(), last, LONGEST_PASSAGE):
                passage = regular(content, start, min(start + LONGEST_PASSAGE, last))
                if any(char.isalnum() for char in passage.text):
                    found.append(passage)


def regular(content: str, start: int, end: int) -> Passage:
    """The span of a message in regular spelling, without pictographs and links."""
    text = content[start:end].replace("’", "'").replace("\n", " ").replace("\t", " ")
    origin = list(range(start, end))
    for pattern, written in ((_SPACES, " "), (_PICTOGRAPH_STOP, ". "), (_PICTOGRAPH, " "), *_SPELLINGS):
        text, origin = _substitute(pattern, written, text, origin)
    text, origin = _substitute(_LABEL_WITHIN, "", text, origin)
    text = _unspliced(text)
    text = _WEEKDAYS.sub(lambda match: match.group().capitalize(), text)
    lead = len(text) - len(text.lstrip())
    text = text.strip()
    return Passage(text, (*origin[lead : lead + len(text)], origin[lead + len(text) - 1] + 1 if text else start))


def _unspliced(text: str) -> str:
    """The text with full stops where commas splice main clauses together; its length stays."""
    start = 0
    for match in _SPLICE.finditer(text):
        start = max(start, *(text.rfind(end, 0, match.start()) + 1 for end in ".!?"))
        if _MAIN_CLAUSE.match(text[start : match.start()]):
            text = f"{text[: match.start()]}.{text[match.start() + 1 :]}"
            start = match.start() + 1
    return text


def _substitute(pattern: re.Pattern[str], written: str, text: str, origin: list[int]) -> tuple[str, list[int]]:
    pieces: list[str] = []
    origins: list[int] = []
    position = 0
    for match in pattern.finditer(text):
        replacement = match.expand(written)
        pieces += [text[position : match.start()], replacement]
        origins += origin[position : match.start()]
        last = max(match.end() - match.start() - 1, 0)
        origins += [origin[match.start() + min(index, last)] for index in range(len(replacement))]
        position = match.end()
    if position == 0:
        return text, origin
    return "".join([*pieces, text[position:]]), origins + origin[position:]
