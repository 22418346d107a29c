"""Keras's own list of public names, counted: what is there, what is left out and why, and what is still missing.

``tests/golden/keras_names.txt`` lists what is missing and may only shrink: whoever adds names runs
``pytest --regenerate tests/test_keras_names.py``, which writes that list and the table in ``docs/coming-from-keras.md``
(after a conflict of merging too), and which never adds a name to the list.
"""

from __future__ import annotations

import operator
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import anabranch
from anabranch._errors import MissingAttributeError
from anabranch.layers.absent import QUANTIZABLE

MISSING = Path(__file__).parent / "golden" / "keras_names.txt"
PAGE = Path(__file__).parents[1] / "docs" / "coming-from-keras.md"
BLOCK = re.compile(r"(?<=tests/test_keras_names\.py -->\n).*?(?=<!-- end of names -->)", re.DOTALL)
CLASSES = (
    "Layer", "Model", "Sequential", "Loss", "Metric", "Optimizer", "Variable", "KerasTensor", "Initializer", "Regularizer",
    "callbacks.Callback", "constraints.Constraint", "random.SeedGenerator", "optimizers.schedules.LearningRateSchedule",
    "utils.PyDataset", "export.ExportArchive", "saving.KerasFileEditor",
)  # fmt: skip
METHODS = {
    **dict.fromkeys(
        ("quantized_build", "quantized_call", "get_quantization_layer_structure"),
        "a quantized layer's `build` and `call` do it; GPTQ and AWQ, which ask for a structure, are not there",
    ),
    "quantize": re.sub("[A-Z][A-Za-z]+", lambda found: f"`{found[0]}`", QUANTIZABLE) + " have it, and models",
    "forward": "a layer is no torch.nn.Module: call it, or write `to_torch()`",
}
"""Methods that are left out, and why; packages give the reason for their names themselves."""


def namespaces(module: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield Keras's namespaces with the names that each shows."""
    shown = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    inner = {name: thing for name, thing in shown.items() if isinstance(thing, types.ModuleType)}
    yield path, [name for name in shown if name not in inner]
    for name, thing in inner.items():
        if thing.__name__.startswith("keras.") and not thing.__name__.startswith("keras.src"):
            yield from namespaces(thing, f"{path}.{name}".strip("."))


def members(cls: type) -> list[str]:
    """Return the public names that Keras's classes define; those of torch's Module are torch's."""
    found = {name for base in cls.__mro__ if base.__module__.startswith("keras.") for name in vars(base)}
    return sorted(name for name in found if not name.startswith("_"))


def expected(keras: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield groups of Keras's names as paths: a namespace each, a base class each."""
    for space, names in namespaces(keras):
        yield f"`{('keras.' + space).strip('.')}`", [f"{space}.{name}".strip(".") for name in names]
    for path in CLASSES:
        yield f"`{path.rpartition('.')[2]}`'s members", [f"{path}.{name}" for name in members(operator.attrgetter(path)(keras))]


def reason(path: str) -> str | None:
    """Return why a name is left out, None where it is missing, "" where it is there."""
    above, _, name = path.rpartition(".")
    try:
        owner = operator.attrgetter(above)(anabranch) if above else anabranch
        if isinstance(owner, types.ModuleType):
            getattr(owner, name)
            return ""
        return "" if hasattr(owner, name) else METHODS.get(name)
    except MissingAttributeError as error:
        return str(error).partition("\n")[0].removeprefix(f"{name} is left out: ")
    except AttributeError:
        return None


def table(groups: list[tuple[str, list[str]]], found: dict[str, str | None]) -> str:
    """Return the count by group and the list of what is left out, in Markdown."""
    lines = ["", "| | Keras | here | left out |", "|---|---|---|---|"]
    total = [0, 0, 0]
    for label, paths in groups:
        counts = [len(paths), sum(found[path] == "" for path in paths), sum(bool(found[path]) for path in paths)]
        total = [a + b for a, b in zip(total, counts, strict=True)]
        lines += [f"| {label} | {' | '.join(map(str, counts))} |"] if paths else []
    lines.append(f"| **all** | {' | '.join(f'**{count}**' for count in total)} |")
    reasons: dict[str, list[str]] = {}
    for path, why in found.items():
        if why:
            reasons.setdefault(why, []).append(f"`{path}`")
    if reasons:
        lines += ["", "| left out | why |", "|---|---|"]
        lines += [f"| {', '.join(paths)} | {why} |" for why, paths in reasons.items()]
    return "\n".join(lines) + "\n\n"


def test_keras_names(keras: Any, request: pytest.FixtureRequest) -> None:
    groups = [(label, paths) for label, paths in expected(keras) if paths]
    found = {path: reason(path) for _, paths in groups for path in paths}
    missing = {path for path, why in found.items() if why is None}
    listed = set(MISSING.read_text(encoding="utf-8").split())
    lost = sorted(missing - listed)
    assert not lost, f"Names of Keras are missing that were there: {lost}"
    page = PAGE.read_text(encoding="utf-8")
    written = table(groups, found)
    if request.config.getoption("--regenerate"):
        MISSING.write_text("\n".join(sorted(missing)) + "\n", encoding="utf-8")
        PAGE.write_text(BLOCK.sub(lambda _: written, page), encoding="utf-8")
        return
    new = sorted(listed - missing)
    assert not new, (
        f"Names are there now, which is good: pytest --regenerate {Path(__file__).name} takes them off the list. {new}"
    )
    assert written in page, f"{PAGE.name} differs; pytest --regenerate {Path(__file__).name} writes its table"


def test_a_name_that_is_gone_is_seen() -> None:
    assert reason("layers.Dense") == reason("Model.fit") == ""
    assert reason("layers.Dens") is None
    assert reason("Model.fi") is None
