"""Names that layers lack."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import anabranch as ab
from anabranch import layers
from anabranch._errors import MissingAttributeError
from anabranch.layers.absent import ABSENT
from anabranch.layers.holding import Absent, Holding


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_a_name_that_layers_lack_names_the_way(name: str) -> None:
    with pytest.raises(MissingAttributeError, match=f"Flatten has no {name!r}") as caught:
        getattr(layers.Flatten(), name)
    assert "repair" in str(caught.value)
    assert not hasattr(layers.Flatten, name)


def test_each_of_them_has_a_way() -> None:
    assert {name for name, held in vars(Holding).items() if isinstance(held, Absent)} == set(ABSENT)


def test_a_model_keeps_its_own_words() -> None:
    with pytest.raises(MissingAttributeError, match=r"model\.quantize\(mode\)"):
        ab.Sequential([layers.Dense(2)]).quantized_build


def test_what_the_errors_name_works() -> None:
    layer = layers.Dense(2)
    layer.build((None, 3))
    module = ab.Sequential([ab.Input((3,)), layer]).to_torch()
    values = {name: torch.zeros_like(value) for name, value in module.state_dict().items()}
    assert torch.func.functional_call(module, values, (torch.ones(1, 3),)).tolist() == [[0.0, 0.0]]


def test_a_user_may_have_what_layers_lack() -> None:
    class Own(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.quantize = 3

        def forward(self, x: Any) -> Any:
            return self.call(x)

        def call(self, x: Any) -> Any:
            return x * self.quantize

    assert Own().forward(2) == 6


def test_a_users_layer_is_copied_and_called_as_before() -> None:
    class Scaled(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.scale = 2.0

        def call(self, x: Any) -> Any:
            return x * self.scale

    layer = Scaled()
    y = layer(ab.Input((3,)))
    assert len(layer._calls_) == 1
    assert copy.deepcopy(layer)._calls_ == []
    assert y.shape == (None, 3)


def test_names_of_keras() -> None:
    class Own(layers.Layer):
        def __init__(self) -> None:
            super().__init__(dtype="mixed_bfloat16")
            self.mean = ab.metrics.Mean(name="mean")
            self.gain = self.add_variable((3,), "ones", name="gain")

        def call(self, x: Any) -> Any:
            return x * self.gain

    layer = Own()
    assert (layer.input_dtype, layer.dtype, layers.Layer.dtype) == ("bfloat16", "float32", "float32")
    assert [weight.name for weight in layer.weights] == ["gain"]
    assert [variable.name for variable in layer.metrics_variables] == ["total", "count"]
