"""``KerasFileEditor`` beside Keras's own: the same tree, the same edits, files that both libraries read."""

from __future__ import annotations

import contextlib
import copy
import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import anabranch as ab
from anabranch import layers, saving
from anabranch._errors import ArgumentError, FileFormatError

Editor = saving.KerasFileEditor


def made(library: Any = ab, units: int = 2) -> Any:
    model = library.Sequential([library.layers.Input((4,)), library.layers.Dense(3, name="a"), library.layers.Dense(units)])
    model.compile("adam", "mse")
    model.fit(np.ones((2, 4)), np.ones((2, units)), verbose=0)
    return model


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    found = {}
    for key, value in tree.items():
        found.update(flat(value, f"{prefix}{key}/") if isinstance(value, dict) else {f"{prefix}{key}": np.asarray(value)})
    return found


def same(ours: Any, theirs: Any) -> None:
    a, b = flat(ours.weights_dict), flat(theirs.weights_dict)
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[path], b[path]) and a[path].dtype == b[path].dtype for path in a)


@contextlib.contextmanager
def quiet(keras: Any, path: Path) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        yield keras.saving.KerasFileEditor(str(path))


def edits() -> list[tuple[str, Any]]:
    return [
        ("rename_object", ("layers/dense_1", "dense_9")),
        ("rename_object", ("layers/dense", "first")),
        ("delete_object", ("optimizer",)),
        ("add_object", ("layers/more", {"0": np.ones((2, 3), "float32")})),
        ("add_weights", ("layers/more", {"1": np.zeros(3, "float16")})),
        ("delete_weight", ("layers/more", "0")),
    ]


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_edits_as_keras_does_them(keras: Any, tmp_path: Path, name: str) -> None:
    model = made(keras)
    (model.save if name.endswith("keras") else model.save_weights)(tmp_path / name)
    ours = Editor(tmp_path / name)
    with quiet(keras, tmp_path / name) as theirs:
        same(ours, theirs)
        assert {path: names for path, names in ours.object_metadata.items() if path} == theirs.object_metadata
        assert (ours.config, ours.metadata) == (theirs.config, theirs.metadata)
        for edit, arguments in edits():
            getattr(ours, edit)(*copy.deepcopy(arguments))
            getattr(theirs, edit)(*arguments)
            same(ours, theirs)
        theirs.save(str(tmp_path / "theirs.weights.h5"))
        ours.resave_weights(tmp_path / "ours.weights.h5")
    same(Editor(tmp_path / "theirs.weights.h5"), ours)
    with quiet(keras, tmp_path / "ours.weights.h5") as theirs:
        same(ours, theirs)


def test_a_name_serves_where_no_other_object_has_it(tmp_path: Path) -> None:
    made().save_weights(tmp_path / "m.weights.h5")
    editor = Editor(tmp_path / "m.weights.h5")
    editor.rename_object("dense", "first")
    assert "layers/first/0" in flat(editor.weights_dict)
    editor.add_object("first", {"0": [1.0]})
    with pytest.raises(ArgumentError, match="Several objects"):
        editor.delete_object("first")


def test_compare_as_keras_does(keras: Any, tmp_path: Path) -> None:
    made(keras).save_weights(tmp_path / "m.weights.h5")
    ours = Editor(tmp_path / "m.weights.h5")
    said: list[str] = []
    for units, plain in ((2, False), (5, False), (2, True)):
        models = [made(library, units) for library in (ab, keras)]
        if plain:
            models = [
                library.Sequential([library.layers.Input((4,)), *(library.layers.Dense(k) for k in (3, 2, 2))])
                for library in (ab, keras)
            ]
        found = ours.compare(models[0], print_fn=said.append)
        with quiet(keras, tmp_path / "m.weights.h5") as theirs:
            expected = theirs.compare(models[1])
        assert found["status"] == expected["status"]
        if units != 5:  # where Keras counts an optimizer's state of other shapes twice
            assert found["error_count"] == expected["error_count"]
    assert said[0] == "14 weights match, 0 differences"
    assert "/layers/dense_1/0: (3, 2) in the file, (3, 5) in the model" in said[1]
    assert "/layers/dense_2 is only in the model" in said[2]
    assert "/optimizer is only in the file" in said[2]


