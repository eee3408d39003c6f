"""The nodes of n8n-workflows/node in a real n8n: the trigger lets nothing in but what is signed, Hookmill works."""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import httpx
import pytest
from fakes.model_server import status
from n8n.node import PACKAGE
from n8n.place import (
    API,
    NODE_KEY,
    NODE_SECRET,
    NODE_SOURCE_SECRET,
    OLD_NODE_KEY,
    OLD_NODE_SECRET,
    TOKEN,
    new_id,
    notice,
    result,
)
from n8n.server import OWNER, PASSWORD
from stack import until

from gateway.ledger.view import Filter
from gateway.n8n.form import dump, normalised

PATH = "hookmill-trigger"
NODE = "n8n-nodes-hookmill.hookmill"
UNKNOWN = "evt_" + "0" * 26
UNPUBLISHED = "hookmillUnpublished"
CREDENTIALS = {
    "send": {"hookmillSourceApi": {"id": "hookmillSource", "name": "Hookmill / secret of the source"}},
    "": {"hookmillApi": {"id": "hookmillApi", "name": "Hookmill / token"}},
}
ASKED = {
    "send": {"resource": "event", "body": "={{ $json.body.event }}", "eventId": "={{ $json.body.id }}"},
    "get": {"resource": "event", "id": "={{ $json.body.id }}"},
    "getAll": {
        "resource": "event",
        "returnAll": "={{ $json.body.all ?? false }}",
        "limit": "={{ $json.body.limit ?? 50 }}",
        "filters": {"source": "={{ $json.body.source ?? '' }}"},
    },
    "replay": {"resource": "event", "id": "={{ $json.body.id }}", "from": "={{ $json.body.from ?? 'failedStep' }}"},
    "dead": {
        "resource": "deadLetter",
        "operation": "getAll",
        "returnAll": True,
        "filters": {"source": "blog", "error_class": "={{ $json.body.error_class ?? '' }}", "since": "1h"},
    },
}


def probe():
    """A workflow with a webhook for each operation of Hookmill; what the node gives is the answer."""
    header = {"httpHeaderAuth": {"id": "hookmillHeader", "name": "Hookmill / header of results"}}
    nodes = [
        {"name": "Note", "type": "n8n-nodes-base.stickyNote", "typeVersion": 1, "parameters": {"content": "A test."}},
        {"name": "On error", "type": "n8n-nodes-base.errorTrigger", "typeVersion": 1, "parameters": {}},
    ]
    for name, asked in ASKED.items():
        webhook = {
            "httpMethod": "POST",
            "path": f"probe-{name}",
            "authentication": "headerAuth",
            "responseMode": "lastNode",
            "responseData": "allEntries",
            "options": {"rawBody": True},
        }
        nodes += [
            {
                "name": f"To {name}",
                "type": "n8n-nodes-base.webhook",
                "typeVersion": 2.1,
                "parameters": webhook,
                "credentials": header,
                "webhookId": name,
            },
            {
                "name": name,
                "type": NODE,
                "typeVersion": 1,
                "parameters": {"operation": name, "options": {"patience": 15, "timeout": 3}} | asked,
                "credentials": CREDENTIALS["send" if name == "send" else ""],
                "onError": "continueRegularOutput",
            },
        ]
    return normalised(
        {
            "id": "hookmillProbe",
            "name": "Hookmill / probe",
            "nodes": [node | {"id": "", "position": [0, 0]} for node in nodes],
            "connections": {f"To {name}": {"main": [[{"node": name, "type": "main", "index": 0}]]} for name in ASKED},
            "settings": {"executionOrder": "v1", "saveDataErrorExecution": "all", "saveDataSuccessExecution": "all"},
        }
    )


@pytest.fixture(scope="module")
def editor(place):
    """A client of n8n's own API, as its owner."""
    with httpx.Client(base_url=place.n8n.url, timeout=60, trust_env=False) as client:
        login = {"emailOrLdapLoginId": OWNER, "password": PASSWORD}
        assert client.post("/rest/login", json=login).status_code == 200
        yield client


@pytest.fixture(scope="module")
def live(place, editor, tmp_path_factory):
    """The examples and the probe, published; afterwards they are gone again, as other tests pull what is there."""
    folder = tmp_path_factory.mktemp("node")
    for path in (PACKAGE / "examples").glob("*.json"):
        shutil.copy(path, folder)
    (folder / "probe.json").write_text(dump(probe()))
    place.push(folder=folder)
    yield place
    for one in [json.loads(path.read_text())["id"] for path in folder.glob("*.json")]:
        remove(editor, one)


