"""``.keras`` files that are damaged, or made to run code, to reach out, or to fill the memory: each is a clean error."""

from __future__ import annotations

import io
import json
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers, models
from anabranch._errors import AnabranchError, ArgumentError, FileFormatError


def saved(path: Path) -> dict[str, bytes]:
    ab.Sequential([ab.Input((4,)), layers.Dense(3)]).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def put(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def with_layer(path: Path, entry: dict[str, Any]) -> None:
    members = saved(path)
    config = json.loads(members["config.json"])
    config["config"]["layers"][1] = entry
    put(path, members | {"config.json": json.dumps(config).encode()})


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def lambda_of(inner: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"name": "l", "function": inner},
        "registered_name": None,
    }


CODE = {
    "a function to import": lambda_of(function("os", "system")),
    "bytecode": lambda_of({"class_name": "__lambda__", "config": {"value": "4wEAAAA=", "defaults": None, "closure": None}}),
    "keras.utils.get_file": lambda_of(function("keras.utils", "get_file")),
    "torch.load": lambda_of(function("torch", "load")),
    "builtins.eval": lambda_of(function("builtins", "eval")),
    "a class of another module": {
        "module": "subprocess", "class_name": "Popen", "config": {"args": "false"}, "registered_name": None
    },
    "a pickled module": {
        "module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"module": "gASV"}, "registered_name": None
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CODE)
def test_nothing_named_in_a_file_is_run_or_imported(tmp_path: Path, name: str) -> None:
    with_layer(tmp_path / "m.keras", CODE[name])
    with pytest.raises(AnabranchError) as error:
        models.load_model(tmp_path / "m.keras")
    if name == "bytecode":
        assert "a lambda as bytecode, which is never run" in str(error.value)


@pytest.mark.parametrize("name", [
    "../../etc/evil", "/etc/evil", "assets/../../evil", "a\\..\\b", "extra.py", "assets//evil", "assets/./evil",
    "assets/a\\..\\..\\evil",
    "assets/C:evil", "assets/.. /evil", "assets/\nevil", "assets/" + "a/" * 40 + "b", "assets/" + "a" * 600, "assets",
])  # fmt: skip
def test_members_that_are_not_known(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.keras"
    put(path, saved(path) | {name: b"x"})
    with pytest.raises(FileFormatError, match="members that no model has"):
        models.load_model(path)
    assert [each.name for each in tmp_path.iterdir()] == ["m.keras"]


def test_files_of_layers_that_the_model_lacks(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    put(path, saved(path) | {"assets/layers/lookup/vocabulary.txt": b"a"})
    with pytest.raises(FileFormatError, match="files of layers beside their weights"):
        models.load_model(path)


@pytest.mark.parametrize("many", [5000, 200])
def test_many_files_that_unpack_to_more_than_a_disk(tmp_path: Path, many: int) -> None:
    path = tmp_path / "m.keras"
    members, size = saved(path), 1 if many > 1000 else 60 << 20
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        for number in range(many):
            archive.writestr(f"assets/{number}", b"")
        for info in archive.filelist[len(members) :]:
            info.file_size = size  # declared, which is all that is looked at
    with pytest.raises(FileFormatError, match="far more than it holds"):
        models.load_model(path)


def test_a_member_twice(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    saved(path)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("config.json", b"{}")
    with pytest.raises(FileFormatError, match="a member twice"):
        models.load_model(path)


def test_a_link_as_a_member(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    members = saved(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            if name == "config.json":
                info.external_attr, data = (stat.S_IFLNK | 0o777) << 16, b"/etc/passwd"
            archive.writestr(info, data)
    with pytest.raises(FileFormatError, match="is no file"):
        models.load_model(path)


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_a_zip_bomb(tmp_path: Path, member: str) -> None:
    path = tmp_path / "m.keras"
    put(path, saved(path) | {member: b" " * (1 << 27)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(FileFormatError, match="unpacks to far more than the file holds"):
        models.load_model(path)


def test_a_config_that_asks_for_much_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    members = saved(path)
    put(path, members | {"config.json": members["config.json"].replace(b'"units": 3', b'"units": 3000000000000')})
    with pytest.raises(FileFormatError, match="other shape"):
        models.load_model(path)


@pytest.mark.parametrize(
    "config",
    [b"", b"[", b"[]", b"3", b"{}", b"\xff", b'{"a":' * 100_000,
     b'{"class_name": "Sequential", "module": "keras", "config": 3}',
     b'{"class_name": "Dense", "module": "keras.layers", "config": {"units": 2}}', b'{"class_name": [], "config": {}}',
     b'{"class_name": "Sequential", "module": "keras", "config": {"layers": [null]}}'],
)  # fmt: skip
def test_configs_that_describe_no_model(tmp_path: Path, config: bytes) -> None:
    path = tmp_path / "m.keras"
    put(path, saved(path) | {"config.json": config})
    with pytest.raises(AnabranchError):
        models.load_model(path)


def test_files_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    saved(path)
    data = path.read_bytes()
    for size in np.random.default_rng(0).integers(0, len(data), 100):
        path.write_bytes(data[:size])
        with pytest.raises(FileFormatError, match=r"cut short|it is no zip"):
            models.load_model(path)


def test_newer_files_say_which_release_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    members = saved(path)
    put(path, members | {"metadata.json": b'{"keras_version": "3.15.1", "anabranch": {"format": 2, "version": "9.0"}}'})
    with pytest.raises(FileFormatError, match=r"pip install 'anabranch>=9\.0'"):
        models.load_model(path)
    put(path, members | {"metadata.json": b'{"keras_version": "4.0"}'})
    with pytest.raises(FileFormatError, match=r"written by Keras 4\.0"):
        models.load_model(path)


def test_a_full_disk_and_a_link(tmp_path: Path) -> None:
    model = ab.Sequential([ab.Input((4,)), layers.Dense(3)])
    with pytest.raises(OSError, match="ould not write"):
        model.save_weights(_linked(tmp_path / "full.safetensors", Path("/dev/full")))
    target, link = tmp_path / "target.keras", tmp_path / "link.keras"
    target.write_bytes(b"before")
    link.symlink_to(target)
    model.save(link)
    assert link.is_symlink()
    assert zipfile.is_zipfile(io.BytesIO(target.read_bytes()))


def _linked(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


def test_a_missing_class_is_named(tmp_path: Path) -> None:
    with_layer(tmp_path / "m.keras", {"module": "their.blocks", "class_name": "Gate", "config": {}, "registered_name": "Gate"})
    with pytest.raises(ArgumentError, match=r"their\.blocks"):
        models.load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("member", ["config.json", "metadata.json"])
def test_arguments_of_compile_that_are_none(tmp_path: Path, member: str) -> None:
    path = tmp_path / "m.keras"
    model = ab.Sequential([ab.Input((4,)), layers.Dense(3)])
    model.compile("sgd", "mse")
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(members[member])
    if member == "config.json":
        data["compile_config"] = [1]
    else:
        data["anabranch"]["compile"] = [1]
    put(path, members | {member: json.dumps(data).encode()})
    with pytest.raises(FileFormatError, match="What compile took, in"):
        models.load_model(path)
