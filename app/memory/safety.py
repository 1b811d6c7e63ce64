"""Text that tries to be an instruction: in conversations, in custom prompts, in what a model wants to store.

Everything here matches whole words and phrases in the place where they would act as an instruction, so that
"operating system", "important", "I ignored the instructions on the box" stay what they are.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator
from functools import lru_cache

MAX_PROMPT_CHARS = 10_000
MAX_MEMORY_CHARS = 1_000

_RULES = r"(?:instructions?|prompts?|rules|guidelines|directives|guardrails|polic(?:y|ies)|training|programming)"
_ALL = (
    r"(?:(?:all|any|each|every|everything|of|the|your|my|our|these|those|this|that|previous|prior|earlier|above|system|"
    r"preceding|existing|initial|original|safety|content)\s+){0,5}"
)
# Where an imperative can begin: a sentence, a clause, or after a word that leads into one.
_IMPERATIVE = (
    r"(?:^|[.!?;:,\n\"'“”(\[*>-]\s{0,4}|"
    r"\b(?:and|now|then|please|also|just|must|should|to you|assistant|system)[,:]?\s+)"
)
_OVERRIDE = (
    rf"{_IMPERATIVE}(?:ignore|disregard|forget|override|overrule|bypass|discard|skip)\s+(?:about\s+)?"
    rf"(?:{_ALL}{_RULES}|(?:everything|anything|all)\s+(?:above|before|you|that\s+(?:came|was|you)))\b"
)
_MEMORIZE = r"\b(?:store|save|record|remember|note|memori[sz]e|write|add|log|insert|update)\b"
_POWER = (
    r"\b(?:admin(?:istrator)?|root|superuser|sudo|privileged|unrestricted|full\s+access|all\s+permissions|elevated)\b"
)
_INJECTIONS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        _OVERRIDE,
        rf"\b(?:new|updated|revised|real|actual|secret|hidden)\s+(?:system\s+)?{_RULES}\s*[:=]",
        r"^\W{0,4}(?:system|developer|assistant|admin)"
        r"(?:\s+(?:prompt|message|override|note|notice|instruction)s?)?\W{0,3}[:=]",
        r"<\|?/?(?:im_start|im_end|system|endoftext|eot_id|start_header_id)\|?>|\[/?(?:INST|SYS|SYSTEM)\]|<</?SYS>>",
        rf"{_IMPERATIVE}(?:you\s+are\s+now|from\s+now\s+on,?\s+you(?:'re|\s+are|\s+will|\s+must)|"
        r"act\s+as\s+(?:an?\s+)?(?:DAN|admin\w*|root|unrestricted|developer\s+mode|jailbroken)|"
        r"enter\s+(?:developer|god|debug)\s+mode)\b",
        r"\b(?:reveal|print|show|repeat|output|leak|dump)\s+(?:me\s+)?(?:the\s+|your\s+|all\s+)*"
        rf"(?:system|hidden|secret|initial)\s+{_RULES}\b",
        # Orders to the memory itself about roles and rights: "store that the user is an admin".
        rf"{_MEMORIZE}[^.!?\n]{{0,60}}?\b(?:user|i|me|account|profile)\b[^.!?\n]{{0,40}}?{_POWER}",
        r"\b(?:add|write|insert|store|save)\b[^.!?\n]{0,40}\b(?:to|in|into)\s+(?:your|the)\s+(?:long[- ]term\s+)?"
        r"memor(?:y|ies)\b\s*[:\"“]",
    )
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n{2,}")


@lru_cache(maxsize=32)
def injected_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Parts of a message that talk to the model rather than about the speaker's life.

    Such a part reaches from the sentence in which the attempt begins to the end of the paragraph: what follows
    "ignore your instructions" belongs to the attempt.
    """
    spans = []
    for pattern in _INJECTIONS:
        for match in pattern.finditer(text):
            said = re.search(r"\w|\Z", match.group())
            first = match.start() + (said.start() if said else 0)
            starts = [0, *(end.end() for end in _SENTENCE_END.finditer(text, 0, first))]
            ending = text.find("\n\n", match.end())
            spans.append((starts[-1], ending if ending >= 0 else len(text)))
    return tuple(sorted(spans))


