"""A replicated Redis: the ledger follows the primary, and may wait until replicas have what it admits."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from faults.proxy import Proxy
from programs import servers
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from replicas import NAME, Replicas
from stack import until

from gateway.ledger import LedgerDown, ReplicasLate, open_ledger
from gateway.ledger.event import Wait
from gateway.ledger.lanes import Lanes

pytestmark = pytest.mark.anyio
WAIT = Wait(replicas=1, within=timedelta(milliseconds=200))


@pytest.fixture(scope="module", params=servers())
def replicas(request, tmp_path_factory):
    with Replicas(tmp_path_factory.mktemp("replicas"), replicas=1, binary=servers()[request.param]) as started:
        yield started


@pytest.fixture
async def waiting(replicas):
    opened = await open_ledger(replicas.url, wait=WAIT)
    await opened.redis.flushall()
    yield opened
    await opened.close()


async def patiently(call, within=20.0):
    """Repeat it while Redis does not answer, as a sender, a sweeper or a consumer does."""
    ends = asyncio.get_running_loop().time() + within
    while asyncio.get_running_loop().time() < ends:
        with suppress(LedgerDown):
            return await call()
        await asyncio.sleep(0.1)
    return await call()


async def test_an_event_is_admitted_once_a_replica_has_it(replicas, waiting, admission):
    (verdict,) = await waiting.admit([admission()])
    assert verdict.outcome == "accepted"
    with Redis.from_url(replicas.replicas[0].url) as replica:
        assert replica.keys(f"*:work:{verdict.event_id}")


async def test_a_primary_is_ready_while_its_replicas_follow(replicas, waiting):
    assert abs(await waiting.ping()) < timedelta(seconds=5)
    replicas.cut()
    with pytest.raises(ReplicasLate, match="0 of 1 replicas follow"):
        await waiting.ping()
    replicas.heal()
    await waiting.ping()


async def test_what_no_replica_has_is_not_admitted_nor_answered_as_a_duplicate(replicas, waiting, admission):
    event = admission()
    replicas.cut()
    for _ in range(2):
        with pytest.raises(ReplicasLate, match="0 of 1 replicas had it in time"):
            await waiting.admit([event])
    replicas.heal()
    (verdict,) = await waiting.admit([event])
    assert (verdict.outcome, verdict.event_id) == ("duplicate", event.event.id)


async def test_replicas_are_waited_for_where_a_server_forgot_the_scripts(replicas, waiting, admission):
    replicas.cut()
    with Redis.from_url(replicas.primary.url) as primary:
        primary.script_flush()
    with pytest.raises(LedgerDown, match="0 of 1 replicas"):
        await waiting.admit([admission()])
    replicas.heal()


async def test_ledger_and_lanes_follow_the_primary(replicas, waiting, admission):
    lanes = Lanes(replicas.url, block=timedelta(milliseconds=50))
    (before,) = await waiting.admit([admission()])
    assert await asyncio.to_thread(lanes.pop, ["high"]) == []
    old, event = replicas.primary, admission()
    with Redis(port=replicas.ports[0]) as sentinel:
        sentinel.execute_command("SENTINEL FAILOVER", NAME)
    await asyncio.to_thread(until, lambda: replicas.primary is not old)
    (after,) = await patiently(lambda: waiting.admit([event]))
    assert after.event_id == event.event.id
    popped = [await patiently(lambda: asyncio.to_thread(lanes.pop, ["normal"])) for _ in range(2)]
    assert popped == [[("normal", before.event_id)], [("normal", after.event_id)]]
    lanes.close()


@pytest.fixture
def address():
    """An address that may move: what is open stays with the old server, what is opened goes to the new one."""
    proxy = Proxy()
    yield proxy
    proxy.close()


@pytest.mark.parametrize("change", ["replica", "alone"])
async def test_a_server_that_is_no_primary_any_more_is_left(address, own_redis, admission, change):
    old, new = own_redis(), own_redis()
    address.target = old.server.address.port
    ledger, lanes = await open_ledger(address.redis_url), Lanes(address.redis_url, block=timedelta(milliseconds=50))
    await ledger.admit([admission()])
    await asyncio.to_thread(lanes.pop, ["normal"])
    with Redis.from_url(old.url) as client:
        if change == "replica":
            client.replicaof("127.0.0.1", str(new.server.address.port))
        else:  # so does a primary whose replicas another one has now
            client.config_set("min-replicas-to-write", 1)
    address.target = new.server.address.port
    for call in (
        lambda: ledger.admit([admission()]),
        lambda: ledger.sweep("worker"),
        lambda: asyncio.to_thread(lanes.pop, ["normal"]),
    ):
        with suppress(LedgerDown):
            await call()
        await call()
    lanes.close()
    await ledger.close()


async def test_no_answer_of_a_new_connection_is_taken_for_one_that_the_old_one_owed(ledger):
    """The connection is reset after an answer arrived, and before it was read."""
    pipe = ledger.scripts._pipe
    echo, blocks = b"*2\r\n$4\r\nECHO\r\n$1\r\n%d\r\n", b"*3\r\n$5\r\nBLPOP\r\n$4\r\nnone\r\n$1\r\n5\r\n"
    await pipe.send(echo % 0)
    first, second = pipe.send(echo % 1), pipe.send(blocks)
    time.sleep(0.2)  # noqa: ASYNC251 - the loop stands still, so that the first answer waits in the socket
    for _ in range(2):
        await asyncio.sleep(0)  # the answer is fetched from the socket; who waits for it comes after us
    pipe._line._transport.abort()
    third = pipe.send(echo % 2)
    answers = await asyncio.gather(first, second, third, return_exceptions=True)
    assert (answers[0], answers[2]) == ([b"1"], [b"2"])
    assert isinstance(answers[1], RedisConnectionError)
