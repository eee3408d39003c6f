"""Capability links."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from gateway.access import Access, check_link, digest, sign_link
from gateway.errors import Unauthorized

KEY = b"key"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXPIRES = int(NOW.timestamp()) + 60


def check(**changes):
    signed = {"expires": str(EXPIRES), "signature": sign_link(KEY, "evt_1", EXPIRES), "now": NOW}
    return check_link(KEY, "evt_1", **signed | changes)


def test_the_signature_is_an_hmac_over_id_and_expiry():
    assert sign_link(KEY, "evt_1", 5) == hmac.new(KEY, b"evt_1.5", hashlib.sha256).hexdigest()


def test_a_link_holds_until_the_moment_it_expires():
    assert check()
    assert check(now=NOW + timedelta(seconds=59.9))
    assert not check(now=NOW + timedelta(seconds=60))


@pytest.mark.parametrize("expires", ["", "-1", "1e9", "٣", f" {EXPIRES}", f"+{EXPIRES}", "9" * 5000, str(EXPIRES + 1)])
def test_another_expiry_is_refused(expires):
    assert not check(expires=expires)


@pytest.mark.parametrize("signature", ["", "0" * 64, "é" * 64, "\udcff", sign_link(b"other", "evt_1", EXPIRES)])
def test_another_signature_is_refused(signature):
    assert not check(signature=signature)


def test_a_link_is_good_for_its_own_event_only():
    assert not check_link(KEY, "evt_2", expires=str(EXPIRES), signature=sign_link(KEY, "evt_1", EXPIRES), now=NOW)


def test_without_a_key_there_is_no_link():
    with pytest.raises(Unauthorized):
        Access(None, key=None).link("evt_1", now=NOW, valid=timedelta(hours=1))


def test_a_token_is_kept_as_its_digest():
    assert digest("hm_x") == hashlib.sha256(b"hm_x").hexdigest()
