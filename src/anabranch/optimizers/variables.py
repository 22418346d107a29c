"""What an optimizer holds, as weights that can be read and assigned, in Keras's order of axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import torch

from anabranch import runtime
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch._frames import bounded
from anabranch.graph import Home, Weight, WeightOptions
from anabranch.optimizers.numbers import StepNumbers
from anabranch.optimizers.parts import Accumulated, Averages
from anabranch.optimizers.update import ListUpdate


class Updating(Protocol):
    """An optimizer, for its bases."""

    name: object
    learning_rate: object
    weights: Any
    use_ema: bool
    gradient_accumulation_steps: int | None
    _engine_: torch.optim.Optimizer | None
    _averages_: Averages
    weight_decay: float | None
    _accumulated_: Accumulated
    _numbers_: StepNumbers

    @property
    def variables(self) -> list[Weight]:
        """As in Optimizer."""

    def build(self, weights: Sequence[Weight]) -> None:
        """As in Optimizer."""

    def set_weights(self, weights: Sequence[Any]) -> None:
        """As in Optimizer."""

    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[Weight]) -> None:
        """As in Optimizer."""

    def _set_rate_(self, rate: float) -> None:
        """As in Optimizer."""

    @property
    def _added_variables_(self) -> list[Weight]:
        """As in Optimizer."""

    def _shown_slots_(self) -> list[list[Slot]]:
        """As in Optimizer."""

    def _own_variables_(self, home: Home) -> list[Weight]:
        """As in Optimizer."""


class _Shown:
    """What weights of every engine here have in common: which values they take. Abstract."""

    as_tensor = staticmethod(runtime.as_tensor)
    shape_of = staticmethod(runtime.shape_of)
    note_change = staticmethod(runtime.note_change)
    remember = staticmethod(runtime.remember)
    in_keras_order = staticmethod(runtime.in_keras_order)


class _Attribute(_Shown):
    """The engine of a weight that is an attribute of an optimizer: reads and sets it."""

    def __init__(self, optimizer: Any, attribute: str) -> None:
        self._optimizer, self._attribute = optimizer, attribute

    def native(self, weight: Weight) -> torch.Tensor:
        """Return the number as a scalar tensor."""
        return torch.tensor(getattr(self._optimizer, self._attribute), dtype=getattr(torch, weight.dtype))

    shown = native

    def write(self, weight: Weight, value: object) -> None:
        """Set the number."""
        setattr(self._optimizer, self._attribute, value.item() if isinstance(value, torch.Tensor) else value)


class _Measured(_Shown):
    """The engine of a weight that shows another measure of a tensor: ``factor * value + offset``, in double precision."""

    def __init__(self, factor: float, offset: float) -> None:
        self._factor, self._offset = factor, offset

    def native(self, weight: Weight) -> torch.Tensor:
        """Return the measure in torch's layout."""
        return self._measured(runtime.native(weight))

    def shown(self, weight: Weight) -> torch.Tensor:
        """Return the measure in Keras's axis order."""
        return self._measured(runtime.shown(weight))

    def _measured(self, value: torch.Tensor) -> torch.Tensor:
        return value.double() * self._factor + self._offset if self._offset else value * self._factor

    def write(self, weight: Weight, value: object) -> None:
        """Set what the measure follows from."""
        measure = runtime.as_tensor(value)
        runtime.write(weight, (measure.double() - self._offset) / self._factor if self._offset else measure / self._factor)


class _Computed(_Shown):
    """The engine of a weight that follows from others: setting it changes nothing, as what it follows from is set too."""

    def __init__(self, made: Callable[[], torch.Tensor]) -> None:
        self._made = made

    def native(self, weight: Weight) -> torch.Tensor:
        """Return the value."""
        return self._made().to(getattr(torch, weight.dtype))

    shown = native

    def write(self, weight: Weight, value: object) -> None:
        """Let it be."""


class Slot(NamedTuple):
    """How one of an optimizer's slots is shown: under Keras's name, as ``factor * value + offset``."""

    slot: str
    name: str
    factor: float = 1.0
    offset: float = 0.0


