"""The package of n8n-workflows/node, as far as it can be looked at without Node; make test-node builds and tests it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.n8n.form import dump, normalised
from gateway.n8n.lint import check_all, paths_of, read_workflow
from gateway.n8n.nodes import OURS
from gateway.n8n.place import ids_of

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "n8n-workflows" / "node"
EXAMPLES = sorted((PACKAGE / "examples").glob("*.json"))
CREDENTIALS = ids_of(PACKAGE / "examples" / "n8n.toml")


def complaints(tmp_path, change):
    """What the check says of the example that tells the chat, after that change."""
    path = tmp_path / "notify-with-trigger.json"
    workflow = read_workflow(PACKAGE / "examples" / path.name)
    change(workflow, next(node for node in workflow["nodes"] if node["name"] == "On delivery"))
    path.write_text(dump(normalised(workflow, order=[node["name"] for node in workflow["nodes"]])))
    return [one.text for one in check_all([path], CREDENTIALS)]


def test_the_examples_are_well():
    assert len(EXAMPLES) == 2
    assert check_all(EXAMPLES, CREDENTIALS) == []
    used = {node["type"] for path in EXAMPLES for node in read_workflow(path)["nodes"]}
    assert set(OURS) <= used


def test_a_trigger_has_a_path_that_no_other_may_have(tmp_path):
    workflow = read_workflow(EXAMPLES[1])
    assert paths_of(workflow) == ["webhook/hookmill-trigger"]
    for number in range(2):
        name = f"copy-{number}"
        copy = workflow | {"id": f"hookmillCopy{number}", "name": f"Hookmill / {name}"}
        (tmp_path / f"{name}.json").write_text(dump(copy))
    found = [one.text for one in check_all(sorted(tmp_path.glob("*.json")), CREDENTIALS)]
    assert found.count("another workflow answers at 'webhook/hookmill-trigger', too") == 2


def test_who_answers_before_the_end_wants_an_error_workflow(tmp_path):
    def at_once(_, trigger):
        trigger["parameters"]["responseMode"] = "onReceived"

    def by_schedule_too(workflow, trigger):
        other = {"name": "Daily", "type": "n8n-nodes-base.scheduleTrigger", "typeVersion": 1.3, "parameters": {}}
        workflow["nodes"].append(trigger | other | {"webhookId": ""})

    lacking = "settings.errorWorkflow is not the id of a workflow here"
    assert complaints(tmp_path, at_once) == [lacking]
    assert complaints(tmp_path, lambda workflow, _: workflow["settings"].update(errorWorkflow="nobody12")) == [lacking]
    assert complaints(tmp_path, by_schedule_too) == [lacking]
    assert complaints(tmp_path, lambda *_: None) == []


@pytest.mark.parametrize("change", [{"typeVersion": 2}, {"type": "n8n-nodes-hookmill.other"}])
def test_a_version_or_a_node_that_there_is_not(tmp_path, change):
    assert complaints(tmp_path, lambda _, trigger: trigger.update(change))


def test_the_package_is_as_n8n_wants_it():
    told = json.loads((PACKAGE / "package.json").read_text())
    assert "dependencies" not in told
    assert told["peerDependencies"] == {"n8n-workflow": "*"}
    assert (told["license"], told["private"], told["files"]) == ("Apache-2.0", True, ["dist"])
    for kind, ending in (("nodes", ".node"), ("credentials", ".credentials")):
        sources = {str(path.relative_to(PACKAGE)) for path in (PACKAGE / kind).rglob(f"*{ending}.ts")}
        assert {f"dist/{source.removesuffix('.ts')}.js" for source in sources} == set(told["n8n"][kind])


def test_the_lock_names_digests_and_no_registry():
    text = (PACKAGE / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert "resolved" not in text
    assert "registry" not in text
    assert [name for name, one in packages.items() if name and "integrity" not in one] == []


def test_its_vectors_are_ours():
    ours = {one["id"]: one for one in json.loads((ROOT / "tests/cases/signature_vectors.json").read_text())}
    copied = json.loads((PACKAGE / "test" / "vectors.json").read_text())
    assert [one["id"] for one in copied] == [one["id"] for one in ours.values() if one["scheme"] == "standard_webhooks"]
    assert all(one.items() <= ours[one["id"]].items() for one in copied)
