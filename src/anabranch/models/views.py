"""What a model shows of itself: its summary, cost, drawings, what differs, what is probably wrong, the code that runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Self, Unpack

from anabranch import engine, exchange, insight, training
from anabranch._arguments import Count, checked
from anabranch._frames import bound_methods
from anabranch.models.structure import Structure

if TYPE_CHECKING:
    from anabranch.insight.costs.report import Cost
    from anabranch.insight.costs.sizes import InputShape
    from anabranch.insight.differences import Diff
    from anabranch.insight.drawing.drawn import Drawing, Settings
    from anabranch.insight.linting import Findings
    from anabranch.insight.sameness import Sameness
    from anabranch.insight.view.page import View


@bound_methods
class Views(Structure):
    """The views of a model. Abstract: a base of Model."""

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
        self._need_graph_()
        refused = () if x is None and y is None else training.refusals(self, x, y)
        losses = training.known_losses(self) if self._compiled_ else None
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
    def apply(self, fn: Callable[[exchange.Module], None]) -> Self:
        """Call a function with each torch module of ``to_torch()``, to set values as torch's modules do; return the model.

        The modules share the weights, and are dropped afterwards: what else is done to them is refused.

        Args:
            fn: takes a module, and may change the values of its parameters in place.

        Raises:
            ArgumentError: a parameter was replaced, or a hook registered.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> import torch
            >>> x = Input((2,))
            >>> def zero(module):
            ...     if isinstance(module, torch.nn.Linear):
            ...         torch.nn.init.zeros_(module.weight)
            >>> Model(x, layers.Dense(1)(x)).apply(zero)(torch.ones(1, 2)).tolist()
            [[0.0]]
        """
        exchange.apply(self.to_torch(), fn)
        return self

    @checked
    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write what the model computes in inference as a file that runs without anabranch; sizes that are None stay free.

        Args:
            filepath: the file, ``"….pt2"`` or ``"….onnx"``.
            format: ``"torch"``, which ``torch.export.load`` reads, or ``"onnx"``, which needs ``pip install anabranch[onnx]``.
                ``"tf_saved_model"``, Keras's default, ``"litert"`` and ``"openvino"`` are refused with what writes them.
            verbose: whether a line says where it is, as it does unless given.
            input_signature: for each input an ``InputSpec`` or a tensor, whose sizes are fixed; the model's own unless given.
            **kwargs: for ``"torch"`` what ``torch.export.export`` takes, for ``"onnx"`` ``opset_version``.

        Raises:
            NotReadyError: the format is another library's.
            EngineError: torch cannot trace the model.

        Example:
            >>> import tempfile, torch
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2)(x))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.export(f"{folder}/model.pt2", format="torch", verbose=False)
            ...     torch.export.load(f"{folder}/model.pt2").module()(torch.ones(3, 8)).shape
            torch.Size([3, 2])
        """
        exchange.export(self, filepath, format, verbose, input_signature, **kwargs)

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
        training = bool(training)  # of NumPy's, or 0 or 1

        def explain() -> engine.Execution:
            return engine.explain_execution(self, training=training, gradients=gradients, single=single)

        return _with_replay(self, explain, training)

    def summary(
        self,
        line_length: Count | None = None,
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

    def probe(self, x: object, y: object = None, sample_weight: object = None, training: bool | None = None) -> training.Probe:
        """Run one batch and return the numbers inside: activations of each call, gradients along each edge, weights.

        Nothing of the model changes: weights, statistics, metrics and random generators are given back what they had.

        Args:
            x: the batch, as for ``train_on_batch``; of a source that yields batches, the first.
            y: its targets: the loss of ``compile`` gives the gradients; None for a forward pass.
            sample_weight: how much each sample counts.
            training: whether layers run as in training; None: where there are targets.

        Returns:
            A ``Probe``: ``rows``, ``edges``, ``weights``, ``loss``; ``values("zeros")`` gives a number for each call.

        Raises:
            NotReadyError: ``y`` is given, but ``compile`` was not called.
            DataError, ShapeError, DtypeError: the data do not fit the model.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(2, kernel_initializer="ones", name="body"), layers.ReLU(name="relu")])
            >>> model.compile("sgd", loss="mse")
            >>> probe = model.probe([[1.0, 2.0], [-1.0, -2.0]], [[0.0, 0.0], [0.0, 0.0]])
            >>> probe.values("zeros")["relu"], probe.loss
            (0.5, 4.5)
        """
        return _probe(self, x, y, sample_weight, training)

    def _repr_html_(self) -> str:
        from anabranch.insight.drawing import notebook

        return notebook.html_of(self)


def _with_replay(model: Structure, explain: Callable[[], engine.Execution], trains: bool) -> engine.Execution:
    return training.with_replay(model, explain, trains)


def _probe(model: Structure, x: object, y: object, sample_weight: object, mode: bool | None) -> training.Probe:
    return training.probe(model, x, y, sample_weight, mode)
