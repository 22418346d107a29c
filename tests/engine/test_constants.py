"""Knowing from a tensor's memory that a number in it has changed."""

from __future__ import annotations

import pytest
import torch

from anabranch.engine.constants import content


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64, torch.int8], ids=str)
@pytest.mark.parametrize("count", [0, 1, 7, 64, 300_001])
def test_every_change_changes_the_content(count: int, kind: torch.dtype) -> None:
    tensor = (100 * torch.rand(count, generator=torch.Generator().manual_seed(0))).to(kind)
    first = content(tensor)
    assert content(tensor.clone()) == first
    for place in {0, count // 2, count - 1} if count else ():
        kept = tensor[place].item()
        tensor[place] = -kept - 1
        assert content(tensor) != first
        tensor[place] = kept
    assert content(tensor) == first
    if count > 1:
        assert content(tensor.flip(0)) != first, "numbers changed places"
