"""Inputs, dense layers, and the layers that wrap a function: Activation, Identity, Lambda."""

from __future__ import annotations

import weakref
from typing import Any

from anabranch import _tree, activations, regularizers
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch.graph import Shape, Spec, Tensor, call_site, outputs_of, record
from anabranch.graph.shapes import same
from anabranch.layers import torch_module as _torch_module  # noqa: F401 - lets symbolic tensors meet torch's functions
from anabranch.layers.base import Layer
from anabranch.ops import _kernels as kernels


class InputLayer(Layer):
    """The entry of a graph: a shape and a dtype that data must have."""

    is_source = True

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: str | None = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if sparse or ragged:
            raise ArgumentError("Sparse and ragged tensors are not there.", where=str(self.made_at))
        if input_tensor is not None:
            raise ArgumentError(
                "An InputLayer makes a tensor of its own.", repair="Input(tensor=…) begins a model at another one"
            )
        if (shape is None) == (batch_shape is None):
            raise ArgumentError(
                "An Input needs its shape, without the batch.",
                expected="shape=(…), or batch_shape=(batch, …), one of the two",
                got=f"shape={shape!r}, batch_shape={batch_shape!r}",
                where=str(self.made_at),
            )
        sizes = (batch_size, *_sizes(shape, self)) if batch_shape is None else _sizes(batch_shape, self)
        self.batch_shape: Shape = sizes
        self.optional = optional
        self.models: weakref.WeakSet[Any] = weakref.WeakSet()  # those that begin here, so that an inner tensor finds its model
        self.built = True

    @property
    def output(self) -> Any:
        """The symbolic tensor that begins here."""
        made = [node for node in (call() for call in self.calls) if node is not None]
        return outputs_of(made[0]) if made else record(self, (), {}, Spec(self.batch_shape, self.dtype), self.made_at)

    def kind_name(self) -> str:
        """Return what users call it."""
        return "Input"

    def call(self) -> None:
        """An input computes nothing."""

    def get_config(self) -> dict[str, Any]:
        """Return shape with batch, dtype and name."""
        return {"batch_shape": self.batch_shape, "dtype": self.dtype, "optional": self.optional, "name": self.name}


def _sizes(shape: Any, layer: Layer) -> Shape:
    if not hasattr(shape, "__iter__"):
        raise ArgumentTypeError(
            "A shape is a tuple.",
            expected=f"({shape},)",
            got=repr(shape),
            where=str(layer.made_at),
            repair="mind the comma",
        )
    sizes = tuple(shape)
    for size in sizes:
        if size is not None and (isinstance(size, bool) or not hasattr(size, "__index__") or size < 0):
            raise ArgumentError(
                "A shape holds whole numbers, or None where a size is not known.",
                expected="sizes ≥ 0", got=repr(shape), where=str(layer.made_at),
                repair="None stands for a size that is not known" if size == -1 else None,
            )  # fmt: skip
    return tuple(None if size is None else int(size) for size in sizes)


def Input(  # noqa: N802 - Keras's name
    shape: Any = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> Tensor:
    """Return the symbolic tensor that a graph begins with.

    ``shape`` leaves the batch out: ``Input((32, 32, 3))`` is a tensor (B, 32, 32, 3). None marks a size not known beforehand.
    ``tensor``: a symbolic tensor of another graph to begin at, which is returned as it is. ``optional``: None may be fed.
    """
    if tensor is not None:
        return _checked(tensor, shape, batch_shape, dtype)
    layer = InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, None, optional, name)
    layer.made_at = call_site()
    made: Tensor = layer.output
    return made


def _checked(tensor: Any, shape: Any, batch_shape: Any, dtype: str | None) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise ArgumentTypeError(
            "Input(tensor=…) takes a symbolic tensor.", expected="what Input(…) or a layer called on one gives",
            got=f"{type(tensor).__name__}: {tensor!r}"[:120], where=str(call_site()),
        )  # fmt: skip
    wanted = tuple(batch_shape) if batch_shape is not None else None if shape is None else (None, *shape)
    if (wanted is not None and not same(tensor.shape, wanted)) or (dtype is not None and dtype != tensor.dtype):
        raise ShapeError(
            "The tensor is another than Input was told.", expected=f"{wanted or 'any shape'} of {dtype or 'any dtype'}",
            got=f"{tensor.shape} of {tensor.dtype} from {tensor.node.site}", where=str(call_site()),
        )  # fmt: skip
    return tensor


