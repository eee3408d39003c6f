"""What the admit script is given: the rules of each source once, then each event."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from gateway.ledger.slots import ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ledger.event import Admission, Rules

MARK = 16  # bytes of a hash that stand for an id or a MAC
BODY_MARK = 8


def admit_arguments(batch: Sequence[Admission]) -> list[Any]:
    """Give the arguments of admit.lua, without the two about retention; rules of a source are those it first has."""
    rules: list[Any] = []
    events: list[Any] = []
    places: dict[str, int] = {}
    for admission in batch:
        place = places.get(admission.rules.source)
        if place is None:
            place = places[admission.rules.source] = len(places) + 1
            rules += _rules(admission.rules)
        events += _event(admission, place)
    return [len(places), *rules, *events]


def _rules(rules: Rules) -> tuple[Any, ...]:
    limit = rules.limit
    return (
        rules.source,
        rules.pipeline,
        rules.lane,
        rules.concurrency,
        ms(rules.timeout),
        rules.max_backlog,
        rules.max_total,
        ms(rules.dedupe_ttl),
        int(rules.idempotent),
        ms(rules.nonce_ttl),
        round(limit.period / timedelta(microseconds=1) / limit.count) if limit else 0,
        limit.burst if limit else 0,
    )


def _event(admission: Admission, place: int) -> tuple[Any, ...]:
    event = admission.event
    return (
        place,
        event.id,
        "" if admission.dedupe_id is None else _mark(event.source, admission.dedupe_id),
        _mark(event.source, admission.nonce),
        sha256(event.body).digest()[:BODY_MARK],
        event.record(),
        event.body,
        event.traceparent[3:35],
        round(event.received_at.timestamp() * 1000),
        admission.flaw,
    )


def _mark(source: str, text: str) -> bytes:
    return sha256(f"{source}\0{text}".encode()).digest()[:MARK]
