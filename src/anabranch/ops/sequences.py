"""Labels of sequences that are not aligned: connectionist temporal classification (Graves et al. 2006)."""

from __future__ import annotations

import math
from collections import defaultdict

from anabranch import runtime
from anabranch._arguments import Several
from anabranch._errors import ShapeError
from anabranch.graph.arrays import is_array
from anabranch.graph.facts import dropped
from anabranch.graph.records import Spec
from anabranch.graph.rules import Array, as_float
from anabranch.ops._public import operation
from anabranch.ops._torch import F, fakes, torch
from anabranch.ops._types import Tensor, TensorLike
from anabranch.ops._values import (
    check_inside,
    check_numbers,
    check_rank,
    dtype,
    floats,
    number_of,
    one_of,
    shape,
    sizes,
    tensor,
)

ARGUMENTS = {
    "mask_index": "the class of no label, the blank.",
    "inputs": "logits (B, T, classes).",
    "sequence_lengths": "how many steps of each sequence count, (B,).",
}


def _losses(target: Array, output: Array, target_length: object, output_length: object, mask_index: object = 0) -> Spec | None:
    if len(target.shape) != 2 or len(output.shape) != 3 or not (_is_vector(target_length) and _is_vector(output_length)):
        return None
    sizes = {size for size in (target.shape[0], output.shape[0]) if size is not None}
    kind = as_float(output)
    return None if kind is None or len(sizes) > 1 else Spec((next(iter(sizes), None),), _wide(kind.dtype))


def _is_vector(lengths: object) -> bool:
    return is_array(lengths) and len(lengths.shape) == 1


def _wide(kind: str) -> str:
    return kind if kind == "float64" else "float32"


@operation(_losses, dropped)
def ctc_loss(
    target: TensorLike, output: TensorLike, target_length: TensorLike, output_length: TensorLike, mask_index: int = 0
) -> Tensor:
    """Return -ln of the probability of the labels, over all their alignments (Graves et al. 2006, §3): (B,).

    Args:
        target: the labels (B, S), integers.
        output: logits (B, T, classes).
        target_length: how many labels of each sequence count, (B,).
        output_length: how many steps of each sequence count, (B,).

    >>> ctc_loss([[1]], [[[0.0, 0.0]]], [1], [1])
    tensor([0.6931])
    """
    labels, logits = tensor(target), floats(output)
    check_rank(labels, (2,), "(B, S)", "target")
    check_rank(logits, (3,), "(B, T, classes)", "output")
    if None not in (batches := (shape(labels)[0], shape(logits)[0])) and batches[0] != batches[1]:
        raise ShapeError("target and output have different batches.", got=f"{shape(labels)} and {shape(logits)}")
    steps = torch.log_softmax(logits.to(torch.float64 if dtype(logits) == "float64" else torch.float32), -1).transpose(0, 1)
    check_rank(tensor(target_length), (1,), "(B,)", "target_length")
    check_rank(tensor(output_length), (1,), "(B,)", "output_length")
    if isinstance(steps, fakes.FakeTensor):
        return steps[0, :, 0]  # torch looks into the lengths, which have no values; the loss has one value for each sequence
    lengths = tensor(output_length).long(), tensor(target_length).long()
    blank = number_of("mask_index", mask_index)
    if type(classes := sizes(logits)[-1]) is int:
        _check_labels(labels, lengths[1], classes)
    return F.ctc_loss(steps, labels.long(), *lengths, blank=blank, reduction="none")


def _check_labels(labels: Tensor, lengths: Tensor, classes: int) -> None:
    """Raise where a label that counts is no class, for which torch would read outside of the memory of the logits."""
    if isinstance(labels, torch.Tensor) and isinstance(lengths, torch.Tensor):
        counted = torch.arange(labels.shape[1], device=labels.device) < lengths.unsqueeze(-1)
        check_inside(torch.where(counted, labels, 0), 0, classes, "Labels of ctc_loss")


def _decoded(
    inputs: Array, sequence_lengths: object, strategy: object = "greedy", beam_width: object = 100, top_paths: object = 1,
    merge_repeated: object = True, mask_index: object = 0,
) -> tuple[Spec, Spec] | None:  # fmt: skip
    kind = as_float(inputs)
    if len(inputs.shape) != 3 or kind is None or type(top_paths) is not int or not _is_vector(sequence_lengths):
        return None
    paths = 1 if strategy == "greedy" else top_paths
    return Spec((paths, *inputs.shape[:2]), "int32"), Spec((inputs.shape[0], paths), _wide(kind.dtype))


