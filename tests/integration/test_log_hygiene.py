"""What is logged at INFO by all processes: ids and counts, never what somebody said."""

from __future__ import annotations

import pytest

from tests.support.builders import a_session

pytestmark = pytest.mark.integration

SAID = "My sister Quillantha moved to Zaandvoort on 3 March 2024 and works as a falconer"


def test_no_process_logs_texts_of_messages_queries_or_memories(stack, api, namespace):
    logs = stack.logs()
    if not logs:
        pytest.skip("the logs of a server that somebody else started are not at hand")
    before = {name: path.stat().st_size for name, path in logs.items()}
    session = a_session().of(namespace, "u").with_messages(SAID)
    session.put(api.http)
    api.create(f"{SAID} since then", f"{SAID} no more")
    api.wait_until_promoted(session.session_id, namespace=namespace, user_id="u")
    assert api.texts("Where does Quillantha live?")
    bad = {"text": "Quillantha", "limit": "Zaandvoort", "search_mode": "Quillantha"}
    assert api.http.post("/v1/long-term-memory/search", json=bad).status_code == 422
    assert api.http.post("/v1/long-term-memory/search", content=b'{"Quillantha').status_code == 422
    said = ""
    for name, path in logs.items():
        with path.open("rb") as log:
            log.seek(before[name])
            said += log.read().decode(errors="replace")
    for word in ("Quillantha", "Zaandvoort", "falconer"):
        assert word not in said, [line for line in said.splitlines() if word in line][:3]
