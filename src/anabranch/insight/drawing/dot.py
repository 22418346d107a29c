"""A picture in the language of Graphviz, for those who go on with its programs; neither these nor pydot are needed."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.insight.drawing.picture import Box, Picture
from anabranch.insight.drawing.scene import Shown, name_of, words_of
from anabranch.insight.drawing.texts import nested


def to_dot(
    picture: Picture, shown: Shown, rankdir: str = "TB", dpi: float = 200, splines: str = "ortho", subgraph: bool = False
) -> str:
    """Return the picture as text in the language ``dot``.

    Args:
        picture: what is drawn.
        shown: what is written in boxes.
        rankdir: where the flow goes.
        dpi: pixels in an inch, of pictures that Graphviz makes of it.
        splines: how Graphviz draws lines.
        subgraph: whether it is a cluster, to be put into another graph.
    """
    numbers = {box.id: f"n{number}" for number, box in enumerate(picture.boxes)}
    settings = [f"rankdir={rankdir};", f"splines={splines};", f"dpi={dpi:g};"]
    head = [f"subgraph {_quoted(f'cluster_{picture.name}')} {{", f"  label={_quoted(picture.name)};"]
    lines = head if subgraph else ["digraph {", *(f"  {setting}" for setting in settings)]
    lines.append('  node [shape=box, style=rounded, fontname="sans-serif"];')

    def opened(box: Box) -> Sequence[str]:
        return [f"subgraph {_quoted(f'cluster_{box.id}')} {{", f"  label={_quoted(_title(box))};"]

    def single(box: Box) -> str:
        texts = (" ".join(word.text for word in line) for line in words_of(box, shown))
        return f"{numbers[box.id]} [label={_quoted(chr(10).join(texts))}];"

    lines += nested(picture, opened, single, "}")
    lines += [f"  {numbers[edge.source]} -> {numbers[edge.target]}{' [style=dashed]' * edge.masked};" for edge in picture.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _title(box: Box) -> str:
    return f"{name_of(box)} ({box.kind})" if box.role == "model" else box.name


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
