"""n8n.toml: what the workflows need of the place where they run; its secrets are references, as in hookmill.toml."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.config.errors import nearest, sort
from gateway.config.reading import Reading
from gateway.config.secret import resolved
from gateway.config.toml import parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEYS = ("command", "url", "api_key", "config", "credentials")
SECRET_FIELDS = frozenset({"hmacSecret", "value", "token", "password", "secret", "secrets"})
"""Fields of n8n's credentials that hold a secret: it may not stand in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One of n8n's credentials; its repr does not show what is in it."""

    id: str
    type: str
    values: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where n8n is, how it is called, the key of its API or "", and what is in the nodes Config and the credentials."""

    command: tuple[str, ...] = ("n8n",)
    url: str = "http://127.0.0.1:5678"
    api_key: str = field(default="", repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    credentials: Mapping[str, Credential] = field(default_factory=dict)


def read_place(path: Path, env: Mapping[str, str]) -> Place:
    """Read n8n.toml and the secrets that it refers to. Raises ConfigError with every mistake, one per line."""
    reading = Reading(path=path, env=env)
    document = parse(reading)
    for key in document.keys() - set(KEYS):
        reading.wrong((key,), f"unknown key{nearest(key, KEYS)}")
    known = {key: document[key] for key in ("url",) if key in document}
    place = Place(
        **{key: str(value) for key, value in known.items()},
        api_key=_api_key(reading, document.get("api_key", "")),
        command=_command(reading, document.get("command", ["n8n"])),
        config=_config(reading, document.get("config", {})),
        credentials=_credentials(reading, document.get("credentials")),
    )
    if not place.url.startswith(("http://", "https://")):
        reading.wrong(("url",), "expected a URL that starts with http:// or https://")
    reading.finish()
    return place


def ids_of(path: Path) -> frozenset[str] | None:
    """Give the ids of the credentials that the file has, without reading a secret; None where there is no file."""
    if not path.is_file():
        return None
    listed = parse(Reading(path=path, env={})).get("credentials")
    return frozenset(listed) if isinstance(listed, dict) else frozenset()


def _command(reading: Reading, raw: object) -> tuple[str, ...]:
    if isinstance(raw, list) and raw and all(isinstance(word, str) and word for word in raw):
        return tuple(raw)
    reading.wrong(("command",), 'expected a list of words, such as ["n8n"] or ["docker", "compose", "exec", "-T", …]')
    return ("n8n",)


def _api_key(reading: Reading, raw: object) -> str:
    try:
        return resolved(raw, reading).reveal() if raw else ""
    except ValueError as error:
        reading.wrong(("api_key",), str(error))
        return ""


def _config(reading: Reading, raw: object) -> dict[str, Any]:
    if not isinstance(raw, dict):
        reading.wrong(("config",), f"expected a table, got {sort(raw)}")
        return {}
    read = {}
    for name, value in raw.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            reading.wrong(("config", name), f"expected a text or a number, got {sort(value)}")
        else:
            read[name] = _value(reading, value, at=("config", name))
    return read


def _credentials(reading: Reading, raw: object) -> dict[str, Credential]:
    found = {}
    for name, table in reading.named(raw, at=("credentials",)).items():
        at = ("credentials", name)
        if not isinstance(table, dict) or not isinstance(table.get("type"), str):
            reading.wrong((*at, "type"), "missing; expected one of n8n's types, such as crypto or httpHeaderAuth")
            continue
        values = {
            key: _field(reading, table["type"], key, value, at=at) for key, value in table.items() if key != "type"
        }
        found[name] = Credential(id=name, type=table["type"], values=values)
    return found


def _field(reading: Reading, kind: str, key: str, value: object, *, at: tuple[str, ...]) -> Any:
    referred = isinstance(value, str) and value.startswith(("env:", "file:"))
    if key in SECRET_FIELDS and not referred and value != "":
        reading.wrong((*at, key), "secrets only as env:NAME or file:PATH")
        return ""
    read = _value(reading, value, at=(*at, key))
    try:
        return key_text(read) if kind == "crypto" else read
    except ValueError as error:
        reading.wrong((*at, key), str(error))
        return ""


def _value(reading: Reading, value: Any, *, at: tuple[str, ...]) -> Any:
    if not isinstance(value, str) or not value.startswith(("env:", "file:")):
        return value
    try:
        return resolved(value, reading).reveal()
    except ValueError as error:
        reading.wrong(at, str(error))
        return ""


def key_text(secret: str) -> str:
    """Give the key of a Standard Webhooks secret as the text that n8n takes it for; another text is the key itself.

    Raises ValueError where the key is not ASCII: n8n's Crypto node knows no other bytes than those of a text.
    """
    if not secret.startswith("whsec_"):
        return secret
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError(
            "its key is not ASCII text, which n8n needs: make another one, as `hookmill init` does"
        ) from None
