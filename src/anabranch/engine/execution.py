"""How a model runs: which passes rewrote its code where, why not elsewhere, and the code itself."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import torch

from anabranch._tables import Column, Table
from anabranch.engine.passes import Note, Pass, Settings
from anabranch.engine.programs import Remat, program
from anabranch.graph import AnyModel


@dataclasses.dataclass(frozen=True)
class Rewriting:
    """What one pass did to a model's code."""

    name: str
    requires: str
    ensures: str
    done: tuple[Note, ...]
    refused: tuple[Note, ...]

    def __str__(self) -> str:
        lines = [f"{self.name}: ensures {self.ensures}"]
        lines += [f"  + {note.path}: {note.text}" for note in self.done]
        lines += [f"  - {note.path}: {note.text}" if note.path else f"  not run: {note.text}" for note in self.refused]
        return "\n".join(lines if len(lines) > 1 else [lines[0], f"  nothing to do; requires {self.requires}"])


@dataclasses.dataclass(frozen=True)
class Execution:
    """How a model runs in one setting; ``str()`` of it is a text, ``code`` the flat torch code."""

    settings: Settings
    rewritings: tuple[Rewriting, ...]
    prepared: tuple[str, ...]  # the paths of the layers for which something is computed before the first batch
    code: str
    replay: str = ""  # whether a GPU repeats it by itself, and why

    def __getitem__(self, name: str) -> Rewriting:
        return next(each for each in self.rewritings if each.name == name)

    def __str__(self) -> str:
        return "\n".join([self._head(), *map(str, self.rewritings), *self._last()])

    def _repr_html_(self) -> str:
        from html import escape

        rows = [
            (each.name, note.path, "done" if note.done else "not done", note.text)
            for each in self.rewritings
            for note in (*each.done, *each.refused)
        ]
        table = Table([Column(title) for title in ("pass", "where", "", "what")], rows)
        last = "".join(f"<div>{escape(line)}</div>" for line in self._last())
        code = f"<details><summary>code</summary><pre>{escape(self.code)}</pre></details>"
        return f"<b>{escape(self._head())}</b>{table.html()}{last}{code}"

    def _head(self) -> str:
        what = "training" if self.settings.training else "inference"
        size = ", batches of one" if self.settings.single else ""
        return f"{what} on {self.settings.device}{size}{'' if self.settings.no_grad else ', with gradients'}"

    def _last(self) -> list[str]:
        prepared = ", ".join(self.prepared)
        return [*([f"computed once, until a weight changes: {prepared}"] if prepared else []), *filter(None, [self.replay])]


class Rematerialized(AnyModel, Protocol):
    """A model, with what ``compile`` was given as ``remat``."""

    @property
    def _remat_(self) -> Remat:
        """Which layers are recomputed in the backward pass, or how many bytes may be saved for it."""


def explain_execution(
    model: Rematerialized, *, training: bool, gradients: bool | None = None, single: bool = False
) -> Execution:
    """Return which passes rewrote the model's code and where, in the variant that runs with these settings."""
    gradients = training if gradients is None else gradients
    variant = program(model, training, remat=model._remat_ if training else ()).variant(
        no_grad=not gradients, single=single and not gradients
    )
    rewritings = tuple(_rewriting(each, notes) for each, notes in variant.report)
    return Execution(variant.settings, rewritings, variant.computed, _code_of(variant.module))


def _code_of(module: torch.fx.GraphModule) -> str:
    """Return the code of a module, and of the segments in it."""
    parts = [(name, part.code) for name, part in module.named_modules() if name and isinstance(part, torch.fx.GraphModule)]
    return "\n".join([module.code, *(f"# {name.removesuffix('.part')}\n{code}" for name, code in parts)])


def _rewriting(each: Pass, notes: list[Note]) -> Rewriting:
    done, refused = (tuple(note for note in notes if note.done is state) for state in (True, False))
    return Rewriting(each.name, each.requires, each.ensures, done, refused)
