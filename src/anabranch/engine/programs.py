"""The compiled programs of a model, cached until something changes that they were specialised to."""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import torch

from anabranch import _process, runtime
from anabranch.engine import passes
from anabranch.engine.attributes import Watched, note_changes, watched
from anabranch.engine.captured import Replays
from anabranch.engine.constants import Constants
from anabranch.engine.jit import Compiled, Report
from anabranch.engine.lower import Lowered, lower, made_runnable
from anabranch.engine.opaque import Opaque, is_plain_module
from anabranch.graph import AnyModel, Graph

Remat = tuple[str, ...] | int
Shapes = tuple[tuple[int, ...], ...]


class Elsewhere(Protocol):
    """Another engine that computes what a program does."""

    engine: str
    """Its name."""

    def invalidate(self) -> None:
        """Compare the weights' values before the next batch."""

    def __call__(self, inputs: Sequence[torch.Tensor | None]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the outputs, and losses of activity."""


class Variant:
    """The fx graph rewritten for some settings: its module, what it takes besides the inputs, and what each pass noted."""

    def __init__(
        self,
        lowered: Lowered,
        settings: passes.Settings,
        chosen: Sequence[passes.Pass] | None = None,
        jit: Report | None = None,
        batch_shapes: Shapes = (),
    ) -> None:
        self.settings = settings
        code, root = lowered.copied(), lowered.root
        for node, shape in zip(code.find_nodes(op="placeholder"), batch_shapes, strict=False):
            node.meta["batch_shape"] = shape
        self.report = passes.apply(code, root, settings, passes.PASSES if chosen is None else chosen)
        parts = passes.take_apart(code, settings)
        self.module = made_runnable(root, parts.main, settings.training)
        self.computed = parts.computed
        prepare = made_runnable(root, parts.prepare, settings.training) if parts.prepare else None
        self._constants = prepare and Constants(prepare, [passes.attribute(root, target) for target in parts.sources])
        self._weights = [passes.attribute(root, target) for target in parts.held]
        inputs = sum(node.op == "placeholder" for node in lowered.code.nodes)
        self._run = Compiled(self.module, inputs, jit) if jit else self.module.forward

    def invalidate(self) -> None:
        """Check before the next batch whether weights have changed."""
        if self._constants:
            self._constants.invalidate()

    def refresh_constants(self) -> int | None:
        """Bring what follows from weights up to date where it is; return how often it moved, None where there is nothing."""
        return self._constants.refresh() if self._constants else None

    def __call__(self, inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return all values of the fx graph."""
        found: Sequence[torch.Tensor] = self._run(*inputs, *(self._constants.values() if self._constants else self._weights))
        return found


class Program:
    """One mode of a model, ready to run: flat tensors in; outputs and auxiliary losses out.

    ``jit``: compiled by torch.compile; takes the lines that report it. ``remat``: which layers are recomputed for gradients, or
    how many bytes may be saved for them. ``streams``: whether layers without a seed draw from streams of their own.
    """

    def __init__(
        self,
        graph: Graph,
        training: bool,
        absent: frozenset[int] = frozenset(),
        jit: Report | None = None,
        remat: Remat = (),
        streams: bool = True,
    ) -> None:
        self._jit = jit
        self._streams, self._seeding = streams, _process.seeding()
        self._remat = remat
        self._batch_shapes: Shapes = ()  # of the first batch, which a budget is worked out for
        self.graph = graph
        self.training = training
        with contextlib.nullcontext() if streams else runtime.one_stream():
            self.lowered = lowered = lower(graph, training=training, absent=absent)
        self.variants: dict[tuple[passes.Settings, Shapes], Variant] = {}
        self._whole = any(isinstance(part, Opaque) for part in lowered.root.modules())
        self._absent = absent
        self._optional = any(tensor.node.operation._optional_ for tensor in graph.inputs)
        self._others: dict[frozenset[int], Program] = {}  # without some of the optional inputs
        self.replays: Replays | None = None  # graphs of a device that compute this, where it is captured
        self.elsewhere: Elsewhere | None = None  # another engine that computes this, where one was asked for
        self.replayed = False  # whether steps are replayed as CUDA graphs, so that kernels are launched for nothing
        free = not training  # to take weights for constants where there are no gradients
        heavy = free and passes.reuse(lowered.code, lowered.root) >= passes.WORTH
        device, chosen = runtime.device().type, remat if training else ()
        self._settings = {
            (no_grad, single): passes.Settings(
                training, no_grad and free, single and free, heavy, device, jit is not None, remat=chosen
            )
            for no_grad in (False, True)
            for single in (False, True)
        }

    @property
    def only_outputs(self) -> bool:
        """Whether outputs are all that it computes: no masks or losses, no layer that runs whole and may have some."""
        values = len(self.lowered.code.output_node().args[0])  # type: ignore[arg-type]  # a tuple, as `lower` makes it
        return not (self._whole or self._optional) and values == self.lowered.outputs

    @functools.cached_property
    def module(self) -> torch.fx.GraphModule:
        """The fx graph as it was traced, before any pass."""
        return self.lowered.module()

    def replay(self, replayed: bool) -> None:
        """Say whether steps are replayed as CUDA graphs: other code is faster then."""
        if replayed != self.replayed:
            self.replayed = replayed
            self.variants.clear()

    def variant(self, *, no_grad: bool, single: bool = False) -> Variant:
        """Return the code for running with or without gradients; ``single``: for batches of one."""
        settings = self._settings[no_grad, single]
        if self.replayed:
            settings = settings._replace(replayed=True)
        shapes = self._batch_shapes if isinstance(settings.remat, int) else ()
        known = self.variants.get((settings, shapes))
        if known is None:
            with _making:
                known = self.variants.get((settings, shapes))
                if known is None:
                    known = Variant(self.lowered, settings, jit=self._jit, batch_shapes=shapes)
                    self.variants[settings, shapes] = known
        return known

    def invalidate(self) -> None:
        """Check before the next batch whether weights have changed, or the seed."""
        if self._streams and self._seeding is not _process.seeding():
            self._seeding = _process.seeding()
            runtime.restart_streams(
                value for each in (self, *self._others.values()) for part in each.lowered.root.modules()
                for value in vars(part).values() if isinstance(value, torch.Generator)
            )  # fmt: skip
        for variant in list(self.variants.values()):
            variant.invalidate()

    def refresh_constants(self) -> list[int]:
        """Bring what follows from weights up to date, as captured work does not do; return how often it moved in memory."""
        moves = [found for variant in self.variants.values() if (found := variant.refresh_constants()) is not None]
        return [*moves, *(found for other in self._others.values() for found in other.refresh_constants())]

    def __call__(self, inputs: Sequence[torch.Tensor | None]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the outputs in the model's order, those that have masks with them, and losses of activity."""
        if self._optional:
            absent = frozenset(index for index, value in enumerate(inputs) if value is None)
            if absent != self._absent:
                if absent not in self._others:
                    self._others[absent] = Program(self.graph, self.training, absent, self._jit, self._remat, self._streams)
                self._others[absent].replay(self.replayed)
                return self._others[absent](inputs)
        given = [value for value in inputs if value is not None]
        for module in self.lowered.third_party:  # both modes of a model hold the same ones
            if module.training != self.training:
                module.train(self.training)
        if not self._batch_shapes:
            self._batch_shapes = tuple(tuple(value.shape) for value in given)
        no_grad = not torch.is_grad_enabled()
        variant = self.variant(no_grad=no_grad, single=no_grad and _is_single(given))
        gathered: list[torch.Tensor] = []
        if self._whole:
            with runtime.gathering() as gathered:
                values = variant(given)
        else:
            values = variant(given)
        count = self.lowered.outputs
        outputs, extra = list(values[:count]), list(values[count:])
        for index in reversed(self.lowered.masked):
            outputs[index] = runtime.with_mask(outputs[index], extra.pop())
        return outputs, [*extra, *gathered]

    def without_gradients(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context to run in where nobody asks for gradients; code that runs whole may ask for some inside."""
        whole = self._whole or not all(map(is_plain_module, self.lowered.third_party))
        return torch.no_grad() if whole else torch.inference_mode()


def _is_single(inputs: Sequence[torch.Tensor]) -> bool:
    return bool(inputs) and inputs[0].dim() > 0 and len(inputs[0]) == 1


State = tuple[Any, ...]


class Cached:
    """What is cached for one model: a program for each mode, and what its weights were last placed for."""

    def __init__(self) -> None:
        self.changes = -1  # of the process, when it was last looked whether the state is the same
        self.state: State = (None,)
        self.placed: State = ()
        self.programs: dict[Hashable, tuple[State, Program]] = {}
        self.watched: list[Watched] = []  # users' layers with attributes that the programs hold as constants


_making = threading.RLock()
"""Held while a program is made or its weights are placed: several threads may ask a model for its first prediction."""
_cache: weakref.WeakKeyDictionary[AnyModel, Cached] = weakref.WeakKeyDictionary()
_placed_last: weakref.ref[Cached] | None = None


def program(model: AnyModel, training: bool, jit: Report | None = None, remat: Remat = ()) -> Program:
    """Return the model's program for this mode; lowered again when a layer's settings or the device changed.

    ``jit``: compiled; takes the lines that report it. ``remat``: see :class:`Program`.
    """
    global _placed_last
    with _making:
        runtime.synchronise_seed()
        graph, cached = model._need_running_graph_(), _cached_for(model)
        if cached.watched:
            note_changes(cached.watched)
        if cached.changes != _process.changes() or cached.state[0] is not graph:
            layers = tuple((layer.trainable, layer._revision_) for layer in model._inner_layers_())
            state = (graph, str(runtime.device()), layers, tuple(weight.trainable for weight in model.weights))
            cached.state = cached.state if cached.state == state else state
            cached.changes = _process.changes()
            runtime.settle_tf32()
        last = _placed_last and _placed_last()
        if last is not cached or cached.placed is not cached.state:  # another model may train the same weights, or freeze them
            place_weights(model)
            cached.placed, _placed_last = cached.state, weakref.ref(cached)
        streams = training and jit is None and runtime.has_streams()  # torch.compile knows the process's generators alone
        which = training, jit is not None, remat, streams
        known = cached.programs.get(which)
        if known is None or known[0] is not cached.state:
            known = cached.programs[which] = cached.state, Program(graph, training, jit=jit, remat=remat, streams=streams)
            cached.watched = watched(model, known[1].lowered.root)
        known[1].invalidate()
        return known[1]


def watched_layers(model: AnyModel) -> list[Watched]:
    """Return the users' layers whose attributes a model's programs hold as constants."""
    return _cached_for(model).watched


def _cached_for(model: AnyModel) -> Cached:
    if model._graph_ is not None:
        return _cache.get(model) or _cache.setdefault(model, Cached())
    # The model is a node of what runs, so the table would keep it alive.
    cached: Cached = vars(model).setdefault("_cached_", Cached())
    return cached


def place_weights(model: AnyModel) -> None:
    """Make all weights on the device, and let gradients flow to those that train."""
    training = set(model.trainable_weights)
    runtime.realize_all(model.weights)
    for weight in model.weights:
        runtime.let_train(weight, weight in training)
