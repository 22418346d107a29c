"""Meshes, layouts and distributions: what Keras's say of themselves; computing on one device; several are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from devices import here

import anabranch as ab
from anabranch import config, distribution as ours, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError, ShapeError

EIGHT = [f"gpu:{index}" for index in range(8)]
VARIABLES = ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in VARIABLES:
        monkeypatch.delenv(f"KERAS_DISTRIBUTION_{name}", raising=False)
    before = config.device()
    yield
    ours.set_distribution(None)
    config.set_device(before)


def layouts(library: Any) -> Any:
    mesh = library.DeviceMesh((2, 4), ("batch", "model"), EIGHT)
    made = library.LayoutMap(mesh)
    made["dense.*/kernel"] = (None, "model")
    made["dense.*/bias"] = library.TensorLayout(("model",))
    made["conv/kernel"] = (None, None, None, "model")
    return made


def test_meshes_and_layouts_say_what_keras_says(keras: Any) -> None:
    for library in (ours, keras.distribution):
        mesh = library.DeviceMesh((2, 4), ["batch", "model"], EIGHT)
        assert repr(mesh) == "<DeviceMesh shape=(2, 4), axis_names=['batch', 'model']>"
        assert mesh.devices.tolist() == [EIGHT[:4], EIGHT[4:]]
        layout = library.TensorLayout(["batch", None])
        assert (layout.axes, layout.device_mesh) == (("batch", None), None)
        layout.device_mesh = mesh
        assert repr(layout) == f"<TensorLayout axes=('batch', None), device_mesh={mesh}>"
        with pytest.raises(ValueError, match="mesh"):
            layout.device_mesh = mesh


@pytest.mark.parametrize(
    "path", ["dense/kernel", "dense_1/kernel", "dense/bias", "conv/kernel", "model/conv/kernel", "dense/kernel/more", "x"]
)
def test_paths_find_the_layouts_that_keras_finds(keras: Any, path: str) -> None:
    found, wanted = (layouts(library)[path] for library in (ours, keras.distribution))
    assert getattr(found, "axes", None) == getattr(wanted, "axes", None)
    assert (path in layouts(ours)) == (wanted is not None)
    assert (layouts(ours).get(path) is None) == (wanted is None)


def test_a_map_of_layouts_is_a_map(keras: Any) -> None:
    for library in (ours, keras.distribution):
        made = layouts(library)
        assert list(made) == ["dense.*/kernel", "dense.*/bias", "conv/kernel"]
        assert made["dense/bias"].device_mesh is made.device_mesh
        made["d.*/kernel"] = (None, None)
        with pytest.raises(ValueError, match=r"d\.\*"):
            made["dense/kernel"]
        del made["d.*/kernel"]
        assert len(made) == 3
        with pytest.raises(ValueError, match="conv/kernel"):
            made["conv/kernel"] = (None,)
        with pytest.raises(ValueError, match="TensorLayout"):
            made["other"] = 3


def test_distributions_say_what_keras_says(keras: Any) -> None:
    for library in (ours, keras.distribution):
        parallel = library.DataParallel(devices=EIGHT)
        assert (parallel.num_model_replicas, parallel.batch_dim_name, parallel.num_processes) == (8, "batch", 1)
        assert parallel.get_data_layout((None, 3)).axes == ("batch", None)
        assert (parallel.get_tensor_layout("a"), parallel.data_shard_id) == (None, 0)
        assert parallel.distribute_dataset([1, 2]) == [1, 2]
        model = library.ModelParallel(layout_map=layouts(library), batch_dim_name="batch")
        assert (model.num_model_replicas, model.auto_shard_dataset) == (2, True)
        assert model.get_data_layout((8, 3, 3)).axes == ("batch", None, None)
        assert model.get_tensor_layout("conv/kernel").axes == (None, None, None, "model")
    with pytest.warns(UserWarning, match="first axis"):  # which Keras fails to say
        assert ours.DataParallel(layouts(ours).device_mesh).num_model_replicas == 8


def test_layouts_of_weights(keras: Any) -> None:
    for library in (ab, keras):
        x = library.Input((3,))
        net = library.Model(x, library.layers.Dense(4, name="dense")(x))
        spread = library.distribution.ModelParallel(layout_map=layouts(library.distribution))
        assert [spread.get_variable_layout(each).axes for each in net.weights] == [(None, "model"), ("model",)]
        whole = library.distribution.DataParallel(devices=EIGHT)
        assert [whole.get_variable_layout(each).axes for each in net.weights] == [(None, None), (None,)]


def trained(around: Any) -> list[Any]:
    ab.utils.set_random_seed(3)
    with around:
        x = ab.Input((3,))
        net = ab.Model(x, ab.layers.Dense(2)(ab.layers.Dense(4, "relu")(x)))
        net.compile("adam", "mse")
        history = net.fit(np.arange(24.0).reshape(8, 3), np.ones((8, 2)), epochs=2, verbose=0)
        assert next(iter(net.parameters())).device.type == here().type
        return [history.history["loss"], *net.get_weights()]


@pytest.mark.not_fake("the names of devices are torch's own")
@pytest.mark.parametrize("kind", ["data", "model"])
def test_a_mesh_of_one_device_leaves_results_as_they_are(kind: str) -> None:
    name = ours.list_devices()[0] if config.device() is None else f"{here().type}:0"
    made = ours.LayoutMap(ours.DeviceMesh((1, 1), ("batch", "model"), [name]))
    made[".*kernel"] = (None, "model")
    parallel = ours.DataParallel(devices=[name]) if kind == "data" else ours.ModelParallel(layout_map=made)
    found, wanted = trained(parallel.scope()), trained(ab.name_scope("as_ever"))
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one, other)


def test_the_mesh_decides_on_the_device() -> None:
    config.set_device("meta")
    first, second = ours.DataParallel(devices=["cpu:0"]), ours.DataParallel(devices=["cpu"])
    with first.scope():
        assert (ours.distribution(), runtime.device().type) == (first, "cpu")
        with second.scope():
            assert ours.distribution() is second
        assert (ours.distribution(), runtime.device().type) == (first, "cpu")
    assert (ours.distribution(), config.device()) == (None, "meta")
    with pytest.raises(ArgumentError, match=r"is available|Unknown device"):
        ours.set_distribution(ours.DataParallel(devices=["cuda:99"]))
    assert (ours.distribution(), config.device()) == (None, "meta")


def test_several_devices_are_refused_with_the_way_out() -> None:
    mesh = ours.DeviceMesh((2,), ("batch",), ["cpu:0", "cpu:1"])
    for refused in (
        lambda: ours.set_distribution(ours.DataParallel(mesh)),
        lambda: ours.distribute_tensor(torch.ones(2), ours.TensorLayout(("batch",), mesh)),
    ):
        with pytest.raises(NotReadyError, match="DistributedDataParallel"):
            refused()
    assert ours.distribution() is None


def test_tensors_are_placed() -> None:
    mesh = ours.DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])
    layout = ours.TensorLayout(("batch", None), mesh)
    found = ours.distribute_tensor(torch.ones(2, 3, device=here()), layout)
    assert found.device.type == "cpu"
    symbol = ab.Input((3,))
    assert ours.distribute_tensor(symbol, layout) is symbol
    with pytest.raises(ShapeError, match="each axis"):
        ours.distribute_tensor(torch.ones(2), layout)
    with pytest.raises(ArgumentError, match="needs a mesh"):
        ours.distribute_tensor(torch.ones(2), ours.TensorLayout(("batch",)))


def test_devices_are_listed() -> None:
    assert ours.list_devices("CPU") == ["cpu:0"]
    assert ours.list_devices("tpu") == []
    assert ours.get_device_count() == len(ours.list_devices()) >= 1
    with pytest.raises(ArgumentError, match="kind of device"):
        ours.list_devices("quantum")


@pytest.mark.parametrize(
    "given", [{}, {"num_processes": 1}, {"num_processes": 1, "process_id": 0}, {"job_addresses": "10.0.0.1:1234"}]
)
def test_one_process_is_prepared_already(given: dict[str, Any]) -> None:
    ours.initialize(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"num_processes": 2},
        {"num_processes": 2, "process_id": 1},
        {"job_addresses": "10.0.0.1:1234,10.0.0.2:2345"},
        {"job_addresses": "10.0.0.1:1234,10.0.0.2:2345", "num_processes": 1},
    ],
)
@pytest.mark.parametrize("by", ["arguments", "environment"])
def test_several_processes_are_refused_with_the_way_out(
    given: dict[str, Any], by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "environment":
        for name, value in given.items():
            monkeypatch.setenv(f"KERAS_DISTRIBUTION_{name.upper()}", str(value))
    with pytest.raises(NotReadyError, match="torchrun"):
        ours.initialize(**given if by == "arguments" else {})


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for shape, names in (((2,), ("a", "b")), ((), ()), ((1, 1), ("a", "a")), ((0,), ("a",))):
        with pytest.raises(ArgumentError, match=r"sizes?|Sizes|size and a name"):
            ours.DeviceMesh(shape, names, ["cpu:0"])
    with pytest.raises(ShapeError, match="as many devices"):
        ours.DeviceMesh((2,), ("a",), ["cpu:0"])
    with pytest.raises(ArgumentTypeError, match="must be names"):
        ours.DeviceMesh((1,), ("a",), [3])  # type: ignore[list-item]
    mesh = ours.DeviceMesh((1,), ("a",), ["cpu:0"])
    with pytest.raises(ArgumentError, match="no such axis"):
        ours.TensorLayout(("b",), mesh)
    with pytest.raises(ArgumentError, match="no regular expression"):
        ours.LayoutMap(mesh)["("] = (None,)
    with pytest.raises(ArgumentError, match="must have a mesh"):
        ours.ModelParallel(layout_map=ours.LayoutMap(None))
    with pytest.raises(ArgumentError, match="that of layout_map"):
        ours.ModelParallel(layout_map=ours.LayoutMap(mesh), device_mesh=ours.DeviceMesh((1,), ("a",), ["cpu:0"]))
    with pytest.raises(ArgumentError, match="axis for batches"):
        ours.ModelParallel(layout_map=ours.LayoutMap(mesh), batch_dim_name="b")
    with pytest.raises(ArgumentError, match="has its devices"):
        ours.DataParallel(mesh, ["cpu:0"])
    with pytest.raises(TypeError, match="Distribution"):
        ours.set_distribution("data")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="process_id"):
        ours.initialize(num_processes=1, process_id=1)
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "two")
    with pytest.raises(ArgumentError, match="NUM_PROCESSES must be an integer"):
        ours.initialize()
