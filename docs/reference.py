"""The API reference of the site: one page a public module, of every name that ``dir`` shows there.

mkdocs calls ``on_config`` and ``on_files``; griffe, which reads the docstrings, calls ``Extension``.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import anabranch

ROOT = Path(__file__).parents[1]
OPTIONS = "    options: {members: false}"


def rooms() -> Iterator[tuple[str, ModuleType]]:
    """Give the public modules: the package, then what ``dir`` shows of it, and theirs that share no name with it."""
    yield "anabranch", anabranch
    for name in dir(anabranch):
        module = getattr(anabranch, name)
        if isinstance(module, ModuleType) and not name.startswith("_"):
            yield f"anabranch.{name}", module
            for inner in dir(module):
                below = getattr(module, inner)
                if isinstance(below, ModuleType) and below.__name__ == f"{module.__name__}.{inner}" and own(below):
                    yield below.__name__, below


def own(module: ModuleType) -> bool:
    """Tell whether a module inside a room is one of Keras's namespaces, which say what is public in them."""
    return module.__name__ in {
        "anabranch.optimizers.schedules",
        "anabranch.utils.bounding_boxes",
    } or module.__name__.startswith("anabranch.datasets.")


def public(module: ModuleType) -> dict[str, Any]:
    """Return the classes and functions that ``dir`` shows and that are ours."""
    found = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return {
        name: thing
        for name, thing in found.items()
        if callable(thing)
        and str(getattr(thing, "__module__", "")).startswith("anabranch")
        and thing.__module__ != "anabranch._errors"  # what a module raises
    }


def signature(name: str, thing: Any) -> str:
    """Return a call with defaults and without annotations, which are in the source."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return f"{name}(…)"
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in found.parameters.values() if each.name != "self"]
    text = str(found.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    return f"{name}{text}" if len(text) < 90 else f"{name}(\n    " + ",\n    ".join(map(str, plain)) + ",\n)"


def methods(thing: Any, classes: list[type]) -> dict[str, Any]:
    """Return the public methods that a base or a model adds: a layer or a metric has its base's."""
    bases = [base for base in classes if base is not thing and issubclass(thing, base)]
    if bases and not issubclass(thing, anabranch.Model):
        return {}
    return {
        name: getattr(thing, name)
        for name, value in vars(thing).items()
        if not name.startswith("_") and inspect.isroutine(getattr(thing, name)) and inspect.getdoc(value)
        and not any(hasattr(base, name) for base in bases)
        and getattr(thing, name).__module__.startswith("anabranch")  # scikit-learn adds methods to its estimators
    }  # fmt: skip


def entry(level: int, path: str, name: str, thing: Any) -> list[str]:
    """Return a heading, the call, and the docstring."""
    shown = signature(name, thing)
    return [f"{'#' * level} {name} {{ #{path} }}", f"```python\n{shown}\n```", f"::: {path}\n{OPTIONS}"]


def page(path: str, module: ModuleType, classes: list[type]) -> str:
    """Return one module's page."""
    parts = [f"# {path}", (inspect.getdoc(module) or "").partition("\n\n")[0]]
    first: dict[int, str] = {}
    for name, thing in public(module).items():
        if id(thing) in first:
            parts += [f"## {name} {{ #{path}.{name} }}", f"Another name of [{first[id(thing)]}](#{path}.{first[id(thing)]})."]
            continue
        first[id(thing)] = name
        parts += entry(2, f"{path}.{name}", name, thing)
        if inspect.isclass(thing):
            for method, function in methods(thing, classes).items():
                parts += entry(3, f"{path}.{name}.{method}", f"{name}.{method}", function)
    return "\n\n".join(parts) + "\n"


def show_all() -> None:
    """Let ``dir`` show griffe also what is not public: where a name is defined it may be hidden."""
    names = [each.name for each in pkgutil.walk_packages(anabranch.__path__, "anabranch.")]
    for module in map(importlib.import_module, ["anabranch", *names]):
        if "__dir__" in vars(module):
            every = sorted({*dir(module), *vars(module)})
            vars(module)["__dir__"] = functools.partial(list, every)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the reference to the navigation and the address of the repository from the package's metadata."""
    config.repo_url = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    pages = [{path: f"reference/{path}.md"} for path, _ in rooms()]
    config.nav = [*(config.nav or []), {"API reference": pages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    every = dict(rooms())
    classes = [thing for module in every.values() for thing in public(module).values() if inspect.isclass(thing)]
    for path, module in every.items():
        files.append(File.generated(config, f"reference/{path}.md", content=page(path, module, classes)))
    show_all()
    return files


class Extension(griffe.Extension):
    """Read ``Example:`` and bare ``>>>`` as the section of examples that they are."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is not None:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            if re.search(r"^>>> ", text, re.MULTILINE) and "\nExamples:" not in text:
                head, _, example = text.partition("\n>>> ")
                text = f"{head}\nExamples:\n" + "\n".join(f"    {line}" for line in f">>> {example}".splitlines())
            obj.docstring.value = text
