"""Recurrent layers are torch's own modules in ``to_torch()``: which, what they compute, and how weights go both ways."""

from __future__ import annotations

import copy
import pickle
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from devices import on_device
from torch import nn
from torch_models import close, data, fed, leaves, sequences

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError


def of(layer: Any, *, masked: bool = False) -> Any:
    if masked:
        ids = ab.Input((6,), dtype="int32", name="ids")
        return ab.Model(ids, layer(layers.Embedding(11, 4, mask_zero=True)(ids)))
    x = ab.Input((6, 4), name="x")
    return ab.Model(x, layer(x))


def shown(module: nn.Module, name: str) -> str:
    return repr(module.get_submodule(name))


def test_each_layer_is_torchs_module_and_the_code_reads_well() -> None:
    module = sequences().to_torch()
    kinds = {name: type(child) for name, child in module.named_children()}
    assert kinds == {
        "embedding": nn.Embedding, "lstm": nn.LSTM, "bidirectional": nn.LSTM, "encoder": nn.LSTM, "decoder": nn.LSTM,
        "both": nn.RNN, "dense": nn.Linear,
    }  # fmt: skip
    assert shown(module, "bidirectional") == "LSTM(6, 4, batch_first=True, bidirectional=True)"
    for line in (
        "self.lstm = nn.LSTM(8, 6, batch_first=True)", "x, _ = self.lstm(x)", "x, _ = self.bidirectional(x)",
        "_, (x, y) = self.encoder(x)",
    ):  # fmt: skip
        assert line in module.code
    assert "torch.lstm" not in module.code


OPTIONS: list[dict[str, Any]] = [
    {}, {"return_sequences": True}, {"return_state": True}, {"return_sequences": True, "return_state": True},
    {"go_backwards": True}, {"use_bias": False},
]  # fmt: skip


MODULES = {"LSTM": nn.LSTM, "SimpleRNN": nn.RNN, "GRU": nn.GRU}


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_one_layer(kind: str, options: dict[str, Any]) -> None:
    model = of(getattr(layers, kind)(3, name="layer", **options))
    module = model.to_torch()
    assert isinstance(module.layer, MODULES[kind])
    (x,) = data(model)
    close(module(x), model(x))


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "ave", "mul", None])
@pytest.mark.parametrize("options", [o for o in OPTIONS if "go_backwards" not in o], ids=str)
def test_both_ways(merge_mode: Any, options: dict[str, Any]) -> None:
    for kind in (layers.LSTM, layers.SimpleRNN, layers.GRU):
        model = of(layers.Bidirectional(kind(3, **options), merge_mode=merge_mode, name="both"))
        module = model.to_torch()
        assert module.both.bidirectional
        (x,) = data(model)
        close(module(x), model(x))


def test_both_ways_from_given_states() -> None:
    x, states = ab.Input((6, 4), name="x"), [ab.Input((3,), name=f"s{number}") for number in range(4)]
    inner = layers.LSTM(3, return_sequences=True, return_state=True)
    model = ab.Model([x, *states], layers.Bidirectional(inner, name="both")(x, initial_state=states))
    module, tensors = model.to_torch(), data(model)
    assert module.both.bidirectional
    close(module(*tensors), model(tensors))


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("options", [{}, {"return_sequences": True}], ids=str)
def test_masked(kind: str, options: dict[str, Any]) -> None:
    model = of(getattr(layers, kind)(3, name="layer", **options), masked=True)
    module = model.to_torch()
    assert isinstance(module.layer, MODULES[kind])
    ids = on_device(torch.tensor([[1, 2, 0, 3, 0, 0], [0, 0, 0, 0, 0, 0], [4, 5, 6, 7, 8, 9]], dtype=torch.int32))
    close(module(ids), model(ids))


@pytest.mark.parametrize(
    ("layer", "masked"),
    [
        (lambda: layers.LSTM(3, return_state=True), True),  # the last cell state is inside torch's
        (lambda: layers.LSTM(3, activation="relu"), False),
        (lambda: layers.GRU(3, reset_after=False), False),  # torch's reset gate acts on the product
        (lambda: layers.LSTM(3, recurrent_dropout=0.5), False),
        (lambda: layers.Bidirectional(layers.LSTM(3)), True),
        (lambda: layers.RNN([layers.LSTMCell(3), layers.LSTMCell(2)]), False),
    ],
    ids=["masked states", "relu", "reset before", "recurrent dropout", "masked, both ways", "stacked cells"],
)
def test_what_no_module_does_is_code_that_gives_the_same(layer: Any, masked: bool) -> None:
    model = of(layer(), masked=masked)
    module, tensors = model.to_torch(), data(model)
    close(module(*tensors), model(fed(model, tensors)))
    parameters = {id(parameter) for parameter in module.parameters()}
    assert parameters == {id(weight.value) for weight in model.trainable_weights}


