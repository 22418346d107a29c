"""Torch's recurrent modules: calls of ``torch.lstm``, ``torch.gru`` and ``torch.rnn_tanh`` as ``nn.LSTM``, ``nn.GRU``, …"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch.fx import Graph, Node

from anabranch.exchange.calls import Call, Found
from anabranch.exchange.plan import Plan, Twin, Value
from anabranch.exchange.twins import arguments, dtype_setting, written

WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
_NAMES = ("input", "hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional", "batch_first")
_R_FIRST = (1, 0, 2)  # torch has a GRU's gates as r, z, n; Keras as z, r, n
_ONE_WAY = {"num_layers": 1, "dropout": 0.0, "bidirectional": False, "batch_first": True}


class Kind(NamedTuple):
    """The module that computes what one of torch's functions does, how many states it has, and of what gates."""

    module: str
    states: int
    nonlinearity: str = "tanh"
    order: tuple[int, ...] = ()  # of the gates, where the function is given those of the weights in another


KINDS: dict[Any, Kind] = {
    torch.lstm: Kind("nn.LSTM", 2),
    torch.gru: Kind("GRU", 1, order=_R_FIRST),
    torch.rnn_tanh: Kind("nn.RNN", 1),
    torch.rnn_relu: Kind("nn.RNN", 1, "relu"),
}
_PARTS = (operator.getitem, torch.zeros_like, torch.cat)
_STATES = {kind.module: kind.states for kind in KINDS.values()}


class Made(NamedTuple):
    """The module for a call, the reads of its weights, and where these are: one layer's place."""

    twin: Twin
    reads: tuple[Node, ...]
    owner: str


def made(node: Node, found: Found) -> Made | None:
    """Return the module for a call of one of torch's recurrent functions, None where none does the same."""
    given, kind = arguments(node, _NAMES), KINDS[node.target]
    if any(given.get(name) != value for name, value in _ONE_WAY.items()) or not isinstance(given["input"], Node):
        return None
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    reads: dict[Node, None] = {}
    for name, source in zip(WEIGHTS, given["params"], strict=False):
        weight = _in_order(source, kind.order) if kind.order else source
        read, value = _held(weight, found)
        if read is None or value is None:
            return None
        values[name], sources[name] = value, "" if _is_zeros(weight) else str(read.target)
        reads[read] = None
    owners = {target.rpartition(".")[0] for target in sources.values() if target}
    if len(owners) != 1:
        return None
    size, units = values["weight_ih_l0"].shape[1], values["weight_hh_l0"].shape[1]  # type: ignore[union-attr]  # no generators
    code = written(
        kind.module, size, units, defaults={"nonlinearity": "tanh", "bias": True}, nonlinearity=kind.nonlinearity,
        bias=len(values) > 2, batch_first=True, **dtype_setting({"weight": values["weight_ih_l0"]}),
    )  # fmt: skip
    helper = "" if kind.module.startswith("nn.") else kind.module
    return Made(Twin(code, values, helper, sources), tuple(reads), owners.pop())


def _in_order(source: object, order: tuple[int, ...]) -> object:
    """Return the weight whose gates a function is given in this order: what ``torch.cat`` joins; None where it is another."""
    parts = source.args[0] if isinstance(source, Node) and source.target is torch.cat and source.args[1:] in ((), (0,)) else ()
    if not isinstance(parts, (list, tuple)) or len(parts) != len(order):
        return None
    taken = [part.args for part in parts if isinstance(part, Node) and part.target is operator.getitem]
    if len(taken) != len(order) or any(weight is not taken[0][0] or not isinstance(key, slice) for weight, key in taken):
        return None
    units = taken[order.index(0)][1].stop  # type: ignore[union-attr]  # a slice, as is checked above
    last = len(order) - 1
    wanted = [slice(gate * units or None, None if gate == last else (gate + 1) * units) for gate in order]
    return taken[0][0] if [key for _, key in taken] == wanted else None


def _is_zeros(source: object) -> bool:
    return isinstance(source, Node) and source.target is torch.zeros_like


def _held(source: object, found: Found) -> tuple[Node | None, Value | None]:
    """Return the read behind a weight of a call, and the tensor that the module has for it.

    Where Keras has one bias and torch two, the second is a buffer of zeros, so that both train the same. A part of a weight
    is a parameter of its own in the same memory.
    """
    if not isinstance(source, Node):
        return None, None
    if source.op == "get_attr":
        return source, found.values.get(str(source.target))
    read = source.args[0] if source.args else None
    if not isinstance(read, Node) or read.op != "get_attr" or source.op != "call_function":
        return None, None
    value = found.values.get(str(read.target))
    if isinstance(value, torch.Tensor) and _is_zeros(source):
        return read, torch.zeros_like(value, requires_grad=False)
    if isinstance(value, torch.Tensor) and source.target is operator.getitem and isinstance(source.args[1], int):
        row = value.detach()[source.args[1]]
        if not isinstance(value, torch.nn.Parameter):
            return read, row
        weight, part = found.weights[str(read.target)], torch.nn.Parameter(row, value.requires_grad)
        weight.parts = (*(each for each in weight.parts if each() is not None), weakref.ref(part))  # which may be frozen alone
        return read, part
    return None, None


