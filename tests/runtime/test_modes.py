"""Who decides whether this is training: a layer's caller, and for a function the arguments that it was written with."""

import numpy as np
import pytest
import torch.nn.functional as F
from torch import ones, zeros

from anabranch import Input, Model

X = np.arange(12, dtype="float32").reshape(2, 3, 2)
BY_ITSELF = {
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "by position": lambda x: F.dropout(x, 0.5, False),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.5, training=False),
    "batch_norm": lambda x: F.batch_norm(x, zeros(3), ones(3), training=False, eps=0.0),
}


@pytest.mark.parametrize("function", BY_ITSELF.values(), ids=BY_ITSELF)
@pytest.mark.parametrize("training", [False, True])
def test_a_function_keeps_the_mode_that_it_was_written_with(function, training: bool) -> None:
    inputs = Input((3, 2))
    model = Model(inputs, function(inputs))
    np.testing.assert_allclose(model.predict(X), X)
    np.testing.assert_allclose(model(X, training=training), X)


def test_dropout_that_is_written_as_training_drops_in_predict_too() -> None:
    inputs = Input((3, 2))
    assert not np.array_equal(Model(inputs, F.dropout(inputs, 0.5, training=True)).predict(X), X)
