"""One trace per event, through real processes, over real OTLP; and nothing private in any of it."""

from __future__ import annotations

import json
import re
import signal
import time

import httpx
import pytest
from fakes import model_server
from fakes.collector import Collector, roots, tree
from fakes.model_server import says, status
from prometheus import prometheus, query
from stack import CONFIG, Stack, until
from watched import APP, CANARY, MODELS, SOURCE, STRANGER, over, send

from otel.dashboard import make_dashboard
from otel.names import SPAN_ATTRIBUTES


@pytest.fixture(scope="module")
def collector():
    made = Collector()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def stack(tmp_path_factory, module_redis, collector):
    """A gateway and a worker that export to the collector, and a provider that says what a test wants."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "app.py").write_text(APP)
    with model_server.serve() as provider:
        models = MODELS.format(url=provider.url)
        env = collector.env(OTEL_METRICS_EXPORTER="otlp,prometheus", OTEL_EXPORTER_PROMETHEUS_PORT="19464")
        with Stack(folder, module_redis.url, models=models, config=CONFIG + SOURCE, env=env) as made:
            made.provider = provider
            made.start_gateway()
            made.start_worker()
            yield made


def trace_of(collector, event_id, *, last="POST", times=1):
    """Give the spans of an event once its last delivery has come."""

    def look():
        spans = collector.of(event_id)
        whole = sum(one.name == last for one in spans) >= times and any(one.name == "enqueue" for one in spans)
        return spans if whole else None  # the gateway's may come after the worker's

    return until(look, within=20)


def test_five_events_are_five_traces_and_a_replay_is_one_more(stack, collector):
    stack.answer = lambda _: 200
    fine = send(stack, "fine", headers={"traceparent": STRANGER})
    for one in ("a", "b"):
        stack.provider.script(one, status(500, message=f"{CANARY}-provider"))
    later, dead, resent = send(stack, "later"), send(stack, "dead"), None
    over(stack, fine), over(stack, later), over(stack, dead, "dead")
    stack.provider.script("a", status(503, message=f"{CANARY}-down"))
    failover = send(stack, "fine")
    over(stack, failover)
    stack.answer = lambda nth: 500 if nth == 1 else 200
    resent = send(stack, "fine")
    over(stack, resent)
    stack.answer = lambda _: 200
    assert stack.call(lambda ledger: ledger.replay(dead)) == "queued"
    over(stack, dead)
    ids = [fine, later, dead, failover, resent]
    for one in ids:
        trace_of(collector, one, times=2 if one == resent else 1)
    spans = [span for one in ids for span in collector.of(one)]
    assert len({one.trace for one in spans}) == 6
    assert len(roots(spans)) == 6
    assert len({(one.trace, one.id) for one in spans}) == len(spans), "an id stands for one span"

    def drawn(event_id):
        own = [span for span in spans if span.trace == stack.show(event_id).trace_id]
        return tree(own)

    assert drawn(failover) == [
        "POST /hooks/{source}",
        "  enqueue",
        "    process done",
        "      step first",
        "      step label",
        "        !chat a",
        "        chat b",
        "      POST delivered",
    ]
    assert drawn(later)[:7] == [
        "POST /hooks/{source}",
        "  enqueue",
        "    !process waiting",
        "      step first",
        "    !process waiting",
        "      step first",
        "    process done",
    ]
    assert drawn(resent)[-2:] == ["      !POST waiting", "      POST delivered"]
    again = [one for one in spans if one.attributes["app.event.id"] == dead and one.trace != stack.show(dead).trace_id]
    assert tree(again)[0] == "enqueue"
    assert tree(again)[-1] == "    POST delivered"
    [enqueued] = [one for one in spans if one.name == "enqueue" and one.trace == stack.show(dead).trace_id]
    [root] = roots(again)
    assert root.links == ((enqueued.trace, enqueued.id),)


def test_attempts_are_siblings_each_linked_to_the_one_before(stack, collector):
    event_id = send(stack, "later")
    over(stack, event_id)
    spans = trace_of(collector, event_id)
    attempts = sorted((one for one in spans if one.name == "process"), key=lambda one: one.start)
    assert [one.attributes["app.attempt"] for one in attempts] == [1, 2, 3]
    assert len({one.parent for one in attempts}) == 1
    first, second, third = attempts
    assert [one.links for one in attempts] == [(), ((first.trace, first.id),), ((second.trace, second.id),)]
    assert third.attributes["app.outcome"] == "done"
    assert all(
        {"app.event.id", "app.source", "app.attempt", "app.outcome"} <= one.attributes.keys() for one in attempts
    )
    assert third.attributes["app.queue.wait_ms"] > 0


def test_a_step_that_is_found_in_its_checkpoint_says_so(stack, collector):
    event_id = send(stack, "later")
    over(stack, event_id)
    first = [one for one in trace_of(collector, event_id) if one.name == "step first"]
    assert sorted(one.attributes["app.cached"] for one in first) == [False, True, True]


def test_the_sink_is_told_of_the_span_that_its_delivery_is(stack, collector):
    event_id = send(stack, "fine")
    view = over(stack, event_id)
    [post] = [one for one in trace_of(collector, event_id) if one.name == "POST"]
    [got] = stack.delivered[view.deliveries[0].id]
    assert got["traceparent"] == f"00-{post.trace}-{post.id}-01"
    assert (post.kind, post.attributes["http.response.status_code"]) == ("CLIENT", 200)


def test_a_stranger_s_trace_is_linked_and_a_trusted_one_goes_on(stack, collector):
    linked, goes_on = (
        send(stack, "fine", source=one, headers={"traceparent": STRANGER}) for one in ("watched", "trusting")
    )
    [request] = [one for one in trace_of(collector, linked) if one.kind == "SERVER"]
    assert (request.trace, request.parent) == (stack.show(linked).trace_id, "")
    assert request.links == (("a" * 32, "b" * 16),)
    spans = trace_of(collector, goes_on)
    [request] = [one for one in spans if one.kind == "SERVER"]
    assert ({one.trace for one in spans}, request.parent, request.links) == ({"a" * 32}, "b" * 16, ())


def test_the_log_lines_of_an_event_name_its_spans(stack, collector):
    event_id = send(stack, "fine")
    over(stack, event_id)
    spans = {one.id: one for one in trace_of(collector, event_id)}
    lines = [
        json.loads(line) for name in ("gateway", "worker0") for line in stack.log(name).splitlines() if "{" in line
    ]
    told = {one["event"]: one for one in lines if one.get("event_id") == event_id and "span_id" in one}
    named = {event: spans[line["span_id"]].name for event, line in told.items()}
    assert named == {"event.accepted": "enqueue", "run.finished": "process", "delivery.attempted": "POST"}


def test_canaries_are_in_no_export_no_log_and_no_metric(stack, collector):
    stack.provider.script("a", status(401, message=f"{CANARY}-answer sk-fake"))
    stack.provider.script("b", says(f"{CANARY}-said jane.canary@example.com"))
    event_id = send(stack, "fine")
    over(stack, event_id)
    over(stack, send(stack, "dead"), "dead")
    trace_of(collector, event_id)
    bad = stack.client.post(
        f"{stack.url}/hooks/{CANARY}?{CANARY}", content=CANARY.encode(), headers={"webhook-id": CANARY}
    )
    assert bad.status_code >= 400
    ports = re.findall(r"http://127\.0\.0\.1:(\d+)/metrics", stack.log("gateway") + stack.log("worker0"))
    pages = [httpx.get(f"http://127.0.0.1:{port}/metrics").text for port in ports]
    assert len(pages) == 2
    until(lambda: "app.rejections" in collector.metrics)
    exported = b"".join(collector.raw).decode("latin-1")
    assert "app.event.id" in exported
    assert "app_rejections_total" in "".join(pages)
    # A provider's errors and a sender's own words are told apart by where they would have come from.
    for told in (exported, *pages, stack.log("gateway"), stack.log("worker0")):
        assert CANARY not in told
        assert "example.com" not in told
        assert "sk-fake" not in told


def test_every_expression_of_the_dashboard_has_a_series_in_a_real_prometheus(stack, tmp_path):
    exprs = [target["expr"] for panel in make_dashboard()["panels"] for target in panel["targets"]]
    with prometheus(stack, tmp_path) as url:

        def without_series():
            stack.provider.script("a", status(503))
            over(stack, send(stack, "later", times=2))
            stack.client.post(f"{stack.url}/hooks/watched", content=b"{}")
            return [one for one in exprs if not query(url, one)]

        until(lambda: not without_series(), within=60, every=1)


def test_the_figures_of_the_ledger_reach_the_collector(stack, collector):
    assert stack.url
    until(lambda: {"app.queue.messages", "app.dead.letters", "app.llm.spent.usd"} <= collector.metrics.keys())
    assert any(b"hookmill-ledger" in one for one in collector.raw)


def test_canaries_are_in_redis_only_where_content_belongs(stack):
    event_id = send(stack, "dead")
    over(stack, event_id, "dead")

    async def search(ledger):
        found = set()
        async for key in ledger.redis.scan_iter(count=1000):
            if CANARY.encode() in (await ledger.redis.dump(key) or b""):
                found.add(key.decode().split("}:")[1].split(":")[0])
        return found

    assert stack.call(search) <= {"event", "work", "checkpoints", "steps"}
    view = stack.show(event_id)
    assert CANARY not in view.reason + view.error_class


def test_spans_carry_nothing_that_is_not_named(collector, stack):
    assert stack.url
    assert {name for one in collector.spans for name in one.attributes} <= SPAN_ATTRIBUTES
    assert {one.said for one in collector.spans} == {""}


def test_a_process_that_is_told_to_stop_exports_what_is_left_of_what_is_sampled(stack, collector):
    stack.more["OTEL_BSP_SCHEDULE_DELAY"] = "60000"
    stack.more |= {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    stack.kill(stack.workers[-1])
    worker, gateway = stack.start_worker(), stack.restart_gateway()
    ids = until(lambda: one_of_each(stack), within=30)
    event_id = ids[True]
    for one in ids.values():
        over(stack, one)
    assert collector.of(event_id) == []
    began = time.monotonic()
    for process in (worker, gateway):
        process.send_signal(signal.SIGTERM)
    for process in (worker, gateway):
        process.wait(20)
    names = sorted(one.name.partition(" ")[0] for one in collector.of(event_id))
    assert names == ["POST", "POST", "chat", "enqueue", "process", "step", "step"]
    assert collector.of(ids[False]) == []
    for sampled, one in ids.items():
        [got] = stack.delivered[stack.show(one).deliveries[0].id]
        assert got["traceparent"].endswith("-01" if sampled else "-00"), "a sink hears the truth"
    assert time.monotonic() - began < 10


def one_of_each(stack):
    """Send events until one is sampled and one is not; the lower half of a trace's id decides."""
    ids = {int(stack.show(one).trace_id[16:], 16) < 2**63: one for one in (send(stack, "fine") for _ in range(4))}
    return ids if len(ids) == 2 else None


@pytest.mark.parametrize("mode", ["hang", "503"])
def test_a_collector_that_is_ill_holds_no_process_back(stack, collector, mode):
    gateway = stack.restart_gateway()
    collector.mode = mode
    try:
        assert all(stack.post(b'{"do": "fine", "name": "x", "text": ""}').status_code == 202 for _ in range(20))
        began = time.monotonic()
        gateway.send_signal(signal.SIGTERM)
        gateway.wait(20)
        assert time.monotonic() - began < 3 + 1.5  # what an end takes anyway
    finally:
        collector.mode = ""
