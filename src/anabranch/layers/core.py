"""Inputs, dense layers, activations and identities."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch import _tree, activations
from anabranch._arguments import to_boolean
from anabranch._asked import dtype_by_name, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError, nearest
from anabranch._frames import bound_methods, bounded
from anabranch.config.precision import DATA
from anabranch.graph import Port, Shape, Spec, Tensor as Symbol, Weight, call_site, connect, outputs_of, record
from anabranch.graph.shapes import same, to_shape
from anabranch.layers import fields, low_rank, quantizable
from anabranch.layers.base import Layer
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor


def _torch() -> Port:
    from anabranch.layers.torch_module import TORCH  # which models of layers do without

    return TORCH


connect(_torch)


@bound_methods
class InputLayer(Layer):
    """Begin a graph: a shape and a dtype that data must have.

    Args:
        shape: without the batch; None marks a size that is not known beforehand.
        batch_size: the batch's size; None: any.
        dtype: of the data, by name or torch's or NumPy's; None: ``config.floatx()``.
        sparse: not there; only False is taken.
        ragged: not there; only False is taken.
        batch_shape: the shape with the batch, in the place of ``shape``.
        input_tensor: not there; see ``tensor`` of :func:`Input`.
        optional: whether None may be passed in its place.
        name: the layer's name.

    Example:
        >>> InputLayer((3,)).output.shape
        (None, 3)
    """

    _is_source_ = True
    _own_state_ = Layer._own_state_ | {"batch_shape", "models"}

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: str | None = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: Tensor | None = None,
        optional: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype if dtype is None else _data_dtype(dtype))
        if (sparse is not None and to_boolean(sparse, "sparse", self)) or (
            ragged is not None and to_boolean(ragged, "ragged", self)
        ):
            raise ArgumentError("Sparse and ragged tensors are not there.", where=str(self._made_at_))
        if input_tensor is not None:
            raise ArgumentError(
                "An InputLayer makes a tensor of its own.", repair="Input(tensor=…) begins a model at another one"
            )
        if (shape is None) == (batch_shape is None):
            raise ArgumentError(
                "An Input needs its shape, without the batch.",
                expected="shape=(…), or batch_shape=(batch, …), one of the two",
                got=f"shape={shape!r}, batch_shape={batch_shape!r}",
                where=str(self._made_at_),
            )
        (batch,) = to_shape((batch_size,), "batch_size", self._made_at_)
        if batch_shape is None:
            sizes = (batch, *to_shape(shape, "shape", self._made_at_))
        else:
            sizes = to_shape(batch_shape, "batch_shape", self._made_at_)
        self.batch_shape: Shape = sizes
        self._optional_ = to_boolean(optional, "optional", self)
        self.models: weakref.WeakSet[Any] = weakref.WeakSet()  # those that begin here, so that an inner tensor finds its model
        self.built = True

    @property
    @bounded
    def output(self) -> Tensor:
        """The symbolic tensor that begins here."""
        made = [node for node in (call() for call in self._calls_) if node is not None]
        return outputs_of(made[0]) if made else record(self, (), {}, Spec(self.batch_shape, self.dtype), self._made_at_)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled: the models that begin here stay with the original."""
        return {key: value for key, value in super().__getstate__().items() if key != "models"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, models=weakref.WeakSet())

    def _kind_name_(self) -> str:
        """Return what users call it."""
        return "Input"

    def call(self) -> None:
        """An input computes nothing."""

    def get_config(self) -> dict[str, Any]:
        """Return the shape with batch, dtype, name and the rest, as Keras does.

        Example:
            >>> InputLayer((3,), name="x").get_config()["batch_shape"]
            [None, 3]
        """
        return {
            "batch_shape": list(self.batch_shape), "dtype": self.dtype, "sparse": False, "ragged": False,
            "optional": self._optional_, "name": self.name,
        }  # fmt: skip


