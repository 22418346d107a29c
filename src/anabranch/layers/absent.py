"""For errors alone: what a layer lacks that people coming from Keras or torch ask it for."""

from __future__ import annotations

from collections.abc import Callable

from anabranch import runtime
from anabranch._asked import answers, is_from
from anabranch._errors import ArgumentError, MissingAttributeError
from anabranch.graph import Operation

QUANTIZABLE = "Dense, EinsumDense, Embedding and ReversibleEmbedding"
"""The public layers that are ``Quantizable``, which a test asks the classes."""
_MODULE = "module = Sequential([layer]).to_torch(), which shares the weights; module"
ABSENT = {
    "quantize": f"{QUANTIZABLE} have it; for others, torch.ao of model.to_torch()",
    "quantized_build": "self.build, which is asked what self.quantization_mode says",
    "quantized_call": "self.call, which is asked what self.quantization_mode says",
    **{
        name: f"{_MODULE}.{name}"
        for name in (
            "forward", "apply", "get_submodule", "get_parameter", "get_buffer", "register_forward_hook",
            "register_forward_pre_hook", "register_full_backward_hook", "to_empty", "share_memory",
            # what torch's own tools ask a module, such as torch.nn.utils.prune
            "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
        )
    },
    "register_buffer": "self.add_weight(…, trainable=False)",
    "register_parameter": "self.add_weight(…), or an attribute that is a torch.nn.Parameter",
    **dict.fromkeys(("register_module", "add_module"), "an attribute that is the module"),
}  # fmt: skip
"""The names, and what does the same."""


_REGISTERING = frozenset(("register_buffer", "register_parameter", "register_module", "add_module"))


def missing(kind: type, name: str) -> MissingAttributeError:
    """Return the error for a name that a class of layers lacks."""
    return MissingAttributeError(f"{kind.__name__} has no {name!r}.", repair=ABSENT[name])


def registering(layer: Operation | None, name: str) -> Callable[..., None] | None:
    """Return the method of a user's layer that registers what it holds, None where there is none of that name.

    A layer tracks its attributes, so each is a way to set one.
    """
    if layer is None or name not in _REGISTERING or is_from(type(layer), "anabranch"):
        return None

    def register(key: str, value: object, persistent: bool = True) -> None:
        if not isinstance(key, str) or not key.isidentifier() or answers(type(layer), key):
            raise ArgumentError(
                f"{name} of {layer._error_label_()} takes the name of a new attribute.",
                got=repr(key),
                expected="such as 'scale'",
            )
        if name in ("register_parameter", "register_buffer") and persistent:
            value = runtime.registered(value, name)
        setattr(layer, key, value)

    return register


def not_scripted(layer: Operation) -> ArgumentError:
    """Return the error for a layer inside a module that TorchScript compiles."""
    return ArgumentError(
        f"TorchScript compiles no layers of anabranch; {layer._error_label_()} is inside the module.",
        expected="a module whose parts are torch's own", got=type(layer).__name__,
        repair="model.to_torch() in its place, which shares the weights; or torch.export.export, or torch.compile",
    )  # fmt: skip
