"""What is shipped to run the platform agrees with the code: image, compose file, Procfile, dashboard, alerts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import metrics
from app.api.metrics import SharedState
from app.config import Settings
from app.process_group import read_procfile

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
DASHBOARD: dict[str, Any] = json.loads((ROOT / "docker/grafana/agent-memory.json").read_text())
ALERTS: dict[str, Any] = yaml.safe_load((ROOT / "docker/prometheus/alerts.yaml").read_text())
# Set for health checks; AUTH_MODE belongs to app/auth.
_OTHERS = {"WORKER_NAME", "AUTH_MODE"}


def expressions() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return panels + [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]


def known_metrics() -> set[str]:
    source = (ROOT / "app/metrics.py").read_text() + (ROOT / "app/api/metrics.py").read_text()
    names = set(re.findall(r'"(agent_memory_\w+)"', source))
    assert {metrics.REQUESTS._name, metrics.STEP_SECONDS._name} <= names
    assert SharedState.collect
    return names


@pytest.mark.parametrize("expression", expressions())
def test_dashboard_and_alerts_use_metrics_that_exist(expression):
    used = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in re.findall(r"agent_memory_\w+", expression)}
    assert used
    assert used <= known_metrics()


def test_every_role_of_the_procfile_has_its_service_and_all_share_one_image():
    services = COMPOSE["services"]
    roles = set(read_procfile(ROOT / "Procfile"))
    named = {"llm" if name == "worker-llm" else name.partition("-")[0] for name in services}
    assert named - {"redis"} == roles
    for name, service in services.items():
        if name != "redis":
            assert service["image"] == "agent-memory:latest", name
            assert service["command" if name != "web" else "image"], name


def test_every_queue_has_a_worker_and_every_setting_is_known():
    consumed = set()
    known = {name.upper() for name in Settings.model_fields} | _OTHERS
    for service in COMPOSE["services"].values():
        command = service.get("command", [])
        if "worker" in command:
            consumed |= set(command[command.index("-Q") + 1].split(","))
        assert set(service.get("environment", {})) <= known
    assert consumed == {"llm", "ml", "store"}


def test_redis_keeps_what_it_is_given():
    command = COMPOSE["services"]["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"
    assert COMPOSE["services"]["redis"]["volumes"]


def test_the_image_runs_without_root_and_tells_its_health():
    lines = (ROOT / "docker/Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")][-1] != "USER root"
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    assert not [line for line in lines if line.startswith("FROM") and ":" not in line], "bases are pinned"
    installed = next(line for line in lines if "constraints.txt" in line and "pip install" in line)
    assert "embedded-redis" not in installed, "its search module must not be redistributed"
