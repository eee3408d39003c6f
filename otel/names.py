"""Names of attributes, as the semantic conventions have them; ours begin with `app.`, and nothing else is exported.

https://opentelemetry.io/docs/specs/semconv/ 1.44; gen_ai: https://github.com/open-telemetry/semantic-conventions-genai.
The messaging and gen_ai conventions are in development: a name that changes there changes here.
"""

from __future__ import annotations

from typing import Final

METHOD: Final = "http.request.method"
ROUTE: Final = "http.route"
STATUS: Final = "http.response.status_code"
RESENDS: Final = "http.request.resend_count"
ERROR: Final = "error.type"

SYSTEM: Final = "messaging.system"
DESTINATION: Final = "messaging.destination.name"
OPERATION_TYPE: Final = "messaging.operation.type"
OPERATION: Final = "messaging.operation.name"
MESSAGE_SIZE: Final = "messaging.message.body.size"

GEN_AI_OPERATION: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER: Final = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
GEN_AI_INPUT: Final = "gen_ai.usage.input_tokens"
GEN_AI_OUTPUT: Final = "gen_ai.usage.output_tokens"
GEN_AI_TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a kind of token that is counted

EVENT: Final = "app.event.id"
SOURCE: Final = "app.source"
PIPELINE: Final = "app.pipeline"
SINK: Final = "app.sink"
STEP: Final = "app.step"
CANDIDATE: Final = "app.candidate"
ALIAS: Final = "app.alias"
ATTEMPT: Final = "app.attempt"
OUTCOME: Final = "app.outcome"
WAITED: Final = "app.queue.wait_ms"
CACHED: Final = "app.cached"
DEGRADED: Final = "app.degraded"
COST: Final = "app.cost.usd"
REPLAYED: Final = "app.replayed"
DELIVERY: Final = "app.delivery.id"
UNTOLD: Final = "app.untold"  # how many steps and calls of an attempt have no span of their own: there were too many
CODE: Final = "app.code"
STATE: Final = "app.queue.state"
LANE: Final = "app.lane"
PERIOD: Final = "app.period"
WHAT: Final = "app.what"

SPAN_ATTRIBUTES: Final = frozenset(
    [METHOD, ROUTE, STATUS, RESENDS, ERROR, SYSTEM, DESTINATION, OPERATION_TYPE, OPERATION,
     MESSAGE_SIZE, GEN_AI_OPERATION, GEN_AI_PROVIDER, GEN_AI_REQUEST_MODEL, GEN_AI_RESPONSE_MODEL, GEN_AI_INPUT,
     GEN_AI_OUTPUT, EVENT, SOURCE, PIPELINE, SINK, STEP, CANDIDATE, ALIAS, ATTEMPT, OUTCOME, WAITED, CACHED, DEGRADED,
     COST, REPLAYED, DELIVERY, UNTOLD, CODE]
)  # fmt: skip
"""All that a span may carry: the allow-list of `collector.yaml` has these, and a test compares the two."""


def step_name(step: str) -> str:
    """Give a step's name without the key of its round, which may hold content: for all that leaves the worker."""
    return step.partition("[")[0]
