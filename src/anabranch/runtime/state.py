"""The state of running: whether a model is being traced, and whether it trains."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.proxy import Proxy

from anabranch import _tree
from anabranch._asked import is_from
from anabranch._errors import ArgumentError
from anabranch.graph import Operation, Weight
from anabranch.runtime.masking import bare, inject_masks, passed_on, visible
from anabranch.runtime.masks import Edge, enter, leave

Masks: TypeAlias = "list[torch.Tensor | None]"
"""The mask of each leaf of a result, None for none."""


class Watched(Protocol):
    """What a layer reports to training: a metric, or a running value."""

    name: str

    def update_state(self, *args: Any, **kwargs: Any) -> object:
        """Take one more value."""


class Reporting(Protocol):
    """A layer or model, as the losses that layers add concern it."""

    _held_losses_: Sequence[Any]

    def _inner_layers_(self) -> Iterable[Reporting]:
        """Return it and all layers inside it."""


class Tracer(Protocol):
    """Replaces weights while calls are traced instead of computed."""

    def weight(self, weight: Weight) -> torch.Tensor:
        """Return the traced read of the weight's tensor, in torch's layout."""

    def write(self, weight: Weight, value: torch.Tensor) -> None:
        """Replace the weight's values, given in torch's layout."""

    def module(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
        """Return the traced result of a third-party torch module."""

    def loss(self, value: torch.Tensor | Proxy | float) -> None:
        """Take a loss that a layer adds."""

    def watch(self, metric: Watched, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Take the update of a metric."""

    def inner_call(
        self, layer: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], edges: Sequence[Edge]
    ) -> tuple[Any, list[Any]] | None:
        """Return the result of a layer that another's call makes, and its masks; None has the call traced as it is."""

    def ran(self, layer: Operation, result: _tree.Nest) -> None:
        """Hear what a layer gave, be it one of the graph's or one inside another."""


class _State(threading.local):
    tracer: Tracer | None = None
    training: bool | None = None
    depth: int = 0  # how many calls are under way, one inside another
    current: Operation | None = None  # whose call is the innermost of them
    losses: bool = False  # whether layers may hold losses of earlier calls
    precision: str | None = None  # the float type of fewer bits that the layer under way computes in
    gathered: list[torch.Tensor] | None = None  # what layers that run whole inside a lowered model add to the loss


_state = _State()


def tracer() -> Tracer | None:
    """Return the tracer at work in this thread, None while calls compute."""
    return _state.tracer


def is_tracing() -> bool:
    """Return whether calls are traced instead of computed."""
    return _state.tracer is not None


def set_tracer(tracer: Tracer | None) -> None:
    """Trace calls with ``tracer`` from now on, or no more."""
    _state.tracer = tracer


@contextlib.contextmanager
def _during(name: str, value: object) -> Iterator[None]:
    before = getattr(_state, name)
    setattr(_state, name, value)
    try:
        yield
    finally:
        setattr(_state, name, before)


def tracing(tracer: Tracer) -> contextlib.AbstractContextManager[None]:
    """Trace calls with ``tracer`` inside the block."""
    return _during("tracer", tracer)


def is_training() -> bool:
    """Return whether layers are now called in training mode by default."""
    return bool(_state.training)


def mode_of(layer: Operation, given: bool | None) -> bool | None:
    """Return the mode of a call: as given, as around it, or training after ``layer.train()``; None where nobody said it."""
    if given is not None:
        return given
    if _state.training is None and layer.training:
        for inner in layer._inner_layers_():
            if vars(inner).get("training") is False:
                raise ArgumentError(
                    f"{inner._error_label_()} was set to eval() inside {layer._error_label_()}, which is in training mode.",
                    repair="trainable = False, by which BatchNormalization uses its statistics",
                )
        return True
    return _state.training


def training_scope(training: bool) -> contextlib.AbstractContextManager[None]:
    """Make ``training`` the value that layers inside the block are called with by default."""
    return _during("training", training)


def precision() -> str | None:
    """Return the float type that the layer under way computes in, where its weights are stored in another."""
    return _state.precision


def precision_scope(dtype: str) -> contextlib.AbstractContextManager[None]:
    """Let weights be read in this float type inside the block, whatever their layers' own policies say."""
    return _during("precision", dtype)


def run(
    layer: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], edges: Sequence[Edge] = ()
) -> tuple[_tree.Nest, Masks]:
    """Call the layer's ``call`` and return its result and the mask of each leaf of that, None for none.

    ``edges``: values among the arguments, each with its mask; those of others are known from the run around this one. ``call``
    gets ``training`` and masks where it takes them; layers inside inherit ``training``. Where nobody said whether this is
    training, a layer's own default holds, as in Keras: augmentation called directly augments.
    """
    if _state.tracer is not None and _state.depth and not layer._is_function_:
        found = _state.tracer.inner_call(layer, args, kwargs, edges)
        if found is not None:
            return found
    if edges:
        args, kwargs = visible(layer, args, kwargs, edges)
    outer = enter(edges)
    try:
        result, masks = _run(layer, args, kwargs)
    finally:
        leave(outer)
    return bare(result) if edges else result, masks


