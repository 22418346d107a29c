"""Inputs and outputs that make no graph: an Input that was left out, one that is listed twice, nothing at all."""

from __future__ import annotations

from anabranch._errors import AnabranchError
from anabranch.diagnosis.origins import behind, chain
from anabranch.diagnosis.wrong_value import wrong_value
from anabranch.graph.call_site import call_site
from anabranch.graph.clues import MissingInput, NoTensors, RepeatedInput, WrongValue


def no_tensors(error: AnabranchError, clue: NoTensors) -> None:
    """Explain that a graph needs inputs and outputs."""
    error.expected = "Model(inputs, outputs): symbolic tensors, or nests of them"
    error.repair = "Model(x, y), where x = Input(…) and y is the last tensor"
    error.at(_model())


def not_a_tensor(error: AnabranchError, clue: WrongValue) -> None:
    """Explain what was given in the place of a symbolic tensor."""
    if clue.role is None:
        error.say(wrong_value(clue.value))
        return
    if isinstance(clue.nest, (list, tuple)) and all(size is None or isinstance(size, int) for size in clue.nest):
        error.fact, error.got = f"Expected tensors as the {clue.role} of a model, got a shape.", repr(clue.nest)
        error.expected, error.repair = None, f"x = Input({clue.nest!r})"
    else:
        error.say(wrong_value(clue.value, f"as {clue.role} of a model: what Input(…) or a layer called on one gives"))
    error.at(_model())


def repeated_input(error: AnabranchError, clue: RepeatedInput) -> None:
    """Explain that one Input serves all that use it."""
    error.repair = "list it once; all that use it share what is fed"
    error.at(_model())


def missing_input(error: AnabranchError, clue: MissingInput) -> None:
    """Explain which way leads from an Input that is not among the inputs, and what was given instead."""
    name, needed = clue.source.name, set(behind(clue.outputs))
    unused = [given.node for given in clue.inputs if given.node not in needed]
    cuts = [given.node for given in clue.inputs if given.node.inputs and given.node in needed]
    repair = f"add it: Model(inputs=[…, {name}], …)"
    if cuts:
        repair += f"\nor cut every way from {name!r}: one leads past {cuts[0].operation._error_label_()}"
    elif unused:
        repair += "\nor make the outputs from the Input that was given"
    error.origin = chain(clue.output, clue.source.node)
    error.got = "\n".join(
        f"{node.operation._error_label_()}, made at {node.site}, which no output needs" for node in unused[:4]
    )
    error.repair = repair
    error.at(_model())


def _model() -> str:
    return f"Model(…) at {call_site()}"
