"""What each output's y must be, by its loss: shape, kind of labels, range; and class weights as sample weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from anabranch._errors import AnabranchError, DataError, ShapeError
from anabranch.losses import check_labels
from anabranch.losses.registry import CLASSES
from anabranch.training._checks import agrees, written

_SPARSE = ("SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy")
_DENSE = ("CategoricalCrossentropy", "CategoricalFocalCrossentropy")
_BINARY = ("BinaryCrossentropy", "BinaryFocalCrossentropy")


class Target(NamedTuple):
    """One output's y: whether one is needed, and what its loss asks of it."""

    needed: bool
    loss: Any
    shape: tuple[int | None, ...]

    def check(self, y: torch.Tensor, where: str) -> None:
        """Raise where ``y`` cannot be this output's target; labels are looked at where they lie on the CPU."""
        name = _kind(self.loss)
        if name is None or not self.shape or not y.numel():
            return
        if name in _SPARSE:
            self._check_sparse(y, where)
            return
        if name in _DENSE and not self._fits(y) and self._is_sparse(y):
            raise self._labels_error(y, where)
        if not self._fits(y):
            raise self._shape_error(y, where)
        if name in _BINARY:
            _check_between(y, 0, 1, where)

    def _check_sparse(self, y: torch.Tensor, where: str) -> None:
        classes = self.shape[-1]
        if not self._is_sparse(y):
            if self._fits(y):
                raise DataError(
                    f"{where} is one-hot, and the loss takes class numbers.",
                    expected=f"shape {written(self.shape[:-1])}, whole numbers from 0 to {(classes or 0) - 1}",
                    got=f"shape {tuple(y.shape)}",
                    repair="loss='categorical_crossentropy', or y.argmax(-1)",
                )
            raise self._shape_error(y, where, sparse=True)
        if classes is not None and y.device.type == "cpu":
            check_labels(y, classes, ignore_class=getattr(self.loss, "ignore_class", None), name=where)

    def _is_sparse(self, y: torch.Tensor) -> bool:
        sizes = tuple(y.shape[1:])
        places = self.shape[1:-1]
        return agrees(sizes, places) or (agrees(sizes, (*places, 1)))

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
            f"{where} holds class numbers, and the loss takes one-hot rows.",
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


def _kind(loss: Any) -> str | None:
    """Return the class of a built-in loss over the last axis; None for others, whose targets are their own matter."""
    name = type(loss).__name__
    return name if CLASSES.get(name) is type(loss) and getattr(loss, "axis", -1) == -1 else None


def _check_between(y: torch.Tensor, low: int, high: int, where: str) -> None:
    """Raise where a value lies outside; only where ``y`` lies on the CPU, for a look at the device would wait for it."""
    if y.device.type != "cpu" or y.dtype == torch.bool:
        return
    least, most = (float(value) for value in torch.aminmax(y))
    if low <= least and most <= high:
        return
    bad = torch.nonzero((y < low) | (y > high))
    if len(bad):
        place = tuple(int(i) for i in bad[0])
        raise DataError(
            f"{where} holds labels out of range.",
            expected=f"numbers from {low} to {high}, as the loss is a binary cross-entropy",
            got=f"{where}[{', '.join(map(str, place))}] = {y[place].item()} ({len(bad)} of {y.numel()} cannot be used)",
            repair="(y + 1) / 2 where the labels are -1 and 1" if least == -1 and most == 1 else None,
        )


def class_weights(y: torch.Tensor, weights: dict[int, float]) -> torch.Tensor:
    """Return each sample's weight by its class, 1 for classes not named; shape of ``y`` without its class axis.

    ``y`` is (N, …, C) one-hot, or (N,) or (N, 1) class numbers.
    """
    if y.ndim > 1:
        y = y.squeeze(-1) if y.shape[-1] == 1 else y.argmax(-1)
    labels = y.round().long() if y.is_floating_point() else y.long()
    known = {int(key): float(value) for key, value in weights.items() if key >= 0}
    table = torch.ones(max(known, default=0) + 2, device=y.device)
    for key, value in known.items():
        table[key] = value
    other = len(table) - 1
    return table[torch.where((labels >= 0) & (labels < other), labels, other)]
