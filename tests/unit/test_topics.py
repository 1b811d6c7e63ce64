"""Topics without a store: assignment, continuity over refits, names, and the phrases they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from app.memory.errors import ModelFailure
from app.memory.models import Memory, utc_now
from app.memory.topics.assignment import (
    MARK,
    assigned_topics,
    given_by_client,
    match,
    merged_topics,
    nearest,
    places,
    turned_like,
    with_labels,
    with_topics,
)
from app.memory.topics.naming import tenant_topics, topic_ids
from app.memory.topics.values import Corpus, CorpusSample, FoundTopics, Source, TenantTopics, Topic, TopicModelState
from app.providers.topic_phrases import telling_phrases

DIM = 8


def unit(*values: float) -> np.ndarray:
    vector = np.zeros(DIM, np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def a_model(*centroids: np.ndarray, ids: Sequence[str] = (), floor: float = 0.6, version: int = 1) -> TopicModelState:
    count = len(centroids)
    projection = np.zeros((DIM + 1, 2), np.float32)
    projection[0, 0] = projection[1, 1] = 1.0
    return TopicModelState(
        corpus=Corpus("ns"),
        version=version,
        fitted_at=utc_now(),
        memory_count=100,
        ids=tuple(ids or (f"topic-{n + 1}" for n in range(count))),
        centroids=np.array(centroids, np.float32).reshape(count, DIM),
        floors=np.full(count, floor, np.float32),
        typical=np.full(count, 0.8, np.float32),
        projection=projection,
    )


def found(phrases: Mapping[int, Mapping[int, Sequence[str]]], *centroids: np.ndarray) -> FoundTopics:
    model = a_model(*centroids)
    examples = {tenant: {topic: [0] for topic in topics} for tenant, topics in phrases.items()}
    sizes = {tenant: dict.fromkeys(topics, 3) for tenant, topics in phrases.items()}
    return FoundTopics(
        model.centroids, model.floors, model.typical, model.projection, phrases, sizes, examples, np.zeros((1, 2))
    )


def name(
    new: FoundTopics,
    model: TopicModelState,
    old: TopicModelState | None = None,
    before: TenantTopics | None = None,
    generator: Any = None,
) -> TenantTopics:
    sample = CorpusSample(["a text"], ["ns"], [0], np.zeros((1, DIM), np.float32))
    return tenant_topics(0, "ns", model, sample, new, old=old, before=before, generator=generator)


# -- assignment -------------------------------------------------------------------------------------------------------


def test_the_nearest_topic_comes_first_and_an_outlier_has_none() -> None:
    model = a_model(unit(1), unit(0, 1))
    vectors = np.array([unit(1, 0.1), unit(0.1, 1), unit(0, 0, 1)])
    assert nearest(model, vectors, top_k=3) == [["topic-1"], ["topic-2"], []]


def test_a_second_topic_counts_only_when_the_memory_is_as_close_as_half_of_its_members() -> None:
    close = a_model(unit(1, 0.3), unit(1, -0.3))
    assert nearest(close, np.array([unit(1)]), top_k=2) == [["topic-1", "topic-2"]]
    assert nearest(close, np.array([unit(1)]), top_k=1) == [["topic-1"]]
    assert nearest(a_model(unit(1, 0.2), unit(1, -0.9)), np.array([unit(1)]), top_k=2) == [["topic-1"]]


def test_a_memory_at_the_edge_of_its_topic_stays_in_it() -> None:
    model = a_model(unit(1), floor=0.6)
    edge = np.array([unit(0.58, np.sqrt(1 - 0.58**2))])
    assert nearest(model, edge, top_k=1) == [[]]
    assert nearest(model, edge, top_k=1, kept=["topic-1"]) == [["topic-1"]]
    assert nearest(model, np.array([unit(0.5, 0.87)]), top_k=1, kept=["topic-1"]) == [[]]


def test_an_empty_model_gives_nobody_a_topic() -> None:
    assert nearest(a_model(), np.array([unit(1)]), top_k=3) == [[]]


def test_places_are_the_projection_of_the_vectors() -> None:
    assert places(a_model(unit(1)), np.array([unit(0.6, 0.8)])) == [(0.6, 0.8)]


def test_a_map_that_was_turned_and_mirrored_comes_out_as_before() -> None:
    old = a_model(unit(1), unit(0, 1), unit(1, 1))
    flipped = old.projection @ np.array([[0.6, 0.8], [0.8, -0.6]], np.float32)
    turned = turned_like(old, flipped, np.array([unit(1), unit(0.2, 1), unit(1, 1)]))
    np.testing.assert_allclose(turned, old.projection, atol=1e-5)
    assert turned_like(None, flipped, old.centroids) is flipped


# -- what a memory carries --------------------------------------------------------------------------------------------


def test_assigned_topics_are_replaced_and_given_ones_stay() -> None:
    memory = Memory("m", "text", topics=("Mine",))
    keyworded = with_labels(memory, ["garden", "mine"], source=Source.KEYWORDS)
    assert keyworded.topics == ("Mine", "garden")
    assert keyworded.metadata[MARK]["source"] == "keywords"
    fitted = with_topics(keyworded, [Topic("topic-3", "gardening", aliases=("plants",))])
    assert fitted.topics == ("Mine", "gardening")
    assert fitted.topic_aliases == ("topic-3", "plants")
    assert with_topics(fitted, []).topics == ("Mine",)


def test_topics_that_the_client_sets_are_its_own() -> None:
    memory = with_topics(Memory("m", "text"), [Topic("topic-1", "food")])
    assert assigned_topics(given_by_client(memory)) == ()


def test_enrichment_that_comes_late_does_not_undo_a_refit() -> None:
    stored = with_topics(Memory("m", "text"), [Topic("topic-1", "food")])
    late = with_labels(Memory("m", "text"), ["soup"], source=Source.KEYWORDS)
    assert merged_topics(stored, late) == stored
    assert merged_topics(Memory("m", "text", topics=("mine",)), late).topics == ("mine", "soup")


@pytest.mark.parametrize("mark", ["text", 5, None, [], {"topics": 5}, {"topics": [1, {}], "ids": "x", "source": []}])
def test_a_client_may_write_anything_into_the_mark(mark: object) -> None:
    memory = Memory("m", "text", topics=("mine",), metadata={MARK: mark})
    assert with_labels(memory, ["soup"], source=Source.KEYWORDS).topics == ("mine", "soup")


# -- over refits ------------------------------------------------------------------------------------------------------


def test_topics_that_go_on_keep_their_ids_and_new_ones_never_take_an_old_id() -> None:
    old = a_model(unit(1), unit(0, 1), ids=("topic-7", "topic-2"))
    new = found({}, unit(0, 0, 1), unit(1, 0.1))
    assert topic_ids(new, old) == ("topic-8", "topic-7")


def test_two_new_topics_do_not_continue_the_same_old_one() -> None:
    matched = match(a_model(unit(1)), np.array([unit(1, 0.3), unit(1, 0.1)]))
    assert matched == {1: "topic-1"}


def test_a_label_stays_while_it_is_telling_and_becomes_an_alias_when_it_is_not() -> None:
    old = a_model(unit(1), unit(0, 1))
    before = TenantTopics("ns", Corpus("ns"), 1, (Topic("topic-1", "soup"), Topic("topic-2", "guitar")))
    new = found({0: {0: ["stew", "soup"], 1: ["piano", "band"]}}, unit(1), unit(0, 1))
    topics = name(new, a_model(unit(1), unit(0, 1), version=2), old, before).topics
    assert [(t.id, t.label, t.aliases) for t in topics] == [
        ("topic-1", "soup", ()),
        ("topic-2", "piano", ("guitar",)),
    ]


def test_a_topic_that_is_swallowed_lives_on_as_an_alias() -> None:
    old = a_model(unit(1, 0.3), unit(1, -0.3))
    before = TenantTopics("ns", Corpus("ns"), 1, (Topic("topic-1", "soup"), Topic("topic-2", "stew", aliases=("pot",))))
    new = found({0: {0: ["soup"]}}, unit(1, 0.2))
    model = a_model(unit(1, 0.2), ids=topic_ids(new, old), version=2)
    (topic,) = name(new, model, old, before).topics
    assert (topic.id, topic.label) == ("topic-1", "soup")
    assert set(topic.aliases) == {"stew", "pot", "topic-2"}


def test_two_topics_of_a_tenant_never_share_a_label() -> None:
    new = found({0: {0: ["work"], 1: ["work", "office"], 2: ["Work"]}}, unit(1), unit(0, 1), unit(0, 0, 1))
    topics = name(new, a_model(unit(1), unit(0, 1), unit(0, 0, 1))).topics
    assert [t.label for t in topics] == ["work", "office"]


class FakeGenerator:
    """Answers with what it was given; remembers what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, ""

    def generate_json(self, *, messages: Sequence[Mapping[str, str]], **_: Any) -> dict[str, Any]:
        self.asked = messages[-1]["content"]
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"labels": self.answer}


