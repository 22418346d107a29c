"""What a metric takes and refuses: names, shapes, users' metrics by Keras's protocol, torchmetrics, devices, exact sums."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from anabranch import losses, metrics
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError, ShapeError, UnknownNameError
from anabranch.losses.registry import reducing
from anabranch.metrics.metric import Variable
from anabranch.metrics.registry import CLASSES


@pytest.mark.parametrize(
    ("loss", "shape", "kind"),
    [
        ("sparse_categorical_crossentropy", (None, 10), "SparseCategoricalAccuracy"),
        ("categorical_crossentropy", (None, 10), "CategoricalAccuracy"),
        ("binary_crossentropy", (None, 1), "BinaryAccuracy"),
        ("mse", (None, 1), "BinaryAccuracy"),
        ("mse", (None, 10), "Resolved"),
        (None, None, "Resolved"),
    ],
)
@pytest.mark.parametrize("spelt", ["acc", "accuracy", "Accuracy"])
def test_accuracy_is_resolved_from_loss_and_shape(loss: str | None, shape: tuple | None, kind: str, spelt: str) -> None:
    found = metrics.get(spelt, losses.get(loss), shape)
    assert type(found).__name__ == kind
    assert found.name == spelt


@pytest.mark.parametrize(
    ("true", "pred", "want"),
    [
        (torch.tensor([1, 0]), torch.tensor([[0.1, 0.9], [0.2, 0.8]]), metrics.SparseCategoricalAccuracy()),
        (torch.tensor([[1], [0]]), torch.tensor([[0.1, 0.9], [0.2, 0.8]]), metrics.SparseCategoricalAccuracy()),
        (torch.eye(2), torch.tensor([[0.1, 0.9], [0.2, 0.8]]), metrics.CategoricalAccuracy()),
        (torch.tensor([1, 0]), torch.tensor([[0.9], [0.8]]), metrics.BinaryAccuracy()),
    ],
)
def test_accuracy_is_resolved_from_the_first_batch(true: torch.Tensor, pred: torch.Tensor, want: metrics.Metric) -> None:
    found = metrics.get("acc")
    assert found.result() == 0
    assert found(true, pred) == want(true, pred) == 0.5
    assert len(found.variables) == 2
    found.reset_state()
    assert found.result() == 0


def test_crossentropy_follows_the_loss_into_logits() -> None:
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    true, pred = torch.tensor([1, 0]), torch.randn(2, 3)
    found = metrics.get("ce", loss, (None, 3))
    assert isinstance(found, metrics.SparseCategoricalCrossentropy)
    torch.testing.assert_close(found(true, pred), loss(true, pred))
    torch.testing.assert_close(metrics.get("crossentropy", loss)(true, pred), loss(true, pred))


def test_names_stay_as_written() -> None:
    for name in ("mse", "MSE", "AUC", "auc", "RootMeanSquaredError", "huber", "top_k_categorical_accuracy"):
        assert metrics.get(name).name == name
    assert metrics.get(metrics.AUC).name == "auc"
    assert metrics.get(losses.Huber()).name == "huber_loss"
    assert metrics.get(None) is None
    with pytest.raises(UnknownNameError, match="'accuracy'"):
        metrics.get("acuracy")


def test_a_function_is_averaged() -> None:
    def off(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
        return (y_true - y_pred).abs().amax(-1)

    found = metrics.get(off)
    found.update_state(torch.zeros(2, 2), torch.tensor([[1.0, 2.0], [3.0, 0.0]]))
    assert found.result() == 2.5
    assert found.name == "off"
    assert metrics.deserialize(metrics.serialize(found), {"off": off}).name == "off"


def test_one_number_for_a_batch_takes_no_weights() -> None:
    found = metrics.get(lambda y_true, y_pred: (y_true - y_pred).abs().mean())
    assert found(torch.zeros(3), torch.ones(3)) == 1
    with pytest.raises(ShapeError, match="weights"):
        found.update_state(torch.zeros(3), torch.ones(3), torch.ones(3))


class TruePositives(metrics.Metric):
    """As Keras's own documentation writes one."""

    def __init__(self, name: str = "own_true_positives", **kwargs: object) -> None:
        super().__init__(name=name, **kwargs)
        self.found = self.add_weight(name="found", initializer="zeros")
        self.by_class = self.add_variable(shape=(2,), initializer="ones", name="by_class")

    def update_state(self, y_true: torch.Tensor, y_pred: torch.Tensor, sample_weight: torch.Tensor | None = None) -> None:
        values = torch.logical_and(y_true.bool(), y_pred.bool()).to(torch.float32)
        if sample_weight is not None:
            values = values * sample_weight
        self.found.assign(self.found + torch.sum(values))
        self.by_class.assign_add(torch.stack([values.sum(), values.sum()]))

    def result(self) -> torch.Tensor:
        return self.found


