"""The read side of the ledger, for the status page, the command line and ops; and API tokens."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway.ledger.connection import answer
from gateway.ledger.errors import ReplicasLate
from gateway.ledger.event import received_ms
from gateway.ledger.keys import LANES, key
from gateway.ledger.spending import NANO, WARNED
from gateway.ledger.view import CandidateView, Filter, GroupView, Stats, WorkView, make_steps, make_view
from gateway.ledger.ways import models_among, read_ways

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline

    from gateway.ledger.scripts import Scripts

MOST_LAG = 5  # seconds since a replica that follows spoke last; each speaks every second
PAGE = 100
MOST_PAGES = 100
PAGE_READS = 10
ANY = Filter()


class Views:
    """The read side of the ledger; raises LedgerDown like the rest of it."""

    redis: Redis
    scripts: Scripts

    async def ping(self) -> timedelta:
        """Give how far our clock is ahead of Redis' (negative: behind).

        Raises ReplicasLate where fewer replicas follow it than admissions wait for.
        """
        seconds, micros = await answer(self.redis.time())
        if self.scripts.replicas:
            there = _following(await answer(self.redis.info("replication")))
            if there < self.scripts.replicas:
                raise ReplicasLate(f"{there} of {self.scripts.replicas} replicas follow Redis")
        return datetime.now(UTC) - datetime.fromtimestamp(seconds + micros / 1e6, UTC)

    async def show(self, work_id: str) -> WorkView | None:
        """Show one event or delivery, with its steps, deliveries and result; None if the ledger does not know it."""
        view = (await self.briefs([work_id]))[0]
        if view is None:
            return None
        steps = make_steps(await answer(self.redis.hgetall(key("steps", view.event_id))))
        unsaved = int(await answer(self.redis.hget(key("unsaved", view.event_id), "cost")) or 0) / NANO
        result = await answer(self.redis.hmget(key("work", work_id), "result", "deliveries"))
        failed = view.kind == "delivery" and view.state != "delivered"
        told = await answer(self.redis.get(key("receipt", work_id))) if failed else result[0]
        left = await answer(self.redis.pttl(key("work", work_id)))
        ids = (result[1] or b"").decode().split()
        parts = [part for part in await self.briefs(ids) if part]
        return replace(
            view,
            steps=steps if view.kind == "run" else (),
            cost_usd=sum(step.cost_usd for step in steps) + unsaved if view.kind == "run" else None,
            result=json.loads(told) if told else None,
            deliveries=tuple(parts),
            kept_until=datetime.now(UTC) + timedelta(milliseconds=left) if left > 0 else None,
        )

    async def events(self, *, limit: int = 50, before: str | None = None, wanted: Filter = ANY) -> list[WorkView]:
        """List events, newest first, in brief; `before` is the last id of the page before."""
        rank = await answer(self.redis.zrevrank(key("index"), before)) if before else None
        start, found = 0 if rank is None else rank + 1, list[WorkView]()
        for page in range(MOST_PAGES):
            at = start + page * PAGE
            ids = await answer(self.redis.zrevrange(key("index"), at, at + PAGE - 1))
            views = await self.briefs([one.decode() for one in ids])
            found += [view for view in views if view and wanted.passes(view)]
            if len(found) >= limit or len(ids) < PAGE:
                break
        return found[:limit]

    async def page(
        self, *, limit: int = 50, cursor: str | None = None, wanted: Filter = ANY
    ) -> tuple[list[WorkView], str | None]:
        """List events, newest first, in brief, and give the cursor of the next page; None after the last.

        A cursor is the id of an event, which may be gone by now. A filter that little passes can give short pages, even
        empty ones: at most 1,000 events are looked at.
        """
        found, last = list[WorkView](), cursor
        for _ in range(PAGE_READS):
            ids = await self._older(last)
            for view in await self.briefs(ids):
                if view and wanted.passes(view):
                    found.append(view)
                if len(found) == limit:
                    return found, found[-1].id
            if len(ids) < PAGE:
                return found, None
            last = ids[-1]
        return found, last

    async def tail(self, after: str, *, limit: int = PAGE) -> list[WorkView]:
        """List the events received after that one, oldest first; all kept ones if it is empty or forgotten."""
        rank = await answer(self.redis.zrank(key("index"), after)) if after else None
        start = 0 if rank is None else rank + 1
        ids = await answer(self.redis.zrange(key("index"), start, start + limit - 1))
        return [view for view in await self.briefs([one.decode() for one in ids]) if view]

    async def stats(self) -> Stats:
        """Give the ledger in figures."""
        pipe = self._pipeline()
        pipe.hgetall(key("counts"))
        pipe.zcard(key("due"))
        pipe.zcard(key("dead"))
        pipe.smembers(key("paused"))
        pipe.smembers(key("groups"))
        pipe.info("memory")
        pipe.zrange(key("workers"), 0, -1, withscores=True)
        pipe.time()
        for lane in LANES:
            pipe.llen(key("lane", lane))
        counts, scheduled, dead, paused, groups, memory, workers, time, *lanes = await answer(pipe.execute())
        stopped, now = {one.decode() for one in paused}, time[0] + time[1] / 1e6
        ways = await read_ways(self.redis)
        return Stats(
            counts={name.decode(): int(number) for name, number in sorted(counts.items())},
            lanes=dict(zip(LANES, lanes, strict=True)),
            groups=await self._groups(sorted(one.decode() for one in groups), stopped, ways),
            scheduled=scheduled,
            dead=dead,
            paused=tuple(sorted(stopped)),
            paused_by=await self._paused_by(stopped),
            candidates=models_among(ways),
            workers={name.decode(): round(now - seen / 1000, 3) for name, seen in workers},
            memory=memory["used_memory"],
            memory_limit=memory["maxmemory"],
        )

    async def book(self, period: str) -> dict[str, float]:
        """Give what models cost on a day (2026-11-21) or in a month (2026-11): US dollars by name.

        The names are `all`, `source X`, `pipeline X`, `model X`; with `held ` before them it is what is reserved.
        """
        kept = await answer(self.redis.hgetall(key("spent", period)))
        named = ((name.decode(), int(number) / NANO) for name, number in kept.items())
        return {name: dollars for name, dollars in named if not name.startswith(WARNED)}

    async def paused(self) -> set[str]:
        """Give what is paused, as `source:NAME`, `pipeline:NAME`, `sink:NAME`."""
        return {one.decode() for one in await answer(self.redis.smembers(key("paused")))}

    async def put_token(
        self, digest: str, *, name: str, scopes: Sequence[str], expires: datetime | None = None
    ) -> None:
        """Keep an API token by the sha256 hex digest of its text."""
        kept = {"name": name, "scopes": list(scopes), "expires": expires.timestamp() if expires else None}
        await answer(self.redis.hset(key("tokens"), digest, json.dumps(kept)))

    async def token(self, digest: str, *, now: datetime) -> tuple[str, ...] | None:
        """Give the scopes of a token; None if it is unknown or has expired."""
        holder = await self.holder(digest, now=now)
        return holder[1] if holder else None

    async def holder(self, digest: str, *, now: datetime) -> tuple[str, tuple[str, ...]] | None:
        """Give the name and the scopes of a token; None if it is unknown or has expired."""
        text = await answer(self.redis.hget(key("tokens"), digest))
        kept = json.loads(text) if text else None
        if kept is None or (kept["expires"] is not None and kept["expires"] <= now.timestamp()):
            return None
        return kept["name"], tuple(kept["scopes"])

    async def tokens(self) -> list[dict[str, Any]]:
        """List the tokens: name, scopes, expires (seconds since 1970, or null)."""
        return [json.loads(text) for text in (await answer(self.redis.hgetall(key("tokens")))).values()]

    async def drop_token(self, name: str) -> int:
        """Revoke the tokens of that name; gives how many there were."""
        kept = await answer(self.redis.hgetall(key("tokens")))
        gone = [digest for digest, text in kept.items() if json.loads(text)["name"] == name]
        return int(await answer(self.redis.hdel(key("tokens"), *gone))) if gone else 0

    def _pipeline(self) -> Pipeline:
        return self.redis.pipeline(transaction=False)

    async def _older(self, cursor: str | None) -> list[str]:
        """Give a page of ids that come after the cursor in the list of events, whether it is still in it or not."""
        if cursor is None:
            return [one.decode() for one in await answer(self.redis.zrevrange(key("index"), 0, PAGE - 1))]
        rank = await answer(self.redis.zrevrank(key("index"), cursor))
        if rank is not None:
            return [one.decode() for one in await answer(self.redis.zrevrange(key("index"), rank + 1, rank + PAGE))]
        received = received_ms(cursor) - 1  # of those received in the same millisecond some are then left out
        older = self.redis.zrevrangebyscore(key("index"), received, "-inf", start=0, num=PAGE)
        return [one.decode() for one in await answer(older)]

    async def briefs(self, ids: Sequence[str]) -> list[WorkView | None]:
        """Look at runs or deliveries in brief, in that order; None for one that the ledger does not know."""
        names = ("kind", "run", "source", "pipeline", "sink", "state", "received", "at", "attempts", "lives",
                 "generation", "step", "reason", "class", "due", "size", "fence", "trace", "total", "repeats",
                 "repeated")  # fmt: skip
        pipe = self._pipeline()
        for one in ids:
            pipe.hmget(key("work", one), names)
            pipe.zscore(key("due"), one)
        answers = await answer(pipe.execute())
        return [
            make_view(one, dict(zip(names, answers[at], strict=True)), answers[at + 1])
            for at, one in zip(range(0, len(answers), 2), ids, strict=True)
        ]

    async def _paused_by(self, paused: set[str]) -> dict[str, str]:
        """Say who paused what, as far back as the audit trail is looked at."""
        known = dict.fromkeys(paused, "")
        for text in await answer(self.redis.lrange(key("audit"), 0, PAGE_READS * PAGE - 1)) if paused else ():
            entry = json.loads(text)
            if entry["what"] == "pause" and not known.get(entry["on"], "else"):
                known[entry["on"]] = entry["who"]
        return known

    async def _groups(
        self, names: Iterable[str], paused: set[str], ways: Iterable[CandidateView]
    ) -> tuple[GroupView, ...]:
        views, alone = [], {way.name: way.left_alone for way in ways}
        for name in names:
            pipe = self._pipeline()
            pipe.hmget(key("group", name), "cap", "pipeline")
            pipe.scard(key("active", name))
            pipe.llen(key("backlog", name))
            (cap, pipeline), active, backlog = await answer(pipe.execute())
            stopped = name in paused or f"pipeline:{(pipeline or b'').decode()}" in paused
            view = GroupView(name=name, cap=int(cap), active=active, backlog=backlog, paused=stopped)
            views.append(replace(view, left_alone=alone.get(name, "")))
        return tuple(views)

    async def candidates(self) -> tuple[CandidateView, ...]:
        """Give every model candidate that was ever called, by name."""
        return models_among(await read_ways(self.redis))


def _following(told: Mapping[str, Any]) -> int:
    """Count the replicas that follow, in what INFO says of replication."""
    replicas = [one for name, one in told.items() if name.startswith("slave") and isinstance(one, dict)]
    return sum(one["state"] == "online" and one["lag"] <= MOST_LAG for one in replicas)
