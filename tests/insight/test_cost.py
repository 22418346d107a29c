"""Costs: counts equal torch's own, receptive fields the published ones, peaks what torch allocates; nothing loads torch."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from architectures import ARCHITECTURES, mobilenet, resnet50
from every_layer import CASES, Case
from measured_memory import peak_memory
from torch.utils.flop_counter import FlopCounterMode

import anabranch as ab
from anabranch import Input, Model, layers, ops, optimizers, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError, DtypeError, NotReadyError, UnknownNameError
from anabranch.demo import toy_resnet
from anabranch.insight import cost, register_cost, summarise
from anabranch.insight.costs.counting import SLOTS
from anabranch.insight.costs.work import RULES

COUNTED = {  # what torch's counter counts, and no other layer
    "Dense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Dot", "EinsumDense", "MultiHeadAttention",
    "ReversibleEmbedding", "GroupQueryAttention", "Attention", "AdditiveAttention",
}  # fmt: skip


OTHERS = {"optimizer", "lossscaleoptimizer", "torchoptimizer", "multioptimizer", "optimizermap"}


COUNTED |= {"SimpleRNN", "GRU", "LSTM", "RNN", "SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells"}
COUNTED |= {"Bidirectional", "TimeDistributed", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "SpectralNormalization", "Resizing"}
COUNTED |= {"STFTSpectrogram", "MelSpectrogram"}


def drawn(model: Any, batch: int) -> list[torch.Tensor]:
    """Return data for each input of a model."""
    shapes = [(batch, *tensor.shape[1:]) for tensor in model.inputs]
    kinds = [getattr(torch, tensor.dtype) for tensor in model.inputs]
    return [torch.ones(shape).to(kind) for shape, kind in zip(shapes, kinds, strict=True)]


def counted(module: Any, data: Sequence[Any], gradients: bool = False) -> int:
    """Return the multiply-accumulates that torch counts, with the backward pass if so asked."""
    fused = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)  # torch does not count the CPU's fused attention
    with torch.set_grad_enabled(gradients), fused, FlopCounterMode(display=False) as counter:
        found = module(*data)
        if gradients:
            torch.autograd.backward(sum(leaf.sum() for leaf in torch.utils._pytree.tree_leaves(found)))
    return counter.get_total_flops() // 2


# Products


def _model(case: Case) -> Any:
    layer = getattr(layers, case.make)(**case.config)
    if case.prepare:
        case.prepare(layer)
    inputs = [Input(shape[1:], dtype=case.dtype) for shape in case.inputs]
    return Model(inputs, case.call(layer, inputs if case.as_list else inputs[0]))


@pytest.mark.on_cpu
@pytest.mark.parametrize("case", [case for case in CASES if case.inputs], ids=lambda case: case.name)
def test_macs_of_every_layer_are_torchs(case: Case) -> None:
    model = _model(case)
    found = model.cost(batch=2)
    row = found.rows[-1]
    assert row.known or case.make == "Lambda", "every layer has a rule"
    given = drawn(model, 2)
    data = [given if case.as_list else given[0]]
    for layer in model.layers[-1]._inner_layers_():
        if "unroll" in layer._fields_:
            layer.unroll = True  # torch counts nothing inside its fused functions
    with runtime.training_scope(False):  # augmentation that computes products does so in training
        theirs = counted(lambda *x: case.call(model.layers[-1], *x), data)
    assert found.macs == theirs
    assert bool(theirs) <= (case.make in COUNTED)
    result = case.call(model.layers[-1], *data)
    leaves = torch.utils._pytree.tree_leaves(result)
    assert row.activation_bytes == sum(leaf.numel() * leaf.element_size() for leaf in leaves)


@pytest.mark.on_cpu
@pytest.mark.parametrize("name", ["toy_resnet", "inception", "mlp", "two_towers"])
def test_macs_of_a_step_are_torchs(name: str) -> None:
    model = ARCHITECTURES[name](ab)
    found = model.cost(batch=2)
    module = model.to_torch().train()
    assert found.macs + found.backward_macs == counted(module, drawn(model, 2), gradients=True)


def test_functions_are_counted() -> None:
    x = Input((6, 8), name="x")
    y = ops.einsum("bij,bkj->bik", x, ops.relu(x)) @ x + 1.0
    z = ops.dot_product_attention(*[layers.Reshape((6, 2, 4))(y)] * 3)
    found = Model(x, ops.matmul(np.ones((5, 6), "float32"), ops.reshape(z, (-1, 6, 8)))).cost(batch=3)
    macs = {row.name: row.macs for row in found.rows if row.macs}
    assert macs == {
        "einsum": 3 * 6 * 6 * 8, "matmul": 3 * 6 * 6 * 8, "dot_product_attention": 2 * 3 * 2 * 6 * 6 * 4,
        "matmul_1": 3 * 5 * 6 * 8,
    }  # fmt: skip
    assert not found.unknown
    assert found["add"].flops == 3 * 6 * 8


@pytest.mark.on_cpu
def test_torchs_functions_are_counted() -> None:
    x = Input((6, 8), name="x")
    weight = torch.nn.Parameter(torch.ones(5, 8))
    y = torch.tanh(torch.nn.functional.linear(x, weight))
    z = torch.cat([y.transpose(1, 2), torch.bmm(y.transpose(1, 2), y)], 2)
    image = torch.conv2d(z.unsqueeze(1), torch.ones(3, 1, 2, 2))
    model = Model(x, image.mean(1) + 1.0)
    found = model.cost(batch=2)
    assert not found.unknown
    assert found.macs == counted(model.to_torch(), drawn(model, 2)) == 2 * (6 * 5 * 8 + 5 * 5 * 6 + 4 * 10 * 3 * 4)


# Published numbers


def test_resnet50_is_the_published_one() -> None:
    found = resnet50(ab).cost()
    assert found.trainable_params == 25_557_032
    assert round(found.macs / 1e9, 2) == 4.09
    last = found["re_lu_48"]
    assert (last.receptive_field, last.stride) == ((427, 427), (32, 32)), "of torchvision's, whose strides are in the 3×3"
    assert last.least_receptive_field == (11, 11), "over the skips"


def test_mobilenets_receptive_field_is_the_published_one() -> None:
    found = mobilenet(ab).cost()
    assert round(found.macs / 1e6) == 569, "Howard et al. 2017, table 4"
    assert found.trainable_params == 4_231_976
    row = found["re_lu_26"]
    assert (row.receptive_field, row.stride) == ((315, 315), (32, 32)), "Araujo et al. 2019, table 1"


def test_spans_of_every_kind() -> None:
    x = Input((32, 32, 3), name="x")
    y = layers.ZeroPadding2D(2, name="padded")(x)
    y = layers.Conv2D(4, 5, name="valid")(y)
    y = layers.Conv2D(4, 3, dilation_rate=2, padding="same", name="dilated")(y)
    y = layers.MaxPooling2D(2, name="pooled")(y)
    y = layers.Conv2DTranspose(4, 2, strides=2, name="longer")(y)
    y = layers.UpSampling2D(2, name="up")(y)
    y = layers.Flatten(name="flat")(y)
    found = Model(x, layers.Dense(2, name="head")(y)).cost()
    fields = {row.name: (row.receptive_field[:1], row.stride[:1], row.padding[:1]) for row in found.rows}
    assert fields["x"] == ((1,), (1,), (0,))
    assert fields["valid"] == ((5,), (1,), (2,))
    assert fields["dilated"] == ((9,), (1,), (4,))
    assert fields["pooled"] == ((10,), (2,), (4,))
    assert fields["longer"] == ((10,), (1,), (4,))
    assert fields["up"] == ((10,), (0.5,), (4,))
    assert fields["head"][0] == (None,), "all of it"


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_a_receptive_field_is_what_a_position_depends_on(layout: str) -> None:
    first = layout == "channels_first"
    x = Input((2, 40, 40) if first else (40, 40, 2))
    y = layers.Conv2D(3, 3, strides=2, padding="same", data_format=layout)(x)
    skip = layers.Conv2D(3, 1, data_format=layout)(y)
    y = layers.Conv2D(3, (3, 5), padding="same", data_format=layout)(y)
    y = layers.Add()([layers.AveragePooling2D(2, data_format=layout)(y), layers.AveragePooling2D(2, data_format=layout)(skip)])
    model = Model(x, y)
    row = model.cost()["add"]
    data = torch.randn((1, *x.shape[1:]), requires_grad=True)
    out = copy.deepcopy(model.to_torch()).double()(data.double())
    (out[0, :, 5, 5] if first else out[0, 5, 5]).sum().backward()
    seen = data.grad[0].abs().sum(0 if first else -1)
    assert tuple(int(seen.sum(axis).count_nonzero()) for axis in (1, 0)) == row.receptive_field == (9, 13)
    assert row.least_receptive_field == (5, 5)
    assert row.stride == (4, 4)


# Memory


def _ratios(name: str, batch: int) -> list[float]:
    model = ARCHITECTURES[name](ab)
    found, module, data = model.cost(batch=batch), model.to_torch(), drawn(model, batch)
    return [found.peak_inference / peak_memory(module, data, False), found.peak_training / peak_memory(module, data, True)]


@pytest.mark.on_cpu
@pytest.mark.parametrize("name", ["toy_resnet", "mlp", "two_towers", "transformer"])
def test_peaks_are_what_torch_allocates(name: str) -> None:
    assert _ratios(name, 4) == pytest.approx([1, 1], abs=0.1)


@pytest.mark.slow
@pytest.mark.on_cpu
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_peaks_of_ten_architectures_are_what_torch_allocates(name: str) -> None:
    assert _ratios(name, 2) == pytest.approx([1, 1], abs=0.1)


def test_branches_live_until_they_are_joined() -> None:
    x = Input((1000,), name="x")
    branches = [layers.LeakyReLU()(x) for _ in range(5)]
    found = Model(x, layers.Concatenate()(branches)).cost(batch=1)
    assert found.peak_inference == 4000 * (1 + 5 + 5)
    chain = x
    for _ in range(5):
        chain = layers.LeakyReLU()(chain)
    assert Model(x, chain).cost(batch=1).peak_inference == 4000 * 3, "input, and two of the chain"


def test_the_optimizers_state_is_counted() -> None:
    model = toy_resnet(ab)
    plain = model.cost()
    assert plain.optimizer_bytes == 0
    for name in SLOTS:
        kind = type(optimizers.get(name))
        found = model.cost(optimizer=name)
        assert found.optimizer_bytes == model.cost(optimizer=kind()).optimizer_bytes == len(kind().slots) * plain.weight_bytes
        assert found.peak_training == plain.peak_training + found.optimizer_bytes
    assert set(SLOTS) == {name.lower() for name in dir(optimizers) if isinstance(getattr(optimizers, name), type)} - OTHERS
    model.compile("adam", "mse")
    assert model.cost().optimizer_bytes == 2 * plain.weight_bytes
    assert sum(row.optimizer_bytes for row in model.cost().rows) == 2 * plain.weight_bytes


def test_frozen_layers_have_no_gradients() -> None:
    model = toy_resnet(ab)
    before = model.cost()
    for layer in model.layers[:10]:
        layer.trainable = False
    found = model.cost()
    assert found["conv2d_3"].backward_macs == 0
    assert found["conv2d_6"].backward_macs == before["conv2d_6"].macs, "of its weights alone: nothing before it is trained"
    assert found.saved_bytes < before.saved_bytes
    assert found.gradient_bytes == 4 * found.trainable_params < before.gradient_bytes
    assert (found.macs, found.peak_inference) == (before.macs, before.peak_inference)


# Nested and shared models, sizes


def nested() -> Any:
    inner_x = Input((8,))
    inner = Model(inner_x, layers.Dense(8, name="dense")(inner_x), name="inner")
    x = Input((8,), name="x")
    return Model(x, layers.Dense(2, name="head")(inner(inner(x))), name="outer")


def test_nested_calls_have_ids_and_weights_are_counted_once() -> None:
    found = nested().cost()
    assert [row.id for row in found.rows] == ["x", "inner@0/dense", "inner@1/dense", "head"]
    assert {row.path for row in found.rows} == {"x", "inner/dense", "head"}
    assert [row.params for row in found.rows] == [0, 72, 0, 18]
    assert found["inner@1/dense"].shared
    assert found.params == sum(row.params for row in found.rows) == 90
    assert found.values("macs") == {"x": 0, "inner@0/dense": 64, "inner@0": 64, "inner@1/dense": 64, "inner@1": 64, "head": 16}


def test_critical_path_and_width() -> None:
    x = Input((4,), name="x")
    long = layers.Dense(4, name="b")(layers.Dense(4, name="a")(x))
    found = Model(x, layers.Add(name="sum")([long, layers.Dense(4, name="c")(x), layers.Dense(4, name="d")(x)])).cost()
    assert found.critical_path == ["a", "b", "sum"]
    assert (found.depth, found.width) == (3, 3)
    assert found.critical_flops == found["a"].flops + found["b"].flops + found["sum"].flops < found.flops


def test_sizes_that_an_input_leaves_open() -> None:
    x = Input((None, None, 3), name="image")
    model = Model(x, layers.Conv2D(4, 3)(x))
    assert model.cost(input_shape=(10, 10, 3)).macs == 8 * 8 * 4 * 27
    assert model.cost(batch=2, input_shape=[(10, 10, 3)]).macs == 2 * 8 * 8 * 4 * 27
    assert model.cost(input_shape={"image": (None, 10, 10, 3)}).macs == 8 * 8 * 4 * 27
    with pytest.raises(ArgumentError, match="leaves open") as error:
        model.cost()
    assert "cost(input_shape=(64, 64, 3))" in str(error.value)
    with pytest.raises(ArgumentError, match="does not fit the input 'image'"):
        model.cost(input_shape=(10, 10, 4))
    with pytest.raises(ArgumentError, match="no input 'imag'"):
        model.cost(input_shape={"imag": (10, 10, 3)})
    declared = Input((4,), batch_size=16)
    assert Model(declared, layers.Dense(2)(declared)).cost().batch == 16


def test_a_float_type_of_fewer_bits() -> None:
    model = toy_resnet(ab)
    full, half = model.cost(), model.cost(dtype="bfloat16")
    assert half.weight_bytes * 2 == full.weight_bytes
    assert half.activation_bytes * 2 == full.activation_bytes
    assert half.macs == full.macs


# What is not known, and rules of users


class Gram(layers.Layer):
    """A user's layer."""

    def call(self, x: Any) -> Any:
        return x.mT @ x

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[2], input_shape[2])


