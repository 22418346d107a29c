"""A data set in two parts."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Dataset, Subset, TensorDataset

from anabranch._arguments import checked
from anabranch._asked import has_shape, is_integer, is_number, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError
from anabranch.training.data.arrays import to_tensor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@checked
def split_dataset(
    dataset: Dataset[Any] | ArrayLike | Sequence[ArrayLike],
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Subset[Any], Subset[Any]]:
    """Return two data sets, the first and the last samples of one; ``fit`` and a DataLoader take them.

    Args:
        dataset: a torch ``Dataset`` with a length, an array, or a list or tuple of arrays of one length.
        left_size: how many samples the first part has, or which fraction of them; what ``right_size`` leaves unless given.
        right_size: the same of the second part.
        shuffle: whether samples are shuffled before.
        seed: the seed of that order; that of torch's generator unless given.
        preferred_backend: ``"torch"``, the only engine.

    Raises:
        ArgumentError: the parts are empty, or larger than the whole.

    Example:
        >>> import numpy as np
        >>> left, right = split_dataset(np.arange(10), left_size=0.8)
        >>> len(left), [int(x) for x, in right]
        (8, [8, 9])
    """
    if preferred_backend not in (None, "torch"):
        raise ArgumentError("The engine is torch.", expected="preferred_backend=None or 'torch'", got=shown(preferred_backend))
    samples = _samples(dataset)
    if not isinstance(samples, Sized):
        raise DataError("A data set without a length cannot be split.", got=type(samples).__name__)
    count = len(samples)
    left, right = _sizes(left_size, right_size, count)
    if shuffle:
        generator = None if seed is None else torch.Generator().manual_seed(int(seed))
        order = torch.randperm(count, generator=generator).tolist()
    else:
        order = list(range(count))
    return Subset(samples, order[:left]), Subset(samples, order[count - right :])


def _samples(dataset: object) -> Dataset[Any]:
    """Return what has samples by index."""
    if isinstance(dataset, Dataset):
        return dataset
    arrays = list(dataset) if isinstance(dataset, (list, tuple)) else [dataset]
    if not arrays or not all(has_shape(array) and array.shape for array in arrays):
        raise ArgumentTypeError(
            "dataset cannot be split.", expected="a torch Dataset, an array, or a list of arrays", got=shown(dataset)
        )
    tensors = [to_tensor(array, f"dataset[{index}]") for index, array in enumerate(arrays)]
    if len({len(tensor) for tensor in tensors}) != 1:
        raise DataError("Arrays of one data set have as many samples each.", got=", ".join(str(len(each)) for each in tensors))
    return TensorDataset(*tensors)


def _sizes(left: float | None, right: float | None, count: int) -> tuple[int, int]:
    if left is None and right is None:
        raise ArgumentError("split_dataset needs a size.", expected="left_size= or right_size=", got="neither")
    sizes = [None if size is None else _size(name, size, count) for name, size in (("left_size", left), ("right_size", right))]
    first = count - (sizes[1] or 0) if sizes[0] is None else sizes[0]
    second = count - first if sizes[1] is None else sizes[1]
    if first < 1 or second < 1 or first + second > count:
        raise ArgumentError(
            "The parts do not fit.",
            expected=f"two sizes ≥ 1 whose sum is ≤ {count}",
            got=f"{first} and {second} of {count} samples",
        )
    return first, second


def _size(name: str, size: float, count: int) -> int:
    if is_integer(size):
        return int(size)
    if not is_number(size) or not 0 < size < 1:
        raise ArgumentError(f"{name} must be a count of samples, or a fraction between 0 and 1.", got=shown(size))
    return round(size * count)
