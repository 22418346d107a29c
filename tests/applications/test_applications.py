"""Each network beside Keras's: names of layers, parameters, shapes, weights by name, and outputs with the same weights."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anabranch import Model, applications, config, layers, models
from anabranch._errors import DataError, DownloadError

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
COMPARED = (
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
        settings = {key: _plain(given[key]) for key in COMPARED if key in given}
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
    if name.startswith("NASNet"):  # the activations are numbered as the graph has them, not as they were created
        assert [RELUS.sub("activation", str(row)) for row in described(ours)] == [
            RELUS.sub("activation", str(row)) for row in described(theirs)
        ]
    else:
        assert described(ours) == described(theirs)
    assert ours.count_params() == theirs.count_params()
    weights = randomize(theirs)
    for model in (ours, theirs):
        model.set_weights(weights)
    shape = tuple(16 * 4 if size is None else size for size in theirs.input_shape[1:])
    x = np.random.default_rng(1).uniform(0, 255, (2, *shape)).astype("float32")
    expected = theirs.predict(x, verbose=0)
    size = max(1.0, expected.std())  # sums of many residual blocks are in the thousands
    np.testing.assert_allclose(ours.predict(x, verbose=0) / size, expected / size, rtol=1e-4, atol=1e-4)
    assert expected.std() > 1e-4


QUICK = ["MobileNetV2", "MobileNetV3Small"]
RELUS = re.compile(r"activation_\d+")


@pytest.mark.parametrize("name", [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES
])  # fmt: skip
def test_a_network_of_each_family(keras: Any, name: str) -> None:
    compare(keras, name, **{"input_shape": (32, 32, 3), **FAMILIES[name]})


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FAMILIES, *OTHERS])
@pytest.mark.parametrize("options", [
    {}, {"include_top": False, "pooling": "avg"}, {"include_top": False, "pooling": "max", "input_shape": (96, 80, 3)},
])  # fmt: skip
def test_every_network(keras: Any, name: str, options: dict[str, Any]) -> None:
    compare(keras, name, **{**FAMILIES.get(name, {}), **options})


def test_signatures(keras: Any) -> None:
    words = [word for word in dir(keras.applications) if word[0].isupper()]
    assert len(words) == 40
    for word in words:
        ours, theirs = (inspect.signature(getattr(lib, word)).parameters for lib in (applications, keras.applications))
        assert [(name, each.default) for name, each in ours.items()] == [(name, each.default) for name, each in theirs.items()]


@pytest.mark.parametrize("name", [
    *FAMILIES, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)
])  # fmt: skip
def test_the_published_sizes(name: str) -> None:
    """The example in each docstring says how many parameters the network has."""
    build = getattr(applications, name)
    assert re.sub(r"\s+", " ", build.__doc__).endswith(
        f"{name}(weights=None).count_params() {build(weights=None).count_params()}"
    )


# Arguments


def test_an_input_tensor() -> None:
    x = layers.Input((64, 64, 3), name="photo")
    scaled = layers.Rescaling(1 / 255)(x)
    model = applications.MobileNetV2(weights=None, include_top=False, input_tensor=scaled, pooling="avg")
    assert [layer.name for layer in model.layers[:2]] == ["photo", "rescaling"]
    assert model.output_shape == (None, 1280)
    assert model.name == "mobilenetv2_1.00_None"


@pytest.mark.parametrize(("options", "message"), [
    ({"weights": "no/such/file.h5"}, "weights is no file"), ({"classes": 10, "weights": "imagenet"}, "1,000 classes"),
    ({"weights": "imagenet", "classifier_activation": "relu"}, "softmax"), ({"pooling": "mean"}, "pooling"),
    ({"input_shape": (16, 16, 3)}, "too small"), ({"input_shape": (None, None, 3)}, "images of one size"),
    ({"input_shape": (64, 64, 3), "weights": "imagenet"}, "images of one size"), ({"classes": 0}, "classes"),
])  # fmt: skip
def test_arguments_that_exclude_each_other(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) if "file" not in message else pytest.raises(OSError, match=message):
        applications.VGG16(**{"weights": None, **options})


def test_unusual_channels_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="has 5"):
        model = applications.MobileNet(weights=None, include_top=False, input_shape=(64, 64, 5))
    assert model.input_shape == (None, 64, 64, 5)


def test_channels_first() -> None:
    last = applications.MobileNetV2(weights=None, alpha=0.35, input_shape=(64, 64, 3), classes=5)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
    config.set_image_data_format("channels_first")
    try:
        first = applications.MobileNetV2(weights=None, alpha=0.35, input_shape=(3, 64, 64), classes=5)
        first.set_weights(last.get_weights())
        found = first.predict(x.transpose(0, 3, 1, 2), verbose=0)
        scaled = applications.vgg16.preprocess_input(x.transpose(0, 3, 1, 2))
    finally:
        config.set_image_data_format("channels_last")
    np.testing.assert_allclose(found, last.predict(x, verbose=0), atol=1e-5)
    np.testing.assert_allclose(scaled.transpose(0, 2, 3, 1), applications.vgg16.preprocess_input(x), atol=1e-5)


def test_layers_of_their_own_are_saved_and_read(tmp_path: Path) -> None:
    x = layers.Input((4, 4, 3))
    kinds = applications._layers
    y = kinds.StochasticDepth(0.2, name="depth")(kinds.LayerScale(0.5, 3, name="scale")(x))
    model = Model(x, kinds.CustomScaleLayer(0.1, name="sum")([x, y]))
    model.save(tmp_path / "m.keras")
    found = models.load_model(tmp_path / "m.keras")
    image = np.ones((1, 4, 4, 3), "float32")
    np.testing.assert_allclose(found.predict(image, verbose=0), np.full((1, 4, 4, 3), 1.05), rtol=1e-6)
    drawn = np.unique(found.get_layer("depth")(np.ones((400, 2, 2, 3), "float32"), training=True).numpy(force=True))
    np.testing.assert_allclose(drawn, [0, 1.25])
    config = json.loads(model.to_json())["config"]["layers"]
    assert {each["class_name"]: each["module"] for each in config}["LayerScale"] == "keras.src.applications.convnext"


@pytest.mark.slow
def test_a_network_of_keras_s_is_read(keras: Any, tmp_path: Path) -> None:
    theirs = keras.applications.ConvNeXtTiny(**SMALL)
    theirs.save(tmp_path / "m.keras")
    found = models.load_model(tmp_path / "m.keras")
    x = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(found.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-4)


# Published weights


def test_weights_come_from_keras_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANABRANCH_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    options = {"include_top": False, "alpha": 0.35, "input_shape": (96, 96, 3)}
    made = applications.MobileNetV2(weights=None, **options)
    (tmp_path / "models").mkdir()
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"
    made.save_weights(tmp_path / "a.weights.h5")
    (tmp_path / "a.weights.h5").rename(tmp_path / "models" / name)
    found = applications.MobileNetV2(weights="imagenet", **options)
    for ours, theirs in zip(found.get_weights(), made.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_error_says_where_to_put_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_DATA", str(tmp_path))
    monkeypatch.setattr("anabranch.datasets._fetch._receive", lambda *given: ConnectionError("no network"))
    with pytest.raises(DownloadError, match="no network") as caught:
        applications.ResNet50()
    assert str(tmp_path / "models") in str(caught.value)
    assert "resnet50_weights_tf_dim_ordering_tf_kernels.h5" in str(caught.value)
    assert "2cb95161c43110f7111970584f804107" in str(caught.value)


# Images


@pytest.mark.parametrize("family", ["densenet", "mobilenet", "resnet", "efficientnet"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_images_are_prepared_as_keras_does(keras: Any, family: str, dtype: str) -> None:
    x = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype(dtype)
    before = x.copy()
    ours = getattr(applications, family).preprocess_input(x)
    np.testing.assert_array_equal(x, before)
    expected = getattr(keras.applications, family).preprocess_input(x.copy())
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    tensor = getattr(applications, family).preprocess_input(torch.from_numpy(x))
    np.testing.assert_allclose(tensor.numpy(force=True), expected, rtol=1e-5, atol=1e-4)
    symbolic = layers.Input((4, 4, 3), dtype=dtype)
    model = Model(symbolic, getattr(applications, family).preprocess_input(symbolic))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-4)


def test_predictions_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utils = applications.imagenet_utils
    monkeypatch.setattr(utils, "file_of", lambda published: str(tmp_path / "index.json"))
    (tmp_path / "index.json").write_text(json.dumps({str(i): [f"n{i}", f"word{i}"] for i in range(1000)}))
    utils._names.cache_clear()
    try:
        rows = np.zeros((2, 1000), "float32")
        rows[0, [3, 7]] = 0.7, 0.3
        rows[1, 5] = 1
        found = applications.resnet.decode_predictions(rows, top=2)
        assert [(word, round(float(p), 3)) for _, word, p in found[0]] == [("word3", 0.7), ("word7", 0.3)]
        assert found[1][0][:2] == ("n5", "word5")
        with pytest.raises(DataError):
            applications.resnet.decode_predictions(rows[:, :10])
    finally:
        utils._names.cache_clear()
