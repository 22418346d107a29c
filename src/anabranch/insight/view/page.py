"""The interactive page: an object that is shown in a notebook, saved as one HTML file, or opened in a browser."""

from __future__ import annotations

import functools
import html
import json
import os
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from anabranch._arguments import checked
from anabranch._asked import answers, shown
from anabranch._errors import ArgumentTypeError
from anabranch._files import reached
from anabranch._frames import bound_methods
from anabranch._notebooks import in_notebook
from anabranch.graph import AnyModel, Operation
from anabranch.insight.differences import diff
from anabranch.insight.view.contents import Probed, model_data, probed

ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""Of JSON in a page, where names of layers are text that nobody checked."""


@bound_methods
class View:
    """The interactive page of a model: ``html`` is the page, a notebook shows it, ``save`` writes it.

    Args:
        name: the model's name, the title of the page.
        html: the page.

    Example:
        >>> from anabranch import Input, Model, layers
        >>> x = Input((8,))
        >>> Model(x, layers.Dense(2)(x), name="small").view(open=False)
        <View of 'small': save(path) writes it, open() shows it in a browser>
    """

    def __init__(self, name: str, html: str) -> None:
        self.name = name
        self.html = html

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page as one file, which needs no network.

        Args:
            path: the name of the file.

        Example:
            >>> import os, tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     View("small", "<!doctype html>").save(os.path.join(folder, "small.html"))
            ...     os.listdir(folder)
            ['small.html']
        """
        with reached("write", path):
            Path(path).write_text(self.html, encoding="utf-8")

    def open(self, path: str | os.PathLike[str] | None = None) -> None:
        """Open the page in a browser.

        Args:
            path: where it was saved; None for a temporary file.

        Example:
            >>> import webbrowser
            >>> real, webbrowser.open = webbrowser.open, lambda address: print(address.split(":")[0])
            >>> View("small", "<!doctype html>").open()
            file
            >>> webbrowser.open = real
        """
        import webbrowser

        if path is None:
            with tempfile.NamedTemporaryFile("w", prefix="anabranch-", suffix=".html", encoding="utf-8", delete=False) as file:
                file.write(self.html)
            path = file.name
        webbrowser.open(Path(path).resolve().as_uri())

    def show(self, path: str | os.PathLike[str] | None = None, open: bool = True) -> View:
        """Write the page where ``path`` says, open it in a browser unless a notebook shows what is returned, and return it.

        Args:
            path: a file to write; None writes none.
            open: whether a browser opens it.

        Example:
            >>> View("small", "<!doctype html>").show(open=False)
            <View of 'small': save(path) writes it, open() shows it in a browser>
        """
        if path is not None:
            self.save(path)
        if open and not in_notebook():
            self.open(path)
        return self

    def _repr_html_(self) -> str:
        style = "width:100%;height:640px;border:1px solid #ccd2de;border-radius:8px"
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts" style="{style}" '
            f'title="{html.escape(self.name)}"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<View of {self.name!r}: save(path) writes it, open() shows it in a browser>"


@checked
def page(model: AnyModel, compare: AnyModel | None = None, probe: Probed | None = None) -> View:
    """Return the interactive page of a model.

    Args:
        model: the model.
        compare: a newer model, shown beside it with the marks of what differs.
        probe: numbers of a run to color by, from ``model.probe``.

    Example:
        >>> from anabranch import Input, Model, insight, layers
        >>> x = Input((8,))
        >>> view = insight.page(Model(x, layers.Dense(2, name="head")(x), name="small"))
        >>> view
        <View of 'small': save(path) writes it, open() shows it in a browser>
    """
    if not isinstance(model, Operation):
        raise ArgumentTypeError("model of page must be a model.", got=shown(model))
    if probe is not None and not answers(probe, "edge_values"):
        raise ArgumentTypeError("probe of a page must be what model.probe returns.", got=shown(probe))
    found = diff(model, compare) if compare is not None else None
    metrics = probed(probe) if probe is not None else []
    if compare is None:
        data: dict[str, Any] = {"models": [model_data(model, model.name, metrics)]}
    else:
        models = [
            model_data(model, f"{model.name} (before)", metrics, found),
            model_data(compare, f"{compare.name} (after)", [], found, True),
        ]
        data = {"models": models, "diff": str(found).splitlines()}
    return View(model.name, _filled(model.name, data))


def _filled(title: str, data: dict[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign, escape in ESCAPES.items():
        text = text.replace(sign, escape)
    scripts = "\n".join(_part(name) for name in ("layout.js", "pane.js", "view.js"))
    several = "" if len(data["models"]) > 1 else "hidden"
    parts = {"title": html.escape(title), "several": several, "style": _part("view.css"), "data": text, "script": scripts}
    pieces = _part("view.html").split("%%")  # text and names of parts, in turns
    return "".join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


@functools.cache
def _part(name: str) -> str:
    """Return one of the files that a page consists of."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")
