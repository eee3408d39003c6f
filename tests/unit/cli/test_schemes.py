"""`hookmill schemes`."""

from __future__ import annotations

import json

import pytest

from gateway.cli.faults import Fault
from gateway.cli.schemes import schemes
from gateway.verify import SCHEMES


def test_every_scheme_is_listed(capsys):
    schemes()
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert listed == ["scheme", *SCHEMES]


def test_json_has_everything(capsys):
    schemes(as_json=True)
    told = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(told) == list(SCHEMES)
    assert told["square"]["needs"] == ["public_url"]
    assert told["meta"]["needs"] == ["verify_token"]
    assert told["paddle"]["tolerance"] == "± 5 s"
    assert all(row["docs"].startswith("https://") for row in told.values())


def test_one_scheme_is_told_in_full(capsys):
    schemes("github")
    text = capsys.readouterr().out
    assert SCHEMES["github"].docs in text
    assert "proof     HMAC-SHA-256 over {body}" in text
    assert "but       the id (X-GitHub-Delivery) is not signed" in text
    schemes("github", as_json=True)
    assert json.loads(capsys.readouterr().out)["id"] == "header:X-GitHub-Delivery"


@pytest.mark.parametrize("name", SCHEMES)
def test_any_scheme_can_be_told(name, capsys):
    schemes(name)
    assert capsys.readouterr().out.startswith(name)


def test_unknown_scheme_is_a_fault_with_the_nearest_name():
    with pytest.raises(Fault, match="unknown scheme 'gihub'; did you mean 'github'"):
        schemes("gihub")
