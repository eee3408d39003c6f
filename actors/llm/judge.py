"""A second opinion: another model scores an answer by named criteria, on a scale whose steps are told."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, create_model

from actors.llm.classify import Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

BEST = 5
TASK = (
    "Judge a text that was written for the task below. For each criterion give a short reason, then a score: 1 it does "
    "the opposite, 2 mostly not, 3 in part, 4 mostly, 5 fully. Neither length nor style counts unless a criterion says "
    "so.\n\nThe criteria:\n{criteria}\n\nThe task was:\n{task}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Asks the alias `model` to score an answer from 1 to 5 by each of `criteria` (name: what is wanted).

    An answer with a score below `least` is shown what is wanted, and corrected, as one that does not fit its type. Take
    a model of another family than the one that answers, and leave to code what code can check.
    """

    model: str
    criteria: Mapping[str, str]
    least: int = 4

    def __post_init__(self) -> None:
        """Refuse no criteria, and a threshold off the scale. Raises ValueError."""
        if not self.criteria or not 1 <= self.least <= BEST:
            raise ValueError(f"expected criteria, and least from 1 to {BEST}")

    def prompt(self, task: str) -> str:
        """Give what the judge is told; the text itself comes as untrusted."""
        listed = "\n".join(f"- {name}: {wanted}" for name, wanted in self.criteria.items())
        return TASK.format(criteria=listed, task=task)

    @property
    def scores(self) -> type[BaseModel]:
        """The type of its answer: a reason and a score for each criterion."""
        return _scores(tuple(self.criteria))

    def trouble(self, scores: Any) -> tuple[Trouble | None, str]:
        """Say what falls short, to everybody and to the model that answered.

        The judge's reasons stay out of both: it has read somebody else's text.
        """
        given = {name: getattr(scores, field).score for name, field in _fields(tuple(self.criteria)).items()}
        short = {name: score for name, score in given.items() if score < self.least}
        if not short:
            return None, ""
        told = ", ".join(f"{name} {score} of {BEST}" for name, score in short.items())
        complaint = "\n".join(f"- {name}: {score} of {BEST}. {self.criteria[name]}" for name, score in short.items())
        return Trouble(kind="bad_output", name=f"judged {told}"), complaint


class Score(BaseModel):
    """What a judge says of one criterion."""

    reason: Annotated[str, Field(max_length=500)]
    score: Annotated[int, Field(ge=1, le=BEST)]


def _fields(names: tuple[str, ...]) -> dict[str, str]:
    """Give each criterion the name of a field."""
    return {name: f"criterion_{number}" for number, name in enumerate(names, 1)}


@lru_cache(256)
def _scores(names: tuple[str, ...]) -> type[BaseModel]:
    fields: dict[str, Any] = {field: (Score, Field(description=name)) for name, field in _fields(names).items()}
    return create_model("Scores", **fields)
