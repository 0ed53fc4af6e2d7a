"""sweep: hyperparameter sweeps of small neural networks, many trials trained as one program."""

__version__ = "0.1.0"
