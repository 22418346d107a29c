"""A drawing as PDF: one page with the shapes of the scene and the fonts beside this file in it (ISO 32000, §8 and §9)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from anabranch._errors import ArgumentError
from anabranch.insight.drawing.letters import width_of
from anabranch.insight.drawing.looks import THEMES, Look, Theme, ThemeName
from anabranch.insight.drawing.raster import FONTS
from anabranch.insight.drawing.scene import Frame, Path, Scene, Text

POINTS = 0.75  # of a unit of SVG
ROUND = 0.5523  # how far the handles of a curve are that looks like a quarter of a circle
ENCODING = "cp1252"  # as WinAnsiEncoding is called elsewhere


def to_pdf(scene: Scene, theme: ThemeName = "light") -> bytes:
    """Return the PDF.

    Args:
        scene: the shapes.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        ArgumentError: a text has letters that the fonts lack.
    """
    lost = sorted({letter for letter in scene.written() if letter.encode(ENCODING, "ignore") == b""})
    if lost:
        raise ArgumentError(
            "A PDF would lack letters that are not in its fonts.", got=" ".join(lost[:20]), repair="a file in .svg or .png"
        )
    look = THEMES[theme]
    width, height = scene.width * POINTS, scene.height * POINTS
    content = "\n".join(_content(scene, look)).encode(ENCODING)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {width:.2f} {height:.2f}]/Contents 4 0 R/Resources"
        "<</Font<</R 5 0 R/B 6 0 R>>>>>>".encode(),
        _stream(content),
        *_fonts(5),
    ]
    return _file(objects)


def _content(scene: Scene, theme: Theme) -> Iterator[str]:
    """Yield the operators of the page: y goes up in PDF, so everything is turned over, and texts turned back."""
    yield f"{POINTS} 0 0 {-POINTS} 0 {scene.height * POINTS:.2f} cm"
    yield f"{_color(theme.background)} rg 0 0 {scene.width:.1f} {scene.height:.1f} re f"
    for group in scene.groups:
        yield from _frame(group, theme, theme.group, "[6 4] 0 d" if "of-repeat" in group.style else "[] 0 d", 1.0)
    for path in scene.lines:
        yield from _path(path, theme)
    for box in scene.boxes:
        family, *more = box.style.split()
        yield from _frame(box, theme, theme.families[family], "[] 0 d", 3.0 if "end" in more else 1.0)
    yield from _texts(scene.notes, theme)


def _frame(frame: Frame, theme: Theme, look: Look, dash: str, width: float) -> Iterator[str]:
    x, y, w, h = frame.rect
    r, k = frame.radius, frame.radius * (1 - ROUND)
    right, bottom = x + w, y + h
    yield f"{_color(look.fill)} rg {_color(look.stroke)} RG {width} w {dash}"
    corners = [
        (x + r, y, right - r, y, right - k, y, right, y + k, right, y + r),
        (right, y + r, right, bottom - r, right, bottom - k, right - k, bottom, right - r, bottom),
        (right - r, bottom, x + r, bottom, x + k, bottom, x, bottom - k, x, bottom - r),
        (x, bottom - r, x, y + r, x, y + k, x + k, y, x + r, y),
    ]
    yield f"{_numbers(corners[0][:2])} m"
    for corner in corners:
        yield f"{_numbers(corner[2:4])} l {_numbers(corner[4:])} c"
    yield "h B"
    yield from _texts(frame.texts, theme)


def _texts(texts: Sequence[Text], theme: Theme) -> Iterator[str]:
    for x, y, word in texts:
        color = theme.strong if word.style == "strong" else theme.muted
        text = word.text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        font = f"/{'B' if word.bold else 'R'} {word.size} Tf"
        yield f"BT {_color(color)} rg {font} 1 0 0 -1 {_numbers((x, y))} Tm ({text}) Tj ET"


def _path(path: Path, theme: Theme) -> Iterator[str]:
    color = theme.skip if "skip" in path.style else theme.edge
    operators = {"M": "m", "L": "l", "C": "c", "Z": "h"}
    yield f"{_color(color)} RG {_color(color)} rg {1.8 if 'skip' in path.style else 1.4} w"
    yield "[5 3] 0 d" if "masked" in path.style else "[] 0 d"
    yield " ".join(f"{_numbers(numbers)} {operators[command]}" for command, numbers in path.commands)
    yield "f" if "head" in path.style else "S"


def _numbers(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.2f}" for number in numbers)


def _color(color: str) -> str:
    return _numbers([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])


def _fonts(first: int) -> list[bytes]:
    """Return the objects of both fonts, which are numbered from ``first`` on."""
    letters = [bytes([code]).decode(ENCODING, "replace") for code in range(32, 256)]
    objects: list[bytes] = []
    described: list[bytes] = []
    for number, (file, bold) in enumerate(zip(FONTS, (False, True), strict=True)):
        name = "AnabranchSans-Bold" if bold else "AnabranchSans"
        widths = " ".join(f"{width_of(letter, 1000, bold):.0f}" for letter in letters)
        place = first + 2 + 2 * number
        objects.append(
            f"<</Type/Font/Subtype/TrueType/BaseFont/{name}/Encoding/WinAnsiEncoding/FirstChar 32/LastChar 255"
            f"/Widths[{widths}]/FontDescriptor {place} 0 R>>".encode()
        )
        described.append(
            f"<</Type/FontDescriptor/FontName/{name}/Flags 32/FontBBox[-1000 -300 1500 1200]/ItalicAngle 0/Ascent 930"
            f"/Descent -240/CapHeight 730/StemV {140 if bold else 80}/FontFile2 {place + 1} 0 R>>".encode()
        )
        with open(file, "rb") as font:
            data = font.read()
        described.append(_stream(data, f"/Length1 {len(data)}"))
    return objects + described


def _stream(data: bytes, more: str = "") -> bytes:
    packed = zlib.compress(data, 9)
    return f"<</Length {len(packed)}/Filter/FlateDecode{more}>>\nstream\n".encode() + packed + b"\nendstream"


def _file(objects: Sequence[bytes]) -> bytes:
    """Return the objects as a file, with the table of where each begins."""
    parts = [b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"]
    places = []
    for number, held in enumerate(objects, 1):
        places.append(sum(map(len, parts)))
        parts.append(f"{number} 0 obj\n".encode() + held + b"\nendobj\n")
    start = sum(map(len, parts))
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n"
    tail = f"trailer\n<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n"
    return b"".join([*parts, (head + table + tail).encode()])
