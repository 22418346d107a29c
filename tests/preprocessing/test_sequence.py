"""Padding beside Keras's; windows of series, skip-grams."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from anabranch.preprocessing.sequence import TimeseriesGenerator, make_sampling_table, pad_sequences, skipgrams

ROWS = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9]]


@pytest.mark.parametrize("maxlen", [None, 2, 7])
@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
def test_padding_equals_keras(keras: Any, maxlen: int | None, padding: str, truncating: str) -> None:
    arguments: dict[str, Any] = {"maxlen": maxlen, "padding": padding, "truncating": truncating}
    vectors = [np.arange(2.0 * len(row)).reshape(-1, 2) for row in ROWS]
    words = [[str(number) for number in row] for row in ROWS]
    for rows, more in ((ROWS, {}), (ROWS, {"dtype": "float32", "value": -1.5}), (vectors, {"dtype": "float64"}),
                       (words, {"dtype": object, "value": ""})):  # fmt: skip
        wanted = keras.utils.pad_sequences(rows, **arguments, **more)
        found = pad_sequences(rows, **arguments, **more)
        assert found.dtype == wanted.dtype
        assert found.shape == wanted.shape
        assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        ([1, 2], {}, "must be sequences"), ([[1], ["a"]], {}, "dtype"), ([[1]], {"padding": "left"}, "padding"),
        ([["a"]], {"value": "x"}, "does not pad"), ([[[1, 2]], [[1]]], {}, "another shape"), ([[1]], {"maxlen": "a"}, "maxlen"),
    ],
)  # fmt: skip
def test_padding_refuses(rows: Any, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pad_sequences(rows, **more)


def test_windows_of_a_series() -> None:
    data = np.arange(20).reshape(10, 2)
    batches = TimeseriesGenerator(data, np.arange(10), 4, sampling_rate=2, stride=2, start_index=1, end_index=8, batch_size=2)
    assert len(batches) == 1
    x, y = batches[0]
    assert x.tolist() == [[[2, 3], [6, 7]], [[6, 7], [10, 11]]]
    assert y.tolist() == [5, 7]
    turned = TimeseriesGenerator(data, np.arange(10), 4, reverse=True)[0][0]
    assert turned[0, :, 0].tolist() == [6, 4, 2, 0]
    with pytest.raises(IndexError, match="no such batch"):
        batches[1]
    with pytest.raises(ValueError, match="no window"):
        TimeseriesGenerator(data, data, 10)


def test_skip_grams() -> None:
    random.seed(0)
    pairs, labels = skipgrams([1, 2, 0, 3], 9, window_size=2, negative_samples=1.0, seed=5)
    near = [tuple(pair) for pair, label in zip(pairs, labels, strict=True) if label]
    assert sorted(near) == [(1, 2), (2, 1), (2, 3), (3, 2)]
    assert sum(labels) * 2 == len(labels)
    categorical = skipgrams([1, 2], 9, categorical=True, shuffle=False)[1]
    assert categorical == [[0, 1], [0, 1], [1, 0], [1, 0]]
    assert skipgrams([1, 2], 9, sampling_table=[0.0, 0.0, 0.0])[0] == []
    table = make_sampling_table(1000)
    assert (np.diff(table[1:]) > 0).all()
    assert table.max() <= 1
