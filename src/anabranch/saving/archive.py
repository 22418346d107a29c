"""A zip of known members and of layers' files, in memory: what is declared is compared with what is stored first."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from anabranch._errors import FileFormatError
from anabranch._files import reached

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
MEMBERS = (METADATA, CONFIG, WEIGHTS)
ASSETS = "assets/"
MOST_TEXT = 1 << 28  # bytes of JSON
UNSUSPICIOUS = 1 << 26  # bytes that a member may unpack to whatever it takes in the file
MOST_EXPANSION = 100
MOST_MEMBERS, MOST_NAME, MOST_PARTS = 4096, 512, 32
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError, KeyError)


def written(members: Mapping[str, bytes]) -> bytes:
    """Return a zip of these members, stored as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def of_file(path: Path) -> dict[str, bytes]:
    """Return the members of a zip that is a file, as ``read`` does."""
    with reached("read", path):
        data = path.read_bytes()
    return read(data, str(path))


def read(data: bytes, source: str) -> dict[str, bytes]:
    """Return the members of a zip.

    Args:
        data: the zip.
        source: what errors call it.

    Raises:
        FileFormatError: the zip is damaged, or has members that are neither known nor files of layers, twice there, encrypted,
            links, or far larger than the file.
    """
    if not data.startswith(b"PK"):
        raise FileFormatError(f"{source} is no .keras file: it is no zip.", got=repr(data[:16]))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check(infos, len(data), source)
            return {info.filename: _member(archive, info) for info in infos}
    except FileFormatError:
        raise
    except _DAMAGE as error:
        raise FileFormatError(f"{source} is damaged or cut short.", got=f"{type(error).__name__}: {error}"[:200]) from error


def _check(infos: list[zipfile.ZipInfo], size: int, source: str) -> None:
    names = [info.filename for info in infos]
    unknown = [name for name in names if name not in MEMBERS and not _is_asset(name)]
    if unknown:
        raise FileFormatError(
            f"{source} has members that no model has.", expected=", ".join(MEMBERS), got=", ".join(map(repr, unknown[:8]))[:200]
        )
    if len(set(names)) != len(names):
        raise FileFormatError(f"{source} has a member twice.", got=", ".join(names[:8]))
    whole = sum(info.file_size for info in infos)
    if len(names) > MOST_MEMBERS or whole > MOST_EXPANSION * max(UNSUSPICIOUS, size):
        raise FileFormatError(
            f"{source} unpacks to far more than it holds.", got=f"{len(names):,} members of {whole:,} bytes from {size:,}"
        )
    for info in infos:
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileFormatError(f"{info.filename} in {source} is encrypted, or packed as no .keras file is.")
        if stat.S_ISLNK(info.external_attr >> 16) or info.is_dir():
            raise FileFormatError(f"{info.filename} in {source} is no file.")
        most = max(UNSUSPICIOUS, MOST_EXPANSION * info.compress_size)
        if info.compress_size > size or info.file_size > (most if info.filename == WEIGHTS else min(most, MOST_TEXT)):
            raise FileFormatError(
                f"{info.filename} in {source} unpacks to far more than the file holds.",
                got=f"{info.file_size:,} bytes from {info.compress_size:,}",
            )


def _is_asset(name: str) -> bool:
    r"""Return whether a member is a file of a layer's, whose name leads nowhere else on any system.

    >>> [_is_asset(name) for name in ("assets/layers/lookup/words.txt", "assets/../x", "assets//x", "assets/a\\b", "x")]
    [True, False, False, False, False]
    """
    parts = name.split("/")
    plain = all(part.strip(". ") and not set(part) & set('\\:*?"<>|') and part.isprintable() for part in parts)
    return len(parts) > 1 and f"{parts[0]}/" == ASSETS and plain and len(name) <= MOST_NAME and len(parts) <= MOST_PARTS


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        found = file.read(info.file_size + 1)
    if len(found) != info.file_size:
        raise EOFError(f"{info.filename} has {len(found):,} bytes in the place of {info.file_size:,}")
    return found
