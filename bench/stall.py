"""What saving costs the steps: the part of a fit that its thread spends in BackupAndRestore and in ModelCheckpoint.

``python bench/stall.py [--epochs 6] [--out FILE.json]``: the toy ResNet on random images. A checkpoint is written by the
thread of the steps, as callbacks after it may read the file; backups are written by a thread beside the steps.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))


def timed(callback: Any, names: tuple[str, ...], spent: list[float]) -> Any:
    """Let a callback's methods add the seconds that they take to ``spent``."""

    def around(method: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                spent[0] += time.perf_counter() - begun

        return run

    for name in names:
        setattr(callback, name, around(getattr(callback, name)))
    return callback


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    import numpy as np
    from nets.keras_words import toy_resnet

    import anabranch as ab

    found: dict[str, Any] = {"date": datetime.now(UTC).isoformat(), "load": os.getloadavg()[0], "cores": os.cpu_count()}
    x = np.random.default_rng(0).random((64 * asked.steps, 32, 32, 3), "float32")
    y = np.zeros(len(x), "int64")
    with tempfile.TemporaryDirectory() as folder:
        for kind, make, names in (
            ("BackupAndRestore, each epoch", lambda: ab.callbacks.BackupAndRestore(folder), ("step_done", "epoch_done")),
            (
                "BackupAndRestore, every 4 steps",
                lambda: ab.callbacks.BackupAndRestore(folder, save_freq=4),
                ("step_done", "epoch_done"),
            ),
            ("ModelCheckpoint, each epoch", lambda: ab.callbacks.ModelCheckpoint(f"{folder}/m.keras"), ("on_epoch_end",)),
        ):
            model = toy_resnet(ab)
            model.compile("adam", ab.losses.SparseCategoricalCrossentropy(from_logits=True))
            model.fit(x[:128], y[:128], batch_size=64, verbose=0)
            spent = [0.0]
            callback, begun = timed(make(), names, spent), time.perf_counter()
            model.fit(x, y, batch_size=64, epochs=asked.epochs, verbose=0, callbacks=[callback])
            whole = time.perf_counter() - begun
            found[kind] = {
                "seconds": round(whole, 3),
                "in the callback": round(spent[0], 4),
                "part": round(spent[0] / whole, 5),
            }
            print(kind, found[kind])
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
