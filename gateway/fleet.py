"""Several processes behind one listening socket: forked from one parent, which passes signals on and replaces the dead.

They accept from one queue, so that no connection is lost with a process that ends.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("hookmill.gateway")
SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
TICK_SECONDS = 0.5
CALM_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0


class Fleet:
    """The parent: keeps so many processes running until a signal ends it, and them."""

    def __init__(self, count: int, *, work: Callable[[int], int], may_reload: Callable[[], bool]) -> None:
        """Take the number, what a process does, and who says whether a reload is to be passed on.

        `work` gets a file descriptor that is at its end once the parent is dead, and gives the exit code.
        """
        self._count = count
        self._work = work
        self._may_reload = may_reload
        self._alive: dict[int, float] = {}
        self._pause = FIRST_PAUSE
        self._next = 0.0
        self._leaving = False
        self._lifeline = (-1, -1)

    def run(self) -> None:
        """Run until a signal ended all processes; wants to be called without threads and without an event loop."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._lifeline = os.pipe()
        gc.collect()
        gc.freeze()  # what is here now stays shared with the processes
        try:
            while not self._leaving or self._alive:
                self._fill()
                self._hear(signal.sigtimedwait(SIGNALS, TICK_SECONDS))
                self._reap()
        finally:
            os.close(self._lifeline[0])
            os.close(self._lifeline[1])
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _fill(self) -> None:
        while not self._leaving and len(self._alive) < self._count and time.monotonic() >= self._next:
            pid = os.fork()
            if pid == 0:
                self._become()
            self._alive[pid] = time.monotonic()

    def _become(self) -> NoReturn:
        code = 1
        try:
            os.close(self._lifeline[1])
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            code = self._work(self._lifeline[0])
        finally:
            sys.stderr.flush()
            os._exit(code)  # the parent's own end is not for its copies

    def _hear(self, heard: signal.struct_siginfo | None) -> None:
        number = heard.si_signo if heard else 0
        if number in {signal.SIGTERM, signal.SIGINT}:
            self._leaving = True
            self._pass_on(signal.SIGTERM)
        elif number == signal.SIGHUP and self._may_reload():
            self._pass_on(signal.SIGHUP)

    def _pass_on(self, number: signal.Signals) -> None:
        for pid in self._alive:
            os.kill(pid, number)

    def _reap(self) -> None:
        for pid in list(self._alive):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                lived = time.monotonic() - self._alive.pop(pid)
                self._mourn(os.waitstatus_to_exitcode(status), lived)

    def _mourn(self, code: int, lived: float) -> None:
        if self._leaving:
            return
        self._pause = FIRST_PAUSE if lived >= CALM_SECONDS else min(self._pause * 2, LONGEST_PAUSE)
        self._next = time.monotonic() + self._pause
        log.error("a gateway process ended (%d); another one starts in %.1f s", code, self._pause)
