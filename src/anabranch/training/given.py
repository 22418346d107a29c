"""What ``compile`` was given as losses, their weights and metrics, for each output; the names these are reported under."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from anabranch import _tree
from anabranch._asked import described, has_shape, is_number
from anabranch._errors import ArgumentError
from anabranch.graph.binding import Rule, Slots, bind
from anabranch.losses import Loss
from anabranch.losses.registry import reducing


def losses_of(given: object, slots: Slots) -> list[Loss | None]:
    """Return each output's loss; outputs that a dict leaves out have none."""
    optional = range(len(slots.names)) if isinstance(given, dict) else ()
    rule = Rule("loss", lambda value: not _tree.is_nest(value) or _is_config(value), spread=True, optional=optional)
    return [reducing(each) for each in bind(given, slots, rule)]


def loss_weights_of(given: object, slots: Slots, losses: Sequence[Loss | None]) -> list[float | None]:
    """Return the weight of each output's loss; one number is for all, outputs without a loss need none."""
    if given is None:
        return [None] * len(slots.names)
    optional = [index for index, loss in enumerate(losses) if loss is None] if isinstance(given, dict) else ()
    bound = bind(given, slots, Rule("loss_weights", _is_number, spread=True, optional=optional))
    return [None if weight is None else float(weight) for weight in bound]


def _is_number(value: object) -> bool:
    return is_number(value) and math.isfinite(value) and not (has_shape(value) and described(value)[:2] != "()")


def metrics_of(given: object, slots: Slots, what: str) -> list[list[Any]]:
    """Return each output's list of metrics; outputs that a dict leaves out have none."""
    count = len(slots.names)
    if given is None or (_tree.is_nest(given) and not given):
        return [[] for _ in range(count)]
    nested = _by_structure(given, slots.structure)
    if nested is not None:
        return nested
    if isinstance(given, dict):
        leaf = Rule(what, lambda value: not isinstance(value, dict) or _is_config(value), optional=range(count))
        return [_as_list(some) for some in bind(given, slots, leaf)]
    if count == 1:
        return [_as_list(given)]
    if isinstance(given, (list, tuple)) and len(given) == count:
        return [_as_list(some) for some in given]
    raise ArgumentError(
        f"{what} does not say which metric belongs to which output.",
        expected=f"a dict by output name or a list with one entry for each of {slots.described()}",
        got=repr(given)[:120],
        repair=f"{what}={{{slots.names[0]!r}: {given!r}}}"[:120],
    )


def _by_structure(given: _tree.Nest, structure: _tree.Nest) -> list[list[Any]] | None:
    """Return the metrics of each output where they are nested as the outputs are; None where they are not."""
    count = len(_tree.leaves(structure))
    if given is None:
        return [[] for _ in range(count)]
    is_dict = isinstance(given, dict) and not _is_config(given)
    if isinstance(structure, dict) and is_dict and given.keys() <= structure.keys():
        parts = [_by_structure(given.get(key), part) for key, part in structure.items()]
    elif isinstance(structure, (list, tuple)) and isinstance(given, (list, tuple)) and len(given) == len(structure):
        parts = [_by_structure(some, part) for some, part in zip(given, structure, strict=True)]
    else:
        return [_as_list(given)] if count == 1 and not is_dict and not isinstance(structure, dict) else None
    found = [part for part in parts if part is not None]
    return [each for part in found for each in part] if len(found) == len(parts) else None


def _is_config(value: object) -> bool:
    """Return whether a dict is a serialized object rather than a nest."""
    return isinstance(value, dict) and "class_name" in value


def _as_list(some: object) -> list[Any]:
    if isinstance(some, (list, tuple)):
        if _tree.holds_itself(some):
            raise _tree.too_deep()
        return [one for part in some for one in _as_list(part)]
    return [] if some is None else [some]


def loss_names(slots: Slots) -> tuple[str, ...]:
    """Return the names that the losses of outputs are reported under: as in Keras, where outputs are nested, by their path."""
    paths = _paths(slots.structure)
    return tuple(
        "/".join([*map(str, path[:-1]), path[-1] if isinstance(path[-1], str) else name]) if len(path) > 1 else name
        for path, name in zip(paths, slots.names, strict=True)
    )


def metric_names(slots: Slots) -> tuple[str, ...]:
    """Return the names that the metrics of outputs begin with: as in Keras, a dict's keys where each is of one output."""
    by_key = isinstance(slots.structure, dict) and len(slots.structure) == len(slots.names)
    return tuple(str(path[0]) for path in _paths(slots.structure)) if by_key else slots.names


def _paths(structure: _tree.Nest, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the keys and positions that lead to each output."""
    if not _tree.is_nest(structure):
        return [path]
    parts = structure.items() if isinstance(structure, dict) else enumerate(structure)
    return [found for key, part in parts for found in _paths(part, (*path, key))]
