"""Values in a few bits, beside real Keras: functions, quantizers, what ``quantize`` is given, and policies with a mode."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device

import anabranch as ab
from anabranch import Input, Model, dtype_policies, layers, quantizers
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, DtypeError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 5)).astype("float32")
WIDE = RNG.normal(size=(300, 7)).astype("float32")
BYTES = RNG.integers(-8, 8, (5, 4, 3)).astype("int8")
HALVES = RNG.integers(0, 16, (5, 4)).astype("uint8")

CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("abs_max_quantize", (X, 0), {}),
    ("abs_max_quantize", (X, (0, 1)), {"value_range": (-8, 7)}),
    ("abs_max_quantize", (X, -1), {"to_numpy": True, "epsilon": 0.1}),
    ("abs_max_quantize_grouped_with_zero_point", (WIDE, 128), {}),
    ("abs_max_quantize_grouped_with_zero_point", (WIDE, 128), {"to_numpy": True}),
    ("abs_max_quantize_grouped_with_zero_point", (WIDE, 512), {"to_numpy": True, "epsilon": 0.1}),
    ("abs_max_quantize_grouped_with_zero_point", (WIDE, 30), {"value_range": (-128, 127)}),
    ("pack_int4", (BYTES,), {}),
    ("pack_int4", (BYTES,), {"axis": -1}),
    ("pack_int4", (HALVES,), {"dtype": "uint8", "axis": 1}),
    ("unpack_int4", (BYTES[:3], 5), {}),
    ("unpack_int4", (BYTES, 5), {"axis": -1}),
    ("unpack_int4", (HALVES, 9), {"dtype": "uint8"}),
    ("fake_quant_with_min_max_vars", (X, np.float32(-1), np.float32(0.7)), {}),
    ("fake_quant_with_min_max_vars", (X, np.float32(-1), np.float32(0.7)), {"num_bits": 3, "narrow_range": True}),
    ("fake_quant_with_min_max_vars", (X, -np.abs(X[0]) - 0.1, np.abs(X[1])), {"axis": 1, "num_bits": 4}),
    ("compute_float8_scale", (np.float32(3), np.float32(2), np.float32(448)), {}),
    ("compute_float8_scale", (np.float32(0), np.float32(2), np.float32(448)), {"margin": 1}),
    ("compute_float8_scale", (np.float32(np.inf), np.float32(2), np.float32(448)), {}),
    ("compute_float8_scale", (np.float32(3), np.float32(2), np.float32(448)), {"margin": 2}),
    ("compute_float8_amax_history", (X, X[0]), {}),
    ("quantize_and_dequantize", (X * 100, np.float32(0.7), "float8_e4m3fn", "float32"), {}),
    ("quantize_and_dequantize", (X, np.float32(2), "float8_e5m2", "bfloat16"), {}),
]


SYMBOLIC = [call for call in CALLS if isinstance(call[1][0], np.ndarray) and call[0] != "pack_int4"]


def leaves(result: Any) -> list[Any]:
    found = result if isinstance(result, tuple) else (result,)
    return [each.detach().cpu() if isinstance(each, torch.Tensor) else each for each in found]


def as_keras_takes(keras: Any, args: tuple[Any, ...]) -> list[Any]:
    return [keras.ops.convert_to_tensor(each) if isinstance(each, (np.ndarray, np.generic)) else each for each in args]


@pytest.mark.parametrize(("name", "args", "options"), CALLS)
def test_functions_are_kerass(keras: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    given = [on_device(each) if isinstance(each, np.ndarray) else each for each in args]
    ours = leaves(getattr(quantizers, name)(*given, **options))
    theirs = leaves(getattr(keras.quantizers, name)(*as_keras_takes(keras, args), **options))
    assert len(ours) == len(theirs)
    for mine, expected in zip(ours, theirs, strict=True):
        if isinstance(expected, torch.Tensor):
            assert mine.dtype == expected.dtype
            torch.testing.assert_close(mine, expected, rtol=2e-6, atol=1e-7)
        else:
            assert mine == expected


@pytest.mark.parametrize(("name", "args", "options"), SYMBOLIC)
def test_functions_take_symbolic_tensors(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    x = Input(batch_shape=args[0].shape, dtype=str(args[0].dtype))
    outputs = getattr(quantizers, name)(x, *args[1:], **options)
    eager = getattr(quantizers, name)(args[0], *args[1:], **options)
    tensors = [each for each in (outputs if isinstance(outputs, tuple) else (outputs,)) if isinstance(each, ab.KerasTensor)]
    values = Model(x, tensors)(on_device(args[0]))
    for each, value, expected in zip(tensors, leaves(tuple(values)), leaves(eager), strict=False):
        assert (each.shape, each.dtype) == (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        torch.testing.assert_close(value, expected)


def test_gradients_of_fake_quantization_are_kerass(keras: Any) -> None:
    values = [X, np.array([-1, -0.5, -0.2, -2, -1], "float32"), np.array([1, 0.5, 0.7, 0.1, 2], "float32")]
    found = []
    for function in (quantizers.fake_quant_with_min_max_vars, keras.quantizers.fake_quant_with_min_max_vars):
        given = [torch.tensor(value, requires_grad=True) for value in values]
        (function(*given, axis=1) * torch.arange(30.0).reshape(6, 5)).sum().backward()
        found.append([each.grad for each in given])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_limits_of_another_axis() -> None:
    by_row = quantizers.fake_quant_with_min_max_vars(X, -np.ones(6, "float32"), np.arange(1, 7, dtype="float32"), axis=0)
    by_column = quantizers.fake_quant_with_min_max_vars(X.T, -np.ones(6, "float32"), np.arange(1, 7, dtype="float32"), axis=1)
    assert torch.equal(by_row, by_column.T)


def test_a_block_of_one_sign_is_near_what_it_was() -> None:
    """Keras cuts such a block, as its zero point does not fit."""
    values = np.linspace(5, 6, 8, dtype="float32")[:, None]
    integers, scale, zero = quantizers.abs_max_quantize_grouped_with_zero_point(values, 8)
    again = (integers.float() - zero.float()) * scale
    assert float((again - torch.tensor(values, device=again.device)).abs().max()) <= float(scale.max()) / 2 + 1e-5


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_bytes_come_back(axis: int) -> None:
    packed, shape, size = quantizers.pack_int4(BYTES, axis)
    assert packed.shape == shape
    assert np.array_equal(quantizers.unpack_int4(packed, size, axis).cpu(), BYTES)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: quantizers.pack_int4(X), DtypeError, "8 bits"),
        (lambda: quantizers.pack_int4(BYTES, dtype="int4"), ArgumentTypeError, "int8"),
        (lambda: quantizers.pack_int4(Input((4,), dtype="int8")), ArgumentTypeError, "before a model runs"),
        (lambda: quantizers.unpack_int4(BYTES, 99), AnabranchError, "fewer integers"),
        (lambda: quantizers.abs_max_quantize(X, 5), AnabranchError, "axis 5"),
        (lambda: quantizers.abs_max_quantize(X, 0, (7, -8)), ArgumentError, "least and the greatest"),
        (lambda: quantizers.abs_max_quantize_grouped_with_zero_point(X, 0), ArgumentError, "block_size"),
        (lambda: quantizers.fake_quant_with_min_max_vars(X, 0.0, 1.0, num_bits=1), ArgumentError, "2 to 16"),
        (lambda: quantizers.quantize_and_dequantize(X, 1.0, "float16", "float32"), ArgumentTypeError, "float8"),
        (lambda: quantizers.AbsMaxQuantizer(value_range=(-200, 3)), ArgumentError, "int8"),
        (lambda: quantizers.AbsMaxQuantizer(axis="x"), ArgumentTypeError, "axis"),
        (lambda: quantizers.Int4QuantizationConfig(quantizers.AbsMaxQuantizer(0, (-8, 7))), ArgumentError, "block_size=None"),
        (lambda: quantizers.Int4QuantizationConfig(quantizers.AbsMaxQuantizer(0), None, None), ArgumentError, "other integers"),
        (lambda: quantizers.Int4QuantizationConfig(block_size=0), ArgumentError, "block_size"),
        (lambda: quantizers.Int8QuantizationConfig(3), ArgumentTypeError, "Quantizer"),
        (lambda: quantizers.GPTQConfig(None, None, weight_bits=5), ArgumentError, "weight_bits"),
        (lambda: quantizers.AWQConfig(None, None, group_size=0), ArgumentError, "group_size"),
        (lambda: quantizers.QuantizationConfig().mode, AnabranchError, "mode"),
    ],
)  # fmt: skip
def test_mistakes(call: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call()


MADE = [
    lambda library: library.AbsMaxQuantizer(axis=0),
    lambda library: library.AbsMaxQuantizer(value_range=(-8, 7), epsilon=0.5),
    lambda library: library.Int8QuantizationConfig(),
    lambda library: library.Int8QuantizationConfig(library.AbsMaxQuantizer(axis=0), None),
    lambda library: library.Int4QuantizationConfig(),
    lambda library: library.Int4QuantizationConfig(library.AbsMaxQuantizer(0, (-8, 7)), library.AbsMaxQuantizer(), None),
    lambda library: library.Float8QuantizationConfig(),
    lambda library: library.GPTQConfig([1], None, weight_bits=3, symmetric=True),
    lambda library: library.AWQConfig([1], None, num_grid_points=3),
]


@pytest.mark.parametrize("make", MADE)
def test_configs_are_kerass_and_come_back(keras: Any, make: Any) -> None:
    ours, theirs = make(quantizers), make(keras.quantizers)
    data = json.loads(json.dumps(quantizers.serialize(ours)))
    assert data == json.loads(json.dumps(keras.quantizers.serialize(theirs)))
    again = quantizers.deserialize(data)
    assert again == ours
    assert type(quantizers.get(data)) is type(ours)
    if not isinstance(ours, quantizers.Quantizer):
        assert again.mode == theirs.mode


def test_an_older_int4_config_has_no_blocks() -> None:
    data = quantizers.serialize(quantizers.Int4QuantizationConfig())
    del data["config"]["block_size"]
    assert quantizers.deserialize(data).block_size is None


def test_get() -> None:
    assert quantizers.get(None) is None
    assert quantizers.get("abs_max_quantizer") == quantizers.get(quantizers.AbsMaxQuantizer) == quantizers.AbsMaxQuantizer()
    with pytest.raises(ArgumentError, match="AbsMaxQuantizer"):
        quantizers.get("AbsMaxQuantiser")


class Halves(quantizers.Quantizer):
    def __call__(self, x: Any) -> Any:
        return (x * 2).round().to(torch.int8), torch.tensor(2.0)


def test_a_quantizer_of_the_users_own() -> None:
    data = quantizers.serialize(Halves())
    assert isinstance(quantizers.deserialize(data, {"Halves": Halves}), Halves)


POLICIES = (
    "int8_from_float32", "int8_from_mixed_bfloat16", "int4_from_float32", "int4/128_from_mixed_bfloat16",
    "int4/-1_from_float32", "float8_from_float32", "gptq/4/128_from_float32", "awq/4/64_from_float16",
)  # fmt: skip


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_kerass(keras: Any, name: str) -> None:
    ours, theirs = dtype_policies.get(name), keras.dtype_policies.get(name)
    for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert repr(ours) == repr(theirs)
    assert type(ours).__name__ == type(theirs).__name__
    assert dtype_policies.serialize(ours) == keras.dtype_policies.serialize(theirs)
    assert dtype_policies.get(json.loads(json.dumps(dtype_policies.serialize(ours)))) == ours
    assert ours != dtype_policies.get("float32")


@pytest.mark.parametrize(
    "wrong",
    ["int8_from_float16", "int8_from_int9", "int4/0_from_float32", "int4/a_from_float32", "gptq/5/2_from_float32",
     "gptq/4_from_float32", "awq/8/2_from_float32", "float8_of_float32", "int9_from_float32"],
)  # fmt: skip
def test_no_such_policy(keras: Any, wrong: str) -> None:
    with pytest.raises(ArgumentError):
        dtype_policies.get(wrong)
    with pytest.raises(ValueError, match=r"."):
        keras.dtype_policies.get(wrong)


def test_the_policy_of_the_process_is_the_source() -> None:
    ab.config.set_dtype_policy("mixed_bfloat16")
    assert dtype_policies.QuantizedDTypePolicy("int8").name == "int8_from_mixed_bfloat16"
    assert dtype_policies.DTypePolicy().name == "mixed_bfloat16"


@pytest.mark.parametrize("policy", POLICIES)
def test_layers_refuse_what_they_do_not_do(policy: str) -> None:
    found = dtype_policies.get(policy)
    has_it = found.quantization_mode in ("int8", "int4")
    kind, says = (layers.ReLU, "does not quantize") if has_it else (layers.Dense, "is not there")
    settings = {} if has_it else {"units": 2}
    layer = kind(**settings)
    uses = (
        lambda: kind(**settings, dtype=policy),
        lambda: kind(**settings, dtype=dtype_policies.DTypePolicyMap("float32", {"d": policy}), name="d"),
        lambda: setattr(layer, "dtype_policy", found),
    )
    for use in uses:
        with pytest.raises(ArgumentError, match=says):
            use()
    with pytest.raises(ArgumentError, match="policy of all layers"):
        ab.config.set_dtype_policy(found)
    assert layer.dtype_policy.name == "float32"


def test_a_layer_takes_the_policy_of_its_name_in_a_map() -> None:
    policies = dtype_policies.DTypePolicyMap("float32", {"d": "mixed_bfloat16", "e.*": "float64"})
    found = {name: layers.Dense(2, dtype=policies, name=name).dtype_policy.name for name in ("d", "e1", "f")}
    assert found == {"d": "mixed_bfloat16", "e1": "float64", "f": "float32"}


def test_a_map_of_policies(keras: Any) -> None:
    found = []
    for library in (dtype_policies, keras.dtype_policies):
        policies = library.DTypePolicyMap(library.DTypePolicy("float32"))
        policies["encoder/.*"] = library.get("int8_from_float32")
        policies["encoder/last"] = "bfloat16"
        assert [policies[key].name for key in ("encoder/a", "encoder/last", "x")] == [
            "int8_from_float32",
            "bfloat16",
            "float32",
        ]
        assert (len(policies), list(policies)) == (2, ["encoder/.*", "encoder/last"])
        assert "x" not in policies
        with pytest.raises(ValueError, match="already"):
            policies["encoder/last"] = "float32"
        found.append(json.loads(json.dumps(library.serialize(policies))))
        del policies["encoder/last"]
        policies[".*/a"] = "bfloat16"
        with pytest.raises(ValueError, match=r"[Ss]everal|multiple"):
            policies["encoder/a"]
    assert found[0] == found[1]
    again = dtype_policies.get(found[0])
    assert isinstance(again, dtype_policies.DTypePolicyMap)
    assert dtype_policies.serialize(again) == found[0]


def test_a_map_without_a_default_takes_the_policy_of_the_process() -> None:
    policies = dtype_policies.DTypePolicyMap(None, {"a": "bfloat16"})
    assert policies["b"].name == policies.compute_dtype == "float32"
    ab.config.set_dtype_policy("float64")
    assert policies["b"].name == policies.variable_dtype == "float64"
    again = dtype_policies.deserialize(dtype_policies.serialize(policies))
    assert again == policies
    assert again["a"].name == "bfloat16"
    with pytest.raises(ArgumentError, match="another map"):
        dtype_policies.DTypePolicyMap(policies)
