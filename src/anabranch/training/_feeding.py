"""Feeding: which kind of source the user's data are, and how one batch of them is bound, checked, moved and cast."""

from __future__ import annotations

import math
from collections.abc import Sequence as Ordered
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from anabranch import _tree, engine, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError
from anabranch.graph.binding import Rule, Slots, bind
from anabranch.training import _checks
from anabranch.training._arrays import check_finite, is_array, tensors_in, to_tensor
from anabranch.training._placing import moved
from anabranch.training._sources import Arrays, Batch, Feed, Sequence, Source, Stream, refuse_parts
from anabranch.training._targets import Target, class_weights
from anabranch.utils import unpack_x_y_sample_weight as unpack

DEFAULT_BATCH_SIZE = 32


class ModelFeed:
    """Turns what users yield or hold into batches for one model.

    ``targets`` says for each output what its y must be, None where predictions alone are wanted.
    """

    def __init__(self, model: Any, targets: Ordered[Target] | None, class_weight: dict[int, float] | None = None) -> None:
        self._own = model if model.graph is None else None  # a model that writes its own call takes what comes
        self._take_slots(model)
        self._targets = targets
        self._class_weight = class_weight
        self.device = engine.device()
        self._direct = self.device.type == "cpu"
        if class_weight is not None:
            self._check_class_weight(class_weight)

    def _take_slots(self, model: Any) -> None:
        self._inputs = Slots.inputs(model)
        self._outputs = Slots.outputs(model)
        self._optional = [i for i, t in enumerate(self._inputs.tensors) if t.node.operation.optional]
        self._dtypes = [runtime.dtype_of(tensor.dtype) for tensor in self._inputs.tensors]

    def _follow(self, model: Any, x: Any) -> None:
        before = model.running_graph
        model.follow(tensors_in(x, "x"))
        if model.running_graph is not before:
            self._take_slots(model)
            if self._targets is not None:
                self._targets = model._compiled.bind(model).targets

    def batch(self, item: Any) -> Batch:
        """Bind, check and move one batch: x, (x,), (x, y) or (x, y, sample_weight)."""
        x, y, weights = unpack(item)
        return self.ready(self.weigh(self.flat(x, y, weights)))

    def ready(self, batch: Batch) -> Batch:
        """Move one batch to the device; inputs are cast there, so that uint8 images travel as bytes."""
        xs, ys, weights, size, _ = batch
        if not (self._direct and all(t is None or t.is_cpu for t in (*xs, *ys, *weights))):
            xs, ys, weights = ([None if t is None else moved(t, self.device) for t in part] for part in (xs, ys, weights))
        x = [t if t is None or t.dtype is dtype else t.to(dtype) for t, dtype in zip(xs, self._dtypes, strict=True)]
        return Batch(x, ys, weights, size)

    def flat(self, x: Any, y: Any, weights: Any, *, finite: bool = False) -> Batch:
        """Bind and check x, y and sample weights; tensors stay where they are and share the user's memory.

        ``finite`` looks for NaN and infinity in float inputs held in memory.
        """
        if x is None:
            raise DataError("There is no x.", expected="arrays, tensors, a loader or a generator", got="None")
        if self._own is not None:
            self._follow(self._own, x)
        named: list[tuple[str, torch.Tensor]] = []
        xs: list[torch.Tensor | None] = []
        single = len(self._inputs.names) == 1
        rule = Rule("x", _data_leaf(single), optional=self._optional, error=DataError)
        for index, value in enumerate(bind(x, self._inputs, rule)):
            where = "x" if single else f"x[{self._inputs.names[index]!r}]"
            if value is None and index in self._optional:
                xs.append(None)
                continue
            if value is None:
                raise DataError(f"{where} is None.", expected="an array or tensor")
            tensor = to_tensor(value, where)
            named.append((where, tensor))
            if tensor.ndim:
                tensor = _checks.fit_input(tensor, self._inputs.tensors[index].shape, self._inputs.names[index])
            if finite and not isinstance(value, np.memmap):
                check_finite(tensor, where)
            xs.append(tensor)
        ys = self._flat_targets(y, named)
        ws = self._flat_weights(weights, ys, named)
        return Batch(xs, ys, ws, _checks.same_length(named))

    def _flat_targets(self, y: Any, named: list[tuple[str, torch.Tensor]]) -> list[torch.Tensor | None]:
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
                    repair="pass y, or compile with loss=None where the losses come from layers alone",
                )
            return [None] * len(names)
        single = len(names) == 1
        ys: list[torch.Tensor | None] = []
        for index, value in enumerate(
            bind(y, self._outputs, Rule("y", _data_leaf(single), optional=optional, error=DataError))
        ):
            where = "y" if single else f"y[{names[index]!r}]"
            tensor = None if value is None else to_tensor(value, where)
            if tensor is not None:
                named.append((where, tensor))
                if tensor.ndim:
                    self._targets[index].check(tensor, where)
            ys.append(tensor)
        return ys

    def _flat_weights(
        self, weights: Any, ys: list[torch.Tensor | None], named: list[tuple[str, torch.Tensor]]
    ) -> list[torch.Tensor | None]:
        if weights is None or self._targets is None:
            return [None] * len(ys)
        optional = [index for index, target in enumerate(self._targets) if not target.needed]
        rule = Rule("sample_weight", _data_leaf(True), spread=True, optional=optional, error=DataError)
        found: list[torch.Tensor | None] = []
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
        y = batch.y[0]
        if self._class_weight is None or y is None:
            return batch
        weight = class_weights(y, self._class_weight)
        given = batch.weights[0]
        if given is not None:
            weight = (
                weight * given.reshape(given.shape[0], *([1] * (weight.ndim - 1)))
                if given.ndim < weight.ndim
                else weight * given
            )
        return batch._replace(weights=[weight])

    def _check_class_weight(self, class_weight: Any) -> None:
        if not isinstance(class_weight, dict) or not all(isinstance(key, (int, np.integer)) for key in class_weight):
            raise ArgumentTypeError(
                "class_weight is a dict from class number to weight.",
                expected="e.g. {0: 1.0, 1: 5.0}",
                got=repr(class_weight)[:100],
            )
        if len(self._outputs.names) != 1:
            raise ArgumentError(
                "class_weight is for models with one output.",
                got=self._outputs.described(),
                repair="sample_weight={output name: weights} weighs each output",
            )


