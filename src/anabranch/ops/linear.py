"""Products of vectors and matrices. Integers are multiplied as floats where torch needs it, and stay whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from anabranch import runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import rules
from anabranch.graph.facts import product
from anabranch.graph.shapes import same
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import check_rank, common, dtype, floats, one_axis, rank, shape, sizes, tensor

OUTSIDE = frozenset(("cdist",))  # Keras has them in no namespace of this family


@operation(rules.matrix_product, product)
def matmul(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the matrix product over the last two axes, the others broadcast: (…, i, j) · (…, j, k) -> (…, i, k).

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> matmul([[1.0, 2.0]], [[3.0], [4.0]])
        tensor([[11.]])
    """
    x1, x2 = common(x1, x2)
    columns, rows = shape(x1)[-1:], shape(x2)[-2:][:1]
    if columns and rows and not same(columns, rows):
        raise ShapeError(
            f"The last axis of x1 has size {columns[0]}, the {'second last' if rank(x2) > 1 else 'only'} one of x2 {rows[0]}.",
            expected="(…, i, j) and (…, j, k)", got=f"{shape(x1)} and {shape(x2)}",
            repair="ops.transpose(x2, axes), ops.swapaxes(x2, -1, -2), or ops.einsum, which names the axes",
        )  # fmt: skip
    return _product(torch.matmul, x1, x2)


@operation()
def dot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return Σ over the last axis of x1 and the second last (or only) one of x2; of numbers the product.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> dot([1.0, 2.0], [3.0, 4.0])
        tensor(11.)
    """
    x1, x2 = common(x1, x2)
    if rank(x1) == 0 or rank(x2) == 0:
        return x1 * x2
    if rank(x2) <= 2:
        return _product(torch.matmul, x1, x2)
    return _product(lambda a, b: torch.tensordot(a, b, ([rank(x1) - 1], [rank(x2) - 2])), x1, x2)


@operation()
def vdot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return Σ x1 · x2 of both flattened.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> vdot([1.0, 2.0], [3.0, 4.0])
        tensor(11.)
    """
    return _product(lambda a, b: torch.sum(a.reshape(-1) * b.reshape(-1)), x1, x2)


@operation()
def inner(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return Σ over the last axis of both: (…, n), (…', n) -> (…, …').

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> inner([1.0, 2.0], [3.0, 4.0])
        tensor(11.)
    """
    return _product(torch.inner, x1, x2)


@operation()
def outer(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the products of each element of x1 with each of x2, both flattened: (n, m).

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> outer([1.0, 2.0], [3.0, 4.0])
        tensor([[3., 4.],
                [6., 8.]])
    """
    x1, x2 = common(x1, x2)
    return torch.outer(x1.reshape(-1), x2.reshape(-1))


@operation()
def tensordot(x1: TensorLike, x2: TensorLike, axes: int | Sequence[int | Sequence[int]] = 2) -> Tensor:
    """Return Σ over axes of both: the last and first ``axes`` ones, or those named by a pair of axes or lists of axes.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.
        axes: the axes.

    Example:
        >>> tensordot([1.0, 2.0], [3.0, 4.0], axes=1)
        tensor(11.)
    """
    if isinstance(axes, int):
        return _product(lambda a, b: torch.tensordot(a, b, axes), x1, x2)
    if len(axes) != 2:
        raise ArgumentError("axes names no axes of both.", expected="a number or (axes of x1, axes of x2)", got=repr(axes))
    first, second = (list(some) if isinstance(some, (tuple, list)) else [some] for some in axes)
    return _product(lambda a, b: torch.tensordot(a, b, (first, second)), x1, x2)


@operation()
def einsum(subscripts: str, *operands: TensorLike, **kwargs: Any) -> Tensor:
    """Return the sums of products that Einstein's notation says, as in "bij,bjk->bik".

    Args:
        subscripts: the axes of each operand and of the result.
        *operands: the tensors.
        **kwargs: none are taken.

    Example:
        >>> einsum("i,i->", [1.0, 2.0], [3.0, 4.0])
        tensor(11.)
    """
    made = common(*operands)
    inputs = subscripts.replace(" ", "").split("->")[0].split(",")
    if len(inputs) != len(made):
        raise ArgumentError(
            "The subscripts do not fit the operands.", expected=f"{len(inputs)} operands for {subscripts!r}", got=f"{len(made)}"
        )
    for letters, x in zip(inputs, made, strict=True):
        if "." not in letters and len(letters) != rank(x):
            raise ShapeError(
                f"{letters!r} names {len(letters)} axes.", expected=f"as many as of {shape(x)}", got=repr(subscripts)
            )
    whole = "float" not in dtype(made[0])
    found = torch.einsum(subscripts, *(x.float() if whole else x for x in made))
    return found.to(runtime.dtype_of(dtype(made[0]))) if whole else found


@operation()
def cross(x1: TensorLike, x2: TensorLike, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    """Return the vectors at right angles to those along an axis of size 3 of each, along ``axisc`` of the result.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.
        axisa: the axis of the vectors of x1.
        axisb: the axis of the vectors of x2.
        axisc: the axis of the vectors of the result.
        axis: the axis or axes; None: all of them.

    Example:
        >>> cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
        tensor([0., 0., 1.])
    """
    x1, x2 = common(x1, x2)
    first, second, last = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    a = torch.movedim(x1, one_axis(first, rank(x1), "axisa"), -1)
    b = torch.movedim(x2, one_axis(second, rank(x2), "axisb"), -1)
    found = torch.linalg.cross(a, b, dim=-1)
    return torch.movedim(found, -1, last)


@operation()
def kron(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the Kronecker product: x2 scaled by each element of x1, in its place.

    Args:
        x1: the first operand.
        x2: the second operand, which broadcasts with it.

    Example:
        >>> kron([1, 2], [1, 10])
        tensor([ 1, 10,  2, 20], dtype=torch.int32)
    """
    return torch.kron(*common(x1, x2))


@operation()
def cdist(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the distances between the rows of both: (…, n, d), (…, m, d) -> (…, n, m).

    Args:
        x: the rows (…, n, d).
        y: the rows (…, m, d).

    Example:
        >>> cdist([[0.0, 0.0]], [[3.0, 4.0]])
        tensor([[5.]])
    """
    x, y = common(floats(x), floats(y))
    return torch.cdist(x, y)


@operation()
def vander(x: TensorLike, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803 - Keras's name
    """Return the powers of each element of a vector, N of them: from the highest down, or ``increasing``.

    Args:
        x: the input, of any shape.
        N: how many powers; None: as many as elements.
        increasing: whether powers ascend.

    Example:
        >>> vander([1, 2], 3)
        tensor([[1, 1, 1],
                [4, 2, 1]])
    """
    x = tensor(x)
    check_rank(x, (1,), "(n,)")
    powers = torch.arange(sizes(x)[0] if N is None else N, device=x.device)
    return torch.pow(x.unsqueeze(-1), powers if increasing else powers.flip(0))


def _product(function: Callable[..., Tensor], x1: TensorLike, x2: TensorLike) -> Tensor:
    x1, x2 = common(x1, x2)
    kind = dtype(x1)
    if "float" in kind:
        return function(x1, x2)
    wide = torch.float64 if kind in ("int32", "int64") else torch.float32  # the sums of products stay exact
    return function(x1.to(wide), x2.to(wide)).to(runtime.dtype_of("int32" if kind == "bool" else kind))
