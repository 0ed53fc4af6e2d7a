"""The command line: parse, call, print, exit code. No logic. Needs typer; everything else is imported when it is used."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from sweep import __version__
from sweep.errors import DataError, Interrupted, SweepError
from sweep.flags import (
    DEFAULT_RESULTS,
    Device,
    Direction,
    Enqueue,
    From,
    InFlight,
    Jobs,
    Json,
    Keep,
    Lanes,
    MaxTrials,
    Metric,
    MinEpochs,
    Pruner,
    RecipeFile,
    Reduction,
    Results,
    Sampler,
    SearchSeed,
    StudyFlag,
    StudyName,
    TimeLimit,
    Trials,
    Where,
    with_space,
)

if TYPE_CHECKING:
    from sweep.ledger import Ledger, Study
    from sweep.recipe import Recipe
    from sweep.study import Options, Watcher

app = typer.Typer(
    name="sweep",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Hyperparameter sweeps of small neural networks: many trials train as one program, none is lost, none is trained twice.",
    epilog="A first run: [bold]sweep grid --lr 0.1,0.01,0.001 --batch-norm on,off[/]",
)


def _version(value: bool) -> None:
    if value:
        print(f"sweep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Hyperparameter sweeps of small neural networks."""


@app.command(rich_help_panel="Train")
@with_space
def grid(
    flags: dict[str, str],
    recipe: RecipeFile = None,
    study: StudyFlag = None,
    results: Results = DEFAULT_RESULTS,
    jobs: Jobs = None,
    device: Device = "auto",
    lanes: Lanes = None,
    time_limit: TimeLimit = None,
    max_trials: MaxTrials = None,
    keep_checkpoints: Keep = False,
) -> None:
    """Train every setting of a grid; of a study that is there already, what is missing.

    VALUES: one value (0.01), a list (0.1,0.01) or a range with its number of points (1e-4:1e-1:log:4).

    The flag that comes first varies slowest.
    """
    from sweep.host import ahead

    ahead()
    from sweep.ledger import Ledger
    from sweep.plan import plan_grid
    from sweep.progress import watcher
    from sweep.study import opened

    loaded, name = _load(recipe, flags, study)
    plan = plan_grid(loaded, _describe(loaded))
    options = _options(jobs, device, lanes, time_limit, max_trials, keep_checkpoints)
    seen = watcher(_console(stderr=True))
    with Ledger(results, create=True) as ledger, ledger.lock(name), opened(ledger, name, loaded, plan, seen) as found:
        _train(ledger, found, seen, options)


@app.command(rich_help_panel="Train")
@with_space
def search(
    flags: dict[str, str],
    trials: Trials,
    recipe: RecipeFile = None,
    sampler: Sampler = None,
    in_flight: InFlight = None,
    search_seed: SearchSeed = None,
    pruner: Pruner = None,
    min_epochs: MinEpochs = None,
    reduction: Reduction = None,
    enqueue: Enqueue = None,
    warm: From = None,
    study: StudyFlag = None,
    results: Results = DEFAULT_RESULTS,
    jobs: Jobs = None,
    device: Device = "auto",
    lanes: Lanes = None,
    time_limit: TimeLimit = None,
    max_trials: MaxTrials = None,
    keep_checkpoints: Keep = False,
) -> None:
    """Let a sampler choose settings of a space, learning from those before; N trials in all.

    VALUES: one value (0.01), a list (0.1,0.01) or a range (1e-4:1e-1, 1e-4:1e-1:log, 0:0.5:step=0.1).
    """
    from sweep.host import ahead

    ahead()
    from sweep.ledger import Ledger
    from sweep.plan import plan_search
    from sweep.progress import watcher
    from sweep.search import check_pruner, check_sampler
    from sweep.study import begun_with, opened

    given = {"sampler": sampler, "in_flight": in_flight, "seed": search_seed}
    given |= {"pruner": pruner, "min_epochs": min_epochs, "reduction": reduction}
    loaded, name = _load(recipe, flags, study, {key: value for key, value in given.items() if value is not None})
    plan = plan_search(loaded, _describe(loaded), trials)
    check_sampler(loaded)
    check_pruner(loaded)
    options = _options(jobs, device, lanes, time_limit, max_trials, keep_checkpoints)
    seen = watcher(_console(stderr=True))
    with Ledger(results, create=True) as ledger, ledger.lock(name):
        loaded = begun_with(ledger, name, loaded, enqueue or [], warm)
        with opened(ledger, name, loaded, plan, seen) as found:
            _train(ledger, found, seen, options)


