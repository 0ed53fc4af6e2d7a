"""How a sentence counts and lists. Needs nothing."""

from __future__ import annotations

from collections.abc import Iterable


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 trial, 1,000 trials, 2 classes, 0 studies."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a regular noun: trials, epochs, classes, batches, studies, days."""
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}{'es' if noun.endswith(('s', 'x', 'tch', 'sh')) else 's'}"


def join_words(names: Iterable[str], word: str = "and") -> str:
    """Names as a sentence lists them: a, b and c."""
    names = list(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else "".join(names)
