"""What the documents show works as written, and what the code has they name.

A fence runs by its language: `toml` is loaded as hookmill.toml, `yaml` as models.yaml. After `<!-- run: EVENT -->` a
`python` fence is worked as a pipeline over that event; after `<!-- run -->` a `sh` fence is run in a shell, in order,
in a folder and a home of its own, with a real `hookmill up`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import typer.main
from redis import Redis

from actors.registry import GROUP, Registry
from gateway import problem
from gateway.cli.embedded import free_port
from gateway.cli.main import app
from gateway.config import load_config, load_models
from gateway.config.alerts import AlertsTable
from gateway.config.models import AliasTable, CandidateTable, CircuitTable
from gateway.config.schedules import ScheduleTable
from gateway.config.schemes import SchemeTable
from gateway.config.sink_tables import (
    ChatTable,
    FileTable,
    HeaderTable,
    ObjectTable,
    RotateTable,
    SqlTable,
    WebhookTable,
)
from gateway.config.sources import DedupeTable, RetryTable, SourceTable
from gateway.errors import Rejection
from gateway.ledger import Event
from gateway.ledger.keys import key
from gateway.verify import SCHEMES
from otel import log, records

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "gateway/README.md",
    "gateway/DEPLOY.md",
    "actors/README.md",
    "otel/README.md",
    "n8n-workflows/README.md",
    "n8n-workflows/node/README.md",
    "tests/README.md",
)
SECRET = "whsec_" + "Q0FOQVJZ" * 4
FENCE = re.compile(
    r"^(?:<!-- run(?P<run>:? ?[^\n]*?) ?-->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
SOURCE = """
[sources.{name}]
scheme = "standard"
secrets = ["file:secrets/blog"]
pipeline = "{pipeline}"
sinks = ["results"]
"""
# What `init` writes, or a running system, or the reader of a document: not in the repository.
MADE = frozenset(
    ["app.py", "example.json", "results.jsonl", "up.json", "signing.key", ".venv", ".env", "example.com/hook"]
)
COMMAND = re.compile(r"(?:^|[|(&])[ ]*(hookmill|make|\.venv/bin/python) ([^|)&\n]*)", re.MULTILINE)
PATH = re.compile(r"(?:[\w.~-]+/)*[\w.-]+\.(?:py|md|toml|yaml|lua|json|lock|txt|key|jsonl)|(?:[\w.-]+/)+[\w.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A fenced block of a document; `run` is what its comment says, None without one."""

    document: str
    line: int
    language: str
    run: str | None
    text: str


@cache
def text(document):
    return (ROOT / document).read_text(encoding="utf-8")


@cache
def fences():
    return tuple(
        Fence(
            document=document,
            line=text(document).count("\n", 0, found.start()) + 1,
            language=found["language"],
            run=None if found["run"] is None else found["run"].removeprefix(":").strip(),
            text=found["text"],
        )
        for document in DOCUMENTS
        for found in FENCE.finditer(text(document))
    )


def every(language, *, run=False):
    found = [one for one in fences() if one.language == language and (one.run is not None or not run)]
    return pytest.mark.parametrize("fence", [pytest.param(one, id=f"{one.document}:{one.line}") for one in found])


def environment(source):
    """Every variable that the text refers to, with a value that any scheme can use."""
    return dict.fromkeys(re.findall(r"(?:env:|os\.environ/)(\w+)", source), SECRET)


def tables(*kinds):
    return sorted({name for kind in kinds for name in kind.model_fields})


def undocumented(names, *documents):
    """Those names that none of the documents shows as code."""
    shown = {word for one in documents for code in re.findall(r"`([^`\n]+)`", text(one)) for word in words(code)}
    return [name for name in names if name not in shown]


def words(code):
    return {code, *re.split(r"[\s\"'(),{}=:\[\]]+", code), *re.findall(r"\w+", code)}


