"""A mask is the second value of an edge: the same however a model runs, and on no tensor or traced value inside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import equal, on_device

import anabranch as ab
from anabranch import _tree, engine, layers, runtime
from anabranch.engine.lower import lower

IDS = np.array([[1, 2, 0, 0], [3, 0, 4, 0]])
OTHER = np.array([[1, 0, 5, 0], [0, 0, 4, 6]])


class Own(layers.Layer):
    """Calls layers one after another, and reads masks by Keras's name."""

    supports_masking = True

    def __init__(self, peeking: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense, self.pool, self.peeking = layers.Dense(4, use_bias=False), layers.GlobalAveragePooling1D(), peeking

    def build(self, input_shape: Any) -> None:
        self.dense.build(input_shape)

    def call(self, inputs: Any) -> Any:
        if self.peeking and float(inputs.detach().sum()) > 1e9:
            return inputs
        h = self.dense(inputs)
        mean = self.pool(h)
        counts = torch.where(h._keras_mask & inputs._keras_mask, 1.0, 0.0)
        return h + mean.unsqueeze(1) + counts.unsqueeze(-1)


class Constant(layers.Layer):
    """Returns one and the same tensor, with the mask of whatever comes in."""

    supports_masking = True

    def __init__(self) -> None:
        super().__init__()
        self.table = on_device(torch.full((2, 4, 3), 2.0))

    def call(self, inputs: Any) -> Any:
        return self.table

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (2, 4, 3)


class Stop(layers.Layer):
    """Returns its input, without a mask."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return inputs


class Doubled(layers.Multiply):
    """Hands on the branches alone."""

    def call(self, inputs: Any) -> Any:
        return super().call(inputs) * 2


def chain(x: Any, y: Any) -> Any:
    return [torch.relu(layers.Dropout(0.5)(layers.Dense(3)(x)) * 2)[:, 1:], y]


def merges(x: Any, y: Any) -> Any:
    return [layers.Multiply()([x, y]), layers.Maximum()([x, Stop()(x)]), layers.Concatenate(1)([x, y, Stop()(y)])]


def parts(x: Any, y: Any) -> Any:
    return [*torch.split(layers.Masking()(x), 2, -1), layers.Activation("tanh")(x + y)]


def nested(x: Any, y: Any) -> Any:
    source = ab.Input((4, 4))
    inner = ab.Model(source, [layers.Dense(2)(source), Stop()(source), source])
    return [*inner(x), y]


def own(x: Any, y: Any) -> Any:
    return [Own()(x), y]


def opaque(x: Any, y: Any) -> Any:
    return [layers.Dense(2)(Own(peeking=True)(x)), y]


def constant(x: Any, y: Any) -> Any:
    same = Constant()
    return layers.Minimum()([same(x), same(y)])


def doubled(x: Any, y: Any) -> Any:
    return Doubled()([x, y])


MODELS = [chain, merges, parts, nested, own, opaque, constant, doubled]


def _model(make: Any) -> Any:
    ab.utils.set_random_seed(1)
    a, b = ab.Input((4,), dtype="int32"), ab.Input((4,), dtype="int32")
    return ab.Model([a, b], make(layers.Embedding(8, 4, mask_zero=True)(a), layers.Embedding(8, 4, mask_zero=True)(b)))


@pytest.mark.parametrize("make", MODELS)
def test_masks_are_the_same_by_description_eager_run_and_lowered_run(make: Any) -> None:
    model = _model(make)
    given = [on_device(IDS), on_device(OTHER)]
    lowered = _tree.leaves(model(given))
    eager, masks = engine.interpret(model.graph, given)
    for tensor, a, b, mask in zip(model.outputs, lowered, eager, masks, strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), atol=1e-6)
        shown = runtime.mask_of(a)
        assert tensor.mask_axes == (0 if mask is None else mask.dim()) == (0 if shown is None else shown.dim())
        if mask is not None:
            assert equal(mask, shown)
    assert any(tensor.masked for tensor in model.outputs)


@pytest.mark.parametrize("make", MODELS)
def test_nothing_inside_a_model_carries_its_mask(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(make)
    given = [on_device(IDS), on_device(OTHER)]
    engine.program(model, training=False)
    carrying: list[Any] = []
    masked = 0
    run = runtime.run

    def look(*values: Any) -> None:
        carrying.extend(x for x in _tree.leaves(values) if "_keras_mask" in getattr(x, "__dict__", ()))

    def spy(layer: Any, args: Any, kwargs: Any, edges: Any = ()) -> Any:
        nonlocal masked
        result, masks = run(layer, args, kwargs, edges)
        if edges:  # unless a user's call calls the layer
            masked += any(mask is not None for mask in masks)
            look(args, kwargs, result)
        return result, masks

    class Walk(torch.fx.Interpreter):
        def run_node(self, n: Any) -> Any:
            result = super().run_node(n)
            look(result)
            return result

    monkeypatch.setattr(runtime, "run", spy)
    lowered = lower(model.graph, training=False)
    by_lowering, masked = masked, 0
    outputs, _ = engine.interpret(model.graph, given)
    look(outputs)
    Walk(lowered.module()).run(*given)
    assert by_lowering
    assert masked
    assert not carrying


def test_a_merge_in_which_a_subclass_hands_on_the_branches_leaves_padding_out() -> None:
    model = _model(doubled)
    x, y = (table(torch.as_tensor(ids)) for table, ids in zip(model.layers[2:4], (IDS, OTHER), strict=True))
    np.testing.assert_allclose(model([IDS, OTHER]).detach(), 2 * layers.Multiply()([x, y]).detach(), atol=1e-6)
    np.testing.assert_allclose(Doubled()([x, y]).detach(), 2 * layers.Multiply()([x, y]).detach(), atol=1e-6)


def test_merging_takes_masks_by_argument() -> None:
    x, y = torch.full((1, 2, 1), 2.0), torch.full((1, 2, 1), 3.0)
    masks = [torch.tensor([[True, False]]), torch.tensor([[True, True]])]
    assert layers.Multiply()([x, y], mask=masks).flatten().tolist() == [6.0, 3.0]
    assert layers.Minimum()([x, y], mask=masks).flatten().tolist() == [2.0, 3.0]


def test_a_masked_input_of_unknown_length_describes_itself_to_a_users_call() -> None:
    class Named(layers.Layer):
        supports_masking = True

        def call(self, inputs: Any) -> Any:
            assert inputs._keras_mask is not None
            seen.append(runtime.described_shape(inputs) if isinstance(inputs, torch.Tensor) else None)
            return inputs * 2

    seen: list[Any] = []
    x = layers.Embedding(8, 4, mask_zero=True)(ab.Input((None,), dtype="int32"))
    assert Named()(x).mask_axes == 2
    assert seen[0] == (None, None, 4)
