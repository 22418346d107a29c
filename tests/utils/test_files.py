"""``get_file``: fetched once, checked, unpacked where it belongs and nowhere else. Pictures as arrays, beside Keras."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from file_server import Server, packed, serving

from anabranch import config, preprocessing, utils
from anabranch._errors import ArgumentError, DataError, DownloadError, FileError, FileFormatError

PIXELS = np.random.default_rng(0).uniform(0, 255, (9, 12, 3)).astype("float32")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("ANABRANCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "datasets"


def test_a_file_is_fetched_once(server: Server, folder: Path) -> None:
    server.add("words.txt", b"one two")
    for _ in range(2):
        assert utils.get_file("words.txt", server.url + "words.txt") == str(folder / "words.txt")
    assert (folder / "words.txt").read_text() == "one two"
    assert len(server.ranges) == 1
    utils.get_file(origin=server.url + "words.txt", force_download=True)
    assert len(server.ranges) == 2


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_file_with_another_hash_is_fetched_again(server: Server, folder: Path, kind: str) -> None:
    server.add("a.bin", b"right")
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"wrong")
    right = hashlib.new(kind, b"right").hexdigest()
    path = utils.get_file(origin=server.url + "a.bin", file_hash=right, hash_algorithm=kind)
    assert Path(path).read_bytes() == b"right"
    with pytest.raises(FileFormatError, match="not the published file") as caught:
        utils.get_file(origin=server.url + "a.bin", file_hash=right[::-1])
    assert right[::-1] in str(caught.value)
    assert Path(path).read_bytes() == b"right"  # what was there stays


def test_without_a_network_the_message_says_where_to_put_the_file(server: Server, folder: Path) -> None:
    with pytest.raises(DownloadError, match="could not be fetched") as caught:
        utils.get_file(origin=server.url + "none.txt")
    assert str(folder) in str(caught.value)
    assert "(md5" not in str(caught.value)


@pytest.mark.parametrize(("given", "inside"), [(None, "flowers.tgz"), ("flowers", "flowers"), ("f.tgz", "f_extracted")])
def test_archives_go_where_keras_puts_them(server: Server, folder: Path, given: str | None, inside: str) -> None:
    server.add("flowers.tgz", packed({"flowers/a.txt": b"a"}))
    found = utils.get_file(given, server.url + "flowers.tgz", extract=True)
    assert found == str(folder / inside)
    assert (Path(found) / "flowers/a.txt").read_bytes() == b"a"
    (Path(found) / "flowers/a.txt").write_bytes(b"changed")
    utils.get_file(given, server.url + "flowers.tgz", untar=True)
    assert (Path(found) / "flowers/a.txt").read_bytes() == b"changed"  # not unpacked again


def zipped(names: list[str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


def linked() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "../../.."
        tar.addfile(link)
        inner = tarfile.TarInfo("link/evil.txt")
        tar.addfile(inner, io.BytesIO(b""))
    return out.getvalue()


@pytest.mark.parametrize("data", [
    packed({"fine.txt": b"x", "../evil.txt": b"x"}), packed({"/tmp/anabranch-evil.txt": b"x"}), linked(),
    zipped(["fine.txt", "../evil.txt"]), zipped(["a/../../evil.txt"]), b"no archive",
])  # fmt: skip
def test_what_reaches_outside_of_its_folder_is_not_unpacked(server: Server, folder: Path, data: bytes) -> None:
    server.add("a.tgz", data)
    with pytest.raises(FileFormatError):
        utils.get_file(origin=server.url + "a.tgz", extract=True)
    assert sorted(path.name for path in folder.parent.rglob("*") if path.suffix != ".lock") == ["a.tgz_archive", "datasets"]
    assert not list(folder.parents[1].glob("*evil*"))


def test_mistakes() -> None:
    for wrong in (
        {},
        {"origin": "http://x/"},
        {"origin": "http://x/a", "fname": "a/b"},
        {"origin": "http://x/a", "fname": ".."},
    ):
        with pytest.raises(ArgumentError):
            utils.get_file(**wrong)
    with pytest.raises(ArgumentError, match="archive_format"):
        utils.get_file(origin="http://x/a", extract=True, archive_format="rar")
    with pytest.raises(ArgumentError, match="hash_algorithm"):
        utils.get_file(origin="http://x/a", file_hash="0" * 32, hash_algorithm="sha256")


# Pictures


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_arrays_and_images_are_keras_s(channels: int, scale: bool, layout: str, keras: Any) -> None:
    array = np.random.default_rng(channels).uniform(3, 200, (5, 7, channels)).astype("float32")
    array = array.transpose(2, 0, 1) if layout == "channels_first" else array
    ours, theirs = (lib.array_to_img(array, layout, scale) for lib in (utils, keras.utils))
    assert (ours.mode, ours.size, ours.tobytes()) == (theirs.mode, theirs.size, theirs.tobytes())
    back, other = (lib.img_to_array(theirs, layout, "float64") for lib in (utils, keras.utils))
    np.testing.assert_array_equal(back, other)
    assert back.dtype == "float64"
    assert utils.array_to_img(torch.from_numpy(np.array(array)), layout, scale).tobytes() == theirs.tobytes()


def test_the_array_that_is_given_stays_as_it_is() -> None:
    array = PIXELS.copy()
    utils.array_to_img(array)
    np.testing.assert_array_equal(array, PIXELS)


@pytest.mark.parametrize("mode", ["grayscale", "rgb", "rgba"])
@pytest.mark.parametrize("how", [
    {}, {"target_size": (6, 6)}, {"target_size": (20, 8), "interpolation": "bicubic"},
    {"target_size": (6, 20), "interpolation": "lanczos", "keep_aspect_ratio": True},
])  # fmt: skip
def test_pictures_are_read_as_keras_reads_them(tmp_path: Path, mode: str, how: dict[str, Any], keras: Any) -> None:
    path = tmp_path / "a.png"
    utils.save_img(path, PIXELS, scale=False)
    ours, theirs = (lib.load_img(path, color_mode=mode, **how) for lib in (utils, keras.utils))
    assert (ours.mode, ours.size, ours.tobytes()) == (theirs.mode, theirs.size, theirs.tobytes())
    assert utils.load_img(io.BytesIO(path.read_bytes()), mode, **how).tobytes() == theirs.tobytes()


@pytest.mark.parametrize(("name", "kind"), [("a.jpg", None), ("a.PNG", None), ("a", "bmp"), ("a.gif", "jpg")])
def test_pictures_are_written(tmp_path: Path, name: str, kind: str | None) -> None:
    array = np.full((8, 8, 4), 200.0)
    utils.save_img(tmp_path / name, array, file_format=kind, scale=False)
    assert np.abs(utils.img_to_array(utils.load_img(tmp_path / name)) - 200).max() < 3


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    with pytest.raises(FileFormatError, match="no picture"):
        utils.load_img(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError) as caught:
        utils.load_img(tmp_path / "b.png")
    assert isinstance(caught.value, FileError)
    with pytest.raises(DataError, match="channels"):
        utils.array_to_img(np.ones((2, 2, 5)))
    with pytest.raises(ArgumentError, match="color_mode"):
        utils.load_img(tmp_path / "a.png", "cmyk")
    with pytest.raises(ArgumentError, match="writes no such format"):
        utils.save_img(tmp_path / "a.xyz", PIXELS)


@pytest.mark.parametrize("size", [(4, 4), (20, 6), (3, 30)])
@pytest.mark.parametrize("batch", [True, False])
def test_smart_resize(size: tuple[int, int], batch: bool, keras: Any) -> None:
    x = PIXELS[None] if batch else PIXELS
    ours, theirs = (lib.image.smart_resize(x, size) for lib in (preprocessing, keras.preprocessing))
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert isinstance(ours, np.ndarray)
    assert isinstance(preprocessing.image.smart_resize(torch.from_numpy(x), size), torch.Tensor)


def test_the_layout_of_the_process_is_meant() -> None:
    config.set_image_data_format("channels_first")
    try:
        assert utils.img_to_array(utils.array_to_img(PIXELS.transpose(2, 0, 1))).shape == (3, 9, 12)
    finally:
        config.set_image_data_format("channels_last")
