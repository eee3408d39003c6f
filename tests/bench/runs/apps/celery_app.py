"""Celery's side, as it is installed, but for `acks_late` and ignored results: `python celery_app.py 3 1000` queues.

It runs in the environment of the peers and imports nothing of ours.
"""

from __future__ import annotations

import os
import sys

from celery import Celery, chain

app = Celery("celery_app", broker=os.environ["REDIS_URL"])
app.conf.update(task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task
def nothing() -> None: ...


def queue(steps: int, count: int) -> None:
    """Queue so many runs; one of several steps is a chain."""
    whole = nothing.si() if steps == 1 else chain(*(nothing.si() for _ in range(steps)))
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            whole.apply_async(producer=producer)


if __name__ == "__main__":
    queue(int(sys.argv[1]), int(sys.argv[2]))
