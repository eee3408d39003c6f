"""What the scripts write to the millisecond, under a clock that the tests tell: see tests/twin.py."""

from __future__ import annotations

import itertools
import json
import struct
from collections import defaultdict
from datetime import timedelta
from hashlib import sha256

import pytest
from twin import open_real

from gateway.ledger import ALERTS, AlertRules, Beat, By, LedgerError, Limit, NewDelivery, new_delivery_id
from gateway.ledger.keys import KEYS, key
from gateway.ledger.ledger import LEASE, MOST_LIVES

pytestmark = pytest.mark.anyio
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
MILLISECOND, MICROSECOND = timedelta(milliseconds=1), timedelta(microseconds=1)
WEEK_MS = 7 * 86_400_000


@pytest.fixture
async def told(redis_url):
    """A ledger in the middle of a second, and of a millisecond."""
    opened = await open_real(redis_url)
    await opened.pass_time(timedelta(microseconds=234_567))
    yield opened
    await opened.close()


def now(told):
    return told.now_us // 1000


async def test_an_admission_is_dated_in_ms_and_metered_in_us(told, admission):
    one = admission(limit=Limit(count=3, period=SECOND, burst=1), body=b"{}", timeout=7 * SECOND)
    await told.admit([one])
    assert told.redis.hgetall(key("work", one.event.id)) == {
        "kind": "run", "group": "source:blog", "source": "blog", "pipeline": "triage", "generation": "0",
        "timeout": "7000", "trace": "a" * 32, "received": f"{one.event.received_at.timestamp() * 1000:.0f}",
        "size": "2", "state": "queued", "attempts": "0", "lives": "0", "at": str(now(told)),
    }  # fmt: skip
    assert told.redis.hgetall(key("event", one.event.id)) == {"record": one.event.record(), "body": "{}"}
    assert told.look().due == {one.event.id: now(told) + 10_000}
    assert told.redis.get(key("rate", "blog")) == str(told.now_us + 333_333)


async def test_a_mac_is_kept_for_as_long_as_its_source_says_and_not_at_all_where_that_is_nothing(
    told, ledger, admission
):
    long, none, short = same_bucket(3)
    outcomes = []
    for nonce, ttl in ((long, MINUTE), (none, timedelta(0)), (short, MILLISECOND), (short, MILLISECOND)):
        (verdict,) = await told.admit([admission(dedupe_id=None, nonce=nonce, nonce_ttl=ttl)])
        outcomes.append(verdict.outcome)
    assert outcomes == ["accepted", "accepted", "accepted", "duplicate"]
    (bucket,) = await ledger.redis.keys(KEYS["nonce"] + "*")
    assert await ledger.redis.hlen(bucket) == 2, "that of `long` and that of `short`"


async def test_an_id_is_remembered_under_its_mark_with_its_end_its_body_and_its_event(told, ledger, admission):
    one = admission(dedupe_id="id", dedupe_ttl=7 * DAY, nonce_ttl=timedelta(0), body=b"{}")
    await told.admit([one])
    mark = sha256(b"blog\0id").digest()[:16]
    (name,) = await ledger.redis.keys(KEYS["dedupe"] + "*")
    assert name == f"{KEYS['dedupe']}{mark[:2].hex()}".encode()
    until = struct.pack(">Q", now(told) + WEEK_MS)[2:]
    assert await ledger.redis.hgetall(name) == {mark: until + sha256(b"{}").digest()[:8] + one.event.id.encode()}


async def test_a_bucket_lives_as_long_as_its_longest_memory_and_is_rid_of_what_expired(told, ledger, admission):
    ids = same_bucket(16)

    async def remember(some, ttl):
        return await told.admit([admission(dedupe_id=one, dedupe_ttl=ttl) for one in some])

    await remember(ids[:8], MINUTE)
    (bucket,) = await ledger.redis.keys(KEYS["dedupe"] + "*")
    await remember(ids[8:12], DAY)
    await remember(ids[12:13], MINUTE)
    await told.pass_time(MINUTE)
    assert 86_300 < await ledger.redis.ttl(bucket) <= 86_400
    await remember(ids[13:15], DAY)
    assert await ledger.redis.hlen(bucket) == 15
    await remember(ids[15:], DAY)
    assert await ledger.redis.hlen(bucket) == 4 + 3
    verdicts = await remember([ids[8], ids[15], ids[0]], DAY)
    assert [one.outcome for one in verdicts] == ["duplicate", "duplicate", "accepted"]


