"""The admin listener: what tokens may do there, and that nothing of it is on the public one."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from served import SECRETS, TOKEN, free_id, put_token, signed_headers

from gateway.ledger.spending import Account, Hold
from otel.instruments import INSTRUMENTS

REPLAYER, CHIEF = "hm_replays", "hm_admin"


@pytest.fixture(autouse=True)
def _tokens(gateway):
    put_token(gateway)
    put_token(gateway, scopes=("replay",), token=REPLAYER, name="repairs")
    put_token(gateway, scopes=("admin",), token=CHIEF, name="chief")


def bury(gateway, count=1, *, source="demo", secret=SECRETS["demo"], error_class="permanent"):
    """Post that many events, let their runs die, and give their ids, the last buried first."""

    async def die(ledger, event_id):
        work = (await ledger.begin(event_id, fence="f")).work
        await ledger.bury(work, reason="no", error_class=error_class, step="label")

    made = []
    for _ in range(count):
        body = json.dumps({"n": free_id()}).encode()
        made.append(gateway.post(source, body, signed_headers(body, secret=secret)).json()["event_id"])
        gateway.ledger(lambda ledger: die(ledger, made[-1]))
    return made[::-1]


def listed(gateway, query=""):
    response = gateway.admin("GET", f"/dead{query}")
    assert response.status_code == 200, response.text
    return [one["id"] for one in response.json()["letters"]], response.json()["cursor"]


def act(gateway, action, **asked):
    response = gateway.admin("POST", f"/dead/{action}", token=REPLAYER, json=asked)
    assert response.status_code == 200, response.text
    return response.json()


def states(gateway, ids):
    async def look(ledger):
        return [view.state for view in await ledger.briefs(ids)]

    return gateway.ledger(look)


def trail(gateway, query=""):
    entries = gateway.admin("GET", f"/audit{query}", token=CHIEF).json()["entries"]
    return [(one["who"], one["what"], one["on"], one["count"]) for one in entries]


def test_letters_are_listed_page_by_page_and_filtered(gateway):
    ours = bury(gateway, 3)
    others = bury(gateway, 2, source="other", secret=SECRETS["other"], error_class="crash")
    assert listed(gateway) == (others + ours, None)
    first, cursor = listed(gateway, "?limit=3")
    second, end = listed(gateway, f"?limit=3&cursor={cursor}")
    assert (first + second, end) == (others + ours, None)
    assert listed(gateway, "?source=other")[0] == listed(gateway, "?error_class=crash")[0] == others
    assert listed(gateway, "?step=label&pipeline=comment-sentiment&since=1h")[0] == others + ours
    assert listed(gateway, "?until=1h") == listed(gateway, "?sink=n8n") == ([], None)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert listed(gateway, f"?since={later}") == ([], None)


def test_a_letter_is_shown_with_how_long_it_is_kept(gateway):
    (one,) = bury(gateway)
    shown = gateway.admin("GET", f"/dead/{one}").json()
    assert (shown["id"], shown["state"], shown["step"]) == (one, "dead", "label")
    assert datetime.fromisoformat(shown["kept_until"]) > datetime.now(UTC) + timedelta(days=29)
    act(gateway, "replay", ids=[one])
    assert gateway.admin("GET", f"/dead/{one}").json()["code"] == "not_found"


def test_letters_are_replayed_by_their_ids_and_each_is_in_the_trail(gateway):
    one, two = bury(gateway, 2)
    unknown = "evt_" + "0" * 26
    told = act(gateway, "replay", ids=[one, unknown])
    assert (told["count"], told["skipped"]) == (1, {"gone": 1})
    assert told["letters"] == [{"id": one, "answer": "queued"}, {"id": unknown, "answer": "gone"}]
    assert states(gateway, [one, two]) == ["queued", "dead"]
    assert act(gateway, "discard", ids=[two])["count"] == 1
    assert trail(gateway) == [("token:repairs", "discard", two, 1), ("token:repairs", "replay", one, 1)]


def test_a_dry_run_counts_and_changes_nothing(gateway):
    ids = bury(gateway, 3)
    told = act(gateway, "replay", filter={"source": "demo"}, dry_run=True)
    assert (told["count"], told["dry_run"], told["cursor"]) == (3, True, None)
    told = act(gateway, "discard", ids=[ids[0], "evt_" + "0" * 26], dry_run=True)
    assert (told["count"], told["skipped"]) == (1, {"not_dead": 1})
    assert states(gateway, ids) == ["dead"] * 3
    assert trail(gateway) == []


def test_a_filter_is_worked_in_parts_so_that_the_caller_sees_progress_and_may_stop(gateway):
    ids = bury(gateway, 5)
    first = act(gateway, "replay", filter={}, most=2)
    assert (first["count"], first["letters"]) == (2, [])
    assert states(gateway, ids) == ["queued", "queued", "dead", "dead", "dead"]
    second = act(gateway, "discard", filter={"error_class": "permanent", "since": "1h"}, cursor=first["cursor"])
    assert (second["count"], second["cursor"]) == (3, None)
    (newest, oldest) = trail(gateway)
    assert oldest == ("token:repairs", "replay", "all", 2)
    assert newest[1::2] == ("discard", 3)
    assert newest[2].startswith("error_class=permanent since=")


def test_a_replay_from_scratch_is_a_new_generation(gateway):
    (one,) = bury(gateway)
    act(gateway, "replay", filter={}, scratch=True)
    assert gateway.ledger(lambda ledger: ledger.show(one)).generation == 1
    assert trail(gateway, "?what=scratch") == [("token:repairs", "scratch", "all", 1)]


def test_pause_and_resume(gateway):
    asked = {"kind": "source", "name": "demo"}
    answers = [gateway.admin("POST", f"/{one}", token=CHIEF, json=asked).json() for one in ("pause", "pause")]
    assert answers == [{"changed": True}, {"changed": False}]
    assert gateway.admin("GET", "/paused").json() == {"paused": ["source:demo"]}
    assert gateway.admin("POST", "/resume", token=CHIEF, json=asked).json() == {"changed": True}
    assert gateway.admin("POST", "/pause", token=CHIEF, json=asked | {"name": "nobody"}).status_code == 404
    assert [one[:3] for one in trail(gateway, "?who=token:chief")] == [
        ("token:chief", "resume", "source:demo"),
        ("token:chief", "pause", "source:demo"),
    ]


def test_what_models_cost_on_a_day(gateway):
    accounts = (Account(name="all"), Account(name="source demo"))
    hold = Hold(id="h", day="2026-11-21", worst=0.0, accounts=accounts, counted=("model m",))
    gateway.ledger(lambda ledger: ledger.spending.settle(hold, 0.25))
    told = gateway.admin("GET", "/costs?day=2026-11-21").json()
    assert told["usd"] == 0.25
    assert told["spent"]["source demo"] == told["spent"]["model m"] == 0.25
    assert gateway.admin("GET", "/costs?day=2026-11-20").json()["usd"] == 0
    assert gateway.admin("GET", "/costs").json()["usd"] == 0
    for wrong in ("2026-13-01", "yesterday", "", "2026-11-2\u0661"):
        assert gateway.admin("GET", "/costs", params={"day": wrong}).status_code == 400


def test_what_has_left_the_configuration_can_still_be_resumed(gateway):
    gateway.ledger(lambda ledger: ledger.pause("sink", "gone"))
    asked = {"kind": "sink", "name": "gone"}
    assert gateway.admin("POST", "/resume", token=CHIEF, json=asked).json() == {"changed": True}
    assert gateway.admin("POST", "/resume", token=CHIEF, json=asked).status_code == 404


NEEDS = [
    ("GET", "/dead", TOKEN),
    ("GET", "/dead/evt_" + "0" * 26, TOKEN),
    ("GET", "/costs", TOKEN),
    ("GET", "/paused", TOKEN),
    ("GET", "/models", TOKEN),
    ("POST", "/dead/replay", REPLAYER),
    ("POST", "/dead/discard", REPLAYER),
    ("GET", "/audit", CHIEF),
    ("POST", "/pause", CHIEF),
    ("POST", "/resume", CHIEF),
]


@pytest.mark.parametrize(("method", "path", "needed"), NEEDS)
def test_each_operation_has_its_scope(gateway, method, path, needed):
    answers = {token: gateway.admin(method, path, token=token) for token in (TOKEN, REPLAYER, CHIEF, None, "hm_x")}
    codes = {token: (answer.status_code, answer.json().get("code")) for token, answer in answers.items()}
    assert codes.pop(None) == codes.pop("hm_x") == (401, "unauthorized")
    assert codes.pop(needed)[0] not in {401, 403}
    assert set(codes.values()) == {(403, "forbidden")}
    assert answers[None].headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path", "needed"), NEEDS)
def test_nothing_of_it_is_on_the_public_listener(gateway, method, path, needed):
    response = httpx.request(method, gateway.url + path, headers={"authorization": f"Bearer {needed}"})
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_nothing_public_is_on_the_admin_listener(gateway):
    for path in ("/hooks/demo", "/events", "/live", "/ready", "/"):
        assert gateway.admin("GET", path).json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (b"", "json_invalid"),
        (b'{"ids":[],"ids":[]}', "json_duplicate_key"),
        (b"[]", "parameter_invalid"),
        (b"{}", "parameter_invalid"),
        (b'{"ids":[]}', "parameter_invalid"),
        (b'{"ids":["evt_1"]}', "parameter_invalid"),
        (b'{"ids":["evt_00000000000000000000000000","evt_00000000000000000000000000"]}', "parameter_invalid"),
        (b'{"ids":["evt_00000000000000000000000000"],"filter":{}}', "parameter_invalid"),
        (b'{"ids":["evt_00000000000000000000000000"],"most":1}', "parameter_invalid"),
        (b'{"filter":null}', "parameter_invalid"),
        (b'{"filter":{"colour":"red"}}', "parameter_invalid"),
        (b'{"filter":{"source":null}}', "parameter_invalid"),
        (b'{"filter":{"source":"a b"}}', "parameter_invalid"),
        (b'{"filter":{"step":""}}', "parameter_invalid"),
        (b'{"filter":{"since":"yesterday"}}', "parameter_invalid"),
        (b'{"filter":{"since":"2026-12-01T00:00:00"}}', "parameter_invalid"),
        (b'{"filter":{},"most":0}', "parameter_invalid"),
        (b'{"filter":{},"most":1001}', "parameter_invalid"),
        (b'{"filter":{},"most":true}', "parameter_invalid"),
        (b'{"filter":{},"dry_run":1}', "parameter_invalid"),
        (b'{"filter":{},"cursor":"evt_1"}', "parameter_invalid"),
        (b'{"filter":{},"scratch":"no"}', "parameter_invalid"),
    ],
)
def test_a_body_that_is_not_understood_is_refused_and_does_nothing(gateway, asked, code):
    (one,) = bury(gateway)
    headers = {"authorization": f"Bearer {REPLAYER}", "content-type": "application/json"}
    refused = httpx.post(f"{gateway.admin_url}/dead/replay", content=asked, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, code)
    assert states(gateway, [one]) == ["dead"]


def test_a_body_is_bounded_and_is_json(gateway):
    headers = {"authorization": f"Bearer {REPLAYER}"}
    url = f"{gateway.admin_url}/dead/discard"
    large = b'{"ids":["' + b"x" * 70_000 + b'"]}'
    refused = httpx.post(url, content=large, headers=headers | {"content-type": "application/json"})
    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")
    refused = httpx.post(url, content=b"ids=1", headers=headers | {"content-type": "text/plain"})
    assert (refused.status_code, refused.json()["code"]) == (415, "media_type_unsupported")


@pytest.mark.parametrize("query", ["?limit=0", "?cursor=evt_1", "?since=soon", "?state=dead", "?source=a&source=b"])
def test_a_parameter_that_is_not_understood_is_refused(gateway, query):
    assert gateway.admin("GET", f"/dead{query}").json()["code"] == "parameter_invalid"


def test_it_answers_while_the_public_listener_is_full(gateway):
    gateway.server.config.limit_concurrency = 0
    assert gateway.get("/live").status_code == 503
    assert gateway.admin("GET", "/dead").status_code == 200


def test_it_ends_with_the_gateway(gateway):
    with socket.create_connection(("127.0.0.1", gateway.admin_port), timeout=5):
        gateway.stop()
    assert not gateway.thread.is_alive()
    with pytest.raises(httpx.ConnectError):
        gateway.admin("GET", "/dead")


def test_metrics_tell_the_ledger_in_figures(gateway):
    bury(gateway, 2)
    gateway.post("demo")
    page = gateway.admin("GET", "/metrics")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain")
    families = {one.name: one for one in text_string_to_metric_families(page.text)}

    def value(name, **labels):
        [found] = [one.value for one in families[name].samples if labels.items() <= one.labels.items()]
        return found

    assert value("app_dead_letters") == 2
    assert value("app_outcomes", app_outcome="dead") == 2
    assert value("app_outcomes", app_outcome="delivered") == 0, "or its first one could not be seen to rise"
    assert value("app_queue_messages", app_lane="normal", app_queue_state="ready") >= 1
    assert value("app_llm_spent_usd", app_period="month", app_what="all") == 0
    assert value("app_queue_oldest_age_seconds", app_lane="normal") < 60
    names = {series for one in INSTRUMENTS if one.of_ledger for series in one.series}
    told = {sample.name for one in families.values() for sample in one.samples}
    assert told <= names
    assert names - told <= {"app_candidate_left_alone_seconds", "app_candidate_calls"}, "of candidates never called"


def test_metrics_need_a_token_that_may_read(gateway):
    assert gateway.admin("GET", "/metrics", token=None).status_code == 401
    assert gateway.admin("GET", "/metrics", token=REPLAYER).status_code == 403
    assert gateway.get("/metrics").status_code == 404