def test_what_has_no_rule_is_said() -> None:
    x = Input((16, 8), name="x")
    model = Model(x, Gram(name="gram")(layers.Dense(8)(x)))
    found = model.cost()
    assert found.unknown == ["gram"]
    assert not found["gram"].known
    assert found["gram"].activation_bytes == 4 * 64
    assert "Not counted" in found.text()
    assert "gram" in found.text().splitlines()[-1]
    try:
        register_cost(Gram, lambda call: call.elements * call.inputs[0].shape[1])
        assert model.cost()["gram"].macs == 64 * 16
        assert not model.cost().unknown
        register_cost(Gram)(lambda call: "much")
        with pytest.raises(ArgumentError, match="returned no cost"):
            model.cost()
    finally:
        del RULES[Gram]


@pytest.mark.on_cpu
def test_a_rule_of_a_torch_module() -> None:
    x = Input((16, 8), name="x")
    model = Model(x, torch.nn.Linear(8, 4)(x))
    assert model.cost().unknown == [model.cost().rows[-1].id]
    try:
        register_cost(torch.nn.Linear, lambda call: call.elements * call.operation.module.in_features)
        assert model.cost().macs == 16 * 4 * 8
    finally:
        del RULES[torch.nn.Linear]


def test_mistakes() -> None:
    model = nested()
    with pytest.raises(NotReadyError, match="has no graph yet"):
        ab.Sequential([layers.Dense(2)]).cost()
    with pytest.raises(ArgumentTypeError, match="model"):
        cost(layers.Dense(2))
    with pytest.raises(ArgumentError, match="batch"):
        model.cost(batch=0)
    with pytest.raises(DtypeError, match="float type"):
        model.cost(dtype="int32")
    with pytest.raises(UnknownNameError, match="did you mean 'rmsprop'"):
        model.cost(optimizer="rmsprob")
    with pytest.raises(ArgumentTypeError, match="optimizer"):
        model.cost(optimizer=3)
    with pytest.raises(UnknownNameError, match="did you mean 'head'"):
        model.cost()["haed"]
    with pytest.raises(UnknownNameError, match="did you mean 'macs'"):
        model.cost().values("mac")
    with pytest.raises(ArgumentTypeError, match="register_cost"):
        register_cost(3)


