from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.config import ConfigError, load_models
from gateway.ledger import CircuitRule

CONTRACT = """
    model_list:
      - model_name: gpt-mini
        litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/OPENAI_API_KEY, api_base: http://x, timeout: 7}
      - model_name: lexicon
        litellm_params: {model: local/lexicon}
    hookmill:
      aliases:
        fast: {candidates: [gpt-mini, lexicon], deadline: 30s, attempts_per_candidate: 2}
      candidates:
        gpt-mini: {max_concurrent: 20, circuit: {failures: 3, window: 1m, open_for: 5m}}
"""
TWICE = """
    model_list:
      - {model_name: gpt, litellm_params: {model: openai/a}}
      - {model_name: gpt, litellm_params: {model: openai/b}}
      - {model_name: gpt, litellm_params: {model: openai/c}, model_info: {id: eu}}
      - {model_name: other, litellm_params: {model: openai/d}}
"""


def test_an_alias_has_its_candidates_in_order(models):
    fast = models(CONTRACT, OPENAI_API_KEY="key-CANARY").aliases["fast"]
    assert (fast.name, fast.deadline, fast.attempts_per_candidate) == ("fast", timedelta(seconds=30), 2)
    first, second = fast.candidates
    assert (first.name, first.model, first.timeout) == ("gpt-mini", "openai/gpt-4o-mini", timedelta(seconds=7))
    assert first.params == {"api_key": "key-CANARY", "api_base": "http://x"}
    assert first.max_concurrent == 20
    assert first.circuit == CircuitRule(failures=3, window=timedelta(minutes=1), open_for=timedelta(minutes=5))
    assert (second.name, second.model, second.timeout) == ("lexicon", "local/lexicon", timedelta(seconds=20))
    assert (second.max_concurrent, second.circuit, second.params) == (None, CircuitRule(), {})


def test_no_key_is_shown(models):
    loaded = models(CONTRACT, OPENAI_API_KEY="key-CANARY")
    assert "CANARY" not in repr(loaded) + str(loaded) + repr(loaded.aliases)


def test_every_model_name_is_an_alias(models):
    aliases = models(TWICE).aliases
    assert [one.name for one in aliases["gpt"].candidates] == ["gpt", "gpt#2", "eu"]
    assert [one.model for one in aliases["gpt"].candidates] == ["openai/a", "openai/b", "openai/c"]
    assert [one.model for one in aliases["other"].candidates] == ["openai/d"]
    assert aliases["gpt"].deadline == timedelta(seconds=60)
    assert aliases["gpt"].attempts_per_candidate == 1


def test_an_alias_may_name_all_entries_or_a_single_one(models):
    aliases = models(
        TWICE + "    hookmill: {aliases: {all: {candidates: [gpt]}, one: {candidates: [eu, gpt#2]}}}"
    ).aliases
    assert [one.name for one in aliases["all"].candidates] == ["gpt", "gpt#2", "eu"]
    assert [one.name for one in aliases["one"].candidates] == ["eu", "gpt#2"]
    assert [one.name for one in aliases["eu"].candidates] == ["eu"]


def test_a_declared_alias_stands_before_a_model_name(models):
    aliases = models(TWICE + "    hookmill: {aliases: {gpt: {candidates: [other]}}}").aliases
    assert [one.name for one in aliases["gpt"].candidates] == ["other"]


def test_entries_that_differ_in_their_key_alone_are_a_pool(models):
    loaded = models(
        """
        model_list:
          - {model_name: gpt, litellm_params: {model: openai/a, api_key: one, rpm: 5}}
          - {model_name: gpt, litellm_params: {model: openai/a, api_key: two}}
          - {model_name: gpt, litellm_params: {model: openai/a, api_key: two, api_base: http://elsewhere}}
          - {model_name: gpt, litellm_params: {model: openai/b, api_key: one}}
          - {model_name: mini, litellm_params: {model: openai/a, api_key: one}}
        """
    )
    pools = {one.name: one.pool for name in ("gpt", "mini") for one in loaded.aliases[name].candidates}
    assert pools == {"gpt": "gpt", "gpt#2": "gpt", "gpt#3": "gpt#3", "gpt#4": "gpt#4", "mini": "mini"}


