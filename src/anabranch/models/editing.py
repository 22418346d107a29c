"""What a model does with its graph as data: paths, taps, cuts, edits and copies."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from anabranch import _tree
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, GraphError
from anabranch.graph import Graph, Node, Tensor, outputs_of
from anabranch.graph.call_site import warn
from anabranch.graph.paths import Place, places
from anabranch.layers.base import Layer
from anabranch.layers.core import InputLayer
from anabranch.models.trainer import Trainer

if TYPE_CHECKING:
    from anabranch.graph import CallSite

M = TypeVar("M", bound=Trainer)


class GraphEdit(Protocol):
    """One of the edits of ``anabranch.edit``."""

    @property
    def text(self) -> str:
        """The call that made it."""

    @property
    def site(self) -> CallSite:
        """The user's line that made it."""


def edited(model: Trainer, graph: Graph, edits: Sequence[object], weights: object, name: str | None) -> Trainer:
    """Return a new model: the graph after all ``edits``, its layers twins that share or copy their weights."""
    if not isinstance(weights, str) or weights not in ("shared", "copied"):
        raise ArgumentError("weights of edit is not understood.", expected="'shared' or 'copied'", got=repr(weights))
    from anabranch.graph.draft import Draft, Edit  # loaded with the first edit, as most models see none
    from anabranch.models.rebuilding import rebuild

    draft = Draft(graph)
    for edit in edits:
        if not isinstance(edit, Edit):
            raise ArgumentTypeError(
                "model.edit takes edits.",
                expected="edit.replace(…), edit.insert_after(…), …",
                got=f"{type(edit).__name__}: {edit!r}"[:120],
            )
        try:
            edit.apply(draft)
        except AnabranchError as error:
            raise error.at(f"{edit.text}, written at {edit.site}") from error.__cause__
    built = rebuild(draft, weights)  # type: ignore[arg-type]  # checked above
    new = model._with_graph_(built.graph)
    new._explicit_name_ = model._explicit_name_ if name is None else name
    if built.notes:
        warn("These weights did not fit any more: " + "; ".join(built.notes))
    recompile(model, new)
    return new


def recompile(old: Trainer, new: Trainer) -> None:
    """Compile a new model as the old one was; outputs that the old did not have are left without a loss."""
    compiled = old._compiled_
    if compiled is None:
        return
    given = compile_arguments(compiled.arguments)
    before, after = (old._output_names_, new._output_names_) if new._graph_ is not None else ([], [])
    if after != before:
        for key in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            given[key] = _by_name(given[key], before, after)
    new.compile(**given)


def compile_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what another model can be compiled with: an optimizer and metrics without the state of these."""
    given = dict(arguments)
    given["optimizer"] = given["optimizer"]._renewed_()
    given["metrics"], given["weighted_metrics"] = copy.deepcopy((given["metrics"], given["weighted_metrics"]))
    return given


def _by_name(given: object, old: list[str], new: list[str]) -> list[object] | dict[str, object] | None:
    """Return what was given for the old outputs under the new ones' names; an output that was renamed keeps its place."""
    if given is None:
        return None
    if not isinstance(given, dict):
        given = dict(zip(old, given if len(old) > 1 and isinstance(given, (list, tuple)) else [given] * len(old), strict=False))
    found = [given.get(name if name in old else place) for name, place in itertools.zip_longest(new, old[: len(new)])]
    if len(set(new)) < len(new):  # a tensor that is two outputs
        return [*found[: len(old)], *[None] * (len(new) - len(old))]
    return dict(zip(new, found, strict=True))


def tapped(graph: Graph, wanted: object) -> tuple[_tree.Nest, _tree.Nest]:
    """Return the graph's inputs, and the tensors at a nest of paths; nested models are made to return what is inside them."""
    return lifted(graph, places(graph, wanted))


def lifted(graph: Graph, wanted: object) -> tuple[_tree.Nest, _tree.Nest]:
    """Return the graph's inputs, and the tensors at a nest of places or of tensors of the graph itself."""
    if not any(isinstance(leaf, Place) and leaf.calls for leaf in _tree.leaves(wanted)):
        return graph.input_structure, _tree.map_leaves(lambda leaf: leaf.tensor() if isinstance(leaf, Place) else leaf, wanted)
    from anabranch.graph.draft import Draft
    from anabranch.models.rebuilding import rebuild

    draft = Draft(graph)
    draft.outputs = _tree.map_leaves(lambda leaf: draft.lift(leaf) if isinstance(leaf, Place) else draft.ref_to(leaf), wanted)
    built = rebuild(draft, "same").graph
    return built.input_structure, built.output_structure


def cut(graph: Graph, start: object, end: object) -> tuple[_tree.Nest, _tree.Nest]:
    """Return the tensors at two nests of paths in one graph: the model's, or that of one nested model."""
    ends = [places(graph, nest) for nest in (start, end)]
    if len({leaf.calls for nest in ends for leaf in _tree.leaves(nest)}) > 1:
        raise GraphError(
            "A model is cut between tensors of one graph.", expected="paths with the same parents",
            got=f"{start!r} and {end!r}", repair="model['backbone'].between(…) cuts inside a nested model",
        )  # fmt: skip
    inputs, outputs = (_tree.map_leaves(lambda place: place.tensor(), nest) for nest in ends)
    return inputs, outputs


