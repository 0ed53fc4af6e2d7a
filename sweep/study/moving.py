"""A study's data file that has moved: its fingerprint decides whether it is the same. Needs data, ledger."""

from __future__ import annotations

from pathlib import Path

from sweep.data import Source, is_file, load
from sweep.dataname import options_of, path_of, with_options
from sweep.errors import UsageError
from sweep.ledger import Ledger, Study
from sweep.networks import both_fingerprints, split_fingerprint
from sweep.recipe import Recipe


def follow_data(ledger: Ledger, study: Study, path: str | None = None) -> Study:
    """The study with its data where they are now: at `path`, if one is given, which the ledger then remembers.

    Raises UsageError where the file holds other rows, or is gone and no other was named.
    """
    if path is None:
        _check_there(study)
        return study
    if not is_file(study.recipe.data):
        raise UsageError(f"--data {path}: study {study.name!r} trains on {study.recipe.data}, which is no file")
    moved = with_options(str(Path(path).expanduser().absolute()), options_of(study.recipe.data))
    if moved == study.recipe.data:
        return study
    if not same_data(study, moved):
        raise UsageError(
            f"--data {path}: other data than those of study {study.name!r} (fingerprint "
            f"{study.data}, from {study.recipe.data}); its numbers would not compare"
        )
    return ledger.move_data(study, moved)


def fingerprint_of(recipe: Recipe, source: Source) -> str:
    """What a study that trains on some data now has as its fingerprint: theirs, and that of its network's code."""
    return both_fingerprints(source.fingerprint(), recipe.network.fingerprint() if recipe.network else "")


def same_data(study: Study, path: str) -> bool:
    """Whether a file holds the rows that a study was trained
    on, split alike; of a study that has none yet, any does."""
    there = study.data and split_fingerprint(study.data)[0]
    return there is None or load(path, None, study.recipe.split_seed).fingerprint() == there


def _check_there(study: Study) -> None:
    path = study.recipe.data
    if is_file(path) and not Path(path_of(path)).exists():
        raise UsageError(
            f"study {study.name!r}: its data file {path_of(path)} is "
            "gone; if it has moved, --data FILE says where it is now"
        )
