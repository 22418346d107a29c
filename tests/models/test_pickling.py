"""Models, what fit returns and torch modules go through pickle and torch.save: by data, to other processes and into files."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import equal

import anabranch as ab
from anabranch import layers
from anabranch.models import clone_model

X, Y = np.ones((4, 4), "float32"), np.ones((4, 2), "float32")


class Net(ab.Model):
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(units)

    def call(self, x: Any) -> Any:
        return self.dense(x) * 2.0


def functional() -> ab.Model:
    x = ab.Input((4,))
    return ab.Model(x, layers.Dense(2, activation="relu")(layers.BatchNormalization()(x)))


def sequential() -> ab.Model:
    return ab.Sequential([ab.Input((4,)), layers.Dense(2)])


@pytest.mark.parametrize("make", [functional, sequential, lambda: Net(2)])
def test_a_trained_model_comes_back_with_weights_and_compiled(make: Any) -> None:
    model = make()
    model.compile(ab.optimizers.SGD(0.5), "mse", metrics=["mae"])
    history = model.fit(X, Y, verbose=0)
    twin = pickle.loads(pickle.dumps(model))
    assert type(twin) is type(model)
    np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))
    assert float(twin.optimizer.learning_rate) == 0.5
    assert not set(twin.weights) & set(model.weights)
    twin.fit(X, Y, verbose=0)
    assert pickle.loads(pickle.dumps(history)).history == history.history


def test_an_unbuilt_model_comes_back_unbuilt() -> None:
    assert not pickle.loads(pickle.dumps(ab.Sequential([layers.Dense(2)]))).built
    assert pickle.loads(pickle.dumps(Net(3))).dense.units == 3


@ab.utils.register_keras_serializable("elsewhere")
class Registered(layers.Layer):
    def call(self, x: Any) -> Any:
        return x + 1


class Scaled(layers.Layer):
    def __init__(self, factor: float, function: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor, self.function, self.inner = factor, function, layers.Dense(4)

    def call(self, x: Any) -> Any:
        return self.inner(x) * self.factor


def doubled(x: Any) -> Any:
    return 2 * x


def test_classes_and_functions_of_the_users_need_no_registration() -> None:
    x = ab.Input((4,))
    model = ab.Model(x, layers.Dense(2, activation=doubled)(Registered()(Scaled(3.0)(x))))
    for twin in (pickle.loads(pickle.dumps(model)), saved(model)):
        np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))


def saved(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_what_trains_comes_back() -> None:
    model = functional()
    model.layers[-1].kernel.trainable = False
    twin = pickle.loads(pickle.dumps(model))
    assert [weight.path for weight in twin.trainable_weights] == [weight.path for weight in model.trainable_weights]
    np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))


def test_layers_weights_optimizers_and_modules_that_hold_models() -> None:
    model = functional()
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    layer = pickle.loads(pickle.dumps(model.layers[-1]))
    np.testing.assert_array_equal(layer.kernel.numpy(), model.layers[-1].kernel.numpy())
    assert (layer.name, layer._calls_, len(model.layers[-1]._calls_)) == (model.layers[-1].name, [], 1)
    weight = pickle.loads(pickle.dumps(model.weights[0]))
    assert weight.value is not model.weights[0].value
    assert equal(weight.value, model.weights[0].value)
    assert pickle.loads(pickle.dumps(model.optimizer)).iterations == model.optimizer.iterations
    net = torch.nn.Sequential(model, torch.nn.ReLU()).eval()
    x = torch.ones(2, 4)
    for twin in (pickle.loads(pickle.dumps(net)), saved(net)):
        torch.testing.assert_close(twin(x), net(x))
    net.train()
    assert pickle.loads(pickle.dumps(net))[0].training


@pytest.mark.parametrize("training", [False, True])
def test_a_torch_module_goes_through_torch_save(training: bool) -> None:
    module = functional().to_torch().train(training)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    twin = torch.load(file, weights_only=False)
    x = torch.randn(3, 4)
    torch.testing.assert_close(twin(x.to(next(module.parameters()).device)), module(x.to(next(module.parameters()).device)))
    twin.eval()(x.to(next(module.parameters()).device))


def dropping() -> ab.Model:
    x = ab.Input((4,))
    return ab.Model(x, layers.Dense(2, kernel_regularizer=Doubled(0.1))(layers.Dropout(0.3)(layers.BatchNormalization()(x))))


class Doubled(ab.regularizers.Regularizer):
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: Any) -> Any:
        return 2 * self.factor * (x * x).sum()

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor}


def trained_by_torch(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adagrad(parameters, lr=0.1)


SCHEDULE = ab.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adam": lambda: ab.optimizers.Adam(SCHEDULE, weight_decay=0.1, use_ema=True),
    "sgd": lambda: ab.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=3),
    "rmsprop": lambda: ab.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "scaled": lambda: ab.optimizers.LossScaleOptimizer(ab.optimizers.Adam(0.1), initial_scale=8.0, dynamic_growth_steps=2),
    "torch": lambda: trained_by_torch,
}
WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("way", WAYS)
def test_training_goes_on_as_if_nothing_had_happened(way: str, optimizer: str) -> None:
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    y = np.ones((8, 2), "float32")
    model = dropping()
    model.compile(OPTIMIZERS[optimizer](), "mse", metrics=["mae"])
    if optimizer == "adam":
        model.optimizer.exclude_from_weight_decay([model.layers[-1].kernel], ["gamma"])
    model.fit(x, y, batch_size=4, epochs=2, verbose=0)
    twin = WAYS[way](model)
    found = []
    for each in (model, twin):
        ab.utils.set_random_seed(3)
        history = each.fit(x, y, batch_size=4, epochs=2, verbose=0).history
        found.append((history, each.get_weights(), int(each.optimizer.iterations)))
    (history, weights, iterations), (theirs, their_weights, their_iterations) = found
    assert (history, iterations) == (theirs, their_iterations)
    for one, two in zip(weights, their_weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_torch_functions_and_modules_in_a_graph() -> None:
    x = ab.Input((4,))
    linear = torch.nn.Linear(4, 4)
    scale = torch.nn.Parameter(torch.full((4,), 3.0))
    y = torch.nn.functional.softmax(torch.relu(linear(linear(x))) * scale, dim=-1)
    model = ab.Model(x, layers.Dense(2)(torch.where(y > 0.2, y, x).permute(0, 1)))
    twin = pickle.loads(pickle.dumps(model))
    assert not model.diff(twin)
    assert len(twin.weights) == len(model.weights)
    np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))


def lambdas() -> ab.Model:
    x = ab.Input((4,))
    return ab.Model(x, layers.Lambda(lambda value: value * 2)(x))


def test_what_pickle_would_not_find_again_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("cloudpickle", "dill"):
        monkeypatch.delitem(sys.modules, package, raising=False)
    with pytest.raises(TypeError, match=r"'functional' cannot be pickled: it holds a lambda.*\n.*test_pickling\.py:\d+"):
        pickle.dumps(lambdas())
    model = functional()
    for thing in (model.output, model.graph, model.output.node):
        with pytest.raises(TypeError, match=r"cannot be pickled by itself[^$]*pickle\.dumps\(Model\(inputs, outputs\)\)"):
            pickle.dumps(thing)
        assert type(copy.deepcopy(thing)) is type(copy.copy(thing)) is type(thing)


def test_cloudpickle_carries_lambdas() -> None:
    cloudpickle = pytest.importorskip("cloudpickle", reason="cloudpickle is in no extra")
    model = lambdas()
    np.testing.assert_array_equal(pickle.loads(cloudpickle.dumps(model)).predict(X, verbose=0), 2 * X)


def test_joblib(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib", reason="joblib is in no extra")
    model = functional()
    joblib.dump(model, tmp_path / "model.joblib")
    twin = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))


def test_the_rest_of_what_compile_takes_and_fit_gives() -> None:
    schedules = ab.optimizers.schedules
    things = [
        ab.losses.MeanSquaredError(name="a"), ab.initializers.GlorotUniform(seed=3), ab.regularizers.L2(0.25),
        ab.constraints.MaxNorm(2.0), schedules.CosineDecay(0.1, 10), ab.callbacks.EarlyStopping(patience=3),
        ab.callbacks.ReduceLROnPlateau(), ab.callbacks.CSVLogger("log.csv"), ab.dtype_policies.DTypePolicy("mixed_bfloat16"),
    ]  # fmt: skip
    for thing in things:
        for twin in (pickle.loads(pickle.dumps(thing)), copy.deepcopy(thing)):
            assert repr(twin) == repr(thing) or type(twin) is type(thing)
            assert not hasattr(thing, "get_config") or twin.get_config() == thing.get_config()
    metric = ab.metrics.AUC()
    metric.update_state([0, 1, 0], [0.1, 0.4, 0.6])
    assert pickle.loads(pickle.dumps(metric)).result() == copy.deepcopy(metric).result() == metric.result()
    source = ab.Input((4,)).node.operation
    assert pickle.loads(pickle.dumps(source)).get_config() == source.get_config()


PROGRAM = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import anabranch as ab

X, Y = np.ones((4, 4), "float32"), np.ones((4, 2), "float32")

def predicted(model):
    model.fit(X, Y, verbose=0)
    return model.predict(X, verbose=0), model

if __name__ == "__main__":
    model = ab.Sequential([ab.Input((4,)), ab.layers.Dense(2)])
    model.compile("adam", "mse")
    with ProcessPoolExecutor(1, multiprocessing.get_context(sys.argv[1])) as pool:
        values, twin = pool.submit(predicted, model).result()
    assert (twin.predict(X, verbose=0) == values).all()
    assert (int(twin.optimizer.iterations), int(model.optimizer.iterations)) == (1, 0)
    assert (predicted(model)[0] == values).all()
"""


