"""The answer to `sweep layer`: a layer, a loss or a z-score on given numbers, as tables or plain values. Needs rich."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from sweep.report.columns import Columns
from sweep.report.text import short
from sweep.wording import count

if TYPE_CHECKING:
    from sweep.data.scaling import Standardised
    from sweep.engine.bench import Activation, BatchNorm, Dropped, Loss, Scaled, Softmax

MOST_ROWS, MOST_COLUMNS = 16, 10
"""What is shown of a tensor; `--json` has all of it."""

FORMULAS = {
    "relu": "max(x, 0)",
    "tanh": "tanh(x), whose derivative is 1 - tanh(x)²",
    "sigmoid": "1 / (1 + exp(-x)), whose derivative is at most 1/4",
    "gelu": "x Φ(x), Φ the normal distribution function",
    "cross_entropy": "-Σ target · ln p, in nats, p the softmax of the logits",
    "mse": "mean over classes of (p - target)², p the softmax of the logits",
    "mse_logits": "mean over classes of (logit - target)², without a softmax",
}


def layer_json(kind: str, x: Any, result: Any) -> dict[str, Any]:
    """A result as plain values; `input` is what was given. Numbers that are not finite are null."""
    given = {} if x is None else {"input": _plain(x)}
    return {"kind": kind, **given, **{name: _plain(value) for name, value in asdict(result).items()}}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(part) for name, part in asdict(value).items()}
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def batch_norm_report(x: Any, norm: BatchNorm) -> RenderableType:
    """Batch norm: statistics, both outputs, a row alone."""
    plain = bool((norm.gamma == 1).all() and (norm.beta == 0).all())
    affine = "γ 1 and β 0" if plain else "γ and β as below"
    parts: list[RenderableType] = [
        _headline("batch_norm", x, f"m = {norm.numbers} numbers a channel, ε {norm.eps:g}, {affine}"),
        Text(),
        _statistics_table(norm, plain),
        Text(f"running = {1 - norm.momentum:g} · before + {norm.momentum:g} · the batch's, σ² with 1/(m-1)", "dim"),
    ]
    if not plain:
        parts += _title("x̂ = (x - μ) / √(σ² + ε), σ² with 1/m", norm.normalised)
    parts += _title("training: y = γ (x - μ) / √(σ² + ε) + β, σ² with 1/m", norm.training)
    parts += _title("evaluation: the same with the running mean and variance after this batch", norm.evaluation)
    parts += [Text(), Text(_tell_alone(norm, x))]
    if norm.scaled:
        parts += [Text(), _scaled_table(norm.scaled)]
    return Group(*parts)


def _statistics_table(norm: BatchNorm, plain: bool) -> Columns:
    table = Columns()
    table.add_column("channel", justify="right")
    columns = {
        "μ": norm.mean,
        "σ² (1/m)": norm.var,
        "σ² (1/(m-1))": norm.var_unbiased,
        "running mean: before": norm.mean_before,
        "mean after": norm.mean_after,
        "running var: before": norm.var_before,
        "var after": norm.var_after,
    }
    if not plain:
        columns |= {"γ": norm.gamma, "β": norm.beta}
    for title in columns:
        table.add_column(title, justify="right")
    for channel in range(min(len(norm.mean), MOST_ROWS)):
        table.add_row(str(channel), *(_exact(values[channel]) for values in columns.values()))
    return table


def _tell_alone(norm: BatchNorm, x: Any) -> str:
    text = (
        f"Row 0 alone in evaluation differs from row 0 in the batch by {norm.alone_evaluation:g}: the running "
        "statistics do not know who is beside it."
    )
    if norm.alone_training is None:
        return text
    change = f"without row {len(x) - 1} in the batch, row 0 changes by up to {short(norm.alone_training)}"
    return f"{text} In training they do: {change}."


def _scaled_table(scaled: Sequence[Scaled]) -> RenderableType:
    c, b = f"{scaled[0].c:g}", f"{scaled[0].b:g}"
    table = Columns()
    for title in ("ε", f"BN({c}·Wu) - BN(Wu)", f"gradient by {c}·W : by W", f"BN(Wu + {b}) - BN(Wu)"):
        table.add_column(title, justify="right")
    for check in scaled:
        table.add_row(f"{check.eps:g}", f"{check.output:.2g}", f"{check.ratio:.10g}", f"{check.shifted:.2g}")
    about = f"weights {c} times as large, or a bias {b}, before batch norm: largest differences"
    return Group(Text(about, "bold"), table, Text("the numbers given are Wu: u is the input, W the identity", "dim"))


def activation_report(kind: str, x: Any, result: Activation) -> RenderableType:
    """An activation: value and derivative."""
    return Group(
        _headline(kind, x, FORMULAS[kind]),
        *_title("x", x),
        *_title("value", result.value),
        *_title("derivative", result.derivative),
    )


def dropout_report(x: Any, result: Dropped) -> RenderableType:
    """Dropout: what is kept."""
    kept = f"{result.kept:.1%} of the numbers are kept, {1 - result.p:.1%} expected, and divided by {1 - result.p:g}"
    return Group(
        _headline("dropout", x, f"p {result.p:g}: {kept}"),
        *_title("training", result.training),
        *_title("evaluation: the input as it is", result.evaluation),
    )


def softmax_report(x: Any, result: Softmax) -> RenderableType:
    """The softmax, and how far it sets logits apart."""
    table = _start_table(len(x[0]), ("y", "p"))
    table.add_column("each p over the next smaller")
    for row, (logits, shares) in enumerate(zip(x[:MOST_ROWS], result.probabilities, strict=False)):
        falling = np.sort(logits)[::-1]
        ratios = " ".join(f"e^{gap:.4g}" for gap in -np.diff(falling)[:MOST_COLUMNS])
        table.add_row(str(row), *_cells(logits), *_cells(shares), ratios)
    said = "A difference of logits becomes a ratio of probabilities: that is the softmax, before any loss."
    return Group(_headline("softmax", x, "p = exp(y) / Σ exp(y)"), Text(), table, *_rest(x), Text(), Text(said))


def loss_report(kind: str, x: Any, result: Loss, labels: Sequence[int] | None) -> RenderableType:
    """A loss: each row's probabilities, value and gradient by its logits."""
    groups = {"y": result.logits, "p": result.probabilities, "t": result.targets}
    if kind == "mse_logits":
        del groups["p"]
    if labels is not None:
        del groups["t"]
    table = _start_table(result.classes, tuple(groups))
    if labels is not None:
        table.add_column("label", justify="right")
    for row in range(min(len(x), MOST_ROWS)):
        label = [] if labels is None else [str(labels[row % len(labels)])]
        table.add_row(str(row), *(cell for values in groups.values() for cell in _cells(values[row])), *label)
    said = [Text(line) for line in _tell_loss(kind, x, result)]
    parts: tuple[RenderableType, ...] = (Text(), table, Text(), _loss_table(kind, result), *_rest(x), Text(), *said)
    return Group(_headline(kind, x, FORMULAS[kind]), *parts)


