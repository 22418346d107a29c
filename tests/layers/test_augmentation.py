"""Random changes of images: the same arithmetic as Keras where the draw is fixed, and draws that are each image's own."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device

import anabranch as ab
from anabranch import Input, Model, layers
from anabranch._errors import ArgumentError, ShapeError, UnknownNameError

KINDS: dict[str, dict[str, Any]] = {
    "RandomFlip": {}, "RandomCrop": {"height": 5, "width": 4}, "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.2},
    "RandomRotation": {"factor": 0.2}, "RandomZoom": {"height_factor": 0.4},
    "RandomContrast": {"factor": 0.5, "value_range": (0, 1)},
    "RandomBrightness": {"factor": 0.3, "value_range": (0, 1)},
}  # fmt: skip


def images(batch: int = 3, height: int = 7, width: int = 9) -> np.ndarray:
    return np.random.default_rng(0).random((batch, height, width, 2)).astype("float32")


@pytest.mark.parametrize(
    ("fill_mode", "interpolation"), list(product(("reflect", "wrap", "nearest", "constant"), ("bilinear", "nearest")))
)
@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("RandomTranslation", {"height_factor": (0.23, 0.23), "width_factor": (-0.31, -0.31)}),
        ("RandomTranslation", {"height_factor": 0.0, "width_factor": (0.9, 0.9)}),
        ("RandomRotation", {"factor": (0.11, 0.11)}),
        ("RandomRotation", {"factor": (-0.4, -0.4)}),
        ("RandomZoom", {"height_factor": (0.3, 0.3)}),
        ("RandomZoom", {"height_factor": (0.3, 0.3), "width_factor": (-0.2, -0.2)}),
    ],
)
def test_fixed_draws_equal_keras(keras: Any, name: str, config: dict[str, Any], fill_mode: str, interpolation: str) -> None:
    options = {**config, "fill_mode": fill_mode, "interpolation": interpolation, "fill_value": 0.4}
    found = getattr(layers, name)(**options)(images(), training=True)
    assert np.allclose(found, getattr(keras.layers, name)(**options)(images(), training=True), atol=1e-5)


def test_fixed_brightness_and_contrast(keras: Any) -> None:
    for factor in (0.2, -0.2):
        options = {"factor": (factor, factor), "value_range": (0, 1)}
        expected = keras.layers.RandomBrightness(**options)(images(), training=True)
        assert np.allclose(layers.RandomBrightness(**options)(images(), training=True), expected, atol=1e-6)
    x = images()
    mean = x.mean((1, 2), keepdims=True)
    scaled = ((layers.RandomContrast(0.5, (-9, 9))(x, training=True).cpu().numpy() - mean) / (x - mean)).reshape(3, -1)
    assert np.allclose(scaled, scaled[:, :1], atol=1e-3)
    assert (scaled.min(), scaled.max()) >= (0.5, 0.5)
    assert scaled.max() <= 1.5
    assert len(np.unique(scaled[:, 0])) == 3


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.array_equal(a, b))


@pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
def test_each_image_is_flipped_or_not(mode: str) -> None:
    x = images(400)
    flipped = layers.RandomFlip(mode)(x, training=True).cpu().numpy()
    ways = {"whole": x, "horizontal": x[:, :, ::-1], "vertical": x[:, ::-1], "both": x[:, ::-1, ::-1]}
    counts = {way: sum(same(a, b) for a, b in zip(flipped, y, strict=True)) for way, y in ways.items()}
    assert sum(counts.values()) == 400
    expected = {"horizontal": ("whole", "horizontal"), "vertical": ("whole", "vertical")}.get(mode, tuple(ways))
    assert all(abs(counts[way] - 400 / len(expected)) < 60 for way in expected), counts


def test_each_crop_is_a_window_of_its_image_and_all_windows_come() -> None:
    x = images(300, 5, 4)
    crops = layers.RandomCrop(3, 3)(x, training=True).cpu().numpy()
    places = [
        next((top, left) for top, left in product(range(3), range(2)) if same(crop, image[top : top + 3, left : left + 3]))
        for crop, image in zip(crops, x, strict=True)
    ]
    counts = {place: places.count(place) for place in set(places)}
    assert len(counts) == 6
    assert all(20 < count < 90 for count in counts.values()), counts
    assert same(layers.RandomCrop(3, 3)(x, training=False).cpu().numpy(), x[:, 1:4, :3])
    assert same(layers.RandomCrop(5, 4)(x, training=True).cpu().numpy(), x)


def test_draws_fill_their_range() -> None:
    x = np.tile(np.arange(101, dtype="float32")[None, None, :, None], (500, 2, 1, 1))
    shifted = layers.RandomTranslation(0.0, (-0.1, 0.3), fill_mode="nearest")(x, training=True).cpu().numpy()
    shifts = (50 - shifted[:, 0, 50, 0]) / 101
    assert -0.1 <= shifts.min() < -0.08
    assert 0.28 < shifts.max() <= 0.3001
    assert abs(shifts.mean() - 0.1) < 0.02


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_images_of_integers_layouts_and_unknown_sizes(name: str, data_format: str) -> None:
    config = {**KINDS[name], "data_format": data_format, "seed": 4}
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7, 9, 3)).astype("uint8")
    first = data_format == "channels_first"
    given = pixels.transpose(0, 3, 1, 2) if first else pixels
    results = []
    for shape in ((3, 7, 9), (3, None, None)) if first else ((7, 9, 3), (None, None, 3)):
        symbol = Input(shape, dtype="uint8")
        model = Model(symbol, getattr(layers, name)(**config)(symbol))
        result = model(given, training=True)
        assert model.outputs[0].dtype == "float32"
        assert result.dtype == torch.float32
        assert len(result.shape) == len(model.outputs[0].shape)
        results.append(result.cpu().numpy())
        calm = model(given, training=False).cpu().numpy()
        assert same(calm, given.astype("float32")) if name != "RandomCrop" else calm.shape == results[0].shape
    assert same(results[0], results[1])
    eager = getattr(layers, name)(**config)(given, training=True)
    assert same(eager.cpu().numpy(), results[0])


def drawn(name: str, global_seed: int, seed: int | None) -> np.ndarray:
    ab.utils.set_random_seed(global_seed)
    symbol = Input((7, 9, 2))
    model = Model(symbol, getattr(layers, name)(**KINDS[name], seed=seed)(symbol))
    first, second = (model(images(8), training=True).cpu().numpy() for _ in range(2))
    assert not same(first, second)
    return np.stack([first, second])


@pytest.mark.parametrize("name", KINDS)
def test_seeds(name: str) -> None:
    assert same(drawn(name, 1, None), drawn(name, 1, None))
    assert not same(drawn(name, 1, None), drawn(name, 2, None))
    assert same(drawn(name, 1, 5), drawn(name, 2, 5))
    assert not same(drawn(name, 1, 5), drawn(name, 1, 6))


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("name", KINDS)
def test_the_lowered_code_is_torch_alone(name: str, seed: int | None) -> None:
    symbol = Input((7, 9, 2))
    model = Model(symbol, getattr(layers, name)(**KINDS[name], seed=seed)(symbol))
    module = copy.deepcopy(model.to_torch()).train()
    assert not [type(inner) for inner in module.modules() if "anabranch" in type(inner).__module__ and inner is not module]
    assert tuple(module(on_device(images())).shape[1:]) == model.outputs[0].shape[1:]


def test_images_in_half_precision_are_read_at_exact_places() -> None:
    x = images()
    expected = layers.RandomTranslation((0.2, 0.2), (0.3, 0.3))(x, training=True)
    found = layers.RandomTranslation((0.2, 0.2), (0.3, 0.3), dtype="bfloat16")(x, training=True)
    assert found.dtype == torch.bfloat16
    assert np.allclose(found.float(), expected, atol=0.01)


def test_gradients_reach_the_images() -> None:
    for name, config in KINDS.items():
        x = torch.tensor(images(), requires_grad=True)
        getattr(layers, name)(**config)(x, training=True).sum().backward()
        assert x.grad is not None
        assert x.grad.abs().sum() > 0


# Mistakes


def test_crop_that_does_not_fit() -> None:
    for given in (Input((4, 9, 3)), np.zeros((1, 4, 9, 3), "float32")):
        with pytest.raises(ShapeError, match=r"larger than the images(.|\n)*at least 5 x 4(.|\n)*4 x 9(.|\n)*ZeroPadding2D"):
            layers.RandomCrop(5, 4)(given)


def test_wrong_rank() -> None:
    for given in (Input((9, 3)), np.zeros((9, 3), "float32"), np.zeros((1, 4, 4, 9, 3), "float32")):
        with pytest.raises(ShapeError, match="batch, height, width, channels"):
            layers.RandomFlip()(given)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.RandomFlip("horizontl"), UnknownNameError, "did you mean 'horizontal'"),
        (lambda: layers.RandomTranslation(0.1, 0.1, fill_mode="mirror"), UnknownNameError, "fill_mode"),
        (lambda: layers.RandomTranslation(0.1, 0.1, interpolation="cubic"), UnknownNameError, "interpolation"),
        (lambda: layers.RandomTranslation(1.5, 0.1), ArgumentError, "height_factor of RandomTranslation must be a fraction"),
        (lambda: layers.RandomTranslation(0.1, "wide"), ArgumentError, "width_factor of RandomTranslation must be a pair"),
        (lambda: layers.RandomZoom((0.1, 0.2, 0.3)), ArgumentError, "height_factor of RandomZoom must be a pair"),
        (lambda: layers.RandomContrast(-0.5), ArgumentError, "factor of RandomContrast must be a fraction"),
        (lambda: layers.RandomBrightness(0.5, 255), ArgumentError, "value_range of RandomBrightness must be a pair"),
        (lambda: layers.RandomCrop(0, 3), ArgumentError, "height"),
    ],
)
def test_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("name", "args"), [("RandomFlip", ()), ("RandomCrop", (3, 2)), ("RandomRotation", (0.1,))])
def test_one_image_without_a_batch(name: str, args: tuple[Any, ...], data_format: str, training: bool) -> None:
    """An image (H, W, C) is changed as a batch of one is, and stays without a batch."""
    image = np.random.default_rng(0).uniform(size=(5, 5, 3) if data_format == "channels_last" else (3, 5, 5))
    layer = getattr(layers, name)(*args, seed=1, data_format=data_format)
    twin = getattr(layers, name)(*args, seed=1, data_format=data_format)
    found = layer(image, training=training)
    assert tuple(found.shape) == layer.compute_output_shape(image.shape)
    assert np.allclose(found, twin(image[None], training=training)[0])
