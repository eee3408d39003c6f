"""The `model_list` of models.yaml, exactly as LiteLLM writes it: https://docs.litellm.ai/docs/proxy/configs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.config.errors import Key, shown, sort
from gateway.config.secret import Secret
from gateway.config.values import seconds, text, whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from gateway.config.reading import Reading

FROM_ENV = "os.environ/"
LIMITS = {"rpm": "rpm", "tpm": "tpm", "max_parallel_requests": "max_concurrent"}
OF_A_KEY = frozenset({"api_key", "organization", "weight", "order", *LIMITS})
"""What entries of one model at one place may say each for its own key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One entry of model_list, its `os.environ/X` resolved; `name` is unique, `group` is its model_name."""

    name: str
    group: str
    model: str
    params: Mapping[str, object] = field(repr=False)
    timeout: timedelta | None
    limits: Mapping[str, int] = field(default_factory=dict)

    def shares_pool(self, other: Deployment) -> bool:
        """Whether the two are one model at one place, under keys of their own."""
        return (self.group, self.model, _keyless(self.params)) == (other.group, other.model, _keyless(other.params))


def read_deployments(reading: Reading, raw: object) -> list[Deployment]:
    """Read every entry; notes mistakes and leaves the entries out that have one. Keys that are not ours pass."""
    if not isinstance(raw, list) or not raw:
        got = "an empty list" if isinstance(raw, list) else sort(raw)
        reading.wrong(("model_list",), f"expected a list of models, got {got}")
        return []
    seen: Counter[str] = Counter()
    found = [_deployment(reading, entry, at=("model_list", place), seen=seen) for place, entry in enumerate(raw)]
    return [one for one in found if one]


def _deployment(reading: Reading, entry: object, *, at: Key, seen: Counter[str]) -> Deployment | None:
    if not isinstance(entry, dict) or not isinstance(params := entry.get("litellm_params"), dict):
        reading.wrong(at, "expected a mapping with model_name and litellm_params, itself a mapping with model")
        return None
    group = _said(reading, entry.get("model_name"), at=(*at, "model_name"))
    resolved = {
        str(key): _resolved(reading, value, at=(*at, "litellm_params", str(key))) for key, value in params.items()
    }
    model = _said(reading, resolved.pop("model", None), at=(*at, "litellm_params", "model"))
    timeout = _timeout(reading, resolved.pop("timeout", None), at=(*at, "litellm_params", "timeout"))
    limits = _limits(reading, resolved, at=(*at, "litellm_params"))
    if not group or not model:
        return None
    name = _name(reading, entry, group, at=at, seen=seen)
    return Deployment(name=name, group=group, model=model, params=resolved, timeout=timeout, limits=limits)


def _keyless(params: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in params.items() if name not in OF_A_KEY}


def _said(reading: Reading, value: object, *, at: Key) -> str:
    """Take a text that names one thing: LiteLLM's wildcards name many, and none that could be called."""
    try:
        said = text(value)
    except ValueError as error:
        reading.wrong(at, str(error))
        return ""
    if "*" in said:
        reading.wrong(at, f"expected the name of one model, got the wildcard {shown(said)}")
        return ""
    return said


def _name(reading: Reading, entry: dict[str, object], group: str, *, at: Key, seen: Counter[str]) -> str:
    """Give model_info.id, or else the model_name, from its second entry on with #2, #3, ..."""
    seen[f"{group}#"] += 1  # counts the entries of the group
    info = entry.get("model_info")
    own = info.get("id") if isinstance(info, dict) else None
    place = seen[f"{group}#"]
    name = str(own) if own is not None else group if place == 1 else f"{group}#{place}"
    seen[name] += 1
    if seen[name] > 1:
        reading.wrong((*at, "model_info", "id"), f"expected a name of its own, but {shown(name)} is taken")
    return name


def _timeout(reading: Reading, value: object, *, at: Key) -> timedelta | None:
    try:
        return None if value is None else seconds(_number(value))
    except ValueError as error:
        reading.wrong(at, str(error))
        return None


def _limits(reading: Reading, params: Mapping[str, object], *, at: Key) -> dict[str, int]:
    """Read the limits that LiteLLM has words for; they are ours where hookmill.candidates says no other."""
    limits = {}
    for theirs, ours in LIMITS.items():
        try:
            if (value := params.get(theirs)) is not None:
                limits[ours] = whole(1)(_number(value))
        except ValueError as error:
            reading.wrong((*at, theirs), str(error))
    return limits


def _number(value: object) -> object:
    """Turn "20", which an environment variable gives, into a number; anything else stays."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


def _resolved(reading: Reading, value: object, *, at: Key) -> object:
    """Replace `os.environ/X` at any depth."""
    if isinstance(value, dict):
        return {key: _resolved(reading, one, at=(*at, str(key))) for key, one in value.items()}
    if isinstance(value, list):
        return [_resolved(reading, one, at=(*at, place)) for place, one in enumerate(value)]
    if not isinstance(value, str) or not value.startswith(FROM_ENV):
        return value
    try:
        return Secret.from_env(value.removeprefix(FROM_ENV), reading.env).reveal()
    except ValueError as error:
        reading.wrong(at, str(error))
        return ""
