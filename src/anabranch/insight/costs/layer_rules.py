"""What the calls of our layers cost. A stage is one operation of torch, as ``to_torch()`` writes the layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from anabranch import activations, layers
from anabranch.graph import Spec
from anabranch.graph.records import item_bytes
from anabranch.graph.shapes import normalise_axis, same_padding
from anabranch.insight.costs.work import Call, Stage, elements, nbytes, rule, rule_of, stages_of
from anabranch.layers import convolutional, merging, pooling, regularization, resizing, separable, transposed
from anabranch.layers.adaptive_pooling import AdaptivePooling
from anabranch.layers.images.base import ImageLayer, RandomImages
from anabranch.layers.recurrent.cells import Cell
from anabranch.layers.tables.vocabulary import IndexLookup

INDEX = 8  # bytes of a position, which max pooling saves


def activated(call: Call, *stages: Stage) -> list[Stage]:
    """Return the stages of a layer, and that of its activation."""
    return [*stages, *activation(call.operation.activation, call.elements, stages[-1].size if stages else call.size)]


def activation(function: Callable[..., Any], count: int, size: int) -> list[Stage]:
    """Return the stage of an activation over ``count`` elements; the identity has none."""
    if function is activations.linear:
        return []
    by_output = activations.relu, activations.sigmoid, activations.tanh, activations.softmax, activations.log_softmax
    return [Stage(flops=count, size=size, saves="output" if function in by_output else "input")]


@rule(layers.InputLayer, layers.Identity, layers.Flatten, layers.Reshape, layers.Permute)
@rule(layers.ActivityRegularization, resizing.Cropping, layers.RepeatVector)
def view(call: Call) -> list[Stage]:
    """Give a view of what comes in."""
    return [Stage(saves="", passes=True)]


@rule(layers.Dense)
def dense(call: Call) -> list[Stage]:
    """(…, I) · (I, O): I products for each value that comes out."""
    inner = call.inputs[0].shape[-1] or 0
    bias = call.elements * call.operation.use_bias
    return activated(call, *cast(call), Stage(call.elements * inner, bias, call.size, weights=True))


def cast(call: Call) -> list[Stage]:
    """Return the stage that makes floats of integers."""
    given = call.inputs[0]
    whole = "float" not in given.dtype
    return [Stage(size=elements(given) * item_bytes(call.outputs[0].dtype), saves="", passes=True)] if whole else []


def padded(call: Call) -> list[Stage]:
    """Return the stage that pads what a window slides over, where it is not padded alike at both ends."""
    layer, given = call.operation, call.inputs[0]
    spatial = spatial_sizes(layer, given.shape)
    if layer.padding == "causal":
        pads = [((layer.kernel_size[0] - 1) * layer.dilation_rate[0], 0)]
    elif layer.padding == "same":
        pads = list(map(same_padding, spatial, layer.kernel_size, layer.strides, layer.dilation_rate))
    else:
        return []
    if all(before == after for before, after in pads):
        return []
    larger = math.prod(size + before + after for size, (before, after) in zip(spatial, pads, strict=True))
    return [Stage(size=nbytes(given) // max(1, math.prod(spatial)) * larger, saves="")]


def spatial_sizes(layer: Any, shape: Sequence[int | None]) -> list[int]:
    """Return the lengths of the axes that a window slides along."""
    spatial = shape[2:] if layer._axis_layout_() == "channels_first" else shape[1:-1]
    return [size or 0 for size in spatial]


@rule(convolutional.Conv)
def conv(call: Call) -> list[Stage]:
    """For each value that comes out: the window's positions times the channels of a group."""
    layer = call.operation
    window = math.prod(layer.kernel_size) * (layer.channels(call.inputs[0].shape) // layer.groups)
    return activated(
        call, *padded(call), Stage(call.elements * window, call.elements * layer.use_bias, call.size, weights=True)
    )


@rule(separable.DepthwiseConv)
def depthwise(call: Call) -> list[Stage]:
    """For each value that comes out: the window's positions."""
    window = math.prod(call.operation.kernel_size)
    bias = call.elements * call.operation.use_bias
    return activated(call, *padded(call), Stage(call.elements * window, bias, call.size, weights=True))


@rule(separable.SeparableConv)
def separable_conv(call: Call) -> list[Stage]:
    """A depthwise convolution, then one across channels."""
    layer = call.operation
    wide = layer.channels(call.inputs[0].shape) * layer.depth_multiplier
    between = call.elements // layer.filters * wide
    first = Stage(between * math.prod(layer.kernel_size), 0, call.size // layer.filters * wide, weights=True)
    return activated(
        call, *padded(call), first, Stage(call.elements * wide, call.elements * layer.use_bias, call.size, weights=True)
    )


@rule(transposed.ConvTranspose)
def conv_transpose(call: Call) -> list[Stage]:
    """For each value that goes in: the window's positions times the filters; the result is cropped afterwards."""
    layer, given = call.operation, call.inputs[0]
    spatial = spatial_sizes(layer, given.shape)
    whole = [(size - 1) * stride + reach for size, stride, reach in zip(spatial, layer.strides, layer.reach(), strict=True)]
    after = spatial_sizes(layer, call.outputs[0].shape)
    lengths = map(max, whole, after)
    size = call.size // max(1, math.prod(after)) * math.prod(lengths)
    macs = elements(given) * math.prod(layer.kernel_size) * layer.filters
    return activated(call, Stage(macs, call.elements * layer.use_bias, size, weights=True))


@rule(pooling.Pooling)
def pool(call: Call) -> list[Stage]:
    """Compare or add the values of each window."""
    indices = INDEX * call.elements * (call.operation.mode == "max")
    return [Stage(0, call.elements * math.prod(call.operation.pool_size), call.size, extra=indices)]


@rule(pooling.GlobalPooling)
def global_pool(call: Call) -> list[Stage]:
    """Compare or add all positions."""
    return [Stage(0, elements(call.inputs[0]), call.size, "both" if call.operation.mode == "max" else "")]


@rule(AdaptivePooling)
def adaptive_pool(call: Call) -> list[Stage]:
    """Compare or add the values of each part."""
    indices = INDEX * call.elements * (call.operation.mode == "max")
    return [Stage(0, elements(call.inputs[0]), call.size, "input" if indices else "", extra=indices)]


@rule(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization, layers.RMSNormalization)
@rule(layers.UnitNormalization)
def normalize(call: Call) -> list[Stage]:
    """Scale and shift; mean and variance are two more operations for each element."""
    return [Stage(0, 4 * call.elements, call.size, weights=bool(call.operation.weights))]


@rule(layers.Dropout, layers.AlphaDropout, layers.GaussianDropout)
def dropout(call: Call) -> list[Stage]:
    """Multiply by noise, in training."""
    return [Stage(0, call.elements, call.size, "", extra=call.size, training=True)]


@rule(regularization.SpatialDropout, layers.GaussianNoise)
def noise(call: Call) -> list[Stage]:
    """Multiply by noise of whole channels, or add noise, in training."""
    return [Stage(0, call.elements, call.size, "", training=True)]


@rule(ImageLayer, layers.CategoryEncoding, layers.Discretization, IndexLookup)
def computed(call: Call) -> list[Stage]:
    """Compute other values, a few operations each."""
    return [Stage(0, 4 * call.elements, call.size, "")]


@rule(layers.CenterCrop, layers.RandomCrop)
def cropped(call: Call) -> list[Stage]:
    """Copy a part."""
    return [Stage(0, 0, call.size, "")]


@rule(layers.Resizing)
def resize(call: Call) -> list[Stage] | None:
    """Weigh the neighbors; Lanczos's windows are products of matrices, along the width first."""
    layer = call.operation
    if "lanczos" not in layer.interpolation:
        return [Stage(0, call.elements * (layer.interpolation != "nearest"), call.size, "")]
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio:
        return None
    given = elements(call.inputs[0])
    between = given // spatial_sizes(layer, call.inputs[0].shape)[1] * layer.width
    return [Stage(given * layer.width + between * layer.height, 0, call.size, "")]


@rule(layers.STFTSpectrogram)
def spectrogram(call: Call) -> list[Stage]:
    """Each frame times the kernels, as a convolution; then what the mode makes of both parts."""
    found = [kernel for kernel in (call.operation.real_kernel, call.operation.imag_kernel) if kernel is not None]
    frames = call.elements // (2 if call.operation.mode == "stft" else 1) * len(found)
    macs = frames * found[0].shape[0]
    return [Stage(macs, 0, len(found) * call.size, weights=True), Stage(0, 3 * call.elements, call.size, "both")]


@rule(layers.MelSpectrogram)
def mel_spectrogram(call: Call) -> list[Stage]:
    """Fourier transforms of all frames, then sums in bands: (frames, bins) · (bins, bands)."""
    layer = call.operation
    frames, bins = call.elements // layer.num_mel_bins, layer.fft_length // 2 + 1
    transforms = frames * 5 * layer.fft_length * max(1, math.ceil(math.log2(layer.fft_length)))
    return [
        Stage(0, transforms, 2 * frames * bins * item_bytes("float32")),
        Stage(call.elements * bins, 3 * call.elements, call.size, "both"),
    ]


@rule(layers.Pipeline)
def pipeline(call: Call) -> list[Stage] | None:
    """What its layers cost, one after the other."""
    given, stages = call.inputs[0], []
    for layer in call.operation.layers:
        made = layer.compute_output_spec(layers.Input(batch_shape=given.shape, dtype=given.dtype))
        found = cost_of(call._replace(operation=layer, inputs=[given], outputs=[made]))
        if found is None:
            return None
        stages += found
        given = made
    return stages


def cost_of(call: Call) -> list[Stage] | None:
    """Return the stages of the call of a layer inside another, None where it has no rule."""
    found = stages_of(rule_of(type(call.operation)), call)
    return None if found is None else list(found)


@rule(RandomImages)
def augment(call: Call) -> list[Stage]:
    """Draw other images, in training."""
    return [Stage(0, 4 * call.elements, call.size, training=True)]


@rule(layers.Embedding)
def embedding(call: Call) -> list[Stage]:
    """Look rows up."""
    return [Stage(0, 0, call.size, weights=True)]


@rule(layers.RNN)
def recurrent(call: Call) -> list[Stage] | None:
    """At each step, the products of the cell; a cell of others has none that are known."""
    given = call.inputs[0].shape
    return of_cells(call, call.operation.cell, (given[0] or 0) * (given[1] or 0))


@rule(layers.Bidirectional)
def bidirectional(call: Call) -> list[Stage] | None:
    """What both layers cost."""
    given = call.inputs[0].shape
    found = [
        of_cells(call, layer.cell, (given[0] or 0) * (given[1] or 0))
        for layer in (call.operation.forward_layer, call.operation.backward_layer)
    ]
    stages = [stage for each in found for stage in each or ()]
    return [stages[0], stages[1]._replace(size=0)] if len(stages) == 2 else None


@rule(layers.TimeDistributed)
def time_distributed(call: Call) -> list[Stage] | None:
    """What the layer costs on all steps as one batch."""

    def folded(spec: Spec) -> Spec:
        return Spec(((spec.shape[0] or 0) * (spec.shape[1] or 0), *spec.shape[2:]), spec.dtype)

    inputs, outputs = list(map(folded, call.inputs)), list(map(folded, call.outputs))
    return of_layer_inside(call._replace(inputs=inputs, outputs=outputs))


@rule(layers.SpectralNormalization)
def of_layer_inside(call: Call) -> list[Stage] | None:
    """What the layer inside costs."""
    return cost_of(call._replace(operation=call.operation.layer))


@rule(Cell, layers.StackedRNNCells)
def cell(call: Call) -> list[Stage] | None:
    """The products of one step."""
    return of_cells(call, call.operation, call.inputs[0].shape[0] or 0)


def of_cells(call: Call, cell: Any, count: int) -> list[Stage] | None:
    """Return the stage of ``count`` steps of a cell, or of cells on top of each other."""
    cells = cell.cells if isinstance(cell, layers.StackedRNNCells) else [cell]
    if not all(isinstance(each, Cell) for each in cells):
        return None
    states = [math.prod(size or 1 for size in each.state_specs(1, "")[0].shape) for each in cells]
    macs = sum(
        (each.kernel.size + each.recurrent_kernel.size) * (each.gates * state // each.kernel.shape[-1])
        for each, state in zip(cells, states, strict=True)
    )
    gates = sum(each.gates * state for each, state in zip(cells, states, strict=True))
    saved = count * gates * item_bytes(call.outputs[0].dtype)
    return [Stage(count * macs, 3 * count * gates, call.size, "both", extra=saved, weights=True)]


@rule(layers.Activation)
def activate(call: Call) -> list[Stage]:
    """Apply the activation."""
    return activation(call.operation.activation, call.elements, call.size) or view(call)


@rule(layers.ReLU, layers.Softmax)
def by_output(call: Call) -> list[Stage]:
    """Apply a function whose gradient follows from what it gave."""
    return [Stage(0, call.elements, call.size, "output")]


@rule(layers.LeakyReLU, layers.ELU, layers.PReLU, layers.Masking)
def by_input(call: Call) -> list[Stage]:
    """Apply a function whose gradient follows from what it was given."""
    return [Stage(0, call.elements, call.size, weights=bool(call.operation.weights))]


@rule(resizing.ZeroPadding)
def pad(call: Call) -> list[Stage]:
    """Copy into a larger tensor."""
    return [Stage(0, 0, call.size, "")]


@rule(resizing.UpSampling)
def upsample(call: Call) -> list[Stage]:
    """Copy, or weigh the neighbors."""
    return [Stage(0, call.elements * (call.operation.interpolated() != "nearest"), call.size, "")]


@rule(layers.Rescaling, layers.Normalization)
def rescale(call: Call) -> list[Stage]:
    """Multiply, then add."""
    return [Stage(0, call.elements, call.size, "")] * 2


@rule(layers.Add, layers.Subtract, layers.Average)
def add(call: Call) -> list[Stage]:
    """Add branch after branch; gradients go on as they are."""
    return [Stage(0, call.elements, call.size, "", passes=True)] * max(1, len(call.inputs) - 1)


@rule(merging.Merge)
def merge(call: Call) -> list[Stage]:
    """Multiply or compare branch after branch."""
    return [Stage(0, call.elements, call.size)] * max(1, len(call.inputs) - 1)


@rule(layers.Concatenate)
def concatenate(call: Call) -> list[Stage]:
    """Copy the branches; gradients are parts of one."""
    return [Stage(0, 0, call.size, "", passes=True)]


@rule(layers.Dot)
def dot(call: Call) -> list[Stage]:
    """For each value that comes out: the length of the axis summed over."""
    layer, (a, b) = call.operation, call.inputs
    inner = a.shape[normalise_axis(layer.pair()[0], len(a.shape))] or 0
    scaled = [Stage(0, 3 * (elements(a) + elements(b)), nbytes(a) + nbytes(b))] if layer.normalize else []
    products = call.elements * inner
    vectors = len(a.shape) == len(b.shape) == 2  # whose products are no matrix product
    return [*scaled, Stage(0, 2 * products, call.size) if vectors else Stage(products, 0, call.size)]