def test_an_alias_names_who_takes_longer_prompts_and_who_may_be_asked_after_a_refusal(models):
    fast = models(
        TWICE + "    hookmill: {aliases: {fast: {candidates: [eu], larger_context: [gpt], on_refusal: [other, eu]}}}"
    ).aliases["fast"]
    assert [one.name for one in fast.larger_context] == ["gpt", "gpt#2", "eu"]
    assert [one.name for one in fast.on_refusal] == ["other", "eu"]
    assert [one.name for one in fast.everyone] == ["eu", "gpt", "gpt#2", "other"]


def test_limits_of_a_model_name_hold_for_its_entries_and_those_of_an_entry_before_them(models):
    ours = "    hookmill: {candidates: {gpt: {max_concurrent: 9}, eu: {max_concurrent: 1}}}"
    limits = [one.max_concurrent for one in models(TWICE + ours).aliases["gpt"].candidates]
    assert limits == [9, 9, 1]


def test_the_environment_is_read_at_any_depth(models):
    loaded = models(
        """
        model_list:
          - model_name: a
            litellm_params:
              model: os.environ/MODEL
              timeout: os.environ/SECONDS
              extra_headers: {x: [os.environ/KEY, plain, 5]}
        """,
        MODEL="azure/x",
        SECONDS="9",
        KEY="k",
    )
    (candidate,) = loaded.aliases["a"].candidates
    assert (candidate.model, candidate.timeout) == ("azure/x", timedelta(seconds=9))
    assert candidate.params == {"extra_headers": {"x": ["k", "plain", 5]}}


def test_litellms_own_keys_pass(models):
    loaded = models(
        """
        model_list:
          - {model_name: a, litellm_params: {model: m, api_key: plain, rpm: 5}, model_info: {mode: chat}, tags: [x]}
        litellm_settings: {drop_params: true}
        router_settings: {num_retries: 2}
        """
    )
    assert loaded.aliases["a"].candidates[0].params == {"api_key": "plain", "rpm": 5}


def test_merged_keys_are_no_duplicates(models):
    loaded = models(
        """
        x-common: &common {model: openai/a, api_base: http://x}
        x-more: &more
          <<: *common
          model: openai/b
        model_list:
          - model_name: a
            litellm_params:
              <<: *more
              model: openai/c
        """
    )
    (candidate,) = loaded.aliases["a"].candidates
    assert (candidate.model, candidate.params) == ("openai/c", {"api_base": "http://x"})


