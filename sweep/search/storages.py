"""A study for Optuna's own tools: written to one of its storages, or served by its dashboard."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweep.errors import UsageError
from sweep.recipe import METRICS, Recipe
from sweep.search.asking import objectives
from sweep.search.samplers import quietly
from sweep.search.spaces import distributions


@dataclass(frozen=True)
class Exported:
    """What Optuna's tools are given. trials: rows of the ledger with their setting, and `parameters` where that is an
    objective; curves: each trial's metric by epoch."""

    name: str
    recipe: Recipe
    trials: Iterable[Mapping[str, Any]]
    curves: Mapping[int, Mapping[int, float]]


def write_optuna(url: str, exported: Exported) -> int:
    """Writes a study to a storage; returns the number of its trials. Raises UsageError."""
    try:
        with quietly():
            return _fill(_storage(url), exported)
    except optuna.exceptions.DuplicatedStudyError:
        raise UsageError(f"--optuna {url}: has a study {exported.name!r} already; name another storage") from None
    except Exception as error:  # SQLAlchemy's and the operating system's
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"--optuna {url}: cannot be written: {reason}; expected sqlite:///FILE.db or a journal FILE.log"
        ) from None


def serve_dashboard(exported: Exported, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serves a study with optuna-dashboard from memory until it is interrupted; `ready` is given the address once it
    answers. Raises UsageError where the package is missing or the address cannot be had."""
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise UsageError("optuna-dashboard is not installed: pip install optuna-dashboard") from None
    storage = optuna.storages.InMemoryStorage()
    with quietly():
        _fill(storage, exported)
        app = wsgi(storage)
    try:
        server = make_server(host, port, app, server_class=_Server, handler_class=_Handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"--host {host} --port {port}: cannot be served on: {reason}; choose another --port") from None
    with server, suppress(KeyboardInterrupt):
        ready(f"http://{host}:{server.server_port}/")
        server.serve_forever(poll_interval=0.1)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing of each request."""


def _fill(storage: Any, exported: Exported) -> int:
    """Adds a study with distributions, intermediate values, states and attributes. Trials that wait or run are left
    out; diverged ones are complete with an infinite value, as a sampler is told."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    recipe, aims = exported.recipe, objectives(exported.recipe)
    frozen = [_freeze(row, recipe, exported.curves) for row in exported.trials if row["state"] in _STATES]
    directions = [StudyDirection[way.upper()] for _, way in aims]
    study = optuna.create_study(storage=storage, study_name=exported.name, directions=directions)
    study.set_metric_names([name for name, _ in aims])
    study.set_user_attr("metric", recipe.metric)
    study.set_user_attr("recipe", json.dumps(recipe.to_dict()))
    study.add_trials(frozen)
    return len(frozen)


_STATES = {
    "complete": TrialState.COMPLETE,
    "diverged": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def _freeze(
    row: Mapping[str, Any], recipe: Recipe, curves: Mapping[int, Mapping[int, float]]
) -> optuna.trial.FrozenTrial:
    spread, aims = distributions(recipe), objectives(recipe)
    worst = [math.inf if way == "minimize" else -math.inf for _, way in aims]
    params = {key: row["setting"][key] for key in spread if key in row["setting"]}
    attributes = {key: row[key] for key in ("trial", "seed", "state", "epochs", "seconds", "reason")}
    measured = {key: row.get(key) for key in (*METRICS, "value")}
    return optuna.trial.create_trial(
        state=_STATES[row["state"]],
        values=worst if row["state"] == "diverged" else _read_values(row, aims),
        params=params,
        distributions={key: spread[key] for key in params},
        user_attrs={key: value for key, value in (attributes | measured).items() if value is not None},
        intermediate_values=dict(curves.get(row["trial"], {})),
    )


def _read_values(row: Mapping[str, Any], aims: Iterable[tuple[str, str]]) -> list[float] | None:
    values = [row[name] for name, _ in aims]
    return None if row["state"] == "failed" or None in values else values


def _storage(url: str) -> Any:
    if "://" in url:
        return url
    if not url.endswith((".log", ".journal")):
        raise ValueError("not a storage")
    from optuna.storages.journal import JournalFileBackend

    return optuna.storages.JournalStorage(JournalFileBackend(url))
