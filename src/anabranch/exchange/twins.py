"""Torch's module for each of torch's functions: stated once, for our layers, users' layers and what torch modules trace to.

A function with weights becomes a module where its weights are those that the module has, under the names that it gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.fx import Node

from anabranch.exchange.plan import Twin

Arguments = dict[str, Any]


class Rule(NamedTuple):
    """How calls of one function become a module: its parameters' names, which of these are weights, and the constructor.

    ``make`` takes the arguments by name, weights as tensors, and returns the code, or "" where no module does the same.
    """

    names: tuple[str, ...]
    weights: dict[str, str]  # the function's parameter -> the module's attribute
    make: Callable[[Arguments], str]
    helper: str = ""


def arguments(node: Node, names: tuple[str, ...]) -> Arguments:
    """Return a call's arguments by name."""
    return {**dict(zip(names, node.args, strict=False)), **node.kwargs}


def written(name: str, *first: object, defaults: Arguments | None = None, **others: object) -> str:
    """Return the code of a constructor's call, without the arguments that have their default.

    >>> written("nn.Conv2d", 3, 8, 3, defaults={"stride": 1}, stride=1, bias=False)
    'nn.Conv2d(3, 8, 3, bias=False)'
    """
    known = defaults or {}
    named = [f"{key}={plain(value)}" for key, value in others.items() if key not in known or value != known[key]]
    return f"{name}({', '.join([*map(plain, first), *named])})"


def plain(value: object) -> str:
    """Return a setting as code: sizes that are all one as that one."""
    if isinstance(value, (list, tuple)):
        found = tuple(value)
        if len(set(found)) == 1:
            return plain(found[0])
        return repr(found)
    return str(value) if isinstance(value, torch.dtype) else repr(value)


def single(value: object) -> object:
    """Return sizes as one number where they agree."""
    return value[0] if isinstance(value, (list, tuple)) and len(set(value)) == 1 else value


def dtype_setting(given: Arguments) -> Arguments:
    """Return the dtype among the settings of a module where it is not torch's default."""
    kind = given["weight"].dtype if given.get("weight") is not None else torch.float32
    return {} if kind == torch.float32 else {"dtype": kind}


def _linear(given: Arguments) -> str:
    outputs, inputs = given["weight"].shape
    return written(
        "nn.Linear", inputs, outputs, defaults={"bias": True}, bias=given.get("bias") is not None, **dtype_setting(given)
    )


def _conv(kind: str) -> Callable[[Arguments], str]:
    def make(given: Arguments) -> str:
        settings = {name: single(given.get(name, default)) for name, default in _CONV.items()}
        first, second, *window = given["weight"].shape
        second *= given.get("groups", 1)
        channels = (first, second) if "Transpose" in kind else (second, first)
        bias = given.get("bias") is not None
        return written(
            f"nn.{kind}", *channels, window, defaults={**_CONV, "bias": True}, **settings, bias=bias, **dtype_setting(given)
        )

    return make


_CONV = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}


def _embedding(given: Arguments) -> str:
    if any(given.get(name) not in (None, False, 2.0) for name in _EMBEDDING[2:]):
        return ""
    return written("nn.Embedding", *given["weight"].shape, **dtype_setting(given))


def _affine(given: Arguments) -> Arguments:
    """Return what LayerNorm says of its weights."""
    weight, bias = given.get("weight") is not None, given.get("bias") is not None
    return {"elementwise_affine": weight or bias, "bias": bias or not weight, **dtype_setting(given)}


def _layer_norm(given: Arguments) -> str:
    if given.get("bias") is not None and given.get("weight") is None:
        return ""
    defaults = {"elementwise_affine": True, "bias": True, "eps": 1e-5}
    shape = given["normalized_shape"]
    size = shape[0] if len(shape) == 1 else tuple(shape)
    first = repr(size)
    rest = written("", defaults=defaults, eps=given.get("eps", 1e-5), **_affine(given))[1:]
    return f"nn.LayerNorm({first}{', ' + rest if rest != ')' else rest}"


