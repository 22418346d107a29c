from .agreeing import known_losses as known_losses, refusals as refusals
from .arguments import boolean as boolean
from .capture import with_replay as with_replay
from .checkpointing import scoped as scoped
from .compiled import Compiled as Compiled
from .compiling import compile as compile, compile_arguments as compile_arguments, compile_config as compile_config
from .custom_step import (
    default_loss as default_loss,
    default_metrics as default_metrics,
    default_step as default_step,
    stateless_loss as stateless_loss,
)
from .evaluating import evaluate as evaluate
from .fitting import fit as fit
from .logs import Reported as Reported
from .metric_trackers import (
    leaf_metrics as leaf_metrics,
    metrics_names as metrics_names,
    metrics_of as metrics_of,
    results_of as results_of,
)
from .objective import need_compiled as need_compiled
from .on_batch import (
    predict_function as predict_function,
    predict_on_batch as predict_on_batch,
    step_function as step_function,
    test_on_batch as test_on_batch,
    train_on_batch as train_on_batch,
)
from .options import Options as Options
from .predicting import predict as predict
from .probed import Probe as Probe
from .probing import probe as probe
from .strategy import SingleDevice as SingleDevice, Strategy as Strategy
