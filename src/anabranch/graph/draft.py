"""A graph under change: the same topology as records that can be rewired; shapes are asked for when it is built again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from anabranch import _tree
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, GraphError, unknown
from anabranch.graph.call_site import CallSite
from anabranch.graph.clues import NothingSelected, explained
from anabranch.graph.graph import Graph
from anabranch.graph.paths import Place, Selector, matcher
from anabranch.graph.records import Node, Operation, Tensor
from anabranch.graph.replaying import subgraph


class Ref:
    """One output of a step."""

    __slots__ = ("index", "step")

    def __init__(self, step: Step, index: int = 0) -> None:
        self.step = step
        self.index = index


class Change:
    """What a step is to become: ``function``, and the operation ``old`` that was there, None for none. Abstract."""

    def __init__(self, function: Callable[..., Any], old: Operation | Change | None = None) -> None:
        self.function = function
        self.old = old


class Replaced(Change):
    """What replaces an operation: ``function`` of what has become of it."""


class Built(Change):
    """A piece of graph: ``function`` of tensors, and before them of what has become of ``old``, if there is one."""


@dataclasses.dataclass(slots=True, eq=False)
class Step:
    """One call of an operation, a Replaced or a Built; ``node`` is what it was before."""

    operation: Operation | Change
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    site: CallSite
    name: str | None = None
    node: Node | None = None

    def sources(self) -> list[Ref]:
        """Return the references among its arguments, in order."""
        return [leaf for leaf in _tree.leaves((self.args, list(self.kwargs.values()))) if isinstance(leaf, Ref)]

    def swap(self, change: Callable[[Ref], Ref]) -> None:
        """Replace each reference among its arguments."""
        self.args, self.kwargs = _swapped((self.args, self.kwargs), change)


def _swapped(nest: _tree.Nest, change: Callable[[Ref], Ref]) -> _tree.Nest:
    return _tree.map_leaves(lambda leaf: change(leaf) if isinstance(leaf, Ref) else leaf, nest)


def _before(operation: Operation | Change) -> Operation | Change | None:
    """Return what a step applied before it was changed."""
    return operation.old if isinstance(operation, Change) else operation


class Found(NamedTuple):
    """What a selector means: the draft that holds it, its path, the calls meant, and whether these are all its calls."""

    draft: Draft
    path: str
    steps: list[Step]
    whole: bool


class Draft:
    """A graph's steps, inputs and outputs, open to change; nested models are opened when something inside them is meant."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nested: dict[Operation, Draft] = {}
        self.steps: dict[Node, Step] = {}
        self.added: list[Step] = []
        for node in graph.nodes:
            args, kwargs = _tree.map_leaves(self._ref, (node.args, node.kwargs))
            self.steps[node] = Step(node.operation, args, kwargs, node.site, name=graph.names[node.operation], node=node)
        self.inputs = _tree.map_leaves(self._ref, graph.input_structure)
        self.outputs = _tree.map_leaves(self._ref, graph.output_structure)

    def _ref(self, leaf: object) -> object:
        return Ref(self.steps[leaf.node], leaf.index) if isinstance(leaf, Tensor) and leaf.node in self.steps else leaf

    def ref_to(self, tensor: Tensor) -> Ref:
        """Return a reference to a tensor of the graph as it was."""
        return Ref(self.steps[tensor.node], tensor.index)

    def all_steps(self) -> Iterator[Step]:
        """Yield the steps there are, those that were added last."""
        yield from self.steps.values()
        yield from self.added

    def inside(self, operation: Operation) -> Draft | None:
        """Return the draft of a nested model, None for anything else."""
        inner = subgraph(operation)
        if inner is None:
            return None
        if operation not in self.nested:
            self.nested[operation] = Draft(inner)
        return self.nested[operation]

    # Finding

    def find(self, selector: Selector) -> list[Found]:
        """Return what ``selector`` means, with all its calls; ``path@2`` is one call, and a whole path nothing besides."""
        selector, call = _without_call(selector)
        matches = matcher(selector)
        found: list[Found] = []
        seen: set[Any] = set()
        stack: list[tuple[str, Draft]] = [("", self)]
        paths: list[str] = []
        while stack:
            prefix, here = stack.pop()
            calls: dict[Any, list[Step]] = {}
            for step in here.all_steps():
                if step.name is not None:
                    calls.setdefault(_before(step.operation), []).append(step)
            for operation, steps in calls.items():
                path = f"{prefix}{steps[0].name}"
                paths.append(path)
                if matches(path, operation):
                    found.append(Found(here, path, steps, True))
                elif subgraph(operation) is not None and operation not in seen:
                    seen.add(operation)
                    inner = here.inside(operation)
                    if inner is not None:
                        stack.append((path + "/", inner))
        if not found:
            raise unknown("layer", str(selector), paths) if isinstance(selector, str) else _none_selected(selector)
        found = [one for one in found if one.path == selector] or found
        return found if call is None else [_one_call(one, call) for one in found]

    def ref(self, path: str) -> Ref:
        """Return the one tensor at ``path``; an inner one of a nested model becomes a further output of that model."""
        if not isinstance(path, str):
            raise ArgumentTypeError("A tensor is named by its path, a string.", expected="'conv2d', 'split:1'", got=shown(path))
        path, _, index = path.partition(":")
        if index and not index.isdigit():
            raise ArgumentError("What follows ':' is the index of an output.", expected=f"{path}:0", got=f"{path}:{index}")
        found = self.find(path)
        if len(found) > 1 or len(found[0].steps) > 1:
            names = (f"{one.path}@{number}" for one in found for number in range(len(one.steps)))
            raise GraphError(f"{path!r} means several tensors.", got=", ".join(names))
        draft, inner = found[0].draft, Ref(found[0].steps[0], int(index) if index else 0)
        return inner if draft is self else self._lifted(draft, inner)

    def _lifted(self, draft: Draft, inner: Ref) -> Ref:
        """Return a reference in this draft to a tensor of a nested one."""
        for operation, nested in self.nested.items():
            if nested is draft or nested.holds(draft):
                ref = inner if nested is draft else nested._lifted(draft, inner)
                calls = [step for step in self.all_steps() if step.operation is operation]
                if len(calls) != 1:
                    raise GraphError(f"{calls[0].name!r} is called {len(calls)} times, so its inner tensors are ambiguous.")
                return Ref(calls[0], nested.expose(ref))
        raise GraphError("The tensor is not inside this model.")

    def holds(self, draft: Draft) -> bool:
        """Return whether ``draft`` is that of a model nested in this one, at any depth."""
        return any(nested is draft or nested.holds(draft) for nested in self.nested.values())

    def expose(self, ref: Ref) -> int:
        """Make a tensor an output, and return which; the outputs there were keep their places."""
        outputs = _tree.leaves(self.outputs)
        for index, output in enumerate(outputs):
            if output.step is ref.step and output.index == ref.index:
                return index
        self.outputs = [*outputs, ref]
        return len(outputs)

    def lift(self, place: Place) -> Ref:
        """Return a reference to an inner tensor, found by the calls that lead to it."""
        here: Draft = self
        drafts = [here]
        for call in place.calls:
            inner = here.inside(call.operation)
            if inner is None:
                raise GraphError("A path leads through a layer that is no model.")
            here = inner
            drafts.append(here)
        ref = Ref(here.steps[place.node], place.index)
        for outer, inner, call in reversed(list(zip(drafts, drafts[1:], place.calls, strict=False))):
            ref = Ref(outer.steps[call], inner.expose(ref))
        return ref

    # Changing

    def add(self, step: Step) -> Ref:
        """Add a step and return its output."""
        self.added.append(step)
        return Ref(step)

    def redirect(self, change: Callable[[Ref], Ref], but: Collection[Step] = ()) -> None:
        """Replace references everywhere, in steps and outputs; the steps ``but`` keep their own."""
        for step in self.all_steps():
            if step not in but:
                step.swap(change)
        self.outputs = _swapped(self.outputs, change)

    def order(self) -> list[Step]:
        """Return the steps that the outputs need, each after its sources; a cycle is an error."""
        done: dict[Step, bool] = {}
        order: list[Step] = []
        for root in [*_tree.leaves(self.inputs), *_tree.leaves(self.outputs)]:
            stack: list[tuple[Step, Iterator[Ref]]] = []
            self._enter(root.step, done, stack)
            while stack:
                step, sources = stack[-1]
                ref = next(sources, None)
                if ref is None:
                    done[step] = True
                    order.append(step)
                    stack.pop()
                else:
                    self._enter(ref.step, done, stack)
        return order

    @staticmethod
    def _enter(step: Step, done: dict[Step, bool], stack: list[tuple[Step, Iterator[Ref]]]) -> None:
        if step not in done:
            done[step] = False
            stack.append((step, iter(step.sources())))
        elif not done[step]:
            raise GraphError(
                "After these edits the graph would run in a circle.",
                got=" -> ".join(str(s.name) for s, _ in stack if s.name) + f" -> {step.name}",
            )


