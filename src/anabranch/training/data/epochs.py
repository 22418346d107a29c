"""How a source's batches are divided into epochs."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from anabranch.training.data.batch import Batch
from anabranch.training.data.sources import Source


class Epochs:
    """Divides a source's batches into epochs, of ``steps`` batches each where that is given."""

    def __init__(self, source: Source, steps: int | None) -> None:
        self.source = source
        self.limit = steps
        self.steps = steps or source.steps
        self.ran_out = False
        self._pass: Iterator[Batch] | None = None  # what is left of the current pass through the source
        self._epoch: Iterator[Batch] | None = None

    def close(self) -> None:
        """End what an unfinished pass still runs, such as threads that fetch its next batches."""
        for batches in (self._epoch, self._pass):
            if isinstance(batches, Generator):
                batches.close()
        self._epoch = self._pass = None

    def restart(self) -> None:
        """Drop an unfinished pass; a generator continues where it stopped."""
        self._pass = None

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Return the batches of one epoch; with ``steps``, an unfinished pass continues in the next epoch.

        Sets ``ran_out`` where the source ended before ``steps`` batches.
        """
        self.ran_out = False
        self._epoch = self.source.batches(epoch) if self.limit is None else self._limited(epoch, self.limit)
        return self._epoch

    def _limited(self, epoch: int, limit: int) -> Iterator[Batch]:
        begun = False
        count = 0
        while count < limit:
            if self._pass is None:
                if begun:
                    self.ran_out = True
                    return
                self._pass = self.source.batches(epoch)
                begun = True
            batch = next(self._pass, None)
            if batch is None:
                self._pass = None
                begun = begun or self.source.once
                continue
            count += 1
            yield batch
            batch = None
