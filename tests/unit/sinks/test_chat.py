from __future__ import annotations

from datetime import timedelta

import pytest

from actors.sinks.chat import ChatSink, cut, fill

SECOND = timedelta(seconds=1)
TOLD = {
    "id": "dlv_01",
    "source": "blog",
    "result": {"label": "calm", "parts": {"a-b": 3}, "list": [1]},
    "degraded": True,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{source}: {result.label}", "blog: calm"),
        ("{result.parts.a-b} {degraded}", "3 True"),
        ("{result.nothing}{result.label.upper}{nothing}", ""),
        ("{result.__class__} {0} {} {{id}} {result!r}", " {0} {} {dlv_01} {result!r}"),
    ],
)
def test_a_template_names_fields_and_nothing_else(template, text):
    assert fill(template, TOLD) == text


def test_what_strangers_wrote_calls_nobody_and_links_nowhere():
    wild = "<!channel> @everyone [x](http://e) `rm` \u202eevil\x1b[2J\nline"
    assert fill("<b> {result}", {"result": wild}) == (
        "<b> \u2039!channel\u203a @\u200beveryone (x)(http://e) 'rm' evil(2J\nline"
    )


def test_a_long_text_is_cut_and_says_so():
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde\u2026"


def test_a_url_that_apprise_does_not_know_is_refused_without_showing_it():
    with pytest.raises(ValueError, match="is not one of Apprise") as caught:
        ChatSink(name="team", url="s3cret://x", text="t", title="", max_length=20, timeout=SECOND)
    assert "s3cret" not in str(caught.value)
