"""A bench: one layer, loss or z-score on numbers that are given. Needs typer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.base import app, say
from sweep.errors import UsageError, unknown
from sweep.flags import Json, group_flags

if TYPE_CHECKING:
    from sweep.data.numbers import Numbers

LOSSES = ("cross_entropy", "mse", "mse_logits")
ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu")
KINDS = ("batch_norm", "dropout", *ACTIVATIONS, "softmax", *LOSSES, "zscore")
USED_BY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("momentum", "eps", "gamma", "beta", "scale", "shift"), ("batch_norm",)),
    "p": ("dropout",),
    **dict.fromkeys(("labels", "targets", "smoothing", "probabilities"), LOSSES),
    **dict.fromkeys(("data", "data_dir", "part", "least_std"), ("zscore",)),
}
"""The kinds that take a flag; the others take any."""


@dataclass(frozen=True)
class Given:
    """The flags that say which numbers."""

    rows: Annotated[
        str | None,
        typer.Option(
            "--rows",
            metavar="NUMBERS",
            help='Numbers as text, rows with semicolons between: "1,2;3,4".',
            rich_help_panel="Numbers",
        ),
    ] = None
    input: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="A .csv, .json, .npy or .npz file: rows [N, D], [N, C, L] or images [N, C, H, W].",
            rich_help_panel="Numbers",
        ),
    ] = None
    array: Annotated[
        str | None,
        typer.Option(
            "--array", metavar="NAME", help="Which array of a file that has several.", rich_help_panel="Numbers"
        ),
    ] = None
    randn: Annotated[
        str | None,
        typer.Option(
            "--randn",
            metavar="SHAPE",
            help="Normal draws, those of torch.manual_seed(SEED); torch.randn(SHAPE): 5x5, 1x2x5x5.",
            rich_help_panel="Numbers",
        ),
    ] = None
    seed: Annotated[
        int,
        typer.Option(
            "--seed", metavar="N", min=0, help="Seed of --randn, and of dropout's draws.", rich_help_panel="Numbers"
        ),
    ] = 0
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|FILE.npz",
            help="zscore: the rows of a data set, as `sweep grid` takes it.",
            rich_help_panel="Numbers",
        ),
    ] = None
    data_dir: Annotated[
        str | None,
        typer.Option("--data-dir", metavar="DIR", help="Folder of the data set's files.", rich_help_panel="Numbers"),
    ] = None
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            metavar="NAME",
            help="zscore: which rows of the data set, train (those that training standardises by) or all. "
            "[dim]\\[default train][/]",
            rich_help_panel="Numbers",
        ),
    ] = None


@dataclass(frozen=True)
class Knobs:
    """The flags of one kind of layer or another."""

    momentum: Annotated[
        float | None,
        typer.Option(
            "--momentum",
            min=0,
            max=1,
            metavar="X",
            help="Weight of the new batch in the running statistics. [dim]\\[default 0.1][/]",
            rich_help_panel="batch_norm",
        ),
    ] = None
    eps: Annotated[
        float | None,
        typer.Option(
            "--eps", min=0, metavar="X", help="ε in √(σ² + ε). [dim]\\[default 1e-5][/]", rich_help_panel="batch_norm"
        ),
    ] = None
    gamma: Annotated[
        str | None,
        typer.Option(
            "--gamma", metavar="NUMBERS", help="γ: one, or one a channel: 1,2,0.5.", rich_help_panel="batch_norm"
        ),
    ] = None
    beta: Annotated[
        str | None,
        typer.Option("--beta", metavar="NUMBERS", help="β: one, or one a channel.", rich_help_panel="batch_norm"),
    ] = None
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale",
            metavar="C",
            help="Also compare BN(C·Wu) with BN(Wu), and their gradients by the weights.",
            rich_help_panel="batch_norm",
        ),
    ] = None
    shift: Annotated[
        float | None,
        typer.Option(
            "--shift",
            metavar="B",
            help="Also compare BN(Wu + B) with BN(Wu). [dim]\\[default with --scale: 1][/]",
            rich_help_panel="batch_norm",
        ),
    ] = None
    p: Annotated[
        float | None,
        typer.Option(
            "--p",
            min=0,
            max=0.999999,
            metavar="X",
            help="Share that is dropped. [dim]\\[default 0.5][/]",
            rich_help_panel="dropout",
        ),
    ] = None
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="CLASSES",
            help="The class of each row, or one for all: 0,2,1.",
            rich_help_panel="Losses",
        ),
    ] = None
    targets: Annotated[
        str | None,
        typer.Option(
            "--targets",
            metavar="NUMBERS",
            help='Instead of labels: the probability of each class, a row each or one for all: "0.3,0.7".',
            rich_help_panel="Losses",
        ),
    ] = None
    smoothing: Annotated[
        float | None,
        typer.Option(
            "--smoothing", min=0, max=0.999999, metavar="X", help="Label smoothing.", rich_help_panel="Losses"
        ),
    ] = None
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities",
            help="The rows are probabilities; their logarithms are the logits.",
            rich_help_panel="Losses",
        ),
    ] = False
    least_std: Annotated[
        float | None,
        typer.Option(
            "--least-std",
            min=0,
            metavar="X",
            help="Leave out columns whose standard deviation is smaller.",
            rich_help_panel="zscore",
        ),
    ] = None


@app.command(rich_help_panel="Ask")
@group_flags
def layer(
    *,
    kinds: Annotated[
        list[str],
        typer.Argument(
            metavar="KIND...",
            help=f"What to run: {', '.join(KINDS)}. Several are run one after another.",
        ),
    ],
    given: Given,
    knobs: Knobs,
    as_json: Json = False,
) -> None:
    """Run one layer, loss or z-score on given numbers, in float64, by the code that trains; nothing is recorded.

    batch_norm shows μ, σ², both outputs and the running statistics; an activation its derivative; a loss its gradient;
    zscore a data set's columns. For example: sweep layer batch_norm --rows "1,2;3,5;4,1"
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown("layer", kind, KINDS)
    _refuse_idle(kinds, given, knobs)
    answers = []
    for kind in kinds:
        answers.append(_standardise(given, knobs) if kind == "zscore" else _run_kind(kind, given, knobs))
    from sweep.report.layer import layer_json

    if as_json:
        plain = [layer_json(kind, x, result) for kind, (x, result, _) in zip(kinds, answers, strict=True)]
        say(plain[0] if len(plain) == 1 else plain)
        return
    for place, (_, _, report) in enumerate(answers):
        if place:
            say("")
        say(report)


