"""Layers that say themselves what files hold of them, and what else Keras's users expect of saving; beside real Keras."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import pytest
from both_libraries import MODELS, drawn, outputs
from every_layer import CASES, HELPERS

import anabranch as ab
from anabranch import layers, models
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, FileFormatError
from anabranch.layers.registry import _classes


def counting(k: Any) -> type:
    class Counting(k.layers.Layer):  # type: ignore[misc]
        """Saves a table that is no weight beside one that is, under names of its own."""

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.table = np.zeros(3, "float32")

        def build(self, shape: Any) -> None:
            self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

        def call(self, x: Any) -> Any:
            return x * self.gain

        def save_own_variables(self, store: Any) -> None:
            super().save_own_variables(store)
            store["table"] = self.table

        def load_own_variables(self, store: Any) -> None:
            self.table = np.array(store["table"])
            self.gain.assign(store["0"][()] if not isinstance(store, dict) else store["0"])

    return Counting


@pytest.mark.parametrize("ending", ["m.keras", "m.weights.h5"])
def test_layers_that_save_more_than_their_weights(keras: Any, tmp_path: Path, ending: str) -> None:
    def made(k: Any) -> Any:
        x = k.Input((4,))
        return k.Model(x, k.layers.Dense(2)(counting(k)()(x)))

    for first, second in ((ab, ab), (ab, keras), (keras, ab)):
        model = made(first)
        model.layers[1].table = np.arange(3.0).astype("float32")
        model.layers[1].gain.assign(np.full(4, 2.0, "float32"))
        path = tmp_path / ending
        if ending == "m.keras":
            model.save(path)
            again = second.models.load_model(path, custom_objects={"Counting": counting(second)})
        else:
            model.save_weights(path)
            again = made(second)
            again.load_weights(path)
        assert again.layers[1].table.tolist() == [0.0, 1.0, 2.0]
        x = drawn((4,))
        assert np.allclose(outputs(model, x)[0], outputs(again, x)[0], atol=1e-5)


def test_arrays_that_a_layer_does_not_find_are_an_error(tmp_path: Path) -> None:
    layer = layers.Dense(2)
    layer(ab.Input((4,)))
    with pytest.raises(ArgumentError, match=r"3 arrays of Dense .* which has 2 weights"):
        layer.load_own_variables({"0": 1, "1": 2, "2": 3})


# Every layer is written and read


def test_every_class_of_layers_is_compared_with_keras_both_ways_or_says_why_not() -> None:
    """``test_keras_files.test_every_layer`` runs over these rows: a new layer without a row fails here."""
    compared = {case.make for case in CASES if case.inputs and case.oracle}
    reasons = {case.make: case.reason for case in CASES if not (case.inputs and case.oracle)}
    names = {kind.__name__ for kind in _classes().values()}
    left = names - compared - set(HELPERS) - {name for name, reason in reasons.items() if reason}
    assert not left


# Places and names


def test_saving_through_a_link_writes_its_target(tmp_path: Path) -> None:
    model = MODELS["functional"][0](ab)
    (tmp_path / "real").mkdir()
    for name in ("m.keras", "w.weights.h5"):
        save = model.save if name == "m.keras" else model.save_weights
        save(tmp_path / "real" / name)
        (tmp_path / name).symlink_to(tmp_path / "real" / name)
        before = (tmp_path / "real" / name).stat().st_ino
        save(tmp_path / name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "real" / name).stat().st_ino != before
    assert models.load_model(tmp_path / "m.keras").count_params() == model.count_params()


class Place(os.PathLike[str]):
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __fspath__(self) -> str:
        return self.path


def test_names_of_files(tmp_path: Path) -> None:
    model = MODELS["functional"][0](ab)
    model.save(Place(tmp_path / "m.keras"))
    assert models.load_model(Place(tmp_path / "m.keras")).count_params() == model.count_params()
    with (tmp_path / "m.keras").open("rb") as file:
        for given in (b"m.keras", file, 3, None):
            for use in (model.save, models.load_model, model.save_weights, model.load_weights):
                with pytest.raises(ArgumentTypeError, match="must be a string or a path"):
                    use(given)
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "missing" / "m.keras")
    with pytest.raises(ArgumentError, match="is there already"):
        model.save(tmp_path / "m.keras", overwrite=False)


SCRIPT = """
import sys, zipfile, anabranch as ab
x = ab.Input((4,))
text = ab.Model(x, ab.layers.Dense(2)(x)).to_json()
again = ab.models.model_from_json(text)
assert again.count_params() == 10
with zipfile.ZipFile(sys.argv[1]) as file:
    ab.models.model_from_json(file.read("config.json").decode()).summary(print_fn=lambda *a, **k: None)
