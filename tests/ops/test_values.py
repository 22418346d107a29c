"""What functions take and tell: lists, numbers, weights, traced values; and code of users built from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose

import anabranch as ab
from anabranch import Input, Model, engine, layers, ops
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError, EngineError, OutOfRangeError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4, 6)).astype("float32")


def traced_whole(model: Model) -> bool:
    """Return whether the program is flat torch code."""
    return not any(node.op == "call_module" for node in engine.program(model, False).module.graph.nodes)


# What functions take


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        pytest.param([1.0, 2.0], "float32", id="floats"),
        pytest.param([1, 2], "int32", id="integers"),
        pytest.param([[True], [False]], "bool", id="truth"),
        pytest.param(2.5, "float32", id="a number"),
        pytest.param(np.ones(3, "float64"), "float64", id="an array keeps its type"),
        pytest.param([torch.ones(2), torch.zeros(2)], "float32", id="tensors in a list"),
    ],
)
def test_lists_numbers_and_arrays_become_tensors(keras: Any, value: Any, dtype: str) -> None:
    ours, theirs = ops.multiply(value, 1), keras.ops.convert_to_tensor(value)
    assert str(ops.convert_to_tensor(value).dtype) == f"torch.{dtype}"
    assert ours.shape == theirs.shape


def test_numbers_beside_tensors_keep_the_tensors_type() -> None:
    half = torch.ones(2, dtype=torch.bfloat16)
    assert ops.add(half, 2.5).dtype == ops.maximum(half, 2.5).dtype == ops.where(half > 0, half, 0.0).dtype == torch.bfloat16
    assert ops.add(torch.ones(2, dtype=torch.int32), 2).dtype == torch.int32
    assert ops.add(torch.ones(2, dtype=torch.int32), 2.5).dtype == torch.float32
    assert ops.add(1, 2).dtype == torch.int32


def test_numpys_numbers_are_sizes_and_axes_too() -> None:
    x = Input((4, 6))
    assert ops.reshape(x, (-1, np.int64(24))).shape == (None, 24)
    assert ops.sum(x, axis=np.int64(1)).shape == (None, 6)
    assert ops.sum(x, axis=tuple(np.array([1, 2]))).shape == (None,)
    assert ops.add(torch.ones(1, dtype=torch.bfloat16), np.float64(2)).dtype == torch.bfloat16


def test_float_type_follows_config() -> None:
    ab.config.set_floatx("float64")
    try:
        assert ops.mean([1, 2]).dtype == ops.zeros((2,)).dtype == ops.one_hot([0], 2).dtype == torch.float64
    finally:
        ab.config.set_floatx("float32")


def test_image_layout_follows_config() -> None:
    images = torch.from_numpy(RNG.normal(size=(2, 3, 8, 8)).astype("float32"))
    ab.config.set_image_data_format("channels_first")
    try:
        assert ops.max_pool(images, 2).shape == (2, 3, 4, 4)
        assert ops.image.resize(images, (5, 6)).shape == (2, 3, 5, 6)
    finally:
        ab.config.set_image_data_format("channels_last")


def test_weights_are_taken_and_learn() -> None:
    dense = layers.Dense(2)
    dense.build((None, 6))
    result = ops.matmul(X, dense.kernel)
    ops.sum(result).backward()
    assert dense.kernel.value.grad is not None
    assert result.shape == (3, 4, 2)


# What functions tell


def test_shapes_and_dtypes_are_asked_for() -> None:
    x = Input((4, 6), dtype="int32")
    assert ops.shape(x) == (None, 4, 6)
    assert ops.shape(X) == (3, 4, 6)
    assert ops.ndim(x) == ops.ndim(X) == 3
    assert ops.dtype(x) == "int32"
    assert ops.dtype([1.0]) == "float32"
    assert ops.size(X) == 72
    assert ops.size(x) is None
    assert ops.is_tensor(x)
    assert ops.is_tensor(torch.ones(1))
    assert not ops.is_tensor(X)


def test_numbers_come_back_as_arrays() -> None:
    assert isinstance(ops.convert_to_numpy(torch.ones(2, requires_grad=True)), np.ndarray)
    dense = layers.Dense(2)
    dense.build((None, 6))
    assert ops.convert_to_numpy(dense.kernel).shape == (6, 2)


def test_eigenvectors_make_the_matrix_again() -> None:
    matrix = X[0].T @ X[0]
    values, vectors = ops.linalg.eigh(matrix)
    assert allclose((vectors * values) @ vectors.T, torch.from_numpy(matrix), atol=1e-4)


# Unknown sizes


def test_parts_of_the_batch_are_not_counted() -> None:
    with pytest.raises(ShapeError, match="not known"):
        ops.unstack(Input((4,)))
    first, second = ops.unstack(Input((4,)), num=2)
    assert first.shape == second.shape == (4,)


def test_the_batch_may_be_split() -> None:
    x = Input((4,))
    model = Model(x, ops.split(x, 2, axis=0))
    assert [tensor.shape for tensor in model.outputs] == [(None, 4)] * 2
    assert [part.shape[0] for part in model(np.zeros((6, 4), "float32"))] == [3, 3]


class Attention(layers.Layer):
    """Attention as Keras's users write it, from the functions alone and sizes asked for at run time."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def build(self, input_shape: Any) -> None:
        self.qkv = self.add_weight(shape=(input_shape[-1], 3 * input_shape[-1]), name="qkv")

    def call(self, x: Any) -> Any:
        batch, steps, width = ops.shape(x)
        qkv = ops.reshape(ops.matmul(x, self.qkv), (batch, steps, 3, self.heads, width // self.heads))
        q, k, v = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), axis=0)
        scores = ops.matmul(q, ops.swapaxes(k, -1, -2)) / ops.sqrt(float(width // self.heads))
        later = ops.expand_dims(ops.arange(steps), 0) > ops.expand_dims(ops.arange(steps), 1)
        shares = ops.softmax(ops.where(later, -1e9, scores), axis=-1)
        memory = ops.zeros((batch, 1, width))
        mixed = ops.reshape(ops.transpose(ops.matmul(shares, v), (0, 2, 1, 3)), (batch, steps, width))
        return ops.concatenate([memory, mixed], axis=1)


def test_a_users_layer_of_functions_is_traced_for_every_batch_and_length() -> None:
    x = Input((None, 6))
    model = Model(x, Attention(2)(x))
    assert model.output_shape == (None, None, 6)
    layer = model.layers[-1]
    for shape in ((3, 4, 6), (1, 7, 6)):
        given = RNG.normal(size=shape).astype("float32")
        assert allclose(model(given), layer(given), atol=1e-6)
    assert traced_whole(model)
    model.compile(optimizer="sgd", loss="mse")
    before = model.get_weights()[0].copy()
    model.fit(X, np.zeros((3, 5, 6), "float32"), verbose=0)
    assert not np.array_equal(before, model.get_weights()[0])


class Unknowable(layers.Layer):
    """A layer whose function asks about a value that only running can tell."""

    def call(self, x: Any) -> Any:
        return ops.mean(x[: int(x.shape[0] > 1) + 1], axis=0)


class Choosing(layers.Layer):
    """A layer that branches on numbers by a function."""

    def call(self, x: Any) -> Any:
        return ops.cond(ops.mean(x) > 0, lambda: x * 2, lambda: -x)


def test_a_branch_on_numbers_keeps_its_layer_whole() -> None:
    x = Input((4,))
    model = Model(x, Choosing()(x))
    assert not traced_whole(model)
    ones = np.ones((3, 4), "float32")
    assert ops.convert_to_numpy(model(ones)).max() == ops.convert_to_numpy(model(-2 * ones)).max() == 2
    with pytest.raises(TypeError, match="true or false"):
        ops.cond(ops.mean(x) > 0, lambda: x, lambda: x)


def test_what_cannot_be_inferred_stays_whole() -> None:
    x = Input((4,))
    model = Model(x, Unknowable()(x))
    assert not traced_whole(model)
    assert model(np.ones((3, 4), "float32")).shape == (4,)


def test_torch_is_the_cause_of_what_it_refuses() -> None:
    with pytest.raises(EngineError, match="concatenate could not run") as caught:
        ops.concatenate([X, X[:, :2]], axis=-1)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_strange_axes_are_refused() -> None:
    with pytest.raises(TypeError, match="axis of cumsum must be an integer"):
        ops.cumsum(X, axis="last")
    with pytest.raises(ArgumentTypeError, match="several"):
        ops.stack(1.0)


# Masks


@pytest.mark.parametrize(
    ("function", "stays"),
    [
        pytest.param(lambda x: ops.gelu(ops.multiply(x, 2.0)), True, id="element by element"),
        pytest.param(lambda x: ops.mean(x, axis=-1, keepdims=True), True, id="along other axes"),
        pytest.param(lambda x: ops.split(x, 2, axis=-1)[1], True, id="parts"),
        pytest.param(lambda x: ops.concatenate([x, x], axis=-1), True, id="side by side"),
        pytest.param(lambda x: ops.mean(x, axis=1), False, id="along the steps"),
        pytest.param(lambda x: ops.concatenate([x, x]), False, id="along the batch"),
        pytest.param(lambda x: ops.transpose(x, (0, 2, 1)), False, id="steps elsewhere"),
    ],
)
def test_masks_go_where_steps_stay(function: Any, stays: bool) -> None:
    words = Input((5,), dtype="int32")
    x = layers.Embedding(7, 4, mask_zero=True)(words)
    assert x.masked
    assert function(x).masked is stays
    given = np.array([[1, 2, 0, 0, 0]], "int32")
    model = Model(words, function(x))
    mask = getattr(model(given), "_keras_mask", None)
    assert (mask is not None) is stays
    if stays:
        assert mask.tolist() == [[True, True, False, False, False]]


# Shapes of which only the channels are known

OPEN = [
    pytest.param(lambda x: ops.max_pool(x, 2, padding="same"), id="pool"),
    pytest.param(lambda x: ops.image.resize(x, (4, 8), crop_to_aspect_ratio=True), id="crop to ratio"),
    pytest.param(lambda x: ops.image.pad_images(x, 1, 2, None, None, 12, 12), id="pad to size"),
    pytest.param(lambda x: ops.space_to_depth(x, 2), id="blocks"),
    pytest.param(lambda x: ops.pad(x, ((0, 0), (1, 1), (2, 1), (0, 0)), "reflect"), id="reflect"),
    pytest.param(lambda x: ops.split(x, 2, axis=1)[1], id="halves"),
    pytest.param(lambda x: ops.take(x, np.array([-1, 0]), axis=2), id="take"),
    pytest.param(lambda x: ops.slice(x, (0, 1, 1, 0), (-1, -1, 3, 2)), id="slice"),
    pytest.param(lambda x: ops.layer_normalization(x, axis=(1, 2, 3)), id="normalize"),
    pytest.param(lambda x: ops.squeeze(ops.mean(x, axis=1, keepdims=True), axis=1), id="squeeze"),
    pytest.param(lambda x: ops.quantile(x, 0.5, axis=(1, 2)), id="quantile"),
    pytest.param(lambda x: ops.reshape(x, (-1, 2, 2, 2)), id="reshape"),
]


@pytest.mark.parametrize("function", OPEN)
def test_unknown_sizes_stay_unknown_and_run(function: Any) -> None:
    x = Input((None, None, 2))
    model = Model(x, function(x))
    for shape in ((2, 8, 6, 2), (1, 4, 10, 2)):
        given = RNG.normal(size=shape).astype("float32")
        found, eager = model(given), function(given)
        assert found.shape == eager.shape
        assert allclose(found, eager, atol=1e-6)
        assert all(known in (None, size) for known, size in zip(model.output_shape, found.shape, strict=True))


def test_arange_of_large_bounds() -> None:
    assert ops.arange(2**31, 2**31 + 2).tolist() == [2**31, 2**31 + 1]
    assert str(ops.arange(3).dtype) == "torch.int32"


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_a_symbolic_transform_of_unknown_size(dtype: str) -> None:
    images, maps = Input((5, 6, 2)), Input(batch_shape=(None, None), dtype=dtype)
    model = Model([images, maps], ops.image.affine_transform(images, maps))
    x = torch.rand(2, 5, 6, 2)
    assert allclose(model([x, torch.tensor([[1, 0, 0, 0, 1, 0, 0, 0]] * 2, dtype=getattr(torch, dtype))]), x, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_transforms_of_a_known_batch_beside_an_unknown_one(dtype: str) -> None:
    images = Input((5, 6, 2), dtype=dtype)
    model = Model(images, ops.image.affine_transform(images, np.array([[1.0, 0, 0, 0, 1, 0, 0, 0]] * 3)))
    x = torch.randint(9, (3, 5, 6, 2)).to(getattr(torch, dtype))
    assert allclose(model(x), x, atol=1e-5)


@pytest.mark.parametrize("dtypes", [("float16", "float32"), ("float32", "float16"), ("bfloat16", "bfloat16")])
def test_positions_are_computed_in_32_bits(dtypes: tuple[str, str]) -> None:
    images = RNG.normal(size=(8, 9))
    given = [
        torch.tensor(each, dtype=getattr(torch, kind)) for each, kind in zip(([0.7, 1.3], [-0.4, 0.2]), dtypes, strict=True)
    ]
    found, expected = (
        ops.image.scale_and_translate(images, (12, 5), scale, shift, (0, 1), "cubic")
        for scale, shift in (given, [each.double() for each in given])
    )
    assert allclose(found, expected, atol=1e-5)


def test_an_empty_batch_of_integers_is_scaled() -> None:
    found = ops.image.scale_and_translate(np.zeros((0, 17, 3), "uint8"), (8, 12, 4), [1.5], [0.4], (1,), "lanczos3")
    assert (found.shape, found.dtype) == ((0, 12, 3), torch.uint8)
    images = Input((17, 3), dtype="uint8")
    model = Model(images, ops.image.scale_and_translate(images, (2, 12, 3), [1.5], [0.4], (1,), "lanczos3"))
    assert [model(np.zeros((batch, 17, 3), "uint8")).shape for batch in (2, 0)] == [(2, 12, 3), (0, 12, 3)]
    pixels = RNG.integers(40, 200, (2, 17, 3)).astype("uint8")
    scaled = model(pixels)
    assert pixels.min() <= scaled.min()
    assert scaled.max() <= pixels.max()


@pytest.mark.parametrize("dtype", ["bool", "int32", "uint8", "float32"])
def test_no_pixels_are_scaled_to_0(dtype: str) -> None:
    none, images = np.zeros((8, 0, 2), dtype), Input((None, 2), dtype=dtype)
    model = Model(images, ops.image.scale_and_translate(images, (8, 12, 2), [1.5], [0.4], (1,), "linear"))
    for found in (ops.image.scale_and_translate(none, (8, 12, 2), [1.5], [0.4], (1,), "linear"), model(none)):
        assert found.shape == (8, 12, 2)
        assert not found.any()


def test_attention_of_unknown_heads_that_are_none() -> None:
    query, key = Input((5, None, 4)), Input((None, None, 4))
    model = Model([query, key], ops.dot_product_attention(query, key, key))
    assert model([np.zeros((2, 5, 0, 4)), np.zeros((2, 3, 0, 4))]).shape == (2, 5, 0, 4)
    x, y = torch.rand(2, 5, 4, 4), torch.rand(2, 3, 2, 4)
    assert allclose(model([x, y]), ops.dot_product_attention(x, y, y), atol=1e-6)


def test_booleans_at_other_positions() -> None:
    x = torch.tensor([[True, False], [False, True]])
    assert ops.image.map_coordinates(x, [[0.4, 1.0], [0.0, 0.4]], 0).tolist() == [True, False]


@pytest.mark.parametrize("strategy", ["greedy", "beam_search"])
def test_lengths_of_sequences_are_integers(strategy: str) -> None:
    logits = RNG.normal(size=(2, 7, 3)).astype("float32")
    found, expected = (ops.ctc_decode(logits, lengths, strategy) for lengths in ([4.9, 5.0], [4, 5]))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(("function", "operands", "expected"), [
    (ops.power, (np.int64(2), 40), 2**40), (ops.power, (2, 31), 2**31), (ops.add, (2**31 - 1, 1), 2**31),
    (ops.subtract, (-(2**31), 1), -(2**31) - 1), (ops.multiply, (2**20, 2**20), 2**40),
])  # fmt: skip
def test_two_integers_do_not_wrap(function: Any, operands: tuple[Any, Any], expected: int) -> None:
    found = function(*operands)
    assert (found.item(), found.dtype) == (expected, torch.int64)
    assert function(2, 3).dtype == torch.int32


@pytest.mark.parametrize("operands", [(2, 64), (2, 10**12)])
def test_a_power_that_fits_no_integer_is_refused(operands: tuple[int, int]) -> None:
    with pytest.raises(ArgumentError, match="does not fit 64 bits"):
        ops.power(*operands)


@pytest.mark.parametrize("make", [ops.convert_to_tensor, ops.array])
@pytest.mark.parametrize(
    ("values", "dtype"),
    [([2**40], "int32"), (np.array([2**40]), "int32"), ([-1], "uint8"), ([3e9], "int32"), ([np.nan], "int64")],
)
def test_values_that_do_not_fit_a_dtype_of_integers_are_refused(make: Any, values: Any, dtype: str) -> None:
    with pytest.raises(DataError, match=f"does not fit {dtype}"):
        make(values, dtype=dtype)
    assert make([[200, 0]], dtype="uint8").tolist() == [[200, 0]]


def test_take_along_axis_refuses_indices_outside() -> None:
    x = np.arange(8).reshape(2, 4)
    assert ops.take_along_axis(x, [[-4], [3]], 1).tolist() == [[0], [7]]
    for index in (4, -5, 2**32 + 1):
        with pytest.raises(OutOfRangeError, match="indices of take_along_axis") as caught:
            ops.take_along_axis(x, [[0], [index]], 1)
        assert str(index) in str(caught.value)


@pytest.mark.parametrize("label", [4, -1])
def test_a_label_that_is_no_class_is_refused_where_it_counts(label: int) -> None:
    logits = np.random.default_rng(0).normal(size=(1, 5, 4)).astype("float32")
    with pytest.raises(OutOfRangeError, match="Labels of ctc_loss"):
        ops.ctc_loss([[1, label]], logits, [2], [5])
    with pytest.raises(OutOfRangeError, match="Labels of ctc_loss"):
        ab.losses.CTC()(np.array([[1, label]]), logits)
    padded, alone = (ops.ctc_loss(labels, logits, [1], [5]) for labels in ([[1, label]], [[1]]))
    assert torch.equal(padded, alone)


def test_perspective_leads_the_points_to_where_they_came_from() -> None:
    generator = torch.Generator().manual_seed(0)
    start = 8 * torch.rand(512, 4, 2, generator=generator)
    corners = torch.tensor([[0, 0], [5, 0], [0, 5], [5, 5]])
    end = corners + torch.randint(4, (512, 4, 2), generator=generator)
    columns = torch.arange(9.0).expand(512, 9, 9).unsqueeze(-1)
    found = ops.image.perspective_transform(columns, start, end)[..., 0]
    at = found[torch.arange(512)[:, None], end[..., 1], end[..., 0]]
    error = (at - start[..., 0]).abs().amax(1)
    assert error.nanmedian() < 6e-6  # NaN where three ends are in one line


def test_a_border_of_bins_that_should_be_0_is_0() -> None:
    counts, borders = ops.histogram([0.0, 0.0, -0.01], 9, (-1.0, 0.5))
    assert borders[6] == 0
    np.testing.assert_array_equal(counts, np.histogram([0.0, 0.0, -0.01], 9, (-1.0, 0.5))[0])


def test_no_signal_has_a_negative_length() -> None:
    frames = torch.zeros(3, 5)
    with pytest.raises(ArgumentError, match="length"):
        ops.istft((frames, frames), 8, 3, fft_length=8, length=-14)


@pytest.mark.parametrize(
    "made",
    [
        lambda: ops.cast(3e9, "int32"), lambda: ops.cast([300], "uint8"), lambda: ops.cast(-1, "uint8"),
        lambda: ops.cast(float("nan"), "int32"), lambda: ops.arange(2**31 - 2, 2**31 + 1, dtype="int32"),
        lambda: ops.arange(257, dtype="uint8"), lambda: ops.arange(2, -2, -1, dtype="uint8"),
        lambda: ops.arange(3e9, 3e9 + 2, dtype="int32"), lambda: ops.linspace(0, 300, 3, dtype="int8"),
        lambda: ops.logspace(0, 3, 2, dtype="int8"), lambda: ops.geomspace(1, 1000, 4, dtype="int8"),
    ],
)  # fmt: skip
def test_constants_that_a_type_of_integers_cannot_hold_are_refused(made: Any) -> None:
    with pytest.raises(DataError, match="does not fit"):
        made()


def test_constants_at_the_ends_of_a_type_are_taken_and_tensors_wrap() -> None:
    assert ops.arange(256, dtype="uint8")[-1] == 255
    assert ops.arange(127, -129, -1, dtype="int8")[-1] == -128
    assert ops.arange(2**31 - 2, 2**31, dtype="int32").tolist() == [2**31 - 2, 2**31 - 1]
    assert ops.arange(0, dtype="int8").tolist() == []
    assert ops.cast([255, 0], "uint8").tolist() == [255, 0]
    assert ops.cast(torch.tensor([300]), "uint8").tolist() == [44], "as torch has it"
