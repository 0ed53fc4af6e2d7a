"""`sweep layer`: the lane forms on given numbers against torch.nn, published and hand-made numbers; bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from sweep.engine import bench

PRINTED = np.array(
    [
        [-0.6046, -0.8939, 1.3246, 0.2621, 1.0777],
        [0.9088, -0.6219, 0.9589, 0.7307, 0.5221],
        [1.7435, 0.6662, -0.5827, 0.3325, -0.8179],
        [-0.2250, 0.9930, 0.0504, -0.4509, 1.6605],
        [-0.5742, 1.6543, 0.6083, 0.5746, -0.3208],
    ]
)
"""A batch that a text on nn.BatchNorm1d prints."""

THREE_CLASSES = [  # logits with -1000 for the third class, label 0: MSE as a sum, its gradient's norm, CE, its norm
    ((1, -1), 0.028419, 0.0708, 0.126928, 0.1686),
    ((0, 0), 0.5, 0.7071, 0.693147, 0.7071),
    ((-1, 1), 1.551607, 0.5231, 2.126928, 1.246),
    ((-2, 2), 1.928702, 0.09812, 4.018150, 1.389),
    ((-5, 5), 1.999818, 2.568e-4, 10.000045, 1.414),
    ((-10, 10), 2.0, 1.166e-8, 20.0, 1.414),
]


def rows(values) -> str:
    return ";".join(",".join(repr(float(value)) for value in row) for row in values)


def test_batch_norm_has_the_published_statistics(sweep):
    result = json.loads(sweep("layer", "batch_norm", "--rows", rows(PRINTED), "--scale", 10, "--json").stdout)
    near = {"rel": 1e-7, "abs": 1e-8}
    assert result["mean"] == pytest.approx([0.2497, 0.35954, 0.4719, 0.2898, 0.42432], **near)
    assert result["var"] == pytest.approx([0.85996621, 0.94121034, 0.45454293, 0.16534618, 0.81258434], **near)
    unbiased = [1.07495776, 1.17651292, 0.56817866, 0.20668273, 1.01573042]
    assert result["var_unbiased"] == pytest.approx(unbiased, **near)
    assert result["mean_after"] == pytest.approx([0.02497, 0.035954, 0.04719, 0.02898, 0.042432], **near)
    var_after = [1.00749578, 1.01765129, 0.95681787, 0.92066827, 1.00157304]
    assert result["var_after"] == pytest.approx(var_after, **near)
    alone = [-0.6272205, -0.92174995, 1.3059103, 0.24295487, 1.0344496]
    assert result["alone"] == pytest.approx(alone, abs=1e-6)
    assert result["alone_evaluation"] == 0.0
    exact = result["scaled"][1]
    assert exact["eps"] == 0
    assert exact["output"] < 1e-14
    assert exact["ratio"] == pytest.approx(0.1, rel=1e-14)
    assert exact["shifted"] < 1e-14


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 4)])
def test_batch_norm_is_torchs(shape):
    x, gamma, beta = bench.draw_normal(shape, 3), [0.5, 2.0, -1.0], [1.0, 0.0, 3.0]
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)]
    layer = kind(3, eps=1e-3, momentum=0.3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(gamma))
        layer.bias.copy_(torch.tensor(beta))
    training = layer(torch.from_numpy(x)).detach().numpy()
    result = bench.batch_norm(x, 0.3, 1e-3, gamma, beta)
    np.testing.assert_allclose(result.training, training, atol=1e-12)
    np.testing.assert_allclose(result.mean_after, layer.running_mean, atol=1e-12)
    np.testing.assert_allclose(result.var_after, layer.running_var, atol=1e-12)
    np.testing.assert_allclose(result.evaluation, layer.eval()(torch.from_numpy(x)).detach(), atol=1e-12)
    # γ = √(σ² + ε) and β = μ undo it
    back = bench.batch_norm(x, gamma=np.sqrt(result.var + 1e-5), beta=result.mean)
    np.testing.assert_allclose(back.training, x, atol=1e-12)


def test_normal_draws_are_those_of_a_global_seed():
    torch.manual_seed(3)
    assert np.array_equal(bench.draw_normal((5, 5), 3), torch.randn(5, 5).double().numpy())


@pytest.mark.parametrize(
    ("name", "function"), [("relu", nn.ReLU()), ("tanh", nn.Tanh()), ("sigmoid", nn.Sigmoid()), ("gelu", nn.GELU())]
)
def test_activations_are_torchs_with_their_derivative(name, function):
    x = bench.draw_normal((4, 5), 0)
    leaf = torch.from_numpy(x).requires_grad_()
    function(leaf).sum().backward()
    result = bench.activation(name, x)
    np.testing.assert_allclose(result.value, function(leaf).detach(), atol=1e-14)
    np.testing.assert_allclose(result.derivative, leaf.grad, atol=1e-14)


def test_dropout_keeps_and_scales():
    x = bench.draw_normal((50, 40), 1)
    result = bench.dropout(x, 0.25, 7)
    kept = result.training != 0
    np.testing.assert_allclose(result.training[kept], x[kept] / 0.75)
    assert np.array_equal(result.evaluation, x)
    assert abs(result.kept - 0.75) < 0.05
    assert np.array_equal(bench.dropout(x, 0.25, 7).training, result.training)


@pytest.mark.parametrize(("logits", "mse", "mse_norm", "entropy", "entropy_norm"), THREE_CLASSES)
def test_three_classes_have_both_losses_and_gradients(logits, mse, mse_norm, entropy, entropy_norm):
    x = np.array([[*logits, -1000.0]])
    squares, nats = bench.loss("mse", x, [0]), bench.loss("cross_entropy", x, [0])
    assert 3 * squares.value[0] == pytest.approx(mse, abs=6e-7)
    assert 3 * np.linalg.norm(squares.gradient) == pytest.approx(mse_norm, rel=1e-3)
    assert nats.value[0] == pytest.approx(entropy, abs=6e-7)
    assert np.linalg.norm(nats.gradient) == pytest.approx(entropy_norm, rel=1e-3)


def test_both_losses_are_least_where_the_output_is_the_target():
    p = np.linspace(0.05, 0.95, 19)
    x = np.column_stack([p, 1 - p])
    for name in ("mse", "cross_entropy"):
        result = bench.loss(name, x, targets=np.array([[0.3, 0.7]]), probabilities=True)
        assert result.least == 5
        assert np.abs(result.gradient[5]).max() < 1e-15


def test_softmax_sets_logits_apart_by_powers_of_e(sweep):
    result = sweep("layer", "softmax", "--rows", "3,1,-3").stdout
    for word in ("0.8789", "0.1189", "0.0022", "e^2 e^4"):
        assert word in result


def test_digits_have_the_condition_computed_apart(sweep):
    """Least squares with a bias on the 52 pixels that vary, computed with numpy alone."""
    asked = ("layer", "zscore", "--data", "digits", "--part", "all", "--least-std", 0.5, "--json")
    result = json.loads(sweep(*asked).stdout)
    conditions = {surface["name"]: surface["condition"] for surface in result["surfaces"]}
    expected = {"none": 2.68e5, "unit": 2.96e4, "zscore": 8515, "zscore of each column": 143}
    assert conditions == pytest.approx(expected, rel=2e-3)
    assert result["columns"][0]["mean_after"] == pytest.approx(0, abs=1e-12)
    assert result["columns"][0]["std_after"] == pytest.approx(1, abs=1e-12)


def test_steps_are_those_that_descent_takes(tmp_path, sweep):
    """Two features of different ranges, from a file with names; gradient descent itself is the oracle."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.uniform(1, 10, 200), rng.uniform(100, 1000, 200)])
    text = "rooms,metres\n" + "\n".join(f"{a!r},{b!r}" for a, b in x.tolist())
    (tmp_path / "two.csv").write_text(text)
    result = json.loads(sweep("layer", "zscore", "--input", "two.csv", "--json").stdout)
    assert [column["name"] for column in result["columns"]] == ["rooms", "metres"]
    raw, unit, zscore = result["surfaces"]
    assert raw["condition"] > 1e6 > 100 > unit["condition"] > 2 > zscore["condition"]
    assert raw["lr_limit"] == pytest.approx(2.7e-6, rel=0.1)
    scaled = (x - x.min(0)) / (x.max(0) - x.min(0))
    moment = np.column_stack([scaled, np.ones(200)])
    hessian = 2 * moment.T @ moment / 200
    point = start = np.linalg.eigh(hessian)[1][:, 0]  # the slowest direction
    for _ in range(unit["steps"]):
        point = point - 2 / (unit["largest"] + unit["smallest"]) * hessian @ point
    share = (point @ hessian @ point) / (start @ hessian @ start)
    assert 0.5e-6 < share <= 1e-6