def _with_mode(layer: Operation, kwargs: dict[str, Any]) -> tuple[dict[str, Any], bool | None]:
    """Return the arguments with ``training`` where the layer's ``call`` takes it, and whether this is training."""
    training = mode_of(layer, kwargs.get("training"))
    if training is not None:
        layer._set_mode_(training)
    if training is not None and layer._call_takes_("training"):
        kwargs = {**kwargs, "training": training}
    elif "training" in kwargs:
        kwargs = {key: value for key, value in kwargs.items() if key != "training"}
    return kwargs, training


def _run(layer: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_tree.Nest, Masks]:
    training, previous = _state.training, None
    if not layer._is_function_:  # whose ``training`` is its own
        kwargs, training = _with_mode(layer, kwargs)
        kwargs, previous = inject_masks(layer, args, kwargs)
    if _state.depth == 0 and _state.losses:
        forget_losses(layer)
    _state.depth += 1
    before, _state.precision = _state.precision, layer._low_precision_
    outer, _state.current = _state.current, layer
    try:
        if training is None or training == _state.training:
            result = layer.call(*args, **kwargs)
        else:
            with training_scope(training):
                result = layer.call(*args, **kwargs)
    finally:
        _state.depth -= 1
        _state.precision, _state.current = before, outer
    if _state.tracer is not None:
        _state.tracer.ran(layer, result)
    elif layer.activity_regularizer is not None:
        for value in _tree.leaves(result):
            hold_loss(layer, layer.activity_regularizer(value) / max(value.shape[0], 1))
    return result, passed_on(layer, args, kwargs, previous, result)


# Losses that layers add while they compute


def is_running() -> bool:
    """Return whether the call of a layer is under way."""
    return _state.depth > 0


def running() -> Operation | None:
    """Return the layer whose call is under way, the innermost one; None where none is."""
    return _state.current


def hold_loss(layer: Reporting, loss: torch.Tensor) -> None:
    """Store a loss with the layer that added it, until the next outermost call."""
    layer._held_losses_ = (*layer._held_losses_, loss)
    _state.losses = True


def forget_losses(layer: Reporting) -> None:
    """Forget the losses that a layer and those inside it hold."""
    for inner in layer._inner_layers_():
        inner._held_losses_ = ()


@contextlib.contextmanager
def gathering() -> Iterator[list[torch.Tensor]]:
    """Give a list to which layers that run whole inside the block add their losses."""
    before, _state.gathered = _state.gathered, []
    try:
        yield _state.gathered
    finally:
        _state.gathered = before


def give_losses(layer: Reporting) -> None:
    """Hand the losses of a layer that has just run, and of those inside it, to who gathers them."""
    if _state.gathered is not None and _state.losses:
        _state.gathered += [loss for inner in layer._inner_layers_() for loss in inner._held_losses_]
        forget_losses(layer)


def take_losses(layer: Reporting, losses: list[torch.Tensor]) -> None:
    """Store what a lowered model added to the loss with that model."""
    if _state.depth == 0 and _state.losses:
        forget_losses(layer)
    for loss in losses:
        hold_loss(layer, loss)


# What a layer's call stores


@contextlib.contextmanager
def stored(operations: Iterable[Operation]) -> Iterator[None]:
    """Give layers back what their attributes held before the block, where these hold traced values or fake ones after it.

    What they count, in numbers, and in nests and sets of them, is given back too, unless their calls made objects, such as
    layers, of which a count may say that they are made.
    """
    before = [
        (vars(layer), vars(layer).copy(), _counts(vars(layer)))
        for operation in operations if not operation._is_function_
        for layer in operation._inner_layers_() if not is_from(type(layer), "anabranch")
    ]  # fmt: skip
    try:
        yield
    finally:
        for now, then, counts in before:
            for name in [name for name, value in now.items() if value is not then.get(name) and _is_traced(value)]:
                if name in then:
                    now[name] = then[name]
                else:
                    del now[name]
            if all(name in then or name.startswith("_") or type(value) in _PLAIN for name, value in now.items()):
                _give_back(now, counts)


_PLAIN = (int, float, str, bool, type(None))


def _counts(held: Mapping[str, object]) -> dict[str, object]:
    """Return the numbers among attributes, and copies of the lists, dicts and sets of plain values."""
    numbers = {
        name: value for name, value in held.items()
        if type(value) in (int, float) or (isinstance(value, tuple) and _is_plain(value))
    }  # fmt: skip
    nests = {name: value for name, value in held.items() if isinstance(value, (list, dict, set)) and _is_plain(value)}
    return numbers | {name: copy.copy(value) for name, value in nests.items()}


def _is_plain(value: Collection[object]) -> bool:
    return all(type(each) in _PLAIN for each in (value.values() if isinstance(value, dict) else value))


def _give_back(held: dict[str, object], counts: Mapping[str, object]) -> None:
    for name, value in counts.items():
        now = held.get(name)
        if type(now) is not type(value) or now == value:
            continue
        if isinstance(now, list) and isinstance(value, list):
            now[:] = value
        elif isinstance(now, dict) and isinstance(value, dict):
            now.clear()
            now.update(value)
        elif isinstance(now, set) and isinstance(value, set):
            now &= set()
            now |= value
        else:
            held[name] = value


def _is_traced(value: object) -> bool:
    leaves = _tree.leaves(value) if isinstance(value, (list, tuple, dict)) else [value]
    return any(isinstance(leaf, (Proxy, FakeTensor)) for leaf in leaves)
