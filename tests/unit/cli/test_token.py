from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from gateway.cli.faults import Fault
from gateway.cli.token import digest, parse_scopes, parse_span


def test_scopes_are_read_in_order_and_once():
    assert parse_scopes("read, admin,read") == ("read", "admin")


def test_an_unknown_scope_names_the_nearest():
    with pytest.raises(Fault, match="unknown scope 'raed'; did you mean 'read'"):
        parse_scopes("raed")


def test_no_scope_is_refused():
    with pytest.raises(Fault, match="--scope"):
        parse_scopes(" , ")


def test_expiry_is_a_duration():
    assert parse_span("30d") == timedelta(days=30)
    with pytest.raises(Fault, match="--expires"):
        parse_span("soon")


def test_only_the_digest_is_kept():
    assert digest("hm_x") == hashlib.sha256(b"hm_x").hexdigest()
