"""Torch's own modules and functions on symbolic tensors: TorchModule, and what a bare call of either becomes."""

from __future__ import annotations

import sys
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from anabranch import _tree, registry, runtime
from anabranch._asked import is_from
from anabranch._errors import ArgumentTypeError, MissingAttributeError, UntrainedError
from anabranch.graph import (
    Method,
    Operation,
    Port,
    Shape,
    Tensor as Symbol,
    Weight,
    apply,
    call_site,
    snake_case,
    tensors_in,
)
from anabranch.graph.arrays import is_parameter
from anabranch.graph.facts import Judgements
from anabranch.layers.base import Layer
from anabranch.layers.fields import Field, FieldLayer, field

if TYPE_CHECKING:
    from anabranch.runtime import Module, Tensor

T = TypeVar("T")


def _as_it_is(value: T) -> T:
    """Return code, which is no data: a config holds the object itself."""
    return value


def _module(value: object, owner: object, name: str) -> object:
    """Return a module; pickles say by data which one goes beside them."""
    return registry.deserialize(value) if isinstance(value, dict) else value


def _sizes(value: object, owner: object, name: str) -> Shape | None:
    if isinstance(value, str) or not (value is None or isinstance(value, Sequence)):
        raise ArgumentTypeError(f"{name} of TorchModule must be sizes.", expected="a tuple, or None", got=repr(value)[:120])
    return None if value is None else tuple(value)


class TorchModule(FieldLayer):
    """Use a ``torch.nn.Module`` as a layer: its parameters and buffers are the layer's weights, in torch's layout.

    ``module(*args)`` is what runs, in training mode while the model trains, whole and unchanged. Shapes are inferred.

    Example:
        >>> import torch
        >>> from anabranch import Input
        >>> TorchModule(torch.nn.Linear(3, 2))(Input((3,))).shape
        (None, 2)
    """

    module: Field[Module, Module] = field(convert=_module, plain=_as_it_is, fixed=True, doc="the module; shared, not copied.")
    output_shape: Field[Sequence[int | None] | None, Shape | None] = field(
        default=None, convert=_sizes, plain=lambda value: value and list(value),
        doc="the result's shape without the batch, for modules that cannot run on fake tensors; None infers it.",
    )  # fmt: skip

    def _take_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if len(args) > 2 or isinstance(args[-1] if len(args) > 1 else None, str):  # (module, name, output_shape)
            kwargs = kwargs | {"name": args[1]}
            args = (args[0], *args[2:])
        return super()._take_(args, kwargs)

    _own_state_ = FieldLayer._own_state_ | {"_inside"}
    _inside: Sequence[Weight] = ()  # those of the module, with which ``_weights`` begins

    def _check_(self) -> None:
        self._own_weights_()
        self.built = True

    def _own_weights_(self) -> Sequence[Weight]:
        """Return the module's parameters and buffers as they are now: they may be replaced, as anywhere in torch."""
        if not runtime.are_of(self._inside, self.module):
            others = self._weights_[len(self._inside) :]
            self._inside = runtime.module_weights(self.module, self._home_, runtime)
            self._weights_ = [*self._inside, *others]
            self._note_change_()
        return super()._own_weights_()

    def _kind_name_(self) -> str:
        """Return the module's class."""
        return type(self.module).__name__

    inside: str = ""
    """Its path in a module that a user called bare: ``layer1/0/conv1``."""

    @property
    def _base_name_(self) -> str:
        """What names are made of: the path in the module around it, else the name of the module's class."""
        return self.inside or snake_case(type(self.module).__name__)

    @property  # type: ignore[misc]  # at run time all layers' names are properties
    def name(self) -> str:  # type: ignore[override]
        """The name given, or the one in the model that first claimed the layer, or the module's."""
        return super().name if self._explicit_name_ or (self._claimed_ and not self.inside) else self._base_name_

    def compute_output_spec(self, *args: object, **kwargs: object) -> _tree.Nest:
        """Return what running the module on tensors without numbers gives."""
        if self.output_shape is not None:
            first = tensors_in(args, kwargs)[0]
            return first.spec._replace(shape=(first.shape[0], *self.output_shape))
        return runtime.infer(self, args, kwargs)

    @property
    def _modules(self) -> dict[str, Any]:
        return dict(self.module.named_children())

    def _own_named_(self) -> dict[str, Weight]:
        inside = tuple(f"{name}/" for name in self._modules)
        return {weight.name: weight for weight in self._own_weights_() if not weight.name.startswith(inside)}

    def call(self, *args: object, training: bool | None = None, **kwargs: object) -> _tree.Nest:
        """Run the module."""
        return runtime.run_module(self.module, args, kwargs, training)


TorchModuleWrapper = TorchModule  # Keras's name


