"""The protocols of model providers, as far as a completion needs them: where it is asked for, how it is answered.

Sources: https://platform.openai.com/docs/api-reference/chat, https://docs.anthropic.com/en/api/messages,
https://ai.google.dev/api/generate-content, https://docs.ollama.com/api/chat; the words of errors are the providers'.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A completion: its text (None: no choice at all), and why it ended (OpenAI's word).

    `usage` are the tokens that were read and written; they are what the provider bills, whether or not it `tells` them.
    """

    text: str | None
    finish: str = "stop"
    usage: tuple[int, int] = (10, 5)
    tells: bool = True
    model: str = "fake-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """An error: the status, and what stands in its body; `kind` and `code` are OpenAI's."""

    status: int
    message: str = "scripted fault"
    kind: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a provider tells what others tell otherwise; None where it has no such answer."""

    too_long: Wrong
    quota: Wrong | None = None
    refused: Wrong | Said | None = None
    bad_key: Wrong = field(default_factory=lambda: Wrong(status=401, message="invalid key"))
    overloaded: Wrong = field(default_factory=lambda: Wrong(status=503, message="overloaded"))


class Dialect(Protocol):
    """One provider's protocol."""

    prefix: str  # of the model's name in LiteLLM
    base: str  # what follows the server's root in `api_base`
    path: str  # of the completion, as Starlette writes it
    words: Words

    def model(self, body: Json, path: Mapping[str, str]) -> str:
        """Give the model that is asked for."""

    def key(self, headers: Mapping[str, str]) -> str:
        """Give the key that came with the call."""

    def complete(self, said: Said, body: Json) -> Json:
        """Make the JSON of a completion."""

    def fail(self, wrong: Wrong) -> Json:
        """Make the JSON of an error."""


class OpenAI:
    """POST /v1/chat/completions."""

    prefix, base, path = "openai", "/v1", "/v1/chat/completions"
    words = Words(
        too_long=Wrong(
            status=400,
            message="This model's maximum context length is 4096 tokens. However, your messages resulted in 9000.",
            kind="invalid_request_error",
            code="context_length_exceeded",
        ),
        quota=Wrong(
            status=429,
            message="You exceeded your current quota, please check your plan and billing details.",
            kind="insufficient_quota",
            code="insufficient_quota",
        ),
        refused=Wrong(
            status=400,
            message="Your request was rejected as a result of our safety system. content_policy_violation",
            kind="invalid_request_error",
            code="content_policy_violation",
        ),
        bad_key=Wrong(status=401, message="Incorrect API key provided", code="invalid_api_key"),
    )

    def model(self, body: Json, path: Mapping[str, str]) -> str:  # noqa: ARG002 - the others need it
        return str(body["model"])

    def key(self, headers: Mapping[str, str]) -> str:
        return headers.get("authorization", "").removeprefix("Bearer ")

    def complete(self, said: Said, body: Json) -> Json:  # noqa: ARG002 - as above
        message = {"role": "assistant", "content": said.text}
        choices = [] if said.text is None else [{"index": 0, "message": message, "finish_reason": said.finish}]
        made = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": said.model, "choices": choices}
        if not said.tells:
            return made
        read, written = said.usage
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        return made | {"usage": usage}

    def fail(self, wrong: Wrong) -> Json:
        return {"error": {"message": wrong.message, "type": wrong.kind, "param": None, "code": wrong.code}}


