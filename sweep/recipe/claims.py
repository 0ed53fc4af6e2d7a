"""Claims: what a recipe expects to come out, stated before anything is trained. Needs hyperparameters, the plain keys.

A claim is a table [[claim]] of a recipe. `KINDS` says which keys each kind needs and may have; here they are read and
checked against the recipe, and `analysis.verdicts` says what became of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from sweep.errors import UsageError, unknown
from sweep.hyperparameters import TABLE, Value, show_given, show_value
from sweep.recipe.keys import METRICS
from sweep.recipe.units import is_accuracy

if TYPE_CHECKING:
    from sweep.recipe.identity import Recipe


@dataclass(frozen=True)
class Kind:
    """One kind of claim."""

    says: str
    """What such a claim says, in words."""
    needs: tuple[str, ...]
    """The keys it cannot do without, beside text and kind."""
    may: tuple[str, ...] = ()
    """Those it may have, beside metric and where."""


KINDS = {
    "better": Kind("a level is better than another", ("factor", "level"), ("than", "how", "by", "margin")),
    "equal": Kind("two levels are equal, within a margin", ("factor", "level", "margin"), ("than", "how", "by")),
    "not_worse": Kind(
        "a level is no worse than another, by more than a margin",
        ("factor", "level", "margin"),
        ("than", "how", "by"),
    ),
    "depends": Kind(
        "what a level gains depends on another hyperparameter",
        ("factor", "level", "on"),
        ("than", "more_at", "less_at", "margin"),
    ),
    "wider": Kind("more values of a range are usable with a level", ("factor", "level", "range", "usable"), ("than",)),
    "sooner": Kind(
        "a target is reached in fewer steps with a level", ("factor", "level", "target"), ("than", "by", "times")
    ),
    "trend": Kind("the metric rises or falls with a hyperparameter", ("factor", "direction"), ("by",)),
    "beats": Kind("the best setting reaches a fixed bar", ("bar",), ("by",)),
}
"""Every kind of claim."""

HOW = ("everywhere", "tuned")
"""How two levels are compared: over all settings of the rest, or each with the rest tuned for it."""

TRENDS = ("rises", "falls")


@dataclass(frozen=True)
class Claim:
    """One claim. Which fields mean anything depends on its kind; the others are None."""

    text: str
    """The claim in words."""
    kind: str
    """One of `KINDS`."""
    factor: str | None = None
    """The hyperparameter it is about."""
    level: Value | None = None
    """The level of it that is said to do better, and in `than` the level that it is compared with."""
    than: Value | None = None
    how: str = "everywhere"
    """One of `HOW`."""
    by: str | None = None
    """A hyperparameter at each value of which the claim is judged by itself."""
    where: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    """Hyperparameters and the values of them that it is about; all trials if there are none."""
    metric: str | None = None
    """What it is judged on; None is what the study is ranked on."""
    margin: float | None = None
    """What does not matter: a difference of the metric, of a loss as a share of it (0.1: losses within 10 %)."""
    on: str | None = None
    """The hyperparameter that the gain depends on; it is larger at `more_at` than at `less_at`, if these are given."""
    more_at: Value | None = None
    less_at: Value | None = None
    range: str | None = None
    """The hyperparameter whose usable values are counted."""
    usable: float | None = None
    """The metric from which on a value is usable."""
    target: float | None = None
    """What is to be reached."""
    times: float = 1.0
    """At least so many times sooner."""
    direction: str | None = None
    """One of `TRENDS`."""
    bar: float | None = None
    """What the best setting is to reach or beat."""
    stated: str | None = None
    """When the study got it (ISO 8601); None before that."""
    afterwards: bool = False
    """Whether there were results by then."""
    seeds: int | None = None
    """How many seeds the study was to have then."""

    @property
    def said(self) -> Claim:
        """The claim as it was written, without when."""
        return replace(self, stated=None, afterwards=False, seeds=None)

    def to_dict(self) -> dict[str, Any]:
        """The claim as plain values; `claim_from_dict` reads it back."""
        default = {field.name: field.default for field in fields(self)}
        out = {name: value for name, value in vars(self).items() if value != default[name] or name in ("text", "kind")}
        return out | ({"where": {name: list(values) for name, values in self.where}} if self.where else {})


def claim_from_dict(table: Mapping[str, Any]) -> Claim:
    """The claim that `Claim.to_dict` wrote."""
    where = tuple((name, tuple(values)) for name, values in table.get("where", {}).items())
    return Claim(**{**table, "where": where})


def add_claims(
    there: Sequence[Claim], stated: Sequence[Claim], when: str, seeds: int, afterwards: bool
) -> tuple[Claim, ...]:
    """The claims of a study and those that a recipe states now: what was stated before is kept as it was, what is new
    or has changed is added with the time, how many seeds there were to be, and whether there were results by then."""
    known = [claim.said for claim in there]
    now = {"stated": when, "afterwards": afterwards, "seeds": seeds}
    new = [replace(claim, **now) for claim in stated if claim.said not in known]  # type: ignore[arg-type]
    return (*there, *new)


SURE = 0.05
"""The error of all claims of a study together."""


def seeds_for(parts: float) -> int:
    """Seeds from which on one of so many claims can be shown over seeds: n of one sign have p = 2^(1 - n), and the
    smallest p counts as many times as there are claims, or parts of them (Holm 1979).

    >>> [seeds_for(parts) for parts in (1, 3, 10)]
    [6, 7, 9]
    """
    return math.ceil(1 - math.log2(SURE / max(1, parts)) - 1e-9)


def seeds_needed(claims: Sequence[Claim], recipe: Recipe) -> int:
    """Seeds with which every claim of a recipe can be shown over seeds: one with `by` shares its error among its parts,
    and where a setting must be chosen first, a third of the seeds choose."""
    needed = []
    for claim in claims:
        parts = max(1, len(dict(claim.where).get(claim.by, recipe.listed(claim.by)))) if claim.by else 1
        seeds = seeds_for(len(claims) * parts)
        needed.append(seeds * 3 // 2 if claim.kind == "beats" else seeds)
    return max(needed, default=0)


def read_claims(listed: object, file: str = "", text: str = "") -> tuple[Claim, ...]:
    """The claims of a recipe's tables [[claim]], each key checked by itself. Raises UsageError."""
    if not isinstance(listed, list | tuple) or not all(isinstance(table, Mapping) for table in listed):
        raise UsageError(f"{f'{file}: ' if file else ''}claim = {show_given(listed)}: expected tables: [[claim]]")
    places = [n for n, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*claim\s*\]\]", line)]
    places = places if len(places) == len(listed) else []
    claims = []
    for number, table in enumerate(listed):
        at = f"{file}, line {places[number]}: " if places else f"{file}: " if file else ""
        claims.append(_read(table, f"{at}{_name(table, number)}: "))
    for number, claim in enumerate(claims):
        if claim in claims[:number]:
            raise UsageError(f"{file}: claim {show_given(claim.text)} is there twice; expected each once")
    return tuple(claims)


