"""What became of studies that were merged, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweep.ledger import Merged
from sweep.wording import count


def merge_lines(studies: Sequence[Merged]) -> Iterator[str]:
    """A line or two for each study; what to do next."""
    if not studies:
        yield "nothing to merge: no study in these folders, or they are the results folder itself"
    for one in studies:
        trials = f"{one.study}{f' ({one.shard})' if one.shard else ''}: {count(one.new, 'trial')} added"
        known = f", {one.known:,} there already" if one.known else ""
        failed = f", {one.failed:,} failed" if one.failed else ""
        yield f"{trials} from {count(one.folders, 'folder')}{known}; {one.trials:,} in all, {one.left:,} left{failed}"
        for line in one.grown:
            yield f"{one.study} grows: {line}"
        more = f"sweep resume {one.study}" if one.left or one.failed else f"sweep show {one.study}"
        yield f"More: {more}"
