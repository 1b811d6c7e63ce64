"""Request ids, traces, metrics and the schedule, without Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import structlog
from prometheus_client import REGISTRY

from app import correlation, tracing
from app.api.application import build
from app.config import Settings
from tasks.schedule import beat_schedule, schedules


@pytest.fixture(scope="module")
def client():
    flask = build(Settings(_env_file=None))

    @flask.get("/boom")
    def boom():
        raise RuntimeError("as if a bug")

    return flask.test_client()


def test_a_request_keeps_the_id_that_it_came_with(client):
    assert client.get("/healthz", headers={"X-Request-ID": "abc-123"}).headers["X-Request-ID"] == "abc-123"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'say "hi"'])
def test_an_id_that_may_not_go_into_a_log_is_replaced(client, given):
    own = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert own != given
    assert len(own) == 26


def test_every_answer_has_an_id_also_errors_and_each_another(client):
    ids = {client.get(path).headers["X-Request-ID"] for path in ("/healthz", "/no/such/route", "/boom")}
    assert len(ids) == 3


def test_nothing_of_a_request_stays_behind_in_its_thread(client):
    client.get("/healthz", headers={"X-Request-ID": "gone"})
    assert structlog.contextvars.get_contextvars() == {}


def _requests(**labels: str) -> float:
    return REGISTRY.get_sample_value("agent_memory_http_requests_total", labels) or 0.0


def test_requests_are_counted_by_route_and_status_not_by_path(client):
    labels = {"method": "GET", "route": "(none)", "status": "404"}
    before = _requests(**labels)
    for path in ("/nowhere/1", "/nowhere/2"):
        client.get(path)
    assert _requests(**labels) == before + 2
    failed = {"method": "GET", "route": "/boom", "status": "500"}
    before = _requests(**failed)
    client.get("/boom")
    assert _requests(**failed) == before + 1


def test_what_is_carried_resumes_the_same_request():
    with structlog.contextvars.bound_contextvars(request_id="r1", other="stays here"):
        kept = correlation.dumps()
    assert json.loads(kept) == {"request_id": "r1"}
    with correlation.resumed(correlation.loads(kept)):
        assert structlog.contextvars.get_contextvars() == {"request_id": "r1"}
    assert structlog.contextvars.get_contextvars() == {}
    assert correlation.dumps() == b""
    assert correlation.loads(None) == {}


def test_one_trace_leads_from_the_request_through_the_outbox_to_the_step(client, monkeypatch):
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
    monkeypatch.setattr(tracing, "_tracer", None)
    assert tracing.start("test", processor=export.SimpleSpanProcessor(memory))
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client.get("/healthz", headers={"traceparent": caller})
    with correlation.resumed({"request_id": "r1", "traceparent": caller}), tracing.span("PUT session"):
        kept = correlation.dumps()
    with correlation.resumed(correlation.loads(kept)), tracing.span("index"):
        pass
    spans = {span.name: span for span in memory.get_finished_spans()}
    assert {"GET /healthz", "PUT session", "index"} == set(spans)
    assert {format(span.context.trace_id, "032x") for span in spans.values()} == {caller.split("-")[1]}
    assert spans["index"].parent.span_id == spans["PUT session"].context.span_id


@pytest.mark.parametrize("broker", [None, "sentinel://a:26379/1", "amqp://a"])
def test_beat_starts_what_is_switched_on(broker):
    settings = Settings(_env_file=None, dispatch_interval_seconds=0.5, celery_broker_url=broker)
    entries = beat_schedule(settings)
    assert set(entries) == {job.name for job in schedules(settings) if job.enabled}
    assert ("expires" in entries["dispatch"]["options"]) == (broker == "amqp://a")


def test_every_job_names_a_task_that_exists_and_a_setting_that_exists():
    script = (
        "import json; from tasks.celery_app import app; app.loader.import_default_modules(); app.finalize();"
        "print(json.dumps({name: task.job for name, task in app.tasks.items() if getattr(task, 'job', None)}))"
    )
    environment = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    jobs = schedules(Settings(_env_file=None))
    assert json.loads(told.stdout) == {job.task: job.name for job in jobs}
    fields = {name.upper() for name in Settings.model_fields}
    for job in jobs:
        assert job.switch in fields
        assert job.purpose
