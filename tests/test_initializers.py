"""Initial values: distributions beside Keras's, fans, orthogonality, and what they depend on."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import config, initializers, layers
from anabranch._errors import ArgumentError, ArgumentTypeError, ShapeError, UnknownNameError

DRAWN = {
    "random_normal": {"mean": 1.0, "stddev": 2.0},
    "random_uniform": {"minval": -2.0, "maxval": 1.0},
    "truncated_normal": {"mean": 1.0, "stddev": 2.0},
    "glorot_uniform": {}, "glorot_normal": {}, "he_uniform": {}, "he_normal": {}, "lecun_uniform": {}, "lecun_normal": {},
}  # fmt: skip
NAMES = [*DRAWN, "variance_scaling", "orthogonal", "zeros", "ones", "constant", "identity"]


def class_name(name: str) -> str:
    return "".join(part.title() for part in name.split("_"))


def greatest_gap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the greatest difference of two samples' distribution functions."""
    points = np.concatenate([a, b])
    sides = (np.searchsorted(np.sort(sample), points, side="right") / len(sample) for sample in (a, b))
    return float(np.abs(np.subtract(*sides)).max())


@pytest.mark.parametrize("shape", [(300, 200), (5, 5, 30, 40)], ids=str)
@pytest.mark.parametrize("name", DRAWN)
def test_draws_are_distributed_as_keras(keras: Any, name: str, shape: Any) -> None:
    ours = getattr(initializers, class_name(name))(**DRAWN[name], seed=1)(shape)
    theirs = keras.ops.convert_to_numpy(getattr(keras.initializers, class_name(name))(**DRAWN[name], seed=1)(shape))
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    assert greatest_gap(ours.ravel(), theirs.ravel()) < 2.3 * (2 / ours.size) ** 0.5, "Kolmogorov-Smirnov, 5e-5"
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.02 * float(theirs.std()))
    assert np.abs(ours - ours.mean()).max() <= np.abs(theirs - theirs.mean()).max() * 1.2


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform", "normal"])
def test_variance_follows_from_the_fans(keras: Any, mode: str, distribution: str) -> None:
    shape = (3, 3, 40, 90)
    drawn = initializers.VarianceScaling(2.5, mode, distribution, seed=0)(shape)
    fan = {"fan_in": 360, "fan_out": 810, "fan_avg": 585}[mode]
    assert drawn.var() == pytest.approx(2.5 / fan, rel=0.03)
    theirs = keras.ops.convert_to_numpy(keras.initializers.VarianceScaling(2.5, mode, distribution)(shape))
    assert drawn.std() == pytest.approx(theirs.std(), rel=0.03)


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (5, 3, 4), (3, 3, 8, 16), (2, 3, 4, 5, 6)], ids=str)
def test_fans_equal_keras(keras: Any, shape: Any) -> None:
    from keras.src.initializers.random_initializers import compute_fans

    assert initializers.compute_fans(shape) == compute_fans(shape)


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (3, 3, 2, 8), (2, 2, 16, 3)], ids=str)
def test_orthogonal_matrices(shape: Any) -> None:
    matrix = initializers.Orthogonal(gain=3.0, seed=0)(shape, "float64").reshape(-1, shape[-1]) / 3
    small = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    assert np.allclose(small, np.eye(len(small)))
    with pytest.raises(ShapeError, match="fills matrices"):
        initializers.Orthogonal()((4,))


def test_signs_of_orthogonal_matrices_are_free() -> None:
    drawn = np.stack([initializers.Orthogonal(seed=n)((3, 3), "float64") for n in range(400)])
    assert np.abs(drawn.mean(0)).max() < 0.1, "uniform over all rotations and reflections (Haar)"


def test_plain_values() -> None:
    assert np.array_equal(initializers.Zeros()((2, 3)), np.zeros((2, 3)))
    assert np.array_equal(initializers.Ones()((2,)), np.ones(2))
    assert np.array_equal(initializers.Constant(2.5)((2,)), [2.5, 2.5])
    assert np.array_equal(initializers.Constant([1, 2])((2,)), [1, 2])
    assert np.array_equal(initializers.Identity(2.0)((2, 2)), 2 * np.eye(2))
    with pytest.raises(ShapeError, match="shape of rank 2"):
        initializers.Identity()((2, 2, 2))


# By name, by object


