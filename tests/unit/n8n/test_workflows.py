"""The workflows of this repository pass the lint, and the lint notices what each of its rules is for."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from gateway.n8n.form import dump, normalised, settings_of, with_settings_of
from gateway.n8n.lint import check_all, check_one, read_workflow
from gateway.n8n.place import ids_of

FOLDER = Path(__file__).parents[3] / "n8n-workflows"
FILES = sorted(FOLDER.glob("*.json"))
NOTIFY = FOLDER / "notify-result.json"


def node(workflow, name):
    return next(one for one in workflow["nodes"] if one["name"] == name)


def find(tmp_path, change):
    """What the check says of all workflows, of which one is changed."""
    for path in FILES:
        (tmp_path / path.name).write_text(path.read_text())
    workflow = json.loads((tmp_path / NOTIFY.name).read_text())
    change(workflow)
    (tmp_path / NOTIFY.name).write_text(dump(workflow))
    return [str(one) for one in check_all(sorted(tmp_path.glob("*.json")), CREDENTIALS)]


def test_all_workflows_are_well():
    assert [str(one) for one in check_all(FILES, ids_of(FOLDER / "n8n.toml"))] == []
    assert len(FILES) >= 11


def conditions(workflow):
    return node(workflow, "Signed and fresh?")["parameters"]


FAILS_OPEN = {
    "none": lambda p: p["conditions"].update(conditions=[]),
    "no conditions": lambda p: p.pop("conditions"),
    "text": lambda p: p.update(conditions="true"),
    "first version": lambda p: p.update(conditions={"boolean": [{"value1": "={{ false }}", "value2": True}]}),
    "no combinator": lambda p: p["conditions"].pop("combinator"),
    "odd combinator": lambda p: p["conditions"].update(combinator="xor"),
    "no options": lambda p: p["conditions"].pop("options"),
    "first options": lambda p: p["conditions"]["options"].update(version=1),
    "loose types": lambda p: p["conditions"]["options"].update(typeValidation="loose"),
    "loose node": lambda p: p.update(looseTypeValidation=True),
    "loose option": lambda p: p.update(options={"looseTypeValidation": True}),
    "condition is text": lambda p: p["conditions"].update(conditions=["={{ true }}"]),
    "no operator": lambda p: p["conditions"]["conditions"][0].pop("operator"),
    "operator is text": lambda p: p["conditions"]["conditions"][0].update(operator="true"),
    "unknown operation": lambda p: p["conditions"]["conditions"][0]["operator"].update(operation="isTrue"),
    "unknown type": lambda p: p["conditions"]["conditions"][0]["operator"].update(type="bool"),
    "not single": lambda p: p["conditions"]["conditions"][0]["operator"].pop("singleValue"),
    "nothing at the left": lambda p: p["conditions"]["conditions"][0].update(leftValue=""),
    "empty expression": lambda p: p["conditions"]["conditions"][0].update(leftValue="="),
    "misspelt field": lambda p: p["conditions"]["conditions"][0].update(leftvalue="x"),
    "nothing at the right": lambda p: p["conditions"]["conditions"][0].update(
        operator={"type": "string", "operation": "equals"}
    ),
}


IDS = {read_workflow(path)["id"] for path in FILES}
CREDENTIALS = ids_of(FOLDER / "n8n.toml")


def complaints(change):
    """What the check says of notify-result by itself, after that change."""
    workflow = read_workflow(NOTIFY)
    change(workflow)
    return [str(one) for one in check_one(NOTIFY.name, workflow, ids=IDS, credentials=CREDENTIALS)]


@pytest.mark.parametrize("how", FAILS_OPEN)
def test_conditions_that_let_everything_pass_are_refused(how):
    found = complaints(lambda workflow: FAILS_OPEN[how](conditions(workflow)))
    assert found
    assert all("node 'Signed and fresh?'" in one for one in found)


SWITCH = [how for how in FAILS_OPEN if how not in {"loose node", "loose option"}]  # it has these elsewhere


@pytest.mark.parametrize("how", SWITCH)
def test_so_are_those_of_a_switch(how):
    found = complaints(lambda w: FAILS_OPEN[how](node(w, "Where to?")["parameters"]["rules"]["values"][2]))
    assert found
    assert all("rule 3" in one for one in found)


NODES = {
    "unknown type": lambda w: node(w, "Claim").update(type="n8n-nodes-base.teapot"),
    "foreign package": lambda w: node(w, "Claim").update(type="n8n-nodes-evil.redis"),
    "untried version": lambda w: node(w, "Claim").update(typeVersion=9),
    "remove duplicates": lambda w: node(w, "Claim").update(type="n8n-nodes-base.removeDuplicates", typeVersion=2),
    "guessed encoding": lambda w: node(w, "Raw body")["parameters"]["options"].pop("encoding"),
    "stripped": lambda w: node(w, "Raw body")["parameters"]["options"].update(stripBOM=True),
    "$env": lambda w: node(w, "Text")["parameters"].update(options={"x": "={{ $env.SECRET }}"}),
    "$vars": lambda w: node(w, "Text")["parameters"].update(options={"x": "={{ $vars.url }}"}),
    "crypto in code": lambda w: node(w, "Text").update(
        type="n8n-nodes-base.code", typeVersion=2, parameters={"jsCode": "const c = require('crypto')"}
    ),
    "python": lambda w: node(w, "Text").update(
        type="n8n-nodes-base.code", typeVersion=2, parameters={"language": "python"}
    ),
    "template": lambda w: node(w, "Text")["parameters"].update(options={"x": "={{ `a ${$json.x?.y}` }}"}),
    "md5": lambda w: node(w, "Expected signature")["parameters"].update(type="MD5"),
    "no timeout": lambda w: node(w, "Chat")["parameters"]["options"].pop("timeout"),
    "any certificate": lambda w: node(w, "Chat")["parameters"]["options"].update(allowUnauthorizedCerts=True),
    "open webhook": lambda w: node(w, "Webhook")["parameters"].pop("authentication"),
    "parsed body": lambda w: node(w, "Webhook")["parameters"]["options"].pop("rawBody"),
    "dropped without a word": lambda w: node(w, "Where to?")["parameters"]["options"].pop("fallbackOutput"),
    "unknown node in an expression": lambda w: node(w, "Chat")["parameters"].update(
        url="={{ $('Confg').item.json.x }}"
    ),
    "unknown credential": lambda w: node(w, "Claim")["credentials"]["redis"].update(id="nobody"),
    "credential with values": lambda w: node(w, "Claim")["credentials"]["redis"].update(data={"password": "x"}),
    "sub-workflow": lambda w: node(w, "Alert: budget")["parameters"]["workflowId"].update(value="nobody"),
    "secret in a config": lambda w: settings_of(w)["slack_url"].update(
        value="https://hooks.slack.com/services/T0/B0/x"
    ),
    "password in a url": lambda w: settings_of(w)["http_url"].update(value="https://me:word@example.com"),
    "token": lambda w: settings_of(w)["http_url"].update(value="hm_0123456789abcdefghijklmn"),
    "bearer": lambda w: node(w, "Chat")["parameters"].update(x="Bearer abcdefghijklmnop"),
    "whsec": lambda w: settings_of(w)["mail_to"].update(value="whsec_c2VjcmV0"),
    "random": lambda w: settings_of(w)["mail_to"].update(value="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c"),
}


@pytest.mark.parametrize("how", NODES)
def test_what_a_node_may_not_say_is_found(how):
    found = complaints(NODES[how])
    assert [one for one in found if "node '" in one], found


WHOLE = {
    "no note": lambda w: w["nodes"].remove(node(w, "Note")),
    "no trigger": lambda w: (w["nodes"].remove(node(w, "Webhook")), w["connections"].pop("Webhook")),
    "active": lambda w: w.update(active=True),
    "pinned": lambda w: w.update(pinData={"Webhook": [{"json": {"secret": 1}}]}),
    "another name": lambda w: w.update(name="My workflow"),
    "short id": lambda w: w.update(id="1"),
    "an id of another": lambda w: w.update(id="hookmillSetup"),
    "a path of another": lambda w: node(w, "Webhook")["parameters"].update(path="hookmill-intake"),
    "no error workflow": lambda w: w["settings"].pop("errorWorkflow"),
    "an error workflow that is not there": lambda w: w["settings"].update(errorWorkflow="nobodynobody"),
    "old order": lambda w: w["settings"].update(executionOrder="v0"),
    "link to nowhere": lambda w: w["connections"]["Webhook"]["main"][0][0].update(node="Nobody"),
    "link from nowhere": lambda w: w["connections"].update(Nobody={"main": [[]]}),
    "not reached": lambda w: w["connections"].pop("Release"),
    "twice the same name": lambda w: w["nodes"].append(copy.deepcopy(node(w, "Chat"))),
    "moved by a pixel": lambda w: node(w, "Chat").update(position=[1, 1]),
    "invented id": lambda w: node(w, "Chat").update(id="x"),
    "what n8n adds": lambda w: w.update(versionId="x"),
}


@pytest.mark.parametrize("how", WHOLE)
def test_what_a_workflow_may_not_be_is_found(tmp_path, how):
    assert find(tmp_path, WHOLE[how])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"id": 1}', '{"id":"a","name":"b","nodes":[1],"connections":{}}', "\xff"]
)
def test_a_file_that_is_no_workflow_is_one_line(tmp_path, text):
    (tmp_path / "odd.json").write_bytes(text.encode("latin-1"))
    [found] = check_all([tmp_path / "odd.json"])
    assert str(found).startswith("odd.json: ")
    assert "\n" not in str(found)


def as_n8n_gives(workflow):
    """What n8n's export has of it: ids of its own, other places on the canvas, what it adds, another order."""
    changed = copy.deepcopy(workflow)
    changed["nodes"] = list(reversed(changed["nodes"]))
    for number, one in enumerate(changed["nodes"]):
        one["id"] = f"random-{number}"
        one["position"] = [one["position"][0] + 320.4, one["position"][1] - 159.7]
        one["notesInFlow"] = False
    return changed | {
        "versionId": "v",
        "meta": {"instanceId": "i"},
        "createdAt": "now",
        "active": True,
        "tags": [{"id": 1}],
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_comes_back_byte_for_byte(path):
    workflow = read_workflow(path)
    place = copy.deepcopy(workflow)
    for field in settings_of(place).values():
        field["value"] = "the place's own"
    back = with_settings_of(as_n8n_gives(place), workflow)
    assert dump(normalised(back, order=[one["name"] for one in workflow["nodes"]])) == path.read_text()


def test_a_new_node_stands_at_the_end_and_a_new_setting_is_kept():
    workflow = read_workflow(NOTIFY)
    changed = as_n8n_gives(workflow)
    changed["nodes"].insert(0, {"name": "New", "type": "n8n-nodes-base.noOp", "typeVersion": 1, "position": [0, 0]})
    order = [one["name"] for one in workflow["nodes"]]
    assert [one["name"] for one in normalised(changed, order=order)["nodes"]] == [*order, "New"]
