"""The recipe itself: what decides which trials there are, and which recipe includes which. Needs space."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sweep.formulas import FUNCTION_DATA
from sweep.hyperparameters import (
    SQUARED_ERROR,
    TABLE,
    Hyperparameter,
    OwnSetting,
    Setting,
    Value,
    canonical,
    restored,
    show_value,
    stored,
)
from sweep.networks import Network
from sweep.recipe.claims import Claim, seeds_needed
from sweep.recipe.imported import Imported
from sweep.recipe.listed import axes_of
from sweep.recipe.network import typed_axes
from sweep.recipe.own import Trainer, own_axes
from sweep.recipe.race import Race
from sweep.recipe.search import Search
from sweep.recipe.shard import Shard
from sweep.space import UNWATCHED, Axis, Grid, Range, Watch, setting_key
from sweep.wording import count

WATCHED = ("look", "look_epochs", "evaluate_every", "shift")
"""The keys that say what to watch; they decide no number."""

BUDGETS = ("steps", "epochs")
"""What says how long a trial trains; the first, unless it is 0."""


@dataclass(frozen=True)
class Recipe:
    """A checked recipe."""

    axes: tuple[Axis, ...] = ()
    """In the order in which they were listed; the seed is not among them."""
    data: str = "digits"
    """Of an imported study, the name of the file."""
    data_dir: str | None = None
    split_seed: int = 0
    precision: str = "float32"
    seeds: tuple[int, ...] = (0,)
    splits: tuple[int, ...] = ()
    """The split of the data that each seed trains on, in the order of `seeds`; empty where all train on split 0."""
    metric: str = "val_loss"
    direction: str = "minimize"
    watch: Watch = UNWATCHED
    """What is measured beside the epochs' numbers while its trials train."""
    search: Search | None = None
    race: Race | None = None
    """Where settings are trained with further seeds only as long as they may be the best."""
    settings: tuple[Setting, ...] = ()
    """Where they are listed one by one, all of them; the axes then are the values that occur."""
    confirms: str | None = None
    """The study whose best settings these are, trained again with seeds of its own."""
    shard: Shard | None = None
    """The share of its trials that a study has, where several machines divide them; None is all."""
    imported: Imported | None = None
    """What was not trained here, a table or another tool's trials; then there are no axes."""
    trainer: Trainer | None = None
    """A user's own function or command, whose hyperparameters the axes name themselves."""
    network: Network | None = None
    """A user's own network, whose hyperparameters are among the axes."""
    claims: tuple[Claim, ...] = field(default=(), compare=False)
    """What is expected to come out; they decide no number."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What was made of the recipe as it was written; not kept."""

    @property
    def metric_column(self) -> str:
        """The column of the ledger that holds the metric."""
        return "val_loss" if self.one_metric else self.metric

    @property
    def curve_metric(self) -> str:
        """The column of the epochs' frame that holds the metric."""
        return self.metric if self.free else self.metric_column

    @property
    def one_metric(self) -> bool:
        """Whether its own metric is the only one that its trials have columns for."""
        return self.imported is not None or self.of_function or self.trainer is not None

    @property
    def regression(self) -> bool:
        """Whether its networks predict a number, not a class."""
        return not self.free and not self.of_function and self.listed("loss") == (SQUARED_ERROR,)

    @property
    def free(self) -> bool:
        """Whether its hyperparameters have names and values of their own, not those of sweep's table."""
        return self.imported is not None or self.trainer is not None

    def row(self, name: str) -> Hyperparameter:
        """What a hyperparameter is."""
        return next((axis.row for axis in self.axes if axis.name == name), None) or TABLE[name]

    @property
    def planned(self) -> bool:
        """Whether its trials follow from it alone: results decide those of a search and of a race, and an imported
        study has what it has."""
        return self.search is None and self.race is None and self.imported is None

    def is_own(self, name: str) -> bool:
        """Whether a hyperparameter is not of sweep's table, whatever the table says of its name."""
        return self.trainer is not None or any(axis.own for axis in self.axes if axis.name == name)

    @property
    def own_names(self) -> tuple[str, ...]:
        """The hyperparameters of a user's own network."""
        return tuple(axis.name for axis in self.axes if self.network and axis.own and axis.name != "model")

    def row_ends(self, name: str) -> list[int]:
        """The values of a hyperparameter that its own recipe names, or the ends of its range; none if no whole ones."""
        axis = next((axis for axis in self.axes if axis.name == name and axis.row.kind == "int"), None)
        if axis is None:
            return []
        values = axis.values
        ends = (values.low, values.high) if isinstance(values, Range) else values
        return [end for end in ends if isinstance(end, int)]

    @property
    def metric_if_own(self) -> str | None:
        """The metric of a trainer: the ledger keeps no other of it, so it is part of what a study is."""
        return self.metric if self.trainer else None

    @property
    def source(self) -> str:
        """What trials learn from, for readers: the data's name, or what trains in its own way."""
        return self.trainer.text if self.trainer else self.data

    @property
    def code(self) -> str:
        """What a user's own code is called, where it trains or is trained; else empty."""
        return self.trainer.text if self.trainer else self.network.text if self.network else ""

    @property
    def of_function(self) -> bool:
        """Whether points go down functions, in place of networks that learn data."""
        return self.data == FUNCTION_DATA

    def split_of(self, seed: int) -> int:
        """The number of the split that a seed trains on (see `Source.resplit`)."""
        return self._splits.get(seed, 0)

    @cached_property
    def _splits(self) -> dict[int, int]:
        return dict(zip(self.seeds, self.splits, strict=True)) if self.splits else {}

    @property
    def grid(self) -> Grid:
        """The grid that the axes and seeds span, or what is listed of it."""
        return Grid(self.axes, self.seeds, self.settings, own=self.trainer is not None)

    def setting(self, values: Mapping[str, Value]) -> Setting:
        """The canonical setting of a value for each axis."""
        if self.trainer is None:
            return canonical(values)
        return OwnSetting((axis.name, values[axis.name]) for axis in self.axes)

    def restored(self, kept: Mapping[str, Value]) -> Setting:
        """A setting as it was before the ledger kept it."""
        if self.imported:
            return dict(kept)
        return restored(kept) if self.trainer is None else OwnSetting(kept)

    def of_settings(self, settings: Sequence[Setting], **changes: Any) -> Recipe:
        """This recipe with settings listed one by one in place of its space, and with other changes."""
        axes = typed_axes(axes_of(settings), settings[0]) if self.trainer is None else own_axes(settings)
        unlike: dict[str, Any] = {"search": None, "race": None, "shard": None, "claims": ()}
        listed = {"axes": axes, "settings": tuple(settings)} | unlike
        return replace(self, **{**listed, **changes})

    def listed(self, name: str) -> tuple[Value, ...]:
        """The values of a hyperparameter as far as they are named:
        its default if it is not there, none of an open range."""
        axis = next((axis for axis in self.axes if axis.name == name), None)
        if axis is None:
            return () if self.trainer else (TABLE[name].default,)
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
            return plain | {"space": {}, "imported": self.imported.to_dict()} | self._claims()
        space = self._space()
        if self.trainer:
            return {
                self.trainer.kind: self.trainer.text,
                "folder": self.trainer.folder,
                "seeds": list(self.seeds),
                "metric": self.metric,
                "direction": self.direction,
                **self._more(space),
            }
        return {
            "data": self.data,
            **({"data_dir": self.data_dir} if self.data_dir else {}),
            "split_seed": self.split_seed,
            **({"folder": self.network.folder} if self.network else {}),
            **({"precision": self.precision} if self.precision != "float32" else {}),
            **({"look": list(self.watch.look)} if self.watch.look else {}),
            **({"look_epochs": list(self.watch.epochs)} if self.watch.epochs else {}),
            **({"evaluate_every": self.watch.every} if self.watch.every else {}),
            **({"shift": {shift.name: shift.text for shift in self.watch.shifts}} if self.watch.shifts else {}),
            "seeds": list(self.seeds),
            **({"split_seeds": list(self.splits)} if self.splits else {}),
            "metric": self.metric,
            "direction": self.direction,
            **self._more(space),
        }

    def as_written(self) -> dict[str, Any]:
        """The recipe as a file of it would say it, wherever that lies."""
        plain = {key: value for key, value in self.to_dict().items() if key not in ("folder", "shard", "race")}
        if self.trainer and self.trainer.kind == "train":
            plain["train"] = str(Path(self.trainer.folder) / self.trainer.text)
        if self.network:
            place = plain["space"] if "model" in plain["space"] else plain
            place["model"] = str(Path(self.network.folder) / self.network.text)
        return plain

    def _space(self) -> dict[str, Any]:
        """The axes as plain values; none where settings are listed instead."""
        space: dict[str, Any] = {}
        for axis in () if self.settings else self.axes:
            if isinstance(axis.values, Range):
                space[axis.name] = {key: value for key, value in vars(axis.values).items() if value is not None}
            else:
                space[axis.name] = list(axis.values)
        return space

    def _more(self, space: dict[str, Any]) -> dict[str, Any]:
        """What every recipe has after its plain keys, as plain values."""
        return {
            **({"confirms": self.confirms} if self.confirms else {}),
            **({"shard": self.shard.text} if self.shard else {}),
            **({"settings": [*map(stored, self.settings)]} if self.settings else {}),
            "space": space,
            **({"search": self.search.to_dict()} if self.search else {}),
            **({"race": self.race.to_dict()} if self.race else {}),
            **self._claims(),
        }

    def _claims(self) -> dict[str, Any]:
        return {"claims": [claim.to_dict() for claim in self.claims]} if self.claims else {}

    def identity(self) -> dict[str, Any]:
        """What decides which trials there are and what their numbers mean: not where the data lie, nor what is watched,
        nor the ranking (but for a search and a race, which go by it), nor by which rule a race that is there judges."""
        ranking = () if self.search or self.race else ("direction",) if self.trainer else ("metric", "direction")
        other = (*WATCHED, "data_dir", "folder", "claims", *ranking)
        plain = {key: value for key, value in self.to_dict().items() if key not in other}
        return plain | ({"race": self.race.asked()} if self.race else {})

    def digest(self) -> str:
        """Six hexadecimal digits of the identity, for naming a study that nobody named; all shards have one name."""
        whole = replace(self, shard=None).identity()
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:6]

    def difference(self, other: Recipe) -> list[str]:
        """One line for each part of the identity in which `other` differs."""
        mine, theirs = _flatten(self.identity()), _flatten(other.identity())
        names = [*mine, *(name for name in theirs if name not in mine)]
        lines = [
            f"{name}: {_part_text(name, mine.get(name))} there, {_part_text(name, theirs.get(name))} here"
            for name in names
            if mine.get(name) != theirs.get(name)
        ]
        if not lines and list(mine) != list(theirs):
            lines.append(f"order: {', '.join(mine)} there, {', '.join(theirs)} here")
        return lines

    def idle(self) -> dict[str, str]:
        """Hyperparameters that mean nothing in any setting, and when they would: of those with one value, in a search
        of all. (A grid says what it folds.)"""
        out: dict[str, str] = {}
        for axis in () if self.settings or self.trainer else self.axes:
            names = [] if axis.own else _conditions(axis.name)
            options = [self.listed(name) for name in names]
            if (axis.swept and not self.search) or not names or not all(options):
                continue
            cases = (dict(zip(names, values, strict=True)) for values in itertools.product(*options))
            if not any(axis.name in canonical(case) for case in cases):
                out[axis.name] = TABLE[axis.name].condition
        return out

    def idle_notes(self) -> list[str]:
        """The same, a line each, after what was made of the recipe and before what else may not be meant as written."""
        idle = self.idle().items()
        ranges = (axis.values.surprise(axis.row) for axis in self.axes if isinstance(axis.values, Range))
        return [
            *self.notes,
            *(f"{name} has no effect here: it is for {condition}" for name, condition in idle),
            *(note for note in ranges if note),
            *self.long_warmup(),
            *self._same_paths(),
            *self._few_seeds(),
        ]

    def _few_seeds(self) -> list[str]:
        """A line where there are too few seeds for a claim to be judged over them."""
        needed, seeds = seeds_needed(self.claims, self), len(self.seeds)
        if self.of_function or seeds >= needed:
            return []
        claims = count(len(self.claims), "claim")
        few = f"with {count(seeds, 'seed')} what is judged over seeds may not be shown"
        return [f"{claims}: {few}; expected --seeds {needed}"]

    def _same_paths(self) -> list[str]:
        """A line where seeds change nothing: a function's start is given, and there is no noise; or a command has no
        place for them."""
        if len(self.seeds) == 1:
            return []
        if self.trainer and self.trainer.kind == "command" and "{seed}" not in self.trainer.text:
            return [f"all {len(self.seeds):,} seeds run the same command: it does not use {{seed}}"]
        if not self.of_function:
            return []
        if "seed" in self.listed("start") or any(self._ends("noise")):
            return []
        return [f"all {len(self.seeds):,} seeds give the same path: its start is given, and there is no noise"]

    def long_warmup(self) -> list[str]:
        """A line where a warm-up ends after the training, in a setting that is listed or that the space can give."""
        if self.of_function or self.trainer:
            return []
        if self.settings:
            listed = (setting for setting in self.settings if "epochs" in setting)
            pairs = {(float(setting["warmup_epochs"]), int(setting["epochs"])) for setting in listed}
            cut = sorted(pair for pair in pairs if pair[0] > pair[1])
        else:
            if any(self._ends("steps")):
                return []  # how many epochs they are is for the data to say
            warmups, epochs = ({*self._ends(name)} for name in ("warmup_epochs", "epochs"))
            cut = sorted((warmup, int(epoch)) for warmup in warmups for epoch in epochs if warmup > epoch)
        if not cut:
            return []
        warmup, epoch = cut[-1][0], min(epoch for warmup, epoch in cut if warmup == cut[-1][0])
        paired = not self.settings and len({*self._ends("warmup_epochs")}) == len({*self._ends("epochs")}) == 1
        where = "" if paired or len(self.settings) == 1 else "where it is, "
        return [
            f"a warm-up of {show_value(warmup)} epochs is longer than a training "
            f"of {epoch:,}: {where}the learning rate never reaches its value"
        ]

    def _ends(self, name: str) -> tuple[float, ...]:
        """The values of a numeric hyperparameter, or the ends of its range."""
        axis = next((axis for axis in self.axes if axis.name == name), None)
        values = (TABLE[name].default,) if axis is None else axis.values
        return (values.low, values.high) if isinstance(values, Range) else tuple(float(value) for value in values)

    def budget(self) -> tuple[str, int] | None:
        """How long every trial trains: ("epochs", 10) or ("steps", 500); None where that is swept."""
        if self.trainer:
            return None
        swept = any(axis.swept for axis in self.axes if axis.name in BUDGETS)
        ends = [] if swept else [(name, int(self._ends(name)[0])) for name in BUDGETS]
        return next(((name, end) for name, end in ends if end), None)

    def includes(self, smaller: Recipe) -> bool:
        """Whether a study of `smaller` can grow into this one: the same data, split and loss, every trial of it still
        there, more epochs or as many. A search cannot, nor a shard: what it asks, and which
        trials are its own, depend on all of the recipe."""
        if self.search or smaller.search or self.shard or smaller.shard:
            return not self.difference(smaller)
        if (self.data, self.split_seed, self.precision) != (smaller.data, smaller.split_seed, smaller.precision):
            return False
        if (self.source, self.metric_if_own) != (smaller.source, smaller.metric_if_own):
            return False
        if not set(self.seeds) >= set(smaller.seeds) or self.confirms != smaller.confirms:
            return False
        if (self.race or smaller.race) and not self._races_on(smaller):
            return False
        if any(self.split_of(seed) != smaller.split_of(seed) for seed in smaller.seeds):
            return False
        if self.settings or smaller.settings:
            all_, some = (set(map(setting_key, recipe.settings)) for recipe in (self, smaller))
            return bool(some) and all_ >= some
        mine, theirs = self.grid.points, smaller.grid.points
        if self.trainer:
            return mine.keys() == theirs.keys() and all({*mine[name]} >= {*theirs[name]} for name in mine)
        for name in {*mine, *theirs}:
            if self.is_own(name) or smaller.is_own(name):
                if not {*mine.get(name, ())} >= {*theirs.get(name, (None,))}:
                    return False
                continue
            row = TABLE[name]
            defaults = {row.default} | {v for (n, of), v in row.default_with.items() if of in theirs.get(n, ())}
            old, new = set(theirs.get(name, defaults)), set(mine.get(name, defaults))
            if name in BUDGETS and len(old) == len(new) == 1:
                if int(*new) < int(*old) or (not int(*old)) != (not int(*new)):
                    return False
            elif not new >= old or (name == "loss" and new != old):
                return False
        return True

    def _races_on(self, smaller: Recipe) -> bool:
        """Whether a race of `smaller` can go on as this one: a race by the same metric and margin, which are chosen
        before there are results, as long, its first seeds the same; a study that is no race cannot become one, nor the
        other way round."""
        if self.race is None or smaller.race is None or self.budget() != smaller.budget():
            return False
        by = self.metric, self.direction, self.race.margin
        before = smaller.metric, smaller.direction, smaller.race.margin
        return by == before and self.seeds[: len(smaller.seeds)] == smaller.seeds


def _part_text(name: str, value: object) -> str:
    """A part of the identity in words; one value of a hyperparameter
    without its list, the default where none is given."""
    if value is None:
        return f"{show_value(TABLE[name].default)} (the default)" if name in TABLE else "not given"
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], dict):
        return show_value(value[0])
    if isinstance(value, list) and value and isinstance(value[0], dict):
        digest = hashlib.sha256(json.dumps(value).encode()).hexdigest()[:6]
        return f"{len(value)} listed ({digest})"
    return json.dumps(value)


def _conditions(name: str) -> list[str]:
    """The hyperparameters that decide whether one is active."""
    direct = [*TABLE[name].when, *TABLE[name].unless]
    return list(dict.fromkeys([*direct, *(other for parent in direct for other in _conditions(parent))]))


def _flatten(table: Mapping[str, Any]) -> dict[str, Any]:
    tables = ("space", "search", "race")
    flat: dict[str, Any] = {key: value for key, value in table.items() if key not in tables} | table["space"]
    flat |= {f"search.{key}": value for key, value in table.get("search", {}).items()}
    race = {f"race.{key}": value for key, value in table["race"].items()} | {"race": True} if "race" in table else {}
    return {**flat, **race}
