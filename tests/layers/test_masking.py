"""Masks: which layers make, keep, take and end them, beside real Keras's; the same in every way of running."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal, on_device
from every_layer import CASES

import anabranch as ab
from anabranch import engine, layers, runtime

IDS = np.array([[3, 1, 4, 0, 0], [2, 7, 0, 0, 0], [1, 2, 3, 4, 5]], "int32")
OTHER = np.array([[5, 0, 0, 0, 0], [6, 6, 6, 0, 0], [0, 0, 1, 2, 0]], "int32")
SERIES = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
SERIES[0, 3:] = SERIES[1, 1] = 0


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if case.oracle and not case.keras_make])
def test_the_same_layers_support_masks_as_in_keras(keras: Any, case: Any) -> None:
    ours, theirs = getattr(layers, case.make)(**case.config), getattr(keras.layers, case.make)(**case.config)
    if case.make != "EinsumDense":  # whose mask ends in Keras, though its axes may stay: docs/differences.md
        assert ours.supports_masking == theirs.supports_masking


# Models written once, made with both


def _after(*names_and_configs: Any) -> Callable[[Any], Any]:
    """Return what makes a model of an Embedding with a mask, these layers, and what takes the mask."""

    def make(keras: Any) -> Any:
        source = keras.Input((5,), dtype="int32")
        x = keras.layers.Embedding(8, 4, mask_zero=True)(source)
        for name, config in names_and_configs:
            x = getattr(keras.layers, name)(**config)(x)
        return keras.Model(source, keras.layers.GlobalAveragePooling1D()(x))

    return make


def _merged(name: str, both: bool, **config: Any) -> Callable[[Any], Any]:
    def make(keras: Any) -> Any:
        sources = [keras.Input((5,), dtype="int32") for _ in range(2)]
        tables = [keras.layers.Embedding(8, 4, mask_zero=True), keras.layers.Embedding(8, 4, mask_zero=both)]
        branches = [table(source) for table, source in zip(tables, sources, strict=True)]
        x = getattr(keras.layers, name)(**config)(branches)
        return keras.Model(sources, [x, keras.layers.GlobalAveragePooling1D()(x)])

    return make


def _series(**config: Any) -> Callable[[Any], Any]:
    def make(keras: Any) -> Any:
        source = keras.Input((5, 4))
        x = keras.layers.Masking(**config)(source)
        return keras.Model(source, [x, keras.layers.GlobalAveragePooling1D()(keras.layers.Dense(3)(x))])

    return make


def _scores(keras: Any) -> Any:
    source = keras.Input((5,), dtype="int32")
    table = keras.layers.Embedding(8, 4, mask_zero=True)(source)
    scores = keras.layers.Dense(1)(table)
    mean = keras.layers.GlobalAveragePooling1D(keepdims=True)(scores)
    return keras.Model(source, mean)


def _shared_and_nested(keras: Any) -> Any:
    inner_source = keras.Input((5, 4))
    hidden = keras.layers.Dense(6, activation="relu")(inner_source)
    inner = keras.Model(inner_source, keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(hidden)))
    table = keras.layers.Embedding(8, 4, mask_zero=True)
    sources = [keras.Input((5,), dtype="int32") for _ in range(2)]
    return keras.Model(sources, keras.layers.Add()([inner(table(source)) for source in sources]))


MODELS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "dense": (_after(("Dense", {"units": 3})), 1),
    "pointwise": (_after(("ReLU", {}), ("Activation", {"activation": "tanh"}), ("LeakyReLU", {}), ("Identity", {})), 1),
    "normalizations": (_after(("LayerNormalization", {}), ("UnitNormalization", {}), ("GroupNormalization", {"groups": 2})), 1),
    "batch_normalization": (_after(("BatchNormalization", {})), 1),
    "dropout_outside_training": (_after(("Dropout", {"rate": 0.5}), ("SpatialDropout1D", {"rate": 0.5})), 1),
    **{f"{name}_both": (_merged(name, True), 2) for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")},
    **{f"{name}_one": (_merged(name, False), 2) for name in ("Add", "Multiply", "Maximum", "Minimum")},
    "concatenate_features": (_merged("Concatenate", True), 2),
    "concatenate_features_one": (_merged("Concatenate", False), 2),
    "concatenate_steps": (_merged("Concatenate", True, axis=1), 2),
    "concatenate_steps_one": (_merged("Concatenate", False, axis=1), 2),
    "masking": (_series(), 0),
    "masking_value": (_series(mask_value=2.0), 0),
    "keepdims": (_scores, 1),
    "shared_and_nested": (_shared_and_nested, 2),
}
GIVEN = [SERIES, IDS, [IDS, OTHER]]


def _pair(keras: Any, name: str) -> tuple[Any, Any, Any]:
    make, inputs = MODELS[name]
    ours = make(ab)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Layer 'functional")  # Keras says so of models, and is wrong
        theirs = make(keras)
    rng = np.random.default_rng(3)
    weights = [rng.normal(size=w.shape).astype("float32") ** (2 if "variance" in w.name else 1) for w in ours.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs, GIVEN[inputs]


def _numbers(nest: Any) -> list[np.ndarray]:
    return [np.asarray(x.detach()) for x in (nest if isinstance(nest, (list, tuple)) else [nest])]


@pytest.mark.parametrize(
    ("name", "training"),
    [(name, training) for name in MODELS for training in (False, True) if not (training and "dropout" in name)],
)
def test_values_masks_and_gradients_equal_keras(keras: Any, name: str, training: bool) -> None:
    ours, theirs, given = _pair(keras, name)
    found = ours(given, training=training)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Layer 'functional")
        expected = theirs(given, training=training)
    for a, b in zip(_numbers(found), _numbers(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-5)
    for a, b, t in zip(_as_list(found), _as_list(expected), ours.outputs, strict=True):
        mask, wanted = a._keras_mask if hasattr(a, "_keras_mask") else None, getattr(b, "_keras_mask", None)
        assert t.masked == (mask is not None) == (wanted is not None)
        if mask is not None:
            assert equal(mask, wanted)
    weights = [w.value for w in ours.trainable_weights], [w.value for w in theirs.trainable_weights]
    by_us = torch.autograd.grad(sum((x**2).sum() for x in _as_list(found)), weights[0])
    by_them = torch.autograd.grad(sum((x**2).sum() for x in _as_list(expected)), weights[1])
    for weight, a, b in zip(ours.trainable_weights, by_us, by_them, strict=True):
        a = weight.from_native(a)
        np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):  # statistics moved alike
        np.testing.assert_allclose(a, b, atol=1e-5)


def _as_list(nest: Any) -> list[Any]:
    return list(nest) if isinstance(nest, (list, tuple)) else [nest]


@pytest.mark.parametrize("name", MODELS)
def test_every_way_of_running_agrees(keras: Any, name: str) -> None:
    ours, _, given = _pair(keras, name)
    expected = _numbers(ours(given))
    tensors = [on_device(x) for x in _as_list(given)]
    with torch.no_grad():
        ways = [
            ours.to_torch()(*tensors),
            engine.interpret(ours.graph, tensors)[0],
            _layer_by_layer(ours, tensors),
        ]
    for found in ways:
        for a, b in zip(_numbers(found), expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def _layer_by_layer(model: Any, inputs: list[Any]) -> list[Any]:
    """Run a model's nodes by calling its layers one by one."""
    values = {t.key: x for t, x in zip(model.graph.inputs, inputs, strict=True)}
    for node in model.graph.nodes:
        if node.inputs:
            given = [values[t.key] for t in node.inputs]
            results = node.operation(given if isinstance(node.args[0], list) else given[0])
            values |= {(node, i): x for i, x in enumerate(_as_list(results))}
    return [values[t.key] for t in model.graph.outputs]


