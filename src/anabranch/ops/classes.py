"""Classes: as numbers, as vectors of zeros and ones, and how far predictions are from them."""

from __future__ import annotations

from anabranch import config, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch.graph.shapes import same
from anabranch.ops._public import operation
from anabranch.ops._torch import F, torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import dtype as dtype_name, floats, number_of, one_axis, rank, shape, tensor

ARGUMENTS = {
    "num_classes": "how many classes there are.",
    "target": "the true values.",
    "output": "the predictions.",
    "from_logits": "whether predictions are logits instead of probabilities.",
}


@operation()
def one_hot(x: TensorLike, num_classes: int, axis: int = -1, dtype: str | None = None, sparse: bool = False) -> Tensor:
    """Return one-hot vectors along a new axis: 1 at the class index, 0 elsewhere; all 0 for an index outside the classes.

    Args:
        x: the class indices.
        axis: where the new axis is, counted in the result.
        dtype: the dtype of the result; None: ``config.floatx()``.

    >>> one_hot([0, 2], 3)
    tensor([[1., 0., 0.],
            [0., 0., 1.]])
    """
    return _one_hot(x, num_classes, axis, dtype, sparse)


@operation()
def multi_hot(
    inputs: TensorLike,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: str | None = None,
    sparse: bool = False,
    **kwargs: object,
) -> Tensor:
    """Return 1 at every class index of a sample, 0 elsewhere: (B, n) -> (B, num_classes).

    Args:
        inputs: the class indices (B, n).
        axis: where the axis of the classes is, before samples are combined.
        dtype: the dtype of the result; None: ``config.floatx()``.

    >>> multi_hot([[0, 2]], 3)
    tensor([[1., 0., 1.]])
    """
    if kwargs or num_classes is None:
        raise ArgumentTypeError("multi_hot takes num_classes.", expected="multi_hot(inputs, num_classes, …)", got=str(kwargs))
    made = _one_hot(inputs, num_classes, axis, dtype, sparse)
    return torch.amax(made, 1 if rank(made) > 2 else 0)


def _one_hot(x: TensorLike, num_classes: int, axis: int, dtype: str | None, sparse: bool) -> Tensor:
    if sparse:
        raise ArgumentError("Tensors here are dense.", expected="sparse=False", got="sparse=True")
    x = tensor(x)
    place = one_axis(axis, rank(x) + 1)
    classes = runtime.create(torch.arange, number_of("num_classes", num_classes, 0), device=x.device)
    classes = classes.reshape(-1, *(1,) * (rank(x) - place))
    return (torch.unsqueeze(x, place) == classes).to(runtime.dtype_of(dtype or config.floatx()))


@operation()
def binary_crossentropy(target: TensorLike, output: TensorLike, from_logits: bool = False) -> Tensor:
    """Return -t · log p - (1 - t) · log(1 - p) for each element; p is output, or sigmoid(output) for logits.

    >>> binary_crossentropy([1.0], [0.5])
    tensor([0.6931])
    """
    true, pred = _alike(target, output)
    if from_logits:
        return F.binary_cross_entropy_with_logits(pred, true, reduction="none")
    least = config.epsilon()
    return F.binary_cross_entropy(torch.clamp(pred, least, 1.0 - least), true, reduction="none")


@operation()
def categorical_crossentropy(target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1) -> Tensor:
    """Return -Σ t · log p along an axis; p is output scaled to sum 1, or softmax(output) for logits.

    >>> categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
    tensor([0.6931])
    """
    true, pred = _alike(target, output)
    place = one_axis(axis, rank(pred))
    return -torch.sum(true * _log_probabilities(pred, from_logits, place), place)


@operation()
def sparse_categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """Return -log p[class]; p is output scaled to sum 1 along an axis, or softmax(output) for logits.

    Args:
        target: the class indices, of output's shape without the axis, or with size 1 there.

    >>> sparse_categorical_crossentropy([1], [[0.5, 0.5]])
    tensor([0.6931])
    """
    true, pred = tensor(target).long(), floats(output)
    place = one_axis(axis, rank(pred))
    if rank(true) == rank(pred) and shape(true)[place] == 1:
        true = torch.squeeze(true, place)
    rest = (*shape(pred)[:place], *shape(pred)[place + 1 :])
    if not same(shape(true), rest):
        raise ShapeError(
            "target does not hold one class index for each place of output.",
            expected=str(rest), got=f"target {shape(tensor(target))}, output {shape(pred)}",
        )  # fmt: skip
    found = torch.gather(_log_probabilities(pred, from_logits, place), place, torch.unsqueeze(true, place))
    return -torch.squeeze(found, place)


def _log_probabilities(pred: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return F.log_softmax(pred, axis)
    least = config.epsilon()
    return torch.log(torch.clamp(pred / torch.sum(pred, axis, keepdim=True), least, 1.0 - least))


def _alike(target: TensorLike, output: TensorLike) -> tuple[Tensor, Tensor]:
    pred = floats(output)
    true = tensor(target)
    if not same(shape(true), shape(pred)):
        raise ShapeError(
            "target and output have different shapes.", got=f"target {shape(true)}, output {shape(pred)}",
            repair="sparse_categorical_crossentropy for class indices; ops.one_hot makes them vectors",
        )  # fmt: skip
    return true if dtype_name(true) == dtype_name(pred) else true.to(runtime.dtype_of(dtype_name(pred))), pred
