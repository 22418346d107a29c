"""What a loss takes and refuses: names, functions, torch's own losses, shapes, labels out of range."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from devices import equal

import anabranch as ab
from anabranch import losses, metrics
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError, DtypeError, ShapeError, UnknownNameError
from anabranch.losses.registry import FUNCTIONS, reducing


def test_a_function_s_name_gives_the_function_and_a_class_s_name_its_object() -> None:
    assert losses.get("mse") is losses.get("MSE") is losses.get("mean_squared_error") is losses.mean_squared_error
    assert losses.get(losses.huber) is losses.huber
    for found in (losses.get("Huber"), losses.get(losses.Huber), losses.get({"class_name": "Huber"})):
        assert isinstance(found, losses.Huber)
        assert found.name == "huber_loss"
    assert losses.get(None) is None


def test_what_compile_takes_reduces_and_keeps_its_name_as_written() -> None:
    assert reducing("mse").name == "mse"
    assert reducing("MeanSquaredError").name == "mean_squared_error"
    assert reducing(losses.mean_squared_error).name == "mean_squared_error"
    assert isinstance(reducing(losses.huber), losses.Huber)
    assert reducing(None) is None
    true, pred = torch.zeros(2, 3), torch.ones(2, 3)
    assert reducing("mse")(true, pred).shape == ()
    assert losses.get("mse")(true, pred).shape == (2,)


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="sparse_categorical_crossentropy'"):
        losses.get("sparse_categorical_crossentropi")
    with pytest.raises(UnknownNameError):
        losses.deserialize({"class_name": "os.system", "config": {}})


@pytest.mark.parametrize(
    ("true", "pred", "same"),
    [
        (np.array([[1.0], [0.0]], "float32"), np.array([[0.2], [0.7]], "float32"), losses.BinaryCrossentropy()),
        (np.array([1, 0]), np.array([[0.2, 0.8], [0.7, 0.3]], "float32"), losses.SparseCategoricalCrossentropy()),
        (np.eye(2, dtype="float32"), np.array([[0.2, 0.8], [0.7, 0.3]], "float32"), losses.CategoricalCrossentropy()),
    ],
)
def test_crossentropy_fits_the_shapes(true: np.ndarray, pred: np.ndarray, same: losses.Loss) -> None:
    assert losses.get("ce")(true, pred) == same(true, pred)
    assert equal(losses.get("crossentropy").call(true, pred), same.call(true, pred))


def test_functions_and_subclasses_of_the_user() -> None:
    def cubed(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
        return (y_pred - y_true).abs().pow(3).mean(-1)

    class Cubed(losses.Loss):
        def call(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
            return cubed(y_true, y_pred)

    true, pred = torch.tensor([[1], [2]]), torch.tensor([[2.0], [4.0]])
    assert reducing(cubed)(true, pred) == Cubed()(true, pred) == 4.5
    assert reducing(cubed).name == "cubed"
    assert losses.get(Cubed)(true, pred, torch.tensor([0.0, 1.0])) == 4.0
    assert reducing(cubed)(torch.tensor([1, 2]), pred) == 4.5  # a column beside a vector, not a square of pairs
    data = losses.serialize(reducing(cubed))
    assert data["config"]["fn"]["config"] == "cubed"
    assert losses.deserialize(data, {"cubed": cubed})(true, pred) == 4.5
    with pytest.raises(ArgumentError, match="'cubed' is not known"):
        losses.deserialize(data)


def test_nested_targets_reach_a_loss_of_the_user() -> None:
    class Both(losses.Loss):
        def call(self, y_true: dict, y_pred: dict) -> torch.Tensor:
            return (y_true["a"] - y_pred["a"]).abs() + (y_true["b"] - y_pred["b"]).abs()

    one, two = torch.tensor([1, 1]), torch.tensor([2.0, 2.0])
    assert Both()({"a": one, "b": one}, {"a": two, "b": two}) == 2.0


@pytest.mark.parametrize("labels", [torch.tensor([1, 0, 2]), torch.tensor([[1], [0], [2]], dtype=torch.uint8)])
def test_torch_s_own_losses_are_called_in_torch_s_order(labels: torch.Tensor) -> None:
    pred = torch.randn(3, 4)
    want = torch.nn.functional.cross_entropy(pred, labels.reshape(-1).long())
    torch.testing.assert_close(losses.get(torch.nn.CrossEntropyLoss())(labels, pred), want)
    torch.testing.assert_close(
        losses.get(torch.nn.MSELoss)(torch.ones(3, dtype=torch.int64), pred[:, :1]), (pred[:, 0] - 1).square().mean()
    )
    with pytest.raises(ArgumentError, match="weights are known"):
        losses.get(torch.nn.CrossEntropyLoss())(labels, pred, torch.ones(3))
    weighted = losses.get(torch.nn.CrossEntropyLoss(reduction="none"))(labels, pred, torch.ones(3))
    torch.testing.assert_close(weighted, want)


def test_a_vector_of_predictions_holds_one_sample_in_each_place() -> None:
    true, pred, weight = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0])
    assert losses.MeanSquaredError()(true, pred, weight) == 2.0
    assert losses.MeanSquaredError(reduction="sum")(true, pred) == 5.0


def test_weights_of_samples_reach_over_the_axes_behind_them() -> None:
    true, pred = torch.zeros(2, 2, 3), torch.ones(2, 2, 3)
    pred[1] = 2.0
    assert losses.MeanSquaredError()(true, pred, torch.tensor([1.0, 0.0])) == 0.5
    assert losses.MeanSquaredError(reduction="mean_with_sample_weight")(true, pred, torch.tensor([1.0, 0.0])) == 1.0
    with pytest.raises(ShapeError, match="weights"):
        losses.MeanSquaredError()(true, pred, torch.ones(5))


@pytest.mark.parametrize(
    ("loss", "true", "pred", "says"),
    [
        ("mse", (4, 1), (4, 10), "one value where y_pred holds 10"),
        ("mse", (4,), (4, 10), "one value where y_pred holds 10"),
        ("mse", (4, 10), (4, 1), "give the last layer 10 units"),
        ("mse", (4, 2), (5, 2), "the same number of samples"),
        ("categorical_crossentropy", (4,), (4, 10), "SparseCategoricalCrossentropy"),
        ("bce", (4, 1), (4, 10), "one value where y_pred holds 10"),
        ("sparse_categorical_crossentropy", (4, 10), (4, 10), "look one-hot: use CategoricalCrossentropy"),
        ("sparse_categorical_crossentropy", (4, 3), (4, 10), "asks for one class index"),
        ("sparse_categorical_crossentropy", (3,), (4, 10), "the same number of samples"),
    ],
)
def test_shapes_that_do_not_fit(loss: str, true: tuple[int, ...], pred: tuple[int, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says) as caught:
        reducing(loss)(torch.zeros(true), torch.full(pred, 0.5))
    assert f"y_true {true}, y_pred {pred}" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0, 1, 10, 3], r"Label 10 is none of the 10 classes.*y\[2\] = 10 \(1 of 4.*give the last layer 11 units"),
        ([[1], [10], [2]], r"y\[1, 0\] = 10.*count from 1: pass y - 1"),
        ([0, -1, 2], r"y\[1\] = -1.*ignore_class=-1"),
        ([0.5, 1.0], r"Label 0.5.*regression"),
        ([0.0, float("nan")], r"Label nan.*y\[1\]"),
        (np.array([0, 300], "uint16"), r"y\[1\] = 300"),
        (np.array([0, 11], "uint8"), r"y\[1\] = 11"),
    ],
)
def test_labels_out_of_range(labels: object, says: str) -> None:
    with pytest.raises(DataError, match=f"(?s){says}"):
        losses.check_labels(labels, 10)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "uint16", "float32", "bool"])
def test_labels_in_range(dtype: str) -> None:
    losses.check_labels(np.array([[0], [1], [1]]).astype(dtype), 2)
    losses.check_labels(np.zeros((0,), dtype), 2)


def test_what_is_ignored_may_be_anything() -> None:
    losses.check_labels([0, 255, 1], 2, ignore_class=255)
    with pytest.raises(DataError, match="255, which is ignored"):
        losses.check_labels([0, 255, 2], 2, ignore_class=255)


@pytest.mark.parametrize("from_logits", [False, True])
def test_a_batch_with_a_bad_label_names_it(from_logits: bool) -> None:
    with pytest.raises(DataError, match=r"(?s)Label 7 is none of the 3.*y_true"):
        losses.SparseCategoricalCrossentropy(from_logits=from_logits)(torch.tensor([0, 7]), torch.full((2, 3), 0.3))


def test_one_class_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="binary_crossentropy"):
        losses.CategoricalCrossentropy()(torch.ones(2, 1), torch.ones(2, 1))


def test_arguments_that_do_not_exist() -> None:
    with pytest.raises(TypeError, match="takes no argument 'detla'"):
        losses.get({"class_name": "Huber", "config": {"detla": 1}})
    with pytest.raises(ArgumentError, match="reduction"):
        losses.MeanSquaredError(reduction="average")


SYMBOLIC = [
    *(FUNCTIONS[name] for name in sorted(FUNCTIONS) if name not in ("circle", "ctc")),  # below
    *(getattr(metrics, name) for name in ("binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy")),
]


@pytest.mark.parametrize("function", SYMBOLIC, ids=lambda function: function.__name__)
def test_a_function_of_symbolic_tensors_is_part_of_the_model(function):
    sparse = "sparse" in function.__name__ or "generalized" in function.__name__
    y_true, y_pred = ab.Input(() if sparse else (4,)), ab.Input((4,))
    true = np.float32([3, 0]) if sparse else np.float32([[0, 0, 0, 1], [1, 0, 0, 0]])
    pred = np.float32([[0.125, 0.125, 0.25, 0.5], [0.5, 0.25, 0.125, 0.125]])
    options = {"q": 0.5} if function is losses.categorical_generalized_cross_entropy else {}
    expected = function(true, pred, **options)
    values = function(y_true, y_pred, **options)
    assert values.shape == (None, *expected.shape[1:]) if expected.ndim else values.shape == ()
    found = ab.Model([y_true, y_pred], values).predict([true, pred], verbose=0)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "true", "pred"),
    [
        (losses.circle, np.float32([0, 1, 0]), np.eye(3, dtype="float32")),
        (losses.ctc, np.float32([[1, 0], [2, 1]]), np.ones((2, 4, 3), "float32")),
    ],
    ids=["circle", "ctc"],
)
def test_a_function_of_other_shapes_is_part_of_the_model_too(function, true, pred):
    y_true, y_pred = ab.Input(true.shape[1:]), ab.Input(pred.shape[1:])
    found = ab.Model([y_true, y_pred], function(y_true, y_pred)).predict([true, pred], verbose=0)
    np.testing.assert_allclose(found, function(true, pred), rtol=1e-6)


def test_a_loss_of_symbolic_tensors_reduces_and_trains():
    x = ab.Input((2,))
    y = ab.layers.Dense(2, kernel_initializer="zeros", name="y")(x)
    model = ab.Model(x, losses.MeanSquaredError(reduction="none")(x, y))
    model.compile(ab.optimizers.SGD(0.5), "mae")
    data = np.ones((4, 2), "float32")
    history = model.fit(data, np.zeros(4, "float32"), epochs=2, verbose=0).history
    assert history["loss"] == pytest.approx([1.0, 0.25])
    assert losses.MeanSquaredError()(x, y).shape == ()


def test_symbolic_tensors_that_do_not_agree_are_refused():
    with pytest.raises(ShapeError, match="compares y_true and y_pred element by element") as caught:
        losses.mean_squared_error(ab.Input((3,)), ab.Input((4,)))
    assert "y_true (None, 3), y_pred (None, 4)" in str(caught.value)


def test_metrics_are_updated_with_values():
    with pytest.raises(DtypeError, match="A metric is updated with values"):
        metrics.MeanSquaredError().update_state(ab.Input((3,)), ab.Input((3,)))


@pytest.mark.parametrize("function", [losses.binary_crossentropy, losses.binary_focal_crossentropy])
def test_labels_a_little_out_of_range_are_computed_with(function):
    p = torch.tensor([[0.25], [0.0]], requires_grad=True)
    low, high, beyond = (function([[t], [t]], p) for t in (0.0, 1.0, 1.25))
    if function is losses.binary_crossentropy:  # linear in the labels
        torch.testing.assert_close(beyond, 1.25 * high - 0.25 * low)
    assert torch.isfinite(beyond).all()
    assert torch.isnan(function([[float("nan")]], [[0.5]])).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_binary_crossentropy_of_certain_predictions_is_finite_in_every_dtype(dtype):
    found = losses.binary_crossentropy(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [0.0]], dtype=dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), torch.full((2,), 16.0), rtol=0.02, atol=0)


def of_model(reads, compiled):
    x = ab.Input((2,))
    inner = ab.layers.Dense(1, name="inner")(x)
    model = ab.Model(x, ab.layers.Dense(1)(inner))
    model.compile("sgd", **compiled(lambda y_true, y_pred: reads(y_true, y_pred, inner)))
    return model.fit(np.ones((4, 2), "float32"), np.ones((4, 1), "float32"), verbose=0)


READS = [
    lambda y_true, y_pred, inner: ab.ops.mean(inner) + (y_pred - y_true).mean(),
    lambda y_true, y_pred, inner: (y_pred - y_true) * inner,
    lambda y_true, y_pred, inner: torch.square(inner - y_pred),
]


@pytest.mark.parametrize("what", ["loss", "metric"])
@pytest.mark.parametrize("reads", READS)
def test_a_loss_or_metric_that_reads_tensors_of_the_model_is_refused_with_the_way_out(reads, what):
    def given(function):
        return {"loss": function} if what == "loss" else {"loss": "mse", "metrics": [function]}

    with pytest.raises(ArgumentTypeError, match=f"The {what} .* returns a symbolic tensor") as caught:
        of_model(reads, given)
    assert "further output" in caught.value.repair


@pytest.mark.parametrize("value", [None, "a", (torch.ones(1), torch.ones(1)), {}])
def test_what_returns_no_tensor_is_refused(value):
    true = pred = torch.ones(2, 1)
    with pytest.raises(ArgumentTypeError, match="returns no tensor"):
        reducing(lambda y_true, y_pred: value)(true, pred)
    with pytest.raises(ArgumentTypeError, match="returns no tensor"):
        metrics.MeanMetricWrapper(lambda y_true, y_pred: value, name="mine").update_state(true, pred)


def test_numbers_that_functions_return_count():
    true = pred = torch.ones(2, 1)
    assert reducing(lambda y_true, y_pred: 0.5)(true, pred) == 0.5
    assert metrics.MeanMetricWrapper(lambda y_true, y_pred: np.float32(0.5), name="mine")(true, pred) == 0.5


@pytest.mark.parametrize("loss", [losses.MeanSquaredError, losses.BinaryCrossentropy, losses.SparseCategoricalCrossentropy])
def test_empty_batches_give_no_nan(loss):
    true = torch.zeros(0, dtype=torch.int64) if loss is losses.SparseCategoricalCrossentropy else torch.zeros(0, 3)
    for reduction in ("sum_over_batch_size", "sum"):  # 0, as in Keras
        assert loss(reduction=reduction)(true, torch.zeros(0, 3)).tolist() == 0
    assert loss(reduction=None)(true, torch.zeros(0, 3)).shape == (0,)


def test_an_output_without_values_trains():
    inputs = ab.Input((4, 2))
    hidden = ab.layers.Dense(3)(inputs)
    model = ab.Model(inputs, [hidden, hidden[:, 4:]])
    model.compile("sgd", "mse")
    found = model.train_on_batch(np.ones((3, 4, 2)), [np.zeros((3, 4, 3)), np.zeros((3, 0, 3))])
    assert found[0] == found[1] > 0
    assert found[2] == 0


@pytest.mark.parametrize("loss", [losses.SparseCategoricalCrossentropy(), losses.get("crossentropy")], ids=["sparse", "any"])
def test_losses_that_choose_take_symbolic_tensors(loss):
    y_true, y_pred = ab.Input((), dtype="int32"), ab.Input((3,))
    model = ab.Model([y_true, y_pred], loss(y_true, y_pred))
    found = model.predict([np.array([0, 2]), np.float32([[0.5, 0.25, 0.25]] * 2)], verbose=0)
    assert found == pytest.approx(np.log(8) / 2)
