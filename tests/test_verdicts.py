"""Verdicts on claims: scipy's test, permuted labels for every kind, censored targets, and the command through real
processes."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sweep.analysis.reaching import Reaching
from sweep.analysis.verdicts import judge_claims, judging, sooner
from sweep.analysis.verdicts.evidence import count_fewest, weigh
from sweep.analysis.verdicts.trend import correlate_ranks
from sweep.analysis.verdicts.tuning import pick, weigh_tuned
from sweep.recipe import KINDS, Claim
from sweep.report.answers.verdicts import headline, sentences
from tests.tables import grid
from tests.thin import thin

BN = {"factor": "batch_norm", "level": True, "than": False}
CLAIMS = {
    "better": Claim("better", "better", **BN),
    "better, by": Claim("better by", "better", by="lr", **BN),
    "better, tuned": Claim("tuned", "better", how="tuned", **BN),
    "better, margin": Claim("margin", "better", margin=0.01, **BN),
    "equal": Claim("equal", "equal", margin=0.0001, **BN),
    "equal, tuned": Claim("equal tuned", "equal", margin=0.0001, how="tuned", **BN),
    "not worse": Claim("not worse", "not_worse", margin=0.0001, **BN),
    "depends": Claim("depends", "depends", on="lr", **BN),
    "depends, directed": Claim("depends at", "depends", on="lr", more_at=1.0, less_at=0.01, **BN),
    "wider": Claim("wider", "wider", range="lr", usable=0.6, **BN),
    "sooner": Claim("sooner", "sooner", target=0.9, **BN),
    "trend": Claim("trend", "trend", factor="lr", direction="rises"),
    "beats": Claim("beats", "beats", bar=0.5),
}


def judge(table, *claims):
    """The verdicts on claims of a table that no ledger holds."""
    study = SimpleNamespace(recipe=SimpleNamespace(claims=claims, seeds=()), name="made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "study_table", lambda *_: table)
        return judge_claims(SimpleNamespace(counts=lambda _: {"waiting": 0, "running": 0}), study)


def test_every_kind_is_tried():
    assert {claim.kind for claim in CLAIMS.values()} == {*KINDS}


def noisy(rng, seeds, lrs, noise=0.05, lost=0.02):
    """A study with a large true effect of batch norm at large learning rates, and some trials that diverged."""

    def value(s, _):
        mean = 0.5 + 0.3 * s["batch_norm"] * (s["lr"] > 0.05) + 0.05 * math.log10(s["lr"])
        return math.nan if rng.random() < lost else round(min(mean + noise * rng.normal(), 0.99) * 360) / 360

    return grid({"batch_norm": [False, True], "lr": lrs}, value, seeds, "val_accuracy")


def permute(table, rng, factor):
    """The labels of a factor dealt anew among the trials that agree on the rest and the seed."""
    rest = [name for name in (*table.swept, "seed") if name != factor]
    group = table.trials.groupby(rest).ngroup().to_numpy()
    there, dealt = np.argsort(group, kind="stable"), np.lexsort((rng.random(len(group)), group))
    moved = np.empty(len(group), int)
    moved[there] = dealt
    columns = ["val_accuracy", "state"]
    return replace(
        table, trials=table.trials.assign(**{name: table.trials[name].to_numpy()[moved] for name in columns})
    )


def confirmed(name, studies, seeds=8):
    """How many of so many permuted studies confirm a claim."""
    claim, lrs = CLAIMS[name], [0.001, 0.01, 0.1, 1.0]
    hits = 0
    for number in range(studies):
        rng = np.random.default_rng([number, seeds])
        if claim.kind == "beats":  # nothing to permute: all settings are exactly at the bar
            table = grid({"lr": lrs}, lambda *_: 0.5 + 0.05 * rng.normal(), seeds, "val_accuracy")  # noqa: B023
            hits += judge(table, claim)[0].verdict.startswith("confirmed")
        elif claim.kind == "sooner":
            hits += reach_verdict(permuted_steps(rng, lrs, seeds), claim).startswith("confirmed")
        else:
            table = permute(noisy(rng, seeds, lrs), rng, str(claim.factor))
            hits += judge(table, claim)[0].verdict.startswith("confirmed")
    return hits


def permuted_steps(rng, lrs, seeds):
    """Steps to a target, of which a third is never reached, with labels dealt anew."""
    rows = []
    for lr, seed in itertools.product(lrs, range(seeds)):
        pair = [100.0 + rng.integers(0, 50), math.inf if rng.random() < 2 / 3 else 400.0]
        for on, steps in zip((False, True), rng.permutation(pair), strict=True):
            rows.append({"lr": lr, "seed": seed, "batch_norm": on, "steps": steps, "made": 500, "known": 500.0})
    return pd.DataFrame(rows).astype({"lr": object, "batch_norm": object})


def reach_verdict(trials, claim, whole=False):
    """The verdict on a claim of kind sooner, of trials whose steps are known."""
    swept = ["batch_norm", "lr"]
    reached = Reaching("made", "val_accuracy", 0.9, 10, swept, trials, pd.DataFrame(), [])
    table = grid({"batch_norm": [False, True], "lr": [0.1, 1.0]}, lambda *_: 0.5, 2, "val_accuracy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sooner, "reach", lambda *_: reached)
        verdict = judge(table, claim)[0]
    return verdict if whole else verdict.verdict


@pytest.mark.parametrize("name", thin(CLAIMS, 4))
def test_permuted_labels_confirm_nothing(name):
    """Of 30 studies chance alone confirms one or two, and more than six once in 3,000 times."""
    assert confirmed(name, 30) <= 6


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [6, 9])
@pytest.mark.parametrize("name", CLAIMS)
def test_permuted_labels_confirm_at_most_one_claim_in_twenty(name, seeds):
    assert confirmed(name, 1000, seeds) <= 50


def test_the_evidence_is_scipys_signed_rank():
    rng = np.random.default_rng(0)
    d = rng.normal(0.3, 1, 12)
    over_cells, over_seeds = weigh(d[:, None]), weigh(d[None])
    expected = stats.wilcoxon(d, method="exact").pvalue
    for evidence, unit in ((over_cells, "cells"), (over_seeds, "seeds")):
        assert (evidence.unit, evidence.n) == (unit, 12)
        assert min(evidence.p_for, evidence.p_against) == pytest.approx(expected)


def test_equality_is_two_one_sided_tests():
    d = np.array([0.01, -0.02, 0.015, 0.005, -0.01, 0.02, -0.004, 0.007])
    expected = max(
        stats.wilcoxon(d + 0.05, alternative="greater", method="exact").pvalue,
        stats.wilcoxon(d - 0.05, alternative="less", method="exact").pvalue,
    )
    assert weigh(d[None], margin=0.05).p_equal == pytest.approx(expected)
    assert weigh(d[None]).p_equal == 1.0, "without a margin nothing is equal"
    assert weigh(np.append(d, np.inf)[None], margin=0.05).p_equal == 1.0, "what diverged is not equal"


def test_a_margin_parts_better_from_better_by_enough():
    d = np.full((1, 8), 0.02) + np.arange(8) / 1e4
    assert weigh(d).p_for == weigh(d, margin=0.01).p_for == pytest.approx(2 / 2**8)
    assert weigh(d, margin=0.03).p_for == 1.0
    assert weigh(-d, margin=0.01).p_against == pytest.approx(2 / 2**8)


@pytest.mark.parametrize(("share", "fewest"), [(1.0, 6), (1 / 2, 7), (1 / 10, 9)])
def test_how_many_of_one_sign_show_anything(share, fewest):
    assert count_fewest(share) == fewest
    assert 2.0 ** (1 - fewest) <= 0.05 * share < 2.0 ** (2 - fewest)


def test_tuning_exchanges_the_levels_in_all_ways():
    rng = np.random.default_rng(3)
    x, y = rng.normal(0.4, 1, (3, 6)), rng.normal(0, 1, (3, 6))

    def statistic(a, b):
        d = []
        for seed in range(6):
            others = [s for s in range(6) if s != seed]
            d.append(a[a[:, others].mean(1).argmax(), seed] - b[b[:, others].mean(1).argmax(), seed])
        return (stats.rankdata(np.abs(d)) * np.sign(d)).sum()

    seen, larger = statistic(x, y), 0
    for swap in itertools.product([False, True], repeat=6):
        larger += abs(statistic(np.where(swap, y, x), np.where(swap, x, y))) >= abs(seen) - 1e-12
    evidence = weigh_tuned(x, y, 0.0, 1.0)
    assert (evidence.p_for if seen > 0 else evidence.p_against) == pytest.approx(larger / 2**6)
    assert np.sign((stats.rankdata(np.abs(evidence.outcomes)) * np.sign(evidence.outcomes)).sum()) == np.sign(seen)


def test_a_setting_is_never_chosen_by_the_seed_that_scores_it():
    good = np.array([[1.0, 0.0, 0.0], [0.4, 0.4, 0.4]])
    assert pick(good, good).tolist() == [0.4, 0.0, 0.0]


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(5)
    values = rng.integers(0, 4, (6, 20)).astype(float)
    expected = [stats.spearmanr(np.arange(6), column).statistic for column in values.T]
    assert correlate_ranks(values) == pytest.approx(expected)


def flat(value, seeds=8, **axes):
    return grid({"batch_norm": [False, True], **axes}, value, seeds, "val_accuracy")


def test_a_level_that_is_better_at_some_values_only():
    rng = np.random.default_rng(0)
    table = flat(
        lambda s, _: 0.9 + 0.01 * rng.normal() + (0.05 if s["batch_norm"] and s["depth"] == 8 else 0), depth=[2, 8]
    )
    by, plain = judge(table, replace(CLAIMS["better"], by="depth"))[0], judge(table, CLAIMS["better"])[0]
    assert headline(by) == "confirmed where depth is 8"
    assert [part.verdict for part in by.parts] == ["not shown", "confirmed"]
    assert plain.verdict == "confirmed"


def test_the_opposite_at_one_value_qualifies_what_holds_on_the_whole():
    rng = np.random.default_rng(0)
    depths = [1, 2, 3, 4, 5, 6, 7, 8]
    gain = {1: -0.05} | dict.fromkeys(depths[1:], 0.05)
    table = flat(
        lambda s, _: 0.8 + 0.004 * rng.normal() + gain[s["depth"]] * s["batch_norm"], 10, depth=depths, hidden=[8, 16]
    )
    verdict = judge(table, CLAIMS["better"])[0]
    assert headline(verdict) == "confirmed where depth is not 1"
    assert "at depth 1 the opposite is shown" in sentences(verdict)[-1]
    worse = judge(table, replace(CLAIMS["better"], level=False, than=True))[0]
    assert headline(worse) == "contradicted where depth is not 1"


def test_equal_within_the_margin_and_not_beyond():
    rng = np.random.default_rng(0)
    table = flat(lambda *_: 0.9 + 0.002 * rng.normal(), 10)
    equal = replace(CLAIMS["equal"], margin=0.01)
    better = replace(CLAIMS["better"], margin=0.01)
    assert [v.verdict for v in judge(table, equal, better)] == ["confirmed", "equal for practical purposes"]
    apart = flat(lambda s, _: 0.9 + 0.002 * rng.normal() + 0.03 * s["batch_norm"], 10)
    assert [v.verdict for v in judge(apart, equal, better)] == ["contradicted", "confirmed"]
    part = judge(table, equal)[0].parts[0]
    assert -0.01 < part.low < part.high < 0.01, "the interval lies within the margin, as the verdict says"


def test_no_worse_within_the_margin():
    rng = np.random.default_rng(0)
    no_worse = Claim("n", "not_worse", margin=0.01, **BN)

    def verdict(gain):
        return judge(flat(lambda s, _: 0.9 + 0.002 * rng.normal() + gain * s["batch_norm"], 10), no_worse)[0].verdict

    assert [verdict(gain) for gain in (0.05, -0.004, -0.03)] == ["confirmed", "confirmed", "contradicted"]
    part = judge(flat(lambda s, _: 0.9 + 0.002 * rng.normal() - 0.02 * s["batch_norm"], 10), no_worse)[0].parts[0]
    assert part.estimate == pytest.approx(-0.02, abs=0.002), "the difference that is told has no margin in it"


def test_losses_are_compared_as_shares():
    rng = np.random.default_rng(0)
    table = grid({"batch_norm": [False, True]}, lambda *_: 2.0 * math.exp(0.01 * rng.normal()), 10)
    assert judge(table, replace(CLAIMS["equal"], margin=0.05))[0].verdict == "confirmed"
    half = grid(
        {"batch_norm": [False, True]}, lambda s, _: (0.5 if s["batch_norm"] else 1) * math.exp(0.01 * rng.normal()), 10
    )
    verdict = judge(half, CLAIMS["better"])[0]
    assert verdict.verdict == "confirmed"
    assert "typically 0.5" in sentences(verdict)[0]


def test_divergence_decides():
    table = flat(lambda s, _: 0.9 if s["batch_norm"] else math.nan)
    verdict = judge(table, CLAIMS["better"])[0]
    assert verdict.verdict == "confirmed"
    assert "8 of 8 diverged with off" in sentences(verdict)[0]
    assert judge(table, replace(CLAIMS["better"], level=False, than=True))[0].verdict == "contradicted"


def test_the_usable_range_is_counted():
    table = flat(
        lambda s, _: 0.9 if s["lr"] <= (1.0 if s["batch_norm"] else 0.1) else math.nan, lr=[0.01, 0.1, 1.0, 10.0]
    )
    verdict = judge(table, CLAIMS["wider"])[0]
    assert verdict.verdict == "confirmed"
    assert verdict.parts[0].evidence.sides == (3.0, 2.0)
    assert "3.0 with on (0.01 to 1), 2.0 with off (0.01 to 0.1)" in sentences(verdict)[0]


def test_never_is_later_than_any_step_and_no_ratio_is_made_up():
    rows = [
        {
            "lr": 0.1,
            "seed": seed,
            "batch_norm": on,
            "steps": 100.0 + seed if on else math.inf,
            "made": 500,
            "known": 500.0,
        }
        for seed in range(8)
        for on in (False, True)
    ]
    trials = pd.DataFrame(rows).astype({"lr": object, "batch_norm": object})
    verdict = reach_verdict(trials, CLAIMS["sooner"], whole=True)
    assert verdict.verdict == "confirmed"
    assert "never with off (0 of 8 got there); in pairs typically at least 4.8 times sooner" in sentences(verdict)[0]
    assert reach_verdict(trials, replace(CLAIMS["sooner"], times=4.0)) == "confirmed"
    assert reach_verdict(trials, replace(CLAIMS["sooner"], times=6.0)) == "not shown", "it was watched for 500 steps"


def test_a_metric_that_rises_and_falls():
    rng = np.random.default_rng(0)
    table = flat(lambda s, _: 0.5 + 0.05 * s["depth"] + 0.01 * rng.normal(), depth=[1, 2, 3, 4])
    rises = Claim("r", "trend", factor="depth", direction="rises")
    assert judge(table, rises)[0].verdict == "confirmed"
    assert judge(table, replace(rises, direction="falls"))[0].verdict == "contradicted"


def test_a_gain_that_depends():
    rng = np.random.default_rng(0)
    table = flat(lambda s, _: 0.8 + 0.01 * rng.normal() + 0.1 * s["batch_norm"] * (s["depth"] == 8), depth=[2, 8])
    more = Claim("m", "depends", on="depth", more_at=8, less_at=2, **BN)
    assert judge(table, more)[0].verdict == "confirmed"
    assert judge(table, replace(more, more_at=2, less_at=8))[0].verdict == "contradicted"
    assert judge(table, replace(more, more_at=None, less_at=None))[0].verdict == "confirmed"


def test_a_bar_with_the_seeds_that_are_needed():
    rng = np.random.default_rng(0)
    table = flat(lambda *_: 0.95 + 0.01 * rng.normal(), 12)
    assert judge(table, replace(CLAIMS["beats"], bar=0.9))[0].verdict == "confirmed"
    assert judge(table, replace(CLAIMS["beats"], bar=0.99))[0].verdict == "contradicted"
    close = judge(table, replace(CLAIMS["beats"], bar=0.948))[0]
    assert close.verdict == "not shown"
    assert "seeds would settle it" in sentences(close)[0]


def test_claims_are_judged_together():
    """Eight seeds of one sign have p = .0078: enough for six claims (Holm), not for seven."""
    table = flat(lambda s, seed: 0.9 + 0.05 * s["batch_norm"] + seed / 1000)
    assert judge(table, CLAIMS["better"])[0].p == pytest.approx(2 / 2**8)
    others = [replace(CLAIMS["better"], text=str(number)) for number in range(7)]
    assert {verdict.verdict for verdict in judge(table, *others[:6])} == {"confirmed"}
    late = judge(table, *others)
    assert {verdict.verdict for verdict in late} == {"not shown"}
    assert "it takes 9 seeds" in sentences(late[0])[0]
