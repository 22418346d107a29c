"""Views: modules named as Keras's, whose names are anabranch's; what is no Keras of tensorflow is that of an installed one."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace

import anabranch
from anabranch._asked import module_of
from anabranch._errors import AnabranchError
from anabranch._frames import bounded
from anabranch.stand_in import real_tensorflow
from anabranch.stand_in.former import names


def _set_seed(seed: int) -> None:
    """Set the global seed, as ``tf.random.set_seed`` does, here and in TensorFlow where it is loaded."""
    anabranch.utils.set_random_seed(seed)
    real_tensorflow.set_seed(seed)


TENSORFLOW = SimpleNamespace(keras=anabranch, random=SimpleNamespace(set_seed=_set_seed))  # what is anabranch's of it
ROOTS: dict[str, object] = {"keras": anabranch, "tf_keras": anabranch, "tensorflow": TENSORFLOW}
KERAS_VERSION = "3.15.1"  # the Keras whose words these are
TENSORFLOW_VERSION = "2.20.0"  # one that came with Keras 3; scripts ask whether it begins with 2
ABSENT: object = names.ABSENT


class MissingNameError(AnabranchError, AttributeError):
    """An attribute of Keras's that anabranch does not have."""


class MissingImportError(AnabranchError, ModuleNotFoundError):
    """An import of Keras's that anabranch does not have."""


class View(ModuleType):
    """One module of Keras's, its names taken from anabranch."""

    def __init__(self, name: str, target: object) -> None:
        super().__init__(name, f"anabranch, standing in for {name}")
        self.__path__: list[str] = []
        self._target = target

    def __getattr__(self, name: str) -> object:
        if name == "__version__":
            return real_tensorflow.version() or TENSORFLOW_VERSION if self._target is TENSORFLOW else KERAS_VERSION
        if name == "version" and self._target is anabranch:
            return lambda: KERAS_VERSION
        if name == "__all__":
            return dir(self)
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r}, which is anabranch, has no attribute {name!r}")
        value = look_up(self._target, name)
        if value is not ABSENT:
            value = names.with_former_arguments(self.__name__, name, value)
        if is_namespace(value):
            return importlib.import_module(f"{self.__name__}.{name}")
        if value is ABSENT and (found := sys.modules.get(f"{self.__name__}.{name}")) is not None:
            return found
        if value is ABSENT:
            value = names.served(self.__name__, name)
        if value is ABSENT and is_tensorflow(self.__name__):
            value = real_tensorflow.look_up(f"{self.__name__}.{name}", ABSENT)
        if value is ABSENT:
            fact, repair = refusal(self.__name__, name, self._target)
            raise MissingNameError(fact, repair=repair)
        return value

    __getattr__ = bounded(__getattr__)

    def __dir__(self) -> list[str]:
        return public(self._target)


def is_namespace(value: object) -> bool:
    """Return whether a value is served as a module."""
    return isinstance(value, (ModuleType, SimpleNamespace))


def public(target: object) -> list[str]:
    """Return the names that are a module's to give: those it lists, else those made in anabranch."""
    if isinstance(target, SimpleNamespace):
        return sorted(vars(target))
    listed = getattr(target, "__all__", None)  # modules need not list their names
    if listed is not None:
        return sorted(listed)
    made_in = {name: module_of(value) for name, value in vars(target).items()}
    return sorted(
        name
        for name, module in made_in.items()
        if not name.startswith("_") and module.startswith("anabranch.") and module != module_of(AnabranchError)
    )


def is_tensorflow(module: str) -> bool:
    """Return whether a module of TensorFlow's is none of Keras's.

    >>> is_tensorflow("tensorflow.data"), is_tensorflow("tensorflow.keras.layers"), is_tensorflow("keras")
    (True, False, False)
    """
    return module.startswith("tensorflow") and module.split(".")[1:2] != ["keras"]


def look_up(target: object, name: str) -> object:
    """Return what anabranch has by that name, or ABSENT; rooms that Keras has no word for stay inside."""
    value = getattr(target, name, ABSENT)  # the name is the user's
    return ABSENT if is_namespace(value) and name not in public(target) else value


def refusal(module: str, name: str, target: object) -> tuple[str, str]:
    """Return what to say of a name that is not there, and the nearest that is."""
    import difflib

    known = {known.lower(): known for known in public(target)}
    close, near = (difflib.get_close_matches(name.lower(), known, n=1, cutoff=cutoff) for cutoff in (0.6, 0.0))
    real = "tensorflow" if module.startswith("tensorflow") else "Keras"
    if is_tensorflow(module):
        found = "the installed TensorFlow has no such name" if real_tensorflow.is_installed() else "TensorFlow is not installed"
        fact = f"{module}.{name} is not there: anabranch replaces Keras here, and {found}."
    else:
        fact = f"{module}.{name} is not there: anabranch replaces Keras in this process and has no {name!r}."
    if (instead := names.instead(module, name)) is not None:
        return fact, f"write {instead}"
    if close:
        return fact, f"did you mean {known[close[0]]!r}?"
    nearest = f"the nearest name here is {known[near[0]]!r}; or " if near else ""
    return fact, f"{nearest}run the script with python and the real {real}"