def test_dropout_is_around_the_module() -> None:
    model = of(layers.LSTM(3, dropout=0.5, name="layer"))
    module, (x,) = model.to_torch(), data(model)
    close(module(x), model(x))
    assert any(isinstance(inner, nn.LSTM) for inner in module.modules())
    assert not torch.allclose(module.train()(x), module(x))


def test_training_in_torch_trains_the_model() -> None:
    model = sequences()
    module, tensors = model.to_torch(), data(model)
    assert {id(parameter) for parameter in module.parameters()} == {id(weight.value) for weight in model.trainable_weights}
    before = model(fed(model, tensors))
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    module.train()(*tensors).square().sum().backward()
    optimizer.step()
    close(module.eval()(*tensors), model(fed(model, tensors)))
    assert not torch.allclose(module(*tensors), before)
    assert not module.lstm.bias_hh_l0.any()
    assert torch.equal(module.lstm.weight_ih_l0, model.get_layer("lstm").cell.kernel.value)


def test_states_go_both_ways() -> None:
    model, other, third = sequences(), sequences(), sequences()
    tensors = data(model)
    other.load_state_dict(model.to_torch().state_dict())
    close(other(fed(model, tensors)), model(fed(model, tensors)))
    third.to_torch().load_state_dict(model.state_dict())
    close(third(fed(model, tensors)), model(fed(model, tensors)))
    for twin in (copy.deepcopy(model.to_torch()), pickle.loads(pickle.dumps(model.to_torch()))):
        twin.load_state_dict(sequences().state_dict())


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_weights_trained_in_torch_are_loaded(kind: str, both: bool) -> None:
    torch.manual_seed(0)
    theirs = getattr(nn, kind)(4, 3, batch_first=True, bidirectional=both)
    layer: Any = getattr(layers, "SimpleRNN" if kind == "RNN" else kind)(3, return_sequences=True)
    model = of(layers.Bidirectional(layer, name="layer") if both else layer)
    state = {f"{model.layers[-1].name}.{name}": value for name, value in theirs.state_dict().items()}
    model.load_state_dict(state)
    (x,) = data(model)
    close(model(x).cpu(), theirs(x.cpu())[0])
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({name: value for name, value in state.items() if "weight_hh" not in name})


def test_a_module_of_torchs_own_comes_back() -> None:
    x, own = ab.Input((5, 3), name="x"), nn.LSTM(3, 2, batch_first=True, bidirectional=True)
    model = ab.Model(x, layers.TorchModule(own, name="lstm")(x)[0])
    module = model.to_torch()
    assert module.lstm is own
    assert "nn.LSTM(3, 2, batch_first=True, bidirectional=True)" in module.code
    (tensor,) = data(model)
    close(leaves(module(tensor)), leaves(model(tensor)))


def gated(both: bool) -> Any:
    """A GRU, one way or both, with biases that are not 0."""
    layer: Any = layers.GRU(3, return_sequences=True, name="layer", bias_initializer="normal")
    return of(layers.Bidirectional(layer, name="layer") if both else layer)


@pytest.mark.parametrize("both", [False, True])
def test_a_gru_has_the_weights_of_the_model_and_the_state_of_torchs(both: bool) -> None:
    """Its parameters are in Keras's order of gates, as they are the model's; its ``state_dict`` is in torch's."""
    model, other, third = gated(both), gated(both), gated(both)
    module, (x,) = model.to_torch(), data(model)
    held = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    assert held == {weight.value.untyped_storage().data_ptr() for weight in model.trainable_weights}
    theirs = nn.GRU(4, 3, batch_first=True, bidirectional=both).to(x.device)
    theirs.load_state_dict(module.layer.state_dict())
    close(theirs(x)[0], model(x))
    other.load_state_dict(module.state_dict())
    close(other(x), model(x))
    third.to_torch().load_state_dict(model.state_dict())
    close(third(x), model(x))
    twin = pickle.loads(pickle.dumps(module))
    torch.nn.init.normal_(theirs.bias_hh_l0)
    twin.layer.load_state_dict(theirs.state_dict())
    close(twin(x), theirs(x)[0])
    close(copy.deepcopy(module)(x), model(x))


def test_a_gru_trained_in_torch_trains_the_model(tmp_path: Path) -> None:
    model = gated(True)
    module, (x,) = model.to_torch(source=tmp_path / "net.py"), data(model)
    before = [weight.numpy() for weight in model.trainable_weights]
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    module.train()(x).square().sum().backward()
    optimizer.step()
    close(module.eval()(x), model(x))
    assert all((weight.numpy() != old).all() for weight, old in zip(model.trainable_weights, before, strict=True))
    model.compile("sgd", "mse")
    model.train_on_batch(x, torch.zeros_like(module(x)))
    close(module(x), model(x))
    file = runpy.run_path(str(tmp_path / "net.py"))["Functional"]()
    file.load_state_dict(module.state_dict())
    close(file.to(x.device)(x), model(x))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is (deprecated|not supported)")
