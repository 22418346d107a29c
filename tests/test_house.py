"""The package's language, reference, typing habits and imports as counts that may only fall.

Each measure has a ceiling, the count of today, and a target. More than the ceiling fails; fewer fails as well, until the
ceiling is lowered. What each file has of words outside the field's language stands in ``tests/golden/language.json``:
``pytest tests/test_house.py --regenerate`` lowers these counts and never raises one.
"""

from __future__ import annotations

import ast
import collections
import functools
import importlib
import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import anabranch

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "anabranch"
LANGUAGE = ROOT / "tests" / "golden" / "language.json"

CEILINGS = {
    "public names without Args or example": 0,
    "public methods without Args or example": 0,
    "names that dir shows though they are another package's": 0,
    "hasattr": 8,
    "__module__": 2,  # asked once, set once
    "getattr with a default": 28,
    "Any": 500,
    "rooms in the longest chain of imports": 9,
    "files over 600 lines": 0,
    "functions over 60 lines, docstrings aside": 0,
    "asserts": 0,
    "strings that name a room above": 0,
}


def hold(measure: str, found: list[str] | int) -> None:
    """Compare a count with its ceiling and show what was counted."""
    ceiling = CEILINGS[measure]
    count, shown = (found, "") if isinstance(found, int) else (len(found), "\n  ".join(["", *found[:60]]))
    assert count <= ceiling, f"{measure}: {count}, but the ceiling is {ceiling}.{shown}"


@functools.cache
def source() -> dict[Path, str]:
    return {path: path.read_text() for path in sorted(SOURCE.rglob("*.py"))}


# Language: words that a PyTorch engineer must read twice, and the field's words in their place.

WORDS = {
    "whole numbers?": "integer",
    "class numbers?": "class index, label",
    "truth values?": "boolean",
    "rim": "border",
    "lies": "is",
    "stands": "is, has",
    "tells|told": "reports, infers",
    "kept": "saved, cached, unchanged",
    "first values?": "initial value",
    "made anew": "recreated",
    "way back": "backward pass",
    "computed again": "recomputed",
    "flat code": "fx graph",
    "machine code": "compiled code",
    "strangers?|foreign(?! key)": "third-party",
    "adopt(?:s|ed|ing|ion)?": "own, claim",
    "thaw(?:s|ed|ing)?": "unfreeze",
    "listeners?": "callback",
    "by ?hand": "custom step; write it yourself",
    "at hand": "available, current",
    "whence": "from where",
    "kin": "and the like",
    "quacks?": "has the methods of",
    "sett(?:led|les)": "refreshed, decided",
    "doubt(?:s|ed)?": "invalidate",
    "axes (?:where|belong)|where \\d+ belong": "expected a 4-D input",
    "another number of": "got 1 gradient for 2 weights",
    "unlike numbers?": "different counts",
}
GAP = r"[\s_#]"  # what parts two words: spaces, lines of a comment, the underscore of a name
FORBIDDEN = re.compile(
    "|".join(rf"(?<![a-z])(?:{word})(?![a-z])".replace(" ?", f"{GAP}*").replace(" ", f"{GAP}+") for word in WORDS),
    re.IGNORECASE,
)
TEXTS = (
    "src/**/*.py",
    "src/**/*.pyi",
    "src/**/*.md",
    "docs/**/*.md",
    "tests/**/*.py",
    "tests/golden/**/*.txt",
    "examples/**/*.py",
    "bench/*.md",
    "*.md",
)
EXCEPTIONS = {  # file: why a count of its own stays
    "LICENSE.md": "a licence is quoted as it is",
    "tests/test_house.py": "the words are listed there",
}


def text_of(path: Path) -> str:
    """Return a page without what programs write into it."""
    return re.sub(r"<!-- bench: .*?<!-- bench: end -->", "", path.read_text(), flags=re.DOTALL)


def words_outside() -> dict[str, int]:
    paths = sorted({path for pattern in TEXTS for path in ROOT.glob(pattern)})
    counts = {str(path.relative_to(ROOT)): len(FORBIDDEN.findall(text_of(path))) for path in paths}
    return {name: count for name, count in counts.items() if count and name not in EXCEPTIONS}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Weights are saved; a weight's initial value", 0),
        ("kept", 1),
        ("first\n    values", 1),
        ("training.by_hand, ByHand", 2),
        ("skin, trim, flies, understands", 0),
        ("ValueError: takes a whole number", 1),
        ("foreign key", 0),
        ("2 axes where 4 belong", 1),
    ],
)
def test_the_search_finds_words_and_no_parts_of_words(text: str, count: int) -> None:
    assert len(FORBIDDEN.findall(text)) == count


