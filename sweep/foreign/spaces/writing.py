"""A space as a recipe's text: TOML, with what it cannot say in comments. Needs the recipe, to see that it is one."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.spaces.space import Condition, Knob, Space, Value
from sweep.hyperparameters import TABLE
from sweep.recipe import METRIC_NAME, METRICS, recipe_of

_TAKEN = re.compile(r"(test_|best_).*|trial|number|state|reason|traceback|setting|seconds|sitting|rank|seed|seeds")
"""Names that a hyperparameter of a recipe cannot have."""

MOST_SEEDS = 100
"""A range of more seeds is none that anyone trains."""


def recipe_text(space: Space, source: str, target: str = "recipe.toml") -> str:
    """The recipe of a space. source: the file's name; target: the recipe's, for the commands in its head. Raises
    UsageError if the space cannot be a recipe."""
    seeds, knobs = _seeds(space.knobs)
    if not knobs:
        raise UsageError(f"{source}: no hyperparameter but the seed; expected at least one")
    ours = not space.program and _is_ours(knobs)
    names = {knob.name: knob.name for knob in knobs} if ours else _names(knobs)
    plain, said = _plain(space, names, seeds, ours)
    lost = [*said, *_lost(space, names, ours)]
    lines = [*_head(space, source, target, knobs, lost), *plain, "", "[space]"]
    lines += [f"{names[knob.name]} = {_axis(knob)}" for knob in knobs]
    search = ({"sampler": space.sampler} if space.sampler else {}) | dict(space.search)
    if search:
        lines += ["", "[search]", *(f"{key} = {_value(value)}" for key, value in search.items())]
    text = "\n".join(lines) + "\n"
    try:
        recipe_of(tomllib.loads(text), {} if _is_search(space, knobs) else None)
    except UsageError as error:
        raise UsageError(f"{source}: cannot be a recipe: {error}") from None
    return text


def _seeds(knobs: Sequence[Knob]) -> tuple[tuple[int, ...], list[Knob]]:
    """The seeds of a space, and its other hyperparameters."""
    for knob in knobs:
        if knob.name == "seed":
            values: Sequence[Any] = knob.values
            if knob.low is not None and knob.high is not None and knob.high - knob.low < MOST_SEEDS and not knob.log:
                values = range(int(knob.low), int(knob.high) + 1, int(knob.step or 1))
            if values and all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 2**31 for v in values):
                return tuple(values), [other for other in knobs if other is not knob]
    return (), [*knobs]


def _is_ours(knobs: Sequence[Knob]) -> bool:
    """Whether sweep's own networks have every hyperparameter, with every value."""
    try:
        recipe_of({"space": {knob.name: tomllib.loads(f"x = {_axis(knob)}")["x"] for knob in knobs}}, {})
    except UsageError:
        return all(len(knob.values) == 1 for knob in knobs) and all(knob.name in TABLE for knob in knobs)
    return True


def _names(knobs: Sequence[Knob]) -> dict[str, str]:
    """What each hyperparameter is called in a recipe, which takes letters, digits and _ alone."""
    names: dict[str, str] = {}
    for knob in knobs:
        name = re.sub(r"[^A-Za-z0-9_]", "_", knob.name)[:60]
        name = f"_{name}" if not re.match(r"[A-Za-z_]", name) else name
        while _TAKEN.fullmatch(name) or name in names.values():
            name = f"own_{name}" if re.match(r"(test_|best_)", name) else f"{name}_"
        names[knob.name] = name
    return names


def _plain(space: Space, names: Mapping[str, str], seeds: Sequence[int], ours: bool) -> tuple[list[str], list[str]]:
    """The lines above [space], and what is to be said of them."""
    lines, said = [], []
    if ours:
        lines.append('data = "digits"')
        said.append("the data: sweep's own networks train on digits here; --data names others")
    else:
        lines.append(f"command = {_value(_command(space, names, bool(seeds)))}")
        if not space.program:
            said.append(
                f"{space.tool} does not know the program: put yours in place of train.py, or train = FILE.py:NAME"
            )
    metric, direction, remarks = _metric(space, ours)
    lines.append(f"metric = {_value(metric)}")
    if direction is not None:
        lines.append(f"direction = {_value(direction)}")
    if seeds:
        lines.append(f"seeds = {_value_list(seeds)}")
    elif not ours:
        said.append(
            "the seed: a program that takes one gets it as {seed} in the command, and seeds = 3 is three of them"
        )
    return lines, [*said, *remarks]