def test_files_of_every_kind_are_read(tmp_path, sweep):
    x = [[1.0, 2.0], [3.0, 5.0]]
    np.save(tmp_path / "x.npy", np.array(x))
    np.savez(tmp_path / "x.npz", a=np.array(x), b=np.zeros((3, 3)))
    (tmp_path / "x.json").write_text(json.dumps(x))
    (tmp_path / "x.csv").write_text("1,2\n3,5\n")
    for file in ("x.npy", "x.json", "x.csv"):
        assert json.loads(sweep("layer", "relu", "--input", file, "--json").stdout)["value"] == x
    assert json.loads(sweep("layer", "relu", "--input", "x.npz", "--array", "a", "--json").stdout)["value"] == x


BAD = [
    (("batch_norm", "--rows", "1,2"), "one row has no variance; expected at least 2"),
    (("batch_norm",), "expected one of --rows, --input, --randn"),
    (("batch_norm", "--rows", "1,2;3"), "rows of 1 and 2 numbers; expected rows of one length"),
    (("batch_norm", "--rows", "1,x"), "expected numbers, such as"),
    (("batch_norm", "--rows", "1,nan;2,3"), "row 1 holds NaN or infinity; expected finite numbers"),
    (("batch_norm", "--rows", "1,2;3,4", "--gamma", "1,2,3"), "--gamma: 3 numbers for 2 channels"),
    (("batch_norm", "--rows", "1,2;1,3", "--eps", "0"), "channel 0 does not vary, so σ² + ε is 0"),
    (("batchnorm", "--rows", "1,2"), "did you mean 'batch_norm'?"),
    (("relu", "--rows", "1,2", "--labels", "0"), "--labels: relu takes none; expected with cross_entropy, mse"),
    (("mse", "--rows", "1,2", "--labels", "2"), "--labels: 2 is no class of 2; expected 0 to 1"),
    (("mse", "--rows", "1,2", "--labels", "0,1"), "2 labels for 1 row; expected one a row"),
    (("mse", "--rows", "1,2"), "expected either --labels, a class a row, or --targets"),
    (("mse", "--rows", "1,2", "--targets", "0.5,0.6"), "row 1 is 0.5, 0.6; expected probabilities"),
    (("mse", "--rows", "0,1", "--labels", "0", "--probabilities"), "row 1 is 0, 1; expected numbers above 0"),
    (("softmax", "--randn", "2x2x2"), "expected rows of logits [N, K]"),
    (("relu", "--randn", "5"), "expected a shape of two to four whole numbers"),
    (("relu", "--input", "none.npy"), "none.npy: no such file"),
    (("relu", "--input", "none.txt"), "none.txt: unknown suffix"),
    (("relu", "--input", "bad.npy"), "bad.npy: cannot be read"),
    (("relu", "--input", "pickled.npy"), "it holds pickled Python objects, which are never loaded"),
    (("relu", "--input", "words.csv"), "words.csv: line 2 holds 'b'; expected numbers"),
    (("zscore", "--data", "nothing"), "unknown data set 'nothing'"),
    (("zscore", "--data", "digits", "--part", "tset"), "unknown part 'tset'"),
    (("zscore", "--rows", "1,2"), "zscore of 1 row; expected at least 2"),
]


@pytest.mark.parametrize(("words", "said"), BAD, ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_bad_input_is_one_line(tmp_path, sweep, words, said):
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "words.csv").write_text("1,2\n3,b\n")
    result = sweep("layer", *words, code=2)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout
