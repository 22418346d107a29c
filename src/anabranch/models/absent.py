"""What a model lacks that people coming from torch or Keras ask it for, and the way to it."""

from __future__ import annotations

from anabranch._errors import MissingAttributeError, nearest

_OF_MODULES = frozenset((
    "forward", "share_memory", "register_buffer", "register_parameter", "register_module", "add_module",
    "get_submodule", "get_parameter", "get_buffer", "type", "to_empty", "register_forward_hook",
    "register_forward_pre_hook", "register_full_backward_hook", "register_full_backward_pre_hook",
    "register_state_dict_post_hook", "register_load_state_dict_post_hook",
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
))  # fmt: skip
_OF_KERAS = {
    **dict.fromkeys(("quantized_build", "quantized_call"), "model.quantize(mode)"),
    "get_quantization_layer_structure": 'model.quantize("int8") or "int4", which need none',
}


def missing(model: object, name: str) -> MissingAttributeError:
    """Return the error for an attribute that a model does not have."""
    kind = type(model).__name__
    if name in _OF_MODULES:
        return MissingAttributeError(
            f"{kind} is a graph of layers, no torch.nn.Module: it has no {name!r}.",
            repair=f"module = model.to_torch(), which shares the weights; module.{name}",
        )
    if name in _OF_KERAS:
        return MissingAttributeError(f"{kind} has no {name!r} yet.", repair=_OF_KERAS[name])
    close = None if name.startswith("_") else nearest(name, [each for each in dir(type(model)) if not each.startswith("_")])
    return MissingAttributeError(
        f"{kind!r} object has no attribute {name!r}.", repair=f"did you mean {close!r}?" if close else None
    )
