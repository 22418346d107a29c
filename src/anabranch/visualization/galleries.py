"""Galleries of images, by matplotlib: with labels, with boxes, beside their masks."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from anabranch._arguments import Several, guarded
from anabranch._asked import shown
from anabranch._errors import ArgumentError, FileError, ShapeError
from anabranch.callbacks.curves import pyplot
from anabranch.ops.core import cast, convert_to_numpy
from anabranch.visualization._pixels import channels_last, from_range
from anabranch.visualization.boxes import draw_bounding_boxes
from anabranch.visualization.masks import draw_segmentation_masks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from anabranch.ops._types import TensorLike
    from anabranch.visualization._pixels import Array

_RANGE = (0, 255)


@guarded
def plot_image_gallery(
    images: TensorLike,
    y_true: TensorLike | None = None,
    y_pred: TensorLike | None = None,
    label_map: Mapping[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: Sequence[float] = _RANGE,
    scale: float = 2,
    path: str | os.PathLike[str] | IO[bytes] | None = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: float = 60,
    legend_handles: Sequence[Any] | None = None,
    data_format: str | None = None,
) -> None:
    """Draw images in rows and columns, and show or save the figure.

    Args:
        images: a batch (B, H, W, C).
        y_true: the labels (B,), written above the images.
        y_pred: the labels that were predicted (B,).
        label_map: the names of labels, needed for ``y_true`` and ``y_pred``.
        rows: how many rows; the root of B, rounded up, unless given.
        cols: how many columns; enough for all images unless given.
        value_range: the least and greatest value that images can have.
        scale: the width and height of an image, in inches.
        path: the file to save it in, by its path or open.
        show: whether it is shown; unless given, where ``path`` is not. With neither it stays the current figure of matplotlib.
        transparent: whether the file has a transparent background.
        dpi: dots of an inch in the file.
        legend_handles: what a legend explains, such as patches of matplotlib.
        data_format: ``"channels_last"`` or ``"channels_first"``, (B, C, H, W); that of ``config`` unless given.

    Raises:
        MissingExtraError: matplotlib is not installed: ``pip install anabranch[plots]``.

    Example:
        >>> import io, numpy as np
        >>> file = io.BytesIO()
        >>> plot_image_gallery(np.zeros((4, 8, 8, 3)), y_true=[0, 1, 1, 0], label_map={0: "cat", 1: "dog"}, path=file)
        >>> file.getvalue()[1:4]
        b'PNG'
    """
    if path is not None and show:
        raise ArgumentError("A figure is saved or shown.", expected="path= or show=True", got=f"path={shown(path)}, show=True")
    if label_map is None and not (y_true is None and y_pred is None):
        raise ArgumentError("Labels need their names.", expected="label_map={0: 'cat', …}", got="label_map=None")
    for name, count in (("rows", rows), ("cols", cols), ("scale", scale), ("dpi", dpi)):
        if count is not None and not 0 < count <= 10_000:
            raise ArgumentError(f"{name} must be above 0, up to 10000.", got=shown(count))
    found = from_range(channels_last(images, data_format), value_range).clip(*_RANGE).astype("uint8")
    down = rows or math.ceil(math.sqrt(len(found))) or 1
    across = cols or math.ceil(len(found) / down) or 1
    titles = _titles({"Label": y_true, "Pred": y_pred}, label_map or {}, len(found))
    plots = pyplot("A gallery", "")
    figure, axes = plots.subplots(
        down, across, figsize=(across * scale, down * scale), frameon=False, layout="tight", squeeze=False, sharex="row",
        sharey="col",
    )  # fmt: skip
    figure.subplots_adjust(wspace=0, hspace=0)
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="lower center")
    for number, axis in enumerate(axes.flat):
        axis.axis("off")
        if number < len(found):
            _draw(axis, found[number], titles[number])
    if path is not None:
        _save(plots, path, transparent, dpi)
    elif show or show is None:
        plots.show()
        plots.close(figure)


def _titles(labels: Mapping[str, TensorLike | None], names: Mapping[int, str], count: int) -> list[str]:
    """Return what is written above each image."""
    parts: list[list[str]] = [[] for _ in range(count)]
    for word, given in labels.items():
        if given is None:
            continue
        found = convert_to_numpy(given).ravel()
        if len(found) != count:
            raise ShapeError("Each image needs a label.", expected=f"({count},)", got=f"{len(found)} labels")
        for label, part in zip(found.tolist(), parts, strict=True):
            part.append(f"{word}: {names.get(label, 'Unknown')}")
    return ["  ".join(part) for part in parts]


def _draw(axis: Axes, image: Array, title: str) -> None:
    axis.imshow(image, cmap="gray", vmin=0, vmax=255)  # which count for images of one channel
    axis.margins(x=0, y=0)
    if title:
        axis.set_title(title, fontsize=8)


def _save(plots: Any, path: object, transparent: bool, dpi: float) -> None:
    try:
        plots.savefig(path, pad_inches=0, bbox_inches="tight", transparent=transparent, dpi=dpi)
    except (OSError, ValueError) as error:
        raise FileError.of(error, f"Could not write the gallery to {shown(path)}.", got=str(error)[:200]) from error
    finally:
        plots.close()


@guarded
def plot_bounding_box_gallery(
    images: TensorLike,
    bounding_box_format: str,
    y_true: Mapping[str, TensorLike] | None = None,
    y_pred: Mapping[str, TensorLike] | None = None,
    value_range: Sequence[float] = _RANGE,
    true_color: Sequence[float] = (0, 188, 212),
    pred_color: Sequence[float] = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: Mapping[int, str] | None = None,
    ground_truth_mapping: Mapping[int, str] | None = None,
    prediction_mapping: Mapping[int, str] | None = None,
    legend: bool = False,
    legend_handles: Sequence[Any] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Draw images with their boxes, and those that were predicted, in rows and columns, and show or save the figure.

    Args:
        images: a batch (B, H, W, C).
        bounding_box_format: the format of the boxes; see ``draw_bounding_boxes``.
        y_true: "boxes" (B, N, 4), "labels" (B, N) and "confidences" (B, N); see ``draw_bounding_boxes``.
        y_pred: the predicted ones, in the same form.
        value_range: the least and greatest value that images can have.
        true_color: red, green and blue of ``y_true``.
        pred_color: red, green and blue of ``y_pred``.
        line_thickness: of the lines, in pixels.
        font_scale: the size of the letters, in those of OpenCV's font.
        text_thickness: of the letters; that of the lines unless given.
        class_mapping: the names of labels, written beside boxes.
        ground_truth_mapping: those of ``y_true``; ``class_mapping`` unless given.
        prediction_mapping: those of ``y_pred``; ``class_mapping`` unless given.
        legend: whether a legend explains the two colors.
        legend_handles: what a legend explains, in the place of ``legend``.
        rows: how many rows of images.
        cols: how many columns of images.
        data_format: ``"channels_last"`` or ``"channels_first"``, (B, C, H, W); that of ``config`` unless given.
        **kwargs: what else ``plot_image_gallery`` takes, such as ``path``.

    Raises:
        MissingExtraError: OpenCV or matplotlib is not installed: ``pip install anabranch[boxes,plots]``.

    Example:
        >>> import io, numpy as np
        >>> file, boxes = io.BytesIO(), {"boxes": [[[1, 1, 20, 30]]], "labels": [[0]]}
        >>> plot_bounding_box_gallery(np.zeros((1, 32, 32, 3)), "xyxy", boxes, legend=True, path=file)
        >>> file.getvalue()[1:4]
        b'PNG'
    """
    if legend and legend_handles:
        raise ArgumentError("There is one legend.", expected="legend=True or legend_handles=", got="both")
    found = from_range(channels_last(images, data_format), value_range)
    marks = {"Ground Truth": (y_true, true_color, ground_truth_mapping), "Prediction": (y_pred, pred_color, prediction_mapping)}
    for boxes, color, names in marks.values():
        if boxes is not None:
            found = draw_bounding_boxes(
                found, boxes, bounding_box_format, names or class_mapping, color, line_thickness, text_thickness, font_scale,
                "channels_last",
            )  # fmt: skip
    if legend:
        pyplot("A gallery", "")
        from matplotlib.patches import Patch

        legend_handles = [
            Patch(color=(red / 255, green / 255, blue / 255), label=word) for word, (_, (red, green, blue), _) in marks.items()
        ]
    plot_image_gallery(found, legend_handles=legend_handles, rows=rows, cols=cols, data_format="channels_last", **kwargs)


