"""Each rewriting of the fx graph: what it does where, and that no result moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal
from rewriting import BATCH, MODELS, all_settings, chain, dense_after, doubled, drawn, random_model, residual, unchanged

from anabranch import Input, Model, config, engine, layers, ops
from anabranch.config import precision
from anabranch.engine import passes

pytestmark = pytest.mark.on_cpu  # where most passes have something to do

EACH = [(each.name, (each,)) for each in passes.PASSES] + [("all", passes.PASSES)]


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("chosen", [pytest.param(chosen, id=name) for name, chosen in EACH])
@pytest.mark.parametrize("make", [pytest.param(make, id=make.__name__) for make in MODELS])
def test_each_pass_leaves_results_unchanged(make: Callable[[], Model], chosen: tuple[passes.Pass, ...], training: bool) -> None:
    model = make()
    for settings in all_settings(training):
        inputs = drawn(model, 1 if settings.single else BATCH)
        unchanged(model, inputs, settings, chosen)


@pytest.mark.parametrize("number", range(60))
def test_all_passes_leave_random_graphs_unchanged(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = random_model(1000 + number, monkeypatch)
    for settings in (*all_settings(False), *all_settings(True)):
        unchanged(model, inputs, settings, passes.PASSES)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "mixed_float16", "float64"])
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("make", [pytest.param(make, id=make.__name__) for make in MODELS])
def test_no_result_moves_in_other_precisions(
    make: Callable[[], Model], training: bool, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_policy", precision._policy)
    config.set_dtype_policy(policy)
    model = make()
    inputs = [x.to(getattr(torch, t.dtype)) for x, t in zip(drawn(model), model.inputs, strict=True)]
    tolerance = {"mixed_float16": 2**-6, "float64": 1e-6}.get(policy, 2**-4)
    for settings in all_settings(training):
        some = [x[:1] for x in inputs] if settings.single else inputs
        unchanged(model, some, settings, passes.PASSES, tolerance)


# What is done where


def done(model: Model, name: str, **options: Any) -> dict[str, str]:
    return {note.path: note.text for note in model.explain_execution(**options)[name].done}


def refused(model: Model, name: str, **options: Any) -> dict[str, str]:
    return {note.path: note.text for note in model.explain_execution(**options)[name].refused}


def test_between_convolutions_nothing_is_permuted() -> None:
    model = residual()
    for options in ({"training": True}, {"training": False}):
        code = model.explain_execution(**options).code
        assert code.count("permute(") == 1, "the images alone"


def test_normalizations_become_part_of_convolutions_and_dense_layers() -> None:
    assert "batch_norm" not in residual().explain_execution().code
    assert "batch_norm" not in dense_after().explain_execution().code
    assert "batch_norm" in residual().explain_execution(gradients=True).code
    alone = chain((4, 4, 2), layers.ReLU(), layers.BatchNormalization())
    assert refused(alone, "batch_norm") == {"batch_normalization": "no convolution or dense layer is right before it"}


def test_a_normalization_whose_convolution_is_needed_elsewhere_stays() -> None:
    inputs = Input((4, 4, 2))
    x = layers.Conv2D(2, 1, name="conv")(inputs)
    model = Model(inputs, [layers.BatchNormalization()(x), x])
    assert list(refused(model, "batch_norm").values()) == ["the result of conv is needed elsewhere too"]
    inputs = drawn(model)
    unchanged(model, inputs, passes.Settings(False, no_grad=True), passes.PASSES)


@pytest.mark.parametrize(
    "activation", ["relu", "sigmoid", "tanh", "silu", "hard_sigmoid", "hard_silu", "relu6", "leaky_relu", "gelu"]
)
def test_activations_become_part_of_convolutions(activation: str) -> None:
    model = chain((7, 7, 3), layers.Conv2D(5, 3, activation=activation, name="conv"))
    assert done(model, "fusion") == {"conv": "with the activation"}
    unchanged(model, drawn(model), passes.Settings(False, no_grad=True), passes.PASSES)


def test_sums_become_part_of_convolutions() -> None:
    model = residual()
    assert "the sum add and the activation" in done(model, "fusion")["conv2d_1"]
    assert "_convolution_pointwise.binary" in model.explain_execution().code, "its input is what is added"


def test_a_sum_is_written_over_what_is_added() -> None:
    inputs = Input((6, 6, 3))
    x = layers.Conv2D(4, 1, activation="relu")(inputs)
    y = layers.Conv2D(4, 1, activation="relu")(x)
    model = Model(inputs, layers.ReLU()(layers.add([x, layers.Conv2D(4, 3, padding="same", name="conv")(y)])))
    assert done(model, "in_place") == {"conv": "in place"}
    assert "_convolution_pointwise_.binary" in model.explain_execution().code
    unchanged(model, drawn(model), passes.Settings(False, no_grad=True), passes.PASSES)


def test_a_value_that_is_needed_after_a_sum_is_not_written_over() -> None:
    x = inputs = Input((6, 6, 3))
    first = layers.Conv2D(4, 1, activation="relu")(x)
    later = layers.Conv2D(4, 1, name="later")
    x = layers.add([layers.Conv2D(4, 1, name="conv")(first), first])
    model = Model(inputs, [x, later(first)])
    assert refused(model, "in_place")["conv"] == "what is added is needed elsewhere too"
    assert "_convolution_pointwise.binary" in model.explain_execution().code
    unchanged(model, drawn(model), passes.Settings(False, no_grad=True), passes.PASSES)


def test_a_large_dense_layer_takes_its_activation_and_a_small_one_does_not() -> None:
    model = chain((512,), layers.Dense(512, activation="relu", name="large"), layers.Dense(3, activation="relu", name="small"))
    assert done(model, "fusion") == {"large": "with the activation"}
    assert refused(model, "fusion") == {"small": "small: the plain call is faster"}
    unchanged(model, drawn(model), passes.Settings(False, no_grad=True), passes.PASSES)


def test_one_sample_is_fused_where_it_uses_each_weight_often() -> None:
    light, heavy = (chain((size, size, 64), layers.Conv2D(64, 3, activation="relu", name="conv")) for size in (4, 16))
    lowered = [engine.program(model, False).lowered for model in (light, heavy)]
    assert [passes.multiplications(each.code, each.root) for each in lowered] == [
        (size - 2) ** 2 * 64 * 64 * 9 for size in (4, 16)
    ]
    assert [passes.reuse(each.code, each.root) for each in lowered] == [4, 196]
    assert "batches of one" in refused(light, "fusion", single=True)[""]
    assert "mkldnn" not in light.explain_execution(single=True).code
    assert done(heavy, "fusion", single=True) == {"conv": "with the activation"}


def test_one_sample_reads_the_weights_of_dense_layers_as_they_are() -> None:
    model = chain(
        (16, 16, 64), layers.Conv2D(64, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.Flatten(),
        layers.Dense(32, name="dense"), layers.BatchNormalization(name="last"),
    )  # fmt: skip
    explained = model.explain_execution(single=True)
    assert explained.prepared == ("conv",)
    assert {note.path for note in explained["batch_norm"].refused} == {"last"}
    assert {note.path for note in explained["fusion"].refused} == {"dense"}
    assert model.explain_execution().prepared == ("conv", "dense")


PARTS: list[tuple[tuple[int, ...], Callable[[Any], Any]]] = [
    ((4,), lambda x: x[:1]), ((), lambda x: x[..., :1]), ((4,), lambda x: x[None, :1][0]), ((4,), lambda x: x[1:2, :]),
    ((4,), lambda x: ops.relu(ops.split(x, [1], axis=0)[0])), ((4,), lambda x: ops.take(x, [0], axis=0)),
    ((4,), lambda x: ops.slice(x, (0, 0), (1, 4))), ((4,), lambda x: ops.top_k(ops.transpose(x), 1)[0][:, 0][None]),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "part"), PARTS)
def test_a_part_of_the_batch_is_not_added_to_in_place(shape: tuple[int, ...], part: Callable[[Any], Any]) -> None:
    x = Input(shape)
    model = Model(x, part(x) * 2 + x)
    data = torch.arange(3.0 * max(1, *shape, 1)).reshape(3, *shape)
    assert equal(torch.as_tensor(model.predict(data, verbose=0)), part(data) * 2 + data)


def test_the_same_places_of_all_samples_are_added_to_in_place() -> None:
    x = Input((4, 6))
    model = Model(x, x[:, :2] * 2 + x[..., :2, :])
    assert done(model, "in_place")


def test_an_activation_whose_input_is_needed_elsewhere_is_not_in_place() -> None:
    inputs = Input((3,))
    x = layers.Dense(3, name="dense")(inputs)
    model = Model(inputs, [layers.ReLU(name="relu")(x), x])
    assert refused(model, "in_place", training=True) == {"relu": "its input is needed elsewhere too"}


@pytest.mark.parametrize(
    "layer", [layers.Dense(4), layers.MaxPooling1D(2), layers.AveragePooling1D(2)], ids=lambda layer: layer.name
)
def test_what_gradients_take_for_a_view_is_not_written_over(layer: layers.Layer) -> None:
    inputs = Input((6, 3))
    model = Model(inputs, layers.ReLU(name="relu")(layer(inputs)))
    assert "a view to them" in refused(model, "in_place", training=True)["relu"]
    assert "CopySlices" not in str(functions_behind(model(torch.randn(2, 6, 3, requires_grad=True), training=True).grad_fn))


def functions_behind(function: Any) -> list[str]:
    """Return the names of the functions that compute gradients."""
    found, left = [], [function]
    while left:
        each = left.pop()
        found.append(type(each).__name__)
        left += [before for before, _ in each.next_functions if before is not None]
    return found


def test_inputs_are_never_overwritten() -> None:
    model = chain((3,), layers.ReLU(), layers.ELU(), layers.Identity())
    x = torch.randn(4, 3)
    before = x.clone()
    model.predict(x, verbose=0)
    with torch.no_grad():
        model(x)
        model(x, training=True)
    model(x)
    assert equal(x, before)


def test_integers_keep_their_type() -> None:
    inputs = Input((3,), dtype="int32")
    model = Model(inputs, ops.sigmoid(inputs + inputs))
    with torch.no_grad():
        assert model(torch.ones(2, 3, dtype=torch.int32)).dtype == torch.float32


def test_what_is_computed_twice_is_computed_once() -> None:
    model = doubled()
    assert model.explain_execution(training=True).code.count("linear(") == 1
    code = chain((4, 4, 3), layers.Dropout(0.5), layers.Dropout(0.5)).explain_execution(training=True).code
    assert code.count("bernoulli_(") + code.count("dropout(") == 2


def test_rows_are_selected_for_gradients_alone() -> None:
    inputs = Input((4,), dtype="int32")
    x = layers.Embedding(7, 5, name="table")(inputs)
    padded = layers.TorchModule(torch.nn.Embedding(7, 5, padding_idx=0), name="padded")(inputs)
    model = Model(inputs, [x, padded])
    assert done(model, "lookup", training=True) == {"table": "by index_select"}
    assert "gradient" in refused(model, "lookup")[""]


def retrain(model: Model, x: torch.Tensor, optimizer: str) -> None:
    model.compile(optimizer, "mse")
    model.fit(x, torch.ones(len(x), 4), verbose=0)


def test_what_follows_from_weights_alone_follows_their_changes() -> None:
    model = residual()
    (x,) = drawn(model)
    model.compile("sgd", "mse")
    first = model.predict(x, verbose=0)
    variant = engine.program(model, False).variant(no_grad=True)
    assert variant.computed
    held = variant._constants.values()
    assert np.array_equal(model.predict(x, verbose=0), first)
    assert variant._constants.values() is held, "nothing changed, so nothing is recomputed"
    for change in (
        lambda: model.fit(x, torch.ones(len(x), 4), verbose=0),
        lambda: model.layers[1].set_weights([2 * w for w in model.layers[1].get_weights()]),
        lambda: model.get_layer("batch_normalization").moving_mean.assign_add(np.ones(8)),
        lambda: model.layers[1].kernel.value.data.neg_(),
        lambda: model.layers[1].kernel.assign(model.layers[1].kernel.numpy()[::-1, ..., ::-1]),
        lambda: model.layers[1].kernel.value.data.copy_(model.layers[1].kernel.value.flip(0)),
        lambda: setattr(model.layers[1].bias.value, "data", torch.ones(8)),
        lambda: retrain(model, x, "adam"),
        lambda: retrain(model, x, "rmsprop"),
    ):
        change()
        with torch.enable_grad():
            expected = model(x).detach()
        found = torch.as_tensor(model.predict(x, verbose=0))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_gradients_reach_weights_and_inputs_outside_of_predict() -> None:
    model = residual()
    (x,) = drawn(model)
    with torch.no_grad():
        model(x)
    x.requires_grad_()
    model(x).sum().backward()
    assert x.grad is not None
    assert all(weight.value.grad is not None for weight in model.trainable_weights)


def test_the_explanation_is_a_text(golden: Callable[[str, str], None]) -> None:
    golden("explain_execution", str(residual().explain_execution()))


@pytest.mark.parametrize("key", [(slice(None), slice(None, 2)), (..., slice(-2, None)), (slice(None), slice(0, 2), 1)])
def test_a_slice_of_two_keeps_its_axis_behind_a_permutation(key: Any) -> None:
    inputs = Input((5, 6, 3))
    model = Model(inputs, layers.BatchNormalization(axis=2)(inputs)[key])
    x = torch.rand(3, 5, 6, 3)
    expected = layers.BatchNormalization(axis=2)(x)[key]
    torch.testing.assert_close(model(x), expected)
    torch.testing.assert_close(torch.from_numpy(model.predict(x, verbose=0)), expected)


def test_gradients_with_respect_to_a_returned_feature_map() -> None:
    """As Grad-CAM asks for: inside of the model the map has another layout; what follows takes it from what is returned."""
    x = Input((8, 8, 3))
    maps = layers.Conv2D(4, 3, activation="relu")(x)
    head = layers.Dense(2)
    scores = head(layers.GlobalAveragePooling2D()(maps))
    images = torch.rand(2, 8, 8, 3)
    for model in (Model(x, [maps, scores]), Model(x, {"scores": scores, "maps": maps})):
        returned = model(images)
        found, score = returned if isinstance(returned, list) else (returned["maps"], returned["scores"])
        (gradient,) = torch.autograd.grad(score[:, 0].sum(), found)
        kernel = torch.from_numpy(head.get_weights()[0])
        torch.testing.assert_close(gradient, (kernel[:, 0] / 36).expand(2, 6, 6, 4))
        assert "returned" in str(model.explain_execution(gradients=True))


def test_inputs_come_before_weights_where_a_permuted_input_is_returned() -> None:
    ids, images, other = Input((4,), dtype="int32"), Input((6, 5, 2)), Input((4, 3))
    table = layers.Embedding(7, 3)
    model = Model([ids, images, other], [table(ids), layers.Permute((2, 1, 3))(images), images * 2, other + 1])
    x, y = torch.rand(2, 6, 5, 2), torch.rand(2, 4, 3)
    found = model([torch.tensor([[0, 1, 2, 6]] * 2), x, y])
    expected = torch.from_numpy(table.get_weights()[0])[[0, 1, 2, 6]].expand(2, 4, 3)
    for each, wanted in zip(found, (expected, x.permute(0, 2, 1, 3), x * 2, y + 1), strict=True):
        assert torch.equal(each, wanted)
