"""What the functions ask of their arguments: shape, dtype, axes; the same for tensors and for what is traced.

A traced value (an fx proxy) knows its shape and dtype where lowering noted them. Elsewhere they are found by running what
was traced since then on fake tensors, so that a function never has to guess.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex, TypeVar

from anabranch import _tree, config, runtime
from anabranch._asked import name_of
from anabranch._errors import ArgumentError, ArgumentTypeError, EngineError, OutOfRangeError, ShapeError, unknown
from anabranch.graph import Shape
from anabranch.graph.arrays import is_numpy
from anabranch.graph.rules import fits_int32, is_float
from anabranch.graph.shapes import agreed
from anabranch.ops._torch import fakes, fx, np, torch
from anabranch.ops._types import Axes, Tensor, TensorLike

Spec = tuple[Shape, str]
T = TypeVar("T")


# Arguments as tensors


def tensor(value: TensorLike) -> Tensor:
    """Return a list or a number as a tensor, floats of the default type and integers int32; tensors as they are."""
    if isinstance(value, (torch.Tensor, fx.Proxy)):
        return value  # type: ignore[return-value]  # a traced value is used as the tensor that it will be
    if isinstance(value, (list, tuple)) and any(isinstance(leaf, (torch.Tensor, fx.Proxy)) for leaf in _tree.leaves(value)):
        return torch.stack([tensor(item) for item in value])
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ArgumentError("An integer does not fit 64 bits.", got=str(value), repair="a float")
    made = runtime.as_tensor(value)
    if is_numpy(value):
        return made
    if made.is_floating_point():
        return made.to(runtime.dtype_of(config.floatx()))
    if made.is_complex():
        return made.to(torch.complex64)
    return made.to(torch.int32) if made.dtype == torch.int64 and all(map(_fits_int32, _tree.leaves(value))) else made


def tensor_of(value: TensorLike, dtype: str | None) -> Tensor:
    """Return a tensor like ``tensor``, of a dtype; values must fit one of integers."""
    made = tensor(value)
    if dtype is None:
        return made
    kind = torch_dtype(dtype)
    if not isinstance(made, fx.Proxy):
        runtime.check_fits(made, kind, "x")
    return made.to(kind)


def _fits_int32(value: object) -> bool:
    return fits_int32(int(value) if isinstance(value, (np.integer, np.ndarray)) else value)


def operands(x1: TensorLike, x2: TensorLike) -> tuple[Tensor, Tensor]:
    """Return two operands, of which one at least is a tensor; a number beside it takes its dtype, booleans that of integers."""
    first = tensor(x1) if isinstance(x2, (int, float)) or not isinstance(x1, (int, float)) else x1
    second = x2 if isinstance(x2, (int, float)) else tensor(x2)
    if type(x1) is int and type(x2) is int and not fits_int32(x2):
        first = tensor(x1).to(torch.int64)
    if type(first) is int:
        return first, _beside(first, second)  # type: ignore[return-value,arg-type]  # one may stay a number
    return _beside(second, first) if type(second) is int else first, second  # type: ignore[return-value,arg-type]


def compared(x1: TensorLike, x2: TensorLike) -> tuple[Tensor, Tensor]:
    """Return two operands like ``operands``; beside an integer that their dtype cannot hold, which torch would wrap, wider."""
    first, second = operands(x1, x2)
    if type(x2) is int and not 0 <= x2 < 128:
        return _that_holds(x2, first), second
    if type(x1) is int and not 0 <= x1 < 128 and not isinstance(x2, (int, float)):
        return first, _that_holds(x1, second)
    return first, second


def _beside(number: int, value: Tensor) -> Tensor:
    """Return what is beside an integer: booleans as integers of 32 bits, of 64 where the integer needs them."""
    if not is_bool(value):
        return value
    return value.to(torch.int32 if fits_int32(number) else torch.int64)


def numbers(x1: TensorLike, x2: TensorLike) -> tuple[Tensor, Tensor]:
    """Return two operands like ``operands``, booleans always as numbers."""
    first, second = operands(x1, x2)
    return _number(first, second), _number(second, first)


def _number(value: Tensor, other: Tensor | float) -> Tensor:
    if isinstance(value, (int, float)) or not is_bool(value):
        return int(value) if isinstance(value, bool) else value
    if isinstance(other, (torch.Tensor, fx.Proxy)) and not is_bool(other):
        return value.to(runtime.dtype_of(dtype(other)))
    return value.to(torch.int32)


def is_bool(value: Tensor) -> bool:
    """Return whether a tensor is one of booleans; of a traced value of which that is not known, False."""
    return (inferred_dtype(value) if isinstance(value, fx.Proxy) else dtype(value)) == "bool"


def pair(x1: TensorLike, x2: TensorLike) -> tuple[Tensor, Tensor]:
    """Return two operands, both tensors; a number becomes one without axes, which takes the other's dtype if it fits."""
    first, second = tensor(x1), tensor(x2)
    if type(x1) is int and not 0 <= x1 < 128:
        second = _that_holds(x1, second)
    elif type(x2) is int and not 0 <= x2 < 128:
        first = _that_holds(x2, first)
    return _as_beside(x1, first, second), _as_beside(x2, second, first)


