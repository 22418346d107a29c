"""From one format of weights to another, array by array, without torch: a model is described only where paths need one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from anabranch._errors import ArgumentError, FileFormatError
from anabranch.graph import Operation
from anabranch.registry import Json
from anabranch.saving import archive, files, hdf5, keras_file, keras_paths, matching, reading, weights
from anabranch.saving.hdf5 import Group
from anabranch.saving.matching import Stored, Wanted


def convert(
    source: str | Path, target: str | Path, model: str | Path | None = None, max_shard_size: float | None = None
) -> str:
    """Write the weights of a file in the format that another name ends in, and return a sentence that says so.

    Args:
        source: a ``.keras`` file or one of weights.
        target: the file that is written.
        model: a ``.keras`` file whose model has these weights; needed where paths here become Keras's, and for a ``.keras``
            file from weights alone.
        max_shard_size: how many GB of values a file holds at most.

    Raises:
        FileFormatError: the source is damaged, or its weights are not those of the model.
    """
    origin = weights.checked_name(Path(source), reading=True)
    goal = Path(target) if str(target).endswith(weights.WHOLE) else weights.checked_name(Path(target))
    if max_shard_size is not None and goal.name.endswith(weights.WHOLE):
        raise ArgumentError("A .keras file is one file.", got=f"max_shard_size={max_shard_size}")
    goal = goal if max_shard_size is None else weights.index_name(goal, max_shard_size)
    like = Path(model) if model is not None else origin if origin.name.endswith(weights.WHOLE) else None
    with weights.opened(origin) as stored:
        arrays = _arrays(stored, origin, goal, like)
        groups = _grouped(arrays, goal.name.endswith(weights.BY_PATH))
        if goal.name.endswith(weights.WHOLE):
            if like is None:
                raise _needs_model("A .keras file has a model, which weights do not describe.")
            files.write(goal, archive.written({**archive.of_file(like), archive.WEIGHTS: hdf5.written(groups)}))
        else:
            weights.write(goal, groups, max_shard_size)
    left = len(stored) - len(arrays)
    return f"{goal}: {len(arrays)} arrays" + (f"; {left} of the optimizer were left out" if left else "")


def _arrays(stored: Mapping[str, Stored], origin: Path, goal: Path, like: Path | None) -> dict[str, Stored]:
    """Return the arrays under the paths that the target has."""
    by_path = goal.name.endswith(weights.BY_PATH)
    keras_form = weights.in_keras_form(stored)
    if keras_form and (like is None or not by_path):  # whose paths serve in every format
        if like is not None and like != origin:
            _paths(like, stored, str(origin), keras_form)  # are they of this model?
        return dict(stored)
    if like is None:
        if by_path:
            return dict(stored)
        raise _needs_model(f"{origin} has weights by path here, and {goal.name} wants Keras's paths.")
    names = _paths(like, stored, str(origin), keras_form)
    return {(pair[1] if by_path else pair[0]): stored[pair[not keras_form]] for pair in names}


def _needs_model(fact: str) -> ArgumentError:
    return ArgumentError(fact, repair="give a .keras file of the model: model=, or --model FILE.keras")


def _paths(like: Path, stored: Mapping[str, Stored], source: str, keras_form: bool) -> list[tuple[str, str]]:
    """Return Keras's path and ours of each weight of the model in a file, which must have just these arrays."""
    config, _ = keras_file.texts(archive.of_file(like), str(like))
    build: Json = config.pop("build_config", None)
    config.pop("compile_config", None)
    model = reading.model_of(config, build, None, None, str(like), archive.CONFIG)
    if isinstance(model, reading.LayerHolder):
        raise FileFormatError(f"{like} describes no model.", got=f"a {type(model).__name__}")
    ours = {weight: path for path, weight in weights.weight_paths(model).items()}
    pairs = {}
    for path, _, held in keras_paths.owned(cast("Operation", model)):
        for index, weight in enumerate(held):
            pair = (f"{path}/{index}", ours[weight])
            pairs[pair] = Wanted(weight, pair[0], path)
    wanted = {pair[not keras_form]: each for pair, each in pairs.items()}
    arrays = {path: each for path, each in stored.items() if not path.startswith("optimizer/")}
    differences = matching.differences(wanted, arrays)
    if differences:
        raise FileFormatError(f"The weights in {source} are not those of the model in {like}.", got=differences)
    return list(pairs)


def _grouped(arrays: Mapping[str, Stored], by_path: bool) -> list[Group]:
    """Return arrays by path as groups: one for each array in files that have paths alone."""
    if by_path:
        return [Group("", None, {path: array}) for path, array in arrays.items()]
    groups: dict[str, dict[str, Stored]] = {}
    for path, array in arrays.items():
        group, _, name = path.rpartition("/")
        groups.setdefault(group, {})[name] = array
    return [Group(path, None, held) for path, held in groups.items()]
