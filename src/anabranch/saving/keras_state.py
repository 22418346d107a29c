"""A model's variables as Keras's files have them: to groups of arrays, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from anabranch.graph import AnyModel, Operation, Weight
from anabranch.saving import hdf5, keras_paths, matching
from anabranch.saving.hdf5 import Group
from anabranch.saving.matching import Stored, Wanted

if TYPE_CHECKING:
    import numpy as np

OPTIMIZER = "optimizer/"


def groups(model: AnyModel) -> Iterator[Group]:
    """Yield what a file holds of each layer."""
    for path, layer, weights in keras_paths.owned(cast("Operation", model)):
        yield Group(path, layer.name, {str(index): _values(weight) for index, weight in enumerate(weights)})


def _values(weight: Weight) -> np.ndarray[Any, Any]:
    values = weight.numpy()
    return hdf5.as_bfloat16(values) if weight.dtype == "bfloat16" else values


def load(model: AnyModel, stored: Mapping[str, Stored], *, source: str, skip_mismatch: bool) -> None:
    """Set a model's weights from the arrays of a file."""
    wanted = {
        f"{path}/{index}": Wanted(weight, weight.path, path)
        for path, _, weights in keras_paths.owned(cast("Operation", model))
        for index, weight in enumerate(weights)
    }
    state = {path: each for path, each in stored.items() if not path.startswith(OPTIMIZER)}
    matching.fill(wanted, state, source=source, owner=f"model {model.name!r}", skip_mismatch=skip_mismatch)