@operation(_decoded, dropped)
def ctc_decode(
    inputs: TensorLike, sequence_lengths: TensorLike, strategy: str = "greedy", beam_width: Several = 100,
    top_paths: Several = 1, merge_repeated: bool = True, mask_index: int | None = 0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the likeliest labels: (paths, B, T), filled up with -1; and their scores (B, paths).

    Args:
        strategy: "greedy": the best class of each step, its score minus the sum of these logits; "beam_search": the labels with
            the greatest probability over all their alignments (Graves 2012, §7.5), its score the logarithm of that.
        beam_width: how many beginnings the beam search continues.
        top_paths: how many labelings it returns.
        merge_repeated: whether a label that repeats in neighboring steps is one, in "greedy".

    >>> ctc_decode([[[0.0, 9.0], [0.0, 9.0], [9.0, 0.0]]], [3])
    (tensor([[[ 1, -1, -1]]], dtype=torch.int32), tensor([[-27.]]))
    """
    one_of("strategy", strategy, ("greedy", "beam_search"))
    logits = floats(inputs)
    check_rank(logits, (3,), "(B, T, classes)", "inputs")
    logits = logits.to(torch.float64 if dtype(logits) == "float64" else torch.float32)
    lengths, classes = tensor(sequence_lengths), shape(logits)[-1]
    check_rank(lengths, (1,), "(B,)", "sequence_lengths")
    lengths = lengths.to(torch.int64)
    blank = (
        (sizes(logits)[-1] - 1 if classes is None else classes - 1)
        if mask_index is None
        else number_of("mask_index", mask_index)
    )
    if strategy == "greedy":
        return _greedy(logits, lengths, merge_repeated, blank)
    check_numbers(logits, "a beam search", 'strategy="greedy", or ctc_decode of what predict returns')
    width, paths = number_of("beam_width", beam_width, 1), number_of("top_paths", top_paths, 1)
    found = [
        _beams(steps[: int(length)], width, paths, blank)
        for steps, length in zip(torch.log_softmax(logits, -1).tolist(), lengths.tolist(), strict=True)
    ]
    labels = torch.full((paths, *logits.shape[:2]), -1, dtype=torch.int32)
    scores = torch.full((logits.shape[0], paths), -math.inf, dtype=logits.dtype)
    for row, beams in enumerate(found):
        for place, (path, score) in enumerate(beams):
            labels[place, row, : len(path)] = torch.tensor(path, dtype=torch.int32)
            scores[row, place] = score
    return labels.to(logits.device), scores.to(logits.device)


def _greedy(logits: Tensor, lengths: Tensor, merge_repeated: bool, blank: int) -> tuple[Tensor, Tensor]:
    scores, labels = logits.amax(-1), logits.argmax(-1)
    count = sizes(logits)[1]
    places = runtime.create(torch.arange, count, device=logits.device)
    past = places >= lengths.unsqueeze(-1)
    labels = torch.where(past, blank, labels)
    if merge_repeated:
        repeated = F.pad(labels[:, 1:] == labels[:, :-1], (1, 0))
        labels = torch.where(repeated, blank, labels)
    empty = labels == blank
    order = torch.sort(torch.where(empty, count, places), dim=-1, stable=True)[1]
    found = torch.take_along_dim(torch.where(empty, -1, labels), order, -1)
    return found.to(torch.int32).unsqueeze(0), -torch.where(past, 0.0, scores).sum(1, keepdim=True)


def _beams(steps: list[list[float]], width: int, paths: int, blank: int) -> list[tuple[tuple[int, ...], float]]:
    """Return the likeliest labelings of one sequence of log probabilities, each with that of its alignments together."""
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}  # ending in a blank, in a label
    for step in steps:
        found: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for path, (silent, spoken) in beams.items():
            for label, value in enumerate(step):
                if label == blank:
                    _add(found[path], 0, _log_sum(silent, spoken) + value)
                elif path and label == path[-1]:
                    _add(found[path], 1, spoken + value)
                    _add(found[*path, label], 1, silent + value)
                else:
                    _add(found[*path, label], 1, _log_sum(silent, spoken) + value)
        best = sorted(found.items(), key=lambda item: -_log_sum(*item[1]))[:width]
        beams = {path: (ends[0], ends[1]) for path, ends in best}
    ordered = sorted(((path, _log_sum(*ends)) for path, ends in beams.items()), key=lambda item: -item[1])
    return ordered[:paths]


def _log_sum(a: float, b: float) -> float:
    """Return ln(eᵃ + eᵇ)."""
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def _add(ends: list[float], place: int, value: float) -> None:
    ends[place] = _log_sum(ends[place], value)
