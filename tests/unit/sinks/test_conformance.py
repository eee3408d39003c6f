"""What every sink does alike, whatever is behind it, against real far ends (tests/fakes/far_ends.py)."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from contextlib import suppress

import pytest
from fakes.far_ends import (
    ChatEnd,
    FileEnd,
    FolderEnd,
    Postgres,
    PostgresEnd,
    S3End,
    SqliteEnd,
    WebhookEnd,
    moto,
)

from actors.errors import Failure

TIMEOUT = 2.0  # of a sink whose far end is to hang
LOCAL = {"file": FileEnd, "folder": FolderEnd, "sqlite": SqliteEnd}
BEHIND = {"webhook": WebhookEnd, "chat": ChatEnd}
ALL = (*LOCAL, *BEHIND, "s3", "postgres")
HANGING = tuple(name for name in ALL if name != "folder")  # a folder answers, or is not there
REFUSING = tuple(name for name in ALL if name != "chat")  # Apprise does not tell why it could not send
FAILING = ("webhook", "chat", "s3", "postgres")


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="module")
def s3():
    with moto() as port:
        yield port


@pytest.fixture
def end(request, tmp_path):
    """The far end of that name."""
    name = request.param
    fresh = f"t{uuid.uuid4().hex}"
    if name == "s3":
        made = S3End(tmp_path, port=request.getfixturevalue("s3"), bucket=fresh)
    elif name == "postgres":
        made = PostgresEnd(tmp_path, server=request.getfixturevalue("postgres"), database=fresh)
    else:
        made = {**LOCAL, **BEHIND}[name](tmp_path)
    yield made
    made.close()


def over(*names):
    return pytest.mark.parametrize("end", names, indirect=True)


def play(end, scenario):
    """Play a scenario with the sink of that end, and close it."""

    async def run():
        sink = end.sink()
        try:
            return await scenario(sink)
        finally:
            await sink.aclose()

    return asyncio.run(run())


async def refused(sink, outgoing, now):
    with pytest.raises(Failure, match=r"^sink it: ") as caught:
        await sink.send(outgoing, now=now)
    for secret in ("CANARY", "a1b2c3", "127.0.0.1", "calm", str(sink)):
        assert secret not in str(caught.value)
    return caught.value


async def delivered(sink, outgoing, now):
    """Deliver, at one of a few attempts: the machine may be busier than the sink's timeout allows for."""
    for _ in range(9):
        with suppress(Failure):
            return await sink.send(outgoing, now=now)
    return await sink.send(outgoing, now=now)


def ids(end):
    return sorted(effect["id"] for effect in end.effects())


@over(*ALL)
def test_a_repetition_after_a_lost_reply_leaves_one_effect(end, outgoing, now):
    async def scenario(sink):
        await sink.send(outgoing(delivery_id="dlv_00"), now=now)
        end.lose_the_reply()
        with suppress(Failure):  # a local end has no reply to lose: there, the worker died
            await sink.send(outgoing(result="calm"), now=now)
        await sink.send(outgoing(result="calm", attempt=2), now=now)

    play(end, scenario)
    assert ids(end) == ["dlv_00", *["dlv_01"] * (2 if end.repeats else 1)]


@over(*FAILING)
def test_what_may_pass_is_transient(end, outgoing, now):
    async def scenario(sink):
        await sink.send(outgoing(delivery_id="dlv_00"), now=now)
        end.fail()
        failure = await refused(sink, outgoing(result="calm"), now)
        end.heal()
        await sink.send(outgoing(), now=now)
        return failure

    assert play(end, scenario).klass == "transient"
    assert ids(end) == ["dlv_00", "dlv_01"]


@over(*REFUSING)
def test_what_no_other_attempt_changes_is_permanent(end, outgoing, now):
    async def scenario(sink):
        if not isinstance(end, FileEnd | FolderEnd):
            await sink.send(outgoing(delivery_id="dlv_00"), now=now)
        end.refuse()
        return await refused(sink, outgoing(result="calm"), now)

    assert play(end, scenario).klass == "permanent"


