"""Sinks: where results go, as [sinks.NAME] writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PlainValidator

from gateway.config.errors import Key, expected, nearest, shown, sort
from gateway.config.reading import Reading, Table
from gateway.config.schemes import check_keys
from gateway.config.secret import Secret, SecretRef, SecretTable, one_or_more
from gateway.config.values import Concurrency, Duration, Flag, Text, Url, field_name
from gateway.verify import SCHEMES

if TYPE_CHECKING:
    from pathlib import Path

# The sender writes these itself; a second one would be ambiguous to the receiver.
OWN_HEADERS = frozenset(
    {
        *("webhook-id", "webhook-timestamp", "webhook-signature", "traceparent", "tracestate"),
        *("content-type", "content-length", "content-encoding", "transfer-encoding"),
        *("host", "connection", "te", "trailer", "upgrade", "expect"),
    }
)
WAITS = tuple(
    timedelta(seconds=wait) for wait in (5, 30, 2 * 60, 10 * 60, 30 * 60, 2 * 60 * 60, 6 * 60 * 60, 12 * 60 * 60)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """Where results go: a "webhook" has `url` and `secrets`, a "file" has `path` (absolute; JSON lines).

    `header` is one more header for receivers that cannot check signatures; `retry` holds the waits between attempts.
    """

    name: str
    kind: Literal["webhook", "file"]
    url: str | None = field(default=None, repr=False)  # its path or query may hold a token
    path: Path | None = None
    secrets: tuple[Secret, ...] = ()
    header: tuple[str, Secret] | None = None
    allow_private: bool = False
    timeout: timedelta = timedelta(seconds=15)
    concurrency: int = 8
    retry: tuple[timedelta, ...] = WAITS


def _free_header(value: object) -> str:
    name = field_name(value)
    if name.lower() in OWN_HEADERS:
        raise expected("a header that the sink does not write itself", value)
    return name


class HeaderTable(Table):
    """The table of `header`: one header that authenticates us to the receiver."""

    name: Annotated[str, PlainValidator(_free_header)] = Field(description="the name of an HTTP header")
    value: SecretRef = Field(description="env:NAME or file:PATH")


class FileTable(Table):
    """The keys of a file sink."""

    kind: Literal["file"]
    path: Text = Field(description="the path of the file to append to")
    timeout: Duration | None = None
    concurrency: Concurrency | None = None
    retry: tuple[Duration, ...] | None = None


class WebhookTable(SecretTable):
    """The keys of a webhook sink."""

    kind: Literal["webhook"]
    url: Url = Field(description="a URL such as https://example.com/hook")
    header: HeaderTable | None = None
    allow_private: Flag | None = None
    timeout: Duration | None = None
    concurrency: Concurrency | None = None
    retry: tuple[Duration, ...] | None = None


def read_sink(reading: Reading, name: str, raw: object) -> Sink | None:
    """Read one [sinks.NAME]; notes its mistakes and then gives None or a sink that must not be used."""
    at: Key = ("sinks", name)
    if not isinstance(raw, dict):
        reading.wrong(at, f"expected a table, got {sort(raw)}")
        return None
    match raw.get("kind"):
        case "file":
            return _file(reading, name, raw, at=at)
        case "webhook":
            return _webhook(reading, name, raw, at=at)
        case kind:
            hint = nearest(kind, ("file", "webhook")) if isinstance(kind, str) else ""
            got = f"got {shown(kind)}{hint}" if "kind" in raw else "which is missing"
            reading.wrong((*at, "kind"), f"expected one of file, webhook, {got}")
            return None


def _file(reading: Reading, name: str, raw: object, *, at: Key) -> Sink | None:
    table = reading.table(FileTable, raw, at=at)
    if table is None:
        return None
    return Sink(name=name, path=reading.located(table.path), **table.written(without=frozenset({"path"})))


def _webhook(reading: Reading, name: str, raw: object, *, at: Key) -> Sink | None:
    table = reading.table(WebhookTable, raw, at=at)
    if table is None:
        return None
    secrets = one_or_more(reading, table, at=at)
    check_keys(reading, SCHEMES["standard"], table, at=at)
    header = _header(reading, table.header, at=(*at, "header", "value"))
    return Sink(
        name=name,
        secrets=secrets,
        header=header,
        **table.written(without=frozenset({"secret", "secrets", "header"})),
    )


def _header(reading: Reading, table: HeaderTable | None, *, at: Key) -> tuple[str, Secret] | None:
    if table is None:
        return None
    value = table.value.reveal()
    if not value.isascii() or not value.isprintable():
        reading.wrong(at, f"expected printable ASCII, as HTTP headers carry it; {table.value.origin} has more")
    return table.name, table.value
