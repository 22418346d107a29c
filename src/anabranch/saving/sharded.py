"""Weights in several files, shards, with an index in JSON: Keras's form for HDF5, Hugging Face's for safetensors."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from anabranch._errors import ArgumentError, FileFormatError
from anabranch._files import reached
from anabranch.saving import files, hdf5, safetensors_format
from anabranch.saving.hdf5 import Group
from anabranch.saving.matching import Stored

HDF5_INDEX, SAFETENSORS_INDEX = ".weights.json", ".safetensors.index.json"
INDICES = (HDF5_INDEX, SAFETENSORS_INDEX)
GIGABYTE = 1 << 30  # in which Keras counts
MOST_SHARDS = 512
MOST_INDEX = 1 << 28  # bytes of JSON
_SAVE = "anabranch_save"  # a random number in the index and in each shard of one save: shards of two saves are not mixed


class _Form(NamedTuple):
    """How a format names its shards.

    Args:
        ending: of the name of a shard.
        index_ending: of the name of the index.
        named: the name of a shard, from the name without ending, its position and how many there are.
    """

    ending: str
    index_ending: str
    named: Callable[[str, int, int], str]


_FORMS = (
    _Form(".weights.h5", HDF5_INDEX, lambda base, i, n: f"{base}_{i:05}.weights.h5"),
    _Form(".safetensors", SAFETENSORS_INDEX, lambda base, i, n: f"{base}-{i + 1:05}-of-{n:05}.safetensors"),
)


def _form(path: Path) -> _Form:
    return _FORMS[path.name.endswith(SAFETENSORS_INDEX)]


def index_of(path: Path) -> Path:
    """Return the name of the index in the place of that of a single file."""
    for form in _FORMS:
        if path.name.endswith(form.ending):
            return path.with_name(path.name.removesuffix(form.ending) + form.index_ending)
    return path


def save(path: Path, groups: Sequence[Group], most: float) -> None:
    """Write shards of at most ``most`` bytes of values each, then the index, which is renamed last.

    Args:
        path: of the index.
        groups: the arrays; for safetensors a group without a path.
        most: bytes of values in a shard.

    Raises:
        ArgumentError: an array is larger than a shard.
        FileError: a file could not be written.
    """
    form, save_id = _form(path), secrets.token_hex(8)
    shards = _split(groups, most)
    if len(shards) > MOST_SHARDS:
        raise ArgumentError(
            "max_shard_size is too small for these weights.",
            expected=f"at most {MOST_SHARDS} files",
            got=f"{len(shards)} files",
        )
    base, places = path.name.removesuffix(form.index_ending), dict[str, Any]()
    with files.Replacement() as replacement:
        for position, shard in enumerate(shards):
            name = form.named(base, position, len(shards))
            if form.index_ending == HDF5_INDEX:
                data = hdf5.written(shard, {_SAVE: save_id})
                for group in shard:
                    if group.arrays:
                        places.setdefault(f"/{group.path}", []).append(name)
            else:
                data = safetensors_format.written(_merged(shard), {_SAVE: save_id})
                places |= dict.fromkeys(_merged(shard), name)
            replacement.add(path.with_name(name), data)
        total = sum(array.nbytes for group in groups for array in group.arrays.values())
        index = {"metadata": {"total_size": total, _SAVE: save_id}, "weight_map": places}
        replacement.add(path, json.dumps(index, indent=2).encode())
        replacement.commit()


def _merged(shard: Sequence[Group]) -> dict[str, Stored]:
    return {path: array for group in shard for path, array in group.arrays.items()}


def _split(groups: Sequence[Group], most: float) -> list[list[Group]]:
    """Return the groups of each shard, filled in order; a group of several shards is in each with some of its arrays."""
    shards: list[list[Group]] = [[]]
    size = 0
    for path, name, arrays in groups:
        here: dict[str, Stored] = {}
        shards[-1].append(Group(path, name, here))
        for key, array in arrays.items():
            if array.nbytes > most:
                raise ArgumentError(
                    f"max_shard_size is less than the size of an array, {path or key!r}.", got=f"{most / GIGABYTE:.4g}",
                    repair=f"max_shard_size={math.ceil(array.nbytes / GIGABYTE * 1000) / 1000}, in GB, or more",
                )  # fmt: skip
            size += array.nbytes
            if size > most:
                here, size = {}, array.nbytes
                shards.append([Group(path, name, here)])
            here[key] = array
    return shards


def stored(path: Path, stack: contextlib.ExitStack) -> dict[str, Stored]:
    """Return the arrays of all shards by path; each is read when it is asked for.

    Args:
        path: of the index.
        stack: closes the files.

    Raises:
        FileFormatError: the index or a shard is damaged, names a file elsewhere, or they are of different saves.
    """
    form, source = _form(path), str(path)
    places, save_id = _index(path, source)
    found: dict[str, Stored] = {}
    shards = {str(name): _shard(path, name, form, source) for names in places.values() for name in names}
    for name, shard in shards.items():
        with reached("read", shard):
            file = stack.enter_context(shard.open("rb"))
        arrays, found_id = _contents(file, str(shard), form)
        if found_id != save_id:
            raise FileFormatError(
                f"{shard} and {source} are not of the same save.", expected=str(save_id), got=str(found_id)[:40],
                repair="save again: a write of several files was interrupted, or files of two models are in one folder",
            )  # fmt: skip
        for key in arrays:
            place = f"/{key.rpartition('/')[0]}" if form.index_ending == HDF5_INDEX else key
            if key in found or name not in places.get(place, ()):
                raise FileFormatError(f"{source} does not say that {shard} has {key!r}, or another shard has it too.")
        found |= arrays
    return found


def _contents(file: IO[bytes], source: str, form: _Form) -> tuple[dict[str, Stored], object]:
    """Return the arrays of a shard, and the number of its save; None where it has none."""
    if form.index_ending != HDF5_INDEX:
        arrays, words = safetensors_format.contents(file, source)
        return arrays, words.get(_SAVE)
    found = hdf5.contents(file, source, (_SAVE,))
    return found.arrays, "".join(found.texts[""].get(_SAVE, ())) or None


def _index(path: Path, source: str) -> tuple[dict[str, list[str]], object]:
    """Return in which files an index says that arrays are, and the number of its save."""
    with reached("read", path), path.open("rb") as file:
        text = file.read(MOST_INDEX + 1)
    try:
        index = json.loads(text) if len(text) <= MOST_INDEX else None
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{source} is no JSON.", got=f"{type(error).__name__}: {error}"[:200]) from error
    index = index if isinstance(index, dict) else {}
    places = index.get("weight_map")
    if not isinstance(places, dict):
        raise FileFormatError(f"{source} is no index of shards.", expected="an object with weight_map", got=str(index)[:120])
    lists = {key: names if isinstance(names, list) else [names] for key, names in places.items()}
    distinct = {str(name) for names in lists.values() for name in names}
    if len(distinct) > MOST_SHARDS:
        raise FileFormatError(f"{source} names too many files.", expected=f"at most {MOST_SHARDS}", got=str(len(distinct)))
    metadata = index.get("metadata")
    return lists, metadata.get(_SAVE) if isinstance(metadata, dict) else None


def _shard(path: Path, name: object, form: _Form, source: str) -> Path:
    """Return a shard's path, which is beside the index: a name in a file may not lead elsewhere."""
    if not isinstance(name, str) or not name.endswith(form.ending) or set(name) & set("/\\:\0"):
        raise FileFormatError(f"{source} names a file that is no shard.", expected=f"*{form.ending}", got=repr(name)[:120])
    shard = path.with_name(name)
    homes = {os.path.dirname(os.path.realpath(each)) for each in (path, path.parent / "index")}
    with reached("read", shard):
        real = os.path.realpath(shard)
        regular = stat.S_ISREG(os.stat(real).st_mode)
    if os.path.dirname(real) not in homes or not regular:  # a link to a file beside what the index itself is a link to is one
        raise FileFormatError(f"{shard} is no file beside {source}.", got=real)
    return shard
