"""Products of vectors and matrices. Integers are multiplied as floats where torch needs it, and stay whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from anabranch import runtime
from anabranch._errors import ArgumentError, ShapeError
from anabranch.graph import rules
from anabranch.graph.facts import dropped, product
from anabranch.graph.rules import is_float
from anabranch.graph.shapes import same
from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import (
    check_rank,
    common,
    dtype,
    floats,
    number_of,
    one_axis,
    one_of,
    rank,
    shape,
    sizes,
    tensor,
    torch_dtype,
)

ARGUMENTS = {"x2": "the second operand."}


@operation(rules.matrix_product, product)
def matmul(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the matrix product: (…, i, j), (…, j, k) -> (…, i, k); all other axes broadcast.

    Args:
        x1: the first operand (…, i, j), or a vector (j,).
        x2: the second operand (…, j, k), or a vector (j,).

    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]])
    tensor([[11.]])
    """
    x1, x2 = _factors(x1, x2)
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
    """Return the dot product: Σ over the last axis of x1 and the second last (of a vector, the only) one of x2.

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
    """Return Σ x1 · x2 over all elements of both.

    Args:
        x2: the second operand, of as many elements.

    >>> vdot([[1.0, 2.0]], [[3.0], [4.0]])
    tensor(11.)
    """
    return _product(lambda a, b: torch.sum(a.reshape(-1) * b.reshape(-1)), x1, x2)


@operation()
def inner(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return Σ x1 · x2 over the last axis of both: (…a, n), (…b, n) -> (…a, …b).

    >>> inner([[1.0, 2.0], [0.0, 1.0]], [3.0, 4.0])
    tensor([11.,  4.])
    """
    return _product(torch.inner, x1, x2)