def test_a_model_called_on_values_with_masks_takes_them() -> None:
    source = ab.Input((5, 4))
    model = ab.Model(source, layers.GlobalAveragePooling1D()(layers.Dense(2)(source)))
    table = layers.Embedding(8, 4, mask_zero=True)
    x = ab.Input((5,), dtype="int32")
    np.testing.assert_allclose(model(table(IDS)).detach(), ab.Model(x, model(table(x)))(IDS).detach(), atol=1e-6)


# Operators and functions (U12: Keras loses the mask)


@pytest.mark.parametrize(
    ("function", "reach"),
    [
        pytest.param(lambda x: x * 2, 2, id="times"),
        pytest.param(lambda x: 1 - x / 3, 2, id="from"),
        pytest.param(lambda x: x + np.ones((5, 4), "float32"), 2, id="positions"),
        pytest.param(lambda x: -(abs(x) ** 2), 2, id="unary"),
        pytest.param(lambda x: x > 0, 2, id="comparison"),
        pytest.param(lambda x: x @ np.ones((4, 2), "float32"), 2, id="matmul"),
        pytest.param(lambda x: torch.relu(x), 2, id="torch.relu"),
        pytest.param(lambda x: torch.nn.functional.gelu(x), 2, id="gelu"),
        pytest.param(lambda x: torch.softmax(x, -1), 2, id="softmax"),
        pytest.param(lambda x: x.sum(-1), 2, id="sum of features"),
        pytest.param(lambda x: torch.cat([x, x], -1), 2, id="cat features"),
        pytest.param(lambda x: torch.nn.functional.linear(x, torch.nn.Parameter(torch.ones(3, 4))), 2, id="linear"),
        pytest.param(lambda x: x.unsqueeze(2), 2, id="axis after"),
        pytest.param(lambda x: x[:, 1:], 2, id="steps"),
        pytest.param(lambda x: x[:, ::2, 1:3], 2, id="steps and features"),
        pytest.param(lambda x: x[..., 0], 2, id="one feature"),
        pytest.param(lambda x: x[:, :, None], 2, id="new axis after"),
        pytest.param(lambda x: x[:, None], 3, id="new axis before"),
        pytest.param(lambda x: x[:, 0], 0, id="one step"),
        pytest.param(lambda x: x.sum(1), 0, id="sum of steps"),
        pytest.param(lambda x: x.sum(), 0, id="sum of all"),
        pytest.param(lambda x: torch.flip(x, [1]), 0, id="flip steps"),
        pytest.param(lambda x: x.flatten(1), 0, id="flatten"),
        pytest.param(lambda x: x.transpose(1, 2), 0, id="transpose"),
        pytest.param(lambda x: x[None], 3, id="new axis first"),
        pytest.param(lambda x: x * np.ones((4, 1, 1, 1), "float32"), 0, id="more axes"),
    ],
)
def test_functions_keep_a_mask_whose_axes_they_leave_alone(function: Any, reach: int) -> None:
    source = ab.Input((5,), dtype="int32")
    table = layers.Embedding(8, 4, mask_zero=True)
    y = function(table(source))
    assert y.mask_axes == reach
    assert y.masked == bool(reach)
    model = ab.Model(source, y)
    results, masks = engine.interpret(model.graph, [on_device(IDS)])
    lowered = model(IDS)
    for result, mask in ((lowered, runtime.mask_of(lowered)), (results[0], masks[0])):
        assert (mask is not None) == bool(reach)
        if mask is not None:
            assert tuple(mask.shape) == tuple(result.shape)[:reach]


