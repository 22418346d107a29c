"""``probe``: run one batch call by call, and give the model back as it was."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch

from anabranch import _tree, engine, runtime
from anabranch._errors import DataError
from anabranch.graph import Graph
from anabranch.training.arguments import boolean
from anabranch.training.custom_step import checked_loss, loss_of
from anabranch.training.data.adapters import is_in_memory, source_for
from anabranch.training.data.batch import Batch
from anabranch.training.data.binder import Binder, ModelBinder
from anabranch.training.data.reading import Reading
from anabranch.training.objective import need_compiled
from anabranch.training.penalties import penalties, regularized
from anabranch.training.preparation import located, with_graph
from anabranch.training.probed import Probe, ProbeWeight
from anabranch.training.resuming import generators, metrics_with_state
from anabranch.training.steps import explaining
from anabranch.training.trainable import Trainable
from anabranch.training.watching import Watching, norms


@located
def probe(model: Trainable, x: object, y: object, sample_weight: object, training: bool | None) -> Probe:
    """Run one batch and return the numbers of it, as ``Model.probe`` does."""
    of_source = x is not None and not is_in_memory(x)
    learns = y is not None or (of_source and model._compiled_ is not None)
    engine.synchronise_seed()
    batch = _batch(model, with_graph(model, x), y, sample_weight, learns)
    learns = learns and any(target is not None for target in batch.y)
    engine.place_weights(model)
    mode = learns if training is None else boolean(training, "training")
    graph = model._need_running_graph_()
    watching = Watching(graph)
    with _unchanged(model), explaining(model, batch):
        with torch.set_grad_enabled(learns):
            loss = _run(model, graph, batch, mode, watching)
        weights = [runtime.realize(weight) for weight in model.trainable_weights]
        watching.differentiate(loss, weights)
    rows, edges = watching.rows_and_edges()
    known = zip(model.trainable_weights, norms(weights), watching.gradient_norms(weights), strict=True)
    parts = [ProbeWeight(weight.path, tuple(weight.shape), norm, gradient) for weight, norm, gradient in known]
    return Probe(model.name, mode, None if loss is None else float(loss.detach()), rows, edges, parts)


def _batch(model: Trainable, x: object, y: object, sample_weight: object, learns: bool) -> Batch:
    """Return the batch: all of the arrays, or the first batch of a source."""
    targets = need_compiled(model, "probe with y").bind(model).targets if learns else None
    binder: Binder = ModelBinder(model, targets, model._training_strategy_)
    if x is None or is_in_memory(x):
        return binder.batch((x, y, sample_weight))
    first = next(iter(source_for(binder, x, y, sample_weight, Reading()).batches(0)), None)
    if first is None:
        raise DataError("x gave no batch.", expected="at least one batch")
    return first


def _run(model: Trainable, graph: Graph, batch: Batch, training: bool, watching: Watching) -> torch.Tensor | None:
    """Run the graph call by call; return the loss where gradients are wanted."""
    learns = torch.is_grad_enabled()
    inputs = [_reached(value) if learns else value for value in batch.x]
    with runtime.gathering() as gathered, runtime.training_scope(training):
        outputs, masks = engine.interpret(graph, inputs, observer=watching)
    compiled = model._compiled_
    if not learns or compiled is None:
        return None
    outputs = [runtime.with_mask(output, mask) for output, mask in zip(outputs, masks, strict=True)]
    if "compute_loss" in model._overrides_:
        x, y, y_pred, weights = (
            _tree.fill(structure, values)
            for structure, values in (
                (graph.input_structure, batch.x), (graph.output_structure, batch.y),
                (graph.output_structure, outputs), (graph.output_structure, batch.weights),
            )
        )  # fmt: skip
        given = weights if any(weight is not None for weight in batch.weights) else None
        return checked_loss(model, loss_of(model)(x, y, y_pred, given, training=training))
    extra = [*gathered, *penalties(regularized(model.trainable_weights))]
    return compiled.total(outputs, batch.y, batch.weights, extra, batch.size)


def _reached(value: torch.Tensor | None) -> torch.Tensor | None:
    """Return an input as a tensor that gradients reach."""
    return value.detach().requires_grad_().clone() if value is not None and value.is_floating_point() else value


@contextlib.contextmanager
def _unchanged(model: Trainable) -> Iterator[None]:
    """Give the model back what it had before the block: weights, records, what its layers hold, random generators."""
    layers: list[Any] = list(model._inner_layers_())
    tensors = [runtime.realize(weight) for weight in model.weights]
    values = [(tensor, tensor._version, tensor.detach().clone()) for tensor in tensors]
    held = [vars(part) for layer in layers for part in (layer, *layer._watched_.values())]
    attributes = [(now, dict(now)) for now in held]
    metrics = [(metric, copy.deepcopy(metric._saved_state_())) for metric in metrics_with_state(model)]
    records = [] if model._compiled_ is None else [(record, record.state()) for record in model._compiled_.loss_records]
    drawing = [(made, made.get_state()) for _, made in generators(model)]
    states = runtime.random_states()
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, version, value in values:
                if tensor._version != version:
                    tensor.detach().copy_(value)
        for now, then in attributes:
            now.update((name, value) for name, value in then.items() if now.get(name) is not value)
        for metric, state in metrics:
            metric._load_saved_state_(state)
        for record, recorded in records:
            record.set_state(recorded)
        for made, drawn in drawing:
            made.set_state(drawn)
        runtime.set_random_states(states)
