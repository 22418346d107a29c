"""The methods of torch's tensors that a symbolic tensor has too; what else torch does is reached as a function."""

from __future__ import annotations

# fmt: off
METHODS = frozenset({
    "abs", "add", "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "bfloat16", "bmm", "bool", "broadcast_to",
    "ceil", "chunk", "clamp", "clip", "clone", "contiguous", "cos", "cumprod", "cumsum", "detach", "diff", "div", "double",
    "eq", "erf", "exp", "expand", "expand_as", "flatten", "flip", "float", "floor", "gather", "ge", "gt", "half",
    "index_select", "int", "isfinite", "isinf", "isnan", "kthvalue", "le", "log", "log1p", "log2", "log_softmax",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "long", "lt", "masked_fill", "matmul", "max",
    "maximum", "mean", "median", "min", "minimum", "mm", "movedim", "mul", "narrow", "ne", "neg", "norm", "permute", "pow",
    "prod", "reciprocal", "relu", "repeat", "repeat_interleave", "roll", "round", "rsqrt", "scatter", "select",
    "sigmoid", "sign", "sin", "softmax", "sort", "split", "sqrt", "square", "std", "sub", "sum", "swapaxes", "t",
    "tanh", "to", "topk", "transpose", "tril", "triu", "type", "unbind", "unflatten", "unfold", "unsqueeze", "var", "view",
    "view_as", "where",
})
# fmt: on
