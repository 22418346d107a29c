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
    result = shared(shared(x))
    print(shared.output, result)


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


def residual_over_a_long_branch() -> None:
    x = keras.Input((32, 32, 3), name="image")
    stem = layers.Conv2D(16, 3, padding="same", name="stem")(x)
    y = stem
    for _ in range(4):
        y = layers.Conv2D(16, 3, padding="same")(y)
        y = layers.BatchNormalization()(y)
        y = layers.ReLU()(y)
    y = layers.Conv2D(32, 3, strides=2, padding="same", name="down")(y)
    layers.add([layers.BatchNormalization(name="norm")(y), stem])


def add_of_a_gate() -> None:
    x = keras.Input((8, 8, 16), name="features")
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    layers.add([x, gate])


def average_of_one_channel_and_many() -> None:
    x = keras.Input((8, 8, 3), name="image")
    grey = layers.Conv2D(1, 1, name="grey")(x)
    layers.average([grey, layers.Conv2D(32, 1, name="deep")(x)])


def maximum_of_other_ranks() -> None:
    x = keras.Input((8, 8, 16))
    layers.maximum([x, layers.GlobalMaxPooling2D(name="pool")(x)])


def subtraction_of_three() -> None:
    x = keras.Input((4,))
    layers.subtract([x, x, x])


def dot_of_other_sizes() -> None:
    query = layers.Dense(8, name="query")(keras.Input((5, 3), name="text"))
    layers.dot([query, keras.Input((7, 6), name="keys")], axes=2)


def concatenation_of_other_ranks() -> None:
    x = keras.Input((8, 8, 3), name="image")
    flat = layers.Flatten(name="flat")(x)
    layers.concatenate([x, flat])


def operator_on_other_heights() -> None:
    x = keras.Input((16, 16, 8), name="x")
    y = layers.MaxPooling2D(name="pool")(layers.Conv2D(8, 3, name="conv")(x))
    x + y


def operator_on_unrelated_inputs() -> None:
    keras.Input((5,), name="left") * keras.Input((6,), name="right")


def matrix_product_of_other_sizes() -> None:
    x = keras.Input((4, 8), name="x")
    x @ layers.Dense(8, name="keys")(x)


def a_layer_in_an_operator() -> None:
    x = keras.Input((4,))
    x + layers.Dense(4)


def a_tensor_given_to_the_constructor() -> None:
    x = keras.Input((4,))
    layers.ReLU(x)


def a_class_where_a_tensor_belongs() -> None:
    layers.Dense(3)(layers.Flatten)


def nothing_where_a_tensor_belongs() -> None:
    layers.Dense(3)(None)


def a_list_where_one_tensor_belongs() -> None:
    layers.Dense(3)([keras.Input((4,), name="a"), keras.Input((4,), name="b")])


def a_called_layer_as_output() -> None:
    x = keras.Input((4,))
    head = layers.Dense(3, name="head")
    head(x)
    keras.Model(x, head)


def a_layer_as_input() -> None:
    keras.Model(layers.InputLayer((4,)), layers.Dense(3)(keras.Input((4,))))


def a_model_without_outputs() -> None:
    keras.Model(inputs=keras.Input((4,)))


def a_model_without_inputs() -> None:
    keras.Model(outputs=layers.Dense(3)(keras.Input((4,))))


def an_array_as_the_input_of_a_model() -> None:
    keras.Model(np.zeros((2, 4)), layers.Dense(3)(keras.Input((4,))))


def a_shape_as_the_input_of_a_model() -> None:
    keras.Model((32, 32, 3), layers.Dense(3)(keras.Input((4,))))


def a_tensor_of_another_graph_as_input() -> None:
    first, second = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    keras.Model(first, layers.Dense(3, name="head")(second))


def a_cut_that_does_not_part_the_graph() -> None:
    x = keras.Input((4,), name="x")
    middle = layers.Dense(4, name="middle")(x)
    keras.Model(middle, layers.add([middle, x], name="join"))


def an_input_listed_twice() -> None:
    x = keras.Input((4,), name="x")
    keras.Model([x, x], layers.Dense(3)(x))


def a_sequential_in_itself() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4)], name="loop")
    model.add(model)


def a_sequential_in_itself_through_another() -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4)], name="inner")
    outer = keras.Sequential([inner], name="outer")
    inner.add(outer)


def a_tensor_in_a_sequential() -> None:
    x = keras.Input((4,))
    keras.Sequential([x, layers.Dense(3)(x)])


def a_class_in_a_sequential() -> None:
    keras.Sequential([layers.Flatten, layers.Dense(3)])


