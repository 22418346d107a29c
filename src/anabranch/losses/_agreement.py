"""How targets and predictions are brought together: tensors, dtypes, ranks, labels; and the errors where they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

import torch

from anabranch import config
from anabranch._arguments import RAW, held
from anabranch._asked import shown
from anabranch._docstrings import described
from anabranch._errors import DataError, DtypeError, ShapeError
from anabranch._frames import bounded
from anabranch.graph import Tensor as Symbol, call_site
from anabranch.graph.arrays import is_numpy
from anabranch.graph.function import Whole
from anabranch.graph.tensor import describe
from anabranch.runtime.narrow import from_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

P = ParamSpec("P")
R = TypeVar("R")
Tensor = torch.Tensor
Values: TypeAlias = "Tensor | ArrayLike"  # what becomes a tensor: a tensor, an array, a number, or nested lists of numbers


_documented = described(
    {
        "y_true": "targets (B, …, C).",
        "y_pred": "predictions of the same shape.",
        "from_logits": "whether y_pred holds logits rather than probabilities.",
        "gamma": "how much what is easy counts less, ≥ 0.",
        "axis": "the axis of classes.",
    },
    "Returns:\n    Values (B, …).",
)


def loss_function(function: Callable[P, R]) -> Callable[P, R]:
    """Let users call a function ``(y_true, y_pred, …)`` of a value for each sample: documented, its arguments held."""
    return arithmetic(_documented(function))


def arithmetic(function: Callable[P, R]) -> Callable[P, R]:
    """Hold the arguments of a function of tensors, which refuses what is none; of symbolic ones it is a node of a graph."""
    return held(function, every=True, instead=_node)


def takes_symbols(function: Callable[P, R]) -> Callable[P, R]:
    """Do the same for the ``__call__`` of a class, which may run the user's code."""
    return held(function, every=False, instead=_node)