@pytest.mark.filterwarnings("ignore:.*_flat_weights:UserWarning")
def test_a_gru_for_other_tools() -> None:
    model = gated(True)
    module, (x,) = model.to_torch(), data(model)
    close(torch.jit.script(module)(x), module(x))
    close(torch.fx.symbolic_trace(module)(x), module(x))
    exported = torch.export.export(module, (x,), dynamic_shapes={"x": {0: torch.export.Dim("batch")}})
    (larger,) = data(model, 7)
    close(exported.module()(larger), model(larger))


def exports_states() -> bool:
    """Return whether torch exports the states of an nn.LSTM of its own; torch 2.6 traces them with an axis too many."""

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lstm(x)[1][0][0]

    exported = torch.export.export(Last(), (torch.ones(3, 2, 2),), dynamic_shapes={"x": {1: torch.export.Dim("batch")}})
    return [node.args[0][0].meta["val"].dim() for node in exported.graph.nodes if node.op == "output"] == [2]


@pytest.mark.filterwarnings("ignore:.*_flat_weights:UserWarning")  # as of any nn.LSTM
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is (deprecated|not supported)")
def test_export_script_trace_compile_and_hooks() -> None:
    model = sequences()
    module, tensors, larger = model.to_torch(), data(model), data(model, 7)
    expected, seen = module(*tensors), []
    batch = torch.export.Dim("batch")
    if exports_states():
        exported = torch.export.export(module, tuple(tensors), dynamic_shapes={name: {0: batch} for name in model.input_names})
        close(exported.module()(*larger), module(*larger))
    close(torch.jit.script(module)(*tensors), expected)
    traced = torch.fx.symbolic_trace(module)
    close(traced(*tensors), expected)
    assert isinstance(traced.lstm, nn.LSTM)
    # torch refuses any nn.LSTM otherwise, and cannot compile the backward pass of one that begins with another's states
    with torch._dynamo.config.patch(allow_rnn=True), torch.no_grad():
        close(torch.compile(module, fullgraph=True, backend="aot_eager")(*tensors), expected)
    for name, child in module.named_children():
        child.register_forward_hook(lambda *_, name=name: seen.append(name))
    module(*tensors)
    assert seen == [name for name, _ in module.named_children()]


def test_torchinfo_shows_a_row_for_each() -> None:
    torchinfo = pytest.importorskip("torchinfo")
    model = sequences()
    found = torchinfo.summary(model.to_torch(), input_data=data(model), verbose=0)
    rows = [(row.class_name, row.trainable_params) for row in found.summary_list if row.class_name in ("LSTM", "RNN")]
    counts = [layer.count_params() for layer in model.layers if layer.name not in ("ids", "target", "embedding", "dense")]
    assert [count for _, count in rows] == counts
    assert found.total_params == model.count_params()


@pytest.mark.parametrize("kind", MODULES)
def test_export_with_any_number_of_steps_is_refused_with_the_way_out(kind: str, tmp_path: Path) -> None:
    """Torch's export writes recurrent functions for one number of steps, which it showed as a symbol that is free."""
    x = ab.Input((None, 4), name="x")
    model = ab.Model(x, getattr(layers, kind)(3, bias_initializer="normal")(x))
    with pytest.raises(ArgumentError, match=r"one size of axis 1 of the input 'x' only.*(?s:.*)InputSpec"):
        model.export(tmp_path / "model.pt2", "torch", verbose=False)
    model.export(tmp_path / "model.pt2", "torch", verbose=False, input_signature=[layers.InputSpec(shape=(None, 9, 4))])
    values = on_device(torch.randn(5, 9, 4))
    close(torch.export.load(tmp_path / "model.pt2").module()(values), model(values))


def test_freezing_the_module_of_a_gru_is_seen_by_the_model() -> None:
    """Its bias is two parameters in torch."""
    model = of(layers.GRU(3))
    module = model.to_torch()
    module.requires_grad_(False)
    for _ in range(2):
        assert [weight.trainable for weight in model.weights] == [False] * 3
    module.requires_grad_(True)
    assert len(model.trainable_weights) == 3
    module.gru.bias_hh_l0.requires_grad_(False)
    assert [weight.trainable for weight in model.weights] == [True, True, False]
    assert not module.gru.bias_ih_l0.requires_grad, "it is one weight of the model"
    model.get_layer("gru").trainable = False
    model.predict(*data(model), verbose=0)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    copied = pickle.loads(pickle.dumps(model))
    assert [weight.shape for weight in copied.weights] == [weight.shape for weight in copy.deepcopy(model).weights]


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is (deprecated|not supported)")
def test_casts_that_torchscript_lacks_as_methods() -> None:
    ids = ab.Input((5,), dtype="int32", name="ids")
    model = ab.Model(ids, layers.GlobalAveragePooling1D()(layers.Embedding(11, 4, mask_zero=True)(ids)))
    x = ab.Input((4,), name="x")
    narrow = ab.Model(x, ab.ops.cast(x, "bfloat16"))
    for each in (model, narrow):
        module, given = each.to_torch(), data(each)
        close(torch.jit.script(module)(*given), module(*given))
