"""The records that every graph consists of: a tensor knows the node that made it, a node its operation and its inputs.

Nothing points forward but weak references on the operation, which let ``layer.output`` answer.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple, Protocol

from anabranch import _tree
from anabranch.graph.call_site import CallSite
from anabranch.graph.shapes import Shape


class Spec(NamedTuple):
    """What is known of a tensor before it has numbers."""

    shape: Shape
    dtype: str


class MaskedSpec(Spec):
    """A Spec of a value that carried a mask when it was inferred, over its first ``mask_axes`` axes."""

    mask_axes: int = 0


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
    """One application of an operation.

    ``mask_axes``: over how many leading axes each output is masked, 0 where one is not; empty where none is.
    """

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
        self.mask_axes: tuple[int, ...] = ()

    @property
    def output_count(self) -> int:
        """How many tensors it gives."""
        return 1 if isinstance(self.output_specs, Spec) else len(spec_leaves(self.output_specs))

    @property
    def masked(self) -> tuple[bool, ...]:
        """Which outputs carry a mask."""
        return tuple(map(bool, self.mask_axes or (0,) * self.output_count))

    def __repr__(self) -> str:
        return f"<Node {self.operation.name} at {self.site}>"


class Tensor:
    """A tensor without numbers: what is known of one value that a node gives."""

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

    def __repr__(self) -> str:
        return f"<Tensor shape={self.shape} dtype={self.dtype} from {self.name} at {self.node.site}>"


def tensors_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, ...]:
    """Return the tensors without numbers among the arguments of a call, in order."""
    if len(args) == 1 and not kwargs and isinstance(args[0], Tensor):  # as most calls are
        return args
    leaves = _tree.leaves((args, list(kwargs.values())) if kwargs else args)
    return tuple([leaf for leaf in leaves if isinstance(leaf, Tensor)])


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
