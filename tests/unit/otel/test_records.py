"""Records are facts: frozen, small, without content; every listener is told every one."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from datetime import timedelta

import pytest

from otel.records import EventRejected, ModelCall, Record, Swept, tell

SWEPT = Swept(woken=1, recovered=0, extended=0)
CONTENT = {"body", "prompt", "untrusted", "answer", "result", "output", "secret", "headers"}


def test_every_listener_is_told_in_order():
    told = []
    tell((lambda one: told.append(("first", one)), lambda one: told.append(("second", one))), SWEPT)
    assert told == [("first", SWEPT), ("second", SWEPT)]


def test_nobody_needs_to_listen():
    tell((), SWEPT)


@pytest.mark.parametrize("kind", [*Record.__args__, ModelCall])
def test_no_record_has_room_for_content(kind):
    assert not CONTENT & {one.name for one in fields(kind)}


@pytest.mark.parametrize("kind", Record.__args__)
def test_a_record_cannot_be_changed(kind):
    record = object.__new__(kind)
    with pytest.raises(FrozenInstanceError):
        setattr(record, fields(kind)[0].name, "other")


def test_equal_facts_are_equal_records():
    def rejected(code):
        return EventRejected(source="blog", code=code, status=401, took=timedelta(0))

    assert rejected("signature_invalid") == rejected("signature_invalid")
    assert rejected("signature_invalid") != rejected("rate_limited")
