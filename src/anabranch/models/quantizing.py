"""Integers in the place of the weights of a model's layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from anabranch._asked import is_from, shown
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.graph.call_site import warn
from anabranch.layers.absent import QUANTIZABLE
from anabranch.layers.quantizable import Quantizable
from anabranch.quantizers.configs import resolved

if TYPE_CHECKING:
    from anabranch.layers.base import Layer


def quantize(model: Layer, mode: object, config: object, filters: object, type_check: bool) -> None:
    """Quantize the layers of a model; none, where one of them cannot be."""
    found = resolved(mode, config)
    layers = [layer for layer in model._inner_layers_() if layer is not model and _fits(layer, filters)]
    own = [layer for layer in layers if isinstance(layer, Quantizable)]
    others = [layer for layer in layers if not isinstance(layer, Quantizable) and callable(vars(type(layer)).get("quantize"))]
    left = [layer for layer in own if type_check and not is_from(type(layer), "anabranch")]
    chosen = [layer for layer in own if layer not in left]
    for layer in left:
        warn(
            f"{layer._described_()} stays as it is: its class may read the floats. quantize(…, type_check=False) quantizes it.",
            layer._made_at_,
        )
    if not chosen and not others:
        chose = "" if filters is None else f" among those that filters={shown(filters)} chooses"
        raise ArgumentError(
            f"No layer of {model.name!r} can be quantized{chose}.", expected=f"a layer of {QUANTIZABLE}",
            got=", ".join(sorted({type(layer).__name__ for layer in model._inner_layers_() if layer is not model})),
        )  # fmt: skip
    for layer in chosen:
        layer._check_quantizing_(found.mode, type_check)
    for layer in chosen:
        layer.quantize(found.mode, found, type_check)
    for other in others:  # with a method of their author's
        other.quantize(found.mode, config=found)  # type: ignore[attr-defined]  # which they were chosen by


def _fits(layer: Layer, filters: object) -> bool:
    """Return whether a regular expression or one of several is found in a layer's name, or a function says so of the layer."""
    if filters is None:
        return True
    if callable(filters):
        chooses: Callable[[Any], object] = filters
        return bool(chooses(layer))
    patterns: Sequence[object] = (
        [filters] if isinstance(filters, str) else filters if isinstance(filters, (list, tuple)) else ()
    )
    if not patterns or not all(isinstance(pattern, str) for pattern in patterns):
        raise ArgumentTypeError(
            "filters of quantize are regular expressions of layers' names, or a function of a layer.",
            expected='"attention", ["query", "key"], or lambda layer: …', got=shown(filters),
        )  # fmt: skip
    try:
        return any(re.search(str(pattern), layer.name) for pattern in patterns)
    except re.error as error:
        raise ArgumentError(f"A filter of quantize is no regular expression: {error}.", got=shown(filters)) from None
