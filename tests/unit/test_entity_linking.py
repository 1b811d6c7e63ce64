"""One name per person within a conversation, and entities and topics by the language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from app.memory.entity_linking import linked
from app.memory.errors import ModelFailure
from app.memory.models import Entity
from app.providers.llm_enrichment import LlmEntityRecognizer, LlmTopicModel


def person(*names: str) -> list[Entity]:
    return [Entity(name, "PERSON") for name in names]


def test_a_short_name_becomes_the_full_name_said_in_another_text() -> None:
    assert linked([person("Priya Nair"), person("Priya"), person("Nair")]) == [person("Priya Nair")] * 3


def test_a_full_name_known_from_earlier_counts() -> None:
    assert linked([person("Priya")], person("Priya Nair")) == [person("Priya Nair")]


def test_a_name_that_could_mean_two_people_is_left_alone() -> None:
    texts = [person("Priya Nair"), person("Priya Shah"), person("Priya")]
    assert linked(texts) == texts


def test_the_longest_of_names_that_contain_each_other_wins() -> None:
    assert linked([person("Ann"), person("Ann Lee"), person("Ann Lee Smith")]) == [person("Ann Lee Smith")] * 3


def test_only_names_of_the_same_kind_are_linked() -> None:
    texts = [[Entity("Paris", "GPE")], person("Paris Hilton")]
    assert linked(texts) == texts


def test_an_organisation_is_shortened_to_its_beginning_only() -> None:
    full = [Entity("Acme Corp", "ORG")]
    assert linked([full, [Entity("Acme", "ORG")]]) == [full, full]
    assert linked([full, [Entity("Corp", "ORG")]])[1] == [Entity("Corp", "ORG")]


def test_a_text_that_has_both_names_has_the_person_once_in_its_place() -> None:
    berlin = Entity("Berlin", "GPE")
    assert linked([[*person("Priya"), berlin, *person("Priya Nair")]]) == [[*person("Priya Nair"), berlin]]


class Model:
    """A generator with one answer, and a local model that can be told from it."""

    model_id = "fake"

    def __init__(self, answer: Any = None) -> None:
        self.answer, self.calls = answer, 0

    def generate_json(self, *, messages: Sequence[Mapping[str, str]], **_: Any) -> dict[str, Any]:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"memories": self.answer(messages[-1]["content"]) if callable(self.answer) else self.answer}

    def assign(self, texts: Sequence[str], *, top_k: int) -> list[list[str]]:
        return [["local"] for _ in texts]

    def recognize(self, texts: Sequence[str]) -> list[list[Entity]]:
        return [[Entity("Local", "ORG")] for _ in texts]


def test_topics_of_the_language_model_are_cleaned_and_cut() -> None:
    model = LlmTopicModel(
        Model([["Peanut  Allergy", "food, health", "food health", "x" * 99, "d"]]), Model(), model="m"
    )
    assert model.assign(["one"], top_k=3) == [["peanut allergy", "food health", "d"]]


def test_many_texts_are_few_calls() -> None:
    generator = Model(lambda text: [["t"]] * len(text.splitlines()))
    assert LlmTopicModel(generator, Model(), model="m").assign(["a\nb"] * 60, top_k=3) == [["t"]] * 60
    assert generator.calls == 3


@pytest.mark.parametrize("answer", [ModelFailure("no"), None, [], [["a"]], [["a"], "b"]])
def test_an_answer_of_the_wrong_shape_is_replaced_by_the_local_model(answer: Any) -> None:
    assert LlmTopicModel(Model(answer), Model(), model="m").assign(["a", "b"], top_k=2) == [["local"], ["local"]]
    found = LlmEntityRecognizer(Model(answer), Model(), model="m").recognize(["a", "b"])
    assert found == [[Entity("Local", "ORG")]] * 2


def test_entities_of_the_language_model_must_stand_in_the_text() -> None:
    answer = [
        [
            {"name": "Dr. Priya Nair", "kind": "PERSON"},
            {"name": "Bob", "kind": "PERSON"},
            {"name": "2026", "kind": "ORG"},
            {"name": "Leeds", "kind": "PLANET"},
            "text",
        ]
    ]
    recognizer = LlmEntityRecognizer(Model(answer), Model(), model="m")
    assert recognizer.recognize(["Dr. Priya Nair moved to Leeds in 2026"]) == [person("Priya Nair")]
