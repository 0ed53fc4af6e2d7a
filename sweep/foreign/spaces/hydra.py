"""Hydra's sweeps: the params of a sweeper section, of the Optuna sweeper too, or the overrides of a multirun.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.spaces.space import Knob, Space, SpaceReader, listed, ranged
from sweep.foreign.texts import number

_SAMPLERS = {
    "TPESampler": "tpe",
    "RandomSampler": "random",
    "CmaEsSampler": "cmaes",
    "GPSampler": "gp",
    "QMCSampler": "qmc",
}


def _section(content: Any) -> Mapping[str, Any] | None:
    """The hydra part of a file: below hydra, or the keys hydra.sweeper.… of a package."""
    table = content.get("hydra") if isinstance(content, Mapping) else None
    return table if isinstance(table, Mapping) else None


def _read_swept(section: Mapping[str, Any]) -> dict[str, Any]:
    """What is swept: the sweeper's params (search_space before 1.2), or the overrides of the command line."""
    sweeper = section.get("sweeper") or {}
    given = dict(sweeper.get("search_space") or {}) | dict(sweeper.get("params") or {})
    for text in (section.get("overrides") or {}).get("task") or []:
        name, _, value = str(text).partition("=")
        given[name] = value
    return {name: value for name, value in given.items() if not str(name).startswith(("hydra.", "hydra/"))}


def _matches(content: Any) -> bool:
    section = _section(content)
    return section is not None and ("sweeper" in section or "overrides" in section)


def _read(content: Any, path: Path) -> Space:
    section = _section(content) or {}
    sweeper = section.get("sweeper") or {}
    optuna = "optuna" in str(sweeper.get("_target_", "")) or "sampler" in sweeper or "n_trials" in sweeper
    if not _read_swept(section):
        raise UsageError(f"{path}: Hydra's section sweeps nothing; expected params of its sweeper")
    knobs = tuple(_knob(str(key).lstrip("+"), value, path) for key, value in _read_swept(section).items())
    sampler = str((sweeper.get("sampler") or {}).get("_target_", "")).rpartition(".")[2]
    direction = sweeper.get("direction")
    job = (section.get("job") or {}).get("name")
    program = ("python", f"{job}.py" if job and job != "???" else "my_app.py")
    lost = [f"{key}: {sweeper[key]}" for key in ("custom_search_space",) if sweeper.get(key)]
    if optuna and isinstance(direction, list):
        lost.append(f"several objectives: {', '.join(direction)}")
    named = _SAMPLERS.get(sampler, "tpe" if sampler != "GridSampler" else None)
    return Space(
        "Hydra",
        knobs,
        direction=direction if direction in ("minimize", "maximize") else None,
        program=program,
        flag="{name}={value}",
        trials=sweeper.get("n_trials"),
        sampler=named if optuna else None,
        lost=tuple(lost),
    )


def _knob(name: str, value: Any, path: Path) -> Knob:
    """Values by Hydra's grammar of sweeps: a, b; choice(a, b); range(1, 10, 2); interval(0, 1); tag(log, …);
    int(…)."""
    if isinstance(value, Mapping):
        return _old(name, value, path)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return listed(name, list(value))
    if not isinstance(value, str):
        return listed(name, [value])
    text, log, whole = value.strip(), False, False
    lost: list[str] = []
    while match := _CALL.fullmatch(text):
        call, inner = match[1], match[2]
        parts = _split(inner)
        if call == "choice":
            return listed(name, [_word(part) for part in parts], *lost)
        if call == "range":
            return listed(name, _range(name, parts, path), *lost)
        if call == "interval":
            return _interval(name, parts, log, whole, lost, path)
        if call == "tag":
            log, lost = log or "log" in parts[:-1], lost + [f"tag {part}" for part in parts[:-1] if part != "log"]
        elif call in ("int", "float"):
            whole = call == "int"
        elif call not in ("shuffle", "sort", "str", "bool"):
            raise UsageError(f"{path}: {name}: {call}(…) of Hydra cannot be read; expected choice, range or interval")
        text = parts[-1] if call == "tag" else inner
    return listed(name, [_word(part) for part in _split(text)], *lost)


_CALL = re.compile(r"([a-z]+)\((.*)\)", re.DOTALL)


def _split(text: str) -> list[str]:
    """The parts of a text between commas that are in no brackets and no quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        quote = "" if letter == quote else letter if letter in "'\"" and not quote else quote
        depth += 0 if quote else (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _word(text: str) -> Any:
    """A value as Hydra types it: true is a truth, on and yes are texts."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lower() == "null":
        return None
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    value = number(text)
    return value if value is not None and abs(value) < float("inf") else text


def _range(name: str, parts: list[str], path: Path) -> list[float]:
    """The values of range(stop), range(start, stop), range(start, stop, step): the stop is none of them."""
    named = dict(part.split("=") for part in parts if "=" in part)
    plain = [_word(part) for part in parts if "=" not in part]
    if len(plain) == 1:
        plain = [0, *plain]
    keys = ("start", "stop", "step")
    values = dict(zip(keys, plain, strict=False)) | {key.strip(): _word(part) for key, part in named.items()}
    start, stop, step = values.get("start", 0), values.get("stop"), values.get("step", 1)
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in (start, stop, step)) or not step:
        raise UsageError(f"{path}: {name}: range({', '.join(parts)}): expected numbers")
    count = max(0, -int(-(stop - start) // step))
    out = [start + place * step for place in range(count)]
    if not out:
        raise UsageError(f"{path}: {name}: range({', '.join(parts)}) is empty")
    return [value if isinstance(value, int) else float(f"{value:.12g}") for value in out]


def _interval(name: str, parts: list[str], log: bool, whole: bool, lost: list[str], path: Path) -> Knob:
    ends = [_word(part.partition("=")[2] or part) for part in parts]
    if len(ends) != 2 or not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise UsageError(f"{path}: {name}: interval({', '.join(parts)}): expected two numbers")
    low, high = (int(end) for end in ends) if whole else (float(end) for end in ends)
    return ranged(name, low, high, *lost, log=log)


def _old(name: str, table: Mapping[str, Any], path: Path) -> Knob:
    """A range as the Optuna sweeper had it before 1.2: type, low, high, log, step, choices."""
    if "choices" in table:
        return listed(name, list(table["choices"]))
    low, high = table.get("low"), table.get("high")
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high)):
        raise UsageError(f"{path}: {name}: expected low and high, both numbers, or choices")
    whole = table.get("type") == "int"
    ends = (int(low), int(high)) if whole else (float(low), float(high))  # type: ignore[arg-type]
    return ranged(name, *ends, log=bool(table.get("log")), step=table.get("step"))


HYDRA = SpaceReader("Hydra", "YAML with hydra: sweeper: params, or a multirun.yaml", _matches, _read)
