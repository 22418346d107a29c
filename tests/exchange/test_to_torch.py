"""A model as a tree of torch modules: the same results, in a file of torch's alone, under the tools of torch's world."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose, here, on_device
from torch import nn
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode
from torch_models import MODELS, close, data, fed, gated, imported, leaves, resnet, resnet50, towers, transformer

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, EngineError


def main_class(file: Any) -> Any:
    return [value for value in vars(file).values() if isinstance(value, type) and value.__module__ == file.__name__][-1]


def without_dropout(module: nn.Module) -> nn.Module:
    for inner in module.modules():
        if isinstance(inner, nn.Dropout):
            inner.p = 0.0
    return module


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("training", [False, True])
def test_results_gradients_and_statistics_are_the_models(name: str, training: bool) -> None:
    model = MODELS[name]()
    for layer in model.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    module = copy.deepcopy(model.to_torch()).train(training)
    tensors = data(model)
    expected = model(fed(model, tensors), training=training)
    found = module(*tensors)
    close(found, expected)
    sum(leaf.sum() for leaf in leaves(expected)).backward()
    sum(leaf.sum() for leaf in leaves(found)).backward()
    reference = dict(model.to_torch().named_parameters())
    for path, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, reference[path].grad, rtol=1e-4, atol=1e-5)
    for (path, buffer), (_, other) in zip(module.named_buffers(), model.to_torch().named_buffers(), strict=True):
        assert allclose(buffer, other, atol=1e-6), path


@pytest.mark.on_cpu  # on which the file is run
@pytest.mark.parametrize("name", MODELS)
def test_the_file_needs_torch_alone_and_gives_the_same(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    path = tmp_path / f"{name}_file.py"
    module = model.to_torch(source=path)
    torch.save(module.state_dict(), tmp_path / "state.pt")
    tensors = data(model)
    torch.save((tensors, [without_dropout(module).train(mode)(*tensors) for mode in (False, True)]), tmp_path / "data.pt")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import torch
import {path.stem} as file
from torch import nn
assert not any(name.startswith("anabranch") for name in sys.modules)
module = [v for v in vars(file).values() if isinstance(v, type) and v.__module__ == file.__name__][-1]()
module.load_state_dict(torch.load({str(tmp_path / "state.pt")!r}, weights_only=True))
tensors, expected = torch.load({str(tmp_path / "data.pt")!r}, weights_only=True)
for inner in module.modules():
    if isinstance(inner, nn.Dropout):
        inner.p = 0.0
for mode, result in zip((False, True), expected):
    found = module.train(mode)(*tensors)
    pairs = zip(found.values(), result.values()) if isinstance(found, dict) else [(found, result)]
    for a, b in pairs:
        torch.testing.assert_close(a, b)
"""
    subprocess.run([sys.executable, "-c", script], check=True, env={"PATH": "/usr/bin:/bin"})
    assert model.to_torch().code == path.read_text()
    for command in (["check", "--select", "E,F,W,I,UP,B", "--line-length", "100"], ["format", "--check"]):
        subprocess.run([Path(sys.executable).parent / "ruff", *command, "--isolated", path], check=True, capture_output=True)


def test_each_layer_is_torchs_module_under_its_name() -> None:
    module = resnet().to_torch()
    kinds = {
        "conv2d": nn.Conv2d, "max_pooling2d": nn.MaxPool2d, "batch_normalization": nn.BatchNorm2d, "re_lu": nn.ReLU,
        "dense": nn.Linear, "dropout": nn.Dropout,
    }  # fmt: skip
    assert all(isinstance(getattr(module, name), kind) for name, kind in kinds.items())
    assert [name for name, _ in module.named_children()] == [
        "conv2d", "conv2d_1", "max_pooling2d", "conv2d_2", "batch_normalization", "re_lu", "conv2d_3", "add", "conv2d_4",
        "global_average_pooling2d", "dense", "dropout", "dense_1",
    ]  # fmt: skip
    assert module.code.count("permute(") == 1, "one at the border"
    nested = towers().to_torch()
    assert isinstance(nested.tower.dense, nn.Linear)
    assert isinstance(nested.tower.layer_normalization, nn.LayerNorm)
    assert isinstance(transformer().to_torch().embedding, nn.Embedding)


