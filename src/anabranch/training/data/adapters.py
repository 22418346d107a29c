"""Which source the user's data are: arrays, a data set, a loader, a generator; and the split into training and validation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sized
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from anabranch import _tree
from anabranch._asked import is_from, name_of
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError
from anabranch.training.data.arrays import is_array
from anabranch.training.data.batched import Batched
from anabranch.training.data.binder import Binder
from anabranch.training.data.fetching import Indexed
from anabranch.training.data.parts import unpack_x_y_sample_weight as unpack
from anabranch.training.data.reading import DEFAULT_BATCH_SIZE, Reading
from anabranch.training.data.sources import Arrays, IndexedBatches, IteratedBatches, Source


def is_in_memory(x: object) -> bool:
    """Return whether ``x`` is an array or a nest of arrays, rather than a source that yields batches."""
    if is_array(x):
        return True
    found = _tree.leaves(x) if _tree.is_nest(x) else []
    return bool(found) and all(is_array(leaf) for leaf in found)


def source_for(binder: Binder, x: object, y: object, sample_weight: object, reading: Reading) -> Source:
    """Return the source of batches that the user's data are."""
    _refuse_columns(x, y)
    if isinstance(x, TensorDataset) and 1 <= len(x.tensors) <= 3:
        _refuse_parts("TensorDataset", y, sample_weight)
        x, y, sample_weight = unpack(x.tensors)
    if isinstance(x, (Dataset, DataLoader)) or not (x is None or _tree.is_nest(x) or is_array(x)):
        source = _batch_source(binder, x, reading)
        _refuse_parts(type(x).__name__, y, sample_weight)
        return source
    data = binder.weigh(binder.bind(x, y, sample_weight, finite=reading.finite))
    return Arrays(binder, data, reading)


def split(
    binder: Binder, x: object, y: object, sample_weight: object, fraction: float, reading: Reading, held_out: Reading
) -> tuple[Source, Source]:
    """Return training and validation data: the last ``fraction`` of the samples, before shuffling, is held out."""
    _refuse_columns(x, y)
    if isinstance(x, TensorDataset) and 1 <= len(x.tensors) <= 3:
        x, y, sample_weight = unpack(x.tensors)
    if not (_tree.is_nest(x) or is_array(x)):
        raise ArgumentError(
            "validation_split needs data in memory.",
            expected="arrays or tensors",
            got=type(x).__name__,
            repair="pass validation_data=, a second source",
        )
    data = binder.bind(x, y, sample_weight, finite=reading.finite)
    cut = math.floor(data.size * (1 - fraction))
    if cut in (0, data.size):
        raise ArgumentError(
            "validation_split leaves one part empty.", got=f"validation_split={fraction} of {data.size} samples"
        )  # fmt: skip
    train, held = binder.weigh(data.part(slice(0, cut))), data.part(slice(cut, data.size))
    return Arrays(binder, train, reading), Arrays(binder, held, held_out)


def _batch_source(binder: Binder, x: object, reading: Reading) -> Source:
    """Return the source of batches that an object is which is no array."""
    if isinstance(x, (DataLoader, Batched)):
        return IteratedBatches(binder, x)
    if isinstance(x, Dataset):
        generator = torch.Generator()
        in_order = isinstance(x, IterableDataset)
        if not in_order and isinstance(x, Sized) and len(x) == 0:
            raise DataError("x holds no samples.", got=f"a {type(x).__name__} of length 0")
        loader: DataLoader[Any] = DataLoader(
            x,
            batch_size=reading.batch_size or DEFAULT_BATCH_SIZE,
            shuffle=None if in_order else bool(reading.shuffle),
            generator=generator,
        )
        return IteratedBatches(binder, loader, generator, reading.fit)
    if isinstance(x, (str, bytes)):
        raise _no_data(x)
    if isinstance(x, Indexed):
        source = IndexedBatches(binder, x, reading.shuffle, reading.fit)
        if source.steps is None and reading.steps is None:
            raise DataError(
                f"A pass over the {type(x).__name__} would not end: its num_batches is None.",
                repair="fit(steps_per_epoch=…), validation_steps=…, or steps=… of evaluate and predict",
            )
        return source
    if isinstance(x, Iterable):
        return IteratedBatches(binder, x)
    raise _no_data(x)


def _no_data(x: object) -> ArgumentTypeError:
    return ArgumentTypeError(
        "x cannot be used as data.",
        expected="arrays, tensors, nests of them, a Dataset, a DataLoader or an iterable of batches",
        got=f"{type(x).__name__} {name_of(x)}".strip(),
        repair="call it: the generator, not the function that makes it" if callable(x) else None,
    )


def _refuse_columns(x: object, y: object) -> None:
    """Raise where x or y are tables of Hugging Face's, in which nothing says what is a label and what has which dtype."""
    for each in (x, y):
        parts = [each, *(_tree.leaves(each) if _tree.is_nest(each) else ())]
        found = next((part for part in parts if is_from(type(part), "datasets")), None)
        if found is None:
            continue
        kind = type(found).__name__
        ways = {
            "Column": 'ds.with_format("numpy")["name"][:]',
            "DatasetDict": 'ds = ds["train"] first',
            "IterableDataset": 'a generator: ((batch["image"], batch["label"]) for batch in ds.with_format("numpy").batch(32))',
        }
        raise DataError(
            f"A {kind} of Hugging Face's does not say which of its columns are inputs, and which labels.",
            expected="arrays, a DataLoader that gives (x, y), or a generator", got=f"{kind}: {found!r}"[:120],
            repair=ways.get(
                kind, 'data = ds.with_format("numpy")[:]; fit(data["image"], data["label"]); of several inputs a dict by name'
            ),
        )  # fmt: skip


def _refuse_parts(kind: str, y: object, sample_weight: object) -> None:
    """Raise where targets are given beside a source that yields them itself."""
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ArgumentError(
                f"{name} cannot be given beside a {kind}, which yields it itself.",
                expected="batches (x, y) or (x, y, sample_weight) from the source",
                got=f"{name} of type {type(value).__name__}",
            )
