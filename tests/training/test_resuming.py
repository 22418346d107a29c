"""Runs that were killed go on where they were, bit by bit; backups of other runs are refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import callbacks, layers
from anabranch._errors import ArgumentError, ArgumentTypeError, FileError, FileFormatError
from anabranch.saving import state_file

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 60)


@pytest.mark.on_cpu  # bit by bit
@pytest.mark.parametrize("kills", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(kills: int, cifar10_folder: Path, tmp_path: Path) -> None:
    program = Path(__file__).parents[1] / "killing.py"
    done = subprocess.run(
        [sys.executable, str(program), str(cifar10_folder), str(tmp_path), str(kills), "3"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] >= kills
    assert found["resumed"] >= kills / 2
    assert (found["different"], found["errors"]) == ([], [])


class Lessons(ab.utils.PyDataset):
    """Batches in an order of its own, with noise from two generators."""

    def __init__(self) -> None:
        super().__init__()
        self.order = np.arange(len(X))
        self.draw = np.random.default_rng(5)

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        rows = self.order[index * 10 : index * 10 + 10]
        noise = self.draw.normal(size=(10, 4)) + np.random.normal(size=(10, 4))
        return (X[rows] + 0.1 * noise).astype("float32"), Y[rows]

    def on_epoch_end(self) -> None:
        np.random.shuffle(self.order)


def endless() -> Iterator[Any]:
    draw = np.random.default_rng(7)
    while True:
        rows = draw.integers(0, len(X), 10)
        yield X[rows] + np.float32(np.random.normal()), Y[rows]


def loader() -> Any:
    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=10, shuffle=True
    )


SOURCES: dict[str, Any] = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 10},
    "arrays, whole batches": lambda: {"x": X, "y": Y, "batch_size": 10, "shuffle": "batch"},
    "passes that do not end with epochs": lambda: {"x": X, "y": Y, "batch_size": 10, "steps_per_epoch": 4},
    "PyDataset": lambda: {"x": Lessons()},
    "DataLoader": lambda: {"x": loader()},
    "generator": lambda: {"x": endless(), "steps_per_epoch": 6},
    "validation by a generator": lambda: {
        "x": X, "y": Y, "batch_size": 10, "validation_data": endless(), "validation_steps": 2
    },
}  # fmt: skip


class Stop(callbacks.Callback):
    """Fails at a batch, and counts batches, which it lets be saved."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.seen = at, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise KeyError("killed")

    def get_state(self) -> dict[str, Any]:
        return {"seen": self.seen, "arrays": [np.array([self.seen, 2], "int8"), np.float32(0.1)]}

    def set_state(self, state: Any) -> None:
        self.seen = state["seen"]
        assert state["arrays"][0].tolist() == [self.seen, 2]


class Custom(ab.Model):
    def train_step(self, data: Any) -> Any:
        x, y = data
        loss = self.compute_loss(y=y, y_pred=self(x + torch.rand_like(x), training=True))
        self.zero_grad()
        loss.backward()
        self.optimizer.apply([w.value.grad for w in self.trainable_weights], self.trainable_weights)
        return {"loss": loss}


def trained(
    source: Any,
    folder: Path,
    at: int = -1,
    freq: Any = 1,
    kind: Any = ab.Model,
    optimizer: Any = None,
    drop: float = 0.4,
    **more: Any,
) -> Any:
    ab.utils.set_random_seed(3)
    x = ab.Input((4,))
    h = layers.Dropout(drop)(layers.Dense(8, activation="relu")(x))
    model = kind(x, layers.Dense(3, activation="softmax")(layers.GaussianNoise(0.1, seed=2)(h)))
    optimizer = optimizer() if optimizer else ab.optimizers.Adam(ab.optimizers.schedules.CosineDecay(0.01, 30))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["acc", ab.metrics.SparseTopKCategoricalAccuracy(2)])
    stop, note = Stop(at), callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True)
    backup = callbacks.BackupAndRestore(folder, save_freq=freq)
    given = {"epochs": 4, "verbose": 0, "callbacks": [stop, note, backup], **source(), **more}
    history = model.fit(**given)
    return [w.tobytes() for w in model.get_weights()], history.history, history.epoch, stop.seen, note.best


@pytest.fixture(autouse=True)
def _every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anabranch.callbacks.backup._SHARE", 1e9)
    monkeypatch.setattr("anabranch.saving.background.BackgroundWriter.busy", False)


@pytest.mark.on_cpu
@pytest.mark.parametrize(
    ("freq", "stops"),
    [("epoch", (9,)), (1, (8,)), *(pytest.param(f, (3, 6, 7, 15), marks=pytest.mark.slow) for f in ("epoch", 1))],
)
@pytest.mark.parametrize("name", SOURCES)
def test_data_of_every_kind_are_resumed(name: str, freq: Any, stops: tuple[int, ...], tmp_path: Path) -> None:
    expected = trained(SOURCES[name], tmp_path / "a")
    for at in stops:
        with pytest.raises(KeyError, match="killed"):
            trained(SOURCES[name], tmp_path / "b", at, freq)
        assert (tmp_path / "b").exists() is (freq == 1 or at > (4 if "passes" in name else 6))
        assert trained(SOURCES[name], tmp_path / "b", freq=freq) == expected, at
        assert not (tmp_path / "b").exists()