def an_input_named_as_a_layer() -> None:
    x = keras.Input((3,), name="features")
    keras.Model(x, layers.Dense(3, name="features")(x))


def a_name_with_a_slash() -> None:
    layers.Dense(3, name="block/dense")


def a_name_that_is_no_string() -> None:
    layers.Dense(3, name=3)


def kernel_greater_than_the_image() -> None:
    x = keras.Input((32, 32, 3), name="image")
    x = layers.Conv2D(8, 3, strides=4, name="stem")(x)
    x = layers.AveragePooling2D(name="pool")(x)
    layers.Conv2D(16, (5, 3), name="wide")(x)


def dense_on_unknown_sizes() -> None:
    x = layers.Conv2D(8, 3, name="conv")(keras.Input((None, None, 3), name="image"))
    layers.Dense(10, name="head")(layers.Flatten(name="flat")(x))


def dense_without_features() -> None:
    layers.Dense(3)(keras.Input(()))


def convolution_on_flat_features() -> None:
    x = layers.Flatten(name="flat")(keras.Input((28, 28, 1), name="image"))
    layers.Conv2D(8, 3)(layers.Dense(64, name="dense")(x))


def convolution_on_steps() -> None:
    layers.Conv1D(8, 3)(keras.Input((28, 28, 1)))


def pooling_after_pooling() -> None:
    x = layers.GlobalAveragePooling2D(name="global")(keras.Input((8, 8, 16)))
    layers.GlobalMaxPooling2D()(x)


def convolution_of_unknown_channels() -> None:
    layers.Conv2D(8, 3)(keras.Input((28, 28, None)))


def embedding_where_steps_are_missing() -> None:
    layers.Conv1D(8, 3)(keras.Input((100,), dtype="int32", name="tokens"))


def negative_units() -> None:
    layers.Dense(-3)


def negative_filters() -> None:
    layers.Conv2D(-8, 3)


def a_negative_size() -> None:
    keras.Input((-28, 28, 1))


def while_on_a_symbolic_tensor() -> None:
    x = keras.Input((3,))
    while x < 1:
        x = x + 1


def a_loop_over_a_symbolic_tensor() -> None:
    for row in keras.Input((3,)):
        print(row)


def membership_in_a_symbolic_tensor() -> None:
    print(3 in keras.Input((3,)))


def length_of_a_symbolic_tensor() -> None:
    len(keras.Input((3,)))


def float_of_a_symbolic_tensor() -> None:
    float(keras.Input((3,)))


def range_of_a_symbolic_tensor() -> None:
    range(keras.Input((), dtype="int32"))


def assignment_to_a_symbolic_tensor() -> None:
    x = keras.Input((3,))
    x[:, 0] = 1


def index_by_a_tensor() -> None:
    x = keras.Input((3,))
    x[:, x]


def an_index_beyond_the_axis() -> None:
    keras.Input((3,), name="x")[:, 3]


def an_unknown_attribute_of_a_tensor() -> None:
    keras.Input((3,)).fit()


def reshape_of_a_branch() -> None:
    x = layers.Conv2D(8, 3, name="conv")(keras.Input((10, 10, 3)))
    layers.Reshape((10, 10, 8))(x)


def a_nested_model_on_another_shape() -> None:
    x = keras.Input((32, 32, 3), name="image")
    y = layers.Conv2D(8, 3, name="conv")(x)
    backbone = keras.Model(x, layers.GlobalAveragePooling2D()(y), name="backbone")
    backbone(keras.Input((32, 32, 1), name="grey"))


def strides_and_padding_on_one_branch() -> None:
    x = keras.Input((32, 32, 16), name="image")
    y = layers.Conv2D(32, 3, strides=2, name="down")(x)
    layers.add([layers.Conv2D(32, 3, name="conv")(y), x])


def two_branches_without_padding() -> None:
    x = keras.Input((32, 32, 3), name="image")
    layers.add([layers.Conv2D(16, 3, name="narrow")(x), layers.Conv2D(16, 5, name="wide")(x)])


def a_torch_function_on_other_shapes() -> None:
    import torch

    x = keras.Input((8, 8, 3), name="image")
    torch.cat([x, layers.MaxPooling2D(name="pool")(x)], -1)


def a_numpy_function_on_a_symbolic_tensor() -> None:
    np.sqrt(keras.Input((3,)))


def numbers_of_a_symbolic_tensor() -> None:
    keras.Input((3,)).numpy()


def a_merge_inside_a_layer_of_the_users() -> None:
    class Block(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.conv, self.join = layers.Conv2D(3, 3), layers.Add()

        def call(self, x: Any) -> Any:
            return self.join([self.conv(x), x])

    Block(name="block")(keras.Input((8, 8, 3), name="image"))


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