def _group_norm(given: Arguments) -> str:
    if (given.get("bias") is None) != (given.get("weight") is None):
        return ""
    channels = given.get("channels") if given.get("weight") is None else given["weight"].shape[0]
    if channels is None:
        return ""
    return written(
        "nn.GroupNorm", given["num_groups"], channels, defaults={"eps": 1e-5, "affine": True}, eps=given.get("eps", 1e-5),
        affine=given.get("weight") is not None, **dtype_setting(given),
    )  # fmt: skip


_WITH_BIAS = {"weight": "weight", "bias": "bias"}
_CONV_NAMES = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSE_NAMES = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_EMBEDDING = ("input", "weight", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse")

WEIGHTED: dict[Any, Rule] = {
    F.linear: Rule(("input", "weight", "bias"), _WITH_BIAS, _linear),
    torch.conv1d: Rule(_CONV_NAMES, _WITH_BIAS, _conv("Conv1d")),
    torch.conv2d: Rule(_CONV_NAMES, _WITH_BIAS, _conv("Conv2d")),
    torch.conv3d: Rule(_CONV_NAMES, _WITH_BIAS, _conv("Conv3d")),
    torch.conv_transpose1d: Rule(_TRANSPOSE_NAMES, _WITH_BIAS, _conv("ConvTranspose1d")),
    torch.conv_transpose2d: Rule(_TRANSPOSE_NAMES, _WITH_BIAS, _conv("ConvTranspose2d")),
    torch.conv_transpose3d: Rule(_TRANSPOSE_NAMES, _WITH_BIAS, _conv("ConvTranspose3d")),
    F.embedding: Rule(_EMBEDDING, {"weight": "weight"}, _embedding),
    F.layer_norm: Rule(("input", "normalized_shape", "weight", "bias", "eps"), _WITH_BIAS, _layer_norm),
    torch.group_norm: Rule(("input", "num_groups", "weight", "bias", "eps"), _WITH_BIAS, _group_norm),
    F.group_norm: Rule(("input", "num_groups", "weight", "bias", "eps"), _WITH_BIAS, _group_norm),
}


class Plain(NamedTuple):
    """How calls of one function without weights become a module: parameters after the input, with the module's defaults."""

    module: str
    names: tuple[str, ...] = ()
    defaults: Arguments = {}
    fixed: Arguments = {}  # parameters that the module lacks, with the value that it works by


_POOL = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, "count_include_pad": True, "divisor_override": None}
_MAX = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
_MEAN = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_IN_PLACE = {"inplace": False}

