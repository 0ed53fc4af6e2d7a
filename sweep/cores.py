"""The cores this process may use: its affinity, and the CPU quota of its container. Needs nothing."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from sweep.wording import count

_MEMBER, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def cores(member: Path = _MEMBER, mount: Path = _MOUNT) -> int:
    """How many workers of one thread each find a core: at least 1, half a core counted as one."""
    return max(1, math.ceil(min(_count_visible(), cpu_quota(member, mount))))


def quota_note(member: Path = _MEMBER, mount: Path = _MOUNT) -> str:
    """What a user should know if a quota allows less than the cores that are seen; empty if it does not."""
    quota = cpu_quota(member, mount)
    if quota >= _count_visible():
        return ""
    workers = cores(member, mount)
    return (
        f"a CPU quota (cgroup) allows {quota:g} of the {_count_visible()} cores seen here: "
        f"{count(workers, 'worker')} by default, --jobs chooses another number"
    )


def cpu_quota(member: Path = _MEMBER, mount: Path = _MOUNT) -> float:
    """CPU seconds a second that every control group above this process allows; infinite without a limit.

    member: the groups of this process, as /proc/self/cgroup has them; mount: where their
    files are. A group's limit holds for all below it. Within a container the path may be one
    that only the host sees, so its parents are looked at, up to the mount. See "Control
    Group v2" (cpu.max) and "CFS Bandwidth Control" (v1) of the Linux kernel's documentation.
    """
    try:
        lines = member.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return math.inf
    groups = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    return min(
        (
            limit
            for _, controllers, path in groups
            for folder in _folders(controllers, path, mount)
            for limit in _limits(folder)
        ),
        default=math.inf,
    )


def _count_visible() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _folders(controllers: str, path: str, mount: Path) -> Iterator[Path]:
    """A group's folder and its parents'. Version 2 names no controller; version 1's cpu may be mounted with others."""
    names = controllers.split(",")
    if controllers and "cpu" not in names:
        return
    for base in [mount / controllers, mount / "cpu"] if controllers else [mount, mount / "unified"]:
        group = base / path.lstrip("/")
        yield group
        yield from (parent for parent in group.parents if parent == base or base in parent.parents)


def _limits(folder: Path) -> Iterator[float]:
    """The limit of one group, of either version, if it has one."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = map(int, " ".join((folder / name).read_text() for name in names).split())
        except (OSError, ValueError):  # no such file, or "max"
            continue
        if quota > 0 and period > 0:
            yield quota / period
