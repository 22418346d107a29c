"""A model's variables as Keras's files have them: to groups of arrays, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Protocol, cast

from anabranch import runtime
from anabranch.graph import AnyModel, Operation, Weight
from anabranch.graph.call_site import warn
from anabranch.saving import keras_paths, matching
from anabranch.saving.hdf5 import Group
from anabranch.saving.matching import Stored, Wanted

OPTIMIZER = "optimizer/"
_RATE = f"{OPTIMIZER}vars/1"
_METRICS = "metrics/"  # whose counts Keras 2 saved
_COUNTS = 2  # variables of an optimizer that has not seen any weights: the iteration, the learning rate


class Optimizer(Protocol):
    """An optimizer, as far as it is saved."""

    name: str

    @property
    def _variables_by_path_(self) -> Mapping[str, list[Weight]]:
        """The variables of the optimizer, under "", and of those inside it."""

    def build(self, weights: list[Weight]) -> None:
        """Take charge of weights."""


class OwnVariables(Protocol):
    """A layer whose author says what files hold of it."""

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Put arrays into ``store``."""

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take them from it."""


class Compiled(AnyModel, Protocol):
    """A model that may be compiled."""

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimizer; None before ``compile``."""


def groups(model: Compiled, *, optimizer: bool = True) -> Iterator[Group]:
    """Yield what a file holds of each layer, and of the optimizer."""
    yield from layer_groups(cast("Operation", model))
    if optimizer and model.optimizer is not None:
        if model.built:
            model.optimizer.build(model.trainable_weights)  # so that its state is whole, which Keras wants
        for path, weights in model.optimizer._variables_by_path_.items():
            yield _group(f"{OPTIMIZER}{path}vars", model.optimizer.name, weights)


def layer_groups(whole: Operation) -> Iterator[Group]:
    """Yield what a file holds of each layer."""
    for path, layer, weights in keras_paths.owned(whole):
        if layer._writes_variables_:
            store: dict[str, Any] = {}
            cast("OwnVariables", layer).save_own_variables(store)
            yield Group(path, layer.name, {name: _of_value(value) for name, value in store.items()})
        else:
            yield _group(path, layer.name, weights)


def _group(path: str, name: str | None, weights: Sequence[Weight]) -> Group:
    return Group(path, name, {str(index): matching.of_weight(weight) for index, weight in enumerate(weights)})


def _of_value(value: object) -> Stored:
    """Return an array of the author's as one of a file."""
    if isinstance(value, Weight):
        return matching.of_weight(value)
    return matching.of_array(runtime.as_tensor(value).detach().cpu().numpy())


def load(model: Compiled, stored: Mapping[str, Stored], *, source: str, skip_mismatch: bool = False) -> None:
    """Set a model's weights from the arrays of a file, and the state of its optimizer where both have one."""
    state = {path: each for path, each in stored.items() if path.startswith(OPTIMIZER)}
    arrays = {path: each for path, each in stored.items() if path not in state and not path.startswith(_METRICS)}
    load_layers(cast("Operation", model), arrays, source=source, owner=f"model {model.name!r}", skip_mismatch=skip_mismatch)
    load_optimizer(model, state, source)


def load_layers(
    whole: Operation, arrays: dict[str, Stored], *, source: str, owner: str, skip_mismatch: bool = False
) -> None:  # fmt: skip
    """Set the weights of the layers that one holds from the arrays of a file.

    Args:
        whole: what holds them.
        arrays: of the file, by path.
        source: what errors call the file.
        owner: what errors call ``whole``.
        skip_mismatch: whether what does not fit is left out with a warning.
    """
    owned = list(keras_paths.owned(whole))
    wanted = {
        f"{path}/{index}": Wanted(weight, weight.path, path)
        for path, layer, weights in owned
        for index, weight in enumerate(weights)
        if not layer._writes_variables_
    }
    own = {path: cast("OwnVariables", layer) for path, layer, _ in owned if layer._writes_variables_}
    stores: dict[str, dict[str, Stored]] = {path: {} for path in own}
    for path in list(arrays) if own else ():
        group, _, name = path.rpartition("/")
        if group in stores:
            stores[group][name] = arrays.pop(path)
    matching.fill(wanted, arrays, source=source, owner=owner, skip_mismatch=skip_mismatch)
    for path, layer in own.items():
        layer.load_own_variables({name: each.read() for name, each in stores[path].items()})


def load_optimizer(model: Compiled, stored: Mapping[str, Stored], source: str) -> None:
    """Set the state of a model's optimizer where it has one, and the file has its arrays: ``optimizer/vars/0``, …."""
    optimizer = model.optimizer
    if optimizer is None or not stored:
        return
    if all(path.rpartition("/")[2] in ("0", "1") for path in stored):  # it had not trained
        count = _COUNTS
    else:
        optimizer.build(model.trainable_weights)
        count = None
    wanted = {
        f"{OPTIMIZER}{path}vars/{index}": Wanted(weight, weight.path, path)
        for path, weights in optimizer._variables_by_path_.items()
        for index, weight in enumerate(weights[:count])
    }
    if len(stored) == len(wanted) - 1:  # Keras 2 has no variable for the learning rate
        stored = {_after_rate(path): each for path, each in stored.items()}
        del wanted[_RATE]
    if {path: each.weight.shape for path, each in wanted.items()} != {path: each.shape for path, each in stored.items()}:
        warn(
            f"The state of the optimizer in {source} is not that of {optimizer.name}, which begins anew: "
            f"{len(stored)} arrays in the file, {len(wanted)} variables."
        )
        return
    matching.fill(wanted, stored, source=source, owner=f"optimizer {optimizer.name!r}")


def _after_rate(path: str) -> str:
    group, _, index = path.rpartition("/")
    return path if index == "0" else f"{group}/{int(index) + 1}"
