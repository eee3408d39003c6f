"""Pipelines are checked when they are declared, and one that cannot be had stops no other."""

from __future__ import annotations

import sys
import typing

import pytest

from actors.registry import PipelineError, Registry, pipeline

APP = """
from __future__ import annotations
from dataclasses import dataclass
from typing import Literal
from pydantic import BaseModel
from hookmill import Run, pipeline

@pipeline("triage", version=2, steps=("a", "b"))
async def triage(run: Run) -> int:
    return 1

@dataclass
class Kept:
    name: str

class Label(BaseModel):
    team: Literal["a", "b"]

def label() -> Label:
    return Label(team="a")

other = 7
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "broken.py").write_text("import no_such_module_anywhere")
    return tmp_path


def find(name, folder):
    return Registry([name], folder=folder).find(name)


def test_a_pipeline_is_found_in_a_file_beside_the_configuration(folder):
    found = find("app.py:triage", folder)
    assert (found.name, found.version, found.steps) == ("triage", 2, ("a", "b"))


def test_a_file_with_postponed_annotations_is_a_module_like_any_other(folder):
    module = sys.modules[find("app.py:triage", folder).work.__module__]
    assert module.Kept(name="x").name == "x"
    assert typing.get_type_hints(module.label)["return"](team="b").team == "b"


def test_the_built_in_pipeline_is_found_by_its_entry_point(folder):
    assert find("comment-sentiment", folder).steps == ("redact", "classify")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nothing.py:x", "there is no file"),
        ("app.py:nothing", "has no 'nothing'"),
        ("app.py:other", "is not made with @pipeline"),
        ("broken.py:x", "cannot be imported (ModuleNotFoundError"),
        ("no-such-pipeline", "is not installed; installed: comment-sentiment"),
    ],
)
def test_what_cannot_be_had_says_why_and_stops_no_other(folder, name, says):
    registry = Registry([name, "app.py:triage"], folder=folder)
    with pytest.raises(PipelineError) as error:
        registry.find(name)
    assert says in str(error.value)
    assert registry.find("app.py:triage")
    assert len(registry.errors()) == 1


def test_a_name_no_source_has_is_refused(folder):
    with pytest.raises(PipelineError, match="not configured"):
        Registry([], folder=folder).find("x")


def test_a_plain_function_is_no_pipeline():
    with pytest.raises(PipelineError, match="not an async function"):

        @pipeline("x")
        def work(run):
            return run


def test_a_pipeline_takes_one_argument():
    with pytest.raises(PipelineError, match="one argument"):

        @pipeline("x")
        async def work():
            return 1


def test_a_step_is_declared_once():
    with pytest.raises(PipelineError, match="twice"):

        @pipeline("x", steps=("a", "a"))
        async def work(run):
            return run
