"""The optimizers under the name that Keras 2 had for its older ones: those of today, whose arithmetic is the same."""

from __future__ import annotations

from anabranch.optimizers.adagrad import Adadelta, Adagrad
from anabranch.optimizers.adam import Adam
from anabranch.optimizers.adamax import Adamax
from anabranch.optimizers.ftrl import Ftrl
from anabranch.optimizers.nadam import Nadam
from anabranch.optimizers.optimizer import Optimizer
from anabranch.optimizers.rmsprop import RMSprop
from anabranch.optimizers.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "Optimizer", "RMSprop"]
__dir__ = __all__.copy
