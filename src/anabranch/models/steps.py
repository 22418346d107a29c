"""The steps of training, evaluation and prediction: the methods that a subclass may override in plain torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch import training
from anabranch._frames import bound_methods, bounded
from anabranch.layers.base import Layer

if TYPE_CHECKING:
    from anabranch.metrics import Metric
    from anabranch.runtime import Tensor
    from anabranch.training.trainable import Trainable

_STEPS = (
    "train_step", "test_step", "predict_step", "compute_loss", "compute_metrics", "get_metrics_result", "metrics",
    "reset_metrics",
)  # fmt: skip


if TYPE_CHECKING:

    class _Model(Layer, Trainable):
        """What a model adds to this."""

        @property
        def _output_names_(self) -> list[str]: ...

        def get_build_config(self) -> dict[str, Any]: ...

else:
    _Model = Layer


@bound_methods
class Steps(_Model):
    """What a step computes; each method is one line into ``training``. Abstract: the base of Trainer."""

    _compiled_: training.Compiled | None = None

    @property
    def _overrides_(self) -> frozenset[str]:
        """Which methods of a step are a user's: written in a subclass, or set later, on the class or on the model."""
        own, kind = vars(self), type(self)
        return frozenset(name for name in _STEPS if name in own or getattr(kind, name) is not vars(Steps)[name])

    @property
    @bounded
    def metrics(self) -> list[Metric]:
        """The metrics in use: of the loss, of ``compile`` as one, of each output's loss, this model's own, those of layers."""
        return training.metrics_of(self)

    def reset_metrics(self) -> None:
        """Reset the state of all metrics.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.compile(loss="mse")
            >>> loss = model.test_on_batch([[1.0, 1.0]], [[0.0]])
            >>> model.reset_metrics()
            >>> loss, float(model.get_metrics_result()["loss"])
            (4.0, 0.0)
        """
        for metric in self.metrics:
            metric.reset_state()

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one training step and return its logs; override it for a custom step.

        Args:
            data: one batch of tensors: x, (x, y) or (x, y, sample_weight).

        Returns:
            Logs: names to numbers or scalar tensors.

        Example:
            >>> import numpy as np, torch
            >>> from anabranch import Input, Model, layers
            >>> class Custom(Model):
            ...     def train_step(self, data):
            ...         x, y = data
            ...         loss = (self(x, training=True) - y).square().mean()
            ...         self.zero_grad()
            ...         loss.backward()
            ...         weights = self.trainable_weights
            ...         self.optimizer.apply([weight.value.grad for weight in weights], weights)
            ...         return {"loss": loss}
            >>> inputs = Input((2,))
            >>> model = Custom(inputs, layers.Dense(1, kernel_initializer="ones")(inputs))
            >>> model.compile("sgd")
            >>> model.fit(np.ones((4, 2)), np.zeros((4, 1)), verbose=0).history
            {'loss': [4.0]}
        """
        return training.default_step(self, data, training=True)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch and return its logs, as ``train_step`` does; override it for a custom step.

        Args:
            data: one batch of tensors: x, (x, y) or (x, y, sample_weight).

        Example:
            >>> import torch
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.compile(loss="mse")
            >>> float(model.test_step((torch.ones(4, 2), torch.zeros(4, 1)))["loss"])
            4.0
        """
        return training.default_step(self, data, training=False)

    def predict_step(self, data: Any) -> Any:
        """Return the outputs for one batch; override it for a custom step.

        Args:
            data: one batch of tensors: x, (x, y) or (x, y, sample_weight).

        Example:
            >>> import torch
            >>> from anabranch import Sequential, layers
            >>> Sequential([layers.Rescaling(2.0)]).predict_step(torch.ones(1, 2)).tolist()
            [[2.0, 2.0]]
        """
        from anabranch.training.data import parts  # which a description does without

        return self(parts.unpack_x_y_sample_weight(data)[0], training=False)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Return the loss of one batch, a scalar: the losses of ``compile``, weighted and summed, and ``losses``.

        Override it to train with a loss of your own.

        Args:
            x: the inputs, for overriding methods; the losses of ``compile`` do not use them.
            y: targets, nested or keyed as the outputs.
            y_pred: the outputs.
            sample_weight: how much each sample counts.
            training: whether a training step asks, for overriding methods.

        Raises:
            NotReadyError: ``compile`` was not called.

        Example:
            >>> import torch
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1)])
            >>> model.compile(loss="mse")
            >>> float(model.compute_loss(y=torch.zeros(4, 1), y_pred=2 * torch.ones(4, 1)))
            4.0
        """
        return _default_loss(self, y, y_pred, sample_weight)

    def stateless_compute_loss(
        self,
        trainable_variables: Sequence[object],
        non_trainable_variables: Sequence[object],
        metrics_variables: Sequence[object],
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple[Tensor, tuple[Sequence[object], list[Tensor], Sequence[object]]]:
        """Return ``compute_loss`` with given values in the place of the weights, which stay as they are: for ``torch.func``.

        Of ``losses`` it has the penalties on weights; what layers add, ``stateless_call(return_losses=True)`` returns.

        Args:
            trainable_variables: a value for each of ``trainable_variables``, axes in Keras's order: ``weight[...]``.
            non_trainable_variables: a value for each of ``non_trainable_variables``.
            metrics_variables: a value for each of ``metrics_variables``, which no loss changes.
            x: the inputs, for overriding methods.
            y: targets, nested or keyed as the outputs.
            y_pred: the outputs.
            sample_weight: how much each sample counts.
            training: whether a training step asks, for overriding methods.

        Returns:
            The loss; and the three lists of values after it.

        Example:
            >>> import torch
            >>> from anabranch import Input, Sequential, layers
            >>> model = Sequential([Input((2,)), layers.Dense(1, use_bias=False, kernel_regularizer="l2")])
            >>> model.compile(loss="mse")
            >>> kernel = torch.ones(2, 1)
            >>> loss, state = model.stateless_compute_loss([kernel], [], [], y=torch.zeros(4, 1), y_pred=torch.zeros(4, 1))
            >>> round(float(loss), 4)
            0.02
        """
        values = trainable_variables, non_trainable_variables, metrics_variables
        return _stateless_loss(self, values, (x, y, y_pred, sample_weight, training))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the metrics of ``compile`` with one batch and return all results so far.

        Args:
            x: the inputs, for overriding methods; the metrics of ``compile`` do not use them.
            y: targets, nested or keyed as the outputs.
            y_pred: the outputs.
            sample_weight: how much each sample counts, for ``weighted_metrics``.

        Example:
            >>> import torch
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1)])
            >>> model.compile(loss="mse", metrics=["mae"])
            >>> float(model.compute_metrics(None, torch.zeros(4, 1), 2 * torch.ones(4, 1))["mae"])
            2.0
        """
        return training.default_metrics(self, y, y_pred, sample_weight)

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the results of ``metrics`` by name, as tensors.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
            >>> model.compile(loss="mse", metrics=["mae"])
            >>> found = model.test_on_batch([[1.0, 1.0]], [[0.0]])
            >>> {name: float(value) for name, value in model.get_metrics_result().items()}
            {'loss': 4.0, 'mae': 2.0}
        """
        return training.results_of(self.metrics)


def _default_loss(model: Steps, y: object, y_pred: object, sample_weight: object) -> Tensor:
    return training.default_loss(model, y, y_pred, sample_weight)


def _stateless_loss(
    model: Steps, values: tuple[Sequence[object], Sequence[object], Sequence[object]], batch: tuple[Any, ...]
) -> tuple[Tensor, tuple[Sequence[object], list[Tensor], Sequence[object]]]:
    return training.stateless_loss(model, values, batch)
