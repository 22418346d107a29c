"""Knowing from a tensor's memory that a number in it has changed."""

from __future__ import annotations

import pytest
import torch

from anabranch.engine.constants import Memory


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64, torch.int8], ids=str)
@pytest.mark.parametrize("counts", [(0,), (1,), (7, 64), (5, 0, 300_001, 3), (300_001, 400_000)], ids=str)
def test_every_change_changes_the_contents(counts: tuple[int, ...], kind: torch.dtype) -> None:
    drawn = torch.Generator().manual_seed(0)
    tensors = [(100 * torch.rand(count, generator=drawn)).to(kind) for count in counts]
    memory = Memory(tensors)
    first = memory.contents()
    assert Memory(tensors).contents() == first
    for tensor in tensors:
        count = len(tensor)
        for place in {0, count // 2, count - 1} if count else ():
            before = tensor[place].item()
            tensor[place] = -before - 1
            assert memory.contents() != first
            tensor[place] = before
        assert memory.contents() == first
        if count > 1:
            before = tensor.clone()
            tensor.copy_(before.flip(0))
            assert memory.contents() != first, "numbers changed places"
            tensor.copy_(before)


def test_another_place_is_another_content() -> None:
    weight = torch.nn.Parameter(torch.ones(5))
    memory = Memory([weight])
    first = memory.contents()
    weight.data = torch.ones(5)
    assert memory.contents()[0] != first[0]
    assert memory.contents()[1] == first[1]
    weight.data.zero_()
    assert memory.contents()[1] != first[1], "what is there now is looked at"
