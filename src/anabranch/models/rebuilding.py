"""From a draft back to a graph: every shape rule is asked again; layers stay, or become twins, copies or refitted ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from anabranch import _tree
from anabranch._asked import shown
from anabranch._errors import ArgumentTypeError
from anabranch.graph import Graph, Home, Node, Operation, Tensor, Weight, describe, outputs_of, subgraph
from anabranch.graph.draft import Built, Change, Draft, Ref, Replaced, Step
from anabranch.graph.paths import walk
from anabranch.layers.base import Layer
from anabranch.layers.configuring import again
from anabranch.layers.core import InputLayer

Weights = Literal["same", "shared", "copied", "fresh"]


class Making(NamedTuple):
    """How ``clone_model`` makes and calls layers."""

    clone: Callable[[Any], Any] | None = None
    call: Callable[..., Any] | None = None
    recursive: bool = False
    inputs: list[Tensor] | None = None


class Rebuilt(NamedTuple):
    """The graph, and a line for each layer whose weights did not all fit."""

    graph: Graph
    notes: list[str]


def rebuild(draft: Draft, weights: Weights, making: Making | None = None) -> Rebuilt:
    """Return the graph that a draft describes.

    Args:
        draft: the topology.
        weights: ``same`` keeps layers and calls wherever nothing changed before them; ``shared`` makes twins of all layers,
            which hold the same weights; ``copied`` twins with weights of their own; ``fresh`` layers of the same configuration.
        making: how layers are made and called, where that is not left to this.
    """
    builder = _Builder(weights, making or Making(), draft.graph, {operation for _, operation in walk(draft.graph)})
    graph = builder.graph(draft)
    builder.assign_owners()
    return Rebuilt(graph, builder.notes)


class _Builder:
    def __init__(self, weights: Weights, making: Making, root: Graph, before: set[Operation]) -> None:
        self.weights = weights
        self.making = making
        self.root = root
        self.before = before  # the operations there were; others are new and stay
        self.notes: list[str] = []
        self.twins: dict[Operation | Change, Operation] = {}
        self.memo: dict[int, Any] = {}  # of copies, so that what layers share stays shared

    def graph(self, draft: Draft) -> Graph:
        """Build a draft's graph, nested models first where they are called."""
        made: dict[Step, list[Tensor]] = {}
        if draft.graph is self.root and self.making.inputs is not None:
            made.update(zip((ref.step for ref in _tree.leaves(draft.inputs)), ([t] for t in self.making.inputs), strict=True))

        def tensor(leaf: object) -> object:
            return made[leaf.step][leaf.index] if isinstance(leaf, Ref) else leaf

        for step in draft.order():
            if step in made:
                continue
            args, kwargs = _tree.map_leaves(tensor, (step.args, step.kwargs))
            made[step] = _tree.leaves(self.call(step, args, kwargs, draft))
            if not made[step]:
                raise ArgumentTypeError(f"What takes the place of {step.name!r} gives no tensor.", repair="let it return one")
        inputs, outputs = _tree.map_leaves(tensor, (draft.inputs, draft.outputs))
        return Graph(inputs, outputs)

    def call(self, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any], draft: Draft) -> _tree.Nest:
        """Return what a step gives for its new inputs."""
        if isinstance(step.operation, Built):
            before = step.operation.old
            return (
                step.operation.function(*args, **kwargs)
                if before is None
                else step.operation.function(self.twin(before, step, draft), *args, **kwargs)
            )
        operation = self.twin(step.operation, step, draft)
        old = step.operation
        if isinstance(old, Operation) and operation is not old and old._is_function_ and old._own_weights_():
            own = dict(zip(old._own_weights_(), operation._own_weights_(), strict=True))  # which are arguments of the call
            args, kwargs = _tree.map_leaves(
                lambda leaf: own.get(leaf, leaf) if isinstance(leaf, Weight) else leaf, (args, kwargs)
            )
        node = step.node
        if self.weights == "same" and node is not None and operation is node.operation and _same(node, args, kwargs):
            return outputs_of(node)
        noted = self.weights != "same"
        if isinstance(operation, InputLayer):
            return operation.output
        if self.making.call is not None and self.asks(draft):
            return self.making.call(operation, *args, **kwargs)
        if not isinstance(operation, Layer):
            return describe(operation, args, kwargs, step.site, noted=noted)
        if node is not None and operation.weights and subgraph(operation) is None and not _fits(node, args, kwargs):
            operation = self.refit(operation, args, kwargs, step)
        return operation._describe_(args, kwargs, step.site, noted=noted)

    def assign_owners(self) -> None:
        """Let the twin of the function that owned a parameter own its copy, in whatever order those that share it were made."""
        pairs = [(old, twin) for old, twin in self.twins.items() if isinstance(old, Layer) and isinstance(twin, Layer)]
        homes = {id(old._home_): twin._home_ for old, twin in pairs}
        for old, twin in pairs:
            if old._is_function_ and twin is not old:
                for before, now in zip(old._own_weights_(), twin._own_weights_(), strict=True):
                    if now is not before:
                        now.home = homes.get(id(before.home), now.home)

    def twin(self, old: Operation | Change, step: Step, draft: Draft) -> Operation:
        """Return what now replaces an operation; new ones stay."""
        if old not in self.twins:
            self.twins[old] = self.made(old, step, draft)
        return self.twins[old]

    def made(self, old: Operation | Change, step: Step, draft: Draft) -> Operation:
        """Make what replaces an operation."""
        if isinstance(old, Replaced):
            replaced = old.old
            made = old.function(replaced if replaced is None else self.twin(replaced, step, draft))
            if not isinstance(made, Layer):
                raise ArgumentTypeError(
                    f"What replaces {step.name!r} is no layer.", expected="a layer, or a function from the old layer to one",
                    got=f"{type(made).__name__}: {made!r}"[:120],
                )  # fmt: skip
            return made
        if isinstance(old, Change):
            raise NotImplementedError("a Built is called, not made")
        inner = draft.nested.get(old) if self.weights == "same" else draft.inside(old)
        cloned = isinstance(old, Layer) and not old._is_source_ and self.making.clone is not None and self.asks(draft)
        if inner is not None and (self.making.recursive or not cloned):
            holder: Any = old  # a model, or a layer with a graph inside
            graph = self.graph(inner)
            if self.weights == "same" and _same_tensors(graph.outputs, holder._graph_.outputs):
                return old
            twin: Operation = holder._with_graph_(graph)
        elif self.weights == "same" or old not in self.before:
            return old
        elif cloned:
            twin = self.making.clone(old)  # type: ignore[misc]  # there is one
            if not isinstance(twin, Layer):
                raise ArgumentTypeError(
                    f"clone_function must return a layer; of {old.name!r} it returned none.", expected="the layer's clone",
                    got=shown(twin), repair="return layer.__class__.from_config(layer.get_config())",
                )  # fmt: skip
        elif isinstance(old, InputLayer) or (isinstance(old, Layer) and self.weights == "fresh"):
            twin = again(old, self.memo)
        elif isinstance(old, Layer) and self.weights == "copied":
            twin = copy.deepcopy(old, self.memo)
        else:
            twin = copy.copy(old)
            twin._calls_ = []
        # a user's clone function returns what it likes
        if step.name is not None and not (self.making.clone is not None and getattr(twin, "_explicit_name_", None)):
            twin._explicit_name_ = step.name
        return twin

    def asks(self, draft: Draft) -> bool:
        """Return whether the functions of ``clone_model`` are asked for the layers of a draft."""
        return self.making.recursive or draft.graph is self.root

    def refit(self, layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any], step: Step) -> Layer:
        """Return the layer itself where its weights fit the new input, else a new one that holds those which do."""
        fresh = again(layer)
        fresh._explicit_name_, fresh.trainable = layer._explicit_name_, layer.trainable
        fresh._home_ = Home(layer._home_.path)
        fresh._describe_(args, kwargs, step.site, noted=False)
        old = {_relative(weight, layer): weight for weight in layer.weights}
        changed = [w for w in fresh.weights if (known := old.get(_relative(w, fresh))) is None or known.shape != w.shape]
        if not changed and len(old) == len(fresh.weights):
            return layer
        reused = {w: old[_relative(w, fresh)] for w in fresh.weights if w not in changed}
        for inner in fresh._inner_layers_():
            hold(inner, reused)
        for weight in changed:
            known = old.get(_relative(weight, fresh))
            before = f"{known.shape} became " if known is not None else ""
            self.notes.append(f"{step.name}: {_relative(weight, fresh)} {before}{weight.shape}, drawn again")
        for kind in [k for k, v in self.twins.items() if v is layer]:
            self.twins[kind] = fresh
        return fresh


def hold(layer: Layer, reused: dict[Weight, Weight]) -> None:
    """Let a layer hold other weights in the place of its own."""
    layer._weights_ = [reused.get(weight, weight) for weight in layer._weights_]
    for name, value in vars(layer).items():
        if isinstance(value, Weight) and value in reused:
            setattr(layer, name, reused[value])


def _relative(weight: Weight, layer: Layer) -> str:
    return weight.path.removeprefix(layer.path + "/")


def _tensors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    return [leaf for leaf in _tree.leaves((args, list(kwargs.values()))) if isinstance(leaf, Tensor)]


def _same(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether the new arguments are the tensors that a node took."""
    return _same_tensors(_tensors(args, kwargs), list(node.inputs))


def _same_tensors(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(a.key == b.key for a, b in zip(some, others, strict=True))


def _fits(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether the new inputs have the shapes of a node's."""
    return [tensor.shape for tensor in _tensors(args, kwargs)] == [tensor.shape for tensor in node.inputs]