def test_what_was_edited_loads(keras: Any, tmp_path: Path) -> None:
    model = made()
    model.save(tmp_path / "m.keras")
    editor = Editor(tmp_path / "m.keras")
    editor.add_weights("layers/dense_1", {"1": np.full(2, 7, "float32")})
    editor.save(tmp_path / "edited.keras")
    again = ab.models.load_model(tmp_path / "edited.keras")
    assert again.get_weights()[3].tolist() == [7, 7]
    assert int(again.optimizer.iterations) == 1
    assert np.array_equal(keras.models.load_model(tmp_path / "edited.keras").get_weights()[0], model.get_weights()[0])
    assert ab.models.load_model(tmp_path / "m.keras").get_weights()[3].tolist() != [7, 7], (
        "the file that was opened is as it was"
    )


def test_objects_inside_objects_and_narrow_floats_stay(tmp_path: Path) -> None:
    """Keras's editor loses the layers of a nested model and the names of layers."""
    inner = ab.Sequential([layers.Input((4,)), layers.Dense(3, dtype="bfloat16")])
    model = ab.Sequential([layers.Input((4,)), inner, layers.Dense(2, name="head")])
    model.save_weights(tmp_path / "a.weights.h5")
    editor = Editor(tmp_path / "a.weights.h5")
    editor.save(tmp_path / "b.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5") as a, h5py.File(tmp_path / "b.weights.h5") as b:
        found: list[dict[str, Any]] = [{}, {}]
        for file, arrays in zip((a, b), found, strict=True):
            file.visititems(
                lambda name, thing, arrays=arrays: arrays.update(
                    {name: (thing[()].tobytes(), thing.dtype, dict(thing.attrs)) if isinstance(thing, h5py.Dataset) else 0}
                )
            )
        assert {k: v for k, v in found[0].items() if v} == {k: v for k, v in found[1].items() if v}
        assert b["layers/dense/vars"].attrs["name"] == "head"
    texts: list[str] = []
    editor.summary(print_fn=texts.append)
    assert texts[0].splitlines() == [
        "layers", "├─ dense ('head')", "│  ├─ 0: (3, 2) float32", "│  └─ 1: (2,) float32", f"└─ sequential ('{inner.name}')",
        "   └─ layers", "      └─ dense ('dense')", "         ├─ 0: (4, 3) bfloat16", "         └─ 1: (3,) bfloat16",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "arguments", "words"),
    [
        ("rename_object", ("layers/none", "x"), "layers/none"),
        ("rename_object", ("layers/dense", "a/b"), "last part"),
        ("rename_object", ("layers/dense", "dense_1"), "there already"),
        ("delete_object", ("none",), "none"),
        ("add_object", ("nowhere/x", {"0": [1.0]}), "nowhere"),
        ("add_object", ("layers/dense", {"0": [1.0]}), "there already"),
        ("add_object", ("layers/x", {"0": ["text"]}), "no array of numbers"),
        ("add_object", ("layers/x", {"a/b": [1.0]}), "without /"),
        ("add_weights", ("none", {"0": [1.0]}), "none"),
        ("delete_weight", ("layers/dense", "7"), "7"),
        ("save", ("x.h5",), "a name ending in"),
        ("save", ("x.keras",), "a name ending in"),
        ("add_object", (3, {}), "object_path"),
        ("add_weights", ("layers/dense", [1]), "weights"),
    ],
)
def test_mistakes_change_nothing(tmp_path: Path, edit: str, arguments: Any, words: str) -> None:
    made().save_weights(tmp_path / "m.weights.h5")
    editor = Editor(tmp_path / "m.weights.h5")
    before = flat(editor.weights_dict)
    with pytest.raises((ArgumentError, TypeError)) as error:
        getattr(editor, edit)(*arguments)
    assert words in str(error.value)
    assert flat(editor.weights_dict).keys() == before.keys()


def test_other_files_are_refused(tmp_path: Path) -> None:
    for name in ("m.keras", "m.weights.h5"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(FileFormatError):
            Editor(tmp_path / name)
    with pytest.raises(ArgumentError, match="opens files"):
        Editor(tmp_path / "m.h5")
    with pytest.raises(FileNotFoundError):
        Editor(tmp_path / "none.keras")
    with h5py.File(tmp_path / "l.weights.h5", "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/x")
    with pytest.raises(FileFormatError, match="link"):
        Editor(tmp_path / "l.weights.h5")
    with h5py.File(tmp_path / "big.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (1 << 21, 1 << 21), "float32", chunks=True)
    with pytest.raises(FileFormatError, match="declares far more"):
        Editor(tmp_path / "big.weights.h5")
