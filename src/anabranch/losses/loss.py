"""What a loss is: a function of targets and predictions, weighted by sample and reduced to one number."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch

from anabranch import _asked, _tree, config, registry
from anabranch._arguments import check_called_as
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError, UntrainedError
from anabranch._fields import Configurable, Field, choice, field, state
from anabranch.config import DTypePolicy
from anabranch.graph import Tensor as Symbol, snake_case
from anabranch.losses._agreement import Values, align, takes_symbols, tensors
from anabranch.runtime import both, mask_of

Tensor = torch.Tensor
Reduction = Literal["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"] | None
Labels = Literal["", "binary", "one-hot", "indices", "own"]
DType = str | torch.dtype | DTypePolicy | None

REDUCTION_DOC = (
    "'sum_over_batch_size' or 'mean' divide the sum of the values by their number, 'mean_with_sample_weight' by the sum of the "
    "weights; 'sum' only adds; 'none' or None returns the values as they are."
)
NAME_DOC = "a name for logs and errors."
DTYPE_DOC = "the float type to compute in; None takes ``config.floatx()``."


def to_name(value: str | None, owner: object, name: str) -> str:
    """Return a given name, or that of the class in snake case."""
    if value is not None and not isinstance(value, str):
        raise ArgumentTypeError("A name must be a string.", got=repr(value)[:120])
    return value or snake_case((owner if isinstance(owner, type) else type(owner)).__name__)


def to_name_or_none(value: str | None, owner: object, name: str) -> str:
    """Return a given name; "" where there is none."""
    return to_name(value, owner, name) if value else ""


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function or, for a callable object, its class in snake case."""
    return _asked.name_of(function) or snake_case(type(function).__name__)


def to_dtype(value: DType, owner: object, name: str) -> str:
    """Return the name of a float type."""
    return dtype_name(value)


def named(default: str | None = None) -> Any:
    """Declare the field ``name``."""
    return field(default=default, convert=to_name, doc=NAME_DOC)


REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none")


def reduced(default: Reduction = "sum_over_batch_size") -> Any:
    """Declare the field ``reduction``."""
    return choice(*REDUCTIONS, None, default=default, doc=REDUCTION_DOC)


def typed() -> Any:
    """Declare the field ``dtype``."""
    return field(default=None, convert=to_dtype, doc=DTYPE_DOC, fresh=True)


