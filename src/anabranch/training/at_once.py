"""One array predicted at once: what the first call found out of the model and the array, later ones take as known.

Binding, checks and the source of batches take longer than a small network. A call like the one before, an array of the same
kind and sizes for the same program, needs none of them.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import numpy as np
import torch

from anabranch import _process, _tree, config, engine
from anabranch.training.data.batch import Batch
from anabranch.training.data.reading import DEFAULT_BATCH_SIZE
from anabranch.training.executor import Forward
from anabranch.training.predictions import owned
from anabranch.training.steps import explaining
from anabranch.training.trainable import Trainable


class Known(NamedTuple):
    """What a prediction of one array found."""

    changes: int  # of the process, with which its settings are known
    program: engine.Program
    dtype: np.dtype[Any]
    sizes: tuple[int, ...]  # of a sample


_known: weakref.WeakKeyDictionary[Trainable, Known] = weakref.WeakKeyDictionary()


def note(model: Trainable, x: object) -> None:
    """Note that ``x`` has just been predicted as one batch, where the next one like it may be predicted at once."""
    if type(x) is not np.ndarray or not _is_plain(model) or model._graph_ is None or model._host_part_ is not None:
        return
    if model._training_strategy_.device.type != "cpu":
        return
    program = engine.program(model, False)
    (declared, *more), array = program.graph.inputs, x
    fits = not more and array.dtype.isnative and declared.dtype == array.dtype.name and array.ndim == len(declared.shape)
    if fits and not declared.node.operation._optional_ and not engine.watched_layers(model):
        _known[model] = Known(_process.changes(), program, array.dtype, array.shape[1:])


def predicted(model: Trainable, x: object, batch_size: int | None) -> _tree.Nest:
    """Return the outputs for one array, in their nest; None where more must be asked first."""
    known = _known.get(model)
    if known is None or type(x) is not np.ndarray or x.dtype is not known.dtype or x.shape[1:] != known.sizes:
        return None
    most = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
    if type(most) is not int or not 0 < len(x) <= most or not (x.flags.c_contiguous and x.flags.writeable):
        return None
    if known.changes != _process.changes() or not _is_plain(model):
        return None
    program = engine.program(model, False)
    if program is not known.program:
        return None
    forward: Forward = program
    if config.inference_engine():
        from anabranch.training import elsewhere  # only where it is used

        forward = elsewhere.session_for(model, program) or program
    batch = Batch([torch.from_numpy(x)], [], [], len(x))
    with explaining(model, batch), program.without_gradients():
        outputs, _ = forward(batch.x)
    return _tree.fill(program.graph.output_structure, map(owned, outputs))


def _is_plain(model: Trainable) -> bool:
    """Return whether the model's program alone computes its predictions."""
    return not model.run_eagerly and model.jit_compile is not True and "predict_step" not in model._overrides_
