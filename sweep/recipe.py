"""A recipe: what to sweep, on which data, with which seeds; from TOML, flags or the ledger. Needs hyperparameters, space."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweep.errors import UsageError, unknown
from sweep.hyperparameters import TABLE, Hyperparameter, Value, shown
from sweep.space import Axis, Grid, Range

METRICS: dict[str, str] = {
    "val_loss": "minimize",
    "val_accuracy": "maximize",
    "train_loss": "minimize",
    "train_accuracy": "maximize",
}
"""The metrics a study may be ranked on, each with its direction. None of them is on test data (promise 6)."""

DIRECTIONS = ("minimize", "maximize")
PRECISIONS = ("float32", "tf32", "bf16")
"""What matrix products are made of: float32; TensorFloat-32, on GPUs that have it; bfloat16 with sums in float32."""

RECIPE_KEYS = ("data", "data_dir", "split_seed", "precision", "seeds", "metric", "direction", "space", "search")

SAMPLERS = ("tpe", "gp", "cmaes", "random", "qmc")
"""The samplers a search may ask; each is Optuna's own."""

PRUNERS = ("none", "median", "asha")
"""Who stops trials early."""


@dataclass(frozen=True)
class Search:
    """How a search asks for settings; part of a study's identity, since all of it decides which trials there are.

    in_flight: settings that are asked before the first of them is told; seed: of the sampler; enqueue: values of
    hyperparameters to be trained first; pruner: who stops trials early, first after min_epochs, then after `reduction`
    times as many and so on; warm: (values of swept hyperparameters, metric) of another study's settings,
    the metric None where they diverged.
    """

    sampler: str = "tpe"
    in_flight: int = 16
    seed: int = 0
    pruner: str = "none"
    min_epochs: int = 1
    reduction: int = 3
    enqueue: tuple[Mapping[str, Value], ...] = ()
    warm: tuple[tuple[Mapping[str, Value], float | None], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The keys of a recipe's table [search], and what a study was started with."""
        out: dict[str, Any] = {"sampler": self.sampler, "in_flight": self.in_flight, "seed": self.seed}
        if self.pruner != "none":
            out |= {"pruner": self.pruner, "min_epochs": self.min_epochs, "reduction": self.reduction}
        started = {"enqueue": [dict(values) for values in self.enqueue], "warm": [list(pair) for pair in self.warm]}
        return out | {key: value for key, value in started.items() if value}


@dataclass(frozen=True)
class Imported:
    """The columns of a table of results that were not trained here. The ledger keeps the metric in its column val_loss
    and the test metric, if there is one, in test_loss; swept and constant are the table's own hyperparameters."""

    metric: str
    swept: tuple[str, ...]
    constant: tuple[str, ...] = ()
    test: str | None = None

    @property
    def test_name(self) -> str | None:
        """What the test metric is called in tables of trials: so that it is known to be one."""
        return self.test if self.test is None or self.test.startswith("test_") else f"test_{self.test}"


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. `axes` keep the order in which they were listed; the seed is not among them. A study that was
    imported has no axes, but `imported`: its data is the name of a file, its metric the file's own."""

    axes: tuple[Axis, ...] = ()
    data: str = "digits"
    data_dir: str | None = None
    split_seed: int = 0
    precision: str = "float32"
    seeds: tuple[int, ...] = (0,)
    metric: str = "val_loss"
    direction: str = "minimize"
    search: Search | None = None
    imported: Imported | None = None

    @property
    def metric_column(self) -> str:
        """The column of the ledger that holds the metric."""
        return "val_loss" if self.imported else self.metric

    @property
    def grid(self) -> Grid:
        """The grid that the axes and seeds span."""
        return Grid(self.axes, self.seeds)

    def listed(self, name: str) -> tuple[Value, ...]:
        """The values of a hyperparameter as far as they are named: its default if it is not there, none of an open range."""
        axis = next((axis for axis in self.axes if axis.name == name), None)
        if axis is None:
            return (TABLE[name].default,)
        return () if isinstance(axis.values, Range) and axis.values.open else Grid((axis,), ()).points[name]

    @property
    def swept(self) -> tuple[str, ...]:
        """The names of the hyperparameters that take more than one value."""
        if self.imported:
            return self.imported.swept
        return tuple(axis.name for axis in self.axes if axis.swept)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values; `recipe_from_dict` reads it back."""
        if self.imported:
            plain = {"data": self.data, "seeds": list(self.seeds), "metric": self.metric, "direction": self.direction}
            return plain | {"space": {}, "imported": vars(self.imported)}
        space: dict[str, Any] = {}
        for axis in self.axes:
            if isinstance(axis.values, Range):
                space[axis.name] = {key: value for key, value in vars(axis.values).items() if value is not None}
            else:
                space[axis.name] = list(axis.values)
        return {
            "data": self.data,
            **({"data_dir": self.data_dir} if self.data_dir else {}),
            "split_seed": self.split_seed,
            **({"precision": self.precision} if self.precision != "float32" else {}),
            "seeds": list(self.seeds),
            "metric": self.metric,
            "direction": self.direction,
            "space": space,
            **({"search": self.search.to_dict()} if self.search else {}),
        }

    def identity(self) -> dict[str, Any]:
        """What decides which trials there are and what their numbers mean: not where the data lie, nor the ranking
        (but for a search, which goes by it)."""
        other = ("data_dir",) if self.search else ("data_dir", "metric", "direction")
        return {key: value for key, value in self.to_dict().items() if key not in other}

    def digest(self) -> str:
        """Six hexadecimal digits of the identity, for naming a study that nobody named."""
        return hashlib.sha256(json.dumps(self.identity()).encode()).hexdigest()[:6]

    def difference(self, other: Recipe) -> list[str]:
        """One line for each part of the identity in which `other` differs."""
        mine, theirs = _flatten(self.identity()), _flatten(other.identity())
        names = [*mine, *(name for name in theirs if name not in mine)]
        lines = [
            f"{name}: {json.dumps(mine.get(name))} there, {json.dumps(theirs.get(name))} here"
            for name in names
            if mine.get(name) != theirs.get(name)
        ]
        if not lines and list(mine) != list(theirs):
            lines.append(f"order: {', '.join(mine)} there, {', '.join(theirs)} here")
        return lines

    def fixed_epochs(self) -> Value | None:
        """The number of epochs, if it is not swept."""
        axis = next((axis for axis in self.axes if axis.name == "epochs"), None)
        return TABLE["epochs"].default if axis is None else None if axis.swept else axis.values[0]  # type: ignore[index]

    def includes(self, smaller: Recipe) -> bool:
        """Whether a study of `smaller` can grow into this one: the same data, split and loss, every trial of it still
        there, more epochs or as many. A search cannot: what it asks depends on all of its recipe."""
        if self.search or smaller.search:
            return not self.difference(smaller)
        if (self.data, self.split_seed, self.precision) != (smaller.data, smaller.split_seed, smaller.precision):
            return False
        if not set(self.seeds) >= set(smaller.seeds):
            return False
        mine, theirs = self.grid.points, smaller.grid.points
        for name in {*mine, *theirs}:
            row = TABLE[name]
            defaults = {row.default} | {v for (n, of), v in row.default_with.items() if of in theirs.get(n, ())}
            old, new = set(theirs.get(name, defaults)), set(mine.get(name, defaults))
            if name == "epochs" and len(old) == len(new) == 1:
                if int(*new) < int(*old):
                    return False
            elif not new >= old or (name == "loss" and new != old):
                return False
        return True


def load_recipe(path: Path | None, flags: Mapping[str, str], search: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a TOML file (or none) with command-line flags, in the order they were typed, winning over it.

    `flags` maps hyperparameter and recipe keys to their text, unparsed. `search`: for a search, the keys of its table
    [search] that were given as flags; without it the recipe is a grid's.
    """
    recipe = _load(path, flags, search)
    if search is None:
        return replace(recipe, search=None)
    if not recipe.swept:
        raise UsageError(
            "a search needs something to vary: give a list (--lr 0.1,0.01) or a range (--lr 1e-4:1e-1:log)"
        )
    return recipe


def _load(path: Path | None, flags: Mapping[str, str], search: Mapping[str, Any] | None) -> Recipe:
    if path is None:
        return _build({}, flags, "", search=search)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such recipe; expected a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a recipe: {error}") from None
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{path}: not a recipe: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    return _build(table, flags, str(path), text, search)


def recipe_from_dict(table: Mapping[str, Any]) -> Recipe:
    """The recipe that `Recipe.to_dict` wrote."""
    if "imported" in table:
        read = table["imported"]
        imported = Imported(read["metric"], tuple(read["swept"]), tuple(read["constant"]), read["test"])
        plain = {key: table[key] for key in ("data", "metric", "direction")}
        return Recipe(**plain, seeds=tuple(table["seeds"]), imported=imported)
    return _build(table, {}, "ledger")


def _build(
    table: Mapping[str, Any],
    flags: Mapping[str, str],
    file: str,
    text: str = "",
    search: Mapping[str, Any] | None = None,
) -> Recipe:
    entries = _entries(table, file, text)
    if "seed" in flags or "seeds" in flags:
        for key in ("seed", "seeds"):  # a flag for one wins over the other of the recipe
            entries.pop(key, None)
    for key in flags:
        if key in TABLE:
            entries[key] = (_parse_flag(TABLE[key], flags[key]), f"{TABLE[key].flag}: ")
        else:
            whole = key in ("seeds", "split_seed") and flags[key].strip().isdecimal() and len(flags[key]) < 20
            entries[key] = (int(flags[key]) if whole else flags[key], f"--{key.replace('_', '-')}: ")
    if "seed" in entries and "seeds" in entries:
        raise UsageError(f"{entries['seeds'][1]}seeds and seed both given; seeds = 3 means seed = [0, 1, 2]")

    plain: dict[str, Any] = {}
    axes: list[Axis] = []
    for key, (value, where) in entries.items():
        if key in TABLE:
            axis = _axis(TABLE[key], value, where)
            if key == "seed":
                plain["seeds"] = Grid((axis,), ()).points["seed"]
            else:
                axes.append(axis)
        else:
            plain[key] = _PLAIN[key](key, value, where)
    if "metric" not in plain and any(axis.name == "loss" and axis.swept for axis in axes):
        plain["metric"] = "val_accuracy"  # values of different losses cannot be ranked against each other
    plain.setdefault("direction", METRICS[plain.get("metric", "val_loss")])
    if search is not None or "search" in table:
        plain["search"] = _search(table.get("search", {}), search or {}, file, text)
    return Recipe(axes=tuple(axes), **plain)


def _search(table: object, flags: Mapping[str, Any], file: str, text: str) -> Search:
    if not isinstance(table, Mapping):
        raise UsageError(f"{_where(file, text, 'search')}search = {shown(table)}: expected a table: [search]")
    entries = {key: (value, _where(file, text, key)) for key, value in table.items()}
    entries |= {key: (value, f"--{_SEARCH_FLAGS.get(key, key)}: ") for key, value in flags.items()}
    plain: dict[str, Any] = {}
    for key, (value, where) in entries.items():
        started = key in ("enqueue", "warm") and (key in flags or file == "ledger")
        if key not in _SEARCH and not started:
            raise unknown("key of [search]", key, _SEARCH, where)
        plain[key] = _SEARCH[key](key, value, where) if key in _SEARCH else tuple(value)
    return Search(**plain)


def _entries(table: Mapping[str, Any], file: str, text: str) -> dict[str, tuple[Any, str]]:
    """Every key of the recipe with its value and, for messages, where it stands."""
    out: dict[str, tuple[Any, str]] = {}
    space = table.get("space", {})
    if not isinstance(space, Mapping):
        raise UsageError(f"{_where(file, text, 'space')}space = {shown(space)}: expected a table: [space]")
    for section in ({key: value for key, value in table.items() if key not in ("space", "search")}, space):
        for key, value in section.items():
            where = _where(file, text, key)
            known = [*TABLE] if section is space else [*RECIPE_KEYS, *TABLE]
            if key not in known:
                raise unknown("hyperparameter" if section is space else "key", key, known, where)
            if key in out:
                raise UsageError(f"{where}{key} is given both at the top and in [space]; give it once")
            out[key] = (value, where)
    return out


def _where(file: str, text: str, key: str) -> str:
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[=.\]]""", line.lstrip("[ ")):
            return f"{file}, line {number}: "
    return f"{file}: " if file else ""


def _axis(row: Hyperparameter, value: object, where: str) -> Axis:
    try:
        if isinstance(value, Range):
            return Axis(row.name, _check_range(row, value))
        if isinstance(value, Mapping):
            return Axis(row.name, _range_of(row, value))
        if isinstance(value, str) and ":" in value and row.kind in ("int", "float"):
            return Axis(row.name, _check_range(row, _parse_range(row, value)))  # written as in a flag
        if isinstance(value, list | tuple):
            if not value:
                raise UsageError(f"{row.name} = []: the list is empty; expected at least one value, {row.expected}")
            return Axis(row.name, tuple(row.check(item) for item in value))
        return Axis(row.name, (row.check(value),))
    except UsageError as error:
        raise UsageError(f"{where}{error}") from None


def _range_of(row: Hyperparameter, table: Mapping[str, Any]) -> Range:
    for key in table:
        if key not in ("low", "high", "log", "n", "step"):
            raise unknown(f"key of the range of {row.name}", key, ("low", "high", "log", "n", "step"))
    for key in ("low", "high"):
        if isinstance(table.get(key), bool) or not isinstance(table.get(key), int | float):
            raise UsageError(f"{row.name}: a range needs low and high, both numbers; given {shown(dict(table))}")
    log, n = table.get("log", False), table.get("n")
    if not isinstance(log, bool):
        raise UsageError(f"{row.name}: log = {shown(log)}: expected true or false")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int)):
        raise UsageError(f"{row.name}: n = {shown(n)}: expected a whole number of points")
    step = table.get("step")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int | float)):
        raise UsageError(f"{row.name}: step = {shown(step)}: expected a number")
    return _check_range(row, Range(table["low"], table["high"], log, n, step))


def _check_range(row: Hyperparameter, given: Range) -> Range:
    if row.kind in ("bool", "choice"):
        raise UsageError(f"{row.name}: a range was given; expected {row.expected}, or a list of them")
    low, high = row.check(given.low), row.check(given.high)
    assert not isinstance(low, str)
    assert not isinstance(high, str)
    if low >= high:
        raise UsageError(f"{row.name}: range from {low:g} to {high:g}; expected low < high")
    if given.log and low <= 0:
        raise UsageError(f"{row.name}: log range from {low:g}; expected low > 0")
    if given.n is not None and not 1 <= given.n <= 1_000_000:
        raise UsageError(f"{row.name}: n = {shown(given.n)}: expected 1 to 1000000 points")
    if given.step is not None:
        _check_step(row, given, low, high)
    return Range(low, high, given.log, given.n, given.step)


def _check_step(row: Hyperparameter, given: Range, low: float, high: float) -> None:
    assert given.step is not None
    if given.log or given.n is not None:
        other = "log" if given.log else "n"
        raise UsageError(f"{row.name}: step and {other} both given for one range; expected one of them")
    if not 0 < given.step <= high - low or (row.kind == "int" and given.step != int(given.step)):
        whole = "a whole number" if row.kind == "int" else "a number"
        raise UsageError(f"{row.name}: step = {given.step:g}: expected {whole} > 0 and at most high - low")
    if (high - low) / given.step > 1_000_000:
        raise UsageError(f"{row.name}: step = {given.step:g}: over 1000000 points; expected a larger step")


def _parse_flag(row: Hyperparameter, text: str) -> Range | list[Value]:
    """A flag's text: `0.1,0.01` is a list; `1e-4:1e-1`, `1e-4:1e-1:log`, `1e-4:1e-1:log:5`, `0:0.5:step=0.1` are ranges."""
    where = f"{row.flag}: "
    if ":" in text and row.kind in ("int", "float"):
        try:
            return _parse_range(row, text)
        except UsageError as error:
            raise UsageError(f"{where}{error}") from None
    parts = text.split(",")
    if any(not part.strip() for part in parts):
        raise UsageError(f"{where}{row.name} = {shown(text)}: an empty value; expected {row.expected}")
    try:
        return [row.parse(part) for part in parts]
    except UsageError as error:
        raise UsageError(f"{where}{error}") from None


