"""Layers that apply several others, drawn for each image: RandAugment, AugMix; and layers one after the other."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch._asked import shown
from anabranch._errors import ArgumentTypeError
from anabranch.layers import fields, registry
from anabranch.layers.base import Layer
from anabranch.layers.images import settings
from anabranch.layers.images.adjusting import RandomBrightness, RandomContrast
from anabranch.layers.images.base import ImageLayer, Moving, RandomImages, Transformation
from anabranch.layers.images.coloring import RandomColorDegeneration, RandomPosterization, Solarization
from anabranch.layers.images.equalizing import AutoContrast, Equalization
from anabranch.layers.images.filtering import RandomSharpness
from anabranch.layers.images.warping import RandomRotation, RandomShear, RandomTranslation
from anabranch.layers.wrapper import to_layer
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Generator, Tensor


@functools.cache
def _parts(
    factor: settings.Range, values: settings.Range, interpolation: str, layout: str, dtype: str, every: bool
) -> dict[str, ImageLayer]:
    """Return the layers that a policy chooses from, by their names in Keras's transformations; they have no state."""
    common: dict[str, Any] = {"data_format": layout, "dtype": dtype}
    moving = {"interpolation": interpolation, **common}
    coloring = {"value_range": values, **common}
    found: dict[str, ImageLayer] = {
        "random_shear": RandomShear(factor, factor, **moving),
        "random_translation": RandomTranslation(factor, factor, **moving),
        "random_rotation": RandomRotation(factor, **moving),
        "random_posterization": RandomPosterization(max(1, int(8 * factor[1])), **coloring),
        "solarization": Solarization(factor, factor, **coloring),
        "auto_contrast": AutoContrast(**coloring),
        "equalization": Equalization(**coloring),
    }
    if every:
        found |= {
            "random_brightness": RandomBrightness(factor, **coloring),
            "random_color_degeneration": RandomColorDegeneration(factor, **coloring),
            "random_contrast": RandomContrast(factor, **coloring),
            "random_sharpness": RandomSharpness(factor, **coloring),
        }
    return found


_RAND_AUGMENT = (
    "random_shear", "random_translation", "random_rotation", "random_brightness", "random_color_degeneration",
    "random_contrast", "random_sharpness", "random_posterization", "solarization", "auto_contrast", "equalization",
)  # fmt: skip


class Policy(RandomImages, Moving):
    """A layer that applies others, drawn for each image, while training. Abstract."""

    value_range: settings.RangeField = fields.value_range(default=(0, 255))
    interpolation: settings.InterpolationField = fields.choice(
        "bilinear", "nearest", default="bilinear", doc=settings.INTERPOLATION_DOC, kw_only=True
    )
    seed: fields.SeedField = fields.seed(default=None, kw_only=True)
    data_format: fields.DataFormatField = fields.data_format(default=None, kw_only=True)

    def parts(self) -> dict[str, ImageLayer]:
        """Return the layers that are chosen from, by name."""
        raise NotImplementedError(f"{type(self).__name__} must write parts()")

    def drawn_by_all(self, images: Tensor, generator: Generator | None) -> dict[str, Transformation]:
        """Return what each of the layers draws."""
        return {name: layer.draw(images, generator) for name, layer in self.parts().items()}


