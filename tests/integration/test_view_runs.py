"""Runs of summary views, in process on a real Redis with a scripted model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import Memory, PartitionSummary, Scope, SummaryView, TaskRecord, ViewRunRef, utc_now
from app.memory.summary_views import UNAVAILABLE
from tests.support.builders import unique
from tests.support.engine import Engine, engine_on, session_redis
from tests.support.scripted_llm import LlmRequest, Reply, ScriptedLLM, as_text, empty, error, slowly

pytestmark = pytest.mark.integration
BOOK = re.compile(r"book-\d+")


def listing(request: LlmRequest) -> Reply:
    """A model that names every book that it reads about."""
    return as_text(" ".join(BOOK.findall(request.messages[-1]["content"])) or "No books.")


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with session_redis() as url:
        yield url


class Views:
    """An engine, and a namespace of its own with memories and a view over them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.started: list[ViewRunRef] = []
        engine.container.__dict__["background"] = self
        self.views = engine.container.summary_views
        self.namespace = unique("ns")

    def run_view(self, work: ViewRunRef) -> None:
        """As the background: only note it; the test runs it, in its own process."""
        self.started.append(work)

    def remember(self, user: str, *texts: str, **more: Any) -> list[Memory]:
        made = [Memory(unique("m"), text, namespace=self.namespace, user_id=user, **more) for text in texts]
        store(self.engine, made)
        return made

    def view(self, **more: Any) -> SummaryView:
        condition = MemoryFilter().also("namespace", TagFilter(eq=self.namespace))
        return self.views.create(SummaryView("", condition, group_by=("user_id",), **more))

    def run(self, view: SummaryView) -> TaskRecord:
        task = self.views.start_run(view.id, None)
        for _ in range(50):
            self.views.run(ViewRunRef(view.id, task.id))
            stored = self.engine.container.tasks.get(task.id)
            if stored.status in ("success", "failed"):
                return stored
        raise AssertionError(stored)

    def partitions(self, view: SummaryView) -> dict[str, PartitionSummary]:
        return {p.group["user_id"]: p for p in self.views.partitions(view.id, {})}


def store(engine: Engine, memories: Sequence[Memory]) -> None:
    vectors = np.random.default_rng(1).standard_normal((len(memories), 384)).astype(np.float32)
    engine.container.consolidation.store(memories, vectors, deduplicate=False, actor="client")


def _views(redis_url: str, llm: ScriptedLLM, **settings: Any) -> Any:
    llm.reply_always(listing)
    options = {"openai_base_url": llm.base_url, "llm_max_retries": 0, "fast_model": "gpt-5-mini", **settings}
    return engine_on(redis_url, **options)


@pytest.fixture
def views(redis_url: str, scripted_llm: ScriptedLLM) -> Iterator[Views]:
    with _views(redis_url, scripted_llm) as engine:
        yield Views(engine)


def test_only_partitions_whose_memories_changed_are_asked_for_again(views: Views, scripted_llm):
    for user in ("ann", "bob", "cem"):
        views.remember(user, f"User {user} read book-1", f"User {user} read book-2")
    view = views.view()
    task = views.run(view)
    assert task.details == {"partitions_done": 3, "partitions_total": 3, "partitions_failed": 0}
    assert len(scripted_llm.chats) == 3
    assert views.run(view).status == "success"
    assert len(scripted_llm.chats) == 3
    views.remember("bob", "User bob read book-3")
    views.run(view)
    assert len(scripted_llm.chats) == 4
    assert {user: p.summary for user, p in views.partitions(view).items()} == {
        "ann": "book-1 book-2", "bob": "book-1 book-2 book-3", "cem": "book-1 book-2",
    }  # fmt: skip


