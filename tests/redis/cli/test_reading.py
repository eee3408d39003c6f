from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.ledger import Account, Ended, Hold, Way

pytestmark = pytest.mark.anyio


async def bury(ledger, begun, **rules):
    work = await begun(**rules)
    await ledger.bury(work, reason="400 from gpt-mini", error_class="permanent", step="label")
    return work.id


async def postpone(ledger, begun):
    work = await begun(source="blog")
    await ledger.checkpoint(
        work, "redact", output=b'"x"', took=json.dumps({"name": "redact", "took": 0.35, "at": 1}), total=2
    )
    await ledger.postpone(
        work, timedelta(seconds=48), reason="429 from gpt-mini", error_class="rate_limited", counted=True, step="label"
    )
    return work.id


async def test_an_empty_ledger_lists_nothing(hookmill):
    assert hookmill("events", "list", "--json") == (0, "[]\n", "")
    assert hookmill("dead", "list")[1] == "There are no dead letters.\n"
    assert hookmill("stats", "--json")[0] == 0


async def test_events_are_listed_by_source_and_state(hookmill, ledger, admission):
    verdicts = await ledger.admit([admission(source="blog"), admission(source="shop")])
    code, out, _ = hookmill("events", "list", "--source", "shop", "--state", "queued", "--json")
    assert code == 0
    assert [view["id"] for view in json.loads(out)] == [verdicts[1].event_id]
    _, table, _ = hookmill("events", "list")
    assert all(verdict.event_id in table for verdict in verdicts)
    assert max(map(len, table.splitlines())) <= 100


async def test_show_tells_steps_and_what_it_waits_for(hookmill, ledger, begun):
    one = await postpone(ledger, begun)
    code, out, _ = hookmill("events", "show", one)
    assert code == 0
    assert "step 2 of 2 (label)" in out
    assert "350 ms" in out
    assert "a" * 32 in out  # the trace id
    view = json.loads(hookmill("events", "show", one, "--json")[1])
    assert (view["state"], view["steps_total"], view["steps"][0]["took"]) == ("waiting", 2, 0.35)


async def test_why_says_it_in_one_paragraph(hookmill, ledger, begun, site):
    assert site.is_dir()
    one = await postpone(ledger, begun)
    code, out, _ = hookmill("why", one)
    said = " ".join(out.split())
    assert code == 0
    assert f"{one} from blog is waiting: it failed at step label (rate_limited, attempt 1)" in said
    assert "Last error: 429 from gpt-mini." in said
    assert json.loads(hookmill("why", one, "--json")[1])["state"] == "waiting"


async def test_why_knows_what_is_paused(hookmill, ledger, admission):
    (verdict,) = await ledger.admit([admission()])
    await ledger.pause("pipeline", "triage")
    assert "`hookmill resume pipeline triage`" in " ".join(hookmill("why", verdict.event_id)[1].split())


@pytest.mark.parametrize("command", [("events", "show"), ("why",), ("dead", "show")])
async def test_an_unknown_id_is_exit_code_1(hookmill, command):
    code, out, err = hookmill(*command, "evt_nobody")
    assert (code, out) == (1, "")
    assert err == "evt_nobody: the ledger does not know it (never accepted, or over and forgotten)\n"


async def test_dead_letters_are_listed_shown_and_replayed(hookmill, ledger, begun):
    one = await bury(ledger, begun)
    _, table, _ = hookmill("dead", "list")
    assert one in table
    assert "permanent" in table
    assert hookmill("dead", "show", one)[0] == 0
    assert hookmill("dead", "replay", one) == (0, f"{one} is queued again\n", "")
    assert (await ledger.show(one)).state == "queued"
    assert hookmill("dead", "show", one)[0] == 1


async def test_a_dry_run_replays_nothing(hookmill, ledger, begun):
    ours = await bury(ledger, begun, source="blog")
    await bury(ledger, begun, source="shop")
    code, out, _ = hookmill("dead", "replay", "--all", "--source", "blog", "--dry-run")
    assert code == 0
    assert out.endswith("1 dead letter would be replayed.\n")
    told = json.loads(hookmill("dead", "replay", "--source", "blog", "--dry-run", "--json")[1])
    assert (told["count"], [view["id"] for view in told["first"]]) == (1, [ours])
    assert (await ledger.stats()).dead == 2


async def test_replaying_all_asks_first(hookmill, ledger, begun):
    await bury(ledger, begun)
    code, out, err = hookmill("dead", "replay", "--all", stdin="n\n")
    assert (code, out.strip()) == (1, "")
    assert "Replay 1 dead letter?" in err
    assert (await ledger.stats()).dead == 1
    code, out, _ = hookmill("dead", "replay", "--all", "--yes", "--json")
    done = {"action": "replay", "filter": "all", "count": 1, "skipped": {}, "stopped": False}
    assert (code, json.loads(out)) == (0, done)


