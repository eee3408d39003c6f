"""What a model made of somebody else's text loses its links and its markup, and keeps its words."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.llm.plain import LINK, bare, bare_values

LEFT_ALONE = (
    "It works, thanks! 3 < 4 and 5 > 2; see [1] and (this).",
    "Email me at robin@example.com, or 10:30 at the bar; ratio 3:2.",
    "a list:\n- one\n- two [ ] open [x] done",
    "",
)


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_plain_text_stays_as_it_is(text):
    assert bare(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("see [your account](https://evil.example/x?q=1) now", "see your account now"),
        ("![pixel](https://evil.example/p.png?d=secret)", "pixel"),
        ("[a][ref] and\n[ref]: https://evil.example\nend", "a and\n\nend"),
        ('<a href="https://evil.example">click</a>', "click"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("<https://evil.example|Log in>", ""),  # as Slack writes it
        ("<!channel> <@U123> hello", "  hello"),
        ("go to https://evil.example/a_(b)?c=d.", f"go to {LINK}"),
        ("HTTP://EVIL.example www.evil.example mailto:x@evil.example", f"{LINK} {LINK} {LINK}"),
        ("javascript:alert(1) data:text/html,x", f"{LINK} {LINK}"),
        ("[a]([b](https://evil.example))", "a"),
        ("[[[[[[[x](a)](b)](c)](d)](e)](f)](g)", "x(f)(g)"),  # so deep that only its brackets were taken,
    ],
)
def test_links_and_markup_lose_what_leads_elsewhere(text, left):
    assert bare(text) == left


def test_every_text_within_a_value_is_bare_and_names_of_fields_stay():
    value = {"<b>": ["<b>x</b>", 1, None, {"url": "https://a.example"}], "n": 2.5}
    assert bare_values(value) == {"<b>": ["x", 1, None, {"url": LINK}], "n": 2.5}


@given(st.text(alphabet="ab<>[]()!:/\\. \nhtps@|#", max_size=200))
@example("http://")
def test_nothing_that_leads_elsewhere_is_left(text):
    found = bare(text)
    assert bare(found) == found or not re.search(r"[<>\[\]]", found)
    assert "http://" not in found.lower()
    assert not re.search(r"\[[^\[\]]*\]\([^()]*\)", found)
