"""What a model shows of its graph: layers, tensors, shapes, names, the summary, the code that runs, its weights in a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack, cast

from anabranch import _tree, engine, exchange, insight, saving, training
from anabranch._arguments import checked
from anabranch._errors import ArgumentError, ArgumentTypeError, OutOfRangeError, unknown
from anabranch._frames import bound_methods, bounded
from anabranch.graph import Graph, Tensor
from anabranch.graph.names import name_operations
from anabranch.graph.shapes import map_shapes
from anabranch.layers.base import Layer
from anabranch.models import implicit
from anabranch.models.trainer import Trainer

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.graph.paths import Selector
    from anabranch.insight.costs.report import Cost
    from anabranch.insight.costs.sizes import InputShape
    from anabranch.insight.differences import Diff
    from anabranch.insight.drawing.drawn import Drawing, Settings
    from anabranch.insight.linting import Findings
    from anabranch.insight.sameness import Sameness
    from anabranch.insight.view.page import View


@bound_methods
class Structure(Trainer):
    """The views of a model's graph. Abstract: the base of Model."""

    _graph: Graph | None = None

    if not TYPE_CHECKING:  # else checkers would accept any name

        def __getattr__(self, name: str) -> object:
            if any(name in vars(kind) for kind in type(self).__mro__):  # a property that failed: its own error is what helps
                return object.__getattribute__(self, name)
            from anabranch.models.absent import missing  # loaded for errors alone

            raise missing(self, name)

    def _specs_seen(self) -> _tree.Nest:
        """Return what a model whose config does not say what goes in was made for; None where it does."""
        return None

    def _not_built(self) -> Exception:
        raise NotImplementedError("Model says why it has no graph")

    @property
    def graph(self) -> Graph | None:
        """The graph inside."""
        return self._graph

    def _need_graph(self) -> Graph:
        graph = self.graph
        if graph is None:
            raise self._not_built()
        return graph

    def sublayers(self) -> list[Layer]:
        """Return the layers of the graph in Keras's order.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> [layer.name for layer in model.sublayers()]
            ['input_layer', 'body', 'head']
        """
        return self.layers

    @property
    @bounded
    def layers(self) -> list[Layer]:
        """The layers of the graph, in Keras's order: by distance from the outputs, farthest first."""
        graph = self.graph
        return super().sublayers() if graph is None else [o for o in graph.operations if isinstance(o, Layer)]

    @property
    @bounded
    def inputs(self) -> list[Tensor]:
        """The symbolic tensors that go in, flat."""
        return list(self._need_graph().inputs)

    @property
    @bounded
    def outputs(self) -> list[Tensor]:
        """The symbolic tensors that come out, flat."""
        return list(self._need_graph().outputs)

    @property
    @bounded
    def input_structure(self) -> _tree.Nest:
        """The inputs in the nest they were given in."""
        return self._need_graph().input_structure

    @property
    @bounded
    def output_structure(self) -> _tree.Nest:
        """The outputs in the nest they were given in."""
        return self._need_graph().output_structure

    input, output = input_structure, output_structure

    @property
    @bounded
    def input_shape(self) -> _tree.Nest:
        """The inputs' shapes, in their nest."""
        return _tree.map_leaves(lambda tensor: tensor.shape, self.input_structure)

    @property
    @bounded
    def output_shape(self) -> _tree.Nest:
        """The outputs' shapes, in their nest."""
        return _tree.map_leaves(lambda tensor: tensor.shape, self.output_structure)

    @property
    @bounded
    def input_names(self) -> list[str]:
        """What the inputs are called: the keys of a dict, else the names of the Inputs."""
        return self._names(self.input_structure)

    @property
    @bounded
    def output_names(self) -> list[str]:
        """What the outputs are called: the keys of a dict, else the names of the layers that give them."""
        return self._names(self.output_structure)

    def _names(self, structure: object) -> list[str]:
        if isinstance(structure, dict) and not any(_tree.is_nest(value) for value in structure.values()):
            return list(structure)
        names = self._need_graph().names
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
        graph = self.graph
        names = name_operations(layers) if graph is None else graph.names
        for layer in layers:
            if names[layer] == name:
                return layer
        raise unknown("layer", str(name), names.values(), of=repr(self.name))

    def __getitem__(self, path: str) -> Layer:
        """Return the layer at a path, such as ``model["backbone/conv2d"]``."""
        from anabranch.graph.paths import operation_at  # which a description does without

        return cast("Layer", operation_at(self._need_graph(), path))  # or a function of tensors

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

        return cast("dict[str, Layer]", select(self._need_graph(), selector))  # and functions of tensors

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

        return place_of(self._need_graph(), path).tensor()

    def diff(self, other: Structure) -> Diff:
        """Return what differs in ``other``: layers added, removed, changed, rewired; printed, a list of lines.

        Args:
            other: the model to compare with.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> print(model.diff(Model(x, layers.Dense(2, name="head")(x))))
            - body  Dense (None, 4)
            ~ head  inputs: body -> input_layer
            ~ head  weights: kernel (4, 2) -> kernel (8, 2)
            1 layers are the same.
        """
        found: Diff = insight.diff(self, other)
        return found

    def same_function(self, other: Structure) -> Sameness:
        """Return whether another model computes the same function given equal weights, up to names; and what differs first.

        Args:
            other: the model to compare with.

        Example:
            >>> from anabranch import Input, Model
            >>> print(Model(x := Input((8,)), x + 1.0).same_function(Model(y := Input((8,)), 1.0 + y)))
            The models compute the same function.
        """
        found: Sameness = insight.same_function(self, other)
        return found

    def cost(
        self, batch: int | None = None, input_shape: InputShape = None, dtype: str | None = None, optimizer: Any = None
    ) -> Cost:
        """Return what the model costs, call by call and in total: products, operations, bytes, receptive fields, peak memory.

        Args:
            batch: the batch's size; None: that of the Input, or 1.
            input_shape: shape of the input without the batch, where the Input leaves sizes open; a list or dict for several.
            dtype: float type of weights and values; None: their own.
            optimizer: its name or the object, whose state is counted; None: that of ``compile``, or none.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> model.cost().macs, model.cost(batch=32).macs
            (40, 1280)
        """
        found: Cost = insight.cost(self, batch, input_shape, dtype, optimizer)
        return found

    @checked
    def lint(
        self, x: object = None, y: object = None, *, ignore: str | Collection[str] = (), select: str | Collection[str] = ()
    ) -> Findings:
        """Return what is probably wrong with the model, its losses too: findings with code, path, line, reason, repair.

        Args:
            x: data for ``fit``, or None; whether they fit is looked at as well.
            y: targets for ``fit``, or None.
            ignore: codes (``"AB401"``) or their beginnings (``"AB4"``) that are left out.
            select: codes or their beginnings that are looked for; () looks for all.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> Model(x := Input((8,)), layers.Dense(1, activation="softmax", name="head")(x)).lint()[0].what
            "Dense 'head' takes softmax over an axis of size 1, of shape (None, 1)."
        """
        self._need_graph()
        refused = () if x is None and y is None else training.refusals(self, x, y)
        losses = training.known_losses(self) if self._compiled else None
        from anabranch.insight.linting.linter import findings_of

        return findings_of(self, ignore, select, losses, refused)

    @checked
    def to_torch(self, source: str | os.PathLike[str] | None = None) -> exchange.Module:
        """Return the model as a tree of torch modules, one for each layer, that shares this model's weights.

        Args:
            source: a file, such as ``"resnet.py"``, that the code of the modules is written to; it needs torch alone.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> import torch
            >>> model.to_torch()(torch.ones(3, 8)).shape
            torch.Size([3, 2])
        """
        return exchange.to_torch(self, source)

    @checked
    def explain_execution(
        self, training: bool = False, gradients: bool | None = None, single: bool = False
    ) -> engine.Execution:
        """Return which passes rewrote the model's code where, why not elsewhere, and the code; print it to read it.

        Args:
            training: whether as run in training.
            gradients: whether as run under autograd, as training always is; None follows ``training``.
            single: whether as run for batches of one sample.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> str(model.explain_execution()).splitlines()[0]
            'inference on cpu'
        """
        found = engine.explain_execution(self, training=bool(training), gradients=gradients, single=single)
        return _with_replay(self, found, training)

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: tuple[str, str] | None = None,
        columns: Sequence[str] | None = None,
        expand_shared: bool = False,
    ) -> None:
        """Print the table of layers: type, output shape, parameters, connections, or the columns asked for.

        Args:
            line_length: the width of the table; None fits it to the terminal, or to the contents where none is printed to.
            positions: where columns end, as fractions of the width or as characters.
            print_fn: takes the text in place of ``print``.
            expand_nested: whether nested models' layers are rows too.
            show_trainable: whether a column says which layers train.
            layer_range: names of the first and the last layer to show.
            columns: of "type", "input_shape", "output_shape", "dtype", "params", "connected_to", "trainable", "macs",
                "activation_bytes", "receptive_field", "stride", "mask" and "source", which is the user's file and line.
            expand_shared: whether a layer that is called several times has a row for each call.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, activation="relu", name="body")(x)))
            >>> model.summary(print_fn=lambda text: print(text.splitlines()[0]))
            Model: "functional"
        """
        insight.summary(
            self, line_length=line_length, positions=positions, print_fn=print_fn, expand_nested=expand_nested,
            show_trainable=show_trainable, layer_range=layer_range, columns=columns, expand_shared=expand_shared,
        )  # fmt: skip

    @checked
    def view(
        self,
        path: str | os.PathLike[str] | None = None,
        open: bool = True,
        compare: Structure | None = None,
        probe: training.Probe | None = None,
    ) -> View:
        """Show the model as an interactive page, in a browser or in the notebook; it is one file and needs no network.

        Args:
            path: a file, such as ``"model.html"``, to write the page to.
            open: whether a browser opens it, outside of notebooks, which show what this returns.
            compare: a newer model to show beside this one, with what differs marked.
            probe: numbers of a batch to color by, from ``probe``.

        Returns:
            A ``View``: ``html`` is the page, ``save(path)`` writes it.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2, name="head")(x), name="small")
            >>> model.view(open=False).html.splitlines()[0]
            '<!doctype html>'
        """
        found: View = insight.page(self, compare, probe)
        return found.show(path, open)

    def draw(self, **settings: Unpack[Settings]) -> Drawing:
        """Return a drawing, which notebooks show: the trunk straight, skips around it, repeated blocks once, with ``×9``.

        Args:
            **settings: those of ``insight.draw``: ``expand_nested``, ``rankdir="LR"``, ``show_params``, ``theme="dark"`` ….

        Example:
            >>> from anabranch import Input, Model, layers
            >>> Model(x := Input((8,)), layers.Dense(2)(layers.Dense(4, activation="relu")(x))).draw()
            <Drawing of functional: 3 boxes, 2 edges>
        """
        found: Drawing = insight.draw(self, **settings)
        return found

    def _repr_html_(self) -> str:
        from anabranch.insight.drawing import notebook

        return notebook.html_of(self)

    def save(
        self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, include_optimizer: bool = True
    ) -> None:
        """Write the model to a ``.keras`` file: architecture, weights, what ``compile`` took, the optimizer's state.

        Args:
            filepath: the file, whose name ends in ``.keras``.
            overwrite: whether a file of that name is replaced; else it is an error.
            zipped: True or None; a folder in the place of a file is not written.
            include_optimizer: whether optimizer, losses and metrics are saved with it.

        Example:
            >>> from anabranch import Input, Model, layers, models
            >>> x = Input((8,))
            >>> Model(x, layers.Dense(2)(x)).save("m.keras")
            >>> models.load_model("m.keras").count_params()
            18
        """
        saving.save_model(self, filepath, overwrite, zipped, include_optimizer)

    def get_build_config(self) -> dict[str, Any]:
        """Return as JSON what goes into a model that writes its own ``call``; {} where a graph says it, or nothing does yet.

        Example:
            >>> from anabranch import Input, Model
            >>> x = Input((8,))
            >>> Model(x, x).get_build_config()
            {}
        """
        specs = None if self.graph is not None else self._specs_seen()
        return {} if specs is None else implicit.build_config(specs)

    @checked
    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Make the weights of a model that writes its own ``call``, as ``get_build_config`` said.

        Args:
            config: a config of anabranch's or Keras's.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(2)])
            >>> model.build_from_config({"input_shape": [None, 4]})
            >>> model.count_params()
            10
        """
        if config and config.get("input_shape") is not None:
            self.build(map_shapes(config["input_shape"], tuple))

    @property
    def compiled(self) -> bool:
        """Whether ``compile`` was called."""
        return self._compiled is not None

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments of ``compile`` as JSON in Keras's form; {} before ``compile``.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(2)])
            >>> model.compile("sgd", loss="mse")
            >>> model.get_compile_config()["loss"]
            'mse'
        """
        return training.compile_config(self._compiled)

    @checked
    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile the model as the JSON says that ``get_compile_config`` returned.

        Args:
            config: a config of anabranch's or Keras's.

        Example:
            >>> from anabranch import Sequential
            >>> model = Sequential()
            >>> model.compile_from_config({"optimizer": "sgd", "loss": "mse"})
            >>> model.optimizer
            SGD()
        """
        self.compile(**training.compile_arguments(config))

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """Return the values of weights, of the optimizer's variables and of metrics, nested by their paths, as Keras has them.

        Args:
            value_format: ``"backend_tensor"``: tensors, which share memory with what they show; ``"numpy_array"``: copies.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
            >>> model.get_state_tree("numpy_array")["trainable_variables"]["dense"]["kernel"].tolist()
            [[1.0]]
        """
        from anabranch.models import state_tree as states  # which a description does without

        return states.tree(self, value_format)

    @checked
    def set_state_tree(self, state_tree: Mapping[str, Any]) -> None:
        """Set what ``get_state_tree`` returned, or a part of it; nothing changes unless all names and shapes fit.

        Args:
            state_tree: values, nested by path in ``trainable_variables``, ``non_trainable_variables``,
                ``optimizer_variables``, ``metrics_variables``.

        Example:
            >>> import numpy as np
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
            >>> model.set_state_tree({"trainable_variables": {"dense": {"kernel": np.full((1, 1), 2.0)}}})
            >>> model.get_weights()[0].tolist()
            [[2.0]]
        """
        from anabranch.models import state_tree as states  # which a description does without

        states.set_tree(self, state_tree)

    def save_weights(self, filepath: str | Path, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Write the weights to a file.

        Args:
            filepath: the file, whose name ends in ``.weights.h5``, which Keras reads, or in ``.safetensors``; with
                ``max_shard_size`` the index, in ``.weights.json`` or ``.safetensors.index.json``.
            overwrite: whether a file of that name is replaced; else it is an error.
            max_shard_size: how many GB of values a file holds at most; the weights are written in as many as it takes.

        Example:
            >>> import os
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> Model(x, layers.Dense(2)(x)).save_weights("w.safetensors")
            >>> os.listdir()
            ['w.safetensors']
        """
        saving.save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath: str | Path, skip_mismatch: bool = False, by_name: bool = False) -> None:
        """Read the weights from a file, by path and shape; nothing changes unless all of them fit.

        Args:
            filepath: the file, whose name ends in ``.weights.h5`` or ``.h5``, as Keras writes it, or in ``.safetensors``; or
                the index of several.
            skip_mismatch: load what fits and warn of the rest.
            by_name: of ``.h5`` files, as Keras 2 wrote them: layers are found by their names, and others left out.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> first, second = Model(x, layers.Dense(2)(x)), Model(x, layers.Dense(2)(x))
            >>> first.save_weights("w.safetensors")
            >>> second.load_weights("w.safetensors")
        """
        saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, by_name=by_name)

    @checked
    def load_torch_weights(
        self, source: exchange.Source, mapping: Mapping[str, str | None] | None = None, skip_mismatch: bool = False
    ) -> None:
        """Read weights that were trained in torch; nothing changes unless shapes and order leave one answer for all of them.

        ``exchange.match_torch_weights`` shows what would go where.

        Args:
            source: a state dict, a torch module, or a file: ``.safetensors``, or ``.pt``, ``.pth``, ``.bin`` without code.
            mapping: the path of a weight or layer for the name of a tensor or module; None leaves that one out.
            skip_mismatch: load what fits and warn of the rest.

        Raises:
            FileFormatError: tensors are missing, left over or of another shape; all of them are listed.
            ArgumentError: they fit in more than one way.

        Example:
            >>> import torch
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2)(x))
            >>> model.load_torch_weights({"fc.weight": torch.ones(2, 8), "fc.bias": torch.zeros(2)})
            >>> model.get_weights()[0].shape
            (8, 2)
        """
        plan = exchange.match_torch_weights(self, source, mapping)
        plan.check(guesses=False, skip_mismatch=skip_mismatch)
        plan.apply(skip_mismatch=True)


def _with_replay(model: Structure, execution: engine.Execution, trains: bool) -> engine.Execution:
    return training.with_replay(model, execution, trains)
