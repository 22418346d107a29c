"""What a call of a layer is given besides its inputs: flags, masks, and further tensors such as states."""

from __future__ import annotations

from collections.abc import Callable

from anabranch import _tree
from anabranch._asked import has_shape, is_boolean
from anabranch.graph import Tensor as Symbol
from anabranch.graph.arrays import is_numpy

_STATES = ("initial_state", "states")


def unfit(name: str, value: _tree.Nest, call: Callable[..., object]) -> str:
    """Return what an argument of a layer's ``call`` must be, where its value is none; "" where it may be one."""
    if value is None:
        return ""
    kind = call.__annotations__.get(name, "")
    if name == "training" or kind in ("bool", "bool | None"):
        return "" if _is_flag(value) else "True, False or None"
    if name == "mask" or name.endswith("_mask"):
        return "" if is_mask(value) else "a boolean tensor for each input, or None"
    one = kind == "Tensor | None"  # which a number may be, too
    if one or name in _STATES:
        leaves = _tree.leaves(value)
        fits = leaves and all(_holds_numbers(leaf) or (one and isinstance(leaf, (int, float))) for leaf in leaves)
        return "" if fits else "a tensor" if one else "a tensor for each state"
    return ""


def is_mask(value: _tree.Nest) -> bool:
    """Return whether a value is a mask, a list of booleans, None, or a nest of them."""
    leaves = _tree.leaves(value)
    return bool(leaves) and all(
        leaf is None or _holds_numbers(leaf) or (isinstance(leaf, bool) and value is not leaf) for leaf in leaves
    )


def _is_flag(value: object) -> bool:
    if is_numpy(value):
        return value.ndim == 0 and is_boolean(value.item())
    known_later = has_shape(value) and not isinstance(value, Symbol) and len(value.shape) == 0
    return is_boolean(value) or known_later


def _holds_numbers(value: object) -> bool:
    """Return whether a value is an array or tensor, and none of strings or objects."""
    if is_numpy(value):
        return value.ndim > 0 and value.dtype.kind not in "OSUM"
    return has_shape(value) and not isinstance(value, type)
