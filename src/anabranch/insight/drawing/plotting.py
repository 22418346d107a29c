"""Keras's ``plot_model`` and ``model_to_dot``: with its arguments, and without pydot or Graphviz."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch._arguments import checked
from anabranch._errors import ArgumentError, unknown
from anabranch._frames import bound_methods
from anabranch.graph import AnyModel
from anabranch.insight.drawing.drawn import Drawing, draw
from anabranch.insight.drawing.layout import Direction
from anabranch.insight.drawing.scene import Splines

if TYPE_CHECKING:
    from IPython.display import SVG, Image

MORE = ("repeats", "show_params", "theme")  # arguments of ``draw`` that Keras's functions lack


@bound_methods
class Dot:
    """A model in the language of Graphviz, as ``model_to_dot`` gives it.

    Args:
        drawing: the drawing.
        dpi: pixels in an inch, of pictures.
        subgraph: whether it is a cluster.

    Example:
        >>> from anabranch import Input, Model, layers, utils
        >>> x = Input((8,))
        >>> utils.model_to_dot(Model(x, layers.Dense(2)(x))).source[:9]
        'digraph {'
    """

    def __init__(self, drawing: Drawing, dpi: float, subgraph: bool) -> None:
        self.drawing = drawing
        self.dpi = dpi
        self.subgraph = subgraph

    @property
    def source(self) -> str:
        """The text."""
        return self.drawing.dot(self.dpi, self.subgraph)

    def to_string(self) -> str:
        """Return the text.

        Example:
            >>> from anabranch import Input, Model, layers, utils
            >>> x = Input((8,))
            >>> dot = utils.model_to_dot(Model(x, layers.Dense(2)(x)))
            >>> dot.to_string() == dot.source
            True
        """
        return self.source

    @checked
    def write(self, path: str | os.PathLike[str], format: str = "raw") -> None:
        """Write the text, or a picture, to a file.

        Args:
            path: the file.
            format: ``"raw"`` or ``"dot"`` for the text, ``"png"``, ``"svg"`` or ``"pdf"``.

        Example:
            >>> from anabranch import Input, Model, layers, utils
            >>> x = Input((8,))
            >>> utils.model_to_dot(Model(x, layers.Dense(2)(x))).write("model.gv")
            >>> import os
            >>> os.listdir()
            ['model.gv']
        """
        self.drawing.write(Path(path), ".dot" if format == "raw" else f".{format}", self.dpi)

    def _repr_svg_(self) -> str:
        return self.drawing.svg

    def __str__(self) -> str:
        return self.source


@checked
def model_to_dot(
    model: AnyModel,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: Direction = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: Splines = "ortho",
    **kwargs: bool | str,
) -> Dot:
    """Return a model in the language of Graphviz; shown as a picture in notebooks.

    Args:
        model: the model.
        show_shapes: whether boxes show the shapes of what they give.
        show_dtype: whether they show its dtype.
        show_layer_names: whether they show names.
        rankdir: where the flow goes: ``"TB"`` (down), ``"LR"`` (right), ``"BT"`` or ``"RL"``.
        expand_nested: whether nested models are open.
        dpi: pixels in an inch, of pictures.
        subgraph: whether it is a cluster, to be put into another graph.
        show_layer_activations: whether boxes show the activation that a layer applies.
        show_trainable: whether they show if their weights train.
        splines: how lines turn.
        **kwargs: ``repeats``, ``show_params`` and ``theme`` of ``draw``.

    Example:
        >>> from anabranch import Input, Model, layers, utils
        >>> x = Input((8,))
        >>> print(utils.model_to_dot(Model(x, layers.Dense(2)(x))).source.splitlines()[-2])
          n0 -> n1;
    """
    return Dot(
        _drawing(model, kwargs, expand_nested=expand_nested, rankdir=rankdir, show_shapes=show_shapes, show_dtype=show_dtype,
                 show_layer_names=show_layer_names, show_layer_activations=show_layer_activations,
                 show_trainable=show_trainable, splines=splines),
        dpi, subgraph,
    )  # fmt: skip


@checked
def plot_model(
    model: AnyModel,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: Direction = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: Splines = "ortho",
    **kwargs: bool | str,
) -> Image | SVG | None:
    """Draw a model to a file; equal blocks that follow each other are drawn once, in a frame that says ``×9``.

    Args:
        model: the model.
        to_file: the file, whose name ends in ``.png``, ``.svg``, ``.pdf``, ``.dot`` or ``.mmd``; PNG where it has no ending.
        show_shapes: whether boxes show the shapes of what they give.
        show_dtype: whether they show its dtype.
        show_layer_names: whether they show names.
        rankdir: where the flow goes: ``"TB"`` (down), ``"LR"`` (right), ``"BT"`` or ``"RL"``.
        expand_nested: whether nested models are open; else each call of one is a box.
        dpi: pixels in an inch.
        show_layer_activations: whether boxes show the activation that a layer applies.
        show_trainable: whether they show if their weights train.
        splines: how lines turn: ``"ortho"`` (right angles), ``"curved"``, ``"spline"``, ``"line"``, ``"polyline"`` (straight).
        **kwargs: ``repeats``, ``show_params`` and ``theme`` of ``draw``.

    Returns:
        In IPython an image that shows itself, of a PNG or SVG file; else None.

    Example:
        >>> import os
        >>> from anabranch import Input, Model, layers, utils
        >>> x = Input((8,))
        >>> shown = utils.plot_model(Model(x, layers.Dense(2)(x)), "model.png", show_shapes=True)
        >>> os.listdir()
        ['model.png']
    """
    drawing = _drawing(
        model, kwargs, expand_nested=expand_nested, rankdir=rankdir, show_shapes=show_shapes, show_dtype=show_dtype,
        show_layer_names=show_layer_names, show_layer_activations=show_layer_activations, show_trainable=show_trainable,
        splines=splines,
    )  # fmt: skip
    file = Path(to_file)
    format = file.suffix.lower() or ".png"
    drawing.write(file, format, dpi)
    if "IPython" not in sys.modules or format not in (".png", ".svg"):
        return None
    from IPython.display import SVG, Image

    # its classes are untyped
    return SVG(drawing.svg) if format == ".svg" else Image(filename=str(file), format=format[1:])  # type: ignore[no-untyped-call]


def _drawing(model: AnyModel, kwargs: dict[str, bool | str], **settings: bool | str) -> Drawing:
    """Return the drawing, with the further arguments that a caller gave."""
    if kwargs.get("layer_range", "") is None:
        del kwargs["layer_range"]
    for name in kwargs:
        if name == "layer_range":
            raise ArgumentError(
                "layer_range is not drawn, in Keras neither.", got=f"layer_range={kwargs[name]!r}",
                repair="draw a part: Model(model.input, model.get_layer(…).output)",
            )  # fmt: skip
        if name not in MORE:
            raise unknown("argument", name, MORE)
    found: Drawing = draw(model, **settings, **kwargs)  # type: ignore[arg-type]  # checked by draw
    return found
