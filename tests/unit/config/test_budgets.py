from __future__ import annotations

import pytest

from gateway.config import Budget, ConfigError, load_config

SOURCE = '[sources.blog]\nscheme = "bearer"\nsecret = "env:S"\npipeline = "triage"\n'


@pytest.fixture
def load(tmp_path):
    def make(written):
        (tmp_path / "hookmill.toml").write_text(SOURCE + written)
        return load_config(tmp_path / "hookmill.toml", {"S": "a-long-enough-secret-for-a-test"})

    return make


def test_without_a_table_nothing_is_limited(load):
    config = load("")
    assert (config.budget, config.sources["blog"].budget) == (None, None)


def test_a_budget_of_all_and_one_of_a_source_are_taken(load):
    config = load('budget = {day = 0, month = 5, when_spent = "wait"}\n[budget]\nday = 1.5\nwarn = 0.5')
    assert config.budget == Budget(day=1.5, warn=0.5)
    assert config.sources["blog"].budget == Budget(day=0.0, month=5.0, when_spent="wait")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[budget]", "budget: expected day = 5.0, month = 100.0, or both"),
        ("budget = {}", "sources.blog.budget: expected day = 5.0, month = 100.0, or both"),
        ("[budget]\nday = -1", "budget.day: expected an amount of US dollars from 0 to 1,000,000, got -1"),
        ("[budget]\nmonth = true", "budget.month: expected an amount of US dollars from 0 to 1,000,000, got true"),
        ("[budget]\nday = 1\nwarn = 80", "budget.warn: expected a number above 0, at most 1, got 80"),
        ('[budget]\nday = 1\nwhen_spent = "cheapr"', "budget.when_spent: expected one of cheaper, wait"),
        ("[budget]\ndaily = 1", "budget.daily: unknown key"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(load, written, said):
    with pytest.raises(ConfigError) as refused:
        load(written)
    assert said in str(refused.value)
