"""Where things go in a drawing: nothing overlaps, no line crosses a box, skips are beside the trunk."""

import functools
import itertools
import random
from typing import get_args

import pytest
from drawn_models import DRAWN, gan, resnet, toy_resnet, unet
from random_graphs import build, sketch_of

from anabranch.insight.drawing import plan
from anabranch.insight.drawing.layout import Direction, Layout, Line, layout
from anabranch.insight.drawing.picture import Box, Edge, Picture
from anabranch.insight.drawing.placing import Rect, Size
from anabranch.insight.drawing.repeats import condensed, with_repeats
from anabranch.insight.drawing.scene import scene

DIRECTIONS = get_args(Direction)


@functools.cache
def picture_of(name: str) -> Picture:
    return condensed(with_repeats(Picture.of(DRAWN[name]())))


def placed(picture: Picture, rankdir: Direction = "TB", right_angles: bool = True) -> Layout:
    sizes = {box.id: Size(60 + 7 * len(box.name), 20 if box.group else 30 + len(box.kind)) for box in picture.boxes}
    return layout(picture, sizes, rankdir, right_angles)


def overlap(a: Rect, b: Rect) -> bool:
    return a.x + a.width > b.x + 0.1 and b.x + b.width > a.x + 0.1 and a.y + a.height > b.y + 0.1 and b.y + b.height > a.y + 0.1


def inside(a: Rect, b: Rect) -> bool:
    return (
        a.x >= b.x - 0.1
        and a.y >= b.y - 0.1
        and a.x + a.width <= b.x + b.width + 0.1
        and a.y + a.height <= b.y + b.height + 0.1
    )


def swept(line: Line) -> list[Rect]:
    """Return the rectangles that contain the parts of a line; a curve is within the rectangle of its ends."""
    return [
        Rect(min(a[0], b[0]), min(a[1], b[1]), abs(a[0] - b[0]), abs(a[1] - b[1])) for a, b in itertools.pairwise(line.points)
    ]


def check(picture: Picture, found: Layout) -> None:
    """Check all that is true of every layout."""
    around = {box.id: box.parent for box in picture.boxes}

    def groups(box: str) -> set[str]:
        held = set()
        while box:
            box = around[box]
            held.add(box)
        return held

    for level in picture.children().values():
        for a, b in itertools.combinations(level, 2):
            assert not overlap(found.boxes[a.id], found.boxes[b.id]), (a.id, b.id)
    whole = Rect(0, 0, found.width, found.height)
    for box in picture.boxes:
        assert inside(found.boxes[box.id], found.boxes[box.parent] if box.parent else whole), box.id
        if box.group:
            title = found.titles[box.id]
            assert inside(title, found.boxes[box.id])
            assert not any(overlap(title, found.boxes[each.id]) for each in picture.boxes if each.parent == box.id)
    assert len(found.lines) == len(picture.edges)
    for line in found.lines:
        edge = picture.edges[line.edge]
        allowed = {edge.source, edge.target} | groups(edge.source) | groups(edge.target)
        parts = swept(line)
        for box in picture.boxes:
            if box.id not in allowed:
                assert not any(overlap(part, found.boxes[box.id]) for part in parts), (edge, box.id)
            if box.group:
                assert not any(overlap(part, found.titles[box.id]) for part in parts), (edge, box.id)
        assert not any(overlap(part, found.boxes[name]) for part in parts for name in (edge.source, edge.target)), edge
        assert touches(line.points[0], found.boxes[edge.source])
        assert touches(line.points[-1], found.boxes[edge.target])


def touches(point: tuple[float, float], rect: Rect) -> bool:
    x, y = point
    right, bottom = rect.x + rect.width, rect.y + rect.height
    within = rect.x - 0.1 <= x <= right + 0.1 and rect.y - 0.1 <= y <= bottom + 0.1
    return within and min(abs(x - rect.x), abs(x - right), abs(y - rect.y), abs(y - bottom)) < 0.1


@pytest.mark.parametrize("rankdir", DIRECTIONS)
@pytest.mark.parametrize("name", DRAWN)
def test_drawn_models(name: str, rankdir: Direction) -> None:
    picture = picture_of(name)
    check(picture, placed(picture, rankdir))
    check(picture, placed(picture, rankdir, right_angles=False))


def test_groups_around_every_block() -> None:
    picture = with_repeats(Picture.of(resnet((3, 3))), saved=2)
    assert sum(box.role == "block" for box in picture.boxes) == 4
    check(picture, placed(picture))
    check(picture, placed(picture, "LR"))
    for closed in ([box.id] for box in picture.boxes if box.group):
        folded = picture.folded(closed)
        check(folded, placed(folded))


