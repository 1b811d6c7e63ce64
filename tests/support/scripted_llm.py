"""A scripted model endpoint: the OpenAI protocol on a real loopback socket, answering what a test tells it to.

    llm.reply(error(500), error(500), as_json({"memories": []}))    # the next three chat calls, in order
    llm.reply_always(lambda request: as_json(...))                  # all others: by the request
    llm.requests[-1].purpose, .messages, .prompt_tokens             # what was asked

The fixture `scripted_llm` gives a fresh one. Point a stack or `Settings` at it with `**llm.environment()`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from app.providers.tokens import count_tokens

Json = dict[str, Any]


@dataclass(frozen=True)
class LlmRequest:
    """One recorded request."""

    path: str
    body: Json
    at: float
    headers: Mapping[str, str]

    @property
    def messages(self) -> list[Json]:
        return list(self.body.get("messages", []))

    @property
    def text(self) -> str:
        """All messages, one after the other."""
        return "\n".join(str(m["content"]) for m in self.messages)

    @property
    def prompt_tokens(self) -> int:
        return count_tokens(self.text) if self.messages else 0

    @property
    def response_format(self) -> str:
        """`json_schema`, `json_object` or `text`."""
        return str((self.body.get("response_format") or {}).get("type", "text"))

    @property
    def schema(self) -> Json | None:
        return ((self.body.get("response_format") or {}).get("json_schema") or {}).get("schema")

    @property
    def purpose(self) -> str:
        """The name of the schema, which is what the platform calls the purpose of the call."""
        return str(((self.body.get("response_format") or {}).get("json_schema") or {}).get("name", ""))


@dataclass(frozen=True)
class Reply:
    """What the server does with one chat request."""

    content: str | None = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    message: str = "scripted error"
    finish_reason: str = "stop"
    refusal: str | None = None
    hang_up: bool = False


Answer = Reply | Callable[[LlmRequest], Reply]


def as_text(content: str) -> Reply:
    """Plain text."""
    return Reply(content)


def as_json(value: Any) -> Reply:
    """A JSON value."""
    return Reply(json.dumps(value))


def in_a_fence(value: Any, before: str = "Sure! Here it is:") -> Reply:
    """JSON as chatty models give it."""
    return Reply(f"{before}\n```json\n{json.dumps(value, indent=1)}\n```\nAnything else?")


def broken_json() -> Reply:
    """JSON cut off in the middle."""
    return Reply('{"memories": [{"text": "User li', finish_reason="length")


def empty() -> Reply:
    """A message without content."""
    return Reply(None)


def refused(text: str = "I can't help with that.") -> Reply:
    """A refusal."""
    return Reply(None, refusal=text)


def error(status: int, *, retry_after: float | None = None, message: str = "scripted error") -> Reply:
    """An error answer."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Reply(status=status, headers=headers, message=message)


def hang_up() -> Reply:
    """The connection is closed without an answer."""
    return Reply(hang_up=True)


def slowly(seconds: float, reply: Reply) -> Reply:
    """Any answer, late."""
    return replace(reply, delay_seconds=seconds)


def minimal(request: LlmRequest) -> Reply:
    """The smallest answer that fits the request's schema; plain `ok` without one."""
    schema = request.schema
    if schema is None:
        return as_json({}) if request.response_format == "json_object" else as_text("ok")
    return as_json(_smallest(schema))


def _smallest(schema: Json) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = "null" if "null" in kind else kind[0]
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return {name: _smallest(inner) for name, inner in schema.get("properties", {}).items()}
    return {"array": [], "string": "", "null": None, "boolean": False}.get(str(kind), 0)


def from_fixture(path: Path) -> Callable[[LlmRequest], Reply]:
    """Recorded answers: a JSON list of `{"match": <regular expression on the prompt>, "answer": <JSON or text>}`."""
    recorded = json.loads(path.read_text(encoding="utf-8"))

    def reply(request: LlmRequest) -> Reply:
        for entry in recorded:
            if re.search(entry["match"], request.text, re.DOTALL):
                answer = entry["answer"]
                return as_text(answer) if isinstance(answer, str) else as_json(answer)
        return minimal(request)

    return reply