@pytest.mark.parametrize("name", NAMES)
def test_names_and_configs_equal_keras(keras: Any, name: str) -> None:
    ours, theirs = initializers.get(name), getattr(keras.initializers, class_name(name))()
    assert type(ours).__name__ == type(theirs).__name__ or name == "identity"
    if name != "identity":  # whose gain Keras forgets
        assert ours.get_config().keys() == theirs.get_config().keys()
    assert initializers.get(class_name(name)) == ours
    assert getattr(initializers, name) is type(ours)
    again = initializers.deserialize(initializers.serialize(ours))
    assert again == ours
    assert hash(again) == hash(ours)
    assert initializers.get(ours) is ours
    assert initializers.get(type(ours)) == ours


def test_functions_and_arrays_of_the_users() -> None:
    def ramp(shape: Any, dtype: Any = None) -> Any:
        return np.arange(np.prod(shape), dtype=dtype).reshape(shape)

    layer = layers.Dense(3, kernel_initializer=ramp)
    layer.build((None, 2))
    assert layer.kernel.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]

    class Halves(initializers.Initializer):
        def fill(self, shape: Any, rng: Any) -> Any:
            return np.full(shape, 0.5)

    layer = layers.Dense(3, kernel_initializer=Halves())
    layer.build((None, 2))
    assert layer.kernel.numpy().tolist() == [[0.5] * 3] * 2


def test_torchs_tensors_serve_too() -> None:
    import torch

    layer = layers.Dense(3, kernel_initializer=lambda shape, dtype=None: torch.full(shape, 2.0))
    layer.build((None, 2))
    assert layer.kernel.numpy().tolist() == [[2.0] * 3] * 2


@pytest.mark.parametrize(
    ("identifier", "error", "words"),
    [
        ("he_normall", UnknownNameError, "did you mean 'he_normal'"),
        ({"class_name": "HeNormall", "config": {}}, UnknownNameError, "did you mean 'HeNormal'"),
        (3, ArgumentTypeError, "a name, an initializer object or a function"),
    ],
)
def test_mistakes(identifier: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        initializers.get(identifier)
    assert words in str(caught.value)


@pytest.mark.parametrize("bad", [{"scale": 0}, {"scale": -1.0}, {"mode": "fan"}, {"distribution": "normall"}])
def test_arguments_of_variance_scaling(bad: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        initializers.VarianceScaling(**bad)


# What initial values depend on


def network(extra: bool = False) -> Any:
    x = ab.Input((4,))
    h = layers.Dense(4, name="first")(x)
    if extra:
        h = layers.Dense(4, name="between")(h)
    return ab.Model(x, layers.Dense(2, name="last")(h))


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def test_three_models_from_one_function_differ() -> None:
    models = [network() for _ in range(3)]
    kernels = [model.get_weights()[0] for model in models]
    assert not any(np.array_equal(a, b) for a, b in zip(kernels, kernels[1:] + kernels[:1], strict=True))


def test_a_seeded_program_repeats_itself() -> None:
    def program() -> list[Any]:
        ab.utils.set_random_seed(7)
        return [network(), network()]

    first, second = program(), program()
    assert same(first[0], second[0])
    assert same(first[1], second[1])
    ab.utils.set_random_seed(8)
    assert not same(network(), first[0])


def test_the_order_in_which_weights_are_asked_for_says_nothing() -> None:
    ab.utils.set_random_seed(7)
    forward = network()
    values = [w.numpy() for w in forward.weights]
    ab.utils.set_random_seed(7)
    backward = network()
    others = [w.numpy() for w in reversed(backward.weights)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(values, others, strict=True))


def test_adding_a_layer_leaves_the_others_values() -> None:
    ab.utils.set_random_seed(7)
    before = network()
    ab.utils.set_random_seed(7)
    after = network(extra=True)
    for name in ("first", "last"):
        assert same(before.get_layer(name), after.get_layer(name))


def test_a_seed_of_its_own_wins() -> None:
    def kernel(seed: int) -> Any:
        layer = layers.Dense(4, kernel_initializer=initializers.HeNormal(seed=seed))
        layer.build((None, 4))
        return layer.kernel.numpy()

    assert np.array_equal(kernel(1), kernel(1))
    assert not np.array_equal(kernel(1), kernel(2))


def test_two_layers_of_one_model_differ() -> None:
    x = ab.Input((4,))
    model = ab.Model(x, layers.Dense(4)(layers.Dense(4)(x)))
    assert not np.array_equal(model.get_weights()[0], model.get_weights()[2])
    alone = [layers.Dense(4), layers.Dense(4)]
    for layer in alone:
        layer.build((None, 4))
    assert not np.array_equal(alone[0].kernel.numpy(), alone[1].kernel.numpy())


def test_initial_values_take_the_default_float_type() -> None:
    before = config.floatx()
    try:
        config.set_floatx("float64")
        assert initializers.HeNormal()((2, 2)).dtype == np.float64
    finally:
        config.set_floatx(before)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, list])
