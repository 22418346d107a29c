"""Small helpers of Keras's ``utils``: the seed, one-hot labels, batches from a user's own class, objects as JSON."""

from __future__ import annotations

import contextlib
import itertools
import operator
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

from anabranch import config
from anabranch._arguments import checked, guarded, is_array_like
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError
from anabranch._frames import bound_methods, bounded
from anabranch._loading import when_loaded
from anabranch.registry import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")


@checked
def set_random_seed(seed: SupportsIndex) -> None:
    """Seed Python's ``random``, NumPy's global generator, weights' initial values, and torch's generators.

    NumPy and torch are seeded when they are imported, where that is later.

    Args:
        seed: an integer from -2⁶³ to 2⁶⁴ - 1, which is what torch takes.

    Raises:
        ArgumentTypeError: no integer.
        ArgumentError: outside that range; nothing is seeded then.

    Example:
        >>> import random
        >>> set_random_seed(1)
        >>> random.random()
        0.13436424411240122
    """
    import random

    config.set_seed(seed)
    random.seed(operator.index(seed))
    when_loaded("numpy.random", _seed_numpy)
    when_loaded("torch", _seed_torch)  # a module of the user's draws its initial values when it is made


def _seed_numpy(random: Any) -> None:
    random.seed(config.seed() % 2**32)


def _seed_torch(torch: Any) -> None:
    torch.manual_seed(config.seed())


@guarded
def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """Return class indices as one-hot rows: (N,) or (N, 1) -> (N, num_classes), float32.

    Args:
        x: integers from 0 to ``num_classes - 1``.
        num_classes: how many classes there are; the greatest label + 1 unless given.

    Raises:
        DataError: a label is outside the classes.

    Example:
        >>> to_categorical([0, 2]).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    import numpy as np

    if not is_array_like(x):
        raise DataError("x must be integers.", expected="integers from 0 to num_classes - 1", got=shown(x))
    labels = np.asarray(x, dtype="int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    count = int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes
    wrong = (labels < 0) | (labels >= count)
    if wrong.any():
        first = int(np.flatnonzero(wrong.ravel())[0])
        raise DataError(
            "A label is outside the classes.",
            expected=f"0 to {count - 1}",
            got=f"{labels.ravel()[first]} at index {first}",
        )
    return np.asarray(np.eye(count, dtype="float32")[labels])


@guarded
def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray[Any, Any]:
    """Return x / ‖x‖; zeros stay zeros.

    Args:
        x: an array.
        axis: the axis along which the norm is taken.
        order: which norm, as in ``numpy.linalg.norm``.

    Example:
        >>> normalize([[3.0, 4.0]]).tolist()
        [[0.6, 0.8]]
    """
    import numpy as np

    if not is_array_like(x):
        raise DataError("x must be an array.", expected="an array of numbers", got=shown(x))
    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return np.asarray(x / np.expand_dims(norm, axis))


@bounded
def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of what a training step is given, None for what is missing.

    Args:
        data: x, (x,), (x, y) or (x, y, sample_weight).

    Raises:
        DataError: a tuple of another length.

    Example:
        >>> unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    if not isinstance(data, (list, tuple)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise DataError(
            "A batch has one to three parts.",
            expected="(x,), (x, y) or (x, y, sample_weight)",
            got=f"{len(data)} parts",
        )
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight


@bounded
def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Return what ``unpack_x_y_sample_weight`` takes apart: x, (x, y) or (x, y, sample_weight).

    Args:
        x: the inputs.
        y: the targets.
        sample_weight: the weights of the samples.

    Example:
        >>> pack_x_y_sample_weight(1, 2)
        (1, 2)
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (list, tuple)) else x


def ahead(calls: Iterable[Callable[[], T]], workers: int, size: int) -> Generator[T, None, None]:
    """Yield what each call returns, in order, while threads make the next ``size`` calls; what one raises is raised here.

    Closing the generator waits for the calls under way; no thread is left.

    >>> list(ahead([lambda: 1, lambda: 2, lambda: 3], workers=2, size=2))
    [1, 2, 3]
    """
    from concurrent.futures import ThreadPoolExecutor

    remaining = iter(calls)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="anabranch-data")
    try:
        waiting = deque(pool.submit(call) for call in itertools.islice(remaining, size))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(call) for call in itertools.islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


@bounded
def prefetch(items: Iterable[T], size: int = 2) -> Generator[T, None, None]:
    """Yield what ``items`` yields, fetched by a thread up to ``size`` ahead: for a generator that waits for disk or network.

    The generator must not use the model, nor draw from torch's global generator, for its code runs beside the steps. One that
    computes in Python gains nothing; a ``PyDataset`` or a DataLoader with processes does.

    Args:
        items: what is fetched from.
        size: how many items are fetched ahead.

    Example:
        >>> list(prefetch(range(3)))
        [0, 1, 2]
    """
    if not isinstance(items, Iterable):
        raise ArgumentTypeError("items of prefetch must be what can be iterated over.", got=shown(items))
    if not is_integer(size) or size < 1:
        raise ArgumentError("size of prefetch must be an integer ≥ 1.", got=shown(size))
    end = object()
    batches = iter(items)
    with contextlib.closing(ahead(itertools.repeat(lambda: next(batches, end)), 1, size)) as found:
        yield from itertools.takewhile(lambda item: item is not end, found)


@bound_methods
class PyDataset:
    """Base of data that come batch by batch: write ``__len__``, the number of batches, and ``__getitem__``, which returns one.

    Args:
        workers: how many threads fetch batches ahead, in order; 0 fetches them one by one. The default of one thread works
            where batches take long and do not draw from torch's global generator, which training draws from too.
        use_multiprocessing: whether processes fetch in the place of threads.
        max_queue_size: how many batches are fetched ahead.

    Example:
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         return index, index**2
        >>> list(Squares())
        [(0, 0), (1, 1), (2, 4)]
    """

    @checked
    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __len__(self) -> int:
        """Return how many batches there are."""
        raise NotImplementedError(f"{type(self).__name__} must define __len__(self)")

    def __getitem__(self, index: int) -> Any:
        """Return one batch: x, (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index)")

    def __iter__(self) -> Iterator[Any]:
        """Yield each batch once."""
        return (self[index] for index in range(len(self)))

    @property
    def num_batches(self) -> int:
        """How many batches there are."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Prepare for an epoch that begins.

        Example:
            >>> PyDataset().on_epoch_begin()
        """

    def on_epoch_end(self) -> None:
        """Prepare for the next epoch, e.g. shuffle.

        Example:
            >>> class Turned(PyDataset):
            ...     rows = [1, 2, 3]
            ...     def on_epoch_end(self):
            ...         self.rows = self.rows[::-1]
            >>> data = Turned()
            >>> data.on_epoch_end()
            >>> data.rows
            [3, 2, 1]
        """


Sequence = PyDataset  # its older name

__all__ = [
    "CustomObjectScope", "PyDataset", "Sequence", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "normalize", "pack_x_y_sample_weight", "prefetch",
    "register_keras_serializable", "serialize_keras_object", "set_random_seed", "to_categorical", "unpack_x_y_sample_weight",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
