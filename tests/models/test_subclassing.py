"""Models that write their own call: built, trained, saved, nested, exported, as models with a graph are."""

from __future__ import annotations

import copy
import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device
from parity import close

import anabranch as ab
from anabranch import engine, layers
from anabranch._errors import AnabranchError, NotReadyError
from anabranch.engine.opaque import Opaque

X = np.random.default_rng(0).random((12, 6)).astype("float32")
Y = np.random.default_rng(1).random((12, 1)).astype("float32")


def make(k: Any) -> dict[str, Any]:
    """Return classes of models in the words of ``k``, Keras or anabranch."""

    class Plain(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = k.layers.Dense(4, activation="tanh")
            self.row = [k.layers.Dense(4, activation="tanh"), k.layers.Dense(3)]
            self.named = {"head": k.layers.Dense(1)}

        def call(self, x: Any, training: bool = False) -> Any:
            x = self.first(x)
            for layer in self.row:
                x = layer(x)
            return self.named["head"](x) * (2.0 if training else 1.0)

    class Forked(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.body = k.layers.Dense(4, activation="tanh")
            self.a, self.b = k.layers.Dense(1), k.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            x = self.body(inputs["left"]) + inputs["right"]
            return {"a": self.a(x), "b": self.b(x)}

    class Nested(k.Model):
        def __init__(self) -> None:
            super().__init__()
            start = k.Input((6,))
            self.graph_inside = k.Model(start, k.layers.Dense(3, activation="tanh")(start))
            self.own = Plain()
            self.sequence = k.Sequential([k.layers.Dense(3, activation="tanh")])

        def call(self, x: Any, training: bool = False) -> Any:
            return self.own(self.sequence(self.graph_inside(x)))

    class Branching(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = k.layers.Dense(1), k.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.a(x) + self.b(x) if float(x.sum()) > 18 else self.b(x) - self.a(x)

    return {c.__name__.lower(): c for c in (Plain, Forked, Nested, Branching)}


OURS = make(ab)
SINGLE = ("plain", "nested", "branching")


def with_weights(model: Any, data: Any) -> Any:
    model(data)
    draw = np.random.default_rng(5)
    model.set_weights([draw.normal(size=weight.shape).astype("float32") * 0.4 for weight in model.get_weights()])
    return model


def trained(k: Any, kind: str) -> list[Any]:
    x = {"left": X, "right": X[:, :4]} if kind == "forked" else X
    y = {"a": Y, "b": X[:, :2]} if kind == "forked" else Y
    model = with_weights(make(k)[kind](), x)
    loss = {"a": "mse", "b": "mae"} if kind == "forked" else "mse"
    metrics = {"a": ["mae"], "b": ["mse"]} if kind == "forked" else ["mae"]
    weights = {"a": 2.0, "b": 0.5} if kind == "forked" else None
    model.compile("sgd", loss=loss, metrics=metrics, loss_weights=weights)
    history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, validation_data=(x, y)).history
    found = [history, model.evaluate(x, y, verbose=0), model.predict(x, verbose=0)]
    return [*found, {str(i): weight for i, weight in enumerate(model.get_weights())}]


@pytest.mark.parametrize("kind", ["plain", "forked", "nested", "branching"])
def test_training_gives_keras_numbers(keras: Any, kind: str) -> None:
    for mine, other in zip(trained(ab, kind), trained(keras, kind), strict=True):
        close(mine, other)


@pytest.mark.parametrize("kind", SINGLE)
def test_the_program_gives_what_the_call_gives(kind: str) -> None:
    model = with_weights(OURS[kind](), X)
    close(model.predict(X, batch_size=12, verbose=0), model(X).detach())
    assert model.graph is None
    module = engine.program(model, training=False).module
    assert any(isinstance(part, Opaque) for part in module.modules()) == (kind == "branching")
    if kind != "branching":
        assert not isinstance(module, Opaque)
        close(model.to_torch()(on_device(X)).detach(), model(X).detach())


def test_training_reaches_the_call() -> None:
    model = with_weights(OURS["plain"](), X)
    close(model(X, training=True).detach(), 2 * model(X, training=False).detach())
    model.compile("sgd", "mse")
    measured = model.test_on_batch(X, Y * 0)
    assert model.train_on_batch(X, Y * 0) == pytest.approx(4 * measured, rel=1e-4)


def test_fit_trains_what_a_call_without_the_argument_holds() -> None:
    class Silent(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = OURS["plain"]()

        def call(self, x: Any) -> Any:
            return self.inner(x)

    model = with_weights(Silent(), X)
    model.compile("sgd", "mse")
    measured = model.test_on_batch(X, Y * 0)
    assert model.train_on_batch(X, Y * 0) == pytest.approx(4 * measured, rel=1e-4), "Keras would run it as in inference"


@pytest.mark.parametrize("kind", SINGLE)
def test_build_makes_the_weights(kind: str) -> None:
    model = OURS[kind]()
    with pytest.raises(NotReadyError):
        model.get_weights()
    model.build((None, 6))
    built = [weight.shape for weight in model.weights]
    called = OURS[kind]()
    called(X)
    assert built == [weight.shape for weight in called.weights]
    assert model.built
    assert len(built) > 3


def test_a_users_build_may_end_in_the_base() -> None:
    class Late(ab.Model):
        def build(self, input_shape: Any) -> None:
            self.head = layers.Dense(input_shape[-1])
            super().build(input_shape)

        def call(self, x: Any) -> Any:
            return self.head(x)

    for begin in (lambda m: m.build((None, 6)), lambda m: m(X), lambda m: m.predict(X, verbose=0)):
        model = Late()
        begin(model)
        assert [weight.shape for weight in model.weights] == [(6, 6), (6,)]
        assert model(X).shape == (12, 6)


def test_weights_are_saved_in_a_file(tmp_path: Path) -> None:
    model, other = (with_weights(OURS["nested"](), X) for _ in range(2))
    other.set_weights([weight * 0 for weight in other.get_weights()])
    model.save_weights(tmp_path / "own.safetensors")
    other.load_weights(tmp_path / "own.safetensors")
    close(other(X).detach(), model(X).detach())


def test_weights_cannot_be_loaded_before_they_are_there(tmp_path: Path) -> None:
    model = with_weights(OURS["plain"](), X)
    model.save_weights(tmp_path / "own.safetensors")
    with pytest.raises(NotReadyError, match="no weights yet"):
        OURS["plain"]().load_weights(tmp_path / "own.safetensors")


def test_a_copy_has_weights_of_its_own() -> None:
    model = with_weights(OURS["plain"](), X)
    model.predict(X, verbose=0)
    twin = copy.deepcopy(model)
    close(twin.predict(X, verbose=0), model.predict(X, verbose=0))
    twin.set_weights([weight * 0 for weight in twin.get_weights()])
    assert np.abs(model.predict(X, verbose=0)).max() > 0
    close(twin.predict(X, verbose=0), np.zeros((12, 1)))


def test_freezing_at_any_time_is_followed() -> None:
    model = with_weights(OURS["plain"](), X)
    model.compile("adam", "mse")
    for frozen in ([], [model.first], [model.first, model.row[0]], [model.row[1]]):
        for layer in (model.first, *model.row):
            layer.trainable = layer not in frozen
        before = {id(w): w.numpy() for w in model.weights}
        model.fit(X, Y, verbose=0)
        changed = [bool((before[id(w)] != w.numpy()).any()) for w in model.weights]
        assert changed == [w in model.trainable_weights for w in model.weights]
        assert model.optimizer.weights == model.trainable_weights


class Pooled(ab.Model):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool, self.head = layers.Conv2D(3, 3), layers.GlobalAveragePooling2D(), layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.head(self.pool(self.conv(x)))


def test_batches_of_many_sizes_train() -> None:
    draw = np.random.default_rng(0)
    batches = [(draw.random((4, size, 8, 3)).astype("float32"), np.ones((4, 1), "float32")) for size in (8, 9, 8, 11, 13)]
    model = Pooled()
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(iter(batches), verbose=0).history
    twin = Pooled()
    twin(batches[0][0])
    assert np.isfinite([*history["loss"], *history["mae"]]).all()
    for x, _ in batches:
        close(model.predict(x, verbose=0), model(x).detach())
    assert model._running_graph_ is not None
    assert model._running_graph_.inputs[0].shape == (None, None, 8, 3), "only what changed is left open"


def test_sizes_that_cannot_change_say_so() -> None:
    model = with_weights(OURS["plain"](), X)
    model.predict(X, verbose=0)
    with pytest.raises(AnabranchError, match=r"dense.*"):
        model.predict(X[:, :5], verbose=0)
    close(model.predict(X, verbose=0), model(X).detach())


def test_integers_reach_the_call_as_they_are() -> None:
    class Words(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = layers.Embedding(5, 3), layers.Dense(1)

        def call(self, ids: Any) -> Any:
            return self.head(self.table(ids).mean(1))

    model = Words()
    model.compile("sgd", "mse")
    ids = np.random.default_rng(0).integers(0, 5, (8, 7))
    model.fit(ids, np.ones((8, 1)), verbose=0)
    assert model.predict(ids, verbose=0).shape == (8, 1)


def test_bytes_become_floats_where_a_layer_takes_no_integers() -> None:
    model = with_weights(OURS["plain"](), X)
    pixels = (255 * X).astype("uint8")
    close(model.predict(pixels, verbose=0), model(pixels.astype("float32")).detach())


def test_it_takes_what_any_model_takes() -> None:
    class Batches(ab.utils.PyDataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            return X[index * 4 : index * 4 + 4], Y[index * 4 : index * 4 + 4]

    def losses(*data: Any, **options: Any) -> Any:
        model = with_weights(OURS["plain"](), X)
        model.compile("sgd", "mse")
        return model.fit(*data, shuffle=False, verbose=0, **options).history["loss"]

    expected = losses(X, Y, batch_size=4)
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    close(losses(Batches()), expected)
    close(losses(torch.utils.data.DataLoader(pairs, batch_size=4)), expected)
    close(losses((X[i : i + 4], Y[i : i + 4]) for i in range(0, 12, 4)), expected)
    close(losses(X.tolist(), Y.tolist(), batch_size=4), expected)
    assert Batches().num_batches == 3


def test_a_subclass_inside_a_graph_and_a_graph_inside_it() -> None:
    start = ab.Input((6,))
    inner = OURS["plain"]()
    outer = ab.Model(start, layers.Dense(2)(inner(start)))
    assert [layer.name for layer in outer.layers][1] == "plain"
    outer.compile("sgd", "mse")
    before = [weight.numpy() for weight in inner.weights]
    outer.fit(X, X[:, :2], verbose=0)
    assert all((old != weight.numpy()).any() for old, weight in zip(before, inner.weights, strict=True))
    close(outer.predict(X, verbose=0), outer(X).detach())


def test_a_model_that_trained_goes_when_it_is_dropped() -> None:
    for kind in SINGLE:
        model = with_weights(OURS[kind](), X)
        model.compile("sgd", "mse")
        model.fit(X, Y, verbose=0)
        gone = weakref.ref(model)
        del model
        gc.collect()
        assert gone() is None, kind


@pytest.mark.parametrize(
    ("kind", "use"),
    [("exported", lambda m: m.to_torch()), ("program", lambda m: engine.program(m, True))],
    ids=["exported", "program"],
)
def test_before_any_data_it_says_what_is_missing(kind: str, use: Any) -> None:
    with pytest.raises(NotReadyError, match="does not know yet what goes in"):
        use(OURS["plain"]())


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
@pytest.mark.parametrize("kind", ["flatten", "reshape", "concatenate", "methods", "comparison", "convolution", "pooling"])
def test_integers_reach_layers_that_take_floats(kind: str, dtype: str) -> None:
    """Integers that pass layers which leave them as they are become floats before a layer that takes none."""
    first = {
        "flatten": layers.Flatten, "reshape": lambda: layers.Reshape((16,)), "convolution": lambda: layers.Conv1D(2, 2),
        "pooling": layers.MaxPooling1D,
    }.get(kind, layers.Identity)()  # fmt: skip

    class Net(ab.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.flat, self.join, self.head = first, layers.Flatten(), layers.Concatenate(), layers.Dense(3)

        def call(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            if kind == "methods":
                x = x.reshape(x.shape[0], -1).flip(1)
            if kind == "comparison":
                x = x > 0
            x = self.flat(x)
            return self.head(self.join([x, x]) if kind == "concatenate" else x)

    digits = np.random.default_rng(0).integers(0, 200, (8, 4, 4)).astype(dtype)
    model = Net()
    model.compile("sgd", "mse")
    model.fit(digits, np.zeros((8, 3), "float32"), verbose=0)
    assert np.allclose(model.predict(digits, verbose=0), model(digits.astype("float32")).detach(), atol=1e-3)
