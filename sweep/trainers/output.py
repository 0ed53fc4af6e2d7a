"""What a trial printed: its lines as they come, and as much of them as is kept. Needs nothing."""

from __future__ import annotations

import re

HEAD, TAIL = 16_000, 48_000
"""Characters that are kept of the beginning and of the end."""

LONGEST = 64_000
"""Bytes of a line past which it is no report, only text."""

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours, movements of the cursor and the like, which would act on the terminal that shows the text."""


class Output:
    """The output of one trial."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._head = ""
        self._tail = ""
        self._cut = False

    @property
    def text(self) -> str:
        """What is kept of it."""
        if not self._cut:
            return self._head + self._tail
        return f"{self._head}\n… (left out) …\n{self._tail[-TAIL:]}"

    def last(self, lines: int = 20) -> str:
        """Its last lines."""
        return "\n".join(self.text.rstrip().splitlines()[-lines:])

    def add(self, data: bytes) -> list[str]:
        """Takes what was printed next; the lines that it completes."""
        self._line += data
        *whole, rest = re.split(rb"[\r\n]+", bytes(self._line))
        self._line = bytearray(rest)
        if len(rest) > LONGEST:
            whole, self._line = [*whole, rest], bytearray()
        return [self._keep(line) for line in whole if line]

    def close(self) -> list[str]:
        """The last line, which nothing ended."""
        return self.add(b"\n") if self._line else []

    def _keep(self, line: bytes) -> str:
        text = _CONTROL.sub("", line.decode("utf-8", "replace"))
        if len(self._head) < HEAD and not self._tail:
            self._head += f"{text}\n"
        else:
            self._tail += f"{text}\n"
        if len(self._tail) > 2 * TAIL:
            self._tail, self._cut = self._tail[-TAIL:], True
        return text if len(line) <= LONGEST else ""
