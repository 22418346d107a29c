"""ONNX Runtime and OpenVINO, on what torch exports of the torch module, all their optimizations on, float32."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from runners import torch_loop
from works import Case

Run = Callable[[list[np.ndarray]], np.ndarray]
THREADS = int(os.environ.get("BENCH_THREADS") or os.cpu_count() or 1)


def onnxruntime(module: torch.nn.Module, x: list[torch.Tensor]) -> Run:
    """Return a session that runs a batch of this size."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "net.onnx"))
        torch.onnx.export(module, tuple(x), path, dynamo=True, verbose=False)
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(arrays: list[np.ndarray]) -> np.ndarray:
        return session.run(None, dict(zip(names, arrays, strict=True)))[0]

    return run


def openvino(module: torch.nn.Module, x: list[torch.Tensor]) -> Run:
    """Return a compiled model that runs a batch of this size."""
    import openvino as ov

    one = tuple(tensor[:1] for tensor in x)  # a trace of one example is enough, as the shapes are given
    model = ov.convert_model(module, example_input=one if len(one) > 1 else one[0], input=[tuple(t.shape) for t in x])
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.compile_model(model, "CPU", hints).create_infer_request()

    def run(arrays: list[np.ndarray]) -> np.ndarray:
        return request.infer(arrays, share_inputs=True)[0].copy()

    return run


MAKERS = {"onnxruntime": onnxruntime, "openvino": openvino}


def infer(name: str, cases: dict[str, Case], variant: str, device: str) -> tuple[int, dict[str, Callable[[], Any]]]:
    """Return the count of parameters and the passes; every batch size has a model of its own, static in shape."""
    module = torch_loop.module_of(name, "", "cpu").eval()
    x, _ = torch_loop.tensors_of(name, max(case.amount for case in cases.values()), "", "cpu")
    arrays = [tensor.numpy() for tensor in x]
    passes: dict[str, Callable[[], Any]] = {}
    for key, case in cases.items():
        if key not in ("predict 1", "module 1"):
            example = [tensor[: case.batch] for tensor in x]
            run = MAKERS[variant](module, example)
            with torch.inference_mode():
                np.testing.assert_allclose(run([t.numpy() for t in example]), module(*example).numpy(), rtol=1e-3, atol=1e-3)
            passes[key] = (lambda run=run, case=case: calls(run, arrays, case.amount)) if case.batch == 1 else (
                lambda run=run, case=case: batches(run, arrays, case)
            )  # fmt: skip
    return torch_loop.size(module), passes


def calls(run: Run, arrays: list[np.ndarray], count: int) -> None:
    """Run one example so often."""
    one = [array[:1] for array in arrays]
    for _ in range(count):
        run(one)


def batches(run: Run, arrays: list[np.ndarray], case: Case) -> None:
    """Run all batches and join what comes out."""
    starts = range(0, case.amount, case.batch)
    np.concatenate([run([array[at : at + case.batch] for array in arrays]) for at in starts])
