"""A model as a file that runs without anabranch: torch.export's ``.pt2``, or ONNX; and what writes other formats."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from anabranch import _tree, runtime
from anabranch._asked import dtype_by_name, has_shape, is_integer, shown
from anabranch._errors import (
    AnabranchError,
    ArgumentError,
    ArgumentTypeError,
    EngineError,
    MissingExtraError,
    NotReadyError,
    ShapeError,
    unknown,
)
from anabranch._files import reached
from anabranch.callbacks._say import say
from anabranch.exchange.torch_tree import to_torch
from anabranch.graph import Shape
from anabranch.graph.shapes import to_shape
from anabranch.layers.input_spec import InputSpec

_SAMPLE = 64  # the size that an axis of unknown size is traced with: what strides and pools divide several times
_LARGE = 2**31 - 2**24  # bytes, which one file of ONNX cannot hold
_ELSEWHERE = {
    "tf_saved_model": 'TensorFlow writes that: give its users format="onnx" (onnx2tf converts it); for torch, format="torch"',
    "litert": "litert_torch.convert(model.to_torch().eval(), samples).export(filepath), of the package litert-torch",
    "openvino": 'format="onnx", then openvino.save_model(openvino.convert_model("model.onnx"), filepath)',
}
FORMATS = ("torch", "onnx", *_ELSEWHERE)


class Spec(NamedTuple):
    """What goes into one input: its name, its shape with None where a size may be any, its dtype."""

    name: str
    shape: Shape
    dtype: str


def export(
    model: Any,
    filepath: str | os.PathLike[str],
    format: str,
    verbose: bool | None = None,
    input_signature: object = None,
    **kwargs: Any,
) -> None:
    """Write a model's inference as a file of a format; see ``Model.export``."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if format in _ELSEWHERE:
        raise NotReadyError(
            f"anabranch does not write the format {format!r}.", expected="'torch' or 'onnx'", repair=_ELSEWHERE[format]
        )
    ending = {"torch": ".pt2", "onnx": ".onnx"}[format]
    path = os.fspath(filepath)
    if not path.endswith(ending):
        raise ArgumentError(f"A file of format {format!r} must end with {ending!r}.", got=shown(path))
    if format == "onnx":
        version = kwargs.pop("opset_version", None)
        _refuse(kwargs, ("opset_version",), format)
        _write_onnx(model, path, list(specs(model, input_signature)), version)
    else:
        found = program(model, input_signature, **kwargs)
        with reached("write", path), open(path, "wb") as file:
            torch.export.save(found, file)
    if verbose or verbose is None:
        say(f"Saved the model {model.name!r} at {path!r}.")


def program(model: Any, input_signature: object = None, **kwargs: Any) -> torch.export.ExportedProgram:
    """Return a model's inference as torch.export has it, for all sizes that are None."""
    known = [name for name in inspect.signature(torch.export.export).parameters if name not in ("mod", "args", "kwargs")]
    _refuse(kwargs, known, "torch")
    return _exported(model, list(specs(model, input_signature)), kwargs)


def specs(model: Any, signature: object) -> Iterator[Spec]:
    """Yield what goes into each input, by a signature or, without one, as the model declares it."""
    given = None if signature is None else _tree.leaves(signature)
    if given is not None and model._graph_ is None:
        nest = signature[0] if isinstance(signature, (list, tuple)) and len(signature) == 1 else signature
        model._follow_(_tree.map_leaves(lambda leaf: _sample(spec_of(leaf), runtime.device()), nest))
    inputs = model._need_running_graph_().inputs
    if given is not None and len(given) != len(inputs):
        raise ArgumentError(
            "input_signature must say what goes into each input.", expected=f"{len(inputs)}", got=f"{len(given)}"
        )
    for index, tensor in enumerate(inputs):
        name = tensor.name if model._graph_ is None else model.input_names[index]
        if tensor.dtype == "string":
            raise ArgumentError(
                f"The input {name!r} takes strings, which are read on the host.", repair="export what follows it"
            )
        yield _spec(tensor if given is None else given[index], name, tensor.shape, tensor.dtype)


def spec_of(value: object) -> Spec:
    """Return what an element of a signature says, by itself."""
    return _spec(value, "input", None, "float32")


