"""Functions of Keras 2's backend: those of today under former arguments, and those that nothing of today is."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import anabranch
from anabranch._errors import ArgumentError
from anabranch.stand_in.former import words
from anabranch.stand_in.former.saying import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from anabranch.constraints import ConstraintLike
    from anabranch.graph import Weight
    from anabranch.runtime import Tensor

Function = Callable[..., Any]


@functools.cache
def function(name: str) -> Function:
    """Return a function of keras.backend, which warns at its first call."""
    written, _, signature = words.BACKEND[name].partition("(")
    meant: Function = attrgetter(written)(anabranch) if written else OWN[name]
    takes = _parameters(signature.removesuffix(")")) if signature else None

    def called(*args: object, **given: object) -> object:
        say(f"keras.backend.{name}", today(name))
        return meant(*args, **given) if takes is None else meant(**_bound(name, takes, args, given))

    called.__name__ = called.__qualname__ = name
    return called


def today(name: str) -> str:
    """Return what to write today for a function of keras.backend.

    >>> today("mean"), today("get_value")
    ('keras.ops.mean', 'x.numpy()')
    """
    written = words.BACKEND[name].partition("(")[0]
    return f"keras.{written}" if written else INSTEAD[name]


def _parameters(signature: str) -> list[tuple[str, str, list[Any]]]:
    """Return each former parameter, its name of today, and its default in a list, which is empty where there is none."""
    import ast

    found: list[tuple[str, str, list[Any]]] = []
    call: Any = ast.parse(f"f({signature.replace('>', '__')})", mode="eval").body
    for each in call.args:
        former, _, today = each.id.partition("__")
        found.append((former, today or former, []))
    for each in call.keywords:
        former, _, today = str(each.arg).partition("__")
        found.append((former, today or former, [ast.literal_eval(each.value)]))
    return found


def _bound(name: str, takes: list[tuple[str, str, list[Any]]], args: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call under today's names."""
    names = [former for former, _, _ in takes]
    values = dict(zip(names, args, strict=False)) | given
    unknown = [each for each in given if each not in names]
    if len(args) > len(names) or unknown:
        raise ArgumentError(
            f"keras.backend.{name} takes other arguments.", expected=", ".join(names), got=", ".join(unknown) or None
        )
    found: dict[str, Any] = {}
    for former, today, default in takes:
        if former in values:
            found[today] = values[former]
        elif default:
            found[today] = default[0]
        else:
            raise ArgumentError(f"keras.backend.{name} needs {former!r}.")
    return found


# What nothing of today is


def batch_dot(x: Tensor, y: Tensor, axes: int | tuple[int, int] | None = None) -> Tensor:
    """Return the products of each pair of samples, over one axis of each."""
    if axes is None:
        axes = (len(x.shape) - 1, len(y.shape) - 2 if len(y.shape) > 2 else 1)
    return anabranch.layers.Dot(axes)([x, y])


def batch_flatten(x: Tensor) -> Tensor:
    """Return each sample as a row."""
    return anabranch.ops.reshape(x, (-1, math.prod(x.shape[1:])))


def bias_add(x: Tensor, bias: Tensor, data_format: str | None = None) -> Tensor:
    """Add a bias to each channel."""
    if data_format == "channels_first":
        bias = anabranch.ops.reshape(bias, (-1, *(1,) * (len(x.shape) - 2)))
    return x + bias


def count_params(x: Tensor) -> int:
    """Return how many values there are."""
    return math.prod(x.shape)


def get_value(x: Tensor | Weight) -> np.ndarray[Any, Any]:
    """Return an array."""
    return anabranch.ops.convert_to_numpy(x)


def set_value(x: Weight, value: object) -> None:
    """Set a variable."""
    x.assign(value)


def batch_get_value(tensors: Sequence[Tensor | Weight]) -> list[np.ndarray[Any, Any]]:
    """Return arrays."""
    return [get_value(each) for each in tensors]


