"""A model that was written, what one answers, an ensemble, in words and tables. Needs rich; pandas for answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from sweep.analysis.ensembles import NumbersAveraged, NumberScore
from sweep.hyperparameters import show_value
from sweep.report.columns import Columns
from sweep.report.files import plain
from sweep.report.text import missing, short, show_metric, signed_gap
from sweep.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis import StudyTable
    from sweep.analysis.ensembles import Averaged, Ensemble, Score
    from sweep.data import Rows


def model_report(about: Mapping[str, Any], target: str, values: Mapping[str, Any]) -> Text:
    """What was written, and how it was checked. values: the hyperparameters that the study varies."""
    setting = ", ".join([*_settings(values), f"seed {about['seed']}", count(about["epochs"], "epoch")])
    where = f"trial {about['trial']} of {about['study']} ({setting})"
    if about["refit"]:
        lines = [
            f"wrote {target}: as {where}, but trained on {about['trained_rows']:,} rows, training and validation "
            "together",
            "No score is known for it: nothing was left to validate it on.",
        ]
    else:
        scores = ", ".join(f"{name} {show_metric(name, value)}" for name, value in about["scores"].items())
        lines = [
            f"wrote {target}: {where}",
            f"The network of its row, every epoch to the bit; on its own it scores as recorded: {scores}.",
        ]
    shape, scaled = " x ".join(map(str, about["shape"])), about["setting"]["normalize"]
    way = "takes them as they are" if scaled == "none" else f"standardises them itself ({scaled})"
    what = f"{count(len(about['classes']), 'class')}" if about["classes"] else "a number, in the target's own units"
    rows = f"the columns of such a table ({shape} numbers)" if about["data"].get("columns") else f"raw rows of {shape}"
    lines.append(f"It takes {rows}, {way}, and answers {what}.")
    return Text("\n").join([Text(lines[0], "green"), *map(Text, lines[1:])])


def _settings(values: Mapping[str, Any]) -> list[str]:
    return [f"{name} {show_value(plain(value))}" for name, value in values.items() if not missing(value)]


def answers_table(probabilities: Any, names: Sequence[str], files: Sequence[str] = ()) -> pd.DataFrame:
    """A row for each that was answered: row, prediction, probability, p_CLASS of each class, from [N, classes]; of
    regression row and prediction, from [N]. files: of images, a column after row."""
    import pandas as pd

    where = {"row": np.arange(len(probabilities))} | ({"file": list(files)} if files else {})
    if probabilities.ndim == 1:
        numbers = probabilities.astype(np.float32).astype(str).astype(float)
        return pd.DataFrame({**where, "prediction": numbers})
    best = probabilities.argmax(1)
    whole = all(name.lstrip("-").isdecimal() and str(int(name)) == name for name in names)
    called = np.array([int(name) for name in names] if whole else names, dtype=object)
    frame = pd.DataFrame({**where, "prediction": called[best]})
    shares = probabilities.astype(np.float32).astype(str).astype(float)  # 0.1, not 0.10000000149011612
    frame["probability"] = shares[np.arange(len(best)), best]
    return pd.concat([frame, pd.DataFrame(shares, columns=[f"p_{name}" for name in names])], axis=1)


def answers_line(target: str, table: pd.DataFrame, rows: Rows) -> str:
    """What was written; of rows whose classes are known, how many were answered right, or of numbers how near."""
    said = f"{'' if target == '-' else f'wrote {target}: '}{count(len(table), 'row')}, {rows.where}"
    if "probability" not in table:
        return said + _nearness(table["prediction"].to_numpy(float), rows.numbers)
    known = [place for place, label in enumerate(rows.labels or ()) if label is not None]
    if not known:
        return said
    assert rows.labels is not None
    labels = [str(rows.labels[place]) for place in known]
    called = {name.removeprefix("p_") for name in table.columns if name.startswith("p_")}
    if called.isdisjoint(labels):
        return f"{said}; its classes ({_few(labels)}) are not the model's ({_few(called)}), so none is judged"
    answered = table["prediction"].astype(str).to_numpy()[known]
    right = int((answered == np.array(labels, dtype=object)).sum())
    share = show_metric("val_accuracy", right / len(labels))
    strange = [label for label in labels if label not in called]
    more = f"; {count(len(strange), 'row')} of classes that it does not know ({_few(strange)})" if strange else ""
    return f"{said}; right in {right:,} of {count(len(labels), 'row')} ({share}){more}"


def _nearness(answers: Any, target: Any) -> str:
    """How near numbers are to those that are known."""
    known = np.isfinite(target) if target is not None else np.zeros(len(answers), bool)
    if not known.any():
        return ""
    errors, variance = answers[known] - target[known], np.var(target[known])
    r2 = f"R² {short(1 - float(np.square(errors).mean() / variance))}, " if variance else ""
    of = "" if known.all() else f" of {count(int(known.sum()), 'row')}"
    return f"; {r2}MAE {short(float(np.abs(errors).mean()))}, MSE {short(float(np.square(errors).mean()))}{of}"


def _few(names: Iterable[str]) -> str:
    """Some of the names, in order."""
    each = sorted(set(names))
    return ", ".join(each[:3]) + (", …" if len(each) > 3 else "")


def ensemble_json(table: StudyTable, ensemble: Ensemble) -> dict[str, Any]:
    """Everything as plain values."""
    rows = _member_rows(table, ensemble)
    members = [{"trial": number} | {name: plain(value) for name, value in row.items()} for number, row in rows]
    return {"study": table.name, "chosen_on": table.metric, **asdict(ensemble), "members": members}


def ensemble_report(table: StudyTable, ensemble: Ensemble, seeds: bool) -> RenderableType:
    """The members, the best and the mean one beside the averages of some, and what the last of these gives."""
    last = ensemble.averaged[-1]
    who = "the seeds of the best setting" if seeds else "the best settings, each by its best seed"
    head = Text.assemble(
        (table.name, "bold"), f": {count(last.size, 'member')}, {who} on {table.metric}; {ensemble.rows:,} test rows"
    )
    covers = (
        "Intervals (95%, of paired differences) are over test rows: other rows of the same kind, these very networks. "
        "They say nothing of other seeds or splits."
    )
    chosen = (
        f"Members were chosen on validation alone. The answer is of the {last.size} that you asked for; to pick "
        "another number by these test scores would be to select on test data."
    )
    parts: list[RenderableType] = [
        head,
        Text(),
        _members_table(table, ensemble),
        Text(),
        _scores_table(ensemble),
        Text(),
    ]
    if isinstance(last, NumbersAveraged):
        first, best = short(ensemble.best.r2), short(last.score.r2)  # type: ignore[union-attr]
        parts += [Text(f"R² of member 1 is {first}, of the {last.size} averaged {best}."), Text()]
    return Group(*parts, Text(_tell(last)), Text(), Text(covers), Text(chosen))


def _member_rows(table: StudyTable, ensemble: Ensemble) -> list[tuple[int, dict[str, Any]]]:
    trials = table.trials.set_index("number")
    names = [*table.swept, "seed", table.metric]
    return [(number, {name: trials.at[number, name] for name in names}) for number in ensemble.members]


def _members_table(table: StudyTable, ensemble: Ensemble) -> Columns:
    columns = Columns()
    for name in ("member", "trial", *table.swept, "seed", table.metric):
        columns.add_column(name, justify="right")
    for place, (number, row) in enumerate(_member_rows(table, ensemble), 1):
        metric = show_metric(table.metric, row.pop(table.metric))
        cells = ["–" if missing(value) else show_value(plain(value)) for value in row.values()]
        columns.add_row(str(place), str(number), *cells, metric)
    return columns


def _scores_table(ensemble: Ensemble) -> Columns:
    columns = Columns()
    columns.add_column("on test data")
    measures = _measures(ensemble)
    for name, metric in measures.items():
        for title in (name, "points gained" if metric == "val_accuracy" else f"{name} gained", "95% interval"):
            columns.add_column(title, justify="right")

    def add(
        name: str, score: Score | NumberScore, averaged: Averaged | NumbersAveraged | None, style: str = ""
    ) -> None:
        cells = []
        for measure, metric in measures.items():
            gains = ("", "") if averaged is None else _gain(metric, getattr(averaged, f"{measure}_gain"))
            cells += [show_metric(metric, getattr(score, measure)), *gains]
        columns.add_row(name, *cells, style=style)

    add("member 1, the best", ensemble.best, None)
    add("the mean member", ensemble.mean, None)
    for averaged in ensemble.averaged:
        style = "bold" if averaged is ensemble.averaged[-1] else ""
        add(f"{averaged.size} averaged", averaged.score, averaged, style)
    return columns


def _gain(metric: str, gain: tuple[float, float, float]) -> tuple[str, str]:
    middle, low, high = (signed_gap(metric, value) for value in gain)
    return middle, f"{low} to {high}"


def _measures(ensemble: Ensemble) -> dict[str, str]:
    """By what members are judged, each with the metric that it is written as; the first is the one people ask for."""
    if isinstance(ensemble.best, NumberScore):
        return {"mae": "val_mae", "mse": "val_loss"}
    return {"accuracy": "val_accuracy", "nll": "val_loss"}


def _tell(last: Averaged | NumbersAveraged) -> str:
    """What the ensemble that was asked for gives beside the best member."""
    if isinstance(last, NumbersAveraged):
        words = []
        for name, gain in (("mae", last.mae_gain), ("mse", last.mse_gain)):
            less = "lower" if gain[0] >= 0 else "higher"
            words.append(_verdict(name, gain, f"{short(abs(gain[0]))} {less}"))
        return f"{last.size} members averaged, beside the best member: {'; '.join(words)}."
    more = "higher" if last.accuracy_gain[0] >= 0 else "lower"
    points = f"{abs(100 * last.accuracy_gain[0]):.2f} points {more}"
    less = "lower" if last.nll_gain[0] >= 0 else "higher"
    words = [
        _verdict("accuracy", last.accuracy_gain, points),
        _verdict("nll", last.nll_gain, f"{short(abs(last.nll_gain[0]))} {less}"),
    ]
    return f"{last.size} members averaged, beside the best member: {'; '.join(words)}."


def _verdict(name: str, gain: tuple[float, float, float], size: str) -> str:
    _, low, high = gain
    if low > 0:
        return f"better in {name} ({size})"
    return f"worse in {name} ({size})" if high < 0 else f"no difference shown in {name} ({size})"