def _loss_table(kind: str, result: Loss) -> Columns:
    """Value and gradient of each row; of a mean over classes, what it is as a sum too."""
    factors = (1,) if kind == "cross_entropy" else (1, result.classes)
    titles = ("", "as a sum")[: len(factors)]
    table = Columns()
    table.add_column("row", justify="right")
    for title in titles:
        table.add_column(title or kind, justify="right")
    _add_group(table, result.classes, "∂/∂y")
    for title in titles:
        table.add_column(title or "gradient's norm", justify="right")
    for row in range(min(len(result.value), MOST_ROWS)):
        value, gradient = float(result.value[row]), result.gradient[row]
        norm = float(np.linalg.norm(gradient))
        cells = [_small(factor * value) for factor in factors]
        cells += [_small(part) for part in gradient[:MOST_COLUMNS]]
        cells += [_small(factor * norm) for factor in factors]
        table.add_row(str(row), *cells, style="green" if row == result.least and len(result.value) > 1 else "")
    return table


def _tell_loss(kind: str, x: Any, result: Loss) -> list[str]:
    out = []
    if len(x) > 1:
        output, outputs = ("y", result.logits) if kind == "mse_logits" else ("p", result.probabilities)
        distance = float(np.abs(outputs[result.least] - result.targets[result.least]).max())
        where = f", whose {output} differs from the target by {_small(distance)} at most"
        out.append(f"Least in row {result.least}{where}.")
        out.append(f"As a batch: loss {_small(result.mean)}, each row's gradient divided by {len(x)}.")
    if kind != "cross_entropy":
        out.append(
            f"{kind} is a mean over the {result.classes} classes. As a sum, the loss and its gradient are "
            f"{result.classes} times as large: a learning rate of 1 for the sum is one of {result.classes} here."
        )
    return out


