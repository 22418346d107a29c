"""``initializers.STFT`` beside Keras's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anabranch import initializers
from anabranch._errors import ArgumentError, ShapeError

WINDOWS = {  # Keras needs SciPy for their names
    "hann": np.hanning, "hamming": np.hamming, "blackman": np.blackman, "bartlett": np.bartlett, "boxcar": np.ones
}  # fmt: skip


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("window", [None, "hann", "hamming", "blackman", "bartlett", "boxcar", [0.5, 1.0, 2.0, 1.0, 0.5, 0.25]])
@pytest.mark.parametrize("scaling", [None, "density", "spectrum"])
@pytest.mark.parametrize("periodic", [False, True])
def test_values_are_keras(keras: Any, side: str, window: Any, scaling: str | None, periodic: bool) -> None:
    ours = initializers.STFT(side, window, scaling, periodic)
    values = (WINDOWS[window](7)[:6] if periodic else WINDOWS[window](6)).tolist() if isinstance(window, str) else window
    theirs = keras.initializers.STFT(side, values, scaling, periodic)
    assert np.allclose(ours((6, 1, 5)), theirs((6, 1, 5)).cpu(), atol=1e-6)
    assert ours.get_config() == {**theirs.get_config(), "window": window}
    assert initializers.deserialize(initializers.serialize(ours)).get_config() == ours.get_config()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError):
        initializers.STFT()((6, 5))
    with pytest.raises(ShapeError, match="window"):
        initializers.STFT(window=[1.0, 2.0])((6, 1, 5))
    with pytest.raises(ArgumentError, match="window"):
        initializers.STFT(window="han")
