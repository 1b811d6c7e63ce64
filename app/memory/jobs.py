"""Background jobs as operators see them: switch, schedule, last run and last effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.memory.background import Background, Schedule
from app.memory.errors import NotFound
from app.store.jobs import JobRepository, JobRun


@dataclass(frozen=True, slots=True)
class Job:
    """A job and its last run (None: it has not run yet)."""

    schedule: Schedule
    paused: bool
    last: JobRun | None


class Jobs:
    """The jobs of the deployment."""

    def __init__(self, background: Background, repository: JobRepository) -> None:
        self._background = background
        self._repository = repository

    def list(self) -> list[Job]:
        """All jobs, by name."""
        runs, paused = self._repository.runs(), self._repository.paused()
        schedules = sorted(self._background.schedules(), key=lambda one: one.name)
        return [Job(one, one.name in paused, runs.get(one.name)) for one in schedules]

    def paused(self, name: str) -> bool:
        """Whether a job is to do nothing for now."""
        return self._repository.is_paused(name)

    def pause(self, name: str, paused: bool) -> Job:
        """Pause a job, or let it run again. Raises NotFound when there is no such job."""
        if name not in {one.name for one in self._background.schedules()}:
            raise NotFound(f"There is no job {name}")
        self._repository.set_paused(name, paused)
        return next(job for job in self.list() if job.schedule.name == name)

    def note(self, name: str, started: float, seconds: float, *, effect: Any = None, error: str | None = None) -> None:
        """Remember a run."""
        self._repository.note(name, JobRun(started, seconds, effect, error))
