"""What dense layers over any axes and attention cost: products of matrices, and the softmax between two of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from anabranch import layers
from anabranch.graph import Shape
from anabranch.graph.records import item_bytes
from anabranch.insight.costs.layer_rules import activated, cast
from anabranch.insight.costs.work import Call, Stage, elements, rule
from anabranch.layers.attention.heads import Attending
from anabranch.layers.attention.plain import Weighing

if TYPE_CHECKING:
    from anabranch.layers import EinsumDense


@rule(layers.EinsumDense)
def einsum_dense(call: Call) -> list[Stage]:
    """For each value that comes out: the sizes of the axes summed over."""
    layer: EinsumDense = call.operation
    return activated(call, *cast(call), product(layer, call.inputs[0].shape, call.elements, call.size))


def product(layer: EinsumDense, shape: Shape, count: int, size: int) -> Stage:
    """Return the stage of a product with a kernel that gives ``count`` values."""
    letters, sizes = layer.letters, layer.sizes_of(shape)
    summed = math.prod(size or 0 for letter, size in sizes.items() if letter not in letters.outputs)
    return Stage(count * summed, count * (layer.bias_axes is not None), size, weights=True)


@rule(layers.ReversibleEmbedding)
def reversible_embedding(call: Call) -> list[Stage]:
    """Look rows up, or multiply by each of them."""
    macs = call.elements * call.operation.output_dim * bool(call.kwargs.get("reverse", call.args[1:]))
    return [Stage(macs, 0, call.size, weights=True)]


@rule(Attending)
def attention(call: Call) -> list[Stage]:
    """Project, multiply queries by keys, weigh the values, project."""
    layer: Attending = call.operation
    query, value = call.inputs[:2]
    key = call.args[2] if len(call.args) > 2 else call.kwargs.get("key")
    heads, groups, key_size, value_size = layer.heads()
    item = item_bytes(call.outputs[0].dtype)
    rows, columns = (elements(given) // (given.shape[-1] or 1) for given in (query, value))
    stages = []
    for source, positions, width in (
        (query.shape, rows, heads * key_size),
        (value.shape if key is None else key.shape, columns, groups * key_size),
        *[(query.shape, rows, heads * value_size)] * layer.use_gate,
        (value.shape, columns, groups * value_size),
    ):
        count = positions * width
        stages.append(Stage(count * (source[-1] or 0), count * layer.use_bias, count * item, weights=True))
    attended = layer.attended_axes(len(query.shape))
    pairs = rows * heads * math.prod(value.shape[axis] or 0 for axis in attended)
    result = rows * heads * value_size
    if len(call.outputs) > 1:
        stages += [
            Stage(pairs * key_size, 3 * pairs, pairs * item, "both"),
            Stage(pairs * value_size, 0, result * item, "both"),
        ]
    else:
        stages.append(Stage(pairs * (key_size + value_size), 3 * pairs, result * item, "both"))
    if layer.use_gate:
        stages.append(Stage(0, 2 * result, result * item, "both"))
    wide = elements(call.outputs[0])
    per_row = heads * value_size
    return [*stages, Stage(wide * per_row, wide * layer.use_bias, wide * item, weights=True)]


@rule(Weighing)
def plain_attention(call: Call) -> list[Stage]:
    """Compare queries with keys, weigh the values."""
    layer: Weighing = call.operation
    query, value = call.inputs[:2]
    width = query.shape[-1] or 0
    pairs = elements(query) // (width or 1) * (value.shape[-2] or 0)
    output = call.outputs[0]
    item, size, summed = item_bytes(output.dtype), elements(output) * item_bytes(output.dtype), pairs * (value.shape[-1] or 0)
    scaled = [Stage(0, elements(query), elements(query) * item, weights=True)] * bool(layer.weights)
    if layer.is_product() and len(call.outputs) == 1:
        return [*scaled, Stage(pairs * width + summed, 3 * pairs, size, "both")]
    if layer.is_product():
        compared = Stage(pairs * width, 3 * pairs, pairs * item, "both")
    else:
        compared = Stage(0, 3 * pairs * width + 3 * pairs, pairs * width * item, "output", extra=pairs * item)
    return [*scaled, compared, Stage(summed, 0, size, "both")]
