"""What a Retry-After says, and what follows from each kind of trouble."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from actors.llm.classify import HOPE, RULES, Trouble, classify, parse_retry_after

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "1e9"}, 3600),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 -0000"}, 30),
    ],
)
def test_retry_after_is_read_in_all_its_forms_and_capped(headers, seconds):
    wanted = None if seconds is None else timedelta(seconds=seconds)
    assert parse_retry_after(headers, now=NOW) == wanted


def test_an_exception_that_nobody_knows_is_transient():
    assert classify(KeyError("choices"), now=NOW) == Trouble(kind="transient", name="KeyError")


def test_an_overrun_deadline_is_transient():
    assert classify(TimeoutError(), now=NOW).kind == "transient"


def test_only_a_request_that_nobody_could_take_ends_it_and_only_limits_and_keys_ask_for_another_key():
    then = {kind: rule.then for kind, rule in RULES.items() if rule.then != "next"}
    assert then == {
        "request": "nobody",
        "policy": "willing",
        "context": "larger",
        "rate_limited": "next_key",
        "key": "next_key",
    }


def test_every_class_has_its_rank_of_hope():
    assert {rule.klass for rule in RULES.values()} == set(HOPE)


def test_its_text_names_class_and_status_only():
    assert str(Trouble(kind="key", name="AuthenticationError", status=401)) == "permanent (AuthenticationError 401)"
