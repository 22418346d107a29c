"""Every row of the table of all layers in calls that are rare: other ranks, unknown arguments, empty batches, policies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from every_layer import CASES, Case
from test_every_layer import flat, make

import anabranch as ab
from anabranch import layers
from anabranch._errors import AnabranchError, ArgumentTypeError

ROWS = [case for case in CASES if case.inputs]
NUMBERS = [pytest.param(case, id=case.name) for case in ROWS if case.dtype != "string"]
RNG = np.random.default_rng(0)
LACKING = {"AveragePooling3D": "torch's CPU has no kernel for 16 bits"}


def drawn(case: Case, rows: int = 4) -> Any:
    """Return inputs of a batch of ``rows``."""
    found = []
    for shape in case.inputs:
        sizes = [rows if axis == 0 else size or 6 for axis, size in enumerate(shape)]
        whole = RNG.integers(0, case.int_input_max, sizes) if "int" in case.dtype else RNG.uniform(0.1, 1.1, sizes)
        found.append(torch.as_tensor(whole.astype(case.dtype)))
    return found if case.as_list else found[0]


def _deeper(array: torch.Tensor) -> torch.Tensor:
    return torch.stack([array, array], -1)


def _flatter(array: torch.Tensor) -> torch.Tensor:
    return array.flatten(1) if array.dim() > 2 else array[:, 0]


def symbols(case: Case) -> Any:
    """Return an Input for each input."""
    found = [ab.Input(shape[1:], dtype=case.dtype) for shape in case.inputs]
    return found if case.as_list else found[0]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float16", "float64"])
@pytest.mark.parametrize("case", NUMBERS)
def test_a_symbol_has_the_dtype_of_the_value(case: Case, policy: str) -> None:
    if "16" in policy and case.make in LACKING:
        pytest.skip(LACKING[case.make])
    layer, inputs, x = make(case, dtype=policy), symbols(case), drawn(case)
    outputs = case.call(layer, inputs)
    model = ab.Model(inputs, outputs)
    wanted = [symbol.dtype for symbol in flat(outputs)]
    for values in (model(x), model(x, training=True), case.call(layer, x)):
        assert [str(value.dtype).removeprefix("torch.") for value in flat(values)] == wanted


@pytest.mark.slow
@pytest.mark.parametrize("case", NUMBERS)
def test_another_rank_gives_what_a_new_layer_gives_or_is_refused(case: Case) -> None:
    layer, x = make(case), drawn(case)
    case.call(layer, x)
    for changed in (_deeper, _flatter):
        other = [changed(array) for array in x] if isinstance(x, list) else changed(x)
        try:
            found = case.call(layer, other)
        except AnabranchError:
            continue
        if not layer.weights or case.random:
            continue
        twin = make(case)
        case.call(twin, other)
        twin.set_weights(layer.get_weights())
        for ours, theirs in zip(flat(found), flat(case.call(twin, other)), strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("case", NUMBERS)
def test_unknown_arguments_of_a_call_are_refused(case: Case) -> None:
    layer, x = make(case), drawn(case)
    case.call(layer, x)
    for given in (x, symbols(case)):
        with pytest.raises(ArgumentTypeError):
            case.call(layer, given, foo=1)


@pytest.mark.slow
@pytest.mark.parametrize("case", NUMBERS)
def test_an_empty_batch_gives_an_empty_output_or_is_refused(case: Case) -> None:
    layer, inputs, x = make(case), symbols(case), drawn(case, 0)
    outputs = case.call(layer, inputs)
    model = ab.Model(inputs, outputs)
    for run in (lambda: case.call(layer, x), lambda: model(x), lambda: model(x, training=True)):
        try:
            values = run()
        except AnabranchError:
            continue
        for symbol, value in zip(flat(outputs), flat(values), strict=True):
            assert value.shape[0] == 0
            assert value.dim() == len(symbol.shape)
        assert all(np.isfinite(weight.numpy()).all() for weight in layer.weights)


SHAPES = (4, 6)
REFUSED = [
    (layers.Dot(9), [SHAPES, SHAPES]), (layers.Dot(0), [SHAPES, SHAPES]), (layers.Dot(1), [(4, 1), SHAPES]),
    (layers.GlobalAveragePooling2D(), [(2, 4, 4, 3, 2)]), (layers.GlobalMaxPooling1D(), [(2, 4, 4, 3)]),
    (layers.MaxPooling2D(data_format="channels_first"), [(2, 4, 4)]), (layers.AdaptiveAveragePooling2D(2), [(2, 4, 4)]),
    (layers.ZeroPadding2D(), [(2, 4, 4, 3, 2)]), (layers.UpSampling1D(), [(2, 4, 4, 3)]), (layers.Cropping1D(), [(2, 4, 4, 3)]),
    (layers.SpatialDropout1D(0.5), [(2, 4, 4, 3)]), (layers.Dropout(0.5, noise_shape=(None, 1)), [(2, 4, 3)]),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shapes"), REFUSED, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("training", [False, True])
def test_what_the_shape_rule_refuses_is_refused_of_values_too(layer: Any, shapes: Any, training: bool) -> None:
    symbols = [ab.Input(shape[1:]) for shape in shapes]
    values = [np.ones(shape, "float32") for shape in shapes]
    options = {} if isinstance(layer, layers.Dot) else {"training": training}
    found = []
    for given in (symbols, values):
        with pytest.raises(AnabranchError) as caught:
            layer(given if len(given) > 1 else given[0], **options)
        found.append(caught.value)
    assert type(found[0]) is type(found[1])
    assert found[0].fact == found[1].fact or "None" in found[0].fact


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_a_recurrent_layer_that_is_shared_refuses_other_features_when_it_is_called(kind: str) -> None:
    layer = getattr(layers, kind)(4)
    layer(ab.Input((5, 3)))
    for wrong in (layer, layers.RNN([layer.cell])):
        with pytest.raises(ValueError, match="another size than the kernel was made for"):
            wrong(ab.Input((5, 2)))
    with pytest.raises(ValueError, match="Expected a 3-D input"):
        layer(ab.Input((3,)))


def test_attention_is_described_as_it_runs() -> None:
    query, value = ab.Input(batch_shape=(1, 4, 5)), ab.Input(batch_shape=(2, 6, 5))
    for layer in (layers.Attention(), layers.AdditiveAttention()):
        values = [np.ones(x.shape, "float32") for x in (query, value)]
        assert layer([query, value]).shape == tuple(layer(values).shape) == (2, 4, 5)
        for masks in ([(1, 4), None], [(1, 1), None], [None, (1, 6)], [(1, 4), (2, 1)]):
            symbols = [None if shape is None else ab.Input(batch_shape=shape, dtype="bool") for shape in masks]
            real = [None if shape is None else np.ones(shape, bool) for shape in masks]
            assert layer([query, value], mask=symbols).shape == tuple(layer(values, mask=real).shape)
        for masks in ([(1, 3), None], [None, (2, 5)]):
            with pytest.raises(ValueError, match="has one value for each"):
                layer([query, value], mask=[shape and ab.Input(batch_shape=shape, dtype="bool") for shape in masks])
        with pytest.raises(ValueError, match="cannot be combined"):
            layer([ab.Input(batch_shape=(3, 4, 5)), value])


@pytest.mark.parametrize("size", [-3, 2.5, "a"])
@pytest.mark.parametrize("layer", [layers.Dense(2), layers.LSTM(2), layers.Conv1D(2, 2), layers.BatchNormalization()])
def test_a_size_is_an_integer_of_at_least_0(layer: Any, size: object) -> None:
    with pytest.raises(AnabranchError, match=r"integers ≥ 0|must be a shape|2\.5 channels"):
        type(layer).from_config(layer.get_config()).build((None, 5, size))
