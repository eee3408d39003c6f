"""A pipeline out of somebody else's package: built, installed, named in the configuration, worked, delivered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stack import Stack, until

SOURCE = Path(__file__).parents[1] / "plugin_example"
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Give a folder with the installed package, to be laid over the environment of the tests by PYTHONPATH."""
    package, target = tmp_path_factory.mktemp("plugin") / "package", tmp_path_factory.mktemp("installed")
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--offline", "--no-cache", "--no-deps", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([UV, "pip", "install", "--quiet", *options, "--target", target, package], cwd=package, check=True)
    assert next(target.glob("hookmill_tally-*.dist-info/entry_points.txt"))
    return target


@pytest.fixture
def make_stack(tmp_path, module_redis, installed):
    stacks = []

    def make(pipeline):
        paths = os.pathsep.join(filter(None, (str(installed), os.environ.get("PYTHONPATH"))))
        stacks.append(Stack(tmp_path, module_redis.url, pipeline=pipeline, env={"PYTHONPATH": paths}))
        return stacks[-1]

    yield make
    for stack in stacks:
        stack.__exit__()


def check(stack):
    """Run `hookmill check` over the stack's configuration."""
    command = [sys.executable, "-m", "gateway.cli.main", "check"]
    return subprocess.run(command, cwd=stack.folder, env=stack.env, capture_output=True, text=True, check=False)


def test_an_installed_plugin_works_events_and_its_result_is_delivered(make_stack):
    stack = make_stack("tally")
    checked = check(stack)
    assert checked.returncode == 0, checked.stderr
    assert "✓ pipeline tally of source blog (hookmill_tally:tally)" in checked.stdout
    stack.start_gateway()
    stack.start_worker()
    text = "one two three\n\n one two three four \nfive"
    event_id = stack.post(json.dumps({"text": text}).encode()).json()["event_id"]
    (copies,) = until(lambda: list(stack.delivered.values()))
    assert copies[0]["event_id"] == event_id
    assert copies[0]["pipeline"] == "tally"
    assert copies[0]["result"] == {"words": 8, "longest": "one two three four"}
    view = stack.show(event_id)
    assert [step.name for step in view.steps] == ["split", "count", "count", "count", "sum-up"]
    discarded = stack.post(b'{"text": 7}').json()["event_id"]
    assert until(lambda: stack.show(discarded).state == "discarded")
    assert stack.show(discarded).reason == "the event has no text"


def test_a_misspelt_plugin_is_refused_with_the_nearest_match(make_stack):
    checked = check(make_stack("taly"))
    assert checked.returncode == 2
    assert "sources.blog.pipeline: unknown pipeline 'taly'; did you mean 'tally'?" in checked.stderr


def test_without_the_package_its_pipeline_is_unknown(make_stack):
    stack = make_stack("tally")
    stack.more.clear()
    checked = check(stack)
    assert checked.returncode == 2
    assert "unknown pipeline 'tally'; known: comment-sentiment" in checked.stderr
