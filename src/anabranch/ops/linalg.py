"""Linear algebra on the matrices along the last two axes: inverses, solutions, decompositions, norms."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence

from anabranch import _tree
from anabranch._arguments import checked
from anabranch._asked import described
from anabranch._errors import ArgumentError
from anabranch.ops._arguments import documented
from anabranch.ops._public import operation, public_functions
from anabranch.ops._torch import torch
from anabranch.ops._types import Axes, Tensor, TensorLike
from anabranch.ops._values import check_rank, common, floats, one_of, rank, some_axes, tensor

Nest = _tree.Nest
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
def eig(x: TensorLike) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues of square matrices, complex and in no order, and the eigenvectors as columns.

    >>> eig([[2.0, 0.0], [0.0, 4.0]])[0]
    tensor([2.+0.j, 4.+0.j])
    """
    found = torch.linalg.eig(floats(x))
    return found[0], found[1]


@operation()
def cholesky_inverse(x: TensorLike, upper: bool = False) -> Tensor:
    """Return the inverse of L · Lᵀ, given L.

    Args:
        x: the factors L (…, n, n), as ``cholesky`` returns them.
        upper: whether the factors are Lᵀ.

    >>> cholesky_inverse([[2.0]])
    tensor([[0.2500]])
    """
    return torch.cholesky_inverse(floats(x), upper=upper)


@operation()
def lu_factor(x: TensorLike) -> tuple[Tensor, Tensor]:
    """Return L and U with P · L · U = x in one matrix, without L's ones, and the row each row was exchanged with.

    Args:
        x: the matrices (…, n, m).

    >>> lu_factor([[1.0, 2.0], [4.0, 4.0]])
    (tensor([[4.0000, 4.0000],
            [0.2500, 1.0000]]), tensor([1, 1], dtype=torch.int32))
    """
    found = torch.linalg.lu_factor(floats(x))
    return found[0], found[1] - 1


@operation()
def lstsq(a: TensorLike, b: TensorLike, rcond: float | None = None) -> Tensor:
    """Return the x of least norm that minimizes |a · x - b|².

    Args:
        a: a matrix (m, n).
        b: the right-hand side (m,) or (m, k).
        rcond: singular values below this fraction of the greatest count as 0; None: the rounding error of a's dtype.

    >>> lstsq([[1.0], [1.0]], [1.0, 3.0]).round(decimals=4)
    tensor([2.])
    """
    a, b = common(floats(a), floats(b))
    check_rank(a, (2,), "(m, n)", "a")
    vector = check_rank(b, (1, 2), "(m,) or (m, k)", "b") == 1
    found = torch.linalg.pinv(a, rtol=rcond) @ (b.unsqueeze(-1) if vector else b)  # CUDA's lstsq needs full rank
    return found.squeeze(-1) if vector else found


@operation()
def matrix_rank(x: TensorLike, tol: float | None = None) -> Tensor:
    """Return the rank, the number of singular values above ``tol``: (…, n, m) -> (…), int32.

    Args:
        x: the matrices (…, n, m).
        tol: the bound; None: it follows from the greatest singular value and the sizes.

    >>> matrix_rank([[1.0, 2.0], [2.0, 4.0]])
    tensor(1, dtype=torch.int32)
    """
    return torch.linalg.matrix_rank(floats(x), atol=tol).to(torch.int32)


@checked
@documented
def jvp(fun: Callable[..., Nest], primals: Sequence[Nest], tangents: Sequence[Nest], has_aux: bool = False) -> tuple[Nest, ...]:
    """Return ``fun(*primals)`` and its derivative in the direction of ``tangents``, computed forward.

    Args:
        fun: the function.
        primals: its arguments.
        tangents: the direction, of the shapes of ``primals``.
        has_aux: whether ``fun`` returns a pair, the second of which is not differentiated and returned last.

    >>> jvp(torch.square, (3.0,), (1.0,))
    (tensor(9.), tensor(6.))
    """
    points, directions = (tuple(_tree.map_leaves(tensor, tuple(each))) for each in (primals, tangents))
    if len(_tree.leaves(points)) != len(_tree.leaves(directions)) or len(points) != len(directions):
        raise ArgumentError(
            "There is one tangent for each argument.", got=f"{len(points)} primals, {len(directions)} tangents",
        )  # fmt: skip

    def pair(*args: Nest) -> Nest:
        found = fun(*args)
        if not isinstance(found, tuple) or len(found) != 2:
            raise ArgumentError("fun must return a pair where has_aux=True.", expected="(result, more)", got=described(found))
        return found

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is")  # torch's own: deprecated, or not supported
        return torch.func.jvp(pair if has_aux else fun, points, directions, has_aux=has_aux)


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
