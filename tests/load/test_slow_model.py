"""A language model that takes longer to answer than anybody likes, and more work than the workers can take at once."""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter

import pytest

from tests.integration.test_llm_pipeline import echoing
from tests.support.api import Api
from tests.support.builders import a_memory, a_session, unique
from tests.support.scripted_llm import scripted_llm_server, slowly
from tests.support.stack import private_stack
from tests.support.waiting import wait_until

DELAY_SECONDS = 4.0
SESSIONS = 12


@pytest.mark.load
@pytest.mark.timeout(280)
def test_with_a_slow_model_requests_stay_quick_and_each_conversation_is_read_once():
    """The last conversations wait 20 s for a worker, twice the lease of 10 s: waiting is no failed try."""
    with scripted_llm_server() as llm:
        llm.reply_always(lambda request: slowly(DELAY_SECONDS, echoing(request)))
        limits = {
            "TASK_TIME_LIMIT_SECONDS": "9",
            "BROKER_VISIBILITY_TIMEOUT_SECONDS": "10",
            "TASK_MAX_ATTEMPTS": "2",
            "LLM_TIMEOUT_SECONDS": "7",
        }
        with private_stack(**llm.environment(**limits)) as stack:
            api = Api(stack.http, unique("ns"))
            things = [f"thing number {i}" for i in range(SESSIONS)]
            sessions = [a_session().of(api.namespace, "u").with_messages(f"I like {thing}.") for thing in things]
            started = time.monotonic()
            for session in sessions:
                session.put(stack.http)
            took: list[float] = []

            def all_there() -> bool:
                for method, path, body in (
                    ("GET", f"/v1/working-memory/{sessions[0].session_id}?namespace={api.namespace}&user_id=u", None),
                    ("POST", "/v1/long-term-memory/", {"memories": [a_memory("User likes tea", namespace="other")]}),
                    ("POST", "/v1/long-term-memory/search", {"text": "tea", "namespace": {"eq": "other"}}),
                ):
                    began = time.monotonic()
                    assert stack.http.request(method, path, json=body).status_code == 200
                    took.append(time.monotonic() - began)
                return api.search(limit=1)["total"] == SESSIONS

            wait_until(all_there, 120, "all conversations are read", every=0.2)
            seconds = time.monotonic() - started
            for session in sessions:
                api.wait_until_promoted(session.session_id, 30, **session.scope)
            assert Counter(api.texts()) == Counter(f"User likes {thing}" for thing in things)
            read = Counter(match[0] for r in llm.of("extract") for match in [re.search(r"thing number \d+", r.text)])
            assert read == Counter(things), "no conversation is given to the model twice"
            assert stack.http.get("/readyz").json()["outbox"]["dead"] == 0
            median, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
            print(
                f"{SESSIONS} conversations of {DELAY_SECONDS:g} s in {seconds:.0f} s; {len(took)} requests meanwhile,"
            )
            print(f"median {median * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms")
            assert p95 < 0.5
