"""Rewriting the imports of a script from Keras's modules to anabranch's, and nothing else."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from anabranch.stand_in import checking
from anabranch.stand_in.former import names, words


def rewritten(path: Path) -> str | None:
    """Return the text of a script or notebook with its imports rewritten; None where none is to be."""
    text = path.read_text("utf-8")
    if path.suffix != ".ipynb":
        return changed(text)
    notebook = json.loads(text)
    any_changed = False
    for cell in notebook.get("cells", []):
        source = cell.get("source", "")
        whole = source if isinstance(source, str) else "".join(source)
        if cell.get("cell_type") == "code" and (new := changed(whole, checking.plain(whole))) is not None:
            cell["source"] = new if isinstance(source, str) else new.splitlines(keepends=True)
            any_changed = True
    end = "\n" if text.endswith("\n") else ""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + end if any_changed else None


def changed(text: str, parsed: str | None = None) -> str | None:
    """Return a text with its imports rewritten; None where none is to be, or where it cannot be read.

    >>> changed("from keras.layers.core import Dense")
    'from anabranch.layers import Dense'
    """
    try:
        tree = ast.parse(text if parsed is None else parsed)
    except (SyntaxError, ValueError):
        return None
    lines = text.splitlines(keepends=True)
    found = False
    statements = [each for each in ast.walk(tree) if isinstance(each, (ast.Import, ast.ImportFrom))]
    for node in sorted(statements, key=lambda each: -each.lineno):
        begin, end = node.lineno - 1, node.end_lineno or node.lineno
        segment = "".join(lines[begin:end])
        new = _statements(node)
        alone = segment.strip() and ast.unparse(ast.parse(segment.strip())).count("\n") == 0 if ";" not in segment else False
        if new is None or not alone or "#" in segment.rstrip("\n").partition("\n")[0][: node.col_offset]:
            continue
        comment = _comment(segment)
        if comment is None:
            continue
        indent = segment[: len(segment) - len(segment.lstrip())]
        ending = "\n" if segment.endswith("\n") else ""
        lines[begin:end] = ["\n".join(indent + each for each in new) + comment + ending]
        found = True
    return "".join(lines) if found else None


def left(path: Path) -> list[str]:
    """Return the imports of Keras or TensorFlow that a script or notebook has still, each with its place."""
    texts = checking.cells(path) if path.suffix == ".ipynb" else [(0, path.read_text("utf-8"))]
    found: list[str] = []
    for number, text in texts:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        place = f"{path}:cell {number}" if number else str(path)
        for node in ast.walk(tree):
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            relative = isinstance(node, ast.ImportFrom) and node.level
            named = [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if not relative and any(map(checking.is_of_keras, named)):
                found.append(f"{place}:{node.lineno}: left as it is: {ast.unparse(node)}")
    return found


def _comment(segment: str) -> str | None:
    """Return the comment at the end of a statement, "" where there is none; None where one is inside it."""
    *inside, last = segment.rstrip("\n").split("\n")
    if any("#" in line for line in inside):
        return None
    _, sign, comment = last.partition("#")
    return f"  #{comment}" if sign else ""


def _statements(node: ast.Import | ast.ImportFrom) -> list[str] | None:
    """Return the imports of anabranch that do what one of Keras does; None where none does."""
    if isinstance(node, ast.Import):
        return _imports(node)
    if node.level or not node.module or not checking.is_of_keras(node.module):
        return None
    modules: dict[str, list[str]] = {}
    for each in node.names:
        target = "*" if each.name == "*" else _today(f"{node.module}.{each.name}")
        if target is None:
            return None
        if target == "*":
            place = _today(node.module)
            if place is None:
                return None
            modules.setdefault(place, []).append("*")
            continue
        place, _, name = target.rpartition(".")
        as_name = each.asname or each.name
        if not place:  # keras itself
            modules.setdefault("", []).append(f"import anabranch as {as_name}")
            continue
        modules.setdefault(place, []).append(name if as_name == name else f"{name} as {as_name}")
    return [
        *modules.pop("", []), *(f"from {place} import {', '.join(found)}" for place, found in modules.items()),
    ]  # fmt: skip


def _imports(node: ast.Import) -> list[str] | None:
    found: list[str] = []
    for each in node.names:
        if not checking.is_of_keras(each.name):
            found.append(f"import {each.name}" + (f" as {each.asname}" if each.asname else ""))
            continue
        target = _today(each.name)
        if target is not None and each.asname is None and each.name.startswith("keras."):
            target = "anabranch"  # whose modules load when they are used
        if target is None or (each.asname is None and each.name.startswith("tensorflow")):
            return None
        module, _, name = target.rpartition(".")
        as_name = each.asname or each.name.partition(".")[0]
        renamed = f" as {as_name}" if as_name != name else ""
        found.append(f"from {module} import {name}{renamed}" if module else f"import anabranch as {as_name}")
    return found if any(checking.is_of_keras(each.name) for each in node.names) else None


def _today(path: str) -> str | None:
    """Return the path in anabranch of what a path of Keras's means; None where it means nothing there, or more."""
    kind, _, write = checking.judged(path)
    if names.path_of(path) is None or kind not in (None, "former"):
        return None
    if kind is None:
        own = words.public_path(names.path_of(path) or "")
        if own == "backend":
            return None  # whose functions are under the stand-in alone
        return f"anabranch.{own}" if own else "anabranch"
    if write is None or not write.startswith("keras") or "(" in write:
        return None
    own = write.removeprefix("keras").lstrip(".")
    return None if own == "backend" else f"anabranch.{own}" if own else "anabranch"
