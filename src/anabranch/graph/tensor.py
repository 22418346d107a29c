"""The symbolic tensor: the record that Python's operators, torch's functions and users' mistakes meet."""

from __future__ import annotations

import functools
import itertools
import operator
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from anabranch import _tree
from anabranch._errors import AnabranchError, ArgumentTypeError, NoValuesError
from anabranch._frames import bound_methods
from anabranch.graph.arrays import is_array, is_numpy, is_parameter
from anabranch.graph.call_site import CallSite, call_site
from anabranch.graph.clues import NoValues, WrongValue, explained
from anabranch.graph.masks import reaches, warn_of_lost
from anabranch.graph.methods import METHODS
from anabranch.graph.operands import Operators
from anabranch.graph.operators import OPERATORS, SIGNS, GetItem, Operator
from anabranch.graph.port import port
from anabranch.graph.records import Node, Operation, Spec, Tensor, map_specs, tensors_in
from anabranch.graph.shapes import Shape

_NUMBERS = frozenset((bool, int, float))


@bound_methods
class SymbolicTensor(Operators[Tensor], Tensor):
    """What ``Input`` gives, and a layer called on it: shape and dtype, no numbers; functions of it become nodes of a graph."""

    __slots__ = ()

    def _operate(self, function: Callable[..., object], *operands: object) -> Tensor:
        for operand in operands:
            if isinstance(operand, Tensor) or type(operand) in _NUMBERS:  # as most are
                continue
            if isinstance(operand, Operation) or (isinstance(operand, type) and issubclass(operand, Operation)):
                error = explained(ArgumentTypeError("A layer is no operand.", clue=WrongValue(operand)))
                raise error.at(f"the operator {SIGNS[OPERATORS[function][0]]} at {call_site()}")
            if not isinstance(operand, (int, float)) and not is_array(operand):
                return NotImplemented  # type: ignore[no-any-return]  # Python asks the other operand
            if is_parameter(operand):  # a weight of the model, not a constant
                found: Tensor = port().torch_function(function, operands, {})
                return found
            operands = tuple(map(_plain, operands))
        result: Tensor = describe(Operator(function), operands, {}, call_site())
        return result

    def __and__(self, other: object) -> Tensor:
        return self._operate(operator.and_, self, other)

    def __rand__(self, other: object) -> Tensor:
        return self._operate(operator.and_, other, self)

    def __or__(self, other: object) -> Tensor:
        return self._operate(operator.or_, self, other)

    def __ror__(self, other: object) -> Tensor:
        return self._operate(operator.or_, other, self)

    def __xor__(self, other: object) -> Tensor:
        return self._operate(operator.xor, self, other)

    def __rxor__(self, other: object) -> Tensor:
        return self._operate(operator.xor, other, self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]  # element by element
        return self._operate(operator.eq, self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]  # element by element
        return self._operate(operator.ne, self, other)

    __hash__ = object.__hash__

    def __invert__(self) -> Tensor:
        return self._operate(operator.invert, self)

    def __round__(self, ndigits: int | None = None) -> Tensor:
        rounded: Tensor = self.round(decimals=ndigits) if ndigits else self.round()
        return rounded

    def __getitem__(self, key: object) -> Tensor:
        tensor: Tensor = describe(GetItem(), (self, key), {}, call_site())
        return tensor

    def __array_ufunc__(self, ufunc: Callable[..., object], method: str, *inputs: object, **kwargs: object) -> Tensor:
        """Take over the operator where an array is at its left; NumPy's other functions need values."""
        function = next((f for f, (name, _) in OPERATORS.items() if UFUNCS.get(ufunc.__name__, ufunc.__name__) == name), None)
        if method != "__call__" or kwargs or function is None:
            raise _no_values(f"go through np.{ufunc.__name__}")
        return self._operate(function, *inputs)

    def __array_function__(self, function: Callable[..., object], types: object, args: object, kwargs: object) -> NoReturn:
        raise _no_values(f"go through np.{function.__name__}")

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., object],
        types: object,
        args: Iterable[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> _tree.Nest:
        """Record torch's own functions as nodes."""
        return port().torch_function(function, tuple(args), dict(kwargs or {}))

    def __getattr__(self, name: str) -> Callable[..., _tree.Nest]:
        if name.startswith("_"):  # what Python and its tools look for
            raise AttributeError(name)
        if name not in METHODS:
            raise port().no_attribute(self, name)
        return functools.partial(port().method, name, self)

    def reshape(self, *shape: Any, newshape: Shape | None = None) -> _tree.Nest:
        """Return the values in another shape, the batch included; ``newshape=`` is Keras's word for it."""
        return port().method("reshape", self, *(shape if newshape is None else (newshape,)))

    def squeeze(self, axis: int | tuple[int, ...] | None = None, *, dim: int | tuple[int, ...] | None = None) -> _tree.Nest:
        """Return the values without axes of size 1: those named, in Keras's word or torch's, else all but an unknown batch."""
        named = dim if axis is None else axis
        return port().method("squeeze", self, *(() if named is None else (named,)))

    def dim(self) -> int:
        """Return the number of axes, in torch's words."""
        return len(self.shape)

    def size(self, dim: int | None = None) -> Shape | int | None:
        """Return the shape or the size along one axis, in torch's words; None is unknown."""
        return self.shape if dim is None else self.shape[dim]

    def __bool__(self) -> bool:
        """Answer for ``a == b`` of two symbolic tensors whether they are one, as lists ask: ``x in [x, y]``, ``list.index``."""
        operation, args = self.node.operation, self.node.args
        if isinstance(operation, Operator) and operation.function is operator.eq and len(self.node.inputs) == 2:
            return bool(args[0].key == args[1].key)
        raise _no_values("be true or false")

    def __iter__(self) -> NoReturn:
        raise _no_values("be iterated over")

    def __contains__(self, value: object) -> NoReturn:
        raise _no_values("be searched")

    def __len__(self) -> NoReturn:
        raise _no_values("have a length")

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NoReturn:
        raise _no_values("become a NumPy array")

    def __float__(self) -> NoReturn:
        raise _no_values("become a float")

    def __int__(self) -> NoReturn:
        raise _no_values("become an integer")

    def __index__(self) -> NoReturn:
        raise _no_values("be an index or a size")

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise _no_values("be assigned to")

    def __delitem__(self, key: object) -> NoReturn:
        raise _no_values("lose a part")


def make_node(
    operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], output_specs: _tree.Nest, site: CallSite
) -> Node:
    """Return the node of one call, with what is known of its masks."""
    node = Node(operation, args, kwargs, output_specs, site)
    if node.inputs:
        given = [tensor.mask_axes for tensor in node.inputs]
        node.mask_axes = reaches(node, given)
        if not node.mask_axes and any(given):
            warn_of_lost(node)
    return node


