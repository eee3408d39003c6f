"""What became of every event that was sent, in the words of Jepsen.

attempted: was sent. acknowledged: was answered 2xx. ambiguous: was, at least once, not answered, or with 5xx; it is
sent again under its id. terminal: its run and its deliveries are over.

lost: acknowledged, and not terminal, or done and not delivered. unexpected: terminal, and never attempted. recovered:
ambiguous, and terminal once. duplicated: effects beyond the first: a second event for one id of the sender, or a second
`webhook-id` for one event and sink (the same id again is a repetition, which the sink is told by the id).
"""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis import Redis

from actors.llm.prompt import material
from gateway.ledger.keys import key
from gateway.ledger.view import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fakes.model_server import FakeProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What the ledger says of one event: the sender's id, the run's state, its deliveries' states by their id."""

    sent: str
    event_id: str
    state: str
    deliveries: Mapping[str, str]
    attempts: str = ""
    lives: str = ""
    reason: str = ""

    @property
    def over(self) -> bool:
        return {self.state, *self.deliveries.values()} <= TERMINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table; recovery in seconds."""

    fault: str
    attempted: int
    acknowledged: int
    ambiguous: int
    recovered: int
    lost: int
    unexpected: int
    duplicated: int
    repetitions: int
    dead: int
    extra_calls: int
    recoveries: tuple[float, ...]
    remark: str = ""
    paid_twice: tuple[str, ...] = ()  # the events, for whoever asks why

    @property
    def p50(self) -> float:
        return statistics.median(self.recoveries) if self.recoveries else 0.0

    @property
    def most(self) -> float:
        return max(self.recoveries, default=0.0)


def fates(redis_url: str, prefix: str) -> list[Fate]:
    """Give what the ledger knows of the events whose sender's id begins like that."""
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        pipe = redis.pipeline(transaction=False)
        for event_id in redis.zrange(key("index"), 0, -1):
            pipe.hget(key("event", event_id), "record")
            pipe.hmget(key("work", event_id), "state", "deliveries", "attempts", "lives", "reason")
        answers = pipe.execute()
        found = []
        for record, (state, ids, *why) in zip(answers[::2], answers[1::2], strict=True):
            event = json.loads(record)
            if not (event["source_event_id"] or "").startswith(prefix):
                continue
            made = {one: redis.hget(key("work", one), "state") or "" for one in (ids or "").split()}
            attempts, lives, reason = (text or "" for text in why)
            found.append(
                Fate(
                    sent=event["source_event_id"],
                    event_id=event["id"],
                    state=state,
                    deliveries=made,
                    attempts=attempts,
                    lives=lives,
                    reason=reason,
                )
            )
    return found


def judge(
    fault: str,
    *,
    attempted: Iterable[str],
    acknowledged: Mapping[str, set[str]],
    ambiguous: set[str],
    known: list[Fate],
    delivered: Mapping[str, list[dict[str, Any]]],
    tries: Mapping[str, int],
    provider: FakeProvider,
    recoveries: Iterable[float],
    remark: str = "",
) -> Row:
    """Compare what was sent, what the ledger holds and what arrived at the sink and at the model."""
    attempted = set(attempted)
    by_event = {fate.event_id: fate for fate in known}
    events = Counter(fate.sent for fate in known)
    arrived: dict[str, set[str]] = defaultdict(set)
    for webhook_id, copies in list(delivered.items()):
        arrived[copies[0]["event_id"]].add(webhook_id)
    lost = 0
    for event_ids in acknowledged.values():
        for event_id in event_ids:
            fate = by_event.get(event_id)
            kept = fate is not None and fate.over and (fate.state != "done" or event_id in arrived)
            lost += not kept
    mine = [fate for fate in known if fate.event_id in arrived]
    paid = payments(provider, attempted)
    return Row(
        fault=fault,
        attempted=len(attempted),
        acknowledged=len(acknowledged),
        ambiguous=len(ambiguous),
        recovered=sum(1 for one in ambiguous if events[one] == 1),
        lost=lost,
        unexpected=sum(1 for fate in known if fate.sent not in attempted),
        duplicated=sum(number - 1 for number in events.values()) + sum(len(arrived[one.event_id]) - 1 for one in mine),
        repetitions=sum(tries[one] - 1 for fate in mine for one in arrived[fate.event_id]),
        dead=sum(1 for fate in known if "dead" in {fate.state, *fate.deliveries.values()}),
        extra_calls=sum(number - 1 for number in paid.values()),
        recoveries=tuple(round(one, 2) for one in recoveries),
        remark=remark,
        paid_twice=tuple(f"{paid[fate.sent]} x {fate}" for fate in known if paid[fate.sent] > 1),
    )


def payments(provider: FakeProvider, attempted: set[str]) -> Counter[str]:
    """Count the model's answers for each event: each was paid for."""
    asked = [material(call.body["messages"]) for call in list(provider.calls) if call.status == 200]
    return Counter(sent for sent in asked if sent in attempted)
