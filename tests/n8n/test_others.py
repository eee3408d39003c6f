"""Every other workflow has its effect at the far end, and none where it should have none."""

from __future__ import annotations

import json
import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from fakes.model_server import status
from n8n.place import PROVIDER, WORKFLOWS, new_id, notice, result
from stack import until

from gateway.ledger.spending import Account, Hold
from gateway.ledger.view import Filter

LINK = re.compile(r"http://\S+")


def events(place, source="n8n"):
    """The events of a source, as the ledger has them."""
    views, _ = place.stack.call(lambda ledger: ledger.page(wanted=Filter(source=source), limit=200))
    return views


def arrived(place, before, count=1):
    """Wait for so many new events of the source n8n, and give them."""
    return until(
        lambda: (new := [one for one in events(place) if one.id not in before]) and len(new) >= count and new,
        within=60,
        every=0.3,
    )


@pytest.fixture
def before(place):
    return {one.id for one in events(place)}


def fill_in(place, text):
    form = {"field-0": (None, text), "field-1": (None, "Ada")}
    return httpx.post(f"{place.n8n.url}/form/hookmill-form", files=form, timeout=60, trust_env=False)


# intake-form


def test_a_form_becomes_an_event_that_is_told(place, before):
    word = secrets.token_hex(6)
    assert fill_in(place, f"Ich bin blockiert {word}, überall!").status_code == 200
    [event] = arrived(place, before)
    until(lambda: place.chat.texts(event.id), within=60)
    assert place.stack.show(event.id).repeats == 0  # it was posted once


def test_a_form_without_its_text_becomes_none(place, before):
    """A browser does not send it, and n8n does not look."""
    for nothing in ("", "  \n"):
        fill_in(place, nothing)
    assert fill_in(place, "this one does").status_code == 200
    assert len(arrived(place, before)) == 1


def test_what_is_over_the_limit_comes_later_as_the_gateway_says(place, before):
    """The source takes 3 in 2 s; what is answered 429 is posted again after its Retry-After."""
    for number in range(7):
        assert fill_in(place, f"number {number}").status_code == 200
    assert len(arrived(place, before, 7)) == 7


@pytest.fixture
def away(place):
    """A gateway that was killed; it is there again after the test."""
    place.stack.kill_gateway()
    yield
    place.stack.restart_gateway()


@pytest.mark.usefixtures("away")
def test_a_gateway_that_is_away_gets_the_event_when_it_is_back(place, before):
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(fill_in, place, "while it was away")
        time.sleep(3)
        place.stack.start_gateway()
        assert answer.result().status_code == 200
    assert len(arrived(place, before)) == 1


@pytest.mark.usefixtures("away")
def test_a_gateway_that_stays_away_is_told_and_gets_none(place, before):
    told = len(place.chat.texts("Hookmill / intake-form failed at Give up"))
    fill_in(place, "nobody takes it")
    until(lambda: len(place.chat.texts("Hookmill / intake-form failed at Give up")) > told, within=120)
    assert {one.id for one in events(place)} == before


# intake-webhook


def relay(place, body, **headers):
    sent = {"X-Provider-Token": PROVIDER, "content-type": "application/json"} | headers
    return place.client.post("/webhook/hookmill-intake", content=body, headers=sent)


def test_a_relayed_webhook_keeps_its_bytes_and_its_id(place, before):
    body = '{ "text":  "Schöne Grüße \\u00e9",\n "n": 1.0 }'.encode()
    delivery = secrets.token_hex(12)
    answers = [
        until(lambda: (got := relay(place, body, **{"x-github-delivery": delivery})).status_code < 300 and got)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 200]
    first, second = (answer.json() for answer in answers)
    assert (first["event_id"], second["duplicate"]) == (second["event_id"], True)
    [event] = arrived(place, before)
    assert (event.id, event.size) == (first["event_id"], len(body))


def test_who_does_not_know_the_header_relays_nothing(place, before):
    assert relay(place, b'{"text":"x"}', **{"X-Provider-Token": "guessed"}).status_code == 403
    assert {one.id for one in events(place)} == before


@pytest.mark.usefixtures("away")
def test_a_provider_hears_of_a_gateway_that_is_away(place, before):
    answer = relay(place, b'{"text":"x"}')
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert {one.id for one in events(place)} == before


def test_what_the_gateway_refuses_is_handed_back(place, before):
    answer = until(lambda: (got := relay(place, b'{"a":1,"a":2}')).status_code != 429 and got)
    assert (answer.status_code, answer.json()["code"]) == (400, "json_duplicate_key")
    assert {one.id for one in events(place)} == before


# intake-schedule


def feed(*items):
    """A feed of RSS 2.0: (guid, days ago); an item may have no date."""

    def one(guid, days):
        at = "" if days is None else format_datetime(datetime.now(UTC) - timedelta(days=days))
        return (
            f"<item><title>Item {guid}</title><link>https://example.com/{guid}</link>"
            f"<guid>{guid}</guid>{at and f'<pubDate>{at}</pubDate>'}<description>Text of {guid}</description></item>"
        )

    listed = "".join(one(*item) for item in items)
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>F</title>{listed}</channel></rss>'


