"""``ImageDataGenerator`` beside Keras's own; what moves pixels, which Keras needs SciPy for, beside arithmetic written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import Input, layers, utils
from anabranch._errors import ArgumentError, DataError
from anabranch.pipelines.affine import Transform, matrix, moved
from anabranch.preprocessing.image import ImageDataGenerator

X = np.random.default_rng(0).uniform(0, 255, (10, 6, 8, 3)).astype("float32")
Y = np.arange(10)


@pytest.fixture
def theirs(keras: Any) -> Any:
    import keras.src.legacy.preprocessing.image as module

    return module.ImageDataGenerator


def is_close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("options", [
    {}, {"horizontal_flip": True, "vertical_flip": True}, {"rescale": 1 / 255, "channel_shift_range": 30.0},
    {"brightness_range": (0.4, 1.6)}, {"samplewise_center": True, "samplewise_std_normalization": True},
    {"preprocessing_function": lambda image: image / 2, "rescale": 0.1},
    {"featurewise_center": True, "featurewise_std_normalization": True},
])  # fmt: skip
def test_batches_are_keras_s(theirs: Any, options: dict[str, Any]) -> None:
    made = [kind(**options) for kind in (ImageDataGenerator, theirs)]
    for each in made:
        each.fit(X)
    flows = [each.flow(X.copy(), Y, batch_size=4, seed=5) for each in made]
    assert len(flows[0]) == len(flows[1]) == 3
    for _ in range(5):
        (x, y), (expected, labels) = map(next, flows)
        is_close(x, expected)
        np.testing.assert_array_equal(y, labels)


def test_batches_by_index_are_keras_s(theirs: Any) -> None:
    flows = [kind(horizontal_flip=True).flow(X.copy(), Y, batch_size=4, seed=1) for kind in (ImageDataGenerator, theirs)]
    for index in (0, 2, 1):
        (x, y), (expected, labels) = (flow[index] for flow in flows)
        is_close(x, expected)
        np.testing.assert_array_equal(y, labels)
    with pytest.raises(IndexError):
        flows[0][3]


def test_whitening(theirs: Any) -> None:
    small = X[:, :3, :3]
    with pytest.warns(UserWarning, match="zca_whitening"):
        other = theirs(zca_whitening=True, zca_epsilon=0.1)
    ours = ImageDataGenerator(zca_whitening=True, zca_epsilon=0.1)
    for each in (ours, other):
        each.fit(small)
    is_close(ours.standardize(small[0]), other.standardize(small[0].copy()))


def test_what_is_drawn_is_keras_s(theirs: Any) -> None:
    options = {"rotation_range": 20, "width_shift_range": 0.2, "height_shift_range": [1, 2, 3], "shear_range": 10.0,
               "zoom_range": (0.5, 1.5), "channel_shift_range": 9.0, "horizontal_flip": True}  # fmt: skip
    for seed in range(4):
        ours, expected = (kind(**options).get_random_transform((6, 8, 3), seed) for kind in (ImageDataGenerator, theirs))
        assert ours == pytest.approx(expected)
    whole, other = (kind(width_shift_range=3).get_random_transform((6, 8, 3), 1) for kind in (ImageDataGenerator, theirs))
    assert whole == pytest.approx(other)


# Pixels that move


def test_shifts_turns_and_zooms() -> None:
    image = np.arange(16.0).reshape(4, 4, 1)
    np.testing.assert_allclose(moved(image, Transform(tx=1), "nearest", 0, 1)[:, :, 0], image[[1, 2, 3, 3], :, 0])
    np.testing.assert_allclose(moved(image, Transform(ty=-1), "constant", 7, 1)[:, 0, 0], [7] * 4)
    np.testing.assert_allclose(moved(image, Transform(ty=2), "reflect", 0, 1)[:, :, 0], image[:, [2, 3, 3, 2], 0])
    np.testing.assert_allclose(
        moved(image, Transform(theta=90), "nearest", 0, 1)[:, :, 0], np.rot90(image[:, :, 0], -1), atol=1e-9
    )
    halves = moved(image, Transform(tx=0.5), "nearest", 0, 1)[:3, :, 0]
    np.testing.assert_allclose(halves, (image[:-1, :, 0] + image[1:, :, 0]) / 2)
    near = moved(image, Transform(tx=0.4), "nearest", 0, 0)
    np.testing.assert_allclose(near, image)
    inner = moved(image, Transform(zx=1 / 3, zy=1 / 3), "nearest", 0, 1)[:, :, 0]
    np.testing.assert_allclose([inner[0, 0], inner[3, 3]], [image[1, 1, 0], image[2, 2, 0]])


def test_the_middle_stays() -> None:
    by = Transform(theta=33, shear=12, zx=0.7, zy=1.4)
    middle = np.array([2.5, 3.5, 1])
    np.testing.assert_allclose(matrix(by, 6, 8) @ middle, middle[:2])


def test_a_bilinear_value_written_out() -> None:
    rng = np.random.default_rng(1)
    image, by = rng.normal(size=(5, 6, 2)), Transform(theta=20, tx=0.3, ty=-0.8, shear=15, zx=0.9, zy=1.2)
    found = moved(image, by, "constant", -3.0, 1)
    outside = 0
    for row in range(5):
        for column in range(6):
            r, c = matrix(by, 5, 6) @ [row, column, 1]
            if not (0 <= r <= 4 and 0 <= c <= 5):
                outside += 1
                np.testing.assert_allclose(found[row, column], [-3, -3])
                continue
            r0, c0 = min(int(r), 3), min(int(c), 4)
            a, b = r - r0, c - c0
            mean = (1 - a) * ((1 - b) * image[r0, c0] + b * image[r0, c0 + 1]) + a * (
                (1 - b) * image[r0 + 1, c0] + b * image[r0 + 1, c0 + 1]
            )
            np.testing.assert_allclose(found[row, column], mean)
    assert 0 < outside < 30


def test_channels_first() -> None:
    options = {"rotation_range": 40, "zoom_range": 0.3, "horizontal_flip": True, "brightness_range": (0.5, 1.5)}
    last = next(ImageDataGenerator(**options).flow(X, batch_size=3, seed=2))
    first = next(
        ImageDataGenerator(**options, data_format="channels_first").flow(X.transpose(0, 3, 1, 2), batch_size=3, seed=2)
    )
    is_close(first.transpose(0, 2, 3, 1), last)


# Flows


def test_parts_for_training_and_validation() -> None:
    generator = ImageDataGenerator(validation_split=0.3)
    labels = np.array([0, 1] * 5)
    train, held = (generator.flow(X, labels, subset=name, shuffle=False) for name in ("training", "validation"))
    assert (train.n, held.n) == (7, 3)
    is_close(next(held)[0], X[:3])
    with pytest.raises(DataError, match="all classes"):
        generator.flow(X, Y, subset="training")
    assert generator.flow(X, Y, subset="training", ignore_class_split=True).samples == 7


def test_weights_and_further_inputs() -> None:
    x, y, weights = next(ImageDataGenerator().flow(X, Y, 4, sample_weight=Y / 10, shuffle=False))
    np.testing.assert_allclose(weights, y / 10)
    (first, second), labels = next(ImageDataGenerator().flow((X, Y * 2), Y, 4, seed=1))
    np.testing.assert_array_equal(second, labels * 2)
    is_close(first, X[labels])
    assert len(x) == 4


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in range(8):
        folder = tmp_path / ("ape", "bee")[number // 4]
        folder.mkdir(exist_ok=True)
        utils.save_img(folder / f"{number}.png", np.full((6, 5, 3), 20.0 * number), scale=False)
    return tmp_path


@pytest.mark.parametrize("mode", ["categorical", "binary", "sparse", "input", None])
def test_folders_are_keras_s(theirs: Any, pictures: Path, mode: str | None) -> None:
    options = {"target_size": (4, 4), "class_mode": mode, "batch_size": 3, "seed": 3}
    made = [kind(rescale=0.1, validation_split=0.25) for kind in (ImageDataGenerator, theirs)]
    for subset in (None, "training", "validation"):
        ours, other = (each.flow_from_directory(str(pictures), subset=subset, **options) for each in made)
        assert ours.class_indices == other.class_indices
        assert ours.filenames == other.filenames
        assert (ours.samples, len(ours), ours.image_shape) == (other.samples, len(other), other.image_shape)
        np.testing.assert_array_equal(ours.classes, other.classes)
        for found, expected in zip(_parts(next(ours)), _parts(next(other)), strict=True):
            is_close(found, expected)


def _parts(batch: Any) -> tuple[Any, ...]:
    return batch if isinstance(batch, tuple) else (batch,)


def test_tables(pictures: Path) -> None:
    table = {
        "filename": [f"ape/{i}.png" for i in range(4)] + ["gone.png"],
        "class": ["a", "b", "a", "b", "a"],
        "size": [1, 2, 3, 4, 5],
    }
    options = {"target_size": (4, 4), "shuffle": False}
    with pytest.warns(UserWarning, match="1 of 5 files"):
        flow = ImageDataGenerator().flow_from_dataframe(table, pictures, **options)
    assert (flow.class_indices, flow.samples) == ({"a": 0, "b": 1}, 4)
    np.testing.assert_array_equal(next(flow)[1], np.eye(2)[[0, 1, 0, 1]])
    with pytest.warns(UserWarning, match="left out"):
        raw = ImageDataGenerator().flow_from_dataframe(
            table, pictures, y_col="size", class_mode="raw", weight_col="size", **options
        )
    assert [part.tolist() for part in next(raw)[1:]] == [[1, 2, 3, 4], [1, 2, 3, 4]]


def test_fit_takes_flows(pictures: Path) -> None:
    ab.utils.set_random_seed(0)
    flow = ImageDataGenerator(rescale=1 / 255, rotation_range=10).flow_from_directory(
        pictures, (4, 4), class_mode="binary", seed=1
    )
    model = ab.Sequential([Input((4, 4, 3)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    model.compile(ab.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(flow, epochs=25, validation_data=flow, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    flow.reset()
    assert model.predict(flow, verbose=0).shape == (8, 1)


def test_images_are_saved(tmp_path: Path) -> None:
    next(ImageDataGenerator().flow(X, batch_size=3, save_to_dir=str(tmp_path), save_prefix="made", save_format="jpeg"))
    assert len(list(tmp_path.glob("made_*.jpeg"))) == 3


@pytest.mark.parametrize(("options", "message"), [
    ({"fill_mode": "mirror"}, "fill_mode"), ({"interpolation_order": 3}, "interpolation_order"),
    ({"zoom_range": (1, 2, 3)}, "zoom"),
    ({"validation_split": 1.5}, "validation_split"), ({"brightness_range": [1]}, "brightness_range"),
])  # fmt: skip
def test_settings_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ImageDataGenerator(**options)


def test_data_that_do_not_fit() -> None:
    for wrong in (X[0], X[:0]):
        with pytest.raises(DataError):
            ImageDataGenerator().flow(wrong)
    with pytest.raises(DataError, match="target"):
        ImageDataGenerator().flow(X, Y[:3])
    with pytest.warns(UserWarning, match="call fit"):
        next(ImageDataGenerator(featurewise_center=True).flow(X))