def _spec(value: object, name: str, declared: Shape | None, dtype: str) -> Spec:
    if isinstance(value, InputSpec) or has_shape(value):
        shape = None if value.shape is None else to_shape(tuple(value.shape), "shape")
        kind = value.dtype or dtype
    else:
        raise ArgumentTypeError("input_signature must hold InputSpecs, or tensors.", got=shown(value))
    if shape is None:
        raise ArgumentError("An InputSpec of input_signature needs its shape.", repair="InputSpec(shape=(None, 8))")
    fits = declared is None or (
        len(shape) == len(declared) and all(None in pair or pair[0] == pair[1] for pair in zip(shape, declared, strict=True))
    )
    if not fits or not shape:
        raise ShapeError(f"input_signature does not fit the input {name!r}.", expected=str(declared), got=str(shape))
    known = shape if declared is None else tuple(a if b is None else b for a, b in zip(shape, declared, strict=True))
    return Spec(name, known, str(dtype_by_name(kind)))


def _sample(spec: Spec, device: torch.device) -> torch.Tensor:
    """Return values of a spec to trace with."""
    sizes = [2 if axis == 0 and size is None else _SAMPLE if size is None else size for axis, size in enumerate(spec.shape)]
    return torch.zeros(sizes, dtype=runtime.dtype_of(spec.dtype), device=device)


def _exported(
    model: Any, inputs: Sequence[Spec], kwargs: Mapping[str, Any], module: torch.nn.Module | None = None, onnx: bool = False
) -> torch.export.ExportedProgram:
    module = module or _with_own_memory(to_torch(model).eval())
    samples = tuple(_sample(spec, runtime.device()) for spec in inputs)
    free = [{axis: torch.export.Dim.AUTO for axis, size in enumerate(spec.shape) if size is None} for spec in inputs]
    options = {"strict": False, "dynamic_shapes": tuple(free), **kwargs}
    try:
        with warnings.catch_warnings():  # any nn.LSTM changes its list of weights while it is traced, and back again
            warnings.filterwarnings("ignore", "The tensor attributes? .*_flat_weights")
            found = torch.export.export(module, samples, **options)
    except AnabranchError:
        raise
    except Exception as error:
        raise EngineError.of(
            error,
            f"torch.export could not trace the model {model.name!r}.",
            got=str(error).splitlines()[0][:300],
            repair="layers whose call does not branch on values; or fixed sizes by input_signature",
        ) from error
    if "dynamic_shapes" not in kwargs and not (onnx and _runs_all_lengths(found)):
        _check_free(found, inputs)
    return found


def _with_own_memory(module: torch.nn.Module) -> torch.nn.Module:
    """Return a module that is only exported, with a copy of each parameter that is a part of a weight, as a GRU's biases are.

    Torch would look for the whole among the parameters, and warn.
    """
    for owner in module.modules():
        for name, parameter in list(owner.named_parameters(recurse=False)):
            if parameter.untyped_storage().nbytes() != parameter.nbytes and type(parameter) is torch.nn.Parameter:
                setattr(owner, name, torch.nn.Parameter(parameter.detach().clone(), parameter.requires_grad))
    return module


def _is_fixed(size: int | torch.SymInt) -> bool:
    """Return whether the size of an axis is one number, which torch may write as a symbol that has no other value."""
    return not isinstance(size, torch.SymInt) or size.node.maybe_as_int() is not None


def _runs_all_lengths(found: torch.export.ExportedProgram) -> bool:
    """Return whether what fixes a size is torch's function of an LSTM or a GRU, which ONNX has as one operator for any size."""
    targets = {str(node.target).partition(".")[2] for node in found.graph.nodes if node.op == "call_function"}
    return bool(targets & {"lstm.input", "gru.input"}) and not targets & {"rnn_tanh.input", "rnn_relu.input"}