def test_a_partition_larger_than_the_models_window_is_read_in_parts_and_no_memory_is_left_out(
    views: Views, scripted_llm
):
    texts = [f"User read book-{i} and liked how it tells the story of a family over many years" for i in range(400)]
    views.remember("ann", *texts)
    view = views.view(model_name="gpt-3.5-turbo")
    views.run(view)
    requests = scripted_llm.chats
    assert len(requests) > 3
    assert max(r.prompt_tokens for r in requests) <= 4096 * 0.7
    read = "\n".join(r.messages[-1]["content"] for r in requests[:-1])
    assert [i for i in range(400) if not re.search(rf"book-{i}\b", read)] == []
    partition = views.partitions(view)["ann"]
    assert partition.memory_count == 400
    named = set(BOOK.findall(partition.summary))
    assert {f"book-{i}" for i in (0, 200, 399)} <= named
    assert requests[-1].body["model"] == "gpt-3.5-turbo"


def test_of_a_large_partition_only_the_parts_that_changed_are_read_again(views: Views, scripted_llm):
    views.remember("ann", *[f"User read book-{i} and liked the story of a family in it" for i in range(400)])
    view = views.view(model_name="gpt-3.5-turbo")
    views.run(view)
    first = len(scripted_llm.chats)
    views.remember("ann", "User read book-400")
    views.run(view)
    assert len(scripted_llm.chats) - first == 2, "the last part, and putting the parts together"


def test_a_very_long_memory_has_a_share_of_the_window_only(views: Views, scripted_llm):
    views.remember("ann", "User read book-1. " + "word " * 5000, "User read book-2.")
    view = views.view(model_name="gpt-3.5-turbo")
    views.run(view)
    assert views.partitions(view)["ann"].summary == "book-1 book-2"
    assert [r.prompt_tokens < 600 for r in scripted_llm.chats] == [True]


@pytest.mark.parametrize("answer", [error(500), empty()])
def test_where_the_model_fails_the_partition_says_so_and_the_next_run_tries_again(views: Views, scripted_llm, answer):
    views.remember("ann", "User read book-1", "User read book-2")
    view = views.view()
    scripted_llm.reply(answer)
    task = views.run(view)
    assert (task.status, task.details["partitions_failed"]) == ("success", 1)
    partition = views.partitions(view)["ann"]
    assert (partition.summary, partition.memory_count, partition.empty_reason) == (UNAVAILABLE, 2, None)
    assert views.run(view).details["partitions_failed"] == 0
    assert views.partitions(view)["ann"].summary == "book-1 book-2"


def test_a_good_summary_outlives_a_failing_model(views: Views, scripted_llm):
    views.remember("ann", "User read book-1")
    view = views.view()
    views.run(view)
    views.remember("ann", "User read book-2")
    scripted_llm.reply(error(500), error(500))
    views.run(view)
    assert views.partitions(view)["ann"].summary == "book-1"
    now = views.views.run_partition(view.id, {"user_id": "ann"})
    assert (now.summary, now.memory_count) == (UNAVAILABLE, 2)
    assert views.partitions(view)["ann"].summary == "book-1"
    views.run(view)
    assert views.partitions(view)["ann"].summary == "book-1 book-2"


def test_a_partition_whose_memories_are_gone_forgets_them(views: Views):
    gone = views.remember("ann", "User read book-1")
    views.remember("bob", "User read book-2")
    view = views.view()
    views.run(view)
    views.engine.container.long_term_memory.delete([m.id for m in gone], namespace=views.namespace)
    views.run(view)
    partition = views.partitions(view)["ann"]
    assert (partition.summary, partition.memory_count, partition.empty_reason) == ("", 0, "no_matching_memories")
    assert views.partitions(view)["bob"].summary == "book-2"


