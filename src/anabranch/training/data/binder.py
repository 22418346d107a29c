"""Turns what users hold or yield into batches for one model: bound to its inputs and outputs, checked, placed, cast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch

from anabranch import _tree, config, runtime
from anabranch._errors import DataError
from anabranch.graph import WithGraph
from anabranch.graph.binding import Rule, Slots, bind
from anabranch.training.data.arrays import is_array, strings, tensors_in, to_tensor
from anabranch.training.data.batch import Batch, Columns, parted
from anabranch.training.data.checks import match_input, same_length, warn_of_not_finite
from anabranch.training.data.class_weights import checked_class_weight, class_weights_of, weighted
from anabranch.training.data.parts import unpack_x_y_sample_weight as unpack
from anabranch.training.data.targets import Target
from anabranch.training.strategy import Strategy

Named = list[tuple[str, torch.Tensor]]


class Binder(Protocol):
    """What a source of data asks for: its items as batches that fit the model."""

    strategy: Strategy
    """Where batches go."""

    def batch(self, item: object) -> Batch:
        """Return one batch of a user's source, x, (x,), (x, y) or (x, y, sample_weight), bound, checked and placed."""
        return self.place(self.weigh(self.bind(*unpack(item))))

    def place(self, batch: Batch) -> Batch:
        """Return a batch on the device, its inputs cast there."""

    def bind(self, x: object, y: object, weights: object, *, finite: bool = False) -> Batch:
        """Return all the data a user holds in memory as one checked batch."""

    def weigh(self, batch: Batch) -> Batch:
        """Return the batch with sample weights multiplied by the weights of classes."""


class ModelBinder(Binder):
    """Binds data to the inputs and outputs of a model.

    Args:
        model: the model.
        targets: what y of each output must be; None where only predictions are wanted.
        strategy: where batches go.
        class_weight: the weight of each class index; of several outputs a dict of such dicts.
        rebind: returns the targets where the outputs have changed, as those of a custom ``call`` may.
    """

    def __init__(
        self,
        model: WithGraph,
        targets: Sequence[Target] | None,
        strategy: Strategy,
        class_weight: object = None,
        rebind: Callable[[], Sequence[Target]] | None = None,
    ) -> None:
        self.strategy = strategy
        self._follows = model if model._follows_data_ else None
        self._take_slots(model)
        self._targets = targets
        self._rebind = rebind
        self._class_weights = class_weights_of(class_weight, self._outputs)
        self._on_cpu = strategy.mover is None and strategy.device.type == "cpu"
        self._unread: list[int] = []  # inputs on disk, whose values are checked a batch at a time

    def _take_slots(self, model: WithGraph) -> None:
        self._inputs, self._host_part = Slots.inputs(model), model._host_part_
        fed = model._need_running_graph_().inputs
        names = self._inputs.names if self._host_part is None else [tensor.name for tensor in fed]
        self._fed = list(zip(fed, names, strict=True))
        self._outputs = Slots.outputs(model)
        self._optional = [i for i, t in enumerate(self._inputs.tensors) if t.node.operation._optional_]
        self._dtypes = [runtime.dtype_of(tensor.dtype) for tensor, _ in self._fed]

    def _follow(self, model: WithGraph, x: object) -> None:
        before = model._running_graph_
        model._follow_(tensors_in(x, "x"))
        if model._running_graph_ is not before:
            self._take_slots(model)
            if self._rebind is not None:
                self._targets = self._rebind()

    def place(self, batch: Batch) -> Batch:
        """Move one batch to the device; inputs are cast there, so that uint8 images are copied as bytes."""
        xs, ys, weights, size, _ = batch
        for index in self._unread:
            runtime.check_fits(cast("torch.Tensor", xs[index]), self._dtypes[index], "x")
        if not (self._on_cpu and all(t is None or t.is_cpu for t in (*xs, *ys, *weights))):
            xs, ys, weights = parted(self.strategy.place([*xs, *ys, *weights]), len(xs), len(ys))
        x = [t if t is None or t.dtype is dtype else t.to(dtype) for t, dtype in zip(xs, self._dtypes, strict=True)]
        return Batch(x, ys, weights, size)

    def bind(self, x: object, y: object, weights: object, *, finite: bool = False) -> Batch:
        """Bind and check x, y and sample weights; tensors stay where they are and share the user's memory.

        ``finite`` searches float inputs in memory for NaN and infinity.
        """
        if x is None:
            raise DataError("There is no x.", expected="arrays, tensors, a loader or a generator", got="None")
        if self._follows is not None:
            self._follow(self._follows, x)
        named: Named = []
        xs: Columns = []
        self._unread = []
        rule = Rule("x", _is_leaf(len(self._inputs.names) == 1), optional=self._optional, error=DataError)
        values = bind(x, self._inputs, rule)
        if self._host_part is not None:
            values = self._host_part.run(values)
        single = len(values) == 1
        for value, dtype, (declared, name) in zip(values, self._dtypes, self._fed, strict=True):
            where = "x" if single else f"x[{name!r}]"
            if value is None and declared.node.operation._optional_:
                xs.append(None)
                continue
            if value is None:
                raise DataError(f"{where} is None.", expected="an array or tensor")
            tensor = to_tensor(value, where)
            named.append((where, tensor))
            if tensor.ndim:
                tensor = match_input(tensor, declared.shape, name)
            if isinstance(value, np.memmap):
                self._unread.append(len(xs))
            else:
                runtime.check_fits(tensor, dtype, where)
                if finite:
                    warn_of_not_finite(tensor, where)
            xs.append(tensor)
        ys = self.bind_targets(y, named)
        ws = self._bind_weights(weights, ys, named)
        return Batch(xs, ys, ws, same_length(named))

    def bind_targets(self, y: object, named: Named) -> Columns:
        """Return y of each output as a tensor, checked; what is found is added to ``named``."""
        names = self._outputs.names
        if self._targets is None:
            return [None] * len(names)
        optional = [index for index, target in enumerate(self._targets) if not target.needed]
        if y is None:
            if len(optional) < len(names):
                raise DataError(
                    "There is no y, and the loss needs targets.",
                    expected=self._outputs.described(),
                    got="y=None",
                    repair="pass y, or compile with loss=None where all losses come from layers",
                )
            return [None] * len(names)
        single = len(names) == 1
        ys: Columns = []
        rule = Rule("y", _is_leaf(single), optional=optional, error=DataError)
        for index, value in enumerate(bind(y, self._outputs, rule)):
            where = "y" if single else f"y[{names[index]!r}]"
            tensor = None if value is None else to_tensor(value, where)
            if tensor is not None:
                named.append((where, tensor))
                if tensor.ndim:
                    self._targets[index].check(tensor, where)
            ys.append(tensor)
        return ys

    def _bind_weights(self, weights: object, ys: Columns, named: Named) -> Columns:
        if weights is None or self._targets is None:
            return [None] * len(ys)
        optional = [index for index, target in enumerate(self._targets) if not target.needed]
        rule = Rule("sample_weight", _is_leaf(True), spread=True, optional=optional, error=DataError)
        found: Columns = []
        for index, value in enumerate(bind(weights, self._outputs, rule)):
            if value is None:
                found.append(None)
                continue
            where = "sample_weight" if len(ys) == 1 else f"sample_weight[{self._outputs.names[index]!r}]"
            tensor = to_tensor(value, where)
            named.append((where, tensor))
            found.append(tensor if tensor.is_floating_point() else tensor.to(torch.float32))
        return found

    def weigh(self, batch: Batch) -> Batch:
        """Multiply the sample weights by the weight of each sample's class."""
        if self._class_weights is None:
            return batch
        parts = zip(batch.y, batch.weights, self._class_weights, strict=True)
        return batch._replace(weights=[weighted(y, given, by_class) for y, given, by_class in parts])