def _as_beside(given: TensorLike, made: Tensor, other: Tensor) -> Tensor:
    """Return a number as a tensor of the dtype of another without axes, beside which torch would let the number's count."""
    if type(given) not in (int, float) or not isinstance(other, torch.Tensor) or other.ndim:
        return made
    return made.to(other.dtype) if other.is_floating_point() or (type(given) is int and not is_bool(other)) else made


def _that_holds(number: int, value: Tensor) -> Tensor:
    """Return integers in a dtype that an integer fits beside them."""
    kind = inferred_dtype(value) if isinstance(value, fx.Proxy) else dtype(value)
    if kind is None or "int" not in kind:
        return value
    limits = torch.iinfo(runtime.dtype_of(kind))
    if limits.min <= number <= limits.max:
        return value
    return value.to(torch.int32 if fits_int32(number) else torch.int64)


def float_pair(x1: TensorLike, x2: TensorLike) -> tuple[Tensor, Tensor]:
    """Return two operands as floats of one dtype: that of the one which is a float, else the default type."""
    first, second = tensor(x1), tensor(x2)
    if "float" in dtype(first) + dtype(second):  # integers of two dtypes would wrap on the way to floats
        first, second = common(first, second)
    return floats(first), floats(second)


def complex_of(real: Tensor, imaginary: Tensor) -> Tensor:
    """Return complex numbers of two parts, floats of one dtype; those of 16 bits become float32, as torch has none of these."""
    if dtype(real) in ("float16", "bfloat16"):
        real, imaginary = real.to(torch.float32), imaginary.to(torch.float32)
    return torch.complex(real, imaginary)


def number_of(name: str, value: object, least: int | None = None) -> int:
    """Return an integer; raise where a value is none, or less than ``least``."""
    bound = "" if least is None else f" ≥ {least}"
    if isinstance(value, (fx.Proxy, torch.SymInt)):
        return value  # type: ignore[return-value]  # traced: a size that is read when a model runs
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise ArgumentTypeError(f"{name} must be an integer{bound}.", got=repr(value))
    if least is not None and operator.index(value) < least:
        raise ArgumentError(f"{name} must be an integer{bound}.", got=repr(value))
    return operator.index(value)


def floats(value: TensorLike) -> Tensor:
    """Return a tensor of floats: integers and booleans in the default float type; a traced value of no known type stays."""
    value = tensor(value)
    known = _traced_dtype(value) if isinstance(value, fx.Proxy) else dtype(value)
    return value if known is None or is_float(known) else value.to(runtime.dtype_of(config.floatx()))


_FLOAT_OF_FLOATS = frozenset((
    "add", "batch_norm", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "flatten",
    "layer_norm", "linear", "matmul", "movedim", "mul", "permute", "reshape", "sub", "unsqueeze",
))  # fmt: skip


def _traced_dtype(value: fx.Proxy) -> str | None:
    """Return the dtype of a traced value as far as it is known to be a float or not; None where nothing is known."""
    root = _root(value)
    stack: list[fx.Node] = [value.node]
    while stack:
        node = stack.pop()
        name = node.target if isinstance(node.target, str) else name_of(node.target)
        if node.meta.get("dtype") is not None:
            if "float" not in node.meta["dtype"]:
                return inferred_dtype(value)
        elif node.op == "get_attr" and root is not None:
            held = _held(root, str(node.target))
            if not isinstance(held, torch.Tensor) or not held.is_floating_point():
                return inferred_dtype(value)
        elif name in _FLOAT_OF_FLOATS:
            stack.extend(node.all_input_nodes)
        else:
            return inferred_dtype(value)
    return "float"


def inferred_dtype(value: Tensor | fx.Proxy) -> str | None:
    """Return the name of a value's dtype, None where it is not known while a model is traced."""
    try:
        return dtype(value)
    except EngineError:
        return None


def _root(value: fx.Proxy) -> object:
    return getattr(value.tracer, "root", None)  # torch's tracers that record no module have none


def _held(root: object, target: str) -> object:
    for name in target.split("."):
        root = getattr(root, name)
    return root


def whole(value: TensorLike) -> Tensor:
    """Return a tensor of numbers: booleans as int32."""
    value = tensor(value)
    return value.to(torch.int32) if dtype(value) == "bool" else value


