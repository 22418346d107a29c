"""Values of epochs as small curves: in text, in SVG, in matplotlib."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple, SupportsFloat, TypeGuard

from anabranch._errors import MissingExtraError

BLOCKS, ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-~=+*#"
COLORS = "#3b82f6", "#f97316"  # of training and of validation; readable on white and on black
WIDTH, HEIGHT, MOST_POINTS, MOST_PANELS = 230, 110, 200, 6
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 30, 16  # around the curves


class Curve(NamedTuple):
    """One metric's finite or infinite values, each with the epoch of it, counted from 1."""

    name: str
    epochs: Sequence[int]
    values: Sequence[float]


def number(value: float) -> str:
    """Return a metric's value as text.

    >>> number(0.123456), number(1e-5)
    ('0.1235', '1e-05')
    """
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e3 else f"{value:.4g}"


def is_number(value: object) -> TypeGuard[SupportsFloat]:
    """Return whether a value of the logs is a single number."""
    return isinstance(value, SupportsFloat) and getattr(value, "size", 1) == 1  # only NumPy's values have one


def sparkline(values: Sequence[float], width: int = 40, blocks: str = BLOCKS) -> str:
    """Return the values as one character each; more than ``width`` of them as means of neighbors.

    >>> sparkline([3.0, 2.0, 1.0, 1.5])
    '█▅▁▃'
    """
    count = min(len(values), width)
    edges = [number * len(values) // count for number in range(count + 1)] if count else [0]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = _range(means)
    scale = (len(blocks) - 1) / (high - low) if high > low else 0.0
    return "".join(blocks[round((each - low) * scale)] if math.isfinite(each) else "?" for each in means)


def panels(curves: Sequence[Curve]) -> list[tuple[str, list[Curve]]]:
    """Return which curves are drawn together: a metric of training and that of validation.

    >>> [name for name, _ in panels([Curve("loss", [1], [0.5]), Curve("val_loss", [1], [0.6])])]
    ['loss']
    """
    found: dict[str, list[Curve]] = {}
    for curve in curves:
        found.setdefault(curve.name.removeprefix("val_"), []).append(curve)
    return list(found.items())


def svg(curves: Sequence[Curve]) -> str:
    """Return the curves as one picture, a panel for each metric, in colors that suit a light and a dark page."""
    shown = panels([curve for curve in curves if len(curve.values) > 1])[:MOST_PANELS]
    if not shown:
        return ""
    columns = min(3, len(shown))
    width, height = columns * WIDTH, -(-len(shown) // columns) * HEIGHT
    parts = []
    for place, (name, group) in enumerate(shown):
        inner = "".join(_panel(name, group))
        parts.append(f'<g transform="translate({place % columns * WIDTH},{place // columns * HEIGHT})">{inner}</g>')
    label = escape("Curves of " + ", ".join(name for name, _ in shown))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{label}" style="max-width:100%;height:auto" font-family="sans-serif" font-size="10" '
        f'fill="currentColor">{"".join(parts)}</svg>'
    )


def _panel(name: str, group: Sequence[Curve]) -> Iterator[str]:
    low, high = _range([value for curve in group for value in curve.values])
    first, last = min(curve.epochs[0] for curve in group), max(curve.epochs[-1] for curve in group)
    wide, tall = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    yield f'<text x="{_LEFT}" y="11" font-weight="bold">{escape(name)}</text>'
    yield f'<path d="M{_LEFT} {_TOP}H{right}M{_LEFT} {bottom}H{right}" stroke="currentColor" stroke-opacity=".25"/>'
    yield f'<text x="{right}" y="11" text-anchor="end" opacity=".6">{number(low)} to {number(high)}</text>'
    yield f'<text x="{_LEFT}" y="{HEIGHT - 4}" opacity=".6">{first}</text>'
    yield f'<text x="{right}" y="{HEIGHT - 4}" text-anchor="end" opacity=".6">{last}</text>'
    for curve, x in zip(group, (_LEFT, _LEFT + wide / 2), strict=False):
        validated = curve.name.startswith("val_")
        color, word = COLORS[validated], "validation" if validated else "training"
        yield f'<text x="{x:g}" y="24" fill="{color}">{word} {number(curve.values[-1])}</text>'
        step, down = wide / max(last - first, 1), tall / (high - low) if high > low else 0.0
        points = [
            (_LEFT + (epoch - first) * step, bottom - (value - low) * down) if math.isfinite(value) else None
            for epoch, value in _thinned(curve)
        ]
        yield f'<path d="{_path(points)}" fill="none" stroke="{color}" stroke-width="1.5" stroke-linejoin="round"/>'


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """Return the line through points, with gaps where a value is not finite."""
    written, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        written.append(f"{pen}{point[0]:.4g} {point[1]:.4g}")
        pen = "L"
    return "".join(written)


def _thinned(curve: Curve) -> list[tuple[int, float]]:
    points = list(zip(curve.epochs, curve.values, strict=True))
    stride = -(-len(points) // MOST_POINTS)
    return points[::-stride][::-1] if stride else []


def _range(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (0.0, 0.0)


def pyplot(what: str, instead: str = "; or print it as text") -> Any:
    """Return ``matplotlib.pyplot``, which is an extra."""
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs matplotlib, which is not installed.", repair=f"pip install anabranch[plots]{instead}"
        ) from error
    return matplotlib.pyplot


def plotted(curves: Sequence[Curve]) -> list[Any]:
    """Draw a panel of matplotlib for each metric, and return their axes."""
    shown = panels(curves)
    size = 4.5 * len(shown), 3.2
    axes = list(pyplot("plot()").subplots(1, len(shown), figsize=size, squeeze=False, layout="constrained")[1][0])
    for (name, group), ax in zip(shown, axes, strict=True):
        for curve in group:
            validated = curve.name.startswith("val_")
            ax.plot(
                curve.epochs, curve.values, color=COLORS[validated], label="validation" if validated else "training",
                marker="." if len(curve.values) < 2 else None,
            )  # fmt: skip
        ax.set(title=name, xlabel="epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(frameon=False)
    return axes


def by_name(values: Mapping[str, Sequence[object]]) -> list[str]:
    """Return the names whose values are numbers, each metric followed by that of validation."""
    numeric = [name for name, found in values.items() if found and all(map(is_number, found))]
    first = [name for name in numeric if not (name.startswith("val_") and name.removeprefix("val_") in numeric)]
    return [each for name in first for each in (name, f"val_{name}") if each in numeric]