def _without_call(selector: Selector) -> tuple[Selector, int | None]:
    if not isinstance(selector, str):
        return selector, None
    path, at, call = selector.rpartition("@")
    if not at:
        return selector, None
    if not call.isdigit():
        raise ArgumentError("A path counts calls by integers.", expected="shared@2", got=repr(selector))
    return path, int(call)


def _one_call(found: Found, call: int) -> Found:
    count = len(found.steps)
    if call >= count:
        raise ArgumentError(f"{found.path!r} has no call {call}.", expected=f"0 to {count - 1}, counted from 0")
    return found._replace(steps=[found.steps[call]], whole=count == 1)


def _none_selected(selector: Selector) -> ArgumentError:
    name = selector.__name__ if isinstance(selector, type) else repr(selector)
    return explained(ArgumentError(f"No layer of the model is selected by {name}.", clue=NothingSelected(selector)))


class Edit(NamedTuple):
    """A change of a graph: what it says, where it was written, and what it does to a draft.

    Args:
        text: what it says, for errors.
        site: the user's line that wrote it.
        apply: does it to a draft.

    Example:
        >>> from anabranch import edit
        >>> edit.rename("head", "logits").text
        "rename 'head'"
    """

    text: str
    site: CallSite
    apply: Callable[[Draft], None]