def _name(table: Mapping[str, Any], number: int) -> str:
    text = table.get("text")
    return f"claim {show_given(text) if isinstance(text, str) and text else number + 1}"


def _read(table: Mapping[str, Any], where: str) -> Claim:
    for key in ("text", "kind"):
        if not isinstance(table.get(key), str) or not str(table[key]).strip():
            given = f"{key} = {show_given(table[key])}" if key in table else f"no {key}"
            expected = "the claim in words" if key == "text" else f"one of {', '.join(KINDS)}"
            raise UsageError(f"{where}{given}; expected {key} = {expected}")
    if table["kind"] not in KINDS:
        raise unknown("kind of claim", table["kind"][:60], KINDS, where)
    kind = KINDS[table["kind"]]
    known = ("text", "kind", *kind.needs, *kind.may, "metric", "where")
    for key in table:
        if key not in known:
            raise unknown(f"key of a claim of kind {table['kind']}", key[:60], known, where)
    if missing := [key for key in kind.needs if key not in table]:
        raise UsageError(
            f"{where}no {' and no '.join(missing)}; a claim of kind {table['kind']} says "
            f"that {kind.says}, and needs {', '.join(kind.needs)}"
        )
    if ("more_at" in table) != ("less_at" in table):
        raise UsageError(f"{where}more_at and less_at belong together; expected both, or neither")
    return Claim(**{key: _CHECKS.get(key, _as_given)(key, value, where) for key, value in table.items()})


