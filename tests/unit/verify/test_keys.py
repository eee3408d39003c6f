"""Secrets that end, and how many there may be."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from fakes.sender import GITHUB, NOW, OTHER, PLAIN, SECRET, STANDARD, judge, sent

from gateway.errors import SignatureInvalid
from gateway.verify import MOST_SECRETS, Dated, read_keys

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("scheme", PLAIN.values(), ids=list(PLAIN))
def test_secret_is_good_up_to_its_end_and_no_longer(scheme):
    headers = sent(scheme)
    judge(scheme, headers, secrets=(OTHER, Dated(value=SECRET, not_after=NOW)))
    with pytest.raises(SignatureInvalid):
        judge(scheme, headers, secrets=(OTHER, Dated(value=SECRET, not_after=NOW - SECOND)))


def test_source_whose_secrets_all_ended_accepts_nothing():
    with pytest.raises(SignatureInvalid):
        judge(STANDARD, sent(STANDARD), secrets=(Dated(value=SECRET, not_after=NOW - SECOND),))


def test_nonce_stays_the_same_when_the_first_secret_ends():
    signed = sent(GITHUB)
    nonces = {
        judge(GITHUB, signed, secrets=(Dated(value=OTHER, not_after=NOW + away), SECRET)).nonce
        for away in (-SECOND, SECOND)
    }
    assert len(nonces) == 1


def test_list_of_secrets_is_capped():
    read_keys(STANDARD, [SECRET] * MOST_SECRETS)
    with pytest.raises(ValueError, match=r"^secrets: at most 8 are tried, got 9$"):
        read_keys(STANDARD, [SECRET] * (MOST_SECRETS + 1))


def test_secret_and_key_never_show_themselves():
    dated = Dated(value=SECRET, not_after=NOW)
    assert SECRET.decode() not in repr(dated) + repr(read_keys(GITHUB, [dated]))


def test_public_keys_cost_their_library_only_where_they_are_configured():
    asked = "import sys, gateway.verify; print('cryptography' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
