"""Whether two architectures compute the same function, up to names: their graphs in a canonical form, what differs first."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import NamedTuple

from anabranch import _tree
from anabranch._arguments import checked
from anabranch._asked import method, module_of, name_of, shown
from anabranch._errors import ArgumentTypeError
from anabranch._fields import Configurable
from anabranch._frames import bound_methods
from anabranch.graph import AnyModel, Graph, Operation, Tensor, spec_leaves, subgraph
from anabranch.graph.arrays import is_parameter
from anabranch.graph.flatten import Step, flatten
from anabranch.insight.linting import kinds

_COMMUTE = frozenset(("add", "multiply", "maximum", "minimum", "average", "equal", "not_equal", "logical_and", "logical_or"))
# settings that change what weights begin with or how they are trained, not what is computed from them
_OF_TRAINING = frozenset(("name", "trainable", "seed", "activity_regularizer"))
_ENDINGS = ("_initializer", "_regularizer", "_constraint")
# activations that are one function, whether a layer, a function or a setting
_PLAIN = frozenset(("relu", "sigmoid", "tanh", "softplus", "softsign", "silu", "exponential"))


@bound_methods
class Sameness(NamedTuple):
    """Whether two models compute the same function given equal weights; true where they do.

    ``difference`` says what differs first, "" where nothing does. ``pairs``: which layer of the second has the weights of which
    layer of the first, by path.

    Args:
        difference: what differs first.
        pairs: the layers with weights.

    Example:
        >>> bool(Sameness("", {"one": "other"})), bool(Sameness("The first has 1 outputs, the second 2.", {}))
        (True, False)
    """

    difference: str
    pairs: dict[str, str]

    def __bool__(self) -> bool:
        return not self.difference

    def __str__(self) -> str:
        return self.difference or "The models compute the same function."


@checked
def same_function(a: AnyModel, b: AnyModel) -> Sameness:
    """Return whether two models compute the same function given equal weights, and what differs first.

    Names do not count, nor the order of branches where a sum or product does not depend on it, nested models, initializers, or
    whether an activation is a layer or a setting. Which layers are shared counts.

    Args:
        a: the first model.
        b: the second.

    Example:
        >>> from anabranch import Input, Model, layers
        >>> x = Input((8,))
        >>> first = Model(x, layers.Dense(4, activation="relu", name="one")(x))
        >>> second = Model(x, layers.ReLU()(layers.Dense(4, name="other")(x)))
        >>> bool(same_function(first, second)), same_function(first, second).pairs
        (True, {'one': 'other'})
        >>> print(same_function(first, Model(x, layers.Dense(5, name="wide")(x))))
        Dense 'one' has activation relu, and Dense 'wide' has none.
    """
    labels: dict[object, int] = {}
    one, other = (_Form(_graph_of(each), labels) for each in (a, b))
    difference = _unequal_ends(one, other) or next(iter(_first_difference(one, other)), "")
    if difference:
        return Sameness(difference, {})
    return _Pairing(one, other).result()


def _graph_of(model: object) -> Graph:
    graph = subgraph(model)
    if graph is None:
        raise ArgumentTypeError("same_function compares models with a graph.", got=shown(model))
    return graph


class Call(NamedTuple):
    """One call in canonical form: what it does, the values it takes, whether their order counts."""

    step: Step
    key: object
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    commutes: bool = False
    applied: str = ""
    """The activation, where this is that of a layer with weights, as a call of its own after it."""

    @property
    def layer(self) -> Operation | None:
        """The operation, where it has weights."""
        operation = self.step.node.operation
        return operation if operation.weights and not self.applied else None


class _Form:
    """A graph as canonical calls; equal labels of values mean equal computations, but for which layers are shared."""

    def __init__(self, graph: Graph, labels: dict[object, int]) -> None:
        flat = flatten(graph)
        self._labels = labels
        self.graph = graph
        self.calls: list[Call] = []
        self.made_by: dict[int, int] = {}
        same: dict[int, int] = {}  # a value that is another one, unchanged
        for step in flat.steps:
            inputs = tuple(same.get(value, value) for value in step.inputs)
            operation = step.node.operation
            if len(inputs) == len(step.outputs) == 1 and _passes(operation):
                same[step.outputs[0]] = inputs[0]
                continue
            for call in _calls(step, inputs):
                self.made_by.update(dict.fromkeys(call.outputs, len(self.calls)))
                self.calls.append(call)
        self.outputs = [same.get(value, value) for value in flat.outputs]
        self.inputs = {value: index for index, value in enumerate(flat.inputs)}
        self.label = self._labelled({})
        shares: dict[Operation, list[int]] = {}
        for call in self.calls:
            if call.layer is not None:
                shares.setdefault(call.layer, []).append(self.label[call.outputs[0]])
        colors = {operation: self._number(("shared", *sorted(found))) for operation, found in shares.items() if len(found) > 1}
        self.plain = self.label
        if colors:
            self.label = self._labelled(colors)

    def maker(self, value: int) -> Call | None:
        """Return the call that gives a value; None for an input."""
        position = self.made_by.get(value)
        return None if position is None else self.calls[position]

    def _labelled(self, colors: dict[Operation, int]) -> dict[int, int]:
        found = {
            value: self._number(("input", index, self.graph.inputs[index].shape[1:], self.graph.inputs[index].dtype))
            for value, index in self.inputs.items()
        }
        for call in self.calls:
            given = [found[value] for value in call.inputs]
            color = -1 if call.layer is None else colors.get(call.layer, -1)
            label = self._number((call.key, color, *(sorted(given) if call.commutes else given)))
            for index, value in enumerate(call.outputs):
                found[value] = self._number(("output", label, index)) if index else label
        return found

    def _number(self, key: object) -> int:
        return self._labels.setdefault(key, len(self._labels))


def _passes(operation: Operation) -> bool:
    """Return whether an operation gives what it takes."""
    known = kinds.kind_of(operation)
    if known.applies:
        return not kinds.activation_of(operation)
    return known.same or (known.drops and not kinds.drops(operation))


def _calls(step: Step, inputs: tuple[int, ...]) -> list[Call]:
    """Return a step as one call, or as that of a layer with weights and that of its activation."""
    operation = step.node.operation
    constants = _constants(step)
    name = kinds.activation_of(operation)
    if kinds.is_activation(operation) and name in _PLAIN and not constants and len(inputs) == 1:
        return [Call(step, name, inputs, step.outputs)]
    merge = kinds.merge_of(operation)
    if operation._is_function_ or (merge and merge != "concatenate"):
        commutes = merge in _COMMUTE and not step.node.kwargs
        if commutes:
            leaves = _tree.leaves(step.node.args)
            constants = tuple(sorted(identity(leaf) for leaf in leaves if not isinstance(leaf, Tensor)))
        return [Call(step, (merge, constants), inputs, step.outputs, commutes)]
    settings = dict(operation._settings_by_name_())
    applied = name if kinds.kind_of(operation).affine and name in _PLAIN else ""
    if applied or kinds.is_linear(operation):
        settings["activation"] = None
    compared = tuple(sorted((key, identity(value)) for key, value in settings.items() if counts(key)))
    shapes = tuple(weight.shape for weight in operation.weights)
    key = (type(operation), compared, shapes, constants)
    if not applied:
        return [Call(step, key, inputs, step.outputs)]
    between = (-1 - step.outputs[0],)
    return [Call(step, key, inputs, between), Call(step, applied, between, step.outputs, False, applied)]


def counts(setting: str) -> bool:
    """Return whether what a layer computes from its weights depends on a setting."""
    return setting not in _OF_TRAINING and not setting.endswith(_ENDINGS)


def _constants(step: Step) -> tuple[object, ...]:
    """Return the arguments of a call that are no tensors, by name or position; names of functions' arguments count."""
    node = step.node
    if len(node.args) == 1 and not node.kwargs and isinstance(node.args[0], (Tensor, list, tuple)):
        leaves = _tree.leaves(node.args[0])
        if all(isinstance(leaf, Tensor) for leaf in leaves):
            return ()
    found: list[object] = []
    for place, value in (*enumerate(node.args), *node.kwargs.items()):
        for leaf in _tree.leaves(value):
            found.append((place, "tensor") if isinstance(leaf, Tensor) else (place, identity(leaf)))
    return () if all(isinstance(part, tuple) and part[1] == "tensor" for part in found) else tuple(map(repr, found))


