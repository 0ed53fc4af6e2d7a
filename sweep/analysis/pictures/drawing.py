"""A picture by the name of its kind. Needs every other module of this package, and the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.analysis.pictures.asked import effect_picture, importance_picture
from sweep.analysis.pictures.base import Picture
from sweep.analysis.pictures.costs import parameter_counter
from sweep.analysis.pictures.curves import curves_picture
from sweep.analysis.pictures.insides import look_picture
from sweep.analysis.pictures.paths import basins_picture, surface_picture
from sweep.analysis.pictures.planes import heatmap_picture, isolation_picture, parallel_picture
from sweep.analysis.pictures.tradeoffs import budget_picture, pareto_picture
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError
from sweep.hyperparameters import Setting
from sweep.ledger import Ledger, Study


def draw_picture(
    ledger: Ledger,
    study: Study,
    table: StudyTable,
    kind: str,
    names: Sequence[str] = (),
    top: int = 5,
    epoch: int | None = None,
) -> Picture:
    """A picture of a study by its kind, of the hyperparameters that are named. Raises UsageError where it cannot be."""
    data, names = study.recipe.data, list(names)
    if names and kind in ("curves", "budget", "importance", "surface", "basins"):
        raise UsageError(f"{kind} draws all hyperparameters; given {', '.join(names)}")
    if kind in ("surface", "basins"):

        def find(number: int) -> tuple[Setting, int]:
            row, setting = ledger.trial(study, number)
            return setting, int(row["seed"])

        return surface_picture(table, find, top) if kind == "surface" else basins_picture(table, find)
    if kind == "curves":
        return curves_picture(table, ledger.epochs(study), data, top)
    if kind == "look":
        return look_picture(table, ledger.readings(study), data, names, epoch)
    if kind == "pareto":
        return pareto_picture(table, data, names, parameter_counter(data, study.recipe.network))
    if kind == "budget":
        return budget_picture(table, data)
    if kind == "importance":
        return importance_picture(table, data)
    draw = {
        "isolation": isolation_picture,
        "heatmap": heatmap_picture,
        "parallel": parallel_picture,
        "effect": effect_picture,
    }[kind]
    return draw(table, data, names)