def variables_of(optimizer: Updating) -> list[Weight]:
    """Return what Keras's optimizer of that kind has, in its order, with its values.

    These are how many batches there were, the learning rate where a number sets it, each weight's average and accumulated
    gradient, and its slots: all weights' of one group of slots before those of the next.
    """
    home = Home(str(optimizer.name))
    found = [_number(optimizer, "iteration", "_batches_", "int64", home)]
    if isinstance(vars(optimizer).get(":learning_rate", 0.0), float):
        found.append(_number(optimizer, "learning_rate", "learning_rate", "float64", home))
    weights = optimizer.weights
    if optimizer.use_ema:
        averages = optimizer._averages_.values
        found += [
            _held(w, Slot("", "average"), averages.setdefault(w.tensor, w.tensor.detach().clone()), home) for w in weights
        ]
    if optimizer.gradient_accumulation_steps:
        sums, slot = optimizer._accumulated_.sums, Slot("", "gradient_accumulator")
        found += [_held(w, slot, sums.setdefault(w.tensor, torch.zeros_like(w.tensor)), home) for w in weights]
    return found + optimizer._own_variables_(home)


def own_counts(optimizer: object, name: str) -> list[Weight]:
    """Return the variables of an optimizer that holds others: the count of updates, and a learning rate without effect."""
    home = Home(name)
    unused = computed("learning_rate", (), lambda: torch.zeros(()), home)
    return [_number(optimizer, "iteration", "iterations", "int64", home), unused]


def slot_variables(optimizer: Updating, home: Home) -> list[Weight]:
    """Return the slots of all weights: those of one group of slots before those of the next."""
    engine, found = optimizer._engine_, list[Weight]()
    if isinstance(engine, ListUpdate):
        engine.state_tensors()  # which makes them
    state = engine.state if engine is not None else {}
    for group in optimizer._shown_slots_() or [
        [Slot(name, name)] for name in dict.fromkeys(k for s in state.values() for k in s)
    ]:
        for weight in optimizer.weights:
            held = state.get(weight.tensor, {})
            for slot in group:
                value = held.get(slot.slot)
                if isinstance(value, torch.Tensor) and value.shape == weight.tensor.shape:
                    found.append(_held(weight, slot, value, home))
    return found


