"""CIFAR-10 for parts of ``gpu.py``: the real one from ``ANABRANCH_DATA``, or, where only running counts, a stand-in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def is_here() -> bool:
    """Return whether the official files are in the data folder, so that nothing is fetched."""
    folder = os.environ.get("ANABRANCH_DATA")
    return bool(folder) and (Path(str(folder)) / "cifar-10-batches-bin").is_dir()


def loaded(quick: bool) -> tuple[Any, str]:
    """Return ``((images, labels), (tests, answers))`` and what they are."""
    if is_here():
        import anabranch

        return anabranch.datasets.cifar10.load_data(), "CIFAR-10"
    if not quick:
        raise SystemExit("CIFAR-10 is not in ANABRANCH_DATA")
    import numpy as np

    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 10, (count, 1), "uint8") for count in (2_000, 400)]
    noise = [rng.integers(0, 60, (len(labels), 32, 32, 3)) for labels in parts]
    images = [(each + 19 * labels[:, :, None, None]).astype("uint8") for each, labels in zip(noise, parts, strict=True)]
    return tuple(zip(images, parts, strict=True)), "a stand-in for CIFAR-10: gray noise, brighter by class"
