from .torch_tree import Module as Module, to_torch as to_torch
