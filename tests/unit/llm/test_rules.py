from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, StringConstraints

from actors.llm import output
from actors.llm.rules import without

Polite = Annotated[str, StringConstraints(max_length=40, pattern=r"^[A-Z]"), without("stupid", "shut up")]


class Reply(BaseModel):
    text: Polite


@pytest.mark.parametrize("text", ["Thank you.", "Shutting up shop", "Stupidity is no crime"])
def test_what_keeps_to_the_rules_is_taken(text):
    assert output.read(text, into=Polite) == text
    assert output.read(Reply(text=text).model_dump_json(), into=Reply) == Reply(text=text)


@pytest.mark.parametrize(
    ("text", "kind", "complaint"),
    [
        ("That is STUPID.", "banned_word", "Must not contain any of: stupid, shut up"),
        ("Please shut up", "banned_word", "Must not contain any of: stupid, shut up"),
        ("lower case", "string_pattern_mismatch", "String should match pattern '^[A-Z]'"),
        ("X" * 41, "string_too_long", "String should have at most 40 characters"),
    ],
)
def test_what_breaks_a_rule_is_named_and_its_text_is_not(text, kind, complaint):
    for answer, into in ((text, Polite), (Reply.model_construct(text=text).model_dump_json(), Reply)):
        with pytest.raises(output.Misfit) as misfit:
            output.read(answer, into=into)
        assert str(misfit.value) == kind
        assert complaint in misfit.value.complaint
        assert text not in misfit.value.complaint


def test_a_text_with_rules_is_still_a_text():
    assert output.schema_of(Polite) is None
    assert output.read('Say "{}"', into=Polite) == 'Say "{}"'


def test_a_pattern_takes_linear_time_whatever_it_is():
    evil = Annotated[str, StringConstraints(pattern=r"^(a+)+$")]
    with pytest.raises(output.Misfit):
        output.read("a" * 50_000 + "!", into=evil)


@pytest.mark.parametrize("words", [(), ("",), ("ok", " ")])
def test_a_rule_without_words_is_refused(words):
    with pytest.raises(ValueError, match="expected at least one word"):
        without(*words)