print([name for name in ("torch", "numpy", "h5py") if name in sys.modules])
"""


def test_reading_an_architecture_loads_no_engine(tmp_path: Path) -> None:
    MODELS["nested"][0](ab).save(tmp_path / "m.keras")
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "m.keras")], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.stdout.strip() == "[]", run.stderr


def test_a_custom_model_says_what_goes_in_and_what_compile_took(tmp_path: Path) -> None:
    model = ab.Sequential([layers.Dense(2)])
    model(np.ones((3, 4), "float32"))
    model.compile("sgd", "mse")
    twin = ab.Sequential.from_config(model.get_config())
    twin.build_from_config(model.get_build_config() or {"input_shape": [None, 4]})
    twin.compile_from_config(model.get_compile_config())
    assert (twin.count_params(), twin.optimizer.name, twin.loss) == (10, "sgd", "mse")
    with pytest.raises(AnabranchError):
        ab.Model.from_config({"layers": [], "input_layers": [["x", 0, 0]], "output_layers": [["x", 0, 0]]})


def test_files_of_other_names_inside_hdf5_are_listed(tmp_path: Path) -> None:
    model = MODELS["functional"][0](ab)
    model.save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "a") as file:
        file["layers/dense/vars/table"] = np.zeros(3)
    with pytest.raises(AnabranchError, match=r"extra: layers/dense/vars/table \(3,\)"):
        model.load_weights(tmp_path / "w.weights.h5")


def vocabulary(k: Any) -> type:
    class Vocabulary(k.layers.Layer):  # type: ignore[misc]
        """Keeps words in a file."""

        words: tuple[str, ...] = ()
        folders: ClassVar[list[Path]] = []

        def call(self, x: Any) -> Any:
            return x * 2

        def save_assets(self, folder: str) -> None:
            Path(folder, "lists").mkdir()
            Path(folder, "lists", "words.txt").write_text("\n".join(self.words))

        def load_assets(self, folder: str) -> None:
            self.folders.append(Path(folder))
            self.words = tuple(Path(folder, "lists", "words.txt").read_text().split("\n"))

    return Vocabulary


@pytest.mark.parametrize("order", ["ours", "to keras", "from keras"])
def test_files_of_layers(keras: Any, tmp_path: Path, order: str) -> None:
    first, second = {"ours": (ab, ab), "to keras": (ab, keras), "from keras": (keras, ab)}[order]
    made, kind = vocabulary(first), vocabulary(second)
    outer, inner = made(name="outer"), made(name="inner")
    outer.words, inner.words = ("a", "b"), ("ä",)
    x = first.Input((2,))
    nested = first.Sequential([first.Input((2,)), inner], name="nested")
    model = first.Model(x, nested(outer(x)))
    model.save(tmp_path / "m.keras")
    again = second.models.load_model(tmp_path / "m.keras", custom_objects={"Vocabulary": kind})
    assert again.get_layer("outer").words == ("a", "b")
    assert again.get_layer("nested").layers[-1].words == ("ä",)
    assert len(kind.folders) == 2
    assert not any(folder.exists() for folder in kind.folders), "removed"
    if order == "ours":
        with pytest.raises(FileFormatError, match="no layer here reads") as error:
            models.load_model(tmp_path / "m.keras", custom_objects={"Vocabulary": plain(ab)})
        assert "lists/words.txt" in str(error.value)


def plain(k: Any) -> type:
    class Vocabulary(k.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x * 2

    return Vocabulary


def test_a_link_among_files_is_refused(tmp_path: Path) -> None:
    class Linking(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

        def save_assets(self, folder: str) -> None:
            Path(folder, "passwd").symlink_to("/etc/passwd")

    with pytest.raises(ArgumentError, match="no file of its own"):
        ab.Sequential([ab.Input((2,)), Linking()]).save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())
