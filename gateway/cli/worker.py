"""The command line of a worker: the stock `dramatiq` program over our composition root."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPOSE = "actors.worker:compose"
QUEUES = ("runs", "deliveries")
SHUTDOWN = timedelta(seconds=25)
"""How long Dramatiq waits for running work at the end; a supervisor should wait longer before it kills."""


def worker_command(*, threads: int, processes: int, lanes: Sequence[str] = QUEUES) -> list[str]:
    """Give the command that works these virtual queues; `threads`, per process, is the sum of the shares.

    Tell only the master to end (SIGTERM to its pid): a signal to the whole group can hang Dramatiq's workers.
    """
    options = {
        "--processes": str(processes),
        "--threads": str(threads),
        "--worker-shutdown-timeout": str(SHUTDOWN // timedelta(milliseconds=1)),
    }
    given = [word for option in options.items() for word in option]
    return [sys.executable, "-m", "dramatiq", COMPOSE, *given, "--queues", *lanes, "--skip-logging", "--path", "."]


def worker_environment(*, run_threads: int, delivery_threads: int) -> dict[str, str]:
    """Give the variables that tell a worker process the shares of its threads."""
    return {"HOOKMILL_RUN_THREADS": str(run_threads), "HOOKMILL_DELIVERY_THREADS": str(delivery_threads)}
