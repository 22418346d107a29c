"""Sections of large levels: neighbors, cut where few tensors pass, so that the page of a large model begins closed."""

from __future__ import annotations

import itertools

import pytest

from anabranch import Input, Model, layers
from anabranch.insight.drawing.picture import Picture
from anabranch.insight.view.sections import with_sections


def blocks(count: int, depth: int = 5) -> Model:
    """Return residual blocks that do not repeat, one after the other."""
    x = h = Input((8,), name="x")
    for block in range(count):
        y = h
        for number in range(depth - 1):
            y = layers.Dense(8, use_bias=bool((block * number) % 3), name=f"block{block}_dense{number}")(y)
        h = layers.Add(name=f"block{block}_join")([y, h])
    return Model(x, h)


def test_small_levels_stay() -> None:
    picture = Picture.of(blocks(20))
    assert with_sections(picture) is picture


@pytest.mark.parametrize("count", [40, 200])
def test_sections_are_neighbors_between_which_few_tensors_pass(count: int) -> None:
    picture = Picture.of(blocks(count))
    found = with_sections(picture)
    sections = [box for box in found.boxes if box.group]
    size = len(picture.boxes) ** 0.5
    assert 0.5 * size < len(sections) < 2 * size
    assert [box._replace(parent="") for box in found.boxes if not box.group] == picture.boxes
    assert found.edges == picture.edges
    parents = [box.parent for box in found.boxes if not box.group]
    assert len(list(itertools.groupby(parents))) == len(set(parents))  # each section is a run of neighbors
    section_of = {box.id: box.parent for box in found.boxes if not box.group}
    crossing = [edge for edge in found.edges if section_of[edge.source] != section_of[edge.target]]
    between = {(edge.source, section_of[edge.source], section_of[edge.target]) for edge in crossing}
    assert len(between) == len(set(parents)) - 1  # one tensor from each to the next
    folded = found.folded([box.id for box in sections])
    assert len(folded.boxes) == len(set(parents)) - ("" in parents) + parents.count("")


def test_a_section_is_named_by_what_its_boxes_share() -> None:
    h = x = Input((8,), name="x")
    for stage in range(20):
        for number in range(20):
            h = layers.Dense(8 + (stage * number) % 3, name=f"stage{stage}_dense{number}")(h)
    names = [box.name for box in with_sections(Picture.of(Model(x, h))).boxes if box.group]
    assert "x … stage0_dense18" in names or names[0].startswith("x … ")
    assert all("stage" in name for name in names)
