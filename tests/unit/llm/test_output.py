"""Answers are checked by pydantic; what is said of them outside holds no content."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel

from actors.llm import output


class Mood(BaseModel, extra="forbid"):
    mood: Literal["good", "bad"]


@pytest.mark.parametrize("text", ['{"mood":"good"}', ' {"mood": "good"}\n', '```json\n{"mood":"good"}\n```'])
def test_json_is_read_also_out_of_a_fence(text):
    assert output.read(text, into=Mood) == Mood(mood="good")


@pytest.mark.parametrize("into", [None, str])
def test_text_is_taken_as_it_is(into):
    assert output.read('{"mood"', into=into) == '{"mood"'
    assert output.schema_of(into) is None


def test_anything_pydantic_takes_can_be_asked_for():
    assert output.read("[1, 2]", into=list[int]) == [1, 2]
    assert output.schema_of(list[int]) == {"type": "array", "items": {"type": "integer"}}


def test_a_misfit_tells_the_model_where_and_everybody_else_only_what():
    with pytest.raises(output.Misfit) as misfit:
        output.read('{"mood": "secret", "private": 1}', into=Mood)
    assert str(misfit.value) == "extra_forbidden, literal_error"
    assert "- mood: Input should be 'good' or 'bad'" in misfit.value.complaint
    assert "secret" not in misfit.value.complaint


@pytest.mark.parametrize("text", ["", "no json", "```", '{"mood":"good"', "null"])
def test_what_is_no_such_json_is_a_misfit(text):
    with pytest.raises(output.Misfit):
        output.read(text, into=Mood)
