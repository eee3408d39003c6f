"""Numbers of people are found where their country is asked for; the values are those of the countries' own examples."""

from __future__ import annotations

import sys
import time

import pytest

from actors.errors import Failure
from actors.pipelines import numbers
from actors.pipelines.redact import pseudonymise, redact

NUMBERS = [
    ("us", "536-90-4399"),
    ("de", "36 574 261 809"),
    ("gb", "943 476 5870"),
    ("pl", "44051401359"),
    ("it", "RCCMNL83S18D969H"),
    ("fi", "131052-308T"),
    ("es", "54362315-K"),
    ("br", "390.533.447-05"),
    ("se", "880320-0016"),
]


@pytest.mark.parametrize(("country", "number"), NUMBERS)
def test_a_number_is_taken_out_and_comes_back(country, number):
    text = f"Her number is {number}, born in May; call again."
    found = pseudonymise(text, [country])
    assert (found.text, found.counts) == ("Her number is [ID_1], born in May; call again.", {"id": 1})
    assert found.restore(found.text) == text
    assert redact(text, (country,)).originals == {}


@pytest.mark.parametrize(("country", "number"), NUMBERS)
def test_with_another_check_digit_it_is_none(country, number):
    if country != "us":  # has none
        spoilt = number[:-1] + ("1" if number[-1] != "1" else "2")
        assert "id" not in redact(f"Her number is {spoilt}.", [country]).counts


@pytest.mark.parametrize("country", numbers.MODULES)
def test_every_country_can_be_asked_for(country):
    assert redact("nothing of the kind in order 12345", [country]).counts == {}


def test_nothing_is_looked_for_unless_a_country_is_named():
    assert redact("Her number is 44051401359.").counts == {}


def test_nine_digits_are_no_social_security_number_unless_written_as_one():
    assert "id" not in redact("order 536904399", ["us"]).counts


def test_an_unknown_country_and_a_missing_extra_are_told_in_a_line(monkeypatch):
    with pytest.raises(Failure, match=r"no numbers of country 'xx' are known: at, au, ") as failure:
        redact("text", ["xx"])
    assert failure.value.klass == "permanent"
    numbers._checks.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "stdnum"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stdnum", None)  # what Python does for a package that is not there
    with pytest.raises(Failure, match=r"needs an extra: pip install 'hookmill\[pii\]'"):
        redact("text", ["nl"])
    numbers._checks.cache_clear()


def test_time_is_linear_whatever_the_text_holds():
    def took(text):
        began = time.perf_counter()
        list(numbers.numbers(text, ["us", "de", "gb"]))
        return time.perf_counter() - began

    took("12 345-67 8901 " * 10)
    assert took("12 345-67 8901 " * 400) < 20 * max(took("12 345-67 8901 " * 100), 0.02)
