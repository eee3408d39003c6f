"""The model `local/lexicon`: answers with rules and word lists, without a key and without a network.

It lets everything run, and stand in when all providers are down; it is no language model, so what it answers is
labelled degraded.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from actors.llm import lexicon, prompt
from actors.llm.records import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.llm.records import Message

PROVIDER = "local"
"""The prefix of the model's name. LiteLLM is not asked: a worker with nothing else does without it."""

MODEL = "lexicon"


def reply(messages: Sequence[Message], response_format: Any = None) -> str:
    """Answer chat messages: JSON for a `json_schema` response format, else a short text. Raises CannotAnswer."""
    text = prompt.material(messages)
    if not response_format or response_format.get("type") != "json_schema":
        return lexicon.summarise(text)
    return json.dumps(lexicon.answer(text, response_format["json_schema"]["schema"]), ensure_ascii=False)


def count(messages: Sequence[Message], answer: str) -> dict[str, int]:
    """Make the `usage` of an answer, in words: there are no tokens here."""
    read, written = sum(len(message["content"].split()) for message in messages), len(answer.split())
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


class LocalError(Exception):
    """A call that no local model answers; `status_code` is what a provider over HTTP would say."""

    def __init__(self, status_code: int, text: str) -> None:
        """Take 404 for a model that does not exist, 501 for what it cannot answer: another candidate may."""
        super().__init__(text)
        self.status_code = status_code


def call(model: str, messages: Sequence[Message], response_format: Any = None) -> Reply:
    """Answer as the model (`local/lexicon`). Raises LocalError."""
    if model != f"{PROVIDER}/{MODEL}":
        raise LocalError(404, f"there is no local model {model!r}, only '{PROVIDER}/{MODEL}'")
    try:
        answer = reply(messages, response_format)
    except lexicon.CannotAnswer as unable:
        raise LocalError(501, str(unable)) from None
    usage = count(messages, answer)
    return Reply(
        text=answer,
        finish_reason="stop",
        model=MODEL,
        input_tokens=usage["prompt_tokens"],
        output_tokens=usage["completion_tokens"],
        cost_usd=0.0,
        priced=True,
        degraded=True,
    )
