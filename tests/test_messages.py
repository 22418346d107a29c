"""What users read when a model cannot be described: every text is a golden file, reviewed as a user would read it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import anabranch as keras
from anabranch import layers
from anabranch._errors import AnabranchError


def wrong_rank() -> None:
    layers.Conv2D(8, 3)(keras.Input((28, 28)))


def channels_of_a_shared_layer() -> None:
    shared = layers.Conv2D(8, 3, name="shared")
    shared(keras.Input((32, 32, 3)))
    shared(keras.Input((32, 32, 1)))


def features_of_a_shared_layer() -> None:
    shared = layers.Dense(8)
    shared(keras.Input((4,)))
    shared(keras.Input((5,)))


def too_much_pooling() -> None:
    x = keras.Input((8, 8, 3))
    for _ in range(4):
        x = layers.MaxPooling2D()(x)


def residual_of_other_height() -> None:
    x = keras.Input((30, 30, 64))
    y = layers.Conv2D(64, 3)(x)
    layers.add([y, x])


def residual_of_other_channels() -> None:
    x = keras.Input((32, 32, 16))
    y = layers.Conv2D(64, 3, padding="same")(x)
    layers.add([y, x])


def concatenation_of_other_sizes() -> None:
    layers.concatenate([keras.Input((8, 8, 3)), keras.Input((9, 8, 3))])


def merge_of_one_tensor() -> None:
    layers.Add()(keras.Input((3,)))


def a_layer_where_a_tensor_belongs() -> None:
    layers.Dense(3)(layers.ReLU())


def an_uncalled_layer_as_output() -> None:
    inputs = keras.Input((3,))
    keras.Model(inputs, layers.Dense(3))


def a_missing_input() -> None:
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    keras.Model(left, layers.Dense(2, name="head")(layers.add([left, right], name="join")))


def duplicate_names() -> None:
    x = keras.Input((3,))
    keras.Model(x, layers.Dense(3, name="same")(layers.Dense(3, name="same")(x)))


def unknown_activation() -> None:
    layers.Dense(3, activation="rellu")


def unknown_initializer() -> None:
    layers.Dense(3, kernel_initializer="he_norml")(keras.Input((3,)))


def unknown_regularizer() -> None:
    layers.Dense(3, kernel_regularizer="l3")


def unknown_argument() -> None:
    layers.Conv2D(8, 3, stride=2)


def unknown_padding() -> None:
    layers.Conv2D(8, 3, padding="sme")


def a_kernel_size_that_is_none() -> None:
    layers.Conv2D(8, (3, 3, 3))


def no_units() -> None:
    layers.Dense(0)


def dropout_beyond_one() -> None:
    layers.Dropout(50)


def a_shape_without_its_comma() -> None:
    keras.Input(shape=(32))


def an_input_without_shape() -> None:
    keras.Input()


def unknown_dtype() -> None:
    keras.Model(x := keras.Input((3,), dtype="flot32"), layers.Dense(2)(x))(np.zeros((1, 3)))


def reshape_that_does_not_fit() -> None:
    layers.Reshape((5, 5))(keras.Input((24,)))


def truth_of_a_symbolic_tensor() -> None:
    if keras.Input((3,)) > 0:
        pass


def numpy_on_a_symbolic_tensor() -> None:
    np.asarray(keras.Input((3,)))


def an_ambiguous_output() -> None:
    shared = layers.Dense(3, name="shared")
    x = keras.Input((3,))
    kept = shared(shared(x))
    print(shared.output, kept)


def an_output_never_made() -> None:
    print(layers.Dense(3, name="lonely").output)


def weights_before_build() -> None:
    layers.Dense(3, name="early").get_weights()


def weights_of_another_shape() -> None:
    layer = layers.Dense(3, name="head")
    layer.build((None, 4))
    layer.set_weights([np.zeros((5, 3)), np.zeros(3)])


def an_unknown_layer_name() -> None:
    x = keras.Input((3,))
    keras.Model(x, layers.Dense(3, name="hidden")(x), name="net").get_layer("hiden")


def a_model_fed_with_another_shape() -> None:
    x = keras.Input((3,), name="features")
    keras.Model(x, layers.Dense(3)(x), name="net")(np.zeros((2, 4), "float32"))


def a_model_fed_with_an_unknown_key() -> None:
    a, b = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    keras.Model([a, b], layers.add([a, b]))({"left": np.zeros((1, 3)), "rigth": np.zeros((1, 3))})


def a_sequential_without_input() -> None:
    keras.Sequential([layers.Dense(3)]).get_weights()


def normalization_before_adapt() -> None:
    x = keras.Input((3,))
    keras.Model(x, layers.Normalization(name="norm")(x))(np.zeros((1, 3)))


def a_call_that_fails() -> None:
    class Broken(layers.Layer):
        def call(self, x: Any) -> Any:
            return x @ x

    Broken(name="broken")(keras.Input((3, 4)))


def unknown_loss() -> None:
    compiled("adam", "mean_square_error")


def unknown_optimizer() -> None:
    compiled("admn", "mse")


def unknown_metric() -> None:
    compiled("adam", "mse", metrics=["acuracy"])


def a_torch_optimizer_with_parameters() -> None:
    import torch

    compiled(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1), "mse")


def a_checkpoint_that_is_no_safetensors() -> None:
    x = keras.Input((3,))
    keras.Model(x, layers.Dense(3)(x)).save_weights("weights.h5")


def compiled(*arguments: Any, **options: Any) -> None:
    x = keras.Input((3,))
    model = keras.Model(x, layers.Dense(1)(x))
    model.compile(*arguments, **options)
    model.fit(np.zeros((4, 3), "float32"), np.zeros((4, 1), "float32"), verbose=0)


MISTAKES: list[Callable[[], None]] = [
    f for f in list(globals().values()) if getattr(f, "__module__", "") == __name__ and f is not compiled
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_the_message(mistake: Callable[[], None], golden: Callable[[str, str], None]) -> None:
    with pytest.raises(AnabranchError) as caught:
        mistake()
    # line numbers of this file move; what matters is that they are there
    golden(f"messages/{mistake.__name__}", re.sub(r"test_messages\.py:\d+", "test_messages.py:LINE", str(caught.value)))
