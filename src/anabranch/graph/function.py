"""Any function on symbolic tensors, as an operation of a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch import _tree
from anabranch._asked import name_of
from anabranch.graph.call_site import call_site
from anabranch.graph.facts import NO_FACTS, Facts, Inputs, Judgements, Signature, plain
from anabranch.graph.names import snake_case
from anabranch.graph.port import port
from anabranch.graph.records import NamedFunction, Tensor
from anabranch.graph.tensor import describe


class Function(NamedFunction):
    """One use of a function in a graph: an operation without weights, which runs as the function itself."""

    def __init__(self, function: Callable[..., Any], facts: Facts = NO_FACTS, signature: Signature | None = None) -> None:
        super().__init__(function, snake_case(name_of(function, type(function).__name__).strip("_")) or "function", facts)
        self._signature = signature or Signature(function)
        self._judgements_ = Judgements() if facts.mask is None else None

    def _error_label_(self) -> str:
        """Return it as errors name it: ``relu(…)``."""
        return f"{self._name}(…)"

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> _tree.Nest:
        """Return what the function's rule says; where it has none, what running it on tensors without numbers gives."""
        specs = self.stated_spec(args, kwargs)
        if specs is None:
            return port().infer(self, args, kwargs)
        if self._judgements_ is not None and any(
            isinstance(leaf, Tensor) and leaf.masked for leaf in _tree.leaves((args, kwargs))
        ):
            port().infer(self, args, kwargs)  # shows how far masks reach, which no rule says
        return specs

    def stated_spec(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
        """Return what the rule for shape and dtype says, None where it cannot."""
        if self._facts_.spec is None or not plain(args, kwargs):
            return None
        arguments = self._signature.bind(args, kwargs)
        try:
            return None if arguments is None else self._facts_.spec(**arguments)
        except (TypeError, AttributeError):  # arguments of another kind: running the function says what is wrong
            return None

    def _mask_axes_after_(self, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Inputs) -> int:
        """Return over how many leading axes the results are masked."""
        if self._facts_.mask is None:
            return super()._mask_axes_after_(args, kwargs, inputs)
        arguments = self._signature.bind(args, kwargs)
        return 0 if arguments is None else self._facts_.mask(arguments, inputs)

    def __repr__(self) -> str:
        return f"<Function {self.name}>"


class Whole(Function):
    """One use of a function that reads shapes, so that it cannot be traced: it runs as one module."""

    _opaque_if_needed_ = True


class Method:
    """A method by name, as a function of its object."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, owner: object, *args: object, **kwargs: object) -> _tree.Nest:
        """Call it."""
        return getattr(owner, self.__name__)(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Method {self.__name__}>"


def apply(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    facts: Facts = NO_FACTS,
    signature: Signature | None = None,
) -> _tree.Nest:
    """Add a node for the call of ``function`` on symbolic tensors and return the tensors it gives, by its facts."""
    return describe(Function(function, facts, signature), args, kwargs, call_site())
