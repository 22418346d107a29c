"""Model: a graph with a name, and one line for each thing that can be done with it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, cast

from anabranch import _custom_objects, _process, _tree, engine, registry, runtime
from anabranch._arguments import checked
from anabranch._asked import has_shape, is_boolean, shown
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, GraphError, NotReadyError, ShapeError
from anabranch._frames import bound_methods
from anabranch.diagnosis import wrong_value
from anabranch.graph import Graph, Home, Tensor, map_specs, replay
from anabranch.graph.arrays import is_array
from anabranch.graph.casting import as_declared
from anabranch.graph.shapes import check_shapes, same_but_batch
from anabranch.layers.base import Layer
from anabranch.layers.building import shapes_in
from anabranch.layers.call_arguments import is_mask
from anabranch.layers.core import InputLayer
from anabranch.layers.torch_members import is_compiling
from anabranch.models import implicit
from anabranch.models.stored import Stored
from anabranch.models.views import Views

if TYPE_CHECKING:
    from anabranch.engine.dynamo import Code
    from anabranch.graph import CallSite
    from anabranch.graph.paths import Selector
    from anabranch.models.editing import GraphEdit
    from anabranch.models.host_part import HostPart
    from anabranch.quantizers import QuantizationConfig
    from anabranch.runtime import Tensor as AnyTensor

Tensors: TypeAlias = "AnyTensor | Tensor | Sequence[Tensors] | Mapping[str, Tensors]"
"""A symbolic tensor, or a nest of them."""
Paths: TypeAlias = "Selector | Sequence[Paths] | Mapping[str, Paths]"
"""A path or another selector, or a nest of paths."""


@bound_methods
class Model(Views, Stored):
    """A network: the graph between ``inputs`` and ``outputs``; can be run, trained, summarised, saved, called like a layer.

    Args:
        inputs: a symbolic tensor or a nest (list, tuple, dict) of them.
        outputs: the same.
        name: the model's name.
        trainable: whether training changes the weights.

    Example:
        >>> from anabranch import Input, Model, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
        >>> model.output_shape, model.count_params()
        ((None, 2), 46)
    """

    _has_layers_: ClassVar[bool] = True
    _first_call_: ClassVar[int] = 1  # of the calls that ``output_layers`` of a config names: as Keras counts

    # here, so that a subclass which sets attributes before super().__init__() finds them
    _own_state_ = Layer._own_state_ | {"_own_graph_", "_compiled_", "_own_host_part_", "_host_part_of_"}
    _implicit_: Graph | None = None  # of one node, the model, where it writes its own ``call``
    _own_host_part_: HostPart | None = None
    _host_part_of_: Graph | None = None  # whose part that is
    _code_: Code | None = None  # what torch.compile was given, and for calls that say training=True
    _training_code_: Code | None = None
    _seen_: _tree.Nest = None  # what such a model was first called on: shapes and dtypes

    def __init__(
        self,
        inputs: Tensors | None = None,
        outputs: Tensors | None = None,
        name: str | None = None,
        trainable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, trainable=trainable, **kwargs)
        self._own_graph_ = None
        self._compiled_ = None
        if inputs is not None or outputs is not None:
            try:
                self._own_graph_ = Graph(inputs, outputs)
            except GraphError as error:
                from anabranch.models import editing  # which a description does without

                self._own_graph_ = Graph(*editing.connected(inputs, outputs, error))
            self._warn_of_inputs_()
            self._claim_layers_()
            self.built = True

    @classmethod
    def _class_base_name_(cls) -> str:
        return "functional" if cls is Model else super()._class_base_name_()

    def _summary_kind_(self) -> str:
        """Return the class as the table of layers shows it: Keras's word for a graph of layers is Functional."""
        return "Functional" if type(self) is Model else super()._summary_kind_()

    def _with_graph_(self, graph: Graph) -> Model:
        """Return a model like this one with another graph: its name, class and attributes, not compiled.

        Args:
            graph: the graph.
        """
        twin = copy.copy(self)
        twin._own_graph_, twin._compiled_, twin.history, twin._calls_ = graph, None, None, []
        twin._home_ = Home(self._home_.path)
        twin._forget_functions_()
        twin._claim_layers_()
        return twin

    def _claim_layers_(self) -> None:
        for source in self._need_graph_().inputs:
            if isinstance(source.node.operation, InputLayer):
                source.node.operation.models.add(self)
        numbers: dict[_process.Seeding, int] = {}
        for layer, name in self._need_graph_().names.items():
            if isinstance(layer, Layer):
                layer._claim_(name, numbers)

    # The graph

    @property
    def _running_graph_(self) -> Graph | None:
        """What runs and trains: the graph behind ``host_part``; of a model with its own ``call``, one node, once data came."""
        graph = self._graph_
        part = self._own_host_part_ if graph is self._host_part_of_ else self._host_part_
        return self._implicit_ if graph is None else graph if part is None else part.rest

    @property
    def _host_part_(self) -> HostPart | None:
        """The first layers of a model with strings, which run on the host; None of any other model."""
        graph = self._graph_
        if graph is not self._host_part_of_:
            self._own_host_part_, self._host_part_of_ = implicit.host_part_of(graph), graph
        return self._own_host_part_

    def _need_running_graph_(self) -> Graph:
        """Return ``running_graph``, or raise where neither a graph, nor data, nor ``build`` said what goes in."""
        graph = self._running_graph_
        if graph is None and self._seen_ is not None:
            self._follow_(self._seen_)
            graph = self._running_graph_
        if graph is None:
            raise self._not_built_()
        return graph

    @property
    def _follows_data_(self) -> bool:
        """Whether the graph may change with the data."""
        return self._graph_ is None

    def _follow_(self, x: object) -> None:
        """Let ``running_graph`` fit ``x``, a nest of arrays; a model with a graph says itself what it takes.

        Args:
            x: a nest of arrays or tensors (B, …).
        """
        if self._graph_ is None:
            self._implicit_ = implicit.graph_for(self, implicit.specs_of(self, x), self._implicit_)
            if not self._claimed_:
                self._claim_(self.name)

    def build(self, input_shape: _tree.Nest = None) -> None:
        """Make the weights of a model that writes its own ``call``, for a shape with the batch first or a nest of shapes.

        Args:
            input_shape: a shape with the batch first, or a nest of shapes.

        Example:
            >>> from anabranch import Model, layers
            >>> class Head(Model):
            ...     def __init__(self):
            ...         super().__init__()
            ...         self.dense = layers.Dense(2)
            ...     def call(self, inputs):
            ...         return self.dense(inputs)
            >>> model = Head()
            >>> model.build((None, 4))
            >>> model.count_params()
            10
        """
        if self.built or self._graph_ is not None:
            return
        check_shapes(input_shape, "input_shape of build")
        self.built = True
        try:
            self._follow_(implicit.specs_of_shapes(self, input_shape))
        except BaseException:
            self.built = False
            raise

    def _build_once_(self, args: tuple[Any, ...], kwargs: dict[str, Any], site: CallSite) -> None:
        if self.built:
            return
        self.built = True  # a build of the user's may end with super().build(…); without one, weights come as call runs
        try:
            if type(self).build is not Model.build:
                self.build(shapes_in(args[0] if args else next(iter(kwargs.values()))))
        except BaseException:
            self.built = False
            raise
        self._built_for_ = site

    @property
    def _has_call_(self) -> bool:
        """Whether the model writes its own ``call``."""
        return type(self).call is not Model.call

    def _not_built_(self) -> Exception:
        if self._has_call_:
            return NotReadyError(
                f"{self._described_()} does not know yet what goes in: it writes its own call, and no data have come.",
                expected="data, or shapes",
                repair="model(x) or model.fit(x, y) first, or model.build((None, …))",
            )
        return ArgumentError(
            f"{self._described_()} has no graph yet.",
            repair="Model(inputs, outputs), or give a Sequential its Input first",
        )

    def tap(self, paths: Paths, name: str | None = None) -> Model:
        """Return a model of inner tensors, on the same layers: outputs in the nest of ``paths``, or a dict for a selector.

        Args:
            paths: paths of tensors in a nest, or a selector of layers.
            name: the new model's name.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> model.tap({"features": "body"}).output_shape
            {'features': (None, 4)}
        """
        from anabranch.models import editing  # which a description does without

        return Model(*editing.tapped(self._need_graph_(), paths), name=name)

    def between(self, start: Paths, end: Paths, name: str | None = None) -> Model:
        """Return the part of the model from the tensors at ``start`` to those at ``end``, on the same layers.

        Args:
            start: the path of the tensor that becomes the input, or a list of paths.
            end: the path of the tensor that becomes the output, or a list of paths.
            name: the new model's name.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> model.between("body", "head").input_shape
            (None, 4)
        """
        from anabranch.models import editing  # which a description does without

        return Model(*editing.cut(self._need_graph_(), start, end), name=name)

    @checked
    def edit(self, *edits: GraphEdit, weights: str = "shared", name: str | None = None) -> Model:
        """Return a new model after ``edits`` (see :mod:`anabranch.edit`), all applied before anything is built.

        Untouched layers keep name, ``trainable`` and weights: ``"shared"`` with this model, or ``"copied"``. Where a weight
        does not fit any more, its layer is recreated with those that do, and a warning says so.

        Args:
            edits: what to change.
            weights: ``"shared"`` or ``"copied"``.
            name: the new model's name; this model's where None.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> from anabranch import edit
            >>> [layer.name for layer in model.edit(edit.insert_after("body", layers.Dropout(0.5))).layers]
            ['input_layer', 'body', 'dropout', 'head']
        """
        from anabranch.models import editing  # which a description does without

        return cast("Model", editing.edited(self, self._need_graph_(), edits, weights, name))

    @checked
    def quantize(
        self,
        mode: str | None = None,
        config: QuantizationConfig | str | None = None,
        filters: str | Sequence[str] | Callable[[Any], bool] | None = None,
        *,
        type_check: bool = True,
    ) -> None:
        """Hold the matrices of all layers that have ``quantize`` as integers from now on; ``edit.quantize`` of a new model.

        Args:
            mode: ``"int8"`` or ``"int4"``; None: that of ``config``.
            config: the settings of the mode; None: its defaults.
            filters: regular expressions, one of which is found in a layer's name, or a function of a layer; None: all layers.
            type_check: whether layers of classes of your own stay as they are.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, name="body")(x)))
            >>> model.quantize("int8", filters="body")
            >>> [layer.dtype_policy.name for layer in model.layers]
            ['float32', 'int8_from_float32', 'float32']
        """
        from anabranch.models import quantizing  # which a description does without

        quantizing.quantize(self, mode, config, filters, type_check)

    def __copy__(self) -> Self:
        """Return a model of the same graph, layers and weights."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by data."""
        from anabranch.models import pickling  # which a description does without

        return pickling.reduced(self, self._specs_seen_())

    def _specs_seen_(self) -> _tree.Nest:
        """Return what a model whose config does not say what goes in was made for; None where it does."""
        graph = self._implicit_ if self._graph_ is None else None
        return self._seen_ if graph is None else implicit.specs_of_tensors(graph.input_structure)

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        """Return a model with layers and weights of its own."""
        if self._graph_ is not None:
            from anabranch.models import editing, pickling  # which a description does without

            twin: Model = memo.setdefault(id(self), editing.edited(self, self._need_graph_(), (), "copied", None))
            pickling.set_optimizer_state(twin, pickling.optimizer_state(self))
            return twin
        names = [key for key in ("_implicit_", "_cached_", "_code_", "_training_code_") if key in vars(self)]  # not the twin's
        own: dict[str, Any] = {key: vars(self).pop(key) for key in names}
        try:
            return super().__deepcopy__(memo)
        finally:
            vars(self).update(own)

    # Calling

    def _bind_inputs_(self, value: _tree.Nest) -> list[Any]:
        """Return the leaves of ``value`` in the order of the model's inputs.

        Args:
            value: a nest of arrays or tensors, or a dict of them by the inputs' names.
        """
        part = self._host_part_
        value = value if part is None else part.with_arrays(value)
        if len((self._graph_ or self._need_running_graph_()).inputs) == 1 and not _tree.is_nest(value):  # as in most calls
            return [value]
        from anabranch.graph.binding import Rule, Slots, bind  # which a description does without

        return bind(value, Slots.inputs(self), Rule("inputs", _is_leaf, optional=optional_inputs(self)))

    def compute_output_shape(self, input_shape: _tree.Nest) -> _tree.Nest:
        """Return the outputs' shapes, in their nest, for a shape with the batch first or a nest of shapes.

        Args:
            input_shape: the shapes of the inputs.

        Example:
            >>> from anabranch import Input, layers
            >>> inputs = Input((None, 4))
            >>> Model(inputs, layers.Dense(2)(inputs)).compute_output_shape((8, 3, 4))
            (8, 3, 2)
        """
        check_shapes(input_shape, "input_shape of compute_output_shape")
        graph = self._graph_
        declared = [] if graph is None else [tensor.dtype for tensor in graph.inputs]
        inputs = implicit.symbolic(input_shape, itertools.chain(declared, itertools.repeat(self.dtype)))
        return map_specs(lambda spec: spec.shape, self.compute_output_spec(inputs))

    def compute_output_spec(self, inputs: _tree.Nest, *args: Any, **kwargs: Any) -> _tree.Nest:
        """Return the outputs' specs for symbolic ``inputs``; layers state their rules again where shapes differ.

        Args:
            inputs: symbolic tensors in the nest of the inputs.
            *args: further positional arguments of the call.
            kwargs: further arguments of the call.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> model.compute_output_spec(Input((8,))).shape
            (None, 2)
        """
        graph = self._graph_
        if graph is None:
            if type(self).compute_output_shape is Model.compute_output_shape:
                return runtime.infer(self, (inputs, *args), kwargs)
            return super().compute_output_spec(inputs, *args, **kwargs)
        _, kwargs = self._call_arguments_((inputs, *args), kwargs)
        if kwargs.get("mask") is not None:
            raise ArgumentError(
                "A model on symbolic tensors takes the masks that go with its inputs, no others.", got="mask=",
                repair="Masking or Embedding(mask_zero=True) before the model",
            )  # fmt: skip
        given = self._bind_inputs_(inputs)
        for tensor, declared in zip(given, graph.inputs, strict=True):
            if not isinstance(tensor, Tensor):
                raise wrong_value(tensor, f"a symbolic tensor for input {declared.name!r}")
            check_input(tensor, declared)
        given = [as_declared(tensor, declared, graph) for tensor, declared in zip(given, graph.inputs, strict=True)]
        same = all(t.spec == declared.spec for t, declared in zip(given, graph.inputs, strict=True))
        outputs = graph.outputs if same else replay(graph, given)
        return _tree.fill(graph.output_structure, [tensor.spec for tensor in outputs])

    if TYPE_CHECKING:  # a subclass's takes what it likes

        def call(self, *args: Any, **kwargs: Any) -> Any:
            """Return the outputs."""

    else:

        def call(self, inputs: _tree.Nest, training: bool | None = None) -> _tree.Nest:
            """Run the graph's layers one by one; a subclass without a graph writes its own.

            Args:
                inputs: tensors in the nest of the inputs.
                training: whether layers run as in training.

            Example:
                >>> import torch
                >>> from anabranch import Input, Model, layers
                >>> x = Input((8,))
                >>> Model(x, layers.Dense(2)(x)).call(torch.ones(3, 8)).shape
                torch.Size([3, 2])
            """
            graph = self._need_graph_()
            given, graph, _ = implicit.fed(self._host_part_, self._bind_inputs_(inputs), graph, [])
            for value in given:
                if not has_shape(value) and not (value is None and optional_inputs(self)):
                    raise wrong_value(value, "a tensor for each input")
            try:
                outputs, masks = engine.interpret(graph, given, [runtime.mask_of(x) for x in given])
            except engine.REFUSALS as error:
                if isinstance(error, AnabranchError) or runtime.is_tracing():
                    raise
                raise engine.explained(error, graph, given, bool(training)) from error
            outputs = runtime.distinct(outputs, masks)
            for output, mask in zip(outputs, masks, strict=True):
                runtime.note_mask(output, mask)
            return _tree.fill(graph.output_structure, outputs)

    def _compute_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
        if is_compiling():
            from anabranch.engine import dynamo  # torch.compile follows no package that loads late

            return dynamo.call(self, args, kwargs)
        graph = self._graph_
        if graph is not None:
            args, kwargs = self._call_arguments_(args, kwargs)
        if graph is not None and args and kwargs.get("mask") is not None:
            args, kwargs = (runtime.masked_nest(args[0], kwargs["mask"]),), {k: v for k, v in kwargs.items() if k != "mask"}
        masked = any(runtime.mask_of(leaf) is not None for leaf in _tree.leaves(args))
        if graph is None or runtime.is_tracing() or masked:
            if graph is None and self._seen_ is None and len(args) == 1 and not runtime.is_tracing():
                given = runtime.as_tensors(args[0])
                self._seen_ = implicit.specs_of(self, given) if all(map(is_array, _tree.leaves(given))) else None
            return super()._compute_(args, kwargs)
        training = bool(runtime.mode_of(self, kwargs.get("training")))
        program = engine.program(self, training)
        given = self._bind_inputs_(args[0] if args else kwargs["inputs"])
        optional = optional_inputs(self)
        given, graph, optional = implicit.fed(self._host_part_, given, graph, optional)
        inputs: list[Any] = [
            None if x is None and index in optional else runtime.as_input(x, declared, self.name)
            for index, (x, declared) in enumerate(zip(given, graph.inputs, strict=True))
        ]
        try:
            outputs, losses = program(inputs)
        except AnabranchError:
            raise
        except engine.REFUSALS as error:
            raise engine.explained(error, graph, inputs, training) from error
        runtime.take_losses(self, losses)
        return _tree.fill(graph.output_structure, outputs)

    def _call_arguments_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a call with ``training`` and ``mask`` by name; others are refused."""
        names = ("inputs", "training", "mask")
        if not args and "inputs" in kwargs:
            args, kwargs = (kwargs["inputs"],), {name: value for name, value in kwargs.items() if name != "inputs"}
        taken = names[: len(args)]
        wrong = [name for name in kwargs if name in taken or not (name in names or self._call_takes_(name))]
        flag = kwargs.get("training")
        if not (flag is None or is_boolean(flag)):
            raise ArgumentTypeError(f"training of {self._described_()} must be True, False or None.", got=shown(flag))
        mask = args[2] if len(args) > 2 else kwargs.get("mask")
        if not is_mask(mask):
            raise ArgumentTypeError(f"mask of {self._described_()} must be a boolean tensor for each input.", got=shown(mask))
        position = args[1] if len(args) > 1 else None
        if len(args) > len(names) or wrong or not args or not (position is None or is_boolean(position)):
            raise ArgumentTypeError(
                f"{self._described_()} was called with arguments that it does not take.",
                expected="model(inputs, training=None, mask=None), several inputs as one list or dict",
                got=", ".join(f"{name}=" for name in wrong) or f"{len(args)} positional arguments",
            )
        return args[:1], {**kwargs, **dict(zip(names[1:], args[1:], strict=False))}

    # Saving

    def get_config(self) -> dict[str, Any]:
        """Return the architecture as JSON in Keras's form: layers with their settings and calls; no weights.

        A subclass with a constructor of its own has the config of any layer: its constructor's arguments.

        Raises:
            ArgumentTypeError: an operation has no JSON, such as a lambda; the error says where.

        Example:
            >>> from anabranch import Input, layers
            >>> inputs = Input((4,))
            >>> Model(inputs, layers.Dense(2)(inputs)).get_config()["output_layers"]
            ['dense', 0, 0]
        """
        from anabranch.models import architecture  # which a description does without

        graph = self._graph_
        if graph is None or not architecture.takes_graph(type(self)):
            return super().get_config()
        return {"name": self.name, "trainable": self.trainable, **architecture.written(graph, _first_call)}

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Return a new model from what ``get_config`` returned, with new layers and weights.

        Args:
            config: a config of anabranch's or Keras's.
            custom_objects: the caller's own classes and functions by name.

        Example:
            >>> from anabranch import Input, layers
            >>> inputs = Input((4,))
            >>> model = Model(inputs, layers.Dense(2)(inputs))
            >>> Model.from_config(model.get_config()).count_params()
            10
        """
        from anabranch.models import architecture  # which a description does without

        if not all(key in config for key in architecture.GRAPH_KEYS):
            return super().from_config(config)
        with _custom_objects.scope(custom_objects):
            inputs, outputs = architecture.read(config, _first_call)
        others = {key: value for key, value in config.items() if key not in architecture.GRAPH_KEYS}
        return cls(inputs=inputs, outputs=outputs, **others)

    def to_json(self, **kwargs: Any) -> str:
        """Return the architecture as a JSON string, which ``models.model_from_json`` and Keras read.

        Args:
            kwargs: what ``json.dumps`` takes, such as ``indent``.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(2)])
            >>> model.to_json()[:47]
            '{"module": "keras", "class_name": "Sequential",'
        """
        import json

        return json.dumps(registry.serialize_keras_object(self), **kwargs)


Functional = Model


def _first_call(layer: Layer) -> int:
    return layer._first_call_ if isinstance(layer, Model) else 0


def _is_leaf(value: object) -> bool:
    return not _tree.is_nest(value)


def optional_inputs(model: Model) -> list[int]:
    """Return which of a model's inputs may be None: those that ``Input(optional=True)`` made."""
    return [index for index, tensor in enumerate(model._need_graph_().inputs) if tensor.node.operation._optional_]


def check_input(tensor: Tensor, declared: Tensor) -> None:
    """Raise unless a symbolic tensor fits a model's declared input."""
    if not same_but_batch(tensor.shape, declared.shape):
        raise ShapeError(
            f"Input {declared.name!r} of the model takes another shape.",
            expected=f"{declared.shape} (declared at {declared.node.site})", got=f"{tensor.shape} (made at {tensor.node.site})",
        )  # fmt: skip
