#!/usr/bin/env bash
# Hydra 1.3.8 (OmegaConf 2.3.1): the same text is another type in a config file than as an override on the command line.
#
# Expected by most: `batch_norm: on` in config.yaml and `batch_norm=on` as an override mean the same. Seen: in the file `on`
# is True, `010` is 8 and `12:30:00` is 45000; as overrides they are the texts 'on', '010' and '12:30:00'. So a multirun
# over batch_norm=on,off trains both jobs with batch norm, for a text that is not empty counts as true. `1e-3` is a number in
# both, though plain PyYAML reads it as text.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hydra-core==1.3.8 omegaconf==2.3.1
cat > "$folder/config.yaml" <<'YAML'
batch_norm: off
group: 010
limit: 12:30:00
lr: 1e-3
YAML
cat > "$folder/app.py" <<'PYTHON'
import hydra


@hydra.main(version_base=None, config_path=".", config_name="config")
def main(cfg):
    print([cfg.batch_norm, cfg.group, cfg.limit, cfg.lr], "trains with batch norm:", bool(cfg.batch_norm))


main()
PYTHON
cd "$folder"
file=$("$folder/venv/bin/python" app.py hydra.run.dir=.)
flag=$("$folder/venv/bin/python" app.py hydra.run.dir=. batch_norm=off group=010 limit=12:30:00 lr=1e-3)
echo "in the file:  $file"
echo "as overrides: $flag"
[ "$file" = "[False, 8, 45000, 0.001] trains with batch norm: False" ]
[ "$flag" = "['off', '010', '12:30:00', 0.001] trains with batch norm: True" ]