ANTHROPIC_ENDS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
ANTHROPIC_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Anthropic:
    """POST /v1/messages."""

    prefix, base, path = "anthropic", "", "/v1/messages"
    words = Words(
        too_long=Wrong(status=400, message="prompt is too long: 210000 tokens > 200000 maximum"),
        quota=Wrong(status=400, message="Your credit balance is too low to access the Anthropic API."),
        refused=Said(text="", finish="content_filter"),
        bad_key=Wrong(status=401, message="invalid x-api-key"),
        overloaded=Wrong(status=529, message="Overloaded"),
    )

    def model(self, body: Json, path: Mapping[str, str]) -> str:  # noqa: ARG002
        return str(body["model"])

    def key(self, headers: Mapping[str, str]) -> str:
        return headers.get("x-api-key", "")

    def complete(self, said: Said, body: Json) -> Json:
        read, written = said.usage
        usage = {"usage": {"input_tokens": read, "output_tokens": written} if said.tells else {}}
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": said.model,
            "content": [] if said.text is None else [self._block(said.text, body)],
            "stop_reason": ANTHROPIC_ENDS[said.finish],
        } | usage

    def _block(self, text: str, body: Json) -> Json:
        """Answer by the tool that the model was told to use, if any: so LiteLLM asks older models for JSON."""
        if "name" not in (body.get("tool_choice") or {}):
            return {"type": "text", "text": text}
        try:
            value = json.loads(text)
        except ValueError:
            value = {"answer": text}
        return {"type": "tool_use", "id": "toolu_1", "name": body["tool_choice"]["name"], "input": value}

    def fail(self, wrong: Wrong) -> Json:
        kind = ANTHROPIC_KINDS.get(wrong.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": wrong.message}}


GEMINI_ENDS = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
GEMINI_KINDS = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}


class Gemini:
    """POST /v1beta/models/MODEL:generateContent."""

    prefix, base, path = "gemini", "/v1beta", "/v1beta/models/{model}:generateContent"
    words = Words(
        too_long=Wrong(
            status=400,
            message="The input token count (1500000) exceeds the maximum number of tokens allowed (1048576).",
        ),
        refused=Said(text="", finish="content_filter"),
        bad_key=Wrong(status=400, message="API key not valid. Please pass a valid API key."),
        overloaded=Wrong(status=503, message="The model is overloaded. Please try again later."),
    )

    def model(self, body: Json, path: Mapping[str, str]) -> str:  # noqa: ARG002
        return path["model"]

    def key(self, headers: Mapping[str, str]) -> str:
        return headers.get("x-goog-api-key", "")

    def complete(self, said: Said, body: Json) -> Json:  # noqa: ARG002
        content = {"role": "model", "parts": [{"text": said.text}]}
        candidate = {"content": content, "finishReason": GEMINI_ENDS[said.finish], "index": 0}
        made: Json = {"candidates": [] if said.text is None else [candidate], "modelVersion": said.model}
        if not said.tells:
            return made
        read, written = said.usage
        counted = {"promptTokenCount": read, "candidatesTokenCount": written, "totalTokenCount": read + written}
        return made | {"usageMetadata": counted}

    def fail(self, wrong: Wrong) -> Json:
        kind = GEMINI_KINDS.get(wrong.status, "INTERNAL")
        return {"error": {"code": wrong.status, "message": wrong.message, "status": kind}}


class Ollama:
    """POST /api/chat; a server of one's own, so no key, no quota and no refusal."""

    prefix, base, path = "ollama_chat", "", "/api/chat"
    words = Words(
        too_long=Wrong(status=400, message="prompt too long; exceeded max context length by 4904 tokens"),
        overloaded=Wrong(status=503, message="server busy, please try again. maximum pending requests exceeded"),
    )

    def model(self, body: Json, path: Mapping[str, str]) -> str:  # noqa: ARG002
        return str(body["model"])

    def key(self, headers: Mapping[str, str]) -> str:
        return headers.get("authorization", "").removeprefix("Bearer ")

    def complete(self, said: Said, body: Json) -> Json:  # noqa: ARG002
        made = {
            "model": said.model,
            "created_at": "2026-01-01T00:00:00Z",
            "message": {"role": "assistant", "content": said.text or ""},
            "done_reason": said.finish,
            "done": True,
        }
        if not said.tells:
            return made
        read, written = said.usage
        return made | {"prompt_eval_count": read, "eval_count": written}

    def fail(self, wrong: Wrong) -> Json:
        return {"error": wrong.message}


DIALECTS: Mapping[str, Dialect] = {one.prefix: one for one in (OpenAI(), Anthropic(), Gemini(), Ollama())}
