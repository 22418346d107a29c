"""How much of real targets predictions explain: the coefficient of determination, correlations."""

from __future__ import annotations

from typing import Literal

import torch

from anabranch import config
from anabranch._asked import described
from anabranch._errors import ShapeError
from anabranch._fields import Field, choice, integer, state
from anabranch.losses._agreement import Tensor, Values, agree, loss_function, tensors
from anabranch.losses.loss import DType, named
from anabranch.metrics.metric import Metric, Variable, move, typed
from anabranch.metrics.reduction import FunctionMetric

Aggregation = Literal["uniform_average", "variance_weighted_average"] | None
AGGREGATION_DOC = (
    "'uniform_average' gives the mean over the outputs, 'variance_weighted_average' that by their variance, None each output's."
)
_SUMS = {"squared_sum": "squared_sum", "sum": "sum", "total_mse": "residual", "count": "count"}


class R2Score(Metric):
    """Compute 1 - Σ (t - p)² / Σ (t - mean t)² of targets (B, D) and predictions (B, D).

    Example:
        >>> R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])
        tensor(0.5714)
    """

    class_aggregation: Field[Aggregation, Aggregation] = choice(
        None, "uniform_average", "variance_weighted_average", default="uniform_average", doc=AGGREGATION_DOC
    )
    num_regressors: Field[int, int] = integer(
        default=0,
        least=0,
        doc="p of the adjusted score 1 - (1 - R²)·(n - 1) / (n - p - 1), which n > p + 1 values have; 0: R².",
    )
    name: Field[str | None, str] = named("r2_score")
    dtype: Field[DType, str] = typed()
    num_samples: Variable = state(init=False)
    squared_sum: Variable = state(init=False)
    sum: Variable = state(init=False)
    total_mse: Variable = state(init=False)
    count: Variable = state(init=False)

    def _add_state_(self) -> None:
        self.num_samples = self.add_variable((), "zeros", name="num_samples")

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add the sums of a batch."""
        true, pred = agree(y_true, y_pred, self.name)
        if pred.ndim != 2:
            raise ShapeError(f"{self.name} compares rows.", expected="y_true and y_pred (B, D)", got=str(tuple(pred.shape)))
        if len(self._variables) == 1:
            for attribute, name in _SUMS.items():
                setattr(self, attribute, self.add_variable((pred.shape[1],), "zeros", name=name))
            move(self._variables, pred.device)
        true, pred = true.to(self.num_samples.dtype), pred.to(self.num_samples.dtype)
        weight = torch.ones_like(true)
        if sample_weight is not None:
            given = tensors(sample_weight, pred)[0].to(true.dtype)
            given = given.unsqueeze(1) if given.ndim == 1 else given
            if given.ndim > 2 or any(size not in (1, full) for size, full in zip(given.shape, true.shape, strict=False)):
                raise ShapeError(
                    "sample_weight has one value for each sample.", expected=f"({len(true)},)", got=described(sample_weight)
                )
            weight = weight * given
        self.sum.add_((true * weight).sum(0))
        self.squared_sum.add_((true.square() * weight).sum(0))
        self.total_mse.add_(((true - pred).square() * weight).sum(0))
        self.count.add_(weight.sum(0))
        self.num_samples.add_(true.numel())

    def result(self) -> Tensor:
        """Return the score, a scalar; (D,) where ``class_aggregation`` is None."""
        if len(self._variables) == 1:
            return torch.zeros(())
        samples, squared, sums, residual, count = (variable.value for variable in self._variables)
        total = squared - sums * sums / count
        scores = 1 - residual / total
        scores = torch.where(scores.isinf(), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (total * scores).sum() / total.sum()
        if self.num_regressors:
            free = samples - self.num_regressors - 1
            scores = torch.where(free > 0, 1 - (1 - scores) * (samples - 1) / free, scores)
        return scores.to(getattr(torch, self.dtype))


@loss_function
def pearson_correlation(y_true: Values, y_pred: Values, axis: int = -1) -> Tensor:
    """Return the correlation of targets and predictions along ``axis``: cov(t, p) / (σ(t)·σ(p)).

    Args:
        axis: the axis along which they correlate.

    Example:
        >>> pearson_correlation([[0.0, 1.0, 0.5]], [[0.1, 0.9, 0.5]])
        tensor([1.])
    """
    true, pred = agree(y_true, y_pred, "pearson_correlation")
    true, pred = (each - each.mean(axis, keepdim=True) for each in (true, pred))
    true, pred = (each / each.std(axis, correction=0, keepdim=True) for each in (true, pred))
    return (true * pred).mean(axis)


@loss_function
def concordance_correlation(y_true: Values, y_pred: Values, axis: int = -1) -> Tensor:
    """Return how far predictions are on the line p = t: 2·cov(t, p) / (var t + var p + (mean t - mean p)²) (Lin 1989).

    Args:
        axis: the axis along which they correlate.

    Example:
        >>> concordance_correlation([[0.0, 2.0, 4.0]], [[1.0, 3.0, 5.0]])
        tensor([0.8421])
    """
    true, pred = agree(y_true, y_pred, "concordance_correlation")
    means = [each.mean(axis, keepdim=True) for each in (true, pred)]
    covariance = ((true - means[0]) * (pred - means[1])).mean(axis)
    apart = (means[0] - means[1]).squeeze(axis)
    spread = true.var(axis, correction=0) + pred.var(axis, correction=0) + apart.square()
    return 2 * covariance / (spread + config.epsilon())


class PearsonCorrelation(FunctionMetric, function=pearson_correlation):
    """Compute the mean correlation of targets and predictions along an axis.

    Example:
        >>> PearsonCorrelation()([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]])
        tensor(1.0000)
    """

    axis: Field[int, int] = integer(default=-1, least=None)


class ConcordanceCorrelation(FunctionMetric, function=concordance_correlation):
    """Compute the mean concordance of targets and predictions along an axis.

    Example:
        >>> ConcordanceCorrelation()([[0.0, 2.0, 4.0]], [[1.0, 3.0, 5.0]])
        tensor(0.8421)
    """

    axis: Field[int, int] = integer(default=-1, least=None)