def _data_dtype(dtype: object) -> str:
    """Return the dtype of data; a precision policy is none."""
    dtype = dtype_by_name(dtype)
    if not isinstance(dtype, str) or dtype not in DATA:
        close = nearest(dtype, DATA) if isinstance(dtype, str) else None
        raise ArgumentError(
            "Unknown dtype of an Input.", expected=f"one of: {', '.join(DATA)}", got=shown(dtype),
            where=str(call_site()), repair=f"did you mean {close!r}?" if close else None,
        )  # fmt: skip
    return dtype


@bounded
def Input(  # noqa: N802 - Keras's name
    shape: Sequence[int | None] | None = None, batch_size: int | None = None, dtype: str | None = None,
    sparse: bool | None = None, ragged: bool | None = None, batch_shape: Sequence[int | None] | None = None,
    name: str | None = None, tensor: Tensor | None = None, optional: bool = False,
) -> Tensor:  # fmt: skip
    """Return the symbolic tensor that a graph begins with.

    Args:
        shape: without the batch: ``(32, 32, 3)`` for (B, 32, 32, 3); None marks a size that is not known beforehand.
        batch_size: the batch's size; None: any.
        dtype: of the data, by name or torch's or NumPy's; None: ``config.floatx()``.
        sparse: not there; only False is taken.
        ragged: not there; only False is taken.
        batch_shape: the shape with the batch, in the place of ``shape``.
        name: the input's name; a model numbers it unless given.
        tensor: a symbolic tensor of another graph to begin at, which is returned as it is.
        optional: whether None may be passed in its place.

    Example:
        >>> Input((32, 32, 3), name="image")  # doctest: +ELLIPSIS
        <Tensor shape=(None, 32, 32, 3) dtype=float32 from image at ...>
    """
    if tensor is not None:
        return _checked(tensor, shape, batch_shape, dtype)
    layer = InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, None, optional, name)
    layer._made_at_ = call_site()
    return layer.output


def _checked(
    tensor: Tensor, shape: Sequence[int | None] | None, batch_shape: Sequence[int | None] | None, dtype: str | None
) -> Tensor:
    if not isinstance(tensor, Symbol):
        raise ArgumentTypeError(
            "Input(tensor=…) takes a symbolic tensor.", expected="what Input(…) or a layer called on one gives",
            got=f"{type(tensor).__name__}: {tensor!r}"[:120], where=str(call_site()),
        )  # fmt: skip
    wanted = tuple(batch_shape) if batch_shape is not None else None if shape is None else (None, *shape)
    if (wanted is not None and not same(tensor.shape, wanted)) or (dtype is not None and dtype != tensor.dtype):
        raise ShapeError(
            "The tensor is another than Input was given.", expected=f"{wanted or 'any shape'} of {dtype or 'any dtype'}",
            got=f"{tensor.shape} of {tensor.dtype} from {tensor.node.site}", where=str(call_site()),
        )  # fmt: skip
    return tensor


class Keeping(fields.FieldLayer):
    """A layer that moves values and computes none, so that integers stay integers. Abstract."""

    _takes_one_tensor_ = True

    def _output_dtype_(self, input_dtypes: list[str]) -> str:
        """Return what the layer computes in for floats; other types stay."""
        return self.compute_dtype if "float" in input_dtypes[0] and self.autocast else input_dtypes[0]


