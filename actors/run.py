"""Run: what a pipeline works with. Every step's output is saved before it is used; a saved step is never run again."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from pydantic import TypeAdapter

from actors.errors import Failure
from actors.insist import insist
from actors.llm import Question
from actors.parking import Parking
from actors.progress import SoFar
from actors.steps import at_most, call, dump, field_name, item_keys, returns
from actors.teller import Teller
from gateway.ledger import LedgerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from concurrent.futures import Executor

    from actors.keeper import Holding
    from actors.llm import Asker, Judge
    from actors.processes import Processes
    from actors.registry import Pipeline
    from gateway.ledger import Event, Ledger, Work
    from otel.records import Listener, ModelCall

T = TypeVar("T")
Item = TypeVar("Item")
MOST_ITEMS = 1000
Where = Literal["thread", "process"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a run is worked with: everything that lives longer than it."""

    ledger: Ledger
    asker: Asker
    listeners: tuple[Listener, ...]
    clock: Callable[[], float]
    threads: Executor
    processes: Processes


class StaleRun(BaseException):
    """Another worker owns the run now; nothing that happens here may be saved."""


class Run:
    """One attempt of one pipeline over one event."""

    def __init__(self, work: Work, pipeline: Pipeline, place: Place, holding: Holding) -> None:
        """Take the owned work and its pipeline; made by the runner."""
        self.event: Event = work.event
        self.parking = Parking()
        self._work, self._pipeline, self._place, self._holding = work, pipeline, place, holding
        self._deadline = asyncio.get_running_loop().time() + work.time_left.total_seconds()
        self._used: set[str] = set()
        self._teller = Teller(listeners=place.listeners, event=work.event, pipeline=pipeline.name, lease=work.fence)
        self._so_far = SoFar(place.ledger, holding)
        holding.reason = lambda: self.parking.reason or self._so_far.text

    @overload
    async def step(
        self,
        name: str,
        work: Callable[..., Awaitable[T]],
        *arguments: Any,
        key: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as below
    ) -> T: ...
    @overload
    async def step(
        self,
        name: str,
        work: Callable[..., T],
        *arguments: Any,
        key: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as below
        where: Where = "thread",
    ) -> T: ...
    async def step(
        self,
        name: str,
        work: Callable[..., Any],
        *arguments: Any,
        key: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it is the step's own, told from others and named
        where: Where = "thread",
    ) -> Any:
        """Call a function once and keep what it returns.

        A plain function runs in a thread, or in a `process` of its own if it computes. The output is JSON after its
        return annotation (pydantic models, dataclasses, plain values; at most 256 KiB) and comes back as it was saved.
        `key` tells rounds of one step apart; the same name twice without one is refused. After `timeout` seconds it
        fails, to be retried; a thread goes on until its function returns, a process is ended. Raises
        Failure(permanent) for an output that cannot be kept.
        """

        async def compute() -> tuple[Any, dict[str, Any]]:
            async with at_most(timeout, name):
                if where == "process":
                    return await self._place.processes.call(work, arguments, wait=self.parking.wait), {}
                return await call(work, arguments, self._place.threads), {}

        return await self._once(name, key, returns(work), compute)

    @overload
    async def ask(
        self,
        name: str,
        prompt: str,
        *,
        untrusted: str | None = None,
        model: str = "fast",
        key: str | None = None,
        judge: Judge | None = None,
        cache: timedelta | None = None,
        links: bool = False,
        progress: bool = False,
    ) -> str: ...
    @overload
    async def ask(
        self,
        name: str,
        prompt: str,
        *,
        into: type[T],
        untrusted: str | None = None,
        model: str = "fast",
        key: str | None = None,
        judge: Judge | None = None,
        cache: timedelta | None = None,
        links: bool = False,
        progress: bool = False,
    ) -> T: ...
    async def ask(
        self,
        name: str,
        prompt: str,
        *,
        untrusted: str | None = None,
        into: Any = None,
        model: str = "fast",
        key: str | None = None,
        judge: Judge | None = None,
        cache: timedelta | None = None,
        links: bool = False,
        progress: bool = False,
    ) -> Any:
        """Ask a model once and keep its answer: text, or `into` validated by pydantic.

        `untrusted` is text of the event: it reaches the model as marked data, never as instructions, and of what the
        model makes of it links and markup are taken out, unless `links`. `judge` has the answer scored by another
        model; with `cache` an equal question is answered again for so long, whatever event asks it; with `progress` a
        long answer tells how far it is. Raises Failure naming what each candidate of the alias `model` failed with.
        """
        paid: list[float] = []
        question = Question(
            alias=model,
            prompt=prompt,
            untrusted=untrusted,
            into=into,
            token=f"{self._work.id} {name} {key or ''}",
            source=self.event.source,
            pipeline=self._pipeline.name,
            links=links,
            judge=judge,
            cache=cache,
            version=self._pipeline.version,
            told=(lambda tokens: self._so_far.tell(question.token, tokens)) if progress else None,
        )

        def called(call: ModelCall) -> None:
            paid.append(call.cost_usd)
            self._teller.call(field_name(name, key), model, call)

        async def compute() -> tuple[Any, dict[str, Any]]:
            with self._so_far.counting(question.token):
                answer = await self._place.asker.ask(question, wait=self.parking.wait, called=called)
            return answer.value, answer.facts

        async with self._accounting(paid):
            return await self._once(name, key, TypeAdapter(into or str), compute)

    async def map(
        self,
        name: str,
        work: Callable[[Item], Any],
        items: Iterable[Item],
        *,
        concurrency: int = 4,
        timeout: float | None = None,  # noqa: ASYNC109 - as in step
        where: Where = "thread",
    ) -> list[Any]:
        """Run a step per item, so many at once, and give the outputs in order; a checkpoint per item.

        Items are told apart by content and occurrence, so a changed list recomputes only what is new. At most 1,000.
        All items get their chance before the first error is raised.
        """
        listed = list(items)
        if len(listed) > MOST_ITEMS:
            raise Failure(f"map {name}: {len(listed)} items, at most {MOST_ITEMS}", klass="permanent")
        gate = asyncio.Semaphore(concurrency)

        async def one(item: Item, key: str) -> Any:
            async with gate:
                return await self.step(name, work, item, key=key, timeout=timeout, where=where)

        results = await asyncio.gather(
            *(one(item, key) for item, key in zip(listed, item_keys(listed), strict=True)), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results

    async def _once(
        self,
        name: str,
        key: str | None,
        adapter: TypeAdapter[Any],
        compute: Callable[[], Awaitable[tuple[Any, dict[str, Any]]]],
    ) -> Any:
        field = self._field(name, key)
        saved = self._work.checkpoints.get(field)
        started = self._place.clock()
        if saved is not None:
            self._teller.step(field, self._since(started), cached=True)
            return adapter.validate_json(saved)
        try:
            with self._step(name), self.parking.working():
                value, took = await compute()
                output = dump(field, adapter, value)
                await self._save(field, output, {"name": name, "key": key or "", **took}, started=started)
        except Exception as error:
            klass = getattr(error, "klass", type(error).__name__)
            self._teller.step(field, self._since(started), error_class=klass)
            raise
        self._teller.step(field, self._since(started))
        return adapter.validate_json(output)

    @asynccontextmanager
    async def _accounting(self, paid: list[float]) -> AsyncIterator[None]:
        """Note what was paid for an ask that failed, or whose run is suspended; a saved step tells it itself."""
        try:
            yield
        except BaseException:
            if any(paid):
                with suppress(LedgerError):  # the books of the fleet have it; this is for who looks at the event
                    await self._place.ledger.note_unsaved(self._work.id, sum(paid))
            raise

    def _since(self, started: float) -> timedelta:
        return timedelta(seconds=self._place.clock() - started)

    def _field(self, name: str, key: str | None) -> str:
        field = field_name(name, key)
        if field in self._used:
            raise Failure(f"step {field} is used twice in one run; give each round its own key=", klass="permanent")
        self._used.add(field)
        return field

    async def _save(self, field: str, output: bytes, facts: dict[str, Any], *, started: float) -> None:
        at = self._place.clock()
        row = json.dumps(facts | {"took": round(at - started, 6), "at": at, "version": self._pipeline.version})
        total = len(self._pipeline.steps)
        answer = await insist(
            lambda: self._place.ledger.checkpoint(self._work, field, output=output, took=row, total=total),
            until=self._deadline,
        )
        if answer == "too_big":
            raise Failure(f"step {field}: the outputs of this run exceed 8 MiB", klass="permanent")
        if answer != "ok":
            raise StaleRun

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self._holding.step = name
        task = asyncio.current_task()
        before = task.get_name() if task else ""
        self._name(task, f"{self.event.id} {name}")
        try:
            yield
        finally:
            self._name(task, before)

    @staticmethod
    def _name(task: asyncio.Task[Any] | None, name: str) -> None:
        """Name the task after its step: the watch over the loop tells by it who holds the loop."""
        if task:
            task.set_name(name)
