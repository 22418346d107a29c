"""Where each official data set comes from, and the md5 of each of its files."""

from __future__ import annotations

from anabranch import config
from anabranch.datasets._fetch import Archive, Remote

TORONTO = "https://www.cs.toronto.edu/~kriz/"
CIFAR10 = Archive(
    Remote(TORONTO + "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
    {
        "cifar-10-batches-bin/data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "cifar-10-batches-bin/data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
        "cifar-10-batches-bin/data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "cifar-10-batches-bin/data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "cifar-10-batches-bin/data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
        "cifar-10-batches-bin/test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    },
)
CIFAR100 = Remote(TORONTO + "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8")


def _mnist(base: str, folder: str, md5s: tuple[str, str, str, str]) -> tuple[Remote, Remote, Remote, Remote]:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    made = [Remote(f"{base}{name}.gz", md5, folder) for name, md5 in zip(names, md5s, strict=True)]
    return made[0], made[1], made[2], made[3]


MNIST = _mnist(
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "mnist",
    (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c",
    ),
)  # fmt: skip
FASHION_MNIST = _mnist(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "fashion_mnist",
    (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310",
    ),
)  # fmt: skip


KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
IMDB = Remote(KERAS + "imdb.npz", "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f")
IMDB_WORDS = Remote(KERAS + "imdb_word_index.json", "bfafd718b763782e994055a2d397834f")
REUTERS = Remote(KERAS + "reuters.npz", "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916")
REUTERS_WORDS = Remote(KERAS + "reuters_word_index.json", "4d44cc38712099c9e383dc6e5f11a921")
BOSTON_HOUSING = Remote(KERAS + "boston_housing.npz", "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5")
CALIFORNIA_HOUSING = Remote(
    KERAS + "california_housing.npz", "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
)
_NPZ = {"imdb": IMDB, "reuters": REUTERS, "boston_housing": BOSTON_HOUSING, "california_housing": CALIFORNIA_HOUSING}


def downloaded() -> dict[str, bool]:
    """Return which data sets are in the data folder.

    Example:
        >>> sorted(downloaded())
        ['boston_housing', 'california_housing', 'cifar10', 'cifar100', 'fashion_mnist', 'imdb', 'mnist', 'reuters']
    """
    root = config.data_folder()
    packed = {"cifar10": CIFAR10.remote.name, "cifar100": CIFAR100.name}
    packed |= {name: file.name for name, file in _NPZ.items()}
    found = {name: (root / file).exists() for name, file in packed.items()}
    found["cifar10"] |= all((root / name).exists() for name in CIFAR10.members)
    for name, files in (("mnist", MNIST), ("fashion_mnist", FASHION_MNIST)):
        found[name] = all((root / file.folder / file.name).exists() for file in files)
    return found
