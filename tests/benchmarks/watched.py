"""sweep's command line as a process of its own that writes, when it ends, when its first trial was handed to a worker,
when its last record was written and how much memory it took at most. Nothing else differs from `python -m sweep`.

    python tests/benchmarks/watched.py FILE grid --data digits ...

FILE: JSON with `begin` and `end`, seconds since 1970 (0 if nothing was trained), and `peak`, bytes of this process
alone.
"""

from __future__ import annotations

import atexit
import json
import runpy
import sys
import time
from pathlib import Path
from typing import Any

moments = {"begin": 0.0, "end": 0.0}


def peak_bytes() -> int:
    """The most memory that this process held at once; neither of its children nor of the one that started it.

    Linux's VmHWM begins anew with each program; ru_maxrss, all there is elsewhere, is in KiB (bytes on macOS).
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def watch_the_ledger() -> None:
    """Has the ledger note when it first marks trials as running, and when it last records epochs."""
    from sweep.ledger import Ledger

    begin, record = Ledger.begin, Ledger.record

    def noting_begin(self: Ledger, *rest: Any) -> None:
        moments["begin"] = moments["begin"] or time.time()
        begin(self, *rest)

    def noting_record(self: Ledger, *rest: Any) -> None:
        record(self, *rest)
        moments["end"] = time.time()

    Ledger.begin, Ledger.record = noting_begin, noting_record  # type: ignore[method-assign]


def main() -> None:
    """Runs sweep with the arguments after FILE."""
    file = Path(sys.argv.pop(1)).resolve()
    atexit.register(lambda: file.write_text(json.dumps(moments | {"peak": peak_bytes()})))
    watch_the_ledger()
    runpy.run_module("sweep", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
