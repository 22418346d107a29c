"""Progress in a log, in silence, and in a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest
from small_model import data

from anabranch import callbacks
from anabranch._errors import ArgumentError
from anabranch.callbacks import progress


@pytest.mark.parametrize("verbose", ["auto", 1, 2])
def test_a_log_gets_one_line_per_epoch(model: Any, capsys: Any, verbose: Any) -> None:
    x, y = data()
    model.fit(x, y, epochs=2, batch_size=8, validation_data=(x, y), verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    number = r"\d[\d.e-]*"
    values = "  ".join(rf"{name}: {number}" for name in ("loss", "mae", "val_loss", "val_mae"))
    assert len(lines) == 2
    for epoch, line in enumerate(lines, start=1):
        assert re.fullmatch(rf"Epoch {epoch}/2  \d+\.\d s  {number} (s|ms|µs)/step  {values}", line), line


def test_evaluate_and_predict_leave_a_line(model: Any, capsys: Any) -> None:
    x, y = data()
    model.evaluate(x, y, verbose=2)
    model.predict(x, verbose=2)
    first, second = capsys.readouterr().out.splitlines()
    assert re.match(r"Evaluate  \d.*loss: .*mae: ", first)
    assert re.match(r"Predict  \d", second)


def test_silence(model: Any, capsys: Any) -> None:
    x, y = data()
    model.fit(x, y, verbose=0, validation_split=0.25)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [3, -1, "loud", None, 1.5])
def test_other_words_are_errors(model: Any, verbose: Any) -> None:
    with pytest.raises(ArgumentError, match="Unknown verbose"):
        model.fit(*data(), verbose=verbose)


def test_verbose_is_understood() -> None:
    assert [progress.resolve(v) for v in (0, 1, 2, True, False)] == [0, 1, 2, 1, 0]
    assert progress.resolve("auto") == 2  # pytest's capture is no terminal


def test_the_device_is_read_a_few_times_a_second() -> None:
    class Counted(dict[str, float]):
        reads = 0

        def items(self) -> Any:
            type(self).reads += 1
            return super().items()

    bar = callbacks.ProgressBar(1)
    bar.live = True
    bar.set_params({"epochs": 1, "steps": 10_000})
    bar.on_epoch_begin(0)
    began = time.perf_counter()
    for batch in range(10_000):
        bar.on_train_batch_end(batch, Counted(loss=1.0))
    seconds = time.perf_counter() - began
    bar.on_close()
    assert 1 <= Counted.reads <= 2 + seconds / bar.refresh_seconds


def test_rich_is_loaded_only_for_a_bar() -> None:
    code = """
        import sys, numpy as np
        from anabranch import Input, Model, layers
        x = Input((1,))
        model = Model(x, layers.Dense(1)(x))
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 1)), np.ones((4, 1)))
        sys.exit("rich" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Epoch 1/1")


# In a terminal

SCRIPT = """
import time, numpy as np
from anabranch import Input, Model, callbacks, layers
x = Input((1,))
model = Model(x, layers.Dense(1)(x))
model.compile("sgd", "mse", metrics=["mae"])
data = np.ones((80, 1), "float32"), np.ones((80, 1), "float32")
class Slow(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.06)
    on_test_batch_end = on_predict_batch_end = on_train_batch_end
"""
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"  # what a display does to the cursor, and how it gives it back


def in_terminal(code: str) -> tuple[int, str]:
    """Run a program in a pseudo-terminal; return its exit status and all it wrote."""
    keeper, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "140", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT + textwrap.dedent(code)], stdout=terminal, stderr=terminal, stdin=terminal,
        env=environment,
    )  # fmt: skip
    os.close(terminal)
    written = b""
    while True:
        ready, _, _ = select.select([keeper], [], [], 60)
        try:
            part = os.read(keeper, 65536) if ready else b""
        except OSError:  # the other end is closed
            part = b""
        if not part:
            break
        written += part
    os.close(keeper)
    return process.wait(timeout=60), written.decode()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_gets_a_bar_that_moves_and_lines_that_stay() -> None:
    status, written = in_terminal("model.fit(*data, batch_size=4, epochs=2, validation_split=0.5, callbacks=[Slow()])")
    text = plain(written)
    assert status == 0, text
    assert written.count(HIDE) == written.count(SHOW) == 2
    assert len(set(re.findall(r"(\d+)/10 ", text))) >= 3, text  # the bar has been at several places
    assert re.search(r"\d ms/step  loss: \d\.\d+  mae: \d", text)
    for epoch in (1, 2):
        assert re.search(rf"Epoch {epoch}/2  \d\.\d s  \d+ ms/step  loss: .*val_mae: \d", text)


def test_evaluate_and_predict_have_bars_too() -> None:
    status, written = in_terminal(
        "model.evaluate(*data, batch_size=10, callbacks=[Slow()]); model.predict(data[0], batch_size=10, callbacks=[Slow()])"
    )
    text = plain(written)
    assert status == 0, text
    assert re.search(r"Evaluate .*━.*\d/8 ", text)
    assert re.search(r"Predict .*━.*\d/8 ", text)


def test_bars_within_bars() -> None:
    status, written = in_terminal(
        """
        inner = callbacks.LambdaCallback(on_epoch_end=lambda e, logs: model.evaluate(*data, batch_size=20, callbacks=[Slow()]))
        model.fit(*data, batch_size=40, epochs=2, callbacks=[inner])
        """
    )
    text = plain(written)
    assert status == 0, text
    assert len(re.findall(r"Evaluate  \d\.\d s", text)) == 2
    assert written.count(HIDE) == written.count(SHOW)


@pytest.mark.parametrize("where", ["on_train_batch_end", "on_epoch_end"])
def test_an_error_leaves_the_terminal_as_it_was(where: str) -> None:
    status, written = in_terminal(
        f"""
        def breaks(number, logs):
            time.sleep(0.3)
            raise LookupError("mine")
        model.fit(*data, batch_size=4, callbacks=[callbacks.LambdaCallback({where}=breaks)])
        """
    )
    assert status == 1
    assert "LookupError: mine" in plain(written)
    assert written.count(HIDE) == written.count(SHOW) == 1
    assert written.rindex(SHOW) < written.rindex("LookupError")


def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    status, written = in_terminal(
        """
        import os, signal
        stop = callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: b == 5 and os.kill(os.getpid(), signal.SIGINT))
        history = model.fit(*data, batch_size=4, callbacks=[Slow(), stop])
        print("interrupted:", history.interrupted)
        """
    )
    text = plain(written)
    assert status == 0, text
    assert "interrupted: True" in text
    assert written.count(HIDE) == written.count(SHOW) == 1
