"""The one table of all functions of ``anabranch.ops``: every check of ``tests/ops/test_every_op.py`` runs over its rows.

A new function needs a row, or the test fails. Arrays among the arguments are what a symbolic call has tensors for, their first
axis being the batch; those made by ``fixed`` stay numbers (kernels, constants).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Fixed(np.ndarray):
    """An array that stays one in a symbolic call."""


@dataclass(frozen=True)
class Op:
    """One way of calling a function.

    Args:
        name: the function, as a path below ``ops``.
        args: positional arguments.
        kwargs: others.
        label: what distinguishes this row from others of the function.
        symbolic: whether it takes symbolic tensors in the place of arrays.
        instead: what gives the right numbers of plain arrays where Keras on torch does not; ``reason`` says why.
        free: whether no numbers are right, so that none are compared.
        same_dtype: whether Keras gives the same dtypes; if not, ``reason`` says why.
        same_rule: whether Keras infers the same symbolic shape; if not, ``reason`` says why.
        gradient: whether gradients are compared.
        tolerance: greatest error beside Keras.
        reason: where Keras differs.
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    symbolic: bool = True
    instead: Callable[..., Any] | None = None
    free: bool = False
    same_dtype: bool = True
    same_rule: bool = True
    gradient: bool = True
    tolerance: float = 1e-5
    reason: str = ""

    @property
    def oracle(self) -> bool:
        """Whether Keras on torch gives the same numbers."""
        return self.instead is None and not self.free

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.name} {self.label}".strip()


