"""The answer to `sweep look`: what was recorded, or one quantity as a table, or plain values. Needs rich."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.hyperparameters import show_value
from sweep.report.columns import Columns
from sweep.report.files import records
from sweep.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis.looks import Look

ROWS = 40
"""At most so many rows are shown to people; of more, some spread evenly."""

ROUNDING = 1e-12
"""Means below it are what rounding left of 0."""

QUANTITIES = {
    "grad_norm": "L2 norm of the loss's gradient by the layer's weights and bias, on the epoch's first minibatch",
    "preactivation_mean": "mean of what the layer's activation reads, on the epoch's first minibatch",
    "preactivation_sd": "standard deviation of what the layer's activation reads",
    "activation_mean": "mean of what the layer's activation gives",
    "activation_sd": "standard deviation of what the layer's activation gives",
    "gamma_mean": "batch norm's scale γ, mean over units",
    "gamma_sd": "batch norm's scale γ, standard deviation over units",
    "beta_mean": "batch norm's shift β, mean over units",
    "beta_sd": "batch norm's shift β, standard deviation over units",
    "running_mean": "batch norm's moving average of the mean, mean over units",
    "running_var": "batch norm's moving average of the variance, mean over units",
    "curvature": "largest eigenvalue of the loss's Hessian over the training rows; gradient descent needs lr < 2 / it",
    "gradient_noise": "root mean square distance of a minibatch's gradient from that of all rows",
    "scored_train_loss": "loss of the training part, scored after the epoch",
    "scored_train_accuracy": "accuracy on the training part, scored after the epoch",
    "scored_train_r2": "R² on the training part, scored after the epoch",
    "gap_r2": "generalisation gap: R² on the training part, scored after the epoch, less validation's",
    "gap_loss": "generalisation gap: validation loss less that of the training part, scored after the epoch",
    "gap_accuracy": "generalisation gap: accuracy on the training part, scored after the epoch, less validation's",
}
"""What each quantity is."""


def readings_report(study: str, readings: pd.DataFrame) -> RenderableType:
    """What a study has readings of."""
    table = Columns()
    for title in ("quantity", "places", "epochs", "what it is"):
        table.add_column(title, flows=title == "what it is")
    for row in readings.to_dict("records"):
        what = QUANTITIES.get(row["quantity"], "")
        table.add_row(row["quantity"], _span(row["places"]), _span([*map(str, row["epochs"])]), what)
    return Group(
        Text.assemble("What was looked at in study ", (study, "bold")),
        Text(),
        table,
        Text(),
        Text(f"One of them: sweep look {study} {readings['quantity'].iloc[0]}"),
    )


def look_report(look: Look) -> RenderableType:
    """One quantity, a row for each place or epoch, a column for each level."""
    rows = look.rows
    by_place = rows["place"].nunique() > 1
    keys = ["place"] if by_place else [name for name in ("epoch", "step") if rows[name].nunique() > 1] or ["epoch"]
    levels = _levels(look)
    show = _show_mean if look.quantity.endswith("_mean") else _show
    table = Columns()
    for name in keys:
        table.add_column(name, "left" if name == "place" else "right")
    for label, _ in levels:
        table.add_column(label, "right")
    heads = rows[keys].drop_duplicates().to_dict("records")
    shown = heads if len(heads) <= ROWS else [heads[round(i * (len(heads) - 1) / (ROWS - 1))] for i in range(ROWS)]
    for head in shown:
        cells = []
        for _, of in levels:
            mine = of
            for name in keys:
                mine = mine[mine[name] == head[name]]
            cells.append(_cell(mine, show))
        table.add_row(*(str(value) for value in head.values()), *cells)
    place = "" if by_place or not rows["place"].iloc[0] else f", {rows['place'].iloc[0]}"
    when = f", epoch {look.epoch}" if look.epoch is not None else ""
    title = Text.assemble((look.quantity, "bold"), f"{place} in study {look.study}{when}")
    return Group(title, *(Text(line, "dim") for line in _notes(look, len(shown) < len(heads))), Text(), table)


def look_json(look: Look) -> dict[str, Any]:
    """A look as plain values."""
    rest = {"study": look.study, "quantity": look.quantity, "by": list(look.by), "epochs": list(look.epochs)}
    return rest | {"rows": records(look.rows)}


def readings_json(study: str, readings: pd.DataFrame) -> dict[str, Any]:
    """What a study has readings of, as plain values."""
    rows = readings.to_dict("records")
    plainly = [row | {"epochs": [*map(int, row["epochs"])], "trials": int(row["trials"])} for row in rows]
    return {"study": study, "readings": plainly}


def _levels(look: Look) -> list[tuple[str, pd.DataFrame]]:
    """Each level in words, and its rows."""
    if not look.by:
        return [("all trials", look.rows)]
    groups = look.rows.groupby(list(look.by), sort=False, dropna=False)
    out = []
    for values, part in groups:
        label = ", ".join(f"{name} {show_value(value)}" for name, value in zip(look.by, values, strict=True))
        out.append((label, part))
    return out


def _cell(rows: pd.DataFrame, show: Callable[[float], str]) -> Text:
    if rows.empty:
        return Text("–")
    row = rows.iloc[0]
    if not row["n"]:
        return Text("not finite")
    text = Text(show(row["median"]))
    if row["n"] > 1:
        text.append(f" ({show(row['low'])}–{show(row['high'])})", "dim")
    return text


def _show(value: float) -> str:
    return f"{value:.3g}"


def _show_mean(value: float) -> str:
    """A mean of numbers around 1, whose rounding errors are no finding."""
    return "0" if abs(value) < ROUNDING else _show(value)


def _notes(look: Look, thinned: bool) -> list[str]:
    what = QUANTITIES.get(look.quantity)
    out = [what] if what else []
    most = int(look.rows["n"].max())
    if most > 1:
        where = "of each level" if look.by else "in all; --by NAME tells them apart"
        out.append(f"median (lowest–highest) over up to {count(most, 'trial')} {where}")
    if infinite := int(look.rows["infinite"].sum()):
        out.append(f"{count(infinite, 'value')} not finite, of trials that diverged, left out")
    if look.epoch is not None and len(look.epochs) > 1:
        others = [epoch for epoch in look.epochs if epoch != look.epoch]
        out.append(
            f"also looked at in epoch{'s' * (len(others) > 1)} {_span([*map(str, others)])}: --epoch {others[0]}"
        )
    if thinned:
        out.append(f"{ROWS} rows of more, spread evenly; --json has all")
    return out


def _span(names: list[str]) -> str:
    """Names, the first and the last of many."""
    names = [name for name in names if name]
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} to {names[-1]} ({len(names)})"
