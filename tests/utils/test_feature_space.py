"""FeatureSpace: the values are what Keras 3.15.1 gives on TensorFlow 2.21."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers
from anabranch.utils import FeatureSpace

TABLE: dict[str, Any] = {
    "number": np.array([0.0, 0.1, 0.2, 0.3]), "word": np.array(["zero", "one", "two", "three"]), "integer": np.arange(4),
}  # fmt: skip


def space(**more: Any) -> FeatureSpace:
    kinds = {"number": "float_normalized", "word": "string_categorical", "integer": "integer_categorical"}
    made = FeatureSpace(kinds, crosses=[("word", "integer")], **more)
    made.adapt(TABLE)
    return made


def test_one_vector_for_each_row() -> None:
    names = {"number": "float_values", "word": "string_values", "integer": "int_values"}
    made = FeatureSpace(
        {names["number"]: "float_normalized", names["word"]: "string_categorical", names["integer"]: "integer_categorical"},
        crosses=[(names["word"], names["integer"])],
    )
    table = {names[key]: value for key, value in TABLE.items()}
    made.adapt(table)
    found = made(table).detach().cpu().numpy()
    assert found.shape == (4, 43)
    assert found[:, 0].round(4).tolist() == pytest.approx([-1.3416, -0.4472, 0.4472, 1.3416])
    assert np.nonzero(found[:, 1:])[1].tolist() == [4, 6, 31, 3, 9, 28, 2, 7, 37, 1, 8, 30]
    row = made({"float_values": 0.1, "string_values": "one", "int_values": 7})
    assert row.nonzero().flatten().tolist() == [0, 1, 10, 37]


def test_a_dict_of_columns() -> None:
    made = FeatureSpace(
        {
            "a": FeatureSpace.float_discretized(num_bins=3), "b": FeatureSpace.string_hashed(num_bins=5, output_mode="int"),
            "c": "float_rescaled", "d": FeatureSpace.integer_hashed(num_bins=4),
        },
        output_mode="dict",
    )  # fmt: skip
    made.adapt({"a": np.arange(9.0), "b": ["x"] * 9, "c": np.arange(9.0), "d": np.arange(9)})
    found = made({"a": [0.5, 8.0], "b": ["x", "y"], "c": [1.0, 2.0], "d": [1, 5]})
    assert {name: value.tolist() for name, value in found.items()} == {
        "a": [[1, 0, 0], [0, 0, 1]], "b": [[0], [0]], "c": [[1], [2]], "d": [[0, 1, 0, 0], [0, 0, 0, 1]],
    }  # fmt: skip


def test_models_on_encoded_features_and_on_the_table(tmp_path: Path) -> None:
    made = space()
    encoded = made.get_encoded_features()
    output = layers.Dense(1, activation="sigmoid")(encoded)
    training, whole = ab.Model(encoded, output), ab.Model(made.get_inputs(), output)
    training.compile("sgd", "binary_crossentropy")
    training.fit(made(TABLE).detach().cpu().numpy(), np.array([0, 1, 0, 1]), verbose=0)
    wanted = training.predict(made(TABLE).detach().cpu().numpy(), verbose=0)
    assert np.allclose(whole.predict(TABLE, verbose=0), wanted, atol=1e-6)
    whole.save(tmp_path / "whole.keras")
    assert np.allclose(ab.saving.load_model(tmp_path / "whole.keras").predict(TABLE, verbose=0), wanted, atol=1e-6)
    made.save(tmp_path / "space.keras")
    again = ab.saving.load_model(tmp_path / "space.keras")
    assert np.allclose(again.predict(TABLE, verbose=0), made(TABLE).detach().cpu(), atol=1e-6)


def test_batches_teach_it_too() -> None:
    made = FeatureSpace({"word": "string_categorical"})
    made.adapt({"word": TABLE["word"][at : at + 2]} for at in (0, 2))
    assert made.preprocessors["word"].get_vocabulary() == ["[UNK]", "zero", "two", "three", "one"]
    given = FeatureSpace({"x": FeatureSpace.feature("float32", layers.Normalization(mean=1.0, variance=4.0), "float")})
    assert given({"x": [3.0]}).tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FeatureSpace({}), "names columns"), (lambda: FeatureSpace({"a": "flaot"}), "float"),
        (lambda: FeatureSpace({"a": "float"}, crosses=[("a", "b")]), "column"),
        (lambda: FeatureSpace({"a": "float"}, output_mode="list"), "concat"),
        (lambda: FeatureSpace({"a": "string_categorical"}).get_encoded_features(), "has not learned"),
        (lambda: FeatureSpace({"a": "float"})([1.0]), "dict of columns"),
        (lambda: FeatureSpace({"a": "float_normalized"}).adapt({"b": [1.0]}), "no column 'a'"),
        (lambda: FeatureSpace({"a": FeatureSpace.integer_hashed(3, output_mode="int")}).get_encoded_features(), "not encoded"),
    ],
)  # fmt: skip
def test_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
