"""Where a traced call goes: into the code around it as a module's call or as code, or into a class of its own."""

from __future__ import annotations

import operator
from typing import Any

from torch.fx import Graph, Node

from anabranch._asked import parameters_of
from anabranch.exchange.calls import Found, Inner, rank
from anabranch.exchange.classes import copied, hold, planned_class
from anabranch.exchange.deciding import Body
from anabranch.exchange.plan import Plan, Twin, camel_case
from anabranch.graph import Operation

Placed = tuple[list[Any], list[Any]]  # the results of a call, and their masks


class Placer:
    """Puts calls into one graph, whose modules are children of ``plan``."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph = graph
        self.plan = plan

    def call_of(self, target: str) -> tuple[str, int]:
        """Return what distinguishes the next call of a layer from others."""
        return target, len(self.graph.nodes)

    def place(self, body: Body, operation: Operation, given: list[Node]) -> Placed:
        """Decide what a call becomes, and put that into the code."""
        modules = {str(node.target) for node in body.call.graph.find_nodes(op="call_module")}
        if operation._is_function_ or (body.is_one_module() and modules <= {body.base}):
            body.apply(self.plan)
            hold(body.call.graph, body.found, self.plan)
            return self._inline(body, operation, given)
        return self._call_class(body, operation, given)

    def _inline(self, body: Body, operation: Operation, given: list[Node]) -> Placed:
        """Copy the code of a call into the code around it."""
        call, base, key = body.call, body.base, self.call_of(body.base)
        known: dict[Node, Node] = dict(zip(call.inputs, given, strict=True))
        made = copied(call.graph, self.graph, known)
        for node in made:
            node.meta.update(path=base, call=key)
        results = [known.get(result, result) for result in call.results]
        if not operation._is_function_ and not any(node.op == "call_module" for node in made):
            if any(result in call.inputs for result in call.results):
                results = [self._identity(result, base, key) for result in results] if len(results) == 1 else results
            else:
                for node in made:
                    node.meta["layer"] = base, camel_case(operation._kind_name_())
        return results, [known.get(mask, mask) for mask in call.masks]

    def _identity(self, value: Node, base: str, key: tuple[str, int]) -> Node:
        """Call a module that changes nothing, which hooks may look at, where a layer gives what it takes."""
        if not self.plan.add(base, Twin("nn.Identity()")):
            return value
        made = self.graph.call_module(base, (value,))
        made.meta.update(value.meta, path=base, call=key, pointwise=True)
        made.meta.pop("layer", None)
        return made

    def _call_class(self, body: Body, operation: Operation, given: list[Node]) -> Placed:
        """Plan a class for a layer, and call it."""
        planned = planned_class(body, camel_case(operation._kind_name_()), parameters_of(type(operation).call)[1:])
        target = body.base
        while not self.plan.add(target, planned.plan):  # another call of the layer has other code
            target += "_"
        key = self.call_of(target)
        extra = [self.graph.get_attr(name) for name in planned.borrowed]
        hold(self.graph, body.found, self.plan)
        taken = [value for value, used in zip([*given, *extra], planned.used, strict=True) if used]
        made = self.graph.call_module(target, tuple(taken))
        results = [made]
        if planned.given > 1:
            made.meta["unpacked"] = (None,) * planned.given
            results = [self.graph.call_function(operator.getitem, (made, index)) for index in range(planned.given)]
        for node in {made: None, **dict.fromkeys(results)}:
            node.meta.update(path=body.base, call=key)
        following = iter(results)
        found = [next(following) for _ in body.call.results]
        if planned.masks is None:
            return found, [None if mask is None else next(following) for mask in body.call.masks]
        known: dict[Node, Node] = dict(zip(body.call.inputs, given, strict=True))
        for node in copied(planned.masks, self.graph, known):
            node.meta.update(path=body.base, call=key)
        return found, [known.get(mask, mask) for mask in body.call.masks]


def place_inner(inner: Inner, found: Found) -> Placed:
    """Place the call of a layer inside another's, whose modules are among what the outer call finds."""
    body = Body(inner.base, inner.calls, found)
    placed = Placer(inner.graph, found.modules).place(body, inner.layer, inner.given)
    for own, outer in zip(body.call.results, placed[0], strict=True):
        if isinstance(own, Node) and isinstance(outer, Node):
            outer.meta.setdefault("rank", rank(own))
    return placed
