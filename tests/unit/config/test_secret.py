from __future__ import annotations

import pickle

import pytest

from gateway.config import ConfigError, Secret
from gateway.config.errors import shown

FROM = '[sources.blog]\nscheme = "bearer"\npipeline = "triage"\nsecrets = ["{}"]\n'


def first(loaded):
    return loaded.sources["blog"].secrets[0]


def test_a_secret_comes_from_the_environment(config):
    secret = first(config(FROM.format("env:TOKEN"), env={"TOKEN": " value-CANARY\n"}))
    assert secret.reveal() == "value-CANARY"


def test_a_secret_comes_from_a_file_beside_the_configuration(config, tmp_path):
    (tmp_path / "blog.secret").write_text("value-CANARY\n")
    assert first(config(FROM.format("file:blog.secret"), env={})).reveal() == "value-CANARY"


def test_a_secret_comes_from_an_absolute_path_or_from_home(config, tmp_path):
    (tmp_path / "s").write_text("value-CANARY")
    assert first(config(FROM.format(f"file:{tmp_path}/s"), env={})).reveal() == "value-CANARY"
    assert first(config(FROM.format("file:~/s"), env={"HOME": str(tmp_path)})).reveal() == "value-CANARY"


def test_a_secret_never_shows_itself(config):
    loaded = config(FROM.format("env:TOKEN"), env={"TOKEN": "value-CANARY"})
    secret = first(loaded)
    for text in (repr(secret), str(secret), f"{secret}", repr(loaded), str(loaded), repr(loaded.sources)):
        assert "CANARY" not in text
    assert "env:TOKEN" in repr(secret)


def test_a_secret_survives_the_way_to_another_process():
    assert pickle.loads(pickle.dumps(Secret(origin="env:X", value="v"))).reveal() == "v"


@pytest.mark.parametrize(
    "written", ["value-CANARY", "whsec_CANARY", "env:not a name CANARY", "env:", "file:", "vault:CANARY", "$CANARY"]
)
def test_a_secret_written_out_is_refused_and_not_repeated(config, mistakes, written):
    assert mistakes(config, FROM.format(written)) == [
        "hookmill.toml: sources.blog.secrets[0]: secrets only as env:NAME or file:PATH"
    ]


@pytest.mark.parametrize("written", ['"value-CANARY"', '{ value = "value-CANARY" }'])
def test_secrets_must_be_a_list(config, mistakes, written):
    (line,) = mistakes(config, FROM.replace('["{}"]', written))
    assert line.startswith("hookmill.toml: sources.blog.secrets: expected a list, got a t")


def test_a_missing_variable_is_named_with_the_nearest_one(config, mistakes):
    assert mistakes(config, FROM.format("env:BLOG_SECERT")) == [
        (
            "hookmill.toml: sources.blog.secrets[0]: "
            "environment variable 'BLOG_SECERT' is not set; did you mean 'BLOG_SECRET'?"
        )
    ]


def test_an_empty_variable_is_no_secret(config, mistakes):
    (line,) = mistakes(config, FROM.format("env:TOKEN"), env={"TOKEN": " \n"})
    assert line.endswith("environment variable 'TOKEN' is empty")


def test_a_missing_file_is_named(config, mistakes):
    (line,) = mistakes(config, FROM.format("file:gone"))
    assert line == "hookmill.toml: sources.blog.secrets[0]: secret file 'gone' does not exist"


@pytest.mark.parametrize(
    ("content", "what"),
    [(b" \n", "is empty"), (b"\xff\xfe", "is not UTF-8 text"), (b"x" * 70_000, "is larger than 64 KiB")],
)
def test_an_unusable_file_is_named(config, mistakes, tmp_path, content, what):
    (tmp_path / "s").write_bytes(content)
    assert mistakes(config, FROM.format("file:s")) == [
        f"hookmill.toml: sources.blog.secrets[0]: secret file 's' {what}"
    ]


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="is not readable: Is a directory"):
        Secret.from_file(tmp_path)


def test_a_key_that_its_scheme_cannot_decode_is_found_at_load_time(config, mistakes):
    text = FROM.replace("bearer", "standard").format("env:TOKEN")
    assert mistakes(config, text, env={"TOKEN": "whsec_not-base64-CANARY!"}) == [
        "hookmill.toml: sources.blog.secrets[0]: env:TOKEN is not valid base64"
    ]


@pytest.mark.parametrize("pasted", ["whsec_CANARY", "sk-CANARY", "ghp_CANARY", "xoxb-CANARY", "CANARY" * 9])
def test_what_looks_like_a_secret_is_not_shown_wherever_it_stands(config, mistakes, pasted):
    assert shown(pasted) == f"a text of {len(pasted)} characters"
    mistakes(config, FROM.replace("bearer", pasted).format("env:TOKEN"), env={"TOKEN": "t"})


def test_either_secret_or_secrets(config, mistakes):
    text = FROM.format("env:BLOG_SECRET") + 'secret = "env:BLOG_SECRET"\n'
    assert mistakes(config, text) == ["hookmill.toml: sources.blog.secret: expected either secret or secrets, got both"]


def test_a_config_error_is_an_exception_of_its_own():
    assert not issubclass(ConfigError, ValueError)
    assert ConfigError("a", "b").lines == ("a", "b")