OPTIMIZERS: dict[str, Any] = {
    "torch": lambda: lambda parameters: torch.optim.RAdam(parameters, lr=0.01),
    "averages, accumulation": lambda: ab.optimizers.SGD(0.05, momentum=0.9, use_ema=True, gradient_accumulation_steps=4),
    "loss scale": lambda: ab.optimizers.LossScaleOptimizer(ab.optimizers.RMSprop(0.01), dynamic_growth_steps=3),
}


@pytest.mark.on_cpu
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_are_resumed(name: str, tmp_path: Path) -> None:
    expected = trained(SOURCES["arrays"], tmp_path, optimizer=OPTIMIZERS[name])
    with pytest.raises(KeyError, match="killed"):
        trained(SOURCES["arrays"], tmp_path, 9, optimizer=OPTIMIZERS[name])
    assert trained(SOURCES["arrays"], tmp_path, optimizer=OPTIMIZERS[name]) == expected


@pytest.mark.on_cpu
def test_custom_steps_are_resumed(tmp_path: Path) -> None:
    expected = trained(SOURCES["arrays"], tmp_path, kind=Custom)
    with pytest.raises(KeyError, match="killed"):
        trained(SOURCES["arrays"], tmp_path, 9, kind=Custom)
    assert trained(SOURCES["arrays"], tmp_path, kind=Custom) == expected


def test_a_backup_of_another_run_is_refused(tmp_path: Path) -> None:
    def left() -> None:
        with pytest.raises(KeyError, match="killed"):
            trained(SOURCES["arrays"], tmp_path, 9)

    left()
    with pytest.raises(
        ArgumentError, match=r"is of another model\.\n  expected: layer \d+: Dropout 'dropout'.* as in the backup"
    ):
        trained(SOURCES["arrays"], tmp_path, drop=0.3)
    with pytest.raises(ArgumentError, match=r"is of a model compiled with other arguments\.\n  expected: optimizer: "):
        trained(SOURCES["arrays"], tmp_path, optimizer=lambda: ab.optimizers.Adam(0.1))
    with pytest.raises(
        ArgumentError, match=r"is of other data\.\n  expected: batch_size: 10, as in the backup\n  got:      batch_size: 20"
    ):
        trained(SOURCES["arrays"], tmp_path, batch_size=20)
    with pytest.raises(ArgumentError, match=r"is of other data\.\n  expected: checksum of samples"):
        trained(SOURCES["arrays"], tmp_path, y=Y[::-1])
    assert len(trained(SOURCES["arrays"], tmp_path, epochs=6)[2]) == 6  # more epochs are no other run


def test_a_damaged_backup_is_an_error_unless_there_is_one_before(tmp_path: Path) -> None:
    backup = callbacks.BackupAndRestore(tmp_path, double_checkpoint=True, delete_checkpoint=False)
    model = ab.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    for epochs in (1, 2):
        model.fit(X, Y, epochs=epochs, verbose=0, callbacks=[backup])
    (tmp_path / "backup.safetensors").write_bytes(b"x" * 40)
    with pytest.warns(UserWarning, match="is damaged, so the backup before it is used"):
        assert model.fit(X, Y, epochs=3, verbose=0, callbacks=[backup]).epoch == [0, 1, 2]
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-3])
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(FileFormatError, match="delete it to begin again"):
        model.fit(X, Y, epochs=4, verbose=0, callbacks=[backup])


@pytest.mark.parametrize("folder", ["{here}/file/backup", "/proc/anabranch/backup"])
def test_a_folder_that_cannot_be_written_is_an_error_of_fit(folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"Could not (read|write) '.*backup"):
        trained(SOURCES["arrays"], Path(folder.format(here=tmp_path)), freq="epoch")


def test_ctrl_c_leaves_the_backup(tmp_path: Path) -> None:
    class Break(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    model = ab.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    backup = callbacks.BackupAndRestore(tmp_path / "run")
    assert model.fit(X, Y, epochs=4, verbose=0, callbacks=[Break(), backup]).interrupted
    assert model.fit(X, Y, epochs=4, verbose=0, callbacks=[backup]).epoch == [0, 1, 2, 3]
    assert int(model.optimizer.iterations) == 8
    assert not (tmp_path / "run").exists()


def test_what_a_callback_cannot_save_is_named(tmp_path: Path) -> None:
    class Wrong(callbacks.Callback):
        def get_state(self) -> dict[str, Any]:
            return {"file": object()}

    model = ab.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentTypeError, match=r"'file'\] cannot be saved"):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[Wrong(), callbacks.BackupAndRestore(tmp_path)])


def test_nests_come_back_from_their_files() -> None:
    nest = {
        "a": [1, 2.5, None, True, "x", (2**70, float("inf"), float("-inf"))], 3: {"tuple": (), "dict": {}},
        "e": np.zeros((0, 3)),
        "arrays": [np.arange(6, dtype="int16").reshape(2, 3).T, np.array(2.0, "float16"), np.array([True, False])],
        "later": lambda: np.ones(2),
    }  # fmt: skip
    found = state_file.stored(b"".join(state_file.written(nest)), "x")
    arrays = found.pop("arrays")
    for one, other in zip(arrays, nest.pop("arrays"), strict=True):
        assert (one.dtype, one.shape, one.tolist()) == (other.dtype, other.shape, other.tolist())
    assert found.pop("later").tolist() == [1.0, 1.0]
    assert found.pop("e").shape == (0, 3)
    del nest["later"], nest["e"]
    assert found == nest
    with pytest.raises(FileFormatError):
        state_file.stored(b"".join(state_file.written(nest))[:-1], "x")
