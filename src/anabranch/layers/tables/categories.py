"""Integers of categories as vectors; numbers as the integers of bins."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from anabranch import runtime
from anabranch._arguments import Several, checked
from anabranch._asked import is_number, method, on_host, shown
from anabranch._errors import ArgumentError, DataError, NotReadyError
from anabranch.graph import Shape
from anabranch.layers.fields import NAME_DOC, Field, FieldLayer, NumberField, integer, number, state
from anabranch.layers.tables.host import DTYPE_DOC, batches_of, dense, encoded_spec, output_mode
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    import numpy as np

    from anabranch.runtime import Tensor

    Summary = np.ndarray[Any, np.dtype[np.float32]]


class CategoryEncoding(FieldLayer):
    """Return integers of categories as vectors: (B, n) -> (B, num_tokens).

    An integer outside of 0 … num_tokens - 1 has no place in the vector.

    Example:
        >>> import numpy as np
        >>> CategoryEncoding(num_tokens=4)(np.array([[0, 1], [3, 3]])).tolist()
        [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
        >>> CategoryEncoding(num_tokens=4, output_mode="count")(np.array([[3, 3]])).tolist()
        [[0.0, 0.0, 0.0, 2.0]]
    """

    num_tokens: Field[int | None, int] = integer(default=None, optional=True, doc="how many categories there are.")
    output_mode: Field[str, str] = output_mode("multi_hot", "one_hot", "count", default="multi_hot")
    sparse: Field[bool, bool] = dense(hidden=True)

    def _check_(self) -> None:
        if self.num_tokens is None:
            raise ArgumentError(
                "CategoryEncoding needs num_tokens.", expected="how many categories there are", got="None",
                where=str(self._made_at_), repair="IntegerLookup, whose adapt learns them",
            )  # fmt: skip

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, …, n) -> (B, …, num_tokens); one-hot (B, …, n) -> (B, …, n, num_tokens), without an n of 1."""
        return encoded_spec(input_shape, self.output_mode, self.num_tokens, "").shape

    def call(self, inputs: Tensor, count_weights: Tensor | None = None) -> Tensor:
        """Encode; ``count_weights`` says what each integer counts."""
        if count_weights is not None and self.output_mode != "count":
            raise ArgumentError(
                f"count_weights is for output_mode='count'; {self._described_()} has {self.output_mode!r}.",
                got=shown(count_weights),
            )  # fmt: skip
        return kernels.encode(inputs, self.output_mode, self.num_tokens, runtime.dtype_of(self.compute_dtype), count_weights)


def _boundaries(value: object, owner: object, name: str) -> list[float] | None:
    if value is None:
        return None
    listed = method(value, "tolist")
    found = listed() if listed else value
    if not isinstance(found, (list, tuple)) or not found or not all(is_number(each) for each in found):
        raise ArgumentError(f"{name} of {type(owner).__name__} must be a list of numbers, or None.", got=shown(value))
    if any(a > b for a, b in itertools.pairwise(found)):
        raise ArgumentError(f"{name} of {type(owner).__name__} must be sorted.", got=shown(value), repair="sorted(…)")
    return [float(each) for each in found]


class Discretization(FieldLayer):
    """Return for each number the integer of its bin, how many boundaries are at most as great; or a vector of it.

    The boundaries are given, or computed by :meth:`adapt` as quantiles, so that each bin has about as many numbers.

    Example:
        >>> import numpy as np
        >>> Discretization(bin_boundaries=[0.0, 1.0, 2.0])(np.array([[-1.5, 1.0, 3.4, 0.5]])).tolist()
        [[0, 2, 3, 1]]
    """

    _takes_one_tensor_ = True

    bin_boundaries: Field[Sequence[float] | None, list[float] | None] = Field(
        None, _boundaries, doc="the boundaries in ascending order; n of them make n + 1 bins."
    )
    num_bins: Field[int | None, int | None] = integer(
        default=None, least=0, optional=True, doc="how many bins adapt makes, in the place of bin_boundaries."
    )
    epsilon: NumberField = number(
        default=0.01, above=0, doc="how exact the quantiles are: the fraction of the data that may differ."
    )
    output_mode: Field[str, str] = output_mode("int", "one_hot", "multi_hot", "count")
    sparse: Field[bool, bool] = dense()
    _others_by_position_ = {"dtype": DTYPE_DOC, "name": NAME_DOC}

    summary: Summary | None = state(init=False)  # values in ascending order (first row) and how many each counts for
    _learned: bool = state(init=False)

    def get_config(self) -> dict[str, Any]:
        """Return the settings, as Keras writes and reads them: the dtype by its name, and not whether the layer trains.

        Example:
            >>> Discretization(num_bins=2).get_config()["dtype"]
            'float32'
        """
        config = super().get_config() | {"dtype": self.dtype_policy.name}
        del config["trainable"]
        return config

    def _check_(self) -> None:
        given = f"bin_boundaries={self.bin_boundaries!r}, num_bins={self.num_bins!r}"
        if (self.bin_boundaries is None) == (self.num_bins is None) and not self._learned:
            raise ArgumentError(
                "Discretization takes boundaries, or a number of bins for adapt to make them.",
                expected="bin_boundaries or num_bins, one of the two", got=given, where=str(self._made_at_),
            )  # fmt: skip

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a new layer with the settings of a config, with boundaries that ``adapt`` found where it has some.

        Args:
            config: what ``get_config`` returned.

        Example:
            >>> Discretization.from_config({"num_bins": 2, "bin_boundaries": [1.5]}).bin_boundaries
            [1.5]
        """
        config = dict(config)
        found = config.pop("bin_boundaries", None) if config.get("num_bins") is not None else None
        made = super().from_config(config)
        if found is not None:
            made._learn(_boundaries(found, made, "bin_boundaries"))
        return made

    def _learn(self, boundaries: list[float] | None) -> None:
        self._learned = True
        vars(self)[":bin_boundaries"] = boundaries
        self._note_change_()

    @checked
    def adapt(self, data: object, steps: Several | None = None) -> None:
        """Compute the boundaries from data: quantiles, of a summary that stays small however much data there is.

        Args:
            data: an array, or an iterable of batches.
            steps: how many batches are taken; None: all.

        Raises:
            ArgumentError: the layer was given its boundaries.
            DataError: there is no data, or it is not all numbers.

        Example:
            >>> import numpy as np
            >>> layer = Discretization(num_bins=2)
            >>> layer.adapt(np.array([1.0, 2.0, 3.0, 4.0]))
            >>> layer.bin_boundaries
            [2.0]
        """
        self.reset_state()
        batches_of(data, steps, self.update_state, listed=False)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget the data that :meth:`update_state` was given.

        Example:
            >>> layer = Discretization(num_bins=2)
            >>> layer.update_state([1.0, 2.0])
            >>> layer.reset_state()
            >>> layer.summary is None
            True
        """
        if self.num_bins is None:
            raise ArgumentError(
                f"{self._described_()} was given its boundaries.", got=f"bin_boundaries={self.bin_boundaries!r}"[:120],
                repair="Discretization(num_bins=…), whose boundaries adapt computes",
            )  # fmt: skip
        self.summary = None

    def update_state(self, data: object) -> None:
        """Add a batch to what the boundaries are computed from.

        Args:
            data: an array or a nested list of numbers.

        Example:
            >>> layer = Discretization(num_bins=2)
            >>> layer.update_state([1.0, 2.0])
            >>> layer.summary.tolist()
            [[1.0, 2.0], [1.0, 1.0]]
        """
        import numpy as np

        try:
            values = np.asarray(on_host(data)).astype("float32").ravel()
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataError("adapt takes numbers.", got=shown(data), where=self._described_()) from error
        if not np.isfinite(values).all():
            raise DataError(
                "The data that adapt was given holds NaN or infinite values.", where=self._described_(),
                repair="look at ~np.isfinite(x)",
            )  # fmt: skip
        if values.size:
            found = _summary(values, self.epsilon)
            before = np.zeros((2, 0), "float32") if self.summary is None else self.summary
            merged = np.concatenate([found, before], 1)
            self.summary = _compressed(merged[:, np.argsort(merged[0])], self.epsilon)

    def finalize_state(self) -> None:
        """Compute the boundaries from the batches so far.

        Example:
            >>> layer = Discretization(num_bins=2)
            >>> layer.update_state([1.0, 2.0, 3.0, 4.0])
            >>> layer.finalize_state()
            >>> layer.bin_boundaries
            [2.0]
        """
        if self.num_bins is None:
            return
        if self.summary is None:
            raise DataError("adapt was given no data.", expected="numbers", where=self._described_())
        self._learn(_compressed(self.summary, 1.0 / max(self.num_bins, 1))[0, :-1].tolist())

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape, or what :class:`CategoryEncoding` gives for integers of it."""
        count = self.num_bins if self.bin_boundaries is None else len(self.bin_boundaries) + 1
        return encoded_spec(input_shape, self.output_mode, count, "").shape

    def _output_dtype_(self, input_dtypes: list[str]) -> str:
        """Return int32 for integers of bins, else what the layer computes in.

        Args:
            input_dtypes: of the inputs.
        """
        return "int32" if self.output_mode == "int" else self.compute_dtype

    def call(self, inputs: Tensor) -> Tensor:
        """Find the bins."""
        if self.bin_boundaries is None:
            raise NotReadyError(f"{self._described_()} has no boundaries yet.", repair="layer.adapt(data), or bin_boundaries=")
        dtype = runtime.dtype_of(self._output_dtype_([]))
        if not self.bin_boundaries:
            found = inputs.long() * 0
        else:
            found = kernels.bins(inputs.float(), runtime.as_tensor(self.bin_boundaries, "float32"))
        if self.output_mode == "int":
            return found.to(dtype)
        return kernels.encode(found, self.output_mode, len(self.bin_boundaries) + 1, dtype, like=inputs)


def _summary(values: Summary, epsilon: float) -> Summary:
    """Return values at equal distances in the sorted data, and how many each counts for."""
    import numpy as np

    step = max(values.size * epsilon, 1)
    found = np.sort(values)[int(step - 1) :: int(step)]
    return np.stack([found, np.full_like(found, step)])


def _compressed(summary: Summary, epsilon: float) -> Summary:
    """Return a summary with 1 / epsilon values, at equal distances of the running count, interpolated."""
    import numpy as np

    if summary.shape[1] * epsilon < 1:
        return summary
    at = epsilon + np.arange(0.0, 1.0, epsilon)
    counts = summary[1].cumsum()
    portions = counts / counts[-1]
    values, running = np.interp(at, portions, summary[0]), np.interp(at, portions, counts)
    return np.stack([values, np.diff(running, prepend=0)]).astype("float32")
