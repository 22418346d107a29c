"""A model's state as one nest of values by name, in Keras's form: weights, the optimizer's variables, those of metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from anabranch import training
from anabranch._asked import has_shape, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError, unknown
from anabranch.saving.weights import weight_paths

if TYPE_CHECKING:
    from anabranch.models.trainer import Trainer

_FORMATS = ("backend_tensor", "numpy_array")


class Variable(Protocol):
    """A weight, or a piece of a metric's state."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, axes in Keras's order."""

    def numpy(self) -> Any:
        """Return the values as an array."""

    def assign(self, value: Any) -> object:
        """Replace the values."""

    def __getitem__(self, key: Any) -> Any: ...


def tree(model: Trainer, value_format: str) -> dict[str, Any]:
    """Return the values of everything that training changes, nested by the parts of its path."""
    if not isinstance(value_format, str) or value_format not in _FORMATS:
        raise ArgumentError("Unknown value_format.", expected=" or ".join(map(repr, _FORMATS)), got=shown(value_format))
    arrays = value_format == "numpy_array"
    return {
        kind: _nested({path: variable.numpy() if arrays else variable[...] for path, variable in found.items()})
        for kind, found in _variables(model).items()
    }


def set_tree(model: Trainer, state_tree: Mapping[str, Any]) -> None:
    """Set what ``tree`` returned, or a part of it; nothing changes unless all of it fits."""
    if len(_nest(state_tree, "optimizer_variables")) and model.optimizer is not None and model.built:
        model.optimizer.build(model.trainable_weights)
    known = _variables(model)
    wanted: list[tuple[Variable, Any]] = []
    for kind in state_tree:
        if kind not in known:
            raise unknown("part of a state", str(kind), list(known))
        for path, value in _flat(_nest(state_tree, kind)):
            variable = known[kind].get(path)
            if variable is None:
                raise unknown(f"entry of {kind}", path, list(known[kind]))
            shape = tuple(value.shape) if has_shape(value) else () if isinstance(value, (int, float)) else None
            if shape != tuple(variable.shape):
                raise ShapeError(
                    f"The value of {path!r} in {kind} has another shape.", expected=str(tuple(variable.shape)),
                    got=shown(value) if shape is None else str(shape),
                )  # fmt: skip
            wanted.append((variable, value))
    for variable, value in wanted:
        variable.assign(value)


def _variables(model: Trainer) -> dict[str, dict[str, Variable]]:
    """Return variables by path, in Keras's four kinds."""
    trained = set(model.trainable_weights)
    weights = weight_paths(model)
    metrics = [(f"{metric.name}/{each.name}", each) for metric in training.leaf_metrics(model) for each in metric.variables]
    optimizer = [] if model.optimizer is None else [(each.path, each) for each in model.optimizer.variables]
    return {
        "trainable_variables": {path: weight for path, weight in weights.items() if weight in trained},
        "non_trainable_variables": {path: weight for path, weight in weights.items() if weight not in trained},
        "optimizer_variables": _distinct(optimizer),
        "metrics_variables": _distinct(metrics),
    }


def _distinct(variables: Sequence[tuple[str, Variable]]) -> dict[str, Variable]:
    found = dict(variables)
    if len(found) != len(variables):
        path = next(path for path, variable in variables if found[path] is not variable)
        raise ArgumentError(
            "Two variables of the model have one path, so a nest of names cannot hold both.", got=repr(path),
            repair="give layers and metrics names of their own; or model.save_weights(…), BackupAndRestore",
        )  # fmt: skip
    return found


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in flat.items():
        *parts, last = path.split("/")
        inner = found
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return found


def _flat(nest: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in nest.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _nest(state_tree: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = state_tree.get(kind, {})
    if not isinstance(found, Mapping):
        raise ArgumentTypeError(f"{kind} of a state must be a dict of values by name.", got=shown(found))
    return found
