"""Who takes part: each contender's file in ``runners/``, what it needs installed, and what it does."""

from __future__ import annotations

from dataclasses import dataclass, field

ALL = ("train", "infer", "start", "build")


@dataclass(frozen=True)
class Contender:
    """A library, or a way to use one; ``variant`` is an argument of its file in ``runners/``."""

    family: str  # us, keras, torch, other; floor: no peer but what the machine allows
    file: str
    variant: str
    needs: tuple[str, ...]
    does: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ("cpu",)
    nets: tuple[str, ...] = ()  # all, where none is named


def _keras(backend: str, devices: tuple[str, ...] = ("cpu",)) -> Contender:
    needs, environment = ("keras", backend), {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    return Contender("keras", "keras_words", "keras", needs, ALL, environment, devices)


_IMAGES = ("toy_resnet", "resnet20", "resnet50")
_WITHOUT_TOKENS = (*_IMAGES, "two_tower", "mlp250")
_BOTH = ("cpu", "cuda")
_KEPT = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1)}

CONTENDERS = {
    "anabranch": Contender("us", "keras_words", "anabranch", ("anabranch",), ALL, devices=_BOTH),
    "keras torch": _keras("torch", _BOTH),
    "keras tensorflow": _keras("tensorflow"),
    "keras jax": _keras("jax"),
    "torch": Contender("torch", "torch_loop", "", ("torch",), ALL, devices=_BOTH),
    "torch channels_last": Contender(
        "torch", "torch_loop", "channels_last", ("torch",), ("train", "infer"), devices=_BOTH, nets=(*_IMAGES, "mobilenet_v2")
    ),
    "torch.compile": Contender(
        "torch", "torch_loop", "compile", ("torch",), ("train", "infer", "start"), {"TORCHINDUCTOR_FREEZING": "1"}, _BOTH
    ),
    "lightning": Contender("other", "lightning_loop", "", ("lightning",), ("train", "start"), devices=_BOTH),
    "pytorch-symbolic": Contender(
        "other", "torch_loop", "symbolic", ("pytorch_symbolic",), ALL, devices=_BOTH, nets=_WITHOUT_TOKENS
    ),
    "flax": Contender("other", "jax_loop", "", ("flax", "optax"), ("train", "infer", "start"), nets=_WITHOUT_TOKENS),
    "onnxruntime": Contender("other", "runtimes", "onnxruntime", ("onnxruntime", "onnxscript", "torch"), ("infer",)),
    "openvino": Contender("other", "runtimes", "openvino", ("openvino", "torch"), ("infer",)),
    "convolutions alone": Contender("floor", "floor", "", ("torch",), ("train",), _KEPT, _BOTH, ("toy_resnet",)),
    "python alone": Contender("floor", "nothing", "", (), ("start",)),
}

ON_GPU = ("torch", "torch channels_last", "keras torch", "keras jax", "flax", "torch.compile", "torch.compile, CUDA graphs")
"""Peers in the tables of gpu.py, in the order in which they are made ready: those that compile may take all that is left."""