def identity(value: object) -> str:
    """Return a value as a text that two values share where they mean the same."""
    if isinstance(value, types.FunctionType):
        code = value.__code__
        known = module_of(value).startswith(module_of(Sameness).partition(".")[0] + ".")
        return value.__name__ if known else f"{value.__name__} {hash((code.co_code, repr(code.co_consts), code.co_names))}"
    if isinstance(value, Configurable):
        return f"{type(value).__name__}{sorted((key, identity(held)) for key, held in value.get_config().items())}"
    if isinstance(value, Operation):
        settings = sorted((key, identity(held)) for key, held in value._settings_by_name_().items() if counts(key))
        return f"{type(value).__name__}{settings}"
    if callable(value):
        return name_of(value, type(value).__name__)
    as_bytes: Callable[[], object] | None = method(value, "tobytes")
    if as_bytes is not None:
        return f"array {hash(as_bytes())}"
    return repr(_tree.map_leaves(lambda leaf: f"parameter {tuple(leaf.shape)}" if is_parameter(leaf) else leaf, value))


# What differs first


def _unequal_ends(one: _Form, other: _Form) -> str:
    for name, first, second in (
        ("inputs", one.graph.inputs, other.graph.inputs), ("outputs", one.outputs, other.outputs),
    ):  # fmt: skip
        if len(first) != len(second):
            return f"The first has {len(first)} {name}, the second {len(second)}."
    for index, (a, b) in enumerate(zip(one.graph.inputs, other.graph.inputs, strict=True)):
        if (a.shape[1:], a.dtype) != (b.shape[1:], b.dtype):
            return f"Input {index} is {a.shape} of {a.dtype} in the first, {b.shape} of {b.dtype} in the second."
    return ""


