"""The airbench94 design runs, and its parts do what the paper says of them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import here
from recorded_graph import RecordedGraph

import anabranch as ab

EXAMPLE = Path(__file__).parents[1] / "examples" / "airbench.py"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE))


@pytest.fixture(scope="module")
def task() -> tuple[torch.Tensor, torch.Tensor]:
    """A thousand smooth images of four classes: light comes from one of four corners."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 1000)
    ramp = np.linspace(-1, 1, 32, dtype="float32")
    down, across = ramp[:, None, None], ramp[None, :, None]
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], "float32")[labels]
    images = signs[:, :1, None, None] * down + 0.3 * signs[:, 1:, None, None] * across
    return torch.from_numpy(images + rng.normal(size=(1000, 32, 32, 3)).astype("float32") / 2), torch.from_numpy(labels)


def test_an_epoch_of_a_thousand_images(example: dict[str, Any], task: tuple[torch.Tensor, torch.Tensor]) -> None:
    ab.utils.set_random_seed(0)
    torch.manual_seed(0)
    images, labels = task
    labels = labels // 2  # what a mirrored image shows as well
    device = here()
    images, labels = images.to(device), labels.to(device)
    model, history = example["train"](images, labels, epochs=1, widths=(8, 16, 16), batch_size=20)
    assert history.history["loss"][0] < 2.0
    assert example["accuracy"](model, images[:200], labels[:200]) > 0.9


def test_the_published_size(example: dict[str, Any], task: tuple[torch.Tensor, torch.Tensor]) -> None:
    model = example["network"](task[0][:50])
    assert model.output_shape == (None, 10)
    # convolutions 24·12 + 9·(24·64 + 64² + 64·256 + 256² + 256² + 256²), biases 24 + 2·(64 + 256 + 256), the head 2,560
    kernels = 288 + 9 * (24 * 64 + 64**2 + 64 * 256 + 3 * 256**2)
    assert sum(w.value.numel() for w in model.weights if "moving" not in w.name) == kernels + 24 + 1152 + 2560


def test_patches_are_white(example: dict[str, Any], task: tuple[torch.Tensor, torch.Tensor]) -> None:
    images = task[0][:300]
    kernel = torch.from_numpy(example["whitening"](images, epsilon=0.0)).permute(3, 2, 0, 1)
    found = torch.nn.functional.conv2d(images.permute(0, 3, 1, 2), kernel)
    half = found[:, :12].permute(1, 0, 2, 3).reshape(12, -1)
    torch.testing.assert_close(half @ half.T / half.shape[1], torch.eye(12), rtol=0, atol=1e-3)
    torch.testing.assert_close(found[:, 12:], -found[:, :12])


def test_filters_begin_as_the_identity(example: dict[str, Any]) -> None:
    x = torch.randn(1, 5, 5, 3)
    y = example["convolution"](ab.Input((5, 5, 3)), 8).node.operation(x)
    torch.testing.assert_close(y[..., :3].cpu(), x)


def test_a_fast_bias_moves_as_far_as_its_rate_says(example: dict[str, Any]) -> None:
    inputs = ab.Input((2,))
    for faster in (1, 64):
        model = ab.Model(inputs, example["Shift"](faster)(inputs))
        model.compile(ab.optimizers.SGD(0.001), "mse")
        model.fit(np.zeros((1, 2), "float32"), np.ones((1, 2), "float32"), verbose=0)
        np.testing.assert_allclose(model.predict(np.zeros((1, 2), "float32"), verbose=0), faster * 0.001, rtol=1e-5)


def test_the_rate_rises_and_falls(example: dict[str, Any]) -> None:
    rate = example["Triangle"](2.0, 100)
    np.testing.assert_allclose([rate(0), rate(23), rate(100)], [0.4, 2.0, 0.14])


def test_images_are_mirrored_in_every_other_pass(example: dict[str, Any]) -> None:
    image = torch.arange(32.0).view(1, 1, 32, 1).expand(1, 32, 32, 3)
    batches = example["Batches"](image, torch.zeros(1, 10), 1, move=0)
    first, second, third = (next(iter(batches))[0] for _ in range(3))
    torch.testing.assert_close(second, first.flip(2))
    torch.testing.assert_close(third, first)
    moved = next(iter(example["Batches"](image, torch.zeros(1, 10), 1)))[0]
    assert moved.shape == (1, 32, 32, 3)
    assert set((moved[0, 0, 1:, 0] - moved[0, 0, :-1, 0]).abs().tolist()) == {1.0}  # reflected at the border, no hole
    wide = example["padded"](image, 1)
    assert (wide.shape, wide[0, 0, 0, 0]) == ((1, 34, 34, 3), 1.0)


def test_weights_go_back_to_their_slow_mean(example: dict[str, Any]) -> None:
    inputs = ab.Input((1,))
    model = ab.Model(inputs, ab.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))
    course = example["Course"](10)
    course.set_model(model)
    course.on_train_begin()
    for step in range(10):
        model.layers[1].kernel.value.data.fill_(1.0)
        course.on_train_batch_end(step)
    first = 1 - 0.95**5 * 0.5**3
    assert model.stop_training
    np.testing.assert_allclose(model.get_weights()[0], first + (1 - 0.95**5) * (1 - first), rtol=1e-6)


