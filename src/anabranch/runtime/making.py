"""What a user's ``call`` makes though it would be another at each call: layers with weights, weights, parameters of torch's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

import torch
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from anabranch._errors import MadeInCallError
from anabranch.graph import Operation, call_site


def made_in_call(what: str, layer: Operation, repair: str) -> MadeInCallError:
    """Return the error for ``what``, made inside the call of a layer."""
    return MadeInCallError(
        f"{what} is made inside the call of {layer._error_label_()}, which would make another one each time that it runs.",
        expected="weights that are made once, in __init__ or build", where=str(call_site()), repair=repair,
    )  # fmt: skip


def building() -> contextlib.AbstractContextManager[object]:
    """Return the context for building a layer inside another's call: what it makes is real, also where that runs on fakes."""
    return unset_fake_temporarily()


def parameter_made_in_call(layer: Operation) -> MadeInCallError:
    """Return the error for a parameter of torch's, which most often is a module's."""
    return made_in_call(
        "A torch.nn.Parameter, or a module that has some,",
        layer,
        "in __init__: self.part = torch.nn.Linear(4, 2); in call: self.part(x)",
    )


class RefusingNew(TorchFunctionMode):  # type: ignore[misc]  # torch leaves its modes untyped
    """Refuses parameters that a ``call`` on fake tensors makes: they are fake, those that were there before are not."""

    def __init__(self, layer: Operation) -> None:
        super().__init__()
        self.layer = layer

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Call one of torch's functions."""
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, FakeTensor) and isinstance(leaf, torch.nn.Parameter):
                raise parameter_made_in_call(self.layer)
        return func(*args, **(kwargs or {}))