def _parse_range(row: Hyperparameter, text: str) -> Range:
    low, high, *rest = (part.strip() for part in text.split(":"))
    steps = [part.removeprefix("step=") for part in rest if part.startswith("step=")]
    counts = [part.removeprefix("n=") for part in rest if part != "log" and not part.startswith("step=")]
    try:
        if len(counts) > 1 or len(steps) > 1 or rest.count("log") > 1:
            raise ValueError("given twice")
        step = float(steps[0]) if steps else None
        return Range(float(low), float(high), "log" in rest, int(counts[0]) if counts else None, step)
    except ValueError:
        form = "expected LOW:HIGH, LOW:HIGH:log, LOW:HIGH:log:N or LOW:HIGH:step=S"
        raise UsageError(f"{row.name} = {shown(text)}: {form}") from None


def _text(key: str, value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{where}{key} = {shown(value)}: expected text")
    file = key == "data_dir" or value.endswith(".npz")
    return str(Path(value).absolute()) if file else value  # so that a study resumes from any folder


def _choice(choices: Sequence[str]) -> Any:
    def check(key: str, value: object, where: str) -> str:
        if key == "metric" and isinstance(value, str) and value.startswith("test_"):
            raise UsageError(
                f"{where}{shown(value)}: nothing is selected on test data; choose from {', '.join(choices)}"
            )
        if value not in choices:
            raise unknown(key, str(value)[:60], choices, where)
        return str(value)

    return check


def _whole(key: str, value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise UsageError(f"{where}{key} = {shown(value)}: expected a whole number >= 0")
    return value


def _seeds(key: str, value: object, where: str) -> tuple[int, ...]:
    if isinstance(value, list | tuple):
        if not value:
            raise UsageError(f"{where}{key} = []: the list is empty; expected a number of seeds, or a list of them")
        axis = _axis(TABLE["seed"], value, where)
        return Grid((axis,), ()).points["seed"]  # type: ignore[return-value]
    count = _whole(key, value, where)
    if not 1 <= count <= 100_000:
        raise UsageError(f"{where}{key} = {count}: expected 1 to 100000 seeds")
    return tuple(range(count))


_PLAIN = {
    "data": _text,
    "data_dir": _text,
    "split_seed": _whole,
    "precision": _choice(PRECISIONS),
    "seeds": _seeds,
    "metric": _choice(tuple(METRICS)),
    "direction": _choice(DIRECTIONS),
}


def _in_flight(key: str, value: object, where: str) -> int:
    count = _whole(key, value, where)
    if not 1 <= count <= 100_000:
        raise UsageError(f"{where}{key} = {count}: expected 1 to 100000 settings")
    return count


def _at_least(least: int) -> Any:
    def check(key: str, value: object, where: str) -> int:
        if _whole(key, value, where) < least:
            raise UsageError(f"{where}{key} = {value}: expected a whole number >= {least}")
        return int(str(value))

    return check


_SEARCH = {
    "sampler": _choice(SAMPLERS),
    "in_flight": _in_flight,
    "seed": _whole,
    "pruner": _choice(PRUNERS),
    "min_epochs": _at_least(1),
    "reduction": _at_least(2),
}
_SEARCH_FLAGS = {"in_flight": "in-flight", "min_epochs": "min-epochs", "seed": "search-seed", "warm": "from"}


def _flatten(table: Mapping[str, Any]) -> dict[str, Any]:
    tables = ("space", "search")
    search = {f"search.{key}": value for key, value in table.get("search", {}).items()}
    return {**{key: value for key, value in table.items() if key not in tables}, **table["space"], **search}
