from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import ConfigError
from gateway.settings import read_settings


@pytest.fixture
def env(tmp_path):
    return {"HOOKMILL_DATA": str(tmp_path)}


def test_everything_has_a_default(tmp_path):
    settings = read_settings({"HOME": str(tmp_path)})
    assert settings.data == tmp_path / ".local" / "state" / "hookmill"
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert (settings.config, settings.models, settings.signing_key) == (
        Path("hookmill.toml"),
        Path("models.yaml"),
        None,
    )


def test_everything_can_be_set(tmp_path):
    settings = read_settings(
        {
            "HOOKMILL_DATA": str(tmp_path),
            "HOOKMILL_REDIS_URL": "rediss://example.com/1",
            "HOOKMILL_CONFIG": "/etc/h/hookmill.toml",
            "HOOKMILL_MODELS": "/etc/m.yaml",
            "HOOKMILL_SIGNING_KEY": "key-CANARY",
        }
    )
    assert (settings.data, settings.redis_url) == (tmp_path, "rediss://example.com/1")
    assert (settings.config, settings.models) == (Path("/etc/h/hookmill.toml"), Path("/etc/m.yaml"))
    assert settings.signing_key.reveal() == "key-CANARY"


def test_the_models_stand_beside_the_configuration(env):
    assert read_settings(env | {"HOOKMILL_CONFIG": "/etc/h/x.toml"}).models == Path("/etc/h/models.yaml")


def test_blank_counts_as_not_set(env):
    blank = dict.fromkeys(("HOOKMILL_REDIS_URL", "HOOKMILL_CONFIG", "HOOKMILL_MODELS", "HOOKMILL_SIGNING_KEY"), " ")
    assert read_settings(env | blank) == read_settings(env)


@pytest.mark.parametrize(("stated", "folder"), [("/state", "/state/hookmill"), ("state", "/h/.local/state/hookmill")])
def test_a_relative_state_home_is_ignored(stated, folder):
    assert read_settings({"HOME": "/h", "XDG_STATE_HOME": stated}).data == Path(folder)


def test_settings_show_neither_key_nor_password(env):
    settings = read_settings(
        env | {"HOOKMILL_REDIS_URL": "redis://:pass-CANARY@example.com", "HOOKMILL_SIGNING_KEY": "key-CANARY"}
    )
    assert "CANARY" not in repr(settings) + str(settings)


def test_the_signing_key_is_kept_in_the_data_folder(env, tmp_path):
    (tmp_path / "signing.key").write_text("kept-CANARY\n")
    assert read_settings(env).signing_key.reveal() == "kept-CANARY"


def test_an_empty_signing_key_is_an_error(env, tmp_path):
    (tmp_path / "signing.key").write_text("\n")
    with pytest.raises(ConfigError, match=r"^HOOKMILL_SIGNING_KEY: secret file '.*/signing.key' is empty$"):
        read_settings(env)


def test_the_redis_of_a_running_up_is_found(env, tmp_path):
    for state in ({"redis_url": "unix:///run/r.sock"}, {"redis_url": "unix:///run/r.sock", "pid": os.getpid()}):
        (tmp_path / "up.json").write_text(json.dumps(state))
        assert read_settings(env).redis_url == "unix:///run/r.sock"
    assert read_settings(env | {"HOOKMILL_REDIS_URL": "redis://set"}).redis_url == "redis://set"


def test_an_up_that_has_ended_says_nothing(env, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "up.json").write_text(json.dumps({"redis_url": "unix:///run/r.sock", "pid": ended.pid}))
    assert read_settings(env).redis_url == "redis://127.0.0.1:6379/0"


@pytest.mark.parametrize("left", ["", "{", "[]", "{}", "5", '{"redis_url": "unix:///r", "pid": "x"}'])
def test_a_broken_up_file_is_named(env, tmp_path, left):
    (tmp_path / "up.json").write_text(left)
    with pytest.raises(
        ConfigError, match=r"up\.json: expected JSON with redis_url; remove it or set HOOKMILL_REDIS_URL$"
    ):
        read_settings(env)


@pytest.mark.parametrize(
    "url", ["http://:CANARY@x", "CANARY", "redis", "redis://[CANARY", "redis+sentinel://:CANARY@one:1"]
)
def test_a_wrong_redis_url_is_not_repeated(env, url):
    with pytest.raises(ConfigError, match=r"^HOOKMILL_REDIS_URL: expected a URL that starts with redis://") as caught:
        read_settings(env | {"HOOKMILL_REDIS_URL": url})
    assert "CANARY" not in str(caught.value)
