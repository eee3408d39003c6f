"""Admission: one script decides everything about an event, atomically."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from programs import PATIENT

from gateway.ledger import Filter, LedgerFull, Limit, Retention, open_ledger
from gateway.ledger.keys import KEYS, key

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)
TOOK = '{"name":"step","took":0,"at":0}'


async def test_an_admitted_event_is_stored_and_its_wake_up_is_in_its_lane(ledger, admission):
    one = admission(lane="high", body=b"\x00\xffraw")
    (verdict,) = await ledger.admit([one])
    assert (verdict.outcome, verdict.event_id, verdict.state) == ("accepted", one.event.id, "queued")
    assert await ledger.redis.lrange(key("lane", "high"), 0, -1) == [one.event.id.encode()]
    work = (await ledger.begin(one.event.id, fence="f")).work
    assert work.event == one.event


async def test_fifty_concurrent_equal_events_are_one_event(redis_url, admission):
    gateways = [await open_ledger(redis_url, deadline=PATIENT) for _ in range(2)]
    copies = [admission(dedupe_id="same", nonce="same", body=b"{}") for _ in range(50)]
    answers = await asyncio.gather(*(gateways[at % 2].admit([copy]) for at, copy in enumerate(copies)))
    verdicts = [verdict for (verdict,) in answers]
    accepted = [verdict for verdict in verdicts if verdict.outcome == "accepted"]
    duplicates = [verdict for verdict in verdicts if verdict.outcome == "duplicate"]
    assert (len(accepted), len(duplicates)) == (1, 49)
    assert {verdict.event_id for verdict in duplicates} == {accepted[0].event_id}
    assert len(await gateways[0].redis.keys(KEYS["event"] + "*")) == 1
    for gateway in gateways:
        await gateway.close()


async def test_a_batch_decides_each_event_apart_from_its_neighbours(ledger, admission):
    tight = Limit(count=1, period=MINUTE, burst=1)
    batch = [
        admission(source="a", limit=tight),
        admission(source="a", limit=tight),
        admission(source="b", dedupe_id="x"),
        admission(source="b", dedupe_id="x"),
        admission(source="c", max_backlog=0),
    ]
    outcomes = [verdict.outcome for verdict in await ledger.admit(batch)]
    assert outcomes == ["accepted", "limited", "accepted", "duplicate", "full"]


async def test_a_duplicate_is_counted_with_its_event_and_can_be_listed(ledger, admission):
    first, *_ = await ledger.admit([admission(dedupe_id="again"), admission(), admission(dedupe_id="again")])
    await ledger.admit([admission(dedupe_id="again")])
    (view,) = await ledger.events(wanted=Filter(repeated=True))
    assert (view.id, view.repeats) == (first.event_id, 2)
    assert abs(view.repeated_at - datetime.now(UTC)) < timedelta(seconds=10)
    assert len(await ledger.events()) == 2
    assert (await ledger.stats()).counts["duplicate"] == 2


async def test_a_duplicate_of_a_forgotten_event_is_known_still(redis_url, admission):
    ledger = await open_ledger(redis_url, retention=Retention(keep=timedelta(milliseconds=1)))
    (first,) = await ledger.admit([admission(dedupe_id="old")])
    work = (await ledger.begin(first.event_id, fence="f")).work
    await ledger.finish(work, "done")
    await asyncio.sleep(0.05)
    assert await ledger.show(first.event_id) is None
    (again,) = await ledger.admit([admission(dedupe_id="old")])
    assert (again.outcome, again.event_id, again.state) == ("duplicate", first.event_id, "finished")
    await ledger.close()


@pytest.mark.parametrize("kind", ["dedupe", "nonce"])
async def test_an_id_and_a_mac_are_forgotten_when_their_time_is_over(ledger, admission, kind):
    short, long = timedelta(milliseconds=40), timedelta(minutes=1)
    lifetimes = {"dedupe_ttl": long, "nonce_ttl": long} | {f"{kind}_ttl": short}
    names = {"dedupe": {"dedupe_id": "one"}, "nonce": {"nonce": "one"}}[kind]
    await ledger.admit([admission(**lifetimes, **names)])
    (soon,) = await ledger.admit([admission(**lifetimes, **names)])
    await asyncio.sleep(0.06)
    (later,) = await ledger.admit([admission(**lifetimes, **names)])
    assert (soon.outcome, later.outcome) == ("duplicate", "accepted")


async def test_an_equal_id_of_another_source_is_another_event(ledger, admission):
    batch = [admission(source=source, dedupe_id="1", nonce="1") for source in ("a", "b")]
    assert [verdict.outcome for verdict in await ledger.admit(batch)] == ["accepted", "accepted"]


async def test_a_replayed_mac_under_another_id_is_a_duplicate(ledger, admission):
    first, second = await ledger.admit([admission(nonce="mac", dedupe_id="1"), admission(nonce="mac", dedupe_id="2")])
    assert (second.outcome, second.event_id) == ("duplicate", first.event_id)


async def test_without_a_nonce_ttl_equal_macs_are_two_events(ledger, admission):
    rules = {"nonce": "mac", "nonce_ttl": timedelta(0), "dedupe_id": None}
    assert [verdict.outcome for verdict in await ledger.admit([admission(**rules) for _ in range(2)])] == [
        "accepted"
    ] * 2


async def test_a_reused_idempotency_key_with_another_body_is_a_conflict(ledger, admission):
    rules = {"dedupe_id": "key", "idempotent": True}
    batch = [admission(body=b"1", **rules), admission(body=b"2", **rules), admission(body=b"1", **rules)]
    assert [verdict.outcome for verdict in await ledger.admit(batch)] == ["accepted", "conflict", "duplicate"]


async def test_a_duplicate_tells_the_present_state_of_the_first(ledger, admission, begun):
    work = await begun(dedupe_id="one")
    (running,) = await ledger.admit([admission(dedupe_id="one")])
    await ledger.finish(work, "done")
    (done,) = await ledger.admit([admission(dedupe_id="one")])
    assert (running.state, done.state) == ("running", "done")


async def test_a_duplicate_is_never_limited_and_costs_no_budget(ledger, admission):
    limit = Limit(count=1, period=MINUTE, burst=1)
    first, again, other = await ledger.admit(
        [admission(dedupe_id="1", limit=limit), admission(dedupe_id="1", limit=limit), admission(limit=limit)]
    )
    assert (first.outcome, again.outcome, other.outcome) == ("accepted", "duplicate", "limited")
    assert 58 < other.retry_after <= 60


async def test_a_burst_is_admitted_and_then_the_rate_holds(ledger, admission):
    limit = Limit(count=600, period=MINUTE, burst=5)
    verdicts = await ledger.admit([admission(limit=limit) for _ in range(8)])
    assert [verdict.outcome for verdict in verdicts] == ["accepted"] * 5 + ["limited"] * 3
    assert [verdict.remaining for verdict in verdicts[:5]] == [4, 3, 2, 1, 0]
    await asyncio.sleep(verdicts[-1].retry_after + 0.01)
    assert [verdict.outcome for verdict in await ledger.admit([admission(limit=limit)])] == ["accepted"]


async def test_a_refused_event_leaves_nothing_but_its_rate_and_a_count(ledger, admission):
    await ledger.admit([admission(limit=Limit(count=1, period=MINUTE, burst=1))])
    before = set(await ledger.redis.keys())
    verdicts = await ledger.admit(
        [admission(limit=Limit(count=1, period=MINUTE, burst=1)), admission(source="new", max_backlog=0)]
    )
    assert [verdict.outcome for verdict in verdicts] == ["limited", "full"]
    assert set(await ledger.redis.keys()) == before


async def test_the_cap_of_a_source_holds_the_rest_back_in_its_backlog(ledger, admission):
    await ledger.admit([admission(concurrency=2) for _ in range(5)])
    assert await ledger.redis.llen(key("lane", "normal")) == 2
    assert await ledger.redis.llen(key("backlog", "source:blog")) == 3


async def test_a_full_backlog_refuses(ledger, admission):
    verdicts = await ledger.admit([admission(concurrency=1, max_backlog=1) for _ in range(3)])
    assert [verdict.outcome for verdict in verdicts] == ["accepted", "accepted", "full"]


async def test_short_memory_stops_admission(ledger, admission):
    await ledger.admit([admission(dedupe_id="old")])
    used = (await ledger.redis.info("memory"))["used_memory"]
    async with most_memory(ledger, int(used / 0.95)):
        refused, known = await ledger.admit([admission(), admission(dedupe_id="old")])
    assert (refused.outcome, known.outcome) == ("full", "duplicate")


async def test_without_any_memory_left_accepted_work_goes_on_where_scripts_have_flags(ledger, admission, begun):
    """Redis 6.2 knows no `allow-oom`: there nothing at all is written; the high-water mark is to keep it from that."""
    flags = int((await ledger.redis.info("server"))["redis_version"].split(".")[0]) >= 7
    work = await begun()
    async with most_memory(ledger, (await ledger.redis.info("memory"))["used_memory"] // 2):
        if flags:
            with pytest.raises(LedgerFull):
                await ledger.admit([admission()])
            assert await ledger.checkpoint(work, "step", output=b"1", took=TOOK) == "ok"
            assert await ledger.finish(work, "done")
        else:
            (refused,) = await ledger.admit([admission()])
            assert refused.outcome == "full"
            with pytest.raises(LedgerFull):
                await ledger.checkpoint(work, "step", output=b"1", took=TOOK)
            with pytest.raises(LedgerFull):
                await ledger.finish(work, "done")
    if not flags:
        assert await ledger.checkpoint(work, "step", output=b"1", took=TOOK) == "ok", "nothing was half written"
        assert await ledger.finish(work, "done")


@asynccontextmanager
async def most_memory(ledger, most):
    """Leave the server so many bytes."""
    await ledger.redis.config_set("maxmemory", most)
    try:
        yield
    finally:
        await ledger.redis.config_set("maxmemory", 0)


async def test_every_key_of_an_accepted_event_has_a_ttl_or_a_reason(ledger, admission):
    await ledger.admit([admission(limit=Limit(count=1, period=MINUTE, burst=1))])
    lasting = {name async for name in ledger.redis.scan_iter() if await ledger.redis.ttl(name) == -1}
    reasons = ("event", "work", "lane", "group", "groups", "active", "due", "index", "counts")
    assert all(any(name.decode().startswith(KEYS[kind]) for kind in reasons) for name in lasting)
    assert await ledger.redis.ttl(key("rate", "blog")) > 0


async def test_a_flawed_event_is_a_dead_letter_at_once_and_can_be_replayed(ledger, admission):
    one = admission(flaw="json_invalid", body=b"{broken")
    (verdict,) = await ledger.admit([one])
    assert (verdict.outcome, verdict.event_id, verdict.state) == ("accepted", one.event.id, "dead")
    (letter,) = await ledger.dead()
    assert (letter.id, letter.reason, letter.error_class, letter.attempts) == (
        one.event.id, "json_invalid", "permanent", 0,
    )  # fmt: skip
    assert await ledger.redis.llen(key("lane", "normal")) == 0
    assert await ledger.redis.zcard(key("due")) == 0
    for kind in ("event", "work"):
        assert 29 * 86400 < await ledger.redis.ttl(key(kind, one.event.id)) <= 30 * 86400
    counts = (await ledger.stats()).counts
    assert (counts["accepted"], counts["dead"]) == (1, 1)
    assert await ledger.replay(one.event.id) == "queued"
    assert (await ledger.begin(one.event.id, fence="f")).work.event == one.event
    assert await ledger.redis.ttl(key("event", one.event.id)) == -1


async def test_a_flawed_event_holds_no_place_of_its_source(ledger, admission):
    await ledger.admit([admission(flaw="json_invalid", concurrency=1) for _ in range(3)])
    (verdict,) = await ledger.admit([admission(concurrency=1)])
    assert await ledger.redis.lrange(key("lane", "normal"), 0, -1) == [verdict.event_id.encode()]


async def test_a_flawed_event_is_remembered_and_limited_like_any_other(ledger, admission):
    limit = Limit(count=1, period=MINUTE, burst=1)
    batch = [admission(flaw="json_invalid", limit=limit, dedupe_id=name) for name in ("1", "1", "2")]
    verdicts = await ledger.admit(batch)
    assert [verdict.outcome for verdict in verdicts] == ["accepted", "duplicate", "limited"]
    assert verdicts[1].state == "dead"


async def test_a_common_backlog_that_fills_up_refuses_low_first_and_high_last(ledger, admission):
    def one(lane):
        return admission(source=f"source-{lane}", lane=lane, concurrency=1, max_total=10)

    await ledger.admit([admission(source="other", concurrency=1) for _ in range(8)])  # seven of them wait
    outcomes = {}
    for lane in ("low", "normal", "high"):
        outcomes[lane] = [verdict.outcome for verdict in await ledger.admit([one(lane) for _ in range(4)])]
    assert outcomes == {
        "low": ["accepted", "accepted", "full", "full"],  # the first of a source is worked, and does not wait
        "normal": ["accepted", "accepted", "full", "full"],
        "high": ["accepted", "accepted", "full", "full"],
    }


@pytest.mark.parametrize(
    ("share", "taken"), [(0.78, {"low", "normal", "high"}), (0.83, {"normal", "high"}), (0.88, {"high"}), (0.93, set())]
)
async def test_memory_that_runs_short_refuses_low_first_and_high_last(ledger, admission, share, taken):
    await ledger.admit([admission()])
    await ledger.redis.set("ballast", bytes(32 * 1024 * 1024))  # beside it, what connections take is next to nothing
    used = (await ledger.redis.info("memory"))["used_memory"]
    await ledger.redis.config_set("maxmemory", int(used / share))
    try:
        verdicts = await ledger.admit([admission(lane=lane, source=lane) for lane in ("low", "normal", "high")])
    finally:
        await ledger.redis.config_set("maxmemory", 0)
    accepted = {lane for lane, one in zip(("low", "normal", "high"), verdicts, strict=True) if one.outcome != "full"}
    assert accepted == taken
