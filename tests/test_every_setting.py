"""Every setting of every layer, changed after predict: what reads the layer sees the new value, or the change is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from every_layer import CASES, Case

import anabranch as ab
from anabranch import _tree, insight, layers
from anabranch._errors import AnabranchError
from anabranch.layers.configuring import again
from anabranch.layers.fields import FieldLayer

OTHERS: dict[str, list[Any]] = {  # a setting: values of which one is valid and another one than that in use
    "activation": ["tanh", "relu"],
    "alpha": [0.3],
    "arguments": [{"by": 3.0}],
    "axes": [1, 2, -1],
    "axis": [1, 2, -1],
    "broadcast": [True],
    "layer": [{"module": "keras.layers", "class_name": "GRU", "config": {"units": 4}}],
    "backward_layer": [{"module": "keras.layers", "class_name": "GRU", "config": {"units": 4}}],
    "merge_mode": ["sum"],
    "cell": [{"module": "keras.layers", "class_name": "GRUCell", "config": {"units": 4}}],
    "cells": [[{"module": "keras.layers", "class_name": "GRUCell", "config": {"units": 4}}]],
    "cropping": [1, 0],
    "data_format": ["channels_first", "channels_last"],
    "dims": [(2, 1, 3), (1, 3, 2)],
    "factor": [0.4],
    "fill_mode": ["nearest", "constant"],
    "fill_value": [1.0],
    "function": [abs],
    "groups": [1, 2, 3],
    "height": [5],
    "height_factor": [0.1],
    "implementation": [1],
    "input_dim": [9],
    "interpolation": ["nearest", "bilinear"],
    "kernel_size": [2],
    "lora_rank": [2],
    "lora_alpha": [2.0],
    "mask": [lambda inputs, mask: mask],
    "mask_value": [0.5],
    "max_value": [0.5],
    "mean": [0.5],
    "mode": ["vertical"],
    "momentum": [0.25],
    "n": [2],
    "negative_slope": [0.7],
    "noise_shape": [(None, 1)],
    "output_dim": [5],
    "output_padding": [1],
    "output_shape": [(7,)],
    "padding": ["same", "valid", 2, 1],
    "pool_size": [2, 1],
    "quantization_config": [{"bits": 4}],
    "rate": [0.1],
    "recurrent_activation": ["tanh"],
    "recurrent_dropout": [0.3],
    "renorm_clipping": [{"rmax": 1.0}],
    "renorm_momentum": [0.5],
    "shared_axes": [[1]],
    "size": [3, 1],
    "stddev": [0.1],
    "strides": [2, 1],
    "target_shape": [(2, -1), (-1,)],
    "threshold": [0.2],
    "use_cudnn": [False],
    "value_range": [(0, 1)],
    "variance": [2.0],
    "weights": [np.ones((7, 3), "float32")],
    "width": [2],
    "width_factor": [0.1],
    "dilation_rate": [2],
    "bias_axes": [None],
    "attention_axes": [(2,)],
    "num_key_value_heads": [4, 1],
    "num_query_heads": [8],
    "output_size": [3],
    "reverse_dtype": ["float64"],
    "logit_soft_cap": [0.5],
    "score_mode": ["concat", "dot"],
    "dropout": [0.3],
    "equation": ["abc,cde->abed"],
    "l1": [0.7],
    "l2": [0.7],
    "offset": [0.25],
    "epsilon": [0.5],
}  # fmt: skip
BY_CLASS: dict[tuple[str, str], list[Any]] = {
    ("PReLU", "alpha_initializer"): ["ones"],
    ("Rescaling", "scale"): [0.5],
    ("LayerNormalization", "axis"): [[1, 2]],
    ("Permute", "dims"): [(2, 1, 3)],
}
BY_END: dict[str, list[Any]] = {"_initializer": ["ones", "zeros"], "_regularizer": ["l2"], "_constraint": ["non_neg"]}
OF_ALL = ("activity_regularizer", "trainable", "autocast", "dtype_policy")
BY_NAME = {"activity_regularizer": ["l2"], "dtype_policy": ["mixed_bfloat16"]}
NOT_CHANGED = {
    "Normalization.mean": "an argument alone; the attribute is the statistics in use",
    "Normalization.variance": "the same",
    "AveragePooling1D.dtype_policy": "torch has no such kernel",
    "AveragePooling3D.dtype_policy": "torch has no such kernel",
    "StackedRNNCells.dtype_policy": "its cells have policies of their own",
}


def scaled(inputs: Any, by: float = 2.0) -> Any:
    return inputs * by


LAMBDA = Case("Lambda", "Lambda", {"function": scaled}, [(None, 3)])


def candidates(kind: str, name: str, now: Any) -> list[Any]:
    if isinstance(now, bool):
        return [not now]
    ends = [values for end, values in BY_END.items() if name.endswith(end)]
    known = BY_NAME.get(name) or BY_CLASS.get((kind, name)) or OTHERS.get(name)
    return known or (ends[0] if ends else [now + 1 if type(now) is int else 7])


def rows() -> list[Any]:
    found: dict[str, Any] = {}
    for case in [LAMBDA, *CASES]:
        kind = getattr(layers, case.make)
        if case.inputs and issubclass(kind, FieldLayer):
            for name in [*kind._fields_, *OF_ALL]:
                if name == "seed" and "seed" in case.config:  # a change from one seed to another
                    found.pop(f"{case.make}.{name}", None)
                found.setdefault(f"{case.make}.{name}", pytest.param(case, name, id=f"{case.make}.{name}"))
    return [found[name] for name in sorted(found) if name not in NOT_CHANGED]


def model_of(case: Case, layer: Any) -> ab.Model:
    inputs = [ab.Input(shape[1:], dtype=case.dtype) for shape in case.inputs]
    given = inputs if case.as_list else inputs[0]
    return ab.Model(given, case.call(layer, given))


def data_of(case: Case) -> Any:
    rng = np.random.default_rng(1)
    draw: Callable[[Any], Any] = (
        rng.normal if case.dtype == "float32" else lambda size: rng.integers(0, case.int_input_max, size)
    )
    found = [np.asarray(draw(size=(4, *(size or 6 for size in shape[1:])))).astype(case.dtype) for shape in case.inputs]
    return found if case.as_list else found[0]


def results(model: Any, data: Any) -> list[np.ndarray[Any, Any]]:
    """Return what a model gives by every way to run it, and its losses."""
    ab.utils.set_random_seed(3)
    tensors = [torch.from_numpy(value) for value in data] if isinstance(data, list) else torch.from_numpy(data)
    found = list(_tree.leaves(model.predict(data, verbose=0)))
    for training in (False, True):
        found += [leaf.detach().float().cpu().numpy() for leaf in _tree.leaves(model(tensors, training=training))]
        found += [np.asarray(loss.detach().float()) for loss in model.losses]
    return found


def agree(found: list[Any], wanted: list[Any]) -> bool:
    return len(found) == len(wanted) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True)
        for a, b in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize(("case", "name"), rows())
def test_a_setting_changed_after_predict_is_seen_or_refused(case: Case, name: str) -> None:
    layer: Any = getattr(layers, case.make)(**case.config)
    model, data = model_of(case, layer), data_of(case)
    state = [weight.numpy() for weight in layer.weights]
    before, config, now = results(model, data), layer.get_config(), getattr(layer, name)
    layer.set_weights(state)  # a step of training moves averages
    old = again(layer)
    refusal: Exception | None = None
    for value in candidates(case.make, name, now):
        try:
            setattr(layer, name, value)
        except (AnabranchError, AttributeError) as error:  # a property without a setter
            refusal = error
        else:
            if layer.get_config() != config or getattr(layer, name) is not now:
                break
    else:
        assert refusal is not None, "every value that was tried is the one in use"
        assert isinstance(refusal, AttributeError) or name in str(refusal)
        assert layer.get_config() == config
        assert agree(results(model, data), before)
        return
    fresh = again(old)  # never called, so any valid value is taken
    setattr(fresh, name, value)
    assert layer.get_config() == fresh.get_config() | {"name": layer.name}
    copies = [ab.models.clone_model(model), model.edit()]
    wanted_model = model_of(case, fresh)
    assert [weight.shape for weight in fresh.weights] == [weight.shape for weight in layer.weights]
    fresh.set_weights(state)
    wanted = results(wanted_model, data)
    fresh.set_weights(state)
    layer.set_weights(state)
    assert agree(results(model, data), wanted), "running programs"
    assert [(str(w.dtype), w.trainable) for w in layer.weights] == [(str(w.dtype), w.trainable) for w in fresh.weights]
    for twin in copies:
        copied = twin.layers[-1]
        # a copy's function is the graph of function and arguments
        code = {key: layer.get_config()[key] for key in ("function", "arguments")} if case is LAMBDA else {}
        assert copied.get_config() | code == layer.get_config()
        copied.set_weights(state)
        assert agree(results(twin, data), wanted), "copies"
    changes = insight.diff(model, wanted_model).changes
    assert not [change for change in changes if change.kind == "config" and "/" not in change.path]


# The ways in which a layer is reached


def _plain(layer: Any) -> ab.Model:
    x = ab.Input((4,))
    return ab.Model(x, layer(x))


def _nested(layer: Any) -> ab.Model:
    x = ab.Input((4,))
    return ab.Model(x, ab.Model(*_ends(ab.Sequential([ab.Input((4,)), layer])))(x))


def _ends(model: Any) -> tuple[Any, Any]:
    x = ab.Input((4,))
    return x, model(x)


def _in_a_layer(layer: Any) -> ab.Model:
    class Block(layers.Layer):
        def __init__(self, inner: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = inner

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    return _plain(Block(layer))


def _subclassed(layer: Any) -> ab.Model:
    class Own(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = layer

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    return Own()


X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
PLACES = [_plain, _nested, _in_a_layer, _subclassed]


@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}], ids=str)
@pytest.mark.parametrize("place", PLACES)
def test_a_change_is_seen_wherever_the_layer_is_by_fit_evaluate_and_predict(place: Any, options: Any) -> None:
    layer = layers.Dense(3, activation="relu")
    model = place(layer)
    model.compile(ab.optimizers.SGD(0.0), "mse", **options)
    model.fit(X, model.predict(X, verbose=0), verbose=0)
    layer.activation = "linear"
    linear = X @ layer.kernel.numpy() + layer.bias.numpy()
    np.testing.assert_allclose(model.predict(X, verbose=0), linear, atol=1e-5)
    assert model.evaluate(X, linear, verbose=0) < 1e-9
    assert model.fit(X, linear, verbose=0).history["loss"][0] < 1e-9
    layer.kernel_regularizer = ab.regularizers.L2(1.0)
    penalty = float((layer.kernel.numpy() ** 2).sum())
    assert model.fit(X, linear, verbose=0).history["loss"][0] == pytest.approx(penalty, rel=1e-4)
    layer.kernel_regularizer = None
    layer.activity_regularizer = ab.regularizers.L2(1.0)
    assert model.fit(X, linear, verbose=0).history["loss"][0] == pytest.approx(float((linear**2).sum()) / 8, rel=1e-4)
    layer.activity_regularizer = None
    assert model.fit(X, linear, verbose=0).history["loss"][0] < 1e-9
    layer.kernel_constraint = "non_neg"
    model.fit(X, linear, verbose=0)
    assert float(layer.kernel.numpy().min()) >= 0.0


@pytest.mark.not_fake("torch's compiler has no code for it")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile itself
@pytest.mark.parametrize("place", [_plain, _nested])
def test_a_change_is_seen_by_compiled_code(place: Any) -> None:
    layer = layers.Dense(3, activation="relu")
    model = place(layer)
    model.compile("sgd", "mse", jit_compile=True)
    model.predict(X, verbose=0)
    layer.activation = "linear"
    linear = X @ layer.kernel.numpy() + layer.bias.numpy()
    np.testing.assert_allclose(model.predict(X, verbose=0), linear, atol=1e-5)


def test_a_setting_of_a_loss_changed_between_two_fits_takes_effect() -> None:
    model = _plain(layers.Dense(1))
    loss = ab.losses.Huber(delta=1.0)
    model.compile(ab.optimizers.SGD(0.0), loss)
    y = model.predict(X, verbose=0) + 3.0
    assert model.fit(X, y, verbose=0).history["loss"] == pytest.approx([2.5], rel=1e-4)
    loss.delta = 2.0
    assert model.fit(X, y, verbose=0).history["loss"] == pytest.approx([4.0], rel=1e-4)
    assert model.evaluate(X, y, verbose=0) == pytest.approx(4.0, rel=1e-4)
