"""Files that are missing, damaged, in the way, or on a full disk."""

from __future__ import annotations

import functools
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nonsense.target import Target, function
from nonsense.values import WRONG
from small_model import data, made

import anabranch as ab
from anabranch import callbacks, datasets, layers, saving


def _saved(name: str = "w.safetensors") -> Path:
    saving.save_weights(made(ab), name)
    return Path(name)


def _free(name: str) -> Path:
    """Return a path with nothing there."""
    path = Path(name)
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    return path


def _folder(name: str) -> str:
    _free(name).mkdir()
    return name


def _written(content: bytes, name: str = "damaged.safetensors") -> str:
    Path(name).write_bytes(content)
    return name


def _cut(part: float, name: str = "damaged.safetensors") -> str:
    content = _saved("whole" + "".join(Path(name).suffixes)).read_bytes()
    return _written(content[: int(len(content) * part)], name)


def _of_another_model() -> str:
    x = ab.Input((3,))
    ab.Model(x, layers.Dense(7)(x)).save_weights("other.safetensors")
    return "other.safetensors"


def _turned() -> str:
    content = bytearray(_saved().read_bytes())
    content[0:8] = (2**62).to_bytes(8, "little")
    return _written(bytes(content))


def _arrays() -> str:
    np.savez("w.npz", a=np.ones(3))
    return "w.npz"


def _model() -> Path:
    made(ab).save("whole.keras")
    return Path("whole.keras")


def _part(part: float) -> str:
    content = _model().read_bytes()
    return _written(content[: int(len(content) * part)], "part.keras")


def _idx() -> Path:
    with gzip.open("three.gz", "wb") as file:
        file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3]))
    return Path("three.gz")


READ: dict[str, Callable[[], Any]] = {
    "missing": lambda: "missing.safetensors", "in a missing folder": lambda: "missing/w.safetensors",
    "a folder": lambda: _folder("folder.safetensors"), "empty": lambda: _written(b""), "text": lambda: _written(b"weights" * 9),
    "half": lambda: _cut(0.5), "all but the end": lambda: _cut(0.99), "eight bytes": lambda: _written(b"\0" * 8),
    "a header of 2**62 bytes": _turned, "another model's": _of_another_model, "an archive of arrays": _arrays,
    "/dev/null": lambda: "/dev/null", "pickle": lambda: _written(b"\x80\x04K\x01.", "w.pt"),
    "h5": lambda: _written(b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "w.weights.h5"), "w/o suffix": lambda: _written(b"a", "w"),
    "half of a .weights.h5": lambda: _cut(0.5, "half.weights.h5"),
    "a folder of the name of a .weights.h5": lambda: _folder("folder.weights.h5"),
    "a NUL in the name": lambda: "a\0.safetensors", "a name of 5,000 letters": lambda: "a" * 5000 + ".safetensors",
}  # fmt: skip


READ_MODEL: dict[str, Callable[[], Any]] = {
    "missing": lambda: "missing.keras", "a folder": lambda: _folder("folder.keras"), "empty": lambda: _written(b"", "e.keras"),
    "half": lambda: _part(0.5), "all but the end": lambda: _part(0.99), "text": lambda: _written(b"model" * 9, "t.keras"),
    "/dev/null": lambda: "/dev/null", "h5": lambda: _written(b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "m.h5"),
    "weights": _saved, "a NUL in the name": lambda: "a\0.keras", "a name of 5,000 letters": lambda: "a" * 5000 + ".keras",
}  # fmt: skip


def _inside_a_file(name: str) -> str:
    Path("file").write_bytes(b"")
    return f"file/{name}"


def written(name: str) -> dict[str, Callable[[], Any]]:
    """Return the places where a file of that name cannot be written, or can."""
    return {
        "/dev/full": lambda: "/dev/full", "a folder": lambda: _folder(name), "in a missing folder": lambda: f"missing/{name}",
        "in a file's place": lambda: _inside_a_file(name), "a full disk under its name": lambda: _linked(name),
        "a name of 5,000 letters": lambda: "a" * 5000 + name, "no suffix": lambda: "w",
    }  # fmt: skip


def _linked(name: str) -> str:
    _free(name).symlink_to("/dev/full")
    return name


