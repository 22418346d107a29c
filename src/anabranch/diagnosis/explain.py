"""The one place where an error is completed: by its clue, and by where the tensors came from that did not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from anabranch._errors import AnabranchError, EngineError, ShapeError
from anabranch.diagnosis import topology
from anabranch.diagnosis.branches import clash_of_operands, first_clash, is_of, repairs
from anabranch.diagnosis.clash import Clash
from anabranch.diagnosis.no_values import INDEX_REPAIR, repair_of
from anabranch.diagnosis.origins import Branch, branches, chain
from anabranch.diagnosis.ranks import rank_repair
from anabranch.graph import clues
from anabranch.graph.shapes import WrongRank

if TYPE_CHECKING:
    from anabranch.graph.records import Tensor


def explain(error: AnabranchError, inputs: Sequence[Tensor] = ()) -> None:
    """Complete an error whose operation was called on ``inputs``, unless it is complete already."""
    by_clue = _BY_CLUE.get(type(error.clue))
    if by_clue is not None:
        clue, error.clue = error.clue, None
        by_clue(error, clue)
    if inputs and error.origin is None and isinstance(error, (ShapeError, EngineError)):
        _show_origin(error, inputs)


def _show_origin(error: AnabranchError, inputs: Sequence[Tensor]) -> None:
    """Add the steps that led to the inputs, and to the repair of two branches the layers to change."""
    if len(inputs) == 1:
        error.origin = chain(inputs[0])
        return
    known = isinstance(error.clue, Clash) and is_of(error.clue, inputs)
    clash = error.clue if known else first_clash(inputs)
    ends = inputs[clash.one], inputs[clash.other]
    one, other = (Branch(f"branch {position + 1}", inputs[position]) for position in (clash.one, clash.other))
    error.origin = branches(one, other, clash.names, clash.channels_first)
    if known and error.repair == repairs(clash):
        error.repair = repairs(clash, ends)


def _unequal_operands(error: AnabranchError, clue: clues.UnequalOperands) -> None:
    a, b = clue.shapes
    clash = error.clue = clash_of_operands(clue.shapes)
    error.fact = f"a {clue.sign} b cannot combine {a} and {b}: {clash.sizes()}."
    error.repair = repairs(clash) if len(a) == len(b) else None


def _wrong_rank(error: AnabranchError, clue: WrongRank) -> None:
    error.repair = error.repair or rank_repair(clue.shape, clue.rank, clue.axes)


def _no_values(error: AnabranchError, clue: clues.NoValues) -> None:
    error.repair = repair_of(clue.use)


def _wrong_index(error: AnabranchError, clue: clues.WrongIndex) -> None:
    error.repair = INDEX_REPAIR


def _nothing_selected(error: AnabranchError, clue: clues.NothingSelected) -> None:
    error.repair = "model.select(…) shows what a selector finds"


_BY_CLUE: dict[type, Callable[[AnabranchError, Any], None]] = {
    clues.UnequalOperands: _unequal_operands,
    WrongRank: _wrong_rank,
    clues.NoValues: _no_values,
    clues.WrongIndex: _wrong_index,
    clues.NothingSelected: _nothing_selected,
    clues.NoTensors: topology.no_tensors,
    clues.WrongValue: topology.not_a_tensor,
    clues.RepeatedInput: topology.repeated_input,
    clues.MissingInput: topology.missing_input,
}
