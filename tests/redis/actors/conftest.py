"""A worker's parts over a real Redis, without the worker: pipelines of a file, each with a source of its name."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from fakes.models import asker
from programs import PATIENT

from actors.keeper import Keeper
from actors.owner import Owner
from actors.processes import Processes
from actors.registry import Registry
from actors.run import Place
from actors.runner import Runner
from actors.schedule import Timetable
from actors.watch import Watch
from gateway.config import load_config, load_models
from gateway.ledger import Ledger, open_ledger

MODELS = "model_list: [{model_name: fast, litellm_params: {model: local/lexicon}}]"
SOURCE = """
[sources.{name}]
scheme = "bearer"
secrets = ["env:TOKEN"]
pipeline = "app.py:{name}"
retry = {{ attempts = 3, first = "1ms", cap = "2ms" }}
timeout = "{timeout}"
sinks = ["archive"]
"""
SINK = """
[sinks.archive]
kind = "file"
path = "archive.jsonl"
"""


@dataclass(kw_only=True)
class Bench:
    """One worker's parts, and what its listeners were told."""

    ledger: Ledger
    runner: Runner
    owner: Owner
    keeper: Keeper
    told: list[Any] = field(default_factory=list)

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.told if isinstance(record, kind)]


@pytest.fixture
def make_bench(tmp_path, redis_url):
    """Write the pipelines, and give parts that work them."""

    @asynccontextmanager
    async def make(app: str, *names: str, url: str = redis_url, limit: str = "30s", yaml: str = MODELS):
        (tmp_path / "app.py").write_text(app)
        (tmp_path / "models.yaml").write_text(yaml)
        sources = "".join(SOURCE.format(name=name, timeout=limit) for name in names)
        (tmp_path / "hookmill.toml").write_text(sources + SINK)
        config = load_config(tmp_path / "hookmill.toml", {"TOKEN": "a-long-enough-token-for-a-test"})
        models = load_models(tmp_path / "models.yaml", {})
        ledger, told = await open_ledger(url, deadline=PATIENT), []

        async def another() -> Ledger:
            return await open_ledger(url, deadline=PATIENT)

        beats = (Watch((told.append,)).look, Timetable(config).offer)
        keeper = Keeper(another, worker="bench", listeners=(told.append,), died=lambda: None, beats=beats)
        owner = Owner(ledger, keeper, name="bench")
        processes = Processes(2)
        with ThreadPoolExecutor(4) as threads:
            place = Place(
                ledger=ledger,
                asker=asker(models, ledger),
                listeners=(told.append,),
                clock=time.time,
                threads=threads,
                processes=processes,
            )
            registry = Registry([f"app.py:{name}" for name in names], folder=tmp_path)
            runner = Runner(owner, registry, config, place)
            keeper.start()
            try:
                yield Bench(ledger=ledger, runner=runner, owner=owner, keeper=keeper, told=told)
            finally:
                keeper.stop()
                await asyncio.to_thread(keeper.join, 5)
                await processes.close()
                await ledger.close()

    return make


@pytest.fixture
def admit(admission):
    """Admit an event of that pipeline's source, and give its id."""

    async def make(bench: Bench, name: str, body: bytes = b"{}") -> str:
        one = admission(source=name, pipeline=f"app.py:{name}", body=body, timeout=timedelta(seconds=30))
        await bench.ledger.admit([one])
        return one.event.id

    return make
