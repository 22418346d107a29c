from .batches import (
    predict_on_batch as predict_on_batch,
    test_on_batch as test_on_batch,
    train_on_batch as train_on_batch,
)
from .compiling import Compiled as Compiled, compile as compile
from .loop import evaluate as evaluate, fit as fit, predict as predict
