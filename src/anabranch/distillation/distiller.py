"""The model that trains a student by its labels and by a teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from anabranch import _tree, metrics as metrics_of_keras, ops, registry
from anabranch._arguments import checked
from anabranch._asked import is_number, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from anabranch._frames import bound_methods
from anabranch.distillation.between import DistillationLoss, FeatureDistillation, check_loss
from anabranch.models.model import Model

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

_END = "final_output"  # the key of a model's output among its features


@bound_methods
class Distiller(Model):
    """Train a student by labels and by what a frozen teacher computes: w · loss + (1 - w) · Σ wᵢ · distillation lossᵢ.

    Calling it is calling the student. ``compile`` takes the loss and the metrics of the labels.

    Args:
        teacher: the model to learn from, which is frozen.
        student: the model that learns.
        distillation_losses: a distillation loss or a list of them.
        distillation_loss_weights: wᵢ, a number for each; 1 unless given.
        student_loss_weight: w, from 0 to 1.
        name: the model's name.
        **kwargs: what ``Model`` takes.

    Example:
        >>> import numpy as np
        >>> from anabranch import Sequential, layers
        >>> from anabranch.distillation import LogitsDistillation
        >>> teacher, student = (Sequential([layers.Input((4,)), layers.Dense(n), layers.Dense(2)]) for n in (8, 2))
        >>> distiller = Distiller(teacher, student, LogitsDistillation())
        >>> distiller.compile("sgd", "mse")
        >>> sorted(distiller.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0).history)
        ['distillation_loss', 'loss', 'student_loss', 'total_loss']
    """

    def __init__(
        self,
        teacher: Model,
        student: Model,
        distillation_losses: DistillationLoss | Sequence[DistillationLoss],
        distillation_loss_weights: Sequence[float] | None = None,
        student_loss_weight: float = 0.5,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        _check_models(teacher, student)
        if not is_number(student_loss_weight) or not 0 <= student_loss_weight <= 1:
            raise ArgumentError("student_loss_weight must be from 0 to 1.", got=shown(student_loss_weight))
        several = distillation_losses if isinstance(distillation_losses, (list, tuple)) else [distillation_losses]
        if not several:
            raise ArgumentError("A Distiller needs a distillation loss.", got=shown(distillation_losses))
        if not isinstance(distillation_loss_weights, (list, tuple, type(None))):
            raise ArgumentTypeError(
                "distillation_loss_weights must be a number for each loss.", got=shown(distillation_loss_weights)
            )
        found = [check_loss(each) for each in several]
        weights = [1.0] * len(found) if distillation_loss_weights is None else list(distillation_loss_weights)
        if len(weights) != len(found) or not all(map(is_number, weights)):
            raise ArgumentError(
                "distillation_loss_weights must be a number for each loss.",
                expected=f"{len(found)} numbers",
                got=shown(weights),
            )
        for each in found:
            each.validate_model_compatibility(teacher, student)
        teacher.trainable = False
        self.teacher, self.student = teacher, student
        self.distillation_losses, self.distillation_loss_weights = found, weights
        self.student_loss_weight = student_loss_weight
        self._features = _Features(teacher, student, found)
        self.student_loss_tracker = metrics_of_keras.Mean(name="student_loss")
        self.distillation_loss_tracker = metrics_of_keras.Mean(name="distillation_loss")
        self.total_loss_tracker = metrics_of_keras.Mean(name="total_loss")

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Return a distiller from what ``get_config`` returned, with new models.

        Args:
            config: the config.
            custom_objects: the caller's own classes and functions by name.
        """
        parts = ("teacher", "student", "distillation_losses")
        given = {key: registry.deserialize(each, custom_objects) if key in parts else each for key, each in config.items()}
        missing = [key for key in parts if key not in given]
        if missing:
            raise ArgumentError("The config of a Distiller lacks parts.", expected=", ".join(parts), got=shown(config))
        return cls(**given)

    def compile(  # type: ignore[override]  # as in Keras: the rest by name
        self, optimizer: Any = "adam", loss: _tree.Nest = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Set how the student is trained; see ``Model.compile``.

        Args:
            optimizer: what updates the student's weights.
            loss: the loss of the labels, which is needed.
            metrics: metrics of the student's predictions.
            **kwargs: what else ``Model.compile`` takes.
        """
        if loss is None:
            raise ArgumentError("The student needs a loss of its labels.", repair='compile(loss="mse"), …; its weight may be 0')
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def call(self, inputs: _tree.Nest, training: bool | None = None) -> _tree.Nest:
        """Compute what the student does."""
        return self.student(inputs, training=training)

    def compute_loss(
        self,
        x: _tree.Nest = None,
        y: _tree.Nest = None,
        y_pred: _tree.Nest = None,
        sample_weight: _tree.Nest = None,
        training: bool = True,
    ) -> Tensor:
        """Return the weighted sum of the loss of labels and the losses of distillation, of one batch.

        Args:
            x: the inputs.
            y: the labels.
            y_pred: the student's outputs; computed unless given.
            sample_weight: weights of the samples in the loss of labels.
            training: whether features are computed as in training.
        """
        if y_pred is None:
            y_pred = self(x, training=training)
        weight = self.student_loss_weight
        total = student = (
            ops.zeros(()) if not weight or y is None else super().compute_loss(x, y, y_pred, sample_weight, training)
        )
        distilled = ops.zeros(())
        if weight < 1:
            distilled = self._features.loss(self.distillation_loss_weights, x, y_pred, training)
            total = weight * student + (1 - weight) * distilled
        for tracker, value in (
            (self.student_loss_tracker, student), (self.distillation_loss_tracker, distilled), (self.total_loss_tracker, total)
        ):  # fmt: skip
            tracker.update_state(value.detach())
        return total


class _Features:
    """What losses compare: outputs of layers, or of the models.

    Args:
        teacher: the teacher.
        student: the student.
        losses: the losses, some of which name layers.
    """

    def __init__(self, teacher: Model, student: Model, losses: Sequence[DistillationLoss]) -> None:
        self.losses, self._teacher = losses, teacher
        self._names = [
            (each.teacher_layer_name or _END, each.student_layer_name or _END)
            if isinstance(each, FeatureDistillation)
            else (_END, _END)
            for each in losses
        ]
        self._of_teacher, self._of_student = (
            _extractor(model, [name for name in dict.fromkeys(names) if name != _END])
            for model, names in zip((teacher, student), zip(*self._names, strict=True), strict=True)
        )

    def loss(self, weights: Sequence[float], x: _tree.Nest, y_pred: _tree.Nest, training: bool) -> _tree.Nest:
        """Return the weighted sum of the losses."""
        theirs: _tree.Nest = (
            {_END: self._teacher(x, training=False)} if self._of_teacher is None else self._of_teacher(x, training=False)
        )
        ours: _tree.Nest = (
            {_END: y_pred}
            if self._of_student is None
            else {**cast("dict[str, Any]", self._of_student(x, training=training)), _END: y_pred}
        )
        total: _tree.Nest = 0.0
        for loss, weight, (name, own) in zip(self.losses, weights, self._names, strict=True):
            loss.validate_outputs(theirs[name], ours[own])
            value = loss.compute_loss(theirs[name], ours[own])
            if tuple(value.shape) != ():
                raise ShapeError(
                    f"compute_loss of {type(loss).__name__} must return a scalar.", expected="()", got=str(tuple(value.shape))
                )
            total = total + weight * value
        return total


def _extractor(model: Model, names: Sequence[str]) -> Model | None:
    """Return a model of the outputs of layers, and of the model's own; None where no layer is named."""
    if not names:
        return None
    outputs = {_END: model.output, **{name: model.get_layer(name=name).output for name in names}}
    return Model(model.input, outputs)


def _check_models(teacher: object, student: object) -> None:
    """Raise where two models do not take and give the same."""
    for word, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, Model):
            raise ArgumentTypeError(f"{word} must be a model.", got=shown(model))
    if not isinstance(teacher, Model) or not isinstance(student, Model) or teacher.graph is None or student.graph is None:
        return
    for word, theirs, ours in (
        ("inputs", teacher.inputs, student.inputs), ("outputs", teacher.outputs, student.outputs)
    ):  # fmt: skip
        if len(theirs) != len(ours):
            raise ShapeError(f"Teacher and student must have as many {word}.", expected=str(len(theirs)), got=str(len(ours)))
        for one, other in zip(theirs, ours, strict=True):
            pairs = zip(one.shape, other.shape, strict=False)
            if len(one.shape) != len(other.shape) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
                raise ShapeError(
                    f"The {word} of teacher and student must have one shape.",
                    expected=f"the teacher's {one.shape}",
                    got=f"the student's {other.shape}",
                )
            if one.dtype != other.dtype:
                raise DtypeError(f"The {word} of teacher and student must have one dtype.", expected=one.dtype, got=other.dtype)
