"""Pictures as charts: Vega-Lite specifications, rendered as SVG or PNG without a browser. Needs altair, vl_convert.

style      colours and type, light and dark
base       data, axes, tooltips
charts     a chart a kind of picture: lines and dots
grids      those in rows and columns
rendering  SVG, PNG, the scripts of HTML pages

Imported when a chart is drawn, and only then: Altair takes half a second.
"""

from sweep.report.plots.charts import chart
from sweep.report.plots.rendering import bundle, image, script_json
from sweep.report.plots.style import THEMES

__all__ = ["THEMES", "bundle", "chart", "image", "script_json"]
