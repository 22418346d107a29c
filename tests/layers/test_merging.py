"""Merges beside real Keras's and NumPy's: ranks, stretching, types, and messages that say what to change."""

from __future__ import annotations

import linecache
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import allclose, equal
from hypothesis import given, settings, strategies as st

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError
from anabranch.graph.shapes import same

ELEMENTWISE = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")


def draw(shapes: list[tuple[int, ...]], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def run(function: Any, arrays: list[np.ndarray]) -> list[torch.Tensor]:
    """Return the result, and the gradients of a fixed projection of it."""
    given = [torch.tensor(array, requires_grad=True) for array in arrays]
    result = function(given)
    drawn = np.random.default_rng(2).normal(size=tuple(result.shape)).astype("float32")
    projection = torch.tensor(drawn, device=result.device)
    return [result.detach(), *torch.autograd.grad((result * projection).sum(), given)]


def assert_same_as_keras(
    keras: Any, name: str, shapes: list[tuple[int, ...]], unknown: bool = False, ours: Any = None, **config: Any
) -> None:
    """``ours``: arguments that Keras's layer does not have."""
    ours = config | (ours or {})
    described = [(None,) * (len(s) - 1) if unknown else s[1:] for s in shapes]
    symbols = [ab.Input(shape) for shape in described]
    model = ab.Model(symbols, getattr(layers, name)(**ours)(symbols))
    theirs = getattr(keras.layers, name)(**config)
    theirs.build([(None, *shape) for shape in described])
    arrays = draw(shapes)
    found, expected = run(model, arrays), run(theirs, arrays)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert allclose(a, b, atol=1e-5)
    if not unknown:
        assert model.outputs[0].shape == tuple(theirs([keras.Input(shape[1:]) for shape in shapes]).shape)
    eager = getattr(layers, name)(**ours)(arrays)
    assert allclose(eager, found[0], atol=1e-6)


SHAPES = [
    [(2, 4, 3), (2, 4, 3)],
    [(2, 4, 3), (2, 1, 3)],
    [(2, 1, 3), (2, 4, 1)],
    [(2, 4, 5, 3), (2, 1, 1, 3)],
    [(2, 4, 3), (2, 3)],
    [(2, 3), (2, 4, 5, 3)],
    [(2, 1), (2, 3)],
]


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_elementwise(keras: Any, name: str, shapes: list[tuple[int, ...]]) -> None:
    assert_same_as_keras(keras, name, shapes, ours={"broadcast": True})


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "Subtract"])
def test_more_and_fewer_branches(keras: Any, name: str) -> None:
    assert_same_as_keras(keras, name, [(2, 4, 3), (2, 1, 3), (2, 4, 1), (2, 3)], ours={"broadcast": True})
    assert_same_as_keras(keras, name, [(2, 4, 3)])


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_unknown_sizes(keras: Any, name: str) -> None:
    assert_same_as_keras(keras, name, [(2, 4, 3), (2, 4, 3)], unknown=True)


