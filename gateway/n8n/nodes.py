"""Which nodes a workflow may have, and what each of them must say."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gateway.n8n.conditions import wrong_conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.n8n.form import Node, Workflow

BASE = "n8n-nodes-base."
VERSIONS: dict[str, tuple[float, ...]] = {
    "code": (2,),
    "crypto": (2,),
    "dataTable": (1, 1.1),
    "emailSend": (2.1,),
    "errorTrigger": (1,),
    "executeWorkflow": (1.2, 1.3),
    "executeWorkflowTrigger": (1.1,),
    "extractFromFile": (1, 1.1),
    "filter": (2.2, 2.3),
    "formTrigger": (2.3, 2.5),
    "httpRequest": (4.2, 4.3, 4.4),
    "if": (2.2, 2.3),
    "manualTrigger": (1,),
    "n8nTrigger": (1,),
    "noOp": (1,),
    "redis": (1,),
    "respondToWebhook": (1.4, 1.5),
    "rssFeedRead": (1.2,),
    "scheduleTrigger": (1.2, 1.3),
    "set": (3.4,),
    "splitInBatches": (3,),
    "stickyNote": (1,),
    "stopAndError": (1,),
    "switch": (3.2, 3.3, 3.4),
    "wait": (1.1,),
    "webhook": (2.1,),
}
"""Types and versions that run in n8n 2.41 and are not of those that 3.0 removed; the tests ask a real n8n for them."""

OUR_TRIGGER = "n8n-nodes-hookmill.hookmillTrigger"
OURS: dict[str, tuple[float, ...]] = {"n8n-nodes-hookmill.hookmill": (1,), OUR_TRIGGER: (1,)}
"""The nodes of n8n-workflows/node, which an n8n has only where that package is installed."""

TRIGGERS = frozenset(
    {
        *("errorTrigger", "executeWorkflowTrigger", "formTrigger", "manualTrigger", "n8nTrigger"),
        *("scheduleTrigger", "webhook", OUR_TRIGGER),
    }
)
REFUSED = {
    "removeDuplicates": "loses its memory under load: 17 of 30 copies sent at once passed; claim the id in Redis",
    "function": "left n8n with 3.0; take Code",
    "functionItem": "left n8n with 3.0; take Code",
    "itemLists": "left n8n with 3.0",
    "executeCommand": "runs commands on n8n's machine",
}
BANNED_WORDS = {
    "$env": re.compile(r"\$env\b"),
    "$vars": re.compile(r"\$vars\b"),
    "process.env": re.compile(r"\bprocess\.env\b"),
}
CODE_CRYPTO = re.compile(r"\bcrypto\b|\brequire\s*\(|\bimport\s*\(")
OPTIONAL_IN_TEMPLATE = re.compile(r"`[^`]*\$\{[^}`]*\?\.[^`]*`")


def kind_of(node: Node) -> str:
    """Give the type without the name of n8n's own package."""
    return str(node.get("type", "")).removeprefix(BASE)


def tells_hookmill(workflow: Workflow) -> bool:
    """Tell whether Hookmill hears when it fails: what it delivers is then delivered again, or becomes a dead letter."""
    triggers = [node for node in workflow["nodes"] if kind_of(node) in TRIGGERS]
    return bool(triggers) and all(map(_answers_at_the_end, triggers))


def _answers_at_the_end(trigger: Node) -> bool:
    mode = (trigger.get("parameters") or {}).get("responseMode", "lastNode")
    return kind_of(trigger) == OUR_TRIGGER and mode == "lastNode"


def wrong_node(node: Node) -> Iterator[str]:
    """Tell what is wrong with a node by itself."""
    kind, tried = kind_of(node), VERSIONS | OURS
    if kind in REFUSED:
        yield f"{kind} is not used: {REFUSED[kind]}"
    elif kind not in tried:
        yield f"unknown type {node.get('type')!r}"
    elif node.get("typeVersion") not in tried[kind]:
        known = ", ".join(map(str, tried[kind]))
        yield f"version {node.get('typeVersion')} of {kind} was not tried; known: {known}"
    parameters = node.get("parameters") or {}
    yield from RULES.get(kind, _nothing)(parameters)
    yield from _words(parameters)


def _nothing(_: dict[str, Any]) -> Iterator[str]:
    yield from ()


def _words(parameters: dict[str, Any]) -> Iterator[str]:
    text = json.dumps(parameters, ensure_ascii=False)
    for word, pattern in BANNED_WORDS.items():
        if pattern.search(text):
            yield f"{word} is blocked in n8n, or empty without a licence; put the value into Config"
    if OPTIONAL_IN_TEMPLATE.search(text):
        yield "`?.` inside a template literal breaks n8n's parser; join the texts with +"


def _if(parameters: dict[str, Any]) -> Iterator[str]:
    if parameters.get("looseTypeValidation") or (parameters.get("options") or {}).get("looseTypeValidation"):
        yield "looseTypeValidation turns texts into what was not meant"
    yield from wrong_conditions(parameters.get("conditions"))


def _switch(parameters: dict[str, Any]) -> Iterator[str]:
    rules = (parameters.get("rules") or {}).get("values")
    if parameters.get("mode", "rules") != "rules" or not isinstance(rules, list) or not rules:
        yield "a Switch goes by rules"
        return
    for number, rule in enumerate(rules, 1):
        yield from (f"rule {number}: {text}" for text in wrong_conditions(rule.get("conditions")))
    if (parameters.get("options") or {}).get("fallbackOutput") != "extra":
        yield 'options.fallbackOutput is not "extra": what no rule takes would be dropped without a word'


def _extract(parameters: dict[str, Any]) -> Iterator[str]:
    options = parameters.get("options") or {}
    if parameters.get("operation") != "text":
        yield "operation is not text"
    if options.get("encoding") != "utf8":
        yield "options.encoding is not utf8: n8n would guess, and the signature be over other bytes"
    if options.get("stripBOM") is not False:
        yield "options.stripBOM is not false: the signature would be over other bytes"


def _http(parameters: dict[str, Any]) -> Iterator[str]:
    options = parameters.get("options") or {}
    if not options.get("timeout"):
        yield "options.timeout is missing"
    if options.get("allowUnauthorizedCerts"):
        yield "options.allowUnauthorizedCerts lets anybody answer"


def _code(parameters: dict[str, Any]) -> Iterator[str]:
    if parameters.get("language", "javaScript") != "javaScript":
        yield "only JavaScript runs everywhere"
    if CODE_CRYPTO.search(str(parameters.get("jsCode", ""))):
        yield "Code has no modules and no credentials; use the Crypto node"


def _crypto(parameters: dict[str, Any]) -> Iterator[str]:
    if parameters.get("type") not in {"SHA256", "SHA384", "SHA512"}:
        yield f"type {parameters.get('type')!r} is no hash to trust"


def _webhook(parameters: dict[str, Any]) -> Iterator[str]:
    if parameters.get("authentication", "none") == "none":
        yield "authentication is none: whoever finds the URL makes n8n work"
    if not (parameters.get("options") or {}).get("rawBody"):
        yield "options.rawBody is off: no signature can be checked or made over what came"


RULES: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "if": _if,
    "filter": _if,
    "switch": _switch,
    "extractFromFile": _extract,
    "httpRequest": _http,
    "code": _code,
    "crypto": _crypto,
    "webhook": _webhook,
}
