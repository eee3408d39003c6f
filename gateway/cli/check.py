"""`hookmill check`: validates everything that can be validated before the first event comes."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from gateway.cli import opening, render
from gateway.cli.faults import line_of, unknown
from gateway.cli.options import Json  # noqa: TC001 - typer reads the annotations
from gateway.cli.prices import unbounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.config import Config, Models, Sink
    from gateway.ledger import Ledger
    from gateway.settings import Settings

EXTRAS = {"object": "fsspec", "sql": "sqlalchemy", "chat": "apprise"}
"""What a kind of sink needs that is only there with the extra of its name."""

Offline = Annotated[bool, typer.Option("--offline", help="Leave Redis out.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing checked, and the one clear line if it is not well, or is well enough to begin."""

    what: str
    fault: str | None = None
    warning: str | None = None


def check(*, offline: Offline = False, as_json: Json = False) -> None:
    """Validate hookmill.toml, models.yaml, secrets, pipelines, sinks, and that Redis is there and new enough."""
    items: list[Item] = []
    for group in groups(offline=offline):
        items += group
        if not as_json:
            _print(group)
        if any(item.fault for item in group):
            break
    good = not any(item.fault for item in items)
    if as_json:
        render.show_json({"ok": good, "checks": [asdict(item) for item in items]})
    if not good:
        raise typer.Exit(2)
    if not as_json:
        print("All is well." if not offline else "All is well, as far as can be seen offline.")


def _print(group: list[Item]) -> None:
    for item in group:
        if item.fault:
            print(f"✗ {item.what}\n  {item.fault}", file=sys.stderr)
        elif item.warning:
            print(f"! {item.what}\n  {item.warning}")
        else:
            print(f"✓ {item.what}")


def groups(*, offline: bool) -> Iterator[list[Item]]:
    """Give the classes of checks one after another: a later one counts on the earlier ones being well."""
    settings = opening.settings()
    files, config, models = _files(settings)
    yield files
    if config is None or models is None:
        return
    yield _budgets(config, models)
    yield _pipelines(config, opening.installed_pipelines())
    yield [_sink(sink) for sink in config.sinks.values()]
    if not offline:
        yield [_redis()]


def _files(settings: Settings) -> tuple[list[Item], Config | None, Models | None]:
    from gateway.config import ConfigError, load_config, load_models  # noqa: PLC0415 - keeps `hookmill --help` quick

    items: list[Item] = []
    config, models = None, None
    try:
        config = load_config(settings.config, opening.environment())
        found = f"{render.plural(len(config.sources), 'source')}, {render.plural(len(config.sinks), 'sink')}"
        told = f", alerts to sink {config.alerts.sink}" if config.alerts else ""
        items.append(Item(what=f"{settings.config}: {found}{told}, all secrets there"))
    except ConfigError as error:
        items.append(Item(what=str(settings.config), fault=_indented(error)))
    try:
        models = load_models(settings.models, opening.environment())
        items.append(Item(what=f"{settings.models}: models {', '.join(sorted(models.aliases))}"))
    except ConfigError as error:
        items.append(Item(what=str(settings.models), fault=_indented(error)))
    return items, config, models


def _budgets(config: Config, models: Models) -> list[Item]:
    """Warn where a budget cannot be kept exactly; every source may ask every model."""
    if config.budget is None and not any(source.budget for source in config.sources.values()):
        return []
    warnings = list(unbounded(models))
    return [Item(what="budgets", warning="\n  ".join(warnings) or None)]


def _indented(error: Exception) -> str:
    return "\n  ".join(str(error).splitlines())


def _pipelines(config: Config, installed: Mapping[str, str]) -> list[Item]:
    wanted: dict[str, str] = {source.pipeline: name for name, source in config.sources.items()}
    return [_pipeline(name, source, folder=config.path.parent, installed=installed) for name, source in wanted.items()]


def _pipeline(name: str, source: str, *, folder: Path, installed: Mapping[str, str]) -> Item:
    what = f"pipeline {name} of source {source}"
    if ".py:" in name:
        path = folder / name.partition(":")[0]
        fault = None if path.is_file() else f"sources.{source}.pipeline: there is no file {path}"
        return Item(what=what, fault=fault)
    if name in installed:
        return Item(what=f"{what} ({installed[name]})")
    return Item(what=what, fault=f"sources.{source}.pipeline: {unknown('pipeline', name, installed)}")


def _sink(sink: Sink) -> Item:
    return Item(what=f"sink {sink.name} ({sink.kind}: {sink.target})", fault=_fault(sink))


def _fault(sink: Sink) -> str | None:
    from gateway.config import FileRules, WebhookRules  # noqa: PLC0415 - keeps `hookmill --help` quick

    needed = EXTRAS.get(sink.kind)
    if needed and find_spec(needed) is None:
        return f"sinks.{sink.name}: kind {sink.kind!r} needs {needed}: pip install 'hookmill[{sink.kind}]'"
    if isinstance(sink, FileRules):
        there = next(one for one in Path(sink.path).absolute().parents if one.exists())  # the sink makes the rest
        writable = there.is_dir() and os.access(there, os.W_OK)
        return None if writable else f"sinks.{sink.name}.path: cannot write in {there}"
    if isinstance(sink, WebhookRules) and not sink.allow_private and _is_local(urlsplit(sink.url).hostname or ""):
        return f"sinks.{sink.name}.url: a private address; set allow_private = true to allow it"
    return None


def _is_local(host: str) -> bool:
    """Whether a host is private at first sight; what a name resolves to is checked when something is delivered."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _redis() -> Item:
    async def look(ledger: Ledger) -> str:
        return f"clocks differ by {render.span(abs(await ledger.ping()))}"

    try:
        return Item(what=f"Redis answers and is new enough; {opening.ask(look)}")
    except Exception as error:
        line = line_of(error)
        if line is None:
            raise
        return Item(what="Redis", fault=line)