def whole_indices(value: TensorLike, name: str) -> Tensor:
    """Return indices as int64; floats among them must be integers, which is seen where they have values."""
    found = tensor(value)
    if not isinstance(found, (fx.Proxy, fakes.FakeTensor)) and found.is_floating_point():
        with fakes.unset_fake_temporarily():  # a constant has values while a call is described
            wrong = found[~(found.trunc() == found) | found.isinf()]
            if wrong.numel():
                raise ArgumentError(
                    f"{name} must be integers.", got=str(wrong[0].item()), repair="ops.floor(…), or an integer dtype"
                )
    return found.long()


def check_inside(values: Tensor, least: int, count: int, what: str) -> None:
    """Raise where a value is less than ``least`` or not less than ``count``; of traced values nothing is known."""
    found = None if isinstance(values, fx.Proxy) else runtime.ends(values)
    if found is not None and not least <= found[0] <= found[1] < count:
        raise OutOfRangeError(
            f"{what} are out of range.", expected=f"integers from {least} to {count - 1}", got=str(found[found[0] >= least])
        )


def common(*values: TensorLike) -> list[Tensor]:
    """Return tensors of one dtype, the one that holds them all."""
    made = [tensor(value) for value in values]
    kinds = {dtype(value) for value in made}
    if len(kinds) == 1:
        return made
    examples = [torch.empty((1,) * min(len(shape(value)), 1), dtype=runtime.dtype_of(dtype(value))) for value in made]
    wide = _wide(examples)
    if not wide.is_floating_point and wide is not torch.bool:
        limits = torch.iinfo(wide)
        large = [given for given in values if type(given) is int and not limits.min <= given <= limits.max]
        wide = (torch.int32 if all(map(fits_int32, large)) else torch.int64) if large else wide
    return [value if dtype(value) == str(wide).removeprefix("torch.") else value.to(wide) for value in made]


def _wide(examples: list[torch.Tensor]) -> torch.dtype:
    result = examples[0]
    for example in examples[1:]:
        result = torch.empty(result.shape or example.shape, dtype=torch.result_type(result, example))
    return result.dtype


def torch_dtype(dtype: str | type | np.dtype[Any] | torch.dtype) -> torch.dtype:
    """Return torch's dtype of a name, of a Python type such as ``float``, or of NumPy's or torch's dtype."""
    if isinstance(dtype, torch.dtype):
        return dtype
    return runtime.dtype_of(dtype if isinstance(dtype, str) else str(np.dtype(dtype)))


def sum_options(value: Tensor) -> dict[str, Any]:
    """Return the option by which a sum of integers stays in their own type, which is int32 for small ones; {} for floats."""
    kind = dtype(value)
    if is_float(kind):
        return {}
    return {"dtype": torch.int64 if kind == "int64" else torch.int32}


# What is known of a value


def dtype(value: Tensor | fx.Proxy) -> str:
    """Return the name of a value's dtype."""
    return spec(value)[1]


def shape(value: Tensor | fx.Proxy) -> Shape:
    """Return a value's shape, None where a traced value's size is not known."""
    return spec(value)[0]


def rank(value: Tensor | fx.Proxy) -> int:
    """Return the number of axes."""
    return len(spec(value)[0])


def sizes(value: Tensor) -> tuple[int, ...]:
    """Return the sizes along each axis, traced reads where they are not known."""
    return tuple(value.shape[axis] if size is None else size for axis, size in enumerate(shape(value)))


def spec(value: Tensor | fx.Proxy) -> Spec:
    """Return shape and dtype."""
    if isinstance(value, fx.Proxy):
        known = _noted(value.node)
        return _found(value) if known is None else known
    return runtime.shape_in_call(value), str(value.dtype).removeprefix("torch.")


def check_numbers(value: Tensor, what: str, repair: str) -> None:
    """Raise where a tensor has no numbers, on which the size of the result depends."""
    if isinstance(value, (fx.Proxy, fakes.FakeTensor)):
        raise ArgumentTypeError(f"How much {what} gives depends on numbers, which a symbolic tensor lacks.", repair=repair)


def _noted(node: fx.Node) -> Spec | None:
    if node.meta.get("shape") is None or node.meta.get("dtype") is None:
        return None
    return node.meta["shape"], node.meta["dtype"]


_RUN = "run"
"""Key of a node's facts for what both runs gave: so each node is run once, however often somebody asks of those after it."""


