"""What `sweep merge` takes for eight shards of 10,000 trials of ten epochs, in seconds: at first, and again when
nothing is new, so that every number is compared. The bar is 10 s. Nothing is trained.

    python tests/benchmarks/merging.py [--folder DIR]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from ledger import EPOCHS, outcome

from sweep.data import describe
from sweep.ledger import Ledger, merge
from sweep.plan import share_of
from sweep.recipe import Shard, load_recipe
from sweep.space import Trial

SHARDS = 8


def make_shards(folder: Path, each: int) -> list[Path]:
    """Results folders of finished shards, of `each` trials."""
    flags = {"lr": f"1e-4:1e-1:log:{SHARDS * each // 20}", "hidden": "16,32", "epochs": str(EPOCHS), "seeds": "10"}
    recipe = load_recipe(None, flags)
    trials = list(recipe.grid.trials())
    folders = []
    for number in range(1, SHARDS + 1):
        shard = replace(recipe, shard=Shard(number, SHARDS))
        mine = [trials[place] for place in sorted(share_of(shard, describe("digits")))]
        folders.append(folder / f"shard-{number}")
        write_shard(folders[-1], shard, mine)
    return folders


def write_shard(folder: Path, recipe: object, trials: list[Trial]) -> None:
    """A results folder of a finished study."""
    with Ledger(folder, create=True) as ledger:
        study = ledger.create("shards", recipe, len(trials))  # type: ignore[arg-type]
        ledger.add(study, trials)
        for begin in range(0, len(trials), 2_000):
            some = trials[begin : begin + 2_000]
            ledger.record(study, [outcome(trial.number, epoch) for trial in some for epoch in range(1, EPOCHS + 1)])
        ledger.close_run(study, 1.0)


def main(arguments: list[str]) -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=f"Seconds to merge {SHARDS} shards.")
    parser.add_argument("--folder", type=Path, default=None, metavar="DIR", help="where the ledgers are made")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        folders = make_shards(Path(place), 50 if given.tiny else 10_000)
        for what in ("first", "again"):
            begin, worked = time.perf_counter(), time.process_time()
            [told] = merge(folders, Path(place) / "out")
            seconds, worked = time.perf_counter() - begin, time.process_time() - worked
            assert told.trials == told.new + told.known
            print(f"{what}: {SHARDS} shards, {told.trials:,} trials, {told.new:,} new: {seconds:.2f} s ", end="")
            print(f"({worked:.2f} s of a core)", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
