"""Model: a graph with a name, and one line for each thing that can be done with it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anabranch import _tree, compute, config, engine, insight, storage, training
from anabranch._errors import AnabranchError, ArgumentError, GraphError, ShapeError, unknown
from anabranch.graph import Graph, Home, Rule, Slots, Tensor, bind, replay
from anabranch.graph.names import name_operations
from anabranch.graph.paths import operation_at, place_of, select
from anabranch.graph.shapes import same
from anabranch.layers.base import Layer
from anabranch.layers.core import InputLayer
from anabranch.models import editing

if TYPE_CHECKING:
    from anabranch.callbacks import History


class Model(Layer):
    """A network: the graph between ``inputs`` and ``outputs``; can be run, trained, summarised, saved, called like a layer.

    Args:
        inputs: a symbolic tensor or a nest (list, tuple, dict) of them.
        outputs: the same.
        name: the model's name.
    """

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, trainable: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(name=name, trainable=trainable, **kwargs)
        self._graph: Graph | None = None
        self._compiled: training.Compiled | None = None
        self.stop_training = False
        self.history: History | None = None
        if inputs is not None or outputs is not None:
            try:
                self._graph = Graph(inputs, outputs)
            except GraphError as error:
                self._graph = Graph(*editing.connected(inputs, outputs, error))
            self._adopt_layers()
            self.built = True

    @classmethod
    def _base_name(cls) -> str:
        return "functional" if cls is Model else super()._base_name()

    def with_graph(self, graph: Graph) -> Model:
        """Return a model like this one with another graph: its name, class and attributes, not compiled."""
        twin = copy.copy(self)
        twin._graph, twin._compiled, twin.history, twin.calls = graph, None, None, []
        twin._home = Home(self._home.path)
        twin._adopt_layers()
        return twin

    def _adopt_layers(self) -> None:
        for source in self._need_graph().inputs:
            if isinstance(source.node.operation, InputLayer):
                source.node.operation.models.add(self)
        new = [
            (layer, name) for layer, name in self._need_graph().names.items() if isinstance(layer, Layer) and not layer.adopted
        ]
        if new:
            ordinal = config.next_adoption()
            for layer, name in new:
                layer.adopt(ordinal, name)

    # The graph

    @property
    def graph(self) -> Graph | None:
        """The graph inside."""
        return self._graph

    def _need_graph(self) -> Graph:
        graph = self.graph
        if graph is None:
            raise self._not_built()
        return graph

    def _not_built(self) -> Exception:
        return ArgumentError(
            f"{self._described()} has no graph yet.",
            repair="Model(inputs, outputs), or give a Sequential its Input first",
        )

    def sublayers(self) -> list[Layer]:
        """Return the layers of the graph in Keras's order."""
        return self.layers

    @property
    def layers(self) -> list[Layer]:
        """The layers of the graph, in Keras's order: by distance from the outputs, farthest first."""
        graph = self.graph
        return super().sublayers() if graph is None else [o for o in graph.operations if isinstance(o, Layer)]

    @property
    def inputs(self) -> list[Tensor]:
        """The symbolic tensors that go in, flat."""
        return list(self._need_graph().inputs)

    @property
    def outputs(self) -> list[Tensor]:
        """The symbolic tensors that come out, flat."""
        return list(self._need_graph().outputs)

    @property
    def input_structure(self) -> Any:
        """The inputs in the nest they were given in."""
        return self._need_graph().input_structure

    @property
    def output_structure(self) -> Any:
        """The outputs in the nest they were given in."""
        return self._need_graph().output_structure

    @property
    def input(self) -> Any:
        """The inputs in the nest they were given in."""
        return self.input_structure

    @property
    def output(self) -> Any:
        """The outputs in the nest they were given in."""
        return self.output_structure

    @property
    def input_shape(self) -> Any:
        """The inputs' shapes, in their nest."""
        return _tree.map_leaves(lambda tensor: tensor.shape, self.input_structure)

    @property
    def output_shape(self) -> Any:
        """The outputs' shapes, in their nest."""
        return _tree.map_leaves(lambda tensor: tensor.shape, self.output_structure)

    @property
    def input_names(self) -> list[str]:
        """What the inputs are called: the keys of a dict, else the names of the Inputs."""
        return self._names(self.input_structure)

    @property
    def output_names(self) -> list[str]:
        """What the outputs are called: the keys of a dict, else the names of the layers that give them."""
        return self._names(self.output_structure)

    def _names(self, structure: Any) -> list[str]:
        if isinstance(structure, dict) and not any(_tree.is_nest(value) for value in structure.values()):
            return list(structure)
        names = self._need_graph().names
        return [names.get(tensor.node.operation, tensor.name) for tensor in _tree.leaves(structure)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return the layer of that name, or at that place in ``layers``."""
        if (name is None) == (index is None):
            raise ArgumentError("get_layer takes a name or an index.", got=f"name={name!r}, index={index!r}")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ArgumentError("No layer has that index.", expected=f"0 to {len(layers) - 1}", got=str(index))
            return layers[index]
        graph = self.graph
        names = name_operations(layers) if graph is None else graph.names
        for layer in layers:
            if names[layer] == name:
                return layer
        raise unknown("layer", str(name), names.values(), of=repr(self.name))

    def __getitem__(self, path: str) -> Any:
        """Return the layer at a path, such as ``model["backbone/conv2d"]``."""
        return operation_at(self._need_graph(), path)

    def select(self, selector: Any) -> dict[str, Any]:
        """Return layers by path: those of a type, of a name pattern, or for which a predicate holds; nested models' too."""
        return select(self._need_graph(), selector)

    def tensor(self, path: str) -> Tensor:
        """Return the symbolic tensor at a path: ``"conv2d"``, ``"shared@2"`` for the third call, ``"split:1"``."""
        return place_of(self._need_graph(), path).tensor()

    def tap(self, paths: Any, name: str | None = None) -> Model:
        """Return a model of inner tensors, on the same layers: outputs in the nest of ``paths``, or a dict for a selector."""
        return Model(*editing.tapped(self._need_graph(), paths), name=name)

    def between(self, start: Any, end: Any, name: str | None = None) -> Model:
        """Return the part of the model from the tensors at ``start`` to those at ``end``, on the same layers."""
        return Model(*editing.cut(self._need_graph(), start, end), name=name)

    def edit(self, *edits: Any, weights: str = "shared", name: str | None = None) -> Any:
        """Return a new model after ``edits`` (see :mod:`anabranch.edit`), all applied before anything is built.

        Untouched layers keep name, ``trainable`` and weights: ``"shared"`` with this model, or ``"copied"``. Where a weight
        does not fit any more, its layer is made anew with those that do, and a warning says so.
        """
        return editing.edited(self, self._need_graph(), edits, weights, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Return a model with layers and weights of its own."""
        return super().__deepcopy__(memo) if self.graph is None else memo.setdefault(id(self), self.edit(weights="copied"))

    def diff(self, other: Model) -> Any:
        """Return what differs in ``other``: layers added, removed, changed, rewired; printed, a list of lines."""
        return insight.diff(self, other)

    # Calling

    def bind_inputs(self, value: Any) -> list[Any]:
        """Return the leaves of ``value`` in the order of the model's inputs."""
        return bind(value, Slots.inputs(self), _INPUTS)

    def compute_output_spec(self, inputs: Any, **kwargs: Any) -> Any:
        """Return the outputs' specs for symbolic ``inputs``; layers state their rules again where shapes differ."""
        graph = self.graph
        if graph is None:
            return super().compute_output_spec(inputs, **kwargs)
        given = self.bind_inputs(inputs)
        for tensor, declared in zip(given, graph.inputs, strict=True):
            check_input(tensor, declared)
        same = all(t.spec == declared.spec for t, declared in zip(given, graph.inputs, strict=True))
        outputs = graph.outputs if same else replay(graph, given)
        return _tree.fill(graph.output_structure, [tensor.spec for tensor in outputs])

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the graph's layers one by one; a subclass without a graph writes its own."""
        graph = self._need_graph()
        return _tree.fill(graph.output_structure, engine.interpret(graph, self.bind_inputs(inputs)))

    def _compute(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        graph = self.graph
        masked = any(compute.mask_of(leaf) is not None for leaf in _tree.leaves(args))
        if graph is None or compute.is_recording() or masked:
            return super()._compute(args, kwargs)
        training = bool(compute.is_training() if kwargs.get("training") is None else kwargs["training"])
        program = engine.program(self, training)
        given = self.bind_inputs(args[0] if args else kwargs["inputs"])
        inputs = [compute.as_input(x, declared, self.name) for x, declared in zip(given, graph.inputs, strict=True)]
        try:
            outputs, _ = program(inputs)
        except AnabranchError:
            raise
        except (RuntimeError, IndexError) as error:
            raise engine.explained(error, graph, inputs, training) from error
        return _tree.fill(graph.output_structure, outputs)

    def to_torch(self) -> Any:
        """Return a plain ``torch.nn.Module`` of flat, readable code that shares this model's weights."""
        return engine.to_torch(self)

    # Training

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how to train: optimizer, losses, metrics, by name or object, for one output or keyed as the outputs are."""
        self._compiled = training.compile(
            self, optimizer=optimizer, loss=loss, loss_weights=loss_weights, metrics=metrics,
            weighted_metrics=weighted_metrics, run_eagerly=run_eagerly, steps_per_execution=steps_per_execution,
            jit_compile=jit_compile, auto_scale_loss=auto_scale_loss,
        )  # fmt: skip

    @property
    def optimizer(self) -> Any:
        """The optimizer that ``compile`` was given."""
        return self._compiled.optimizer if self._compiled else None

    @property
    def loss(self) -> Any:
        """The loss that ``compile`` was given."""
        return self._compiled.loss if self._compiled else None

    @property
    def metrics(self) -> list[Any]:
        """The metrics in use."""
        return self._compiled.metrics if self._compiled else []

    @property
    def metrics_names(self) -> list[str]:
        """The names under which ``evaluate`` reports."""
        return self._compiled.metrics_names if self._compiled else []

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | list[int] = 1,
    ) -> History:
        """Train on ``x`` and ``y`` for ``epochs`` passes and return the history of losses and metrics."""
        self.history = training.fit(
            self, x, y, batch_size=batch_size, epochs=epochs, verbose=verbose, callbacks=callbacks,
            validation_split=validation_split, validation_data=validation_data, shuffle=shuffle, class_weight=class_weight,
            sample_weight=sample_weight, initial_epoch=initial_epoch, steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps, validation_batch_size=validation_batch_size, validation_freq=validation_freq,
        )  # fmt: skip
        return self.history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Return loss and metrics on ``x`` and ``y``: a number, a list in the order of ``metrics_names``, or a dict."""
        return training.evaluate(
            self, x, y, batch_size=batch_size, verbose=verbose, sample_weight=sample_weight, steps=steps, callbacks=callbacks,
            return_dict=return_dict,
        )  # fmt: skip

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return the outputs for ``x`` as NumPy arrays in the model's output structure."""
        return training.predict(self, x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Take one training step on one batch and return loss and metrics."""
        return training.train_on_batch(
            self, x, y, sample_weight=sample_weight, class_weight=class_weight, return_dict=return_dict
        )

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Return loss and metrics on one batch."""
        return training.test_on_batch(self, x, y, sample_weight=sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch as NumPy arrays."""
        return training.predict_on_batch(self, x)

    def reset_metrics(self) -> None:
        """Forget what the metrics have seen."""
        for metric in self.metrics:
            metric.reset_state()

    # Looking

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: tuple[str, str] | None = None,
    ) -> None:
        """Print the table of layers: type, output shape, parameters, connections."""
        insight.summary(
            self, line_length=line_length, positions=positions, print_fn=print_fn, expand_nested=expand_nested,
            show_trainable=show_trainable, layer_range=layer_range,
        )  # fmt: skip

    # Keeping

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights to a ``.safetensors`` file, by path."""
        storage.save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath: Any) -> None:
        """Read the weights from a ``.safetensors`` file, by path and shape."""
        storage.load_weights(self, filepath)


_INPUTS = Rule("inputs", lambda value: not _tree.is_nest(value))


def check_input(tensor: Tensor, declared: Tensor) -> None:
    """Raise unless a symbolic tensor fits a model's declared input."""
    if not same(tensor.shape, declared.shape):
        raise ShapeError(
            f"Input {declared.name!r} of the model takes another shape.",
            expected=f"{declared.shape} (declared at {declared.node.site})", got=f"{tensor.shape} (made at {tensor.node.site})",
        )  # fmt: skip
