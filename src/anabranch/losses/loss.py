"""What a loss is: a function of targets and predictions, weighted by sample and reduced to one number."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from anabranch import _tree, config
from anabranch._errors import ArgumentError, ShapeError
from anabranch.losses._agreement import align, tensors
from anabranch.runtime import both, mask_of

Tensor = torch.Tensor
Reduction = str | None

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none")


class Loss:
    """Base of losses: subclass and write ``call(y_true, y_pred)``, which returns one value for each sample.

    ``loss(y_true, y_pred, sample_weight)`` multiplies those values by the weights and reduces them:
    ``"sum_over_batch_size"`` and ``"mean"`` divide their sum by their number, ``"mean_with_sample_weight"`` by the sum of
    the weights, ``"sum"`` only adds, ``"none"`` and None return them as they are.
    """

    def __init__(self, name: str | None = None, reduction: Reduction = "sum_over_batch_size", dtype: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        if reduction is not None and reduction not in REDUCTIONS:
            raise ArgumentError("Unknown reduction.", expected=f"one of {', '.join(REDUCTIONS)}, or None", got=repr(reduction))
        self.reduction = reduction
        self.dtype = dtype_name(dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one value for each sample: the last axis of (B, ..., C) is gone."""
        raise NotImplementedError(f"{type(self).__name__} must write call(y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss, in the loss's dtype; what the predictions' mask leaves out does not count."""
        given = mask_of(y_pred)
        y_true, y_pred = self._cast(y_true, y_pred)
        values = self.call(y_true, y_pred)
        masks = [mask for mask in (given, self._mask(y_true, values)) if mask is not None]
        return reduce(values, sample_weight, both(masks) if masks else None, self.reduction)

    def _cast(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        dtype = getattr(torch, self.dtype)
        return _floats(y_true, dtype), _floats(y_pred, dtype)

    def _mask(self, y_true: Any, values: Any) -> Tensor | None:
        """Return what counts (True) among ``values``; None where all of it does."""
        return None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """Make one from what ``get_config`` gave."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


def _floats(value: Any, dtype: torch.dtype) -> Any:
    """A list of tensors is a nest of them; a list of numbers is a tensor."""
    if isinstance(value, dict) or any(isinstance(leaf, Tensor) for leaf in _tree.leaves(value)):
        return _tree.map_leaves(lambda leaf: tensors(leaf, leaf, dtype)[1], value)
    return tensors(value, value, dtype)[1]


class LossFunctionWrapper(Loss):
    """A loss made of any function ``fn(y_true, y_pred, **kwargs)`` that returns one value for each sample."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or getattr(fn, "__name__", None), reduction=reduction, dtype=dtype)
        self.fn, self._arguments = fn, kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return ``fn(y_true, y_pred, **kwargs)``."""
        if isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
            y_true, y_pred = align(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._arguments)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, the function by its name."""
        return {**super().get_config(), "fn": getattr(self.fn, "__name__", repr(self.fn)), **self._arguments}


class FunctionLoss(Loss):
    """Base of the losses that come with this package: a class beside its function, with the function's arguments."""

    function: ClassVar[Callable[..., Tensor]]
    by_value: ClassVar[bool] = True
    """Whether the function compares value with value, so that a vector holds one sample in each place."""

    def __init__(self, name: str, reduction: Reduction, dtype: str | None, **arguments: Any) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self._arguments = arguments
        for key, value in arguments.items():
            setattr(self, key, value)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the function's values."""
        true, pred = tensors(y_true, y_pred)
        if self.by_value and pred.ndim == 1 == true.ndim:
            true, pred = true.unsqueeze(-1), pred.unsqueeze(-1)
        return type(self).function(true, pred, **self._arguments)

    def _cast(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        return tensors(y_true, y_pred, getattr(torch, self.dtype))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._arguments}


class TorchLoss(Loss):
    """A loss of ``torch.nn`` in its own words: called as ``module(y_pred, y_true)``, reduced as it was made to."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__(name=snake_case(type(module).__name__), reduction="sum_over_batch_size")
        self.module = module
        self._numbers = isinstance(module, (torch.nn.CrossEntropyLoss, torch.nn.NLLLoss))

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the module's value; weights need ``reduction="none"`` and are then averaged over."""
        values, mask = self.call(y_true, y_pred), mask_of(y_pred)
        if (sample_weight is not None or mask is not None) and values.ndim == 0:
            raise ArgumentError(
                f"torch's {type(self.module).__name__} has averaged over the samples before their weights "
                f"{'' if mask is None else 'and their mask '}are known.",
                repair='make it with reduction="none"',
            )
        return reduce(values, sample_weight, mask, self.reduction)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return ``module(y_pred, y_true)``: class numbers as int64 without a last axis of one, the rest as floats."""
        true, pred = tensors(y_true, y_pred)
        module = self.module.to(pred.device)
        if self._numbers and true.shape != pred.shape:
            true = true.squeeze(-1) if true.ndim == pred.ndim and true.shape[-1] == 1 else true
            return module(pred, true.to(torch.int64))  # type: ignore[no-any-return]  # a loss module returns a tensor
        true, pred = align(true, pred)
        return module(pred, true.to(pred.dtype))  # type: ignore[no-any-return]  # as above

    def get_config(self) -> dict[str, Any]:
        """Raise ArgumentError: a module is no plain data."""
        raise ArgumentError(
            f"torch's {type(self.module).__name__} cannot be written as plain data.",
            repair="use a loss of anabranch.losses",
        )

    def __repr__(self) -> str:
        return f"TorchLoss({self.module!r})"


def reduce(values: Any, sample_weight: Any, mask: Tensor | None, reduction: Reduction) -> Any:
    """Weight ``values`` and reduce them; with a mask, means are taken over what counts alone."""
    weight = None if sample_weight is None else tensors(sample_weight, values)[0].to(values.dtype)
    if mask is not None:
        share = mask.to(values.dtype)
        if reduction in ("sum_over_batch_size", "mean"):
            share = share * divide(torch.full_like(share.sum(), share.numel()), share.sum())
        weight = with_share(weight, share)
    if weight is not None:
        values, weight = align(values, weight)
        weight = match(weight, values)
        values = values * weight
    if reduction in (None, "none") or values.ndim == 0 or values.numel() == 0:
        return values
    if reduction == "sum":
        return values.sum()
    if reduction == "mean_with_sample_weight" and weight is not None:
        return divide(values.sum(), weight.expand_as(values).sum())
    return values.mean()


def with_share(weight: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """Return sample weights, multiplied by a mask where there is one; None where there is neither."""
    if mask is None or weight is None:
        return weight if mask is None else mask
    share, weight = align(mask, weight)
    return share * match(weight, share)


def match(weight: Tensor, values: Tensor) -> Tensor:
    """Return weights that multiply ``values``: one for each sample (B,) reaches over (B, T); ShapeError where none fits."""
    if weight.ndim < values.ndim and weight.shape == values.shape[: weight.ndim]:
        return weight.reshape(*weight.shape, *[1] * (values.ndim - weight.ndim))
    try:
        torch.broadcast_shapes(weight.shape, values.shape)  # type: ignore[no-untyped-call]  # torch has not typed it
    except RuntimeError as error:
        raise ShapeError(
            "The sample weights do not fit the values they weigh.",
            expected=f"one for each sample, ({values.shape[0] if values.ndim else 1},), or {tuple(values.shape)}",
            got=str(tuple(weight.shape)),
        ) from error
    return weight


def divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return the quotient, and 0 where the denominator is 0; nothing is read back from the device."""
    empty = denominator == 0
    return torch.where(
        empty, torch.zeros_like(numerator), numerator / torch.where(empty, torch.ones_like(denominator), denominator)
    )


def dtype_name(dtype: Any) -> str:
    """Return the name of a float type; None means the default. A policy's compute type and torch's dtypes serve too."""
    name = config.floatx() if dtype is None else str(getattr(dtype, "compute_dtype", dtype)).removeprefix("torch.")
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ArgumentError("Unknown dtype.", expected="a float type such as 'float32'", got=repr(dtype))
    return name


def snake_case(name: str) -> str:
    """Return e.g. ``mean_io_u`` for ``MeanIoU``, as Keras names its objects.

    >>> snake_case("SparseTopKCategoricalAccuracy"), snake_case("AUC"), snake_case("R2Score")
    ('sparse_top_k_categorical_accuracy', 'auc', 'r2_score')
    """
    parts = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parts).lower()