@pytest.mark.parametrize("seed", range(16))
def test_random_models(seed: int) -> None:
    picture = Picture.of(build(sketch_of(4 + seed, seed)).model)
    picture = condensed(with_repeats(picture, saved=2)) if seed % 2 else picture
    check(picture, placed(picture, DIRECTIONS[seed % 4], right_angles=seed % 3 > 0))


@pytest.mark.parametrize("seed", range(40))
def test_random_pictures(seed: int) -> None:
    """Edges from anywhere to anywhere later, in groups within groups."""
    rng = random.Random(seed)
    boxes: list[Box] = []
    parents = [""]
    for number in range(rng.randrange(2, 40)):
        while len(parents) > 1 and rng.random() < 0.3:
            parents.pop()
        group = rng.random() < 0.15
        boxes.append(Box(f"b{number}", parents[-1], name="n" * rng.randrange(12), kind="k" * rng.randrange(20), group=group))
        if group:
            parents.append(f"b{number}")
    leaves = [box.id for box in boxes if not box.group]
    edges = []
    for _ in range(rng.randrange(2 * len(leaves)) if len(leaves) > 1 else 0):
        a, b = sorted(rng.sample(range(len(leaves)), 2))
        edges.append(Edge(leaves[a], leaves[b], rng.randrange(2), rng.randrange(3)))
    picture = Picture("random", "Model", boxes, edges, [])
    check(picture, placed(picture, DIRECTIONS[seed % 4], right_angles=seed % 3 > 0))


def test_edges_share_their_way_to_a_box_that_takes_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [*(Box(f"b{number}", name="b") for number in range(40)), Box("joined")]
    edges = [*(Edge(f"b{n}", f"b{n + 1}") for n in range(39)), *(Edge(f"b{n}", "joined", 0, n) for n in range(40))]
    picture = Picture("heads", "Model", boxes, edges, [])
    apart = placed(picture)
    monkeypatch.setattr(plan, "MOST_LINES", -400)
    joined = placed(picture)
    check(picture, apart)
    check(picture, joined)
    assert joined.width < apart.width / 2


def middle(rect: Rect) -> float:
    return rect.x + rect.width / 2


@pytest.mark.parametrize("model", [toy_resnet, unet])
def test_the_trunk_is_straight_and_skips_are_beside_it(model: object) -> None:
    picture = Picture.of(model())  # type: ignore[operator]
    found = placed(picture)
    assert len({round(middle(rect), 1) for rect in found.boxes.values()}) == 1
    order = [box.id for box in picture.boxes]
    skips = [line for line in found.lines if line.skips]
    assert len(skips) == (2 if model is toy_resnet else 3)
    for line in skips:
        edge = picture.edges[line.edge]
        passed = order[order.index(edge.source) + 1 : order.index(edge.target)]
        assert max(x for x, _ in line.points) > max(found.boxes[box].x + found.boxes[box].width for box in passed)


def test_branches_are_on_both_sides_of_what_they_leave() -> None:
    picture = Picture.of(DRAWN["inception"]())
    found = placed(picture)
    branches = [middle(found.boxes[box]) for box in ("conv2d", "conv2d_1", "conv2d_3", "max_pooling2d")]
    assert branches == sorted(branches)  # as they are joined
    assert branches[1] < middle(found.boxes["input_layer"]) < branches[2]


def test_a_line_enters_a_group_at_the_box_it_leads_to() -> None:
    picture = Picture.of(gan())
    found = placed(picture)
    line = next(line for line in found.lines if picture.edges[line.edge].target == "generator/latent")
    assert line.points[-1][0] == pytest.approx(middle(found.boxes["generator/latent"]))
    assert line.points[-1][1] == pytest.approx(found.boxes["generator/latent"].y)


def test_a_tensor_taken_twice_has_two_lines() -> None:
    picture = Picture("twice", "Model", [Box("a"), Box("b")], [Edge("a", "b", 0, 0), Edge("a", "b", 0, 1)], [])
    first, second = placed(picture).lines
    assert first.points[-1] != second.points[-1]


def test_layers_in_no_known_order_are_in_a_column() -> None:
    picture = Picture("own", "Own", [Box("a"), Box("b"), Box("c")], [], [], ordered=False)
    found = placed(picture)
    check(picture, found)
    assert [found.boxes[box].y for box in "abc"] == sorted({rect.y for rect in found.boxes.values()})


@pytest.mark.parametrize("name", DRAWN)
def test_texts_are_inside_their_boxes_and_apart(name: str) -> None:
    for rankdir in ("TB", "LR"):
        shapes = scene(picture_of(name), rankdir=rankdir)
        for frame in [*shapes.boxes, *shapes.groups]:
            areas = [Rect(t.x, t.y - t.word.size * 0.75, t.word.width - t.word.before, t.word.size) for t in frame.texts]
            assert all(inside(area, frame.rect) for area in areas), frame.id
            assert not any(overlap(a, b) for a, b in itertools.combinations(areas, 2)), frame.id
