"""Tracebacks show the user's frames alone: in scripts, in IPython, under pytest, to a logger; and all of them when asked."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import textwrap
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import callbacks, config, layers, losses, ops, utils
from anabranch._errors import AnabranchError, EngineError, ShapeError
from anabranch._frames import HIDDEN, OPERATORS, UNBOUNDED, bounded
from anabranch.graph import Operation

PACKAGE = os.path.dirname(ab.__file__) + os.sep
DATA = np.zeros((4, 3), "float32")


@pytest.fixture(autouse=True)
def _filtered() -> Iterator[None]:
    config.enable_traceback_filtering()
    yield
    config.disable_traceback_filtering()


def frames(error: BaseException) -> list[str]:
    """Return the functions whose frames an error shows, those of pytest aside."""
    shown = [each for each in traceback.extract_tb(error.__traceback__) if each.filename.startswith((PACKAGE, __file__))]
    others = [each.filename for each in traceback.extract_tb(error.__traceback__) if "torch" in each.filename.split(os.sep)]
    assert not others, others
    return [each.name if each.filename == __file__ else f"anabranch: {each.name}" for each in shown]


def model_of(*made: Any) -> ab.Model:
    x = ab.Input((3,))
    y = x
    for layer in made:
        y = layer(y)
    model = ab.Model(x, y)
    model.compile("sgd", "mse")
    return model


class Angry(layers.Layer):
    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def call(self, inputs: Any) -> Any:
        return self.helper(inputs)

    def helper(self, inputs: Any) -> Any:
        if float(inputs.sum()) == 0:
            raise LookupError("mine")
        return inputs


class Inner(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return torch.cat([inputs, torch.zeros(2, 7, 9)])


class Loud(callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        raise LookupError("mine")


class Data(utils.PyDataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        raise LookupError("mine")


def _loss(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.add(y_pred, np.zeros((5, 6, 7))))


def broken(batch: int) -> Iterator[Any]:
    yield DATA[:batch], DATA[:batch]
    raise LookupError("mine")


OURS: dict[str, Callable[[], object]] = {  # what anabranch refuses, and from where
    "constructor": lambda: layers.Dense(-1),
    "unknown argument": lambda: layers.Dense(3, unit=3),
    "layer": lambda: layers.Conv2D(3, 3)(ab.Input((4,))),
    "operator": lambda: ab.Input((4,)) + ab.Input((5,)),
    "index": lambda: ab.Input((4,))[:, 0, 0, 0],
    "no values": lambda: float(ab.Input((4,))),
    "method of a tensor": lambda: ab.Input((4,)).nothing(),
    "torch's function": lambda: torch.cat([ab.Input((4,)), ab.Input((5, 6))], dim=1),
    "merge": lambda: layers.add([ab.Input((4,)), ab.Input((5,))]),
    "function": lambda: ops.matmul(np.zeros((2, 3)), np.zeros((4, 5))),
    "model": lambda: ab.Model(ab.Input((4,)), ab.Input((4,))),
    "fit before compile": lambda: ab.Model(x := ab.Input((3,)), layers.Dense(2)(x)).fit(DATA, DATA),
    "fit": lambda: model_of(layers.Dense(2)).fit(DATA, DATA, verbose=0),
    "data": lambda: model_of(layers.Dense(3)).fit(DATA, DATA[:2], verbose=0),
    "predict": lambda: model_of(layers.Dense(2)).predict(np.zeros((2, 9)), verbose=0),
    "call": lambda: model_of(layers.Dense(2))(np.zeros((2, 9))),
    "setting": lambda: setattr(layers.Dropout(0.5), "rate", 7),
    "weights": lambda: layers.Dense(3).set_weights([DATA]),
    "name": lambda: model_of(layers.Dense(2)).get_layer("absent"),
    "edit": lambda: model_of(layers.Dense(2)).edit(ab.edit.remove("absent")),
    "loss": lambda: losses.get("absent"),
    "optimizer": lambda: ab.optimizers.SGD(-1.0),
    "config": lambda: config.set_floatx("int3"),
    "registry": lambda: ab.saving.deserialize_keras_object({"class_name": "Absent", "config": {}}),
    "keyword": lambda: model_of(layers.Dense(3)).fit(DATA, DATA, bogus=1),
}


@pytest.mark.parametrize("case", OURS)
def test_an_error_of_anabranch_shows_the_line_that_caused_it(case: str) -> None:
    with pytest.raises((AnabranchError, TypeError)) as caught:
        OURS[case]()
    assert frames(caught.value) == ["test_an_error_of_anabranch_shows_the_line_that_caused_it", "<lambda>"]
    earlier = caught.value.__cause__
    assert earlier is None or frames(earlier) == []


THEIRS: dict[str, tuple[Callable[[], object], list[str]]] = {  # what the user's own code raises inside, and its frames
    "layer": (lambda: model_of(Angry()).predict(DATA, verbose=0), ["call", "helper"]),
    "layer, eagerly": (lambda: Angry()(DATA), ["call", "helper"]),
    "callback": (lambda: model_of(layers.Dense(3)).fit(DATA, DATA, callbacks=[Loud()], verbose=0), ["on_epoch_end"]),
    "dataset": (lambda: model_of(layers.Dense(3)).fit(Data(), verbose=0), ["__getitem__"]),
    "generator": (lambda: model_of(layers.Dense(3)).fit(broken(2), steps_per_epoch=5, verbose=0), ["broken"]),
}


@pytest.mark.parametrize("case", THEIRS)
def test_an_error_of_the_user_shows_their_frames_alone(case: str) -> None:
    act, inner = THEIRS[case]
    with pytest.raises(Exception, match="mine") as caught:
        act()
    error = caught.value
    while error.__cause__ is not None:  # data errors carry the user's as their cause
        error = error.__cause__  # type: ignore[assignment]
    begin = ["test_an_error_of_the_user_shows_their_frames_alone", "<lambda>"]
    assert [each for each in frames(error) if each not in begin] == inner
    assert frames(caught.value)[:2] == begin


def test_torch_refusing_is_an_error_of_the_users_line() -> None:
    with pytest.raises(EngineError) as caught:
        Inner()(np.zeros((2, 3), "float32"))
    assert frames(caught.value) == ["test_torch_refusing_is_an_error_of_the_users_line"]
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert frames(caught.value.__cause__) == ["call"]


def test_all_frames_are_shown_when_asked() -> None:
    config.disable_traceback_filtering()
    assert not config.is_traceback_filtering_enabled()
    with pytest.raises(ShapeError) as caught:
        layers.Conv2D(3, 3)(ab.Input((4,)))
    assert sum(each.startswith("anabranch") for each in frames(caught.value)) > 2
    config.enable_traceback_filtering()
    assert config.is_traceback_filtering_enabled()


def test_a_note_is_left_by_an_error_that_explains_nothing() -> None:
    inner: dict[str, Any] = {}
    exec(compile("def fault():\n    return {}[1]", PACKAGE + "somewhere.py", "exec"), inner)
    with pytest.raises(KeyError) as caught:
        bounded(inner["fault"])()
    assert caught.value.__notes__ == [HIDDEN]
    assert frames(caught.value) == ["test_a_note_is_left_by_an_error_that_explains_nothing"]
    with pytest.raises(TypeError) as wrong:
        bounded(inner["fault"])(1, 2)
    assert not hasattr(wrong.value, "__notes__"), "wrong arguments are no fault inside"


def test_causes_stay() -> None:
    def translated() -> None:
        try:
            layers.Dense(-1)
        except ValueError as error:
            raise RuntimeError("translated") from error

    with pytest.raises(RuntimeError) as caught:
        translated()
    assert isinstance(caught.value.__cause__, ValueError)
    text = "".join(traceback.format_exception(caught.value))
    assert text.index("layers.Dense(-1)") < text.index("RuntimeError: translated")
    assert PACKAGE not in text


def test_the_users_error_that_came_before_goes_on_being_shown() -> None:
    def careless() -> None:
        try:
            {}["first"]
        except KeyError:
            model_of(layers.Dense(3)).fit(DATA, DATA, bogus=1)  # type: ignore[call-arg]

    with pytest.raises(TypeError) as caught:
        careless()
    text = "".join(traceback.format_exception(caught.value))
    assert text.index("first") < text.index("bogus")


def test_an_error_that_was_caught_inside_is_not_shown_with_another() -> None:
    with pytest.raises(AnabranchError) as caught:
        config.set_floatx([])  # type: ignore[arg-type]
    assert "During handling" not in "".join(traceback.format_exception(caught.value))


SCRIPT = """
import anabranch as keras
from anabranch import layers

