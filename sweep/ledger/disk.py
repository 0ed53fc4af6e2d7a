"""What the disk of a results folder can do: shared memory, which a write-ahead log needs, and locks. Needs nothing.

Network disks lack one or the other. What lacks is found by trying it, but for one thing: on a disk that several
machines see, each of them maps memory of its own, so that a write-ahead log seems to work, and breaks ("Write-Ahead
Logging" in SQLite's documentation). There, the kind of file system decides.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NETWORK = frozenset(
    [
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "beegfs", "pvfs2", "panfs"),
        *("gfs", "gfs2", "ocfs2", "9p", "virtiofs", "vboxsf", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph-fuse"),
        *("fuse.rclone", "fuse.juicefs", "fuse.s3fs", "fuse.gcsfuse", "fuse.moosefs"),
    ]
)
"""Kinds of file systems that several machines may see at once."""

_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Disk:
    """What a disk lacks: each empty, or why."""

    log: str = ""
    """A write-ahead log of SQLite's."""
    locks: str = ""
    """Locks of whole files (flock), which a study's one writer holds."""
    records: str = ""
    """Locks of parts of files (fcntl), which SQLite itself takes."""

    @property
    def vfs(self) -> str:
        """How SQLite is to open a file, for its address: without locks of its own where it could get none."""
        return "vfs=unix-none" if self.records else ""

    @property
    def notes(self) -> list[str]:
        """What is to be said of it, and what serves instead."""
        out = []
        if self.records:
            alone = "so one process at a time opens the results, readers too"
            out.append(f"SQLite can lock no file there ({self.records}), {alone}")
        elif self.log:
            slower = "so it keeps a rollback journal: slower, and readers may wait"
            out.append(f"SQLite has no write-ahead log there ({self.log}), {slower}")
        if self.locks:
            out.append(f"locks of the system do not serve there ({self.locks}), so a file that names its owner does")
        return out


def try_disk(folder: Path) -> Disk:
    """Tries what the disk of a folder can do, on a file that has no name. A folder that cannot be written to lacks
    nothing, since nothing is written there."""
    if not os.access(folder, os.W_OK):
        return Disk()
    with tempfile.TemporaryFile(dir=folder) as file:
        place = file.fileno()
        os.ftruncate(place, mmap.PAGESIZE)
        records = _refusal(lambda: fcntl.lockf(place, fcntl.LOCK_EX | fcntl.LOCK_NB))
        fcntl_free = _refusal(lambda: fcntl.lockf(place, fcntl.LOCK_UN))
        locks = _refusal(lambda: fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB))
        memory = _refusal(lambda: mmap.mmap(place, mmap.PAGESIZE, mmap.MAP_SHARED).close())
    kind = kind_of(folder)
    shared = f"{kind}, which other machines may see" if kind in NETWORK else ""
    return Disk(memory or records or shared, locks or shared, records or fcntl_free)


def address(path: Path, *how: str) -> str:
    """The URI by which SQLite opens a file where it lies."""
    words = [word for word in (*how, try_disk(path.parent).vfs) if word]
    return f"{path.resolve().as_uri()}{'?' if words else ''}{'&'.join(words)}"


def _refusal(attempt: Callable[[], object]) -> str:
    """Why something cannot be done; empty if it can."""
    try:
        attempt()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def kind_of(folder: Path, mounts: Path = _MOUNTS) -> str:
    """The kind of file system that a folder lies on, as Linux names it; empty where it does not tell."""
    place, best, kind = str(folder.resolve()), "", ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        before, dash, after = line.partition(" - ")
        words = before.split()
        if not dash or len(words) < 5:
            continue
        mount = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), words[4])  # a space is \040
        if len(mount) >= len(best) and (place == mount or place.startswith(mount.rstrip("/") + "/")):
            best, kind = mount, after.split()[0]
    return kind
