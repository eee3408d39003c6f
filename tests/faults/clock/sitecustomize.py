"""Read by the interpreter of a worker whose clock is wrong.

Under libfaketime 0.9.10, CPython's time.sleep (clock_nanosleep, absolute) ends at once with EINVAL; waits of
other kinds are well. So it sleeps by one of those.
"""

from __future__ import annotations

import threading
import time


def sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


time.sleep = sleep
