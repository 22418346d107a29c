"""A scene as SVG: one text that needs nothing else, for light and dark pages, with tooltips and labels for screen readers."""

from __future__ import annotations

from html import escape

from anabranch.insight.drawing.looks import DARK, LIGHT, THEMES, ThemeName, style_sheet
from anabranch.insight.drawing.scene import Frame, Path, Scene, Text


def to_svg(scene: Scene, theme: ThemeName | None = None, background: bool = False) -> str:
    """Return the SVG.

    Args:
        scene: the shapes.
        theme: ``"light"`` or ``"dark"``; None follows the reader's system.
        background: whether the page is painted too; else it shows through.
    """
    name = f"ab-{theme or 'auto'}"
    if theme is None:
        sheet = f"{style_sheet(LIGHT, f'.{name}')}@media (prefers-color-scheme:dark){{{style_sheet(DARK, f'.{name}')}}}"
    else:
        sheet = style_sheet(THEMES[theme], f".{name}")
    width, height = _number(scene.width), _number(scene.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{name}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(scene.label)}" style="max-width:100%;height:auto">',
        f"<title>{escape(scene.name)}</title>",
        f"<style>{sheet}</style>",
    ]
    if background and theme is not None:
        parts.append(f'<rect width="{width}" height="{height}" fill="{THEMES[theme].background}"/>')
    parts += map(_frame, scene.groups)
    parts += map(_path, scene.lines)
    parts += map(_frame, scene.boxes)
    parts += map(_text, scene.notes)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _frame(frame: Frame) -> str:
    x, y, width, height = map(_number, frame.rect)
    texts = "".join(map(_text, frame.texts))
    rect = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{_number(frame.radius)}"/>'
    return f'<g class="{frame.style}"><title>{escape(frame.title, quote=False)}</title>{rect}{texts}</g>'


def _text(text: Text) -> str:
    x, y, size = _number(text.x), _number(text.y), _number(text.word.size)
    style = f"{text.word.style}{' bold' if text.word.bold else ''}"
    return f'<text x="{x}" y="{y}" font-size="{size}" class="{style}">{escape(text.word.text, quote=False)}</text>'


def _path(path: Path) -> str:
    commands = "".join(command + " ".join(map(_number, numbers)) for command, numbers in path.commands)
    return f'<path class="{path.style}" d="{commands}"/>'


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
