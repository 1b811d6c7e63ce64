"""Keeping the store clean, tenant by tenant: compaction and forgetting. Started by beat; safe to run twice."""

from __future__ import annotations

from app.container import container
from app.memory.identity import new_id
from app.memory.lifecycle import ForgetPolicy, tenant_filter
from tasks.celery_app import app
from tasks.queues import Queue

SLICE_SECONDS = 20.0
FORGET_AT_ONCE = 1_000


@app.task(name="tasks.maintenance.compact_tenants", queue=Queue.STORE.value)
def compact_tenants() -> None:
    """Start the compaction of every tenant that has something to look at."""
    engine = container()
    for namespace in engine.outbox.namespaces():
        if engine.compaction.due(namespace):
            compact_tenant.delay(namespace)


@app.task(name="tasks.maintenance.compact_tenant", queue=Queue.STORE.value)
def compact_tenant(namespace: str | None) -> None:
    """Compact one tenant for a while; the rest of it is another task's, so that others get their turn."""
    if not container().compaction.slice(namespace, new_id(), seconds=SLICE_SECONDS):
        compact_tenant.delay(namespace)


@app.task(name="tasks.maintenance.close_embedding_gaps", queue=Queue.STORE.value, acks_late=False)
def close_embedding_gaps() -> dict[str, int]:
    """While there are two embedding models: give memories the vectors that a process could not make."""
    engine = container()
    return {"made": engine.reembedding.close_gaps() if engine.spaces.stage in ("ready", "switched") else 0}


@app.task(name="tasks.maintenance.forget_tenants", queue=Queue.STORE.value)
def forget_tenants() -> None:
    """Start forgetting for every tenant."""
    for namespace in container().outbox.namespaces():
        forget_tenant.delay(namespace)


@app.task(name="tasks.maintenance.forget_tenant", queue=Queue.STORE.value)
def forget_tenant(namespace: str | None) -> None:
    """Apply the deployment's policy to a tenant's oldest memories."""
    engine = container()
    settings = engine.settings
    policy = ForgetPolicy(
        max_age_days=settings.forgetting_max_age_days,
        max_inactive_days=settings.forgetting_max_inactive_days,
        budget=settings.forgetting_budget_keep_top_n,
    )
    engine.lifecycle.forget(tenant_filter(namespace), policy, limit=FORGET_AT_ONCE, dry_run=False)