def test_hooks_fire() -> None:
    model, seen = resnet(), []
    module = model.to_torch()
    for name, child in module.named_children():
        child.register_forward_hook(lambda _, __, result, name=name: seen.append((name, tuple(result.shape))))
    module(*data(model))
    assert len(seen) == 13
    assert seen[2] == ("max_pooling2d", (4, 16, 9, 9))


def test_copies_and_files_of_torch() -> None:
    for name, make in MODELS.items():
        model = make()
        module, tensors = model.to_torch(), data(model)
        expected = module(*tensors)
        file = io.BytesIO()
        torch.save(module, file)
        file.seek(0)
        for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(file, weights_only=False)):
            close(twin(*tensors), expected)
            assert not {id(p) for p in twin.parameters()} & {id(p) for p in module.parameters()}, name
        file = io.BytesIO()
        torch.save(module.state_dict(), file)
        file.seek(0)
        make().to_torch().load_state_dict(torch.load(file, weights_only=True))


def test_a_conversion_parts_module_and_model() -> None:
    model = resnet()
    module = model.to_torch()
    kernel = model.get_layer("conv2d").kernel.value
    assert module.to(here()).conv2d.weight is kernel
    with pytest.warns(
        UserWarning, match=rf"converted to torch.float64 on {here()}, so it shares no weights with model 'toy_resnet'"
    ):
        assert module.double().conv2d.weight.dtype == torch.float64
    module.float()  # once is enough
    assert model.get_layer("conv2d").kernel.value is kernel
    assert kernel.dtype == torch.float32
    model.predict(np.ones((1, 32, 32, 3), "float32"), verbose=0)
    copy.deepcopy(model.to_torch()).double()
    alone = resnet().to_torch()
    gc.collect()
    alone.double()


def test_assigned_tensors_part_module_and_model() -> None:
    model = towers()
    state = {key: value.clone() for key, value in model.to_torch().state_dict().items()}
    for whole in (model.to_torch(), nn.Sequential(model.to_torch())):
        prefix = "0." if isinstance(whole, nn.Sequential) else ""
        with pytest.warns(UserWarning, match=r"load_state_dict\(assign=True\), so it shares no weights"):
            whole.load_state_dict({prefix + key: value for key, value in state.items()}, assign=True)


@pytest.mark.parametrize("convert", [lambda m: m.double(), lambda m: m.half(), lambda m: m.to("meta")])
@pytest.mark.parametrize("part", ["conv2d", "batch_normalization", "dense"])
def test_a_part_that_is_converted_alone_parts_from_the_model(part: str, convert: Callable[[nn.Module], nn.Module]) -> None:
    model = resnet()
    module, images = model.to_torch(), np.ones((1, 32, 32, 3), "float32")
    before = model.predict(images, verbose=0)
    child = module.get_submodule(part)
    assert child.float() is child
    with pytest.warns(
        UserWarning, match=r"converted to torch\.\w+ on \w+.*, so it shares no weights with model 'toy_resnet'"
    ) as seen:
        convert(child)
    assert seen[0].filename == __file__
    convert(child)  # once is enough
    assert child.weight is not model.to_torch().get_submodule(part).weight
    close(model.predict(images, verbose=0), before)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), copy.deepcopy(child)):
        twin.double()
    again = model.to_torch()
    copied = copy.deepcopy(again)
    copied.get_submodule(part).double()  # shares nothing
    assert copied.get_submodule(part).weight.dtype == torch.float64
    assert again.get_submodule(part).weight.dtype == torch.float32


def test_a_part_that_torch_swaps_parts_from_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model = resnet()
    monkeypatch.setattr(torch.__future__, "_swap_module_params_on_conversion", True)
    with pytest.warns(UserWarning, match="shares no weights"):
        model.to_torch().dense.double()
    model.predict(np.ones((1, 32, 32, 3), "float32"), verbose=0)
    assert torch.__future__.get_swap_module_params_on_conversion()


