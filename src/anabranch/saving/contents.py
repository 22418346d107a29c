"""What a file of a model or of weights holds, as text, without building or running anything of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from anabranch._files import reached
from anabranch._tables import Column, Table, aligned, terminal_width
from anabranch.registry import Json
from anabranch.saving import archive, keras_file, legacy_h5, weights
from anabranch.saving.matching import Stored

_LONGEST = 60  # letters of a text that a file gives
_KERAS_TENSOR = "__keras_tensor__"


class _Layer(NamedTuple):
    """One row of the architecture."""

    name: str
    kind: str
    inputs: str


def described(filepath: str | Path) -> str:
    """Return a table of a file: versions, layers, what compile took, classes of the user's, arrays.

    Raises:
        FileFormatError: the file is damaged.
    """
    path = Path(filepath)
    head: list[tuple[str, str]] = []
    config: dict[str, Json] = {}
    if path.name.endswith(weights.WHOLE):
        config, head = _of_keras_file(path)
    elif path.suffix in legacy_h5.ENDINGS and not path.name.endswith(weights.HDF5):
        config, head = _of_legacy(path)
    custom = sorted(set(_custom_classes(config)))
    if custom:
        head.append(("custom", ", ".join(custom)))
    with weights.opened(weights.checked_name(path, reading=True)) as arrays:
        ordered = (
            arrays if path.name.endswith(weights.BY_PATH) else dict(sorted(arrays.items(), key=lambda item: natural(item[0])))
        )
        parts = [aligned(head, terminal_width()), _layers_table(config), _arrays_table(ordered)]
    return "\n\n".join(part for part in parts if part)


def _of_keras_file(path: Path) -> tuple[dict[str, Json], list[tuple[str, str]]]:
    config, metadata = keras_file.texts(archive.of_file(path), str(path))
    ours = metadata.get("anabranch")
    head = [("keras", _plain(metadata.get("keras_version"))), ("saved", _plain(metadata.get("date_saved")))]
    if isinstance(ours, dict):
        head.append(("anabranch", f"{_plain(ours.get('version'))}, format {_plain(ours.get('format'))}"))
    return config, [*head, ("compiled", _compiled(config.get("compile_config")))]


def _of_legacy(path: Path) -> tuple[dict[str, Json], list[tuple[str, str]]]:
    with reached("read", path), path.open("rb") as file:
        legacy = legacy_h5.read(file, str(path))
    if legacy is None:
        return {}, []
    return legacy.config or {}, [("form", "of Keras 2"), ("compiled", _compiled(legacy.training))]


def _compiled(config: Json) -> str:
    """Return what ``compile`` took, in a line."""
    if not isinstance(config, dict) or not config:
        return "no"
    parts = {key: config.get(key, config.get(f"{key}_config")) for key in ("optimizer", "loss", "metrics")}
    return ", ".join(f"{key} {_name(value)}" for key, value in parts.items() if value)


def _name(value: Json) -> str:
    if isinstance(value, dict):
        inner = value.get("config")
        named = isinstance(inner, str) and value.get("class_name") == "function"
        return _plain(inner if named else value.get("class_name", ", ".join(map(_plain, value))))
    return ", ".join(map(_name, value)) if isinstance(value, list) and len(value) < 20 else _plain(value)


def _plain(text: object) -> str:
    """Return a text from a file in one short line, without characters that a terminal acts on."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in str(text)[: _LONGEST + 1])
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


def _nested(root: Json) -> Iterator[Json]:
    """Yield everything in JSON, however deep."""
    stack: list[Json] = [root]
    while stack:
        item = stack.pop()
        yield item
        stack += reversed(list(item.values()) if isinstance(item, dict) else item if isinstance(item, list) else [])


def _custom_classes(config: Json) -> Iterator[str]:
    """Yield the registered names of classes that are not Keras's."""
    for item in _nested(config):
        if (
            isinstance(item, dict)
            and isinstance(name := item.get("registered_name"), str)
            and isinstance(item.get("config"), dict)
        ):
            module = item.get("module")
            if not (isinstance(module, str) and module.partition(".")[0] in ("keras", "builtins", "anabranch")):
                yield _plain(name)


def _layers_table(config: Mapping[str, Json]) -> str:
    rows = list(_layers(config))
    return aligned([("layer", "class", "inputs"), *rows], terminal_width()) if rows else ""


def _layers(config: Mapping[str, Json]) -> Iterator[_Layer]:
    """Yield the layers of a model, those of nested models indented below it."""
    stack: list[tuple[int, Json]] = [(-1, dict(config))]
    while stack:
        depth, entry = stack.pop()
        if not isinstance(entry, dict):
            continue
        inner = entry.get("config")
        inside = inner.get("layers") if isinstance(inner, dict) else inner if isinstance(inner, list) else None
        if depth >= 0:
            name = entry.get("name") or (inner.get("name") if isinstance(inner, dict) else "")
            inputs = ", ".join(dict.fromkeys(map(_plain, _inbound(entry.get("inbound_nodes")))))
            yield _Layer("  " * min(depth, 20) + _plain(name), _plain(entry.get("class_name")), inputs)
        if isinstance(inside, list):
            stack += [(depth + 1, each) for each in reversed(inside)]


def _inbound(nodes: Json) -> Iterator[str]:
    """Yield the names of the layers that a layer's calls take, as Keras 3 writes them or as Keras 2 did."""
    for item in _nested(nodes):
        if isinstance(item, dict) and item.get("class_name") == _KERAS_TENSOR and isinstance(item.get("config"), dict):
            history = item["config"].get("keras_history")
            if isinstance(history, list) and history:
                yield str(history[0])
        elif isinstance(item, list) and len(item) == 4 and isinstance(item[0], str) and isinstance(item[1], int):
            yield item[0]


def _arrays_table(arrays: Mapping[str, Stored]) -> str:
    rows = [(plain_path(path), str(each.shape), each.dtype, f"{_size(each):,}") for path, each in arrays.items()]
    total = sum(map(_size, arrays.values()))
    table = Table([Column("array"), Column("shape"), Column("type"), Column("bytes", right=True)], rows)
    return "\n".join([table.text(terminal_width()), f"{len(rows):,} arrays, {total:,} bytes"])


def natural(path: str) -> list[tuple[int, str]]:
    """Return what paths are ordered by: ``vars/2`` before ``vars/10``."""
    return [(len(part), part) if part.isdecimal() else (0, part) for part in re.split(r"([0-9]+)", path)]


def plain_path(path: str) -> str:
    """Return a text from a file without characters that a terminal acts on."""
    return "".join(letter if letter.isprintable() else "?" for letter in path)


def _size(array: Stored) -> int:
    try:
        return array.nbytes
    except TypeError:  # a type that no weight has
        return 0
