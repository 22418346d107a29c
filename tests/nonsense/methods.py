"""What models, layers, metrics and optimizers are asked besides calls and training: torch's methods, states, configs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from nonsense.layers import dense
from nonsense.models import small
from nonsense.target import Target, function, method
from small_model import data, made

import anabranch as ab
from anabranch import callbacks as hooks, layers, mixed_precision, optimizers as rules

TORCH: dict[str, Any] = {
    "buffers": dict, "cuda": None, "load_state_dict": lambda thing: {"state_dict": thing.state_dict()}, "named_buffers": dict,
    "named_modules": dict, "named_parameters": dict, "parameters": dict, "requires_grad_": dict, "state_dict": dict,
    "train": dict, "zero_grad": dict,
}  # fmt: skip


RATE = {"initial_learning_rate": 0.1, "decay_steps": 5}


def _listed(result: Any) -> Any:
    return result if isinstance(result, (dict, layers.Layer)) or not hasattr(result, "__iter__") else list(result)


def torch_members() -> Iterator[Target]:
    """Yield the methods that layers and models have of torch's modules."""
    for word, make in (("layers.Layer", dense), ("Model", small)):
        for name, right in TORCH.items():
            if right is None:
                continue

            def call(name: str = name, make: Any = make, **given: Any) -> Any:
                return _listed(getattr(make(), name)(**given))

            given = right if right is dict else (lambda right=right, make=make: right(make()))
            yield Target(f"{word}.{name}", call, given, method(f"x.{name}", make).arguments)
        for name in ("dtype", "device"):
            yield Target(f"{word}.to", lambda make=make, **given: make().to(**given), lambda: {"dtype": torch.float32}, (name,))
        yield Target(f"{word}.to", lambda make=make, **given: make().to(given["dtype"]), lambda: {"dtype": "cpu"}, ("dtype",))


def states() -> Iterator[Target]:
    """Yield what is adapted, added, reset, loaded and read from configs."""
    yield method("layers.Normalization.adapt", layers.Normalization, lambda: {"data": np.ones((3, 2), "float32")})
    yield method("layers.Layer.add_weight", layers.Layer, lambda: {"shape": (2,)})
    for name, kind, given in (
        ("losses.Loss", ab.losses.Huber, {}), ("metrics.Metric", ab.metrics.AUC, {}), ("optimizers.Optimizer", rules.SGD, {}),
        ("initializers.Initializer", ab.initializers.HeNormal, {}), ("regularizers.Regularizer", ab.regularizers.L2, {}),
        ("constraints.Constraint", ab.constraints.MaxNorm, {}),
        ("optimizers.schedules.LearningRateSchedule", rules.schedules.CosineDecay, RATE),
        ("dtype_policies.DTypePolicy", ab.dtype_policies.DTypePolicy, {"name": "float32"}),
    ):  # fmt: skip
        right = lambda kind=kind, given=given: {"config": kind(**given).get_config()}  # noqa: E731
        yield function(f"{name}.from_config", kind.from_config, right)
    yield method("Sequential.from_config", ab.Sequential, lambda: {"config": ab.Sequential([layers.Dense(2)]).get_config()})
    yield method("metrics.Metric.add_weight", ab.metrics.Mean, lambda: {"shape": (2,), "initializer": "zeros"})
    yield method("metrics.Metric.add_variable", ab.metrics.Mean, lambda: {"shape": (2,), "initializer": "zeros"})

    def trained() -> Any:
        model = made(ab)
        model.fit(*data(4), verbose=0)
        return model

    loaded = lambda: {"state": trained().optimizer.state_dict()}  # noqa: E731
    yield method("optimizers.Optimizer.load_state_dict", lambda: trained().optimizer, loaded)
    yield method("optimizers.Optimizer.load_state_dict", rules.Adam, lambda: {"state": rules.Adam().state_dict()})
    for name, kind in (
        ("optimizers.Optimizer", rules.AdamW),
        ("mixed_precision.LossScaleOptimizer", lambda: mixed_precision.LossScaleOptimizer(rules.AdamW())),
    ):
        yield method(f"{name}.exclude_from_weight_decay", kind)
        yield method(f"{name}.scale_loss", kind, lambda: {"loss": torch.ones(())})
    yield from of_optimizers()
    yield method("optimizers.Optimizer.save_own_variables", rules.SGD, lambda: {"store": {}})
    yield method("optimizers.Optimizer.load_own_variables", rules.SGD, lambda: {"store": {"0": 1, "1": 0.5}})
    yield method("optimizers.Optimizer.set_weights", rules.SGD, lambda: {"weights": [1, 0.5]})
    scaled = lambda: mixed_precision.LossScaleOptimizer(rules.SGD())  # noqa: E731
    yield method("mixed_precision.LossScaleOptimizer.build", scaled, lambda: {"weights": dense().trainable_weights})
    weights = lambda: {"var_list": dense().trainable_weights}  # noqa: E731
    yield method("mixed_precision.LossScaleOptimizer.finalize_variable_values", scaled, weights)
    state = lambda: {"state": scaled().state_dict()}  # noqa: E731
    yield method("mixed_precision.LossScaleOptimizer.load_state_dict", scaled, state)
    yield method("callbacks.Callback.set_model", hooks.EarlyStopping, lambda: {"model": made(ab)})
    yield method("callbacks.Callback.set_state", hooks.EarlyStopping, lambda: {"state": hooks.EarlyStopping().get_state()})
    yield method("random.SeedGenerator.next", ab.random.SeedGenerator, lambda: {"ordered": True})
    yield function("random.SeedGenerator.from_config", ab.random.SeedGenerator.from_config, lambda: {"config": {"seed": 3}})
    yield method("metrics.Metric.stateless_result", ab.metrics.Mean, lambda: {"metric_variables": [1.0, 2.0]})
    yield method(
        "metrics.Metric.stateless_update_state",
        ab.metrics.BinaryIoU,
        lambda: {"metric_variables": [np.zeros((2, 2))], "y_true": [1], "y_pred": [0.5]},
    )
    yield method("callbacks.Callback.set_params", hooks.EarlyStopping, lambda: {"params": {"epochs": 1}})


