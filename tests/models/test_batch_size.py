"""The batch that an Input declares is that of the description; data may come in batches of any size, as in Keras."""

import numpy as np
import pytest

from anabranch import Input, Model, layers, ops
from anabranch._errors import ShapeError

BODIES = {
    "dense": layers.Dense(2),
    "reshape": layers.Reshape((6,)),
    "flip": lambda x: ops.flip(x, 0),
    "split": lambda x: ops.split(x, 2, axis=0),
    "vectorized_map": lambda x: ops.vectorized_map(lambda row: row * 2, x),
    "cumsum": lambda x: ops.cumsum(x, 0),
    "pad": lambda x: ops.pad(x, ((1, 1), (0, 0), (0, 0)), mode="reflect"),
    "roll": lambda x: ops.roll(x, 1, axis=0),
}


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_batches_of_another_size(body, size: int) -> None:
    declared, free = Input((3, 2), batch_size=4), Input((3, 2))
    model = Model(declared, body(declared))
    outer = Model(free, model(free))
    x = np.arange(size * 6, dtype="float32").reshape(size, 3, 2)
    expected = body(x)
    for found in (model(x), model.predict(x), outer(x), outer.predict(x)):
        for a, b in zip(*[value if isinstance(value, list) else [value] for value in (found, expected)], strict=True):
            np.testing.assert_allclose(np.asarray(a.detach() if hasattr(a, "detach") else a), b.detach(), rtol=1e-6)


def test_symbols_of_another_size() -> None:
    declared = Input((3,), batch_size=4)
    model = Model(declared, layers.Dense(2)(declared))
    assert model(Input((3,), batch_size=2)).shape == (2, 2)
    with pytest.raises(ShapeError, match="another shape"):
        model(Input((4,), batch_size=4))


def test_training_with_a_last_batch_that_is_smaller() -> None:
    declared = Input((3,), batch_size=4)
    model = Model(declared, layers.Dense(2)(declared))
    model.compile("sgd", "mse")
    assert len(model.fit(np.ones((6, 3)), np.ones((6, 2)), batch_size=4, verbose=0).history["loss"]) == 1
    model.evaluate(np.ones((6, 3)), np.ones((6, 2)), batch_size=3, verbose=0)
