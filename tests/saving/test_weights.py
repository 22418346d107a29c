"""Weights in files: by path, whole or not at all, nothing read that does not fit."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
from devices import equal
from safetensors.numpy import load_file, save_file

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, FileFormatError, NotReadyError
from anabranch.saving.weights import weight_paths


def nested(units: int = 3) -> Any:
    inner_x = ab.Input((4,))
    inner = ab.Model(inner_x, layers.Dense(4)(inner_x), name="inner")
    x = ab.Input((4,))
    shared = layers.Dense(4, name="shared")
    return ab.Model(x, layers.Dense(units)(shared(inner(shared(x)))), name="outer")


PATHS = ["shared/kernel", "shared/bias", "inner/dense/kernel", "inner/dense/bias", "dense/kernel", "dense/bias"]


def test_a_file_holds_every_weight_once_by_path_in_keras_order_of_axes(tmp_path: Path) -> None:
    model = nested()
    model.save_weights(tmp_path / "saved.safetensors")
    held = load_file(tmp_path / "saved.safetensors")
    assert sorted(held) == sorted(PATHS)
    assert held["dense/kernel"].shape == (4, 3)
    assert os.listdir(tmp_path) == ["saved.safetensors"], "no part is left"


def test_round_trip(tmp_path: Path) -> None:
    first, second = nested(), nested()
    data = np.random.default_rng(0).random((2, 4)).astype("float32")
    assert not np.allclose(first(data).detach(), second(data).detach())
    first.save_weights(str(tmp_path / "saved.safetensors"))
    second.load_weights(str(tmp_path / "saved.safetensors"))
    assert np.array_equal(first(data).detach(), second(data).detach())


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_other_float_types_come_back_exactly(tmp_path: Path, dtype: str) -> None:
    def build() -> Any:
        x = ab.Input((4,), dtype=dtype)
        return ab.Model(x, layers.Dense(3, dtype=dtype)(x))

    first, second = build(), build()
    first.save_weights(tmp_path / "saved.safetensors")
    second.load_weights(tmp_path / "saved.safetensors")
    assert [w.value.dtype for w in second.weights] == [w.value.dtype for w in first.weights]
    assert all((a.value == b.value).all() for a, b in zip(first.weights, second.weights, strict=True))


def test_a_layers_weights_of_one_name_are_distinguished(tmp_path: Path) -> None:
    class Unnamed(ab.Layer):
        def build(self, input_shape: Any) -> None:
            self.parts = [self.add_weight((input_shape[-1],), initializer="random_normal") for _ in range(3)]
            self.named = [self.add_weight((2,), initializer="random_normal", name="w") for _ in range(2)]

        def call(self, x: Any) -> Any:
            return x * self.parts[0] + self.parts[1] * self.parts[2]

    x = ab.Input((2,))
    model = ab.Model(x, Unnamed()(x))
    assert sorted(weight_paths(model)) == [
        "unnamed/variable", "unnamed/variable_1", "unnamed/variable_2", "unnamed/w", "unnamed/w_1",
    ]  # fmt: skip
    values = [tuple(w.numpy()) for w in model.weights]
    assert len(set(values)) == 5, "each has initial values of its own"


def test_layers_inside_a_layer_are_distinguished() -> None:
    class Block(ab.Layer):
        def __init__(self, parts: list[Any]) -> None:
            super().__init__()
            self.parts = parts

        def call(self, x: Any) -> Any:
            for part in self.parts:
                x = part(x)
            return x

    x = ab.Input((2,))
    block = Block([layers.Dense(2), layers.Dense(2), layers.Dense(2, name="dense_1"), layers.Dense(2, name="dense")])
    model = ab.Model(x, block(x))
    assert len(weight_paths(model)) == len(model.weights) == 8
    assert len({w.path for w in model.weights}) == 8

    def alone() -> Any:
        y = ab.Input((2,))
        dense = layers.Dense(2)
        owners.append(ab.Model(y, dense(y)))
        return dense

    owners: list[Any] = []
    mixed = Block([alone(), alone()])
    model = ab.Model(x, mixed(x))
    assert len(weight_paths(model)) == 4, "parts of two other models share their paths there"


def test_weights_shared_by_two_models_move_between_them(tmp_path: Path) -> None:
    shared = layers.Dense(4, name="shared")
    x = ab.Input((4,))
    ab.Model(x, shared(x)).save_weights(tmp_path / "a.safetensors")
    before = shared.get_weights()
    shared.set_weights([w + 1 for w in before])
    other = ab.Input((4,))
    ab.Model(other, shared(other)).load_weights(tmp_path / "a.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(shared.get_weights(), before, strict=True))


# What does not fit changes nothing


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda held: held.pop("dense/bias"), "missing: dense/bias"),
        (lambda held: held.update({"more/kernel": np.zeros(3, "float32")}), "extra: more/kernel"),
        (
            lambda held: held.update({"dense/kernel": np.zeros((4, 5), "float32")}),
            r"other shape: dense/kernel: \(4, 5\) for \(4, 3\)",
        ),
        (lambda held: held.update({"dense/kernels": held.pop("dense/kernel")}), "missing: dense/kernel; extra: dense/kernels"),
    ],
)
def test_other_weights_than_the_models_are_refused(tmp_path: Path, spoil: Any, words: str) -> None:
    model = nested()
    path = tmp_path / "saved.safetensors"
    model.save_weights(path)
    held = load_file(path)
    spoil(held)
    save_file(held, path)
    model.set_weights([w + 1 for w in model.get_weights()])
    before = model.get_weights()
    with pytest.raises(FileFormatError, match="are not those of model 'outer'") as error:
        model.load_weights(path)
    assert __import__("re").search(words, str(error.value))
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\xff" * 64, "cut"])
def test_damaged_files_are_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "saved.safetensors"
    nested().save_weights(path)
    path.write_bytes(path.read_bytes()[:-7] if content == "cut" else content)
    with pytest.raises(FileFormatError, match="damaged or no safetensors file"):
        nested().load_weights(path)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        nested().load_weights("/nowhere/saved.safetensors")


@pytest.mark.parametrize("name", ["saved.h5", "saved", "saved.npz"])
def test_other_endings_are_refused_with_the_right_one(tmp_path: Path, name: str) -> None:
    for use in (nested().save_weights, nested().load_weights)[: 1 if name == "saved.h5" else 2]:  # Keras 2's can be read
        with pytest.raises(ArgumentError, match="how they are saved") as error:
            use(tmp_path / name)
        assert "saved.weights.h5" in str(error.value)


def test_overwriting_can_be_forbidden(tmp_path: Path) -> None:
    path = tmp_path / "saved.safetensors"
    nested().save_weights(path, overwrite=False)
    before = path.read_bytes()
    with pytest.raises(ArgumentError, match="is there already"):
        nested().save_weights(path, overwrite=False)
    assert path.read_bytes() == before


def test_a_model_without_weights_yet_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="has no weights yet"):
        ab.Sequential([layers.Dense(3)], name="later").save_weights(tmp_path / "saved.safetensors")


# Written whole or not at all


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Could not write"):
        nested().save_weights(tmp_path / "none" / "saved.safetensors")


def test_a_target_that_cannot_be_replaced_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "saved.safetensors").mkdir()
    with pytest.raises(OSError, match="what was there before is untouched"):
        nested().save_weights(tmp_path / "saved.safetensors")
    assert os.listdir(tmp_path) == ["saved.safetensors"]


SAVE = """
import os, sys
import numpy as np
import anabranch as ab
x = ab.Input((4,))
model = ab.Model(x, ab.layers.Dense(3, name="d")(x))
model.get_weights(), __import__("safetensors.numpy")
if os.geteuid() == 0:
    os.setuid(65534)  # root may write everywhere
