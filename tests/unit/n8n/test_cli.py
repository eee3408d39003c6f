"""`hookmill n8n`: one clear line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.faults import Fault
from gateway.cli.n8n import app
from gateway.n8n.deploy import called_first
from gateway.n8n.lint import read_workflow

FOLDER = Path(__file__).parents[3] / "n8n-workflows"


def hookmill(*arguments, **env):
    return CliRunner().invoke(app, [str(one) for one in arguments], env=env, catch_exceptions=True)


def test_check_says_that_all_is_well():
    ended = hookmill("check", "--dir", FOLDER, "--json")
    assert (ended.exit_code, json.loads(ended.stdout)["ok"]) == (0, True)


def test_check_says_what_is_wrong_and_write_mends_the_form(tmp_path):
    for path in FOLDER.glob("*.json"):
        (tmp_path / path.name).write_text(json.dumps(json.loads(path.read_text())))
    ended = hookmill("check", "--dir", tmp_path)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "setup.json: not in the form that pull writes" in ended.stderr
    assert hookmill("check", "--dir", tmp_path, "--write").exit_code == 0
    assert (tmp_path / "setup.json").read_text() == (FOLDER / "setup.json").read_text()


PLACE = 'command = ["no-such-n8n"]\n[credentials]\n'
WRONG = {
    ("push", "setup"): "credential 'hookmillSmtp' is not in the place's file (and ",  # a folder is well, or it is not
    ("pull", "setup"): "there is no command 'no-such-n8n'; say in n8n.toml how n8n is called",
    ("pull", "setpu"): "unknown workflow 'setpu'; did you mean 'setup'?",
}


@pytest.mark.parametrize("asked", WRONG)
def test_what_is_wrong_is_one_line(tmp_path, asked):
    (tmp_path / "n8n.toml").write_text(PLACE)
    ended = hookmill(*asked, "--dir", FOLDER, "--place", tmp_path / "n8n.toml")
    assert isinstance(ended.exception, Fault)
    assert WRONG[asked] in str(ended.exception)
    assert "\n" not in str(ended.exception)


def test_a_place_that_is_not_there_is_named(tmp_path):
    ended = hookmill("push", "setup", "--dir", FOLDER, "--place", tmp_path / "none.toml")
    assert isinstance(ended.exception, Fault)
    assert str(ended.exception).startswith(f"{tmp_path / 'none.toml'}: not found")


def test_what_is_called_is_published_first():
    workflows = list(map(read_workflow, FOLDER.glob("*.json")))
    ordered = [one["name"].removeprefix("Hookmill / ") for one in called_first(workflows)]
    places = [ordered.index(name) for name in ("review-dead-letter", "alert-dead-letters", "notify-result")]
    assert places == sorted(places)
    assert len(ordered) == len(set(ordered)) == 11
