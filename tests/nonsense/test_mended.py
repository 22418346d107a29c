"""Wrong values that were once answered with a raw error, or accepted in silence."""

from __future__ import annotations

import errno
import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_model import data, made

import anabranch as ab
from anabranch import callbacks, layers, optimizers
from anabranch._errors import (
    AnabranchError,
    ArgumentError,
    ArgumentTypeError,
    DataError,
    EngineError,
    FileError,
    UnknownNameError,
)


def test_a_file_that_is_not_there_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"Could not read 'w\.safetensors'") as found:
        made(ab).load_weights("w.safetensors")
    assert isinstance(found.value, FileError)
    assert found.value.errno == errno.ENOENT
    assert str(tmp_path) in str(found.value)
    assert str(pickle.loads(pickle.dumps(found.value))) == str(found.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a full disk of Linux")
@pytest.mark.parametrize("append", [False, True])
def test_a_full_disk(append: bool) -> None:
    with pytest.raises(OSError, match="Could not write '/dev/full'") as found:
        made(ab).fit(*data(8), verbose=0, callbacks=[callbacks.CSVLogger("/dev/full", append=append)])
    assert found.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="Could not write '/dev/full'"):
        made(ab).to_torch(source="/dev/full")


@pytest.mark.parametrize("wrong", [
    lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes=7),
    lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes=np.zeros(0)),
    lambda: layers.LSTM(2).compute_output_shape([]),
    lambda: layers.Bidirectional(None),
    lambda: layers.Attention()([ab.Input((3, 4))] * 2, return_attention_scores=np.zeros(0)),
    lambda: layers.MultiHeadAttention(2, 2)(ab.Input((3, 4)), ab.Input((3, 4)), use_causal_mask="a"),
    lambda: ab.ops.linalg.jvp(torch.square, (3.0,), (1.0,), has_aux=True),
    lambda: ab.ops.associative_scan(torch.add, None),
    lambda: ab.Variable(1.0, aggregation=np.zeros(0)),
    lambda: ab.Variable(1.0, aggregation="all"),
    lambda: ab.Variable(1.0).assign_add("a"),
    lambda: optimizers.SGD(use_ema=True).finalize_variable_values(None),
    lambda: optimizers.Muon().is_orthogonal("a"),
    lambda: ab.mixed_precision.LossScaleOptimizer(optimizers.SGD()).build(None),
    lambda: layers.StackedRNNCells([layers.GRUCell(2), layers.GRUCell(2)])(np.ones((1, 3)), [np.ones((1, 2))]),
    lambda: ab.config.set_backend(np.ones(2)),
    lambda: ab.StatelessScope(np.zeros(0)),
    lambda: ab.metrics.OneHotIoU(2, [0]).update_state(True, [[0.0, 1.0]]),
    lambda: ab.metrics.OneHotIoU(2, [0]).update_state([[0.0, 1.0]], []),
    lambda: ab.utils.timeseries_dataset_from_array(np.arange(9.0), 3.0, 3),
    lambda: ab.ops.linalg.jvp(torch.square, (), (1.0,)),
    lambda: ab.random.SeedGenerator.from_config(7),
])  # fmt: skip
def test_these_are_answered_with_a_sentence(wrong: Callable[[], object]) -> None:
    with pytest.raises(AnabranchError):
        wrong()


def test_counts_that_are_not_known_are_drawn_as_such() -> None:
    drawn = ab.random.binomial((2,), torch.tensor([float("nan"), 5.0]), 1.0)
    assert drawn.isnan().tolist() == [True, False]
    assert drawn[1] == 5


def test_one_hot_labels_may_be_booleans() -> None:
    metric = ab.metrics.OneHotIoU(2, [0, 1])
    metric.update_state(np.array([[True, False], [False, True]]), [[0.9, 0.1], [0.2, 0.8]])
    assert float(metric.result()) == pytest.approx(1)


def logged(value: object) -> None:
    own = type("Own", (ab.Model,), {"train_step": lambda self, data: {"loss": value}})
    x = ab.Input((1,))
    model = own(x, layers.Dense(1)(x))
    model.compile("sgd", "mse")
    model.fit(*data(8), verbose=0)