class Loss(Configurable):
    """Base of losses: subclass and write ``call(y_true, y_pred)``, which returns one value for each sample.

    ``loss(y_true, y_pred, sample_weight)`` multiplies those values by the weights and reduces them.

    Example:
        >>> class Cubed(Loss):
        ...     def call(self, y_true, y_pred):
        ...         return (y_pred - y_true).abs().pow(3).mean(-1)
        >>> Cubed()([[0.0, 0.0]], [[1.0, 2.0]])
        tensor(4.5000)
    """

    _labels_: ClassVar[Labels] = ""
    """What y_true is: "binary" labels, "one-hot" rows or class "indices" of a cross-entropy; of "own" kind, whose shape the
    loss checks itself; "" where it has the shape of y_pred."""

    name: Field[str | None, str] = named()
    reduction: Field[Reduction, Reduction] = reduced()
    dtype: Field[DType, str] = typed()

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one value for each sample.

        Args:
            y_true: targets (B, …, C).
            y_pred: predictions (B, …, C).

        Returns:
            Values (B, …), with the last axis reduced.

        Example:
            >>> from anabranch import losses
            >>> losses.MeanSquaredError().call([[0.0, 2.0]], [[1.0, 0.0]])
            tensor([2.5000])
        """
        raise NotImplementedError(f"{type(self).__name__} must define call(y_true, y_pred)")

    @takes_symbols
    def __call__(self, y_true: Any, y_pred: Values, sample_weight: Values | None = None) -> Tensor:
        """Return the reduced loss, in the loss's dtype; what the predictions' mask leaves out does not count.

        Args:
            y_true: targets (B, …, C).
            y_pred: predictions (B, …, C).
            sample_weight: factors of the values, one for each sample (B,) or of the values' shape.
        """
        given = mask_of(y_pred)
        true, pred = self._cast_(y_true, y_pred)
        try:
            values = self.call(true, pred)
        except UntrainedError as error:  # predictions, which are computed from weights, beside a tensor of the model
            raise _reads_the_model(f"The loss {self.name!r}", str(error).partition("\n")[0]) from error
        if not isinstance(values, Tensor):
            values = returned(values, f"The loss {self.name!r}")
        masks = [mask for mask in (given, self._mask_(true, values)) if mask is not None]
        return reduce(values, sample_weight, both(masks) if masks else None, self.reduction)

    def _cast_(self, y_true: Any, y_pred: Values) -> tuple[Any, Any]:
        dtype = getattr(torch, self.dtype)
        return _floats(y_true, dtype), _floats(y_pred, dtype)

    def _mask_(self, y_true: Tensor, values: Tensor) -> Tensor | None:
        """Return what counts (True) among ``values``; None where all of it does."""
        return None

    def get_config(self) -> dict[str, Any]:
        """Return all settings as JSON; ``dtype`` where it is not the default.

        Example:
            >>> from anabranch import losses
            >>> losses.Huber(delta=2.0).get_config()
            {'delta': 2.0, 'reduction': 'sum_over_batch_size', 'name': 'huber_loss'}
        """
        found = super().get_config()
        if found["dtype"] == config.floatx():  # as Keras, which writes none
            del found["dtype"]
        return found


def setting_of(loss: Loss | None, name: str) -> object:
    """Return a setting that only some losses have, such as ``axis``; None where a loss lacks it."""
    return getattr(loss, name) if loss is not None and name in loss._fields_ else None


def _floats(value: Any, dtype: torch.dtype) -> Any:
    """A list of tensors is a nest of them; a list of numbers is a tensor."""
    if isinstance(value, dict) or any(isinstance(leaf, Tensor) for leaf in _tree.leaves(value)):
        return _tree.map_leaves(lambda leaf: tensors(leaf, leaf, dtype)[1], value)
    return tensors(value, value, dtype)[1]


def returned(value: object, what: str) -> Tensor:
    """Return what a user's loss or metric returned as a tensor: a number, or else an error."""
    if isinstance(value, Symbol):
        raise _reads_the_model(what, repr(value))
    if _asked.is_number(value):
        return torch.as_tensor(float(value) if isinstance(value, int) else value)
    raise ArgumentTypeError(f"{what} returns no tensor.", expected="a value for each sample, or one", got=_asked.shown(value))


def _reads_the_model(what: str, found: str) -> ArgumentTypeError:
    return ArgumentTypeError(
        f"{what} returns a symbolic tensor: it reads a tensor of the model.",
        expected="a tensor computed from y_true and y_pred",
        got=found,
        repair="give the model this tensor as a further output, or call add_loss in a layer",
    )


def function_of(value: object, owner: object, name: str) -> Callable[..., Any]:
    """Return the function that a setting means: itself, or the one that JSON names."""
    found = registry.deserialize(value) if isinstance(value, dict) else value
    if not callable(found):
        raise ArgumentTypeError(f"{name} must be a function of y_true and y_pred.", got=repr(value)[:120])
    return found  # type: ignore[no-any-return]  # whatever it returns


FUNCTION_DOC = "a function ``fn(y_true, y_pred, **kwargs)`` that returns one value for each sample."


class Wrapper(Configurable):
    """What a loss and a metric of any function share: the function, and the further arguments that go to it. Abstract."""

    fn: Field[Callable[..., Any], Callable[..., Any]] = field(convert=function_of, doc=FUNCTION_DOC)
    name: Any = state(init=False)

    def _take_others_(self, others: dict[str, Any]) -> None:
        self.fn_kwargs = others

    def _check_(self) -> None:
        if not self.name:
            self.name = name_of(self.fn)
        check_called_as(self.fn, "loss or metric", self.fn_kwargs)
        super()._check_()

    def get_config(self) -> dict[str, Any]:
        """Return all settings as JSON, the function by its name."""
        return {**super().get_config(), **registry.serialize(self.fn_kwargs)}


