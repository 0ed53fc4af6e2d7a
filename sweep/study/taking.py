"""A trial's network as a model: trained again or read from a kept checkpoint, checked against the ledger. Needs models
and engine, but not before it is asked.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sweep import checkpoint
from sweep.courses import trial_key
from sweep.data import Part, Source, is_file, load, statistics
from sweep.errors import SweepError, UsageError
from sweep.hyperparameters import Setting, stored
from sweep.ledger import Ledger, Study
from sweep.machine import versions
from sweep.recipe import VALIDATED
from sweep.space import EpochRecord, Trial
from sweep.study.again import check_data, first_difference, stored_epochs
from sweep.study.loop import checkpoints
from sweep.study.moving import fingerprint_of
from sweep.study.opening import check_trains

if TYPE_CHECKING:
    from sweep.engine import Saver
    from sweep.models import Model

LOSS_WITHIN = {"float32": 1e-4, "tf32": 1e-2, "bf16": 1e-2}
"""How far the plain network's loss may be from the recorded one, as a share of it and a hundredth: lanes sum in another
order, and lower precisions round products. Of digits and MNIST it was 3e-7 at most in float32, 6e-4 in bf16."""

ACCURACY_WITHIN = {"float32": 1e-3, "tf32": 5e-3, "bf16": 5e-3}
"""The same for accuracy, beside one row: rows whose two best classes are equal to rounding. It was 0, and 5e-4."""


def check_networks(study: Study) -> None:
    """Raises UsageError for a study that has no networks: of functions, or imported."""
    check_trains(study)
    if study.recipe.trainer:
        raise UsageError(f"study {study.name!r} is of your own training: its models are yours to keep")
    if study.recipe.of_function:
        raise UsageError(f"study {study.name!r} is of functions: a point is no model; expected a study of networks")


def load_source(study: Study) -> Source:
    """The data of a study. Raises UsageError if they are not those it was trained on."""
    recipe = study.recipe
    source = load(recipe.data, recipe.data_dir, recipe.split_seed)
    check_data(study, fingerprint_of(recipe, source))
    return source


def take_model(ledger: Ledger, study: Study, number: int, source: Source, refit: bool = False) -> Model:
    """The model of a trial: the very network that its row is of, or with `refit` one that is trained in the same way on
    training and validation rows together.

    Raises UsageError for a trial that has no network, SweepError where the
    network is not, to the bit, what the ledger holds, or the plain module not
    what its lane was, to rounding.
    """
    check_networks(study)
    row, setting = ledger.trial(study, number)
    if row["state"] not in ("complete", "pruned") or not row["epochs"]:
        raise UsageError(
            f"study {study.name!r}: trial {number} is {row['state']}; expected one that is complete, or was pruned"
        )
    source = source.resplit(study.recipe.split_of(row["seed"]))
    if refit:
        source, setting = _together(source, setting)
    size, normalize = setting["train_size"], str(setting["normalize"])
    split = source.split(normalize, size if isinstance(size, str) else int(size))
    used = len(split.train.y)
    shift, scale = statistics(source.train[0][:used], normalize)
    trial = Trial(number, setting, row["seed"])

    from sweep.engine import train_alone
    from sweep.models import make

    until = row["epochs"] if row["state"] == "pruned" else None
    saver = None if refit or until else _find_kept(ledger, study, trial, row["epochs"])
    program, records = train_alone(trial, split, study.recipe.precision, until, saver)
    if not refit:
        _check_records(ledger, study, number, records)
    about = _describe(study, row, setting, source, refit, used) | _describe_target(split.target)
    model = make(setting, program.lane(0), shift, scale, about)
    parts = {"val": (split.val, records[-1].val_loss, records[-1].val_accuracy)}
    if not refit and row["test_loss"] is not None:
        parts["test"] = split.test, row["test_loss"], row.get("test_accuracy", math.nan)
    _check_plain(study, number, model, str(setting["loss"]), parts)
    return model


def _together(source: Source, setting: Setting) -> tuple[Source, Setting]:
    """The training rows of a setting and the validation rows as one training part."""
    size = setting["train_size"]
    used = len(source.train[1]) if isinstance(size, str) else int(size)
    x, y = (np.concatenate([source.train[place][:used], source.val[place]]) for place in (0, 1))
    return replace(source, train=(x, y)), setting | {"train_size": "all"}


def _find_kept(ledger: Ledger, study: Study, trial: Trial, epochs: int) -> Saver | None:
    """Where the trial's last state was kept, if it was."""
    from sweep.engine import Saver

    folder, key = checkpoints(ledger, study), trial_key(trial)
    for saved in checkpoint.scan(folder):
        content = checkpoint.read(saved.path)
        if key in saved.keys and saved.position == (epochs + 1, 0) and content is not None:
            return Saver(folder, study.data or "", saved.path, kind=str(content[1].get("kind", "")))
    return None


