"""Penalties on weights and activations, added to the training loss; arithmetic on tensors in Keras's axis order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from anabranch._arguments import guarded
from anabranch._asked import shown
from anabranch._errors import AnabranchError, ArgumentTypeError, ShapeError
from anabranch._fields import Convert, Field, Value, choice, field, number
from anabranch.graph import Operation
from anabranch.graph.call_site import call_site
from anabranch.registry import Json, Registry, finder, registry_of, writer

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2",
    "orthogonal_regularizer", "serialize",
]  # fmt: skip
__dir__ = __all__.copy

RegularizerLike: TypeAlias = "str | Regularizer | type[Regularizer] | Callable[[Tensor], Tensor] | dict[str, Any] | None"


class Regularizer(Value):
    """Base of penalties: subclass and write ``__call__(x)``, or pass any function of a tensor.

    Example:
        >>> import torch
        >>> class Quartic(Regularizer):
        ...     def __call__(self, x):
        ...         return (x**4).sum()
        >>> Quartic()(torch.tensor([1.0, 2.0]))
        tensor(17.)
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the penalty, a scalar.

        Args:
            x: a weight's or activation's values.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__(x)")


def _factor(default: float) -> Convert:
    checked = number(default=default, least=0).convert

    def convert(value: float | None, owner: object, name: str) -> float:
        return float(default if value is None or checked is None else checked(value, owner, name))

    return convert


class L1(Regularizer):
    """Add l1 · Σ|x|.

    Example:
        >>> import torch
        >>> L1(0.5)(torch.tensor([1.0, -3.0]))
        tensor(2.)
    """

    l1: Field[float | None, float] = field(default=0.01, convert=_factor(0.01), doc="the factor, ≥ 0.")

    @guarded
    def __call__(self, x: Tensor) -> Tensor:
        """Return l1 · Σ|x|."""
        return self.l1 * abs(x).sum()


class L2(Regularizer):
    """Add l2 · Σx².

    Example:
        >>> import torch
        >>> L2(0.5)(torch.tensor([1.0, -3.0]))
        tensor(5.)
    """

    l2: Field[float | None, float] = field(default=0.01, convert=_factor(0.01), doc="the factor, ≥ 0.")

    @guarded
    def __call__(self, x: Tensor) -> Tensor:
        """Return l2 · Σx²."""
        return self.l2 * (x * x).sum()


class L1L2(Regularizer):
    """Add l1 · Σ|x| + l2 · Σx², the elastic net (Zou & Hastie 2005).

    Example:
        >>> import torch
        >>> L1L2(l1=0.5, l2=0.5)(torch.tensor([1.0, -3.0]))
        tensor(7.)
    """

    l1: Field[float | None, float] = field(default=0.0, convert=_factor(0.0), doc="the factor of Σ|x|, ≥ 0.")
    l2: Field[float | None, float] = field(default=0.0, convert=_factor(0.0), doc="the factor of Σx², ≥ 0.")

    @guarded
    def __call__(self, x: Tensor) -> Tensor:
        """Return l1 · Σ|x| + l2 · Σx²."""
        return self.l1 * abs(x).sum() + self.l2 * (x * x).sum()


class OrthogonalRegularizer(Regularizer):
    """Add factor · (mean |cosine| between distinct rows, or columns, of a matrix).

    Example:
        >>> import torch
        >>> OrthogonalRegularizer(0.5)(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        tensor(0.5000)
    """

    factor: Field[float, float] = number(default=0.01, least=0, doc="a factor of the penalty.")
    mode: Field[Literal["rows", "columns"], Literal["rows", "columns"]] = choice(
        "rows", "columns", default="rows", doc="which vectors should be orthogonal: 'rows' or 'columns'."
    )

    @guarded
    def __call__(self, x: Tensor) -> Tensor:
        """Return the penalty of a matrix."""
        if len(x.shape) != 2:
            raise ShapeError("OrthogonalRegularizer penalizes matrices.", expected="a 2-D tensor", got=str(tuple(x.shape)))
        vectors = x if self.mode == "rows" else x.T
        unit = vectors / (vectors * vectors).sum(1, keepdim=True).clamp(min=1e-12).sqrt()
        count = vectors.shape[0]
        cosines = (unit @ unit.T).triu(1).abs() if count > 1 else unit.sum() * 0
        return self.factor * cosines.sum() / max(count * (count - 1) / 2, 1)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_registry: Registry[Callable[[Tensor], Tensor] | None] = registry_of(globals(), Regularizer)


@finder
def get(identifier: RegularizerLike) -> Callable[[Tensor], Tensor] | None:
    """Return a regularizer from a name, a class, a config or a function; None stays None.

    Args:
        identifier: what means a regularizer.

    Raises:
        UnknownNameError: there is no such name.

    Example:
        >>> get("l2")
        L2()
    """
    if identifier is None:  # as it is for most weights
        return None
    try:
        if isinstance(identifier, Operation):
            raise ArgumentTypeError("Expected a regularizer, got a layer.", got=shown(identifier))
        found: Callable[[Tensor], Tensor] | None = _registry.get(identifier)
    except AnabranchError as error:
        raise error.at(str(call_site())) from error.__cause__
    return found


@writer
def serialize(regularizer: Callable[[Tensor], Tensor] | None) -> Json:
    """Return a regularizer as JSON, in Keras's form.

    Example:
        >>> serialize(L2(0.5))["config"]
        {'l2': 0.5}
    """
    return _registry.serialize(regularizer)


@finder
def deserialize(config: Json, custom_objects: dict[str, Any] | None = None) -> Callable[[Tensor], Tensor] | None:
    """Return the regularizer that ``serialize`` described.

    Example:
        >>> deserialize(serialize(L1L2(0.1, 0.2)))
        L1L2(l1=0.1, l2=0.2)
    """
    return _registry.deserialize(config, custom_objects)
