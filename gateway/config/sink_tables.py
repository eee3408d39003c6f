"""The keys of [sinks.NAME], one table for each kind of sink."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator, ValidationInfo

from gateway.config.errors import expected, nearest
from gateway.config.models import CircuitTable  # noqa: TC001 - pydantic reads it
from gateway.config.reading import Table
from gateway.config.secret import Secret, SecretRef, SecretTable, referred
from gateway.config.values import Attempts, Concurrency, Duration, Flag, Rate, Size, Text, Url, field_name, named, whole

# The sender writes these itself; a second one would be ambiguous to the receiver.
OWN_HEADERS = frozenset(
    {
        *("webhook-id", "webhook-timestamp", "webhook-signature", "traceparent", "tracestate"),
        *("content-type", "content-length", "content-encoding", "transfer-encoding"),
        *("host", "connection", "te", "trailer", "upgrade", "expect"),
    }
)
KEY_FIELDS = ("id", "event_id", "source", "pipeline", "date")
"""What a key template may name."""

FIELD = re.compile(r"\{([^{}]*)\}")
FIXED = re.compile(r"[\w./=+@ -]*", re.ASCII)
IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
REFERENCES = ("env:", "file:")


class SinkTable(Table):
    """The keys that every sink has."""

    timeout: Duration | None = None
    concurrency: Concurrency | None = None
    rate: Rate | None = None
    circuit: CircuitTable | None = None
    retry: tuple[Duration, ...] | None = None


def _free_header(value: object) -> str:
    name = field_name(value)
    if name.lower() in OWN_HEADERS:
        raise expected("a header that the sink does not write itself", value)
    return name


class HeaderTable(Table):
    """The table of `header`: one header that authenticates us to the receiver."""

    name: Annotated[str, PlainValidator(_free_header)] = Field(description="the name of an HTTP header")
    value: SecretRef = Field(description="env:NAME or file:PATH")


class WebhookTable(SinkTable, SecretTable):
    """The keys of a webhook sink."""

    kind: Literal["webhook"]
    url: Url = Field(description="a URL such as https://example.com/hook")
    header: HeaderTable | None = None
    jwt: SecretRef | None = None
    allow_private: Flag | None = None


class RotateTable(Table):
    """The table of `rotate`: when a file is put aside, and how many of these are kept."""

    size: Size | None = None
    every: Duration | None = None
    keep: Attempts | None = None


class FileTable(SinkTable):
    """The keys of a file sink."""

    kind: Literal["file"]
    path: Text = Field(description="the path of the file to append to")
    rotate: RotateTable | None = None


def _key(value: object) -> str:
    """Parse a key template: {id} must be in it, or one result would overwrite another."""
    text = value if isinstance(value, str) else ""
    for name in FIELD.findall(text):
        if name not in KEY_FIELDS:
            raise ValueError(f"expected {{NAME}} of {', '.join(KEY_FIELDS)}, got {name!r}{nearest(name, KEY_FIELDS)}")
    parts = text.split("/")
    if "{id}" not in text or not FIXED.fullmatch(FIELD.sub("", text)) or {"", ".", ".."} & set(parts):
        raise expected('a key such as "{source}/{date}/{id}.json", with {id} in it', value)
    return text


def _options(value: object, info: ValidationInfo) -> dict[str, Any]:
    """Parse the library's options; a text that is env:NAME or file:PATH is read, at any depth."""
    given = named(value)
    return {name: _option(one, info) for name, one in given.items()}


def _option(value: object, info: ValidationInfo) -> object:
    if isinstance(value, dict):
        return _options(value, info)
    if isinstance(value, str) and value.startswith(REFERENCES):
        return referred(value, info).reveal()
    return value


class ObjectTable(SinkTable):
    """The keys of an object sink."""

    kind: Literal["object"]
    url: Text = Field(description="a folder, or a URL such as s3://bucket/folder")
    key: Annotated[str | None, PlainValidator(_key)] = None
    options: Annotated[dict[str, Any] | None, PlainValidator(_options)] = None


def _database(value: object, info: ValidationInfo) -> Secret:
    """Parse env:NAME or file:PATH, or the URL of a database that needs no password; errors do not repeat it."""
    if isinstance(value, str) and value.startswith(REFERENCES):
        return referred(value, info)
    parts = urlsplit(value) if isinstance(value, str) else urlsplit("")
    if not isinstance(value, str) or not parts.scheme or "://" not in value:
        raise ValueError("expected env:NAME, file:PATH, or a URL such as sqlite:///results.db")
    if parts.password is not None or parts.query:
        raise ValueError("expected a URL without password and options; one that has them only as env:NAME or file:PATH")
    return Secret(origin="hookmill.toml", value=value)


def _identifier(value: object) -> str:
    """Parse the name of a table; it stands in SQL as it is, so little is allowed."""
    if not isinstance(value, str) or not IDENTIFIER.fullmatch(value):
        raise expected("a table's name of small letters, digits and '_', at most 63 characters", value)
    return value


class SqlTable(SinkTable):
    """The keys of a sql sink."""

    kind: Literal["sql"]
    url: Annotated[Secret, PlainValidator(_database)] = Field(description="env:NAME, file:PATH or sqlite:///PATH")
    table: Annotated[str | None, PlainValidator(_identifier)] = None


class ChatTable(SinkTable):
    """The keys of a chat sink."""

    kind: Literal["chat"]
    url: SecretRef = Field(description="env:NAME or file:PATH, which holds a URL of Apprise")
    text: Text = Field(description='a template such as "{source}: {result.summary}"')
    title: Text | None = None
    max_length: Annotated[int | None, PlainValidator(whole(16, 100_000))] = None
