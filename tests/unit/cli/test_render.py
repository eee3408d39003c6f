from __future__ import annotations

import io
from datetime import timedelta

import pytest
from rich.console import Console

from gateway.cli import render, views


def seen(*parts):
    out = Console(width=100, file=io.StringIO(), highlight=False)
    for part in parts:
        out.print(part)
    return out.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 ms"), (0.35, "350 ms"), (1, "1 s"), (3.25, "3.2 s"), (9.99, "10.0 s"), (48, "48 s"),
        (125, "2 min 5 s"), (3605, "1 h"), (7260, "2 h 1 min"), (277200, "3 d 5 h"),
    ],
)  # fmt: skip
def test_spans_read_as_people_say_them(seconds, text):
    assert render.span(timedelta(seconds=seconds)) == text.replace("10.0 s", "10 s")


def test_an_age_never_lies_in_the_future(now):
    assert render.age(now + timedelta(seconds=5), now) == "just now"
    assert render.age(now - timedelta(seconds=12), now) == "12 s ago"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (412, "412 B"), (3174, "3.1 KiB"), (2**21, "2.0 MiB"), (2**31, "2.0 GiB")]
)
def test_sizes(count, text):
    assert render.size(count) == text


def test_plurals():
    said = [
        render.plural(1, "event"),
        render.plural(2, "event"),
        render.plural(2, "delivery"),
        render.plural(0, "replay"),
    ]
    assert said == ["1 event", "2 events", "2 deliveries", "0 replays"]


def test_foreign_text_is_neither_markup_nor_control_sequence():
    assert seen(render.plain("[red]x[/] \x1b[2Jy\nz")).rstrip("\n") == "[red]x[/]  [2Jy z"


def test_the_list_fits_100_columns_and_keeps_ids_whole(run, now):
    long = "evt_01JD3M0X2V8Q5W6R7T9Y1Z2A3B"
    text = seen(views.brief([run("waiting", id=long, step="label", error_class="rate_limited", reason="x" * 80)], now))
    assert long in text
    assert "1 min ago" in text
    assert max(map(len, text.splitlines())) <= 100


def test_show_tells_progress_steps_and_deliveries(run, delivery, step, now):
    view = run(
        "running", step="reply", steps_total=3, trace_id="4bf92f3577b34da6a3ce929d0e0e4736", size=412,
        steps=(step("redact"), step("label", candidate="lexicon", model="local/lexicon", degraded=True, calls=2)),
        deliveries=(delivery("delivered"),), result={"team": "billing"},
    )  # fmt: skip
    text = seen(*views.whole(view, now))
    assert "step 3 of 3 (reply)" in text
    assert "lexicon (degraded)" in text
    assert "350 ms" in text
    assert "4bf92f3577b34da6a3ce929d0e0e4736" in text
    assert "dlv_1" in text
    assert '"team": "billing"' in text


def test_show_json_is_plain_even_for_markup(capsys):
    render.show_json({"text": "[bold]ü[/]"})
    assert capsys.readouterr().out == '{\n  "text": "[bold]ü[/]"\n}\n'
