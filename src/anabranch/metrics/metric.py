"""What a metric is: state on the device that batches add to, and a result read from it; by Keras's protocol."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import unset_fake_temporarily

from anabranch import _tree, initializers, runtime
from anabranch._arguments import RAW, Checks, checked, guarded
from anabranch._asked import shown
from anabranch._docstrings import described
from anabranch._errors import AnabranchError, ArgumentError, DtypeError, NotReadyError
from anabranch._fields import Configurable, Field, field, state
from anabranch.graph import Tensor as Symbol
from anabranch.graph.arrays import is_numpy
from anabranch.graph.call_site import warn
from anabranch.graph.weight import Aggregation
from anabranch.losses.loss import DTYPE_DOC, NAME_DOC, DType, dtype_name, to_dtype, to_name
from anabranch.runtime.narrow import computable

Tensor = torch.Tensor


def typed() -> Any:
    """Declare the field ``dtype``."""
    return field(default=None, convert=to_dtype, doc=DTYPE_DOC, fresh=True, fixed=True)


class Variable(torch.Tensor):
    """A piece of a metric's state: torch's functions take it as a tensor, ``assign`` and ``assign_add`` change it in place."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # as nn.Parameter: plain results

    _name: str

    @property
    def name(self) -> str:
        """The name the metric gave it."""
        return self._name

    def assign(self, value: Tensor | float) -> Variable:
        """Set the values."""
        self.copy_(value if isinstance(value, Tensor) else torch.as_tensor(value))
        return self

    def assign_add(self, value: Tensor | float) -> Variable:
        """Add to the values."""
        self.add_(value)
        return self

    def assign_sub(self, value: Tensor | float) -> Variable:
        """Subtract from the values."""
        self.sub_(value)
        return self

    @property
    def value(self) -> Tensor:
        """The values as a plain tensor that shares their memory."""
        return self.as_subclass(torch.Tensor)

    def numpy(self, *, force: bool = True) -> np.ndarray[Any, Any]:
        """Return a copy as an array on the host."""
        return self.value.detach().to("cpu", copy=True).numpy(force=force)

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        copied = self.value.clone().as_subclass(Variable)
        copied._name = self._name
        memo[id(self)] = copied
        return copied


