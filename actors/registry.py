"""Pipelines: how a plugin declares one, and how a worker finds those that its sources name."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from gateway.config import Retry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import ModuleType

    from actors.run import Run

GROUP = "hookmill.pipelines"
FILE_MODULE = "hookmill_file_"  # how the names of modules begin that were loaded from a file
Work = Callable[["Run"], Awaitable[Any]]


class PipelineError(Exception):
    """A pipeline is declared wrongly, is not installed, or cannot be imported; the text says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A named async function over an event, made of steps; `steps` declares their names, for progress.

    `retry` is what it says of the retries of its runs; what a source says goes before.
    """

    name: str
    version: int
    steps: tuple[str, ...]
    work: Work
    retry: Retry = field(default_factory=Retry)

    async def __call__(self, run: Run) -> Any:
        """Work the event of that run."""
        return await self.work(run)


def pipeline(
    name: str, *, version: int = 1, steps: Iterable[str] = (), retry: Retry | None = None
) -> Callable[[Work], Pipeline]:
    """Declare an async function as a pipeline; raises PipelineError at import if the declaration cannot work."""
    declared = tuple(steps)

    def declare(work: Work) -> Pipeline:
        if not inspect.iscoroutinefunction(work):
            raise PipelineError(f"pipeline {name!r}: {work!r} is not an async function")
        if len(inspect.signature(work).parameters) != 1:
            raise PipelineError(f"pipeline {name!r}: the function takes one argument, the run")
        if len(set(declared)) != len(declared):
            raise PipelineError(f"pipeline {name!r}: a name stands twice in steps={declared!r}")
        return Pipeline(name=name, version=version, steps=declared, work=work, retry=retry or Retry())

    return declare


class Registry:
    """The pipelines of a worker by the name that sources give them; one that cannot be had is kept as its error."""

    def __init__(self, names: Iterable[str], *, folder: Path) -> None:
        """Load the named pipelines: an entry point's name, or `app.py:name` with the file below `folder`."""
        self._found: dict[str, Pipeline | PipelineError] = {name: _try_load(name, folder) for name in set(names)}

    def find(self, name: str) -> Pipeline:
        """Give the pipeline; raises PipelineError, saying why there is none."""
        found = self._found.get(name) or PipelineError(f"pipeline {name!r} is not configured for any source here")
        if isinstance(found, PipelineError):
            raise found
        return found

    def errors(self) -> list[PipelineError]:
        """Give what could not be loaded."""
        return [found for found in self._found.values() if isinstance(found, PipelineError)]


def _try_load(name: str, folder: Path) -> Pipeline | PipelineError:
    try:
        found = _from_file(name, folder) if ".py:" in name else _from_entry_point(name)
    except PipelineError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a plugin's import may raise anything; one bad plugin stops no other
        return PipelineError(f"pipeline {name!r} cannot be imported ({type(error).__name__}: {error})")
    if not isinstance(found, Pipeline):
        return PipelineError(f"pipeline {name!r} is not made with @pipeline")
    return found


def _from_entry_point(name: str) -> Any:
    found = entry_points(group=GROUP, name=name)
    if not found:
        known = ", ".join(sorted(point.name for point in entry_points(group=GROUP)))
        raise PipelineError(f"pipeline {name!r} is not installed; installed: {known or 'none'}")
    if len(found) > 1:
        packages = ", ".join(sorted(point.dist.name for point in found if point.dist))
        raise PipelineError(f"pipeline {name!r} is installed more than once, by {packages}")
    return next(iter(found)).load()


@cache
def load_module(path: Path) -> ModuleType:
    """Import a file once; under a name of its own in `sys.modules`, where dataclasses and pydantic look types up."""
    name = f"{FILE_MODULE}{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PipelineError(f"{path} is not a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _from_file(name: str, folder: Path) -> Any:
    file, _, attribute = name.partition(":")
    path = folder / file
    if not path.is_file():
        raise PipelineError(f"pipeline {name!r}: there is no file {path}")
    try:
        return getattr(load_module(path), attribute)
    except AttributeError:
        raise PipelineError(f"pipeline {name!r}: {path} has no {attribute!r}") from None
