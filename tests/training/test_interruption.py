"""Ctrl-C in a real process, by a real signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

PROLOGUE = """
    import os, signal, sys, time
    import numpy as np, torch
    import anabranch as ab
    from anabranch import layers

    inputs = ab.Input((4,))
    model = ab.Model(inputs, layers.Dense(3)(inputs))
    model.compile("sgd", "mse")
    x, y = np.zeros((64, 4), "float32"), np.ones((64, 3), "float32")

    class Slow(ab.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.epoch == 2 and batch == 1:
                print("ready", flush=True)
                time.sleep(0.5)
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch
        def on_train_end(self, logs=None):
            print("train end", sorted(logs), flush=True)
"""


@pytest.fixture
def interrupted(tmp_path):
    """Run a script, send SIGINT when it says it is ready, and return its exit code and output."""

    def run(body: str) -> tuple[int, str, str]:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(PROLOGUE) + textwrap.dedent(body))
        seen = []
        with subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            # a shell that started the tests in the background may have left SIGINT ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:
            for line in process.stdout:
                seen.append(line)
                if line == "ready\n":
                    process.send_signal(signal.SIGINT)
            errors = process.stderr.read()
        return process.returncode, "".join(seen), errors

    return run


def test_training_ends_with_history_and_weights_unchanged(interrupted):
    code, seen, errors = interrupted("""
        before = model.get_weights()
        history = model.fit(x, y, batch_size=16, epochs=10, verbose=2, callbacks=[Slow()])
        assert history is model.history
        assert history.interrupted and history.epoch == [0, 1], history.epoch
        assert len(history.history["loss"]) == 2
        assert not np.array_equal(before[0], model.get_weights()[0]) or not np.array_equal(before[1], model.get_weights()[1])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        again = model.fit(x, y, epochs=1, verbose=0)
        assert not again.interrupted
        print("went on")
    """)
    assert code == 0, errors
    assert "interrupted at epoch 3, step 2" in seen
    assert "train end ['loss']" in seen
    assert seen.endswith("went on\n")


SOURCE_THAT_BLOCKS = """
        def batches():
            yield x, y
            print("ready", flush=True)
            time.sleep(20)

        history = model.fit(batches(), epochs=3, verbose=0)
"""
VALIDATION_THAT_BLOCKS = """
        class Waiting(ab.callbacks.Callback):
            def on_test_begin(self, logs=None):
                print("ready", flush=True)
                time.sleep(20)

        history = model.fit(x, y, epochs=3, verbose=0, validation_data=(x, y), callbacks=[Waiting()])
"""


@pytest.mark.parametrize("training", [SOURCE_THAT_BLOCKS, VALIDATION_THAT_BLOCKS], ids=["source", "validation"])
def test_what_blocks_is_interrupted_at_once(interrupted, training):
    code, seen, errors = interrupted(
        training
        + """
        assert history.interrupted and history.epoch == []
        print("went on")
    """
    )
    assert code == 0, errors
    assert seen.endswith("went on\n")


def test_a_second_one_raises(interrupted):
    code, seen, errors = interrupted("""
        class Stubborn(Slow):
            def on_train_end(self, logs=None):
                print("ready", flush=True)
                time.sleep(20)

        model.fit(x, y, batch_size=16, epochs=10, verbose=0, callbacks=[Stubborn()])
    """)
    assert code in (-signal.SIGINT, 130), (seen, errors)
    assert "KeyboardInterrupt" in errors


def test_a_handler_of_the_users_own_is_left_alone(interrupted):
    code, seen, errors = interrupted("""
        def mine(number, frame):
            print("mine", flush=True)
            model.stop_training = True

        signal.signal(signal.SIGINT, mine)
        history = model.fit(x, y, batch_size=16, epochs=10, verbose=0, callbacks=[Slow()])
        assert history.epoch == [0, 1, 2], history.epoch
        assert not history.interrupted
    """)
    assert code == 0, errors
    assert "mine" in seen
