"""Calls share one connection: answers come in order, and who waits for one is always told how it ended."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import threading
from contextlib import suppress

import pytest
import uvloop

from gateway.ledger import LedgerDown, open_ledger
from gateway.ledger.connection import connect
from gateway.ledger.scripts import Scripts

pytestmark = pytest.mark.anyio


async def test_each_of_many_calls_at_once_gets_its_own_answer(ledger, admission):
    verdicts = await ledger.admit([admission() for _ in range(20)])
    ids = [verdict.event_id for verdict in verdicts]
    begun = await asyncio.gather(*(ledger.begin(one, fence=one) for one in ids))
    assert [one.work.id for one in begun] == ids


async def test_one_that_gives_up_waiting_does_not_shift_the_answers(ledger, admission):
    first, second = [one.event_id for one in await ledger.admit([admission(), admission()])]
    given_up = asyncio.create_task(ledger.begin(first, fence="a"))
    kept = asyncio.create_task(ledger.begin(second, fence="b"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert (await kept).work.id == second


async def test_who_waits_when_the_ledger_is_closed_is_told(redis_url, ledger):
    closing = await open_ledger(redis_url)
    await ledger.redis.client_pause(500)
    waiting = asyncio.create_task(closing.begin("evt_none", fence="a"))
    await asyncio.sleep(0.05)
    await closing.close()
    with pytest.raises(LedgerDown):
        await asyncio.wait_for(waiting, timeout=5)


def hang_up(listening):
    """Take each connection, and end it at once or a moment later."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Timer(random.choice([0, 0.0002, 0.0005, 0.001]), connection.close).start()


def test_a_server_that_hangs_up_at_any_moment_is_down_and_nothing_else():
    complaints = []

    async def call(scripts):
        with pytest.raises(LedgerDown):
            await asyncio.wait_for(scripts.send("pause", "x"), 5)
        with pytest.raises(LedgerDown):
            await asyncio.wait_for(scripts("pause", "x"), 5)

    async def many(port):
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        scripts = Scripts(connect(f"redis://127.0.0.1:{port}/0", seconds=2))
        for _ in range(150):
            await asyncio.gather(*(call(scripts) for _ in range(5)))
        await scripts.close()
        gc.collect()  # a task that nobody waits for complains when it is forgotten
        await asyncio.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=hang_up, args=(listening,), daemon=True).start()
        uvloop.run(many(listening.getsockname()[1]))
    assert complaints == []


def answer_with(words, listening):
    """Take one connection; every command is answered with +OK, a script's call with those words."""
    connection, _ = listening.accept()
    with connection, suppress(ConnectionError):
        while told := connection.recv(65536):
            connection.sendall(words if b"EVALSHA" in told else b"+OK\r\n" * told.count(b"\r\nSETINFO\r\n"))


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(b"", id="silent"),
        pytest.param(b"$500\r\nhal", id="stops in the middle"),
        pytest.param(b"nonsense\r\n", id="not RESP"),
        pytest.param(b"-LOADING Redis is loading the dataset in memory\r\n", id="loading"),
        pytest.param(b"-READONLY You can't write against a read only replica.\r\n", id="a replica"),
    ],
)
def test_a_server_that_does_not_answer_as_it_should_is_down_within_the_deadline(words):
    async def call(port):
        scripts = Scripts(connect(f"redis://127.0.0.1:{port}/0", seconds=0.5))
        both = await asyncio.wait_for(asyncio.gather(scripts("pause"), scripts("pause"), return_exceptions=True), 5)
        await scripts.close()
        return [type(one) for one in both]

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer_with, args=(words, listening), daemon=True).start()
        assert uvloop.run(call(listening.getsockname()[1])) == [LedgerDown, LedgerDown]


def test_an_answer_that_nobody_asked_for_ends_the_connection_and_nothing_else():
    async def call(port):
        scripts = Scripts(connect(f"redis://127.0.0.1:{port}/0", seconds=0.5))
        answers = [await asyncio.wait_for(scripts("pause"), 5)]
        with pytest.raises(LedgerDown):
            await asyncio.wait_for(scripts("pause"), 5)
        await scripts.close()
        return answers

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer_with, args=(b":1\r\n:2\r\n", listening), daemon=True).start()
        assert uvloop.run(call(listening.getsockname()[1])) == [1]
