"""What layers have in common that draw random numbers: a seed, and a stream of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch import runtime
from anabranch.layers import fields

if TYPE_CHECKING:
    from anabranch.runtime import Generator


class Drawing(fields.FieldLayer):
    """A layer that draws random numbers from a stream that follows from ``seed``, or from its path in the model. Abstract."""

    seed: fields.SeedField = fields.seed(default=None, kw_only=True)

    _generator: Generator | None = fields.state(init=False)

    def generator(self) -> Generator | None:
        """Return the generator to draw from, None for the process's."""
        if self.seed is None:
            return runtime.stream(self._home)
        self._generator = runtime.generator(self.seed, self._generator)
        return self._generator
