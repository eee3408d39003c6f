"""The environment: the few HOOKMILL_* variables that say where everything is."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.config import ConfigError, Secret
from gateway.ledger.sentinel import read_watched

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_REDIS = "redis://127.0.0.1:6379/0"
STARTS = "redis://, rediss:// or unix://, or redis+sentinel://HOST:PORT,HOST:PORT/NAME (rediss+sentinel:// for TLS)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the ledger, the configuration and our own files are; repr omits redis_url: it may hold a password."""

    redis_url: str = field(repr=False)
    config: Path
    models: Path
    signing_key: Secret | None
    data: Path


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read HOOKMILL_REDIS_URL, _CONFIG, _MODELS, _SIGNING_KEY, _DATA; blank counts as not set. Raises ConfigError."""
    said = {name: value for name, value in env.items() if value.strip()}
    data = Path(said["HOOKMILL_DATA"]) if "HOOKMILL_DATA" in said else _state_home(said) / "hookmill"
    config = Path(said.get("HOOKMILL_CONFIG", "hookmill.toml"))
    return Settings(
        redis_url=_redis_url(said, data),
        config=config,
        models=Path(said.get("HOOKMILL_MODELS", config.parent / "models.yaml")),
        signing_key=_signing_key(said, data),
        data=data,
    )


def _state_home(env: Mapping[str, str]) -> Path:
    """Give $XDG_STATE_HOME; a relative one is invalid: https://specifications.freedesktop.org/basedir-spec/latest/."""
    stated = Path(env.get("XDG_STATE_HOME", ""))
    if stated.is_absolute():
        return stated
    try:
        return Path(env["HOME"] if "HOME" in env else Path.home(), ".local", "state")
    except RuntimeError:
        raise ConfigError("HOOKMILL_DATA: missing; expected a folder, since there is no home folder either") from None


def _signing_key(env: Mapping[str, str], data: Path) -> Secret | None:
    kept = data / "signing.key"
    try:
        if "HOOKMILL_SIGNING_KEY" in env:
            return Secret.from_env("HOOKMILL_SIGNING_KEY", env)
        return Secret.from_file(kept) if kept.exists() else None
    except (OSError, ValueError) as error:
        raise ConfigError(f"HOOKMILL_SIGNING_KEY: {error}") from None


def _redis_url(env: Mapping[str, str], data: Path) -> str:
    url = env.get("HOOKMILL_REDIS_URL") or _running(data / "up.json") or DEFAULT_REDIS
    try:
        known = read_watched(url) or urlsplit(url).scheme in {"redis", "rediss", "unix"}
    except ValueError:
        known = False
    if not known:
        raise ConfigError(f"HOOKMILL_REDIS_URL: expected a URL that starts with {STARTS}")
    return url


def _running(state: Path) -> str | None:
    """Give the Redis of a running `hookmill up`; what one that has ended left behind says nothing."""
    try:
        left = json.loads(state.read_text(encoding="utf-8"))
        url, pid = str(left["redis_url"]), left.get("pid")
        running = pid is None or _alive(int(pid))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{state}: expected JSON with redis_url; remove it or set HOOKMILL_REDIS_URL") from None
    return url if running else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
