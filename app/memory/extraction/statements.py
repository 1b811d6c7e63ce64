"""Sentences taken apart into statements: one finite verb with its own arguments each.

"I work as a nurse and my wife teaches maths, so we live near the school" holds three facts; stored as one text, none
of them is found well. A clause that shares its subject with the one before gets a copy of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

LONGEST_SENTENCE = 600
"""In characters. Longer ones are lists or pasted text, and no rule here was made for them."""
SUBJECTS = frozenset({"nsubj", "nsubjpass", "csubj", "expl"})

_LEADING = re.compile(
    r"^(?:(?:(?:hey|hi|hello|thanks|thank you|morning|good morning|yep|yes|yeah|no|wow|sure|ok|congrats|"
    r"oh|aw+|well) [A-Z]\w+(?=[,!.])|oh|ah|well|so|and|but|also|or|anyway|anyways|actually|honestly|"
    r"basically|plus|besides|then|yes|yeah|yep|yup|"
    r"no|nope|nah|ok|okay|sure|right|hi|hey|hello|haha|hehe|lol|hmm+|um+|uh+|oops|wow|ugh|great|cool|nice|perfect|thanks|"
    r"thank you(?: so much)?|awesome|guess what|fun fact|good news|great news|big news|bad news|"
    r"quick update|update|unfortunately|luckily|"
    r"fortunately|sadly|apparently|anyhow|still|fyi|btw|by the way|in fact|to be honest|tbh|for context|for the record|"
    r"for reference|just so you know|just fyi|so far,? so good|far,? so good|as i said|as you know|as i mentioned|"
    r"as for me|"
    r"like i said|you know|i mean|"
    r"on top of that|apart from that|other than that|in addition|additionally|moreover|however|first of all|firstly|"
    r"secondly|lastly|one more thing|another thing|turns out|sorry|personally|of course|obviously|exactly|true|"
    r"bruh|bro|dude|man|guys|yo|omg|listen|long story(?: short)?|no wait|no,? wait|okay so|ok so|"
    r"good question|good point|hold on|wait|correction|scratch that|my bad|speaking of which|ps|p\.s\.)"
    r"(?:\s*[,:;.!–—-]+\s*|\s+(?=(?:and|but|so|also|oh|well|yeah|yes|no|hey|by the way|btw|actually|i|"
    r"i'm|i've|my|we|our|"
    r"he|she|it|they|the)\b)))+",
    re.IGNORECASE,
)
# "After thinking about it, ...": leads over from what was said before.
_POINTING_BACK = re.compile(
    r"^(?:after|before|given|because of|about|regarding|with|from|based on|despite|like|for|besides|"
    r"since)\b[^,]{0,40}?\b"
    r"(?:it|this|that|these|those)\b[^,]{0,15},\s*|^(?:and|but|so|or|also|plus|then)\s+(?=\w)",
    re.IGNORECASE,
)
# "Pescatarian, I eat fish": one word that belongs to the sentence before.
_AFTERTHOUGHT = re.compile(
    r"^(?!today|yesterday|tomorrow|tonight|\w+day\b|sometimes|usually|normally|often|recently|lately|currently|"
    r"previously|originally|formerly|nowadays|professionally|growing|once)[a-z]+, (?=(?:i|i'm|i've|my|we|our)\b)",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"^(?:(?:please |do |can you |could you )?(?:note|remember|keep in mind|don't forget|bear in mind|be aware|know)"
    r"(?: that|:|,)|i (?:just )?(?:wanted|want|need|forgot|should|have|meant) (?:to )?(?:tell you|say|"
    r"mention|add|let you know|"
    r"note|share)(?: that|:|,)?|i should (?:mention|add|note|say)(?: that|:|,)?|(?:it )?turns out(?: that|,)?|"
    r"the (?:thing|fact|point|good news|bad news) is(?: that|,)?|you should know(?: that|,)?|just so you know|"
    r"did i (?:mention|tell you)(?: that)?)\s+(?=\w)",
    re.IGNORECASE,
)
_TRAILING = re.compile(
    r"(?:[\s,;–—-]+(?:you know|haha|hehe|lol|lmao|though|tho|btw|by the way|right|i guess|i think|actually|honestly|"
    r"of course|too|as well|please|thanks|thank you|thx|mate|dude|so yeah|or something(?: like that)?|and stuff|anyway|"
    r"fwiw|for what it's worth|to be honest|tbh|if that (?:matters|helps)|if it (?:matters|helps)|just so you know|fyi|"
    r"ok|okay|again|so far|for now|at least|in case (?:it matters|you need it|you're wondering)|"
    r"if you (?:must|need to) know|"
    r"if that makes sense|and so on|etc\.?|already|yet|finally|yay|phew|ugh|sadly|unfortunately|luckily))+[\s.!,;]*$",
    re.IGNORECASE,
)
_FILLERS = re.compile(
    r"\b(?:just|actually|basically|literally|honestly|really|definitely|totally|obviously|apparently|sort of|kind of|"
    r"finally|also|even|still|already)\s+(?=\w)(?!about|under|over|like|as|for|in|at|the|a\b|an\b|good|well|nice|bad|big|hard)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One clause: its text as a sentence, its verb in the parse, and where it stands in the passage."""

    text: str
    head: Token
    subject: Token | None
    start: int
    end: int
    sentence: Span


