"""A model as a plain tree of torch modules."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from anabranch._errors import ArgumentError
from anabranch._files import reached
from anabranch.engine import place_weights
from anabranch.exchange.assembling import assembled, without_wrapper
from anabranch.exchange.live import live
from anabranch.exchange.source import write

Module = torch.nn.Module


def to_torch(model: Any, source: str | os.PathLike[str] | None = None) -> Module:
    """Return a model as a tree of torch modules that shares its weights.

    Args:
        model: the model; one without a graph must know what goes in.
        source: a file that the code is written to.
    """
    graph = model._need_running_graph_()
    place_weights(model)
    _lay_out(model._inner_layers_())
    plan = assembled(graph, model.name, {})
    if model._graph_ is None:  # what runs is a graph of one node, the model
        plan = without_wrapper(plan)
    written = write(plan, f"The model {model.name!r} as torch modules.")
    if source is not None:
        if written.unwritten or written.functions:
            raise ArgumentError(
                "The model cannot be written as a file that needs torch alone.",
                expected="layers that can be traced, and torch's own modules",
                got=", ".join([*written.unwritten, *written.functions]),
                repair="to_torch() without source= gives the module, which torch.save saves",
            )
        with reached("write", source):
            Path(source).write_text(written.text, encoding="utf-8")
    return live(written, plan, model)


def _lay_out(layers: Iterable[Any]) -> None:
    """Store kernels in torch's default order of memory, which ``fully_shard``, ``prune`` and ``view(-1)`` require.

    A model that stays stores those of images channels last, which saves some convolutions a copy.
    """
    for layer in layers:
        strided = [w.tensor for w in layer._own_weights_() if w.tensor is not None and not w.tensor.is_contiguous()]
        for tensor in strided:
            tensor.data = tensor.data.contiguous()
        if strided:
            layer._note_change_()  # captured graphs hold the addresses


def apply(module: Module, function: Callable[[Module], None]) -> None:
    """Call a function with each of the modules of ``to_torch()``, to change the values of the parameters that are shared.

    Args:
        module: what ``to_torch()`` returned.
        function: takes a module.
    """
    before = dict(module.named_parameters(remove_duplicate=False))
    module.apply(function)
    after = dict(module.named_parameters(remove_duplicate=False))
    lost = [name for name in {**before, **after} if before.get(name) is not after.get(name)]
    hooked = [name for name, part in module.named_modules() if part._forward_hooks or part._forward_pre_hooks]
    if lost or hooked:
        raise ArgumentError(
            "What apply did to the model's modules would be lost: they share its weights and are dropped.",
            expected="values of parameters, changed in place",
            got=f"replaced parameters {', '.join(lost)}" if lost else f"hooks of {', '.join(map(repr, hooked))}",
            repair="module = model.to_torch(); module.apply(…), and the module in the model's place",
        )  # fmt: skip