class LossFunctionWrapper(Wrapper, Loss):
    """Make a loss of any function ``fn(y_true, y_pred, **kwargs)``; further arguments go to the function.

    Example:
        >>> LossFunctionWrapper(lambda y_true, y_pred: (y_true - y_pred).abs().amax(-1))([[0.0, 0.0]], [[1.0, 2.0]])
        tensor(2.)
    """

    reduction: Field[Reduction, Reduction] = choice(
        *REDUCTIONS, None, default="sum_over_batch_size", doc=REDUCTION_DOC, kw_only=True
    )
    name: Field[str | None, str] = field(default=None, convert=to_name_or_none, doc=NAME_DOC, kw_only=True)
    dtype: Field[DType, str] = field(default=None, convert=to_dtype, doc=DTYPE_DOC, fresh=True, kw_only=True)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Any:
        """Return ``fn(y_true, y_pred, **kwargs)``.

        Args:
            y_true: targets (B, …, C).
            y_pred: predictions (B, …, C).
        """
        if isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
            y_true, y_pred = align(y_true, y_pred)
        return self.fn(y_true, y_pred, **self.fn_kwargs)


class FunctionLoss(Loss):
    """Base of the losses that come with this package: a function ``(y_true, y_pred, …)`` whose arguments are the settings.

    ``class Huber(FunctionLoss, function=huber)`` declares one field for each further argument of the function, without a line
    of documentation: that is the function's own. ``by_value``: whether the function compares element by element, so that a
    vector is one value for each sample.
    """

    function: ClassVar[Callable[..., Tensor]]
    by_value: ClassVar[bool] = True
    arguments: ClassVar[tuple[str, ...]] = ()
    reduction: Field[Reduction, Reduction] = choice(
        *REDUCTIONS, None, default="sum_over_batch_size", doc=REDUCTION_DOC, kw_only=True
    )
    name: Field[str | None, str] = field(default=None, convert=to_name, doc=NAME_DOC, kw_only=True)
    dtype: Field[DType, str] = field(default=None, convert=to_dtype, doc=DTYPE_DOC, fresh=True, kw_only=True)

    def __init_subclass__(
        cls, function: Callable[..., Tensor] | None = None, name: str | None = None, by_value: bool = True
    ) -> None:
        if function is not None:
            cls.function, cls.by_value = staticmethod(function), by_value
            document(cls, function)
            declare_last(cls, reduction=reduced(), name=named(name or function.__name__), dtype=typed())
        super().__init_subclass__()
        if function is not None:
            cls.arguments = tuple(name for name in inspect.signature(function).parameters if name in cls._fields_)

    def call(self, y_true: Values, y_pred: Values) -> Tensor:
        """Return the function's values.

        Args:
            y_true: targets (B, …, C).
            y_pred: predictions (B, …, C).
        """
        true, pred = tensors(y_true, y_pred)
        if self.by_value and pred.ndim == 1 == true.ndim:
            true, pred = true.unsqueeze(-1), pred.unsqueeze(-1)
        return self.function(true, pred, **{name: getattr(self, name) for name in self.arguments})

    def _cast_(self, y_true: Any, y_pred: Values) -> tuple[Any, Any]:
        return tensors(y_true, y_pred, getattr(torch, self.dtype))


def declare_last(cls: type[Configurable], **fields: Any) -> None:
    """Declare fields after those that the class declares itself, so that the order is Keras's; its own stay as they are."""
    for name, each in fields.items():
        if name not in cls.__dict__:
            setattr(cls, name, each)
            each.__set_name__(cls, name)


def declare_first(cls: type[Configurable], **fields: Any) -> None:
    """Declare fields before those that the class declares itself."""
    own = {name: each for name, each in cls.__dict__.items() if isinstance(each, Field)}
    for name in own:
        delattr(cls, name)
    declare_last(cls, **fields, **own)


