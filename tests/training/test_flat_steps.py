"""Steps that a CPU takes as one program come, to the bit, to what plain steps come to; what cannot be one is not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import callbacks, layers, losses, metrics, optimizers, runtime
from anabranch.engine.flat import stacks, variants
from anabranch.engine.flat.graph import FlatGraph

pytestmark = pytest.mark.on_cpu

RNG = np.random.default_rng(0)
ROWS, IMAGES = RNG.normal(size=(38, 6)).astype("float32"), RNG.normal(size=(38, 8, 8, 3)).astype("float32")
IDS = RNG.integers(0, 9, (38, 5))
Y = RNG.integers(0, 3, 38)


def dense() -> Any:
    inputs = x = ab.Input((6,))
    for _ in range(3):
        x = layers.Dense(8, activation="relu", kernel_regularizer="l2")(x)
    return ab.Model(inputs, layers.Dense(3)(x)), ROWS


def drawing() -> Any:
    inputs = ab.Input((6,))
    x = layers.GaussianNoise(0.1)(layers.Dropout(0.3)(layers.Dense(8, activation="gelu")(inputs)))
    return ab.Model(inputs, layers.Dense(3)(layers.Dropout(0.2, seed=4)(x))), ROWS


def convolutional() -> Any:
    inputs = ab.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", activation="relu")(inputs))
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)])
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    return ab.Model(inputs, layers.Dense(3)(x)), IMAGES


def recurrent() -> Any:
    inputs = ab.Input((5,), dtype="int32")
    x = layers.LSTM(4)(layers.Embedding(9, 4, mask_zero=True)(inputs))
    return ab.Model(inputs, layers.Dense(3)(x)), IDS


def attentive() -> Any:
    inputs = ab.Input((5,), dtype="int32")
    x = layers.Embedding(9, 8)(inputs)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    return ab.Model(inputs, layers.Dense(3)(layers.Flatten()(x))), IDS


def shared() -> Any:
    inputs, twice = ab.Input((6,)), layers.Dense(6, activation="tanh", activity_regularizer="l1")
    return ab.Model(inputs, layers.Dense(3)(twice(twice(inputs)))), ROWS


def frozen() -> Any:
    model, x = dense()
    model.layers[1].trainable = False
    return model, x


def halved() -> Any:
    inputs = ab.Input((6,))
    x = layers.Dense(8, activation="relu", dtype="mixed_bfloat16")(inputs)
    return ab.Model(inputs, layers.Dense(3, dtype="float32")(x)), ROWS


MODELS: list[Callable[[], Any]] = [dense, drawing, convolutional, recurrent, attentive, shared, frozen, halved]
LOGITS = losses.SparseCategoricalCrossentropy(from_logits=True)


def trained(make: Callable[[], Any], flat: bool, optimizer: Any = "adam", **options: Any) -> tuple[Any, Any]:
    ab.utils.set_random_seed(3)
    model, x = make()
    options = {"loss": LOGITS, "metrics": ["accuracy"]} | options
    fit = {key: options.pop(key) for key in ("callbacks", "class_weight") if key in options}
    model.compile(optimizer, jit_compile="auto" if flat else False, **options)
    return model, model.fit(x, Y, batch_size=4, epochs=2, verbose=0, **fit).history


def assert_equal(plain: tuple[Any, Any], flat: tuple[Any, Any]) -> None:
    assert plain[1] == flat[1]
    for one, other in zip(plain[0].get_weights(), flat[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    replays = flat[0]._compiled_.replays
    # nine full batches in an epoch; the very first is plain, and three more until sizes are known
    assert (replays.replayed, replays.unfit, replays.failure) == (18 - 1 - 3, "", "")
    assert flat[0].explain_execution(training=True).replay.startswith("steps are replayed as one program")


@pytest.mark.parametrize("make", [pytest.param(make, id=make.__name__) for make in MODELS])
def test_models(make: Callable[[], Any]) -> None:
    assert_equal(trained(make, flat=False), trained(make, flat=True))


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=0.5),
    "rmsprop": lambda: optimizers.RMSprop(0.01, clipvalue=0.1, use_ema=True, ema_overwrite_frequency=3),
    "adamw": lambda: optimizers.AdamW(optimizers.schedules.ExponentialDecay(0.1, 5, 0.5), global_clipnorm=0.5),
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=64.0),
    "factor": lambda: optimizers.Adam(0.01, loss_scale_factor=8.0),
    "muon": lambda: optimizers.Muon(0.01),
    "torch's": lambda: functools.partial(torch.optim.SGD, lr=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str) -> None:
    assert_equal(*(trained(dense, flat, OPTIMIZERS[name]()) for flat in (False, True)))


LOSSES: dict[str, Callable[[], dict[str, Any]]] = {
    "weights of classes": lambda: {"class_weight": {0: 2.0, 2: 0.5}, "weighted_metrics": ["accuracy"]},
    "torch's": lambda: {"loss": torch.nn.CrossEntropyLoss(label_smoothing=0.1)},
    "none but the loss": lambda: {"loss": LOGITS, "loss_weights": 0.5, "metrics": None},
    "many metrics": lambda: {
        "metrics": [
            "accuracy",
            metrics.SparseTopKCategoricalAccuracy(2),
            metrics.SparseCategoricalCrossentropy(from_logits=True),
        ]
    },
}


def test_a_graphs_nodes_in_reverse_may_be_no_iterator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.fx.graph._node_list, "__reversed__", lambda nodes: [*nodes][::-1])  # as in torch 2.6
    assert_equal(trained(dense, flat=False), trained(dense, flat=True))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_metrics(name: str) -> None:
    assert_equal(*(trained(dense, flat, **LOSSES[name]()) for flat in (False, True)))


def test_what_callbacks_set_has_an_effect() -> None:
    class Setting(callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch:
                self.model.loss.label_smoothing = 0.2
                self.model.layers[1].kernel.regularizer.l2 = 0.5

    def options() -> dict[str, Any]:
        return {"loss": losses.CategoricalFocalCrossentropy(from_logits=True), "callbacks": [Setting()]}

    def one_hot(flat: bool) -> Any:
        ab.utils.set_random_seed(3)
        model, x = dense()
        given = options()
        model.compile("sgd", given["loss"], jit_compile="auto" if flat else False)
        return model.get_weights(), model.fit(x, np.eye(3)[Y], batch_size=4, epochs=2, verbose=0,
                                              callbacks=given["callbacks"]).history  # fmt: skip

    plain, flat = one_hot(False), one_hot(True)
    assert plain[1] == flat[1]


def test_gradients_are_where_callbacks_find_them() -> None:
    found: dict[bool, list[Any]] = {False: [], True: []}

    def looking(flat: bool) -> Any:
        class Looking(callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                found[flat].append([weight.value.grad.clone() for weight in self.model.trainable_weights])

        return trained(dense, flat, callbacks=[Looking()])

    assert_equal(looking(False), looking(True))
    for plain, flat in zip(found[False], found[True], strict=True):
        assert all(map(torch.equal, plain, flat))


def why(make: Callable[[], Any] = dense, **options: Any) -> str:
    model, _ = trained(make, flat=True, **options)
    return str(model.explain_execution(training=True).replay)


def test_reasons_against() -> None:
    assert "jit_compile=False" in trained(dense, flat=False)[0].explain_execution(training=True).replay
    assert "remat=" in why(remat=["dense*"])
    assert "gradient_accumulation_steps" in why(optimizer=optimizers.Adam(gradient_accumulation_steps=2))
    assert "own_loss" in why(loss=own_loss)

    def hooked() -> Any:
        model, x = dense()
        model.layers[1].kernel.value.register_hook(lambda gradient: gradient * 2)
        return model, x

    assert "these weights have hooks" in why(hooked)
    with torch.autocast("cpu", torch.bfloat16):
        model, _ = trained(dense, flat=True)
        assert model._compiled_.replays is None


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return (y_pred[:, 0] - y_true.reshape(-1)).square()


def test_large_operations_stay_as_they_are() -> None:
    def wide() -> Any:
        inputs = ab.Input((6,))
        return ab.Model(inputs, layers.Dense(3)(layers.Dense(1 << 20, activation="relu", use_bias=False)(inputs))), ROWS

    plain, flat = trained(wide, flat=False, optimizer="sgd"), trained(wide, flat=True, optimizer="sgd")
    assert plain[1] == flat[1]
    assert flat[0]._compiled_.replays.replayed == 1  # the step that was noted until it was seen
    assert "so large" in flat[0].explain_execution(training=True).replay


def test_large_batches_are_run_as_usual() -> None:
    def wide() -> Any:
        inputs = ab.Input((1 << 14,))
        return ab.Model(inputs, layers.Dense(3)(inputs)), np.zeros((len(Y), 1 << 14), "float32")

    model, _ = trained(wide, flat=True)
    assert model._compiled_.replays.replayed == 0
    assert "those above 128 KiB" in model.explain_execution(training=True).replay


def test_a_size_that_depends_on_values_is_seen() -> None:
    graph, x = FlatGraph(), torch.arange(4.0)
    graph.capture(lambda inputs: [x[x > 1] * 2], [])
    assert graph.replay([])[0].tolist() == [4.0, 6.0]  # type: ignore[union-attr]  # it is there
    assert "depends on values" in graph.unfit


def code_of(work: Callable[[], Any]) -> tuple[FlatGraph, list[Any]]:
    graph = FlatGraph()
    graph.capture(lambda inputs: work(), [])
    graph.replay([])
    return graph, [node for node in graph.module.graph.nodes if node.op not in ("placeholder", "output")]


def test_views_cost_no_call_and_memory_is_used_again() -> None:
    w, x = torch.randn(4, 4), torch.randn(3, 4)

    def work() -> Any:
        h = x
        for _ in range(5):
            h = torch.tanh(h @ w.t())
        return [h.t()]

    graph, nodes = code_of(work)
    nodes = [node for node in nodes if node.target is not torch.set_num_threads]
    assert [node.target for node in nodes] == [torch.mm, torch.tanh] * 5
    assert all("out" in node.kwargs for node in nodes)
    places = {value.untyped_storage().data_ptr() for value in graph._values if value.numel() == 12}
    assert len(places) == 4  # x, two that take turns, the result
    x.mul_(2)
    torch.testing.assert_close(graph.replay([])[0], work()[0])


def test_nothing_is_written_over_that_is_read_again() -> None:
    x = torch.randn(3, 4)

    def work() -> Any:
        a = x + 1
        b = torch.relu(a)  # not over a
        c = a.t() * 2  # a view of it, in another order
        return [b * c.t(), (a * a).sum(0)]

    graph, _ = code_of(work)
    for _ in range(3):
        x.normal_()
        for found, expected in zip(graph.replay([]), work(), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_inputs_are_read_where_they_are() -> None:
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    graph = FlatGraph()
    graph.capture(lambda given: [given[0].t(), torch.relu(given[0]) - given[1], (given[0].t() @ given[1])[1:]], [x, x])
    graph.replay([x, x])  # the same twice, as an autoencoder's; what follows is not
    before = x.clone()
    for one, other in ((x, y), (y, x), (y, y)):
        found = graph.replay([one, other])
        for value, expected in zip(found, [one.t(), torch.relu(one) - other, (one.t() @ other)[1:]], strict=True):
            torch.testing.assert_close(value, expected, rtol=0, atol=0)
    assert torch.equal(x, before)
    assert x.untyped_storage().data_ptr() not in {v.untyped_storage().data_ptr() for v in graph._values if v is not None}


def test_what_is_returned_lends_its_memory_until_it_is_written() -> None:
    x, w = torch.randn(8, 8), torch.randn(8, 8)
    graph, rows = FlatGraph(), []

    def work(given: Any) -> Any:
        hidden = [torch.relu(given[0][each : each + 2] @ w) for each in (0, 2, 4)]
        total = hidden[0] + hidden[1] * hidden[2]
        return [torch.mm(total, w), torch.mm(w, given[0])]

    graph.capture(work, [x])
    graph.replay([x])
    for _ in range(3):
        rows.append(torch.randn(8, 8))
        for value, expected in zip(graph.replay(rows[-1:]), work(rows[-1:]), strict=True):
            torch.testing.assert_close(value, expected, rtol=0, atol=0)
    memories = {v.untyped_storage().data_ptr() for v in graph._values if v is not None}
    assert len(memories) == 3  # w and the two results


def test_a_step_beside_the_program_takes_its_gradients() -> None:
    model, _ = trained(dense, flat=True)
    program = model._compiled_.replays.held()[-len(model.trainable_weights) :]
    model.make_train_function()(iter([(ROWS[:2], Y[:2])]))
    weights = [weight.value for weight in model.trainable_weights]
    assert all(weight.grad is gradient for weight, gradient in zip(weights, program, strict=True))
    plain, _ = trained(dense, flat=False)
    plain.train_on_batch(ROWS[:2], Y[:2])
    for one, other in zip(plain.trainable_weights, weights, strict=True):
        assert torch.equal(one.value.grad, other.grad)


def deep() -> Any:
    inputs = x = ab.Input((16,))
    for _ in range(10):
        x = layers.Dense(16, activation="relu")(x)
    twice = layers.Dense(16, activation="relu")  # whose gradients are sums
    return ab.Model(inputs, layers.Dense(3)(twice(twice(x)))), np.tile(ROWS[:, :4], 4)


@pytest.mark.parametrize("clipnorm", [None, 0.1])
def test_gradients_of_equal_layers_are_one_product(clipnorm: float | None) -> None:
    found: dict[bool, list[Any]] = {False: [], True: []}

    def looking(flat: bool) -> Any:
        class Looking(callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                found[flat].append([weight.value.grad.clone() for weight in self.model.trainable_weights])

        return trained(deep, flat, optimizers.Adam(clipnorm=clipnorm), callbacks=[Looking()])

    plain, flat = looking(False), looking(True)
    assert_equal(plain, flat)
    for one, other in zip(found[False], found[True], strict=True):
        assert all(map(torch.equal, one, other))
    (graph,) = flat[0]._compiled_.replays._cached.values()
    calls = [node.target for node in graph.module.graph.nodes]
    # backward as many as forward; gradients of the last weight, twice of the shared one, of the first, which reads the batch
    forward = calls.count(torch.addmm), calls.count(torch._addmm_activation)  # the last, and those with a relu in one call
    assert (*forward, calls.count(torch.mm), calls.count(torch.bmm)) == (1, 12, 12 + 4, 1)
    assert torch.relu_ not in calls
    assert calls.count(torch.sum) == 4 + 1 + 1  # as many, one of a stack, and the loss's


@pytest.mark.parametrize("changed", [False, True])
def test_what_is_changed_after_a_product_is_not_multiplied_later(changed: bool) -> None:
    def work(given: Any) -> Any:
        products, total = [], given[0]
        for each in range(9):
            gradient, hidden = torch.sin(given[0] + each), torch.cos(given[0] - each)
            products.append(torch.mm(gradient.t(), hidden))
            total = total + (gradient.add_(1) if changed else gradient)  # as autograd adds up gradients
        return [*products, total]

    x = torch.randn(8, 16)
    graph = FlatGraph()
    graph.capture(work, [x])
    graph.replay([x])
    assert (torch.bmm in [node.target for node in graph.module.graph.nodes]) == (not changed)  # type: ignore[union-attr]  # it is there
    for _ in range(2):
        x = torch.randn(8, 16)
        for value, expected in zip(graph.replay([x]), work([x]), strict=True):
            torch.testing.assert_close(value, expected, rtol=0, atol=0)


def test_products_that_would_round_otherwise_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "_agree", lambda *_: False)
    plain, flat = trained(deep, flat=False), trained(deep, flat=True)
    assert_equal(plain, flat)
    (graph,) = flat[0]._compiled_.replays._cached.values()
    assert torch.bmm not in [node.target for node in graph.module.graph.nodes]


@pytest.fixture
def two_threads() -> Iterator[None]:
    with runtime.threads_restored():
        torch.set_num_threads(2)
        yield


@pytest.mark.usefixtures("two_threads")
def test_small_products_are_run_in_one_thread() -> None:
    small, large = torch.randn(8, 8), torch.randn(256, 256)

    def work() -> Any:
        return [torch.tanh(small @ small) @ small, large @ large, torch.addmm(small[0], small, small)]

    graph, nodes = code_of(work)
    called = [node.args[0] if node.target is torch.set_num_threads else node.target for node in nodes]
    assert called == [1, torch.mm, torch.tanh, torch.mm, 2, torch.mm, 1, torch.addmm]
    for found, expected in zip(graph.replay([]), work(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_numbers_of_two_threads_are_those_of_plain_steps() -> None:
    assert_equal(trained(dense, flat=False), trained(dense, flat=True))
    assert_equal(trained(attentive, flat=False), trained(attentive, flat=True))


@pytest.mark.usefixtures("two_threads")
def test_few_threads_update_small_weights() -> None:
    seen = []

    class Looking(optimizers.SGD):
        def update_weights(self, lists: Any, rate: Any) -> None:
            seen.append(torch.get_num_threads())
            super().update_weights(lists, rate)

    for width in (8, 1 << 14):
        inputs = ab.Input((width,))
        model = ab.Model(inputs, layers.Dense(8)(inputs))
        model.compile(Looking(0.1), "mse")
        model.train_on_batch(np.zeros((2, width), "float32"), np.zeros((2, 8), "float32"))
    assert seen == [1, 2]
    assert torch.get_num_threads() == 2


def test_calls_without_a_kernel_for_given_memory_give_new_memory() -> None:
    assert variants.out_variant(torch.ops.aten.convolution.default) is None
    assert variants.out_variant(torch.ops.aten.relu_.default) is None
    found = variants.out_variant(torch.ops.aten.mm.default)
    assert found is not None
    assert (found.overload, found.names) == (torch.ops.aten.mm.out, ("out",))
