"""The `Generator` on the `openai` client: structured output with fallbacks, retries, shared limits, accounting."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import structlog

from app.config import Settings
from app.memory.errors import BackendUnavailable, ModelFailure
from app.memory.models import ModelUsage
from app.providers.llm.failures import Failure, judge, pause_before
from app.providers.llm.parsing import Unusable, conforming, parse_json
from app.providers.llm.prices import cost_of
from app.providers.tokens import count_tokens
from app.thread_turns import aside

log = structlog.get_logger(__name__)

JSON_ATTEMPTS = 3
# What a task does beside its calls takes less.
SPARE_SECONDS = 10.0
Chat = Sequence[Mapping[str, str]]


class Gate(Protocol):
    """Limits that all workers share (`app/store/model_gate.py`)."""

    def enter(self, token: str) -> tuple[float, str]:
        """(0, "") when the call may start; else the seconds to wait, and why: paused, open, busy or pace."""
        ...

    def leave(self, token: str, outcome: Literal["ok", "failed", "neutral"], *, pause_seconds: float = 0.0) -> None:
        """End the call."""
        ...


class Ledger(Protocol):
    """Where calls are accounted (`app/store/usage.py`)."""

    def note(self, usage: ModelUsage) -> None:
        """Add to the counters."""
        ...


class OpenAIGenerator:
    """A language model behind any OpenAI-compatible endpoint; thread-safe.

    What an endpoint does not support is learnt from its first refusal and remembered per model: a JSON schema, then
    JSON mode, then the schema in words.
    """

    def __init__(self, settings: Settings, *, gate: Gate, ledger: Ledger) -> None:
        import openai
        from openai.types.chat import ChatCompletion

        self._settings = settings
        self._gate = gate
        self._ledger = ledger
        self._error = openai.OpenAIError
        self._answer = ChatCompletion
        self._client = openai.OpenAI(
            # A local endpoint needs no key, but the client insists on one.
            api_key=settings.openai_api_key or "none",
            base_url=settings.llm_base_url,
            timeout=settings.llm_timeout_seconds,
            max_retries=0,
        )
        self._refused: dict[str, frozenset[str]] = {}
        # The gate can only be asked again and again; who waits here goes on as soon as another thread has its answer.
        self._slots = threading.Semaphore(settings.llm_max_concurrency)

    def generate_json(
        self,
        *,
        purpose: str,
        messages: Chat,
        schema: Mapping[str, Any],
        model: str | None = None,
        namespace: str | None = None,
        deadline_seconds: float | None = None,
    ) -> dict[str, Any]:
        """One completion that follows the JSON schema (of an object). Raises BackendUnavailable, ModelFailure.

        An answer that does not is sent back with what is wrong with it, twice; after that, list items that still
        do not follow the schema are left out.
        """
        chosen = model or self._settings.generation_model
        call = self._call(purpose, chosen, namespace, deadline_seconds)
        asked: list[Mapping[str, str]] = list(messages)
        problem = ""
        for attempt in range(1, JSON_ATTEMPTS + 1):
            content = self._complete(call, asked, schema=schema)
            try:
                return conforming(parse_json(content), schema, salvage=attempt == JSON_ATTEMPTS)
            except Unusable as error:
                problem = str(error)
                log.warning("unusable answer", purpose=purpose, model=chosen, attempt=attempt, problem=problem)
            asked = [*messages, *_complaint(content, problem)]
        raise ModelFailure(f"{chosen} gave no usable answer for {purpose}: {problem}")

    def generate_text(
        self,
        *,
        purpose: str,
        messages: Chat,
        model: str | None = None,
        max_tokens: int | None = None,
        namespace: str | None = None,
        deadline_seconds: float | None = None,
    ) -> str:
        """One completion as plain text. Raises BackendUnavailable, ModelFailure."""
        chosen = model or self._settings.generation_model
        call = self._call(purpose, chosen, namespace, deadline_seconds)
        content = self._complete(call, messages, max_tokens=max_tokens).strip()
        if not content:
            raise ModelFailure(f"{chosen} answered {purpose} with nothing")
        return content

    # -- one completion --------------------------------------------------------------------------------------------

    def _call(self, purpose: str, model: str, namespace: str | None, seconds: float | None) -> _Call:
        # A task must end before its time limit, whatever the endpoint does.
        longest = max(5.0, 0.75 * self._settings.task_time_limit_seconds)
        deadline = time.monotonic() + min(seconds or longest, longest)
        if seconds is not None:
            return _Call(purpose, model, namespace, deadline)
        # Nor may the broker take it for lost, and deliver it a second time.
        patience = max(5.0, self._settings.broker_visibility_timeout_seconds - longest - SPARE_SECONDS)
        return _Call(purpose, model, namespace, deadline, patience)

    @aside()
    def _complete(
        self, call: _Call, messages: Chat, *, schema: Mapping[str, Any] | None = None, max_tokens: int | None = None
    ) -> str:
        """The content of one completion, after retries."""
        attempt = 1
        while True:
            token = self._enter(call)
            request = self._request(call, messages, schema, max_tokens)
            timeout = max(1.0, min(self._settings.llm_timeout_seconds, call.deadline - time.monotonic()))
            try:
                # Not `chat.completions.create`: it would check the request against its types, which takes 1 ms.
                answer = self._client.post(
                    "/chat/completions", body=request, cast_to=self._answer, options={"timeout": timeout}
                )
            except self._error as error:
                failure = judge(error)
                pause = pause_before(attempt, failure)
                self._leave(
                    token,
                    "failed" if failure.broken else "neutral",
                    pause_seconds=pause if failure.retry_after_seconds is not None else 0.0,
                )
                if failure.refused_parameter and self._learn(call.model, failure.refused_parameter, request):
                    continue
                self._note(call, failed=True)
                self._wait_or_raise(call, attempt, failure, pause)
                attempt += 1
                continue
            except BaseException:  # a time limit: free the slot, whatever stops the task
                self._leave(token, "neutral")
                raise
            self._leave(token, "ok")
            return self._content(call, messages, answer)

    def _enter(self, call: _Call) -> str:
        """Wait for admission; the token of the slot. Raises BackendUnavailable when that takes too long."""
        token = uuid.uuid4().hex
        began = time.monotonic()
        if not self._slots.acquire(timeout=max(0.0, call.patience or call.deadline - began)):
            raise BackendUnavailable("no room for a model call: as many run as LLM_MAX_CONCURRENCY allows")
        if call.patience:
            waited = time.monotonic() - began
            call.deadline, call.patience = call.deadline + waited, max(0.1, call.patience - waited)
        try:
            while True:
                wait, reason = self._gate.enter(token)
                if not wait:
                    return token
                if reason == "open":
                    raise BackendUnavailable(f"the model endpoint keeps failing; next attempt in {wait:.0f} s")
                if time.monotonic() + wait > call.deadline:
                    raise BackendUnavailable(f"no room for a model call ({reason}); asked to wait {wait:.0f} s")
                time.sleep(wait * random.uniform(0.8, 1.2))
        except BaseException:
            self._slots.release()
            raise

    def _leave(self, token: str, outcome: Literal["ok", "failed", "neutral"], *, pause_seconds: float = 0.0) -> None:
        try:
            self._gate.leave(token, outcome, pause_seconds=pause_seconds)
        finally:
            self._slots.release()

    def _request(
        self, call: _Call, messages: Chat, schema: Mapping[str, Any] | None, max_tokens: int | None
    ) -> dict[str, Any]:
        refused = self._refused.get(call.model, frozenset())
        request: dict[str, Any] = {
            "model": call.model,
            "messages": [dict(message) for message in messages],
        }
        if max_tokens is not None:
            name = next((n for n in ("max_completion_tokens", "max_tokens") if n not in refused), None)
            if name:
                request[name] = max_tokens
        if schema is not None:
            if "json_schema" not in refused and "response_format" not in refused:
                described = {"name": call.purpose, "schema": schema, "strict": True}
                request["response_format"] = {"type": "json_schema", "json_schema": described}
            else:
                in_words = f"Answer with one JSON object that follows this JSON schema:\n{json.dumps(schema)}"
                request["messages"].append({"role": "system", "content": in_words})
                if "response_format" not in refused:
                    request["response_format"] = {"type": "json_object"}
        return request

    def _learn(self, model: str, parameter: str, request: Mapping[str, Any]) -> bool:
        """Remember a refused parameter; whether that changes the request."""
        kind = (request.get("response_format") or {}).get("type")
        if parameter in ("json_schema", "response_format"):
            if kind is None:
                return False
            parameter = "json_schema" if kind == "json_schema" else "response_format"
        elif parameter not in request:
            return False
        log.info("endpoint does not know a parameter; going on without", model=model, parameter=parameter)
        self._refused[model] = self._refused.get(model, frozenset()) | {parameter}
        return True

    def _wait_or_raise(self, call: _Call, attempt: int, failure: Failure, pause: float) -> None:
        if not failure.retry:
            refused = any(kind in failure.text for kind in ("AuthenticationError", "PermissionDenied", "NotFound"))
            # A wrong key or model name is mended by the operator; until then the work waits.
            raise (BackendUnavailable if refused else ModelFailure)(f"the model endpoint refused: {failure.text}")
        if attempt > self._settings.llm_max_retries:
            raise BackendUnavailable(f"the model endpoint failed {attempt} time(s): {failure.text}")
        if time.monotonic() + pause > call.deadline:
            raise BackendUnavailable(f"the model endpoint asks to wait {pause:.0f} s: {failure.text}")
        log.warning(
            "model call failed", purpose=call.purpose, attempt=attempt, pause=round(pause, 2), error=failure.text
        )
        time.sleep(pause)

    def _content(self, call: _Call, messages: Chat, answer: Any) -> str:
        choice = answer.choices[0] if getattr(answer, "choices", None) else None
        content = (choice.message.content if choice and choice.message else None) or ""
        usage = getattr(answer, "usage", None)
        self._note(
            call,
            prompt_tokens=usage.prompt_tokens if usage else sum(count_tokens(m["content"]) for m in messages),
            completion_tokens=usage.completion_tokens if usage else count_tokens(content),
        )
        refusal = getattr(choice.message, "refusal", None) if choice and choice.message else None
        if refusal:
            raise ModelFailure(f"{call.model} refused {call.purpose}: {str(refusal)[:200]}")
        return content

    def _note(self, call: _Call, *, prompt_tokens: int = 0, completion_tokens: int = 0, failed: bool = False) -> None:
        usage = ModelUsage(
            namespace=call.namespace,
            model=call.model,
            purpose=call.purpose,
            calls=1,
            failed_calls=int(failed),
            prompt_tokens=prompt_tokens or 0,
            completion_tokens=completion_tokens or 0,
            cost_usd=cost_of(self._settings, call.model, prompt_tokens or 0, completion_tokens or 0),
        )
        try:
            self._ledger.note(usage)
        except BackendUnavailable as error:  # the answer is worth more than its bill
            log.warning("model call not accounted", purpose=call.purpose, error=str(error))


class _Call:
    """What stays the same over the attempts of one call.

    `deadline` is in monotonic seconds. For `patience` seconds a call may wait for others of its process, which does not
    count for its deadline: only tasks in threads wait so, and they have no time limit. 0: what it waits does count.
    """

    __slots__ = ("deadline", "model", "namespace", "patience", "purpose")

    def __init__(self, purpose: str, model: str, namespace: str | None, deadline: float, patience: float = 0.0) -> None:
        self.purpose = purpose
        self.model = model
        self.namespace = namespace
        self.deadline = deadline
        self.patience = patience


def _complaint(content: str, problem: str) -> list[Mapping[str, str]]:
    said = [{"role": "assistant", "content": content[:2000]}] if content.strip() else []
    wrong = f"That cannot be used: {problem}. Answer again with one JSON object of the required shape and nothing else."
    return [*said, {"role": "user", "content": wrong}]
