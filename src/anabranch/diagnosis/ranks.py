"""What to write where a tensor has another rank than a layer takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anabranch.graph.shapes import Shape

# (the rank that came, the rank wanted) -> what to write; the sizes that came are filled in
_RANK_REPAIRS = {
    (2, 3): "Reshape(({0}, 1))(x) makes each value a step\nfor integers that are words: Embedding(…)(x) first",
    (2, 4): "before Flatten, Dense or global pooling, where there are images\nor Reshape((height, width, channels))(x)",
    (2, 5): "before Flatten, Dense or global pooling, where there are volumes\nor Reshape((depth, height, width, channels))(x)",
    (3, 2): "Flatten()(x), or GlobalAveragePooling1D()(x), makes it (batch, features)",
    (3, 4): "images without their channels: Reshape({image})(x)\nsteps of features: the layer that ends in 1D",
    (4, 2): "Flatten()(x), or GlobalAveragePooling2D()(x), makes it (batch, features)",
    (4, 3): "for images, the layer that ends in 2D\nfor steps: Reshape((-1, {channels}))(x) makes each position one",
    (4, 5): "for images, the layer that ends in 2D\nfor volumes of one channel: Reshape({image})(x)",
    (5, 2): "Flatten()(x), or GlobalAveragePooling3D()(x), makes it (batch, features)",
    (5, 4): "for volumes, the layer that ends in 3D",
}


def rank_repair(shape: Shape, rank: int, axes: str) -> str | None:
    """Return what to write where a tensor has another rank than a layer takes."""
    first = axes.startswith("batch, channels")
    sizes = tuple(-1 if size is None else size for size in shape[1:])
    if sizes.count(-1) > 1:
        return None
    text = _RANK_REPAIRS.get((len(shape), rank))
    return text and text.format(*sizes, image=(1, *sizes) if first else (*sizes, 1), channels=shape[1 if first else -1])