def test_the_language_model_names_topics_and_is_not_trusted() -> None:
    new = found({0: {0: ["soup"], 1: ["guitar"], 2: ["work"]}}, unit(1), unit(0, 1), unit(0, 0, 1))
    generator = FakeGenerator(["Home  Cooking, soups", "home cooking soups", ""])
    topics = name(new, a_model(unit(1), unit(0, 1), unit(0, 0, 1)), generator=generator).topics
    assert [t.label for t in topics] == ["home cooking soups", "guitar", "work"]
    assert "a text" in generator.asked


@pytest.mark.parametrize("answer", [ModelFailure("no"), None, "text", [1, 2, 3, 4, 5]])
def test_topics_are_named_by_their_phrases_when_the_language_model_fails(answer: Any) -> None:
    new = found({0: {0: ["soup"]}}, unit(1))
    labels = [t.label for t in name(new, a_model(unit(1)), generator=FakeGenerator(answer)).topics]
    assert labels == (["1"] if isinstance(answer, list) else ["soup"])


# -- phrases ----------------------------------------------------------------------------------------------------------


class Words:
    """A topic model that takes every word for a topic."""

    model_id = "words"

    def assign(self, texts: Sequence[str], *, top_k: int) -> list[list[str]]:
        return [text.split()[:top_k] for text in texts]


