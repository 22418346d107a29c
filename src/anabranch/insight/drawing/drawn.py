"""A model's drawing: an object, with views as SVG, PNG, PDF, dot and Mermaid."""

from __future__ import annotations

import math
import os
from functools import cached_property
from pathlib import Path
from typing import TypedDict

from anabranch._arguments import checked
from anabranch._asked import shown as shown_value
from anabranch._errors import ArgumentError, ArgumentTypeError, OutOfRangeError
from anabranch._frames import bound_methods
from anabranch.graph import AnyModel, Operation
from anabranch.insight.drawing.layout import Direction
from anabranch.insight.drawing.looks import ThemeName
from anabranch.insight.drawing.picture import Picture
from anabranch.insight.drawing.repeats import condensed, with_repeats
from anabranch.insight.drawing.scene import Scene, Shown, Splines, scene
from anabranch.insight.drawing.svg import to_svg

FORMATS = (".svg", ".png", ".pdf", ".dot", ".mmd")


def _check_dpi(dpi: float) -> None:
    if not 0 < dpi < math.inf:
        raise OutOfRangeError("dpi is a positive number of pixels in an inch.", got=repr(dpi))


@bound_methods
class Drawing:
    """A model drawn, as ``draw`` gives it: shown as a picture in notebooks, and written to files of several formats.

    Args:
        picture: what is drawn.
        shown: what is written in boxes.
        rankdir: where the flow goes.
        splines: how lines turn.
        theme: ``"light"``, ``"dark"``, or None for that of the reader's system.

    Example:
        >>> from anabranch import Input, Model, insight, layers
        >>> x = Input((8,))
        >>> insight.draw(Model(x, layers.Dense(2)(x)))
        <Drawing of functional: 2 boxes, 1 edge>
    """

    def __init__(self, picture: Picture, shown: Shown, rankdir: Direction, splines: Splines, theme: ThemeName | None) -> None:
        self.picture = picture
        self.shown = shown
        self.rankdir = rankdir
        self.splines = splines
        self.theme = theme
        self.marks: dict[str, str] = {}

    @checked
    def marked(self, marks: dict[str, str]) -> Drawing:
        """Return the drawing with frames around boxes, as of what differs from another model.

        Args:
            marks: ``"added"``, ``"removed"`` or ``"changed"`` by the ids of boxes.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> "added" in Model(x, layers.Dense(2, name="head")(x)).draw().marked({"head": "added"}).svg
            True
        """
        twin = Drawing(self.picture, self.shown, self.rankdir, self.splines, self.theme)
        twin.marks = marks
        return twin

    @cached_property
    def scene(self) -> Scene:
        """The shapes."""
        return scene(self.picture, self.shown, self.rankdir, self.splines, self.marks)

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG, which follows the reader's light or dark theme unless one was given."""
        return to_svg(self.scene, self.theme)

    @checked
    def png(self, dpi: float = 192) -> bytes:
        r"""Return the drawing as PNG, on light unless it was drawn for dark.

        Args:
            dpi: pixels in an inch; 96 of them make a pixel a unit of the SVG.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> Model(x, layers.Dense(2)(x)).draw().png()[:4]
            b'\x89PNG'
        """
        from anabranch.insight.drawing.raster import to_png  # which a drawing in a page does without

        _check_dpi(dpi)
        return to_png(self.scene, dpi, self.theme or "light")

    def pdf(self) -> bytes:
        """Return the drawing as PDF, on light unless it was drawn for dark.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> Model(x, layers.Dense(2)(x)).draw().pdf()[:8]
            b'%PDF-1.4'
        """
        from anabranch.insight.drawing.pdf import to_pdf  # which a drawing in a page does without

        return to_pdf(self.scene, self.theme or "light")

    @checked
    def dot(self, dpi: float = 200, subgraph: bool = False) -> str:
        """Return the drawing in the language of Graphviz.

        Args:
            dpi: pixels in an inch, of pictures that Graphviz makes of it.
            subgraph: whether it is a cluster, to be put into another graph.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> print(Model(x, layers.Dense(2)(x)).draw().dot().splitlines()[-2])
              n0 -> n1;
        """
        from anabranch.insight.drawing.dot import to_dot

        _check_dpi(dpi)
        return to_dot(self.picture, self.shown, self.rankdir, dpi, self.splines, subgraph)

    def mermaid(self) -> str:
        """Return the drawing in the language of Mermaid, which GitHub draws.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> print(Model(x, layers.Dense(2, name="head")(x)).draw().mermaid())
            flowchart TB
              n0(["Input<br>input_layer · (None, 8)"])
              n1["Dense<br>head · (None, 2)"]
              n0 --> n1
            <BLANKLINE>
        """
        from anabranch.insight.drawing.mermaid import to_mermaid

        return to_mermaid(self.picture, self.shown, self.rankdir)

    @checked
    def save(self, path: str | os.PathLike[str], dpi: float = 192) -> None:
        """Write the drawing to a file, whole or not at all.

        Args:
            path: the file, whose name ends in ``.svg``, ``.png``, ``.pdf``, ``.dot`` or ``.mmd`` (Mermaid).
            dpi: pixels in an inch, for ``.png``.

        Raises:
            ArgumentError: the name ends otherwise.
            FileError: the file cannot be written; what was there before is untouched.

        Example:
            >>> import os
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> Model(x, layers.Dense(2)(x)).draw().save("model.svg")
            >>> os.listdir()
            ['model.svg']
        """
        file = Path(path)
        self.write(file, file.suffix.lower(), dpi)

    def write(self, file: Path, format: str, dpi: float) -> None:
        """Write a file of a format, whatever its name.

        Args:
            file: the file.
            format: ``".png"`` and so on.
            dpi: pixels in an inch, for PNG and dot.

        Example:
            >>> from pathlib import Path
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> Model(x, layers.Dense(2)(x)).draw().write(Path("model"), ".dot", 96)
            >>> Path("model").read_text()[:9]
            'digraph {'
        """
        from anabranch.saving.files import write  # which a drawing in a page does without

        _check_dpi(dpi)
        if format not in FORMATS:
            raise ArgumentError(
                f"Drawings are not written as {format or 'files without an ending'}.", got=str(file),
                expected=f"a name that ends in {', '.join(FORMATS)}",
            )  # fmt: skip
        if format == ".png":
            data = self.png(dpi)
        elif format == ".pdf":
            data = self.pdf()
        else:
            text = self.svg if format == ".svg" else self.mermaid() if format == ".mmd" else self.dot(dpi)
            data = text.encode()
        write(file, data)

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        boxes, edges = sum(not box.group for box in self.picture.boxes), len(self.picture.edges)
        counts = f"{boxes} box{'es' * (boxes != 1)}, {edges} edge{'s' * (edges != 1)}"
        return f"<Drawing of {self.picture.name}: {counts}>"


