"""The model `local/lexicon`: answers with rules and word lists, without a key and without a network.

It lets everything run, and stand in when all providers are down; it is no language model, so what it answers is
labelled degraded.
"""

from __future__ import annotations

import json
from typing import Any

from actors.llm import lexicon, prompt

PROVIDER = "local"
"""The prefix of the model's name, to LiteLLM the provider."""

MODEL = "lexicon"


def reply(messages: list[dict[str, str]], response_format: Any = None) -> str:
    """Answer chat messages: JSON for a `json_schema` response format, else a short text. Raises CannotAnswer."""
    text = prompt.material(messages)
    if not response_format or response_format.get("type") != "json_schema":
        return lexicon.summarise(text)
    return json.dumps(lexicon.answer(text, response_format["json_schema"]["schema"]), ensure_ascii=False)


def count(messages: list[dict[str, str]], answer: str) -> dict[str, int]:
    """Make the `usage` of an answer, in words: there are no tokens here."""
    read, written = sum(len(message["content"].split()) for message in messages), len(answer.split())
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def make(base: Any, error: Any) -> Any:
    """Make LiteLLM's custom provider, of its class CustomLLM and its CustomLLMError (handed in: no import here).

    What the lexicon cannot answer ends with 501: another candidate may.
    """

    class Lexicon(base):  # type: ignore[misc]
        async def acompletion(self, *, model: str, messages: list[Any], model_response: Any, **given: Any) -> Any:
            if model != MODEL:
                raise error(404, f"there is no local model {model!r}, only {MODEL!r}")
            try:
                answer = reply(messages, given["optional_params"].get("response_format"))
            except lexicon.CannotAnswer as unable:
                raise error(501, str(unable)) from None
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}
            return type(model_response)(model=MODEL, choices=[choice], usage=count(messages, answer))

    return Lexicon()
