"""What layers and models answer to torch people: the methods of ``torch.nn.Module`` over weights and layers inside.

The methods are torch's own, run on what ``_parameters``, ``_buffers`` and ``_modules`` say. Keys are those of ``to_torch()``.
Where Keras has a word, such as ``compile``, it is Keras's.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, TypeVar

from anabranch import runtime
from anabranch._arguments import checked, guarded, to_boolean
from anabranch._docstrings import described
from anabranch._errors import ArgumentError, EngineError
from anabranch._frames import bound_methods, unbounded
from anabranch.graph import CallSite, Shape, call_site
from anabranch.graph.records import spec_leaves
from anabranch.layers.holding import Holding, numbered

if TYPE_CHECKING:
    from anabranch.graph import Weight
    from anabranch.runtime import Module, Tensor

Named: TypeAlias = "Iterator[tuple[str, Tensor]]"
M = TypeVar("M", bound="TorchMembers")
_described = described({
    "prefix": "is put before the names.", "recurse": "whether those of layers inside are among them.",
    "remove_duplicate": "whether a tensor comes once, under its first name.",
})  # fmt: skip
_MODULES = "torch.nn.modules.module"
_WALKS = (
    _MODULES,
    "torch.nn.utils._named_member_accessor",
)  # where torch looks for modules inside one, for functional_call too
_SCRIPTS = ("torch.jit._recursive", "torch.jit._trace")  # where it compiles modules for TorchScript
_REGISTERS = frozenset(("__setattr__", "add_module"))
_NO_HOOKS: Mapping[int, Callable[..., object]] = types.MappingProxyType({})


@bound_methods
class _Registered(Holding):
    """What torch's modules take for one of theirs when it is assigned to them. Abstract: the base of TorchMembers."""

    if not TYPE_CHECKING:  # else checkers would accept any name

        @unbounded
        def __getattr__(self, name: str) -> object:
            from anabranch.layers.reaching import inside  # asked only for what no attribute is

            found = inside(self, name)
            return object.__getattribute__(self, name) if found is None else found

    @property
    def __class__(self) -> type:  # type: ignore[override]  # of no narrower type
        """The class; ``torch.nn.Module`` to torch's code that registers what is one or looks for one inside another.

        A module that registers the layer has its parameters among its own; the layer takes its mode.
        """
        asks = sys._getframe(1)
        asking = asks.f_globals.get("__name__")
        if asking in _SCRIPTS:
            from anabranch.layers.absent import not_scripted  # loaded for errors alone

            raise not_scripted(self)
        if asking not in _WALKS:
            return type(self)
        if asks.f_code.co_name in _REGISTERS:
            mode = bool(vars(asks.f_locals.get("self")).get("training", False))
            for layer in self._inner_layers_():
                layer.training = mode
        found: type = sys.modules[_MODULES].Module
        return found

    @__class__.setter
    def __class__(self, value: type) -> None:
        vars(object)["__class__"].__set__(self, value)


def is_compiling() -> bool:
    """Return whether torch.compile follows this call, as which it is written; it loads nothing."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.compiler.is_dynamo_compiling()


def _conversion(name: str, where: str, dtype: str) -> Callable[[M], M]:
    """Return a method of torch's modules that converts their tensors; the example is a layer of ``dtype``."""

    def method(self: M) -> M:
        found: M = self._by_torch_(name)
        return found

    method.__name__, method.__qualname__ = name, f"TorchMembers.{name}"
    method.__doc__ = f"""Return the layer where {where}, else raise and name the way, as ``to`` does.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.Dense(2, dtype="{dtype}")
            >>> layer.build((None, 4))
            >>> layer.{name}() is layer
            True
        """
    return method


