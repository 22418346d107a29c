"""Sums and means over samples, and the metric made of any function of targets and predictions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from anabranch._fields import Field, field, state
from anabranch.losses._agreement import align
from anabranch.losses.loss import (
    DTYPE_DOC,
    NAME_DOC,
    DType,
    Wrapper,
    declare_first,
    divide,
    document,
    masked,
    misfit,
    named,
    returned,
    to_dtype,
    to_name,
    to_name_or_none,
)
from anabranch.metrics.metric import Metric, Tensor, Variable, typed
from anabranch.runtime import mask_of

Number = int | float

_EXACT = "float64"
"""The type of sums: in float32, 50,000 small additions lose the fifth digit."""


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
            raise misfit(weight, f"one for each of the values {tuple(values.shape)}") from error
        values = values * weight
        weight = reduced(weight, 1) if given > 1 else weight
    return reduced(values, 1), weight


class Sum(Metric):
    """Compute the weighted sum of values.

    Example:
        >>> Sum()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
        tensor(4.)
    """

    name: Field[str | None, str] = named("sum")
    dtype: Field[DType, str] = typed()
    total: Variable = state(init=False)

    def _add_state_(self) -> None:
        self.total = self.add_variable((), "zeros", dtype=_EXACT, name="total")

    def update_state(self, values: Tensor, sample_weight: Tensor | None = None) -> None:
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
    """Compute the weighted mean of values: Σ values·weights / Σ weights, 0 before the first batch.

    Example:
        >>> mean = Mean()
        >>> mean.update_state([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
        >>> mean.result()
        tensor(2.)
    """

    name: Field[str | None, str] = named("mean")
    dtype: Field[DType, str] = typed()
    total: Variable = state(init=False)
    count: Variable = state(init=False)

    def _add_state_(self) -> None:
        self.total = self.add_variable((), "zeros", dtype=_EXACT, name="total")
        self.count = self.add_variable((), "zeros", dtype=_EXACT, name="count")

    def update_state(self, values: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add values (B, ...), each sample's averaged first; one number with a weight counts as that many samples."""
        self._add(values, sample_weight)

    def _add(self, values: Tensor, sample_weight: Tensor | None) -> None:
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


def _total(values: object) -> Any:
    return values.sum() if isinstance(values, Tensor) else values


def _cast(values: Tensor, sample_weight: Tensor | None, metric: Metric) -> tuple[Tensor, Tensor | None]:
    dtype = getattr(torch, metric.dtype)
    return values.to(dtype), None if sample_weight is None else sample_weight.to(values.device, dtype)


class MeanMetricWrapper(Wrapper, Mean):
    """Average any function ``fn(y_true, y_pred, **kwargs)`` over samples; further arguments go to the function.

    Example:
        >>> metric = MeanMetricWrapper(lambda y_true, y_pred: (y_true - y_pred).abs().amax(-1), name="worst")
        >>> metric([[0.0, 0.0]], [[1.0, 2.0]])
        tensor(2.)
    """

    name: Field[str | None, str] = field(default=None, convert=to_name_or_none, doc=NAME_DOC, kw_only=True)
    dtype: Field[DType, str] = field(default=None, convert=to_dtype, doc=DTYPE_DOC, fresh=True, fixed=True, kw_only=True)

    def update_state(  # type: ignore[override]  # Keras's protocol: a mean of values, a wrapper of pairs
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add the function's values (B, ...) of a batch; what the predictions' mask leaves out does not count."""
        values = self.fn(y_true, y_pred, **self.fn_kwargs)
        if not isinstance(values, Tensor):
            values = returned(values, f"The metric {self.name!r}")
        self._add(values, masked(sample_weight, mask_of(y_pred)))


class FunctionMetric(Mean):
    """Base of the means that come with this package: a function ``(y_true, y_pred, …)`` whose arguments are the settings.

    ``class BinaryAccuracy(FunctionMetric, function=binary_accuracy)`` declares one field for each further argument of the
    function, without a line of documentation: that is the function's own.
    """

    function: ClassVar[Callable[..., Tensor]]
    arguments: ClassVar[tuple[str, ...]] = ()
    name: Field[str | None, str] = field(default=None, convert=to_name, doc=NAME_DOC, kw_only=True)
    dtype: Field[DType, str] = field(default=None, convert=to_dtype, doc=DTYPE_DOC, fresh=True, fixed=True, kw_only=True)

    def __init_subclass__(cls, function: Callable[..., Tensor] | None = None, name: str | None = None) -> None:
        if function is not None:
            cls.function = staticmethod(function)
            document(cls, function)
            if "name" not in cls.__dict__:
                declare_first(cls, name=named(name or function.__name__), dtype=typed())
        super().__init_subclass__()
        if function is not None:
            cls.arguments = tuple(name for name in inspect.signature(function).parameters if name in cls._fields_)

    def update_state(  # type: ignore[override]  # Keras's protocol: a mean of values, a wrapper of pairs
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add the function's values (B, ...) of a batch; what the predictions' mask leaves out does not count."""
        if (repair := self._for_logits()) is not None:
            self._warn_of_logits_(y_pred, repair)
        values = self.function(y_true, y_pred, **{name: getattr(self, name) for name in self.arguments})
        self._add(values, masked(sample_weight, mask_of(y_pred)))

    def _for_logits(self) -> str | None:
        """Return what to do about logits where probabilities are due, None where any values will do."""
        return None
