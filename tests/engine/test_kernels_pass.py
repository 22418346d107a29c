"""The pass that puts our own kernels into replayed steps: what it rewrites and leaves, and that numbers stay."""

from __future__ import annotations

import importlib.util
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from recorded_graph import RecordedGraph
from rewriting import MODELS, drawn, unchanged

import anabranch as ab
from anabranch import Input, Model, engine, layers
from anabranch.demo import toy_resnet
from anabranch.engine import passes
from anabranch.engine.kernels import trial
from anabranch.engine.lower import lower
from anabranch.engine.passes import kernels

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="needs Triton, which the test extra brings on Linux"
)
TRAINING = passes.Settings(True, replayed=True)
PREDICTING = passes.Settings(False, no_grad=True, device="cuda", replayed=True)


def normalized() -> Model:
    inputs = Input((8, 8, 3))
    x = y = layers.ReLU()(layers.BatchNormalization(name="first")(layers.Conv2D(8, 3, padding="same")(inputs)))
    x = layers.BatchNormalization(name="second")(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    shortcut = layers.BatchNormalization(name="shortcut")(layers.Conv2D(8, 1, use_bias=False)(y))
    x = layers.ReLU()(layers.add([x, shortcut]))
    x = layers.DepthwiseConv2D(3, activation="silu", name="depthwise")(layers.MaxPooling2D(2, name="pool")(x))
    return Model(inputs, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(x)))


def with_settings(model: Model, settings: passes.Settings) -> tuple[dict[str, str], Counter[str]]:
    """Return what the pass noted by path, and how often each function is called after all passes."""
    engine.place_weights(model)
    lowered = lower(model.graph, training=settings.training)
    code = lowered.copied()
    notes = dict(passes.apply(code, lowered.root, settings))[kernels.KERNELS]
    names = (torch.typename(node.target) if callable(node.target) else str(node.target) for node in code.nodes)
    return {note.path: note.text for note in notes}, Counter(name.rpartition(".")[2] for name in names)


def operations_of(settings: passes.Settings, model: Model, shape: tuple[int, ...]) -> Counter[str]:
    """Return what torch runs in a training step, forward and backward, by the operators' names."""
    from recorded_graph import Recording

    from anabranch.engine.programs import Variant

    variant, x = Variant(lower(model.graph, training=True), settings), torch.randn(shape)
    with Recording() as recording:
        variant([x])[0].square().sum().backward()
    return Counter(func.name().split(".")[0].split("::")[1] for func, *_ in recording.calls)


@needs_triton
def test_what_becomes_one_kernel() -> None:
    notes, _ = with_settings(normalized(), TRAINING)
    assert notes == {
        "first": "one kernel: the normalization, relu",
        "shortcut": "one kernel: the normalization, relu, the sum add",
        "pool": "one kernel, which saves a byte for each window",
        "depthwise": "one kernel: the bias, silu",
    }
    notes, calls = with_settings(normalized(), PREDICTING)
    assert notes["first"] == "one kernel: the normalization, relu"
    assert notes["second"] == "one kernel: the normalization, relu, the sum add"
    assert calls["relu"] == calls["relu_"] == calls["silu"] == 0


@needs_triton
@pytest.mark.on_cpu
def test_a_step_of_the_toy_resnet_is_fewer_kernels() -> None:
    model = toy_resnet()
    engine.place_weights(model)
    plain, fused = (operations_of(settings, model, (2, 32, 32, 3)) for settings in (passes.Settings(True), TRAINING))
    # of the device's work outside of convolutions, products of matrices and dropout: eight biases (in the calls of convolutions
    # and of the dense layer, which launch a kernel more for each), activations, two sums, pooling
    assert plain["relu_"] + plain["relu"] == plain["threshold_backward"] == 8
    assert plain["max_pool2d_with_indices"] == plain["max_pool2d_with_indices_backward"] == 1
    gone = {"relu", "relu_", "threshold_backward", "max_pool2d_with_indices", "max_pool2d_with_indices_backward"}
    assert not gone & fused.keys()
    assert fused["bias_activation"] == fused["bias_activation_backward"] == 8
    assert fused["max_pool"] == fused["max_pool_backward"] == 1
    assert plain["add"] - fused["add"] == 2
    assert plain["convolution"] == fused["convolution"] == 7


def bias_of_convolutions(graph: torch.fx.Graph) -> list[Any]:
    return [node.args[2] for node in graph.find_nodes(op="call_function", target=torch.conv2d)]


@needs_triton
def test_biases_leave_the_convolutions_and_are_not_cast() -> None:
    ab.config.set_dtype_policy("mixed_bfloat16")
    inputs = Input((8, 8, 3))
    model = Model(inputs, layers.Conv2D(4, 3, activation="relu", name="conv")(inputs))
    engine.place_weights(model)
    lowered = lower(model.graph, training=True)
    code = lowered.copied()
    passes.apply(code, lowered.root, TRAINING)
    assert bias_of_convolutions(code) == [None]
    (made,) = code.find_nodes(op="call_function", target=torch.ops.anabranch.bias_activation.default)
    assert made.args[1].op == "get_attr"
    assert sum(node.target == "to" for node in code.nodes) == 2  # the image and the kernel


