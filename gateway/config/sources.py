"""Sources: the configured senders, as [sources.NAME] writes them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PlainValidator

from gateway.config.budgets import Budget, BudgetTable, make_budget
from gateway.config.errors import Key, expected, nearest, shown
from gateway.config.reading import Reading, Table
from gateway.config.retry import Retry, RetryTable, read_retry
from gateway.config.schemes import NAMES, SchemeRef, check_keys, read_scheme
from gateway.config.secret import DatedRef, Secret, SecretRef, SecretTable, one_or_more
from gateway.config.values import (
    Concurrency,
    Count,
    Duration,
    Flag,
    Identity,
    Rate,
    Size,
    Text,
    Url,
    choice,
    whole,
)
from gateway.ledger.event import Lane, Limit, Rules
from gateway.verify import Dated

if TYPE_CHECKING:
    from collections.abc import Collection

    from gateway.verify import Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A configured sender: scheme, secrets, limits, dedupe rule, pipeline, sinks.

    `tolerance` None means the scheme's; `dedupe_by` None means the scheme's id, another one already stands in
    `scheme.dedupe`; `max_body` is in bytes. `public_url` is where the provider posts to, byte for byte, for schemes
    that sign it; `verify_token` is what its handshake must know, where it asks with one. `limit_status` is what tells a
    sender that it is too fast; some never send again what was answered with a 4xx. `on_unparsable` "quarantine" keeps
    signed bodies that are not strict JSON as dead letters instead of refusing them. `retry` is what it says itself of
    retries: `RetryPolicy.of` adds what its pipeline says, and the defaults. With `trust_traceparent` its events go on
    with the trace that a request names.
    """

    name: str
    scheme: Scheme
    secrets: tuple[Secret, ...]
    pipeline: str
    max_body: int
    sinks: tuple[str, ...] = ()
    tolerance: timedelta | None = None
    limit: Limit | None = None
    limit_status: Literal[429, 503] = 429
    on_unparsable: Literal["refuse", "quarantine"] = "refuse"
    dedupe_ttl: timedelta = timedelta(days=7)
    dedupe_by: str | None = None
    idempotent: bool = False
    replay: timedelta = timedelta(minutes=10)
    concurrency: int = 20
    max_backlog: int = 10_000
    priority: Lane = "normal"
    success: int = 202
    reply: Literal["id", "status"] = "id"
    body_timeout: timedelta = timedelta(seconds=5)
    timeout: timedelta = timedelta(minutes=10)
    retry: Retry = field(default_factory=Retry)
    public_url: str = field(default="", repr=False)  # its path or query may hold a token
    verify_token: Secret | None = None
    budget: Budget | None = None
    trust_traceparent: bool = False

    @property
    def rules(self) -> Rules:
        """What the ledger applies to each of its events; without the bound on all sources together."""
        tolerance = self.scheme.tolerance if self.tolerance is None else self.tolerance
        return Rules(
            source=self.name,
            pipeline=self.pipeline,
            lane=self.priority,
            concurrency=self.concurrency,
            max_backlog=self.max_backlog,
            timeout=self.timeout,
            dedupe_ttl=self.dedupe_ttl,
            idempotent=self.idempotent,
            nonce_ttl=2 * tolerance if self.scheme.covers_time else self.replay,
            limit=self.limit,
        )

    @property
    def keys(self) -> tuple[Dated, ...]:
        """The secrets as `gateway.verify` takes them, each with its end."""
        return tuple(Dated(value=one.reveal().encode(), not_after=one.not_after) for one in self.secrets)


class DedupeTable(Table):
    """The table of `dedupe`."""

    ttl: Duration | None = None
    by: Identity | None = None
    idempotent: Flag | None = None


def _limit_status(value: object) -> int:
    if isinstance(value, bool) or value not in {429, 503}:
        raise expected("429 or 503", value)
    return 429 if value == 429 else 503


