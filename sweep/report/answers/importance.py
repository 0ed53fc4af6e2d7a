"""The answer to `sweep importance`: sentences and bars, or plain values. Needs rich."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.report.columns import Columns
from sweep.report.files import plain, records
from sweep.space import seeds_text
from sweep.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis.importance import Importance


def importance_report(importance: Importance) -> RenderableType:
    """The answer to `sweep importance`."""
    over = count(importance.settings, "setting")
    if importance.method == "exact":
        over += f" x {count(importance.seeds, 'seed')}"
    frames = [frame for frame in (importance.shares, importance.pairs) if len(frame)]
    largest = max([1e-12, *(share for frame in frames for share in frame["share"].astype(float))])
    head = Text.assemble("What explains ", (importance.metric, "bold"), f" in study {importance.study}, {over}")
    parts: list[RenderableType] = [
        head,
        Text(importance_method(importance), "dim"),
        Text(),
        _share_table(importance.shares, ["name"], largest),
    ]
    if len(importance.pairs):
        parts += [
            Text(),
            Text("Two together, beyond each alone:", "bold"),
            _share_table(importance.pairs, ["first", "second"], largest),
        ]
    return Group(*parts, Text(), *(Text(sentence) for sentence in importance_sentences(importance)))


def importance_method(importance: Importance) -> str:
    """How it was found, in words."""
    of = f"{'log ' if importance.scale == 'log' else ''}{importance.metric}"
    if importance.method == "exact":
        return f"exact shares of the variance of {of} over a whole grid of seed means (functional ANOVA)"
    if importance.method == "fanova":
        return f"estimated shares of the variance of {of} (fANOVA of a random forest), since {importance.note}"
    return f"what sets the best tenth by {importance.metric} apart (PED-ANOVA, as shares of 1), since {importance.note}"


def importance_sentences(importance: Importance) -> list[str]:
    """What must be known beside the shares."""
    out = [importance.race] if importance.race else []
    if (roles := importance.roles) is not None:
        again = f"{count(len(roles.chosen), 'setting')} {'was' if len(roles.chosen) == 1 else 'were'} run again"
        shared = f"Over {seeds_text(roles.selecting)}, which all settings share"
        out.append(f"{shared}; {again} on {seeds_text(roles.fresh)}, left out here.")
    if not math.isnan(importance.interactions):
        noise = f". Seed-to-seed noise: {importance.noise:.4f} of the total" if not math.isnan(importance.noise) else ""
        out.append(
            f"Single hyperparameters explain {1 - max(importance.interactions, 0.0):.4f}, combinations "
            f"{max(importance.interactions, 0.0):.4f}{noise}."
        )
    out.append(
        f"Intervals (95%) are over {importance.interval}."
        if importance.interval
        else "One seed gives no interval: --seeds 3 would."
    )
    if len(importance.shares) == 1:
        out.append(
            f"{importance.shares['name'].iloc[0]} alone varies, so all of "
            "it is its share; sweep effect says which value is better."
        )
    out.append("Shares depend on the ranges you chose: a wider range gets a larger share.")
    return out


def _share_table(frame: pd.DataFrame, names: list[str], largest: float) -> Columns:
    """A row a share; largest: the share whose bar is full, one for all tables of an answer."""
    table = Columns()
    for name in names:
        table.add_column("hyperparameter" if name == "name" else name)
    interval = bool(frame["low"].notna().any())
    table.add_column("share", justify="right")
    if interval:
        table.add_column("95% interval", justify="right")
    table.add_column("")
    for row in frame.head(40).to_dict("records"):
        cells = [str(row[name]) for name in names] + [f"{row['share']:.4f}"]
        cells += [f"{row['low']:.4f} to {row['high']:.4f}"] if interval else []
        table.add_row(*cells, Text("█" * round(24 * max(row["share"], 0.0) / largest), "cyan"))
    return table


def importance_json(importance: Importance) -> dict[str, Any]:
    """An importance as plain values."""
    frames = {"shares": records(importance.shares), "pairs": records(importance.pairs)}
    rest = {name: plain(value) for name, value in vars(importance).items() if name not in (*frames, "roles")}
    if importance.roles is not None:
        rest |= {"selecting_seeds": list(importance.roles.selecting), "fresh_seeds": list(importance.roles.fresh)}
    return rest | frames | {"text": [importance_method(importance), *importance_sentences(importance)]}
