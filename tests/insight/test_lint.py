"""Every rule finds its mistake and stays silent beside it; what it says of known architectures is right."""

from __future__ import annotations

import gc
import json
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import known_models
import numpy as np
import pytest
from every_layer import CASES, Case as LayerCase
from random_graphs import Built, build, sketch_of

import anabranch as keras
from anabranch import Input, Model, Sequential, _tree, config, layers, losses, ops
from anabranch.insight.linting import rules
from anabranch.insight.linting.program import Program
from anabranch.insight.linting.structure import duplicate_subgraph
from anabranch.insight.linting.values import ranges_of

Case = Callable[[], Model]


def image(size: int = 16) -> keras.graph.Tensor:
    return Input((size, size, 3), name="image")


def vector(size: int = 8, name: str = "x") -> keras.graph.Tensor:
    return Input((size,), name=name)


def quiet(model: Model, loss: object) -> Model:
    """Compile without the warning that a finding is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.compile("sgd", loss)
    return model


def ended(activation: str | None, loss: object, units: int = 4) -> Model:
    x = vector()
    return quiet(Model(x, layers.Dense(units, activation=activation, name="out")(x)), loss)


def unused() -> Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Model
        x = vector()
        return Model([x, vector(3, "unused")], layers.Dense(2)(x))


def nested(both: bool) -> Model:
    inside = vector()
    inner = Model(inside, [layers.Dense(2, name="used")(inside), layers.Dense(3, name="vain")(inside)], name="inner")
    x = vector()
    used, vain = inner(x)
    return Model(x, layers.Concatenate()([used, vain]) if both else layers.Dense(1)(used))


def twice(same: bool) -> Model:
    x = vector()
    dense = layers.Dense(4, name="dense")
    other = dense if same else layers.Dense(4, name="other")
    return Model(x, layers.Concatenate()([layers.ReLU()(dense(x)), layers.ReLU()(other(x))]))


def rectified_twice(slope: float) -> Model:
    x = vector()
    return Model(x, layers.Concatenate()([layers.ReLU()(x), layers.ReLU(negative_slope=slope)(x)]))


def combined(shape: tuple[int, ...], other: tuple[int, ...]) -> Model:
    a, b = Input(shape, name="a"), Input(other, name="b")
    return Model([a, b], a - b)


def joined(left: str | None, right: str | None) -> Model:
    x = image()
    a = layers.Conv2D(4, 3, padding="same", activation=left, name="left")(x)
    b = layers.Conv2D(4, 1, activation=right, name="right")(x)
    return Model(x, layers.ReLU()(layers.Add(name="join")([a, b])))


def residual(last: str | None) -> Model:
    x = image()
    start = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(start)
    y = layers.Conv2D(4, 3, padding="same", activation=last, name="last")(y)
    return Model(x, layers.Add(name="join")([y, start]))


def two_outputs(loss: object) -> Model:
    x = vector()
    a = layers.Dense(2, name="a")(x)
    return quiet(Model(x, {"a": a, "b": layers.Dense(3, name="b")(layers.Dense(4, name="before_b")(x))}), loss)


def through(function: Callable[[keras.graph.Tensor], keras.graph.Tensor], beside: bool = False) -> Model:
    x = vector()
    hidden = layers.Dense(4, name="hidden")(x)
    passed = ops.cast(function(hidden), "float32")
    y = layers.Concatenate()([passed, hidden]) if beside else passed
    return quiet(Model(x, layers.Dense(2, name="out")(y)), "mse")


def of_hidden(function: Callable[[keras.graph.Tensor], keras.graph.Tensor]) -> Model:
    x = vector()
    return Model(x, layers.Dense(2)(function(layers.Dense(4, name="hidden")(x))))


def activated(first: str | None, second: str) -> Model:
    return of_hidden(lambda h: layers.Activation(second, name="second")(layers.Activation(first)(h)))


def normalized(bias: bool, between: str | None = None) -> Model:
    x = image()
    y = layers.Conv2D(4, 3, use_bias=bias, activation=between, name="conv")(x)
    return Model(x, layers.BatchNormalization()(y))


def dropped(before: bool) -> Model:
    x = image()
    y = layers.Conv2D(4, 3, use_bias=False)(x)
    chain = [layers.Dropout(0.5, name="dropout"), layers.BatchNormalization(), layers.ReLU()]
    for layer in chain if before else [*chain[1:], chain[0]]:
        y = layer(y)
    return Model(x, y)


# code -> what it finds at which path; what is right beside it
CASES_OF: dict[str, tuple[str, list[Case], list[Case]]] = {
    "AB101": ("unused", [unused], [lambda: combined((2,), (2,))]),
    "AB102": ("inner/vain", [lambda: nested(False)], [lambda: nested(True)]),
    "AB103": (
        "re_lu_1",
        [lambda: twice(True), lambda: rectified_twice(0.0)],
        [lambda: twice(False), lambda: rectified_twice(0.1)],
    ),
    "AB104": (
        "subtract",
        [lambda: combined((), (1,)), lambda: combined((4,), (3, 4))],
        [lambda: combined((1,), (4,)), lambda: combined((4,), (4,)), lambda: combined((5, 1), (1, 4))],
    ),
    "AB105": (
        "join",
        [lambda: joined("relu", None)],
        [lambda: joined(None, None), lambda: joined("relu", "relu"), lambda: residual(None), lambda: residual("relu")],
    ),
    "AB106": ("join", [lambda: residual("relu")], [lambda: residual(None), lambda: joined("relu", "relu")]),
    "AB201": (
        "out",
        [
            lambda: ended("softmax", losses.SparseCategoricalCrossentropy(from_logits=True)),
            lambda: ended("sigmoid", losses.BinaryCrossentropy(from_logits=True)),
        ],
        [
            lambda: ended(None, losses.SparseCategoricalCrossentropy(from_logits=True)),
            lambda: ended("softmax", "sparse_categorical_crossentropy"),
            lambda: ended("softmax", "mse"),
        ],
    ),
    "AB202": (
        "out",
        [
            lambda: ended(None, "sparse_categorical_crossentropy"),
            lambda: ended("relu", "categorical_crossentropy"),
            lambda: ended(None, "binary_crossentropy", 1),
        ],
        [
            lambda: ended("softmax", "sparse_categorical_crossentropy"),
            lambda: ended("sigmoid", "binary_crossentropy"),
            lambda: ended(None, losses.CategoricalCrossentropy(from_logits=True)),
            lambda: ended(None, "mse"),
        ],
    ),
    "AB203": ("out", [lambda: ended("softmax", "mse", 1)], [lambda: ended("softmax", "mse", 2)]),
    "AB204": (
        "out",
        [lambda: ended("sigmoid", "sparse_categorical_crossentropy", 1)],
        [lambda: ended("sigmoid", "binary_crossentropy", 1), lambda: ended("softmax", "categorical_crossentropy", 2)],
    ),
    "AB205": (
        "out",
        [lambda: ended("sigmoid", "categorical_crossentropy"), lambda: ended("sigmoid", "sparse_categorical_crossentropy")],
        [lambda: ended("sigmoid", "binary_crossentropy"), lambda: ended("sigmoid", "categorical_crossentropy", 1)],
    ),
    "AB206": (
        "out",
        [lambda: ended("softmax", "binary_crossentropy")],
        [lambda: ended("softmax", "categorical_crossentropy"), lambda: ended("sigmoid", "binary_crossentropy")],
    ),
    "AB301": (
        "before_b",
        [lambda: two_outputs({"a": "mse"})],
        [lambda: two_outputs({"a": "mse", "b": "mae"}), lambda: two_outputs("mse")],
    ),
    "AB302": (
        "round",
        [lambda: through(ops.round)],
        [lambda: through(ops.relu), lambda: through(ops.round, beside=True)],
    ),
    "AB303": (
        "multiply",
        [lambda: of_hidden(lambda h: h * 0.0), lambda: of_hidden(lambda h: h * ops.zeros_like(h))],
        [lambda: of_hidden(lambda h: h * 0.5), lambda: of_hidden(lambda h: h + ops.zeros_like(h))],
    ),
    "AB304": (
        "second",
        [lambda: activated("relu", "relu"), lambda: activated("sigmoid", "relu")],
        [lambda: activated("tanh", "relu"), lambda: activated("linear", "relu"), lambda: activated("relu", "relu6")],
    ),
    "AB305": (
        "second",
        [lambda: activated("relu", "sigmoid"), lambda: activated("softmax", "sigmoid"), lambda: activated("relu", "softmax")],
        [lambda: activated("tanh", "sigmoid"), lambda: activated("linear", "softmax")],
    ),
    "AB401": (
        "conv",
        [lambda: normalized(True)],
        [lambda: normalized(False), lambda: normalized(True, "relu")],
    ),
    "AB402": ("dropout", [lambda: dropped(True)], [lambda: dropped(False)]),
}


def convolutions(size: int, count: int) -> Model:
    x = y = image(size)
    for _ in range(count):
        y = layers.Conv2D(4, 3, padding="same", activation="relu")(y)
    return Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D(name="pool")(y)))


CASES_OF["AB501"] = ("conv2d_4", [lambda: convolutions(9, 6)], [lambda: convolutions(9, 4)])
CASES_OF["AB502"] = ("pool", [lambda: convolutions(32, 4)], [lambda: convolutions(32, 8)])
ALONE = {"AB207"}  # which has a test of its own


def test_the_page_lists_all_codes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "seeing.md").read_text()
    rows = re.findall(r"^\| (AB\d+) \| (\w+)(?:, not at `compile`)? \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    assert rows == [(rule.code, rule.severity, rule.title, rule.source) for rule in rules().values()]


def test_every_rule_has_cases() -> None:
    assert CASES_OF.keys() | ALONE == rules().keys()
    for code, rule in rules().items():
        assert rule.severity in ("error", "warning", "info")
        assert all((rule.title, rule.why, rule.source)), code


@pytest.mark.parametrize("code", CASES_OF)
def test_rule_finds_its_mistake(code: str) -> None:
    path, mistakes, _ = CASES_OF[code]
    for case in mistakes:
        found = [each for each in case().lint() if each.code == code]
        assert [each.path for each in found] == [path]
        (finding,) = found
        assert finding.site is not None
        assert finding.site.file == __file__
        assert finding.repair


@pytest.mark.parametrize("code", CASES_OF)
def test_rule_is_silent_beside_it(code: str) -> None:
    for case in CASES_OF[code][2]:
        assert code not in case().lint().codes


def test_a_rectifier_of_what_is_never_positive_is_dead() -> None:
    model = of_hidden(lambda h: layers.ReLU(name="dead")(-layers.ReLU()(h)))
    (found,) = model.lint(select="AB303")
    assert found.path == "dead"
    assert "of values from -inf to" in found.what


def test_targets_are_looked_at() -> None:
    model = ended("softmax", "sparse_categorical_crossentropy")
    x = np.zeros((6, 8), "float32")
    assert not model.lint(x, np.array([0, 1, 2, 3, 0, 1]))
    (found,) = model.lint(x, np.array([0, 1, 2, 3, 4, 1]))
    assert (found.code, found.severity) == ("AB207", "error")
    assert "Label 4 is none of the 4 classes" in found.what
    assert "5 units" in found.repair
    (found,) = model.lint(y=np.zeros((6, 4)))
    assert "argmax" in found.repair


def test_straight_through_estimator_and_frozen_weights_are_right() -> None:
    assert "AB302" not in through(lambda h: h + ops.stop_gradient(ops.round(h) - h)).lint().codes
    model = through(ops.round)
    model.get_layer("hidden").trainable = False
    assert "AB302" not in model.lint().codes


def test_stop_gradient_is_only_noted() -> None:
    (found,) = through(ops.stop_gradient).lint(select="AB302")
    assert found.severity == "info"
    assert "'hidden'" in found.what or "hidden" in found.what


def test_losses_of_layers_reach_weights() -> None:
    class Penalized(layers.Layer):
        def call(self, inputs: object) -> object:
            self.add_loss(ops.mean(inputs))
            return inputs

    x = vector()
    side = Penalized(name="side")(layers.Dense(4, name="only_penalized")(x))
    model = quiet(Model(x, {"a": layers.Dense(2)(x), "b": side}), {"a": "mse"})
    assert "AB301" not in model.lint().codes


# Well-known architectures: what is reported is right


FOUND = {
    "toy_resnet": {"AB106"},  # its branches end in relu
    "resnet50": {"AB501"},  # 427 × 427 of 224 × 224
    "keras_resnet50": {"AB401", "AB501"},
    "mobilenet_v2": {"AB501"},
    "wide_resnet": {"AB402", "AB502"},  # a shallow one
    "inception": {"AB502"},  # two blocks without the stem
}


@pytest.mark.parametrize("name", known_models.ALL)
def test_known_architectures(name: str) -> None:
    model = known_models.ALL[name]()
    found = model.lint()
    assert set(found.codes) == FOUND.get(name, set()), found.text()
    assert not found.of("error") + found.of("warning")


@pytest.mark.parametrize("case", [case for case in CASES if case.inputs], ids=lambda case: case.name)
def test_a_layer_by_itself_is_right(case: LayerCase) -> None:
    layer = getattr(layers, case.make)(**case.config)
    inputs = [Input(batch_shape=shape, dtype=case.dtype) for shape in case.inputs]
    if case.prepare is not None:
        case.prepare(layer)
    found = Model(inputs, case.call(layer, inputs if case.as_list else inputs[0])).lint()
    assert not [each for each in found if each.severity != "info"], found


@pytest.mark.parametrize("seed", range(16))
def test_what_is_said_of_values_is_true(seed: int) -> None:
    """Ranges hold, what is called always 0 is 0, and what is called repeated is equal."""
    sketch = sketch_of(8, seed)
    config.set_floatx(sketch.floatx)
    try:
        hold_what_is_said(build(sketch), np.random.default_rng(seed))
    finally:
        config.set_floatx("float32")


def hold_what_is_said(built: Built, rng: np.random.Generator) -> None:
    symbols = [each for each in built.symbols.values() if "float" in each.dtype]
    inputs = _tree.leaves(built.model.input)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Model(inputs, symbols)
    values = model([rng.integers(0, 4, (5, *t.shape[1:])).astype(t.dtype) * rng.choice([-1, 1]) for t in inputs])
    program = Program(model.graph)
    ranges = ranges_of(program)
    opened = any("/" in step.path for step in program.steps)  # whose inner values are not seen here
    repeats = set() if opened else {each.path for each in duplicate_subgraph(program)}
    for index, (output, value) in enumerate(zip(program.outputs, values, strict=True)):
        low, high = ranges[output.value]
        if value.numel() and not value.isnan().any():
            assert low - 1e-6 <= value.min()
            assert value.max() <= high + 1e-6
        step = program.maker(output.value)
        if step is not None and step.path in repeats:
            twins = [other for place, other in enumerate(values) if place != index and other.shape == value.shape]
            assert any(np.array_equal(other.detach().cpu(), value.detach().cpu(), equal_nan=True) for other in twins)
    built.model.lint()


# The report, silencing, compile


def test_report() -> None:
    found = ended("softmax", losses.BinaryCrossentropy(from_logits=True)).lint()
    assert bool(found)
    assert found.codes == ["AB201", "AB206"]
    assert [each.severity for each in found] == ["error", "info"]
    first, *_ = text = str(found).splitlines()
    assert first.startswith("AB201 error: out at test_lint.py:")
    assert text[-1] == "functional: 1 error, 1 info"
    data = json.loads(found.to_json())
    assert data["findings"] == found.records()
    assert data["findings"][0]["file"] == __file__
    assert data["findings"][0]["source"] == "Goodfellow et al. 2016, Deep Learning, section 6.2.2.3"
    html = found._repr_html_()
    assert html.count("<tr>") == 3
    assert "AB201" in html


def test_findings_are_silenced_by_code() -> None:
    model = ended("softmax", losses.BinaryCrossentropy(from_logits=True))
    assert model.lint(ignore="AB201").codes == ["AB206"]
    assert model.lint(ignore=("AB2",)).codes == []
    assert model.lint(select="AB206").codes == ["AB206"]
    config.ignore_findings("AB201")
    try:
        assert model.lint().codes == ["AB206"]
    finally:
        config.ignore_findings()
    with pytest.raises(ValueError, match="Unknown code 'AB999'"):
        model.lint(ignore="AB999")


def test_compile_warns_once_at_the_users_line() -> None:
    x = vector()
    model = Model(x, layers.Dense(1, activation="softmax", name="out")(x))
    with pytest.warns(UserWarning, match=r"(?s)AB203 out at test_lint.py:\d+: .*config.ignore_findings\('AB203'\)") as caught:
        model.compile("sgd", "mse")
    assert [each.filename for each in caught] == [__file__]
    config.ignore_findings("AB203")
    try:
        model.compile("sgd", "mse")  # warnings are errors
    finally:
        config.ignore_findings()


def test_compile_is_silent_of_what_is_only_noted() -> None:
    model = known_models.ALL["toy_resnet"]()
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))


def test_a_model_without_a_graph() -> None:
    model = Sequential([layers.Dense(1, activation="softmax")])
    model.compile("sgd", "mse")
    with pytest.raises(AttributeError, match=r"graph|Input|input"):
        model.lint()


def test_lint_is_linear() -> None:
    def seconds(count: int) -> float:
        x = y = vector()
        for index in range(count):
            y = layers.Dense(8)(y) if index % 3 else layers.Add()([layers.Dense(8, activation="relu")(y), y])
        model = Model(x, y)
        model.lint()
        gc.collect()
        gc.disable()  # the time of which grows with all that the process holds
        try:
            begin = time.process_time()
            model.lint()
            return time.process_time() - begin
        finally:
            gc.enable()

    assert seconds(4000) < 10 * max(seconds(1000), 0.01)
