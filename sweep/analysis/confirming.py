"""Confirmation: the best settings on seeds that did not help
to select them, and what is left of their lead. Needs pandas.

Who is first of many is in part the luckiest (the winner's curse), so its selecting score is too good: by 1.485 standard
deviations of a score on average if the best of nine equals was picked. Fresh seeds know nothing of that.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.cells import FINISHED, setting_texts
from sweep.analysis.equality import Equality, ask_seeds, check_margin
from sweep.analysis.pairing import FEWEST_SEEDS, NOT_SHOWN, PRACTICALLY_EQUAL, SHOWN
from sweep.analysis.seeds import seed_roles
from sweep.analysis.settings import SettingsBoard, rank_settings
from sweep.analysis.significance import compare_seeds, probability_of_improvement, seeds_needed, signed_rank
from sweep.analysis.statistics import Floats, bootstrap_mean, by_ratio, fair_scale, interquartile_mean
from sweep.analysis.table import StudyTable, study_table
from sweep.errors import UsageError, unknown
from sweep.hyperparameters import TABLE
from sweep.ledger import Ledger, Study
from sweep.recipe import METRICS, Recipe, parse_seeds
from sweep.space import seeds_text, setting_key
from sweep.wording import count

TOP, SEEDS = 3, 10
"""Settings and fresh seeds where nothing else is said."""

MOST_SEEDS = 1_000
"""Seeds past which it is said that more would not settle it."""


@dataclass(frozen=True)
class Duel:
    """The first against the second on fresh seeds."""

    pairs: int
    """Seeds that both completed."""
    difference: float
    """By how much the first is better, in the metric's units."""
    low: float
    high: float
    """Its 95% interval: of paired differences where there are two pairs or more, else Welch's."""
    share: float
    """Of the seeds that both finished, those on which the first is better; equal ones count half."""
    improvement: float
    """The probability that any run of the first is better than
    any of the second; a diverged run is worse than any other."""
    p: float
    """Wilcoxon's signed rank, two-sided."""
    apart: bool
    """Whether the first can be told from the second."""
    more: int | None
    """How many more seeds would settle it; None where it is settled, or where no number of seeds is likely to."""
    seeds: int = 0
    """Seeds that both finished."""
    better: int = 0
    """Those of them on which the first is better."""
    equal: int = 0
    """Those on which they are equal."""
    margin: float | None = None
    """Which difference does not matter, if that was said, see `pairing.Comparison.margin`."""
    equality: Equality | None = None
    """Whether they differ by less; None without a margin, with fewer than `pairing.FEWEST_SEEDS` that both completed,
    or where one of them diverged more often."""

    @property
    def verdict(self) -> str:
        """ "shown" where the first is better, "practically equal", or "no difference shown"."""
        if self.equality is not None and self.equality.shown:
            return PRACTICALLY_EQUAL
        return SHOWN if self.apart else NOT_SHOWN


@dataclass(frozen=True)
class Confirmation:
    """Settings on fresh seeds, in rank order."""

    study: str
    confirmation: str
    rows: pd.DataFrame
    """Columns: rank, number (the first fresh trial), the swept ones, n (complete fresh trials), mean, low, high (95%
    interval), iqm (interquartile mean: one odd seed does not move it), sd (over seeds), was (rank when selected),
    selected (the mean that selected it), shrinkage, shrinkage_low, shrinkage_high (how much worse the fresh mean is
    than that, with its interval: positive where it had been lucky), diverged, pruned, failed and left (fresh trials;
    those left are not trained yet)."""
    metric: str
    direction: str
    swept: list[str]
    constant: dict[str, Any]
    """Hyperparameters that differ in the study and not here, by value."""
    candidates: int
    """Settings that it was selected from."""
    selected_on: list[int]
    fresh: list[int]
    """Seeds, as are `selected_on`."""
    duel: Duel | None
    """None where there are no two to compare."""
    tests: dict[str, tuple[float, float, float]]
    """The first one's (mean, low, high) on test data, by name; empty where a condition chose what may be selected."""
    trained: bool
    """Whether the fresh trials were trained for this, not only split off."""
    data_splits: int = 1
    """Splits of the data that the fresh seeds train on, as of a `StudyTable`."""

    @property
    def held(self) -> bool:
        """Whether the settings come in the order in which they were selected."""
        return bool(self.rows.loc[self.rows["n"] > 0, "was"].is_monotonic_increasing)


