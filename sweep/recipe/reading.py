"""A recipe read: from TOML and flags, or from the ledger. Needs every other module of this package."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweep.dataname import OPTIONS, is_path, options_of, path_of, with_options
from sweep.errors import UsageError, unknown
from sweep.hyperparameters import OF_TRAINING, SET, TABLE, Value, show_given
from sweep.networks import Network, is_own, note_network, read_network
from sweep.recipe.axes import parse_flag, read_axis
from sweep.recipe.claims import Claim, claim_from_dict, fit_claims, read_claims
from sweep.recipe.functions import fit_functions
from sweep.recipe.identity import BUDGETS, Recipe
from sweep.recipe.imported import imported_from_dict
from sweep.recipe.keys import CHECKS, METRICS, RECIPE_KEYS, place
from sweep.recipe.listed import axes_of, check_listed, listed_settings
from sweep.recipe.network import MODEL, Constructor, network_axis, read_constructor, typed_axes
from sweep.recipe.own import (
    KINDS,
    Trainer,
    check_metric,
    check_name,
    check_trainer,
    fit_own,
    own_settings,
    parse_own,
    read_own_axis,
    read_trainer,
    typed_by,
)
from sweep.recipe.race import read_race
from sweep.recipe.search import aim_metric, read_search
from sweep.recipe.shard import parse_shard
from sweep.space import Axis, Grid, Watch


def load_recipe(path: Path | None, flags: Mapping[str, str], search: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a TOML file (or none) with command-line flags, in the order they were typed, winning over it.

    `flags` maps hyperparameter and recipe keys to their text, unparsed. `search`: for a search, the keys of its table
    [search] that were given as flags; without it the recipe is a grid's.
    """
    return _check_asks(_load(path, flags, search), search)


