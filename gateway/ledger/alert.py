"""Notices to a sink: when one about dead letters is due, and what the scripts that make them are given."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway.ledger.event import Event, new_delivery_id, new_event_id
from gateway.ledger.slots import ms

if TYPE_CHECKING:
    from collections.abc import Mapping

ALERTS = "_alerts"
"""The source and the pipeline of our own notices: a name that the configuration cannot give. Scripts know it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """When a sink is told: at so many dead letters, or at `new` that were given up `within`; 0 is never.

    After a notice, no other one comes before `repeat` is over. `concurrency` and `timeout` are the sink's.
    """

    sink: str
    dead: int = 0
    new: int = 0
    within: timedelta = timedelta(minutes=10)
    repeat: timedelta = timedelta(hours=1)
    concurrency: int = 8
    timeout: timedelta = timedelta(seconds=15)


def alert_arguments(rules: AlertRules) -> tuple[Any, ...]:
    """Give the arguments of alert.lua."""
    return (*_telling(rules), rules.dead, rules.new, ms(rules.within), ms(rules.repeat))


def notice_arguments(rules: AlertRules, kind: str, about: str, notice: Mapping[str, Any]) -> tuple[Any, ...]:
    """Give the arguments of notice.lua; there is no other of its kind about the same before `rules.repeat` is over."""
    text = json.dumps({"kind": kind, "about": about, **notice})
    return (*_telling(rules), f"{kind} {about}", text, ms(rules.repeat))


def _telling(rules: AlertRules) -> tuple[Any, ...]:
    """Make an event and a delivery, which the script takes only if it has something to tell."""
    now = datetime.now(UTC)
    random = secrets.token_hex(24)
    event = Event(
        id=new_event_id(now),
        source=ALERTS,
        pipeline=ALERTS,
        received_at=now,
        body=b"",
        traceparent=f"00-{random[:32]}-{random[32:]}-01",
    )
    told = (event.id, event.record(), random[:32], new_delivery_id(event.id, rules.sink, 0), rules.sink)
    return (*told, rules.concurrency, ms(rules.timeout))
