"""Every name in the annotation of an argument that is held to it means something while the program runs."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import anabranch as keras
from anabranch import _arguments
from anabranch._arguments import Checks, Kind, kind_of, kind_taken
from anabranch._asked import unwrapped
from anabranch._errors import ArgumentTypeError
from anabranch._fields import Configurable
from anabranch.layers.base import Layer, _call_checks

CONVERTED = {
    ("Holding.add_weight", "regularizer"): lambda: dense().add_weight((2,), regularizer=3.5),
    ("Holding.add_weight", "constraint"): lambda: dense().add_weight((2,), constraint=3.5),
    ("Model.quantize", "config"): lambda: keras.Sequential([dense()]).quantize("int8", config=3.5),
    ("Quantizable.quantize", "config"): lambda: dense().quantize("int8", config=3.5),
    ("img_to_array", "img"): lambda: keras.utils.img_to_array("a picture"),
}  # fmt: skip
"""Arguments whose class loads with the first of its objects, and that the function converts: it says what it expects."""


def dense() -> Any:
    """Return a layer with weights."""
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    return layer


def subclasses(kind: type) -> Iterator[type]:
    """Yield all classes below one."""
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def load_everything() -> None:
    """Load all modules of the package but those that take Keras's place as they load."""
    for module in pkgutil.walk_packages(keras.__path__, "anabranch."):
        if not module.name.endswith("__main__") and not module.name.startswith("anabranch.stand_in."):
            importlib.import_module(module.name)


def kinds() -> Iterator[tuple[str, str, Kind]]:
    """Yield what the annotations of all functions and fields say: whose, of which argument, what."""
    load_everything()
    for layer in set(subclasses(Layer)):
        _call_checks(layer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's objects, on being looked at
        checks = [each for each in gc.get_objects() if type(each) is Checks]
    for each in checks:
        function = unwrapped(each.function)
        if isinstance(function, types.FunctionType) and function.__module__.startswith("anabranch."):
            for name, text in _arguments._annotated(function)[0].items():
                yield function.__qualname__, name, kind_of(text, function.__globals__)
    for kind in set(subclasses(Configurable)):
        if kind.__module__.startswith("anabranch."):
            for name, field in kind._fields_.items():
                yield f"{kind.__module__}.{kind.__qualname__}", name, kind_taken(field.owner, name)


def test_every_name_in_an_annotation_means_something() -> None:
    found = list(kinds())
    assert len(found) > 3000
    missing = {(owner, name): kind.missing for owner, name, kind in found if kind.missing}
    assert missing.keys() - CONVERTED.keys() == set(), missing
    assert CONVERTED.keys() - missing.keys() == set()


@pytest.mark.parametrize("name", CONVERTED, ids=lambda name: ".".join(name))
def test_what_is_converted_says_what_it_expects(name: tuple[str, str]) -> None:
    with pytest.raises(ArgumentTypeError, match=r"(?i)regularizer|constraint|QuantizationConfig|Pillow image"):
        CONVERTED[name]()


Local = "int | Elsewhere"


def test_a_name_that_means_nothing_is_noted() -> None:
    names = vars(sys.modules[__name__])
    assert kind_of("int | Elsewhere | None", names).missing == ("Elsewhere",)
    assert kind_of("Sequence[Elsewhere]", names).missing == ("Elsewhere",)
    assert kind_of("Local", names).missing == ("Elsewhere",)
    assert kind_of("Any | np.floating | collections.abc.Callable[..., typing.Any]", names).missing == ()


@pytest.mark.parametrize(("aliases", "takes", "refuses"), [
    ({"A": "int | list[A]"}, [1, [2, [3]]], "one"),
    ({"A": "int | list[B]", "B": "A | None"}, [1, None], "one"),
    ({"A": "dict[str, A] | list[A] | float"}, {"a": [1.0]}, "one"),
    ({"A": "A"}, "one", None),
])  # fmt: skip
def test_an_alias_that_holds_itself_says_what_it_does_outside(
    aliases: dict[str, object], takes: object, refuses: object
) -> None:
    known = kind_of("A", aliases)
    assert known.fits(takes)
    assert known.fits(refuses) == (not known.words)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: keras.applications.VGG16(weights=None, classifier_activation=3), "classifier_activation of VGG16 must be"),
    (lambda: keras.preprocessing.image.ImageDataGenerator(zoom_range="a"), "zoom_range of ImageDataGenerator must be"),
    (lambda: keras.layers.TorchModule(3), "module"),
    (lambda: keras.Sequential([dense()]).lint(ignore=3), "ignore of lint must be"),
    (lambda: keras.edit.remove(3), "where of remove must be"),
])  # fmt: skip
def test_what_was_not_checked_is(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentTypeError, match=message):
        call()


@pytest.mark.parametrize("dtype", ["float16", np.float16, np.dtype("float16"), float, keras.DTypePolicy("float16"), None])
def test_every_form_of_a_dtype_is_taken(dtype: object) -> None:
    assert keras.losses.MeanSquaredError(dtype=dtype).dtype in ("float16", "float32")
    assert keras.metrics.Mean(dtype=dtype).dtype in ("float16", "float32")