@pytest.mark.parametrize("value", ["a", None, object()])
def test_logs_are_numbers(value: object) -> None:
    with pytest.raises(ArgumentTypeError, match="'loss' of what train_step returns must be a number"):
        logged(value)


def test_a_metrics_result_is_a_number() -> None:
    class Own(ab.metrics.Metric):
        def update_state(self, *args: Any, **kwargs: Any) -> None: ...
        def result(self) -> str:
            return "much"

    model = made(ab, metrics=[Own(name="own")])
    with pytest.raises(ArgumentTypeError, match="'own' of the logs must be a number"):
        model.fit(*data(8), verbose=0)


@pytest.mark.parametrize("setting", ["kernel_initializer", "kernel_regularizer", "activation"])
@pytest.mark.parametrize("value", ["a", None, []])
def test_functions_of_the_user_return_arrays(setting: str, value: object) -> None:
    model = ab.Sequential([ab.Input((1,)), layers.Dense(2, **{setting: lambda *args, **kwargs: value}), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentTypeError, match=r"must (return|give)"):
        model.fit(*data(8), verbose=0)


@pytest.mark.parametrize("shape", [None, 3, ["a"], "a", np.zeros(0)])
def test_compute_output_shape_returns_a_shape(shape: object) -> None:
    class Own(layers.Layer):
        def call(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs

        def compute_output_shape(self, input_shape: Any) -> Any:
            return shape

    with pytest.raises(ArgumentTypeError, match="What compute_output_shape returns must be a shape"):
        Own()(ab.Input((4,)))


@pytest.mark.parametrize("length", [-1, "a", 1.5, 2**70])
def test_a_data_set_has_a_length(length: Any) -> None:
    class Own(ab.utils.PyDataset):
        def __len__(self) -> int:
            return length  # type: ignore[no-any-return]

        def __getitem__(self, index: int) -> Any:
            return data(4)

    with pytest.raises(DataError, match="__len__ of Own"):
        made(ab).fit(Own(), verbose=0)


def test_schedules_return_numbers() -> None:
    class Own(optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return "fast"

    with pytest.raises(ArgumentTypeError, match="A schedule must return a number"):
        made(ab, Own()).fit(*data(8), verbose=0)
    with pytest.raises(ArgumentTypeError, match="A schedule must return a number"):
        made(ab).fit(*data(8), verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: np.ones(2))])


def test_methods_of_torchs_modules_hold_their_arguments() -> None:
    model = made(ab)
    for call in (
        lambda: model.load_state_dict("a"), lambda: model.parameters(recurse="a"), lambda: model.requires_grad_("a"),
        lambda: model.named_modules(prefix=1), lambda: model.state_dict(prefix=1),
    ):  # fmt: skip
        with pytest.raises(ArgumentTypeError):
            call()
    with pytest.raises(EngineError, match="to could not run"):
        model.to("somewhere")
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({})


def test_weights_have_a_known_dtype() -> None:
    with pytest.raises(UnknownNameError, match="Unknown dtype 'flot32'"):
        layers.Layer().add_weight((2,), dtype="flot32")
    with pytest.raises(ArgumentTypeError, match="aggregation of add_weight"):
        layers.Layer().add_weight((2,), aggregation="most")


def test_paddings_are_no_bytes() -> None:
    with pytest.raises(ArgumentError, match="padding does not fit"):
        layers.ZeroPadding1D(b"a")


def test_a_model_file_has_a_name_that_the_system_takes() -> None:
    with pytest.raises(OSError, match="Could not read"):
        ab.models.load_model("a" * 5000 + ".keras")


def test_a_config_is_a_dict() -> None:
    for method in (made(ab).build_from_config, made(ab).compile_from_config):
        with pytest.raises(ArgumentTypeError, match="config of"):
            method("a")
    for kind in (ab.losses.Huber, ab.metrics.AUC, optimizers.SGD, ab.initializers.HeNormal, ab.dtype_policies.DTypePolicy):
        with pytest.raises(ArgumentTypeError):
            kind.from_config("a")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="list of layers"):
        ab.Sequential.from_config({})


