"""What differs between two models: layers matched by place, not by their numbers; words, rows, JSON, HTML, marks, a drawing."""

from __future__ import annotations

import json
import re

import known_models
import pytest

from anabranch import Input, Model, Sequential, edit, layers


def chain(*names: str | None, units: int = 4, last: int = 2) -> Model:
    x = y = Input((8,), name="x")
    for name in names:
        y = layers.Dense(units, activation="relu", name=name)(y)
    return Model(x, layers.Dense(last, name="head")(y))


def test_an_inserted_layer_renumbers_no_others() -> None:
    old, new = chain(None, None, None), chain(None, None, None, None)
    diff = old.diff(new)
    assert len(diff.of("added")) == 1
    assert {change.kind for change in diff.changes} <= {"added", "inputs", "weights"}
    back = new.diff(old)
    assert len(back.of("removed")) == 1
    assert not back.of("added")


def test_a_layer_inserted_into_resnet50() -> None:
    old = known_models.resnet50()
    new = old.edit(edit.insert_after("add_3", lambda x: layers.Dropout(0.1)(x)))
    diff = old.diff(Model.from_config(new.get_config()))
    assert [(change.path, change.kind) for change in diff.changes] == [("dropout", "added"), ("re_lu_12", "inputs")]


def test_a_rename_is_no_removal() -> None:
    (change,) = chain("a", "b").diff(chain("a", "c")).changes
    assert (change.path, change.kind, change.before, change.after) == ("c", "renamed", "b", "c")
    assert change.sentence() == "'c' was called 'b'."


def test_a_renamed_nested_model() -> None:
    def nested(name: str) -> Model:
        x = Input((8,), name="x")
        inner = Sequential([Input((8,), name="in"), layers.Dense(4, name="a"), layers.Dense(3, name="b")], name=name)
        return Model(x, layers.Dense(2, name="head")(inner(x)))

    (change,) = nested("body").diff(nested("trunk")).changes
    assert (change.path, change.kind) == ("trunk", "renamed")


def test_a_layer_moved_into_a_nested_model() -> None:
    x = Input((8,), name="x")
    inner = Sequential([Input((8,), name="in"), layers.Dense(4, name="a")], name="inner")
    diff = Model(x, layers.Dense(4, name="a")(x)).diff(Model(x, inner(x)))
    assert diff.of("moved") == ["inner/a"]
    assert "'inner/a' was 'a'." in diff.words()


def test_rows_words_json_and_html() -> None:
    diff = chain("a", units=4).diff(chain("a", "b", units=4, last=3))
    assert diff.text().splitlines()[-1] == "2 layers are the same."
    assert diff.words().splitlines() == [
        "'b' was added: Dense (None, 4) from a.",
        "'head' has units=3 instead of units=2.",
        "'head' gives (None, 3) instead of (None, 2).",
        "'head' takes b instead of a.",
        "'head' has weights kernel (4, 3), bias (3,) instead of kernel (4, 2), bias (2,).",
    ]
    data = json.loads(diff.to_json())
    assert data["changes"] == diff.records()
    assert diff.records()[0] == {
        "path": "b", "kind": "added", "before": "", "after": "Dense (None, 4) from a",
        "words": "'b' was added: Dense (None, 4) from a.",
    }  # fmt: skip
    html = diff._repr_html_()
    assert html.count("<tr>") == 6
    assert "2 layers are the same." in html


def test_marks_and_drawings() -> None:
    old, new = chain("a", "b"), chain("a", "c", units=5)
    diff = old.diff(new)
    assert diff.marks() == {"a": "changed", "c": "added", "head": "changed"}
    assert diff.marks(before=True) == {"a": "changed", "b": "removed", "head": "changed"}
    for before, names in ((False, {"a", "c", "head"}), (True, {"a", "b", "head"})):
        svg = diff.draw(before=before).svg
        framed = re.findall(r'<g class="[^"]*\b(added|removed|changed)"><title>([^<]*)', svg)
        assert len(framed) == len(names), framed


@pytest.mark.parametrize("name", ["toy_resnet", "mobilenet_v2", "gan", "transformer"])
def test_equal_architectures_do_not_differ(name: str) -> None:
    build = known_models.ALL[name]
    assert not build().diff(build())


def test_a_named_layer_before_an_equal_one_is_the_added_one() -> None:
    x = Input((4,))
    old = Model(x, layers.Activation("tanh")(x))
    new = Model(x, layers.Activation("tanh")(layers.Activation("tanh", name="inserted")(x)))
    assert old.diff(new).of("added") == ["inserted"]
    renamed = Model(x, layers.Activation("tanh", name="given")(x))
    assert [change.kind for change in old.diff(renamed).changes] == ["renamed"]
