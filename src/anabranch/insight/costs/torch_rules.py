"""What torch's own functions in a graph cost, by the names that files know them by; a graph that holds one has loaded torch."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

from anabranch import runtime
from anabranch.insight.costs import function_rules as rules
from anabranch.insight.costs.function_rules import Said, arrays
from anabranch.insight.costs.work import Call, Rule, Stage


def linear(call: Call) -> Said:
    """For each value that comes out: the features that go in."""
    inner: int = arrays(call)[0].shape[-1]
    return [Stage(call.elements * inner, 0, call.size, weights=bool(call.operation.weights))]


def added_product(call: Call) -> Said:
    """For each value that comes out: the inner size of the second and third operand."""
    inner: int = arrays(call)[1].shape[-1]
    return [Stage(call.elements * inner, call.elements, call.size, weights=bool(call.operation.weights))]


def conv(call: Call) -> Said:
    """For each value that comes out: the kernel's channels and positions, (O, I, …)."""
    kernel = arrays(call)[1].shape
    return [Stage(call.elements * math.prod(kernel[1:]), 0, call.size, weights=bool(call.operation.weights))]


def conv_transpose(call: Call) -> Said:
    """For each value that goes in: the kernel's filters and positions, (I, O, …)."""
    given, kernel = (x.shape for x in arrays(call)[:2])
    return [Stage(math.prod(given) * math.prod(kernel[1:]), 0, call.size, weights=bool(call.operation.weights))]


def attention(call: Call) -> Said:
    """Queries times keys, then weights times values: (…, T, H), (…, S, H), (…, S, V)."""
    query, key, value = (x.shape for x in arrays(call)[:3])
    pairs = math.prod(query[:-1]) * key[-2]
    return [Stage(pairs * (query[-1] + value[-1]), 3 * pairs, call.size, "both")]


_NAMES: dict[Rule, str] = {
    rules.viewed: "view reshape flatten unflatten permute transpose t swapaxes movedim unsqueeze squeeze expand split chunk "
    "select narrow unbind detach",
    rules.copied: "cat concat stack pad repeat repeat_interleave roll flip gather index_select contiguous clone float double "
    "half bfloat16 tril triu",
    rules.reduced: "sum mean amax amin max min prod var std argmax argmin any all logsumexp norm",
    rules.by_output: "relu sigmoid tanh exp sqrt softmax log_softmax",
    rules.added: "add sub",
    rules.scaled: "mul div",
    rules.pointwise: "gelu silu elu selu mish softplus leaky_relu abs neg pow rsqrt log sin cos where clamp maximum minimum "
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d interpolate cumsum",
    rules.normalized: "layer_norm group_norm batch_norm rms_norm normalize",
    rules.matrix_product: "matmul mm bmm mv dot",
    rules.outer: "outer",
    rules.einsum: "einsum",
    linear: "linear",
    added_product: "addmm baddbmm",
    conv: "conv1d conv2d conv3d",
    conv_transpose: "conv_transpose1d conv_transpose2d conv_transpose3d",
    attention: "scaled_dot_product_attention",
}
_PLACES = ("torch.", "torch.nn.functional.", "torch.Tensor.")


@functools.cache
def _table() -> Mapping[str, Rule]:
    return {place + name: rule for rule, names in _NAMES.items() for name in names.split() for place in _PLACES}


def rule_of_torch(function: object) -> Rule | None:
    """Return the rule of one of torch's functions or methods; None of any other."""
    name = runtime.name_of_torch(function)
    return None if name is None else _table().get(name)
