"""The command line: parse, call, print, exit code. No logic. Needs typer; everything else is imported when it is used.

base       the application, and what its commands share
train      grid, search, plan, resume
race       race
read       ls, show, trial
exporting  export
answers    effect, importance, check
verdict    verdict, notes
confirm    confirm, compare
importing  import
recipes    recipe
merging    merge
pictures   plot, report
model      model, predict, ensemble
layer      one layer, loss or z-score on given numbers
function   one function at given points
dashboard  a study in the browser
upkeep     reproduce, doctor, rm
"""

from __future__ import annotations

import errno
import gc
import os
import re
import signal
import sys
from importlib import import_module
from typing import Any

from sweep.errors import Interrupted, SweepError, UsageError, unknown
from sweep.streams import explain_dropped, heed, outlast, quiet
from sweep.synonyms import meant

COMMANDS = {
    "train": ("grid", "search", "plan", "resume"),
    "race": ("race",),
    "read": ("ls", "show", "trial"),
    "exporting": ("export",),
    "answers": ("effect", "importance", "steps", "check", "look"),
    "verdict": ("verdict", "notes"),
    "confirm": ("confirm", "compare"),
    "pictures": ("plot", "report"),
    "model": ("model", "predict", "ensemble"),
    "layer": ("layer",),
    "function": ("function",),
    "importing": ("import",),
    "recipes": ("recipe",),
    "dashboard": ("dashboard",),
    "merging": ("merge",),
    "upkeep": ("reproduce", "doctor", "rm"),
}
"""The commands of each module, in the order in which help lists them."""

_TRAINING = ("grid", "search", "race", "resume")
"""The commands that train, here but for these flags."""
_ELSEWHERE = re.compile(r"--help$|--on(=|$)")


def __getattr__(name: str) -> Any:
    """`app`, the application with all its commands, imported when it is used: an interrupt may come during that."""
    if name != "app":
        raise AttributeError(f"module 'sweep.cli' has no attribute {name!r}")
    return _application("")


def _application(command: str) -> Any:
    """The application with the command that was given, or with all where it has none of that name: what describes a
    command's flags takes time."""
    modules = [module for module, commands in COMMANDS.items() if command in commands]
    for module in modules or COMMANDS:
        import_module(f"sweep.cli.{module}")  # gives the application its commands
    return import_module("sweep.cli.base").app


def main() -> None:
    """Runs the command line: errors become one line and an exit code here, and nowhere else."""
    sys.unraisablehook = _raise_again
    gc.set_threshold(100_000, 20, 20)  # trials are no garbage: looking through thousands took a tenth of a run
    heed(signal.default_int_handler)
    outlast()
    if os.path.expanduser("~") == "~":  # a bare number as user: no HOME, no entry in passwd; even imports fail then
        os.environ["HOME"] = os.sep  # as containers set it
    try:
        code = _run()
        if reason := explain_dropped():
            _fail(f"standard output cannot be written: {reason}", 1)
            code = 1 if code is None else code  # a training has its own code: what it does is in the ledger
    except (KeyboardInterrupt, Interrupted):
        heed(signal.SIG_IGN)
        _fail("interrupted", Interrupted.exit_code)
        sys.stdout.flush()
        # Python would end by the signal if it came within an exec, as imports have them
        os._exit(Interrupted.exit_code)
    heed(signal.SIG_IGN)  # all is done: nothing is left to interrupt but Python's own end
    gc.freeze()  # which then need not look for garbage in all that was imported: a sixth of a second
    sys.exit(code)


def _raise_again(lost: Any) -> None:
    """Ctrl-C that comes within a callback, as imports have them,
    ends nothing: Python only remarks on it. So it comes again."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(lost)


def _run() -> Any:
    """The exit code of the command that was given."""
    if sys.argv[1:2] and sys.argv[1] in _TRAINING and not any(map(_ELSEWHERE.match, sys.argv)):
        from sweep.host import ahead

        ahead()  # before typer is imported, which takes a tenth of a second
    import typer

    quiet()
    try:
        return _application("".join(sys.argv[1:2]))(prog_name="sweep", standalone_mode=False)
    except typer.Abort:
        raise Interrupted from None
    except Interrupted:
        raise
    except SweepError as error:
        return _fail(str(error), error.exit_code)
    except MemoryError:
        return _fail("not enough memory", SweepError.exit_code)
    except OSError as error:
        return _fail(*_trouble(error))
    except Exception as error:
        # Typer's own usage errors: an unknown flag, a missing argument. Their class has moved between its releases.
        if not hasattr(error, "format_message"):
            if line := _damage():
                return _fail(line, SweepError.exit_code)
            raise
        return _fail(_usage(error), 2)


def _damage() -> str:
    """A line about the ledger that was open, if it has rows
    that cannot be read; else what happened is our own fault."""
    ledger = sys.modules.get("sweep.ledger")
    return ledger.damage_line() if ledger else ""


def _trouble(error: OSError) -> tuple[str, int]:
    """What the system refused, in a line, and the exit code: a name that no file can have is the user's."""
    try:
        os.getcwd()
    except OSError:
        return "the current folder is gone (deleted or moved); change to one that exists", SweepError.exit_code
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    code = UsageError.exit_code if error.errno == errno.ENAMETOOLONG else SweepError.exit_code
    return f"{where}{error.strerror or error}", code


def _usage(error: Any) -> str:
    """A line about flags and arguments that typer refused; of a name that does not exist, which was meant."""
    context = error.ctx
    option = getattr(error, "option_name", None)
    if option and hasattr(error, "possibilities"):
        if not option.startswith("--"):  # of -lr it has but the first letter
            option = next((word.partition("=")[0] for word in sys.argv[1:] if word.startswith(option)), option)
        known = [name for parameter in context.command.params for name in parameter.opts] if context else []
        likely = meant(option, [name for name in known if name.startswith("--")])
        if "--set" in known and any(".py:" in word or word.startswith("--command") for word in sys.argv):
            likely = [*likely, f"--set {option.lstrip('-').replace('-', '_')}=… for a hyperparameter of your own"]
        near = " or ".join(likely)
        lists = f"`{context.command_path} --help` lists them" if context else ""
        return f"unknown flag {option}: {f'did you mean {near}?' if near else lists}"
    given = _COMMAND.match(error.format_message())
    if given and context:
        return str(unknown("command", given[1], context.command.list_commands(context)))
    return " ".join(str(error.format_message()).split())


_COMMAND = re.compile(r"No such command ['\"](.*?)['\"]")


def _fail(text: str, code: int) -> int:
    from rich.console import Console
    from rich.text import Text

    text = _short(" ".join(text.split()))
    if not text:  # `sweep` alone has printed its help
        return 0
    Console(stderr=True, soft_wrap=True).print(Text.assemble(("sweep: ", "bold red"), text), highlight=False)
    return code


def _short(text: str, most: int = 2000, word: int = 400) -> str:
    """A line that can be read: of very long words, and of a very long text, the beginning and the end."""
    text = re.sub(rf"\S{{{word},}}", lambda match: f"{match[0][:100]}…{match[0][-50:]}", text)
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 4 :]}"
