"""The lowered forms of a model, kept until something they were specialised to changes."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from typing import Any

import torch

from anabranch import _process, runtime
from anabranch.engine import passes
from anabranch.engine.constants import Constants
from anabranch.engine.jit import Jitted, Report
from anabranch.engine.lower import Lowered, lower, made_runnable
from anabranch.engine.opaque import Opaque
from anabranch.graph import Graph

Remat = tuple[str, ...] | int


class Form:
    """Flat code for one setting: the rewritten module, what it takes besides the inputs, and what each pass noted."""

    def __init__(
        self,
        lowered: Lowered,
        setting: passes.Setting,
        chosen: Sequence[passes.Pass] | None = None,
        jit: Report | None = None,
    ) -> None:
        self.setting = setting
        code, root = lowered.copied(), lowered.root
        self.report = passes.apply(code, root, setting, passes.PASSES if chosen is None else chosen)
        parts = passes.take_apart(code, setting)
        self.module = made_runnable(root, parts.main, setting.training)
        self.computed = parts.computed
        prepare = made_runnable(root, parts.prepare, setting.training) if parts.prepare else None
        self._constants = prepare and Constants(prepare, [passes.attribute(root, target) for target in parts.sources])
        self._weights = [passes.attribute(root, target) for target in parts.held]
        inputs = sum(node.op == "placeholder" for node in lowered.code.nodes)
        self._run = Jitted(self.module, inputs, jit) if jit else self.module.forward

    def doubt(self) -> None:
        """Look again whether weights have changed, before the next batch."""
        if self._constants:
            self._constants.sure = False

    def settled(self) -> int | None:
        """Bring what follows from weights up to date in its place; return how often it moved, None where there is nothing."""
        return self._constants.settled() if self._constants else None

    def __call__(self, inputs: Sequence[torch.Tensor]) -> Any:
        """Return all values of the flat code."""
        return self._run(*inputs, *(self._constants.values() if self._constants else self._weights))


class Program:
    """One mode of a model, ready to run: flat tensors in; outputs and auxiliary losses out.

    ``jit``: made machine code of by torch.compile; takes the lines that tell so. ``remat``: which layers are computed again for
    gradients, or how many bytes may be kept for them.
    """

    def __init__(
        self,
        graph: Graph,
        training: bool,
        absent: frozenset[int] = frozenset(),
        jit: Report | None = None,
        remat: Remat = (),
    ) -> None:
        self._jit = jit
        self._remat = remat
        self._fed: tuple[tuple[int, ...], ...] = ()  # the shapes of the first batch, which a budget is worked out for
        self.graph = graph
        self.training = training
        self.lowered = lowered = lower(graph, training=training, absent=absent)
        self.forms: dict[passes.Setting, Form] = {}
        self._whole = any(isinstance(part, Opaque) for part in lowered.root.modules())
        self._absent = absent
        self._optional = any(tensor.node.operation.optional for tensor in graph.inputs)
        self._others: dict[frozenset[int], Program] = {}  # without some of the optional inputs
        self.replays: Any = None  # graphs of a device that compute this, where it is captured
        free = not training  # to take weights for constants where there are no gradients
        much = free and passes.multiplications(lowered.code, lowered.root) > passes.MUCH
        device, chosen = runtime.device().type, remat if training else ()
        self._settings = {
            (frozen, single): passes.Setting(training, frozen and free, single and free, much, device, jit is not None, chosen)
            for frozen in (False, True)
            for single in (False, True)
        }

    @functools.cached_property
    def module(self) -> torch.fx.GraphModule:
        """The code as it was recorded, before any pass."""
        return self.lowered.module()

    def form(self, *, frozen: bool, single: bool = False) -> Form:
        """Return the code for running with gradients, or ``frozen`` without; ``single`` for batches of one."""
        setting = self._settings[frozen, single]
        if isinstance(setting.remat, int):
            setting = setting._replace(fed=self._fed)
        if setting not in self.forms:
            self.forms[setting] = Form(self.lowered, setting, jit=self._jit)
        return self.forms[setting]

    def doubt(self) -> None:
        """Look again whether weights have changed, before the next batch."""
        for form in self.forms.values():
            form.doubt()

    def settled(self) -> list[int]:
        """Bring what follows from weights up to date, as captured work does not do; return how often it moved in memory."""
        moves = [found for form in self.forms.values() if (found := form.settled()) is not None]
        return [*moves, *(found for other in self._others.values() for found in other.settled())]

    def __call__(self, inputs: Sequence[torch.Tensor | None]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the outputs in the model's order, those that have masks with them, and losses of activity."""
        if self._optional:
            absent = frozenset(index for index, value in enumerate(inputs) if value is None)
            if absent != self._absent:
                if absent not in self._others:
                    self._others[absent] = Program(self.graph, self.training, absent, self._jit, self._remat)
                return self._others[absent](inputs)
        given = [value for value in inputs if value is not None]
        for module in self.lowered.foreign:  # both modes of a model hold the same ones
            if module.training != self.training:
                module.train(self.training)
        if not self._fed:
            self._fed = tuple(tuple(value.shape) for value in given)
        frozen = not torch.is_grad_enabled()
        form = self.form(frozen=frozen, single=frozen and _is_single(given))
        gathered: list[torch.Tensor] = []
        if self._whole:
            with runtime.gathering() as gathered:
                values = form(given)
        else:
            values = form(given)
        count = self.lowered.outputs
        outputs, extra = list(values[:count]), list(values[count:])
        for index in reversed(self.lowered.masked):
            outputs[index] = runtime.with_mask(outputs[index], extra.pop())
        return outputs, [*extra, *gathered]