def test_a_users_module_that_is_converted_stays_the_models() -> None:
    """The model runs the module itself."""
    x, own = ab.Input((5, 3)), nn.LSTM(3, 2, batch_first=True)
    model = ab.Model(x, layers.TorchModule(own)(x)[0])
    module = model.to_torch()
    assert module.lstm is own
    module.lstm.double()
    assert [id(weight.value) for weight in model.weights] == [id(parameter) for parameter in own.parameters()]


def test_a_weight_that_is_converted_is_named() -> None:
    model = resnet()
    kernel = model.get_layer("dense").kernel.value
    kernel.data = kernel.data.double()
    for compute in (
        lambda: model.predict(np.ones((1, 32, 32, 3), "float32"), verbose=0),
        lambda: model(np.ones((1, 32, 32, 3))),
    ):
        with pytest.raises(EngineError, match=r"(?s)converted the tensor of weight 'dense/kernel'.*float64.*deepcopy"):
            compute()
    kernel.data = kernel.data.float()
    model.predict(np.ones((1, 32, 32, 3), "float32"), verbose=0)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is (deprecated|not supported)")
@pytest.mark.parametrize("name", ["resnet", "towers", "transformer", "gated"])
def test_export_script_trace_and_compile(name: str) -> None:
    model = MODELS[name]()
    module, tensors = model.to_torch(), data(model)
    expected, larger = module(*tensors), data(model, 7)
    names = list(model.input_names)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(module, tuple(tensors), dynamic_shapes={name: {0: batch} for name in names})
    close(exported.module()(*larger), module(*larger))
    close(torch.jit.script(module)(*tensors), expected)
    close(torch.fx.symbolic_trace(module)(*tensors), expected)
    close(torch.compile(module, fullgraph=True, backend="aot_eager")(*tensors), expected)


@pytest.mark.slow
def test_resnet50_with_one_permutation(tmp_path: Path) -> None:
    model = resnet50()
    module, x = model.to_torch(source=tmp_path / "resnet50_file.py"), torch.randn(2, 64, 64, 3)
    close(module(x), model(x))
    assert len(list(module.children())) == len(model.layers) - 1
    assert module.code.count("permute(") == 1
    other = main_class(imported(tmp_path / "resnet50_file.py"))().eval()
    other.load_state_dict(module.state_dict())
    close(other(x), module(x))


def test_defaults_are_not_written() -> None:
    x = ab.Input((4,))
    assert "F.softmax(self.dense(input_layer), dim=-1)" in ab.Model(x, layers.Dense(3, activation="softmax")(x)).to_torch().code


def test_functions_of_torchs_own_modules_are_written_with_these(tmp_path: Path) -> None:
    left, right = ab.Input((3, 3)), ab.Input((3, 3))
    solved = torch.linalg.solve(left, right)  # torch calls it linalg_solve
    model = ab.Model(
        [left, right], torch.special.expm1(torch.fft.rfft(solved).abs()) + torch.linalg.det(solved).reshape(-1, 1, 1)
    )
    path = tmp_path / "file.py"
    given = [torch.eye(3).repeat(2, 1, 1) * 2, torch.rand(2, 3, 3)]
    module = model.to_torch(source=path)
    assert allclose(module(*map(on_device, given)), model(given), atol=1e-6)
    text = path.read_text()
    assert all(f"torch.{name}(" in text for name in ("linalg.solve", "linalg.det", "fft.rfft", "special.expm1"))
    assert "import" not in text.replace("import torch\nfrom torch import nn", "")


def test_inputs_go_in_by_name() -> None:
    model = towers()
    module, (query, document) = model.to_torch(), data(model)
    close(module(document=document, query=query), module(query, document))


@pytest.mark.on_cpu  # which torch quantizes for
@pytest.mark.filterwarnings("ignore")
def test_quantizers_find_linear_and_convolution() -> None:
    module, tensors = resnet().to_torch(), data(resnet())
    quantized = torch.ao.quantization.quantize_dynamic(copy.deepcopy(module), {nn.Linear}, torch.qint8)
    assert "quantized" in type(quantized.dense).__module__
    close(quantized(*tensors), module(*tensors), 0.1)


