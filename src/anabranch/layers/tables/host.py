"""What layers that run on the host have in common: arrays of strings and integers go in, tensors come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from anabranch import _tree, runtime
from anabranch._asked import has_shape, is_integer, method, shown
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError
from anabranch.graph import Spec, call_site
from anabranch.layers.fields import Field, FieldLayer, field
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    import numpy as np

    from anabranch.runtime import Tensor

DTYPE_DOC = "of vectors, or of integers where these are returned; None: as the layer has it."
MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
_OLD_MODES = {"binary": "multi_hot", "tf-idf": "tf_idf"}
MODE_DOC = (
    '"int": integers; "one_hot": a vector for each; "multi_hot": a vector for each row, 1 where it has the token; "count": how'
    " often it has it"
)


def output_mode(*modes: str, default: str = "int") -> Field[Any, Any]:
    """Declare in which form categories are returned."""

    def convert(value: object, owner: object, name: str) -> str:
        found = _OLD_MODES.get(value, value) if isinstance(value, str) else value
        if found not in modes:
            raise ArgumentError(
                f"{name} of {type(owner).__name__} must be {', '.join(map(repr, modes[:-1]))} or {modes[-1]!r}.",
                got=shown(value),
            )
        return str(found)

    doc = MODE_DOC + ('; "tf_idf": that, times the weight of rare tokens.' if "tf_idf" in modes else ".")
    return field(default=default, convert=convert, doc=doc)


def dense(doc: str = "tensors are dense here; only False is taken.", *, hidden: bool = False) -> Field[Any, Any]:
    """Declare an argument that asks for sparse or ragged tensors, which torch's layers do not take."""

    def convert(value: object, owner: object, name: str) -> bool:
        if value not in (False, None):
            raise ArgumentError(
                f"{name}=True of {type(owner).__name__}: a sparse or ragged tensor, which no layer on torch takes.",
                expected=f"{name}=False", repair="padded and dense: utils.pad_sequences(rows), output_mode='int' and Embedding",
            )  # fmt: skip
        return False

    return Field(False, convert, doc=doc, hidden=hidden)


def salt() -> Field[Any, Any]:
    """Declare the key of a hash: two integers, or one for both."""

    def convert(value: object, owner: object, name: str) -> list[int] | None:
        if value is None:
            return None
        found: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value, value]
        if len(found) != 2 or any(isinstance(each, bool) or not isinstance(each, int) for each in found):
            raise ArgumentError(f"{name} of {type(owner).__name__} must be an integer, or two.", got=shown(value))
        return [int(each) for each in found]

    return Field(None, convert, doc="two integers, or one for both: the key of SipHash-2-4; None: FarmHash, without a key.")


class OnHost(FieldLayer):
    """A layer that runs on the host, in NumPy, on arrays that need not hold numbers. Abstract.

    At the head of a model it runs before the batch goes to the device.
    """

    _on_host_ = True

    def _compute_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
        if runtime.is_tracing():
            return super()._compute_(args, kwargs)
        self.built = True
        try:
            return self.call(*args, **kwargs)
        except AnabranchError as error:
            error.at(self._described_(call_site()))
            raise


def encoded(indices: np.ndarray[Any, Any], mode: str, depth: int, dtype: str) -> Tensor:
    """Return integers in the form that ``output_mode`` says, on the device."""
    found = runtime.as_tensor(indices)
    if mode == "int":
        return found.to(runtime.dtype_of(dtype))
    return kernels.encode(found, "count" if mode == "tf_idf" else mode, depth, runtime.dtype_of(dtype))


def encoded_spec(shape: tuple[int | None, ...], mode: str, depth: int | None, dtype: str) -> Spec:
    """Return the shape and dtype of what :func:`encoded` gives."""
    if mode == "int":
        return Spec(shape, dtype)
    if mode == "one_hot" and not (len(shape) > 1 and shape[-1] == 1):
        return Spec((*shape, depth), dtype)
    return Spec((*shape[:-1], depth), dtype)


def batches_of(data: object, steps: int | None, take: Callable[[object], None], *, listed: bool = True) -> None:
    """Give ``take`` what ``adapt`` was given: an array or a list as a whole, else batch by batch, at most ``steps`` of them.

    A batch of a data set may be a pair of inputs and labels, whose inputs are taken.
    """
    whole = isinstance(data, (str, bytes)) or has_shape(data) or (listed and isinstance(data, (list, tuple)))
    if whole or method(data, "__array__") is not None:
        take(data)
        return
    if not isinstance(data, Iterable):
        raise ArgumentTypeError("adapt takes an array, a list or an iterable of batches.", got=shown(data))
    if steps is not None and not is_integer(steps):
        raise ArgumentTypeError("steps of adapt must be an integer or None.", got=shown(steps))
    for number, batch in enumerate(data):
        if steps is not None and number >= steps:
            break
        take(batch[0] if isinstance(batch, tuple) and batch else batch)
