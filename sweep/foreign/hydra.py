"""Hydra's sweeps: a folder for each job, with its overrides and config; results are where the job itself put them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sweep.errors import UsageError
from sweep.foreign.choosing import choose
from sweep.foreign.logs import logged_curves
from sweep.foreign.records import scalars
from sweep.foreign.texts import curve, flat, number, parse_json, plain, read_text, read_yaml
from sweep.foreign.trials import ForeignStudy, ForeignTrial, Tool, Value

_DEPTH = 5
"""Folders between a path and a job: multirun/DATE/TIME/JOB."""

_TRUTHS = frozenset(["on", "off", "yes", "no", "y", "n"])
_NOTHING = "Hydra keeps no results, and no number was found in the jobs' logs, metrics.json or TensorBoard's files"
_RESULTS = ("metrics.json", "results.json", "result.json", "scores.json")


@dataclass(frozen=True)
class _Job:
    folder: Path
    overrides: dict[str, str]
    """The text of each value that was given, by name."""
    config: Mapping[str, Any]


def _folders(path: Path) -> Iterator[Path]:
    """The jobs below a path, those near it first."""
    for depth in range(_DEPTH):
        for there in path.glob("/".join(["*"] * depth + [".hydra"])):
            if (there / "overrides.yaml").is_file():
                yield there.parent


def matches(path: Path) -> bool:
    """Whether a path is a folder of Hydra's jobs."""
    return path.is_dir() and next(_folders(path), None) is not None


def read(path: Path) -> ForeignStudy:
    """The jobs of the one sweep."""
    sweeps = _sweeps(path)
    name = choose(path, "sweep", [*sweeps], None, " or its folder")
    return _read(path / name, sweeps[name])


def read_named(path: Path, name: str) -> ForeignStudy:
    """The jobs of a sweep, by its folder in the one that is given."""
    sweeps = _sweeps(path)
    return _read(path / choose(path, "sweep", [*sweeps], name), sweeps[name])


def _sweeps(path: Path) -> dict[str, list[Path]]:
    """The jobs of each sweep below a path, by the sweep's folder."""
    sweeps: dict[str, list[Path]] = {}
    for folder in sorted({*_folders(path)}, key=_natural):
        sweeps.setdefault(str(_sweep(folder, path).relative_to(path)), []).append(folder)
    if not sweeps:
        raise UsageError(f"{path}: no jobs; expected folders with .hydra/overrides.yaml")
    return sweeps


def _read(path: Path, folders: list[Path]) -> ForeignStudy:
    """The jobs of a sweep. Hydra keeps no results and no states: these are taken from what the jobs wrote."""
    jobs = [_job(folder) for folder in folders]
    names = list(dict.fromkeys(name for job in jobs for name in job.overrides))
    if not names:
        raise UsageError(f"{path}: no job overrides anything; expected the folder of a sweep")
    trials = [_trial(job, names) for job in jobs]
    trials = _keep_metrics(trials, names)
    wrote = any(trial.curves or trial.values for trial in trials)
    notes = ["Hydra keeps no results: they are taken from what the jobs wrote"] if wrote else [_NOTHING]
    there = jobs[0].folder / ".hydra" / "hydra.yaml"
    hydra = read_yaml(there) if there.is_file() else {}
    core = hydra.get("hydra", {})
    direction = _direction(core.get("sweeper") or {})
    metric = _metric(path, jobs, trials)
    version = (core.get("runtime") or {}).get("version")
    return ForeignStudy("Hydra", trials, metric, direction, version, [*_texts(trials), *notes], states_kept=False)


def _natural(folder: Path) -> list[tuple[int, int, str]]:
    """An order of folders in which 10 comes after 9."""
    parts = re.split(r"(\d+)", str(folder))
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _sweep(folder: Path, path: Path) -> Path:
    """The folder of a job's sweep; of jobs that were run one by one, the one that was given."""
    for parent in folder.parents:
        if (parent / "multirun.yaml").is_file():
            return parent
        if parent == path:
            break
    return path


def _job(folder: Path) -> _Job:
    given = read_yaml(folder / ".hydra" / "overrides.yaml") or []
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise UsageError(f"{folder / '.hydra' / 'overrides.yaml'}: damaged: expected a list of overrides")
    overrides = {}
    for text in given:
        name, equals, value = text.lstrip("+").partition("=")
        if equals and not text.startswith("~"):
            overrides[name] = value
    there = folder / ".hydra" / "config.yaml"
    config = read_yaml(there) if there.is_file() else {}
    return _Job(folder, overrides, config if isinstance(config, Mapping) else {})


