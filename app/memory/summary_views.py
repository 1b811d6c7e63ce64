"""Summary views: partitions of long-term memory, each summarized on demand or by a background run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from app.config import Settings
from app.memory.background import Background
from app.memory.errors import BackendUnavailable, InvalidRequest, ModelFailure, NotFound
from app.memory.filters import MemoryFilter, TagFilter, TimeFilter
from app.memory.identity import new_id
from app.memory.models import Memory, PartitionSummary, SummaryView, TaskRecord, ViewRunRef, utc_now
from app.memory.summarization.partitions import OutOfTime, PartitionWriter
from app.store.batches import TaskRepository
from app.store.outbox import Outbox
from app.store.records import RecordRepository
from app.store.views import ViewRepository
from app.thread_turns import aside

log = structlog.get_logger(__name__)
FULL_RUN = "summary_view_full_run"
GROUP_FIELDS = ("user_id", "namespace", "session_id", "memory_type")
NO_MEMORIES = "no_matching_memories"
UNAVAILABLE = "A summary could not be made: the language model did not give one. It is tried again with the next run."
DELETED = "the summary view was deleted"
SCAN_PAGE = 500
BUSY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Part:
    """A partition to be computed: its group, its memories, their digest, and what is stored of it."""

    group: Mapping[str, str]
    memories: Sequence[Memory]
    digest: str
    known: PartitionSummary | None

    def settled(self, run: str) -> bool:
        """Whether nothing changed since, or this run has tried in vain already."""
        return self.known is not None and self.known.digest in (self.digest, _failed(self.digest, run))


class SummaryViews:
    """Views and their partitions."""

    def __init__(
        self,
        views: ViewRepository,
        records: RecordRepository,
        tasks: TaskRepository,
        outbox: Outbox,
        background: Background,
        writer: PartitionWriter,
        settings: Settings,
    ) -> None:
        self._views = views
        self._records = records
        self._tasks = tasks
        self._outbox = outbox
        self._background = background
        self._writer = writer
        self._settings = settings

    def create(self, view: SummaryView) -> SummaryView:
        """Store a new view under a fresh id."""
        view = replace(view, id=new_id())
        self._views.save(view)
        return view

    def get(self, view_id: str) -> SummaryView:
        """The view. Raises NotFound."""
        view = self._views.get(view_id)
        if view is None:
            raise NotFound(f"SummaryView {view_id} not found")
        return view

    def all(self) -> list[SummaryView]:
        """All views, oldest first."""
        return self._views.all()

    def delete(self, view_id: str) -> None:
        """Delete a view with its partitions; unknown ids are ignored."""
        self._views.delete(view_id)

    def partitions(self, view_id: str, group: Mapping[str, str]) -> list[PartitionSummary]:
        """Stored partitions whose group has the given values. Raises NotFound."""
        self.get(view_id)
        return [p for p in self._views.partitions(view_id) if all(p.group.get(k) == v for k, v in group.items())]

    def run_partition(self, view_id: str, group: Mapping[str, str]) -> PartitionSummary:
        """Summarize one partition now. Raises NotFound, InvalidRequest when the group's keys are not the view's.

        Where the model fails, the answer says so; a summary that is stored stays.
        """
        view = self.get(view_id)
        if set(group) != set(view.group_by):
            raise InvalidRequest(f"group keys {sorted(group)} do not match the view's group_by {sorted(view.group_by)}")
        memories = self._scan(_of_group(self._condition(view), group))
        part = self._part(view, group, memories, self._views.partition(view.id, group))
        return self._summarize(view, part, run=new_id())

    def start_run(self, view_id: str, task_id: str | None) -> TaskRecord:
        """Start a run over all partitions in the background; its task record. Raises NotFound."""
        self.get(view_id)
        task = TaskRecord(id=task_id or new_id(), type=FULL_RUN, view_id=view_id)
        self._tasks.save(task)
        self._start(ViewRunRef(view_id, task.id))
        return task

    def refresh_continuous(self) -> int:
        """Start a run of each view that is kept up to date; how many those are. They have no task records."""
        continuous = [view for view in self.all() if view.continuous]
        for view in continuous:
            self._start(ViewRunRef(view.id))
        return len(continuous)

    def run(self, work: ViewRunRef) -> None:
        """Summarize all partitions whose memories changed since their last summary; the task shows how far it is.

        Works for one slice of time; what is left then comes back through the outbox, and finds done what is done.
        """
        if work.task_id:
            task = self._tasks.get(work.task_id)
            if task is None or task.status in ("success", "failed"):
                self._outbox.finish(work)  # delivered twice
                return
        view = self._views.get(work.view_id)
        if view is None:
            self._end(work, "failed", error=DELETED)
            return
        token = work.task_id or "refresh"
        if not self._views.acquire_lease(view.id, token, self._settings.task_time_limit_seconds):
            self._later(work, BUSY_SECONDS)
            return
        try:
            finished = self._slice(view, work, until=time.monotonic() + self._settings.view_slice_seconds)
        finally:
            self._views.release_lease(view.id, token)
        if not finished:
            self._later(work, 0.0)
        elif self._views.get(view.id) is None:
            self._end(work, "failed", error=DELETED)
        else:
            self._end(work, "success")

    def note_failure(self, work: ViewRunRef, error: str, *, final: bool) -> None:
        """Let the run's task say what went wrong: `failed` when it is given up, else still `running`."""
        if work.task_id:
            self._tasks.advance(work.task_id, "failed" if final else "running", utc_now(), error=error)

    # -- runs ----------------------------------------------------------------------------------------------------

    def _start(self, work: ViewRunRef) -> None:
        self._outbox.add(work, time.time() + self._settings.promotion_lease_seconds)
        self._background.run_view(work)

    def _later(self, work: ViewRunRef, seconds: float) -> None:
        """Come back; this was no failed try."""
        self._outbox.forgive(work, 0)
        self._outbox.retry_at(work, time.time() + seconds)

    def _end(self, work: ViewRunRef, status: str, *, error: str | None = None) -> None:
        if work.task_id:
            self._tasks.advance(work.task_id, status, utc_now(), error=error)
        self._outbox.finish(work)

    def _slice(self, view: SummaryView, work: ViewRunRef, *, until: float) -> bool:
        """Compute partitions until the time is over; whether all are done."""
        # A run without a task is one run for as long as the refresh interval lasts.
        interval = self._settings.summary_view_refresh_every_minutes * 60.0
        run = work.task_id or f"refresh-{time.time() // interval:.0f}"
        parts = self._parts(view)
        open_parts = [part for part in parts if not part.settled(run)]
        done = len(parts) - len(open_parts)
        failed = sum(part.known is not None and part.known.digest == _failed(part.digest, run) for part in parts)
        self._report(work, done, len(parts), failed)
        with aside(), ThreadPoolExecutor(self._settings.summary_view_concurrency, "view") as pool:
            jobs: list[Future[PartitionSummary]] = []
            try:
                jobs = [pool.submit(self._summarize, view, part, run, until) for part in open_parts]
                for job in as_completed(jobs):
                    try:
                        failed += job.result().digest.startswith("failed:")
                    except OutOfTime:
                        continue
                    done += 1
                    self._report(work, done, len(parts), failed)
            finally:
                for job in jobs:
                    job.cancel()
        return done == len(parts)

    def _report(self, work: ViewRunRef, done: int, total: int, failed: int) -> None:
        if work.task_id:
            details = {"partitions_done": done, "partitions_total": total, "partitions_failed": failed}
            self._tasks.advance(work.task_id, "running", utc_now(), details=details)

    # -- partitions ----------------------------------------------------------------------------------------------

    def _parts(self, view: SummaryView) -> list[_Part]:
        """All partitions: those that have memories, and those stored earlier, whose memories may be gone."""
        condition = self._condition(view)
        groups: dict[tuple[str, ...], list[Memory]] = {}
        for memory in self._scan(condition):
            found = [getattr(memory, name) for name in view.group_by]
            if None not in found:
                groups.setdefault(tuple(map(str, found)), []).append(memory)
        stored = {tuple(p.group[name] for name in view.group_by): p for p in self._views.partitions(view.id)}
        for values in stored.keys() - groups.keys():
            groups[values] = self._scan(_of_group(condition, dict(zip(view.group_by, values, strict=True))))
        return [
            self._part(view, dict(zip(view.group_by, values, strict=True)), memories, stored.get(values))
            for values, memories in sorted(groups.items())
        ]

    def _part(
        self,
        view: SummaryView,
        group: Mapping[str, str],
        memories: Sequence[Memory],
        known: PartitionSummary | None,
    ) -> _Part:
        said = "\x1e".join(f"{m.id}\x1f{m.text}\x1f{m.event_date}" for m in memories)
        digest = hashlib.sha256(f"{view.prompt}\x1d{self._writer.method(view)}\x1d{said}".encode()).hexdigest()
        return _Part(group, memories, digest, known)

    @staticmethod
    def _condition(view: SummaryView) -> MemoryFilter:
        if view.time_window_days is None:
            return view.condition
        since = utc_now() - timedelta(days=view.time_window_days)
        return MemoryFilter(view.condition.tags, {**view.condition.times, "created_at": TimeFilter(gte=since)})

    def _scan(self, condition: MemoryFilter) -> list[Memory]:
        found: dict[bytes, Memory] = {}
        offset = 0
        while True:
            page, _total = self._records.list_page(condition, offset=offset, limit=SCAN_PAGE, oldest_first=True)
            read = zip(page, self._records.read(page), strict=True)
            found.update((key, memory) for key, memory in read if memory is not None)
            offset += len(page)
            if len(page) < SCAN_PAGE:
                return sorted(found.values(), key=_chronological)

    def _summarize(self, view: SummaryView, part: _Part, run: str, until: float | None = None) -> PartitionSummary:
        """Compute and store a partition. Where the model fails, what is stored stays, marked to be tried again."""
        if until is not None and time.monotonic() > until:
            raise OutOfTime
        partition = PartitionSummary(
            view_id=view.id,
            group=dict(part.group),
            summary="",
            memory_count=len(part.memories),
            computed_at=utc_now(),
            empty_reason=None if part.memories else NO_MEMORIES,
            digest=part.digest,
        )
        kept = partition
        if part.memories:
            try:
                kept = partition = replace(partition, summary=self._writer.write(view, part.memories, until=until))
            except (BackendUnavailable, ModelFailure) as error:
                log.warning("partition not summarized", view=view.id, group=dict(part.group), error=str(error))
                partition = replace(partition, summary=UNAVAILABLE, digest=_failed(part.digest, run))
                known = part.known
                good = known is not None and known.memory_count and known.summary != UNAVAILABLE
                kept = replace(known, digest=partition.digest) if known is not None and good else partition
        self._views.save_partition(kept)
        return partition


def _failed(digest: str, run: str) -> str:
    """The digest of a partition that a run could not summarize: no other run takes it for done."""
    return f"failed:{run}:{digest}"


def _of_group(condition: MemoryFilter, group: Mapping[str, str]) -> MemoryFilter:
    """The condition with the group's values in place of static filters on the same fields."""
    return MemoryFilter({**condition.tags, **{k: (TagFilter(eq=v),) for k, v in group.items()}}, condition.times)


def _chronological(memory: Memory) -> tuple[object, ...]:
    when = memory.event_date or memory.created_at
    return (when, memory.created_at, memory.session_id or "", memory.extraction_strategy, memory.id)
