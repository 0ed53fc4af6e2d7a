"""Numbers in anyone's log lines: "epoch 1 val_loss 0.6", "step=3: loss=nan, acc=0.1", {"epoch": 1, "loss": 0.5}."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sweep.foreign.texts import EPOCHS, number

_HEAD = re.compile(r"^(?:\[[^\]]*\]\s*)+(?:-\s*)?")
"""What a logger writes before a message: [time][name][level] -"""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?nan|[+-]?inf(?:inity)?"
_PAIR = re.compile(rf"""["']?([A-Za-z_][\w./@-]*?)["']?\s*(?:[:=]\s*|\s)["']?({_NUMBER})(?![\w.]*\w)""", re.IGNORECASE)

_NO_METRICS = re.compile(
    r"(?:time|seconds?|secs?|elapsed|eta|took|pid|gpus?|rank|seed|device|version|port|line|in|of|at|for|after|with|and|"
    r"the|a|to|from|is|was|than|best|trial|job|run|fold|info|warning|debug|error)",
    re.IGNORECASE,
)
"""Words that stand before numbers that are no metric."""


def logged_curves(lines: Iterable[str]) -> dict[str, dict[int, float]]:
    """Each metric that the lines name, by step: the epoch or step of the line, or else how often it was named."""
    points: dict[str, dict[int, float]] = {}
    for line in lines:
        pairs = [(name, number(value)) for name, value in _PAIR.findall(_HEAD.sub("", line))]
        steps = [value for name, value in pairs if name.lower() in EPOCHS and value is not None]
        step = int(steps[0]) if steps and abs(steps[0]) < 1e15 else None
        for name, value in pairs:
            if value is not None and name.lower() not in EPOCHS and not _NO_METRICS.fullmatch(name):
                own = points.setdefault(name, {})
                own[step if step is not None else len(own) + 1] = value
    return points