@over(*HANGING)
def test_a_far_end_that_hangs_meets_the_deadline_and_is_used_again(end, outgoing, now):
    end.timeout = TIMEOUT

    async def scenario(sink):
        await delivered(sink, outgoing(delivery_id="dlv_00"), now)
        end.hang()
        began = time.monotonic()
        failure = await refused(sink, outgoing(result="calm"), now)
        took = time.monotonic() - began
        end.heal()
        await delivered(sink, outgoing(result="calm"), now)
        return failure, took

    failure, took = play(end, scenario)
    assert failure.klass == "transient"
    assert TIMEOUT / 2 < took < TIMEOUT + 5
    assert set(ids(end)) == {"dlv_00", "dlv_01"}
    assert end.repeats or len(ids(end)) == 2


@over(*HANGING)
def test_a_delivery_that_is_cancelled_ends_at_once_and_hurts_no_other(end, outgoing, now):
    async def scenario(sink):
        await sink.send(outgoing(delivery_id="dlv_00"), now=now)
        end.hang()
        sending = asyncio.create_task(sink.send(outgoing(), now=now))
        await asyncio.sleep(0.1)
        sending.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert time.monotonic() - began < 5
        end.heal()
        await delivered(sink, outgoing(delivery_id="dlv_02"), now)

    play(end, scenario)
    assert set(ids(end)) >= {"dlv_00", "dlv_02"}


HARD = {"text": "schön 🎈 مرحبا \u2028 'quote\" \\ \n\t", "\u00e9": [None, 2**53, -1.5, True], "nul": "a\x00b"}


@over(*ALL)
def test_every_character_arrives(end, outgoing, now):
    play(end, lambda sink: sink.send(outgoing(result=HARD | {"lone": "\ud800"}), now=now))
    (effect,) = end.effects()
    if isinstance(end, ChatEnd):
        assert "schön 🎈 مرحبا" in effect["result"]
        return
    wanted = HARD | {"lone": "?"}
    if isinstance(end, SqliteEnd | PostgresEnd):
        wanted["nul"] = "a\ufffdb"
    assert effect["result"] == wanted
    assert effect["event_id"] == "evt_01"


@over(*ALL)
def test_a_result_as_large_as_a_pipeline_may_give_arrives_whole(end, outgoing, now):
    large = "größe " * 150_000
    play(end, lambda sink: sink.send(outgoing(result=large), now=now))
    (effect,) = end.effects()
    if isinstance(end, ChatEnd):
        assert len(f"{effect['id']} {effect['result']}") == 2000
        assert effect["result"].endswith("…")
    else:
        assert effect["result"] == large


@over(*ALL)
def test_deliveries_at_once_all_arrive(end, outgoing, now):
    async def scenario(sink):
        await asyncio.gather(*(sink.send(outgoing(delivery_id=f"dlv_{n:02}"), now=now) for n in range(20)))

    play(end, scenario)
    assert ids(end) == [f"dlv_{n:02}" for n in range(20)]


@over(*ALL)
def test_a_result_that_is_no_json_is_permanent_and_has_no_effect(end, outgoing, now):
    failures = [play(end, lambda sink: sink.send(outgoing(delivery_id="dlv_00"), now=now))]

    async def scenario(sink):
        with pytest.raises(Failure, match="is not JSON") as caught:
            await sink.send(outgoing(result=float("nan")), now=now)
        failures.append(caught.value.klass)

    play(end, scenario)
    assert failures[1] == "permanent"
    assert ids(end) == ["dlv_00"]


@over(*ALL)
def test_a_closed_sink_keeps_no_thread_and_may_be_closed_again(end, outgoing, now):
    async def scenario(sink):
        await sink.send(outgoing(), now=now)
        await sink.aclose()

    play(end, scenario)
    until = time.monotonic() + 5
    while any(thread.name.startswith("sink-it") for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert ids(end) == ["dlv_01"]


@over("sqlite", "postgres")
def test_of_a_repeated_row_only_the_time_changes(end, outgoing, now):
    async def scenario(sink):
        await sink.send(outgoing(), now=now)
        before = end.effects()
        await sink.send(outgoing(attempt=2), now=now)
        return before

    assert (
        play(end, scenario)
        == end.effects()
        == [
            {
                "id": "dlv_01",
                "kind": "hookmill.result",
                "event_id": "evt_01",
                "source": "blog",
                "pipeline": "comment-sentiment",
                "generation": 1,
                "degraded": 0 if isinstance(end, SqliteEnd) else False,
                "result": {"label": "schön"},
            }
        ]
    )


@over("folder", "s3")
def test_an_object_is_what_a_webhook_would_get(end, outgoing, now):
    play(end, lambda sink: sink.send(outgoing(), now=now))
    assert end.effects() == [json.loads(outgoing().body())]
