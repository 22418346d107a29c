from .configs import (
    AWQConfig as AWQConfig,
    Float8QuantizationConfig as Float8QuantizationConfig,
    GPTQConfig as GPTQConfig,
    Int4QuantizationConfig as Int4QuantizationConfig,
    Int8QuantizationConfig as Int8QuantizationConfig,
    QuantizationConfig as QuantizationConfig,
)
from .functions import (
    abs_max_quantize as abs_max_quantize,
    abs_max_quantize_grouped_with_zero_point as abs_max_quantize_grouped_with_zero_point,
    compute_float8_amax_history as compute_float8_amax_history,
    compute_float8_scale as compute_float8_scale,
    fake_quant_with_min_max_vars as fake_quant_with_min_max_vars,
    pack_int4 as pack_int4,
    quantize_and_dequantize as quantize_and_dequantize,
    unpack_int4 as unpack_int4,
)
from .quantizer import AbsMaxQuantizer as AbsMaxQuantizer, Quantizer as Quantizer
from .registry import deserialize as deserialize, get as get, serialize as serialize