class Variables:
    """The variables of an optimizer, and their values to arrays and back. Abstract: a base of Optimizer."""

    @property
    def variables(self) -> list[Weight]:
        """The count of batches, the learning rate where it is a number, each weight's state: Keras's, in its order."""
        return variables_of(cast("Updating", self))

    @bounded
    def _own_variables_(self, home: Home) -> list[Weight]:
        """Return the part of ``variables`` that this kind of optimizer adds: all slots, and what it added itself.

        Args:
            home: whose path their paths begin with.

        Example:
            >>> from anabranch.graph import Home
            >>> from anabranch.optimizers import SGD
            >>> SGD()._own_variables_(Home("sgd"))
            []
        """
        updating = cast("Updating", self)
        return slot_variables(updating, home) + updating._added_variables_

    @property
    def _variables_by_path_(self) -> dict[str, list[Weight]]:
        """The variables of this optimizer, under "", and of those inside it, as files have them."""
        return {"": self.variables}

    @bounded
    def _put_averages_(self) -> Callable[[], None]:
        """Put the moving averages in the weights' place, and return the function that puts the weights back.

        Example:
            >>> from anabranch import layers, optimizers
            >>> weight = layers.Layer().add_weight((2,), "ones")
            >>> optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
            >>> for _ in range(2):
            ...     optimizer.apply([torch.ones(2)], [weight])
            >>> put_back = optimizer._put_averages_()
            >>> weight.value.tolist()
            [-0.5, -0.5]
            >>> put_back()
            >>> weight.value.tolist()
            [-1.0, -1.0]
        """
        averages = cast("Updating", self)._averages_
        parameters = list(averages.values)
        values = [parameter.detach().clone() for parameter in parameters]
        averages.put(parameters)

        @torch.no_grad()
        def put_back() -> None:
            for parameter, value in zip(parameters, values, strict=True):
                parameter.copy_(value)

        return put_back

    @checked
    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Put the values of all variables into ``store``, as "0", "1", ….

        Args:
            store: arrays by name.

        Example:
            >>> from anabranch import optimizers
            >>> store = {}
            >>> optimizers.SGD(0.5).save_own_variables(store)
            >>> {name: float(value) for name, value in store.items()}
            {'0': 0.0, '1': 0.5}
        """
        if not isinstance(store, MutableMapping):
            raise ArgumentTypeError("store of save_own_variables must be a dict.", got=shown(store))
        store.update((str(index), weight.numpy()) for index, weight in enumerate(self.variables))

    @checked
    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Set what ``save_own_variables`` put into ``store``; ``build`` comes first.

        Args:
            store: arrays by name.

        Raises:
            ArgumentError: there is not one array for each variable.

        Example:
            >>> from anabranch import optimizers
            >>> optimizer = optimizers.SGD()
            >>> optimizer.load_own_variables({"0": 7, "1": 0.5})
            >>> optimizer.iterations, optimizer.learning_rate
            (7, 0.5)
        """
        names = [str(index) for index in range(len(self.variables))]
        if set(store) != set(names):
            raise self._unequal_("store", len(store))
        self.set_weights([store[name] for name in names])

    @checked
    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all variables, in their order.

        Args:
            weights: an array for each; nothing changes unless all shapes fit.

        Example:
            >>> from anabranch import optimizers
            >>> optimizer = optimizers.SGD()
            >>> optimizer.set_weights([7, 0.5])
            >>> optimizer.learning_rate
            0.5
        """
        variables = self.variables
        if len(weights) != len(variables):
            raise self._unequal_("weights", len(weights))
        for variable, value in zip(variables, weights, strict=True):
            if runtime.as_tensor(value).shape != variable.shape:
                raise ShapeError(
                    f"The value of {variable.path!r} has another shape.", expected=str(variable.shape), got=shown(value)
                )
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def _unequal_(self, argument: str, count: int) -> ArgumentError:
        return ArgumentError(
            f"{argument} must have an array for each of the {len(self.variables)} variables of {type(self).__name__}.",
            got=f"{count} arrays",
            expected=", ".join(weight.path for weight in self.variables)[:400],
            repair="optimizer.build(model.trainable_weights) first, which makes the state of each weight",
        )


def _number(optimizer: Any, name: str, attribute: str, dtype: str, home: Home) -> Weight:
    return Weight(name, (), dtype, _UNTRAINED, home, _Attribute(optimizer, attribute))


def _held(weight: Weight, slot: Slot, value: torch.Tensor, home: Home) -> Weight:
    engine = runtime if slot[2:] == (1.0, 0.0) else _Measured(*slot[2:])
    return held(f"{weight.path.replace('/', '_')}_{slot.name}", value, home, weight, engine)


def computed(name: str, shape: tuple[int, ...], made: Callable[[], torch.Tensor], home: Home) -> Weight:
    """Return what follows from other variables, and is in files of Keras's all the same, as a weight."""
    return Weight(name, shape, "float32", _UNTRAINED, home, _Computed(made))


def held(name: str, value: torch.Tensor, home: Home, like: Weight | None = None, engine: Any = runtime) -> Weight:
    """Return a tensor of an optimizer as a weight, which has the axes of ``like``."""
    shape, axes = (like.shape, like.axes) if like is not None else (tuple(value.shape), None)
    found = Weight(name, shape, str(value.dtype).removeprefix("torch."), _UNTRAINED, home, engine, axes)
    found.tensor = value
    return found


def _unasked(shape: Any, dtype: Any = None) -> Any:
    raise NotImplementedError("the state of an optimizer has values already")


_UNTRAINED = WeightOptions(_unasked, trainable=False)
