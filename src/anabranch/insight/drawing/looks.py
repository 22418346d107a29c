"""Colors: a family for each type of layer, and what each style looks like on light and on dark."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from anabranch.insight.drawing.picture import Box

# Parts of the names of layers -> their family; the first that fits
FAMILIES = (
    ("ConvLSTM", "memory"), ("Conv", "conv"), ("Pool", "pool"), ("Norm", "norm"), ("Embedding", "embedding"),
    ("Attention", "memory"),
    ("LSTM", "memory"), ("GRU", "memory"), ("RNN", "memory"), ("Bidirectional", "memory"), ("Dense", "dense"),
    ("ReLU", "activation"), ("ELU", "activation"), ("Softmax", "activation"), ("Activation", "activation"), ("Add", "merge"),
    ("Concatenate", "merge"), ("Multiply", "merge"), ("Subtract", "merge"), ("Average", "merge"), ("Maximum", "merge"),
    ("Minimum", "merge"), ("Dot", "merge"), ("+", "merge"),
)  # fmt: skip


def family(box: Box) -> str:
    """Return the family of a box, which decides its color.

    >>> family(Box("a", kind="Conv2DTranspose")), family(Box("a", kind="Flatten")), family(Box("a", role="input"))
    ('conv', 'other', 'input')
    """
    if box.role in ("input", "model"):
        return box.role
    return next((name for part, name in FAMILIES if part in box.kind), "other")


class Look(NamedTuple):
    """Colors of one style: of the inside and of the border."""

    fill: str
    stroke: str


class Theme(NamedTuple):
    """What everything looks like on one background."""

    background: str
    strong: str
    muted: str
    edge: str
    skip: str
    group: Look
    families: dict[str, Look]


LIGHT = Theme(
    "#ffffff", "#111827", "#4b5563", "#6b7280", "#d9480f", Look("#f3f5f8", "#a3acb9"),
    {
        "conv": Look("#dbeafe", "#3b82f6"), "dense": Look("#ede9fe", "#8b5cf6"), "norm": Look("#ccfbf1", "#0d9488"),
        "activation": Look("#fef3c7", "#d97706"), "pool": Look("#fee2e2", "#ef4444"), "merge": Look("#dcfce7", "#16a34a"),
        "memory": Look("#fce7f3", "#db2777"), "embedding": Look("#e0e7ff", "#6366f1"), "input": Look("#ffffff", "#374151"),
        "model": Look("#ffedd5", "#ea580c"), "other": Look("#eef1f5", "#8792a2"),
    },
)  # fmt: skip
DARK = Theme(
    "#0f141b", "#f3f4f6", "#c3cad4", "#8d98a7", "#ff9d5c", Look("#19212c", "#56637a"),
    {
        "conv": Look("#1c3a63", "#60a5fa"), "dense": Look("#3a2d66", "#a78bfa"), "norm": Look("#12463f", "#2dd4bf"),
        "activation": Look("#4d3a0c", "#fbbf24"), "pool": Look("#562222", "#f87171"), "merge": Look("#164a2c", "#4ade80"),
        "memory": Look("#541f3c", "#f472b6"), "embedding": Look("#2d3268", "#818cf8"), "input": Look("#1b222c", "#d1d5db"),
        "model": Look("#51290d", "#fb923c"), "other": Look("#2a3441", "#94a3b8"),
    },
)  # fmt: skip
ThemeName: TypeAlias = Literal["light", "dark"]
THEMES: dict[ThemeName, Theme] = {"light": LIGHT, "dark": DARK}


MARKS = {"added": "#16a34a", "removed": "#dc2626", "changed": "#d97706"}
"""Borders of what differs between two models."""


def style_sheet(theme: Theme, scope: str) -> str:
    """Return the rules of CSS for everything under ``scope``."""
    rules = [
        f"{scope} text{{font-family:'DejaVu Sans','Helvetica Neue',Arial,sans-serif}}",
        f"{scope} .strong{{fill:{theme.strong}}}",
        f"{scope} .muted{{fill:{theme.muted}}}",
        f"{scope} .bold{{font-weight:bold}}",
        f"{scope} path{{fill:none}}",
        f"{scope} .edge{{stroke:{theme.edge};stroke-width:1.4}}",
        f"{scope} .skip{{stroke:{theme.skip};stroke-width:1.8}}",
        f"{scope} .masked{{stroke-dasharray:5 3}}",
        f"{scope} .head.edge{{fill:{theme.edge};stroke:none}}",
        f"{scope} .head.skip{{fill:{theme.skip};stroke:none}}",
        f"{scope} .group>rect{{fill:{theme.group.fill};stroke:{theme.group.stroke}}}",
        f"{scope} .of-repeat>rect{{stroke-dasharray:6 4}}",
        *(f"{scope} .{name}>rect{{fill:{look.fill};stroke:{look.stroke}}}" for name, look in theme.families.items()),
        f"{scope} .end>rect{{stroke-width:3}}",
        *(f"{scope} .{mark}>rect{{stroke:{color};stroke-width:4}}" for mark, color in MARKS.items()),
    ]
    return "".join(rules)
