"""What a process loads and when: a description loads no engine, an import little, the first step no compiler."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest


def loaded(script: str, *roots: str) -> set[str]:
    """Return the modules below ``roots`` that a process has loaded after ``script``."""
    code = f"{script}\nimport sys\nprint(sorted(name for name in sys.modules if name.startswith({roots!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("script", ["import anabranch", "from anabranch import layers, ops, optimizers, losses, metrics"])
def test_an_import_loads_no_room(script: str) -> None:
    found = loaded(script, "anabranch", "torch", "numpy")
    assert {name for name in found if name.count(".") > 1} == set()
    assert found & {"torch", "numpy", "anabranch.graph", "anabranch.config"} <= {"anabranch.config", "anabranch.graph"}


def test_a_description_loads_no_engine() -> None:
    script = """
from anabranch import Input, Model, layers
x = Input((8, 8, 3))
y = layers.Conv2D(3, 3, padding="same", activation="relu")(x)
y = layers.Dropout(0.5)(layers.BatchNormalization()(layers.add([x, y]) * 2.0))
model = Model(x, layers.Dense(2)(layers.Flatten()(y)))
model.summary()
[layer.get_config() for layer in model.layers]
"""
    assert loaded(script, "torch", "numpy") == set()


def test_a_description_loads_what_it_uses() -> None:
    """Each module costs a tenth of a millisecond or more at the start."""
    script = """
from anabranch import Input, Model, layers
x = Input((8, 8, 3))
y = layers.MaxPooling2D(padding="same")(layers.Conv2D(3, 3, padding="same", activation="relu")(x))
Model(x, layers.Dense(2)(layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(layers.add([y, y]))))).summary()
"""
    found = {name.removeprefix("anabranch.") for name in loaded(script, "anabranch.")}
    unused = "constraints", "regularizers", "utils", "edit", "layers.activation", "layers.torch_module", "ops.elementary"
    assert not found & {*unused, "models.sequential", "models.architecture", "models.editing", "diagnosis.explain"}
    assert len(found) <= 89


def test_the_first_step_loads_no_compiler() -> None:
    script = """
import numpy, anabranch
from anabranch import Input, Model, layers
x = Input((4,))
model = Model(x, layers.Dense(1)(layers.Dropout(0.5)(layers.Dense(4, activation="relu")(x))))
for optimizer in ("sgd", "rmsprop", "adam"):
    model.compile(optimizer, "mse", metrics=["mae"])
    model.fit(numpy.ones((4, 4)), numpy.ones((4, 1)), batch_size=2, verbose=0)
model.predict(numpy.ones((4, 4)), verbose=0)
"""
    found = loaded(script, "torch._dynamo", "torch._inductor", "sympy", "torch.distributed.fsdp")
    assert found == set()
