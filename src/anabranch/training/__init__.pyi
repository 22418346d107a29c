from ._replaying import with_replay as with_replay
from .batches import (
    predict_on_batch as predict_on_batch,
    test_on_batch as test_on_batch,
    train_on_batch as train_on_batch,
)
from .by_hand import (
    loss_by_hand as loss_by_hand,
    measured_by_hand as measured_by_hand,
    step_by_hand as step_by_hand,
)
from .compiling import Compiled as Compiled, compile as compile
from .loop import evaluate as evaluate, fit as fit, predict as predict
from .trackers import metrics_names as metrics_names, metrics_of as metrics_of, results_of as results_of