def _as_given(key: str, value: object, where: str) -> Any:
    """Names and levels, which only the recipe can judge."""
    if key in ("text", "factor", "by", "on", "range") and (not isinstance(value, str) or not value.strip()):
        raise UsageError(f"{where}{key} = {show_given(value)}: expected text")
    if not isinstance(value, str | int | float | bool):
        raise UsageError(f"{where}{key} = {show_given(value)}: expected one value")
    return value.strip() if isinstance(value, str) else value


def _choice(choices: Sequence[str]) -> Callable[[str, object, str], str]:
    def check(key: str, value: object, where: str) -> str:
        if value not in choices:
            raise unknown(key, str(value)[:60], choices, where)
        return str(value)

    return check


def _above(least: float, words: str) -> Callable[[str, object, str], float]:
    def check(key: str, value: object, where: str) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least < float(str(value)) < 1e300:
            raise UsageError(f"{where}{key} = {show_given(value)}: expected {words}")
        return float(str(value))

    return check


def _metric(key: str, value: object, where: str) -> str:
    if isinstance(value, str) and value.startswith("test_"):
        raise UsageError(f"{where}{key} = {show_given(value)}: nothing is judged on test data; expected val_accuracy")
    if not isinstance(value, str) or not value:
        raise UsageError(f"{where}{key} = {show_given(value)}: expected one of {', '.join(METRICS)}")
    return value


def _where(key: str, value: object, where: str) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    if not isinstance(value, Mapping) or not value:
        raise UsageError(f"{where}{key} = {show_given(value)}: expected a table, such as {{ depth = 3 }}")
    pairs = []
    for name, values in value.items():
        listed = values if isinstance(values, list) else [values]
        if not listed or not all(isinstance(item, str | int | float | bool) for item in listed):
            raise UsageError(f"{where}{key}.{name} = {show_given(values)}: expected a value, or a list of them")
        pairs.append((name, tuple(listed)))
    return tuple(pairs)


_CHECKS: dict[str, Callable[[str, object, str], Any]] = {
    "how": _choice(HOW),
    "direction": _choice(TRENDS),
    "metric": _metric,
    "where": _where,
    "margin": _above(0, "a number above 0: differences up to it do not matter"),
    "usable": _above(-1e300, "a number"),
    "target": _above(-1e300, "a number"),
    "bar": _above(-1e300, "a number"),
    "times": _above(1, "a number above 1: at least so many times sooner"),
}


def fit_claims(claims: Sequence[Claim], recipe: Recipe) -> tuple[Claim, ...]:
    """The claims with their levels in canonical form and `than` filled in where there are two levels. Raises UsageError
    for what the recipe does not sweep, a level that is not there, a number outside the metric's range."""
    return tuple(_fit(claim, recipe, f"claim {show_given(claim.text)}: ") for claim in claims)


def _fit(claim: Claim, recipe: Recipe, where: str) -> Claim:
    _check_numbers(claim, claim.metric or recipe.metric, recipe, where)
    names: dict[str, Any] = {key: getattr(claim, key) for key in ("factor", "by", "on", "range")}
    names = {key: _swept(key, name, recipe, where) for key, name in names.items() if name is not None}
    doubled = [key for key in names if key != "factor" and names[key] == names.get("factor")]
    if doubled:
        raise UsageError(f"{where}{doubled[0]} = {names['factor']}: that is the factor; expected another")
    chosen = []
    for name, values in claim.where:
        name = _swept("where", name, recipe, where)
        alone = {"factor": claim.kind != "trend", "on": len(values) < 2}
        if taken := [key for key, of in names.items() if of == name and alone.get(key)]:
            raise UsageError(f"{where}where.{name}: that is {taken[0]}, whose values are compared; expected another")
        chosen.append((name, tuple(_level(f"where.{name}", name, value, recipe, where) for value in values)))
    claim = replace(claim, **names, where=tuple(chosen))
    levels: dict[str, Any] = {}
    for key, of in (("level", "factor"), ("than", "factor"), ("more_at", "on"), ("less_at", "on")):
        if getattr(claim, key) is not None:
            levels[key] = _level(key, names[of], getattr(claim, key), recipe, where)
    if "level" in levels and "than" not in levels:
        levels["than"] = _other(names["factor"], levels["level"], recipe, where)
    for first, second in (("level", "than"), ("more_at", "less_at")):
        if first in levels and levels[first] == levels[second]:
            raise UsageError(f"{where}{first} and {second} are both {show_value(levels[first])}; expected two levels")
    over = {"trend": "factor", "wider": "range"}.get(claim.kind)
    if over and not recipe.imported and recipe.row(names[over]).kind not in ("int", "float"):
        raise UsageError(f"{where}{over} = {names[over]}: expected a hyperparameter that is a number")
    return replace(claim, **levels)


