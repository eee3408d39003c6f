"""n8n.toml: secrets by reference alone, and keys that n8n can take."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gateway.config import ConfigError
from gateway.n8n.place import ids_of, key_text, read_place

FOLDER = Path(__file__).parents[3] / "n8n-workflows"
KEY = "a-key-of-thirty-two-ascii-signs!"
SECRET = "whsec_" + base64.b64encode(KEY.encode()).decode()


def place(tmp_path, text, **env):
    (tmp_path / "n8n.toml").write_text(text)
    return read_place(tmp_path / "n8n.toml", env)


def test_the_example_is_read_and_has_what_the_workflows_name():
    env = dict.fromkeys(
        (
            "N8N_SECRET",
            "N8N_INTAKE_SECRET",
            "N8N_TOKEN",
            "N8N_PROVIDER_TOKEN",
            "N8N_HTTP_TOKEN",
            "N8N_HOOKMILL_TOKEN",
            "SLACK_URL",
            "SLACK_URGENT_URL",
            "SMTP_PASSWORD",
            "N8N_API_KEY",
        ),
        SECRET,
    )
    read = read_place(FOLDER / "n8n.toml", env)
    assert read.credentials["hookmillSignature"].values["hmacSecret"] == KEY
    assert read.config["slack_url"] == SECRET
    assert SECRET not in repr(read)
    assert KEY not in repr(read)


def test_a_secret_of_standard_webhooks_becomes_the_text_of_its_key():
    assert key_text(SECRET) == KEY
    assert key_text("plain") == "plain"


@pytest.mark.parametrize("secret", ["whsec_" + base64.b64encode(bytes(range(200, 232))).decode(), "whsec_not base64!"])
def test_a_key_that_n8n_cannot_take_is_refused_without_showing_it(tmp_path, secret):
    text = '[credentials.one]\ntype = "crypto"\nhmacSecret = "env:KEY"\n'
    with pytest.raises(ConfigError, match=r"credentials\.one\.hmacSecret: its key is not ASCII") as caught:
        place(tmp_path, text, KEY=secret)
    assert secret not in str(caught.value)


WRONG = {
    'urll = "x"': "urll: unknown key; did you mean 'url'?",
    'url = "localhost"': "url: expected a URL",
    'command = "n8n"': "command: expected a list of words",
    "config = 1": "config: expected a table",
    "[config]\nx = [1]": "config.x: expected a text or a number",
    '[config]\nx = "env:NOBODY"': "config.x: environment variable 'NOBODY' is not set",
    'api_key = "literal-key"': "api_key: secrets only as env:NAME or file:PATH",
    '[credentials.one]\nhmacSecret = "env:KEY"': "credentials.one.type: missing",
    '[credentials.one]\ntype = "crypto"\nhmacSecret = "literal"': "credentials.one.hmacSecret: secrets only as",
    '[credentials.one]\ntype = "redis"\npassword = "literal"': "credentials.one.password: secrets only as",
    "[credentials": "not TOML",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_one_clear_line(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        place(tmp_path, text, KEY="k")
    assert WRONG[text] in str(caught.value)
    assert "literal" not in str(caught.value)


def test_ids_are_read_without_secrets(tmp_path):
    (tmp_path / "n8n.toml").write_text('[credentials.one]\ntype = "crypto"\nhmacSecret = "env:NOBODY"\n')
    assert ids_of(tmp_path / "n8n.toml") == {"one"}
    assert ids_of(tmp_path / "other.toml") is None
