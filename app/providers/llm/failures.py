"""What an endpoint's error means: try again, ask differently, or give up."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import openai

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, judged. `broken` says that it speaks against the endpoint itself (and not against the request)."""

    text: str
    retry: bool
    broken: bool
    retry_after_seconds: float | None = None
    refused_parameter: str | None = None


# Parameters that some endpoints do not know; the request is sent again without the one that the error names.
OPTIONAL_PARAMETERS = ("json_schema", "response_format", "max_completion_tokens", "max_tokens")


def judge(error: openai.OpenAIError) -> Failure:
    """Judge an error of the `openai` client."""
    text = f"{type(error).__name__}: {str(error)[:300]}"
    if isinstance(error, openai.APIStatusError):
        status = error.status_code
        if status == 429:
            return Failure(text, retry=True, broken=False, retry_after_seconds=retry_after(error))
        if status >= 500 or status in (408, 409):
            return Failure(text, retry=True, broken=status >= 500, retry_after_seconds=retry_after(error))
        named = next((name for name in OPTIONAL_PARAMETERS if name in str(error)), None)
        return Failure(text, retry=False, broken=False, refused_parameter=named if status in (400, 422) else None)
    # Time-outs and refused or broken connections.
    return Failure(text, retry=isinstance(error, openai.APIConnectionError), broken=True)


def retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds that the endpoint asks to wait, from `retry-after-ms` or `Retry-After` (seconds or a date)."""
    headers = error.response.headers
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        value = headers.get("retry-after")
        if not value:
            return None
        if value.replace(".", "", 1).isdecimal():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def pause_before(attempt: int, failure: Failure) -> float:
    """Seconds before the next attempt (the first is 1): what the endpoint asked for, else doubling; jittered."""
    if failure.retry_after_seconds is not None:
        return failure.retry_after_seconds + random.uniform(0.0, 0.25)
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.5)