@app.command(rich_help_panel="Train")
@with_space
def plan(
    flags: dict[str, str],
    recipe: RecipeFile = None,
    study: StudyFlag = None,
    jobs: Jobs = None,
    device: Device = "auto",
    lanes: Lanes = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure/--no-measure",
            help="Measure on this machine, for a few seconds, what is not remembered yet.",
            rich_help_panel="Running",
        ),
    ] = True,
    as_json: Json = False,
) -> None:
    """Show what a grid would run, without training: settings, trials, folded combinations, cohorts, lanes, time, memory."""
    from sweep.plan import plan_grid, plan_to_dict
    from sweep.report import plan_table
    from sweep.speed import recall
    from sweep.study import measured, precision_note, speed_kind
    from sweep.workers import choose_devices

    loaded, name = _load(recipe, flags, study)
    data = _describe(loaded)
    trials = plan_grid(loaded, data).trials  # complains of a bad grid before it is measured
    devices = choose_devices(device, jobs)[:trials]
    precision_note(loaded.precision, devices[0])
    speeds = recall()
    if measure:
        try:
            speeds = measured(loaded, data, devices)
        except DataError as error:
            print(f"sweep: no estimate of time and memory: {error}", file=sys.stderr)
    planned = plan_grid(loaded, data, len(devices), lanes, speeds, speed_kind(devices, loaded))
    _print(plan_to_dict(planned) if as_json else plan_table(planned, name))


