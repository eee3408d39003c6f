from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import JsonDuplicateKey, JsonInvalid, JsonNumberRange, JsonTooDeep, Rejection
from gateway.verify.strict_json import check

BAD_INPUTS = json.loads((Path(__file__).parents[2] / "cases" / "bad_inputs.json").read_text())


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"0", b"-0", b'""', b"null", b" \t\r\n{} ", b'{"a": [1, 2.5, -1e300, true, false, null, "\\u00e9"]}',
     '{"é": "😀"}'.encode(), b'"\\ud83d\\ude00"', b'"\\\\ud800"', b'{"a": 1, "A": 2, "b": {"a": 1}}', b"1e-999",
     b"9" * 308, b"-" + b"9" * 308, b"1.7976931348623157e308", b"1E+308", b"1e0000308",
     b"9" * 199 + b"e99", b"1e-0309", b'"1e999"', b'"' + b"[" * 1000 + b'"', b'"\\"' + b"[" * 1000 + b'"', b'"NaN"'],
)  # fmt: skip
def test_strict_json_is_accepted(body):
    check(body)


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"[1,]", b"{} x", b"{}{}", b"{'a': 1}", b"{a: 1}", b'{"a" 1}', b"\xff", b'{"a": "\xff"}',
     b"\xef\xbb\xbf{}", "{}".encode("utf-16"), "{}".encode("utf-16-le"), "{}".encode("utf-32"), b'"\\ud800"',
     b'"\\udc00\\ud800"', b'{"\\uDBFF": 1}', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\n"', b'"\x00"', b'"\\x41"', b"01",
     b"+1", b".5", b"1.", b"0x1", b"1_0", b"nan", b"inf", b"True", b"//c\n1", b"\xc2\xa0{}", b"[}", b"[" * 64,
     b'{"a": 1', b"]", b"[" * 32 + b"}" * 32],
)  # fmt: skip
def test_what_readers_would_read_differently_is_invalid(body):
    with pytest.raises(JsonInvalid):
        check(body)


@pytest.mark.parametrize(
    "body",
    [b"NaN", b"Infinity", b"-Infinity", b'{"a": NaN}', b"1e999", b"-1e999", b"[1.0e400]", b"9" * 309, b"9" * 5000,
     b"-" + b"9" * 400, b"9" * 400 + b".5", b"9" * 200_000, b"1.8e308", b"2E308", b"1e+309", b"-1E+309",
     b"1e0309", b"9" * 210 + b"e99", b"0.1e00310", b"[1, {}, 1e400]"],
)  # fmt: skip
def test_number_beyond_a_double_is_out_of_range(body):
    with pytest.raises(JsonNumberRange):
        check(body)


@pytest.mark.parametrize(
    "body",
    [b'{"a": 1, "a": 1}', b'{"a": {"b": 1, "b": 2}}', b'[{"a": 1, "\\u0061": 2}]', b'{"": 1, "": 2}',
     '{"é": 1, "\\u00e9": 2}'.encode()],
)  # fmt: skip
def test_key_that_stands_twice_is_refused(body):
    with pytest.raises(JsonDuplicateKey):
        check(body)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_depth_is_capped_exactly(opening, closing):
    levels = 64 // len(closing)
    inside = b"1"
    check(opening * levels + inside + closing * levels)
    with pytest.raises(JsonTooDeep):
        check(b"[" + opening * levels + inside + closing * levels + b"]")


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"[" * 1_000_000, b'"\\""' + b"[" * 65,
     b'["]", ' + b"[" * 64],
)  # fmt: skip
def test_deep_nesting_is_refused_whatever_follows(body):
    with pytest.raises(JsonTooDeep, match="64"):
        check(body)


def test_width_is_not_depth():
    check(b"[" + b"[],{}," * 10_000 + b"[]]")
    check(json.dumps([{"brackets": "[{" * 50, "quote": '\\"['}] * 100).encode())
    check(b'"[["', max_depth=0)


def test_depth_cap_can_be_set_and_never_overflows_the_stack():
    with pytest.raises(JsonTooDeep, match="deeper than 1 levels"):
        check(b"[[]]", max_depth=1)
    with pytest.raises(JsonTooDeep):
        check(b"[" * 90_000 + b"]" * 90_000, max_depth=100_000)


CODES = {"json_not_utf8", "json_deep_nesting", "json_duplicate_keys", "json_nonfinite_or_huge_number"}


def hostile_bodies():
    for case in BAD_INPUTS:
        if case["name"] in CODES:
            for number, variant in enumerate([case, *case.get("variants", [])]):
                if "body_b64" in variant:
                    body = base64.b64decode(variant["body_b64"])
                    yield pytest.param(body, case["expect_code"], id=f"{case['name']}-{number}")


@pytest.mark.parametrize(("body", "code"), list(hostile_bodies()))
def test_hostile_bodies_get_their_code(body, code):
    with pytest.raises(Rejection) as refused:
        check(body)
    assert refused.value.code == code


def test_rejection_shows_no_part_of_the_body():
    for body in (b'{"secret": hunter2}', b'{"secret": "\xff"}', b'{"hunter2": 1, "hunter2": 2}', b"[" * 99):
        with pytest.raises(Rejection) as refused:
            check(body)
        assert "hunter2" not in str(refused.value)
        assert refused.value.__cause__ is None


numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(['"', "\\", "[", "{", "]}", '\\"', "\\u"])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@settings(max_examples=150)
@given(values, st.booleans(), st.integers(0, 4))
def test_everything_an_encoder_writes_is_judged_by_its_depth_alone(value, ascii_only, cap):
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    if depth(value) <= cap:
        check(body, max_depth=cap)
    else:
        with pytest.raises(JsonTooDeep):
            check(body, max_depth=cap)


fragments = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b'"a"',
        b":",
        b",",
        b"1",
        b"-",
        b"1e999",
        b"NaN",
        b"\\",
        b"\\u",
        b"d800",
        b"\xff",
        b" ",
    ]
)


@settings(max_examples=300)
@given(st.binary(max_size=40) | st.lists(fragments, max_size=20).map(b"".join))
def test_whatever_the_bytes_it_is_a_rejection_or_json(body):
    try:
        check(body, max_depth=3)
    except Rejection:
        return
    assert json.loads(json.dumps(json.loads(body), allow_nan=False)) == json.loads(body)


def test_recursion_limit_is_left_alone():
    before = sys.getrecursionlimit()
    check(b"[[[[]]]]")
    assert sys.getrecursionlimit() == before
