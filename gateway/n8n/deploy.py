"""The way of workflows and credentials into an n8n and back, by n8n's own command line.

Workflows go in by its command line and not by its public API, because only the first keeps ids: the API invents a new
one for each workflow, and then no error workflow and no sub-workflow is found by its id. What is in is published by the
API where there is a key for it, which is quicker and says what n8n finds wrong; else by the command line, too.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx

from gateway.n8n.form import Workflow, settings_of
from gateway.n8n.lint import paths_of

if TYPE_CHECKING:
    from gateway.n8n.place import Place

LONGEST = timedelta(minutes=3)  # one call of n8n's command line; it takes 3 s on a machine that is not busy
STDIN = "/dev/stdin"  # no file: what is sent holds secrets, and n8n may be in a container
NOISE = 400

Tell = Callable[[str], None]


class DeployError(Exception):
    """n8n did not do as told; one line, without a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """n8n's command line, in an environment."""

    command: tuple[str, ...]
    env: Mapping[str, str]

    def run(self, *arguments: str, sent: str = "", expected: str = "") -> str:
        """Run one command and give what it prints; raises DeployError where it fails, or does not say what it should.

        Its output is read to the end: n8n that cannot write spins for ever.
        """
        name = arguments[0]
        try:
            ended = subprocess.run(  # noqa: S603 - the command is the user's own
                [*self.command, *arguments],
                input=sent,
                env=dict(self.env),
                capture_output=True,
                text=True,
                timeout=LONGEST.total_seconds(),
                check=False,
            )
        except FileNotFoundError:
            raise DeployError(f"there is no command {self.command[0]!r}; say in n8n.toml how n8n is called") from None
        except subprocess.TimeoutExpired:
            raise DeployError(f"n8n {name} took more than {LONGEST.total_seconds():g} s") from None
        if ended.returncode or expected not in ended.stdout + ended.stderr:
            raise DeployError(f"n8n {name} failed: {_last_line(ended.stdout + ended.stderr)}")
        return ended.stdout


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:NOISE] if lines else "it said nothing"


def filled(workflow: Workflow, place: Place) -> Workflow:
    """Give the workflow with what that place says for its node Config."""
    copy: Workflow = json.loads(json.dumps(workflow))
    for name, field in settings_of(copy).items():
        if name in place.config:
            field["value"] = place.config[name]
    return copy


def needed(workflows: Sequence[Workflow]) -> dict[str, tuple[str, str]]:
    """Give the credentials that workflows name: id -> type and name."""
    nodes = [node for workflow in workflows for node in workflow["nodes"]]
    named = [pair for node in nodes for pair in (node.get("credentials") or {}).items()]
    return {credential["id"]: (kind, credential["name"]) for kind, credential in named}


def push(workflows: Sequence[Workflow], place: Place, line: CommandLine, *, tell: Tell) -> None:
    """Import the credentials and workflows, and publish each workflow. Raises DeployError."""
    wanted = needed(workflows)
    for one in sorted(wanted.keys() - place.credentials.keys()):
        raise DeployError(f"n8n.toml has no [credentials.{one}], which the workflows name")
    credentials = [_credential(one, name, place) for one, (_, name) in wanted.items()]
    for one, (kind, _) in wanted.items():
        if place.credentials[one].type != kind:
            raise DeployError(f"n8n.toml: credentials.{one}: expected type {kind!r}")
    if credentials:
        tell(f"importing {len(credentials)} credentials")
        sent = json.dumps(credentials)
        line.run("import:credentials", f"--input={STDIN}", sent=sent, expected="Successfully imported")
    tell(f"importing {len(workflows)} workflows")
    sent = json.dumps([filled(workflow, place) for workflow in workflows])
    line.run("import:workflow", f"--input={STDIN}", sent=sent, expected=f"Successfully imported {len(workflows)}")
    for number, workflow in enumerate(called_first(workflows), 1):
        tell(f"publishing {workflow['name']} ({number} of {len(workflows)})")
        if place.api_key:
            _activate(workflow, place)
        else:
            line.run("publish:workflow", f"--id={workflow['id']}", expected="Publishing workflow")


def called_first(workflows: Sequence[Workflow]) -> list[Workflow]:
    """Give them in an order in which each comes after those that it calls: n8n publishes in no other."""
    left = {workflow["id"]: workflow for workflow in workflows}
    ordered: list[Workflow] = []
    while left:
        free = [workflow for workflow in left.values() if not _called(workflow) & left.keys() - {workflow["id"]}]
        # A circle is n8n's to refuse.
        ordered += [left.pop(workflow["id"]) for workflow in free or list(left.values())]
    return ordered


def _called(workflow: Workflow) -> set[str]:
    ids = [node["parameters"]["workflowId"] for node in workflow["nodes"] if "workflowId" in node.get("parameters", {})]
    return {str(one.get("value") if isinstance(one, dict) else one) for one in ids}


def _activate(workflow: Workflow, place: Place) -> None:
    """Publish one by the public API: https://docs.n8n.io/api/api-reference/#tag/workflow."""
    url = f"{place.url.rstrip('/')}/api/v1/workflows/{workflow['id']}/activate"
    try:
        with httpx.Client(timeout=60, trust_env=False) as client:
            answer = client.post(url, json={}, headers={"X-N8N-API-KEY": place.api_key})
    except httpx.TransportError as error:
        raise DeployError(f"no n8n answers at {place.url}: {type(error).__name__}") from None
    if answer.status_code != 200:
        raise DeployError(f"{workflow['name']} is not published: HTTP {answer.status_code}: {answer.text[:NOISE]}")


def _credential(one: str, name: str, place: Place) -> dict[str, Any]:
    known = place.credentials[one]
    return {"id": one, "name": name, "type": known.type, "data": dict(known.values)}


def fetch(line: CommandLine) -> dict[str, Workflow]:
    """Give n8n's workflows by id. Raises DeployError."""
    text = line.run("export:workflow", "--all", "--output=/dev/stdout")
    start, end = text.find("["), text.rfind("]")
    try:
        found = json.loads(text[start : end + 1])
    except ValueError:
        raise DeployError(f"n8n export:workflow gave no JSON: {_last_line(text)}") from None
    return {workflow["id"]: workflow for workflow in found}


def wait_until_live(workflows: Sequence[Workflow], place: Place, *, within: timedelta, tell: Tell) -> None:
    """Wait until n8n knows every path; it says that it is ready long before that. Raises DeployError.

    What starts on a schedule, or is called, has no path to ask at.
    """
    paths = {path: workflow["name"] for workflow in workflows for path in paths_of(workflow)}
    end = time.monotonic() + within.total_seconds()
    with httpx.Client(timeout=5, trust_env=False) as client:
        for path, name in paths.items():
            for _ in _moments(end):
                if is_live(client, f"{place.url.rstrip('/')}/{path}"):
                    tell(f"live: {name}")
                    break
            else:
                raise DeployError(f"{name} is not live after {within.total_seconds():g} s: {place.url}/{path}")


def _moments(end: float) -> Iterator[None]:
    while time.monotonic() < end:
        yield
        time.sleep(0.5)


def is_live(client: httpx.Client, url: str) -> bool:
    """Tell whether n8n knows that path, without making it work: a GET, which a webhook for POST refuses by name."""
    try:
        answer = client.get(url)
    except httpx.TransportError:
        return False
    return answer.status_code < 300 or (answer.status_code == 404 and "make a POST request" in answer.text)
