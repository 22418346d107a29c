"""Attention beside real Keras's: masks of inputs and of pairs, padding, dropout, training; and which torch kernel runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from devices import allclose, tolerated

import anabranch as ab
from anabranch import Model, config, engine, layers, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError, EngineError, ShapeError

IDS = np.array([[5, 3, 2, 0, 0], [6, 6, 6, 1, 0], [4, 1, 1, 2, 7]], "int32")
OTHER = np.array([[5, 3, 0, 0], [6, 6, 6, 1], [4, 1, 1, 0]], "int32")
REAL = IDS != 0


def _same_weights(ours: Any, theirs: Any) -> None:
    rng = np.random.default_rng(0)
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        assert (mine.shape, mine.name) == (tuple(other.shape), other.name)
        values = rng.normal(size=mine.shape).astype("float32") * 0.4
        mine.assign(values)
        other.assign(values)


def _decoder(k: Any, causal: bool, **config: Any) -> Any:
    """Return self-attention over tokens, then attention to other tokens."""
    source, target = k.Input((None,), dtype="int32"), k.Input((None,), dtype="int32")
    embedding = k.layers.Embedding(8, 6, mask_zero=True)
    x, y = embedding(source), embedding(target)
    x = k.layers.MultiHeadAttention(2, 3, **config)(x, x, use_causal_mask=causal)
    return k.Model([source, target], k.layers.MultiHeadAttention(2, 3, **config)(x, y, y))


@pytest.mark.parametrize("config", [{}, {"sliding_window": 3}], ids=["whole", "window"])
@pytest.mark.parametrize("causal", [False, True])
def test_masks_of_inputs_as_in_keras(keras: Any, causal: bool, config: dict[str, Any]) -> None:
    ours, theirs = _decoder(ab, causal, **config), _decoder(keras, causal, **config)
    _same_weights(ours, theirs)
    found, expected = ours([IDS, OTHER]), theirs([IDS, OTHER])
    assert allclose(found[REAL], expected[REAL], atol=tolerated(1e-5))
    assert np.array_equal(found._keras_mask.cpu(), REAL)
    assert ours.outputs[0].masked
    assert np.allclose(ours.predict([IDS, OTHER], verbose=0)[REAL], expected.detach().cpu().numpy()[REAL], atol=tolerated(1e-5))


@pytest.mark.parametrize("shape", [(3, 5, 4), (5, 4), (3, 2, 5, 4), (1, 1, 5, 4)])
@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_masks_of_pairs_as_in_keras(keras: Any, shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(3)
    mask = rng.random(shape) < 0.6
    mask[..., 0] = True
    query, value = (rng.normal(size=(3, steps, 6)).astype("float32") for steps in (5, 4))
    ours, theirs = layers.MultiHeadAttention(2, 3), keras.layers.MultiHeadAttention(2, 3)
    x, y, m = ab.Input((5, 6)), ab.Input((4, 6)), ab.Input(batch_shape=(None, *shape[1:]), dtype=dtype)
    model = Model([x, y, m], ours(x, y, attention_mask=m))
    theirs.build(query.shape, value.shape)
    _same_weights(ours, theirs)
    expected = theirs(query, value, attention_mask=torch.from_numpy(mask))
    given = mask.astype(dtype)
    assert allclose(ours(query, value, attention_mask=given), expected, atol=tolerated(1e-5))
    if shape[0] == 3:
        assert allclose(model([query, value, given]), expected, atol=tolerated(1e-5))


def test_a_mask_made_in_a_users_layer() -> None:
    class Block(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.attention = layers.MultiHeadAttention(2, 3)

        def call(self, x: Any) -> Any:
            steps = ab.ops.arange(ab.ops.shape(x)[1])
            return self.attention(x, x, attention_mask=(steps[:, None] >= steps)[None])

    x = ab.Input((5, 6))
    block = Block()
    model = Model(x, block(x))
    data = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")
    assert allclose(model(data), block.attention(data, data, use_causal_mask=True), atol=tolerated(1e-6))


def test_a_query_that_may_attend_to_nothing_gets_zeros_and_no_nan() -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")
    mask = np.ones((2, 4, 4), bool)
    mask[0, 1] = False
    for rate in (0.0, 0.5):
        layer = layers.MultiHeadAttention(2, 3, use_bias=False, dropout=rate)
        for scores in (False, True):
            given = torch.tensor(x, requires_grad=True)
            result = layer(given, given, attention_mask=mask, training=True, return_attention_scores=scores)
            output = result[0] if scores else result
            assert output[0, 1].eq(0).all()
            output.sum().backward()
            assert torch.isfinite(given.grad).all()


def _kernels(model: Any, training: bool) -> list[tuple[Any, ...]]:
    with runtime.one_stream():  # as on a GPU: a stream of the layer's own cannot be given to torch's kernel
        nodes = engine.program(model, training).module.graph.nodes
    return [node.args[3:6] for node in nodes if node.target is F.scaled_dot_product_attention]


def test_torchs_kernel_runs_wherever_it_can() -> None:
    x = ab.Input((5, 6))
    plain = Model(x, layers.MultiHeadAttention(2, 3, dropout=0.1)(x, x, use_causal_mask=True))
    assert _kernels(plain, False) == [(None, 0.0, True)]
    assert _kernels(plain, True) == [(None, 0.1, True)]
    tokens = layers.Embedding(8, 6, mask_zero=True)(source := ab.Input((5,), dtype="int32"))
    masked = Model(source, layers.MultiHeadAttention(2, 3)(tokens, tokens, use_causal_mask=True))
    ((mask, rate, causal),) = _kernels(masked, True)
    assert isinstance(mask, torch.fx.Node)
    assert (rate, causal) == (0.0, False)


@pytest.mark.parametrize("mixed", ["mixed_bfloat16", "mixed_float16"])
def test_low_precision_with_masks(mixed: str) -> None:
    source = ab.Input((5,), dtype="int32")
    tokens = layers.Embedding(8, 6, mask_zero=True)(source)
    wide = layers.MultiHeadAttention(2, 3)
    expected = Model(source, wide(tokens, tokens, use_causal_mask=True))(IDS)
    narrow = layers.MultiHeadAttention(2, 3, dtype=mixed)
    model = Model(source, narrow(tokens, tokens, use_causal_mask=True))
    narrow.set_weights(wide.get_weights())
    found = model(IDS)
    assert str(found.dtype) == f"torch.{narrow.compute_dtype}"
    assert allclose(found.float(), expected, atol=0.02)


def test_training_as_in_keras(keras: Any) -> None:
    def make(k: Any) -> Any:
        x = k.Input((5,), dtype="int32")
        y = k.layers.Embedding(8, 6, mask_zero=True)(x)
        y = k.layers.LayerNormalization()(k.layers.Add()([y, k.layers.MultiHeadAttention(2, 3, kernel_regularizer="l2")(y, y)]))
        model = k.Model(x, k.layers.Dense(1)(k.layers.GlobalAveragePooling1D()(y)))
        model.compile(k.optimizers.SGD(0.05), "mse")
        return model

    ours, theirs = make(ab), make(keras)
    _same_weights(ours, theirs)
    labels = np.array([[1.0], [0.0], [2.0]], "float32")
    mine, other = (m.fit(IDS, labels, epochs=5, verbose=0, shuffle=False).history["loss"] for m in (ours, theirs))
    assert np.allclose(mine, other, rtol=tolerated(1e-4))
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.abs(a - b).max() < tolerated(1e-4)


def test_activity_is_penalized_as_in_keras(keras: Any) -> None:
    x = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")
    ours, theirs = (k.layers.MultiHeadAttention(2, 3, activity_regularizer="l2") for k in (ab, keras))
    for layer in (ours, theirs):
        layer.build(x.shape, x.shape)
    _same_weights(ours, theirs)
    ours(x, x), theirs(x, x)
    assert sum(ours.losses).item() == pytest.approx(sum(theirs.losses).item(), rel=1e-4)
    ours.activity_regularizer = None
    ours(x, x)
    assert not ours.losses


def test_flash_attention_refuses_what_it_has_not() -> None:
    x = ab.Input((5, 6))
    with pytest.raises(ArgumentError, match="no dropout"):
        layers.MultiHeadAttention(2, 3, dropout=0.1, flash_attention=True)
    with pytest.raises(ArgumentError, match="no attention scores"):
        layers.MultiHeadAttention(2, 3, flash_attention=True)(x, x, return_attention_scores=True)
    config.enable_flash_attention()
    try:
        assert config.is_flash_attention_enabled()
        with pytest.raises(ArgumentError, match="no dropout"):
            layers.MultiHeadAttention(2, 3, dropout=0.1)
        layers.MultiHeadAttention(2, 3, dropout=0.1, flash_attention=False)
    finally:
        config.disable_flash_attention()


def test_mistakes() -> None:
    x, y = ab.Input((5, 6)), ab.Input((4, 6))
    with pytest.raises(ShapeError, match="one value for each key"):
        layers.MultiHeadAttention(2, 3)(x, y, x)
    with pytest.raises(ShapeError, match="no positions"):
        layers.MultiHeadAttention(2, 3)(ab.Input((6,)), y)
    with pytest.raises(ShapeError, match="different ranks"):
        layers.MultiHeadAttention(2, 3)(ab.Input((2, 5, 6)), y)
    with pytest.raises(ArgumentError, match="axes from 1 to 1"):
        layers.MultiHeadAttention(2, 3, attention_axes=2)(x, y)
    with pytest.raises(ArgumentError, match="no order"):
        layers.MultiHeadAttention(2, 3)(image := ab.Input((4, 5, 6)), image, use_causal_mask=True)
    with pytest.raises(ArgumentError, match="num_heads"):
        layers.MultiHeadAttention(0, 3)


# Dense layers over any axes


@pytest.mark.parametrize(
    ("equation", "sizes", "fact"),
    [
        ("ab,bc", 3, "Unknown form"),
        ("ab,cd->ad", 3, "neither the input's nor the output's"),
        ("ab,bc->ad", 3, "neither the input's nor the kernel's"),
        ("abc,cd->abd", 3, "a size for each axis"),
    ],
)
def test_wrong_equations(equation: str, sizes: int, fact: str) -> None:
    with pytest.raises(ArgumentError, match=fact):
        layers.EinsumDense(equation, sizes)


def test_a_matrix_product_is_a_linear_module() -> None:
    x = ab.Input((5, 6))
    y = layers.EinsumDense("abc,cde->abde", (5, 2, 4), bias_axes="de", name="heads")(x)
    module = Model(x, layers.EinsumDense("abde,dec->abc", (5, 3), bias_axes="c", name="joined")(y)).to_torch()
    kinds = {name: str(child) for name, child in module.named_modules() if isinstance(child, torch.nn.Linear)}
    assert sorted(kinds.values()) == [str(torch.nn.Linear(6, 8)), str(torch.nn.Linear(8, 3))]


def test_initial_values_spread_as_in_keras(keras: Any) -> None:
    ours, theirs = (k.layers.EinsumDense("abc,cde->abde", (5, 20, 30), kernel_initializer="he_uniform") for k in (ab, keras))
    for layer in (ours, theirs):
        layer.build((None, 5, 40))
    mine, other = (np.asarray(layer.get_weights()[0]) for layer in (ours, theirs))
    assert mine.std() == pytest.approx(other.std(), rel=0.05)
    assert mine.std() == pytest.approx((2 / 40) ** 0.5, rel=0.05)


# Attention without heads


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("name", "config"),
    [("Attention", {}), ("Attention", {"score_mode": "concat", "use_scale": True}), ("AdditiveAttention", {})],
)
def test_plain_attention_with_masks_as_in_keras(keras: Any, name: str, config: dict[str, Any], causal: bool) -> None:
    def make(k: Any) -> Any:
        source, target = k.Input((None,), dtype="int32"), k.Input((None,), dtype="int32")
        embedding = k.layers.Embedding(8, 6, mask_zero=True)
        layer = getattr(k.layers, name)(**config)
        return k.Model([source, target], layer([embedding(source), embedding(target)], use_causal_mask=causal))

    ours, theirs = make(ab), make(keras)
    _same_weights(ours, theirs)
    found, expected = ours([IDS, OTHER]), theirs([IDS, OTHER])
    assert allclose(found, expected, atol=tolerated(1e-5))
    assert np.array_equal(found._keras_mask.cpu(), REAL)
    assert found[0, 3].eq(0).all(), "padding gives zeros"


def test_plain_attention_takes_lists_alone() -> None:
    x = ab.Input((5, 6))
    layer = layers.Attention()
    with pytest.raises(ShapeError, match="takes a list"):
        layer(x)
    layer([x, x])
    with pytest.raises(ArgumentTypeError, match="takes a list"):
        layer(x)
    with pytest.raises(ShapeError, match="query, value"):
        layers.Attention()([x])
    with pytest.raises(ShapeError, match="one number of channels"):
        layers.Attention()([x, ab.Input((4, 3))])


def test_grouped_heads_share_keys_and_values() -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    grouped = layers.GroupQueryAttention(4, 4, 2)
    many = layers.MultiHeadAttention(4, 4)
    grouped.build(x.shape, x.shape)
    many.build(x.shape, x.shape)
    for mine, other in zip(grouped.weights, many.weights, strict=True):
        values = mine.numpy()
        other.assign(values.repeat(2, -2) if values.shape != other.shape else values)
    assert allclose(grouped(x, x), many(x, x), atol=tolerated(1e-6))
    with pytest.raises(ArgumentError, match="must divide"):
        layers.GroupQueryAttention(4, 3, 2)


def test_grouped_attention_is_in_files_under_keras_name(keras: Any) -> None:
    x = ab.Input((5, 8))
    layer = layers.GroupQueryAttention(4, 4, 2)
    assert ab.Model(x, layer(x, x)).layers[-1].name == "grouped_query_attention"
    theirs = keras.layers.deserialize(layers.serialize(layer))
    assert type(theirs) is keras.layers.GroupQueryAttention
    again = layers.deserialize(keras.layers.serialize(theirs))
    assert isinstance(again, layers.GroupQueryAttention)
    assert again.num_key_value_heads == 2


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("keys", "values"), [(1, 4), (4, 1), (4, 2), (2, 4)])
def test_as_many_values_as_keys_where_a_model_does_not_know_how_many(keys: int, values: int, grouped: bool) -> None:
    layer: Any = layers.GroupQueryAttention(3, 4, 2) if grouped else layers.MultiHeadAttention(2, 3)
    query, value, key = (ab.Input((None, 3)) for _ in range(3))
    model = ab.Model([query, value, key], layer(query, value, key))
    x, many, few = (np.random.default_rng(0).normal(size=(2, steps, 3)).astype("float32") for steps in (5, values, keys))
    with pytest.raises(EngineError, match="Attention"):
        model([x, many, few])
    assert allclose(model([x, few, few]), layer(x, few), atol=1e-6)
