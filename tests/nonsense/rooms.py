"""The rooms of the library and what is called in each."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from inspect import isfunction, ismethod, signature, unwrap
from typing import Any

from nonsense import files, functions, further, layers, methods, models, quantized, returned, small, training
from nonsense.target import Target, parameters

import anabranch

from test_public import rooms  # isort: skip

ROOMS: dict[str, Callable[[], Iterable[Target]]] = {
    "layers": layers.constructors,
    "calls of layers": layers.calls,
    "layer": layers.methods,
    "ops": functions.ops,
    "ops of symbolic tensors": functions.symbolic_ops,
    "losses": training.losses,
    "metrics": training.metrics,
    "optimizers": training.optimizers,
    "callbacks": training.callbacks,
    "initializers": functions.of_weights,
    "activations": functions.activations,
    "random": functions.random,
    "quantizers": quantized.quantizers,
    "config": small.config,
    "utils": small.utils,
    "saving": small.saving,
    "visualization": small.visualization,
    "distribution": small.distributed,
    "datasets": small.datasets,
    "edit": models.edits,
    "insight": models.insight,
    "models": models.models,
    "training": models.training,
    "torch's methods": methods.torch_members,
    "states": methods.states,
    "what is asked": methods.asked,
    "what users return": returned.returned,
    "files": files.files,
    "nests": further.nests,
    "texts": further.texts,
    "estimators": further.estimators,
    "networks": further.networks,
    "distillation": further.distilled,
    "export": further.exported,
    "tables": further.tables,
    "trackers": further.trackers,
}

LEFT_OUT = {
    "layers.Layer": "the base class: its methods are called",
    "losses.Loss": "a base class", "metrics.Metric": "a base class", "optimizers.Optimizer": "a base class",

    "losses.check_labels": "the check of labels itself",
    "quantizers.QuantizationConfig": "a base class", "quantizers.Quantizer": "a base class",
    "edit.Edit": "a record", "insight.Change": "a record",
    **dict.fromkeys(
        ("datasets.mnist.load_data", "datasets.mnist.load_files", "datasets.cifar10.load_data", "datasets.cifar100.load_data",
         "datasets.fashion_mnist.load_data"), "downloads: tests/datasets"),
    "utils.get_file": "downloads: tests/utils",
    **dict.fromkeys(
        ("utils.image_dataset_from_directory", "utils.text_dataset_from_directory", "utils.audio_dataset_from_directory"),
        "reads folders: tests/pipelines"),
    "Operation": "is only asked of",
    **dict.fromkeys((
        "applications.ConvNeXtBase", "applications.ConvNeXtLarge", "applications.ConvNeXtSmall", "applications.ConvNeXtTiny",
        "applications.ConvNeXtXLarge", "applications.DenseNet121", "applications.DenseNet169", "applications.DenseNet201",
        *(f"applications.EfficientNetB{number}" for number in range(8)),
        *(f"applications.EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
        "applications.InceptionResNetV2", "applications.InceptionV3", "applications.MobileNet", "applications.MobileNetV3Large",
        "applications.MobileNetV3Small", "applications.NASNetLarge", "applications.NASNetMobile",
        *(f"applications.ResNet{depth}{version}" for depth in (50, 101, 152) for version in ("", "V2")),
        "applications.VGG16", "applications.VGG19", "applications.Xception",
    ), "takes seconds to make: MobileNetV2, whose arguments go the same way, is called"),
    "applications.imagenet_utils.decode_predictions": "downloads the names: tests/applications",
    **dict.fromkeys((
        "datasets.boston_housing.load_data", "datasets.california_housing.load_data", "datasets.imdb.get_word_index",
        "datasets.imdb.load_data", "datasets.reuters.get_word_index", "datasets.reuters.load_data",
    ), "downloads: tests/datasets"),
    "load_ipython_extension": "IPython calls it", "unload_ipython_extension": "IPython calls it",
    **dict.fromkeys((
        "insight.Diff", "insight.Finding", "insight.Findings", "insight.Mistake", "insight.Mistakes", "insight.Row",
        "insight.Summary", "insight.Call", "insight.Cost", "insight.CostRow", "insight.Stage", "insight.Sameness",
    ), "a record"),
    "insight.View": "what insight.page returns", "insight.Drawing": "what insight.draw returns",
}  # fmt: skip


def public_names() -> list[set[str]]:
    """Return the public names that take arguments, those of one thing together."""
    found: dict[int, set[str]] = {}
    for room, module in rooms():
        for name in dir(module):
            thing = getattr(module, name)
            if callable(thing) and bool(signature(thing).parameters):
                found.setdefault(id(thing), set()).add(f"{room.removeprefix('anabranch')}.{name}".lstrip("."))
    return list(found.values())


CLASSES = (
    "Model", "Sequential", "layers.Layer", "layers.Normalization", "losses.Loss", "metrics.Metric", "optimizers.Optimizer",
    "mixed_precision.LossScaleOptimizer", "callbacks.Callback", "initializers.Initializer", "regularizers.Regularizer",
    "constraints.Constraint", "utils.PyDataset", "optimizers.schedules.LearningRateSchedule", "random.SeedGenerator",
    "dtype_policies.DTypePolicy",
)  # fmt: skip
PROTOCOL = "called by the library alone"
HOOK = "a hook: the loop calls it, and subclasses write it"
METHODS_LEFT_OUT = {
    **dict.fromkeys((
        "slots_of", "decay_of", "further_numbers", "_own_variables_", "update_step", "step_size",
        "update_weights",
    ), PROTOCOL),
    "weight": PROTOCOL, "Layer.build": "each layer's own is called", "Layer.compute_output_shape": "each layer's own is called",
    "fill": HOOK, "call": "called by __call__, which is given wrong values",
    "cuda": "needs a GPU",
    "TorchMembers.rematerialized_call": "returns what it is given: tests/layers/test_remat.py",
    **dict.fromkeys(
        ("TorchMembers.stateless_call", "Steps.stateless_compute_loss"), "values of weights: tests/layers/test_stateless.py"
    ),
    "Views.export": "each call traces the model: tests/export",
}  # fmt: skip


def public_methods() -> dict[str, tuple[set[str], set[str]]]:
    """Return what public classes define, by its qualified name: the names it is called by, and its arguments."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for name in CLASSES:
        kind = operator.attrgetter(name)(anabranch)
        for word in dir(kind):
            thing: Any = None if word.startswith("_") else getattr(kind, word, None)
            if not (isfunction(thing) or ismethod(thing)):
                continue
            if arguments := {each.name for each in parameters(thing)} - {"self"}:
                written = unwrap(thing.__func__ if ismethod(thing) else thing)
                found.setdefault(written.__qualname__, (set(), arguments))[0].add(f"{name}.{word}")
    return found


def unreached() -> dict[str, set[str]]:
    """Return the public methods that no call reaches, and the arguments that none gives, but for what is left out."""
    given: dict[str, set[str]] = {}
    for make in ROOMS.values():
        for target in make():
            given.setdefault(target.name.split("(")[0].split(" ")[0], set()).update(target.arguments)
    left = {}
    for written, (names, arguments) in public_methods().items():
        word = written.rpartition(".")[2]
        if {word, written} & METHODS_LEFT_OUT.keys() or word.startswith("on_"):
            continue
        missing = arguments.difference(*(given[name] for name in names & given.keys()))
        if missing:
            left[written] = missing
    return left
