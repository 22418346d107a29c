"""The one table of all layers: every cross-cutting test runs over its rows.

A new layer needs a row here, or ``test_every_layer.py`` fails. Add one row for each way of using it that another piece of code
serves: paddings, strides, layouts, axes, several inputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anabranch import layers

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
        still: the result in training mode is another than outside of it, and nothing is drawn.
        tolerance: the greatest error allowed beside Keras, absolute or relative to the largest number.
        unknown: other shapes with None where the layer allows unknown sizes; checked for the shape rule only.
        keras_make: makes Keras's layer where its constructor call differs.
        positive: inputs are drawn from (0.1, 1.1) instead of a normal distribution.
        prepare: called with our layer (and Keras's) before it is used, e.g. to adapt it.
        extra: further arguments of the call.
        other_dtypes: whether the layer also runs in float64 and bfloat16.
        positional: the numbers of the inputs that the call takes one by one, in the place of one input or list.
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
    still: bool = False
    tolerance: float = 1e-5
    unknown: list[list[Shape]] = field(default_factory=list)
    keras_make: Callable[[], Any] | None = None
    positive: bool = False
    prepare: Callable[[Any], None] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    other_dtypes: bool = True
    positional: tuple[int, ...] = ()

    @property
    def as_list(self) -> bool:
        """Whether the inputs go in as one list."""
        return len(self.inputs) > 1 if self.call_as_list is None else self.call_as_list

    def arguments(self, given: Any) -> list[Any]:
        """Return the positional arguments of the call for what is given: one input, or the list of them."""
        parts = given if isinstance(given, list) else [given]
        return [parts[number] for number in self.positional] if self.positional else [given]

    def call(self, layer: Any, given: Any, **more: Any) -> Any:
        """Call a layer on one input, or on the list of them."""
        return layer(*self.arguments(given), **{**self.extra, **more})


def _double(x: Any) -> Any:
    return x * 2


def _keras() -> Any:
    import keras

    return keras


CORE = [
    Case("InputLayer", "InputLayer", {"shape": (4,)}, [], oracle=False, reason="it has no call"),
    Case("Dense", "Dense", {"units": 4}, [(None, 6)]),
    Case("Dense relu, no bias", "Dense", {"units": 4, "activation": "relu", "use_bias": False}, [(None, 6)]),
    Case("Dense rank 3", "Dense", {"units": 4, "activation": "tanh"}, [(None, 5, 6)], unknown=[[(None, None, 6)]]),
    Case("Activation", "Activation", {"activation": "sigmoid"}, [(None, 3, 4)], unknown=[[(None, None, 4)]]),
    Case("Identity", "Identity", {}, [(None, 3, 4)], unknown=[[(None, None, 4)]]),
    Case("Lambda", "Lambda", {"function": _double}, [(None, 3)], keras_make=lambda: _keras().layers.Lambda(_double)),
    Case("Embedding", "Embedding", {"input_dim": 7, "output_dim": 3}, [(None, 5)], dtype="int32", int_input_max=7),
    Case(
        "Embedding-mask",
        "Embedding",
        {"input_dim": 7, "output_dim": 3, "mask_zero": True},
        [(None, 5)],
        dtype="int32",
        int_input_max=7,
        unknown=[[(None, None)]],
    ),
    Case("Masking", "Masking", {}, [(None, 5, 3)], unknown=[[(None, None, 3)]]),
    Case("Masking-value", "Masking", {"mask_value": 2.0}, [(None, 5, 3)]),
    *(
        Case(f"Activation {name}", "Activation", {"activation": name}, [(None, 3, 4)])
        for name in (
            "linear",
            "relu",
            "relu6",
            "leaky_relu",
            "hard_sigmoid",
            "log_sigmoid",
            "tanh",
            "hard_tanh",
            "tanh_shrink",
            "softmax",
            "log_softmax",
            "softplus",
            "softsign",
            "soft_shrink",
            "hard_shrink",
            "elu",
            "celu",
            "selu",
            "gelu",
            "silu",
            "swish",
            "hard_silu",
            "mish",
            "exponential",
            "squareplus",
            "sparse_plus",
            "sparse_sigmoid",
        )
    ),
    Case(
        "Activation sparsemax",
        "Activation",
        {"activation": "sparsemax"},
        [(None, 3, 4)],
        oracle=False,
        reason="Keras 3.15.1 on torch gives numbers that do not sum to 1; see tests/test_activations.py",
    ),
    Case(
        "Activation glu",
        "Activation",
        {"activation": "glu"},
        [(None, 3, 4)],
        oracle=False,
        reason="Keras's shape rule says that the axis keeps its size; see tests/test_activations.py",
    ),
    Case("Dense of integers", "Dense", {"units": 3}, [(None, 4)], dtype="int32"),
    Case(
        "Lambda with a shape",
        "Lambda",
        {"function": _double, "output_shape": (3,)},
        [(None, 3)],
        oracle=False,
        reason="as Lambda",
    ),
    Case("ReLU", "ReLU", {}, [(None, 3, 4)], unknown=[[(None, None, 4)]]),
    Case("ReLU options", "ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, [(None, 3, 4)]),
    Case("ReLU six", "ReLU", {"max_value": 6.0}, [(None, 3, 4)]),
    Case("LeakyReLU", "LeakyReLU", {"negative_slope": 0.2}, [(None, 3, 4)]),
    Case("ELU", "ELU", {"alpha": 0.7}, [(None, 3, 4)]),
    Case("PReLU", "PReLU", {"shared_axes": [1], "alpha_initializer": "random_normal"}, [(None, 3, 4)]),
    Case("Softmax", "Softmax", {}, [(None, 3, 4)]),
    Case("Softmax axes", "Softmax", {"axis": (1, 2)}, [(None, 3, 4)]),
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

CONVOLUTIONAL += [
    Case("Conv1D", "Conv1D", {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}, [(None, 10, 3)]),
    Case("Conv1D causal", "Conv1D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2, "padding": "causal"}, [(None, 9, 3)]),
    Case("Conv3D", "Conv3D", {"filters": 3, "kernel_size": 2, "padding": "same"}, [(None, 4, 5, 6, 2)]),
    Case("DepthwiseConv1D", "DepthwiseConv1D", {"kernel_size": 3, "padding": "same"}, [(None, 8, 3)]),
    Case("DepthwiseConv2D", "DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, [(None, 8, 9, 3)]),
    Case(
        "DepthwiseConv2D same strides",
        "DepthwiseConv2D",
        {"kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"},
        [(None, 8, 9, 3)],
        unknown=[[(None, None, None, 3)]],
    ),
    Case(
        "DepthwiseConv2D channels first",
        "DepthwiseConv2D",
        {"kernel_size": 3, "data_format": "channels_first", "use_bias": False},
        [(None, 3, 8, 9)],
    ),
    Case("SeparableConv1D", "SeparableConv1D", {"filters": 4, "kernel_size": 3, "padding": "same"}, [(None, 8, 3)]),
    Case(
        "SeparableConv2D",
        "SeparableConv2D",
        {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2},
        [(None, 8, 9, 3)],
        unknown=[[(None, None, None, 3)]],
    ),
    Case("SeparableConv2D dilated", "SeparableConv2D", {"filters": 5, "kernel_size": 3, "dilation_rate": 2}, [(None, 8, 9, 3)]),
    Case("Conv1DTranspose", "Conv1DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2}, [(None, 5, 3)]),
    Case(
        "Conv2DTranspose",
        "Conv2DTranspose",
        {"filters": 4, "kernel_size": 4, "strides": 3, "activation": "relu"},
        [(None, 4, 5, 3)],
    ),
    Case(
        "Conv2DTranspose same strides",
        "Conv2DTranspose",
        {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"},
        [(None, 4, 5, 3)],
        unknown=[[(None, None, None, 3)]],
    ),
    Case(
        "Conv2DTranspose output padding, channels first",
        "Conv2DTranspose",
        {"filters": 4, "kernel_size": 3, "strides": 2, "output_padding": 1, "data_format": "channels_first"},
        [(None, 3, 4, 5)],
    ),
    Case("Conv3DTranspose", "Conv3DTranspose", {"filters": 2, "kernel_size": 2, "strides": 2}, [(None, 2, 3, 4, 2)]),
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

POOLING += [
    *(
        Case(f"{kind}Pooling1D", f"{kind}Pooling1D", {"pool_size": 3, "strides": 2}, [(None, 9, 3)])
        for kind in ("Max", "Average")
    ),
    *(
        Case(f"{kind}Pooling3D", f"{kind}Pooling3D", {"pool_size": 2}, [(None, 4, 5, 6, 2)], other_dtypes=kind == "Max")
        for kind in ("Max", "Average")
    ),
    Case("AveragePooling2D", "AveragePooling2D", {"pool_size": (2, 3)}, [(None, 8, 9, 3)], unknown=[[(None, None, None, 3)]]),
    Case(
        "AveragePooling2D same",
        "AveragePooling2D",
        {"pool_size": 3, "strides": 2, "padding": "same"},
        [(None, 7, 9, 3)],
        unknown=[[(None, None, None, 3)]],
    ),
    Case(
        "AveragePooling2D same, uneven padding",
        "AveragePooling2D",
        {"pool_size": 3, "strides": 2, "padding": "same"},
        [(None, 8, 6, 3)],
        oracle=False,
        reason="Keras 3.15.1 on torch counts the padding there, on TensorFlow not; compared with NumPy in tests/layers",
    ),
    Case(
        "AveragePooling2D channels first",
        "AveragePooling2D",
        {"pool_size": 2, "data_format": "channels_first"},
        [(None, 3, 8, 9)],
    ),
    *(
        Case(f"Global{kind}Pooling{rank}D", f"Global{kind}Pooling{rank}D", {}, [(None, *(4, 5, 6)[:rank], 3)])
        for kind in ("Max", "Average")
        for rank in (1, 2, 3)
        if (kind, rank) != ("Average", 2)
    ),
]

NORMALIZATION: list[Case] = [
    Case("BatchNormalization", "BatchNormalization", {}, [(None, 4, 5, 3)], training_state=True),
    Case(
        "BatchNormalization rank 2", "BatchNormalization", {"momentum": 0.5, "epsilon": 0.1}, [(None, 6)], training_state=True
    ),
    Case(
        "BatchNormalization bare", "BatchNormalization", {"center": False, "scale": False}, [(None, 4, 3)], training_state=True
    ),
    Case("BatchNormalization axis 1", "BatchNormalization", {"axis": 1}, [(None, 3, 4, 5)], training_state=True),
    Case("BatchNormalization axis 2", "BatchNormalization", {"axis": 2}, [(None, 3, 4, 5)], training_state=True),
    Case("LayerNormalization", "LayerNormalization", {}, [(None, 4, 6)], unknown=[[(None, None, 6)]]),
    Case("LayerNormalization axes", "LayerNormalization", {"axis": [1, 2], "epsilon": 0.01}, [(None, 4, 6)]),
    Case(
        "LayerNormalization inner axis",
        "LayerNormalization",
        {"axis": 1},
        [(None, 4, 6)],
        oracle=False,
        reason="Keras 3.15.1 on torch raises there; compared with NumPy in tests/layers",
    ),
    Case("LayerNormalization bare", "LayerNormalization", {"center": False, "scale": False}, [(None, 4, 6)]),
    Case("GroupNormalization", "GroupNormalization", {"groups": 3}, [(None, 4, 5, 6)], unknown=[[(None, None, None, 6)]]),
    Case("GroupNormalization axis 1", "GroupNormalization", {"groups": 2, "axis": 1}, [(None, 6, 4, 5)]),
    Case("RMSNormalization", "RMSNormalization", {}, [(None, 4, 6)], unknown=[[(None, None, 6)]]),
    Case("UnitNormalization", "UnitNormalization", {}, [(None, 4, 6)], unknown=[[(None, None, 6)]]),
    Case("UnitNormalization axes", "UnitNormalization", {"axis": [1, 2]}, [(None, 4, 6)]),
]

REGULARIZATION = [
    Case("Dropout", "Dropout", {"rate": 0.4}, [(None, 6)], random=True),
    Case("Dropout noise shape", "Dropout", {"rate": 0.4, "noise_shape": (None, 1, 3)}, [(None, 4, 3)], random=True),
    Case("SpatialDropout1D", "SpatialDropout1D", {"rate": 0.4}, [(None, 4, 6)], random=True),
    Case("SpatialDropout2D", "SpatialDropout2D", {"rate": 0.4}, [(None, 4, 5, 6)], random=True),
    Case("SpatialDropout3D", "SpatialDropout3D", {"rate": 0.4}, [(None, 2, 3, 4, 6)], random=True),
    Case("GaussianNoise", "GaussianNoise", {"stddev": 0.4}, [(None, 6)], random=True),
    Case("GaussianDropout", "GaussianDropout", {"rate": 0.4}, [(None, 6)], random=True),
    *(
        Case(f"{name} with a seed", name, {value: 0.4, "seed": 3}, [(None, 6)], random=True)
        for name, value in (("Dropout", "rate"), ("GaussianNoise", "stddev"), ("GaussianDropout", "rate"))
    ),
    Case("ActivityRegularization", "ActivityRegularization", {"l1": 0.1, "l2": 0.1}, [(None, 6)]),
]

SHAPING: list[Case] = [
    Case("Flatten", "Flatten", {}, [(None, 3, 4, 2)]),
    Case("Flatten channels first", "Flatten", {"data_format": "channels_first"}, [(None, 3, 4, 2)]),
    Case("Reshape", "Reshape", {"target_shape": (4, -1)}, [(None, 6, 2)]),
    Case("Reshape around an unknown size", "Reshape", {"target_shape": (-1, 2)}, [(None, 6, 4)], unknown=[[(None, None, 4)]]),
    Case("Permute", "Permute", {"dims": (3, 1, 2)}, [(None, 2, 3, 4)], unknown=[[(None, None, 3, 4)]]),
    Case("RepeatVector", "RepeatVector", {"n": 3}, [(None, 4)]),
    Case("ZeroPadding1D", "ZeroPadding1D", {"padding": (1, 2)}, [(None, 4, 3)]),
    Case("ZeroPadding2D", "ZeroPadding2D", {"padding": ((1, 2), (0, 3))}, [(None, 4, 5, 3)], unknown=[[(None, None, 5, 3)]]),
    Case("ZeroPadding2D channels first", "ZeroPadding2D", {"padding": 2, "data_format": "channels_first"}, [(None, 3, 4, 5)]),
    Case("ZeroPadding3D", "ZeroPadding3D", {"padding": (1, 2, 1)}, [(None, 2, 3, 4, 2)]),
    Case("Cropping1D", "Cropping1D", {"cropping": (1, 2)}, [(None, 6, 3)]),
    Case("Cropping2D", "Cropping2D", {"cropping": ((1, 2), (0, 1))}, [(None, 6, 5, 3)], unknown=[[(None, None, 5, 3)]]),
    Case("Cropping2D channels first", "Cropping2D", {"cropping": 1, "data_format": "channels_first"}, [(None, 3, 6, 5)]),
    Case("Cropping3D", "Cropping3D", {"cropping": 1}, [(None, 4, 5, 6, 2)]),
    Case("UpSampling1D", "UpSampling1D", {"size": 3}, [(None, 4, 3)]),
    Case("UpSampling2D", "UpSampling2D", {"size": (2, 3)}, [(None, 4, 5, 3)], unknown=[[(None, None, None, 3)]]),
    Case("UpSampling2D bilinear", "UpSampling2D", {"interpolation": "bilinear"}, [(None, 4, 5, 3)]),
    Case("UpSampling2D bicubic", "UpSampling2D", {"interpolation": "bicubic"}, [(None, 6, 7, 3)], other_dtypes=False),
    Case("UpSampling2D channels first", "UpSampling2D", {"data_format": "channels_first"}, [(None, 3, 4, 5)]),
    Case("UpSampling3D", "UpSampling3D", {"size": (1, 2, 3)}, [(None, 2, 3, 2, 2)]),
]

PREPROCESSING: list[Case] = [
    Case("Rescaling", "Rescaling", {"scale": 1 / 255, "offset": -0.5}, [(None, 4, 5, 3)], dtype="uint8", int_input_max=256),
    Case("Normalization", "Normalization", {"mean": [1.0, 2.0, 3.0], "variance": [1.0, 4.0, 9.0]}, [(None, 4, 3)]),
    Case("Normalization one number", "Normalization", {"axis": None, "mean": 1.0, "variance": 4.0}, [(None, 4, 3)]),
    Case("Normalization inverse", "Normalization", {"mean": 1.0, "variance": 4.0, "invert": True}, [(None, 4, 3)]),
    Case(
        "Normalization adapted",
        "Normalization",
        {},
        [(None, 4, 3)],
        prepare=lambda layer: layer.adapt(np.random.default_rng(5).normal(3.0, 2.0, (50, 4, 3)).astype("float32")),
    ),
    Case("Resizing", "Resizing", {"height": 4, "width": 7}, [(None, 6, 5, 3)], unknown=[[(None, None, None, 3)]]),
    Case(
        "Resizing bicubic", "Resizing", {"height": 4, "width": 7, "interpolation": "bicubic", "antialias": True},
        [(None, 6, 5, 3)],
    ),
    Case("Resizing nearest", "Resizing", {"height": 9, "width": 3, "interpolation": "nearest"}, [(None, 6, 5, 3)]),
    Case("Resizing cropped", "Resizing", {"height": 4, "width": 8, "crop_to_aspect_ratio": True}, [(None, 6, 5, 3)]),
    Case(
        "Resizing padded", "Resizing",
        {"height": 4, "width": 8, "pad_to_aspect_ratio": True, "fill_value": 0.5, "data_format": "channels_first"},
        [(None, 3, 6, 5)],
    ),
    Case(
        "Resizing lanczos", "Resizing", {"height": 4, "width": 8, "interpolation": "lanczos3"}, [(None, 6, 5, 3)], oracle=False,
        reason="Keras on torch refuses it",
    ),
    Case("CenterCrop", "CenterCrop", {"height": 4, "width": 3}, [(None, 6, 5, 3)]),
    Case("CenterCrop first", "CenterCrop", {"height": 3, "width": 2, "data_format": "channels_first"}, [(None, 3, 6, 5)]),
    Case("CenterCrop of smaller images", "CenterCrop", {"height": 4, "width": 8}, [(None, 6, 5, 3)]),
    Case("RandomFlip", "RandomFlip", {"mode": "horizontal"}, [(None, 6, 5, 3)], random=True),
    Case("RandomFlip channels first", "RandomFlip", {"data_format": "channels_first"}, [(None, 3, 6, 5)], random=True),
    Case(
        "RandomCrop", "RandomCrop", {"height": 4, "width": 3}, [(None, 6, 5, 3)], random=True, oracle=False,
        reason="Keras leaves images whole outside training, against its own shape rule; here the middle is taken",
    ),
    Case("RandomTranslation", "RandomTranslation", {"height_factor": 0.3, "width_factor": 0.2}, [(None, 6, 5, 3)], random=True),
    Case("RandomFlip seed", "RandomFlip", {"seed": 3}, [(None, 6, 5, 3)], random=True, unknown=[[(None, None, None, 3)]]),
    Case("RandomRotation", "RandomRotation", {"factor": 0.2, "fill_mode": "wrap"}, [(None, 6, 5, 3)], random=True),
    Case("RandomZoom", "RandomZoom", {"height_factor": 0.3}, [(None, 6, 5, 3)], random=True, unknown=[[(None, None, None, 3)]]),
    *(
        Case(name, name, config, [(None, 6, 5, 3)], random=True, unknown=[[(None, None, None, 3)]])
        for name, config in {
            "RandomShear": {"x_factor": 0.4, "y_factor": 0.3},
            "RandomPerspective": {"scale": 0.5},
            "RandomHue": {"factor": 0.6, "value_range": (-9, 9)},
            "RandomColorDegeneration": {"factor": 0.6, "value_range": (-9, 9)},
            "RandomGrayscale": {},
            "RandomInvert": {"factor": 0.6, "value_range": (-9, 9)},
            "RandomSharpness": {"factor": 0.9, "value_range": (-9, 9)},
            "RandomGaussianBlur": {"kernel_size": 3, "value_range": (-9, 9)},
            "RandomErasing": {"value_range": (-9, 9)},
            "Solarization": {"addition_factor": 0.3, "threshold_factor": 0.7, "value_range": (-9, 9)},
            "RandomPosterization": {"factor": (1, 5), "value_range": (-9, 9)},
            "RandomColorJitter": {"brightness_factor": 0.2, "contrast_factor": 0.3, "value_range": (-9, 9)},
        }.items()
    ),
    Case("RandomSaturation", "RandomSaturation", {"factor": 0.6}, [(None, 6, 5, 3)], random=True, positive=True),
    Case("RandomElasticTransform", "RandomElasticTransform", {"value_range": (-9, 9)}, [(None, 6, 5, 3)], random=True),
    Case(
        "RandomShear first", "RandomShear", {"x_factor": 0.4, "data_format": "channels_first", "seed": 1}, [(None, 3, 6, 5)],
        random=True,
    ),
    Case("CutMix", "CutMix", {}, [(None, 6, 5, 3)], random=True, unknown=[[(None, None, None, 3)]]),
    Case("MixUp", "MixUp", {"alpha": 0.4}, [(None, 6, 5, 3)], random=True, unknown=[[(None, None, None, 3)]]),
    Case("RandAugment", "RandAugment", {"value_range": (-9, 9)}, [(None, 6, 5, 3)], random=True),
    Case(
        "AugMix",
        "AugMix",
        {"value_range": (-9, 9), "num_chains": 2, "chain_depth": 2, "all_ops": False},
        [(None, 6, 5, 3)],
        random=True,
    ),
    Case("MaxNumBoundingBoxes", "MaxNumBoundingBoxes", {"max_number": 3}, [(None, 6, 5, 3)]),
    Case(
        "Pipeline",
        "Pipeline",
        {"layers": [layers.Resizing(4, 7), layers.Rescaling(0.5)]},
        [(None, 6, 5, 3)],
oracle=False,
        reason="Keras warns of a layer that is not built; beside it in tests/layers/test_images.py",
        keras_make=lambda: _keras().layers.Pipeline([_keras().layers.Resizing(4, 7), _keras().layers.Rescaling(0.5)]),
        other_dtypes=False,
    ),
    Case("AutoContrast", "AutoContrast", {"value_range": (-9, 9)}, [(None, 6, 5, 3)], gradient=False),
    Case(
        "Equalization", "Equalization", {"value_range": (-9, 9)}, [(None, 6, 5, 3)], gradient=False, still=True, oracle=False,
        reason="Keras's histogram is of the whole batch; each image beside it in tests/layers/test_images.py",
    ),
    Case(
        "CLAHE", "ContrastLimitedAdaptiveHistogramEqualization",
        {"value_range": (-9, 9), "tile_grid_size": (2, 2), "clip_limit": 0.0}, [(None, 6, 5, 3)], gradient=False,
    ),
    Case("RandomContrast", "RandomContrast", {"factor": 0.3, "value_range": (-9, 9)}, [(None, 6, 5, 3)], random=True),
    Case("RandomBrightness", "RandomBrightness", {"factor": 0.3, "value_range": (-9, 9)}, [(None, 6, 5, 3)], random=True),
]  # fmt: skip

_TENSORFLOW = "Keras needs TensorFlow for it: tests/layers/tables compares with what that gave"


def _learn_bins(layer: Any) -> None:
    layer.update_state(np.random.default_rng(5).normal(0.0, 2.0, (500,)).astype("float32"))  # Keras's adapt needs TensorFlow
    layer.finalize_state()


TABLES: list[Case] = [
    *(
        Case(f"CategoryEncoding {mode}", "CategoryEncoding", {"num_tokens": 5, "output_mode": mode}, [(None, 4)], "int64")
        for mode in ("multi_hot", "one_hot", "count")
    ),
    Case(
        "CategoryEncoding column", "CategoryEncoding", {"num_tokens": 5, "output_mode": "one_hot"}, [(None, 1)], dtype="int32"
    ),
    Case(
        "Discretization", "Discretization", {"bin_boundaries": [-0.5, 0.0, 0.7]}, [(None, 4)], other_dtypes=False,
        gradient=False,
    ),
    Case(
        "Discretization one-hot", "Discretization", {"bin_boundaries": [-0.5, 0.7], "output_mode": "one_hot"}, [(None, 1)],
        gradient=False,
    ),
    Case(
        "Discretization adapted", "Discretization", {"num_bins": 4, "epsilon": 0.02}, [(None, 4)], other_dtypes=False,
        gradient=False, prepare=_learn_bins,
    ),
    Case(
        "IntegerLookup", "IntegerLookup", {"vocabulary": [1, 3, 4]}, [(None, 4)], dtype="int64", oracle=False,
        reason=_TENSORFLOW, other_dtypes=False, unknown=[[(None, None)]],
    ),
    Case(
        "IntegerLookup multi-hot", "IntegerLookup",
        {"vocabulary": [1, 3, 4], "output_mode": "multi_hot", "num_oov_indices": 2, "mask_token": 0}, [(None, 4)],
        dtype="int64", oracle=False, reason=_TENSORFLOW, other_dtypes=False,
    ),
    *(
        Case(name, name, config, [], dtype="string", oracle=False, reason=_TENSORFLOW)
        for name, config in (
            ("StringLookup", {"vocabulary": ["a", "b"]}), ("Hashing", {"num_bins": 3}), ("HashedCrossing", {"num_bins": 3}),
            ("TextVectorization", {"vocabulary": ["a", "b"], "ngrams": 2}),
        )
    ),
]  # fmt: skip

MERGING = [
    Case("Add", "Add", {}, [(None, 4, 3), (None, 4, 3), (None, 4, 3)], unknown=[[(None, None, 3), (None, 4, 3), (None, 4, 3)]]),
    Case(
        "Add broadcast",
        "Add",
        {"broadcast": True},
        [(None, 4, 3), (None, 1, 3)],
        keras_make=lambda: _keras().layers.Add(),
    ),
    *(Case(name, name, {}, [(None, 4, 3), (None, 4, 3)]) for name in ("Subtract", "Multiply", "Average", "Maximum", "Minimum")),
    Case("Add lower rank", "Add", {"broadcast": True}, [(None, 4, 3), (None, 3)], keras_make=lambda: _keras().layers.Add()),
    Case("Multiply gate", "Multiply", {}, [(None, 4, 5, 3), (None, 1, 1, 3)]),
    Case("Average of three", "Average", {}, [(None, 4), (None, 4), (None, 4)]),
    Case("Concatenate", "Concatenate", {}, [(None, 4, 3), (None, 4, 2)], unknown=[[(None, None, 3), (None, 4, 2)]]),
    Case("Concatenate axis 1", "Concatenate", {"axis": 1}, [(None, 4, 3), (None, 2, 3), (None, 1, 3)]),
    Case("Concatenate of one", "Concatenate", {}, [(None, 4)], call_as_list=True),
    Case("Dot", "Dot", {"axes": 1}, [(None, 4), (None, 4)]),
    Case("Dot matrices", "Dot", {"axes": (2, 1)}, [(None, 3, 4), (None, 4, 5)]),
    Case("Dot normalized", "Dot", {"axes": 2, "normalize": True}, [(None, 3, 4), (None, 5, 4)]),
    Case("Dot uneven ranks", "Dot", {"axes": (2, 1)}, [(None, 3, 4), (None, 4)]),
]

ATTENTION = [
    Case(
        "EinsumDense", "EinsumDense", {"equation": "abc,cde->abde", "output_shape": (5, 2, 4), "bias_axes": "de"},
        [(None, 5, 6)],
    ),
    Case(
        "EinsumDense over two axes", "EinsumDense",
        {"equation": "abcd,cde->abe", "output_shape": (5, 3), "bias_axes": "e", "activation": "relu"}, [(None, 5, 2, 4)],
    ),
    Case(
        "EinsumDense left out on the left", "EinsumDense", {"equation": "...b,bc->...c", "output_shape": 4, "bias_axes": "c"},
        [(None, 5, 6)],
    ),
    Case(
        "EinsumDense left out on the right", "EinsumDense",
        {"equation": "ab...,bc->ac...", "output_shape": 4, "bias_axes": "c"}, [(None, 5, 6)],
    ),
    Case(
        "EinsumDense, a bias for some axes", "EinsumDense",
        {"equation": "abc,cde->abde", "output_shape": (5, 2, 4), "bias_axes": "d"}, [(None, 5, 6)],
    ),
    Case(
        "EinsumDense, no matrix", "EinsumDense", {"equation": "abc,bcd->abd", "output_shape": (5, 3), "bias_axes": "bd"},
        [(None, 5, 6)],
    ),
    Case(
        "MultiHeadAttention", "MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, [(None, 5, 6)], positional=(0, 0),
        unknown=[[(None, None, 6)]],
    ),
    Case(
        "MultiHeadAttention causal", "MultiHeadAttention", {"num_heads": 2, "key_dim": 4, "use_bias": False}, [(None, 5, 6)],
        positional=(0, 0), extra={"use_causal_mask": True}, unknown=[[(None, None, 6)]],
    ),
    Case(
        "MultiHeadAttention with a window", "MultiHeadAttention", {"num_heads": 2, "key_dim": 4, "sliding_window": 2},
        [(None, 5, 6)], positional=(0, 0), extra={"use_causal_mask": True},
    ),
    Case(
        "MultiHeadAttention across", "MultiHeadAttention",
        {"num_heads": 2, "key_dim": 3, "value_dim": 4, "output_shape": 7, "use_gate": True},
        [(None, 5, 6), (None, 3, 8), (None, 3, 2)], positional=(0, 1, 2),
    ),
    Case(
        "MultiHeadAttention over two axes", "MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, [(None, 4, 5, 6)],
        positional=(0, 0),
    ),
    Case(
        "MultiHeadAttention over one of two axes", "MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "attention_axes": 2},
        [(None, 4, 5, 6)], positional=(0, 0),
    ),
    Case(
        "MultiHeadAttention scores", "MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, [(None, 5, 6)], positional=(0, 0),
        extra={"return_attention_scores": True},
    ),
    Case(
        "MultiHeadAttention dropout", "MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "dropout": 0.4}, [(None, 5, 6)],
        positional=(0, 0), random=True,
    ),
    Case(
        "MultiHeadAttention dropout with a seed", "MultiHeadAttention",
        {"num_heads": 2, "key_dim": 3, "dropout": 0.4, "seed": 3},
        [(None, 5, 6)], positional=(0, 0), random=True,
    ),
    Case(
        "GroupQueryAttention", "GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
        [(None, 5, 6)], positional=(0, 0), extra={"use_causal_mask": True}, unknown=[[(None, None, 6)]],
    ),
    Case(
        "GroupQueryAttention across, with scores", "GroupQueryAttention",
        {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 1, "use_gate": True}, [(None, 5, 6), (None, 3, 6)],
        positional=(0, 1), extra={"return_attention_scores": True},
    ),
    Case(
        "GroupQueryAttention dropout", "GroupQueryAttention",
        {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, "dropout": 0.4, "seed": 2}, [(None, 5, 6)],
        positional=(0, 0), random=True,
    ),
    Case("Attention", "Attention", {}, [(None, 5, 6), (None, 4, 6)], unknown=[[(None, None, 6), (None, None, 6)]]),
    Case("Attention scaled, keys", "Attention", {"use_scale": True}, [(None, 5, 6), (None, 4, 3), (None, 4, 6)]),
    Case(
        "Attention scores, causal", "Attention", {"use_scale": True}, [(None, 5, 6), (None, 4, 6)],
        extra={"return_attention_scores": True, "use_causal_mask": True},
    ),
    Case("Attention concat", "Attention", {"score_mode": "concat", "use_scale": True}, [(None, 5, 6), (None, 4, 6)]),
    Case("Attention dropout", "Attention", {"dropout": 0.4, "seed": 1}, [(None, 5, 6), (None, 4, 6)], random=True),
    Case(
        "AdditiveAttention", "AdditiveAttention", {}, [(None, 5, 6), (None, 4, 6)],
        unknown=[[(None, None, 6), (None, None, 6)]],
    ),
    Case(
        "AdditiveAttention causal", "AdditiveAttention", {"use_scale": False}, [(None, 5, 6), (None, 4, 6)],
        extra={"use_causal_mask": True},
    ),
    Case(
        "AdditiveAttention dropout", "AdditiveAttention", {"dropout": 0.4, "seed": 1}, [(None, 5, 6), (None, 4, 6)],
        random=True,
    ),
    Case(
        "ReversibleEmbedding", "ReversibleEmbedding", {"input_dim": 7, "output_dim": 3}, [(None, 5)], dtype="int32",
        int_input_max=7,
    ),
    Case(
        "ReversibleEmbedding reversed", "ReversibleEmbedding",
        {"input_dim": 7, "output_dim": 3, "tie_weights": False, "logit_soft_cap": 2.0}, [(None, 5, 3)], extra={"reverse": True},
    ),
    *(
        Case(
            f"Adaptive{kind}Pooling{rank}D", f"Adaptive{kind}Pooling{rank}D", {"output_size": (2, 3, 2)[:rank]},
            [(None, *(5, 7, 6)[:rank], 2)], unknown=[[(None, *(None,) * rank, 2)]],
        )
        for kind in ("Average", "Max") for rank in (1, 2, 3)
    ),
    Case(
        "AdaptiveAveragePooling2D channels first", "AdaptiveAveragePooling2D",
        {"output_size": 2, "data_format": "channels_first"}, [(None, 3, 5, 7)],
    ),
    Case("AlphaDropout", "AlphaDropout", {"rate": 0.4}, [(None, 6)], random=True),
    Case(
        "AlphaDropout with a seed", "AlphaDropout", {"rate": 0.4, "seed": 3, "noise_shape": (None, 3)}, [(None, 3)],
        random=True,
    ),
]  # fmt: skip


CASES = [
    *CORE, *CONVOLUTIONAL, *POOLING, *NORMALIZATION, *REGULARIZATION, *SHAPING, *PREPROCESSING, *TABLES, *MERGING, *ATTENTION,
]  # fmt: skip

HELPERS = {
    "Layer": "the base class",
    "Wrapper": "a base class",
    "Input": "a function that gives a tensor",
    "TorchModuleWrapper": "Keras's name of TorchModule",
    "TorchModule": "runs another author's module as it is: tests/layers/test_torch_module.py",
}
"""Public names of ``anabranch.layers`` that need no row, and why; lower-case functions need none either."""


# Recurrent layers


def described(kind: str, /, **config: Any) -> dict[str, Any]:
    """Return a layer as data, so that each layer of a row holds one of its own."""
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


CELLS = [described("LSTMCell", units=3, name="lower"), described("GRUCell", units=4, name="upper")]
CELL, STACK = described("GRUCell", units=4, name="cell"), described("StackedRNNCells", cells=CELLS, name="stack")


def _theirs(name: str, **config: Any) -> Callable[[], Any]:
    """Return what makes Keras's layer, which a constructor would not take as data."""
    return lambda: _keras().layers.deserialize(copy.deepcopy(described(name, **config)))


