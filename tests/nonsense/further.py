"""Further packages: nests, text and sequences, estimators, well-known networks, distillation, export, tables, LoRA."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from nonsense.models import small
from nonsense.target import Target, function, method
from nonsense.values import COMMONEST
from small_model import data, made

import anabranch as ab
from anabranch import applications, distillation, export, layers, legacy, preprocessing, tree, wrappers

Rights = dict[str, Callable[[], dict[str, Any]]]
IMAGES = np.arange(2 * 6 * 6 * 3, dtype="float32").reshape(2, 6, 6, 3)


def _methods(name: str, make: Callable[[], Any], rights: Rights, use: Callable[[Any], Any] | None = None) -> Iterator[Target]:
    for word, right in rights.items():
        target = method(f"{name}.{word}", make, right)
        if use is not None:
            call = functools.partial(lambda target, **given: use(target.call(**given)), target)
            target = Target(target.name, call, target.right, target.arguments)
        yield target


def nests() -> Iterator[Target]:
    """Yield the functions of nests, and the objects of Keras 2."""
    nest = {"b": [1, 2], "a": 3}
    same = {"a": nest, "b": nest}
    rights: Rights = {
        "assert_same_paths": lambda: dict(same), "assert_same_structure": lambda: dict(same),
        "flatten": lambda: {"structure": nest}, "flatten_with_path": lambda: {"structure": nest},
        "is_nested": lambda: {"structure": nest}, "lists_to_tuples": lambda: {"structure": nest},
        "map_shape_structure": lambda: {"func": len, "structure": {"a": (None, 3)}},
        "pack_sequence_as": lambda: {"structure": nest, "flat_sequence": [1, 2, 3]},
        "traverse": lambda: {"func": lambda part: None, "structure": nest},
    }  # fmt: skip
    for name, right in rights.items():
        yield function(f"tree.{name}", getattr(tree, name), right)
    for name, front in (("map_structure", ("func",)), ("map_structure_up_to", ("shallow_structure", "func"))):

        def mapped(name: str = name, front: tuple[str, ...] = front, **given: Any) -> Any:
            rest = {key: value for key, value in given.items() if key not in (*front, "structures")}
            return getattr(tree, name)(*(given[each] for each in front), given["structures"], **rest)

        given = {"shallow_structure": [None, None], "func": lambda part: part, "structures": [1, 2]}
        yield Target(
            f"tree.{name}", mapped, lambda front=front, given=given: {key: given[key] for key in (*front, "structures")},
            (*front, "structures", *(("none_is_leaf",) if name == "map_structure" else ())),
        )  # fmt: skip
    old = legacy.saving.serialize_keras_object(ab.losses.Huber())
    yield function("legacy.saving.serialize_keras_object", legacy.saving.serialize_keras_object,
                   lambda: {"instance": ab.losses.Huber()})  # fmt: skip
    yield function(
        "legacy.saving.deserialize_keras_object", legacy.saving.deserialize_keras_object,
        lambda: {"identifier": old, "module_objects": {"Huber": ab.losses.Huber}},
    )  # fmt: skip


def _tokenizer() -> Any:
    found = preprocessing.text.Tokenizer()
    found.fit_on_texts(["a cat", "the cat"])
    return found


def texts() -> Iterator[Target]:
    """Yield what prepares text and sequences as Keras 2 did, and pictures."""
    text, sequence = preprocessing.text, preprocessing.sequence
    for name, right in {
        "text_to_word_sequence": {"input_text": "The cat!"}, "hashing_trick": {"text": "The cat!", "n": 9},
        "one_hot": {"input_text": "The cat!", "n": 9}, "Tokenizer": {},
    }.items():  # fmt: skip
        use = (lambda made: made.fit_on_texts(["a cat"])) if name == "Tokenizer" else None
        yield function(f"preprocessing.text.{name}", getattr(text, name), lambda right=right: right, use=use)
    yield function(
        "preprocessing.text.tokenizer_from_json", text.tokenizer_from_json, lambda: {"json_string": _tokenizer().to_json()}
    )
    texts, numbers = ["a cat"], [[1, 2]]
    yield from _methods("preprocessing.text.Tokenizer", _tokenizer, {
        "fit_on_texts": lambda: {"texts": texts}, "fit_on_sequences": lambda: {"sequences": numbers},
        "texts_to_sequences": lambda: {"texts": texts}, "texts_to_sequences_generator": lambda: {"texts": texts},
        "sequences_to_texts": lambda: {"sequences": numbers}, "sequences_to_texts_generator": lambda: {"sequences": numbers},
        "texts_to_matrix": lambda: {"texts": texts}, "sequences_to_matrix": lambda: {"sequences": numbers},
    }, lambda found: list(found) if isinstance(found, types.GeneratorType) else found)  # fmt: skip
    yield function(
        "preprocessing.sequence.TimeseriesGenerator", sequence.TimeseriesGenerator,
        lambda: {"data": np.arange(9.0), "targets": np.arange(9.0), "length": 3}, use=lambda made: [len(made), made[0]],
    )  # fmt: skip
    yield function("preprocessing.sequence.make_sampling_table", sequence.make_sampling_table, lambda: {"size": 4})
    yield function(
        "preprocessing.sequence.skipgrams", sequence.skipgrams, lambda: {"sequence": [1, 2, 3], "vocabulary_size": 4}
    )
    image = preprocessing.image
    yield function("preprocessing.image.smart_resize", image.smart_resize, lambda: {"x": IMAGES, "size": (4, 4)})
    generator = image.ImageDataGenerator
    yield function("preprocessing.image.ImageDataGenerator", generator, use=lambda made: next(made.flow(IMAGES, batch_size=2)))
    yield from _methods("preprocessing.image.ImageDataGenerator", generator, {
        "apply_transform": lambda: {"x": IMAGES[0], "transform_parameters": {"theta": 10}}, "fit": lambda: {"x": IMAGES},
        "get_random_transform": lambda: {"img_shape": (6, 6, 3)}, "random_transform": lambda: {"x": IMAGES[0]},
        "standardize": lambda: {"x": IMAGES[0]},
    })  # fmt: skip
    yield from _methods(
        "preprocessing.image.ImageDataGenerator", generator, {"flow": lambda: {"x": IMAGES, "y": [0, 1], "batch_size": 2}}, next
    )


def estimators() -> Iterator[Target]:
    """Yield the estimators of scikit-learn."""

    def network(X: Any, y: Any) -> Any:
        x = ab.Input((X.shape[1],))
        model = ab.Model(x, layers.Dense(1 if y is None or y.ndim == 1 else y.shape[1])(x))
        model.compile("sgd", "mse")
        return model

    X, y = np.arange(12.0).reshape(4, 3), np.array([0, 1, 0, 1])
    for name, words in (
        ("SKLearnClassifier", ("fit", "predict", "decision_function")), ("SKLearnRegressor", ()),
        ("SKLearnTransformer", ("transform",)),
    ):  # fmt: skip
        kind = getattr(wrappers, name)
        right = {"model": network, "fit_kwargs": {"verbose": 0}}
        yield function(f"wrappers.{name}", kind, lambda right=right: dict(right), use=lambda made: made.fit(X, y))
        fitted = functools.partial(lambda kind, right: kind(**right).fit(X, y), kind, right)
        for word in words:
            given = {"X": X, "y": y} if word == "fit" else {"X": X}
            yield method(f"wrappers.{name}.{word}", fitted, lambda given=given: dict(given))


def networks() -> Iterator[Target]:
    """Yield what prepares images for well-known networks and reads their answers, and a network of each family.

    All networks of a family have one function that takes the arguments.
    """
    rooms = [getattr(applications, name) for name in dir(applications)]
    rooms = [room for room in rooms if isinstance(room, types.ModuleType) and "preprocess_input" in dir(room)]
    for room in rooms:
        word = f"applications.{room.__name__.rpartition('.')[2]}"
        yield function(f"{word}.preprocess_input", room.preprocess_input, lambda: {"x": IMAGES.copy()})
    for name in ("MobileNetV2",):
        kind = getattr(applications, name)
        right = lambda: {"weights": None, "classes": 2, "input_shape": (32, 32, 3)}  # noqa: E731
        target = function(f"applications.{name}", kind, right)
        yield Target(target.name, target.call, right, target.arguments, values=COMMONEST)


def _distiller(**given: Any) -> Any:
    net = lambda: small("net")  # noqa: E731
    return distillation.Distiller(**{"teacher": net(), "student": net(), **given})


def distilled() -> Iterator[Target]:
    """Yield the distiller and its losses."""
    x, y = np.ones((4, 4), "float32"), np.ones((4, 2), "float32")
    logits = distillation.LogitsDistillation

    def fitted(made: Any) -> None:
        made.compile("sgd", "mse")
        made.fit(x, y, verbose=0)

    right = lambda: {"teacher": small(), "student": small(), "distillation_losses": logits()}  # noqa: E731
    yield function("distillation.Distiller", distillation.Distiller, right, use=fitted)
    built = lambda: _distiller(distillation_losses=logits())  # noqa: E731
    yield method("distillation.Distiller.compile", built, lambda: {"loss": "mse"})
    yield function("distillation.Distiller.from_config", distillation.Distiller.from_config,
                   lambda: {"config": built().get_config()})  # fmt: skip
    outputs = lambda: {"teacher_outputs": torch.ones(2, 3), "student_outputs": torch.zeros(2, 3)}  # noqa: E731
    for name in ("LogitsDistillation", "FeatureDistillation"):
        kind = getattr(distillation, name)
        yield function(f"distillation.{name}", kind, use=lambda made: fitted(_distiller(distillation_losses=made)))
        yield from _methods(f"distillation.{name}", kind, {
            "compute_loss": outputs, "validate_outputs": outputs,
            "validate_model_compatibility": lambda: {"teacher": small(), "student": small()},
        })  # fmt: skip
    config = ab.utils.serialize_keras_object(logits())
    yield function("distillation.deserialize", distillation.deserialize, lambda: {"config": config})


def exported() -> Iterator[Target]:
    """Yield archives of endpoints; what is written takes torch seconds, so of that each kind of value is tried once."""
    archive = lambda: export.ExportArchive("torch")  # noqa: E731

    def full() -> Any:
        made = archive()
        made.track_and_add_endpoint("serve", small())
        return made

    spec = lambda: [ab.InputSpec(shape=(None, 4))]  # noqa: E731
    yield function("export.ExportArchive", export.ExportArchive, lambda: {"format": "torch"})
    yield from _methods("export.ExportArchive", archive, {
        "track": lambda: {"resource": small()},
        "add_endpoint": lambda: {"name": "a", "fn": lambda x: 2 * x, "input_signature": spec()},
        "track_and_add_endpoint": lambda: {"name": "a", "resource": small(), "input_signature": spec()},
        "add_variable_collection": lambda: {"name": "a", "variables": small().weights},
    })  # fmt: skip
    target = method("export.ExportArchive.write_out", full, lambda: {"filepath": "out"})
    yield Target(target.name, target.call, target.right, target.arguments, values=COMMONEST)


TABLES: dict[str, tuple[dict[str, Any], Any]] = {
    "Discretization": ({"num_bins": 2}, [1.0, 2.0, 3.0]), "IntegerLookup": ({}, [3, 4, 3]),
    "StringLookup": ({}, ["a", "b", "a"]), "TextVectorization": ({}, ["a cat", "the cat"]),
}  # fmt: skip


def tables() -> Iterator[Target]:
    """Yield what tables and spaces of features are adapted to and asked, and what adapts layers: LoRA, quantization."""
    for name, (given, seen) in TABLES.items():
        kind = getattr(layers, name)

        def make(kind: Any = kind, given: Any = given, seen: Any = seen) -> Any:
            layer = kind(**given)
            layer.adapt(seen)
            return layer

        right = lambda seen=seen: {"data": seen}  # noqa: E731
        rights: Rights = {"adapt": right, "from_config": lambda make=make: {"config": make().get_config()}}
        if name != "Discretization":
            rights |= {
                "set_vocabulary": lambda seen=seen: {"vocabulary": [*dict.fromkeys(seen)]}, "get_vocabulary": dict,
            }  # fmt: skip
        yield from _methods(f"layers.{name}", make, rights)
    space = ab.utils.FeatureSpace
    yield from _methods("utils.FeatureSpace", lambda: space({"a": "float_normalized"}), {
        "adapt": lambda: {"dataset": [{"a": np.ones((3, 1))}]},
    })  # fmt: skip

    def adapted() -> Any:
        found = space({"a": "float_normalized"})
        found.adapt([{"a": np.ones((3, 1))}])
        return found

    yield method("utils.FeatureSpace.save", adapted, lambda: {"filepath": "space.keras"})
    for name, needed in (
        ("cross", {"feature_names": ("a", "b"), "crossing_dim": 4}), ("feature", {"dtype": "float32", "output_mode": "float",
         "preprocessor": layers.Identity()}), ("float", {}), ("float_discretized", {"num_bins": 3}), ("float_normalized", {}),
        ("float_rescaled", {}), ("integer_categorical", {}), ("integer_hashed", {"num_bins": 3}), ("string_categorical", {}),
        ("string_hashed", {"num_bins": 3}),
    ):  # fmt: skip
        yield function(f"utils.FeatureSpace.{name}", getattr(space, name), lambda needed=needed: dict(needed))
    yield from _methods("utils.Progbar", lambda: ab.utils.Progbar(3, verbose=0), {
        "update": lambda: {"current": 1}, "add": lambda: {"n": 1},
    })  # fmt: skip
    yield from _methods("Variable", lambda: ab.Variable(np.ones(2, "float32")), {
        word: lambda: {"value": np.ones(2)} for word in ("assign", "assign_add", "assign_sub")
    })  # fmt: skip

    def built(kind: Any, *given: Any) -> Any:
        layer = kind(*given)
        layer.build((None, 8))
        return layer

    for name, given in (("Dense", (4,)), ("Embedding", (4, 4)), ("EinsumDense", ("ab,bc->ac", 4))):
        make = functools.partial(built, getattr(layers, name), *given)
        yield from _methods(f"layers.{name}", make, {"enable_lora": lambda: {"rank": 2}, "quantize": lambda: {"mode": "int8"}})
    yield function("edit.quantize", ab.edit.quantize, lambda: {"mode": "int8"}, use=lambda made: small().edit(made))


class _Run:
    """What loggers ask of the run of a tracker."""

    info = types.SimpleNamespace(run_id="1")
    data = types.SimpleNamespace(params={})

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self


def trackers() -> Iterator[Target]:
    """Yield the loggers of experiment trackers, whose packages are replaced."""

    def fitted(callback: Any) -> None:
        sys.modules["wandb"] = types.SimpleNamespace(run=_Run())  # type: ignore[assignment]  # all that is asked
        sys.modules["mlflow"] = _Run()  # type: ignore[assignment]  # as above
        made(ab).fit(*data(8), epochs=2, verbose=0, callbacks=[callback])

    for name in ("WandbLogger", "MLflowLogger"):
        yield function(f"callbacks.{name}", getattr(ab.callbacks, name), use=fitted)
