"""CIFAR-10's layout, in a small copy and in the real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from file_server import Server, small_cifar10

from anabranch import config
from anabranch._errors import FileFormatError
from anabranch.datasets import cifar10, downloaded
from anabranch.datasets._records import read


@pytest.fixture
def channels_first() -> Iterator[None]:
    config.set_image_data_format("channels_first")
    yield
    config.set_image_data_format("channels_last")


def test_records_are_read(server: Server, folder: Path) -> None:
    source = small_cifar10(server)
    assert not downloaded()["cifar10"]
    (x, y), (x_test, y_test) = cifar10.load_data(source=source)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((50, 32, 32, 3), np.uint8, (50, 1), np.uint8)
    assert (x_test.shape, y_test.shape) == ((10, 32, 32, 3), (10, 1))
    for batch in range(5):
        record = (folder / f"cifar-10-batches-bin/data_batch_{batch + 1}.bin").read_bytes()[3073 * 3 : 3073 * 4]
        image, label = x[10 * batch + 3], y[10 * batch + 3]
        assert label[0] == record[0]
        for row, column, channel in ((0, 0, 0), (0, 1, 2), (31, 30, 1)):
            assert image[row, column, channel] == record[1 + 1024 * channel + 32 * row + column]
    assert all(array.flags.c_contiguous and array.flags.writeable for array in (x, y, x_test, y_test))
    assert downloaded()["cifar10"]


@pytest.mark.usefixtures("channels_first", "folder")
def test_channels_first_as_in_keras(server: Server) -> None:
    source = small_cifar10(server)
    (x, _), (x_test, _) = cifar10.load_data(source=source)
    assert (x.shape, x_test.shape) == ((50, 3, 32, 32), (10, 3, 32, 32))
    config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(cifar10.load_data(source=source)[0][0].transpose(0, 3, 1, 2), x)


def test_half_a_record_is_refused() -> None:
    for data in (b"", bytes(3072), bytes(3074)):
        with pytest.raises(FileFormatError, match="x holds no whole records"):
            read(data, 1, "x")


def test_the_real_images(cifar10_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_DATA", str(cifar10_folder))
    (x, y), (x_test, y_test) = cifar10.load_data()
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((50000, 32, 32, 3), np.uint8, (50000, 1), np.uint8)
    assert (x_test.shape, x_test.dtype, y_test.shape, y_test.dtype) == ((10000, 32, 32, 3), np.uint8, (10000, 1), np.uint8)
    # figures known to the field
    np.testing.assert_allclose(x.mean((0, 1, 2)) / 255, [0.49139968, 0.48215841, 0.44653091], atol=1e-8)
    np.testing.assert_allclose(x.std((0, 1, 2)) / 255, [0.24703223, 0.24348513, 0.26158784], atol=1e-8)
    assert np.bincount(y[:, 0]).tolist() == [5000] * 10
    assert np.bincount(y_test[:, 0]).tolist() == [1000] * 10
    assert [cifar10.CLASSES[label] for label in y[:3, 0]] == ["frog", "truck", "truck"]
