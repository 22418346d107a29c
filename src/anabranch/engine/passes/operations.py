"""Tables of torch's operations by what the passes need to know of them."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F

CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
TRANSPOSED = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)
LINEAR = (F.linear, torch.matmul, operator.matmul)

CASTS = frozenset({"to", "float", "bfloat16", "half"})  # give what they take where it is of that type already

# value by value, of one tensor or of several that broadcast; methods by name
ELEMENTWISE = frozenset({
    torch.relu, F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish, F.softplus, F.softsign,
    F.hardtanh, F.hardsigmoid, F.hardswish, F.hardshrink, F.softshrink, F.tanhshrink, F.logsigmoid, F.threshold,
    torch.sigmoid, torch.tanh, torch.exp, torch.log, torch.sqrt, torch.rsqrt, torch.square, torch.abs, torch.neg, torch.sin,
    torch.cos, torch.clamp, torch.add, torch.sub, torch.mul, torch.div, torch.maximum, torch.minimum, torch.where,
    torch.addcmul, operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.neg, operator.abs,
    operator.gt, operator.ge, operator.lt, operator.le,
    "add", "sub", "mul", "div", "neg", "abs", "exp", "log", "sqrt", "rsqrt", "square", "pow", "clamp", "relu", "sigmoid",
    "tanh", *CASTS,
})  # fmt: skip

REDUCTIONS = frozenset({"mean", "sum", "amax", "amin", "prod"})  # called as x.mean(axes, keepdim=…)
VIEWS = frozenset(
    {"permute", "reshape", "view", "flatten", "unsqueeze", "squeeze", "expand", "detach", torch.permute, torch.reshape}
)
POOLING = frozenset({
    torch.max_pool1d, torch.max_pool2d, torch.max_pool3d, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d, torch.avg_pool1d,
})  # fmt: skip

# the same arguments give the same value, and nothing else happens
PURE = (
    ELEMENTWISE
    | REDUCTIONS
    | VIEWS
    | POOLING
    | frozenset({*CONVOLUTIONS, *TRANSPOSED, *LINEAR, torch.cat, torch.stack, F.softmax, F.pad})
)

READS = PURE | {getattr, operator.getitem}  # what need not be done where nobody takes the result

# Those whose result is new memory that their own gradient does not look at again.
FRESH = POOLING | frozenset({
    *CONVOLUTIONS, *TRANSPOSED, F.linear, F.batch_norm, torch.cat, F.pad,
    operator.add, operator.sub, operator.mul, torch.add, torch.sub, torch.mul, "add", "sub", "mul",
})  # fmt: skip

# What works in place, by function: its form in place. The gradients of the first need only the result.
IN_PLACE_BY_RESULT: dict[Any, Any] = {
    torch.relu: torch.relu_, F.relu: torch.relu_, "relu": torch.relu_, torch.sigmoid: torch.sigmoid_, torch.tanh: torch.tanh_,
    torch.exp: torch.exp_,
}  # fmt: skip
IN_PLACE_BY_FLAG = frozenset({
    F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.silu, F.mish, F.hardtanh, F.hardsigmoid, F.hardswish,
})  # fmt: skip
FLAG_BY_RESULT = frozenset({F.relu6, F.hardtanh, F.selu})


def mutates(target: Any) -> bool:
    """Return whether a call changes its first argument, which torch says by an underscore at the name's end."""
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    if getattr(target, "__module__", None) == "_operator":
        return False  # its `and_` and `or_` wear the underscore because Python had taken their names
    if hasattr(target, "_schema"):
        return bool(target._schema.is_mutable)
    return name.endswith("_") and not name.endswith("__")
