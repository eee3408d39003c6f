"""`hookmill init`: a configuration that works at once, with fresh secrets."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.faults import Fault

CONFIG = """\
# Sources send signed events to us, sinks get the results. `hookmill check` validates this file.

[sources.blog]                            # POST /hooks/blog
scheme   = "standard"                     # Standard Webhooks; also: github, stripe, slack, bearer
secrets  = ["file:secrets/blog"]          # or "env:NAME"; several while you rotate
limit    = "600/minute"
pipeline = "comment-sentiment"            # an installed plugin, or "app.py:triage" beside this file
sinks    = ["results"]                    # add "n8n" once its workflow is active

[sinks.results]                           # one JSON document per line
kind = "file"
path = "results.jsonl"

[sinks.n8n]
kind = "webhook"
url  = "http://localhost:5678/webhook/hookmill"
allow_private = true                      # it runs on this machine; private addresses are refused otherwise
secret = "file:secrets/n8n"               # signs what we send, by Standard Webhooks
concurrency = 10                          # n8n takes about 27 calls a second on a core
rate = "15/second"
"""

MODELS = """\
# LiteLLM's own file; what is ours stands under `hookmill:`. The lexicon needs no network and no key.

model_list:
  - model_name: lexicon
    litellm_params: {model: local/lexicon}
# - model_name: gpt-mini
#   litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/OPENAI_API_KEY}

hookmill:
  aliases:                                # pipelines ask for `fast`; candidates are tried in this order
    fast: {candidates: [lexicon], deadline: 30s}
    # with a provider: fast: {candidates: [gpt-mini, lexicon], deadline: 30s}
"""

EXAMPLE = """\
{
  "type": "comment.created",
  "id": "comment-1",
  "data": {"author": "Robin", "text": "I love how quickly this was fixed. Thank you so much!"}
}
"""

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Where to write it; made if it is not there.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there, secrets too.")]


def whsec() -> str:
    """Make a Standard Webhooks secret: `whsec_` and the base64 of 32 ASCII characters (192 random bits)."""
    return "whsec_" + base64.b64encode(secrets.token_urlsafe(24).encode()).decode()


def init(folder: Folder = Path(), *, force: Force = False) -> None:
    """Write hookmill.toml, models.yaml, an example event, and a folder of fresh secrets."""
    files = {
        folder / "hookmill.toml": CONFIG,
        folder / "models.yaml": MODELS,
        folder / "example.json": EXAMPLE,
        folder / "secrets" / ".gitignore": "*\n",
        folder / "secrets" / "blog": whsec(),
        folder / "secrets" / "n8n": whsec(),
    }
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise Fault(f"already there: {', '.join(there)}; --force overwrites, secrets too")
    write(files)
    for path in files:
        print(f"wrote {path}")
    print(f"\nNext:\n{_next(folder)}")


def write(files: dict[Path, str]) -> None:
    """Write the files; what lies in a folder `secrets` is for the owner's eyes only (0700, 0600)."""
    for path, text in files.items():
        private = path.parent.name == "secrets"
        path.parent.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
        if private:
            path.parent.chmod(0o700)
        path.unlink(missing_ok=True)  # an old file would keep its old mode
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666), "w") as file:
            file.write(text)


def _next(folder: Path) -> str:
    enter = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    return (
        f"  {enter}hookmill up                       # gateway, worker and, if you have none, a Redis\n"
        f"  {enter}hookmill send blog example.json   # in another terminal: sign an event and post it\n"
        f"  {enter}hookmill events list              # see it worked; its result is in results.jsonl"
    )