@pytest.mark.parametrize(
    ("axis", "shapes"),
    [
        (-1, [(2, 4, 3), (2, 4, 1)]),
        (1, [(2, 4, 3), (2, 1, 3), (2, 2, 3)]),
        (2, [(2, 4, 3, 5), (2, 4, 2, 5)]),
        (-3, [(2, 4, 3, 5), (2, 1, 3, 5)]),
        (0, [(2, 4), (3, 4)]),
        (-1, [(2, 4)]),
    ],
)
def test_concatenate(keras: Any, axis: int, shapes: list[tuple[int, ...]]) -> None:
    assert_same_as_keras(keras, "Concatenate", shapes, axis=axis)
    assert_same_as_keras(keras, "Concatenate", shapes, unknown=True, axis=axis)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    ("axes", "shapes"),
    [
        (1, [(2, 4), (2, 4)]),
        (-1, [(2, 4), (2, 4)]),
        (2, [(2, 3, 4), (2, 5, 4)]),
        ((2, 1), [(2, 3, 4), (2, 4, 5)]),
        ((1, 1), [(2, 4, 3), (2, 4, 5)]),
        ((1, 2), [(2, 4, 3), (2, 5, 4)]),
        ((2, 1), [(2, 3, 4), (2, 4)]),
        ((1, 2), [(2, 4), (2, 3, 4)]),
        (-1, [(2, 4), (2, 3, 4)]),
        ((3, 1), [(2, 3, 5, 4), (2, 4, 6)]),
    ],
)
def test_dot(keras: Any, axes: Any, shapes: list[tuple[int, ...]], normalize: bool) -> None:
    assert_same_as_keras(keras, "Dot", shapes, axes=axes, normalize=normalize)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_rule_is_numpys_broadcasting(data: st.DataObject) -> None:
    sizes = st.sampled_from([1, 2, 3, None])
    rank = data.draw(st.integers(1, 4))
    shapes = [tuple(data.draw(sizes) for _ in range(rank)) for _ in range(data.draw(st.integers(2, 4)))]
    symbols = [ab.Input(shape) for shape in shapes]
    most = [next((shape[axis] for shape in shapes if shape[axis] not in (None, 1)), 7) for axis in range(rank)]
    filled = [
        [tuple(fill[axis] if n is None else n for axis, n in enumerate(shape)) for shape in shapes] for fill in ([1] * 4, most)
    ]
    try:
        results = [np.broadcast_shapes(*known) for known in filled]
    except ValueError:
        with pytest.raises(ShapeError, match="cannot merge"):
            layers.Add(broadcast=True)(symbols)
        return
    merged = layers.Add(broadcast=True)(symbols).shape[1:]
    assert all(same(merged, result) for result in results)
    assert [size is None for size in merged] == [m != n for m, n in zip(*results, strict=True)]


def test_functions_are_their_layers() -> None:
    arrays = draw([(2, 4), (2, 4)])
    for name in (*ELEMENTWISE, "Concatenate"):
        assert equal(getattr(layers, name.lower())(arrays), getattr(layers, name)()(arrays))
    assert equal(layers.concatenate(arrays, axis=0), layers.Concatenate(0)(arrays))
    assert equal(layers.dot(arrays, axes=1, normalize=True), layers.Dot(1, True)(arrays))
    symbols = [ab.Input((4,)), ab.Input((4,))]
    assert layers.add(symbols, name="join").name == "join"
    assert layers.add(tuple(symbols)).shape == (None, 4)


@pytest.mark.parametrize("name", ["Add", "Subtract", "Multiply", "Maximum", "Minimum", "Concatenate"])
@pytest.mark.parametrize("dtypes", [("int32", "int32"), ("uint8", "int64"), ("int32", "float32"), ("float64", "float32")])
def test_types(name: str, dtypes: tuple[str, str]) -> None:
    symbols = [ab.Input((3,), dtype=dtype) for dtype in dtypes]
    merged = getattr(layers, name)()(symbols)
    result = ab.Model(symbols, merged)([np.array([[5, 6, 7]], dtype=dtype) for dtype in dtypes])
    assert str(result.dtype).removeprefix("torch.") == merged.dtype


def test_means_and_products_of_integers_are_floats() -> None:
    symbols = [ab.Input((2,), dtype="int32"), ab.Input((2,), dtype="int32")]
    data = [np.array([[1, 2]]), np.array([[2, 4]])]
    for layer, expected in ((layers.Average(), [[1.5, 3.0]]), (layers.Dot(1), [[10.0]])):
        merged = layer(symbols)
        assert merged.dtype == "float32"
        assert ab.Model(symbols, merged)(data).tolist() == layer(data).tolist() == expected


def test_one_layer_on_branches_of_several_ranks() -> None:
    dot, add = layers.Dot(-1), layers.Add(broadcast=True)
    a, b = ab.Input((3, 4)), ab.Input((4,))
    model = ab.Model([a, b], [dot([a, a]), dot([b, b]), add([a, b]), add([b, b])])
    shapes = [tuple(result.shape) for result in model(draw([(2, 3, 4), (2, 4)]))]
    assert shapes == [(2, 3, 3), (2, 1), (2, 3, 4), (2, 4)]


# Stretching only when asked


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "Multiply"])
@pytest.mark.parametrize("shapes", [((4, 3), (1, 3)), ((1, 1, 3), (8, 8, 3)), ((3,), (4, 3)), ((8, 8, 1), (8, 8, 3))], ids=str)
def test_a_merge_stretches_only_when_asked(name: str, shapes: Any) -> None:
    layer = getattr(layers, name)
    with pytest.raises(ShapeError, match=f"{name} would stretch one of") as caught:
        layer()([ab.Input(shape) for shape in shapes])
    assert f"{name.lower()}([a, b], broadcast=True)" in str(caught.value)
    assert "test_merging.py:" in str(caught.value.where)
    symbols = [ab.Input(shape) for shape in shapes]
    assert layer(broadcast=True)(symbols).shape == getattr(layers, name.lower())(symbols, broadcast=True).shape
    with pytest.raises(ShapeError, match="would stretch"):  # numbers are held to it too
        layer()(draw([(2, *shape) for shape in shapes]))


