"""The house of CONTRIBUTING.md: imports go from a later step to an earlier one, heavy libraries stay in their rooms."""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "sweep"

ORDER = [
    {"sweep.wording"},
    {"sweep", "sweep.synonyms", "sweep.host", "sweep.streams", "sweep.cores"},
    {"sweep.errors"},
    {"sweep.formulas", "sweep.dataname", "sweep.networks"},
    {"sweep.hyperparameters", "sweep.machine"},
    {"sweep.space"},
    {"sweep.recipe", "sweep.courses"},
    {"sweep.checkpoint", "sweep.racing"},
    {"sweep.data"},
    {"sweep.nets", "sweep.speed"},
    {"sweep.plan", "sweep.messages"},
    {"sweep.engine"},
    {"sweep.functions", "sweep.trainers"},
    {"sweep.models"},
    {"sweep.workers"},
    {"sweep.cluster"},
    {"sweep.ledger"},
    {"sweep.search"},
    {"sweep.study"},
    {"sweep.foreign"},
    {"sweep.analysis"},
    {"sweep.report"},
    {"sweep.api"},
    {"sweep.progress"},
    {"sweep.flags"},
    {"sweep.cli"},
    {"sweep.__main__"},
]
ROOMS = {
    # models: a network that was trained, as a file; only `sweep model`, `predict` and `ensemble` load it
    "torch": {"sweep.data", "sweep.nets", "sweep.engine", "sweep.functions", "sweep.workers", "sweep.models"},
    "ray": {"sweep.cluster"},  # in processes of its own
    "onnx": {"sweep.models"},
    "onnxscript": {"sweep.models"},
    "onnxruntime": {"sweep.models"},
    "torchvision": {"sweep.data"},
    "optuna": {"sweep.search"},
    "sqlite3": {"sweep.ledger", "sweep.foreign"},
    "typer": {"sweep.cli", "sweep.flags"},
    "scipy": {"sweep.analysis", "sweep.racing"},
    "altair": {"sweep.report"},
    "vl_convert": {"sweep.report"},
    "jinja2": {"sweep.report"},
    "tensorboard": {"sweep.report", "sweep.foreign"},
    "mlflow": {"sweep.report"},
    "wandb": {"sweep.report"},
    "trackio": {"sweep.report"},
}


def room(module: str) -> str:
    """The step of the house a module belongs to: a package is one step."""
    return ".".join(module.split(".")[:2])


def modules() -> dict[str, ast.Module]:
    out = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        out[name] = ast.parse(path.read_text(encoding="utf-8"))
    return out


def imports(tree: ast.Module) -> set[str]:
    """Every module imported anywhere in a file, in functions too, but for those needed by the type checker alone."""
    checked = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in checked:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {name for name in submodules if name in modules_by_name}
            found |= known or {node.module}
    return found


modules_by_name = modules()


@pytest.mark.parametrize("name", sorted(modules_by_name))
def test_imports_go_back_along_the_house(name):
    places = {module: place for place, step in enumerate(ORDER) for module in step}
    assert room(name) in places, f"{name} has no place in the house"
    for imported in imports(modules_by_name[name]):
        if imported.split(".")[0] == "sweep" and room(imported) != room(name):
            assert places[room(imported)] < places[room(name)], f"{name} imports {imported}, a later step"


def test_imports_make_no_circles():
    """Within a step too, and those inside functions."""
    graph = {name: imports(tree) & modules_by_name.keys() for name, tree in modules_by_name.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names a circle


@pytest.mark.parametrize("name", sorted(modules_by_name))
def test_heavy_libraries_stay_in_their_rooms(name):
    for imported in imports(modules_by_name[name]):
        library = imported.split(".")[0]
        assert room(name) in ROOMS.get(library, {room(name)}), f"{name} imports {library}"


@pytest.mark.parametrize("name", sorted(modules_by_name))
def test_every_module_opens_with_what_it_owns(name):
    assert ast.get_docstring(modules_by_name[name]), f"{name} has no docstring"


def loaded_by(*args: str, cwd: Path) -> set[str]:
    """The top-level modules that a command has loaded when it ends."""
    script = (
        "import sys, json, atexit\n"
        f"sys.argv = ['sweep', *{list(args)!r}]\n"
        "atexit.register(lambda: print('\\n' + json.dumps(sorted({m.split('.')[0] for m in sys.modules})), "
        "file=sys.stderr))\n"
        "from sweep.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=cwd, timeout=60)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stderr.strip().splitlines()[-1]))


@pytest.mark.long
def test_reading_commands_load_neither_torch_nor_optuna(sweep, tmp_path):
    sweep("grid", "--epochs", 1, "--lr", "0.1,0.01", "--study", "small")
    commands = [
        ("--help",),
        ("grid", "--help"),
        ("ls",),
        ("show", "small"),
        ("trial", "small", "0"),
        ("show", "small", "--trials"),
        ("export", "small", "-o", "x.csv"),
        ("export", "small", "--settings", "-o", "y.csv"),
        ("import", "x.csv", "--metric", "val_loss", "--minimize", "--columns", "lr"),
        ("plot", "small", "isolation"),
        ("plot", "small", "isolation", "-o", "x.svg"),
        ("report", "small"),
        ("plan", "--lr", "0.1"),
    ]
    for command in commands:
        assert not {"torch", "optuna"} & loaded_by(*command, cwd=tmp_path), command


def test_help_loads_neither_pandas_nor_numpy(tmp_path):
    assert not {"pandas", "numpy", "sqlite3", "torch", "optuna"} & loaded_by("--help", cwd=tmp_path)


def test_a_command_imports_its_own_flags_alone():
    """Each command is where the table has it; who gives one loads its module and no other."""
    script = (
        "import sys, json, importlib\n"
        "import sweep.cli as cli\n"
        "def names():\n"
        "    return [each.name or each.callback.__name__ for each in cli.base.app.registered_commands]\n"
        "cli._application('show')\n"
        "alone = [name for name in cli.COMMANDS if f'sweep.cli.{name}' in sys.modules]\n"
        "found = {'read': names()}\n"
        "for module in cli.COMMANDS:\n"
        "    before = len(names())\n"
        "    importlib.import_module(f'sweep.cli.{module}')\n"
        "    found.setdefault(module, names()[before:])\n"
        "print(json.dumps([alone, found, cli.COMMANDS]))"
    )
    alone, found, table = json.loads(subprocess.check_output([sys.executable, "-c", script], timeout=60))
    assert alone == ["read"]
    assert found == table
