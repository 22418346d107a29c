"""Windows over a series, as a pipeline of batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from anabranch import config
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError
from anabranch.pipelines.passes import Draws
from anabranch.pipelines.pipeline import Pipeline
from anabranch.training.data.arrays import to_tensor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@checked
def timeseries_dataset_from_array(
    data: ArrayLike,
    targets: ArrayLike | None,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Pipeline:
    """Return windows over a series (T, …): batches (B, sequence_length, …), each with the target of its first step.

    Args:
        data: the series.
        targets: ``targets[i]`` belongs to the window that begins at ``i``; None for no targets.
        sequence_length: how many steps a window has.
        sequence_stride: how many steps after one window the next begins.
        sampling_rate: every which step within a window is taken.
        batch_size: windows per batch; None for single windows.
        shuffle: whether windows are shuffled, in each pass anew.
        seed: the seed of that order; it follows from the global seed unless given.
        start_index: the first step of the series that is used.
        end_index: the first step that is no longer used.
        format: without effect: what is returned is a pipeline of torch's tensors.

    Raises:
        ArgumentError: a length, stride or index does not fit the series.

    Example:
        >>> import numpy as np
        >>> series = np.arange(6)
        >>> batches = timeseries_dataset_from_array(series, series[3:], 3, batch_size=2)
        >>> next(iter(batches))
        (tensor([[0, 1, 2],
                [1, 2, 3]]), tensor([3, 4]))
    """
    series = to_tensor(data, "data")
    _check(series, sequence_length, sequence_stride, sampling_rate, start_index, end_index)
    series = series[start_index or 0 : len(series) if end_index is None else end_index]
    count = len(series) - (sequence_length - 1) * sampling_rate
    wanted = None
    if targets is not None:
        wanted = to_tensor(targets, "targets")
        if not wanted.dim():
            raise ArgumentError("targets has one value for each step.", got=shown(targets))
        wanted = wanted[start_index or 0 :]
        count = min(count, len(wanted))
    if count < 1:
        raise ArgumentError(
            "The series is shorter than one window.", got=f"{len(series)} steps",
            expected=f"more than {(sequence_length - 1) * sampling_rate} steps, and a target for each window",
        )  # fmt: skip
    starts = torch.arange(0, count, sequence_stride)
    steps = torch.arange(0, sequence_length * sampling_rate, sampling_rate)
    first = config.seed() if seed is None else int(seed)
    size = 1 if batch_size is None else batch_size
    if size < 1:
        raise ArgumentError("batch_size must be ≥ 1.", got=shown(batch_size))
    batches = _Batches(series, wanted, starts, steps, batch_size, Draws(first) if shuffle else None)
    found = Pipeline(batches, -(-len(starts) // size))
    found.batch_size = batch_size
    return found


class _Batches:
    """Batches of windows, and of targets where there are any; ``draws``: of the order, where it is drawn."""

    def __init__(
        self, series: torch.Tensor, wanted: torch.Tensor | None, starts: torch.Tensor, steps: torch.Tensor,
        batch_size: int | None, draws: Draws | None,
    ) -> None:  # fmt: skip
        self.series, self.wanted, self.starts, self.steps = series, wanted, starts, steps
        self.batch_size, self.draws = batch_size, draws

    def __call__(self) -> Iterator[Any]:
        """Begin a pass."""
        order = self.starts
        if self.draws is not None:
            order = order[torch.from_numpy(self.draws().permutation(len(order)))]
        size = self.batch_size or 1
        for at in range(0, len(order), size):
            begin = order[at : at + size]
            windows = self.series[begin[:, None] + self.steps]
            batch = windows if self.wanted is None else (windows, self.wanted[begin])
            if self.batch_size is not None:
                yield batch
            else:
                yield batch[0] if self.wanted is None else (batch[0][0], batch[1][0])


def _check(series: torch.Tensor, length: int, stride: int, rate: int, start: int | None, end: int | None) -> None:
    steps = len(series) if series.ndim else 0
    for name, value in (("sequence_length", length), ("sequence_stride", stride), ("sampling_rate", rate)):
        if value < 1 or (value >= steps and name != "sequence_length"):
            raise ArgumentError(f"{name} must be ≥ 1 and less than the series is long.", got=f"{value}, of {steps} steps")
    if start is not None and not 0 <= start < steps:
        raise ArgumentError("start_index must be a step of the series.", got=f"{start} of {steps} steps")
    if end is not None and not (start or 0) < end <= steps:
        raise ArgumentError("end_index must be behind start_index and in the series.", got=f"{end} of {steps} steps")
