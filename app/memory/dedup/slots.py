"""Attributes of which one value holds at a time (where someone lives, works, who owns what), read from a text.

Only these may supersede each other without an explicit word of change: same subject, same attribute, other value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from app.memory.dedup import lexicon


@dataclass(frozen=True, slots=True)
class Slot:
    """`subject` has `value` as its `attribute`; `negated`: no longer, or not."""

    subject: str
    attribute: str
    value: str
    negated: bool = False

    @property
    def key(self) -> str:
        """What two values of one attribute share."""
        return f"{self.subject}\x1f{self.attribute}"


_ADVERBS = (
    r"(?:\s+(?:now|currently|presently|recently|just|has|have|had|is|was|still|also|originally|already|officially|"
    r"lately|nowadays|finally|then|since|once again|permanently|again|at the moment|been|will|soon))*"
)
_NOT = r"(?P<not>\s+(?:no longer|does not|do not|is not|are not|has stopped|stopped|quit|did not|not)(?:\s+\w+ing(?= at| in))?)?"
_S = r"(?P<s>[^,;]{1,60}?)" + _ADVERBS + _NOT + _ADVERBS + r"\s+"
_V = r"(?P<v>[^,;]{1,80}?)"
_END = (
    r"(?:\s+(?:now|nowadays|these days|any ?more|instead|currently|at the moment|again|today|recently|as of .+|since .+|"
    r"from .+|last (?:week|month|year|spring|summer|autumn|winter)|this (?:week|month|year)|"
    r"(?:in|on) (?:19|20)\d\d.*|in (?:january|february|march|april|may|june|july|august|september|october|november|"
    r"december)\b.*|full[- ]time|part[- ]time|(?:a )?\w+ (?:days|weeks|months|years) ago|after .+|because .+|with .+|"
    r"to be .+|for (?:work|good|a .+|the .+|\w+ years?.*)|until further notice|on \d{4}-\d\d-\d\d|"
    r"(?:effective|starting) .+))*\s*[.!]?$"
)
_PLACE = r"(?P<v>(?:the )?[A-ZÀ-Þ][^,;]{0,60}?|(?i:(?:a|an|the|his|her|their) [^,;]{1,60}?))"
_NAME = r"(?P<v>(?:the )?[A-ZÀ-Þ0-9][^,;]{0,60}?)"
_PERSON = r"(?P<v>(?:the )?[^,;]{1,50}?)"
_OBJECT = rf"(?P<s>(?:the )?[^,;]{{0,50}}?\b{lexicon.TECHNICAL}\b[^,;]{{0,20}}?)"
_OWNING = (
    r"(?:owns|maintains|runs|leads|manages|heads|heads up|is responsible for|is in charge of|looks after|took over|"
    r"takes over|has taken over|took ownership of|takes ownership of|has taken ownership of|assumed ownership of|"
    r"is (?:now )?the (?:new )?(?:owner|maintainer|lead|head|manager) of|became the (?:new )?(?:owner|maintainer|lead) "
    r"of|is (?:now )?the (?:new )?owner for|inherited|now owns|now leads|now maintains|now manages|now runs|"
    r"(?:is|was) (?:now )?assigned(?: to)?|is looking after|is (?:now )?accountable for|is (?:now )?running|"
    r"is (?:now )?leading|is (?:now )?maintaining)"
)
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (attribute, re.compile(pattern + _END, 0 if cased else re.IGNORECASE))
    for attribute, pattern, cased in (
        ("owner", rf"^(?:the )?(?:new |current )?(?:owner|maintainer|lead)(?:ship)? (?:of|for) {_OBJECT}(?: (?:is|was|has been|has|now|changed|moved|passed|went|goes|transferred|handed|given|over|to|on|from [A-ZÀ-Þ]\S+|been|lies|rests|with))+ {_PERSON}", False),
        ("owner", rf"^{_OBJECT}{_ADVERBS}{_NOT}\s+(?:is |was |has been |been )?(?:now )?(?:owned|maintained|run|led|managed|looked after|taken over|headed) by {_PERSON}", False),
        ("owner", rf"^{_OBJECT}{_ADVERBS}\s+(?:was |is |has been |got )?(?:now )?(?:handed over|handed|transferred|reassigned|assigned|passed|given|belongs|moved|changed hands)(?: on| over)?(?: from [^,;]+?)? to {_PERSON}", False),
        ("owner", rf"^{_OBJECT}(?:['’]s| has a) (?:new |current )?(?:owner|maintainer|lead) (?:is|is now|named|called|became|:)?\s*{_PERSON}", False),
        ("owner", rf"^{_PERSON}{_ADVERBS}{_NOT}\s+{_OWNING} {_OBJECT}", False),
        ("owner", rf"^(?P<old>[^,;]{{1,40}}?)\s+(?:handed|passed|transferred|gave)(?: over)?(?: ownership of)? {_OBJECT}(?: over)? to {_PERSON}", False),
        ("residence", rf"^{_S}(?i:lives?|living|resides?|residing|stays|dwells)(?: now| currently)? (?:in|at) {_PLACE}", True),
        ("residence", rf"^{_S}(?i:moved|relocated|has moved|moves|is moving|emigrated|transferred)(?: back| away| house| home| over)?(?: from [^,;]+?)? (?:back )?to {_PLACE}", True),
        ("residence", rf"^{_S}(?i:based|settled|settled down|at home|located|living|domiciled) in {_PLACE}", True),
        ("residence", rf"^{_S}(?i:calls|made) {_PLACE} (?i:home|(?:his|her|their|its) (?:new )?home)", True),
        ("residence", rf"^{_S}(?i:left|moved out of|moved away from) (?P<old>[A-ZÀ-Þ][^,;]*?) (?i:for|to|and moved to|to live in) {_PLACE}", True),
        ("employer", rf"^{_S}(?i:works?|working|employed|worked|got a job|has a job|took a job|took a position|started|started working|started a new job|started a job|starts|began working|got hired|hired|accepted a job|accepted an offer|a \w+|an \w+)(?: (?i:now|currently))?(?: as (?:an?|the) [^,;]+?)? (?i:at|for|by) {_NAME}", True),
        ("employer", rf"^{_S}(?i:joined|joins|has joined) {_NAME}(?: as (?:an?|the) [^,;]+?)?", True),
        ("employer", rf"^{_S}(?i:left|quit|resigned from|was laid off from|was fired from|no longer works at) (?P<left>[A-ZÀ-Þ0-9][^,;]*?)(?: (?i:for|to join|and joined|to work (?:at|for)) {_NAME})", True),
        ("left employer", rf"^{_S}(?i:left|quit|resigned from|was laid off (?:from|by)|was fired (?:from|by)|got laid off from|retired from) {_NAME}", True),
        ("title", rf"^{_S}(?:works?|working|employed|worked|started(?: working| a (?:new )?job| a career| out)?|began(?: working)?|serves|took (?:up )?a (?:new )?(?:job|position|role)|got a (?:new )?job|retrained|earns a living|makes a living|has a job|found a (?:new )?job|hired)(?: now| currently)? as (?:an?|the) {_V}", False),
        ("title", rf"^{_S}(?:works?|working|employed)(?: now)? (?:at|for) [^,;]+? as (?:an?|the) {_V}", False),
        ("title", rf"^{_S}(?:is|was|be|became|becomes|become|turned|changed (?:career|careers|jobs?)(?: and is| and became| to become| to)?|switched (?:career|careers|jobs?)(?: and is| and became| to become| to)?)(?:\s+(?:now|no longer|currently))*\s+(?:an?|the) {_V}", False),
        ("title", rf"^{_S}(?:promoted|was promoted|got promoted|moved up) to (?:an? |the )?{_V}", False),
        ("title", rf"^{_S}(?:switched|changed|moved)(?: jobs?| careers?)?(?: from [^,;]+?)? to (?:being |becoming |working as )?(?:an? )?{_V}", False),
        ("diet", rf"^{_S}(?:went from [^,;]+? to|switched from [^,;]+? to|changed from [^,;]+? to|moved from [^,;]+? to|went back to|went back to being|returned to|is|are|went|goes|became|becomes|become|turned|switched to|converted to|changed to|moved to|adopted|adopts|follows?|following|keeps|eats|is on|on|started|tries|trying|sticks to|maintains|practi[cs]es|identifies as|stays|chose|has been|been)(?:\s+(?:now|no longer|currently|on|been))*\s+(?:being |eating |following )?(?:an? |the )?(?:strict |strictly |mostly |fully |new )?{_V}(?: diet| food| lifestyle| eating plan| meals)?", False),
        ("marital status", rf"^{_S}(?:is |got |gets |are |became )?(?:now |newly |happily |no longer )?(?P<v>single|married|engaged|divorced|widowed|separated|dating)(?: to [^,;]+?| with [^,;]+?| [A-Z]\w+)?", False),
        ("age", rf"^{_S}(?:is |turned |turns |just turned |aged )?(?P<v>\d{{1,3}})(?: years? old| years of age)", False),
        ("age", rf"^{_S}(?:turned|turns|has turned|just turned) (?P<v>\d{{1,3}})", False),
        ("manager", rf"^{_S}(?:reports|reporting|answers) to {_V}", False),
        ("weight", rf"^{_S}weighs {_V}", False),
        ("", r"^(?P<v>[^,;]{1,50}?) (?:is|are|became)(?: now)? (?P<s>[^,;]{1,50}?)['’]s? (?:new |current |absolute )?(?P<a>(?:(?:all-time )?favou?rite|preferred) [\w -]{2,30}?)", False),
        ("", rf"^(?P<s>[^,;]{{1,50}}?)['’]s? (?:new |current |home |own )?(?P<a>(?:(?:favou?rite|preferred) )?[\w-]+(?: [\w-]+)?)(?: has| was| is| are)*(?: now| currently)?(?P<not> not)?(?: is| are| became| changed(?: from [^,;]+?)? to| moved(?: from [^,;]+?)? to| went (?:up|down) to| was (?:postponed|pushed back|moved|rescheduled|raised|increased|reduced|lowered|updated) to| is down to| is up to| has been| now)+(?: now| currently)? (?:an? |the )?{_V}", False),
        ("", rf"^(?:the )?(?:new |current )?(?P<a>[\w-]+(?: [\w-]+)?) (?:of|for) (?P<s>(?:the )?[^,;]{{2,50}}?) (?:is|are|has changed to|changed to|was moved to|was changed to|is now|moved to|was postponed to|was pushed back to)(?: now)? {_V}", False),
        ("", rf"^(?P<s>[^,;]{{1,50}}?) changed (?:his|her|their|the|its) (?P<a>[\w-]+(?: [\w-]+)?)(?: from [^,;]+?)? to {_V}", False),
        ("", rf"^(?P<s>[^,;]{{1,50}}?)(?: has| got)+ (?:an? )new (?P<a>[\w-]+(?: [\w-]+)?):? {_V}", False),
    )
)  # fmt: skip
_CLAUSES = re.compile(r"(?:,|;)?\s+(?:and|but)(?:\s+(?:is|has))?\s+now\s+|[;,]\s+now\s+", re.IGNORECASE)
_PAST = re.compile(lexicon.PAST + r"|\b(?:lived|worked|was (?:a|an|the)|were)\b(?!.*\b(?:now|became)\b)", re.IGNORECASE)
_INTENT = re.compile(lexicon.INTENT, re.IGNORECASE)
_LEADING = re.compile(
    r"^(?:as of [^,]+,|since [^,]+,|currently,?|nowadays,?|today,?|recently,?|in (?:\w+ )?\d{4},|on [\d-]+,|now,?)\s+"
    r"|^\[[\d-]+\]\s*",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[\w'’@.+#&-]+")
_DROPPED = frozenset(
    {"the", "a", "an", "his", "her", "their", "my", "our", "own", "new", "of", "now", "team", "service"}
)
_TITLE_TAIL = re.compile(r"\s+(?:at|in|for|of|with|from|on|and|who|since|by|working|based)\b.*$", re.IGNORECASE)
_NOT_TITLES = frozenset(
    "runner lover reader swimmer riser owner beginner member smoker drinker gamer fan believer eater player learner "
    "speaker user supporter collector traveller traveler hiker collaborator sister brother mother father daughter "
    "number other winner loser cyclist climber vegetarian vegan dieter starter rider walker keeper sufferer dreamer "
    "christian buddhist optimist perfectionist pessimist feminist tourist cancer superior minor major".split()
)
_TITLE_SUFFIX = re.compile(r"(?:er|or|ist|ian|eer|ant|man|woman|ect)$")
_CAPITALISED_ATTRIBUTES = frozenset({"residence", "employer"})


@lru_cache(maxsize=1_024)
def slots_of(text: str) -> tuple[Slot, ...]:
    """The single-valued attributes that a text states as true (or no longer true) now."""
    text = _LEADING.sub("", " ".join(text.split()))
    found: dict[str, Slot] = {}
    for clause in _clauses(text):
        if _PAST.search(clause) and not re.search(r"\bno longer\b|\bnot\b", clause):
            continue
        if _INTENT.search(clause):
            continue
        for attribute, pattern in _PATTERNS:
            match = pattern.match(clause)
            slot = _slot(attribute, match, clause) if match else None
            if slot is not None and slot.attribute not in {s.attribute for s in found.values()}:
                found[slot.key] = slot
    return tuple(found.values())


def _clauses(text: str) -> list[str]:
    """Main clauses; one that begins with "and now" gets the subject of the first."""
    parts = [part for part in _CLAUSES.split(text) if part.strip()]
    if len(parts) == 1:
        return parts
    subject = re.match(r"(?:the )?[\w'’-]+(?: [A-Z][\w'’-]*)*", text, re.IGNORECASE if text[:3] == "the" else 0)
    return [parts[0], *(f"{subject[0]} now {part}" for part in parts[1:])] if subject else parts


def _slot(attribute: str, match: re.Match[str], clause: str) -> Slot | None:
    groups = match.groupdict()
    subject = normal(groups["s"])
    value = (groups.get("v") or "").strip(" .")
    negated = bool(groups.get("not")) or bool(re.search(r"\b(?:no longer|any ?more|not)\b", match[0]))
    if attribute == "left employer":
        attribute, negated = "employer", True
    if not attribute:
        attribute = _attribute(groups["a"])
        if attribute == "residence" and not value[:1].isupper():
            return None
    if not subject or not value or not attribute:
        return None
    checked = _checked(attribute, value, clause)
    if checked is None:
        return None
    name, said = checked
    return Slot(subject, name, said, negated)


def _attribute(noun: str) -> str:
    words = noun.lower().replace("favorite", "favourite").split()
    if words[0] in ("favourite", "preferred", "all-time"):
        return " ".join(words)
    return lexicon.SINGLE_VALUED.get("-".join(words), "") or ("" if len(words) == 1 else _compound(words))


def _compound(words: list[str]) -> str:
    """The head noun decides ("phone number"); the rest stays part of the attribute's name."""
    return " ".join(words) if words[-1] in lexicon.SINGLE_VALUED else ""