class NestBinder(Binder):
    """Returns batches in the user's own nests, as tensors on the device, for custom steps; strings in x as arrays of them.

    Args:
        strategy: where batches go.
        class_weight: the weight of each class index.
    """

    def __init__(self, strategy: Strategy, class_weight: object = None) -> None:
        self.strategy = strategy
        self._class_weight = checked_class_weight(class_weight)
        self._floats = runtime.dtype_of(config.floatx())
        self._words: dict[int, np.ndarray[Any, Any]] = {}  # which strings the indices in a part of x mean

    def place(self, batch: Batch) -> Batch:
        """Move one batch to the device; floats become the default type, and indices of strings the strings."""
        placed = [t if t is None else self._cast(t) for t in self.strategy.place([t for part in batch[:3] for t in part])]
        x, y, weights = parted(placed, len(batch.x), len(batch.y))
        for index, words in self._words.items():
            x[index] = words[batch.x[index].cpu().numpy()]  # type: ignore[union-attr,call-overload]  # as a custom step takes it
        return batch._replace(x=x, y=y, weights=weights)

    def _cast(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._floats) if tensor.is_floating_point() else tensor

    def bind(self, x: object, y: object, weights: object, *, finite: bool = False) -> Batch:
        """Check that all have the same number of samples; ``finite`` searches x for NaN and infinity."""
        if x is None:
            raise DataError("There is no x.", expected="arrays, tensors, a loader or a generator", got="None")
        words: list[tuple[torch.Tensor, np.ndarray[Any, Any]]] = []

        def indices(value: object, where: str) -> torch.Tensor:
            if (array := strings(value)) is None:
                return to_tensor(value, where)
            known, found = np.unique(array, return_inverse=True)
            words.append((torch.from_numpy(found.reshape(array.shape)), known))
            return words[-1][0]

        parts = {
            "x": tensors_in(x, "x", indices),
            "y": tensors_in(y, "y"),
            "sample_weight": tensors_in(weights, "sample_weight"),
        }
        leaves = [[] if part is None else _tree.leaves(part) for part in parts.values()]
        self._words = {index: known for index, t in enumerate(leaves[0]) for tensor, known in words if t is tensor}
        named = [(name, t) for name, found in zip(parts, leaves, strict=True) for t in found if t is not None]
        for name, tensor in named:
            if finite and name == "x":
                warn_of_not_finite(tensor, name)
        structure = tuple(None if part is None else _tree.map_leaves(lambda _: 0, part) for part in parts.values())
        return Batch(leaves[0], leaves[1], leaves[2], same_length(named), structure)

    def weigh(self, batch: Batch) -> Batch:
        """Multiply the sample weights by the weight of each sample's class."""
        if self._class_weight is None or not batch.y or batch.y[0] is None:
            return batch
        weight = weighted(batch.y[0], batch.weights[0] if batch.weights else None, self._class_weight)
        return batch._replace(weights=[weight], structure=(*batch.structure[:2], 0))


def _is_leaf(single: bool) -> Callable[[Any], bool]:
    """A list of numbers is one array where there is one slot, a list of arrays where there are several."""
    return is_array if single else lambda value: is_array(value) and not isinstance(value, (list, tuple))
