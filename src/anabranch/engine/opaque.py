"""A layer that cannot be traced, as one module of the lowered graph."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx.proxy import Proxy

from anabranch import _tree, runtime
from anabranch._asked import is_from, shown
from anabranch._errors import ArgumentTypeError
from anabranch.graph import Operation

MASKS = "_masks"  # the argument that brings the masks of the others


def is_plain_module(module: torch.nn.Module) -> bool:
    """Return whether a module and those inside it are torch's own and have no hooks."""
    return all(
        is_from(type(part), "torch.nn")
        and not (part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks)
        for part in module.modules()
    )


class Opaque(torch.nn.Module):
    """Runs a layer's own ``call``; its weights are this module's parameters and buffers."""

    layer: Operation

    def __init__(self, layer: Operation, masked: tuple[int, ...] = ()) -> None:
        super().__init__()
        vars(self)["layer"] = layer  # no child: its weights are this module's own
        self.masked = masked
        for number, weight in enumerate(layer.weights):
            name = weight.path.removeprefix(layer.path + "/").replace("/", "_").replace(".", "_")
            name = name if not hasattr(self, name) else f"{name}_{number}"  # modules keep their weights by name
            value = runtime.realize(weight)
            if isinstance(value, torch.nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)

    def forward(self, *args: Any, **kwargs: Any) -> _tree.Nest:
        """Run the layer; several outputs come as a flat list, the masks of those that have one after them."""
        masks = kwargs.pop(MASKS, None)
        edges: list[runtime.Edge] = [] if masks is None else list(zip(_tree.leaves((args, kwargs)), masks, strict=True))
        with runtime.training_scope(self.training):
            result, found_masks = runtime.run(self.layer, args, kwargs, edges)
        runtime.give_losses(self.layer)
        need_tensors(self.layer, result)
        if any(self.masked):
            found = _tree.leaves(result)
            given = zip(found, found_masks, self.masked, strict=False)
            return [*found, *(_mask_or_ones(x, mask, reach) for x, mask, reach in given if reach)]
        return _tree.leaves(result) if _tree.is_nest(result) else result


def need_tensors(layer: Operation, result: _tree.Nest) -> None:
    """Raise unless what a layer's call gave are tensors, real or traced, one at least."""
    found = _tree.leaves(result)
    if not found or not all(isinstance(leaf, (torch.Tensor, Proxy)) for leaf in found):
        raise ArgumentTypeError(
            f"Layer {layer.path!r} must give a tensor, or a nest of them.", got=shown(result),
            repair="see what its call, or a function that it was given, such as its activation, returns",
        )  # fmt: skip


def _mask_or_ones(value: torch.Tensor, mask: object, reach: int) -> object:
    """Return the mask, true everywhere over ``reach`` axes of ``value`` where there is none."""
    return value.new_ones(value.shape[:reach], dtype=torch.bool) if mask is None else mask