def _check_numbers(claim: Claim, metric: str, recipe: Recipe, where: str) -> None:
    known = (recipe.metric,) if recipe.one_metric else (*METRICS,)
    if metric not in known:
        raise unknown("metric", metric[:60], known, where)
    losses = () if recipe.one_metric else dict.fromkeys(recipe.listed("loss"))
    if metric.endswith("_loss") and len(losses) > 1:
        raise UsageError(
            f"{where}the {metric} of different losses ({', '.join(map(str, losses))}) is "
            "in different units; expected metric = val_accuracy"
        )
    if claim.kind == "sooner" and recipe.one_metric:
        raise UsageError(f"{where}a target is looked for along a training; expected a study of networks, trained here")
    for key in ("target", "usable", "bar"):
        value = getattr(claim, key)
        if value is None or recipe.one_metric:
            continue
        if is_accuracy(metric) and not 0 < value <= 1:
            raise UsageError(f"{where}{key} = {value:g}: expected an accuracy above 0, up to 1; 0.9 is 90 %")
        if metric == "val_r2":
            continue
        if not is_accuracy(metric) and value <= 0:
            raise UsageError(f"{where}{key} = {value:g}: expected a loss above 0")
    if claim.margin is not None and is_accuracy(metric) and claim.margin >= 1 and not recipe.one_metric:
        raise UsageError(f"{where}margin = {claim.margin:g}: expected a difference below 1; 0.01 is one point")


def _swept(key: str, given: str, recipe: Recipe, where: str) -> str:
    """The hyperparameter that a name means, which the recipe must vary."""
    name = given if recipe.imported or given in recipe.swept else given.strip().lstrip("-").replace("-", "_")
    if name in recipe.swept:
        return name
    if name in ("seed", "seeds"):
        raise UsageError(f"{where}{key} = {given}: seeds are what a claim is judged over; expected a hyperparameter")
    varied = f"expected one of {', '.join(recipe.swept)}" if recipe.swept else "it sweeps nothing"
    if name in TABLE or not recipe.swept:
        raise UsageError(f"{where}{key} = {given}: the recipe does not sweep it; {varied}")
    raise unknown("hyperparameter", given[:60], recipe.swept, f"{where}{key}: ")


def _level(key: str, name: str, value: Value, recipe: Recipe, where: str) -> Value:
    """A level in canonical form, which the recipe must have."""
    if recipe.imported:
        return value
    try:
        level = recipe.row(name).parse(value) if isinstance(value, str) else recipe.row(name).check(value)
    except UsageError as error:
        raise UsageError(f"{where}{key}: {error}") from None
    levels = recipe.listed(name)
    if levels and level not in levels:
        listed = ", ".join(map(show_value, levels[:20]))
        raise UsageError(f"{where}{key} = {show_value(level)}: not a level of {name} here; expected one of {listed}")
    return level


def _other(name: str, level: Value, recipe: Recipe, where: str) -> Value:
    """The one other level, where nothing else is said."""
    others = () if recipe.imported else tuple(value for value in recipe.listed(name) if value != level)
    if len(others) != 1:
        why = "the study is imported" if recipe.imported else f"{name} has more than two levels"
        raise UsageError(f"{where}no than; {why}, so expected the one to compare with")
    return others[0]
