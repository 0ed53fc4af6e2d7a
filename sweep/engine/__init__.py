"""The engine: trains a cohort's trials as lanes of one program. Needs torch, nets and a data split.

products    matrix products that give every lane the bits it would get alone
layers      the lane form of each kind of layer of vectors: forward and backward on tensors with a leading lane axis
images      the same for a cnn's layers of images
blocks      residual and dense blocks of either
losses      the losses, per lane
noise       labels of the training rows replaced by random ones
parameters  the trained numbers of all lanes in flat tensors
optimizers  Adam, AdamW, SGD, RMSprop and AdaGrad with per-lane hyperparameters; learning-rate schedules
graphs      a training step on a CUDA device, captured once and replayed
program     lowers a one-trial net to lanes, trains steps and epochs, evaluates, drops lanes
measuring   what steps and evaluations cost at several numbers of lanes
training    a unit of work from start or checkpoint to end: records, divergence, checkpoints
streams     the random streams of a seed
bench       one layer or loss on given numbers
"""

from sweep.engine.measuring import measure, resident_memory
from sweep.engine.program import Program
from sweep.engine.training import Saver, Training, train_alone

__all__ = ["Program", "Saver", "Training", "measure", "resident_memory", "train_alone"]
