"""hookmill.toml: the sources, and the sinks that they name."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from gateway.config.alerts import Alerts, read_alerts
from gateway.config.budgets import Budget, read_budget
from gateway.config.door import Door, read_door
from gateway.config.errors import ConfigError, nearest
from gateway.config.reading import Reading, Table
from gateway.config.schedules import Schedule, read_schedule
from gateway.config.sinks import Sink, read_sink
from gateway.config.sources import Source, read_source
from gateway.config.values import Duration  # noqa: TC001 - pydantic reads it
from gateway.ledger.event import Retention

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
TABLES = ("sources", "sinks", "schedules", "gateway", "retention", "alerts", "budget")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What hookmill.toml says, with every secret read; its repr shows none."""

    path: Path
    sources: Mapping[str, Source]
    sinks: Mapping[str, Sink]
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    door: Door = field(default_factory=Door)
    retention: Retention = field(default_factory=Retention)
    alerts: Alerts | None = None
    budget: Budget | None = None


class RetentionTable(Table):
    """The keys of [retention]: how long finished events, and dead letters, stay readable."""

    keep: Duration | None = Field(default=None, description='a duration such as "24h"')
    keep_dead: Duration | None = Field(default=None, description='a duration such as "30d"')


def load_config(path: Path, env: Mapping[str, str]) -> Config:
    """Read hookmill.toml and the secrets it refers to. Raises ConfigError with every mistake, one per line."""
    reading = Reading(path=path, env=env)
    document = parse(reading)
    for key in document.keys() - set(TABLES):
        reading.wrong((key,), f"unknown key{nearest(key, TABLES)}")
    raw_sinks = reading.named(document.get("sinks"), at=("sinks",))
    raw_sources = reading.named(document.get("sources"), at=("sources",))
    if not document.get("sources"):
        reading.wrong(("sources",), "missing; expected at least one [sources.NAME]")
    sinks = [read_sink(reading, name, raw) for name, raw in raw_sinks.items()]
    sources = {name: read_source(reading, name, raw, sinks=raw_sinks) for name, raw in raw_sources.items()}
    raw_schedules = reading.named(document.get("schedules"), at=("schedules",))
    schedules = [read_schedule(reading, name, raw, sources=sources) for name, raw in raw_schedules.items()]
    retention = reading.table(RetentionTable, document.get("retention", {}), at=("retention",))
    door = read_door(reading, document.get("gateway"))
    alerts = read_alerts(reading, document.get("alerts"), sinks=raw_sinks)
    budget = read_budget(reading, document.get("budget"))
    reading.finish()
    return Config(
        alerts=alerts,
        budget=budget,
        door=door,
        path=path,
        retention=Retention(**retention.written() if retention else {}),
        sources={name: source for name, source in sources.items() if source},
        schedules={schedule.name: schedule for schedule in schedules if schedule},
        sinks={sink.name: sink for sink in sinks if sink},
    )


def parse(reading: Reading) -> dict[str, object]:
    """Read a file of TOML; raises ConfigError with its line and column."""
    text = reading.text()
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = PLACE.fullmatch(str(error))
        what, line, column = found.groups() if found else ("", None, None)
        place = f"line {line}, column {column}" if line else f"line {text.count(chr(10)) + 1}, end of file"
        raise ConfigError(f"{reading.path}: {place}: not TOML: {what or 'syntax error'}") from None
    except (ValueError, RecursionError):  # an integer of thousands of digits, or brackets nested as deep
        raise ConfigError(f"{reading.path}: not TOML: a number or a nesting is beyond all bounds") from None
