"""The engine: trains a cohort's trials as lanes of one program. Needs torch, nets and a data split.

products    matrix products that give every lane the bits it would get alone
layers      the lane form of each kind of layer: forward and backward on tensors with a leading lane axis
losses      the two losses, per lane
optimizers  Adam, AdamW, SGD and RMSprop with per-lane hyperparameters; learning-rate schedules
program     lowers a one-trial net to lanes, trains epochs, evaluates, drops lanes
streams     the random streams of a seed
"""

from sweep.engine.program import Program, train

__all__ = ["Program", "train"]