def test_gates_and_operators_stretch() -> None:
    x, gate = ab.Input((4, 3)), ab.Input((1, 3))
    assert layers.multiply([x, gate]).shape == (x + gate).shape == (x - gate).shape == (x * gate).shape == (None, 4, 3)
    with pytest.raises(ShapeError, match="would stretch"):
        layers.multiply([x, gate], broadcast=False)


def test_unknown_sizes_are_not_stretched() -> None:
    assert layers.add([ab.Input((None, 3)), ab.Input((1, 3)), ab.Input((None, 3))]).shape == (None, None, 3)
    assert layers.add([ab.Input((None, 3)), ab.Input((5, 3))]).shape == (None, 5, 3)


def test_the_third_branch_is_held_to_the_size_that_the_first_to_know_has() -> None:
    with pytest.raises(ShapeError, match="would stretch one of") as caught:
        layers.add([ab.Input((None, 3), name="a"), ab.Input((4, 3), name="b"), ab.Input((1, 3), name="c")])
    assert "branch 2  Input 'b'" in str(caught.value)
    assert "branch 3  Input 'c'" in str(caught.value)


def test_where_merges_are_not_strict_stretching_is_a_warning_with_the_users_line() -> None:
    ab.config.set_strict_merges(False)
    try:
        a, b = ab.Input((4, 3)), ab.Input((1, 3))
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("default")
            merged = [layers.add([a, b]) for _ in range(2)]  # one line is warned of once
        assert merged[0].shape == (None, 4, 3)
        assert [(warning.category, warning.filename) for warning in warned] == [(UserWarning, __file__)]
        assert str(warned[0].message).startswith("Add stretches one of (None, 4, 3) and (None, 1, 3): steps 4 and 1. Keras ")
        assert "layers.add([a, b])" in linecache.getline(__file__, warned[0].lineno)
        with pytest.raises(ShapeError, match="cannot merge"):
            layers.add([a, ab.Input((5, 3))])
    finally:
        ab.config.set_strict_merges(True)


