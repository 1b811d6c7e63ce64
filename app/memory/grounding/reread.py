"""The parse of a rewritten statement, from the parse of what was said: "I own a boat" is read, "User owns a boat" too.

Parsing is most of what a promotion by rules costs, and the two texts differ in a word or two whose parts in the
sentence are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.memory.extraction.dialogue import APPLICATION_USER

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_OF_THE_USER = f"{APPLICATION_USER}'s"
_VERB_TAGS = frozenset({"VB", "VBP", "VBZ", "VBD", "VBN", "MD"})


def reread(doc: Doc, changed: Mapping[int, str], text: str) -> Doc | None:
    """The parse of `text`, which is `doc` with some tokens changed; None where only a parser could tell.

    That is where more changed than pronouns for the user and the forms of verbs.
    """
    from spacy.tokens import Doc

    words: list[str] = []
    spaces: list[bool] = []
    rows: list[Token] = []
    place: dict[int, int] = {}
    for token in doc:
        piece = changed.get(token.i, token.text)
        if piece.startswith(" ") and spaces:
            spaces[-1] = True
        word = piece.strip()
        place[token.i] = len(words)
        if token.i in changed and not _alike(token, word):
            return None
        if word == _OF_THE_USER:
            words += [APPLICATION_USER, "'s"]
            spaces += [False, bool(token.whitespace_)]
            rows += [token, token]
        else:
            words.append(word)
            spaces.append(bool(token.whitespace_))
            rows.append(token)
    words[0] = words[0][:1].upper() + words[0][1:]
    spaces[-1] = False
    if "".join(word + " " * space for word, space in zip(words, spaces, strict=True)) != text:
        return None
    heads, deps, tags, parts, lemmas, ents = [], [], [], [], [], []
    for row, token in enumerate(rows):
        second = row > 0 and rows[row - 1] is token
        inflected = token.i in changed and token.tag_ in _VERB_TAGS and token.tag_ != "MD"
        heads.append(row - 1 if second else place[token.head.i])
        deps.append("case" if second else token.dep_)
        tags.append("POS" if second else "VBZ" if inflected else token.tag_)
        parts.append("PART" if second else token.pos_)
        lemmas.append("'s" if second else token.lemma_)
        ents.append(f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ and not second else "O")
    return Doc(
        doc.vocab, words=words, spaces=spaces, heads=heads, deps=deps, tags=tags, pos=parts, lemmas=lemmas, ents=ents
    )


def _alike(token: Token, word: str) -> bool:
    """Whether a word has the part in the sentence that the token had in whose place it came."""
    if token.pos_ == "PRON":
        return word in (APPLICATION_USER, _OF_THE_USER)
    return token.tag_ in _VERB_TAGS and word.isalpha()
