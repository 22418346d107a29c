"""Linear algebra on the matrices along the last two axes: inverses, solutions, decompositions, norms."""

from __future__ import annotations

import sys

from anabranch._errors import ArgumentError
from anabranch.ops._public import operation, public_functions
from anabranch.ops._torch import torch
from anabranch.ops._types import Axes, Tensor, TensorLike
from anabranch.ops._values import common, floats, one_of, rank, some_axes

ARGUMENTS = {
    "x": "the matrices (…, n, n).",
    "a": "the matrices (…, n, n).",
    "b": "the right-hand sides (…, n, m), or a vector (n,).",
}


@operation()
def inv(x: TensorLike) -> Tensor:
    """Return the inverse matrices.

    >>> inv([[2.0, 0.0], [0.0, 4.0]])
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return torch.linalg.inv(floats(x))


@operation()
def pinv(x: TensorLike, rcond: float | None = None) -> Tensor:
    """Return the Moore-Penrose pseudo-inverse: (…, n, m) -> (…, m, n).

    Args:
        x: the matrices (…, n, m).
        rcond: singular values below this fraction of the greatest count as 0.

    >>> pinv([[2.0, 0.0], [0.0, 4.0]]).round(decimals=4)
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return torch.linalg.pinv(floats(x), rtol=rcond)


@operation()
def det(x: TensorLike) -> Tensor:
    """Return the determinant: (…, n, n) -> (…).

    >>> det([[2.0, 0.0], [0.0, 4.0]])
    tensor(8.)
    """
    return torch.linalg.det(floats(x))


@operation()
def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """Return x with a · x = b.

    Args:
        a: the matrices.
        b: the right-hand side.

    >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0])
    tensor([1., 1.])
    """
    return torch.linalg.solve(*common(floats(a), floats(b)))


@operation()
def solve_triangular(a: TensorLike, b: TensorLike, lower: bool = False) -> Tensor:
    """Return x with a · x = b for triangular a.

    Args:
        a: the matrices.
        b: the right-hand side.
        lower: whether a is lower triangular, upper triangular otherwise.

    >>> solve_triangular([[2.0, 0.0], [1.0, 4.0]], [2.0, 5.0], lower=True)
    tensor([1., 1.])
    """
    a, b = common(floats(a), floats(b))
    if rank(b) == rank(a) - 1:
        return torch.linalg.solve_triangular(a, b.unsqueeze(-1), upper=not lower).squeeze(-1)
    return torch.linalg.solve_triangular(a, b, upper=not lower)


@operation()
def cholesky(x: TensorLike, upper: bool = False) -> Tensor:
    """Return the lower triangular L with L · Lᵀ = x.

    Args:
        x: symmetric positive definite matrices (…, n, n).
        upper: whether to return Lᵀ instead.

    >>> cholesky([[4.0, 0.0], [0.0, 9.0]])
    tensor([[2., 0.],
            [0., 3.]])
    """
    return torch.linalg.cholesky(floats(x), upper=upper)


@operation()
def qr(x: TensorLike, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Return the orthogonal Q and the upper triangular R with Q · R = x: (…, n, m) -> (…, n, k), (…, k, m).

    Args:
        x: the matrices (…, n, m).
        mode: "reduced": k = min(n, m); "complete": k = n.

    >>> qr([[3.0, 1.0], [4.0, 2.0]])[1].abs().round(decimals=4)
    tensor([[5.0000, 2.2000],
            [0.0000, 0.4000]])
    """
    found = torch.linalg.qr(floats(x), one_of("mode", mode, ("reduced", "complete")))
    return found[0], found[1]


@operation()
def svd(x: TensorLike, full_matrices: bool = True, compute_uv: bool = True) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """Return U, the singular values s and Vᵀ with U · diag(s) · Vᵀ = x: (…, n, m).

    Args:
        x: the matrices (…, n, m).
        full_matrices: whether U and Vᵀ are square.
        compute_uv: whether to return U and Vᵀ too, or s alone.

    >>> svd([[2.0, 0.0], [0.0, 4.0]], compute_uv=False)
    tensor([4., 2.])
    """
    x = floats(x)
    if not compute_uv:
        return torch.linalg.svdvals(x)
    found = torch.linalg.svd(x, full_matrices)
    return found[0], found[1], found[2]


@operation()
def eigh(x: TensorLike) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues of symmetric matrices, ascending, and the eigenvectors as columns.

    Args:
        x: symmetric matrices (…, n, n).

    >>> eigh([[2.0, 0.0], [0.0, 4.0]])[0]
    tensor([2., 4.])
    """
    found = torch.linalg.eigh(floats(x))
    return found[0], found[1]


@operation()
def norm(x: TensorLike, ord: TensorLike | None = None, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the norm of vectors (one axis) or matrices (two axes).

    Args:
        x: the input, of any shape.
        ord: the order; None: 2 for vectors, Frobenius for matrices.

    >>> norm([3.0, 4.0])
    tensor(5.)
    """
    x = floats(x)
    axes = None if axis is None else some_axes(axis, rank(x))
    if axes is not None and len(axes) > 2:
        raise ArgumentError(
            "A norm has one axis or two.", expected="axis=i of vectors, axis=(i, j) of matrices", got=repr(axis)
        )
    if ord is None:
        return torch.linalg.vector_norm(x, dim=axes, keepdim=keepdims)
    return torch.linalg.norm(x, ord, axes, keepdims)


__all__ = sorted(public_functions(sys.modules[__name__]))
__dir__ = __all__.copy
