"""Weights in several files with an index: both ways with Keras, whole or not at all, nothing outside their folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import anabranch as ab
from anabranch import layers, saving
from anabranch._errors import ArgumentError, FileError, FileFormatError

KILOBYTE = 1 / (1 << 20)  # in GB


def nested(library: Any = ab, units: int = 30) -> Any:
    inner = library.Sequential([library.layers.Input((20,)), library.layers.Dense(40), library.layers.BatchNormalization()])
    x = library.Input((20,))
    return library.Model(x, library.layers.Dense(units)(inner(library.layers.Dense(20)(x))))


def filled(model: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    model.set_weights([rng.random(w.shape).astype("float32") for w in model.weights])
    return model


def equal(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize("name", ["w.weights.json", "w.safetensors.index.json"])
@pytest.mark.parametrize("size", [5, 6, 1000])
def test_round_trip(tmp_path: Path, name: str, size: int) -> None:
    first, second = filled(nested(), 0), filled(nested(), 1)
    first.save_weights(tmp_path / name, max_shard_size=size * KILOBYTE)
    shards = sorted(set(os.listdir(tmp_path)) - {name})
    assert (len(shards) > 1) is (size < 1000)
    index = json.loads((tmp_path / name).read_text())
    assert index["metadata"]["total_size"] == sum(4 * w.size for w in first.weights)
    second.load_weights(tmp_path / name)
    assert equal(first, second)
    if "safetensors" in name:
        assert shards[0] == f"w-00001-of-{len(shards):05}.safetensors"
        assert {key: shard for shard in shards for key in load_file(tmp_path / shard)} == index["weight_map"]


def test_both_ways_with_keras(keras: Any, tmp_path: Path) -> None:
    ours, theirs = nested(), filled(nested(keras), 0)
    for model in (ours, theirs):
        model.compile("adam", "mse")
        model.fit(np.ones((4, 20)), np.ones((4, 30)), verbose=0)
    theirs.save_weights(tmp_path / "theirs.weights.json", max_shard_size=5 * KILOBYTE)
    assert len(os.listdir(tmp_path)) > 3
    ours.load_weights(tmp_path / "theirs.weights.json")
    assert equal(ours, theirs)
    assert int(ours.optimizer.iterations) == 1
    filled(ours, 1).save_weights(tmp_path / "ours.weights.json", max_shard_size=5 * KILOBYTE)
    theirs.load_weights(tmp_path / "ours.weights.json")
    assert equal(ours, theirs)
    maps = [json.loads((tmp_path / f"{who}.weights.json").read_text())["weight_map"] for who in ("ours", "theirs")]
    assert maps[0] == {path: [name.replace("theirs", "ours") for name in names] for path, names in maps[1].items()}


def test_safetensors_of_other_tools(tmp_path: Path) -> None:
    """As Hugging Face's tools write them, without our number of the save, behind links to one folder as in their cache."""
    model = filled(nested(), 0)
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir(), snapshot.mkdir()
    arrays = {path: w.numpy() for path, w in saving.weights.weight_paths(model).items()}
    names = [f"model-0000{k}-of-00002.safetensors" for k in (1, 2)]
    places = {path: names[k % 2] for k, path in enumerate(arrays)}
    for name in names:
        save_file({path: arrays[path] for path in arrays if places[path] == name}, blobs / name.encode().hex())
        (snapshot / name).symlink_to(f"../blobs/{name.encode().hex()}")
    (blobs / "index").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (snapshot / "model.safetensors.index.json").symlink_to("../blobs/index")
    other = filled(nested(), 1)
    other.load_weights(snapshot / "model.safetensors.index.json")
    assert equal(model, other)


def test_a_name_of_one_file_becomes_that_of_the_index(tmp_path: Path) -> None:
    model = nested()
    for name, index in {"a.weights.h5": "a.weights.json", "a.safetensors": "a.safetensors.index.json"}.items():
        with pytest.warns(UserWarning, match="several files are written"):
            model.save_weights(tmp_path / name, max_shard_size=1)
        assert (tmp_path / index).exists()
        assert not (tmp_path / name).exists()
        with pytest.raises(ArgumentError, match="where their size is given"):
            model.save_weights(tmp_path / index)
    with pytest.raises(ArgumentError, match="is there already"):
        model.save_weights(tmp_path / "a.weights.json", overwrite=False, max_shard_size=1)


