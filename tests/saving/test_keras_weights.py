"""Weights in ``.weights.h5``, beside real Keras: what it writes is read here, what is written here it reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from both_libraries import MODELS, drawn, outputs, parts, scramble
from devices import tolerated
from test_every_layer import ORACLE, build, make, symbolic

import anabranch as ab
from anabranch import layers
from anabranch._errors import FileFormatError, MissingExtraError

BOTH = [pytest.param(*pair, id=name) for name, pair in MODELS.items()]


def tree(path: Path) -> dict[str, Any]:
    """Return the arrays of a file by path, with their types."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, thing: found.update({name: thing}) if not isinstance(thing, h5py.Dataset) else None)
        groups = {name: dict(group.attrs) for name, group in found.items()}
        file.visititems(lambda name, thing: found.update({name: thing}) if isinstance(thing, h5py.Dataset) else None)
        arrays = {n: (a.shape, a.dtype, dict(a.attrs)) for n, a in found.items() if isinstance(a, h5py.Dataset)}
    return {"groups": sorted(groups), "arrays": arrays}


def same(ours: Any, theirs: Any, x: Any) -> None:
    error = 1e-2 if any("bfloat16" in weight.dtype for weight in ours.weights) else tolerated(2e-5)
    for a, b in zip(outputs(ours, x), outputs(theirs, x), strict=True):
        assert np.abs(a - b).max(initial=0) <= error * max(1.0, np.abs(b).max(initial=0))


@pytest.mark.parametrize(("make_model", "shapes"), BOTH)
def test_both_ways(keras: Any, tmp_path: Path, make_model: Any, shapes: Any) -> None:
    ours, theirs = make_model(ab), make_model(keras)
    scramble(theirs)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    same(ours, theirs, drawn(shapes))
    scramble(ours, 1)
    ours.save_weights(tmp_path / "ours.weights.h5")
    assert tree(tmp_path / "ours.weights.h5") == tree(tmp_path / "theirs.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    same(ours, theirs, drawn(shapes))
    assert all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), _floats(theirs.get_weights()), strict=True))


def _floats(values: list[Any]) -> list[Any]:
    return [value.astype("float32") if value.dtype == "bfloat16" else value for value in values]


