"""The playground's Python: run a script statement by statement, and return what is seen of its models, as JSON.

Nothing here computes: where a statement needs torch or NumPy, it is skipped and the page says so.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import linecache
import sys
import traceback
import urllib
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

FILE = "script.py"
ABSENT = ("torch", "numpy", "matplotlib", "pandas", "scipy", "sklearn", "PIL", "torchvision", "rich")


OPEN = 64  # positions
NAMED = {"rich": "a download"}  # whose progress it shows


class NeedsError(Exception):
    """Something that is not in the browser was used."""


class Missing:
    """What stands for a value that could not be computed: every use of it raises ``NeedsError``."""

    def __init__(self, package: str) -> None:
        object.__setattr__(self, "_package", package)

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "__dict__"):
            return object.__getattribute__(self, name)
        raise NeedsError(object.__getattribute__(self, "_package"))


def _needs(self: Any, *args: Any, **kwargs: Any) -> Any:
    raise NeedsError(object.__getattribute__(self, "_package"))


for _name in (
    "add", "bool", "call", "eq", "float", "getitem", "index", "iter", "len", "mul", "neg", "radd", "rmul", "rsub", "rtruediv",
    "sub", "truediv",
):  # fmt: skip
    setattr(Missing, f"__{_name}__", _needs)


class Absent(ModuleType):
    """A package that is not in the browser; its first use raises ``NeedsError``."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NeedsError(self.__name__.partition(".")[0])


class Finder(MetaPathFinder, Loader):
    """Lets a script import what is not there, so that only the statements that use it are skipped."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in ABSENT else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []


class Session:
    """Runs one version of the script after the other and compares their models.

    ``before`` holds the models of the version that differs from ``now``, unless the page pinned one.
    """

    def __init__(self) -> None:
        self.before: dict[str, Any] = {}
        self.now: dict[str, Any] = {}
        self.pinned = False

    def pin(self) -> None:
        """Compare with the present version from now on."""
        self.before, self.pinned = self.now, True

    def forget(self) -> None:
        """Compare with nothing: another script begins."""
        self.before, self.now, self.pinned = {}, {}, False

    def run(self, code: str) -> str:
        """Run a script and return its models, what it printed, what was skipped and what failed."""
        linecache.cache[FILE] = (len(code), None, code.splitlines(keepends=True), FILE)
        printed = io.StringIO()
        space: dict[str, Any] = {"__name__": "__main__", "__file__": FILE}
        skipped: list[tuple[int, int, str]] = []
        error = None
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                for statement in ast.parse(code, FILE).body:
                    try:
                        exec(compile(ast.Module([statement], []), FILE, "exec"), space)
                    except Exception as found:
                        package = _package(found)
                        if package is None:
                            raise
                        skipped.append((statement.lineno, statement.end_lineno or statement.lineno, package))
                        space.update(dict.fromkeys(_assigned(statement), Missing(package)))
            except BaseException as found:
                error = _described(found)
        models = _models(space)
        if error is None and models:
            self._remember(models)
        shown = [_seen(name, model, self.before.get(name)) for name, model in models.items()] if error is None else []
        return json.dumps({"models": shown, "printed": printed.getvalue(), "skipped": skipped, "error": error})

    def _remember(self, models: dict[str, Any]) -> None:
        if not self.pinned and any(name in self.now and self.now[name].diff(model) for name, model in models.items()):
            self.before = self.now
        self.now = models


def _package(error: BaseException) -> str | None:
    """Return which absent package an error speaks of, however deep; None where it is the script's own."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, NeedsError):
            return NAMED.get(str(seen), str(seen))
        if isinstance(seen, ImportError) and (name := (seen.name or "").partition(".")[0]) in ABSENT:
            return NAMED.get(name, name)
        if isinstance(seen, ImportError) and (seen.name or "").startswith("anabranch."):
            return "torch"  # the page is without the engine
        seen = seen.__cause__ or seen.__context__
    return None


def _assigned(statement: ast.stmt) -> list[str]:
    return [node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


def _models(space: dict[str, Any]) -> dict[str, Any]:
    """Return the script's models by their names, those that hold no other last made first."""
    import anabranch

    found = {id(value): value for value in space.values() if isinstance(value, anabranch.Model) and value.graph is not None}
    inner = {id(layer) for model in found.values() for layer in model.layers}
    models = [model for key, model in found.items() if key not in inner] + [found[key] for key in found if key in inner]
    return {model.name: model for model in models}


def _described(error: BaseException) -> dict[str, Any]:
    """Return an error's kind, text and the script's line."""
    if isinstance(error, SyntaxError):
        return {"kind": type(error).__name__, "text": error.msg, "line": error.lineno}
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    return {"kind": type(error).__name__, "text": str(error), "line": lines[-1] if lines else None}


def _seen(name: str, model: Any, before: Any) -> dict[str, Any]:
    """Return the views of a model; what one of them cannot show is said in its place."""
    from anabranch import insight

    changes = before.diff(model) if before is not None else None
    return {
        "name": name,
        "params": model.count_params() if model.built else None,
        "drawing": _view(lambda: model.draw().svg),
        "table": _view(lambda: insight.summarise(model)._repr_html_()),
        "cost": _view(lambda: _cost(model)),
        "lint": _view(lambda: model.lint()._repr_html_()),
        "changes": _view(lambda: changes._repr_html_()) if changes else "",
    }


def _cost(model: Any) -> str:
    """Return what one sample costs; sizes that the model leaves open are taken as ``OPEN``."""
    shapes = [tuple(OPEN if size is None else size for size in tensor.shape[1:]) for tensor in model.inputs]
    if all(shape == tensor.shape[1:] for shape, tensor in zip(shapes, model.inputs, strict=True)):
        return str(model.cost()._repr_html_())
    note = f"<p>Sizes that the model leaves open are {OPEN} here.</p>"
    return note + str(model.cost(input_shape=shapes if len(shapes) > 1 else shapes[0])._repr_html_())


def _view(make: Any) -> str:
    try:
        return str(make())
    except Exception as error:
        from html import escape

        return f"<pre class='failed'>{escape(f'{type(error).__name__}: {error}')}</pre>"


def start() -> Session:
    """Prepare Python: what is absent can be imported, and ``import keras`` means anabranch."""
    from anabranch import stand_in

    sys.meta_path.append(Finder())
    urllib.request = sys.modules["urllib.request"] = Absent("a download")  # type: ignore[attr-defined, assignment]
    stand_in.install()
    return Session()