def test_of_two_masks_both_count() -> None:
    sources = [ab.Input((5,), dtype="int32") for _ in range(2)]
    table = layers.Embedding(8, 4, mask_zero=True)
    a, b = table(sources[0]), table(sources[1])
    model = ab.Model(sources, [a + b, torch.maximum(a, b) * a[..., :1], torch.where(a > 0, a, 0.0)])
    both = torch.as_tensor((IDS != 0) & (OTHER != 0))
    first, second, third = (runtime.mask_of(x) for x in model([IDS, OTHER]))
    assert equal(first, both)
    assert equal(second, both)
    assert equal(third, torch.as_tensor(IDS != 0))


def test_u12_an_operator_between_embedding_and_pooling(keras: Any) -> None:
    def make(keras: Any) -> tuple[Any, Any]:
        source = keras.Input((5,), dtype="int32")
        x = keras.layers.Embedding(8, 4, mask_zero=True)(source)
        pool = keras.layers.GlobalAveragePooling1D()
        return keras.Model(source, pool(x * 2.0)), keras.Model(source, pool(keras.layers.Rescaling(2.0)(x)))

    (operator, layer), (lost, masked_model) = make(ab), make(keras)
    for model in (operator, layer, lost, masked_model):
        model.set_weights([np.random.default_rng(0).normal(size=(8, 4)).astype("float32")])
    right = masked_model.predict(IDS, verbose=0)
    np.testing.assert_allclose(layer.predict(IDS, verbose=0), right, atol=1e-6)
    np.testing.assert_allclose(operator.predict(IDS, verbose=0), right, atol=1e-6)
    assert np.abs(lost.predict(IDS, verbose=0) - right).max() > 0.01, "Keras keeps it now: say so in docs/differences.md"


