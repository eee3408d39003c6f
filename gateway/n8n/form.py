"""The form in which a workflow stands in its file: what n8n adds is left out, ids and positions are told by the names.

So a change in n8n's editor is a small diff, and a workflow that went into an n8n and came back is the same, byte for
byte.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Node = dict[str, Any]
Workflow = dict[str, Any]

NAMESPACE = UUID("6f1b1f0e-6a2f-5b6e-9a55-0c1d9b8f3c11")
GRID = 16  # pixels, n8n's own
NODE_KEYS = (
    *("id", "name", "type", "typeVersion", "position", "disabled", "parameters", "credentials", "webhookId"),
    *("onError", "retryOnFail", "maxTries", "waitBetweenTries", "alwaysOutputData", "executeOnce"),
    *("notes", "notesInFlow"),
)
SETTINGS = (
    *("executionOrder", "errorWorkflow", "executionTimeout", "timezone", "callerPolicy"),
    *("saveDataSuccessExecution", "saveDataErrorExecution", "saveExecutionProgress", "saveManualExecutions"),
)
CONFIG = "Config"
"""The name of the one node that holds what differs from place to place."""


def dump(workflow: Workflow) -> str:
    """Write it as its file has it."""
    return json.dumps(workflow, indent=2, ensure_ascii=False) + "\n"


def normalised(workflow: Workflow, *, order: Sequence[str] = ()) -> Workflow:
    """Give it in the form of a file; the nodes come in that order of names, those that it does not name at the end."""
    places = {name: place for place, name in enumerate(order)}
    nodes = sorted(workflow["nodes"], key=lambda node: places.get(node["name"], len(places)))
    left, top = (min((node["position"][axis] for node in nodes), default=0) for axis in (0, 1))
    settings = workflow.get("settings") or {}
    return {
        "id": workflow["id"],
        "name": workflow["name"],
        "nodes": [_node(node, workflow["id"], left=left, top=top) for node in nodes],
        "connections": _connections(workflow.get("connections") or {}, [node["name"] for node in nodes]),
        "active": False,
        "settings": {name: settings[name] for name in SETTINGS if name in settings},
        "tags": [],
        "pinData": {},
    }


def _node(node: Node, workflow_id: str, *, left: float, top: float) -> Node:
    x, y = node["position"]
    fixed = {
        "id": str(uuid5(NAMESPACE, f"{workflow_id} {node['name']}")),
        "position": [_snapped(x - left), _snapped(y - top)],
        "parameters": node.get("parameters") or {},
    }
    if "webhookId" in node:
        fixed["webhookId"] = str(uuid5(NAMESPACE, f"{workflow_id} {node['name']} webhook"))
    merged = node | fixed
    return {key: merged[key] for key in NODE_KEYS if key in merged and merged[key] not in (None, False, "")}


def _snapped(pixels: float) -> int:
    return round(pixels / GRID) * GRID


def _connections(connections: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Give them in the order of the nodes; outputs that lead nowhere are left out at the end, and stand as []."""
    known = {name: place for place, name in enumerate(names)}
    ordered = sorted(connections, key=lambda name: known.get(name, len(known)))
    kept = {name: {kind: _outputs(outputs) for kind, outputs in connections[name].items()} for name in ordered}
    return {name: kinds for name, kinds in kept.items() if any(kinds.values())}


def _outputs(outputs: Iterable[Any]) -> list[Any]:
    listed = [list(output or []) for output in outputs]
    while listed and not listed[-1]:
        listed.pop()
    return listed


def settings_of(workflow: Workflow) -> dict[str, Any]:
    """Give the assignments of its node Config by name: the objects themselves, so that values can be changed."""
    nodes = [node for node in workflow["nodes"] if node["name"] == CONFIG]
    fields = [one for node in nodes for one in node["parameters"].get("assignments", {}).get("assignments", [])]
    return {field["name"]: field for field in fields}


def with_settings_of(workflow: Workflow, file: Workflow) -> Workflow:
    """Give the first with the values of Config that the second has, where it has them: a place's own stay in it."""
    copy: Workflow = json.loads(json.dumps(workflow))
    ours = settings_of(file)
    for name, field in settings_of(copy).items():
        if name in ours:
            field["value"] = ours[name]["value"]
    return copy
