"""``anabranch inspect`` and ``convert``: what a file holds, and its weights in another format, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import anabranch as ab
from anabranch import cli, layers
from anabranch._errors import AnabranchError
from anabranch.saving import contents


@ab.saving.register_keras_serializable("mine")
class Gate(layers.Layer):
    def call(self, x: Any) -> Any:
        return x


def made(gate: bool = False) -> Any:
    inner = ab.Sequential([layers.Input((4,)), layers.Dense(3)], name="inner")
    x = ab.Input((4,), name="given")
    y = layers.Concatenate(name="both")([inner(x), x])
    model = ab.Model(x, Gate()(y) if gate else layers.Dense(2)(y))
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((4, 4)), np.ones((4, 7 if gate else 2)), verbose=0)
    return model


def run(*arguments: str) -> int:
    return cli.main(list(arguments))


def test_inspect_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(gate=True).save(tmp_path / "m.keras")
    assert run("inspect", str(tmp_path / "m.keras")) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        f"anabranch {ab.__version__}, format 1", "compiled optimizer Adam, loss mse, metrics mae", "custom mine>Gate",
        "inner Sequential given", "dense Dense", "both Concatenate inner, given", "gate Gate both",
        "layers/sequential/layers/dense/vars/0 (4, 3) float32 48", "optimizer/vars/0 () int64 8",
    ):  # fmt: skip
        assert line in lines
    assert lines[-1].startswith("8 arrays, ")


def test_inspect_what_keras_wrote(keras: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.layers.Dense(2, name="head")(keras.Sequential([keras.layers.Dense(3)], name="body")(x)))
    model.compile("sgd", "mse")
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        assert run("inspect", str(tmp_path / name)) == 0
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        assert "head Dense body" in lines
        assert "compiled optimizer SGD, loss mse" in lines


@pytest.mark.parametrize("name", ["w.weights.h5", "w.safetensors", "w.weights.json", "w.safetensors.index.json"])
def test_inspect_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    made().save_weights(tmp_path / name, **({"max_shard_size": 1e-7} if "json" in name else {}))
    assert run("inspect", str(tmp_path / name)) == 0
    found = capsys.readouterr().out
    assert ("inner/dense/kernel" if "safetensors" in name else "layers/sequential/layers/dense/vars/0") in found
    assert "float32     48" in found


ROUTES = ["m.weights.h5", "m.safetensors", "m.weights.json", "m.safetensors.index.json", "n.keras"]


@pytest.mark.parametrize("first", ROUTES)
@pytest.mark.parametrize("second", ROUTES)
def test_convert_there_and_on(tmp_path: Path, first: str, second: str) -> None:
    model = made()
    model.save(tmp_path / "m.keras")
    source = "m.keras"
    for target in (first, f"on-{second}"):
        size = ["--max-shard-size", "1e-7"] if "json" in target else []
        assert run("convert", str(tmp_path / source), str(tmp_path / target), "--model", str(tmp_path / "m.keras"), *size) == 0
        source = target
    other = made()
    other.load_weights(tmp_path / source)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
    if second == "n.keras":
        again = ab.models.load_model(tmp_path / source)
        assert np.array_equal(again.predict(np.ones((2, 4)), verbose=0), model.predict(np.ones((2, 4)), verbose=0))


def test_convert_weights_alone_keeps_keras_paths(tmp_path: Path) -> None:
    model, other = made(), made()
    model.save_weights(tmp_path / "a.weights.h5")
    for source, target in (("a.weights.h5", "b.safetensors"), ("b.safetensors", "c.weights.h5")):
        assert run("convert", str(tmp_path / source), str(tmp_path / target)) == 0
        other = made()
        other.load_weights(tmp_path / target)
        assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
        assert int(other.optimizer.iterations) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.keras", "w.safetensors"], "Could not read"),
        (["own.safetensors", "w.weights.h5"], "--model FILE.keras"),
        (["w.weights.h5", "w.keras"], "which weights do not describe"),
        (["m.keras", "w.npz"], "says how they are saved"),
        (["other.safetensors", "w.weights.h5", "--model", "m.keras"], "are not those of the model"),
        (["m.keras", "n.keras", "--max-shard-size", "1"], "one file"),
        (["bad.keras", "w.safetensors"], "is no .keras file"),
    ],
)
def test_errors_are_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model = made()
    model.save("m.keras")
    model.save_weights("own.safetensors")
    model.save_weights("w.weights.h5")
    x = ab.Input((2,))
    ab.Model(x, layers.Dense(1)(x)).save_weights("other.safetensors")
    Path("bad.keras").write_bytes(b"nothing")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run("convert", *arguments) == 1
    assert words in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_neither_needs_torch(tmp_path: Path) -> None:
    made().save(tmp_path / "m.keras")
    code = (
        "import sys; from anabranch import cli; "
        "done = [cli.main(['inspect', 'm.keras']), cli.main(['convert', 'm.keras', 'w.safetensors']), "
        "cli.main(['convert', 'w.safetensors', 'w.weights.h5', '--model', 'm.keras'])]; "
        "assert done == [0, 0, 0], done; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)


# Hostile files


def spoiled(path: Path, change: Any) -> Path:
    made().save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    members["config.json"] = json.dumps(change(config) or config).encode() if callable(change) else change
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    "config", [b"[" * 200_000, b"{}", b"[]", b"null", b"\xff", b'{"config": {"layers": 3}}', b'{"config": [[[1]]]}']
)
def test_configs_of_any_form_are_shown_or_refused(tmp_path: Path, config: bytes) -> None:
    path = spoiled(tmp_path / "m.keras", config)
    try:
        text = contents.described(path)
    except AnabranchError as error:
        assert str(tmp_path) in str(error)  # noqa: PT017 - either is right
    else:
        assert " arrays, " in text


def test_texts_of_a_file_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    def change(config: Any) -> None:
        config["config"]["layers"][0]["name"] = "\033[2J\r\n" + "a" * 10_000
        config["config"]["layers"][1]["registered_name"] = "\033]0;evil\a"

    text = contents.described(spoiled(tmp_path / "m.keras", change))
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert max(map(len, text.splitlines())) < 300
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["layers/\033[2J/vars/0"] = np.zeros(2)
    assert "\033" not in contents.described(tmp_path / "w.weights.h5")


def test_nothing_of_a_file_is_run_or_allocated(tmp_path: Path) -> None:
    def change(config: Any) -> None:
        config["config"]["layers"][1] = {
            "module": "os",
            "class_name": "system",
            "config": {"name": "x"},
            "registered_name": "os>system",
        }

    path = spoiled(tmp_path / "m.keras", change)
    assert "os>system" in contents.described(path)
    assert run("convert", str(path), str(tmp_path / "w.safetensors")) == 1
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (1 << 21, 1 << 21), "float32", chunks=True)
    for arguments in (["inspect", "w.weights.h5"], ["convert", "w.weights.h5", "w.safetensors"]):
        assert run(arguments[0], *(str(tmp_path / name) for name in arguments[1:])) == 1


def test_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "m.keras"
    ab.Sequential([ab.Input((4,)), *(ab.layers.Dense(4) for _ in range(300))]).save(file)
    command = f"{sys.executable} -m anabranch inspect {file} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stderr == ""
