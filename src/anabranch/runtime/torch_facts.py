"""What torch says of its functions: is a call pointwise, is it repeatable, what does it change, whose memory is the result.

The schemas and tags of an aten operation answer for built-in functions and methods. What is written in Python, or composed of
several operations, runs once on small tensors while the operations that it dispatches are noted. Answers are cached for the
process; of what neither can say the answer is the safe one.
"""

from __future__ import annotations

import functools
import itertools
import operator
import types
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch._ops import OpOverload
from torch.fx import Node
from torch.fx.node import Argument, Target, map_aggregate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from anabranch._asked import method, name_of

# Element by element, which torch does not mark as pointwise: copies, random numbers, activations with several results; and the
# nine in the last two lines, which torch marks from 2.12 on.
POINTWISE = frozenset((
    "_to_copy", "alias", "bernoulli", "bernoulli_", "copy", "copy_", "detach", "dropout", "empty_like", "fill", "fill_",
    "floor_divide", "full_like", "hardswish", "lift_fresh", "lift_fresh_copy", "log_sigmoid_forward", "masked_fill",
    "native_dropout", "normal_", "ones_like", "prelu", "_prelu_kernel", "rand_like", "randn_like", "rrelu_with_noise",
    "scalar_tensor", "polar", "uniform_", "zero_", "zeros_like",
    "_conj_physical", "celu_", "elu_", "hardsigmoid_", "hardtanh_", "ldexp", "leaky_relu", "leaky_relu_",
    "selu_",
))  # fmt: skip
# Their schemas leave out that they update statistics, or may return their argument.
_UNDECLARED = frozenset((
    "batch_norm", "instance_norm", "native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "rrelu_with_noise", "type_as",
))  # fmt: skip
# A slice may be all of a small tensor, so that running it would show nothing.
_INDEXING = frozenset((operator.getitem, "__getitem__"))
Args: TypeAlias = Sequence[Argument]  # of a call in an fx graph
Kwargs: TypeAlias = Mapping[str, Argument]
_RANKS = (4, 2, 3, 5, 1)
_DTYPES = (torch.float64, torch.int64, torch.bool)  # float64, so that casts to the usual types have something to do


class TorchFacts(NamedTuple):
    """The facts of one call.

    Args:
        pure: the same arguments give the same tensor, one, and nothing else happens.
        may_alias: a result may be memory of an argument.
        mutates: it changes its first argument.
    """

    pure: bool = False
    may_alias: bool = True
    mutates: bool = False


UNKNOWN = TorchFacts()


def is_pointwise(overload: OpOverload) -> bool:
    """Return whether each element of an aten operation's result follows from those at its own position."""
    return torch.Tag.pointwise in overload.tags or _name(overload) in POINTWISE


def facts(target: Target, args: Args, kwargs: Kwargs) -> TorchFacts:
    """Return the facts of a call in an fx graph."""
    if "out" in kwargs:
        return TorchFacts(mutates=True)
    return _stated(target) or _seen(target, args, kwargs).facts


def maps_elements(target: Target, args: Args, kwargs: Kwargs) -> bool:
    """Return whether a call in an fx graph is pointwise and leaves the order in memory as it is."""
    if target in _INDEXING:
        return False
    known = _overloads(target)
    if known and all(map(is_pointwise, known)):
        return facts(target, args, kwargs).pure and not _orders_memory(kwargs)
    if known and not any(map(_is_composite, known)) and not any(map(is_pointwise, known)):
        return False
    return _seen(target, args, kwargs).pointwise


@functools.cache
def named_as_mutating(target: Target) -> bool:
    """Return whether a call changes its first argument by the schema, or by the underscore at the end of torch's names."""
    if isinstance(target, torch._ops.OpOverload):
        return bool(target._schema.is_mutable)
    name = target if isinstance(target, str) else name_of(target)
    if not isinstance(target, str) and _is_operator(target):
        return False  # its `and_` and `or_` have the underscore because Python had taken their names
    return bool(name.endswith("_") and not name.endswith("__"))


def reduces(name: object) -> bool:
    """Return whether the method of this name takes the axes to reduce, and then whether they stay with size 1."""
    return isinstance(name, str) and any(
        [each.name for each in overload._schema.arguments[1:3]] == ["dim", "keepdim"] and len(overload._schema.returns) == 1
        for overload in _overloads(name)
    )


@functools.cache
def _overloads(target: Target) -> tuple[OpOverload, ...]:
    """Return the aten operations that a built-in function or a method of that name calls; () where it is written in Python."""
    if isinstance(target, torch._ops.OpOverload):
        return (target,)
    function = method(torch.Tensor, target) if isinstance(target, str) else target
    if not isinstance(function, (types.BuiltinFunctionType, types.MethodDescriptorType)) or _is_operator(target):
        return ()
    packet = method(torch.ops.aten, function.__name__)
    found = []
    for overload in packet._overload_names if isinstance(packet, torch._ops.OpOverloadPacket) else ():
        try:
            each = getattr(packet, overload)
            _is_composite(each)
        except (AttributeError, RuntimeError):
            continue  # one of TorchScript's alone
        given = each._schema.arguments
        if any("Tensor" in str(a.type) for a in given) and not any(a.kwarg_only and _written(a) for a in given):
            found.append(each)
    return tuple(found)


