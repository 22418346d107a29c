"""Whole models in ``.keras`` files, beside real Keras: each reads what the other wrote, and training goes on equally."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from both_libraries import MODELS, drawn, outputs, parts, scramble
from devices import tolerated
from test_configs_against_keras import close
from test_every_layer import ORACLE, build, draw

import anabranch as ab
from anabranch import layers, models, saving
from anabranch._errors import ArgumentError, ArgumentTypeError

BOTH = [pytest.param(*pair, id=name) for name, pair in MODELS.items()]
OPTIMIZERS = {
    "SGD": {"learning_rate": 0.01},
    "SGD momentum": {"learning_rate": 0.01, "momentum": 0.9},
    "SGD nesterov": {"learning_rate": 0.01, "momentum": 0.9, "nesterov": True},
    "SGD average": {"learning_rate": 0.01, "momentum": 0.9, "use_ema": True},
    "SGD accumulation": {"learning_rate": 0.01, "gradient_accumulation_steps": 2},
    "Adam": {"epsilon": 1e-3},
    "Adam amsgrad": {"epsilon": 1e-3, "amsgrad": True, "clipnorm": 1.0},
    "AdamW": {"epsilon": 1e-3, "weight_decay": 0.01},
    "RMSprop": {"epsilon": 1e-3},
    "RMSprop all": {"epsilon": 1e-3, "momentum": 0.9, "centered": True},
    "Adagrad": {"learning_rate": 0.1},
    "Adadelta": {"learning_rate": 1.0, "epsilon": 1e-3},
    "Adamax": {"epsilon": 1e-3},
    "Lion": {"learning_rate": 1e-3},
    "Ftrl": {"learning_rate": 0.1},
    "Nadam": {"epsilon": 1e-3},
    "Lamb": {"epsilon": 1e-3},
    "Adafactor": {"learning_rate": 0.01},
    "Muon": {"epsilon": 1e-3},
}


def same(ours: Any, theirs: Any, x: Any, tolerance: float = 2e-5) -> None:
    error = 1e-2 if any("bfloat16" in weight.dtype for weight in ours.weights) else tolerated(tolerance)
    for a, b in zip(outputs(ours, x), outputs(theirs, x), strict=True):
        assert np.abs(a - b).max(initial=0) <= error * max(1.0, np.abs(b).max(initial=0))


@pytest.mark.parametrize("writer", ["anabranch", "keras"])
@pytest.mark.parametrize(("make", "shapes"), BOTH)
def test_each_reads_what_the_other_wrote(keras: Any, tmp_path: Path, make: Any, shapes: Any, writer: str) -> None:
    first, second = (ab, keras) if writer == "anabranch" else (keras, ab)
    model = make(first)
    scramble(model)
    model.save(tmp_path / "m.keras")
    again = second.models.load_model(tmp_path / "m.keras")
    same(model, again, drawn(shapes))
    assert [layer.trainable for layer in model.layers] == [layer.trainable for layer in again.layers]
    own = first.models.load_model(tmp_path / "m.keras")
    assert all(np.array_equal(a, b) for a, b in zip(outputs(model, drawn(shapes)), outputs(own, drawn(shapes)), strict=True))


def data(shapes: Any) -> tuple[Any, Any]:
    x = drawn(shapes, batch=8)
    return x, np.random.default_rng(3).normal(size=(8, 2)).astype("float32")


def trained(model: Any, x: Any, y: Any, times: int) -> Any:
    for _ in range(times):
        model.train_on_batch(x, y)
    return model


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("writer", ["anabranch", "keras"])
def test_training_goes_on_in_the_other(keras: Any, tmp_path: Path, name: str, writer: str) -> None:
    first, second = (ab, keras) if writer == "anabranch" else (keras, ab)
    model = MODELS["functional"][0](first)
    scramble(model)
    model.compile(getattr(first.optimizers, name.partition(" ")[0])(**OPTIMIZERS[name]), "mse")
    x, y = data((4,))
    trained(model, x, y, 3).save(tmp_path / "m.keras")
    other = second.models.load_model(tmp_path / "m.keras")
    assert int(other.optimizer.iterations) == int(model.optimizer.iterations)
    trained(model, x, y, 3)
    trained(other, x, y, 3)
    same(model, other, x, 1e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_bit_by_bit(tmp_path: Path, name: str) -> None:
    model = MODELS["sequential"][0](ab)
    model.compile(getattr(ab.optimizers, name.partition(" ")[0])(**OPTIMIZERS[name]), "mse", metrics=["mae"])
    x, y = data((8, 8, 3))
    trained(model, x, y, 3).save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    trained(again, x, y, 3)
    trained(model, x, y, 3)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
    assert again.metrics_names == model.metrics_names
    assert again.optimizer.get_config() == model.optimizer.get_config()
    states = [[np.asarray(v.numpy()) for v in each.optimizer.variables] for each in (model, again)]
    assert all(np.array_equal(a, b) for a, b in zip(*states, strict=True))


def test_loss_scales_go_on(keras: Any, tmp_path: Path) -> None:
    def made(library: Any) -> Any:
        model = MODELS["functional"][0](library)
        optimizer = library.optimizers.LossScaleOptimizer(library.optimizers.SGD(0.1, momentum=0.9), initial_scale=64.0)
        model.compile(optimizer, "mse")
        return model

    x, y = data((4,))
    for first, second in ((ab, ab), (ab, keras), (keras, ab)):
        model = made(first)
        trained(model, x, y, 3).save(tmp_path / "m.keras")
        again = second.models.load_model(tmp_path / "m.keras")
        assert float(again.optimizer.dynamic_scale) == 64.0
        assert int(again.optimizer.variables[2].numpy()) == 3
        same(trained(model, x, y, 2), trained(again, x, y, 2), x, 1e-4)


def test_schedules_options_and_losses_by_output_come_back(keras: Any, tmp_path: Path) -> None:
    def compiled(library: Any) -> Any:
        model = MODELS["several inputs and outputs"][0](library)
        schedule = library.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
        model.compile(
            library.optimizers.Adam(schedule), steps_per_execution=3, loss_weights={"class": 2.0, "box": 0.5},
            loss={"class": library.losses.CategoricalCrossentropy(from_logits=True), "box": "mae"},
            metrics={"class": ["accuracy", library.metrics.TopKCategoricalAccuracy(2)]},
        )  # fmt: skip
        return model

    for first, second in ((ab, keras), (keras, ab), (ab, ab)):
        model = compiled(first)
        model.save(tmp_path / "m.keras")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The state of the optimizer")  # Keras saves none before training
            again = second.models.load_model(tmp_path / "m.keras")
        mine, theirs = model.get_compile_config(), again.get_compile_config()
        for each in (mine, theirs):  # which Keras decides when it compiles
            each.pop("jit_compile")
            each["optimizer"]["module"] = "keras.optimizers"
            each["optimizer"].pop("registered_name")
        assert close(mine) == close(theirs)


def test_options_that_keras_lacks_come_back_here_and_do_not_hinder_it(keras: Any, tmp_path: Path) -> None:
    model = MODELS["functional"][0](ab)
    model.compile("sgd", "mse", remat="dense*", auto_scale_loss=False)
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    assert (again.remat, again._compiled_.options.auto_scale_loss) == (("dense*",), False)
    assert keras.models.load_model(tmp_path / "m.keras").loss == "mse"


@pytest.mark.parametrize("how", ["not compiled", "compile=False", "include_optimizer=False"])
def test_models_without_an_optimizer(keras: Any, tmp_path: Path, how: str) -> None:
    model = MODELS["functional"][0](ab)
    if how != "not compiled":
        model.compile("adam", "mse")
        trained(model, *data((4,)), 1)
    model.save(tmp_path / "m.keras", include_optimizer=how != "include_optimizer=False")
    again = models.load_model(tmp_path / "m.keras", compile=how != "compile=False")
    assert again.optimizer is None
    same(model, keras.models.load_model(tmp_path / "m.keras", compile=False), drawn((4,)))


def test_an_optimizer_that_has_not_trained(keras: Any, tmp_path: Path) -> None:
    for library in (ab, keras):
        model = MODELS["functional"][0](library)
        model.compile(library.optimizers.Adam(0.25), "mse")
        model.optimizer.iterations.assign(7)
        model.save(tmp_path / "m.keras")
        again = models.load_model(tmp_path / "m.keras")
        assert (again.optimizer.iterations, again.optimizer.learning_rate) == (7, 0.25)


def test_another_state_than_the_optimizers_begins_anew_with_a_warning(tmp_path: Path) -> None:
    model = MODELS["functional"][0](ab)
    model.compile("adam", "mse")
    trained(model, *data((4,)), 2).save_weights(tmp_path / "w.weights.h5")
    model.compile(ab.optimizers.SGD(0.1, momentum=0.9), "mse")
    with pytest.warns(UserWarning, match="which begins anew: 14 arrays in the file, 8 variables"):
        model.load_weights(tmp_path / "w.weights.h5")
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("case", ORACLE)
def test_every_layer(keras: Any, tmp_path: Path, case: Any) -> None:
    if case.make in ("Lambda",):
        pytest.skip("a function, which a file names: below")
    _, model = build(case)
    given = draw(case)
    wanted = outputs(model, given)
    model.save(tmp_path / "m.keras")
    same(models.load_model(tmp_path / "m.keras"), model, given)
    other = case.keras_make() if case.keras_make else getattr(keras.layers, case.make)(**case.config)
    if case.prepare is not None:
        case.prepare(other)
    symbols = [keras.Input(shape[1:], dtype=case.dtype) for shape in case.inputs]
    theirs = keras.Model(symbols, case.call(other, symbols if case.as_list else symbols[0]))
    theirs.set_weights(model.get_weights())
    theirs.save(tmp_path / "theirs.keras")
    with warnings.catch_warnings():
        if "broadcast" in case.config:
            warnings.filterwarnings("ignore", "Add stretches one of")
        found = outputs(models.load_model(tmp_path / "theirs.keras"), given if case.as_list else [given])
    for a, b in zip(found, wanted, strict=True):
        assert np.abs(a - b).max(initial=0) <= tolerated(2e-5) * max(1.0, np.abs(b).max(initial=0))
    if "broadcast" in case.config:
        return  # which Keras's layer has no word for
    read = keras.models.load_model(tmp_path / "m.keras")
    for a, b in zip(outputs(read, given), wanted, strict=True):
        assert np.abs(a - b).max(initial=0) <= tolerated(case.tolerance) * 2 * max(1.0, np.abs(b).max(initial=0))


@pytest.mark.parametrize("how", ["file", "JSON"])
def test_layers_that_train_otherwise_do_so_after_keras_wrote_them(keras: Any, tmp_path: Path, how: str) -> None:
    """Keras notes ``training=False`` at a call of Dropout, and lets ``fit`` decide all the same."""
    x = keras.Input((50,))
    theirs = keras.Model(x, keras.layers.BatchNormalization()(keras.layers.Dropout(0.5)(x)))
    theirs.save(tmp_path / "m.keras")
    ours = models.load_model(tmp_path / "m.keras") if how == "file" else models.model_from_json(theirs.to_json())
    before = ours.get_weights()
    assert 20 < int((ours.tap(ours.layers[1].name)(np.ones((2, 50), "float32"), training=True) == 0).sum()) < 80
    ours(np.ones((2, 50), "float32"), training=True)
    assert not np.array_equal(before[2], ours.get_weights()[2])


def test_what_is_asked_of_a_call_here_stays(tmp_path: Path) -> None:
    x = ab.Input((3,))
    ab.Model(x, layers.BatchNormalization()(x, training=False)).save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    before = again.get_weights()
    again(np.ones((2, 3), "float32"), training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, again.get_weights(), strict=True))


def test_a_model_nested_in_two_models_is_one_again(tmp_path: Path) -> None:
    a, b, x = (ab.Input((4,)) for _ in range(3))
    inner = ab.Model(a, layers.Dense(4)(a), name="inner")
    middle = ab.Model(b, layers.Dense(4)(inner(b)), name="middle")
    model = ab.Model(x, layers.add([middle(x), inner(x)]))
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    assert again.get_layer("middle").get_layer("inner") is again.get_layer("inner")
    assert len(again.weights) == 4
    same(model, again, drawn((4,)))


def test_a_row_that_learned_its_input_from_data(keras: Any, tmp_path: Path) -> None:
    for first, second in ((ab, ab), (ab, keras), (keras, ab)):
        model = first.Sequential([first.layers.Dense(3, activation="relu"), first.layers.Dense(2)])
        x = drawn((4,))
        model(x)
        model.save(tmp_path / "m.keras")
        same(model, second.models.load_model(tmp_path / "m.keras"), x)


def test_a_model_without_weights_yet_is_saved_with_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="is saved without weights, as it has none yet"):
        ab.Sequential([layers.Dense(3)]).save(tmp_path / "m.keras")
    assert not models.load_model(tmp_path / "m.keras").built


# Classes and functions of the user's own


@pytest.mark.parametrize("how", ["custom_objects", "scope", "registered"])
@pytest.mark.parametrize("kind", [0, 1], ids=["layer", "model"])
def test_classes_of_the_users_own(keras: Any, tmp_path: Path, kind: int, how: str) -> None:
    ours, theirs = parts(ab), parts(keras)
    for library, classes, other, others in ((ab, ours, keras, theirs), (keras, theirs, ab, ours), (ab, ours, ab, ours)):
        for room, pair in ((library, classes), (other, others)):
            if how == "registered":
                for each in pair:
                    room.saving.get_custom_objects().pop("mine>" + each.__name__, None)
                    room.saving.register_keras_serializable("mine")(each)
        made = classes[kind](5)
        if kind == 0:
            x = library.Input((4,))
            made = library.Model(x, made(x))
        made(np.zeros((3, 4), "float32"))
        scramble(made)
        made.compile("sgd", "mse")
        made.save(tmp_path / "m.keras")
        custom = {each.__name__: each for each in others}
        if how == "custom_objects":
            again = other.models.load_model(tmp_path / "m.keras", custom_objects=custom)
        elif how == "scope":
            with other.saving.custom_object_scope(custom):
                again = other.models.load_model(tmp_path / "m.keras")
        else:
            again = other.models.load_model(tmp_path / "m.keras")
        same(made, again, drawn((4,)))


def test_a_class_that_is_not_known_names_itself_its_module_and_the_call_to_make(tmp_path: Path) -> None:
    block = parts(ab)[0]
    x = ab.Input((4,))
    ab.Model(x, block()(x)).save(tmp_path / "m.keras")
    with pytest.raises(ArgumentError) as error:
        models.load_model(tmp_path / "m.keras")
    text = " ".join(str(error.value).split())
    for part in (
        "'Block' is not known here",
        "it was defined in both_libraries, at both_libraries.py:",
        "custom_objects={'Block': Block}",
        "@register_keras_serializable()",
    ):
        assert part in text


def doubled(x: Any) -> Any:
    return x * 2


def test_functions_are_named_and_given_by_the_reader(keras: Any, tmp_path: Path) -> None:
    x = ab.Input((4,))
    model = ab.Model(x, layers.Lambda(doubled)(layers.Dense(2)(x)))
    model.save(tmp_path / "m.keras")
    with pytest.raises(ArgumentError, match="'doubled' is not known"):
        models.load_model(tmp_path / "m.keras")
    same(model, models.load_model(tmp_path / "m.keras", {"doubled": doubled}), drawn((4,)))
    same(model, keras.models.load_model(tmp_path / "m.keras", {"doubled": doubled}), drawn((4,)))


def nothing_is_written(model: Any, path: Path) -> str:
    path.write_bytes(b"before")
    with pytest.raises(ArgumentTypeError) as error:
        model.save(path)
    assert path.read_bytes() == b"before"
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    return " ".join(str(error.value).split())


def test_code_is_refused_with_its_layer_and_line(tmp_path: Path) -> None:
    x = ab.Input((4,))
    text = nothing_is_written(ab.Model(x, layers.Lambda(lambda x: x * 2, name="twice")(x)), tmp_path / "m.keras")
    assert all(part in text for part in ("A lambda has no name", "Lambda 'twice'", "test_keras_files.py"))
    text = nothing_is_written(ab.Model(x, layers.Dense(2)(x).type(torch.float64)), tmp_path / "m.keras")
    assert all(part in text for part in ("type(…)", "no function of anabranch.ops", "test_keras_files.py"))
    model = MODELS["functional"][0](ab)
    model.compile("sgd", lambda y, p: (y - p).square().mean())
    text = nothing_is_written(model, tmp_path / "m.keras")
    assert "compile(loss=…)" in text
    model.save(tmp_path / "m.keras", include_optimizer=False)


def test_describing_and_reading_names_only(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"a name ending in \.keras"):
        MODELS["functional"][0](ab).save(tmp_path / "m.h5")
    with pytest.raises(ArgumentError, match="saved as one file"):
        MODELS["functional"][0](ab).save(tmp_path / "m.keras", zipped=False)
    with pytest.raises(ArgumentTypeError, match="must be a model"):
        saving.save_model(layers.Dense(2), tmp_path / "m.keras")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="safe_mode=False is not supported"):
        models.load_model(tmp_path / "m.keras", safe_mode=False)
    with pytest.raises(FileNotFoundError):
        models.load_model(tmp_path / "m.keras")
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(ArgumentError, match="read from one file"):
        models.load_model(tmp_path / "folder.keras")


def test_weights_alone_are_loaded_from_a_whole_model(keras: Any, tmp_path: Path) -> None:
    theirs = MODELS["nested"][0](keras)
    theirs.save(tmp_path / "m.keras")
    ours = MODELS["nested"][0](ab)
    ours.load_weights(tmp_path / "m.keras")
    same(ours, theirs, drawn((4,)))


def test_a_file_has_keras_s_members_and_our_additions(keras: Any, tmp_path: Path) -> None:
    model = MODELS["functional"][0](ab)
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        metadata = json.loads(archive.read("metadata.json"))
    assert metadata["anabranch"]["version"] == ab.__version__
    assert metadata["keras_version"].startswith("3.")


def test_random_graphs(keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import random_graphs
    from test_json_of_random_graphs import CODE, GREATEST, OTHERS, Drawn, arrays

    for name in ("LAYERS", "ROW", "FUNCTIONS"):
        kinds = [kind for kind in getattr(random_graphs, name) if not kind.startswith(CODE) and kind not in OTHERS]
        monkeypatch.setattr(random_graphs, name, kinds)
    before, theirs = ab.config.floatx(), keras.config.floatx()
    try:
        for seed in range(12):
            graph = Drawn(random_graphs.sketch_of(3 + seed % 9, seed))
            if not all(bool((value.double().abs() < GREATEST).all()) for value in graph.values.here.values()):
                continue  # rounding decides
            keras.config.set_floatx(graph.sketch.floatx)
            graph.model.save(tmp_path / "m.keras")
            given = graph.nest()
            for library in (ab, keras):
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "When providing `inputs` as a dict", module="keras")
                    warnings.filterwarnings("ignore", "No output needs")
                    found = library.models.load_model(tmp_path / "m.keras")(given)
                for one, two in zip(arrays(found), arrays(graph.model(given)), strict=True):
                    scale = max(1.0, float(np.abs(two).max(initial=0)))
                    assert float(np.abs(one.astype("float64") - two).max(initial=0)) <= tolerated(2e-5) * scale, seed
    finally:
        ab.config.set_floatx(before)
        keras.config.set_floatx(theirs)
