"""What scripts of Keras ask ``isinstance`` of: symbolic tensors, operations, functions of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from anabranch import graph
from anabranch._arguments import checked
from anabranch._errors import ArgumentTypeError
from anabranch._frames import bounded
from anabranch.graph.tensor import SymbolicTensor
from anabranch.layers.core import Input
from anabranch.models.model import Model

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


class _Kind(type):
    """Lets a class stand for another in ``isinstance``."""

    meant: type

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.meant)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.meant)

    def __getattr__(cls, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(cls.meant, name)  # ``KerasTensor.shape``


class KerasTensor(metaclass=_Kind):
    """A symbolic tensor: what ``Input`` and layers of symbolic tensors return. Called, it makes an input of that shape.

    Args:
        shape: with the batch.
        dtype: of the values.
        sparse: False.
        ragged: False.
        record_history: True.
        name: of the input.

    Example:
        >>> from anabranch import Input
        >>> isinstance(Input((3,)), KerasTensor), KerasTensor((None, 3)).shape
        (True, (None, 3))
    """

    meant = SymbolicTensor

    @checked
    def __new__(  # type: ignore[misc]  # what is returned is an instance by the metaclass
        cls,
        shape: Sequence[int | None],
        dtype: str = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
    ) -> Tensor:
        """Make an input."""
        if sparse or ragged or not record_history:
            raise ArgumentTypeError(
                "A symbolic tensor is dense and part of a graph.", repair="KerasTensor(shape, dtype, name=…)"
            )
        return Input(batch_shape=tuple(shape), dtype=dtype, name=name)


class Operation(metaclass=_Kind):
    """What a node of a graph does: a layer, a function, an operator. Only asked of; a new one is a ``Layer``.

    Raises:
        ArgumentTypeError: it is called.

    Example:
        >>> from anabranch import layers
        >>> isinstance(layers.Dense(2), Operation)
        True
    """

    meant = graph.Operation

    @bounded
    def __new__(cls, *args: object, **kwargs: object) -> NoReturn:  # type: ignore[misc]  # nothing is made
        """Refuse."""
        raise ArgumentTypeError("An Operation is not made as such.", repair="class Mine(keras.Layer): def call(self, x): …")

    def __init_subclass__(cls, **kwargs: object) -> None:
        raise ArgumentTypeError("Operation cannot be subclassed.", repair="class Mine(keras.Layer): def call(self, x): …")


class Function(metaclass=_Kind):
    """A function of tensors that a graph computes: a ``Model`` of them.

    Args:
        inputs: symbolic tensors.
        outputs: symbolic tensors that follow from them.
        name: of the model.

    Example:
        >>> from anabranch import Input, layers
        >>> x = Input((3,))
        >>> Function(x, layers.Flatten()(x)).output_shape
        (None, 3)
    """

    meant = Model

    @checked
    def __new__(cls, inputs: Any, outputs: Any, name: str | None = None) -> Model:  # type: ignore[misc]  # as above
        """Make a model."""
        return Model(inputs, outputs, name=name)