def of_optimizers() -> Iterator[Target]:
    """Yield what optimizers of Keras's protocol call, and what a kind of optimizer says of its arithmetic."""

    def built() -> Any:
        optimizer = rules.SGD(0.1)
        optimizer.build(dense().trainable_weights)
        return optimizer

    weight = lambda: dense().trainable_weights[0]  # noqa: E731
    one, many = rules.SGD, rules.Muon
    for name, right in (
        ("add_variable", lambda: {"shape": (2,), "initializer": "zeros", "dtype": None, "aggregation": "none", "name": None}),
        ("add_variable_from_reference", lambda: {"reference_variable": weight(), "name": None, "initializer": "zeros"}),
        ("add_optimizer_variables", lambda: {"trainable_variables": [weight()], "name": "m", "initializer": "zeros"}),
        ("assign", lambda: {"variable": weight(), "value": np.zeros((3, 2))}),
        ("assign_add", lambda: {"variable": weight(), "value": 0.0}),
        ("assign_sub", lambda: {"variable": weight(), "value": 0.0}),
        ("finalize_variable_values", lambda: {"var_list": [weight()]}),
    ):
        yield method(f"optimizers.Optimizer.{name}", one, right)
    yield method("optimizers.MultiOptimizer.finalize_variable_values", lambda: several(), lambda: {"var_list": [weight()]})
    yield method("optimizers.MultiOptimizer.exclude_from_weight_decay", lambda: several())
    yield method("optimizers.MultiOptimizer.build", lambda: several(), lambda: {"weights": [weight()]})
    yield method(
        "optimizers.Optimizer.stateless_apply",
        built,
        lambda: {
            "optimizer_variables": [0, 0.1],
            "grads": [torch.ones(3, 2), torch.ones(2)],
            "trainable_variables": built().weights,
        },
    )
    yield method("optimizers.Muon.is_orthogonal", many, lambda: {"weight": weight()})


def several() -> Any:
    """Return a MultiOptimizer."""
    return rules.MultiOptimizer(rules.OptimizerMap(rules.SGD(0.1)))


def asked() -> Iterator[Target]:
    """Yield what is asked of a model's structure, and the parts of a custom step."""
    yield method("Model.view", small, lambda: {"path": os.devnull, "open": False, "compare": small(), "probe": None})
    yield method("Model.apply", small, lambda: {"fn": lambda module: None})
    yield method("Model.diff", small, lambda: {"other": small()})
    yield method("Model.same_function", small, lambda: {"other": small()})
    yield method("Model.cost", small, lambda: {"batch": 2, "input_shape": None, "dtype": None, "optimizer": None})
    yield method("Model.lint", lambda: made(ab), lambda: {"x": data(4)[0], "y": data(4)[1], "ignore": (), "select": ()})
    yield method("Model.explain_execution", small)
    yield method("Model.quantize", small, lambda: {"mode": "int8", "config": None, "filters": None, "type_check": True})
    yield method("Model.select", small, lambda: {"selector": "body"})
    yield method("Model.get_state_tree", small, more=("value_format",))
    yield method("Model.set_state_tree", small, lambda: {"state_tree": small().get_state_tree()})
    yield method("Model.tensor", small, lambda: {"path": "body"})
    x, y = (torch.from_numpy(each) for each in data(4))
    yield method("Model.test_step", lambda: made(ab), lambda: {"data": (x, y)})
    yield method("Model.predict_step", lambda: made(ab), lambda: {"data": (x,)})
    yield method("Model.compute_metrics", lambda: made(ab), lambda: {"x": x, "y": y, "y_pred": y})
    sequential = lambda: ab.Sequential([layers.Dense(2)])  # noqa: E731
    yield method("Sequential.pop", sequential)
    yield method("Model.build_from_config", sequential, lambda: {"config": {"input_shape": (None, 4)}})
    yield method("Model.compile_from_config", small, lambda: {"config": made(ab).get_compile_config()})
    yield method("Sequential.build", sequential, lambda: {"input_shape": (None, 4)})
    yield method("Sequential.compute_output_shape", sequential, lambda: {"input_shape": (None, 4)})
    yield method("Sequential.compute_output_spec", sequential, lambda: {"inputs": ab.Input((4,))})
