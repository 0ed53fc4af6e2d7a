"""What was meant by a name that does not exist: what others call a thing, and slips of the finger. Needs nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_CALLED = {
    # hyperparameters
    "optimizer": "opt optim optimiser algorithm solver",
    "lr": "learning_rate learningrate learn_rate alpha α eta η step_size lr0 initial_lr base_lr learning_rate_init",
    "beta1": "β1 b1 beta_one adam_beta1 adam_b1",
    "beta2": "β2 b2 beta_two adam_beta2 adam_b2",
    "eps": "epsilon ε adam_eps adam_epsilon",
    "weight_decay": "lambda λ lambd l2 wd l2_reg l2_regularization l2_regularisation l2_penalty l2_lambda l2_weight "
    "reg regularization regularisation regularizer weight_penalty reg_lambda lambda_l2",
    "momentum": "mom sgd_momentum",
    "nesterov": "nesterov_momentum nag",
    "lr_schedule": "schedule scheduler lr_scheduler lr_decay learning_rate_decay learning_rate_schedule annealing",
    "warmup_epochs": "warmup warm_up lr_warmup",
    "grad_clip": "clip clipping clip_norm clipnorm gradient_clip gradient_clipping grad_clipping grad_clip_norm "
    "max_grad_norm gradient_clip_val clip_grad_norm clip_grad",
    "model": "net network architecture arch",
    "hidden": "unit units hidden_unit hidden_units hidden_size hidden_sizes hidden_dim hidden_dims width neurons "
    "hidden_neurons nodes channels filters hidden_nodes hidden_width",
    "depth": "layer layers hidden_layer hidden_layers stages blocks",
    "activation": "act activation_function activation_fn nonlinearity non_linearity transfer_function",
    "batch_norm": "bn batch_normalization batch_normalisation use_bn use_batch_norm batchnorm1d batchnorm2d",
    "bn_position": "batch_norm_position bn_order bn_place",
    "bn_eps": "bn_epsilon batch_norm_eps batch_norm_epsilon",
    "bn_momentum": "batch_norm_momentum",
    "bn_affine": "batch_norm_affine gamma γ affine",
    "dropout": "drop dropout_rate drop_rate dropout_p dropout_prob dropout_probability drop_prob p_drop",
    "init": "initialization initialisation initializer initialiser weight_init weights_init init_method "
    "kernel_initializer initial_weights",
    "init_std": "init_scale weight_std init_sd weight_scale initial_std",
    "connection": "connections skip skips skip_connection skip_connections shortcut shortcuts residual residuals dense "
    "resnet densenet",
    "convolutions": "convolution convs conv conv_layers convolutional_layers stage_depth",
    "growth": "growth_rate",
    "branch_start": "zero_init_residual zero_init skip_init fixup residual_scale branch_init",
    "loss": "criterion loss_function loss_fn loss_func cost_function",
    "label_smoothing": "smoothing smooth",
    "batch_size": "batch bs batchsz mini_batch minibatch mini_batch_size minibatch_size batches",
    "epochs": "passes max_epoch",
    "normalize": "normalise normalization normalisation standardize standardise standardization scaling scaler "
    "preprocessing input_normalization",
    "train_size": "training_size train_rows train_samples training_set_size rows",
    "label_noise": "noise noisy_labels random_labels label_corruption corruption label_flip flip",
    "seed": "random_seed random_state rng_seed manual_seed rng",
    # keys of a recipe
    "data": "dataset data_set",
    "data_dir": "data_root data_folder dataset_dir",
    "split_seed": "data_seed splitseed",
    "split_seeds": "splits n_splits folds n_folds k_folds cv resamples",
    "seeds": "repeats repetitions replicates replications reps",
    "precision": "dtype fp16 bf16 amp",
    "metric": "monitor score sort sort_by rank_by rank_on order_by",
    "direction": "goal",
    "space": "search_space parameters hyperparameters params",
    # flags of commands
    "study": "name study_name experiment experiment_name",
    "results": "results_dir result_dir results_folder storage out_dir outdir output_dir",
    "jobs": "workers processes cpus cores threads",
    "device": "gpu gpus cuda accelerator",
    "lanes": "lane",
    "time_limit": "timeout time_out max_time time_budget",
    "trials": "samples",
    "search_seed": "sampler_seed",
    "min_epochs": "min_resource grace_period",
    "where": "filter query only",
    "top": "head limit first rows best",
    "output": "out output_file save",
    "yes": "force",
    # metrics
    "val_loss": "loss validation_loss valid_loss",
    "val_accuracy": "accuracy acc valid_acc valid_accuracy validation_acc validation_accuracy",
    # commands
    "grid": "run train start fit",
    "search": "tune optimize optimise",
    "resume": "continue restart",
    "ls": "list studies",
    "show": "leaderboard board ranking",
    "rm": "remove delete del",
    "report": "html",
    "plot": "draw chart figure",
    "import": "load read",
}
"""Names that this tool has, each with what people call it
elsewhere: the notes, PyTorch, Keras, scikit-learn, Optuna."""

_COUNTS = ("n", "num", "nb", "number", "of", "no")
"""Words before a name that say that it is a number: num_layers, n_epochs."""

LONG = 7
"""Letters of what others call a thing, from which a slip in it still tells what was meant."""


def meant(given: str, choices: Iterable[str]) -> list[str]:
    """The choices that a name most likely stands for: nothing rather than a wrong one.

    The same letters (batchNorm); what others call it (learning_rate); its beginning (val_acc); one slip of the finger
    (drpout), two in a long name; the same of what others call it, if that is long. Another number (beta3) is another
    name, not a slip.

    >>> meant("--num-layers", ["--lanes", "--depth"])
    ['--depth']
    >>> meant("--learning-rat", ["--lr", "--lr-schedule"])
    ['--lr']
    >>> meant("residual", ["results", "resume"])
    []
    """
    names = list(dict.fromkeys(choices))
    plain = {name: _plain(name) for name in names}
    for word in _forms(given):
        if same := [name for name in names if plain[name] == word]:
            return same[:1]
        if called := [name for name in names if plain[name] in _MEANS.get(word, ())]:
            return called[:1]
        if word in _MEANS:
            return []
    word = _plain(given)
    begun = [name for name in names if len(word) >= 3 and plain[name].startswith(word)]
    if 0 < len(begun) <= 3:
        return begun
    if near := _nearest(word, plain.values()):
        return [name for name in names if plain[name] == near][:1]
    there = set(plain.values())
    near = _nearest(word, (other for other, means in _MEANS.items() if len(other) >= LONG and there & {*means}))
    return [name for name in names if near and plain[name] in _MEANS[near]][:1]


def _nearest(word: str, names: Iterable[str]) -> str:
    """The name that is a slip or two away from a word, the fewest; empty where none is."""
    near = {name: _slips(word, name) for name in names}
    least = min(near.values(), default=9)
    return next((name for name, slips in near.items() if slips == least <= (2 if len(word) >= 9 else 1)), "")


def _plain(name: str) -> str:
    """A name by its letters and digits alone: batch_norm, --batch-norm and batchNorm are batchnorm; β₁ is β1."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum())


