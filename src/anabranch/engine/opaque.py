"""A layer that cannot be recorded, as one module of the lowered graph."""

from __future__ import annotations

from typing import Any

import torch

from anabranch import _tree, compute


class Opaque(torch.nn.Module):
    """Runs a layer's own ``call``; its weights are this module's parameters and buffers."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        for number, weight in enumerate(layer.weights):
            name = weight.path.removeprefix(layer.path + "/").replace("/", "_").replace(".", "_")
            name = name if not hasattr(self, name) else f"{name}_{number}"
            value = compute.realize(weight)
            if isinstance(value, torch.nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer; several outputs come as a flat list."""
        with compute.training_scope(self.training):
            result = compute.run(self.layer, args, kwargs)
        return _tree.leaves(result) if _tree.is_nest(result) else result
