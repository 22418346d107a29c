"""Any function on symbolic tensors, as an operation of a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch import _tree
from anabranch.graph.call_site import call_site
from anabranch.graph.names import snake_case
from anabranch.graph.port import port
from anabranch.graph.records import Operation
from anabranch.graph.tensor import describe

Rule = Callable[[tuple[Any, ...], dict[str, Any]], Any]
"""What tells of a call's arguments which specs follow; None where it cannot."""


class Function(Operation):
    """One use of a function in a graph: an operation without weights, which runs as the function itself."""

    is_function = True
    opaque_if_needed = False  # there is nothing to keep whole

    def __init__(self, function: Callable[..., Any], rule: Rule | None = None) -> None:
        self.function = function
        self._rule = rule
        self._name = snake_case(getattr(function, "__name__", type(function).__name__).strip("_")) or "function"
        self.calls = []

    @property
    def name(self) -> str:
        """The function's name."""
        return self._name

    @property
    def base_name(self) -> str:
        """The function's name."""
        return self._name

    def error_label(self) -> str:
        """Return it as errors name it: ``relu(…)``."""
        return f"{self._name}(…)"

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function with the arguments it was written with."""
        return self.function(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> _tree.Nest:
        """Return what the function's rule says; where it has none, what running it on tensors without numbers gives."""
        told = None if self._rule is None else self._rule(args, kwargs)
        return port().infer(self, args, kwargs) if told is None else told

    def __repr__(self) -> str:
        return f"<Function {self.name}>"


class Method:
    """A method by name, as a function of its object."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, owner: Any, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return getattr(owner, self.__name__)(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Method {self.__name__}>"


def apply(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], rule: Rule | None = None) -> Any:
    """Record the call of ``function`` on symbolic tensors and return the tensors it gives, as far as ``rule`` tells."""
    return describe(Function(function, rule), args, kwargs, call_site())