def _found(value: fx.Proxy) -> Spec:
    """Return what running the traced nodes on fake tensors says, once for each of two sizes of what is not known."""
    root = _root(value)
    runtime.silence_fakes()
    try:
        runs = [_run(value.node, root, which) for which in range(len(runtime.UNKNOWN))]
        found = agreed(*(values[value.node].shape for values in runs)), str(runs[0][value.node].dtype).removeprefix("torch.")
    except Exception as error:
        raise EngineError("The shape of a value is not known while a model is traced.") from error
    for node in runs[0]:
        if all(isinstance(values[node], torch.Tensor) for values in runs):
            node.meta[_RUN] = [(tuple(values[node].shape), values[node].dtype) for values in runs]
    value.node.meta["shape"], value.node.meta["dtype"] = found
    return found


def _run(wanted: fx.Node, root: object, which: int) -> dict[fx.Node, Tensor]:
    """Return a node's value on fake tensors, and those of the nodes before it, up to those of known sizes."""
    values: dict[fx.Node, Tensor] = {}
    stack = [wanted]
    with fakes.FakeTensorMode(allow_non_fake_inputs=True):
        while stack:
            node = stack[-1]
            if (known := _stand_in(node, which)) is not None:
                values[node] = known
            missing = [] if node in values else [before for before in node.all_input_nodes if before not in values]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            if node not in values:
                values[node] = _result(node, root, values)
    return values


def _stand_in(node: fx.Node, which: int) -> Tensor | None:
    """Return a tensor of a node's sizes, those of an earlier run where there was one; None where it must be run."""
    noted, place = _noted(node), runtime.device()
    if (run := node.meta.get(_RUN)) and (noted is None or noted[0] == agreed(*(sizes for sizes, _ in run))):
        return torch.empty(run[which][0], dtype=run[which][1], device=place)
    if noted is None:
        return None
    sizes = [runtime.UNKNOWN[which] if size is None else size for size in noted[0]]
    return torch.empty(sizes, dtype=runtime.dtype_of(noted[1]), device=place)


def _result(node: fx.Node, root: object, values: dict[fx.Node, Tensor]) -> Tensor:
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    if node.op == "call_function":
        return node.target(*args, **kwargs)  # type: ignore[operator]  # fx knows that it is one
    held = _held(root, str(node.target))
    return torch.empty_like(held) if isinstance(held, torch.Tensor) else held(*args, **kwargs)  # type: ignore[operator,no-any-return]  # a module


# Axes


def one_axis(axis: object, rank: int, name: str = "axis") -> int:
    """Return an axis counted from the front."""
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise ArgumentError(f"{name} is not an axis.", expected=_axes(rank), got=f"{name}={axis!r}")
    if not -rank <= axis < rank:
        count = "1 axis" if rank == 1 else f"{rank or 'no'} axes"
        raise OutOfRangeError(f"There is no axis {axis}: the tensor has {count}.", expected=_axes(rank), got=f"{name}={axis}")
    return axis % rank


def axis_in(axis: int, value: Tensor) -> int:
    """Return an axis as it was given, checked where the number of axes is known without inference."""
    if not isinstance(value, fx.Proxy) or _noted(value.node) is not None:
        one_axis(axis, rank(value))
    return axis


def _axes(rank: int) -> str:
    return f"an integer from {-rank} to {rank - 1}" if rank else "no axis at all"


def some_axes(axis: Axes, rank: int, name: str = "axis") -> tuple[int, ...]:
    """Return axes counted from the front: one, several, or all where it is None."""
    if axis is None:
        return tuple(range(rank))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    found = tuple(one_axis(each, rank, name) for each in given)
    if len(set(found)) != len(found):
        raise ArgumentError("An axis is named twice.", expected=f"each {name} once", got=repr(axis))
    return found


def reduced(function: Callable[..., Tensor], x: Tensor, axis: Axes, keepdims: bool, **options: torch.dtype) -> Tensor:
    """Return a reduction of torch's over one axis, several, or all where it is None; x itself where it has no axes."""
    axes = some_axes(axis, rank(x))
    return function(x, axes, keepdim=keepdims, **options) if axes else x.to(options["dtype"]) if options else x


def check_rank(value: Tensor, ranks: Sequence[int], axes: str, name: str = "x") -> int:
    """Return the number of axes; raise where it is none of ``ranks``."""
    found = shape(value)
    if len(found) not in ranks:
        raise ShapeError(
            f"{name} has {len(found)} axes.",
            expected=f"{' or '.join(map(str, ranks))} axes: {axes}",
            got=str(found),
        )
    return len(found)


def one_of(name: str, value: T, choices: Sequence[T]) -> T:
    """Return ``value``; raise where it is none of ``choices``."""
    if value not in choices:
        if isinstance(value, str):
            raise unknown(name, value, [choice for choice in choices if isinstance(choice, str)])
        raise ArgumentError(f"Unknown {name}.", expected=f"one of {', '.join(map(repr, choices))}", got=repr(value))
    return value
