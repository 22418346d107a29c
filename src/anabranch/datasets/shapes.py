"""Drawn shapes: a small generated data set in CIFAR-10's form, for machines without network and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch._errors import ArgumentError

if TYPE_CHECKING:
    import numpy as np

CLASSES = (
    "disc", "ring", "square", "frame", "triangle", "cross", "diagonal cross", "stripes", "half disc", "checkers",
)  # fmt: skip


def load_data(train: int = 8000, test: int = 2000, seed: int = 0) -> Any:
    """Return ``(x_train, y_train), (x_test, y_test)``: uint8 images (N, 32, 32, 3), labels uint8 (N, 1).

    Ten shapes of random colour, place and size on a noisy ground of another colour; the same for the same arguments.
    """
    for name, count in (("train", train), ("test", test)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ArgumentError(f"{name} is a number of images.", expected="a whole number ≥ 1", got=repr(count))
    import numpy as np

    rng = np.random.default_rng(seed)
    images, labels = _draw(train + test, rng)
    return (images[:train], labels[:train]), (images[train:], labels[train:])


def _draw(count: int, rng: np.random.Generator) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    import numpy as np

    labels = rng.integers(0, len(CLASSES), count)
    size = rng.uniform(7, 11, (count, 1, 1))
    centre = rng.uniform(11, 21, (2, count, 1, 1))
    row, column = np.mgrid[0:32, 0:32]
    y, x = (row - centre[0]) / size, (column - centre[1]) / size  # N H W, the shape within [-1, 1]
    inside = np.zeros((count, 32, 32), bool)
    for label, form in enumerate(_FORMS):
        chosen = labels == label
        inside[chosen] = form(np, x[chosen], y[chosen])
    ground = rng.integers(0, 256, (count, 1, 1, 3))
    colour = (ground + rng.integers(90, 167, (count, 1, 1, 3))) % 256  # far from the ground in each channel
    images = np.where(inside[..., None], colour, ground) + 12 * rng.standard_normal((count, 32, 32, 3), dtype=np.float32)
    return images.clip(0, 255).astype(np.uint8), labels[:, None].astype(np.uint8)


def _box(np: Any, x: Any, y: Any) -> Any:
    return np.maximum(abs(x), abs(y))


# class -> whether the point (x, y) lies inside
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
