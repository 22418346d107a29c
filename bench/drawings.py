"""How long drawings take: from a model to its picture, its layout and its SVG. ``python bench/drawings.py [--out FILE]``."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from drawn_models import chain, encoder, resnet, toy_resnet, unet

import anabranch as keras

ROUNDS = 5
MODELS: dict[str, Callable[[], keras.Model]] = {
    "toy ResNet": toy_resnet,
    "ResNet-50": resnet,
    "U-Net, 6 levels": lambda: unet(6, 2),
    "ResNet of 2,015 layers": lambda: resnet((50, 50, 50, 50)),
    "encoder of 1,954 calls": lambda: encoder(130),
    "chain of 2,000": lambda: chain(2000),
}


def seconds(model: keras.Model, repeats: bool) -> float:
    """Return the median time of a drawing, of all boxes or of one block for its repeats."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        model.draw(repeats=repeats).svg  # noqa: B018 - writes it
        taken.append(time.perf_counter() - start)
    return round(statistics.median(taken), 4)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found = {}
    for name, make in MODELS.items():
        model = make()
        found[name] = {"all boxes": seconds(model, repeats=False), "repeats once": seconds(model, repeats=True)}
        print(f"{name:24} {found[name]['all boxes']:8.3f} s {found[name]['repeats once']:8.3f} s")
    if asked.out:
        asked.out.write_text(json.dumps({"unit": "seconds, median of 5", "figures": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
