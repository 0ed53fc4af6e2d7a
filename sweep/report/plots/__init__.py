"""Pictures as charts: Vega-Lite specifications, written as SVG, PNG or HTML without a browser. Needs altair, vl_convert.

style   colours and type, light and dark
base    data, axes, tooltips
charts  a chart a kind of picture: lines and dots
grids   those in rows and columns
files   SVG, PNG, an HTML page that opens offline

Imported when a chart is drawn, and only then: Altair takes half a second.
"""

from sweep.report.plots.charts import chart
from sweep.report.plots.files import bundle, save_chart, script_json
from sweep.report.plots.style import THEMES

__all__ = ["THEMES", "bundle", "chart", "save_chart", "script_json"]
