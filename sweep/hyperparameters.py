"""The table of hyperparameters: name, type, default, bounds, help, when active, lane or program. Needs formulas and
networks.

Recipe keys, command-line flags, validation, help and search distributions all derive from `TABLE`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sweep.errors import UsageError
from sweep.formulas import FORMULAS, read_function, read_start
from sweep.networks import is_own

Value = float | int | bool | str
Setting = dict[str, Value]
"""A canonical setting: a value for every active hyperparameter, in the table's order."""


class OwnSetting(Setting):
    """A setting of hyperparameters that the recipe names itself, whatever the table says of such names: it has no
    defaults, and is stored as it is."""


Condition = Callable[[Value], bool]

SET = "set "
"""What the flag --set NAME=VALUES is called among flags, before its name."""


@dataclass(frozen=True)
class Hyperparameter:
    """One named knob.

    role: "lane" if trials that differ in it can train as lanes of one program, "program" if they need
    different programs (other shapes, another loss, another batch size).
    when: the hyperparameters it depends on, each with the values that make this one active.
    unless: the same for a hyperparameter of a row below, with the values that make this one inactive.
    words: text values that are allowed beside numbers, such as "full" for `batch_size`.
    read: of kind "text", gives the canonical form of what was written, or None for what cannot be; form: what it
    expects.
    late: whether ledgers are older than it. Its default then is not stored, so that what was trained before it was
    there still is the same setting.
    """

    name: str
    kind: Literal["float", "int", "bool", "choice", "text"]
    default: Value
    panel: str
    role: Literal["lane", "program"]
    help: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    when: Mapping[str, tuple[Value, ...] | Condition] = field(default_factory=dict)
    default_with: Mapping[tuple[str, Value], Value] = field(default_factory=dict)
    unless: Mapping[str, tuple[Value, ...] | Condition] = field(default_factory=dict)
    late: bool = False
    read: Callable[[object], str | None] | None = None
    form: str = ""

    @property
    def flag(self) -> str:
        """The command-line flag: `--batch-norm` for `batch_norm`."""
        return "--" + self.name.replace("_", "-")

    @property
    def expected(self) -> str:
        """What a value must be, in words for an error message or help text."""
        if self.kind == "choice":
            return "one of " + ", ".join([*self.choices, *filter(None, [self.form])])
        if self.kind == "text":
            return self.form
        if self.kind == "bool":
            return "on or off (true or false in a recipe)"
        noun = "a number" if self.kind == "float" else "a whole number"
        low = "" if self.low == -math.inf else f"{'>' if self.open_low else '>='} {self.low}"
        high = "" if self.high == math.inf else f"{'<' if self.open_high else '<='} {self.high}"
        bounds = " and ".join(part for part in (low, high) if part)
        return " or ".join([f"{noun} {bounds}".strip(), *(f'"{word}"' for word in self.words)])

    @property
    def condition(self) -> str:
        """When it is active, in words; empty if always."""
        parts = [f"{name} {_show_condition(values)}" for name, values in self.when.items()]
        for name, values in self.unless.items():
            parts.append(f"{name} 0" if callable(values) else f"{name} other than {_show_condition(values)}")
        return " and ".join(parts)

    def active(self, setting: Mapping[str, Value]) -> bool:
        """Whether it means anything beside the values of `setting` (canonical so far)."""
        for name, condition in self.when.items():  # plain loops: this is asked for every row of every setting
            if name not in setting or not _meets(setting[name], condition):
                return False
        for name, condition in self.unless.items():
            if name in setting and _meets(setting[name], condition):
                return False
        return True

    def allows(self, name: str, value: Value) -> bool:
        """Whether a value of another hyperparameter leaves this one active."""
        if name in self.when:
            return _meets(value, self.when[name])
        return not (name in self.unless and _meets(value, self.unless[name]))

    def default_for(self, setting: Mapping[str, Value]) -> Value:
        """The default beside the values of `setting`."""
        for (name, value), default in self.default_with.items():
            if setting.get(name) == value:
                return default
        return self.default

    def check(self, value: object) -> Value:
        """The canonical form of a value from a recipe. Raises UsageError: what was given, what was expected."""
        checked = self._convert(value)
        if checked is None:
            raise UsageError(f"{self.name} = {show_given(value)}: expected {self.expected}")
        return checked

    def parse(self, text: str) -> Value:
        """The canonical form of a value written on the command line."""
        text = text.strip()
        if self.kind == "bool":
            words = {
                "on": True,
                "true": True,
                "yes": True,
                "1": True,
                "off": False,
                "false": False,
                "no": False,
                "0": False,
            }
            return self.check(words.get(text.lower(), text))
        if self.kind in ("choice", "text") or text in self.words:
            return self.check(text)
        try:
            return self.check(int(text) if text.lstrip("+-").isdecimal() and len(text) < 300 else float(text))
        except ValueError:
            return self.check(text)

    def _convert(self, value: object) -> Value | None:
        if self.kind == "bool":
            return value if isinstance(value, bool) else None
        if self.kind == "choice":
            return value if isinstance(value, str) and value in self.choices else None
        if self.read is not None:
            return self.read(value)
        if isinstance(value, str):
            return value if value in self.words else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:  # NaN neither
            return None
        if value < self.low or value > self.high:
            return None
        if (self.open_low and value == self.low) or (self.open_high and value == self.high):
            return None
        if self.kind == "int":
            return int(value) if value == int(value) else None
        return float(value) + 0.0  # -0.0 and 0.0 are one value