def describe(x):
    return layers.Conv2D(3, 3)(x)

describe(keras.Input((4,)))
"""


def test_a_script_shows_its_own_lines(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if line.startswith("  File")] == [
        f'  File "{script}", line 8, in <module>',
        f'  File "{script}", line 6, in describe',
    ]


def test_a_notebook_shows_its_own_cells(tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            from IPython.core.interactiveshell import InteractiveShell
            shell = InteractiveShell.instance(colors="NoColor")
            shell.run_cell("import anabranch as keras\\nfrom anabranch import layers\\nimport numpy as np", store_history=True)
            shell.run_cell("def describe(x):\\n    return layers.Conv2D(3, 3)(x)", store_history=True)
            shell.run_cell("describe(keras.Input((4,)))", store_history=True)
            print("=====")
            shell.run_cell(
                "class Mine(layers.Layer):\\n    def call(self, x):\\n        raise LookupError('mine')\\n"
                "Mine()(np.ones((2, 3)))", store_history=True,
            )
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"IPYTHONDIR": str(tmp_path)},
    )
    described, raised = done.stdout.split("=====")
    assert "Conv2D" in described, done.stderr
    assert "describe(keras.Input((4,)))" in described
    assert "raise LookupError('mine')" in raised
    assert PACKAGE not in done.stdout
    assert "torch/" not in done.stdout


def test_a_pytest_failure_shows_the_test_alone(tmp_path: Path) -> None:
    test = tmp_path / "test_mine.py"
    test.write_text("from anabranch import Input, layers\ndef test_mine():\n    layers.Conv2D(3, 3)(Input((4,)))\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(test)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "test_mine.py:3" in done.stdout
    assert "src/anabranch" not in done.stdout


def public_names(package: types.ModuleType, path: str, seen: set[object]) -> Iterator[tuple[str, Any]]:
    for name in dir(package):
        value = getattr(package, name)
        if name.startswith("_") or (isinstance(value, types.ModuleType) and value in seen):
            continue
        if isinstance(value, types.ModuleType):
            seen.add(value)
            yield from public_names(value, f"{path}.{name}", seen)
        else:
            yield f"{path}.{name}", value


def is_open(function: object) -> bool:
    """Return whether a function of anabranch's may fail and lets its frames out."""
    if not isinstance(function, types.FunctionType) or "__bounded__" in function.__dict__:
        return False
    inner = inspect.unwrap(function).__code__
    return inner.co_filename.startswith(PACKAGE) and inner.co_argcount + inner.co_kwonlyargcount > 0


def public_functions() -> Iterator[tuple[str, object]]:
    """Yield the public functions and the methods that users call, by path."""
    for path, value in public_names(ab, "anabranch", set()):
        if not inspect.isclass(value):
            yield path, value
            continue
        for cls in value.__mro__:
            for name, member in vars(cls).items() if cls is not Operation else ():
                if (name in OPERATORS or not name.startswith("_")) and name not in UNBOUNDED:
                    yield f"{path}.{name}", member.__func__ if isinstance(member, (classmethod, staticmethod)) else member


def test_everything_public_is_bounded() -> None:
    assert [path for path, function in public_functions() if is_open(function)] == []


def test_nothing_is_bounded_twice() -> None:
    """A boundary around another costs each call a further call of Python."""
    found = []
    for path, function in public_functions():
        if isinstance(function, types.FunctionType) and function.__code__.co_filename.startswith(PACKAGE):
            inside = function.__dict__.get("__wrapped__")
            found += [path] if isinstance(inside, types.FunctionType) and "__bounded__" in inside.__dict__ else []
    assert found == []
