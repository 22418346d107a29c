"""The one table of other values: for each setting, what it is changed to where a test shows that it has an effect.

A new setting needs a row here, or ``test_every_argument.py`` fails. ``OTHERS`` is by the setting's name; ``FOR`` is by class
and setting, and wins. A row is a tuple of values, one of which must change something. :class:`With` adds what else must be set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from anabranch import constraints, initializers, optimizers, quantizers, regularizers


@dataclass(frozen=True)
class With:
    """A value that has an effect together with others."""

    value: Any
    others: dict[str, Any]


def _scaled(x: Any, factor: float = 1.0) -> Any:
    return x * factor


def _branching(x: Any) -> Any:
    return x * 2 if float(x.sum()) > 0 else x * 3


def _constant() -> Any:
    return initializers.Constant(0.3)


def _penalty() -> Any:
    return regularizers.L1(0.5)


def _bound() -> Any:
    return constraints.MaxNorm(0.01)


SEED = (11, 12)  # two, as a draw may be the same by chance
WINDOWS: dict[str, tuple[Any, ...]] = {
    "filters": (6, 2), "kernel_size": (2, 1), "strides": (2, 1), "pool_size": (3, 1), "padding": ("same", "valid"),
    "data_format": ("channels_first", "channels_last"), "dilation_rate": (2, 1), "groups": (3, 1), "depth_multiplier": (2, 1),
    "output_padding": (With(1, {"strides": 2}), With((1, 0), {"strides": 2})), "keepdims": (True, False),
    "size": (2, 3), "interpolation": ("bilinear", "nearest"), "cropping": (2,),
}  # fmt: skip
VALUES: dict[str, tuple[Any, ...]] = {
    "activation": ("tanh",), "units": (5,), "use_bias": (False, True), "input_dim": (9,), "output_dim": (9,),
    "axis": (1, -1, 2), "momentum": (0.5,), "epsilon": (0.3,), "center": (False, True), "scale": (False, True),
    "rate": (0.6,), "stddev": (0.9,), "noise_shape": ((None, 1), (None, 1, 1)), "seed": SEED, "alpha": (0.7,),
    "negative_slope": (0.6,), "threshold": (0.4, 0.2), "max_value": (0.2,), "mask_value": (1.0,), "mask_zero": (True,),
    "shared_axes": ([1], [1, 2]), "dims": ((2, 1, 3), (2, 1)), "n": (5,), "target_shape": ((-1,),), "normalize": (True, False),
    "axes": (1, 2), "broadcast": (True, False), "l1": (0.9,), "l2": (0.9,), "function": (torch.sigmoid,),
    "arguments": (With({"factor": 3.0}, {"function": _scaled}),), "weights": ([np.full((7, 3), 0.5)],),
    "mean": (2.5,), "variance": (2.5,), "invert": (True, False),
    "offset": (0.7,), "factor": (0.9,), "height": (3,), "width": (2,), "mode": ("vertical", "horizontal", "columns"),
    "height_factor": (0.9,), "width_factor": (0.9,), "fill_mode": ("constant", "nearest"),
    "fill_value": (With(3.0, {"fill_mode": "constant"}),), "value_range": ((-0.5, 0.5),),
    "rms_scaling": (True,), "renorm": (True,), "renorm_clipping": ({"rmax": 2.0},), "renorm_momentum": (0.5,),
    "x_factor": (0.9,), "y_factor": (0.9,), "addition_factor": (0.9,), "threshold_factor": (0.9,), "bins": (4,),
    **dict.fromkeys(("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor"), (0.9,)), "clip_limit": (0.5,),
    "tile_grid_size": ((1, 2),),
    "num_ops": (5,), "num_chains": (4,), "chain_depth": (4,), "all_ops": (True, False), "sigma": (0.1,),
    "crop_to_aspect_ratio": (True,), "pad_to_aspect_ratio": (True,), "antialias": (With(True, {"height": 2, "width": 2}),),
    "equation": ("abc,cde->abed",), "bias_axes": (None,), "num_heads": (3,), "key_dim": (5,), "value_dim": (5,),
    "dropout": (0.6,),     "sliding_window": (1,), "attention_axes": (2, 1), "use_gate": (True, False),
    "head_dim": (5,), "num_query_heads": (8,), "num_key_value_heads": (4, 1),
    "output_size": (3,), "tie_weights": (False, True), "reverse_dtype": ("float64",), "logit_soft_cap": (0.5,),
    "use_scale": (True, False), "score_mode": ("concat", "dot"),
    "flash_attention": (With(True, {"dropout": 0.5}),), "gptq_unpacked_column_size": (4,),
    "synchronized": (True,), "lora_rank": (4,), "lora_alpha": (With(4, {"lora_rank": 2}),),
    "quantization_config": (
        With(quantizers.Int8QuantizationConfig(activation_quantizer=None), {"dtype": "int8_from_float32"}),
    ),
}  # fmt: skip
WEIGHTS: dict[str, tuple[Any, ...]] = {
    f"{weight}_{option}": (value(),)
    for weight in (
        "kernel", "recurrent", "bias", "depthwise", "pointwise", "embeddings", "beta", "gamma", "alpha",
    )
    for option, value in (("initializer", _constant), ("regularizer", _penalty), ("constraint", _bound))
}  # fmt: skip
RECURRENT = (
    "SimpleRNN", "GRU", "LSTM", "SimpleRNNCell", "GRUCell", "LSTMCell", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D",
)  # fmt: skip
STEPS: dict[str, tuple[Any, ...]] = {
    "recurrent_activation": ("tanh",), "unit_forget_bias": (False, True), "dropout": (0.6,), "recurrent_dropout": (0.6,),
    "return_sequences": (True, False), "return_state": (True, False), "go_backwards": (True, False), "stateful": (True,),
    "unroll": (True,), "zero_output_for_mask": (True,), "reset_after": (False,), "use_cudnn": (False,),
    "implementation": (With(1, {"dropout": 0.5}),),
    "cell": ({"module": "keras.layers", "class_name": "GRUCell", "config": {"units": 7}},),
    "layer": (
        {"module": "keras.layers", "class_name": "GRU", "config": {"units": 4, "activation": "relu"}},
        {"module": "keras.layers", "class_name": "Dense", "config": {"units": 7}},
    ),
    "backward_layer": (
        {"module": "keras.layers", "class_name": "GRU", "config": {"units": 4, "use_bias": False, "go_backwards": True}},
    ),
    "merge_mode": ("sum",),
    "cells": ([{"module": "keras.layers", "class_name": "GRUCell", "config": {"units": 7}}],),
}  # fmt: skip
WEIGHTS |= {f"moving_{name}_initializer": (_constant(),) for name in ("mean", "variance")}
COMMON: dict[str, tuple[Any, ...]] = {
    "name": ("other",), "dtype": ("float64",), "trainable": (False,), "activity_regularizer": (_penalty(),),
}  # fmt: skip
TRAINING: dict[str, tuple[Any, ...]] = {
    "margin": (0.9,), "remove_diagonal": (False,), "num_classes": (4,), "target_class_ids": ([1], [2]),
    "sparse_y_true": (True, False), "sparse_y_pred": (True, False), "num_regressors": (2,),
    "class_aggregation": ("variance_weighted_average", None),
    "reduction": ("sum", "none"), "from_logits": (True,), "label_smoothing": (0.3,), "gamma": (3.5,), "delta": (0.1,),
    "q": (0.9,), "beta": (3.0,), "ignore_class": (1,), "fn": (lambda a, b: ((a - b) ** 2).sum(-1),), "num_thresholds": (4,),
    "curve": ("PR",), "summation_method": ("majoring",), "thresholds": ([0.1, 0.6],), "multi_label": (True,),
    "label_weights": ([1.0, 2.0, 0.5],), "average": ("macro",), "top_k": (2,), "class_id": (1,), "k": (2,),
    "recall": (0.95, 0.5, 1.0),
    "precision": (0.95,), "specificity": (0.95,), "sensitivity": (0.95,), "from_sorted_ids": (True,),
    "learning_rate": (0.5,), "weight_decay": (0.5, None), "clipnorm": (0.01,), "clipvalue": (0.001,),
    "global_clipnorm": (0.01,),
    "use_ema": (True,), "ema_momentum": (With(0.5, {"use_ema": True}),),
    "ema_overwrite_frequency": (With(2, {"use_ema": True}),), "gradient_accumulation_steps": (2,),
    "loss_scale_factor": (1e-44,),  # so small that gradients vanish
    "beta_1": (0.2,), "beta_2": (0.2,), "amsgrad": (True,), "nesterov": (With(True, {"momentum": 0.9}),), "rho": (0.2,),
    "initial_accumulator_value": (0.7,), "learning_rate_power": (-0.2,), "l1_regularization_strength": (0.3,),
    "l2_regularization_strength": (0.3,), "l2_shrinkage_regularization_strength": (0.3,),
    "adam_beta_1": (0.2,), "adam_beta_2": (0.2,), "adam_weight_decay": (0.5, None), "exclude_layers": (["dense"],),
    "exclude_embeddings": (False,), "muon_a": (2.0,), "muon_b": (-4.7,), "muon_c": (1.0,), "adam_lr_ratio": (0.1,),
    "ns_steps": (2,), "rms_rate": (0.5, None), "beta_2_decay": (-0.2,), "epsilon_1": (0.5,), "epsilon_2": (0.5,),
    "clip_threshold": (0.1,), "relative_step": (With(False, {"learning_rate": 2.0}),),
    "optimizer_map": (optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD(0.5))).get_config()["optimizer_map"],),
    "centered": (True,), "initial_scale": (1e38,), "inner_optimizer": (optimizers.serialize(optimizers.SGD(0.5)),),
    "dynamic_growth_steps": (1,),
    "initial_learning_rate": (0.7,), "decay_steps": (3,), "first_decay_steps": (3,), "decay_rate": (0.2,), "staircase": (True,),
    "warmup_target": (With(0.5, {"warmup_steps": 4}),), "warmup_steps": (With(4, {"warmup_target": 0.5}),), "t_mul": (1.0,),
    "m_mul": (0.3,), "boundaries": ([2, 9],), "values": ([0.4, 0.3, 0.2],), "end_learning_rate": (0.05,), "power": (3.0,),
    "cycle": (True,),
}  # fmt: skip
DATA: dict[str, tuple[Any, ...]] = {
    "value": (0.4,), "gain": (3.0,), "minval": (-0.9,), "maxval": (0.9,), "distribution": ("uniform",),
    "input_axes": ((0,), (1,)), "output_axes": ((0,), (0, 1)), "min_value": (With(2.0, {"max_value": 3.0}),), "side": ("imag",),
}  # fmt: skip
SIGNALS: dict[str, tuple[Any, ...]] = {
    "frame_length": (6,), "frame_step": (2,), "fft_length": (32,), "window": ("hamming",),
    "periodic": (With(True, {"window": "hann"}),), "scaling": (With("spectrum", {"window": "hann"}),),
    "expand_dims": (True, False), "sequence_stride": (4,), "sequence_length": (10,), "sampling_rate": (80,),
    "num_mel_bins": (5,), "min_freq": (3.0,), "max_freq": (18.0,), "power_to_db": (False,), "top_db": (5.0,),
    "mag_exp": (0.5,), "min_power": (With(10.0, {"power_to_db": True}),), "ref_power": (3.0,),
}  # fmt: skip
OTHERS = {**SIGNALS, **DATA, **TRAINING, **WEIGHTS, **WINDOWS, **VALUES, **STEPS, **COMMON}

FOR: dict[tuple[str, str], tuple[Any, ...]] = {
    ("Pipeline", "layers"): ([{"module": "keras.layers", "class_name": "Rescaling", "config": {"scale": 0.5}}],),
    ("CategoryEncoding", "num_tokens"): (7,),
    **{(kind, "output_mode"): ("count", "one_hot") for kind in ("CategoryEncoding", "Discretization", "IntegerLookup")},
    **{(kind, "sparse"): (True,) for kind in ("CategoryEncoding", "Discretization", "IntegerLookup")},
    ("Discretization", "bin_boundaries"): ([0.1],),
    ("Discretization", "num_bins"): (With(7, {"bin_boundaries": None, "num_bins": 3}),),
    ("Discretization", "epsilon"): (With(0.5, {"num_bins": 4}),),
    ("IntegerLookup", "max_tokens"): (With(9, {"pad_to_max_tokens": True, "max_tokens": 8, "output_mode": "count"}),),
    ("IntegerLookup", "num_oov_indices"): (3,),
    ("IntegerLookup", "mask_token"): (0, 2),
    ("IntegerLookup", "oov_token"): (With(7, {"invert": True}),),
    ("IntegerLookup", "vocabulary"): ([1, 2],),
    ("IntegerLookup", "vocabulary_dtype"): ("int32",),
    ("IntegerLookup", "idf_weights"): (With([3.0, 2.0, 1.0], {"output_mode": "tf_idf", "idf_weights": [1.0, 1.0, 1.0]}),),
    ("IntegerLookup", "invert"): (True,),
    ("IntegerLookup", "pad_to_max_tokens"): (With(True, {"max_tokens": 9, "output_mode": "count"}),),
    ("IntegerLookup", "oov_method"): (With("farmhash", {"num_oov_indices": 5}),),
    ("IntegerLookup", "salt"): (With(3, {"num_oov_indices": 5, "oov_method": "farmhash"}),),
    **{(kind, "activation"): ("relu",) for kind in RECURRENT},
    **{(kind, "seed"): (With(11, {"dropout": 0.5}), With(12, {"dropout": 0.5})) for kind in RECURRENT},
    ("BinaryFocalCrossentropy", "alpha"): (With(0.7, {"apply_class_balancing": True}),),
    ("BinaryFocalCrossentropy", "apply_class_balancing"): (True,),
    ("AUC", "num_labels"): (With(3, {"multi_label": True}),),
    ("AUC", "label_weights"): (With([1.0, 2.0, 0.5], {"multi_label": True}),),
    ("AUC", "dtype"): ("float64",),
    ("TorchOptimizer", "factory"): (torch.optim.Adagrad,),
    ("Lambda", "output_shape"): (With((7,), {"function": _branching}),),  # where the function says it, that is what holds
    ("Lambda", "mask"): (torch.ones(3, dtype=torch.bool),),
    ("ELU", "alpha"): (0.2,),
    ("EinsumDense", "output_shape"): ((5, 2, 6),),
    ("MultiHeadAttention", "output_shape"): (7,),
    ("Conv1D", "groups"): (With(3, {"filters": 6}),),
    ("Conv3D", "groups"): (With(2, {"filters": 4}),),
    ("Conv3DTranspose", "padding"): (With("same", {"kernel_size": 3}),),
    **{(f"ZeroPadding{rank}D", "padding"): (3,) for rank in (1, 2, 3)},
    ("Cropping3D", "cropping"): (((0, 1), (1, 0), (1, 1)),),
    ("Cropping3D", "data_format"): (With("channels_first", {"cropping": ((0, 1), (1, 0), (0, 1))}),),
    **{(f"Binary{kind}rossentropy", "axis"): (With(1, {"reduction": "none"}),) for kind in ("C", "FocalC")},
    ("Rescaling", "scale"): (0.3,),
    ("VarianceScaling", "scale"): (3.0,),
    ("VarianceScaling", "output_axes"): (With((0,), {"mode": "fan_out"}),),
    ("VarianceScaling", "mode"): ("fan_out",),
    ("SGD", "momentum"): (0.9,),
    ("Muon", "nesterov"): (False,),
    ("ScheduleFreeAdamW", "warmup_steps"): (3,),
    ("RMSprop", "momentum"): (0.9,),
    ("GroupNormalization", "groups"): (1,),
    ("MinMaxNorm", "rate"): (0.5,),
    ("STFT", "scaling"): (With("spectrum", {"window": "boxcar"}),),
    **{(kind, "axis"): (1,) for kind in ("MinMaxNorm", "UnitNorm")},
    **{(kind, "axis"): (With(1, {"sparse_y_pred": False}), 1) for kind in ("IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU")},
    ("MaxNorm", "axis"): (With(1, {"max_value": 0.5}),),
    ("RandomZoom", "fill_mode"): (With("constant", {"height_factor": (0.5, 0.6)}),),
    ("RandomZoom", "fill_value"): (With(3.0, {"fill_mode": "constant", "height_factor": (0.5, 0.6)}),),
    **{(f"Random{kind}", "scale"): (0.3, 0.9) for kind in ("Perspective", "Erasing", "ElasticTransform")},
    **{(f"Random{kind}", "factor"): (0.0,) for kind in ("Perspective", "Erasing", "ElasticTransform", "GaussianBlur")},
    ("RandomSharpness", "factor"): (0.1,),
    ("MaxNumBoundingBoxes", "max_number"): (5,),
    ("MaxNumBoundingBoxes", "fill_value"): (3,),
    ("CutMix", "factor"): (0.1, (0.5, 0.5)),
    ("RandomPosterization", "factor"): (7,),
    ("SpectralNormalization", "power_iterations"): (1,),
    ("RandomPerspective", "fill_value"): (3.0,),
    ("RandomErasing", "fill_value"): (3.0,),
    ("Resizing", "fill_value"): (With(3.0, {"pad_to_aspect_ratio": True, "width": 9}),),
    ("CosineDecay", "alpha"): (0.5,),
    ("STFTSpectrogram", "mode"): ("magnitude", "psd"),
}

NO_EFFECT: dict[tuple[str, str], str] = {
    ("TimeDistributed", "dtype"): "what it holds has a dtype of its own",
    **{(kind, "unroll"): "the same steps, computed in another way" for kind in (*RECURRENT[:3], *RECURRENT[6:], "RNN")},
    **{(kind, "use_cudnn"): "the same steps, computed in another way" for kind in RECURRENT[1:3]},
    **{(kind, "implementation"): "there is one gate alone" for kind in ("SimpleRNN", "SimpleRNNCell")},
    **{
        (kind, "output_axes"): "the variance follows from the fan-in"
        for kind in ("HeNormal", "HeUniform", "LecunNormal", "LecunUniform")
    },
    ("Muon", "exclude_embeddings"): "there is no embedding; see tests/optimizers/test_one_by_one.py",
    ("Resizing", "fill_mode"): "there is one",
    **{
        ("MaxNumBoundingBoxes", name): "images stay; see tests/layers/test_images.py"
        for name in ("max_number", "fill_value", "data_format")
    },
    **{
        (kind, "data_format"): "all values are treated alike, wherever the channels are"
        for kind in ("RandomInvert", "RandomPosterization", "Solarization")
    },
    **{
        (kind, "quantization_config"): "integers are 0 until a file is read; tests/layers/test_quantizable.py has values"
        for kind in ("Dense", "EinsumDense", "Embedding", "ReversibleEmbedding")
    },
    ("RandomSaturation", "value_range"): "saturation is a ratio",
    ("Pipeline", "dtype"): "its layers have their own",
    ("MixUp", "data_format"): "whole images are blended, wherever their channels are",
    ("RandomBrightness", "data_format"): "one amount is added to the whole image, wherever its channels are",
}
"""Settings whose other values change nothing that can be seen here, and why."""
REFUSED: dict[tuple[str, str], str] = {
    ("Bidirectional", "weights"): "not there yet",
    **{
        ("BatchNormalization", name): "not there yet"
        for name in ("renorm", "renorm_clipping", "renorm_momentum", "synchronized")
    },
    ("EinsumDense", "gptq_unpacked_column_size"): "not there yet",
    **{
        (f"{kind}Attention", "flash_attention"): "it goes with no dropout, and changes nothing else"
        for kind in ("MultiHead", "GroupQuery")
    },
    ("LayerNormalization", "rms_scaling"): "not there yet",
    **{(kind, "sparse"): "tensors are dense" for kind in ("CategoryEncoding", "Discretization", "IntegerLookup")},
    ("IntegerLookup", "vocabulary_dtype"): "there is one type",
    ("ActivityRegularization", "activity_regularizer"): "its own l1 and l2 say it",
}
"""Settings of Keras's that take their default alone, and why."""
