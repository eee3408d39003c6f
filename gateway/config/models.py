"""models.yaml: LiteLLM's own file, and our aliases and limits under its top-level key `hookmill`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gateway.config.errors import ConfigError, Key, nearest, shown, sort
from gateway.config.model_list import Deployment, read_deployments
from gateway.config.reading import Reading, Table
from gateway.config.values import Attempts, Concurrency, Count, Duration, Named, Ratio, Text  # noqa: TC001 - pydantic reads them
from gateway.config.yaml_text import parse_yaml
from gateway.ledger.slots import CircuitRule, Way

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LISTS = frozenset({"candidates", "larger_context", "on_refusal"})
"""The keys of an alias that name candidates."""

# What LiteLLM's proxy reads beside model_list (https://docs.litellm.ai/docs/proxy/config_settings); it means nothing
# here, but a file that the proxy takes is taken as it is.
OF_THE_PROXY = frozenset(
    {
        *(
            "agent_list",
            "agents",
            "assistant_settings",
            "callback_settings",
            "credential_list",
            "default_vertex_config",
        ),
        *("environment_variables", "files_settings", "finetune_settings", "general_settings", "guardrails", "include"),
        *("litellm_settings", "mcp_servers", "mcp_tools", "pass_through_endpoints", "policies", "policy_attachments"),
        *("prompts", "router_settings", "sandbox_tools", "search_tools", "vector_store_registry", "worker_registry"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One provider deployment: `model` as LiteLLM names it, `params` the rest of its litellm_params, secrets resolved.

    `timeout` is that of one call. `max_concurrent` calls at once, `rpm` calls and `tpm` tokens within any 60 s; None
    sets no bound. Candidates that differ in their key alone share a `pool`: another key helps against a limit, not
    against a provider that is down.
    """

    name: str
    model: str
    pool: str = ""
    params: Mapping[str, object] = field(default_factory=dict, repr=False)
    timeout: timedelta = timedelta(seconds=20)
    max_concurrent: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    circuit: CircuitRule = field(default_factory=CircuitRule)

    @property
    def pool_name(self) -> str:
        """The pool, which is itself where it shares none."""
        return self.pool or self.name

    @property
    def way(self) -> Way:
        """What the ledger is told of it."""
        return Way(
            name=self.name,
            pool=self.pool_name,
            concurrent=self.max_concurrent,
            calls=self.rpm,
            tokens=self.tpm,
            circuit=self.circuit,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """The model a step asks for: candidates in the order they are tried, `deadline` for all of one ask.

    A prompt that is too long goes to `larger_context` instead, one that a provider refuses for its content nowhere but
    to `on_refusal`.
    """

    name: str
    candidates: tuple[Candidate, ...]
    larger_context: tuple[Candidate, ...] = ()
    on_refusal: tuple[Candidate, ...] = ()
    deadline: timedelta = timedelta(seconds=60)
    attempts_per_candidate: int = 1

    @property
    def everyone(self) -> tuple[Candidate, ...]:
        """Every candidate that may be asked, each once."""
        listed = (*self.candidates, *self.larger_context, *self.on_refusal)
        return tuple({candidate.name: candidate for candidate in listed}.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """What models.yaml says; its repr shows no secret."""

    path: Path
    aliases: Mapping[str, Alias]


class CircuitTable(Table):
    """The mapping `circuit` of a candidate."""

    failures: Count | None = None
    window: Duration | None = None
    open_for: Duration | None = None
    ratio: Ratio | None = None
    least: Count | None = None
    ramp: Duration | None = None


class CandidateTable(Table):
    """What hookmill.candidates says of a candidate, or of all that share a model_name."""

    max_concurrent: Concurrency | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    circuit: CircuitTable | None = None


class AliasTable(Table):
    """What hookmill.aliases says of an alias."""

    candidates: tuple[Text, ...] = Field(description="a list of names of model_list")
    larger_context: tuple[Text, ...] | None = Field(default=None, description="a list of names of model_list")
    on_refusal: tuple[Text, ...] | None = Field(default=None, description="a list of names of model_list")
    deadline: Duration | None = None
    attempts_per_candidate: Attempts | None = None


class OursTable(Table):
    """The top-level key `hookmill`, closed to unknown keys."""

    aliases: Named | None = None
    candidates: Named | None = None


def load_models(path: Path, env: Mapping[str, str]) -> Models:
    """Read models.yaml and the `os.environ/X` it refers to. Raises ConfigError with its mistakes, one per line.

    The mistakes of `model_list` come first and alone, since those of the aliases would only follow from them.
    """
    reading = Reading(path=path, env=env)
    document = parse_yaml(reading)
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping with the key model_list, got {sort(document)}")
    known = ("hookmill", "model_list", *sorted(OF_THE_PROXY))
    for key in document:
        if key not in known and not str(key).startswith("x-"):  # x-: where YAML's anchors are kept
            reading.wrong((str(key),), f"unknown key{nearest(str(key), known)}")
    reading.finish()
    deployments = read_deployments(reading, document.get("model_list"))
    reading.finish()
    ours = document.get("hookmill")
    table = reading.table(OursTable, {} if ours is None else ours, at=("hookmill",)) or OursTable()
    candidates = _candidates(reading, deployments, table.candidates or {})
    aliases = _aliases(reading, candidates, table.aliases or {})
    reading.finish()
    return Models(path=path, aliases=aliases)


def _candidates(
    reading: Reading, deployments: list[Deployment], settings: Mapping[str, object]
) -> dict[str, list[Candidate]]:
    """Make the candidates by every name they have: a model_name stands for all its entries, in order."""
    tables = {
        name: reading.table(CandidateTable, raw, at=("hookmill", "candidates", name)) or CandidateTable()
        for name, raw in settings.items()
    }
    named: dict[str, list[Candidate]] = {}
    pools: list[Deployment] = []
    for deployment in deployments:
        table = tables.get(deployment.name) or tables.get(deployment.group) or CandidateTable()
        pool = next((one for one in pools if one.shares_pool(deployment)), deployment)
        pools.append(pool)
        named.setdefault(deployment.group, []).append(_candidate(deployment, table, pool=pool.name))
    for one in [candidate for group in named.values() for candidate in group]:
        named.setdefault(one.name, [one])
    for name in settings.keys() - named.keys():
        reading.wrong(("hookmill", "candidates", name), f"not in model_list{nearest(name, named)}")
    return named


def _candidate(deployment: Deployment, table: CandidateTable, *, pool: str) -> Candidate:
    circuit = CircuitRule(**table.circuit.written()) if table.circuit else CircuitRule()
    given: dict[str, Any] = {**deployment.limits} | table.written(without=frozenset({"circuit"}))
    if deployment.timeout:
        given["timeout"] = deployment.timeout
    return Candidate(
        name=deployment.name, model=deployment.model, pool=pool, params=deployment.params, circuit=circuit, **given
    )


def _aliases(
    reading: Reading, named: Mapping[str, list[Candidate]], declared: Mapping[str, object]
) -> dict[str, Alias]:
    """Make the declared aliases, and one for every model_name that no alias is named after."""
    aliases = {name: Alias(name=name, candidates=tuple(candidates)) for name, candidates in named.items()}
    for name, raw in declared.items():
        at: Key = ("hookmill", "aliases", name)
        table = reading.table(AliasTable, raw, at=at)
        if table is None:
            continue
        written = table.written()
        for key in LISTS & written.keys():
            written[key] = _tried(reading, written[key], named=named, at=(*at, key))
        aliases[name] = Alias(name=name, **written)
    return aliases


def _tried(
    reading: Reading, names: tuple[str, ...], *, named: Mapping[str, list[Candidate]], at: Key
) -> tuple[Candidate, ...]:
    """Look the candidates of an alias up, in their order."""
    if not names:
        reading.wrong(at, "expected at least one candidate, got an empty list")
    tried: dict[str, Candidate] = {}
    for place, name in enumerate(names):
        if name not in named:
            reading.wrong((*at, place), f"{shown(name)} is not in model_list{nearest(name, named)}")
        for candidate in named.get(name, ()):
            if candidate.name in tried:
                reading.wrong((*at, place), f"candidate {shown(candidate.name)} stands twice")
            tried[candidate.name] = candidate
    return tuple(tried.values())
