"""What a notebook shows of a model: its drawing, and the table of its layers below it."""

from __future__ import annotations

from anabranch.graph import AnyModel
from anabranch.insight.drawing.drawn import draw
from anabranch.insight.summaries import summarise

MOST_BOXES = 400
MOST_ROWS = 400


def html_of(model: AnyModel) -> str:
    """Return a model's drawing, with nested models closed and repeats drawn once, and its table, as HTML.

    Args:
        model: the model; of a large one, what is left out says how to see it.

    Example:
        >>> from anabranch import Input, Model, layers
        >>> x = Input((8,))
        >>> html_of(Model(x, layers.Dense(2)(x))).count("<svg")
        1
    """
    drawing = draw(model)
    count = len(drawing.picture.boxes)
    drawn = drawing.svg if count <= MOST_BOXES else f"<p>{count:,} boxes: <code>draw().save('model.svg')</code> draws them.</p>"
    rows = len(model.layers)
    if rows > MOST_ROWS:
        return f"{drawn}<p>{rows:,} layers: <code>summary()</code> prints them.</p>"
    return f"{drawn}<details><summary>{rows} layers</summary>{summarise(model).html()}</details>"
