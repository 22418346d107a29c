"""Models and layers inside torch's modules, as torch's own transformations see them: compiled, exported, with other values."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, stack_module_state, vmap

import anabranch as ab
from anabranch import layers, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch.runtime.dynamo import FOLLOWS

pytestmark = [
    pytest.mark.on_cpu,
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),  # torch.compile asks for it itself
]
followed = pytest.mark.skipif(not FOLLOWS, reason="torch.compile follows models from torch 2.13 on")
X = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 4)).astype("float32"))
IDS = torch.tensor([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]])


class Net(nn.Module):
    """A model as the body, a layer of torch's as the head."""

    def __init__(self, body: Any, units: int = 3) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(units, 2)

    def forward(self, x: Any) -> torch.Tensor:
        found: torch.Tensor = self.head(self.body(x))
        return found


class Layers(nn.Module):
    """Layers without a model."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.norm = layers.Dense(3, activation="relu"), layers.BatchNormalization()
        self.dense.build((None, 4))
        self.norm.build((None, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.dense(x))


class Own(ab.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense, self.gain = layers.Dense(3), nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def call(self, x: Any) -> Any:
        return self.dense(x) * self.gain


class Branching(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 2 if float(x.detach().sum()) > 0 else x


def mlp() -> ab.Model:
    x = ab.Input((4,))
    return ab.Model(x, layers.Dense(3)(layers.Dropout(0.5)(layers.Dense(5, activation="relu")(x))))


def nested() -> ab.Model:
    x = ab.Input((4,))
    return ab.Model(x, layers.BatchNormalization()(mlp()(x)))


class Stages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))

    def forward(self, x: Any) -> Any:
        return self.stage(x)


def opened() -> ab.Model:
    """A torch module, called on a symbolic tensor: layers called ``stage/0`` and so on."""
    x = ab.Input((4,))
    return ab.Model(x, Stages()(x))


def wrapped() -> ab.Model:
    x = ab.Input((4,))
    return ab.Model(x, layers.TorchModule(Stages())(x))


def own() -> ab.Model:
    model = Own()
    model(X)
    return model


def branching() -> ab.Model:
    x = ab.Input((4,))
    return ab.Model(x, layers.Dense(3)(Branching()(x)))


def tagger() -> ab.Model:
    ids = ab.Input((5,), dtype="int64")
    return ab.Model(ids, layers.LSTM(3, return_sequences=True)(layers.Embedding(10, 4, mask_zero=True)(ids)))


def reader() -> ab.Model:
    x = ab.Input((5, 3))
    return ab.Model(x, layers.LSTM(3)(x))


NETS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: Net(mlp()), "nested": lambda: Net(nested()), "opened": lambda: Net(opened()), "own": lambda: Net(own()),
    "wrapped": lambda: Net(wrapped()),    "layers": Layers,
}  # fmt: skip


def net(name: str) -> nn.Module:
    return NETS[name]().eval()


def compiled(module: nn.Module, *, whole: bool = True) -> Any:
    torch._dynamo.reset()
    return torch.compile(module, backend="aot_eager", fullgraph=whole)


@followed
@pytest.mark.parametrize("name", ["mlp", "nested", "opened", "wrapped"])
def test_torch_compile_takes_a_model_as_code(name: str) -> None:
    module = net(name)
    fast = compiled(module)
    torch.testing.assert_close(fast(X), module(X))
    torch.testing.assert_close(fast(X[:3].double()), module(X[:3]))
    fast(X).sum().backward()
    found = {key: value.grad for key, value in module.named_parameters()}
    module.zero_grad()
    module(X).sum().backward()
    for key, value in module.named_parameters():
        torch.testing.assert_close(found[key], value.grad)


@followed
def test_what_torch_compile_was_given_follows_the_model() -> None:
    module = Net(mlp()).eval()
    fast = compiled(module)
    before = fast(X)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2)
    assert not equal(fast(X), before)
    _, dense, dropout, _ = module.body.layers
    dense.activation = "tanh"
    torch.testing.assert_close(fast(X), module(X))
    dense.trainable = False
    module.zero_grad()
    fast(X).sum().backward()
    assert dense.kernel.value.grad is None
    assert module.head.weight.grad is not None
    dropout.rate = 0.0
    torch.testing.assert_close(module.train() and fast(X), module(X))
    dropout.rate = 0.9
    assert not equal(fast(X), fast(X))
    torch.testing.assert_close(module.eval() and fast(X), module(X))
    fast = compiled(module)
    fast(X)
    with torch._dynamo.config.patch(error_on_recompile=True):
        mlp()(X)  # another model is no reason to compile again
        fast(X)


@followed
def test_torch_compile_follows_nests_of_inputs_and_outputs() -> None:
    a, b = ab.Input((4,), name="a"), ab.Input((4,), name="b")
    hidden = layers.Dense(3)(layers.Subtract()([a, b]))
    one = ab.Model([b, a], [hidden, layers.ReLU()(hidden)])
    two = ab.Model({"b": b, "a": a}, {"relu": layers.ReLU()(hidden), "hidden": (hidden,)})

    def run(x: torch.Tensor) -> Any:
        listed, named = one([x, 2 * x], training=False), two({"b": x, "a": 3 * x})
        return listed[0] - listed[1], named["hidden"][0], named["relu"]

    torch._dynamo.reset()
    for found, wanted in zip(torch.compile(run, backend="eager", fullgraph=True)(X), run(X), strict=True):
        torch.testing.assert_close(found, wanted)


@followed
def test_both_modes_of_a_model_are_parts_of_one_graph() -> None:
    model = nested()

    def run(x: torch.Tensor) -> Any:
        return model(x, training=False), model(x, training=True)

    torch._dynamo.reset()
    fast = torch.compile(run, backend="eager", fullgraph=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(2):
            found, _ = fast(X)
            moved = run(X)[0]
            assert found.shape == moved.shape == (6, 3)
            assert not equal(found, moved), "batch normalization has moved its statistics in between"


@pytest.mark.parametrize("made", [Layers, lambda: Net(own()), lambda: Net(branching())])
def test_torch_compile_leaves_other_layers_to_python(made: Callable[[], nn.Module]) -> None:
    module = made().eval()
    torch.testing.assert_close(compiled(module, whole=False)(X), module(X))
    with pytest.raises(Exception, match=r"torch\.compile runs this layer of anabranch as it is" if FOLLOWS else "_computed"):
        compiled(module)(X)


def test_torch_compile_keeps_masks() -> None:
    module = nn.Sequential(tagger(), reader()).eval()
    torch.testing.assert_close(compiled(module, whole=False)(IDS), module(IDS))
    assert not torch.allclose(module(IDS), module[1](module[0](IDS).clone()))


def test_wrong_shapes_are_named_by_compiled_modules_too() -> None:
    with pytest.raises(ShapeError, match=r"Input 'input_layer' of model 'functional' takes another shape"):
        compiled(Net(mlp()).eval(), whole=False)(torch.ones(3, 9))


@followed
@pytest.mark.parametrize("name", NETS)
def test_torch_export_takes_modules_with_layers(name: str) -> None:
    module = net(name)
    program = torch.export.export(module, (X,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(X[:3]), module(X[:3]))
    assert program.state_dict.keys() == module.state_dict().keys()
    for key, value in module.state_dict().items():
        assert equal(program.state_dict[key], value)
    assert not runtime.is_tracing()


@pytest.mark.parametrize("name", NETS)
def test_functional_call_computes_with_the_values_given(name: str) -> None:
    module, other = net(name), net(name)
    before = module(X)
    values = {key: value.detach().clone() for key, value in other.state_dict().items()}
    torch.testing.assert_close(functional_call(module, values, (X,)), other(X))
    assert equal(module(X), before)
    some = {key: value for key, value in values.items() if key.endswith("weight")}
    assert not equal(functional_call(module, some, (X,)), before)
    if name != "wrapped":  # the parameters of torch's own module are torch's
        with pytest.raises(ShapeError, match=r"(?s)The value for weight .* has another shape"):
            functional_call(module, {next(iter(values)): torch.ones(9, 9)}, (X,))
    assert equal(module(X), before)
    assert not runtime.is_tracing()


def test_functional_call_moves_the_statistics_given() -> None:
    module = Layers().train()
    values = {key: value.detach().clone() for key, value in module.state_dict().items()}
    functional_call(module, values, (X,))
    assert (values["norm.running_mean"] != 0).any()
    assert not module.norm.moving_mean.numpy().any()
    functional_call(module, {key: value for key, value in values.items() if "running" not in key}, (X,))
    torch.testing.assert_close(torch.from_numpy(module.norm.moving_mean.numpy()), values["norm.running_mean"])


def test_functional_call_inside_another_and_after_an_error() -> None:
    module = Net(mlp()).eval()
    before = module(X)
    one = {key: value.detach() + 1 for key, value in module.state_dict().items()}
    two = {"body.dense.bias": torch.full((5,), 2.0)}

    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: torch.Tensor) -> Any:
            return functional_call(self.inner, two, (x,)), self.inner(x)

    first, second = functional_call(Around(), {f"inner.{key}": value for key, value in one.items()}, (X,))
    torch.testing.assert_close(second, functional_call(module, one, (X,)))
    torch.testing.assert_close(first, functional_call(module, one | two, (X,)))
    with pytest.raises(RuntimeError):
        functional_call(module, one, (torch.ones(3, 9),))
    assert equal(module(X), before)


@pytest.mark.parametrize("name", NETS)
def test_gradients_of_functions_are_those_of_autograd(name: str) -> None:
    module = net(name)
    values = {key: value.detach() for key, value in module.named_parameters()}
    found = grad(lambda values: functional_call(module, values, (X,)).square().sum())(values)
    module(X).square().sum().backward()
    for key, value in module.named_parameters():
        torch.testing.assert_close(found[key], value.grad)
    each = vmap(grad(lambda values, x: functional_call(module, values, (x[None],)).square().sum()), (None, 0))(values, X)
    for key, value in found.items():
        torch.testing.assert_close(each[key].sum(0), value)


@pytest.mark.filterwarnings("ignore:`torch.jit.(script|trace|trace_method)` is (deprecated|not supported)")
def test_transformations_of_inputs() -> None:
    module = Net(mlp()).eval()
    torch.testing.assert_close(vmap(module)(X.view(2, 3, 4)).flatten(0, 1), module(X))
    torch.testing.assert_close(jacrev(module)(X), jacfwd(module)(X))
    assert hessian(lambda x: module(x).square().sum())(X).shape == (6, 4, 6, 4)


def test_an_ensemble_runs_at_once() -> None:
    modules = [Net(mlp()).eval() for _ in range(3)]
    values, buffers = stack_module_state(modules)
    base = copy.deepcopy(modules[0])
    found = vmap(lambda values, buffers: functional_call(base, (values, buffers), (X,)))(values, buffers)
    torch.testing.assert_close(found, torch.stack([module(X) for module in modules]))
    with pytest.raises(ArgumentError, match=r"(?s)meta.*functional_call takes it as it is"):
        base.to("meta")


def test_what_layers_add_to_the_loss_is_there_after_functional_call() -> None:
    x = ab.Input((4,))
    module = Net(ab.Model(x, layers.Dense(3, activity_regularizer="l2")(x)))
    zero = {key: torch.zeros_like(value) for key, value in module.body.state_dict().items()}
    functional_call(module.body, zero, (X,))
    assert [float(loss) for loss in module.body.losses] == [0.0]
    module(X)
    assert all(loss.item() > 0 for loss in module.body.losses)


@pytest.mark.parametrize("make", [torch.jit.script, lambda module: torch.jit.trace(module, X)])
@pytest.mark.parametrize("name", ["mlp", "layers"])
@pytest.mark.filterwarnings("ignore:`torch.jit.(script|trace|trace_method)` is (deprecated|not supported)")
def test_torchscript_names_the_way(make: Callable[[nn.Module], object], name: str) -> None:
    with pytest.raises(ArgumentError, match=r"(?s)TorchScript compiles no layers of anabranch.*to_torch\(\)"):
        make(net(name))


@pytest.mark.parametrize("name", NETS)
def test_symbolic_tracing_names_the_way(name: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"(?s)torch.fx does not trace layers.*to_torch\(\)"):
        torch.fx.symbolic_trace(net(name))


def test_layers_inside_answer_to_their_names() -> None:
    model = opened()
    module = Net(model)
    first = model.get_layer("stage/0")
    assert module.get_submodule("body.stage.0") is first
    assert getattr(model.stage, "0") is first
    for missing in (lambda: model.stage.two, lambda: model.stages, lambda: first.kernels):
        with pytest.raises(AttributeError):
            missing()
    with pytest.raises(AttributeError, match="Dense has no attribute `weights_`"):
        Net(mlp()).get_parameter("body.dense.weights_")


def test_a_parameter_cannot_be_taken_out_of_a_layer() -> None:
    dense = layers.Dense(2)
    dense.build((None, 4))
    with pytest.raises(ArgumentError, match=r"(?s)'weight' of a layer cannot be removed.*to_torch\(\)"):
        del dense._parameters["weight"]
    with pytest.raises(ArgumentError, match=r"Only a tensor takes the place of a weight"):
        dense._parameters["weights"] = torch.ones(2, 4)
    assert dense(torch.ones(1, 4)).shape == (1, 2)


def test_an_attribute_that_is_missing_loads_no_torch() -> None:
    script = """
import sys
from anabranch import Input, Model, layers
x = Input((4,))
model = Model(x, layers.Dense(2)(x))
assert not hasattr(model, "quantity") and not hasattr(model.layers[1], "quantity")
assert "torch" not in sys.modules
assert model.dense is model.layers[1]
"""
    subprocess.run([sys.executable, "-c", script], check=True)
