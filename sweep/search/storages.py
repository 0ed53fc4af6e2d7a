"""A study written to one of Optuna's storages, for its own tools."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweep.errors import UsageError
from sweep.recipe import Recipe
from sweep.search.asking import objectives
from sweep.search.samplers import quietly
from sweep.search.spaces import distributions


def write_optuna(
    url: str, name: str, recipe: Recipe, trials: Iterable[Mapping[str, Any]], curves: Mapping[int, Mapping[int, float]]
) -> int:
    """Writes a study for Optuna's own tools: distributions, states, attributes; returns the number of its trials.

    trials: rows of the ledger with their setting, and `parameters` where that is an objective; those that wait or run
    are left out. curves: each trial's metric by
    epoch. Diverged trials are complete there with an infinite value, as a sampler is told. Raises UsageError.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spread, aims = distributions(recipe), objectives(recipe)
    worst = [math.inf if way == "minimize" else -math.inf for _, way in aims]
    states = {"complete": TrialState.COMPLETE, "diverged": TrialState.COMPLETE, "failed": TrialState.FAIL}
    frozen = []
    for row in trials:
        if row["state"] not in (*states, "pruned"):
            continue
        params = {key: row["setting"][key] for key in spread if key in row["setting"]}
        attributes = {key: row[key] for key in ("trial", "seed", "state", "epochs", "seconds", "reason")}
        measured = {key: row[key] for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")}
        frozen.append(
            optuna.trial.create_trial(
                state=states.get(row["state"], TrialState.PRUNED),
                values=worst if row["state"] == "diverged" else _measured(row, aims),
                params=params,
                distributions={key: spread[key] for key in params},
                user_attrs={key: value for key, value in (attributes | measured).items() if value is not None},
                intermediate_values=dict(curves.get(row["trial"], {})),
            )
        )
    try:
        with quietly():
            directions = [StudyDirection[way.upper()] for _, way in aims]
            study = optuna.create_study(storage=_storage(url), study_name=name, directions=directions)
            study.set_metric_names([name for name, _ in aims])
            study.set_user_attr("metric", recipe.metric)
            study.set_user_attr("recipe", json.dumps(recipe.to_dict()))
            study.add_trials(frozen)
    except optuna.exceptions.DuplicatedStudyError:
        raise UsageError(f"--optuna {url}: has a study {name!r} already; name another storage") from None
    except Exception as error:  # SQLAlchemy's and the operating system's
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"--optuna {url}: cannot be written: {reason}; expected sqlite:///FILE.db or a journal FILE.log"
        ) from None
    return len(frozen)


def _measured(row: Mapping[str, Any], aims: Iterable[tuple[str, str]]) -> list[float] | None:
    values = [row[name] for name, _ in aims]
    return None if row["state"] == "failed" or None in values else values


def _storage(url: str) -> Any:
    if "://" in url:
        return url
    if not url.endswith((".log", ".journal")):
        raise ValueError("not a storage")
    from optuna.storages.journal import JournalFileBackend

    return optuna.storages.JournalStorage(JournalFileBackend(url))
