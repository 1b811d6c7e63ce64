"""The past of a memory over HTTP: history, restore, as_of; erasing, exporting, importing (additive to the contract)."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.support.api import Api
from tests.support.builders import a_memory, a_session, ago, unique
from tests.support.shapes import check_hit, check_record, problems, refusal


def path(memory_id: str, action: str) -> str:
    return f"/v1/long-term-memory/{quote(memory_id, safe='')}/{action}"


@pytest.fixture
def moved(api: Api) -> tuple[Api, dict, dict]:
    """Somebody who lived in Lisbon, and then moved."""
    old = a_memory("User lives in Lisbon", id=unique("with/slash"), user_id="u", created_at=ago(days=30))
    new = a_memory("User moved to Porto", user_id="u", created_at=ago(days=10))
    api.create(old)
    assert api.create(new)["results"][0]["status"] == "updated"
    return api, old, new


@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
def test_a_search_finds_what_is_true_now_and_as_of_what_was_true_then(moved, mode):
    api, old, new = moved
    assert api.ids("where does User live: Lisbon or Porto?", search_mode=mode) == [new["id"]]
    then = api.memories("where does User live: Lisbon or Porto?", search_mode=mode, as_of=ago(days=20))
    assert [m["id"] for m in then] == [old["id"]]
    assert then[0]["superseded_by"] == new["id"]
    assert then[0]["valid_from"] == old["created_at"]
    assert then[0]["valid_to"] == new["created_at"]
    assert api.ids(as_of=ago(days=20)) == [old["id"]]
    assert api.ids(as_of=ago(days=40)) == []
    assert api.search()["total"] == 1


def test_what_is_true_now_has_exactly_the_fields_of_the_contract(moved):
    api, _old, _new = moved
    for hit in api.memories():
        check_hit(hit)


@pytest.mark.parametrize("value", ["yesterday-ish", 5.5e300, []])
def test_a_wrong_as_of_is_422(http, value):
    problems(http.post("/v1/long-term-memory/search", json={"as_of": value}))


def test_the_history_tells_what_changed_when_why_and_from_which_messages(api: Api):
    session = a_session().of(api.namespace, "u").with_messages("I live in Lisbon.")
    session.put(api.http)
    memory = api.wait_for_memories(1)[0]
    changed = {"topics": ["cities"]}
    assert api.http.patch(f"/v1/long-term-memory/{memory['id']}", json=changed).status_code == 200
    newer = a_memory("User moved to Porto", user_id="u")
    api.create(newer)
    history = api.http.get(path(newer["id"], "history"), params={"namespace": api.namespace}).json()
    assert history["memory_id"] == newer["id"]
    check_record(history["current"])
    assert [m["id"] for m in history["supersedes"]] == [memory["id"]]
    old = api.http.get(path(memory["id"], "history")).json()
    assert [v["kind"] for v in old["versions"]] == ["edited", "superseded"]
    assert old["versions"][1]["replaced_by"] == newer["id"]
    assert "porto" in old["versions"][1]["reason"]
    assert old["versions"][0]["memory"]["topics"] != ["cities"]
    assert old["sources"][0]["messages"][0]["content"] == "I live in Lisbon."


def test_a_wrong_retirement_is_taken_back(moved):
    api, old, new = moved
    restored = api.http.post(path(old["id"], "restore"), params={"namespace": api.namespace})
    assert restored.status_code == 200, restored.text
    check_record(restored.json())
    assert sorted(api.ids()) == sorted([old["id"], new["id"]])


def test_a_merge_keeps_both_ids_and_can_be_undone(api: Api):
    first, second = (
        a_memory("User has a dog", user_id="u", topics=["pets"]),
        a_memory("User has a dog named Rex", user_id="u"),
    )
    api.create(first)
    answer = api.create(second)["results"][0]
    assert (answer["status"], answer["memory_id"]) == ("merged", first["id"])
    assert "rex" in answer["reason"]
    for memory in (first, second):
        merged = api.http.get(f"/v1/long-term-memory/{memory['id']}").json()
        assert (merged["id"], merged["text"]) == (first["id"], second["text"])
        assert "pets" in merged["topics"]
    assert api.http.post(path(first["id"], "restore")).json()["text"] == first["text"]


def test_a_deleted_memory_can_be_brought_back(api: Api):
    memory = a_memory("User likes tea", user_id="u")
    api.create(memory)
    where = {"namespace": api.namespace, "user_id": "u"}
    api.http.delete("/v1/long-term-memory", params={"memory_ids": memory["id"]})
    assert api.ids() == []
    assert api.http.get(path(memory["id"], "history"), params=where).json()["current"] is None
    assert api.http.post(path(memory["id"], "restore"), params=where).json()["id"] == memory["id"]
    assert api.ids() == [memory["id"]]


def test_nothing_to_restore_is_409_and_unknown_is_404(api: Api):
    memory = a_memory("User likes tea", user_id="u")
    api.create(memory)
    assert "no earlier state" in refusal(api.http.post(path(memory["id"], "restore")), 409)
    for action, call in (("restore", api.http.post), ("history", api.http.get)):
        refusal(call(path(unique("nobody"), action)), 404)


def test_the_past_of_another_tenant_is_not_shown(moved, http):
    _api, old, _new = moved
    for scope in ({"namespace": unique("other")}, {"user_id": unique("other")}):
        refusal(http.get(path(old["id"], "history"), params=scope), 404)
        refusal(http.post(path(old["id"], "restore"), params=scope), 404)


# -- everything of one user --------------------------------------------------------------------------------


def test_a_user_is_erased_with_a_receipt_and_nobody_else(api: Api):
    word = unique("canary").replace("-", "")
    # Neither form of the name can stand in a vector's base64 by chance.
    ann, bob, forms = "u-ann", "u-bob", ("u-ann", "u_2Dann")
    for user in (ann, bob):
        api.create(a_memory(f"{word} of {user}", user_id=user))
        a_session(f"s-{user}").of(api.namespace, user).with_messages(f"I like {word}").put(api.http)

    def exported() -> str:
        return str(api.http.get("/v1/user-data/export", params={"namespace": api.namespace}).text)

    assert any(form in exported() for form in forms)
    receipt = api.http.delete("/v1/user-data", params={"namespace": api.namespace, "user_id": ann})
    assert receipt.status_code == 200, receipt.text
    assert receipt.json()["verified"] is True
    assert receipt.json()["deleted"]["sessions"] == 1
    assert {m["user_id"] for m in api.memories()} == {bob}
    assert word in exported()
    assert not any(form in exported() for form in forms)
    assert api.http.get(f"/v1/working-memory/s-{ann}", params={"namespace": api.namespace}).status_code == 404


def test_an_erasure_must_say_whom(http):
    problems(http.delete("/v1/user-data"))


def test_a_namespace_is_exported_and_imported_over_http(api: Api):
    api.create(a_memory("User likes tea", user_id="u"), a_memory("User moved to Porto", user_id="u"))
    query = {"namespace": api.namespace}
    before = api.http.get("/v1/user-data/export", params=query)
    assert before.headers["content-type"] == "application/x-ndjson"
    api.http.delete("/v1/user-data", params={**query, "user_id": "u"})
    assert api.ids() == []
    loaded = api.http.post("/v1/user-data/import", params=query, content=before.content)
    assert loaded.status_code == 200, loaded.text
    assert loaded.json()["lines"] == len(before.content.splitlines()) - 2
    assert sorted(api.texts()) == ["User likes tea", "User moved to Porto"]
    refusal(api.http.post("/v1/user-data/import", params=query, content=b"{}\n"), 400)
    refusal(api.http.post("/v1/user-data/import", params=query, content=b"not json\n"), 400)