def test_every_kind_of_fence_is_known_and_none_is_left_open():
    known = {"toml", "yaml", "python", "sh", "json", "text"}
    known |= {"nginx", "caddyfile", "sentinel", "acl"}  # tests of their own run these
    assert {one.language for one in fences()} <= known
    for document in DOCUMENTS:
        marks = len(re.findall(r"^\s*```", text(document), re.MULTILINE))
        assert marks == 2 * sum(one.document == document for one in fences()), document


@every("toml")
def test_toml_loads(fence, tmp_path):
    document = tomllib.loads(fence.text)
    if "project" in document:
        ((name, place),) = document["project"]["entry-points"][GROUP].items()
        assert re.fullmatch(r"[\w.]+:\w+", place), name
        return
    whole = fence.text
    named = {sink for source in document.get("sources", {}).values() for sink in source.get("sinks", ())}
    named |= {one["sink"] for one in [document.get("alerts")] if one}
    for sink in sorted(named - document.get("sinks", {}).keys()):
        whole += f'\n[sinks.{sink}]\nkind = "file"\npath = "{sink}.jsonl"\n'
    if "sources" not in document:
        whole += '\n[sources.any]\nscheme = "bearer"\nsecret = "env:ANY"\npipeline = "any"\n'
    (tmp_path / "hookmill.toml").write_text(whole)
    config = load_config(tmp_path / "hookmill.toml", environment(whole))
    assert config.sources.keys() >= document.get("sources", {}).keys()
    assert config.sinks.keys() >= document.get("sinks", {}).keys()


@every("yaml")
def test_yaml_loads(fence, tmp_path):
    (tmp_path / "models.yaml").write_text(fence.text)
    aliases = load_models(tmp_path / "models.yaml", environment(fence.text)).aliases
    assert len(aliases["fast"].candidates) > 1, "a fallback"


@every("json")
def test_json_is_json(fence):
    assert json.loads(fence.text)


@every("sh")
def test_every_command_shown_exists(fence):
    shown = re.sub(r"\s#.*", "", fence.text).replace("\\\n", " ")
    for command, rest in COMMAND.findall(shown):
        arguments = rest.split()
        if command == "hookmill":
            check_arguments(typer.main.get_command(app), arguments)
        elif command == "make":
            assert all(re.search(rf"^{one}:", text("Makefile"), re.MULTILINE) for one in arguments if "=" not in one)
        else:
            assert all((ROOT / one).exists() for one in arguments if "/" in one)


def check_arguments(command, arguments):
    """Walk down the command line's tree; every word that it should know is known."""
    while commands := getattr(command, "commands", None):
        assert arguments, f"{command.name} wants a command"
        assert arguments[0] in commands, arguments
        command, arguments = commands[arguments[0]], arguments[1:]
    options = {name for one in command.params for name in one.opts} | {"--help"}
    assert {one.partition("=")[0] for one in arguments if one.startswith("--")} <= options


def test_every_hookmill_command_in_prose_exists():
    for document in DOCUMENTS:
        for code in re.findall(r"`hookmill ([^`\n]+)`", text(document)):
            check_arguments(typer.main.get_command(app), code.split())


@every("python")
def test_python_compiles(fence):
    compile(fence.text, f"{fence.document}:{fence.line}", "exec")