class ScriptedLLM:
    """The server: `/chat/completions` and `/embeddings` under any prefix."""

    def __init__(self, *, dimensions: int = 384) -> None:
        self.requests: list[LlmRequest] = []
        self.json_schema = True
        """False: a request for a JSON schema answers 400, as endpoints do that know only JSON mode."""
        self.json_mode = True
        """False: so does a request for JSON mode."""
        self.embeddings_to_fail = 0
        """So many of the next requests for embeddings answer 500."""
        self._queue: list[Answer] = []
        self._always: Answer = minimal
        self._lock = threading.Lock()
        self._dimensions = dimensions
        self._in_flight = 0
        self.most_in_flight = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    # -- for tests -------------------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def environment(self, **more: str) -> dict[str, str]:
        """Settings that point a process at this server."""
        return {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": "test", "EXTRACTION_BACKEND": "llm", **more}

    def reply(self, *answers: Answer) -> None:
        """Answer the next chat requests so, in order."""
        with self._lock:
            self._queue += answers

    def reply_always(self, answer: Answer) -> None:
        """Answer all chat requests so for which nothing is queued."""
        self._always = answer

    @property
    def chats(self) -> list[LlmRequest]:
        """The recorded chat requests."""
        with self._lock:
            return [r for r in self.requests if r.path.endswith("/chat/completions")]

    def of(self, purpose: str) -> list[LlmRequest]:
        """The recorded chat requests of one purpose."""
        return [r for r in self.chats if r.purpose == purpose]

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts so far."""
        return sum(r.prompt_tokens for r in self.chats)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    # -- the protocol ------------------------------------------------------------------------------------------------

    def _next(self, request: LlmRequest) -> Reply:
        kind = request.response_format
        if (kind == "json_schema" and not self.json_schema) or (kind == "json_object" and not self.json_mode):
            return error(400, message=f"response_format of type {kind} is not supported by this model")
        with self._lock:
            answer = self._queue.pop(0) if self._queue else self._always
        return answer(request) if callable(answer) else answer

    def _chat(self, request: LlmRequest) -> tuple[Reply, Json]:
        reply = self._next(request)
        if reply.status != 200:
            return reply, {"error": {"message": reply.message, "type": "scripted", "code": None}}
        said = count_tokens(reply.content or "")
        message: Json = {"role": "assistant", "content": reply.content}
        if reply.refusal is not None:
            message["refusal"] = reply.refusal
        return reply, {
            "id": f"chatcmpl-{len(self.requests)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": request.body.get("model", ""),
            "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason}],
            "usage": {
                "prompt_tokens": request.prompt_tokens,
                "completion_tokens": said,
                "total_tokens": request.prompt_tokens + said,
            },
        }

    def _embeddings(self, request: LlmRequest) -> tuple[Reply, Json]:
        with self._lock:
            fails, self.embeddings_to_fail = self.embeddings_to_fail > 0, max(0, self.embeddings_to_fail - 1)
        if fails:
            return error(500), {"error": {"message": "scripted failure"}}
        given = request.body.get("input", [])
        texts = [given] if isinstance(given, str) else given
        data = [
            {"object": "embedding", "index": i, "embedding": _embedding(str(t), self._dimensions)}
            for i, t in enumerate(texts)
        ]
        tokens = sum(count_tokens(str(t)) for t in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return Reply(), {"object": "list", "data": data, "model": request.body.get("model", ""), "usage": usage}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body go out apart: the second waited 40 ms

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
                request = LlmRequest(self.path.partition("?")[0], body, time.time(), dict(self.headers.items()))
                with outer._lock:
                    outer.requests.append(request)
                    outer._in_flight += 1
                    outer.most_in_flight = max(outer.most_in_flight, outer._in_flight)
                try:
                    if request.path.endswith("/chat/completions"):
                        reply, payload = outer._chat(request)
                    elif request.path.endswith("/embeddings"):
                        reply, payload = outer._embeddings(request)
                    else:
                        reply, payload = error(404), {"error": {"message": "no such route"}}
                    time.sleep(reply.delay_seconds)
                finally:
                    with outer._lock:
                        outer._in_flight -= 1
                if reply.hang_up:
                    self.close_connection = True
                    return
                raw = json.dumps(payload).encode()
                try:
                    self.send_response(reply.status)
                    for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(raw)))
                    self.end_headers()
                    self.wfile.write(raw)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client stopped waiting

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler


def _embedding(text: str, dimensions: int) -> Sequence[float]:
    """A unit vector that depends on the words only: texts that share words are near each other."""
    vector = np.zeros(dimensions)
    for word in re.findall(r"\w+", text.lower()) or [""]:
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
        vector += np.random.default_rng(seed).standard_normal(dimensions)
    return [float(x) for x in vector / np.linalg.norm(vector)]


@contextmanager
def scripted_llm_server(*, dimensions: int = 384) -> Iterator[ScriptedLLM]:
    """A server for the time of a `with`."""
    server = ScriptedLLM(dimensions=dimensions)
    try:
        yield server
    finally:
        server.close()