STATE = np.linspace(-1, 1, 4, dtype="float32")[None]
GATED = ("GRU", "LSTM")
RECURRENT = [
    *(Case(name, name, {"units": 4}, [(None, 5, 3)], unknown=[[(None, None, 3)]]) for name in ("SimpleRNN", *GATED)),
    *(
        Case(
            f"{name} all",
            name,
            {"units": 4, "return_sequences": True, "return_state": True, "go_backwards": True},
            [(None, 5, 3)],
        )
        for name in ("SimpleRNN", *GATED)
    ),
    Case("SimpleRNN relu", "SimpleRNN", {"units": 4, "activation": "relu", "use_bias": False}, [(None, 5, 3)]),
    Case("SimpleRNN sigmoid", "SimpleRNN", {"units": 4, "activation": "sigmoid"}, [(None, 5, 3)]),
    Case("SimpleRNN dropout", "SimpleRNN", {"units": 4, "dropout": 0.3, "recurrent_dropout": 0.3}, [(None, 5, 3)], random=True),
    Case("GRU reset before", "GRU", {"units": 4, "reset_after": False}, [(None, 5, 3)]),
    Case("GRU dropout", "GRU", {"units": 4, "dropout": 0.3, "seed": 1}, [(None, 5, 3)], random=True),
    Case(
        "GRU reset before, dropout",
        "GRU",
        {"units": 4, "reset_after": False, "recurrent_dropout": 0.3},
        [(None, 5, 3)],
        random=True,
    ),
    Case(
        "LSTM relu, unrolled",
        "LSTM",
        {"units": 4, "activation": "relu", "unroll": True, "return_sequences": True},
        [(None, 5, 3)],
    ),
    Case("LSTM step by step", "LSTM", {"units": 4, "use_cudnn": False, "unit_forget_bias": False}, [(None, 5, 3)]),
    Case("LSTM dropout", "LSTM", {"units": 4, "dropout": 0.3, "recurrent_dropout": 0.3}, [(None, 5, 3)], random=True),
    Case(
        "LSTM initial state",
        "LSTM",
        {"units": 4},
        [(None, 5, 3)],
        extra={"initial_state": [STATE, STATE]},
    ),
    *(Case(f"{n}Cell", f"{n}Cell", {"units": 4}, [(None, 3)], extra={"states": [STATE]}) for n in ("SimpleRNN", "GRU")),
    Case(
        "RNN", "RNN", {"cell": CELL, "return_state": True}, [(None, 5, 3)], other_dtypes=False,  # the cell has its own
        keras_make=_theirs("RNN", cell=CELL, return_state=True),
    ),
    Case(
        "RNN of two cells", "RNN", {"cell": STACK, "return_sequences": True}, [(None, 5, 3)], other_dtypes=False,
        keras_make=_theirs("RNN", cell=STACK, return_sequences=True),
    ),
    Case(
        "StackedRNNCells", "StackedRNNCells", {"cells": CELLS}, [(None, 3)], other_dtypes=False,
        extra={"states": [[STATE[:, :3], STATE[:, :3]], [STATE]]}, keras_make=_theirs("StackedRNNCells", cells=CELLS),
    ),
    Case("LSTMCell", "LSTMCell", {"units": 4}, [(None, 3)], extra={"states": [STATE, STATE]}),
    Case("ConvLSTM1D", "ConvLSTM1D", {"filters": 4, "kernel_size": 3}, [(None, 4, 7, 3)], unknown=[[(None, None, 7, 3)]]),
    Case(
        "ConvLSTM2D", "ConvLSTM2D", {"filters": 2, "kernel_size": (2, 3)}, [(None, 3, 5, 5, 2)],
        unknown=[[(None, None, 5, 5, 2)]],
    ),
    Case(
        "ConvLSTM2D all", "ConvLSTM2D",
        {
            "filters": 2, "kernel_size": (3, 2), "strides": (1, 2), "padding": "same", "return_sequences": True,
            "return_state": True, "go_backwards": True, "use_bias": False,
        },
        [(None, 3, 5, 6, 2)],
    ),
    Case(
        "ConvLSTM2D channels first", "ConvLSTM2D",
        {"filters": 2, "kernel_size": 3, "dilation_rate": 2, "data_format": "channels_first", "return_sequences": True},
        [(None, 3, 2, 6, 6)],
    ),
    Case(
        "ConvLSTM2D dropout", "ConvLSTM2D", {"filters": 2, "kernel_size": 2, "dropout": 0.3, "recurrent_dropout": 0.3},
        [(None, 3, 4, 4, 2)], random=True,
    ),
    Case(
        "ConvLSTM3D", "ConvLSTM3D",
        {"filters": 2, "kernel_size": 2, "activation": "relu", "unit_forget_bias": False, "unroll": True},
        [(None, 2, 3, 3, 3, 2)],
    ),
]  # fmt: skip

