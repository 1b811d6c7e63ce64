"""A Celery app whose worker has another clock than all others: `CLOCK_SKEW_SECONDS` ahead, or behind."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta, tzinfo
from typing import Self

import celery.worker.request

SKEW = float(os.environ["CLOCK_SKEW_SECONDS"])
_time = time.time


class SkewedDatetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(seconds=SKEW)


time.time = lambda: _time() + SKEW
celery.worker.request.datetime = SkewedDatetime

from tasks.celery_app import app  # noqa: E402

__all__ = ["app"]
