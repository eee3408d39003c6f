"""The worker's composition root: what the stock `dramatiq` command line imports, in each worker process.

`dramatiq actors.worker:compose` calls `compose` once per process, after the fork. Clients that belong to the event
loop are made inside it, when the worker boots.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dramatiq
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import Middleware

from actors.alerts import alert_rules, notifier, watch_for
from actors.broker import LaneBroker, Queue
from actors.deliver import Deliverer
from actors.keeper import Keeper
from actors.llm import Asker, provider
from actors.llm.purse import Budgets, Purse
from actors.loop import QuickLoop, wait_for
from actors.owner import Owner
from actors.processes import Processes
from actors.registry import Registry
from actors.run import Place
from actors.runner import Runner
from actors.schedule import Timetable
from actors.sinks import open_sinks
from actors.watch import Watch
from gateway.config import Config, ConfigError, Models, load_config, load_models
from gateway.ledger import Ledger, LedgerDown, LedgerError, open_ledger
from gateway.settings import Settings, read_settings
from otel.log import log_records, set_up_logging
from otel.setup import OFF, set_up_telemetry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from types import FrameType

    from actors.sinks import OpenSink
    from otel.records import Listener

RUN_LANES = {"high": 6, "normal": 3, "low": 1}  # how often each is looked at first
DRAIN = timedelta(seconds=20)  # how long running work may go on after the worker was told to stop
TRIES, RETRY = 20, 1.0  # to reach Redis at boot, and the seconds between them
REDIS_DEADLINE = timedelta(seconds=2)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many threads work runs, and how many deliveries: a slow sink must not hold the threads of the models.

    `lanes` are those that this worker looks at, `processes` what it may have for steps that compute.
    """

    runs: int
    deliveries: int
    lanes: tuple[str, ...] = (*RUN_LANES, "deliveries")
    processes: int = 1


def compose() -> None:
    """Read the environment and the configuration, and set up Dramatiq's broker with its two actors."""
    set_up_logging(os.environ, to=sys.__stderr__)  # sys.stderr is Dramatiq's pipe to its master, who copies it there
    try:
        settings = read_settings(os.environ)
        config = load_config(settings.config, os.environ)
        models = load_models(settings.models, os.environ)
    except ConfigError as error:
        sys.exit(f"hookmill: {error}")
    dramatiq.set_broker(make_broker(settings, config, models, read_shares(os.environ)))
    heed_one_signal()


def read_shares(env: Mapping[str, str]) -> Shares:
    """Read what `hookmill worker` and `up` made of their options."""
    return Shares(
        runs=int(env.get("HOOKMILL_RUN_THREADS", "32")),
        deliveries=int(env.get("HOOKMILL_DELIVERY_THREADS", "8")),
        lanes=tuple(env.get("HOOKMILL_LANES", "high,normal,low,deliveries").split(",")),
        processes=int(env.get("HOOKMILL_STEP_PROCESSES", os.cpu_count() or 1)),
    )


