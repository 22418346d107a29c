"""What ``compile`` and ``fit`` take: losses, metrics, optimizers, schedules, callbacks."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from nonsense.target import Target, function, method
from small_model import data, made

import anabranch as ab
from anabranch import callbacks as hooks, layers, losses as loss_room, metrics as metric_room, optimizers as optimizer_room
from anabranch.optimizers import schedules

from test_every_argument import NEEDED, OPTIMIZERS, SCHEDULES, X, Y, data_of  # isort: skip

REGISTRY = ("get", "serialize", "deserialize")
ONE_HOT, SHARES = np.eye(3, dtype="float32"), np.full((3, 3), 1 / 3, "float32")
LABELS = np.arange(3)


def _labels(name: str) -> Any:
    return LABELS if "sparse" in name or "generalized" in name else ONE_HOT


def _functions(room: Any, word: str) -> Iterator[Target]:
    for name in dir(room):
        found = getattr(room, name)
        if inspect.isfunction(found) and name not in (*REGISTRY, "check_labels", "output_shape"):
            more = {"q": 0.5} if "generalized" in name else {}
            true, pred = data_of(name) if name in ("circle", "ctc") else (_labels(name), SHARES)
            right = lambda true=true, pred=pred, more=more: {"y_true": true, "y_pred": pred, **more}  # noqa: E731
            yield function(f"{word}.{name}", found, right)


def losses() -> Iterator[Target]:
    """Yield losses, as classes and functions."""
    for name in dir(loss_room):
        kind = getattr(loss_room, name)
        if isinstance(kind, type) and name != "Loss":
            needed = NEEDED.get(name, {})
            yield function(
                f"losses.{name}", kind, lambda needed=needed: needed, use=lambda made, name=name: made(*data_of(name))
            )
            yield method(
                f"losses.{name}.__call__", lambda kind=kind, needed=needed: kind(**needed),
                lambda name=name: dict(zip(("y_true", "y_pred"), data_of(name), strict=True)),
            )  # fmt: skip
    yield from _functions(loss_room, "losses")
    yield function("losses.get", loss_room.get, lambda: {"identifier": "mse"})
    yield function("losses.deserialize", loss_room.deserialize, lambda: {"name": "mse"})
    yield function("losses.serialize", loss_room.serialize, lambda: {"loss": loss_room.Huber()})


def metrics() -> Iterator[Target]:
    """Yield metrics, as classes and functions."""
    for name in dir(metric_room):
        kind = getattr(metric_room, name)
        if not isinstance(kind, type) or name == "Metric":
            continue
        needed = NEEDED.get(name, {})

        def used(metric: Any, name: str = name) -> Any:
            metric.update_state(*((SHARES,) if name in ("Mean", "Sum") else data_of(name)))
            return metric.result()

        yield function(f"metrics.{name}", kind, lambda needed=needed: needed, use=used)
        names = ("values",) if name in ("Mean", "Sum") else ("y_true", "y_pred")
        given = (SHARES,) if name in ("Mean", "Sum") else data_of(name)
        yield method(
            f"metrics.{name}.update_state", lambda kind=kind, needed=needed: kind(**needed),
            lambda names=names, given=given: dict(zip(names, given, strict=True)),
        )  # fmt: skip
    yield from _functions(metric_room, "metrics")
    yield function("metrics.get", metric_room.get, lambda: {"identifier": "mae"})
    yield function("metrics.deserialize", metric_room.deserialize, lambda: {"config": metric_room.serialize(metric_room.AUC())})
    yield function("metrics.serialize", metric_room.serialize, lambda: {"metric": metric_room.AUC()})


def trained(optimizer: Any) -> None:
    x = ab.Input((4,))
    model = ab.Model(x, layers.Dense(2)(x))
    model.compile(optimizer, "mse")
    model.fit(X[:4], Y[:4], batch_size=2, verbose=0)


def optimizers() -> Iterator[Target]:
    """Yield optimizers and schedules."""
    for name in dir(optimizer_room):
        kind = getattr(optimizer_room, name)
        if isinstance(kind, type) and name != "Optimizer":
            needed = OPTIMIZERS.get(name, {"default_optimizer": optimizer_room.SGD()} if name == "OptimizerMap" else {})
            use = None if name == "OptimizerMap" else trained
            yield function(f"optimizers.{name}", kind, lambda needed=needed: needed, use=use)
    yield function("optimizers.get", optimizer_room.get, lambda: {"identifier": "adam"})
    yield function(
        "optimizers.deserialize", optimizer_room.deserialize, lambda: {"config": optimizer_room.serialize(optimizer_room.SGD())}
    )
    yield function("optimizers.serialize", optimizer_room.serialize, lambda: {"optimizer": optimizer_room.SGD()})
    for name, given in SCHEDULES.items():
        kind = getattr(schedules, name)
        yield function(
            f"optimizers.schedules.{name}",
            kind,
            lambda given=given: given,
            use=lambda made: [float(made(step)) for step in range(30)],
        )
        yield function(f"optimizers.schedules.{name}()", kind(**given), lambda: {"step": 3})
    yield function(
        "optimizers.schedules.deserialize",
        schedules.deserialize,
        lambda: {"config": schedules.serialize(schedules.CosineDecay(0.1, 5))},
    )
    yield function("optimizers.schedules.serialize", schedules.serialize, lambda: {"schedule": schedules.CosineDecay(0.1, 5)})

    def rate(learning_rate: Any = 0.1) -> None:
        optimizer = optimizer_room.SGD()
        optimizer.learning_rate = learning_rate
        trained(optimizer)

    yield function("optimizers.SGD.learning_rate=", rate)
    for word in ("apply", "apply_gradients", "build"):
        yield from _updates(word)


def _updates(word: str) -> Iterator[Target]:
    def right() -> dict[str, Any]:
        layer = layers.Dense(1)
        layer.build((None, 2))
        gradients = [torch.ones(1, 2), torch.ones(1)]  # in torch's layout
        pairs = {"grads_and_vars": list(zip(gradients, layer.trainable_weights, strict=True))}
        return {"apply": {"grads": gradients, "trainable_variables": layer.trainable_weights}, "apply_gradients": pairs,
                "build": {"weights": layer.trainable_weights}}[word]  # fmt: skip

    yield method(f"optimizers.Optimizer.{word}", optimizer_room.SGD, right)


CALLBACKS: dict[str, dict[str, Any]] = {
    "BackupAndRestore": {"backup_dir": "run"},
    "CSVLogger": {"filename": "log.csv"}, "LearningRateScheduler": {"schedule": lambda epoch: 0.1},
    "ModelCheckpoint": {"filepath": "best.safetensors", "monitor": "loss", "save_weights_only": True},
    "TensorBoard": {"log_dir": "logs", "embeddings_metadata": {"words": "names.tsv"}},
    "EarlyStopping": {"monitor": "loss"}, "ReduceLROnPlateau": {"monitor": "loss"},
}  # fmt: skip


def callbacks() -> Iterator[Target]:
    """Yield callbacks, used in a fit."""

    def fitted(callback: Any) -> None:
        made(ab).fit(*data(8), epochs=2, verbose=0, callbacks=[callback])

    for name in sorted({*dir(hooks)} - {"WandbLogger", "MLflowLogger"}):
        kind = getattr(hooks, name)
        given = CALLBACKS.get(name, {})
        use = fitted if name != "CallbackList" else lambda made: made.on_train_begin()
        yield function(f"callbacks.{name}", kind, lambda given=given: given, use=use)
