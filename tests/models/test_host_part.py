"""Models that take strings: their first layers run on the host, the rest is lowered, trained, saved and exported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers

TEXTS = np.array(["the cat sat on the mat", "a dog barked", "cats and dogs", "the end"] * 8)
AGES = np.arange(32.0, dtype="float32")[:, None] / 32
LABELS = np.array([0, 1, 1, 0] * 8)


def _vectorize(**settings: Any) -> Any:
    layer = layers.TextVectorization(**settings)
    layer.adapt(TEXTS)
    return layer


def _pair() -> tuple[Any, Any]:
    """Return a model of strings and numbers, and one of what its first layer gives, on the same layers."""
    vectorize = _vectorize(output_sequence_length=5)
    embed, dense = layers.Embedding(20, 8, mask_zero=True), layers.Dense(1, activation="sigmoid")

    def behind(x: Any, age: Any) -> Any:
        return dense(layers.Concatenate()([layers.GlobalAveragePooling1D()(embed(x)), age]))

    text, age, tokens = ab.Input((1,), dtype="string", name="text"), ab.Input((1,), name="age"), ab.Input((5,), dtype="int64")
    whole = ab.Model([text, age], behind(vectorize(text), age))
    inner = ab.Model([tokens, age], behind(tokens, age))
    return whole, (inner, vectorize)


def test_it_computes_what_its_parts_compute() -> None:
    whole, (inner, vectorize) = _pair()
    wanted = inner.predict([vectorize(TEXTS), AGES], verbose=0)
    assert np.allclose(whole.predict([TEXTS, AGES], verbose=0), wanted)
    assert np.allclose(whole.predict({"text": TEXTS[:, None], "age": AGES}, verbose=0), wanted)
    assert np.allclose(whole([TEXTS.tolist(), AGES]).detach().cpu(), wanted)
    assert np.allclose(whole.predict_on_batch([TEXTS[:2], AGES[:2]]), wanted[:2], atol=1e-6)


def test_it_trains_as_its_parts_train() -> None:
    found = []
    for strings in (True, False):
        ab.utils.set_random_seed(3)
        whole, (inner, vectorize) = _pair()
        model, x = (whole, TEXTS) if strings else (inner, vectorize(TEXTS).cpu().numpy())
        model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
        fitted = model.fit([x, AGES], LABELS, epochs=3, batch_size=8, validation_split=0.25, verbose=0, shuffle=False)
        found.append((fitted.history, model.evaluate([x, AGES], LABELS, verbose=0)))
    for name, values in found[0][0].items():
        assert np.allclose(values, found[1][0][name], rtol=1e-5), name
    assert np.allclose(found[0][1], found[1][1], rtol=1e-5)


def test_batches_of_strings() -> None:
    whole, _ = _pair()
    whole.compile("sgd", "binary_crossentropy")

    def batches() -> Iterator[Any]:
        for at in range(0, 32, 8):
            yield {"text": TEXTS[at : at + 8], "age": AGES[at : at + 8]}, LABELS[at : at + 8]

    assert np.isfinite(whole.fit(batches(), verbose=0).history["loss"]).all()
    assert np.isfinite(whole.train_on_batch([TEXTS, AGES], LABELS))


def test_files_exports_and_drawings(tmp_path: Path) -> None:
    whole, (inner, vectorize) = _pair()
    wanted = whole.predict([TEXTS, AGES], verbose=0)
    whole.save(tmp_path / "model.keras")
    assert np.allclose(ab.saving.load_model(tmp_path / "model.keras").predict([TEXTS, AGES], verbose=0), wanted)
    module = whole.to_torch()
    tokens = vectorize(TEXTS)
    assert np.allclose(module(tokens, ab.ops.convert_to_tensor(AGES)).detach().cpu(), wanted, atol=1e-6)
    assert "text_vectorization" in ab.insight.summarise(whole).text()
    assert whole.cost().params == inner.cost().params


def test_a_sequential_that_begins_with_text() -> None:
    vectorize = _vectorize(output_mode="multi_hot")
    trained = ab.Sequential([ab.Input((vectorize.vocabulary_size(),)), layers.Dense(3)])
    model = ab.Sequential([vectorize, trained, layers.Activation("softmax")])
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    wanted = ab.activations.softmax(trained(vectorize(TEXTS))).detach().cpu()
    assert np.allclose(model.predict(TEXTS, verbose=0), wanted, atol=1e-6)
    assert np.allclose(model(TEXTS[:, None].tolist()).detach().cpu(), wanted, atol=1e-6)
    assert len(model.evaluate(TEXTS, LABELS, verbose=0)) == 2


def test_strings_crossed_and_looked_up() -> None:
    color, size = ab.Input((1,), dtype="string"), ab.Input((1,), dtype="int64")
    lookup = layers.StringLookup(vocabulary=["red", "blue"], output_mode="one_hot")
    crossed = layers.HashedCrossing(7, output_mode="one_hot")([color, size])
    model = ab.Model([color, size], layers.Concatenate()([lookup(color), crossed, layers.CategoryEncoding(4)(size)]))
    found = model.predict([np.array(["red", "green"]), np.array([1, 2])], verbose=0)
    assert found.shape == (2, 3 + 7 + 4)
    assert found[:, :3].tolist() == [[0, 1, 0], [1, 0, 0]]
    assert found[:, 10:].argmax(1).tolist() == [1, 2]


def test_strings_elsewhere_are_refused() -> None:
    x = ab.Input((1,), dtype="string")
    with pytest.raises(ValueError, match="Strings go into Dense"):
        ab.Model(x, layers.Dense(2)(x)).predict(TEXTS, verbose=0)
    whole, _ = _pair()
    with pytest.raises(ValueError, match="does not hold strings"):
        whole.predict([np.ones(32), AGES], verbose=0)
    with pytest.raises(ValueError, match="another shape"):
        whole.predict([np.array([["a", "b"]] * 32), AGES], verbose=0)