def outputs_of(node: Node) -> _tree.Nest:
    """Return symbolic tensors for what a node gives, in its operation's own structure."""
    if isinstance(node.output_specs, Spec):
        return SymbolicTensor(node, 0, node.output_specs)
    index = itertools.count()
    return map_specs(lambda spec: SymbolicTensor(node, next(index), spec), node.output_specs)


def record(
    operation: Operation,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output_specs: _tree.Nest,
    site: CallSite,
    *,
    noted: bool = True,
) -> _tree.Nest:
    """Make the node of one call, note it weakly on the operation, and return the tensors it gives."""
    node = make_node(operation, args, kwargs, output_specs, site)
    if noted:
        operation._calls_.append(weakref.ref(node, operation._calls_.remove))
    return outputs_of(node)


def describe(
    operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], site: CallSite, *, noted: bool = True
) -> _tree.Nest:
    """Return the tensors that an operation gives, as a node made at ``site``; what does not fit says where."""
    try:
        specs = operation.compute_output_spec(*args, **kwargs)
    except AnabranchError as error:
        raise explained(error, tensors_in(args, kwargs)).at(
            f"{operation._error_label_()}, called at {site}"
        ) from error.__cause__
    return record(operation, args, kwargs, specs, site, noted=noted)


def _plain(operand: Any) -> object:
    """Return a NumPy scalar as Python's number, which takes the tensor's dtype."""
    return operand.item() if is_numpy(operand) and operand.shape == () else operand


UFUNCS = {
    "divide": "true_divide",
    "remainder": "mod",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
}  # NumPy's names


def _no_values(use: str) -> AnabranchError:
    fact = f"A symbolic tensor has no values yet, so it cannot {use}."
    return explained(NoValuesError(fact, where=str(call_site()), clue=NoValues(use)))
