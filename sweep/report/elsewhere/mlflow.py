"""A study as an experiment of MLflow: a run a trial. Needs mlflow, or mlflow-skinny and what its stores need."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sweep.errors import SweepError, UsageError
from sweep.report.elsewhere.trials import Elsewhere, Written

_BATCH = 900
"""Numbers a request; MLflow takes 1,000, and 100 parameters."""
_PARAMS = 100
_UNFIT = re.compile(r"[^\w./ :-]")
"""What no name may have in it there."""


def write_mlflow(study: Elsewhere, uri: str) -> int:
    """Writes a study to a tracking store; returns the number of trials. Raises UsageError where MLflow is not installed
    or the store has such an experiment; SweepError if it cannot be written."""
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise UsageError("--mlflow needs the package mlflow: pip install mlflow") from None
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        client: Any = MlflowClient(tracking_uri=uri)
        if client.get_experiment_by_name(study.name) is not None:
            raise UsageError(f"--mlflow {uri}: has an experiment {study.name!r} already; name another store")
        tags = {"sweep.metric": _name(study.metric), "sweep.direction": study.direction}
        tags["sweep.swept"] = json.dumps([_name(name) for name in study.swept])
        experiment = client.create_experiment(study.name, tags=tags)
        begin = int(datetime.now(UTC).timestamp() * 1000)
        for place, trial in enumerate(study.trials):
            _write_run(client, experiment, study, trial, begin + place)
    except (MlflowException, OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SweepError(f"--mlflow {uri}: cannot be written: {first}") from None
    return len(study.trials)


def _write_run(client: Any, experiment: str, study: Elsewhere, trial: Written, start: int) -> None:
    """A run, in the order of the trials: what is read back goes by the time at which runs began."""
    from mlflow.entities import Metric, Param

    told = {f"sweep.{key}": _text(value) for key, value in study.facts_of(trial).items()}
    key = client.create_run(experiment, start_time=start, run_name=trial.name, tags=told).info.run_id
    params = [Param(_name(name), str(value)) for name, value in trial.setting.items()]
    for some in _parts(params, _PARAMS):
        client.log_batch(key, params=some)
    numbers = [
        Metric(_name(name), value, start + place, epoch)
        for place, (epoch, row) in enumerate(trial.rows)
        for name, value in row.items()
    ]
    for some in _parts(numbers, _BATCH):
        client.log_batch(key, metrics=some)
    client.set_terminated(key, status="FAILED" if trial.state == "failed" else "FINISHED")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[place : place + size] for place in range(0, len(items), size))


def _name(name: str) -> str:
    return _UNFIT.sub("_", name)