def _node(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the symbolic result of a function or method where an argument is symbolic, else None."""
    if not any(isinstance(value, Symbol) for value in (*args, *kwargs.values())):
        return None
    loss, operands = (args[0], args[1:]) if args and callable(args[0]) else (function, args)
    return describe(Whole(loss), operands, kwargs, call_site())


def tensors(y_true: Values, y_pred: Values, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """Return both as tensors on the predictions' device, the predictions floating; targets keep their dtype."""
    for name, value in (("y_true", y_true), ("y_pred", y_pred)):
        if type(value) is Tensor and value.layout != torch.strided:
            raise DtypeError(f"{name} must be a dense tensor.", got=shown(value))
    pred = y_pred if isinstance(y_pred, Tensor) else _tensor(y_pred, y_true, "y_pred")
    if dtype is None and not pred.is_floating_point():
        dtype = getattr(torch, config.floatx())
    if dtype is not None and pred.dtype is not dtype:
        pred = pred.to(dtype)
    true = y_true if isinstance(y_true, Tensor) else _tensor(y_true, pred, "y_true")
    if true.is_meta and not pred.is_meta:
        raise DtypeError("A meta tensor has no values.", expected=f"values on {pred.device}", got=shown(y_true))
    return (true if true.device == pred.device else true.to(pred.device)), pred


def _tensor(value: Values, beside: Values, name: str) -> Tensor:
    try:
        held = from_array(value) if is_numpy(value) else value
        tensor = torch.as_tensor(held, device=beside.device if isinstance(beside, Tensor) else None)
    except RAW as error:
        raise DtypeError(f"{name} must be a tensor, an array or a number.", got=shown(value)) from error
    return tensor.to(getattr(torch, config.floatx())) if tensor.is_floating_point() else tensor


def align(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return both with the same rank where a last axis of one is all that differs, as Keras does.

    A vector beside a column becomes a column; otherwise the axis of one is dropped.
    """
    if first.ndim == second.ndim + 1 and first.shape[-1] == 1:
        return (first, second.unsqueeze(-1)) if second.ndim == 1 else (first.squeeze(-1), second)
    if second.ndim == first.ndim + 1 and second.shape[-1] == 1:
        return (first.unsqueeze(-1), second) if first.ndim == 1 else (first, second.squeeze(-1))
    return first, second


def agree(y_true: Values, y_pred: Values, what: str) -> tuple[Tensor, Tensor]:
    """Return both as floating tensors of one shape, or raise ShapeError; nothing is broadcast silently."""
    true, pred = align(*tensors(y_true, y_pred))
    if true.shape != pred.shape:
        raise _mismatch(tuple(true.shape), tuple(pred.shape), what)
    return (true if true.dtype == pred.dtype else true.to(pred.dtype)), pred


def _mismatch(true: tuple[int, ...], pred: tuple[int, ...], what: str) -> ShapeError:
    repair = None
    if pred and true and pred[0] != true[0]:
        repair = "give both the same number of samples"
    elif len(pred) > 1 and pred[-1] > 1 and (true == pred[:-1] or true == (*pred[:-1], 1)):
        repair = (
            f"y_true holds one value where y_pred holds {pred[-1]}: for class indices use the sparse form "
            f"(SparseCategoricalCrossentropy) or utils.to_categorical(y, {pred[-1]}); for one value give the last layer 1 unit"
        )
    elif len(true) > 1 and true[:-1] == pred[:-1]:
        repair = f"give the last layer {true[-1]} unit{'s' if true[-1] != 1 else ''}"
    return ShapeError(
        f"{what} compares y_true and y_pred element by element, and their shapes differ.",
        expected="y_true and y_pred of one shape",
        got=f"y_true {true}, y_pred {pred}",
        repair=repair,
    )


def class_indices(y_true: Values, y_pred: Values, what: str, axis: int = -1) -> tuple[Tensor, Tensor]:
    """Return class indices (int64, without a class axis) and predictions with their classes last, or raise ShapeError."""
    true, pred = tensors(y_true, y_pred)
    if pred.ndim == 0 or not -pred.ndim <= axis < pred.ndim:
        raise ShapeError(
            f"{what} finds no class axis.",
            expected=f"y_pred with an axis {axis}",
            got=f"y_pred {tuple(pred.shape)}",
        )
    position = axis % pred.ndim
    wanted = (*pred.shape[:position], *pred.shape[position + 1 :])
    if true.shape != wanted and tuple(true.shape) == (*wanted[:position], 1, *wanted[position:]):
        true = true.squeeze(position)
    if true.shape != wanted:
        raise _no_class_indices(tuple(true.shape), tuple(pred.shape), wanted, what, pred.shape[position])
    indices = true if true.dtype == torch.int64 else true.to(torch.int64)
    return indices, pred if position == pred.ndim - 1 else pred.movedim(position, -1)


def _no_class_indices(
    true: tuple[int, ...], pred: tuple[int, ...], wanted: tuple[int, ...], what: str, classes: int
) -> ShapeError:
    repair = f"y_pred {pred} asks for one class index at each position of {wanted}"
    if true == pred:
        repair = "the labels look one-hot: use CategoricalCrossentropy (categorical_accuracy), or pass y.argmax(-1)"
    elif true and wanted and true[0] != wanted[0]:
        repair = "give both the same number of samples"
    return ShapeError(
        f"{what} takes class indices.",
        expected=f"y_true {wanted} with integers from 0 to {classes - 1}",
        got=f"y_true {true}, y_pred {pred}",
        repair=repair,
    )


@bounded
def check_labels(y_true: Values, classes: int, *, ignore_class: int | None = None, name: str = "y") -> None:
    """Raise DataError unless every label is an integer from 0 to ``classes`` - 1.

    Args:
        y_true: labels of any shape, on the host.
        classes: how many there are.
        ignore_class: a label that is allowed as well.
        name: what the error calls the labels.

    Example:
        >>> check_labels([0, 1, 2], classes=3)
        >>> check_labels([0, 3, 2], classes=3)
        Traceback (most recent call last):
            ...
        anabranch._errors.DataError: Label 3 is none of the 3 classes.
          expected: integers from 0 to 2
          got:      y[1] = 3 (1 of 3 labels cannot be used)
          repair:   give the last layer 4 units, one for each class
    """
    labels = torch.as_tensor(y_true)
    if labels.dtype in (torch.uint16, torch.uint32, torch.uint64, torch.bool):
        labels = labels.to(torch.int64)
    if labels.numel() == 0:
        return
    low, high = (value.item() for value in torch.aminmax(labels))
    integral = not labels.is_floating_point() or bool((labels == labels.floor()).all())
    if integral and low >= 0 and high < classes:
        return
    bad = (labels < 0) | (labels >= classes) | (labels != labels)
    if not integral:
        bad |= labels != labels.floor()
    if ignore_class is not None:
        bad &= labels != ignore_class
    count = int(bad.sum())
    if count:
        raise _bad_label(labels, bad, count, classes, ignore_class, name)


def _bad_label(labels: Tensor, bad: Tensor, count: int, classes: int, ignore_class: int | None, name: str) -> DataError:
    index = tuple(bad.nonzero()[0].tolist())
    value = labels[index].item()
    counted = labels[labels != ignore_class] if ignore_class is not None else labels
    low, high = float(counted.min()), float(counted.max())
    repair = None
    if value == value and value != int(value):
        repair = "these are no class indices: a regression loss such as 'mse' takes real values"
    elif low == 1 and high == classes:
        repair = "the labels count from 1: pass y - 1"
    elif low >= 0:
        repair = f"give the last layer {int(high) + 1} units, one for each class"
    elif low == -1:
        repair = "where -1 marks what has no class, pass ignore_class=-1 to the loss"
    also = f" (and {ignore_class}, which is ignored)" if ignore_class is not None else ""
    return DataError(
        f"Label {value} is none of the {classes} classes.",
        expected=f"integers from 0 to {classes - 1}{also}",
        got=f"{name}[{', '.join(map(str, index))}] = {value} ({count} of {labels.numel()} labels cannot be used)",
        repair=repair,
    )
