"""The passes in the order they run in, and running them."""

from __future__ import annotations

from torch.fx import GraphModule

from anabranch.engine.passes.base import Note, Pass, Setting

PASSES: tuple[Pass, ...] = ()


def apply(module: GraphModule, setting: Setting) -> list[tuple[Pass, list[Note]]]:
    """Rewrite the module's graph by each pass that fits the setting, and return what each noted."""
    report: list[tuple[Pass, list[Note]]] = []
    for each in PASSES:
        why = each.unfit(setting)
        report.append((each, [Note("", False, why)] if why else each.run(module, setting)))
    return report
