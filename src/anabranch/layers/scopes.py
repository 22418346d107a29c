"""What holds for a block: the device, a prefix of the paths of variables."""

from __future__ import annotations

from types import TracebackType

from anabranch import config
from anabranch._arguments import checked
from anabranch._errors import ArgumentError
from anabranch._frames import bound_methods

_names: list[str] = []


def scope_path() -> str:
    """Return the names of the scopes that are open, as the beginning of a path."""
    return "/".join(_names)


@bound_methods
class name_scope:  # noqa: N801 - Keras's name
    """Begin the paths of the variables that a block makes with a name; layers take their names from their model.

    Args:
        name: a part of the paths, without "/".

    Example:
        >>> from anabranch import Variable
        >>> with name_scope("outer"):
        ...     variable = Variable(1.0, name="inner")
        >>> variable.path
        'outer/inner'
    """

    @checked
    def __init__(self, name: str) -> None:
        if not name or "/" in name:
            raise ArgumentError("name of name_scope must be a string without '/'.", got=repr(name))
        self.name = name

    def __enter__(self) -> name_scope:
        _names.append(self.name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _names.pop()


@bound_methods
class device:  # noqa: N801 - Keras's name
    """Compute a block on a device: ``config.set_device`` for the block.

    Args:
        device_name: such as ``"cpu"`` or ``"cuda:0"``; Keras's ``"gpu:0"`` means ``"cuda:0"``.

    Example:
        >>> from anabranch import config
        >>> with device("cpu:0"):
        ...     config.device()
        'cpu'
    """

    @checked
    def __init__(self, device_name: str) -> None:
        kind, _, index = device_name.lower().removeprefix("/").rpartition("device:")[2].partition(":")
        kind = {"gpu": "cuda"}.get(kind, kind)
        self._name = kind if kind == "cpu" or not index else f"{kind}:{index}"
        self._before: list[str | None] = []

    def __enter__(self) -> device:
        before = config.device()
        config.set_device(self._name)
        self._before.append(before)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        config.set_device(self._before.pop())
