"""Stock Dramatiq's side, with its RedisBroker: `python dramatiq_app.py 3 1000` queues runs of three steps.

It runs in the environment of the peers and imports nothing of ours.
"""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=os.environ["REDIS_URL"]))


@dramatiq.actor
def nothing() -> None: ...


def queue(steps: int, count: int) -> None:
    """Queue so many runs; one of several steps is a pipeline."""
    for _ in range(count):
        messages = [nothing.message_with_options(pipe_ignore=True) for _ in range(steps)]
        dramatiq.pipeline(messages).run()


if __name__ == "__main__":
    queue(int(sys.argv[1]), int(sys.argv[2]))
