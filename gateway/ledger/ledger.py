"""The ledger: all state of events, runs and deliveries, changed only by the scripts in `lua/`."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from gateway.ledger.admission import admit_arguments
from gateway.ledger.alert import alert_arguments, notice_arguments
from gateway.ledger.begun import make_work, with_run
from gateway.ledger.connection import answer, connect
from gateway.ledger.errors import LedgerDown, LedgerError, no_ledger
from gateway.ledger.event import Begun, By, Retention, Sweep, Verdict, Work
from gateway.ledger.keys import key
from gateway.ledger.letters import Letters
from gateway.ledger.progress import make_progress
from gateway.ledger.scripts import Scripts
from gateway.ledger.slots import Slots, ms
from gateway.ledger.spending import Spending, nano

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from redis.asyncio import Redis

    from gateway.ledger.alert import AlertRules
    from gateway.ledger.event import Admission, Beat, NewDelivery, Wait
    from gateway.ledger.progress import Progress

FLOOR = (6, 2)
SCRIPT_FLAGS = (7, 0)
LEASE = timedelta(seconds=9)  # what a killed worker owned goes on within ten
MOST_LIVES = 5
MOST_BYTES = 8 * 1024 * 1024
SWEEP_BATCH = 200
OUTAGE = timedelta(seconds=5)
UNSAVED_KEPT = timedelta(days=62)  # as long as the book of a day
YES = {b"ok": True, b"stale": False, 1: True, 0: False}  # what a script answers, and nothing else
BROKEN = (ArithmeticError, LookupError, OSError, TypeError, ValueError)  # what a record that is none can raise


class Ledger(Letters):
    """The verbs of the ledger; each is one atomic script and one round trip.

    Every verb raises LedgerDown when Redis does not answer in time, LedgerFull when it has no memory left for an
    admission, LedgerError for anything else. Redis' clock is the only one used.
    """

    def __init__(
        self, redis: Redis, *, shebang: bool = True, retention: Retention | None = None, wait: Wait | None = None
    ) -> None:
        """Take a connected client (see `open_ledger`)."""
        self.redis = redis
        self.scripts = Scripts(redis, shebang=shebang, wait=wait)
        self.slots = Slots(self.scripts)
        self.spending = Spending(self.scripts)
        kept = retention or Retention()
        self._keep = (ms(kept.keep), ms(kept.keep_dead))

    async def close(self) -> None:
        """Close the connections."""
        await self.scripts.close()
        await self.redis.aclose()

    def admit(self, batch: Sequence[Admission]) -> Awaitable[list[Verdict]]:
        """Admit events, each independent of its neighbours; the verdicts come in the order of the batch.

        They are on their way to Redis when this returns. LedgerDown may mean that the replicas to wait for are late:
        the event is stored then, and asking again is answered as a duplicate once they have it.
        """
        return _verdicts(self.scripts.send("admit", *self._keep, *admit_arguments(batch)))

    async def begin(self, work_id: str, *, fence: str, lease: timedelta = LEASE) -> Begun:
        """Become the owner of a run or delivery, unless it is owned, over, waiting, paused or gone."""
        answer = await self.scripts("begin", work_id, fence, ms(lease), MOST_LIVES, self._keep[1])
        outcome = answer[0].decode()
        if outcome != "start":
            return Begun(outcome=outcome)
        try:
            return Begun(outcome=outcome, work=await self._with_run(make_work(work_id, fence, *answer[1:])))
        except BROKEN as error:
            reason = f"its event cannot be read ({type(error).__name__})"
            await self.scripts("bury", work_id, fence, reason, "undecodable", "", 0, self._keep[1])
            return Begun(outcome="dead")

    async def _with_run(self, work: Work) -> Work:
        """Add what is known of its run to a delivery, unless that was replayed itself or Redis is silent."""
        if work.kind == "run" or work.replayed:
            return work
        try:
            run = self.redis.hmget(key("work", work.event.id), "received", "since", "attempts")
            return with_run(work, await answer(run))
        except LedgerDown:
            return work

    async def renew(self, beats: Sequence[Beat], *, lease: timedelta = LEASE) -> list[bool]:
        """Lengthen leases; False for a work that was lost to another owner or is past its deadline."""
        arguments = [part for beat in beats for part in (beat.id, beat.fence, beat.step, beat.reason)]
        return [YES[answer] for answer in await self.scripts("renew", ms(lease), *arguments)]

    async def checkpoint(self, work: Work, step: str, *, output: bytes, took: str, total: int = 0) -> str:
        """Save a step's output (JSON) and what it took (JSON); `ok`, `stale` or `too_big` (8 MiB a run)."""
        answer = await self.scripts("checkpoint", work.id, work.fence, step, output, took, MOST_BYTES, total)
        return str(answer.decode())

    async def finish(
        self,
        work: Work,
        state: str,
        *,
        result: bytes = b"null",
        reason: str = "",
        deliveries: Sequence[NewDelivery] = (),
    ) -> bool:
        """End a run as done or discarded with its deliveries recorded, or a delivery as delivered; False if stale."""
        new = [part for one in deliveries for part in (one.id, one.sink, one.concurrency, ms(one.timeout))]
        answer = await self.scripts("finish", work.id, work.fence, state, result, reason, *self._keep, *new)
        return YES[answer]

    async def postpone(
        self, work: Work, delay: timedelta, *, reason: str, error_class: str = "", counted: bool = False, step: str = ""
    ) -> bool:
        """Give the work back until `delay` is over; only a classified failure is counted as an attempt."""
        answer = await self.scripts("postpone", work.id, work.fence, ms(delay), reason, error_class, int(counted), step)
        return YES[answer]

    async def bury(self, work: Work, *, reason: str, error_class: str, step: str = "", counted: bool = True) -> bool:
        """Make it a dead letter, replayable; False if stale."""
        answer = await self.scripts("bury", work.id, work.fence, reason, error_class, step, int(counted), self._keep[1])
        return YES[answer]

    async def sweep(self, worker: str, *, lease: timedelta = LEASE) -> Sweep:
        """Wake what is due and recover what lost its owner, and note that this worker lives; any number may call."""
        woken, recovered, extended, due = await self.scripts("sweep", SWEEP_BATCH, ms(lease), ms(OUTAGE), worker)
        next_due = None if due is None else timedelta(milliseconds=due)
        return Sweep(woken=woken, recovered=recovered, extended=extended, next_due=next_due)

    async def retire(self, worker: str) -> None:
        """Note that this worker has stopped in good order."""
        await answer(self.redis.zrem(key("workers"), worker))

    async def replay(self, work_id: str, *, scratch: bool = False, by: By | None = None, most_waiting: int = 0) -> str:
        """Work it again: `queued`, or why not: `busy`, `gone`, `nothing` (finished and has no sink), `full`.

        It is `full` where `most_waiting` of its source or sink wait for their turn already; 0 is no bound.
        """
        told = _told(by, "scratch" if scratch else "replay", work_id)
        return str((await self.scripts("replay", work_id, int(scratch), told, most_waiting, *self._keep)).decode())

    async def discard(self, work_id: str, *, by: By | None = None) -> bool:
        """Take a dead letter off the list; False if it is none."""
        return YES[await self.scripts("discard", work_id, *self._keep, _told(by, "discard", work_id))]

    async def cancel(self, work_id: str, *, reason: str = "cancelled") -> str:
        """Discard what is not over: `cancelled`, or why not: `over`, `gone`. One at work stops at its next renewal."""
        return str((await self.scripts("cancel", work_id, reason, *self._keep)).decode())

    async def last_due(self, name: str) -> tuple[datetime, datetime]:
        """Give the last due time of that schedule that was admitted, and Redis' present; a new one begins now."""
        return _moments(await self.scripts("schedule", name, 0, "ask"))

    async def claim_due(self, name: str, due: datetime) -> bool:
        """Get leave to admit that due time, for 5 s; False if another worker has it, or it is admitted."""
        return bool((await self.scripts("schedule", name, _ms_of(due), "claim"))[2])

    async def note_due(self, name: str, due: datetime) -> tuple[datetime, datetime]:
        """Note that it is admitted; gives what `last_due` gives."""
        return _moments(await self.scripts("schedule", name, _ms_of(due), "done"))

    async def alert(self, rules: AlertRules) -> str:
        """Record a notice for a sink if there are too many dead letters; gives it as JSON, or "" if there are not."""
        return str((await self.scripts("alert", *alert_arguments(rules))).decode())

    async def remember(self, name: str, told: str, within: timedelta) -> None:
        """Keep a model's answer under the hash of its question, for so long."""
        await answer(self.redis.set(key("answers", name), told, px=ms(within)))

    async def recall(self, name: str) -> str | None:
        """Give the answer that is kept under that hash."""
        kept = await answer(self.redis.get(key("answers", name)))
        return kept.decode() if kept else None

    async def take_turn(self, what: str, within: timedelta) -> bool:
        """Take the turn to do what one process does for all; False if somebody has taken it within that time."""
        return bool(await answer(self.redis.set(key("duty", what), 1, nx=True, px=ms(within))))

    async def keep_receipt(self, delivery_id: str, receipt: bytes, *, dead: bool) -> None:
        """Keep what a sink answered to an attempt that failed (JSON), for as long as the delivery."""
        kept = self._keep[1] if dead else self._keep[0]
        await answer(self.redis.set(key("receipt", delivery_id), receipt, px=kept))

    async def note_unsaved(self, run_id: str, dollars: float) -> None:
        """Add to what the asks of a run cost whose step was not saved, in US dollars."""
        pipe = self.redis.pipeline(transaction=False)
        pipe.hincrby(key("unsaved", run_id), "cost", nano(dollars))
        pipe.pexpire(key("unsaved", run_id), ms(UNSAVED_KEPT))
        await answer(pipe.execute())

    async def notify(self, rules: AlertRules, kind: str, about: str, notice: Mapping[str, Any]) -> bool:
        """Record a notice (plain JSON values) for the sink of the rules; False where the last one is too young."""
        return {1: True, 0: False}[await self.scripts("notice", *notice_arguments(rules, kind, about, notice))]

    async def progress(self, marks: Mapping[str, str]) -> dict[str, Progress | None]:
        """Tell how far those works are that changed since their mark ("" for none); None for one that is gone."""
        answers = await self.scripts("progress", json.dumps(marks))
        return {one.decode(): make_progress(one.decode(), answer) if answer else None for one, *answer in answers}

    async def pause(self, kind: str, name: str, *, by: By | None = None) -> bool:
        """Pause a source, pipeline or sink: what runs goes on, nothing new begins; False if it was paused."""
        return YES[await self.scripts("pause", f"{kind}:{name}", 1, _told(by, "pause", f"{kind}:{name}"))]

    async def resume(self, kind: str, name: str, *, by: By | None = None) -> bool:
        """Resume it; False if it was not paused."""
        return YES[await self.scripts("pause", f"{kind}:{name}", 0, _told(by, "resume", f"{kind}:{name}"))]