def _meets(value: Value, condition: tuple[Value, ...] | Condition) -> bool:
    return condition(value) if callable(condition) else value in condition


def _show_condition(condition: tuple[Value, ...] | Condition) -> str:
    return "> 0" if callable(condition) else " or ".join(map(show_value, condition))


def show_value(value: object) -> str:
    """A value as a person writes it: on or off, 0.001, 1e-05, and – where it is inactive or missing."""
    if value is None or value != value:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def show_given(value: object) -> str:
    """A value as it was given, on one line and not too long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    except ValueError:  # a whole number of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:50]}…"


def _positive(value: Value) -> bool:
    return not isinstance(value, str) and value > 0


OPTIMIZER, NETWORK, TRAINING, DATA = "Optimizer", "Network", "Loss and training", "Data and seed"
FUNCTION = "Functions instead of networks"
SQUARED_ERROR = "squared_error"
"""The loss of a target that is a number: regression."""
_ADAMS = ("adam", "adamw")
_HAS_HIDDEN: Mapping[str, Condition] = {"depth": _positive}
_FUNCTION: Mapping[str, tuple[Value, ...]] = {"model": ("function",)}
"""Where a point goes down a function: there is no network, and there are no data."""


def _of_functions(parameter: str) -> Mapping[str, tuple[Value, ...]]:
    return {"function": tuple(name for name, formula in FORMULAS.items() if parameter in formula.parameters)}


# fmt: off
_ROWS = (
    Hyperparameter("optimizer", "choice", "adam", OPTIMIZER, "program",
                   "What turns gradients into steps; sgd with a full batch is plain gradient descent. newton (on "
                   "functions only) divides the gradient by the second derivative; its lr is 1, less damps it.",
                   choices=("adam", "adamw", "sgd", "rmsprop", "adagrad", "newton")),
    Hyperparameter("lr", "float", 0.001, OPTIMIZER, "lane",
                   "Learning rate α, the length of a step; try factors of ten: 0.1,0.01,0.001.", low=0, open_low=True,
                   default_with={("optimizer", "newton"): 1.0}),
    Hyperparameter("beta1", "float", 0.9, OPTIMIZER, "lane", "Adam's β₁: the share of the old average gradient that "
        "is kept at each step.",
                   low=0, high=1, open_high=True, when={"optimizer": _ADAMS}),
    Hyperparameter("beta2", "float", 0.999, OPTIMIZER, "lane",
                   "Adam's β₂: the same for the average squared gradient; close to 1. "
                   "RMSprop has it too, 0.99 by default; PyTorch calls it alpha there.",
                   low=0, high=1, open_high=True, when={"optimizer": (*_ADAMS, "rmsprop")},
                   default_with={("optimizer", "rmsprop"): 0.99}),
    Hyperparameter("eps", "float", 1e-8, OPTIMIZER, "lane",
                   "Adam's, RMSprop's and AdaGrad's ε: added to the denominator, so that nothing is divided by 0. "
                   "AdaGrad's is 1e-10 by default.",
                   low=0, open_low=True, when={"optimizer": (*_ADAMS, "rmsprop", "adagrad")},
                   default_with={("optimizer", "adagrad"): 1e-10}),
    Hyperparameter("weight_decay", "float", 0.0, OPTIMIZER, "lane",
                   "Regularization λ: pulls every parameter towards 0 (L2 penalty λ/2·‖w‖²; AdamW applies it apart "
                       "from the gradient).",
                   low=0),
    Hyperparameter("momentum", "float", 0.0, OPTIMIZER, "lane",
                   "Momentum of SGD and RMSprop: the share of the last step that is kept in the next.",
                   low=0, high=1, open_high=True, when={"optimizer": ("sgd", "rmsprop")}),
    Hyperparameter("nesterov", "bool", False, OPTIMIZER, "program",
                   "Nesterov's form of SGD's momentum: the gradient is taken as if one step ahead.",
                   when={"optimizer": ("sgd",), "momentum": _positive}),
    Hyperparameter("lr_schedule", "choice", "constant", OPTIMIZER, "lane",
                   "Learning rate over time: constant; cosine down to 0; step, a tenth at 50% "
                       "and again at 75% of the epochs.", choices=("constant", "cosine", "step")),
    Hyperparameter("warmup_epochs", "float", 0.0, OPTIMIZER, "lane",
                   "Epochs over which the learning rate grows from 0 to its value; 0 is no warm-up.", low=0,
                   unless=_FUNCTION),
    Hyperparameter("grad_clip", "float", 0.0, OPTIMIZER, "lane",
                   "Longest gradient: a longer one is shortened to this L2 norm; 0 is no limit.", low=0),
    Hyperparameter("model", "choice", "mlp", NETWORK, "program", "Kind of network: mlp (fully connected) or cnn "
        "(convolutions); `connection` makes "
        "either residual or dense. function: no network, but a point that goes down the `function`. FILE.py:NAME: "
        "your own torch.nn.Module; what its constructor takes is swept with --set (`sweep plan` lists it).",
                   choices=("mlp", "cnn", "function"), form="FILE.py:NAME"),
    Hyperparameter("hidden", "int", 64, NETWORK, "program", "Units of each hidden layer; for a cnn, channels of the "
        "first stage (doubling at each).",
                   low=1, high=65536, unless={"depth": (0,), **_FUNCTION}),
    Hyperparameter("depth", "int", 2, NETWORK, "program", "Hidden layers; for a cnn, stages of "
        "convolution and pooling. "
                   "An mlp of depth 0 is softmax regression (logistic, of two classes): the inputs go straight to "
                       "the classes.",
                   low=0, high=256, unless=_FUNCTION),
    Hyperparameter("activation", "choice", "relu", NETWORK, "program", "Activation function of the "
        "hidden layers.", choices=("relu", "tanh", "sigmoid", "gelu"), when=_HAS_HIDDEN),
    Hyperparameter("batch_norm", "bool", False, NETWORK, "program",
                   "Batch normalization in every hidden layer: each unit's values are centred "
                       "and scaled over the minibatch; "
                   "in validation by their moving averages.", when=_HAS_HIDDEN),
    Hyperparameter("bn_position", "choice", "before", NETWORK, "program",
                   "Batch norm before or after the "
                       "activation function.", choices=("before", "after"), when={"batch_norm": (True,)}),
    Hyperparameter("bn_eps", "float", 1e-5, NETWORK, "program",
                   "Batch norm's ε: added to the variance, so that "
                       "nothing is divided by 0.", low=0, open_low=True, when={"batch_norm": (True,)}),
    Hyperparameter("bn_momentum", "float", 0.1, NETWORK, "program",
                   "Weight of the newest minibatch in batch norm's moving averages, which validation uses.",
                   low=0, high=1, open_low=True, when={"batch_norm": (True,)}),
    Hyperparameter("bn_affine", "bool", True, NETWORK, "program",
                   "Batch norm's learned scale γ and shift β.", when={"batch_norm": (True,)}),
    Hyperparameter("dropout", "float", 0.0, NETWORK, "lane",
                   "Share of units that are set to 0 while training: after every hidden layer of an mlp, before "
                       "the last layer of a cnn.",
                   low=0, high=1, open_high=True, when=_HAS_HIDDEN),
    Hyperparameter("init", "choice", "kaiming", NETWORK, "lane", "Initial weights: kaiming (normal, fan in), "
        "xavier (uniform), normal, or "
        "torch (torch.nn's own: uniform, "
                   "1/√fan in at most, biases too); otherwise "
                       "biases start at 0.", choices=("kaiming", "xavier", "normal", "torch"), unless=_FUNCTION),
    Hyperparameter("init_std", "float", 0.01, NETWORK, "lane",
                   "Standard deviation of normal initial weights; 0.01 is too small "
                       "for deep networks without batch norm.",
                   low=0, open_low=True, when={"init": ("normal",)}),
    Hyperparameter("loss", "choice", "cross_entropy", TRAINING, "program",
                   "What training makes small: cross_entropy; mse, the squared error of the softmax's "
                       "probabilities; mse_logits, "
                   "that of the logits themselves, without a softmax (Hui & Belkin 2020). "
                       "Both squared errors are means over "
                   "the K classes (sums over them would be K times as large and want an lr K times smaller). "
                       "squared_error is for a target that is a number, and what such data have by default.",
                   choices=("cross_entropy", "mse", "mse_logits", SQUARED_ERROR), unless=_FUNCTION),
    Hyperparameter("label_smoothing", "float", 0.0, TRAINING, "lane",
                   "Share of each target that is spread over all classes, while training.",
                   low=0, high=1, open_high=True, when={"loss": ("cross_entropy",)}),
    Hyperparameter("batch_size", "int", 64, TRAINING, "program",
                   'Rows of a minibatch: 1 is stochastic, "full" plain gradient descent. Epochs, not steps, are '
                       'kept equal: '
                   'a larger minibatch makes fewer steps, unless `steps` says how many. '
                   'A last minibatch of one row is left out. '
                   'A function has no rows: there it divides the `noise`, and is 1 by default.',
                   low=1, words=("full",), default_with={("model", "function"): 1}, unless={"noise": (0.0,)}),
    Hyperparameter("epochs", "int", 10, TRAINING, "program", "Passes over the training part. Of several values, at a "
        "constant learning rate, the most are trained, and the others are read on the way.", low=1, high=1_000_000,
                   unless={"steps": _positive}),
    Hyperparameter("normalize", "choice", "zscore", DATA, "program",
                   "Inputs: zscore (mean 0, std 1), unit (0 to 1), both by the training part's statistics, one "
                       "pair per channel "
                   "of an image, per column of a table; none leaves them raw.", choices=("zscore", "unit", "none"),
                   unless=_FUNCTION),
    Hyperparameter("train_size", "int", "all", DATA, "program",
                   'How many rows of the training part to train on.', low=2, words=("all",), unless=_FUNCTION),
    Hyperparameter("seed", "int", 0, DATA, "lane",
                   "Seed of a trial: initial weights, order of the rows, "
                       "dropout; a function's start and noise; 7-9 is 7,8,9.", low=0, high=2**31 - 1),
    # What ledgers are older than comes last: so a setting that was stored without it is told in the same order.
    Hyperparameter("connection", "choice", "plain", NETWORK, "program",
                   "plain: a layer reads the one before it. residual (He et al. 2015): "
                       "blocks of two layers, whose input is "
                   "added to what they make of it, through a linear layer (a 1x1 convolution) where the sizes differ; "
                   "an mlp's depth, a cnn's convolutions then are even. "
                   "dense (Huang et al. 2017): a layer reads all before it, and adds "
                       "`growth` units or channels to them.",
                   choices=("plain", "residual", "dense"), when=_HAS_HIDDEN, late=True),
    Hyperparameter("convolutions", "int", 1, NETWORK, "program",
                   "Convolutions of each stage of a cnn, "
                       "before its pooling.", low=1, high=256, when={"model": ("cnn",)}, late=True),
    Hyperparameter("growth", "int", 16, NETWORK, "program",
                   "Units or channels that each further layer of a dense network adds; its first layer has `hidden`.",
                   low=1, high=65536, when={"connection": ("dense",)}, late=True),
    Hyperparameter("branch_start", "choice", "scaled", NETWORK, "lane",
                   "Where a residual block's branch starts, if no batch norm ends it: scaled (its last layer's "
                       "initial weights "
                   "times 1/√blocks), zero (the block then starts as the identity) or full (as drawn: under "
                       "kaiming each block "
                   "doubles the variance, so that deep networks explode).",
                   choices=("scaled", "zero", "full"), when={"connection": ("residual",)},
                   unless={"bn_position": ("before",)}, late=True),
    Hyperparameter("steps", "int", 0, TRAINING, "program",
                   "Training steps in all, instead of epochs, whatever the batch size; 0: epochs decide. "
                   "A function has no epochs: 100 by default.",
                   low=0, high=1_000_000_000, default_with={("model", "function"): 100}, late=True),
    Hyperparameter("label_noise", "float", 0.0, DATA, "lane",
                   "Share of the training rows whose label is replaced by one of all classes at random (the right one "
                       "among them), drawn by the seed; a larger share has the rows of a smaller one. Training metrics "
                       "are then of noisy labels; validation and test rows keep theirs.",
                   low=0, high=1, unless={"loss": (SQUARED_ERROR,), **_FUNCTION}, late=True),
    Hyperparameter("function", "text", "square", FUNCTION, "program",
                   "What the point goes down: "
                   + "; ".join(f"{name}: {formula.text}" for name, formula in FORMULAS.items())
                   + ". There p is the softmax of x1, x2 and −1000, t is 1, 0, 0. Or your own, FILE.py:NAME, of one "
                   "number for each parameter, with torch's functions. Alone, it makes the model a function.",
                   when=_FUNCTION, late=True, read=read_function,
                   form=f"one of {', '.join(FORMULAS)}, or FILE.py:NAME"),
    Hyperparameter("start", "text", "seed", FUNCTION, "lane",
                   "Where the point begins: its numbers with : between them, such as 10, or 1:-2 (several: "
                   "--start 1:-2,3:4); seed draws it from the function's box, the same for every setting.",
                   when=_FUNCTION, late=True, read=read_start,
                   form='a point, its numbers with : between them (10, or 1:-2), or "seed"'),
    Hyperparameter("c", "float", 1.0, FUNCTION, "lane", "The c of the function's formula.",
                   low=0, open_low=True, when=_of_functions("c"), late=True),
    Hyperparameter("q1", "float", 0.1, FUNCTION, "lane", "The quadratic's x1².", when=_of_functions("q1"), late=True),
    Hyperparameter("q2", "float", 2.0, FUNCTION, "lane", "The quadratic's x2².", when=_of_functions("q2"), late=True),
    Hyperparameter("q12", "float", 0.0, FUNCTION, "lane", "The quadratic's x1x2, which turns its valley.",
                   when=_of_functions("q12"), late=True),
    Hyperparameter("noise", "float", 0.0, FUNCTION, "lane",
                   "Standard deviation of the normal noise that each number of the gradient gets at batch size 1; it "
                   "falls as 1/√batch_size, as a minibatch's does. Drawn by the seed.",
                   low=0, when=_FUNCTION, late=True),
    Hyperparameter("constraint", "choice", "none", FUNCTION, "program",
                   "Where the point must be: sum, its numbers adding up to 1; ball, at most 1 from the origin.",
                   choices=("none", "sum", "ball"), when=_FUNCTION, late=True),
    Hyperparameter("penalty", "float", 0.0, FUNCTION, "lane",
                   "How the constraint is kept: 0 puts the point back to the nearest that is allowed after each step "
                   "(projection); more adds penalty · (how much is too much)² to the function, of the sum's or the "
                   "norm's.",
                   low=0, when={"constraint": ("sum", "ball")}, late=True),
)
# fmt: on

TABLE: dict[str, Hyperparameter] = {row.name: row for row in _ROWS}
"""Every hyperparameter by name. A row depends only on rows above it."""

IN_SETTING: tuple[Hyperparameter, ...] = tuple(row for row in _ROWS if row.name != "seed")
"""The hyperparameters that make up a setting: all but the seed, which stands beside it in a trial's identity."""

