"""Keras 2's tokenizer, beside values computed from its definition."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from anabranch.preprocessing.text import (
    Tokenizer,
    hashing_trick,
    one_hot,
    text_to_word_sequence,
    tokenizer_from_json,
)

TEXTS = ["The cat sat on the mat.", "The dog sat on the log!", "Dogs and cats, living together."]


def test_words() -> None:
    assert text_to_word_sequence("A b\tC\n(d)!") == ["a", "b", "c", "d"]
    assert text_to_word_sequence("A-b|C", filters="-", lower=False, split="|") == ["A", "b", "C"]


def test_numbers_follow_from_how_common_words_are() -> None:
    tokenizer = Tokenizer(num_words=4, oov_token="<oov>")
    tokenizer.fit_on_texts(TEXTS)
    assert list(tokenizer.word_index.items())[:4] == [("<oov>", 1), ("the", 2), ("sat", 3), ("on", 4)]
    assert tokenizer.word_counts["the"] == 4
    assert tokenizer.word_docs["the"] == 2
    assert tokenizer.document_count == 3
    assert tokenizer.texts_to_sequences(["The unicorn sat on"]) == [[2, 1, 3, 1]]
    assert tokenizer.sequences_to_texts([[2, 9, 3]]) == ["the <oov> sat"]
    plain = Tokenizer(num_words=3)
    plain.fit_on_texts(TEXTS)
    assert plain.texts_to_sequences(["The unicorn sat on"]) == [[1, 2]]


def test_vectors() -> None:
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(["a a b", "b c"])
    assert tokenizer.texts_to_matrix(["a a c"], "count").tolist() == [[0, 2, 0, 1]]
    assert tokenizer.texts_to_matrix(["a a c"], "binary").tolist() == [[0, 1, 0, 1]]
    assert np.allclose(tokenizer.texts_to_matrix(["a a c"], "freq"), [[0, 2 / 3, 0, 1 / 3]])
    weights = [(1 + math.log(2)) * math.log(1 + 2 / 2), math.log(1 + 2 / 2)]
    assert np.allclose(tokenizer.texts_to_matrix(["a a c"], "tfidf"), [[0, weights[0], 0, weights[1]]])
    assert tokenizer.texts_to_matrix([""], "freq").tolist() == [[0, 0, 0, 0]]


def test_signs_lists_and_analyzers() -> None:
    signs = Tokenizer(char_level=True)
    signs.fit_on_texts(["aab"])
    assert signs.word_index == {"a": 1, "b": 2}
    lists = Tokenizer(analyzer=lambda text: text.split(";"))
    lists.fit_on_texts([["X", "y"], "y;z"])
    assert lists.word_index == {"y": 1, "x": 2, "z": 3}


def test_json_of_keras_2() -> None:
    tokenizer = Tokenizer(num_words=5)
    tokenizer.fit_on_texts(TEXTS)
    again = tokenizer_from_json(tokenizer.to_json())
    assert again.get_config() == tokenizer.get_config()
    assert again.texts_to_sequences(TEXTS) == tokenizer.texts_to_sequences(TEXTS)
    assert np.array_equal(again.texts_to_matrix(TEXTS, "tfidf"), tokenizer.texts_to_matrix(TEXTS, "tfidf"))
    config = json.loads(tokenizer.to_json())["config"]
    assert json.loads(config["index_word"])["1"] == "the"


def test_hashes() -> None:
    assert hashing_trick("the cat", 50, hash_function="md5") == hashing_trick("cat the", 50, hash_function="md5")[::-1]
    assert hashing_trick("a b", 50, hash_function=len) == [2, 2]
    assert all(0 < number < 9 for number in one_hot("some words of a text", 9))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Tokenizer(num_words=0), "num_words"), (lambda: Tokenizer().fit_on_texts("one text"), "texts of fit_on_texts"),
        (lambda: Tokenizer().texts_to_matrix(["a"]), "has seen no texts"), (lambda: tokenizer_from_json("[1]"), "no JSON of a"),
        (lambda: Tokenizer(num_words=3).texts_to_matrix(["a"], "bin"), "mode"), (lambda: hashing_trick("a", 9, "md6"), "md5"),
    ],
)  # fmt: skip
def test_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
