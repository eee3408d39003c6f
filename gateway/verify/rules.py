"""What a scheme may not say. Each check raises ValueError, one line that begins with the field at fault."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.verify.scheme import Scheme

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a header's name: RFC 9110, section 5.6.2
POINTER = re.compile(r"(?:/(?:[^/~]|~[01])*)+")  # RFC 6901, but for the empty pointer: an id is never the whole body
PRINTABLE = re.compile(r"[ -~]*")
ASCII = re.compile(r"[\x00-\x7f]*")
SEPARATORS = ("", " ", ",", ";", "|", "&")  # none of them occurs inside hex or base64
CLOCKS = ("timestamp_header", "timestamp_item", "timestamp_pointer")
# Fields of a free length: side by side, bytes could move from one to the other.
TOUCHING = ("{id}{body}", "{body}{id}")


def check_choices(scheme: Scheme, **choices: Any) -> None:
    """Check that each named field has one of the values of its Literal type."""
    for field, literal in choices.items():
        value = getattr(scheme, field)
        if value not in get_args(literal):
            raise ValueError(f"{field}: expected one of {', '.join(get_args(literal))}, got {value!r}")


def check_names(scheme: Scheme) -> None:
    """Check the header names, the pointers, and the texts around a signature."""
    if bool(scheme.header) == bool(scheme.pointer):
        raise ValueError("header: the signature comes from a header or from the body, and from one of them only")
    for field in ("header", "spare_header", "timestamp_header", "id_header"):
        if getattr(scheme, field) != "":
            _check_header(field, getattr(scheme, field))
    for field in ("pointer", "timestamp_pointer", "id_pointer"):
        if getattr(scheme, field) and not POINTER.fullmatch(getattr(scheme, field)):
            raise ValueError(f"{field}: expected a JSON pointer such as /id, got {getattr(scheme, field)!r}")
    for field in ("prefix", "public_prefix", "separator", "timestamp_item"):
        _check_text(field, getattr(scheme, field), form=PRINTABLE, expected="printable ASCII")
    for text in (scheme.signed, *scheme.signed_else):
        _check_text("signed", text, form=ASCII, expected="ASCII text")
    _check_separator(scheme)
    names = [scheme.header, scheme.spare_header, scheme.timestamp_header, scheme.id_header]
    if len({name.lower() for name in names if name}) < len([name for name in names if name]):
        raise ValueError("header: the signature, the time and the id need a header each")


def _check_separator(scheme: Scheme) -> None:
    if scheme.separator not in SEPARATORS:
        raise ValueError(f"separator: expected a space or one of , ; | &, got {scheme.separator!r}")
    if scheme.separator and scheme.separator in scheme.prefix + scheme.public_prefix + scheme.timestamp_item:
        raise ValueError(f"separator: {scheme.separator!r} also occurs in the prefix, which could then never match")


def check_signed(scheme: Scheme, *, known: Sequence[str]) -> None:
    """Check that the signed string covers the body, has no unknown field, and no field that can leak into another."""
    for pieces in scheme.alternatives:
        literals, fields = pieces[::2], pieces[1::2]
        if stray := next((text for text in literals if "{" in text or "}" in text), None):
            raise ValueError(f"signed: only {{{'}, {'.join(known)}}} are known, got {stray!r}")
        if len(set(fields)) < len(fields):
            raise ValueError("signed: expected {body} exactly once, and every other field at most once")
    if not scheme.covers_body and not scheme.unsigned_body:
        raise ValueError("signed: expected {body} exactly once, and every other field at most once")
    if any(touching in text for text in (scheme.signed, *scheme.signed_else) for touching in TOUCHING):
        raise ValueError("signed: {id} and {body} need a separator, or bytes could move from one to the other")
    if ("id" in scheme.fields) != bool(scheme.id_header or scheme.id_pointer):
        raise ValueError("id_header: needed where signed has {id}, and only there")


def check_clock(scheme: Scheme) -> None:
    """Check that there is one time, that the proof covers it, and a tolerance above zero."""
    sources = [field for field in CLOCKS if getattr(scheme, field)]
    if len(sources) > 1:
        raise ValueError(f"{sources[1]}: the time comes from a header, from an item or from the body, not from two")
    if scheme.timestamp_item and not scheme.separator:
        raise ValueError("timestamp_item: needs a separator, for the time to be an item of a list")
    if "timestamp" in scheme.fields and not sources:
        raise ValueError("timestamp_header: needed where signed has {timestamp}")
    inside = bool(scheme.timestamp_pointer and scheme.covers_body) or "components" in scheme.fields
    if sources and "timestamp" not in scheme.fields and not inside:
        raise ValueError(f"{sources[0]}: signed lacks {{timestamp}}, and a time that is not signed proves nothing")
    tolerance: object = scheme.tolerance
    if not isinstance(tolerance, timedelta) or tolerance <= timedelta(0):
        raise ValueError(f"tolerance: expected a duration above zero, got {tolerance}")


def check_proof(scheme: Scheme) -> None:
    """Check that the keys are of the kind that the proof works with."""
    forms = {"ecdsa": ("spki",), "ed25519": ("hex",)}.get(scheme.proof, ("raw", "hex", "base64", "whsec", "pem"))
    if scheme.key not in forms:
        raise ValueError(f"key: proof {scheme.proof} takes {', '.join(forms)}, got {scheme.key!r}")
    if scheme.public_prefix and scheme.key != "whsec":
        raise ValueError("public_prefix: only whsec keys tell shared secrets from public keys")


def check_dedupe(dedupe: object, *, field: str = "dedupe") -> None:
    """Check that an id's place reads "header:X-Id" or "json:/pointer"."""
    if dedupe is None:
        return
    kind, _, place = str(dedupe).partition(":")
    if kind == "header":
        _check_header(field, place)
    elif kind != "json" or not POINTER.fullmatch(place):
        raise ValueError(f"{field}: expected 'header:X-Id' or 'json:/pointer', got {dedupe!r}")


def check_template(header: object, *, signed: str, event_id: str | None) -> None:
    """Check a template's header, and its `event_id` against its signed string."""
    _check_header("header", header)
    check_dedupe(event_id, field="event_id")
    if "{id}" in str(signed) and not (event_id or "").startswith("header:"):
        raise ValueError(f"event_id: signed has {{id}}, which needs a header as 'header:X-Id', got {event_id!r}")
    if "{components}" in str(signed):
        raise ValueError("signed: {components} belongs to scheme rfc9421")


def _check_header(field: str, name: object) -> None:
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise ValueError(f"{field}: expected the name of a header, got {name!r}")


def _check_text(field: str, text: object, *, form: re.Pattern[str], expected: str) -> None:
    if not isinstance(text, str) or not form.fullmatch(text):
        raise ValueError(f"{field}: expected {expected}, got {text!r}")