def statements(doc: Doc) -> Iterator[Statement]:
    """The statements of a passage, sentence by sentence; questions are left out."""
    for sentence in doc.sents:
        if len(sentence.text) <= LONGEST_SENTENCE and not sentence.text.rstrip(" )\"'").endswith("?"):
            yield from _clauses(sentence)


def tidy(text: str) -> str:
    """A clause as a sentence of its own: no "by the way" in front, no "haha" behind, a capital first."""
    previous = None
    while previous != text:
        previous = text
        text = _LEADING.sub("", text.strip()).strip(" ,;:-–—`*_#~")
        text = _AFTERTHOUGHT.sub("", _POINTING_BACK.sub("", text))
        text = _ASIDE.sub("", text)
    text = _TRAILING.sub("", text).rstrip(" .!,;:–—-")
    text = _FILLERS.sub("", text)
    return text[:1].upper() + text[1:]


def subject_of(head: Token) -> Token | None:
    """The subject of a verb, if it has one of its own (the small parser may hang it on the auxiliary)."""
    own = next((child for child in head.children if child.dep_ in SUBJECTS), None)
    if own is not None:
        return own
    auxiliaries = (child for child in head.children if child.dep_ in ("aux", "auxpass"))
    return next((grand for child in auxiliaries for grand in child.children if grand.dep_ in SUBJECTS), None)


def _clauses(sentence: Span) -> Iterator[Statement]:
    heads = _clause_heads(sentence)
    owned = {head.i: [token for token in head.subtree if _owner(token, heads) == head.i] for head in heads}
    stray = {head.i: _stray_subject(head, owned[head.i]) for head in heads}
    shared: Token | None = None
    for head in heads:
        strays = {token.i for index, token in stray.items() if token is not None and index != head.i}
        mine = [token for token in owned[head.i] if token.i not in strays and _inside(token, heads[0], sentence)]
        pronoun = stray[head.i]
        tokens = _trimmed(mine if pronoun is None else [pronoun, *mine])
        if not tokens:
            continue
        own = subject_of(head) or pronoun
        text = "".join(token.text_with_ws for token in tokens).strip()
        if own is None and shared is not None and head.i != heads[0].i:
            text = f"{_copied_subject(shared, head)} {text}"
        subject = own if own is not None else shared
        shared = subject
        last = tokens[-1]
        yield Statement(tidy(text), head, subject, tokens[0].idx, last.idx + len(last.text), sentence)


def _clause_heads(sentence: Span) -> list[Token]:
    """The sentence's main verb, and the verbs that are coordinated with it or spliced to it."""
    root = _said_to_be_said(sentence.root)
    heads = [root]
    queue = [root]
    while queue:
        head = queue.pop()
        for child in head.children:
            if _is_clause_of(child, head):
                heads.append(child)
                queue.append(child)
    heads += [token for token in sentence if token not in heads and _is_about_the_place(token)]
    return sorted(heads, key=lambda token: int(token.i))


def _is_about_the_place(token: Token) -> bool:
    """The verb of "..., where I lead the team": a fact of its own."""
    subject = subject_of(token) if token.dep_ == "relcl" else None
    return (
        subject is not None
        and subject.lower_ in ("i", "we")
        and any(child.lower_ == "where" for child in token.children)
    )


def _said_to_be_said(root: Token) -> Token:
    """The statement inside "please remember that ..." or "I think ...": the rest is only the way to it."""
    subject = subject_of(root)
    if root.pos_ not in ("VERB", "AUX") and subject is None:
        clauses = (
            child for child in root.children if child.dep_ in ("ccomp", "parataxis", "advcl") and subject_of(child)
        )
        return next((child for child in clauses if child.pos_ in ("VERB", "AUX")), root)
    frame = (subject is None and root.lemma_ in ("remember", "note", "keep", "forget", "mind", "know")) or (
        subject is not None
        and (subject.lower_, root.lemma_)
        in {("i", "think"), ("i", "guess"), ("i", "believe"), ("i", "mention"), ("i", "say")}
    )
    inner = (
        next((child for child in root.children if child.dep_ == "ccomp" and child.i > root.i), None) if frame else None
    )
    own = subject_of(inner) if inner is not None else None
    if inner is None or own is None:
        return root
    if subject is not None and not any(token.lower_ in ("i", "my", "we", "our") for token in own.subtree):
        return root
    return inner