def _checked(attribute: str, value: str, clause: str) -> tuple[str, str] | None:
    """The attribute and value in comparable form, or None where the value is not of that kind."""
    value = re.sub(r"\s+(?:and|but|where|while|who)\s+[a-z].*$", "", value)
    lower = value.lower()
    if attribute == "diet":
        words = [w for w in _WORDS.findall(lower) if w in lexicon.DIETS]
        if words and len(_WORDS.findall(lower)) <= 3:
            return attribute, {"veggie": "vegetarian", "ketogenic": "keto", "omnivorous": "omnivore"}.get(
                words[0], words[0]
            )
        if (
            re.fullmatch(r"(?:eats? |eating )?(?:meat|fish and meat|meat and fish|everything)(?: again)?", lower)
            and "allerg" not in clause
        ):
            return attribute, "omnivore"
        return None
    if attribute in lexicon.PERSONS and attribute != "owner" and not value[0].isupper():
        return None
    if attribute == "title":
        return _title(value)
    if attribute == "residence":
        if re.search(r"\b(?:team|department|role|position|project|meeting|office|school|group)\b", lower):
            return None
        if lower.split()[0] in lexicon.WEEKDAYS or lower.split()[0] in lexicon.MONTHS or lower[0].isdigit():
            return None
        if value[0].islower():
            return "dwelling", normal(value)
        return attribute, normal(re.sub(r"^.+\b(?:district|area|part|quarter|suburb|outskirts) of ", "", value))
    if attribute == "employer":
        value = re.sub(r"\s+(?:as|in|on) .*$", "", value)
        return attribute, normal(value)
    if attribute == "owner" and re.search(r"\b(?:on|in|at) \w+$", lower):
        value = re.sub(r"\s+(?:on|in|at) .*$", "", value)
    return attribute, normal(value)


def _title(value: str) -> tuple[str, str] | None:
    value = _TITLE_TAIL.sub("", value).strip()
    words = _WORDS.findall(value.lower())
    if not words or len(words) > 5:
        return None
    head = words[-1]
    if head in lexicon.DIETS or head in _NOT_TITLES:
        return None
    if head in lexicon.PROFESSIONS or _TITLE_SUFFIX.search(head):
        return "title", normal(value)
    return None


def normal(text: str) -> str:
    """A noun phrase as compared: lower-case, without articles, possessives and the word "service"."""
    text = text.lower().replace("’", "'").replace("_", " ").strip(" .")
    words = [w.removesuffix("'s").strip(".'") for part in _WORDS.findall(text) for w in part.split("-")]
    kept = [w for w in words if w and w not in _DROPPED]
    return " ".join(kept or words)
