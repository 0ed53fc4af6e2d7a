"""What trainings cost on this machine: measured once, remembered in a file. Needs the data's shape and settings.

The file is a cache: lost, damaged or of another machine, it is measured again. No number of a trial depends on it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from sweep.data import DataInfo
from sweep.hyperparameters import Setting
from sweep.networks import find_network, is_own

_NO_MATTER = {"epochs", "steps", "normalize", "bn_eps", "bn_momentum", "nesterov", "train_size"}
"""What decides a program, but not how long a step of it takes; train_size does where the batch is full."""


SLOWER = 1.1
"""Where a trial takes so many times as long with more lanes, still more are not tried."""


@dataclass(frozen=True)
class Cost:
    """What a program of so many lanes costs."""

    lanes: int
    step: float
    """Seconds per trial and training step."""
    row: float
    """Seconds per trial and evaluated row."""
    memory: int
    """Bytes of the program, roughly."""


@dataclass(frozen=True)
class Measurement:
    """What to measure: programs of the first 4, 16, … of these seeds, all of one setting. key: where it belongs."""

    key: str
    setting: Setting
    seeds: tuple[int, ...]
    look: str = ""
    """Instead, of the first seed, a look of that name."""


@dataclass
class Speeds:
    """Costs by key, of this machine alone. start: by data set, the
    seconds until its workers are there and the bytes that they share."""

    costs: dict[str, tuple[Cost, ...]] = field(default_factory=dict)
    start: dict[str, tuple[float, int]] = field(default_factory=dict)

    def choose(self, key: str, most: int) -> Cost | None:
        """The cost of the best number of lanes up to `most`, measured or
        `most` itself; the fewest that are within a twentieth of it."""
        costs = [cost for cost in self.costs.get(key, ()) if cost.lanes < most]
        last = self.at(key, most)
        if last is None:
            return None
        costs.append(last if last.lanes <= most else replace(last, lanes=most))
        best = min(cost.step for cost in costs)
        return next(cost for cost in costs if cost.step <= 1.05 * best)

    def covers(self, key: str, lanes: int) -> bool:
        """Whether it is known which number of lanes up to `lanes`
        is best: that many were measured, or more got slower."""
        costs = self.costs.get(key)
        if not costs:
            return False
        return 2 * costs[-1].lanes > lanes or costs[-1].step > SLOWER * min(cost.step for cost in costs)

    def at(self, key: str, lanes: int) -> Cost | None:
        """The cost at a number of lanes, between the two nearest that were measured."""
        costs = self.costs.get(key, ())
        below = [cost for cost in costs if cost.lanes <= lanes]
        above = [cost for cost in costs if cost.lanes >= lanes]
        if not below or not above:
            return below[-1] if below else above[0] if above else None
        a, b = below[-1], above[0]
        t = math.log(lanes / a.lanes) / math.log(b.lanes / a.lanes) if b.lanes > a.lanes else 0.0
        step, row, memory = ((1 - t) * x + t * y for x, y in ((a.step, b.step), (a.row, b.row), (a.memory, b.memory)))
        return Cost(lanes, step, row, round(memory))


def cost_key(program: Setting, data: DataInfo, jobs: int, kind: str) -> str:
    """What two cohorts share if their steps take as long. jobs: workers that
    train at a time and share caches; kind: of device and arithmetic."""
    full = program.get("batch_size") == "full"
    kept = {name: value for name, value in program.items() if name not in _NO_MATTER or (full and name == "train_size")}
    if is_own(program.get("model")):
        kept["model"] = f"{program['model']} {find_network(str(program['model'])).fingerprint()}"
    if full:
        kept["rows"] = data.train
    return json.dumps([kind, jobs, list(data.shape), data.classes, sorted(kept.items())])


def look_key(cost: str, look: str, rows: int) -> str:
    """Where the cost of a look belongs, whose `step` is one look at one trial. cost: the program's key; rows: of its
    training part."""
    return json.dumps([cost, look, rows])


def cache_file() -> Path:
    """Where costs are remembered: sweep/speeds.json in XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sweep" / "speeds.json"


def recall() -> Speeds:
    """What has been measured on this machine with this torch."""
    try:
        mine = json.loads(cache_file().read_text(encoding="utf-8"))[_machine()]
        start = {str(name): (float(seconds), int(size)) for name, (seconds, size) in mine["start"].items()}
        return Speeds({key: tuple(Cost(*row) for row in rows) for key, rows in mine["costs"].items()}, start)
    except (OSError, ValueError, TypeError, AttributeError, LookupError):
        return Speeds()


def remember(costs: Mapping[str, Iterable[Cost]], start: Mapping[str, tuple[float, int]]) -> None:
    """Adds to the file. A file that cannot be written is no failure: it is measured again another time."""
    now, file = recall(), cache_file()
    now.costs |= {key: tuple(some) for key, some in costs.items()}
    now.start |= start
    rows = {key: [[c.lanes, c.step, c.row, c.memory] for c in some] for key, some in now.costs.items()}
    known: Any = None
    with suppress(OSError, ValueError):
        known = json.loads(file.read_text(encoding="utf-8"))
    known = known if isinstance(known, dict) else {}
    write_cache(file, known | {_machine(): {"start": now.start, "costs": rows}})


def write_cache(file: Path, content: Any) -> None:
    """Writes a cache as JSON, whole or not at all. One that cannot be written is no failure."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as temporary:
            json.dump(content, temporary)
        os.replace(temporary.name, file)


@cache
def torch_version() -> str:
    """The version of torch that is installed; reading it takes a millisecond or two."""
    return metadata.version("torch")


def processor() -> str:
    """What the system says of its processors; empty where it does not."""
    with suppress(OSError):
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return ""


def _machine() -> str:
    """This machine and its torch, so that a cache on a shared disk serves several."""
    lines = processor().splitlines()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    model = next(names, platform.machine())
    text = json.dumps([3, model, os.cpu_count(), torch_version()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