def test_pruning() -> None:
    module = copy.deepcopy(resnet().to_torch())
    for layer in (module.conv2d, module.dense):
        prune.l1_unstructured(layer, "weight", 0.5)
        module(*data(resnet()))
        prune.remove(layer, "weight")
        assert (layer.weight == 0).float().mean() == 0.5
    torch.nn.utils.parameters_to_vector(module.parameters())


def test_it_is_a_part_of_modules_that_others_train() -> None:
    """What a LightningModule does: holds it, saves it with its own, trains it."""

    class Task(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: torch.Tensor) -> torch.Tensor:
            return self.net(batch).square().mean()

    model = gated()
    task, (x,) = Task(model.to_torch()).train(), data(model)
    optimizer = torch.optim.SGD(task.parameters(), 0.1)
    before = task.training_step(x)
    before.backward()
    optimizer.step()
    assert task.training_step(x) < before
    close(model(x), task.eval().net(x))
    assert all(name.startswith("net.") for name in task.state_dict())


def test_torchinfo_shows_a_row_a_layer_with_its_arithmetic() -> None:
    torchinfo = pytest.importorskip("torchinfo")
    model = resnet()
    module, tensors = model.to_torch(), data(model)
    shown = torchinfo.summary(module, input_data=tensors, verbose=0)
    rows = {row.var_name: row for row in shown.summary_list}
    assert {name for name, _ in module.named_children()} <= set(rows)
    with FlopCounterMode(display=False) as counter:
        module(*tensors)
    counted = 0
    for name, child in module.named_children():
        if isinstance(child, (nn.Conv2d, nn.Linear)):
            bias = (
                0
                if child.bias is None
                else rows[name].macs - int(rows[name].macs * child.weight.numel() / rows[name].trainable_params)
            )
            counted += rows[name].macs - bias
    assert counted == counter.get_total_flops() / 2


def test_an_optional_input_may_be_left_out() -> None:
    class Mean(layers.Layer):
        def call(self, x: Any, mask: Any = None) -> Any:
            return x.mean(-1) if mask is None else x.mean(-1) * mask

    image, mask = ab.Input((5, 4), name="img"), ab.Input((5,), name="mask", optional=True)
    model = ab.Model([image, mask], layers.Dense(2)(Mean()(layers.Dense(3)(image), mask=mask)))
    module = model.to_torch()
    assert "def forward(self, img, mask: torch.Tensor | None = None)" in module.code
    x, keep = on_device(torch.randn(2, 5, 4)), on_device([[1.0, 1, 0, 0, 0]] * 2)
    close(module(x), model([x, None]))
    close(module(x, mask=keep), model([x, keep]))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        self.down = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.relu(self.bn1(self.conv1(x))) + self.down(x))


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.layer1, self.fc = nn.Conv2d(3, 8, 3), nn.Sequential(Block(), Block()), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer1(self.conv1(x)).mean((2, 3)))


def test_opened_torch_modules_keep_their_paths_and_load_their_state(tmp_path: Path) -> None:
    image = ab.Input((3, 8, 8))
    model = ab.Model(image, Backbone()(image))
    assert model["layer1/0/conv1"] is model.get_layer("layer1/0/conv1")
    assert model.tensor("layer1/1/down/0").shape == (None, 8, 6, 6)
    assert "layer1/0/conv1/weight" in [weight.path for weight in model.weights]
    module, other = model.to_torch(source=tmp_path / "backbone_file.py"), Backbone()
    assert module.state_dict().keys() == other.state_dict().keys()
    module.load_state_dict(other.state_dict())
    x = on_device(torch.randn(2, 3, 8, 8))
    other.to(here())
    close(module(x), other.eval()(x))
    close(model(x), other(x))
    row = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    x = ab.Input((4,))
    ab.Model(x, row(x)).to_torch().load_state_dict(row.state_dict())


