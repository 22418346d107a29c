"""Files that older versions of Keras wrote: equal outputs, and training goes on equally. ``fixtures/write.py`` wrote them."""

from __future__ import annotations

import io
import json
import runpy
import types
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from devices import tolerated

import anabranch as ab
from anabranch import layers, models
from anabranch._errors import ArgumentError, FileFormatError
from anabranch.saving import hdf5, legacy_config, legacy_h5

FIXTURES = Path(__file__).with_name("fixtures")
write = types.SimpleNamespace(**runpy.run_path(str(FIXTURES / "write.py")))
VERSIONS = [path.stem for path in sorted(FIXTURES.glob("*.zip"))]
KINDS = ("keras", "h5", "weights.h5")
OLDEST = ("keras-3.0.5", "tf_keras-2.21.0")


def test_seven_versions_of_eight_models_are_here() -> None:
    assert len(VERSIONS) == 7
    for version in VERSIONS:
        with zipfile.ZipFile(FIXTURES / f"{version}.zip") as archive:
            wanted = {f"{name}.{kind}" for name in write.MODELS for kind in (*KINDS, "npz")}
            lacks = {"nested.h5"} if version == "keras-3.0.5" else set()  # which Keras 3.0 cannot write
            assert set(archive.namelist()) == wanted - lacks


def put(version: str, member: str, folder: Path) -> Path:
    with zipfile.ZipFile(FIXTURES / f"{version}.zip") as archive:
        return Path(archive.extract(member, folder))


def _cases() -> list[Any]:
    found = []
    for version in VERSIONS:
        for name in write.MODELS:
            for kind in KINDS:
                if (version, name, kind) != ("keras-3.0.5", "nested", "h5"):
                    slow = name != "nested" and (version not in OLDEST or kind == "weights.h5")
                    found.append(
                        pytest.param(version, name, kind, id=f"{version}-{name}.{kind}", marks=[pytest.mark.slow] * slow)
                    )
    return found


def close(model: Any, xs: Any, wanted: Any, error: float) -> None:
    for a, b in zip(write.outputs(model, xs), wanted, strict=True):
        assert np.abs(a - b).max() <= tolerated(error) * max(1.0, np.abs(b).max())


@pytest.mark.parametrize(("version", "name", "kind"), _cases())
def test_what_an_older_version_wrote(tmp_path: Path, version: str, name: str, kind: str) -> None:
    with np.load(put(version, f"{name}.npz", tmp_path)) as arrays:
        xs, ys, wanted, after = (
            [arrays[f"{key}{i}"] for i in range(9) if f"{key}{i}" in arrays] for key in ("x", "y", "out", "after")
        )
    path = put(version, f"{name}.{kind}", tmp_path)
    if kind == "weights.h5":
        model = write.MODELS[name][0](ab)
        write.compiled(ab, name, model)
        model.load_weights(path)
    else:
        model = models.load_model(path)
    close(model, xs, wanted, 2e-5)
    assert int(model.optimizer.iterations) == 2
    write.trained(model, xs, ys, 3)
    close(model, xs, after, 2e-4)


@pytest.mark.parametrize("version", OLDEST)
def test_without_compiling(tmp_path: Path, version: str) -> None:
    assert models.load_model(put(version, "plain.h5", tmp_path), compile=False).optimizer is None


# Weights alone


def row(*units: int, names: str = "abc") -> Any:
    return ab.Sequential([ab.Input((4,)), *(layers.Dense(n, name=name) for n, name in zip(units, names, strict=False))])


