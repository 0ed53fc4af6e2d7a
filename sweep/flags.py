"""The command line's flags: one for every hyperparameter and recipe key, and those that commands share. Needs typer."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from sweep.errors import SweepError, UsageError
from sweep.hyperparameters import FUNCTION, SET, TABLE, Hyperparameter, show_value


def _complete_study(incomplete: str) -> list[str]:
    from sweep.ledger import Ledger

    try:
        with Ledger(Path(os.environ.get("SWEEP_RESULTS", "results"))) as ledger:
            return [study.name for study in ledger.studies() if study.name.startswith(incomplete)]
    except SweepError:
        return []


running_option = partial(typer.Option, rich_help_panel="Running")
search_option = partial(typer.Option, rich_help_panel="Search")

Results = Annotated[
    Path,
    typer.Option("--results", envvar="SWEEP_RESULTS", metavar="DIR", help="Results folder.", rich_help_panel="Study"),
]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.", autocompletion=_complete_study)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Metric = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Measure by val_loss, val_accuracy, train_loss or train_accuracy (taken during training, dropout on), "
        "best_val_loss or best_val_accuracy (the best epoch's); of a target that is a number val_mae or val_r2 in "
        "place of accuracies; an imported study has its own metric "
        "alone; of your own training anything that it reported.",
    ),
]
Direction = Annotated[
    str | None,
    typer.Option("--direction", metavar="WAY", help="minimize or maximize; by default what the metric means."),
]
Where = Annotated[
    str,
    typer.Option("--where", metavar="CONDITION", help="Only trials that meet it, such as 'lr<0.01, batch_norm=on'."),
]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        metavar="M",
        help="Which difference does not matter: sides that are shown to differ by less are called practically equal. "
        "Of an accuracy 0.005 is half a point, of a loss 0.1 a tenth of it, else in the metric's units.",
        show_default=False,
    ),
]
Jobs = Annotated[
    int | None,
    running_option(
        "--jobs",
        "-j",
        min=1,
        max=1024,
        metavar="N",
        help="Worker processes, one thread each; by default one per core, or per GPU.",
        show_default=False,
    ),
]
Lanes = Annotated[
    int | None,
    running_option(
        "--lanes",
        min=1,
        max=4096,
        metavar="N",
        help="Trials that train side by side as one program, at most; "
        "by default the planner decides. Changes no number.",
    ),
]
Device = Annotated[
    str,
    running_option(
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda (every GPU), cuda:N or mps. On a CPU a trial has the same bits everywhere; "
        "on a GPU it agrees to rounding.",
    ),
]
On = Annotated[
    str | None,
    running_option(
        "--on",
        metavar="CLUSTER",
        help="Train on a Ray cluster, one worker for each core or GPU that it offers: ray (the one that runs here, "
        "or one of this machine alone), HOST:PORT (from one of its nodes) or ray://HOST:PORT (from anywhere). "
        "Changes no number where processors are alike.",
        show_default=False,
    ),
]
TimeLimit = Annotated[
    str | None,
    running_option(
        "--time-limit", metavar="TIME", help="Stop after this time (90s, 30m, 1h30m); `sweep resume` goes on."
    ),
]
MaxTrials = Annotated[
    int | None,
    running_option("--max-trials", min=1, metavar="N", help="Stop when N trials in all are done."),
]
Keep = Annotated[
    bool,
    running_option(
        "--keep-checkpoints", help="Keep finished trials' last state, so that more epochs go on from there."
    ),
]
Timeout = Annotated[
    float | None,
    running_option(
        "--timeout",
        metavar="SECONDS",
        help="End a trial of your own --train or --command that takes longer; it failed.",
    ),
]
ChangedCode = Annotated[
    bool,
    running_option("--changed-code", help="Go on with your own --train, --command, --model though its code changed."),
]
ShardText = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="K/N",
        help="Train one of N shares of the grid (K from 1), on this machine; every machine finds the same shares by "
        "itself, and `sweep merge` makes one study of them.",
        rich_help_panel="Study",
        show_default=False,
    ),
]
Trials = Annotated[
    int,
    search_option(
        "--trials",
        min=1,
        metavar="N",
        help="Trials in all; a larger number later goes on. With a pruner it is rounded up to whole generations.",
    ),
]
Sampler = Annotated[
    str | None,
    search_option(
        "--sampler",
        metavar="NAME",
        help="Who chooses settings: tpe, gp, cmaes, random, qmc (Sobol's sequence) or halton. [dim]\\[default tpe][/]",
    ),
]
InFlight = Annotated[
    int | None,
    search_option(
        "--in-flight",
        metavar="K",
        help="Settings asked at a time; the next K are asked when all of them are trained. [dim]\\[default 16][/]",
    ),
]
Pruner = Annotated[
    str | None,
    search_option(
        "--pruner",
        metavar="NAME",
        help="Who stops trials early: none, median, asha (successive halving), hyperband (in brackets), or wilcoxon, "
        "which gives a setting no further seeds once it is shown to be worse than the best. [dim]\\[default none][/]",
    ),
]
MinEpochs = Annotated[
    int | None,
    search_option(
        "--min-epochs", metavar="N", help="Epochs after which a pruner first compares. [dim]\\[default 1][/]"
    ),
]
Reduction = Annotated[
    int | None,
    search_option(
        "--reduction",
        metavar="R",
        help="A pruner compares again after R times as many epochs; asha "
        "and hyperband keep the best of R. [dim]\\[default 3][/]",
    ),
]
Minimize = Annotated[
    list[str] | None,
    search_option(
        "--minimize",
        metavar="NAME",
        help="Make this small; with several of --minimize and --maximize the search looks for the best trade-offs. "
        "A metric, parameters (of the network) or seconds (wall clock). Repeatable.",
    ),
]
Maximize = Annotated[
    list[str] | None,
    search_option("--maximize", metavar="NAME", help="Make this large. Repeatable."),
]
SearchSeed = Annotated[
    int | None,
    search_option("--search-seed", metavar="N", help="Seed of the sampler. [dim]\\[default 0][/]"),
]
Enqueue = Annotated[
    list[str] | None,
    search_option(
        "--enqueue",
        metavar="VALUES",
        help="Train this setting first, such as 'lr=0.001,beta1=0.9'; the sampler adds what it leaves out. Repeatable.",
    ),
]
From = Annotated[
    str | None,
    search_option(
        "--from",
        metavar="STUDY",
        help="Give the sampler the finished trials of another study over the same hyperparameters.",
    ),
]
DEFAULT_RESULTS = Path("results")


@dataclass(frozen=True)
class Running:
    """The flags of a command that trains: how, and for how long."""

    jobs: Jobs = None
    device: Device = "auto"
    lanes: Lanes = None
    time_limit: TimeLimit = None
    max_trials: MaxTrials = None
    keep_checkpoints: Keep = False
    timeout: Timeout = None
    changed_code: ChangedCode = False
    on: On = None


@dataclass(frozen=True)
class Asked:
    """The flags of a command that reads a study: where it lies, what it is ranked on, which of its trials."""

    results: Results = DEFAULT_RESULTS
    metric: Metric = None
    direction: Direction = None
    where: Where = ""


MovedData = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="FILE",
        help="The study's data file, if it has moved; its rows must be the same.",
        show_default=False,
        rich_help_panel="Running",
    ),
]


OWN = "Your own training"


def group_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command, for every parameter that is a group of flags, the flags of that group in its place."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if is_dataclass(parameter.annotation):
            groups[parameter.name] = parameter.annotation
            parameters += _flags_of(parameter.annotation)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    def wrapped(**values: Any) -> Any:
        filled = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**values, **filled)

    return _sign_values(wrapped, command, parameters)


def _flags_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(group)
    ]


def _sign_values(
    wrapped: Callable[..., Any], command: Callable[..., Any], parameters: Sequence[inspect.Parameter]
) -> Callable[..., Any]:
    """A command's wrapper with its name, its help and these parameters, as typer reads them."""
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    return wrapped


