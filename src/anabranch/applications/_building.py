"""What all networks share: the arguments and their rules, the first tensor, the classifier, the weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, cast

from anabranch import activations, config, layers
from anabranch._arguments import checked
from anabranch._asked import is_integer, shown
from anabranch._docstrings import completed
from anabranch._errors import ArgumentError, FileError, ShapeError
from anabranch.applications import _timm, _torchvision
from anabranch.applications._checkpoints import CHECKPOINTS, load_checkpoint
from anabranch.datasets._fetch import Remote
from anabranch.datasets._files import cache_folder, stored
from anabranch.graph.call_site import warn
from anabranch.graph.sources import sources_of
from anabranch.models.model import Model

if TYPE_CHECKING:
    from anabranch.graph import Tensor as Symbol
    from anabranch.runtime import Tensor

Path_ = str | os.PathLike[str]
ActivationLike = str | Callable[..., Any] | None
IMAGENET = "imagenet"
Function: TypeAlias = Any  # one with a name, a docstring and what it wraps
CLASSES = 1000
GOOGLE = "https://storage.googleapis.com/tensorflow/keras-applications/"

ARGUMENTS = {
    "include_top": "whether the classifier at the end is there.",
    "weights": 'None for initial values, ``"imagenet"`` for the published ones, or the path of a file that ``save_weights`` or '
    "Keras wrote, or of a checkpoint of torchvision or timm (``.pth``, ``.pt``, ``.safetensors``) where the arithmetic is "
    "the same. Published files are looked for in the folder ``models`` of ``$ANABRANCH_DATA``, or else of ``$KERAS_HOME`` "
    "or ``~/.keras``, under Keras's names, and fetched from Keras's address where they are not there.",
    "input_tensor": "a symbolic tensor to begin with; a new Input unless given.",
    "input_shape": "the shape of an image, (H, W, C).",
    "pooling": 'without the classifier: ``"avg"`` or ``"max"`` over all positions, or None for (B, H, W, C).',
    "classes": "how many classes there are.",
    "classifier_activation": "the classifier's activation; None for logits.",
    "name": "the model's name.",
    "include_preprocessing": "whether the model itself scales pixels from 0 to 255 as it wants them.",
    "alpha": "a factor of the widths.",
}
RAISES = """Raises:
    DownloadError: the published weights are neither there nor to be had; the message says where to put the file.
    ArgumentError: arguments that exclude each other."""


class Published(NamedTuple):
    """An official file of weights: its address, its name in Keras's cache, its md5 or sha256 ("" where there is none)."""

    url: str
    hash: str = ""
    name: str = ""


class Rules(NamedTuple):
    """What holds of one network.

    Args:
        size: the height and width of its images unless others are given.
        least: the least height and width.
        files: the published files with and without classifier.
        pooled: whether the pooling at the end is named.
        torchvision: the module of torchvision for the path of a layer; or why its weights do not fit.
        timm: the same of timm.
    """

    size: int
    least: int
    files: tuple[Published, Published] | None = None
    pooled: bool = True
    torchvision: _torchvision.Correspondence = _torchvision.NONE
    timm: _torchvision.Correspondence = _timm.NONE


class Wanted(NamedTuple):
    """The arguments that all networks have."""

    include_top: bool
    weights: Path_ | None
    input_tensor: Tensor | None
    input_shape: Sequence[int | None] | None
    pooling: str | None
    classes: int
    classifier_activation: ActivationLike
    name: str


class Builder(Protocol):
    """A function that builds one network."""

    def __call__(
        self,
        include_top: bool = True,
        weights: Path_ | None = IMAGENET,
        input_tensor: Tensor | None = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = CLASSES,
        classifier_activation: ActivationLike = "softmax",
        name: str = ...,
    ) -> Model:
        """Return the model."""


Top = Callable[["Tensor", int, ActivationLike], "Tensor"]
Body = Callable[["Tensor"], "Tensor"]


def standard(
    word: str, doc: str, name: str, rules: Rules, body: Body, params: int, top: Top | None = None
) -> Builder:  # fmt: skip
    """Return the function ``word`` that builds a network of a body and a classifier."""

    def build(wanted: Wanted) -> Model:
        x = begin(wanted, rules)
        return finish(wanted, rules, x, body(x), top or classify)

    return with_standard_arguments(word, doc, name, build, params)


def with_standard_arguments(word: str, doc: str, name: str, build: Callable[[Wanted], Model], params: int) -> Builder:
    """Return the function ``word`` that takes the arguments of most networks, and builds one."""

    @checked
    def given(
        include_top: bool = True,
        weights: Path_ | None = IMAGENET,
        input_tensor: Tensor | None = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = CLASSES,
        classifier_activation: ActivationLike = "softmax",
        name: str = name,
    ) -> Model:
        return build(Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name))

    found: Builder = named(given, word, doc, params)
    return found


def named(build: Function, word: str, doc: str, params: int) -> Function:
    """Give a function its name and its docstring, with all arguments, what it raises, and an example."""
    for each in (build, build.__wrapped__):
        each.__name__ = each.__qualname__ = word
        each.__module__ = __package__
    example = f"\n\nExample:\n    >>> {word}(weights=None).count_params()\n    {params}"
    build.__doc__ = completed(doc + example, build.__wrapped__, ARGUMENTS, RAISES)
    return build


def begin(wanted: Wanted, rules: Rules, *, any_size: bool = False) -> Tensor:
    """Check the arguments, and return the tensor that the network begins with; ``any_size``: also with its classifier."""
    weights = wanted.weights
    if not (weights is None or weights == IMAGENET or os.path.exists(weights)):
        raise FileError(
            f"weights is no file: {shown(weights)}.", expected="None, 'imagenet' or the path of a file of weights",
            repair="Model.save_weights writes such a file",
        )  # fmt: skip
    if not is_integer(wanted.classes) or wanted.classes < 1:
        raise ArgumentError("classes must be an integer ≥ 1.", got=shown(wanted.classes))
    if wanted.pooling not in (None, "avg", "max"):
        raise ArgumentError("pooling must be None, 'avg' or 'max'.", got=shown(wanted.pooling))
    if weights is not None and wanted.include_top:
        _check_classifier(wanted)
    shape = shape_of_images(wanted.input_shape, rules, wanted.include_top and not any_size, weights == IMAGENET)
    if wanted.input_tensor is None:
        return layers.Input(shape)
    return layers.Input(tensor=wanted.input_tensor)


def _check_classifier(wanted: Wanted) -> None:
    if wanted.weights == IMAGENET and wanted.classes != CLASSES:
        raise ArgumentError(
            "The published classifier has 1,000 classes.", got=f"classes={wanted.classes}",
            repair="include_top=False, and a layer of your own after it",
        )  # fmt: skip
    if wanted.classifier_activation not in (None, "softmax", "linear", activations.softmax, activations.linear):
        raise ArgumentError(
            "Trained classifiers end with softmax or with logits.", expected="classifier_activation='softmax' or None",
            got=shown(wanted.classifier_activation),
        )  # fmt: skip


def shape_of_images(
    given: Sequence[int | None] | None, rules: Rules, needs_size: bool, published: bool = False
) -> tuple[int | None, ...]:
    """Return the shape of an image: as given, or this network's own where the classifier or published weights need it."""
    at = channels_at()
    channels = given[at] if given is not None and len(given) == 3 and not published else 3
    if channels not in (1, 3):
        warn(f"This network usually takes images of 1 or 3 channels; input_shape has {channels}.")
    own = (rules.size, rules.size, channels) if at else (channels, rules.size, rules.size)
    if given is None:
        return own if needs_size else (None, None, 3) if at else (3, None, None)
    shape = tuple(given)
    if published and needs_size and shape != own:
        raise ShapeError(
            "The published weights with classifier are for images of one size.", expected=f"input_shape={own}", got=str(shape),
            repair="include_top=False takes images of other sizes",
        )  # fmt: skip
    if len(shape) != 3 or (published and shape[at] != 3):
        raise ShapeError("input_shape must be (H, W, C), with three channels for published weights.", got=str(shape))
    sizes = [size for axis, size in enumerate(shape) if axis != at % 3]
    if any(size is not None and size < rules.least for size in sizes):
        raise ShapeError(
            "The images are too small for this network.", expected=f"at least {rules.least} × {rules.least}", got=str(shape)
        )
    if needs_size and None in shape:
        raise ShapeError(
            "The classifier needs images of one size.", got=f"input_shape={shape}", repair="give sizes, or include_top=False"
        )
    return shape


def classify(x: Tensor, classes: int, activation: ActivationLike) -> Tensor:
    """Return probabilities: the mean over all positions, then a Dense layer."""
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


def classify_unnamed(x: Tensor, classes: int, activation: ActivationLike) -> Tensor:
    """Do the same; the layer of the mean has no name of its own."""
    return layers.Dense(classes, activation=activation, name="predictions")(layers.GlobalAveragePooling2D()(x))


def finish(
    wanted: Wanted, rules: Rules, start: Tensor, x: Tensor, top: Top = classify, last: Callable[[Tensor], Tensor] | None = None
) -> Model:
    """Return the model, with its classifier or its pooling, and with its weights; ``last`` comes after the pooling."""
    if wanted.include_top:
        x = top(x, wanted.classes, wanted.classifier_activation)
    else:
        x = x if wanted.pooling is None else pooled(x, wanted.pooling, rules.pooled)
        x = x if last is None else last(x)
    inputs = start if wanted.input_tensor is None else sources_of(cast("Symbol", wanted.input_tensor))
    model = Model(inputs, x, name=wanted.name)
    if wanted.weights is not None:
        published = rules.files[not wanted.include_top] if wanted.weights == IMAGENET and rules.files else None
        if published is not None:
            model.load_weights(file_of(published))
        elif Path(wanted.weights).suffix in CHECKPOINTS:
            load_checkpoint(model, wanted.weights, rules.torchvision, rules.timm)
        else:
            model.load_weights(str(wanted.weights))
    return model


def pooled(x: Tensor, pooling: str, with_name: bool = True) -> Tensor:
    """Return the mean or the maximum over all positions."""
    kind = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
    return kind(name=f"{pooling}_pool" if with_name else None)(x)


def file_of(published: Published) -> str:
    """Return the path of a published file, which is fetched where it is not there."""
    remote = Remote(published.url, published.hash)
    path = Path(cache_folder()) / "models" / (published.name or remote.name)
    stored(remote, path)
    return str(path)


def channels_at() -> int:
    """Return the axis of channels in the shape of an image."""
    return -1 if config.image_data_format() == "channels_last" else 0


def axis() -> int:
    """Return the axis of channels in (B, H, W, C), counted from the start."""
    return 3 if config.image_data_format() == "channels_last" else 1


def last_axis() -> int:
    """Return the axis of channels in (B, H, W, C), counted from the end where it is the last."""
    return -1 if config.image_data_format() == "channels_last" else 1


def even_padding(x: Tensor, kernel: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding before a convolution of stride 2 after which sizes are halved as by padding "same" of TensorFlow."""
    first = 2 if axis() == 1 else 1
    half = kernel // 2
    sizes = x.shape[first : first + 2]
    before = [half - 1 if size is None or sizes[0] is None else half - 1 + size % 2 for size in sizes]
    return (before[0], half), (before[1], half)


def divisible(value: float, divisor: int = 8) -> int:
    """Return the multiple of ``divisor`` next to a width, at least 90 % of it (Sandler et al. 2018, their code).

    >>> divisible(32 * 0.35), divisible(24)
    (16, 24)
    """
    found = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return found + divisor if found < 0.9 * value else found
