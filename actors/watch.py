"""The watch over the event loop of the runs: one line when it answers late, naming the step that holds it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from otel.records import LoopBlocked, tell

if TYPE_CHECKING:
    from gateway.ledger import Ledger
    from otel.records import Listener

LOOK = timedelta(milliseconds=250)
LATE = 1.0  # seconds without an answer
QUIET = 10.0  # seconds between two lines


class Watch:
    """Asks the loop for a sign of life from the keeper's thread. Made inside the loop that it watches."""

    def __init__(self, listeners: tuple[Listener, ...]) -> None:
        """Take who hears of it."""
        self._listeners = listeners
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._asked: float | None = None
        self._told = -QUIET

    async def look(self, ledger: Ledger) -> timedelta:
        """Ask, or see how long the answer has been missing; gives when to look again."""
        del ledger
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
            with suppress(RuntimeError):  # the loop is closed: the worker ends
                self._loop.call_soon_threadsafe(self._answer)
        elif now - self._asked > LATE and now - self._told > QUIET:
            self._told = now
            tell(self._listeners, self._blocked(timedelta(seconds=now - self._asked)))
        return LOOK

    def _answer(self) -> None:
        self._asked = None

    def _blocked(self, late: timedelta) -> LoopBlocked:
        task = asyncio.current_task(self._loop)
        event_id, _, step = (task.get_name() if task else "").partition(" ")
        named = event_id.startswith("evt_")
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - documented, for debuggers such as this
        at = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else ""
        return LoopBlocked(event_id=event_id if named else "", step=step if named else "", at=at, late=late)
