"""The first epochs of a ResNet-20 on CIFAR-10 by ``fit`` (examples/resnet_cifar.py): seconds and accuracy.

python bench/gpu_epochs.py [--epochs 20] [--device cuda] [--quick] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import json
import runpy
import time
from pathlib import Path
from typing import Any

import cifar
import torch

import anabranch as keras

EXAMPLE = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "resnet_cifar.py"))
BATCH = 128


class Watch(keras.callbacks.Callback):
    """Seconds of each epoch, validation aside, and the test accuracy after every fifth; written as they come."""

    def __init__(self, found: dict[str, Any], out: Path | None, tests: Any, wait: Any) -> None:
        super().__init__()
        self.found, self.out, self.tests, self.wait = found, out, tests, wait

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.wait()
        self.begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.wait()
        self.found["seconds"].append(time.perf_counter() - self.begin)
        self.found["loss"].append(logs["loss"])
        if (epoch + 1) % 5 == 0 or epoch + 1 == self.found["epochs"]:
            self.found["accuracy"].append(self.model.evaluate(*self.tests, batch_size=1000, verbose=0)[1])
        if torch.cuda.is_available():
            self.found["memory_mb"] = torch.cuda.max_memory_allocated() / (1 << 20)
        if self.out:
            self.out.write_text(json.dumps(self.found))


def main() -> None:
    """Train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20, help="164 are the paper's 64,000 steps")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    keras.config.set_device(options.device)
    keras.config.set_tf32(True)
    (train, tests), data = cifar.loaded(options.quick)
    count, epochs = (256, 1) if options.quick else (len(train[0]), options.epochs)
    mean = train[0].mean(axis=0, dtype="float32")
    x, y = (train[0][:count] - mean) / 255, train[1][:count]
    tests = ((tests[0][:count] - mean) / 255, tests[1][:count])
    found: dict[str, Any] = {
        "label": "ResNet-20, batch 128, augmented, by fit", "data": data, "epochs": epochs, "steps": -(-count // BATCH),
        "seconds": [], "loss": [], "accuracy": [], "memory_mb": 0.0,
    }  # fmt: skip
    model = EXAMPLE["resnet"](20)
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([32_000, 48_000], [0.1, 0.01, 0.001])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rates, momentum=0.9), loss, metrics=["accuracy"])
    wait = torch.cuda.synchronize if options.device == "cuda" else (lambda: None)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, callbacks=[Watch(found, options.out, tests, wait)], verbose=0)
    found["replay"] = str(model.explain_execution(training=True).replay)
    if options.out:
        options.out.write_text(json.dumps(found))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
