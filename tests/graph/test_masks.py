"""How far masks reach, from descriptions alone: keys, stretching, nested models, several outputs."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import anabranch as ab
from anabranch import layers
from anabranch.graph.facts import mask_key
from anabranch.graph.masks import of_function, through
from anabranch.graph.operators import GetItem


def masked() -> ab.graph.Tensor:
    return layers.Embedding(9, 4, mask_zero=True)(ab.Input((5,), dtype="int32"))


ITEMS = st.one_of(
    st.none(),
    st.integers(-2, 1),
    st.slices(4).filter(lambda s: s.step is None or s.step > 0),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(ITEMS, max_size=5), st.integers(0, 6), st.integers(1, 3))
def test_a_key_takes_from_the_mask_what_it_takes_from_the_value(items: list[object], dots: int, reach: int) -> None:
    shape = (4, 5, 6)
    if sum(item is not None for item in items) > 3:
        return
    key = tuple([*items[:dots], Ellipsis, *items[dots:]] if dots <= len(items) else items)
    places = np.arange(120).reshape(shape)[(..., *(0,) * (3 - reach))]  # a mask of numbers, each of which names its place
    value = np.broadcast_to(places.reshape(*places.shape, *(1,) * (3 - reach)), shape)
    found = mask_key(key, reach, shape)
    left = sum(isinstance(item, slice) for item in _each_axis(key))
    if found is None:
        assert any(isinstance(item, int) for item in _each_axis(key)[:reach])
        return
    assert not any(isinstance(item, int) for item in _each_axis(key)[:reach])
    assert left == 3 - sum(isinstance(item, int) for item in key)
    taken, result = places[found], value[key]
    assert of_function(GetItem(), (None, key), {}, [(shape, reach)]) == taken.ndim
    wide = taken.reshape(*taken.shape, *(1,) * (result.ndim - taken.ndim))
    assert np.array_equal(np.broadcast_to(wide, result.shape), result)


def _each_axis(key: tuple[object, ...]) -> list[object]:
    """Return what a key says of each of three axes."""
    said = [item for item in key if item is not None]
    place = said.index(Ellipsis) if Ellipsis in said else len(said)
    said = [item for item in said if item is not Ellipsis]
    return [*said[:place], *[slice(None)] * (3 - len(said)), *said[place:]]


def test_stretched_axes_have_no_mask() -> None:
    x = masked()
    assert (x[:, :1] * x).mask_axes == 0
    assert (x * np.ones((5, 1), "float32")).mask_axes == 2
    assert (x[:, None] * np.ones((3, 1, 1), "float32")).mask_axes == 0


def test_masks_of_several_ranks() -> None:
    words = layers.Embedding(9, 4, mask_zero=True)(ab.Input((3, 5), dtype="int32"))
    assert words.mask_axes == 3
    sentences = layers.Masking()(ab.Input((3, 5, 4)))
    assert sentences.mask_axes == 3
    assert (words + sentences).mask_axes == 3


def test_several_outputs() -> None:
    x = masked()
    found = x.split(2, -1)
    assert [part.masked for part in found] == [True, True]
    assert x.split(2, 1)[0].node.masked == (False,) * len(x.split(2, 1))


def test_a_nested_model_says_what_its_layers_say() -> None:
    source, other = ab.Input((5, 4)), ab.Input((5, 4))
    inner = ab.Model([source, other], [layers.Dense(3)(source), source + other, layers.GlobalAveragePooling1D()(source), other])
    x = masked()
    assert [t.mask_axes for t in inner([x, other])] == [2, 2, 0, 0]
    assert [t.mask_axes for t in inner([source, x])] == [0, 2, 0, 2]
    assert [t.mask_axes for t in inner([source, other])] == [0] * 4
    assert through(inner.graph, [2, 0]) == (2, 2, 0, 0)
    outer = ab.Model(source, layers.Identity()(inner([source, layers.Masking()(source)])[1]))
    assert outer.outputs[0].masked, "made inside"
    assert outer(ab.Input((5, 4))).masked
    assert copy.deepcopy(outer).outputs[0].masked


def test_edits_carry_masks() -> None:
    source = ab.Input((5,), dtype="int32")
    model = ab.Model(source, layers.Dense(2, name="out")(layers.Embedding(9, 4, mask_zero=True, name="table")(source)))
    edited = model.edit(ab.edit.insert_before("out", layers.ReLU()))
    assert edited.outputs[0].masked
    plain = model.edit(ab.edit.replace("table", layers.Embedding(9, 4)))
    assert not plain.outputs[0].masked


@pytest.mark.parametrize("given_", [True, False])
def test_a_model_of_a_chain(given_: bool) -> None:
    source = ab.Input((5, 4))
    x = source
    for _ in range(2000):
        x = x + 1.0
    model = ab.Model(source, x)
    assert model(layers.Masking()(source) if given_ else source).masked == given_
