"""The ledger twice: `Twin` keeps it in Python's own memory, `Real` is the one of the scripts on a real Redis.

Both take the ledger's verbs and answer alike. Time passes in both when told (`pass_time`): the real scripts run as
they are, but ask a string of ours for the time instead of Redis' TIME. So leases end, waits are over and events are
rate-limited to the microsecond, without a test having to sleep.

`look()` gives the whole state in the same words, to compare.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from programs import PATIENT
from redis import Redis

from gateway.ledger import Begun, Ledger, Verdict, Work, open_ledger
from gateway.ledger.event import Sweep
from gateway.ledger.keys import LANES, key
from gateway.ledger.ledger import LEASE, MOST_BYTES, MOST_LIVES, OUTAGE
from gateway.ledger.view import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ledger import Admission, Beat, Event, NewDelivery

CLOCK = "clock of the tests"
ASKS = "redis.call('TIME')"
TOLD = f"redis.call('HMGET', '{CLOCK}', 's', 'us')"
MORNING = 1_800_000_000_000  # ms: when every test begins
WOKEN = 10_000
BACKLOG = {"low": 0.80, "normal": 0.90, "high": 1.00}
KEEP, KEEP_DEAD = "a day", "a month"


class Item:
    """A run or a delivery, as the twin keeps it."""

    def __init__(self, *, group: str, lane: str, event: Event, timeout: timedelta) -> None:
        self.group, self.lane, self.event, self.timeout = group, lane, event, timeout
        self.state, self.fence, self.reason, self.error_class = "queued", "", "", ""
        self.generation = self.attempts = self.lives = self.pending = 0
        self.deadline = 0
        self.checkpoints: dict[str, bytes] = {}
        self.steps: dict[str, bytes] = {}
        self.deliveries: list[str] = []
        self.result: bytes | None = None
        self.run = self.sink = ""
        self.keeps = ""

    @property
    def over(self) -> bool:
        return self.state in TERMINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A work as it stands; `keeps` is how long until it is forgotten, empty for one that is not."""

    state: str
    fence: str
    attempts: int
    lives: int
    generation: int
    pending: int
    deliveries: tuple[str, ...]
    reason: str
    error_class: str
    checkpoints: frozenset[str]
    bytes: int
    keeps: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Everything that a ledger holds; `due` in ms."""

    works: dict[str, Seen]
    due: dict[str, int]
    lanes: dict[str, tuple[str, ...]]
    active: dict[str, frozenset[str]]
    backlog: dict[str, tuple[str, ...]]
    caps: dict[str, int]
    counts: dict[str, int]
    dead: frozenset[str]
    paused: frozenset[str]


class Twin:
    """The ledger in memory: what its scripts promise, in plain Python."""

    def __init__(self) -> None:
        self.now_us = MORNING * 1000
        self.works: dict[str, Item] = {}
        self.due: dict[str, int] = {}
        self.lanes: dict[str, list[str]] = {lane: [] for lane in LANES}
        self.active: dict[str, set[str]] = defaultdict(set)
        self.backlog: dict[str, list[str]] = defaultdict(list)
        self.groups: dict[str, dict[str, Any]] = {}
        self.counts: Counter[str] = Counter()
        self.stopped: set[str] = set()
        self.known: dict[tuple[str, str, str], tuple[int, bytes, str]] = {}
        self.rates: dict[str, int] = {}
        self.swept: int | None = None

    @property
    def now(self) -> int:
        return self.now_us // 1000

    async def pass_time(self, passed: timedelta) -> None:
        self.now_us += passed // timedelta(microseconds=1)

    async def take(self, lane: str) -> str | None:
        return self.lanes[lane].pop(0) if self.lanes[lane] else None

    async def push(self, lane: str, work_id: str) -> None:
        self.lanes[lane].append(work_id)

    async def admit(self, batch: Sequence[Admission]) -> list[Verdict]:
        rules: dict[str, Any] = {}
        for one in batch:
            rules.setdefault(one.rules.source, one.rules)
        verdicts = [self._admit(one, rules[one.rules.source]) for one in batch]
        self.counts.update(verdict.outcome for verdict in verdicts)
        return verdicts

    def _admit(self, one: Admission, rules: Any) -> Verdict:
        source, body = rules.source, hashlib.sha256(one.event.body).digest()
        entry = self._remembered("dedupe", source, one.dedupe_id)
        if entry and entry[1] != body and rules.idempotent:
            return Verdict(outcome="conflict", event_id=entry[2])
        entry = entry or self._remembered("nonce", source, one.nonce)
        if entry:
            return Verdict(outcome="duplicate", event_id=entry[2], state=self.works[entry[2]].state)
        waiting = sum(len(ids) for group, ids in self.backlog.items() if group.startswith("source:"))
        mine = len(self.backlog[f"source:{source}"])
        if mine >= rules.max_backlog or waiting >= rules.max_total * BACKLOG[rules.lane]:
            return Verdict(outcome="full", retry_after=1.0)
        remaining = 0
        if rules.limit:
            interval = round(rules.limit.period / timedelta(microseconds=1) / rules.limit.count)
            arrival = max(self.rates.get(source, 0), self.now_us) + interval
            early = arrival - self.now_us - rules.limit.burst * interval
            if early > 0:
                return Verdict(outcome="limited", retry_after=early / 1e6)
            self.rates[source] = arrival
            remaining = -early // interval
        return self._store(one, rules, body, remaining)

    def _remembered(self, kind: str, source: str, mark: str | None) -> tuple[int, bytes, str] | None:
        entry = self.known.get((kind, source, mark)) if mark is not None else None
        return entry if entry and entry[0] > self.now else None

    def _store(self, one: Admission, rules: Any, body: bytes, remaining: int) -> Verdict:
        work_id, group = one.event.id, f"source:{rules.source}"
        if one.dedupe_id is not None:
            until = self.now + rules.dedupe_ttl // timedelta(milliseconds=1)
            self.known["dedupe", rules.source, one.dedupe_id] = (until, body, work_id)
        if rules.nonce_ttl:
            until = self.now + rules.nonce_ttl // timedelta(milliseconds=1)
            self.known["nonce", rules.source, one.nonce] = (until, body, work_id)
        item = Item(group=group, lane=rules.lane, event=one.event, timeout=rules.timeout)
        self.works[work_id] = item
        self._register(group, cap=rules.concurrency, lane=rules.lane, pipeline=rules.pipeline)
        self._feed(group)
        if one.flaw:
            item.reason, item.error_class = one.flaw, "permanent"
            self._close(work_id, "dead")
        else:
            self.backlog[group].append(work_id)
            self._feed(group)
        return Verdict(
            outcome="accepted", event_id=work_id, state="dead" if one.flaw else "queued", remaining=remaining
        )

    def _register(self, group: str, **rule: Any) -> None:
        self.groups[group] = rule

    def _paused(self, group: str) -> bool:
        return bool({group, f"pipeline:{self.groups[group].get('pipeline')}"} & self.stopped)

    def _feed(self, group: str) -> None:
        rule = self.groups[group]
        while not self._paused(group) and self.backlog[group] and len(self.active[group]) < rule["cap"]:
            work_id = self.backlog[group].pop(0)
            if self.works[work_id].state == "queued" and work_id not in self.active[group]:
                self.active[group].add(work_id)
                self.due[work_id] = self.now + WOKEN
                self.lanes[rule["lane"]].append(work_id)

    def _queue(self, work_id: str) -> None:
        item = self.works[work_id]
        item.state, item.fence, item.reason, item.error_class = "queued", "", "", ""
        item.attempts = item.lives = 0
        self.backlog[item.group].append(work_id)
        self._feed(item.group)

    def _leave(self, work_id: str) -> None:
        group = self.works[work_id].group
        self.active[group].discard(work_id)
        self._feed(group)

    def _close(self, work_id: str, state: str) -> None:
        item = self.works[work_id]
        item.state = state
        self.due.pop(work_id, None)
        run = self.works[item.run] if item.run else item
        if item.run and run.generation == item.generation:
            run.pending -= 1
        self._leave(work_id)
        self._settle(run)
        self.counts[state] += 1

    def _settle(self, run: Item) -> None:
        if not run.over or run.pending:
            return
        parts = [run, *(self.works[one] for one in run.deliveries)]
        keeps = KEEP_DEAD if any(one.state == "dead" for one in parts) else KEEP
        if run.state != "dead":
            run.checkpoints = {}
        for one in parts:
            one.keeps = keeps

    def _held(self, work: Work) -> bool:
        item = self.works[work.id]
        return not item.over and item.fence == work.fence

    async def begin(self, work_id: str, *, fence: str, lease: timedelta = LEASE) -> Begun:
        item = self.works.get(work_id)
        if item is None:
            return Begun(outcome="gone")
        if item.over:
            return Begun(outcome="done")
        if work_id not in self.active[item.group]:
            return Begun(outcome="waiting")
        if item.state == "running" and self.due[work_id] > self.now:
            return Begun(outcome="busy")
        if self._paused(item.group):
            item.state, item.fence = "queued", ""
            self.active[item.group].discard(work_id)
            del self.due[work_id]
            self.backlog[item.group].insert(0, work_id)
            return Begun(outcome="paused")
        if item.lives == MOST_LIVES:
            item.reason, item.error_class, item.fence = f"its worker died {MOST_LIVES} times", "crash", fence
            self._close(work_id, "dead")
            return Begun(outcome="dead")
        item.state, item.fence, item.lives = "running", fence, item.lives + 1
        item.deadline = self.now + item.timeout // timedelta(milliseconds=1)
        self.due[work_id] = self.now + lease // timedelta(milliseconds=1)
        return Begun(outcome="start", work=self._work(work_id, item))

    def _work(self, work_id: str, item: Item) -> Work:
        run = self.works[item.run] if item.run else item
        return Work(
            id=work_id,
            kind="delivery" if item.run else "run",
            fence=item.fence,
            event=item.event,
            generation=item.generation,
            attempts=item.attempts,
            lives=item.lives,
            time_left=item.timeout,
            sink=item.sink,
            checkpoints=dict(run.steps if item.run else item.checkpoints),
            result=run.result if item.run else None,
        )

    async def renew(self, beats: Sequence[Beat], *, lease: timedelta = LEASE) -> list[bool]:
        return [self._renew(beat, lease // timedelta(milliseconds=1)) for beat in beats]

    def _renew(self, beat: Beat, lease: int) -> bool:
        item = self.works[beat.id]
        if item.over or item.fence != beat.fence or self.now >= item.deadline + lease:
            return False
        item.state, item.reason = "running", beat.reason
        self.due[beat.id] = min(self.now, item.deadline) + lease
        return True

    async def checkpoint(self, work: Work, step: str, *, output: bytes, took: str, total: int = 0) -> str:
        del total
        item = self.works[work.id]
        if not self._held(work):
            return "stale"
        if sum(map(len, (item.checkpoints | {step: output}).values())) > MOST_BYTES:
            return "too_big"
        item.checkpoints[step], item.steps[step] = output, took.encode()
        return "ok"

    async def finish(
        self,
        work: Work,
        state: str,
        *,
        result: bytes = b"null",
        reason: str = "",
        deliveries: Sequence[NewDelivery] = (),
    ) -> bool:
        item = self.works[work.id]
        if item.over and item.fence == work.fence:
            return True
        if not self._held(work):
            return False
        for new in deliveries:
            made = Item(group=f"sink:{new.sink}", lane="deliveries", event=item.event, timeout=new.timeout)
            made.run, made.sink, made.generation = work.id, new.sink, item.generation
            self.works[new.id] = made
            self._register(made.group, cap=new.concurrency, lane="deliveries")
            self._queue(new.id)
        item.result, item.reason, item.error_class = result, reason, ""
        if deliveries:
            item.deliveries, item.pending = [new.id for new in deliveries], len(deliveries)
        self._close(work.id, state)
        return True

    async def postpone(
        self, work: Work, delay: timedelta, *, reason: str, error_class: str = "", counted: bool = False, step: str = ""
    ) -> bool:
        del step
        item = self.works[work.id]
        if not self._held(work):
            return False
        item.state, item.fence, item.reason, item.error_class = "waiting", "", reason, error_class
        item.attempts, item.lives = item.attempts + counted, item.lives - 1
        self.due[work.id] = self.now + delay // timedelta(milliseconds=1)
        self._leave(work.id)
        return True

    async def bury(self, work: Work, *, reason: str, error_class: str, step: str = "", counted: bool = True) -> bool:
        del step
        item = self.works[work.id]
        if item.state == "dead" and item.fence == work.fence:
            return True
        if not self._held(work):
            return False
        item.attempts, item.reason, item.error_class = item.attempts + counted, reason, error_class
        self._close(work.id, "dead")
        return True

    async def sweep(self, worker: str, *, lease: timedelta = LEASE) -> Sweep:
        del worker
        woken = recovered = extended = 0
        gap = self.now - (self.now if self.swept is None else self.swept)
        self.swept = self.now
        if gap > OUTAGE // timedelta(milliseconds=1):
            for work_id in self._due():
                if self.works[work_id].state == "running":
                    self.due[work_id] = self.now + lease // timedelta(milliseconds=1)
                    extended += 1
        for work_id in self._due():
            item = self.works[work_id]
            if item.state == "waiting":
                del self.due[work_id]
                item.state = "queued"
                self.backlog[item.group].insert(0, work_id)
                self._feed(item.group)
                woken += 1
                continue
            recovered += item.state == "running"
            item.state = "queued"
            lane = self.lanes[self.groups[item.group]["lane"]]
            if work_id not in lane:
                lane.append(work_id)
                woken += 1
            self.due[work_id] = self.now + WOKEN
        soonest = min(self.due.values(), default=None)
        wait = None if soonest is None else timedelta(milliseconds=max(0, soonest - self.now))
        return Sweep(woken=woken, recovered=recovered, extended=extended, next_due=wait)

    def _due(self) -> list[str]:
        return [one for at, one in sorted((at, one) for one, at in self.due.items()) if at <= self.now]

    async def replay(self, work_id: str, *, scratch: bool = False) -> str:
        item = self.works.get(work_id)
        if item is None:
            return "gone"
        if item.run and self.works[item.run].generation != item.generation:
            return "gone"
        if item.state == "waiting":
            self.due[work_id] = self.now
            return "queued"
        if not item.over:
            return "busy"
        if item.run:
            self._redeliver(work_id)
        elif item.state == "done" and not scratch:
            over = [one for one in item.deliveries if self.works[one].over]
            if not over:
                return "busy" if item.deliveries else "nothing"
            item.keeps = ""
            for one in over:
                self._redeliver(one)
        else:
            if scratch:
                self._start_over(item)
            item.keeps = ""
            self._queue(work_id)
        self.counts["replayed"] += 1
        return "queued"

    def _start_over(self, item: Item) -> None:
        for one in item.deliveries:
            if not self.works[one].over:
                self.works[one].reason, self.works[one].fence = "replaced by a replay from scratch", ""
                self._close(one, "discarded")
        item.generation += 1
        item.checkpoints, item.steps, item.deliveries, item.pending, item.result = {}, {}, [], 0, None

    def _redeliver(self, work_id: str) -> None:
        item = self.works[work_id]
        item.keeps = self.works[item.run].keeps = ""
        self.works[item.run].pending += 1
        self._queue(work_id)

    async def discard(self, work_id: str) -> bool:
        item = self.works.get(work_id)
        if item is None or item.state != "dead":
            return False
        item.state = "discarded"
        self._settle(self.works[item.run] if item.run else item)
        self.counts["discarded"] += 1
        return True

    async def pause(self, kind: str, name: str) -> bool:
        changed = f"{kind}:{name}" not in self.stopped
        self.stopped.add(f"{kind}:{name}")
        return changed

    async def resume(self, kind: str, name: str) -> bool:
        changed = f"{kind}:{name}" in self.stopped
        self.stopped.discard(f"{kind}:{name}")
        for group in list(self.groups):
            self._feed(group)
        return changed

    def look(self) -> Look:
        """Give the whole state."""
        return Look(
            works={one: _seen(item) for one, item in self.works.items()},
            due=dict(self.due),
            lanes={lane: tuple(ids) for lane, ids in self.lanes.items()},
            active={group: frozenset(self.active[group]) for group in self.groups},
            backlog={group: tuple(self.backlog[group]) for group in self.groups},
            caps={group: rule["cap"] for group, rule in self.groups.items()},
            counts={name: number for name, number in self.counts.items() if number},
            dead=frozenset(one for one, item in self.works.items() if item.state == "dead"),
            paused=frozenset(self.stopped),
        )


def _seen(item: Item) -> Seen:
    return Seen(
        state=item.state,
        fence=item.fence,
        attempts=item.attempts,
        lives=item.lives,
        generation=item.generation,
        pending=item.pending,
        deliveries=tuple(item.deliveries),
        reason=item.reason,
        error_class=item.error_class,
        checkpoints=frozenset(item.checkpoints),
        bytes=sum(map(len, item.checkpoints.values())),
        keeps=item.keeps,
    )


class Real:
    """The ledger of the scripts, on a Redis that is emptied first; other verbs than these are the ledger's own."""

    def __init__(self, ledger: Ledger, url: str) -> None:
        self.ledger, self.redis = ledger, Redis.from_url(url, decode_responses=True)
        self.empty()

    def empty(self) -> None:
        """Forget everything, and begin again on the same morning."""
        self.redis.flushall()
        self.now_us = MORNING * 1000
        self._tell_time()

    def __getattr__(self, verb: str) -> Any:
        return getattr(self.ledger, verb)

    def _tell_time(self) -> None:
        self.redis.hset(CLOCK, mapping={"s": self.now_us // 1_000_000, "us": self.now_us % 1_000_000})

    async def pass_time(self, passed: timedelta) -> None:
        self.now_us += passed // timedelta(microseconds=1)
        self._tell_time()

    async def take(self, lane: str) -> str | None:
        return self.redis.lpop(key("lane", lane))

    async def push(self, lane: str, work_id: str) -> None:
        self.redis.rpush(key("lane", lane), work_id)

    def look(self) -> Look:
        """Give the whole state."""
        names = sorted(self.redis.smembers(key("groups")))
        ids = [one.removeprefix(key("work")) for one in self.redis.scan_iter(f"{key('work')}*", count=1000)]
        pipe = self.redis.pipeline(transaction=False)
        pipe.zrange(key("due"), 0, -1, withscores=True)
        pipe.hgetall(key("counts"))
        pipe.zrange(key("dead"), 0, -1)
        pipe.smembers(key("paused"))
        for lane in LANES:
            pipe.lrange(key("lane", lane), 0, -1)
        for name in names:
            pipe.smembers(key("active", name))
            pipe.lrange(key("backlog", name), 0, -1)
            pipe.hget(key("group", name), "cap")
        for one in ids:
            pipe.hgetall(key("work", one))
            pipe.hkeys(key("checkpoints", one))
            pipe.pttl(key("work", one))
        due, counts, dead, paused, *rest = pipe.execute()
        lanes, rest = rest[: len(LANES)], rest[len(LANES) :]
        groups, works = rest[: 3 * len(names)], rest[3 * len(names) :]
        return Look(
            works={one: _read(*works[3 * at : 3 * at + 3]) for at, one in enumerate(ids)},
            due={one: int(at) for one, at in due},
            lanes={lane: tuple(held) for lane, held in zip(LANES, lanes, strict=True)},
            active={name: frozenset(groups[3 * at]) for at, name in enumerate(names)},
            backlog={name: tuple(groups[3 * at + 1]) for at, name in enumerate(names)},
            caps={name: int(groups[3 * at + 2]) for at, name in enumerate(names)},
            counts={name: int(number) for name, number in counts.items()},
            dead=frozenset(dead),
            paused=frozenset(paused),
        )

    async def close(self) -> None:
        self.redis.close()
        await self.ledger.close()


def _read(work: dict[str, str], checkpoints: list[str], ttl: int) -> Seen:
    return Seen(
        state=work.get("state", ""),
        fence=work.get("fence", ""),
        attempts=int(work.get("attempts", 0)),
        lives=int(work.get("lives", 0)),
        generation=int(work["generation"]),
        pending=int(work.get("pending", 0)),
        deliveries=tuple(work.get("deliveries", "").split()),
        reason=work.get("reason", ""),
        error_class=work.get("class", ""),
        checkpoints=frozenset(checkpoints),
        bytes=int(work.get("bytes", 0)),
        keeps="" if ttl < 0 else KEEP if ttl <= 86_400_000 else KEEP_DEAD,
    )


async def open_real(url: str) -> Real:
    """Open the ledger there, with a clock that we tell."""
    ledger = await open_ledger(url, deadline=PATIENT)
    scripts = ledger.scripts
    for name, text in scripts.texts.items():
        scripts.texts[name] = text.replace(ASKS, TOLD)
        scripts.digests[name] = hashlib.sha1(scripts.texts[name].encode(), usedforsecurity=False).hexdigest()
    assert all(TOLD in text for text in scripts.texts.values()), "the scripts ask for the time in another way now"
    return Real(ledger, url)
