"""What a script of Keras's needs that is not here, or is called otherwise today: read from its text, without running it."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anabranch.stand_in import views
from anabranch.stand_in.former import arguments, backend, names, saying, words

Kind = Literal["missing", "former", "tensorflow", "syntax"]
ROOTS = frozenset(views.ROOTS)


@dataclass(frozen=True)
class Finding:
    """One name, argument or method of a script: where it is, what is to be said of it, and what to write."""

    place: str
    line: int
    kind: Kind
    what: str
    write: str | None

    def text(self) -> str:
        """Return one line."""
        facts = {
            "missing": "is not there", "former": "is a word of an older Keras", "tensorflow": "is TensorFlow's own",
            "syntax": "cannot be read",
        }  # fmt: skip
        write = f"; write {self.write}" if self.write else ""
        return f"{self.place}:{self.line}: {self.what} {facts[self.kind]}{write}"


def files(paths: list[str]) -> list[Path]:
    """Return the scripts and notebooks that paths mean; those of a folder, without hidden ones and environments."""
    found: list[Path] = []
    for each in map(Path, paths):
        if not each.is_dir():
            found.append(each)
            continue
        for folder, inner, names_ in os.walk(each):
            inner[:] = sorted(
                name for name in inner if not name.startswith(".") and name not in ("node_modules", "__pycache__")
            )
            if "pyvenv.cfg" in names_:
                inner[:] = []
                continue
            found += [Path(folder, name) for name in sorted(names_) if name.endswith((".py", ".ipynb"))]
    return found


def check(path: Path) -> list[Finding]:
    """Return the findings of one script or notebook, in the order of its lines."""
    if path.suffix != ".ipynb":
        return check_text(path.read_text("utf-8", errors="replace"), str(path))
    known = Known()
    return [each for number, text in cells(path) for each in check_text(text, f"{path}:cell {number}", known)]


def cells(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbers and texts of a notebook's cells of code, IPython's commands taken out."""
    for number, cell in enumerate(json.loads(path.read_text("utf-8")).get("cells", []), 1):
        if cell.get("cell_type") == "code":
            source = cell.get("source", "")
            yield number, plain(source if isinstance(source, str) else "".join(source))


def plain(cell: str) -> str:
    r"""Return a cell as Python: lines that are IPython's become ``pass``.

    >>> plain("%matplotlib inline\nimport keras")
    'pass\nimport keras'
    """
    if cell.lstrip().startswith("%%"):
        return ""
    return re.sub(r"^(\s*)[%!?].*$", r"\1pass", cell, flags=re.MULTILINE)


def summed(paths: list[Path], found: list[Finding]) -> str:
    """Return a line that counts the findings."""
    counts = [(kind, sum(each.kind == kind for each in found)) for kind in ("missing", "tensorflow", "former", "syntax")]
    words_of = {"missing": "missing", "tensorflow": "of TensorFlow", "former": "of an older Keras", "syntax": "unreadable"}
    parts = [f"{count} {words_of[kind]}" for kind, count in counts if count]
    scripts = f"{len(paths)} script{'' if len(paths) == 1 else 's'}"
    return f"{scripts}: {', '.join(parts) or 'all names are here'}"


class Known:
    """Which names of a script mean what of Keras's or TensorFlow's."""

    def __init__(self) -> None:
        self.meaning: dict[str, str] = {}  # name in the script -> full path, such as keras.layers.Dense


