"""Where a classifier is wrong: matrix and worst samples against NumPy, from every kind of data, as text, HTML and plots."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import pytest
import torch

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from anabranch.insight import Mistakes, mistakes, pixels

NAMES = ["cat", "dog", "bird", "<frog>"]
RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(200, 8, 8, 3)).astype("float32")
Y = RANDOM.integers(0, 4, 200)


@pytest.fixture(scope="module")
def model() -> Any:
    return made()


def made(activation: str | None = None, loss: Any = None, units: int = 4) -> Any:
    ab.utils.set_random_seed(1)
    x = ab.Input((8, 8, 3))
    found = ab.Model(x, layers.Dense(units, activation=activation)(layers.Flatten()(x)))
    if loss is not None:
        found.compile("sgd", loss)
    return found


def softmax(scores: Any) -> Any:
    exponents = np.exp(scores.astype("float64"))
    return exponents / exponents.sum(1, keepdims=True)


def expected(model: Any) -> tuple[Any, list[int], Any]:
    """Return the matrix, the indexes of the wrong samples from the worst on, and the losses."""
    probabilities = softmax(model.predict(X, verbose=0))
    matrix = np.zeros((4, 4), int)
    losses = -np.log(probabilities[np.arange(len(Y)), Y])
    for true, predicted in zip(Y, probabilities.argmax(1), strict=True):
        matrix[true, predicted] += 1
    wrong = [index for index in np.argsort(-losses) if probabilities[index].argmax() != Y[index]]
    return matrix, wrong, losses


def same(found: Mistakes, model: Any, count: int = 16) -> None:
    matrix, wrong, losses = expected(model)
    assert found.matrix.tolist() == matrix.tolist()
    assert [each.index for each in found.worst] == wrong[:count]
    np.testing.assert_allclose([each.loss for each in found.worst], losses[wrong[:count]], rtol=1e-4)
    assert all(each.true == Y[each.index] != each.predicted for each in found.worst)
    assert found.total == 200
    assert found.wrong == len(wrong)
    assert found.accuracy == pytest.approx(1 - len(wrong) / 200)


class Batches(ab.utils.PyDataset):
    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> Any:
        part = slice(index * 30, index * 30 + 30)
        return X[part], Y[part]


@pytest.mark.parametrize(
    "data",
    [
        (X, Y), (X, Y[:, None]), (X, np.eye(4)[Y]), (torch.from_numpy(X), torch.from_numpy(Y)), (Batches(),),
        (torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), 32),),
        ([(X[:50], Y[:50], np.ones(50)), (X[50:], Y[50:], np.ones(150))],),
    ],
)  # fmt: skip
def test_every_kind_of_data_gives_the_same(model: Any, data: Any) -> None:
    same(mistakes(model, *data), model)


def test_more_samples_than_are_predicted_at_once(model: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("anabranch.insight.mistaken.CHUNK", 33)
    same(mistakes(model, X, Y, count=5), model, 5)
    assert mistakes(model, X, Y, count=0).worst == []


def test_probabilities_and_logits_give_the_same(model: Any) -> None:
    of_logits = mistakes(model, X, Y)
    for other in (made("softmax"), made("softmax", "sparse_categorical_crossentropy"),
                  made(loss=ab.losses.SparseCategoricalCrossentropy(from_logits=True)),
                  made(loss=[ab.losses.SparseCategoricalCrossentropy(from_logits=True)])):  # fmt: skip
        found = mistakes(other, X, Y)
        np.testing.assert_allclose([e.loss for e in found.worst], [e.loss for e in of_logits.worst], rtol=1e-4)


def test_the_compiled_loss_says_what_outputs_are() -> None:
    """Logits that look like probabilities are logits where the loss says so."""
    x = ab.Input((2,))
    model = ab.Model(x, layers.Activation("linear")(x))
    data = np.array([[0.9, 0.1]]), np.array([1])
    assert mistakes(model, *data).worst[0].probability == pytest.approx(0.9)
    model.compile("sgd", ab.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert mistakes(model, *data).worst[0].probability == pytest.approx(1 / (1 + np.exp(-0.8)))


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_two_classes_by_one_output(activation: str | None) -> None:
    model, y = made(activation, units=1), Y % 2
    scores = model.predict(X, verbose=0)[:, 0]
    predicted = scores > (0.5 if activation else 0)
    found = mistakes(model, X, y[:, None])
    assert found.matrix.tolist() == [[int(((y == a) & (predicted == b)).sum()) for b in (0, 1)] for a in (0, 1)]


def test_the_text(model: Any) -> None:
    found = mistakes(model, X, Y, count=3, class_names=NAMES)
    lines = str(found).splitlines()
    assert lines[0] == repr(found).removeprefix("<Mistakes: ").removesuffix(">")
    assert re.fullmatch(r"\d+ of 200 wrong, accuracy \d\d\.\d%", lines[0])
    assert [int(word) for word in lines[3].split()[2:]] == found.matrix[0].tolist()
    assert lines[3].startswith("0 cat ")
    assert len(lines) == 2 + 5 + 1 + 4
    assert re.fullmatch(rf" *{found.worst[0].index}  \S+ +\S+ +0\.\d+ +0\.\d+ +\d\.\d+", lines[-3])
    assert found.records()[0]["true"] == NAMES[found.worst[0].true]


def test_many_classes_are_shown_by_pairs() -> None:
    x = ab.Input((30,))
    found = mistakes(ab.Model(x, layers.Softmax()(x)), np.eye(30)[[3, 3, 3, 4]], np.array([7, 7, 3, 4]))
    assert found.confusions() == [(7, 3, 2)]
    assert "7     3                2" in str(found)
    assert "<td>7</td><td>3</td><td>2</td>" in found._repr_html_()


def test_html_has_pictures(model: Any) -> None:
    html = mistakes(model, X, Y, count=5, class_names=NAMES)._repr_html_()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)" alt="([^"]+)"', html)
    assert len(pictures) == 5
    assert PIL.Image.open(io.BytesIO(base64.b64decode(pictures[0][0]))).size == (8, 8)
    assert "taken for" in pictures[0][1]
    assert "<frog>" not in html
    assert "&lt;frog&gt;" in html
    assert len(html) < 8000


def test_what_is_no_image_is_a_table() -> None:
    x = ab.Input((4,))
    found = mistakes(ab.Model(x, layers.Softmax()(x)), np.eye(4), np.array([0, 0, 2, 3]))
    assert "<img" not in found._repr_html_()
    assert found.worst[0].image is None
    assert "of the true class" in found._repr_html_()


@pytest.fixture
def _no_window() -> Iterator[None]:
    matplotlib.use("agg")
    yield
    plt.close("all")


@pytest.mark.usefixtures("_no_window")
def test_plot(model: Any) -> None:
    axes = mistakes(model, X, Y, count=5, class_names=NAMES).plot()
    assert len(axes) == 6
    assert [label.get_text() for label in axes[0].get_yticklabels()] == NAMES
    assert axes[1].images[0].get_array().shape == (8, 8, 3)
    axes[0].figure.savefig(io.BytesIO())
    assert len(mistakes(model, X, Y, count=0).plot()) == 1


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda m: mistakes(3, X, Y), ArgumentTypeError, "must be a model"),
        (lambda m: mistakes(m, X), ArgumentError, "Labels are missing"),
        (lambda m: mistakes(m, X, Y[:-1]), DataError, "different numbers of samples"),
        (lambda m: mistakes(m, X, Y + 1), DataError, "integers from 0 to 3"),
        (lambda m: mistakes(m, X, Y + 0.5), DataError, "A label is no class index"),
        (lambda m: mistakes(m, X, Y, class_names=["a"]), ArgumentError, "4 strings"),
        (lambda m: mistakes(m, X, Y, count=-1), ArgumentError, "integer ≥ 0"),
        (lambda m: mistakes(m, [X]), DataError, "must yield samples and labels"),
        (lambda m: mistakes(m, []), DataError, "gave no sample"),
        (lambda m: mistakes(ab.Model(m.input, m.input), X, Y), ShapeError, "one output of shape"),
        (lambda m: mistakes(ab.Model(m.input, [m.output, m.output]), X, Y), ShapeError, "one output of shape"),
    ],
)
def test_nonsense_is_refused(model: Any, make: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        make(model)


# Pictures


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7), (5, 7, 1), (3, 5, 7), (5, 7, 4)])
def test_png_holds_the_pixels(shape: tuple[int, ...]) -> None:
    sample = RANDOM.integers(0, 256, shape).astype("uint8")
    (image,) = pixels.images([sample])
    read = np.asarray(PIL.Image.open(io.BytesIO(pixels.png(image))))
    colors = sample.transpose(1, 2, 0) if shape[0] == 3 else sample[..., None] if len(shape) == 2 else sample[..., :3]
    assert read.tolist() == np.broadcast_to(colors, (5, 7, 3)).tolist()


def test_values_are_read_as_what_they_seem() -> None:
    uint8 = RANDOM.integers(0, 256, (4, 4, 3)).astype("uint8")
    for other in (uint8.astype("float32"), uint8 / 255, uint8.astype("int64")):
        assert pixels.images([other])[0].tolist() == uint8.tolist()
    standardized = (uint8 - 127.0) / 50
    stretched = pixels.images([standardized])[0].astype(int)
    assert (stretched.min(), stretched.max()) == (0, 255)
    assert pixels.images([np.full((4, 4), np.nan)])[0].tolist() == [[[0] * 3] * 4] * 4


def test_large_images_are_made_small() -> None:
    assert pixels.small(np.zeros((224, 300, 3), "uint8")).shape == (45, 60, 3)