def reads_alone(graph: Graph, targets: set[str]) -> bool:
    """Return whether nothing but recurrent functions looks at some weights in a mode's code, so that a module may have them."""
    stack = [user for node in graph.find_nodes(op="get_attr") if str(node.target) in targets for user in node.users]
    while stack:
        node = stack.pop()
        if node.target in _PARTS:
            stack += node.users
        elif node.op != "call_function" or node.target not in KINDS:
            return False
    return True


def put(call: Call, node: Node, target: str) -> None:
    """Put the call of a recurrent module in the place of that of a function, and erase what it alone needed."""
    given, states = arguments(node, _NAMES), KINDS[node.target].states
    first = given["hx"] if states > 1 else [given["hx"]]
    hidden = () if all(map(_is_zero, first)) else (tuple(first) if states > 1 else first[0],)
    with call.graph.inserting_before(node):
        module = call.graph.call_module(target, (given["input"], *hidden))
        module.meta.update(node.meta, unpacked=(None, (None,) * states if states > 1 else None))
        results = [_item(call, module, 0)]
        last = _item(call, module, 1)
        results += [_item(call, last, index) for index in range(states)] if states > 1 else [last]
    for user in list(node.users):
        result = results[user.args[1]]  # type: ignore[index]  # an index: what such functions give is never looked at whole
        _replaced(call, [user], result)
    call.graph.erase_node(node)
    _erase_unused(call, [*results, last, *_behind([first, given["params"]])])


def _item(call: Call, node: Node, index: int | tuple[Any, ...], axes: int = 3) -> Node:
    found = call.graph.call_function(operator.getitem, (node, index))
    found.meta.update({key: value for key, value in node.meta.items() if key != "shape"}, rank=axes)
    found.meta.pop("unpacked", None)
    return found


def _is_zero(state: object) -> bool:
    """Return whether a state is that which torch's modules begin with."""
    while isinstance(state, Node) and state.op == "call_method" and state.target in ("unsqueeze", "contiguous"):
        state = state.args[0]
    return isinstance(state, Node) and state.op == "call_method" and state.target == "new_zeros"


def _behind(arguments: Iterable[Iterable[object]]) -> list[Node]:
    """Return the nodes among nested arguments and all that these take, the last first."""
    stack = [node for nodes in arguments for node in nodes if isinstance(node, Node)]
    found: dict[Node, None] = {}
    while stack:
        node = stack.pop()
        found[node] = None
        stack += [each for each in node.all_input_nodes if each not in found]
    return list(found)


def _erase_unused(call: Call, nodes: list[Node]) -> None:
    """Erase those of some nodes that nobody looks at."""
    order = {node: place for place, node in enumerate(call.graph.nodes)}
    for node in sorted(dict.fromkeys(nodes), key=order.__getitem__, reverse=True):
        if not node.users and node.op != "placeholder" and node not in call.results and node not in call.masks:
            call.graph.erase_node(node)


# Both ways


def merge(call: Call, base: str, modules: Plan) -> None:
    """Make one module at ``base`` of two that run over one sequence, the second from its end, and of what joins them."""
    nodes = list(call.graph.find_nodes(op="call_module"))
    if len(nodes) != 2 or call.graph.find_nodes(op="get_attr"):
        return
    forward, backward = nodes
    first, second = (modules.find(str(node.target)) for node in nodes)
    if not (isinstance(first, Twin) and isinstance(second, Twin) and first.fits(second)):
        return
    states = _STATES.get(first.code.partition("(")[0])
    if states is None or len(forward.args) != len(backward.args) or not _is_flip(backward.args[0], forward.args[0]):
        return
    values = {**first.values, **{f"{name}_reverse": value for name, value in second.values.items()}}
    weight = values["weight_hh_l0"]
    ways = [_Way(call, node, states) for node in nodes]
    if isinstance(weight, torch.Tensor) and all(way.simple for way in ways) and ways[0].first_reader_follows(backward):
        owner, name = modules.owner(base)
        sources = {
            name + reverse: source and f"{node.target}.{source}".removeprefix(f"{base}.")
            for node, twin, reverse in ((forward, first, ""), (backward, second, "_reverse"))
            for name, source in twin.sources.items()
        }
        owner.children[name] = Twin(f"{first.code[:-1]}, bidirectional=True)", values, first.helper, sources)
        _join(call, ways, base, states, weight.shape[1])


