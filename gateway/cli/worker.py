"""The command line of a worker: the stock `dramatiq` program over our composition root."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPOSE = "actors.worker:compose"
LANES = ("high", "normal", "low", "deliveries")
SHUTDOWN = timedelta(seconds=25)
"""How long Dramatiq waits for running work at the end; a supervisor should wait longer before it kills."""


def worker_command(*, threads: int, processes: int, lanes: Sequence[str] = LANES) -> list[str]:
    """Give the command that works these lanes; `threads`, per process, is the sum of the shares.

    Tell only the master to end (SIGTERM to its pid): a signal to the whole group can hang Dramatiq's workers.
    """
    options = {
        "--processes": str(processes),
        "--threads": str(threads),
        "--worker-shutdown-timeout": str(SHUTDOWN // timedelta(milliseconds=1)),
    }
    given = [word for option in options.items() for word in option]
    queues = dict.fromkeys("deliveries" if lane == "deliveries" else "runs" for lane in lanes)
    return [sys.executable, "-m", "dramatiq", COMPOSE, *given, "--queues", *queues, "--skip-logging", "--path", "."]


def worker_environment(
    *, run_threads: int, delivery_threads: int, lanes: Sequence[str] = LANES, step_processes: int | None = None
) -> dict[str, str]:
    """Give the variables that tell a worker process its lanes and shares; `step_processes` None: one per core."""
    shares = {
        "HOOKMILL_LANES": ",".join(lanes),
        "HOOKMILL_RUN_THREADS": str(run_threads),
        "HOOKMILL_DELIVERY_THREADS": str(delivery_threads),
    }
    return shares if step_processes is None else shares | {"HOOKMILL_STEP_PROCESSES": str(step_processes)}


def read_lanes(text: str) -> tuple[str, ...]:
    """Read `high,normal`. Raises ValueError for a lane that there is not."""
    lanes = tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    if unknown := [one for one in lanes if one not in LANES]:
        raise ValueError(f"there is no lane {unknown[0]!r}; there are {', '.join(LANES)}")
    if not lanes:
        raise ValueError(f"expected lanes, of {', '.join(LANES)}")
    return lanes