# Views


def test_views_agree(golden: Any) -> None:
    found = toy_resnet(ab).cost()
    golden("cost/toy_resnet.txt", found.text())
    golden("cost/toy_resnet_80.txt", found.text(80))
    data = json.loads(found.to_json())
    assert data["macs"] == found.macs == sum(row["macs"] for row in data["rows"])
    assert [record["id"] for record in found.records()] == [row.id for row in found.rows]
    assert found.by_type()["Conv2D"]["calls"] == 7
    assert sum(sums["macs"] for sums in found.by_type().values()) == found.macs
    assert found._repr_html_().count("<tr>") == len(found.rows) + 1
    assert max(map(len, found.text(80).splitlines())) <= 80


def test_numbers_of_the_cost_are_columns_of_the_summary() -> None:
    found = summarise(toy_resnet(ab), columns=["macs", "activation_bytes", "receptive_field", "stride"])
    rows = {row.name: row for row in found.rows}
    assert rows["conv2d"].macs == 777600
    assert rows["conv2d_6"].receptive_field == (37, 37)
    assert "777.60 k" in found.text()
    inside = {row.path: row.macs for row in summarise(nested(), True, columns=["macs"]).rows}
    assert inside == {"x": 0, "inner": 128, "inner/input_layer": 0, "inner/dense": 128, "head": 16}
    x = Input((None, None, 3))
    unsized = summarise(Model(x, layers.Conv2D(4, 3)(x)), columns=["macs"])
    assert unsized.rows[1].macs is None
    assert "leaves open" in unsized.text()