def choose(board: SettingsBoard, name: str, top: int | None, per: str | None) -> pd.DataFrame:
    """The best settings of a study called `name`, or of each value of a hyperparameter: rows of its board, by rank.

    Raises UsageError if there are not so many as were asked for; by default `TOP`, or all where there are fewer.
    """
    rows = board.rows[board.rows["n"] > 0]
    if not len(rows):
        raise UsageError(f"study {name!r}: no complete trial, so nothing to confirm")
    if per is None:
        if top is not None and top > len(rows):
            raise UsageError(
                f"--top {top}: study {name!r} has {count(len(rows), 'setting')} with a complete "
                "trial; expected at most that"
            )
        return rows.head(TOP if top is None else top)
    if per not in board.table.swept:
        raise unknown("swept hyperparameter", per, board.table.swept, "--per: ")
    return rows.groupby(per, sort=False, dropna=False).head(top or 1)


def fresh_seeds(used: Sequence[int], there: Sequence[int], count: int | None, given: str | None) -> tuple[int, ...]:
    """The seeds of a confirmation: those it has, then, up to `count` in all, the next after the largest that was used,
    or those `given`. Raises UsageError for a seed that helped to select."""
    if given is not None:
        wanted = parse_seeds(given)
        for seed in wanted:
            if seed in used and seed not in there:
                raise UsageError(
                    f"--seed {seed}: the study used this seed to select; expected others than {seeds_text(used)}"
                )
        return tuple(dict.fromkeys([*there, *wanted]))
    count = (len(there) or SEEDS) if count is None else count
    taken = {*used, *there}
    after = itertools.chain(range(max(taken) + 1, int(TABLE["seed"].high) + 1), range(max(taken)))
    free = (seed for seed in after if seed not in taken)
    return (*there, *itertools.islice(free, max(0, count - len(there))))


def confirmation_recipe(
    ledger: Ledger,
    study: Study,
    name: str,
    top: int | None = None,
    per: str | None = None,
    seeds: int | None = None,
    seed: str | None = None,
    metric: str | None = None,
    direction: str | None = None,
    where: str = "",
) -> Recipe:
    """The recipe of a study's confirmation: everything as in the study but the seeds and which settings. What a
    confirmation of that name has already, it keeps.

    Raises UsageError if the study has nothing to confirm, or not what is asked for.
    """
    there = ledger.find(name)
    if there and there.recipe.confirms != study.name:
        raise UsageError(f"study {name!r} exists and is no confirmation of {study.name!r}; --study names another")
    before = there.recipe if there else None
    table = study_table(ledger, study, metric, direction, where)
    table = _without(table, before.seeds if before else ())
    settings = list(before.settings) if before else []
    if not before or top is not None or per is not None:
        chosen = (
            ledger.trial(study, int(number))[1]
            for number in choose(rank_settings(table, split=False), study.name, top, per)["number"]
        )
        settings += [setting for setting in chosen if setting not in settings]
    again: dict[str, Any] = {"confirms": study.name}
    again["seeds"] = fresh_seeds(study.recipe.seeds, before.seeds if before else (), seeds, seed)
    if study.recipe.splits:  # seeds that did not help to select, on splits that did not
        first = max(study.recipe.splits) + 1
        again["splits"] = tuple(range(first, first + len(again["seeds"])))
    if not before and table.metric in METRICS:
        again |= {"metric": table.metric, "direction": table.direction}
    return (before or study.recipe).of_settings(settings, **again)


def read_confirmation(
    ledger: Ledger,
    study: Study,
    confirmation: Study,
    metric: str | None = None,
    direction: str | None = None,
    where: str = "",
    margin: float | None = None,
) -> Confirmation:
    """What the trials of a confirmation say so far. margin: see `Duel.margin`."""
    table = study_table(ledger, study, metric, direction, where)
    selecting = _without(table, confirmation.recipe.seeds)
    again = study_table(ledger, confirmation, table.metric, table.direction)
    codes = dict(zip(setting_texts(ledger, study, selecting.trials), selecting.trials["setting"].tolist(), strict=True))
    unseen = itertools.count(-1, -1)  # settings that do not meet the condition, or that the study has no more
    for setting in confirmation.recipe.settings:
        if setting_key(setting) not in codes:
            codes[setting_key(setting)] = next(unseen)
    places = [codes[text] for text in setting_texts(ledger, confirmation, again.trials)]
    again = replace(again, trials=again.trials.assign(setting=places))
    chosen = [codes[setting_key(setting)] for setting in confirmation.recipe.settings]
    board = rank_settings(selecting, split=False)
    confirmed = _judge_confirmation(selecting, board, again, chosen, confirmation.recipe.seeds, margin)
    ended = confirmed.rows[["n", "diverged", "pruned", "failed"]].sum(axis=1)
    rows = confirmed.rows.assign(left=len(confirmation.recipe.seeds) - ended)
    return replace(confirmed, confirmation=confirmation.name, rows=rows, trained=True)