def heed_one_signal() -> None:
    """Ignore every SIGTERM after the first one: at a second, Dramatiq leaves its threads behind and hangs.

    A signal to the whole process group (systemd's default, `timeout`) reaches a worker twice: by itself and through
    its master.
    """
    stop: Any = signal.getsignal(signal.SIGTERM)

    def heed(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop(number, frame)

    if callable(stop):
        signal.signal(signal.SIGTERM, heed)


def make_broker(settings: Settings, config: Config, models: Models, shares: Shares) -> LaneBroker:
    """Build the broker: its virtual queues, its middleware, its actors."""
    work = Workshop(settings, config, models, shares)
    queues = {
        "runs": Queue(actor="run_event", lanes=_weights(shares, RUN_LANES), threads=shares.runs),
        "deliveries": Queue(actor="deliver", lanes=_weights(shares, {"deliveries": 1}), threads=shares.deliveries),
    }
    worked = {name: queue for name, queue in queues.items() if queue.lanes}
    broker = LaneBroker(settings.redis_url, queues=worked, middleware=[QuickLoop(), work])
    for name in worked:
        dramatiq.actor(broker=broker, queue_name=name)({"runs": work.run_event, "deliveries": work.deliver}[name])
    return broker


def _weights(shares: Shares, lanes: Mapping[str, int]) -> dict[str, int]:
    return {lane: weight for lane, weight in lanes.items() if lane in shares.lanes}


class Workshop(Middleware):
    """Opens what a worker process needs when it boots, and closes it in order when it stops."""

    def __init__(self, settings: Settings, config: Config, models: Models, shares: Shares) -> None:
        """Take what to work with; nothing is opened yet."""
        self._settings, self._config, self._models, self._shares = settings, config, models, shares
        self._telemetry = OFF
        self._listeners: tuple[Listener, ...] = (log_records,)
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop
        self._ledger: Ledger
        self._sinks: Mapping[str, OpenSink]
        self._processes: Processes
        self._runner: Runner
        self._deliverer: Deliverer

    def run_event(self, run_id: str) -> None:
        """Work a run (the actor of the queue `runs`)."""
        wait_for(self._runner.run(run_id), self._loop)

    def deliver(self, delivery_id: str) -> None:
        """Work a delivery (the actor of the queue `deliveries`)."""
        wait_for(self._deliverer.deliver(delivery_id), self._loop)

    def before_worker_boot(self, broker: dramatiq.Broker, worker: Any) -> None:
        """Open everything inside the event loop; a worker that cannot is ended."""
        del broker, worker
        self._telemetry = set_up_telemetry(os.environ, name="worker")
        self._listeners = (log_records, *self._telemetry.listeners)
        try:
            _in_loop(self._open())
        except (ConfigError, LedgerError) as error:
            logger.critical("the worker cannot start: %s", error)
            _leave()
        except Exception:
            logger.exception("the worker cannot start")
            _leave()
        self._keeper.start()

    def after_worker_boot(self, broker: dramatiq.Broker, worker: Any) -> None:
        """Say that work can begin."""
        del broker, worker
        logger.info("worker.ready")

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        """Let running work go on for a while, then give it back."""
        del broker, worker
        self._stopping = True
        timer = threading.Timer(DRAIN.total_seconds(), self._owner.drain_soon)
        timer.daemon = True
        timer.start()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        """Close what was opened, and export what telemetry there is yet: this process will end without more ado."""
        del broker, worker
        self._keeper.stop()
        self._keeper.join(timeout=2)
        _in_loop(self._close())
        self._telemetry.stop()

    async def _open(self) -> None:
        self._loop = asyncio.get_running_loop()
        await provider.warm(self._models)
        threads = ThreadPoolExecutor(max_workers=max(1, self._shares.runs), thread_name_prefix="step")
        self._processes = Processes(self._shares.processes)
        self._ledger = await self._patiently()
        name = f"{socket.gethostname()}-{os.getpid()}"
        rules = alert_rules(self._config)
        alerts = (watch_for(rules),) if rules else ()
        self._keeper = Keeper(
            self._patiently,
            worker=name,
            listeners=self._listeners,
            died=self._end_process,
            beats=(Watch(self._listeners).look, Timetable(self._config, self._listeners).offer, *alerts),
        )
        self._owner = Owner(self._ledger, self._keeper, name=name)
        self._sinks = open_sinks(self._config)
        notify = notifier(self._ledger, rules)
        purse = Purse(self._ledger.spending, Budgets.of(self._config), price=provider.price, notify=notify)
        asker = Asker(self._models, self._ledger, purse=purse, notify=notify)
        place = Place(
            ledger=self._ledger,
            asker=asker,
            listeners=self._listeners,
            clock=time.time,
            threads=threads,
            processes=self._processes,
        )
        registry = Registry((one.pipeline for one in self._config.sources.values()), folder=self._config.path.parent)
        for error in registry.errors():
            logger.error("%s; its runs become dead letters, which can be replayed", error)
        self._runner = Runner(self._owner, registry, self._config, place)
        samples = self._telemetry.samples
        self._deliverer = Deliverer(
            self._owner, self._sinks, self._config, self._listeners, notify=notify, samples=samples
        )

    async def _close(self) -> None:
        for sink in self._sinks.values():
            await sink.aclose()
        await self._processes.close()
        await provider.close()
        await self._ledger.close()

    def _end_process(self) -> None:
        """End this worker in good order: without a keeper it would lose what it works. Its supervisor starts another.

        A second signal would make Dramatiq leave its threads behind, so one that is under way is let be.
        """
        if not self._stopping:
            os.kill(os.getpid(), signal.SIGTERM)

    async def _open_ledger(self) -> Ledger:
        url, retention, wait = self._settings.redis_url, self._config.retention, self._config.door.wait
        return await open_ledger(url, deadline=REDIS_DEADLINE, retention=retention, wait=wait)

    async def _patiently(self) -> Ledger:
        """Open a ledger, waiting a while for a Redis that is not there yet; raises LedgerDown at last."""
        for _ in range(TRIES - 1):
            try:
                return await self._open_ledger()
            except LedgerDown as error:
                logger.warning("%s; trying again", error)
                await asyncio.sleep(RETRY)
        return await self._open_ledger()


def _leave() -> None:
    """End a worker process that cannot boot; the loop's thread would keep it alive."""
    if loop := get_event_loop_thread():
        loop.stop()  # type: ignore[no-untyped-call]
    sys.exit(2)


def _in_loop(opening: Awaitable[None]) -> None:
    loop = get_event_loop_thread()
    if loop is None:
        raise RuntimeError("the AsyncIO middleware stands before this one")
    loop.run_coroutine(opening)
