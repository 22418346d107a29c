"""What a model has of its graph: layers, tensors, shapes and names."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from anabranch import _tree
from anabranch._arguments import checked
from anabranch._errors import ArgumentError, ArgumentTypeError, OutOfRangeError, unknown
from anabranch._frames import bound_methods, bounded
from anabranch.graph import Graph, Tensor
from anabranch.graph.call_site import warn
from anabranch.graph.names import name_operations
from anabranch.layers.base import Layer
from anabranch.layers.core import InputLayer
from anabranch.layers.holding import Absent, shown
from anabranch.models.trainer import Trainer

if TYPE_CHECKING:
    from anabranch.graph.paths import Selector


@bound_methods
class Structure(Trainer):
    """A model's graph and what is read from it. Abstract: a base of Model."""

    _own_graph_: Graph | None = None

    if not TYPE_CHECKING:  # else checkers would accept any name

        def __getattr__(self, name: str) -> object:
            held = (vars(kind).get(name) for kind in type(self).__mro__)
            if any(found is not None and not isinstance(found, Absent) for found in held):  # a property that failed says why
                return object.__getattribute__(self, name)
            from anabranch.layers.reaching import inside  # asked only for what no attribute is
            from anabranch.models.absent import missing  # loaded for errors alone

            if (found := inside(self, name)) is not None:
                return found
            raise missing(self, name)

    def _specs_seen_(self) -> _tree.Nest:
        """Return what a model whose config does not say what goes in was made for; None where it does."""
        return None

    def _not_built_(self) -> Exception:
        raise NotImplementedError("Model says why it has no graph")

    @property
    def _graph_(self) -> Graph | None:
        """The graph inside."""
        return self._own_graph_

    def _need_graph_(self) -> Graph:
        graph = self._graph_
        if graph is None:
            raise self._not_built_()
        return graph

    def _warn_of_inputs_(self) -> None:
        """Warn of an ``Input`` that no output needs, as Keras does not: what is fed there never counts.

        Those of a model that is there already are left out: ``Model(model.inputs, inner)`` cuts out a part and may need fewer.
        """
        graph = self._need_graph_()
        used = {tensor.key for node in graph.nodes for tensor in node.inputs} | {tensor.key for tensor in graph.outputs}
        for tensor in graph.inputs:
            operation = tensor.node.operation
            if tensor.key not in used and isinstance(operation, InputLayer) and not operation.models:
                warn(
                    f"No output needs {operation._error_label_()}, made at {tensor.node.site}: what is fed there will not "
                    "count. Connect it, or leave it out of the inputs."
                )

    def _sublayers_(self) -> list[Layer]:
        """Return the layers of the graph in Keras's order."""
        return self.layers

    @property
    @bounded
    def layers(self) -> list[Layer]:
        """The layers of the graph, in Keras's order: by distance from the outputs, farthest first."""
        graph = self._graph_
        return super()._sublayers_() if graph is None else [o for o in graph.operations if isinstance(o, Layer)]

    # What a model of layers shows of its graph. A model that writes its own ``call`` may have attributes of these names.

    @shown
    def graph(self) -> Graph | None:
        """The graph inside, None of a model that writes its own ``call``."""
        return self._graph_

    @shown
    def inputs(self) -> list[Tensor]:
        """The symbolic tensors that go in, flat."""
        return list(self._need_graph_().inputs)

    @shown
    def outputs(self) -> list[Tensor]:
        """The symbolic tensors that come out, flat."""
        return list(self._need_graph_().outputs)

    @property
    @bounded
    def input(self) -> _tree.Nest:
        """The inputs in the nest they were given in."""
        return self._need_graph_().input_structure

    @property
    @bounded
    def output(self) -> _tree.Nest:
        """The outputs in the nest they were given in."""
        return self._need_graph_().output_structure

    @shown
    def input_shape(self) -> _tree.Nest:
        """The inputs' shapes, in their nest."""
        return _tree.map_leaves(lambda tensor: tensor.shape, self._need_graph_().input_structure)

    @shown
    def output_shape(self) -> _tree.Nest:
        """The outputs' shapes, in their nest."""
        return _tree.map_leaves(lambda tensor: tensor.shape, self._need_graph_().output_structure)

    @shown
    def input_names(self) -> list[str]:
        """What the inputs are called: the keys of a dict, else the names of the Inputs."""
        return self._names_(self._need_graph_().input_structure)

    @shown
    def output_names(self) -> list[str]:
        """What the outputs are called: the keys of a dict, else the names of the layers that give them."""
        return self._output_names_

    @property
    def _output_names_(self) -> list[str]:
        return self._names_(self._need_graph_().output_structure)

    def _names_(self, structure: object) -> list[str]:
        if isinstance(structure, dict) and not any(_tree.is_nest(value) for value in structure.values()):
            return list(structure)
        names = self._need_graph_().names
        return [names.get(tensor.node.operation, tensor.name) for tensor in _tree.leaves(structure)]

    @checked
    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return the layer of that name, or at that position in ``layers``.

        Args:
            name: the name in this model.
            index: the position in ``layers``.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> model.get_layer("head") is model.get_layer(index=-1)
            True
        """
        if (name is None) == (index is None):
            raise ArgumentError("get_layer takes a name or an index.", got=f"name={name!r}, index={index!r}")
        layers = self.layers
        if index is not None:
            if isinstance(index, bool) or not isinstance(index, int):
                raise ArgumentTypeError("The index of a layer is an integer.", got=repr(index))
            if not -len(layers) <= index < len(layers):
                raise OutOfRangeError("No layer has that index.", expected=f"0 to {len(layers) - 1}", got=str(index))
            return layers[index]
        graph = self._graph_
        names = name_operations(layers) if graph is None else graph.names
        for layer in layers:
            if names[layer] == name:
                return layer
        raise unknown("layer", str(name), names.values(), of=repr(self.name))

    def __getitem__(self, path: str) -> Layer:
        """Return the layer at a path, such as ``model["backbone/conv2d"]``."""
        from anabranch.graph.paths import operation_at  # which a description does without

        return cast("Layer", operation_at(self._need_graph_(), path))  # or a function of tensors

    def select(self, selector: Selector) -> dict[str, Layer]:
        """Return layers by path: those of a type, of a name pattern, or for which a predicate holds; nested models' too.

        Args:
            selector: a path, pattern, type, layer, predicate, or a list of these.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> list(model.select(layers.Dense))
            ['body', 'head']
        """
        from anabranch.graph.paths import select  # which a description does without

        return cast("dict[str, Layer]", select(self._need_graph_(), selector))  # and functions of tensors

    def tensor(self, path: str) -> Tensor:
        """Return the symbolic tensor at a path: ``"conv2d"``, ``"shared@2"`` for the third call, ``"split:1"``.

        Args:
            path: the layer's path, with ``@`` and the call's index or ``:`` and the output's where it has several.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> model.tensor("body").shape
            (None, 4)
        """
        from anabranch.graph.paths import place_of  # which a description does without

        return place_of(self._need_graph_(), path).tensor()
