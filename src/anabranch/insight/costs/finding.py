"""Which rule says what an operation costs."""

from __future__ import annotations

from anabranch import layers
from anabranch.graph import Operation
from anabranch.graph.casting import Cast
from anabranch.graph.records import NamedFunction
from anabranch.insight.costs import attention_rules as attention_rules, layer_rules as layer_rules
from anabranch.insight.costs.function_rules import copied, rule_of_function
from anabranch.insight.costs.work import RULES, Rule, rule_of


def found_rule(operation: Operation) -> Rule | None:
    """Return the rule of an operation: of its type, of the function in it, or of what that states; None where there is none."""
    if isinstance(operation, Cast):
        return copied
    if isinstance(operation, layers.TorchModule):
        return rule_of(type(operation.module)) or rule_of(type(operation))
    if not operation._is_function_:
        return rule_of(type(operation))
    function: object = operation.function  # type: ignore[attr-defined]  # as every operation that is a function has
    mask = operation._facts_.mask
    return RULES.get(function) or rule_of_function(function, mask) or _of_torch(operation, function)


def _of_torch(operation: Operation, function: object) -> Rule | None:
    """Return the rule of a function of torch's, which states nothing itself."""
    if isinstance(operation, NamedFunction) and operation._judgements_ is None:
        return None
    from anabranch.insight.costs.torch_rules import rule_of_torch  # for graphs that have loaded torch

    return rule_of_torch(function)
