"""Opens what commands work on: settings, configuration, the ledger. Only here does the CLI read the environment."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.config import Config, Models
    from gateway.ledger import By, Ledger, Retention
    from gateway.settings import Settings

T = TypeVar("T")
PATIENCE = timedelta(seconds=5)  # a person waits longer for Redis than a request may


def settings() -> Settings:
    """Read the settings from the environment."""
    from gateway.settings import read_settings  # noqa: PLC0415 - keeps `hookmill --help` quick

    return read_settings(os.environ)


def config() -> Config:
    """Read hookmill.toml; raises ConfigError with one clear line."""
    from gateway.config import load_config  # noqa: PLC0415 - keeps `hookmill --help` quick

    return load_config(settings().config, os.environ)


def models() -> Models:
    """Read models.yaml; raises ConfigError with its mistakes."""
    from gateway.config import load_models  # noqa: PLC0415 - keeps `hookmill --help` quick

    return load_models(settings().models, os.environ)


def ready_to_work() -> None:
    """Look whether a worker could start: raises ConfigError or LedgerError with one clear line where it could not."""
    config()
    models()
    ask(lambda ledger: ledger.ping())


def ask(question: Callable[[Ledger], Awaitable[T]], *, retention: Retention | None = None) -> T:
    """Open the ledger, ask it, close it; raises LedgerError with one clear line where Redis cannot be reached."""
    import asyncio  # noqa: PLC0415 - keeps `hookmill --help` quick

    return asyncio.run(_ask(question, settings().redis_url, retention))


async def _ask(question: Callable[[Ledger], Awaitable[T]], url: str, retention: Retention | None) -> T:
    from gateway.ledger import open_ledger  # noqa: PLC0415 - keeps `hookmill --help` quick

    ledger = await open_ledger(url, deadline=PATIENCE, retention=retention)
    try:
        return await question(ledger)
    finally:
        await ledger.close()


def installed_pipelines() -> dict[str, str]:
    """Give the pipelines of the installed plugins, name -> `module:function`, without importing them."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - keeps `hookmill --help` quick

    return {point.name: point.value for point in entry_points(group="hookmill.pipelines")}


def environment() -> dict[str, str]:
    """Give a copy of the environment, for what is configured from it and for processes to start."""
    return dict(os.environ)


def retention() -> Retention | None:
    """Give how long things are kept, where hookmill.toml is there and sound; else None, for the defaults."""
    found = config_or_none()
    return found.retention if found else None


def by(on: str = "", *, bulk: str = "") -> By:
    """Name who runs this command, for the audit trail: `cli:user@host`."""
    import getpass  # noqa: PLC0415 - keeps `hookmill --help` quick
    import socket  # noqa: PLC0415

    from gateway.ledger import By  # noqa: PLC0415

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        user = str(os.getuid())
    return By(who=f"cli:{user}@{socket.gethostname()}", on=on, bulk=bulk)


def now() -> datetime:
    """Give the present moment, in UTC."""
    return datetime.now(UTC)


def config_or_none() -> Config | None:
    """Read hookmill.toml where it is there and sound: for commands that only say more with it."""
    from gateway.config import ConfigError  # noqa: PLC0415 - keeps `hookmill --help` quick

    try:
        return config()
    except (ConfigError, OSError):
        return None
