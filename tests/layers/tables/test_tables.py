"""Layers of text and tables beside Keras on TensorFlow, whose results are in a file, and on their own."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers

GOLDEN = json.loads((Path(__file__).parent / "keras_tensorflow.json").read_text("utf-8"))["cases"]


def _made(case: dict[str, Any]) -> Any:
    layer = getattr(layers, case["layer"])(**case["config"])
    if "adapt" in case:
        layer.adapt(np.array(case["adapt"]))
    return layer


def _values(output: Any) -> np.ndarray:
    return output if isinstance(output, np.ndarray) else output.cpu().numpy()


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['layer']} {case['config']}"[:60])
def test_equals_keras_on_tensorflow(case: dict[str, Any]) -> None:
    layer = _made(case)
    found = _values(layer(case["inputs"]))
    wanted = np.array(case["output"])
    assert found.shape == wanted.shape
    if found.dtype.kind == "f":
        assert np.allclose(found, wanted, atol=1e-6)
    else:
        assert found.tolist() == wanted.tolist()
    if case["vocabulary"] is not None:
        assert layer.get_vocabulary() == case["vocabulary"]
    again = type(layer).from_config(layer.get_config())
    if "adapt" not in case:
        assert np.array_equal(_values(again(case["inputs"])), found)


def test_strings_in_any_container_are_the_same() -> None:
    layer = layers.StringLookup(vocabulary=["a", "ü"])
    rows = [["a", "x"], ["ü", "a"]]
    bytes_of = np.array([[word.encode() for word in row] for row in rows], dtype=object)
    for data in (rows, tuple(map(tuple, rows)), np.array(rows), np.array(rows, dtype=object), bytes_of):
        assert layer(data).tolist() == [[1, 0], [2, 1]]
    assert layer("a").item() == 1
    assert layer([]).tolist() == []


@pytest.mark.parametrize(
    ("data", "words"), [([["a"], ["b", "c"]], "ragged"), ([1, 2], "strings"), (["a", None], "strings"), (object(), "strings")]
)
def test_what_holds_no_strings_is_refused(data: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        layers.StringLookup(vocabulary=["a"])(data)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), "twice"),
        (lambda: layers.StringLookup(vocabulary=["b", "a"], mask_token="a"), "mask_token"),
        (lambda: layers.StringLookup(vocabulary=["a", "b"], max_tokens=2), "max_tokens"),
        (lambda: layers.StringLookup(vocabulary=[]), "has tokens"),
        (lambda: layers.StringLookup(sparse=True), "sparse"),
        (lambda: layers.StringLookup(invert=True, output_mode="count"), "invert"),
        (lambda: layers.StringLookup(pad_to_max_tokens=True), "max_tokens"),
        (lambda: layers.StringLookup(vocabulary=["a"], output_mode="tf_idf"), "idf_weights"),
        (lambda: layers.IntegerLookup(vocabulary=[1], salt=3), "farmhash"),
        (lambda: layers.IntegerLookup(vocabulary=["x"]), "integers"),
        (lambda: layers.Hashing(3, dtype="float32"), "integers"),
        (lambda: layers.Discretization(), "boundaries"),
        (lambda: layers.Discretization([2.0, 1.0]), "sorted"),
        (lambda: layers.StringLookup(vocabulary=["a"]).adapt(["b"]), "was given its vocabulary"),
        (lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["b"]), "not in its vocabulary"),
        (lambda: layers.IntegerLookup(vocabulary=[1], num_oov_indices=0)([2]), "not in its vocabulary"),
        (lambda: layers.StringLookup(output_mode="count")([["b"]]), "no vocabulary"),
        (lambda: layers.Discretization(num_bins=2)([1.0]), "no boundaries"),
        (lambda: layers.HashedCrossing(3)([["a"], ["b", "c"]]), "equal shapes"),
        (lambda: layers.HashedCrossing(3)(["a"]), "two features"),
        (lambda: layers.CategoryEncoding(3)([[1]], count_weights=[[1.0]]), "count_weights"),
        (lambda: layers.TextVectorization(ragged=True), "ragged"),
        (lambda: layers.TextVectorization(output_mode="one_hot"), "different lengths"),
        (lambda: layers.TextVectorization(output_mode="count", output_sequence_length=3), "output_sequence_length"),
        (lambda: layers.TextVectorization(standardize="loewr"), "lower"),
        (lambda: layers.TextVectorization(vocabulary=["a"])([["a", "b"]]), "one a sample"),
        (lambda: layers.TextVectorization(output_mode="count")(["b"]), "weights|vocabulary"),
        (lambda: setattr(layers.TextVectorization(), "max_tokens", 7), "cannot change"),
        (lambda: layers.TextVectorization.from_config({"vocabulary": "/etc/passwd"}), "names a file"),
        (lambda: layers.StringLookup.from_config({"vocabulary": "/etc/passwd"}), "names a file"),
    ],
)
def test_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_category_encoding_takes_weights() -> None:
    layer = layers.CategoryEncoding(4, output_mode="count")
    assert layer([[1, 1, 3]], count_weights=np.array([[0.5, 1.0, 2.0]])).tolist() == [[0.0, 1.5, 0.0, 2.0]]


def test_adapt_takes_batches_and_steps() -> None:
    batches = [np.array(["a", "b"]), np.array(["b", "c"]), np.array(["d", "d"])]
    layer = layers.StringLookup()
    layer.adapt(iter(batches), steps=2)
    assert layer.get_vocabulary() == ["[UNK]", "b", "c", "a"]
    layer.adapt((batch, 1) for batch in batches)
    assert layer.get_vocabulary() == ["[UNK]", "d", "b", "c", "a"]


def test_a_vocabulary_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("earth\nwind\n")
    layer = layers.StringLookup(vocabulary=path)
    assert layer.get_vocabulary() == ["[UNK]", "earth", "wind"]
    assert layer.get_config()["vocabulary"] is None


def test_a_vocabulary_cannot_change_a_graph() -> None:
    layer = layers.StringLookup(vocabulary=["a"], output_mode="multi_hot")
    y = layer(ab.Input((2,), dtype="string"))
    assert y.shape == (None, 2)
    with pytest.raises(ValueError, match="cannot change its size"):
        layer.set_vocabulary(["a", "b"])
    assert layer.get_vocabulary() == ["[UNK]", "a"]


def test_copies_and_pickles_keep_what_was_learned() -> None:
    layer = layers.IntegerLookup(output_mode="count")
    layer.adapt([3, 3, 5])
    x = ab.Input((2,), dtype="int64")
    model = ab.Model(x, layer(x))
    wanted = model(np.array([[3, 9]])).tolist()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.edit(weights="copied")):
        assert twin(np.array([[3, 9]])).tolist() == wanted == [[1.0, 1.0, 0.0]]


def test_learning_anew_reaches_a_compiled_model() -> None:
    layer = layers.IntegerLookup()
    layer.adapt([3, 3, 5])
    x = ab.Input((1,), dtype="int64")
    model = ab.Model(x, layer(x))
    assert model.predict(np.array([[3], [5]]), verbose=0).tolist() == [[1], [2]]
    layer.adapt([5, 5, 3])
    assert model.predict(np.array([[3], [5]]), verbose=0).tolist() == [[2], [1]]


def test_hashing_inside_a_model_runs_on_the_host() -> None:
    x = ab.Input((2,), dtype="int64")
    layer = layers.Hashing(100)
    model = ab.Model(x, layer(x + 1))
    assert model(np.array([[1, 2]])).tolist() == layer([[2, 3]]).tolist()


def test_discretization_learns_in_parts() -> None:
    data = np.random.default_rng(0).normal(size=1000).astype("float32")
    layer = layers.Discretization(num_bins=5)
    layer.adapt(iter(np.split(data, 10)))
    shares = np.bincount(layer(data).cpu().numpy(), minlength=5) / 1000
    assert np.abs(shares - 0.2).max() < 0.03
    again = layers.Discretization.from_config(layer.get_config())
    assert again.bin_boundaries == layer.bin_boundaries
    assert again.num_bins == 5


def _upper(texts: np.ndarray) -> np.ndarray:
    assert texts.dtype.kind == "U"
    return np.char.upper(texts)


def _commas(texts: np.ndarray) -> list[list[str]]:
    return [text.split(",") for text in texts.tolist()]


def test_bins_go_into_layers_of_floats() -> None:
    x, dense = ab.Input((4,)), layers.Dense(3)
    bins = layers.Discretization(bin_boundaries=[-0.5, 0.0, 0.7])(x)
    values = np.array([[-1.0, -0.1, 0.2, 0.9]], "float32")
    found = ab.Model(x, dense(bins)).predict(values, verbose=0)
    np.testing.assert_allclose(found, np.array([[0.0, 1, 2, 3]]) @ dense.kernel.numpy() + dense.bias.numpy(), rtol=1e-6)


def test_functions_of_arrays_standardize_and_split() -> None:
    layer = layers.TextVectorization(standardize=_upper, split=_commas, vocabulary=["A", "B C"])
    assert layer(["a,b c", "b"]).tolist() == [[2, 3], [1, 0]]
    with ab.utils.custom_object_scope({"_upper": _upper, "_commas": _commas}):
        again = layers.TextVectorization.from_config(layer.get_config())
    assert again(np.array([["a,b c"]])).tolist() == [[2, 3]]


@pytest.mark.parametrize("mode", ["int", "tf_idf"])
def test_text_in_files_copies_and_pickles(tmp_path: Path, mode: str) -> None:
    layer = layers.TextVectorization(output_mode=mode)
    layer.adapt(["the cat sat", "the dog"])
    x = ab.Input((1,), dtype="string")
    model = ab.Model(x, layer(x))
    wanted = layer(["the dog barks"]).tolist()
    model.save(tmp_path / "model.keras")
    read = ab.saving.load_model(tmp_path / "model.keras")
    for twin in (read, copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.edit(weights="copied")):
        assert twin.layers[1](["the dog barks"]).tolist() == wanted
        assert twin.layers[1].get_vocabulary() == layer.get_vocabulary()


def test_a_loader_vectorizes_text() -> None:
    torch = pytest.importorskip("torch")
    layer = layers.TextVectorization(vocabulary=["cat", "dog"], output_sequence_length=3)
    data = [("the cat", 0), ("a dog", 1), ("dog cat", 1)]

    def batch(items: list[tuple[str, int]]) -> tuple[Any, Any]:
        texts, labels = zip(*items, strict=True)
        return layer(list(texts)), torch.tensor(labels)

    loader = torch.utils.data.DataLoader(data, batch_size=2, collate_fn=batch)
    model = ab.Sequential([ab.Input((3,), dtype="int64"), layers.Embedding(4, 2), layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", ab.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert np.isfinite(model.fit(loader, verbose=0).history["loss"]).all()


def test_a_vocabulary_that_is_set_later_is_in_the_config(tmp_path: Path) -> None:
    words = np.array(["a", "b", "c"])
    for layer in (layers.StringLookup(vocabulary=["a", "b"]), layers.TextVectorization(vocabulary=["a", "b"])):
        x = ab.Input((), dtype="string")
        model = ab.Model(x, layer(x))
        before = np.asarray(model.predict(words))
        layer.set_vocabulary(["c", "b"])
        after = np.asarray(model.predict(words))
        assert not np.array_equal(before, after)
        model.save(tmp_path / "a.keras")
        copied = ab.Model.from_config(model.get_config()), ab.models.clone_model(model)
        for found in (*copied, ab.models.load_model(tmp_path / "a.keras")):
            np.testing.assert_array_equal(np.asarray(found.predict(words)), after)
    weighted = layers.StringLookup(vocabulary=["a", "b"], idf_weights=[1.0, 2.0], output_mode="tf_idf")
    weighted.set_vocabulary(["c", "d"], [3.0, 4.0])
    assert layers.StringLookup.from_config(weighted.get_config())(["c"]).tolist() == weighted(["c"]).tolist()
