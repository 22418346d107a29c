"""Sequential: a model whose layers follow each other; its graph is made when the input is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from anabranch import _custom_objects, _tree, registry, runtime
from anabranch._arguments import checked
from anabranch._asked import has_shape, name_of, shown
from anabranch._docstrings import described
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, GraphError, NoGraphError, OutOfRangeError
from anabranch._frames import bound_methods
from anabranch.graph import Graph, Spec, Tensor, call_site, outputs_of
from anabranch.graph.shapes import check_shapes, same_but_batch
from anabranch.layers.base import Layer
from anabranch.layers.core import Input, InputLayer
from anabranch.models import architecture, implicit
from anabranch.models.model import Model

if TYPE_CHECKING:
    from anabranch.runtime import Tensor as AnyTensor


@bound_methods
class Sequential(Model):
    """Layers in a row: each takes what the one before gives.

    Args:
        layers: layers, the first of which may be ``Input(...)``; without one, the shape comes with the first data.
        name: the model's name.
        trainable: whether training changes the weights.

    Example:
        >>> from anabranch import Sequential, layers
        >>> Sequential([layers.Input((4,)), layers.Dense(2)]).output_shape
        (None, 2)
    """

    _first_call_: ClassVar[int] = 0
    _in_a_row_: ClassVar[bool] = True

    def __init__(
        self, layers: Sequence[Layer | AnyTensor] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._row: list[Layer] = []
        self._source: _tree.Nest = None  # the symbolic tensor that it begins with
        self._end: _tree.Nest = None
        self._undeclared = True  # whether the source has the sizes of data, so that those of other data fit as well
        if layers is not None and not isinstance(layers, (list, tuple)):
            raise ArgumentTypeError("Sequential takes a list of layers.", got=repr(layers), repair="Sequential([layer, …])")
        for layer in layers or ():
            self.add(layer)

    @classmethod
    def _class_base_name_(cls) -> str:
        return "sequential" if cls is Sequential else super()._class_base_name_()

    @checked
    def add(self, layer: Layer | AnyTensor, rebuild: bool = True) -> None:
        """Append a layer; the first may be what ``Input(...)`` gave.

        Args:
            layer: the layer, or what ``Input(...)`` gave.
            rebuild: taken as in Keras; the graph is made when it is next asked for.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential()
            >>> model.add(layers.Input((4,)))
            >>> model.add(layers.Dense(2))
            >>> model.output_shape
            (None, 2)
        """
        given: object = layer
        if isinstance(given, Tensor) and not given.node.inputs:
            given = given.node.operation
        if not isinstance(given, Layer):
            raise self._no_layer(given)
        layer = given
        if self in layer._inner_layers_():
            itself = "itself" if layer is self else f"{layer.name!r}, which holds it"
            raise GraphError(
                f"{self._described_()} cannot hold {itself}: the graph would run in a circle.", where=str(call_site()),
                repair="call it a second time: y = model(model(x)); or add a copy: models.clone_model(model)",
            )  # fmt: skip
        if isinstance(layer, InputLayer):
            if self._row or self._source is not None:
                raise ArgumentError("Only the first member of a Sequential can be an Input.", got=repr(layer))
            self._begin(layer.output)
            return
        if self._source is None and not self._row and layer._first_shape_ is not None:
            self._begin(Input(batch_shape=layer._first_shape_))
        if self._source is None and not self._row and layer._begins_with_ is not None:
            self._begin(Input(batch_shape=layer._begins_with_.shape, dtype=layer._begins_with_.dtype))
        if self._source is None and not self._row and layer._graph_ is not None:
            inner = layer._graph_.inputs
            if len(inner) == 1:
                self._begin(Input(batch_shape=inner[0].shape, dtype=inner[0].dtype))
                self._undeclared = isinstance(layer, Sequential) and layer._undeclared
        if self._source is not None:
            self._end = layer(self._end)
        self._row.append(layer)
        self._own_graph_ = None
        self.built = self._source is not None

    def _begin(self, source: _tree.Nest) -> None:
        self._source = self._end = source
        self._undeclared = False

    def _no_layer(self, value: object) -> ArgumentTypeError:
        repair: str | None
        got = repr(value) if isinstance(value, Tensor) else f"{type(value).__name__}: {value!r}"[:90]
        if isinstance(value, type):
            repair, got = f"make one: {value.__name__}(…)", f"the class {value.__name__}"
        elif isinstance(value, Tensor):
            repair = "the layer itself, not called; a graph that is not a row is Model(inputs, outputs)"
        else:
            repair = f"Lambda({name_of(value, 'function')})" if callable(value) else None
        return ArgumentTypeError("A Sequential holds layers.", got=got, where=str(call_site()), repair=repair)

    @checked
    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer and return it.

        Args:
            rebuild: taken as in Keras; the graph is made when it is next asked for.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(2), layers.ReLU()])
            >>> model.pop().name, len(model.layers)
            ('re_lu', 1)
        """
        if not self._row:
            raise OutOfRangeError("There is no layer to pop.", got="an empty Sequential")
        layer = self._row.pop()
        self._own_graph_ = None
        if self._source is not None:
            self._connect(self._source)
        return layer

    def _connect(self, source: object) -> None:
        self._source = self._end = source
        for layer in self._row:
            self._end = layer(self._end)
        self._own_graph_ = None
        self.built = bool(self._row)

    @property
    def _graph_(self) -> Graph | None:
        """The graph inside, once the input is known."""
        if self._own_graph_ is None and self._source is not None and self._row:
            self._own_graph_ = Graph(self._source, self._end)
            self._claim_layers_()
        return self._own_graph_

    @property
    def layers(self) -> list[Layer]:
        """The layers in their order, without the Input, as in Keras."""
        _ = self._graph_  # names the layers, once the input is known
        return list(self._row)

    def _with_graph_(self, graph: Graph) -> Model:
        """Return a Sequential of another graph, or a Model where that is no row of layers any more.

        Args:
            graph: the graph.
        """
        row = _row_of(graph)
        if row is None:
            return Model(graph.input_structure, graph.output_structure, name=self._explicit_name_)
        twin = cast("Sequential", super()._with_graph_(graph))
        twin._row, twin._source, twin._end = row, graph.inputs[0], graph.output_structure
        return twin

    @property
    def _follows_data_(self) -> bool:
        """Whether the graph may change with the data: where no Input declares what goes in."""
        return self._undeclared

    def build(self, input_shape: _tree.Nest = None) -> None:
        """Connect the layers for an input of ``input_shape``, the batch first, or a nest of such shapes.

        Args:
            input_shape: the shape, the batch first, or a list or dict of shapes.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(2)])
            >>> model.build((None, 4))
            >>> model.count_params()
            10
        """
        if input_shape is None:
            raise ArgumentError("build needs the shape of the input.", expected="(None, …)", got="None")
        check_shapes(input_shape, "input_shape of build")
        if self._source is None:
            self._connect_to(implicit.specs_of_shapes(self, input_shape))

    def _connect_to(self, specs: _tree.Nest) -> None:
        if isinstance(specs, Spec):
            dtype = "int32" if self._row and type(self._row[0]).__name__ == "Embedding" else None
            self._connect(Input(batch_shape=specs.shape, dtype=dtype))
        else:
            self._connect(implicit.inputs_for(specs))

    def _follow_(self, x: object) -> None:
        """Connect the layers for data ``x``; where they are, and no Input declares sizes, let them fit those of ``x`` too.

        Args:
            x: an array or tensor (B, …), or a nest of them where the first layer takes one.
        """
        if not self._undeclared:
            return
        specs = implicit.specs_of(self, x)
        if self._source is None:
            self._connect_to(specs)
            return
        known = self._source, self._end, self._own_graph_
        before = implicit.specs_of_tensors(self._source)
        fitting = implicit.opened(before, specs)
        if fitting is None or fitting is before:
            return  # whoever binds the data says what does not fit
        try:
            self._connect(implicit.inputs_for(specs))  # a layer that was built for another size says so
            self._connect(implicit.inputs_for(fitting))
        except AnabranchError:  # a layer that cannot do without the size
            self._source, self._end, self._own_graph_ = known

    def get_config(self) -> dict[str, Any]:
        """Return the architecture as JSON in Keras's form: the layers with their settings; no weights.

        Example:
            >>> from anabranch.layers import Flatten
            >>> Sequential([Input((4,)), Flatten()]).get_config()["build_input_shape"]
            [None, 4]
        """
        if type(self).__init__ is not Sequential.__init__:
            return Layer.get_config(self)
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype_policy.name}
        names = {} if self._graph_ is None else self._graph_.names
        entries = [registry.serialize(layer) for layer in self._row]
        for layer, entry in zip(self._row, entries, strict=True):
            if layer in names:  # the layer alone does not know its number
                entry["config"]["name"] = names[layer]
        if self._source is None:
            return {**config, "layers": entries}
        if not isinstance(self._source, Tensor):  # written with the data's nest
            return {**config, "layers": entries}
        source = architecture.input_entry(self._source, self._source.name)
        return {**config, "layers": [source, *entries], "build_input_shape": list(self._source.shape)}

    @classmethod
    @described(Model.from_config)
    @checked
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Return a new Sequential from what ``get_config`` returned, with new layers and weights.

        Example:
            >>> from anabranch.layers import Flatten
            >>> model = Sequential([Input((4,)), Flatten()])
            >>> [layer.name for layer in Sequential.from_config(model.get_config()).layers]
            ['flatten']
        """
        if cls.__init__ is not Sequential.__init__:
            return cls(**config)
        if not isinstance(config.get("layers"), list):
            raise ArgumentError("The config of a Sequential has a list of layers.", got=shown(config))
        with _custom_objects.scope(custom_objects):
            layers = [architecture.layer_from(entry) for entry in config["layers"]]
        model = cls(layers, name=config.get("name"), trainable=config.get("trainable", True))
        shape = config.get("build_input_shape")
        if shape is not None and model._source is None and layers:
            model.build(tuple(shape))
        return model

    def _not_built_(self) -> Exception:
        return NoGraphError(
            f"{self._described_()} does not know the shape of its input yet, so it has no graph and no weights.",
            expected="an Input as its first member, data, or build((None, …))",
            repair="Sequential([Input((…)), …])",
        )

    def _specs_seen_(self) -> _tree.Nest:
        known = self._source is None or isinstance(self._source, Tensor)
        return None if known else implicit.specs_of_tensors(self._source)

    def compute_output_shape(self, input_shape: _tree.Nest) -> _tree.Nest:
        """Return the output's shape for ``input_shape``, the batch first; layers that are not connected stay so.

        Args:
            input_shape: the shape.

        Example:
            >>> from anabranch import layers
            >>> Sequential([layers.Dense(3), layers.Dense(2)]).compute_output_shape((None, 4))
            (None, 2)
        """
        if self._graph_ is not None:
            return super().compute_output_shape(input_shape)
        for layer in self._row:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def compute_output_spec(self, inputs: _tree.Nest, *args: Any, **kwargs: Any) -> _tree.Nest:
        """Return the output's spec, connecting the layers first where that is still to do.

        Args:
            inputs: a symbolic tensor.
            *args: further positional arguments of the call.
            kwargs: further arguments of the call.

        Example:
            >>> from anabranch import Sequential, layers
            >>> Sequential([layers.Dense(2)]).compute_output_spec(layers.Input((4,))).shape
            (None, 2)
        """
        self._follow_(implicit.specs_of_tensors(inputs))
        return super().compute_output_spec(inputs, *args, **kwargs)

    def _compute_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _tree.Nest:
        if self._undeclared and (self._source is None or not runtime.is_tracing()):
            args, kwargs = self._call_arguments_(args, kwargs)
            if not self._fits(args[0]):
                args = (runtime.as_tensors(args[0]),)
                self._follow_(args[0])
        return super()._compute_(args, kwargs)

    def _fits(self, x: object) -> bool:
        """Return whether the graph takes one array, as at most calls."""
        return isinstance(self._source, Tensor) and has_shape(x) and same_but_batch(tuple(x.shape), self._source.shape)


def _row_of(graph: Graph) -> list[Layer] | None:
    """Return the layers of a graph where each takes what the one before gives, None for any other graph."""
    row: list[Layer] = []
    last = _keys(graph.input_structure)
    for node in graph.nodes:
        if not node.inputs:
            continue
        if not isinstance(node.operation, Layer) or node.kwargs or len(node.args) != 1 or _keys(node.args[0]) != last:
            return None
        row.append(node.operation)
        last = _keys(outputs_of(node))
    return row if _keys(graph.output_structure) == last and len(graph.inputs) == 1 else None


def _keys(nest: object) -> list[Any]:
    return [leaf.key for leaf in _tree.leaves(nest) if isinstance(leaf, Tensor)]