def test_a_script_of_keras_that_stretches_runs_with_a_warning(tmp_path: Path) -> None:
    script = tmp_path / "gate.py"
    script.write_text("""import keras
x = keras.Input((8, 8, 4))
y = keras.layers.Add()(
    [x, keras.layers.GlobalAveragePooling2D(keepdims=True)(x)])
print(keras.Model(x, y).output_shape)
""")
    command = [sys.executable, "-m", "anabranch", "run", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "(None, 8, 8, 4)\n"
    assert f"{script}:3: UserWarning: Add stretches one of" in done.stderr


def test_a_merge_inside_a_traced_layer() -> None:
    class Block(layers.Layer):
        def __init__(self, broadcast: bool) -> None:
            super().__init__()
            self.pool, self.join = layers.GlobalAveragePooling2D(keepdims=True), layers.Add(broadcast=broadcast)

        def call(self, x: Any) -> Any:
            return self.join([x, self.pool(x)])

    x = ab.Input((4, 4, 3))
    data = draw([(2, 4, 4, 3)])[0]
    for broadcast in (True, False):
        result = ab.Model(x, Block(broadcast)(x))(data)
        assert np.allclose(result.detach().cpu().numpy(), data + data.mean((1, 2), keepdims=True), atol=1e-6)


def test_broadcast_is_part_of_the_config() -> None:
    layer = layers.Add(broadcast=True)
    assert layers.Add.from_config(layer.get_config()).broadcast
    assert not layers.Add.from_config(layers.Add().get_config()).broadcast


# Messages


def message(*shapes: Any, layer: Any = None) -> str:
    with pytest.raises(ShapeError) as caught:
        (layer or layers.Add())([ab.Input(shape, name=f"x{i}") for i, shape in enumerate(shapes)])
    return str(caught.value)


def test_a_message_shows_both_branches_from_their_fork() -> None:
    x = ab.Input((32, 32, 3), name="img")
    left = layers.Conv2D(16, 3, name="left")(x)
    right = layers.Conv2D(8, 5, name="right")(x)
    with pytest.raises(ShapeError) as caught:
        layers.Add(name="join")([left, right])
    report = str(caught.value).splitlines()
    assert report == [
        "Add cannot merge (None, 30, 30, 16) and (None, 28, 28, 8): height 30 and 28, width 30 and 28, channels 16 and 8.",
        f"  fork      Input 'img'     (None, 32, 32, 3)   {x.node.site}",
        f"  branch 1  Conv2D 'left'   (None, 30, 30, 16)  {left.node.site}",
        "              ↑ height 32 → 30, width 32 → 30, channels 3 → 16",
        f"  branch 2  Conv2D 'right'  (None, 28, 28, 8)   {right.node.site}",
        "              ↑ height 32 → 28, width 32 → 28, channels 3 → 8",
        "  expected: equal height, width and channels",
        f"  where:    Add 'join', called at {caught.value.where.rpartition(' ')[2]}",
        f"  repair:   padding=\"same\" in Conv2D 'right' ({right.node.site}) of branch 2,",
        f"            and in Conv2D 'left' ({left.node.site}) of branch 1",
        "            or Cropping2D(1) on branch 1",
        "            and Conv2D(16, 1) on branch 2 gives it 16 channels",
    ]
    assert "test_merging.py" in str(left.node.site)


@pytest.mark.parametrize(
    ("shapes", "layer", "edit"),
    [
        (((8,), (4,)), layers.Add, lambda a, b: (a, layers.Dense(8)(b))),
        (((7, 8), (7, 4)), layers.Add, lambda a, b: (a, layers.Dense(8)(b))),
        (((6, 6, 8), (6, 6, 4)), layers.Add, lambda a, b: (a, layers.Conv2D(8, 1)(b))),
        (((5, 6, 6, 8), (5, 6, 6, 4)), layers.Add, lambda a, b: (a, layers.Conv3D(8, 1)(b))),
        (((16, 16, 4), (8, 8, 4)), layers.Add, lambda a, b: (layers.Conv2D(4, 1, strides=2)(a), b)),
        (((15, 15, 4), (8, 8, 4)), layers.Add, lambda a, b: (layers.Conv2D(4, 1, strides=2)(a), b)),
        (((9, 4), (3, 4)), layers.Add, lambda a, b: (layers.Conv1D(4, 1, strides=3)(a), b)),
        (((16, 9, 4), (8, 9, 4)), layers.Add, lambda a, b: (layers.Conv2D(4, 1, strides=(2, 1))(a), b)),
        (((28, 28, 4), (32, 32, 4)), layers.Add, lambda a, b: (a, layers.Cropping2D(2)(b))),
        (((10, 4), (13, 4)), layers.Add, lambda a, b: (a, layers.Cropping1D((1, 2))(b))),
        (((6, 9, 9, 2), (6, 8, 9, 2)), layers.Add, lambda a, b: (layers.Cropping3D(((0, 0), (0, 1), (0, 0)))(a), b)),
        (((9, 8, 3), (8, 8, 5)), layers.Concatenate, lambda a, b: (layers.Cropping2D(((0, 1), (0, 0)))(a), b)),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else value.__qualname__,
)
def test_the_edit_in_the_message_mends_it(shapes: Any, layer: Any, edit: Any) -> None:
    report = message(*shapes, layer=layer())
    a, b = (ab.Input(shape) for shape in shapes)
    source = next(name for name in edit.__code__.co_names if name[0].isupper() and name != "layers")
    assert source in report
    layer()(list(edit(a, b)))  # what it says fits now
    made = next(t for t in edit(a, b) if t.node.inputs).node.operation
    assert re.sub(r"\b[a-z_]+=", "", made._written_code_()) in re.sub(r"\b[a-z_]+=", "", report)
    assert f"branch {1 if edit(a, b)[0].node.inputs else 2}" in report.partition("repair:")[2]


def test_sizes_that_cross_get_no_crop() -> None:
    report = message((8, 6, 3), (6, 8, 3))
    assert 'padding="same" and equal strides in both branches' in report
    assert "Cropping" not in report


def test_the_third_branch_is_named() -> None:
    report = message((4, 3), (4, 3), (5, 3))
    assert "(None, 4, 3) and (None, 5, 3): steps 4 and 5." in report
    assert "branch 3  Input 'x2'  (None, 5, 3)" in report
    assert "branch 2" not in report.partition("repair")[0]


def test_channels_first_is_spoken_of_as_such() -> None:
    ab.config.set_image_data_format("channels_first")
    try:
        assert "channels 3 and 4." in message((3, 8, 8), (4, 8, 8))
    finally:
        ab.config.set_image_data_format("channels_last")


def test_batches_and_other_ranks() -> None:
    with pytest.raises(ShapeError, match="batch 2 and 3"):
        layers.Add()([ab.Input((4,), batch_size=2), ab.Input((4,), batch_size=3)])
    assert "axis 5 2 and 3" in message((1, 1, 1, 1, 2), (1, 1, 1, 1, 3))
    assert "axes=(2, 1), which have one size" in message((3, 4), (4, 5), layer=layers.Dot(2))
    assert "one rank" in message((4, 3), (3,), layer=layers.Concatenate())
    assert "8 meets 4" in message((8, 3), (4, 3), layer=layers.Dot(1))


def test_other_mistakes() -> None:
    x = ab.Input((4, 3))
    for call, error, words in (
        (lambda: layers.Add()(x), ArgumentError, "called on a list"),
        (lambda: layers.Add()([]), ArgumentError, "at least 1"),
        (lambda: layers.Subtract()([x]), ArgumentError, "2 branches"),
        (lambda: layers.Subtract()([x, x, x]), ArgumentError, "2 branches"),
        (lambda: layers.Dot(1)([x, x, x]), ArgumentError, "2 branches"),
        (lambda: layers.Dot(0)([x, x]), ArgumentError, "over the batch"),
        (lambda: layers.Dot(5)([x, x]), ArgumentError, "No such axis"),
        (lambda: layers.Dot((1, 2, 3)), ArgumentError, "axes of Dot"),
        (lambda: layers.Concatenate(axis=3)([x, x]), ArgumentError, "No such axis"),
        (lambda: layers.Concatenate(axis=(1, 2)), ArgumentTypeError, "must be an axis"),
    ):
        with pytest.raises(error, match=words):
            call()


@pytest.mark.parametrize("name", ["Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract", "Concatenate"])
@pytest.mark.parametrize("shapes", [((2, 4), (2, 4)), ([2, 4], [2, 4]), [[2, 4], [2, 4]], [(2, 4), (2, 4)]])
def test_shapes_as_lists_or_tuples(name: str, shapes: Any) -> None:
    """What a merge is built for are shapes in any nest of lists and tuples."""
    layer = getattr(layers, name)()
    layer.build(shapes)
    assert layer.built
    assert layer.compute_output_shape(shapes) == ((2, 8) if name == "Concatenate" else (2, 4))


@pytest.mark.parametrize("name", ["Add", "Multiply", "Maximum", "Concatenate"])
def test_masks_of_numpy(name: str) -> None:
    """``compute_mask`` takes NumPy's masks as it takes torch's."""
    masks = [np.array([[True, False, False]]), np.array([[True, True, False]])]
    found = getattr(layers, name)().compute_mask([np.ones((1, 3, 2))] * 2, masks)
    assert np.array_equal(found, np.logical_or(*masks))


@pytest.mark.parametrize("kinds", [("float32", "bool"), ("bool", "float32"), ("bool", "bool"), ("int32", "bool")])
def test_booleans_are_subtracted_as_numbers(kinds: tuple[str, str]) -> None:
    symbols = [ab.Input((3,), dtype=kind) for kind in kinds]
    arrays = [np.array([[2, 0, 1]]).astype(kind) for kind in kinds]
    result = layers.Subtract()(symbols)
    value = ab.Model(symbols, result)(arrays)
    assert value.tolist() == (arrays[0].astype("float64") - arrays[1]).tolist()
    assert str(value.dtype) == f"torch.{result.dtype}"


def test_branches_of_other_ranks_are_shown_as_they_are() -> None:
    report = message((10,), (32, 32, 3))
    assert report.startswith("Add cannot merge (None, 10) and (None, 32, 32, 3): 2 and 4 axes.")
    assert "(None, 1, 1, 10)" not in report
    assert "Conv2D(" not in report
    assert "Dense(" not in report
