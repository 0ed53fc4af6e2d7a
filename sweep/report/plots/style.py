"""Colours and type of every chart, light and dark. Needs nothing.

A chart names what a mark means (its `style`); these two tables say how that looks, so one specification serves both.
The hues are Okabe & Ito's (2008), told apart by colour-blind readers; what matters is told by place, shape or words
too.
"""

from __future__ import annotations

from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
HEAT = ["#0c2c68", "#225ea8", "#1d91c0", "#5dbfc1", "#b5dfb6", "#eef6c7"]
"""From best to worst: one direction of lightness, so that it reads in grey."""


def _mix(hue: str, paper: str, share: float = 0.3) -> str:
    """A hue thinned with the paper's colour."""
    pairs = ((int(hue[at : at + 2], 16), int(paper[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(share * part + (1 - share) * other):02x}" for part, other in pairs)


def _theme(
    ink: str,
    soft: str,
    grid: str,
    paper: str,
    hues: list[str],
    bad: str,
    faint: str,
    ramp: list[str],
    heights: list[str],
) -> dict[str, Any]:
    text = {"labelColor": soft, "titleColor": ink, "labelFont": FONT, "titleFont": FONT}
    return {
        "background": paper,
        "font": FONT,
        "padding": 12,
        "view": {"stroke": None},
        "title": {"anchor": "start", "color": ink, "subtitleColor": soft, "font": FONT, "subtitleFont": FONT,
                  "fontSize": 17, "fontWeight": 600, "subtitleFontSize": 12.5, "subtitleLineHeight": 17, "offset": 18,
                  "subtitlePadding": 6, "frame": "bounds"},
        "axis": text | {"gridColor": grid, "domainColor": grid, "tickColor": grid, "labelFontSize": 12,
                         "titleFontSize": 12.5,
                        "titleFontWeight": 500, "labelPadding": 6, "titlePadding": 10, "labelLimit": 150,
                         "domain": False, "ticks": False},
        "axisX": {"grid": False, "domain": True, "ticks": True},
        "legend": text | {"titleFontSize": 12.5, "titleFontWeight": 500, "labelFontSize": 12,
                           "labelLimit": 320, "titleLimit": 320},
        "range": {"category": hues, "ordinal": [_mix(hue, paper) for hue in hues], "ramp": ramp, "heatmap": heights},
        "text": {"font": FONT, "color": ink, "fontSize": 12},
        "style": {
            "main": {"color": hues[0]},
            "second": {"color": hues[1]},
            "others": {"color": faint},
            "bad": {"color": bad},
            "ink": {"color": ink},
            "paper": {"color": paper},
            "soft": {"color": soft},
            "grid": {"color": grid},
            "halo": {"color": paper, "stroke": paper, "strokeWidth": 4},
            "ring": {"stroke": ink, "fill": "transparent"},
            "cell": {"stroke": paper},
        },
    }  # fmt: skip


THEMES: dict[str, dict[str, Any]] = {
    "light": _theme("#1c2430", "#566171", "#e3e7ec", "#ffffff",
                    ["#0072b2", "#c25200", "#00805c", "#a04f82", "#8a6000"], "#b3400a", "#8d98a5",
                    ["#0c2c68", "#225ea8", "#1d91c0", "#5dbfc1", "#a5d3b0"],
                    ["#8fa9c4", "#b4c6d8", "#d3dee9", "#eaf0f5", "#fbfcfd"]),
    "dark": _theme("#e8ecf1", "#a7b1be", "#2c343f", "#12161c",
                   ["#56b4e9", "#f0923c", "#2fc79a", "#dd93c0", "#e6c34a"], "#ff8a5c", "#66717f",
                   ["#f6ec7a", "#8fd58a", "#3fb0a5", "#3a83b8", "#3f5a9a"],
                   ["#0b0f14", "#17212d", "#243446", "#344a61", "#486580"]),
}  # fmt: skip
"""Vega-Lite configurations by name."""
