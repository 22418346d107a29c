"""Wanted against stored arrays, by path and shape, whatever the format: nothing changes unless all of them fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from anabranch._errors import FileFormatError, shortened
from anabranch.graph import Shape, Weight
from anabranch.graph.call_site import warn
from anabranch.saving import narrow

if TYPE_CHECKING:
    import numpy as np


class Stored(NamedTuple):
    """An array that a file has or will have, which has not been read yet.

    Args:
        shape: its shape.
        read: returns its values; narrow floats as float32.
        dtype: the name of its type.
    """

    shape: Shape
    read: Callable[[], np.ndarray[Any, Any]]
    dtype: str

    @property
    def nbytes(self) -> int:
        """How many bytes its values take in a file."""
        import numpy as np

        kind = narrow.BITS.get(self.dtype, self.dtype)
        return math.prod(cast("tuple[int, ...]", self.shape)) * np.dtype(kind).itemsize


def of_weight(weight: Weight) -> Stored:
    """Return a weight as an array that is read when it is written."""
    return Stored(weight.shape, weight.numpy, weight.dtype)


def of_array(array: np.ndarray[Any, Any]) -> Stored:
    """Return an array as one of a file."""
    return Stored(array.shape, lambda: array, array.dtype.name)


class Wanted(NamedTuple):
    """A weight that waits for an array.

    Args:
        weight: the weight.
        label: what errors call it, besides the path in the file.
        group: what is loaded as a whole or not at all where mismatches are skipped; a path.
    """

    weight: Weight
    label: str
    group: str


def fill(
    wanted: Mapping[str, Wanted], stored: Mapping[str, Stored], *, source: str, owner: str, skip_mismatch: bool = False
) -> None:
    """Set every weight from the array at its path.

    Args:
        wanted: the weights by path in the file.
        stored: the arrays by path.
        source: what errors call the file.
        owner: whose weights they are.
        skip_mismatch: whether what does not fit is left out, with a warning, instead of an error before anything changes.

    Raises:
        FileFormatError: paths are missing, left over, or of another shape; all of them are listed.
    """
    fitting = {path: each for path, each in wanted.items() if path in stored and stored[path].shape == each.weight.shape}
    got = differences(wanted, stored)
    if got:
        fact = f"The weights in {source} are not those of {owner}."
        if not skip_mismatch:
            raise FileFormatError(fact, got=got, repair="skip_mismatch=True loads those that fit")
        bad = {each.group for path, each in wanted.items() if path not in fitting}
        bad |= {path.rpartition("/")[0] for path in stored if path not in wanted}  # an array too many: which is which?
        fitting = {path: each for path, each in fitting.items() if each.group not in bad}
        warn(f"{fact} {got}. {len(fitting)} of {len(wanted)} were loaded.")
    values = {path: stored[path].read() for path in fitting}  # all are read before the first one is set
    for path, each in fitting.items():
        each.weight.assign(values[path])


def differences(wanted: Mapping[str, Wanted], stored: Mapping[str, Stored]) -> str:
    """Return which paths are missing, left over, or of another shape; nothing where all fit."""
    wrong = {path: each for path, each in wanted.items() if path in stored and stored[path].shape != each.weight.shape}
    lists = {
        "missing": [_named(path, each) for path, each in wanted.items() if path not in stored],
        "extra": [f"{path} {stored[path].shape}" for path in stored if path not in wanted],
        "other shape": [f"{_named(p, each)}: {stored[p].shape} for {each.weight.shape}" for p, each in wrong.items()],
    }
    return "; ".join(f"{what}: {shortened(names)}" for what, names in lists.items() if names)


def _named(path: str, wanted: Wanted) -> str:
    return path if wanted.label == path else f"{path} ({wanted.label})"
