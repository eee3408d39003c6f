"""What a step is made of: calling its function within its time, and the JSON of what it returned."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import inspect
import typing
from collections import Counter
from contextlib import asynccontextmanager, nullcontext
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from actors.errors import Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from concurrent.futures import Executor
    from contextlib import AbstractAsyncContextManager


MOST_BYTES = 256 * 1024


async def call(work: Callable[..., Any], arguments: tuple[Any, ...], threads: Executor) -> Any:
    """Call a coroutine function in this loop, a plain one in a thread."""
    if inspect.iscoroutinefunction(work):
        return await work(*arguments)
    within = contextvars.copy_context()  # so that a span of the step is its parent's child there, too
    return await asyncio.get_running_loop().run_in_executor(threads, within.run, work, *arguments)


def at_most(seconds: float | None, step: str) -> AbstractAsyncContextManager[None]:
    """End what is inside after so many seconds, with a Failure that may be retried; None sets no end."""
    return nullcontext() if seconds is None else _at_most(seconds, step)


@asynccontextmanager
async def _at_most(seconds: float, step: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds) as deadline:
            yield
    except TimeoutError:
        if deadline.expired():
            raise Failure(f"step {step} took longer than {seconds:g} s", klass="transient") from None
        raise


@lru_cache(maxsize=1024)
def returns(work: Callable[..., Any]) -> TypeAdapter[Any]:
    """Give what reads and writes the outputs of that function, after its return annotation."""
    plain = inspect.unwrap(work)
    told = SimpleNamespace(__annotations__={"return": getattr(plain, "__annotations__", {}).get("return", Any)})
    try:  # of the return alone: what its arguments are may be told to type checkers only
        annotation = typing.get_type_hints(told, getattr(plain, "__globals__", None))["return"]
    except (NameError, TypeError):
        annotation = Any
    return TypeAdapter(annotation)


def dump(field: str, adapter: TypeAdapter[Any], value: Any) -> bytes:
    """Write an output as JSON; Failure(permanent) where that cannot be, or is larger than 256 KiB."""
    try:
        output = adapter.dump_json(adapter.validate_python(value))
    except ValidationError as error:
        raise Failure(f"step {field}: its output is not what it declares ({error.title})", klass="permanent") from error
    except PydanticSerializationError as error:
        raise Failure(f"step {field}: its output is not JSON ({type(value).__name__})", klass="permanent") from error
    if len(output) > MOST_BYTES:
        raise Failure(f"step {field}: its output is {len(output)} bytes, at most {MOST_BYTES}", klass="permanent")
    return output


def item_keys(items: list[Any]) -> list[str]:
    """Name each item of a map by its content and occurrence."""
    seen: Counter[str] = Counter()
    keys = []
    for item in items:
        digest = hashlib.sha256(TypeAdapter(Any).dump_json(item)).hexdigest()[:16]
        keys.append(f"{digest}#{seen[digest]}")
        seen[digest] += 1
    return keys


def field_name(name: str, key: str | None) -> str:
    """Name a round of a step: `name`, or `name[key]`."""
    return name if key is None else f"{name}[{key}]"
