"""What decides the course of a training, and which trials share one: they are trained once, up to where they end. Needs
space.
"""

from __future__ import annotations

from collections.abc import Iterable

from sweep.hyperparameters import OwnSetting, Setting
from sweep.space import Trial, setting_key

Key = tuple[str, int]
"""A setting's text and a seed."""


def course(setting: Setting, seed: int) -> Key:
    """What decides every number of a training before its end: the setting and the seed, but not the epochs where the
    learning rate does not depend on them. A trial of fewer epochs then is the beginning of one of more."""
    if is_open(setting):
        setting = {name: value for name, value in setting.items() if name != "epochs"}
    return setting_key(setting), seed


def is_open(setting: Setting) -> bool:
    """Whether a training does not know when it ends. Over `steps` it may end within an epoch; what a user's own code
    makes of its epochs nobody knows."""
    return "epochs" in setting and setting.get("lr_schedule") == "constant" and not isinstance(setting, OwnSetting)


def trial_key(trial: Trial) -> Key:
    """The course of a trial."""
    return course(trial.setting, trial.seed)


def share_courses(trials: Iterable[Trial]) -> list[tuple[Trial, ...]]:
    """The trials that share a course together, those that end first before the others; courses in the order of their
    first trials."""
    trials = list(trials)
    if len({trial.setting["epochs"] for trial in trials if is_open(trial.setting)}) < 2:
        return [(trial,) for trial in trials]
    shared: dict[Key, list[Trial]] = {}
    last, text = None, ""
    for trial in trials:
        if trial.setting is not last:  # seeds of one setting come one after another
            last, text = trial.setting, trial_key(trial)[0]
        shared.setdefault((text, trial.seed), []).append(trial)
    return [tuple(sorted(members, key=lambda trial: trial.setting.get("epochs", 0))) for members in shared.values()]
