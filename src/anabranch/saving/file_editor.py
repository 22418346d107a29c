"""``KerasFileEditor``: the weights of a file as a tree of objects that can be renamed, removed, added and saved again."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, printable, unknown
from anabranch._files import reached
from anabranch._frames import bound_methods
from anabranch.registry import Json
from anabranch.saving import archive, contents, files, hdf5, keras_file, keras_state, narrow, weights
from anabranch.saving.hdf5 import Group
from anabranch.saving.matching import Stored

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_OWN = "vars"  # the group of an object's own arrays in a file; objects are shown without it


@bound_methods
class KerasFileEditor:
    """Inspect, edit and save again the weights in a ``.keras`` or ``.weights.h5`` file.

    Objects are layers and what holds them, by path (``layers/dense_2``) or, where no other has it, by its last part. Their
    weights are ``"0"``, ``"1"``, …. Nothing in the file is run; it is read whole and not changed before ``save``.

    Args:
        filepath: the file.

    Raises:
        FileFormatError: the file is damaged.

    Example:
        >>> from anabranch import Sequential, layers, saving
        >>> Sequential([layers.Input((4,)), layers.Dense(2, name="head")]).save_weights("w.weights.h5")
        >>> editor = saving.KerasFileEditor("w.weights.h5")
        >>> editor.rename_object("layers/dense", "dense_1")
        >>> editor.summary()
        layers
        └─ dense_1 ('head')
           ├─ 0: (4, 2) float32
           └─ 1: (2,) float32
        >>> editor.save("renamed.weights.h5")
    """

    @checked
    def __init__(self, filepath: str | Path) -> None:
        path = Path(filepath)
        if not path.name.endswith((weights.WHOLE, weights.HDF5)):
            raise ArgumentError(
                "An editor opens files of Keras's.",
                expected=f"a name ending in {weights.WHOLE} or {weights.HDF5}",
                got=str(filepath),
            )
        self.filepath = str(filepath)
        self.config: dict[str, Json] | None = None
        self.metadata: dict[str, Json] | None = None
        self._members: dict[str, bytes] = {}
        with reached("read", path):
            data = path.read_bytes()
        if path.name.endswith(weights.WHOLE):
            self._members = archive.read(data, self.filepath)
            self.config, self.metadata = keras_file.texts(self._members, self.filepath)
            data = self._members.pop(archive.WEIGHTS)
        found = hdf5.contents(data, self.filepath, ("name",))
        self._names = {_object(path): texts["name"][0] for path, texts in found.texts.items() if texts.get("name")}
        self._objects: dict[str, dict[str, Stored]] = {}
        for place, array in found.arrays.items():
            group, _, name = place.rpartition("/")
            self._objects.setdefault(_object(group), {})[name] = array

    @property
    def weights_dict(self) -> dict[str, Any]:
        """The weights as dicts in dicts, read from the file, as in Keras."""
        tree: dict[str, Any] = {}
        for path, held in self._objects.items():
            place = tree
            for part in path.split("/") if path else ():
                place = place.setdefault(part, {})
            place.update({name: array.read() for name, array in held.items()})
        return tree

    @property
    def object_metadata(self) -> dict[str, dict[str, str]]:
        """The names of layers by their objects' paths, each of which begins with ``/``, as in Keras."""
        return {f"/{path}" if path else "": {"name": name} for path, name in self._names.items()}

    @checked
    def summary(self, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print the tree of objects and weights.

        Args:
            print_fn: takes the text in place of ``print``.
        """
        (print_fn or _print)("\n".join(self._lines()))

    def _lines(self) -> Iterator[str]:
        children: dict[str, list[str]] = {}
        for path in sorted(self._paths(), key=contents.natural):
            children.setdefault(path.rpartition("/")[0] if path else "-", []).append(path)
        stack = [("", "", path) for path in reversed(children.get("", []))]
        yield from (_line("", "", name, array) for name, array in self._objects.get("", {}).items())
        while stack:
            before, branch, path = stack.pop()
            name = f" ('{self._names[path]}')" if path in self._names else ""
            yield contents.plain_path(f"{before}{branch}{path.rpartition('/')[2]}{name}")
            inner = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
            own, below = self._objects.get(path, {}), children.get(path, [])
            for position, key in enumerate(sorted(own, key=contents.natural), 1 + len(below)):
                yield _line(inner, "└─ " if position == len(own) + len(below) and not below else "├─ ", key, own[key])
            stack += reversed([(inner, "└─ " if child == below[-1] else "├─ ", child) for child in below])

    @checked
    def compare(self, reference_model: keras_state.Compiled, print_fn: Callable[[str], Any] | None = None) -> dict[str, Any]:
        """Compare the weights with those of a model; the differences are printed.

        Args:
            reference_model: the model.
            print_fn: takes the text in place of ``print``.

        Returns:
            ``status`` (``"success"`` or ``"error"``), ``error_count`` (objects that only one side has, weights of other shapes)
            and ``match_count``.
        """
        weights.check_model(reference_model, "compare")
        theirs: dict[str, dict[str, Stored]] = {}
        for path, _, arrays in keras_state.groups(reference_model):
            if arrays:
                theirs[_object(path)] = dict(arrays)
        lines, matches = [], 0
        for path in [*theirs, *(path for path in self._objects if path not in theirs)]:
            ours, others = self._objects.get(path), theirs.get(path)
            if ours is None or others is None:
                lines.append(f"/{path} is only in the {'model' if ours is None else 'file'}")
                continue
            for name in [*others, *(name for name in ours if name not in others)]:
                shapes = [side[name].shape if name in side else None for side in (ours, others)]
                if shapes[0] == shapes[1]:
                    matches += 1
                else:
                    lines.append(f"/{path}/{name}: {shapes[0] or 'missing'} in the file, {shapes[1] or 'missing'} in the model")
        end = f"{matches} weights match, {len(lines)} differences"
        (print_fn or _print)("\n".join([*map(contents.plain_path, lines), end]))
        return {"status": "error" if lines else "success", "error_count": len(lines), "match_count": matches}

    @checked
    def rename_object(self, object_name: str, new_name: str) -> None:
        """Rename an object, with all that is in it.

        Args:
            object_name: its path or name.
            new_name: its new name, the last part of the new path.
        """
        path = self._found(object_name)
        parent = path.rpartition("/")[0]
        if not new_name or "/" in new_name:
            raise ArgumentError("The new name is the last part of a path.", got=shown(new_name))
        goal = f"{parent}/{new_name}" if parent else new_name
        self._check_free(goal)
        self._objects = {_moved(each, path, goal): held for each, held in self._objects.items()}
        self._names = {_moved(each, path, goal): name for each, name in self._names.items()}

    @checked
    def delete_object(self, object_name: str) -> None:
        """Remove an object, with all that is in it.

        Args:
            object_name: its path or name.
        """
        path = self._found(object_name)
        self._objects = {each: held for each, held in self._objects.items() if not _inside(each, path)}
        self._names = {each: name for each, name in self._names.items() if not _inside(each, path)}

    @checked
    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Add an object where none is.

        Args:
            object_path: its path, in an object that is there.
            weights: its weights by name: ``"0"``, ``"1"``, ….
        """
        parent = object_path.rpartition("/")[0]
        if parent and parent not in self._paths():
            raise unknown("path", parent, self._paths())
        self._check_free(object_path)
        self._objects[object_path] = _as_stored(weights)

    @checked
    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Add weights to an object, or replace some.

        Args:
            object_name: its path or name.
            weights: the weights by name: ``"0"``, ``"1"``, ….
        """
        path = self._found(object_name)
        self._objects.setdefault(path, {}).update(_as_stored(weights))

    @checked
    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Remove one weight of an object.

        Args:
            object_name: its path or name.
            weight_name: such as ``"0"``.
        """
        held = self._objects.get(self._found(object_name), {})
        if weight_name not in held:
            raise unknown("weight", weight_name, held)
        del held[weight_name]

    @checked
    def save(self, filepath: str | Path) -> None:
        """Write the edited weights to a file, which appears under its name only when it is whole.

        Args:
            filepath: the file, whose name ends in ``.weights.h5``; or in ``.keras``, with the model, where one is edited.
        """
        path = Path(filepath)
        groups = [Group(f"{place}/{_OWN}".lstrip("/"), self._names.get(place), held) for place, held in self._objects.items()]
        if path.name.endswith(weights.WHOLE) and self._members:
            files.write(path, archive.written({**self._members, archive.WEIGHTS: hdf5.written(groups)}))
        elif path.name.endswith(weights.HDF5):
            files.write(path, hdf5.written(groups))
        else:
            endings = f"{weights.HDF5} or {weights.WHOLE}" if self._members else weights.HDF5
            raise ArgumentError(
                "Edited weights are saved as Keras has them.", expected=f"a name ending in {endings}", got=str(path)
            )

    def resave_weights(self, filepath: str | Path) -> None:
        """Write the edited weights to a file, as ``save`` does.

        Args:
            filepath: the file.
        """
        self.save(filepath)

    def _paths(self) -> set[str]:
        """Return every object's path, and those of what holds it."""
        found = set()
        for path in self._objects:
            parts = path.split("/")
            found |= {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
        return found - {""}

    def _found(self, name: str) -> str:
        """Return the path of an object that is given by path or by the last part of it."""
        paths = self._paths()
        alike = [name] if "/" in name else sorted(path for path in paths if path.rpartition("/")[2] == name)
        if len(alike) > 1:
            raise ArgumentError(f"Several objects are called {name!r}.", got=", ".join(alike)[:400], repair="give a path")
        if not alike or alike[0] not in paths:
            raise unknown("object", name, sorted(paths))
        return alike[0]

    def _check_free(self, path: str) -> None:
        if path in self._paths() or not all(path.split("/")):
            raise ArgumentError("An object of that path is there already, or it is no path.", got=shown(path))


def _object(group: str) -> str:
    return group.removesuffix(_OWN).rstrip("/") if group.rpartition("/")[2] == _OWN else group


def _inside(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/")


def _moved(path: str, old: str, new: str) -> str:
    return new + path[len(old) :] if _inside(path, old) else path


def _line(before: str, branch: str, name: str, array: Stored) -> str:
    return contents.plain_path(f"{before}{branch}{name}: {array.shape} {array.dtype}")


def _as_stored(given: Mapping[str, Any]) -> dict[str, Stored]:
    import numpy as np

    found = {}
    for name, value in given.items():
        if not isinstance(name, str) or not name or "/" in name:
            raise ArgumentError("A weight's name is a text without /.", expected="'0', '1', …", got=shown(name))
        array = np.asarray(value)
        dtype = array.dtype.name
        if dtype in narrow.BITS:
            array = array.astype("float32")
        elif array.dtype.kind not in "fiub":
            raise ArgumentTypeError(f"Weight {name!r} is no array of numbers.", got=shown(value))
        found[name] = Stored(array.shape, functools.partial(np.array, array), dtype)
    return found


def _print(text: str) -> None:
    sys.stdout.write(printable(text) + "\n")
