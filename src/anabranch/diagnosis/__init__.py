"""Errors that explain: where tensors came from, which layers to change, what to write instead. Engine-free.

The graph states what does not fit and leaves a clue; ``explain`` completes the error. A clue is explained here by its kind,
and whatever concerns shapes gets the steps back to an Input, or of two branches back to their fork.
"""

from __future__ import annotations

from anabranch.diagnosis.branches import Clash, repairs
from anabranch.diagnosis.explain import explain
from anabranch.diagnosis.no_values import missing_attribute
from anabranch.diagnosis.wrong_value import refuse_tensors_as_settings, refuse_wrong_inputs, wrong_value
from anabranch.graph.clues import connect_explainer

__all__ = [
    "Clash", "explain", "missing_attribute", "refuse_tensors_as_settings", "refuse_wrong_inputs", "repairs", "wrong_value",
]  # fmt: skip

connect_explainer(explain)