class Metric(Configurable):
    """Base of metrics: subclass, make state with ``add_variable``, write ``update_state`` and ``result``.

    ``update_state`` runs without gradients, its lists and arrays made tensors, and the state is moved to the device of the
    tensors it is given. Nothing in it should read a value back (``.item()``, ``if tensor``): the device would have to finish.

    Example:
        >>> class Largest(Metric):
        ...     def __init__(self, name="largest", **kwargs):
        ...         super().__init__(name=name, **kwargs)
        ...         self.value = self.add_variable((), "zeros", name="value")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.value.assign(torch.maximum(self.value, y_pred.max()))
        ...     def result(self):
        ...         return self.value.value
        >>> Largest()([0.0, 0.0], [0.25, 0.75])
        tensor(0.7500)
    """

    dtype: Field[DType, str] = field(default=None, convert=to_dtype, doc=DTYPE_DOC, fresh=True, fixed=True, kw_only=True)
    name: Field[str | None, str] = field(default=None, convert=to_name, doc=NAME_DOC, kw_only=True)
    _variables: list[Variable] = state(init=False)
    _looked_: bool = state(init=False)  # whether predictions were looked at

    def _check_(self) -> None:
        self._variables = []
        self._add_state_()

    def _add_state_(self) -> None:
        """Make the state that the settings ask for."""

    def _changing_(self, changed: Field[Any, Any], value: object) -> None:
        if changed.fixed and self._variables is not None and value != getattr(self, changed.name):
            raise ArgumentError(
                f"{changed.name} of {type(self).__name__} cannot change, since its state was made by it.",
                got=repr(value)[:120],
                repair=f"make another {type(self).__name__}",
            )

    def __init_subclass__(cls, **kwargs: object) -> None:
        if "update_state" in cls.__dict__:
            cls.update_state = _prepared(cls.__dict__["update_state"])  # type: ignore[method-assign]  # the same, prepared
        super().__init_subclass__(**kwargs)

    def _warn_of_logits_(self, pred: object, repair: str) -> None:
        """Warn where predictions are no probabilities; the first batch is looked at, on a CPU."""
        if self._looked_ or not isinstance(pred, Tensor) or not pred.is_floating_point():
            return
        if pred.device.type != "cpu" or not pred.numel():
            return
        self._looked_ = True
        low, high = (float(value) for value in torch.aminmax(pred))
        if low < 0 or high > 1:
            warn(f"{self.name} takes probabilities, and y_pred has values from {low:g} to {high:g}. {repair}")

    @property
    def _state_dtype_(self) -> str:
        """The type of state: half floats count no further than to 2,048."""
        return "float32" if self.dtype in ("float16", "bfloat16") else self.dtype

    @property
    def variables(self) -> list[Variable]:
        """The state: this metric's, then that of the metrics it holds."""
        self._check_made_()
        held = [metric for metric in vars(self).values() if isinstance(metric, Metric)]
        return [*self._variables, *(variable for metric in held for variable in metric.variables)]

    @checked
    def add_variable(
        self,
        shape: int | Sequence[int],
        initializer: initializers.InitializerLike,
        dtype: str | None = None,
        aggregation: Aggregation | None = "sum",
        name: str | None = None,
    ) -> Variable:
        """Make a piece of state.

        Args:
            shape: its shape, an integer or a tuple.
            initializer: a name, an initializer or a function of a shape; None means zeros.
            dtype: its type; None takes the metric's, or float32 where that is a half float.
            aggregation: accepted for compatibility with Keras, and without effect on one device.
            name: its name.

        Example:
            >>> Metric(name="mine").add_variable((2,), "ones", name="ones").numpy().tolist()
            [1.0, 1.0]
        """
        self._check_made_()
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        kind = dtype_name(dtype) if dtype else self._state_dtype_
        made_in = "float32" if kind == "bfloat16" else kind  # NumPy has no bfloat16
        initial = initializers.get("zeros" if initializer is None else initializer)(sizes, dtype=made_in)
        with torch.inference_mode(False), unset_fake_temporarily():  # a layer's build may run on tensors without values
            variable = torch.as_tensor(initial, dtype=getattr(torch, kind)).clone().as_subclass(Variable)
        variable._name = name or f"variable_{len(self._variables)}"
        self._variables.append(variable)
        return variable

    @described(add_variable)
    def add_weight(
        self,
        shape: int | Sequence[int] = (),
        initializer: initializers.InitializerLike = None,
        dtype: str | None = None,
        name: str | None = None,
    ) -> Variable:
        """Make a piece of state: ``add_variable`` under its older name.

        Example:
            >>> Metric(name="mine").add_weight(name="total").numpy().tolist()
            0.0
        """
        return self.add_variable(shape=shape, initializer=initializer, dtype=dtype, name=name)

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch.

        Args:
            *args: ``y_true`` and ``y_pred``; of reductions ``values``.
            **kwargs: ``sample_weight``, factors of the samples.

        Example:
            >>> from anabranch import metrics
            >>> mean = metrics.Mean()
            >>> mean.update_state([1.0, 3.0])
            >>> mean.result()
            tensor(2.)
        """
        raise NotImplementedError(f"{type(self).__name__} must define update_state(y_true, y_pred, sample_weight=None)")

    def result(self) -> Any:
        """Return the metric of all batches since the last reset, a scalar tensor or a dict of them.

        Example:
            >>> from anabranch import metrics
            >>> metrics.Mean().result()
            tensor(0.)
        """
        raise NotImplementedError(f"{type(self).__name__} must define result()")

    def reset_state(self) -> None:
        """Forget all batches: set the state to zero.

        Example:
            >>> from anabranch import metrics
            >>> mean = metrics.Mean()
            >>> mean.update_state([1.0, 3.0])
            >>> mean.reset_state()
            >>> mean.result()
            tensor(0.)
        """
        for variable in self.variables:
            variable.zero_()

    @guarded
    def stateless_update_state(self, metric_variables: Sequence[Tensor], *args: Any, **kwargs: Any) -> list[Tensor]:
        """Return the state after a batch, given the state before it; the metric's own stays as it is.

        Args:
            metric_variables: the state, as ``variables`` lists it.
            *args: as of ``update_state``.
            **kwargs: as of ``update_state``.

        Example:
            >>> from anabranch import metrics
            >>> total = metrics.Sum()
            >>> total.stateless_update_state([torch.tensor(1.0)], [2.0, 3.0]), total.result()
            ([tensor(6., dtype=torch.float64)], tensor(0.))
        """
        with self._holding_(metric_variables):
            self.update_state(*args, **kwargs)
            return [variable.value.clone() for variable in self.variables]

    @guarded
    def stateless_result(self, metric_variables: Sequence[Tensor]) -> Any:
        """Return the result of a state.

        Args:
            metric_variables: the state, as ``variables`` lists it.

        Example:
            >>> from anabranch import metrics
            >>> metrics.Mean().stateless_result([torch.tensor(3.0), torch.tensor(2.0)])
            tensor(1.5000)
        """
        with self._holding_(metric_variables):
            return _tree.map_leaves(lambda leaf: torch.clone(leaf) if isinstance(leaf, Tensor) else leaf, self.result())

    def stateless_reset_state(self) -> list[Tensor]:
        """Return the state of no batch; the metric's own stays as it is.

        Example:
            >>> from anabranch import metrics
            >>> metrics.Mean().stateless_reset_state()
            [tensor(0., dtype=torch.float64), tensor(0., dtype=torch.float64)]
        """
        with self._holding_([variable.value for variable in self.variables]):
            self.reset_state()
            return [variable.value.clone() for variable in self.variables]

    @contextlib.contextmanager
    def _holding_(self, values: Sequence[Tensor]) -> Iterator[None]:
        """Give the state other values for a while."""
        own = [variable.value.clone() for variable in self.variables]
        if len(values) != len(own):
            raise ArgumentError(
                "metric_variables must be one value for each variable.", expected=f"{len(own)} values", got=f"{len(values)}"
            )
        try:
            for variable, value in zip(self.variables, values, strict=True):
                variable.assign(value)
            yield
        finally:
            for variable, value in zip(self.variables, own, strict=False):
                variable.assign(value)

    def _saved_state_(self) -> Any:
        """Return what ``BackupAndRestore`` saves of this metric inside an epoch: tensors, numbers, lists and dicts of them.

        Example:
            >>> from anabranch import metrics
            >>> metrics.Sum()._saved_state_()
            [tensor(0., dtype=torch.float64)]
        """
        return [variable.value for variable in self.variables]

    @guarded
    def _load_saved_state_(self, state: Any) -> None:
        """Set what ``_saved_state_`` returned.

        Args:
            state: the state.

        Example:
            >>> from anabranch import metrics
            >>> mean = metrics.Mean()
            >>> mean._load_saved_state_([torch.tensor(3.0), torch.tensor(2.0)])
            >>> mean.result()
            tensor(1.5000)
        """
        for variable, value in zip(self.variables, state, strict=True):
            variable.copy_(value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and return the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"

    def _check_made_(self) -> None:
        if self._variables is None:
            raise NotReadyError(
                f"{type(self).__name__} has no state yet.",
                repair="call super().__init__(name=name) first in its __init__",
            )


def _prepared(update: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``update`` without gradients, with tensors for lists and arrays, and with the state on their device."""
    checks = Checks(update)

    @functools.wraps(update)
    def update_state(self: Metric, *args: object, **kwargs: object) -> object:
        try:
            return prepared(self, *args, **kwargs)
        except RAW as error:
            known = isinstance(error, AnabranchError) and not isinstance(error, DtypeError)
            found = None if known else checks.mistaken((self, *args), kwargs, error)
            if found is None:
                raise
            raise found.at(f"{type(self).__name__} {self.name!r}") from error

    def prepared(self: Metric, *args: object, **kwargs: object) -> object:
        if runtime.report_update(self, args, kwargs):  # the call of a layer is being traced
            return None
        given = (*args, *kwargs.values())
        device = next((value.device for value in given if isinstance(value, Tensor)), None)
        if device is not None:
            move(self.variables, device)
        if not all(value is None or isinstance(value, Tensor) for value in given):
            _refuse_symbols(given)
            args = tuple(_tensor(value, device) for value in args)
            kwargs = {key: _tensor(value, device) for key, value in kwargs.items()}
        if not torch.is_grad_enabled():  # as it is when training calls
            return update(self, *args, **kwargs)
        with torch.no_grad():
            return update(self, *args, **kwargs)

    return update_state