def test_a_model_with_a_call_of_its_own_is_its_class() -> None:
    class Net(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.drop, self.norm = (
                layers.Dense(4, activation="relu"),
                layers.Dropout(0.5),
                layers.BatchNormalization(),
            )
            self.shared, self.act = layers.Dense(4), layers.ReLU()

        def call(self, image: Any, training: bool = False) -> Any:
            x = self.drop(self.norm(self.first(image)), training=training)
            return self.act(self.shared(self.act(self.shared(x))))

    net = Net()
    net(np.ones((2, 3), "float32"))
    module = net.to_torch()
    assert type(module).__name__ == "Net"
    assert "def forward(self, image)" in module.code
    kinds = (nn.Linear, nn.BatchNorm1d, nn.Dropout, nn.Linear, nn.ReLU)
    assert all(isinstance(child, kind) for child, kind in zip(module.children(), kinds, strict=True))
    x = on_device(torch.randn(5, 3))
    close(module(x), net(x))


def test_dropout_that_is_always_on_stays_on() -> None:
    x = ab.Input((200,))
    module = ab.Model(x, layers.Dropout(0.5)(x, training=True)).to_torch()
    assert (module(torch.ones(1, 200)) == 0).any()


def test_shared_and_tied_weights(tmp_path: Path) -> None:
    x = ab.Input((4,))
    shared = layers.Dense(4, name="shared")
    inner = ab.Model(x, shared(x), name="inner")
    y = ab.Input((4,))
    model = ab.Model(y, shared(inner(shared(y))))
    module = model.to_torch(source=tmp_path / "tied_file.py")
    assert module.shared.weight is module.inner.shared.weight
    file = main_class(imported(tmp_path / "tied_file.py"))()
    assert file.shared.weight is file.inner.shared.weight
    file.load_state_dict(module.state_dict())
    ones = torch.ones(1, 4, device=here())
    close(file.to(here())(ones), module(ones))


@pytest.mark.parametrize("name", ["None", "nn", "F", "torch", "list", "1", "é", "a b", "BatchNorm2d"])
def test_models_may_have_any_name(name: str) -> None:
    x = ab.Input((2, 2, 3))
    model = ab.Model(x, layers.BatchNormalization()(x), name=name)
    given = on_device(torch.randn(2, 2, 2, 3))
    close(model.to_torch()(given), model(given))


def test_what_cannot_be_written_is_named() -> None:
    class Peeks(layers.Layer):
        def call(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    x = ab.Input((3,))
    model = ab.Model(x, Peeks(name="peeks")(x))
    with pytest.raises(ArgumentError, match="peeks: Opaque"):
        model.to_torch(source="never.py")
    assert model.to_torch()(-torch.ones(1, 3)).tolist() == [[1.0, 1.0, 1.0]]


class Peeking(layers.Layer):
    """Asks for values in one mode alone, so that it runs whole there and can be traced in the other."""

    def __init__(self, when: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.when = when

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(shape[-1], 2), name="w")

    def call(self, x: Any, training: bool = False) -> Any:
        if training == self.when and x.sum() < 0:
            return -x @ self.w
        return x @ self.w * (2 if training else 1)


class Holding(layers.Layer):
    """Calls such a layer."""

    def __init__(self, when: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = Peeking(when)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.inner(x, training=training)


@pytest.mark.parametrize("when", [True, False])
@pytest.mark.parametrize("place", ["alone", "nested", "called twice", "in a layer"])
def test_a_layer_that_cannot_be_traced_in_one_mode(when: bool, place: str) -> None:
    x = ab.Input((2,))
    layer = Holding(when) if place == "in a layer" else Peeking(when, name="peeking")
    model = ab.Model(x, layer(layer(x)) if place == "called twice" else layer(x))
    model = ab.Model(x, model(x)) if place == "nested" else model
    module = model.to_torch()
    given = on_device(-torch.rand(4, 2))
    for each in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        close(each.eval()(given), model(given))
        close(each.train()(given), model(given, training=True))
        assert len(each.state_dict()) == len(list(each.parameters())) == 1


def test_a_child_that_is_assigned_tensors_says_that_it_parts() -> None:
    x = ab.Input((3,))
    model = ab.Model(x, layers.Dense(2, name="dense")(x))
    module = model.to_torch()
    values = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
    module.dense.load_state_dict(values)
    assert module.dense.weight is model.weights[0].value
    with pytest.warns(UserWarning, match="shares no weights with model"):
        module.dense.load_state_dict(values, assign=True)
    module.dense.load_state_dict(values, assign=True)  # once is enough
    copy.deepcopy(module).load_state_dict(module.state_dict(), assign=True)  # shares nothing
