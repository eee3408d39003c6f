"""Sinks: where results go, as [sinks.NAME] writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from gateway.config.errors import Key, nearest, shown, sort
from gateway.config.schemes import check_keys
from gateway.config.secret import Secret, one_or_more
from gateway.config.sink_tables import (
    ChatTable,
    FileTable,
    HeaderTable,
    ObjectTable,
    SinkTable,
    SqlTable,
    WebhookTable,
)
from gateway.ledger.slots import CircuitRule
from gateway.verify import SCHEMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from gateway.config.reading import Reading

WAITS = tuple(
    timedelta(seconds=wait) for wait in (5, 30, 2 * 60, 10 * 60, 30 * 60, 2 * 60 * 60, 6 * 60 * 60, 12 * 60 * 60)
)
SHORTEST_KEY = 32  # bytes, of HS256: https://www.rfc-editor.org/rfc/rfc7518#section-3.2
OURS = frozenset({"kind", "circuit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """Where results go, whatever its kind.

    `timeout` is for one delivery; at most `concurrency` are under way and `rate` begin within its time, fleet-wide;
    `circuit` tells when nobody is to try; `retry` holds the waits between attempts.
    """

    kind: ClassVar[str]
    name: str
    timeout: timedelta = timedelta(seconds=15)
    concurrency: int = 8
    rate: tuple[int, timedelta] | None = None
    circuit: CircuitRule = field(default_factory=CircuitRule)
    retry: tuple[timedelta, ...] = WAITS

    @property
    def target(self) -> str:
        """Where results go, for ops; without what may be a secret."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRules(Sink):
    """A URL that is posted to; `header` and `jwt` are for receivers that check no signature."""

    kind = "webhook"
    url: str = field(repr=False)  # its path or query may hold a token
    secrets: tuple[Secret, ...] = ()
    header: tuple[str, Secret] | None = None
    jwt: Secret | None = None
    allow_private: bool = False

    @property
    def target(self) -> str:
        """The URL without its query, which may hold a token."""
        return shown_url(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """When a file is put aside: before it has more than `size` bytes, when `every` is over; `keep` are kept."""

    size: int | None = None
    every: timedelta | None = None
    keep: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRules(Sink):
    """A file of JSON Lines; its path is absolute."""

    kind = "file"
    path: Path
    rotate: Rotation | None = None

    @property
    def target(self) -> str:
        """The path."""
        return str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRules(Sink):
    """A folder or bucket, as a URL of fsspec; `key` names the object of a delivery, `options` are the library's own."""

    kind = "object"
    url: str
    key: str = "{source}/{date}/{id}.json"
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def target(self) -> str:
        """The URL without its query, and the key."""
        return f"{shown_url(self.url)}/{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlRules(Sink):
    """A table of a database, as a URL of SQLAlchemy."""

    kind = "sql"
    url: Secret
    table: str = "hookmill_results"

    @property
    def target(self) -> str:
        """The table, and where the URL comes from."""
        return f"{self.table}, {self.url.origin}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRules(Sink):
    """A conversation, as a URL of Apprise; `text` is a template, of which `max_length` characters are sent."""

    kind = "chat"
    url: Secret
    text: str
    title: str = ""
    max_length: int = 2000

    @property
    def target(self) -> str:
        """Where the URL comes from."""
        return self.url.origin


def shown_url(url: str) -> str:
    """Give a URL without its query: it may hold a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def read_sink(reading: Reading, name: str, raw: object) -> Sink | None:
    """Read one [sinks.NAME]; notes its mistakes and then gives None or a sink that must not be used."""
    at: Key = ("sinks", name)
    if not isinstance(raw, dict):
        reading.wrong(at, f"expected a table, got {sort(raw)}")
        return None
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        hint = nearest(kind, KINDS) if isinstance(kind, str) else ""
        got = f"got {shown(kind)}{hint}" if "kind" in raw else "which is missing"
        reading.wrong((*at, "kind"), f"expected one of {', '.join(KINDS)}, {got}")
        return None
    return KINDS[kind](reading, name, raw, at=at)


def _file(reading: Reading, name: str, raw: object, *, at: Key) -> Sink | None:
    table = reading.table(FileTable, raw, at=at)
    if table is None:
        return None
    if table.rotate and table.rotate.size is None and table.rotate.every is None:
        reading.wrong((*at, "rotate"), "expected size or every, or both")
    rotate = Rotation(**table.rotate.written()) if table.rotate else None
    return FileRules(name=name, path=reading.located(table.path), rotate=rotate, **_plain(table, "path", "rotate"))


def _webhook(reading: Reading, name: str, raw: object, *, at: Key) -> Sink | None:
    table = reading.table(WebhookTable, raw, at=at)
    if table is None:
        return None
    secrets = one_or_more(reading, table, at=at)
    check_keys(reading, SCHEMES["standard"], table, at=at)
    header = _header(reading, table.header, at=(*at, "header", "value"))
    _check_jwt(reading, table, at=(*at, "jwt"))
    return WebhookRules(name=name, secrets=secrets, header=header, **_plain(table, "secret", "secrets", "header"))


def _header(reading: Reading, table: HeaderTable | None, *, at: Key) -> tuple[str, Secret] | None:
    if table is None:
        return None
    value = table.value.reveal()
    if not value.isascii() or not value.isprintable():
        reading.wrong(at, f"expected printable ASCII, as HTTP headers carry it; {table.value.origin} has more")
    return table.name, table.value


def _check_jwt(reading: Reading, table: WebhookTable, *, at: Key) -> None:
    if table.jwt is None:
        return
    if len(table.jwt.reveal().encode()) < SHORTEST_KEY:
        reading.wrong(at, f"expected a key of at least {SHORTEST_KEY} bytes; {table.jwt.origin} has less")
    if table.header and table.header.name.lower() == "authorization":
        reading.wrong(at, "expected either jwt or a header that is Authorization, got both")


def _object(reading: Reading, name: str, raw: object, *, at: Key) -> Sink | None:
    table = reading.table(ObjectTable, raw, at=at)
    if table is None:
        return None
    url = table.url if "://" in table.url else reading.located(table.url).as_uri()
    return ObjectRules(name=name, url=url, **_plain(table, "url"))


def _sql(reading: Reading, name: str, raw: object, *, at: Key) -> Sink | None:
    table = reading.table(SqlTable, raw, at=at)
    if table is None:
        return None
    scheme, mark, path = table.url.reveal().partition(":///")
    if mark and scheme.startswith("sqlite") and path and path != ":memory:":
        path = str(reading.located(path))
    url = Secret(origin=table.url.origin, value=f"{scheme}{mark}{path}")
    return SqlRules(name=name, url=url, **_plain(table, "url"))


def _chat(reading: Reading, name: str, raw: object, *, at: Key) -> Sink | None:
    table = reading.table(ChatTable, raw, at=at)
    return ChatRules(name=name, **_plain(table)) if table else None


def _plain(table: SinkTable, *without: str) -> dict[str, Any]:
    """Give what the table says, but for those keys that its reader makes something of."""
    rule = {"circuit": CircuitRule(**table.circuit.written())} if table.circuit else {}
    return table.written(without=OURS | set(without)) | rule


KINDS: Mapping[str, Callable[..., Sink | None]] = {
    "chat": _chat,
    "file": _file,
    "object": _object,
    "sql": _sql,
    "webhook": _webhook,
}