def _refuse_symbols(given: Sequence[object]) -> None:
    for value in given:
        if isinstance(value, Symbol):
            raise DtypeError("A metric is updated with values.", expected="tensors, arrays or numbers", got=repr(value))


def move(variables: list[Variable], device: torch.device) -> None:
    """Move state to ``device`` where it is elsewhere, with its values; Apple devices have no float64."""
    for variable in variables:
        if variable.device != device:
            single = device.type == "mps" and variable.dtype == torch.float64
            with torch.inference_mode(False), torch.no_grad():
                moved = variable.value.to(device, torch.float32 if single else None).as_subclass(Variable)
            moved._name = variable._name
            # The metric's attributes go on naming this object.
            torch.utils.swap_tensors(variable, moved)  # type: ignore[no-untyped-call]  # torch has not typed it


def _tensor(value: object, device: torch.device | None) -> object:
    is_numbers = isinstance(value, (list, tuple)) and not any(isinstance(item, Tensor) for item in value)
    if is_numbers or is_numpy(value):
        try:
            tensor = torch.as_tensor(computable(value) if isinstance(value, np.ndarray) else value, device=device)
        except (*RAW, RecursionError) as error:  # ragged, of no numbers, or in itself
            raise DtypeError("A metric is updated with values.", expected="lists of one shape", got=shown(value)) from error
        if tensor.is_complex():
            raise DtypeError("A metric is updated with real values.", got=shown(value))
        return tensor.to(torch.float32) if tensor.dtype == torch.float64 else tensor
    if isinstance(value, complex):
        raise DtypeError("A metric is updated with real values.", got=shown(value))
    return value