PROGRAM: frozenset[str] = frozenset(row.name for row in _ROWS if row.role == "program")

LATE: Mapping[str, Hyperparameter] = {row.name: row for row in IN_SETTING if row.late}
"""The hyperparameters that ledgers are older than: the table's last rows."""

_UNDONE = tuple(row for row in _ROWS if row.unless)


OF_BUILT_IN: frozenset[str] = frozenset(row.name for row in _ROWS if row.panel == NETWORK and row.name != "model")
"""The hyperparameters of sweep's own networks: a user's has them only where its constructor does, and they are its."""

OF_TRAINING = tuple(row for row in IN_SETTING if row.name not in OF_BUILT_IN and row.panel != FUNCTION)
"""Those of a training, whatever network it trains."""

_TRAINING_NAMES = frozenset(("seed", *(row.name for row in OF_TRAINING)))


def is_of_network(name: str, setting: Mapping[str, Value]) -> bool:
    """Whether a hyperparameter of a setting is one of a user's own network, by its constructor."""
    return name not in _TRAINING_NAMES and is_own(setting.get("model"))


def decides_program(name: str, setting: Mapping[str, Value]) -> bool:
    """Whether trials that differ in it need different programs. Any of a user's network may change its shape."""
    return is_of_network(name, setting) or name in PROGRAM