_RECIPE_FLAGS = {
    "train": (
        "FILE.py:NAME",
        "Train with your own Python function NAME(setting, seed, report): it calls report(epoch, val_loss=…).",
        OWN,
    ),
    "command": (
        "COMMAND",
        "Train with your own program, such as 'python train.py --lr {lr} --seed {seed}': it prints lines like "
        "epoch=3 val_loss=0.2, or the same as JSON. No shell reads it.",
        OWN,
    ),
    "data": (
        "NAME|FILE",
        "Data set: digits, mnist, fashion-mnist, kmnist, cifar10, cifar100, usps; iris, wine, breast-cancer, "
        "diabetes (a number to predict); circles, moons, spirals, gaussians (in the plane); "
        "an .npz with x_train y_train x_test y_test; a table (.csv, .tsv, "
        ".parquet) with --target; or a folder of images, one subfolder per class.",
        "Data and seed",
    ),
    "target": ("COLUMN", "The column of a table that is to be predicted: classes, or a number.", "Data and seed"),
    "task": (
        "NAME",
        "classification or regression, where a table's or an .npz's target could be read as either: numbers with "
        "fractions, or of many different values, are otherwise taken for a number to predict.",
        "Data and seed",
    ),
    "image_size": ("N", "Bring all images of a folder to N x N pixels.", "Data and seed"),
    "data_dir": ("DIR", "Folder of the data set's files, if not downloaded before.", "Data and seed"),
    "split_seed": ("N", "Seed of the split into training, validation and test parts.", "Data and seed"),
    "split_seeds": (
        "N",
        "Train each seed on a split of its own: N seeds, N splits "
        "into training and validation rows. The test rows stay.",
        "Data and seed",
    ),
    "seeds": ("N", "Repeat every setting with seeds 0 to N - 1.", "Data and seed"),
    "precision": (
        "NAME",
        "Number format of matrix products: float32, tf32 (GPUs) or bf16. Changes every result.",
        "Data and seed",
    ),
    "look": (
        "NAMES",
        "Record while training, changing no number: layers (gradient norm, activations, batch norm of each), curvature "
        "(the largest eigenvalue of the loss's Hessian), noise (of the gradient, by batch size), gap (training part "
        "scored after the epoch), or all; `sweep look` shows them.",
        "Looking inside",
    ),
    "evaluate_every": (
        "N",
        "Score the validation part every N training steps, too, changing "
        "no number; `sweep steps` tells from it when a target was reached.",
        "Looking inside",
    ),
    "shift": (
        "NAME=FORMULA",
        "Score further test sets, too: the test part with each number x (before standardising) as the formula says, "
        "such as contrast=0.5x,bright=x+6. Shown beside the test score, never selected on.",
        "Looking inside",
    ),
    "look_epochs": ("EPOCHS", "At which epochs to look, such as 1,5,10; by default at each.", "Looking inside"),
    "metric": (
        "NAME",
        "What settings are ranked on: val_loss, val_accuracy, train_loss or train_accuracy; of a target that is a "
        "number val_mae or val_r2 in place of accuracies; of your own --train or --command any name that is reported.",
        "Study",
    ),
    "direction": ("WAY", "minimize or maximize; by default what the metric means.", "Study"),
}