WEIGHTLESS: dict[Any, Plain] = {
    torch.relu: Plain("nn.ReLU"),
    F.relu: Plain("nn.ReLU", ("inplace",), _IN_PLACE),
    F.relu6: Plain("nn.ReLU6", ("inplace",), _IN_PLACE),
    F.leaky_relu: Plain("nn.LeakyReLU", ("negative_slope", "inplace"), {"negative_slope": 0.01, **_IN_PLACE}),
    F.elu: Plain("nn.ELU", ("alpha", "inplace"), {"alpha": 1.0, **_IN_PLACE}),
    F.selu: Plain("nn.SELU", ("inplace",), _IN_PLACE),
    F.celu: Plain("nn.CELU", ("alpha", "inplace"), {"alpha": 1.0, **_IN_PLACE}),
    F.gelu: Plain("nn.GELU", ("approximate",), {"approximate": "none"}),
    F.silu: Plain("nn.SiLU", ("inplace",), _IN_PLACE),
    F.mish: Plain("nn.Mish", ("inplace",), _IN_PLACE),
    F.hardtanh: Plain("nn.Hardtanh", ("min_val", "max_val", "inplace"), {"min_val": -1.0, "max_val": 1.0, **_IN_PLACE}),
    F.hardswish: Plain("nn.Hardswish", ("inplace",), _IN_PLACE),
    F.hardsigmoid: Plain("nn.Hardsigmoid", ("inplace",), _IN_PLACE),
    F.softplus: Plain("nn.Softplus", ("beta", "threshold"), {"beta": 1.0, "threshold": 20.0}),
    F.softsign: Plain("nn.Softsign"),
    F.softshrink: Plain("nn.Softshrink", ("lambd",), {"lambd": 0.5}),
    F.hardshrink: Plain("nn.Hardshrink", ("lambd",), {"lambd": 0.5}),
    F.tanhshrink: Plain("nn.Tanhshrink"),
    F.logsigmoid: Plain("nn.LogSigmoid"),
    torch.sigmoid: Plain("nn.Sigmoid"),
    torch.tanh: Plain("nn.Tanh"),
    F.softmax: Plain("nn.Softmax", ("dim",)),
    F.log_softmax: Plain("nn.LogSoftmax", ("dim",)),
    torch.softmax: Plain("nn.Softmax", ("dim",)),
    torch.log_softmax: Plain("nn.LogSoftmax", ("dim",)),
    F.glu: Plain("nn.GLU", ("dim",), {"dim": -1}),
    torch.flatten: Plain("nn.Flatten", ("start_dim", "end_dim"), {"start_dim": 1, "end_dim": -1}),
    torch.max_pool1d: Plain("nn.MaxPool1d", _MAX, _POOL),
    torch.max_pool2d: Plain("nn.MaxPool2d", _MAX, _POOL),
    torch.max_pool3d: Plain("nn.MaxPool3d", _MAX, _POOL),
    F.avg_pool1d: Plain("nn.AvgPool1d", _MEAN, _POOL),
    F.avg_pool2d: Plain("nn.AvgPool2d", _MEAN, _POOL),
    F.avg_pool3d: Plain("nn.AvgPool3d", _MEAN, _POOL),
    F.adaptive_avg_pool1d: Plain("nn.AdaptiveAvgPool1d", ("output_size",)),
    F.adaptive_avg_pool2d: Plain("nn.AdaptiveAvgPool2d", ("output_size",)),
    F.adaptive_avg_pool3d: Plain("nn.AdaptiveAvgPool3d", ("output_size",)),
    F.adaptive_max_pool1d: Plain("nn.AdaptiveMaxPool1d", ("output_size",)),
    F.adaptive_max_pool2d: Plain("nn.AdaptiveMaxPool2d", ("output_size",)),
    F.adaptive_max_pool3d: Plain("nn.AdaptiveMaxPool3d", ("output_size",)),
    F.dropout: Plain("nn.Dropout", ("p", "inplace"), {"inplace": False}, {"training": True}),
    F.alpha_dropout: Plain("nn.AlphaDropout", ("p", "inplace"), {"inplace": False}, {"training": True}),
}
DROPOUTS = frozenset({F.dropout, F.alpha_dropout})


def weightless(node: Node) -> Twin | None:
    """Return the module for a call of a function without weights, None where there is none."""
    rule = WEIGHTLESS.get(node.target) if node.op == "call_function" else None
    if rule is None or not node.args or not isinstance(node.args[0], Node):
        return None
    names = ("p", "training", "inplace") if node.target in DROPOUTS else rule.names
    given = {**dict(zip(names, node.args[1:], strict=False)), **node.kwargs}
    if len(node.args) - 1 > len(names) or any(isinstance(value, Node) for value in given.values()):
        return None
    for name, value in rule.fixed.items():
        if given.pop(name, value) != value:
            return None
    if set(given) - set(rule.names) - {"dtype", "_stacklevel"} or given.pop("dtype", None) is not None:
        return None
    given.pop("_stacklevel", None)
    settings = {name: single(value) for name, value in given.items()}
    if settings.get("stride") == settings.get("kernel_size"):
        settings.pop("stride", None)
    if "start_dim" in rule.names and settings.get("start_dim", 0) != 1:
        settings.setdefault("start_dim", 0)
    first = [settings.pop(name) for name in ("kernel_size", "p") if name in settings]
    return Twin(written(rule.module, *first, defaults=rule.defaults, **settings))