try:
    model.save_weights(sys.argv[1])
except PermissionError as error:
    print(error)
"""


def test_a_folder_that_may_not_be_written_to() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder) / "saved.safetensors"
        path.write_bytes(b"before")
        os.chmod(folder, stat.S_IRUSR | stat.S_IXUSR | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        done = subprocess.run([sys.executable, "-c", SAVE, str(path)], capture_output=True, text=True, check=True)
        os.chmod(folder, stat.S_IRWXU)
        assert "Could not write" in done.stdout
        assert path.read_bytes() == b"before"
        assert os.listdir(folder) == ["saved.safetensors"]


SAVE_ON_AND_ON = """
import itertools, sys
import numpy as np
import anabranch as ab
x = ab.Input((1500,))
model = ab.Model(x, ab.layers.Dense(1500, name="d", use_bias=True)(x))
shapes = [w.shape for w in model.weights]
for number in itertools.count(1):
    model.set_weights([np.full(shape, number % 100, "float32") for shape in shapes])
    model.save_weights(sys.argv[1])
    print(number, flush=True)
"""


def test_a_process_killed_while_it_writes_leaves_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "saved.safetensors"
    process = subprocess.Popen([sys.executable, "-c", SAVE_ON_AND_ON, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    seen = 0
    with_part = False
    end = time.monotonic() + 20
    while not with_part and time.monotonic() < end:
        parts = [name for name in os.listdir(tmp_path) if name.endswith(".part")]
        if parts:
            process.send_signal(signal.SIGSTOP)
            size = sum((tmp_path / name).stat().st_size for name in parts if (tmp_path / name).exists())
            with_part = size > 0
            if not with_part:
                process.send_signal(signal.SIGCONT)
        seen += 1
    process.kill()
    process.wait()
    process.stdout.close()
    assert with_part, "it was caught writing"
    held = load_file(path)
    assert len({float(value) for array in held.values() for value in (array.min(), array.max())}) == 1


class Held(ab.Layer):
    """A layer with a weight of any type."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def build(self, shape: Any) -> None:
        self.w = self.add_weight((16, 16), "random_normal" if "float" in self.kind else "ones", self.kind, False, name="w")

    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize("ending", ["safetensors", "weights.h5", "keras"])
