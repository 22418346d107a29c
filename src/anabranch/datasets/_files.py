"""A file of any address, fetched once into a folder, its archive unpacked: ``utils.get_file``."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from anabranch import config
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, FileFormatError
from anabranch.datasets._fetch import Remote, algorithm, alone, digest, fetch

LARGEST = 1 << 42  # bytes; whoever gives an address knows what is there
_FORMATS = ("auto", "tar", "zip")


def cache_folder() -> Path:
    """Return where files are fetched to: ``$ANABRANCH_DATA``, or Keras's own folder, ``$KERAS_HOME`` or ``~/.keras``."""
    if os.environ.get("ANABRANCH_DATA"):
        return config.data_folder()
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


@checked
def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str | os.PathLike[str] = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Return the path of a file, fetching it where it is not there yet; or the folder that its archive is unpacked into.

    What is cut off is continued. A member of an archive that would be written outside of the folder is refused, and nothing is
    unpacked. An archive is unpacked where its folder is not there or its file is new.

    Args:
        fname: the file's name; that of the address unless given. Without a dot it is also the name of the folder.
        origin: the address.
        untar: the older word for ``extract=True`` of a tar archive.
        md5_hash: the older word for ``file_hash``.
        file_hash: the md5 or sha256 that the file must have. A file that is there with another one is fetched again.
        cache_subdir: the folder inside ``cache_dir``.
        hash_algorithm: ``"md5"``, ``"sha256"``, or ``"auto"``, by the length of ``file_hash``.
        extract: whether to unpack the file, a tar or zip archive.
        archive_format: ``"auto"``, ``"tar"``, ``"zip"``, a list of these, or None, which unpacks nothing.
        cache_dir: the folder of fetched files: ``$ANABRANCH_DATA``, or ``$KERAS_HOME``, or ``~/.keras`` unless given.
        force_download: whether to fetch the file even if it is there.

    Raises:
        DownloadError: neither file nor network; the message says where to put the file.
        FileFormatError: the file is not the one whose hash is given, or no archive, or one that reaches outside its folder.

    Example:
        >>> import pathlib, tempfile
        >>> source = pathlib.Path(tempfile.mkdtemp(), "words.txt")
        >>> _ = source.write_text("one two")
        >>> path = get_file(origin=source.as_uri(), cache_dir=tempfile.mkdtemp())
        >>> pathlib.Path(path).read_text()
        'one two'
    """
    if not origin:
        raise ArgumentError("get_file needs the file's address.", expected="origin='https://…'", got=shown(origin))
    published = file_hash if file_hash is not None else md5_hash or ""
    if hash_algorithm not in ("auto", algorithm(published)) and published:
        raise ArgumentError(
            "hash_algorithm is not what file_hash was made by.",
            expected="'md5' (32 digits), 'sha256' (64 digits) or 'auto'",
            got=f"{shown(hash_algorithm)}, {len(published)} digits",
        )
    kinds = _kinds("tar" if untar else archive_format)
    folder = Path(cache_dir or cache_folder()).expanduser() / cache_subdir
    unpacks = extract or untar
    path, unpacked = _targets(folder, _name(fname, origin), fname is not None, unpacks)
    fresh = stored(Remote(origin, published.lower(), largest=LARGEST), path, force_download)
    if not unpacks or not kinds:
        return str(unpacked if unpacks else path)
    if fresh or not unpacked.exists():
        with alone(path):
            if fresh or not unpacked.exists():
                unpack(path, unpacked, kinds)
    return str(unpacked)


def stored(remote: Remote, path: Path, again: bool = False) -> bool:
    """Fetch a file to ``path`` where it is not there, or is another one; return whether it was fetched."""

    def wanted() -> bool:
        return again or not path.exists() or digest(path, remote.md5) != remote.md5

    if not wanted():
        return False
    with alone(path):
        if wanted():
            fetch(remote, path)
            return True
    return False


def _kinds(archive_format: str | Sequence[str] | None) -> tuple[str, ...]:
    kinds = (archive_format,) if isinstance(archive_format, str) else tuple(archive_format or ())
    for kind in kinds:
        if kind not in _FORMATS:
            raise ArgumentError(
                "Unknown archive_format.", expected="'auto', 'tar', 'zip', a list of these, None", got=shown(kind)
            )
    return ("tar", "zip") if "auto" in kinds else kinds


def _name(fname: str | os.PathLike[str] | None, origin: str) -> str:
    from urllib.parse import urlsplit

    name = os.fspath(fname) if fname else PurePosixPath(urlsplit(origin).path).name
    if not name or name != os.path.basename(name) or name in (".", ".."):
        raise ArgumentError(
            "fname must be a file's name, without folders." if name else "The address ends in no file's name.",
            got=shown(name or origin),
            repair="cache_dir= and cache_subdir= name folders" if name else "pass fname=",
        )
    return name


def _targets(folder: Path, name: str, given: bool, unpacks: bool) -> tuple[Path, Path]:
    """Return where the file goes and where it is unpacked to, as Keras names them."""
    if not unpacks:
        return folder / name, folder
    if given and "." in name:
        return folder / name, folder / f"{name.partition('.')[0]}_extracted"
    return folder / f"{name}_archive", folder / name


def unpack(path: Path, folder: Path, kinds: Sequence[str] = ("tar", "zip")) -> None:
    """Unpack an archive beside ``folder`` and give it that name once it is whole; other files that are there stay."""
    part = folder.with_name(f"{folder.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        if "tar" in kinds and tarfile.is_tarfile(path):
            _unpack_tar(path, part)
        elif "zip" in kinds and zipfile.is_zipfile(path):
            _unpack_zip(path, part)
        else:
            raise FileFormatError(f"{path} is no archive that can be unpacked.", expected=" or ".join(kinds))
        if folder.exists():
            shutil.copytree(part, folder, symlinks=True, dirs_exist_ok=True)
        else:
            part.replace(folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(
            f"{path} cannot be unpacked: it is damaged, or a member reaches outside of its folder.", got=str(error)[:200]
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _unpack_tar(path: Path, part: Path) -> None:
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        for member in members:
            _check(path, part, member.name)
        part.mkdir(parents=True, exist_ok=True)
        if "data_filter" in vars(tarfile):
            tar.extractall(part, members, filter="data")  # which refuses links that reach outside, and devices
        else:  # before Python 3.11.4
            tar.extractall(part, [member for member in members if member.isreg() or member.isdir()])


def _unpack_zip(path: Path, part: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            _check(path, part, name)
        part.mkdir(parents=True, exist_ok=True)
        archive.extractall(part)


def _check(path: Path, part: Path, name: str) -> None:
    """Refuse a member whose name leads out of the folder."""
    root = part.resolve()
    if not (root / name).resolve().is_relative_to(root) or os.path.isabs(name):
        raise FileFormatError(
            f"{path} was not unpacked: a member would be written outside of its folder.",
            got=shown(name),
            repair="use another archive; this one may mean harm",
        )
