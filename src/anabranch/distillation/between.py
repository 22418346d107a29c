"""Losses between what a teacher and a student compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from anabranch import _tree, losses, ops, tree
from anabranch._arguments import guarded
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError, ShapeError
from anabranch._fields import Configurable, Field, field, number, text
from anabranch.losses.registry import reducing

if TYPE_CHECKING:
    from anabranch.models.model import Model
    from anabranch.runtime import Tensor


def _each(value: Any) -> _tree.Nest:
    """Return the losses that a nest of names, losses and their JSON means."""
    if isinstance(value, Mapping) and "class_name" not in value:
        return {key: _each(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each(part) for part in value]
    return reducing(value)


def to_losses(value: object, owner: object, name: str) -> _tree.Nest:
    """Return a nest of losses, of which one at least is not None."""
    found = _each(value)
    if all(leaf is None for leaf in _tree.leaves(found)):
        raise ArgumentError("At least one loss must not be None.", got=shown(value))
    return found


def by_output(function: Callable[..., Tensor], loss: _tree.Nest, teacher: _tree.Nest, student: _tree.Nest) -> Tensor:
    """Return the sum of a function of a loss and of both outputs, over the outputs that have a loss."""
    try:
        tree.assert_same_structure(loss, teacher)
        tree.assert_same_structure(teacher, student)
    except ValueError as error:
        raise ArgumentError(
            "Losses, and outputs of teacher and student, must have one structure.",
            expected=shown(tree.map_structure(lambda each: "…", loss)),
            got=f"teacher {_shapes(teacher)}, student {_shapes(student)}",
        ) from error
    parts = zip(*map(_tree.leaves_by_key, (loss, teacher, student)), strict=True)
    total: _tree.Nest = sum(ops.mean(function(each, a, b)) for each, a, b in parts if each is not None)
    return total  # type: ignore[no-any-return]  # one loss at least is there


def _shapes(nest: _tree.Nest) -> str:
    return shown(tree.map_structure(lambda each: tuple(each.shape), nest))


class DistillationLoss(Configurable):
    """Base of losses between teacher and student: subclass and write ``compute_loss``.

    Example:
        >>> import torch
        >>> class Largest(DistillationLoss):
        ...     def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        ...         return (teacher_outputs - student_outputs).abs().max()
        >>> Largest().compute_loss(torch.ones(2), torch.zeros(2))
        tensor(1.)
    """

    def compute_loss(self, teacher_outputs: _tree.Nest, student_outputs: _tree.Nest, **kwargs: object) -> Tensor:
        """Return the loss of one batch, a scalar.

        Args:
            teacher_outputs: what the teacher computed, a tensor or a nest.
            student_outputs: what the student computed.
            **kwargs: anything else that a loss of one's own takes.
        """
        raise NotImplementedError(f"{type(self).__name__} must write compute_loss(teacher_outputs, student_outputs).")

    def validate_outputs(self, teacher_outputs: _tree.Nest, student_outputs: _tree.Nest) -> None:
        """Raise where outputs do not fit each other.

        Args:
            teacher_outputs: what the teacher computed.
            student_outputs: what the student computed.
        """
        tree.assert_same_structure(teacher_outputs, student_outputs)

    def validate_model_compatibility(self, teacher: Model, student: Model) -> None:
        """Raise where the loss cannot be computed of two models; here of any it can.

        Args:
            teacher: the teacher.
            student: the student.
        """


class LogitsDistillation(DistillationLoss):
    """The loss of the student's logits against the teacher's, both divided by a temperature (Hinton et al. 2015, §2).

    ``"kl_divergence"`` compares the softmax of both, T² · KL(softmax(t / T), softmax(s / T)); other losses take the logits.

    Example:
        >>> import torch
        >>> LogitsDistillation(2.0).compute_loss(torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 4.0]]))
        tensor(6.0928)
    """

    temperature: Field[float, float] = number(default=3.0, above=0, doc="T, by which logits are divided.")
    loss: Field[object, object] = field(
        default="kl_divergence", convert=to_losses, fresh=True,
        doc="a loss, or a nest of them like the outputs; None skips an output.",
    )  # fmt: skip

    @guarded
    def compute_loss(self, teacher_outputs: _tree.Nest, student_outputs: _tree.Nest, **kwargs: object) -> Tensor:
        """Return the loss of one batch, the sum over the outputs."""

        def one(loss: losses.Loss, teacher: Tensor, student: Tensor) -> Tensor:
            scaled = ops.divide(teacher, self.temperature), ops.divide(student, self.temperature)
            if isinstance(loss, losses.KLDivergence):
                return loss(*(ops.softmax(each) for each in scaled)) * self.temperature**2
            return loss(*scaled)

        return by_output(one, self.loss, teacher_outputs, student_outputs)


class FeatureDistillation(DistillationLoss):
    """The loss of what a layer of the student computes against what one of the teacher does (Romero et al. 2015, §2.2).

    Example:
        >>> import torch
        >>> FeatureDistillation("mae").compute_loss(torch.ones(2, 3), torch.zeros(2, 3))
        tensor(1.)
    """

    loss: Field[object, object] = field(
        default="mse", convert=to_losses, fresh=True, doc="a loss, or a nest of them like the outputs; None skips an output."
    )
    teacher_layer_name: Field[str | None, str | None] = text(
        default=None, optional=True, doc="the teacher's layer; None: its output."
    )
    student_layer_name: Field[str | None, str | None] = text(
        default=None, optional=True, doc="the student's layer; None: its output."
    )

    @guarded
    def compute_loss(self, teacher_outputs: _tree.Nest, student_outputs: _tree.Nest, **kwargs: object) -> Tensor:
        """Return the loss of one batch, the sum over the outputs."""
        for teacher, student in zip(_tree.leaves(teacher_outputs), _tree.leaves(student_outputs), strict=False):
            if tuple(teacher.shape) != tuple(student.shape):
                raise ShapeError(
                    "Features of teacher and student must have one shape.",
                    expected=f"the teacher's {tuple(teacher.shape)}",
                    got=f"the student's {tuple(student.shape)}",
                )
        return by_output(lambda loss, teacher, student: loss(teacher, student), self.loss, teacher_outputs, student_outputs)

    def validate_model_compatibility(self, teacher: Model, student: Model) -> None:
        """Raise where a model has no such layer."""
        for word, model, name in (("teacher", teacher, self.teacher_layer_name), ("student", student, self.student_layer_name)):
            if name is None:
                continue
            if model.graph is None:
                raise NotReadyError(
                    f"The {word} has no graph, in which a layer could be found.", got=shown(model),
                    repair="a functional or Sequential model; or FeatureDistillation without names of layers",
                )  # fmt: skip
            try:
                model.get_layer(name=name)
            except ValueError as error:
                raise ArgumentError(f"The {word} has no layer {name!r}.", got=shown(model)) from error


def check_loss(loss: object) -> DistillationLoss:
    """Return a distillation loss, or raise."""
    if not isinstance(loss, DistillationLoss):
        raise ArgumentTypeError(
            "Expected a distillation loss.",
            expected="LogitsDistillation(), FeatureDistillation() or one's own",
            got=shown(loss),
        )
    return loss
