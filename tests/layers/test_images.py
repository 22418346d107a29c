"""Layers of images beside Keras's: for what Keras draws both change images alike; dicts, boxes, masks, single images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import Input, Model, layers
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError

LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("RandomBrightness", {"factor": 0.4}),
    ("RandomContrast", {"factor": 0.4}),
    ("RandomHue", {"factor": 0.6}),
    ("RandomSaturation", {"factor": (0.2, 0.5)}),
    ("RandomColorDegeneration", {"factor": 0.9}),
    ("RandomGrayscale", {"factor": 0.5}),
    ("RandomInvert", {"factor": 0.6}),
    ("RandomPosterization", {"factor": (2, 6)}),
    ("RandomSharpness", {"factor": (0.1, 0.9)}),
    ("RandomGaussianBlur", {"factor": 0.7, "kernel_size": 5}),
    ("RandomErasing", {"factor": 0.8}),
    ("RandomErasing", {"factor": 0.8, "fill_value": 3}),
    ("Solarization", {"addition_factor": 0.3, "threshold_factor": (0.2, 0.7)}),
    ("AutoContrast", {}),
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (2, 3), "clip_limit": 12.8}),
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (5, 11), "clip_limit": 0.0}),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": (-0.2, 0.5), "fill_mode": "constant"}),
    ("RandomRotation", {"factor": 0.3, "fill_mode": "wrap"}),
    ("RandomZoom", {"height_factor": 0.3, "width_factor": 0.4, "fill_mode": "nearest"}),
    ("RandomShear", {"x_factor": 0.4, "y_factor": 0.3, "interpolation": "nearest"}),
    ("RandomShear", {"x_factor": (0.1, 0.4), "fill_mode": "constant", "fill_value": 7.0}),
    ("RandomPerspective", {"factor": 0.7, "scale": 0.5}),
    ("RandomCrop", {"height": 4, "width": 5}),
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomFlip", {}),
    ("CenterCrop", {"height": 5, "width": 4}),
]
RANGED = {"RandomBrightness", "RandomContrast", "RandomHue", "RandomColorDegeneration", "RandomInvert", "RandomPosterization",
          "RandomSharpness", "RandomGaussianBlur", "RandomErasing", "Solarization", "AutoContrast",
          "ContrastLimitedAdaptiveHistogramEqualization"}  # fmt: skip
ALL = [pytest.param(name, config, id=f"{name}-{number}") for number, (name, config) in enumerate(LAYERS)]


def images(high: float = 255.0, channels: int = 3) -> np.ndarray:
    return (np.random.default_rng(3).random((4, 10, 11, channels)) * high).astype("float32")


def turned(x: np.ndarray, layout: str) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if layout == "channels_first" else x


@pytest.mark.parametrize(("dtype", "unit"), [("float16", 2.0**-12), ("bfloat16", 2.0**-12), ("float32", 2.0**-130)])
def test_almost_even_images_are_stretched(dtype: str, unit: float) -> None:
    """255 divided by so small a range is more than the dtype holds."""
    x = torch.tensor([0.0, 1, 2, 4]).reshape(1, 2, 2, 1) * unit
    assert layers.AutoContrast(dtype=dtype)(x).flatten().tolist() == [0, 63.75, 127.5, 255]


@pytest.mark.parametrize("high", [255.0, 1.0], ids=["bytes", "fractions"])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("name", "config"), ALL)
def test_a_draw_of_keras_changes_images_alike(keras: Any, name: str, config: dict[str, Any], layout: str, high: float) -> None:
    if name == "AutoContrast" and layout == "channels_first":
        pytest.skip("Keras's takes the extremes over the channels and rows then")
    if name == "RandomSaturation" and high > 1:
        pytest.skip("Keras's saturations grow beyond 1 then")
    options = {**config, "data_format": layout} | ({"value_range": (0, high)} if name in RANGED | {"RandomSaturation"} else {})
    ours, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    given = turned(images(high), layout)
    drawn = theirs.get_random_transformation(torch.tensor(given), training=True)
    expected = theirs.transform_images(torch.tensor(given), drawn, training=True).cpu().numpy()
    found = ours.transform_images(given, drawn, training=True).cpu().numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * high
    if name != "RandomSharpness" and name != "RandomGaussianBlur":  # a factor may have changed nothing else
        own = ours.get_random_transformation(given, training=True)
        assert tuple(ours.transform_images(given, own, training=True).shape) == expected.shape


@pytest.mark.filterwarnings("ignore:.*Tensor.T is deprecated")  # by Keras
def test_equalization_is_of_each_image_by_itself(keras: Any) -> None:
    given = images()
    found = layers.Equalization()(given, training=True).cpu().numpy()
    for number in range(len(given)):
        expected = keras.layers.Equalization()(torch.tensor(given[number : number + 1]), training=True).cpu().numpy()
        assert np.allclose(found[number : number + 1], expected, atol=1e-3)
    fewer = layers.Equalization((0, 1), bins=16)(given[:1] / 255, training=True).cpu().numpy()
    expected = keras.layers.Equalization((0, 1), bins=16)(torch.tensor(given[:1] / 255), training=True).cpu().numpy()
    assert np.allclose(fewer, expected, atol=1e-4)
    assert np.array_equal(layers.Equalization()(given, training=False).cpu().numpy(), given)
    few = torch.tensor(given[:1] / 64 - 2)
    for policy in ("mixed_float16", "mixed_bfloat16"):  # in which a bit of rounding decides between two bins
        ours, theirs = (each.layers.Equalization((-9, 9), dtype=policy)(few, training=True) for each in (ab, keras))
        assert np.allclose(ours.float().cpu(), theirs.float().cpu(), atol=0.1), policy


def test_color_jitter_is_the_four_one_after_the_other() -> None:
    x = images()
    factors = {"brightness_factor": 0.2, "contrast_factor": 0.3, "saturation_factor": (0.3, 0.6), "hue_factor": 0.2}
    jitter = layers.RandomColorJitter(**factors, seed=3)
    drawn = jitter.get_random_transformation(x)
    expected = layers.RandomBrightness(0.2).transform_images(x, drawn)
    expected = layers.RandomContrast(0.3).transform_images(expected, drawn)
    expected = layers.RandomSaturation(0.3).transform_images(expected, {"factor": drawn["saturation_factor"]})
    expected = layers.RandomHue(0.2).transform_images(expected, {"factor": drawn["hue_factor"]})
    assert torch.allclose(jitter.transform_images(x, drawn), expected, atol=1e-4)
    assert set(layers.RandomColorJitter(hue_factor=0.1).get_random_transformation(x)) == {"hue_factor"}


def test_elastic_bends_smoothly_and_masks_alike() -> None:
    rows = np.tile(np.arange(32, dtype="float32")[None, :, None, None], (3, 1, 32, 1)) * 8
    layer = layers.RandomElasticTransform(scale=0.5, seed=1)
    drawn = layer.get_random_transformation(rows)
    bent = layer.transform_images(rows, drawn).cpu().numpy()
    assert np.abs(bent - rows).max() > 1
    assert np.abs(np.diff(bent, axis=2)).max() < 16, "neighbors move alike"
    masks = layer.transform_segmentation_masks((rows >= 128).astype("uint8"), drawn)
    assert masks.dtype == torch.uint8
    assert ((bent >= 128) == masks.cpu().numpy().astype(bool)).mean() > 0.97
    with pytest.raises(ArgumentError, match="moves no bounding boxes"):
        layers.RandomElasticTransform(bounding_box_format="xyxy")({"images": rows, "bounding_boxes": boxes(3)}, training=True)


# What comes with images


def boxes(batch: int) -> dict[str, Any]:
    return {"boxes": np.tile(np.array([[[4.0, 6, 12, 16], [0, 0, 0, 0]]], "float32"), (batch, 1, 1)),
            "labels": np.tile(np.array([[2, -1]]), (batch, 1))}  # fmt: skip


def painted(batch: int) -> np.ndarray:
    """Return images whose first box is white."""
    found = np.zeros((batch, 20, 24, 3), "float32")
    found[:, 6:16, 4:12] = 255
    return found


MOVES: list[tuple[str, dict[str, Any]]] = [
    ("RandomFlip", {}), ("RandomTranslation", {"height_factor": 0.2, "width_factor": 0.1}),
    ("RandomRotation", {"factor": 0.03}), ("RandomZoom", {"height_factor": 0.2}),
    ("RandomShear", {"x_factor": 0.2, "y_factor": 0.1}), ("RandomPerspective", {"scale": 0.2}),
    ("RandomCrop", {"height": 17, "width": 19}), ("CenterCrop", {"height": 17, "width": 18}),
    ("CenterCrop", {"height": 24, "width": 20}), ("Resizing", {"height": 10, "width": 30}),
    ("Resizing", {"height": 10, "width": 10, "crop_to_aspect_ratio": True}),
    ("Resizing", {"height": 40, "width": 20, "pad_to_aspect_ratio": True}),
]  # fmt: skip


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize(("name", "config"), [pytest.param(*each, id=f"{each[0]}-{n}") for n, each in enumerate(MOVES)])
def test_boxes_and_masks_go_where_the_pixels_go(name: str, config: dict[str, Any], training: bool) -> None:
    """What was painted white is found in its box and its mask, whatever was drawn."""
    options = {"fill_mode": "constant"} if name in ("RandomTranslation", "RandomRotation", "RandomZoom", "RandomShear") else {}
    layer = getattr(layers, name)(**config, **options, bounding_box_format="xyxy")
    given = {"images": painted(6), "bounding_boxes": boxes(6), "labels": np.arange(6),
             "segmentation_masks": (painted(6)[..., :1] > 0).astype("int32")}  # fmt: skip
    found = layer(given, training=training)
    assert set(found) == set(given)
    assert found["labels"].tolist() == list(range(6))
    assert found["segmentation_masks"].dtype == torch.int32
    for number in range(6):
        white = found["images"][number, ..., 0].cpu().numpy() > 127
        assert (white == (found["segmentation_masks"][number, ..., 0].cpu().numpy() > 0)).mean() > 0.97
        rows, columns = np.nonzero(white)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(found["bounding_boxes"]["boxes"][number, 0].cpu().numpy() - edges).max() <= 2.1, name
    assert found["bounding_boxes"]["labels"].tolist() == [[2, -1]] * 6
    assert given["bounding_boxes"]["boxes"][0, 0].tolist() == [4, 6, 12, 16], "what was given is not changed"


@pytest.mark.parametrize("box_format", ["xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_xywh"])
def test_every_format_of_boxes_is_moved_alike(box_format: str) -> None:
    from anabranch.ops import _kernels as kernels

    corners = torch.tensor(boxes(2)["boxes"])[:, :1]
    written = kernels.converted(corners, "xyxy", box_format, 20, 24)
    layer = layers.RandomFlip("horizontal", bounding_box_format=box_format)
    data = {"boxes": written, "labels": torch.tensor([[1], [1]])}
    found = layer.transform_bounding_boxes(data, {"flips": torch.tensor([True, False]), "input_shape": (2, 20, 24, 3)})
    back = kernels.converted(found["boxes"], box_format, "xyxy", 20, 24)
    assert torch.allclose(back[:, 0].cpu(), torch.tensor([[12.0, 6, 20, 16], [4, 6, 12, 16]]), atol=1e-5)


def test_one_image_with_what_comes_with_it() -> None:
    layer = layers.RandomFlip("vertical", bounding_box_format="rel_xyxy", seed=1)
    data = {"images": painted(1)[0], "bounding_boxes": {k: v[0] for k, v in boxes(1).items()}, "labels": np.array(3)}
    data["bounding_boxes"]["boxes"] = data["bounding_boxes"]["boxes"] / np.array([24, 20, 24, 20])
    found = layer(data, training=True)
    assert found["images"].shape == (20, 24, 3)
    assert found["bounding_boxes"]["boxes"].shape == (2, 4)
    assert int(found["labels"]) == 3


def test_lists_of_boxes_are_filled() -> None:
    layer = layers.RandomFlip(bounding_box_format="xyxy")
    data = {
        "images": painted(2),
        "bounding_boxes": {"boxes": [[[0, 0, 4, 4]], [[1, 1, 2, 2], [3, 3, 5, 5]]], "labels": [[1], [2, 3]]},
    }
    found = layer(data, training=False)["bounding_boxes"]
    assert found["boxes"].shape == (2, 2, 4)
    assert found["labels"].tolist() == [[1, -1], [2, 3]]


def test_a_model_takes_images_and_masks_by_name() -> None:
    given = {"images": Input((20, 24, 3), name="images"), "segmentation_masks": Input((20, 24, 1), dtype="int32", name="masks")}
    model = Model(given, layers.CenterCrop(8, 6)(given))
    found = model({"images": painted(2), "segmentation_masks": np.ones((2, 20, 24, 1), "int32")})
    assert found["images"].shape == (2, 8, 6, 3)
    assert found["segmentation_masks"].dtype == torch.int32
    assert {k: v.shape for k, v in model.output.items()} == {"images": (None, 8, 6, 3), "segmentation_masks": (None, 8, 6, 1)}


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_resizing_equals_keras(keras: Any, interpolation: str, dtype: str) -> None:
    given = images().astype(dtype)
    for config in ({}, {"antialias": True}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True, "fill_value": 9.0}):
        options = {"height": 7, "width": 16, "interpolation": interpolation, **config}
        expected = keras.layers.Resizing(**options)(given).cpu().numpy()
        found = layers.Resizing(**options)(given)
        assert str(found.dtype) == f"torch.{dtype}"
        assert np.abs(found.cpu().numpy().astype("float64") - expected).max() <= (1 if dtype == "uint8" else 1e-3), config
        one = layers.Resizing(**options)(given[0])
        assert np.allclose(one.cpu(), found[0].cpu())


def test_boxes_of_resizing_equal_keras(keras: Any) -> None:
    for config in ({}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}):
        options = {"height": 31, "width": 17, "bounding_box_format": "xywh", **config}
        data = {
            "images": painted(2),
            "bounding_boxes": {"boxes": np.array([[[4.0, 6, 8, 10]]] * 2, "float32"), "labels": np.array([[1], [2]])},
        }
        theirs = keras.layers.Resizing(**options)({k: dict(v) if isinstance(v, dict) else v for k, v in data.items()})
        found = layers.Resizing(**options)(data)["bounding_boxes"]
        assert np.allclose(found["boxes"].cpu(), theirs["bounding_boxes"]["boxes"].cpu(), atol=1e-4), config


# Mixing, policies, pipelines


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", ["CutMix", "MixUp"])
def test_mixing_of_a_draw_of_keras(keras: Any, name: str, layout: str) -> None:
    given, labels = turned(images(), layout), np.eye(4, dtype="float32")
    ours, theirs = (getattr(space, name)(data_format=layout) for space in (layers, keras.layers))
    drawn = theirs.get_random_transformation(torch.tensor(given), training=True)
    expected = theirs.transform_images(torch.tensor(given), drawn).cpu().numpy()
    assert np.allclose(ours.transform_images(given, drawn).cpu(), expected, atol=1e-3)
    expected = theirs.transform_labels(torch.tensor(labels), drawn).cpu().numpy()
    assert np.allclose(ours.transform_labels(labels, drawn).cpu(), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["CutMix", "MixUp"])
def test_labels_are_mixed_as_much_as_images(name: str) -> None:
    given = np.arange(64, dtype="float32")[:, None, None, None] * np.ones((1, 60, 60, 1), "float32")
    data = {"images": given, "labels": np.eye(64, dtype="float32"), "segmentation_masks": given}
    symbols = {key: Input(value.shape[1:], name=key) for key, value in data.items()}
    layer = getattr(layers, name)(seed=3)
    model = Model(symbols, layer(symbols))
    for found in (layer(data, training=True), model(data, training=True)):
        mean = found["labels"].cpu().numpy() @ np.arange(64)
        assert np.abs(found["images"].cpu().numpy().mean((1, 2, 3)) - mean).max() < (3.0 if name == "CutMix" else 1e-3)
        assert np.allclose(found["images"].cpu(), found["segmentation_masks"].cpu(), atol=1e-4)
        assert (np.abs(mean - np.arange(64)) > 0.5).sum() > 5
    assert np.array_equal(layer(data, training=False)["images"].cpu(), given)
    with pytest.raises(ArgumentError, match="one_hot"):
        layer({"images": given, "labels": np.arange(64)}, training=True)


def test_mixup_has_the_boxes_of_both() -> None:
    layer = layers.MixUp(bounding_box_format="xyxy")
    found = layer({"images": painted(3), "bounding_boxes": boxes(3)}, training=True)["bounding_boxes"]
    assert found["boxes"].shape == (3, 4, 4)
    assert found["labels"].tolist() == [[2, -1, 2, -1]] * 3
    with pytest.raises(ArgumentError, match="CutMix mixes no bounding boxes"):
        layers.CutMix(bounding_box_format="xyxy")({"images": painted(3), "bounding_boxes": boxes(3)}, training=True)


@pytest.mark.filterwarnings("ignore:.*Tensor.T is deprecated")  # by Keras
def test_policies_of_a_draw_of_keras(keras: Any) -> None:
    given = images()[:1]
    for seed in range(6):
        theirs = keras.layers.RandAugment(num_ops=2, factor=0.4, seed=seed)
        drawn = theirs.get_random_transformation(torch.tensor(given), training=True)
        names, expected = list(drawn["transforms"]), torch.tensor(given)
        for place in drawn["layer_idxes"].tolist():  # by itself, as Keras's brightness changes what it is given in place
            part = getattr(theirs, names[place])
            expected = part.transform_images(expected.clone(), drawn["transforms"][names[place]])
        expected = expected.cpu().numpy()
        found = layers.RandAugment(num_ops=2, factor=0.4).transform_images(given, drawn).cpu().numpy()
        assert np.abs(found - expected).max() < 0.1, int(drawn["layer_idxes"][0])
        theirs = keras.layers.AugMix(seed=seed)
        drawn = theirs.get_random_transformation(torch.tensor(given), training=True)
        expected = theirs.transform_images(torch.tensor(given), drawn).cpu().numpy()
        assert np.abs(layers.AugMix().transform_images(given, drawn).cpu().numpy() - expected).max() < 0.1


def test_policies_change_each_image_its_own_way() -> None:
    given = np.repeat(images()[:1], 16, 0)
    for layer in (layers.RandAugment(), layers.AugMix(num_chains=2)):
        found = layer(given, training=True).cpu().numpy()
        assert len({image.tobytes() for image in found}) > 10
        assert found.min() >= -1e-3
        assert found.max() <= 255.001
        assert np.array_equal(layer(given, training=False).cpu(), given)


def test_boxes_follow_rand_augment() -> None:
    layer = layers.RandAugment(factor=0.1, bounding_box_format="xyxy", seed=2)
    data = {"images": painted(8), "bounding_boxes": boxes(8), "segmentation_masks": (painted(8)[..., :1] > 0).astype("uint8")}
    found = layer(data, training=True)
    for number in range(8):
        rows, columns = np.nonzero(found["segmentation_masks"][number, ..., 0].cpu().numpy())
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(found["bounding_boxes"]["boxes"][number, 0].cpu().numpy() - edges).max() <= 3


@pytest.mark.filterwarnings("ignore:.*build.. was called on layer")  # Keras's own
def test_a_pipeline_equals_keras(keras: Any) -> None:
    ours, theirs = (space.Pipeline([space.Resizing(4, 7), space.Rescaling(0.5)]) for space in (layers, keras.layers))
    assert np.allclose(ours(images()).cpu(), theirs(torch.tensor(images())).cpu(), atol=1e-4)


def test_a_number_of_boxes() -> None:
    layer = layers.MaxNumBoundingBoxes(3, fill_value=-1, bounding_box_format="xyxy")
    data = {"images": painted(2).astype("uint8"), "bounding_boxes": boxes(2)}
    found = layer(data)
    assert found["images"].dtype == torch.uint8
    assert found["bounding_boxes"]["labels"].tolist() == [[2, -1, -1]] * 2
    assert found["bounding_boxes"]["boxes"][0, 2].tolist() == [-1] * 4
    fewer = layers.MaxNumBoundingBoxes(1, bounding_box_format="xyxy")(data)["bounding_boxes"]
    assert fewer["boxes"].tolist() == [[[4, 6, 12, 16]]] * 2
    half = ab.Input((6, 5, 3), dtype="bfloat16")
    assert layer(half).dtype == str(layer(torch.ones(1, 6, 5, 3, dtype=torch.bfloat16)).dtype).removeprefix("torch.")


def test_a_pipeline_comes_back_from_its_config_and_a_file(tmp_path: Any) -> None:
    pipeline = layers.Pipeline([layers.Resizing(4, 4), layers.RandomFlip(seed=1), layers.Rescaling(0.5)])
    x = Input((6, 5, 3))
    model = Model(x, pipeline(x))
    model.save(tmp_path / "model.keras")
    again = ab.saving.load_model(tmp_path / "model.keras")
    given = np.random.default_rng(0).random((2, 6, 5, 3)).astype("float32")
    assert np.array_equal(again(given).cpu(), model(given).cpu())
    assert [type(layer).__name__ for layer in again.layers[1].layers] == ["Resizing", "RandomFlip", "Rescaling"]
    assert layers.Pipeline.from_config(pipeline.get_config()).get_config() == pipeline.get_config()
    with pytest.raises(ArgumentTypeError, match="made of layers"):
        layers.Pipeline([3])


# Mistakes


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Resizing(4, 4, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), ArgumentError, "not both"),
        (lambda: layers.RandomHue(1.5), ArgumentError, "factor of RandomHue must be a fraction"),
        (lambda: layers.RandomHue(0.1)(np.zeros((1, 4, 4, 2), "float32")), ShapeError, "three channels"),
        (lambda: layers.RandomPosterization(9), ArgumentError, r"in \[1, 8\]"),
        (lambda: layers.RandomGaussianBlur(kernel_size=4), ArgumentError, "must be odd"),
        (lambda: layers.RandomErasing(fill_value="red"), ArgumentError, "must be a color"),
        (lambda: layers.RandomShear(-0.5), ArgumentError, "x_factor"),
        (lambda: layers.RandomFlip(bounding_box_format="xyx"), ab._errors.UnknownNameError, "bounding_box_format"),
        (lambda: layers.RandomFlip()({"labels": np.zeros(3)}), ArgumentError, "a dict without images"),
        (
            lambda: layers.RandomFlip()({"images": painted(1), "bounding_boxes": boxes(1)}),
            ArgumentError,
            "format it does not know",
        ),
        (
            lambda: layers.RandomFlip(bounding_box_format="xyxy")(
                {"images": painted(1), "bounding_boxes": np.zeros((1, 2, 4))}
            ),
            ArgumentTypeError,
            "a dict of boxes and their labels",
        ),
    ],
)
def test_mistakes(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
