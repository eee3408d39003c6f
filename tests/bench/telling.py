"""What a long bench says while it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

CORES = 2  # that all which is measured shares
QUIET = 0.5  # load average

Say = Callable[[str], None]


@contextmanager
def telling() -> Iterator[Say]:
    """Show on stderr what is being done: in one line of a terminal, else in a line each."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, refresh_per_second=2) as shown:
        line = shown.add_task("", total=None)
        yield (lambda what: shown.update(line, description=what)) if console.is_terminal else console.print


def warn_if_busy() -> None:
    """Say so where something else is at work."""
    if os.getloadavg()[0] > QUIET:
        print(f"this machine is busy (load {os.getloadavg()[0]:.1f}); the figures will tell little", file=sys.stderr)
