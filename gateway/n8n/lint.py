"""What `hookmill n8n check` looks for in workflows, before any n8n has seen them."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from gateway.n8n.form import CONFIG, Node, Workflow, dump, normalised
from gateway.n8n.nodes import OUR_TRIGGER, TRIGGERS, kind_of, tells_hookmill, wrong_node

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

ID = re.compile(r"[A-Za-z0-9]{8,36}")
REFERENCE = re.compile(r"""\$\(\s*\\?["']((?:[^"'\\]|\\.)+?)\\?["']\s*\)""")
MOST_TEXT = 5_000_000  # bytes of a file
SECRETS = (
    re.compile(r"whsec_[A-Za-z0-9+/=]{8,}"),
    re.compile(r"\bhm_[A-Za-z0-9_-]{20,}"),
    re.compile(r"hooks\.slack\.com/services/T|discord(?:app)?\.com/api/webhooks/\d"),
    re.compile(
        r"\b(?:xox[abeoprs]-|xapp-|gh[opsur]_|github_pat_|glpat-|AKIA|AIza|sk-|sk_|rk_|pk_live)[A-Za-z0-9_-]{8,}"
    ),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    re.compile(r"\b(?:Bearer|Basic) +[A-Za-z0-9+/=._~-]{12,}"),
    re.compile(r"://[^/\s:@{}]+:[^/\s:@{}]+@"),
    re.compile(r"(?<![A-Za-z0-9+/_-])(?=[A-Za-z0-9+/_-]*\d)(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_-]{32,}={0,2}"),
)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CALLS = re.compile(r"[A-Za-z_$][\w$]*(?:/[A-Za-z_][\w-]*)+")  # a path such as gateway/README looks random, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A mistake: the file, the node where there is one, and what is wrong."""

    file: str
    text: str
    node: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {f'node {self.node!r}: ' if self.node else ''}{self.text}"


def read_workflow(path: Path) -> Workflow:
    """Read one file. Raises ValueError, with one line, where it is not JSON of the right outline."""
    try:
        if path.stat().st_size > MOST_TEXT:
            raise ValueError("larger than 5 MB")
        workflow = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: not JSON: {error.msg}") from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not readable: {type(error).__name__}") from None
    if not _outlined(workflow):
        raise ValueError("not a workflow: expected an object with id, name, nodes and connections")
    return cast("Workflow", workflow)


def _outlined(workflow: Any) -> bool:
    if not isinstance(workflow, dict) or not isinstance(workflow.get("connections"), dict):
        return False
    nodes = workflow.get("nodes")
    named = isinstance(workflow.get("id"), str) and isinstance(workflow.get("name"), str)
    return named and isinstance(nodes, list) and all(map(_is_node, nodes))


def _is_node(node: Any) -> bool:
    if not isinstance(node, dict) or not isinstance(node.get("name"), str):
        return False
    place = node.get("position")
    placed = isinstance(place, list) and len(place) == 2 and all(isinstance(one, int | float) for one in place)
    return placed and isinstance(node.get("parameters", {}), dict)


def check_all(files: Sequence[Path], credentials: Collection[str] | None = None) -> list[Found]:
    """Look at all files of a folder; `credentials` are the ids that there will be, None: whatever is named."""
    found, workflows = [], {}
    for path in files:
        try:
            workflows[path.name] = read_workflow(path)
        except ValueError as error:
            found.append(Found(file=path.name, text=str(error)))
    for path in files:
        if path.name in workflows:
            found += check_form(path, workflows[path.name])
    ids = {workflow["id"] for workflow in workflows.values()}
    for name, workflow in workflows.items():
        found += check_one(name, workflow, ids=ids, credentials=credentials)
    return found + list(_twice(workflows))


def check_form(path: Path, workflow: Workflow) -> list[Found]:
    """Tell whether the file has the form that `pull` gives it."""
    order = [node["name"] for node in workflow["nodes"]]
    if path.read_text(encoding="utf-8") == dump(normalised(workflow, order=order)):
        return []
    return [Found(file=path.name, text="not in the form that pull writes; `hookmill n8n check --write` does it")]


def check_one(
    file: str, workflow: Workflow, *, ids: Collection[str], credentials: Collection[str] | None
) -> list[Found]:
    """Look at one workflow; `ids` are those of all workflows that there will be."""
    found = [Found(file=file, text=text) for text in _whole(file, workflow, ids)]
    for node in workflow["nodes"]:
        texts = [*wrong_node(node), *_secrets(node.get("parameters")), *_links(node, workflow, ids, credentials)]
        found += [Found(file=file, node=node["name"], text=text) for text in texts]
    return found