def test_what_an_update_or_attention_takes_on_symbols() -> None:
    x = ab.Input((4, 2, 8))
    with pytest.raises((ArgumentTypeError, EngineError)):
        ab.ops.dot_product_attention(x, x, x, mask="a")
    with pytest.raises((ArgumentTypeError, EngineError)):
        ab.ops.slice_update(ab.Input((4,)), (0, 0), "a")


def in_itself() -> list[Any]:
    found: list[Any] = [1.0]
    found.append(found)
    return found


class Space(ab.utils.FeatureSpace):
    """A space of one column."""

    def __init__(self) -> None:
        super().__init__({"a": "float_normalized"})


META = torch.ones(2, 3, device="meta")
TOKENIZER = ab.preprocessing.text.Tokenizer
GENERATOR = ab.preprocessing.image.ImageDataGenerator


@pytest.mark.parametrize("wrong", [
    lambda: layers.Rescaling(in_itself())(np.ones((2, 3))),
    lambda: layers.Dense(2).build(in_itself()),
    lambda: ab.ops.add(in_itself(), 1.0),
    lambda: ab.tree.lists_to_tuples(in_itself()),
    lambda: ab.Model(ab.Input((2,)), in_itself()),
])  # fmt: skip
def test_a_list_that_holds_itself_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(AnabranchError):
        wrong()


@pytest.mark.parametrize("wrong", [
    lambda: layers.Dense(2, activation=lambda: None),
    lambda: layers.Dense(2, kernel_initializer=lambda shape: np.ones(shape)),
    lambda: layers.Dense(2, activity_regularizer=lambda: None),
    lambda: ab.losses.get(lambda y_true: 0.0),
    lambda: ab.tree.map_structure(lambda: None, [1]),
])  # fmt: skip
def test_a_function_must_take_what_it_is_called_with(wrong: Callable[[], object]) -> None:
    with pytest.raises(ArgumentTypeError, match=r"is called as|cannot call"):
        wrong()
    assert layers.Dense(2, activation=torch.nn.GELU(), kernel_initializer=lambda shape, dtype: np.ones(shape)) is not None


@pytest.mark.parametrize("wrong", [
    lambda: layers.Dense(2, input_shape=META),
    lambda: layers.Dense(2, input_shape=np.array(float("nan"))),
    lambda: layers.Normalization(mean=1j, variance=1.0)(np.ones((1, 2))),
    lambda: layers.StringLookup(vocabulary=META),
    lambda: layers.StringLookup().get_vocabulary(np.zeros(0)),
    lambda: layers.Discretization(num_bins=2).adapt([1.0, 2.0], steps="a") or layers.Discretization.from_config("a"),
    lambda: layers.Lambda(lambda x: x, mask=ab.Input((2,))),
    lambda: layers.Dense(2, kernel_regularizer=layers.Dense(2)),
    lambda: ab.Variable(1.0).assign([[1], [2, 3]]),
    lambda: ab.Variable(1.0).assign_add(2**70),
    lambda: ab.losses.mean_squared_error(torch.ones(2, 3).to_sparse(), torch.ones(2, 3)),
    lambda: ab.utils.FeatureSpace.cross(None, 4),
    lambda: ab.utils.FeatureSpace.float_discretized(3, output_mode=np.ones(2)),
    lambda: Space().adapt([]),
    lambda: ab.utils.Progbar(3, verbose=0).update(1, ["a"]),
    lambda: TOKENIZER(analyzer="a"), lambda: TOKENIZER(oov_token=[]), lambda: TOKENIZER(num_words=-1),
    lambda: TOKENIZER().fit_on_texts(3), lambda: TOKENIZER().fit_on_sequences([None]),
    lambda: TOKENIZER(num_words=3).sequences_to_matrix([[1]], mode=None),
    lambda: ab.preprocessing.sequence.TimeseriesGenerator(1.0, 1.0, 3),
    lambda: ab.preprocessing.sequence.TimeseriesGenerator(np.ones(9), np.ones(9), 3, start_index="a"),
    lambda: ab.preprocessing.sequence.skipgrams([1, 2], 3, negative_samples=2**70),
    lambda: GENERATOR(width_shift_range=[]), lambda: GENERATOR(zoom_range="a"), lambda: GENERATOR(rotation_range=float("inf")),
    lambda: GENERATOR().apply_transform("a", {}), lambda: GENERATOR().get_random_transform((3,), seed="a"),
    lambda: GENERATOR().flow(np.ones((2, 4, 4, 3)), y=1.5),
    lambda: ab.applications.vgg16.preprocess_input(1.5), lambda: ab.applications.MobileNetV2(weights=None, alpha=float("inf")),
    lambda: ab.distillation.FeatureDistillation().compute_loss("a", None),
    lambda: ab.distillation.Distiller.from_config({}),
    lambda: ab.export.ExportArchive("torch").write_out(None),
    lambda: ab.legacy.saving.serialize_keras_object(in_itself()),
])  # fmt: skip
def test_these_too_are_answered_with_a_sentence(wrong: Callable[[], object]) -> None:
    with pytest.raises(AnabranchError):
        wrong()


