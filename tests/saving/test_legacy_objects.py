"""Objects as JSON in the form of Keras 2."""

from __future__ import annotations

from typing import Any

import pytest

import anabranch
from anabranch import constraints, initializers, layers, legacy, utils


def half(x: float) -> float:
    return x / 2


class Held:
    def __init__(self, inner: object, function: object = None, name: str = "half") -> None:
        self.inner, self.function, self.name = inner, function, name

    def get_config(self) -> dict[str, Any]:
        return {"inner": self.inner, "function": self.function, "name": self.name}


OURS = {"Held": Held, "MaxNorm": constraints.MaxNorm, "half": half}


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("constraints", lambda room: room.MaxNorm(3)),
        ("initializers", lambda room: room.HeNormal(seed=1)),
        ("losses", lambda room: room.MeanSquaredError()),
        ("layers", lambda room: room.Dense(3, "relu", name="wide")),
        ("activations", lambda room: room.relu),
    ],
)
def test_the_json_is_that_of_keras(keras: Any, package: str, make: Any) -> None:
    ours = legacy.saving.serialize_keras_object(make(getattr(anabranch, package)))
    theirs = keras.legacy.saving.serialize_keras_object(make(getattr(keras, package)))
    if package == "layers":
        ours["config"].pop("activity_regularizer")  # which every config of a layer has here
    assert ours == theirs
    assert utils.legacy.serialize_keras_object is legacy.saving.serialize_keras_object


def test_what_is_inside_comes_back() -> None:
    data = legacy.saving.serialize_keras_object(Held(constraints.MaxNorm(3), half))
    assert data["config"]["inner"]["__passive_serialization__"]
    assert data["config"]["function"] == "half"
    found = legacy.saving.deserialize_keras_object(data, OURS)
    assert isinstance(found.inner, constraints.MaxNorm)
    assert (found.function, found.name) == (half, "half")
    assert data["config"]["function"] == "half", "the data are left as they are"


def test_names_and_functions() -> None:
    read = legacy.saving.deserialize_keras_object
    assert read(None) is None
    assert read(half) is half
    assert read("half", custom_objects={"half": half}) is half
    assert isinstance(read("Zeros", {"Zeros": initializers.Zeros}), initializers.Zeros)
    layer = read(legacy.saving.serialize_keras_object(layers.Dense(3)), {"Dense": layers.Dense})
    assert layer.units == 3


@pytest.mark.parametrize("data", ["Half", {"class_name": "Half", "config": {}}])
def test_a_name_that_no_table_has_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="Unknown gate 'Half'") as error:
        legacy.saving.deserialize_keras_object(data, {"half": half}, printable_module_name="gate")
    assert "did you mean 'half'?" in str(error.value)


@pytest.mark.parametrize("data", [3, {"class_name": "Half"}, []])
def test_what_describes_nothing_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="describes no object"):
        legacy.saving.deserialize_keras_object(data)
    with pytest.raises(TypeError, match="get_config, or a function"):
        legacy.saving.serialize_keras_object(data)
