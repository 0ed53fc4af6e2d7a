#!/usr/bin/env bash
# Altair 6.3.0 with vl-convert-python 1.9.0.post1: one zero on a logarithmic axis moves every point of the chart to one height.
#
# Expected by most: the point at 0, which has no logarithm, is left out or at the axis' end, and the others stay where
# they are; or a warning. Seen: the heights of 0.1, 1 and 10 are 300, 150 and 0 without the zero; with it all four are 0,
# and nothing is said. A training whose loss reaches exactly 0 flattens the picture of all others.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check altair==6.3.0 vl-convert-python==1.9.0.post1 pandas==3.1.1
HOME=$folder "$folder/venv/bin/python" - <<'PYTHON'
import re
import warnings

import altair
import pandas
import vl_convert

warnings.simplefilter("error")


def heights(losses):
    frame = pandas.DataFrame({"epoch": range(len(losses)), "loss": losses})
    scale = altair.Scale(type="log")
    chart = altair.Chart(frame).mark_point().encode(x="epoch:Q", y=altair.Y("loss:Q", scale=scale))
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    return [round(float(y)) for y in re.findall(r'roledescription="point" transform="translate\([\d.]+,([\d.]+)\)"', svg)]


print("without a zero:", heights([0.1, 1.0, 10.0]))
print("with one:      ", heights([0.1, 1.0, 10.0, 0.0]))
assert heights([0.1, 1.0, 10.0]) == [300, 150, 0]
assert heights([0.1, 1.0, 10.0, 0.0]) == [0, 0, 0, 0]
PYTHON
