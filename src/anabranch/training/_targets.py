"""What each output's y must be, by its loss: shape, kind of labels, range; and class weights as sample weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from anabranch._errors import AnabranchError, DataError, ShapeError
from anabranch.training._checks import agrees, written

_SPARSE = ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")
_DENSE = (
    "CategoricalCrossentropy", "categorical_crossentropy", "CategoricalFocalCrossentropy", "categorical_focal_crossentropy",
)  # fmt: skip
_BINARY = ("BinaryCrossentropy", "binary_crossentropy", "BinaryFocalCrossentropy", "binary_focal_crossentropy")


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
            _check_range(y, 0, 1, where, "labels between 0 and 1")

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
        ignored = getattr(self.loss, "ignore_class", None)
        if classes is not None and y.device.type == "cpu":
            _check_range(y, 0, classes - 1, where, f"class numbers from 0 to {classes - 1}", ignored)
        if y.is_floating_point() and y.device.type == "cpu" and not bool((y == y.round()).all()):
            raise DataError(f"{where} holds fractions, and the loss takes class numbers.", got=f"dtype {y.dtype}")

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
    """Return the built-in loss's name; None for a user's own, whose targets are their own matter."""
    if loss is None:
        return None
    function = getattr(loss, "fn", None)
    for thing in (loss.__class__, function):
        if getattr(thing, "__module__", "").startswith("anabranch.losses"):
            name: str = thing.__name__  # type: ignore[union-attr]  # None has no such module
            if thing is not loss.__class__ or function is None or name in (*_SPARSE, *_DENSE, *_BINARY):
                return name
    return None


def _check_range(y: torch.Tensor, low: int, high: int, where: str, expected: str, ignored: int | None = None) -> None:
    if y.device.type != "cpu":
        return
    if ignored is None:
        least, most = (float(value) for value in torch.aminmax(y.to(torch.uint8) if y.dtype == torch.bool else y))
        if low <= least and most <= high:
            return
    bad = (y < low) | (y > high)
    if ignored is not None:
        bad &= y != ignored
    if not bool(bad.any()):
        return
    at = [int(i) for i in torch.nonzero(bad)[0]]
    raise DataError(
        f"{where} holds labels out of range.",
        expected=expected,
        got=f"{y[tuple(at)].item()} at index {at}, and {int(bad.sum()) - 1} more",
        repair=_range_repair(y, high),
    )


def _range_repair(y: torch.Tensor, high: int) -> str:
    if float(y.max()) == high + 1 and float(y.min()) >= 1:
        return "count classes from 0: y - 1"
    return "check the labels, or the size of the last layer"


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
