"""What a pass is: a function that rewrites an fx graph in place and says what it did where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.fx import Graph

Call = Any  # an fx node whose target and arguments are looked at, which torch types as a union of all that they may be


class Settings(NamedTuple):
    """What a variant of the code is for. The shapes of batches are no setting: they are noted on the graph's inputs."""

    training: bool
    no_grad: bool = False  # no gradient will be asked for
    single: bool = False  # batches of one sample
    heavy: bool = False  # a sample takes so much arithmetic for each weight that comparing weights costs little beside it
    device: str = "cpu"
    compiled: bool = False  # torch.compile compiles the result
    replayed: bool = False  # steps are captured, and replayed as CUDA graphs
    remat: tuple[str, ...] | int = ()  # which layers are recomputed for gradients, or how many bytes may be saved instead

    @property
    def refusal(self) -> str:
        """Why weights are not taken as constants, or "" where they are, until somebody changes them."""
        if not self.no_grad:
            return "weights may change, or gradients flow to them"
        if self.device != "cpu":
            return "to look whether weights have changed would make the host wait for the device"
        if self.compiled:
            return "torch.compile fuses by itself"
        light = self.single and not self.heavy
        return "batches of one sample: to look whether weights have changed costs as much as they do" if light else ""


class Note(NamedTuple):
    """What a pass did at one place, or why it could not."""

    path: str
    done: bool
    text: str


class Pass(NamedTuple):
    """One rewriting.

    ``requires`` and ``ensures`` are sentences for ``model.explain_execution()``; ``unfit`` says why the pass does not run in a
    settings, or "" where it does; ``run`` rewrites a graph in place, whose weights are in ``root``.
    """

    name: str
    requires: str
    ensures: str
    unfit: Callable[[Settings], str]
    run: Callable[[Graph, torch.nn.Module, Settings], list[Note]]


def always(settings: Settings) -> str:
    """Return "": the pass runs with all settings."""
    return ""


def constants_only(settings: Settings) -> str:
    """Return why a pass that takes weights as constants does not run, or ""."""
    return settings.refusal