class Keeping(Layer):
    """A layer that moves numbers and computes none, so that integers stay integers. Abstract."""

    takes_one_tensor = True

    def output_dtype(self, input_dtypes: list[str]) -> str:
        """Floats become the layer's; other types stay."""
        return self.dtype if "float" in input_dtypes[0] else input_dtypes[0]


class Dense(Layer):
    """activation(x · kernel + bias) over the last axis: (B, …, I) -> (B, …, units)."""

    takes_integers = False
    takes_one_tensor = True
    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if lora_rank is not None:
            raise ArgumentError("lora_rank is not there yet.", where=str(self.made_at))
        self.units = whole("units", units, self)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer
        self.kernel_regularizer, self.bias_regularizer = (
            regularizers.get(kernel_regularizer),
            regularizers.get(bias_regularizer),
        )
        self.kernel_constraint, self.bias_constraint = kernel_constraint, bias_constraint
        self.kernel: Any = None
        self.bias: Any = None

    def build(self, input_shape: Shape) -> None:
        """Make kernel (I, units) and bias (units,)."""
        if not input_shape or input_shape[-1] is None:
            raise ShapeError(
                "Dense needs to know the size of the last axis: its kernel has as many rows.",
                expected="(batch, …, features) with features known",
                got=str(input_shape),
                repair="GlobalAveragePooling2D()(x) or the like in the place of Flatten\nor an Input of known sizes"
                if len(input_shape) > 1
                else "Input((1,)) for one number each, or Reshape((1,))(x)",
            )
        self.kernel = self.add_weight(
            (input_shape[-1], self.units), self.kernel_initializer, name="kernel", axes=(1, 0),
            regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
        )  # fmt: skip
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,), self.bias_initializer, name="bias",
                regularizer=self.bias_regularizer, constraint=self.bias_constraint,
            )  # fmt: skip
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …, I) -> (B, …, units)."""
        if self.kernel is not None and input_shape[-1] != self.kernel.shape[0]:
            raise ShapeError(
                "The last axis has another size than the kernel was made for.",
                expected=f"(…, {self.kernel.shape[0]})", got=str(input_shape),
                repair=f"a layer of its own for each, or Dense({self.kernel.shape[0]}) before",
            )  # fmt: skip
        return activations.output_shape(self.activation, (*input_shape[:-1], self.units))

    def call(self, inputs: Any) -> Any:
        """Apply the affine map and the activation."""
        return self.activation(kernels.linear(inputs, self.kernel, self.bias))


class Activation(Layer):
    """An activation by name or as a function, element by element unless it says otherwise."""

    takes_integers = False
    supports_masking = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape stays; ``glu`` halves the last axis."""
        return activations.output_shape(self.activation, input_shape)

    def call(self, inputs: Any) -> Any:
        """Apply the activation."""
        return self.activation(inputs)


class Identity(Keeping):
    """x itself, or a nest of tensors: a name in the graph."""

    takes_one_tensor = False

    supports_masking = True

    def compute_output_spec(self, inputs: Any) -> Any:
        """Each tensor keeps its shape."""
        return _tree.map_leaves(lambda x: Spec(x.shape, self.output_dtype([x.dtype])), inputs)

    def call(self, inputs: Any) -> Any:
        """Return the input."""
        return inputs


def whole(name: str, value: Any, layer: Layer, *, least: int = 1) -> int:
    """Return ``value`` as a whole number of at least ``least``, or say what is wrong with it."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise ArgumentError(
            f"{name} of {type(layer).__name__} is a whole number ≥ {least}.", got=repr(value), where=str(layer.made_at)
        )
    return int(value)
