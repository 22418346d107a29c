"""Blocks that repeat, in pictures."""

import pytest
from drawn_models import DRAWN, chain, encoder, resnet, toy_resnet

import anabranch as keras
from anabranch import layers
from anabranch.insight.drawing.picture import Picture
from anabranch.insight.drawing.repeats import condensed, with_repeats


def found(model: keras.Model, saved: int = 8) -> list[tuple[str, str]]:
    picture = with_repeats(Picture.of(model), saved)
    return [(box.id, box.kind) for box in picture.boxes if box.role == "repeat"]


def test_stages_of_a_resnet_repeat_after_their_first_block() -> None:
    assert [kind for _, kind in found(resnet((3, 8, 36, 3)))] == ["×2", "×7", "×35", "×2"]
    picture = condensed(with_repeats(Picture.of(resnet((1, 1, 36, 1)))))
    inside = next(boxes for parent, boxes in picture.children().items() if parent.endswith("×35"))
    assert [box.kind for box in inside][-2:] == ["Add", "ReLU"]  # the block ends where people end it
    assert len(inside) == 10
    following = [next(box for box in picture.boxes if box.id == e.target) for e in picture.edges if e.source == inside[-1].id]
    assert [box.kind for box in following] == ["Conv2D", "Conv2D"]  # of the next stage, and its shortcut
    assert not any(box in inside for box in following)


def test_a_chain_is_one_layer_and_small_repeats_are_left_alone() -> None:
    assert found(chain(1000)) == [("dense×1000", "×1000")]
    assert found(toy_resnet()) == []
    assert found(toy_resnet(), saved=3) == [("conv2d_2×2", "×2")]


def test_what_all_blocks_take_from_outside_goes_to_the_one_that_is_drawn() -> None:
    picture = condensed(with_repeats(Picture.of(encoder(12))))
    assert [edge.target for edge in picture.edges if edge.source == "get_item"] == ["where", "where_1"]
    frame = next(box for box in picture.boxes if box.role == "repeat")
    assert (frame.kind, frame.calls, len(picture.children()[frame.id])) == ("×11", 11, 15)


def test_layers_with_other_settings_are_not_a_repeat() -> None:
    x = inputs = keras.Input((64, 4))
    for number in range(12):
        x = layers.Conv1D(4, 3, padding="causal", dilation_rate=2**number)(x)
    assert found(keras.Model(inputs, x)) == []
    x = inputs = keras.Input((64, 4))
    for _ in range(12):
        x = layers.Conv1D(4, 3, padding="causal", dilation_rate=2)(x)
    assert found(keras.Model(inputs, x)) == [("conv1d×12", "×12")]


def test_another_connection_ends_a_repeat() -> None:
    inputs = keras.Input((8,))
    x = first = layers.Dense(8)(inputs)
    for number in range(12):
        y = layers.Dense(8)(x)
        x = layers.Add()([y, first if number == 5 else x])
    assert [kind for _, kind in found(keras.Model(inputs, x), saved=6)] == ["×5", "×6"]


def test_equal_nested_models_repeat() -> None:
    x = inputs = keras.Input((8,))
    for _ in range(9):
        inner = keras.Input((8,))
        x = keras.Model(inner, layers.ReLU()(layers.Dense(8)(inner)))(x)
    model = keras.Model(inputs, x)
    assert found(model) == [("functional×9", "×9")]
    picture = condensed(with_repeats(Picture.of(model)))
    assert [box.id for box in picture.boxes] == ["input_layer", "functional×9", "functional", "functional/input_layer",
                                                 "functional/dense", "functional/re_lu"]  # fmt: skip
    assert [edge[:2] for edge in picture.edges][:1] == [("input_layer", "functional/input_layer")]
    assert picture.outputs[0].source == "functional/re_lu"


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_lost(name: str) -> None:
    plain = Picture.of(DRAWN[name]())
    grouped = with_repeats(plain, saved=1)
    known = {box.id for box in plain.boxes}
    assert [box.id for box in grouped.boxes if box.id in known] == [box.id for box in plain.boxes]
    assert grouped.edges == plain.edges
    before = {""}
    for box in grouped.boxes:
        assert box.parent in before
        before |= {box.id} if box.group else set()
    one = condensed(grouped)
    ids = {box.id for box in one.boxes}
    assert all(edge.source in ids and edge.target in ids for edge in one.edges)
    assert {box.code for box in one.boxes} == {box.code for box in plain.boxes} | {""}