def connected(inputs: object, outputs: object, error: GraphError) -> tuple[_tree.Nest, _tree.Nest]:
    """Return inputs and outputs where an output is a tensor inside a nested model, so that its call joins them.

    Such a tensor belongs to the nested model's own graph, whose Input is not among ``inputs``; the model's call is found by the
    weak references that Inputs and models keep. ``error`` is raised where there is no such call.
    """
    search = _Search({tensor.key for tensor in _tree.leaves(inputs) if isinstance(tensor, Tensor)})
    wanted = _tree.map_leaves(lambda tensor: tensor if search.reaches(tensor) else search.place(tensor, error), outputs)
    leaves = _tree.leaves(wanted)
    outer = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    calls = [_tree.leaves(outputs_of(leaf.calls[0]))[0] for leaf in leaves if isinstance(leaf, Place)]
    return lifted(Graph(inputs, [*outer, *calls]), wanted)


class _Search:
    """Finds how tensors hang together with the inputs of a model to be."""

    def __init__(self, given: set[tuple[Node, int]]) -> None:
        self.given = given
        self.known: dict[Node, bool] = {}

    def reaches(self, tensor: Tensor) -> bool:
        """Return whether the inputs given are all that a tensor needs."""
        if tensor.key in self.given:
            return True
        stack = [tensor.node]
        while stack:
            node = stack[-1]
            waiting = [t.node for t in node.inputs if t.key not in self.given and t.node not in self.known]
            if node in self.known or not waiting:
                self.known[node] = bool(node.inputs) and all(t.key in self.given or self.known[t.node] for t in node.inputs)
                stack.pop()
            else:
                stack.extend(waiting)
        return self.known[tensor.node]

    def place(self, tensor: Tensor, error: GraphError) -> Place:
        """Return where a tensor is inside a nested model whose call the inputs reach."""
        chains = self.chains(tensor)
        if not chains:
            raise error
        if len(chains) > 1:
            raise GraphError(
                f"{tensor.name!r} is in a model that is called {len(chains)} times, so which tensor is meant is ambiguous.",
                got=", ".join(str(chain[0].site) for chain in chains),
                repair=f"model.tap('{chains[0][0].operation.name}@0/{tensor.name}')",
            )
        return Place(chains[0], tensor.node, tensor.index)

    def chains(self, tensor: Tensor) -> list[tuple[Node, ...]]:
        """Return the calls of nested models, from the outermost, that lead from the inputs to a tensor."""
        found: list[tuple[Node, ...]] = []
        for model in _owners(tensor):
            for node in (call() for call in model._calls_):
                if node is None:
                    continue
                first = outputs_of(node)
                outer = _tree.leaves(first)[0]
                if self.reaches(outer):
                    found.append((node,))
                else:
                    found.extend((*chain, node) for chain in self.chains(outer))
        return found


def _owners(tensor: Tensor) -> list[Any]:
    """Return the models whose graph holds a tensor."""
    stack, seen = [tensor.node], {tensor.node}
    owners: dict[Any, None] = {}
    while stack:
        node = stack.pop()
        if isinstance(node.operation, InputLayer):
            owners.update((model, None) for model in node.operation.models if model._graph_.holds(tensor.node))
        for given in node.inputs:
            if given.node not in seen:
                seen.add(given.node)
                stack.append(given.node)
    return list(owners)


@checked
def clone_model(
    model: M,
    input_tensors: object = None,
    clone_function: Callable[[Any], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    *,
    weights: str = "fresh",
    **kwargs: object,
) -> M:
    """Return a model of the same graph with layers of its own, compiled as the model is.

    Args:
        model: the model.
        input_tensors: symbolic tensors to begin with in the place of the Inputs.
        clone_function: makes the clone of each layer that is no Input, nested models among them;
            ``type(layer).from_config(layer.get_config())`` unless given.
        call_function: called as ``call_function(layer, *args, **kwargs)`` in the place of ``layer(*args, **kwargs)``.
        recursive: whether nested models are cloned layer by layer, by these functions, in the place of being asked for.
        weights: ``fresh`` draws new ones, as Keras does; ``shared`` or ``copied`` takes over the model's.
        kwargs: nothing else is taken; Keras's ``cache`` is ignored.

    Example:
        >>> from anabranch import Input, Model, layers, models
        >>> x = Input((4,))
        >>> model = Model(x, layers.Dense(2)(x))
        >>> models.clone_model(model).layers[1] is model.layers[1]
        False
    """
    if weights not in ("fresh", "shared", "copied"):
        raise ArgumentError(
            "weights of clone_model is not understood.", expected="'fresh', 'shared' or 'copied'", got=repr(weights)
        )
    if not isinstance(model, Trainer):
        raise ArgumentTypeError("clone_model copies a model.", got=f"{type(model).__name__}: {model!r}"[:120])
    if model._graph_ is None:
        twin = type(model).from_config(model.get_config())
        recompile(model, twin)
        return twin
    from anabranch.graph.draft import Draft
    from anabranch.models.rebuilding import Making, rebuild

    given = None if input_tensors is None else _tree.leaves(input_tensors)
    if given is not None and (len(given) != len(model._graph_.inputs) or not all(isinstance(each, Tensor) for each in given)):
        raise ArgumentError(
            f"input_tensors of clone_model must be {len(model._graph_.inputs)} symbolic tensors.", got=shown(input_tensors)
        )
    draft = Draft(model._graph_)
    making = Making(clone_function, call_function, recursive, given)
    built = rebuild(draft, weights, making)  # type: ignore[arg-type]  # checked above
    made = model._with_graph_(built.graph)  # a Sequential, too, unless its clones are no row of layers
    recompile(model, made)
    return cast("M", made)
