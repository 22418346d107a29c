"""Sums and means over samples, and the metric made of any function of targets and predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from anabranch._errors import ShapeError
from anabranch.losses._agreement import align
from anabranch.losses.loss import divide, with_share
from anabranch.metrics.metric import Metric, Tensor, Variable
from anabranch.runtime import mask_of

Number = int | float

_EXACT = "float64"
"""What sums are kept in: in float32, 50,000 small additions lose the fifth digit."""


def by_sample(values: Tensor, weight: Tensor | None, *, mean: bool) -> tuple[Tensor, Tensor | None]:
    """Return weighted values (B,) and their weights: axes beyond the samples are averaged, or summed.

    Weights of fewer axes than ``values`` weigh what is left when the axes beyond theirs are reduced.
    """

    def reduced(tensor: Tensor, first: int) -> Tensor:
        axes = tuple(range(first, tensor.ndim))
        if not axes:
            return tensor
        return tensor.mean(axes) if mean else tensor.sum(axes)

    if weight is not None:
        values, weight = align(values, weight)
        given = weight.ndim
        values = reduced(values, given)
        try:
            weight = weight.broadcast_to(values.shape)
        except RuntimeError as error:
            raise ShapeError(
                "The sample weights do not fit the values they weigh.",
                expected=f"one for each of the values {tuple(values.shape)}",
                got=str(tuple(weight.shape)),
            ) from error
        values = values * weight
        weight = reduced(weight, 1) if given > 1 else weight
    return reduced(values, 1), weight


class Sum(Metric):
    """The weighted sum of values."""

    def __init__(self, name: str | None = "sum", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", dtype=_EXACT, name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add Σ values·weights."""
        if isinstance(values, Number) or isinstance(sample_weight, Number):
            self.total.add_(_total(values) * (1 if sample_weight is None else _total(sample_weight)))
            return
        values, _ = by_sample(*_cast(values, sample_weight, self), mean=False)
        self.total.add_(values.sum())

    def result(self) -> Tensor:
        """Return the sum, a scalar."""
        return self.total.value.to(getattr(torch, self.dtype), copy=True)


class Mean(Metric):
    """The weighted mean of values: Σ values·weights / Σ weights, 0 before the first batch.

    >>> mean = Mean()
    >>> mean.update_state([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    >>> mean.result()
    tensor(2.)
    """

    total: Variable
    count: Variable

    def __init__(self, name: str | None = "mean", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", dtype=_EXACT, name="total")
        self.count = self.add_variable((), "zeros", dtype=_EXACT, name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values (B, ...), each sample's averaged first; one number with a weight counts as that many samples."""
        self._add(values, sample_weight)

    def _add(self, values: Any, sample_weight: Any) -> None:
        if isinstance(values, Number) or isinstance(sample_weight, Number):
            size = 1 if sample_weight is not None or isinstance(values, Number) or not values.ndim else values.shape[0]
            weight = 1 if sample_weight is None else sample_weight
            self.total.add_(_total(values) * weight)
            self.count.add_(weight * size)
            return
        values, weight = by_sample(*_cast(values, sample_weight, self), mean=True)
        self.total.add_(values.sum())
        self.count.add_(weight.sum() if weight is not None else values.shape[0] if values.ndim else 1)

    def result(self) -> Tensor:
        """Return the mean, a scalar."""
        return divide(self.total.value, self.count.value).to(getattr(torch, self.dtype))


def _total(values: Any) -> Any:
    return values.sum() if isinstance(values, Tensor) else values


def _cast(values: Tensor, sample_weight: Tensor | None, metric: Metric) -> tuple[Tensor, Tensor | None]:
    dtype = getattr(torch, metric.dtype)
    return values.to(dtype), None if sample_weight is None else sample_weight.to(values.device, dtype)


class MeanMetricWrapper(Mean):
    """The mean of any function ``fn(y_true, y_pred, **kwargs)`` that returns one value for each sample."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or getattr(fn, "__name__", None), dtype=dtype)
        self._fn, self._fn_kwargs = fn, kwargs

    def update_state(  # type: ignore[override]  # Keras's protocol: a mean of values, a wrapper of pairs
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Add the function's values (B, ...) of a batch; what the predictions' mask leaves out does not count."""
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        self._add(values, with_share(sample_weight, mask_of(y_pred)))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, the function by its name."""
        name = getattr(self._fn, "__name__", repr(self._fn))
        return {**super().get_config(), "fn": name, **self._fn_kwargs}


class FunctionMetric(MeanMetricWrapper):
    """Base of the means that come with this package: a class beside its function, with the function's arguments."""

    def __init__(self, fn: Callable[..., Any], name: str | None, dtype: str | None, **arguments: Any) -> None:
        super().__init__(fn, name, dtype, **arguments)
        for key, value in arguments.items():
            setattr(self, key, value)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype, **self._fn_kwargs}
