"""Recurrent layers are torch's own modules in ``to_torch()``: which, what they compute, and how weights go both ways."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from devices import on_device
from torch import nn
from torch_models import close, data, fed, leaves, sequences

import anabranch as ab
from anabranch import layers


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


@pytest.mark.parametrize("kind", ["LSTM", "SimpleRNN"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_one_layer(kind: str, options: dict[str, Any]) -> None:
    model = of(getattr(layers, kind)(3, name="layer", **options))
    module = model.to_torch()
    assert type(module.layer) is (nn.LSTM if kind == "LSTM" else nn.RNN)
    (x,) = data(model)
    close(module(x), model(x))


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "ave", "mul", None])
@pytest.mark.parametrize("options", [o for o in OPTIONS if "go_backwards" not in o], ids=str)
def test_both_ways(merge_mode: Any, options: dict[str, Any]) -> None:
    for kind in (layers.LSTM, layers.SimpleRNN):
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


@pytest.mark.parametrize("kind", ["LSTM", "SimpleRNN"])
@pytest.mark.parametrize("options", [{}, {"return_sequences": True}], ids=str)
def test_masked(kind: str, options: dict[str, Any]) -> None:
    model = of(getattr(layers, kind)(3, name="layer", **options), masked=True)
    module = model.to_torch()
    assert isinstance(module.layer, (nn.LSTM, nn.RNN))
    ids = on_device(torch.tensor([[1, 2, 0, 3, 0, 0], [0, 0, 0, 0, 0, 0], [4, 5, 6, 7, 8, 9]], dtype=torch.int32))
    close(module(ids), model(ids))


@pytest.mark.parametrize(
    ("layer", "masked"),
    [
        (lambda: layers.LSTM(3, return_state=True), True),  # the last cell state is inside torch's
        (lambda: layers.LSTM(3, activation="relu"), False),
        (lambda: layers.GRU(3), False),
        (lambda: layers.GRU(3, reset_after=False), False),
        (lambda: layers.LSTM(3, recurrent_dropout=0.5), False),
        (lambda: layers.Bidirectional(layers.LSTM(3)), True),
        (lambda: layers.RNN([layers.LSTMCell(3), layers.LSTMCell(2)]), False),
    ],
    ids=["masked states", "relu", "GRU", "reset before", "recurrent dropout", "masked, both ways", "stacked cells"],
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


@pytest.mark.filterwarnings("ignore:.*_flat_weights:UserWarning")  # as of any nn.LSTM
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is (deprecated|not supported)")
def test_export_script_trace_compile_and_hooks() -> None:
    model = sequences()
    module, tensors, larger = model.to_torch(), data(model), data(model, 7)
    expected, seen = module(*tensors), []
    batch = torch.export.Dim("batch")
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
