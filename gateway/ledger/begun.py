"""A work as begin.lua answers with it, and what a delivery is told of its run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from gateway.ledger.event import Event, Work


def make_work(  # noqa: PLR0917 - the reply of begin.lua, in its order
    work_id: str, fence: str, fields: list[Any], record: bytes, body: bytes, saved: list[bytes], result: bytes | None
) -> Work:
    """Make a work of what begin.lua answered; a record that is none raises one of `BROKEN`."""
    kind, generation, attempts, lives, received_ms, since_ms, now, timeout, sink = fields
    received = int(received_ms)
    since = int(since_ms or received)
    age = timedelta(milliseconds=now - since)
    return Work(
        id=work_id,
        kind="delivery" if kind == b"delivery" else "run",
        fence=fence,
        event=Event.restore(record, body),
        generation=int(generation),
        attempts=int(attempts),
        lives=lives,
        age=age,
        waited=age,
        replayed=since if since != received else 0,
        made_at=received,
        time_left=timedelta(milliseconds=int(timeout)),
        sink=(sink or b"").decode(),
        checkpoints={step.decode(): output for step, output in zip(saved[::2], saved[1::2], strict=True)},
        result=result,
    )


def with_run(delivery: Work, kept: list[bytes | None]) -> Work:
    """Add to a delivery, made when its run ended, since when and at which attempt that was worked."""
    received, since, attempts = (int(one or 0) for one in kept)
    begun = since or received
    waited = delivery.age + timedelta(milliseconds=delivery.made_at - begun)
    return replace(delivery, waited=waited, replayed=since, run_attempt=attempts + 1)
