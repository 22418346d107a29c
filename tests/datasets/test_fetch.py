"""Files through a real server: resumed, checked, unpacked safely, shared by processes; and every way in which that fails."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
import tarfile
import time
import types
from pathlib import Path
from typing import Any

import pytest
from file_server import Server, batches, md5, packed, small_cifar10

from anabranch._errors import DownloadError, FileFormatError
from anabranch.datasets import _fetch
from anabranch.datasets._fetch import Archive, Remote, file_stored, folder_stored, members

pytestmark = pytest.mark.usefixtures("folder")
DATA = bytes(range(256)) * 1200  # more than one read


def left_over(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def another_process(source: Archive, before: str = "", **options: Any) -> subprocess.Popen[str]:
    """Have another process put the folder in place; it prints its error, if any."""
    code = (
        "import json, sys\nfrom anabranch.datasets._fetch import Archive, Remote, folder_stored\n"
        f"{before}\nremote, members = json.loads(sys.argv[1])\n"
        "try:\n    folder_stored(Archive(Remote(*remote), members))\nexcept OSError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", code, json.dumps([source.remote, dict(source.members)])]
    environment = os.environ | {"PYTHONPATH": str(Path(_fetch.__file__).parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **options)


# Fetching


def test_a_file_is_fetched_once(server: Server, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    remote = server.add("a.gz", DATA, folder="inner")
    assert file_stored(remote) == folder / "inner/a.gz"
    assert (folder / "inner/a.gz").read_bytes() == DATA
    assert capfd.readouterr() == ("", "Fetching a.gz (307,200 bytes) …\n")
    file_stored(remote)
    assert server.ranges == [None]
    assert left_over(folder) == ["inner/a.gz"]


def test_a_cut_connection_is_resumed(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    remote = server.add("a.gz", DATA)
    server.cuts = [100_000, 50_000]
    assert file_stored(remote).read_bytes() == DATA
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert server.sent == [100_000, 50_000, len(DATA) - 150_000]
    assert capfd.readouterr().err.count("\n") == 1


def test_a_cut_chunked_answer_is_resumed(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    remote = server.add("a.gz", DATA)
    server.chunked, server.cuts = True, [100_000]
    assert file_stored(remote).read_bytes() == DATA
    assert server.ranges == [None, "bytes=100000-"]
    assert capfd.readouterr().err == "Fetching a.gz …\n"  # such a server does not say how much will come


def test_what_a_killed_process_left_is_continued(server: Server, folder: Path) -> None:
    source = small_cifar10(server)
    server.cuts = [100_000]
    server.hold.clear()
    part = folder / "cifar-10-binary.tar.gz.part"
    with another_process(source) as process:
        deadline = time.monotonic() + 30
        while not server.sent and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    server.hold.set()
    part.write_bytes(server.files["cifar-10-binary.tar.gz"][:70_000])  # how much was on the disk is the system's to say
    folder_stored(source)
    assert server.ranges == [None, "bytes=70000-"]
    assert not part.exists()


def test_a_whole_part_needs_only_its_name(server: Server, folder: Path) -> None:
    remote = server.add("a.gz", DATA)
    folder.mkdir()
    (folder / "a.gz.part").write_bytes(DATA)
    assert file_stored(remote).read_bytes() == DATA
    assert server.sent == []


@pytest.mark.parametrize("content", [b"x" * 1000, b"x" * len(DATA)])
def test_a_damaged_part_costs_one_fetch_from_the_start(server: Server, folder: Path, content: bytes) -> None:
    remote = server.add("a.gz", DATA)
    folder.mkdir()
    (folder / "a.gz.part").write_bytes(content)
    assert file_stored(remote).read_bytes() == DATA
    assert server.ranges == [f"bytes={len(content)}-", None]


def test_a_server_without_ranges_sends_all_again(server: Server) -> None:
    remote = server.add("a.gz", DATA)
    server.takes_ranges, server.cuts = False, [100_000]
    assert file_stored(remote).read_bytes() == DATA
    assert server.sent == [100_000, len(DATA)]


def test_an_answer_beside_the_range_is_not_appended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = server.add("a.gz", DATA)
    server.shift, server.cuts = 7, [100_000]
    assert file_stored(remote).read_bytes() == DATA
    assert server.ranges == [None, "bytes=100000-", None]


def test_a_connection_that_brings_nothing_more_is_given_up(server: Server, folder: Path) -> None:
    remote = server.add("a.gz", DATA)
    server.takes_ranges, server.cuts = False, [1000] * 100
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fetch, "PATIENCE", 2)
        with pytest.raises(DownloadError, match=r"a.gz could not be fetched: cut off after 1,000 of 307,200 bytes."):
            file_stored(remote)
    assert len(server.sent) == 3
    assert left_over(folder) == ["a.gz.part"]


def test_more_than_any_file_has_is_not_taken(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fetch, "LARGEST", 1000)
    with pytest.raises(DownloadError, match="sends more than 1,000 bytes"):
        file_stored(server.add("a.gz", DATA))
    assert (folder / "a.gz.part").stat().st_size == 0


# What is said when it fails


def test_no_network_says_how_to_get_it(folder: Path) -> None:
    source = Archive(Remote("http://127.0.0.1:9/cifar-10-binary.tar.gz", "0" * 32), {"cifar-10-batches-bin/a.bin": ""})
    with pytest.raises(DownloadError) as caught:
        folder_stored(source)
    failure = caught.value
    assert failure.fact.startswith("cifar-10-binary.tar.gz could not be fetched: [Errno ")
    assert failure.expected == f"http://127.0.0.1:9/cifar-10-binary.tar.gz (md5 {'0' * 32})"
    assert failure.repair == (
        "run again with a network, or put that file (or cifar-10-batches-bin/, unpacked from it) into "
        f"{folder}; the environment variable ANABRANCH_DATA moves the data folder, now {folder}"
    )
    assert isinstance(failure, OSError)
    with pytest.raises(DownloadError, match=r"put that\s+file\s+into\s+\S*/mnist;"):
        file_stored(Remote("http://127.0.0.1:9/a.gz", "0" * 32, "mnist"))


def test_a_name_that_no_server_answers_to() -> None:
    with pytest.raises(DownloadError, match="could not be fetched"):
        file_stored(Remote("http://no-such-server.invalid/a.gz", "0" * 32))


def test_a_file_that_is_not_on_the_server(server: Server) -> None:
    with pytest.raises(DownloadError, match=r"absent\.gz could not be fetched: Not Found"):
        file_stored(Remote(server.url + "absent.gz", "0" * 32))


def test_other_bytes_than_the_published_are_not_stored(server: Server, folder: Path) -> None:
    remote = server.add("a.gz", DATA)
    with pytest.raises(FileFormatError) as caught:
        file_stored(remote._replace(md5="0" * 32))
    assert caught.value.expected == f"md5 {'0' * 32}"
    assert caught.value.got == f"md5 {md5(DATA)}, 307,200 bytes"
    assert left_over(folder) == []


def test_a_damaged_file_is_named(server: Server, folder: Path) -> None:
    source = small_cifar10(server)
    path = folder_stored(source) / "data_batch_3.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(FileFormatError) as caught:
        folder_stored(source)
    assert str(caught.value) == (
        f"{path} is damaged.\n  expected: md5 {md5(whole)}\n  got:      md5 {md5(whole[:-1])}, 30,729 bytes\n"
        "  repair:   delete it and run again"
    )
    path.unlink()  # the repair
    folder_stored(source)
    assert path.read_bytes() == whole
    assert server.ranges == [None]


def test_a_cut_archive_that_somebody_put_there_is_named(server: Server, folder: Path) -> None:
    source = small_cifar10(server)
    folder.mkdir()
    (folder / "cifar-10-binary.tar.gz").write_bytes(server.files["cifar-10-binary.tar.gz"][:2000])
    with pytest.raises(FileFormatError, match=r"cifar-10-binary.tar.gz is damaged[\s\S]*delete it and run again"):
        folder_stored(source)
    assert left_over(folder) == ["cifar-10-binary.tar.gz"]


@pytest.mark.parametrize(("room", "name"), [(20_000, "cifar-10-binary.tar.gz.part"), (250_000, "data_batch_1.bin")])
def test_a_full_disk(server: Server, folder: Path, room: int, name: str) -> None:
    """The system refuses to let a file grow, as a full disk would: first the download, then what is unpacked."""
    files = batches() | {"cifar-10-batches-bin/data_batch_1.bin": bytes(100 * 3073)}
    remote = server.add("cifar-10-binary.tar.gz", packed(files))
    source = Archive(remote, {name: md5(data) for name, data in files.items()})
    before = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))"
    with another_process(source, before) as process:
        said, _ = process.communicate(timeout=60)
    assert f"{name} could not be written: File too large.\n  repair:   make room" in said
    assert all(path in ("cifar-10-binary.tar.gz", "cifar-10-binary.tar.gz.part") for path in left_over(folder))
    folder_stored(source)  # room was made
    assert len(left_over(folder)) == 7


def test_a_data_folder_that_cannot_be(server: Server, folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(DownloadError, match=r"could not be written: (Not a directory|File exists)[\s\S]*ANABRANCH_DATA"):
        folder_stored(small_cifar10(server))


# Archives


def test_an_unpacked_folder_serves_without_the_archive(server: Server, folder: Path) -> None:
    files = batches()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    source = Archive(Remote(server.url + "absent.tar.gz", "0" * 32), {name: md5(data) for name, data in files.items()})
    assert folder_stored(source) == folder / "cifar-10-batches-bin"
    assert server.ranges == []
    assert left_over(folder) == sorted(files)


def test_members_that_do_not_belong_stay_in_the_archive(server: Server, folder: Path) -> None:
    """Names that climb out, links and devices are never made, whatever else the archive holds."""
    files = {"./cifar-10-batches-bin/a.bin": b"a", "cifar-10-batches-bin/b.bin": b"b"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for kind, name in ((tarfile.SYMTYPE, "cifar-10-batches-bin"), (tarfile.LNKTYPE, "cifar-10-batches-bin/a.bin")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "/etc/hostname"
            tar.addfile(link)
        for name, data in (
            {"../escaped.bin": b"x", "/absolute.bin": b"x", "cifar-10-batches-bin/../../up.bin": b"x"} | files
        ).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    remote = server.add("a.tar.gz", out.getvalue())
    folder_stored(Archive(remote, {name.removeprefix("./"): md5(data) for name, data in files.items()}))
    assert left_over(folder.parent) == ["data/a.tar.gz", "data/cifar-10-batches-bin/a.bin", "data/cifar-10-batches-bin/b.bin"]
    assert not (folder / "cifar-10-batches-bin").is_symlink()
    assert not Path("/absolute.bin").exists()


def test_a_member_too_large_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar.gz").write_bytes(packed({"a": bytes(2000)}))
    monkeypatch.setattr(_fetch, "LARGEST", 1000)
    with pytest.raises(FileFormatError, match=r"lacks what belongs in it\.\n  expected: a\n"):
        list(members(tmp_path / "a.tar.gz", {"a"}))


def test_archives_that_are_none(server: Server, folder: Path) -> None:
    """Their md5 was right and yet they are cut, damaged inside, or none: nothing of them is left under a final name."""
    whole = packed(batches())
    middle = len(whole) // 2
    for number, content in enumerate((whole[:middle], whole[:middle] + bytes(100) + whole[middle + 100 :], b"no archive", b"")):
        source = Archive(server.add(f"{number}.tar.gz", content), {"cifar-10-batches-bin/test_batch.bin": "0" * 32})
        with pytest.raises(
            FileFormatError, match=rf"{number}.tar.gz (is no whole archive|lacks what)[\s\S]*delete it and run again"
        ):
            folder_stored(source)
        assert not list(folder.rglob("*.bin*"))
    source = Archive(server.add("other.tar.gz", packed({"a": b""})), {"b": "0" * 32})
    with pytest.raises(FileFormatError, match=r"lacks what belongs in it\.\n  expected: b\n"):
        folder_stored(source)


# Several at once, and what they show


def test_processes_share_one_download(server: Server, folder: Path) -> None:
    source = small_cifar10(server)
    server.cuts = [100_000]
    server.hold.clear()  # the first is held up until all of them are there
    processes = [another_process(source, stderr=subprocess.PIPE) for _ in range(3)]
    deadline = time.monotonic() + 30
    while not server.sent and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    server.hold.set()
    said = [process.communicate(timeout=60) for process in processes]
    assert sorted(out + err for out, err in said)[:2] == ["", ""]  # one of them said that it fetches
    assert server.ranges == [None, "bytes=100000-"]
    assert len(left_over(folder)) == 7


def test_a_terminal_sees_a_bar(server: Server) -> None:
    ours, theirs = pty.openpty()
    with another_process(small_cifar10(server), "import os; os.environ['TERM'] = 'xterm'", stderr=theirs) as process:
        assert process.communicate(timeout=60)[0] == ""
    os.close(theirs)
    shown = ""
    with contextlib.suppress(OSError):  # so a terminal ends
        while more := os.read(ours, 1 << 16).decode(errors="replace"):
            shown += more
    os.close(ours)
    assert "Fetching cifar-10-binary.tar.gz" in shown
    assert "━" in shown
    assert "\x1b[" in shown


def test_a_process_without_stderr_fetches_in_silence(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert file_stored(server.add("a.gz", DATA)).exists()


def test_the_room_is_entered_without_its_tools() -> None:
    code = (
        "import sys\nfrom anabranch import datasets\n"
        "for name in ('cifar10', 'cifar100', 'mnist', 'fashion_mnist', 'shapes'):\n    getattr(datasets, name).load_data\n"
        "print([name for name in ('torch', 'numpy', 'rich', 'urllib.request', 'tarfile', 'ssl', 'hashlib', 'gzip')"
        " if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(_fetch.__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout == "[]\n"


def test_a_notebook_gets_one_output_that_changes(monkeypatch: Any) -> None:
    shown: list[str] = []

    def display(view: Any, display_id: object) -> Any:
        shown.append(view._repr_html_())
        return types.SimpleNamespace(update=lambda view: shown.append(view._repr_html_()))

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(_fetch, "in_notebook", lambda: True)
    with _fetch.progress("Fetching a<b") as show:
        for done in range(1000):
            show(done * 1000, 2_000_000)
    assert shown[0] == "<div>Fetching a&lt;b  0.0 of 2.0 MB</div>"
    assert shown[-1] == "<div>Fetching a&lt;b  1.0 of 2.0 MB</div>"
    assert len(shown) < 20