def _refuse_idle(kinds: list[str], given: Given, knobs: Knobs) -> None:
    """Raises UsageError for a flag that none of the kinds takes."""
    for group in (given, knobs):
        for field in fields(group):
            takers = USED_BY.get(field.name)
            if takers and getattr(group, field.name) not in (None, False) and not set(takers) & set(kinds):
                flag = f"--{field.name.replace('_', '-')}"
                raise UsageError(f"{flag}: {', '.join(kinds)} takes none; expected with {', '.join(takers)}")


def _numbers(given: Given) -> Numbers:
    """The numbers that were given in one of the ways there are."""
    from sweep.data.numbers import Numbers, parse_rows, parse_shape, read_numbers

    ways = [name for name in ("rows", "input", "randn") if getattr(given, name) is not None]
    if len(ways) != 1:
        found = " and ".join(f"--{name}" for name in ways) or "none"
        raise UsageError(f"numbers: {found} given; expected one of --rows, --input, --randn")
    if given.array is not None and given.input is None:
        raise UsageError(f"--array {given.array}: expected with --input FILE")
    if given.rows is not None:
        return Numbers(parse_rows(given.rows))
    if given.input is not None:
        return read_numbers(given.input, given.array)
    from sweep.engine.bench import draw_normal

    assert given.randn is not None
    return Numbers(draw_normal(parse_shape(given.randn), given.seed))


def _run_kind(kind: str, given: Given, knobs: Knobs) -> tuple[Any, Any, Any]:
    """The input, the result and its report."""
    x = _numbers(given).values
    from sweep.engine import bench
    from sweep.report import layer as report

    result: Any
    if kind == "batch_norm":
        result = _batch_norm(x, knobs)
        return x, result, report.batch_norm_report(x, result)
    if kind == "dropout":
        result = bench.dropout(x, 0.5 if knobs.p is None else knobs.p, given.seed)
        return x, result, report.dropout_report(x, result)
    if kind == "softmax":
        result = bench.softmax(x)
        return x, result, report.softmax_report(x, result)
    if kind in LOSSES:
        labels = None if knobs.labels is None else _whole(knobs.labels)
        targets = None if knobs.targets is None else _row_list(knobs.targets)
        result = bench.loss(kind, x, labels, targets, knobs.smoothing or 0.0, knobs.probabilities)
        return x, result, report.loss_report(kind, x, result, labels)
    result = bench.activation(kind, x)
    return x, result, report.activation_report(kind, x, result)


def _batch_norm(x: Any, knobs: Knobs) -> Any:
    from sweep.data.numbers import parse_rows
    from sweep.engine.bench import batch_norm

    gamma = [1.0] if knobs.gamma is None else parse_rows(knobs.gamma, "--gamma").ravel().tolist()
    beta = [0.0] if knobs.beta is None else parse_rows(knobs.beta, "--beta").ravel().tolist()
    momentum = 0.1 if knobs.momentum is None else knobs.momentum
    eps = 1e-5 if knobs.eps is None else knobs.eps
    scale, shift = knobs.scale, 1.0 if knobs.shift is None else knobs.shift
    if scale is None and knobs.shift is not None:
        scale = 1.0
    return batch_norm(x, momentum, eps, gamma, beta, scale, shift)


def _row_list(text: str) -> Any:
    from sweep.data.numbers import parse_rows

    return parse_rows(text, "--targets")


def _whole(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--labels {text}: expected classes, whole numbers such as 0,2,1") from None


def _standardise(given: Given, knobs: Knobs) -> tuple[Any, Any, Any]:
    """The z-score of a data set's columns, or of numbers that were given."""
    import numpy as np

    from sweep.data.scaling import standardise
    from sweep.report.layer import zscore_report

    names: tuple[str, ...] = ()
    if given.data is None:
        if given.part is not None:
            raise UsageError(f"--part {given.part}: expected with --data NAME")
        numbers = _numbers(given)
        x, names, name = numbers.values, numbers.columns, given.input or "the numbers given"
    else:
        from sweep.data import load

        if any(getattr(given, other) is not None for other in ("rows", "input", "randn")):
            raise UsageError("numbers: --data and another given; expected one of --data, --rows, --input, --randn")
        parts = {"train": "the training rows", "all": "all rows"}
        if (part := given.part or "train") not in parts:
            raise unknown("part", part, parts, "--part: ")
        source = load(given.data, given.data_dir, 0)
        x = source.train[0] if part == "train" else np.concatenate([source.train[0], source.val[0], source.test[0]])
        name = f"{given.data}, {parts[part]}"
    result = standardise(x, names, knobs.least_std or 0.0)
    return None, result, zscore_report(name, result, x.shape[1:])