def same_bucket(count):
    """Find ids of source `blog` that share a bucket: the first two bytes of their marks are equal."""
    buckets = defaultdict(list)
    numbers = itertools.count()
    found = []
    while len(found) < count:
        number = next(numbers)
        found = buckets[sha256(f"blog\0{number}".encode()).digest()[:2]]
        found.append(str(number))
    return found


async def test_a_budget_opens_at_the_microsecond_it_says(told, admission):
    limit = Limit(count=1, period=SECOND, burst=1)
    await told.admit([admission(limit=limit)])
    await told.pass_time(SECOND - MICROSECOND)
    (early,) = await told.admit([admission(limit=limit)])
    assert (early.outcome, early.retry_after) == ("limited", 1e-6)
    await told.pass_time(MICROSECOND)
    (due,) = await told.admit([admission(limit=limit)])
    assert due.outcome == "accepted"


async def test_a_budget_of_a_million_a_second_is_one(told, admission):
    limit = Limit(count=1_000_000, period=SECOND, burst=1)
    assert [one.outcome for one in await told.admit([admission(limit=limit) for _ in range(2)])] == [
        "accepted", "limited",
    ]  # fmt: skip


async def test_a_budget_is_forgotten_once_it_is_whole_again(told, admission):
    await told.admit([admission(limit=Limit(count=1, period=MINUTE, burst=9))])
    assert 30_001 < told.redis.pttl(key("rate", "blog")) <= 60_001


@pytest.fixture
def buried(told, admission):
    """Give events up, one after the other, a second apart."""

    async def make(count):
        made = []
        for _ in range(count):
            (verdict,) = await told.admit([admission()])
            await told.take("normal")
            work = (await told.begin(verdict.event_id, fence="first")).work
            await told.bury(work, reason="no", error_class="permanent")
            await told.pass_time(SECOND)
            made.append(work.id)
        return made

    return make


async def test_a_notice_is_an_event_that_is_done_and_a_delivery_that_is_not(told, buried):
    letters = await buried(3)
    rules = AlertRules(sink="ops", dead=3, new=2, within=timedelta(seconds=2), concurrency=5, timeout=7 * SECOND)
    text = await told.alert(rules)
    assert json.loads(text) == {
        "kind": "dead_letters", "reason": "count", "dead": 3, "dead_threshold": 3,
        "new": 2, "new_threshold": 2, "new_within_s": 2, "newest": letters[-1],
    }  # fmt: skip
    moment = str(now(told))
    run = told.redis.get(key("alerted", "dead_letters"))
    event = told.redis.hgetall(key("event", run))
    trace = json.loads(event["record"])["traceparent"][3:35]
    ours = {"source": ALERTS, "pipeline": ALERTS, "trace": trace, "generation": "0", "timeout": "7000"}
    ours |= {"received": moment, "at": moment, "attempts": "0", "lives": "0"}
    delivery = told.redis.hget(key("work", run), "deliveries")
    assert delivery.startswith("dlv_")
    assert event["body"] == text
    assert told.redis.hgetall(key("work", run)) == ours | {
        "kind": "run", "group": f"source:{ALERTS}", "size": str(len(text)), "state": "done", "result": text,
        "deliveries": delivery, "pending": "1",
    }  # fmt: skip
    assert told.redis.hgetall(key("work", delivery)) == ours | {
        "kind": "delivery", "group": "sink:ops", "run": run, "sink": "ops", "state": "queued", "since": moment,
    }  # fmt: skip
    assert told.redis.hgetall(key("group", "sink:ops")) == {"cap": "5", "lane": "deliveries"}
    assert told.redis.zscore(key("index"), run) == now(told)
    assert 3_590_000 < told.redis.pttl(key("alerted", "dead_letters")) <= 3_600_000
    look = told.look()
    assert (look.lanes["deliveries"], look.counts["alerts"]) == ((delivery,), 1)


@pytest.mark.parametrize(("bound", "reason"), [({"dead": 1}, "count"), ({"new": 1}, "growth")])
async def test_one_dead_letter_may_be_too_many(told, buried, bound, reason):
    assert await told.alert(AlertRules(sink="ops", **bound)) == ""
    await buried(1)
    assert json.loads(await told.alert(AlertRules(sink="ops", **bound)))["reason"] == reason