LIST = "model_list: [{model_name: lexicon, litellm_params: {model: local/lexicon}}]\n"
ENTRY = "model_list: [{{model_name: a, litellm_params: {{model: m, {}}}}}]\n"
FAST = "hookmill.aliases.fast"
SHAPE = "expected a mapping with model_name and litellm_params, itself a mapping with model"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTRY.format("api_key: os.environ/OPENAI_KEY"), ["model_list[0].litellm_params.api_key: {variable}"]),
        (ENTRY.format("a: [{b: os.environ/OPENAI_KEY}]"), ["model_list[0].litellm_params.a[0].b: {variable}"]),
        (
            ENTRY.format("timeout: 0"),
            ["model_list[0].litellm_params.timeout: expected a number of seconds above 0, got 0"],
        ),
        ("model_list: []", ["model_list: expected a list of models, got an empty list"]),
        ("hookmill: {}", ["model_list: expected a list of models, got nothing"]),
        ("model_list: {a: 1}", ["model_list: expected a list of models, got a table"]),
        ("model_list: [5, {model_name: a}]", [f"model_list[0]: {SHAPE}", f"model_list[1]: {SHAPE}"]),
        (
            "model_list: [{litellm_params: {}}]",
            [
                "model_list[0].model_name: expected a text, got nothing",
                "model_list[0].litellm_params.model: expected a text, got nothing",
            ],
        ),
        (
            "model_list: [{model_name: 'a/*', litellm_params: {model: m}}]",
            ["model_list[0].model_name: expected the name of one model, got the wildcard 'a/*'"],
        ),
        (
            (
                "model_list: [{model_name: a, litellm_params: {model: m}}, "
                "{model_name: b, litellm_params: {model: m}, model_info: {id: a}}]"
            ),
            ["model_list[1].model_info.id: expected a name of its own, but 'a' is taken"],
        ),
        (LIST + "hookmill: {alias: {}}", ["hookmill.alias: unknown key; did you mean 'aliases'?"]),
        (LIST + "hookmill: 5", ["hookmill: expected a table, got a number"]),
        (LIST + "hookmill: {aliases: []}", ["hookmill.aliases: expected a table with names as keys, got a list"]),
        (LIST + "hookmill: {aliases: {1: {}}}", ["hookmill.aliases: expected a table with names as keys, got a table"]),
        (LIST + "hookmill: {aliases: {fast: }}", [f"{FAST}: expected a table, got nothing"]),
        (
            LIST + "hookmill: {aliases: {fast: {deadline: 5s}}}",
            [f"{FAST}.candidates: missing; expected a list of names of model_list"],
        ),
        (
            LIST + "hookmill: {aliases: {fast: {candidates: []}}}",
            [f"{FAST}.candidates: expected at least one candidate, got an empty list"],
        ),
        (
            LIST + "hookmill: {aliases: {fast: {candidates: [lexcon]}}}",
            [f"{FAST}.candidates[0]: 'lexcon' is not in model_list; did you mean 'lexicon'?"],
        ),
        (
            LIST + "hookmill: {aliases: {fast: {candidates: [lexicon, lexicon]}}}",
            [f"{FAST}.candidates[1]: candidate 'lexicon' stands twice"],
        ),
        (
            LIST + "hookmill: {aliases: {fast: {candidates: lexicon, deadlin: 5s}}}",
            [
                f"{FAST}.candidates: expected a list, got a text",
                f"{FAST}.deadlin: unknown key; did you mean 'deadline'?",
            ],
        ),
        (
            LIST + "hookmill: {candidates: {lexcon: {}}}",
            ["hookmill.candidates.lexcon: not in model_list; did you mean 'lexicon'?"],
        ),
        (
            LIST + "hookmill: {candidates: {lexicon: {circuit: {open_fr: 5m}, max_concurrent: 0}}}",
            [
                "hookmill.candidates.lexicon.max_concurrent: expected a whole number from 1 to 10000, got 0",
                "hookmill.candidates.lexicon.circuit.open_fr: unknown key; did you mean 'open_for'?",
            ],
        ),
    ],
)
def test_a_mistake_is_one_line_with_key_expectation_and_nearest_name(models, mistakes, text, said):
    variable = "environment variable 'OPENAI_KEY' is not set; did you mean 'OPENAI_API_KEY'?"
    lines = mistakes(models, text, OPENAI_API_KEY="CANARY")
    assert lines == [f"models.yaml: {line.replace('{variable}', variable)}" for line in said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a mapping with the key model_list, got nothing"),
        ("- a", "expected a mapping with the key model_list, got a list"),
        ("a: 1\nb: CANARY: 2\n", "line 2: not usable YAML: mapping values are not allowed here"),
        ("a: [CANARY", "line 1: not usable YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\nb: {c: 1, d: 2,\n  c: CANARY}", "line 3: not usable YAML: key 'c' stands twice"),
        ("a: *nowhere", "line 1: not usable YAML: found undefined alias 'nowhere'"),
        ("a: &a [*a]", "line 1: not usable YAML: an anchor contains itself"),
        ("a: 1\n--- \nb: 1\n", "line 2: not usable YAML: but found another document"),
        ("a: !!python/name:os.system x", None),
        ("a: 1\nb: \x01CANARY", "line 2: not usable YAML: character U+0001 is not allowed"),
        ("a: 2026-13-45", "not YAML: a date, a number or a nesting is beyond all bounds"),
        ("a: " + "[" * 1000, "not YAML: a date, a number or a nesting is beyond all bounds"),
    ],
    ids=range(12),
)
def test_a_broken_file_is_one_line_with_its_place(models, mistakes, text, said):
    (line,) = mistakes(models, text)
    assert line.startswith("models.yaml: ")
    assert said is None or line == f"models.yaml: {said}"


def test_a_misspelt_key_beside_model_list_is_refused(tmp_path):
    (tmp_path / "models.yaml").write_text(
        "model_list: [{model_name: a, litellm_params: {model: local/lexicon}}]\nhookmil: {}\n"
    )
    with pytest.raises(ConfigError, match="hookmil: unknown key; did you mean 'hookmill'"):
        load_models(tmp_path / "models.yaml", {})


def test_what_only_the_proxy_of_litellm_reads_is_let_be(tmp_path):
    text = "model_list: [{model_name: a, litellm_params: {model: local/lexicon}}]\nlitellm_settings: {num_retries: 3}\n"
    (tmp_path / "models.yaml").write_text(text)
    assert list(load_models(tmp_path / "models.yaml", {}).aliases) == ["a"]
