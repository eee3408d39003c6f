"""Notices to the sink of [alerts]: any worker may have one made, the ledger sees to it that only one is."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gateway.ledger import AlertRules, LedgerError

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.ledger import Ledger

PAUSE = timedelta(seconds=5)

Notify = Callable[[str, str, Mapping[str, Any]], Awaitable[None]]
"""Tells somebody: of what kind it is, what it is about, and plain JSON values; it never raises."""

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


def notifier(ledger: Ledger, rules: AlertRules | None) -> Notify:
    """Make what tells the log, and the sink of [alerts] where there is one."""

    async def notify(kind: str, about: str, notice: Mapping[str, Any]) -> None:
        logger.warning("%s: %s: %s", kind, about, ", ".join(f"{name} {value}" for name, value in notice.items()))
        if rules is not None:
            try:
                await ledger.notify(rules, kind, about, notice)
            except LedgerError as error:
                logger.error("sink %s is not told: %s", rules.sink, error)  # noqa: TRY400 - the trace says nothing more

    return notify