def test_each_new_item_of_a_feed_becomes_one_event(place, before):
    run = secrets.token_hex(4)
    place.chat.feed = feed((f"{run}-a", 0), (f"{run}-b", 1), (f"{run}-old", 30), (f"{run}-undated", None))
    place.execute("hookmillIntakeSchedule")
    assert len(arrived(place, before, 2)) == 2
    place.chat.feed = feed((f"{run}-c", 0), (f"{run}-a", 0), (f"{run}-b", 1))
    place.execute("hookmillIntakeSchedule")
    assert len(arrived(place, before, 3)) == 3


# alert-dead-letters, review-dead-letter


@pytest.fixture
def dead(place):
    """A dead letter: an event whose model said once that the question is bad."""
    place.model.script("stand-in", status(400, message="<b>no</b>"))
    event_id = place.stack.post(json.dumps({"text": f"Thanks! {secrets.token_hex(4)}"}).encode()).json()["event_id"]
    until(lambda: place.stack.show(event_id).state == "dead", within=60)
    return event_id


def told_of(dead):
    return notice(kind="dead_letters", reason="count", dead=7, new=3, new_within_s=600, newest=dead)


def link_of(place, dead):
    [text] = until(lambda: place.chat.texts(f"Dead letter {dead}"), within=60)
    return LINK.search(text)[0]


def decide(link, decision):
    form = {"field-0": (None, decision), "field-1": (None, "Ada <!here>")}
    return httpx.post(link, files=form, timeout=60, trust_env=False)


def test_a_notice_of_dead_letters_lets_a_person_replay_one(place, dead):
    assert place.deliver(told_of(dead)).status_code == 200
    [told] = place.chat.texts(f"newest: {dead}")
    assert told.startswith("Dead letters: 7 (3 new in 600 s)")
    link = link_of(place, dead)
    assert httpx.get(link, trust_env=False, timeout=30).status_code == 200  # a preview bot decides nothing
    assert httpx.get(link.split("?")[0], trust_env=False, timeout=30).status_code in {401, 403, 404}
    assert httpx.post(link.split("?")[0], trust_env=False, timeout=30).status_code in {401, 403, 404}
    assert place.stack.show(dead).state == "dead"
    assert decide(link, "replay").status_code == 200
    until(lambda: place.chat.texts(f"{dead}: replay by Ada &lt;!here&gt;, done"), within=60)
    until(lambda: place.stack.show(dead).state == "done", within=60)
    until(lambda: [one for one in place.chat.texts(dead) if "comment-sentiment" in one], within=60)


def test_a_person_discards_one(place, dead):
    assert place.deliver(told_of(dead)).status_code == 200
    assert decide(link_of(place, dead), "discard").status_code == 200
    until(lambda: place.chat.texts(f"{dead}: discard by Ada"), within=60)
    assert place.stack.show(dead).state == "discarded"


def test_another_decision_does_nothing(place, dead):
    assert place.deliver(told_of(dead)).status_code == 200
    decide(link_of(place, dead), "explode")
    assert place.stack.show(dead).state == "dead"
    assert place.chat.texts(f"{dead}: explode") == []


def test_a_letter_about_which_nobody_decides_stays(place, dead, tmp_path):
    """Three days are made three seconds; n8n looks once a minute for waits that are over."""
    for path in WORKFLOWS.glob("*.json"):
        text = path.read_text()
        (tmp_path / path.name).write_text(text.replace('"resumeUnit": "days"', '"resumeUnit": "seconds"'))
    short = place.hookmill("push", "review-dead-letter", folder=tmp_path)
    assert short.returncode == 0, short.stderr
    try:  # it serves its old version for a while
        until(
            lambda: place.deliver(told_of(dead)) and place.chat.texts(f"{dead}: nobody decided"), within=240, every=15
        )
    finally:
        place.push("review-dead-letter")
    assert place.stack.show(dead).state == "dead"


def test_a_notice_without_a_letter_asks_nobody(place):
    asked = len(place.chat.texts("Dead letter "))
    body = notice(kind="dead_letters", reason="count", dead=123456, new=3, new_within_s=600, newest="../../admin")
    assert place.deliver(body).status_code == 200
    assert until(lambda: place.chat.texts("Dead letters: 123456"))
    assert len(place.chat.texts("Dead letter ")) == asked


# alert-budget


def test_a_notice_about_money_goes_to_the_chat_and_by_mail(place):
    about = f"source {secrets.token_hex(4)} day"
    body = notice(kind="budget", about=about, period="day", limit_usd=10.0, spent_or_reserved="80% or more")
    assert place.deliver(body).status_code == 200
    assert place.chat.texts(about) == [f"Budget {about}: 80% or more of $10 a day is spent or reserved"]
    [mail] = [mail for mail in place.mail.mails if about in mail.get_payload()]
    assert mail["subject"] == "Hookmill: a budget is nearly spent"