def zscore_report(name: str, inputs: Standardised, shape: Sequence[int]) -> RenderableType:
    """The statistics of inputs, and the curvature that each way of scaling leaves."""
    table = Columns()
    table.add_column("")
    for title in ("numbers", "least", "most", "mean", "std (1/m)", "mean after", "std after"):
        table.add_column(title, justify="right")
    for column in inputs.columns[:MOST_ROWS]:
        ends = (f"{column.least:.6g}", f"{column.most:.6g}", _exact(column.mean), _exact(column.std))
        after = (_small(column.mean_after), _exact(column.std_after))
        table.add_row(column.name, f"{column.numbers:,}", *ends, *after)
    said = f"{count(inputs.rows, 'row')} of {' x '.join(map(str, shape))}"
    if inputs.dropped:
        said += f", {count(inputs.dropped, 'column')} left out that hardly vary"
    parts: list[RenderableType] = [Text.assemble(("zscore", "bold"), f" of {name}: {said}"), Text(), table]
    if len(inputs.columns) > MOST_ROWS:
        parts.append(Text(f"… and {len(inputs.columns) - MOST_ROWS:,} more; --json has all", "dim"))
    if len(shape) > 1:
        parts.append(Text("Images have one mean and one standard deviation a channel, not one a pixel.", "dim"))
    elif inputs.rows <= MOST_ROWS:
        parts += _title("z = (x - mean) / std", inputs.z)
    parts += [Text(), Text("What that does to least squares (a linear layer with a bias, squared error)", "bold")]
    parts += [_surface_table(inputs), *map(Text, _tell_surfaces(inputs))]
    return Group(*parts)


def _surface_table(inputs: Standardised) -> Columns:
    table = Columns()
    for title in ("inputs", ""):
        table.add_column(title)
    for title in ("steepest λ", "flattest λ", "condition", "lr below", "steps"):
        table.add_column(title, justify="right")
    for surface in inputs.surfaces:
        numbers = (surface.largest, surface.smallest, surface.condition, surface.lr_limit)
        table.add_row(surface.name, surface.about, *(f"{value:.4g}" for value in numbers), f"{surface.steps:,}")
    return table


def _tell_surfaces(inputs: Standardised) -> list[str]:
    out = [
        "condition: steepest over flattest curvature, 1 at best. lr below: gradient descent with more diverges. "
        "steps: at the best lr, until a millionth of the loss above its least is left in every direction."
    ]
    if flat := max(surface.flat for surface in inputs.surfaces):
        out.append(f"Left out: {count(flat, 'direction')} at most in which the inputs do not vary at all.")
    return out


def _headline(kind: str, x: Any, more: str) -> Text:
    shape = " x ".join(map(str, np.shape(x)))
    return Text.assemble((kind, "bold"), f" of {shape}: {more}")


def _title(title: str, values: Any) -> list[RenderableType]:
    """A tensor below its title."""
    return [Text(), Text(title, "bold"), _matrix(np.asarray(values)), *_rest(values)]


def _matrix(values: Any) -> Columns:
    """[N, D] a line a row; more axes: a line for each of the last one."""
    table = Columns()
    names = ("row",) if values.ndim == 2 else ("row", "channel") if values.ndim == 3 else ("row", "channel", "line")
    for name in names:
        table.add_column(name, justify="right")
    for column in range(min(values.shape[-1], MOST_COLUMNS)):
        table.add_column(str(column), justify="right")
    for place in list(np.ndindex(values.shape[:-1]))[:MOST_ROWS]:
        table.add_row(*map(str, place), *_cells(values[place]))
    return table


def _rest(values: Any) -> list[Text]:
    """What a table does not show."""
    shape = np.shape(values)
    lines = math.prod(shape[:-1])
    more = [f"{lines - MOST_ROWS:,} more lines"] if lines > MOST_ROWS else []
    more += [f"{shape[-1] - MOST_COLUMNS:,} more columns"] if shape[-1] > MOST_COLUMNS else []
    return [Text(f"… and {', '.join(more)}; --json has all", "dim")] if more else []


def _start_table(classes: int, groups: Sequence[str]) -> Columns:
    table = Columns()
    table.add_column("row", justify="right")
    for group in groups:
        _add_group(table, classes, group)
    return table


def _add_group(table: Columns, classes: int, group: str) -> None:
    for place in range(min(classes, MOST_COLUMNS)):
        table.add_column(f"{group}{place}", justify="right")


def _cells(values: Any) -> list[str]:
    return [short(float(value)) for value in values[:MOST_COLUMNS]]


def _small(value: float) -> str:
    """Four figures, for numbers of any size."""
    return f"{value:z.4g}" if value else "0"


def _exact(value: float) -> str:
    """Eight figures: enough to see which of two formulas it is."""
    return f"{value:z.8g}"
