"""What is drawn of a model, as data: boxes, groups, edges."""

import json

import pytest
from drawn_models import DRAWN, chain, gan, toy_resnet, two_towers

import anabranch as keras
from anabranch import layers
from anabranch.graph import subgraph
from anabranch.insight.drawing import picture as pictures
from anabranch.insight.drawing.picture import Picture


@pytest.mark.parametrize("name", DRAWN)
def test_every_call_is_a_box_and_every_input_an_edge(name: str) -> None:
    model = DRAWN[name]()
    picture = Picture.of(model, expand_nested=False)
    assert len(picture.boxes) == len(model.graph.nodes)
    assert len(picture.edges) == sum(len(node.inputs) for node in model.graph.nodes)
    seen = set()
    for box in picture.boxes:
        assert all(edge.source in seen for edge in picture.edges if edge.target == box.id)
        assert box.id not in seen
        seen.add(box.id)
        assert model[box.path].name == box.name or box.role != "layer"


def test_boxes_of_the_toy_resnet() -> None:
    picture = Picture.of(toy_resnet())
    box = picture.boxes[3]
    assert (box.id, box.kind, box.output_shapes, box.params) == ("max_pooling2d", "MaxPooling2D", ((None, 9, 9, 64),), 0)
    assert picture.boxes[0].kind == "Input"
    assert picture.boxes[1].activation == "relu"
    assert picture.boxes[2].params == 18_496
    assert picture.boxes[1].site.startswith("drawn_models.py:")
    assert [(e.source, e.input) for e in picture.edges if e.target == "add"] == [("conv2d_3", 0), ("max_pooling2d", 1)]
    assert picture.outputs == [("dense_1", "dense_1", 0)]


def test_a_shared_layer_has_a_box_for_each_call() -> None:
    picture = Picture.of(two_towers())
    shared = [box for box in picture.boxes if box.path == "embedding"]
    assert [box.id for box in shared] == ["embedding@0", "embedding@1"]
    assert shared[0].calls == 2
    assert {edge.target for edge in picture.edges if edge.masked} == {"query_mean", "document_mean"}
    assert picture.outputs == [("score", "cosine", 0)]


def test_nested_models_are_groups_that_edges_lead_into() -> None:
    model = gan()
    picture = Picture.of(model)
    groups = [box.id for box in picture.boxes if box.group]
    assert groups == ["generator", "discriminator@0", "discriminator@1"]
    inner = subgraph(model.get_layer("discriminator"))
    assert inner is not None
    assert len(picture.children()["discriminator@1"]) == len(inner.nodes)
    entering = [(e.source, e.target) for e in picture.edges if e.target.endswith("/picture")]
    assert entering == [("generator/conv2d_transpose_1", "discriminator@0/picture"), ("real", "discriminator@1/picture")]
    closed = picture.folded(groups)
    flat = Picture.of(model, expand_nested=False)
    assert closed.boxes == flat.boxes
    assert closed.outputs == flat.outputs
    assert {e[:2] for e in closed.edges} == {e[:2] for e in flat.edges}
    assert json.loads(picture.to_json())["boxes"][2]["group"] is True


def test_a_model_that_begins_in_the_middle_has_a_box_for_what_goes_in() -> None:
    x = layers.Dense(3)(keras.Input((4,)))
    inner = keras.Model(x, layers.ReLU()(x))
    outer = keras.Input((3,))
    picture = Picture.of(keras.Model(outer, inner(outer)))
    assert [(box.id, box.kind) for box in picture.boxes][1:3] == [("functional", "Functional"), ("functional/dense", "Input")]
    assert len(Picture.of(inner).edges) == 1


def test_torch_modules_and_operators_are_named_by_what_they_are() -> None:
    from torch import nn

    x = keras.Input((8,))
    picture = Picture.of(keras.Model(x, nn.Linear(8, 4)(x) + 1))
    assert [(box.kind, box.role) for box in picture.boxes] == [("Input", "input"), ("Linear", "layer"), ("+", "function")]


def test_models_without_a_graph_show_their_layers() -> None:
    row = Picture.of(keras.Sequential([layers.Dense(3), layers.ReLU()]))
    assert [edge[:2] for edge in row.edges] == [("dense", "re_lu")]
    assert row.boxes[0].params is None
    assert row.ordered

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = layers.Dense(3), layers.Dense(4)

    own = Picture.of(Own())
    assert [box.name for box in own.boxes] == ["dense", "dense_1"]
    assert not own.edges
    assert not own.ordered


def test_models_nested_in_themselves_many_times_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST", 1000)
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(4)(x))
    for _ in range(40):  # 2 ** 40 calls of the innermost
        x = keras.Input((4,))
        model = keras.Model(x, model(model(x)))
    picture = Picture.of(model)
    assert len(picture.boxes) < 2000
    assert any(box.path.count("/") == 40 for box in picture.boxes)


def test_a_long_chain_is_walked_without_recursion() -> None:
    assert len(Picture.of(chain(5000)).edges) == 5000
