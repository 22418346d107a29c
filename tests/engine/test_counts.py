"""What a user's ``call`` counts: neither describing nor tracing it is a call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import anabranch as ab
from anabranch import layers

X = np.ones((2, 3), "float32")


class Counting(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.number, self.listed, self.keyed, self.pair, self.seen = 0, list[int](), {"calls": 0}, (0, "calls"), set[int]()

    def call(self, x: Any) -> Any:
        self.number += 1
        self.listed.append(len(self.listed))
        self.keyed["calls"] += 1
        self.pair = (self.pair[0] + 1, "calls")
        self.seen.add(len(self.seen))
        return x * 2

    def counts(self) -> set[int]:
        return {self.number, len(self.listed), self.keyed["calls"], self.pair[0], len(self.seen)}


class Listing(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.listed: list[int] = []

    def call(self, x: Any) -> Any:
        self.listed.append(1)
        return x * 2

    def counts(self) -> set[int]:
        return {len(self.listed)}


class Nested(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Counting()

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def counts(self) -> set[int]:
        return self.inner.counts()


@pytest.mark.parametrize("kind", [Counting, Listing, Nested])
def test_counts_are_those_of_calls_on_data(kind: Any) -> None:
    layer = kind()
    x = ab.Input((3,))
    model = ab.Model(x, layer(x))
    assert layer.counts() == {0}
    for calls in (1, 2):
        model.predict(X, verbose=0)
        assert layer.counts() == {calls}
    model(X)
    assert layer.counts() == {3}
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="no trainable weights"):
        model.fit(X, X, epochs=3, batch_size=1, verbose=0)
    assert layer.counts() == {9}


def test_layers_that_a_count_says_are_made_stay_made() -> None:
    class Lazy(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def call(self, x: Any) -> Any:
            if self.calls == 0:
                self.part = layers.Dense(2)
            self.calls += 1
            return self.part(x)

    x = ab.Input((3,))
    model = ab.Model(x, Lazy()(x))
    assert len(model.weights) == 2
    part = model.layers[1].part
    model.predict(X, verbose=0)
    assert model.layers[1].part is part
