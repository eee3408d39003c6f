from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from actors.errors import Failure
from gateway.ledger.event import Event


def test_body_is_the_compact_envelope(outgoing):
    assert (
        outgoing(degraded=True).body()
        == (
            '{"type":"hookmill.result","id":"dlv_01","event_id":"evt_01","source":"blog","pipeline":"comment-sentiment",'
            '"timestamp":"2026-03-01T11:59:30.250Z","result":{"label":"schön"},"degraded":true,"generation":1}'
        ).encode()
    )


def test_body_is_the_same_at_every_attempt(outgoing):
    assert outgoing(attempt=1).body() == outgoing(attempt=7).body()


def test_timestamp_is_utc_wherever_the_event_came_from(outgoing):
    there = datetime(2026, 3, 1, 14, 0, 0, tzinfo=timezone(timedelta(hours=2)))
    event = Event(id="e", source="s", pipeline="p", received_at=there, body=b"")
    assert json.loads(outgoing(event=event).body())["timestamp"] == "2026-03-01T12:00:00.000Z"
    assert there == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("result", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_result_that_is_not_json_fails_for_good(outgoing, result):
    with pytest.raises(Failure, match="not JSON") as caught:
        outgoing(result={"a": result}).body()
    assert caught.value.klass == "permanent"


def test_lone_surrogate_does_not_break_utf8(outgoing):
    assert json.loads(outgoing(result="a\ud800b").body())["result"] == "a?b"


def test_repr_shows_neither_result_nor_event_body(outgoing):
    shown = repr(outgoing(result="s3cret-result"))
    assert "s3cret" not in shown
    assert "dlv_01" in shown
