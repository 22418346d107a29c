"""How data are read: in batches of which size, in which order."""

from __future__ import annotations

import dataclasses
import math

DEFAULT_BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True)
class Reading:
    """How data are read.

    Args:
        batch_size: samples per batch; None for 32, or for what ``steps`` makes of data in memory.
        steps: batches per pass.
        shuffle: whether samples are shuffled, or ``"batch"`` for whole batches.
        fit: which call of ``fit`` since the seed was set, on which the order depends.
        finite: whether NaN and infinity in x are warned of.
        repeats: whether there may be several passes.
    """

    batch_size: int | None = None
    steps: int | None = None
    shuffle: bool | str = False
    fit: int = 0
    finite: bool = False
    repeats: bool = False

    def size(self, samples: int) -> int:
        """Return the batch size for so many samples in memory."""
        if self.batch_size is not None:
            return self.batch_size
        return math.ceil(samples / self.steps) if self.steps else DEFAULT_BATCH_SIZE
