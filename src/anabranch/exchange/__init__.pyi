from .exporting import export as export
from .state_dicts import Source as Source
from .torch_tree import Module as Module, apply as apply, to_torch as to_torch
from .torch_weights import TorchWeights as TorchWeights, match_torch_weights as match_torch_weights
