"""The picture of the README: how fast the contenders of some works were, as bars of an SVG; ``table.py --write`` draws it."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from missing import missing

PANELS = (("toy-train", "fit"), ("resnet20-train", "fit"), ("mlp-train", "fit"), ("toy-infer", "predict 256"))
WIDTH, ROW, NAME, BAR = 400, 18, 130, 190  # pixels: a panel, a row of it, the names' column, the longest bar

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 } .name { text-anchor: end }
rect { fill: #b6bec8 } .us { fill: #1f7a8c } text.us { fill: #1f7a8c; font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #d0d7de } rect { fill: #57606a } .us { fill: #4fb3c8 } text.us { fill: #4fb3c8 }
}
"""


def bars(work: dict[str, Any], case: str) -> list[tuple[str, float]]:
    """Return contenders and what each does a second, the fastest first; a floor is no contender."""
    amount = work["cases"][case]["amount"]
    found = [(name, amount / each["median"]) for name, each in work["cases"][case]["contenders"].items()]
    return sorted((bar for bar in found if "alone" not in bar[0]), key=lambda bar: -bar[1])


def panel(results: dict[str, Any], key: str, case: str) -> list[str]:
    """Return one work: a title, a bar a contender, and who has none."""
    work = results["work"][key]
    title = work["label"] if work["kind"] == "train" else f"{work['label']}, {case}"
    lines = [f'<text class="title" x="0" y="14">{escape(title)}, {work["unit"]} a second</text>']
    rows = bars(work, case)
    for place, (name, rate) in enumerate(rows):
        kind, y, length = ("us" if name == "anabranch" else ""), 24 + place * ROW, BAR * rate / rows[0][1]
        lines += [
            f'<text class="name {kind}" x="{NAME - 6}" y="{y + 12}">{escape(name)}</text>',
            f'<rect class="{kind}" x="{NAME}" y="{y}" width="{length:.1f}" height="{ROW - 4}" rx="2"/>',
            f'<text class="{kind}" x="{NAME + length + 6:.1f}" y="{y + 12}">{rate:,.0f}</text>',
        ]
    for place, name in enumerate(missing(results, key, case), len(rows)):
        y = 24 + place * ROW + 12
        lines += [
            f'<text class="name" x="{NAME - 6}" y="{y}">{escape(name)}</text>',
            f'<text x="{NAME}" y="{y}">not measured</text>',
        ]
    return lines


def chart(results: dict[str, Any], panels: tuple[tuple[str, str], ...] = PANELS) -> str:
    """Return the picture of those works that were measured, two panels beside each other."""
    shown = [(key, case) for key, case in panels if key in results["work"]]
    heights = [
        24 + ROW * (len(bars(results["work"][key], case)) + len(missing(results, key, case))) + 20 for key, case in shown
    ]
    parts, top = [], 0
    for first in range(0, len(shown), 2):
        for column, each in enumerate(shown[first : first + 2]):
            parts += [f'<g transform="translate({column * WIDTH + 10},{top + 6})">', *panel(results, *each), "</g>"]
        top += max(heights[first : first + 2])
    size = f'viewBox="0 0 {2 * WIDTH} {top}" width="{2 * WIDTH}" height="{top}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>", ""])