@functools.cache
def _stated(target: Target) -> TorchFacts | None:
    """Return what the schemas of a target say, None where there are none that can be believed."""
    known = _overloads(target)
    if not known or any(_name(each) in _UNDECLARED or torch.Tag.maybe_aliasing_or_mutating in each.tags for each in known):
        return None
    mutates = any(_written(argument) for each in known for argument in each._schema.arguments) or named_as_mutating(target)
    single = {[str(r.type) for r in each._schema.returns] == ["Tensor"] for each in known}
    if len(single) > 1:
        return None
    return TorchFacts(
        pure=single.pop() and not mutates and not any(torch.Tag.nondeterministic_seeded in each.tags for each in known),
        may_alias=any(r.alias_info is not None for each in known for r in each._schema.returns),
        mutates=mutates,
    )


class _Sight(NamedTuple):
    """What one run of a call showed."""

    facts: TorchFacts = UNKNOWN
    pointwise: bool = False


class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves its modes untyped
    """Sees the operations that are dispatched; in inference mode composite ones are seen whole."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: torch would load its compiler, which takes seconds, to keep that from compiling the mode."""
        return False


class _Dispatched(Watching):  # type: ignore[no-untyped-call]  # torch leaves its modes untyped
    """Notes the operations that a call dispatches, and those that write to memory of its arguments."""

    def __init__(self, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves its modes untyped
        self.first, self.given = _memory(args[:1]), _memory((args, kwargs))
        self.operations: list[OpOverload] = []
        self.written: set[int] = set()
        self.casts: list[object] = []  # results of casts, which dispatch a copy only where the type changes

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        """Run and note one operation."""
        self.operations.append(func)
        if func._schema.is_mutable:
            self.written |= _memory(args[:1])
        result = func(*args, **(kwargs or {}))
        if _name(func) == "_to_copy":
            self.casts.append(result)
        return result


_sights: dict[Hashable, _Sight] = {}


def _seen(target: Target, args: Args, kwargs: Kwargs) -> _Sight:
    """Return what a run on small tensors shows, by the arguments that are no tensors."""
    try:
        key = target, _key(args), _key(kwargs)
        if key not in _sights:
            _sights[key] = _run(target, args, kwargs)
    except TypeError:  # an argument that cannot be looked up
        return _Sight()
    return _sights[key]


def _key(value: object) -> Hashable:
    if isinstance(value, (list, tuple)):
        return (type(value), *map(_key, value))
    if isinstance(value, dict):
        return tuple((name, _key(part)) for name, part in sorted(value.items()))
    if isinstance(value, slice):
        return (slice, _key(value.start), _key(value.stop), _key(value.step))
    return (type(value), None if isinstance(value, (float, Node)) else value)


def _run(target: Target, args: Args, kwargs: Kwargs) -> _Sight:
    """Run a call on small tensors; what is none of torch's functions is not run."""
    if not _is_torchs(target) or named_as_mutating(target):
        return _Sight(TorchFacts(mutates=named_as_mutating(target)))
    function: Callable[..., object] = getattr(torch.Tensor, target) if isinstance(target, str) else target
    state = torch.get_rng_state()
    try:
        with torch.inference_mode(False), torch.no_grad():
            for given_args, given_kwargs in _samples(args, kwargs):
                mode = _Dispatched(given_args, given_kwargs)
                try:
                    with mode:
                        result = function(*given_args, **given_kwargs)
                except Exception:  # these shapes or types are not what it takes
                    continue
                return _sight(mode, result, kwargs)
    finally:
        torch.set_rng_state(state)
    return _Sight()


def _sight(mode: _Dispatched, result: object, kwargs: Kwargs) -> _Sight:
    other = any(torch.Tag.nondeterministic_seeded in op.tags or _name(op) in _UNDECLARED for op in mode.operations)
    alias = bool(_memory(result) & (mode.given | _memory(mode.casts)))
    pure = isinstance(result, torch.Tensor) and not other and mode.written.isdisjoint(mode.given)
    pointwise = pure and bool(mode.operations) and all(map(is_pointwise, mode.operations)) and not _orders_memory(kwargs)
    return _Sight(TorchFacts(pure, alias or not mode.operations, not mode.written.isdisjoint(mode.first)), pointwise)


def _samples(args: Args, kwargs: Kwargs) -> Iterator[tuple[Args, Kwargs]]:
    """Yield arguments with small tensors for values: all of one rank, or all vectors but the first."""
    for dtype, rank, vectors in itertools.product(_DTYPES, _RANKS, (False, True)):
        ranks = itertools.chain((rank,), itertools.repeat(1 if vectors else rank))

        def one(leaf: Argument, ranks: Iterator[int] = ranks, dtype: torch.dtype = dtype) -> Argument:
            return torch.ones((2,) * next(ranks), dtype=dtype, device="cpu") if isinstance(leaf, Node) else leaf

        yield map_aggregate(args, one), map_aggregate(kwargs, one)


def _is_torchs(target: Target) -> bool:
    """Return whether a target is a method of tensors, or a function that torch or Python's operators have under its name."""
    if isinstance(target, str):
        return method(torch.Tensor, target) is not None
    name = name_of(target)
    return (
        _is_operator(target)
        or bool(_overloads(target))
        or any(method(module, name) is target for module in (torch, F, torch.linalg, torch.special))
    )


def _is_operator(target: Target) -> bool:
    return vars(operator).get(name_of(target)) is target


def _name(overload: OpOverload) -> str:
    return str(overload._schema.name.rpartition("::")[2])


def _is_composite(overload: OpOverload) -> bool:
    name: str = overload.name()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    return torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")


def _written(argument: torch._C.Argument) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _orders_memory(kwargs: Kwargs) -> bool:
    return "memory_format" in kwargs


def _memory(values: object) -> set[int]:
    """Return the memory of tensors, as numbers."""
    return {leaf.untyped_storage()._cdata for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)}
