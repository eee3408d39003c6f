"""One ticket, labelled by a model: by our own ask, or by LiteLLM's Router in its place."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from actors.errors import Failure
from hookmill import Run, pipeline

PROMPT = "Label ticket {number}, and draft a reply."


class Label(BaseModel):
    """What is asked for."""

    label: Literal["billing", "bug", "praise"]
    reply: str


@pipeline("ours", steps=("label",))
async def ours(run: Run) -> dict[str, Any]:
    """Ask our own way."""
    ticket = run.event.json
    asked = PROMPT.format(number=ticket["number"])
    label = await run.ask("label", asked, untrusted=ticket["text"], into=Label)
    return {"number": ticket["number"], **label.model_dump()}


@cache
def router(retries: int) -> Any:
    """Make the Router of this process, within its event loop, as BENCH_ROUTER says."""
    import litellm

    litellm.enable_json_schema_validation = True
    return litellm.Router(num_retries=retries, **json.loads(os.environ["BENCH_ROUTER"]))


async def _routed(number: int, text: str, retries: int) -> Label:
    import litellm

    messages = [{"role": "user", "content": f"{PROMPT.format(number=number)}\n\n{text}"}]
    try:
        response = await router(retries).acompletion(model="first", messages=messages, response_format=Label)
    except litellm.BadRequestError as error:  # a refused request: to ask again is of no use, as with ours
        raise Failure("refused", klass="permanent") from error
    return Label.model_validate_json(response.choices[0].message.content)


@pipeline("routed", steps=("label",))
async def routed(run: Run) -> dict[str, Any]:
    """Ask by the Router with two retries, as its documentation has it."""
    ticket = run.event.json
    label = await run.step("label", _routed, ticket["number"], ticket["text"], 2)
    return {"number": ticket["number"], **label.model_dump()}


@pipeline("routed_at_once", steps=("label",))
async def routed_at_once(run: Run) -> dict[str, Any]:
    """Ask by the Router without retries, so that it falls back at once."""
    ticket = run.event.json
    label = await run.step("label", _routed, ticket["number"], ticket["text"], 0)
    return {"number": ticket["number"], **label.model_dump()}


@pipeline("plain", steps=("answer",))
async def plain(run: Run) -> str:
    """Ask for a text."""
    return await run.ask("answer", PROMPT.format(number=run.event.json["number"]))
