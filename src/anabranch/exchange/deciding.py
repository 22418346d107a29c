"""What of a traced call torch's modules compute: calls of torch's functions whose weights are one module's."""

from __future__ import annotations

import collections
import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.fx import Graph, Node

from anabranch.exchange import recurrent, twins
from anabranch.exchange.calls import Call, Found, rank
from anabranch.exchange.plan import Given, Plan, Twin

_MOVE = torch.ops.aten.lerp_.Scalar
_OF_BATCH_NORM = frozenset(map(str, (torch.native_batch_norm, operator.getitem, operator.sub, _MOVE, "detach", "pow", "to")))


class Use(NamedTuple):
    """A call of a function that a module can make: ``twin`` at the path ``owner``, in the place of ``node``."""

    call: Call
    node: Node
    owner: str
    twin: Twin
    reads: tuple[Node, ...]
    put: Callable[[Call, Node, str], None]


class Body:
    """The code of a call for both modes; ``modal`` where these differ by more than what modules know of their mode."""

    def __init__(self, base: str, calls: dict[bool, Call], found: Found) -> None:
        self.base = base
        self.found = found
        self.calls = calls
        whole = self._whole()
        self.call = whole or calls[False]
        self.modal = whole is None and calls[True].close() != calls[False].close()
        self.dropout: Twin | None = None
        self._momenta: dict[str, float] = {}
        if self.modal:
            self._take_dropout()
            self._momenta = _moves(calls[True].graph)
        elif whole is None:
            recurrent.merge(self.call, base, found.modules)
        self.uses = self._find()

    def _whole(self) -> Call | None:
        """Return the call of a layer that runs whole in one mode, which then does so in both: the module knows its mode."""
        child = self.found.modules.find(self.base)
        if not isinstance(child, Given):
            return None
        return next((call for call in self.calls.values() if call.graph.find_nodes(op="call_module", target=self.base)), None)

    @property
    def graphs(self) -> dict[bool, Graph]:
        """The code by mode: one where both agree."""
        return {mode: self.calls[mode].graph for mode in (True, False)} if self.modal else {False: self.call.graph}

    def _take_dropout(self) -> None:
        """Take the training code for both modes where it is one dropout, which nn.Dropout leaves out by itself."""
        training, inference = self.calls[True], self.calls[False]
        if len(inference.results) != 1 or inference.results[0] not in inference.inputs:
            return
        last = training.results[0]
        twin = twins.weightless(last) if isinstance(last, Node) and last.target in twins.DROPOUTS else None
        if twin is not None and last.args[0] is training.inputs[inference.inputs.index(inference.results[0])]:
            self.dropout, self.call, self.modal = twin, training, False
            replace(training, last, self.base)

    def _find(self) -> list[Use]:
        found = []
        for call in list(self.calls.values()) if self.modal else [self.call]:
            for node in call.graph.nodes:
                rule = twins.WEIGHTED.get(node.target) if node.op == "call_function" else None
                if rule is not None:
                    use = self._use(call, node, rule.names, rule.weights, functools.partial(_twin, rule))
                elif node.op == "call_function" and node.target is F.batch_norm:
                    use = self._batch_norm(call, node)
                elif node.op == "call_function" and node.target in recurrent.KINDS:
                    use = self._recurrent(call, node)
                else:
                    continue
                found += [use] if use else []
        return found

    def _batch_norm(self, call: Call, node: Node) -> Use | None:
        given = twins.arguments(node, twins.BATCH_NORM)
        axes, mean = rank(node.args[0]), given.get("running_mean")
        if axes is None or given.get("training") is not False or not is_read(mean):
            return None
        momentum = self._momenta.get(str(mean.target))  # type: ignore[union-attr]  # a node, as it is read
        if self.modal and (momentum is None or not self._differs_by_batch_norm_alone()):
            return None
        make = functools.partial(twins.batch_norm, rank=axes, momentum=momentum)
        use = self._use(call, node, twins.BATCH_NORM, twins.BATCH_NORM_WEIGHTS, make)
        if use and self.modal:
            self.modal = False
        return use

    def _recurrent(self, call: Call, node: Node) -> Use | None:
        made = recurrent.made(node, self.found)
        if made is None:
            return None
        read, owner = {str(each.target) for each in made.reads}, made.owner
        if any(target.rpartition(".")[0] == owner and target not in read for target in self.found.starts):
            return None  # other weights of the same layer have no place in such a module
        if not all(recurrent.reads_alone(graph, read) for graph in self.graphs.values()):
            return None
        alone = not self.modal and all(each in made.reads for each in call.graph.find_nodes(op="get_attr"))
        if alone and owner.startswith(f"{self.base}."):
            owner = self.base  # the weights are those of a cell, which torch's module has no part for
        inside = f"{owner}."
        made.twin.sources = {name: target.removeprefix(inside) for name, target in made.twin.sources.items()}
        return Use(call, node, owner, made.twin, made.reads, recurrent.put)

    def _differs_by_batch_norm_alone(self) -> bool:
        """Return whether nothing but normalization by the batch differs between the code of the two modes."""
        training, inference = (
            collections.Counter(str(node.target) for node in self.calls[mode].graph.nodes if node.op.startswith("call_"))
            for mode in (True, False)
        )
        return all(name in _OF_BATCH_NORM for name in training - inference)

    def _use(
        self, call: Call, node: Node, names: tuple[str, ...], weights: dict[str, str], make: Callable[[Any], Twin | None]
    ) -> Use | None:
        given = twins.arguments(node, names)
        reads = {attribute: given[name] for name, attribute in weights.items() if given.get(name) is not None}
        if not reads or not all(is_read(read) for read in reads.values()):
            return None
        places = [str(read.target).rpartition(".") for read in reads.values()]
        if len({owner for owner, _, _ in places}) > 1 or [name for _, _, name in places] != list(reads):
            return None
        read, owner = {str(read.target) for read in reads.values()}, places[0][0]
        if any(target.rpartition(".")[0] == owner and target not in read for target in self.found.starts):
            return None  # other weights of the same layer have no place in such a module
        others = {name: value for name, value in given.items() if name not in weights}
        if any(isinstance(value, Node) for name, value in others.items() if name != "input"):
            return None
        values = {attribute: self.found.values[str(read.target)] for attribute, read in reads.items()}
        twin = make({**others, **{name: values[attribute] for name, attribute in weights.items() if attribute in values}})
        if twin is None:
            return None
        twin.values = {**values, **twin.values}
        return Use(call, node, places[0][0], twin, tuple(reads.values()), replace)

    def is_one_module(self) -> bool:
        """Return whether the weights read are those of one module in the layer's own place, beside code without weights."""
        if self.modal or any(use.owner != self.base for use in self.uses):
            return False
        taken = {id(read) for use in self.uses for read in use.reads}
        return all(id(node) in taken for node in self.call.graph.find_nodes(op="get_attr"))

    def apply(self, plan: Plan, inside: str = "") -> None:
        """Let modules compute what they can: children of ``plan``, which is the class at ``inside``."""
        if self.dropout is not None:
            plan.add(self.base.removeprefix(inside), self.dropout)
        for use in self.uses:
            if use.owner.startswith(inside) and plan.add(use.owner.removeprefix(inside), use.twin):
                use.put(use.call, use.node, use.owner)
                for read in use.reads:
                    if not read._erased and not read.users:
                        use.call.graph.erase_node(read)


def replace(call: Call, node: Node, target: str) -> None:
    """Put the call of a module in the place of that of a function, whose first argument it takes."""
    given = node.args[0] if node.args else node.kwargs["input"]
    with call.graph.inserting_before(node):
        made = call.graph.call_module(target, (given,))
    made.meta.update(node.meta, rank=rank(node), pointwise=node.target in twins.DROPOUTS)
    node.replace_all_uses_with(made)
    call.results = [made if result is node else result for result in call.results]
    call.graph.erase_node(node)


def _moves(graph: Graph) -> dict[str, float]:
    """Return how fast running statistics move in training, by the target of the mean."""
    moves = (node for node in graph.nodes if node.op == "call_function" and node.target is _MOVE)
    return {str(node.args[0].target): node.args[2] for node in moves if is_read(node.args[0])}


def _twin(rule: twins.Rule, given: dict[str, Any]) -> Twin | None:
    code = rule.make(given)
    return Twin(code) if code else None


def is_read(value: object) -> bool:
    """Return whether a value is the read of a tensor that the module holds."""
    return isinstance(value, Node) and value.op == "get_attr"
