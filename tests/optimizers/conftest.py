"""What the tests of optimizers share: each kernel, with what replaces it elsewhere."""

from __future__ import annotations

import pytest

from anabranch.optimizers import update


@pytest.fixture(params=["fused", "lists"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's fused kernels, or none of them."""
    if request.param == "lists":
        for name in update.FUSED:
            monkeypatch.setitem(update.FUSED, name, frozenset())
