"""How long a cohort's program takes at several numbers of lanes, on this machine, now. Needs program."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from sweep.data import Part, Split
from sweep.engine import looking
from sweep.engine.program import Program
from sweep.space import Watch
from sweep.speed import SLOWER, Cost, Measurement

SECONDS = 0.04
"""Training steps that are timed for one number of lanes: three at least, then until so much time has gone."""


@torch.no_grad()
def measure(measurement: Measurement, split: Split, device: str = "cpu", precision: str = "float32") -> list[Cost]:
    """Costs of 4, 16, … lanes and of them all, ascending; it ends where more lanes make a trial slower, or where the
    memory does. One lane is measured, too, where four are the best, or too many for the memory. Of a look, the cost of
    one."""
    if measurement.look:
        program = Program([measurement.setting], measurement.seeds[:1], split, device=device, precision=precision)
        return [Cost(1, _look(program, measurement.look), 0.0, 0)]
    costs: list[Cost] = []
    before = resident_memory()

    def cost(lanes: int) -> Cost:
        settings, seeds = [measurement.setting] * lanes, measurement.seeds[:lanes]
        program = Program(settings, seeds, split, device=device, precision=precision)
        step, row = _steps(program) / lanes, _rows(program) / lanes
        return Cost(lanes, step, row, max(0, resident_memory() - before))

    for lanes in _ladder(len(measurement.seeds)):
        try:
            costs.append(cost(lanes))
        except (MemoryError, RuntimeError) as error:
            if "memory" not in str(error):
                raise
            break
        if costs[-1].step > SLOWER * min(cost.step for cost in costs):
            break
    best = min(costs, key=lambda cost: cost.step, default=None)
    return [cost(1), *costs] if best is None or (best is costs[0] and best.lanes > 1) else costs


def _ladder(most: int) -> Iterator[int]:
    lanes = 4
    while lanes * 2 <= most:
        yield lanes
        lanes *= 4
    yield most


def _steps(program: Program) -> float:
    """The time of a step, after the first, which makes its buffers: that which a quarter of them stay under, so that
    other work on the machine, which only ever adds to it, misleads less."""
    times: list[float] = []
    program.begin_epoch(1)
    while len(times) < 4 or sum(times[1:]) < SECONDS:
        if program.step == program.epoch_steps:
            program.begin_epoch(program.epoch + 1)
        begin = time.perf_counter()
        program.train_step()
        program.wait()
        times.append(time.perf_counter() - begin)
    return sorted(times[1:])[(len(times) - 1) // 4]


def _rows(program: Program) -> float:
    """The time of one evaluated row, from the faster of two evaluations of a piece."""
    val = program.split.val
    part = Part(val.x[: program.evaluation_rows], val.y[: program.evaluation_rows])
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        program.evaluate(part)
        times.append(time.perf_counter() - begin)
    return min(times) / len(part.y)


def _look(program: Program, name: str) -> float:
    """The time of one look at the start of an epoch."""
    program.begin_epoch(1)
    begin = time.perf_counter()
    looking.at_start(program, 0, Watch((name,)))
    return time.perf_counter() - begin


def resident_memory() -> int:
    """Bytes of this process that are in memory; where the system does not tell, the most there ever were."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