def test_a_metric_of_the_user() -> None:
    found = metrics.get(TruePositives)
    assert found.name == "own_true_positives"
    assert found([1, 0, 1], [1, 1, 1]) == 2
    assert found(np.array([1, 0, 1]), np.array([1, 1, 1])) == 4
    assert found.by_class.numpy().tolist() == [5, 5]
    assert [(v.name, tuple(v.shape)) for v in found.variables] == [("found", ()), ("by_class", (2,))]
    assert type(found.found + 1) is torch.Tensor
    assert isinstance(found.found, Variable)
    found.reset_state()
    assert found.result() == 0
    data = metrics.serialize(found)
    assert metrics.deserialize(data, {"TruePositives": TruePositives}).name == found.name


def test_a_metric_is_copied_and_pickled_with_its_state() -> None:
    found = metrics.AUC()
    found.update_state(torch.tensor([0, 1, 1]), torch.tensor([0.1, 0.4, 0.05]))
    for twin in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert twin.result() == found.result() == 0.5
        assert twin.true_positives is twin.variables[0]
        assert [v.name for v in twin.variables] == [v.name for v in found.variables]
        twin.reset_state()
        assert found.result() == 0.5


def test_a_metric_that_holds_another_resets_it() -> None:
    class Twice(metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="twice")
            self.inner = metrics.Mean()

        def update_state(self, y_true: torch.Tensor, y_pred: torch.Tensor, sample_weight: torch.Tensor | None = None) -> None:
            self.inner.update_state(2 * (y_pred - y_true), sample_weight)

        def result(self) -> torch.Tensor:
            return self.inner.result()

    found = Twice()
    assert found(torch.zeros(2), torch.ones(2)) == 2
    found.reset_state()
    assert found.inner.count == 0


def test_a_constructor_that_forgets_its_base() -> None:
    class Forgetful(metrics.Metric):
        def __init__(self) -> None:
            self.total = self.add_weight(name="total")

    with pytest.raises(NotReadyError, match="super"):
        Forgetful()


def test_nothing_is_saved_for_gradients_and_inference_may_come_first() -> None:
    pred = torch.rand(4, 3, requires_grad=True)
    for name in ("mse", "AUC", "f1_score", "precision", "categorical_accuracy"):
        found = metrics.get(name)
        with torch.inference_mode():
            found.update_state(torch.eye(4)[:, :3], pred)
        found.update_state(torch.eye(4)[:, :3], pred)
        assert not found.result().requires_grad
        found.reset_state()


def test_state_follows_the_device_of_the_tensors() -> None:
    found = metrics.SparseCategoricalAccuracy()
    found.update_state(torch.tensor([1]), torch.tensor([[0.0, 1.0]]))
    found.update_state(torch.zeros(2, dtype=torch.int64, device="meta"), torch.zeros(2, 3, device="meta"))
    assert found.total.device.type == found.result().device.type == "meta"


@pytest.mark.parametrize(
    "loss", ["mse", "bce", "hinge", "sparse_categorical_crossentropy", "categorical_crossentropy", "kld", "huber"]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_read_nothing_back(loss: str, weighted: bool) -> None:
    """A meta tensor has no values: whatever runs on it cannot have looked at one."""
    sparse = loss.startswith("sparse")
    true = torch.zeros((4,) if sparse else (4, 3), dtype=torch.int64 if sparse else torch.float32, device="meta")
    pred = torch.zeros(4, 3, device="meta", requires_grad=True)
    reducing(loss)(true, pred, torch.ones(4, device="meta") if weighted else None).backward()


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"Mean", "Sum"}))
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_read_nothing_back(name: str, weighted: bool) -> None:
    needed = {"IoU": [2, [0]], "OneHotIoU": [2, [0]], "MeanIoU": [2], "OneHotMeanIoU": [2]}
    found = CLASSES[name](*needed.get(name, [0.5] if "At" in name and name != "FBetaScore" else []))
    true = torch.zeros((4,) if name.startswith("Sparse") else (4, 6), dtype=torch.int64, device="meta")
    found.update_state(true, torch.zeros(4, 6, device="meta"), torch.ones(4, device="meta") if weighted else None)
    assert found.result().device.type == "meta"


def test_a_state_of_the_callers_is_worked_on_apart() -> None:
    mean = metrics.Mean()
    mean.update_state([7.0])
    before = mean.stateless_reset_state()
    after = mean.stateless_update_state(before, [1.0, 3.0])
    assert [value.item() for value in before + after] == [0, 0, 4, 2]
    assert mean.stateless_result(after) == 2
    assert mean.result() == 7
    with pytest.raises(ValueError, match="one value for each variable"):
        mean.stateless_result(after[:1])


