#!/usr/bin/env bash
# safetensors 0.8.0: the same tensors with the same metadata are other bytes in every process.
#
# Expected by most: a file format made for sharing weights gives equal files for equal content, so that a checksum tells
# whether two checkpoints are the same. Seen: with one metadata key they are equal; with eight keys the order in which the
# header holds them changes from save to save, so that a checksum of the file says nothing. Compare tensors, or keep one key.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
cat > "$folder/save.py" <<'PYTHON'
import hashlib
import sys

import numpy
from safetensors.numpy import save

metadata = {f"key{place}": "value" for place in range(int(sys.argv[1]))}
print(hashlib.sha256(save({"weight": numpy.arange(4.0)}, metadata=metadata)).hexdigest()[:12])
PYTHON
digests() { for _ in 1 2 3 4 5 6; do "$folder/venv/bin/python" "$folder/save.py" "$1"; done | sort -u | wc -l; }
one=$(digests 1)
eight=$(digests 8)
echo "distinct files of six processes: $one with one key, $eight with eight"
[ "$one" -eq 1 ] && [ "$eight" -gt 1 ]