def with_space(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the recipe argument and one flag for every hyperparameter and recipe key.

    The command's own parameter `flags` receives those that were
    given, in the order they were typed: the first varies slowest.
    """
    typed: list[str] = []
    sets: dict[str, str] = {}

    def note_set(value: list[str] | None) -> list[str] | None:
        for text in value or []:
            name, equals, values = text.partition("=")
            if not equals or not name.strip():
                raise UsageError(f"--set {text}: expected NAME=VALUES, such as --set alpha=0.1,0.01")
            if name.strip() in sets:
                raise UsageError(f"--set {name.strip()} is given twice; expected once, with commas between values")
            sets[name.strip()] = values
            typed.append(SET + name.strip())
        return value

    def note(param: typer.CallbackParam, value: list[str] | None) -> list[str] | None:
        if value and param.name is not None:
            if len(value) > 1:
                flag = f"--{param.name.replace('_', '-')}"
                raise UsageError(f"{flag} is given {len(value)} times; expected once: {flag} {','.join(value)}")
            typed.append(param.name)
        return value

    options = {name: (row.flag, "VALUES", _help(row), row.panel) for name, row in TABLE.items()}
    options |= {name: (f"--{name.replace('_', '-')}", *rest) for name, rest in _RECIPE_FLAGS.items()}
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "flags"]
    flag_parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                list[str] | None,
                typer.Option(
                    flag, metavar=metavar, help=text, rich_help_panel=panel, callback=note, show_default=False
                ),
            ],
        )
        for name, (flag, metavar, text, panel) in options.items()
    ]

    setting = inspect.Parameter(
        "set_",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            list[str] | None,
            typer.Option(
                "--set",
                metavar="NAME=VALUES",
                help="Values of a hyperparameter of your own --train, --command or --model FILE.py:NAME, such as "
                "alpha=0.1,0.01, loss=hinge,log_loss, alpha=1e-5:1e-1:log:5; typed by them. Repeatable.",
                rich_help_panel=OWN,
                callback=note_set,
                show_default=False,
            ),
        ],
    )

    def wrapped(**values: Any) -> None:
        flags = {name: sets[name.removeprefix(SET)] if name.startswith(SET) else values[name][0] for name in typed}
        typed.clear()
        sets.clear()
        command(flags=flags, **{p.name: values[p.name] for p in own})

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + [*flag_parameters, setting]
    return _sign_values(wrapped, command, parameters)


def _help(row: Hyperparameter) -> str:
    """What it is, when it is active, what it may be."""
    on = "on a function only " if any(TABLE[name].panel == FUNCTION for name in row.unless) else ""
    when = f"; {on}with {row.condition}" if row.condition else ""
    return f"{row.help} [dim]\\[{row.expected}; default {show_value(row.default)}{when}][/]"


RecipeFile = Annotated[
    Path | None, typer.Argument(metavar="RECIPE", help="TOML recipe; flags win over it.", show_default=False)
]
StudyFlag = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="NAME",
        help="Name of the study; by default the recipe's, else a short one.",
        rich_help_panel="Study",
    ),
]
