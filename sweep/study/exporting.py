"""A study for Optuna's own tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sweep.data import describe
from sweep.hyperparameters import Setting
from sweep.ledger import Ledger, Study
from sweep.plan import parameter_count
from sweep.study.opening import check_trains

if TYPE_CHECKING:
    from sweep.search import Exported


def export_optuna(ledger: Ledger, study: Study, url: str) -> int:
    """Writes a study to one of Optuna's storages; returns the number of trials. Raises UsageError if it cannot be."""
    from sweep.search import write_optuna

    return write_optuna(url, _collect_trials(ledger, study))


def dashboard(ledger: Ledger, study: Study, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serves a study, as it is now, with optuna-dashboard until Ctrl-C. Raises UsageError if it cannot be."""
    from sweep.search import serve_dashboard

    serve_dashboard(_collect_trials(ledger, study), host, port, ready)


def _collect_trials(ledger: Ledger, study: Study) -> Exported:
    """A study as Optuna's storages take it. Raises UsageError for an imported one."""
    from sweep.search import Exported

    check_trains(study)
    metric, curves = study.recipe.curve_metric, dict[int, dict[int, float]]()
    for number, epoch, value in ledger.epochs(study)[["trial", "epoch", metric]].itertuples(index=False):
        curves.setdefault(int(number), {})[int(epoch)] = float(value)
    rows = (ledger.trial(study, result.trial.number) for result in ledger.results(study))
    size = _sizes(study)
    trials = ({**row, "setting": setting, **size(setting)} for row, setting in rows)
    return Exported(study.name, study.recipe, trials, curves)


def _sizes(study: Study) -> Callable[[Setting], dict[str, int]]:
    """Gives the network's size of a setting as an attribute, where it is an objective."""
    search = study.recipe.search
    if not search or "parameters" not in dict(search.objectives):
        return lambda _: {}
    data = describe(study.recipe.data)
    return lambda setting: {"parameters": parameter_count(setting, data)}
