"""Weights that were trained in torch, in models of ours: the mapping is found, or shown for approval; outputs are equal."""

from __future__ import annotations

import os
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from devices import on_device, tolerated
from torch import nn

import anabranch as ab
from anabranch import exchange, layers
from anabranch._errors import ArgumentError, ArgumentTypeError, FileError, FileFormatError


class Block(nn.Module):
    """A basic or bottleneck block as torchvision has them."""

    def __init__(self, inside: int, width: int, stride: int, deep: bool) -> None:
        super().__init__()
        out = width * 4 if deep else width
        sizes = [(inside, width, 1), (width, width, 3), (width, out, 1)] if deep else [(inside, width, 3), (width, out, 3)]
        for number, (a, b, kernel) in enumerate(sizes, 1):
            step = stride if number == (2 if deep else 1) else 1
            setattr(self, f"conv{number}", nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{number}", nn.BatchNorm2d(b))
        self.count = len(sizes)
        changes = stride > 1 or inside != out
        self.downsample = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if changes else None

    def forward(self, x: Any) -> Any:
        y = x
        for number in range(1, self.count + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            y = torch.relu(y) if number < self.count else y
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, counts: list[int], deep: bool = False, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        inside = 64
        for stage, count in enumerate(counts):
            blocks = []
            for k in range(count):
                width = 64 << stage
                blocks.append(Block(inside, width, 2 if stage and not k else 1, deep))
                inside = width * (4 if deep else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.stages = len(counts)
        self.fc = nn.Linear(inside, classes)

    def forward(self, x: Any) -> Any:
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


def ours(counts: list[int], deep: bool = False, classes: int = 10, shortcut_first: bool = False, size: int = 64) -> Any:
    def conv(x: Any, width: int, kernel: int, stride: int = 1) -> Any:
        if kernel > 1:
            x = layers.ZeroPadding2D(kernel // 2)(x)
        x = layers.Conv2D(width, kernel, strides=stride, use_bias=False)(x)
        return layers.BatchNormalization(epsilon=1e-5)(x)

    inputs = x = ab.Input((size, size, 3))
    x = layers.ReLU()(conv(x, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for stage, count in enumerate(counts):
        for k in range(count):
            width, stride = 64 << stage, 2 if stage and not k else 1
            out = width * (4 if deep else 1)
            changes = stride > 1 or x.shape[-1] != out
            shortcut = conv(x, out, 1, stride) if changes and shortcut_first else x
            y = layers.ReLU()(conv(x, width, 1 if deep else 3, 1 if deep else stride))
            y = conv(y, width, 3, stride if deep else 1)
            y = conv(layers.ReLU()(y), out, 1) if deep else y
            shortcut = conv(x, out, 1, stride) if changes and not shortcut_first else shortcut
            x = layers.ReLU()(layers.Add()([y, shortcut]))
    return ab.Model(inputs, layers.Dense(classes, name="head")(layers.GlobalAveragePooling2D()(x)))


def drawn(module: Any) -> Any:
    """Give a module's statistics other values than those it begins with, so that each counts."""
    torch.manual_seed(0)
    for name, value in module.state_dict().items():
        if value.is_floating_point() and value.dim() == 1:
            value.uniform_(0.5, 1.5) if "var" in name or "weight" in name else value.normal_(0, 0.1)
    return module.eval()


def equal(model: Any, module: Any, shape: tuple[int, ...] = (2, 64, 64, 3)) -> None:
    x = torch.randn(shape)
    expected = module(x.movedim(-1, 1)).detach()
    expected = expected.movedim(1, -1) if expected.dim() == 4 else expected
    found = model(on_device(x)).detach().cpu()
    assert (found - expected).abs().max() <= tolerated(1e-5) * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("by_name", [False, True], ids=["as defined", "by name"])
@pytest.mark.parametrize(("counts", "deep"), [([2, 2, 2, 2], False), ([2, 1, 1], True)], ids=["resnet18", "bottleneck"])
def test_a_resnet_written_in_torch(counts: list[int], deep: bool, by_name: bool) -> None:
    module = drawn(ResNet(counts, deep))
    model = ours(counts, deep, shortcut_first=by_name)
    state = module.state_dict()
    model.load_torch_weights({name: state[name] for name in sorted(state)} if by_name else state)  # as in safetensors
    equal(model, module)


@pytest.mark.slow
def test_resnet50_written_in_torch() -> None:
    module = drawn(ResNet([3, 4, 6, 3], True))
    model = ours([3, 4, 6, 3], True)
    model.load_torch_weights(module)
    equal(model, module)


def vgg() -> tuple[Any, Any]:
    """Images are flattened, in C H W there and in H W C here; a tower of layers of one shape."""
    module = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 5, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(),
        nn.Linear(5 * 14 * 14, 8), nn.ReLU(), nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8),
    )  # fmt: skip
    x = ab.Input((32, 32, 3))
    y = layers.MaxPooling2D(2)(layers.Conv2D(5, 3)(layers.Conv2D(5, 3, activation="relu")(x)))
    y = layers.Dense(8, activation="relu")(layers.Dropout(0.5)(layers.Flatten()(y)))
    y = layers.Dense(8)(layers.LayerNormalization(epsilon=1e-5)(layers.Dense(8)(y)))
    return drawn(module), ab.Model(x, y)


def test_dense_layers_after_flattened_images() -> None:
    module, model = vgg()
    model.load_torch_weights(module)
    equal(model, module, (2, 32, 32, 3))


def test_other_kinds_of_layers() -> None:
    module = nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=4), nn.ConvTranspose2d(8, 6, 3), nn.GroupNorm(2, 6), nn.Conv2d(6, 6, 1, groups=2)
    )
    x = ab.Input((8, 8, 4))
    y = layers.Conv2DTranspose(6, 3)(layers.DepthwiseConv2D(3, depth_multiplier=2)(x))
    model = ab.Model(x, layers.Conv2D(6, 1, groups=2)(layers.GroupNormalization(2, epsilon=1e-5)(y)))
    model.load_torch_weights(drawn(module))
    equal(model, module, (2, 8, 8, 4))
    words, tokens = nn.Embedding(11, 4), ab.Input((3,), dtype="int32")
    table = ab.Model(tokens, layers.Embedding(11, 4)(tokens))
    table.load_torch_weights({"wte.weight": words.weight})
    assert np.array_equal(table.get_weights()[0], words.weight.detach())


@pytest.mark.parametrize("ending", ["safetensors", "pt", "pth", "bin"])
def test_files(tmp_path: Path, ending: str) -> None:
    module, model = vgg()
    path = tmp_path / f"w.{ending}"
    if ending == "safetensors":
        safetensors.torch.save_file(module.state_dict(), path)
    else:
        torch.save({"state_dict": module.state_dict(), "epoch": 3} if ending == "pt" else module.state_dict(), path)
    model.load_torch_weights(path if ending == "pt" else str(path))
    equal(model, module, (2, 32, 32, 3))


class Attack:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/anabranch-was-here",)


@pytest.mark.parametrize("kind", ["code", "module", "cut", "empty", "text", "no tensors"])
def test_files_with_code_and_damaged_ones(tmp_path: Path, kind: str) -> None:
    module, model = vgg()
    path = tmp_path / "w.pt"
    torch.save({"code": {"w": Attack()}, "module": module, "no tensors": {"a": 1}}.get(kind, module.state_dict()), path)
    if kind in ("cut", "empty", "text"):
        path.write_bytes({"cut": path.read_bytes()[:-100], "empty": b"", "text": b"no pickle"}[kind])
    before = model.get_weights()
    with pytest.raises((FileFormatError, ArgumentError)):
        model.load_torch_weights(path)
    assert not Path("/tmp/anabranch-was-here").exists()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    (tmp_path / "w.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(FileFormatError, match="damaged"):
        model.load_torch_weights(tmp_path / "w.safetensors")
    with pytest.raises(FileNotFoundError):
        model.load_torch_weights(tmp_path / "none.pt")
    with pytest.raises(ArgumentError, match="how they are saved"):
        model.load_torch_weights(tmp_path / "w.npz")
    with pytest.raises((ArgumentTypeError, FileError, ArgumentError)):
        model.load_torch_weights(3)


def towers() -> tuple[Any, Any]:
    """Two parallel layers of one shape, which nothing orders."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            return self.out(torch.relu(self.left(x)) - self.right(x))

    x = ab.Input((4,))
    b, a = layers.Dense(4, name="b")(x), layers.Dense(4, activation="relu", name="a")(x)
    return drawn(Two()), ab.Model(x, layers.Dense(2)(layers.Subtract()([a, b])))


def test_more_than_one_way_is_shown_for_approval() -> None:
    module, model = towers()
    before = model.get_weights()
    with pytest.raises(ArgumentError, match="in more than one way") as error:
        model.load_torch_weights(module)
    assert "mapping={'left': <path of its layer>" in str(error.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    plan = exchange.match_torch_weights(model, module)
    assert not plan.certain
    assert str(plan).count("a guess") == 4
    assert "out.weight" in str(plan)
    assert plan._repr_html_().startswith("<table><tr><th>tensor</th>")
    assert plan._repr_html_().count("a guess") == 4
    plan.apply()
    x = torch.randn(3, 4)
    model.load_torch_weights(module, {"left": "a"})
    torch.testing.assert_close(model(on_device(x)).detach().cpu(), module(x).detach(), rtol=1e-5, atol=1e-5)
    model.load_torch_weights(module, {"left.weight": "a/kernel", "left.bias": "a/bias", "right": "b"})
    torch.testing.assert_close(model(on_device(x)).detach().cpu(), module(x).detach(), rtol=1e-5, atol=1e-5)


def test_names_decide_where_shapes_do_not() -> None:
    module, _ = towers()
    x = ab.Input((4,))
    b, a = layers.Dense(4, name="right")(x), layers.Dense(4, activation="relu", name="left")(x)
    model = ab.Model(x, layers.Dense(2)(layers.Subtract()([a, b])))
    model.load_torch_weights(module)
    x = torch.randn(3, 4)
    torch.testing.assert_close(model(on_device(x)).detach().cpu(), module(x).detach(), rtol=1e-5, atol=1e-5)


def test_every_missing_extra_and_wrong_tensor_is_listed() -> None:
    module, model = ResNet([1], classes=1000), ours([1])
    state = dict(module.state_dict())
    state["more.weight"] = torch.zeros(7)
    state.pop("layer1.0.conv2.weight")
    before = model.get_weights()
    with pytest.raises(FileFormatError, match="are not those of model") as error:
        model.load_torch_weights(state)
    text = " ".join(str(error.value).split())
    for part in (
        "extra: ",
        "more.weight (7,)",
        "missing: conv2d_2/kernel (64, 64, 3, 3)",
        "fc.weight (1000, 64) for head/kernel (10, 64)",
    ):
        assert part in text
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    state = dict(module.state_dict())
    with pytest.warns(UserWarning, match=r"fc\.weight .*were loaded"):
        model.load_torch_weights(state, skip_mismatch=True)
    assert np.array_equal(model.layers[2].get_weights()[0], state["conv1.weight"].permute(2, 3, 1, 0))
    with pytest.raises(FileFormatError, match="missing: head/kernel"):
        model.load_torch_weights(state, mapping={"fc": None})
    with pytest.raises(ArgumentError, match="not there"):
        model.load_torch_weights(state, mapping={"fcc": None})
    with pytest.raises(ArgumentError, match="no layer's path"):
        model.load_torch_weights(state, mapping={"fc": "nowhere"})


def test_the_order_of_names_alone_is_not_taken_for_the_order_of_layers() -> None:
    """A safetensors file may be sorted by name: where names do not follow the data, there is more than one answer."""
    module = nn.Sequential(OrderedDict((name, nn.Linear(4, 4)) for name in "cab"))
    x = ab.Input((4,))
    y = x
    for _ in range(3):
        y = layers.Dense(4)(y)
    model = ab.Model(x, y)
    names = list(module.state_dict())
    random.Random(0).shuffle(names)
    model.load_torch_weights(module)
    x = torch.randn(2, 4)
    torch.testing.assert_close(model(on_device(x)).detach().cpu(), module(x).detach(), rtol=1e-5, atol=1e-5)
    with pytest.raises(ArgumentError, match="in more than one way"):
        model.load_torch_weights({name: module.state_dict()[name] for name in sorted(names)})


def test_a_model_of_the_users_own_and_nested_models() -> None:
    class Own(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = layers.Dense(4), layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.second(torch.relu(self.first(x)))

    module = drawn(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)))
    x = torch.randn(3, 4)
    model = Own()
    model(on_device(x))
    inputs, inner = ab.Input((4,)), ab.Input((4,))
    nested = ab.Model(inputs, layers.Dense(2)(ab.Model(inner, layers.Dense(4, activation="relu")(inner))(inputs)))
    for each in (model, nested):
        each.load_torch_weights(module)
        torch.testing.assert_close(each(on_device(x)).detach().cpu(), module(x).detach(), rtol=1e-5, atol=1e-5)


class Recurrent(nn.Module):
    """One of torch's recurrent modules, and a layer behind its last step."""

    def __init__(self, kind: Any, count: int, both_ways: bool, bias: bool = True) -> None:
        super().__init__()
        self.rnn = kind(5, 7, count, batch_first=True, bidirectional=both_ways, bias=bias)
        self.fc = nn.Linear(14 if both_ways else 7, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.rnn(x)[0][:, -1])


def recurrent(kind: Any, count: int, both_ways: bool, bias: bool = True) -> Any:
    x = h = ab.Input((4, 5))
    for _ in range(count):
        layer = kind(7, return_sequences=True, use_bias=bias)
        h = (layers.Bidirectional(layer) if both_ways else layer)(h)
    return ab.Model(x, layers.Dense(3)(h[:, -1]))


KINDS = [(nn.LSTM, layers.LSTM), (nn.GRU, layers.GRU), (nn.RNN, layers.SimpleRNN)]


@pytest.mark.parametrize("both_ways", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("torchs", "kind"), KINDS, ids=["lstm", "gru", "rnn"])
def test_recurrent_modules_are_taken_apart(torchs: Any, kind: Any, count: int, both_ways: bool) -> None:
    torch.manual_seed(0)
    module, x = Recurrent(torchs, count, both_ways), torch.randn(2, 4, 5)
    state = module.state_dict()
    for given in (state, {name: state[name] for name in sorted(state)}):  # as in safetensors
        model = recurrent(kind, count, both_ways)
        assert exchange.match_torch_weights(model, given).certain
        model.load_torch_weights(given)
        torch.testing.assert_close(model(on_device(x)).detach().cpu(), module(x).detach(), rtol=1e-5, atol=1e-5)
    # and back: what is exported has torch's names, and is read again
    exported = model.to_torch()
    names = {name.rpartition(".")[2] for name in exported.state_dict()}
    assert "weight_hh_l0" in names
    assert ("weight_hh_l0_reverse" in names) == both_ways
    again = recurrent(kind, count, both_ways)
    again.load_torch_weights(exported)
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), model.get_weights(), strict=True))
    torch.testing.assert_close(exported(on_device(x)).detach().cpu(), module(x).detach(), rtol=1e-5, atol=1e-5)


