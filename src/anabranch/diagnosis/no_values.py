"""What to write instead of a use of a symbolic tensor that needs values, or of an attribute that it does not have."""

from __future__ import annotations

import functools

from anabranch._errors import MissingAttributeError, nearest
from anabranch.graph.call_site import call_site
from anabranch.graph.methods import METHODS

# the use, as graph.tensor states it -> what to write instead
REPAIRS = {
    "be true or false": "for if: ops.where(condition, a, b), ops.maximum(a, b)\nfor and, or, not: a & b, a | b, ~a\n"
    "for while: a layer of your own, whose call may look at values",
    "be iterated over": "for one position: x[:, i]; for all: ops.unstack(x, axis=1), ops.split(x, n, axis=1)",
    "be searched": "ops.any(x == value) is a tensor that says whether it is there",
    "have a length": "x.shape, where None is not known yet; ops.shape(x) while the model runs",
    "become a NumPy array": "functions of ops or of torch in the place of NumPy's: ops.mean(x, axis=1)",
    "become a float": "leave it a tensor: ops.mean(x), ops.max(x); model.predict gives values",
    "become an integer": 'leave it a tensor: ops.cast(x, "int32"); model.predict gives values',
    "be an index or a size": "ops.take(x, indices, axis) indexes by a tensor; sizes are x.shape",
    "be assigned to": "ops.where(mask, value, x), or ops.concatenate([part, new, part], axis)",
    "lose a part": "take what remains: ops.concatenate([x[:, :i], x[:, i + 1:]], axis=1)",
}
NUMPY = "go through np."  # how the use of a function of NumPy begins
INDEX_REPAIR = "for other indices: ops.take(x, indices, axis)\nfor a condition: ops.where(condition, x, other)"
OF_VALUES = frozenset(("numpy", "item", "tolist", "data", "eval"))  # attributes that arrays have
OF_MODELS = frozenset(("fit", "predict", "evaluate", "compile", "summary", "layers", "weights", "save", "get_layer"))


def repair_of(use: str) -> str | None:
    """Return what to write instead of a use that needs values."""
    if use.startswith(NUMPY):
        return f"ops.{use.removeprefix(NUMPY)}(…) works on symbolic tensors"
    return REPAIRS.get(use)


def missing_attribute(name: str) -> MissingAttributeError:
    """Return the error for an attribute that symbolic tensors do not have."""
    if name in OF_VALUES:
        fact, repair = f"A symbolic tensor has no values yet, so it has no {name!r}.", "model.predict(data) gives values"
    elif name in OF_MODELS:
        fact, repair = f"A tensor is no model: it has no {name!r}.", f"model = Model(inputs, x), then model.{name}"
    else:
        fact, close = f"A symbolic tensor has no {name!r}.", _nearest_method(name)
        repair = f"did you mean {close!r}?" if close else "a function of ops or of torch takes it as an argument"
    return MissingAttributeError(fact, where=str(call_site()), repair=repair)


@functools.cache
def _nearest_method(name: str) -> str | None:
    return nearest(name, METHODS)