@pytest.mark.parametrize("size", [0, -1, float("nan"), "5GB", KILOBYTE])
def test_sizes_that_no_shard_can_have(tmp_path: Path, size: Any) -> None:
    with pytest.raises(ArgumentError if size != "5GB" else TypeError, match="max_shard_size"):
        nested().save_weights(tmp_path / "w.weights.json", max_shard_size=size)
    assert not os.listdir(tmp_path)


# Hostile and damaged ones


def saved(folder: Path, name: str) -> dict[str, Any]:
    filled(nested(), 0).save_weights(folder / name, max_shard_size=5 * KILOBYTE)
    index: dict[str, Any] = json.loads((folder / name).read_text())
    return index


NAMES = ["w.weights.json", "w.safetensors.index.json"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "target",
    ["../outside/x", "/etc/x", "a/../x", "..\\x", "c:x", "x\0", "", 3, None, ["x"], {"x": 1}, "linked", "pipe", "gone"],
)
def test_shards_elsewhere_are_not_opened(tmp_path: Path, name: str, target: Any) -> None:
    folder, outside = tmp_path / "here", tmp_path / "outside"
    folder.mkdir(), outside.mkdir()
    index = saved(folder, name)
    ending = ".weights.h5" if "h5" in str(index) else ".safetensors"
    first = next(each for each in sorted(os.listdir(folder)) if each.endswith(ending))
    (outside / f"x{ending}").write_bytes((folder / first).read_bytes())
    (folder / f"linked{ending}").symlink_to(outside / f"x{ending}")
    os.mkfifo(folder / f"pipe{ending}")
    target = f"{target}{ending}" if isinstance(target, str) and target else target
    index["weight_map"] = dict.fromkeys(index["weight_map"], target)
    (folder / name).write_text(json.dumps(index))
    with pytest.raises((FileFormatError, FileError)):
        nested().load_weights(folder / name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"weight_map": 1}', "[" * 100_000, '{"weight_map": {}}', '{"metadata": 1, "weight_map": {}}', "\xff"],
)
def test_damaged_indices(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(FileFormatError):
        nested().load_weights(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_shards_of_two_saves_are_not_mixed(tmp_path: Path, name: str) -> None:
    saved(tmp_path, name)
    first = next(each for each in sorted(os.listdir(tmp_path)) if each != name)
    before = (tmp_path / first).read_bytes()
    saved(tmp_path, name)
    (tmp_path / first).write_bytes(before)  # as if a process had ended between two renamings
    model = filled(nested(), 3)
    with pytest.raises(FileFormatError, match="not of the same save"):
        model.load_weights(tmp_path / name)
    assert equal(model, filled(nested(), 3))


@pytest.mark.parametrize("name", NAMES)
def test_an_array_in_two_shards_or_in_none(tmp_path: Path, name: str) -> None:
    index = saved(tmp_path, name)
    path = next(iter(index["weight_map"]))
    index["weight_map"].pop(path)
    (tmp_path / name).write_text(json.dumps(index))
    with pytest.raises(FileFormatError, match=r"does not say|missing"):
        nested().load_weights(tmp_path / name)


def test_ten_terabytes_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    header = {"dense/kernel": {"dtype": "F32", "shape": [1 << 21, 1 << 21], "data_offsets": [0, 1 << 44]}}
    text = json.dumps(header).encode()
    shard = len(text).to_bytes(8, "little") + text + b"\0" * 64
    (tmp_path / "w-00001-of-00001.safetensors").write_bytes(shard)
    index = {"weight_map": {"dense/kernel": "w-00001-of-00001.safetensors"}}
    (tmp_path / "w.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "w.safetensors").write_bytes(shard)
    with h5py.File(tmp_path / "w_00000.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (1 << 21, 1 << 21), "float32", chunks=True)
    index = {"weight_map": {"/layers/dense/vars": ["w_00000.weights.h5"]}}
    (tmp_path / "w.weights.json").write_text(json.dumps(index))
    x = ab.Input((1 << 21,))
    model = ab.Model(x, layers.Dense(1 << 21, use_bias=False, name="dense")(x))  # so that nothing but the size is wrong
    for name in (*NAMES, "w.safetensors", "w_00000.weights.h5"):
        with pytest.raises(FileFormatError, match=r"damaged|declares far more"):
            model.load_weights(tmp_path / name)


# Whole or not at all

SAVE_ON_AND_ON = """
import itertools, sys
import numpy as np
import anabranch as ab
from anabranch import layers
x = ab.Input((700,))
model = ab.Model(x, layers.Dense(700, name="a")(layers.Dense(700, name="b")(x)))
shapes = [w.shape for w in model.weights]
for number in itertools.count(1):
    model.set_weights([np.full(shape, number % 100, "float32") for shape in shapes])
    if ".json" in sys.argv[1]:
        model.save_weights(sys.argv[1], max_shard_size=2e6 / (1 << 30))
    elif ".keras" in sys.argv[1]:
        model.save(sys.argv[1])
    else:
        model.save_weights(sys.argv[1])
    print(number, flush=True)
"""


@pytest.mark.parametrize(
    "name",
    [NAMES[0], pytest.param(NAMES[1], marks=pytest.mark.slow), "w.keras", pytest.param("w.weights.h5", marks=pytest.mark.slow)],
)
def test_a_process_killed_while_it_writes_leaves_the_files_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    process = subprocess.Popen([sys.executable, "-c", SAVE_ON_AND_ON, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    caught = False
    end = time.monotonic() + 20
    while not caught and time.monotonic() < end:
        if any(each.endswith(".part") for each in os.listdir(tmp_path)):
            process.send_signal(signal.SIGSTOP)
            caught = any(each.endswith(".part") for each in os.listdir(tmp_path))
            if not caught:
                process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
    process.stdout.close()
    assert caught, "it was caught writing"
    x = ab.Input((700,))
    model = ab.Model(x, layers.Dense(700, name="a")(layers.Dense(700, name="b")(x)))
    try:
        model.load_weights(path)
    except FileFormatError as error:  # between two renamings, which several files cannot avoid
        if "json" in name and "not of the same save" in str(error):
            return
        raise
    assert len({float(value) for array in model.get_weights() for value in (array.min(), array.max())}) == 1


LIMITED = """
import os, resource, signal, sys
import anabranch as ab
from anabranch import layers
x = ab.Input((300,))
model = ab.Model(x, layers.Dense(300)(x))
model.get_weights(), __import__("h5py")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
elif os.geteuid() == 0:
    os.setuid(65534)  # root may write everywhere
for name in sys.argv[3:]:
    try:
        if "json" in name:
            model.save_weights(os.path.join(sys.argv[1], name), max_shard_size=400_000 / (1 << 30))
        else:
            (model.save if name.endswith("keras") else model.save_weights)(os.path.join(sys.argv[1], name))
        print("saved", name)
    except OSError as error:
        print("untouched" in str(error))
"""


@pytest.mark.parametrize("how", ["limit", "folder", "full"])
def test_a_full_disk_and_a_folder_that_may_not_be_written_to(how: str) -> None:
    names = [*NAMES, "w.keras", "w.weights.h5", "w.safetensors"]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        mounted = how == "full" and not subprocess.call(
            ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], stderr=subprocess.DEVNULL
        )
        if how == "full" and not mounted:
            pytest.skip("no file system can be mounted here")
        try:
            for name in names:
                (Path(folder) / name).write_bytes(b"before")
            os.chmod(folder, 0o555 if how == "folder" else 0o777)
            run = [sys.executable, "-c", LIMITED, folder, how, *names]
            done = subprocess.run(run, capture_output=True, text=True, check=True)
            assert done.stdout.split() == ["True"] * len(names)
            assert sorted(os.listdir(folder)) == sorted(names), "no part is left"
            assert all((Path(folder) / name).read_bytes() == b"before" for name in names)
        finally:
            os.chmod(folder, 0o755)
            if mounted:
                subprocess.check_call(["umount", folder])