@app.command(rich_help_panel="Train")
def resume(
    study: StudyName,
    results: Results = DEFAULT_RESULTS,
    jobs: Jobs = None,
    device: Device = "auto",
    lanes: Lanes = None,
    data_dir: Annotated[
        str | None,
        typer.Option(
            "--data-dir",
            metavar="DIR",
            help="Folder of the data set's files, if they have moved.",
            rich_help_panel="Running",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed trials again.", rich_help_panel="Running")
    ] = False,
    time_limit: TimeLimit = None,
    max_trials: MaxTrials = None,
    keep_checkpoints: Keep = False,
) -> None:
    """Finish an interrupted study."""
    import dataclasses

    from sweep.host import ahead

    ahead()
    from sweep.ledger import Ledger
    from sweep.progress import watcher

    options = dataclasses.replace(
        _options(jobs, device, lanes, time_limit, max_trials, keep_checkpoints), retry_failed=retry_failed
    )
    with Ledger(results) as ledger:
        ledger.study(study)
        with ledger.lock(study):
            found = ledger.study(study)
            if data_dir:
                found = dataclasses.replace(found, recipe=dataclasses.replace(found.recipe, data_dir=data_dir))
            _train(ledger, found, watcher(_console(stderr=True)), options)


@app.command(rich_help_panel="Look after")
def reproduce(
    study: StudyName,
    number: Annotated[int, typer.Argument(metavar="N", min=0, help="The trial's number.")],
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Train one trial again, alone, from the ledger only, and compare every epoch to the bit."""
    from sweep import study as studies
    from sweep.ledger import Ledger, machine, versions
    from sweep.report import reproduction_report

    with Ledger(results) as ledger:
        found = ledger.study(study)
        outcome = studies.reproduce(ledger, found, number)
    then, now = (found.versions | found.machine, versions() | machine())
    if as_json:
        _print({"study": study, **vars(outcome), "identical": outcome.difference is None, "then": then, "now": now})
    else:
        _print(reproduction_report(outcome, then, now))
    raise typer.Exit(0 if outcome.difference is None else 1)


@app.command(rich_help_panel="Look after")
def doctor(
    results: Results = DEFAULT_RESULTS,
    mend: Annotated[
        bool, typer.Option("--mend", help="Mend what can be mended; without it, only say what would be done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong with a results folder; with --mend, mend it. Exit code 1 while something is wrong."""
    from sweep import ledger
    from sweep.report import findings_report

    findings = ledger.mend(results) if mend else [(finding, None) for finding in ledger.diagnose(results)]
    if as_json:
        _print([{"finding": f.what, "mending": f.mending, "mended": done} for f, done in findings])
    else:
        _print(findings_report(findings))
    raise typer.Exit(1 if any(done is None for _, done in findings) else 0)


@app.command("ls", rich_help_panel="Read")
def list_studies(results: Results = DEFAULT_RESULTS, as_json: Json = False) -> None:
    """List the studies of the results folder."""
    from sweep.ledger import Ledger
    from sweep.report import studies_table

    with Ledger(results) as ledger:
        rows = [ledger.overview(study) for study in ledger.studies()]
    _print(rows if as_json else studies_table(rows))


@app.command(rich_help_panel="Read")
def show(
    study: StudyName,
    results: Results = DEFAULT_RESULTS,
    metric: Metric = None,
    direction: Direction = None,
    where: Where = "",
    top: Annotated[int, typer.Option("--top", min=1, metavar="N", help="Rows at most.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Every trial, those that wait or run too.")] = False,
    as_json: Json = False,
) -> None:
    """Show a study's leaderboard, ranked on validation; the test score is shown of the selected trial alone."""
    from sweep.analysis import csv_columns, leaderboard
    from sweep.ledger import Ledger
    from sweep.report import board_table, plain, records

    with Ledger(results) as ledger:
        found = ledger.study(study)
        board = leaderboard(ledger.trials(found), found.recipe, metric, direction, where, everything)
    if not as_json:
        _print(board_table(board, None if everything else top, _console().width))
        return
    rows = board.rows if everything else board.rows.head(top)
    best = board.selected
    tests = () if board.filtered else ("test_loss", "test_accuracy")
    names = ("trial", "seed", *board.swept, board.metric, *tests)
    chosen = {name: plain(best[name]) for name in names} if best is not None else None
    constant = {name: plain(value) for name, value in board.constant.items()}
    _print(
        {
            "study": study,
            "metric": board.metric,
            "direction": board.direction,
            "constant": constant,
            "selected": chosen,
            "trials": records(rows[csv_columns(board, test=False)]),
        }
    )


@app.command(rich_help_panel="Read")
def trial(
    study: StudyName,
    number: Annotated[int, typer.Argument(metavar="N", min=0, help="The trial's number.")],
    results: Results = DEFAULT_RESULTS,
    test: Annotated[bool, typer.Option("--test", help="Show its test score too.")] = False,
    as_json: Json = False,
) -> None:
    """Show one trial: setting, state and learning curve."""
    from sweep.ledger import Ledger
    from sweep.report import records, trial_report

    with Ledger(results) as ledger:
        found = ledger.study(study)
        row, setting = ledger.trial(found, number)
        epochs = ledger.epochs(found, number).drop(columns="trial")
    if not test:
        row = {name: value for name, value in row.items() if not name.startswith("test_")}
    if as_json:
        _print({"study": study, **row, "setting": setting, "curve": records(epochs)})
    else:
        _print(trial_report(row, setting, epochs, test, _console().width))


@app.command(rich_help_panel="Read")
def export(
    study: StudyName,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File ending in .csv, .parquet, .json or .md; - is CSV on standard output.",
        ),
    ] = None,
    optuna: Annotated[
        str | None,
        typer.Option(
            "--optuna",
            metavar="STORAGE",
            help="Write a study for Optuna's tools instead: sqlite:///FILE.db, or a journal FILE.log.",
        ),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    metric: Metric = None,
    direction: Direction = None,
    where: Where = "",
    everything: Annotated[bool, typer.Option("--all", help="Trials that wait or run too.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Add test_loss and test_accuracy of every trial.")] = False,
    curves: Annotated[
        bool, typer.Option("--curves", help="Export the epochs of every trial instead of the leaderboard.")
    ] = False,
) -> None:
    """Write the leaderboard, or every epoch, to a file."""
    from sweep.analysis import csv_columns, leaderboard
    from sweep.errors import UsageError
    from sweep.ledger import Ledger
    from sweep.report import export_table

    if optuna is not None:
        from sweep.study import export_optuna

        with Ledger(results) as ledger:
            written = export_optuna(ledger, ledger.study(study), optuna)
        print(f"wrote {written} trials to {optuna}")
    if output is None:
        if optuna is None:
            raise UsageError("missing option --output (-o) FILE, or --optuna STORAGE")
        return

    with Ledger(results) as ledger:
        found = ledger.study(study)
        board = leaderboard(ledger.trials(found), found.recipe, metric, direction, where, everything)
        epochs = ledger.epochs(found) if curves else None
    if epochs is None:
        export_table(board.rows[csv_columns(board, test)], output)
    else:
        export_table(epochs[epochs["trial"].isin(board.rows["trial"])], output)


@app.command("rm", rich_help_panel="Look after")
def remove(
    study: StudyName,
    results: Results = DEFAULT_RESULTS,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a study with all its trials; asks first."""
    from sweep.ledger import Ledger

    with Ledger(results) as ledger:
        found = ledger.study(study)
        with ledger.lock(study):
            if not yes and not typer.confirm(f"Remove study {study!r} with its {found.trials} trials?"):
                raise SweepError(f"study {study!r} is kept")
            ledger.remove(found)
    print(f"removed {study}")


def _load(
    recipe: Path | None, flags: dict[str, str], study: str | None, search: dict[str, Any] | None = None
) -> tuple[Recipe, str]:
    """The recipe, and the name of its study: as given, else after the file, else by its digest."""
    from sweep.recipe import load_recipe
    from sweep.study import check_name

    loaded = load_recipe(recipe, flags, search)
    kind = "grid" if search is None else "search"
    return loaded, check_name(study if study is not None else recipe.stem if recipe else f"{kind}-{loaded.digest()}")


def _describe(recipe: Recipe) -> Any:
    from sweep.data import describe

    return describe(recipe.data)


def _options(
    jobs: int | None, device: str, lanes: int | None, time_limit: str | None, max_trials: int | None, keep: bool
) -> Options:
    from sweep.study import Options, parse_duration
    from sweep.workers import choose_devices

    seconds = parse_duration(time_limit) if time_limit is not None else None
    return Options(choose_devices(device, jobs), lanes, seconds=seconds, max_trials=max_trials, keep=keep)


def _train(ledger: Ledger, study: Study, watcher: Watcher, options: Options) -> NoReturn:
    from sweep.analysis import leaderboard
    from sweep.report import board_table
    from sweep.study import run

    summary = run(ledger, study, _describe(study.recipe), watcher, options)
    if summary.stopped != "interrupted":
        board = leaderboard(ledger.trials(study), study.recipe)
        _print("")
        _print(board_table(board, 10, _console().width))
        more = f"sweep show {study.name} · sweep trial {study.name} N · sweep export {study.name} -o {study.name}.csv"
        _print(f"\nMore: {more}")
    raise typer.Exit(summary.exit_code)


def _console(stderr: bool = False) -> Any:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() or "COLUMNS" in os.environ else 160  # a pipe has no width to fit into
    return Console(stderr=stderr, width=wide)


def _print(what: Any) -> None:
    """Prints a rich renderable, or plain values as JSON."""
    if isinstance(what, dict | list):
        print(json.dumps(what, indent=1))
    else:
        from rich.text import Text

        _console().print(what, highlight=False, soft_wrap=isinstance(what, Text))


def main() -> None:
    """Runs the command line: errors become one line and an exit code here, and nowhere else."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # where the terminal has no ▾, print ? and go on
    try:
        code = app(prog_name="sweep", standalone_mode=False)
    except SweepError as error:
        code = _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail("interrupted", Interrupted.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        # Typer's own usage errors: an unknown flag, a missing argument. Their class has moved between its releases.
        if not hasattr(error, "format_message"):
            raise
        code = _fail(_usage(error), 2)
    sys.exit(code)


def _usage(error: Any) -> str:
    import difflib

    option = getattr(error, "option_name", None)
    if option and hasattr(error, "possibilities"):
        known = [name for parameter in error.ctx.command.params for name in parameter.opts] if error.ctx else []
        near = difflib.get_close_matches(option, known, n=1)
        return f"unknown flag {option}: {f'did you mean {near[0]}?' if near else f'`{error.ctx.command_path} --help` lists them' if error.ctx else ''}"
    return " ".join(str(error.format_message()).split())


def _fail(text: str, code: int) -> int:
    from rich.console import Console
    from rich.text import Text

    text = " ".join(text.split())
    if not text:  # `sweep` alone has printed its help
        return 0
    Console(stderr=True, soft_wrap=True).print(Text.assemble(("sweep: ", "bold red"), text), highlight=False)
    return code
