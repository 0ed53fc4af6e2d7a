"""What vl_convert makes: a chart as SVG or PNG, and the scripts that draw charts in an HTML page."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING, Any

from sweep.errors import SweepError
from sweep.report.plots.charts import chart
from sweep.report.plots.style import THEMES
from sweep.speed import cache_file, write_cache

if TYPE_CHECKING:
    from sweep.analysis.pictures import Picture


def image(picture: Picture, suffix: str, theme: str) -> bytes:
    """A picture's chart as a file's bytes; suffix: .svg or .png. Raises SweepError."""
    spec = chart(picture)
    if suffix == ".svg":
        return _render_apart("vegalite_to_svg", vl_spec=spec, config=THEMES[theme])
    return _render_apart("vegalite_to_png", vl_spec=spec, config=THEMES[theme], scale=2)


def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, about 900 kB, that asks nothing of the network; made
    once and kept, since to make it takes longer than most reports."""
    version, kept = metadata.version("vl-convert-python"), cache_file().with_name("vega.json")
    with suppress(OSError, ValueError, LookupError, TypeError):
        return str(json.loads(kept.read_text(encoding="utf-8"))[version])
    script = _render_apart("javascript_bundle").decode().replace("</script", "<\\/script")
    write_cache(kept, {version: script})
    return script


_RENDERER = """
import json, sys, vl_convert
name, given = json.load(sys.stdin)
made = getattr(vl_convert, name)(**given)
sys.stdout.buffer.write(made if isinstance(made, bytes) else made.encode())
"""


def _render_apart(name: str, **given: Any) -> bytes:
    """What a function of vl_convert makes, in a process of its own: where memory is limited its JavaScript engine ends
    the process natively, with a page of addresses. Raises SweepError."""
    command = [sys.executable, "-c", _RENDERER]
    done = subprocess.run(command, input=json.dumps([name, given]).encode(), capture_output=True)
    if done.returncode < 0:
        limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
        why = "; it needs more virtual memory than `ulimit -v` allows, about 64 GB" if limited else ""
        raise SweepError(f"the renderer of charts and pages was killed by {signal.Signals(-done.returncode).name}{why}")
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise SweepError(f"the renderer of charts and pages failed: {last[0]}")
    return done.stdout


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element, whatever text is in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for char, code in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(char, code)
    return text
