"""What functions and operators in a graph cost: by a table, else by the facts that they state of themselves."""

from __future__ import annotations

import functools
import math
import operator

from anabranch import _tree, activations, ops
from anabranch._asked import Shaped, has_shape
from anabranch.graph import facts
from anabranch.insight.costs.work import Call, Rule, Stage, elements

Said = list[Stage] | None
"""The stages; None where a rule does not know."""


def pointwise(call: Call) -> Said:
    """One operation for each value that comes out."""
    return [Stage(0, call.elements, call.size)]


def by_output(call: Call) -> Said:
    """One operation for each value; the gradient follows from what came out."""
    return [Stage(0, call.elements, call.size, "output")]


def added(call: Call) -> Said:
    """One operation for each value; the gradient goes on as it is."""
    return [Stage(0, call.elements, call.size, "", passes=True)]


def scaled(call: Call) -> Said:
    """One operation for each value; what is saved is a number, or the other operand."""
    return [Stage(0, call.elements, call.size, "input" if len(call.inputs) > 1 else "")]


def reduced(call: Call) -> Said:
    """One operation for each value that goes in."""
    return [Stage(0, max(map(elements, call.inputs), default=0), call.size, "")]


def copied(call: Call) -> Said:
    """Copy; nothing is computed."""
    return [Stage(0, 0, call.size, "", passes=True)]


def viewed(call: Call) -> Said:
    """Give a view of what goes in."""
    return [Stage(saves="", passes=True)]


def normalized(call: Call) -> Said:
    """Scale and shift; mean and variance are two more operations for each value."""
    return [Stage(0, 4 * call.elements, call.size)]


def arrays(call: Call) -> list[Shaped]:
    """Return the arrays among the arguments, symbolic or not."""
    return [leaf for leaf in _tree.leaves((call.args, list(call.kwargs.values()))) if has_shape(leaf)]


def matrix_product(call: Call) -> Said:
    """For each value that comes out: the length of the axis summed over."""
    inner: int = arrays(call)[0].shape[-1]
    return [Stage(call.elements * inner, 0, call.size)]


def outer(call: Call) -> Said:
    """One product for each value that comes out."""
    return [Stage(call.elements, 0, call.size)]


def einsum(call: Call) -> Said:
    """The product of the sizes of all letters, of two operands."""
    subscripts, *_ = call.args
    letters = str(subscripts).replace(" ", "").split("->")[0].split(",")
    operands = arrays(call)
    if len(operands) != 2 or len(letters) != 2 or "." in str(subscripts):
        return None
    sizes = {letter: size for row, x in zip(letters, operands, strict=True) for letter, size in zip(row, x.shape, strict=True)}
    return [Stage(math.prod(sizes.values()), 0, call.size)]


def conv(call: Call) -> Said:
    """For each value that comes out: the kernel's positions and channels."""
    kernel = arrays(call)[1].shape
    return [Stage(call.elements * math.prod(kernel[:-1]), 0, call.size)]


def depthwise_conv(call: Call) -> Said:
    """For each value that comes out: the kernel's positions."""
    kernel = arrays(call)[1].shape
    return [Stage(call.elements * math.prod(kernel[:-2]), 0, call.size)]


def separable_conv(call: Call) -> Said:
    """A depthwise convolution, then one across channels."""
    depthwise, across = (x.shape for x in arrays(call)[1:3])
    between = call.elements // across[-1] * across[-2]
    size = call.size // across[-1] * across[-2]
    return [Stage(between * math.prod(depthwise[:-2]), 0, size), Stage(call.elements * across[-2], 0, call.size)]


def conv_transpose(call: Call) -> Said:
    """For each value that goes in: the kernel's positions and filters."""
    given, kernel = (x.shape for x in arrays(call)[:2])
    return [Stage(math.prod(given) * math.prod(kernel[:-1]), 0, call.size)]


def attention(call: Call) -> Said:
    """Queries times keys, then weights times values, for each head."""
    query, key, value = (x.shape for x in arrays(call)[:3])
    batch, steps, heads, width = query
    pairs = batch * heads * steps * key[1]
    return [Stage(pairs * (width + value[3]), 3 * pairs, call.size, "both")]


_NAMES: dict[Rule, str] = {
    viewed: "reshape ravel transpose moveaxis swapaxes expand_dims squeeze broadcast_to split array_split diagonal slice "
    "unstack hsplit vsplit dsplit array convert_to_tensor",
    copied: "concatenate stack hstack vstack dstack append flip fliplr flipud roll rot90 repeat tile pad tril triu take "
    "take_along_axis one_hot multi_hot slice_update depth_to_space space_to_depth image.pad_images image.crop_images",
    reduced: "sum mean max min prod var std argmax argmin any all logsumexp count_nonzero norm amax amin average moments trace "
    "ptp nansum nanmean nanmax nanmin nanprod nanvar nanstd nanargmax nanargmin adaptive_average_pool adaptive_max_pool",
    pointwise: "average_pool max_pool cumsum cumprod nancumsum nancumprod diff glu image.resize image.rgb_to_grayscale "
    "categorical_crossentropy binary_crossentropy sparse_categorical_crossentropy",
    by_output: "softmax log_softmax relu sigmoid tanh exp sqrt",
    added: "add subtract",
    scaled: "multiply true_divide divide",
    normalized: "batch_normalization layer_normalization rms_normalization normalize",
    matrix_product: "matmul dot inner vdot",
    outer: "outer",
    einsum: "einsum",
    conv: "conv",
    depthwise_conv: "depthwise_conv",
    separable_conv: "separable_conv",
    conv_transpose: "conv_transpose",
    attention: "dot_product_attention",
}  # fmt: skip
_OPERATORS = {
    operator.add: added, operator.sub: added, operator.mul: scaled, operator.truediv: scaled, operator.matmul: matrix_product,
    operator.getitem: viewed,
}  # fmt: skip
_BY_FACT: dict[object, Rule] = {
    facts.pointwise: pointwise, facts.reshaped: viewed, facts.permuted: viewed, facts.swapped: viewed, facts.taken: viewed,
}  # fmt: skip


@functools.cache
def _table() -> dict[object, Rule]:
    """Return the rules of our functions, which are looked up when a graph holds one."""
    found: dict[object, Rule] = {
        operator.attrgetter(name)(ops): made for made, names in _NAMES.items() for name in names.split()
    }
    more = dict.fromkeys((activations.relu, activations.sigmoid, activations.tanh, activations.softmax), by_output)
    return found | more | _OPERATORS


def rule_of_function(function: object, mask: object) -> Rule | None:
    """Return the rule of a function of ours, or what the rule for masks that it states says; None where nothing does."""
    known = _table().get(function)
    return known or (_BY_FACT.get(mask) if mask is not None else None)
