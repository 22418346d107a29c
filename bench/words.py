"""Words a second and core that TextVectorization, StringLookup and Hashing turn into integers, beside Keras on TensorFlow.

python bench/words.py [--seconds 2] [--out bench/results/DATE-words.json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def texts(count: int = 4000, length: int = 120, words: int = 30000) -> list[str]:
    """Return texts of words that are as frequent as in English (Zipf), with punctuation and capitals."""
    rng = random.Random(0)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    known = ["".join(rng.choices(letters, k=rng.randint(1, 11))) for _ in range(words)]
    weights = [1 / (rank + 3) for rank in range(words)]
    return [" ".join(rng.choices(known, weights, k=length)).capitalize() + "." for _ in range(count)]


def rate(work: Callable[[], object], words: int, seconds: float) -> dict[str, float]:
    """Return the median words a second, and the least and the most, of runs that take ``seconds`` together."""
    work()
    found, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds or len(found) < 3:
        before = time.process_time()  # others may use the core as well
        work()
        found.append(words / (time.process_time() - before))
    return {"median": statistics.median(found), "least": min(found), "most": max(found), "runs": len(found)}


def measured(layers: Any, seconds: float, as_input: Callable[[Any], Any]) -> dict[str, Any]:
    """Return what each layer of a library does in a second."""
    data = texts()
    words = sum(len(text.split()) for text in data)
    flat = np.array([word for text in data for word in text.split()])
    vectorize = layers.TextVectorization(max_tokens=20000, output_sequence_length=200)
    vectorize.adapt(data)
    counting = layers.TextVectorization(max_tokens=1000, output_mode="multi_hot")
    counting.adapt(data)
    lookup = layers.StringLookup()
    lookup.adapt(flat)
    hashing = layers.Hashing(5000)
    given, single = as_input(data), as_input(flat)
    batches = [as_input(data[at : at + 32]) for at in range(0, len(data), 32)]
    return {
        "TextVectorization, int": rate(lambda: vectorize(given), words, seconds),
        "TextVectorization, int, batches of 32": rate(lambda: [vectorize(batch) for batch in batches], words, seconds),
        "TextVectorization, multi_hot of 1,000": rate(lambda: counting(given), words, seconds),
        "TextVectorization, adapt": rate(lambda: layers.TextVectorization().adapt(data), words, seconds),
        "StringLookup": rate(lambda: lookup(single), len(flat), seconds),
        "Hashing": rate(lambda: hashing(single), len(flat), seconds),
    }


def main() -> None:
    """Measure the library that is installed; ``--keras`` measures Keras on TensorFlow."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keras", action="store_true")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core, before threads are made
    if arguments.keras:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import keras
        import tensorflow as tf

        name, found = (
            f"keras {keras.__version__}, tensorflow {tf.__version__}",
            measured(keras.layers, arguments.seconds, tf.constant),
        )
    else:
        import anabranch

        name, found = f"anabranch {anabranch.__version__}", measured(anabranch.layers, arguments.seconds, lambda data: data)
    result = {name: {case: {key: round(value) for key, value in each.items()} for case, each in found.items()}}
    if arguments.out:
        known = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
        arguments.out.write_text(json.dumps({**known, **result}, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
