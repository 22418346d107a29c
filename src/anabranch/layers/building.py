"""What a layer's ``build`` is given, and that it is built afterwards."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anabranch._asked import parameters_of
from anabranch.layers.holding import Holding


def built_after(build: Callable[..., None]) -> Callable[..., None]:
    """Return a ``build`` after which ``built`` is true, whoever calls it."""

    @functools.wraps(build)
    def wrapper(self: Holding, *args: object, **kwargs: object) -> None:
        build(self, *args, **kwargs)
        self.built = True

    return wrapper


def inputs_of_build(
    takes: Sequence[str], call: Callable[..., object], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a ``build`` of several shapes is built for: by ``query_shape`` the argument ``query``; {} for any other."""
    wanted = [name for name in takes if name.endswith("_shape")]
    if len(wanted) < 2:
        return {}
    given = dict(zip(parameters_of(call)[1:], args, strict=False)) | dict(kwargs)
    named = {f"{name}_shape": value for name, value in given.items() if value is not None}
    if named.keys().isdisjoint(wanted):  # other names than those of the call: in its order
        named = dict(zip(wanted, args, strict=False))
    return {name: named[name] for name in wanted if name in named}