def test_language(request: pytest.FixtureRequest) -> None:
    ceilings, found = json.loads(LANGUAGE.read_text()), words_outside()
    if request.config.getoption("--regenerate"):
        ceilings = {name: min(found[name], ceiling) for name, ceiling in ceilings.items() if name in found}
        LANGUAGE.write_text(json.dumps(ceilings, indent=1) + "\n")
    grown = {name: (ceilings.get(name, 0), count) for name, count in found.items() if count > ceilings.get(name, 0)}
    where = [
        f"{name}:{text_of(ROOT / name).count(chr(10), 0, hit.start()) + 1}: {hit[0]!r}"
        for name in grown for hit in FORBIDDEN.finditer(text_of(ROOT / name))
    ]  # fmt: skip
    assert not grown, f"More words outside the field's language (before, now): {grown}\n" + "\n".join(where[:60])
    fallen = [name for name, ceiling in ceilings.items() if found.get(name, 0) < ceiling]
    assert not fallen, f"Fewer such words, which is good: lower the counts with --regenerate. {fallen}"


# Reference: what help() and the site show of a public name.

BASES = (
    "Model", "Sequential", "layers.Layer", "losses.Loss", "metrics.Metric", "optimizers.Optimizer", "callbacks.Callback",
    "initializers.Initializer", "regularizers.Regularizer", "constraints.Constraint", "utils.PyDataset", "edit.Edit",
    "optimizers.schedules.LearningRateSchedule", "random.SeedGenerator", "dtype_policies.DTypePolicy",
)  # fmt: skip


@functools.cache
def rooms() -> dict[str, ModuleType]:
    """Return the public modules by name, those inside them too, as ``dir`` shows them."""
    found: dict[str, ModuleType] = {"anabranch": anabranch}
    waiting = [anabranch]
    while waiting:
        module = waiting.pop()
        for name in dir(module):
            thing = getattr(module, name)
            if isinstance(thing, ModuleType) and thing.__name__.startswith("anabranch.") and not name.startswith("_"):
                short = thing.__name__.removeprefix("anabranch.")
                if short not in found:
                    found[short] = thing
                    waiting.append(thing)
    return found


def public_names() -> Iterator[tuple[str, Any]]:
    """Give every class and function that ``dir`` of a public module shows, once, under its shortest name."""
    seen: set[int] = set()
    for room, module in sorted(rooms().items(), key=lambda item: (item[0].count("."), item[0])):
        for name in dir(module):
            thing = getattr(module, name)
            if name.startswith("_") or not (inspect.isclass(thing) or callable(thing)) or id(thing) in seen:
                continue
            if str(getattr(thing, "__module__", "")).startswith("anabranch"):
                seen.add(id(thing))
                yield f"{room}.{name}", thing


def parameters(thing: Any) -> list[str]:
    try:
        found = list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        return []
    others = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [each.name for each in found if each.name not in ("self", "cls") and each.kind not in others]


def lacks(thing: Any) -> str:
    """Return what the docstring of a class or function lacks."""
    doc = inspect.getdoc(thing) or ""
    args = re.search(r"^Args:\n((?:[ \n].*\n?|\n)*)", doc, re.MULTILINE)
    heads = " ".join(re.findall(r"^    (\S[^:]*):", args[1], re.MULTILINE)) if args else ""
    missing = [name for name in parameters(thing) if not re.search(rf"\b{re.escape(name)}\b", heads)]
    parts = [f"Args of {', '.join(missing)}"] if missing else []
    return " and ".join([*parts, *([] if ">>>" in doc else ["an example"])])


def lacking(names: Iterator[tuple[str, Any]]) -> list[str]:
    return [f"{name}: {what}" for name, thing in names if (what := lacks(thing))]


def public_methods() -> Iterator[tuple[str, Any]]:
    for name in BASES:
        room, _, last = name.rpartition(".")
        owner = getattr(importlib.import_module(f"anabranch.{room}") if room else anabranch, last)
        for method, function in vars(owner).items():
            if not method.startswith("_") and inspect.isfunction(getattr(owner, method)):
                yield f"{name}.{method}", inspect.unwrap(function if inspect.isfunction(function) else function.__func__)


def test_every_public_name_has_arguments_and_an_example() -> None:
    hold("public names without Args or example", lacking(public_names()))


def test_every_public_method_has_arguments_and_an_example() -> None:
    hold("public methods without Args or example", lacking(public_methods()))


