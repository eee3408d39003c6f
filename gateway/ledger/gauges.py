"""What Prometheus reads of the ledger: every figure that no single process knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.ledger.connection import answer
from gateway.ledger.keys import LANES, key
from otel import instruments, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.ledger.ledger import Ledger
    from gateway.ledger.view import Stats
    from otel.instruments import Measure

ENDED = ("done", "discarded", "delivered", "dead", "replayed", "accepted")
"""What is counted from the beginning, at 0 where it never happened: a first one could not be seen to rise."""


async def measure(ledger: Ledger) -> list[Measure]:
    """Read every instrument `of_ledger`, with its labels."""
    figures, now = await ledger.stats(), datetime.now(UTC)
    lanes = await _lanes(ledger)
    books = {period: await ledger.book(f"{now:{form}}") for period, form in (("day", "%Y-%m-%d"), ("month", "%Y-%m"))}
    spent = [
        (instruments.SPENT, {names.PERIOD: period, names.WHAT: what}, dollars)
        for period, book in books.items()
        for what, dollars in ({"all": 0.0} | book).items()
        if not what.startswith("held ")
    ]
    return [*_figures(figures), *lanes, *spent]


def _figures(figures: Stats) -> Iterator[Measure]:
    yield instruments.SCHEDULED, {}, figures.scheduled
    yield instruments.DEAD, {}, figures.dead
    yield instruments.WORKERS, {}, len(figures.workers)
    yield instruments.PAUSED, {}, len(figures.paused)
    yield instruments.MEMORY, {names.STATE: "used"}, figures.memory
    yield instruments.MEMORY, {names.STATE: "limit"}, figures.memory_limit
    for outcome, count in (dict.fromkeys(ENDED, 0) | figures.counts).items():
        yield instruments.OUTCOMES, {names.OUTCOME: outcome}, count
    for group in figures.groups:
        yield instruments.HELD, {names.WHAT: group.name}, group.backlog
        yield instruments.ACTIVE, {names.WHAT: group.name}, group.active
    for one in figures.candidates:
        about = {names.CANDIDATE: one.name}
        for state, seconds in (("circuit", one.open_for), ("limited", one.rests_for), ("key", one.out_for)):
            yield instruments.LEFT_ALONE, about | {names.STATE: state}, seconds
        for state, calls in (("in_flight", one.in_flight), ("waiting", one.waiting)):
            yield instruments.IN_FLIGHT, about | {names.STATE: state}, calls


async def _lanes(ledger: Ledger) -> list[Measure]:
    """Give how many are in each line, and how long its first has waited: in a lane, and in backlogs that feed it."""
    groups = [one.decode() for one in sorted(await answer(ledger.redis.smembers(key("groups"))))]
    pipe = ledger.redis.pipeline(transaction=False)
    for group in groups:
        pipe.hget(key("group", group), "lane")
        pipe.llen(key("backlog", group))
        pipe.lindex(key("backlog", group), 0)
    for lane in LANES:
        pipe.llen(key("lane", lane))
        pipe.lindex(key("lane", lane), 0)
    told = await answer(pipe.execute())
    fed = list(zip(*[iter(told[: 3 * len(groups)])] * 3, strict=True))
    ready = dict(zip(LANES, zip(*[iter(told[3 * len(groups) :])] * 2, strict=True), strict=True))
    measures: list[Measure] = []
    for lane, (length, first) in ready.items():
        own = [(held, one) for name, held, one in fed if (name or b"").decode() == lane]
        heads = [one.decode() for one in (first, *(one for _, one in own)) if one]
        measures += [
            (instruments.QUEUED, {names.LANE: lane, names.STATE: "ready"}, length),
            (instruments.QUEUED, {names.LANE: lane, names.STATE: "held"}, sum(held for held, _ in own)),
            (instruments.OLDEST, {names.LANE: lane}, await _oldest(ledger, heads)),
        ]
    return measures


async def _oldest(ledger: Ledger, ids: list[str]) -> float:
    """Give for how many seconds the first of these has been in line."""
    seconds, micros = await answer(ledger.redis.time())
    since = [view.updated_at.timestamp() for view in await ledger.briefs(ids) if view] if ids else []
    return max(0.0, seconds + micros / 1e6 - min(since)) if since else 0.0