class RandAugment(Policy):
    """Apply to each image a few changes, drawn from eleven, while training (Cubuk et al. 2020).

    Shapes: (B, H, W, 3) -> (B, H, W, 3).

    Example:
        >>> from anabranch import Input
        >>> RandAugment(num_ops=3)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    _field_order_ = ("value_range", "num_ops", "factor", "interpolation", "seed", "data_format")

    num_ops: fields.Field[int, int] = fields.integer(default=2, doc="how many changes each image gets.")
    factor: settings.RangeFactorField = fields.field(
        default=0.5, convert=settings.within(0, 1), plain=fields.listed,
        doc="how far the changes go: (low, high), or a number for (0, number).",
    )  # fmt: skip

    def parts(self) -> dict[str, ImageLayer]:
        """Return the eleven."""
        found = _parts(self.factor, self.value_range, self.interpolation, self.data_format, self.compute_dtype, True)
        return {name: found[name] for name in _RAND_AUGMENT}

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return which change each image gets first, second, …, and what each of the eleven draws."""
        count = len(_RAND_AUGMENT)
        chosen = [kernels.indices_drawn(images, count, generator) for _ in range(self.num_ops)]
        return {"layer_idxes": chosen, "transforms": self.drawn_by_all(images, generator)}

    def _applied(self, images: Tensor, transformation: Transformation, *, masks: bool) -> Tensor:
        for step in range(self.num_ops):
            chosen, before = transformation["layer_idxes"][step], images
            for number, (name, layer) in enumerate(self.parts().items()):
                drawn = transformation["transforms"][name]
                if not masks:
                    images = kernels.chosen(images, chosen == number, layer.change(before, drawn))
                elif isinstance(layer, Moving):
                    images = kernels.chosen(images, chosen == number, layer.change_masks(before, drawn))
        return images

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Apply the changes."""
        return self._applied(images, transformation, masks=False)

    def change_masks(self, masks: Tensor, transformation: Transformation) -> Tensor:
        """Apply the changes that move pixels."""
        return self._applied(masks, transformation, masks=True)

    def sizes_before(self, transformation: Transformation) -> tuple[Any, Any]:
        """Return height and width."""
        return super().sizes_before(transformation["transforms"]["random_shear"])

    def change_boxes(self, boxes: Tensor, transformation: Transformation, height: int, width: int) -> Tensor:
        """Return boxes where the changes move them."""
        for step in range(self.num_ops):
            chosen, before = transformation["layer_idxes"][step], boxes
            for number, (name, layer) in enumerate(self.parts().items()):
                if isinstance(layer, Moving):
                    moved = layer.change_boxes(before, transformation["transforms"][name], height, width)
                    boxes = kernels.boxes_chosen(boxes, chosen == number, moved)
        return boxes


class AugMix(Policy):
    """Blend each image with a mixture of chains of changes of it, drawn for each image, while training (Hendrycks et al. 2020).

    Shapes: (B, H, W, 3) -> (B, H, W, 3). Boxes and masks stay.

    Example:
        >>> from anabranch import Input
        >>> AugMix(num_chains=2)(Input((32, 32, 3))).shape
        (None, 32, 32, 3)
    """

    _field_order_ = (
        "value_range", "num_chains", "chain_depth", "factor", "alpha", "all_ops", "interpolation", "seed", "data_format",
    )  # fmt: skip

    num_chains: fields.Field[int, int] = fields.integer(default=3, doc="how many chains are mixed.")
    chain_depth: fields.Field[int, int] = fields.integer(default=3, doc="how many changes a chain has at most.")
    factor: settings.RangeFactorField = fields.field(
        default=0.3, convert=settings.within(0, 1), plain=fields.listed,
        doc="how far the changes go: (low, high), or a number for (0, number).",
    )  # fmt: skip
    alpha: fields.NumberField = fields.number(
        default=1.0, above=0, doc="the parameter of the Beta and Dirichlet distributions of the weights."
    )
    all_ops: fields.BooleanField = fields.boolean(
        default=True, doc="whether brightness, contrast, colors and sharpness are among the changes."
    )

    def parts(self) -> dict[str, ImageLayer]:
        """Return the changes that are chosen from."""
        return _parts(self.factor, self.value_range, self.interpolation, self.data_format, self.compute_dtype, self.all_ops)

    def draw(self, images: Tensor, generator: Generator | None) -> Transformation:
        """Return the weights of the chains and of the image itself, and what each place of each chain draws."""
        count = len(self.parts()) + 1  # the last: no change
        weights = kernels.fractions(images, self.num_chains, self.alpha, generator)
        own = kernels.beta(kernels.drawn(images, (), 0.0, 1.0, generator) * 0 + self.alpha, generator)
        chains = [
            [
                {"chosen": kernels.indices_drawn(images, count, generator), "transforms": self.drawn_by_all(images, generator)}
                for _ in range(self.chain_depth)
            ]
            for _ in range(self.num_chains)
        ]
        return {"chain_mixing_weights": weights, "weight_sample": own, "chain_transforms": chains}

    def change(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Blend."""
        weights = transformation["chain_mixing_weights"]
        total = images * 0
        for number, chain in enumerate(transformation["chain_transforms"]):
            total = total + self._chained(images, chain) * kernels.beside_images(weights[..., number], images)
        own = kernels.beside_images(transformation["weight_sample"], images)
        return kernels.cut(own * images + (1 - own) * total, self.value_range)

    def _chained(self, images: Tensor, chain: list[dict[str, Any]]) -> Tensor:
        parts = self.parts()
        for link in chain:
            if "layer_name" in link:  # one change for all images, as Keras's layer draws them
                images = parts[link["layer_name"]].change(images, link["transformation"])
                continue
            before = images
            for number, (name, layer) in enumerate(parts.items()):
                images = kernels.chosen(images, link["chosen"] == number, layer.change(before, link["transforms"][name]))
        return images

    def change_masks(self, masks: Tensor, transformation: Transformation) -> Tensor:
        """Return masks as they are: those of a blend are the image's own."""
        return masks

    def sizes_before(self, transformation: Transformation) -> tuple[Any, Any]:
        """Return that sizes do not matter."""
        return None, None

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: bool = True) -> Any:
        """Return boxes as they are: those of a blend are the image's own."""
        return dict(bounding_boxes)


def _layers(value: object, owner: object, name: str) -> list[Layer]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, (Layer, dict)) for each in value):
        raise ArgumentTypeError("A Pipeline is made of layers.", expected="a list of them", got=shown(value))
    return [to_layer(each, owner, name) for each in value]


class Pipeline(fields.FieldLayer):
    """Apply layers one after the other, to images or to what comes with them.

    Example:
        >>> from anabranch import Input, layers
        >>> pipeline = Pipeline([layers.Resizing(24, 24), layers.RandomFlip("horizontal"), layers.Rescaling(1 / 255)])
        >>> pipeline(Input((32, 48, 3))).shape
        (None, 24, 24, 3)
    """

    supports_masking = True
    layers: fields.Field[Sequence[Layer], list[Layer]] = fields.field(
        convert=_layers, plain=lambda layers: [registry.serialize(layer) for layer in layers], fixed=True, doc="the layers."
    )
    _others_by_position_ = {"name": fields.NAME_DOC}

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Apply them."""
        for layer in self.layers:
            inputs = layer(inputs, training=training) if layer._call_takes_("training") else layer(inputs)
        return inputs
