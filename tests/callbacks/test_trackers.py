"""Callbacks that send to experiment trackers: what they send, to the real packages where these are installed."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import callbacks, layers
from anabranch._errors import ArgumentError, MissingExtraError, NotReadyError

X, Y = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3), np.ones((8, 1), "float32")


def fitted(*called: Any, epochs: int = 2) -> Any:
    x = ab.Input((3,))
    model = ab.Model(x, layers.Dense(1)(x))
    model.compile(ab.optimizers.SGD(0.1), "mse")
    return model.fit(X, Y, batch_size=2, epochs=epochs, validation_data=(X, Y), verbose=0, callbacks=list(called)).history


class Run:
    """What WandbLogger asks of a run."""

    def __init__(self) -> None:
        self.sent: list[dict[str, float]] = []
        self.axes: dict[str, str | None] = {}

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self.axes[name] = step_metric

    def log(self, values: dict[str, float]) -> None:
        self.sent.append(values)


def test_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(run=run))  # type: ignore[arg-type]  # all that is asked
    history = fitted(callbacks.WandbLogger(log_freq=3, initial_global_step=1))
    epochs = [sent for sent in run.sent if "epoch/epoch" in sent]
    assert [sent["epoch/epoch"] for sent in epochs] == [0, 1]
    assert [sent["epoch/val_loss"] for sent in epochs] == pytest.approx(history["val_loss"])
    assert [sent["epoch/loss"] for sent in epochs] == pytest.approx(history["loss"])
    assert [sent["epoch/learning_rate"] for sent in epochs] == pytest.approx([0.1, 0.1])
    batches = [sent["batch/batch_step"] for sent in run.sent if "batch/batch_step" in sent]
    assert batches == [3, 6, 9], "eight batches after one of before"
    assert run.axes == {
        "epoch/epoch": None, "epoch/*": "epoch/epoch", "batch/batch_step": None, "batch/*": "batch/batch_step"
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "package"), [("WandbLogger", "wandb"), ("MLflowLogger", "mlflow")])
def test_without_the_package(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=f"pip install {package}"):
        fitted(getattr(callbacks, kind)())


def test_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("epochs", 0, -1, 1.5, None):
        with pytest.raises(ArgumentError, match="'epoch', 'batch'"):
            callbacks.WandbLogger(log_freq=wrong)  # type: ignore[arg-type]  # on purpose
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(run=None))  # type: ignore[arg-type]  # all that is asked
    with pytest.raises(NotReadyError, match=r"wandb\.init"):
        fitted(callbacks.WandbLogger())


def test_wandb_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is in no extra")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with wandb.init(project="tried", dir=str(tmp_path)) as run:
        history = fitted(callbacks.WandbLogger("batch"))
        summary = json.loads(json.dumps(dict(run.summary), default=float))
    assert summary["epoch/loss"] == pytest.approx(history["loss"][-1])
    assert summary["batch/batch_step"] == 8
    assert list(tmp_path.rglob("*.wandb")), "the run is in the folder"


def test_mlflow_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is in no extra")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # newer versions would rather have a data base
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run() as run:
        mlflow.log_params({"mine": 1, "optimizer_name": "sgd"})
        history = fitted(callbacks.MLflowLogger("batch"))
    client = mlflow.MlflowClient()
    sent = client.get_metric_history(run.info.run_id, "val_loss")
    assert [(each.step, each.value) for each in sent] == [(k, pytest.approx(v)) for k, v in enumerate(history["val_loss"])]
    assert len(client.get_metric_history(run.info.run_id, "batch_loss")) == 8
    assert client.get_run(run.info.run_id).data.params["optimizer_name"] == "sgd"
    fitted(callbacks.MLflowLogger())
    assert mlflow.active_run() is None, "the run that it began has ended"
    assert len(client.search_runs(["0"])) == 2
