"""The engine against plain torch, and against itself alone: issue lines (a) to (d)."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from sweep import nets
from sweep.data import Part, Split
from sweep.engine import Program, Training
from sweep.engine.images import Form
from sweep.engine.noise import Noise
from sweep.engine.optimizers import learning_rates
from sweep.engine.streams import stream
from sweep.hyperparameters import canonical
from sweep.space import Trial
from tests.thin import thin

BATCH_NORM = {"off": {}, "before": {"batch_norm": True}, "after": {"batch_norm": True, "bn_position": "after"}}


def settings_for(**common) -> list[dict]:
    """Three settings of one cohort that differ in every hyperparameter that lanes may differ in."""
    varied = [
        {"lr": 0.003, "beta1": 0.9, "beta2": 0.999, "momentum": 0.9, "eps": 1e-6},
        {
            "lr": 0.01,
            "beta1": 0.8,
            "beta2": 0.99,
            "momentum": 0.5,
            "weight_decay": 0.01,
            "eps": 1e-5,
            "lr_schedule": "cosine",
            "warmup_epochs": 1.5,
            "label_smoothing": 0.1,
        },
        {
            "lr": 0.001,
            "beta1": 0.0,
            "beta2": 0.9,
            "momentum": 0.7,
            "weight_decay": 0.1,
            "lr_schedule": "step",
            "grad_clip": 0.3,
            "eps": 1e-4,
            "init": "xavier",
        },
    ]
    if common.get("optimizer") == "rmsprop":  # without bias correction its first steps are large enough to be chaotic
        varied = [one | {"lr": one["lr"] / 10} for one in varied]
    return [canonical(one | common) for one in varied]


def small(split: Split, rows: int, dtype: torch.dtype) -> Split:
    cut = [Part(part.x[:rows].to(dtype), part.y[:rows]) for part in (split.train, split.val, split.test)]
    return Split(*cut, classes=split.classes)


def jittered(split: Split) -> Split:
    """With noise on the training rows. The gradient of a constant pixel under batch norm is 0 but for rounding, and
    Adam would blow the rounding up: no two programs, torch's own included, could agree there."""
    noise = torch.randn(split.train.x.shape, dtype=split.train.x.dtype, generator=torch.Generator().manual_seed(0))
    return Split(Part(split.train.x + 0.3 * noise, split.train.y), split.val, split.test, split.classes)


def plain_optimizer(setting: dict, net: nn.Module) -> torch.optim.Optimizer:
    lr, decay, parameters = setting["lr"], setting["weight_decay"], net.parameters()
    match setting["optimizer"]:
        case "adam" | "adamw":
            kind = torch.optim.Adam if setting["optimizer"] == "adam" else torch.optim.AdamW
            return kind(
                parameters, lr=lr, betas=(setting["beta1"], setting["beta2"]), eps=setting["eps"], weight_decay=decay
            )
        case "sgd":
            return torch.optim.SGD(
                parameters, lr=lr, momentum=setting["momentum"], nesterov=setting["nesterov"], weight_decay=decay
            )
        case "adagrad":
            return torch.optim.Adagrad(parameters, lr=lr, eps=setting["eps"], weight_decay=decay)
        case _:
            return torch.optim.RMSprop(
                parameters,
                lr=lr,
                alpha=setting["beta2"],
                eps=setting["eps"],
                momentum=setting["momentum"],
                weight_decay=decay,
            )


