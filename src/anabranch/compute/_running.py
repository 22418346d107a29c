"""The state of running: whether a model is being recorded, and whether it trains."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Protocol

from anabranch.compute._masking import passed_on, told
from anabranch.graph import Weight


class Recorder(Protocol):
    """Stands for weights while calls are recorded instead of computed."""

    def weight(self, weight: Weight) -> Any:
        """Return what stands for the weight's tensor, in torch's layout."""

    def module(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what stands for the result of a torch module of another author's."""

    def ran(self, layer: Any, result: Any) -> None:
        """Hear what a layer gave, be it one of the graph's or one inside another."""


class _State(threading.local):
    recorder: Recorder | None = None
    training: bool | None = None


_state = _State()


def recorder() -> Recorder | None:
    """Return the recorder at work in this thread, None while calls compute."""
    return _state.recorder


def is_recording() -> bool:
    """Return whether calls are recorded instead of computed."""
    return _state.recorder is not None


@contextlib.contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Record calls with ``recorder`` inside the block."""
    before, _state.recorder = _state.recorder, recorder
    try:
        yield
    finally:
        _state.recorder = before


def is_training() -> bool:
    """Return whether layers are now called in training mode unless told otherwise."""
    return bool(_state.training)


@contextlib.contextmanager
def training_scope(training: bool) -> Iterator[None]:
    """Make ``training`` the value that layers inside the block are called with unless told otherwise."""
    before, _state.training = _state.training, training
    try:
        yield
    finally:
        _state.training = before


def run(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call the layer's ``call``, passing ``training`` and masks where it takes them; layers inside inherit the value.

    Where nobody said whether this is training, a layer's own default holds, as in Keras: augmentation called by hand augments.
    """
    training = kwargs.get("training")
    if training is None:
        training = _state.training
    if layer.call_takes("training") and training is not None:
        kwargs = {**kwargs, "training": training}
    else:
        kwargs = {key: value for key, value in kwargs.items() if key != "training"}
    previous = None
    if getattr(layer, "compute_mask", None) is not None:
        kwargs, previous = told(layer, args, kwargs)
    if training is None or training == _state.training:
        result = layer.call(*args, **kwargs)
    else:
        with training_scope(training):
            result = layer.call(*args, **kwargs)
    if _state.recorder is not None:
        _state.recorder.ran(layer, result)
    return passed_on(layer, args, kwargs, previous, result)
