"""A drawing as PNG: its SVG, drawn by resvg with the fonts beside this file, so that it looks alike on every machine."""

from __future__ import annotations

from pathlib import Path

from anabranch._errors import ArgumentError, MissingExtraError
from anabranch.insight.drawing.letters import is_known
from anabranch.insight.drawing.looks import ThemeName
from anabranch.insight.drawing.scene import Scene
from anabranch.insight.drawing.svg import to_svg

FONTS = [str(Path(__file__).with_name("fonts") / f"{weight}.ttf") for weight in ("regular", "bold")]
FAMILY = "Anabranch Sans"
PIXELS = 96  # an inch of SVG
MOST = 32_000  # pixels of a side, which more programs than not can show
NO_SIGN = "\U0010fffd"  # a letter that no font has


def to_png(scene: Scene, dpi: float = 2 * PIXELS, theme: ThemeName = "light") -> bytes:
    """Return the PNG.

    Args:
        scene: the shapes.
        dpi: pixels in an inch; 96 of them make a pixel one unit of the SVG.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        ArgumentError: the picture would be too large, or a letter is in none of this machine's fonts.
        MissingExtraError: the package that draws is not installed.
    """
    zoom = dpi / PIXELS
    if max(scene.width, scene.height) * zoom > MOST:
        fits = int(PIXELS * MOST / max(scene.width, scene.height))
        raise ArgumentError(
            f"The picture would be {scene.width * zoom:,.0f} × {scene.height * zoom:,.0f} pixels.", got=f"dpi={dpi}",
            expected=f"at most {MOST:,} on a side",
            repair=f"dpi={fits} or less, expand_nested=False, or a file in .svg or .pdf",
        )  # fmt: skip
    known = is_known(scene.written())
    if not known:
        _check_letters(scene)
    return _draw(to_svg(scene, theme, background=True), zoom, known)


def _draw(svg: str, zoom: float, own_fonts: bool) -> bytes:
    try:
        import resvg_py
    except ImportError as error:
        raise MissingExtraError(
            "PNG files are drawn by resvg-py, which is not installed.",
            repair="pip install resvg-py, or a file in .svg or .pdf",
        ) from error
    drawn: bytes = resvg_py.svg_to_bytes(
        svg_string=svg.replace("font-family:", f"font-family:'{FAMILY}',"), zoom=zoom, font_files=FONTS,
        skip_system_fonts=own_fonts, font_family=FAMILY, sans_serif_family=FAMILY,
    )  # fmt: skip
    return bytes(drawn)


def _check_letters(scene: Scene) -> None:
    """Raise where a letter would vanish: it looks like one that no font has."""
    letters = sorted({letter for letter in scene.written() if not is_known(letter) and letter.isprintable()})
    missing = _draw(_letter(NO_SIGN), 1, False)
    lost = [letter for letter in letters if _draw(_letter(letter), 1, False) == missing]
    if lost:
        raise ArgumentError(
            "A PNG would lack letters that no font of this machine has.", got=" ".join(lost[:20]),
            repair="install a font that has them, or write a file in .svg, which the reader's fonts are used for",
        )  # fmt: skip


def _letter(letter: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24"><style>text{font-family:sans-serif}</style>'
        f'<text x="2" y="18" font-size="16">{letter}</text></svg>'
    )
