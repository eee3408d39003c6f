"""Notices about dead letters: any worker looks, the ledger sees to it that one is made."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.ledger import AlertRules

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.config import Config
    from gateway.ledger import Ledger

PAUSE = timedelta(seconds=5)

logger = logging.getLogger(__name__)


def alert_rules(config: Config) -> AlertRules | None:
    """Give the rules that [alerts] and its sink make; None where none are written."""
    alerts = config.alerts
    if alerts is None:
        return None
    sink = config.sinks[alerts.sink]
    new, within = alerts.growth or (0, timedelta(minutes=1))
    return AlertRules(
        sink=sink.name,
        dead=alerts.dead or 0,
        new=new,
        within=within,
        repeat=alerts.repeat,
        concurrency=sink.concurrency,
        timeout=sink.timeout,
    )


def watch_for(rules: AlertRules) -> Callable[[Ledger], Awaitable[timedelta]]:
    """Make what the keeper calls: it looks once, and says how long until the next look."""

    async def look_for_alerts(ledger: Ledger) -> timedelta:
        notice = await ledger.alert(rules)
        if notice:
            logger.warning("too many dead letters, sink %s is told: %s", rules.sink, notice)
        return PAUSE

    return look_for_alerts
