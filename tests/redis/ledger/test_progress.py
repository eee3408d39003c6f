"""What the ledger tells of works that are being watched."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from gateway.ledger import Beat, Ledger, Progress

pytestmark = pytest.mark.anyio
TOOK = '{"name": "redact", "took": 0.1, "at": 1}'


async def one(ledger: Ledger, work_id: str) -> Progress:
    progress = (await ledger.progress({work_id: ""}))[work_id]
    assert progress is not None
    return progress


async def test_an_event_that_nobody_began_is_queued_and_its_steps_are_not_known(ledger, admission):
    (verdict,) = await ledger.admit([admission()])
    progress = await one(ledger, verdict.event_id)
    assert (progress.state, progress.percent, progress.over) == ("queued", None, False)
    assert progress.json()["step_number"] is None


async def test_it_tells_the_step_and_what_share_is_finished(ledger, begun):
    work = await begun()
    await ledger.checkpoint(work, "redact", output=b"1", took=TOOK, total=3)
    for item in range(5):
        await ledger.checkpoint(work, f"draft[{item}]", output=b"1", took=TOOK, total=3)
    await ledger.renew([Beat(id=work.id, fence=work.fence, step="draft", reason="model fast: waiting for a slot")])
    progress = await one(ledger, work.id)
    told = progress.json()
    assert (told["state"], told["step"], told["step_number"], told["steps_total"]) == ("running", "draft", 2, 3)
    assert (told["percent"], told["reason"]) == (33, "model fast: waiting for a slot")


async def test_a_finished_run_is_at_the_end(ledger, begun):
    work = await begun()
    await ledger.checkpoint(work, "redact", output=b"1", took=TOOK, total=3)
    await ledger.finish(work, "done")
    progress = await one(ledger, work.id)
    assert (progress.state, progress.over, progress.percent) == ("done", True, 100)


async def test_a_waiting_run_tells_why_and_until_when(ledger, begun):
    work = await begun()
    await ledger.postpone(work, timedelta(minutes=5), reason="rate limited", error_class="rate_limited", counted=True)
    told = (await one(ledger, work.id)).json()
    assert (told["state"], told["reason"], told["error_class"], told["attempts"]) == (
        "waiting", "rate limited", "rate_limited", 1,
    )  # fmt: skip
    assert told["due_at"].endswith("+00:00")


async def test_only_what_changed_since_its_mark_is_told(ledger, begun):
    work = await begun()
    before = await one(ledger, work.id)
    assert await ledger.progress({work.id: before.mark, "evt_gone": ""}) == {"evt_gone": None}
    await ledger.renew([Beat(id=work.id, fence=work.fence, step="label")])
    changed = await ledger.progress({work.id: before.mark})
    assert changed[work.id].step == "label"
    await ledger.renew([Beat(id=work.id, fence=work.fence, step="label", reason="waits for a slot")])
    waits = await ledger.progress({work.id: changed[work.id].mark})
    assert waits[work.id].reason == "waits for a slot"
    await asyncio.sleep(0.003)
    await ledger.checkpoint(work, "label", output=b"1", took=TOOK, total=2)
    again = await ledger.progress({work.id: waits[work.id].mark})
    assert again[work.id].total == 2


async def test_the_items_of_a_step_are_one_step(ledger, begun):
    work = await begun()
    for step in ("redact", "draft[0]", "draft[1]", "draft[2]", "label"):
        await ledger.checkpoint(work, step, output=b"1", took=TOOK, total=4)
    await ledger.renew([Beat(id=work.id, fence=work.fence, step="label")])
    assert (await one(ledger, work.id)).finished == 2


async def test_a_step_that_failed_in_part_is_not_finished(ledger, begun):
    work = await begun()
    for step in ("redact", "draft[0]"):
        await ledger.checkpoint(work, step, output=b"1", took=TOOK, total=2)
    await ledger.bury(work, reason="401", error_class="permanent", step="draft")
    assert (await one(ledger, work.id)).percent == 50
