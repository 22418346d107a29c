"""How a model is spread over a mesh, which of these is current, and tensors on their device. Computed is on one device."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch

from anabranch import config, runtime
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, NotReadyError, ShapeError
from anabranch._frames import bound_methods
from anabranch.distribution.devices import WAY_OUT, list_devices
from anabranch.distribution.meshes import DeviceMesh, Devices, LayoutMap, TensorLayout, names_of
from anabranch.graph import Tensor as Symbolic, Weight

D = TypeVar("D")
_BATCH = "batch"


@bound_methods
class Distribution:
    """How a model is spread over a mesh: its data along one axis.

    Args:
        device_mesh: the mesh.
        batch_dim_name: the axis of the mesh along which batches are divided.
        auto_shard_dataset: whether each of several processes gets its part of a data set.
    """

    def __init__(self, device_mesh: DeviceMesh, batch_dim_name: str, auto_shard_dataset: bool = True) -> None:
        if batch_dim_name not in device_mesh.axis_names:
            known = ", ".join(map(repr, device_mesh.axis_names))
            raise ArgumentError("The mesh has no such axis for batches.", expected=known, got=shown(batch_dim_name))
        self._device_mesh, self._batch_dim_name = device_mesh, batch_dim_name
        self.auto_shard_dataset = auto_shard_dataset

    @property
    def device_mesh(self) -> DeviceMesh:
        """The mesh."""
        return self._device_mesh

    @property
    def batch_dim_name(self) -> str:
        """The axis of the mesh along which batches are divided."""
        return self._batch_dim_name

    @property
    def num_processes(self) -> int:
        """How many processes work together."""
        return runtime.processes()[0]

    @property
    def num_model_replicas(self) -> int:
        """How many copies of the model the mesh holds."""
        return self.device_mesh.shape[self.device_mesh.axis_names.index(self.batch_dim_name)]

    @property
    def data_shard_id(self) -> int:
        """The index of this process's part of the data."""
        return 0

    def get_data_layout(self, data_shape: Sequence[int | None]) -> TensorLayout:
        """Return the layout of data of a shape: divided along their first axis."""
        if not data_shape:
            raise ShapeError("Data have an axis of the batch.", expected="(B, …)", got="()")
        return TensorLayout([self.batch_dim_name, *[None] * (len(data_shape) - 1)], self.device_mesh)

    def get_variable_layout(self, variable: Weight) -> TensorLayout:
        """Return the layout of a weight: whole on each device."""
        return TensorLayout([None] * len(variable.shape), self.device_mesh)

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """Return the layout of a value inside of the model, None where it stays as it is computed."""
        return None

    def distribute_dataset(self, dataset: D) -> D:
        """Return the part of a data set that this process reads: one process reads it all."""
        return dataset

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Make it current for a block."""
        before = distribution()
        set_distribution(self)
        try:
            yield
        finally:
            set_distribution(before)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} device_mesh={self.device_mesh}>"


@bound_methods
class DataParallel(Distribution):
    """Copies of a model on each device, each of which computes a part of each batch.

    Args:
        device_mesh: a mesh of one axis; of several, batches are divided along the first.
        devices: the names of devices, in the place of a mesh; those of ``list_devices()`` where neither is given.
        auto_shard_dataset: whether each of several processes gets its part of a data set.

    Example:
        >>> data_parallel = DataParallel(devices=["cpu:0"])
        >>> data_parallel
        <DataParallel device_mesh=<DeviceMesh shape=(1,), axis_names=['batch']>>
        >>> data_parallel.get_data_layout((32, 8)).axes
        ('batch', None)
    """

    @checked
    def __init__(
        self,
        device_mesh: DeviceMesh | None = None,
        devices: Sequence[str] | Devices | None = None,
        auto_shard_dataset: bool = True,
    ) -> None:
        if device_mesh is not None and devices is not None:
            raise ArgumentError("The mesh has its devices.", expected="device_mesh= or devices=", got="both")
        if device_mesh is None:
            names = names_of(list_devices() if devices is None else devices)
            device_mesh = DeviceMesh((names.size,), [_BATCH], names)
        if len(device_mesh.shape) > 1:
            warnings.warn(
                f"DataParallel divides batches along the first axis of its mesh, {device_mesh.axis_names[0]!r}; "
                f"got {device_mesh}.",
                stacklevel=3,
            )
        super().__init__(device_mesh, device_mesh.axis_names[0], auto_shard_dataset)

    @property
    def num_model_replicas(self) -> int:
        """How many copies of the model the mesh holds: one on each device."""
        return int(self.device_mesh.devices.size)


@bound_methods
class ModelParallel(Distribution):
    """Weights divided over the devices as a map of layouts says, batches divided along one axis of the mesh.

    Args:
        layout_map: the layouts by the paths of weights, with a mesh.
        batch_dim_name: the axis of the mesh along which batches are divided; the first unless given.
        auto_shard_dataset: whether each of several processes gets its part of a data set.
        device_mesh: the map's own mesh, which older scripts give as well.

    Example:
        >>> layouts = LayoutMap(DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"]))
        >>> layouts[".*kernel"] = (None, "model")
        >>> ModelParallel(layout_map=layouts).batch_dim_name
        'batch'
    """

    @checked
    def __init__(
        self,
        *,
        layout_map: LayoutMap,
        batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
        device_mesh: DeviceMesh | None = None,
    ) -> None:
        mesh = layout_map.device_mesh
        if mesh is None:
            raise ArgumentError("layout_map must have a mesh.", got="device_mesh=None", repair="LayoutMap(DeviceMesh(…))")
        if device_mesh is not None and device_mesh is not mesh:
            raise ArgumentError("device_mesh must be that of layout_map.", expected=str(mesh), got=str(device_mesh))
        super().__init__(mesh, batch_dim_name or mesh.axis_names[0], auto_shard_dataset)
        self._layout_map = layout_map

    def get_variable_layout(self, variable: Weight) -> TensorLayout:
        """Return the layout of a weight: what the map has for its path; else whole on each device."""
        found = self.get_tensor_layout(variable.path)
        return super().get_variable_layout(variable) if found is None else found

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """Return what the map has for a path."""
        return self._layout_map.get(path)


_current: list[tuple[Distribution, str | None]] = []  # what is current, with the device that was set before


@checked
def distribution() -> Distribution | None:
    """Return what is current: what ``set_distribution`` or ``with data_parallel.scope():`` made so.

    Example:
        >>> distribution() is None
        True
    """
    return _current[-1][0] if _current else None


@checked
def set_distribution(value: Distribution | None) -> None:
    """Compute on the device of a distribution's mesh from now on, as ``config.set_device`` does; several are refused.

    Args:
        value: a ``DataParallel`` or ``ModelParallel``; None: on the device of before.

    Raises:
        NotReadyError: the mesh has several devices.

    Example:
        >>> set_distribution(DataParallel(devices=["cpu:0"]))
        >>> distribution().num_model_replicas
        1
        >>> set_distribution(None)
    """
    name = None if value is None else _single(value.device_mesh)
    before = _current[-1][1] if _current else config.device()
    now = config.device()
    config.set_device(before if value is None else name)
    try:
        runtime.device()
    except ArgumentError:
        config.set_device(now)
        raise
    _current[:] = [] if value is None else [(value, before)]


@checked
def distribute_tensor(tensor: torch.Tensor | Symbolic, layout: TensorLayout) -> torch.Tensor | Symbolic:
    """Return a tensor on the devices of a layout; a symbolic tensor has none and is returned as it is.

    Args:
        tensor: the tensor.
        layout: for each of its axes the axis of the mesh along which it is divided.

    Raises:
        NotReadyError: the mesh has several devices.

    Example:
        >>> import numpy as np
        >>> mesh = DeviceMesh((1,), ("batch",), ["cpu:0"])
        >>> distribute_tensor(np.ones((2, 3)), TensorLayout(("batch", None), mesh)).device
        device(type='cpu')
    """
    if isinstance(tensor, (Symbolic, torch.fx.Proxy)):
        return tensor
    if layout.device_mesh is None:
        raise ArgumentError("The layout needs a mesh.", got=shown(layout), repair="TensorLayout(axes, device_mesh)")
    made = runtime.as_tensor(tensor)
    if len(layout.axes) != made.ndim:
        raise ShapeError("A layout says of each axis how it is divided.", expected=f"{made.ndim} axes", got=f"{layout.axes}")
    return made.to(runtime.named_device(_single(layout.device_mesh)))


def _single(mesh: DeviceMesh) -> str:
    """Return the only device of a mesh."""
    if mesh.devices.size != 1:
        raise NotReadyError(
            "Computing on several devices at once is not supported yet.",
            expected="a mesh of one device, as DataParallel(devices=['cpu:0'])",
            got=f"{mesh} of {shown(mesh.devices.ravel().tolist())}",
            repair=WAY_OUT,
        )
    name: str = mesh.devices.item()
    return "cpu" if name == "cpu:0" else name
