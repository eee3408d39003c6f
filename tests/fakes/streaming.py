"""Completions in pieces, as each provider sends them when a stream is asked for.

Sources: https://platform.openai.com/docs/api-reference/chat-streaming, https://docs.anthropic.com/en/docs/build-with-claude/streaming,
https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent, https://docs.ollama.com/api/chat.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fakes.dialects import ANTHROPIC_ENDS, GEMINI_ENDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fakes.dialects import Json, Said

PIECE = 4  # characters of a piece


def stream(prefix: str, said: Said, body: Json) -> list[bytes]:
    """Give the completion in pieces, in the protocol of that provider."""
    return list(STREAMS[prefix](said, body))


def _pieces(said: Said) -> list[str]:
    text = said.text or ""
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def _event(value: Any, kind: str = "") -> bytes:
    return (f"event: {kind}\n" if kind else "").encode() + b"data: " + json.dumps(value).encode() + b"\n\n"


def _openai(said: Said, body: Json) -> Iterator[bytes]:
    made = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": said.model}
    if said.text is not None:
        for piece in _pieces(said):
            delta = {"role": "assistant", "content": piece}
            yield _event(made | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        yield _event(made | {"choices": [{"index": 0, "delta": {}, "finish_reason": said.finish}]})
    if said.tells and (body.get("stream_options") or {}).get("include_usage"):
        read, written = said.usage
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        yield _event(made | {"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _anthropic(said: Said, body: Json) -> Iterator[bytes]:
    read, written = said.usage
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": said.model, "content": []}
    message["usage"] = {"input_tokens": read, "output_tokens": 1} if said.tells else {}
    yield _event({"type": "message_start", "message": message}, "message_start")
    tool = (body.get("tool_choice") or {}).get("name")
    block = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}} if tool else {"type": "text", "text": ""}
    yield _event({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start")
    for piece in _pieces(said):
        delta = {"type": "input_json_delta", "partial_json": piece} if tool else {"type": "text_delta", "text": piece}
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
    yield _event({"type": "content_block_stop", "index": 0}, "content_block_stop")
    end = {"type": "message_delta", "delta": {"stop_reason": ANTHROPIC_ENDS[said.finish]}}
    yield _event(end | {"usage": {"output_tokens": written} if said.tells else {}}, "message_delta")
    yield _event({"type": "message_stop"}, "message_stop")


def _gemini(said: Said, body: Json) -> Iterator[bytes]:  # noqa: ARG001 - the others need it
    for piece in _pieces(said):
        content = {"role": "model", "parts": [{"text": piece}]}
        yield _event({"candidates": [{"content": content, "index": 0}], "modelVersion": said.model})
    end = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": GEMINI_ENDS[said.finish], "index": 0}
    made: Json = {"candidates": [] if said.text is None else [end], "modelVersion": said.model}
    if said.tells:
        read, written = said.usage
        counted = {"promptTokenCount": read, "candidatesTokenCount": written, "totalTokenCount": read + written}
        made["usageMetadata"] = counted
    yield _event(made)


def _ollama(said: Said, body: Json) -> Iterator[bytes]:  # noqa: ARG001 - as above
    made = {"model": said.model, "created_at": "2026-01-01T00:00:00Z"}
    for piece in _pieces(said):
        yield json.dumps(made | {"message": {"role": "assistant", "content": piece}, "done": False}).encode() + b"\n"
    end = made | {"message": {"role": "assistant", "content": ""}, "done_reason": said.finish, "done": True}
    counted = {"prompt_eval_count": said.usage[0], "eval_count": said.usage[1]} if said.tells else {}
    yield json.dumps(end | counted).encode() + b"\n"


STREAMS: Mapping[str, Callable[[Said, Json], Iterator[bytes]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama_chat": _ollama,
}