def test_names_and_mappings_of_recurrent_modules() -> None:
    x = ab.Input((4, 5))
    b, a = layers.LSTM(7, name="second")(x), layers.LSTM(7, name="first")(x)
    model = ab.Model(x, layers.Subtract()([a, b]))
    torch.manual_seed(0)
    module = nn.ModuleDict({"first": nn.LSTM(5, 7, batch_first=True), "second": nn.LSTM(5, 7, batch_first=True)})
    others = nn.ModuleDict({"u": module["first"], "v": nn.LSTMCell(5, 7)})
    others["v"].load_state_dict({name.removesuffix("_l0"): value for name, value in module["second"].state_dict().items()})
    values = torch.randn(2, 4, 5)
    expected = (module["first"](values)[0] - module["second"](values)[0])[:, -1].detach()
    model.load_torch_weights(module)
    torch.testing.assert_close(model(on_device(values)).detach().cpu(), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ArgumentError, match="in more than one way"):
        model.load_torch_weights(others)
    model.load_torch_weights(others, {"u": "first"})
    torch.testing.assert_close(model(on_device(values)).detach().cpu(), expected, rtol=1e-5, atol=1e-5)
    stacked = nn.LSTM(5, 7, 2)
    plan = exchange.match_torch_weights(model, stacked, {"l0": "first"})
    assert {m.source: m.target.path for m in plan.matches if m.reason == "mapping"} == {
        "weight_ih_l0": "first/lstm_cell/kernel", "weight_hh_l0": "first/lstm_cell/recurrent_kernel",
        "bias_ih_l0 + bias_hh_l0": "first/lstm_cell/bias",
    }  # fmt: skip


def test_recurrent_modules_that_no_layer_is() -> None:
    model = recurrent(layers.LSTM, 1, False)
    projected = nn.ModuleDict({"rnn": nn.LSTM(5, 7, proj_size=3), "fc": nn.Linear(7, 3)})
    with pytest.raises(FileFormatError, match=r"extra: .*rnn\.weight_ih_l0"):
        model.load_torch_weights(projected)
    before = recurrent(layers.GRU, 1, False, bias=False)
    module = Recurrent(nn.GRU, 1, False, bias=False)
    before.load_torch_weights(module)
    x = torch.randn(2, 4, 5)
    torch.testing.assert_close(before(on_device(x)).detach().cpu(), module(x).detach(), rtol=1e-5, atol=1e-5)