def split_by_seed(
    table: StudyTable,
    top: int | None = None,
    per: str | None = None,
    selected_on: str | None = None,
    margin: float | None = None,
) -> Confirmation:
    """A confirmation from a study's own trials: those of some seeds select, those of all others confirm. selected_on:
    the selecting seeds; by default those that every setting has, where some settings have more. margin: see
    `Duel.margin`.

    Raises UsageError where the seeds cannot be told apart so, or the chosen settings have no others.
    """
    seeds = _selecting_seeds(table, selected_on)
    mine = table.trials["seed"].isin(seeds)
    selecting = replace(table, trials=table.trials[mine])
    board = rank_settings(selecting, split=False)
    numbers = choose(board, table.name, top, per)["number"].tolist()
    chosen = selecting.trials.set_index("number").loc[numbers, "setting"].tolist()
    again = replace(table, trials=table.trials[~mine & table.trials["setting"].isin(chosen)])
    if again.complete.empty:
        raise UsageError(
            f"study {table.name!r}: none of the settings that are best on {seeds_text(seeds)} has a "
            "complete trial of another seed; --top N takes more of them, --per NAME the best of each value"
        )
    fresh = sorted(again.trials["seed"].unique().tolist())
    return _judge_confirmation(selecting, board, again, chosen, fresh, margin)


def _judge_confirmation(
    selecting: StudyTable,
    board: SettingsBoard,
    again: StudyTable,
    chosen: list[int],
    fresh: Sequence[int],
    margin: float | None,
) -> Confirmation:
    """board: of the settings in `selecting`; chosen: codes of settings, which mean the same in both tables."""
    check_margin(selecting.metric, margin)
    board_again = rank_settings(again, split=False)
    was, now = _by_setting(selecting, board), _by_setting(again, board_again)
    firsts = pd.concat([again.trials, selecting.trials]).drop_duplicates("setting").set_index("setting")
    values = firsts.reindex(index=chosen, columns=selecting.swept)
    rows = pd.concat([now.reindex(chosen)[["rank", "number"]].astype("Int64"), values], axis=1)
    rows["n"] = now["n"].reindex(chosen).fillna(0).astype(int)
    rows[["mean", "low", "high"]] = now[["mean", "low", "high"]].reindex(chosen)
    rows["iqm"] = again.complete.groupby("setting")[again.metric].agg(interquartile_mean).reindex(chosen)
    rows["sd"] = again.complete.groupby("setting")[again.metric].std().reindex(chosen)
    rows["was"] = was["rank"].reindex(chosen).astype("Int64")
    rows["selected"] = was["mean"].reindex(chosen)
    ends = ["low", "high"] if selecting.sign > 0 else ["high", "low"]
    for name, bound in zip(("shrinkage", "shrinkage_low", "shrinkage_high"), ["mean", *ends], strict=True):
        rows[name] = selecting.sign * (rows[bound] - rows["selected"])
    for state in ("diverged", "pruned", "failed"):
        rows[state] = now[state].reindex(chosen).fillna(0).astype(int)
    rows["left"] = 0
    rows = rows.sort_values(["rank", "was"], na_position="last")
    varying = [name for name in selecting.swept if values[name].nunique(dropna=False) > 1]
    same = {name: values[name].iloc[0] for name in selecting.swept if name not in varying}
    order = [code for code in rows.index if rows.loc[code, "n"] > 0]
    return Confirmation(
        study=selecting.name,
        confirmation=selecting.name,
        rows=rows.drop(columns=list(same)).reset_index(drop=True),
        metric=selecting.metric,
        direction=selecting.direction,
        swept=varying,
        constant={name: value for name, value in same.items() if not pd.isna(value)},
        candidates=len(was),
        selected_on=sorted(selecting.trials["seed"].unique().tolist()),
        fresh=list(fresh),
        duel=_duel(again, order, bool(now["tied"].iloc[:2].all()), margin),
        tests={} if selecting.filtered else board_again.tests,
        trained=False,
        data_splits=again.data_splits,
    )


def _by_setting(table: StudyTable, board: SettingsBoard) -> pd.DataFrame:
    """The leaderboard of settings by their codes."""
    codes = table.trials.set_index("number")["setting"]
    return board.rows.set_index(codes.reindex(board.rows["number"]).to_numpy())


