"""Variables that scripts make themselves: weights that no layer has added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch import config, initializers, ops, runtime
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError
from anabranch._frames import bound_methods
from anabranch.graph import Weight, WeightOptions
from anabranch.graph.weight import Aggregation, Unowned  # not for types alone: arguments are checked by it
from anabranch.layers.holding import running_layer
from anabranch.layers.scopes import scope_path

if TYPE_CHECKING:
    import numpy as np


_SYNCHRONIZATIONS = (None, "none", "on_read", "on_write", "auto")


class _AnyWeight(type):
    """Lets ``isinstance(layer.kernel, Variable)`` be true: a layer's weight is one."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Weight) if cls is Variable else super().__instancecheck__(instance)


class _Given:
    """An initializer that returns one value."""

    def __init__(self, value: np.ndarray[Any, Any]) -> None:
        self.value = value

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> np.ndarray[Any, Any]:
        return self.value


@bound_methods
class Variable(Weight, metaclass=_AnyWeight):
    """A weight with a value of its own; a layer that it is assigned to has it among its weights.

    Args:
        initializer: the value; or an initializer, its name or config, which takes ``shape``.
        shape: of the values, where an initializer gives them.
        dtype: of the values; that of ``initializer`` unless given, or ``config.floatx()``.
        trainable: whether training changes it.
        autocast: whether a layer that computes in fewer bits reads it in those.
        aggregation: without effect: all processes have the same values.
        synchronization: as ``aggregation``.
        name: the last part of its path.
        layout: None.

    Example:
        >>> variable = Variable([1.0, 2.0], name="scale")
        >>> variable.assign_add([1.0, 1.0]).numpy().tolist(), variable.path
        ([2.0, 3.0], 'scale')
        >>> from anabranch import layers
        >>> isinstance(layers.Layer().add_weight((2,)), Variable)
        True
    """

    __slots__ = ()

    @checked
    def __init__(
        self,
        initializer: Any,
        shape: tuple[int, ...] | list[int] | None = None,
        dtype: str | None = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: Aggregation | None = "none",
        synchronization: str | None = "auto",
        name: str | None = None,
        layout: None = None,
    ) -> None:
        if name is not None and "/" in name:
            raise ArgumentError("name of Variable must be a string without '/'.", got=repr(name))
        if synchronization not in _SYNCHRONIZATIONS:
            raise ArgumentError(
                "synchronization of Variable is not known.", expected=", ".join(map(repr, _SYNCHRONIZATIONS)),
                got=repr(synchronization),
            )  # fmt: skip
        layer = running_layer()
        if layer is not None and runtime.is_tracing():
            raise runtime.made_in_call("A Variable", layer, "in __init__: self.scale = Variable(…)")
        if isinstance(initializer, (str, dict)) or callable(initializer):
            if shape is None:
                raise ArgumentError("A Variable of an initializer needs shape.", got=shown(initializer))
            made, sizes, kind = initializers.get(initializer), tuple(shape), dtype or config.floatx()
        else:
            value = ops.convert_to_tensor(initializer, dtype)
            made, sizes = _Given(ops.convert_to_numpy(value).copy()), tuple(value.shape)
            kind = str(value.dtype).removeprefix("torch.")
        options = WeightOptions(
            made, trainable=trainable, autocast=autocast, aggregation="none" if aggregation is None else aggregation,
            synchronization=synchronization or "none",
        )  # fmt: skip
        super().__init__(name or "variable", sizes, kind, options, Unowned(scope_path()), runtime)
