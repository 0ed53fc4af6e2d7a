"""What of a grid is no training of its own, but the beginning of a longer one. Needs courses and the grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sweep.courses import is_open, share_courses
from sweep.hyperparameters import Setting
from sweep.space import Grid, Trial, program_key, setting_key


def count_beginnings(grid: Grid) -> Callable[[Setting, int], int]:
    """A function of a cohort's program and number of settings: how many of them are trained as the first epochs of a
    longer one."""
    if grid.chosen:
        lanes = share_courses(Trial(number, setting, 0) for number, setting in enumerate(grid.chosen))
        counts = Counter(program_key(trial.setting) for lane in lanes for trial in lane[:-1])
        return lambda program, _: counts[setting_key(program)]
    longest = max(map(int, grid.points.get("epochs", ())), default=0)
    schedules = grid.points.get("lr_schedule", ("constant",))
    shared = sum(is_open({"epochs": longest, "lr_schedule": schedule}) for schedule in schedules)

    def beginnings(program: Setting, settings: int) -> int:
        return settings * shared // len(schedules) if int(program.get("epochs", longest)) < longest else 0

    return beginnings