def _duel(table: StudyTable, order: list[int], tied: bool, margin: float | None) -> Duel | None:
    """The first two settings of the order against each other; None if there are no two."""
    from scipy import stats

    if len(order) < 2:
        return None
    ended = table.trials[table.trials["state"].isin(FINISHED) & table.trials["setting"].isin(order[:2])]
    score = (-table.sign * ended[table.metric]).where(ended["state"] == "complete", -np.inf)  # more is better
    wide = ended.assign(score=score).pivot(index="seed", columns="setting", values="score")
    a, b = (wide[code].dropna().to_numpy(float) for code in order[:2])
    both = wide[order[:2]].dropna().to_numpy(float)
    gaps = _plain_gaps(both[np.isfinite(both).all(axis=1)])
    low, high = bootstrap_mean(gaps)
    difference = float(gaps.mean()) if len(gaps) else 0.0
    x, y = a[np.isfinite(a)], b[np.isfinite(b)]
    if len(gaps) < 2 and len(x) > 1 and len(y) > 1:
        interval = stats.ttest_ind(x, y, equal_var=False).confidence_interval()
        difference, low, high = float(x.mean() - y.mean()), float(interval.low), float(interval.high)
    least, most = table.bounds(table.metric)
    low, high = np.clip([low, high], least - most, most - least).tolist()  # no difference can be larger
    improvement = probability_of_improvement(a, b)
    apart = low > 0 and not tied
    return Duel(
        pairs=len(gaps),
        difference=difference,
        low=low,
        high=high,
        share=float(np.mean((both[:, 0] > both[:, 1]) + 0.5 * (both[:, 0] == both[:, 1]))) if len(both) else np.nan,
        improvement=improvement,
        p=signed_rank(gaps)[1],
        apart=apart,
        more=None if apart else _more(gaps if len(gaps) > 1 else None, improvement, min(len(x), len(y))),
        seeds=len(both),
        better=int((both[:, 0] > both[:, 1]).sum()),
        equal=int((both[:, 0] == both[:, 1]).sum()),
        margin=margin,
        equality=None if margin is None else _equality(-table.sign * both, table.metric, margin, len(order) - 1),
    )


def _equality(both: Floats, metric: str, margin: float, among: int) -> Equality | None:
    """Whether two settings are practically equal on the seeds [n, 2] that both finished, infinite where one diverged;
    among: comparisons of the first with another setting, from which these two are picked."""
    finite = np.isfinite(both)
    values = both[finite.all(axis=1)].T
    if finite[:, 0].sum() != finite[:, 1].sum() or values.shape[1] < FEWEST_SEEDS:
        return None
    return ask_seeds(compare_seeds(*fair_scale(values, metric)), margin, by_ratio(values, metric), among)


def _plain_gaps(both: Floats) -> Floats:
    """Differences of pairs [n, 2], 0 where they are nothing but rounding."""
    gaps = both[:, 0] - both[:, 1]
    return np.where(np.abs(gaps) <= 1e-12 * np.abs(both).max(axis=1, initial=0.0), 0.0, gaps)


def _more(gaps: Floats | None, improvement: float, n: int) -> int | None:
    """Seeds beyond the n there are that would show how often the first beats the
    second on a common seed (of the normal distribution with the gaps' mean and spread;
    without pairs, the probability of improvement). None if no number is likely to."""
    from scipy import stats

    gamma = improvement
    if gaps is not None:
        gamma = float(stats.norm.cdf(gaps.mean() / gaps.std(ddof=1))) if gaps.std() > 0 else 0.5
    if not gamma > 0.5:
        return None
    needed = seeds_needed(min(gamma, 0.999))
    return max(1, needed - n) if needed <= MOST_SEEDS else None


def _selecting_seeds(table: StudyTable, given: str | None) -> list[int]:
    there = sorted(table.trials["seed"].unique().tolist())
    if given is not None:
        seeds = list(parse_seeds(given, "--selected-on"))
        for seed in seeds:
            if seed not in there:
                raise UsageError(
                    f"--selected-on {seed}: study {table.name!r} has no such seed; expected some of {seeds_text(there)}"
                )
        if len(set(seeds)) == len(there):
            raise UsageError(f"--selected-on {given}: study {table.name!r} has no other seed, so none is fresh")
        return seeds
    roles = seed_roles(table)
    if roles is not None:
        return list(roles.selecting)
    settings = table.trials["setting"].nunique()
    having = table.trials.drop_duplicates(["seed", "setting"])["seed"].value_counts()
    seeds = sorted(int(seed) for seed in having.index[having == settings])
    if len(seeds) == len(there):
        raise UsageError(
            f"study {table.name!r}: every setting has the same seeds ({seeds_text(there)}), so none is fresh; "
            "--selected-on SEED,... says which selected"
        )
    if not seeds:
        raise UsageError(
            f"study {table.name!r}: no seed that every setting has, so it is not known which selected; "
            "--selected-on SEED,... says it"
        )
    return seeds


def _without(table: StudyTable, seeds: Sequence[int]) -> StudyTable:
    """A study without the trials of seeds that confirm it: it may have grown into them."""
    return replace(table, trials=table.trials[~table.trials["seed"].isin(seeds)])
