"""Dead letters page by page, many at once, and the trail of who did what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.ledger import AuditFilter, Bulk, By, Filter, NewDelivery, carry_out, new_delivery_id
from gateway.ledger.keys import key

pytestmark = pytest.mark.anyio
ALL = Filter()
OPS = By(who="cli:ops@here", bulk="b1", on="all")


@pytest.fixture
def bury(ledger, begun):
    async def make(*, step="label", error_class="permanent", **rules):
        work = await begun(**{"concurrency": 1000, **rules})
        await ledger.bury(work, reason="no", error_class=error_class, step=step)
        return work.id

    return make


async def ids(ledger, **asked):
    return [view.id for view in await ledger.dead(wanted=Filter(**asked))]


async def tallies(ledger, action="replay", wanted=ALL, **asked):
    bulk = Bulk(action=action, wanted=wanted, by=OPS)
    return [tally async for tally in carry_out(ledger, bulk, **asked)]


async def at(ledger, letter, moment):
    """Let that letter have died then."""
    milliseconds = round(moment.timestamp() * 1000)
    await ledger.redis.hset(key("work", letter), "at", milliseconds)
    await ledger.redis.zadd(key("dead"), {letter: milliseconds})


async def test_letters_are_filtered_by_all_that_a_filter_knows(ledger, bury, begun):
    one = await bury(source="a", pipeline="p", step="draw", error_class="crash")
    two = await bury(source="b", pipeline="q")
    done = await begun(source="c")
    sent = NewDelivery(id=new_delivery_id(done.id, "n8n", 0), sink="n8n", concurrency=1, timeout=timedelta(minutes=1))
    await ledger.finish(done, "done", deliveries=[sent])
    await ledger.bury((await ledger.begin(sent.id, fence="d")).work, reason="410", error_class="permanent")
    assert await ids(ledger) == [sent.id, two, one]
    assert await ids(ledger, source="a") == await ids(ledger, pipeline="p") == await ids(ledger, step="draw") == [one]
    assert await ids(ledger, error_class="permanent") == [sent.id, two]
    assert await ids(ledger, sink="n8n") == [sent.id]
    assert await ids(ledger, source="a", step="label") == []


async def test_the_time_of_a_letter_is_that_of_its_death(ledger, bury):
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    letters = [await bury() for _ in range(3)]
    for hours, letter in enumerate(letters):
        await at(ledger, letter, noon + timedelta(hours=hours))
    assert await ids(ledger, since=noon + timedelta(hours=1)) == [letters[2], letters[1]]
    assert await ids(ledger, until=noon + timedelta(hours=1)) == [letters[0]]
    assert await ids(ledger, since=noon + timedelta(minutes=1), until=noon + timedelta(hours=2)) == [letters[1]]


async def test_pages_join_while_letters_leave_and_come(ledger, bury):
    letters = [await bury() for _ in range(6)][::-1]
    first, cursor = await ledger.dead_page(limit=2)
    await ledger.replay(letters[1])  # the one that the cursor names
    await bury()
    second, cursor = await ledger.dead_page(limit=2, cursor=cursor)
    third, cursor = await ledger.dead_page(limit=2, cursor=cursor)
    assert [view.id for view in (*first, *second, *third)] == letters
    assert await ledger.dead_page(limit=2, cursor=cursor) == ([], None)


async def test_letters_of_the_same_millisecond_are_not_passed_over(ledger, bury):
    letters = [await bury() for _ in range(130)]  # more than a page
    for letter in letters:
        await at(ledger, letter, datetime(2026, 11, 20, tzinfo=UTC))
    seen, cursor = [], None
    while True:
        page, cursor = await ledger.dead_page(limit=7, cursor=cursor)
        seen += [view.id for view in page]
        if cursor is None:
            break
    assert sorted(seen) == sorted(letters)


async def test_a_bulk_replays_all_that_pass_and_tells_how_far_it_is(ledger, bury):
    ours = [await bury(source="a") for _ in range(20)]
    other = await bury(source="b")
    told = await tallies(ledger, wanted=Filter(source="a"))
    assert [tally.done for tally in told][-1] == 20
    assert len(told) >= 3
    assert (told[-1].skipped, told[-1].cursor) == ({}, None)
    assert {(await ledger.show(one)).state for one in ours} == {"queued"}
    assert await ids(ledger) == [other]


async def test_a_bulk_ends_at_its_bound_and_goes_on_from_its_cursor(ledger, bury):
    letters = [await bury() for _ in range(12)][::-1]
    stopped = (await tallies(ledger, most=10))[-1]
    assert stopped.done == 10
    assert await ids(ledger) == letters[10:]
    assert (await tallies(ledger, "discard", cursor=stopped.cursor))[-1].done == 2
    assert await ids(ledger) == []


async def test_a_bulk_does_not_fill_the_backlog_of_a_source(ledger, bury):
    letters = [await bury(concurrency=1) for _ in range(9)]
    told = []
    async for tally in carry_out(ledger, Bulk(action="replay", wanted=ALL, by=OPS, most_waiting=3)):
        told.append(tally)
        if tally.full:
            break
    assert await ledger.redis.llen(key("backlog", "source:blog")) == 3
    left = await ids(ledger)
    assert len(left) == len(letters) - tally.done > 0
    page, _ = await ledger.dead_page(cursor=tally.cursor)
    assert [view.id for view in page] == left


async def test_what_is_no_letter_any_more_is_skipped_with_its_reason(ledger, bury):
    letter = await bury()
    await ledger.redis.delete(key("event", letter))
    told = (await tallies(ledger))[-1]
    assert (told.done, told.skipped) == (0, {"gone": 1})


async def test_a_bulk_is_one_entry_and_a_single_action_one_each(ledger, bury):
    letters = [await bury() for _ in range(12)]
    await ledger.replay(letters[0], by=By(who="token:t"))
    await tallies(ledger, wanted=Filter(source="blog"))
    await ledger.pause("source", "blog", by=By(who="token:t"))
    await ledger.pause("source", "blog", by=By(who="token:t"))  # changes nothing
    await ledger.resume("source", "blog")  # nobody is named
    entries = await ledger.audit()
    assert [(one.who, one.what, one.on, one.count) for one in entries] == [
        ("token:t", "pause", "source:blog", 1),
        ("cli:ops@here", "replay", "all", 11),
        ("token:t", "replay", letters[0], 1),
    ]
    assert entries[1].first <= entries[1].last
    assert [one.what for one in await ledger.audit(wanted=AuditFilter(who="token:t", what="pause"))] == ["pause"]
    assert await ledger.audit(wanted=AuditFilter(since=datetime.now(UTC) + timedelta(minutes=1))) == []


async def test_a_refused_action_is_no_entry_and_a_scratch_is_named(ledger, bury, begun):
    letter, running = await bury(), await begun()
    by = By(who="token:t")
    assert await ledger.replay(running.id, by=by) == "busy"
    assert not await ledger.discard(running.id, by=by)
    assert await ledger.replay(letter, scratch=True, by=by) == "queued"
    assert [(one.what, one.on) for one in await ledger.audit()] == [("scratch", letter)]


async def test_a_pause_of_what_is_paused_is_no_entry(ledger):
    first, second = By(who="token:first"), By(who="token:second")
    assert [await ledger.pause("source", "blog", by=by) for by in (first, second)] == [True, False]
    assert [await ledger.resume("source", "blog", by=by) for by in (first, second)] == [True, False]
    assert [(one.what, one.who) for one in await ledger.audit()] == [("resume", first.who), ("pause", first.who)]


async def test_the_trail_is_capped(ledger, bury):
    letter = await bury()
    old = b'{"who":"a","what":"replay","on":"x","bulk":"","count":1,"first":1,"last":1}'
    await ledger.redis.rpush(key("audit"), *[old] * 10_000)
    await ledger.discard(letter, by=By(who="token:t"))
    assert await ledger.redis.llen(key("audit")) == 10_000
    assert (await ledger.audit(limit=1))[0].on == letter


async def test_a_letter_shows_until_when_it_is_kept(ledger, bury, begun):
    view = await ledger.show(await bury())
    assert timedelta(days=29) < view.kept_until - datetime.now(UTC) <= timedelta(days=30, minutes=1)
    assert (await ledger.show((await begun()).id)).kept_until is None
