"""A picture in the language of Mermaid, which GitHub and many wikis draw."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from anabranch.insight.drawing.picture import Box, Picture
from anabranch.insight.drawing.scene import Shown, name_of, words_of
from anabranch.insight.drawing.texts import nested


def to_mermaid(picture: Picture, shown: Shown, rankdir: str = "TB") -> str:
    """Return the picture as text in the language of Mermaid.

    Args:
        picture: what is drawn.
        shown: what is written in boxes.
        rankdir: where the flow goes.
    """
    numbers = {box.id: f"n{number}" for number, box in enumerate(picture.boxes)}

    def opened(box: Box) -> Sequence[str]:
        return [f'subgraph {numbers[box.id]}["{_escaped(name_of(box))}"]']

    def single(box: Box) -> str:
        texts = "<br>".join(_escaped(" ".join(word.text for word in line)) for line in words_of(box, shown))
        left, right = ("([", "])") if box.role == "input" else ("[", "]")
        return f'{numbers[box.id]}{left}"{texts}"{right}'

    arrows = [f"  {numbers[edge.source]} {'-.->' if edge.masked else '-->'} {numbers[edge.target]}" for edge in picture.edges]
    return "\n".join([f"flowchart {rankdir}", *nested(picture, opened, single, "end"), *arrows]) + "\n"


def _escaped(text: str) -> str:
    """Return a text as Mermaid takes it in quotation marks: with numbers for what means something to it."""
    return escape(text).replace("#x27", "#39").replace("&", "#").replace("##39", "#39")