def _first_difference(one: _Form, other: _Form) -> Iterator[str]:
    """Yield what differs, followed from an output of unequal labels back to where what goes in is equal."""
    for a, b in zip(one.outputs, other.outputs, strict=True):
        if one.plain[a] == other.plain[b]:
            continue
        while True:
            first, second = one.maker(a), other.maker(b)
            if first is None or second is None:
                yield f"{_value(one, a)} is in the first where {_value(other, b)} is in the second."
                return
            below = _unequal_inputs(one, first, other, second)
            if below is None or (first.key != second.key and not _alike(first, second)):
                yield _difference(first, second)
                return
            a, b = below


def _alike(first: Call, second: Call) -> bool:
    same = first.step.node.operation._base_name_ == second.step.node.operation._base_name_
    return same and first.applied == second.applied


def _unequal_inputs(one: _Form, first: Call, other: _Form, second: Call) -> tuple[int, int] | None:
    """Return two inputs of unequal labels; those that are equal are paired off first where their order does not count."""
    left, right = list(first.inputs), list(second.inputs)
    if len(left) != len(right):
        return None
    if first.commutes and second.commutes:
        waiting = [other.plain[value] for value in right]
        for value in first.inputs:
            if one.plain[value] in waiting:
                place = waiting.index(one.plain[value])
                left.remove(value)
                del waiting[place], right[place]
    return next(((a, b) for a, b in zip(left, right, strict=True) if one.plain[a] != other.plain[b]), None)


def _value(form: _Form, value: int) -> str:
    call = form.maker(value)
    return f"input {form.inputs[value]}" if call is None else described(call.step)


def described(step: Step) -> str:
    """Return a step as sentences name it."""
    operation = step.node.operation
    return operation._error_label_() if operation._is_function_ else f"{operation._kind_name_()} {step.path!r}"


def _difference(first: Call, second: Call) -> str:
    a, b = described(first.step), described(second.step)
    one, other = first.step.node.operation, second.step.node.operation
    if first.applied or second.applied:
        return f"{a} has activation {_activation(first)}, and {b} has {_activation(second)}."
    if type(one) is not type(other) or one._base_name_ != other._base_name_:
        return f"The first has {a} where the second has {b}."
    if len(first.inputs) != len(second.inputs):
        return f"{a} takes {len(first.inputs)} tensors, and {b} takes {len(second.inputs)}."
    before, after = one._settings_by_name_(), other._settings_by_name_()
    for key in sorted(before.keys() | after.keys()):
        if counts(key) and identity(before.get(key)) != identity(after.get(key)):
            return f"{a} has {key}={_short(before.get(key))}, and {b} has {key}={_short(after.get(key))}."
    shapes = [[weight.shape for weight in each.weights] for each in (one, other)]
    if shapes[0] != shapes[1]:
        return f"{a} has weights {shapes[0]}, and {b} has {shapes[1]}."
    specs = [[spec.shape for spec in spec_leaves(each.step.node.output_specs)] for each in (first, second)]
    return f"{a} is called with other arguments than {b}: {specs[0]} and {specs[1]} come out."


