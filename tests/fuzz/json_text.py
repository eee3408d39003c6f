"""Strict JSON as a target: what `check` accepts, an independent strict reader accepts too, and all readers agree on."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from fuzz.choices import Choices, altered
from pydantic_core import from_json

from gateway.errors import JsonDuplicateKey, JsonInvalid, JsonNumberRange, JsonTooDeep
from gateway.verify.strict_json import check

MOST_DEPTH = 64
JSON_REJECTIONS = (JsonDuplicateKey, JsonInvalid, JsonNumberRange, JsonTooDeep)
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
NAMED = {"true": True, "false": False, "null": None}
TOKENS = (
    b"{", b"}", b"[", b"]", b":", b",", b'"', b'"a"', b'"a":', b'"\\u0061"', b"\\", b'\\"', b"\\u", b"d83d",
    b'"\\ud83d\\ude00"', b'"\\uDE00\\uD83D"', b"\\ud83d", b"1", b"0", b"-", b".5", b"e9", b"E+400", b"e-400", b"NaN",
    b"Infinity", b"-Infinity", b"true", b"false", b"null", b" ", b"\n", b"\t", b"\x0c", b"\xa0", b"\xef\xbb\xbf",
    b"\x00", b"\x7f", b"\xe2\x80\xa8", b"\xc3\xa9", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"9" * 308, b"9" * 309,
    b"9" * 5000, b"[" * 63, b"]" * 63, b"[" * 65, b"]" * 65, b'{"":' * 64, b"}" * 64, b"[[[]]]" * 30,
    b'"' + b"[" * 70 + b'"', b"//", b"'", b"\xef\xbc\x91",
)  # fmt: skip
DOCUMENTS = (
    b'{"id": "evt_1", "n": [1, 2.5, -3e-2, true, false, null], "m": {"a": "\\u00e9\\n", "b": {}}}',
    b'[{"a": 1}, {"a": 2}, "\\\\", "\\ud83d\\ude00", -0, 0.0, 1e-999]',
    b'{"a": 1, "a": 2, "b": {"a": 1, "\\u0062": 2, "": 0}}',
    b"[" * 64 + b"]" * 64,
    b"[" * 65 + b"]" * 65,
    b'{"a":' * 63 + b"[0]" + b"}" * 63,
    b"[" + b"9" * 308 + b", 17976931348623157" + b"0" * 292 + b"]",
)


class FlawError(Exception):
    """The text is not strict JSON."""


def judge(choices: Choices) -> None:
    """Judge one text."""
    compare(make_text(choices))


def make_text(choices: Choices) -> bytes:
    """Take the input as it is, or put tokens side by side, or alter a document."""
    match choices.number(2):
        case 0:
            return choices.rest()
        case 1:
            return b"".join(choices.pick(TOKENS) for _ in range(choices.number(24)))
        case _:
            body = choices.pick(DOCUMENTS)
            for _ in range(choices.number(3)):
                body = altered(body, choices, TOKENS)
            return body


def compare(body: bytes) -> None:
    """Compare the check with the plain reader, and with two ordinary ones."""
    try:
        value = read(body)
    except FlawError:
        assert not accepts(body), body
        return
    assert accepts(body), body
    shown = repr(value)  # tells 1 from 1.0 and from True
    assert repr(json.loads(body)) == shown
    assert repr(from_json(body, allow_inf_nan=False)) == shown
    again = json.dumps(value).encode()
    assert accepts(again)
    assert repr(json.loads(again)) == shown


def accepts(body: bytes) -> bool:
    """Tell whether the check accepts; whatever else it raises is a fault."""
    try:
        check(body)
    except JSON_REJECTIONS:
        return False
    return True


def read(body: bytes) -> Any:
    """Read strict JSON, written from RFC 8259 and apart from the code under test; raises FlawError."""
    try:
        return Reader(body.decode()).whole()
    except UnicodeError:
        raise FlawError("not UTF-8, or half of a surrogate pair") from None


class Reader:
    """A reader by recursive descent, a method per rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.text, self.place, self.depth = text, 0, 0

    def whole(self) -> Any:
        value = self.value()
        if self.place != len(self.text):
            raise FlawError("something follows")
        return value

    def value(self) -> Any:
        self.blank()
        match self.ahead():
            case "{":
                found = self.nested(self.object)
            case "[":
                found = self.nested(self.array)
            case '"':
                found = self.string()
            case _:
                found = self.plain()
        self.blank()
        return found

    def blank(self) -> None:
        while self.ahead() in {" ", "\t", "\r", "\n"}:
            self.place += 1

    def ahead(self) -> str:
        return self.text[self.place : self.place + 1]

    def take(self, wanted: str) -> bool:
        taken = self.text.startswith(wanted, self.place)
        self.place += len(wanted) if taken else 0
        return taken

    def want(self, wanted: str) -> None:
        if not self.take(wanted):
            raise FlawError(f"expected {wanted} at {self.place}")

    def nested(self, rule: Any) -> Any:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise FlawError("too deep")
        found = rule()
        self.depth -= 1
        return found

    def object(self) -> dict[str, Any]:
        self.want("{")
        found: dict[str, Any] = {}
        self.blank()
        while not self.take("}"):
            if found:
                self.want(",")
                self.blank()
            name = self.string()
            if name in found:
                raise FlawError("the same key twice")
            self.blank()
            self.want(":")
            found[name] = self.value()
        return found

    def array(self) -> list[Any]:
        self.want("[")
        found: list[Any] = []
        self.blank()
        while not self.take("]"):
            if found:
                self.want(",")
            found.append(self.value())
        return found

    def string(self) -> str:
        self.want('"')
        made = []
        while not self.take('"'):
            one = self.ahead()
            self.place += 1
            if one < " ":
                raise FlawError("a control character, or no end")
            made.append(self.escape() if one == "\\" else one)
        return "".join(made).encode("utf-16", "surrogatepass").decode("utf-16")

    def escape(self) -> str:
        one = self.ahead()
        self.place += 1
        if one != "u":
            if one not in ESCAPES:
                raise FlawError("an unknown escape")
            return ESCAPES[one]
        digits = self.text[self.place : self.place + 4]
        if not re.fullmatch("[0-9a-fA-F]{4}", digits):
            raise FlawError("an escape without four digits")
        self.place += 4
        return chr(int(digits, 16))

    def plain(self) -> Any:
        for word, value in NAMED.items():
            if self.take(word):
                return value
        number = NUMBER.match(self.text, self.place)
        if number is None:
            raise FlawError("no value")
        self.place = number.end()
        if math.isinf(float(number[0])):
            raise FlawError("beyond a double")
        return float(number[0]) if number[1] or number[2] else int(number[0])