@operation()
def outer(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the outer product x1ᵢ · x2ⱼ of both flattened: (n,), (m,) -> (n, m).

    >>> outer([1.0, 2.0], [3.0, 4.0])
    tensor([[3., 4.],
            [6., 8.]])
    """
    x1, x2 = common(x1, x2)
    return torch.outer(x1.reshape(-1), x2.reshape(-1))


@operation()
def tensordot(x1: TensorLike, x2: TensorLike, axes: int | Sequence[int | Sequence[int]] = 2) -> Tensor:
    """Return Σ x1 · x2 over pairs of axes.

    Args:
        axes: n: the last n axes of x1 and the first n of x2; or a pair: the axes of x1, the axes of x2.

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
def einsum(subscripts: str, *operands: TensorLike, **kwargs: object) -> Tensor:
    """Return the sum of products in Einstein's notation, as in "bij,bjk->bik".

    Args:
        subscripts: the axes of each operand and of the result.
        *operands: the tensors.

    >>> einsum("i,i->", [1.0, 2.0], [3.0, 4.0])
    tensor(11.)
    """
    made = _factors(*operands)
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
    kind = dtype(made[0])
    if is_float(kind):
        return torch.einsum(subscripts, *made)
    return torch.einsum(subscripts, *(x.to(_wide(kind)) for x in made)).to(torch_dtype(kind))


@operation(rules.crossed)
def cross(x1: TensorLike, x2: TensorLike, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    """Return the cross product of vectors of 3 elements.

    Args:
        x1: the first vectors.
        x2: the second vectors; the two broadcast.
        axisa: the axis of the vectors of x1.
        axisb: the axis of the vectors of x2.
        axisc: the axis of the vectors of the result.
        axis: replaces ``axisa``, ``axisb`` and ``axisc``.

    >>> cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    tensor([0., 0., 1.])
    """
    x1, x2 = common(x1, x2)
    first, second, last = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    a = torch.movedim(x1, one_axis(first, rank(x1), "axisa"), -1)
    b = torch.movedim(x2, one_axis(second, rank(x2), "axisb"), -1)
    more = rank(x1) - rank(x2)
    found = torch.linalg.cross(a[(None,) * max(-more, 0)], b[(None,) * max(more, 0)], dim=-1)
    return torch.movedim(found, -1, last)


@operation(mask=dropped)
def corrcoef(x: TensorLike) -> Tensor:
    """Return the correlation of each two rows: (n, m) -> (n, n); of one row 1.

    >>> corrcoef([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    x = tensor(x)
    vector = check_rank(x, (0, 1, 2), "(n, m) or (m,)") < 2 or shape(x)[0] == 1
    rows = x.to(torch.float64) if dtype(x) == "int64" else floats(x)
    rows = rows.reshape(1, -1) if vector else rows
    rows = rows - rows.mean(1, keepdim=True)
    products = rows @ torch.conj_physical(rows).transpose(0, 1)
    lengths = torch.sqrt(torch.diagonal(products))
    found = products / lengths / lengths.unsqueeze(1)
    found = found if "complex" in dtype(x) else found.clamp(-1, 1)
    return found[0, 0] if vector else found


@operation(mask=dropped)
def correlate(x1: TensorLike, x2: TensorLike, mode: str = "valid") -> Tensor:
    """Return the cross-correlation of two vectors: Σₙ x1[n + k] · x2[n].

    Args:
        x1: a vector (n,).
        x2: a vector (m,).
        mode: "valid": where one covers the other, |n - m| + 1 values; "same": the middle max(n, m); "full": all n + m - 1.

    >>> correlate([1.0, 2.0, 3.0], [0.0, 1.0, 0.5])
    tensor([3.5000])
    """
    x1, x2 = common(x1, x2)
    check_rank(x1, (1,), "(n,)", "x1")
    check_rank(x2, (1,), "(m,)", "x2")
    (n,), (m,), kind = shape(x1), shape(x2), dtype(x1)
    if n is None or m is None:
        raise ArgumentError(
            "correlate needs vectors of known lengths.", got=f"({n},), ({m},)", repair="Input(batch_shape=(n,))"
        )
    if not n or not m:
        raise ArgumentError("correlate needs a value in each vector at least.", got=f"({n},), ({m},)")
    wide = kind if kind in ("float64", "float16", "bfloat16") else "float64" if kind == "int64" else "float32"
    first, second = x1.to(torch_dtype(wide)), x2.to(torch_dtype(wide))
    found = torch.conv1d(first[None, None], second[None, None], padding=m - 1)[0, 0]
    least, most = sorted((n, m))
    start = {"full": 0, "same": (least - 1) // 2 if n >= m else least // 2, "valid": least - 1}
    length = {"full": n + m - 1, "same": most, "valid": most - least + 1}
    one_of("mode", mode, ("valid", "same", "full"))
    return found[start[mode] : start[mode] + length[mode]]


@operation()
def kron(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the Kronecker product x1 ⊗ x2.

    >>> kron([1, 2], [1, 10])
    tensor([ 1, 10,  2, 20], dtype=torch.int32)
    """
    return torch.kron(*common(x1, x2))


@operation()
def vander(x: TensorLike, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803 - Keras's name
    """Return the Vandermonde matrix, the powers of each element: (n,) -> (n, N).

    Args:
        x: a vector (n,).
        N: how many powers; None: as many as elements.
        increasing: whether powers ascend from 0.

    >>> vander([1, 2], 3)
    tensor([[1, 1, 1],
            [4, 2, 1]], dtype=torch.int32)
    """
    x = tensor(x)
    check_rank(x, (1,), "(n,)")
    powers = runtime.create(torch.arange, sizes(x)[0] if N is None else number_of("N", N, 0), device=x.device)
    made = torch.pow(x.unsqueeze(-1), powers if increasing else powers.flip(0))
    return made if dtype(x) == "bool" else made.to(runtime.dtype_of(dtype(x)))


def _factors(*given: TensorLike) -> list[Tensor]:
    """Return the factors of a matrix product in one dtype; integers of 8 bits as int32, since their sums soon have more."""
    short = all(dtype(tensor(x)) == "int8" for x in given)
    return [tensor(x).to(torch.int32) for x in given] if short else common(*given)


def _product(function: Callable[..., Tensor], x1: TensorLike, x2: TensorLike) -> Tensor:
    x1, x2 = common(x1, x2)
    kind = dtype(x1)
    if is_float(kind):
        return function(x1, x2)
    wide = _wide(kind)
    return function(x1.to(wide), x2.to(wide)).to(torch_dtype(kind))


def _wide(kind: str) -> torch.dtype:
    """Return the floats in which sums of products of integers stay exact."""
    return torch.float64 if kind in ("int32", "int64") else torch.float32


@operation()
def slogdet(x: TensorLike) -> tuple[Tensor, Tensor]:
    """Return the sign of the determinant and the logarithm of its absolute value: (…, n, n) -> (…), (…).

    Args:
        x: the matrices (…, n, n).

    >>> slogdet([[2.0, 0.0], [0.0, 4.0]])
    (tensor(1.), tensor(2.0794))
    """
    found = torch.linalg.slogdet(floats(x))
    return found[0], found[1]