def test_counts_of_pixels_stay_exact() -> None:
    """float32 would count no further than to 2²⁴."""
    found = metrics.MeanIoU(2)
    found.total_cm.fill_(2**24)
    found.update_state([0], [0])
    assert found.total_cm[0, 0] == 2**24 + 1


@pytest.mark.parametrize("name", ["IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "BinaryIoU", "R2Score"])
def test_metrics_of_other_shapes_say_so(name: str) -> None:
    needed = {"IoU": [2, [0]], "OneHotIoU": [2, [0]], "MeanIoU": [2], "OneHotMeanIoU": [2]}
    found = CLASSES[name](*needed.get(name, []))
    with pytest.raises(ShapeError):
        found.update_state(torch.zeros(4, 2), torch.zeros(5, 2))
    if name in ("IoU", "OneHotIoU"):
        with pytest.raises(ValueError, match="no such class"):
            CLASSES[name](2, [2])


@pytest.mark.parametrize("batch", [1, 64])
def test_means_are_exact_over_50_000_samples(batch: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(0.3, 3.0, 50_000).astype("float32")
    found, right = metrics.Mean(), metrics.get(lambda y_true, y_pred: (y_true == y_pred).float())
    labels = rng.integers(0, 2, 50_000)
    for start in range(0, 50_000, batch):
        found.update_state(torch.tensor(values[start : start + batch]))
        right.update_state(torch.tensor(labels[start : start + batch]), torch.ones(min(batch, 50_000 - start)))
    np.testing.assert_allclose(found.result().item(), values.astype("float64").mean(), rtol=2e-6)
    assert right.result().item() == np.float32(labels.mean())


def test_a_diverged_model_is_never_right() -> None:
    true, pred = torch.tensor([0, 1]), torch.full((2, 10), float("nan"))
    assert metrics.SparseTopKCategoricalAccuracy(k=5)(true, pred) == 0
    assert metrics.Precision()(torch.ones(2), torch.full((2,), float("nan"))) == 0


@pytest.mark.parametrize(
    ("name", "true", "pred", "says"),
    [
        ("sparse_categorical_accuracy", (4, 10), (4, 10), "one-hot"),
        ("categorical_accuracy", (4, 1), (4, 10), "sparse form"),
        ("binary_accuracy", (4, 1), (4, 10), "y_true \\(4, 1\\), y_pred \\(4, 10\\)"),
        ("precision", (4,), (4, 10), "precision compares y_true and y_pred"),
        ("f1_score", (4,), (4, 10), "one-hot labels"),
    ],
)
def test_shapes_that_do_not_fit(name: str, true: tuple[int, ...], pred: tuple[int, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        metrics.get(name).update_state(torch.zeros(true), torch.zeros(pred))


def test_arguments_that_make_no_sense() -> None:
    for make in (
        lambda: metrics.Precision(thresholds=[0.5, 1.5]),
        lambda: metrics.AUC(curve="ROCK"),
        lambda: metrics.AUC(num_thresholds=1),
        lambda: metrics.AUC(num_labels=3),
        lambda: metrics.PrecisionAtRecall(1.5),
        lambda: metrics.F1Score(average="mean"),
        lambda: metrics.get({"class_name": "AUC", "config": {"curv": "PR"}}),
    ):
        with pytest.raises((ArgumentError, ArgumentTypeError)):
            make()


def test_what_is_ignored_is_left_out_of_the_mean() -> None:
    true, pred = torch.tensor([[0, -1], [2, 1]]), torch.randn(2, 2, 3)
    metric = metrics.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    torch.testing.assert_close(metric(true, pred), loss(true, pred))
    metric.reset_state()
    weight = torch.tensor([0.5, 2.0])
    values = loss.call(true, pred) * weight[:, None]
    want = values.sum() / (weight[:, None] * (true != -1)).sum()
    torch.testing.assert_close(metric(true, pred, weight), want)


def test_torchmetrics_is_wrapped() -> None:
    import torchmetrics

    draw = torch.Generator().manual_seed(0)
    pred, labels = torch.randn(8, 3, generator=draw).softmax(-1), torch.randint(0, 3, (8, 1), dtype=torch.uint8, generator=draw)
    found = metrics.get(torchmetrics.classification.MulticlassAccuracy(3, average="micro"))
    assert found.name == "multiclass_accuracy"
    assert found.result() == 0
    torch.testing.assert_close(found(labels, pred), metrics.SparseCategoricalAccuracy()(labels, pred))
    found.reset_state()
    assert found.result() == 0
    image, classes = torch.randn(2, 4, 5, 3, generator=draw), torch.randint(0, 3, (2, 4, 5), generator=draw)
    torch.testing.assert_close(found(classes, image), metrics.SparseCategoricalAccuracy()(classes, image))
    binary = metrics.get(torchmetrics.classification.BinaryAccuracy())
    assert binary(torch.tensor([1.0, 0.0]), torch.tensor([[0.9], [0.8]])) == 0.5
    error = metrics.get(torchmetrics.MeanSquaredError())
    assert error(torch.tensor([1, 0]), torch.tensor([[2.0], [0.0]])) == 0.5
    both = metrics.get(torchmetrics.MetricCollection([torchmetrics.MeanSquaredError(), torchmetrics.MeanAbsoluteError()]))
    assert both(torch.zeros(2), torch.ones(2)) == {"MeanSquaredError": 1.0, "MeanAbsoluteError": 1.0}
    with pytest.raises(ArgumentError, match="weights"):
        found.update_state(labels, pred, torch.ones(8))


def test_torchmetrics_is_never_imported() -> None:
    script = "import sys, anabranch.metrics as m; m.get('acc'); m.get(lambda y, p: y - p); print('torchmetrics' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["Mean", "Sum", "AUC", "Precision", "TruePositives", "F1Score", "BinaryAccuracy"])
def test_metrics_in_half_floats_count_on(name, dtype):
    metric = getattr(metrics, name)(dtype=dtype)
    ones, zeros = torch.ones(3000, 1), torch.zeros(3000, 1)
    for values in (ones, zeros):
        metric.update_state(values) if name in ("Mean", "Sum") else metric.update_state(values, values)
    expected = {"Mean": 0.5, "Sum": 3000, "TruePositives": 3000}.get(name, 1)
    assert metric.result().float().reshape(()) == pytest.approx(expected, rel=0.01)


LOGITS = torch.tensor([[-0.5], [-0.1], [0.4], [2.9]])


@pytest.mark.parametrize(
    ("metric", "repair"),
    [
        (metrics.AUC, "from_logits=True"), (metrics.Precision, "thresholds=0"), (metrics.Recall, "thresholds=0"),
        (metrics.TrueNegatives, "thresholds=0"), (lambda: metrics.PrecisionAtRecall(0.5), "sigmoid"),
        (lambda: metrics.SensitivityAtSpecificity(0.5), "sigmoid"),
        (metrics.BinaryAccuracy, "threshold=0"), (metrics.BinaryIoU, "threshold=0"),
        (metrics.BinaryCrossentropy, "from_logits=True"), (lambda: metrics.FBetaScore(threshold=0.5), "sigmoid"),
        (lambda: metrics.F1Score(threshold=0.5), "sigmoid"), (lambda: metrics.get("accuracy"), "threshold=0"),
    ],
)  # fmt: skip
def test_logits_where_probabilities_are_due_are_warned_of_once(metric, repair):
    made = metric()
    with pytest.warns(UserWarning, match=rf"takes probabilities, and y_pred has values from -0.5 to 2.9.*{repair}") as caught:
        made.update_state(torch.tensor([[0.0], [0], [1], [1]]), LOGITS)
    assert len(caught) == 1
    made.update_state(torch.tensor([[0.0], [0], [1], [1]]), LOGITS)  # a second warning would be an error


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        (metrics.CategoricalCrossentropy, [[0.0, 1.0], [1.0, 0.0]]), (metrics.SparseCategoricalCrossentropy, [1, 0]),
        (lambda: metrics.get("crossentropy"), [[0.0, 1.0], [1.0, 0.0]]),
    ],
)  # fmt: skip
def test_logits_of_classes_are_warned_of_once(metric, labels):
    made = metric()
    with pytest.warns(UserWarning, match="values from -1 to 2.5.*from_logits=True"):
        made.update_state(labels, [[-1.0, 2.5], [0.5, 0.25]])
    made.update_state(labels, [[-1.0, 2.5], [0.5, 0.25]])


def test_thresholds_that_are_given_take_logits():
    for metric in (
        metrics.Precision(thresholds=0), metrics.Precision(top_k=1), metrics.AUC(from_logits=True), metrics.F1Score(),
        metrics.BinaryAccuracy(threshold=0), metrics.BinaryIoU(threshold=0), metrics.BinaryCrossentropy(from_logits=True),
    ):  # fmt: skip
        metric.update_state(torch.tensor([[0.0], [0], [1], [1]]), LOGITS)
    assert metrics.Precision(thresholds=0)(torch.tensor([[0.0], [0], [1], [1]]), LOGITS) == 1
