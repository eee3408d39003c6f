"""Where an attempt stands among the traces: worked out from what its record says, the same in every process.

Nothing is carried from one process to the next but the event's own `traceparent`. Ids of spans that others point at
are hashes of what makes them the same: so an attempt knows the span of the one before it, and a sink hears of the span
of its delivery before that has ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel.records import DeliveryAttempted, RunFinished

LATE = timedelta(minutes=15)
"""An attempt that begins longer after its event has a trace of its own: the event's may be closed, or sampled out."""

TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

Place = tuple[int, int]
"""A trace id and a span id."""

Samples = Callable[[int], bool]
"""Tells of a trace id whether that trace is recorded; all processes tell alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """A trace, the span below which attempts stand in it (0: they are roots), and the span that it goes on from.

    Of a replay nobody has made the span `below` yet: its first attempt does.
    """

    trace: int
    below: int
    link: Place | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What decides where an attempt stands.

    That is the trace context of its event, when that was replayed (milliseconds since 1970, 0: never), how long the
    attempt waited since, and the lease that it is worked under.
    """

    traceparent: str
    replayed: int = 0
    waited: timedelta = timedelta(0)
    lease: str = ""


def read_traceparent(text: str) -> Place | None:
    """Read a W3C trace context; None where it is none, or names nothing.

    https://www.w3.org/TR/trace-context/#traceparent-header
    """
    found = TRACEPARENT.fullmatch(text)
    if found is None or text.startswith("ff"):
        return None
    trace, span = int(found[1], 16), int(found[2], 16)
    return (trace, span) if trace and span else None


def find_trail(origin: Origin) -> Trail | None:
    """Give where attempts of that origin stand; None where its event has no trace."""
    enqueued = read_traceparent(origin.traceparent)
    if enqueued is None:
        return None
    trace, span = enqueued
    if origin.waited > LATE:
        return Trail(trace=_hash(16, "late", *enqueued, origin.lease), below=0, link=enqueued)
    if origin.replayed:
        again = _hash(16, "replay", *enqueued, origin.replayed)
        return Trail(trace=again, below=_hash(8, "replay", again), link=enqueued, replayed=True)
    return Trail(trace=trace, below=span)


def run_span(trail: Trail, attempt: int) -> int:
    """Give the span of the attempt of a run that counts under that number: the next one links to it."""
    return _hash(8, "run", trail.trace, trail.below, attempt)


def lease_span(lease: str) -> int:
    """Give the span of what was worked under that lease, and counts as no attempt of a run."""
    return _hash(8, "lease", lease)


def span_of(record: RunFinished | DeliveryAttempted, trail: Trail) -> int:
    """Give the span of that attempt."""
    if record.kind == "run" and record.counts:
        return run_span(trail, record.attempt)
    return lease_span(record.origin.lease)


def carry(origin: Origin, samples: Samples) -> str:
    """Write the trace context that a delivery takes to its sink: what happens there stands below this attempt.

    Its flag says whether this attempt leaves a span.
    https://www.w3.org/TR/trace-context/#sampled-flag
    """
    trail = find_trail(origin)
    if trail is None:
        return ""
    return f"00-{trail.trace:032x}-{lease_span(origin.lease):016x}-{samples(trail.trace):02x}"


def all_sampled(trace: int) -> bool:
    """Take every trace for recorded: without telemetry nobody here decides, and no sink is to be kept from its own."""
    del trace
    return True


def _hash(size: int, *parts: object) -> int:
    """Give a number of so many bytes; never 0, which names nothing."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=size).digest(), "big") or 1