def remove(editor, workflow_id):
    """Delete a workflow, which n8n does once it is archived and its URLs are no longer served."""
    archived = editor.post(f"/rest/workflows/{workflow_id}/archive", json={})
    assert archived.status_code == 200, archived.text
    until(lambda: editor.delete(f"/rest/workflows/{workflow_id}").status_code == 200, within=60, every=1)


def ask(place, operation, **told):
    """Have the node do something, and give what it gave: a list of items."""
    headers = {"X-Hookmill-Token": TOKEN}
    answer = place.client.post(f"/webhook/probe-{operation}", json=told, headers=headers, timeout=90)
    assert answer.status_code == 200, answer.text
    return answer.json()


def event():
    return "evt_" + secrets.token_hex(13).upper()


def ask_database(place, query):
    with closing(sqlite3.connect(place.folder / "n8n" / ".n8n" / "database.sqlite", timeout=30)) as database:
        return database.execute(query).fetchall()


def executions(place):
    """How many executions n8n ever began."""
    return ask_database(place, "select seq from sqlite_sequence where name = 'execution_entity'")[0][0]


def deliver(place, body, *, path=PATH, key=NODE_KEY, **over):
    return place.deliver(body, path=path, key=key, **over)


# Hookmill Trigger


def test_a_result_of_the_worker_is_told_once(live):
    text = json.dumps({"text": f"Thanks! {secrets.token_hex(4)}"}).encode()
    sent = ask(live, "send", event=text.decode(), id="")[0]
    assert (sent["state"], sent["duplicate"]) == ("queued", False)
    one = sent["eventId"]
    until(lambda: live.chat.texts(one), within=60)
    until(lambda: [view.state for view in live.stack.show(one).deliveries] == ["delivered"], within=30)
    assert live.chat.texts(one) == [f"comment-sentiment of node: Says thanks.\n{one}"]
    view = live.stack.show(one)
    assert (view.source, view.size, view.repeats) == ("node", len(text), 0)
    [said] = [said for said in live.chat.said if one in said.text]
    assert said.headers["traceparent"].split("-")[1] == view.trace_id


def test_the_answer_says_nothing_of_what_the_workflow_made(live):
    one = event()
    answer = deliver(live, result(one))
    assert (answer.status_code, answer.content, len(live.chat.texts(one))) == (200, b"", 1)


BAD = {
    "another byte": {"sent": b"BODY "},
    "stale": {"age": 301},
    "from the future": {"age": -310},
    "another key": {"key": b"not the key, not the key, not it"},
    "no key": {"key": b""},
    "no signature": {"signature": ""},
    "only the version": {"signature": "v1,"},
    "another version": {"signature": "v1a{}"},
    "no id": {"headers": {"webhook-id": ""}},
    "another id": {"headers": {"webhook-id": "dlv_1"}},
    "no time": {"headers": {"webhook-timestamp": "NaN"}},
}


@pytest.mark.parametrize("how", BAD)
def test_what_is_not_signed_or_not_fresh_starts_nothing(live, how):
    one, bad = event(), dict(BAD[how])
    body = json.dumps(result(one)).encode()
    bad["sent"] = bad.get("sent", b"BODY").replace(b"BODY", body)
    before = executions(live)
    answer = deliver(live, body, **bad)
    assert (answer.status_code, list(answer.json())) == (401, ["error"])
    assert answer.json()["error"] in {"signature_missing", "signature_invalid", "timestamp_out_of_tolerance"} | {
        "timestamp_malformed"
    }
    assert (executions(live), live.chat.texts(one)) == (before, [])


ODD = {
    "no JSON": (b'{"type":', {}, 422),  # n8n reads the body before it asks the node
    "a list": (b"[]", {}, 400),
    "not UTF-8": (b'{"type":"\xff"}', {}, 400),
    "too large": (b'{"type":"' + b"x" * 1024 * 1024 + b'"}', {}, 413),
    "larger than n8n takes": (b" " * (17 * 1024 * 1024), {}, 500),
    "another type": (b'{"type":"hookmill.result"}', {"content-type": "text/plain"}, 415),
    "a form": (b"--x--", {"content-type": "multipart/form-data; boundary=x"}, 415),
}