class Hashed:
    """An embedder with a direction for each text, all as far from the topics."""

    model_id, dimensions = "hashed", DIM

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([self._direction(text) for text in texts], np.float32)

    @staticmethod
    def _direction(text: str) -> np.ndarray:
        return unit(0, 0, *np.random.default_rng(sum(map(ord, text))).normal(size=DIM - 2))


def test_a_tenants_phrases_come_from_its_own_texts_only() -> None:
    texts = ["secret merger plan", "merger deadline"] * 10 + ["holiday plan", "beach holiday"] * 10
    vectors = np.array([unit(1, 0.01 * n) for n in range(len(texts))])
    sample = CorpusSample(texts, ["acme", "bank"], [0] * 20 + [1] * 20, vectors)
    phrases, examples = telling_phrases(sample, np.zeros(40, int), np.array([unit(1)]), Words(), Hashed())
    assert set(phrases[0][0]) == {"secret", "merger", "plan", "deadline"}
    assert set(phrases[1][0]) == {"holiday", "plan", "beach"}
    assert all(row < 20 for row in examples[0][0])


def test_the_first_phrase_tells_a_topic_from_the_others() -> None:
    texts = ["memory soup pot", "memory soup spoon", "memory guitar band", "memory guitar song"] * 5
    labels = np.array([0, 0, 1, 1] * 5)
    vectors = np.array([unit(1) if label == 0 else unit(0, 1) for label in labels])
    sample = CorpusSample(texts, ["ns"], [0] * 20, vectors)
    phrases, _ = telling_phrases(sample, labels, np.array([unit(1), unit(0, 1)]), Words(), Hashed())
    assert "memory" not in (phrases[0][0][0], phrases[0][1][0])
    assert "guitar" not in phrases[0][0]
