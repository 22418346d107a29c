"""The one layer protocol, ours and the users': ``__init__``, ``build``, ``call``, ``compute_output_shape``.

A layer called on a symbolic tensor makes a node; called on numbers it runs. It owns its weights, which have no numbers until
somebody asks for them.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from anabranch import _process, _tree, config, dtype_policies, runtime
from anabranch._arguments import RAW, Checks, checked, to_boolean
from anabranch._asked import has_shape, is_from, parameters_of, shown, takes_any, unwrapped
from anabranch._errors import (
    AnabranchError,
    ArgumentError,
    ArgumentTypeError,
    GraphError,
    MissingMethodError,
    NoGraphError,
    ShapeError,
)  # fmt: skip
from anabranch._fields import unknown_argument
from anabranch._frames import bound_methods, bounded, leave, unbounded
from anabranch.config import DTypePolicy
from anabranch.diagnosis import refuse_tensors_as_settings
from anabranch.graph import (
    CallSite,
    Graph,
    Home,
    Node,
    Shape,
    Spec,
    call_site,
    outputs_of,
    record,
    tensors_in,
)
from anabranch.graph.clues import explained
from anabranch.graph.shapes import check_shapes, to_shape
from anabranch.layers import mask_rule
from anabranch.layers.building import built_after, inputs_of_build, refuse_wrong_call, shapes_in, shapes_of_build
from anabranch.layers.call_arguments import unfit
from anabranch.layers.configuring import Configured, taken
from anabranch.layers.holding import running_layer, to_regularizer
from anabranch.layers.torch_members import is_compiling

if TYPE_CHECKING:
    from anabranch.regularizers import RegularizerLike
    from anabranch.runtime import Tensor


_VALUES = frozenset((int, float, str, bool))  # types that hold no tensors


@bound_methods
class Layer(Configured):
    """Base of all layers.

    Args:
        activity_regularizer: function of the output whose value joins the training loss.
        trainable: whether training changes the weights.
        dtype: float type of weights and results, or a precision policy such as ``"mixed_bfloat16"``, which computes in fewer
            bits than it keeps weights in; None takes ``config.dtype_policy()``.
        autocast: whether float inputs are cast to the type that the layer computes in.
        name: the layer's name; None lets the model number it.

    Example:
        >>> from anabranch import layers
        >>> class Scale(layers.Layer):
        ...     def __init__(self, factor, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.factor = factor
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> Scale(3.0)(layers.Input((4,))).shape
        (None, 4)
    """

    _states_shapes_: ClassVar[bool] = False  # whether ``compute_output_shape`` is known to give shapes
    _build_shapes_: ClassVar[tuple[str, ...]] = ()  # names of the shapes that ``build`` takes, where these are several
    _rule_shapes_: ClassVar[tuple[str, ...]] = ()  # and those that ``compute_output_shape`` takes
    _rule_checks_values_: ClassVar[bool] = False
    """Whether its shape rule is asked before it runs on values, too: of what the rule refuses torch would compute something."""
    _complete_build_: ClassVar[Callable[..., Callable[..., None]]] = staticmethod(built_after)  # adds what each ``build`` does

    _first_shape_: Shape | None = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        if "build" in cls.__dict__:
            written = cls.__dict__["build"]
            cls._makes_weights_ = cls.__dict__.get("_makes_weights_", True)
            cls._build_shapes_ = shapes_of_build(written)
            cls.build = cls._complete_build_(written)  # type: ignore[method-assign]  # of the same signature
        if "compute_output_shape" in cls.__dict__:
            cls._rule_shapes_ = shapes_of_build(unwrapped(cls.__dict__["compute_output_shape"]))
        super().__init_subclass__(**kwargs)
        if "compute_mask" in cls.__dict__ and "supports_masking" not in cls.__dict__:
            cls.supports_masking = True
        if ("get_config" in cls.__dict__ or "from_config" in cls.__dict__) and "_writes_config_" not in cls.__dict__:
            cls._writes_config_ = True
        own = not cls.__dict__.keys().isdisjoint(("save_own_variables", "load_own_variables"))
        if own and "_writes_variables_" not in cls.__dict__:
            cls._writes_variables_ = True
        if not is_from(cls, "anabranch") and cls.__setattr__ is object.__setattr__:
            cls.__setattr__ = Layer._set_guarded_  # type: ignore[method-assign,assignment]  # of the same signature

    @unbounded
    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Lay out the state, and save the arguments for ``get_config`` where they are no fields."""
        # State is laid out here, so that a subclass that forgets super().__init__() still is a layer.
        self = super().__new__(cls)
        if cls._captures_:
            self._arguments_ = (args, kwargs)
        self._made_at_ = call_site()
        if _process.remat_scopes:
            self._remat_scope_ = _process.remat_scopes[-1]
        if not _VALUES.issuperset(map(type, args)) and not cls._captures_:
            try:
                refuse_tensors_as_settings(cls, args, self._made_at_)  # a constructor of its own may take them
            except AnabranchError as error:
                leave(error)
                raise
        if running_layer() is not None:
            self._made_in_call_ = True
        self._calls_ = []
        _process.note_change()
        self._take_policy_(config.dtype_policy())
        self._home_ = Home(cls._class_base_name_())
        return self

    def __init__(
        self,
        *,
        activity_regularizer: RegularizerLike = None,
        trainable: bool = True,
        dtype: str | DTypePolicy | dict[str, Any] | None = None,
        autocast: bool = True,
        name: str | None = None,
        **legacy: object,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise ArgumentTypeError("A layer's name is a string.", got=repr(name), where=str(self._made_at_))
        if name is not None and "/" in name:
            raise ArgumentError(
                "A layer's name cannot hold '/', which separates the parts of a path.", got=repr(name),
                where=str(self._made_at_), repair=f"name={name.replace('/', '_')!r}",
            )  # fmt: skip
        if name is not None:
            self._explicit_name_, self._named_ = name, True
            self._home_.path = name or self._home_.path
        if not to_boolean(trainable, "trainable", self):
            self._trainable = False
        if dtype is not None:
            try:
                self._take_policy_(dtype_policies.for_layer(dtype, self._home_.path))
            except AnabranchError as error:
                raise error.at(str(self._made_at_)) from None
        if not to_boolean(autocast, "autocast", self):
            self._autocast_ = False
        if activity_regularizer is not None:
            self._activity_regularizer_ = to_regularizer(activity_regularizer)
        if legacy:
            self._first_shape_ = self._take_first_shape_(legacy)
            if legacy:
                raise self._unknown_argument_(next(iter(legacy)))

    def _axis_layout_(self) -> str | None:
        """Return the layer's ``data_format``, which users' layers may have too; None where it has none."""
        found: str | None = getattr(self, "data_format", None)  # users' layers may set it anywhere
        return found

    @property
    def _graph_(self) -> Graph | None:
        """The graph inside, None unless this is a model of layers."""
        return None

    def _sublayers_(self) -> list[Layer]:
        """Return the layers held directly by this one's attributes, in the order they were set."""
        found = self._held_objects_()
        return list(dict.fromkeys(leaf for leaf in found if isinstance(leaf, Layer))) if found else found

    def _inner_layers_(self) -> Iterator[Layer]:
        """Yield this layer and every layer inside it, each once."""
        seen: set[Layer] = set()
        stack: list[Layer] = [self]
        while stack:
            layer = stack.pop()
            if layer not in seen:
                seen.add(layer)
                yield layer
                stack.extend(reversed(layer._sublayers_()))

    # The protocol

    def build(self, input_shape: Any) -> None:
        """Make the weights for an input of ``input_shape``; subclasses with weights override it.

        Args:
            input_shape: the input's shape, None for the batch; a list of shapes where the input is a list.

        Example:
            >>> from anabranch import layers
            >>> layer = layers.Dense(3)
            >>> layer.build((None, 4))
            >>> [weight.shape for weight in layer.weights]
            [(4, 3), (3,)]
        """
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output from tensors; every layer writes its own.

        Example:
            >>> from anabranch import layers
            >>> class Double(layers.Layer):
            ...     def call(self, inputs):
            ...         return inputs * 2
            >>> Double()([1.0, 2.0]).tolist()
            [2.0, 4.0]
        """
        raise MissingMethodError(f"{type(self).__name__} must write call(self, inputs).")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the output's shape for ``input_shape``; None is the batch's size.

        Args:
            input_shape: the input's shape, None for the batch; a list of shapes where the input is a list.

        Example:
            >>> from anabranch import layers
            >>> layers.Dense(3).compute_output_shape((None, 4))
            (None, 3)
        """
        raise MissingMethodError(
            f"{type(self).__name__} has no shape rule.", expected="compute_output_shape(self, input_shape)",
            repair="layer(Input(shape)).shape infers the output's shape",
        )  # fmt: skip

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> _tree.Nest:
        """Return shape and dtype of what ``call`` gives: by the shape rule, or from fake tensors where there is none.

        Example:
            >>> from anabranch import layers
            >>> layers.Dense(3).compute_output_spec(layers.Input((4,)))
            Spec(shape=(None, 3), dtype='float32')
        """
        if type(self).compute_output_shape is Layer.compute_output_shape:
            return runtime.infer(self, args, kwargs)
        shape = self._shape_after_(args, kwargs)
        if not self._states_shapes_:
            check_shapes(shape, "What compute_output_shape returns", self._described_())
        dtype = self._output_dtype_([tensor.dtype for tensor in tensors_in(args, kwargs)])
        if isinstance(shape, list) and shape and isinstance(shape[0], (tuple, list)):
            return [Spec(tuple(s), dtype) for s in shape]
        if isinstance(shape, dict):
            return {key: Spec(tuple(s), dtype) for key, s in shape.items()}
        return Spec(tuple(shape), dtype)

    def _shape_after_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the shape rule says of a call."""
        if self._rule_shapes_:
            wanted = inputs_of_build(self._rule_shapes_, type(self).call, args, kwargs)
            return self.compute_output_shape(**{name: shapes_in(value) for name, value in wanted.items()})
        return self.compute_output_shape(shapes_in(args[0] if args else next(iter(kwargs.values()))))

    def _output_dtype_(self, input_dtypes: list[str]) -> str:
        """Return the dtype of the result; what the layer computes in unless a family says otherwise.

        Args:
            input_dtypes: the dtypes of the tensors among the inputs.
        """
        return self.compute_dtype

    @unbounded
    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Make a node where an argument is symbolic, compute where all are numbers."""
        try:
            if kwargs or len(args) != 1:
                self._check_call_arguments_(args, kwargs)
            made: Tensor = (
                self._describe_(args, kwargs, call_site()) if tensors_in(args, kwargs) else self._compute_(args, kwargs)
            )
        except BaseException as error:
            leave(error)
            raise
        return made

    def _check_call_arguments_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise where a call lacks its input, or ``training`` or a mask of a layer of ours is none."""
        names = parameters_of(type(self).call)[1:]
        if self._graph_ is None and names and not args and not kwargs and len(names) > len(type(self).call.__defaults__ or ()):
            raise ArgumentTypeError(
                f"{self._described_()} was called without its input.",
                expected=f"{self._written_code_()}(x)",
                got="no arguments",
            )
        if self._captures_:
            return
        unknown = [f"{name}=" for name in kwargs if name not in (*names, "training", "mask")]
        if (unknown or len(args) > len(names)) and not takes_any(type(self).call):
            several = len(args) > len(names) and all(map(has_shape, args)) and not self._takes_one_tensor_
            raise ArgumentTypeError(
                f"{self._described_()} was called with arguments that it does not take.",
                expected=f"{self._written_code_()}({', '.join(names)})",
                got=", ".join(unknown) or f"{len(args)} positional arguments",
                repair="several inputs as one list: layer([a, b])" if several else None,
            )
        for name, value in {**dict(zip(names[1:], args[1:], strict=False)), **kwargs}.items():
            if expected := unfit(name, value, type(self).call):
                raise ArgumentTypeError(f"{name} of {type(self).__name__} must be {expected}.", got=shown(value))

    def _describe_(self, args: tuple[Any, ...], kwargs: dict[str, Any], site: CallSite, *, noted: bool = True) -> _tree.Nest:
        """Return the symbolic tensors that a call gives, building the layer first.

        Args:
            args: the positional arguments of the call.
            kwargs: its keyword arguments.
            site: the line that calls the layer, which errors name.
            noted: whether the call is one of ``calls``.
        """
        try:
            refuse_wrong_call(self, args)
            self._build_once_(args, kwargs, site)
            specs = self.compute_output_spec(*args, **kwargs)
        except AnabranchError as error:
            explained(error, tensors_in(args, kwargs))
            made = self._built_for_ if isinstance(error, ShapeError) and self._weights_ and self._built_for_ != site else None
            error.at(self._described_(site) + (f"\nits weights were made for the call at {made}" if made else ""))
            raise
        if not self.supports_masking and [tensor for tensor in tensors_in(args, {}) if tensor.mask_axes]:
            mask_rule.warn_of_lost_mask(self, site)
        return record(self, args, kwargs, specs, site, noted=noted)

    def _build_once_(self, args: tuple[Any, ...], kwargs: dict[str, Any], site: CallSite) -> None:
        if not self.built:
            wanted = self._build_shapes_ and inputs_of_build(self._build_shapes_, type(self).call, args, kwargs)
            with contextlib.nullcontext() if running_layer() is None else runtime.building():
                if wanted:
                    self.build(**{name: shapes_in(value) for name, value in wanted.items()})
                else:
                    self.build(shapes_in(args[0] if args else next(iter(kwargs.values()))))
            self.built = True
            self._built_for_ = site
            if self._made_in_call_:
                self._refuse_unheld_()
            if self._captures_:
                self._own_weights_()  # notes torch modules among the attributes, whose mode follows the layer's

    def _refuse_unheld_(self) -> None:
        """Raise where the call that is under way made this layer, with weights, but does not hold it."""
        outer = running_layer()
        if outer is not None and self.weights and not any(layer is self for layer in outer._inner_layers_()):
            code = self._written_code_()
            raise runtime.made_in_call(self._error_label_(), outer, f"in __init__: self.part = {code}; in call: self.part(x)")

    def _compute_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
        if is_compiling():
            from anabranch.runtime.dynamo import outside_of_dynamo  # torch.compile follows no package that loads late

            return outside_of_dynamo(self, args, kwargs)
        dtype = self.compute_dtype if self.autocast else None
        args = tuple([runtime.as_tensors(arg, dtype, integers=self._takes_integers_) for arg in args])
        kwargs = runtime.named_tensors(self, kwargs, dtype) if kwargs else kwargs
        try:
            if not self.built:
                refuse_wrong_call(self, args)
                self._build_once_(args, kwargs, call_site())
            if not runtime.is_tracing():
                if self.input_spec is not None:
                    refuse_wrong_call(self, args)
                if self._rule_checks_values_:
                    self._shape_after_(args, kwargs)
                if not self.supports_masking and any(runtime.mask_of(leaf) is not None for leaf in _tree.leaves(args)):
                    mask_rule.warn_of_lost_mask(self, call_site())
                runtime.synchronise_seed()
                if not self._claimed_:
                    self._claim_(self.name)
            return runtime.carried(*runtime.run(self, args, kwargs))
        except AnabranchError as error:
            explained(error)
            error.at(self._described_(call_site()))
            raise
        except RAW as error:
            if not isinstance(error, (RuntimeError, IndexError)) and (self._captures_ or runtime.is_tracing()):
                raise  # the user's own
            raise self._failed_(args, kwargs, error).at(self._described_(call_site())) from error

    def _failed_(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> AnabranchError:
        """Return the error for a call that failed: what the shape rule says, else a wrong argument or torch's words."""
        try:
            self._shape_after_(args, kwargs)
        except MissingMethodError:  # there is no rule
            pass
        except AnabranchError as refusal:
            return refusal
        return _call_checks(type(self)).failed((self, *args), kwargs, error)  # type: ignore[arg-type]  # a class is hashable

    @classmethod
    def _call_takes_(cls, name: str) -> bool:
        """Return whether ``call`` has a parameter ``name``, such as ``training``."""
        return name in parameters_of(cls.call)

    @classmethod
    def _is_input_(cls, name: str) -> bool:
        """Return whether an argument given by ``name`` is an input: what ``call`` needs; of a user's layer the first alone."""
        names = parameters_of(cls.call)[1:]
        needed = 1 if cls._captures_ else len(names) - len(cls.call.__defaults__ or ())
        return name in names[:needed]

    # What training hears of besides the output

    def add_loss(self, loss: _tree.Nest) -> None:
        """Add a scalar, or a nest of them, to what training minimises; inside ``call``.

        Args:
            loss: the scalar, or the nest.

        Example:
            >>> from anabranch import layers
            >>> class Penalised(layers.Layer):
            ...     def call(self, inputs):
            ...         self.add_loss(inputs.abs().sum())
            ...         return inputs
            >>> layer = Penalised()
            >>> output = layer([[1.0, -2.0]])
            >>> layer.losses
            [tensor(3.)]
        """
        runtime.report_loss(self, loss)

    @property
    @bounded
    def losses(self) -> list[Any]:
        """What the last call added, by ``add_loss`` and activity regularizers, here and inside; and penalties on weights."""
        added = [loss for layer in self._inner_layers_() for loss in layer._held_losses_]
        penalised = (weight for weight in self.trainable_weights if weight.regularizer is not None)
        return [*added, *map(runtime.penalty, penalised)]

    @checked
    def add_metric(self, value: Tensor | float, name: str | None = None, aggregation: str = "mean") -> None:
        """Show a value of ``call`` in logs and history, its ``"mean"`` or ``"sum"`` over an epoch, as Keras 2 did.

        Args:
            value: the value, a scalar or a tensor whose mean is taken.
            name: its name in logs; None for the layer's name and ``_metric``.
            aggregation: ``"mean"`` or ``"sum"``.

        Example:
            >>> import anabranch, numpy
            >>> from anabranch import layers
            >>> class Watched(layers.Layer):
            ...     def call(self, inputs):
            ...         self.add_metric(inputs.mean(), name="mean_input")
            ...         return inputs
            >>> model = anabranch.Sequential([layers.Input((2,)), Watched()])
            >>> model.compile(loss="mse")
            >>> model.evaluate(numpy.ones((4, 2)), numpy.ones((4, 2)), verbose=0, return_dict=True)
            {'loss': 0.0, 'mean_input': 1.0}
        """
        if aggregation not in ("mean", "sum"):
            raise ArgumentError("Unknown aggregation.", expected="'mean' or 'sum'", got=repr(aggregation))
        runtime.watch_value(self, value, name or f"{self.name}_metric", aggregation)

    # Masks

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Return the output's mask from the inputs' (a list of them for a list of inputs); here, the mask goes on as it is.

        Asked only where ``supports_masking`` is true, which writing this method makes it.

        Args:
            inputs: the input, or a list of them.
            previous_mask: its mask, None where it has none; a list for a list of inputs.

        Example:
            >>> from anabranch import layers
            >>> import torch
            >>> layers.Embedding(10, 4, mask_zero=True).compute_mask(torch.tensor([[3, 0]]), None)
            tensor([[ True, False]])
        """
        return previous_mask

    def _makes_mask_(self) -> bool:
        """Return whether there may be a mask where the input has none."""
        return type(self).compute_mask is not Layer.compute_mask

    def _mask_reach_(self, node: Node, given: Sequence[int]) -> tuple[int, ...]:
        """Return over how many leading axes each output is masked, where ``given`` says so of each input: a description.

        Args:
            node: a call of the layer.
            given: over how many leading axes each input is masked; 0 where it has no mask.
        """
        if not self.supports_masking or not (any(given) or self._makes_mask_()):
            return ()
        return mask_rule.reach(self, node, given)

    def _symbolic_mask_(self, inputs: Any, mask: Any, **more: object) -> Any:
        """Return a symbolic mask for the output's in a description: by ``compute_mask``, which here gets symbolic tensors.

        Args:
            inputs: the symbolic input, or a list of them.
            mask: its mask as a symbolic tensor, None where it has none.
            more: arguments of the call that ``compute_mask`` has parameters for besides.
        """
        try:
            return self.compute_mask(inputs, mask, **more)
        except Exception:  # what cannot be said of symbolic tensors is said when it runs
            return mask

    # What the calls so far gave

    def _only_call_(self, what: str) -> Node:
        nodes = [node for node in (call() for call in self._calls_) if node is not None]
        if not nodes:
            never = f"{self._described_()} was never called, so it has no {what}."
            dropped = f"{self._described_()} has no {what}: no symbolic tensor that a call returned is held any more."
            raise NoGraphError(
                dropped if self.built else never, got=f"a call at {self._built_for_}" if self._built_for_ else None,
                where=str(call_site()),
                repair=f"{'hold what a call returns' if self.built else 'call it on a tensor'}: y = {self._written_code_()}(x)",
            )  # fmt: skip
        if len(nodes) > 1:
            places = ", ".join(str(node.site) for node in nodes[:8])
            raise GraphError(
                f"{self._described_()} was called {len(nodes)} times, so its {what} is ambiguous.",
                got=f"calls at {places}",
                where=str(call_site()),
                repair="keep the tensor that the call you mean returned",
            )
        return nodes[0]

    @property
    @bounded
    def output(self) -> _tree.Nest:
        """The symbolic tensor that the layer's only call gave."""
        return outputs_of(self._only_call_("output"))

    @property
    @bounded
    def input(self) -> _tree.Nest:
        """The symbolic tensor that the layer's only call took."""
        node = self._only_call_("input")
        return node.args[0] if node.args else outputs_of(node)

    # Copies

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a layer with weights of its own, of the same numbers; calls stay with the original."""
        twin = copy.copy(self)
        memo[id(self)] = twin
        held = {
            key: value
            for key, value in vars(self).items()
            if key not in ("_calls_", "_arguments_", "_made_at_", "_held_losses_")
        }
        vars(twin).update(copy.deepcopy(held, memo), _calls_=[], _held_losses_=())
        return twin

    # Mistakes

    def _take_first_shape_(self, legacy: dict[str, Any]) -> Shape | None:
        """Keras 2's way of saying a model's input on its first layer."""
        batch = legacy.pop("batch_input_shape", None)
        shape = legacy.pop("input_shape", None)
        size = legacy.pop("input_dim", None)
        if batch is not None:
            return to_shape(batch, "batch_input_shape", self._made_at_)
        if shape is not None:
            return (None, *to_shape((shape,) if type(shape) is int else shape, "input_shape", self._made_at_))
        return None if size is None else (None, *to_shape((size,), "input_dim", self._made_at_))

    def _unknown_argument_(self, name: str) -> ArgumentTypeError:
        return unknown_argument(type(self), name, [*self._fields_, *taken(type(self))], str(self._made_at_))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}{'' if self.built else ', not built'}>"


@functools.cache
def _call_checks(kind: type[Layer]) -> Checks:
    """Return what the annotations of a class's ``call`` say."""
    return Checks(kind.call, kind.__name__)