def _editor() -> Iterator[Target]:
    def opened() -> saving.KerasFileEditor:
        return saving.KerasFileEditor(_saved("w.weights.h5"))

    name = "saving.KerasFileEditor"
    yield Target(name, saving.KerasFileEditor, lambda: {"filepath": _saved("w.weights.h5")}, ("filepath",))
    added = {"weights": {"7": np.ones(2)}}
    right: dict[str, Callable[[], Any]] = {
        "rename_object": lambda: {"object_name": "layers/dense", "new_name": "other"},
        "delete_object": lambda: {"object_name": "dense"}, "add_object": lambda: {"object_path": "layers/more", **added},
        "add_weights": lambda: {"object_name": "dense", **added}, "save": lambda: {"filepath": "edited.weights.h5"},
        "delete_weight": lambda: {"object_name": "dense", "weight_name": "0"}, "summary": lambda: {"print_fn": str},
        "resave_weights": lambda: {"filepath": "edited.weights.h5"},
        "compare": lambda: {"reference_model": made(ab), "print_fn": str},
    }  # fmt: skip
    for word, given in right.items():
        called = functools.partial(lambda word, **given: getattr(opened(), word)(**given), word)
        yield Target(f"KerasFileEditor.{word}", called, given, tuple(given()))


def files() -> Iterator[Target]:
    """Yield what reads and writes files."""
    yield Target("Model.load_weights", lambda filepath: made(ab).load_weights(filepath), lambda: {"filepath": _saved()},
                 ("filepath",), values=READ)  # fmt: skip
    yield Target("saving.load_weights", lambda filepath: saving.load_weights(made(ab), filepath),
                 lambda: {"filepath": _saved()}, ("filepath",), values=READ)  # fmt: skip
    weights = written("w.safetensors")
    for values in (weights, written("w.weights.h5")):
        yield Target("Model.save_weights", lambda filepath: made(ab).save_weights(filepath),
                     lambda: {"filepath": "w.safetensors"}, ("filepath",), values=values)  # fmt: skip

    whole = written("w.keras")

    def saved(**given: Any) -> None:
        ab.models.save_model(**{"model": made(ab), **given})

    for name, save in (("Model.save", lambda **given: made(ab).save(**given)), ("models.save_model", saved)):
        yield Target(name, save, lambda: {"filepath": "w.keras"}, ("filepath",), values=whole)
        options = ("filepath", "overwrite", "zipped", "include_optimizer")
        yield Target(name, save, lambda: {"filepath": "w.keras"}, options)
    yield Target("models.save_model", ab.models.save_model, lambda: {"model": made(ab), "filepath": "w.keras"}, ("model",))
    right = lambda: {"filepath": _model()}  # noqa: E731
    yield function("models.load_model", ab.models.load_model, right)
    yield Target("models.load_model", ab.models.load_model, right, ("filepath",), values=READ_MODEL)

    def fitted(callback: Any) -> None:
        made(ab).fit(*data(8), epochs=2, verbose=0, callbacks=[callback])

    yield Target("callbacks.ModelCheckpoint", lambda filepath: fitted(callbacks.ModelCheckpoint(filepath)),
                 lambda: {"filepath": "w.safetensors"}, ("filepath",), values=weights)  # fmt: skip
    for append in (False, True):

        def logged(filename: Any, append: bool = append) -> None:
            fitted(callbacks.CSVLogger(filename, append=append))

        yield Target("callbacks.CSVLogger", logged, lambda: {"filename": "log.csv"}, ("filename",), values=written("log.csv"))
    yield from _editor()
    trained = lambda: {"source": {"0.weight": torch.ones(1, 1)}}  # noqa: E731
    arguments = ("source", "mapping", "skip_mismatch")
    yield Target("Model.load_torch_weights", lambda **given: made(ab).load_torch_weights(**given), trained, arguments)
    yield function("exchange.match_torch_weights", ab.exchange.match_torch_weights, lambda: {"model": made(ab), **trained()})
    yield Target("Model.to_torch", lambda source: made(ab).to_torch(source=source), lambda: {"source": "net.py"}, ("source",),
                 values=written("net.py"))  # fmt: skip
    for values in (READ, WRONG):
        yield Target("datasets.mnist.read_idx", lambda path: datasets.mnist.read_idx(path), lambda: {"path": _idx()}, ("path",),
                     values=values)  # fmt: skip
