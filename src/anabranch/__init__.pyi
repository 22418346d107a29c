from . import (
    activations as activations,
    applications as applications,
    backend as backend,
    callbacks as callbacks,
    config as config,
    constraints as constraints,
    datasets as datasets,
    distillation as distillation,
    distribution as distribution,
    dtype_policies as dtype_policies,
    edit as edit,
    export as export,
    initializers as initializers,
    insight as insight,
    layers as layers,
    legacy as legacy,
    losses as losses,
    metrics as metrics,
    mixed_precision as mixed_precision,
    models as models,
    ops as ops,
    optimizers as optimizers,
    preprocessing as preprocessing,
    quantizers as quantizers,
    random as random,
    regularizers as regularizers,
    saving as saving,
    tree as tree,
    utils as utils,
    visualization as visualization,
    wrappers as wrappers,
)
from .dtype_policies import DTypePolicy as DTypePolicy, FloatDTypePolicy as FloatDTypePolicy
from .initializers import Initializer as Initializer
from .layers.base import Layer as Layer
from .layers.core import Input as Input, InputLayer as InputLayer
from .layers.input_spec import InputSpec as InputSpec
from .layers.scopes import (
    RematScope as RematScope,
    StatelessScope as StatelessScope,
    device as device,
    name_scope as name_scope,
)
from .layers.variable import Variable as Variable
from .losses import Loss as Loss
from .metrics import Metric as Metric
from .models.kinds import Function as Function, KerasTensor as KerasTensor, Operation as Operation
from .models.model import Model as Model
from .models.sequential import Sequential as Sequential
from .ops.gradients import remat as remat
from .optimizers import Optimizer as Optimizer
from .quantizers import Quantizer as Quantizer
from .regularizers import Regularizer as Regularizer
from .stand_in.notebook import (
    load_ipython_extension as load_ipython_extension,
    unload_ipython_extension as unload_ipython_extension,
)
from .utils.versions import version as version

__version__: str
