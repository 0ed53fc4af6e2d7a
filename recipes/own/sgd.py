"""scikit-learn's SGDClassifier on its bundled digits, an epoch at a time: trained by sweep, or as a program.

sweep grid recipes/own/sgd-function.toml          the function `train`
sweep grid recipes/own/sgd-command.toml           the same as a program, which prints what it reports
"""

import argparse
import json

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

x, y = load_digits(return_X_y=True)
x = x / 16
order = np.random.default_rng(0).permutation(len(x))  # one split for all seeds
part = {"train": order[:1200], "val": order[1200:1500], "test": order[1500:]}


def train(setting, seed, report):
    """Ten passes over the training rows, a report after each."""
    model = SGDClassifier(
        loss=setting["loss"],
        alpha=setting["alpha"],
        eta0=setting["eta0"],
        learning_rate="constant",
        random_state=seed,
    )
    rng = np.random.default_rng(seed)
    for epoch in range(1, 11):
        rows = rng.permutation(part["train"])
        model.partial_fit(x[rows], y[rows], classes=np.arange(10))
        report(
            epoch,
            val_accuracy=model.score(x[part["val"]], y[part["val"]]),
            train_accuracy=model.score(x[rows], y[rows]),
            test_accuracy=model.score(x[part["test"]], y[part["test"]]),
        )


def main():
    """The same, as any program would be: values from the command line, a line of JSON for each epoch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--loss", default="log_loss")
    parser.add_argument("--alpha", type=float, default=1e-4)
    parser.add_argument("--eta0", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    train(vars(given), given.seed, lambda epoch, **metrics: print(json.dumps({"epoch": epoch, **metrics})))


if __name__ == "__main__":
    main()