@pytest.mark.parametrize("kind", ["bfloat16", "float8_e5m2", "float8_e4m3fn", "int8", "uint8", "bool", "float16", "int64"])
def test_weights_of_every_type_come_back_bit_by_bit(tmp_path: Path, kind: str, ending: str) -> None:
    def made() -> Any:
        x = ab.Input((4,))
        return ab.Model(x, Held(kind)(x))

    first, second = made(), made()
    weight = first.weights[0].value
    size = weight.dtype.itemsize
    bits = torch.arange(256).repeat(size, 1).T.contiguous() if kind != "bool" else torch.arange(256)[:, None] % 2
    weight.copy_(bits.to(torch.uint8).reshape(16, 16 * size).view(weight.dtype))
    (first.save if ending == "keras" else first.save_weights)(path := tmp_path / f"w.{ending}")
    second.load_weights(path)
    again = second.weights[0].value
    assert again.dtype == weight.dtype
    same = again.view(torch.uint8) == weight.view(torch.uint8)
    nan = torch.isnan(weight.float())[..., None].expand(16, 16, size).reshape(same.shape) if "float" in kind else same
    assert (same | nan).all()
    if ending == "safetensors":
        held = safetensors.torch.load_file(path)["held/w"]
        assert held.dtype == weight.dtype
        assert equal(torch.isnan(held.float()), torch.isnan(weight.float()))
    elif ending == "weights.h5":
        with h5py.File(path) as file:
            assert file["layers/held/vars/0"].dtype.itemsize == size, "no more bytes than it takes"


def test_a_type_without_a_place_in_the_format_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.zeros((1, 1), "V1")
        file["layers/dense/vars/0"].attrs["dtype"] = "int4"
    x = ab.Input((1,))
    model = ab.Model(x, layers.Dense(1, use_bias=False, name="dense")(x))
    with pytest.raises(FileFormatError, match=r"'layers/dense/vars/0' in .* has a type that no weight has") as error:
        model.load_weights(tmp_path / "w.weights.h5")
    assert "|V1 int4" in str(error.value)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e5m2", "float8_e4m3fn"])
def test_floats_that_numpy_lacks_are_read(tmp_path: Path, name: str) -> None:
    x = ab.Input((16,))
    model = ab.Model(x, layers.Dense(16, use_bias=False, name="dense")(x))
    kind = getattr(torch, name)
    values = (
        torch.arange(256, dtype=torch.uint8).view(kind).reshape(16, 16)
        if kind.itemsize == 1
        else torch.randn(16, 16, dtype=kind)
    )
    safetensors.torch.save_file({"dense/kernel": values}, path := tmp_path / "w.safetensors")
    model.load_weights(path)
    np.testing.assert_array_equal(model.get_weights()[0], values.float().numpy())


def test_types_that_no_weight_has_are_refused(tmp_path: Path) -> None:
    x = ab.Input((1,))
    model = ab.Model(x, layers.Dense(1, use_bias=False, name="dense")(x))
    header = json.dumps({"dense/kernel": {"dtype": "C64", "shape": [1, 1], "data_offsets": [0, 8]}}).encode()
    (path := tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(FileFormatError, match=r"'dense/kernel' in .* has a type that no weight has: a complex number"):
        model.load_weights(path)
