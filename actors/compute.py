"""A process that calls functions of pipelines, one at a time: `python -m actors.compute PARENT_PID`.

A call comes on stdin and its answer goes to stdout, each as 8 bytes of length and a pickle: what another process of
ours wrote, and nobody else. It ends with its parent: at the end of stdin, and on Linux in the middle of a call, too
(https://man7.org/linux/man-pages/man2/pr_set_pdeathsig.2const.html).
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pickle
import signal
import sys
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from actors.errors import Failure
from actors.registry import load_module

if TYPE_CHECKING:
    from collections.abc import Callable

PR_SET_PDEATHSIG = 1
HEAD = 8  # bytes before each pickle that tell its length


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function by its place (`file` for one beside the configuration), and its arguments, pickled apart.

    They may be of types of that file, which must be imported before they can be read.
    """

    module: str
    file: str
    name: str
    arguments: bytes

    def function(self) -> Callable[..., Any]:
        """Import the function."""
        module = load_module(Path(self.file)) if self.file else importlib.import_module(self.module)
        found: Callable[..., Any] = attrgetter(self.name)(module)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An exception in parts: many cannot be made again by calling their class with their arguments."""

    kind: type[Exception]
    arguments: tuple[Any, ...]
    state: dict[str, Any]

    @classmethod
    def of(cls, error: Exception) -> Raised:
        """Take it apart."""
        return cls(kind=type(error), arguments=error.args, state=dict(error.__dict__))

    def error(self) -> Exception:
        """Put it together again."""
        error = self.kind.__new__(self.kind, *self.arguments)
        error.args = self.arguments
        error.__dict__.update(self.state)
        return error


def framed(pickled: bytes) -> bytes:
    """Put the length before it."""
    return len(pickled).to_bytes(HEAD, "big") + pickled


def answer(call: Call) -> bytes:
    """Call the function and give the pickle of what it returned, or of a Raised."""
    try:
        came: Any = call.function()(*pickle.loads(call.arguments))  # noqa: S301 - our parent wrote it
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the parent classifies it
        came = Raised.of(error)
    try:
        return pickle.dumps(came)
    except Exception:  # noqa: BLE001 - whatever an object does when it is pickled
        return pickle.dumps(_stand_in(came))


def _stand_in(came: Any) -> Raised:
    if isinstance(came, Raised):
        return Raised.of(Failure(f"{came.kind.__name__} was raised", klass="transient"))
    what = f"its output cannot leave the process ({type(came).__name__})"
    return Raised.of(Failure(what, klass="permanent"))


def serve(asked: BinaryIO, told: BinaryIO) -> None:
    """Answer calls until there are no more."""
    while head := asked.read(HEAD):
        call = pickle.loads(asked.read(int.from_bytes(head, "big")))  # noqa: S301 - our parent wrote it
        told.write(framed(answer(call)))
        told.flush()


def main(parent: int) -> None:
    """Serve the parent; what a function prints goes to stderr."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, told)


if __name__ == "__main__":
    # Under its own name, so that what is pickled here is known there.
    importlib.import_module("actors.compute").main(int(sys.argv[1]))
