"""Remarks on what trials were trained on and with: the classes of the data, warm-ups, machines. Needs pandas; scipy."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from sweep.analysis.check.reading import Reading, Remark
from sweep.analysis.check.thresholds import CHANCE
from sweep.data import mostly_one
from sweep.ledger import PLANNED_EPOCHS, mixing
from sweep.wording import count


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def guessing(reading: Reading) -> Iterator[Remark]:
    """No setting's mean accuracy is above what always guessing one class has, by more than so many validation rows can
    differ by chance (a binomial test, Bonferroni over the settings)."""
    classes = reading.classes
    column = "best_val_accuracy" if reading.table.metric == "best_val_accuracy" else "val_accuracy"
    complete = reading.trials[reading.trials["value"].notna()]
    if classes is None or column not in complete or complete[column].isna().all():
        return
    means = complete.groupby("setting")[column].mean()
    best, rows = float(means.max()), sum(classes.val)
    label, chance = classes.guessing()
    from scipy import stats  # half a second, which most studies do without

    p = float(stats.binom(rows, chance).sf(round(best * rows) - 1)) * len(means)
    if best > chance and p <= CHANCE:
        return
    clearly = "" if best <= chance else "clearly "
    text = f"no setting's accuracy is {clearly}above guessing: the highest {column} of a setting is {_percent(best)}, "
    text += f"always saying class {label}, the most frequent, has {_percent(chance)}; "
    text += "nothing shows that anything was learned"
    numbers = {"accuracy": best, "guessing": chance, "class": label, "rows": rows}
    yield Remark("guessing", text, numbers, f"sweep plot {reading.table.name} curves")


def guessing_the_mean(reading: Reading) -> Iterator[Remark]:
    """Of a target that is a number: no setting's mean R² is above 0, which always answering the validation rows' mean
    has."""
    complete = reading.trials[reading.trials["value"].notna()]
    if not reading.table.regression or complete.empty:
        return
    best = float(complete.groupby("setting")["val_r2"].mean().max())
    if best > 0:
        return
    text = f"no setting is better than always answering the mean: the highest val_r2 of a setting is {best:.4f}, the "
    text += "mean has 0; nothing shows that anything was learned"
    yield Remark("guessing", text, {"r2": best}, f"sweep plot {reading.table.name} curves")


def one_class(reading: Reading) -> Iterator[Remark]:
    """One class is nearly all of the training rows."""
    classes = reading.classes
    balance = "" if classes is None else mostly_one(classes.train)
    if classes is None or not balance:
        return
    label, chance = classes.guessing()
    text = f"{balance}, {_percent(chance)} on the validation rows; accuracy says little here, the loss says more"
    numbers = {"share": max(classes.train) / sum(classes.train), "class": label, "guessing": chance}
    loss = f"sweep show {reading.table.name} --metric val_loss" if reading.accuracy else ""
    yield Remark("classes", text, numbers, loss)


def no_rows(reading: Reading) -> Iterator[Remark]:
    """Classes of which no training row is used, whether by the split or by `train_size`."""
    classes = reading.classes
    if classes is None:
        return
    sizes = _sizes(reading)
    by_size = {size: classes.missing(size) for size in sizes}
    size, without = max(by_size.items(), key=lambda item: len(item[1]))
    if not without:
        return
    lost = sum(classes.val[label] for label in without) / sum(classes.val)
    them = "it" if len(without) == 1 else "them"
    text = classes.missing_text(size)
    text += f": the {_percent(lost)} of the validation rows that are of {them} cannot be learned" if lost else ""
    yield Remark("classes", text, {"without": without, "train_size": size, "lost": lost}, "")


def _sizes(reading: Reading) -> list[int | None]:
    """The sizes of the training part that trials use, None for all of it."""
    column = reading.table.trials.get("train_size", pd.Series([reading.table.constant.get("train_size")]))
    return sorted({None if isinstance(size, str) or size is None else int(size) for size in column}, key=str)


def warm_ups(reading: Reading) -> Iterator[Remark]:
    """Warm-ups that end after the training, in the words of `sweep plan`."""
    trials = reading.table.trials
    if reading.recipe is None or not {"warmup_epochs", PLANNED_EPOCHS} <= {*trials}:
        return
    cut = int((trials["warmup_epochs"].astype(float) > trials[PLANNED_EPOCHS].astype(float)).sum())
    for warning in reading.recipe.long_warmup() if cut else ():
        of = f" ({cut:,} of {count(len(trials), 'trial')})"
        yield Remark("warmup", warning + of, {"trials": cut}, "")


def machines(reading: Reading) -> Iterator[Remark]:
    """Trials that come from machines whose numbers differ in their last digits."""
    if len(reading.kinds) > 1:
        kinds = {kind[0].kind: sum(sitting.trials for sitting in kind) for kind in reading.kinds}
        yield Remark("machines", mixing(reading.kinds), {"kinds": kinds}, "")