@pytest.mark.parametrize("wrong", [
    lambda: ab.losses.binary_crossentropy([1.0], [0.5], label_smoothing=float("inf")),
    lambda: ab.losses.categorical_crossentropy([[1.0, 0.0]], [[0.5, 0.5]], label_smoothing=-1),
    lambda: ab.losses.huber([1.0], [0.5], delta=-1),
    lambda: ab.losses.binary_focal_crossentropy([1.0], [0.5], gamma=-1),
    lambda: ab.random.truncated_normal((2,), stddev=-1), lambda: ab.random.normal((2,), mean=float("inf")),
    lambda: ab.ops.batch_normalization(np.ones((2, 3)), np.ones(3), np.ones(3), -1, epsilon=-1),
    lambda: ab.ops.image.gaussian_blur(np.ones((1, 4, 4, 3)), sigma=float("inf")),
    lambda: ab.ops.image.ssim(np.ones((1, 12, 12, 3)), np.ones((1, 12, 12, 3)), k1=-1),
    lambda: ab.ops.ctc_decode(np.ones((1, 3, 2)), [3], beam_width=0),
    lambda: ab.ops.while_loop(lambda x: x < 3, lambda x: x + 1, (1,), maximum_iterations=-1),
    lambda: made(ab).summary(line_length=-1),
    lambda: ab.utils.FeatureSpace({"a": "float"}, crossing_dim=-1),
    lambda: layers.Rescaling(float("inf")),
])  # fmt: skip
def test_numbers_are_within_bounds(wrong: Callable[[], object]) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError)):
        wrong()


@pytest.mark.parametrize("wrong", [
    lambda: layers.Attention()([np.ones((1, 2, 3))] * 2, return_attention_scores="a"),
    lambda: layers.Attention()([np.ones((1, 2, 3))] * 2, return_attention_scores=object()),
    lambda: layers.MultiHeadAttention(1, 1)(ab.Input((2, 3)), ab.Input((2, 3)), attention_mask="a"),
    lambda: layers.MultiHeadAttention(1, 1, flash_attention="a"),
    lambda: layers.Identity()(np.ones((1, 2)), training=ab.Input((2,))),
    lambda: layers.Identity()(np.ones((1, 2)), training=torch.ones(2)),
    lambda: ab.InputSpec(ndim=-1), lambda: ab.InputSpec(dtype=object()), lambda: ab.InputSpec(ndim=2, optional="a"),
    lambda: optimizers.schedules.CosineDecay(-1, 3), lambda: ab.random.SeedGenerator().next("a"),
])  # fmt: skip
def test_flags_and_masks_of_calls_are_such(wrong: Callable[[], object]) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError)):
        wrong()


