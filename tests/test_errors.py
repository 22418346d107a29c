"""How an error looks: its parts, its width, its colours where Python itself prints it on a terminal, and nowhere else."""

from __future__ import annotations

import io
import os
import pickle
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import layers, ops
from anabranch._errors import WIDTH, AnabranchError, ArgumentTypeError, EngineError, ShapeError, nearest

SCRIPT = """
import anabranch as ab
from anabranch import layers

x = ab.Input((8, 8, 3), name="x")
try:
    layers.add([layers.MaxPooling2D(name="pool")(x), x])
except ValueError as error:
    print(repr(str(error)))
layers.add([layers.MaxPooling2D(name="pool")(x), x])
"""


def test_the_parts_stand_in_order() -> None:
    error = AnabranchError("Fact.", expected="e", got="g", where="w", repair="r\ns", origin="heard\nso")
    assert str(error) == ("Fact.\n  heard\n  so\n  expected: e\n  got:      g\n  where:    w\n  repair:   r\n            s")
    assert str(AnabranchError("Fact.")) == "Fact."


def test_long_parts_are_broken_at_words() -> None:
    error = AnabranchError("fact " * 40, expected="word " * 60, repair="x" * 150)
    fact, *lines = str(error).splitlines()
    assert fact == error.fact, "whole, as a log is searched for it"
    assert all(len(line) <= WIDTH for line in lines if "xxx" not in line)
    assert sum("x" * 150 in line for line in lines) == 1  # a word is never cut
    assert str(error).split().count("word") == 60