@pytest.mark.on_cpu
@pytest.mark.parametrize("start", ["spawn", "forkserver"])
def test_other_processes(start: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(program), start], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: clone_model(model, weights="copied")])
def test_copies_compute_with_parameters_of_their_own(copied: Any) -> None:
    x = ab.Input((4,))
    scale = torch.nn.Parameter(torch.full((4,), 3.0))
    model = ab.Model(x, x * scale)
    twin = copied(model)
    with torch.no_grad():
        scale.mul_(2)
    np.testing.assert_array_equal(twin.predict(X, verbose=0), 3 * X)
    twin.weights[0].assign(np.zeros(4))
    np.testing.assert_array_equal(twin.predict(X, verbose=0), 0 * X)
    np.testing.assert_array_equal(model.predict(X, verbose=0), 6 * X)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_by_cloudpickle(tmp_path: Path) -> None:
    pyfunc = pytest.importorskip("mlflow.pyfunc", reason="mlflow is in no extra")

    class Predictor(pyfunc.PythonModel):  # type: ignore[misc]  # whose class is known where mlflow is installed
        def __init__(self, model: ab.Model) -> None:
            self.model = model

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return self.model.predict(np.asarray(model_input, "float32"), verbose=0)

    model = lambdas()
    pyfunc.save_model(str(tmp_path / "model"), python_model=Predictor(model), pip_requirements=[])
    np.testing.assert_array_equal(pyfunc.load_model(str(tmp_path / "model")).predict(X), 2 * X)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_of_torch(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow.pytorch", reason="mlflow is in no extra")
    model = functional()
    mlflow.save_model(model.to_torch(), str(tmp_path / "model"), serialization_format="pickle", pip_requirements=[])
    again = mlflow.load_model(str(tmp_path / "model"))
    with torch.no_grad():
        np.testing.assert_allclose(again(torch.from_numpy(X)).cpu().numpy(), model.predict(X, verbose=0), atol=1e-6)


def test_layers_that_copy_others_share_no_objects_by_mistake(tmp_path: Path) -> None:
    drawn, inputs = ab.initializers.RandomNormal(seed=3), ab.Input((5, 3))
    x = layers.Dense(3, kernel_initializer=drawn, name="first")(inputs)
    x = layers.Bidirectional(layers.LSTM(4, kernel_initializer=drawn, recurrent_initializer=drawn))(x)
    model = ab.Model(inputs, layers.Dense(2, kernel_initializer=drawn)(x))
    model.save(tmp_path / "a.keras")
    expected = model.predict(np.ones((2, 5, 3)))
    for found in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), ab.models.load_model(tmp_path / "a.keras")):
        np.testing.assert_array_equal(found.predict(np.ones((2, 5, 3))), expected)
        assert found.get_layer("first").kernel_initializer is found.layers[-1].kernel_initializer


@pytest.mark.parametrize("make", [layers.Normalization, lambda: layers.Normalization(mean=1.0, variance=4.0)])
def test_a_layer_with_statistics_goes_through_pickle(make: Callable[[], layers.Layer]) -> None:
    layer = make()
    if layer.input_mean is None:
        layer.adapt(X)
    expected = layer(X)
    assert equal(pickle.loads(pickle.dumps(layer))(X), expected)