def _forms(given: str) -> list[str]:
    """A name, plain; then without a number's words before it: num_layers, layers."""
    words = given.strip("- ").replace("-", "_").replace(" ", "_").split("_")
    bare = list(words)
    while len(bare) > 1 and bare[0].casefold() in _COUNTS:
        bare.pop(0)
    return list(dict.fromkeys([_plain(given), _plain("".join(bare))]))


_MEANS: dict[str, tuple[str, ...]] = {}
for _name, _others in _CALLED.items():
    for _other in _others.split():
        _MEANS[_plain(_other)] = (*_MEANS.get(_plain(_other), ()), _plain(_name))


def _slips(given: str, name: str) -> int:
    """How many letters were left out, added, mistaken or swapped with the next (Damerau 1964), 9 where it is no slip:
    another number, or a wrong letter among so few that it is another word."""
    digits = ["".join(letter for letter in word if letter.isdigit()) for word in (given, name)]
    if digits[0] != digits[1] or abs(len(given) - len(name)) > 2:
        return 9
    before: list[int] = []
    row = list(range(len(name) + 1))
    for i, letter in enumerate(given, 1):
        last, row, older = row, [i], before
        for j, other in enumerate(name, 1):
            least = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == name[j - 2] and given[i - 2] == other:
                least = min(least, older[j - 2] + 1)
            row.append(least)
        before = last
    mistaken = len(given) == len(name) and sorted(given) != sorted(name)
    return 9 if mistaken and len(given) <= 3 else row[-1]
