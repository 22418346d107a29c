"""What y of each output must be by its loss: shape, class indices or one-hot, range."""

from __future__ import annotations

from typing import NamedTuple

import torch

from anabranch._errors import AnabranchError, DataError, ShapeError
from anabranch.graph import Shape
from anabranch.graph.call_site import warn
from anabranch.losses import Loss, check_labels
from anabranch.losses.loss import setting_of
from anabranch.losses.registry import CLASSES
from anabranch.training.data.checks import agrees, written


class Target(NamedTuple):
    """What one output's y must be."""

    needed: bool
    """Whether a loss or a metric needs it."""
    loss: Loss | None
    shape: Shape
    """The output's, with the batch first."""

    def check(self, y: torch.Tensor, where: str) -> None:
        """Raise where ``y`` cannot be this output's target; labels are read where they are on the CPU."""
        labels = _labels(self.loss)
        if labels is None or not self.shape or not y.numel():
            return
        if labels == "indices":
            self._check_sparse(y, where)
            return
        if labels == "one-hot" and not self._fits(y) and self._is_sparse(y):
            raise self._labels_error(y, where)
        if not self._fits(y):
            raise self._shape_error(y, where)
        if labels == "binary":
            _check_between(y, 0, 1, where)

    def _check_sparse(self, y: torch.Tensor, where: str) -> None:
        classes = self.shape[-1]
        if not self._is_sparse(y):
            if self._fits(y):
                raise DataError(
                    f"{where} is one-hot, and the loss takes class indices.",
                    expected=f"shape {written(self.shape[:-1])}, integers from 0 to {(classes or 0) - 1}",
                    got=f"shape {tuple(y.shape)}",
                    repair="loss='categorical_crossentropy', or y.argmax(-1)",
                )
            raise self._shape_error(y, where, sparse=True)
        if classes is not None and y.device.type == "cpu":
            ignored = setting_of(self.loss, "ignore_class")
            check_labels(y, classes, ignore_class=ignored if isinstance(ignored, int) else None, name=where)

    def _is_sparse(self, y: torch.Tensor) -> bool:
        sizes = tuple(y.shape[1:])
        positions = self.shape[1:-1]
        return agrees(sizes, positions) or agrees(sizes, (*positions, 1))

    def _fits(self, y: torch.Tensor) -> bool:
        sizes = tuple(y.shape[1:])
        shape = self.shape[1:]
        if agrees(sizes, shape):
            return True
        if len(sizes) == len(shape) - 1:
            return shape[-1] in (1, None) and agrees(sizes, shape[:-1])
        return len(sizes) == len(shape) + 1 and sizes[-1] == 1 and agrees(sizes[:-1], shape)

    def _labels_error(self, y: torch.Tensor, where: str) -> AnabranchError:
        return DataError(
            f"{where} holds class indices, and the loss takes one-hot rows.",
            expected=f"shape {written(self.shape)}",
            got=f"shape {tuple(y.shape)}",
            repair=f"loss='sparse_categorical_crossentropy', or utils.to_categorical(y, {self.shape[-1]})",
        )

    def _shape_error(self, y: torch.Tensor, where: str, *, sparse: bool = False) -> AnabranchError:
        return ShapeError(
            f"{where} does not fit the model's output.",
            expected=f"shape {written(self.shape[:-1] if sparse else self.shape)}",
            got=f"shape {tuple(y.shape)}",
        )


def _labels(loss: Loss | None) -> str | None:
    """Return what y is to a built-in loss over the last axis; None for others, which check their targets themselves."""
    if loss is None or CLASSES.get(type(loss).__name__) is not type(loss) or setting_of(loss, "axis") not in (None, -1):
        return None
    return None if loss._labels_ == "own" else loss._labels_


def _check_between(y: torch.Tensor, low: int, high: int, where: str) -> None:
    """Raise where class indices are out of range, warn of fractions; on the CPU only, as reading a GPU would wait for it."""
    if y.device.type != "cpu" or y.dtype == torch.bool:
        return
    least, most = (float(value) for value in torch.aminmax(y))
    if low <= least and most <= high:
        return
    bad = torch.nonzero((y < low) | (y > high))
    if not len(bad):
        return
    if y.is_floating_point() and bool((y != y.floor()).any()):
        warn(
            f"{where} holds labels below {low} or above {high}. Binary cross-entropy is computed with them as they are; "
            f"np.clip(y, {low}, {high}) limits them."
        )
        return
    index = tuple(int(i) for i in bad[0])
    raise DataError(
        f"{where} holds labels out of range.",
        expected=f"values from {low} to {high}, as the loss is a binary cross-entropy",
        got=f"{where}[{', '.join(map(str, index))}] = {y[index].item()} ({len(bad)} of {y.numel()} cannot be used)",
        repair="(y + 1) / 2 where the labels are -1 and 1" if least == -1 and most == 1 else None,
    )