def _activation(call: Call) -> str:
    """Return the activation of a call, whether it counts as a call of its own or not."""
    setting = call.step.node.operation._settings_by_name_().get("activation")
    name = call.applied or ("" if setting is None else _short(setting))
    return "none" if name in ("", "linear") else name


def _short(value: object) -> str:
    return name_of(value) if callable(value) else shown(value)


class _Pairing:
    """Which layer of one model has the part of which of the other, walked back from outputs of equal labels."""

    def __init__(self, one: _Form, other: _Form) -> None:
        self._one, self._other = one, other
        self._there: dict[Operation, Call] = {}
        self._here: dict[Operation, Call] = {}
        self._seen: set[tuple[int, int]] = set()
        self._waiting: list[tuple[Call, Call]] = []
        self.pairs: dict[str, str] = {}

    def result(self) -> Sameness:
        """Return the pairs, or the first layer that is shared in one model alone."""
        found = self._follow(list(zip(self._one.outputs, self._other.outputs, strict=True)))
        while not found and self._waiting:  # ambiguous: by what is paired by now
            found = self._follow(self._matched(*self._waiting.pop()))
        return Sameness(found, {} if found else self.pairs)

    def _follow(self, stack: list[tuple[int, int]]) -> str:
        while stack:
            pair = stack.pop()
            if pair in self._seen:
                continue
            self._seen.add(pair)
            first, second = self._one.maker(pair[0]), self._other.maker(pair[1])
            if first is None or second is None:
                continue
            difference = self._pair(first, second)
            if difference:
                return difference
            if first.commutes and len({self._one.label[value] for value in first.inputs}) < len(first.inputs):
                self._waiting.append((first, second))
            elif first.commutes:
                by_label = {self._other.label[value]: value for value in second.inputs}
                stack += [(value, by_label.get(self._one.label[value], second.inputs[0])) for value in first.inputs]
            else:
                stack += zip(first.inputs, second.inputs, strict=True)
        return ""

    def _pair(self, first: Call, second: Call) -> str:
        one, other = first.layer, second.layer
        if one is None or other is None:
            return ""
        there, here = self._there.setdefault(one, second), self._here.setdefault(other, first)
        if there.layer is not other:
            return (
                f"{described(first.step)} of the first is one layer, called twice, where the second has two: "
                f"{described(there.step)} and {described(second.step)}."
            )
        if here.layer is not one:
            return (
                f"{described(second.step)} of the second is one layer, called twice, where the first has two: "
                f"{described(here.step)} and {described(first.step)}."
            )
        self.pairs[first.step.path] = second.step.path
        return ""

    def _matched(self, first: Call, second: Call) -> list[tuple[int, int]]:
        """Return the inputs of two calls in pairs of equal labels, those of layers that are paired already together."""
        left = list(second.inputs)
        found = []
        for value in first.inputs:
            fitting = [each for each in left if self._other.label[each] == self._one.label[value]] or left
            best = next((each for each in fitting if self._are_paired(value, each)), fitting[0])
            left.remove(best)
            found.append((value, best))
        return found

    def _are_paired(self, value: int, other: int) -> bool:
        """Return whether the first layers with weights behind two values are paired."""
        a, b = _weighted(self._one, value), _weighted(self._other, other)
        return a is not None and b is not None and a in self._there and self._there[a].layer is b


def _weighted(form: _Form, value: int) -> Operation | None:
    """Return the nearest layer with weights behind a value, along first inputs."""
    call = form.maker(value)
    for _ in range(100):
        if call is None or call.layer is not None or not call.inputs:
            break
        call = form.maker(call.inputs[0])
    return None if call is None else call.layer
