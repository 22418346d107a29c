"""Linear algebra on the matrices along the last two axes: inverses, solutions, decompositions, norms."""

from __future__ import annotations

import sys

from anabranch.ops._public import operation, public_functions
from anabranch.ops._torch import torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import common, floats, one_of, rank
from anabranch.ops.reduction import norm

OUTSIDE = frozenset(("logdet", "slogdet"))  # Keras has them in no namespace of this family


@operation()
def inv(x: TensorLike) -> Tensor:
    """Return the inverse.

    Args:
        x: the matrices (…, n, m).

    Example:
        >>> inv([[2.0, 0.0], [0.0, 4.0]])
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    return torch.linalg.inv(floats(x))


@operation()
def pinv(x: TensorLike, rcond: float | None = None) -> Tensor:
    """Return the pseudo-inverse; singular values below ``rcond`` times the greatest count as 0.

    Args:
        x: the matrices (…, n, m).
        rcond: singular values below this fraction of the greatest count as 0.

    Example:
        >>> pinv([[2.0, 0.0], [0.0, 4.0]]).round(decimals=4)
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    return torch.linalg.pinv(floats(x), rtol=rcond)


@operation()
def det(x: TensorLike) -> Tensor:
    """Return the determinant.

    Args:
        x: the matrices (…, n, m).

    Example:
        >>> det([[2.0, 0.0], [0.0, 4.0]])
        tensor(8.)
    """
    return torch.linalg.det(floats(x))


@operation()
def logdet(x: TensorLike) -> Tensor:
    """Return the logarithm of the determinant.

    Args:
        x: the matrices (…, n, m).

    Example:
        >>> logdet([[2.0, 0.0], [0.0, 4.0]])
        tensor(2.0794)
    """
    return torch.logdet(floats(x))


@operation()
def slogdet(x: TensorLike) -> tuple[Tensor, Tensor]:
    """Return the determinant's sign and the logarithm of its size.

    Args:
        x: the matrices (…, n, n).

    Example:
        >>> slogdet([[2.0, 0.0], [0.0, 4.0]])
        (tensor(1.), tensor(2.0794))
    """
    found = torch.linalg.slogdet(floats(x))
    return found[0], found[1]


@operation()
def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """Return x with a · x = b.

    Args:
        a: the matrices.
        b: the right-hand side.

    Example:
        >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0])
        tensor([1., 1.])
    """
    return torch.linalg.solve(*common(floats(a), floats(b)))


@operation()
def solve_triangular(a: TensorLike, b: TensorLike, lower: bool = False) -> Tensor:
    """Return x with a · x = b, where a is 0 above the diagonal (``lower``) or below it.

    Args:
        a: the matrices.
        b: the right-hand side.
        lower: whether it is lower triangular.

    Example:
        >>> solve_triangular([[2.0, 0.0], [1.0, 4.0]], [2.0, 5.0], lower=True)
        tensor([1., 1.])
    """
    a, b = common(floats(a), floats(b))
    if rank(b) == rank(a) - 1:
        return torch.linalg.solve_triangular(a, b.unsqueeze(-1), upper=not lower).squeeze(-1)
    return torch.linalg.solve_triangular(a, b, upper=not lower)


@operation()
def cholesky(x: TensorLike, upper: bool = False) -> Tensor:
    """Return the triangular L with L · Lᵀ = x, or where ``upper`` its transpose.

    Args:
        x: the matrices (…, n, m).
        upper: whether the upper factor is returned.

    Example:
        >>> cholesky([[4.0, 0.0], [0.0, 9.0]])
        tensor([[2., 0.],
                [0., 3.]])
    """
    return torch.linalg.cholesky(floats(x), upper=upper)


@operation()
def qr(x: TensorLike, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Return Q with columns at right angles and the triangular R, with Q · R = x.

    Args:
        x: the matrices (…, n, m).
        mode: the mode, as above.

    Example:
        >>> qr([[3.0, 1.0], [4.0, 2.0]])[1].abs().round(decimals=4)
        tensor([[5.0000, 2.2000],
                [0.0000, 0.4000]])
    """
    found = torch.linalg.qr(floats(x), one_of("mode", mode, ("reduced", "complete")))
    return found[0], found[1]


@operation()
def svd(x: TensorLike, full_matrices: bool = True, compute_uv: bool = True) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """Return U, the singular values and Vᵀ, whose product is x; without ``compute_uv`` the values alone.

    Args:
        x: the matrices (…, n, m).
        full_matrices: whether U and Vᵀ are square.
        compute_uv: whether U and Vᵀ are returned.

    Example:
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
        x: the matrices (…, n, m).

    Example:
        >>> eigh([[2.0, 0.0], [0.0, 4.0]])[0]
        tensor([2., 4.])
    """
    found = torch.linalg.eigh(floats(x))
    return found[0], found[1]


__all__ = sorted(public_functions(sys.modules[__name__]) | {"norm": norm})
__dir__ = __all__.copy