class TorchFunction(Layer):
    """One use of a torch function with parameters among its arguments, which are its weights."""

    _is_function_ = True

    def __init__(
        self, function: Callable[..., object], parameters: Sequence[Tensor], names: Sequence[str] = (), inside: str = "",
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.function, self.inside = function, inside
        self._judgements_ = Judgements()
        named = names or [f"parameter_{number}" if number else "parameter" for number in range(len(parameters))]
        self.held = [runtime.weight_of(each, name, self._home_, runtime) for each, name in zip(parameters, named, strict=True)]
        self._weights_ = self.held
        self.built = True

    @property
    def _base_name_(self) -> str:
        """What names are made of: the function's name, behind the path of the torch module whose parameters it takes."""
        return "/".join(filter(None, (self.inside, snake_case(self.function.__name__))))

    def compute_output_spec(self, *args: object, **kwargs: object) -> _tree.Nest:
        """Return what running the function on tensors without numbers gives."""
        return runtime.infer(self, args, kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the settings, the function and its parameters as they are: they have no JSON."""
        held = {"parameters": [weight.tensor for weight in self.held], "names": [weight.name for weight in self.held]}
        live = {"function": self.function, "inside": self.inside, **held}
        return super().get_config() | live

    def call(self, *args: object, **kwargs: object) -> _tree.Nest:
        """Run the function."""
        args, kwargs = _tree.map_leaves(_shown, (args, kwargs))
        return self.function(*args, **kwargs)


_wrapped: weakref.WeakValueDictionary[int, TorchModule] = (
    weakref.WeakValueDictionary()
)  # by the module's id, which it keeps alive


class _Torch(Port):
    """What symbolic tensors ask."""

    def infer(self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
        return runtime.infer(operation, args, kwargs)

    def method(self, name: str, *args: object, **kwargs: object) -> _tree.Nest:
        return self.torch_function(Method(name), args, kwargs)

    def torch_function(
        self, function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> _tree.Nest:
        """Record a function; inside one of torch's own modules, which a user called bare, the module as a whole."""
        if isinstance(function, (types.MethodDescriptorType, types.WrapperDescriptorType)):
            function = Method(function.__name__)
        calls = list(_module_calls())
        if calls and _is_torch_own(calls[0]["self"]):
            given, named = calls[0]["args"], calls[0]["kwargs"]
            layer = _layer_of(calls[0]["self"], calls[-1]["self"])
            outer = {id(leaf) for leaf in _tree.leaves((given, list(named.values())))}
            for leaf in _tree.leaves((args, list(kwargs.values()))):
                if isinstance(leaf, Symbol) and leaf.node.operation is layer and id(leaf) not in outer:
                    return leaf  # the module is under way: what it gives in the end is known already
            return layer(*given, **named)
        parameters = [
            leaf for leaf in _tree.leaves((args, list(kwargs.values()))) if not isinstance(leaf, Symbol) and is_parameter(leaf)
        ]
        if not parameters:
            return apply(function, args, kwargs)
        if not all(parameter.is_leaf for parameter in parameters):
            raise _computed(function, calls)
        held = dict.fromkeys(parameters)
        operation = TorchFunction(function, list(held), *_places(held, calls))
        weights = dict(zip(map(id, held), operation.held, strict=True))
        args, kwargs = _tree.map_leaves(lambda leaf: weights.get(id(leaf), leaf), (args, kwargs))
        return operation(*args, **kwargs)

    def no_attribute(self, tensor: Symbol, name: str) -> Exception:
        """Return the error for an attribute that symbolic tensors lack; a module that asks for it is better wrapped."""
        calls = list(_module_calls())
        if calls and _is_torch_own(calls[0]["self"]):
            own = [call["self"] for call in calls if _is_torch_own(call["self"])]
            module = type(own[-1]).__name__
            return MissingAttributeError(
                f"{module} looks into its input ({name!r}), which has no values yet, so it cannot be called bare.",
                where=str(call_site()), repair=f"layers.TorchModule({module}(...))(x)",
            )  # fmt: skip
        from anabranch.diagnosis.no_values import missing_attribute  # loaded for errors alone

        return missing_attribute(name)


def _computed(function: Callable[..., object], calls: Sequence[dict[str, Any]]) -> UntrainedError:
    """Return the error for a tensor that was computed from parameters before it meets a symbolic one: these would not train."""
    kind = type(calls[-1]["self"]).__name__ if calls else "Block"
    return UntrainedError(
        f"{snake_case(function.__name__)} takes a tensor that is computed from parameters, which the model would not train.",
        where=str(call_site()), repair=f"layers.TorchModule({kind}(...))(x), which runs the module as a whole",
    )  # fmt: skip


def _places(parameters: Iterable[Tensor], calls: Sequence[dict[str, Any]]) -> tuple[list[str], str]:
    """Return the attributes of a module under way that parameters are, and its path in the one that a user called."""
    paths = {id(held): path for path, held in calls[-1]["self"].named_parameters()} if calls else {}
    found = [paths.get(id(parameter), "") for parameter in parameters]
    if not all(found):
        return [], ""
    inside = found[0].rpartition(".")[0]
    return [path.removeprefix(f"{inside}.").replace(".", "_") for path in found], inside.replace(".", "/")


def _shown(leaf: object) -> object:
    return runtime.shown(leaf) if isinstance(leaf, Weight) else leaf


def _layer_of(module: Module, around: Module) -> TorchModule:
    layer = _wrapped.get(id(module))
    if layer is None:
        layer = _wrapped[id(module)] = TorchModule(module)
        layer.inside = next(path for path, inner in around.named_modules() if inner is module).replace(".", "/")
    return layer


def _module_calls() -> Iterator[dict[str, Any]]:
    """Yield the calls of torch modules under way, the innermost first: ``self``, ``args``, ``kwargs``."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "_call_impl" and frame.f_globals.get("__name__") == "torch.nn.modules.module":
            yield frame.f_locals
        frame = frame.f_back


def _is_torch_own(module: object) -> bool:
    return is_from(type(module), "torch.nn.modules")


TORCH = _Torch()
"""Who knows torch."""
