"""`hookmill top` and `hookmill trace`, as they are typed."""

from __future__ import annotations

import pytest

from gateway.ledger.keys import key

pytestmark = pytest.mark.anyio


async def test_top_shows_lines_outcomes_and_cost(ledger, admission, hookmill):
    await ledger.admit([admission() for _ in range(3)])
    code, said, _ = hookmill("top", "--once", "--every", "0.2")
    assert code == 0
    normal = next(line for line in said.splitlines() if line.lstrip().startswith("normal"))
    waiting = await ledger.redis.llen(key("lane", "normal"))
    assert str(waiting) in normal
    assert "dead letters 0" in said
    assert "nothing moves" in said
    assert "this month $0.0000" in said


async def test_trace_draws_an_event(begun, ledger, hookmill):
    work = await begun()
    await ledger.checkpoint(work, "label", output=b"1", took='{"name": "label", "took": 0.5, "at": 1, "version": 1}')
    await ledger.finish(work, "done")
    code, said, _ = hookmill("trace", work.id)
    assert code == 0
    assert f"trace {work.event.traceparent[3:35]}" in said
    assert "step label" in said


async def test_trace_of_what_is_not_there_is_one_clear_line(hookmill):
    code, _, said = hookmill("trace", "evt_0000000000000000000000000A")
    assert (code, said.count("\n")) == (1, 1)


async def test_a_jaeger_that_is_not_there_is_one_clear_line(begun, hookmill):
    work = await begun()
    code, _, said = hookmill("trace", work.id, "--jaeger", "http://127.0.0.1:9")
    assert (code, said) == (2, "Jaeger did not answer (ConnectError); see --jaeger\n")