def plain_schedule(
    setting: dict, optimizer: torch.optim.Optimizer, epoch_steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The same schedules from torch's own pieces."""
    from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, MultiStepLR, SequentialLR

    total, warmup = setting["epochs"] * epoch_steps, int(setting["warmup_epochs"] * epoch_steps)
    if setting["lr_schedule"] == "step":
        return MultiStepLR(optimizer, [-(-total // 2), -(-3 * total // 4)], gamma=0.1)
    main = (
        CosineAnnealingLR(optimizer, total - warmup)
        if setting["lr_schedule"] == "cosine"
        else ConstantLR(optimizer, 1.0)
    )
    if not warmup:
        return main
    first = LinearLR(optimizer, start_factor=1 / warmup, end_factor=1.0, total_iters=warmup - 1)
    return SequentialLR(optimizer, [first, main], milestones=[warmup])


def plain_training(setting: dict, seed: int, start: dict, split: Split) -> nn.Module:
    """What a person would write: torch.nn, torch.optim, autograd, one trial."""
    net = nets.build(setting, tuple(split.train.x.shape[1:]), split.classes).double()
    net.load_state_dict(start, strict=False)
    net.train()
    rows, batch = len(split.train.y), setting["batch_size"]
    optimizer = plain_optimizer(setting, net)
    schedule = plain_schedule(setting, optimizer, -(-rows // batch))
    for epoch in range(1, setting["epochs"] + 1):
        order = torch.randperm(rows, generator=stream(seed, "order", epoch))
        for pick in order.split(batch):
            logits, labels = net(split.train.x[pick]), split.train.y[pick]
            if setting["loss"] == "cross_entropy":
                loss = nn.functional.cross_entropy(logits, labels, label_smoothing=setting["label_smoothing"])
            else:
                given = logits.softmax(1) if setting["loss"] == "mse" else logits
                loss = nn.functional.mse_loss(given, nn.functional.one_hot(labels, split.classes).double())
            optimizer.zero_grad()
            loss.backward()
            if setting["grad_clip"]:
                nn.utils.clip_grad_norm_(net.parameters(), setting["grad_clip"])
            optimizer.step()
            schedule.step()
    return net


CASES = [
    *itertools.product(
        ("adam", "adamw", "sgd", "nesterov", "rmsprop"), ("cross_entropy", "mse"), ("mlp", "cnn"), BATCH_NORM, ("relu",)
    ),
    *itertools.product(("adagrad",), ("cross_entropy",), ("mlp",), BATCH_NORM, ("tanh",)),
    *itertools.product(("adam",), ("cross_entropy",), ("mlp", "cnn"), BATCH_NORM, ("tanh", "sigmoid", "gelu")),
    ("sgd", "cross_entropy", "mlp", "no affine", "sigmoid"),
    *itertools.product(("adam", "sgd"), ("mse_logits",), ("mlp", "cnn"), ("off",), ("relu",)),
    *itertools.product(("adam", "sgd"), ("cross_entropy",), ("residual mlp", "dense mlp"), BATCH_NORM, ("relu",)),
    *itertools.product(("sgd",), ("cross_entropy",), ("residual cnn", "dense cnn"), BATCH_NORM, ("relu", "tanh")),
    ("adam", "cross_entropy", "identity mlp", "before", "gelu"),
    ("sgd", "cross_entropy", "residual cnn", "no affine", "relu"),
    ("adam", "cross_entropy", "residual cnn", "off", "relu"),
    ("adam", "cross_entropy", "dense cnn", "before", "relu"),
    ("adam", "cross_entropy", "deep cnn", "before", "relu"),
    ("adam", "cross_entropy", "linear mlp", "off", "relu"),
]

SHAPES = {
    "mlp": {"hidden": 6},
    "cnn": {"hidden": 3},
    "linear mlp": {"depth": 0},
    "deep cnn": {"hidden": 3, "convolutions": 3, "depth": 1},
    "residual mlp": {"hidden": 6, "connection": "residual", "depth": 4},
    "identity mlp": {"hidden": 64, "connection": "residual"},
    "residual cnn": {"hidden": 3, "connection": "residual", "convolutions": 4},
    "dense mlp": {"hidden": 6, "connection": "dense", "growth": 3, "depth": 4},
    "dense cnn": {"hidden": 3, "connection": "dense", "growth": 2, "convolutions": 2},
}


@pytest.mark.parametrize(("optimizer", "loss", "model", "norm", "activation"), thin(CASES, 3))
def test_lanes_equal_plain_torch(digits, optimizer, loss, model, norm, activation):
    split = jittered(small(digits, 310, torch.float64))  # 5 epochs of 10 steps, the last of each on 22 rows: 50 steps
    extra = {"optimizer": "sgd", "nesterov": True} if optimizer == "nesterov" else {"optimizer": optimizer}
    batch_norm = {"batch_norm": True, "bn_affine": False} if norm == "no affine" else BATCH_NORM[norm]
    shape = {"depth": 2, "activation": activation} | SHAPES[model] | {"model": model.split()[-1]}
    settings = settings_for(loss=loss, batch_size=32, epochs=5, **extra, **batch_norm, **shape)
    seeds = [0, 0, 1]
    with torch.no_grad():
        program = Program(settings, seeds, split, dtype=torch.float64)
        starts = [{name: value.clone() for name, value in program.lane(lane).items()} for lane in range(3)]
        assert program.epoch_steps == 10
        for epoch in range(1, 6):
            metrics = program.train_epoch(epoch)
    for lane, setting in enumerate(settings):
        net = plain_training(setting, seeds[lane], starts[lane], split)
        for name, value in program.lane(lane).items():
            torch.testing.assert_close(value, net.state_dict()[name], rtol=1e-10, atol=1e-10)
        net.eval()
        with torch.no_grad():
            logits = net(split.val.x)
        assert metrics.val_accuracy[lane] == (logits.argmax(1) == split.val.y).double().mean().item()
        if loss == "cross_entropy":
            assert metrics.val_loss[lane] == pytest.approx(
                nn.functional.cross_entropy(logits, split.val.y).item(), abs=1e-9
            )


def records(settings: list[dict], seeds: list[int], split: Split) -> dict[int, list[dict]]:
    """Every trial's per-epoch records, trained together; wall-clock aside."""
    trials = [Trial(number, setting, seed) for number, (setting, seed) in enumerate(zip(settings, seeds, strict=True))]
    out: dict[int, list[dict]] = {trial.number: [] for trial in trials}
    for outcomes in Training(trials, split):
        for outcome in outcomes:
            row = outcome._asdict()
            del row["seconds"], row["number"]
            out[outcome.number].append({key: repr(value) for key, value in row.items()})  # repr: NaN equals NaN
    return out


BITS = [
    {"hidden": 32, "batch_size": 32},
    {"hidden": 5, "depth": 3, "batch_size": 30, "batch_norm": True, "activation": "sigmoid"},
    {"hidden": 17, "depth": 1, "batch_size": 33, "activation": "gelu", "optimizer": "rmsprop"},
    {"hidden": 1, "depth": 2, "batch_size": 7, "activation": "tanh", "optimizer": "sgd"},
    {
        "hidden": 64,
        "batch_size": "full",
        "batch_norm": True,
        "bn_position": "after",
        "loss": "mse",
        "optimizer": "adamw",
    },
    {"hidden": 256, "depth": 2, "batch_size": 128, "batch_norm": True},  # products large enough for oneDNN's kernel
    {"model": "cnn", "hidden": 4, "depth": 2, "batch_size": 32, "batch_norm": True},
    {
        "model": "cnn",
        "hidden": 3,
        "depth": 3,
        "batch_size": 19,
        "activation": "sigmoid",
        "optimizer": "sgd",
        "nesterov": True,
    },
    {"depth": 0, "batch_size": 32},
    {"hidden": 17, "depth": 4, "batch_size": 30, "connection": "residual"},
    {"hidden": 64, "depth": 2, "batch_size": 32, "connection": "residual", "batch_norm": True, "optimizer": "sgd"},
    {"hidden": 9, "depth": 4, "batch_size": 19, "connection": "dense", "growth": 5, "activation": "sigmoid"},
    {"hidden": 16, "depth": 3, "batch_size": 32, "connection": "dense", "batch_norm": True, "optimizer": "sgd"},
    {"model": "cnn", "hidden": 4, "batch_size": 32, "convolutions": 2, "connection": "residual", "batch_norm": True},
    {"model": "cnn", "hidden": 3, "batch_size": 19, "convolutions": 2, "connection": "residual", "activation": "tanh"},
    {"model": "cnn", "hidden": 4, "batch_size": 32, "convolutions": 2, "connection": "dense", "growth": 3},
    {
        "model": "cnn",
        "hidden": 1,
        "depth": 1,
        "batch_size": 32,
        "convolutions": 2,
        "connection": "residual",
        "optimizer": "sgd",
        "loss": "mse_logits",
    },
]


def _marked(shape: dict):
    """Networks of images with connections take seconds each."""
    long = shape.get("model") == "cnn" and "connection" in shape
    return pytest.param(shape, marks=pytest.mark.long) if long else shape


@pytest.mark.parametrize(
    "shape", thin(map(_marked, BITS), 2), ids=lambda shape: "-".join(str(value) for value in shape.values())
)
def test_a_trial_has_the_same_bits_in_any_company(digits, shape):
    split = small(digits, 135, torch.float32)
    lane_values = itertools.product((0.01, 0.1, 0.003), (0.9, 0.5), (0.0, 0.3), (0.0, 0.05), (0.0, 1.0))
    values = [
        dict(zip(("lr", "momentum", "dropout", "weight_decay", "grad_clip"), row, strict=True)) for row in lane_values
    ]
    noise = itertools.cycle((0.0, 0.3, 0.1, 0.0))
    settings = [canonical({"epochs": 2, "beta1": 0.5, "label_noise": next(noise), **row, **shape}) for row in values]
    settings = settings[:33]
    settings += settings[: 33 - len(settings)]
    seeds = [lane % 3 for lane in range(33)]
    order = sorted(range(33), key=lambda lane: seeds[lane])
    settings, seeds = [settings[lane] for lane in order], [seeds[lane] for lane in order]

    alone = [records([settings[lane]], [seeds[lane]], split)[0] for lane in range(33)]
    together = records(settings, seeds, split)
    assert [together[lane] for lane in range(33)] == alone
    for members in ([30, 4], [6, 31, 2, 15, 0, 22, 9]):  # unsorted: seeds alternate
        company = records([settings[lane] for lane in members], [seeds[lane] for lane in members], split)
        assert [company[place] for place in range(len(members))] == [alone[lane] for lane in members]


@pytest.mark.parametrize(
    "change",
    [
        {"batch_norm": True},
        {"activation": "tanh"},
        {"batch_norm": True, "bn_position": "after", "bn_affine": False},
        {"connection": "residual", "convolutions": 2, "batch_norm": True},
        {"connection": "residual", "convolutions": 2, "hidden": 1},
    ],
)
def test_images_in_onednns_layout_equal_plain_ones(digits, change, monkeypatch):
    """A CPU trains float32 images in oneDNN's own layout where it can; elsewhere on plain tensors, with the same
    outcome.
    """
    split = small(digits, 310, torch.float32)
    settings = [canonical({"model": "cnn", "hidden": 6, "depth": 2, "lr": lr} | change) for lr in (0.001, 0.003)]

    def trained() -> Program:
        program = Program(settings, [0, 1], split)
        program.train_epoch(1)
        return program

    with torch.no_grad():
        opaque = trained()
        monkeypatch.setattr("sweep.engine.images._opaque_trains", lambda: False)
        plain = trained()
    for lane in range(2):
        for name, value in plain.lane(lane).items():
            torch.testing.assert_close(opaque.lane(lane)[name], value, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("connection", ["plain", "residual", "dense"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_images_of_all_lanes_in_one_block_equal_a_block_each(digits, batch_norm, connection, monkeypatch):
    """What a GPU trains: grouped convolutions over all lanes."""
    split = small(digits, 310, torch.float64)
    shape = {"hidden": 4, "depth": 2, "connection": connection, "convolutions": 1 if connection == "plain" else 2}
    settings = [
        canonical({"model": "cnn", "lr": lr, "batch_norm": batch_norm, "growth": 3} | shape)
        for lr in (0.001, 0.01, 0.1)
    ]

    def trained() -> Program:
        program = Program(settings, [0, 0, 1], split, dtype=torch.float64)
        for epoch in (1, 2):
            program.train_epoch(epoch)
        return program

    with torch.no_grad():
        alone = trained()
        monkeypatch.setattr("sweep.engine.images.form", lambda *_: Form(together=True, opaque=False))
        together = trained()
    for lane in range(3):
        for name, value in alone.lane(lane).items():
            torch.testing.assert_close(together.lane(lane)[name], value, rtol=1e-8, atol=1e-9)


def test_a_diverging_lane_changes_no_bit_of_its_neighbours(digits):
    split = small(digits, 256, torch.float32)
    settings = [
        canonical({"optimizer": "sgd", "lr": lr, "epochs": 6, "activation": "gelu", "momentum": 0.9})
        for lr in (0.01, 1e4, 0.05)
    ]
    together = records(settings, [0, 0, 0], split)
    assert together[1][-1]["state"] == "'diverged'"
    assert len(together[1]) < 6
    assert together[1][-1]["test_loss"] == "None"
    for lane in (0, 2):
        assert together[lane] == records([settings[lane]], [0], split)[0]
        assert together[lane][-1]["state"] == "'complete'"


def test_all_lanes_diverging_ends_the_program(digits):
    settings = [canonical({"optimizer": "sgd", "lr": 1e10, "epochs": 50, "activation": "gelu"})] * 2
    out = records(settings, [0, 1], small(digits, 128, torch.float32))
    assert all(rows[-1]["state"] == "'diverged'" and len(rows) < 50 for rows in out.values())


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_batch_norm_trains_on_the_batch_and_evaluates_on_moving_averages(digits, model):
    """After one full-batch step, the running statistics are (1 - m) * start + m * the batch's, and one row alone
    scores as it does among others."""
    split = small(digits, 64, torch.float64)
    setting = canonical(
        {
            "model": model,
            "hidden": 4,
            "depth": 1,
            "batch_norm": True,
            "bn_momentum": 0.25,
            "batch_size": "full",
            "lr": 1e-9,
        }
    )
    with torch.no_grad():
        program = Program([setting], [0], split, dtype=torch.float64)
        state = program.lane(0)
        layer = (
            nn.functional.linear(split.train.x.flatten(1), state["1.weight"])
            if model == "mlp"
            else nn.functional.conv2d(split.train.x, state["0.weight"], padding=1)
        )
        axes = (0,) if model == "mlp" else (0, 2, 3)
        norm = "2" if model == "mlp" else "1"
        program.train_epoch(1)
        after = program.lane(0)
    torch.testing.assert_close(after[f"{norm}.running_mean"], 0.25 * layer.mean(axes), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        after[f"{norm}.running_var"], 0.75 + 0.25 * layer.var(axes, unbiased=True), rtol=0, atol=1e-12
    )
    with torch.no_grad():
        whole = program.evaluate(split.val)
        rows = [program.evaluate(Part(split.val.x[i : i + 1], split.val.y[i : i + 1])) for i in range(64)]
    assert whole["loss"][0] == pytest.approx(sum(one["loss"][0] for one in rows) / 64, abs=1e-12)


def test_dropout_keeps_the_stated_share_and_is_off_in_evaluation():
    """With a huge width, the mean of the kept activations matches; seeds draw different masks."""
    from sweep.engine.layers import Batch, Dropout, Rates

    layer = Dropout(Rates(torch.tensor([0.0, 0.3, 0.3])))
    x = torch.ones(3, 500, 400)
    batch = Batch(((0, 2), (2, 3)), (x[0], x[0]), (stream(0, "dropout", 1), stream(1, "dropout", 1)))
    y = layer.forward(x, batch, training=True)
    assert torch.equal(y[0], x[0])
    assert (y[1] == 0).double().mean().item() == pytest.approx(0.3, abs=0.005)
    assert y[1].mean().item() == pytest.approx(1.0, abs=0.01)
    assert not torch.equal(y[1], y[2])
    assert torch.equal(layer.backward(x), y)
    assert layer.forward(x, batch, training=False) is x


@pytest.mark.parametrize("kernel", ["torch", "onednn"])
@pytest.mark.parametrize(
    "shape", [(2, 3, 4, 5), (33, 10, 16, 7), (7, 1, 9, 8), (5, 8, 32, 1), (3, 64, 64, 32), (5, 65, 200, 131)]
)
def test_products_equal_the_lone_product_to_the_bit(shape, kernel, monkeypatch):
    """Whatever BLAS or oneDNN do with these shapes, every lane gets the bits of a product of its own; and it is
    right.
    """
    from sweep.engine import products

    if kernel == "onednn" and not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    one = {"torch": torch.mm, "onednn": products._onednn}[kernel]
    monkeypatch.setattr(products, "kernel_for", lambda *_: one)
    lanes, m, k, n = shape
    a, b = torch.randn(lanes, m, k), torch.randn(lanes, k, n)
    for turn in range(4):
        left, right = a, b
        if turn % 2:  # as they come in a backward pass
            left = a.transpose(1, 2).contiguous().transpose(1, 2)
        if turn // 2:
            right = b.transpose(1, 2).contiguous().transpose(1, 2)
        same = right[:1].expand(lanes, -1, -1)
        into = products.multiply_shared(left, right[0], torch.empty(lanes, m, n))
        assert torch.equal(into, products.multiply_shared(left, right[0]))
        batched = products.multiply(left, right)
        assert torch.equal(batched, products.multiply(left, right, out=torch.empty(lanes, m + 1, n)[:, :m]))
        for result, factor in ((batched, right), (into, same)):
            assert torch.allclose(result.double(), left.double() @ factor.double(), atol=1e-4)
            for lane in range(lanes):
                assert torch.equal(result[lane], one(left[lane].clone(), factor[lane].clone()))


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_in_passes_equals_adam_in_the_fused_kernel(digits, optimizer, monkeypatch):
    """What runs where there is no fused kernel, and reads its coefficients at a position as a captured step does."""
    split = small(digits, 310, torch.float64)
    settings = settings_for(batch_size=32, epochs=3, optimizer=optimizer, hidden=6, depth=2)

    def trained(captured: bool) -> Program:
        program = Program(settings, [0, 0, 1], split, dtype=torch.float64)
        if captured:
            program.optimizer.position = torch.zeros(1, dtype=torch.int64)
        for epoch in range(1, 4):
            program.train_epoch(epoch)
        return program

    with torch.no_grad():
        fused = trained(False)
        monkeypatch.setattr("sweep.engine.optimizers.FUSED", ())
        passes = trained(True)
    for lane in range(3):
        for name, value in passes.lane(lane).items():
            torch.testing.assert_close(value, fused.lane(lane)[name], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("connection", ["plain", "residual", "dense"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_bf16_rounds_the_products_and_nothing_else(digits, model, connection):
    """Close to float32, not equal, and the same bits for a lane in company."""
    split = small(digits, 256, torch.float32)
    shape = {"model": model, "hidden": 8, "connection": connection, "convolutions": 2, "batch_norm": True}
    settings = [canonical({"lr": lr} | shape) for lr in (0.001, 0.003)]
    with torch.no_grad():
        exact = Program(settings, [0, 0], split).train_epoch(1)
        rounded = Program(settings, [0, 0], split, precision="bf16").train_epoch(1)
        alone = Program(settings[1:], [0], split, precision="bf16").train_epoch(1)
    assert rounded.val_loss[1] == alone.val_loss[0]
    assert rounded.val_loss != exact.val_loss
    assert rounded.val_loss == pytest.approx(exact.val_loss, rel=0.05)


def test_label_noise_is_training_on_labels_that_were_replaced(digits):
    """Of a share of the rows, by any class, the same rows whatever else the lane has, and those of a smaller share
    among them; the validation part is not touched."""
    split = small(digits, 300, torch.float32)
    shares, seeds = (0.0, 0.3, 1.0, 0.3), (3, 3, 3, 4)
    put = [
        Noise(seed, [share], split.train.y, 10).put(split.train.y, torch.arange(300))[0]
        for share, seed in zip(shares, seeds, strict=True)
    ]
    assert torch.equal(put[0], split.train.y)
    kept = [int((labels == split.train.y).sum()) for labels in put]
    assert kept == pytest.approx([300, 300 - 0.3 * 270, 30, 300 - 0.3 * 270], abs=20)
    changed = put[1] != split.train.y
    assert torch.equal(put[2][changed], put[1][changed])
    assert not torch.equal(put[1], put[3])
    assert min(torch.bincount(put[2], minlength=10)) > 10
    settings = [canonical({"lr": 0.01, "epochs": 2, "label_noise": share}) for share in shares]
    together = records(settings, list(seeds), split)
    for lane, labels in enumerate(put):
        replaced = Split(Part(split.train.x, labels), split.val, split.test, 10)
        assert records([canonical({"lr": 0.01, "epochs": 2})], [seeds[lane]], replaced)[0] == together[lane]


def test_steps_of_whole_epochs_are_those_epochs_and_a_last_one_may_be_short(digits):
    """By 64 an epoch of these rows has 3 steps; 6 are two epochs to the bit, 8 are two and two thirds."""
    split = small(digits, 180, torch.float32)

    def trained(**length) -> list[dict]:
        setting = canonical({"lr": 0.05, "optimizer": "sgd", "momentum": 0.9, "dropout": 0.2, **length})
        return records([setting], [5], split)[0]

    assert trained(steps=6, lr_schedule="cosine") == trained(epochs=2, lr_schedule="cosine")
    last, whole = trained(steps=8), trained(epochs=3)
    assert len(last) == 3
    assert last[:2] == whole[:2]
    program = Program([canonical({"lr": 0.05, "optimizer": "sgd", "momentum": 0.9, "dropout": 0.2})], [5], split)
    for epoch, steps in ((1, 3), (2, 3), (3, 2)):
        program.begin_epoch(epoch)
        for _ in range(steps):
            program.train_step()
    scores = program.evaluate(split.val)
    assert (last[-1]["val_loss"], last[-1]["val_accuracy"]) == (repr(scores["loss"][0]), repr(scores["accuracy"][0]))
    assert last[-1]["train_loss"] == repr((program.sums["loss"] / program.seen).item())
    rates = learning_rates([canonical({"steps": 8, "lr_schedule": "cosine"})], 0, 8, 3)[:, 0].tolist()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.001)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 8)
    for rate in rates:
        assert rate == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("shape", [{}, {"model": "cnn", "hidden": 3}, {"connection": "residual"}])
def test_further_tests_are_scored_by_moving_averages_and_by_their_own_statistics(digits, shape):
    """As a plain module in evaluation and in training mode has them; no other number changes."""
    split = small(digits, 96, torch.float64)
    shifted = Part(split.test.x * 0.5 + 0.7, split.test.y)
    further = replace(split, tests={"shifted": shifted})
    setting = canonical({"lr": 0.01, "epochs": 2, "dropout": 0.3, "batch_norm": True, **shape})
    training = Training([Trial(0, setting, 1), Trial(1, {**setting, "lr": 0.1}, 1)], further)
    training.program = Program([setting, {**setting, "lr": 0.1}], [1, 1], further, dtype=torch.float64)
    (*_, (last, _)) = training
    read = {(one.place, one.quantity): one.value for one in last.readings}
    net = nets.build(setting, tuple(split.train.x.shape[1:]), 10).double()
    net.load_state_dict(training.program.lane(0), strict=False)
    for place, part in (("test", split.test), ("shifted", shifted)):
        with torch.no_grad():
            for module in net.modules():
                module.train(False)
            logits = net(part.x)
            assert read[place, "test_accuracy"] == (logits.argmax(1) == part.y).double().mean().item()
            expected = nn.functional.cross_entropy(logits, part.y).item()
            assert read[place, "test_loss"] == pytest.approx(expected, rel=1e-10)
            for module in net.modules():
                module.train(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d))
            before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            own = (net(part.x).argmax(1) == part.y).double().mean().item()
            net.load_state_dict(before)
            assert read[place, "test_accuracy, batch statistics"] == own
    assert read["test", "test_loss"] == last.test_loss
