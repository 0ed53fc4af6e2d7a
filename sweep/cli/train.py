"""Commands that train: grid, search, plan, resume. Needs typer."""

from __future__ import annotations

import sys
from typing import Annotated

from sweep.cli.base import app, connect_ahead, console, load, run_options, say, show_run
from sweep.errors import DataError
from sweep.flags import (
    DEFAULT_RESULTS,
    ChangedCode,
    Device,
    Enqueue,
    From,
    InFlight,
    Jobs,
    Json,
    Keep,
    Lanes,
    Maximize,
    MaxTrials,
    MinEpochs,
    Minimize,
    MovedData,
    On,
    Pruner,
    RecipeFile,
    Reduction,
    Results,
    Running,
    Sampler,
    SearchSeed,
    ShardText,
    StudyFlag,
    StudyName,
    TimeLimit,
    Timeout,
    Trials,
    group_flags,
    running_option,
    search_option,
    with_space,
)


@app.command(rich_help_panel="Train")
@with_space
@group_flags
def grid(
    *,
    flags: dict[str, str],
    recipe: RecipeFile = None,
    study: StudyFlag = None,
    shard: ShardText = None,
    results: Results = DEFAULT_RESULTS,
    running: Running,
) -> None:
    """Train every setting of a grid; of a study that is there already, what is missing.

    VALUES: one value (0.01), a list (0.1,0.01) or a range with its number of points (1e-4:1e-1:log:4).

    The flag that comes first varies slowest.
    """
    connect_ahead(running)
    import dataclasses

    from sweep.api import train
    from sweep.progress import watcher
    from sweep.recipe import parse_shard

    loaded, name = load(recipe, flags, study)
    if shard is not None:
        loaded = dataclasses.replace(loaded, shard=parse_shard(shard))
    summary = train(loaded, name, results, run_options(running), watcher(console(stderr=True)))
    show_run(summary, results, name)


@app.command(rich_help_panel="Train")
@with_space
@group_flags
def search(
    *,
    flags: dict[str, str],
    trials: Trials,
    recipe: RecipeFile = None,
    sampler: Sampler = None,
    in_flight: InFlight = None,
    search_seed: SearchSeed = None,
    pruner: Pruner = None,
    min_epochs: MinEpochs = None,
    reduction: Reduction = None,
    minimize: Minimize = None,
    maximize: Maximize = None,
    enqueue: Enqueue = None,
    warm: From = None,
    study: StudyFlag = None,
    results: Results = DEFAULT_RESULTS,
    running: Running,
) -> None:
    """Let a sampler choose settings of a space, learning from those before; N trials in all.

    VALUES: one value (0.01), a list (0.1,0.01) or a range (1e-4:1e-1, 1e-4:1e-1:log, 0:0.5:step=0.1).
    """
    connect_ahead(running)
    from sweep.api import train
    from sweep.progress import watcher

    given: dict[str, object] = {"sampler": sampler, "in_flight": in_flight, "seed": search_seed}
    given |= {"pruner": pruner, "min_epochs": min_epochs, "reduction": reduction}
    given |= {"minimize": minimize or None, "maximize": maximize or None}
    loaded, name = load(recipe, flags, study, {key: value for key, value in given.items() if value is not None})
    seen, options = watcher(console(stderr=True)), run_options(running)
    show_run(train(loaded, name, results, options, seen, trials, enqueue or [], warm), results, name)


@app.command(rich_help_panel="Train")
@with_space
def plan(
    flags: dict[str, str],
    recipe: RecipeFile = None,
    study: StudyFlag = None,
    trials: Annotated[
        int | None,
        search_option("--trials", min=1, metavar="N", help="Plan a search of N trials instead."),
    ] = None,
    in_flight: InFlight = None,
    pruner: Pruner = None,
    jobs: Jobs = None,
    device: Device = "auto",
    lanes: Lanes = None,
    measure: Annotated[
        bool,
        running_option(
            "--measure/--no-measure",
            help="Measure what trainings cost on this machine where that is not known yet (a few seconds).",
        ),
    ] = True,
    as_json: Json = False,
) -> None:
    """Show what a grid, or with --trials a search, would run, without training: settings, trials, folded combinations,
    cohorts, lanes, time, memory."""
    from sweep.api import fit
    from sweep.cores import quota_note
    from sweep.data import count_rows
    from sweep.plan import corners, plan_grid, plan_search, plan_to_dict
    from sweep.recipe import constructor_text
    from sweep.report import plan_table, search_plan_text
    from sweep.speed import recall
    from sweep.study import measure_speeds, missing_classes, precision_note, speed_kind
    from sweep.workers import choose_devices

    given = {"in_flight": in_flight, "pruner": pruner}
    keys = None if trials is None else {key: value for key, value in given.items() if value is not None}
    loaded, name = load(recipe, flags, study, keys)
    loaded, data = fit(loaded)
    data = count_rows(data)
    total = plan_grid(loaded, data).trials if trials is None else plan_search(loaded, data, trials).trials
    devices = choose_devices(device, jobs)[:total]  # what cannot be planned is complained of before it is measured
    precision_note(loaded.precision, devices[0])
    speeds, small = recall(), ""
    if measure and not loaded.trainer:
        try:
            speeds = measure_speeds(loaded if trials is None else corners(loaded), data, devices)
            small = missing_classes(loaded)
        except DataError as error:
            print(f"sweep: no estimate of time and memory: {error}", file=sys.stderr)
    how = len(devices), lanes, speeds, speed_kind(devices, loaded)
    for note in [
        *(f"data: {note}" for note in data.notes),
        *loaded.idle_notes(),
        constructor_text(loaded.network),
        small,
        *([quota_note()] if jobs is None and devices[0] == "cpu" else []),
    ]:
        if note:
            print(note, file=sys.stderr)
    if trials is None:
        planned = plan_grid(loaded, data, *how)
        say(plan_to_dict(planned) if as_json else plan_table(planned, name))
    else:
        planned = plan_search(loaded, data, trials, *how)
        say(plan_to_dict(planned) if as_json else search_plan_text(planned, loaded, name))


@app.command(rich_help_panel="Train")
def resume(
    study: StudyName,
    results: Results = DEFAULT_RESULTS,
    jobs: Jobs = None,
    device: Device = "auto",
    lanes: Lanes = None,
    data_dir: Annotated[
        str | None,
        running_option(
            "--data-dir",
            metavar="DIR",
            help="Folder of the data set's files, if they have moved.",
        ),
    ] = None,
    data: MovedData = None,
    retry_failed: Annotated[bool, running_option("--retry-failed", help="Try failed trials again.")] = False,
    time_limit: TimeLimit = None,
    max_trials: MaxTrials = None,
    keep_checkpoints: Keep = False,
    timeout: Timeout = None,
    changed_code: ChangedCode = False,
    on: On = None,
) -> None:
    """Finish an interrupted study."""
    running = Running(jobs, device, lanes, time_limit, max_trials, keep_checkpoints, timeout, changed_code, on)
    connect_ahead(running)
    import dataclasses

    from sweep.api import train_rest
    from sweep.ledger import Ledger
    from sweep.progress import watcher
    from sweep.study import follow_data

    options = dataclasses.replace(run_options(running), retry_failed=retry_failed)
    with Ledger(results) as ledger:
        ledger.study(study)
        with ledger.lock(study):
            stored = follow_data(ledger, ledger.study(study), data)
            if data_dir:
                stored = dataclasses.replace(stored, recipe=dataclasses.replace(stored.recipe, data_dir=data_dir))
            summary = train_rest(ledger, stored, watcher(console(stderr=True)), options)
    show_run(summary, results, study)