class _Way:
    """What is taken from a module that runs one way: its outputs, by what is done to them, and each last state."""

    def __init__(self, call: Call, node: Node, states: int) -> None:
        self.call = call
        self.node = node
        self.outputs = _items(node, 0)
        last = _items(node, 1)
        self.states = (
            [[each for one in last for each in _items(one, index)] for index in range(states)] if states > 1 else [last]
        )
        self.lasts = [[taken for state in each for taken in _items(state, 0)] for each in self.states]
        self.simple = all(len(state.users) == len(_items(state, 0)) for each in self.states for state in each)

    def first_reader_follows(self, other: Node) -> bool:
        """Return whether nothing but indexing happens to the results before another node."""
        order = {node: place for place, node in enumerate(self.call.graph.nodes)}
        taken = {*self.outputs, *_items(self.node, 1), *(node for each in (*self.states, *self.lasts) for node in each)}
        taken |= {user for output in self.outputs for user in output.users if _is_last(user)}
        readers = {user for node in taken for user in node.users} - taken
        return all(order[reader] > order[other] for reader in readers)


def _join(call: Call, ways: list[_Way], target: str, states: int, units: int) -> None:
    """Replace two calls by that of a module that runs both ways."""
    graph, (forward, backward) = call.graph, (way.node for way in ways)
    with graph.inserting_before(backward):
        both = graph.call_module(target, (forward.args[0], *_both_first(call, forward, backward, states)))
        both.meta.update(forward.meta)
        outputs, last = _item(call, both, 0), _item(call, both, 1)
        lasts = [_item(call, last, index) for index in range(states)] if states > 1 else [last]
        made = [outputs, last, *lasts]
        for direction, way in enumerate(ways):
            for state, taken in zip(lasts, way.lasts, strict=True):
                made += _replaced(call, taken, _item(call, state, direction, axes=2))
            parts = slice(units) if direction == 0 else slice(units, None)
            for output in way.outputs:
                made += _replaced(
                    call, [user for user in output.users if _is_last(user)], _item(call, lasts[0], direction, axes=2)
                )
                part = _item(call, outputs, (..., parts))
                if direction == 1:
                    made += _replaced(call, [user for user in output.users if _is_flip(user, output)], part)
                    part = _flipped(call, part)
                made += _replaced(call, [output], part)
    for node in [node for node in graph.nodes if _is_whole(node, outputs, units)]:
        made += [*_behind([node.args]), *_replaced(call, [node], outputs)]
    needless = [forward, backward, *_behind([forward.args, backward.args])]
    _erase_unused(
        call,
        [
            *made,
            *(node for way in ways for each in way.states for node in each),
            *_items(forward, 1),
            *_items(backward, 1),
            *needless,
        ],
    )


def _both_first(call: Call, forward: Node, backward: Node, states: int) -> tuple[Any, ...]:
    """Return the argument for the states that both ways begin with, none where these are zeros."""
    if len(forward.args) < 2:
        return ()
    given = [node.args[1] if states > 1 else (node.args[1],) for node in (forward, backward)]
    joined = tuple(call.graph.call_function(torch.cat, (list(pair),)) for pair in zip(*given, strict=True))  # type: ignore[arg-type]  # tuples
    for node in joined:
        node.meta.update(forward.meta, rank=3)
        node.meta.pop("unpacked", None)
    return (joined if states > 1 else joined[0],)


def _items(node: Node, index: int) -> list[Node]:
    """Return where one of the results of a node is taken."""
    return [user for user in node.users if user.target is operator.getitem and user.args == (node, index)]


def _is_last(node: Node) -> bool:
    """Return whether a node takes the last step (B, units) of outputs (B, T, units)."""
    return node.target is operator.getitem and node.args[1] == (slice(None), -1)


def _is_flip(node: object, of: object) -> bool:
    """Return whether a node reverses the steps of another."""
    return isinstance(node, Node) and node.op == "call_method" and node.target == "flip" and node.args == (of, 1)


def _is_whole(node: Node, outputs: Node, units: int) -> bool:
    """Return whether a node joins both halves of outputs as they are."""
    parts = node.args[0] if node.target is torch.cat and node.args[1:] == (-1,) else ()
    if not isinstance(parts, (list, tuple)) or len(parts) != 2:
        return False
    keys = [(..., slice(units)), (..., slice(units, None))]
    return all(
        isinstance(part, Node) and part.target is operator.getitem and part.args == (outputs, key)
        for part, key in zip(parts, keys, strict=True)
    )


def _flipped(call: Call, node: Node) -> Node:
    found = call.graph.call_method("flip", (node, 1))
    found.meta.update(node.meta)
    return found


def _replaced(call: Call, nodes: list[Node], by: Node) -> list[Node]:
    """Put one node in the place of others, and return it."""
    for node in nodes:
        node.replace_all_uses_with(by)
        call.results = [by if each is node else each for each in call.results]
        call.graph.erase_node(node)
    return [by]
