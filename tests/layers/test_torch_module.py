"""Torch's own functions, methods and modules on symbolic tensors: as nodes they give what torch gives."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from devices import allclose, equal, here, on_device
from torch import nn

import anabranch as ab
from anabranch import Input, Model, layers
from anabranch._errors import ArgumentError, EngineError, MissingAttributeError

X = np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32")


def run(model: Model, x: np.ndarray = X) -> torch.Tensor:
    return model(x).detach()


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: torch.cat([x, x], -1), id="cat"),
        pytest.param(lambda x: F.gelu(x), id="gelu"),
        pytest.param(lambda x: torch.stack([x, -x], dim=1), id="stack"),
        pytest.param(lambda x: torch.where(x > 0, x, 0.5 * x), id="where"),
        pytest.param(lambda x: torch.einsum("btc,bsc->bts", x, x), id="einsum"),
        pytest.param(lambda x: x.mean(dim=1, keepdim=True) + x, id="method"),
        pytest.param(lambda x: x.transpose(1, 2).flatten(1), id="methods"),
        pytest.param(lambda x: torch.ones(8) * x, id="constant on the left"),
        pytest.param(lambda x: x @ torch.eye(8), id="matmul with a constant"),
        pytest.param(lambda x: (x == x).float() * (x != 0).to(torch.float32), id="equality"),
        pytest.param(lambda x: torch.split(x, 3, dim=-1)[1], id="one of several"),
        pytest.param(lambda x: x.unsqueeze(1).expand(-1, 2, -1, -1), id="expand"),
    ],
)
def test_functions_and_methods_equal_torch(function: Any) -> None:
    x = Input((5, 8))
    y = function(x)
    expected = function(on_device(X))
    assert tuple(y.shape) == (None, *expected.shape[1:])
    assert y.dtype == str(expected.dtype).removeprefix("torch.")
    model = Model(x, y)
    assert equal(run(model), expected)
    assert equal(model.to_torch()(on_device(X)), expected)


MODULES = {
    "linear": lambda: nn.Linear(8, 4),
    "conv": lambda: nn.Conv1d(5, 3, 3, padding=1),
    "reflected": lambda: nn.Conv1d(5, 3, 3, padding=2, padding_mode="reflect"),
    "norm": lambda: nn.LayerNorm(8),
    "batch norm": lambda: nn.BatchNorm1d(5),
    "row": lambda: nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2)),
    "pool": lambda: nn.AvgPool1d(2),
    "flatten": lambda: nn.Flatten(),
}


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped"])
@pytest.mark.parametrize("kind", list(MODULES))
def test_modules_give_what_they_give_alone(kind: str, wrapped: bool) -> None:
    torch.manual_seed(0)
    module = MODULES[kind]().to(here())
    x = Input((5, 8))
    model = Model(x, layers.TorchModule(module)(x) if wrapped else module(x))
    reference = copy.deepcopy(module)
    for training in (True, False, True):
        found = model(X, training=training).detach()
        assert allclose(found, reference.train(training)(on_device(X)), atol=1e-6)
    assert model.count_params() >= sum(p.numel() for p in module.parameters())
    assert {id(w.value) for w in model.trainable_weights} == {id(p) for p in module.parameters()}


def test_dropout_of_torch_drops_in_training_only() -> None:
    x = Input((5, 8))
    model = Model(x, nn.Dropout(0.5)(x))
    assert equal(run(model), on_device(X))
    assert (model(X, training=True) == 0).any()
    module = model.to_torch()
    assert equal(module(on_device(X)), on_device(X))
    assert (module.train()(on_device(X)) == 0).any()


def test_a_module_called_twice_is_one_layer() -> None:
    x = Input((5, 8))
    shared = nn.Linear(8, 8)
    model = Model(x, shared(shared(x)))
    assert [layer.name for layer in model.layers] == ["input_layer", "linear"]
    assert allclose(run(model), shared(shared(on_device(X))).detach(), atol=1e-6)
    assert model.count_params() == 72


def test_a_module_of_a_users_own_is_traced() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(8, 8)
            self.gate = nn.Parameter(torch.full((8,), 0.5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.tanh(self.inner(x)) * self.gate

    module = Gated()
    x = Input((5, 8))
    model = Model(x, module(x))
    assert allclose(run(model), module(on_device(X)).detach(), atol=1e-6)
    before = module.gate.detach().clone()
    model.compile("sgd", "mse")
    model.fit(X, 2 * X, epochs=2, verbose=0)
    assert not equal(module.gate, before)


def test_parameters_in_functions_are_weights() -> None:
    scale, kernel = nn.Parameter(torch.ones(8)), nn.Parameter(torch.ones(1, 8))
    x = Input((5, 8))
    model = Model(x, F.linear(x * scale, kernel) * scale[:1].detach())
    assert [id(weight.value) for weight in model.trainable_weights] == [id(scale), id(kernel)]


def test_a_transformer_layer_and_a_recurrent_one() -> None:
    x = Input((5, 8))
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    y = layers.TorchModule(encoder)(x)
    out, (hidden, _) = layers.TorchModule(nn.LSTM(8, 4, batch_first=True))(y)
    assert (out.shape, hidden.shape) == ((None, 5, 4), (1, None, 4))
    model = Model(x, {"out": out, "pooled": out.mean(dim=1)})
    model.compile("adam", {"out": "mse", "pooled": "mse"})
    history = model.fit(X, {"out": X[..., :4], "pooled": X[:, 0, :4]}, epochs=10, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.predict(X, verbose=0)["out"].shape == (3, 5, 4)


def test_weights_of_modules_are_saved_and_loaded(tmp_path: Any) -> None:
    def make() -> Model:
        x = Input((5, 8))
        return Model(x, nn.BatchNorm1d(5)(nn.Linear(8, 8)(x)))

    one, other = make(), make()
    assert not equal(run(one), run(other))
    one.save_weights(tmp_path / "saved.safetensors")
    other.load_weights(tmp_path / "saved.safetensors")
    assert equal(run(one), run(other))


def test_frozen_modules_stay() -> None:
    x = Input((5, 8))
    layer = layers.TorchModule(nn.Linear(8, 8), name="body")
    model = Model(x, layers.Dense(8)(layer(x)))
    layer.trainable = False
    before = layer.module.weight.detach().clone()
    model.compile("sgd", "mse")
    model.fit(X, X, verbose=0)
    assert equal(layer.module.weight, before)


def test_describing_a_module_changes_nothing_in_it() -> None:
    module = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(5))
    before = copy.deepcopy(module.state_dict())
    layers.TorchModule(module)(Input((5, 8)))
    for name, value in module.state_dict().items():
        assert equal(value, before[name])
    assert module.training


# Mistakes


def test_a_function_that_does_not_fit_says_which_and_where() -> None:
    with pytest.raises(EngineError, match=r"(?s)cat fails.*got:.*\(None, 5, 8\), \(None, 3\).*test_torch_module.py"):
        torch.cat([Input((5, 8)), Input((3,))])


def test_a_module_that_looks_into_its_input_says_how_to_wrap_it() -> None:
    with pytest.raises(
        MissingAttributeError, match=r"(?s)TransformerEncoderLayer.*layers.TorchModule\(TransformerEncoderLayer"
    ):
        nn.TransformerEncoderLayer(8, 2)(Input((5, 8)))


def test_an_unknown_attribute_offers_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'flatten'"):
        Input((5, 8)).flaten(1)
    assert not hasattr(Input((3,)), "_keras_mask")


def test_only_modules_are_wrapped() -> None:
    with pytest.raises(TypeError, match=r"module of TorchModule must be a torch\.nn\.Module"):
        layers.TorchModule(torch.relu)


def test_the_graph_is_still_free_of_sessions() -> None:
    names = []
    for _ in range(2):
        x = ab.Input((5, 8))
        names.append([layer.name for layer in Model(x, F.relu(nn.Linear(8, 4)(x))).layers])
    assert names[0] == names[1] == ["input_layer", "linear"]


def test_clones_have_modules_of_their_own() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale

    x, scaled = Input((5, 8)), Scaled()
    model = Model(x, scaled(nn.Linear(8, 8)(scaled(x))))
    clone = ab.models.clone_model(model)
    assert not model.diff(clone), "the numbers of parameters are not compared"
    assert not {id(w.value) for w in model.weights} & {id(w.value) for w in clone.weights}
    assert len(clone.weights) == 3, "what is shared stays shared"


def test_a_seed_holds_for_modules() -> None:
    made = []
    for _ in range(2):
        ab.utils.set_random_seed(3)
        made.append(nn.Linear(3, 2).weight)
    assert equal(*made)


def test_the_name_of_a_module_by_position() -> None:
    assert layers.TorchModule(nn.Linear(3, 2), "head").name == "head"
    layer = layers.TorchModule(nn.Linear(3, 2), "head", (2,))
    assert (layer.name, layer.output_shape) == ("head", (2,))


class Held(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm = nn.BatchNorm1d(3)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.norm(inputs)


def test_a_held_module_changes_its_buffers_with_batches_alone() -> None:
    layer, expected = Held(), nn.BatchNorm1d(3).to(here())
    inputs = Input((3,))
    model = Model(inputs, layers.Dense(1)(layer(inputs)))
    assert int(layer.norm.num_batches_tracked) == 0
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
    model.fit(x, np.ones((12, 1), "float32"), batch_size=4, shuffle=False, verbose=0)
    for batch in on_device(x).split(4):
        expected(batch)
    for name, buffer in expected.named_buffers():
        torch.testing.assert_close(dict(layer.norm.named_buffers())[name], buffer)


def test_replaced_parameters_are_the_models() -> None:
    x, inner = ab.Input((4,)), torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU())
    wrapped = layers.TorchModule(inner)
    model = ab.Model(x, wrapped(x))
    model.compile("sgd", "mse")
    data = np.ones((2, 4), "float32"), np.ones((2, 2), "float32")
    model.fit(*data, verbose=0)
    names, bias = [weight.path for weight in model.weights], model.weights[1]
    wrapped.module[0].weight = torch.nn.Parameter(on_device(torch.full((2, 4), 0.1)))
    assert [weight.path for weight in model.weights] == names
    assert model.weights[0].value is inner[0].weight
    assert model.weights[1] is bias
    assert next(model.parameters()) is inner[0].weight
    assert next(model.to_torch().parameters()) is inner[0].weight
    before = inner[0].weight.detach().clone()
    model.fit(*data, verbose=0)
    assert not torch.equal(inner[0].weight, before)
    wrapped.module[0] = torch.nn.Linear(4, 2, bias=False).to(here())
    assert [weight.value for weight in model.weights] == [inner[0].weight]
    assert torch.equal(model(data[0]), inner(on_device(torch.from_numpy(data[0]))))


def test_weights_of_a_subclass_stay_where_the_modules_are_replaced() -> None:
    class Scaled(layers.TorchModule):
        def __init__(self, module: nn.Module) -> None:
            super().__init__(module)
            self.scale = self.add_weight((), "ones", name="scale")

        def call(self, x: Any) -> Any:
            return super().call(x) * self.scale

    x, inner = ab.Input((4,)), torch.nn.Linear(4, 2)
    model = ab.Model(x, Scaled(inner)(x))
    inner.bias = None
    inner.weight = torch.nn.Parameter(on_device(torch.ones(2, 4)))
    assert [weight.name for weight in model.weights] == ["weight", "scale"]


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer_scale, self.bias = nn.Parameter(torch.full((8,), 0.5)), nn.Parameter(torch.ones(8))

    def forward(self, x: Any) -> Any:
        return x * self.layer_scale + self.bias


class Opened(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Scaled(), Scaled()])
        self.pos_embed, self.head = nn.Parameter(torch.ones(1, 5, 8)), nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        x = x + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def test_parameters_of_an_opened_module_keep_their_paths() -> None:
    x, module = ab.Input((5, 8)), Opened().to(here())
    model = ab.Model(x, module(x))
    assert [weight.path for weight in model.weights] == [
        "add/pos_embed", "blocks/0/mul/layer_scale", "blocks/0/add/bias", "blocks/1/mul/layer_scale", "blocks/1/add/bias",
        "head/weight", "head/bias",
    ]  # fmt: skip
    other = Opened().to(here())
    with torch.no_grad():
        for number, parameter in enumerate(other.parameters()):
            parameter.fill_(number + 1.0)
    model.load_state_dict(other.state_dict())
    assert allclose(model(X), other(on_device(torch.from_numpy(X))))
    assert copy.deepcopy(model).weights[1].path == model.weights[1].path
    with pytest.raises(EngineError, match="pos_embed"):
        model.load_state_dict({name: value for name, value in other.state_dict().items() if name != "pos_embed"})


@pytest.mark.parametrize("masked", [(True, True, True), (False, True, True), (False, False, True)])
def test_a_mask_that_ends_in_attention_is_warned_of(masked: tuple[bool, ...]) -> None:
    tokens = Input((5,), dtype="int32")
    given = [layers.Embedding(10, 8, mask_zero=each)(tokens) for each in masked]
    with pytest.warns(UserWarning, match="mask of what scaled_dot_product_attention.* ends here") as seen:
        F.scaled_dot_product_attention(*given)
    assert seen[0].filename == __file__
    F.scaled_dot_product_attention(*[layers.Embedding(10, 8)(tokens)] * 3)
    with pytest.warns(UserWarning, match="does not support masks: its input's mask ends here"):
        layers.TorchModule(nn.MultiheadAttention(8, 2, batch_first=True))(*given[::-1])
    torch.matmul(given[0].transpose(1, 2), layers.Embedding(10, 8)(tokens))  # no attention


class ClassToken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls_token, self.head = nn.Parameter(torch.ones(1, 1, 8)), nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.head(torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1)[:, 0])


def test_what_is_computed_from_parameters_outside_of_the_graph_is_refused() -> None:
    """It would be trained in the place of the parameter."""
    with pytest.raises(ArgumentError, match=r"(?s)cat takes a tensor that is computed.*TorchModule\(ClassToken"):
        ClassToken().to(here())(Input(batch_shape=(3, 5, 8)))
    with pytest.raises(ArgumentError, match="mul takes a tensor that is computed from parameters"):
        Input((8,)) * nn.Parameter(torch.ones(8)).exp().to(here())


def test_a_class_token_in_a_module_that_runs_whole() -> None:
    x, module = Input((5, 8)), ClassToken().to(here())
    model = Model(x, layers.TorchModule(module)(x))
    assert model.output_shape == (None, 2)
    assert [weight.name for weight in model.weights] == ["cls_token", "head/weight", "head/bias"]
    model.compile(ab.optimizers.SGD(0.1), "mse")
    model.fit(X, np.zeros((3, 2), "float32"), verbose=0)
    assert not torch.equal(module.cls_token.detach(), torch.ones_like(module.cls_token))
    assert allclose(run(model), module(on_device(torch.from_numpy(X))))