def test_a_notice_about_a_key_is_no_notice_about_money(place):
    about = f"gpt-{secrets.token_hex(4)}"
    assert place.deliver(notice(kind="model_key", about=about, why="401", again_in_s=300.0)).status_code == 200
    assert place.chat.texts(about) == [f"The key of model {about} is refused; it rests for 300 s"]
    [mail] = [mail for mail in place.mail.mails if about in mail.get_payload()]
    assert mail["subject"] == "Hookmill: a model refuses its key"


def test_a_result_that_looks_like_a_notice_is_none(place):
    event_id = "evt_" + secrets.token_hex(13).upper()
    body = result(event_id, kind="budget", about="all", period="day")
    assert place.deliver(body).status_code == 200
    [text] = place.chat.texts(event_id)
    assert text.startswith("comment-sentiment of blog")


# error-catcher


def test_a_workflow_that_fails_is_told_and_the_notice_comes_again(place):
    caught = len(place.chat.texts("Hookmill / alert-budget failed at Mail"))
    about, delivery = secrets.token_hex(6), new_id()
    body = notice(kind="model_key", about=about, why="401", again_in_s=300.0)
    place.mail.stop()
    try:
        assert place.deliver(body, delivery=delivery).status_code == 503
        until(lambda: len(place.chat.texts("Hookmill / alert-budget failed at Mail")) > caught)
    finally:
        place.mail.start()
    assert place.deliver(body, delivery=delivery).status_code == 200
    assert len([mail for mail in place.mail.mails if about in mail.get_payload()]) == 1


# digest-daily


def test_the_digest_tells_how_the_day_was(place):
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    hold = Hold(id=secrets.token_hex(4), day=today, worst=0.0, accounts=(Account(name="all"),))
    place.stack.call(lambda ledger: ledger.spending.settle(hold, 1.5))
    known = {view.id: view.state for view in events(place, "blog") + events(place, "n8n") + events(place, "github")}
    said = len(place.chat.texts(f"Hookmill, {today}"))
    place.execute("hookmillDigestDaily")
    text = until(lambda: place.chat.texts(f"Hookmill, {today}")[said:])[0]
    first, outcomes, cost, slowest = text.split("\n")
    assert int(re.search(r": (\d+) events", first)[1]) >= len(known) > 0
    assert re.search(r"done \d+", outcomes)
    assert float(cost.removeprefix("models: $")) >= 1.5
    assert re.match(r"slowest: evt_\w{26} \(\w+\): [\d.]+ s", slowest)


# setup


def push_hasty_setup(place, folder, *, keep_days):
    """Push a setup that drops old rows every 3 s instead of once a day."""
    for path in WORKFLOWS.glob("*.json"):
        text = path.read_text()
        if path.stem == "setup":
            text = re.sub(r'"days",\s+"triggerAtHour": 3', '"seconds", "secondsInterval": 3', text)
            text = text.replace('"value": 3', f'"value": {keep_days}')
        (folder / path.name).write_text(text)
    written = place.hookmill("check", "--write", folder=folder)
    assert written.returncode == 0, written.stderr
    pushed = place.hookmill("push", "setup", folder=folder)
    assert pushed.returncode == 0, pushed.stderr


def test_rows_of_the_data_table_go_when_they_are_old(place, tmp_path):
    event_id, delivery = "evt_" + secrets.token_hex(13).upper(), new_id()

    def tell():
        answer = place.deliver(result(event_id), path="hookmill-data-table", delivery=delivery)
        assert answer.status_code == 200
        return len(place.chat.texts(event_id))

    assert tell() == 1
    try:
        before = place.runs("hookmillSetup")
        push_hasty_setup(place, tmp_path, keep_days=3)
        until(lambda: place.runs("hookmillSetup") >= before + 4, within=120, every=1)
        assert tell() == 1  # three days are not over
        push_hasty_setup(place, tmp_path, keep_days=0)
        until(lambda: tell() == 2, within=120, every=1)
    finally:
        place.push("setup")


# push and pull


def test_what_was_pushed_comes_back_byte_for_byte(place, tmp_path):
    for path in WORKFLOWS.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    ended = place.hookmill("pull", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "wrote" not in ended.stdout
    assert {path.name: path.read_text() for path in tmp_path.glob("*.json")} == {
        path.name: path.read_text() for path in WORKFLOWS.glob("*.json")
    }


def test_push_says_in_one_line_what_is_wrong(place, tmp_path):
    for path in WORKFLOWS.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text().replace('"combinator": "and"', '"combinator": "xor"'))
    ended = place.hookmill("push", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "conditions.combinator" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_n8n_has_every_node_in_the_versions_that_the_check_allows(place, tmp_path):
    import subprocess

    from gateway.n8n.nodes import BASE, VERSIONS

    listed = tmp_path / "nodes.json"
    command = [*place.n8n.command, "export:nodes", f"--output={listed}"]
    subprocess.run(command, env=place.n8n.cli_env, check=True, capture_output=True, timeout=120)
    known = {}
    for one in json.loads(listed.read_text()):
        versions = one["version"] if isinstance(one["version"], list) else [one["version"]]
        known.setdefault(one["name"], set()).update(versions)
    missing = {
        kind: versions for kind, versions in VERSIONS.items() if not set(versions) <= known.get(BASE + kind, set())
    }
    assert missing == {}
