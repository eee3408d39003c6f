"""Where attempts stand among the traces: worked out alike by whoever asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from otel.trails import LATE, Origin, all_sampled, carry, find_trail, lease_span, read_traceparent, run_span

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PLACE = (int(TRACE, 16), int(SPAN, 16))
ORIGIN = Origin(traceparent=f"00-{TRACE}-{SPAN}-01", lease="w/1")


def test_an_attempt_stands_below_where_its_event_was_admitted():
    trail = find_trail(ORIGIN)
    assert (trail.trace, trail.below, trail.link, trail.replayed) == (*PLACE, None, False)


def test_a_replay_has_a_trace_of_its_own_that_is_linked():
    trail, other = find_trail(replace(ORIGIN, replayed=1000)), find_trail(replace(ORIGIN, replayed=1001))
    assert trail.link == other.link == PLACE
    assert len({trail.trace, other.trace, PLACE[0]}) == 3
    assert trail == find_trail(replace(ORIGIN, replayed=1000, lease="w/2")), "all attempts of a replay share it"


def test_an_attempt_that_is_late_has_a_trace_of_its_own_that_is_linked():
    on_time = find_trail(replace(ORIGIN, waited=LATE))
    late = find_trail(replace(ORIGIN, waited=LATE + timedelta(microseconds=1)))
    assert on_time.trace == PLACE[0]
    assert (late.below, late.link) == (0, PLACE)
    assert late.trace not in {PLACE[0], find_trail(replace(ORIGIN, waited=2 * LATE, lease="w/2")).trace}


def test_attempts_have_spans_of_their_own_and_know_each_other_s():
    trail = find_trail(ORIGIN)
    assert len({run_span(trail, 1), run_span(trail, 2), lease_span("w/1"), lease_span("w/2")}) == 4
    assert run_span(find_trail(replace(ORIGIN, lease="w/9")), 1) == run_span(trail, 1)


def test_two_events_of_a_trusted_trace_are_kept_apart():
    other = find_trail(replace(ORIGIN, traceparent=f"00-{TRACE}-{'c' * 16}-01"))
    assert run_span(other, 1) != run_span(find_trail(ORIGIN), 1)


def test_a_sink_is_told_of_the_span_of_its_delivery():
    assert carry(ORIGIN, all_sampled) == f"00-{TRACE}-{lease_span('w/1'):016x}-01"
    assert carry(replace(ORIGIN, traceparent=""), all_sampled) == ""


def test_a_sink_is_told_whether_the_trace_of_its_delivery_is_recorded():
    again = replace(ORIGIN, replayed=1000)
    only_this = find_trail(ORIGIN).trace.__eq__
    assert carry(ORIGIN, only_this).endswith("-01")
    assert carry(again, only_this).endswith("-00"), "a replay has a trace of its own"


@pytest.mark.parametrize(
    "text",
    ["", "00", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
     f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01\n", f"00-{TRACE}-{SPAN}-01-x"],
)  # fmt: skip
def test_what_is_no_trace_context_is_none(text):
    assert read_traceparent(text) is None
    assert find_trail(replace(ORIGIN, traceparent=text)) is None