# Layers of one's own: the programs of Keras's guide on masking, with other layers in the place of the recurrent ones


class Halves(layers.Layer):
    """Split the steps in two; so is the mask."""

    def call(self, inputs: Any) -> Any:
        return torch.chunk(inputs, 2, 1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None if mask is None else torch.chunk(mask, 2, 1)


class MarkedTable(layers.Layer):
    """An Embedding that makes its own mask."""

    def __init__(self, input_dim: int, output_dim: int, mask_zero: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_dim, self.output_dim, self.mask_zero = input_dim, output_dim, mask_zero

    def build(self, input_shape: Any) -> None:
        self.embeddings = self.add_weight(shape=(self.input_dim, self.output_dim), initializer="random_normal")

    def call(self, inputs: Any) -> Any:
        return torch.nn.functional.embedding(inputs.long(), self.embeddings)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return inputs != 0 if self.mask_zero else None


class Gate(layers.Layer):
    """Let the mask through."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return torch.relu(inputs)


class TemporalSoftmax(layers.Layer):
    """A softmax over the steps that count."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            raise ValueError("no mask")
        share = mask.float().unsqueeze(-1)
        powers = torch.exp(inputs) * share
        return powers / powers.sum(1, keepdim=True)


class Peeking(TemporalSoftmax):
    """The same, in a way that cannot be traced."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return super().call(inputs, mask) if float(inputs.detach().sum()) < 1e9 else inputs


def test_a_layer_that_changes_the_mask() -> None:
    source = ab.Input((6, 4))
    x = layers.Masking()(source)
    first, second = Halves()(x)
    assert first.masked
    assert second.masked
    assert first.mask_axes == 2
    pool = layers.GlobalAveragePooling1D()
    model = ab.Model(source, [pool(first), pool(second), second])
    data = np.concatenate([SERIES, SERIES[:, :1]], 1)
    outputs = model(data)
    assert equal(runtime.mask_of(outputs[2]), torch.as_tensor((data != 0).any(-1))[:, 3:])
    expected_words = Halves()(layers.Masking()(data))
    for half, pooled in zip(expected_words, outputs, strict=False):
        np.testing.assert_allclose(pool(half), pooled, atol=1e-6)


@pytest.mark.parametrize("softmax", [TemporalSoftmax, Peeking])
def test_layers_that_make_keep_and_take_masks(softmax: Any) -> None:
    source = ab.Input((5,), dtype="int32")
    x = MarkedTable(8, 4, mask_zero=True)(source)
    x = Gate()(x)
    x = layers.Dense(1)(x)
    y = softmax()(x)
    assert y.masked
    model = ab.Model(source, [y, y * 2])
    shares, twice = model(IDS)
    np.testing.assert_allclose(shares.detach().sum(1), 1, atol=1e-6)
    assert (shares.detach().cpu().numpy()[..., 0][IDS == 0] == 0).all()
    _, masks = engine.interpret(model.graph, [on_device(IDS)])
    for mask in (runtime.mask_of(shares), runtime.mask_of(twice), *masks):
        assert equal(mask, torch.as_tensor(IDS != 0))
    np.testing.assert_allclose(model.to_torch()(on_device(IDS))[0].detach(), shares.detach(), atol=1e-6)
    assert not MarkedTable(8, 4)(source).masked


class Tabled(layers.Layer):
    """A table whose row 0 is masked, and a layer that takes what it gives."""

    def __init__(self, then: layers.Layer) -> None:
        super().__init__()
        self.table, self.then = layers.Embedding(8, 4, mask_zero=True), then


def test_a_mask_may_be_computed_and_passed_explicitly() -> None:
    class Block(Tabled):
        def call(self, inputs: Any) -> Any:
            return self.then(self.table(inputs), mask=self.table.compute_mask(inputs))

    source = ab.Input((5,), dtype="int32")
    block = Block(layers.GlobalAveragePooling1D())
    table, pool = block.table, block.then
    symbolic = ab.Model(
        source, pool(layers.Dense(4, kernel_initializer="identity")(table(source)), mask=table.compute_mask(source))
    )
    expected = pool(table(IDS)).detach()
    for found in (block(IDS), ab.Model(source, block(source))(IDS), symbolic(IDS), pool(table(IDS), mask=IDS != 0)):
        np.testing.assert_allclose(found.detach(), expected, atol=1e-6)
    everything = pool(table(IDS), mask=np.ones_like(IDS, bool)).detach()
    np.testing.assert_allclose(everything, table(IDS).detach().mean(1), atol=1e-6)


def test_masks_of_arguments_by_name() -> None:
    class Attention(layers.Layer):
        supports_masking = True

        def call(self, query: Any, value: Any, query_mask: Any = None, value_mask: Any = None) -> Any:
            scores = query @ value.transpose(1, 2)
            scores = torch.where(value_mask.unsqueeze(1), scores, -1e9)
            return torch.softmax(scores, -1) @ value * query_mask.unsqueeze(-1)

    sources = [ab.Input((5,), dtype="int32") for _ in range(2)]
    table, attention = layers.Embedding(8, 4, mask_zero=True), Attention()
    y = attention(table(sources[0]), table(sources[1]))
    assert y.masked
    result = ab.Model(sources, y)([IDS, OTHER])
    np.testing.assert_allclose(result.detach(), attention(table(IDS), value=table(OTHER)).detach(), atol=1e-6)
    assert equal(runtime.mask_of(result), torch.as_tensor(IDS != 0))
    assert (result.detach().cpu().numpy()[IDS == 0] == 0).all()


def test_softmax_takes_a_mask_of_scores_only(keras: Any) -> None:
    source = ab.Input((5,), dtype="int32")
    x = layers.Embedding(8, 4, mask_zero=True)(source)
    scores = ab.Model(source, layers.Softmax()(x[..., 0]))
    assert (scores(IDS).detach().cpu().numpy()[IDS == 0] == 0).all()
    features = ab.Model(source, layers.Softmax()(x))(IDS)
    np.testing.assert_allclose(features.detach().sum(-1), 1, atol=1e-6)
    assert equal(runtime.mask_of(features), torch.as_tensor(IDS != 0))


# Where a mask ends


def test_a_lost_mask_is_reported_at_the_line_that_loses_it() -> None:
    source = ab.Input((5,), dtype="int32")
    x = layers.Embedding(8, 4, mask_zero=True)(source)
    for call in (
        lambda: layers.Flatten()(x),
        lambda: layers.Conv1D(3, 2)(x),
        lambda: layers.Flatten()(layers.Masking()(SERIES)),
    ):
        with pytest.warns(UserWarning, match="does not support masks") as explained:
            call()
        assert Path(explained[0].filename).name == Path(__file__).name
        assert explained[0].lineno == call.__code__.co_firstlineno
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        for _ in range(3):
            y = layers.Flatten(name="flat")(x)
    assert len(found) == 1, "once for a place"
    assert not y.masked
    layers.GlobalAveragePooling1D()(x)  # takes it


def test_a_layer_without_support_gives_its_input_back_without_the_mask() -> None:
    class Same(layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs

    source = ab.Input((5,), dtype="int32")
    table, same = layers.Embedding(8, 4, mask_zero=True), Same()
    with pytest.warns(UserWarning, match="does not support masks"):
        y = same(table(source))
    assert not y.masked
    assert runtime.mask_of(ab.Model(source, y)(IDS)) is None
    given = table(IDS)
    with pytest.warns(UserWarning, match="does not support masks"):
        assert runtime.mask_of(same(given)) is None
    assert runtime.mask_of(given) is not None, "what came in keeps it"


def test_unmasked_models_hold_nothing_of_it() -> None:
    source = ab.Input((5,), dtype="int32")
    x = layers.Embedding(8, 4)(source)
    y = layers.Dense(2)(layers.Add()([x, x * 2]))
    model = ab.Model(source, layers.GlobalAveragePooling1D()(y))
    assert not any(node.masked[0] for node in model.graph.nodes)
    operations = [node.target for node in engine.program(model, False).module.graph.nodes if node.op.startswith("call")]
    assert len(operations) == 6  # long, embedding, times, plus, linear, mean


def test_masks_that_nobody_takes_leave_no_code() -> None:
    source = ab.Input((5,), dtype="int32")
    with pytest.warns(UserWarning, match="does not support masks"):
        y = layers.Flatten()(layers.Embedding(8, 4, mask_zero=True)(source))
    code = ab.Model(source, y).to_torch().code
    assert "!=" not in code
    assert "ne" not in code.split()


def test_lambda_takes_and_makes_masks() -> None:
    source = ab.Input((5,), dtype="int32")
    x = layers.Embedding(8, 4, mask_zero=True)(source)
    explained = layers.Lambda(lambda x, mask=None: x * mask.unsqueeze(-1), mask=lambda inputs, mask: mask[:, 1:])
    model = ab.Model(source, explained(x))
    result = model(IDS)
    assert (result.detach().cpu().numpy()[IDS == 0] == 0).all()
    assert equal(runtime.mask_of(result), torch.as_tensor(IDS != 0)[:, 1:])
    traced = layers.Lambda(lambda x: x * 2)(x)
    assert traced.masked
    assert equal(runtime.mask_of(ab.Model(source, traced)(IDS)), torch.as_tensor(IDS != 0))


def test_masking_refuses_what_has_no_steps() -> None:
    with pytest.raises(ValueError, match="marks steps"):
        layers.Masking()(ab.Input(()))


def test_describing_masks_loads_no_torch() -> None:
    import subprocess
    import sys

    script = (
        "import sys, anabranch as ab\nfrom anabranch import layers\n"
        "x = layers.Embedding(8, 4, mask_zero=True)(ab.Input((5,), dtype='int32'))\n"
        "y = layers.Concatenate()([x * 2, layers.Masking()(ab.Input((5, 4)))])\n"
        "assert layers.Add()([x, x[:, :]]).masked and y.masked\n"
        "assert not layers.GlobalAveragePooling1D()(y).masked\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_mask_made_inside_a_layer_goes_on() -> None:
    class Words(Tabled):
        def call(self, inputs: Any) -> Any:
            return self.then(self.table(inputs))

    source = ab.Input((5,), dtype="int32")
    words = Words(layers.LayerNormalization())
    y = words(source)
    assert y.mask_axes == 2
    model = ab.Model(source, [y * 2, layers.GlobalAveragePooling1D()(y[:, 1:])])
    twice, mean = model(IDS)
    assert equal(runtime.mask_of(twice), torch.as_tensor(IDS != 0))
    assert equal(runtime.mask_of(words(IDS)), torch.as_tensor(IDS != 0))
    expected_words = words(IDS).detach().cpu().numpy()[:, 1:]
    counts = (IDS != 0)[:, 1:, None]
    np.testing.assert_allclose(mean.detach(), (expected_words * counts).sum(1) / counts.sum(1), atol=1e-5)


def test_a_mask_given_to_a_model(keras: Any) -> None:
    def make(keras: Any) -> Any:
        source = keras.Input((5, 4))
        return keras.Model(source, keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(source)))

    ours, mask = make(ab), (SERIES != 0).any(-1)
    with pytest.warns(UserWarning, match="Layer 'functional"):
        expected = np.asarray(make(keras)(SERIES, mask=torch.as_tensor(mask)).detach())
    np.testing.assert_allclose(ours(SERIES, mask=mask).detach(), expected, atol=1e-5)
    with pytest.raises(ValueError, match="takes the masks that go with its inputs"):
        ours(ab.Input((5, 4)), mask=ab.Input((5,), dtype="bool"))


@pytest.mark.parametrize("peeking", [False, True], ids=["traced", "opaque"])
def test_a_model_inside_a_layer_keeps_masks(peeking: bool) -> None:
    source = ab.Input((5,), dtype="int32")
    x = layers.Embedding(8, 4, mask_zero=True)(source)
    inner = ab.Model(source, layers.GlobalAveragePooling1D()((torch.relu(x) * 2)[:, 1:]))
    row = ab.Sequential([layers.Embedding(8, 4, mask_zero=True), layers.Dense(3), layers.GlobalAveragePooling1D()])

    class Holder(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner, self.row = inner, row

        def call(self, inputs: Any) -> Any:
            if peeking and int(inputs.sum()) < 0:
                return inputs
            return torch.cat([self.inner(inputs), self.row(inputs)], -1)

    holder = Holder()
    model = ab.Model(source, holder(source))
    expected = torch.cat([inner(IDS), row(IDS)], -1).detach()
    for found in (model(IDS), holder(IDS), model.to_torch()(on_device(IDS))):
        np.testing.assert_allclose(found.detach(), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_masks_stay_where_a_layer_casts(dtype: str) -> None:
    source = ab.Input((5,), dtype="int32")
    table = layers.Embedding(8, 4, mask_zero=True)
    pool = layers.GlobalAveragePooling1D(dtype=dtype)
    model = ab.Model(source, pool(table(source)))
    counts = (IDS != 0)[..., None]
    right = (table(IDS).detach().cpu().numpy() * counts).sum(1) / counts.sum(1)
    for found in (model(IDS), pool(table(IDS)), *engine.interpret(model.graph, [on_device(IDS)])[0]):
        assert str(found.dtype) == f"torch.{dtype}"
        np.testing.assert_allclose(found.detach().float(), right, atol=1e-2)


def test_a_list_of_inputs_has_a_list_of_masks() -> None:
    class Both(layers.Layer):
        def call(self, inputs: Any, mask: Any = None) -> Any:
            return sum(x if m is None else x * m.unsqueeze(-1) for x, m in zip(inputs, mask or [None] * 2, strict=True))

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return mask and mask[0]

    source = ab.Input((5,), dtype="int32")
    words, plain, both = layers.Embedding(8, 4, mask_zero=True), layers.Embedding(8, 4), Both()
    y = both([words(source), plain(source)])
    assert y.mask_axes == 2
    assert not both([plain(source), plain(source)]).masked
    for result in (ab.Model(source, y)(IDS), both([words(IDS), plain(IDS)])):
        right = words(IDS) * on_device(IDS != 0).unsqueeze(-1) + plain(IDS)
        np.testing.assert_allclose(result.detach(), right.detach(), atol=1e-6)
        assert equal(runtime.mask_of(result), torch.as_tensor(IDS != 0))


def test_torchs_modules_know_nothing_of_masks_and_its_functions_do() -> None:
    x = layers.Embedding(8, 4, mask_zero=True)(ab.Input((5,), dtype="int32"))
    with pytest.warns(UserWarning, match="TorchModule 'linear' does not support masks"):
        assert not torch.nn.Linear(4, 2)(x).masked
    assert torch.nn.functional.linear(x, torch.nn.Parameter(torch.ones(2, 4))).masked