async def _verdicts(answers: Awaitable[Any]) -> list[Verdict]:
    sent = time.perf_counter()
    told = await answers
    took = time.perf_counter() - sent
    return [
        Verdict(
            outcome=outcome.decode(),
            event_id=event_id.decode(),
            state=state.decode(),
            retry_after=wait / 1e6,
            remaining=remaining,
            took=took,
        )
        for outcome, event_id, state, wait, remaining in told
    ]


async def open_ledger(
    url: str,
    *,
    deadline: timedelta = timedelta(seconds=1),
    retention: Retention | None = None,
    wait: Wait | None = None,
) -> Ledger:
    """Connect to a Redis >= 7.0, a Valkey, or at least a Redis 6.2; `wait` for replicas goes with every admission.

    Raises LedgerError, in one line without the password, where there is none. A command is never sent twice: what may
    be repeated is repeated by its caller.
    """
    seconds = deadline.total_seconds()
    try:
        redis = connect(url, seconds=seconds)
    except ValueError as error:
        raise LedgerError(f"HOOKMILL_REDIS_URL is not a Redis URL: {error}") from None
    try:
        version = _version(await redis.info("server"))
    except (RedisError, OSError) as error:
        await redis.aclose()
        raise no_ledger(_where(url), error) from error
    if version < FLOOR:
        await redis.aclose()
        raise LedgerError(f"Redis at {_where(url)} is {version[0]}.{version[1]}; 7.0 or newer, or Valkey, is needed")
    return Ledger(redis, shebang=version >= SCRIPT_FLAGS, retention=retention, wait=wait)


def _told(by: By | None, what: str, on: str) -> str:
    """Write what the audit trail says of an action; nothing where nobody is named."""
    if by is None:
        return ""
    return json.dumps({"who": by.who, "what": what, "on": by.on or on, "bulk": by.bulk})


def _version(info: dict[str, Any]) -> tuple[int, int]:
    major, minor, *_ = str(info["redis_version"]).split(".")
    return int(major), int(minor)


def _where(url: str) -> str:
    """Name a Redis without its password, which may stand before the @ or in the query."""
    return url.partition("?")[0].rpartition("@")[2]


def _ms_of(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _moments(answer: list[int]) -> tuple[datetime, datetime]:
    return datetime.fromtimestamp(answer[0] / 1000, UTC), datetime.fromtimestamp(answer[1] / 1000, UTC)
