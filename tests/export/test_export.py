"""Exported files, run by torch.export and ONNX Runtime on batches of other sizes, give what the model gives."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import here

import anabranch as ab
from anabranch import Input, InputSpec, Model, Sequential, layers, ops
from anabranch._errors import (
    ArgumentError,
    ArgumentTypeError,
    EngineError,
    FileError,
    MissingExtraError,
    NotReadyError,
    ShapeError,
    UnknownNameError,
)
from anabranch.export import ExportArchive

RNG = np.random.default_rng(5)
QUIET = pytest.mark.filterwarnings("ignore")  # what torch warns of itself and of onnxscript


def images() -> Model:
    x = Input((16, 16, 3))
    y = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(y)
    return Model(
        x, layers.Dense(5, "softmax")(layers.GlobalAveragePooling2D()(layers.Dropout(0.5)(y) + layers.Conv2D(4, 1)(y)))
    )


def tokens() -> Model:
    x = Input((None,), dtype="int32")
    y = layers.Embedding(20, 8)(x)
    y = layers.LayerNormalization()(y + layers.MultiHeadAttention(2, 4)(y, y))
    return Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(y)))


def two() -> Model:
    a, b = Input((4,), name="first"), Input((3,), name="second")
    joined = layers.Concatenate()([a, b])
    return Model({"first": a, "second": b}, {"sum": layers.Dense(2, name="sum")(joined), "more": ops.exp(joined)})


class Own(Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x) * 2


def own() -> Model:
    made = Own()
    made(np.ones((2, 4), "float32"))
    return made


MADE = {
    "images": images,
    "tokens": tokens,
    "two": two,
    "own": own,
    "sequential": lambda: Sequential([Input((4,)), layers.Dense(2)]),
}


def data(model: Any, batch: int) -> list[Any]:
    shapes = [tuple(7 if size is None else size for size in each.shape[1:]) for each in model._running_graph_.inputs]
    kinds = [each.dtype for each in model._running_graph_.inputs]
    return [
        RNG.integers(0, 20, (batch, *shape)).astype(kind) if "int" in kind else RNG.normal(size=(batch, *shape)).astype(kind)
        for shape, kind in zip(shapes, kinds, strict=True)
    ]


def outputs(found: Any) -> list[Any]:
    parts = list(found.values()) if isinstance(found, dict) else found if isinstance(found, (list, tuple)) else [found]
    return [each.detach().cpu().numpy() if isinstance(each, torch.Tensor) else each for each in parts]


def expected(model: Any, given: list[Any]) -> list[Any]:
    nest = dict(zip(model.input_names, given, strict=True)) if len(given) > 1 else given[0]
    return outputs(model.predict(nest, verbose=0))


def close(found: list[Any], wanted: list[Any]) -> bool:
    return len(found) == len(wanted) and all(np.allclose(a, b, atol=1e-5) for a, b in zip(found, wanted, strict=True))


def kinds(*quick: str) -> list[Any]:
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in MADE]


@QUIET
@pytest.mark.parametrize("name", kinds("two", "tokens", "own"))
def test_torch_loads_and_runs_it(name: str, tmp_path: Path) -> None:
    model: Any = MADE[name]()
    path = tmp_path / "model.pt2"
    assert model.export(path, format="torch", verbose=False) is None
    module = torch.export.load(path).module()
    for batch in (1, 2, 5):
        given = data(model, batch)
        assert close(outputs(module(*(torch.as_tensor(each, device=here()) for each in given))), expected(model, given))


@QUIET
@pytest.mark.on_cpu
@pytest.mark.parametrize("name", kinds("images", "two"))
def test_onnx_runtime_runs_it(name: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model: Any = MADE[name]()
    path = tmp_path / "model.onnx"
    model.export(str(path), format="onnx", verbose=False)
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]
    session = runtime.InferenceSession(path)
    names = [each.name for each in session.get_inputs()]
    assert name == "own" or names == model.input_names
    for batch in (1, 5):
        given = data(model, batch)
        found = session.run(None, dict(zip(names, given, strict=True)))
        assert close(found, expected(model, given))


@QUIET
@pytest.mark.on_cpu
@pytest.mark.parametrize("scale", [True, False])
def test_a_batch_norm_that_torch_cannot_write_is_written_as_arithmetic(
    scale: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    write = torch.onnx.export

    def refusing(exported: Any, *args: Any, **kwargs: Any) -> Any:  # as torch 2.6 is with a newer onnxscript
        if any(node.op == "call_function" and "batch_norm" in str(node.target) for node in exported.graph.nodes):
            raise AttributeError("'tuple' object has no attribute 'dtype'")
        return write(exported, *args, **kwargs)

    monkeypatch.setattr(torch.onnx, "export", refusing)
    inputs = Input((8, 8, 3))
    x = layers.BatchNormalization(scale=scale, center=scale)(layers.Conv2D(4, 3)(inputs))
    model: Any = Model(inputs, layers.BatchNormalization()(layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))
    model.set_weights([RNG.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    model.export(tmp_path / "m.onnx", format="onnx", verbose=False)
    given = data(model, 5)
    session = runtime.InferenceSession(tmp_path / "m.onnx")
    found = session.run(None, dict(zip([each.name for each in session.get_inputs()], given, strict=True)))
    assert close(found, expected(model, given))


@QUIET
@pytest.mark.slow
@pytest.mark.on_cpu
def test_a_version_of_onnx_is_written(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    MADE["sequential"]().export(tmp_path / "m.onnx", format="onnx", verbose=False, opset_version=20)
    assert onnx.load(tmp_path / "m.onnx").opset_import[0].version == 20


@QUIET
def test_a_signature_fixes_sizes(tmp_path: Path) -> None:
    model: Any = tokens()
    for signature in ([InputSpec(shape=(None, 7), dtype="int32")], InputSpec(shape=(None, 7)), [torch.zeros(3, 7)]):
        model.export(tmp_path / "m.pt2", "torch", False, signature if not isinstance(signature, list) else signature[:1])
        fixed = torch.export.load(tmp_path / "m.pt2").graph_signature
        assert len(fixed.user_inputs) == 1
    program = torch.export.load(tmp_path / "m.pt2")
    with pytest.raises((RuntimeError, AssertionError)):
        program.module()(torch.zeros(3, 8, dtype=torch.int32, device=here()))


@QUIET
def test_a_model_that_was_not_called_is_built_by_its_signature(tmp_path: Path) -> None:
    model = Own()
    model.export(tmp_path / "m.pt2", "torch", False, [InputSpec(shape=(None, 4))])
    given = np.ones((3, 4), "float32")
    found = torch.export.load(tmp_path / "m.pt2").module()(torch.as_tensor(given, device=here()))
    assert close(outputs(found), [model.predict(given, verbose=0)])


@QUIET
def test_what_torch_export_takes_is_handed_on(tmp_path: Path) -> None:
    model: Any = MADE["sequential"]()
    batch = torch.export.Dim("batch", min=2, max=4)
    model.export(tmp_path / "m.pt2", format="torch", verbose=False, dynamic_shapes=({0: batch},))
    module = torch.export.load(tmp_path / "m.pt2").module()
    assert module(torch.ones(4, 4, device=here())).shape == (4, 2)
    with pytest.raises((RuntimeError, AssertionError)):
        module(torch.ones(5, 4, device=here()))
    with pytest.raises(UnknownNameError, match="stric"):
        model.export(tmp_path / "m.pt2", format="torch", stric=True)
    with pytest.raises(UnknownNameError, match="strict"):
        model.export(tmp_path / "m.onnx", format="onnx", strict=True)


def test_a_line_says_where_it_is(tmp_path: Path, caplog: Any, capsys: Any) -> None:
    model: Any = MADE["sequential"]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(tmp_path / "m.pt2", format="torch")
        assert "m.pt2" in capsys.readouterr().out
        ab.config.disable_interactive_logging()
        with caplog.at_level(logging.INFO, "anabranch"):
            model.export(tmp_path / "m.pt2", format="torch")
        ab.config.enable_interactive_logging()
    assert "m.pt2" in caplog.text


@pytest.mark.parametrize(
    ("format", "way"), [("tf_saved_model", 'format="onnx"'), ("litert", "litert_torch"), ("openvino", "convert_model")]
)
def test_formats_of_other_libraries_are_refused_with_the_way(format: str, way: str, tmp_path: Path) -> None:
    model: Any = MADE["sequential"]()
    with pytest.raises(NotReadyError) as caught:
        model.export(tmp_path / "m", format=format)
    assert way in str(caught.value)
    with pytest.raises(NotReadyError, match="tf_saved_model"):
        model.export(tmp_path / "m")
    with pytest.raises(NotReadyError, match=r'ExportArchive\("torch"\)'):
        ExportArchive()


@QUIET
def test_what_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = MADE["sequential"]()
    path = tmp_path / "m.pt2"
    with pytest.raises(UnknownNameError, match="format"):
        model.export(path, format="onxx")
    with pytest.raises(ArgumentError, match=r"must end with '\.pt2'"):
        model.export(tmp_path / "m", format="torch")
    for signature, error, words in (
        ([InputSpec(shape=(None, 5))], ShapeError, "does not fit"),
        ([InputSpec(shape=(None, 4, 4))], ShapeError, "does not fit"),
        ([InputSpec(ndim=2)], ArgumentError, "needs its shape"),
        ([InputSpec(shape=(None, 4))] * 2, ArgumentError, "each input"),
        ([3], ArgumentTypeError, "must hold InputSpecs"),
    ):
        with pytest.raises(error, match=words):
            model.export(path, "torch", False, signature)
    with pytest.raises(FileError, match="Could not write"):
        model.export(tmp_path / "no" / "m.pt2", format="torch")

    class Branching(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2 if float(x.sum()) > 0 else x

    with pytest.raises(EngineError, match=r"could not trace"):
        Sequential([Input((4,)), Branching()]).export(path, format="torch")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"pip install anabranch\[onnx\]"):
        model.export(tmp_path / "m.onnx", format="onnx")


@QUIET
def test_an_archive_has_endpoints_and_weights(tmp_path: Path, capsys: Any) -> None:
    from safetensors.numpy import load_file

    model: Any = images()
    dense = layers.Dense(3)
    dense.build((None, 4))
    archive = ExportArchive("torch")
    archive.track_and_add_endpoint("serve", model)
    archive.add_endpoint("call", model.call)
    archive.add_endpoint("fixed", model, [InputSpec(shape=(2, 16, 16, 3))])
    archive.track_and_add_endpoint("dense", dense, [InputSpec(shape=(None, 4))])
    archive.add_endpoint(
        "both", lambda x, y: {"sum": dense(x) + torch.exp(y)}, [InputSpec(shape=(None, 4)), InputSpec(shape=(None, 3))]
    )
    archive.add_variable_collection("weights", model.weights)
    assert archive.variables == [*model.weights, *dense.weights]
    assert archive.trainable_variables + archive.non_trainable_variables != archive.variables
    assert len(archive.non_trainable_variables) == 2
    archive.write_out(tmp_path / "out")
    assert "'serve', 'call'" in capsys.readouterr().out
    names = ["both.pt2", "call.pt2", "dense.pt2", "fixed.pt2", "serve.pt2", "weights.safetensors"]
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == names
    given = data(model, 2)
    modules = {name[:-4]: torch.export.load(tmp_path / "out" / name).module() for name in names[:-1]}
    for name in ("serve", "call", "fixed"):
        assert close(outputs(modules[name](torch.as_tensor(given[0], device=here()))), expected(model, given))
    x, y = (torch.ones(5, size, device=here()) for size in (4, 3))
    assert close(outputs(modules["dense"](x)), outputs(dense(x)))
    assert close(outputs(modules["both"](x, y)), outputs(dense(x) + torch.exp(y)))
    stored = load_file(tmp_path / "out" / "weights.safetensors")
    assert sorted(stored) == sorted(weight.path for weight in model.weights)


def test_what_an_archive_refuses(tmp_path: Path) -> None:
    archive = ExportArchive("torch")
    model: Any = MADE["sequential"]()
    with pytest.raises(NotReadyError, match="no endpoint"):
        archive.write_out(tmp_path)
    archive.track_and_add_endpoint("serve", model)
    with pytest.raises(ArgumentError, match="is taken"):
        archive.add_endpoint("serve", model)
    with pytest.raises(ArgumentError, match="is taken"):
        archive.add_variable_collection("serve", model.weights)
    with pytest.raises(ArgumentTypeError, match="letters"):
        archive.add_endpoint("a/b", model)
    with pytest.raises(ArgumentTypeError, match="list of weights"):
        archive.add_variable_collection("w", [3])  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match="one path"):
        archive.add_variable_collection("w", model.weights * 2)
    with pytest.raises(ArgumentError, match="needs an input_signature"):
        archive.add_endpoint("f", lambda x: x)
    with pytest.raises(ArgumentTypeError, match="must be a Layer"):
        archive.track_and_add_endpoint("f", len)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="fn of add_endpoint must be"):
        archive.add_endpoint("f", 3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="a layer or a model"):
        archive.track(3)  # type: ignore[arg-type]
    with pytest.raises(NotReadyError, match="not built"):
        archive.track(layers.Dense(3))
    with pytest.raises(ArgumentTypeError, match="TensorFlow's"):
        archive.write_out(tmp_path, options=3)  # type: ignore[arg-type]
