"""What became of studies that were merged, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweep.ledger import Merged
from sweep.wording import count


def merge_lines(studies: Sequence[Merged]) -> Iterator[str]:
    """A line or two for each study; what to do next."""
    if not studies:
        yield "nothing to merge: no study in these folders, or they are the results folder itself"
    for study in studies:
        trials = f"{study.study}{f' ({study.shard})' if study.shard else ''}: {count(study.new, 'trial')} added"
        known = f", {study.known:,} there already" if study.known else ""
        failed = f", {study.failed:,} failed" if study.failed else ""
        totals = f"{study.trials:,} in all, {study.left:,} left{failed}"
        yield f"{trials} from {count(study.folders, 'folder')}{known}; {totals}"
        for line in study.grown:
            yield f"{study.study} grows: {line}"
        more = f"sweep resume {study.study}" if study.left or study.failed else f"sweep show {study.study}"
        yield f"More: {more}"
