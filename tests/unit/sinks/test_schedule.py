from __future__ import annotations

from datetime import timedelta

import pytest

from actors.sinks import next_delay

WAITS = (timedelta(seconds=5), timedelta(seconds=30), timedelta(hours=12))


@pytest.mark.parametrize(("attempt", "seconds"), [(0, 5), (1, 30), (2, 43200)])
def test_each_failure_waits_as_the_schedule_says(attempt, seconds):
    assert next_delay(WAITS, attempt, None, random=lambda: 0.5) == timedelta(seconds=seconds)


@pytest.mark.parametrize("attempt", [3, 4, 100])
def test_the_end_of_the_schedule_gives_up_whatever_the_receiver_asks(attempt):
    assert next_delay(WAITS, attempt, timedelta(seconds=9), random=lambda: 0.5) is None


def test_an_empty_schedule_means_one_attempt():
    assert next_delay((), 0, None, random=lambda: 0.5) is None


def test_waits_are_spread_by_a_fifth():
    assert next_delay(WAITS, 0, None, random=lambda: 0.0) == timedelta(seconds=4)
    assert next_delay(WAITS, 0, None, random=lambda: 1.0) == timedelta(seconds=6)


def test_retry_after_wins_where_it_is_longer():
    assert next_delay(WAITS, 0, timedelta(seconds=40), random=lambda: 0.5) == timedelta(seconds=40)
    assert next_delay(WAITS, 1, timedelta(seconds=3), random=lambda: 0.5) == timedelta(seconds=30)


def test_retry_after_is_capped_at_an_hour_and_the_schedule_is_not():
    assert next_delay(WAITS, 0, timedelta(days=400), random=lambda: 0.5) == timedelta(hours=1)
    assert next_delay(WAITS, 2, timedelta(days=400), random=lambda: 0.5) == timedelta(hours=12)


def test_retry_after_in_the_past_changes_nothing():
    assert next_delay(WAITS, 0, timedelta(seconds=-60), random=lambda: 0.5) == timedelta(seconds=5)