@needs_triton
@pytest.mark.parametrize("settings", [TRAINING, PREDICTING], ids=["training", "predicting"])
@pytest.mark.parametrize("model", [*MODELS, normalized], ids=lambda make: make.__name__)
def test_values_and_gradients_stay(model: Any, settings: passes.Settings) -> None:
    made = model()
    unchanged(made, drawn(made), settings, passes.PASSES)


@needs_triton
@pytest.mark.parametrize("remat", [("*",), 20_000], ids=str)
def test_kernels_are_recomputed_as_well(remat: Any) -> None:
    made = normalized()
    unchanged(made, drawn(made), TRAINING._replace(remat=remat), passes.PASSES)


REFUSED: dict[str, Any] = {
    "overlapping": (lambda x: layers.MaxPooling2D(3, 2)(layers.Conv2D(4, 1)(x)), "its windows overlap"),
    "padded": (lambda x: layers.MaxPooling2D(2, padding="same")(layers.Conv2D(4, 1)(x)[:, 1:]), ""),
    "of the input": (lambda x: layers.MaxPooling2D(2)(x), ""),
    "nothing follows": (lambda x: layers.Conv2D(4, 1)(x), ""),
    "unknown activation": (lambda x: layers.Conv2D(4, 1, activation="tanh")(x), ""),
    "gelu by tanh": (lambda x: ab.ops.gelu(layers.Conv2D(4, 1)(x), approximate=True), ""),
    "along time": (lambda x: layers.Conv1D(4, 1, activation="relu")(layers.Reshape((64, 3))(x)), ""),
    "taken twice": (lambda x: ab.ops.relu(y := layers.Conv2D(4, 1)(x)) * y, ""),
}


@needs_triton
def test_a_sum_that_may_stretch_a_value_stays() -> None:
    inputs = Input((None, None, 3))
    x = layers.Conv2D(4, 1, activation="relu", name="conv")(inputs)
    model = Model(inputs, layers.add([x, layers.GlobalAveragePooling2D(keepdims=True)(x[..., :4])]))
    y = Model(inputs, layers.add([x, layers.Conv2D(4, 1, name="other")(inputs)]))
    assert with_settings(model, TRAINING)[0] == {"conv": "one kernel: the bias, relu"}
    assert with_settings(y, TRAINING)[0] == {"conv": "one kernel: the bias, relu"}


@needs_triton
@pytest.mark.parametrize("name", REFUSED)
def test_what_stays_as_it_is(name: str) -> None:
    make, words = REFUSED[name]
    inputs = Input((8, 8, 3))
    model = Model(inputs, make(inputs))
    notes, calls = with_settings(model, TRAINING)
    assert not any("one kernel" in text for text in notes.values())
    assert not any("anabranch" in call or "bias_activation" in call for call in calls)
    assert any(words in text for text in notes.values()) or not words
    unchanged(model, drawn(model), TRAINING, passes.PASSES)


def test_where_it_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "replayed as CUDA graphs" in kernels.unfit(TRAINING._replace(replayed=False))
    assert "torch.compile" in kernels.unfit(TRAINING._replace(compiled=True))
    assert "gradients" in kernels.unfit(PREDICTING._replace(no_grad=False))
    monkeypatch.setattr(trial.importlib.util, "find_spec", lambda name: None)
    trial.failure.cache_clear()
    assert "Triton is not installed" in kernels.unfit(TRAINING)
    trial.failure.cache_clear()


X = np.random.default_rng(0).normal(size=(34, 8, 8, 3)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 34)


def trained(jit: Any, policy: str, graph: Any = None) -> tuple[Model, Any]:
    ab.config.set_dtype_policy(policy)
    ab.utils.set_random_seed(5)
    model = normalized()
    loss = ab.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(ab.optimizers.SGD(0.05, momentum=0.9), loss, jit_compile=jit)
    model._compiled_.graph_maker = graph
    return model, model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]


@needs_triton
@pytest.mark.on_cpu
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_replayed_training_with_kernels_comes_to_the_same_weights(policy: str) -> None:
    (plain, losses), (fused, found) = trained(False, policy), trained("auto", policy, RecordedGraph)
    assert fused._compiled_.replays.replayed == 12
    account = fused.explain_execution(training=True)
    assert account.settings.replayed
    assert "+ first: one kernel: the normalization, relu" in str(account["kernels"])
    assert "torch.ops.anabranch.batch_norm.default" in account.code
    tolerance = 1e-4 if policy == "float32" else 3e-2
    np.testing.assert_allclose(found, losses, rtol=tolerance)
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=10 * tolerance)
    assert "not run: for steps that are replayed as CUDA graphs" in str(plain.explain_execution(training=True)["kernels"])


@pytest.mark.gpu
@needs_triton
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_gpu_trains_by_kernels_in_captured_steps(policy: str) -> None:
    assert trial.failure(ab.engine.device()) == ""
    (_, losses), (fused, found) = (trained(jit, policy) for jit in (False, "auto"))
    assert fused._compiled_.replays.replayed == 12
    assert not fused._compiled_.replays.failure
    assert "one kernel" in str(fused.explain_execution(training=True)["kernels"])
    np.testing.assert_allclose(found, losses, rtol=1e-3 if policy == "float32" else 5e-2)
