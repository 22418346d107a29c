from . import schedules as schedules
from .adam import Adam as Adam, AdamW as AdamW
from .foreign import TorchOptimizer as TorchOptimizer
from .loss_scale import LossScaleOptimizer as LossScaleOptimizer
from .optimizer import Optimizer as Optimizer
from .registry import deserialize as deserialize, get as get, serialize as serialize
from .rmsprop import RMSprop as RMSprop
from .sgd import SGD as SGD
