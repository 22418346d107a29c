"""Running: one set of weights below model and module, plain loops, frozen layers, layers that branch, devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose, equal, here, on_device

import anabranch as ab
from anabranch import config, engine, layers
from anabranch._errors import ArgumentError, EngineError

DATA = np.random.default_rng(0).random((6, 8, 8, 3)).astype("float32")


def small() -> Any:
    x = ab.Input((8, 8, 3), name="img")
    h = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    h = layers.BatchNormalization(name="norm")(h)
    h = layers.Add(name="join")([h, layers.Conv2D(4, 1, name="side")(x)])
    return ab.Model(x, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D(name="pool")(h)), name="small")


# The module that leaves


def test_model_and_module_share_their_weights() -> None:
    model = small()
    module = model.to_torch()
    assert module.conv.weight is model.get_layer("conv").kernel.value
    with torch.no_grad():
        module.head.bias.fill_(7.0)
    assert model.get_layer("head").bias.numpy().tolist() == [7.0, 7.0]
    model.get_layer("head").set_weights([np.zeros((4, 2), "float32"), np.ones(2, "float32")])
    assert module(on_device(DATA)).tolist() == [[1.0, 1.0]] * 6
    assert model.to_torch().conv.weight is module.conv.weight


def test_the_module_speaks_torch() -> None:
    module = small().to_torch()
    assert isinstance(module, torch.nn.Module)
    state = module.state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        "conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "side.weight": (4, 3, 1, 1), "side.bias": (4,),
        "norm.weight": (4,), "norm.bias": (4,), "norm.running_mean": (4,), "norm.running_var": (4,),
        "norm.num_batches_tracked": (), "head.weight": (2, 4), "head.bias": (2,),
    }  # fmt: skip
    assert [name for name, _ in module.named_buffers()] == [
        "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
    ]  # fmt: skip
    assert "def forward(self, img)" in module.code
    other = small().to_torch()
    other.load_state_dict(state)
    data = on_device(DATA)
    assert allclose(other(data), module(data))


def test_a_plain_loop_trains_it_and_the_model_sees_it() -> None:
    model = small()
    module = model.to_torch().train()
    before = model.get_weights()
    moving = model.get_layer("norm").moving_mean.numpy()
    data, labels = on_device(DATA), on_device([0, 1, 0, 1, 0, 1])
    optimizer = torch.optim.Adam(module.parameters(), 0.05)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(data), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert not any(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert not np.array_equal(model.get_layer("norm").moving_mean.numpy(), moving)
    assert allclose(model(DATA), module.eval()(data), atol=1e-6)


def test_the_loop_equals_one_over_a_module_in_plain_torch() -> None:
    x = ab.Input((4,))
    model = ab.Model(x, layers.Dense(1, name="b")(layers.Dense(3, activation="tanh", name="a")(x)))
    ours = model.to_torch()
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).to(here())
    theirs.load_state_dict(dict(zip(theirs.state_dict(), (v.clone() for v in ours.state_dict().values()), strict=True)))
    data = torch.rand(16, 4, device=here())
    for module in (ours, theirs):
        optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
        for _ in range(10):
            optimizer.zero_grad()
            (module(data) - data.sum(1, keepdim=True)).square().mean().backward()
            optimizer.step()
    assert allclose(ours(data), theirs(data), atol=1e-6)


def test_both_modes_stand_under_train_and_eval() -> None:
    x = ab.Input((200,))
    module = ab.Model(x, layers.Dropout(0.5)(x)).to_torch()
    ones = torch.ones(1, 200, device=here())
    assert not module.training
    assert equal(module(ones), ones)
    assert not equal(module.train()(ones), ones)
    assert equal(module.eval()(ones), ones)
    assert isinstance(module.dropout, torch.nn.Dropout)


def test_the_module_can_be_exported_by_torch() -> None:
    module = small().to_torch()
    data = on_device(DATA)
    exported = torch.export.export(module, (data,)).module()
    assert allclose(exported(data), module(data), atol=1e-6)


# Frozen and unfrozen


def test_freezing_and_unfreezing_is_seen_by_the_next_program() -> None:
    model = small()
    norm = model.get_layer("norm")
    model(DATA, training=True)
    program = engine.program(model, True)
    assert engine.program(model, True) is program, "the same while nothing changed"
    norm.trainable = False
    before = norm.get_weights()
    frozen = engine.program(model, True)
    assert frozen is not program
    result = model(DATA, training=True)
    assert all(np.array_equal(a, b) for a, b in zip(norm.get_weights(), before, strict=True)), "inference mode while frozen"
    assert not norm.gamma.value.requires_grad
    assert allclose(result, model(DATA, training=False), atol=1e-6)
    norm.trainable = True
    model(DATA, training=True)
    assert norm.gamma.value.requires_grad
    assert not all(np.array_equal(a, b) for a, b in zip(norm.get_weights(), before, strict=True))


def test_frozen_weights_get_no_gradient() -> None:
    model = small()
    model.get_layer("conv").trainable = False
    model(DATA, training=True).sum().backward()
    assert model.get_layer("conv").kernel.value.grad is None
    assert model.get_layer("head").kernel.value.grad is not None


def test_activity_regularizers_are_losses() -> None:
    x = ab.Input((4,))
    model = ab.Model(x, layers.Dense(3, activity_regularizer="l2", name="d")(x))
    data = torch.ones(2, 4, device=here())
    for training in (True, False):  # evaluate counts them too, as Keras's does
        outputs, losses = engine.program(model, training)([data])
        assert len(outputs) == len(losses) == 1
        assert losses[0].item() == pytest.approx(0.01 * outputs[0].square().sum().item() / len(data), rel=1e-5)


# Layers that cannot be traced


class Branching(ab.Layer):
    """Doubles what is positive on the whole, else applies a weight: looks at numbers."""

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight((input_shape[-1],), initializer="ones", name="factor")

    def call(self, x: Any) -> Any:
        if x.sum() > 0:
            return x * 2.0
        return x * self.factor


def branching() -> Any:
    x = ab.Input((3,), name="x")
    h = layers.Dense(3, name="before", use_bias=False, kernel_initializer="identity")(x)
    return ab.Model(
        x, layers.Dense(3, name="after", use_bias=False, kernel_initializer="identity")(Branching(name="branch")(h))
    )


def test_a_layer_that_branches_on_numbers_runs_in_every_way() -> None:
    model = branching()
    model.get_layer("branch").set_weights([np.full(3, -1.0, "float32")])
    positive, negative = np.ones((2, 3), "float32"), -np.ones((2, 3), "float32")
    module = model.to_torch()
    for run in (model, lambda a: module(on_device(a))):
        assert equal(run(positive), torch.full((2, 3), 2.0))
        assert equal(run(negative), torch.full((2, 3), 1.0))
    assert "branch" in module.code, "one node of the code"
    assert "branch.factor" in module.state_dict()


def test_its_weights_are_trained() -> None:
    model = branching()
    model(-np.ones((2, 3), "float32")).sum().backward()
    assert model.get_layer("branch").factor.value.grad is not None
    before = model.get_layer("branch").get_weights()[0]
    module = model.to_torch().train()
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    module(-torch.ones(2, 3, device=here())).sum().backward()
    optimizer.step()
    assert not np.array_equal(model.get_layer("branch").get_weights()[0], before)


def test_a_layer_of_several_outputs_that_branches() -> None:
    class Split(ab.Layer):
        def call(self, x: Any) -> Any:
            return {"low": x.clamp(max=0), "high": x} if bool((x > 0).any()) else {"low": x, "high": x * 0}

    x = ab.Input((3,))
    parts = Split()(x)
    model = ab.Model(x, parts["high"] - parts["low"])
    assert model(np.ones((1, 3), "float32")).tolist() == [[1.0] * 3]
    assert model(-np.ones((1, 3), "float32")).tolist() == [[1.0] * 3]


def test_loops_over_known_sizes_are_traced() -> None:
    class Sums(ab.Layer):
        def call(self, x: Any) -> Any:
            total = x[:, 0]
            for step in range(1, x.shape[1]):
                total = total + x[:, step]
            return total

    x = ab.Input((5, 2))
    model = ab.Model(x, Sums(name="sums")(x))
    data = np.random.default_rng(0).random((3, 5, 2)).astype("float32")
    assert np.allclose(model(data), data.sum(1), atol=1e-6)


def test_training_reaches_a_branching_layer() -> None:
    class Mode(ab.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            if x.sum() > 1e9:
                return x
            return x + (1.0 if training else 0.0)

    x = ab.Input((2,))
    model = ab.Model(x, Mode()(x))
    zeros = np.zeros((1, 2), "float32")
    assert model(zeros, training=True).tolist() == [[1.0, 1.0]]
    assert model(zeros, training=False).tolist() == [[0.0, 0.0]]
    module = model.to_torch()
    assert module.train()(torch.zeros(1, 2)).tolist() == [[1.0, 1.0]]
    assert module.eval()(torch.zeros(1, 2)).tolist() == [[0.0, 0.0]]


def test_a_layer_that_fails_says_where() -> None:
    class Broken(ab.Layer):
        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

        def call(self, x: Any) -> Any:
            return x @ torch.ones(7, 7)

    inner_x = ab.Input((3,))
    inner = ab.Model(inner_x, Broken(name="broken")(inner_x), name="inner")
    x = ab.Input((3,))
    model = ab.Model(x, inner(layers.Dense(3)(x)))
    for training in (False, True):
        with pytest.raises(EngineError, match=r"Broken 'inner/broken' could not run: (mm: )?mat1 and mat2 shapes") as error:
            model(np.ones((1, 3), "float32"), training=training)
        assert "called at test_running.py:" in str(error.value)
        assert "(1, 3)" in str(error.value)
        assert isinstance(error.value.__cause__, RuntimeError)
    with pytest.raises(EngineError, match="Broken could not run"):
        Broken()(np.ones((1, 3), "float32"))


def test_what_only_the_whole_refuses_is_reported_too() -> None:
    x = ab.Input((3,))
    graph = ab.Model(x, x + 1.0).graph
    error = engine.explained(RuntimeError("out of luck"), graph, [torch.ones(1, 3)], False)
    assert str(error).startswith("The model could not run: out of luck")


# Randomness


def test_training_calls_follow_the_seed() -> None:
    x = ab.Input((50,))
    model, layer = ab.Model(x, layers.Dropout(0.5)(x)), layers.Dropout(0.5)
    ones = np.ones((1, 50), "float32")
    for run in (model, layer):
        ab.utils.set_random_seed(3)
        first, second = run(ones, training=True), run(ones, training=True)
        ab.utils.set_random_seed(3)
        assert equal(run(ones, training=True), first)
        assert equal(run(ones, training=True), second)
        assert not equal(first, second)


# Devices


@pytest.fixture
def default_device() -> Any:
    yield
    config.set_device(None)


@pytest.mark.usefixtures("default_device")
def test_the_device_is_chosen_by_name() -> None:
    config.set_device("cpu")
    assert engine.device() == torch.device("cpu")
    model = small()
    assert model(torch.from_numpy(DATA)).device.type == "cpu"
    config.set_device("meta")
    assert engine.device() == torch.device("meta")
    assert small()(DATA).device.type == "meta", "weights and batches go where the device says"


@pytest.mark.usefixtures("default_device")
def test_devices_that_are_not_there() -> None:
    with pytest.raises(ArgumentError, match="Unknown device"):
        config.set_device("abacus")
    if not torch.cuda.is_available():
        for name in ("cuda", "cuda:1"):
            config.set_device(name)
            with pytest.raises(ArgumentError, match="No CUDA device is available"):
                engine.device()
    with pytest.raises(TypeError, match="must be a string"):
        config.set_device(0)  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.usefixtures("default_device")
def test_weights_move_between_cpu_and_gpu() -> None:
    config.set_device("cpu")
    model = small()
    on_cpu = model(DATA).detach()
    config.set_device("cuda")
    on_gpu = model(DATA)
    assert on_gpu.device.type == "cuda"
    assert allclose(on_gpu.cpu(), on_cpu, atol=1e-4)
    config.set_device("cpu")
    assert allclose(model(DATA), on_cpu, atol=1e-6)


def test_a_sum_of_unknown_sizes_may_stretch_one_of_them() -> None:
    inputs = ab.Input((None,))
    model = ab.Model(inputs, inputs[:, :1] ** 2 + inputs[:, :2])
    assert model.predict(np.full((3, 6), 2, "float32"), verbose=0).tolist() == [[6.0, 6.0]] * 3


def test_weights_that_a_call_read_before_it_could_not_be_traced_are_read_later() -> None:
    """The layer is one module from then on; the layer inside, which is called on its own too, has a place beside that."""

    class Branching(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = layers.Dense(3)

        def call(self, x: Any) -> Any:
            x = self.inner(x)
            return x * 2 if float(x.detach().mean()) > 1e9 else x

    block, x = Branching(), ab.Input((3,))
    model = ab.Model(x, block.inner(block(x)))
    kernel = block.inner.get_weights()[0]
    values = np.arange(6, dtype="float32").reshape(2, 3)
    np.testing.assert_allclose(model.predict(values, verbose=0), values @ kernel @ kernel, rtol=1e-5)
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(values, values, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("call", ["predict", "evaluate", "model"])
def test_sizes_of_nothing_are_explained_where_a_division_finds_them(call: str) -> None:
    x = ab.Input((None, None, 3))
    model = ab.Model(x, ab.ops.image.resize(x, (4, 4), interpolation="lanczos3"))
    model.compile("sgd", "mse")
    images, target = np.ones((2, 4, 0, 3), "float32"), np.ones((2, 4, 4, 3), "float32")
    calls = {"predict": model.predict, "model": model}
    with pytest.raises(EngineError, match=r"resize could not run: division by zero[\s\S]*\(2, 4, 0, 3\)"):
        calls[call](images) if call in calls else model.evaluate(images, target, verbose=0)
