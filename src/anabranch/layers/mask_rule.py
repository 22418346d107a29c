"""What a description says of a layer's masks: how far those of its outputs reach, and where one is lost."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import ClassVar, Protocol

from anabranch import _tree, runtime
from anabranch._asked import asked_by, has_shape
from anabranch._errors import ShapeError
from anabranch.graph import CallSite, Graph, Node, Shape, Spec, Tensor, with_values
from anabranch.graph.call_site import warn
from anabranch.graph.operators import Operator
from anabranch.graph.shapes import stretches
from anabranch.graph.tensor import SymbolicTensor


class Masking(Protocol):
    """What is asked of a layer here."""

    _is_function_: ClassVar[bool]

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def _graph_(self) -> Graph | None:
        """The graph inside a model."""

    @property
    def supports_masking(self) -> bool:
        """Whether a mask goes on."""

    def call(self, *args: object, **kwargs: object) -> _tree.Nest:
        """Compute."""

    def compute_mask(self, inputs: object, previous_mask: object) -> _tree.Nest:
        """Return the mask of what it gives."""

    def _call_takes_(self, name: str) -> bool:
        """Return whether ``call`` has a parameter ``name``."""

    def _symbolic_mask_(self, inputs: object, mask: object, **more: object) -> _tree.Nest:
        """Return the symbolic mask of what it gives."""


def reach(layer: Masking, node: Node, given: Sequence[int]) -> tuple[int, ...]:
    """Return over how many leading axes each output of ``node`` is masked, where ``given`` says so of each input."""
    stand_ins = [
        mask_like(tensor.shape[:axes], node.site) if axes else None for tensor, axes in zip(node.inputs, given, strict=True)
    ]
    inputs = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
    args, kwargs = with_values(node, stand_ins)
    masks = args[0] if args else next(iter(kwargs.values()), None)
    previous = _tree.map_leaves(lambda leaf: leaf if isinstance(leaf, Tensor) else None, masks)
    if all(leaf is None for leaf in _tree.leaves(previous)):
        previous = None
    explicit = node.kwargs.get("mask") if layer._call_takes_("mask") else None
    more = asked_by(type(layer).compute_mask, type(layer).call, node.args, node.kwargs)
    found = layer._symbolic_mask_(inputs, previous if explicit is None else explicit, **more)
    reached = [len(mask.shape) if has_shape(mask) else 0 for mask in _tree.leaves(found)]
    return (*reached, *(0,) * (node.output_count - len(reached)))[: node.output_count]


def mask_like(shape: Shape, site: CallSite) -> Tensor:
    """Return a symbolic mask for one that is not computed yet."""
    return SymbolicTensor(Node(Operator(operator.ne), (), {}, Spec(shape, "bool"), site), 0, Spec(shape, "bool"))


def warn_of_lost_mask(layer: Masking, site: CallSite) -> None:
    """Warn at ``site`` where ``layer``, called there on what has a mask, knows nothing of masks."""
    if layer.supports_masking or layer._graph_ is not None or layer._is_function_ or layer._call_takes_("mask"):
        return
    warn(
        f"{type(layer).__name__} {layer.name!r} does not support masks: its input's mask ends here, and what comes after it "
        "counts padding as data. A layer that takes the mask (GlobalAveragePooling1D) can stand before it; in a layer of your "
        "own self.supports_masking = True lets the mask pass.",
        site,
    )


def check_fits(label: str, mask: object, shape: Shape | None) -> None:
    """Raise where a mask, whose shape is known, would stretch what it masks, of ``shape``: to more samples or axes."""
    found = runtime.shape_of(mask)
    if found is not None and shape is not None and stretches(found, shape):
        raise ShapeError(
            f"The mask of {label} does not fit what it masks.",
            expected=f"{shape}, or 1 in the place of a size", got=str(found),
        )  # fmt: skip