FORWARD = described("LSTM", units=4, return_sequences=True, return_state=True, name="forward_lstm")
BACKWARD = described("LSTM", units=4, return_sequences=True, return_state=True, go_backwards=True, name="backward_lstm")
ONE, OTHER = described("GRU", units=4, name="forward_gru"), described("GRU", units=4, go_backwards=True, name="backward_gru")
STEP, IMAGE = described("Dense", units=4, name="step"), described("Conv2D", filters=2, kernel_size=2, name="image")
RECURRENT += [
    Case(
        "Bidirectional", "Bidirectional", {"layer": ONE, "backward_layer": OTHER}, [(None, 5, 3)], unknown=[[(None, None, 3)]],
        keras_make=_theirs("Bidirectional", layer=ONE, backward_layer=OTHER), other_dtypes=False,
    ),
    *(
        Case(
            f"Bidirectional {mode}", "Bidirectional", {"layer": FORWARD, "backward_layer": BACKWARD, "merge_mode": mode},
            [(None, 5, 3)], keras_make=_theirs("Bidirectional", layer=FORWARD, backward_layer=BACKWARD, merge_mode=mode),
            other_dtypes=False,
        )
        for mode in ("ave", "mul", None)
    ),
    Case(
        "TimeDistributed", "TimeDistributed", {"layer": STEP}, [(None, 5, 3)], unknown=[[(None, None, 3)]],
        keras_make=_theirs("TimeDistributed", layer=STEP), other_dtypes=False,
    ),
    Case(
        "TimeDistributed image", "TimeDistributed", {"layer": IMAGE}, [(None, 2, 5, 5, 3)], other_dtypes=False,
        keras_make=_theirs("TimeDistributed", layer=IMAGE),
    ),
    *(
        Case(
            f"SpectralNormalization {inner['config']['name']}", "SpectralNormalization",
            {"layer": inner, "power_iterations": 3}, [shape],
            keras_make=_theirs("SpectralNormalization", layer=inner, power_iterations=3), other_dtypes=False,
            training_state=True, still=True,
        )
        for inner, shape in ((STEP, (None, 3)), (IMAGE, (None, 5, 5, 3)))
    ),
]  # fmt: skip

