"""Changes of valid files: of their bytes, of the JSON in them, of a zip's members, of what a header declares."""

from __future__ import annotations

import copy
import io
import json
import random
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

Mutation = Callable[[random.Random, bytes], bytes]

LONG = 60_000  # bytes that a mutated file has at most
NAMES = [
    "Dense", "Conv2D", "Embedding", "Lambda", "InputLayer", "Functional", "Sequential", "Add", "GetItem", "Zeros", "Ones",
    "Eye", "Arange", "Repeat", "Tile", "Pad", "Reshape", "BroadcastTo", "Linspace", "Map", "WhileLoop", "Cond", "function",
    "TorchModule", "TorchModuleWrapper", "Adam", "Popen", "__lambda__", "__tuple__", "__numpy__", "__tensor__", "__slice__",
    "__ellipsis__", "__typespec__", "__carried__", "__keras_tensor__", "relu", "glorot_uniform", "Normalization",
    "RandomCrop", "UpSampling2D", "ZeroPadding2D", "RepeatVector", "CategoryEncoding", "Discretization",
]  # fmt: skip
MODULES = [
    "keras.layers", "keras", "keras.ops", "keras.src.ops.numpy", "keras.src.models.functional", "builtins", "os", "torch",
    "keras.initializers", "keras.losses", "keras.activations", "anabranch.layers", "", "keras..", "keras.config",
]  # fmt: skip
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 7, 2**31, 2**63, -(2**70), 10**12, 1e308, float("nan"), float("inf"), 0.5, "", "a", "\0",
    "../../x", "float32", "bfloat16", "complex64", "string", "same", "\ud800", "x" * 300, [], {}, [[]], [None, 4], [0, 0, 0],
    [10**6, 10**6, 10**6], [-1, 4], {"class_name": "Dense", "config": {"units": 2}}, [["a", 0, 0]], ["dense", 0, 0],
    {"class_name": "__numpy__", "config": {"value": [[1.0]], "dtype": "float32"}},
    {"class_name": "__tuple__", "config": {"value": [1, 2]}}, {"value": [1], "dtype": "O"},
]  # fmt: skip


def of_bytes(rng: random.Random, data: bytes) -> bytes:
    """Change, drop, repeat or cut some bytes, most often near the beginning or the end, where headers are."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        size = len(found)
        reach = rng.choice((64, 512, size)) if size else 1
        at = min(rng.randrange(reach), size)
        at = size - at if rng.random() < 0.4 else at
        match rng.randrange(7):
            case 0 if at < size:
                found[at] ^= 1 << rng.randrange(8)
            case 1 if at < size:
                found[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                found[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, 40)))
            case 3:
                del found[at : at + rng.choice((1, 2, 4, 8, 100))]
            case 4:
                found[at : at + 8] = struct.pack("<Q", rng.choice((0, 1, 2**16, 2**31, 2**32 - 1, 2**63, 2**64 - 1)))
            case 5:
                found[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 2**16, 2**31, 2**32 - 1)))
            case _:
                other = rng.randrange(size + 1)
                found[at:at] = found[other : other + rng.choice((4, 30, 200))]
    if rng.random() < 0.1:
        del found[rng.randrange(len(found) + 1) :]
    return bytes(found[:LONG])


def of_json(rng: random.Random, data: bytes) -> bytes:
    """Change some values, keys or places of JSON; what is none, or nested too deeply, is changed as bytes."""
    try:
        return json.dumps(_changed(rng, json.loads(data))).encode()[:LONG]
    except (ValueError, RecursionError):
        return of_bytes(rng, data)


def _changed(rng: random.Random, tree: Any) -> Any:
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        places = list(_places(tree))
        if not places:
            return copy.deepcopy(rng.choice(ODD))
        holder, key = rng.choice(places)
        match rng.randrange(8):
            case 0 | 1:
                holder[key] = copy.deepcopy(rng.choice(ODD))
            case 2:
                holder[key] = rng.choice(NAMES if key != "module" else MODULES)
            case 3:
                del holder[key]
            case 4:
                other, at = rng.choice(places)
                holder[key] = json.loads(json.dumps(other[at]))
            case 5 if isinstance(holder[key], (int, float)):
                holder[key] = holder[key] * rng.choice((-1, 0, 2, 10**9)) + rng.choice((0, 1, -1))
            case 6 if isinstance(holder, list):
                holder.insert(key, json.loads(json.dumps(holder[key])))
            case 6:
                holder[rng.choice(("name", "dtype", "config", "extra", "shared_object_id"))] = copy.deepcopy(rng.choice(ODD))
            case _:
                for _ in range(rng.choice((1, 3, 60, 900))):
                    holder[key] = [holder[key]]
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    stack = [tree]
    while stack:
        item = stack.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        for key in keys:
            yield item, key
            stack.append(item[key])


def of_safetensors(rng: random.Random, data: bytes) -> bytes:
    """Change what the header declares, its length with it or not; or the bytes."""
    if rng.random() < 0.3 or len(data) < 8:
        return of_bytes(rng, data)
    size = min(struct.unpack("<Q", data[:8])[0], len(data))
    header = of_json(rng, data[8 : 8 + size])
    declared = len(header) if rng.random() < 0.9 else rng.choice((0, 1, max(0, len(header) - 1), 2**31, 2**63))
    return struct.pack("<Q", declared) + header + data[8 + size :]


def of_zip(rng: random.Random, data: bytes) -> bytes:
    """Change a zip's members, their names, compression and flags; or the bytes."""
    if rng.random() < 0.5:
        return of_bytes(rng, data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:  # whatever an earlier change did
        return of_bytes(rng, data)
    names = ["config.json", "metadata.json", "model.weights.h5", "../evil", "/etc/evil", "assets/x", "a\\b", "", "x" * 300]
    match rng.randrange(5):
        case 0 if members:
            del members[rng.randrange(len(members))]
        case 1:
            members.append((rng.choice(names), rng.choice((b"", b"{}", b" " * 9000))))
        case 2 if members:
            number = rng.randrange(len(members))
            members[number] = rng.choice(names), members[number][1]
        case _ if members:
            number = rng.randrange(len(members))
            name, content = members[number]
            members[number] = name, (of_json if name.endswith(".json") else of_bytes)(rng, content)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", rng.choice((0, 0, 8, 12))) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            info = zipfile.ZipInfo(name or "a")
            info.external_attr = rng.choice((0, 0, 0, 0o120777 << 16))
            archive.writestr(info, content, rng.choice((None, None, 8)))
    found = buffer.getvalue()
    return of_bytes(rng, found) if rng.random() < 0.2 else found