class Tour:
    """A folder, a home, and the `hookmill up` that the README's reader starts."""

    def __init__(self, folder):
        self.folder, self.port = folder / "site", free_port()
        self.folder.mkdir()
        self.running = None
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOOKMILL_", "XDG_"))}
        path = f"{Path(sys.executable).parent}:{kept['PATH']}"
        self.env = kept | {"HOME": str(folder), "PATH": path, "COLUMNS": "100"}
        self.said = {}

    def run(self, script):
        """Run it as a person would, but `up` in the background on a free port."""
        shown = re.sub(r"^hookmill up\b.*$", "", script, flags=re.MULTILINE)
        shown = shown.replace("127.0.0.1:8420", f"127.0.0.1:{self.port}")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", shown],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        if re.search(r"^hookmill up\b", script, re.MULTILINE):
            self.up()
        return done.stdout

    def up(self):
        for number, fence in enumerate(pipelines()):
            self.add(number, fence)
        with (self.folder / "up.log").open("w") as said:
            self.running = subprocess.Popen(
                ["hookmill", "up", "--port", str(self.port)], cwd=self.folder, env=self.env, stdout=said, stderr=said
            )
        self.until(self.state.exists)

    def add(self, number, fence):
        """Put a pipeline of a document beside the configuration that `init` wrote, with a source of its own."""
        (self.folder / f"app{number}.py").write_text(fence.text)
        (name,) = declared(fence)
        with (self.folder / "hookmill.toml").open("a") as config:
            config.write(SOURCE.format(name=f"app{number}", pipeline=f"app{number}.py:{name}"))

    @property
    def state(self):
        return Path(self.env["HOME"]) / ".local/state/hookmill/up.json"

    def hookmill(self, *arguments, stdin=None):
        done = subprocess.run(
            ["hookmill", *arguments],
            cwd=self.folder,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def over(self, event_id):
        """Wait until an event and its deliveries are over; what `events show --json` says of it."""

        def look():
            view = json.loads(self.hookmill("events", "show", event_id, "--json"))
            return view if all(one["state"] in ENDS for one in (view, *view["deliveries"])) else None

        return self.until(look)

    def until(self, true, within=30):
        end = time.monotonic() + within
        while not (found := true()):
            assert self.running.poll() is None, (self.folder / "up.log").read_text()
            assert time.monotonic() < end, (self.folder / "up.log").read_text()
            time.sleep(0.2)
        return found

    def end(self):
        """End it at once: by the second signal, which must not melt into the first."""
        while self.running and self.running.poll() is None:
            self.running.send_signal(signal.SIGTERM)
            time.sleep(0.2)


ENDS = {"done", "delivered", "discarded", "dead"}


def pipelines():
    return [one for one in fences() if one.language == "python" and one.run]


def declared(fence):
    """The functions that a fence declares as pipelines."""
    return re.findall(r"^@pipeline\(.*\)\nasync def (\w+)", fence.text, re.MULTILINE)


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    made = Tour(tmp_path_factory.mktemp("tour"))
    try:
        for fence in fences():
            if fence.language == "sh" and fence.run is not None:
                made.said[fence.document, fence.line] = made.run(fence.text)
        yield made
    finally:
        made.end()


@every("sh", run=True)
def test_shell_blocks_run(fence, tour):
    assert tour.said[fence.document, fence.line] is not None


def test_the_tour_ends_with_a_delivered_result(tour):
    (event_id, *_) = re.findall(r"evt_\w{26}", "".join(tour.said.values()))
    view = tour.over(event_id)
    assert (view["state"], [one["state"] for one in view["deliveries"]]) == ("done", ["delivered"])
    assert f"{event_id} from blog is done" in " ".join(tour.hookmill("why", event_id).split())
    assert json.loads((tour.folder / "results.jsonl").read_text().splitlines()[0])["event_id"] == event_id


@pytest.mark.parametrize("number", range(len(pipelines())))
def test_pipelines_load_and_work_their_event(number, tour):
    fence = pipelines()[number]
    (name,) = declared(fence)
    found = Registry([f"app{number}.py:{name}"], folder=tour.folder).find(f"app{number}.py:{name}")
    sent = json.loads(tour.hookmill("send", f"app{number}", "-", "--json", stdin=fence.run))
    view = tour.over(sent[0]["answer"]["event_id"])
    assert view["state"] == "done", view["reason"]
    assert {step["name"] for step in view["steps"]} == set(found.steps)
    assert view["result"]


def test_every_field_of_a_work_record_is_documented(tour):
    (event_id, *_) = re.findall(r"evt_\w{26}", "".join(tour.said.values()))
    view = tour.over(event_id)
    with Redis.from_url(json.loads(tour.state.read_text())["redis_url"]) as redis:
        kept = {
            one.decode() for work in (event_id, view["deliveries"][0]["id"]) for one in redis.hkeys(key("work", work))
        }
    assert kept > {"state", "sink", "fence"}
    assert undocumented(sorted(kept), "gateway/README.md") == []
    scripts = "".join(path.read_text() for path in (ROOT / "gateway/ledger/lua").glob("*.lua"))
    waiting = set(re.findall(r"'(due|deadline|class|pending|bytes|total)'", scripts))
    assert undocumented(sorted(waiting), "gateway/README.md") == []


def test_every_error_code_is_documented_with_its_status():
    kinds = {*Rejection.__subclasses__(), problem.InternalError}
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", text("gateway/README.md"), re.MULTILINE))
    assert rows == {kind.code: str(kind.status) for kind in kinds}


def test_every_command_is_documented():
    def paths(command, above):
        commands = getattr(command, "commands", None)
        return [one for name in commands for one in paths(commands[name], f"{above} {name}")] if commands else [above]

    rows = re.findall(r"^\| `(hookmill [^`]+)` \|", text("README.md"), re.MULTILINE)
    assert sorted(rows) == sorted(paths(typer.main.get_command(app), "hookmill"))


def test_every_key_of_the_configuration_is_documented():
    kinds = (SourceTable, SchemeTable, DedupeTable, RetryTable, FileTable, RotateTable)
    kinds += (ScheduleTable, AlertsTable, WebhookTable, HeaderTable, ObjectTable, SqlTable, ChatTable)
    keys = [*tables(*kinds), *tables(AliasTable, CandidateTable, CircuitTable), *SCHEMES]
    assert undocumented(keys, "gateway/README.md") == []


def test_every_variable_is_documented_and_no_other():
    modules = [path for top in ("gateway", "actors", "otel") for path in (ROOT / top).rglob("*.py")]
    used = {name for path in modules for name in re.findall(r"\bHOOKMILL_[A-Z_]+", path.read_text())}
    shown = {name for one in DOCUMENTS for name in re.findall(r"\bHOOKMILL_[A-Z_]+", text(one))}
    assert shown == used


def test_every_record_is_documented_with_its_fields_and_line():
    for kind, (line, level) in log.NAMES.items():
        row = re.search(
            rf"^\| `{kind.__name__}` \| `{line}` \| (\w+) \| (.*) \|$", text("otel/README.md"), re.MULTILINE
        )
        assert row, kind
        assert row[1] == {10: "debug", 20: "info", 30: "warning"}[level]
        assert re.findall(r"`(\w+)`", row[2]) == written(kind)
    assert set(log.NAMES) == set(records.Record.__args__)


def written(kind):
    """What a line of this record has: that of a call stands among the rest."""
    names = [field.name for field in dataclasses.fields(kind) if field.name not in log.UNTOLD]
    return [one for name in names for one in (written(records.ModelCall) if name == "call" else [name])]


def test_every_bench_and_every_script_is_documented():
    benches = [f"bench/{path.name}" for path in (ROOT / "tests/bench").glob("*.py")]
    assert undocumented(benches, "tests/README.md") == []
    scripts = [path.name for path in (ROOT / "gateway/ledger/lua").glob("*.lua")]
    assert undocumented(scripts, "gateway/README.md") == []


def test_what_a_plugin_may_use_is_documented():
    face = re.search(r"__all__ = \[(.*)\]", text("hookmill.py"))[1]
    names = [*re.findall(r"\w+", face), "step", "ask", "map", *(one.name for one in dataclasses.fields(Event))]
    assert undocumented(names, "actors/README.md") == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text(document))
    assert [one for one in links if "://" not in one and not (ROOT / document).parent.joinpath(one).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_named_exists(document):
    prose = FENCE.sub("", text(document))
    named = {code for code in re.findall(r"`([^`\n]+)`", prose) if PATH.fullmatch(code)}
    assert [one for one in sorted(named) if not exists(one, document)] == []


def exists(name, document):
    """Whether it is a file or folder of the repository, from its root or from where the document speaks of."""
    folders = [ROOT, (ROOT / document).parent, ROOT / "gateway", ROOT / "gateway/ledger/lua", ROOT / "tests"]
    made = name in MADE or name.startswith(("~", "dlv_", "evt_", "hookmill/", "application/", "local/", "os.environ/"))
    return made or any((folder / name).exists() for folder in folders)