@pytest.mark.parametrize("kind", [0, 1], ids=["layer", "model"])
def test_layers_and_models_of_the_users_own(keras: Any, tmp_path: Path, kind: int) -> None:
    pair = []
    for library in (ab, keras):
        made = parts(library)[kind]()
        if kind == 0:
            x = library.Input((4,))
            made = library.Model(x, made(x))
        else:
            made(np.zeros((3, 4), "float32"))
        pair.append(made)
    ours, theirs = pair
    scramble(theirs)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    same(ours, theirs, drawn((4,)))
    scramble(ours, 1)
    ours.save_weights(tmp_path / "ours.weights.h5")
    assert tree(tmp_path / "ours.weights.h5") == tree(tmp_path / "theirs.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    same(ours, theirs, drawn((4,)))


@pytest.mark.parametrize("case", [each for each in ORACLE if build(each.values[0])[1].weights])
def test_every_layer_with_weights(keras: Any, tmp_path: Path, case: Any) -> None:
    layer, ours = build(case)
    other = case.keras_make() if case.keras_make else getattr(keras.layers, case.make)(**case.config)
    if case.prepare is not None:
        case.prepare(other)
    symbols = [keras.Input(shape[1:], dtype=case.dtype) for shape in case.inputs]
    theirs = keras.Model(symbols, case.call(other, symbols if case.as_list else symbols[0]))
    values = layer.get_weights()
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(values, other.get_weights(), strict=True))
    again = ab.Model(x := symbolic(case), case.call(make(case), x))
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    again.load_weights(tmp_path / "theirs.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(values, again.get_weights(), strict=True))


def test_what_is_frozen_keeps_its_place(keras: Any, tmp_path: Path) -> None:
    def made(library: Any) -> Any:
        x = library.Input((3,))
        return library.Model(x, library.layers.BatchNormalization()(x))

    ours, theirs = made(ab), made(keras)
    scramble(ours)
    ours.layers[1].gamma.trainable = False
    ours.save_weights(tmp_path / "w.weights.h5")
    theirs.load_weights(tmp_path / "w.weights.h5")
    assert np.array_equal(ours.layers[1].gamma.numpy(), theirs.layers[1].gamma.numpy())
    twin = made(ab)
    twin.load_weights(tmp_path / "w.weights.h5")
    assert np.array_equal(ours.layers[1].beta.numpy(), twin.layers[1].beta.numpy())


# What does not fit


def row(*units: int, bias: bool = True) -> Any:
    return ab.Sequential([ab.Input((4,)), *(layers.Dense(n, use_bias=bias) for n in units)])


def test_everything_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    row(4, 3, 5).save_weights(tmp_path / "w.weights.h5")
    model = row(4, 2)
    before = model.get_weights()
    with pytest.raises(FileFormatError) as error:
        model.load_weights(tmp_path / "w.weights.h5")
    for part in (
        "extra: layers/dense_2/vars/0 (3, 5), layers/dense_2/vars/1 (5,)",
        "other shape: layers/dense_1/vars/0 (dense_1/kernel): (4, 3) for (4, 2)",
        "layers/dense_1/vars/1 (dense_1/bias): (3,) for (2,)", "skip_mismatch=True",
    ):  # fmt: skip
        assert part in " ".join(str(error.value).split())
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("ending", [".weights.h5", ".safetensors"])
def test_what_fits_can_be_loaded_alone(tmp_path: Path, ending: str) -> None:
    saved = row(4, 3)
    saved.save_weights(tmp_path / f"w{ending}")
    model = row(4, 2)
    before = model.get_weights()
    with pytest.warns(UserWarning, match="2 of 4 were loaded"):
        model.load_weights(tmp_path / f"w{ending}", skip_mismatch=True)
    assert all(np.array_equal(a, b) for a, b in zip(saved.get_weights()[:2], model.get_weights()[:2], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(before[2:], model.get_weights()[2:], strict=True))


def test_arrays_that_only_count_are_loaded_as_a_layer_or_not_at_all(tmp_path: Path) -> None:
    """A normalization without scale has its shift where another has its scale."""

    def made(scale: bool) -> Any:
        x = ab.Input((3,))
        return ab.Model(x, layers.BatchNormalization(scale=scale)(x))

    made(False).save_weights(tmp_path / "w.weights.h5")
    model = made(True)
    scramble(model)
    before = model.get_weights()
    with pytest.warns(UserWarning, match="missing: layers/batch_normalization/vars/3"):
        model.load_weights(tmp_path / "w.weights.h5", skip_mismatch=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_h5py_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install anabranch\[hdf5\]"):
        row(2).save_weights(tmp_path / "w.weights.h5")
    row(2).save_weights(tmp_path / "w.safetensors")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "w.weights.h5").write_bytes(b"PK\3\4 nothing of the kind")
    with pytest.raises(FileFormatError, match="no HDF5 file"):
        row(2).load_weights(tmp_path / "w.weights.h5")


def nothing_changes(path: Path, match: str) -> None:
    model = row(2)
    before = model.get_weights()
    with pytest.raises(FileFormatError, match=match):
        model.load_weights(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def _external(file: Any, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.ones((4, 2), "float32")
    file["layers/dense/vars/0"] = h5py.ExternalLink("other.h5", "secret")


def _external_group(file: Any, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["vars/0"] = np.ones((4, 2), "float32")
    del file["layers/dense"]
    file["layers/dense"] = h5py.ExternalLink("other.h5", "/")


def _soft(file: Any, folder: Path) -> None:
    file["layers/dense/vars/0"] = h5py.SoftLink("/layers/dense/vars/1")


def _circle(file: Any, folder: Path) -> None:
    file["layers/dense/vars/0"] = file["layers"]


def _raw(file: Any, folder: Path) -> None:
    (folder / "raw").write_bytes(np.ones((4, 2), "float32").tobytes())
    file["layers/dense/vars"].create_dataset("0", (4, 2), "float32", external=[("raw", 0, 32)])


def _virtual(file: Any, folder: Path) -> None:
    layout = h5py.VirtualLayout((4, 2), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (4, 2))
    file["layers/dense/vars"].create_virtual_dataset("0", layout)


def _objects(file: Any, folder: Path) -> None:
    file["layers/dense/vars"].create_dataset("0", data=np.full((4, 2), "cos\nsystem", dtype=object), dtype=h5py.string_dtype())


def _huge(file: Any, folder: Path) -> None:
    file["layers/dense/vars"].create_dataset("0", (10**7, 10**6), "float32", chunks=(1000, 1000), compression="gzip")


def _null(file: Any, folder: Path) -> None:
    file["layers/dense/vars"]["0"] = h5py.Empty("float32")


HOSTILE = {
    _external: "a link, 'layers/dense/vars/0'", _external_group: "a link, 'layers/dense'", _soft: "a link",
    _circle: "is there twice",
    _raw: "in another file", _virtual: "in another file", _objects: "a type that no weight has",
    _huge: "declares far more than the file holds", _null: "is no array",
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "match"), HOSTILE.items(), ids=[each.__name__[1:] for each in HOSTILE])
def test_files_that_reach_out_or_lie_about_their_size(tmp_path: Path, spoil: Any, match: str) -> None:
    path = tmp_path / "w.weights.h5"
    row(2).save_weights(path)
    with h5py.File(path, "a") as file:
        del file["layers/dense/vars/0"]
        spoil(file, tmp_path)
    nothing_changes(path, match)


def test_a_shape_that_the_config_asks_for_too_is_not_allocated(tmp_path: Path) -> None:
    """A layer of 40 TB is a record; a file that declares it, and holds nothing of it, does not make it more."""
    x = ab.Input((10**7,))
    model = ab.Model(x, layers.Dense(10**6, use_bias=False)(x))
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (10**7, 10**6), "float32", chunks=(1000, 1000), compression="gzip")
    with pytest.raises(FileFormatError, match="declares far more"):
        model.load_weights(tmp_path / "w.weights.h5")


def test_files_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    row(8, 8).save_weights(path)
    data = path.read_bytes()
    for size in np.random.default_rng(0).integers(0, len(data), 100):
        path.write_bytes(data[:size])
        with pytest.raises(FileFormatError, match="damaged, cut short"):
            row(8, 8).load_weights(path)


def test_values_of_another_type_are_converted(tmp_path: Path) -> None:
    values: Mapping[str, Any] = {"0": np.arange(8.0).reshape(4, 2), "1": np.array([1, 2], "int16")}
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        for name, each in values.items():
            file[f"layers/dense/vars/{name}"] = each
    model = row(2)
    model.load_weights(tmp_path / "w.weights.h5")
    assert [w.tolist() for w in model.get_weights()] == [each.tolist() for each in values.values()]
