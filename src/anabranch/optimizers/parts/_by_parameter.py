"""Tensors that belong to parameters, such as sums and averages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch

ByParameter: TypeAlias = dict[torch.nn.Parameter, torch.Tensor]


def followed(values: ByParameter) -> ByParameter:
    """Return the tensors on the devices of their parameters."""
    return {parameter: value.to(parameter.device) for parameter, value in values.items()}


def by_parameter(parameters: Sequence[torch.nn.Parameter], values: Sequence[torch.Tensor | None]) -> ByParameter:
    """Return values that come in the order of their parameters, without those that are None."""
    return followed({p: value for p, value in zip(parameters, values, strict=True) if value is not None})
