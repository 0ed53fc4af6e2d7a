"""A study for Optuna's own tools."""

from __future__ import annotations

from sweep.ledger import Ledger, Study


def export_optuna(ledger: Ledger, study: Study, url: str) -> int:
    """Writes a study to one of Optuna's storages; returns the number of trials. Raises UsageError if it cannot be."""
    from sweep.search import write_optuna

    metric, curves = study.recipe.metric, dict[int, dict[int, float]]()
    for number, epoch, value in ledger.epochs(study)[["trial", "epoch", metric]].itertuples(index=False):
        curves.setdefault(int(number), {})[int(epoch)] = float(value)
    rows = (ledger.trial(study, result.trial.number) for result in ledger.results(study))
    return write_optuna(url, study.name, study.recipe, ({**row, "setting": setting} for row, setting in rows), curves)
