"""Linear algebra on the matrices along the last two axes: inverses, solutions, decompositions, norms."""

from __future__ import annotations

from typing import Any

from anabranch.ops._public import operation
from anabranch.ops._torch import torch
from anabranch.ops._values import common, floats, one_of, rank
from anabranch.ops.reduction import norm

__all__ = ["cholesky", "det", "eigh", "inv", "norm", "pinv", "qr", "solve", "solve_triangular", "svd"]


@operation()
def inv(x: Any) -> Any:
    """Return the inverse."""
    return torch.linalg.inv(floats(x))


@operation()
def pinv(x: Any, rcond: float | None = None) -> Any:
    """Return the pseudo-inverse; singular values below ``rcond`` times the greatest count as 0."""
    return torch.linalg.pinv(floats(x), rtol=rcond)


@operation()
def det(x: Any) -> Any:
    """Return the determinant."""
    return torch.linalg.det(floats(x))


@operation()
def logdet(x: Any) -> Any:
    """Return the logarithm of the determinant."""
    return torch.logdet(floats(x))


@operation()
def slogdet(x: Any) -> tuple[Any, Any]:
    """Return the determinant's sign and the logarithm of its size."""
    found = torch.linalg.slogdet(floats(x))
    return found[0], found[1]


@operation()
def solve(a: Any, b: Any) -> Any:
    """Return x with a · x = b."""
    return torch.linalg.solve(*common(floats(a), floats(b)))


@operation()
def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """Return x with a · x = b, where a is 0 above the diagonal (``lower``) or below it."""
    a, b = common(floats(a), floats(b))
    if rank(b) == rank(a) - 1:
        return torch.linalg.solve_triangular(a, b.unsqueeze(-1), upper=not lower).squeeze(-1)
    return torch.linalg.solve_triangular(a, b, upper=not lower)


@operation()
def cholesky(x: Any, upper: bool = False) -> Any:
    """Return the triangular L with L · Lᵀ = x, or where ``upper`` its transpose."""
    return torch.linalg.cholesky(floats(x), upper=upper)


@operation()
def qr(x: Any, mode: str = "reduced") -> tuple[Any, Any]:
    """Return Q with columns at right angles and the triangular R, with Q · R = x."""
    found = torch.linalg.qr(floats(x), one_of("mode", mode, ("reduced", "complete")))
    return found[0], found[1]


@operation()
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Return U, the singular values and Vᵀ, whose product is x; without ``compute_uv`` the values alone."""
    x = floats(x)
    if not compute_uv:
        return torch.linalg.svdvals(x)
    found = torch.linalg.svd(x, full_matrices)
    return found[0], found[1], found[2]


@operation()
def eigh(x: Any) -> tuple[Any, Any]:
    """Return the eigenvalues of symmetric matrices, ascending, and the eigenvectors as columns."""
    found = torch.linalg.eigh(floats(x))
    return found[0], found[1]


__dir__ = __all__.copy
