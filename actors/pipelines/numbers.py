"""Finds the numbers by which countries know people (identity, social security, tax), by python-stdnum's checks.

It comes with the extra `hookmill[pii]`, and is imported when it is first wanted: https://arthurdejong.org/python-stdnum/.
Names and addresses are another matter: what finds those needs a trained model, and none comes as a package.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from actors.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Span = tuple[int, int]

MODULES: Mapping[str, tuple[str, ...]] = {
    "at": ("at.vnr",),
    "au": ("au.tfn",),
    "be": ("be.nn",),
    "bg": ("bg.egn",),
    "br": ("br.cpf",),
    "ca": ("ca.sin",),
    "ch": ("ch.ssn",),
    "cl": ("cl.rut",),
    "cn": ("cn.ric",),
    "cz": ("cz.rc",),
    "de": ("de.idnr",),
    "dk": ("dk.cpr",),
    "ee": ("ee.ik",),
    "es": ("es.dni", "es.nie"),
    "fi": ("fi.hetu",),
    "fr": ("fr.nir",),
    "gb": ("gb.nhs",),
    "gr": ("gr.amka",),
    "hr": ("hr.oib",),
    "ie": ("ie.pps",),
    "il": ("il.idnr",),
    "in": ("in_.aadhaar", "in_.pan"),
    "it": ("it.codicefiscale",),
    "kr": ("kr.rrn",),
    "lt": ("lt.asmens",),
    "mx": ("mx.curp",),
    "my": ("my.nric",),
    "nl": ("nl.bsn",),
    "no": ("no.fodselsnummer",),
    "pl": ("pl.pesel",),
    "pt": ("pt.cc",),
    "ro": ("ro.cnp",),
    "se": ("se.personnummer",),
    "th": ("th.pin",),
    "tr": ("tr.tckimlik",),
    "us": ("us.ssn", "us.itin"),
    "za": ("za.idnr",),
}
"""Countries, and what python-stdnum calls the numbers of their people."""

UNCHECKED = {"us.ssn": re.compile(r"\d{3}-\d\d-\d{4}"), "us.itin": re.compile(r"\d{3}-\d\d-\d{4}")}
"""Numbers without a check digit count only where they are written as is usual."""

# What begins a word and may be a number, with a sign between its groups or none. Longer ones are none of these.
WORDS = re.compile(r"(?<![A-Za-z0-9])(?=([A-Za-z0-9](?:[ ./-]?[A-Za-z0-9]){7,23}))", re.ASCII)
LEAST_DIGITS = 5
MISSING = "to find the numbers of countries needs an extra: pip install 'hookmill[pii]'"


def numbers(text: str, countries: Sequence[str]) -> Iterator[Span]:
    """Find such numbers of these countries (`us`, `de`, ...). Raises Failure for one that is unknown."""
    checks = [check for country in countries for check in _checks(country.lower())]
    for match in WORDS.finditer(text):
        found = (end for end in _ends(text, match) if any(check(text[match.start() : end]) for check in checks))
        if end := next(found, 0):
            yield match.start(), end


def _ends(text: str, match: re.Match[str]) -> Iterator[int]:
    """Give where words end within what may be a number, the farthest first."""
    for end in range(match.end(1), match.start() + 7, -1):
        ends_here = text[end - 1].isalnum() and not text[end : end + 1].isalnum()
        if ends_here and sum(map(str.isdigit, text[match.start() : end])) >= LEAST_DIGITS:
            yield end


@cache
def _checks(country: str) -> tuple[Any, ...]:
    if country not in MODULES:
        raise Failure(f"redact: no numbers of country {country!r} are known: {', '.join(MODULES)}", klass="permanent")
    return tuple(_check(name) for name in MODULES[country])


def _check(name: str) -> Any:
    try:
        valid = import_module(f"stdnum.{name}").is_valid
    except ModuleNotFoundError:
        raise Failure(MISSING, klass="permanent") from None
    written = UNCHECKED.get(name)
    return (lambda found: written.fullmatch(found) is not None and valid(found)) if written else valid