@bound_methods
class TorchMembers(_Registered):
    """The methods of ``torch.nn.Module`` that layers have. Abstract: a base of Layer."""

    _makes_weights_: ClassVar[bool] = False  # whether ``build`` may

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            """Make a node, or compute."""

        def _describe_(self, args: tuple[Any, ...], kwargs: dict[str, Any], site: CallSite, *, noted: bool = ...) -> Any:
            """Return the symbolic tensors that a call gives."""

    # What torch's own methods ask of a module

    _version: ClassVar[int] = 1
    _state_dict_pre_hooks = _state_dict_hooks = _load_state_dict_pre_hooks = _load_state_dict_post_hooks = _NO_HOOKS
    _non_persistent_buffers_set: ClassVar[frozenset[str]] = frozenset()

    @property
    def _parameters(self) -> dict[str, Tensor]:
        return runtime.tensors_of(self._own_named_(), self.trainable, parameters=True)

    @property
    def _buffers(self) -> dict[str, Tensor]:
        return runtime.tensors_of(self._own_named_(), self.trainable, parameters=False)

    @property
    def _modules(self) -> dict[str, TorchMembers | Module]:
        found: dict[str, TorchMembers | Module] = {}
        graph = self._graph_
        if graph is not None:
            layers = dict.fromkeys(node.operation for node in graph.nodes if not node.operation._is_source_)
            named = ((graph.names[layer], layer) for layer in layers)
        else:
            start, taken = f"{self.path}/", dict[str, int]()
            named = ((numbered(_inner_path(layer, start), taken), layer) for layer in self._sublayers_())
        found.update((runtime.target_of(name), layer) for name, layer in named if isinstance(layer, TorchMembers))
        return found | {runtime.target_of(name): module for name, module in self._held_modules_().items()}

    def _held_modules_(self) -> dict[str, Module]:
        return runtime.held_modules(self._torch_attributes_()) if self._third_party_ else {}

    def _own_named_(self) -> dict[str, Weight]:
        """Return the weights of this layer itself, without those of torch modules it holds, under torch's names for them."""
        weights = self._own_weights_()
        inside = tuple(f"{place}/" for place in self._held_modules_())
        return runtime.named_targets(weight for weight in weights if not (inside and weight.name.startswith(inside)))

    def _get_name(self) -> str:
        return type(self).__name__

    def _named_members(self, *args: Any, **kwargs: Any) -> Named:
        found: Named = runtime.module_method(self, "_named_members")(*args, **kwargs)
        return found

    def _save_to_state_dict(self, *args: Any) -> None:
        runtime.module_method(self, "_save_to_state_dict")(*args)

    def _load_from_state_dict(
        self, state_dict: dict[str, object], prefix: str, local_metadata: dict[str, Any], strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        if local_metadata.get("assign_to_params_buffers"):
            raise ArgumentError(
                f"load_state_dict(assign=True) would part {self._described_()} from what it computes with.",
                repair="load_state_dict(state), which copies the values",
            )
        unknown: list[str] = []
        runtime.module_method(self, "_load_from_state_dict")(
            state_dict, prefix, local_metadata, strict, missing_keys, unknown, error_msgs
        )
        own = self._own_named_()
        for name, weight in own.items():
            weight.assigned = weight.assigned or prefix + name in state_dict
        inside = tuple(f"{prefix}{name}." for name in self._modules)
        # torch's batch normalization counts batches, which ours need not
        known = {prefix + name for name in (*own, *(["num_batches_tracked"] if "running_mean" in own else []))}
        unexpected_keys += [key for key in unknown if key not in known and not key.startswith(inside)]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        runtime.convert(self, [*self.parameters(recurse), *self.buffers(recurse)], fn)
        return self

    def _ready_(self) -> None:
        """Raise where weights wait for a shape; else let initial values follow from the path."""
        if not self._claimed_:
            if self._makes_weights_ or self._sublayers_():
                self._need_built_()
            self._claim_(self.name)

    # Parameters

    @_described
    @checked
    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the tensors of the weights that gradients can train, as an optimizer of ``torch.optim`` takes them.

        They are what the layer computes with; ``requires_grad`` is false where the layer or the weight is frozen.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((4,))
            >>> [tuple(parameter.shape) for parameter in Model(x, layers.Dense(2)(x)).parameters()]
            [(2, 4), (2,)]
        """
        return (tensor for _, tensor in self.named_parameters(recurse=recurse))

    @_described
    @checked
    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Named:
        """Yield ``parameters`` with their names, which are those of ``to_torch()``.

        Example:
            >>> from anabranch import Input, Sequential, layers
            >>> [name for name, _ in Sequential([Input((4,)), layers.Dense(2)]).named_parameters()]
            ['dense.weight', 'dense.bias']
        """
        found: Named = self._by_torch_("named_parameters", prefix, recurse, remove_duplicate)
        return found

    @_described
    @checked
    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the tensors of the other weights, such as running statistics.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.BatchNormalization()
            >>> layer.build((None, 2))
            >>> [tensor.tolist() for tensor in layer.buffers()]
            [[0.0, 0.0], [1.0, 1.0]]
        """
        return (tensor for _, tensor in self.named_buffers(recurse=recurse))

    @_described
    @checked
    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Named:
        """Yield ``buffers`` with their names, which are those of ``to_torch()``.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.BatchNormalization()
            >>> layer.build((None, 2))
            >>> [name for name, _ in layer.named_buffers()]
            ['running_mean', 'running_var']
        """
        found: Named = self._by_torch_("named_buffers", prefix, recurse, remove_duplicate)
        return found

    @_described
    @checked
    def state_dict(
        self, *args: Any, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """Return all weights' tensors by name, in torch's layout, as the ``state_dict`` of ``to_torch()``.

        Args:
            args: ``destination``, ``prefix`` and ``keep_vars`` by position, as torch still takes them.
            destination: a dict to add to.
            keep_vars: whether the tensors are those that autograd knows, instead of detached ones.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((4,))
            >>> list(Model(x, layers.Dense(2)(x)).state_dict())
            ['dense.weight', 'dense.bias']
        """
        found: dict[str, Tensor] = self._by_torch_(
            "state_dict", *args, destination=destination, prefix=prefix, keep_vars=keep_vars
        )
        return found

    @checked
    def load_state_dict(self, state_dict: Mapping[str, object], strict: bool = True, assign: bool = False) -> Any:
        """Copy values from a ``state_dict`` of this layer or of its ``to_torch()`` into the weights.

        Args:
            state_dict: tensors by name, in torch's layout.
            strict: whether missing and unexpected names are an error.
            assign: must be False: the weights stay the same tensors.

        Returns:
            ``missing_keys`` and ``unexpected_keys``.

        Raises:
            RuntimeError: torch's, where names or shapes do not fit.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((4,))
            >>> model, other = (Model(x, layers.Dense(2)(x)) for _ in range(2))
            >>> model.load_state_dict(other.state_dict())
            <All keys matched successfully>
        """
        self._ready_()
        try:
            return runtime.module_method(self, "load_state_dict")(self._renamed_(state_dict), strict, assign)
        except RuntimeError as error:
            raise EngineError.of(
                error, str(error), repair="load_state_dict(state, strict=False) leaves out other names"
            ) from error

    def _renamed_(self, state_dict: Mapping[str, object]) -> Mapping[str, Any]:
        """Return a state with our names for parameters of opened torch modules: functions that take them hold them here."""
        found: dict[str, Any] | None = None
        for path, layer in self.named_modules():
            if isinstance(layer, TorchMembers) and layer._is_function_:
                around = path.rpartition(".")[0]
                for name in layer._own_named_():
                    theirs, ours = ".".join(filter(None, (around, name))), f"{path}.{name}"
                    if theirs in state_dict and ours not in state_dict:
                        found = found or dict(state_dict)
                        found[ours] = found.pop(theirs)
        return state_dict if found is None else found

    @checked
    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let gradients flow to all parameters or to none, and ``fit`` train them or not; return the layer.

        Other than ``trainable = False`` it leaves batch normalization as it is.

        Args:
            requires_grad: whether they train.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.Dense(2)
            >>> layer.build((None, 4))
            >>> layer.requires_grad_(False).trainable_weights
            []
        """
        if requires_grad and not self.trainable:
            self.trainable = True
        for parameter in self.parameters():
            parameter.requires_grad_(bool(requires_grad))
        return self

    @checked
    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all weights, as torch's modules do.

        Args:
            set_to_none: whether they become None instead of zeros.

        Example:
            >>> import torch
            >>> from anabranch import Input, Model, layers
            >>> inputs = Input((2,))
            >>> model = Model(inputs, layers.Dense(1)(inputs))
            >>> model(torch.ones(1, 2)).sum().backward()
            >>> model.zero_grad()
            >>> model.trainable_weights[0].value.grad is None
            True
        """
        for weight in self.weights:
            if weight.tensor is not None and weight.tensor.grad is not None:
                weight.tensor.grad = None if set_to_none else weight.tensor.grad.detach().zero_()

    # Layers inside

    @checked
    def named_modules(
        self, memo: set[object] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """Yield this layer and all inside it, torch's modules too, with their names.

        Args:
            memo: those that were there already.
            prefix: the name of this one.
            remove_duplicate: whether each comes once.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((4,))
            >>> [name for name, _ in Model(x, layers.ReLU()(layers.Dense(2)(x))).named_modules()]
            ['', 'dense', 're_lu']
        """
        found: Iterator[tuple[str, Any]] = self._by_torch_("named_modules", memo, prefix, remove_duplicate)
        return found

    def modules(self) -> Iterator[Any]:
        """Yield this layer and all inside it, torch's modules too.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((4,))
            >>> [type(module).__name__ for module in Model(x, layers.Dense(2)(x)).modules()]
            ['Model', 'Dense']
        """
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Yield the layers directly inside, torch's modules too, with their names.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((4,))
            >>> [name for name, _ in Model(x, layers.Dense(2)(x)).named_children()]
            ['dense']
        """
        self._ready_()
        return iter(self._modules.items())

    def children(self) -> Iterator[Any]:
        """Yield the layers directly inside, torch's modules too.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((4,))
            >>> [layer.units for layer in Model(x, layers.Dense(2)(x)).children()]
            [2]
        """
        return (module for _, module in self.named_children())

    # Mode

    def train(self, mode: bool = True) -> Self:
        """Let calls that do not say ``training=`` run as in training, or not any more; return the layer.

        Without it they run as in inference, and ``fit`` and ``predict`` decide themselves.

        Args:
            mode: whether as in training.

        Example:
            >>> from anabranch import layers
            >>> dropout = layers.Dropout(0.5)
            >>> dropout([[1.0]]).tolist()
            [[1.0]]
            >>> dropout.train()([[1.0]]).item() in (0.0, 2.0)
            True
        """
        mode = to_boolean(mode, "mode", self)
        for layer in self._inner_layers_():
            layer.training = mode
        return self

    def eval(self) -> Self:
        """Let calls that do not say ``training=`` run as in inference; return the layer.

        Example:
            >>> from anabranch import layers
            >>> layers.Dropout(0.5).train().eval()([[1.0]]).tolist()
            [[1.0]]
        """
        return self.train(False)

    # Device and dtype

    @guarded
    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Return the layer where it has that device and dtype, else raise and name the way to them.

        Args:
            args: a device, a dtype or a tensor that has them.
            kwargs: the same by name.

        Raises:
            ArgumentError: it has others: weights are on the device of ``config.set_device``, and dtypes are part of a graph.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.Dense(2, dtype="float32")
            >>> layer.build((None, 4))
            >>> layer.to("cpu") is layer
            True
        """
        found: Self = self._by_torch_("to", *args, **kwargs)
        return found

    float = _conversion("float", "its floats are float32", "float32")
    double = _conversion("double", "its floats are float64", "float64")
    half = _conversion("half", "its floats are float16", "float16")
    bfloat16 = _conversion("bfloat16", "its floats are bfloat16", "bfloat16")
    cpu = _conversion("cpu", "its weights are on the CPU", "float32")

    @guarded
    def cuda(self, device: int | str | None = None) -> Self:
        """Return the layer where its weights are on that GPU, else raise and name the way, as ``to`` does.

        Args:
            device: which one; the current one where None.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.Dense(2)
            >>> layer.build((None, 4))
            >>> layer.cuda() is layer  # doctest: +SKIP
            True
        """
        found: Self = self._by_torch_("cuda", device)
        return found

    @property
    def torch_params(self) -> dict[str, Tensor]:
        """The tensors of all weights by path, in torch's layout."""
        return {weight.path: runtime.realize(weight) for weight in self.weights}

    def stateless_call(
        self,
        trainable_variables: Sequence[object],
        non_trainable_variables: Sequence[object],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Compute with given values in the place of the weights, which stay as they are: for ``torch.func``.

        Random numbers and metrics are not among the values.

        Args:
            trainable_variables: a value for each of ``trainable_variables``, axes in Keras's order: ``weight[...]``.
            non_trainable_variables: a value for each of ``non_trainable_variables``.
            *args: of the call.
            return_losses: whether what layers add to the loss, and penalties on weights, are returned too.
            **kwargs: of the call.

        Returns:
            The outputs, the values of the untrained weights after the call and, if asked for, the list of losses.

        Example:
            >>> import torch
            >>> from anabranch import layers
            >>> layer = layers.Dense(1, use_bias=False)
            >>> layer.build((None, 2))
            >>> def loss(values):
            ...     return layer.stateless_call(values, [], torch.tensor([[3.0, 4.0]]))[0].sum()
            >>> torch.func.grad(loss)([torch.zeros(2, 1)])
            [tensor([[3.],
                    [4.]])]
        """
        return runtime.stateless_call(self, trainable_variables, non_trainable_variables, args, kwargs, losses=return_losses)

    def rematerialized_call(self, layer_call: Callable[..., Tensor], *args: object, **kwargs: object) -> Callable[..., Tensor]:
        """Return ``layer_call``, recomputed in the backward pass where the layer's ``RematScope`` says so.

        Args:
            layer_call: a function of tensors, such as ``layer.call``.
            *args: what it will be called with, which decides nothing here.
            **kwargs: the same.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.Dense(3)
            >>> layer.rematerialized_call(layer.call) == layer.call
            True
        """
        from anabranch.ops.gradients import remat  # which most layers do without

        scope = self._remat_scope_
        return remat(layer_call) if scope is not None and scope.covers(self, _known_outputs(self)) else layer_call

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Return the symbolic outputs for symbolic inputs, without a note of the call: ``output`` stays what it was.

        Args:
            *args: of the call.
            **kwargs: of the call.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.Dense(3)
            >>> layer.symbolic_call(layers.Input((2,))).shape
            (None, 3)
        """
        return self._describe_(args, kwargs, call_site(), noted=False)

    def _by_torch_(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Return what torch's method of that name makes of this layer."""
        self._ready_()
        return runtime.module_method(self, name)(*args, **kwargs)


def _known_outputs(layer: Holding) -> list[Shape]:
    """Return the shapes of what the layer's calls on symbolic tensors gave."""
    nodes = [node for call in layer._calls_ if (node := call()) is not None]
    return [spec.shape for node in nodes for spec in spec_leaves(node.output_specs)]


def _inner_path(layer: Holding, start: str) -> str:
    return layer.path.removeprefix(start) if layer.path.startswith(start) else layer.name
