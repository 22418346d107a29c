"""Constraints: what a weight must be after each update."""

from __future__ import annotations

from types import FunctionType

import torch

from anabranch import runtime
from anabranch._errors import AnabranchError, ArgumentTypeError, EngineError, ShapeError
from anabranch.graph import Weight
from anabranch.optimizers.parts.step import Step


def constrain(step: Step) -> None:
    """Replace each weight that was updated by what its constraint makes of it, in Keras's order of axes."""
    for index in [i for i, weight in enumerate(step.weights) if weight.options.constraint is not None]:
        if step.gradients[index] is not None:
            runtime.write(step.weights[index], constrained(step.weights[index]))


def constrained(weight: Weight) -> torch.Tensor:
    """Return what a weight's constraint makes of it, or raise where that cannot take its place."""
    constraint = weight.constraint
    name = constraint.__name__ if isinstance(constraint, FunctionType) else type(constraint).__name__
    try:
        found = constraint(runtime.shown(weight).detach())  # type: ignore[misc]  # asked only of weights that have one
    except AnabranchError as error:
        if not isinstance(error, EngineError):
            raise error.at(f"the constraint of weight {weight.path!r}") from error.__cause__
        raise EngineError(
            f"The constraint {name} of weight {weight.path!r} failed: {error.fact}", got=f"a weight of shape {weight.shape}"
        ) from error.__cause__
    except (RuntimeError, IndexError) as error:  # an axis that the weight does not have, shapes that do not fit
        raise EngineError(
            f"The constraint {name} of weight {weight.path!r} failed: {str(error).splitlines()[0]}",
            got=f"a weight of shape {weight.shape}",
        ) from error
    if not isinstance(found, torch.Tensor):
        raise ArgumentTypeError(
            f"The constraint {name} of weight {weight.path!r} returned no tensor.",
            expected=f"a tensor of shape {weight.shape}", got=repr(found)[:120],
            repair="return the tensor that takes the weight's place, for instance w.clamp(min=0)",
        )  # fmt: skip
    if tuple(found.shape) != weight.shape:
        raise ShapeError(
            f"The constraint {name} of weight {weight.path!r} returned another shape.",
            expected=str(weight.shape), got=str(tuple(found.shape)),
        )  # fmt: skip
    return found