@pytest.mark.parametrize("how", ODD)
def test_an_odd_body_starts_nothing_though_it_is_signed(live, how):
    body, headers, expected = ODD[how]
    before = executions(live)
    answer = deliver(live, body, headers=headers)
    assert (answer.status_code, executions(live)) == (expected, before), answer.text


def test_what_the_workflow_is_not_about_is_taken_and_starts_nothing(live):
    before = executions(live)
    for body in (notice(kind="budget", about="all"), result(event()) | {"type": "invoice.paid"}):
        answer = deliver(live, body)
        assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})
    assert executions(live) == before


def test_both_secrets_are_good_while_they_rotate(live):
    for told in ({"key": OLD_NODE_KEY}, {"key": NODE_KEY}, {"signature": "v1,bm90IHRoaXMgb25l {}"}):
        one = event()
        assert deliver(live, result(one), **told).status_code == 200
        assert len(live.chat.texts(one)) == 1


def test_what_could_not_be_told_is_told_when_it_comes_again(live):
    one, delivery = event(), new_id()
    live.chat.status = 500
    failed = deliver(live, result(one), delivery=delivery)
    assert failed.status_code == 500  # for Hookmill: again, later
    live.chat.status = 200
    assert deliver(live, result(one), delivery=delivery).status_code == 200
    assert deliver(live, result(one), delivery=delivery).status_code == 200
    assert len(live.chat.texts(one)) == 1


def test_thirty_copies_at_once_are_told_once(live):
    one, delivery = event(), new_id()
    with ThreadPoolExecutor(30) as pool:
        sent = [pool.submit(deliver, live, result(one), delivery=delivery) for _ in range(30)]
    answered = Counter(answer.result().status_code for answer in sent)
    assert set(answered) <= {200, 500}, answered
    assert len(live.chat.texts(one)) == 1


@contextmanager
def changed(editor, name, kind, right, wrong):
    """A credential is wrong for a while."""

    def put(values):
        told = {"name": f"Hookmill / {name}", "type": kind, "data": values}
        answer = editor.patch(f"/rest/credentials/{name}", json=told)
        assert answer.status_code == 200, answer.text

    put(right | wrong)
    try:
        yield
    finally:
        put(right)


SINK = {"secrets": f"{OLD_NODE_SECRET} {NODE_SECRET}", "tolerance": 300}


@pytest.mark.parametrize("wrong", [{"secrets": ""}, {"secrets": f"{NODE_SECRET} oops!"}, {"tolerance": "soon"}])
def test_a_credential_that_cannot_be_used_lets_nobody_in(live, editor, wrong):
    before, one = executions(live), event()
    with changed(editor, "hookmillSink", "hookmillSinkApi", SINK, wrong):
        for key in (NODE_KEY, b""):
            answer = deliver(live, result(one), key=key)
            assert (answer.status_code, answer.json()) == (500, {"error": "secret_unusable"})
    assert (executions(live), live.chat.texts(one)) == (before, [])
    assert deliver(live, result(one)).status_code == 200


def test_a_workflow_with_such_a_credential_is_not_published(live, editor, tmp_path):
    workflow = json.loads((PACKAGE / "examples" / "chain-events.json").read_text())
    workflow |= {"id": UNPUBLISHED, "name": "Hookmill / unpublished"}
    trigger = next(node for node in workflow["nodes"] if node["name"] == "On delivery")
    trigger["parameters"]["path"] = "hookmill-unpublished"
    trigger["credentials"]["hookmillSinkApi"]["id"] = "hookmillBroken"
    (tmp_path / "unpublished.json").write_text(dump(normalised(workflow)))
    place_file = live.folder / "n8n.toml"
    told = place_file.read_text()
    place_file.write_text(f'{told}\n[credentials.hookmillBroken]\ntype = "hookmillSinkApi"\nsecrets = ""\n')
    before = executions(live)
    try:
        live.hookmill("push", "--wait", "5", folder=tmp_path)
    finally:
        place_file.write_text(told)
    failed = f"select errorMessage from workflow_publication_trigger_status where workflowId = '{UNPUBLISHED}'"
    [(why,)] = until(lambda: ask_database(live, f"{failed} and errorMessage is not null"), within=60, every=1)
    assert "Signing secrets: there is no secret" in why
    for key in (NODE_KEY, b""):
        assert deliver(live, result(event()), path="hookmill-unpublished", key=key).status_code in {404, 500}
    assert executions(live) == before
    remove(editor, UNPUBLISHED)


