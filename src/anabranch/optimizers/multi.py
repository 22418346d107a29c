"""Several optimizers for one model: each weight has that which a map gives to its path."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeAlias

from anabranch import _custom_objects, registry
from anabranch._arguments import checked, guarded
from anabranch._asked import shown
from anabranch._docstrings import described
from anabranch._errors import ArgumentError, ArgumentTypeError, MissingAttributeError
from anabranch._fields import Field, field
from anabranch._frames import bound_methods
from anabranch.graph import Weight, snake_case
from anabranch.optimizers.loss_scale import LossScaleOptimizer
from anabranch.optimizers.optimizer import Optimizer, follow
from anabranch.optimizers.variables import own_counts

Choice: TypeAlias = "OptimizerMap | Callable[[Weight], Optimizer]"


def _single(value: object, what: str) -> Optimizer:
    found = registry.deserialize(value) if isinstance(value, Mapping) else value
    if not isinstance(found, Optimizer) or isinstance(found, (LossScaleOptimizer, MultiOptimizer)):
        raise ArgumentTypeError(
            f"{what} must be an optimizer that updates weights itself.", expected="e.g. optimizers.Adam()", got=shown(value)
        )
    return found


@bound_methods
class OptimizerMap(MutableMapping[str, Optimizer]):
    """Which optimizer updates which weight: a path, or a pattern that all of a path matches, means its optimizer.

    Args:
        default_optimizer: the optimizer of weights that no entry means.
        optimizer_map: the entries.

    Example:
        >>> from anabranch.optimizers import SGD, Adam
        >>> choice = OptimizerMap(SGD(), {"encoder/.*": Adam()})
        >>> choice["encoder/dense/kernel"], choice["head/kernel"]
        (Adam(), SGD())
    """

    @checked
    def __init__(
        self, default_optimizer: Optimizer | Mapping[str, Any], optimizer_map: Mapping[str, Any] | None = None
    ) -> None:
        self.default_optimizer = _single(default_optimizer, "default_optimizer of OptimizerMap")
        self._entries: dict[str, Optimizer] = {}
        for key, value in (optimizer_map or {}).items():
            self[key] = value

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._entries:
            return self._entries[key]
        found = [pattern for pattern in self._entries if re.fullmatch(pattern, key)]
        if len(found) > 1:
            raise ArgumentError(f"Several entries of the OptimizerMap mean {key!r}.", got=", ".join(map(repr, found)))
        return self._entries[found[0]] if found else self.default_optimizer

    def __setitem__(self, key: str, value: Optimizer | Mapping[str, Any]) -> None:
        if not isinstance(key, str):
            raise ArgumentError("A key of an OptimizerMap must be a path or a pattern.", got=shown(key))
        if key in self._entries:
            raise ArgumentError(f"The OptimizerMap has an entry for {key!r}.", repair=f"del optimizer_map[{key!r}] first")
        try:
            re.compile(key)
        except re.error as error:
            raise ArgumentError("A key of an OptimizerMap must be a path or a pattern.", got=repr(key)) from error
        try:
            self._entries[key] = _single(value, f"The optimizer for {key!r}")
        except ArgumentTypeError as error:
            raise ArgumentError(error.fact, expected=error.expected, got=error.got) from None  # as in Keras, a ValueError

    def __delitem__(self, key: str) -> None:
        if key not in self._entries:
            raise ArgumentError(f"The OptimizerMap has no entry for {key!r}.", got=", ".join(map(repr, self)) or "no entries")
        del self._entries[key]

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __call__(self, weight: Weight) -> Optimizer:
        """Return the optimizer of a weight."""
        return self[weight.path]

    def _replaced(self, twins: Mapping[int, Optimizer]) -> OptimizerMap:
        """Return a map of the same keys, each optimizer replaced by its twin."""
        return OptimizerMap(twins[id(self.default_optimizer)], {key: twins[id(each)] for key, each in self._entries.items()})

    def get_config(self) -> dict[str, Any]:
        """Return the optimizers as data.

        Example:
            >>> from anabranch.optimizers import SGD
            >>> OptimizerMap(SGD()).get_config()["optimizer_map"]
            {}
        """
        return {
            "default_optimizer": registry.serialize(self.default_optimizer),
            "optimizer_map": {key: registry.serialize(value) for key, value in self._entries.items()},
        }

    @classmethod
    @checked
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make a map from what ``get_config`` returned.

        Args:
            config: the data.
            custom_objects: the caller's own optimizers by name.

        Example:
            >>> from anabranch.optimizers import SGD
            >>> OptimizerMap.from_config(OptimizerMap(SGD(0.5)).get_config()).default_optimizer.learning_rate
            0.5
        """
        with _custom_objects.scope(custom_objects):
            return cls(**config)