def _metric(space: Space, ours: bool) -> tuple[str, str | None, list[str]]:
    """The metric, its direction where that must be said, and remarks."""
    way, name = space.direction, space.metric
    if name is not None and name.startswith("test_"):
        better = f"val_{name.removeprefix('test_')}"
        return _metric_of(better, way, [f"{name}: nothing is selected on test data; the metric is {better} here"], ours)
    if name is None:
        name = {"maximize": "val_accuracy"}.get(way or "", "val_loss")
        return _metric_of(name, way, [f"{space.tool} does not name the metric: {name} here"], ours)
    return _metric_of(name, way, [], ours)


def _metric_of(name: str, way: str | None, remarks: list[str], ours: bool) -> tuple[str, str | None, list[str]]:
    if ours and name not in METRICS:
        mine = "val_accuracy" if way == "maximize" else "val_loss"
        return mine, None, [*remarks, f"{name}: sweep's own networks have {mine} instead"]
    if not re.fullmatch(METRIC_NAME, name):
        mine = re.sub(r"[^\w./-]", "_", f"metric {name}")[:60]
        name, remarks = mine, [*remarks, f"the metric's name {name!r}: {mine} here"]
    known = METRICS.get(name)
    if way is None and known is None:
        remarks = [*remarks, f"whether less {name} is better, or more: minimize here"]
        way = "minimize"
    return name, None if way == known else way, remarks


def _command(space: Space, names: Mapping[str, str], seeded: bool) -> str:
    """The command with a flag for each hyperparameter, and for the seed."""
    program = [shlex.quote(word) for word in space.program or ("python", "train.py")]
    places = {**names, **({"seed": "seed"} if seeded else {})}
    flags = [space.flag.format(name=name, value="{" + place + "}") for name, place in places.items()]
    return " ".join(
        [*program, *(flag if re.fullmatch(r"[\w@%+=:,./{}-]+", flag) else shlex.quote(flag) for flag in flags)]
    )


def _lost(space: Space, names: Mapping[str, str], ours: bool) -> Iterator[str]:
    """What the recipe does not say."""
    yield from space.lost
    for name, called in names.items():
        if name != called:
            yield f"{name} is called {called} here"
    for knob in space.knobs:
        yield from (f"{knob.name}: {what}" for what in knob.lost)
    for condition in space.conditions:
        if ours and _is_kept(condition, space.knobs):
            yield f"{condition.child} only with {condition.text}: kept, since sweep has it so"
        else:
            yield f"{condition.child} only with {condition.text}: here it is in every setting"


def _is_kept(condition: Condition, knobs: Sequence[Knob]) -> bool:
    """Whether sweep's own hyperparameter is active just where the condition says."""
    row = TABLE.get(condition.child)
    parent = next((knob for knob in knobs if knob.name == condition.parent), None)
    if row is None or parent is None or not parent.values or condition.parent not in row.when:
        return False
    return {value for value in parent.values if row.allows(parent.name, value)} == {*condition.values}


def _is_search(space: Space, knobs: Sequence[Knob]) -> bool:
    """Whether the recipe is for a search: a grid needs points."""
    return any(knob.low is not None and knob.step is None for knob in knobs) or space.sampler is not None


def _head(space: Space, source: str, target: str, knobs: Sequence[Knob], lost: Sequence[str]) -> Iterator[str]:
    """The comment at the head: where it is from, its commands, what it does not say."""
    yield f"# The search space of {_one_line(source)}, as {space.tool} has it."
    yield "#"
    if _is_search(space, knobs):
        trials = space.trials if isinstance(space.trials, int) and space.trials > 0 else 50
        yield f"#   sweep plan {target} --trials {trials}"
        yield f"#   sweep search {target} --trials {trials}"
    else:
        yield f"#   sweep plan {target}"
        yield f"#   sweep grid {target}"
    if lost:
        yield "#"
        yield "# What this recipe does not say, or says in its own way:"
    for what in dict.fromkeys(lost):
        first, *more = wrap(_one_line(what), 110) or [""]
        yield f"# - {first}"
        yield from (f"#   {line}" for line in more)
    yield ""


def _one_line(text: str) -> str:
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())


def _axis(knob: Knob) -> str:
    """A hyperparameter's values in TOML: one, a list, or a range."""
    if knob.low is None:
        return _value(knob.values[0]) if len(knob.values) == 1 else _value_list(knob.values)
    parts = [f"low = {_value(knob.low)}", f"high = {_value(knob.high or 0)}"]
    parts += ["log = true"] if knob.log else []
    parts += [f"step = {_value(knob.step)}"] if knob.step is not None else []
    return "{ " + ", ".join(parts) + " }"


def _value_list(values: Sequence[Value]) -> str:
    return f"[{', '.join(map(_value, values))}]"


def _value(value: Value) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