def draw(*shape: int, low: float | None = None, high: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return normal numbers, or uniform ones from [low, high)."""
    rng = np.random.default_rng(zlib.crc32(repr((shape, low, high, seed)).encode()))
    made = rng.normal(size=shape) if low is None else rng.uniform(low, high, shape)
    return made.astype("float32")


def whole(*shape: int, low: int = -4, high: int = 5, dtype: str = "int32", seed: int = 0) -> np.ndarray:
    """Return integers from [low, high)."""
    return np.random.default_rng([*shape, high, seed]).integers(low, high, shape).astype(dtype)


def truth(*shape: int, seed: int = 0) -> np.ndarray:
    """Return booleans."""
    return np.random.default_rng([*shape, seed]).random(shape) < 0.5


def fixed(array: np.ndarray) -> np.ndarray:
    """Return an array that stays one in a symbolic call."""
    return array.view(Fixed)


X, Y, P = draw(3, 4), draw(3, 4, seed=1), draw(3, 4, low=0.1)
UNIT = draw(3, 4, low=-0.9, high=0.9)
Z, M = whole(3, 4), whole(3, 4, low=1, seed=1)
CUBE = draw(3, 4, 5)
ODD = np.array([[np.nan, np.inf, -np.inf, 0.0], [1.0, -0.0, 2.0, np.nan]], "float32")
IMAGES, SERIES, VOLUMES = draw(3, 8, 9, 4), draw(3, 10, 4), draw(3, 5, 6, 7, 2)
LAST, FIRST = "channels_last", "channels_first"
SQUARES = draw(3, 4, 4) + 3 * np.eye(4, dtype="float32")
CORNERS = np.tile(np.array([[0, 0], [8, 0], [0, 7], [8, 7]], "float32"), (3, 1, 1))
MOVED = CORNERS + draw(3, 4, 2, low=0.0, high=2.0)
AFFINE = np.array([1.1, 0.2, -1, 0.1, 0.9, 2, 0, 0], "float32") + draw(3, 8, low=0.0) * np.array(
    [0.2] * 6 + [0.0] * 2, "float32"
)
SYMMETRIC = SQUARES @ SQUARES.transpose(0, 2, 1)
PROBABLE = np.exp(X) / np.exp(X).sum(-1, keepdims=True)


def nearest_share(x: np.ndarray) -> np.ndarray:
    """Return the nearest point whose elements are ≥ 0 and sum to 1, found by bisection."""
    low, high = x.min(-1, keepdims=True) - 1.0, x.max(-1, keepdims=True)
    for _ in range(60):
        middle = (low + high) / 2
        above = np.maximum(x - middle, 0).sum(-1, keepdims=True) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.maximum(x - low, 0)


def capped_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, attn_logits_soft_cap: float, **_: Any) -> np.ndarray:
    """Return causal attention with bent logits."""
    logits = np.einsum("btnh,bsnh->bnts", q, k) / np.sqrt(q.shape[-1])
    logits = attn_logits_soft_cap * np.tanh(logits / attn_logits_soft_cap)
    shares = np.where(np.tril(np.ones(logits.shape[-2:], bool)), np.exp(logits), 0)
    return np.einsum("bnts,bsnh->btnh", shares / shares.sum(-1, keepdims=True), v)


def lanczos(images: np.ndarray, size: tuple[int, int], method: str, antialias: bool) -> np.ndarray:
    """Return images resized by weights, as a function does whose numbers are Keras's."""
    from anabranch import ops

    scale = np.array(size, "float32") / images.shape[1:3]
    shape = (len(images), *size, images.shape[3])
    return ops.image.scale_and_translate(images, shape, scale, np.zeros(2, "float32"), (1, 2), method, antialias).cpu().numpy()


# name -> numbers it is defined on
UNARY = {
    **dict.fromkeys(("absolute", "abs", "negative", "sign", "square", "exp", "exp2", "expm1", "sin", "cos", "tan", "arctan",
                     "sinh", "cosh", "tanh", "arcsinh", "deg2rad", "rad2deg", "sinc", "erf", "erfc"), X),
    **dict.fromkeys(("sqrt", "rsqrt", "reciprocal", "log", "log1p", "log2", "log10", "cbrt"), P),
    **dict.fromkeys(("arcsin", "arccos", "arctanh", "erfinv"), UNIT),
    "arccosh": P + 1,
    **dict.fromkeys(("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "sigmoid",
                     "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink",
                     "softplus", "softsign", "squareplus", "log_sigmoid", "sparse_plus", "sparse_sigmoid"), 3 * X),
}  # fmt: skip
STEPS = ("floor", "ceil", "trunc", "round", "signbit")  # without a gradient worth the name
# on integers: the others are not defined there, or Keras on torch refuses
WHOLE = ("absolute", "negative", "sign", "square", "exp", "expm1", "sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh",
         "arcsinh", "sqrt", "log", "log1p", "log2", "log10", "floor", "ceil", "trunc", "round", "reciprocal",
         "erf")  # fmt: skip
BINARY = ("add", "subtract", "multiply", "divide", "true_divide", "maximum", "minimum", "fmax", "fmin", "arctan2", "hypot",
          "logaddexp", "logaddexp2", "divide_no_nan")  # fmt: skip
COMPARISONS = (
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
)
REDUCTIONS = ("sum", "prod", "mean", "var", "std", "max", "min", "amax", "amin", "ptp", "logsumexp", "median")

ELEMENTS = [
    *(Op(name, (x,)) for name, x in UNARY.items()),
    *(Op(name, (3 * X,), gradient=False) for name in STEPS),
    *(Op(name, (M if "log" in name or name in ("sqrt", "reciprocal") else Z,), label="whole") for name in WHOLE),
    Op("round", (3 * X, 1), label="decimals", gradient=False),
    Op("gelu", (X, False), label="exact"),
    Op("threshold", (X, 0.3, -1.0)),
    Op("relu", (Z,), label="whole"),
    Op("clip", (X, -0.5, 0.5)),
    Op("clip", (Z, -1, 2), label="whole"),
    Op("clip", (X, np.float32(-1) * P[:1, :].view(Fixed), 0.5), label="bounds"),
    Op("where", (truth(3, 4), X, Y)),
    Op("where", (X > 0, X, 0.0), label="number"),
    Op("where", (truth(3, 4),), label="places", symbolic=False),
    Op("select", ([X > 1, Y > 0], [X, Y], 0.5)),
    Op("nan_to_num", (np.nan_to_num(ODD, posinf=np.inf, neginf=-np.inf), 1.0, 2.0, -3.0), gradient=False),
    *(Op(name, (ODD,), gradient=False) for name in ("isnan", "isinf", "isfinite", "isposinf", "isneginf")),
    Op("nan_to_num", (ODD,), label="defaults", gradient=False),
]
PAIRS = [
    *(Op(name, (X, Y)) for name in BINARY),
    *(Op(name, (X, 2.5), label="number") for name in ("add", "subtract", "multiply", "divide", "maximum")),
    *(Op(name, (2.5, X), label="number first") for name in ("add", "subtract", "multiply", "divide", "minimum")),
    *(Op(name, (Z, M), label="whole") for name in ("add", "subtract", "multiply", "divide", "maximum", "floor_divide", "mod")),
    *(Op(name, (X, M), label="mixed") for name in ("add", "multiply", "divide", "less", "maximum")),
    *(Op(name, (CUBE, draw(3, 1, 5)), label="stretched") for name in ("add", "multiply", "divide")),
    Op("divide_no_nan", (X, np.where(Y > 0, Y, 0).astype("float32")), label="zeros"),
    Op("floor_divide", (X, Y), gradient=False),
    Op("mod", (X, Y), gradient=False),
    Op("fmod", (X, Y), gradient=False),
    Op("power", (P, Y)),
    Op("power", (X, 2), label="number"),
    *(Op(name, (X, np.where(X > 0, X, Y))) for name in COMPARISONS),
    *(Op(name, (Z, 2), label="number") for name in ("equal", "less", "greater_equal")),
    Op("logical_not", (truth(3, 4),)),
    Op("isclose", (X, X + 1e-6)),
    Op("allclose", (X, X + 1e-7)),
    Op("isin", (Z, fixed(np.array([1, 2], "int32")))),
    *(Op(name, (CUBE, 1)) for name in ("cumsum", "cumprod", "sort", "argsort")),
    *(Op(name, (CUBE,), label="flat", symbolic=name[:3] == "cum") for name in ("cumsum", "cumprod")),
    Op("cumsum", (Z, 1), label="whole"),
    Op("diff", (CUBE,)),
    Op("diff", (CUBE, 2, 1), label="twice"),
]
REDUCED = [
    *(Op(name, (CUBE,)) for name in REDUCTIONS),
    *(Op(name, (CUBE, -1), label="axis") for name in (*REDUCTIONS, "argmax", "argmin")),
    *(Op(name, (CUBE, (0, -1)), {"keepdims": True}, label="axes") for name in REDUCTIONS if name != "prod"),
    *(Op(name, (Z, 1), label="whole") for name in ("sum", "prod", "mean", "var", "std", "max", "min", "argmax")),
    *(Op(name, (X,), label="flat") for name in ("argmax", "argmin")),
    Op("count_nonzero", (CUBE > 0, -1), instead=np.count_nonzero, same_dtype=False, reason="Keras on torch turns the result"),
    Op("count_nonzero", (Z, (0, 1)), label="axes"),
    Op("sum", (truth(3, 4), 1), label="truth"),
    Op("max", (CUBE, 1, False, 0.7), label="initial"),
    Op("min", (CUBE, 1, True, -0.7), label="initial"),
    Op("argmax", (CUBE, 1, True), label="keepdims"),
    Op("average", (CUBE, 1)),
    Op("average", (CUBE, 1, draw(3, 4, 5, low=0.1)), label="weighted", instead=np.average,
       reason="Keras on torch fails where the axis is not the last"),
    *(Op(name, (CUBE > 0, 1)) for name in ("all", "any")),
    *(Op(name, (truth(3, 4),), label="flat") for name in ("all", "any")),
    Op("quantile", (CUBE, 0.3, 1)),
    Op("quantile", (CUBE, fixed(np.array([0.25, 0.6], "float32")), (1, 2), "nearest", True), label="several", gradient=False),
    Op("percentile", (CUBE, 30.0, 1)),
    Op("norm", (CUBE, None, -1)),
    Op("norm", (CUBE, "fro", (1, 2)), label="matrices"),
    Op("norm", (CUBE, 1, 1, True), label="first order"),
    Op("norm", (X,), label="flat"),
    *(Op(name, (CUBE, fixed(np.array([0, 2, 0], "int32")), 4), symbolic=False, gradient=False)
      for name in ("segment_sum", "segment_max", "segment_min", "segment_prod")),
    *(Op("linalg." + name, (SQUARES,), gradient=False) for name in ("inv", "det", "pinv")),
]  # fmt: skip
SHAPED = [
    Op("reshape", (CUBE, (-1, 2, 10))),
    Op("reshape", (CUBE, (-1,)), label="flat"),
    Op("reshape", (draw(6, 3), (-1, 2, 3)), label="pairs of the batch"),
    Op("ravel", (CUBE,)),
    Op("transpose", (CUBE,)),
    Op("transpose", (CUBE, (0, 2, 1)), label="axes"),
    Op("moveaxis", (CUBE, 1, -1)),
    Op("moveaxis", (CUBE, (0, 1), (1, 2)), label="several"),
    Op("swapaxes", (CUBE, 1, -1)),
    Op("expand_dims", (X, 1)),
    Op("expand_dims", (X, (0, -1)), label="several"),
    Op("squeeze", (draw(3, 1, 4, 1),)),
    Op("squeeze", (draw(3, 1, 4, 1), 1), label="axis"),
    Op("squeeze", (draw(3, 1, 4, 1), (1, -1)), label="axes"),
    Op("broadcast_to", (fixed(draw(1, 4)), (3, 4)), symbolic=False),
    Op("broadcast_to", (draw(2, 4), (3, 2, 4))),
    Op("flip", (CUBE,)),
    Op("flip", (CUBE, 1), label="axis"),
    Op("roll", (CUBE, 2, 1)),
    Op("roll", (CUBE, (1, -1), (1, 2)), label="axes"),
    Op("roll", (CUBE, 3), label="flat"),
    Op("rot90", (CUBE, 1, (1, 2))),
    Op("repeat", (CUBE, 2, 1)),
    Op("repeat", (CUBE, 2), label="flat"),
    Op("repeat", (CUBE, fixed(np.array([1, 0, 2, 1])), 1), label="each", symbolic=False),
    Op("tile", (CUBE, (1, 2, 1))),
    Op("tile", (X, 2), label="number"),
    Op("pad", (CUBE, ((0, 0), (1, 2), (0, 1)))),
    Op("pad", (CUBE, ((0, 0), (1, 2), (0, 1)), "constant", 1.5), label="value"),
    Op("pad", (IMAGES, ((0, 0), (1, 2), (2, 1), (0, 0)), "reflect"), label="reflect"),
    Op(
        "pad",
        (IMAGES, ((0, 0), (1, 2), (2, 1), (0, 0)), "symmetric"),
        label="symmetric",
        instead=np.pad,
        reason="Keras on torch mirrors at the border",
    ),
    Op("pad", (CUBE, ((0, 0), (1, 2), (0, 1)), "edge"), label="edge", instead=np.pad, reason="Keras on torch has none"),
    Op("pad", (CUBE, ((0, 0), (1, 2), (0, 1)), "wrap"), label="wrap", instead=np.pad, reason="Keras on torch has none"),
    Op("diagonal", (CUBE, 1, 1, 2)),
    Op("diag", (X,), label="matrix", symbolic=False),
    Op("diag", (draw(3), 1), symbolic=False),
    Op("diagflat", (X,), symbolic=False),
    *(Op(name, (CUBE, 1)) for name in ("tril", "triu")),
    Op("trace", (CUBE, 0, 1, 2)),
    Op("trace", (Z, 0, 0, 1), label="whole"),
    Op("concatenate", ([X, Y], -1)),
    Op("concatenate", ([X, Y],), label="batch"),
    Op("stack", ([X, Y], 1)),
    Op("stack", ([X, Y], -1), label="last"),
    *(Op(name, ([X, Y],)) for name in ("hstack", "vstack", "dstack")),
    *(
        Op(
            name,
            ([draw(3), draw(3, seed=1)],),
            label="vectors",
            same_rule=name == "dstack",
            reason="Keras's rule knows matrices",
        )
        for name in ("hstack", "vstack", "dstack")
    ),
    Op("append", (X, Y, 1)),
    Op("append", (X, Y), label="flat"),
    Op("split", (CUBE, 2, 1)),
    Op("split", (CUBE, [1, 3], 1), label="places"),
    Op("array_split", (CUBE, 3, 1)),
    Op("array_split", (CUBE, [1, 3], 1), label="places", instead=np.array_split, reason="Keras takes a number only"),
    Op("unstack", (CUBE, None, 1)),
    Op("meshgrid", (draw(3), draw(4)), symbolic=False),
    Op("meshgrid", (draw(3), draw(4)), {"indexing": "ij"}, label="ij", symbolic=False),
]
PLACES = [
    Op("take", (CUBE, fixed(np.array([2, -1, 0])), 1)),
    Op("take", (CUBE, fixed(np.array([[2, 1], [0, 3]])), -1), label="matrix"),
    Op("take", (fixed(draw(7, 2)), whole(3, 4, low=0, high=7), 0), label="symbolic places"),
    Op("take", (X, fixed(np.array([3, 1]))), label="flat"),
    Op("take_along_axis", (CUBE, whole(3, 2, 5, low=0, high=4), 1)),
    Op("get_item", (CUBE, (slice(None), 1, slice(0, 4, 2)))),
    Op("slice", (CUBE, (0, 1, 2), (3, 2, 3)), symbolic=False),
    Op(
        "slice",
        (CUBE, (0, 1, 2), (-1, 2, 3)),
        label="rest",
        instead=lambda x, *_: x[:, 1:3, 2:5],
        reason="Keras on torch loses the last element",
    ),
    Op("slice_update", (CUBE, (0, 1, 2), draw(3, 2, 3, seed=3))),
    Op("scatter", (fixed(np.array([[0, 1], [2, 3], [0, 1]])), fixed(draw(3)), (3, 4)), symbolic=False),
    Op("scatter_update", (CUBE, fixed(np.array([[0, 1], [2, 3]])), fixed(draw(2, 5))), symbolic=False),
    Op(
        "scatter_update",
        (X, fixed(np.array([[0, 1], [2, 3]])), fixed(draw(2)), "max"),
        label="max",
        symbolic=False,
        gradient=False,
    ),
    Op("scatter_update", (X, fixed(np.array([[0, 1], [0, 1]])), fixed(draw(2)), "add"), label="add", symbolic=False),
    Op("nonzero", (Z,), symbolic=False, instead=np.nonzero, same_dtype=False, reason="Keras on torch gives no tuple"),
    Op("sort", (CUBE,), label="last"),
    Op("top_k", (CUBE, 2), same_dtype=False, reason="Keras says int32, and on torch gives int64"),
    Op("in_top_k", (whole(3, low=0, high=4), X, 2)),
    Op("searchsorted", (fixed(np.array([-1.0, 0.0, 1.0], "float32")), fixed(draw(5)), "right"), symbolic=False),
    Op("digitize", (X, fixed(np.array([-1.0, 0.0, 1.0], "float32"))), gradient=False),
    Op("bincount", (whole(6, low=0),), symbolic=False),
    Op("bincount", (whole(2, 6, low=0), None, 9), label="rows", symbolic=False),
]
MADE = [
    *(Op(name, ((2, 3),), symbolic=False) for name in ("zeros", "ones")),
    Op("zeros", ((2,), "int32"), label="whole", symbolic=False),
    Op("empty", ((2, 3),), symbolic=False, free=True),
    Op("full", ((2, 3), 1.5), symbolic=False),
    Op("full", ((2, 3), 2, "int32"), label="whole", symbolic=False),
    *(Op(name, (Z,)) for name in ("zeros_like", "ones_like")),
    Op("empty_like", (X,), free=True),
    Op("zeros_like", (X, "int32"), label="dtype", gradient=False),
    Op("full_like", (X, 2.5), gradient=False),
    Op("eye", (3,), symbolic=False),
    Op("eye", (3, 4, 1), label="above", symbolic=False),
    Op("eye", (3, 4, -1), label="below", symbolic=False),
    Op("identity", (3,), symbolic=False),
    Op("tri", (3, 4, 1), symbolic=False),
    Op("arange", (5,), symbolic=False),
    Op("arange", (1.0, 4.0, 0.5), label="floats", symbolic=False),
    Op("arange", (1, 4, 2, "float32"), label="dtype", symbolic=False),
    Op("linspace", (0.0, 1.0, 5), symbolic=False),
    Op("linspace", (0.0, 1.0, 5, False), label="open", symbolic=False),
    Op("linspace", (fixed(draw(3)), fixed(draw(3, seed=1)), 4), label="lines", symbolic=False, gradient=False),
    Op("logspace", (0.0, 2.0, 5), symbolic=False),
    Op("convert_to_tensor", (X,)),
    Op("convert_to_tensor", ([1.0, 2.0],), label="floats", symbolic=False),
    Op("convert_to_tensor", ([1, 2],), label="whole", symbolic=False),
    Op("array", (Z, "float32")),
    Op("cast", (X * 3, "int32"), gradient=False),
    Op("cast", (Z, "float32"), label="floats"),
    Op("cast", (Z, "bool"), label="truth"),
    Op("saturate_cast", (300 * X, "uint8"), gradient=False),
    Op("copy", (X,)),
    Op("stop_gradient", (X,), gradient=False),
]
PRODUCTS = [
    Op("matmul", (CUBE, fixed(draw(5, 2)))),
    Op("matmul", (CUBE, draw(3, 5, 2)), label="batches"),
    Op("matmul", (Z, fixed(whole(4, 2))), label="whole"),
    Op("dot", (X, fixed(draw(4, 2)))),
    Op("dot", (CUBE, fixed(draw(2, 5, 3))), label="cube", instead=np.dot, reason="Keras on torch multiplies as matmul does"),
    Op("vdot", (draw(3), draw(3, seed=1)), symbolic=False),
    Op("inner", (X, fixed(draw(2, 4)))),
    Op("outer", (draw(3), fixed(draw(4)))),
    Op("tensordot", (CUBE, fixed(draw(5, 4, 2)), ((1, 2), (1, 0)))),
    Op("tensordot", (X, fixed(draw(4, 2)), 1), label="number"),
    Op("einsum", ("btc,bsc->bts", CUBE, draw(3, 2, 5))),
    Op("einsum", ("ij,jk->ik", Z, fixed(whole(4, 2))), label="whole"),
    Op("cross", (draw(4, 3), draw(4, 3, seed=1)), {"axis": -1}),
    Op("kron", (X, fixed(draw(2, 3)))),
    Op("logdet", (SYMMETRIC,)),
    Op("slogdet", (SQUARES,), same_rule=False, reason="Keras's rule knows one matrix"),
    Op("linalg.solve", (SQUARES, draw(3, 4, 2))),
    Op("linalg.solve_triangular", (np.tril(SQUARES), draw(3, 4, 2)), {"lower": True}),
    Op("linalg.cholesky", (SYMMETRIC,), gradient=False),
    Op("linalg.qr", (SQUARES,), gradient=False),
    Op("linalg.svd", (SQUARES,), {"compute_uv": False}, gradient=False),
    Op("linalg.eigh", (SYMMETRIC,), free=True),
]
NETWORKS = [
    *(Op(name, (CUBE,)) for name in ("softmax", "log_softmax")),
    Op("softmax", (CUBE, (1, 2)), label="axes"),
    Op("log_softmax", (CUBE, 1), label="axis"),
    Op("sparsemax", (X,), instead=nearest_share, reason="Keras on torch gives numbers that do not sum to 1"),
    Op("glu", (X,), same_rule=False, reason="Keras's shape rule says that the axis keeps its size"),
    Op("one_hot", (whole(3, 4, low=0, high=6), 6)),
    Op("one_hot", (whole(3, 4, low=0, high=6), 6, 1, "int32"), label="axis"),
    Op("multi_hot", (whole(3, 4, low=0, high=6), 6)),
    Op("conv", (IMAGES, fixed(draw(3, 3, 4, 5)))),
    Op("conv", (IMAGES, fixed(draw(3, 2, 4, 5)), 2, "same"), label="same strides"),
    Op(
        "conv",
        (IMAGES, fixed(draw(3, 3, 2, 6)), 1, "valid", None, 2),
        label="groups dilated",
        same_rule=False,
        reason="Keras's rule knows no groups",
    ),
    Op("conv", (draw(3, 4, 8, 9), fixed(draw(3, 3, 4, 5)), 1, "same", FIRST), label="channels first"),
    Op("conv", (SERIES, fixed(draw(3, 4, 5)), 2), label="series"),
    Op("conv", (VOLUMES, fixed(draw(2, 2, 2, 2, 3)), 1, "same"), label="volumes"),
    Op("depthwise_conv", (IMAGES, fixed(draw(3, 3, 4, 2)))),
    Op("depthwise_conv", (SERIES, fixed(draw(3, 4, 1)), 2, "same"), label="series"),
    Op("separable_conv", (IMAGES, fixed(draw(3, 3, 4, 2)), fixed(draw(1, 1, 8, 5)), 1, "same")),
    Op("conv_transpose", (IMAGES, fixed(draw(3, 3, 5, 4)), 2)),
    Op("conv_transpose", (IMAGES, fixed(draw(3, 3, 5, 4)), 2, "same"), label="same"),
    Op("conv_transpose", (SERIES, fixed(draw(4, 5, 4)), 3, "same", 1), label="output padding"),
    Op("max_pool", (IMAGES, 2)),
    Op("max_pool", (IMAGES, 3, 2, "same"), label="same"),
    Op("max_pool", (SERIES, 2, 1), label="series"),
    Op("average_pool", (IMAGES, (2, 3))),
    Op("average_pool", (draw(3, 4, 8, 9), 2, None, "valid", FIRST), label="channels first"),
    Op("adaptive_average_pool", (IMAGES, (2, 3)), same_rule=False, reason="Keras's rule has an axis too many"),
    Op("adaptive_max_pool", (IMAGES, (2, 3)), same_rule=False, reason="Keras's rule has an axis too many"),
    Op("space_to_depth", (draw(3, 4, 6, 2), 2)),
    Op("depth_to_space", (draw(3, 2, 3, 8), 2)),
    Op("space_to_depth", (draw(3, 2, 4, 6), 2, FIRST), label="channels first"),
    Op("depth_to_space", (draw(3, 8, 2, 3), 2, FIRST), label="channels first"),
    Op("moments", (CUBE, [1, 2])),
    Op("moments", (CUBE, [1], True), label="keepdims"),
    Op(
        "batch_normalization",
        (IMAGES, fixed(draw(4)), fixed(draw(4, low=0.5)), -1, fixed(draw(4, seed=2)), fixed(draw(4, seed=3))),
    ),
    Op("batch_normalization", (IMAGES, fixed(draw(8)), fixed(draw(8, low=0.5)), 1), label="axis 1"),
    Op("layer_normalization", (CUBE, fixed(draw(5)), fixed(draw(5, seed=1)))),
    Op("layer_normalization", (CUBE,), {"axis": (1, 2), "epsilon": 1e-3}, label="axes"),
    Op("rms_normalization", (CUBE, fixed(draw(5)))),
    Op(
        "rms_normalization",
        (CUBE,),
        {"axis": 1},
        label="axis",
        reason="Keras on torch fails",
        instead=lambda x, axis: x / np.sqrt(np.square(x).mean(axis, keepdims=True) + 1e-7),
    ),
    Op("normalize", (CUBE,)),
    Op("normalize", (CUBE, 1, 3), label="third order"),
    Op("psnr", (P, P + 0.1 * UNIT, 1.0)),
    Op("binary_crossentropy", (whole(3, 4, low=0, high=2).astype("float32"), P / 2), tolerance=1e-4),
    Op("binary_crossentropy", (whole(3, 4, low=0, high=2).astype("float32"), X, True), label="logits"),
    Op("categorical_crossentropy", (PROBABLE, P)),
    Op("categorical_crossentropy", (PROBABLE, X, True), label="logits"),
    Op("sparse_categorical_crossentropy", (whole(3, low=0, high=4), P)),
    Op("sparse_categorical_crossentropy", (whole(3, 1, low=0, high=4), X, True), label="logits"),
    Op("sparse_categorical_crossentropy", (whole(3, 5, low=0, high=4), CUBE, True, 1), label="axis"),
    Op("dot_product_attention", (draw(3, 5, 2, 4), draw(3, 6, 2, 4), draw(3, 6, 2, 4, seed=1))),
    Op(
        "dot_product_attention",
        (draw(3, 5, 4, 4), draw(3, 6, 2, 4), draw(3, 6, 2, 4, seed=1), draw(3, 4, 5, 6)),
        label="bias grouped",
    ),
    Op(
        "dot_product_attention",
        (draw(3, 5, 2, 4), draw(3, 5, 2, 4), draw(3, 5, 2, 4, seed=1)),
        {"mask": truth(3, 1, 5, 5) | np.eye(5, dtype=bool), "is_causal": True, "scale": 0.3},
        label="mask",
    ),
    Op(
        "dot_product_attention",
        (draw(3, 5, 2, 4), draw(3, 5, 2, 4), draw(3, 5, 2, 4, seed=1)),
        {"is_causal": True, "attn_logits_soft_cap": 2.0},
        label="cap",
        instead=capped_attention,
        reason="Keras on torch has no cap",
    ),
    Op("image.resize", (IMAGES, (5, 12))),
    Op("image.resize", (IMAGES, (16, 5), "nearest"), label="nearest"),
    Op("image.resize", (IMAGES, (5, 12), "bicubic", True), label="bicubic antialias"),
    Op("image.resize", (IMAGES[0], (5, 12)), {"data_format": LAST}, label="one image"),
    Op(
        "image.resize",
        (IMAGES, (5, 12), "lanczos3", True),
        label="lanczos",
        instead=lanczos,
        reason="Keras on torch refuses it",
    ),
    Op("image.resize", (IMAGES, (4, 8)), {"crop_to_aspect_ratio": True}, label="cropped"),
    Op("image.resize", (IMAGES, (4, 8)), {"pad_to_aspect_ratio": True, "fill_value": 0.5}, label="padded"),
    Op("image.resize", (whole(3, 6, 6, 2, low=0, high=255, dtype="uint8"), (4, 8)), label="bytes"),
    Op("image.rgb_to_grayscale", (draw(3, 4, 5, 3),)),
    Op("image.rgb_to_grayscale", (draw(3, 3, 4, 5), FIRST), label="channels first"),
    Op("image.pad_images", (IMAGES, 1, 2, 3, 0)),
    Op("image.pad_images", (IMAGES, 1, 2, None, None, 12, 12), label="target"),
    Op("image.crop_images", (IMAGES, 1, 2, 3, 0)),
    Op("image.crop_images", (IMAGES, 1, 2, None, None, 4, 3), label="target"),
    Op("image.rgb_to_grayscale", (draw(3, 4, 5, 1),), label="grey"),
    *(Op(f"image.{name}", (draw(3, 4, 5, 3, low=0.0),)) for name in ("rgb_to_hsv", "hsv_to_rgb")),
    *(Op(f"image.{name}", (draw(3, 3, 4, 5, low=0.0), FIRST), label=FIRST) for name in ("rgb_to_hsv", "hsv_to_rgb")),
    Op("image.extract_patches", (IMAGES, 2)),
    Op("image.extract_patches", (IMAGES, (3, 2), (2, 1), 1, "same"), label="same"),
    Op("image.extract_patches", (IMAGES, 2, 1, 2), label="dilated"),
    Op("image.extract_patches", (IMAGES, 3, None, 1, "valid", FIRST), label=FIRST),
    Op("image.extract_patches", (VOLUMES, (2, 3, 1)), label="volumes"),
    Op("image.extract_patches_3d", (VOLUMES, (2, 3, 1), 1)),
    Op("image.extract_patches_3d", (VOLUMES, 2, None, 1, "same", FIRST), label=FIRST),
    *(
        Op("image.map_coordinates", (X, fixed(draw(2, 5, 6, low=-2.0, high=6.0)), order, mode, 0.3), label=f"{order} {mode}")
        for order in (0, 1)
        for mode in ("constant", "nearest", "wrap", "mirror", "reflect")
    ),
    Op("image.map_coordinates", (whole(3, 4), fixed(draw(2, 5, low=0.0, high=3.0)), 1), label="integers"),
    *(
        Op("image.affine_transform", (IMAGES, AFFINE, how, mode, 0.3), gradient=False, label=f"{how} {mode}")
        for how, mode in (
            ("bilinear", "constant"),
            ("bilinear", "reflect"),
            ("bilinear", "wrap"),
            ("bilinear", "mirror"),
            ("nearest", "nearest"),
        )
    ),
    Op("image.affine_transform", (IMAGES[0], fixed(AFFINE[0]), "bilinear", "constant", 0, LAST), label="one image"),
    Op(
        "image.affine_transform",
        (whole(3, 6, 6, 2, low=0, high=255, dtype="uint8"), AFFINE),
        gradient=False,
        label="bytes",
        reason="Keras changes the transform in place",
    ),
    Op("image.perspective_transform", (IMAGES, CORNERS, MOVED, "bilinear", 0.2)),
    Op("image.perspective_transform", (IMAGES, fixed(CORNERS[0]), fixed(MOVED[0]), "nearest", 0, FIRST), label="nearest"),
    Op(
        "image.perspective_transform",
        (IMAGES, fixed(CORNERS[0]), fixed(MOVED[0].astype("float64"))),
        label="points of two types",
    ),
    Op("image.gaussian_blur", (IMAGES, (3, 3), (1.0, 2.0), LAST)),
    Op("image.gaussian_blur", (IMAGES, (5, 5), (0.5, 2.0), FIRST), label=FIRST),
    Op("image.elastic_transform", (IMAGES,), {"seed": 1}, free=True, gradient=False, reason="random"),
    Op(
        "image.scale_and_translate",
        (
            IMAGES,
            (3, 12, 5, 4),
            fixed(np.array([1.5, 0.6], "float32")),
            fixed(np.array([0.4, -1.0], "float32")),
            (1, 2),
            "cubic",
        ),
        same_rule=False,
        reason="Keras states the batch as output_shape does",
    ),
    Op(
        "image.scale_and_translate",
        (IMAGES[0], (8, 12, 4), fixed(np.array([1.5], "float32")), fixed(np.array([0.4], "float32")), (1,), "lanczos3", False),
        label="lanczos",
        same_rule=False,
        reason="Keras states the batch as output_shape does",
    ),
    Op("image.sobel_edges", (IMAGES,)),
    Op("image.sobel_edges", (IMAGES, FIRST), label=FIRST),
    Op("image.ssim", (draw(3, 7, 8, 2, low=0.0), draw(3, 7, 8, 2, low=0.0, seed=1)), {"filter_size": 5}),
    Op(
        "image.ssim",
        (draw(3, 2, 8, 7, low=0.0), draw(3, 2, 8, 7, low=0.0, seed=1)),
        {"filter_size": 7, "max_val": 2.0, "data_format": FIRST},
        label=FIRST,
    ),
]
GAPS = np.where(truth(3, 4, 5, seed=4), CUBE, np.nan).astype("float32")
GAPS[0, 0], GAPS[1, :, 0] = np.nan, np.nan
NAN = ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanmedian")
PASSED_OVER = [
    *(Op(name, (GAPS, 1), label="axis", gradient=False) for name in NAN),
    *(Op(name, (GAPS, (0, -1)), {"keepdims": True}, label="axes", gradient=False) for name in NAN if name != "nanprod"),
    *(Op(name, (Z, 1), label="whole", gradient=False) for name in ("nansum", "nanmax", "nanmean", "nanargmin")),
    *(Op(name, (GAPS[:, 1:, 1:], 1), gradient=False) for name in ("nanargmax", "nanargmin", "nancumsum", "nancumprod")),
    *(Op(name, (GAPS,), label="flat", gradient=False) for name in ("nansum", "nanmax", "nanargmax")),
    Op("nanquantile", (GAPS, 0.3, 1), gradient=False),
    Op("nanpercentile", (GAPS, 30.0, 1), gradient=False),
]
BITS = [
    *(
        Op(name, (Z, M))
        for name in (
            "bitwise_and",
            "bitwise_or",
            "bitwise_xor",
            "bitwise_left_shift",
            "bitwise_right_shift",
            "left_shift",
            "right_shift",
            "gcd",
            "lcm",
        )
    ),
    *(Op(name, (Z,)) for name in ("bitwise_not", "bitwise_invert")),
    Op("fabs", (X,)),
    Op("i0", (X,)),
    Op("heaviside", (np.round(X), Y), gradient=False),
    Op("ldexp", (X, Z)),
    Op("trapezoid", (CUBE,)),
    Op("trapezoid", (CUBE, fixed(np.cumsum(draw(5, low=0.1))), 1.0), label="places"),
    *(Op(name, (CUBE,)) for name in ("fliplr", "flipud")),
    Op("vsplit", (CUBE, [1]), gradient=False),
    Op("hsplit", (CUBE, 2)),
    Op("dsplit", (CUBE, [2, 4])),
    Op("unravel_index", (whole(3, low=0, high=20), (4, 5))),
    Op("cdist", (CUBE, draw(3, 2, 5))),
    Op("vander", (draw(3), 4), gradient=False),
]


def _grown(state: Any, x: Any) -> tuple[Any, Any]:
    return state * 0.5 + x, state - x


LOOPS = [
    Op("cond", (True, lambda: X, lambda: Y), symbolic=False),
    Op("cond", (np.float32(0) > 1, lambda: X, lambda: Y), label="false", symbolic=False),
    Op("switch", (1, [lambda x: x, lambda x: x * 2], X), symbolic=False),
    Op("while_loop", (lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (0, X)), symbolic=False),
    Op("while_loop", (lambda x: x < 100, lambda x: x * 2, np.float32(3.0)), {"maximum_iterations": 3}, label="few",
       symbolic=False),
    Op("fori_loop", (0, 3, lambda i, x: x * 2 + i, X), symbolic=False),
    Op("map", (lambda x: x * 2, X), symbolic=False),
    Op("vectorized_map", (lambda x: x * 2, X), symbolic=False),
    Op("scan", (_grown, fixed(draw(4)), X), symbolic=False),
    Op("scan", (_grown, fixed(draw(4)), X, None, True), label="reversed", symbolic=False),
]  # fmt: skip
WAVES, PARTS = draw(3, 16), (draw(3, 4, 8), draw(3, 4, 8, seed=1))
COMPLEX = (X + 1j * Y).astype("complex64")


def overlapping(x: tuple[np.ndarray, np.ndarray], length: int, step: int, *_: Any, **__: Any) -> np.ndarray:
    """Return the signal of which frames without a window are the spectra."""
    frames = np.fft.irfft(x[0] + 1j * x[1], length)
    counted = np.ones_like(frames) / -(-length // step)
    found = np.zeros((*frames.shape[:-2], step * (frames.shape[-2] - 1) + length))
    for place in range(frames.shape[-2]):
        found[..., place * step : place * step + length] += (frames * counted)[..., place, :]
    return found.astype("float32")


SIGNALS = [
    *(Op(name, (PARTS,)) for name in ("fft", "fft2", "ifft2", "irfft")),
    Op("irfft", (PARTS, 13), label="length"),
    *(Op("rfft", (WAVES, length), label=str(length)) for length in (None, 9, 20)),
    Op("extract_sequences", (WAVES, 5, 3)),
    Op("extract_sequences", (whole(3, 2, 9), 3, 1), label="whole"),
    Op("stft", (WAVES, 6, 3, 8)),
    Op("stft", (draw(3, 2, 16), 8, 3, 8, "hamming", False), label="rank 3"),
    Op("stft", (WAVES, 6, 3, 6, None), label="no window"),
    Op("stft", (WAVES, 6, 3, 7, fixed(draw(6, low=0.1))), label="window"),
    Op("istft", ((draw(3, 5, 5), draw(3, 5, 5, seed=1)), 8, 3, 8), tolerance=1e-4),
    Op("istft", ((draw(3, 2, 5, 5), draw(3, 2, 5, 5, seed=1)), 8, 3, 8, 14, "hamming"), label="length", tolerance=1e-4),
    Op("istft", ((draw(3, 5, 5), draw(3, 5, 5, seed=1)), 6, 3, 8), label="short frames", tolerance=1e-4),
    Op("istft", ((draw(3, 5, 5), draw(3, 5, 5, seed=1)), 8, 4, 8, None, None, False), label="no window",
       instead=overlapping, reason="Keras on torch adds up what overlaps where it is not to weight it"),
    *(Op(name, (size,), label=str(size), symbolic=False)
      for name in ("bartlett", "blackman", "hamming", "hanning") for size in (1, 2, 7)),
    Op("kaiser", (7, 3.5), symbolic=False),
    *(Op(name, (fixed(COMPLEX),), symbolic=False) for name in ("real", "imag", "conjugate", "conj", "angle", "isreal")),
    *(Op(name, (X,), label="real") for name in ("real", "conjugate", "angle", "isreal")),
    *(Op(name, (Z,), label="whole") for name in ("real", "conjugate", "angle", "isreal")),
    Op("imag", (X,), label="real", instead=np.imag, reason="Keras on torch refuses real numbers"),
    Op("polar", (P, Y), symbolic=False),
    Op("view_as_complex", (draw(3, 4, 2),), symbolic=False),
    Op("view_as_real", (fixed(COMPLEX),), symbolic=False),
    Op("view_as_real", (X,), label="real", instead=lambda x: np.stack((x, 0 * x), -1), reason="Keras on torch refuses"),
    Op("nextafter", (X, Y), instead=np.nextafter, reason="Keras on torch returns the first number itself"),
    Op("geomspace", (1.0, 1000.0, 4), symbolic=False),
    Op("geomspace", (fixed(-P[0]), fixed(-2 * P[1]), 5, False), label="lines", symbolic=False, gradient=False),
    Op("geomspace", (fixed(P[0]), fixed(2 * P[1]), 5, True, None, -1), label="axis", symbolic=False, gradient=False,
       instead=np.geomspace, reason="Keras on torch has no axis"),
    Op("view", (X, "int32"), gradient=False),
    Op("view", (X, "float64"), label="wider", gradient=False),
    Op("view", (Z, "int16"), label="narrower"),
    Op("corrcoef", (X,), same_rule=False, reason="Keras's rule says that the shape stays"),
    Op("correlate", (draw(7), draw(3, seed=1)), symbolic=False),
    *(Op("correlate", (draw(7), draw(4, seed=1), mode), label=mode, symbolic=False) for mode in ("same", "full")),
    *(Op("correlate", (draw(4), draw(7), mode), label=f"{mode} longer", symbolic=False, instead=np.correlate,
         reason="Keras on torch has as many values as the first vector") for mode in ("same", "valid")),
    Op("histogram", (draw(20),), symbolic=False, gradient=False),
    Op("histogram", (draw(20), 4, (-1.0, 0.5)), label="range", symbolic=False, gradient=False),
    Op("argpartition", (X, 1), free=True),
    Op("argpartition", (X, 2, None), label="flat", free=True),
    Op("unique", (whole(3, 4),), symbolic=False),
    Op("unique", (whole(12), True, True, True, True), label="all", symbolic=False, same_dtype=False,
       reason="Keras says int32, and on torch gives int64"),
    Op("unique", (whole(3, 2, low=0, high=2), True, False, True, True, 0), label="rows", symbolic=False, same_dtype=False,
       reason="Keras says int32, and on torch gives int64"),
    *(Op("unique", (whole(12), True, True, False, True, None, size, 7), label=f"size {size}", symbolic=False, same_dtype=False,
         reason="Keras says int32, and on torch gives int64") for size in (2, 11)),
    *(Op("rearrange", (IMAGES, pattern), lengths, label=pattern, same_rule=False, reason="Keras's rule needs all sizes")
      for pattern, lengths in (("b h w c -> b c h w", {}), ("b (h h1) w c -> b h (w c h1)", {"h1": 2}),
                               ("b h w c -> (b h) (w c)", {}))),
    Op("vectorize", (np.add,), free=True, symbolic=False),
    Op("custom_gradient", (np.add,), free=True, symbolic=False),
    Op("associative_scan", (lambda a, b: a + b, fixed(draw(5, 3))), symbolic=False),
    Op("associative_scan", (lambda a, b: a * b, fixed(draw(3, 6, 2)), True, 1), label="reversed", symbolic=False),
    Op("unfold", (draw(3, 2, 5, 6), (2, 3))),
    Op("unfold", (draw(3, 2, 5, 6), 2, 2, (1, 0), (2, 1)), label="strides"),
    Op("fold", (draw(3, 8, 9), 4, 2)),
    Op("fold", (draw(3, 8, 12), (5, 6), 2, 2, (1, 0), (2, 1)), label="strides"),
    Op("ctc_loss", (whole(3, 2, low=1, high=4), draw(3, 6, 4), np.array([2, 1, 2], "int32"), np.array([6, 5, 6], "int32"))),
    Op("ctc_loss", (whole(3, 2, low=0, high=3), draw(3, 6, 4), fixed(np.array([2, 1, 2], "int32")),
                    fixed(np.array([6, 5, 6], "int32")), 3), label="last", symbolic=False),
    Op("ctc_decode", (draw(3, 7, 4), whole(3, low=4, high=8)), gradient=False),
    Op("ctc_decode", (draw(3, 7, 4), whole(3, low=4, high=8), "greedy", 100, 1, False, None), label="repeated", gradient=False),
    Op("ctc_decode", (draw(3, 7, 4), whole(3, low=4, high=8), "beam_search", 100, 3), label="beams", symbolic=False,
       gradient=False),
    Op("linalg.eig", (SQUARES,), free=True),
    Op("linalg.cholesky_inverse", (np.linalg.cholesky(SYMMETRIC).astype("float32"),), gradient=False),
    Op("linalg.lu_factor", (SQUARES,), gradient=False),
    Op("linalg.lstsq", (draw(5, 3), draw(5, seed=1)), symbolic=False, tolerance=1e-4, gradient=False),
    Op("linalg.lstsq", (draw(3, 5), draw(3, 2, seed=1)), label="wide", symbolic=False, tolerance=1e-4, gradient=False),
    Op("linalg.matrix_rank", (np.concatenate([SQUARES[:, :3], SQUARES[:, :1]], 1),)),
    Op("linalg.matrix_rank", (SQUARES, 1e3), label="bound"),
    Op("linalg.jvp", (lambda x: x * x, (fixed(X),), (fixed(Y),)), symbolic=False, gradient=False),
]  # fmt: skip
CASES = [*SIGNALS, *PASSED_OVER, *BITS, *LOOPS, *ELEMENTS, *PAIRS, *REDUCED, *SHAPED, *PLACES, *MADE, *PRODUCTS, *NETWORKS]

# they give numbers, tuples or names of Python's, and have tests of their own
ASKING = {"convert_to_numpy", "is_tensor", "shape", "ndim", "dtype", "size"}
