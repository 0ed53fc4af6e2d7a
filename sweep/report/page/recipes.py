"""The recipe and the command that make a study again. Needs nothing."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.ledger import Study


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """A recipe's plain values as TOML: what is neither a table nor a list of tables first, then the claims as they were
    written, without when."""
    claims = recipe.get("claims", [])
    recipe = {key: value for key, value in recipe.items() if key != "claims"}
    tables = {key: value for key, value in recipe.items() if isinstance(value, Mapping) and value}
    lines = [
        f"{_key(key)} = {_value(value)}"
        for key, value in recipe.items()
        if not isinstance(value, Mapping) and value is not None
    ]
    for name, table in tables.items():
        lines += [
            "",
            f"[{_key(name)}]",
            *(f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None),
        ]
    for claim in claims:
        said = {key: value for key, value in claim.items() if key not in ("stated", "afterwards", "seeds")}
        lines += ["", "[[claim]]", *(f"{_key(key)} = {_value(value)}" for key, value in said.items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {_value(item)}' for key, item in value.items() if item is not None)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value) if isinstance(value, str) else repr(value)


def command_text(study: Study) -> str:
    """The commands that train a study again from its recipe, whose file is named after it."""
    name, file = shlex.quote(study.name), shlex.quote(f"{study.name}.toml")
    if study.recipe.search:
        return f"sweep search {file} --trials {study.trials} --study {name}"
    return f"sweep grid {file} --study {name}"