# Hookmill


def events(place, source):
    views, _ = place.stack.call(lambda ledger: ledger.page(wanted=Filter(source=source), limit=200))
    return views


def test_one_id_is_one_event(live):
    told = {"event": {"text": "Grüße, 日本"}, "id": f"order-{secrets.token_hex(4)}"}
    first, second = (ask(live, "send", **told)[0] for _ in range(2))
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["eventId"] == second["eventId"]
    assert first["webhookId"] == told["id"]


def test_without_an_id_every_execution_sends_another_event(live):
    first, second = (ask(live, "send", event={"text": "the same"}, id="")[0] for _ in range(2))
    assert first["eventId"] != second["eventId"]
    assert first["webhookId"].startswith("n8n_")


def test_what_is_over_the_limit_is_sent_when_the_gateway_says(live):
    """The source takes 3 in 2 s."""
    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda number: ask(live, "send", event={"text": f"{number}"}, id="")[0], range(8)))
    assert len({one["eventId"] for one in sent}) == 8, sent


def test_what_cannot_be_sent_says_why_and_no_secret(live):
    [answer] = ask(live, "send", event="{not JSON", id="")
    assert answer == {"error": "The body is not JSON"}
    [answer] = ask(live, "send", event={"a": 1}, id="é")
    assert answer == {"error": "The event ID is not 1 to 128 visible characters of ASCII"}
    [answer] = ask(live, "send", event='{"a":1,"a":2}', id="")
    assert answer["error"].startswith("Hookmill answered 400 (json_duplicate_key: ")


SOURCE = {"source": "node", "secret": NODE_SOURCE_SECRET}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"secret": NODE_SECRET}, "Hookmill answered 401 (signature_invalid: "),
        (
            {"source": "nobody"},
            "Hookmill answered 401 (signature_invalid: ",
        ),  # which sources there are, it does not say
        ({"source": "../events"}, "The source is not the name of one"),
        ({"secret": "whsec_"}, "Signing secret: secret 1 is empty"),
        ({"gatewayUrl": "http://127.0.0.1:1"}, "Hookmill did not answer (ECONNREFUSED)"),
        ({"gatewayUrl": "file:///etc"}, "The URL in the credential is none"),
    ],
)
def test_a_credential_of_a_source_that_is_wrong(live, editor, wrong, said):
    right = SOURCE | {"gatewayUrl": live.stack.url}
    before = len(events(live, "node"))
    with changed(editor, "hookmillSource", "hookmillSourceApi", right, wrong):
        [answer] = ask(live, "send", event={"text": "x"}, id="")
    assert answer["error"].startswith(said)
    assert len(events(live, "node")) == before


def test_nothing_secret_stands_in_what_n8n_keeps(live):
    """After all of the above: the executions in its database, and its log."""
    kept = "\n".join(row[0] for row in ask_database(live, "select data from execution_data"))
    assert "Hookmill answered 401" in kept
    for secret in (NODE_SECRET, NODE_SOURCE_SECRET, API):
        assert secret.removeprefix("whsec_").rstrip("=") not in kept + live.n8n.log()


def test_an_event_is_shown_with_its_result(live):
    one = ask(live, "send", event={"text": "Thanks a lot"}, id="")[0]["eventId"]
    shown = until(lambda: (got := ask(live, "get", id=one)[0])["state"] == "done" and got, within=60, every=0.5)
    assert (shown["id"], shown["result"]["reason"]) == (one, "Says thanks.")
    [delivery] = shown["deliveries"]
    assert ask(live, "get", id=delivery["id"])[0]["kind"] == "delivery"


def test_an_event_that_is_not_there(live):
    assert ask(live, "get", id=UNKNOWN)[0]["error"].startswith("Hookmill answered 404 (not_found: ")
    for odd in ("", "evt_1", "../dead", f"{UNKNOWN}/stream"):
        assert ask(live, "get", id=odd)[0]["error"].startswith("The ID is not one of an event")


def test_events_are_listed_over_all_pages(live):
    """More than one page of 200; what came in meanwhile is newer."""
    missing = 205 - len(events(live, "hasty")) - len(events(live, "blog"))
    ids = {live.stack.post(b'{"text":"many"}').json()["event_id"] for _ in range(max(missing, 0))}
    listed = ask(live, "getAll", all=True)
    assert len(listed) > 200
    assert ids <= {one["id"] for one in listed}
    assert len({one["id"] for one in listed}) == len(listed)


