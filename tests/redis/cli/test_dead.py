"""Many dead letters at once, and who did what."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import pty
import signal
import socket
import sys

import pytest

from gateway.ledger.keys import key

pytestmark = pytest.mark.anyio
ME = f"cli:{getpass.getuser()}@{socket.gethostname()}"


@pytest.fixture
def bury(ledger, begun):
    async def make(count=1, *, error_class="permanent", step="label", **rules):
        works = [await begun(**{"concurrency": 10_000, **rules}) for _ in range(count)]
        for work in works:
            await ledger.bury(work, reason="no", error_class=error_class, step=step)
        return [work.id for work in works][::-1]

    return make


async def test_letters_are_listed_by_every_filter(hookmill, bury):
    (one,) = await bury(source="a", pipeline="p", step="draw", error_class="crash")
    (two,) = await bury(source="b")
    for given in ("--pipeline p", "--step draw", "--class crash", "--until 1ms --source a"):
        assert [view["id"] for view in json.loads(hookmill("dead", "list", *given.split(), "--json")[1])] == [one]
    assert [view["id"] for view in json.loads(hookmill("dead", "list", "--since", "1h", "--json")[1])] == [two, one]
    assert hookmill("dead", "list", "--sink", "n8n") == (0, "There are no such dead letters.\n", "")
    assert hookmill("dead", "list", "--since", "2026-01-01T00:00:00+01:00")[0] == 0


async def test_a_dry_run_counts_and_shows_the_first(hookmill, ledger, bury):
    letters = await bury(13)
    code, out, _ = hookmill("dead", "discard", "--class", "permanent", "--dry-run")
    assert code == 0
    assert out.endswith("13 dead letters would be discarded (3 more than shown).\n")
    assert [one for one in letters if one in out] == letters[:10]
    assert json.loads(hookmill("dead", "replay", letters[0], "evt_nobody", "--dry-run", "--json")[1])["count"] == 1
    assert (await ledger.stats()).dead == 13
    assert await ledger.audit() == []


async def test_a_bulk_replays_what_passes_up_to_its_limit(hookmill, ledger, bury):
    letters = await bury(5, source="a")
    await bury(2, source="b")
    assert hookmill("dead", "replay", "--source", "a", "--limit", "3", "--yes")[:2] == (
        0,
        "3 dead letters are replayed.\n",
    )
    assert [view.state for view in await ledger.briefs(letters)] == ["queued"] * 3 + ["dead"] * 2
    assert hookmill("dead", "replay", "--all", "--yes", "--scratch")[1] == "4 dead letters are replayed.\n"
    assert hookmill("dead", "replay", "--all", "--yes")[:2] == (0, "There are no dead letters to replay.\n")
    scratch, replay = await ledger.audit()
    assert (replay.who, replay.what, replay.on, replay.count) == (ME, "replay", "source=a", 3)
    assert (scratch.what, scratch.on, scratch.count) == ("scratch", "all", 4)


async def test_a_bulk_discards_after_it_has_asked(hookmill, ledger, bury):
    await bury(3)
    code, out, err = hookmill("dead", "discard", "--all", stdin="n\n")
    assert (code, out.strip()) == (1, "")
    assert "Discard 3 dead letters for good?" in err
    code, out, _ = hookmill("dead", "discard", "--all", stdin="y\n")
    assert (code, out.strip()) == (0, "3 dead letters are discarded.")
    assert (await ledger.stats()).dead == 0


async def test_what_a_bulk_skipped_is_told(hookmill, ledger, bury):
    one, _ = await bury(2)
    await ledger.redis.delete(key("event", one))
    assert hookmill("dead", "replay", "--all", "--yes")[:2] == (1, "1 dead letter is replayed; skipped: 1 gone.\n")


async def test_discarded_letters_are_kept_as_long_as_the_configuration_says(hookmill, ledger, bury, site):
    with (site / "hookmill.toml").open("a") as config:
        config.write('\n[retention]\nkeep = "1h"\n')
    one, two = await bury(2)
    assert hookmill("dead", "discard", one, "--yes")[0] == hookmill("dead", "discard", "--all", "--yes")[0] == 0
    assert [0 < await ledger.redis.ttl(key("work", letter)) <= 3600 for letter in (one, two)] == [True, True]


async def test_show_tells_how_long_a_letter_is_kept(hookmill, bury):
    (one,) = await bury()
    assert "UTC, for 29 d 23 h" in hookmill("dead", "show", one)[1]


async def run(environment, folder, *arguments, stderr=asyncio.subprocess.PIPE):
    command = [sys.executable, "-m", "gateway.cli.main", *arguments]
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=stderr, cwd=folder, env=environment
    )


async def until_waiting(ledger, number):
    """Wait until a bulk has filled the backlog, and so waits itself."""
    for _ in range(600):
        if await ledger.redis.llen(key("backlog", "source:blog")) >= number:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the bulk did not begin")


async def test_ctrl_c_ends_a_bulk_in_good_order(environment, tmp_path, ledger, bury):
    await bury(1020)
    await ledger.pause("source", "blog")  # so that the backlog fills, and the bulk is sure to be under way
    bulk = await run(environment, tmp_path, "dead", "replay", "--all", "--yes", "--json")
    await until_waiting(ledger, 1000)
    bulk.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(bulk.communicate(), 20)
    assert (bulk.returncode, err) == (130, b"")
    done = {"action": "replay", "filter": "all", "count": 1000, "skipped": {}, "stopped": True}
    assert json.loads(out) == done
    assert (await ledger.stats()).dead == 20
    assert [(one.what, one.count) for one in await ledger.audit()] == [("replay", 1000)]


async def test_a_bulk_goes_on_when_the_backlog_has_room_again(environment, tmp_path, ledger, bury):
    await bury(1010)
    await ledger.pause("source", "blog")
    bulk = await run(environment, tmp_path, "dead", "replay", "--all", "--yes")
    await until_waiting(ledger, 1000)
    await ledger.resume("source", "blog")
    out, _ = await asyncio.wait_for(bulk.communicate(), 20)
    assert (bulk.returncode, out) == (0, b"1010 dead letters are replayed.\n")
    assert (await ledger.stats()).dead == 0


async def test_a_terminal_shows_how_far_a_bulk_is(environment, tmp_path, ledger, bury):
    await bury(30)
    ours, theirs = pty.openpty()
    bulk = await run(environment | {"TERM": "xterm"}, tmp_path, "dead", "discard", "--all", "--yes", stderr=theirs)
    out, _ = await asyncio.wait_for(bulk.communicate(), 20)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert out == b"30 dead letters are discarded.\n"
    assert "30 discarded, 0 skipped" in shown
    assert "30/30" in shown
    assert (await ledger.stats()).dead == 0


async def test_the_trail_says_who_did_what(hookmill, bury, site):
    assert site.is_dir()
    one, two = await bury(2)
    assert hookmill("audit") == (0, "Nothing of that kind was done.\n", "")
    hookmill("dead", "replay", one)
    hookmill("dead", "discard", two, "--yes")
    hookmill("pause", "sink", "n8n")
    hookmill("events", "replay", one, "--scratch")  # busy: nothing was done
    told = json.loads(hookmill("audit", "--json")[1])
    assert [(entry["who"], entry["what"], entry["on"], entry["count"]) for entry in told] == [
        (ME, "pause", "sink:n8n", 1),
        (ME, "discard", two, 1),
        (ME, "replay", one, 1),
    ]
    assert [entry["on"] for entry in json.loads(hookmill("audit", "--what", "discard", "--json")[1])] == [two]
    assert json.loads(hookmill("audit", "--who", "token:t", "--json")[1]) == []
    assert json.loads(hookmill("audit", "--until", "1h", "--json")[1]) == []
    _, table, _ = hookmill("audit", "--limit", "1")
    assert "sink:n8n" in table
    assert two not in table
