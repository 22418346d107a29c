"""Every row of the table of all layers through every cross-cutting check: rules, running, gradients, files, real Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import here, tolerated
from every_layer import CASES, HELPERS, Case

import anabranch as ab
from anabranch import Model, _tree, engine, insight, layers, runtime
from anabranch.graph import Weight
from anabranch.graph.shapes import same

RUN = [pytest.param(case, id=case.name) for case in CASES if case.inputs]
ORACLE = [pytest.param(case, id=case.name) for case in CASES if case.inputs and case.oracle]


# Making a row's layer, data and model


def make(case: Case, **more: Any) -> Any:
    layer = getattr(layers, case.make)(**case.config, **more)
    if case.prepare is not None:
        case.prepare(layer)
    return layer


def symbolic(case: Case, shapes: list[Any] | None = None, dtype: str | None = None) -> Any:
    tensors = [ab.Input(shape[1:], dtype=dtype or case.dtype) for shape in shapes or case.inputs]
    return tensors if case.as_list else tensors[0]


def build(case: Case, seed: int = 0) -> tuple[Any, Model]:
    """Return the layer with drawn weights, and a model of it alone."""
    layer, inputs = make(case), symbolic(case)
    model = Model(inputs, case.call(layer, inputs), name="alone")
    draw_weights(layer, seed)
    return layer, model


def draw_weights(layer: Any, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        if "float" not in weight.dtype:
            continue
        values = 0.4 * rng.normal(size=weight.shape)
        if "variance" in weight.name:
            values = np.abs(values) + 0.5
        elif weight.name == "gamma":
            values = 1 + values
        weight.assign(values.astype("float32"))


def draw(case: Case, batch: int = 3, seed: int = 1, unknown: int = 6) -> Any:
    """Return arrays for the row's inputs; other unknown sizes than the batch become ``unknown``."""
    rng = np.random.default_rng(seed)
    arrays = []
    for shape in case.inputs:
        sizes = (batch, *(unknown if size is None else size for size in shape[1:]))
        if "int" in case.dtype:
            arrays.append(rng.integers(0, case.int_input_max, sizes).astype(case.dtype))
        elif case.positive:
            arrays.append((rng.random(sizes) + 0.1).astype(case.dtype))
        else:
            arrays.append(rng.normal(size=sizes).astype(case.dtype))
    return arrays if case.as_list else arrays[0]


def tensors(nest: Any, *, gradients: bool = False) -> Any:
    return _tree.map_leaves(lambda a: torch.tensor(a, requires_grad=gradients and a.dtype.kind == "f"), nest)


def flat(nest: Any) -> list[Any]:
    return _tree.leaves(nest)


def close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    scale = max(1.0, float(np.abs(theirs).max(initial=0)))
    assert float(np.abs(ours.astype("float64") - theirs).max(initial=0)) <= tolerated(tolerance) * scale


def numbers(nest: Any) -> list[np.ndarray]:
    return [leaf.detach().cpu().to(torch.float32).numpy() for leaf in flat(nest)]


def calm(case: Case) -> dict[str, Any]:
    """Return the call's further arguments, outside training: layers that augment would do so when called directly."""
    return {"training": False, **case.extra} if case.random or case.still else case.extra


# Ours against itself


@pytest.mark.parametrize("case", RUN)
def test_shape_rule_says_what_running_gives(case: Case) -> None:
    layer = make(case)
    specs = flat(case.call(layer, symbolic(case)))
    for batch in (1, 3):
        results = flat(case.call(layer, draw(case, batch), **calm(case)))
        assert len(specs) == len(results)
        for spec, result in zip(specs, results, strict=True):
            assert same(spec.shape, tuple(result.shape)), (spec.shape, tuple(result.shape))
            assert spec.dtype == str(result.dtype).removeprefix("torch.")
            known = [shape for given in case.inputs for shape in given[1:]]
            if None not in known:
                assert None not in spec.shape[1:], "every size follows from sizes that are known"