def _check_records(ledger: Ledger, study: Study, number: int, records: list[EpochRecord]) -> None:
    difference = first_difference(stored_epochs(ledger, study, number), records)
    if difference is not None:
        epoch, metric, old, new = difference
        raise SweepError(
            f"trial {number} of {study.name!r}, trained again, is not the one in the ledger: in epoch {epoch} {metric} "
            f"was {old!r}, is {new!r}; nothing is written (`sweep reproduce {study.name} {number}` says what differs "
            "here; of a study run with --keep-checkpoints nothing need be trained again)"
        )


def _check_plain(
    study: Study, number: int, model: Model, loss: str, parts: dict[str, tuple[Part, float, float]]
) -> None:
    """Raises SweepError if the plain module's scores are not those recorded, to rounding."""
    from sweep.models import score

    precision = study.recipe.precision
    for name, (part, old_loss, old_accuracy) in parts.items():
        reached, accuracy = score(model, part, loss)
        size = 0.01 if model.target is None else 0.01 * model.target[1] ** 2
        near = abs(reached - old_loss) <= LOSS_WITHIN[precision] * (abs(old_loss) + size)
        rows = ACCURACY_WITHIN[precision] + 1.5 / len(part.y)
        if not near or abs(accuracy - old_accuracy) > rows:
            raise SweepError(
                f"trial {number} of {study.name!r}: the network as a plain module has {name}_loss {reached!r} and "
                f"{name}_accuracy {accuracy!r}, as trained {old_loss!r} and {old_accuracy!r}; nothing is written"
            )


def _describe(
    study: Study, row: dict[str, Any], setting: Setting, source: Source, refit: bool, used: int
) -> dict[str, Any]:
    """What a file says of its model."""
    from sweep.models import FORMAT

    recipe, info = study.recipe, source.info
    return {
        "format": FORMAT,
        "study": study.name,
        "trial": row["trial"],
        "setting": stored(setting),
        "seed": row["seed"],
        "epochs": row["epochs"],
        "precision": recipe.precision,
        "refit": refit,
        "trained_rows": used,
        "scores": None if refit else {name: row[name] for name in VALIDATED if name in row},
        "data": {
            "name": recipe.data.replace("\\", "/").rpartition("/")[2] if is_file(recipe.data) else recipe.data,
            "fingerprint": study.data,
            "split_seed": recipe.split_seed,
            "split": recipe.split_of(row["seed"]),
            **({"columns": source.columns.to_dict()} if source.columns else {}),
        },
        **({"network": recipe.network.fingerprint()} if recipe.network else {}),
        "shape": list(info.shape),
        "classes": [] if info.regression else list(info.class_names),
        "versions": versions(),
    }


def _describe_target(scale: tuple[float, float] | None) -> dict[str, Any]:
    """Of regression: by what the network's output becomes a number in the target's own units."""
    return {} if scale is None else {"target": {"mean": scale[0], "std": scale[1]}}
