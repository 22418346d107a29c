"""Python's operators on symbolic tensors, as operations of a graph; each runs as the operator itself."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anabranch._errors import DtypeError, ShapeError
from anabranch.graph import rules
from anabranch.graph.arrays import is_array
from anabranch.graph.clues import UnequalOperands
from anabranch.graph.facts import Facts, Inputs, pointwise, product, taken
from anabranch.graph.records import NamedFunction, Spec
from anabranch.graph.shapes import Shape, broadcast

ARITHMETIC = Facts(rules.arithmetic, pointwise)
DIFFERENCE = Facts(rules.difference, pointwise)
DIVISION = Facts(rules.division, pointwise)
COMPARISON = Facts(rules.comparison, pointwise)
PRODUCT = Facts(rules.matrix_product, product)
GET_ITEM = Facts(rules.indexed_by, taken)

# Python's function -> (its name in tables and summaries, its facts, which the function of that name in ``ops`` states too)
OPERATORS: dict[Callable[..., Any], tuple[str, Facts]] = {
    operator.add: ("add", ARITHMETIC),
    operator.sub: ("subtract", DIFFERENCE),
    operator.mul: ("multiply", ARITHMETIC),
    operator.truediv: ("true_divide", DIVISION),
    operator.floordiv: ("floor_divide", DIFFERENCE),
    operator.mod: ("mod", DIFFERENCE),
    operator.pow: ("power", DIFFERENCE),
    operator.matmul: ("matmul", PRODUCT),
    operator.neg: ("negative", DIFFERENCE),
    operator.abs: ("absolute", ARITHMETIC),
    operator.eq: ("equal", COMPARISON),
    operator.ne: ("not_equal", COMPARISON),
    operator.lt: ("less", COMPARISON),
    operator.le: ("less_equal", COMPARISON),
    operator.gt: ("greater", COMPARISON),
    operator.ge: ("greater_equal", COMPARISON),
    operator.and_: ("logical_and", ARITHMETIC),
    operator.or_: ("logical_or", ARITHMETIC),
    operator.xor: ("logical_xor", ARITHMETIC),
    operator.invert: ("logical_not", ARITHMETIC),
}

SIGNS = {
    "add": "+", "subtract": "-", "multiply": "*", "true_divide": "/", "floor_divide": "//", "mod": "%", "power": "**",
    "matmul": "@", "equal": "==", "not_equal": "!=", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=",
    "logical_and": "&", "logical_or": "|", "logical_xor": "^",
}  # fmt: skip
"""The signs of operators by these names."""


class Operator(NamedFunction):
    """One use of a Python operator in a graph."""

    _booleans: Mapping[int, int | None] = {}  # operands that become numbers -> the operand whose dtype they take, if any
    _common = ""  # the dtype that the operands of a product are cast to, where theirs differ

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function, *OPERATORS[function])

    def _error_label_(self) -> str:
        """Return it as errors name it: ``the operator +``."""
        return f"the operator {SIGNS.get(self._name, self._name)}"

    def compute_output_spec(self, *operands: Any) -> Spec:
        """Return the result's shape and dtype; a Python number takes the tensor's dtype unless it is of a higher category."""
        self._booleans = _booleans(self.function, operands)
        if self._facts_ is PRODUCT:
            spec = _product(*[Spec(tuple(o.shape), rules.dtype_name(o)) if is_array(o) else Spec((), "") for o in operands])
            self._common = spec.dtype if {rules.dtype_name(o) for o in operands if is_array(o)} != {spec.dtype} else ""
            return spec
        _refuse_floats(self.function, operands)
        shape, *others = [tuple(operand.shape) for operand in operands if is_array(operand)]
        for other in others:
            try:
                shape = broadcast(shape, other)
            except ShapeError:
                raise _unequal(self.name, shape, other) from None
        dtype = "bool" if self._facts_ is COMPARISON else rules.result_dtype(operands)
        dtype = rules.numeric(dtype) if self._facts_ is DIFFERENCE else dtype
        if self.function is operator.abs and "complex" in dtype:
            return Spec(shape, "float32" if dtype == "complex64" else "float64")
        return Spec(shape, "float32" if self._facts_ is DIVISION and not rules.is_float(dtype) else dtype)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the operator; booleans take part as numbers where they are no numbers for torch."""
        if self.function is operator.sub:  # torch subtracts no boolean of Python's either
            args = tuple(int(arg) if isinstance(arg, bool) else arg for arg in args)
        if not self._booleans:
            if self._common:
                args = tuple(getattr(arg, rules.CASTS[self._common])() for arg in args)
            return self.function(*args)
        if self.function is operator.abs:
            return args[0]
        given = list(args)
        for place, other in self._booleans.items():
            if other is not None:
                given[place] = args[place].to(args[other])
            else:
                given[place] = args[place].int() if all(map(rules.fits_int32, args)) else args[place].long()
        found = self.function(*given)
        return found.bool() if self._facts_ is PRODUCT else found

    def _mask_axes_after_(self, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Inputs) -> int:
        """Return over how many leading axes the result is masked."""
        return 0 if self._facts_.mask is None else self._facts_.mask({}, inputs)


