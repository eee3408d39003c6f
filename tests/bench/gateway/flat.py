"""Whether a full store is as quick as an empty one: three gateways, each with a Redis of its own, interleaved.

While a store is filled, its append-only file is off; afterwards it is written once, and not rewritten during the
rounds: a rewrite in the middle of one store's round would be taken for its size.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import redis
from bench.gateway.fill import ID_ONLY, STORED, fill
from bench.gateway.rounds import Sample, run_rounds
from bench.gateway.subjects import Subject, hookmill
from stack import until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.telling import Say

CONNECTIONS = 64
EMPTY, REMEMBERED, STORED_ALL = "empty", "remembered", "stored"
KINDS = {EMPTY: None, REMEMBERED: ID_ONLY, STORED_ALL: STORED}
OPTIONS = {"appendonly": "no", "auto-aof-rewrite-percentage": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """The rounds by store, how many events each full one held, and the bytes of Redis for each of those."""

    events: int
    bytes_each: dict[str, float]
    filled_in: dict[str, float]
    samples: Sequence[Sample]


def run_flat(folder: Path, *, events: int, rounds: int, seconds: int, say: Say) -> Flat:
    """Fill the stores, then take the rounds."""
    bytes_each, filled_in, subjects = dict[str, float](), dict[str, float](), list[Subject]()
    with ExitStack() as opened:
        for name, kind in KINDS.items():
            subject = opened.enter_context(hookmill(folder / name, options=OPTIONS))
            if kind:
                say(f"flat: {events:,} events, {name}")
                began, before = time.monotonic(), subject.memory
                fill(subject.redis.url, events, kind)
                bytes_each[name] = (subject.memory - before) / events
                filled_in[name] = time.monotonic() - began
            append(subject.redis.url)
            subjects.append(replace(subject, name=name, **({"clear": keep} if kind else {})))
        samples = run_rounds(
            subjects,
            connections=(CONNECTIONS,),
            rounds=rounds,
            seconds=seconds,
            say=lambda what: say(f"flat, {what}"),
        )
    return Flat(events=events, bytes_each=bytes_each, filled_in=filled_in, samples=samples)


def keep() -> None:
    """Clear nothing: this store is to be full."""


def append(url: str) -> None:
    """Begin the append-only file, and wait until it is written."""
    with redis.Redis.from_url(url) as client:
        client.config_set("appendonly", "yes")
        until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], within=300)