def _is_clause_of(child: Token, head: Token) -> bool:
    if child.pos_ not in ("VERB", "AUX"):
        return False
    own = subject_of(child)
    if child.dep_ == "conj":
        if own is not None:
            return True
        dated = any(token.ent_type_ in ("DATE", "TIME") for token in head.doc[head.left_edge.i : child.i])
        one_event = dated and child.tag_ == head.tag_  # the date is that of both
        return len(list(child.subtree)) >= 2 and not one_event and _finite_with(child, head)
    if own is None or any(grand.dep_ == "mark" and grand.lower_ != "so" for grand in child.children):
        return False
    if child.dep_ in ("ccomp", "parataxis") and child.i < head.i:
        # "I love hiking, it keeps me sane": two sentences with a comma between.
        joint = head.doc[child.right_edge.i + 1]
        return head.lemma_ not in ("say", "think", "tell", "guess") and (joint.text in ",;" or joint.dep_ == "cc")
    if child.dep_ in ("ccomp", "parataxis"):
        return head.doc[child.left_edge.i - 1].text in (",", ";") and head.lemma_ not in ("say", "think", "tell")
    return child.dep_ == "advcl" and any(
        grand.lower_ == "so" and grand.i < own.i and grand.dep_ in ("mark", "advmod", "cc") for grand in child.children
    )


def _finite_with(child: Token, head: Token) -> bool:
    """Whether a coordinated verb can stand alone once it gets the subject."""
    return child.tag_ in ("VBD", "VBZ", "VBP", "VBG", "VB", "VBN", "MD") and head.pos_ in ("VERB", "AUX")


def _stray_subject(head: Token, tokens: list[Token]) -> Token | None:
    """The "I" just before a verb that the parser took for a part of the clause before."""
    if subject_of(head) is not None or not tokens or tokens[0].i == head.sent.start:
        return None
    first = next((token for token in tokens if token.dep_ != "cc" and not token.is_punct), tokens[0])
    if any(child.lower_ in ("are", "were") for child in head.children):
        return None  # "Ola and I are driving": the subject is both of them
    before = first.nbor(-1) if first.i > head.sent.start else first
    return before if before.lower_ in ("i", "we", "he", "she", "they") and before.head.i != head.i else None


def _inside(token: Token, first: Token, sentence: Span) -> bool:
    """Leaves the "that" of "remember that ..." behind."""
    return not (
        token.dep_ == "mark" and token.head.i == first.i and token.lower_ == "that" and first.i != sentence.root.i
    )


def _owner(token: Token, heads: list[Token]) -> int:
    indices = {head.i for head in heads}
    current = token
    while current.i not in indices and current.head.i != current.i:
        current = current.head
    return int(current.i)


def _trimmed(tokens: list[Token]) -> list[Token]:
    """Without the punctuation and the "and" or "so" that joined the clause to its neighbours."""
    while tokens and (
        tokens[0].is_punct or tokens[0].is_space or tokens[0].dep_ == "cc" or tokens[0].lower_ in ("so", "where")
    ):
        tokens = tokens[1:]
    while tokens and (tokens[-1].is_punct or tokens[-1].is_space or tokens[-1].dep_ == "cc"):
        tokens = tokens[:-1]
    return tokens


def _copied_subject(subject: Token, head: Token) -> str:
    """The subject of the clause before, with its auxiliary where the verb needs one ("I'm moving and starting")."""
    text = "".join(token.text_with_ws for token in subject.subtree if token.dep_ not in ("relcl", "acl")).strip()
    if subject.lower_ == "i":
        text = "I"
    first = head.head
    passive = head.tag_ == "VBD" and first.tag_ == "VBN" and any(child.dep_ == "auxpass" for child in first.children)
    if (head.tag_ in ("VBG", "VB", "VBN") or passive) and not any(
        child.dep_ in ("aux", "auxpass") for child in head.children
    ):
        auxiliaries = [child for child in first.children if child.dep_ in ("aux", "auxpass", "neg")]
        if auxiliaries:
            text += "".join(
                (" " if not token.text.startswith(("'", "n'")) else "") + token.text for token in auxiliaries
            )
    return text