def _data_leaf(single: bool) -> Any:
    """A list of numbers is one array where there is one slot, a list of arrays where there are several."""
    return is_array if single else lambda value: is_array(value) and not isinstance(value, (list, tuple))


def is_in_memory(x: Any) -> bool:
    """Return whether ``x`` is an array or a nest of arrays, rather than a source that yields batches."""
    if is_array(x):
        return True
    found = _tree.leaves(x) if _tree.is_nest(x) else []
    return bool(found) and all(is_array(leaf) for leaf in found)


def source_of(
    feed: Feed, x: Any, y: Any, sample_weight: Any, *, batch_size: int | None, steps: int | None = None,
    shuffle: bool | str = False, fit: int = 0, finite: bool = False,
) -> Source:  # fmt: skip
    """Return the source of batches that the user's data are."""
    if isinstance(x, TensorDataset) and 1 <= len(x.tensors) <= 3:
        refuse_parts("TensorDataset", y, sample_weight)
        x, y, sample_weight = unpack(x.tensors)
    if isinstance(x, (Dataset, DataLoader)) or not (x is None or _tree.is_nest(x) or is_array(x)):
        refuse_parts(type(x).__name__, y, sample_weight)
        return _stream(feed, x, batch_size, shuffle, fit)
    data = feed.weigh(feed.flat(x, y, sample_weight, finite=finite))
    return Arrays(feed, data, _size(batch_size, data.size, steps), shuffle, fit)


def split_of(
    feed: Feed, x: Any, y: Any, sample_weight: Any, fraction: float, *, batch_size: int | None,
    validation_batch_size: int | None, steps: int | None, validation_steps: int | None, shuffle: bool | str, fit: int,
) -> tuple[Source, Source]:  # fmt: skip
    """Return training and validation data: the last ``fraction`` of the samples, as they lie, is held out."""
    if not 0 < fraction < 1:
        raise ArgumentError("validation_split cannot be used.", expected="a fraction between 0 and 1", got=repr(fraction))
    if isinstance(x, TensorDataset) and 1 <= len(x.tensors) <= 3:
        x, y, sample_weight = unpack(x.tensors)
    if not (_tree.is_nest(x) or is_array(x)):
        raise ArgumentError(
            "validation_split needs data in memory.",
            expected="arrays or tensors",
            got=type(x).__name__,
            repair="pass validation_data=, a second source",
        )
    data = feed.flat(x, y, sample_weight, finite=True)
    cut = math.floor(data.size * (1 - fraction))
    if cut in (0, data.size):
        raise ArgumentError(
            "validation_split leaves one part empty.", got=f"validation_split={fraction} of {data.size} samples"
        )  # fmt: skip
    train = feed.weigh(_part(data, slice(0, cut)))
    held = _part(data, slice(cut, data.size))
    return (
        Arrays(feed, train, _size(batch_size, train.size, steps), shuffle, fit),
        Arrays(feed, held, _size(validation_batch_size or batch_size, held.size, validation_steps), False, fit),
    )


def _part(data: Batch, part: slice) -> Batch:
    return Batch(
        [None if t is None else t[part] for t in data.x],
        [None if t is None else t[part] for t in data.y],
        [None if t is None else t[part] for t in data.weights],
        part.stop - part.start,
    )


def _size(batch_size: int | None, samples: int, steps: int | None) -> int:
    if batch_size is not None:
        return batch_size
    return math.ceil(samples / steps) if steps else DEFAULT_BATCH_SIZE


def _stream(feed: Feed, x: Any, batch_size: int | None, shuffle: bool | str, fit: int) -> Source:
    if isinstance(x, DataLoader):
        return Stream(feed, x)
    if isinstance(x, Dataset):
        generator = torch.Generator()
        ordered = isinstance(x, IterableDataset)
        if not ordered and _empty(x):
            raise DataError("x holds no samples.", got=f"a {type(x).__name__} of length 0")
        loader: DataLoader[Any] = DataLoader(
            x,
            batch_size=batch_size or DEFAULT_BATCH_SIZE,
            shuffle=None if ordered else bool(shuffle),
            generator=generator,
        )
        return Stream(feed, loader, generator, fit)
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        return Sequence(feed, x, shuffle, fit)
    if hasattr(x, "__iter__") or hasattr(x, "__next__"):
        return Stream(feed, x)
    raise ArgumentTypeError(
        "Data of this kind cannot be fed.",
        expected="arrays, tensors, nests of them, a Dataset, a DataLoader or an iterable of batches",
        got=f"{type(x).__name__} {getattr(x, '__name__', '')}".strip(),
        repair="call it: the generator, not the function that makes it" if callable(x) else None,
    )


def _empty(dataset: Any) -> bool:
    return hasattr(dataset, "__len__") and len(dataset) == 0


__all__ = ["DEFAULT_BATCH_SIZE", "ModelFeed", "is_in_memory", "source_of", "split_of", "unpack"]
