"""Rules for the text of answers, beside pydantic's own: `into=Annotated[str, StringConstraints(...), without(...)]`.

pydantic's `pattern` runs on an engine that takes linear time, whatever the pattern and the text
(https://docs.pydantic.dev/latest/api/config/#pydantic.config.ConfigDict.regex_engine).
"""

from __future__ import annotations

import re

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def without(*words: str) -> AfterValidator:
    """Make a rule against these words, in any case, as whole words. Raises ValueError for none, or a blank one."""
    if not words or not all(word.strip() for word in words):
        raise ValueError("expected at least one word, and none that is blank")
    found = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, words)) + r")(?!\w)", re.IGNORECASE)
    told = ", ".join(words)

    def check(text: str) -> str:
        if found.search(text):
            raise PydanticCustomError("banned_word", "Must not contain any of: {words}", {"words": told})
        return text

    return AfterValidator(check)