def batch_set_value(tuples: Sequence[tuple[Weight, object]]) -> None:
    """Set variables."""
    for variable, value in tuples:
        variable.assign(value)


def update(x: Weight, new_x: object) -> Weight:
    """Set a variable."""
    return x.assign(new_x)


def update_add(x: Weight, increment: object) -> Weight:
    """Add to a variable."""
    return x.assign_add(increment)


def update_sub(x: Weight, decrement: object) -> Weight:
    """Subtract from a variable."""
    return x.assign_sub(decrement)


def variable(value: ArrayLike, dtype: str | None = None, name: str | None = None, constraint: ConstraintLike = None) -> Weight:
    """Return a variable."""
    import numpy as np

    array = np.asarray(value, dtype=dtype or anabranch.backend.floatx())
    return anabranch.layers.Layer().add_weight(
        array.shape, lambda shape, dtype=None: array, dtype=str(array.dtype), name=name or "variable", constraint=constraint
    )


def int_shape(x: Tensor) -> tuple[int | None, ...]:
    """Return the shape as integers."""
    return tuple(x.shape)


def in_train_phase(x: object, alt: object, training: object = None) -> object:
    """Return one of two values, or of what two functions return."""
    chosen = x if training else alt
    return chosen() if callable(chosen) else chosen


def in_test_phase(x: object, alt: object, training: object = None) -> object:
    """Return one of two values, or of what two functions return."""
    return in_train_phase(alt, x, training)


def learning_phase() -> int:
    """Return 0: that a model trains is said by the argument ``training``."""
    return 0


def set_learning_phase(value: object) -> None:
    """Refuse to train everywhere: that a model trains is said by the argument ``training``."""
    if value:
        raise ArgumentError("There is no phase of the process.", got="set_learning_phase(1)", repair="model(x, training=True)")


def manual_variable_initialization(value: bool) -> None:
    """Do nothing: values are made when they are used."""


def image_dim_ordering() -> str:
    """Return where channels are: 'tf' or 'th'."""
    return "tf" if anabranch.backend.image_data_format() == "channels_last" else "th"


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Set where channels are: 'tf' or 'th'."""
    anabranch.backend.set_image_data_format("channels_first" if dim_ordering == "th" else "channels_last")


def pool2d(
    x: Tensor,
    pool_size: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Tensor:
    """Pool images."""
    pool = anabranch.ops.max_pool if pool_mode == "max" else anabranch.ops.average_pool
    return pool(x, pool_size, strides, padding, data_format)


def resize_images(
    x: Tensor, height_factor: int, width_factor: int, data_format: Any = "channels_last", interpolation: Any = "nearest"
) -> Tensor:
    """Enlarge images by whole factors."""
    layer = anabranch.layers.UpSampling2D((height_factor, width_factor), data_format=data_format, interpolation=interpolation)
    return layer(x)


def spatial_2d_padding(x: Tensor, padding: Any = ((1, 1), (1, 1)), data_format: Any = None) -> Tensor:
    """Add zeros around images."""
    return anabranch.layers.ZeroPadding2D(padding, data_format=data_format)(x)


def temporal_padding(x: Tensor, padding: Any = (1, 1)) -> Tensor:
    """Add zeros before and after sequences."""
    return anabranch.layers.ZeroPadding1D(padding)(x)


def print_tensor(x: Tensor, message: str = "") -> Tensor:
    """Print a tensor and return it."""
    sys.stdout.write(f"{message} {x}\n")
    return x


def random_bernoulli(shape: Sequence[int], p: float = 0.0, dtype: str | None = None, seed: int | None = None) -> Tensor:
    """Return ones with a probability, and zeros."""
    drawn = anabranch.random.uniform(shape, seed=seed)
    return anabranch.ops.cast(drawn <= p, dtype or anabranch.backend.floatx())


def relu(x: Tensor, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Rectify."""
    return anabranch.layers.ReLU(max_value, alpha, threshold)(x)


