"""The symbolic tensor and the node that made it: the two records that every graph consists of.

A tensor knows its node; a node knows its operation, its input tensors, its call arguments and the user's line. Nothing points
forward but weak references on the operation, which let ``layer.output`` answer.
"""

from __future__ import annotations

import functools
import operator
import weakref
from typing import Any, NoReturn, Protocol

from anabranch import _tree
from anabranch._errors import AnabranchError, ArgumentTypeError, MissingAttributeError
from anabranch.graph.call_site import CallSite, call_site
from anabranch.graph.explain import tell
from anabranch.graph.masks import reaches
from anabranch.graph.methods import METHODS
from anabranch.graph.operators import OPERATORS, GetItem, Operator, Spec
from anabranch.graph.port import port
from anabranch.graph.shapes import Shape
from anabranch.graph.story import SYMBOLS, named
from anabranch.graph.strangers import is_layer, stranger


class Operation(Protocol):
    """What a node applies: a layer, a nested model, a Python operator."""

    explicit_name: str | None
    calls: list[weakref.ref[Node]]

    @property
    def name(self) -> str:
        """The name it goes by outside of any graph."""

    @property
    def base_name(self) -> str:
        """What names are made of where none was given: ``conv2d`` of ``Conv2D``."""


class Node:
    """One application of an operation; immutable."""

    __slots__ = ("__weakref__", "args", "inputs", "kwargs", "mask_axes", "operation", "output_specs", "site")

    def __init__(
        self,
        operation: Operation,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        output_specs: _tree.Nest,
        site: CallSite,
    ) -> None:
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.inputs = tensors_in(args, kwargs)
        self.output_specs = output_specs
        self.site = site
        # over how many leading axes each output is masked, 0 where one is not; empty where none is
        self.mask_axes: tuple[int, ...] = reaches(self, [tensor.mask_axes for tensor in self.inputs]) if self.inputs else ()

    @property
    def output_count(self) -> int:
        """How many tensors it gives."""
        return 1 if isinstance(self.output_specs, Spec) else len(spec_leaves(self.output_specs))

    @property
    def masked(self) -> tuple[bool, ...]:
        """Which outputs carry a mask."""
        return tuple(map(bool, self.mask_axes or (0,) * self.output_count))

    def outputs(self) -> _tree.Nest:
        """Return tensors for what the operation gives, in its own structure."""
        if isinstance(self.output_specs, Spec):
            return Tensor(self, 0, self.output_specs)
        index = iter(range(len(spec_leaves(self.output_specs))))
        return map_specs(lambda spec: Tensor(self, next(index), spec), self.output_specs)

    def __repr__(self) -> str:
        return f"<Node {self.operation.name} at {self.site}>"


