"""Calls one provider once, through LiteLLM; the only module that imports it (2.6 s and 180 MB, so not on import).

A worker calls `prepare()` once, after its fork. Retries, fallback, deadlines and cost limits are not LiteLLM's here.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import socket
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from actors.llm import lexicon, local
from actors.llm.records import Reply
from actors.llm.streaming import CHARS_PER_TOKEN, STREAMED, streams, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from actors.llm.records import Message, Schema
    from gateway.config import Candidate, Models

PRICES = ("input_cost_per_token", "output_cost_per_token")
"""LiteLLM's words for a candidate's own prices, in USD."""

WARM = [{"role": "user", "content": "warm"}]
NO_TOOLS = {"tools": None, "tool_choice": None, "functions": None, "function_call": None, "web_search_options": None}
"""A step reads what strangers write: whatever the candidate's params say, its model is given nothing to act with."""

SILENT = {"max_retries": 0, "num_retries": 0, "stream": False, "no-log": True, "drop_params": True}


@cache
def prepare() -> Any:
    """Import LiteLLM and make it quiet: no price list from the network, no .env file, no callbacks, no prompt in a log.

    Gives the module. Do not call it in a process that forks afterwards.
    """
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"  # "DEV", its default, reads the .env file of the working directory
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    litellm.set_verbose = False
    litellm.turn_off_message_logging = True
    for name in ("callbacks", "input_callback", "success_callback", "failure_callback", "service_callback"):
        setattr(litellm, name, [])
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


async def warm(models: Models) -> None:
    """Load what these models need, so that the first event does not wait for it.

    Where a candidate is local, these are the lexicon's lists (0.7 s, 67 MB). Where one is not, LiteLLM (3 to 6 s) and
    the 450 modules of the first call of a provider, for which the event loop would stand still, while an answer that is
    paid for runs out of time.
    """
    names = [candidate.model for alias in models.aliases.values() for candidate in alias.everyone]
    if any(_is_local(name) for name in names):
        lexicon.load()
    if not all(_is_local(name) for name in names):
        litellm = prepare()
        await _call_nobody(litellm)
        pieces = await litellm.acompletion(model="openai/warm", messages=WARM, mock_response="warm", stream=True)
        litellm.stream_chunk_builder([piece async for piece in pieces])


async def _call_nobody(litellm: Any) -> None:
    """Call a provider at a port of this machine that is taken and not listened at, so that it is refused at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with suppress(Exception):
            await litellm.acompletion(
                model="openai/warm", messages=WARM, api_base=url, api_key="none", timeout=1, **SILENT
            )


def _is_local(model: str) -> bool:
    return model.startswith(f"{local.PROVIDER}/")


async def call(
    candidate: Candidate,
    messages: Sequence[Message],
    *,
    schema: Schema | None,
    timeout: timedelta,  # noqa: ASYNC109 - a read timeout for LiteLLM; the caller sets the one for the whole call
    told: Callable[[int], None] | None = None,
) -> Reply:
    """Ask the candidate for a completion; with a schema of an object, also by the provider's own structured output.

    `response_format` in the candidate's params replaces ours (None: none). `told` hears how many tokens there are so
    far, where the provider sends its answer in pieces. Raises what LiteLLM raises, or Cut.
    """
    asked = {"response_format": _response_format(schema)} | dict(candidate.params) | SILENT | NO_TOOLS
    if _is_local(candidate.model):
        return local.call(candidate.model, messages, asked["response_format"])
    litellm, in_pieces = prepare(), told if streams(candidate.model) else None
    asked |= STREAMED if in_pieces else {}
    response = await litellm.acompletion(
        model=candidate.model,
        messages=[dict(message) for message in messages],
        timeout=math.ceil(timeout.total_seconds()),  # LiteLLM keeps a client for every timeout that it has seen
        **{name: value for name, value in asked.items() if value is not None},
    )
    if in_pieces:
        response = await whole(litellm, response, in_pieces)
    return _reply(response, candidate=candidate, asked=sum(len(message["content"]) for message in messages))


def price(candidate: Candidate, read: int, written: int) -> float | None:
    """Give what so many tokens cost in USD, by the candidate's own prices or LiteLLM's; None where none is known."""
    if _is_local(candidate.model):
        return 0.0
    own = {name: float(str(candidate.params[name])) for name in PRICES if name in candidate.params}
    if own:
        return sum(tokens * own.get(name, 0.0) for name, tokens in zip(PRICES, (read, written), strict=True))
    try:
        parts = prepare().cost_per_token(model=candidate.model, prompt_tokens=read, completion_tokens=written)
    except Exception:  # noqa: BLE001 - no price: LiteLLM has a class of its own for every way of not knowing it
        return None
    return float(sum(parts))


async def close() -> None:
    """Close the HTTP connections that LiteLLM keeps; for the worker's shutdown."""
    if prepare.cache_info().currsize:
        await importlib.import_module("litellm.llms.custom_httpx.async_client_cleanup").close_litellm_async_clients()


def _response_format(schema: Schema | None) -> dict[str, Any] | None:
    if schema is None or schema.get("type") != "object":  # providers take objects only
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}


def _reply(response: Any, *, candidate: Candidate, asked: int) -> Reply:
    choice = response.choices[0] if response.choices else None
    text = (choice.message.content or "") if choice else None
    read, written, counted = _tokens(response, asked=asked, answered=len(text or ""))
    cost = _cost(response) or price(candidate, read, written)
    return Reply(
        text=text,
        finish_reason=(choice.finish_reason or "") if choice else "",
        model=response.model or candidate.model,
        input_tokens=read,
        output_tokens=written,
        cost_usd=cost or 0.0,
        priced=cost is not None and counted,
    )


def _tokens(response: Any, *, asked: int, answered: int) -> tuple[int, int, bool]:
    """Give input and output tokens, and whether the provider counted them."""
    usage = getattr(response, "usage", None)
    read, written = getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0
    if read or written:
        return read, written, True
    return -(-asked // CHARS_PER_TOKEN), -(-answered // CHARS_PER_TOKEN), False


def _cost(response: Any) -> float:
    """Give LiteLLM's price of this response in USD; 0 where it knows none, or the response tells no tokens."""
    hidden = getattr(response, "_hidden_params", {}) or {}
    return float(hidden.get("response_cost") or 0)
