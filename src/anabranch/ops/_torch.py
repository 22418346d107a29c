"""torch and NumPy, loaded when something of them is first used: the facts of a function are read without either."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch import fx
    from torch._subclasses import fake_tensor as fakes

    from anabranch.ops import _kernels as kernels
else:

    class _Lazy:
        """Is used in place of a module; what is asked of it is looked up once."""

        def __init__(self, name: str) -> None:
            self.__dict__["_name"] = name

        def __getattr__(self, attribute: str) -> object:
            import importlib

            value = self.__dict__[attribute] = getattr(importlib.import_module(self._name), attribute)
            return value

    torch, F, fx, np, fakes = map(_Lazy, ("torch", "torch.nn.functional", "torch.fx", "numpy", "torch._subclasses.fake_tensor"))
    from anabranch.ops import _kernels as kernels

__all__ = ["F", "fakes", "fx", "kernels", "np", "torch"]
