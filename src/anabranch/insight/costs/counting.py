"""Counts what a model costs: one walk over its calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentTypeError, DtypeError, unknown
from anabranch.graph import AnyModel, Weight
from anabranch.graph.casting import Cast
from anabranch.graph.records import ITEM_BYTES, item_bytes
from anabranch.insight.costs import spans
from anabranch.insight.costs.finding import found_rule
from anabranch.insight.costs.memory import Run, peaks
from anabranch.insight.costs.report import Cost, CostRow
from anabranch.insight.costs.sizes import InputShape, Sized, Steps, sized
from anabranch.insight.costs.work import Call, Stage, nbytes, stages_of

SLOTS = {
    "adadelta": 2, "adagrad": 1, "adam": 2, "adamax": 2, "adamw": 2, "ftrl": 2, "lamb": 2, "lion": 1, "muon": 2,
    "nadam": 2, "adafactor": 0, "rmsprop": 1, "schedulefreeadamw": 2, "sgd": 0,
}  # fmt: skip
"""How many values an optimizer has for each trainable one, with its default settings."""


@checked
def cost(
    model: AnyModel,
    batch: int | None = None,
    input_shape: InputShape = None,
    dtype: str | None = None,
    optimizer: Any = None,
) -> Cost:
    """Return what a model costs, call by call and in total; no engine is loaded.

    MACs are the multiply-accumulates of matrix products and convolutions, half of what torch's ``FlopCounterMode`` counts.
    FLOPs are 2 for each of these, and one for each element of each other function.

    Peak memory is that of the operations of ``to_torch()``: a replay in the order that they run, in which a value is let go
    after the last operation that takes it, as in torch.fx's code; autograd saves what it needs for the backward pass, and
    gradients live from the operation that gives them to the one that takes them. Inputs, outputs and weights are included, in
    training a gradient of each trainable weight and the optimizer's state too; the loss, the update, and what a kernel of torch
    needs while it runs are not. ``fit`` runs optimized code, which takes less; a function whose variables stay until it returns
    takes more.

    Args:
        model: a model with a graph.
        batch: the batch's size; None: that of the Input, or 1.
        input_shape: shape of the input without the batch, where the Input leaves sizes open; a list or dict for several.
        dtype: float type of weights and values; None: their own.
        optimizer: its name or the object, whose state is counted; None: that of ``compile``, or none.

    Returns:
        Rows and totals; printed, a table.

    Example:
        >>> from anabranch import Input, Model, layers
        >>> x = Input((32, 32, 3))
        >>> model = Model(x, layers.Conv2D(8, 3, padding="same", name="conv")(x))
        >>> found = cost(model, batch=2)
        >>> found["conv"].macs, found["conv"].receptive_field, found.params
        (442368, (3, 3), 224)
    """
    if dtype is not None and (dtype not in ITEM_BYTES or "float" not in dtype):
        raise DtypeError("dtype of cost is a float type.", expected="float32, float16, bfloat16, float64", got=repr(dtype))
    steps = sized(model, batch, input_shape, dtype)
    counter = _Counter(model, steps, dtype, _slots(model, optimizer))
    return counter.cost()


def _slots(model: AnyModel, optimizer: Any) -> int:
    """Return how many values an optimizer has for each trainable one."""
    if optimizer is None:
        optimizer = model.optimizer if model._has_layers_ else None  # type: ignore[attr-defined]
    if optimizer is None:
        return 0
    if isinstance(optimizer, str):
        if optimizer.lower() not in SLOTS:
            raise unknown("optimizer", optimizer, SLOTS)
        return SLOTS[optimizer.lower()]
    from anabranch.optimizers import Optimizer  # of which there is one, so that the engine is loaded

    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError("optimizer is a name or an optimizer.", expected=", ".join(SLOTS), got=shown(optimizer))
    return len(optimizer.slots)


class _Counted(NamedTuple):
    """One call with its stages and what its weights take."""

    stages: Sequence[Stage]
    known: bool
    weights: dict[object, int]


class _Counter:
    """One walk over the calls: rows, blocks of memory, and the longest chain."""

    def __init__(self, model: AnyModel, steps: Steps, dtype: str | None, slots: int) -> None:
        self._model, self._steps, self._dtype, self._slots = model, steps, dtype, slots
        self._seen: set[Weight] = set()
        self._trained = set(model.trainable_weights)
        self._differentiable: set[int] = set()
        self._fields = {number: spans.of_input(len(spec.shape)) for number, (_, spec) in steps.inputs.items()}
        self._reached: dict[int, int] = {}  # by value: the operations of the longest chain that leads to it
        self._levels: dict[int, int] = {}
        self._ids: dict[str, int] = {}
        self._before: dict[int, int] = {}  # by call: the call before it in that chain

    def cost(self) -> Cost:
        """Walk, and return what was counted."""
        rows = [self._input_row(number) for number in self._steps.inputs]
        runs: list[Run] = []
        made_by: dict[int, int] = {}
        last = -1
        widths: dict[int, int] = {}
        for place, each in enumerate(self._steps.steps):
            counted = self._counted(each)
            rows.append(self._row(each, counted))
            step = each.step
            runs.append(Run(step.inputs, step.outputs, list(map(nbytes, each.call.inputs)), counted.stages, counted.weights))
            longest = max(step.inputs, key=lambda number: self._reached.get(number, 0))
            level = max(self._levels.get(number, 0) for number in step.inputs) + 1
            widths[level] = widths.get(level, 0) + 1
            self._before[place] = made_by.get(longest, -1)
            reached = self._reached.get(longest, 0) + rows[-1].flops
            for number in step.outputs:
                made_by[number], self._reached[number], self._levels[number] = place, reached, level
            if last < 0 or reached >= self._reached[self._steps.steps[last].step.outputs[0]]:
                last = place
        return self._total(rows, runs, self._chain(last, [row.id for row in rows[len(self._steps.inputs) :]]), widths)

    def _free(self, id: str) -> str:
        """Return an id that no row has: parts of torch modules have "/" in their names."""
        self._ids[id] = count = self._ids.get(id, 0) + 1
        return id if count == 1 else f"{id}#{count}"

    def _chain(self, place: int, ids: list[str]) -> list[str]:
        found: list[str] = []
        while place >= 0:
            found.append(ids[place])
            place = self._before[place]
        return found[::-1]

    def _total(self, rows: list[CostRow], runs: list[Run], chain: list[str], widths: dict[int, int]) -> Cost:
        inputs = {number: nbytes(spec) for number, (_, spec) in self._steps.inputs.items()}
        most = peaks(runs, inputs, self._steps.outputs)
        weights = dict.fromkeys(self._model.weights)
        trainable = [weight for weight in weights if weight in self._trained]
        size = sum(map(self._bytes, weights))
        learned = sum(map(self._bytes, trainable))
        batch = next((spec.shape[0] for _, spec in self._steps.inputs.values() if spec.shape), 1) or 1
        counts = ((r.macs, r.flops, r.backward_macs, r.backward_flops, r.activation_bytes) for r in rows)
        macs, flops, backward_macs, backward_flops, activation_bytes = map(sum, zip(*counts, strict=True))
        return Cost(
            self._model.name, batch, rows, macs, flops, backward_macs, backward_flops, activation_bytes,
            sum(w.size for w in weights), sum(w.size for w in trainable), size, learned,
            learned * self._slots, most.saved, size + most.inference, size + most.training + learned * self._slots, chain,
            max(self._reached.values(), default=0), max(self._levels.values(), default=0), max(widths.values(), default=0),
        )  # fmt: skip

    def _bytes(self, weight: Weight) -> int:
        dtype = self._dtype if self._dtype and "float" in weight.dtype else weight.dtype
        return weight.size * item_bytes(dtype)

    def _counted(self, each: Sized) -> _Counted:
        call = each.call
        found = stages_of(found_rule(call.operation), call)
        trained = {weight: self._bytes(weight) for weight in call.operation.weights if weight in self._trained}
        stages = found if found is not None else (Stage(size=call.size, weights=bool(trained)),)
        return _Counted(stages, found is not None, trained)

    def _input_row(self, number: int) -> CostRow:
        tensor, spec = self._steps.inputs[number]
        name = self._model._graph_.names.get(tensor.node.operation, tensor.name)  # type: ignore[union-attr]
        operation = tensor.node.operation
        field = spans.spatial(self._fields[number], operation._axis_layout_())
        return CostRow(
            self._free(name), name, name, operation._summary_kind_(), (), (spec.shape,), spec.dtype,
            0, 0, False, 0, 0, 0, 0, 0, 0, nbytes(spec),
            0.0, *_of_spans(field), True, str(tensor.node.site),
        )  # fmt: skip

    def _row(self, each: Sized, counted: _Counted) -> CostRow:
        call, step = each.call, each.step
        operation = call.operation
        macs, flops = sum(s.macs for s in counted.stages), sum(s.flops for s in counted.stages)
        backward_macs, backward_flops = self._backward(each, counted)
        field = spans.after(call, [self._fields[number] for number in step.inputs])
        self._fields.update(dict.fromkeys(step.outputs, field))
        weights = dict.fromkeys(operation.weights)
        new = [weight for weight in weights if weight not in self._seen]
        self._seen.update(new)
        learned = [weight for weight in new if weight in self._trained]
        moved = sum(map(nbytes, (*call.inputs, *call.outputs))) + sum(map(self._bytes, weights))
        total = 2 * macs + flops
        return CostRow(
            self._free(step.call + "/cast" * isinstance(operation, Cast)), step.path,
            step.path.rpartition("/")[2], operation._summary_kind_(), tuple(s.shape for s in call.inputs),
            tuple(s.shape for s in call.outputs), call.outputs[0].dtype if call.outputs else "",
            sum(w.size for w in new), sum(w.size for w in learned), bool(weights) and not new,
            macs, total, backward_macs, 2 * backward_macs + backward_flops, sum(map(self._bytes, new)),
            sum(map(self._bytes, learned)) * self._slots, call.size, total / moved if moved else 0.0,
            *_of_spans(spans.spatial(field, operation._axis_layout_())), counted.known, str(each.node.site),
        )  # fmt: skip

    def _backward(self, each: Sized, counted: _Counted) -> tuple[int, int]:
        """Return the products and the other operations of a backward pass: once for each operand that has a gradient."""
        operands = sum(number in self._differentiable for number in each.step.inputs)
        macs = flops = 0
        for stage in counted.stages:
            trained = bool(stage.weights and counted.weights)
            macs += stage.macs * (operands + trained)
            flops += stage.flops * (operands > 0 or trained)
            operands = int(operands > 0 or trained)
        if operands and _is_float(each.call):
            self._differentiable.update(each.step.outputs)
        return macs, flops


def _is_float(call: Call) -> bool:
    return any("float" in spec.dtype for spec in call.outputs)


def _of_spans(
    field: spans.Field,
) -> tuple[tuple[int | None, ...], tuple[int | None, ...], tuple[float, ...], tuple[float, ...]]:
    """Return the receptive fields of the widest and narrowest paths, strides and paddings."""
    known = [span for span in field if span is not None]
    return (
        tuple(s.size for s in known), tuple(s.least for s in known), tuple(s.stride for s in known),
        tuple(s.padding for s in known),
    )  # fmt: skip
