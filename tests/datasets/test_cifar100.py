"""CIFAR-100's layout, both kinds of labels, and archives that are not it."""

from __future__ import annotations

import numpy as np
import pytest
from file_server import Server, packed

from anabranch._errors import FileFormatError, UnknownNameError
from anabranch.datasets import cifar100, downloaded

pytestmark = pytest.mark.usefixtures("folder")


def test_both_kinds_of_labels(server: Server) -> None:
    rng = np.random.default_rng(0)
    raw = {name: rng.integers(0, 256, (count, 3074), dtype=np.uint8) for name, count in (("test", 2), ("train", 5))}
    source = server.add(
        "cifar-100-binary.tar.gz", packed({f"cifar-100-binary/{name}.bin": data.tobytes() for name, data in raw.items()})
    )
    for column, mode in enumerate(("coarse", "fine")):
        for (x, y), expected in zip(cifar100.load_data(mode, source=source), (raw["train"], raw["test"]), strict=True):
            assert (x.dtype, y.dtype) == (np.uint8, np.uint8)
            np.testing.assert_array_equal(y, expected[:, column : column + 1])
            np.testing.assert_array_equal(x, expected[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(cifar100.load_data(source=source)[0][1], raw["train"][:, 1:2])
    assert server.ranges == [None]
    assert downloaded()["cifar100"]


def test_mistakes(server: Server) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'fine'"):
        cifar100.load_data("fin")
    short = server.add("short.tar.gz", packed({"cifar-100-binary/train.bin": bytes(3073)}))
    with pytest.raises(FileFormatError, match=r"train.bin in \S*short.tar.gz holds no whole records"):
        cifar100.load_data(source=short)
    lacking = server.add("lacking.tar.gz", packed({"cifar-100-binary/train.bin": bytes(3074)}))
    with pytest.raises(FileFormatError, match="lacks what belongs in it"):
        cifar100.load_data(source=lacking)