def check_text(text: str, place: str, known: Known | None = None) -> list[Finding]:
    """Return the findings in a text of Python, in the order of its lines."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        return [Finding(place, error.lineno or 1, "syntax", f"this text ({error.msg})", None)]
    except ValueError as error:  # a null byte
        return [Finding(place, 1, "syntax", f"this text ({error})", None)]
    reader = _Reader(place, known or Known())
    reader.visit(tree)
    return sorted(reader.found, key=lambda each: each.line)


class _Reader(ast.NodeVisitor):
    """Reads a script from its top to its end."""

    def __init__(self, place: str, known: Known) -> None:
        self.place, self.known, self.found = place, known, list[Finding]()

    def visit_Import(self, node: ast.Import) -> None:
        """Note what the names mean."""
        for each in node.names:
            if is_of_keras(each.name):
                self.judge(each.name, node)
                root = each.name.partition(".")[0]
                self.known.meaning[each.asname or root] = each.name if each.asname else root

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note what the names mean."""
        if node.level or not node.module or not is_of_keras(node.module):
            return
        there = self.judge(node.module, node)
        for each in node.names:
            if each.name != "*":
                path = f"{node.module}.{each.name}"
                if there or names.path_of(node.module) is None:
                    self.judge(path, node, inside=node.module)
                self.known.meaning[each.asname or each.name] = path

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Judge ``keras.layers.Dense`` as a whole; else a method's name."""
        path = self.path_of(node)
        if path is not None:
            self.judge(path, node)
            return
        if node.attr in words.METHODS and isinstance(node.ctx, ast.Load):
            today = "predict(x).argmax(-1)" if node.attr == "predict_classes" else f"{words.METHODS[node.attr]}(…)"
            self.add(node, "former", f".{node.attr}(…)", f".{today}")
        self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        """Judge the arguments of what is called."""
        self.generic_visit(node)
        given = {each.arg for each in node.keywords if each.arg}
        path = self.path_of(node.func)
        if path is not None:
            owner, table = _arguments(path)
        elif isinstance(node.func, ast.Attribute) and node.func.attr in ("fit", "evaluate", "predict", "compile"):
            owner, table = f".{node.func.attr}", words.ARGUMENTS[f"Model.{node.func.attr}"]
            if node.func.attr != "fit" and not {"nb_epoch", "show_accuracy"} & given:
                table = {name: today for name, today in table.items() if name in ("class_mode", "sample_weight_mode")}
        else:
            return
        for name in sorted(given & table.keys()):
            self.add(node, "former", f"{owner}({name}=…)", f"{table[name]}=…" if table[name] else "nothing: it has no effect")

    def path_of(self, node: ast.expr) -> str | None:
        """Return the full path that an expression of names and dots means; None where it is not Keras's."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.known.meaning:
            return None
        return ".".join([self.known.meaning[node.id], *reversed(parts)])

    def judge(self, path: str, node: ast.expr | ast.stmt, inside: str = "") -> bool:
        """Add what is to be said of a path, unless that was said of the module ``inside``; return whether it is there."""
        kind, what, write = judged(path)
        same = kind == "former" and inside and judged(inside)[0] and (write or "").rpartition(".")[2] == path.rpartition(".")[2]
        if kind is not None and not same:
            self.add(node, kind, what, write)
        return kind in (None, "former")

    def add(self, node: ast.expr | ast.stmt, kind: Kind, what: str, write: str | None) -> None:
        """Add a finding, once for each line."""
        finding = Finding(self.place, node.lineno, kind, what, write)
        if finding not in self.found:
            self.found.append(finding)


def is_of_keras(module: str) -> bool:
    """Return whether a module is Keras's or TensorFlow's by its name."""
    return module.partition(".")[0] in ROOTS


def judged(path: str) -> tuple[Kind | None, str, str | None]:
    """Return what is to be said of a path such as ``keras.layers.Dense``: None of what is there under that name.

    >>> judged("keras.layers.Dense"), judged("keras.layers.core.Dense")
    ((None, 'keras.layers.Dense', None), ('former', 'keras.layers.core.Dense', 'keras.layers.Dense'))
    """
    root, *parts = path.split(".")
    target, module = views.ROOTS[root], root
    former: str | None = None
    for position, part in enumerate(parts):
        here = f"{module}.{part}"
        inner = views.look_up(target, part)
        if inner is names.ABSENT:
            inner = former_module(here)
            former = here if inner is not names.ABSENT else former
        if inner is names.ABSENT:
            return _absent(module, part, target, ".".join([root, *parts]))
        if not views.is_namespace(inner):
            if former is None:
                return None, path, None
            return "former", f"{here}", f"keras.{_today(here, inner)}"
        target, module = inner, here
        if position == len(parts) - 1 and former is not None:
            return "former", module, f"keras.{'.'.join(_place(module))}".rstrip(".")
    return None, path, None


def former_module(name: str) -> object:
    """Return what serves a former module, without a warning."""
    with saying.silently():
        return names.module(name)


def _place(module: str) -> list[str]:
    path = names.path_of(module) or ""
    found = words.places(path) or [words.public_path(path)]
    return [] if found[0] == "." else [found[0]]


def _today(path: str, value: object) -> str:
    """Return the path of today of what a former module has."""
    module, _, name = path.rpartition(".")
    for spelling in names.spellings(module, name):
        if names.today(spelling) is value:
            return spelling
    return name


def _absent(module: str, part: str, target: object, path: str) -> tuple[Kind, str, str | None]:
    name = f"{module}.{part}"
    if names.path_of(module) is None:
        return "tensorflow", path, words.today_of_tensorflow(path.partition(".")[2])
    for spelling in names.spellings(module, part):
        if (function := names.of_backend(spelling)) in words.BACKEND:
            return "former", name, backend.today(function)
        if spelling in words.NAMES and names.today(words.NAMES[spelling]) is not names.ABSENT:
            return "former", name, f"keras.{words.NAMES[spelling]}"
    write = names.instead(module, part)
    repair = views.refusal(module, part, target)[1]
    if write is None and repair.startswith("did you mean"):
        write = repair.removeprefix("did you mean ").rstrip("?").strip("'")
    return "missing", name, write


def _arguments(path: str) -> tuple[str, dict[str, str]]:
    """Return the name of a class or function and its former arguments; none of what is not known."""
    module, _, name = path.rpartition(".")
    for spelling in names.spellings(module, name):
        if spelling in words.ARGUMENTS:
            return name, words.ARGUMENTS[spelling]
        kind: Any = names.today(words.NAMES.get(spelling, spelling))
        if isinstance(kind, type):
            return name, arguments.table_of(kind)
    return name, {}
