"""Where the CPU of an event goes: the gateway and the bare route under a sampler, one after the other."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.gateway.subjects import APPS, Subject, bare, hookmill
from bench.gateway.wrk import press
from stack import until

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bench.telling import Say

CONNECTIONS = 64
LAYERS = {  # the innermost file of a sample that is named here says whose it is
    "loop": "event loop, and what the kernel does for it",
    "/uvicorn/": "uvicorn",
    "/starlette/": "Starlette",
    "/apps/bare.py": "receive: event, answer",
    "/gateway/wire.py": "wire: bounds of a connection",
    "/gateway/hooks.py": "hooks: how each request ended",
    "/gateway/reply.py": "receive: event, answer",
    "/gateway/body.py": "body and header hygiene",
    "/gateway/verify/strict_json.py": "strict JSON",
    "/gateway/verify/": "signature",
    "/gateway/receive.py": "receive: event, answer",
    "/gateway/admit.py": "admit: batches",
    "/gateway/ledger/": "ledger: arguments, verdicts",
    "/gateway/": "the rest of the gateway",
    "/redis/": "Redis client",
    "/otel/": "log line",
    "/logging/": "log line",
}
OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How the CPU of an event is split: microseconds by layer, dearest first; `kernel` is the share of system time."""

    subject: str
    cpu_us: float
    kernel: float
    samples: int
    layers: dict[str, float]


def run_splits(folder: Path, *, seconds: int, say: Say) -> list[Split]:
    """Sample each under load."""
    splits = []
    for name, start in (("bare route", bare), ("gateway", hookmill)):
        say(f"profile: {name}")
        report = folder / f"{name}.json"
        runner = (str(APPS / "sampled.py"), str(report))
        splits.append(_split(start(folder / f"{name} sampled", runner=runner), report, seconds=seconds))
    return splits


def _split(starting: AbstractContextManager[Subject], report: Path, *, seconds: int) -> Split:
    with starting as subject:
        press(subject.url, connections=CONNECTIONS, seconds=1)
        os.kill(subject.pid, signal.SIGUSR1)
        cpu, system = subject.cpu, subject.system
        seen = press(subject.url, connections=CONNECTIONS, seconds=seconds)
        cpu, system = subject.cpu - cpu, subject.system - system
        os.kill(subject.pid, signal.SIGUSR2)
        until(report.exists)
    layers = Counter[str]()
    for files, times in json.loads(report.read_text()).items():
        layers[layer(files.split("\n"))] += times
    each = cpu / seen.accepted * 1e6
    return Split(
        subject=subject.name,
        cpu_us=each,
        kernel=system / cpu,
        samples=layers.total(),
        layers={name: each * times / layers.total() for name, times in layers.most_common()},
    )


def layer(files: list[str]) -> str:
    """Name the layer of a stack, innermost file first."""
    for file in files:
        for mark, name in LAYERS.items():
            if mark in file:
                return name
    return OTHER
