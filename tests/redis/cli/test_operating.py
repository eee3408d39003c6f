from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.anyio


async def test_check_is_well_after_init(hookmill, site):
    assert (site / "hookmill.toml").exists()
    code, out, err = hookmill("check")
    assert (code, err) == (0, "")
    assert out.endswith("All is well.\n")
    assert out.count("✓") == 6
    result = json.loads(hookmill("check", "--json")[1])
    assert result["ok"]
    assert all(check["fault"] is None for check in result["checks"])


async def test_check_offline_needs_no_redis(hookmill, site):
    assert site.is_dir()
    nowhere = "redis://127.0.0.1:1/0"
    assert hookmill("check", "--offline", HOOKMILL_REDIS_URL=nowhere)[0] == 0
    code, _, err = hookmill("check", HOOKMILL_REDIS_URL=nowhere)
    assert code == 2
    assert "no Redis answers at redis://127.0.0.1:1/0" in err


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("limit ", "limt ", "sources.blog.limt: unknown key; did you mean 'limit'?"),
        ('"comment-sentiment"', '"coment-sentiment"', "'coment-sentiment'; did you mean 'comment-sentiment'?"),
        ('"comment-sentiment"', '"app.py:triage"', "sources.blog.pipeline: there is no file app.py"),
        ('path = "results', 'path = "hookmill.toml/results', "sinks.results.path: cannot write in"),
        ("allow_private = true", "allow_private = false", "sinks.n8n.url: a private address; set allow_private = true"),
        ("file:secrets/blog", "file:secrets/blg", "does not exist"),
    ],
)  # fmt: skip
async def test_check_names_each_fault_with_exit_code_2(hookmill, site, old, new, fault):
    config = site / "hookmill.toml"
    config.write_text(config.read_text().replace(old, new))
    code, out, err = hookmill("check")
    assert code == 2
    assert fault in err
    assert "All is well" not in out
    code, out, _ = hookmill("check", "--json")
    assert code == 2
    assert not json.loads(out)["ok"]


