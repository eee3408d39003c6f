"""No provider sees more calls or tokens in any 60 s than it allows; one that wants to be left alone is."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta

import pytest
from twin import open_real

from gateway.ledger import CircuitRule, Ended, Way
from gateway.ledger.keys import key

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)
MINUTE = 62 * SECOND
LEASE = 600 * SECOND
numbers = itertools.count()


@pytest.fixture
async def ledger(redis_url):
    """A ledger whose time passes when told."""
    opened = await open_real(redis_url)
    yield opened
    await opened.close()


def way(name="gpt", *, pool="gpts", circuit=CircuitRule(failures=1000), **limits):  # noqa: B008 - never changed
    return Way(name=name, pool=pool, circuit=circuit, **limits)


async def ask(ledger, to, *, token="", tokens=0):
    return await ledger.slots.acquire(to, token=token or str(next(numbers)), lease=LEASE, tokens=tokens)


async def end(ledger, to, token, outcome="ok", *, entry="", **how):
    return await ledger.slots.release(to, token=token, entry=entry, ended=Ended(outcome=outcome, **how))


async def states(ledger, to, times, **asked):
    return [(await ask(ledger, to, **asked)).state for _ in range(times)]


async def test_a_minute_has_so_many_calls_and_each_waiter_its_own_time(ledger):
    to = way(calls=3)
    for _ in range(3):
        assert (await ask(ledger, to)).state == "granted"
        await ledger.pass_time(10 * SECOND)
    waits = [await ask(ledger, to) for _ in range(7)]
    assert {grant.state for grant in waits} == {"wait"}
    assert [grant.after / SECOND for grant in waits] == [32, 42, 52, 94, 104, 114, 156]


@pytest.mark.parametrize("limits", [{"calls": 4}, {"tokens": 4}])
async def test_who_waits_for_a_later_minute_counts_on_all_of_it_however_empty_this_one_is(ledger, limits):
    to = way(concurrent=1, **limits)
    await ask(ledger, to, tokens=1)
    await ledger.pass_time(10 * SECOND)
    waits = [(await ask(ledger, to, tokens=1)).after / SECOND for _ in range(11)]
    assert waits == [2, 4, 6, 52, 62, 62, 62, 114, 124, 124, 124]


async def test_a_call_leaves_its_minute_after_62_seconds_and_not_before(ledger):
    to = way(calls=1)
    await ask(ledger, to)
    await ledger.pass_time(MINUTE - SECOND / 1000)
    assert (await ask(ledger, to)).after == SECOND / 1000
    await ledger.pass_time(SECOND / 1000)
    assert (await ask(ledger, to)).state == "granted"


async def test_no_window_of_a_minute_holds_more_calls_than_allowed_and_none_fewer_than_nine_tenths(ledger):
    to, sent, now = way(calls=10), [], timedelta()
    while now < 10 * MINUTE:
        grant = await ask(ledger, to, token="one of many")
        if grant.state == "granted":
            sent.append(now)
            continue
        await ledger.pass_time(grant.after)
        now += grant.after
    windows = [sum(begin <= at < begin + 60 * SECOND for at in sent) for begin in sent]
    assert max(windows) == 10
    assert len(sent) >= 0.9 * 10 * (now / (60 * SECOND))


async def test_tokens_are_reserved_at_their_worst_and_settled_at_what_they_were(ledger):
    to = way(tokens=1000)
    first = await ask(ledger, to, token="a", tokens=600)
    assert (await ask(ledger, to, token="b", tokens=600)).after == MINUTE
    await ledger.pass_time(SECOND)
    await end(ledger, to, "a", entry=first.entry, tokens=100)
    assert (await ask(ledger, to, token="b", tokens=600)).state == "granted"
    assert (await ask(ledger, to, token="c", tokens=301)).after == MINUTE - SECOND, (
        "the first call's hundred are out then"
    )
    assert (await ask(ledger, to, token="c", tokens=300)).state == "granted"


async def test_a_waiter_for_tokens_is_told_when_enough_of_them_are_out(ledger):
    to = way(tokens=1000)
    for tokens in (100, 200, 300, 400):
        await ask(ledger, to, tokens=tokens)
        await ledger.pass_time(10 * SECOND)
    waits = [(await ask(ledger, to, tokens=300)).after / SECOND for _ in range(4)]
    assert waits == [32, 42, 52, 94], "300 are out with the second call, 600 with the third, 900 with the fourth"


async def test_of_a_long_minute_no_more_than_200_calls_are_looked_at(ledger):
    to = way(tokens=1000)
    for _ in range(250):
        await ask(ledger, to, tokens=1)
        await ledger.pass_time(SECOND / 100)
    grant = await ask(ledger, to, tokens=1000)  # 250 have to leave it: whoever is told too soon is told again
    assert grant.after == MINUTE - (250 - 199) * SECOND / 100


async def test_what_a_call_took_beyond_its_worst_counts_too(ledger):
    to = way(tokens=1000)
    grant = await ask(ledger, to, token="a", tokens=100)
    await end(ledger, to, "a", entry=grant.entry, tokens=950)
    assert (await ask(ledger, to, tokens=100)).state == "wait"


@pytest.mark.parametrize(("how", "left"), [({"sent": False}, 1000), ({"tokens": 0}, 1000), ({}, 400)])
async def test_what_is_not_known_stays_reserved_and_what_was_not_sent_is_given_back(ledger, how, left):
    to = way(tokens=1000, calls=2)
    grant = await ask(ledger, to, token="a", tokens=600)
    await end(ledger, to, "a", "neutral", entry=grant.entry, **how)
    assert (await ask(ledger, to, tokens=left + 1)).state == ("granted" if left == 1000 else "wait")
    (view,) = (await ledger.stats()).candidates
    assert view.waiting == (left != 1000)


async def test_a_call_that_was_not_sent_is_none_of_the_minute(ledger):
    to = way(calls=1)
    for _ in range(3):
        grant = await ask(ledger, to, token="a")
        assert grant.state == "granted"
        await end(ledger, to, "a", "neutral", entry=grant.entry, sent=False)


async def test_the_tokens_of_a_call_that_left_the_minute_are_free_and_the_others_are_not(ledger):
    to = way(tokens=1000)
    await ask(ledger, to, tokens=600)
    await ledger.pass_time(MINUTE / 2)
    await ask(ledger, to, tokens=400)
    await ledger.pass_time(MINUTE / 2)
    assert (await ask(ledger, to, token="a", tokens=601)).state == "wait"
    assert (await ask(ledger, to, token="a", tokens=600)).state == "granted"
    assert (await ask(ledger, to, token="b", tokens=1)).state == "wait"


async def test_the_tokens_of_a_call_that_was_not_sent_are_free_to_the_last_one(ledger):
    to = way(tokens=1000)
    await ask(ledger, to, tokens=300)
    grant = await ask(ledger, to, token="a", tokens=700)
    await end(ledger, to, "a", "neutral", entry=grant.entry, sent=False)
    assert (await ask(ledger, to, token="b", tokens=701)).state == "wait"
    assert (await ask(ledger, to, token="b", tokens=700)).state == "granted"


async def test_a_minute_whose_log_has_expired_holds_no_tokens(ledger):
    to = way(tokens=1000)
    await ask(ledger, to, tokens=1000)
    ledger.redis.delete(key("minute", "gpt"))  # as Redis does after a minute
    assert (await ask(ledger, to, tokens=1000)).state == "granted"
    assert (await ask(ledger, to, tokens=1)).state == "wait"


async def test_a_minute_is_a_log_of_numbered_calls_and_their_tokens(ledger):
    to = way(calls=1000, tokens=1000)
    grants = [await ask(ledger, to, tokens=tokens) for tokens in (700, 200)]
    assert [(grant.entry, grant.after) for grant in grants] == [("1:700", timedelta(0)), ("2:200", timedelta(0))]
    calls = ledger.redis.zrange(key("minute", "gpt"), 0, -1, withscores=True)
    assert calls == [("1:700", ledger.now_us // 1000), ("2:200", ledger.now_us // 1000)]
    assert ledger.redis.hgetall(key("pace", "gpt")) == {"pool": "gpts", "number": "2", "tokens": "900"}


async def test_a_call_larger_than_the_limit_has_the_minute_alone(ledger):
    to = way(tokens=1000)
    assert await states(ledger, to, 2, tokens=5000) == ["granted", "wait"]
    await ledger.pass_time(MINUTE)
    assert await states(ledger, to, 2, tokens=1) == ["granted", "granted"]


async def test_a_minute_may_have_room_for_a_single_token(ledger):
    assert await states(ledger, way(tokens=1), 2, tokens=1) == ["granted", "wait"]


async def test_where_calls_are_limited_their_tokens_are_not(ledger):
    to = way(calls=2)
    grant = await ask(ledger, to, token="a")
    await end(ledger, to, "a", entry=grant.entry, tokens=5000)
    assert (await ask(ledger, to, tokens=5000)).state == "granted"


@pytest.mark.parametrize("limits", [{"calls": 1}, {"tokens": 1}])
async def test_who_waits_for_a_slot_beside_an_empty_minute_is_told_a_time(ledger, limits):
    to = way(concurrent=1, **limits)
    await ask(ledger, to, tokens=1)
    await ledger.pass_time(MINUTE)
    assert [(await ask(ledger, to, tokens=1)).after / SECOND for _ in range(2)] == [2, 62]


async def test_settling_twice_or_late_changes_nothing(ledger):
    to = way(tokens=1000)
    grant = await ask(ledger, to, token="a", tokens=600)
    for _ in range(2):
        await end(ledger, to, "a", entry=grant.entry, tokens=500)
    assert (await ask(ledger, to, tokens=501)).state == "wait"
    assert (await ask(ledger, to, tokens=500)).state == "granted"
    await ledger.pass_time(MINUTE)
    await ask(ledger, to, tokens=1000)
    await end(ledger, to, "a", entry=grant.entry, tokens=0)
    assert (await ask(ledger, to, tokens=1)).state == "wait"


async def test_each_key_has_a_minute_of_its_own(ledger):
    assert await states(ledger, way("one", calls=1), 2) == ["granted", "wait"]
    assert await states(ledger, way("two", calls=1), 2) == ["granted", "wait"]


async def test_a_slot_that_is_given_back_wakes_nobody_while_the_minute_is_full(ledger, admission):
    to = way(calls=1, concurrent=1)
    holder = await ask(ledger, to, token="holder")
    (verdict,) = await ledger.admit([admission()])
    run = (await ledger.begin(verdict.event_id, fence="f")).work
    await ask(ledger, to, token=f"{run.id} ask")
    await ledger.postpone(run, 600 * SECOND, reason="waits")
    await end(ledger, to, "holder", entry=holder.entry, tokens=0)
    assert (await ledger.show(run.id)).state == "waiting"
    await ledger.pass_time(MINUTE)
    other = await ask(ledger, to, token="other")
    await end(ledger, to, "other", "neutral", entry=other.entry, sent=False)
    assert (await ledger.show(run.id)).state == "queued"


async def test_a_provider_that_limits_us_rests_as_long_as_it_says(ledger):
    to = way()
    await end(ledger, to, "a", "limited", rest=30 * SECOND)
    grant = await ask(ledger, to)
    assert (grant.state, grant.after) == ("rest", 30 * SECOND)
    assert (await ask(ledger, way("another key"))).state == "granted"
    await ledger.pass_time(30 * SECOND)
    assert (await ask(ledger, to)).state == "granted"


async def test_without_a_word_it_rests_longer_each_time_until_it_answers(ledger):
    to, rests = way(), []
    for outcome in ("limited",) * 9 + ("ok", "limited"):
        await end(ledger, to, "a", outcome)
        rests.append((await ask(ledger, to)).after / SECOND)
        await ledger.pass_time(64 * SECOND)
    assert rests == [1, 2, 4, 8, 16, 32, 64, 64, 64, 0, 1]


async def test_after_its_rest_it_is_asked_by_one_then_by_more(ledger):
    to = way(concurrent=8, circuit=CircuitRule(ramp=8 * SECOND))
    await end(ledger, to, "a", "limited", rest=SECOND)
    await ledger.pass_time(SECOND)
    assert await states(ledger, to, 2) == ["granted", "wait"]
    await ledger.pass_time(3 * SECOND)
    assert await states(ledger, to, 4) == ["granted", "granted", "granted", "wait"], "three eighths, and one"
    await ledger.pass_time(5 * SECOND)
    assert await states(ledger, to, 5) == ["granted"] * 4 + ["wait"]


async def test_after_its_probe_a_circuit_lets_through_more_and_more_also_without_a_limit(ledger):
    to = way(circuit=CircuitRule(failures=1, open_for=SECOND, ramp=32 * SECOND))
    await end(ledger, to, "a", "failed")
    await ledger.pass_time(SECOND)
    assert (await ask(ledger, to, token="probe")).probe
    await end(ledger, to, "probe")
    assert await states(ledger, to, 2) == ["granted", "wait"]
    await ledger.pass_time(4 * SECOND)
    assert await states(ledger, to, 5) == ["granted"] * 4 + ["wait"]
    await ledger.pass_time(28 * SECOND)
    assert await states(ledger, to, 100) == ["granted"] * 100


async def test_who_waits_for_a_ramp_waits_no_longer_than_it_and_what_comes_after(ledger):
    to = way(circuit=CircuitRule(ramp=8 * SECOND))
    await end(ledger, to, "a", took=SECOND)
    await end(ledger, to, "a", "limited", rest=SECOND)
    await ledger.pass_time(SECOND)
    waits = [(await ask(ledger, to)).after / SECOND for _ in range(65)]
    assert waits[:9] == [0, 1, 2, 3, 4, 5, 6, 7, 8], "one at once, as it is now"
    assert waits[9:11] == [8.282, 8.313], "or the ramp is over, and 32 go at once"
    assert waits[64] == 10


async def test_who_waits_within_a_ramp_counts_on_as_many_slots_as_it_has_now(ledger):
    to = way(circuit=CircuitRule(ramp=8 * SECOND))
    await end(ledger, to, "a", took=SECOND)
    await end(ledger, to, "a", "limited", rest=SECOND)
    await ledger.pass_time(3 * SECOND)
    waits = [(await ask(ledger, to)).after / SECOND for _ in range(11)]
    assert waits == [0] * 9 + [0.112, 0.223], "of 32 slots a quarter, and one"


async def test_who_waits_for_the_one_slot_there_is_waits_for_it_also_where_a_ramp_is_over_soon(ledger):
    to = way(concurrent=1, circuit=CircuitRule(ramp=SECOND / 10))
    await end(ledger, to, "a", took=2 * SECOND)
    await end(ledger, to, "a", "limited", rest=SECOND)
    await ledger.pass_time(SECOND)
    assert [(await ask(ledger, to)).after / SECOND for _ in range(3)] == [0, 2, 4]


async def test_a_key_that_is_no_good_is_out_for_a_while_and_its_pool_is_not(ledger):
    to = way("one")
    await end(ledger, to, "a", "out", rest=300 * SECOND)
    grant = await ask(ledger, to)
    assert (grant.state, grant.after) == ("out", 300 * SECOND)
    assert (await ask(ledger, way("two"))).state == "granted"
    await ledger.pass_time(300 * SECOND)
    assert (await ask(ledger, to)).state == "granted"


async def test_of_a_call_that_went_well_its_time_is_kept_and_nothing_else(ledger):
    to = way()
    await ask(ledger, to, token="a")
    await end(ledger, to, "a", took=SECOND)
    assert ledger.redis.hgetall(key("pace", "gpt")) == {"pool": "gpts", "took": "1000"}


async def test_what_is_noted_after_a_lease_was_long_over_has_an_end_too(ledger):
    await end(ledger, way(), "a", took=SECOND)
    assert ledger.redis.pttl(key("pace", "gpt")) > 0


async def test_limits_and_keys_open_no_circuit(ledger):
    to = way(circuit=CircuitRule(failures=1, ratio=0.1, least=1))
    for outcome in ("limited", "out", "neutral"):
        assert not await end(ledger, to, "a", outcome)


async def test_a_circuit_is_its_pool_s(ledger):
    rule = CircuitRule(failures=1)
    await end(ledger, way("one", circuit=rule), "a", "failed")
    assert [(await ask(ledger, way(name))).state for name in ("one", "two")] == ["open", "open"]
    assert (await ask(ledger, way("two", pool="elsewhere"))).state == "granted"


async def test_a_circuit_opens_at_its_ratio_of_failures_once_enough_were_made(ledger):
    to = way(circuit=CircuitRule(failures=1000, ratio=0.5, least=10, window=60 * SECOND))
    opened = [await end(ledger, to, "a", outcome) for outcome in ["ok", "failed"] * 5]
    assert opened == [False] * 9 + [True]


async def test_a_single_failure_may_be_too_many(ledger):
    to = way(circuit=CircuitRule(failures=1000, ratio=0.01, least=2))
    assert [await end(ledger, to, "a", outcome) for outcome in ("ok", "failed")] == [False, True]


async def test_what_was_counted_for_a_ratio_opens_no_circuit_that_has_none(ledger):
    for ratio, outcome in ((0.9, "ok"), (0.9, "ok"), (None, "failed")):
        to = way(circuit=CircuitRule(failures=1000, ratio=ratio, least=2))
        assert not await end(ledger, to, "a", outcome)


async def test_a_circuit_that_opens_forgets_what_was_counted(ledger):
    to = way(circuit=CircuitRule(failures=1000, ratio=0.5, least=2))
    assert [await end(ledger, to, "a", "failed") for _ in range(2)] == [False, True]
    assert set(ledger.redis.hkeys(key("circuit", "gpts"))) == {"open_until", "opened"}


async def test_below_its_ratio_a_circuit_stays_closed(ledger):
    to = way(circuit=CircuitRule(failures=1000, ratio=0.5, least=4, window=60 * SECOND))
    assert not any([await end(ledger, to, "a", outcome) for outcome in ["ok", "ok", "failed"] * 20])


async def test_failures_of_an_older_window_are_none_of_the_ratio(ledger):
    to = way(circuit=CircuitRule(failures=1000, ratio=0.5, least=4, window=60 * SECOND))
    assert not any([await end(ledger, to, "a", "failed") for _ in range(3)])
    await ledger.pass_time(61 * SECOND)
    assert [await end(ledger, to, "a", "failed") for _ in range(4)] == [False, False, False, True]


async def test_what_is_kept_of_the_pace_has_an_end(ledger):
    to = way(calls=5)
    grant = await ask(ledger, to, token="a", tokens=5)
    assert 60 < ledger.redis.ttl(key("minute", "gpt")) <= 62
    assert 86_000 < ledger.redis.ttl(key("pace", "gpt")) <= 86_400
    await end(ledger, to, "a", entry=grant.entry, tokens=7)
    assert 60 < ledger.redis.ttl(key("minute", "gpt")) <= 62


async def test_a_hundred_askers_at_once_get_no_more_than_the_minute_allows(ledger):
    to = way(calls=20)
    grants = await asyncio.gather(*(ask(ledger, to, token=str(number)) for number in range(100)))
    assert sorted(grant.state for grant in grants) == ["granted"] * 20 + ["wait"] * 80
