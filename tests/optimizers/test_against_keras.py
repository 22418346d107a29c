"""Each optimizer's weights after several steps equal real Keras's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device

from anabranch import optimizers, runtime
from anabranch._errors import ArgumentError, ArgumentTypeError, UnknownNameError
from anabranch.graph import Home, Weight

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "learning_rate": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"weight_decay": 0.1}),
    ("SGD", {"clipnorm": 0.5, "learning_rate": 0.1}),
    ("SGD", {"clipvalue": 0.1, "learning_rate": 0.1}),
    ("SGD", {"global_clipnorm": 0.5, "learning_rate": 0.1}),
    ("SGD", {"gradient_accumulation_steps": 2, "learning_rate": 0.1}),
    ("SGD", {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2, "learning_rate": 0.1}),
    ("SGD", {"use_ema": True, "ema_momentum": 0.5, "gradient_accumulation_steps": 3, "ema_overwrite_frequency": 2}),
    ("Adam", {"use_ema": True, "ema_momentum": 0.5, "gradient_accumulation_steps": 2}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "rho": 0.8}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "epsilon": 1e-3}),
    ("Adam", {"weight_decay": 0.01, "gradient_accumulation_steps": 2}),
    ("Adam", {"amsgrad": True, "global_clipnorm": 0.5}),
    ("AdamW", {"learning_rate": 0.01}),
    ("Adagrad", {}),
    ("Adagrad", {"initial_accumulator_value": 0.0, "epsilon": 1e-2, "weight_decay": 0.1, "learning_rate": 0.1}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adadelta", {"learning_rate": 0.5, "rho": 0.5, "epsilon": 1e-2, "clipnorm": 0.5}),
    ("Adamax", {}),
    ("Adamax", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.8, "gradient_accumulation_steps": 2}),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.8, "weight_decay": 0.1}),
    ("Ftrl", {}),
    ("Ftrl", {"learning_rate": 0.1, "l1_regularization_strength": 0.05, "l2_regularization_strength": 0.1, "beta": 0.2}),
    ("Ftrl", {"learning_rate": 0.1, "l2_shrinkage_regularization_strength": 0.1, "learning_rate_power": -0.3}),
    ("Nadam", {}),
    ("Nadam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.8, "epsilon": 1e-3, "gradient_accumulation_steps": 2}),
    ("Lamb", {}),
    ("Lamb", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.8, "weight_decay": 0.1}),
    ("Adafactor", {}),
    ("Adafactor", {"learning_rate": 0.1, "beta_2_decay": -0.5, "epsilon_1": 1e-3, "epsilon_2": 0.1, "clip_threshold": 0.5}),
    ("Muon", {}),
    ("Muon", {"learning_rate": 0.01, "nesterov": False, "rms_rate": None, "adam_weight_decay": None, "weight_decay": 0.1}),
    ("Muon", {"learning_rate": 0.01, "ns_steps": 2, "muon_a": 3.0, "muon_b": -3.0, "muon_c": 1.0, "adam_lr_ratio": 0.5}),
    ("Muon", {"exclude_layers": ["0"], "adam_beta_1": 0.5, "adam_beta_2": 0.8, "learning_rate": 0.01}),
    ("RMSprop", {"weight_decay": 0.1, "epsilon": 1e-2, "rho": 0.5}),
    ("RMSprop", {"rho": 1.0, "epsilon": 1e-2}),
    ("RMSprop", {"momentum": 0.9, "use_ema": True}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "gradient_accumulation_steps": 3}),
]


def weight(values: np.ndarray, name: str) -> Weight:
    return Weight(name, values.shape, "float32", lambda shape, dtype=None: values, Home("layer"), runtime)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "-".join(v))
def test_weights_after_five_steps(keras: Any, name: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    first = [rng.normal(size=(4, 3)).astype("float32"), rng.normal(size=3).astype("float32")]
    gradients = [[rng.normal(size=a.shape).astype("float32") * 10.0 ** -(step % 3) for a in first] for step in range(6)]

    theirs = getattr(keras.optimizers, name)(**options)
    variables = [keras.Variable(a, name=str(i)) for i, a in enumerate(first)]
    ours = getattr(optimizers, name)(**options)
    weights = [weight(a, str(i)) for i, a in enumerate(first)]
    ours.build(weights)
    for step in gradients:
        theirs.apply([keras.ops.convert_to_tensor(g) for g in step], variables)
        for w, g in zip(weights, step, strict=True):
            w.value.grad = on_device(g.copy())
        ours.step()
    if options.get("use_ema"):
        theirs.finalize_variable_values(variables)
        ours.finalize_variable_values(ours.weights)
    assert ours.iterations == int(theirs.iterations)
    for w, v in zip(weights, variables, strict=True):
        np.testing.assert_allclose(w.numpy(), v.numpy() if hasattr(v, "numpy") else np.asarray(v), atol=1e-6)


def by_the_paper(w: Any, gradients: Any, rate: float, beta_1: float, beta_2: float, epsilon: float, warmup: int) -> Any:
    """Return the weights after some steps: z goes down, x averages it, w is between both (Defazio et al. 2024, Algorithm 1)."""
    w = w.astype("float64")
    z, x, v = w.copy(), w.copy(), np.zeros_like(w)
    for step, g in enumerate(gradients, 1):
        v = beta_2 * v + (1 - beta_2) * g**2
        z = z - rate * min(step / warmup, 1) * g / (np.sqrt(v / (1 - beta_2**step)) + epsilon)
        x = x + (z - x) / step
        w = (1 - beta_1) * z + beta_1 * x
    return w


@pytest.mark.parametrize("warmup", [1, 4])
def test_schedule_free_weights_are_those_of_the_paper(warmup: int) -> None:  # Keras on torch reads z after its step
    rng = np.random.default_rng(3)
    first, gradients = rng.normal(size=(4, 3)).astype("float32"), rng.normal(size=(6, 4, 3)).astype("float32")
    w = weight(first, "w")
    optimizer = optimizers.ScheduleFreeAdamW(0.1, beta_1=0.8, beta_2=0.9, epsilon=1e-3, warmup_steps=warmup)
    optimizer.build([w])
    for g in gradients:
        w.value.grad = on_device(g.copy())
        optimizer.step()
    np.testing.assert_allclose(w.numpy(), by_the_paper(first, gradients, 0.1, 0.8, 0.9, 1e-3, warmup), atol=1e-6)


SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [5, 20], "values": [1.0, 0.5, 0.1]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "power": 2.0}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "cycle": True}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "alpha": 0.1}),
    ("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 20, "warmup_target": 0.1, "warmup_steps": 5}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 7, "m_mul": 0.9}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 7, "t_mul": 1.0}),
]


@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=lambda v: v if isinstance(v, str) else str(len(v)))
def test_schedules(keras: Any, name: str, options: dict[str, Any]) -> None:
    theirs = getattr(keras.optimizers.schedules, name)(**options)
    ours = getattr(optimizers.schedules, name)(**options)
    again = optimizers.schedules.deserialize(optimizers.schedules.serialize(ours))
    for step in range(60):
        assert ours(step) == pytest.approx(float(theirs(step)), abs=1e-7)
        assert again(step) == ours(step)


def test_ever_shorter_half_cosines_end_at_the_least_rate() -> None:  # Keras's rate is NaN from there on
    schedule = optimizers.schedules.CosineDecayRestarts(0.5, first_decay_steps=3, t_mul=0.5, alpha=0.2)
    assert schedule(5) > 0.1
    assert schedule(6) == schedule(7) == schedule(100) == pytest.approx(0.1)


def test_a_schedule_drives_the_optimizer() -> None:
    optimizer = optimizers.SGD(optimizers.schedules.PiecewiseConstantDecay([1], [1.0, 0.5]))
    w = weight(np.zeros(1, "float32"), "w")
    optimizer.build([w])
    for _ in range(4):
        w.value.grad = on_device([1.0])
        optimizer.step()
    assert w.numpy()[0] == pytest.approx(-(1.0 + 1.0 + 0.5 + 0.5))


def test_resuming_gives_the_same_weights() -> None:
    def steps(optimizer: Any, w: Weight, count: int) -> None:
        for _ in range(count):
            w.value.grad = w.value.detach() * 2
            optimizer.step()

    whole = weight(np.ones(3, "float32"), "w")
    one = optimizers.Adam(0.1)
    one.build([whole])
    steps(one, whole, 6)
    parted = weight(np.ones(3, "float32"), "w")
    before = optimizers.Adam(0.1)
    before.build([parted])
    steps(before, parted, 3)
    after = optimizers.Adam(0.5)
    after.build([parted])
    after.load_state_dict(before.state_dict())
    steps(after, parted, 3)
    np.testing.assert_array_equal(whole.numpy(), parted.numpy())


def test_config_comes_back() -> None:
    for name, options in CASES:
        made = getattr(optimizers, name)(**options)
        again = optimizers.deserialize(optimizers.serialize(made))
        assert again.get_config() == made.get_config()


def test_torch_optimizers_are_accepted() -> None:
    optimizer = optimizers.get(lambda parameters: torch.optim.Adagrad(parameters, lr=0.1))
    w = weight(np.ones(2, "float32"), "w")
    optimizer.build([w])
    w.value.grad = on_device([1.0, 1.0])
    optimizer.step()
    assert optimizer.learning_rate == pytest.approx(0.1)
    np.testing.assert_allclose(w.numpy(), 0.9, rtol=1e-6)


def test_mistakes() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'RMSprop'"):
        optimizers.get("rmsporp")
    with pytest.raises(ArgumentError, match="Only one of"):
        optimizers.SGD(clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(ArgumentTypeError, match="number or a schedule"):
        optimizers.SGD("fast")
    with pytest.raises(ArgumentTypeError, match="before it has parameters"):
        optimizers.get(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1))