BATCH_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
BATCH_NORM_WEIGHTS = {name: name for name in BATCH_NORM[1:5]}


def batch_norm(given: Arguments, rank: int, momentum: float | None) -> Twin | None:
    """Return the module that normalizes by batches of that many axes; frozen where there is no momentum."""
    size = {2: 1, 3: 1, 4: 2, 5: 3}.get(rank)
    scaled, shifted = given.get("weight") is not None, given.get("bias") is not None
    if size is None or scaled != shifted:
        return None
    name = f"BatchNorm{size}d" if momentum is not None else f"FrozenBatchNorm{size}d"
    code = written(
        name, given["running_mean"].shape[0], defaults={"eps": 1e-5, "affine": True, "momentum": 0.1},
        eps=given.get("eps", 1e-5), momentum=0.1 if momentum is None else round(momentum, 12), affine=scaled,
        **dtype_setting(given),
    )  # fmt: skip
    return Twin(code, {"num_batches_tracked": torch.zeros((), dtype=torch.long)}, helper=name)


def helper_class(name: str) -> str:
    """Return the source of a class that files with such a twin hold."""
    if name == "GRU":
        return _GRU
    base = name.removeprefix("Frozen")
    return (_FROZEN if name != base else _BATCH_NORM).replace("BatchNormNd", base)


_BATCH_NORM = '''class BatchNormNd(nn.BatchNormNd):
    """Batch normalization as in Keras: the running variance follows the biased one."""

    def forward(self, input):
        mean, variance = self.running_mean, self.running_var
        if not self.training or mean is None or variance is None:
            return F.batch_norm(
                input, mean, variance, self.weight, self.bias, False, 0.0, self.eps
            )
        output, batch_mean, inverse_std = torch.native_batch_norm(
            input, self.weight, self.bias, None, None, True, 0.0, self.eps
        )
        mean.lerp_(batch_mean.detach(), self.momentum)
        variance.lerp_(inverse_std.detach().pow(-2) - self.eps, self.momentum)
        return output
'''

_FROZEN = '''class FrozenBatchNormNd(nn.BatchNormNd):
    """Batch normalization that uses the running statistics in training too."""

    def forward(self, input):
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            False,
            0.0,
            self.eps,
        )
'''

_GRU = '''class GRU(nn.GRU):
    """nn.GRU with parameters of Keras, whose gates are z, r, n; its state_dict has torch's order: r, z, n."""

    def forward(self, input, hx: torch.Tensor | None = None):
        if hx is None:
            ways = 2 if self.bidirectional else 1
            hx = input.new_zeros(ways, input.shape[0], self.hidden_size)
        held = [self.weight_ih_l0, self.weight_hh_l0]
        if self.bias:
            held += [self.bias_ih_l0, self.bias_hh_l0]
        if self.bidirectional:
            held += [self.weight_ih_l0_reverse, self.weight_hh_l0_reverse]
            if self.bias:
                held += [self.bias_ih_l0_reverse, self.bias_hh_l0_reverse]
        n = self.hidden_size
        weights = [torch.cat([w[n : 2 * n], w[:n], w[2 * n :]]) for w in held]
        return torch.gru(
            input,
            hx,
            weights,
            self.bias,
            1,
            0.0,
            self.training,
            self.bidirectional,
            True,
        )

    def _swap(self, state, prefix):
        for name in [prefix + name for name in self._parameters]:
            if name in state:
                first, second, third = state[name].chunk(3)
                state[name] = torch.cat([second, first, third])

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        self._swap(destination, prefix)

    def _load_from_state_dict(self, state_dict, prefix, *others):
        self._swap(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *others)
'''
