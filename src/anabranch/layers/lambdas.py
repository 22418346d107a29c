"""Lambda: a function of tensors as a layer, traced as a graph wherever it can be."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from anabranch import _tree, registry, runtime
from anabranch._asked import has_shape, is_from, parameters_of, shown
from anabranch._errors import AnabranchError, ArgumentTypeError
from anabranch.graph import Graph, Shape, Spec, Tensor as Symbol, with_values
from anabranch.graph.call_site import warn
from anabranch.layers.base import Layer
from anabranch.layers.core import Input
from anabranch.layers.fields import Field, FieldLayer, field, state

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

T = TypeVar("T")
ShapeLike: TypeAlias = "Sequence[int | None] | Callable[..., Shape] | None"
MaskLike: TypeAlias = "Tensor | Callable[..., Tensor | None] | None"


def _function(value: object, owner: object, name: str) -> Callable[..., object]:
    if isinstance(value, dict):
        value = registry.deserialize(value)
    if not callable(value):
        raise ArgumentTypeError("Lambda wraps a function.", got=repr(value))
    return value


def _as_it_is(value: T) -> T:
    """Return code, which is no data: a config holds the object itself."""
    return value


def _mask(value: object, owner: object, name: str) -> object:
    array = has_shape(value) and is_from(type(value), "torch")
    if value is not None and not callable(value) and not array:
        raise ArgumentTypeError(f"{name} of Lambda must be a tensor, a function or None.", got=shown(value))
    return value


class Lambda(FieldLayer):
    """Use a function of tensors as a layer.

    Called on symbolic tensors it is run on them once, and what it does becomes a graph inside the layer: data rather than code.
    A function that cannot run on them (it branches on values, or draws some) stays code.

    Example:
        >>> import numpy as np
        >>> Lambda(lambda x: x * 2)(np.array([[1.0, 2.0]])).tolist()
        [[2.0, 4.0]]
    """

    function: Field[Callable[..., Any], Callable[..., Any]] = field(
        convert=_function, plain=_as_it_is, doc="of tensors: operators, ``anabranch.ops`` and torch's functions."
    )
    output_shape: Field[ShapeLike, ShapeLike] = field(
        default=None, plain=_as_it_is,
        doc="the result's shape without the batch, or a function of the input's shape; None infers it.",
    )  # fmt: skip
    mask: Field[MaskLike, MaskLike] = field(
        default=None, convert=_mask, plain=_as_it_is, doc="the output's mask, or a function of the input and its mask."
    )
    arguments: Field[dict[str, Any] | None, dict[str, Any]] = field(
        default=None,
        convert=lambda value, owner, name: {} if value is None else dict(value),
        doc="further keyword arguments for ``function``.",
    )

    _graph: Graph | None = state(init=False)
    _earlier: Graph | None = state(init=False)  # the graph until a setting asked for more than a graph can say
    _outdated: bool | None = state(init=False)  # whether the function is another one than the graph was made of

    @property
    def supports_masking(self) -> bool:  # type: ignore[override]  # follows from a setting
        """Whether the output has a mask."""
        return self.mask is not None

    def _changing_(self, changed: Field[Any, Any], value: object) -> None:
        before = self._graph, self._earlier, self._outdated
        if changed.name in ("function", "arguments"):
            self._graph, self._earlier, self._outdated = None, None, True
        elif changed.name == "mask" and value is not None:
            self._run_whole()
        try:
            super()._changing_(changed, value)
        except AnabranchError:
            self._graph, self._earlier, self._outdated = before
            raise

    def _note_change_(self) -> None:
        """Note that settings have changed; what only a layer as a whole can do ends its use as a graph."""
        super()._note_change_()
        dtypes = [tensor.dtype for tensor in self._graph.inputs if "float" in tensor.dtype] if self._graph else []
        if self.activity_regularizer is not None or any(dtype != self.compute_dtype for dtype in dtypes):
            self._run_whole()

    def _run_whole(self) -> None:
        if self._graph is not None:
            self._graph, self._earlier = None, self._graph

    @property
    def _graph_(self) -> Graph | None:
        """What the function does, as a graph; None where it stays code."""
        return self._graph

    def _with_graph_(self, graph: Graph) -> Self:
        """Return a layer like this one with another graph."""
        twin = copy.copy(self)
        twin._calls_ = []
        twin.function, twin.arguments = functools.partial(_run, graph), {}
        twin._graph, twin._earlier, twin._outdated = graph, None, False  # what it does is what the graph says now
        return twin

    def _sublayers_(self) -> list[Layer]:
        """Return the layers that the function calls."""
        graph = self._graph or self._earlier
        return super()._sublayers_() if graph is None else [o for o in graph.operations if isinstance(o, Layer)]

    def compute_output_spec(self, inputs: _tree.Nest, **kwargs: object) -> _tree.Nest:
        """Return the spec by the graph, by ``output_shape`` where there is one, else from fake tensors."""
        if (self._outdated or not self._calls_) and self._graph is None:
            self._outdated = False
            self._graph = self._traced(inputs) if not kwargs else None
        elif self._graph is not None and [t.spec for t in _tree.leaves(inputs)] != [t.spec for t in self._graph.inputs]:
            self._graph = None  # what it does may depend on shapes
        if self._graph is not None:
            return _tree.fill(self._graph.output_structure, [tensor.spec for tensor in self._graph.outputs])
        rule = self.output_shape
        if rule is None:
            return runtime.infer(self, (inputs,), kwargs)
        shapes = _tree.map_leaves(lambda x: x.shape, inputs)
        batch = _tree.leaves(inputs)[0].shape[0]
        return Spec(tuple(rule(shapes)) if callable(rule) else (batch, *rule), self.compute_dtype)

    def _describe_again_(self) -> None:
        """Let the graph hold what the function reads around it as it is now; what made layers keeps them, and warns."""
        graph = self._graph or self._earlier
        if graph is None:
            return
        if self.weights:
            warn(
                f"What the function of {self._error_label_()} reads around it has changed, without effect: the layers that "
                "it made hold the former values. Make a new layer, or write one with a call of its own."
            )
            return
        again = self._traced(_tree.fill(graph.input_structure, list(graph.inputs)))
        same = again is not None and [t.spec for t in again.outputs] == [t.spec for t in graph.outputs]
        self._graph, self._earlier = (again if same else None), None

    def _traced(self, inputs: _tree.Nest) -> Graph | None:
        """Return what the function does to symbolic tensors, None where it cannot run on them or gives something else."""
        plain = all(
            isinstance(leaf, Symbol) and ("float" not in leaf.dtype or leaf.dtype == self.compute_dtype)
            for leaf in _tree.leaves(inputs)
        )
        if not plain or self.activity_regularizer is not None or self.mask is not None or set(self._taken()):
            return None
        sources = _tree.map_leaves(lambda leaf: Input(batch_shape=leaf.shape, dtype=leaf.dtype), inputs)
        before = runtime.random_state()
        try:
            outputs = self.function(sources, **self.arguments)
            found = _tree.leaves(outputs)
            if runtime.random_state() == before and found and all(isinstance(leaf, Symbol) for leaf in found):
                return Graph(sources, outputs)
        except Exception:  # whatever it is, running on fake tensors meets it again and says so
            return None
        return None

    def _taken(self) -> list[str]:
        """Return which of ``mask`` and ``training`` the function takes."""
        takes = parameters_of(self.function)
        return [name for name in ("mask", "training") if name in takes]

    def compute_mask(self, inputs: _tree.Nest, mask: _tree.Nest = None) -> _tree.Nest:
        """Return the mask given, or what the function given makes of the inputs and their mask."""
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def call(self, inputs: _tree.Nest, mask: _tree.Nest = None, training: bool | None = None) -> _tree.Nest:
        """Call the function, with ``mask`` and ``training`` where it takes them."""
        if self._earlier is not None:  # with the layers that it made
            return _run(self._earlier, inputs)
        given = {"mask": mask, "training": training}
        return self.function(inputs, **{name: given[name] for name in self._taken()}, **self.arguments)


def _run(graph: Graph, inputs: _tree.Nest) -> _tree.Nest:
    """Return what a graph gives, operation by operation: tensors for tensors, symbolic ones for symbolic ones."""
    values = {tensor.key: given for tensor, given in zip(graph.inputs, _tree.leaves(inputs), strict=True)}
    for node in graph.nodes:
        if node.inputs:
            args, kwargs = with_values(node, [values[tensor.key] for tensor in node.inputs])
            apply = node.operation if isinstance(node.operation, Layer) else node.operation.call
            made = apply(*args, **kwargs)
            values.update({(node, index): value for index, value in enumerate(_tree.leaves(made))})
    return _tree.fill(graph.output_structure, [values[tensor.key] for tensor in graph.outputs])
