"""The nouns of the ledger: what goes in, and what its scripts answer."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from pydantic_core import to_json

from gateway.frozen import frozen

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base32: sorts as it counts
TO_BASE_32 = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # Python's digits
LOW_64 = (1 << 64) - 1
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
TIME_SHIFTS, RANDOM_SHIFTS = range(40, -1, -10), range(70, -1, -10)  # of 48 and 80 bits, ten at a time
EVENT_ID = re.compile(rf"evt_[0-7][{ALPHABET}]{{25}}")
WORK_ID = re.compile(rf"{EVENT_ID.pattern}|dlv_[0-9a-f]{{32}}")
Lane = Literal["high", "normal", "low"]
Outcome = Literal["accepted", "duplicate", "conflict", "limited", "full"]


def new_event_id(now: datetime) -> str:
    """Make `evt_` and 26 characters: 48 bits of milliseconds, then 80 random bits, so ids sort by time (a ULID)."""
    number = secrets.randbits(80)
    return _opening(int(now.timestamp() * 1000)) + "".join([PAIRS[number >> shift & 1023] for shift in RANDOM_SHIFTS])


@lru_cache(16)
def _opening(milliseconds: int) -> str:
    """Give what the ids of one millisecond share; remembered, for a burst has many."""
    return "evt_" + "".join([PAIRS[milliseconds >> shift & 1023] for shift in TIME_SHIFTS])


def received_ms(event_id: str) -> int:
    """Give the milliseconds since 1970 that an event id begins with. Raises ValueError where it is none."""
    if not EVENT_ID.fullmatch(event_id):
        raise ValueError(f"expected an event id, got {len(event_id)} characters")
    return _number(event_id) >> 80


def new_traceparent(event_id: str, *, trace: int = 0) -> str:
    """Give the W3C trace context of a new, sampled trace whose id is the 128 bits of the event's: one names the other.

    An event that goes on with a `trace` has that one's id instead.
    https://www.w3.org/TR/trace-context/#traceparent-header
    """
    number = _number(event_id)
    return f"00-{trace or number:032x}-{number & LOW_64:016x}-01"


def _number(event_id: str) -> int:
    return int(event_id[4:].translate(TO_BASE_32), 32)


@frozen
class Event:
    """A verified request that was accepted; immutable."""

    id: str
    source: str
    pipeline: str
    received_at: datetime
    body: bytes = field(repr=False)
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    traceparent: str = ""
    source_event_id: str | None = None

    @property
    def json(self) -> Any:
        """The body, parsed as JSON. Raises ValueError where it is not JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 become U+FFFD."""
        return self.body.decode("utf-8", "replace")

    def record(self) -> str:
        """Everything but the body, as the JSON text that the ledger keeps."""
        record = to_json(
            {
                "id": self.id,
                "source": self.source,
                "pipeline": self.pipeline,
                "received_at": self.received_at.timestamp(),
                "content_type": self.content_type,
                "headers": self.headers,
                "traceparent": self.traceparent,
                "source_event_id": self.source_event_id,
            }
        )
        return record.decode()

    @classmethod
    def restore(cls, record: str | bytes, body: bytes) -> Event:
        """Make the event again from what `record()` gave, and its body."""
        kept = json.loads(record)
        return cls(**kept | {"received_at": datetime.fromtimestamp(kept["received_at"], UTC), "body": body})


@frozen
class Limit:
    """A source's own budget: `count` events per `period`, of which `burst` may come at once (GCRA)."""

    count: int
    period: timedelta
    burst: int


@frozen
class Rules:
    """What the admit script applies to every event of a source.

    `nonce_ttl` is how long an equal MAC is a replay. `max_total` is how many events of all sources may wait for their
    run; those of a low lane are refused first.
    """

    source: str
    pipeline: str
    lane: Lane = "normal"
    concurrency: int = 20
    max_backlog: int = 10_000
    max_total: int = 100_000
    timeout: timedelta = timedelta(minutes=10)
    dedupe_ttl: timedelta = timedelta(days=7)
    idempotent: bool = False
    nonce_ttl: timedelta = timedelta(minutes=10)
    limit: Limit | None = None


@frozen
class Admission:
    """One event at the door; `flaw` is why no run can work it: it is then kept as a dead letter at once."""

    event: Event
    rules: Rules
    nonce: str
    dedupe_id: str | None = None
    flaw: str = ""


@frozen
class Verdict:
    """The admit script's answer for one event; `event_id` is the first event's where this one is a duplicate.

    `took` is how many seconds the ledger needed for the whole batch; it says nothing about the event.
    """

    outcome: Outcome
    event_id: str = ""
    state: str = ""
    retry_after: float = 0.0
    remaining: int = 0
    took: float = field(default=0.0, compare=False)


@frozen
class Work:
    """A run (`evt_…`) or a delivery (`dlv_…`) that its caller owns now, under `fence`.

    `age` is how long ago it was received, or replayed; `waited` the same of a delivery's run, unless the delivery was
    replayed. `made_at` is when it was recorded and `replayed` when it was replayed (milliseconds since 1970, 0: never),
    `run_attempt` the attempt of the run that made a delivery, 0 where it was replayed. `checkpoints` of a delivery are
    what the steps of its run took (JSON), not their outputs.
    """

    id: str
    kind: Literal["run", "delivery"]
    fence: str
    event: Event
    generation: int
    attempts: int
    lives: int
    time_left: timedelta
    age: timedelta = timedelta(0)
    waited: timedelta = timedelta(0)
    replayed: int = 0
    made_at: int = 0
    run_attempt: int = 0
    sink: str = ""
    checkpoints: dict[str, bytes] = field(default_factory=dict, repr=False)
    result: bytes | None = field(default=None, repr=False)


@frozen
class Begun:
    """The begin script's answer; `work` is there only when the outcome is `start`."""

    outcome: Literal["start", "busy", "waiting", "paused", "done", "dead", "gone"]
    work: Work | None = None


@frozen
class Beat:
    """What a lease renewal says of its work: which step it is in, and what it waits for."""

    id: str
    fence: str
    step: str = ""
    reason: str = ""


@frozen
class NewDelivery:
    """One delivery to record with the result; its id is stable over retries and replays of one generation."""

    id: str
    sink: str
    concurrency: int
    timeout: timedelta


@frozen
class Sweep:
    """What a sweep did, and how long until the next work is due (None: nothing is scheduled)."""

    woken: int
    recovered: int
    extended: int
    next_due: timedelta | None


@frozen
class By:
    """Who acts, and on what (default: the id acted on), for the audit trail; what shares a `bulk` becomes one entry."""

    who: str
    on: str = ""
    bulk: str = ""


@frozen
class Retention:
    """How long finished events and dead letters stay readable."""

    keep: timedelta = timedelta(hours=24)
    keep_dead: timedelta = timedelta(days=30)


@frozen
class Wait:
    """How many replicas must have an event before it counts as admitted, and how long they may take."""

    replicas: int
    within: timedelta


def new_delivery_id(run: str, sink: str, generation: int) -> str:
    """Make `dlv_` and 32 hex characters: a hash of what makes a delivery the same delivery."""
    return "dlv_" + hashlib.sha256(f"{run} {sink} {generation}".encode()).hexdigest()[:32]
