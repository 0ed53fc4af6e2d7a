"""W&B's sweep.yaml: parameters with their distributions, a method, a metric, a program."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sweep.errors import UsageError, unknown
from sweep.foreign.spaces.space import Knob, Space, SpaceReader, listed, normal, ranged, tidy

_SAMPLERS = {"grid": None, "random": "random", "bayes": "gp"}


def _matches(content: Any) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get("parameters"), Mapping) and "method" in content


def _read(content: Any, path: Path) -> Space:
    method = str(content["method"])
    if method not in _SAMPLERS:
        raise unknown("method", method, _SAMPLERS, f"{path}: ")
    knobs = tuple(_knobs(content["parameters"], "", path))
    metric = content.get("metric") or {}
    goal = metric.get("goal") if isinstance(metric, Mapping) else None
    stops = content.get("early_terminate")
    search, lost = _stopping(stops) if isinstance(stops, Mapping) else ({}, [])
    if isinstance(metric, Mapping) and metric.get("target") is not None:
        lost.append(f"the sweep was to end at a {metric.get('name')} of {metric['target']}")
    if method == "bayes":
        lost.append("W&B's own Gaussian process: here that of Optuna")
    words, more = _command(content)
    return Space(
        "Weights & Biases",
        knobs,
        metric=metric.get("name") if isinstance(metric, Mapping) else None,
        direction=goal if goal in ("minimize", "maximize") else "minimize" if metric else None,  # W&B's default
        program=words,
        flag="{name}={value}" if "${args_no_hyphens}" in (content.get("command") or ()) else "--{name}={value}",
        trials=content.get("run_cap"),
        sampler=_SAMPLERS[method],
        search=search if method != "grid" else {},
        lost=(*lost, *more),
    )


def _knobs(parameters: Mapping[str, Any], start: str, path: Path) -> Iterator[Knob]:
    for name, table in parameters.items():
        if not isinstance(table, Mapping):
            raise UsageError(f"{path}: parameters: {start}{name}: expected value, values, or min and max")
        if isinstance(table.get("parameters"), Mapping):
            yield from _knobs(table["parameters"], f"{start}{name}.", path)
        else:
            yield _knob(f"{start}{name}", table, path)


def _knob(name: str, table: Mapping[str, Any], path: Path) -> Knob:
    if "value" in table:
        return listed(name, [table["value"]])
    if "values" in table:
        if not isinstance(table["values"], list) or not table["values"]:
            raise UsageError(f"{path}: parameters: {name}: values = {table['values']!r}: expected a list")
        lost = ["its values had probabilities of their own"] if "probabilities" in table else []
        return listed(name, table["values"], *lost)
    kind = table.get("distribution")
    if kind is None:
        whole = isinstance(table.get("min"), int) and isinstance(table.get("max"), int)
        kind = "int_uniform" if whole else "uniform"
    if kind not in _KINDS:
        raise unknown("distribution", str(kind), _KINDS, f"{path}: parameters: {name}: ")
    try:
        return _KINDS[kind](name, table)
    except KeyError as error:
        raise UsageError(f"{path}: parameters: {name}: {kind} without {error.args[0]}") from None
    except TypeError:
        raise UsageError(f"{path}: parameters: {name}: expected numbers, such as min: 0.1") from None


def _uniform(name: str, table: Mapping[str, Any]) -> Knob:
    return ranged(name, float(table["min"]), float(table["max"]))


def _whole(name: str, table: Mapping[str, Any]) -> Knob:
    return ranged(name, int(table["min"]), int(table["max"]))


def _read_stepped(name: str, table: Mapping[str, Any]) -> Knob:
    """A range whose values are rounded to multiples of q."""
    q = table.get("q", 1)
    low, high = round(table["min"] / q) * q, round(table["max"] / q) * q
    return ranged(name, low, high, step=q)


def _exponents(name: str, table: Mapping[str, Any]) -> Knob:
    """Log-uniform, with ends that are exponents of e."""
    return ranged(name, tidy(math.exp(table["min"])), tidy(math.exp(table["max"])), log=True, step=table.get("q"))


def _log(name: str, table: Mapping[str, Any]) -> Knob:
    """Log-uniform, with ends that are values."""
    return ranged(name, float(table["min"]), float(table["max"]), log=True, step=table.get("q"))


def _inverse(name: str, table: Mapping[str, Any]) -> Knob:
    return ranged(name, float(table["min"]), float(table["max"]), "was denser towards its upper end", log=True)


def _normal(name: str, table: Mapping[str, Any]) -> Knob:
    return normal(name, float(table.get("mu", 0)), float(table.get("sigma", 1)), step=table.get("q"))


def _log_normal(name: str, table: Mapping[str, Any]) -> Knob:
    return normal(name, float(table.get("mu", 0)), float(table.get("sigma", 1)), log=True, step=table.get("q"))


def _beta(name: str, table: Mapping[str, Any]) -> Knob:
    lost = f"had a beta distribution of a = {table['a']} and b = {table['b']}"
    return ranged(name, 0.0, 1.0, lost, step=table.get("q"))


_KINDS: dict[str, Callable[[str, Mapping[str, Any]], Knob]] = {
    "uniform": _uniform,
    "int_uniform": _whole,
    "q_uniform": _read_stepped,
    "log_uniform": _exponents,
    "log_uniform_values": _log,
    "q_log_uniform": _exponents,
    "q_log_uniform_values": _log,
    "inv_log_uniform": _inverse,
    "inv_log_uniform_values": _inverse,
    "normal": _normal,
    "q_normal": _normal,
    "log_normal": _log_normal,
    "q_log_normal": _log_normal,
    "beta": _beta,
    "q_beta": _beta,
}


def _stopping(table: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """W&B's early_terminate, which is Hyperband."""
    search: dict[str, Any] = {"pruner": "hyperband"}
    if isinstance(table.get("min_iter"), int):
        search["min_epochs"] = table["min_iter"]
    if isinstance(table.get("eta"), int):
        search["reduction"] = table["eta"]
    unsaid = [key for key in ("max_iter", "s", "strict") if key in table]
    return search, [f"early_terminate: {', '.join(unsaid)}"] if unsaid else []


def _command(content: Mapping[str, Any]) -> tuple[tuple[str, ...], list[str]]:
    """The words of the command without the arguments, which are every hyperparameter's flag."""
    program = content.get("program")
    command = content.get("command") or ["${interpreter}", "${program}", "${args}"]
    if program is None and "${program}" in command:
        return (), []
    known = {"${env}": "", "${interpreter}": "python", "${program}": str(program)}
    words = [known.get(str(word), str(word)) for word in command]
    kept = [word for word in words if word and not word.startswith("${args")]
    odd = [str(word) for word in command if str(word) in ("${args_json}", "${args_json_file}")]
    odd += [word for word in kept if "${" in word]
    lost = [f"the command had {', '.join(dict.fromkeys(odd))}: its arguments are flags here"] if odd else []
    return tuple(word for word in kept if "${" not in word), lost


WANDB = SpaceReader("Weights & Biases", "a YAML or JSON file with method and parameters", _matches, _read)
