"""Leave with a plain torch module."""

from __future__ import annotations

from typing import Any

import torch

from anabranch.engine import passes
from anabranch.engine.lower import lower, made_runnable
from anabranch.engine.program import place_weights


class TorchModel(torch.nn.Module):
    """A lowered model in both modes, under torch's own ``train()`` and ``eval()``.

    Parameters and buffers lie in torch's layout under torch's names (``conv2d.weight``) and are shared with the model. ``code``
    is the source of the current mode.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        place_weights(model)
        self._forms = {mode: _form(model, mode) for mode in (True, False)}
        for form in self._forms.values():
            for name, child in form.named_children():
                if name not in self._modules:
                    self.add_module(name, child)
        self._functions = {mode: type(form).forward for mode, form in self._forms.items()}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the functions, which come back with the code."""
        return {key: value for key, value in vars(self).items() if key != "_functions"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self._functions = {mode: type(form).forward for mode, form in self._forms.items()}

    @property
    def code(self) -> str:
        """The source of the function that runs in the current mode."""
        return self._forms[self.training].code

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Run the form of the current mode."""
        return self._functions[self.training](self, *inputs)


def _form(model: Any, training: bool) -> torch.fx.GraphModule:
    """Return the code of one mode, read more easily without permutations that cancel."""
    lowered = lower(model.need_running_graph(), training=training, structured=True)
    code = lowered.copied()
    passes.apply(code, lowered.root, passes.Settings(training), passes.READABLE)
    return made_runnable(lowered.root, code, training)


def to_torch(model: Any) -> torch.nn.Module:
    """Return the model as a plain module: inputs in the model's order, outputs in its structure."""
    return TorchModel(model).eval()