@guarded
def plot_segmentation_mask_gallery(
    images: TensorLike,
    num_classes: Several | None,
    value_range: Sequence[float] = _RANGE,
    y_true: TensorLike | None = None,
    y_pred: TensorLike | None = None,
    color_mapping: Mapping[int, Sequence[float]] | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Draw a row for each image: the image, it with its mask, it with the predicted mask; show or save the figure.

    Args:
        images: a batch (B, H, W, 3).
        num_classes: classes above it are not drawn; None: all are.
        value_range: the least and greatest value that images can have.
        y_true: the class of each pixel, (B, H, W) or (B, H, W, 1).
        y_pred: the predicted ones.
        color_mapping: red, green and blue of classes; a palette unless given.
        blend: whether the image shows through the colors.
        alpha: the opacity of the colors, from 0 to 1.
        ignore_index: the class that is not drawn.
        data_format: ``"channels_last"`` or ``"channels_first"``, (B, 3, H, W); that of ``config`` unless given.
        **kwargs: what else ``plot_image_gallery`` takes, such as ``path``.

    Raises:
        MissingExtraError: matplotlib is not installed: ``pip install anabranch[plots]``.

    Example:
        >>> import io, numpy as np
        >>> file, masks = io.BytesIO(), np.ones((2, 8, 8), "int32")
        >>> plot_segmentation_mask_gallery(np.zeros((2, 8, 8, 3)), num_classes=1, y_true=masks, path=file)
        >>> file.getvalue()[1:4]
        b'PNG'
    """
    import numpy as np

    found = from_range(channels_last(images, data_format), value_range)
    draw = functools.partial(
        draw_segmentation_masks, num_classes=num_classes, color_mapping=color_mapping, alpha=alpha, blend=blend,
        ignore_index=ignore_index, data_format="channels_last",
    )  # fmt: skip
    columns = [found]
    for masks in (y_true, y_pred):
        if masks is not None:
            classes = convert_to_numpy(cast(masks, "int32"))
            if classes.ndim == 4:
                classes = channels_last(classes, data_format)
            columns.append(draw(found, classes))
    gallery = np.stack(columns, axis=1).reshape((-1, *found.shape[1:]))
    plot_image_gallery(gallery, rows=len(found), cols=len(columns), data_format="channels_last", **kwargs)