class Tensor:
    """A symbolic tensor: shape and dtype, no numbers; what a layer gives when it is called on an ``Input``."""

    __slots__ = ("__weakref__", "dtype", "index", "node", "shape")

    def __init__(self, node: Node, index: int, spec: Spec) -> None:
        self.node = node
        self.index = index
        self.shape: Shape = spec.shape
        self.dtype = spec.dtype

    @property
    def key(self) -> tuple[Node, int]:
        """What tells this tensor from others in a walk."""
        return self.node, self.index

    @property
    def name(self) -> str:
        """The name of the operation that made it."""
        return self.node.operation.name

    @property
    def spec(self) -> Spec:
        """Shape and dtype."""
        return Spec(self.shape, self.dtype)

    @property
    def mask_axes(self) -> int:
        """Over how many leading axes it is masked: 2 where a mask (B, T) goes with it, 0 where none does."""
        return self.node.mask_axes[self.index] if self.node.mask_axes else 0

    @property
    def masked(self) -> bool:
        """Whether it carries a mask, which layers after it are told."""
        return self.mask_axes > 0

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __add__(self, other: Any) -> Any:
        return _operate(operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _operate(operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _operate(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _operate(operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return _operate(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _operate(operator.mul, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _operate(operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _operate(operator.truediv, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _operate(operator.floordiv, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _operate(operator.floordiv, other, self)

    def __mod__(self, other: Any) -> Any:
        return _operate(operator.mod, self, other)

    def __rmod__(self, other: Any) -> Any:
        return _operate(operator.mod, other, self)

    def __pow__(self, other: Any) -> Any:
        return _operate(operator.pow, self, other)

    def __rpow__(self, other: Any) -> Any:
        return _operate(operator.pow, other, self)

    def __matmul__(self, other: Any) -> Any:
        return _operate(operator.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _operate(operator.matmul, other, self)

    def __and__(self, other: Any) -> Any:
        return _operate(operator.and_, self, other)

    def __rand__(self, other: Any) -> Any:
        return _operate(operator.and_, other, self)

    def __or__(self, other: Any) -> Any:
        return _operate(operator.or_, self, other)

    def __ror__(self, other: Any) -> Any:
        return _operate(operator.or_, other, self)

    def __xor__(self, other: Any) -> Any:
        return _operate(operator.xor, self, other)

    def __rxor__(self, other: Any) -> Any:
        return _operate(operator.xor, other, self)

    def __lt__(self, other: Any) -> Any:
        return _operate(operator.lt, self, other)

    def __le__(self, other: Any) -> Any:
        return _operate(operator.le, self, other)

    def __gt__(self, other: Any) -> Any:
        return _operate(operator.gt, self, other)

    def __ge__(self, other: Any) -> Any:
        return _operate(operator.ge, self, other)

    def __eq__(self, other: Any) -> Any:
        return _operate(operator.eq, self, other)

    def __ne__(self, other: Any) -> Any:
        return _operate(operator.ne, self, other)

    __hash__ = object.__hash__

    def __neg__(self) -> Any:
        return _operate(operator.neg, self)

    def __abs__(self) -> Any:
        return _operate(operator.abs, self)

    def __invert__(self) -> Any:
        return _operate(operator.invert, self)

    def __getitem__(self, key: Any) -> Tensor:
        tensor: Tensor = describe(GetItem(), (self, key), {}, call_site())
        return tensor

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Take over the operator where an array stands at its left; NumPy's other functions need numbers."""
        function = next((f for f, (name, _) in OPERATORS.items() if UFUNCS.get(ufunc.__name__, ufunc.__name__) == name), None)
        if method != "__call__" or kwargs or function is None:
            raise _no_numbers(f"go through np.{ufunc.__name__}", f"ops.{ufunc.__name__}(x) works on symbolic tensors")
        return _operate(function, *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
        raise _no_numbers(f"go through np.{function.__name__}", f"ops.{function.__name__}(…) works on symbolic tensors")

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Record torch's own functions as nodes."""
        return port().torch_function(function, tuple(args), dict(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what Python and its tools look for
            raise AttributeError(name)
        if name in NUMBERS or name in MODELS:
            raise _other_kind(name)
        if name not in METHODS:
            raise port().no_attribute(self, name)
        return functools.partial(port().method, name, self)

    def dim(self) -> int:
        """Return the number of axes, in torch's words."""
        return len(self.shape)

    def size(self, dim: int | None = None) -> Any:
        """Return the shape or the size along one axis, in torch's words; None is unknown."""
        return self.shape if dim is None else self.shape[dim]

    def __bool__(self) -> NoReturn:
        raise _no_numbers("be true or false", _CHOOSE)

    def __iter__(self) -> NoReturn:
        raise _no_numbers(
            "be iterated over", "for one position: x[:, i]; for all: ops.unstack(x, axis=1), ops.split(x, n, axis=1)"
        )

    def __contains__(self, value: Any) -> NoReturn:
        raise _no_numbers("be searched", "ops.any(x == value) is a tensor that says whether it is there")

    def __len__(self) -> NoReturn:
        raise _no_numbers("have a length", "x.shape, where None is not known yet; ops.shape(x) while the model runs")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise _no_numbers(
            "become a NumPy array", "anabranch.ops or torch functions in the place of NumPy's: ops.mean(x, axis=1)"
        )

    def __float__(self) -> NoReturn:
        raise _no_numbers("become a number", "keep it a tensor: ops.mean(x), ops.max(x); model.predict gives numbers")

    def __int__(self) -> NoReturn:
        raise _no_numbers("become a number", 'keep it a tensor: ops.cast(x, "int32"); model.predict gives numbers')

    def __index__(self) -> NoReturn:
        raise _no_numbers("be an index or a size", "ops.take(x, indices, axis) indexes by a tensor; sizes are x.shape")

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise _no_numbers("be assigned to", "ops.where(mask, value, x), or ops.concatenate([part, new, part], axis)")

    def __delitem__(self, key: Any) -> NoReturn:
        raise _no_numbers("lose a part", "take what stays: ops.concatenate([x[:, :i], x[:, i + 1:]], axis=1)")

    def __repr__(self) -> str:
        return f"<Tensor shape={self.shape} dtype={self.dtype} from {self.name} at {self.node.site}>"


def tensors_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, ...]:
    """Return the symbolic tensors among the arguments of a call, in order."""
    if len(args) == 1 and not kwargs and type(args[0]) is Tensor:  # as most calls are
        return args
    leaves = _tree.leaves((args, list(kwargs.values())) if kwargs else args)
    return tuple([leaf for leaf in leaves if isinstance(leaf, Tensor)])


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
    node = Node(operation, args, kwargs, output_specs, site)
    if noted:
        operation.calls.append(weakref.ref(node, operation.calls.remove))
    return node.outputs()


def describe(
    operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], site: CallSite, *, noted: bool = True
) -> _tree.Nest:
    """Return the tensors that an operation gives, as a node made at ``site``; what does not fit says where."""
    try:
        specs = operation.compute_output_spec(*args, **kwargs)
    except AnabranchError as error:
        tell(error, list(tensors_in(args, kwargs)))
        raise error.at(f"{named(operation)}, called at {site}") from error.__cause__
    return record(operation, args, kwargs, specs, site, noted=noted)


def spec_leaves(specs: _tree.Nest) -> list[Spec]:
    """Return the leaves of a nest of specs; a Spec is a leaf although it is a tuple."""
    found: list[Spec] = []
    map_specs(found.append, specs)
    return found


def map_specs(function: Any, specs: _tree.Nest) -> _tree.Nest:
    """Return the same nest with ``function`` applied to each spec."""
    if isinstance(specs, Spec):
        return function(specs)
    if isinstance(specs, dict):
        return {key: map_specs(function, value) for key, value in specs.items()}
    return type(specs)(map_specs(function, value) for value in specs)


def _operate(function: Any, *operands: Any) -> Any:
    for operand in operands:
        if is_layer(operand) or (isinstance(operand, type) and hasattr(operand, "call")):
            raise stranger(operand).at(f"the operator {SYMBOLS[OPERATORS[function][0]]} at {call_site()}")
        if not isinstance(operand, (Tensor, int, float)) and not hasattr(operand, "dtype"):
            return NotImplemented
        if not isinstance(operand, Tensor) and getattr(
            operand, "requires_grad", False
        ):  # a torch parameter is a weight of the model, not a constant
            return port().torch_function(function, operands, {})
    operands = tuple(_plain(operand) for operand in operands)
    return describe(Operator(function), operands, {}, call_site())


def _plain(operand: Any) -> Any:
    """Return a NumPy scalar as Python's number, which takes the tensor's dtype."""
    return operand.item() if type(operand).__module__ == "numpy" and operand.shape == () else operand


def _other_kind(name: str) -> MissingAttributeError:
    """Return the error for an attribute that arrays or models have."""
    number = name in NUMBERS
    return MissingAttributeError(
        f"A symbolic tensor has no numbers yet, so it has no {name!r}."
        if number
        else f"A tensor is no model: it has no {name!r}.",
        where=str(call_site()),
        repair="model.predict(data) gives numbers" if number else f"model = Model(inputs, x), then model.{name}",
    )


UFUNCS = {
    "divide": "true_divide",
    "remainder": "mod",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
}  # NumPy's names
NUMBERS = frozenset(("numpy", "item", "tolist", "data", "eval"))  # what values have
MODELS = frozenset(("fit", "predict", "evaluate", "compile", "summary", "layers", "weights", "save", "get_layer"))  # models


_CHOOSE = (
    "for if: ops.where(condition, a, b), ops.maximum(a, b)\nfor and, or, not: a & b, a | b, ~a\n"
    "for while: a layer of your own, whose call may look at numbers"
)


def _no_numbers(use: str, repair: str) -> ArgumentTypeError:
    site = call_site()
    return ArgumentTypeError(f"A symbolic tensor has no numbers yet, so it cannot {use}.", where=str(site), repair=repair)
