"""What data mean by names in ``keras.distillation``."""

from __future__ import annotations

from typing import Any

from anabranch.distillation.between import DistillationLoss, FeatureDistillation, LogitsDistillation
from anabranch.registry import Json, Registry, finder


def _classes() -> dict[str, type[Any]]:
    from anabranch.distillation.distiller import Distiller  # which losses do without

    return {each.__name__: each for each in (DistillationLoss, FeatureDistillation, LogitsDistillation, Distiller)}


_registry: Registry[DistillationLoss] = Registry(
    "distillation loss", "keras.distillation", DistillationLoss, _classes, callables=False
)


@finder
def deserialize(config: Json, custom_objects: dict[str, object] | None = None) -> DistillationLoss:
    """Return the distillation loss that ``utils.serialize_keras_object`` described.

    Args:
        config: its JSON.

    Example:
        >>> from anabranch.utils import serialize_keras_object
        >>> deserialize(serialize_keras_object(LogitsDistillation(4.0))).temperature
        4.0
    """
    return _registry.deserialize(config, custom_objects)
