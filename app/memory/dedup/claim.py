"""What a memory's text says, as far as cheap reading goes: words, numbers, dates, names, polarity, subject."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from app.memory.dedup import lexicon
from app.memory.dedup.slots import Slot, slots_of
from app.stemming import stem_word

_TOKEN = re.compile(
    r"[A-Za-zÀ-ɏ]+(?:[-'’+#.][A-Za-zÀ-ɏ0-9]+)*[+#]*|\d+(?:st|nd|rd|th)\b|\d+(?:[.,:/-]\d+)*|[€$£%]|[^\W_]+", re.UNICODE
)
_CONTRACTION = re.compile(r"\b(\w+?)n['’]t\b", re.IGNORECASE)
_CLOCK = re.compile(
    r"\b(\d{1,2})(?::(\d\d))?\s*([ap])\.?m\b\.?|\b(\d{1,2}):(\d\d)\b|\b(noon|midnight)\b", re.IGNORECASE
)
_ISO = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)(?:T[\d:.]+Z?)?\b")
_MONTH = "|".join(sorted(lexicon.MONTHS, key=len, reverse=True))
_DAY_MONTH = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})\b(?:,? (\d{{4}}))?", re.IGNORECASE)
_MONTH_DAY = re.compile(rf"\b({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,? (\d{{4}}))?", re.IGNORECASE)
_MONTH_ALONE = re.compile(rf"\b(?!may\b)({_MONTH})\b(?: (\d{{4}}))?|\b(?:in|of|by|since|until) (May)\b", re.IGNORECASE)
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)\Z")
_CHANGES = re.compile(lexicon.CHANGES, re.IGNORECASE)
_ENDINGS = re.compile(lexicon.ENDINGS, re.IGNORECASE)
_PAST = re.compile(lexicon.PAST, re.IGNORECASE)
_INTENT = re.compile(lexicon.INTENT, re.IGNORECASE)
_LEADING = re.compile(
    r"^(?:as of [^,]+,|since [^,]+,|since \d{4},?|currently,?|nowadays,?|today,?|recently,?|usually,?|in \d{4},?|on \w+days?,?)\s+",
    re.IGNORECASE,
)
_SUBJECT_END = re.compile(
    r"\b(?:is|are|was|were|has|have|had|does|do|did|can|cannot|will|would|may|might|must|should|isn|aren|wasn|doesn|"
    r"don|didn|hasn|haven|won|lives?|lived|works?|worked|likes?|loves?|hates?|enjoys?|prefers?|owns?|moved|wants?|"
    r"needs?|plays?|played|drinks?|eats?|bought|sold|visited|speaks?|studie[sd]|runs?|ran|took|takes?|uses?|used|"
    r"manages?|leads?|maintains?|joined|left|quit|stopped|started|switched|changed|became|turned|got|goes|went|met|"
    r"drives?|keeps?|kept|reads?|writes?|wrote|wears?|owes?|adopted|lent|painted|climbed|watched|ordered|resides?|"
    r"relocated|dislikes?|adores?|no longer|never|now|also|currently|recently|just|always|often|usually|really|normally|"
    r"frequently|regularly|typically|generally|rarely|sometimes|once|graduated|complains?|approved|rejected|"
    r"collects?|teaches|taught|sleeps?|finds?|found|lost|won|paid|pays|weighs?|plans?|hopes?|smokes?|follows?|"
    r"holds?|commutes?|travels?|grew|broke|opens?|happens?|starts?|arrives?|leaves?|meets?|supports?|belongs?)\b",
    re.IGNORECASE,
)
_RELATIVE = re.compile(r"(\w+)['’]s (\w+)")
# Codes and single letters ("gate B12", "mem-7f", "plan b") name things, whatever their case.
_CODE = re.compile(
    r"\b(?!\d+(?:st|nd|rd|th|[ap]m|kg|km|mg|cm|gb|mb|g|h|k|m|s|x)\b)(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{2,}\b"
    r"|(?<![\w'’])[b-hj-zB-HJ-Z](?![\w'’])|(?<![\w'’])[ai](?=[.!]?$)",
    re.IGNORECASE,
)
_FOLLOWED = re.compile(r"([\w+#-]+) (?=([\w-]+))")
_ARTICLE = re.compile(r"^(?:the|a|an|my|our|this|that)\s+", re.IGNORECASE)


# Stars, hearts, faces, arrows and other signs that are no punctuation, by Unicode category; ASCII's have uses of their own
# (Markdown, "&", "C++") and count where they stand alone. A face's skin (Sk) and the form of a sign (Mn) are no other sign.
_SIGN_CATEGORIES = frozenset({"So", "Sm"})
_ALONE = re.compile(r"(?<!\S)[*#@^~|\\<>=/%?]+(?!\S)")

# What tells one of two things from the other when it stands before it: "red wine and green tea".
_ATTRIBUTED = frozenset(word for line in lexicon.KINDS for word in line)


@dataclass(frozen=True, slots=True)
class Claim:
    """One text, read. `stems` are content words, synonyms folded, in order, `content` the same as a set; the rest is
    evidence beside them.
    """

    text: str
    stems: tuple[str, ...]
    content: frozenset[str]
    numbers: frozenset[str]
    dates: frozenset[str]
    names: tuple[str, ...]
    negated: bool
    ends: bool
    changes: bool
    past: bool
    intent: bool
    passive: bool
    subject: str | None
    words: frozenset[str]
    relatives: frozenset[tuple[str, str]]
    pairs: frozenset[tuple[str, str]]
    slots: tuple[Slot, ...]
    signs: frozenset[str]


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """The stem of a lower-case word, with synonyms folded into one."""
    known = lexicon.SYNONYMS.get(word)
    stemmed = stem_word(known or word)
    return stem_word(lexicon.SYNONYMS.get(stemmed, stemmed))


# Stems of words that make no difference by themselves.
LIGHT = frozenset(stem(word) for word in lexicon.LIGHT_WORDS)


@lru_cache(maxsize=1_024)
def read(text: str) -> Claim:
    """Read a text."""
    plain = _CONTRACTION.sub(r"\1 not", text.replace("’", "'").replace("can't", "can not").replace("won't", "will not"))
    for idiom, word in lexicon.PHRASES.items():
        plain = re.sub(idiom, word, plain, flags=re.IGNORECASE)
    rest, dates = _dates(plain)
    tokens = _TOKEN.findall(rest)
    numbers = _numbers(tokens)
    names = _names(plain)
    lower = [token.lower().removesuffix("'s") for token in tokens]
    negations = sum(word in lexicon.NEGATIONS for word in lower) + ("intolerant" in lower or "intolerance" in lower)
    intent = bool(_INTENT.search(plain))
    ends = not intent and bool(_ENDINGS.search(plain))
    in_names = {part for name in names for part in name.split()}
    stems = tuple(stem(w) for w in lower if _telling(w) and w not in in_names)
    return Claim(
        text=text,
        stems=stems,
        content=frozenset(stems),
        numbers=numbers,
        dates=dates,
        names=names,
        negated=bool(negations % 2) or ends,
        ends=ends,
        changes=bool(_CHANGES.search(plain)),
        past=bool(_PAST.search(plain)),
        intent=intent,
        passive=bool(
            re.search(r"\b(?:is|are|was|were|been|being) (?:\w+ )?\w+(?:ed|en|ne|ld| led|led)\b.* by\b", plain)
        ),
        subject=_subject(plain),
        words=frozenset(lower),
        relatives=frozenset(
            (of.lower(), who.lower()) for of, who in _RELATIVE.findall(plain) if who.lower() in lexicon.RELATIONS
        ),
        pairs=frozenset(
            (a, stem(b)) for a, b in _FOLLOWED.findall(plain.lower()) if a in _ATTRIBUTED or _value(a) is not None
        ),
        slots=slots_of(plain),
        signs=_signs(text),
    )


def _signs(text: str) -> frozenset[str]:
    """The runs of signs in a text: "★★★" is not "★★★★★"."""
    if text.isascii():
        return frozenset(_ALONE.findall(text))
    telling = "".join(
        character if not character.isascii() and unicodedata.category(character) in _SIGN_CATEGORIES else " "
        for character in text
        if unicodedata.category(character) not in ("Sk", "Mn")
    )
    return frozenset(telling.split()) | frozenset(_ALONE.findall(text))


def _telling(word: str) -> bool:
    return (
        word not in lexicon.STOP_WORDS
        and word not in lexicon.NEGATIONS
        and word not in lexicon.NUMBER_WORDS
        and word not in ("longer", "more", "anymore", "now", "user")
        and not word[0].isdigit()
        and word not in "€$£%"
    )


def _dates(text: str) -> tuple[str, frozenset[str]]:
    """The text without its dates and times, and those in one form each."""
    found: list[str] = []

    def iso(match: re.Match[str]) -> str:
        found.extend((f"{int(match[2])}/{int(match[3])}", f"y{match[1]}"))
        return " "

    def day_month(match: re.Match[str]) -> str:
        return keep(lexicon.MONTHS[match[2].lower()], int(match[1]), match[3])

    def month_day(match: re.Match[str]) -> str:
        return keep(lexicon.MONTHS[match[1].lower()], int(match[2]), match[3])

    def month(match: re.Match[str]) -> str:
        if not match[0].lstrip()[0].isupper() and not match[3]:
            return match[0]
        return keep(lexicon.MONTHS[(match[1] or match[3]).lower()], None, match[2])

    def keep(number: int, day: int | None, year: str | None) -> str:
        found.append(f"{number}/{day}" if day else f"{number}/")
        if year:
            found.append(f"y{year}")
        return " "

    def clock(match: re.Match[str]) -> str:
        if match[6]:
            found.append("12:00" if match[6].lower() == "noon" else "0:00")
            return " "
        hour, minute = int(match[1] or match[4]), int(match[2] or match[5] or 0)
        half = (match[3] or "").lower()
        found.append(f"{hour % 12 + 12 * (half == 'p') if half else hour}:{minute:02d}")
        return " in " if half else " "

    for pattern, note in (
        (_ISO, iso), (_DAY_MONTH, day_month), (_MONTH_DAY, month_day), (_MONTH_ALONE, month), (_CLOCK, clock),
    ):  # fmt: skip
        text = pattern.sub(note, text)
    found += [f"y{match[0]}" for match in _YEAR.finditer(text)]
    text = _YEAR.sub(" ", text)
    found += [lexicon.WEEKDAYS[w] for w in re.findall(r"[a-z]+", text.lower()) if w in lexicon.WEEKDAYS]
    text = re.sub(r"\b(?:" + "|".join(lexicon.WEEKDAYS) + r")\b", " ", text, flags=re.IGNORECASE)
    # "in the morning" beside a clock time says nothing that the clock does not.
    if any(":" in date for date in found):
        text = re.sub(r"\b(?:in the (?:morning|afternoon|evening)|at night)\b", " ", text)
    return text, frozenset(found)


def _numbers(tokens: list[str]) -> frozenset[str]:
    found = []
    for place, token in enumerate(tokens):
        lower = token.lower()
        after = tokens[place + 1].lower() if place + 1 < len(tokens) else ""
        before = tokens[place - 1] if place else ""
        value = _value(lower)
        if value is None or lower in ("couple", "both"):
            continue
        unit = lexicon.UNITS.get(after) or (lexicon.UNITS[before] if before in "€$£" and before else "")
        if unit == "km" and after == "k":
            value, unit = f"{float(value) * 1000:g}", ""
        found.append(f"{value}{unit}")
    pairs = [(a.lower(), lexicon.UNITS.get(b.lower())) for a, b in pairwise(tokens)]
    per = [f"per-{unit}" for word, unit in pairs if word in ("per", "a", "each", "every") and unit in ("s", "min", "h")]
    return frozenset(found + per)


def _value(word: str) -> str | None:
    if word in lexicon.NUMBER_WORDS:
        return lexicon.NUMBER_WORDS[word]
    if word in lexicon.ORDINALS:
        return "#" + lexicon.ORDINALS[word]
    if match := _ORDINAL.match(word):
        return "#" + match[1]
    if word[0].isdigit():
        plain = re.sub(r",(?=\d{3}\b)", "", word).replace(",", ".")
        try:
            return f"{float(plain):g}" if len(plain) < 12 else plain
        except ValueError:
            return plain
    return None


@lru_cache(maxsize=1)
def _common_capitals() -> frozenset[str]:
    return frozenset(
        {"user", "the", "a", "an", "i", "he", "she", "they", "it", "his", "her", "their", "my", "in", "on", "at",
         "when", "three", "two", "long", "green", "once", "after", "before", "since", "and", "answers", "deployments",
         "staging", "as", "for", "from", "to", "this", "that", "these", "those", "every", "each", "no", "not", "all",
         "both", "ownership", "mr", "mrs", "ms", "dr", "pm", "am", "currently", "recently", "invoices", "english"}
        | set(lexicon.MONTHS) | set(lexicon.WEEKDAYS) | set(lexicon.NUMBER_WORDS)
    )  # fmt: skip


_CAPITALISED = re.compile(r"\b[A-ZÀ-Þ][\w+#.&-]*(?: (?:(?:de|la|van|von|of|the) )?[A-ZÀ-Þ][\w+#.&-]*)*")
_ABBREVIATED = {"nyc": "new york city", "usa": "us", "united states": "us", "united kingdom": "uk"}


def _names(text: str) -> tuple[str, ...]:
    """Capitalised names in order of appearance, lower-case; a capital at the start counts if it is no usual word."""
    found: list[str] = []
    for match in _CAPITALISED.finditer(text):
        words = re.sub(r"['’]s\b", "", match[0]).rstrip(".").lower().split()
        while words and (words[0] in _common_capitals() or (match.start() == 0 and _usual(words[0], len(words)))):
            words = words[1:]
        name = " ".join(words)
        if name and name not in _common_capitals():
            found.append(_ABBREVIATED.get(name, name))
    found += [match[0].lower() for match in _CODE.finditer(text)]
    return tuple(dict.fromkeys(found))


def _usual(word: str, count: int) -> bool:
    """Whether a capital at the start of a sentence is only that: plural nouns and -ing forms."""
    return count == 1 and (word.endswith(("ing", "s", "ly")) and len(word) > 5)


def _subject(text: str) -> str | None:
    """Whom or what the sentence is about: the user, or the words before the first verb, without articles."""
    text = _ARTICLE.sub("", _LEADING.sub("", text.strip())).replace("’", "'")
    if re.match(r"user\b(?!')", text, re.IGNORECASE):
        return "user"
    match = _SUBJECT_END.search(text)
    subject = text[: match.start()] if match is not None and 0 < match.start() <= 60 else ""
    words = re.findall(r"[\w'-]+", subject.lower())
    if not words or len(words) > 5 or "," in subject or words[0] == "when":
        owned = re.match(r"(?:user|[A-ZÀ-Þ][\w-]+)(?:'s [\w-]+)?", text)
        if owned is None or (not owned[0].startswith(("User", "user")) and "'" not in owned[0]):
            return None
        words = owned[0].lower().split()
    plain = (w.removesuffix("'s") for w in words)
    return " ".join(lexicon.SAME_RELATION.get(w, w) for w in plain if w not in ("has", "the", "a"))