def recipe_of(table: Mapping[str, Any], search: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a TOML file's content as a mapping, with `search` as for `load_recipe`. Raises UsageError."""
    return _check_asks(_build(table, {}, "", search=search), search)


def _check_asks(recipe: Recipe, search: Mapping[str, Any] | None) -> Recipe:
    """The recipe for a grid or, with `search`, for a search. Raises UsageError if it cannot be asked so."""
    recipe = recipe if search is not None else replace(recipe, search=None)
    recipe = replace(recipe, claims=fit_claims(recipe.claims, recipe))
    _check_units(recipe)
    if search is None:
        return recipe
    if recipe.settings:
        raise UsageError("settings: a search chooses them itself; expected a space to choose from, or `sweep grid`")
    if not recipe.swept:
        raise UsageError(
            "a search needs something to vary: give a list (--lr 0.1,0.01) or a range (--lr 1e-4:1e-1:log)"
        )
    return recipe


def recipe_from_dict(table: Mapping[str, Any]) -> Recipe:
    """The recipe that `Recipe.to_dict` wrote."""
    claims = tuple(map(claim_from_dict, table.get("claims", [])))
    if "imported" in table:
        imported = imported_from_dict(table["imported"])
        plain = {key: table[key] for key in ("data", "metric", "direction")}
        return Recipe(**plain, seeds=tuple(table["seeds"]), imported=imported, claims=claims)
    plain = {key: value for key, value in table.items() if key not in ("confirms", "claims", "shard", "race")}
    shard = parse_shard(table["shard"], "ledger: ") if "shard" in table else None
    confirms, race = table.get("confirms"), read_race(table.get("race"))
    return replace(_build(plain, {}, "ledger"), confirms=confirms, shard=shard, race=race, claims=claims)


def _load(path: Path | None, flags: Mapping[str, str], search: Mapping[str, Any] | None) -> Recipe:
    if path is None:
        return _build({}, flags, "", search=search)
    table, text = _read_toml(path)
    return _build(_beside(table, path), flags, str(path), text, search)


def load_claims(path: Path) -> tuple[Claim, ...]:
    """The claims of a TOML file, whatever else is in it. Raises UsageError, also if it has none."""
    table, text = _read_toml(path)
    claims = read_claims(table.get("claim", []), str(path), text)
    if not claims:
        raise UsageError(f"{path}: states no claim; expected tables [[claim]]")
    return claims


def header_of(path: Path) -> list[str]:
    """The paragraphs of the comment at the head of a recipe's file, without its commands, which are set in."""
    paragraphs: list[list[str]] = [[]]
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("#")
        if not words.strip() or words.startswith("  "):
            paragraphs.append([])
        else:
            paragraphs[-1].append(words.strip())
    return [" ".join(lines) for lines in paragraphs if lines]


def _read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """A file's table and text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such recipe; expected a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a recipe: {error}") from None
    try:
        return tomllib.loads(text), text
    except RecursionError:
        raise UsageError(f"{path}: not a recipe: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise UsageError(f"{path}: not valid TOML: {error}") from None


def _beside(table: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """A recipe's table, its files found: beside the recipe, or else in the current folder."""
    moved = {}
    for key in ("data", "data_dir"):
        name = table.get(key)
        if isinstance(name, str) and (key == "data_dir" or is_path(name)):
            there = path.parent / Path(path_of(name)).expanduser()
            if there.exists() or not Path(path_of(name)).expanduser().exists():
                moved[key] = with_options(str(there), options_of(name))
    return {**table, **moved}


def _build(
    table: Mapping[str, Any],
    flags: Mapping[str, str],
    file: str,
    text: str = "",
    search: Mapping[str, Any] | None = None,
) -> Recipe:
    own = any(kind in table or kind in flags for kind in KINDS)
    network = None if own else _network(table, flags, file)
    constructor = read_constructor(network) if network and file != "ledger" else None
    entries = _with_flags(_entries(table, file, text, own, network, constructor), flags, own, constructor)
    if own:
        plain, axes = _own_entries(entries, table, file)
    else:
        _check_budget(entries)
        plain, axes = _check_network(entries, network, constructor) if network else _check_entries(entries)
        options = {key: plain.pop(key) for key in OPTIONS if key in plain}
        if options:  # one name for data, everywhere
            plain["data"] = with_options(plain.get("data", "digits"), options)
        if "settings" in plain:
            plain["settings"] = listed_settings(plain["settings"], axes, entries["settings"][1])
            axes = [*typed_axes(axes_of(plain["settings"]), plain["settings"][0])]
        axes, plain = fit_functions(axes, plain)
    if search is not None or "search" in table:
        plain["search"] = read_search(table.get("search", {}), search or {}, file, text)
    aims = plain["search"].objectives if "search" in plain else ()
    if own and aims:
        raise UsageError("minimize and maximize: a trainer's one metric is named by metric and direction; give those")
    if "metric" not in plain and not aims and any(axis.name == "loss" and axis.swept for axis in axes):
        plain["metric"] = "val_accuracy"  # values of different losses are in different units
    if "search" in plain:
        plain = aim_metric(plain)
    plain["watch"] = _watch(plain, entries)
    plain["claims"] = read_claims(table.get("claim", []), file, text)
    if "split_seeds" in plain:
        plain |= _one_split_each(plain.pop("split_seeds"), plain.get("seeds"), entries["split_seeds"][1])
    plain.setdefault("direction", METRICS.get(plain.get("metric", "val_loss"), "minimize"))
    return Recipe(axes=tuple(axes), **plain)


def _own_entries(
    entries: Mapping[str, tuple[Any, str]], table: Mapping[str, Any], file: str
) -> tuple[dict[str, Any], list[Axis]]:
    """The plain keys and the axes of a recipe with a trainer of its own, each checked."""
    plain: dict[str, Any] = {}
    axes: list[Axis] = []
    for key, (value, where) in entries.items():
        if key in (*KINDS, "settings"):
            continue
        if key == "metric":
            plain[key] = check_metric(key, value, where)
        elif key == "seed":
            plain["seeds"] = Grid((read_axis(TABLE[key], value, where),), ()).points["seed"]
        elif key in CHECKS:
            plain[key] = CHECKS[key](key, value, where)
        else:
            axes.append(read_own_axis(key, value, where))
    if "settings" in entries:
        plain["settings"], listed = own_settings(entries["settings"][0], axes, entries["settings"][1])
        axes = [*listed]
    trainer = _trainer(entries, table, file)
    names = [axis.name for axis in axes]
    if file != "ledger":
        check_trainer(trainer, names)
    return fit_own(trainer, names, plain, entries.get("metric", ("", ""))[1]), [*axes]


def _trainer(entries: Mapping[str, tuple[Any, str]], table: Mapping[str, Any], file: str) -> Trainer:
    """The trainer of a recipe: what a file names lies, or runs, beside it; what a flag names, in the current folder."""
    if file == "ledger":
        return read_trainer(entries, Path(table["folder"]))
    kind = next(kind for kind in KINDS if kind in entries)
    beside = Path() if entries[kind][1].startswith("--") else Path(file).parent
    trainer, here = read_trainer(entries, beside), read_trainer(entries, Path())
    elsewhere = trainer.kind == "train" and not trainer.file.exists() and here.file.exists()
    return here if elsewhere else trainer


def _one_split_each(splits: tuple[int, ...], seeds: tuple[int, ...] | None, where: str) -> dict[str, tuple[int, ...]]:
    """Seeds and their splits: each seed has a split of its own. Varying both together tells most of what a training
    costs (Bouthillier et al. 2021, Accounting for variance in machine learning benchmarks)."""
    if splits == (0,):
        return {}
    if seeds is None:
        seeds = tuple(range(len(splits)))
    if len(seeds) != len(splits):
        raise UsageError(
            f"{where}split_seeds are {len(splits)} and seeds {len(seeds)}: each seed trains on a split of its own; "
            "expected as many of both (without seeds, they are 0, 1, 2, …)"
        )
    return {"seeds": seeds, "splits": splits if any(splits) else ()}


def _watch(plain: dict[str, Any], entries: Mapping[str, tuple[Any, str]]) -> Watch:
    """Takes what is to be watched out of the plain keys."""
    epochs = plain.pop("look_epochs", ())
    if epochs and "look" not in plain:
        where = entries["look_epochs"][1]
        raise UsageError(f"{where}look_epochs says when to look; expected look, too: what to look at")
    return Watch(plain.pop("look", ()), epochs, plain.pop("evaluate_every", 0), plain.pop("shift", ()))


def _check_units(recipe: Recipe) -> None:
    """Raises UsageError where settings of different losses would be ranked on a loss."""
    losses = dict.fromkeys(() if recipe.trainer else recipe.listed("loss"))
    ranked = [recipe.metric, *(name for name, _ in recipe.search.objectives)] if recipe.search else [recipe.metric]
    metric = next((name for name in ranked if name.endswith("_loss")), None)
    if len(losses) > 1 and metric is not None:
        raise UsageError(
            f"loss = {', '.join(map(str, losses))} with metric = {metric}: the {metric} of different losses "
            "is in different units and cannot be ranked; expected metric = val_accuracy, or one loss"
        )


def _network(table: Mapping[str, Any], flags: Mapping[str, str], file: str) -> Network | None:
    """The user's network that a recipe names, if it names one; what a file names lies beside it, or else in the current
    folder. Raises UsageError where it does not stand alone."""
    space = table.get("space", {})
    settings = table.get("settings")
    first = settings[0] if isinstance(settings, list | tuple) and settings else {}
    listed = [place.get("model") for place in (table, space, first) if isinstance(place, Mapping)]
    given = flags.get("model") or next((value for value in listed if value is not None), None)
    names = [part.strip() for part in given.split(",")] if isinstance(given, str) else given
    if not isinstance(names, list) or not any(map(is_own, names)):
        return None
    if len(names) > 1:
        raise UsageError(
            f"model = {', '.join(map(str, names))}: a network of your own has hyperparameters of its own, so it stands "
            "alone; expected one model a study"
        )
    if file == "ledger":
        network = read_network(names[0], Path(table["folder"]))
    else:
        here, beside = (read_network(names[0], folder) for folder in (Path(), Path(file).parent))
        network = here if "model" in flags or (here.file.exists() and not beside.file.exists()) else beside
    note_network(network)
    return network


def _check_network(
    entries: Mapping[str, tuple[Any, str]], network: Network, constructor: Constructor | None
) -> tuple[dict[str, Any], list[Axis]]:
    """The plain keys and the axes of a recipe with a user's network, each checked. Every parameter of its constructor
    that has a plain default is there, so that equal settings are equal whether it is given or not."""
    training = [row.name for row in OF_TRAINING]
    of_network = {key for key in entries if key not in (*training, *CHECKS, "seed")}
    apart = {*of_network, "settings", "model"}
    plain, axes = _check_entries({key: entry for key, entry in entries.items() if key not in apart})
    own = {key: network_axis(key, *entries[key], constructor) for key in entries if key in of_network}
    listed = entries.get("settings")
    given: dict[str, Value | None] = dict.fromkeys(own)
    if listed is not None:
        rows = constructor.rows if constructor else _typed_rows(listed[0], training)
        plain["settings"] = check_listed("settings", *listed, {**rows, "model": MODEL})
        given |= dict.fromkeys(set.intersection(*({*values} for values in plain["settings"])))
    if constructor:
        constructor.check_given(given)
        for parameter in constructor.parameters:
            if parameter.default is not None and parameter.name not in given and parameter.row is not None:
                own[parameter.name] = Axis(parameter.name, (parameter.default,), parameter.row)
    order = [key for key in entries if key in own or any(axis.name == key for axis in axes)]
    by_name = {axis.name: axis for axis in axes} | own
    within = any("model" in values for values in plain.get("settings", ()))
    model = [] if within else [Axis("model", (network.text,), MODEL)]
    names = [*order, *(key for key in own if key not in order)]
    return plain | {"network": network}, [*model, *(by_name[name] for name in names)]


def _entries(
    table: Mapping[str, Any],
    file: str,
    text: str,
    own: bool,
    network: Network | None = None,
    constructor: Constructor | None = None,
) -> dict[str, tuple[Any, str]]:
    """Every key of the recipe with its value and, for messages, where it stands. own: its space names what it likes."""
    out: dict[str, tuple[Any, str]] = {}
    space = table.get("space", {})
    if not isinstance(space, Mapping):
        raise UsageError(f"{place(file, text, 'space')}space = {show_given(space)}: expected a table: [space]")
    apart = ("space", "search", "claim", *(["folder"] if file == "ledger" else []))
    for section in ({key: value for key, value in table.items() if key not in apart}, space):
        for key, value in section.items():
            where = place(file, text, key)
            known = [*TABLE] if section is space else [*RECIPE_KEYS, *TABLE]
            if own and section is space:
                if key != "seed":
                    check_name(key, where)
            elif network and (section is space or (constructor and key in constructor.rows)):
                pass  # its constructor knows
            elif key not in known:
                raise unknown("hyperparameter" if section is space else "key", key, known, where)
            if key in out:
                raise UsageError(f"{where}{key} is given both at the top and in [space]; give it once")
            out[key] = (value, where)
    return out


def _with_flags(
    entries: dict[str, tuple[Any, str]], flags: Mapping[str, str], own: bool, constructor: Constructor | None = None
) -> dict[str, tuple[Any, str]]:
    """The entries of a recipe, and the flags, which win over them."""
    if any(kind in flags for kind in KINDS):  # a flag for one wins over the other of the recipe
        entries = {key: entry for key, entry in entries.items() if key not in KINDS}
    if "seed" in flags or "seeds" in flags:  # a flag for one wins over the other of the recipe
        entries = {key: entry for key, entry in entries.items() if key not in ("seed", "seeds")}
    if not own and len(given := [name for name in BUDGETS if name in flags]) == 1:  # as one for epochs does over steps
        entries = {key: entry for key, entry in entries.items() if key not in BUDGETS or key in given}
    for key, text in flags.items():
        if own and (key.startswith(SET) or (key in TABLE and key != "seed")):
            name, where = key.removeprefix(SET), "--set " if key.startswith(SET) else f"{TABLE[key].flag}: "
            entries[name] = (parse_own(name, text, where), where)
        elif constructor and key == "model":
            entries[key] = (text, "--model: ")
        elif constructor and (key.startswith(SET) or key in OF_NETWORKS):
            name, where = key.removeprefix(SET), "--set " if key.startswith(SET) else f"{TABLE[key].flag}: "
            entries[name] = (_parse_network(name, text, where, constructor), where)
        elif key.startswith(SET):
            raise UsageError(
                f"--set {key.removeprefix(SET)}: names a hyperparameter of your own --train FILE.py:NAME, --command or "
                "--model FILE.py:NAME"
            )
        elif key in TABLE:
            entries[key] = (parse_flag(TABLE[key], text), f"{TABLE[key].flag}: ")
        else:
            whole = key in ("seeds", "split_seed", "split_seeds") and text.strip().isdecimal() and len(text) < 20
            entries[key] = (int(text) if whole else text, f"--{key.replace('_', '-')}: ")
    if "seed" in entries and "seeds" in entries:
        raise UsageError(f"{entries['seeds'][1]}seeds and seed both given; seeds = 3 means seed = [0, 1, 2]")
    return entries


OF_NETWORKS = {*TABLE} - {"seed", *(row.name for row in OF_TRAINING)}
"""What sweep's own networks and functions have; with a user's network such a name is its constructor's."""


def _parse_network(name: str, text: str, where: str, constructor: Constructor) -> Any:
    """A flag's text for a hyperparameter of a user's network, or of the training."""
    if name in TABLE and name not in OF_NETWORKS:
        raise UsageError(f"{where}{name}: is a hyperparameter of the training; expected {TABLE[name].flag} {text}")
    return parse_flag(constructor.row(name, where), text, f"--set {name}" if where == "--set " else "")


def _typed_rows(listed: Any, training: list[str]) -> dict[str, Any]:
    """What the names of listed settings that a ledger kept are, by their values."""
    names = dict.fromkeys(name for values in listed for name in values if name not in training)
    return {name: typed_by(name, [values[name] for values in listed if name in values], "") for name in names}


def _check_budget(entries: Mapping[str, tuple[Any, str]]) -> None:
    """Raises UsageError where both steps and epochs are to decide how long a trial trains."""
    if all(name in entries for name in BUDGETS) and entries["steps"][0] not in (0, [0]):
        raise UsageError(
            f"{entries['steps'][1]}steps and epochs both given; expected one "
            "of them: training steps in all, or passes over the training part"
        )


def _check_entries(entries: Mapping[str, tuple[Any, str]]) -> tuple[dict[str, Any], list[Axis]]:
    """The plain keys and the axes of a recipe's entries, each checked."""
    plain: dict[str, Any] = {}
    axes: list[Axis] = []
    for key, (value, where) in entries.items():
        if key in TABLE:
            axis = read_axis(TABLE[key], value, where)
            if key == "seed":
                plain["seeds"] = Grid((axis,), ()).points["seed"]
            else:
                axes.append(axis)
        else:
            plain[key] = CHECKS[key](key, value, where)
    return plain, axes
