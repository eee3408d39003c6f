"""A waterfall in plain text: bars in the order of time, children below their parents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.cli.waterfall import Bar, draw, read_otlp, read_view
from gateway.ledger import WorkView
from gateway.ledger.view import StepView

START = datetime(2026, 11, 22, tzinfo=UTC)


def bar(name, parent="", start=0.0, end=1.0, **over):
    return Bar(name=name, trace="t", id=name, parent=parent, start=start, end=end, **over)


def test_children_stand_below_their_parents_in_the_order_in_which_they_began():
    bars = [bar("late", "run", 0.5), bar("run"), bar("early", "run", 0.1, 0.2), bar("deep", "early", 0.1, 0.2)]
    assert [line.partition("│")[0].rstrip() for line in draw(bars)] == ["run", "  early", "    deep", "  late"]


def test_a_bar_is_as_long_as_its_part_of_the_whole():
    whole, half = draw([bar("run"), bar("half", "run", 0.5, 1.0)])
    assert whole.count("█") == 40
    assert half.split("│")[1] == " " * 20 + "█" * 20
    assert half.endswith("│ 500 ms")


def test_what_failed_looks_otherwise_and_says_why():
    failed = bar("chat a", failed=True, attributes={"error.type": "transient", "app.attempt": 2, "app.outcome": "dead"})
    [line] = draw([failed])
    assert line.startswith("chat a #2 dead │▒")
    assert line.endswith("1 s  transient")


def test_a_span_whose_parent_is_not_there_is_drawn_at_the_left():
    assert draw([bar("lonely", "gone")])[0].startswith("lonely")
    assert draw([]) == []


def test_an_answer_of_jaeger_is_read():
    span = {"name": "process", "traceId": "t", "spanId": "s", "startTimeUnixNano": "1000000000"}
    span |= {"endTimeUnixNano": "3000000000", "status": {"code": 2}}
    span["attributes"] = [{"key": "app.attempt", "value": {"intValue": "2"}}]
    [read] = read_otlp({"result": {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}})
    assert (read.start, read.end, read.failed, read.label) == (1.0, 3.0, True, "process #2")


@pytest.mark.parametrize("wrong", [{}, {"result": {}}, {"result": {"resourceSpans": [{}]}}])
def test_what_is_no_answer_of_jaeger_is_refused(wrong):
    with pytest.raises(LookupError):
        read_otlp(wrong)


def work(kind="run", **over):
    about = {"id": "evt_1", "event_id": "evt_1", "source": "blog", "pipeline": "triage", "sink": None, "attempts": 0}
    about |= {"lives": 1, "generation": 0, "received_at": START, "updated_at": START + timedelta(seconds=4)}
    return WorkView(**(about | {"kind": kind, "state": "done", "trace_id": "t"} | over))


def test_the_ledger_s_record_makes_a_waterfall_too():
    step = StepView(name="label", took=timedelta(seconds=2), at=START + timedelta(seconds=3), candidate="gpt", calls=2)
    delivery = work("delivery", id="dlv_1", sink="n8n", state="delivered", received_at=START + timedelta(seconds=4))
    drawn = draw(read_view(work(steps=(step,), deliveries=(delivery,))))
    assert [line.partition("│")[0].rstrip() for line in drawn] == [
        "run done", "  step label (gpt) 2 calls", "delivery to n8n delivered",
    ]  # fmt: skip
    assert drawn[1].endswith("2 s")
