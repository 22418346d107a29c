"""Files that layers keep beside their weights in a ``.keras`` file: what ``save_assets`` wrote, and ``load_assets`` reads.

They pass through a temporary folder, which is removed: ``assets/layers/lookup/words.txt`` of the file becomes
``layers/lookup/words.txt`` there, and the layer is given the folder ``layers/lookup``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from anabranch._asked import method
from anabranch._errors import ArgumentError, FileFormatError
from anabranch.graph import Operation
from anabranch.saving import keras_paths
from anabranch.saving.archive import ASSETS


def written(model: Operation) -> dict[str, bytes]:
    """Return the members of a file that a model's layers write."""
    layers = [(path, layer) for path, layer in _layers(model) if method(layer, "save_assets")]
    if not layers:
        return {}
    with tempfile.TemporaryDirectory(prefix="anabranch-") as name:
        folder = Path(name)
        for path, layer in layers:
            place = folder / path
            place.mkdir(parents=True, exist_ok=True)
            save = method(layer, "save_assets")
            if save is not None:
                save(str(place))
        found = sorted(each for each in folder.rglob("*") if not each.is_dir() or each.is_symlink())
        for each in found:
            if each.is_symlink() or not each.is_file():
                raise ArgumentError(
                    f"save_assets wrote {each.name!r}, which is no file of its own.", repair="write a copy of it"
                )
        return {f"{ASSETS}{each.relative_to(folder).as_posix()}": each.read_bytes() for each in found}


def load(model: Operation, members: Mapping[str, bytes], source: str) -> None:
    """Give layers the files that are theirs.

    Args:
        model: the model.
        members: of the file; only checked names begin with ``assets/``.
        source: what errors call the file.

    Raises:
        FileFormatError: some are of layers that have no ``load_assets``.
    """
    layers = {path: layer for path, layer in _layers(model) if method(layer, "load_assets")}
    files = {name.removeprefix(ASSETS): data for name, data in members.items() if name.startswith(ASSETS)}
    lost = [name for name in files if not any(name.startswith(f"{path}/" if path else "") for path in layers)]
    if lost:
        raise FileFormatError(
            f"{source} holds files of layers beside their weights, such as vocabularies, which no layer here reads.",
            expected="a layer with load_assets(folder) in their place", got=", ".join(map(repr, lost[:8]))[:200],
            repair="pass a class that has it in custom_objects; or build the model, and load its weights alone",
        )  # fmt: skip
    if not layers:
        return
    with tempfile.TemporaryDirectory(prefix="anabranch-") as name:
        folder = Path(name)
        for path in layers:
            (folder / path).mkdir(parents=True, exist_ok=True)
        for path, data in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        for path, layer in layers.items():
            read = method(layer, "load_assets")
            if read is not None:
                read(str(folder / path))


def _layers(model: Operation) -> Iterator[tuple[str, Operation]]:
    """Yield layers with their folders, as Keras names them; the model's own is the whole."""
    for path, layer, _ in keras_paths.owned(model):
        yield path.removesuffix("vars").rstrip("/"), layer