def _check_free(found: torch.export.ExportedProgram, inputs: Sequence[Spec]) -> None:
    """Raise where a size that may be any became that of the sample."""
    placeholders = {node.name: node for node in found.graph.nodes if node.op == "placeholder"}
    for name, spec in zip(found.graph_signature.user_inputs, inputs, strict=True):
        sizes = placeholders[str(name)].meta["val"].shape
        for axis, size in enumerate(spec.shape):
            if size is None and _is_fixed(sizes[axis]):
                fixed = (*spec.shape[:axis], sizes[axis], *spec.shape[axis + 1 :])
                raise ArgumentError(
                    f"The model runs with one size of axis {axis} of the input {spec.name!r} only, once it is traced.",
                    got=f"{sizes[axis]} of shape {spec.shape}",
                    repair=f"input_signature=[InputSpec(shape={fixed})] with the size that is needed",
                )


def _write_onnx(model: Any, path: str, inputs: Sequence[Spec], opset_version: int | None) -> None:
    _need_onnx()
    if opset_version is not None and not is_integer(opset_version):
        raise ArgumentTypeError("opset_version must be an integer.", got=shown(opset_version))
    exported = _exported(model, inputs, {}, onnx=True)
    size = sum(tensor.numel() * tensor.element_size() for tensor in exported.state_dict.values())
    with reached("write", path):
        _to_onnx(model, exported, inputs, path, opset_version=opset_version, external_data=size > _LARGE)


def onnx_with_weights(model: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """Return a model's inference as a ``ModelProto`` of ONNX, and its weights by the names they have there."""
    _need_onnx()
    inputs = list(specs(model, None))
    module = to_torch(model).eval()
    # unoptimized, so that each weight is there under its own name; engines optimize for themselves
    written = _to_onnx(model, _exported(model, inputs, {}, module, onnx=True), inputs, None, optimize=False)
    return written.model_proto, module.state_dict(keep_vars=True)  # whose memory may be replaced


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "ONNX is written by torch with onnx and onnxscript, of which one is not installed.",
            repair="pip install anabranch[onnx]",
        ) from error


def _to_onnx(
    model: Any, exported: torch.export.ExportedProgram, inputs: Sequence[Spec], path: str | None, **options: Any
) -> Any:
    """Write what was exported as ONNX, or return it where there is no path."""
    count = len(exported.graph_signature.user_outputs)
    names = [f"output_{index}" for index in range(count)] if model._graph_ is None else list(model.output_names)
    options |= {"input_names": [spec.name for spec in inputs], "output_names": names, "dynamo": True, "verbose": False}
    try:
        return _written(exported, path, options)
    except OSError:
        raise
    except Exception as error:
        raise EngineError.of(
            error, f"torch.onnx could not write the model {model.name!r}.", got=str(error).splitlines()[0][:300]
        ) from error


def _written(exported: torch.export.ExportedProgram, path: str | None, options: Mapping[str, Any]) -> object:
    """Write what was exported; a batch norm as arithmetic where torch cannot: 2.6 with onnxscript from 0.4 on."""
    try:
        return torch.onnx.export(exported, (), path, **options)
    except OSError:
        raise
    except Exception:
        if all(node.target not in _BATCH_NORMS for node in exported.graph.nodes):
            raise
    return torch.onnx.export(exported.run_decompositions(_BATCH_NORMS), (), path, **options)


def _scaled(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor,
    variance: torch.Tensor,
    epsilon: float,
) -> torch.Tensor:
    scale = torch.rsqrt(variance + epsilon) if weight is None else weight * torch.rsqrt(variance + epsilon)
    shift = -mean * scale if bias is None else bias - mean * scale
    shape = (-1, *(1,) * (x.ndim - 2))
    return (x * scale.reshape(shape) + shift.reshape(shape)).to(x.dtype)


# An inference's batch norm as arithmetic, under the two names that it has in exported programs, the second until torch 2.6.
_BATCH_NORMS: dict[torch._ops.OperatorBase, Callable[..., Any]] = {
    torch.ops.aten.batch_norm.default: lambda *args: _scaled(*(*args[:5], args[7])),
    torch.ops.aten._native_batch_norm_legit_no_training.default: lambda *args: (
        _scaled(*(*args[:5], args[6])), args[0].new_empty(0), args[0].new_empty(0),
    ),
}  # fmt: skip


def _refuse(kwargs: Mapping[str, object], known: Sequence[str], format: str) -> None:
    wrong = [name for name in kwargs if name not in known]
    if wrong:
        raise unknown(f"argument of the format {format!r}", wrong[0], known)
