#!/usr/bin/env bash
# Guild AI 0.9.0: a run whose printed loss turns NaN is shown with the last loss before that, as completed.
#
# Expected by most: the scalar of a run is the last value it printed, NaN or a blank where it diverged. Seen: output lines with
# nan are no scalars for Guild, so nothing is recorded once the loss is NaN: compare shows 0.86 at step 1 for a run that went to
# step 3, and the run that diverged leads the table. What is recorded is float32: a printed 0.87 reads 0.8700000047683716.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check guildai==0.9.0
mkdir "$folder/home" "$folder/code"
cat > "$folder/code/train.py" <<'PYTHON'
lr = 0.1
for step, loss in enumerate([0.9, 0.86, float("nan"), float("nan")] if lr > 0.05 else [0.9, 0.88, 0.87, 0.87]):
    print(f"step: {step}")
    print(f"loss: {loss}")
PYTHON
cd "$folder/code"
export HOME="$folder/home" GUILD_HOME="$folder/home"
"$folder/venv/bin/guild" run train.py lr='[0.1, 0.01]' --yes > "$folder/log" 2>&1
grep -A 1 -E "step: 3" "$folder/log"
"$folder/venv/bin/guild" compare --csv "$folder/compare.csv" > "$folder/log" 2>&1
cut -d, -f 5,7- "$folder/compare.csv" | tee "$folder/columns.csv"
grep -qx 'completed,0.1,1,0.8600000143051147' "$folder/columns.csv"
grep -qx 'completed,0.01,3,0.8700000047683716' "$folder/columns.csv"