def repeat(x: Tensor, n: int) -> Tensor:
    """Repeat each row of a matrix as a sequence."""
    return anabranch.ops.repeat(anabranch.ops.expand_dims(x, 1), n, 1)


def switch(condition: Tensor, then_expression: object, else_expression: object) -> Tensor:
    """Return one of two values, or of what two functions return; element by element where the condition is a tensor."""
    both: list[Any] = [each() if callable(each) else each for each in (then_expression, else_expression)]
    return anabranch.ops.where(condition, *both)


def k_function(inputs: Sequence[Any], outputs: Any, updates: object = None, name: str | None = None) -> Function:
    """Return a function of arrays that computes tensors of a model from its inputs."""
    given = [each for each in inputs if not isinstance(each, int)]  # without the learning phase
    single = not isinstance(outputs, (list, tuple))
    model = anabranch.Model(list(given), [outputs] if single else list(outputs))

    def computed(values: Sequence[Any]) -> object:
        training = len(values) > len(given) and bool(values[-1])
        found = model([anabranch.ops.convert_to_tensor(each) for each in values[: len(given)]], training=training)
        arrays = [anabranch.ops.convert_to_numpy(each) for each in found]
        return arrays[0] if single else arrays

    return computed


OWN: dict[str, Function] = {
    "batch_dot": batch_dot, "batch_flatten": batch_flatten, "batch_get_value": batch_get_value,
    "batch_set_value": batch_set_value,
    "bias_add": bias_add, "count_params": count_params, "eval": get_value, "function": k_function, "get_value": get_value,
    "image_dim_ordering": image_dim_ordering, "in_test_phase": in_test_phase, "in_train_phase": in_train_phase,
    "int_shape": int_shape, "learning_phase": learning_phase, "manual_variable_initialization": manual_variable_initialization,
    "pool2d": pool2d, "print_tensor": print_tensor, "random_bernoulli": random_bernoulli, "relu": relu, "repeat": repeat,
    "resize_images": resize_images, "set_image_dim_ordering": set_image_dim_ordering, "set_learning_phase": set_learning_phase,
    "set_value": set_value, "spatial_2d_padding": spatial_2d_padding, "switch": switch, "temporal_padding": temporal_padding,
    "update": update, "update_add": update_add, "update_sub": update_sub, "variable": variable,
}  # fmt: skip
INSTEAD: dict[str, str] = {
    "batch_dot": "keras.layers.Dot(axes)([x, y])", "batch_flatten": "keras.layers.Flatten()(x)",
    "batch_get_value": "[w.numpy() for w in weights]", "batch_set_value": "w.assign(value)", "bias_add": "x + bias",
    "count_params": "keras.ops.size(x)", "eval": "keras.ops.convert_to_numpy(x)", "function": "keras.Model(inputs, outputs)",
    "get_value": "x.numpy()", "image_dim_ordering": "keras.config.image_data_format()", "in_test_phase": "x if training else y",
    "in_train_phase": "x if training else y", "int_shape": "x.shape", "learning_phase": "the argument training of call",
    "manual_variable_initialization": "without it", "pool2d": "keras.ops.max_pool or average_pool", "print_tensor": "print(x)",
    "random_bernoulli": "keras.random.uniform(shape) <= p", "relu": "keras.activations.relu",
    "repeat": "keras.layers.RepeatVector(n)(x)",
    "resize_images": "keras.layers.UpSampling2D(size)(x)", "set_image_dim_ordering": "keras.config.set_image_data_format(…)",
    "set_learning_phase": "the argument training of call", "set_value": "x.assign(value)",
    "spatial_2d_padding": "keras.layers.ZeroPadding2D(padding)(x)", "switch": "keras.ops.where(condition, x, y)",
    "temporal_padding": "keras.layers.ZeroPadding1D(padding)(x)", "update": "x.assign(value)",
    "update_add": "x.assign_add(value)",
    "update_sub": "x.assign_sub(value)", "variable": "keras.Variable(value)",
}  # fmt: skip
