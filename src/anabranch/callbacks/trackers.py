"""Callbacks that send what was measured to experiment trackers: Weights & Biases, MLflow."""

from __future__ import annotations

from typing import Any

from anabranch._asked import is_integer, method, shown
from anabranch._errors import ArgumentError, MissingExtraError, NotReadyError
from anabranch._fields import Field, field, integer
from anabranch.callbacks.callback import Configured, Logs


def _every(value: object, owner: object, name: str) -> str | int:
    if value in ("epoch", "batch") or (is_integer(value) and value > 0):
        return value if isinstance(value, str) else int(value)
    raise ArgumentError(
        f"{name} of {type(owner).__name__} must be 'epoch', 'batch' or a number of batches.",
        expected="'epoch', 'batch' or an integer ≥ 1", got=shown(value),
    )  # fmt: skip


class Tracker(Configured):
    """Send each epoch's logs, and those of every n-th batch, to a run. Abstract."""

    log_freq: Field[str | int, str | int] = field(
        default="epoch", convert=_every, doc='``"epoch"``, ``"batch"`` for each batch too, or after how many batches.'
    )
    initial_global_step: Field[int, int] = integer(
        default=0, least=0, doc="how many batches earlier trainings of the same run sent."
    )

    def _check_(self) -> None:
        super()._check_()
        self._batches = 0

    def _connect(self) -> None:
        """Find the run, or raise."""
        raise NotImplementedError(f"{type(self).__name__} must write _connect()")

    def _send(self, scope: str, values: dict[str, float], step: int) -> None:
        """Send what was measured of an epoch or a batch, which ``scope`` says."""
        raise NotImplementedError(f"{type(self).__name__} must write _send(scope, values, step)")

    def _optimizer(self) -> Any:
        """Return the model's optimizer; None where there is none, or one that does not say its settings."""
        found = None if self.model is None else self.model.optimizer
        return None if method(found, "get_config") is None else found

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Find the run."""
        self._connect()
        self._batches = self.initial_global_step

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Send a batch's logs, where it is one of those asked for."""
        self._batches += 1
        every = 1 if self.log_freq == "batch" else self.log_freq
        if isinstance(every, int) and self._batches % every == 0:
            self._send("batch", _numbers(logs), self._batches)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Send the epoch's logs and the learning rate."""
        values, optimizer = _numbers(logs), self._optimizer()
        rate = None if optimizer is None else optimizer.learning_rate
        if rate is not None:
            values.setdefault("learning_rate", float(rate))
        self._send("epoch", values, epoch)


def _numbers(logs: Logs | None) -> dict[str, float]:
    return {name: float(value) for name, value in (logs or {}).items()}


class WandbLogger(Tracker):
    """Send epochs' logs to the run that ``wandb.init`` began, under the names of wandb's own ``WandbMetricsLogger``.

    Epochs are ``epoch/loss``, …, over ``epoch/epoch``; batches ``batch/loss``, …, over ``batch/batch_step``. wandb's own
    callback imports TensorFlow.

    Example:
        >>> WandbLogger(log_freq=100)
        WandbLogger(log_freq=100)
    """

    def _connect(self) -> None:
        try:
            import wandb
        except ImportError as error:
            raise MissingExtraError(
                "WandbLogger sends to Weights & Biases by wandb, which is not installed.", repair="pip install wandb"
            ) from error
        if wandb.run is None:
            raise NotReadyError(
                "WandbLogger has no run to send to.", expected="wandb.init(project=…) before fit", got="wandb.run is None",
                repair='wandb.init(mode="offline") writes to a folder alone',
            )  # fmt: skip
        self._run: Any = wandb.run
        for scope, step in (("epoch", "epoch/epoch"), ("batch", "batch/batch_step")):
            self._run.define_metric(step)
            self._run.define_metric(f"{scope}/*", step_metric=step)

    def _send(self, scope: str, values: dict[str, float], step: int) -> None:
        axis = "epoch" if scope == "epoch" else "batch_step"
        self._run.log({**{f"{scope}/{name}": value for name, value in values.items()}, f"{scope}/{axis}": step})


class MLflowLogger(Tracker):
    """Send epochs' logs to MLflow's active run, and the settings of the optimizer as its parameters.

    Epochs are metrics of the logs' names, with the epoch as the step; batches are ``batch_loss``, …, with the batch as the
    step. A run that ``fit`` begins, where none is active, ends with it.

    Example:
        >>> MLflowLogger("batch")
        MLflowLogger(log_freq='batch')
    """

    def _check_(self) -> None:
        super()._check_()
        self._began = False

    def _connect(self) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise MissingExtraError(
                "MLflowLogger sends to MLflow by mlflow, which is not installed.",
                repair="pip install mlflow, or mlflow-skinny and a folder or a server to write to",
            ) from error
        self._mlflow: Any = mlflow
        self._began = mlflow.active_run() is None
        if self._began:
            mlflow.start_run()
        optimizer = self._optimizer()
        if optimizer is not None:
            held = mlflow.get_run(mlflow.active_run().info.run_id).data.params  # which MLflow lets nobody change
            named = {f"optimizer_{name}": str(value)[:500] for name, value in optimizer.get_config().items()}
            mlflow.log_params({name: value for name, value in named.items() if name not in held})

    def _send(self, scope: str, values: dict[str, float], step: int) -> None:
        names = {name if scope == "epoch" else f"batch_{name}": value for name, value in values.items()}
        self._mlflow.log_metrics(names, step=step)

    def on_close(self) -> None:
        """End a run that this callback began, however ``fit`` ended."""
        if self._began:
            self._began = False
            self._mlflow.end_run()
