"""What the tests of a user's own training share: a function's file, a script, who of a study is still there."""

from __future__ import annotations

from pathlib import Path

FUNCTION = """
import os, random, signal, subprocess, sys, time


def train(setting, seed, report):
    x = setting["x"]
    print("seed", seed)
    for epoch in range(1, 5):
        report(epoch, val_loss=(x - 0.3) ** 2 + random.random() / 10 + 1 / epoch, val_accuracy=1 - x / epoch)


def trivial(setting, seed, report):
    report(1, val_loss=setting["x"] + seed)


def moody(setting, seed, report):
    report(1, val_loss=1.0)
    match setting["mood"]:
        case "nan":
            report(2, val_loss=float("nan"))
        case "inf":
            report(2, val_loss=0.5, train_loss=float("inf"))
        case "raise":
            raise ArithmeticError("too moody")
        case "exit":
            sys.exit(3)
        case "gone":
            os._exit(4)
        case "silent":
            pass
        case "far":
            report(10**30, val_loss=0.1)
        case "back":
            report(0, val_loss=0.1)
        case "stuck":
            try:
                report(2, val_loss=float("nan"))
                report(3, val_loss=1.0)
            finally:
                time.sleep(1000)
        case "hang":
            subprocess.Popen(["sleep", "1000"])
            while True:
                time.sleep(1)
    report(3, val_loss=0.2)


def mute(setting, seed, report):
    if setting["x"] > 1:
        report(1, accuracy=0.5)


def waiting(setting, seed, report):
    "Says where it is, and goes on when a file is there."
    report(1, val_loss=1.0)
    open(f"begun-{setting['x']}-{seed}", "w").write(str(os.getpid()))
    child = subprocess.Popen(["sleep", "1000"])
    while not os.path.exists("go"):
        time.sleep(0.01)
    child.kill()
    report(2, val_loss=setting["x"] + seed)


def long(setting, seed, report):
    for epoch in range(1, 100_000):
        report(epoch, val_loss=setting["x"] + 1 / epoch)
        open(f"at-{setting['x']}", "w").write(str(epoch))
        time.sleep(0.01)
"""

SCRIPT = """
import json, os, signal, subprocess, sys, time
x, seed, how = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
print("begins with", x, flush=True)
if how == "fail":
    print("it cannot work", file=sys.stderr)
    sys.exit(7)
if how == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if how == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if how in ("hang", "wait", "term", "stubborn"):
    if how == "term":
        def heard(*_):
            open(f"heard-{x}", "w").write("SIGTERM")
            sys.exit(0)
        signal.signal(signal.SIGTERM, heard)
    child = subprocess.Popen(["sleep", "1000"])
    open(f"begun-{x}-{seed}", "w").write(f"{os.getpid()} {child.pid}")
    while not os.path.exists("go"):
        time.sleep(0.01)
if how == "flood":
    while True:
        print("y" * 1000)
if how == "left":
    child = subprocess.Popen(["sleep", "1000"])
    open(f"left-{x}", "w").write(str(child.pid))
for epoch in range(3):
    if how == "pairs":
        print(f"epoch={epoch} val_loss={x + seed + 1 / (epoch + 1)}, note=1")
    elif how == "nan" and epoch == 1:
        print(json.dumps({"epoch": epoch, "val_loss": float("nan")}))
    elif how != "silent":
        print(json.dumps({"epoch": epoch, "val_loss": x + seed + 1 / (epoch + 1), "val_accuracy": 0.5}))
print("test_accuracy=0.25")
"""


def write(folder: Path) -> None:
    """Puts the function's file and the script into a folder."""
    (folder / "mine.py").write_text(FUNCTION)
    (folder / "script.py").write_text(SCRIPT)


def processes_in(folder: Path) -> list[int]:
    """Every process whose current folder is this one, zombies aside: a study's, and all that it started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            inside = (place / "cwd").resolve() == folder.resolve()
            state = (place / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if inside and state != "Z":
            found.append(int(place.name))
    return found