def document(cls: type[Configurable], function: Callable[..., Any]) -> None:
    """Give the class's fields the lines that the function's ``Args:`` has for arguments of their names."""
    lines = dict(re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", inspect.getdoc(function) or "", re.MULTILINE))
    for name, each in cls.__dict__.items():
        if isinstance(each, Field) and not each.doc:
            each.doc = " ".join(lines.get(name, "").split())


class TorchLoss(Loss):
    """A loss of ``torch.nn`` in torch's own terms: called as ``module(y_pred, y_true)``, with the module's reduction."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__(name=snake_case(type(module).__name__), reduction="sum_over_batch_size")
        self.module = module
        self._sparse = isinstance(module, (torch.nn.CrossEntropyLoss, torch.nn.NLLLoss))

    def __call__(self, y_true: Any, y_pred: Values, sample_weight: Values | None = None) -> Tensor:
        """Return the module's value; weights need ``reduction="none"`` and are then averaged over."""
        values, mask = self.call(y_true, y_pred), mask_of(y_pred)
        if (sample_weight is not None or mask is not None) and values.ndim == 0:
            raise ArgumentError(
                f"torch's {type(self.module).__name__} averages over the samples before their weights "
                f"{'' if mask is None else 'and their mask '}are known.",
                repair='make it with reduction="none"',
            )
        return reduce(values, sample_weight, mask, self.reduction)

    def call(self, y_true: Values, y_pred: Values) -> Tensor:
        """Return ``module(y_pred, y_true)``: class indices as int64 without a last axis of one, the rest as floats."""
        true, pred = tensors(y_true, y_pred)
        module = self.module.to(pred.device)
        if self._sparse and true.shape != pred.shape:
            true = true.squeeze(-1) if true.ndim == pred.ndim and true.shape[-1] == 1 else true
            return module(pred, true.to(torch.int64))  # type: ignore[no-any-return]  # a loss module returns a tensor
        true, pred = align(true, pred)
        return module(pred, true.to(pred.dtype))  # type: ignore[no-any-return]  # as above

    def get_config(self) -> dict[str, Any]:
        """Raise ArgumentError: a module cannot become JSON."""
        raise ArgumentError(
            f"torch's {type(self.module).__name__} cannot become JSON.",
            repair="use a loss of anabranch.losses",
        )

    def __repr__(self) -> str:
        return f"TorchLoss({self.module!r})"


def reduce(values: Tensor, sample_weight: Values | None, mask: Tensor | None, reduction: Reduction) -> Tensor:
    """Weight ``values`` and reduce them; with a mask, means are taken over what counts alone."""
    weight = None if sample_weight is None else tensors(sample_weight, values)[0].to(values.dtype)
    if mask is not None:
        counted = mask.to(values.dtype)
        if reduction in ("sum_over_batch_size", "mean"):
            counted = counted * divide(torch.full_like(counted.sum(), counted.numel()), counted.sum())
        weight = masked(weight, counted)
    if weight is not None:
        values, weight = align(values, weight)
        weight = match(weight, values)
        values = values * weight
    if reduction in (None, "none") or values.ndim == 0:
        return values
    if reduction == "sum" or values.numel() == 0:  # a mean of nothing is 0, as in Keras
        return values.sum()
    if reduction == "mean_with_sample_weight" and weight is not None:
        return divide(values.sum(), weight.expand_as(values).sum())
    return values.mean()


def masked(weight: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """Return sample weights, multiplied by a mask where there is one; None where there is neither."""
    if mask is None or weight is None:
        return weight if mask is None else mask
    counted, weight = align(mask, weight)
    return counted * match(weight, counted)


def match(weight: Tensor, values: Tensor) -> Tensor:
    """Return weights that multiply ``values``: one for each sample (B,) reaches over (B, T); ShapeError where none fits."""
    if weight.ndim < values.ndim and weight.shape == values.shape[: weight.ndim]:
        return weight.reshape(*weight.shape, *[1] * (values.ndim - weight.ndim))
    try:
        torch.broadcast_shapes(weight.shape, values.shape)  # type: ignore[no-untyped-call]  # torch has not typed it
    except RuntimeError as error:
        samples = values.shape[0] if values.ndim else 1
        raise misfit(weight, f"one for each sample, ({samples},), or {tuple(values.shape)}") from error
    return weight


def misfit(weight: Tensor, expected: str) -> ShapeError:
    """Return the error of sample weights of another shape than ``expected``."""
    fact = "The sample weights do not fit the values they weigh."
    return ShapeError(fact, expected=expected, got=str(tuple(weight.shape)))


def divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return the quotient, and 0 where the denominator is 0; nothing is read back from the device."""
    empty = denominator == 0
    return torch.where(
        empty, torch.zeros_like(numerator), numerator / torch.where(empty, torch.ones_like(denominator), denominator)
    )


def dtype_name(dtype: DType) -> str:
    """Return the name of a float type; None means the default. A policy's compute type and torch's dtypes serve too."""
    given = dtype.compute_dtype if isinstance(dtype, DTypePolicy) else _asked.dtype_by_name(dtype)
    name = config.floatx() if given is None else str(given)
    found = getattr(torch, name, None)  # the name is the user's
    if not isinstance(found, torch.dtype):
        raise ArgumentError("Unknown dtype.", expected="a float type such as 'float32'", got=repr(dtype))
    return name
