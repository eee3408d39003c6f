"""Asking language models: fallback over candidates, one deadline, slots and circuits, validated answers.

Importing this imports no LiteLLM; `actors.llm.provider.prepare()` does.
"""

from actors.llm.ask import Asker
from actors.llm.judge import Judge
from actors.llm.records import Answer, Call, Question, Reply, Wait

__all__ = ["Answer", "Asker", "Call", "Judge", "Question", "Reply", "Wait"]
