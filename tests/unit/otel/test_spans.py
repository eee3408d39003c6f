"""Spans made of records: one tree per event, whatever happens to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from otel import names
from otel.names import SPAN_ATTRIBUTES
from otel.records import (
    DeliveryAttempted,
    EventAccepted,
    EventRejected,
    ModelCall,
    ModelCalled,
    RunFinished,
    StepFinished,
)
from otel.spans import MOST_PARTS, Spans
from otel.trails import LATE, Origin

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = f"00-{TRACE:032x}-{SPAN:016x}-01"
SECOND = timedelta(seconds=1)
ABOUT = {"event_id": "evt_1", "source": "blog"}
ACCEPTED = EventAccepted(**ABOUT, duplicate=False, traceparent=TRACEPARENT, size=9, took=SECOND, status=202)
ORIGIN = Origin(traceparent=TRACEPARENT, lease="w/1")
RUN = RunFinished(**ABOUT, pipeline="triage", attempt=1, lives=1, outcome="done", origin=ORIGIN, took=SECOND)
STEP = StepFinished(**ABOUT, pipeline="triage", step="label[round-1]", cached=False, took=SECOND, lease="w/1")
CALL = ModelCall(candidate="a", model="m", asked="openai/gpt-4", took=SECOND, error_class="transient")
CALLED = ModelCalled(**ABOUT, step="label[round-1]", alias="fast", call=CALL, lease="w/1")
SENT = DeliveryAttempted(
    **ABOUT, delivery_id="dlv_1", sink="n8n", attempt=1, outcome="delivered", took=SECOND, run_attempt=1,
    origin=replace(ORIGIN, lease="w/2"),
)  # fmt: skip


@pytest.fixture
def made():
    """Make spans of records: `made(record, ...)` gives them all."""

    def make(*told, sampler=ALWAYS_ON):
        found = []
        spans = Spans(found.append, resource=Resource.create({}), sampler=sampler)
        for record in told:
            spans(record)
        return found

    return make


def parents(spans):
    """Give the name of each span with that of its parent."""
    known = {one.context.span_id: one.name for one in spans}
    return {one.name: known.get(one.parent.span_id) if one.parent else None for one in spans}


def test_an_event_is_one_tree(made):
    spans = made(ACCEPTED, CALLED, STEP, RUN, SENT)
    assert parents(spans) == {
        "POST /hooks/{source}": None, "enqueue": "POST /hooks/{source}", "process": "enqueue",
        "step label": "process", "chat gpt-4": "step label", "POST": "process",
    }  # fmt: skip
    assert {one.context.trace_id for one in spans} == {TRACE}


def test_a_key_of_a_step_may_hold_content_and_is_left_out(made):
    assert "round-1" not in "".join(one.to_json() for one in made(STEP, CALLED, RUN))


def test_only_declared_attributes_and_no_status_text(made):
    spans = made(ACCEPTED, CALLED, STEP, replace(RUN, outcome="dead", error_class="transient", reason="secret"), SENT)
    assert {name for one in spans for name in one.attributes} <= SPAN_ATTRIBUTES
    assert {one.status.description for one in spans} == {None}
    assert "secret" not in "".join(one.to_json() for one in spans)


def test_what_failed_is_an_error_and_what_waits_is_not(made):
    waits = replace(RUN, outcome="waiting", counts=False)
    failed = replace(RUN, outcome="waiting", error_class="transient")
    assert [one.status.is_ok for one in made(RUN, waits, failed)] == [True, True, False]


def test_an_attempt_that_only_waited_takes_no_number(made):
    waits, done = made(replace(RUN, outcome="waiting", counts=False), RUN)
    assert waits.context.span_id != done.context.span_id
    assert waits.parent == done.parent


def test_a_replay_is_one_tree_that_links_to_where_its_event_was_admitted(made):
    again = replace(ORIGIN, replayed=1000, waited=SECOND)
    spans = made(replace(RUN, origin=again), replace(SENT, origin=replace(again, lease="w/2")))
    assert parents(spans) == {"enqueue": None, "process": "enqueue", "POST": "process"}
    [enqueue] = [one for one in spans if one.name == "enqueue"]
    assert [(link.context.trace_id, link.context.span_id) for link in enqueue.links] == [(TRACE, SPAN)]
    assert enqueue.attributes[names.REPLAYED] is True


def test_a_delivery_that_was_replayed_has_a_tree_of_its_own(made):
    again = replace(SENT, run_attempt=0, origin=replace(ORIGIN, replayed=1000))
    assert parents(made(again)) == {"enqueue": None, "POST": "enqueue"}


def test_a_late_attempt_is_a_root_that_is_linked(made):
    [late] = made(replace(RUN, attempt=3, origin=replace(ORIGIN, waited=2 * LATE)))
    assert late.parent is None
    assert late.links[0].context.trace_id == TRACE != late.context.trace_id


def test_a_stranger_s_trace_is_linked_and_one_that_goes_on_is_the_parent(made):
    stranger = made(replace(ACCEPTED, caller=f"00-{'a' * 32}-{'b' * 16}-01"))[0]
    assert (stranger.parent, stranger.links[0].context.span_id) == (None, int("b" * 16, 16))
    goes_on = made(replace(ACCEPTED, caller=f"00-{TRACE:032x}-{'b' * 16}-01"))[0]
    assert (goes_on.parent.span_id, goes_on.links) == (int("b" * 16, 16), ())


def test_duplicates_and_refusals_leave_no_span_but_our_own_faults_do(made):
    refused = EventRejected(source="blog", code="signature_invalid", status=401, took=SECOND)
    assert made(replace(ACCEPTED, duplicate=True), refused) == []
    [failed] = made(replace(refused, code="ledger_unavailable", status=503))
    assert (failed.status.is_ok, failed.attributes[names.STATUS]) == (False, 503)


def test_a_run_of_many_steps_stays_readable(made):
    spans = made(*(replace(STEP, step=f"part[{number}]") for number in range(MOST_PARTS + 5)), RUN)
    [run] = [one for one in spans if one.name == "process"]
    assert len(spans) == MOST_PARTS + 1
    assert run.attributes[names.UNTOLD] == 5


def test_a_trace_that_is_not_wanted_is_not_made(made):
    assert made(ACCEPTED, STEP, RUN, SENT, sampler=ALWAYS_OFF) == []


def test_work_without_a_trace_makes_no_span(made):
    assert made(STEP, replace(RUN, origin=replace(ORIGIN, traceparent=""))) == []
