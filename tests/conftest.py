"""What all tests share: real Keras as the oracle, and golden text files."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browser as browsers
import devices
import pytest
import seeds

import anabranch
from anabranch.config import precision

pytest.register_assert_rewrite("guides_runner", "drawer_runner")  # so that their assertions show what both libraries gave


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate", action="store_true", help="write the golden files anew instead of comparing with them")
    devices.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Settle the device, and let Ctrl-C reach the processes that tests start: a shell's background job is born deaf to it."""
    found = devices.Devices(config.getoption("--device"), config.getoption("--record"))
    config.pluginmanager.register(found)
    config.pluginmanager.register(seeds)
    if "cuda" not in found.kinds:  # kernels of Triton run in its interpreter, which is chosen before it is first imported
        os.environ.setdefault("TRITON_INTERPRET", "1")
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def device_of_the_run(request: pytest.FixtureRequest) -> object:
    """The kind of device that a test of ``--device all`` runs on; pytest groups tests by it."""
    return getattr(request, "param", None)


@pytest.fixture(autouse=True, scope="session")
def _every_frame() -> None:
    """Show a failing test's frames inside anabranch."""
    anabranch.config.disable_traceback_filtering()


@pytest.fixture(autouse=True)
def _dtype_policy() -> Iterator[None]:
    """Let no test leave a dtype policy: where one is set, the default float type no longer decides."""
    before = precision._policy
    yield
    precision._policy = before


@pytest.fixture(scope="session")
def keras() -> Any:
    """Real Keras on torch."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    assert keras.backend.backend() == "torch"
    return keras


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real headless Chromium."""
    with browsers.started() as found:
        yield found


@pytest.fixture
def watched(browser: Any) -> Iterator[browsers.Watched]:
    """A new page, with what it says and asks for."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    yield browsers.Watched(page)
    page.close()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Hold a text to ``tests/golden/NAME``; with ``--regenerate`` the file is written instead."""
    folder = Path(__file__).parent / "golden"

    def check(name: str, text: str) -> None:
        path = folder / name
        path = path if path.suffix else path.with_suffix(".txt")
        text = text.rstrip() + "\n"
        if request.config.getoption("--regenerate"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{path} differs; pytest --regenerate writes it anew"

    return check


@pytest.fixture(scope="session")
def cifar10_folder() -> Path:
    """The folder that holds the real CIFAR-10: $ANABRANCH_DATA, or unpacked once from what is beside the repository."""
    root = Path(__file__).parents[1]
    chosen = os.environ.get("ANABRANCH_DATA")
    if chosen and (Path(chosen) / "cifar-10-batches-bin").is_dir():
        return Path(chosen)
    unpack = root.parent / "shared" / "datasets" / "unpack"
    if not unpack.exists():
        pytest.skip("the real CIFAR-10 is not here: set ANABRANCH_DATA to a folder that holds cifar-10-batches-bin")
    with (root / ".data.lock").open("w") as lock:  # the workers of one run share it
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([str(unpack), str(root / ".data")], check=True, stdout=subprocess.DEVNULL)
    return root / ".data"