def _whole(file: str, workflow: Workflow, ids: Collection[str]) -> Iterator[str]:
    kinds = [kind_of(node) for node in workflow["nodes"]]
    if not ID.fullmatch(workflow["id"]):
        yield "id is not 8 to 36 letters and digits"
    if workflow["name"] != f"Hookmill / {file.removesuffix('.json')}":
        yield f"name is not 'Hookmill / {file.removesuffix('.json')}'"
    if workflow.get("active") or workflow.get("pinData"):
        yield "active is not false, or pinData not empty"
    if "stickyNote" not in kinds:
        yield "there is no sticky note that says what it does"
    if not TRIGGERS & set(kinds):
        yield "there is no trigger"
    settings = workflow.get("settings") or {}
    if settings.get("executionOrder") != "v1":
        yield "settings.executionOrder is not v1"
    catcher = settings.get("errorWorkflow")
    caught = "errorTrigger" in kinds or (catcher is None and tells_hookmill(workflow))
    if catcher not in ids and not caught:
        yield "settings.errorWorkflow is not the id of a workflow here"
    yield from _wires(workflow)


def _wires(workflow: Workflow) -> Iterator[str]:
    names = [node["name"] for node in workflow["nodes"]]
    yield from (f"two nodes are named {name!r}" for name, count in Counter(names).items() if count > 1)
    reached = set()
    for source, kinds in workflow["connections"].items():
        if source not in names:
            yield f"a connection begins at {source!r}, which is not there"
        for link in _targets(kinds):
            reached.add(link)
            if link not in names:
                yield f"a connection leads to {link!r}, which is not there"
    for node in workflow["nodes"]:
        if kind_of(node) not in TRIGGERS | {"stickyNote"} and node["name"] not in reached:
            yield f"nothing leads to {node['name']!r}"


def _targets(kinds: Any) -> Iterator[str]:
    outputs = [output for listed in kinds.values() for output in listed] if isinstance(kinds, dict) else []
    for link in (link for output in outputs for link in output or []):
        yield str(link.get("node")) if isinstance(link, dict) else repr(link)


def _links(node: Node, workflow: Workflow, ids: Collection[str], credentials: Collection[str] | None) -> Iterator[str]:
    names = {one["name"] for one in workflow["nodes"]}
    text = json.dumps(node.get("parameters") or {}, ensure_ascii=False)
    strange = [name for name in REFERENCE.findall(text) if name not in names]
    yield from (f"an expression asks for {name!r}, which is not there" for name in strange)
    called = (node.get("parameters") or {}).get("workflowId")
    if kind_of(node) == "executeWorkflow" and (called.get("value") if isinstance(called, dict) else called) not in ids:
        yield "calls a workflow that is not here"
    for kind, credential in (node.get("credentials") or {}).items():
        if not isinstance(credential, dict) or set(credential) != {"id", "name"}:
            yield f"credentials.{kind} is not {{id, name}}"
        elif credentials is not None and credential["id"] not in credentials:
            yield f"credential {credential['id']!r} is not in the place's file"


def _secrets(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _secrets(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from _secrets(one, key)
    elif isinstance(value, str) and key != "id" and any(_telling(pattern, value) for pattern in SECRETS):
        yield f"{key} looks as if a secret stood in it; secrets belong into a credential, or into {CONFIG} by `push`"


def _telling(pattern: re.Pattern[str], text: str) -> bool:
    return any(not UUID.fullmatch(one[0]) and not CALLS.fullmatch(one[0]) for one in pattern.finditer(text))


def _twice(workflows: dict[str, Workflow]) -> Iterator[Found]:
    ids = Counter(workflow["id"] for workflow in workflows.values())
    # n8n keeps the paths of forms and of webhooks in one list.
    paths = Counter(name_of(path) for workflow in workflows.values() for path in paths_of(workflow))
    for file, workflow in workflows.items():
        if ids[workflow["id"]] > 1:
            yield Found(file=file, text=f"another file has the id {workflow['id']!r}, too")
        for path in paths_of(workflow):
            if paths[name_of(path)] > 1:
                yield Found(file=file, text=f"another workflow answers at {path!r}, too")


def name_of(path: str) -> str:
    """Give a path without its first part."""
    return path.partition("/")[2]


def paths_of(workflow: Workflow) -> list[str]:
    """Give where it answers, below n8n's URL: webhook/NAME, form/NAME."""
    found = []
    for node in workflow["nodes"]:
        parameters = node.get("parameters") or {}
        if kind_of(node) in {"webhook", OUR_TRIGGER}:
            found.append(f"webhook/{parameters.get('path', '')}")
        elif kind_of(node) == "formTrigger":
            found.append(f"form/{(parameters.get('options') or {}).get('path', '')}")
    return found
