"""Schedules: an admitted event per due time, exactly once whatever number of workers offers it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gateway.config.schedules import stamp
from gateway.ledger import Admission, Event, new_event_id, new_traceparent
from otel.records import EventAccepted, tell

if TYPE_CHECKING:
    from gateway.config import Config, Schedule
    from gateway.ledger import Ledger, Verdict
    from otel.records import Listener

SOON = timedelta(milliseconds=5)
AGAIN = timedelta(seconds=1)  # after another worker has claimed a due time, or the ledger could not take its event
RESYNC = timedelta(minutes=1)  # the longest wait by our own clock: due times are told by Redis'
REMEMBERED = timedelta(days=1)  # a due time is known for at least so long, whatever the source says of its own events


class Timetable:
    """Offers what is due; after an outage only the last time that was missed."""

    def __init__(self, config: Config, listeners: tuple[Listener, ...] = ()) -> None:
        """Take the configuration, and who hears of what is admitted."""
        self._config, self._listeners = config, listeners
        self._look_at = dict.fromkeys(config.schedules, 0.0)  # by the monotonic clock, seconds

    async def offer(self, ledger: Ledger) -> timedelta:
        """Admit what is due now; gives how long nothing will be."""
        for name, at in self._look_at.items():
            if at <= time.monotonic():
                wait = await self._offer(ledger, self._config.schedules[name])
                self._look_at[name] = time.monotonic() + wait.total_seconds()
        soonest = min(self._look_at.values(), default=float("inf")) - time.monotonic()
        return min(RESYNC, timedelta(seconds=max(SOON.total_seconds(), min(soonest, RESYNC.total_seconds()))))

    async def _offer(self, ledger: Ledger, schedule: Schedule) -> timedelta:
        last, now = await ledger.last_due(schedule.name)
        due = schedule.last(now, since=last)
        if due is not None:
            if not await ledger.claim_due(schedule.name, due):
                return AGAIN
            admission = self._admission(schedule, due, now)
            (verdict,) = await ledger.admit([admission])
            if verdict.outcome in {"full", "limited"}:
                await ledger.note_due(schedule.name, last)  # gives the claim back; somebody tries again
                return AGAIN
            self._tell(admission.event, verdict)
            last, now = await ledger.note_due(schedule.name, due)
        return min(RESYNC, schedule.after(last) - now)

    def _tell(self, event: Event, verdict: Verdict) -> None:
        took = timedelta(seconds=verdict.took)
        record = EventAccepted(
            source=event.source,
            event_id=verdict.event_id,
            duplicate=verdict.outcome == "duplicate",
            traceparent=event.traceparent,
            size=len(event.body),
            took=took,
            admitting=took,
        )
        tell(self._listeners, record)

    def _admission(self, schedule: Schedule, due: datetime, now: datetime) -> Admission:
        source = self._config.sources[schedule.source]
        known = f"schedule:{schedule.name}:{stamp(due)}"
        event_id = new_event_id(now)
        event = Event(
            id=event_id,
            source=source.name,
            pipeline=source.pipeline,
            received_at=now,
            body=schedule.event_body(due),
            content_type=schedule.content_type,
            traceparent=new_traceparent(event_id),
            source_event_id=known,
        )
        lasting = max(source.dedupe_ttl, REMEMBERED)
        rules = replace(source.rules, max_total=self._config.door.max_backlog, dedupe_ttl=lasting)
        return Admission(event=event, rules=rules, nonce=known, dedupe_id=known)
