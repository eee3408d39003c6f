"""Secrets: written as env:NAME or file:PATH, read once at load time, never shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime  # noqa: TC003 - pydantic reads the annotations
from typing import TYPE_CHECKING, Annotated

from pydantic import PlainValidator, ValidationInfo

from gateway.config.errors import Key, nearest
from gateway.config.reading import Reading, Table
from gateway.config.values import moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST = 64 * 1024
DATED = ("value", "not_after")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret and where it came from; neither `repr()` nor `str()` shows its value.

    White space around the value is dropped: files and `echo` end in a newline that no provider signs with.
    After `not_after`, nothing is accepted under it.
    """

    origin: str
    value: str = field(repr=False)
    not_after: datetime | None = None

    def reveal(self) -> str:
        """Give the value, which is never empty."""
        return self.value

    def __str__(self) -> str:
        return f"<secret {self.origin}>"

    @classmethod
    def from_env(cls, name: str, env: Mapping[str, str]) -> Secret:
        """Read an environment variable. Raises ValueError where it is not set, or blank."""
        if name not in env:
            raise ValueError(f"environment variable {name!r} is not set{nearest(name, env)}")
        if not (value := env[name].strip()):
            raise ValueError(f"environment variable {name!r} is empty")
        return cls(origin=f"env:{name}", value=value)

    @classmethod
    def from_file(cls, path: Path) -> Secret:
        """Read a file of at most 64 KiB of UTF-8. Raises ValueError where it is missing, unreadable or blank."""
        try:
            with path.open(encoding="utf-8-sig") as file:
                value = file.read(LONGEST + 1)
        except FileNotFoundError:
            raise ValueError(f"secret file {str(path)!r} does not exist") from None
        except UnicodeDecodeError:
            raise ValueError(f"secret file {str(path)!r} is not UTF-8 text") from None
        except OSError as error:
            raise ValueError(f"secret file {str(path)!r} is not readable: {error.strerror}") from None
        if len(value) > LONGEST or not (value := value.strip()):
            raise ValueError(f"secret file {str(path)!r} is {'empty' if not value else 'larger than 64 KiB'}")
        return cls(origin=f"file:{path}", value=value)


def referred(value: object, info: ValidationInfo) -> Secret:
    """Read the secret that "env:NAME" or "file:PATH" refers to. ValueError says what is wrong, without repeating it."""
    reading = info.context
    if not isinstance(reading, Reading):
        raise TypeError("secrets are read within a Reading")
    return resolved(value, reading)


def resolved(value: object, reading: Reading) -> Secret:
    """Read the secret that `env:NAME` or `file:PATH` of that file refers to. Raises ValueError."""
    kind, _, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind == "env" and VARIABLE.fullmatch(rest):
        return Secret.from_env(rest, reading.env)
    if kind == "file" and rest.strip() and "\0" not in rest:
        return Secret.from_file(reading.located(rest))
    # What stands there may be the secret itself: it is not repeated.
    raise ValueError("secrets only as env:NAME or file:PATH")


def _dated(value: object, info: ValidationInfo) -> Secret:
    """Read "env:NAME", or {value = "env:NAME", not_after = "2026-12-01T00:00:00Z"}."""
    if not isinstance(value, dict):
        return referred(value, info)
    for key in value:
        if key not in DATED:
            raise ValueError(f"unknown key{nearest(str(key), DATED)}; a secret's table has value and not_after")
    secret = referred(value.get("value"), info)
    return replace(secret, not_after=moment(value["not_after"]) if "not_after" in value else None)


SecretRef = Annotated[Secret, PlainValidator(referred)]
DatedRef = Annotated[Secret, PlainValidator(_dated)]


class SecretTable(Table):
    """A table with `secret`, or `secrets` where several are valid at once (rotation)."""

    secret: SecretRef | None = None
    secrets: tuple[SecretRef, ...] | None = None

    def placed(self, *, at: Key) -> list[tuple[Key, Secret]]:
        """List the secrets, the first is the newest, each with the key that it stands under."""
        if self.secret is not None:
            return [((*at, "secret"), self.secret)]
        return [((*at, "secrets", place), secret) for place, secret in enumerate(self.secrets or ())]


def one_or_more(reading: Reading, table: SecretTable, *, at: Key) -> tuple[Secret, ...]:
    """Give the table's secrets; note a mistake where there is none, or both keys."""
    if table.secret is not None and table.secrets is not None:
        reading.wrong((*at, "secret"), "expected either secret or secrets, got both")
    found = tuple(secret for _, secret in table.placed(at=at))
    if not found:
        reading.wrong((*at, "secrets"), 'missing; expected at least one, such as ["env:NAME"] or ["file:PATH"]')
    return found
