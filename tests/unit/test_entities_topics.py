"""Named entities and keyword topics on the real model."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from app.providers.entities import SpacyEntityRecognizer, clean_name, technologies
from app.providers.spacy_models import DEFAULT_MODEL, is_loaded, spacy_model
from app.providers.topics import KeywordTopicModel


@pytest.fixture(scope="session")
def recognizer() -> SpacyEntityRecognizer:
    return SpacyEntityRecognizer()


def names(recognizer: SpacyEntityRecognizer, text: str) -> list[tuple[str, str]]:
    return [(entity.name, entity.kind) for entity in recognizer.recognize([text])[0]]


def test_persons_organisations_places_and_products_are_told_apart(recognizer: SpacyEntityRecognizer) -> None:
    assert names(recognizer, "Alice works at Google in Zurich with Java and redis.") == [
        ("Alice", "PERSON"),
        ("Google", "ORG"),
        ("Zurich", "GPE"),
        ("Java", "PRODUCT"),
        ("Redis", "PRODUCT"),
    ]


def test_technologies_are_found_in_any_case_unless_they_are_words(recognizer: SpacyEntityRecognizer) -> None:
    assert names(recognizer, "We moved from mysql to PostgreSQL.") == [("MySQL", "PRODUCT"), ("PostgreSQL", "PRODUCT")]
    assert names(recognizer, "We go and react in a flask of rust.") == []


@pytest.mark.parametrize("text", ["User has two cats since 2019.", "User paid $30 on Friday, 50% of the first half."])
def test_numbers_and_dates_are_no_entities(recognizer: SpacyEntityRecognizer, text: str) -> None:
    assert names(recognizer, text) == []


def test_a_name_inside_a_longer_one_is_the_same_entity(recognizer: SpacyEntityRecognizer) -> None:
    assert names(recognizer, "Dr. Priya Nair is User's doctor. Priya's clinic is in Leeds.") == [
        ("Priya Nair", "PERSON"),
        ("Leeds", "GPE"),
    ]


def test_user_is_no_entity(recognizer: SpacyEntityRecognizer) -> None:
    assert names(recognizer, "User's sister visited User in May.") == []


def test_no_entity_has_a_comma_and_none_comes_twice(recognizer: SpacyEntityRecognizer) -> None:
    text = "Acme, Inc. hired Bob. Bob likes Acme, Inc. and Austin, Texas."
    found = [name for name, _ in names(recognizer, text)]
    assert not any("," in name for name in found)
    assert len({name.lower() for name in found}) == len(found)


def test_a_batch_gives_one_list_per_text_in_order(recognizer: SpacyEntityRecognizer) -> None:
    assert [[e.name for e in found] for found in recognizer.recognize(["Anna", "", "nothing here", "I met Bob."])] == [
        ["Anna"],
        [],
        [],
        ["Bob"],
    ]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [("Dr. Priya Nair's", "Priya Nair"), ("the Maas Runners", "Maas Runners"), ("Acme, Inc", "Acme Inc")],
)
def test_names_are_cleaned(raw: str, clean: str) -> None:
    assert clean_name(raw) == clean


def test_the_list_of_technologies_has_no_empty_or_doubled_names() -> None:
    listed = [name.lower() for name, _ in technologies()]
    assert all(listed)
    assert len(set(listed)) == len(listed)


def test_the_model_is_loaded_once_per_process() -> None:
    assert spacy_model() is spacy_model()
    assert is_loaded()


def test_the_model_multiplies_faster_and_parses_as_it_does_by_itself() -> None:
    texts = [
        "Alice works at Google in Zurich with Java and redis, and her sister Anna moved to Delft in April 2026.",
        "I own 12 boats in Lisbon. When I travel I always book a window seat, don't ask me why!",
        "Since Maya's check-up on Friday she hasn't been eating peanuts; the doctor told her to avoid them.",
    ]
    model = spacy_model()
    plain = import_module(DEFAULT_MODEL).load()
    assert not any(part.ops.use_blis for part in parts(model))
    assert all(part.ops.use_blis for part in parts(plain)), "thinc has another way by itself: is ours needed still?"
    assert [read(doc) for doc in model.pipe(texts)] == [read(doc) for doc in plain.pipe(texts)]


def parts(model: Any) -> Iterator[Any]:
    for name in ("tok2vec", "tagger"):
        yield from model.get_pipe(name).model.walk()


def read(doc: Any) -> list[tuple[Any, ...]]:
    return [
        (token.text, token.tag_, token.pos_, token.lemma_, token.dep_, token.head.i, token.ent_type_) for token in doc
    ]


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("User is allergic to peanuts", "peanut allergy"),
        ("User has a dentist appointment on 2026-03-20 at 3pm", "dentist appointment"),
        ("User got a new job at Siemens", "job"),
        ("User is flying to Lisbon in April 2026 for a conference", "conference"),
        ("User's sister Anna lives in Delft", "family"),
        ("User's team uses PostgreSQL", "postgresql"),
    ],
)
def test_the_best_topic_says_what_the_memory_is_about(text: str, topic: str) -> None:
    assert topic in KeywordTopicModel().assign([text], top_k=3)[0]


def test_topics_are_lower_case_without_persons_dates_pronouns_and_commas() -> None:
    texts = [
        "User's colleague Tomás met Anna, Bob and her in March 2026 about it",
        "On 2026-03-14 User bought two red bicycles, a lamp, and something",
    ]
    for topics in KeywordTopicModel().assign(texts, top_k=10):
        assert topics
        for topic in topics:
            assert topic == topic.lower()
            assert "," not in topic
            assert not set(topic.split()) & {"user", "anna", "bob", "tomás", "it", "her", "march", "something"}
            assert not any(char.isdigit() for char in topic)


def test_no_more_topics_than_asked_for_come_back() -> None:
    text = "User likes chess, salsa dancing, pottery and mountain biking"
    assert [len(KeywordTopicModel().assign([text], top_k=k)[0]) for k in (0, 1, 2)] == [0, 1, 2]


def test_a_text_without_nouns_has_no_topics() -> None:
    assert KeywordTopicModel().assign(["", "ok"], top_k=3) == [[], []]