def test_a_run_that_takes_long_goes_on_in_slices_and_does_nothing_twice(redis_url: str, scripted_llm):
    with _views(redis_url, scripted_llm, task_time_limit_seconds=5, summary_view_concurrency=1) as engine:
        views = Views(engine)
        for i in range(5):
            views.remember(f"user{i}", f"User read book-{i}")
        view = views.view()
        scripted_llm.reply_always(slowly(0.5, as_text("a book")))
        task = views.views.start_run(view.id, None)
        views.views.run(ViewRunRef(view.id, task.id))
        first = engine.container.tasks.get(task.id)
        assert first.status == "running"
        assert 0 < first.details["partitions_done"] < first.details["partitions_total"] == 5
        while engine.container.tasks.get(task.id).status == "running":
            views.views.run(ViewRunRef(view.id, task.id))
        assert engine.container.tasks.get(task.id).details["partitions_done"] == 5
        assert len(scripted_llm.chats) == 5


def test_a_view_that_is_run_already_waits_for_its_turn(views: Views, scripted_llm):
    views.remember("ann", "User read book-1")
    view = views.view()
    task = views.views.start_run(view.id, None)
    repository = views.views._views
    assert repository.acquire_lease(view.id, "another run", 30)
    views.views.run(ViewRunRef(view.id, task.id))
    assert (views.engine.container.tasks.get(task.id).status, scripted_llm.chats) == ("pending", [])
    repository.release_lease(view.id, "another run")
    views.views.run(ViewRunRef(view.id, task.id))
    assert views.engine.container.tasks.get(task.id).status == "success"


def test_a_view_deleted_before_or_while_it_runs_fails_the_task_and_leaves_nothing(views: Views, scripted_llm):
    views.remember("ann", "User read book-1")
    before = views.view()
    task = views.views.start_run(before.id, None)
    views.views.delete(before.id)
    views.views.run(ViewRunRef(before.id, task.id))
    stored = views.engine.container.tasks.get(task.id)
    assert (stored.status, stored.error_message) == ("failed", "the summary view was deleted")

    during = views.view()

    def deleting(request: LlmRequest) -> Reply:
        views.views.delete(during.id)
        return listing(request)

    scripted_llm.reply(deleting)
    assert views.run(during).status == "failed"
    assert list(views.engine.container.redis.scan_iter(f"*{during.id}*")) == []


def test_continuous_views_are_refreshed_without_task_records(views: Views, scripted_llm):
    views.remember("ann", "User read book-1")
    view, other = views.view(continuous=True), views.view()
    views.views.refresh_continuous()
    assert ViewRunRef(view.id) in views.started
    assert ViewRunRef(other.id) not in views.started
    views.views.run(ViewRunRef(view.id))
    assert views.partitions(view)["ann"].summary == "book-1"
    assert views.partitions(other) == {}
    views.views.delete(view.id)


def test_a_view_made_without_a_model_is_made_anew_once_there_is_one(redis_url: str, views: Views, scripted_llm):
    views.remember("ann", *[f"User read book-{i}" for i in range(80)])
    view = views.view()
    with engine_on(redis_url) as plain:
        partition = Views(plain).views.run_partition(view.id, {"user_id": "ann"})
    lines = partition.summary.splitlines()
    assert "without a language model" in lines[0]
    assert 0 < len(lines[1:]) <= 50
    assert partition.memory_count == 80
    views.run(view)
    assert len(scripted_llm.chats) == 1


def test_later_versions_of_a_memory_change_the_digest(views: Views, scripted_llm):
    memory = views.remember("ann", "User read book-1")[0]
    view = views.view()
    views.run(view)
    store(views.engine, [replace(memory, text="User read book-9", updated_at=utc_now())])
    views.run(view)
    assert views.partitions(view)["ann"].summary == "book-9"


def test_scopes_are_kept_apart(views: Views):
    stranger = Memory(unique("m"), "User read book-666", namespace=unique("other"), user_id="ann")
    store(views.engine, [stranger])
    views.remember("ann", "User read book-1")
    view = views.view()
    views.run(view)
    assert views.partitions(view)["ann"].summary == "book-1"
    assert stranger.scope == Scope(stranger.namespace, "ann")
