"""Where a classifier is wrong: its confusion matrix, and the samples with the highest loss; images as pictures."""

from __future__ import annotations

import dataclasses
import heapq
import operator
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from anabranch import _tree
from anabranch._arguments import checked
from anabranch._asked import answers, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from anabranch._frames import bound_methods
from anabranch._tables import Column, Table
from anabranch.callbacks.curves import pyplot
from anabranch.graph import Operation
from anabranch.insight.pixels import images, inline, is_image

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

CHUNK = 1024  # samples predicted at once, of arrays
MOST_CLASSES = 20  # of a matrix that is shown; of more, the commonest confusions are
MOST_PAIRS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Mistake:
    """A sample that was classified wrongly.

    Args:
        index: its position in the data.
        true: the index of its class.
        predicted: that of the class it was taken for.
        probability: of the predicted class.
        true_probability: of its own class.
        loss: the cross-entropy.
        image: the sample, where it is an image.

    Example:
        >>> Mistake(17, true=0, predicted=1, probability=0.8, true_probability=0.2, loss=1.609).predicted
        1
    """

    index: int
    true: int
    predicted: int
    probability: float
    true_probability: float
    loss: float
    image: Array | None = dataclasses.field(default=None, repr=False)


@bound_methods
@dataclasses.dataclass(frozen=True, eq=False)
class Mistakes:
    r"""What a classifier got wrong; text, HTML and a plot are views of it.

    Args:
        matrix: counts of samples, by true class (row) and predicted class (column).
        worst: the wrong samples with the highest loss, the worst first.
        class_names: the names of the classes.

    Example:
        >>> import numpy as np
        >>> found = Mistakes(np.array([[5, 1], [0, 4]]), [], ["cat", "dog"])
        >>> print(found)
        1 of 10 wrong, accuracy 90.0%
        <BLANKLINE>
        true \ predicted  0  1
        0 cat             5  1
        1 dog             .  4
        >>> found.confusions()
        [(0, 1, 1)]
    """

    matrix: Array
    worst: list[Mistake]
    class_names: list[str]

    @property
    def total(self) -> int:
        """How many samples were classified."""
        return int(self.matrix.sum())

    @property
    def wrong(self) -> int:
        """How many were classified wrongly."""
        return self.total - int(self.matrix.trace())

    @property
    def accuracy(self) -> float:
        """The fraction that was classified correctly."""
        return 1 - self.wrong / self.total

    def confusions(self) -> list[tuple[int, int, int]]:
        """Return the pairs of a true and a predicted class that differ, with their counts, the commonest first."""
        rows, columns = self.matrix.nonzero()
        pairs = [(int(a), int(b), int(self.matrix[a, b])) for a, b in zip(rows, columns, strict=True) if a != b]
        return sorted(pairs, key=lambda pair: -pair[2])

    def records(self) -> list[dict[str, Any]]:
        """Return the worst mistakes as dicts, with the names of the classes and without the images, for pandas."""
        known = ("index", "probability", "true_probability", "loss")
        names = self.class_names
        return [
            {"true": names[each.true], "predicted": names[each.predicted], **{name: vars(each)[name] for name in known}}
            for each in self.worst
        ]

    def text(self) -> str:
        """Return the accuracy, the matrix and the worst mistakes as text; ``str()`` is this text."""
        parts = [self._title(), "", (self._matrix() if self._fits() else self._pairs()).text()]
        return "\n".join([*parts, *(["", self._table().text()] if self.worst else [])])

    def plot(self) -> list[Any]:
        """Draw the matrix and the images by matplotlib, and return the panels' axes.

        Raises:
            MissingExtraError: matplotlib is not installed: ``pip install anabranch[plots]``.
        """
        pictures = self._pictures()
        columns = min(len(pictures), 8) or 1
        rows = -(-len(pictures) // columns)
        size = max(5, 1.2 * columns), 5 + 1.5 * rows
        figure = pyplot("plot()").figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(1 + rows, columns, height_ratios=[5, *[1.5] * rows])
        matrix = figure.add_subplot(grid[0, :])
        matrix.imshow(self.matrix, cmap="Blues")
        matrix.set(title=self._title(), xlabel="predicted", ylabel="true")
        if self._fits():
            ticks = range(len(self.class_names))
            matrix.set_xticks(ticks, self.class_names, rotation=90)
            matrix.set_yticks(ticks, self.class_names)
        axes = [matrix]
        for place, (each, image) in enumerate(pictures):
            axis = figure.add_subplot(grid[1 + place // columns, place % columns])
            axis.imshow(image)
            axis.set_axis_off()
            axis.set_title(f"{self.class_names[each.true]}\nas {self.class_names[each.predicted]}", fontsize=7)
            axes.append(axis)
        return axes

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Mistakes: {self._title()}>"

    def _repr_html_(self) -> str:
        matrix = self._colored() if self._fits() else self._pairs().html()
        pictures = self._pictures()
        if not pictures:
            return f"<div>{escape(self._title())}</div>{matrix}{self._table().html() if self.worst else ''}"
        figures = "".join(
            '<figure style="display:inline-block;margin:4px;width:96px;vertical-align:top;font-size:11px">'
            f"{inline(image, self._caption(each))}<figcaption>{escape(self._caption(each))}<br>index {each.index}</figcaption>"
            "</figure>"
            for each, image in pictures
        )
        return f"<div>{escape(self._title())}</div>{matrix}<div>{figures}</div>"

    def _pictures(self) -> list[tuple[Mistake, Array]]:
        found = [(each, each.image) for each in self.worst if each.image is not None]
        return list(zip([each for each, _ in found], images([image for _, image in found]), strict=True))

    def _title(self) -> str:
        return f"{self.wrong:,} of {self.total:,} wrong, accuracy {self.accuracy:.1%}"

    def _fits(self) -> bool:
        return len(self.class_names) <= MOST_CLASSES

    def _caption(self, each: Mistake) -> str:
        return f"{self.class_names[each.true]}, taken for {self.class_names[each.predicted]} ({each.probability:.0%})"

    def _matrix(self) -> Table:
        """Return the matrix as a table: a row for each true class, a column for each predicted one."""
        count = range(len(self.class_names))
        columns = [Column("true \\ predicted"), *(Column(str(k), right=True) for k in count)]
        rows = [
            [_numbered(k, self.class_names[k]), *(f"{value:,}" if value else "." for value in self.matrix[k])] for k in count
        ]
        return Table(columns, rows)

    def _pairs(self) -> Table:
        columns = [Column("true"), Column("predicted"), Column("samples", right=True)]
        names = self.class_names
        return Table(columns, [(names[a], names[b], f"{count:,}") for a, b, count in self.confusions()[:MOST_PAIRS]])

    def _table(self) -> Table:
        titles = ("index", "true", "predicted", "probability", "of the true class", "loss")
        names = self.class_names
        rows = [
            (
                str(each.index), names[each.true], names[each.predicted], f"{each.probability:.3f}",
                f"{each.true_probability:.3f}", f"{each.loss:.3f}",
            )
            for each in self.worst
        ]  # fmt: skip
        return Table([Column(title, right=title not in ("true", "predicted")) for title in titles], rows)

    def _colored(self) -> str:
        """Return the matrix as HTML; a cell's color is its fraction of the row: right ones blue, wrong ones orange."""
        names = [escape(name) for name in self.class_names]
        head = "".join(f'<th title="{name}">{k}</th>' for k, name in enumerate(names))
        rows = []
        for true, counts in enumerate(self.matrix):
            cells = []
            for predicted, count in enumerate(counts):
                color = "59,130,246" if predicted == true else "249,115,22"
                alpha = round(float(count) / max(int(counts.sum()), 1), 2)
                cells.append(f'<td style="background:rgba({color},{alpha:g})">{count or ""}</td>')
            rows.append(f"<tr><th>{escape(_numbered(true, self.class_names[true]))}</th>{''.join(cells)}</tr>")
        return f"<table><tr><th>true \\ predicted</th>{head}</tr>{''.join(rows)}</table>"


def _numbered(index: int, name: str) -> str:
    return name if name == str(index) else f"{index} {name}"


@checked
def mistakes(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    count: int = 16,
    class_names: Sequence[str] | None = None,
    batch_size: int | None = None,
) -> Mistakes:
    """Return where a classifier is wrong: the confusion matrix, and the wrong samples with the highest cross-entropy.

    In a notebook the worst are shown as pictures, where samples are images. What the model returns is read as logits where the
    compiled loss says so, or where it is no probability.

    Args:
        model: a model with one output, (B, classes), or (B, 1) for two classes.
        x: samples, or batches of samples and labels: a DataLoader, a ``PyDataset``, a generator that ends.
        y: labels, as class indexes (B,) or one-hot (B, classes); None where ``x`` has them.
        count: how many of the worst mistakes are returned.
        class_names: a name for each class; None: the indexes.
        batch_size: how many samples the model predicts at once; None as ``predict`` has it.

    Returns:
        An object with ``matrix``, ``worst``, ``confusions()``, ``records()``, ``plot()``; printed it is a text.

    Raises:
        ShapeError: the model does not return a row of class scores per sample.
        DataError: a label is no class index of the model's.

    Example:
        >>> import numpy as np
        >>> from anabranch import Input, Model, layers
        >>> x = Input((3,))
        >>> model = Model(x, layers.Activation("softmax")(x))
        >>> found = mistakes(model, np.eye(3), np.array([0, 1, 0]), class_names=["cat", "dog", "bird"])
        >>> found
        <Mistakes: 1 of 3 wrong, accuracy 66.7%>
        >>> found.matrix.tolist()
        [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
        >>> found.records()[0]["true"], found.records()[0]["predicted"], found.worst[0].index
        ('cat', 'bird', 2)
    """
    import numpy as np

    if not _is_model(model):
        raise ArgumentTypeError("model of mistakes must be a model.", got=shown(model))
    if count < 0:
        raise ArgumentError("count of mistakes must be an integer ≥ 0.", got=shown(count))
    matrix = None
    worst: list[tuple[float, int, Mistake]] = []
    seen = 0
    for inputs, labels in _batches(x, y):
        scores = _probabilities(model, model.predict(inputs, batch_size=batch_size, verbose=0))
        true = _class_indexes(labels, scores.shape)
        predicted = scores.argmax(1)
        if matrix is None:
            matrix = np.zeros((scores.shape[1], scores.shape[1]), "int64")
        np.add.at(matrix, (true, predicted), 1)
        of_true = scores[np.arange(len(true)), true]
        loss = -np.log(np.maximum(of_true, np.finfo("float64").tiny))
        wrong = np.flatnonzero(predicted != true)
        for row in wrong[np.argsort(-loss[wrong], kind="stable")[:count]].tolist():
            entry = Mistake(
                seen + row, int(true[row]), int(predicted[row]), float(scores[row, predicted[row]]), float(of_true[row]),
                float(loss[row]), _image(inputs, row),
            )  # fmt: skip
            heapq.heappush(worst, (entry.loss, -entry.index, entry))
            if len(worst) > count:
                heapq.heappop(worst)
        seen += len(true)
    if matrix is None:
        raise DataError("x of mistakes gave no sample.", expected="at least one")
    names = _names(class_names, len(matrix))
    return Mistakes(matrix, [entry for _, _, entry in sorted(worst, key=lambda each: (-each[0], -each[1]))], names)


def _is_model(value: object) -> bool:
    return isinstance(value, Operation) and answers(value, "predict")


def _names(class_names: Sequence[str] | None, count: int) -> list[str]:
    if class_names is None:
        return [str(index) for index in range(count)]
    if isinstance(class_names, str) or len(class_names) != count or not all(isinstance(name, str) for name in class_names):
        raise ArgumentError(
            "class_names of mistakes must have a name for each class.", expected=f"{count} strings", got=shown(class_names)
        )
    return list(class_names)


def _batches(x: object, y: object) -> Iterator[tuple[Any, Array]]:
    """Yield samples and labels, as arrays, in batches."""
    if y is not None:
        arrays, labels = _tree.map_leaves(_array, x), _array(y)
        lengths = {len(leaf) if leaf.ndim else -1 for leaf in (*_tree.leaves(arrays), labels)}
        if len(lengths) != 1 or -1 in lengths:
            sizes = [list(leaf.shape) for leaf in _tree.leaves(arrays)]
            raise DataError("x and y have different numbers of samples.", got=f"x {sizes}, y {list(labels.shape)}")
        for begin in range(0, len(labels), CHUNK):
            part = slice(begin, begin + CHUNK)
            yield _tree.map_leaves(operator.itemgetter(part), arrays), labels[part]
        return
    if answers(x, "shape") or not isinstance(x, Iterable) or isinstance(x, (str, bytes, dict)):
        raise ArgumentError(
            "Labels are missing.", expected="y, or batches (x, y)", got=shown(x), repair="mistakes(model, x, y)"
        )
    for batch in x:
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise DataError("x of mistakes must yield samples and labels.", expected="(x, y)", got=shown(batch))
        yield _tree.map_leaves(_array, batch[0]), _array(batch[1])


def _array(value: Any) -> Array:
    from anabranch import ops

    return ops.convert_to_numpy(value)


def _probabilities(model: Any, output: object) -> Array:
    """Return the probability of each class, (B, classes)."""
    import numpy as np

    if not isinstance(output, np.ndarray) or output.ndim not in (1, 2) or not output.size:
        got = list(output.shape) if isinstance(output, np.ndarray) else shown(output)
        raise ShapeError(
            "mistakes needs a model that classifies samples.", expected="one output of shape (batch, classes)", got=str(got),
            repair="for a model of several outputs, Model(model.input, model.get_layer(…).output) has one",
        )  # fmt: skip
    scores = output.reshape(len(output), -1).astype("float64")
    two = scores.shape[1] == 1
    losses = _tree.leaves(model._compiled_.given.loss) if model._compiled_ else []
    said = [loss.from_logits for loss in losses if answers(loss, "from_logits")]
    within = bool((scores >= 0).all() and (scores <= 1).all())
    is_distribution = within and (two or bool(np.allclose(scores.sum(1), 1, atol=1e-2)))
    if any(said) or not is_distribution:
        if two:
            scores = 1 / (1 + np.exp(-np.clip(scores, -700, 700)))
        else:
            exponents = np.exp(scores - scores.max(1, keepdims=True))
            scores = exponents / exponents.sum(1, keepdims=True)
    return np.concatenate([1 - scores, scores], 1) if two else scores


def _class_indexes(labels: Array, shape: tuple[int, ...]) -> Array:
    """Return labels, which may be one-hot, as class indexes."""
    samples, classes = shape
    one_hot = labels.ndim == 2 and labels.shape[1] == classes
    found = labels.argmax(1) if one_hot else labels.reshape(-1)
    if len(found) != samples:
        raise DataError(
            "y of mistakes must have one label for each sample.", expected=f"({samples},) or ({samples}, {classes})",
            got=str(labels.shape),
        )  # fmt: skip
    indexes = found.astype("int64")
    if (indexes != found).any() or indexes.min(initial=0) < 0 or indexes.max(initial=0) >= classes:
        wrong = found[(indexes != found) | (indexes < 0) | (indexes >= classes)][0]
        raise DataError("A label is no class index.", expected=f"integers from 0 to {classes - 1}", got=str(wrong))
    return indexes


def _image(inputs: object, row: int) -> Array | None:
    """Return a sample's image: the first input that is one."""
    for leaf in _tree.leaves(inputs):
        if is_image(leaf.shape[1:]):
            image: Array = leaf[row].copy()
            return image
    return None