def legacy(path: Path, arrays: dict[str, list[Any]]) -> None:
    """Write weights as Keras 2 did: ``save_weights("w.h5")``."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in arrays]
        for name, values in arrays.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/w{i}:0".encode() for i in range(len(values))]
            for i, each in enumerate(values):
                group[f"{name}/w{i}:0"] = each


def arrays_of(model: Any) -> dict[str, list[Any]]:
    return {layer.name: layer.get_weights() for layer in model.layers}


@pytest.mark.parametrize("name", ["w.h5", "w.hdf5", "w.weights.h5"])
def test_weights_by_order_and_by_name(tmp_path: Path, name: str) -> None:
    saved = row(4, 4, 2)
    legacy(tmp_path / name, arrays_of(saved))
    other = row(4, 4, 2, names="cba")
    other.load_weights(tmp_path / name)
    assert all(np.array_equal(a, b) for a, b in zip(saved.get_weights(), other.get_weights(), strict=True))
    part = row(4, 3, names="bx")
    before = part.layers[1].get_weights()
    part.load_weights(tmp_path / name, by_name=True)
    assert np.array_equal(part.layers[0].get_weights()[0], saved.layers[1].get_weights()[0])
    assert np.array_equal(part.layers[1].get_weights()[0], before[0])


def test_weights_that_do_not_fit_are_listed_and_nothing_changes(tmp_path: Path) -> None:
    legacy(tmp_path / "w.h5", arrays_of(row(4, 4)))
    model = row(4, 3)
    before = model.get_weights()
    with pytest.raises(FileFormatError, match=r"b/b/w0:0 \(b/kernel\): \(4, 4\) for \(4, 3\)"):
        model.load_weights(tmp_path / "w.h5")
    with pytest.raises(FileFormatError, match=r"weights of 2 layers, and model .* has 3 layers with weights"):
        row(4, 4, 4).load_weights(tmp_path / "w.h5")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.warns(UserWarning, match="2 of 4 were loaded"):
        model.load_weights(tmp_path / "w.h5", skip_mismatch=True)


def test_by_name_is_for_files_that_name_layers(tmp_path: Path) -> None:
    model = row(2)
    model.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ArgumentError, match="by_name=True is for"):
        model.load_weights(tmp_path / "w.weights.h5", by_name=True)


# What is refused


def test_a_file_of_weights_is_no_model(tmp_path: Path) -> None:
    legacy(tmp_path / "w.h5", arrays_of(row(2)))
    row(2).save_weights(tmp_path / "v.weights.h5")
    for name in ("w.h5", "v.weights.h5"):
        with pytest.raises(FileFormatError, match="holds weights, and no model"):
            models.load_model(tmp_path / name)


def test_models_are_not_written_so(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"saved in a \.keras file"):
        row(2).save(tmp_path / "m.h5")


def spoiled(tmp_path: Path, change: Any) -> Path:
    path = put("tf_keras-2.21.0", "plain.h5", tmp_path)
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        change(config, file)
        file.attrs["model_config"] = json.dumps(config)
    return path


def test_bytecode_and_unknown_classes(tmp_path: Path) -> None:
    def lambdas(config: Any, file: Any) -> None:
        config["config"]["layers"][1].update(
            class_name="Lambda", config={"name": "l", "dtype": "float32", "function": ["4wEA", None, None]}
        )

    with pytest.raises(ArgumentError, match="a lambda as bytecode, which is never run"):
        models.load_model(spoiled(tmp_path, lambdas))

    def other(config: Any, file: Any) -> None:
        config["config"]["layers"][1]["class_name"] = "mine>Unheard"

    with pytest.raises(ArgumentError, match="Unheard"):
        models.load_model(spoiled(tmp_path, other))


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"class_name": "Functional"}', '{"class_name": "Dense", "config": {}}', "[" * 100_000]
)
def test_configs_that_describe_nothing(tmp_path: Path, text: str) -> None:
    path = put("tf_keras-2.21.0", "plain.h5", tmp_path)
    with h5py.File(path, "a") as file:
        del file.attrs["model_config"]
        file.attrs.create("model_config", text)
    with pytest.raises((FileFormatError, ArgumentError)):
        models.load_model(path)


def test_one_array_for_two_weights(tmp_path: Path) -> None:
    legacy(tmp_path / "w.h5", arrays_of(row(4, 4)))
    with h5py.File(tmp_path / "w.h5", "a") as file:
        file["a"].attrs["weight_names"] = [b"a/w0:0", b"a/w0:0"]
    with pytest.raises(FileFormatError, match="one array for two weights"):
        row(4, 4).load_weights(tmp_path / "w.h5")


def test_names_that_lead_elsewhere_are_missing_arrays(tmp_path: Path) -> None:
    legacy(tmp_path / "w.h5", arrays_of(row(4)))
    with h5py.File(tmp_path / "w.h5", "a") as file:
        file["a"].attrs["weight_names"] = [b"../../etc/passwd", b"a/w1:0"]
    with pytest.raises(FileFormatError, match="missing"):
        row(4).load_weights(tmp_path / "w.h5")


def test_a_list_of_one_long_name_many_times_is_not_read() -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=True, libver="latest") as file:
        file.attrs.create("layer_names", ["x" * 500_000] * 4_000, dtype=h5py.string_dtype())
    data = buffer.getvalue()
    assert hdf5._longest_text(data)[0] >= 500_000
    lying = data[: data.find(b"GCOL") + 600_000]  # the heaps but the first are cut off, as if all names were in it
    with pytest.raises(FileFormatError):
        hdf5.contents(lying, "w.h5", ("layer_names",))


def test_files_cut_short(tmp_path: Path) -> None:
    path = put("tf_keras-2.21.0", "plain.h5", tmp_path)
    data = path.read_bytes()
    for size in np.random.default_rng(0).integers(0, len(data) - 1, 40):
        path.write_bytes(data[:size])
        with pytest.raises(FileFormatError, match="damaged, cut short"):
            models.load_model(path)


# Configs


def test_other_arguments_of_a_call_and_dicts() -> None:
    config = {
        "class_name": "Functional",
        "config": {
            "name": "m", "trainable": True,
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 3], "dtype": "float32", "name": "q"},
                 "name": "q", "inbound_nodes": []},
                {"class_name": "Dot", "config": {"name": "d", "dtype": {"class_name": "Policy", "config": {"name": "float32"}},
                 "axes": 1}, "name": "d", "inbound_nodes": [[["q", 0, 0, {"training": False}], ["q", 0, 0, {}]]]},
            ],
            "input_layers": [["q", 0, 0]], "output_layers": {"d": ["d", 0, 0]},
        },
    }  # fmt: skip
    modern = legacy_config.modernized(config)
    assert legacy_config.modernized(modern) is modern
    assert modern["config"]["layers"][1]["inbound_nodes"][0]["kwargs"] == {"training": False}
    assert modern["config"]["layers"][1]["config"]["dtype"] == "float32"
    model = models.model_from_json(json.dumps(config))
    x = np.ones((2, 3), "float32")
    assert model(x)["d"].tolist() == [[3.0], [3.0]]


def test_a_function_that_means_another_now_is_said() -> None:
    entry = {
        "class_name": "Activation",
        "config": {"dtype": "float32", "activation": "hard_sigmoid", "batch_input_shape": [None, 4]},
    }
    with pytest.warns(UserWarning, match="hard_sigmoid was clip"):
        models.model_from_json(json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [entry]}}))


def test_a_decay_that_is_gone_is_said() -> None:
    optimizer = {"class_name": "SGD", "config": {"lr": 0.5, "decay": 0.1}}
    with pytest.raises(ArgumentError, match="decay of an optimizer"):
        legacy_config.modern_compile({"loss": "mse", "optimizer_config": optimizer})
    optimizer["config"]["decay"] = 0.0
    assert legacy_config.modern_compile({"optimizer_config": optimizer})["optimizer"]["config"] == {"learning_rate": 0.5}


def test_optimizers_before_2_11_begin_anew(tmp_path: Path) -> None:
    found = legacy_h5.read(put("tf_keras-2.21.0", "plain.h5", tmp_path).read_bytes(), "plain.h5")
    assert found is not None
    assert len(legacy_h5.optimizer_state(found, "plain.h5")) == len(found.optimizer)
    older = found._replace(optimizer=["optimizer_weights/Adam/iter:0", *found.optimizer])
    with pytest.warns(UserWarning, match="plain.h5 is of Keras before 2.11.*begins anew"):
        assert legacy_h5.optimizer_state(older, "plain.h5") == {}