class Dense(quantizable.Quantizable):
    """Multiply by a matrix: activation(x · kernel + bias) over the last axis, (B, …, I) -> (B, …, units).

    Example:
        >>> from anabranch import Input
        >>> layer = Dense(4, activation="relu")
        >>> layer(Input((3,))).shape, layer.kernel.shape, layer.bias.shape
        ((None, 4), (3, 4), (4,))
    """

    _takes_integers_ = False
    _takes_one_tensor_ = True
    supports_masking = True

    units: fields.Field[int, int] = fields.integer(doc="the size of the output's last axis.", fixed=True)
    activation: fields.ActivationField = fields.activation(default=None)
    use_bias: fields.BooleanField = fields.boolean(default=True, doc="whether a bias is added.", fixed=True)
    kernel_initializer: fields.InitializerField = fields.initializer(default="glorot_uniform", doc="of the kernel (I, units).")
    bias_initializer: fields.InitializerField = fields.initializer(default="zeros", doc="of the bias (units,).")
    kernel_regularizer: fields.RegularizerField = fields.regularizer(default=None)
    bias_regularizer: fields.RegularizerField = fields.regularizer(default=None)
    activity_regularizer: fields.RegularizerField = fields.regularizer(default=None, kw_only=True)
    kernel_constraint: fields.ConstraintField = fields.constraint(default=None)
    bias_constraint: fields.ConstraintField = fields.constraint(default=None)
    lora_rank: fields.Field[int | None, int | None] = low_rank.rank()
    lora_alpha: fields.Field[float | None, float | None] = low_rank.alpha()
    quantization_config: quantizable.ConfigField = quantizable.setting()

    kernel: Weight = fields.weight_state(init=False)
    bias: Weight = fields.weight_state(init=False)
    lora_kernel_a: Weight = fields.weight_state(init=False)
    lora_kernel_b: Weight = fields.weight_state(init=False)
    if TYPE_CHECKING:  # there once the layer is quantized
        kernel_scale: Weight = fields.weight_state(init=False)
        kernel_zero: Weight = fields.weight_state(init=False)
        g_idx: Weight = fields.weight_state(init=False)

    def build(self, input_shape: Shape) -> None:
        """Make kernel (I, units) and bias (units,)."""
        self.weight("kernel", (_features(input_shape), self.units), axes=(1, 0))
        if self.use_bias:
            self.weight("bias", (self.units,))
        self._adapt_()

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …, I) -> (B, …, units)."""
        kernel = self.kernel
        if kernel is not None and input_shape[-1] not in (None, kernel.shape[0]):
            raise _other_features(kernel.shape[0], input_shape)
        return activations.shape_after(self.activation, (*input_shape[:-1], self.units))

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the affine map and the activation."""
        return self.activation(self._through_(inputs, kernels.linear, self.bias))


def _features(shape: Shape) -> int:
    """Return the size of the last axis, which a kernel has as many rows as."""
    size = shape[-1] if shape else None
    if size is None:
        flat = "GlobalAveragePooling2D()(x) or the like in the place of Flatten\nor an Input of known sizes"
        raise ShapeError(
            "Dense needs to know the size of the last axis: its kernel has as many rows.",
            expected="(batch, …, features) with features known", got=str(shape),
            repair=flat if len(shape) > 1 else "Input((1,)) for one number each, or Reshape((1,))(x)",
        )  # fmt: skip
    return size


def _other_features(made_for: int, shape: Shape) -> ShapeError:
    return ShapeError(
        "The last axis has another size than the kernel was made for.", expected=f"(…, {made_for})", got=str(shape),
        repair=f"a layer of its own for each, or Dense({made_for}) before",
    )  # fmt: skip


class Activation(fields.FieldLayer):
    """Apply an activation by name or as a function, element by element unless it says otherwise.

    Example:
        >>> import numpy as np
        >>> Activation("relu")(np.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    _takes_integers_ = False
    supports_masking = True

    activation: fields.ActivationField = fields.activation()

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape; ``glu`` halves the last axis."""
        return activations.shape_after(self.activation, input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the activation."""
        return self.activation(inputs)


class Identity(Keeping):
    """Return x itself, or a nest of tensors: a name in the graph.

    Example:
        >>> from anabranch import Input
        >>> Identity(name="features")(Input((3,))).name
        'features'
    """

    _takes_one_tensor_ = False
    supports_masking = True

    def compute_output_spec(self, inputs: _tree.Nest, training: bool | None = None) -> _tree.Nest:
        """Return each tensor's shape."""
        return _tree.map_leaves(lambda x: Spec(x.shape, self._output_dtype_([x.dtype])), inputs)

    def call(self, inputs: _tree.Nest, training: bool | None = None) -> _tree.Nest:
        """Return the input."""
        return inputs
