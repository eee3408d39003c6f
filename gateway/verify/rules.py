"""What a scheme may not say. Each check raises ValueError, one line that begins with the field at fault."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from gateway.verify.scheme import Scheme

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a header's name: RFC 9110, section 5.6.2
POINTER = re.compile(r"(?:/(?:[^/~]|~[01])*)+")  # RFC 6901, but for the empty pointer: an id is never the whole body
PRINTABLE = re.compile(r"[ -~]*")
ASCII = re.compile(r"[\x00-\x7f]*")
SEPARATORS = ("", " ", ",", ";", "|", "&")  # none of them occurs inside hex or base64


def check_choices(scheme: Scheme, **choices: Any) -> None:
    """Check that each named field has one of the values of its Literal type."""
    for field, literal in choices.items():
        value = getattr(scheme, field)
        if value not in get_args(literal):
            raise ValueError(f"{field}: expected one of {', '.join(get_args(literal))}, got {value!r}")


def check_names(scheme: Scheme) -> None:
    """Check the header names, and the texts around a signature."""
    _check_header("header", scheme.header)
    for field in ("timestamp_header", "id_header"):
        if getattr(scheme, field) != "":
            _check_header(field, getattr(scheme, field))
    for field in ("prefix", "separator", "timestamp_item"):
        _check_text(field, getattr(scheme, field), form=PRINTABLE, expected="printable ASCII")
    _check_text("signed", scheme.signed, form=ASCII, expected="ASCII text")
    if scheme.separator not in SEPARATORS:
        raise ValueError(f"separator: expected a space or one of , ; | &, got {scheme.separator!r}")
    if scheme.separator and scheme.separator in scheme.prefix + scheme.timestamp_item:
        raise ValueError(f"separator: {scheme.separator!r} also occurs in the prefix, which could then never match")
    names = [name.lower() for name in (scheme.header, scheme.timestamp_header, scheme.id_header) if name]
    if len(set(names)) < len(names):
        raise ValueError("header: the signature, the time and the id need a header each")


def check_signed(scheme: Scheme) -> None:
    """Check that the signed string has the body once, no unknown field, and no field that can leak into another."""
    literals, fields = scheme.pieces[::2], scheme.pieces[1::2]
    if stray := next((text for text in literals if "{" in text or "}" in text), None):
        raise ValueError(f"signed: only {{id}}, {{timestamp}} and {{body}} are known, got {stray!r}")
    if fields.count("body") != 1 or len(set(fields)) < len(fields):
        raise ValueError("signed: expected {body} exactly once, and {id} and {timestamp} at most once")
    if any(touching in scheme.signed for touching in ("{id}{body}", "{body}{id}")):
        raise ValueError("signed: {id} and {body} need a separator, or bytes could move from one to the other")
    if ("id" in fields) != bool(scheme.id_header):
        raise ValueError("id_header: needed where signed has {id}, and only there")


def check_clock(scheme: Scheme) -> None:
    """Check that there is one time, that the MAC covers it, and a tolerance above zero."""
    if scheme.timestamp_header and scheme.timestamp_item:
        raise ValueError("timestamp_item: the time comes from a header or from an item, not from both")
    if scheme.timestamp_item and not scheme.separator:
        raise ValueError("timestamp_item: needs a separator, for the time to be an item of a list")
    source = scheme.timestamp_header or scheme.timestamp_item
    if scheme.timed and not source:
        raise ValueError("timestamp_header: needed where signed has {timestamp}")
    if source and not scheme.timed:
        field = "timestamp_header" if scheme.timestamp_header else "timestamp_item"
        raise ValueError(f"{field}: signed lacks {{timestamp}}, and a time that is not signed proves nothing")
    tolerance: object = scheme.tolerance
    if not isinstance(tolerance, timedelta) or tolerance <= timedelta(0):
        raise ValueError(f"tolerance: expected a duration above zero, got {tolerance}")


def check_dedupe(dedupe: object, *, field: str = "dedupe") -> None:
    """Check that an id's place reads "header:X-Id" or "json:/pointer"."""
    if dedupe is None:
        return
    kind, _, place = dedupe.partition(":") if isinstance(dedupe, str) else ("", "", "")
    if kind == "header":
        _check_header(field, place)
    elif kind != "json" or not POINTER.fullmatch(place):
        raise ValueError(f"{field}: expected 'header:X-Id' or 'json:/pointer', got {dedupe!r}")


def check_event_id(event_id: str | None, *, signed: str) -> None:
    """Check a template's `event_id` against its signed string."""
    check_dedupe(event_id, field="event_id")
    if "{id}" in str(signed) and not (event_id or "").startswith("header:"):
        raise ValueError(f"event_id: signed has {{id}}, which needs a header as 'header:X-Id', got {event_id!r}")


def _check_header(field: str, name: object) -> None:
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise ValueError(f"{field}: expected the name of a header, got {name!r}")


def _check_text(field: str, text: object, *, form: re.Pattern[str], expected: str) -> None:
    if not isinstance(text, str) or not form.fullmatch(text):
        raise ValueError(f"{field}: expected {expected}, got {text!r}")