@pytest.mark.parametrize("case", [param for param in RUN if param.values[0].unknown])
def test_unknown_sizes_stay_unknown_and_run(case: Case) -> None:
    for shapes in case.unknown:
        inputs = symbolic(case, shapes)
        layer = make(case)
        model = Model(inputs, case.call(layer, inputs))
        specs = flat(model.outputs)
        for batch in (1, 2):
            given = draw(case, batch)
            results = flat(model(given))
            again = flat(case.call(layer, given, **calm(case)))
            for spec, result, eager in zip(specs, results, again, strict=True):
                assert same(spec.shape, tuple(result.shape)), (shapes, spec.shape, tuple(result.shape))
                close(numbers(result)[0], numbers(eager)[0])


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("case", RUN)
def test_eager_equals_lowered_equals_torch_module(case: Case, training: bool) -> None:
    layer, model = build(case)
    before = layer.get_weights()
    given = draw(case)
    module = model.to_torch().train(training)

    def eager() -> Any:
        return case.call(layer, given, training=training)

    def lowered() -> Any:
        return model(given, training=training)

    def plain() -> Any:
        return module(*(tensor.to(here()) for tensor in tensors(flat(given))))

    results = []
    for way in (eager, lowered, plain):
        layer.set_weights(before)
        torch.manual_seed(0)
        results.append((numbers(way()), layer.get_weights()))
    (expected, state), *others = results
    for found, found_state in others:
        for a, b in zip(found, expected, strict=True):
            if case.random and training:
                assert a.shape == b.shape
            else:
                close(a, b)
        for a, b in zip(found_state, state, strict=True):
            close(a, b)


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("case", RUN)
def test_traced_code_is_torch_alone(case: Case, training: bool) -> None:
    _, model = build(case)
    nodes = engine.program(model, training).module.graph.nodes
    assert [node.target for node in nodes if node.op == "call_module"] == []
    ours = [node.target for node in nodes if "anabranch" in str(getattr(node.target, "__module__", ""))]
    assert ours == []


@pytest.mark.parametrize("case", [param for param in RUN if param.values[0].random])
def test_random_only_in_training(case: Case) -> None:
    _, model = build(case)
    given = draw(case, batch=16)
    still = [numbers(model(given, training=False)) for _ in range(2)]
    wild = [numbers(model(given, training=True)) for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(*still, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(*wild, strict=True))


@pytest.mark.parametrize("case", RUN)
def test_gradients_flow_alike_through_layer_and_program(case: Case) -> None:
    layer, model = build(case)
    by_layer = gradients_of(case, layer, lambda given: case.call(layer, given, **calm(case)))
    by_model = gradients_of(case, layer, model)
    assert len(by_layer) == len(by_model)
    for a, b in zip(by_layer, by_model, strict=True):
        close(a, b)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_config_round_trip(case: Case) -> None:
    layer = make(case, name="named") if "name" not in case.config else make(case)
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    assert again.name == layer.name
    if not case.inputs:
        return
    given = draw(case)
    case.call(layer, symbolic(case))
    case.call(again, symbolic(case))
    assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]
    draw_weights(layer)
    again.set_weights(layer.get_weights())
    for a, b in zip(
        numbers(case.call(layer, given, **calm(case))), numbers(case.call(again, given, **calm(case))), strict=True
    ):
        close(a, b)


@pytest.mark.parametrize("case", RUN)
def test_weights_round_trip_through_a_file(case: Case, tmp_path: Path) -> None:
    layer, model = build(case)
    before = layer.get_weights()
    model.save_weights(tmp_path / "saved.safetensors")
    other, other_model = build(case, seed=5)
    other_model.load_weights(tmp_path / "saved.safetensors")
    for a, b in zip(other.get_weights(), before, strict=True):
        assert np.array_equal(a, b)
        assert a.dtype == b.dtype


@pytest.mark.parametrize("case", RUN)
def test_summary_shows_it(case: Case) -> None:
    layer, model = build(case)
    row = next(row for row in insight.summarise(model).rows if row.kind == type(layer).__name__)
    assert row.params == sum(w.size for w in layer.weights)
    assert row.shapes == [tensor.shape for tensor in flat(layer.output)]
    assert len(row.connected_to) == len(case.positional or case.inputs)
    assert f"{row.name} ({case.make})" in insight.summarise(model).text()


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("case", [param for param in RUN if param.values[0].other_dtypes])
def test_other_float_types(case: Case, dtype: str) -> None:
    layer = make(case, dtype=dtype)
    integers = "int" in case.dtype
    inputs = symbolic(case, dtype=None if integers else dtype)
    model = Model(inputs, case.call(layer, inputs))
    assert all(w.dtype == dtype for w in layer.weights if "float" in w.dtype)
    for spec, result in zip(model.outputs, flat(model(draw(case))), strict=True):
        assert spec.dtype == str(result.dtype).removeprefix("torch.") == dtype
        assert torch.isfinite(result).all()


