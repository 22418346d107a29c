"""True and false positives and negatives at many thresholds, counted in one pass and without reading the device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch

from anabranch._asked import method
from anabranch._errors import ArgumentError, ShapeError
from anabranch.losses._agreement import Values, agree
from anabranch.losses.loss import Tensor, match
from anabranch.metrics.metric import Metric

BELOW_ALL = -1e10
COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class Thresholds(list[float]):
    """The thresholds in use, and ``given``, what the user wrote; empty until the metric fills in a default."""

    def __init__(self, values: Iterable[float] = (), given: float | list[float] | None = None) -> None:
        super().__init__(values)
        self.given = given


def to_thresholds(value: Any, owner: Any, name: str) -> Thresholds:
    """Return thresholds from 0 to 1, or raise ArgumentError."""
    if value is None or isinstance(value, Thresholds):
        return Thresholds() if value is None else value
    several = isinstance(value, (list, tuple)) or method(value, "tolist") is not None
    found = list(value) if several else [value]
    for each in found:
        if isinstance(each, (bool, str)) or each is None or not 0 <= each <= 1:
            raise ArgumentError("A threshold must be between 0 and 1.", expected="numbers from 0 to 1", got=repr(value))
    numbers = [float(each) for each in found]
    return Thresholds(numbers, numbers if several else numbers[0])


class Counting(Metric):
    """Base of metrics over the confusion matrix: the four counts at each threshold, those that ``counts`` names."""

    counts: ClassVar[Sequence[str]] = COUNTS

    def _cuts(self) -> list[float]:
        """Return the thresholds."""
        raise NotImplementedError

    def _add_state_(self) -> None:
        cuts = self._cuts()
        self._ascending = sorted(range(len(cuts)), key=cuts.__getitem__)
        self._on_device: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}
        self._add_counts([len(cuts)])

    def _add_counts(self, shape: Sequence[int]) -> None:
        for name in self.counts:
            setattr(self, name, self.add_variable(shape, "zeros", name=name))

    def _sorted_thresholds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the thresholds in ascending order, and the position of each of the user's among them."""
        key = (like.device, like.dtype)
        if key not in self._on_device:
            with torch.inference_mode(False):
                cuts = torch.tensor(sorted(self._cuts()), device=like.device, dtype=like.dtype)
                inverse = sorted(range(len(self._ascending)), key=self._ascending.__getitem__)
                self._on_device[key] = cuts, torch.tensor(inverse, device=like.device)
        return self._on_device[key]

    def _count(
        self,
        y_true: Values,
        y_pred: Values,
        sample_weight: Values | None = None,
        *,
        labels: int = 1,
        label_weights: Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
    ) -> dict[str, Tensor]:
        """Return the counts of a batch, each (thresholds,) or, where ``labels`` are counted apart, (thresholds, labels)."""
        dtype = getattr(torch, self._state_dtype_)
        true, pred = agree(y_true, y_pred, self.name)
        true, pred = true.to(dtype), pred.to(dtype)
        weight = torch.ones((), dtype=dtype, device=pred.device)
        if sample_weight is not None:
            weight = torch.as_tensor(sample_weight, device=pred.device).to(dtype)
            weight = match(weight.squeeze(-1) if weight.ndim == pred.ndim + 1 else weight, pred)
        if label_weights is not None:
            if len(label_weights) != pred.shape[-1]:
                raise ShapeError(
                    "label_weights has one value for each label.", expected=f"{pred.shape[-1]}", got=f"{len(label_weights)}"
                )
            weight = weight * torch.as_tensor(label_weights, device=pred.device, dtype=dtype)
        weight = weight.expand_as(pred)
        if top_k is not None:
            best = pred.topk(top_k, -1).indices
            pred = torch.full_like(pred, BELOW_ALL).scatter(-1, best, pred.gather(-1, best))
        if class_id is not None:
            true, pred, weight = (self._one_class(tensor, class_id) for tensor in (true, pred, weight))
        return self._by_threshold(true, pred, weight, labels)

    def _one_class(self, tensor: Tensor, class_id: int) -> Tensor:
        if tensor.ndim < 2 or not 0 <= class_id < tensor.shape[-1]:
            raise ShapeError(
                f"{self.name} counts class {class_id}, which is not there.",
                expected=f"y_pred (batch, classes) with more than {class_id} classes",
                got=str(tuple(tensor.shape)),
            )
        return tensor[..., class_id]

    def _by_threshold(self, true: Tensor, pred: Tensor, weight: Tensor, labels: int) -> dict[str, Tensor]:
        cuts, inverse = self._sorted_thresholds(pred)
        # The number of thresholds below a prediction; NaN is above none.
        over = torch.bucketize(torch.nan_to_num(pred.contiguous(), nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf), cuts)
        cell = over.reshape(-1, labels) * labels + torch.arange(labels, device=pred.device)
        weight, positive = weight.reshape(-1, labels), (true != 0).reshape(-1, labels)

        def found(amount: Tensor) -> tuple[Tensor, Tensor]:
            """Return what is positive, and what negative, at each threshold."""
            cells = amount.new_zeros((len(self._ascending) + 1) * labels).index_add_(0, cell.reshape(-1), amount.reshape(-1))
            cells = cells.reshape(-1, labels)
            total = cells.sum(0)
            above = cells.flip(0).cumsum(0).flip(0)[1:].index_select(0, inverse)
            above = above if self._by_label else above.squeeze(-1)
            return above, (total if self._by_label else total.squeeze(-1)) - above

        true_positives, false_negatives = found(weight * positive)
        false_positives, true_negatives = found(weight * ~positive)
        return {
            "true_positives": true_positives,
            "false_negatives": false_negatives,
            "false_positives": false_positives,
            "true_negatives": true_negatives,
        }

    @property
    def _by_label(self) -> bool:
        """Whether labels are counted apart."""
        return False

    def _add(self, counts: dict[str, Tensor]) -> None:
        for variable in self._variables:
            variable.add_(counts[variable.name])
