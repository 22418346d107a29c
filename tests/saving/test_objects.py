"""What users register, and objects as JSON."""

import subprocess
import sys

import pytest

import anabranch as ab
from anabranch import constraints, saving, utils


@saving.register_keras_serializable("tests")
class Halved(constraints.Constraint):
    def __call__(self, w):
        return w / 2


def test_utils_has_the_same_names():
    for name in set(dir(saving)) - {"KerasFileEditor", "load_model", "load_weights", "save_model", "save_weights"}:
        assert getattr(utils, name) is getattr(saving, name)
    assert "deque" not in dir(utils)


def test_registered_class_comes_back():
    data = saving.serialize_keras_object([Halved(), (1, None)])
    assert data[0]["registered_name"] == "tests>Halved"
    found = saving.deserialize_keras_object(data)
    assert type(found[0]) is Halved
    assert found[1] == (1, None)


def test_class_that_nobody_registered_is_refused_with_the_repair():
    class Unknown(constraints.Constraint):
        pass

    data = saving.serialize_keras_object(Unknown())
    with pytest.raises(ab._errors.ArgumentError, match=r"custom_objects=\{'Unknown': Unknown\}"):
        saving.deserialize_keras_object(data)
    assert type(saving.deserialize_keras_object(data, {"Unknown": Unknown})) is Unknown
    with saving.custom_object_scope({"Unknown": Unknown}):
        assert type(saving.deserialize_keras_object(data)) is Unknown


def test_data_that_name_other_modules_import_nothing():
    data = {"module": "antigravity", "class_name": "Fly", "config": {}, "registered_name": None}
    with pytest.raises(ab._errors.ArgumentError, match="is not known here"):
        saving.deserialize_keras_object(data)
    data["module"] = "keras.antigravity"
    with pytest.raises(ab._errors.ArgumentError, match="is not known here"):
        saving.deserialize_keras_object(data)
    assert "antigravity" not in sys.modules


def test_code_is_never_read():
    with pytest.raises(ab._errors.ArgumentError, match="safe_mode=False is not supported"):
        saving.deserialize_keras_object(None, safe_mode=False)


def test_packages_that_nobody_loaded_yet_are_asked():
    code = (
        "from anabranch import saving\n"
        "data = {'module': 'keras.constraints', 'class_name': 'MaxNorm', 'config': {'max_value': 3}}\n"
        "print(saving.deserialize_keras_object(data).max_value)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == ["3"]


def test_seed_out_of_range_is_refused_before_anything_is_seeded():
    utils.set_random_seed(5)
    with pytest.raises(ab._errors.ArgumentError, match="out of range"):
        utils.set_random_seed(2**70)
    assert ab.config.seed() == 5
    ab.ops.ones((2,))
    ab.layers.Dense(1)(ab.ops.ones((1, 2)))
