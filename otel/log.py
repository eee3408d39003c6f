"""Logs: one wide line per unit of work, JSON where a machine reads, plain where a person does."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextlib import nullcontext
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TextIO

from pydantic_core import to_json

from otel import names
from otel.records import (
    DeliveryAttempted,
    EventAccepted,
    EventRejected,
    LoopBlocked,
    ModelCall,
    ModelCalled,
    RunFinished,
    StepFinished,
    Swept,
)
from otel.trails import find_trail, span_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel.records import Record
    from otel.trails import Origin

NAMES = {
    EventAccepted: ("event.accepted", logging.INFO),
    EventRejected: ("event.rejected", logging.INFO),
    RunFinished: ("run.finished", logging.INFO),
    DeliveryAttempted: ("delivery.attempted", logging.INFO),
    Swept: ("ledger.swept", logging.DEBUG),
    StepFinished: ("step.finished", logging.DEBUG),
    ModelCalled: ("model.called", logging.DEBUG),
    LoopBlocked: ("loop.blocked", logging.WARNING),
}

UNTOLD = {"lease", "caller", "counts", "over_http", "run_attempt", "asked"}  # what only spans are made of
FIELDS = {kind: tuple(one.name for one in fields(kind) if one.name not in UNTOLD) for kind in (*NAMES, ModelCall)}
NOT_OF_LETTERS = {"outcome", "took", "waited"}
CHATTY = ("httpx", "httpcore", "LiteLLM", "dramatiq", "asyncio", "openai", "uvicorn")

logger = logging.getLogger("hookmill")


def log_records(record: Record) -> None:
    """Write a record as one log line (a Listener)."""
    name, level = NAMES[type(record)]
    if logger.isEnabledFor(level):
        logger.handle(Line(name, level, _fields(record)))
    if isinstance(record, (RunFinished, DeliveryAttempted)) and record.outcome == "dead":
        told = {name: value for name, value in _fields(record).items() if name not in NOT_OF_LETTERS}
        logger.handle(Line("dead.buried", logging.WARNING, told))


class Line(logging.LogRecord):
    """A log record of ours, made without what the standard one works out and no line tells: its caller, its thread."""

    args: tuple[()] = ()
    pathname = filename = module = funcName = ""  # noqa: N815 - the standard's names, here and below
    lineno = msecs = relativeCreated = 0  # noqa: N815
    exc_info = exc_text = stack_info = thread = threadName = process = processName = None  # noqa: N815

    def __init__(self, name: str, level: int, fields: dict[str, Any]) -> None:
        """Take its event's name, its level and its fields."""
        self.name, self.msg, self.fields = logger.name, name, fields
        self.levelno, self.levelname = level, logging.getLevelName(level)
        self.created = time.time()


def set_up_logging(env: Mapping[str, str], *, gather: bool = False, to: TextIO | None = None) -> None:
    """Send logs to stderr, or where `to` says: JSON lines, or plain text on a terminal.

    `HOOKMILL_LOG` sets the level (default INFO); a level that does not exist is said, and INFO is taken. With `gather`,
    the lines of one turn of an event loop are written together: for a process that ends in good order, or loses them.
    """
    to = to or sys.stderr
    asked = env.get("HOOKMILL_LOG", "").strip().upper() or "INFO"
    level = logging.getLevelNamesMapping().get(asked)
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False  # no line tells them
    handler = Gathering(to) if gather else logging.StreamHandler(to)
    handler.setFormatter(PlainLine() if to.isatty() else JsonLine())
    logging.basicConfig(level=logging.INFO if level is None else level, handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if level is None:
        logger.warning("HOOKMILL_LOG is no level: %r; one of DEBUG, INFO, WARNING, ERROR", asked)


class Gathering(logging.StreamHandler[TextIO]):
    """Writes the lines of one turn of the running event loop at its end, in one go; where none runs, each at once."""

    def __init__(self, stream: TextIO) -> None:
        """Take where to write."""
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line until the turn ends."""
        try:
            self._lines.append(self.format(record))
            if len(self._lines) == 1:
                asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:  # no loop runs in this thread
            self.flush()

    def flush(self) -> None:
        """Write what was kept."""
        with self.lock or nullcontext():
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("\n".join([*lines, ""]))
                self.stream.flush()


class JsonLine(logging.Formatter):
    """One JSON object per line: time (ISO 8601, UTC), level, logger, event, then the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the line; of an exception only its type and place are told, because its text may hold content."""
        line: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
            line["at"] = _place(record)
        return to_json(line, fallback=str, timedelta_mode="float").decode()


class PlainLine(logging.Formatter):
    """A line for people: time, level, event, then `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the line."""
        fields = {name: _plain(value) for name, value in getattr(record, "fields", {}).items()}
        values = " ".join(f"{name}={value}" for name, value in fields.items() if value)
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        line = f"{time} {record.levelname.lower():7} {record.getMessage()} {values}".rstrip()
        if record.exc_info and record.exc_info[0]:
            line += f" ({record.exc_info[0].__name__} at {_place(record)})"
        return line


def _fields(record: Record) -> dict[str, Any]:
    values = _values(record)
    if isinstance(record, (ModelCalled, StepFinished)):
        values["step"] = names.step_name(record.step)
    if isinstance(record, ModelCalled):
        values |= _values(values.pop("call"))
    if isinstance(record, EventAccepted):
        _, values["trace_id"], values["span_id"], _ = values.pop("traceparent").split("-")
    elif isinstance(record, (RunFinished, DeliveryAttempted)):
        values |= _place_of(record, values.pop("origin"))
    return values


def _place_of(record: RunFinished | DeliveryAttempted, origin: Origin) -> dict[str, Any]:
    told: dict[str, Any] = {"waited": origin.waited}
    if trail := find_trail(origin):
        told |= {"trace_id": f"{trail.trace:032x}", "span_id": f"{span_of(record, trail):016x}"}
    return told


def _values(record: Record | ModelCall) -> dict[str, Any]:
    return {name: getattr(record, name) for name in FIELDS[type(record)]}


def _plain(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _time(created: float) -> str:
    """Write a time in ISO 8601, UTC, to the millisecond."""
    whole = int(created)
    return f"{_second(whole)}.{int((created - whole) * 1000):03d}+00:00"


@lru_cache(1)
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).replace(tzinfo=None).isoformat()


def _place(record: logging.LogRecord) -> str:
    trace = record.exc_info[2] if record.exc_info else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
