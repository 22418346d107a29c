"""Errors that explain: where tensors came from, which layers to change, what to write instead. Engine-free.

The graph states what does not fit and leaves a clue; ``explain`` completes the error. A clue is explained here by its kind,
and whatever concerns shapes gets the steps back to an Input, or of two branches back to their fork. What explains is loaded
with the first error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch.diagnosis.wrong_value import refuse_tensors_as_settings, refuse_wrong_inputs, wrong_value
from anabranch.graph.clues import connect_explainer

if TYPE_CHECKING:
    from anabranch._errors import AnabranchError
    from anabranch.graph.records import Tensor

__all__ = ["refuse_tensors_as_settings", "refuse_wrong_inputs", "wrong_value"]


def _explain(error: AnabranchError, inputs: Sequence[Tensor]) -> None:
    from anabranch.diagnosis.explain import explain

    explain(error, inputs)


connect_explainer(_explain)
