"""Inference on another engine, ONNX Runtime or OpenVINO: what the model exports, weights followed, results compared."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from anabranch import config, engine
from anabranch._asked import first_line
from anabranch.graph.call_site import warn
from anabranch.training.trainable import Trainable

Tensors = list[torch.Tensor]
Arrays = list[np.ndarray[Any, Any]]
Run = Callable[[Arrays], Arrays]

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 2e-2}
"""The difference from torch's results that is rounding, relative to the largest of them."""


class Session:
    """What a model computes in inference, on another engine.

    Where that cannot be, at the first batch or later, the program runs, and the reason is warned of once.

    Args:
        model: the model.
        program: what computes the same on torch.
        name: the engine, as in ``config.set_inference_engine``.
    """

    def __init__(self, model: Trainable, program: engine.Program, name: str) -> None:
        self.engine = name
        self.refusal = ""
        """Why the program runs instead, or ""."""
        self.sessions = 0
        """How often the engine was given the model: at first, and after changes of its weights."""
        self._program = program
        self._who = f"Model {model.name!r}"
        self._threads = 0
        self._compared = False
        self._run: Run
        self._proto: Any = None
        self._weights: list[tuple[Any, torch.Tensor]] = []  # as ONNX has them, and the model's own
        self._observed = engine.Observed([])
        self.refusal = unfit(model, program)
        if not self.refusal:
            with self._refusing(), _quiet():
                self._proto, weights = model._as_onnx_()
                self._match(weights)
        if self.refusal:
            self._tell()

    def invalidate(self) -> None:
        """Compare the weights' values before the next batch."""
        self._observed.valid = False

    def __call__(self, inputs: Sequence[torch.Tensor | None]) -> tuple[Tensors, Tensors]:
        """Return the outputs, and no losses of layers, of which there are none."""
        if not self.refusal:
            with self._refusing():
                self._follow()
                found = self._outputs(inputs)
                if self._compared or self._agrees(found, inputs):
                    return found, []
            self._tell()
        return self._program(inputs)

    def _outputs(self, inputs: Sequence[torch.Tensor | None]) -> Tensors:
        arrays = [value.detach().contiguous().numpy() for value in inputs if value is not None]
        return [torch.from_numpy(array) for array in self._run(arrays)]

    def _follow(self) -> None:
        """Give the engine the weights' values where they have changed, and as many threads as torch has."""
        changed, threads = self._observed.have_changed(), torch.get_num_threads()
        if not changed and threads == self._threads:
            return
        import onnx

        for written, tensor in self._weights if changed else ():
            written.CopyFrom(onnx.numpy_helper.from_array(tensor.detach().contiguous().numpy(), written.name))
        self._run = MAKERS[self.engine](self._proto.SerializeToString(), threads)
        self._threads, self._compared = threads, False
        self.sessions += 1

    def _match(self, weights: dict[str, torch.Tensor]) -> None:
        """Find each weight in what was exported; one that is not there could not be followed."""
        written = {each.name: each for each in self._proto.graph.initializer}
        self._weights = [(written[name], tensor) for name, tensor in weights.items() if name in written]
        known = {tensor.data_ptr() for _, tensor in self._weights}
        for name, tensor in weights.items():
            if tensor.is_floating_point() and tensor.numel() and tensor.data_ptr() not in known:
                self.refusal = f"the weight {name!r} is not in what torch.onnx wrote, so its changes could not be followed"
        self._observed = engine.Observed([tensor for _, tensor in self._weights])

    def _agrees(self, found: Tensors, inputs: Sequence[torch.Tensor | None]) -> bool:
        """Return whether the results of a first batch are torch's, to rounding."""
        self._compared = True
        own, _ = self._program(inputs)
        for index, (theirs, ours) in enumerate(zip(found, own, strict=True)):
            if (difference := _difference(theirs, ours)) is not None:
                self.refusal = f"output {index} of the first batch differs from torch's {difference}"
                return False
        return True

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Take what the exporter or the engine raises for the reason why the program runs."""
        try:
            yield
        except Exception as error:
            self.refusal = f"{type(error).__name__}: {first_line(error)}"[:300]

    def _tell(self) -> None:
        warn(f"{self._who} runs on torch, not on {self.engine}: {self.refusal}.")

    def __str__(self) -> str:
        if self.refusal:
            return f"runs on torch, not on {self.engine}: {self.refusal}"
        compared = "" if self._compared else "; its results are compared with torch's at the next batch"
        return f"predict and evaluate run on {self.engine}{compared}"


def session_for(model: Trainable, program: engine.Program) -> engine.Elsewhere | None:
    """Return the session of the engine that was asked for, which is made once for a program; None where none was."""
    name = config.inference_engine()
    if name is None or program.training:
        return None
    if program.elsewhere is None or program.elsewhere.engine != name:
        program.elsewhere = Session(model, program, name)
    program.elsewhere.invalidate()
    return program.elsewhere


def unfit(model: Trainable, program: engine.Program) -> str:
    """Return why a model cannot run on another engine, or ""."""
    device = model._training_strategy_.device
    if device.type != "cpu":
        return f"the device is {device}"
    if model.jit_compile is True:
        return "compile was given jit_compile=True"
    if not program.only_outputs:
        return "layers add losses or masks, take inputs that may be left out, or cannot be traced"
    return ""


def _difference(theirs: torch.Tensor, ours: torch.Tensor) -> str | None:
    if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
        return f"in kind: {tuple(theirs.shape)} {theirs.dtype} and {tuple(ours.shape)} {ours.dtype}"
    if not ours.numel():
        return None
    relative = TOLERANCE.get(ours.dtype, 0.0)
    finite = ours[ours.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() and ours.dtype.is_floating_point else 0.0
    if torch.allclose(theirs, ours, rtol=relative, atol=relative / 10 * scale, equal_nan=True):
        return None
    return f"by up to {float((theirs.double() - ours.double()).abs().nan_to_num().max()):.3g}, at values up to {scale:.3g}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch's exporter says of itself to itself."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _onnxruntime(model: bytes, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(arrays: Arrays) -> Arrays:
        found: Arrays = session.run(None, dict(zip(names, arrays, strict=True)))
        return found

    return run


def _openvino(model: bytes, threads: int) -> Run:
    import openvino

    core = openvino.Core()
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()

    def run(arrays: Arrays) -> Arrays:
        found = request.infer(arrays, share_inputs=True)
        return [found[index].copy() for index in range(len(found))]  # the request's memory is used again

    return run


MAKERS: dict[str, Callable[[bytes, int], Run]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}