async def test_discarding_asks_first_and_is_for_good(hookmill, ledger, begun):
    one = await bury(ledger, begun)
    assert hookmill("dead", "discard", one, stdin="\n")[0] == 1
    assert hookmill("dead", "discard", one, "--yes") == (0, f"{one} is discarded\n", "")
    assert hookmill("dead", "discard", one, "--yes") == (1, f"{one} is not a dead letter\n", "")
    assert (await ledger.stats()).dead == 0


async def test_replay_says_why_it_does_not(hookmill, ledger, admission):
    (verdict,) = await ledger.admit([admission()])
    code, out, _ = hookmill("events", "replay", verdict.event_id, "evt_nobody")
    assert code == 1
    assert f"{verdict.event_id} is queued or running already: left alone" in out
    assert "evt_nobody is not known to the ledger" in out


async def test_stats_show_groups_and_what_is_paused(hookmill, ledger, admission):
    await ledger.admit([admission(source="blog")])
    await ledger.pause("source", "blog")
    _, out, _ = hookmill("stats")
    assert "normal 1" in out
    assert "source blog" in out
    assert "1 of 20" in out
    assert json.loads(hookmill("stats", "--json")[1])["paused"] == ["source:blog"]


async def test_tail_follows_new_events_until_interrupted(environment, tmp_path, ledger, admission):
    import asyncio
    import signal
    import sys

    tail = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli.main", "events", "tail", "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=tmp_path, env=environment,
    )  # fmt: skip
    line = None
    for _ in range(20):  # it tells only what comes after it began to look
        (verdict,) = await ledger.admit([admission()])
        try:
            line = await asyncio.wait_for(tail.stdout.readline(), 1.5)
            break
        except TimeoutError:
            continue
    tail.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(tail.communicate(), 10)
    assert json.loads(line)["id"].startswith("evt_")
    assert verdict.event_id
    assert tail.returncode == 130
    assert b"Traceback" not in err


async def test_costs_show_days_as_bars_and_the_month_by_what_it_was_for(site, hookmill, ledger):
    now = datetime.now(UTC)
    with (site / "hookmill.toml").open("a") as toml:
        toml.write("\n[budget]\nday = 4.0\n")
    for day, cost in ((now, 2.0), (now - timedelta(days=3), 0.004), (now - timedelta(days=20), 99.0)):
        hold = Hold(
            id=f"{day}",
            day=day.strftime("%Y-%m-%d"),
            worst=0.0,
            accounts=(Account(name="all"), Account(name="source blog")),
            counted=("pipeline mood", "model gpt"),
        )
        await ledger.spending.settle(hold, cost)
    await ledger.spending.reserve(
        Hold(id="b", day=now.strftime("%Y-%m-%d"), worst=0.5, accounts=(Account(name="all"),), counted=())
    )
    code, out, _ = hookmill("costs", HOOKMILL_CONFIG=str(site / "hookmill.toml"), BLOG_SECRET="")
    lines = out.splitlines()
    assert (code, len([line for line in lines if "█" in line])) == (0, 2)
    assert lines[13] == f"{now:%Y-%m-%d}         $2.00  {'█' * 40}"
    assert "$0.004000  █" in out
    assert "today       $2.00 of $4.00 (50%), and $0.500000 reserved" in out
    assert all(name in out for name in ("blog", "mood", "gpt"))
    told = json.loads(hookmill("costs", "--days", "21", "--json")[1])
    assert told[(now - timedelta(days=20)).strftime("%Y-%m-%d")]["source blog"] == 99.0
    assert hookmill("costs", "--days", "63")[0] == 2


MODELS = """
model_list:
  - {model_name: gpt, litellm_params: {model: openai/gpt, api_key: sk-CANARY, rpm: 60}}
  - {model_name: lexicon, litellm_params: {model: local/lexicon}}
hookmill: {candidates: {gpt: {max_concurrent: 20, tpm: 90000}}}
"""


async def test_models_show_what_each_is_doing_against_its_limits_and_why_nobody_calls_it(hookmill, ledger, tmp_path):
    (tmp_path / "models.yaml").write_text(MODELS)
    way = Way(name="gpt", pool="gpt", concurrent=20, calls=60, tokens=90_000)
    for token in "ab":
        await ledger.slots.acquire(way, token=token, lease=timedelta(seconds=30), tokens=1000)
    await ledger.slots.release(way, token="a", ended=Ended(outcome="out", rest=timedelta(minutes=5)))
    code, out, _ = hookmill("models")
    assert code == 0
    assert all(shown in out for shown in ("1 of 20", "2 of 60", "2,000 of 90,000", "its key is no good"))
    assert "lexicon  not called yet" in out
    told = {one["name"]: one for one in json.loads(hookmill("models", "--json")[1])}
    assert told["gpt"]["limits"] == {"max_concurrent": 20, "rpm": 60, "tpm": 90_000}
    assert told["gpt"]["now"]["left_alone"].startswith("its key is no good; tried again in ")
    assert (told["lexicon"]["model"], told["lexicon"]["now"]) == ("local/lexicon", None)
    assert "CANARY" not in json.dumps(told)
