"""Event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_model import data, made
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef

import anabranch
from anabranch import callbacks, layers
from anabranch._errors import ArgumentError, MissingExtraError, UnknownNameError


def read(folder: Path, run: str = "train") -> Any:
    found = EventAccumulator(str(folder / run), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    found.Reload()
    return found


def scalars(folder: Path, run: str = "train") -> dict[str, list[tuple[int, float]]]:
    found = read(folder, run)
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_epochs(model: Any, tmp_path: Path) -> None:
    x, y = data()
    history = model.fit(x, y, epochs=3, validation_data=(x, y), verbose=0, callbacks=[callbacks.TensorBoard(tmp_path)])
    trained, validated = scalars(tmp_path), scalars(tmp_path, "validation")
    assert trained.keys() == {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
    for name in ("loss", "mae"):
        assert [step for step, _ in trained[f"epoch_{name}"]] == [0, 1, 2]
        np.testing.assert_allclose([value for _, value in trained[f"epoch_{name}"]], history.history[name], rtol=1e-6)
        np.testing.assert_allclose([v for _, v in validated[f"epoch_{name}"]], history.history[f"val_{name}"], rtol=1e-6)
        evaluated = validated[f"evaluation_{name}_vs_iterations"]
        assert [step for step, _ in evaluated] == [1, 2, 3]
        np.testing.assert_allclose([value for _, value in evaluated], history.history[f"val_{name}"], rtol=1e-6)
    assert trained["epoch_learning_rate"][0] == (0, pytest.approx(0.1))


@pytest.mark.parametrize(("freq", "steps"), [("batch", range(1, 17)), (3, [3, 6, 9, 12, 15])])
def test_batches(model: Any, tmp_path: Path, freq: Any, steps: Any) -> None:
    x, y = data()
    tensorboard = callbacks.TensorBoard(tmp_path, update_freq=freq, write_steps_per_second=True)
    model.fit(x, y, epochs=2, batch_size=4, verbose=0, callbacks=[tensorboard])
    found = scalars(tmp_path)
    assert [step for step, _ in found["batch_loss"]] == list(steps)
    assert [step for step, _ in found["batch_steps_per_second"]] == list(steps)
    assert all(value > 0 for _, value in found["batch_steps_per_second"] + found["epoch_steps_per_second"])


def test_an_epoch_alone_needs_no_call_for_each_batch(tmp_path: Path) -> None:
    tensorboard = callbacks.TensorBoard(tmp_path)
    assert not callbacks.CallbackList([tensorboard]).wants_batch_logs
    assert callbacks.CallbackList([callbacks.TensorBoard(tmp_path, update_freq=5)]).wants_batch_logs


def test_the_graph(tmp_path: Path) -> None:
    inner_in = anabranch.Input((8,))
    inner = anabranch.Model(inner_in, layers.Dense(8, name="inside")(inner_in), name="inner")
    x = anabranch.Input((8,), name="x")
    shared = layers.Dense(8, name="shared")
    out = layers.add([shared(shared(x)), inner(x)], name="join")
    model = anabranch.Model(x, out)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 8)), np.ones((4, 8)), verbose=0, callbacks=[callbacks.TensorBoard(tmp_path)])
    graph = GraphDef()
    graph.ParseFromString(read(tmp_path)._graph)
    nodes = {node.name: node for node in graph.node}
    assert nodes["x"].op == "Input"
    assert nodes["inner/inside"].op == "Dense"
    assert list(nodes["inner/inside"].input) == ["x"]
    assert list(nodes["join"].input) == ["shared_call_1", "inner/inside"]
    assert list(nodes["shared_call_1"].input) == ["shared_call_0"]
    assert [dim.size for dim in nodes["join"].attr["_output_shapes"].list.shape[0].dim] == [-1, 8]


def test_no_graph_where_none_is_asked_for(model: Any, tmp_path: Path) -> None:
    model.fit(*data(), verbose=0, callbacks=[callbacks.TensorBoard(tmp_path, write_graph=False)])
    assert not read(tmp_path).Tags()["graph"]


def test_weights(tmp_path: Path) -> None:
    x = anabranch.Input((8, 8, 1))
    model = anabranch.Model(x, layers.Dense(1)(layers.Flatten()(layers.Conv2D(5, 3)(x))))
    model.compile("sgd", "mse")
    tensorboard = callbacks.TensorBoard(tmp_path, histogram_freq=2, write_images=True)
    model.fit(np.ones((4, 8, 8, 1)), np.ones((4, 1)), epochs=3, verbose=0, callbacks=[tensorboard])
    found = read(tmp_path)
    paths = {weight.path for weight in model.weights}
    assert set(found.Tags()["histograms"]) == {f"{path}/histogram" for path in paths}
    events = found.Histograms("conv2d/kernel/histogram")
    assert [event.step for event in events] == [0, 2]
    assert events[-1].histogram_value.num == 45
    kernel = model.layers[1].kernel.numpy()
    assert events[-1].histogram_value.sum == pytest.approx(kernel.sum(), abs=1e-4)
    assert "conv2d/kernel/image" in found.Tags()["images"]
    (first, _) = found.Images("dense/kernel/image")
    assert (first.width, first.height) == (180, 1)


def embedding_model() -> Any:
    x = anabranch.Input((2,), dtype="int32")
    model = anabranch.Model(x, layers.Dense(1)(layers.Flatten()(layers.Embedding(4, 3, name="words")(x))))
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("text", ["a\nb\nc\nd\n", "word\tkind\na\t1\nb\t2\nc\t3\nd\t4\n"])
def test_embeddings(tmp_path: Path, text: str) -> None:
    (tmp_path / "names.tsv").write_text(text)
    model = embedding_model()
    tensorboard = callbacks.TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"words": tmp_path / "names.tsv"})
    model.fit(np.ones((4, 2), "int32"), np.ones((4, 1)), verbose=0, callbacks=[tensorboard])
    (rows,) = (tmp_path / "train").rglob("tensors.tsv")
    np.testing.assert_allclose(np.loadtxt(rows), model.get_layer("words").embeddings.numpy(), atol=1e-6)
    assert rows.with_name("metadata.tsv").read_text().split() == text.split()
    assert "words" in (tmp_path / "train" / "projector_config.pbtxt").read_text()


def test_wrong_metadata(tmp_path: Path) -> None:
    (tmp_path / "names.tsv").write_text("a\nb\n")
    given = np.ones((4, 2), "int32"), np.ones((4, 1))
    for metadata, kind in (({"word": "a"}, UnknownNameError), (str(tmp_path / "names.tsv"), ArgumentError)):
        tensorboard = callbacks.TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata=metadata)
        with pytest.raises(kind):
            embedding_model().fit(*given, verbose=0, callbacks=[tensorboard])


@pytest.mark.on_cpu
def test_a_profile(model: Any, tmp_path: Path) -> None:
    x, y = data()
    model.fit(x, y, batch_size=4, verbose=0, callbacks=[callbacks.TensorBoard(tmp_path, profile_batch=(3, 5))])
    (trace,) = (tmp_path / "train").glob("*.pt.trace.json")
    names = {event.get("name") for event in json.loads(trace.read_text())["traceEvents"]}
    assert any(str(name).startswith("aten::") for name in names)


@pytest.mark.parametrize(("given", "stored"), [(0, 0), ("5", 5), ("5,10", (5, 10)), ([2, 2], (2, 2)), (7, 7)])
def test_batches_to_profile(given: Any, stored: Any) -> None:
    assert callbacks.TensorBoard(profile_batch=given).profile_batch == stored


@pytest.mark.parametrize(
    "options",
    [
        {"profile_batch": -1}, {"profile_batch": (5, 2)}, {"profile_batch": "a"}, {"profile_batch": (1, 2, 3)},
        {"update_freq": 0}, {"update_freq": "step"}, {"histogram_freq": -1}, {"log_dir": 3}, {"embeddings_metadata": 3},
    ],
    ids=str,
)  # fmt: skip
def test_nonsense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError if "profile_batch" in options else (ValueError, TypeError)):
        callbacks.TensorBoard(**options)


def test_evaluate_alone(model: Any, tmp_path: Path) -> None:
    x, y = data()
    model.fit(x, y, epochs=2, verbose=0)
    loss, _ = model.evaluate(x, y, verbose=0, callbacks=[callbacks.TensorBoard(tmp_path)])
    assert scalars(tmp_path, "validation")["evaluation_loss_vs_iterations"] == [(2, pytest.approx(loss))]


def test_a_resumed_run_goes_on_counting(tmp_path: Path) -> None:
    x, y = data()
    for epochs in (1, 2):
        tensorboard = callbacks.TensorBoard(tmp_path / "logs", update_freq=1)
        backup = callbacks.BackupAndRestore(str(tmp_path / "run"), delete_checkpoint=False)
        made(anabranch).fit(x, y, epochs=epochs, batch_size=16, verbose=0, callbacks=[tensorboard, backup])
    assert [step for step, _ in scalars(tmp_path / "logs")["batch_loss"]] == [1, 2, 3, 4]


def test_without_the_package_the_extra_is_named(model: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"pip install anabranch\[tensorboard\]"):
        model.fit(*data(), verbose=0, callbacks=[callbacks.TensorBoard(tmp_path)])
