"""Shapes of what only torch knows: beside what running gives, with unknown sizes, masks, and errors without invented sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal, on_device
from torch import nn
from torch.nn import functional

import anabranch as ab
from anabranch import layers, runtime
from anabranch._errors import DtypeError, EngineError

FUNCTIONS: list[tuple[Callable[[Any], Any], tuple[int | None, ...], tuple[int | None, ...]]] = [
    (lambda x: functional.fold(x, (4, 5), 2), (8, 12), (2, 4, 5)),
    (lambda x: torch.cdist(x, x), (None, 3), (None, None)),
    (lambda x: torch.cumsum(x, 1), (None, 3), (None, 3)),
    (lambda x: functional.avg_pool1d(x, 2), (3, None), (3, None)),
    (lambda x: functional.interpolate(x, scale_factor=2.0), (3, None, 4), (3, None, 8)),
    (lambda x: torch.quantile(x, 0.5, -1), (7,), ()),
    (lambda x: torch.diag_embed(x), (5,), (5, 5)),
    (lambda x: functional.unfold(x, 3), (2, 6, None), (18, None)),
    (lambda x: torch.tensordot(x, on_device(torch.ones(3, 7)), 1), (None, 3), (None, 7)),
]


class Calling(layers.Layer):
    """A layer without a shape rule."""

    def __init__(self, function: Callable[[Any], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


@pytest.mark.parametrize("number", range(len(FUNCTIONS)))
def test_shapes_are_those_of_running(number: int) -> None:
    function, given, want = FUNCTIONS[number]
    for symbolic in (Calling(function)(ab.Input(given)), function(ab.Input(given))):
        assert symbolic.shape == (None, *want)
        assert symbolic.dtype == "float32"
    for unknown in (6, 8):
        result = function(torch.ones(3, *(unknown if size is None else size for size in given)))
        assert all(a in (None, b) for a, b in zip((None, *want), result.shape, strict=True))


def test_a_size_that_the_call_compares_with_another_array_is_found() -> None:
    table = on_device(torch.ones(10, 4))
    assert (ab.Input((None, 4)) + table).shape == (None, 10, 4)
    assert Calling(lambda x: x + table)(ab.Input((10, 4))).shape == (None, 10, 4)


def test_a_layer_that_branches_on_values_runs_on_ones() -> None:
    def branching(x: Any) -> Any:
        return x[:, :2] if float(x.sum()) > 0 else x

    assert Calling(branching)(ab.Input((5,))).shape == (None, 2)


def test_structures_and_dtypes() -> None:
    found = Calling(lambda x: {"a": x.argmax(-1), "b": (x > 0, x.double())})(ab.Input((5,)))
    assert (found["a"].shape, found["a"].dtype) == ((None,), "int64")
    assert [each.dtype for each in found["b"]] == ["bool", "float64"]


def test_no_weight_is_made_and_no_state_of_a_module_changes() -> None:
    norm = nn.BatchNorm1d(3)
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    layer = layers.TorchModule(norm)
    assert layer(ab.Input((3,))).shape == (None, 3)
    assert all(equal(tensor, before[name]) for name, tensor in norm.state_dict().items())
    made: list[Any] = []

    class Late(layers.Layer):
        def build(self, shape: Any) -> None:
            self.w = self.add_weight((shape[-1], 2), initializer=lambda shape, dtype: made.append(1) or np.ones(shape))

        def call(self, x: Any) -> Any:
            return x @ self.w

    x = ab.Input((3,))
    model = ab.Model(x, Late()(x))
    assert made == []
    assert model(np.ones((1, 3), "float32")).tolist() == [[3, 3]]
    assert made == [1]


def test_random_generators_are_left_alone() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    Calling(lambda x: x + torch.rand_like(x))(ab.Input((3,)))
    assert equal(torch.get_rng_state(), state)


def test_masks_reach_as_far_as_the_call_lets_them() -> None:
    x = ab.Input((4,), dtype="int32")
    masked = layers.Embedding(5, 3, mask_zero=True)(x)
    ids = np.array([[1, 2, 0, 0]])
    for function in (torch.tanh, torch.relu, lambda x: x.mean(-1), lambda x: functional.layer_norm(x, (3,))):
        symbolic = function(masked)
        assert symbolic.masked
        assert runtime.mask_of(ab.Model(x, symbolic)(ids)).tolist() == [[True, True, False, False]]
    assert not torch.flatten(masked, 1).masked
    assert not masked.mean(1).masked


def test_complex_values_inside_a_layer_are_its_own_and_pass_between_layers() -> None:
    x = ab.Input((7,))
    assert Calling(lambda x: torch.fft.rfft(x).abs())(x).shape == (None, 4)
    assert (torch.fft.rfft(x).shape, torch.fft.rfft(x).dtype) == ((None, 4), "complex64")
    with pytest.raises(DtypeError, match=r"(?s)to.*complex32"):
        torch.fft.rfft(x).to(torch.complex32)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x @ torch.ones(7, 2), "Calling"),
        (lambda x: None, "gave nothing"),
        (lambda x: "text", "gave a str"),
        (lambda x: x.nonsense(), "nonsense"),
    ],
)
def test_errors_name_the_layer_and_no_invented_size(function: Any, words: str) -> None:
    with pytest.raises(EngineError) as caught:
        Calling(function)(ab.Input((None, 5)))
    text = str(caught.value)
    assert words in text
    assert not {str(size) for size in runtime.UNKNOWN} & set(text.replace("x", " ").split())
