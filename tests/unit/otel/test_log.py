"""One line per unit of work, for machines or for people, and never a text that may hold content."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otel.log import NAMES, JsonLine, PlainLine, log_records, set_up_logging
from otel.records import EventAccepted, EventRejected, ModelCall, ModelCalled, Record, RunFinished, Swept
from otel.trails import Origin

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CANARY = "canary-of-a-prompt"
ACCEPTED = EventAccepted(
    source="blog",
    event_id="evt_1",
    duplicate=False,
    traceparent=f"00-{TRACE}-{SPAN}-01",
    size=12,
    took=timedelta(milliseconds=2, microseconds=5),
    status=202,
)
REJECTED = EventRejected(source="blog", code="signature_invalid", status=401, took=timedelta(milliseconds=1))
SWEPT = Swept(woken=1, recovered=0, extended=0)


@pytest.fixture
def stderr(capsys):
    """Give what was written to stderr, when called; afterwards logging is as it was."""
    root, known = logging.getLogger(), logging.root.manager.loggerDict.values()
    levels = [(one, one.level) for one in (root, *known) if isinstance(one, logging.Logger)]
    yield lambda: capsys.readouterr().err
    for ours in [one for one in root.handlers if isinstance(one.formatter, JsonLine | PlainLine)]:
        root.removeHandler(ours)
    for one, level in levels:
        one.setLevel(level)


@pytest.fixture
def on_terminal(stderr, monkeypatch):
    """Set logging up as on a terminal."""

    def set_up():
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        set_up_logging({})
        return stderr

    return set_up


def lines(stderr):
    return [json.loads(line) for line in stderr().splitlines()]


def fail(text):
    raise ValueError(text)


def log_a_failure():
    try:
        fail(CANARY)
    except ValueError:
        logging.getLogger("hookmill.x").exception("internal error")


def test_a_record_is_one_json_line_with_its_own_fields(stderr):
    set_up_logging({})
    log_records(ACCEPTED)
    (line,) = lines(stderr)
    written = datetime.fromisoformat(line.pop("time"))
    assert written.tzinfo == UTC
    assert abs(datetime.now(UTC) - written) < timedelta(seconds=10)
    assert line == {
        "level": "info",
        "logger": "hookmill",
        "event": "event.accepted",
        "source": "blog",
        "event_id": "evt_1",
        "duplicate": False,
        "size": 12,
        "took": 0.002005,
        "admitting": 0.0,
        "status": 202,
        "trace_id": TRACE,
        "span_id": SPAN,
    }


def test_a_record_without_a_trace_has_no_trace_id(stderr):
    set_up_logging({})
    log_records(REJECTED)
    (line,) = lines(stderr)
    assert (line["event"], line["code"], line["status"], line["took"]) == (
        "event.rejected", "signature_invalid", 401, 0.001,
    )  # fmt: skip
    assert "trace_id" not in line
    assert "traceparent" not in line


def test_the_call_of_a_model_stands_among_the_fields_of_its_line_in_their_order(stderr):
    set_up_logging({"HOOKMILL_LOG": "DEBUG"})
    call = ModelCall(candidate="a", model="gpt", took=timedelta(seconds=1.5), input_tokens=10, cost_usd=0.25)
    log_records(ModelCalled(event_id="evt_1", source="blog", step="mood", alias="fast", call=call))
    (line,) = lines(stderr)
    expected = {
        "event_id": "evt_1", "source": "blog", "step": "mood", "alias": "fast", "candidate": "a", "model": "gpt",
        "took": 1.5, "error_class": None, "degraded": False, "input_tokens": 10, "output_tokens": 0,
        "cost_usd": 0.25, "priced": True,
    }  # fmt: skip
    assert list(line.items())[4:] == list(expected.items())


def test_an_empty_traceparent_is_left_out(stderr):
    set_up_logging({})
    values = {"event_id": "evt_1", "source": "blog", "pipeline": "triage", "attempt": 1, "lives": 1, "outcome": "done"}
    log_records(RunFinished(**values, origin=Origin(traceparent=""), took=timedelta(0)))
    (line,) = lines(stderr)
    assert not {"trace_id", "traceparent"} & set(line)
    assert (line["reason"], line["error_class"]) == ("", None)


def test_a_message_of_the_code_is_a_line_too(stderr):
    set_up_logging({})
    logging.getLogger("hookmill.gateway").error("%d events not admitted", 3)
    (line,) = lines(stderr)
    assert (line["level"], line["logger"], line["event"]) == ("error", "hookmill.gateway", "3 events not admitted")


def test_a_line_stays_one_line_whatever_is_in_it(stderr):
    set_up_logging({})
    logging.getLogger("hookmill").info("a\nb", extra={"fields": {"reason": "c\nd", "path": Path("e")}})
    (line,) = lines(stderr)
    assert (line["event"], line["reason"], line["path"]) == ("a\nb", "c\nd", "e")


def test_of_an_exception_its_type_and_place_are_told_and_never_its_text(stderr):
    set_up_logging({})
    log_a_failure()
    written = stderr()
    line = json.loads(written)
    assert (line["event"], line["exception"]) == ("internal error", "ValueError")
    assert line["at"] == f"{__file__}:{fail.__code__.co_firstlineno + 1}"
    assert CANARY not in written


def test_on_a_terminal_a_line_is_plain(on_terminal):
    stderr = on_terminal()
    log_records(ACCEPTED)
    time, rest = stderr().split(" ", 1)
    assert datetime.strptime(time, "%H:%M:%S").replace(tzinfo=UTC)
    told = f"source=blog event_id=evt_1 size=12 took=0.002005 status=202 trace_id={TRACE} span_id={SPAN}"
    assert rest == f"info    event.accepted {told}\n"


def test_a_plain_line_without_fields_has_no_blank_at_its_end():
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "worker.ready"})
    assert PlainLine().format(record).endswith(" info    worker.ready")


def test_on_a_terminal_too_no_text_of_an_exception_is_told(on_terminal):
    stderr = on_terminal()
    log_a_failure()
    written = stderr()
    assert written.endswith(f"(ValueError at {__file__}:{fail.__code__.co_firstlineno + 1})\n")
    assert CANARY not in written


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("DEBUG", ["event.accepted", "event.rejected", "ledger.swept"]),
        ("INFO", ["event.accepted", "event.rejected"]),
        ("info", ["event.accepted", "event.rejected"]),
        ("", ["event.accepted", "event.rejected"]),
        ("WARNING", []),
    ],
)
def test_the_level_decides_which_records_are_told(stderr, level, expected):
    set_up_logging({"HOOKMILL_LOG": level})
    for record in (ACCEPTED, REJECTED, SWEPT):
        log_records(record)
    assert [line["event"] for line in lines(stderr)] == expected


def test_a_level_that_does_not_exist_is_said_and_info_is_taken(stderr):
    set_up_logging({"HOOKMILL_LOG": "loud"})
    log_records(ACCEPTED)
    log_records(SWEPT)
    said, told = lines(stderr)
    assert (said["level"], told["event"]) == ("warning", "event.accepted")
    assert "'LOUD'" in said["event"]


def test_libraries_that_talk_of_every_request_are_kept_to_warnings(stderr):
    set_up_logging({"HOOKMILL_LOG": "DEBUG"})
    for name in ("httpx", "httpcore.http11", "LiteLLM", "uvicorn.error"):
        logging.getLogger(name).info(CANARY)
    assert stderr() == ""


def test_every_kind_of_record_has_a_name_of_its_own():
    assert set(NAMES) == set(Record.__args__)
    assert len({name for name, _ in NAMES.values()}) == len(NAMES)


def test_the_fields_of_a_record_never_break_the_json():
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "x", "fields": {"value": object()}})
    assert json.loads(JsonLine().format(record))["value"].startswith("<object")


def test_a_dead_letter_has_a_line_of_its_own(stderr):
    set_up_logging({})
    about = {"event_id": "evt_1", "source": "blog", "pipeline": "triage", "attempt": 3, "lives": 1}
    origin = Origin(traceparent=f"00-{TRACE}-{SPAN}-01", lease="w/1")
    why = {"reason": "gave up", "error_class": "transient"}
    log_records(RunFinished(**about, **why, outcome="dead", origin=origin, took=timedelta(seconds=1)))
    finished, buried = lines(stderr)
    assert (finished["event"], finished["outcome"]) == ("run.finished", "dead")
    assert (buried["event"], buried["level"]) == ("dead.buried", "warning")
    assert {name: buried[name] for name in ("event_id", "source", "pipeline", "reason", "error_class", "trace_id")} == {
        **{name: about[name] for name in ("event_id", "source", "pipeline")}, **why, "trace_id": TRACE,
    }  # fmt: skip
    assert buried["span_id"] == finished["span_id"] != SPAN


def test_what_only_spans_need_is_in_no_line(stderr):
    set_up_logging({})
    log_records(replace(ACCEPTED, caller=f"00-{'c' * 32}-{'d' * 16}-01"))
    assert "cccc" not in stderr()
