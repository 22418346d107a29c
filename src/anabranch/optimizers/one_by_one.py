"""Optimizers in Keras's protocol: ``build`` adds variables, ``update_step`` updates one weight from its gradient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch

from anabranch import config, initializers, runtime
from anabranch._arguments import can_be_iterated, checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError, ShapeError
from anabranch._frames import bound_methods
from anabranch.graph import Home, Weight, WeightOptions
from anabranch.optimizers.update import ListUpdate, Number
from anabranch.optimizers.variables import Updating

_AGGREGATIONS = (None, "none", "mean", "sum", "only_first_replica")


@bound_methods
class OneByOne:
    """What an optimizer of Keras's calls in its ``build`` and ``update_step``. Abstract: a base of Optimizer."""

    def _begin_variables_(self) -> None:
        self.built = False
        self._added_: list[Weight] = []
        self._before_build_: int | None = None  # how many were added before the first build
        self._reusable_: list[Weight] = []

    @property
    def _added_variables_(self) -> list[Weight]:
        """What ``add_variable`` returned, in order."""
        return list(self._added_)

    @property
    def _updates_lists_(self) -> bool:
        """Whether ``update_weights`` updates all weights at once; ``update_step`` one, or an optimizer of torch's otherwise."""
        own = type(self).update_step is OneByOne.update_step
        return own and isinstance(cast("Updating", self)._engine_, ListUpdate)

    def _reuse_variables_(self) -> None:
        """Let those that were added in an earlier ``build`` be found again by ``add_variable``, with their values."""
        if self._before_build_ is None:
            self._before_build_ = len(self._added_)
        self._reusable_ = self._added_[self._before_build_ :]
        self.built = True

    @checked
    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: str | None = None,
        aggregation: str | None = "none",
        layout: None = None,
        name: str | None = None,
    ) -> Weight:
        """Add a variable, which is saved with the optimizer; in a later ``build`` the one of that name and shape is returned.

        Args:
            shape: its shape.
            initializer: its initial value: a name, config or object.
            dtype: its dtype; ``config.floatx()`` unless given.
            aggregation: accepted for compatibility with Keras, and without effect: all processes have the same state.
            layout: None.
            name: its name.

        Example:
            >>> from anabranch.optimizers import Optimizer
            >>> Optimizer(0.1).add_variable((2,), "ones", name="scale").path
            'optimizer/scale'
        """
        if aggregation not in _AGGREGATIONS:
            raise ArgumentError(
                "aggregation of add_variable is not known.", expected=", ".join(map(repr, _AGGREGATIONS)), got=repr(aggregation)
            )
        sizes, kind = tuple(shape), dtype or config.floatx()
        for position, each in enumerate(self._reusable_):
            if (each.name, each.shape, each.dtype) == (name or "variable", sizes, kind):
                return self._reusable_.pop(position)
        options = WeightOptions(initializers.get(initializer), trainable=False)
        home = Home(str(cast("Updating", self).name))
        made = Weight(name or "variable", sizes, kind, options, home, runtime)
        self._added_.append(made)
        return made

    @checked
    def add_variable_from_reference(
        self, reference_variable: Weight, name: str | None = None, initializer: Any = "zeros"
    ) -> Weight:
        """Add a variable of the shape and dtype of a weight.

        Args:
            reference_variable: the weight.
            name: what its name ends with; "var" unless given.
            initializer: its initial value: a name, config or object.

        Example:
            >>> from anabranch import layers, optimizers
            >>> weight = layers.Layer().add_weight((2,), name="bias")
            >>> optimizers.Optimizer(0.1).add_variable_from_reference(weight, "mean").shape
            (2,)
        """
        full = f"{reference_variable.path.replace('/', '_')}_{name or 'var'}"
        return self.add_variable(reference_variable.shape, initializer, reference_variable.dtype, name=full)

    @checked
    def add_optimizer_variables(
        self, trainable_variables: Iterable[Weight], name: str | Sequence[str], initializer: Any = "zeros"
    ) -> list[Weight] | tuple[list[Weight], ...]:
        """Add a variable for each weight; or one for each weight and name.

        Args:
            trainable_variables: the weights.
            name: what the names end with; a list of names gives a list of variables for each.
            initializer: the initial value, or a list of one for each name.

        Example:
            >>> from anabranch import layers, optimizers
            >>> weights = [layers.Layer().add_weight((2,)), layers.Layer().add_weight((3,))]
            >>> [each.shape for each in optimizers.Optimizer(0.1).add_optimizer_variables(weights, "momentum")]
            [(2,), (3,)]
        """
        names = [name] if isinstance(name, str) else list(name)
        values = list(initializer) if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        if len(values) != len(names):
            raise ArgumentError(
                "initializer must be one, or one for each name.", expected=f"{len(names)} initializers", got=str(len(values))
            )
        found: tuple[list[Weight], ...] = tuple([] for _ in names)
        for weight in trainable_variables:
            for made, each, value in zip(found, names, values, strict=True):
                made.append(self.add_variable_from_reference(weight, each, value))
        return found[0] if isinstance(name, str) else found

    @checked
    def assign(self, variable: Weight, value: object) -> None:
        """Set a weight or variable.

        Args:
            variable: the weight or variable.
            value: its new value, in its shape.

        Example:
            >>> from anabranch.optimizers import Optimizer
            >>> optimizer = Optimizer(0.1)
            >>> total = optimizer.add_variable(())
            >>> optimizer.assign(total, 2.0)
            >>> float(total.numpy())
            2.0
        """
        variable.assign(value)

    @checked
    def assign_add(self, variable: Weight, value: object) -> None:
        """Add to a weight or variable.

        Args:
            variable: the weight or variable.
            value: what is added.

        Example:
            >>> from anabranch.optimizers import Optimizer
            >>> optimizer = Optimizer(0.1)
            >>> total = optimizer.add_variable((), "ones")
            >>> optimizer.assign_add(total, 2.0)
            >>> float(total.numpy())
            3.0
        """
        variable.assign_add(value)

    @checked
    def assign_sub(self, variable: Weight, value: object) -> None:
        """Subtract from a weight or variable.

        Args:
            variable: the weight or variable.
            value: what is subtracted.

        Example:
            >>> from anabranch.optimizers import Optimizer
            >>> optimizer = Optimizer(0.1)
            >>> total = optimizer.add_variable((), "ones")
            >>> optimizer.assign_sub(total, 2.0)
            >>> float(total.numpy())
            -1.0
        """
        variable.assign_sub(value)

    def _get_variable_index(self, variable: Weight) -> int:
        """Return which of ``weights`` one is; Keras's optimizers call this in ``update_step``."""
        for index, weight in enumerate(cast("Updating", self).weights):
            if weight is variable:
                return index
        raise ArgumentError(
            "That weight is none that the optimizer was built with.", got=shown(variable),
            repair="optimizer.build(weights) of all weights that it updates",
        )  # fmt: skip

    @torch.no_grad()
    def update_step(self, gradient: torch.Tensor, variable: Weight, learning_rate: Number) -> None:
        """Update one weight from its gradient. A subclass that overrides this updates weight by weight.

        Args:
            gradient: the gradient, with the axes of the weight.
            variable: the weight, one that the optimizer was built with.
            learning_rate: the learning rate.

        Example:
            >>> from anabranch import layers, optimizers
            >>> weight = layers.Layer().add_weight((2,), "ones")
            >>> optimizer = optimizers.SGD()
            >>> optimizer.build([weight])
            >>> optimizer.update_step(torch.ones(2), weight, 0.5)
            >>> weight.value.tolist()
            [0.5, 0.5]
        """
        optimizer, index = cast("Updating", self), self._get_variable_index(variable)
        engine = optimizer._engine_
        if not isinstance(engine, ListUpdate):
            raise ArgumentTypeError("An optimizer of torch's updates all weights at once.", repair="optimizer.apply(gradients)")
        given = variable.to_native(gradient)
        optimizer._set_rate_(float(learning_rate))
        size = optimizer._numbers_.current[1]
        engine.update([given if each == index else None for each in range(len(optimizer.weights))], size)

    @checked
    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return what one update would make of weights and variables, and leave these as they are.

        Args:
            optimizer_variables: a value for each of ``variables``.
            grads: a gradient for each of these values.
            trainable_variables: a value for each weight, axes in Keras's order, as ``weight[...]`` has them.

        Returns:
            The new values of the weights, and those of the variables.

        Example:
            >>> from anabranch import layers, optimizers
            >>> weight = layers.Layer().add_weight((2,), "ones")
            >>> optimizer = optimizers.SGD(0.5)
            >>> optimizer.build([weight])
            >>> values, state = optimizer.stateless_apply(optimizer.variables, [torch.ones(2)], [weight])
            >>> values[0].tolist(), weight.value.tolist()
            ([0.5, 0.5], [1.0, 1.0])
        """
        optimizer = cast("Updating", self)
        if not self.built:
            raise NotReadyError("The optimizer has no weights.", repair="optimizer.build(model.trainable_weights) first")
        weights = optimizer.weights
        if len(trainable_variables) != len(weights):
            raise ArgumentError(
                "trainable_variables must have a value for each weight.", expected=str(len(weights)),
                got=str(len(trainable_variables)),
            )  # fmt: skip
        if len(grads) != len(weights):
            raise ArgumentError("grads must have a gradient for each weight.", expected=str(len(weights)), got=str(len(grads)))
        before = values_of(weights), values_of(optimizer.variables)
        try:
            optimizer.set_weights(values_of(optimizer_variables))
            for weight, value in zip(weights, values_of(trainable_variables), strict=True):
                weight.assign(value)
            optimizer.apply([_native(weight, each) for weight, each in zip(weights, grads, strict=True)], weights)
            return values_of(weights), values_of(optimizer.variables)
        finally:
            for weight, value in zip(weights, before[0], strict=True):
                weight.assign(value)
            optimizer.set_weights(before[1])

    @checked
    def finalize_variable_values(self, var_list: Iterable[Weight]) -> None:
        """Put the moving averages in the place of these weights, where there are any.

        Args:
            var_list: the weights.

        Example:
            >>> from anabranch import layers, optimizers
            >>> weight = layers.Layer().add_weight((2,), "ones")
            >>> optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
            >>> for _ in range(2):
            ...     optimizer.apply([torch.ones(2)], [weight])
            >>> optimizer.finalize_variable_values([weight])
            >>> weight.value.tolist()
            [-0.5, -0.5]
        """
        optimizer = cast("Updating", self)
        weights = list(var_list) if can_be_iterated(var_list) else []
        if not can_be_iterated(var_list) or not all(isinstance(weight, Weight) for weight in weights):
            raise ArgumentTypeError("Expected weights.", expected="model.trainable_weights", got=shown(var_list))
        if optimizer.use_ema:
            optimizer._averages_.put([cast("torch.nn.Parameter", weight.value) for weight in weights])

    def _load_added_(self, values: Sequence[torch.Tensor]) -> None:
        if len(values) != len(self._added_):
            raise ArgumentError(
                "That state belongs to another optimizer or other weights.",
                got=f"{len(values)} variables", expected=f"{len(self._added_)} variables, which build adds",
            )  # fmt: skip
        for variable, value in zip(self._added_, values, strict=True):
            variable.assign(value)


def _native(weight: Weight, gradient: Any) -> Any:
    """Return the gradient of a value in Keras's axis order in torch's layout; None for none."""
    if gradient is None:
        return None
    tensor = runtime.as_tensor(gradient)
    if tensor.shape != weight.shape:
        raise ShapeError(f"The gradient of {weight.path!r} has another shape.", expected=str(weight.shape), got=shown(gradient))
    return weight.to_native(tensor)


def values_of(variables: Iterable[Any]) -> list[torch.Tensor]:
    """Return copies of the values of weights; tensors and arrays become tensors."""
    found = (each.engine.shown(each).detach() if isinstance(each, Weight) else each for each in variables)
    try:
        return [torch.as_tensor(each).clone() for each in found]
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentTypeError("The values of variables are tensors or arrays.", got=shown(variables)) from error
