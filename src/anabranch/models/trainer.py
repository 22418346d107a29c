"""Training methods of a model: compile, its options, fit, evaluate, predict and the like for one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from anabranch import _process, engine, training
from anabranch._frames import bound_methods, bounded
from anabranch.layers.holding import shown
from anabranch.models.steps import Steps

if TYPE_CHECKING:
    import numpy as np

    from anabranch.callbacks import Callback, History
    from anabranch.graph import Graph
    from anabranch.losses.registry import LossLike
    from anabranch.metrics.registry import MetricLike
    from anabranch.optimizers import Optimizer
    from anabranch.optimizers.registry import OptimizerLike
    from anabranch.training.on_batch import StepFunction

    ByClass = Mapping[int, float] | Mapping[float, float]
    ClassWeight = ByClass | Mapping[str, ByClass] | None


@bound_methods
class Trainer(Steps):
    """The methods by which a model is trained; each is one line into ``training``."""

    if TYPE_CHECKING:

        def _with_graph_(self, graph: Graph) -> Trainer:
            """Return a model like this one of another graph."""

    _run_eagerly = False  # as set before ``compile``
    stop_training = False
    stop_evaluating = False
    stop_predicting = False
    history: History | None = None
    train_function: StepFunction | None = None
    test_function: StepFunction | None = None
    predict_function: Callable[[Iterable[object]], Any] | None = None

    def compile(
        self,
        optimizer: OptimizerLike = "rmsprop",
        loss: LossLike | Sequence[Any] | Mapping[str, Any] = None,
        loss_weights: float | Sequence[Any] | Mapping[str, Any] | None = None,
        metrics: MetricLike | Sequence[Any] | Mapping[str, Any] | None = None,
        weighted_metrics: MetricLike | Sequence[Any] | Mapping[str, Any] | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        remat: str | Sequence[str] | int | None = None,
    ) -> None:
        """Set the optimizer, losses and metrics to train with.

        Losses, loss weights and metrics are given once for all outputs, or nested or keyed as they are. Warns as ``lint`` does.

        Args:
            optimizer: a name (``"adam"``), an optimizer, its config, or one of ``torch.optim``.
            loss: a name (``"mse"``), a ``Loss``, a function ``f(y_true, y_pred)``, or a loss of ``torch.nn``. Outputs that a
                dict leaves out, or whose loss is None, are not trained.
            loss_weights: what each output's loss is multiplied by in the sum that is minimized.
            metrics: names, ``Metric`` objects or functions, computed without sample weights.
            weighted_metrics: the same, computed with sample weights.
            run_eagerly: run layers one by one in Python, so that a debugger stops in their ``call``; slower.
            steps_per_execution: how many steps there are between two calls of callbacks' batch hooks.
            jit_compile: True compiles the model by ``torch.compile`` at the first step, which takes tens of seconds and is
                reported in a line; ``"auto"`` never does; False also keeps a GPU from replaying captured steps.
            auto_scale_loss: wrap the optimizer in a ``LossScaleOptimizer`` where layers compute in float16.
            remat: activation checkpointing, which saves memory: the layers at these paths or patterns of paths
                (``"stage*"``, or a list) are recomputed in the backward pass. A number of bytes or ``"500MB"`` instead
                recomputes as few layers as keep what is saved for it within that, for the size of the first batch.

        Raises:
            ArgumentError: a name is unknown, or an argument does not fit the model's outputs.

        Example:
            >>> from anabranch import Input, Sequential, layers
            >>> model = Sequential([Input((2,)), layers.Dense(1)])
            >>> model.compile("sgd", loss="mse", metrics=["mae"])
            >>> model.metrics_names
            ['loss', 'mae']
        """
        self._forget_functions_()
        vars(self).pop("loss", None)
        self._compiled_ = training.compile(
            self, optimizer=optimizer, loss=loss, loss_weights=loss_weights, metrics=metrics,
            weighted_metrics=weighted_metrics, run_eagerly=run_eagerly, steps_per_execution=steps_per_execution,
            jit_compile=jit_compile, auto_scale_loss=auto_scale_loss, remat=remat,
        )  # fmt: skip
        from anabranch.insight import linting  # which a description does without

        linting.warn_of_findings(self, training.known_losses(self))

    @property
    def _training_strategy_(self) -> training.Strategy:
        """Where the model trains: on the one device of ``config.set_device``."""
        return training.SingleDevice(engine.device())

    @property
    def run_eagerly(self) -> bool:
        """Whether layers run one by one in fit, evaluate and predict, so that a debugger stops in their ``call``."""
        return self._compiled_.options.run_eagerly if self._compiled_ else self._run_eagerly

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._run_eagerly = training.boolean(value, "run_eagerly")
        if self._compiled_ is not None:
            self._compiled_.options = self._compiled_.options.replace(self._graph_, run_eagerly=self._run_eagerly)
        _process.note_change()

    @property
    def jit_compile(self) -> bool | str:
        """Whether torch.compile compiles the model: the argument of ``compile``."""
        return self._compiled_.options.jit_compile if self._compiled_ else "auto"

    @jit_compile.setter
    def jit_compile(self, value: bool | str) -> None:
        self._set_option_("jit_compile", value)

    @property
    def steps_per_execution(self) -> int:
        """How many steps there are between two calls of callbacks' batch hooks: the argument of ``compile``."""
        return self._compiled_.options.steps_per_execution if self._compiled_ else 1

    @steps_per_execution.setter
    def steps_per_execution(self, value: int) -> None:
        self._set_option_("steps_per_execution", value)

    def _as_onnx_(self) -> tuple[Any, dict[str, Any]]:
        """Return what inference computes as a ``ModelProto``, and the weights by their names in it."""
        from anabranch.exchange import exporting  # which fit does without

        return exporting.onnx_with_weights(self)

    def _set_option_(self, name: str, value: object) -> None:
        compiled = training.need_compiled(self, f"Setting {name}")
        compiled.options = compiled.options.replace(self._graph_, **{name: value})
        _process.note_change()

    @shown
    def remat(self) -> tuple[str, ...] | int:
        """Which layers the backward pass recomputes, or how many bytes may be saved; by ``compile`` or ``RematScope``."""
        return self._remat_

    @property
    def _remat_(self) -> tuple[str, ...] | int:
        """Which layers the backward pass recomputes, or how many bytes may be saved; by ``compile`` or ``RematScope``."""
        return (self._compiled_.options.remat or training.scoped(self._running_graph_)) if self._compiled_ else ()

    @property
    @bounded
    def optimizer(self) -> Optimizer | Any:
        """The optimizer of ``compile``; None before."""
        return self._compiled_.optimizer if self._compiled_ else vars(self).get(":optimizer")

    @optimizer.setter
    def optimizer(self, value: Optimizer | Any) -> None:
        if self._compiled_ is None:
            vars(self)[":optimizer"] = value
        else:
            Trainer.compile(self, **self._compiled_.arguments | {"optimizer": value})

    @shown
    def loss(self) -> object:
        """The argument ``loss`` of ``compile``."""
        return self._compiled_.given.loss if self._compiled_ else None

    @property
    @bounded
    def metrics_names(self) -> list[str]:
        """The names of what ``evaluate`` returns, in its order."""
        return training.metrics_names(self)

    def fit(
        self,
        x: object = None,
        y: object = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Callback | Sequence[object] | None = None,
        validation_split: float = 0.0,
        validation_data: object = None,
        shuffle: bool | str = True,
        class_weight: ClassWeight = None,
        sample_weight: object = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Train on data and return the history of losses and metrics.

        Arrays are shuffled by one permutation per epoch, which follows from the seed. Ctrl-C ends training after the current
        step: weights and the history of complete epochs stay, and ``history.interrupted`` is True.

        Args:
            x: arrays or tensors (N, …), nested or keyed as the model's inputs; or a ``Dataset``, a ``DataLoader``, a
                ``PyDataset``, an iterable of batches ``x``, ``(x, y)`` or ``(x, y, sample_weight)``.
            y: targets, nested or keyed as the outputs; none for sources that yield them.
            batch_size: samples per step, 32 where None. Sources that yield batches decide it themselves.
            epochs: the epoch to train up to: with ``initial_epoch=0``, how many.
            verbose: 0 silent, 1 a progress bar, 2 one line per epoch; ``"auto"`` is 1 in terminals and notebooks, else 2.
            callbacks: a ``Callback`` or a list of them.
            validation_split: the fraction of arrays, taken from their end before shuffling, to evaluate instead of training on.
            validation_data: ``(x, y)``, ``(x, y, sample_weight)`` or another source, evaluated after epochs.
            shuffle: whether samples are shuffled (batches, for sources that have an index); ``"batch"`` shuffles batches of
                arrays. A ``DataLoader`` or a generator has its own order.
            class_weight: how much samples of each class index count, 1 where it is not named; of several outputs a dict of
                such dicts.
            sample_weight: how much each sample counts, shape (N,); or one array for each output.
            initial_epoch: the epoch to begin with, counted from 0, to resume training.
            steps_per_epoch: steps per epoch, for endless sources or parts of the data; the next epoch continues.
            validation_steps: batches per validation, from the first on.
            validation_batch_size: samples per batch of validation; ``batch_size`` where None.
            validation_freq: validate after every so many epochs, or after the epochs in a list, counted from 1.

        Returns:
            The ``History``: ``history.history`` has a list with one value per epoch for each name.

        Raises:
            NotReadyError: ``compile`` was not called.
            DataError, ShapeError, DtypeError: the data do not fit the model or its losses.

        Example:
            >>> import numpy as np
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.compile("sgd", loss="mse")
            >>> history = model.fit(np.ones((4, 2)), np.zeros((4, 1)), epochs=2, verbose=0)
            >>> [round(loss, 2) for loss in history.history["loss"]]
            [4.0, 3.53]
        """
        self.history = training.fit(
            self, x, y, batch_size=batch_size, epochs=epochs, verbose=verbose, callbacks=callbacks,
            validation_split=validation_split, validation_data=validation_data, shuffle=shuffle, class_weight=class_weight,
            sample_weight=sample_weight, initial_epoch=initial_epoch, steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps, validation_batch_size=validation_batch_size, validation_freq=validation_freq,
        )  # fmt: skip
        return self.history

    @overload
    def evaluate(
        self, x: object = ..., y: object = ..., batch_size: int | None = ..., verbose: int | str = ...,
        sample_weight: object = ..., steps: int | None = ..., callbacks: Callback | Sequence[object] | None = ..., *,
        return_dict: Literal[True],
    ) -> dict[str, float]: ...  # fmt: skip
    @overload  # a float or a list of them, as compile was given metrics or not, which no type knows
    def evaluate(
        self, x: object = ..., y: object = ..., batch_size: int | None = ..., verbose: int | str = ...,
        sample_weight: object = ..., steps: int | None = ..., callbacks: Callback | Sequence[object] | None = ...,
        return_dict: bool = ...,
    ) -> Any: ...  # fmt: skip
    def evaluate(
        self,
        x: object = None,
        y: object = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: object = None,
        steps: int | None = None,
        callbacks: Callback | Sequence[object] | None = None,
        return_dict: bool = False,
    ) -> training.Reported:
        """Return loss and metrics on data.

        Args:
            x: arrays, tensors or another source, as for ``fit``.
            y: targets, nested or keyed as the outputs.
            batch_size: samples per batch, 32 where None. Sources that yield batches decide it themselves.
            verbose: 0 silent, 1 a progress bar, 2 a line; ``"auto"`` is 1 in terminals and notebooks, else 2.
            sample_weight: how much each sample counts, shape (N,); or one array for each output.
            steps: how many batches to evaluate; all where None.
            callbacks: a ``Callback`` or a list of them.
            return_dict: return a dict by name.

        Returns:
            The loss, or where there are metrics a list in the order of ``metrics_names``, or a dict.

        Raises:
            NotReadyError, DataError, ShapeError, DtypeError: as ``fit`` does.

        Example:
            >>> import numpy as np
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.compile(loss="mse", metrics=["mae"])
            >>> model.evaluate(np.ones((4, 2)), np.zeros((4, 1)), verbose=0, return_dict=True)
            {'loss': 4.0, 'mae': 2.0}
        """
        return training.evaluate(
            self, x, y, batch_size=batch_size, verbose=verbose, sample_weight=sample_weight, steps=steps, callbacks=callbacks,
            return_dict=return_dict,
        )  # fmt: skip

    def predict(
        self,
        x: object,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Callback | Sequence[object] | None = None,
    ) -> np.ndarray[Any, Any]:
        """Return the outputs for data as NumPy arrays, in the model's output structure.

        Args:
            x: arrays, tensors or another source, as for ``fit``; targets that a source yields are ignored.
            batch_size: samples per batch, 32 where None. Sources that yield batches decide it themselves.
            verbose: 0 silent, 1 a progress bar, 2 a line; ``"auto"`` is 1 in terminals and notebooks, else 2, and silent where
                one batch holds all.
            steps: how many batches to predict; all where None.
            callbacks: a ``Callback`` or a list of them.

        Raises:
            DataError, ShapeError, DtypeError: the data do not fit the model.

        Example:
            >>> import numpy as np
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.predict(np.ones((3, 2)), verbose=0).tolist()
            [[2.0], [2.0], [2.0]]
        """
        found: np.ndarray[Any, Any] = training.predict(
            self, x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks
        )
        return found  # or a nest of arrays, which is typed as one, as a layer's several results are

    @overload
    def train_on_batch(
        self, x: object, y: object = ..., sample_weight: object = ..., class_weight: ClassWeight = ..., *,
        return_dict: Literal[True],
    ) -> dict[str, float]: ...  # fmt: skip
    @overload
    def train_on_batch(
        self, x: object, y: object = ..., sample_weight: object = ..., class_weight: ClassWeight = ..., return_dict: bool = ...
    ) -> Any: ...
    def train_on_batch(
        self,
        x: object,
        y: object = None,
        sample_weight: object = None,
        class_weight: ClassWeight = None,
        return_dict: bool = False,
    ) -> training.Reported:
        """Take one training step on one batch and return its loss and metrics, as ``evaluate`` returns them.

        Args:
            x: arrays or tensors (B, …), nested or keyed as the model's inputs.
            y: targets, nested or keyed as the outputs.
            sample_weight: how much each sample counts, shape (B,); or one array for each output.
            class_weight: as of ``fit``.
            return_dict: return a dict by name.

        Example:
            >>> import numpy as np
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.compile("sgd", loss="mse")
            >>> model.train_on_batch(np.ones((4, 2)), np.zeros((4, 1)))
            4.0
        """
        return training.train_on_batch(self, x, y, sample_weight, class_weight, return_dict)

    @overload
    def test_on_batch(
        self, x: object, y: object = ..., sample_weight: object = ..., *, return_dict: Literal[True]
    ) -> dict[str, float]: ...
    @overload
    def test_on_batch(self, x: object, y: object = ..., sample_weight: object = ..., return_dict: bool = ...) -> Any: ...
    def test_on_batch(
        self, x: object, y: object = None, sample_weight: object = None, return_dict: bool = False
    ) -> training.Reported:
        """Return loss and metrics on one batch, as ``evaluate`` returns them.

        Args:
            x: the batch, as for ``train_on_batch``.
            y: its targets, as there.
            sample_weight: how much each sample counts, as there.
            return_dict: return a dict by name.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.compile(loss="mse")
            >>> model.test_on_batch([[1.0, 1.0]], [[0.0]])
            4.0
        """
        return training.test_on_batch(self, x, y, sample_weight, return_dict)

    def predict_on_batch(self, x: object) -> np.ndarray[Any, Any]:
        """Return the outputs for one batch as NumPy arrays, in the model's output structure.

        Args:
            x: arrays or tensors (B, …), nested or keyed as the model's inputs.

        Example:
            >>> import numpy as np
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.predict_on_batch(np.ones((1, 2))).tolist()
            [[2.0]]
        """
        found: np.ndarray[Any, Any] = training.predict_on_batch(self, x)
        return found  # or a nest of arrays, which is typed as one, as a layer's several results are

    def _forget_functions_(self) -> None:
        """Have them made again when they are asked for."""
        self.train_function = self.test_function = self.predict_function = None

    def make_train_function(self, force: bool = False) -> StepFunction:
        """Return ``train_function``, for a loop of your own: it trains on the next batches of an iterator.

        Loss and metrics add up until ``reset_metrics``; they are read from the device when they are looked up.

        Args:
            force: make it again.

        Returns:
            A function of an iterator, or list, of batches (x, y) or (x, y, sample_weight), of which it takes
            ``steps_per_execution``, to loss and metrics by name.

        Example:
            >>> import numpy as np
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.compile("sgd", loss="mse")
            >>> step = model.make_train_function()
            >>> batch = np.ones((4, 2)), np.zeros((4, 1))
            >>> [round(step([batch])["loss"], 2) for _ in range(2)]
            [4.0, 3.77]
        """
        if training.boolean(force, "force") or self.train_function is None:
            self.train_function = training.step_function(self, "train_function", training=True)
        return self.train_function

    def make_test_function(self, force: bool = False) -> StepFunction:
        """Return ``test_function``, which evaluates the next batches of an iterator, as ``make_train_function`` says.

        Args:
            force: make it again.

        Example:
            >>> import numpy as np
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.compile(loss="mse")
            >>> dict(model.make_test_function()([(np.ones((4, 2)), np.zeros((4, 1)))]))
            {'loss': 4.0}
        """
        if training.boolean(force, "force") or self.test_function is None:
            self.test_function = training.step_function(self, "test_function", training=False)
        return self.test_function

    def make_predict_function(self, force: bool = False) -> Callable[[Iterable[object]], Any]:
        """Return ``predict_function``: it returns the outputs for the next batch of an iterator, as tensors.

        Args:
            force: make it again.

        Example:
            >>> import numpy as np
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.make_predict_function()([(np.ones((1, 2)),)]).tolist()
            [[2.0]]
        """
        if training.boolean(force, "force") or self.predict_function is None:
            self.predict_function = training.predict_function(self)
        return self.predict_function
