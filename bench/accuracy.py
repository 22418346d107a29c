"""Measure the toy ResNet's test accuracy on real CIFAR-10, epoch by epoch, with anabranch or with real Keras.

    python bench/accuracy.py anabranch --seeds 1 2 3 --epochs 10 --batches DIR/cifar-10-batches-bin --out FILE.jsonl

Both libraries run this same file: RMSprop(1e-3), batch 64, all 50,000 images / 255, evaluated on the 10,000 test images
after every epoch. Each epoch appends one JSON line to the output, so that a run that is cut off has lost nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from pathlib import Path

import numpy as np
from nets.keras_words import toy_resnet


def read_batches(folder: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 32, 32, 3) in [0, 1] and labels (N, 1), read without either library."""
    raw = np.concatenate([np.fromfile(folder / name, np.uint8) for name in names]).reshape(-1, 3073)
    images = raw[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # N C H W -> N H W C
    return np.ascontiguousarray(images).astype("float32") / 255.0, raw[:, :1].astype("uint8")


def main() -> None:
    """Train once per seed and append one line per epoch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", help="anabranch or keras (set KERAS_BACKEND for the latter)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batches", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    keras = importlib.import_module(options.library)
    train = read_batches(options.batches, [f"data_batch_{i}.bin" for i in range(1, 6)])
    test = read_batches(options.batches, ["test_batch.bin"])
    backend = keras.backend.backend() if options.library == "keras" else "torch"
    for seed in options.seeds:
        keras.utils.set_random_seed(seed)
        model = toy_resnet(keras)
        model.compile(
            optimizer=keras.optimizers.RMSprop(1e-3),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["acc"],
        )
        for epoch in range(1, options.epochs + 1):
            start = time.perf_counter()
            history = model.fit(*train, batch_size=64, epochs=epoch, initial_epoch=epoch - 1, verbose=0)
            seconds = time.perf_counter() - start
            loss, accuracy = model.evaluate(*test, batch_size=256, verbose=0)
            row = {
                "library": options.library, "version": keras.__version__, "backend": backend, "seed": seed, "epoch": epoch,
                "train_loss": float(history.history["loss"][-1]), "test_loss": float(loss), "test_accuracy": float(accuracy),
                "seconds": round(seconds, 2),
            }  # fmt: skip
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
