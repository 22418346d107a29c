"""FeatureSpace: the values are what Keras 3.15.1 gives on TensorFlow 2.21."""

from __future__ import annotations

import copy
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import layers
from anabranch.saving.keras_file import stored_weights
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
    assert np.allclose(again(TABLE).detach().cpu(), made(TABLE).detach().cpu(), atol=1e-6)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Return a folder with what ``fixtures/write.py`` wrote."""
    with zipfile.ZipFile(Path(__file__).with_name("fixtures") / "feature_space.zip") as file:
        file.extractall(tmp_path)
    return tmp_path


@pytest.mark.parametrize("mode", ["concat", "dict"])
def test_files_of_keras_are_read(mode: str, written: Path) -> None:
    known = np.load(written / f"{mode}.npz")
    table = {name[3:]: known[name] for name in known if name.startswith("in ")}
    made = ab.saving.load_model(written / f"{mode}.keras")
    assert isinstance(made, FeatureSpace)
    for _ in range(2):
        found = made(table)
        for name, value in {"all": found}.items() if mode == "concat" else found.items():
            np.testing.assert_allclose(value.detach().cpu().numpy(), known[f"out {name}"], atol=1e-6)
        ab.saving.save_model(made, written / "again.keras")
        made = ab.saving.load_model(written / "again.keras")


def members(file: Path) -> tuple[Any, dict[str, bytes], set[str]]:
    """Return the config of a file, without numbers of shared objects and defaults of Keras; its assets; its arrays."""

    def plain(part: Any) -> Any:
        if isinstance(part, list):
            return [plain(each) for each in part]
        if not isinstance(part, dict):
            return part
        left_out = ("shared_object_id", "dtype", "trainable", "compile_config")
        return {key: plain(value) for key, value in part.items() if key not in left_out or value in ("string", "int32")}

    with zipfile.ZipFile(file) as opened:
        assets = {name: opened.read(name) for name in opened.namelist() if name.startswith("assets/")}
        return plain(json.loads(opened.read("config.json"))), assets, set(stored_weights(file.read_bytes(), str(file)))


@pytest.mark.parametrize("mode", ["concat", "dict"])
def test_what_is_written_is_what_keras_writes(mode: str, written: Path) -> None:
    ab.saving.load_model(written / f"{mode}.keras").save(written / "ours.keras")
    (config, assets, arrays), (ours, our_assets, our_arrays) = (
        members(written / f"{mode}.keras"),
        members(written / "ours.keras"),
    )
    assert ours == config
    assert our_assets == assets
    assert our_arrays == arrays


def test_a_config_has_no_table() -> None:
    made = FeatureSpace.from_config(space(name="own").get_config())
    assert made.name == "own"
    assert made.get_config() == space(name="own").get_config()
    with pytest.raises(ValueError, match="has not learned"):
        made(TABLE)


def test_batches_teach_it_too() -> None:
    made = FeatureSpace({"word": "string_categorical"})
    made.adapt({"word": TABLE["word"][at : at + 2]} for at in (0, 2))
    assert made.preprocessors["word"].get_vocabulary() == ["[UNK]", "zero", "two", "three", "one"]
    given = FeatureSpace({"x": FeatureSpace.feature("float32", layers.Normalization(mean=1.0, variance=4.0), "float")})
    assert given({"x": [3.0]}).tolist() == [[1.0]]


def test_copies_and_pickles() -> None:
    for used in (False, True):
        made = space(name="own")
        if used:
            ab.Model(made.get_inputs(), layers.Dense(1)(made.get_encoded_features()))
            made(TABLE)
        expected = made(TABLE)
        for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
            assert other.get_config() == made.get_config()
            assert torch.equal(other(TABLE), expected)
            other.preprocessors["number"].adapt(np.array([[5.0], [7.0]]))  # which is its own
            assert not torch.equal(other(TABLE), expected)
            assert torch.equal(made(TABLE), expected)
            assert other.get_encoded_features().shape == made.get_encoded_features().shape
    untaught = pickle.loads(pickle.dumps(FeatureSpace({"word": "string_categorical"})))
    with pytest.raises(ValueError, match="has not learned"):
        untaught(TABLE)
    untaught.adapt(TABLE)
    assert untaught({"word": ["zero"]}).shape == (1, 5)


@pytest.mark.on_cpu
def test_in_a_worker_that_is_spawned() -> None:
    made = space()
    rows: Any = [{name: values[row] for name, values in TABLE.items()} for row in range(4)]
    loader = torch.utils.data.DataLoader(rows, batch_size=None, collate_fn=made, num_workers=1, multiprocessing_context="spawn")
    assert torch.equal(torch.stack(list(loader)), made(TABLE))


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
