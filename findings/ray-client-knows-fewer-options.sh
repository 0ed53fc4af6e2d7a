#!/usr/bin/env bash
# Ray 2.60.0: a program that runs on a node of a cluster fails through ray://, with an error that blames the option.
#
# Expected by most: Ray Client runs the same program from outside the cluster. Seen: a call's concurrency group, given by
# actor.method.options(concurrency_group="..."), works on a node; through ray:// the same line raises "ValueError: Invalid
# option keyword: 'concurrency_group'". The group that the decorator ray.method(concurrency_group="...") gives holds in both.
set -euo pipefail
folder=$(mktemp -d)
python3 -m venv "$folder/venv"
export HOME=$folder RAY_TMPDIR=/tmp/ray-finding-$$
trap '[ -z "${head:-}" ] || { kill "$head" && wait "$head" || true; } 2> /dev/null; rm -rf "$folder" "$RAY_TMPDIR"' EXIT
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ray[client]==2.60.0"
mkdir -p "$RAY_TMPDIR"
"$folder/venv/bin/ray" start --head --block --num-cpus=1 --port=25916 --ray-client-server-port=25917 \
    --include-dashboard=false --object-store-memory=100000000 --disable-usage-stats > "$folder/log" 2>&1 &
head=$!
timeout 120 bash -c "until grep -q 'Ray runtime started' $folder/log; do sleep 0.2; done"
timeout 120 bash -c "until (: < /dev/tcp/127.0.0.1/25917) 2> /dev/null; do sleep 0.2; done"
cat > "$folder/program.py" <<'PYTHON'
import sys

import ray

ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")


@ray.remote(concurrency_groups={"listen": 1}, num_cpus=0)
class Actor:
    @ray.method(concurrency_group="listen")
    def decorated(self):
        return "answers"

    def plain(self):
        return "answers"


actor = Actor.remote()
print("by the decorator:", ray.get(actor.decorated.remote()))
try:
    print("by options:", ray.get(actor.plain.options(concurrency_group="listen").remote()))
except ValueError as error:
    print("by options:", str(error).split(". ")[0])
PYTHON
on_node=$("$folder/venv/bin/python" "$folder/program.py" 127.0.0.1:25916 2>> "$folder/log")
outside=$("$folder/venv/bin/python" "$folder/program.py" ray://127.0.0.1:25917 2>> "$folder/log")
printf 'ray 2.60.0, on a node:\n%s\nray 2.60.0, through ray://:\n%s\n' "$on_node" "$outside"
[ "$on_node" = $'by the decorator: answers\nby options: answers' ]
[ "$outside" = $'by the decorator: answers\nby options: Invalid option keyword: \'concurrency_group\'' ]