def _trial(job: _Job, names: list[str]) -> ForeignTrial:
    """A job with the value of each name that any job overrides, and the numbers that it wrote."""
    values = ((name, _value(job, name)) for name in names)
    setting = {name: value for name, value in values if value is not None}
    curves, values_ = _results(job.folder)
    return ForeignTrial(job.folder.name, setting, "complete", curves, values_)


def _value(job: _Job, name: str) -> Value | None:
    """What a job had: of its config, which has the types; of a group, the choice that was given."""
    value: Any = job.config
    for part in name.split("@")[0].replace("/", ".").split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if name in job.overrides and (value is None or isinstance(value, Mapping) or "@" in name):
        text = job.overrides[name]
        return None if text == "null" else text
    return plain(value)


def _results(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """What a job wrote: log lines, TensorBoard's scalars, a JSON file of results."""
    points: dict[str, dict[int, float]] = {}
    for log in sorted(folder.glob("*.log")):
        for name, steps in logged_curves(log.read_text(encoding="utf-8", errors="replace").splitlines()).items():
            points.setdefault(name, {}).update(steps)
    for file in sorted(folder.rglob("*tfevents*")):
        for scalar in scalars(file):
            points.setdefault(scalar.tag, {})[scalar.step] = scalar.value
    values: dict[str, float] = {}
    for there in (folder / name for name in _RESULTS):
        table = parse_json(read_text(there), str(there)) if there.is_file() else {}
        named = flat(table) if isinstance(table, Mapping) else {}
        values |= {name: value for name, item in named.items() if (value := number(item)) is not None}
    return {name: curve(steps) for name, steps in points.items()}, values


def _keep_metrics(trials: list[ForeignTrial], names: list[str]) -> list[ForeignTrial]:
    """Trials without the numbers that are no metrics: hyperparameters, and what fewer than half of the jobs wrote."""
    written = [{*trial.curves, *trial.values} for trial in trials]
    enough = sum(map(bool, written)) / 2
    hyperparameters = {*names, *(name.rsplit(".", 1)[-1] for name in names)}
    kept = {
        name
        for name in {name for own in written for name in own}
        if sum(name in own for own in written) >= enough and name not in hyperparameters
    }
    return [
        replace(
            trial,
            curves={name: points for name, points in trial.curves.items() if name in kept},
            values={name: value for name, value in trial.values.items() if name in kept},
        )
        for trial in trials
    ]


def _direction(sweeper: Mapping[str, Any]) -> Literal["minimize", "maximize"] | None:
    """What the Optuna sweeper was told; Hydra's own knows none."""
    said = sweeper.get("direction")
    return said if said in ("minimize", "maximize") else None


def _metric(sweep: Path, jobs: list[_Job], trials: list[ForeignTrial]) -> str | None:
    """The one metric; of several that whose last value is the sweeper's best, in the job that it names best."""
    names = {name for trial in trials for name in (*trial.curves, *trial.values)}
    there = sweep / "optimization_results.yaml"
    if len(names) < 2 or not there.is_file():
        return names.pop() if len(names) == 1 else None
    results = read_yaml(there)
    best = {str(name).lstrip("+"): str(value) for name, value in (results.get("best_params") or {}).items()}
    value = number(results.get("best_value"))
    for job, trial in zip(jobs, trials, strict=True):
        if best and all(job.overrides.get(name) == text for name, text in best.items()):
            last = {name: points[-1][1] for name, points in trial.curves.items()} | dict(trial.values)
            same = [name for name, measured in last.items() if measured == value]
            return same[0] if len(same) == 1 else None
    return None


def _texts(trials: list[ForeignTrial]) -> list[str]:
    """Hyperparameters whose on and off are texts, both of which are true in Python."""
    notes = []
    for name in dict.fromkeys(name for trial in trials for name in trial.setting):
        words = list(dict.fromkeys(trial.setting[name] for trial in trials if name in trial.setting))
        if words and all(isinstance(word, str) and word.lower() in _TRUTHS for word in words):
            shown = " and ".join(json.dumps(word) for word in words)
            notes.append(
                f"{name}: {shown} are texts, as Hydra passed them; a program that tests them takes any as true"
            )
    return notes


TOOL = Tool("hydra", "Hydra", "folders with .hydra/overrides.yaml", matches, read, read_named)