def test_check_says_which_extra_a_sink_needs(hookmill, environment, site):
    with (site / "hookmill.toml").open("a") as config:
        config.write('\n[sinks.rows]\nkind = "sql"\nurl = "sqlite:///rows.db"\n')
    assert hookmill("check", "--offline")[0] == 0
    # None is what Python keeps of a module that is not there.
    code = "import sys; sys.modules['sqlalchemy'] = None; from gateway.cli.main import main; main()"
    command = [sys.executable, "-c", code, "check", "--offline"]
    done = subprocess.run(command, env=environment, cwd=site, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "sinks.rows: kind 'sql' needs sqlalchemy: pip install 'hookmill[sql]'" in done.stderr


async def test_check_warns_of_a_budget_that_cannot_be_kept_exactly_and_is_well(hookmill, site):
    with (site / "hookmill.toml").open("a") as config:
        config.write("\n[budget]\nday = 1.0\n")
    assert hookmill("check", "--offline")[1].count("!") == 0, "the lexicon costs nothing"
    (site / "models.yaml").write_text("model_list: [{model_name: fast, litellm_params: {model: openai/gpt-4o-mini}}]")
    code, out, _ = hookmill("check", "--offline")
    assert (code, out.count("✗")) == (0, 0)
    assert "! budgets\n  model fast has no max_tokens: an answer may cost more than was reserved for it" in out
    told = json.loads(hookmill("check", "--offline", "--json")[1])
    assert told["ok"]
    assert [check["what"] for check in told["checks"] if check["warning"]] == ["budgets"]


async def test_check_sees_both_files_at_once(hookmill, site):
    (site / "hookmill.toml").write_text("[sources")
    (site / "models.yaml").write_text("model_list: 3")
    code, _, err = hookmill("check")
    assert code == 2
    assert "hookmill.toml: line 1" in err
    assert "models.yaml: model_list" in err


async def test_a_token_is_shown_once_and_kept_as_its_digest(hookmill, ledger):
    code, out, _ = hookmill("token", "create", "grafana", "--scope", "read,admin", "--expires", "30d")
    token = out.strip()
    assert code == 0
    assert token.startswith("hm_")
    digest = hashlib.sha256(token.encode()).hexdigest()
    now = datetime.now(UTC)
    assert await ledger.token(digest, now=now) == ("read", "admin")
    assert await ledger.token(digest, now=now + timedelta(days=31)) is None
    listed = hookmill("token", "list")[1]
    assert "grafana" in listed
    assert token not in listed
    (kept,) = json.loads(hookmill("token", "list", "--json")[1])
    assert kept["scopes"] == ["read", "admin"]


async def test_a_revoked_token_is_invalid(hookmill, ledger):
    token = hookmill("token", "create", "grafana")[1].strip()
    assert hookmill("token", "revoke", "grafana", stdin="n\n")[0] == 1
    assert hookmill("token", "revoke", "grafana", "--yes")[0] == 0
    assert await ledger.token(hashlib.sha256(token.encode()).hexdigest(), now=datetime.now(UTC)) is None


async def test_token_names_are_unique(hookmill):
    assert hookmill("token", "create", "grafana")[0] == 0
    code, out, err = hookmill("token", "create", "grafana")
    assert (code, out) == (2, "")
    assert "there is a token 'grafana' already" in err


async def test_pause_and_resume(hookmill, ledger, site):
    assert site.is_dir()
    assert hookmill("pause", "sink", "n8n")[0] == 0
    assert hookmill("pause", "pipeline", "comment-sentiment")[0] == 0
    assert await ledger.paused() == {"sink:n8n", "pipeline:comment-sentiment"}
    assert hookmill("resume", "sink", "n8n") == (0, "Sink n8n goes on.\n", "")
    assert hookmill("resume", "sink", "n8n") == (0, "Sink n8n was not paused.\n", "")


async def test_an_event_is_cancelled_once(hookmill, ledger, admission):
    (verdict,) = await ledger.admit([admission()])
    assert hookmill("events", "cancel", verdict.event_id)[:2] == (0, f"{verdict.event_id} is cancelled\n")
    assert hookmill("events", "cancel", verdict.event_id)[:2] == (
        1,
        f"{verdict.event_id} is over already: left alone\n",
    )
    code, out, _ = hookmill("events", "cancel", "evt_nothing", "--json")
    assert (code, json.loads(out)) == (1, [{"id": "evt_nothing", "answer": "gone"}])
    assert "was discarded" in hookmill("why", verdict.event_id)[1]


async def test_schedules_are_listed_with_what_comes_next(hookmill, site):
    assert hookmill("schedules")[:2] == (
        0,
        "There are no schedules: [schedules.NAME] in hookmill.toml declares one.\n",
    )
    with (site / "hookmill.toml").open("a") as config:
        config.write('[schedules.pulse]\nsource = "blog"\nevery = "5m"\n')
        config.write('[schedules.yearly]\nsource = "blog"\ncron = "0 3 1 1 *"\ntimezone = "Europe/Berlin"\n')
    code, out, _ = hookmill("schedules")
    assert code == 0
    assert out.splitlines()[0].startswith("pulse: every 5 min, for blog; next 2")
    assert out.splitlines()[1].startswith("yearly: 0 3 1 1 * Europe/Berlin, for blog; next 2")
    rows = json.loads(hookmill("schedules", "--json")[1])
    assert [row["name"] for row in rows] == ["pulse", "yearly"]
    assert rows[1]["next"].endswith("-01-01T02:00:00Z")


async def test_a_lane_that_there_is_not_is_one_clear_line(hookmill):
    code, _, err = hookmill("worker", "--lanes", "high,medium")
    assert (code, err) == (2, "--lanes: there is no lane 'medium'; there are high, normal, low, deliveries\n")


async def test_what_left_the_configuration_can_still_be_resumed(hookmill, ledger, site):
    assert site.is_dir()
    await ledger.pause("source", "gone")
    assert hookmill("resume", "source", "gone")[0] == 0
    assert hookmill("resume", "source", "gone")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pause", "source", "blgo"), "unknown source 'blgo'; did you mean 'blog'?"),
        (("pause", "surce", "blog"), "'surce' is not one of"),
        (("resume", "sink", "nn8n"), "unknown sink 'nn8n'; did you mean 'n8n'?"),
        (("send", "blogg", "example.json"), "unknown source 'blogg'; did you mean 'blog'?"),
        (("send", "blog", "nothing.json"), "nothing.json: no such file or directory"),
        (("send", "blog", "example.json", "--url", "ftp://x"), "--url: expected http://"),
        (("send", "blog", "example.json", "--url", "http://127.0.0.1:1"), "no gateway at http://127.0.0.1:1"),
        (("send", "blog", "example.json", "--id", "ü"), "source blog: event_id: "),
        (("token", "create", "x", "--scope", "wrte"), "unknown scope 'wrte'; known: admin, read, replay"),
        (("token", "create", "x", "--expires", "soon"), "--expires: expected a duration"),
        (("token", "revoke", "x", "--yes"), "unknown token 'x'; known: none"),
        (("dead", "replay"), "give ids, or --all, or a filter"),
        (("dead", "discard", "--limit", "3"), "give ids, or --all, or a filter"),
        (("dead", "replay", "evt_1", "--all"), "give either ids, or --all and filters"),
        (("dead", "replay", "evt_1", "--source", "blog"), "give either ids, or --all and filters"),
        (("dead", "list", "--since", "yesterday"), '--since: expected "2h" (ago), or an instant'),
        (("audit", "--until", "2026-12-01"), '--until: expected "2h" (ago), or an instant'),
        (("audit", "--what", "nothing"), "'nothing' is not one of"),
        (("events", "list", "--state", "dying"), "'dying' is not one of"),
        (("init",), "already there: hookmill.toml"),
        (("evnts",), "No such command 'evnts'"),
    ],
)  # fmt: skip
async def test_bad_input_is_a_clear_line_and_exit_code_2(hookmill, site, arguments, said):
    assert site.is_dir()
    code, out, err = hookmill(*arguments)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize("command", [("stats",), ("events", "list"), ("why", "evt_1"), ("dead", "list", "--json")])
async def test_without_redis_there_is_one_line_without_the_password(hookmill, command):
    code, out, err = hookmill(*command, HOOKMILL_REDIS_URL="redis://:hunter2@127.0.0.1:1/0")
    assert (code, out) == (2, "")
    assert err == "no Redis answers at 127.0.0.1:1/0 (ConnectionError)\n"


@pytest.mark.parametrize("command", [("gateway",), ("worker",), ("up",), ("send", "blog", "-")])
async def test_without_a_configuration_nothing_starts(hookmill, command):
    code, out, err = hookmill(*command)
    assert (code, out) == (2, "")
    assert err == "hookmill.toml: not found; `hookmill init` writes one\n"


async def test_version_and_help(hookmill):
    code, out, _ = hookmill("--version")
    assert (code, out.split()[0]) == (0, "hookmill")
    for command in ((), ("events",), ("dead",), ("token",), ("send",), ("up",)):
        code, out, _ = hookmill(*command, "--help")
        assert code == 0
        assert "hookmill" in out


def test_help_imports_nothing_heavy(environment, tmp_path):
    code = (
        "import sys, gateway.cli.main\n"
        "heavy = {'redis', 'httpx', 'rich', 'pydantic', 'litellm', 'actors', 'uvicorn', 'asyncio', 'yaml'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
