"""Devices in rows and columns with names for their axes, and which axis of a tensor is divided along which of these."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch._frames import bound_methods
from anabranch.distribution.devices import list_devices

if TYPE_CHECKING:
    import numpy as np

Devices: TypeAlias = "np.ndarray[Any, np.dtype[np.str_]]"


def names_of(devices: Sequence[str] | Devices) -> Devices:
    """Return the names of devices as an array."""
    import numpy as np

    try:
        found = np.asarray(devices)
    except (TypeError, ValueError) as error:  # ragged, in itself, or a tensor without values
        raise ArgumentTypeError("devices must be names, as ['cpu:0'].", got=shown(devices)) from error
    if found.dtype.kind != "U" or not found.ndim:
        raise ArgumentTypeError("devices must be names, as ['cpu:0'].", got=shown(devices))
    return found


@bound_methods
class DeviceMesh:
    """Devices in a grid.

    Args:
        shape: how many there are along each axis, as ``(2, 4)``.
        axis_names: the names of these axes, as ``("batch", "model")``.
        devices: the names of the devices, as ``["cpu:0"]``; those of ``list_devices()`` unless given.

    Example:
        >>> mesh = DeviceMesh((2, 4), ("batch", "model"), [f"gpu:{index}" for index in range(8)])
        >>> mesh
        <DeviceMesh shape=(2, 4), axis_names=('batch', 'model')>
        >>> mesh.devices[1].tolist()
        ['gpu:4', 'gpu:5', 'gpu:6', 'gpu:7']
    """

    @checked
    def __init__(self, shape: Sequence[int], axis_names: Sequence[str], devices: Sequence[str] | Devices | None = None) -> None:
        if not len(shape) or len(shape) != len(axis_names):
            raise ArgumentError(
                "Each axis of a mesh has a size and a name.",
                expected="shape and axis_names of one length",
                got=f"shape={shown(shape)}, axis_names={shown(axis_names)}",
            )
        if min(shape) < 1 or len(set(axis_names)) < len(axis_names):
            raise ArgumentError(
                "Sizes must be ≥ 1 and names different.", got=f"shape={shown(shape)}, axis_names={shown(axis_names)}"
            )
        found = names_of(list_devices() if devices is None else devices)
        if math.prod(shape) != found.size:
            raise ShapeError(
                "A mesh holds as many devices as its shape says.",
                expected=f"{math.prod(shape)}: {' × '.join(map(str, shape))}",
                got=f"{found.size} devices: {shown(found.ravel().tolist())}",
            )
        self._shape, self._axis_names, self._devices = shape, axis_names, found.reshape(tuple(shape))

    @property
    def shape(self) -> Sequence[int]:
        """How many devices there are along each axis."""
        return self._shape

    @property
    def axis_names(self) -> Sequence[str]:
        """The names of the axes."""
        return self._axis_names

    @property
    def devices(self) -> Devices:
        """The names of the devices, in the mesh's shape."""
        return self._devices

    def __repr__(self) -> str:
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"


@bound_methods
class TensorLayout:
    """Along which axis of a mesh each axis of a tensor is divided.

    Args:
        axes: for each axis of the tensor the name of one of the mesh; None: it is whole on each device.
        device_mesh: the mesh, which may be given later, once.

    Example:
        >>> mesh = DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])
        >>> TensorLayout((None, "model"), mesh).axes
        (None, 'model')
    """

    @checked
    def __init__(self, axes: Sequence[str | None], device_mesh: DeviceMesh | None = None) -> None:
        self._axes = tuple(axes)
        self._device_mesh: DeviceMesh | None = None
        if device_mesh is not None:
            self.device_mesh = device_mesh

    @property
    def axes(self) -> tuple[str | None, ...]:
        """The names of the mesh's axes, one for each axis of a tensor."""
        return self._axes

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh."""
        return self._device_mesh

    @device_mesh.setter
    def device_mesh(self, mesh: DeviceMesh) -> None:
        if not isinstance(mesh, DeviceMesh):
            raise ArgumentTypeError("device_mesh must be a DeviceMesh.", got=shown(mesh))
        if self._device_mesh is not None:
            raise ArgumentError("The layout has a mesh already.", got=shown(self._device_mesh), repair="a new TensorLayout")
        unknown = [name for name in self._axes if name is not None and name not in mesh.axis_names]
        if unknown:
            known = ", ".join(map(repr, mesh.axis_names))
            raise ArgumentError("The mesh has no such axis.", expected=f"{known} or None", got=shown(unknown[0]))
        self._device_mesh = mesh

    def __repr__(self) -> str:
        return f"<TensorLayout axes={self.axes}, device_mesh={self.device_mesh}>"


@bound_methods
class LayoutMap(MutableMapping[str, TensorLayout]):
    """The layouts of weights by their paths, and of values by theirs; a key is a path, or a pattern that all of a path matches.

    A path that no key means has None; one that several patterns mean is an error.

    Args:
        device_mesh: the mesh of layouts that have none.

    Example:
        >>> layouts = LayoutMap(DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"]))
        >>> layouts["dense.*/kernel"] = (None, "model")
        >>> layouts["dense_1/kernel"].axes
        (None, 'model')
        >>> layouts["dense_1/bias"] is None
        True
    """

    @checked
    def __init__(self, device_mesh: DeviceMesh | None) -> None:
        self._device_mesh = device_mesh
        self._layouts: dict[str, TensorLayout] = {}

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh of layouts that have none."""
        return self._device_mesh

    def __getitem__(self, key: str) -> TensorLayout:
        return self._found(key)  # type: ignore[return-value]  # None where Keras has it, too, in the place of a KeyError

    def _found(self, key: str) -> TensorLayout | None:
        if key in self._layouts:
            return self._layouts[key]
        matching = [pattern for pattern in self._layouts if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise ArgumentError(
                f"Several keys mean the path {key!r}.", expected="one", got=shown(matching), repair="narrower patterns"
            )
        return self._layouts[matching[0]] if matching else None

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._found(key) is not None

    def __setitem__(self, key: str, layout: TensorLayout | Sequence[str | None]) -> None:
        if not isinstance(key, str):
            raise ArgumentTypeError("A key of LayoutMap must be a path or a pattern.", got=shown(key))
        try:
            re.compile(key)
        except re.error as error:
            raise ArgumentError(f"The key {key!r} is no regular expression.", got=str(error)) from error
        if key in self._layouts:
            raise ArgumentError(f"The key {key!r} has a layout.", got=shown(self._layouts[key]), repair=f"del layouts[{key!r}]")
        if isinstance(layout, (tuple, list)):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            raise ArgumentTypeError("Expected a TensorLayout, or names of axes as (None, 'model').", got=shown(layout))
        if layout.device_mesh is None and self._device_mesh is not None:
            layout.device_mesh = self._device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __len__(self) -> int:
        return len(self._layouts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)

    def __repr__(self) -> str:
        return f"<LayoutMap {list(self._layouts)}, device_mesh={self.device_mesh}>"
