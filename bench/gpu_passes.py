"""What each contender of a GPU's table does in one pass: ``fit`` and ``predict`` in Keras's words, loops of torch, Flax's."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import machine
from works import NETS as FED, Case, data

if TYPE_CHECKING:
    import numpy as np
    from gpu_rows import Row


IN_FLAX = ("toy_resnet", "resnet20", "resnet50", "two_tower", "mlp250")


class AbsentError(Exception):
    """A contender cannot take part; the message says why."""


class Pass:
    """A timed function, and what is prepared before it without being timed."""

    def __init__(self, run: Callable[[], Any], prepare: Callable[[], Any] = lambda: None) -> None:
        self._run, self._prepare = run, prepare

    def __call__(self) -> None:
        self._run()

    def seconds(self, device: str) -> float:
        """Return what the function takes on a device that is idle before and after."""
        self._prepare()
        gc.collect()
        wait(device)
        begin = time.perf_counter()
        self._run()
        wait(device)
        return time.perf_counter() - begin


def wait(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def check(row: Row, name: str) -> None:
    """Raise where a contender cannot take part."""
    if name == "keras torch" and not machine.has("keras"):
        raise AbsentError("keras is not installed")
    images = bool(FED[row.net].images)
    if name == "torch channels_last" and not images:
        raise AbsentError("has no images")
    if name in ("flax", "keras jax") and row.kind != "train":
        raise AbsentError("on JAX training alone is written here")
    if name == "flax" and row.precision != "float32":
        raise AbsentError("written in float32 here")
    if name == "keras jax" and row.source == "resident" and row.net == "toy_resnet" and row.precision == "float32":
        raise AbsentError("takes arrays: see the row of these")
    if name == "flax" and row.source != "resident":
        raise AbsentError("its loop is measured on data on the device")
    if name == "flax" and row.net not in IN_FLAX:
        raise AbsentError("not written in Flax here")
    if row.kind != "train" and name == "torch.compile, CUDA graphs" and row.batch > 1:
        raise AbsentError("measured on one example, where launches count")
    if row.kind == "predict" and row.batch == 1 and name.startswith("torch"):
        raise AbsentError("has no predict; see model(x) of one")


def made(row: Row, name: str, device: str) -> tuple[int, Pass]:
    """Return the count of parameters, and the pass, of one contender of a row."""
    check(row, name)
    if name == "flax":
        from runners import jax_loop

        count, passes = jax_loop.train(row.net, {"fit": Case(row.amount, row.batch, row.amount)}, "", device)
        return count, Pass(passes["fit"])
    if name != "keras jax":
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if name.startswith("torch"):
        return by_loop(row, name, device)
    return by_words(row, name, device)


def arrays_of(row: Row) -> tuple[list[np.ndarray], np.ndarray]:
    """Return inputs and labels in the host's memory."""
    return data(row.net.removesuffix("_augmented"), row.amount)


def by_words(row: Row, name: str, device: str) -> tuple[int, Pass]:
    """Return a pass of ``fit`` or ``predict``, by anabranch or Keras."""
    from runners import keras_words

    variant = name.partition(" ")[0]
    if variant == "keras":
        os.environ["KERAS_BACKEND"] = name.partition(" ")[2]
    keras: Any = keras_words.library(variant, device)
    if variant == "anabranch":
        keras.config.set_tf32(True)
    keras.config.set_dtype_policy("mixed_bfloat16" if row.precision == "bfloat16" else "float32")
    model = keras_words.NETS[row.net](keras)
    net = FED[row.net]
    if row.kind == "train":
        pairs = net.loss == "pairs"
        losses, metrics = keras.losses, keras.metrics
        loss: Any = losses.BinaryCrossentropy if pairs else losses.SparseCategoricalCrossentropy
        compiled: dict[str, Any] = {"jit_compile": True} if "jit_compile" in name else {}
        model.compile(
            optimizer=keras_words.optimizer(keras, row.net), loss=loss(from_logits=True),
            metrics=[metrics.BinaryAccuracy(threshold=0.0) if pairs else "accuracy"], **compiled,
        )  # fmt: skip
    keras.config.set_dtype_policy("float32")
    arrays, labels = arrays_of(row)
    x: list[Any] = arrays
    y: Any = labels
    if row.source == "resident" and name != "keras jax":  # which takes arrays
        import torch

        x, y = [torch.from_numpy(array).to(device) for array in arrays], torch.from_numpy(labels).to(device)
    count = keras_words.size(model)
    if row.kind == "train":
        return count, fitting(model, x, y, row)
    return count, asking(model, x, row)


def fitting(model: Any, x: list[Any], y: Any, row: Row) -> Pass:
    """Return a pass of ``fit``: of new arrays each time where the row says so."""
    given = [x]

    def fit() -> None:
        model.fit(given[0], y, batch_size=row.batch, epochs=1, verbose=0)

    def renew() -> None:
        given[0] = [array.copy() for array in x]

    return Pass(fit, renew) if row.source == "new arrays" else Pass(fit)


def asking(model: Any, x: list[Any], row: Row) -> Pass:
    """Return a pass of ``predict``, or of single calls whose results are read."""
    if row.batch > 1:
        return Pass(lambda: model.predict(x, batch_size=row.batch, verbose=0))
    import torch

    one = x[0][:1]

    def ask() -> None:
        with torch.no_grad():
            for _ in range(row.amount):
                if row.kind == "predict":
                    model.predict(one, verbose=0)
                else:
                    model(one, training=False).cpu()

    return Pass(ask)


def by_loop(row: Row, name: str, device: str) -> tuple[int, Pass]:
    """Return a pass of a torch loop; under autocast where the row computes in bfloat16."""
    import torch
    from runners import torch_loop

    variant = {"torch": "", "torch channels_last": "channels_last"}.get(name, "compile")
    module = torch_loop.module_of(row.net, variant, device)
    mode = {"torch.compile": "default", "torch.compile, CUDA graphs": "reduce-overhead"}.get(name)
    run: Any = torch.compile(module, mode=mode) if mode else module
    count = torch_loop.size(module)

    def computing() -> Any:
        return torch.autocast(device, torch.bfloat16) if row.precision == "bfloat16" else contextlib.nullcontext()

    if row.kind != "train":
        return count, answering(module.eval(), run, row, variant, device)
    optimizer = torch_loop.optimizer_of(row.net, module)
    arrays, labels = arrays_of(row)

    def placed() -> tuple[list[Any], Any]:
        return torch_loop.placed(row.net, arrays, labels, variant, device)

    resident = placed() if row.source == "resident" else None

    def epoch() -> None:
        x, y = resident or placed()
        torch_loop.epoch(row.net, module, run, optimizer, x, y, row.batch, computing)

    return count, Pass(epoch)


def answering(module: Any, run: Any, row: Row, variant: str, device: str) -> Pass:
    """Return a pass of inference by a torch module."""
    import torch
    from runners import torch_loop

    x, _ = torch_loop.placed(row.net, *arrays_of(row), variant, device)

    def batches() -> None:
        with torch.inference_mode():
            torch.cat([run(part) for part in x[0].split(row.batch)]).cpu().numpy()

    def single() -> None:
        with torch.inference_mode():
            for _ in range(row.amount):
                run(x[0][:1]).cpu()

    return Pass(batches if row.batch > 1 else single)
