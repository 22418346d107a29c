"""The one table of all layers: every cross-cutting test runs over its rows.

A new layer needs a row here, or ``test_every_layer.py`` fails. Add one row for each way of using it that another piece of code
serves: paddings, strides, layouts, axes, several inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Case:
    """One way of using a layer.

    Args:
        name: what the test is called; unique.
        make: the layer's class name in ``anabranch.layers`` (and in ``keras.layers``).
        config: the constructor's arguments.
        inputs: one shape for each input, None for the batch (and where the layer allows, for other unknown sizes).
        dtype: of the inputs.
        int_input_max: integer inputs are drawn below this.
        call_as_list: whether the inputs go in as one list; by default when there are several.
        oracle: whether real Keras gives the same numbers; if not, ``reason`` says why.
        gradient: whether gradients are compared (not for integer inputs, or functions without one).
        training_state: compare output and weights after a call in training mode with Keras's.
        random: the result in training mode differs from call to call.
        tolerance: the greatest error allowed beside Keras, absolute or relative to the largest number.
        unknown: other shapes with None where the layer allows unknown sizes; checked for the shape rule only.
        keras_make: makes Keras's layer where its constructor call differs.
        positive: inputs are drawn from (0.1, 1.1) instead of a normal distribution.
        prepare: called with our layer (and Keras's) before it is used, e.g. to adapt it.
        extra: further arguments of the call.
        other_dtypes: whether the layer also runs in float64 and bfloat16.
    """

    name: str
    make: str
    config: dict[str, Any]
    inputs: list[Shape]
    dtype: str = "float32"
    int_input_max: int = 5
    call_as_list: bool | None = None
    oracle: bool = True
    reason: str = ""
    gradient: bool = True
    training_state: bool = False
    random: bool = False
    tolerance: float = 1e-5
    unknown: list[list[Shape]] = field(default_factory=list)
    keras_make: Callable[[], Any] | None = None
    positive: bool = False
    prepare: Callable[[Any], None] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    other_dtypes: bool = True

    @property
    def as_list(self) -> bool:
        """Whether the inputs go in as one list."""
        return len(self.inputs) > 1 if self.call_as_list is None else self.call_as_list


CORE = [
    Case("InputLayer", "InputLayer", {"shape": (4,)}, [], oracle=False, reason="it has no call"),
    Case("Dense", "Dense", {"units": 4}, [(None, 6)]),
    Case("Dense relu, no bias", "Dense", {"units": 4, "activation": "relu", "use_bias": False}, [(None, 6)]),
    Case("Dense rank 3", "Dense", {"units": 4, "activation": "tanh"}, [(None, 5, 6)], unknown=[[(None, None, 6)]]),
    Case("Activation", "Activation", {"activation": "sigmoid"}, [(None, 3, 4)], unknown=[[(None, None, 4)]]),
]

CONVOLUTIONAL = [
    Case("Conv2D", "Conv2D", {"filters": 4, "kernel_size": 3}, [(None, 9, 10, 3)], unknown=[[(None, None, None, 3)]]),
    Case(
        "Conv2D same strides",
        "Conv2D",
        {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"},
        [(None, 9, 10, 3)],
        unknown=[[(None, None, 10, 3)], [(None, None, None, 3)]],
    ),
    Case(
        "Conv2D same strides even kernel",
        "Conv2D",
        {"filters": 4, "kernel_size": (4, 2), "strides": (3, 2), "padding": "same", "activation": "relu"},
        [(None, 9, 10, 3)],
    ),
    Case("Conv2D same even kernel", "Conv2D", {"filters": 2, "kernel_size": 4, "padding": "same"}, [(None, 7, 8, 3)]),
    Case(
        "Conv2D dilated",
        "Conv2D",
        {"filters": 4, "kernel_size": 3, "dilation_rate": (2, 1), "padding": "same"},
        [(None, 9, 10, 3)],
    ),
    Case(
        "Conv2D groups, no bias",
        "Conv2D",
        {"filters": 4, "kernel_size": 3, "groups": 2, "use_bias": False},
        [(None, 7, 8, 6)],
    ),
    Case(
        "Conv2D channels first",
        "Conv2D",
        {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", "data_format": "channels_first"},
        [(None, 3, 9, 10)],
        unknown=[[(None, 3, None, None)]],
    ),
]

POOLING = [
    Case("MaxPooling2D", "MaxPooling2D", {"pool_size": 3}, [(None, 9, 10, 3)], unknown=[[(None, None, None, 3)]]),
    Case(
        "MaxPooling2D same",
        "MaxPooling2D",
        {"pool_size": (2, 3), "strides": (2, 1), "padding": "same"},
        [(None, 9, 10, 3)],
        unknown=[[(None, None, None, 3)]],
    ),
    Case(
        "MaxPooling2D same strides 2",
        "MaxPooling2D",
        {"pool_size": 3, "strides": 2, "padding": "same"},
        [(None, 10, 9, 3)],
    ),
    Case("MaxPooling2D channels first", "MaxPooling2D", {"data_format": "channels_first"}, [(None, 3, 8, 9)]),
    Case("GlobalAveragePooling2D", "GlobalAveragePooling2D", {}, [(None, 5, 6, 3)], unknown=[[(None, None, None, 3)]]),
    Case("GlobalAveragePooling2D keepdims", "GlobalAveragePooling2D", {"keepdims": True}, [(None, 5, 6, 3)]),
    Case(
        "GlobalAveragePooling2D channels first", "GlobalAveragePooling2D", {"data_format": "channels_first"}, [(None, 3, 5, 6)]
    ),
]

NORMALIZATION: list[Case] = []

REGULARIZATION = [
    Case("Dropout", "Dropout", {"rate": 0.4}, [(None, 6)], random=True),
    Case("Dropout noise shape", "Dropout", {"rate": 0.4, "noise_shape": (None, 1, 3)}, [(None, 4, 3)], random=True),
]

SHAPING: list[Case] = []

PREPROCESSING: list[Case] = []

MERGING = [
    Case("Add", "Add", {}, [(None, 4, 3), (None, 4, 3), (None, 4, 3)], unknown=[[(None, None, 3), (None, 4, 3), (None, 4, 3)]]),
    Case("Add broadcast", "Add", {}, [(None, 4, 3), (None, 1, 3)]),
]

CASES = [
    *CORE, *CONVOLUTIONAL, *POOLING, *NORMALIZATION, *REGULARIZATION, *SHAPING, *PREPROCESSING, *MERGING,
]  # fmt: skip

HELPERS = {"Layer": "the base class", "Input": "a function that gives a tensor"}
"""Public names of ``anabranch.layers`` that need no row, and why; lower-case functions need none either."""
