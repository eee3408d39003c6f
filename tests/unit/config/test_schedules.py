"""[schedules.NAME]: when they are due, in which zone, and what is wrong with them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schedules import Schedule, stamp

BERLIN = ZoneInfo("Europe/Berlin")
TABLE = '[sources.blog]\nscheme = "bearer"\nsecret = "env:BLOG_SECRET"\npipeline = "triage"\n[schedules.nightly]\n'


def every(schedule, start, number):
    """So many due times from then on, in the wall time of Berlin."""
    found = [schedule.after(start)]
    while len(found) < number:
        found.append(schedule.after(found[-1]))
    return [one.astimezone(BERLIN).isoformat() for one in found]


def daily(cron):
    return Schedule(name="nightly", source="blog", cron=cron, timezone=BERLIN)


def test_a_time_that_a_zone_leaves_out_is_due_right_after_the_clocks_change():
    assert every(daily("30 2 * * *"), datetime(2026, 3, 28, 12, tzinfo=UTC), 2) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_a_time_that_a_zone_has_twice_is_due_once():
    assert every(daily("30 2 * * *"), datetime(2026, 10, 24, 12, tzinfo=UTC), 2) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]


def test_what_is_due_every_half_hour_is_so_through_a_change_of_clocks():
    assert every(daily("*/30 * * * *"), datetime(2026, 10, 24, 23, 45, tzinfo=UTC), 4) == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T02:30:00+01:00",
    ]


@pytest.mark.parametrize("cron", ["30 2 * * *", "*/20 * * * *", "15 2,3 * * *", "0 0 1 * *"])
@given(days=st.integers(0, 360), minutes=st.integers(0, 3000))
def test_the_last_due_time_is_the_one_that_walking_forward_ends_at(cron, days, minutes):
    schedule, since = daily(cron), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
    now, walked, at = since + timedelta(minutes=minutes), None, since
    while (at := schedule.after(at)) <= now:
        walked = at
    assert schedule.last(now, since=since) == walked


def test_every_counts_from_1970_so_that_all_workers_agree():
    schedule = Schedule(name="pulse", source="blog", every=timedelta(minutes=5))
    now = datetime(2026, 11, 21, 13, 7, 30, tzinfo=UTC)
    assert stamp(schedule.after(now)) == "2026-11-21T13:10:00Z"
    assert schedule.after(schedule.after(now)) - schedule.after(now) == timedelta(minutes=5)
    last = schedule.last(now, since=now - timedelta(days=3))
    assert last is not None
    assert stamp(last) == "2026-11-21T13:05:00Z"
    assert schedule.last(now, since=last) is None


def test_a_schedule_is_read_with_its_body(config):
    whole = config(
        TABLE + 'source = "blog"\ncron = "0 3 * * MON-FRI"\ntimezone = "Europe/Berlin"\nbody = { days = 1 }\n'
    )
    schedule = whole.schedules["nightly"]
    assert (schedule.timezone, schedule.every) == (BERLIN, None)
    assert (json.loads(schedule.event_body(datetime.now(UTC))), schedule.content_type) == (
        {"days": 1},
        "application/json",
    )
    text = config(TABLE + 'source = "blog"\nevery = "5m"\nbody = "wake up"\n').schedules["nightly"]
    assert (text.event_body(datetime.now(UTC)), text.content_type) == (b"wake up", "text/plain; charset=utf-8")
    bare = config(TABLE + 'source = "blog"\nevery = "5m"\n').schedules["nightly"]
    due = datetime(2026, 11, 21, 3, tzinfo=UTC)
    assert json.loads(bare.event_body(due)) == {"schedule": "nightly", "due": "2026-11-21T03:00:00Z"}


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('source = "blgo"\nevery = "5m"', "schedules.nightly.source: no [sources.*] is named 'blgo'; did you mean"),
        ('source = "blog"', "schedules.nightly: expected either every"),
        ('source = "blog"\nevery = "5m"\ncron = "* * * * *"', "schedules.nightly: expected either every"),
        ('source = "blog"\nevery = "10ms"', "schedules.nightly.every: expected at least 1s"),
        ('source = "blog"\ncron = "0 25 * * *"', "schedules.nightly.cron: expected five fields such as"),
        ('source = "blog"\ncron = "0 0 30 2 *"', "schedules.nightly.cron: expected five fields such as"),
        ('source = "blog"\ncron = 5', "schedules.nightly.cron: expected five fields such as"),
        ('source = "blog"\ncron = "0 3 * * *"\ntimezone = "Mars/Base"', ".timezone: expected a time zone such as"),
        ('source = "blog"\nevery = "5m"\ntimezone = "UTC"', ".timezone: expected none beside every"),
        ('source = "blog"\nevery = "5m"\nbody = { at = 2026-11-21 }', ".body: expected a text, or a table or list"),
        ('source = "blog"\nevery = "5m"\nbody = [nan]', ".body: expected a text, or a table or list"),
        ('source = "blog"\nevrey = "5m"', ".evrey: unknown key; did you mean 'every'?"),
    ],
)
def test_a_mistake_is_named(config, mistakes, lines, says):
    found = mistakes(config, TABLE + lines + "\n")
    assert any(says in line for line in found), found


def test_a_body_that_its_source_would_refuse_is_a_mistake(config, mistakes):
    text = TABLE.replace("[schedules", "max_body = 4\n[schedules") + 'source = "blog"\nevery = "5m"\nbody = "12345"\n'
    assert mistakes(config, text) == [
        "hookmill.toml: schedules.nightly.body: expected at most 4 bytes, the source's max_body"
    ]