def program_of(setting: Setting) -> Setting:
    """The part of a setting that decides its program."""
    if not is_own(setting.get("model")):
        return {name: value for name, value in setting.items() if name in PROGRAM}
    return {name: value for name, value in setting.items() if decides_program(name, setting)}


def in_order(values: Mapping[str, Value]) -> Setting:
    """Values in the order of a setting: the table's, then those of a user's own network by name."""
    rows = OF_TRAINING if is_own(values.get("model")) else IN_SETTING
    listed = {row.name: values[row.name] for row in rows if row.name in values}
    return listed | {name: values[name] for name in sorted(values) if is_of_network(name, values)}


def canonical(values: Mapping[str, Value]) -> Setting:
    """The setting that `values` mean: defaults filled in, inactive hyperparameters left out, the table's order.
    Those of a user's own network come last, by name, as they are given: a recipe gives all of them."""
    own = is_own(values.get("model"))
    setting: Setting = {}
    for row in OF_TRAINING if own else IN_SETTING:
        if not (row.when or row.unless) or row.active(setting):
            setting[row.name] = values[row.name] if row.name in values else row.default_for(setting)
    for row in _UNDONE:  # what a row further down made inactive
        if row.name in setting and not row.active(setting):
            del setting[row.name]
    return setting | {name: values[name] for name in sorted(values) if is_of_network(name, values)} if own else setting


def stored(setting: Mapping[str, Value]) -> Setting:
    """A setting as ledgers and recipes keep it: without late hyperparameters at their default."""
    kept = dict(setting)
    if isinstance(setting, OwnSetting):
        return kept
    for name, row in LATE.items():
        if name in kept and kept[name] == row.default and not is_of_network(name, setting):
            del kept[name]
    return kept


def restored(kept: Mapping[str, Value]) -> Setting:
    """The setting of what was `stored`."""
    if is_own(kept.get("model")):
        return canonical(kept)
    setting = dict(kept)
    for name, row in LATE.items():
        if name in kept:
            setting[name] = setting.pop(name)  # to the end: the table's order
        elif row.active(setting):
            setting[name] = row.default
    return setting