# Ours against real Keras


def gradients_of(case: Case, layer: Any, function: Any) -> list[np.ndarray]:
    """Return outputs, and gradients of a fixed random projection with respect to inputs and trainable weights."""
    given = tensors(draw(case), gradients=case.gradient)
    outputs = flat(function(given))
    found = numbers(outputs)
    leaves = [leaf for leaf in flat(given) if leaf.requires_grad]
    weights = [w for w in layer.trainable_weights if w.value.requires_grad] if case.gradient else []
    if not leaves and not weights:
        return found
    rng = np.random.default_rng(7)
    drawn = [torch.from_numpy(rng.normal(size=out.shape).astype("float32")).to(out.device) for out in outputs]
    loss = sum((out.float() * factors).sum() for out, factors in zip(outputs, drawn, strict=True))
    grads = torch.autograd.grad(loss, [*leaves, *(w.value for w in weights)], allow_unused=True)
    wanted = [*leaves, *(w.value for w in weights)]
    grads = [torch.zeros_like(x) if g is None else g for g, x in zip(grads, wanted, strict=True)]
    shown = [_in_keras_order(w, g) for w, g in zip(weights, grads[len(leaves) :], strict=True)]
    return [*found, *numbers([*grads[: len(leaves)], *shown])]


def _in_keras_order(weight: Any, gradient: torch.Tensor) -> torch.Tensor:
    return weight.from_native(gradient) if isinstance(weight, Weight) else gradient


def oracle(keras: Any, case: Case, ours: Any) -> Any:
    """Return Keras's layer with the weights of ours."""
    theirs = case.keras_make() if case.keras_make else getattr(keras.layers, case.make)(**case.config)
    if case.prepare is not None:
        case.prepare(theirs)
    shapes = [tuple(1 if n is None and i == 0 else n for i, n in enumerate(shape)) for shape in case.inputs]
    if not theirs.built:
        theirs.build(*case.arguments(shapes if case.as_list else shapes[0]))
    assert [tuple(w.shape) for w in theirs.weights] == [w.shape for w in ours.weights]
    assert [w.name for w in theirs.weights] == [w.name for w in ours.weights]
    assert [w.trainable for w in theirs.weights] == [w.trainable for w in ours.weights]
    theirs.set_weights(ours.get_weights())
    return theirs


@pytest.mark.parametrize("case", ORACLE)
def test_equals_keras(keras: Any, case: Case) -> None:
    ours, model = build(case)
    theirs = oracle(keras, case, ours)
    expected = gradients_of(case, theirs, lambda given: case.call(theirs, given, **calm(case)))
    found = gradients_of(case, ours, model)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        close(a, b, case.tolerance)
    symbols = [keras.Input(shape[1:], dtype=case.dtype) for shape in case.inputs]
    rule = flat(case.call(theirs, symbols if case.as_list else symbols[0]))
    assert [tuple(tensor.shape) for tensor in rule] == [tensor.shape for tensor in model.outputs]


@pytest.mark.parametrize("case", [param for param in ORACLE if param.values[0].training_state])
def test_training_call_equals_keras(keras: Any, case: Case) -> None:
    ours, model = build(case)
    theirs = oracle(keras, case, ours)
    for _ in range(2):
        expected = gradients_of(case, theirs, lambda given: case.call(theirs, given, training=True))
        found = gradients_of(case, ours, lambda given: model(given, training=True))
        for a, b in zip(found, expected, strict=True):
            close(a, b, case.tolerance)
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            close(a, b, case.tolerance)


# The table itself


def test_every_public_layer_has_a_row() -> None:
    found = (getattr(layers, name) for name in dir(layers) if name[0].isupper() and name not in HELPERS)
    public = {cls.__name__ for cls in found if isinstance(cls, type) and issubclass(cls, layers.Layer)}
    assert public - {case.make for case in CASES} == set(), "give these a row in tests/every_layer.py"
    assert {case.make for case in CASES} - public == set()


def test_helpers_are_still_there() -> None:
    assert [name for name in HELPERS if not hasattr(layers, name)] == []


def test_row_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert [case.name for case in CASES if not case.oracle and not case.reason] == [], "say why Keras is no oracle"


def test_recording_state_is_clean() -> None:
    assert not runtime.is_tracing()
    assert not runtime.is_training()