def _is_single(inputs: Sequence[torch.Tensor]) -> bool:
    return bool(inputs) and inputs[0].dim() > 0 and len(inputs[0]) == 1


State = tuple[Any, ...]


class Kept:
    """What is kept for one model: a program for each mode, and what its weights were last placed for."""

    def __init__(self) -> None:
        self.changes = -1  # of the process, when it was last looked whether the state is the same
        self.state: State = (None,)
        self.placed: State = ()
        self.programs: dict[Any, tuple[State, Program]] = {}


_kept: weakref.WeakKeyDictionary[Any, Kept] = weakref.WeakKeyDictionary()
_placed_last: weakref.ref[Kept] | None = None


def program(model: Any, training: bool, jit: Report | None = None, remat: Remat = ()) -> Program:
    """Return the model's program for this mode; lowered again when a layer was frozen or thawed, or the device changed.

    ``jit``: as machine code; takes the lines that tell of its making. ``remat``: see :class:`Program`.
    """
    global _placed_last
    runtime.synchronise_seed()
    graph, kept = model.need_running_graph(), _kept_of(model)
    if kept.changes != _process.changes() or kept.state[0] is not graph:
        state = (graph, str(runtime.device()), tuple(layer.trainable for layer in model.inner_layers()))
        kept.state = kept.state if kept.state == state else state
        kept.changes = _process.changes()
        runtime.settle_tf32()
    last = _placed_last and _placed_last()
    if last is not kept or kept.placed is not kept.state:  # another model may train the same weights, or freeze them
        place_weights(model)
        kept.placed, _placed_last = kept.state, weakref.ref(kept)
    which = training, jit is not None, remat
    known = kept.programs.get(which)
    if known is None or known[0] is not kept.state:
        known = kept.programs[which] = kept.state, Program(graph, training, jit=jit, remat=remat)
    known[1].doubt()
    return known[1]


def _kept_of(model: Any) -> Kept:
    if model.graph is not None:
        return _kept.setdefault(model, Kept())
    # The model is a node of what runs, so the table would keep it alive.
    kept: Kept = vars(model).setdefault("_kept", Kept())
    return kept


def place_weights(model: Any) -> None:
    """Make all weights on the device, and let gradients flow to those that train."""
    training = set(model.trainable_weights)
    for weight in model.weights:
        tensor = runtime.realize(weight)
        if isinstance(tensor, torch.nn.Parameter):
            tensor.requires_grad_(weight in training)
