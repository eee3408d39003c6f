"""JSON that means the same to every reader, or a Rejection: a signature over two meanings would cover both."""

from __future__ import annotations

import json
import math
import re
from array import array
from itertools import accumulate
from typing import Any, NoReturn

import jiter

from gateway.errors import JsonDuplicateKey, JsonInvalid, JsonNumberRange, JsonTooDeep

STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # +1 and, as a signed byte, -1
ZEROS = bytes.maketrans(b"123456789E", b"000000000e")  # all digits are alike
MANY_DIGITS, HIGH, PLUS_HIGH = b"0" * 200, b"0e000", b"0e+000"  # a number beyond a double has one of them


def check(body: bytes, *, max_depth: int = 64) -> None:
    """Raise a Rejection unless the body is strict JSON: JsonInvalid, JsonTooDeep, JsonDuplicateKey or JsonNumberRange.

    UTF-8 without a byte order mark, no lone surrogates, no key twice in an object, no number beyond a double,
    at most `max_depth` nested arrays and objects.
    """
    if _depth(body, enough=max_depth) > max_depth:
        raise JsonTooDeep(f"The JSON is nested deeper than {max_depth} levels.")
    if _has_large_number(body) or not _is_plain(body):
        _check_closely(body)


def _has_large_number(body: bytes) -> bool:
    """Tell, quickly, whether there may be a number beyond a double: up to 199 digits and two of exponent fit."""
    digits = body.translate(ZEROS)
    return MANY_DIGITS in digits or HIGH in digits or PLUS_HIGH in digits


def _is_plain(body: bytes) -> bool:
    """Tell, quickly, whether it is strict JSON, large numbers apart; nearly all bodies are."""
    try:
        jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError:
        return False
    return True


def _check_closely(body: bytes) -> None:
    """Raise what is wrong with it, if anything."""
    text = _decoded(body)
    document = _parsed(text)
    if SURROGATE_ESCAPE.search(text):
        _check_surrogates(document)


def _depth(body: bytes, *, enough: int) -> int:
    """Count the nesting without recursion, so no body exhausts the stack; up to `enough` it is an upper bound."""
    brackets = sum(map(body.count, (b"[", b"{")))
    if brackets <= enough:
        return brackets
    steps = STRING.sub(b"", body).translate(STEPS, NOT_BRACKETS)
    return max(accumulate(array("b", steps)), default=0)


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise JsonInvalid from None


def _parsed(text: str) -> Any:
    try:
        return STRICT.decode(text)
    except ValueError:  # not chained: it holds the body
        raise JsonInvalid from None
    except RecursionError:
        raise JsonTooDeep from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise JsonDuplicateKey
    return members


def _refuse(_constant: str) -> NoReturn:
    raise JsonNumberRange


def _integer(digits: str) -> float:
    return _float(digits) if len(digits) > 308 else 0  # 308 digits always fit a double; the value is not needed


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise JsonNumberRange
    return value


STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_integer, parse_float=_float)


def _check_surrogates(document: Any) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise JsonInvalid from None
