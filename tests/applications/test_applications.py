"""Each network beside Keras's: names of layers, parameters, shapes, weights by name, and outputs with the same weights."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

import numpy as np
import pytest

from anabranch import applications

SMALL = {"weights": None, "input_shape": (64, 64, 3), "classes": 7}
FAMILIES: dict[str, dict[str, Any]] = {
    "ConvNeXtTiny": {}, "DenseNet121": {}, "EfficientNetB0": {}, "EfficientNetV2B0": {},
    "InceptionResNetV2": {"input_shape": (75, 75, 3)}, "InceptionV3": {"input_shape": (75, 75, 3)}, "MobileNet": {"alpha": 0.5},
    "MobileNetV2": {"alpha": 0.35}, "MobileNetV3Small": {}, "NASNetMobile": {}, "ResNet50": {}, "ResNet50V2": {}, "VGG16": {},
    "Xception": {"input_shape": (71, 71, 3)},
}  # fmt: skip
"""One network of each family, the smallest."""
OTHERS = [
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtXLarge", "DenseNet169", "DenseNet201",
    *(f"EfficientNetB{number}" for number in range(1, 8)), *(f"EfficientNetV2{size}" for size in ("B1", "B2", "B3", *"LMS")),
    "MobileNetV3Large", "NASNetLarge", "ResNet101", "ResNet152", "ResNet101V2", "ResNet152V2", "VGG19",
]  # fmt: skip
KEPT = (
    "filters", "units", "kernel_size", "strides", "padding", "use_bias", "epsilon", "momentum", "axis", "activation", "rate",
    "scale", "groups", "noise_shape", "pool_size", "center",
)  # fmt: skip


def both(keras: Any, name: str, **options: Any) -> tuple[Any, Any]:
    """Return our network and Keras's."""
    keras.backend.clear_session()
    ours, build = getattr(applications, name)(**options), getattr(keras.applications, name)
    if name == "NASNetMobile":  # which Keras refuses on torch
        nasnet = importlib.import_module("keras.src.applications.nasnet")
        build = functools.partial(
            nasnet.NASNet, penultimate_filters=1056, num_blocks=4, stem_block_filters=32, skip_reduction=False,
            default_size=224, name="nasnet_mobile",
        )  # fmt: skip
    return ours, build(**options)


def described(model: Any) -> list[tuple[Any, ...]]:
    """Return what is compared of each layer: class, name, shapes of weights, some settings."""
    found = []
    for layer in model.layers:
        given = layer.get_config()
        settings = {key: _plain(given[key]) for key in KEPT if key in given}
        found.append((type(layer).__name__, layer.name, [tuple(w.shape) for w in layer.weights], settings))
    return found


def _plain(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    return _plain(value[0]) if len(value) == 1 else tuple(map(_plain, value))


def randomize(model: Any) -> list[Any]:
    """Return weights of usual sizes, so that outputs are neither all alike nor vast."""
    rng = np.random.default_rng(0)
    found = []
    for weight in model.weights:
        name, shape = weight.path.rpartition("/")[2], tuple(weight.shape)
        if "variance" in name:
            found.append(rng.uniform(0.8, 1.2, shape))
        elif "gamma" in name:
            found.append(rng.uniform(0.6, 1.0, shape))
        elif len(shape) < 2:
            found.append(rng.normal(0, 0.1, shape))
        else:
            fan = np.prod(shape[:-1]) if shape[-1] > 1 else np.prod(shape[:2])
            found.append(rng.normal(0, np.sqrt(1.5 / max(fan, 1)), shape))
    return [each.astype("float32") for each in found]


def compare(keras: Any, name: str, **options: Any) -> None:
    """Compare one network with Keras's."""
    ours, theirs = both(keras, name, **{**SMALL, **options})
    assert ours.name == theirs.name
    assert described(ours) == described(theirs)
    assert ours.count_params() == theirs.count_params()
    weights = randomize(theirs)
    for model in (ours, theirs):
        model.set_weights(weights)
    shape = tuple(16 * 4 if size is None else size for size in theirs.input_shape[1:])
    x = np.random.default_rng(1).uniform(0, 255, (2, *shape)).astype("float32")
    expected = theirs.predict(x, verbose=0)
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 1e-4


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_of_each_family(keras: Any, name: str) -> None:
    compare(keras, name, **{"input_shape": (32, 32, 3), **FAMILIES[name]})


def test_signatures(keras: Any) -> None:
    for word in dir(applications):
        if word[0].isupper():
            ours, theirs = (inspect.signature(getattr(lib, word)).parameters for lib in (applications, keras.applications))
            assert [(each.name, each.default) for each in ours.values()] == [
                (each.name, each.default) for each in theirs.values()
            ]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FAMILIES, *OTHERS])
@pytest.mark.parametrize("options", [
    {}, {"include_top": False, "pooling": "avg"}, {"include_top": False, "pooling": "max", "input_shape": (96, 80, 3)},
])  # fmt: skip
def test_every_network(keras: Any, name: str, options: dict[str, Any]) -> None:
    compare(keras, name, **{**FAMILIES.get(name, {}), **options})


def test_the_published_sizes(keras: Any) -> None:
    """Each docstring's example says how many parameters the network has, and Keras agrees."""
    for name in [*FAMILIES, *OTHERS]:
        build = getattr(applications, name)
        count = build(weights=None).count_params()
        assert f"{name}(weights=None).count_params()\n    {count}" in build.__doc__
