"""The layers, a family a file; each says what, ``ops`` says how."""

from anabranch._errors import leaving_out
from anabranch._lazy import attach

_OTHERS = "its arithmetic is that of another engine; a torch.nn.Module may be called in its place."
__getattr__, __dir__ = attach(__name__, __file__)
__getattr__ = leaving_out(__getattr__, {"FlaxLayer": _OTHERS, "JaxLayer": _OTHERS, "TFSMLayer": _OTHERS})
