"""Names of packages that load when they are first used: those that the stubs list, as ``lazy_loader`` reads these."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import anabranch
from anabranch import _lazy

STUBS = sorted(Path(anabranch.__file__).parent.rglob("__init__.pyi"))


@pytest.mark.parametrize("stub", STUBS, ids=lambda stub: stub.parent.name)
def test_a_stub_is_read_as_python_reads_it(stub: Path) -> None:
    modules, names = _lazy.listed(stub.read_text())
    imports = [
        each for each in ast.parse(stub.read_text()).body if isinstance(each, ast.ImportFrom) and each.level
    ]  # others are for checkers of types alone
    assert modules == [alias.name for each in imports if each.module is None for alias in each.names]
    assert names == {each.module: [alias.name for alias in each.names] for each in imports if each.module}
    assert modules or names


@pytest.mark.parametrize("stub", STUBS, ids=lambda stub: stub.parent.name)
def test_no_module_is_called_like_a_name_that_its_package_shows(stub: Path) -> None:
    _, names = _lazy.listed(stub.read_text())
    shown = {name for listed in names.values() for name in listed}
    assert not shown & {found.stem for found in stub.parent.iterdir()}


def test_a_name_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So whatever the version of ``lazy_loader`` does."""
    first = anabranch.Input
    monkeypatch.delattr(anabranch, "Input")
    assert anabranch.Input is first is vars(anabranch)["Input"]


def test_a_name_that_is_left_out_says_why() -> None:
    with pytest.raises(AttributeError, match=r"JaxLayer is left out: .*torch\.nn\.Module"):
        anabranch.layers.JaxLayer
    assert "JaxLayer" not in dir(anabranch.layers)
