"""Moving statistics move together at the end of a step; where something reads them in between they move where they did."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from rewriting import chain, drawn, unchanged

from anabranch import Input, Model, layers, utils
from anabranch.engine import passes
from anabranch.engine.passes.statistics import STATISTICS

pytestmark = pytest.mark.on_cpu

TRAINING = passes.Settings(True)


def normalization(momentum: float = 0.9, **options: Any) -> Any:
    return layers.BatchNormalization(momentum=momentum, **options)


def code_of(model: Model) -> str:
    return str(model.explain_execution(training=True).code)


def calls(code: str, name: str) -> int:
    return code.count(f"aten._foreach_{name}.Scalar(")


def refusals(model: Model) -> set[str]:
    return {note.text for note in model.explain_execution(training=True)["statistics"].refused}


def test_four_calls_move_all() -> None:
    model = chain((6, 6, 3), *(step for _ in range(5) for step in (layers.Conv2D(4, 1), normalization(), layers.ReLU())))
    code = code_of(model)
    assert calls(code, "lerp_") == 2
    assert calls(code, "pow") == calls(code, "sub") == 1
    assert "aten.lerp_" not in code
    assert ".pow(" not in code
    assert len(model.explain_execution(training=True)["statistics"].done) == 5
    for chosen in ((STATISTICS,), passes.PASSES):
        unchanged(model, drawn(model), TRAINING, chosen, 1e-6)


def test_other_momenta_and_epsilons_are_other_calls() -> None:
    norms = normalization(), normalization(0.5), normalization(epsilon=0.1), normalization(1.0), normalization(0.0)
    model = chain((4,), *norms)
    assert calls(code_of(model), "lerp_") == 4 + 5, "means by momentum, variances by epsilon too"
    unchanged(model, drawn(model), TRAINING, passes.PASSES, 1e-6)


def test_a_layer_that_is_called_twice_moves_twice_in_order() -> None:
    inputs, shared = Input((4,)), normalization(0.5)
    model = Model(inputs, shared(layers.Dense(4)(shared(inputs)) * 3 + 2))
    assert calls(code_of(model), "lerp_") == 4
    for chosen in ((STATISTICS,), passes.PASSES):
        unchanged(model, drawn(model), TRAINING, chosen, 1e-6)


def test_masked_means_move_with_the_others() -> None:
    inputs = Input((5, 4))
    model = Model(inputs, normalization()(layers.Dense(4)(normalization()(layers.Masking()(inputs)))))
    x = drawn(model)[0]
    x[:, 3:] = 0
    assert "aten.lerp_" not in code_of(model)
    unchanged(model, [x], TRAINING, passes.PASSES, 1e-6)


class Reading(layers.Layer):
    """Adds the moving mean of another layer, as it is at this point of the step."""

    def __init__(self, norm: Any, **options: Any) -> None:
        super().__init__(**options)
        self.norm = norm

    def call(self, x: Any) -> Any:
        return x + self.norm.moving_mean.value


class Whole(Reading):
    """The same, as one that looks at values, so that it cannot be traced."""

    def call(self, x: Any) -> Any:
        return super().call(x) if float(x.detach().sum()) != 0.5 else x


@pytest.mark.parametrize(
    ("kind", "why"),
    [(Reading, "the statistic is needed elsewhere too"), (Whole, "whole runs as a whole, which may read them")],
)
def test_what_reads_statistics_in_between_sees_them_moved(kind: Any, why: str) -> None:
    inputs, norm = Input((4,)), normalization(0.0)
    model = Model(inputs, kind(norm, name=kind.__name__.lower())(norm(inputs)))
    assert refusals(model) == {why}
    x = torch.randn(8, 4)
    expected = (x - x.mean(0)) / (x.var(0, correction=0) + 1e-3).sqrt() + x.mean(0)
    torch.testing.assert_close(model(x, training=True).cpu(), expected, atol=1e-5, rtol=1e-5)


def test_a_metric_of_a_users_may_read_them_too() -> None:
    class Reporting(layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_metric(x.mean(), name="seen")
            return x

    model = chain((4,), normalization(), Reporting(name="reporting"))
    assert refusals(model) == {"reporting runs as a whole, which may read them"}


def test_modules_of_torchs_own_read_nothing() -> None:
    model = chain((4,), normalization(), torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh()), normalization())
    assert calls(code_of(model), "lerp_") == 2
    hooked = torch.nn.Linear(4, 4)
    hooked.register_forward_hook(lambda module, args, output: None)
    model = chain((4,), normalization(), hooked, normalization())
    assert calls(code_of(model), "lerp_") == 0


def test_frozen_and_inference_move_nothing() -> None:
    model = chain((4,), normalization(), layers.Dense(4), normalization())
    model.layers[1].trainable = False
    assert calls(code_of(model), "lerp_") == 2, "of the other one"
    assert model.explain_execution()["statistics"].refused[0].text == "nothing moves"


@pytest.mark.parametrize("remat", [["conv*", "batch*"], 30_000])
def test_with_recomputed_layers(remat: Any) -> None:
    def trained(**options: Any) -> list[Any]:
        utils.set_random_seed(0)
        blocks = (step for _ in range(3) for step in (layers.Conv2D(4, 3), normalization(), layers.ReLU()))
        model = chain((12, 12, 3), *blocks, layers.GlobalAveragePooling2D(), layers.Dense(1))
        model.compile("sgd", "mse", **options)
        rng = np.random.default_rng(0)
        model.fit(rng.normal(size=(8, 12, 12, 3)), rng.normal(size=(8, 1)), batch_size=4, epochs=2, verbose=0)
        assert "_foreach_lerp_" in code_of(model)
        return model.get_weights()

    for a, b in zip(trained(remat=remat), trained(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