class SourceTable(SecretTable):
    """The keys of a source."""

    scheme: SchemeRef = Field(description=NAMES)
    secret: DatedRef | None = None
    secrets: tuple[DatedRef, ...] | None = None
    verify_token: SecretRef | None = None
    public_url: Url | None = None
    pipeline: Text = Field(description='a pipeline such as "comment-sentiment" or "app.py:triage"')
    sinks: tuple[Text, ...] | None = None
    tolerance: Duration | None = None
    limit: Rate | None = None
    burst: Count | None = None
    limit_status: Annotated[Literal[429, 503], PlainValidator(_limit_status)] | None = None
    on_unparsable: Annotated[Literal["refuse", "quarantine"], PlainValidator(choice("refuse", "quarantine"))] | None = (
        None
    )
    dedupe: DedupeTable | None = None
    replay: Duration | None = None
    concurrency: Concurrency | None = None
    max_body: Size | None = None
    max_backlog: Count | None = None
    priority: Annotated[Lane, PlainValidator(choice("high", "normal", "low"))] | None = None
    success: Annotated[int, PlainValidator(whole(200, 299))] | None = None
    reply: Annotated[Literal["id", "status"], PlainValidator(choice("id", "status"))] | None = None
    body_timeout: Duration | None = None
    timeout: Duration | None = None
    retry: RetryTable | None = None
    budget: BudgetTable | None = None
    trust_traceparent: Flag | None = None


APART = frozenset({"scheme", "secret", "secrets", "limit", "burst", "dedupe", "retry", "max_body", "budget"})


def read_source(reading: Reading, name: str, raw: object, *, sinks: Collection[str]) -> Source | None:
    """Read one [sources.NAME]; notes its mistakes and then gives None or a source that must not be used."""
    at: Key = ("sources", name)
    table = reading.table(SourceTable, raw, at=at)
    if table is None:
        return None
    _check_sinks(reading, table.sinks or (), known=sinks, at=(*at, "sinks"))
    secrets = one_or_more(reading, table, at=at)
    scheme = read_scheme(reading, table.scheme, at=(*at, "scheme"))
    if scheme is None:
        return None
    check_keys(reading, scheme, table, at=at)
    return Source(
        name=name,
        scheme=_with_rules(reading, scheme, table, at=at),
        secrets=secrets,
        limit=_limit(reading, table, at=at),
        retry=read_retry(reading, table.retry or RetryTable(), at=(*at, "retry")),
        budget=make_budget(reading, table.budget, at=(*at, "budget")),
        max_body=table.max_body or scheme.max_body,
        **_renamed(table.dedupe or DedupeTable()),
        **table.written(without=APART),
    )


def _with_rules(reading: Reading, scheme: Scheme, table: SourceTable, *, at: Key) -> Scheme:
    """Put the source's own id into its scheme, so that the verifier finds it; note rules that could have no effect."""
    dedupe = table.dedupe or DedupeTable()
    if table.tolerance and not scheme.timed:
        reading.wrong((*at, "tolerance"), f"expected none, since scheme {scheme.name} signs no time; see replay")
    if dedupe.idempotent and not (dedupe.by or scheme.dedupe):
        reading.wrong((*at, "dedupe", "by"), f"missing; expected one beside idempotent: {scheme.name} has no id")
    _check_address(reading, scheme, table, at=at)
    return dataclasses.replace(scheme, dedupe=dedupe.by) if dedupe.by else scheme


def _check_address(reading: Reading, scheme: Scheme, table: SourceTable, *, at: Key) -> None:
    if scheme.signs_url and not table.public_url:
        reading.wrong((*at, "public_url"), f"missing; expected the URL posted to, since scheme {scheme.name} signs it")
    if table.public_url and not scheme.signs_url:
        reading.wrong((*at, "public_url"), f"expected none, since scheme {scheme.name} does not sign the URL")
    if table.verify_token and not (scheme.handshake and scheme.handshake.verify_token):
        reading.wrong((*at, "verify_token"), f"expected none, since scheme {scheme.name} asks with none")


def _renamed(dedupe: DedupeTable) -> dict[str, Any]:
    names = {"ttl": "dedupe_ttl", "by": "dedupe_by", "idempotent": "idempotent"}
    return {names[key]: value for key, value in dedupe.written().items()}


def _check_sinks(reading: Reading, named: tuple[str, ...], *, known: Collection[str], at: Key) -> None:
    for place, sink in enumerate(named):
        if sink not in known:
            reading.wrong((*at, place), f"no [sinks.*] is named {shown(sink)}{nearest(sink, known)}")
        elif sink in named[:place]:
            reading.wrong((*at, place), f"sink {shown(sink)} is named twice")


def _limit(reading: Reading, table: SourceTable, *, at: Key) -> Limit | None:
    if table.limit is None:
        if table.burst is not None:
            reading.wrong((*at, "burst"), 'expected a limit beside it, such as limit = "600/minute"')
        return None
    count, period = table.limit
    # Without a burst the whole period's allowance may come at once: what "600/minute" says to most readers.
    return Limit(count=count, period=period, burst=table.burst or count)
