"""Distillation beside Keras's: the same losses and weights after the same steps, from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import here

import anabranch as ab
from anabranch import Input, Model, Sequential, layers
from anabranch._errors import ArgumentError, ArgumentTypeError, DtypeError, NotReadyError, ShapeError
from anabranch.distillation import DistillationLoss, Distiller, FeatureDistillation, LogitsDistillation

RNG = np.random.default_rng(11)
X, Y = RNG.normal(size=(12, 3)).astype("float32"), RNG.integers(0, 2, (12, 1))


def net(library: Any, width: int = 4, outputs: int = 2) -> Any:
    x = library.Input((3,))
    return library.Model(x, library.layers.Dense(outputs)(library.layers.Dense(width, activation="relu", name="body")(x)))


def losses_of(library: Any, kind: str) -> Any:
    d, exact = library.distillation, library.losses.KLDivergence()
    return {
        "logits": d.LogitsDistillation(loss=exact),
        "mse of logits": d.LogitsDistillation(temperature=2.0, loss="mse"),
        "output": d.FeatureDistillation(),
        "features": d.FeatureDistillation(loss="mae", teacher_layer_name="body", student_layer_name="body"),
        "both": [
            d.LogitsDistillation(temperature=4.0, loss=exact),
            d.FeatureDistillation(teacher_layer_name="body", student_layer_name="body"),
        ],
    }[kind]


@pytest.mark.parametrize("weight", [0.5, 0.2])
@pytest.mark.parametrize("kind", ["logits", "mse of logits", "output", "features", "both"])
def test_steps_beside_keras(keras: Any, kind: str, weight: float) -> None:
    found = []
    values: list[Any] = []
    for library in (ab, keras):
        teacher, student = net(library), net(library)
        values = values or [teacher.get_weights(), [each + 0.1 for each in student.get_weights()]]
        teacher.set_weights(values[0])
        student.set_weights(values[1])
        several = {"distillation_loss_weights": [1.0, 0.3]} if kind == "both" else {}
        made = library.distillation.Distiller(teacher, student, losses_of(library, kind), student_loss_weight=weight, **several)
        made.compile(
            library.optimizers.SGD(0.1), library.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
        )
        history = made.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0, validation_data=(X, Y)).history
        assert all(np.array_equal(a, b) for a, b in zip(teacher.get_weights(), values[0], strict=True)), "the teacher is frozen"
        found.append(
            (history, student.get_weights(), made.evaluate(X, Y, verbose=0, return_dict=True), made.predict(X, verbose=0))
        )
    (history, weights, scores, predictions), wanted = found
    assert set(history) == set(wanted[0])
    for name, each in wanted[0].items():
        assert np.allclose(history[name], each, rtol=1e-4), name
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(weights, wanted[1], strict=True))
    assert scores.keys() == wanted[2].keys()
    assert np.allclose(predictions, wanted[3], atol=1e-5)


def made(losses: Any = None, **options: Any) -> Distiller:
    teacher, student = net(ab), net(ab)
    found = Distiller(teacher, student, losses or LogitsDistillation(), **options)
    found.compile("sgd", ab.losses.SparseCategoricalCrossentropy(from_logits=True))
    return found


def test_logits_are_compared_as_probabilities_by_default(keras: Any) -> None:
    """Keras takes its default by name, which gives a function, and so compares raw logits."""
    a, b = RNG.normal(size=(2, 5, 3)).astype("float32")
    exact = keras.distillation.LogitsDistillation(loss=keras.losses.KLDivergence())
    wanted = float(exact.compute_loss(torch.as_tensor(a), torch.as_tensor(b)))
    assert float(LogitsDistillation().compute_loss(torch.as_tensor(a), torch.as_tensor(b))) == pytest.approx(wanted, rel=1e-5)


def test_several_outputs_and_those_that_are_left_out() -> None:
    one, other = torch.ones(4, 2), torch.zeros(4, 2)
    both = FeatureDistillation(["mse", "mae"]).compute_loss([one, 3 * one], [other, other])
    assert float(both) == pytest.approx(1 + 3)
    assert float(FeatureDistillation(["mse", None]).compute_loss([one, 3 * one], [other, other])) == pytest.approx(1)
    named = FeatureDistillation({"a": "mse", "b": None}).compute_loss({"a": one, "b": one}, {"a": other, "b": other})
    assert float(named) == pytest.approx(1)
    with pytest.raises(ArgumentError, match="one structure"):
        FeatureDistillation(["mse", "mae"]).compute_loss(one, other)
    for kind in (FeatureDistillation, LogitsDistillation):
        with pytest.raises(ArgumentError, match="At least one loss"):
            kind(loss=[None, None])


def test_sample_weights_count() -> None:
    found = made(student_loss_weight=1.0)
    weights = np.where(np.arange(12) < 6, 1.0, 0.0)
    value = found.evaluate(X, Y, sample_weight=weights, verbose=0, return_dict=True)["student_loss"]
    exact = found.evaluate(X[:6], Y[:6], verbose=0, return_dict=True)["student_loss"]
    assert value == pytest.approx(exact / 2, rel=1e-5)


def test_a_loss_of_ones_own_is_used() -> None:
    class Largest(DistillationLoss):
        def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
            return (teacher_outputs - student_outputs).abs().max()

    found = made(Largest(), student_loss_weight=0.0)
    x = torch.as_tensor(X, device=here())
    wanted = (found.teacher(x) - found.student(x)).abs().max().detach()
    logs = found.evaluate(X, Y, verbose=0, return_dict=True, batch_size=12)
    assert logs["loss"] == pytest.approx(float(wanted), rel=1e-5)

    class Several(DistillationLoss):
        def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
            return (teacher_outputs - student_outputs).abs().amax(-1)

    with pytest.raises(ShapeError, match="scalar"):
        made(Several()).fit(X, Y, verbose=0)


def test_evaluation_leaves_the_student_as_it_is() -> None:
    """Keras computes the student's features as in training, so that batch statistics move."""

    def normed() -> Any:
        x = Input((3,))
        return Model(x, layers.Dense(2)(layers.BatchNormalization(name="body")(x)))

    found = Distiller(normed(), normed(), FeatureDistillation(teacher_layer_name="body", student_layer_name="body"))
    found.compile("sgd", ab.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = found.student.get_weights()
    found.evaluate(X, Y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, found.student.get_weights(), strict=True))


