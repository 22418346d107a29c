"""What makes values of a few bits, given wrong arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from nonsense.target import Target, function

from anabranch import quantizers as room

X = torch.ones(4, 6)
BYTES = np.ones((4, 3), "int8")
RIGHT: dict[str, dict[str, Any]] = {
    "abs_max_quantize": {"inputs": X, "axis": 0},
    "abs_max_quantize_grouped_with_zero_point": {"inputs": X, "block_size": 2},
    "pack_int4": {"arr": BYTES},
    "unpack_int4": {"packed": BYTES, "orig_len": 7},
    "fake_quant_with_min_max_vars": {"inputs": X, "min_vals": -1.0, "max_vals": 1.0},
    "compute_float8_scale": {"amax": 3.0, "scale": 1.0, "dtype_max": 448.0},
    "compute_float8_amax_history": {"x": X, "amax_history": X[0]},
    "quantize_and_dequantize": {"inputs": X, "scale": 1.0, "quantized_dtype": "float8_e5m2", "compute_dtype": "float32"},
    "AbsMaxQuantizer": {},
    "Int8QuantizationConfig": {},
    "Int4QuantizationConfig": {},
    "GPTQConfig": {"dataset": None, "tokenizer": None},
    "AWQConfig": {"dataset": None, "tokenizer": None},
    "get": {"identifier": "abs_max_quantizer"},
    "serialize": {"initializer": room.AbsMaxQuantizer()},
    "deserialize": {"config": room.serialize(room.AbsMaxQuantizer())},
}


def quantizers() -> Iterator[Target]:
    """Yield the functions and classes of ``quantizers``."""
    for name, right in RIGHT.items():
        yield function(f"quantizers.{name}", getattr(room, name), lambda right=right: right)
