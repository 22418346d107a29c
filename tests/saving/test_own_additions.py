"""What we add to Keras's files: torch's functions by name, the lines of the author's code. Keras reads the rest as before."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from both_libraries import MODELS, drawn

import anabranch as ab
from anabranch import layers, models
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError
from anabranch.runtime import torch_names

FUNCTIONS = {
    "torch.relu": torch.relu,
    "Tensor.relu": lambda x: x.relu(),
    "a dtype": lambda x: x.sum(dim=1, dtype=torch.float64),
    "F.gelu": F.gelu,
    "F.max_pool2d": lambda x: F.max_pool2d(x, 2),
    "F.pad": lambda x: F.pad(x, (1, 1)),
    "F.normalize": F.normalize,
    "F.interpolate": lambda x: F.interpolate(x, scale_factor=2.0),
    "F.softmax": lambda x: F.softmax(x, dim=-1),
    "a list": lambda x: torch.cat([x, torch.stack([x, x.sigmoid()]).mean(0)], 1),
    "one of two": lambda x: x.chunk(2, 1)[1],
    "named results": lambda x: torch.max(x, dim=1).indices.float(),
    "a constant": lambda x: torch.add(x, torch.arange(8.0)),
    "linalg": lambda x: torch.linalg.norm(x, dim=1),
    "special": lambda x: torch.special.erf(x),
    "einsum": lambda x: torch.einsum("bchw->bc", x),
    "a view": lambda x: x.view(-1, 256),
    "a cast": lambda x: x.to(torch.float16),
    "with operators": lambda x: torch.where(x > 0.5, x, 0.0) * x.clamp(min=0.3),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_torch_come_back(tmp_path: Path, name: str) -> None:
    x = ab.Input((4, 8, 8))
    model = ab.Model(x, FUNCTIONS[name](x))
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    assert again.to_json() == model.to_json()
    given = drawn((4, 8, 8))
    a, b = model(given), again(given)
    assert a.dtype == b.dtype
    assert torch.equal(a, b)


def test_keras_refuses_them_with_an_error_of_its_own(keras: Any, tmp_path: Path) -> None:
    x = ab.Input((4,))
    ab.Model(x, torch.relu(layers.Dense(2)(x))).save(tmp_path / "m.keras")
    with pytest.raises(TypeError, match=r"torch\.relu"):
        keras.models.load_model(tmp_path / "m.keras")


def test_the_table_has_no_function_that_reaches_out_or_writes() -> None:
    names = torch_names._functions()
    assert len(names) > 800
    assert {"torch.relu", "torch.nn.functional.gelu", "torch.Tensor.sum", "torch.linalg.norm", "torch.fft.rfft"} <= set(names)
    last = {name.rpartition(".")[2] for name in names}
    assert not any(name.startswith("_") or name.endswith("_") for name in last)
    forbidden = {
        "load", "save", "from_file", "compile", "apply", "map", "numpy", "tolist", "item", "storage", "untyped_storage", "hub",
        "data_ptr", "register_hook", "backward", "set", "resize", "copy", "share_memory", "module_load", "eval", "ops", "cuda",
        "fbgemm_linear_int8_weight", "empty_like", "record_stream", "zeros", "randn", "as_tensor", "get_device", "library",
    }  # fmt: skip
    assert not forbidden & last


def changed(path: Path, change: Any) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(next(each for each in config["config"]["layers"] if each["module"] == "anabranch.torch"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (members | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    "name", ["torch.load", "torch.hub.load", "os.system", "torch.Tensor.apply_", "torch.Tensor.__class__", "torch.ops"]
)  # fmt: skip
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    x = ab.Input((4,))
    ab.Model(x, torch.relu(x)).save(tmp_path / "m.keras")
    changed(tmp_path / "m.keras", lambda entry: entry.update(class_name=name))
    with pytest.raises(ArgumentError, match="is not one that files may name here"):
        models.load_model(tmp_path / "m.keras")


CALLS: list[Any] = [
    {"args": [10**12], "kwargs": {}}, {"args": [], "kwargs": {"out": 1}}, {"args": [[[[["x"]]]]], "kwargs": {}}, {"args": "x"}
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_calls_without_tensors_of_the_model_are_refused(tmp_path: Path, call: Any) -> None:
    x = ab.Input((4,))
    ab.Model(x, torch.relu(x)).save(tmp_path / "m.keras")
    changed(tmp_path / "m.keras", lambda entry: entry.update(inbound_nodes=[call]))
    with pytest.raises(AnabranchError):
        models.load_model(tmp_path / "m.keras")


def test_a_function_of_the_users_own_says_what_to_do() -> None:
    x = ab.Input((4,))
    model = ab.Model(x, torch.relu(torch.nn.Parameter(torch.ones(4)) * x))
    with pytest.raises(ArgumentTypeError, match=r"test_own_additions\.py"):
        model.to_json()


# Lines


def sites(model: Any) -> dict[str, Any]:
    graph = model.graph
    called = {operation: [str(node.site) for node in graph.calls_of(operation)] for operation in graph.names}
    return {name: (str(operation._made_at_), called[operation]) for operation, name in graph.names.items()}


@pytest.mark.parametrize("name", ["functional", "sequential", "shared", "functions"])
def test_the_lines_of_the_authors_code_come_back(tmp_path: Path, name: str) -> None:
    model = MODELS[name][0](ab)
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    assert sites(model) == sites(again)
    assert "both_libraries.py" in str(sites(again))


def test_lines_of_inner_models_and_errors_that_name_them(tmp_path: Path) -> None:
    model = MODELS["nested"][0](ab)
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    assert sites(again.get_layer("middle")) == sites(model.get_layer("middle"))
    with pytest.raises(AnabranchError, match=r"both_libraries\.py:\d+"):
        again.edit(ab.edit.replace("dense", layers.Reshape((7,))))


def test_no_folder_of_the_author_is_in_the_file(tmp_path: Path) -> None:
    MODELS["functional"][0](ab).save(tmp_path / "m.keras")
    assert str(Path(__file__).parent).encode() not in (tmp_path / "m.keras").read_bytes()


@pytest.mark.parametrize("saved", [None, [], {"dense": 3}, {"dense": [[9, 1], [0, "x"], None, {}]}, {"dense": "x" * 99}])
def test_lines_that_are_none_are_left_out(tmp_path: Path, saved: Any) -> None:
    path = tmp_path / "m.keras"
    MODELS["functional"][0](ab).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"])
    metadata["anabranch"] |= {"lines": saved, "definitions": saved}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (members | {"metadata.json": json.dumps(metadata).encode()}).items():
            archive.writestr(name, data)
    assert np.isfinite(models.load_model(path).predict(drawn((4,)))).all()