CASES += RECURRENT

FRAMES = {"frame_length": 8, "frame_step": 3, "fft_length": 16, "window": None}  # Keras needs SciPy for the names of windows
BANDS = {"fft_length": 16, "sequence_stride": 5, "sampling_rate": 64, "num_mel_bins": 4, "min_freq": 1.0}
CASES += [
    Case("STFTSpectrogram", "STFTSpectrogram", FRAMES, [(None, 21, 2)], unknown=[[(None, None, 2)]]),
    *(
        Case(f"STFTSpectrogram {mode}", "STFTSpectrogram", {**FRAMES, "mode": mode}, [(None, 21, 2)])
        for mode in ("magnitude", "psd", "real", "imag", "angle", "stft")
    ),
    Case(
        "STFTSpectrogram same, apart", "STFTSpectrogram",
        {
            "frame_length": 6, "window": [0.5, 1.0, 2.0, 1.0, 0.5, 0.25], "scaling": "spectrum", "padding": "same",
            "expand_dims": True,
        },
        [(None, 21, 2)],
    ),
    *(
        Case(
            f"STFTSpectrogram channels first, apart={apart}", "STFTSpectrogram",
            {**FRAMES, "mode": "stft", "expand_dims": apart, "data_format": "channels_first"}, [(None, 2, 21)],
        )
        for apart in (False, True)
    ),
    Case("MelSpectrogram", "MelSpectrogram", BANDS, [(None, 47)], unknown=[[(None, None)]], tolerance=1e-4),
    Case(
        "MelSpectrogram magnitude", "MelSpectrogram",
        {**BANDS, "sequence_length": 12, "window": "hamming", "max_freq": 20.0, "power_to_db": False, "mag_exp": 1.0},
        [(None, 47)],
    ),
]  # fmt: skip