# Size


@pytest.mark.parametrize("pairs", [2_500, pytest.param(50_000, marks=pytest.mark.slow)])
def test_deep_models_are_counted_in_linear_time_and_without_the_engine(pairs: int) -> None:
    program = f"""
import sys, time
from anabranch import Input, Model, layers
def counted(pairs):
    x = start = Input((4,))
    for _ in range(pairs):
        x = layers.Add()([x, layers.Dense(4)(x)])
    model = Model(start, x)
    began = time.process_time()
    found = model.cost(batch=2)
    taken = time.process_time() - began
    assert len(found.rows) == 2 * pairs + 1 and found.macs == pairs * 32, found
    assert len(found.critical_path) == 2 * pairs
    return taken
counted(100)
print(counted({pairs}) / counted({pairs // 5}), [name for name in ("torch", "numpy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    factor, loaded = done.stdout.split(maxsplit=1)
    assert loaded.strip() == "[]"
    assert float(factor) < 15, "5 where it is linear, 25 where it is quadratic"


def test_small_architectures_load_no_engine() -> None:
    program = (
        "import sys; sys.path.insert(0, 'tests')\nimport anabranch as ab\nfrom architectures import ARCHITECTURES\n"
        "for made in ARCHITECTURES.values(): made(ab).cost().text()\n"
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
