"""Tables: as text, fitted to a width by wrapping cells and never by cutting them, and as HTML."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

Cell: TypeAlias = "str | Sequence[str]"
"""What one column shows of a row: a text, or its lines."""

GAP = 2  # spaces between columns
INDENT = " "  # before what is continued on the next line
# where a cell is broken, finer only where the width asks for it: between words, in names, in class names
_WORDS = r"(?<= )(?=[^ ])"
_NAMES = _WORDS + r"|(?<=[/_])(?=[^/_ ])|(?<=\.)(?=[A-Za-z_])|(?<=[^\] \[])(?=\[)"
_CAPITALS = _NAMES + r"|(?<=[a-z])(?=[A-Z])"
_BREAKS = [re.compile(pattern) for pattern in (_WORDS, _NAMES, _CAPITALS)]
_BRANCH = re.compile(r" *└─ ")  # before the name of an inner row


class Column(NamedTuple):
    """A title, and whether the cells are aligned at the right, as numbers are."""

    title: str
    right: bool = False


class Table(NamedTuple):
    """Columns and rows of cells; text and HTML are views of them."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def text(self, width: int | None = None) -> str:
        """Return the table as text: a line of titles, then the rows."""
        header, body = self.lines(self.widths(width))
        return "\n".join([*header, *body])

    def widths(self, width: int | None = None) -> list[int]:
        """Return how wide each column is: what its cells need, or less where the table is to be at most ``width`` wide."""
        columns = list(zip(*self._cells(), strict=True))
        widest = [max(map(_length, _all(column))) for column in columns]
        if width is None or sum(widest) <= (room := width - GAP * (len(widest) - 1)):
            return widest
        for level in range(len(_BREAKS)):
            least = [
                max(
                    _least(line, level if place == 0 or not kind.right else None)
                    for place, cell in enumerate(column)
                    for line in cell
                )
                for kind, column in zip(self.columns, columns, strict=True)
            ]
            least = [min(a, b) for a, b in zip(least, widest, strict=True)]
            if sum(least) <= room:
                return _shared(widest, least, room)
            widest = least
        return widest

    def lines(self, widths: Sequence[int]) -> tuple[list[str], list[str]]:
        """Return the lines of the titles and those of the rows."""
        header, *rows = (self._row(cells, widths) for cells in self._cells())
        return header, [line for row in rows for line in row]

    def html(self) -> str:
        """Return the table as HTML."""
        from html import escape

        def row(cells: Sequence[Sequence[str]], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{'<br>'.join(map(escape, cell))}</{tag}>" for cell in cells) + "</tr>"

        header, *rows = self._cells()
        return f"<table>{row(header, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"

    def _cells(self) -> list[list[Sequence[str]]]:
        """Return titles and rows, each cell as its lines."""
        rows = [[column.title for column in self.columns], *self.rows]
        return [[[cell] if isinstance(cell, str) else cell or [""] for cell in row] for row in rows]

    def _row(self, cells: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
        """Return the lines of one row: as many as its highest cell has."""
        wrapped = [
            [part for line in cell for part in wrapped_line(line, width)] for cell, width in zip(cells, widths, strict=True)
        ]
        height = max(map(len, wrapped))
        columns = [
            [_padded(line, width, column.right) for line in [*cell, *[""] * (height - len(cell))]]
            for cell, width, column in zip(wrapped, widths, self.columns, strict=True)
        ]
        return [(" " * GAP).join(line).rstrip() for line in zip(*columns, strict=True)]


def wrapped_line(line: str, width: int) -> list[str]:
    """Return a line as lines of at most ``width``: broken between words, else in names after / _ or . and before a capital.

    >>> wrapped_line("global_average_pooling2d (GlobalAveragePooling2D)", 25)
    ['global_average_pooling2d', ' (GlobalAveragePooling2D)']
    >>> wrapped_line("max_pooling2d[0][0]", 12)
    ['max_', ' pooling2d', ' [0][0]']
    """
    if _length(line) <= width:
        return [line]
    found = _BRANCH.match(line)
    begin = found[0] if found else ""
    rest = " " * len(begin) + INDENT
    lines = [begin]
    fresh = True  # whether nothing is on the last line yet
    for piece in _pieces(line[len(begin) :], width - len(rest)):
        if not fresh and _length(lines[-1]) + _length(piece.rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append(rest)
        lines[-1] += piece
        fresh = False
    return [*lines[:-1], lines[-1].rstrip()]


def _pieces(text: str, width: int, level: int = 0) -> Iterable[str]:
    """Yield the parts that a text is broken into, each as coarse as ``width`` allows."""
    for piece in _BREAKS[level].split(text):
        if _length(piece.rstrip()) <= width or level + 1 == len(_BREAKS):
            yield piece
        else:
            yield from _pieces(piece, width, level + 1)


def _least(line: str, level: int | None) -> int:
    """Return the least width that a line fits into, broken at one level; None: as it is, as numbers are."""
    if level is None:
        return _length(line)
    found = _BRANCH.match(line)
    begin = len(found[0]) if found else 0
    pieces = _BREAKS[level].split(line[begin:])
    return begin + max((_length(piece.rstrip()) for piece in pieces), default=0) + len(INDENT) * (len(pieces) > 1)


def _shared(widest: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return widths that fill ``room``: the narrow columns get all they ask for, the others are equal as far as they can be."""
    low, high = 0, max(widest)

    def at(level: int) -> list[int]:
        return [max(small, min(large, level)) for small, large in zip(least, widest, strict=True)]

    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(at(middle)) <= room else (low, middle - 1)
    found = at(low)
    for place, large in enumerate(widest):  # what is left over, from the left
        if sum(found) < room and found[place] < large:
            found[place] += 1
    return found


def _all(column: Iterable[Sequence[str]]) -> Iterable[str]:
    return (line for cell in column for line in cell)


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - _length(text))
    return space + text if right else text + space


def _length(text: str) -> int:
    """Return how many columns of a terminal a text takes: letters of Chinese, Japanese and Korean two, accents none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def terminal_width() -> int | None:
    """Return the width of the terminal that is printed to; None where the output is none."""
    try:
        if not sys.stdout.isatty():
            return None
    except (AttributeError, ValueError):  # no file, or a closed one
        return None
    import shutil

    return shutil.get_terminal_size().columns


def aligned(rows: Iterable[Sequence[Cell]], width: int | None = None) -> str:
    """Return rows, the first of which may be titles, as a table in text; "" where there are none."""
    first, *rest = [*rows] or [()]
    return Table([Column(title if isinstance(title, str) else "") for title in first], rest).text(width) if first else ""


def facts(title: str, pairs: Iterable[tuple[str, object]]) -> str:
    """Return what is known of one object as HTML, under its title.

    >>> facts("Weight", [("shape", (2, 3))])
    '<table><tr><th>Weight</th><th></th></tr><tr><td>shape</td><td>(2, 3)</td></tr></table>'
    """
    return Table([Column(title), Column("")], [(name, str(value)) for name, value in pairs]).html()


UNITS = ("", "k", "M", "G", "T", "P")


def number_text(number: float) -> str:
    """Return a number in steps of 1,000: ``4.09 G``.

    >>> number_text(4_089_184_256), number_text(950)
    ('4.09 G', '950')
    """
    for unit in UNITS[:-1]:
        if abs(number) < 1000:
            return f"{number:.2f} {unit}" if unit else f"{number:g}"
        number /= 1000
    return f"{number:.2f} {UNITS[-1]}"


def bytes_text(count: float) -> str:
    """Return bytes in steps of 1,024, in Keras's words.

    >>> bytes_text(1536)
    '1.50 KB'
    """
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} GB"
