"""What the fleet may call now: the candidates of models, and the sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.ledger.connection import answer
from gateway.ledger.keys import key
from gateway.ledger.slots import OF_SINKS
from gateway.ledger.view import CandidateView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis.asyncio import Redis


async def read_ways(redis: Redis) -> tuple[CandidateView, ...]:
    """Give every candidate that was ever called, and every sink, by name; three round trips, however many there are."""
    pipe = redis.pipeline(transaction=False)
    pipe.smembers(key("candidates"))
    pipe.time()
    members, (seconds, micros) = await answer(pipe.execute())
    names, now = sorted(one.decode() for one in members), seconds + micros / 1e6
    pipe, views = redis.pipeline(transaction=False), []
    for name in names:
        pipe.zcount(key("slots", name), now * 1000, "+inf")
        pipe.zcount(key("waiters", name), now * 1000, "+inf")
        pipe.zcount(key("minute", name), now * 1000 - 60_000, "+inf")
        pipe.hmget(key("pace", name), "pool", "tokens", "rest_until", "out_until")
    told = await answer(pipe.execute())
    seen = list(zip(names, *(told[at::4] for at in range(4)), strict=True))
    pipe = redis.pipeline(transaction=False)
    for name, _, _, _, (pool, *_) in seen:
        pipe.hmget(key("circuit", (pool or name.encode()).decode()), "open_until", "opened")
    circuits = await answer(pipe.execute())
    for (name, in_flight, waiting, calls, own), (until, opened) in zip(seen, circuits, strict=True):
        _, tokens, rest, out = own
        views.append(
            CandidateView(
                name=name,
                in_flight=in_flight,
                waiting=waiting,
                calls=calls,
                tokens=int(tokens or 0) if calls else 0,
                rests_for=_left(rest, now),
                out_for=_left(out, now),
                open_for=_left(until, now),
                opened=int(opened or 0),
            )
        )
    return tuple(views)


def models_among(ways: Iterable[CandidateView]) -> tuple[CandidateView, ...]:
    """Leave the sinks out."""
    return tuple(way for way in ways if not way.name.startswith(OF_SINKS))


def _left(until: bytes | None, now: float) -> float:
    """Give the seconds until that time in ms; 0 where there is none, or it is over."""
    return round(max(0.0, int(until or 0) / 1000 - now), 3)
