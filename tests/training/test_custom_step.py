"""Custom steps: fit, evaluate and predict call them; Keras's results where both run the same program."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from parity import close
from torch.utils.data import DataLoader, TensorDataset

import anabranch as ab
from anabranch import layers
from anabranch._errors import AnabranchError, ArgumentError, DataError, NotReadyError
from anabranch.utils import pack_x_y_sample_weight, unpack_x_y_sample_weight

X = np.random.default_rng(0).random((16, 3)).astype("float32")
Y = np.random.default_rng(1).random((16, 1)).astype("float32")
WEIGHTS = np.arange(16, dtype="float32")


def dense(k: Any, base: Any, **options: Any) -> Any:
    """Return a model of one dense layer with the same weights for Keras and anabranch."""
    inputs = k.Input((3,))
    model = base(inputs, k.layers.Dense(1, **options)(inputs))
    model.set_weights([np.linspace(-1, 1, 3, dtype="float32").reshape(3, 1), np.zeros(1, "float32")])
    return model


def descend(model: Any, loss: Any) -> None:
    model.zero_grad()
    loss.backward()
    weights = list(model.trainable_weights)
    with torch.no_grad():
        model.optimizer.apply([weight.value.grad for weight in weights], weights)


def classes(k: Any) -> dict[str, Any]:
    """Return models with custom steps, for Keras or anabranch."""

    class Step(k.Model):
        def train_step(self, data: Any) -> Any:
            x, y, sample_weight = data if len(data) == 3 else (*data, None)
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)
            descend(self, loss)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred, sample_weight=sample_weight)
            return {metric.name: metric.result() for metric in self.metrics}

    class Trackers(k.Model):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.seen = k.metrics.Mean(name="loss")

        def train_step(self, data: Any) -> Any:
            x, y = data[:2]
            loss = torch.mean((self(x, training=True) - y) ** 2)
            descend(self, loss)
            self.seen.update_state(loss)
            return {"loss": self.seen.result(), "twice": 2 * loss.detach()}

        def test_step(self, data: Any) -> Any:
            x, y = data[:2]
            self.seen.update_state(torch.mean((self(x, training=False) - y) ** 2))
            return {"loss": self.seen.result()}

        @property
        def metrics(self) -> Any:
            return [self.seen]

    class Loss(k.Model):
        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
        ) -> Any:
            return torch.mean(torch.abs(y_pred - y)) + sum(self.losses)

    class OldLoss(k.Model):
        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
            return torch.mean(torch.abs(y_pred - y)) * 3

    class Metrics(k.Model):
        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return {**super().compute_metrics(x, y, y_pred, sample_weight), "rows": float(len(y))}

    class Defaults(k.Model):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    return {c.__name__.lower(): c for c in (Step, Trackers, Loss, OldLoss, Metrics, Defaults)}


def run(k: Any, kind: str) -> list[Any]:
    model = dense(k, classes(k)[kind], kernel_regularizer="l2")
    model.compile(k.optimizers.Adam(0.01), "mse", metrics=["mae"])
    options = {"batch_size": 5, "shuffle": False, "verbose": 0}
    found = [model.fit(X, Y, epochs=2, validation_data=(X, Y), **options).history]
    if kind != "trackers":
        found.append(model.fit(X, Y, sample_weight=WEIGHTS, **options).history)
        found.append(model.fit(X, np.round(Y), class_weight={0: 1.0, 1: 3.0}, **options).history)
    return [*found, model.evaluate(X, Y, batch_size=5, verbose=0), model.predict(X, verbose=0), *model.get_weights()]


@pytest.mark.parametrize("kind", classes(ab))
def test_custom_steps_give_keras_results(keras: Any, kind: str) -> None:
    for mine, other in zip(run(ab, kind), run(keras, kind), strict=True):
        close(mine, other)


@pytest.mark.parametrize("keyed", [False, True], ids=["lists", "dicts"])
@pytest.mark.parametrize("kind", ["defaults", "metrics", None])
def test_several_outputs_give_keras_results(keras: Any, kind: str | None, keyed: bool) -> None:
    def run(k: Any) -> list[Any]:
        inputs = k.Input((3,))
        outputs = {"p": k.layers.Dense(3, name="a")(inputs), "q": k.layers.Dense(1, name="b")(inputs)}

        def form(p: Any, q: Any) -> Any:
            return {"p": p, "q": q} if keyed else [p, q]

        model = (classes(k)[kind] if kind else k.Model)(inputs, form(*outputs.values()))
        model.set_weights([np.linspace(-1, 1, w.size, dtype="float32").reshape(w.shape) for w in model.get_weights()])
        model.compile("sgd", loss=form("mse", "mae"), metrics=form(["mae"], ["mse"]), loss_weights=form(2.0, 0.5))
        options = {"batch_size": 5, "shuffle": False, "verbose": 0}
        y, weights = form(X * 2, Y), form(WEIGHTS, np.ones(16, "float32"))
        found = [model.fit(X, y, epochs=2, validation_data=(X, y), **options).history]
        found.append(model.fit(X, y, sample_weight=weights, **options).history)
        return [*found, model.evaluate(X, y, verbose=0), model.test_on_batch(X, y)]

    for mine, other in zip(run(ab), run(keras), strict=True):
        close(mine, other)


def test_the_step_written_out_is_the_step_that_fit_takes() -> None:
    plain, custom = (dense(ab, base) for base in (ab.Model, classes(ab)["step"]))
    for model in (plain, custom):
        model.compile("adam", "mse", metrics=["mae"])
        model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    for mine, other in zip(plain.get_weights(), custom.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6)


class Taking(ab.Model):
    """Notes what its step is given."""

    def train_step(self, data: Any) -> Any:
        self.taken = data
        return {"loss": torch.tensor(1.0)}


@pytest.mark.parametrize(
    ("arguments", "form"),
    [
        ((X,), "tensor"),
        ((X, Y), "pair"),
        ((X, Y, WEIGHTS), "triple"),
        (({"a": X, "b": [X, X]}, Y), "nest"),
        ((DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=8), None), "pair"),
        ((iter([(X, Y)]), None), "pair"),
    ],
    ids=["x", "x and y", "weighted", "nest", "loader", "generator"],
)
def test_data_come_as_they_were_given(arguments: Any, form: str) -> None:
    model = Taking(start := ab.Input((3,)), layers.Dense(1)(start))
    model.compile()
    x, y, weights = (*arguments, None, None)[:3]
    model.fit(x, y, sample_weight=weights, batch_size=8, shuffle=False, verbose=0)
    if form == "tensor":
        np.testing.assert_array_equal(model.taken.cpu().numpy(), X[8:])
    elif form == "nest":
        assert [tuple(t.shape) for t in (model.taken[0]["a"], *model.taken[0]["b"])] == [(8, 3)] * 3
    else:
        assert len(model.taken) == {"pair": 2, "triple": 3}[form]
        assert all(isinstance(part, torch.Tensor) and part.dtype == torch.float32 for part in model.taken)


def test_a_step_may_stop_the_training() -> None:
    class Once(ab.Model):
        def train_step(self, data: Any) -> Any:
            self.stop_training = True
            return {"loss": 1.0}

    model = dense(ab, Once)
    model.compile()
    assert model.fit(X, Y, batch_size=4, epochs=5, verbose=0).history == {"loss": [1.0]}


def test_a_loss_that_is_only_returned_is_averaged() -> None:
    class Counting(ab.Model):
        seen = 0

        def train_step(self, data: Any) -> Any:
            self.seen += 1
            return {"loss": torch.tensor(float(self.seen))}

    model = dense(ab, Counting)
    model.compile("sgd", "mse")
    history = model.fit(X, Y, batch_size=4, epochs=2, verbose=0).history
    assert history == {"loss": [2.5, 6.5]}, "Keras says 0: no metric has seen a loss"


def test_a_step_may_be_set_on_a_model() -> None:
    model = dense(ab, ab.Model)
    model.train_step = lambda data: {"rows": float(len(data[0]))}
    model.compile("sgd", "mse")
    assert model.fit(X, Y, batch_size=16, verbose=0).history == {"rows": [16.0]}


def test_predict_step_is_what_predict_calls() -> None:
    class Doubled(ab.Model):
        def predict_step(self, data: Any) -> Any:
            x, _, _ = unpack_x_y_sample_weight(data)
            return {"twice": 2 * self(x, training=False)}

    model = dense(ab, Doubled)
    expected = 2 * model(X).detach().cpu().numpy()
    np.testing.assert_allclose(model.predict(X, batch_size=5, verbose=0)["twice"], expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(X)["twice"], expected, rtol=1e-6)


def test_one_batch_at_a_time() -> None:
    model = dense(ab, classes(ab)["step"])
    model.compile("sgd", "mse", metrics=["mae"])
    first = model.train_on_batch(X, Y, return_dict=True)
    assert set(first) == {"loss", "mae"}
    assert model.test_on_batch(X, Y)[0] < first["loss"]


def test_a_layer_unfrozen_between_fits_is_trained() -> None:
    inputs = ab.Input((3,))
    first, last = layers.Dense(3), layers.Dense(1)
    model = classes(ab)["step"](inputs, last(first(inputs)))
    model.compile("sgd", "mse")
    for frozen in (True, False):
        first.trainable = not frozen
        before = [weight.numpy() for weight in model.weights]
        model.fit(X, Y, verbose=0)
        changed = [bool((old != weight.numpy()).any()) for old, weight in zip(before, model.weights, strict=True)]
        assert changed == [not frozen, not frozen, True, True]


def test_metrics_are_keras_objects_in_keras_order(keras: Any) -> None:
    for k in (ab, keras):
        model = dense(k, k.Model)
        assert model.metrics == []
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(X, Y, verbose=0)
        assert [metric.name for metric in model.metrics] == ["loss", "compile_metrics"]
        assert set(model.get_metrics_result()) == {"loss", "mae"}


def test_gradients_are_applied_one_by_one(keras: Any) -> None:
    def applied(k: Any) -> Any:
        model = dense(k, k.Model)
        optimizer = k.optimizers.Adam(0.1)
        for _ in range(3):
            optimizer.apply([torch.ones_like(w.value) for w in model.trainable_weights], model.trainable_weights)
        return [np.array(weight) for weight in model.get_weights()]

    for mine, other in zip(applied(ab), applied(keras), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5)


def test_apply_touches_what_it_is_given_alone() -> None:
    inputs = ab.Input((3,))
    model = ab.Model(inputs, layers.Dense(1)(layers.Dense(2)(inputs)))
    optimizer = ab.optimizers.SGD(1.0)
    first, rest = model.trainable_weights[:1], model.trainable_weights[1:]
    optimizer.build(model.trainable_weights)
    before = [weight.numpy() for weight in model.weights]
    rest[0].value.grad = torch.ones_like(rest[0].value)
    assert optimizer.apply_gradients([(torch.ones_like(first[0].value), first[0])]) == 1
    changed = [bool((old != weight.numpy()).any()) for old, weight in zip(before, model.weights, strict=True)]
    assert changed == [True, False, False, False]
    assert rest[0].value.grad is not None, "gradients of other weights are left for who takes them"


def test_data_are_packed_and_taken_apart(keras: Any) -> None:
    theirs = keras.utils if hasattr(keras.utils, "unpack_x_y_sample_weight") else None
    for data in (X, (X,), (X, Y), (X, Y, WEIGHTS), [X, Y]):
        mine = unpack_x_y_sample_weight(data)
        assert len(mine) == 3
        if theirs is not None:
            assert all(a is b for a, b in zip(mine, theirs.unpack_x_y_sample_weight(data), strict=True))
    assert pack_x_y_sample_weight(X) is X
    assert pack_x_y_sample_weight([X, X])[0][1] is X
    with pytest.raises(DataError, match="one to three parts"):
        unpack_x_y_sample_weight((1, 2, 3, 4))


def test_masks_reach_losses_and_metrics_of_custom_steps() -> None:
    def history(base: Any) -> Any:
        ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [1, 2, 3, 0]])
        inputs = ab.Input((4,), dtype="int32")
        model = base(inputs, layers.Dense(1)(layers.Embedding(4, 2, mask_zero=True)(inputs)))
        model.set_weights([np.linspace(-1, 1, w.size, dtype="float32").reshape(w.shape) for w in model.get_weights()])
        model.compile("sgd", "mse", metrics=["mae"])
        return model.fit(ids, np.ones((3, 4, 1), "float32"), epochs=2, shuffle=False, verbose=0).history

    close(history(classes(ab)["defaults"]), history(ab.Model))


# Mistakes


def returning(value: Any, method: str = "train_step") -> Any:
    """Return a compiled model whose method gives ``value``."""
    body = {method: lambda self, *args, **kwargs: value}
    model = dense(ab, type("Mine", (ab.Model,), body))
    model.compile("sgd", "mse")
    return model


def no_compile() -> None:
    model = dense(ab, classes(ab)["step"])
    model.train_step((X, Y))


class NoResult(ab.Model):
    """Forgets to return."""

    def call(self, x: Any) -> Any:
        """Give nothing."""


def loss_outside_call() -> None:
    layers.Dense(1, name="alone").add_loss(torch.tensor(1.0))


def no_number() -> None:
    class Adds(layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss("much")
            return x

    Adds(name="adds")(X)


MISTAKES = {
    "train_step_gives_nothing": lambda: returning(None).fit(X, Y),
    "train_step_gives_a_number": lambda: returning(3.0).fit(X, Y),
    "test_step_gives_nothing": lambda: returning(None, "test_step").evaluate(X, Y),
    "compute_loss_gives_a_vector": lambda: returning(torch.ones(16), "compute_loss").fit(X, Y),
    "compute_loss_gives_nothing": lambda: returning(None, "compute_loss").fit(X, Y),
    "compute_loss_depends_on_nothing": lambda: returning(torch.tensor(1.0), "compute_loss").fit(X, Y),
    "step_before_compile": lambda: ab.Model.train_step(dense(ab, ab.Model), (X, Y)),
    "fit_custom_step_before_compile": lambda: dense(ab, classes(ab)["step"]).fit(X, Y),
    "step_written_before_compile": no_compile,
    "call_gives_nothing": lambda: NoResult().predict(X),
    "add_loss_outside_call": loss_outside_call,
    "add_loss_of_no_number": no_number,
    "apply_without_gradients": lambda: ab.optimizers.SGD().apply([None, None], dense(ab, ab.Model).weights),
    "apply_without_weights": lambda: ab.optimizers.SGD().apply([torch.ones(3)]),
    "apply_of_another_number": lambda: ab.optimizers.SGD().apply([torch.ones(3, 1)], dense(ab, ab.Model).weights),
    "lengths_differ_in_custom_step": lambda: returning({}).fit(X, Y[:-1]),
    "no_call_at_all": lambda: ab.Model(name="empty").predict(X),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_explained(golden: Any, name: str) -> None:
    with pytest.raises(AnabranchError) as caught:
        MISTAKES[name]()
    text = re.sub(r"\.py:\d+", ".py:LINE", str(caught.value))
    golden(f"errors/{name}", f"{type(caught.value).__name__}: {text}\n")


def test_errors_are_what_people_catch() -> None:
    with pytest.raises(TypeError):
        MISTAKES["train_step_gives_nothing"]()
    with pytest.raises(ValueError, match="must return a scalar"):
        MISTAKES["compute_loss_gives_a_vector"]()
    assert issubclass(NotReadyError, RuntimeError)
    assert issubclass(ArgumentError, ValueError)


def test_steps_that_are_set_later_are_used() -> None:
    class Later(ab.Model):
        pass

    def constant(self: Any, data: Any) -> dict[str, float]:
        return {"loss": 7.0}

    model = dense(ab, Later)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.train_on_batch(X, Y)
    Later.train_step = Later.test_step = constant  # type: ignore[assignment]
    assert model.fit(X, Y, verbose=0).history == {"loss": [7.0]}
    assert model.train_on_batch(X, Y) == model.evaluate(X, Y, verbose=0) == 7.0
    del Later.train_step, Later.test_step
    assert model.evaluate(X, Y, verbose=0) != 7.0
    model.compute_loss = lambda x, y, y_pred, sample_weight, training=True: (y_pred - y_pred).sum() + 5
    assert model.fit(X, Y, verbose=0).history == {"loss": [5.0]}


class OfWords(ab.Model):
    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        loss = self.compute_loss(x, y, self(x, training=True))
        self.zero_grad()
        loss.backward()
        weights = self.trainable_weights
        self.optimizer.apply([weight.value.grad for weight in weights], weights)
        return {"loss": loss}


@pytest.mark.parametrize("kind", ["<U1", "object"])
def test_strings_reach_a_custom_step(kind: str) -> None:
    words, y = np.array([["a"], ["b"], ["c"], ["a"]], dtype=kind), np.arange(4.0)[:, None]

    def made(kind: type[ab.Model]) -> ab.Model:
        inputs = ab.Input((1,), dtype="string")
        codes = layers.StringLookup(vocabulary=["a", "b", "c"])(inputs)
        vectors = layers.Flatten()(layers.Embedding(4, 3, embeddings_initializer="ones")(codes))
        model = kind(inputs, layers.Dense(1, kernel_initializer="ones")(vectors))
        model.compile("sgd", "mse")
        return model

    own, plain = made(OfWords), made(ab.Model)
    losses = [each.fit(words, y, batch_size=2, epochs=2, shuffle=False, verbose=0).history["loss"] for each in (own, plain)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    batches = [(words[:2], y[:2]), (words[2:], y[2:])]
    losses = [each.fit(iter(batches), verbose=0).history["loss"] for each in (own, plain)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    np.testing.assert_allclose(own.evaluate(words, y, verbose=0), plain.evaluate(words, y, verbose=0), rtol=1e-5)
    assert own.predict(words, verbose=0).shape == (4, 1)
