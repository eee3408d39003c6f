"""Runs a server under a sampler: `sampled.py REPORT MODULE ARGUMENTS…`; SIGUSR1 begins to sample, SIGUSR2 writes.

By a signal of the CPU clock, some 250 times in a second of CPU, the Python stack is noted. Python looks at signals only
between its own instructions, so what C code took is noted at the Python line that called it; what the event loop itself
and the kernel took for it is noted as `loop` when the sample falls on the first instruction of what the loop called.
"""

from __future__ import annotations

import dis
import json
import runpy
import signal
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType, FrameType

INTERVAL = 0.001
RESUME = dis.opmap["RESUME"]
LOOPS = ("/uvloop/__init__.py", "/asyncio/runners.py")
counts: Counter[str] = Counter()


@cache
def instructions(code: CodeType) -> bytes:
    """Give the bytecode, which Python makes anew each time it is asked."""
    return code.co_code


def files(frame: FrameType | None) -> list[str]:
    """Give the files of a stack, innermost first; `loop` where the loop had not yet begun what it calls."""
    found = []
    back = frame.f_back
    if back and back.f_code.co_filename.endswith(LOOPS) and instructions(frame.f_code)[frame.f_lasti] == RESUME:
        return ["loop"]
    while frame and not frame.f_code.co_filename.endswith(LOOPS):
        found.append(frame.f_code.co_filename)
        frame = frame.f_back
    return found or ["loop"]


def sample(_: int, frame: FrameType) -> None:
    """Count the place where the program is."""
    counts["\n".join(dict.fromkeys(files(frame)))] += 1


def begin(*_: object) -> None:
    """Begin to sample."""
    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)


def write(*_: object) -> None:
    """Stop, and write what was counted."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    part = REPORT.with_suffix(".part")
    part.write_text(json.dumps(counts))
    part.rename(REPORT)


if __name__ == "__main__":
    REPORT, module = Path(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]
    del sys.path[0]  # this folder: the server is to find what `python -m` would find
    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, write)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