async def test_what_died_before_the_window_is_not_new(told, buried):
    await buried(1)
    await told.pass_time(timedelta(minutes=10) - SECOND)
    rules = AlertRules(sink="ops", new=1)
    await told.pass_time(MILLISECOND)
    assert await told.alert(rules) == ""
    await told.pass_time(-MILLISECOND)
    assert json.loads(await told.alert(rules))["new"] == 1


async def test_a_claim_of_a_due_time_is_void_after_five_seconds(told):
    _, present = await told.last_due("nightly")
    assert present.timestamp() * 1000 == pytest.approx(now(told), abs=0.5)
    due = present + SECOND
    assert await told.claim_due("nightly", due)
    await told.pass_time(5 * SECOND - MILLISECOND)
    assert not await told.claim_due("nightly", due)
    await told.pass_time(MILLISECOND)
    assert await told.claim_due("nightly", due)
    await told.note_due("nightly", due)
    assert told.redis.hgetall(key("schedules")) == {"nightly": f"{due.timestamp() * 1000:.0f}"}
    await told.pass_time(DAY)
    assert (await told.last_due("nightly"))[0] == due


async def test_a_cancelled_work_says_neither_what_failed_nor_what_it_waited_for(told, admission):
    (verdict,) = await told.admit([admission()])
    work = (await told.begin(verdict.event_id, fence="first")).work
    await told.postpone(work, SECOND, reason="503", error_class="transient")
    await told.cancel(work.id, reason="not wanted")
    record = told.redis.hgetall(key("work", work.id))
    assert (record["state"], record["reason"], record["at"]) == ("discarded", "not wanted", str(now(told)))
    assert record.keys().isdisjoint({"class", "due", "fence"})


async def test_a_cancelled_delivery_shortens_the_life_of_no_dead_one_beside_it(told, admission):
    (verdict,) = await told.admit([admission()])
    work = (await told.begin(verdict.event_id, fence="first")).work
    new = [
        NewDelivery(id=new_delivery_id(work.id, sink, 0), sink=sink, concurrency=1, timeout=SECOND)
        for sink in ("n8n", "file")
    ]
    await told.finish(work, "done", deliveries=new)
    lost = (await told.begin(new[0].id, fence="d")).work
    await told.bury(lost, reason="410", error_class="permanent")
    assert await told.cancel(new[1].id) == "cancelled"
    assert told.redis.ttl(key("event", work.id)) > 29 * 86_400


async def test_a_lease_is_over_at_its_end_and_so_is_the_time_to_say_that_a_run_was_too_late(told, admission):
    (verdict,) = await told.admit([admission(timeout=4 * SECOND)])
    work = (await told.begin(verdict.event_id, fence="first", lease=3 * SECOND)).work
    beat = Beat(id=work.id, fence=work.fence)
    await told.pass_time(3 * SECOND - MILLISECOND)
    assert (await told.begin(work.id, fence="second")).outcome == "busy"
    await told.pass_time(4 * SECOND)
    assert await told.renew([beat], lease=3 * SECOND) == [True]
    assert told.look().due == {work.id: now(told) + 1}, "one lease past the deadline, and no further"
    await told.pass_time(MILLISECOND)
    assert await told.renew([beat], lease=3 * SECOND) == [False]
    assert (await told.begin(work.id, fence="second")).outcome == "start"


async def test_a_gap_between_sweeps_is_an_outage_when_it_is_longer_than_five_seconds(told, admission):
    (verdict,) = await told.admit([admission()])
    await told.sweep("tests")
    await told.begin(verdict.event_id, fence="first", lease=SECOND)
    await told.pass_time(5 * SECOND)
    assert (await told.sweep("tests")).extended == 0
    await told.begin(verdict.event_id, fence="second", lease=SECOND)
    await told.pass_time(5 * SECOND + MILLISECOND)
    assert (await told.sweep("tests")).extended == 1


async def test_the_last_owner_of_a_run_that_lost_too_many_is_refused(told, admission):
    (verdict,) = await told.admit([admission()])
    for number in range(MOST_LIVES):
        last = (await told.begin(verdict.event_id, fence=f"owner {number}")).work
        assert (last.lives, last.result) == (number + 1, None)
        await told.pass_time(LEASE)
    assert (await told.begin(verdict.event_id, fence="one more")).outcome == "dead"
    assert not await told.finish(last, "done"), "it would take its result for recorded"
    assert not await told.bury(last, reason="no", error_class="permanent")


