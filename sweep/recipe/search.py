"""The section [search]: how a search asks for settings, and for what. Needs the plain keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sweep.errors import UsageError, unknown
from sweep.hyperparameters import Value, show_given
from sweep.recipe.keys import DIRECTIONS, METRICS, one_of, place, whole

SAMPLERS = ("tpe", "gp", "cmaes", "random", "qmc", "halton")
"""The samplers a search may ask; each is Optuna's own. qmc is Sobol's sequence, halton Halton's."""

PRUNERS = ("none", "median", "asha", "hyperband", "wilcoxon")
"""Who stops trials early."""

OBJECTIVES = (*METRICS, "parameters", "seconds")
"""What a search may have as one of several objectives: a metric, the size of the network, the time of its training."""


@dataclass(frozen=True)
class Search:
    """How a search asks for settings; part of a study's identity, since all of it decides which trials there are."""

    sampler: str = "tpe"
    in_flight: int = 16
    """Settings that are asked before the first of them is told."""
    seed: int = 0
    """Of the sampler."""
    pruner: str = "none"
    """Who stops trials early."""
    min_epochs: int = 1
    """Epochs after which it does so first."""
    reduction: int = 3
    """After that many times as many it does so again, and so on."""
    objectives: tuple[tuple[str, str], ...] = ()
    """Names and directions, where there are several."""
    enqueue: tuple[Mapping[str, Value], ...] = ()
    """Values of hyperparameters to be trained first."""
    warm: tuple[tuple[Mapping[str, Value], float | None], ...] = ()
    """(values of swept hyperparameters, metric) of another study's settings; the metric None where they diverged."""

    def to_dict(self) -> dict[str, Any]:
        """The keys of a recipe's table [search], and what a study was started with."""
        out: dict[str, Any] = {"sampler": self.sampler, "in_flight": self.in_flight, "seed": self.seed}
        if self.pruner != "none":
            out |= {"pruner": self.pruner, "min_epochs": self.min_epochs, "reduction": self.reduction}
        for way in DIRECTIONS:
            if names := [name for name, direction in self.objectives if direction == way]:
                out[way] = names
        started = {"enqueue": [dict(values) for values in self.enqueue], "warm": [list(pair) for pair in self.warm]}
        return out | {key: value for key, value in started.items() if value}


def _in_flight(key: str, value: object, where: str) -> int:
    count = whole(key, value, where)
    if not 1 <= count <= 100_000:
        raise UsageError(f"{where}{key} = {count}: expected 1 to 100000 settings")
    return count


def _at_least(least: int) -> Any:
    def check(key: str, value: object, where: str) -> int:
        if whole(key, value, where) < least:
            raise UsageError(f"{where}{key} = {value}: expected a whole number >= {least}")
        return int(str(value))

    return check


def _objectives(key: str, value: object, where: str) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise UsageError(f"{where}{key} = {show_given(value)}: expected some of {', '.join(OBJECTIVES)}")
    flat = [part.strip() for name in names for part in str(name).split(",")]
    for name in flat:
        if name.startswith("test_"):
            raise UsageError(f"{where}{name}: nothing is selected on test data; choose from {', '.join(OBJECTIVES)}")
        if name not in OBJECTIVES:
            raise unknown("objective", name[:60], OBJECTIVES, where)
    return tuple(flat)


_SEARCH = {
    "sampler": one_of(SAMPLERS),
    "in_flight": _in_flight,
    "seed": whole,
    "pruner": one_of(PRUNERS),
    "min_epochs": _at_least(1),
    "reduction": _at_least(2),
    "minimize": _objectives,
    "maximize": _objectives,
}

_SEARCH_FLAGS = {"in_flight": "in-flight", "min_epochs": "min-epochs", "seed": "search-seed", "warm": "from"}


def read_search(table: object, flags: Mapping[str, Any], file: str, text: str) -> Search:
    """The section of a recipe, with the flags that win over it."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{place(file, text, 'search')}search = {show_given(table)}: expected a table: [search]")
    entries = {key: (value, place(file, text, key)) for key, value in table.items()}
    if any(way in flags for way in DIRECTIONS):
        entries = {key: entry for key, entry in entries.items() if key not in DIRECTIONS}
    entries |= {key: (value, f"--{_SEARCH_FLAGS.get(key, key)}: ") for key, value in flags.items()}
    plain: dict[str, Any] = {}
    for key, (value, where) in entries.items():
        started = key in ("enqueue", "warm") and (key in flags or file == "ledger")
        if key not in _SEARCH and not started:
            raise unknown("key of [search]", key, _SEARCH, where)
        plain[key] = _SEARCH[key](key, value, where) if key in _SEARCH else tuple(value)
    objectives = tuple((name, way) for way in DIRECTIONS for name in plain.pop(way, ()))
    return Search(**plain, objectives=objectives)


def aim_metric(plain: dict[str, Any]) -> dict[str, Any]:
    """A search's metric and direction follow from its objectives; a single one is no more than that."""
    search: Search = plain["search"]
    if not search.objectives:
        return plain
    listed, ways = ", ".join(f"{way} {name}" for name, way in search.objectives), dict(search.objectives)
    if len(ways) < len(search.objectives):
        raise UsageError(f"objectives {listed}: one of them is given twice")
    ranked = [name for name in ways if name in METRICS]
    if not ranked:
        raise UsageError(
            f"objectives {listed}: trials are ranked on one of {', '.join(METRICS)}; expected one of those too"
        )
    metric = plain.get("metric", ranked[0])
    if metric not in ways:
        raise UsageError(f"metric = {metric}: not among the objectives ({listed}); give one of those, or none")
    if plain.get("direction", ways[metric]) != ways[metric]:
        raise UsageError(f"direction = {plain['direction']}: the objectives say {ways[metric]} {metric}")
    several = search.objectives if len(ways) > 1 else ()
    return plain | {"metric": metric, "direction": ways[metric], "search": replace(search, objectives=several)}