def on_a_terminal(tmp_path: Path, *, command: tuple[str, ...] = (), **environment: str) -> tuple[str, str]:
    """Return what a script prints on standard output, which is a file, and on standard error, which is a terminal."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ours, theirs = pty.openpty()
    clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "PYTHON_COLORS")}
    with (tmp_path / "out").open("w") as out:
        done = subprocess.Popen(
            [sys.executable, *command, str(script)], stdout=out, stderr=theirs, env={**clean, "TERM": "xterm", **environment}
        )
        os.close(theirs)
        heard = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            heard += piece
        done.wait()
    os.close(ours)
    return (tmp_path / "out").read_text(), heard.decode()


def test_a_traceback_on_a_terminal_is_coloured(tmp_path: Path) -> None:
    out, err = on_a_terminal(tmp_path)
    assert "\033[" not in out
    assert "\\x1b" not in out  # who asks for the text in a program gets it plain
    assert "\033[33m← height 8 → 4, width 8 → 4\033[0m" in err
    assert "\033[36m  repair:\033[0m\033[32m" in err


def test_so_is_that_of_the_command(tmp_path: Path) -> None:
    assert "\033[33m←" in on_a_terminal(tmp_path, command=("-m", "anabranch", "run"))[1]


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}], ids=str)
def test_colours_are_refused(tmp_path: Path, environment: dict[str, str]) -> None:
    err = on_a_terminal(tmp_path, **environment)[1]
    assert "← height 8 → 4" in err
    assert "\033[33m" not in err


@pytest.mark.parametrize("forced", [True, False])
def test_elsewhere_it_is_plain_unless_forced(tmp_path: Path, forced: bool) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "PYTHON_COLORS")}
    if forced:
        environment["FORCE_COLOR"] = "1"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False)
    assert ("\033[33m←" in done.stderr) == forced
    assert "\\x1b" not in done.stdout


def test_an_error_can_be_sent_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(ShapeError("Fact.", repair="r", origin="s")))
    assert type(error) is ShapeError
    assert str(error) == str(ShapeError("Fact.", repair="r", origin="s"))


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("applications", ["activations"], None),
        ("lstm", ["Softmax", "Lambda"], None),
        ("TensorBoard", ["ProgressBar"], None),
        ("haed", ["head", "heads_of_all"], "head"),
        ("admn", ["Adam", "Adamax"], "Adam"),
        ("rms", ["RMSprop"], "RMSprop"),
        ("sparse_crossentropy", ["sparse_categorical_crossentropy"], "sparse_categorical_crossentropy"),
    ],
)
def test_only_near_names_are_offered(name: str, known: list[str], found: str | None) -> None:
    assert nearest(name, known) == found


CAUGHT = {
    # what Keras raises -> what is done
    ValueError: [
        lambda: layers.Dense(2, no_such=1),
        lambda: layers.Dense(2)("a"),
        lambda: layers.Dense(2, dtype="float99"),
        lambda: ab.Input(4),
        lambda: ab.Sequential([1]),
        lambda: ab.Model(1, 2),
        lambda: layers.Dense(2).count_params(),
        lambda: ab.Sequential([layers.Input((3,)), layers.Dense(1)]).fit(np.ones((2, 3)), np.ones((2, 1))),
        lambda: layers.Flatten()(np.float32(3.0)),
        lambda: built(layers.Dense(2), (2, 3))(np.ones((2, 4))),
        lambda: built(layers.Conv2D(2, 3), (2, 4, 4, 1))(np.ones((2, 4, 4, 3))),
        lambda: ops.cholesky(np.array([[1.0, 2.0], [2.0, 1.0]])),
        lambda: float(ab.Input((3,))),
        lambda: np.array(ab.Input((3,))),
    ],
    IndexError: [
        lambda: ops.sum(np.ones((2, 2)), axis=3),
        lambda: ops.take(np.ones(3), [5]),
        lambda: layers.Embedding(3, 2)(np.array([[7]])),
        lambda: ab.Sequential().pop(),
    ],
    RuntimeError: [
        lambda: ops.matmul(np.ones((2, 4)), np.ones((5, 3))),
        lambda: ops.reshape(np.ones((2, 3)), (4,)),
    ],
    AttributeError: [lambda: layers.Dense(2).output, lambda: layers.Dense(2).input],
    NotImplementedError: [lambda: list(ab.Input((3,)))],
    KeyError: [lambda: Failing(KeyError("mine"))(ab.Input((3,)))],
    ZeroDivisionError: [lambda: Failing(ZeroDivisionError("mine"))(ab.Input((3,)))],
}


class Failing(layers.Layer):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def call(self, inputs: object) -> object:
        raise self.error


def built(layer: layers.Layer, shape: tuple[int, ...]) -> layers.Layer:
    layer(np.ones(shape))
    return layer


@pytest.mark.parametrize(
    ("kind", "mistake"), [(kind, mistake) for kind, mistakes in CAUGHT.items() for mistake in mistakes]
)  # fmt: skip
def test_what_catches_keras_errors_catches_ours(kind: type[Exception], mistake: Callable[[], object]) -> None:
    with pytest.raises(kind) as caught:
        mistake()
    assert isinstance(caught.value, AnabranchError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_layer_that_has_no_output_yet_has_no_such_attribute() -> None:
    assert not hasattr(layers.Dense(2), "output")
    assert not hasattr(layers.Dense(2), "input")


def test_a_built_layer_says_which_size_it_was_built_for() -> None:
    with pytest.raises(ShapeError, match=r"expected: .*3") as caught:
        built(layers.Dense(2), (2, 3))(np.ones((2, 4)))
    assert "mat1" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_an_error_can_be_printed_where_the_output_lacks_signs(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = ab.Input((8, 8, 3))
    with pytest.raises(ShapeError) as caught:
        layers.add([layers.Conv2D(2, 3, name="é")(x), x])
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
        text = str(caught.value)
        text.encode(encoding)
    assert "<- height" in text or "^ height" in text


@pytest.mark.parametrize(
    ("inputs", "repair"),
    [({"a": 1}.values(), "list"), ({"a": 1}.keys(), "list"), ((i for i in range(2)), "list"), ({1, 2}, "order")],
)
def test_what_is_no_list_of_tensors_is_named_by_its_kind(inputs: object, repair: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"got a {type(inputs).__name__}") as caught:
        ab.Model(inputs, ab.Input((3,)))
    assert repair in str(caught.value)


def test_no_size_that_stood_for_an_unknown_one_is_in_a_message() -> None:
    class Branching(layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs if inputs.shape[0] == 24 else inputs @ torch.ones(4, 3)

    with pytest.raises(EngineError) as caught:
        Branching()(ab.Input((3,)))
    assert not re.search(r"24|48|72|eval_with_key", str(caught.value))


SPOKEN = """
import numpy as np
import anabranch as keras

model = keras.Sequential([keras.Input((4,), name="größe"), keras.layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae"])
x, y = np.ones((8, 4)), np.ones((8, 1))
saving = keras.callbacks.ModelCheckpoint("größe.weights.h5", save_weights_only=True, verbose=1)
stopping = keras.callbacks.EarlyStopping(monitor="loss", mode="max", patience=0, verbose=1)
for verbose in (1, 2):
    model.fit(x, y, epochs=3, verbose=verbose, callbacks=[saving, stopping])
    model.evaluate(x, y, verbose=verbose)
    model.predict(x, verbose=1)
keras.utils.Progbar(2).update(2)
keras.saving.KerasFileEditor("größe.weights.h5").summary()
"""


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "ascii"])
def test_what_is_printed_fits_the_outputs_encoding(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SPOKEN, encoding="utf-8")
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    for command in ([str(tmp_path / "script.py")], ["-m", "anabranch", "--help"], ["-m", "anabranch", "lint", "--help"]):
        done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, cwd=tmp_path, check=False)
        assert done.returncode in (0, 2), done.stderr.decode(encoding, "replace")
        assert b"UnicodeEncodeError" not in done.stderr