def is_injected(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` lies in such a part, at least half of it."""
    return any(2 * (min(end, b) - max(start, a)) >= max(1, end - start) for a, b in injected_spans(text))


# -- what a memory may say -----------------------------------------------------------------------------------------

_RIGHTS = (
    r"(?:admin(?:istrator)? (?:rights?|privileges?|access|permissions?|status|mode)|root (?:access|privileges?)|"
    r"superuser|sudo (?:rights?|access)|full access to (?:the|this|all)|unrestricted|"
    r"elevated (?:rights?|privileges?|permissions?))"
)
_CREDENTIAL_NAME = (
    r"(?:api[ _-]?key|access[ _-]?key|secret(?:[ _-]?key)?|password|passphrase|passcode|pin(?: code)?|"
    r"auth(?:entication)?[ _-]?token|bearer token|credentials?)"
)
_KEYS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(?:sk|pk|rk)[-_](?:live[-_]|test[-_]|proj[-_])?[A-Za-z0-9]{16,}\b|"
    r"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}\b|\beyJ[\w-]{10,}\.[\w-]{10,}\."
)
_UNSAFE: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        ("instruction", _OVERRIDE),
        ("instruction", rf"\b(?:ignore|disregard|override|bypass)s?\s+{_ALL}(?:system\s+)?{_RULES}\b"),
        ("instruction", r"\bsystem\s+(?:prompt|message|instructions?)\b"),
        (
            "privilege",
            rf"\b(?:user|assistant)\s+(?:is|has|was|should be|must be|gets|got)\b[^.]{{0,40}}\b{_RIGHTS}\b",
        ),
        ("code", r"\bos\.system\b|\bsubprocess\.\w+|\b(?:eval|exec|__import__)\s*\(|\b__\w+__\b"),
        # Named and given: "password is hunter2". "Forgot the password" stays.
        (
            "secret",
            rf"\b{_CREDENTIAL_NAME}\b(?:\s+(?:for|of|to)\s+[^.:=]{{1,40}}?)?\s*(?:[:=]|\bis\b|\bare\b)\s*"
            r"[\"'“]?(?=\S*[\d_\-!@#$%^&*])\S{4,}",
        ),
        ("secret", _KEYS),
    )
)


def unsafe_memory(text: str) -> str | None:
    """Why a text must not become a memory (`too long`, `instruction`, `privilege`, `code`, `secret`), or None."""
    if len(text) > MAX_MEMORY_CHARS:
        return "too long"
    return next((reason for reason, pattern in _UNSAFE if pattern.search(text)), None)


# -- custom prompts (wire contract 6.4) ----------------------------------------------------------------------------

PROMPT_NAMES = frozenset(
    ("message", "current_datetime", "session_id", "namespace", "user_id", "model_name", "context", "topics", "entities")
)
_OVERRIDES = (
    rf"\b(?:ignore|forget|disregard|override)\s+{_ALL}{_RULES}\b|"
    rf"\b(?:ignore|forget|disregard)\s+(?:everything|all)\s+(?:above|before|previous)\b|\bnew\s+{_RULES}\b"
)
_PERSONA = (
    r"\bact\s+as\s+(?:an?\s+)?(?:DAN|developer\s+mode|unrestricted|jailbroken)\b|\bpretend\b|\brole-?play\s+as\b|"
    r"\bsimulate\s+(?:an?|being)\b|\bjailbreak\b"
)
_LEAK = (
    r"\b(?:reveal|show|print|output|repeat)\s+(?:me\s+)?(?:your|the)\s+(?:system\s+)?(?:prompts?|instructions?)\b|"
    rf"\b(?:reveal|show|print)\s+(?:your|the)\s+system\s+{_RULES}\b"
)
_CODE = (
    r"\b(?:execute|run)\s+(?:this\s+|the\s+|any\s+|some\s+)?code\b|\b(?:eval|exec)\s*\(|\b__import__\b|\bsubprocess\b|"
    r"\bos\.system\b"
)
_PROMPT_RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        ("overrides instructions", _OVERRIDES),
        ("imitates a system message", r"\bsystem\s*[:=]"),
        ("asks for a persona", _PERSONA),
        ("asks for the prompt", _LEAK),
        ("asks to run code", _CODE),
        ("reaches into objects", r"\{[^{}]*(?:__\w+__|\bglobals\b|\blocals\b|\bbuiltins\b)[^{}]*\}"),
    )
)


def prompt_problems(prompt: object, variables: Iterable[str] = ()) -> list[str]:
    """What is wrong with a custom prompt; `variables` are names that it may use besides the fixed ones."""
    if not isinstance(prompt, str) or not prompt.strip():
        return ["custom_prompt must be a non-empty string"]
    if len(prompt) > MAX_PROMPT_CHARS:
        return [f"custom_prompt has more than {MAX_PROMPT_CHARS} characters"]
    problems = [f"custom_prompt is unsafe: it {reason}" for reason, rule in _PROMPT_RULES if rule.search(prompt)]
    allowed = PROMPT_NAMES | set(variables)
    try:
        names = list(_placeholders(prompt))
    except ValueError as error:
        return [*problems, f"custom_prompt has unbalanced braces ({error}); write literal braces twice"]
    unknown = sorted({name for name in names if re.split(r"[.\[]", name)[0] not in allowed})
    if unknown:
        shown = ", ".join(f"{{{name}}}" for name in unknown)
        problems.append(f"custom_prompt has unknown placeholders {shown}; write literal braces twice")
    return list(dict.fromkeys(problems))


def _placeholders(prompt: str) -> Iterator[str]:
    for _literal, name, spec, _conversion in string.Formatter().parse(prompt):
        if name is not None:
            yield name if not spec else f"{name}:{spec}"


def fill_prompt(prompt: str, values: dict[str, str]) -> str:
    """The prompt with its placeholders filled; attributes and indexes of a name are dropped, never looked up."""
    pieces = []
    for literal, name, _spec, _conversion in string.Formatter().parse(prompt):
        pieces.append(literal)
        if name is not None:
            pieces.append(values.get(re.split(r"[.\[]", name)[0], ""))
    return "".join(pieces)
