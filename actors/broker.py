"""LaneBroker: Dramatiq over the ledger's lanes. A message is only a wake-up call: "look at this run".

Two virtual queues stand for the four lanes: `runs` pops high, normal and low by weight, `deliveries` its own lane.
Each takes no more than its share of the worker's threads, so what is taken has a thread at once. Retries, delays and
dead letters are the ledger's; there is nothing to acknowledge, because the lease is the acknowledgement.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dramatiq import Broker, Message, MessageProxy
from dramatiq.broker import Consumer
from dramatiq.errors import QueueNotFound
from dramatiq.middleware import Middleware

from gateway.ledger.errors import LedgerDown
from gateway.ledger.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Iterable

BLOCK = timedelta(seconds=1)
PAUSE = 0.2  # seconds between tries while Redis is away


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A virtual queue: the actor that works it, its lanes with their weights, and its share of the threads."""

    actor: str
    lanes: dict[str, int]
    threads: int

    def orders(self) -> list[tuple[str, ...]]:
        """Give the orders in which to look at the lanes, turn by turn: each comes first as often as it weighs."""
        names = list(self.lanes)
        firsts = [name for name in names for _ in range(self.lanes[name])]
        return [(first, *(name for name in names if name != first)) for first in firsts]


class Turns:
    """Whose turn it is: goes round the orders of a queue, as far as wake-ups are taken."""

    def __init__(self, orders: list[tuple[str, ...]]) -> None:
        """Begin with the first."""
        self._orders, self._turn = orders, 0

    def next(self, most: int) -> tuple[tuple[str, ...], int]:
        """Give the present order, and for how many turns, at most so many, it stays."""
        order = self._orders[self._turn]
        alike = itertools.takewhile(order.__eq__, itertools.islice(itertools.cycle(self._orders), self._turn, None))
        return order, sum(1 for _ in itertools.islice(alike, most))

    def took(self, number: int) -> None:
        """Go on by so many turns."""
        self._turn = (self._turn + number) % len(self._orders)


class LaneBroker(Broker):
    """A Dramatiq broker whose queues are the ledger's lanes."""

    def __init__(self, url: str, *, queues: dict[str, Queue], middleware: list[Middleware]) -> None:
        """Take the Redis URL and the virtual queues by name."""
        super().__init__(middleware=[Drain(), *middleware])
        self.url = url
        self.layout = queues
        self.draining = threading.Event()

    def declare_queue(self, queue_name: str) -> None:
        """Declare one of the virtual queues; raises QueueNotFound for any other name."""
        if queue_name not in self.layout:
            raise QueueNotFound(queue_name)  # type: ignore[no-untyped-call]
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = self.layout[queue_name]
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30000) -> LaneConsumer:
        """Give a consumer of that queue. Dramatiq's prefetch and timeout are not used: the queue's share rules."""
        del prefetch, timeout
        return LaneConsumer(self, queue_name)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Push a wake-up by hand; its only argument is the id of a run or delivery. Delays are the ledger's."""
        if delay is not None:
            raise ValueError("a wake-up cannot be delayed: Ledger.postpone puts work into the schedule")
        lane = message.options.get("lane") or next(iter(self.layout[message.queue_name].lanes))
        lanes = Lanes(self.url, block=BLOCK)
        lanes.push(lane, [str(message.args[0])])
        lanes.close()
        return message


class LaneConsumer(Consumer):
    """Pops wake-ups for one queue, as long as its share of threads has room."""

    def __init__(self, broker: LaneBroker, queue_name: str) -> None:
        """Take the broker and the queue's name."""
        self.broker = broker
        self.name = queue_name
        self.queue = broker.layout[queue_name]
        self.lanes = Lanes(broker.url, block=BLOCK)
        self.turns = Turns(self.queue.orders())
        self.room = threading.Semaphore(self.queue.threads)
        self.popped: deque[tuple[str, str]] = deque()

    def __next__(self) -> MessageProxy | None:
        """Give the next wake-up; None when none came within a second."""
        if self.broker.draining.is_set():
            self._put_back()
            time.sleep(PAUSE)
            return None
        if not self.popped and not self._pop():
            return None
        lane, work_id = self.popped.popleft()
        message: Message[None] = Message(
            queue_name=self.name,
            actor_name=self.queue.actor,
            args=(work_id,),
            kwargs={},
            options={"lane": lane},
            message_id=work_id,  # else Dramatiq draws a random one
        )
        return MessageProxy(message)

    def ack(self, message: MessageProxy) -> None:
        """Free the thread's place: the ledger knows how the work ended."""
        del message
        self.room.release()

    nack = ack

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Put wake-ups back that no thread began before the worker stopped."""
        for message in messages:
            self.lanes.push(message.options["lane"], [message.args[0]])
            self.room.release()

    def close(self) -> None:
        """Put back what was popped and not given, and close the connection."""
        self._put_back()
        self.lanes.close()

    def _pop(self) -> bool:
        """Take as many wake-ups as there are free threads; False if there is no free thread, or none came in time."""
        if not self.room.acquire(timeout=BLOCK.total_seconds()):
            return False
        free = 1
        while self.room.acquire(blocking=False):
            free += 1
        try:
            order, turns = self.turns.next(free)
            self.popped.extend(self.lanes.pop(order, turns))
            self.turns.took(len(self.popped) or 1)
        except LedgerDown:  # nothing is lost: the sweeper wakes again what was popped on the way
            self.broker.draining.wait(PAUSE)
        finally:
            if unused := free - len(self.popped):
                self.room.release(unused)
        return bool(self.popped)

    def _put_back(self) -> None:
        """Put back what was popped and not given."""
        with suppress(LedgerDown):  # the sweeper wakes it again
            while self.popped:
                lane, work_id = self.popped.pop()
                self.room.release()
                self.lanes.push(lane, [work_id])


class Drain(Middleware):
    """Stops the consumers before the worker waits for its threads."""

    def before_worker_shutdown(self, broker: Broker, worker: Any) -> None:
        """Tell the consumers."""
        del worker
        if isinstance(broker, LaneBroker):
            broker.draining.set()