_WITH_INTEGERS = frozenset((operator.add, operator.mul, operator.and_, operator.or_, operator.xor))


def _booleans(function: Callable[..., Any], operands: Sequence[Any]) -> Mapping[int, int | None]:
    """Return which operands are booleans that become numbers first, and which operand each takes its dtype from.

    Torch subtracts no booleans, has no remainders of them, and has 64 bits for them beside an integer.
    """
    kinds = [rules.dtype_name(each) if is_array(each) else "" for each in operands]
    if "bool" not in kinds:
        return {}
    if function in _WITH_INTEGERS:
        needed = any(type(each) is int for each in operands)
    elif function is operator.matmul:
        needed = set(kinds) == {"bool"}
    else:
        needed = function is operator.abs or OPERATORS[function][1] is DIFFERENCE
    number = next((place for place, kind in enumerate(kinds) if kind not in ("", "bool")), None)
    return {place: number for place, kind in enumerate(kinds) if kind == "bool"} if needed else {}


_OF_BITS = frozenset((operator.and_, operator.or_, operator.xor, operator.invert))


def _refuse_floats(function: Callable[..., Any], operands: Sequence[Any]) -> None:
    """Raise where an operator on bits is given floats, which torch refuses when data come."""
    if function in _OF_BITS and any(rules.is_float(rules.result_dtype([each])) for each in operands):
        name = OPERATORS[function][0]
        sign = SIGNS.get(name, "~")
        given = ", ".join(rules.dtype_name(each) if is_array(each) else repr(each) for each in operands)
        raise DtypeError(
            f"The operator {sign} takes integers or booleans.", got=given,
            repair=f"ops.{name} takes what is not 0 as true; (x > 0) is a boolean tensor",
        )  # fmt: skip


def _product(a: Spec, b: Spec) -> Spec:
    """Return the spec of a @ b, vectors too."""
    if not a.shape or not b.shape:
        raise ShapeError("A matrix product needs tensors with axes.", got=f"{a.shape} @ {b.shape}")
    rows = (1, *a.shape) if len(a.shape) == 1 else a.shape
    columns = (*b.shape, 1) if len(b.shape) == 1 else b.shape
    inner, outer = rows[-1], columns[-2]
    if inner is not None and outer is not None and inner != outer:
        raise ShapeError(
            f"The inner sizes of a matrix product differ: {inner} and {outer}.",
            expected="(…, n, k) @ (…, k, m)", got=f"{a.shape} @ {b.shape}",
            repair="a @ b.transpose(-1, -2) swaps the last two axes of b" if b.shape[1:] and b.shape[-1] == inner else None,
        )  # fmt: skip
    shape = (*broadcast(rows[:-2], columns[:-2]), rows[-2], columns[-1])
    if len(a.shape) == 1:
        shape = (*shape[:-2], shape[-1])
    dtype = "int32" if a.dtype == b.dtype == "int8" else rules.promote(a.dtype, b.dtype)  # as ops.matmul adds up
    return Spec(shape[:-1] if len(b.shape) == 1 else shape, dtype)


def _unequal(name: str, a: Shape, b: Shape) -> ShapeError:
    """Build the error of two operands that do not go together element by element."""
    sign = SIGNS.get(name, name)
    return ShapeError(
        f"a {sign} b cannot combine {a} and {b}.",
        expected="sizes that are equal or 1, aligned from the last axis" + (f": {a} over {b}" if len(a) != len(b) else ""),
        clue=UnequalOperands(sign, (a, b)),
    )  # fmt: skip


class GetItem(Operator):
    """``x[key]``: integers, slices, ``...`` and None."""

    def __init__(self) -> None:
        NamedFunction.__init__(self, operator.getitem, "get_item", GET_ITEM)

    def _error_label_(self) -> str:
        """Return it as errors name it."""
        return "x[…]"

    def compute_output_spec(self, *operands: Any) -> Spec:
        """Return the shape that indexing leaves."""
        tensor, key = operands
        return Spec(rules.indexed(tuple(tensor.shape), key if isinstance(key, tuple) else (key,)), tensor.dtype)

    def _mask_axes_after_(self, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Inputs) -> int:
        """Return over how many leading axes the part is masked."""
        return taken({"key": args[1]}, inputs)