def test_the_loop_of_the_benchmark_trains_the_same_network(
    example: dict[str, Any], task: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE.parents[1] / "bench"))
    bench = runpy.run_path(str(EXAMPLE.parents[1] / "bench" / "airbench.py"))
    ab.utils.set_random_seed(0)
    images, labels = task
    device = here()
    model, _ = example["train"](images.to(device), labels.to(device), 1, (8, 16, 16), 100)
    net = bench["Network"](images, (8, 16, 16)).to(device)
    fast = [weight.value * 8 for weight in model.weights if weight.path.startswith("shift")]
    means = [weight.value for weight in model.weights if "moving" in weight.path]
    kernels = [weight.value for weight in model.weights if weight.value.dim() == 4]
    norms = [part for part in net.body if isinstance(part, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for layer, kernel in zip([net.whiten, *(p for p in net.body if hasattr(p, "padding_mode"))], kernels, strict=True):
            layer.weight.copy_(kernel)
        for norm, bias, mean, variance in zip(norms, fast, means[::2], means[1::2], strict=True):
            norm.bias.copy_(bias)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
        net.whiten.bias.copy_(model.get_layer("whitening_bias").bias.value)
        net.head.weight.copy_(model.layers[-2].kernel.value)
    views = bench["Predictor"](net.eval())
    given = images[:50].to(device)
    found = model.predict(given, verbose=0)
    np.testing.assert_allclose(views.predict(given, 32, 0), found, atol=1e-4)
    assert example["accuracy"](views, given, labels[:50]) == example["accuracy"](model, given, labels[:50])
    accuracies = [
        example["accuracy"](train(images.to(device), labels.to(device) // 2, 2, (8, 16, 16), 20), given, labels[:50] // 2)
        for train in bench["CONTENDERS"].values()
    ]
    assert min(accuracies) > 0.9


@pytest.mark.parametrize("size", [50, pytest.param(100, marks=pytest.mark.slow)])
def test_all_of_it_can_be_replayed(example: dict[str, Any], task: tuple[torch.Tensor, torch.Tensor], size: int) -> None:
    found, few = [], [part[: 9 * size] for part in task]
    for graph in (None, RecordedGraph):
        ab.utils.set_random_seed(0)
        model, batches, course = example["prepared"](*few, epochs=4.5, widths=(4, 8, 8), batch_size=size)
        model._compiled_.graph_maker = graph
        history = model.fit(batches, epochs=5, callbacks=[course], verbose=0)
        found.append((history.history["loss"], model.get_weights()))
    replays = model._compiled_.replays
    assert not replays.failure
    # of what is trained, with and then without the whitening bias, one step before state is made, three until sizes are known
    assert 45 - 3 * 4 <= replays.replayed <= 45 - 2 * 4
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-4)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_step_of_the_muon_design_is_that_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE.parents[1] / "bench"))
    bench = runpy.run_path(str(EXAMPLE.parents[1] / "bench" / "airbench.py"))
    muon, widths, size = bench["muon"], (8, 16, 16), 50
    ab.utils.set_random_seed(0)
    images, labels = torch.randn(3 * size, 32, 32, 3).to(here()), torch.randint(0, 10, (3 * size,)).to(here())
    model, _, _ = muon.prepared(images, labels, 4, widths, size)
    model.predict(images[:2], verbose=0)
    net, biases = bench["placed"](bench["Network"](images, widths, widths[-1]), here(), torch.float32)
    convolutions = [net.whiten, *(part for part in net.body if hasattr(part, "padding_mode"))]
    kernels = [weight.value for weight in model.weights if weight.value.dim() == 4]
    head = model.layers[-2].kernel.value
    with torch.no_grad():
        for layer, kernel in zip(convolutions, kernels, strict=True):
            layer.weight.copy_(kernel)
        net.head.weight.copy_(head)
    steps = bench["muon_steps"](net, biases, 12, size)
    for images_of_one, labels_of_one in zip(images.split(size), labels.split(size), strict=True):
        next(steps)(images_of_one, labels_of_one)
        model.train_on_batch(images_of_one, torch.nn.functional.one_hot(labels_of_one, 10).float())
    fast = [weight.value for weight in model.weights if weight.path.startswith(("shift", "whitening_bias"))]
    theirs = [*(layer.weight for layer in convolutions), net.head.weight, net.whiten.bias, *biases]
    for one, other in zip(theirs, [*kernels, head, *fast], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert torch.linalg.vector_norm(kernels[2]).item() == pytest.approx(8**0.5, rel=0.5), "kernels are held near a norm"


def test_the_muon_design_learns(task: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    muon = runpy.run_path(str(EXAMPLE.with_name("airbench_muon.py")))
    ab.utils.set_random_seed(0)
    torch.manual_seed(0)
    images, labels = task[0].to(here()), (task[1] // 2).to(here())
    model, _ = muon["train"](images, labels, epochs=3, widths=(8, 16, 16), batch_size=50)
    assert muon["airbench"].accuracy(model, images[:200], labels[:200]) > 0.9
    assert "CUDA graphs" in str(model.explain_execution(training=True).replay) or here().type != "cuda"