class Settings(TypedDict, total=False):
    """What ``draw`` takes besides the model."""

    expand_nested: bool
    repeats: bool
    rankdir: Direction
    show_shapes: bool
    show_dtype: bool
    show_layer_names: bool
    show_layer_activations: bool
    show_trainable: bool
    show_params: bool
    splines: Splines
    theme: ThemeName | None


@checked
def draw(
    model: AnyModel,
    expand_nested: bool = False,
    repeats: bool = True,
    rankdir: Direction = "TB",
    show_shapes: bool = True,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    show_layer_activations: bool = True,
    show_trainable: bool = False,
    show_params: bool = False,
    splines: Splines = "curved",
    theme: ThemeName | None = None,
) -> Drawing:
    """Return a model's drawing: the trunk straight, skips around it, nested models and repeated blocks as groups.

    Args:
        model: the model.
        expand_nested: whether nested models are open; else each call of one is a box.
        repeats: whether equal blocks that follow each other are drawn once, in a frame that says ``×9``.
        rankdir: where the flow goes: ``"TB"`` (down), ``"LR"`` (right), ``"BT"`` or ``"RL"``.
        show_shapes: whether boxes show the shapes of what they give.
        show_dtype: whether they show its dtype.
        show_layer_names: whether they show names.
        show_layer_activations: whether they show the activation that a layer applies.
        show_trainable: whether they show if their weights train.
        show_params: whether they show how many parameters they have.
        splines: how lines turn: ``"curved"``, ``"spline"``, ``"ortho"`` (right angles), ``"line"``, ``"polyline"`` (straight).
        theme: ``"light"`` or ``"dark"``; None follows the reader's system where the format can.

    Example:
        >>> from anabranch import Input, Model, insight, layers
        >>> x = Input((8,))
        >>> y = layers.Dense(8, activation="relu")(x)
        >>> insight.draw(Model(x, layers.Add()([x, y]), name="block")).svg[:5]
        '<svg '
    """
    if not isinstance(model, Operation) or not model._has_layers_:
        raise ArgumentTypeError("model of draw must be a model.", got=shown_value(model))
    picture = Picture.of(model, expand_nested)
    if repeats:
        picture = condensed(with_repeats(picture))
    shown = Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, show_params)
    return Drawing(picture, shown, rankdir, splines, theme)
