"""Quantizers and what ``quantize`` is given, by name and as JSON."""

from __future__ import annotations

from typing import Any, TypeAlias

from anabranch.graph import snake_case
from anabranch.quantizers import configs, quantizer
from anabranch.quantizers.configs import QuantizationConfig
from anabranch.quantizers.quantizer import Quantizer, Quantizing
from anabranch.registry import Json, Registry, finder, writer

Known: TypeAlias = "Quantizer | QuantizationConfig"


def _names() -> dict[str, type]:
    found = [*vars(quantizer).values(), *vars(configs).values()]
    kinds = [each for each in found if isinstance(each, type) and issubclass(each, (Quantizer, QuantizationConfig))]
    return {name: kind for kind in kinds for name in (kind.__name__, snake_case(kind.__name__))}


_registry: Registry[Known | None] = Registry("quantizer", "keras.quantizers", Quantizing, _names)


@finder
def get(identifier: str | Known | dict[str, Any] | type | None) -> Known | None:
    """Return a quantizer, or what ``quantize`` is given, from a name, a class or a config; None stays None.

    Args:
        identifier: what means it.

    Example:
        >>> get("abs_max_quantizer")
        AbsMaxQuantizer()
    """
    return _registry.get(identifier)


@writer
def serialize(initializer: Known | None) -> Json:
    """Return a quantizer, or what ``quantize`` is given, as JSON.

    Args:
        initializer: the object; the argument is called so in Keras.

    Example:
        >>> serialize(get("int8_quantization_config"))["class_name"]
        'Int8QuantizationConfig'
    """
    return _registry.serialize(initializer)


@finder
def deserialize(config: Json, custom_objects: dict[str, object] | None = None) -> Known | None:
    """Return what ``serialize`` described.

    Example:
        >>> deserialize(serialize(get("abs_max_quantizer"))) == get("abs_max_quantizer")
        True
    """
    return _registry.deserialize(config, custom_objects)