def test_a_list_is_filtered_and_as_long_as_is_wanted(live):
    known = [view.id for view in events(live, "node")]
    assert [one["id"] for one in ask(live, "getAll", source="node", limit=2)] == known[:2]
    assert [one["id"] for one in ask(live, "getAll", source="node", all=True)] == known
    assert ask(live, "getAll", source="no such source!")[0]["error"].startswith("Hookmill answered 400")


@pytest.fixture
def dead(live):
    """A dead letter: an event whose model said once that the question is bad."""
    live.model.script("stand-in", status(400, message="<b>no</b>"))
    one = live.stack.post(json.dumps({"text": f"Thanks! {secrets.token_hex(4)}"}).encode()).json()["event_id"]
    until(lambda: live.stack.show(one).state == "dead", within=60)
    return one


def test_a_dead_letter_is_listed_and_replayed(live, dead):
    listed = ask(live, "dead", error_class="permanent")
    assert dead in {one["id"] for one in listed}
    assert {one["error_class"] for one in listed} == {"permanent"}
    assert dead not in {one.get("id") for one in ask(live, "dead", error_class="rate_limited")}
    assert ask(live, "replay", id=dead) == [{"id": dead, "answer": "queued", "replayed": True}]
    until(lambda: live.stack.show(dead).state == "done", within=60)
    assert live.stack.show(dead).generation == 0


def test_a_replay_from_scratch_is_a_new_generation(live, dead):
    assert ask(live, "replay", id=dead, **{"from": "scratch"})[0]["replayed"]
    until(lambda: live.stack.show(dead).state == "done", within=60)
    assert live.stack.show(dead).generation == 1


def test_what_is_gone_is_not_replayed(live):
    assert ask(live, "replay", id=UNKNOWN) == [{"id": UNKNOWN, "answer": "gone", "replayed": False}]


def test_a_result_becomes_the_next_event_once(live):
    """From a source through the worker, n8n, another source and the worker again, to the chat."""
    first = live.stack.post(b'{"text":"Thanks!"}', source="chained").json()["event_id"]
    until(lambda: [view.state for view in live.stack.show(first).deliveries] == ["delivered"], within=60)
    delivery = live.stack.show(first).deliveries[0].id
    before = {view.id for view in events(live, "node")}
    again = deliver(live, result(first) | {"id": delivery}, path="hookmill-chain", delivery=delivery)
    assert again.status_code == 200
    assert {view.id for view in events(live, "node")} == before
    [second] = [view.id for view in events(live, "node") if view.repeats == 1][:1]
    until(lambda: live.chat.texts(second), within=60)
    assert len(live.chat.texts(second)) == 1


# What the editor asks for


@pytest.mark.parametrize(
    ("kind", "wrong", "expected"),
    [
        ("hookmillSinkApi", {}, "OK"),
        ("hookmillSinkApi", {"secrets": "whsec_"}, "Error"),
        ("hookmillSourceApi", {}, "OK"),
        ("hookmillSourceApi", {"secret": NODE_SECRET}, "Error"),
        ("hookmillSourceApi", {"source": "nobody"}, "Error"),
        ("hookmillApi", {}, "OK"),
        ("hookmillApi", {"token": "hm_guessed"}, "Error"),
    ],
)
def test_a_credential_is_tried(live, editor, kind, wrong, expected):
    url = live.stack.url
    right = {
        "hookmillSinkApi": SINK,
        "hookmillSourceApi": SOURCE | {"gatewayUrl": url},
        "hookmillApi": {"gatewayUrl": url, "adminUrl": url, "token": API},
    }[kind]
    before = len(events(live, "node"))
    asked = {"credentials": {"id": "", "name": "tried", "type": kind, "data": right | wrong}}
    answer = editor.post("/rest/credentials/test", json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["status"] == expected, answer.text
    assert NODE_SECRET not in answer.text
    assert len(events(live, "node")) == before


def test_the_nodes_have_pictures(editor):
    for name in ("hookmill.svg", "hookmill.dark.svg"):
        answer = editor.get(f"/icons/n8n-nodes-hookmill/dist/icons/{name}")
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "image/svg+xml")
