"""Where in its author's code a model was described: the line of each call, and of each class of the user's own.

Files have them beside the model, so that errors after loading show the user's line. Only the names of files are saved, not the
folders, which are nobody else's business.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from anabranch._asked import is_from, module_of, name_of
from anabranch.graph import AnyModel, CallSite, Graph, Operation
from anabranch.graph.paths import owners
from anabranch.registry import PACKAGE, Json

if TYPE_CHECKING:
    from anabranch.graph import Node


def _graphs(model: AnyModel) -> Iterator[tuple[str, Graph]]:
    """Return a model's graph and those of the models in it, by path."""
    return ((prefix, owner._graph_) for prefix, owner in owners(model) if owner._graph_ is not None)


def lines(model: AnyModel) -> dict[str, Json]:
    """Return where each operation was made and called: ``files``, and by path pairs of a file's index and a line."""
    files: dict[str, int] = {}

    def pair(site: CallSite | None) -> list[int]:
        if site is None:
            return []
        return [files.setdefault(os.path.basename(site.file), len(files)), site.line]

    found = {
        f"{prefix}{name}": [pair(operation._made_at_), *(pair(node.site) for node in graph.calls_of(operation))]
        for prefix, graph in _graphs(model)
        for operation, name in graph.names.items()
    }
    return {"files": list(files), "lines": found}


def restore(model: AnyModel, saved: Json) -> None:
    """Let the operations of a model that was read say where they were made and called, as far as ``lines`` wrote it."""
    if not isinstance(saved, Mapping) or not isinstance(saved.get("lines"), Mapping):
        return
    files = saved.get("files")
    names = [str(name) for name in files] if isinstance(files, list) else []
    for prefix, graph in _graphs(model):
        for operation, name in graph.names.items():
            sites = [_site(pair, names) for pair in _listed(saved["lines"].get(f"{prefix}{name}"))]
            if sites and sites[0] is not None:
                operation._made_at_ = sites[0]
            calls: list[Node] = graph.calls_of(operation)
            for node, site in zip(calls, sites[1:], strict=False):
                node.site = site or node.site


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _site(pair: Json, names: Sequence[str]) -> CallSite | None:
    match pair:
        case [int(file), int(line)] if 0 <= file < len(names):
            return CallSite(names[file], line)
    return None


# Classes and functions of the user's own


def definitions(model: AnyModel, config: Json) -> dict[str, str]:
    """Return where each class or function that is not ours was defined, such as ``gates.py:12``, by its name in the config."""
    kinds = {type(layer).__name__: type(layer) for layer in cast("Operation", model)._inner_layers_()}
    found: dict[str, str] = {}
    stack = [config]
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            stack += part
        elif isinstance(part, Mapping):
            stack += part.values()
            name = part.get("config") if part.get("class_name") == "function" else part.get("class_name")
            module = part.get("module")
            if isinstance(name, str) and isinstance(module, str) and name not in found and not _is_known(module):
                defined = _defined(kinds.get(name) or vars(sys.modules[module]).get(name) if module in sys.modules else None)
                if defined:
                    found[name] = defined
    return found


def _is_known(module: str) -> bool:
    return module.partition(".")[0] in ("keras", PACKAGE)


def _defined(thing: object) -> str | None:
    if thing is None or is_from(thing, PACKAGE) or not name_of(thing) or not module_of(thing):
        return None
    import inspect

    try:
        file, line = inspect.getsourcefile(cast("type", thing)), inspect.findsource(cast("type", thing))[1] + 1
    except (OSError, TypeError):  # typed at a prompt
        return None
    return f"{os.path.basename(file)}:{line}" if file else None


def places(saved: Json) -> dict[str, str]:
    """Return what ``definitions`` wrote, as far as it is that."""
    return {str(name): str(place) for name, place in saved.items()} if isinstance(saved, Mapping) else {}
