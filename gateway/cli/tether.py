"""Runs a command that ends with the process that started it, even when that one is killed by SIGKILL.

Run as a script: `python tether.py PARENT_PID SECONDS COMMAND...`. It passes SIGTERM on to the command, once, and kills
its whole process group when the command has not ended so many seconds later. On Linux it is told of its parent's death
by PR_SET_PDEATHSIG (https://man7.org/linux/man-pages/man2/pr_set_pdeathsig.2const.html). The command cannot use that
itself: the signal comes once per thread of the dying parent, and Dramatiq's workers hang after a second SIGTERM.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from types import FrameType

PR_SET_PDEATHSIG = 1


def tethered(command: Sequence[str], *, drain: timedelta) -> list[str]:
    """Give the command line that runs `command` tied to this process; start it in a session of its own."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(drain.total_seconds()), *command]


class Tether:
    """Passes the first SIGTERM on, and sees to it that the end comes."""

    def __init__(self, seconds: float) -> None:
        """Take how long the command may take to end."""
        self._seconds = seconds
        self._asked = False
        self._command: subprocess.Popen[bytes] | None = None

    def tie(self, parent: int) -> None:
        """Listen to SIGTERM, and on Linux get one when the parent dies; ends if it is dead already."""
        signal.signal(signal.SIGTERM, self._heard)
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)

    def run(self, command: Sequence[str]) -> int:
        """Run the command and give its exit code, negative for a signal; file descriptors are inherited."""
        self._command = subprocess.Popen(command, close_fds=False)  # noqa: S603 - our own command line, no shell
        if self._asked:
            self._command.terminate()
        return self._command.wait()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked:
            return
        self._asked = True
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        if self._command:
            self._command.terminate()


def end_as(code: int) -> None:
    """End this process as the command ended."""
    if code >= 0:
        sys.exit(code)
    with contextlib.suppress(OSError):  # SIGKILL cannot be set, and needs not be
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)


if __name__ == "__main__":
    tether = Tether(float(sys.argv[2]))
    tether.tie(int(sys.argv[1]))
    end_as(tether.run(sys.argv[3:]))
