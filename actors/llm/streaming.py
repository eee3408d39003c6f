"""An answer that comes in pieces: read to its end, telling how much of it there is, or found to be cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CHARS_PER_TOKEN = 4
"""Where nobody counts tokens: an estimate is wrong by a little, nothing by everything."""

STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
"""What LiteLLM is told; without the second one OpenAI tells no tokens."""

BEHIND = "original_exception"
"""Where LiteLLM's MidStreamFallbackError, which is for its Router, keeps what happened."""

WHOLE_ONLY = ("gemini/", "vertex_ai/", "vertex_ai_beta/")
"""Models that are asked for their answer as a whole.

LiteLLM 1.106 says of every piece of Gemini's that it is the last one, so that nobody can tell a stream that was cut.
"""


class Cut(Exception):  # noqa: N818 - a provider's end, not a fault of ours
    """A stream ended without saying why: the rest of the answer may be missing."""


def streams(model: str) -> bool:
    """Tell whether that model can be asked for its answer in pieces."""
    return not model.startswith(WHOLE_ONLY)


async def whole(litellm: Any, stream: Any, told: Callable[[int], None]) -> Any:
    """Read LiteLLM's stream and give it as a response; `told` hears how many tokens there are, by their characters.

    The response has no usage where the provider told none. Raises what LiteLLM raises, or Cut.
    """
    pieces: list[Any] = []
    length = 0
    try:
        async for piece in stream:
            pieces.append(piece)
            grown = sum(len(choice.delta.content or "") for choice in piece.choices)
            length += grown
            if grown:
                told(-(-length // CHARS_PER_TOKEN))
    except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises is raised again, or what is behind it
        raise getattr(error, BEHIND, None) or error from None
    finally:
        await stream.aclose()
    if stream.received_finish_reason is None and any(piece.choices for piece in stream.chunks):
        raise Cut
    response = litellm.stream_chunk_builder(pieces)
    counted = [usage.total_tokens for piece in stream.chunks if (usage := getattr(piece, "usage", None))]
    if not any(counted):
        response.usage, response._hidden_params = None, {}  # noqa: SLF001 - LiteLLM's own count, which looks like theirs
    return response
