"""Galleries: the same pixels as Keras's where those are right, and right where they are not."""

from __future__ import annotations

import io
import sys
from typing import Any

import cv2
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from anabranch._errors import ArgumentError, FileError, MissingExtraError, ShapeError
from anabranch.visualization import plot_bounding_box_gallery, plot_image_gallery, plot_segmentation_mask_gallery

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (4, 24, 24, 3)).astype("uint8")
BOXES = {"boxes": np.array([[[2, 3, 15, 20]]] * 4, "float32"), "labels": np.array([[0], [1], [0], [-1]])}
MASKS = RNG.integers(0, 3, (4, 24, 24, 1))


@pytest.fixture(scope="module", autouse=True)
def _drawing_keras(keras: Any) -> None:
    """Give real Keras what it draws with, whichever was imported first."""
    matplotlib.use("agg")
    from matplotlib import patches

    sys.modules["keras.src.visualization.draw_bounding_boxes"].cv2 = cv2
    sys.modules["keras.src.visualization.plot_image_gallery"].plt = plt
    sys.modules["keras.src.visualization.plot_bounding_box_gallery"].patches = patches


def saved(plot: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the pixels of the picture that a gallery saves."""
    file = io.BytesIO()
    assert plot(*args, path=file, **kwargs) is None
    assert not plt.get_fignums(), "the figure is closed"
    return plt.imread(io.BytesIO(file.getvalue()))


CASES: dict[str, tuple[Any, ...]] = {
    "images": ("plot_image_gallery", (IMAGES,), {}),
    "labels": ("plot_image_gallery", (IMAGES, [0, 1, 2, 0], [0, 0, 0, 1]), {"label_map": {0: "cat", 1: "dog"}}),
    "rows": ("plot_image_gallery", (IMAGES,), {"rows": 1, "cols": 3, "scale": 1, "dpi": 90, "transparent": False}),
    "a range": ("plot_image_gallery", (IMAGES / 127.5 - 1,), {"value_range": (-1, 1)}),
    "boxes": ("plot_bounding_box_gallery", (IMAGES, "xyxy"), {"y_true": BOXES, "legend": True}),
    "predictions": (
        "plot_bounding_box_gallery", (IMAGES, "xywh", BOXES, BOXES), {"class_mapping": {0: "a"}, "prediction_mapping": {0: "b"},
        "true_color": (200, 0, 0), "font_scale": 0.3, "text_thickness": 1, "line_thickness": 1, "rows": 2, "cols": 2},
    ),
    "masks": ("plot_segmentation_mask_gallery", (IMAGES, 3), {"y_true": MASKS}),
    "both masks": ("plot_segmentation_mask_gallery", (IMAGES, 3), {"y_true": MASKS, "y_pred": MASKS, "alpha": 0.4, "scale": 1}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_same_picture_as_keras(keras: Any, case: str) -> None:
    name, args, options = CASES[case]
    found = saved(getattr(sys.modules["anabranch.visualization"], name), *args, **options)
    assert np.array_equal(found, saved(getattr(keras.visualization, name), *args, **options))


def axes_of(plot: Any, *args: Any, **kwargs: Any) -> list[Any]:
    plot(*args, show=False, **kwargs)
    found = plt.gcf().axes
    plt.close()
    return found


def test_every_image_has_its_place() -> None:
    """Keras shows three of five images."""
    found = axes_of(plot_image_gallery, np.concatenate([IMAGES, IMAGES[:1]]))
    assert [len(axis.images) for axis in found] == [1, 1, 1, 1, 1, 0]


def test_channels_first() -> None:
    assert np.array_equal(
        saved(plot_image_gallery, IMAGES.transpose(0, 3, 1, 2), data_format="channels_first"), saved(plot_image_gallery, IMAGES)
    )
    first = IMAGES.transpose(0, 3, 1, 2)
    assert np.array_equal(
        saved(plot_bounding_box_gallery, first, "xyxy", BOXES, data_format="channels_first"),
        saved(plot_bounding_box_gallery, IMAGES, "xyxy", BOXES),
    )
    assert np.array_equal(
        saved(plot_segmentation_mask_gallery, first, 3, y_true=MASKS.transpose(0, 3, 1, 2), data_format="channels_first"),
        saved(plot_segmentation_mask_gallery, IMAGES, 3, y_true=MASKS),
    )


@pytest.mark.parametrize("plot", [plot_bounding_box_gallery, plot_segmentation_mask_gallery])
def test_a_range_counts_where_something_is_drawn(plot: Any) -> None:
    args = ("xyxy", BOXES) if plot is plot_bounding_box_gallery else (3, (0, 255), MASKS)
    wanted = [axis.images[0].get_array() for axis in axes_of(plot, IMAGES, *args)]
    options = {"value_range": (-1, 1)} if plot is plot_bounding_box_gallery else {}
    args = args if options else (3, (-1, 1), MASKS)
    found = [axis.images[0].get_array() for axis in axes_of(plot, IMAGES / 127.5 - 1, *args, **options)]
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert abs(one.astype(int) - other.astype(int)).max() <= 1


def test_images_of_one_channel_are_grey() -> None:
    found = axes_of(plot_image_gallery, IMAGES[..., :1])[0].images[0]
    assert (found.cmap.name, found.get_clim()) == ("gray", (0, 255))


def test_a_legend_of_ones_own() -> None:
    from matplotlib.patches import Patch

    plot_image_gallery(IMAGES, show=False, legend_handles=[Patch(label="mine")])
    assert [text.get_text() for text in plt.gcf().legends[0].get_texts()] == ["mine"]
    plt.close()
    with pytest.raises(ArgumentError, match="one legend"):
        plot_bounding_box_gallery(IMAGES, "xyxy", legend=True, legend_handles=[Patch(label="mine")])


def test_what_is_shown(monkeypatch: Any) -> None:
    shown: list[bool] = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    plot_image_gallery(IMAGES)
    plot_image_gallery(IMAGES, show=True)
    assert shown == [True, True]
    assert not plt.get_fignums()


def test_what_does_not_fit_is_refused(tmp_path: Any) -> None:
    with pytest.raises(ArgumentError, match="saved or shown"):
        plot_image_gallery(IMAGES, path="a.png", show=True)
    with pytest.raises(ArgumentError, match="Labels need their names"):
        plot_image_gallery(IMAGES, y_true=[0, 1, 2, 3])
    with pytest.raises(ShapeError, match="Each image needs a label"):
        plot_image_gallery(IMAGES, y_true=[0, 1], label_map={0: "cat"})
    with pytest.raises(ArgumentError, match="value_range"):
        plot_image_gallery(IMAGES, value_range=(1, 0))
    with pytest.raises(FileError, match="Could not write the gallery"):
        plot_image_gallery(IMAGES, path=tmp_path / "no" / "a.png")
    assert not plt.get_fignums()


def test_without_matplotlib_the_extra_is_named(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingExtraError, match=r"pip install anabranch\[plots\]$"):
        plot_image_gallery(IMAGES)
