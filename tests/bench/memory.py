"""Resident memory of the gateway and of a worker (its master and its process): after start, and after some events."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.burst import make_redis
from stack import Stack, until

QUIET = 1.0  # seconds of idling before a look
AIM_MB = 70  # of the idle gateway


def run(events=200) -> dict[str, dict[str, float]]:
    """Look before and after the events; megabytes (10^6 bytes)."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        (folder / "redis").mkdir()
        redis = make_redis(folder / "redis")
        redis.start()
        opened.callback(redis.stop)
        stack = opened.enter_context(Stack(folder, redis.url))
        parts = {"gateway": stack.start_gateway().pid, "worker": stack.start_worker().pid}
        figures = {"after_start": look(parts)}
        bodies = [json.dumps({"comment": f"I love number {number}!"}).encode() for number in range(events)]
        asyncio.run(stack.burst(bodies))
        until(lambda: len(stack.delivered) >= events, within=60)
        return figures | {f"after_{events}_events": look(parts)}


def look(parts: dict[str, int]) -> dict[str, float]:
    """Add up each part's processes: RSS counts shared pages in each of them, PSS only once."""
    time.sleep(QUIET)
    return {
        f"{name}_{kind}_mb": round(sum(measure(pid) for pid in family(pid)), 1)
        for name, pid in parts.items()
        for kind, measure in (("rss", rss), ("pss", pss))
    }


def family(pid: int) -> list[int]:
    """Give a process and all that come from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def rss(pid: int) -> float:
    """Give the resident set of a process."""
    return _figure(Path(f"/proc/{pid}/status"), "VmRSS")


def pss(pid: int) -> float:
    """Give the resident set of a process, with shared pages by its share."""
    return _figure(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


def _figure(path: Path, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", path.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200)
    print(json.dumps({"gateway_aim_mb": AIM_MB} | run(parser.parse_args().events)))


if __name__ == "__main__":
    main()