@pytest.mark.parametrize("wrong", [
    lambda: ab.metrics.Mean().update_state([[1], [2, 3]]), lambda: ab.metrics.Mean().update_state(in_itself()),
    lambda: ab.Sequential([layers.Lambda(lambda x: x.to("meta"))]).predict(np.ones((2, 3)), verbose=0),
    lambda: ab.losses.MeanSquaredError()(np.ones(2), np.ones(2), torch.ones(2, device="meta")),
    lambda: ab.tree.map_shape_structure(len, in_itself()),
    lambda: ab.utils.FeatureSpace({"a": "float"}).save("."),
    lambda: ab.utils.bounding_boxes.convert_format(np.ones((1, 4)), "xyxy", "rel_xyxy", float("nan"), 3),
    lambda: ab.utils.bounding_boxes.clip_to_image_size({"boxes": np.ones((1, 4))}, 3, -1),
    lambda: ab.distribution.DeviceMesh((2,), ("a",), in_itself()),  # type: ignore[arg-type]
    lambda: made(ab).weights[0].assign(torch.ones(tuple(made(ab).weights[0].shape)).to_sparse()),
    lambda: ab.random.gamma((2,), -1.0), lambda: ab.random.gamma((2,), float("nan")), lambda: ab.random.beta((2,), 1.0, -1),
    lambda: ab.random.binomial((2,), -1, 0.5), lambda: ab.random.binomial((2,), 3, float("nan")),
    lambda: ab.random.binomial((2,), 3, 2.0),
    lambda: ab.ops.psnr([1.0], [0.5], float("nan")), lambda: ab.ops.in_top_k([1], [[0.1, 0.9]], -1),
])  # fmt: skip
def test_values_outside_a_domain_are_answered_with_a_sentence(wrong: Callable[[], object]) -> None:
    with pytest.raises(AnabranchError):
        wrong()


SPARSE = torch.eye(3).to_sparse()
GRADED = [torch.ones(3, 2), torch.ones(2)]


def built_sgd() -> Any:
    layer = layers.Dense(2)
    layer.build((None, 3))
    optimizer = optimizers.SGD(0.1)
    optimizer.build(layer.trainable_weights)
    return optimizer


@pytest.mark.parametrize("wrong", [
    lambda: ab.utils.serialize_keras_object(SPARSE), lambda: ab.utils.serialize_keras_object(META),
    lambda: ab.utils.pad_sequences(SPARSE), lambda: ab.utils.timeseries_dataset_from_array(SPARSE, None, 2),
    lambda: ab.metrics.Mean().update_state(SPARSE), lambda: ab.metrics.BinaryAccuracy().update_state(torch.ones(3, 3), SPARSE),
    lambda: layers.Normalization().adapt(META), lambda: ab.distribution.DeviceMesh((1,), ("a",), META),  # type: ignore[arg-type]
    lambda: ab.Sequential([layers.Lambda(lambda x: x.to_sparse())]).predict(np.ones((2, 3)), verbose=0),
    lambda: layers.Dense(2, kernel_initializer=lambda shape, dtype: META)(np.ones((1, 2))),
    lambda: logged(SPARSE), lambda: logged(META),
])  # fmt: skip
def test_tensors_without_values_are_refused_where_values_are_read(wrong: Callable[[], object]) -> None:
    with pytest.raises(AnabranchError):
        wrong()


def test_estimators_take_no_tensors_without_values() -> None:
    wrappers = pytest.importorskip("anabranch.wrappers")
    for data_ in (SPARSE, META):
        with pytest.raises(AnabranchError, match="An estimator takes arrays"):
            wrappers.SKLearnClassifier(made(ab)).fit(data_, [0, 1, 0])


@pytest.mark.parametrize("wrong", [
    lambda: made(ab).tap(lambda: None), lambda: ab.metrics.MeanMetricWrapper(lambda: None),
    lambda: ab.losses.LossFunctionWrapper(lambda y_true, y_pred: 0.0, rate=2.0),
    lambda: callbacks.LambdaCallback(on_epoch_end=lambda: None),
])  # fmt: skip
def test_functions_of_selectors_metrics_and_callbacks_take_what_they_are_called_with(wrong: Callable[[], object]) -> None:
    with pytest.raises(ArgumentTypeError, match="is called as"):
        wrong()


