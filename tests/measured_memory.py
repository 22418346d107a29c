"""Measures how many bytes torch has allocated at once while a module runs, by the memory events of its profiler."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.profiler import ProfilerActivity, profile


def peak_memory(module: torch.nn.Module, inputs: Sequence[torch.Tensor], training: bool) -> int:
    """Return the most bytes at once of a forward pass, in training with the backward pass of the outputs' sum.

    The operations are those of the module, in code of torch.fx, whose variables are let go after their last use.
    """
    traced = torch.fx.symbolic_trace(module.train(training))
    traced.zero_grad(set_to_none=True)
    held = {id(t.untyped_storage()): t.untyped_storage() for t in (*traced.parameters(), *traced.buffers(), *inputs)}
    with torch.set_grad_enabled(training), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        outputs = traced(*inputs)
        if training:
            torch.autograd.backward(sum(leaf.sum() for leaf in torch.utils._pytree.tree_leaves(outputs)))
    events = [event for event in measured.profiler.kineto_results.events() if event.name() == "[memory]"]  # type: ignore[union-attr]
    live = peak = sum(storage.nbytes() for storage in held.values())
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak
