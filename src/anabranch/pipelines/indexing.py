"""Files in folders, one a class: their paths, their labels, and which part of them is for training."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch

from anabranch import config
from anabranch._asked import is_number, shown
from anabranch._errors import ArgumentError, DataError, FileError
from anabranch.callbacks._say import say
from anabranch.pipelines.pipeline import AUTOTUNE, Element, Pipeline

LABEL_MODES = ("int", "categorical", "binary", None)
Labels = Sequence[int] | str | None
Made: TypeAlias = Any
"""A pipeline, or a pair of them."""
ARGUMENTS = {
    "directory": 'the folder; with ``labels="inferred"`` it has a folder for each class.',
    "labels": '``"inferred"`` from the folders, None for no labels, or a list of class indices, one for each file in the '
    "order of their paths.",
    "label_mode": '``"int"`` for class indices, ``"categorical"`` for one-hot rows, ``"binary"`` for 0.0 or 1.0 (B, 1), None '
    "for no labels.",
    "class_names": "the names of the folders in another order than the alphabet's, or some of them.",
    "batch_size": "files per batch; None for single files.",
    "shuffle": "whether files are shuffled, in each pass anew; else they are in the order of their paths.",
    "seed": "the seed of that order; it follows from the global seed unless given.",
    "validation_split": "the fraction of files that is for validation, the last ones.",
    "subset": '``"training"``, ``"validation"``, or ``"both"``, which returns both.',
    "follow_links": "whether links to folders are followed.",
    "verbose": "whether the counts of files and classes are shown.",
    "format": "without effect: what is returned is a pipeline of torch's tensors.",
}
RAISES = """Returns:
    A pipeline of batches ``(x, y)``, or of x, with ``class_names`` and ``file_paths``; two with ``subset="both"``.

Raises:
    FileError: the folder cannot be read.
    DataError: there are no such files, or not as many as labels.
    ArgumentError: arguments that exclude each other."""


class Request(NamedTuple):
    """The arguments that all kinds of files share."""

    directory: str | os.PathLike[str]
    labels: Labels
    label_mode: str | None
    class_names: Sequence[str] | None
    batch_size: int | None
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: str | None
    follow_links: bool
    verbose: bool


class Files(NamedTuple):
    """Paths, class indices (None without labels) and names of the classes."""

    paths: list[str]
    labels: np.ndarray[Any, Any] | None
    names: list[str] | None


def pipelines(
    request: Request, endings: tuple[str, ...], read: Callable[[str], Any], stack: Callable[[list[Any]], Any] | None = None
) -> Made:
    """Return the pipeline of the files, or the pair of them, of what ``read`` makes of a path; ``stack`` makes batches."""
    _check(request)
    if request.labels is None or request.label_mode is None:
        request = request._replace(labels=None, label_mode=None)
    seed = config.seed() if request.seed is None else int(request.seed)
    files = index(request, endings, seed)
    if request.label_mode == "binary" and len(files.names or ()) != 2:
        raise ArgumentError(
            "Binary labels need two classes.", got=f"{len(files.names or ())} classes: {', '.join(files.names or ())[:200]}"
        )
    if request.subset == "both":
        parts = [_part(files, request, name) for name in ("training", "validation")]
        return tuple(
            _pipeline(part, request._replace(shuffle=request.shuffle and not number), seed, read, stack)
            for number, part in enumerate(parts)
        )
    return _pipeline(_part(files, request, request.subset), request, seed, read, stack)


def _check(request: Request) -> None:
    labels, split, subset = request.labels, request.validation_split, request.subset
    if request.label_mode not in LABEL_MODES:
        raise ArgumentError(
            "Unknown label_mode.", expected="'int', 'categorical', 'binary' or None", got=shown(request.label_mode)
        )
    if isinstance(labels, str) and labels != "inferred":
        raise ArgumentError("labels must be 'inferred', a list of class indices, or None.", got=shown(labels))
    if request.class_names is not None and (labels != "inferred" or request.label_mode is None):
        raise ArgumentError(
            "class_names orders the labels of folders.", expected="labels='inferred', and a label_mode",
            got=f"labels={shown(labels)}, label_mode={request.label_mode!r}",
        )  # fmt: skip
    if split is not None and not (is_number(split) and 0 < split < 1):
        raise ArgumentError("validation_split must be between 0 and 1.", got=shown(split))
    if subset not in (None, "training", "validation", "both") or (split is None) != (subset is None):
        raise ArgumentError(
            "validation_split and subset go together.",
            expected="subset='training', 'validation' or 'both'",
            got=f"subset={subset!r}",
        )
    if split and request.shuffle and request.seed is None and subset != "both":
        raise ArgumentError(
            "Two calls would divide the files differently.", expected="seed= where files are shuffled and divided",
            repair="give both calls one seed, or shuffle=False, or subset='both'",
        )  # fmt: skip


def index(request: Request, endings: tuple[str, ...], seed: int) -> Files:
    """Return the files of a folder, shuffled as Keras shuffles them."""
    root = Path(request.directory)
    try:
        names = sorted(each.name for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError as error:
        raise FileError.of(error, f"The folder {root} cannot be read.", got=error.strerror) from error
    if request.labels == "inferred":
        wanted = list(request.class_names) if request.class_names is not None else names
        if missing := [name for name in wanted if name not in names]:
            raise ArgumentError("class_names has no folder.", expected=", ".join(names)[:400], got=", ".join(missing)[:400])
        found = [(path, number) for number, name in enumerate(wanted) for path in _within(root / name, endings, request)]
        paths, labels = [path for path, _ in found], np.array([number for _, number in found], "int32")
        classes: list[str] | None = wanted
    else:
        paths, labels, classes = list(_within(root, endings, request)), None, None
        if request.labels is not None:
            labels = np.asarray(request.labels, "int32")
            classes = [str(label) for label in sorted(set(labels.tolist()))]
            if len(labels) != len(paths):
                raise DataError("There must be a label for each file.", expected=f"{len(paths)} labels", got=str(len(labels)))
    if not paths:
        hint = None if names else "labels=None, if the files are in no folders of classes"
        raise DataError(f"There are no files in {root}.", expected=f"files that end in {', '.join(endings)}", repair=hint)
    if request.verbose:
        belonging = "" if classes is None else f" belonging to {len(classes)} classes"
        say(f"Found {len(paths)} files{belonging}.")
    if request.shuffle:
        for each in (paths, labels):
            if each is not None:
                np.random.RandomState(seed % 2**32).shuffle(each)  # type: ignore[arg-type]  # a list is shuffled in place
    return Files(paths, labels, classes)


def _within(folder: Path, endings: tuple[str, ...], request: Request) -> Iterator[str]:
    for parent, _, files in sorted(os.walk(folder, followlinks=request.follow_links)):
        for name in sorted(files):
            if name.lower().endswith(endings):
                yield os.path.join(parent, name)


def _part(files: Files, request: Request, subset: str | None) -> Files:
    if subset is None:
        return files
    held = int((request.validation_split or 0) * len(files.paths))
    rows = slice(0, len(files.paths) - held) if subset == "training" else slice(len(files.paths) - held, None)
    paths = files.paths[rows]
    if not paths:
        raise DataError(
            f"No files are left for {subset}.", got=f"{len(files.paths)} files, validation_split={request.validation_split}"
        )
    if request.verbose:
        say(f"Using {len(paths)} files for {subset}.")
    return files._replace(paths=paths, labels=None if files.labels is None else files.labels[rows])


def _pipeline(
    files: Files, request: Request, seed: int, read: Callable[[str], Any], stack: Callable[[list[Any]], Any] | None
) -> Pipeline:
    labels = None if files.labels is None else encoded(files.labels, request.label_mode, len(files.names or ()))
    begin: Callable[[], Iterator[Any]] = functools.partial(iter, files.paths)
    if labels is not None:
        begin = functools.partial(zip, files.paths, labels, strict=True)
    found = Pipeline(begin, len(files.paths))
    if request.shuffle:
        found = found.shuffle(len(files.paths), seed)
    found = found.map(functools.partial(_read_both, read), num_parallel_calls=AUTOTUNE)
    if request.batch_size is not None:
        found = found.batch(request.batch_size) if stack is None else found.grouped(request.batch_size, stack)
    found.class_names, found.file_paths = files.names, list(files.paths)
    return found


def _read_both(read: Callable[[str], Any], path: str, label: torch.Tensor | None = None) -> Element:
    return read(path) if label is None else (read(path), label)


def encoded(labels: np.ndarray[Any, Any], mode: str | None, classes: int) -> torch.Tensor:
    """Return class indices (N,) int32, or one-hot rows (N, classes), or 0.0 and 1.0 (N, 1)."""
    found = torch.from_numpy(labels)
    if mode == "categorical":
        return torch.nn.functional.one_hot(found.long(), classes).float()
    return found.float()[:, None] if mode == "binary" else found