def test_the_reference_is_judged_by_what_it_lacks() -> None:
    def bare(x: int, y: int = 1) -> None: ...
    def half(x: int, y: int = 1) -> None:
        """Do.

        Args:
            x: a number.

        >>> 1
        1
        """  # fmt: skip

    def whole(x: int, y: int = 1) -> None:
        """Do.

        Args:
            x, y: numbers.

        Example:
            >>> 1
            1
        """  # fmt: skip

    assert [lacks(each) for each in (bare, half, whole)] == ["Args of x, y and an example", "Args of y", ""]


def test_dir_shows_what_is_ours() -> None:
    found = [
        f"{room}.{name}"
        for room, module in rooms().items() for name in dir(module)
        if not name.startswith("_") and (where := getattr(getattr(module, name), "__module__", None)) is not None
        and not str(where).startswith(("anabranch", "builtins", "torch"))
    ]  # fmt: skip
    hold("names that dir shows though they are another package's", found)


# Typing: what is asked by name at run time, and what no type checker sees.


@pytest.mark.parametrize(
    ("measure", "pattern"),
    [
        ("hasattr", r"hasattr\("),
        ("__module__", "__module__"),
        ("getattr with a default", r"getattr[(][^()]*,[^()]*,"),
        ("Any", ": Any|-> Any"),
    ],
)
def test_asked_by_name(measure: str, pattern: str) -> None:
    hold(measure, sum(len(re.findall(pattern, text)) for text in source().values()))


# Sizes.


def test_files_are_short() -> None:
    hold(
        "files over 600 lines", [f"{path}: {text.count(chr(10))}" for path, text in source().items() if text.count("\n") > 600]
    )


def test_functions_are_short_and_raise_errors_that_explain() -> None:
    long, asserts = [], []
    for path, text in source().items():
        for node in ast.walk(ast.parse(text)):
            where = f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Assert):
                asserts.append(where)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[0]
                doc = first.end_lineno - first.lineno + 1 if ast.get_docstring(node, clean=False) is not None else 0
                if node.end_lineno - node.lineno + 1 - doc > 60:
                    long.append(f"{where} {node.name}")
    hold("functions over 60 lines, docstrings aside", long)
    hold("asserts", asserts)


# Imports: rooms, and which is above which.


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@functools.cache
def imports() -> dict[str, set[str]]:
    """Return which rooms each room imports, wherever the import is."""
    names = {path.stem if path.suffix else path.name for path in SOURCE.iterdir()}
    found: dict[str, set[str]] = collections.defaultdict(set)
    for path, text in source().items():
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                found[room] |= {room_of(each.name) for each in node.names if each.name.startswith("anabranch.")}
            elif isinstance(node, ast.ImportFrom) and node.module == "anabranch":
                found[room] |= {each.name for each in node.names if each.name in names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anabranch."):
                found[room].add(room_of(node.module or ""))
    return {room: others - {room, "__init__"} for room, others in found.items() if room != "__main__"}


def test_floors() -> None:
    @functools.cache
    def chain(room: str) -> list[str]:
        return [room, *max((chain(other) for other in imports().get(room, ())), key=len, default=[])]

    hold("rooms in the longest chain of imports", max((chain(room) for room in imports()), key=len))


def ranks() -> dict[str, int]:
    """Return each room's height in the contract of the imports."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    lines: list[list[str]] = [[name.strip() for name in line.split("|")] for line in contract]
    return {name: rank for rank, line in enumerate(reversed(lines)) for name in line}


def test_lower_rooms_do_not_name_upper_ones() -> None:
    """A room's path, or the name of a public class of a room above, as a string outside docstrings."""
    rank = ranks()
    classes: dict[str, set[str]] = collections.defaultdict(set)  # of equal names, such as Identity, there are several
    for module in rooms().values():
        for name, thing in vars(module).items() if module is not anabranch else ():
            if inspect.isclass(thing) and thing.__module__.startswith("anabranch."):
                classes[name].add(room_of(thing.__module__))
    found = []
    for path, text in source().items():
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        tree = ast.parse(text)
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and node.body and isinstance(node.body[0], ast.Expr)
        }  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs and room in rank:
                owners = classes.get(node.value, set())
                named = [*re.findall(r"anabranch\.(\w+)", node.value), *(owners if room not in owners else ())]
                found += [
                    f"{path.relative_to(SOURCE)}:{node.lineno} {node.value[:80]!r}"
                    for other in named if rank.get(other, 0) > rank[room]
                ]  # fmt: skip
    hold("strings that name a room above", found)
