"""How fast this machine is: measured by a run's own workers, or before a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sweep.data import DataInfo, load
from sweep.errors import UsageError
from sweep.formulas import check_start, point_of
from sweep.messages import Died, Failed, Left, Loaded, Measured, Message, OutOfMemory, Ready
from sweep.plan import classes_note, look_measurements, measurements
from sweep.recipe import Recipe
from sweep.speed import Cost, Measurement, Speeds, processor, recall, remember
from sweep.workers import DataRequest, Pool


def speed_kind(devices: Sequence[str], recipe: Recipe, place: str = "") -> str:
    """What speeds depend on besides the program and the number of workers: where they are (see Pool), the kind of
    device, the precision."""
    return f"{place}{devices[0].partition(':')[0]} {recipe.precision}"


def precision_note(precision: str, device: str) -> str:
    """What to say of a precision on a device, if anything. Raises UsageError for one that the device does not have."""
    if precision == "tf32" and not device.startswith("cuda"):
        raise UsageError(f"precision = tf32: TensorFloat-32 needs an NVIDIA GPU; expected float32 or bf16 on {device}")
    if precision == "bf16" and device == "cpu" and (said := processor()) and "bf16" not in said:
        return "bf16: this processor has no bfloat16 products; expect it to be slower than float32"
    return ""


def measure_speeds(recipe: Recipe, data: DataInfo, devices: Sequence[str]) -> Speeds:
    """What a plan needs to tell time: what is remembered of this machine, after measuring what was not.

    Raises DataError if the data cannot be loaded, SweepError if the workers cannot work.
    """
    speeds = recall()
    kind = speed_kind(devices, recipe)
    wanted = measurements(recipe, data, len(devices), speeds, kind=kind)
    wanted += look_measurements(recipe, data, len(devices), speeds, kind)
    if wanted or data.name not in speeds.start:
        with Pool(devices, data_request(recipe, None)) as pool:
            measure_costs(pool, wanted, speeds, data.name)
    return speeds


def missing_classes(recipe: Recipe) -> str:
    """A line where the smallest `train_size` leaves classes out. The data are loaded for it; raises DataError if they
    cannot be."""
    if recipe.of_function or all(isinstance(size, str) for size in recipe.listed("train_size")):
        return ""
    return classes_note(recipe, load(recipe.data, recipe.data_dir, recipe.split_seed).classes())


def measure_costs(
    pool: Pool,
    wanted: list[Measurement],
    speeds: Speeds,
    data: str,
    ready: list[int] | None = None,
    other: Callable[[Message], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Has workers measure, adds what they find to `speeds` and remembers it. A measurement that breaks off is left out.

    ready: workers that are, now and afterwards; other: is given
    the messages that say something else; stop: ends it early.
    """
    waiting, ready = list(wanted), [] if ready is None else ready
    out, measured, start = set[int](), dict[str, tuple[Cost, ...]](), dict[str, tuple[float, int]]()
    while (waiting or out or not (ready or measured)) and not stop():
        while ready and waiting:
            out.add(ready[0])
            pool.give(ready.pop(0), waiting.pop(0))
        for message in pool.messages(0.25):
            match message:
                case Ready(worker):
                    ready.append(worker)
                    continue
                case Measured(worker, key, costs):
                    measured[key] = costs
                    out.discard(worker)
                    continue
                case Loaded():
                    start[pool.place + data] = (pool.age(), message.memory)
                case Failed() | OutOfMemory() | Died() | Left():
                    out.discard(message.worker)
            other(message)
    speeds.costs |= measured
    speeds.start |= start
    remember(measured, start)


def data_request(
    recipe: Recipe, checkpoints: Path | None, keep: bool = False, timeout: float | None = None
) -> DataRequest:
    """What the host needs to know of a study."""
    if recipe.trainer:
        named = recipe.data, None, 0, ()
        return DataRequest(*named, trainer=recipe.trainer, metric=recipe.metric, timeout=timeout)
    forms = tuple(
        (str(normalize), size if isinstance(size, str) else int(size))
        for normalize in recipe.listed("normalize")
        for size in recipe.listed("train_size")
    )
    splits = tuple(dict.fromkeys(recipe.splits)) or (0,)
    functions = tuple((str(name), _some_point(recipe, str(name))) for name in recipe.listed("function"))
    return DataRequest(
        recipe.data,
        recipe.data_dir,
        recipe.split_seed,
        forms,
        checkpoints,
        keep,
        recipe.precision,
        splits,
        recipe.watch,
        functions if recipe.of_function else (),
        network=recipe.network,
    )


def _some_point(recipe: Recipe, name: str) -> tuple[float, ...]:
    """A point to try a function at: the first start, or one beside 0."""
    start = str(recipe.listed("start")[0])
    return point_of(start) or (0.5,) * check_start(name, start)