async def test_a_replay_of_what_waits_is_in_the_trail_too(told, admission):
    (verdict,) = await told.admit([admission()])
    work = (await told.begin(verdict.event_id, fence="first")).work
    await told.postpone(work, MINUTE, reason="503")
    assert await told.replay(work.id, by=By(who="token:t")) == "queued"
    assert [(one.what, one.on) for one in await told.audit()] == [("replay", work.id)]


async def test_one_that_waits_may_fill_the_backlog_for_a_replay(told, buried, admission):
    (letter,) = await buried(1)
    await told.admit([admission(concurrency=1) for _ in range(2)])
    assert await told.replay(letter, most_waiting=1) == "full"
    assert await told.replay(letter, most_waiting=2) == "queued"


async def test_a_bulk_stays_one_entry_while_that_is_among_the_five_newest(told, buried):
    letters = iter(await buried(9))
    bulk, single = By(who="cli:ops", on="all", bulk="b"), By(who="token:t")
    began = now(told)
    for by in (bulk, single, single, single, single, bulk):
        await told.replay(next(letters), by=by)
        await told.pass_time(SECOND)
    trail = [json.loads(entry) for entry in told.redis.lrange(key("audit"), 0, -1)]
    assert [entry["who"] for entry in trail] == ["token:t"] * 4 + ["cli:ops"]
    assert trail[-1] == {
        "who": "cli:ops", "what": "replay", "on": "all", "bulk": "b", "count": 2, "first": began, "last": began + 5000,
    }  # fmt: skip
    for by in (single, bulk):
        await told.replay(next(letters), by=by)
    trail = [json.loads(entry) for entry in told.redis.lrange(key("audit"), 0, -1)]
    assert [(entry["who"], entry["count"]) for entry in trail[:2]] == [("cli:ops", 1), ("token:t", 1)]
    assert len(trail) == 7


async def test_a_broken_record_that_is_set_aside_can_be_read_again(told, admission):
    (verdict,) = await told.admit([admission()])
    counters = ("attempts", "lives", "generation", "received", "size", "repeats", "total")
    told.redis.hset(key("work", verdict.event_id), mapping=dict.fromkeys(counters, "garbage"))
    await told.pass_time(MINUTE)
    assert (await told.begin(verdict.event_id, fence="first")).outcome == "dead"
    record = told.redis.hgetall(key("work", verdict.event_id))
    assert {name: record[name] for name in counters} == dict.fromkeys(counters, "0")
    assert (record["reason"], record["at"]) == ("its record is broken", str(now(told)))
    look = told.look()
    assert (look.dead, look.counts["dead"], look.active["source:blog"]) == ({verdict.event_id}, 1, frozenset())
    assert told.redis.zscore(key("dead"), verdict.event_id) == now(told)


async def test_a_delivery_whose_run_cannot_count_is_set_aside(told, admission):
    (verdict,) = await told.admit([admission()])
    work = (await told.begin(verdict.event_id, fence="first")).work
    new = NewDelivery(id=new_delivery_id(work.id, "n8n", 0), sink="n8n", concurrency=1, timeout=SECOND)
    await told.finish(work, "done", deliveries=[new])
    told.redis.hset(key("work", work.id), "pending", "garbage")
    told.redis.hset(key("work", new.id), "lives", MOST_LIVES)
    assert (await told.begin(new.id, fence="d")).outcome == "dead"
    assert told.redis.hget(key("work", new.id), "class") == "undecodable"


async def test_of_a_broken_record_what_can_be_read_stays(told, admission):
    (verdict,) = await told.admit([admission()])
    told.redis.hset(key("work", verdict.event_id), mapping={"lives": "garbage", "attempts": 2})
    assert (await told.begin(verdict.event_id, fence="first")).outcome == "dead"
    record = told.redis.hgetall(key("work", verdict.event_id))
    assert (record["lives"], record["attempts"], "repeats" in record) == ("0", "2", False)


async def test_what_the_server_refuses_is_no_fault_of_the_record(told, admission):
    (verdict,) = await told.admit([admission()])
    told.redis.execute_command("ACL SETUSER", "default", "-hgetall")
    try:
        with pytest.raises(LedgerError):
            await told.begin(verdict.event_id, fence="first")
    finally:
        told.redis.execute_command("ACL SETUSER", "default", "+@all")
    assert told.look().dead == frozenset()
