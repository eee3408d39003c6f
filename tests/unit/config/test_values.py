from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import values

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.just([]), st.just({})
)
PARSERS = [
    values.duration,
    values.size,
    values.rate,
    values.seconds,
    values.growth,
    values.flag,
    values.text,
    values.field_name,
    values.identity,
    values.http_url,
    values.named,
    values.whole(1, 9),
    values.choice("high", "low"),
]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("1.5s", timedelta(seconds=1.5)),
        ("5m", timedelta(minutes=5)),
        ("12 h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
    ],
)
def test_durations_are_a_number_and_a_unit(text, span):
    assert values.duration(text) == span


@pytest.mark.parametrize(
    "text",
    ["", "5", "5min", "m", "-5m", "+5m", "0s", "0.0001ms", "1e3s", "\u0665m", "5m ", "5m\n", "99999999d", 5],
)
def test_anything_else_is_no_duration(text):
    with pytest.raises(ValueError, match=r'expected a duration such as "5m"'):
        values.duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (1, 1),
        (262144, 262144),
        ("256KiB", 262144),
        ("1.5MB", 1_500_000),
        ("25 MiB", 26214400),
        ("12B", 12),
        ("1kB", 1000),
    ],
)
def test_sizes_are_bytes_or_a_number_and_a_unit(text, count):
    assert values.size(text) == count


@pytest.mark.parametrize(
    "text", [0, -1, True, 1.5, "1.0001kB", "0B", "1GiB", "-1B", "KiB", "", None, math.nan, math.inf]
)
def test_sizes_are_whole_and_within_bounds(text):
    with pytest.raises(ValueError, match="expected a size"):
        values.size(text)


def test_a_wrong_unit_of_size_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"got '256kib'; did you mean 'KiB'\?$"):
        values.size("256kib")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("600/minute", (600, timedelta(minutes=1))),
        ("1 / second", (1, timedelta(seconds=1))),
        ("5/hour", (5, timedelta(hours=1))),
        ("5/day", (5, timedelta(days=1))),
        ("100/10s", (100, timedelta(seconds=10))),
    ],
)
def test_rates_are_a_count_per_period(text, rate):
    assert values.rate(text) == rate


@pytest.mark.parametrize("text", ["0/minute", "600", "600/", "/minute", "1.5/second", "6e2/minute", 600, "600/0s"])
def test_anything_else_is_no_rate(text):
    with pytest.raises(ValueError, match=r'expected a rate such as "600/minute"'):
        values.rate(text)


def test_a_misspelt_period_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean 'minute'\?$"):
        values.rate("600/minuet")


@pytest.mark.parametrize(
    "url", ["http://localhost:5678/webhook/x", "https://example.com", "https://[::1]:8/a?b=c", "http://bücher.example/"]
)
def test_http_urls_pass_unchanged(url):
    assert values.http_url(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com", "starts with http"),
        ("example.com/hook", "starts with http"),
        ("https:///path", "starts with http"),
        ("https://user:CANARY@example.com", "without user or password"),
        ("https://CANARY@example.com", "without user or password"),
        ("https://example.com/#CANARY", "without a fragment"),
        ("https://example.com:99999/CANARY", "expected a URL such as"),
        ("https://example.com:0/CANARY", "expected a URL such as"),
        ("https://[::1/CANARY", "expected a URL such as"),
        ("https://example.com/a b", "expected a URL such as"),
        ("https://example.com/\nCANARY", "expected a URL such as"),
        (5, "expected a URL such as"),
    ],
)
def test_other_urls_are_refused_without_repeating_them(url, why):
    with pytest.raises(ValueError, match=why) as caught:
        values.http_url(url)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("place", ["header:X-GitHub-Delivery", "json:/id", "json:/a/0/b~1c"])
def test_an_identity_is_a_header_or_a_pointer(place):
    assert values.identity(place) == place


@pytest.mark.parametrize("place", ["X-Id", "header:", "header:X Id", "json:", "json:id", "json:/a~2", "query:x", None])
def test_other_identities_are_refused(place):
    with pytest.raises(ValueError, match=r'expected "header:NAME" or "json:/pointer"'):
        values.identity(place)


@pytest.mark.parametrize("value", [True, 0, 10, 1.0, "5", None])
def test_whole_numbers_are_not_guessed(value):
    with pytest.raises(ValueError, match="expected a whole number from 1 to 9"):
        values.whole(1, 9)(value)


@pytest.mark.parametrize("value", [0, 1, "true", "yes", None])
def test_flags_are_not_guessed(value):
    with pytest.raises(ValueError, match="expected true or false"):
        values.flag(value)


@pytest.mark.parametrize("value", [0, -1, True, math.nan, math.inf, "20", 1e300])
def test_seconds_are_positive_and_finite(value):
    with pytest.raises(ValueError, match="expected a"):
        values.seconds(value)


@given(st.integers(1, 3650 * 86400 * 1000))
@settings(max_examples=100)
def test_every_span_of_milliseconds_can_be_written(milliseconds):
    if milliseconds < 10**8:
        assert values.duration(f"{milliseconds}ms") == timedelta(milliseconds=milliseconds)
    assert values.seconds(milliseconds / 1000) == timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize("parse", PARSERS)
def test_any_value_is_parsed_or_refused_in_one_line(parse):
    @given(ANYTHING)
    @settings(max_examples=40)
    def check(value):
        said = refusal(parse, value)
        assert said is None or (said.startswith("expected ") and said.splitlines() == [said])

    check()


def refusal(parse, value):
    try:
        parse(value)
    except ValueError as error:
        return str(error)
    return None