@pytest.mark.parametrize("wrong", [
    lambda: ab.utils.serialize_keras_object(in_itself()), lambda: ab.utils.deserialize_keras_object(in_itself()),
    lambda: made(ab).compile(metrics=in_itself()), lambda: made(ab).tap(in_itself()),
    lambda: ab.utils.prefetch(np.array(1.0)), lambda: ab.utils.pad_sequences([None]),
    lambda: ab.utils.pad_sequences([[1, [2]]]), lambda: ab.saving.register_keras_serializable()(3),
    lambda: ab.saving.register_keras_serializable(name="part")(functools.partial(print)),
    lambda: ab.utils.pad_sequences([[1]], dtype=layers.Dense), lambda: ab.utils.split_dataset(np.float32(1)),
    lambda: made(ab).compute_output_shape([[1], [2, 3]]),
    lambda: made(ab).save_weights("."), lambda: made(ab).load_weights("."),
    lambda: made(ab).compute_loss(torch.ones(2, 1), torch.ones(2, 1), [None]),
    lambda: ab.metrics.Mean().update_state(1j), lambda: ab.metrics.Mean().update_state(np.array([1j])),
    lambda: made(ab).lint(ignore=np.array(1.0)), lambda: ab.config.set_inference_engine(np.zeros(2)),  # type: ignore[arg-type]
    lambda: callbacks.CSVLogger("a", separator="ab"), lambda: ab.insight.summary(layers.Dense(2)),
    lambda: built_sgd().build(np.array(1.0)), lambda: built_sgd().set_weights(in_itself()),
    lambda: built_sgd().stateless_apply([0, 0.1], [[1], [2, 3]], GRADED),
    lambda: built_sgd().stateless_apply([0, 0.1], np.array(["a", "b"]), GRADED),
    lambda: ab.tree.map_shape_structure(len, {"a": 1}),
    lambda: next(GENERATOR(preprocessing_function=lambda image: None).flow(np.ones((2, 4, 4, 3)))),
    lambda: ab.ops.full((2,), 300, dtype="int8"), lambda: layers.Equalization(value_range=(1, 1)),
    lambda: ab.random.gamma((2,), 0), lambda: ab.random.beta((2,), 1.0, 0), lambda: ab.random.gamma((2,), float("inf")),
    lambda: ab.utils.bounding_boxes.crop(np.ones((1, 4)), 0, 0, -1, 3),
    lambda: ab.utils.bounding_boxes.pad(np.ones((1, 4)), float("inf"), 0),
])  # fmt: skip
def test_these_besides_are_answered_with_a_sentence(wrong: Callable[[], object]) -> None:
    with pytest.raises(AnabranchError):
        wrong()


@pytest.mark.parametrize("wrong", [
    lambda: ab.initializers.Ones()((2,), rng=np.ones(2)), lambda: ab.InputSpec(optional=ab.Input((2,))),
    lambda: layers.Layer().add_weight((2,), axes=np.array(["a"])), lambda: made(ab).summary(positions=np.array([None])),
    lambda: optimizers.SGD(momentum=np.bool_(True)), lambda: layers.LeakyReLU(np.bool_(True)),
])  # fmt: skip
def test_a_declaration_takes_nothing_that_only_looks_like_it(wrong: Callable[[], object]) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError)):
        wrong()


def test_what_serves_still_serves() -> None:
    assert str(made(ab).explain_execution(training=0))  # type: ignore[arg-type]
    assert made(ab).call(np.ones((2, 1), "int32")).shape == (2, 1)
    images = np.ones((2, 4, 4, 3))
    assert next(GENERATOR(preprocessing_function=layers.Dense(3)).flow(images, batch_size=2)).shape == images.shape
    optimizer = built_sgd()
    values, _ = optimizer.stateless_apply([0, 0.1], GRADED, GRADED)
    assert [list(value.shape) for value in values] == [[3, 2], [2]]
