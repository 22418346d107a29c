"""What glibc is asked while a model trains, seen in the page faults of a step; and that the memory goes back."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import small_model

import anabranch as keras
from anabranch._errors import ArgumentError
from anabranch.config import placement
from anabranch.engine import allocator

pytestmark = pytest.mark.on_cpu  # whose memory it is

GLIBC = pytest.mark.skipif(bool(allocator.unfit()), reason="glibc with its own settings is needed")

# Trains with activations of 33 MiB each, above all that glibc would keep by itself, in a process of its own; prints each
# step's page faults and the memory that stays.
PROGRAM = """
import json, resource, sys
import numpy as np
import anabranch as keras
from anabranch import layers
from anabranch.engine import allocator

when, allocator.MOST_LASTING = sys.argv[1], int(sys.argv[3])
keras.config.set_keep_memory(when)
x = keras.Input((2048,))
y = x
for _ in range(4):
    y = layers.Activation("tanh")(y)
model = keras.Model(x, layers.Dense(1)(y))
model.compile("sgd", "mse")
faults = []

class Count(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20

data = np.zeros((4224 * int(sys.argv[2]), 2048), "uint8")
before = resident()
model.fit(data, np.zeros((len(data), 1)), batch_size=4224, verbose=0, callbacks=[Count()])
print(json.dumps({"steps": np.diff(faults).tolist(), "held": resident() - before}))
"""


def run(when: str, steps: int = 8, lasting: int = 0) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, when, str(steps), str(lasting)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@GLIBC
def test_later_steps_have_less_than_half_of_the_page_faults() -> None:
    never, held = run("never"), run("fit", steps=24)
    # mostly a thousandth; where blocks happen to lie so that they fragment the heap, it is trimmed now and then
    usual, late = statistics.mean(never["steps"][3:]), statistics.mean(held["steps"][3:])
    assert usual > 2 * late, (never, held)


@GLIBC
def test_memory_goes_back_after_fit_unless_it_is_to_stay() -> None:
    nothing = run("fit")["held"]
    assert run("always")["held"] > nothing + 16  # MiB: one activation at least
    assert run("fit", lasting=allocator.MOST_LASTING)["held"] > nothing + 16


@GLIBC
@pytest.mark.parametrize(
    ("bytes_in_memory", "trimmed"),
    [([100, 124, 125], 0), ([100, 124, 126], 1), ([100, 200, 150, 187], 1), ([100, 200, 150, 190], 2)],
)  # fmt: skip
def test_trimmed_where_steps_let_the_heap_grow(
    bytes_in_memory: list[int], trimmed: int, libc: Libc, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter(bytes_in_memory)
    monkeypatch.setattr(allocator, "_resident", lambda: next(seen))
    with allocator.keeping_memory():
        for _ in range(allocator.EVERY * len(bytes_in_memory)):
            allocator.step_done()
        assert libc.trimmed == trimmed
    assert next(seen, None) is None


class Libc:
    """Notes what the C library was asked, and does it as well."""

    def __init__(self, libc: Any) -> None:
        self.libc = libc
        self.calls: list[tuple[int, int]] = []
        self.trimmed = 0

    def mallopt(self, name: int, value: int) -> int:
        self.calls.append((name, value))
        return int(self.libc.mallopt(name, value))

    def malloc_trim(self, pad: int) -> int:
        self.trimmed += 1
        return int(self.libc.malloc_trim(pad))

    @property
    def keeps(self) -> bool:
        """Whether the last word on trimming was never to."""
        return [value for name, value in self.calls if name == allocator.M_TRIM_THRESHOLD][-1:] == [-1]


@pytest.fixture
def libc(monkeypatch: pytest.MonkeyPatch) -> Libc:
    import ctypes

    spy = Libc(ctypes.CDLL(None))
    monkeypatch.setattr(allocator, "_libc", lambda: spy)
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD"))]:
        monkeypatch.delenv(name)
    return spy


class At(keras.callbacks.Callback):
    """Does something at the end of the first epoch."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.function()


def stop() -> None:
    raise ZeroDivisionError


def interrupt() -> None:
    raise KeyboardInterrupt


@GLIBC
@pytest.mark.parametrize("end", [stop, interrupt, lambda: None], ids=["error", "interrupt", "end"])
def test_undone_however_fit_ends(end: Any, libc: Libc) -> None:
    seen: list[bool] = []

    def last() -> None:
        seen.append(libc.keeps)
        end()

    model = small_model.made(keras)
    with contextlib.suppress(ZeroDivisionError):
        model.fit(*small_model.data(), verbose=0, callbacks=[At(last)])
    assert seen == [True]
    assert not libc.keeps
    assert libc.trimmed == 1


@GLIBC
def test_large_blocks_stay_outside_the_heap_during_a_model_s_first_step(libc: Libc) -> None:
    seen: list[int] = []

    class EachStep(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            seen.append([value for name, value in libc.calls if name == allocator.M_MMAP_THRESHOLD][-1])

    model, data = small_model.made(keras), small_model.data()
    for _ in range(2):
        model.fit(*data, verbose=0, batch_size=len(data[0]) // 2, callbacks=[EachStep()])
    assert seen[0] == allocator.FIRST
    assert set(seen[1:]) <= set(allocator.RETAINED)
    assert len(seen) >= 4


@GLIBC
def test_a_fit_inside_a_fit_undoes_nothing(libc: Libc) -> None:
    other, seen = small_model.made(keras), []

    def inner() -> None:
        other.fit(*small_model.data(), verbose=0)
        other.evaluate(*small_model.data(), verbose=0)
        seen.append(libc.keeps)

    small_model.made(keras).fit(*small_model.data(), verbose=0, callbacks=[At(inner)])
    assert seen == [True]
    assert not libc.keeps
    assert libc.trimmed == 1


@GLIBC
def test_fits_in_threads_are_counted(libc: Libc) -> None:
    together = threading.Barrier(2)
    seen: list[bool] = []

    def work() -> None:
        with allocator.keeping_memory():
            together.wait(10)
        together.wait(10)
        seen.append(libc.keeps)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [False, False]
    assert libc.trimmed == 1
    assert libc.calls.count((allocator.M_TRIM_THRESHOLD, -1)) == 1


@GLIBC
@pytest.mark.parametrize(("when", "calls", "trimmed"), [("never", False, 0), ("always", True, 0), ("fit", True, 1)])
def test_setting(when: Any, calls: bool, trimmed: int, libc: Libc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "_keep_memory", "fit")
    keras.config.set_keep_memory(when)
    assert keras.config.keep_memory() == when
    with allocator.keeping_memory():
        pass
    assert (bool(libc.calls), libc.trimmed) == (calls, trimmed)


@GLIBC
@pytest.mark.parametrize(("more", "trimmed"), [(0, 0), (1, 1)])
def test_a_fit_and_a_prediction_leave_so_much(more: int, trimmed: int, libc: Libc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_free", lambda: allocator._lasting() + more)
    model, (x, y) = small_model.made(keras), small_model.data()
    model.predict(x, batch_size=len(x) // 2, verbose=0)
    assert libc.trimmed == trimmed
    assert not libc.keeps
    model.evaluate(x, y, verbose=0)
    assert libc.trimmed == 2 * trimmed
    model.fit(x, y, validation_data=(x, y), verbose=0)
    assert libc.trimmed == 3 * trimmed


@pytest.mark.parametrize(
    ("machine", "group", "lasting"),
    [
        (8 << 30, "max", 512), (8 << 30, str(4 << 30), 256), (1 << 30, str(1 << 62), 128), (64 << 30, None, 1024),
        (64 << 30, "4096", 128),
    ],
)  # fmt: skip
def test_what_may_stay_is_a_part_of_what_the_process_may_have(
    machine: int, group: str | None, lasting: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    if group is not None:
        limit.write_text(f"{group}\n")
    monkeypatch.setattr(allocator, "LIMITS", (str(limit),))
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": machine >> 12, "SC_PAGE_SIZE": 1 << 12}.__getitem__)
    assert allocator._lasting.__wrapped__() == lasting * allocator.MIB


@GLIBC
def test_free_memory_is_counted() -> None:
    assert 0 < allocator._free() < 1 << 40


@GLIBC
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_ARENA_MAX", "2"), ("MALLOC_TRIM_THRESHOLD_", "1"), ("GLIBC_TUNABLES", "glibc.malloc.check=1"),
        ("LD_PRELOAD", "/usr/lib/libjemalloc.so.2"),
    ],
)  # fmt: skip
def test_left_alone_where_the_environment_chose(name: str, value: str, libc: Libc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert name in allocator.unfit()
    with allocator.keeping_memory():
        pass
    assert not libc.calls


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_left_alone_on_other_systems(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert platform in allocator.unfit()


def test_left_alone_under_other_c_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    def confstr(name: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "confstr", confstr)
    assert "glibc" in allocator.unfit()


def test_unknown_time() -> None:
    with pytest.raises(ArgumentError, match="'fit', 'always' or 'never'"):
        keras.config.set_keep_memory("sometimes")
