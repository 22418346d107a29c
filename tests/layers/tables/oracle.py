"""What Keras gives on TensorFlow, which its layers of text and tables need; run by a Python that has both, not by the tests.

python tests/layers/tables/oracle.py        # writes keras_tensorflow.json and *.keras beside this file
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GOLDEN = HERE / "keras_tensorflow.json"
WORDS = ["earth", "wind", "and", "fire", "", "Übergröße", "a" * 70, "[UNK]", "fire", "b" * 200, "long word " * 30]
ROWS = [["earth", "wind", "and", "fire"], ["fire", "and", "earth", "michigan"]]
NUMBERS = [[12, 1138, 1000], [42, 1000, 36], [-7, 0, 12]]
TEXTS = ["The quick brown fox -- jumps, over the LAZY dog!", "  a\tb\nc  It's ÉTÉ", "", "the the the fox."]

_VECTORS = {"output_mode": "one_hot"}


def _cases(layer: str, inputs: Any, configs: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    return [{"layer": layer, "config": config, "inputs": inputs, **more} for config in configs]


_LEARNING: list[dict[str, Any]] = [
    {}, {"max_tokens": 3}, {"output_mode": "tf_idf"}, {"output_mode": "tf_idf", "max_tokens": 9, "pad_to_max_tokens": True},
    {"mask_token": "", "num_oov_indices": 2},
]  # fmt: skip
_HASHED: list[dict[str, Any]] = [
    {"num_bins": 3}, {"num_bins": 3, "mask_value": "fire"}, {"num_bins": 1000, "salt": 1337},
    {"num_bins": 1000, "salt": [133, 137]}, {"num_bins": 5, **_VECTORS}, {"num_bins": 1, "mask_value": ""},
]  # fmt: skip
_HASHED_NUMBERS: list[dict[str, Any]] = [
    {"num_bins": 1000}, {"num_bins": 1000, "mask_value": 0}, {"num_bins": 7, "output_mode": "multi_hot"},
    {"num_bins": 7, "output_mode": "count"}, {"num_bins": 1000, "salt": 3, "dtype": "int32"},
]  # fmt: skip
_STRINGS: list[dict[str, Any]] = [
    {"vocabulary": ["earth", "wind", "fire"]},
    {"vocabulary": ["earth", "wind", "fire"], "mask_token": "and"},
    {"vocabulary": ["earth", "wind"], "num_oov_indices": 3},
    {"vocabulary": ["earth", "wind"], "num_oov_indices": 3, "salt": 5},
    {"vocabulary": ["earth", "wind", "fire"], "output_mode": "multi_hot", "mask_token": "and"},
    {"vocabulary": ["[UNK]", "earth", "wind", "fire"], **_VECTORS},
    {"vocabulary": ["earth", "wind", "fire"], "output_mode": "count", "max_tokens": 6, "pad_to_max_tokens": True},
    {"vocabulary": ["earth", "wind", "fire"], "output_mode": "tf_idf", "idf_weights": [0.25, 0.75, 0.6]},
    {"vocabulary": ["earth", "wind", "and", "fire", "michigan"], "num_oov_indices": 0},
]
_INTEGERS: list[dict[str, Any]] = [
    {"vocabulary": [12, 36, 1138, 42]},
    {"vocabulary": [12, 36], "num_oov_indices": 2, "mask_token": 0},
    {"vocabulary": [12, 36], "num_oov_indices": 3, "oov_method": "farmhash"},
    {"vocabulary": [12, 36], "num_oov_indices": 3, "oov_method": "farmhash", "salt": [1, 2]},
    {"vocabulary": [12, 36, 1138, 42], "output_mode": "multi_hot"},
    {"vocabulary": [12, 36], "output_mode": "count", "mask_token": 1000},
]
_TEXTS: list[dict[str, Any]] = [
    {}, {"output_sequence_length": 5}, {"max_tokens": 6, "output_sequence_length": 3}, {"standardize": None},
    {"standardize": "lower"}, {"standardize": "strip_punctuation"}, {"split": "character", "output_sequence_length": 12},
    {"ngrams": 2}, {"ngrams": [3], "output_sequence_length": 4}, {"ngrams": [1, 3], "output_mode": "count"},
    {"output_mode": "multi_hot"}, {"output_mode": "count", "max_tokens": 5},
    {"output_mode": "tf_idf"}, {"output_mode": "tf_idf", "max_tokens": 30, "pad_to_max_tokens": True},
]  # fmt: skip
_GIVEN_WORDS: list[dict[str, Any]] = [
    {"vocabulary": ["fox", "dog", "the"]}, {"vocabulary": ["[UNK]", "fox"], "output_mode": "count"},
    {"vocabulary": ["fox", "the"], "output_mode": "tf_idf", "idf_weights": [2.0, 3.0]},
]  # fmt: skip
CASES: list[dict[str, Any]] = [
    *_cases("TextVectorization", TEXTS, _TEXTS, adapt=TEXTS),
    *_cases("TextVectorization", [[text] for text in TEXTS], [{}, {"output_mode": "tf_idf"}], adapt=TEXTS),
    *_cases("TextVectorization", TEXTS, _GIVEN_WORDS),
    *_cases("TextVectorization", TEXTS[0], [{"vocabulary": ["fox", "the"]}]),
    *_cases("TextVectorization", ROWS, [{"split": None}, {"split": None, "output_mode": "tf_idf"}], adapt=ROWS),
    *_cases("TextVectorization", ROWS, [{"split": None, "ngrams": 2, "output_sequence_length": 3}], adapt=ROWS),
    *_cases("Hashing", [[word] for word in WORDS], _HASHED),
    *_cases("Hashing", NUMBERS, _HASHED_NUMBERS),
    *_cases("Hashing", [[1.5, 2.0], [-3.9, 1e6]], [{"num_bins": 100}]),
    *_cases("HashedCrossing", [WORDS[:5], [1, 2, 3, 4, 5]], [{"num_bins": 1000}, {"num_bins": 5, **_VECTORS}]),
    *_cases("HashedCrossing", [[[1], [2]], [[-3], [4]]], [{"num_bins": 1000}, {"num_bins": 5, **_VECTORS}]),
    *_cases("HashedCrossing", [["a", "b"], ["c", "d"], ["e", "f"]], [{"num_bins": 1000}]),
    *_cases("StringLookup", ROWS, _STRINGS),
    *_cases("StringLookup", ROWS, _LEARNING, adapt=ROWS),
    *_cases("StringLookup", ROWS, _LEARNING, adapt=[*ROWS[0], *ROWS[1], "fire"]),
    *_cases("StringLookup", [[0, 1, 2], [3, 9, 2]], [{"vocabulary": ["a", "b"], "invert": True, "mask_token": ""}]),
    *_cases("IntegerLookup", NUMBERS, _INTEGERS),
    *_cases("IntegerLookup", NUMBERS, [{}], adapt=NUMBERS),
    *_cases("IntegerLookup", [[0, 1, 2, 7]], [{"invert": True, "vocabulary": [12, 36]}]),
    *_cases("CategoryEncoding", [[3, 2, 0], [0, 0, 1]], [
        {"num_tokens": 4, "output_mode": mode} for mode in ("multi_hot", "count", "one_hot")
    ]),
    *_cases(
        "Discretization", [[-1.5, 1.0, 3.4, 0.5]],
        [{"num_bins": 4}, {"num_bins": 4, "epsilon": 0.3}, {"num_bins": 4, "output_mode": "count"}],
        adapt=[[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]],
    ),
]  # fmt: skip


def main() -> None:
    """Write what Keras gives."""
    import os

    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import numpy as np
    import tensorflow as tf

    found = []
    for case in CASES:
        config = {
            key: tuple(value) if key == "ngrams" and isinstance(value, list) else value for key, value in case["config"].items()
        }
        layer = getattr(keras.layers, case["layer"])(**config)
        if "adapt" in case:
            layer.adapt(np.array(case["adapt"]))
        inputs = case["inputs"]
        crossed = case["layer"] == "HashedCrossing"
        output = layer(tuple(map(tf.constant, inputs)) if crossed else tf.constant(inputs))
        values = np.asarray(output)
        values = values.astype(str) if values.dtype.kind in "SO" else values
        vocabulary = layer.get_vocabulary() if hasattr(layer, "get_vocabulary") else None
        found.append(
            {**case, "output": values.tolist(), "vocabulary": np.array(vocabulary).tolist() if vocabulary else vocabulary}
        )
    head = {"keras": keras.__version__, "tensorflow": tf.__version__}
    GOLDEN.write_text(json.dumps({**head, "cases": found}, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
