"""The page of an event: what it says, to whom, and that nothing of an event becomes markup."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import StepView, WorkView
from gateway.page import MOST_RESULT, MOST_ROWS, describe, prefers_page, render_page

NOW = datetime(2026, 11, 21, 3, 0, 5, 999, tzinfo=UTC)
STEP = StepView(name="label", took=timedelta(milliseconds=80), at=NOW, candidate="gpt-mini")
RUN = WorkView(
    id="evt_1",
    kind="run",
    event_id="evt_1",
    source="blog",
    pipeline="triage",
    sink=None,
    state="running",
    received_at=NOW,
    updated_at=NOW,
    attempts=0,
    lives=0,
    generation=0,
    trace_id="ab" * 16,
)
DELIVERY = replace(RUN, id="dlv_1", kind="delivery", sink="n8n")
HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)> $lead ${word} $$ &lt; &amp; \u202e\x00"


class Reader(HTMLParser):
    """Reads a page: its tags with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def page(view):
    return render_page(view, now=NOW).body.decode()


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", True),
        ("text/html", True),
        ("TEXT/HTML ; charset=utf-8", True),
        ("text/*, */*;q=0.1", True),
        ("application/json;q=0.5, text/html;q=0.6", True),
        ("application/json;q=0, text/html;q=0.001", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html;q=0.5, */*", False),
        ("text/html;q=0", False),
        ("application/*, text/html;q=0.9", False),
        ("image/png", False),
    ],
)
def test_a_page_is_for_who_wants_html_more_than_json(accept, html):
    assert prefers_page(accept) is html


@given(st.text(alphabet=st.sampled_from("text/html*,;q=.015 \x00é")))
def test_any_accept_header_is_read(accept):
    assert prefers_page(accept) in {True, False}


@pytest.mark.parametrize("field", ["id", "state", "source", "pipeline", "step", "reason", "error_class", "trace_id"])
def test_nothing_of_a_run_becomes_markup(field):
    plain, hostile = (Reader(page(replace(RUN, **{field: text}))) for text in ("x", HOSTILE))
    assert hostile.tags == plain.tags


def test_nothing_of_its_steps_deliveries_and_result_becomes_markup():
    def full(text):
        step = replace(STEP, name=text, key=text, candidate=text)
        delivery = replace(DELIVERY, sink=text, state=text, reason=text)
        return replace(RUN, steps=(step,), deliveries=(delivery,), result={text: [text]})

    assert Reader(page(full(HOSTILE))).tags == Reader(page(full("x"))).tags


@given(st.text())
def test_a_text_result_stands_in_the_page_as_it_is(text):
    read = Reader(page(replace(RUN, result=text)))
    seen = text.encode("utf-8", "backslashreplace").decode().replace("\r\n", "\n").replace("\r", "\n")
    assert seen in "".join(read.texts).replace("\r\n", "\n").replace("\r", "\n")


def test_a_long_result_is_cut_and_a_long_table_shows_its_newest_rows():
    steps = tuple(replace(STEP, name=f"step{number}") for number in range(MOST_ROWS + 3))
    text = page(replace(RUN, steps=steps, result="x" * (MOST_RESULT + 1)))
    assert "3 earlier ones are not shown" in text
    assert ("step2<" in text, "step3<" in text) == (False, True)
    assert f"Cut after {MOST_RESULT} characters" in text
    assert len(text) < MOST_RESULT + 50_000


def test_the_policy_allows_the_page_s_own_script_and_style_and_nothing_else():
    headers = render_page(RUN, now=NOW).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy.pop("script-src").startswith("'sha256-")
    assert policy.pop("style-src").startswith("'sha256-")
    none = dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    assert policy == none | {"connect-src": "'self'"}
    assert "unsafe" not in headers["content-security-policy"]


def test_the_page_names_no_other_address():
    read = Reader(page(replace(RUN, steps=(STEP,), deliveries=(DELIVERY,), result="x")))
    assert {name for _, names in read.tags for name in names} & {"src", "href", "action", "style", "onclick"} == set()
    assert "//" not in page(RUN).replace("  // ms", "")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"state": "queued"}, "In line for a worker."),
        ({"state": "queued", "steps_total": 3}, "In line for a worker."),
        ({}, "A worker is at it."),
        ({"steps_total": 3, "step": "label"}, "Step 1 of 3: label."),
        (
            {"steps_total": 3, "step": "reply", "steps": (STEP,), "reason": "model fast: waiting for a slot of a"},
            "Step 2 of 3: reply. Model fast: waiting for a slot of a.",
        ),
        (
            {"state": "waiting", "steps_total": 2, "steps": (STEP,), "reason": "drain"},
            "Step 2 of 2. Drain. It goes on by itself.",
        ),
        ({"state": "waiting"}, "Between two attempts. It goes on by itself."),
        ({"state": "done"}, "Finished."),
        ({"state": "done", "steps_total": 1, "steps": (STEP,)}, "1 of 1 steps finished."),
        (
            {"state": "done", "deliveries": (DELIVERY, replace(DELIVERY, state="dead"))},
            "Finished. Deliveries: 1 given up, 1 on the way.",
        ),
        ({"state": "done", "deliveries": (replace(DELIVERY, state="delivered"),)}, "Finished."),
        ({"state": "discarded", "reason": "no text"}, "Dropped. No text."),
        (
            {"state": "dead", "steps_total": 2, "step": "reply", "steps": (STEP,), "reason": "bad key."},
            "Given up at step reply; 1 of 2 steps finished. Bad key. It can be replayed.",
        ),
        ({"state": "dead"}, "Given up. It can be replayed."),
    ],
)
def test_the_lead_says_where_it_is_why_and_what_comes_next(more, told):
    assert describe(replace(RUN, **more)) == told


def test_it_is_over_only_when_its_deliveries_are():
    done = replace(RUN, state="done", deliveries=(replace(DELIVERY, state="waiting"),))
    assert 'data-over="no"' in page(done)
    assert 'data-over="yes"' in page(replace(done, deliveries=(replace(DELIVERY, state="dead"),)))


def test_times_are_in_utc_and_machines_can_read_them():
    assert '<time datetime="2026-11-21T03:00:05.000999+00:00">2026-11-21 03:00:05 UTC</time>' in page(RUN)
