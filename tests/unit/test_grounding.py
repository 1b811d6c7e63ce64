"""Statements rewritten so that a stranger understands them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
from spacy.language import Language
from spacy.tokens import Doc

from app.memory.extraction.rules import RulesExtractor
from app.memory.grounding.pronouns import Resolution
from app.memory.grounding.rewrite import rewrite
from app.memory.models import Candidate
from app.providers.spacy_models import spacy_model
from tests.unit.conftest import a_window

Texts = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("said", "grounded"),
    [
        ("I'm a nurse.", "User is a nurse"),
        ("I've lived in Toronto for twelve years.", "User has lived in Toronto for twelve years"),
        ("I don't eat meat.", "User doesn't eat meat"),
        ("I can't stand cilantro.", "User can't stand cilantro"),
        ("I'd like to visit Japan.", "User would like to visit Japan"),
        ("I'd rather stay in small guesthouses.", "User would rather stay in small guesthouses"),
        ("I was raised in Ghana.", "User was raised in Ghana"),
        ("I study physics and teach maths.", "User studies physics"),
        ("My wife teaches me Portuguese.", "User's wife teaches User Portuguese"),
        ("I usually watch movies with my kids.", "User usually watches movies with User's kids"),
        ("i'm gonna move to Lyon in May", "User is going to move to Lyon in May 2026"),
        ("I quit smoking in 2022.", "User quit smoking in 2022"),
        ("I know Anna from school.", "User knows Anna from school"),
        ("I'm feeling inspired by autumn so I'm planning a few.", "User is feeling inspired by autumn"),
    ],
)
def test_the_first_person_becomes_the_user_and_the_verb_agrees(texts: Texts, said: str, grounded: str) -> None:
    assert texts(said)[0] == grounded


@pytest.mark.parametrize(
    ("said", "last"),
    [
        ("My sister Anna is a vet. She lives in Oslo.", "User's sister Anna lives in Oslo"),
        ("My colleague Tomás is leaving. He's going to open a restaurant.", "Tomás is going to open a restaurant"),
        ("My dad retired last year. He used to be a driver.", "User's dad used to be a driver"),
        ("My mom's birthday is on May 2, and she loves gardening.", "User's mom loves gardening"),
        ("My parents are retired. They live near Kraków.", "User's parents live near Kraków"),
        ("I have a dog named Biscuit. He is a beagle.", "User's dog Biscuit is a beagle"),
        ("My doctor is Dr. Priya Nair. She told me to walk every day.", "Dr. Priya Nair told User to walk every day"),
        ("Sofia and Ben got engaged. They met in Rome.", "Sofia and Ben met in Rome"),
        ("My daughter's name is Ella. She plays chess.", "Ella plays chess"),
        ("My wife and I love hiking. We live in Bern.", "User and User's wife live in Bern"),
    ],
)
def test_third_persons_get_their_names(texts: Texts, said: str, last: str) -> None:
    assert texts(said)[-1].endswith(last)


@pytest.mark.parametrize(
    "said",
    [
        "She lives in Oslo.",
        "My uncle Peter met my cousin Mark. Tom and Bob came along. He broke his arm.",
        "They moved to Oslo.",
        "I like it.",
        "I moved there in May.",
        "I finished the report.",
        "Her name is Poppy.",
    ],
)
def test_what_cannot_be_looked_up_is_not_stored(texts: Texts, said: str) -> None:
    forbidden = ("She ", "He ", "They ", " it", " there", "the report", "Her ")
    assert not any(word in text for text in texts(said) for word in forbidden)


@pytest.mark.parametrize(
    ("said", "rewritten"),
    [
        ("since we last talked", "since John last talked"),
        ("I want veterans to be valued, so let's do it", "John wants veterans to be valued, so let us do it"),
        ("so I'm planning a trip", "so John is planning a trip"),
    ],
)
def test_only_what_the_speaker_does_is_put_into_the_third_person(said: str, rewritten: str) -> None:
    assert rewrite(spacy_model()(said), "John", Resolution(we="John"))[0] == rewritten


def test_here_is_where_the_speaker_is(texts: Texts) -> None:
    found = texts("My parents are visiting me in June. They live in Porto and they've never been here.")
    assert "User's parents live in Porto" in found
    assert not any("never been" in text for text in found)
    assert "User moved to Leipzig from Hamburg" in texts("I live in Leipzig. I moved here from Hamburg.")


def test_two_possible_persons_are_no_answer(texts: Texts) -> None:
    said = "My uncle Peter and my cousin Mark run a garage in Dover."
    assert len(texts(said, "He broke his arm.")) == 1


def test_there_is_the_place_mentioned_last(texts: Texts) -> None:
    assert texts("My brother moved to Edinburgh.", "I visited him there last summer.")[-1] == (
        "User visited User's brother in Edinburgh in summer 2025"
    )
    assert texts("We're moving to Lisbon.", "My parents live there.")[-1] == "User's parents live in Lisbon"


def test_a_definite_noun_is_looked_up(texts: Texts) -> None:
    assert texts("I have a dentist appointment on Friday.", "The appointment is at 3pm at Smile Clinic.")[
        -1
    ].startswith("User's dentist appointment is at 3pm")


def test_antecedents_are_found_in_the_context_and_in_what_the_assistant_said(texts: Texts) -> None:
    assert texts("He loves football.", context=("My son Theo is seven.", ("assistant", "How nice!"))) == [
        "User's son Theo loves football"
    ]


def test_we_at_work_is_the_team_and_alone_it_is_the_speaker(texts: Texts) -> None:
    assert texts("We deploy with ArgoCD every Tuesday.") == ["User's team deploys with ArgoCD every Tuesday"]
    assert texts("We are expecting twins in August.") == ["User is expecting twins in August 2026"]


def test_each_message_counts_its_dates_from_its_own_time(memories: Callable[..., list]) -> None:
    from datetime import UTC, datetime

    from app.memory.models import Message

    old = Message("old", "user", "I ran a marathon yesterday.", datetime(2025, 6, 2, 9, tzinfo=UTC))
    new = Message("new", "user", "I sold my car yesterday.", datetime(2026, 3, 10, 9, tzinfo=UTC))
    assert [memory.text for memory in memories(old, new)] == [
        "User ran a marathon on 2025-06-01",
        "User sold User's car on 2026-03-09",
    ]


def test_days_are_those_of_the_speakers_time_zone(memories: Callable[..., list]) -> None:
    from datetime import UTC, datetime

    (memory,) = memories(
        "I'm meeting Kenji tomorrow at 7pm.", at=datetime(2026, 11, 9, 23, 30, tzinfo=UTC), timezone="Asia/Tokyo"
    )
    assert memory.text == "User is meeting Kenji on 2026-11-11 at 7pm"
    assert memory.event_date == datetime(2026, 11, 11, 10, tzinfo=UTC)


def test_an_unknown_time_zone_is_utc(texts: Texts) -> None:
    assert texts("I sold my car yesterday.", timezone="Mars/Olympus") == ["User sold User's car on 2026-03-09"]


def test_a_statement_that_a_message_has_word_for_word_is_parsed_once(
    memories: Callable[..., list[Candidate]], monkeypatch: pytest.MonkeyPatch
) -> None:
    nlp = spacy_model()
    parsed: list[str] = []
    pipe = type(nlp).pipe

    def noting(self: Language, texts: Iterable[str], **options: object) -> Iterator[Doc]:
        texts = list(texts)
        parsed.extend(texts)
        return pipe(self, texts, **options)

    monkeypatch.setattr(type(nlp), "pipe", noting)
    said = ["I moved to Oslo on May 2nd.", "I work at a bank and live in Bern."]
    found = [memory.text for memory in memories(*said)]
    assert found == ["User moved to Oslo on 2025-05-02", "User works at a bank", "User lives in Bern"]
    assert parsed == [*said, "I live in Bern"], "which no message has word for word"


def test_a_statement_without_a_known_source_takes_no_other_ones_parse(extractor: RulesExtractor) -> None:
    window = a_window("I moved to Oslo on May 2nd.")
    stray = Candidate("Greta sails in the summer", ("nobody",))
    own = Candidate("I live in Oslo", ("m0",))
    found = [candidate.text for candidate in extractor.repair(window, [stray, own])]
    assert found == ["Greta sails in the summer", "User lives in Oslo"]