def _choice(value: Any, owner: object, name: str) -> Choice:
    if isinstance(value, Mapping) and not isinstance(value, OptimizerMap):
        value = registry.deserialize(value)
    if not isinstance(value, OptimizerMap) and not callable(value):
        raise ArgumentTypeError(
            f"{name} of MultiOptimizer must be an OptimizerMap or a function of a weight.", got=shown(value)
        )
    return value  # type: ignore[no-any-return]  # a map, or a function, whose results are checked


def _plain(value: Any) -> registry.Json:
    return (
        registry.described(OptimizerMap, value.get_config()) if isinstance(value, OptimizerMap) else registry.serialize(value)
    )


def _none_here(name: str) -> Any:
    def refuse(self: Optimizer, *value: object) -> NoReturn:
        raise MissingAttributeError(
            f"A MultiOptimizer has no {name} of its own.", repair=f"[each.{name} for each in optimizer.optimizers]"
        )

    return property(refuse, refuse, doc=f"An error: each of ``optimizers`` has a ``{name}``.")


class MultiOptimizer(Optimizer):
    """Let each weight be updated by the optimizer that a map, or a function of the weight, gives it.

    Example:
        >>> from anabranch.optimizers import SGD, Adam, OptimizerMap
        >>> optimizer = MultiOptimizer(OptimizerMap(SGD(), {"encoder/.*": Adam()}))
        >>> optimizer.optimizers
        [Adam(), SGD()]
    """

    optimizer_map: Field[Choice | Mapping[str, Any], Choice] = field(
        convert=_choice,
        plain=_plain,
        fixed=True,
        kw_only=True,
        doc="an OptimizerMap, or a function of a weight that returns its optimizer.",
    )
    loss_scale_factor = Optimizer.loss_scale_factor
    name = Optimizer.name

    learning_rate = _none_here("learning_rate")
    weight_decay, clipnorm, clipvalue, global_clipnorm = (None,) * 4
    use_ema, ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps = False, 0.99, None, None

    if TYPE_CHECKING:

        def __init__(
            self, optimizer_map: Choice | Mapping[str, Any], loss_scale_factor: float | None = None, name: str | None = None
        ) -> None: ...

    def _check_(self) -> None:
        chosen = self.optimizer_map
        given = [*chosen.values(), chosen.default_optimizer] if isinstance(chosen, OptimizerMap) else []
        self._optimizers: list[Optimizer] = []
        for each in given:
            self._include(each)
        self._begin_()

    def _begin_(self) -> None:
        super()._begin_()
        self._due: list[Optimizer] = []  # which update in this step; others accumulate

    def _include(self, optimizer: Optimizer) -> None:
        if all(each is not optimizer for each in self._optimizers):
            if optimizer.loss_scale_factor != self.loss_scale_factor:
                optimizer.loss_scale_factor = self.loss_scale_factor
            self._optimizers.append(optimizer)

    def _changing_(self, changed: Field[Any, Any], value: Any) -> None:
        """Let the optimizers divide by the same factor."""
        super()._changing_(changed, value)
        if changed.name == "loss_scale_factor":
            for each in self._optimizers:
                each.loss_scale_factor = value

    def _renewed_(self) -> Self:
        """Return an optimizer of the same settings that has seen no weights."""
        new, twins = copy.copy(self), {id(each): each._renewed_() for each in self._optimizers}
        new._optimizers = list(twins.values())
        if isinstance(self.optimizer_map, OptimizerMap):
            vars(new)[":optimizer_map"] = self.optimizer_map._replaced(twins)
        new._begin_()
        return new

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers that update the weights."""
        return list(self._optimizers)

    def _rate_now_(self) -> float:
        """Raise: each of ``optimizers`` has a learning rate."""
        raise MissingAttributeError(
            "A MultiOptimizer has no learning rate of its own.", repair="[each.learning_rate for each in optimizer.optimizers]"
        )

    def build(self, weights: Sequence[Weight]) -> None:
        """Give each weight to its optimizer.

        Args:
            weights: the weights that ``step`` updates from now on.
        """
        self._take_charge_(weights)
        shares: dict[int, list[Weight]] = {}
        for weight in weights:
            optimizer = _single(self.optimizer_map(weight), f"The optimizer of {weight.path!r}")
            self._include(optimizer)
            shares.setdefault(id(optimizer), []).append(weight)
        for each in self._optimizers:
            follow(each, shares.get(id(each), []))

    @property
    def variables(self) -> list[Weight]:
        """As in Keras: the iteration, a learning rate without effect, and the variables of the optimizers."""
        return [*own_counts(self, self.name), *(variable for each in self._optimizers for variable in each.variables)]

    @property
    def _variables_by_path_(self) -> dict[str, list[Weight]]:
        """The variables of this optimizer and of each inside it, as files have them."""
        inner = {
            f"optimizers/{name}/": each.variables for name, each in zip(_names(self._optimizers), self._optimizers, strict=True)
        }
        return {"": self.variables, **inner}

    @described(Optimizer.exclude_from_weight_decay)
    @checked
    def exclude_from_weight_decay(
        self, var_list: Iterable[Weight] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave weights out of the decay of all optimizers."""
        weights = None if var_list is None else list(var_list)
        names = var_names if var_names is None or isinstance(var_names, str) else list(var_names)  # a string is refused by each
        for each in self._optimizers:
            each.exclude_from_weight_decay(weights, names)

    # One step

    def zero_grad(self) -> None:
        """Forget the gradients; accumulated sums stay, and the next gradients are added to them."""
        for each in self._optimizers:
            each.zero_grad()

    def step(self) -> None:
        """Let each optimizer update its weights."""
        if not self._accumulates_():
            self._prepare_()
            self._update_()
        self._count_()

    def _accumulates_(self) -> bool:
        """Add the gradients to those of earlier batches where an optimizer accumulates; return whether none updates now."""
        self._due = [each for each in self._optimizers if each.weights and not each._accumulates_()]
        return not self._due

    def _prepare_(self) -> None:
        """Compute the numbers of the next update."""
        for each in self._due:
            each._prepare_()

    def _update_(self) -> None:
        """Update the weights from their gradients."""
        for each in self._due:
            each._update_()

    def _count_(self, updated: bool = True) -> None:
        """Count an update, also of each optimizer that made one."""
        super()._count_(updated)
        for each in self._due:
            each._count_(updated)

    @checked
    def finalize_variable_values(self, var_list: Iterable[Weight]) -> None:
        """Put the moving averages in the place of these weights, where there are any.

        Args:
            var_list: the weights.
        """
        wanted = {id(weight) for weight in var_list}
        for each in self._optimizers:
            each.finalize_variable_values([weight for weight in each.weights if id(weight) in wanted])

    # State

    def state_dict(self) -> dict[str, Any]:
        """Return the count of updates and the state of each optimizer."""
        return {"iterations": self._updates_, "learning_rate": None, "inner": [each.state_dict() for each in self._optimizers]}

    @guarded
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set what ``state_dict`` returned.

        Args:
            state: the state.
        """
        if len(state["inner"]) != len(self._optimizers):
            raise ArgumentError(
                "That state belongs to another optimizer.", expected=f"{len(self._optimizers)} optimizers",
                got=f"{len(state['inner'])} optimizers",
            )  # fmt: skip
        self._updates_ = state["iterations"]
        for each, some in zip(self._optimizers, state["inner"], strict=True):
            each.load_state_dict(some)


def _names(optimizers: Iterable[Optimizer]) -> list[str]:
    """Return the names of optimizers as files have them: those of a name after the first are numbered."""
    counts: dict[str, int] = {}
    found: list[str] = []
    for each in optimizers:
        kind = snake_case(type(each).__name__)
        counts[kind] = counts.get(kind, -1) + 1
        found.append(f"{kind}_{counts[kind]}" if counts[kind] else kind)
    return found
