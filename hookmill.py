"""What the author of a pipeline needs of Hookmill, and nothing else."""

from actors.errors import Discard, RetryAfter
from actors.llm.judge import Judge
from actors.llm.rules import without
from actors.pipelines.redact import pseudonymise, redact
from actors.registry import pipeline
from actors.run import Run
from gateway.config import Retry

__all__ = ["Discard", "Judge", "Retry", "RetryAfter", "Run", "pipeline", "pseudonymise", "redact", "without"]
