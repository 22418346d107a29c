"""A training that is killed at random moments and started again; a program, which forks each run from one loaded process.

    python killing.py CIFAR_FOLDER WORK_FOLDER KILLS SEED

prints as JSON how many kills, resumptions and whole runs there were, and which runs did not end as one that was never killed.
"""

from __future__ import annotations

import functools
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import anabranch as keras
from anabranch import callbacks, layers
from anabranch.callbacks import backup as pace

EPOCHS, TRAINED, HELD = 4, 256, 64


def images(folder: Path) -> tuple[Any, Any]:
    """Return the first images and labels of the real CIFAR-10."""
    rows = np.fromfile(folder / "cifar-10-batches-bin" / "data_batch_1.bin", "uint8", 3073 * (TRAINED + HELD)).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1) / np.float32(255), rows[:, 0].astype("int64")


def train(data: tuple[Any, Any], folder: Path, out: Path, *, backup: bool = True) -> None:
    """Train with augmentation, dropout, a schedule and validation; write weights and history to ``out``."""
    keras.utils.set_random_seed(11)
    x, y = data
    model = keras.Sequential([
        layers.Input((32, 32, 3)), layers.RandomFlip("horizontal"), layers.RandomTranslation(0.1, 0.1),
        layers.Conv2D(8, 3, strides=2), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.2),
        layers.Conv2D(8, 3, strides=2, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dropout(0.1, seed=4),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    schedule = keras.optimizers.schedules.CosineDecay(0.02, 8 * EPOCHS, warmup_target=0.04, warmup_steps=6)
    model.compile(keras.optimizers.SGD(schedule, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    watching = [
        callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True),
        callbacks.ModelCheckpoint(folder / "best.safetensors", save_best_only=True),
        callbacks.CSVLogger(folder / "log.csv"),
    ]
    if backup:
        watching.append(callbacks.BackupAndRestore(folder / "backup", save_freq=1))
    history = model.fit(
        x[:TRAINED], y[:TRAINED], batch_size=32, epochs=EPOCHS, validation_data=(x[-HELD:], y[-HELD:]), verbose=0,
        callbacks=watching,
    )  # fmt: skip
    digest = [weight.tobytes().hex() for weight in model.get_weights()]
    found = {"weights": digest, "history": history.history, "epochs": history.epoch, "log": (folder / "log.csv").read_text()}
    part = out.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(out)


def forked(work: Callable[[], None], errors: Path) -> int:
    """Do work in a process of its own and return its id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException as error:
        errors.write_text(f"{type(error).__name__}: {error}")
        os._exit(1)
    os._exit(0)


def ended(child: int, seconds: float) -> bool:
    """Kill a process after so many seconds; return whether it had ended by itself."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status)


def limited(work: Callable[[], None], size: int) -> None:
    """Do work where no file may be larger, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    work()


def main(cifar: str, work: str, kills: str, seed: str) -> None:
    folder, draw, data = Path(work), random.Random(int(seed)), images(Path(cifar))
    runs = folder / "run"
    torch.set_num_threads(1)  # no threads, so that a fork of this process computes as a process of its own would
    keras.config.set_device("cpu")
    pace._SHARE = 1.0  # a backup after every batch, as they are few
    runs.mkdir()
    train((data[0][:8], data[1][:8]), runs, folder / "loading.json", backup=False)  # what is loaded now is loaded once
    shutil.rmtree(runs)
    out, errors = folder / "out.json", folder / "error.txt"

    def once(*, backup: bool = True) -> Callable[[], None]:
        runs.mkdir(exist_ok=True)
        return lambda: train(data, runs, out, backup=backup)

    begun = time.monotonic()
    ended(forked(once(backup=False), errors), 600)
    expected, lasted = out.read_text(), time.monotonic() - begun
    shutil.rmtree(runs)
    found: dict[str, Any] = {"kills": 0, "resumed": 0, "full": 0, "runs": 0, "different": [], "errors": []}
    while found["kills"] < int(kills):
        out.unlink()
        errors.unlink(missing_ok=True)
        while not out.exists():
            found["resumed"] += (runs / "backup" / "backup.safetensors").exists()
            full = draw.random() < 0.15
            limit = draw.choice([100, 3_000, 9_000]) if full else resource.RLIM_INFINITY
            if ended(forked(functools.partial(limited, once(), limit), errors), draw.uniform(0, 1.2) * lasted):
                if full and not out.exists():
                    message, kind = errors.read_text(), "FileError"
                    found["full"] += 1
                    if kind not in message or "Could not write" not in message:
                        found["errors"].append(message)
                elif errors.exists() and not out.exists():
                    found["errors"].append(errors.read_text())
                    out.write_text("")
            else:
                found["kills"] += 1
        found["runs"] += 1
        if out.read_text() != expected:
            found["different"].append(found["runs"])
        shutil.rmtree(runs)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
