"""Recurrent layers beside Keras's: masks, states in and out, cells of users; and what the table of all layers does not show."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from test_every_layer import close, draw_weights, numbers

import anabranch as ab
from anabranch import layers
from anabranch._errors import AnabranchError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 3)).astype("float32")
MASK = RNG.random((4, 6)) > 0.4
MASK[0] = False  # nothing of a row counts
STATE = RNG.normal(size=(4, 5)).astype("float32")
KINDS = ("SimpleRNN", "GRU", "LSTM")


class Halving(layers.Layer):
    """A cell of a user: the state is half the one before, and the input's product."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")

    def call(self, inputs: Any, states: Any) -> Any:
        state = inputs @ self.kernel + 0.5 * states[0]
        return 2 * state, [state]


@pytest.mark.parametrize("zeroed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "step by step"])
def test_masked_sequences_equal_keras(keras: Any, kind: str, fused: bool, zeroed: bool) -> None:
    settings = {"return_sequences": True, "return_state": True, "zero_output_for_mask": zeroed}
    ours, theirs = (getattr(library.layers, kind)(5, unroll=not fused, **settings) for library in (ab, keras))
    x = ab.Input((6, 3))
    mask = ab.Input((6,), dtype="bool")
    model = ab.Model([x, mask], ours(x, mask=mask))
    theirs.build((None, 6, 3))
    draw_weights(ours)
    theirs.set_weights(ours.get_weights())
    theirs.unroll = False
    wanted = numbers(theirs(torch.from_numpy(X), mask=torch.from_numpy(MASK)))
    for found in (ours(X, mask=MASK), model([X, MASK])):
        for a, b in zip(numbers(found), wanted, strict=True):
            close(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stateful_layer_goes_on_where_the_batch_before_ended(kind: str) -> None:
    x = ab.Input(batch_shape=(4, 3, 3))
    layer = getattr(layers, kind)(5, stateful=True, return_sequences=True)
    model = ab.Model(x, layer(x))
    whole = getattr(layers, kind)(5, return_sequences=True)
    whole(X)
    whole.set_weights(layer.get_weights())
    wanted = numbers(whole(X))[0]
    for _ in range(2):
        found = [model.predict(part, batch_size=4, verbose=0) for part in (X[:, :3], X[:, 3:])]
        close(np.concatenate(found, 1), wanted)
        layer.reset_state()
    model.compile("sgd", "mse")
    model.fit(X[:, :3], wanted[:, :3], batch_size=4, verbose=0)
    assert any(np.any(state.numpy()) for state in layer.states)
    with pytest.raises(ShapeError, match="batches of one size"):
        layer(X[:2, :3])
    with pytest.raises(ShapeError, match="size of the batch must be known"):
        getattr(layers, kind)(5, stateful=True)(ab.Input((3, 3)))


def test_states_given_are_those_that_were_returned() -> None:
    layer = layers.LSTM(5, return_sequences=True, return_state=True)
    whole, *_ = layer(X)
    _, h, c = layer(X[:, :2])
    second = layer(X[:, 2:], initial_state=[h, c])[0]
    close(numbers(second)[0], numbers(whole)[0][:, 2:])
    with pytest.raises(AnabranchError):
        layer(X, initial_state=[STATE[:, :4], STATE])
    with pytest.raises(AnabranchError, match="a tensor for each state"):
        layer(X, initial_state=[STATE])
    with pytest.raises(ShapeError, match="another size"):
        layer(X[..., :2])


def test_a_users_cell_runs_in_a_model_and_among_others() -> None:
    x = ab.Input((6, 3))
    layer = layers.RNN([layers.GRUCell(5), Halving(4)], return_sequences=True)
    model = ab.Model(x, layer(x))
    model.compile("sgd", "mse")
    model.fit(X, np.ones((4, 6, 4), "float32"), verbose=0)
    lower = numbers(layers.RNN(layer.cell.cells[0], return_sequences=True)(X))[0]
    state, kernel = np.zeros((4, 4), "float32"), layer.cell.cells[1].kernel.numpy()
    for step in range(6):
        state = lower[:, step] @ kernel + 0.5 * state
        close(model.predict(X, verbose=0)[:, step], 2 * state)
    with pytest.raises(AnabranchError, match="state_size"):
        layers.RNN(layers.Dense(3))


def test_dropout_is_the_same_at_all_steps() -> None:
    ones = np.ones((2, 5, 400), "float32")
    layer = layers.SimpleRNN(400, dropout=0.5, activation="linear", kernel_initializer="identity", use_bias=False,
                             recurrent_initializer="zeros", return_sequences=True)  # fmt: skip
    found = numbers(layer(ones, training=True))[0]
    assert set(np.unique(found)) == {0.0, 2.0}
    assert (found == found[:, :1]).all()
    assert 0.3 < (found == 0).mean() < 0.7


def test_steps_in_16_bits() -> None:
    x = ab.Input((6, 3))
    model = ab.Model(x, layers.LSTM(5, dtype="mixed_bfloat16", return_sequences=True)(x))
    exact = layers.LSTM(5, return_sequences=True)
    exact(X)
    exact.set_weights(model.get_weights())
    assert model(X).dtype == torch.bfloat16
    assert abs(numbers(model(X))[0] - numbers(exact(X))[0]).max() < 0.02


def test_batches_of_steps_are_normalized_one_by_one(keras: Any) -> None:
    ours, theirs = (each.layers.TimeDistributed(each.layers.BatchNormalization(momentum=0.5)) for each in (ab, keras))
    close(numbers(ours(X, training=True))[0], numbers(theirs(torch.from_numpy(X), training=True))[0])
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(a, b)


FRAMES = RNG.normal(size=(4, 6, 5, 4, 2)).astype("float32")


@pytest.mark.parametrize("zeroed", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_masked_frames_equal_keras(keras: Any, zeroed: bool, first: bool) -> None:
    settings = {
        "return_sequences": True, "return_state": True, "zero_output_for_mask": zeroed, "strides": 2,
        "data_format": "channels_first" if first else "channels_last",
    }  # fmt: skip
    frames = np.moveaxis(FRAMES, -1, 2).copy() if first else FRAMES
    ours, theirs = (library.layers.ConvLSTM2D(3, 2, name="frames", **settings) for library in (ab, keras))
    x, mask = ab.Input(frames.shape[1:]), ab.Input((6,), dtype="bool")
    model = ab.Model([x, mask], ours(x, mask=mask))
    theirs.build((None, *frames.shape[1:]))
    draw_weights(ours)
    theirs.set_weights(ours.get_weights())
    assert [weight.path for weight in ours.weights] == [weight.path for weight in theirs.weights]
    wanted = numbers(theirs(torch.from_numpy(frames), mask=torch.from_numpy(MASK)))
    for found in (ours(frames, mask=MASK), model([frames, MASK])):
        for a, b in zip(numbers(found), wanted, strict=True):
            close(a, b)


def test_frames_go_on_where_the_batch_before_ended() -> None:
    x = ab.Input(batch_shape=(4, 3, 5, 4, 2))
    layer = layers.ConvLSTM2D(3, 2, padding="same", stateful=True, return_sequences=True)
    model = ab.Model(x, layer(x))
    whole = layers.ConvLSTM2D(3, 2, padding="same", return_sequences=True)
    whole(FRAMES)
    whole.set_weights(layer.get_weights())
    found = [model.predict(part, batch_size=4, verbose=0) for part in (FRAMES[:, :3], FRAMES[:, 3:])]
    close(np.concatenate(found, 1), numbers(whole(FRAMES))[0])


def test_frames_of_other_sizes_are_refused() -> None:
    layer = layers.ConvLSTM2D(3, 2)
    assert layer.compute_output_shape((None, 6, 5, 4, 2)) == (None, 4, 3, 3)
    with pytest.raises(ShapeError, match="sizes of its images"):
        layers.ConvLSTM2D(3, 2)(ab.Input((6, None, 4, 2)))
    with pytest.raises(ShapeError, match="before it is built"):
        layer.get_initial_state(2)
    layer(FRAMES)
    assert [tuple(state.shape) for state in layer.get_initial_state(2)] == [(2, 4, 3, 3)] * 2
    for other in (FRAMES[:, :, :4], ab.Input((6, 4, 4, 2))):
        with pytest.raises(ShapeError, match="another shape"):
            layer(other)


def test_a_clone_draws_weights_of_its_own_for_layers_inside() -> None:
    x = ab.Input((6, 3))
    cell = layers.GRUCell(4)
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    y = layers.RNN([cell, layers.LSTMCell(3)], return_sequences=True)(y)
    y = layers.RNN(layers.LSTMCell(3, unit_forget_bias=False), return_sequences=True)(y)
    model = ab.Model(x, layers.TimeDistributed(layers.Dense(2))(y))
    cell.trainable = False
    clone = ab.models.clone_model(model)
    assert [weight.path for weight in clone.weights] == [weight.path for weight in model.weights]
    assert [weight.trainable for weight in clone.weights] == [weight.trainable for weight in model.weights]
    for a, b in zip(clone.weights, model.weights, strict=True):
        assert a is not b
        assert np.array_equal(a.numpy(), b.numpy()) == a.path.endswith("bias")
    copied = ab.models.clone_model(model, weights="copied")
    close(copied.predict(X, verbose=0), model.predict(X, verbose=0))


def test_states_of_a_known_batch_log_nothing() -> None:
    """Beside inputs whose batch is not known while the program is traced, they do not broadcast on torch's fake tensors."""
    logger, logged = logging.getLogger("torch._subclasses.fake_tensor"), []

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(record)

    handler = Noting()
    x = ab.Input(batch_shape=(4, 6, 3))
    model = ab.Model(x, layers.GRU(5, reset_after=False, stateful=True, unroll=True)(x))
    logger.setLevel(logging.NOTSET)
    logger.addHandler(handler)
    try:
        model.predict(X, batch_size=4, verbose=0)
    finally:
        logger.removeHandler(handler)
    assert not logged


@pytest.mark.parametrize("policy", ["float64", "float16", "mixed_bfloat16"])
@pytest.mark.parametrize("cell", [Halving, layers.GRUCell, lambda units: [layers.LSTMCell(2), Halving(units)]])
def test_cells_of_another_policy_give_what_their_layer_computes_in(policy: str, cell: Any) -> None:
    layer, x = layers.RNN(cell(5), dtype=policy), ab.Input((6, 3))
    output = layer(x)
    found = layer(X), ab.Model(x, output)(X)
    assert {str(value.dtype).removeprefix("torch.") for value in found} == {output.dtype} == {layer.compute_dtype}
    plain = layers.RNN(cell(5))
    plain(X)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(found[0].detach().float().cpu(), plain(X).detach().cpu(), atol=0.05)


@pytest.mark.parametrize("mode", ["concat", "sum", None])
def test_both_directions_give_what_their_wrapper_computes_in(mode: Any) -> None:
    layer = layers.Bidirectional(layers.GRU(2), merge_mode=mode, dtype="float64")
    for found in (layer(ab.Input((6, 3))), layer(X)):
        each = found if mode is None else [found]
        assert {str(output.dtype).removeprefix("torch.") for output in each} == {"float64"}


def test_both_directions_of_a_cell_that_nobody_registered() -> None:
    layer = layers.Bidirectional(layers.RNN(Halving(5), name="halving"))
    layer(X)
    assert [weight.path for weight in layer.weights] == [
        "bidirectional/forward_halving/halving/kernel", "bidirectional/backward_halving/halving/kernel",
    ]  # fmt: skip
    assert layer.forward_layer.cell is not layer.backward_layer.cell
    assert (layer.forward_layer.go_backwards, layer.backward_layer.go_backwards) == (False, True)


@pytest.mark.parametrize(
    ("layer", "shape", "mask"),
    [
        (lambda: layers.ConvLSTM2D(2, 2), (2, 3, 4, 4, 2), (2, 3, 4, 4)),
        (lambda: layers.ConvLSTM1D(2, 2), (2, 3, 4, 2), (2, 3, 4)),
        (lambda: layers.LSTM(2), (2, 3, 4), (2, 3, 4)), (lambda: layers.GRU(2), (2, 3, 4), (3,)),
        (lambda: layers.SimpleRNN(2), (2, 3, 4), (2, 4)), (lambda: layers.RNN(layers.GRUCell(2)), (2, 3, 4), (2, 2)),
        (lambda: layers.Bidirectional(layers.LSTM(2)), (2, 3, 4), (2, 3, 1)),
    ],
)  # fmt: skip
def test_a_mask_has_one_value_for_each_step(layer: Any, shape: Any, mask: Any) -> None:
    with pytest.raises(ShapeError, match=r"one value for each step.\n  expected: a mask \(batch, steps\)"):
        layer()(np.ones(shape, "float32"), mask=np.ones(mask, bool))


def test_a_mask_of_pixels_is_refused_where_a_model_brings_it() -> None:
    inputs = ab.Input((3, 4, 4, 2))
    model = ab.Model(inputs, layers.ConvLSTM2D(2, 2)(layers.Masking()(inputs)))
    with pytest.raises(ShapeError, match="one value for each step"):
        model.predict(np.ones((2, 3, 4, 4, 2), "float32"), verbose=0)


class Counts(layers.Layer):
    """A cell of a user that looks ids up."""

    state_size = output_size = 2

    def build(self, input_shape: Any) -> None:
        self.table = self.add_weight((5, 2), name="table", initializer="ones")

    def call(self, ids: Any, states: Any) -> Any:
        state = states[0] + self.table[ids].sum(1)
        return state, [state]


@pytest.mark.parametrize("cell", [
    lambda made: made.GRUCell(4), lambda made: [made.GRUCell(3), made.LSTMCell(4)],
    lambda made: made.StackedRNNCells([made.SimpleRNNCell(4)]),
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_cells_take_integers_as_layers_do(keras: Any, cell: Any, dtype: str) -> None:
    x, models = (X > 0).astype(dtype), []
    for library in (ab, keras):
        inputs = library.Input((6, 3), dtype=dtype)
        models.append(library.Model(inputs, library.layers.RNN(cell(library.layers))(inputs)))
    ours, theirs = models
    theirs.set_weights(ours.get_weights())
    wanted = theirs.predict(x, verbose=0)
    np.testing.assert_allclose(ours.predict(x, verbose=0), wanted, atol=1e-6)
    np.testing.assert_allclose(ours.layers[-1](x).detach(), wanted, atol=1e-6)


def test_a_users_cell_is_given_the_integers_that_a_stack_is_given() -> None:
    inputs = ab.Input((3, 2), dtype="int64")
    model = ab.Model(inputs, layers.RNN([Counts(), layers.LSTMCell(4)])(inputs))
    assert model.predict(np.ones((2, 3, 2), "int64"), verbose=0).dtype == np.float32
    sums = ab.Model(inputs, layers.RNN(Counts())(inputs))
    assert sums.predict(np.ones((2, 3, 2), "int64"), verbose=0).tolist() == [[6.0, 6.0]] * 2
