"""From a provider's signed event to people, over everything: once, in one trace, quickly, and also when n8n dies."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from stack import SECRET, until

EVENTS = 50
BURST = 40  # events at once, of which some are under way when n8n dies
EVERY = 0.3  # seconds between the events that come while it is away
DOWN = 60.0  # seconds that it is away


def github(place, text):
    """Post an event as GitHub does, and give its id."""
    body = json.dumps({"action": "created", "comment": {"body": text, "user": {"login": "mara"}}}).encode()
    mac = hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()
    headers = {
        "X-Hub-Signature-256": f"sha256={mac}",
        "X-GitHub-Delivery": secrets.token_hex(16),
        "X-GitHub-Event": "issue_comment",
        "content-type": "application/json",
    }
    answer = place.stack.client.post(f"{place.stack.url}/hooks/github", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()["event_id"]


def told(place, event_id):
    return [said for said in place.chat.said if event_id in said.text]


def delivered(place, event_id):
    return any(one.state == "delivered" for one in place.stack.show(event_id).deliveries)


def test_one_event_is_told_once_in_one_trace(place):
    event_id = github(place, "Thank you, this is great!")
    [said] = until(lambda: told(place, event_id), within=60)
    until(lambda: delivered(place, event_id))
    view = place.stack.show(event_id)
    trace = view.trace_id
    assert len(trace) == 32
    assert said.headers["traceparent"].split("-")[1] == trace  # at the far end
    assert trace in place.stack.log("gateway")
    logged = [json.loads(line) for line in place.stack.log("worker0").splitlines() if event_id in line]
    lines = {line["event"]: line for line in logged if "trace_id" in line or line["event"] == "model.called"}
    assert lines["run.finished"]["trace_id"] == lines["delivery.attempted"]["trace_id"] == trace
    assert lines["model.called"]["event_id"] == event_id  # which has the same 128 bits as the trace
    until(lambda: bytes.fromhex(trace) in place.chat.traces, within=30)  # n8n's own spans
    time.sleep(3)
    assert len(told(place, event_id)) == 1


def test_fifty_events_one_after_the_other(place, record_property):
    """How long from the post to the chat, one at a time; the model stand-in answers at once."""
    took = []
    for number in range(EVENTS):
        began = time.monotonic()
        event_id = github(place, f"number {number}")
        [said] = until(lambda one=event_id: told(place, one), within=60, every=0.002)
        took.append(said.at - began)
    median, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
    print(f"\npost to chat, {EVENTS} events: median {median * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms")
    record_property("median_ms", median * 1000)
    assert median < 5


def test_n8n_that_dies_under_load_loses_nothing(place):
    """SIGKILL in the middle, a minute away, started again, while events come: twice is told only what it died over."""
    ids, over = [], threading.Event()

    def load():
        while not over.wait(EVERY):
            ids.append(github(place, f"under load {len(ids)}"))

    with ThreadPoolExecutor(5) as pool:
        burst = [pool.submit(github, place, f"burst {number}") for number in range(BURST)]
        until(lambda: sum(bool(told(place, one.result())) for one in burst if one.done()) >= 5, within=60)
        place.n8n.kill()
        loading = pool.submit(load)
        over.wait(DOWN)
        place.n8n.start()
        over.set()
        loading.result()
        ids += [one.result() for one in burst]
    until(lambda: all(told(place, one) for one in ids), within=300, every=1)
    until(lambda: all(delivered(place, one) for one in ids), within=120, every=2)
    counts = place.chat.counts(ids)
    print(f"\nn8n killed and {DOWN:.0f} s away, {len(ids)} events: told so many times: {dict(counts)}")
    assert counts[0] == 0
    assert sum(max(0, times - 1) * events for times, events in counts.items()) <= 10  # what was under way


def test_n8n_that_answers_after_the_deadline_tells_once(place):
    """The chat takes 8 s, the sink waits 5: it posts again, and hears that it is under way, then that it is known."""
    place.chat.delay = 8.0
    ids = []
    for number in range(5):
        answer = place.stack.post(json.dumps({"text": f"slow {number}"}).encode(), source="hasty")
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["event_id"])
    until(lambda: all(delivered(place, one) for one in ids), within=120, every=1)
    attempts = [place.stack.show(one).deliveries[0].attempts for one in ids]
    print(f"\nanswered after the deadline: attempts before the last {attempts}")
    assert all(attempts)
    assert [len(told(place, one)) for one in ids] == [1] * 5