def test_a_constant_is_that_of_when_it_was_given(kind: Any) -> None:
    """Weights are made when they are first read, and what was handed over may be written into until then."""
    values = kind([[1.0, 1.0], [1.0, 1.0]])
    layer = layers.Dense(2, kernel_initializer=initializers.Constant(values))
    layer.build((None, 2))
    values[0][0] = 5.0
    np.testing.assert_array_equal(layer.get_weights()[0], np.ones((2, 2)))


def test_settings_that_are_arrays_are_those_of_when_they_were_given() -> None:
    values = np.ones(2, "float32")
    scale, norm, table = layers.Rescaling(values), layers.Normalization(mean=values, variance=1.0), np.ones((5, 4))
    embedding = layers.Embedding(5, 4, weights=[table])
    values[:], table[:] = 4.0, 4.0
    x = np.ones((1, 2), "float32")
    np.testing.assert_array_equal(scale(x).cpu(), x)
    np.testing.assert_array_equal(norm(x).cpu(), 0 * x)
    np.testing.assert_array_equal(embedding.get_weights()[0], np.ones((5, 4)))


class Doubled(initializers.Initializer):
    """As Keras's guides write a class: no generator is handed to it."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return initializers.HeNormal()(shape, dtype=dtype) * 2

    def get_config(self) -> dict[str, Any]:
        return {}


class Halved(initializers.GlorotUniform):
    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        return super().__call__(shape, dtype, **kwargs) / 2


def ones_of_torch(shape: Any, dtype: Any = None) -> torch.Tensor:
    return ab.ops.ones(shape, dtype=dtype)


CALLED = [Doubled(), Halved(), lambda shape, dtype=None: initializers.get("glorot_normal")(shape, dtype)]


@pytest.mark.parametrize("initializer", CALLED)
@pytest.mark.parametrize("kind", ["Dense", "LSTM", "Conv1D"])
def test_what_a_users_initializer_calls_draws_from_the_weights_generator(initializer: Any, kind: str) -> None:
    def values(extra: bool) -> Any:
        ab.utils.set_random_seed(1)
        random.random()
        options = {"kernel_size": 2} if kind == "Conv1D" else {}
        inputs = ab.Input((5, 3))
        x = layers.Dense(3, kernel_initializer=initializer)(inputs) if extra else inputs
        bias = {"bias_initializer": initializer}
        return ab.Model(inputs, getattr(layers, kind)(4, name="a", kernel_initializer=initializer, **bias, **options)(x))

    first, second, further = (values(extra) for extra in (False, False, True))
    found = first.get_layer("a").get_weights()
    assert all((a == b).all() for a, b in zip(found, second.get_layer("a").get_weights(), strict=True))
    assert all((a == b).all() for a, b in zip(found, further.get_layer("a").get_weights(), strict=True))
    assert not (found[0] == 0).all()


def test_initializers_called_directly_follow_from_the_seed() -> None:
    def drawn() -> Any:
        ab.utils.set_random_seed(1)
        return [initializers.HeNormal()((3,)).tolist() for _ in range(2)]

    first, second = drawn(), drawn()
    assert first == second
    assert first[0] != first[1]
    assert initializers.RandomNormal(seed=-1)((3,)).tolist() == initializers.RandomNormal(seed=-1)((3,)).tolist()
    with pytest.raises(ValueError, match="an integer of 64 bits"):
        initializers.RandomNormal(seed=2**70)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("initializer", ["he_normal", *CALLED, ones_of_torch])
def test_initial_values_in_fewer_bits(dtype: str, initializer: Any) -> None:
    assert initializers.get(initializer)((2, 3), dtype=dtype).shape == (2, 3)
    layer = layers.Dense(3, dtype=dtype, kernel_initializer=initializer)
    layer.build((None, 2))
    assert str(layer.kernel.value.dtype) == f"torch.{dtype}"
    assert layer.get_weights()[0].any()
