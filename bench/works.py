"""What is measured: the networks' data and training, and the works. Loads nothing, as cold starts are measured with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Net:
    """What a network is fed and how it is trained."""

    label: str
    unit: str
    batch: int
    optimizer: str
    rate: float
    loss: str = "classes"  # cross-entropy of logits over classes, or "pairs": binary cross-entropy of one logit
    images: int = 0  # side of the square images; 0: no images
    words: tuple[int, ...] = ()  # how many words each input has
    classes: int = 10


NETS = {
    "toy_resnet": Net("toy ResNet", "images", 64, "rmsprop", 1e-3, images=32),
    "resnet20": Net("ResNet-20", "images", 128, "sgd", 0.01, images=32),
    "resnet20_augmented": Net("ResNet-20, images augmented", "images", 128, "sgd", 0.01, images=32),
    "resnet50": Net("ResNet-50", "images", 16, "sgd", 0.01, images=224, classes=1000),
    "two_tower": Net("two towers", "pairs", 256, "adam", 1e-3, loss="pairs", words=(16, 64)),
    "lstm": Net("LSTM over 80 words", "texts", 32, "adam", 1e-3, loss="pairs", words=(80,)),
    "transformer": Net("transformer block over 128 words", "texts", 32, "adam", 1e-3, loss="pairs", words=(128,)),
    "vit": Net("ViT of 64 patches", "images", 32, "adam", 1e-3, images=32),
    "mobilenet_v2": Net("MobileNetV2", "images", 32, "sgd", 0.01, images=96),
    "mlp250": Net("MLP of 250 layers", "rows", 32, "adam", 1e-4),
}


def data(name: str, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return inputs (images B H W C, or rows, or words) and labels; their content does not matter for time."""
    import numpy as np

    rng, net = np.random.default_rng(0), NETS[name]
    if net.words:
        words = [rng.integers(0, 10_000, (count, length), "int32") for length in net.words]
        return words, rng.integers(0, 2, (count, 1)).astype("float32")
    shape = (count, net.images, net.images, 3) if net.images else (count, 64)
    return [rng.random(shape, "float32")], rng.integers(0, net.classes, count)


@dataclass(frozen=True)
class Case:
    """One thing to time: how much of it a pass does, and in how large batches."""

    amount: int
    batch: int
    quick: int  # the amount of a pass of --quick


@dataclass(frozen=True)
class Work:
    """One table of the report: contenders' processes stay warm and are timed in turn, on each case."""

    label: str
    kind: str  # train, infer, start, build
    unit: str
    net: str
    cases: dict[str, Case]
    fresh: bool = False  # processes start anew each round: warm ones beside each other would fill the memory


def _train(net: str, amount: int, quick: int, fresh: bool = False) -> Work:
    batch = NETS[net].batch
    label = f"{NETS[net].label}, training, batch {batch}"
    return Work(label, "train", NETS[net].unit, net, {"fit": Case(amount, batch, quick)}, fresh)


def _infer(net: str, calls: int, batches: dict[int, tuple[int, int]]) -> Work:
    one = Case(calls, 1, 5)
    cases = {"predict 1": one, "call 1": one, "module 1": one}
    cases |= {f"predict {batch}": Case(amount, batch, quick) for batch, (amount, quick) in batches.items()}
    return Work(f"{NETS[net].label}, inference", "infer", NETS[net].unit, net, cases)


WORKS = {
    "toy-train": _train("toy_resnet", 1_920, 256),
    "resnet20-train": _train("resnet20", 1_280, 256),
    "resnet50-train": _train("resnet50", 64, 16, fresh=True),
    "two-tower-train": _train("two_tower", 25_600, 2_560),
    "lstm-train": _train("lstm", 1_600, 160),
    "transformer-train": _train("transformer", 640, 96),
    "vit-train": _train("vit", 256, 64),
    "mobilenet-train": _train("mobilenet_v2", 128, 32),
    "mlp-train": _train("mlp250", 1_600, 320),
    "toy-infer": _infer("toy_resnet", 50, {64: (1_280, 256), 256: (1_280, 512)}),
    "resnet20-infer": _infer("resnet20", 50, {64: (2_560, 256), 256: (2_560, 512)}),
    "resnet50-infer": _infer("resnet50", 10, {16: (32, 16), 32: (64, 32)}),
    "two-tower-infer": _infer("two_tower", 50, {64: (25_600, 1_280), 256: (51_200, 2_560)}),
    "lstm-infer": _infer("lstm", 50, {64: (1_920, 192), 256: (2_560, 512)}),
    "transformer-infer": _infer("transformer", 50, {64: (640, 128), 256: (1_024, 512)}),
    "vit-infer": _infer("vit", 50, {64: (320, 64), 256: (512, 256)}),
    "mobilenet-infer": _infer("mobilenet_v2", 50, {64: (256, 64), 256: (256, 256)}),
    "mlp-infer": _infer("mlp250", 50, {64: (6_400, 640), 256: (12_800, 2_560)}),
    "start": Work(
        "cold start, toy ResNet", "start", "s", "toy_resnet", {"table": Case(1, 64, 1), "first step": Case(64, 64, 64)}
    ),
    "build": Work(
        "building a residual chain",
        "build",
        "layers",
        "",
        {f"{depth:,} layers": Case(depth, 1, depth // 100) for depth in (1_000, 10_000, 100_000)},
    ),
}


def resized(work: Work, quick: bool, amount: int | None, batch: int | None) -> Work:
    """Return the work with the amounts of --quick, or with another amount and batch for training, which its label names."""
    cases: dict[str, Any] = {}
    for name, case in work.cases.items():
        size = case.quick if quick else case.amount
        if work.kind == "train":
            size, step = amount or size, batch or case.batch
            cases[name] = Case(max(size, step), step, case.quick)
        else:
            cases[name] = Case(size, case.batch, case.quick)
    label = work.label
    if work.kind == "train" and batch:
        label = f"{NETS[work.net].label}, training, batch {batch}"
    if work.kind == "train" and amount:
        label += f", {amount:,} {work.unit}"
    return Work(**(vars(work) | {"cases": cases, "label": label}))


def named(key: str, amount: int | None, batch: int | None) -> str:
    """Return the name under which results are saved: other amounts and batches of training are saved beside the usual ones."""
    if WORKS[key].kind != "train":
        return key
    return " ".join([key, *([f"amount={amount}"] if amount else []), *([f"batch={batch}"] if batch else [])])