def test_it_is_saved_and_loaded(keras: Any, tmp_path: Path) -> None:
    found = made([LogitsDistillation(2.0), FeatureDistillation("mae", "body", "body")], student_loss_weight=0.3)
    found.fit(X, Y, verbose=0)
    found.save(tmp_path / "d.keras")
    again: Any = ab.models.load_model(tmp_path / "d.keras")
    assert type(again) is Distiller
    assert [type(each) for each in again.distillation_losses] == [LogitsDistillation, FeatureDistillation]
    assert again.distillation_losses[0].temperature == 2.0
    assert again.distillation_losses[1].get_config() == found.distillation_losses[1].get_config()
    assert again.student_loss_weight == 0.3
    assert np.array_equal(again.predict(X, verbose=0), found.predict(X, verbose=0))
    first, second = (each.evaluate(X, Y, verbose=0, return_dict=True) for each in (found, again))
    assert first == pytest.approx(second)


def test_what_does_not_fit_is_refused() -> None:
    good = net(ab)
    x = Input((3,))
    for other, error, words in (
        (net(ab, outputs=3), ShapeError, "outputs of teacher and student"),
        (Sequential([Input((5,)), layers.Dense(2)]), ShapeError, "inputs of teacher and student"),
        (Model(x, [layers.Dense(2)(x), layers.Dense(2)(x)]), ShapeError, "as many outputs"),
        (Sequential([Input((3,), dtype="int32"), layers.Dense(2)]), DtypeError, "one dtype"),
        (3, ArgumentTypeError, "student must be a model"),
    ):
        with pytest.raises(error, match=words):
            Distiller(good, other, LogitsDistillation())  # type: ignore[arg-type]
    for options, error, words in (
        ({"student_loss_weight": 2.0}, ArgumentError, "from 0 to 1"),
        ({"student_loss_weight": "a"}, ArgumentError, "from 0 to 1"),
        ({"distillation_loss_weights": [1.0, 2.0]}, ArgumentError, "a number for each loss"),
        ({"distillation_losses": None}, ArgumentTypeError, "distillation loss"),
        ({"distillation_losses": FeatureDistillation(teacher_layer_name="no")}, ArgumentError, "teacher has no layer 'no'"),
        ({"distillation_losses": FeatureDistillation(student_layer_name="no")}, ArgumentError, "student has no layer 'no'"),
    ):
        with pytest.raises(error, match=words):
            Distiller(good, net(ab), **{"distillation_losses": LogitsDistillation(), **options})  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="loss of its labels"):
        Distiller(good, net(ab), LogitsDistillation()).compile("sgd")
    narrow = Distiller(good, net(ab, 2), FeatureDistillation(teacher_layer_name="body", student_layer_name="body"))
    narrow.compile("sgd", "mse")
    with pytest.raises(ShapeError, match="Features of teacher and student"):
        narrow.fit(X, np.ones((12, 2)), verbose=0)
    with pytest.raises(ArgumentError, match="temperature"):
        LogitsDistillation(0.0)

    class Own(Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(NotReadyError, match="no graph"):
        Distiller(Own(), net(ab), FeatureDistillation(teacher_layer_name="body"))
