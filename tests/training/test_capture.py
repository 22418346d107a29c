"""Training by replayed steps comes to the numbers of training by plain steps; what cannot be replayed is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from recorded_graph import FailingGraph, RecordedGraph

import anabranch as ab
from anabranch import callbacks, engine, layers, metrics, optimizers
from anabranch.engine.captured import REPEATS
from anabranch.engine.flat.graph import FlatGraph
from anabranch.training import capture

pytestmark = pytest.mark.on_cpu  # on which the graphs are recorded; those of CUDA are tests marked gpu

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(38, 6)).astype("float32"), RNG.integers(0, 3, 38)


def model_of(optimizer: Any = "sgd", loss: Any = "sparse_categorical_crossentropy", **options: Any) -> Any:
    ab.utils.set_random_seed(3)
    inputs = ab.Input((6,))
    x = layers.Dense(8, activation="relu", kernel_regularizer="l2")(inputs)
    x = layers.Dropout(0.2)(layers.BatchNormalization()(x))
    model = ab.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile(optimizer, loss, **options)
    return model


def decided(model: Any) -> Any:
    program, trained = engine.program(model, True), model.trainable_weights
    return capture.decide(capture.training_facts(model, model._compiled_, program, model._training_strategy_, trained))


def replays(model: Any) -> Any:
    return model._compiled_.replays


def replaying(model: Any, graph: Any) -> Any:
    """Let a compiled model replay its steps as ``graph`` does: a CPU's own way, a GPU's; None for not at all."""
    model.jit_compile = "auto" if graph else False
    model._compiled_.graph_maker = None if graph is FlatGraph else graph
    return model


def trained(graph: Any, optimizer: Any = "sgd", options: Any = None, **fit: Any) -> tuple[Any, Any]:
    model = replaying(model_of(optimizer, **({"metrics": ["accuracy"]} if options is None else options)), graph)
    history = model.fit(X, Y, batch_size=4, epochs=3, verbose=0, **fit)
    return model, history.history


def assert_same(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    for a, b in zip(one[0].get_weights(), other[0].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)  # a rate on the device takes another of torch's kernels
    assert one[1].keys() == other[1].keys()
    for name in one[1]:
        np.testing.assert_allclose(one[1][name], other[1][name], rtol=1e-5, atol=1e-6)


OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda: "sgd",
    "momentum": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda: optimizers.Adam(0.01, clipnorm=1.0),
    "schedule": lambda: optimizers.AdamW(optimizers.schedules.ExponentialDecay(0.1, 5, 0.5), global_clipnorm=0.5, use_ema=True),
    "rmsprop": lambda: "rmsprop",
}


GRAPHS = pytest.mark.parametrize("graph", [RecordedGraph, FlatGraph])


@GRAPHS
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replayed_training_gives_the_same_numbers(name: str, graph: Any) -> None:
    plain, again = (trained(each, OPTIMIZERS[name]()) for each in (None, graph))
    assert_same(plain, again)
    assert plain[0].optimizer.iterations == again[0].optimizer.iterations == 30
    # nine full batches in an epoch; one step before state is made, three more until sizes are known
    assert replays(again[0]).replayed == 27 - 4
    assert replays(plain[0]) is None


def test_one_graph_serves_all_epochs_and_fits_and_the_last_batch_none() -> None:
    RecordedGraph.made = 0
    model, _ = trained(RecordedGraph)
    model.fit(X, Y, batch_size=4, verbose=0, validation_split=0.1)
    assert RecordedGraph.made == 1


@GRAPHS
def test_what_callbacks_change_reaches_the_replays(graph: Any) -> None:
    def schedules() -> list[Any]:
        return [callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))]

    assert_same(*(trained(each, callbacks=schedules()) for each in (None, graph)))

    class Changing(callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.momentum = 0.5 + epoch / 10

    RecordedGraph.made = 0
    runs = [
        trained(each, optimizers.SGD(0.05, momentum=0.9), callbacks=[Changing()]) for each in (None, graph)
    ]  # fmt: skip
    assert_same(*runs)
    assert RecordedGraph.made == (3 if graph is RecordedGraph else 0)  # on a CPU the update is not captured


@GRAPHS
def test_a_layer_that_is_frozen_and_weights_that_are_set_between_fits(graph: Any) -> None:
    def run(graph: Any) -> tuple[Any, Any]:
        model, _ = trained(graph)
        model.set_weights([weight * 0.9 for weight in model.get_weights()])
        model.layers[1].trainable = False
        model.compile("sgd", "sparse_categorical_crossentropy")
        replaying(model, graph)
        return model, model.fit(X, Y, batch_size=4, verbose=0).history

    assert_same(run(None), run(graph))


@GRAPHS
def test_loaded_state_of_the_optimizer_is_not_the_captured_one(graph: Any) -> None:
    def run(graph: Any) -> tuple[Any, Any]:
        model, _ = trained(graph, optimizers.SGD(0.05, momentum=0.9))
        state = model.optimizer.state_dict()
        model.optimizer.load_state_dict(state)
        return model, model.fit(X, Y, batch_size=4, verbose=0).history

    assert_same(run(None), run(graph))


@GRAPHS
def test_parts_of_a_loss_and_sample_weights(graph: Any) -> None:
    def run(graph: Any) -> tuple[Any, Any]:
        ab.utils.set_random_seed(1)
        inputs = ab.Input((6,))
        model = ab.Model(inputs, {"a": layers.Dense(1, name="a")(inputs), "b": layers.Dense(2, name="b")(inputs)})
        model.compile("adam", "mse", loss_weights={"a": 0.5, "b": 2.0}, weighted_metrics={"a": ["mae"]})
        replaying(model, graph)
        y = {"a": X[:, :1], "b": X[:, 1:3]}
        history = model.fit(X, y, sample_weight={"a": Y / 2, "b": Y / 3}, batch_size=4, epochs=2, verbose=0)
        return model, history.history

    one, other = run(None), run(graph)
    assert "a_loss" in one[1]
    assert_same(one, other)
    assert replays(other[0]).replayed


@GRAPHS
def test_metrics_that_may_do_more_than_change_tensors_run_beside_the_replay(graph: Any) -> None:
    class Counting(metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="seen")
            self.seen = 0

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.seen += float(y_pred.sum() > -1)

        def result(self) -> Any:
            return torch.tensor(float(self.seen))

        def reset_state(self) -> None:
            self.seen = 0

    runs = [trained(each, options={"metrics": [Counting(), "accuracy"]}) for each in (None, graph)]
    assert_same(*runs)
    assert runs[1][1]["seen"] == [10.0, 10.0, 10.0]
    assert replays(runs[1][0]).replayed


def test_a_failure_falls_back_for_good_and_is_reported(capsys: Any) -> None:
    FailingGraph.made = 0
    plain, failed = trained(None), trained(FailingGraph)
    assert_same(plain, failed)
    assert FailingGraph.made == 1
    decision = decided(failed[0])
    assert not decision.used
    assert "capturing failed: RuntimeError: operation not permitted" in decision.why


def test_explain_execution_says_whether_steps_are_replayed() -> None:
    model = model_of()
    if engine.device().type == "cpu":
        assert "not replayed as CUDA graphs: the device is cpu" in str(model.explain_execution())
        assert "replayed as one program without autograd: from" in model.explain_execution(training=True).replay
    model._compiled_.graph_maker = RecordedGraph
    assert model.explain_execution(training=True).replay.startswith("steps are replayed as CUDA graphs: from the 4th batch")
    assert ab.Model(model.inputs, model.outputs).explain_execution(training=True).replay == ""


def test_a_failure_is_reported_in_one_line(capsys: Any) -> None:
    model = model_of()
    model._compiled_.graph_maker = FailingGraph
    model.fit(X, Y, batch_size=4, verbose=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if "capturing them failed" in line]
    assert len(lines) == 1


def why(model: Any) -> str:
    model.optimizer.build(model.trainable_weights)
    model._compiled_.graph_maker = RecordedGraph
    decision = decided(model)
    model.fit(X, Y, batch_size=4, verbose=0)
    assert decision.used == bool(replays(model) and replays(model).replayed)
    return decision.why


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return (y_pred[:, 0] - y_true.reshape(-1)).square()


def test_reasons_that_a_model_gives() -> None:
    assert why(model_of()).startswith("from the 4th batch")
    assert "GRU" not in why(model_of(optimizers.Adam(clipvalue=1.0)))
    assert why(model_of(optimizers.SGD(gradient_accumulation_steps=2))).startswith("gradient_accumulation_steps")
    assert "SGD differs" in why(model_of(optimizers.SGD(use_ema=True, ema_overwrite_frequency=2)))
    assert "`capturable = True` on them says: own_loss" in why(model_of(loss=own_loss))
    assert why(model_of(loss=torch.nn.functional.mse_loss if False else torch.nn.CrossEntropyLoss())).startswith("from the 4th")
    assert "run_eagerly" in why(model_of(run_eagerly=True))
    assert "jit_compile=False" in why(model_of(jit_compile=False))


def test_a_function_can_say_that_it_may_be_captured() -> None:
    def mine(y_true: Any, y_pred: Any) -> Any:
        return own_loss(y_true, y_pred)

    mine.capturable = True  # type: ignore[attr-defined]
    assert why(model_of(loss=mine)).startswith("from the 4th")


def test_reasons_that_layers_give() -> None:
    class Branching(layers.Layer):
        def call(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    def with_layer(*more: Any) -> Any:
        inputs = ab.Input((6,))
        x = layers.Dense(3)(inputs)
        for layer in more:
            x = layer(x)
        model = ab.Model(inputs, x)
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    hooked = torch.nn.Linear(3, 3)
    hooked.register_forward_hook(lambda module, args, output: None)
    assert why(with_layer(Branching(name="branching"))) == "these layers branch on values or have state in Python: branching"
    assert "hooks" in why(with_layer(layers.TorchModule(hooked)))
    assert why(with_layer(layers.TorchModule(torch.nn.Linear(3, 3)))).startswith("from the 4th")
    assert why(with_layer(layers.Dropout(0.1, seed=3))).startswith("from the 4th")


def test_inference_is_replayed_and_weights_that_change_are_seen() -> None:
    inputs = ab.Input((6,))
    model = ab.Model(inputs, layers.Dense(3)(inputs))
    program = engine.program(model, False)
    forward = capture.replayed_forward(model, program, engine.device(), RecordedGraph)
    parts = [torch.from_numpy(X[i : i + 4]) for i in range(0, 38, 4)]
    with torch.inference_mode():
        for part in parts:
            torch.testing.assert_close(forward([part])[0][0], program([part])[0][0])
        assert program.replays.replayed == 9 - 3
        model.layers[1].set_weights([np.ones((6, 3), "float32"), np.zeros(3, "float32")])
        torch.testing.assert_close(forward([parts[0]])[0][0], parts[0].sum(1, keepdim=True).expand(4, 3))


def test_the_smaller_last_batch_of_predictions_is_captured_too() -> None:
    inputs = ab.Input((6,))
    model = ab.Model(inputs, layers.Dense(3)(inputs))
    program, forward, _ = replayed(model)
    with torch.inference_mode():
        for passes in range(1, 6):
            for part in torch.from_numpy(X).split(10):
                torch.testing.assert_close(forward([part])[0][0], program([part])[0][0])
            assert RecordedGraph.made == (0 if passes == 1 else 1 if passes <= REPEATS else 2)
    assert program.replays.replayed == 5 * 4 - 2 * REPEATS


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_predictions_are_replayed_in_the_half_precision_of_the_policy(policy: str) -> None:
    ab.config.set_dtype_policy(policy)
    inputs = ab.Input((6,))
    model = ab.Model(inputs, layers.Dense(3, activation="softmax")(layers.Dense(8, activation="relu")(inputs)))
    program, forward, part = replayed(model)
    with torch.inference_mode():
        program([part])  # which makes what follows from weights alone
        for part in torch.from_numpy(X).split(4):
            found = forward([part])[0][0]
            assert found.dtype == getattr(torch, policy.removeprefix("mixed_"))
            torch.testing.assert_close(found, program([part])[0][0], rtol=0, atol=0)
    assert program.replays.replayed == 9 - REPEATS
    assert model.layers[1].kernel.value.dtype == torch.float32


def folded() -> Any:
    inputs = ab.Input((6,))
    x = layers.BatchNormalization()(layers.Dense(4)(inputs))
    model = ab.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.evaluate(X, Y, verbose=0)
    return model


def replayed(model: Any) -> Any:
    """Return the program of a model, what replays it, and a part of the data; no graph is recorded yet."""
    program = engine.program(model, False)
    RecordedGraph.made = 0
    return program, capture.replayed_forward(model, program, engine.device(), RecordedGraph), torch.from_numpy(X[:4])


def test_constants_are_refreshed_for_replays_without_another_capture() -> None:
    model = folded()
    program, forward, part = replayed(model)
    with torch.inference_mode():
        for step in range(8):
            model.set_weights([weight * 1.1 + 0.1 for weight in model.get_weights()])
            model.layers[1].kernel.value.data.mul_(1.1)  # which torch does not count
            engine.program(model, False)  # as predict and evaluate begin
            found = forward([part])[0][0].clone()
            assert program.replays.replayed == max(step - 2, 0)
            torch.testing.assert_close(found, folded_alike(model)([part])[0][0])
    assert RecordedGraph.made == 1
    assert program.variant(no_grad=True).computed


def folded_alike(model: Any) -> Any:
    other = folded()
    other.set_weights(model.get_weights())
    return engine.program(other, False)


def test_weights_that_moved_are_captured_again() -> None:
    model = folded()
    _, forward, part = replayed(model)
    with torch.inference_mode():
        for _ in range(2):
            engine.program(model, False)  # as predict and evaluate begin
            for _ in range(5):
                found = forward([part])[0][0].clone()
                torch.testing.assert_close(found, folded_alike(model)([part])[0][0])
            with torch.inference_mode(False):
                kernel = model.layers[1].kernel.value
                kernel.data = kernel.data.clone() * 2
    assert RecordedGraph.made == 2


KNOWN_METRICS = ["accuracy", "AUC", "Precision", "Recall", "mse", "F1Score", "TopKCategoricalAccuracy"]


@pytest.mark.parametrize("name", KNOWN_METRICS)
def test_our_metrics_change_nothing_but_their_tensors(name: str) -> None:
    made = metrics.get(name, output_shape=(None, 3))
    assert capture.is_known_metric(made)
    target, scores = torch.eye(3)[torch.tensor([0, 1, 2, 1])], torch.rand(4, 3).softmax(-1)
    made.update_state(target, scores)
    before = {key: value for key, value in vars(made).items() if not isinstance(value, torch.Tensor)}
    places = [variable.data_ptr() for variable in made.variables]
    made.update_state(target, scores)
    assert before == {key: value for key, value in vars(made).items() if not isinstance(value, torch.Tensor)}
    assert places == [variable.data_ptr() for variable in made.variables]


@pytest.mark.gpu
def test_a_gpu_replays_training_and_inference() -> None:
    graph, plain = model_of("adam", metrics=["accuracy"]), model_of("adam", metrics=["accuracy"], jit_compile=False)
    plain.set_weights(graph.get_weights())
    for model in (graph, plain):
        model.layers[3].rate = 0.0
        model.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    assert replays(graph).replayed == 27 - 4
    assert not replays(graph).failure
    for _ in range(REPEATS + 2):
        assert graph.predict(X, batch_size=4, verbose=0).shape == (38, 3)
    predicting = engine.program(graph, False).replays
    assert not predicting.failure
    assert predicting.replayed == 10 * (REPEATS + 2) - 2 * REPEATS, "of both sizes"
    np.testing.assert_allclose(graph.predict(X, batch_size=4, verbose=0), graph.predict(X, verbose=0), atol=1e-5)


@pytest.mark.gpu
def test_a_gpu_validates_with_the_current_weights() -> None:
    model = folded()
    history = model.fit(X, Y, batch_size=4, epochs=6, verbose=0, validation_data=(X, Y), validation_batch_size=4)
    program = engine.program(model, False)
    assert program.replays.replayed
    assert not program.replays.failure
    plain = folded()
    plain.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(history.history["val_loss"][-1], plain.evaluate(X, Y, batch_size=4, verbose=0), rtol=1e-4)


@pytest.mark.gpu
def test_random_numbers_go_on_after_a_capture_that_failed() -> None:
    from anabranch.engine.cuda_graphs import CudaGraph

    place = torch.zeros(4, device="cuda")

    def failing() -> None:
        place.uniform_()
        place.sum().item()

    with pytest.raises(RuntimeError):
        CudaGraph(()).capture(failing)
    assert place.uniform_().sum().item() > 0
