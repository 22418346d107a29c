"""Drawn shapes: a small generated data set in CIFAR-10's form, for machines without network and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch import config
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError
from anabranch._frames import bounded

if TYPE_CHECKING:
    import numpy as np

    from anabranch.datasets._records import Bytes, Split

CLASSES = (
    "disc", "ring", "square", "frame", "triangle", "cross", "diagonal cross", "stripes", "half disc", "checkers",
)  # fmt: skip
BLOCK = 250  # images drawn at once, from one stream of random numbers
MOST = 2**31  # images, and numbers of a seed


@bounded
def load_data(train: int = 8000, test: int = 2000, seed: int = 0) -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: uint8 images (N, 32, 32, 3), labels uint8 (N, 1).

    Ten shapes, filled and outlined, of random bright colour, place and size on a dark noisy ground. The first n images are
    the same for any number of them; another ``seed`` draws others.

    Args:
        train: how many images to train on.
        test: how many to test on.
        seed: of the random numbers.

    Example:
        >>> (x, y), (x_test, y_test) = load_data(train=3, test=1)
        >>> x.shape, x.dtype, [CLASSES[label] for label in y[:, 0]]
        ((3, 32, 32, 3), dtype('uint8'), ['half disc', 'diagonal cross', 'cross'])
    """
    for name, value, least in (("train", train, 1), ("test", test, 1), ("seed", seed, 0)):
        if not is_integer(value) or not least <= value < MOST:
            raise ArgumentError(f"{name} must be an integer.", expected=f"{least} to {MOST - 1}", got=shown(value))
    return _part(train, seed, 0), _part(test, seed, 1)


def _part(count: int, seed: int, part: int) -> tuple[Bytes, Bytes]:
    import numpy as np

    blocks = [_draw(np.random.default_rng((seed, part, block))) for block in range(-(-count // BLOCK))]
    images, labels = (np.concatenate(arrays)[:count] for arrays in zip(*blocks, strict=True))
    if config.image_data_format() == "channels_first":
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))  # N H W C -> N C H W
    return images, labels


def _draw(rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """Draw a block: uint8 images (BLOCK, 32, 32, 3), labels (BLOCK, 1)."""
    import numpy as np

    labels = rng.integers(0, len(CLASSES), BLOCK)
    size = rng.uniform(8, 12, (BLOCK, 1, 1))
    centre = rng.uniform(12, 20, (2, BLOCK, 1, 1))
    row, column = np.mgrid[0:32, 0:32]
    y, x = (row - centre[0]) / size, (column - centre[1]) / size  # N H W, the shape within [-1, 1]
    inside = np.zeros((BLOCK, 32, 32), bool)
    for label, form in enumerate(_FORMS):
        chosen = labels == label
        inside[chosen] = form(np, x[chosen], y[chosen])
    ground = rng.integers(0, 90, (BLOCK, 1, 1, 3))
    colour = rng.integers(150, 256, (BLOCK, 1, 1, 3))  # brighter than any ground: filled and hollow differ at once
    noise = 12 * rng.standard_normal((BLOCK, 32, 32, 3), dtype=np.float32)
    images = np.where(inside[..., None], colour, ground) + noise
    return images.clip(0, 255).astype(np.uint8), labels[:, None].astype(np.uint8)


def _box(np: Any, x: Any, y: Any) -> Any:
    return np.maximum(abs(x), abs(y))


# class -> whether the point (x, y) is inside
_FORMS: tuple[Any, ...] = (
    lambda np, x, y: x * x + y * y < 1,
    lambda np, x, y: (x * x + y * y < 1) & (x * x + y * y > 0.4),
    lambda np, x, y: _box(np, x, y) < 0.9,
    lambda np, x, y: (_box(np, x, y) < 0.95) & (_box(np, x, y) > 0.6),
    lambda np, x, y: (abs(y) < 0.9) & (abs(x) < (y + 0.9) * 0.55),
    lambda np, x, y: (_box(np, x, y) < 1) & (np.minimum(abs(x), abs(y)) < 0.28),
    lambda np, x, y: (_box(np, x, y) < 0.9) & (np.minimum(abs(x - y), abs(x + y)) < 0.38),
    lambda np, x, y: (_box(np, x, y) < 1) & (np.floor(y * 2.5) % 2 == 0),
    lambda np, x, y: (x * x + y * y < 1) & (y < 0),
    lambda np, x, y: (_box(np, x, y) < 1) & ((np.floor(x * 1.5) + np.floor(y * 1.5)) % 2 == 0),
)


__all__ = [
    "load_data",
]  # fmt: skip
__dir__ = __all__.copy
