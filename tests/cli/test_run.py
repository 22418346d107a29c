"""``anabranch run`` on real scripts in real processes, and the other commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "examples" / "toy_resnet.py").read_text()
SEED = EXAMPLE[EXAMPLE.index('print("Toy ResNet') : EXAMPLE.index("model.summary()")]  # the model, without its imports
IMPORTS = "import tensorflow\nfrom tensorflow import keras\nfrom tensorflow.keras import layers\n"


def anabranch(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "anabranch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)  # type: ignore[call-overload]


def write(folder: Path, text: str) -> Path:
    path = folder / "script.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_the_seed_runs_unchanged(tmp_path: Path) -> None:
    done = anabranch("run", write(tmp_path, IMPORTS + SEED))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Toy ResNet model for CIFAR10", "Layers generated for model", "More information about the model",
    ]  # fmt: skip


def test_the_summary_needs_neither_torch_nor_numpy(tmp_path: Path) -> None:
    script = IMPORTS + SEED + "model.summary()\nimport sys\nprint({'torch', 'numpy'} & set(sys.modules))\n"
    done = anabranch("run", write(tmp_path, script))
    assert done.returncode == 0, done.stderr
    assert "Total params: 223,242" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_summary_needs_little_memory(tmp_path: Path) -> None:
    script = write(tmp_path, IMPORTS + SEED + "model.summary()\n")
    # a small process in between: a child's figure begins at its parent's, and this one holds torch
    program = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", program, sys.executable, "-m", "anabranch", "run", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 60 * 1024  # KiB on Linux


@pytest.mark.parametrize(
    "line",
    [
        "import keras; keras.layers.Dense(3)",
        "from keras import layers; layers.Dense(3)",
        "from keras.layers import Dense; Dense(3)",
        "import keras.layers as L; L.Dense(3)",
        "import tensorflow as tf; tf.keras.layers.Dense(3)",
        "import tensorflow as tf; tf.random.set_seed(1)",
        "from tensorflow import keras; keras.layers.Dense(3)",
        "import tensorflow.keras as keras; keras.layers.Dense(3)",
        "from tensorflow.keras import layers; layers.Dense(3)",
        "from tensorflow.keras.models import Model, Sequential",
        "from tensorflow.keras.layers import Conv2D, Dense, Flatten, MaxPooling2D",
        "from tensorflow.keras.optimizers import Adam; Adam(1e-3)",
        "from tensorflow.keras.optimizers.schedules import ExponentialDecay",
        "from tensorflow.keras.utils import to_categorical; to_categorical([1, 0])",
        "from tensorflow.keras.datasets import cifar10; cifar10.load_data",
        "from tensorflow.keras.callbacks import EarlyStopping; EarlyStopping()",
        "from tensorflow.keras.regularizers import l2; l2(1e-4)",
        "from tensorflow.keras import backend as K; assert K.epsilon() == 1e-7",
        "import keras; keras.backend.clear_session()",
        "from tensorflow.keras.layers import *; Dense(3)",
        "from keras import *; layers.Dense(3); Model",
        "import tensorflow as tf; assert tf.__version__.startswith('2'); assert tf.keras.__version__.startswith('3')",
        "try:\n    from keras.layers import LSTM\nexcept ImportError:\n    from keras.layers import Dense",
        "import keras.optimizers.schedules as s, tf_keras; s.ExponentialDecay; tf_keras.layers.Dense(3)",
        "from dataclasses import dataclass\nfrom keras import Model\nassert isinstance(Model, type)",
        "import keras; assert keras.version() == keras.__version__",
        "import keras; assert keras.__version__.startswith('3'); assert not hasattr(keras, 'nothing')",
    ],
)
def test_ways_of_importing(tmp_path: Path, line: str) -> None:
    done = anabranch("run", write(tmp_path, line + "\n"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("import keras; keras.layers.Conv2DD", "did you mean 'Conv2D'?"),
        ("from keras.layers import Dens", "did you mean 'Dense'?"),
        ("from tensorflow.keras.layers import Nothing", "anabranch replaces Keras"),
        ("import tensorflow as tf; tf.constant(1)", "TensorFlow is not installed"),
        ("import tensorflow.data", "TensorFlow is not installed"),
        ("import keras.nothing", "has no 'nothing'"),
        ("import tensorflow as tf; tf.random.normal((2,))", "tensorflow.random.normal is not there"),
        ("import keras.layers.Dense", "from keras.layers import Dense"),
        ("from keras.utils import random", "has no 'random'"),  # what our own files import is not for scripts
        ("from keras import stand_in", "has no 'stand_in'"),
        ("import keras; keras.models.save('m')", "has no 'save'"),
    ],
)
def test_names_that_are_not_there(tmp_path: Path, line: str, says: str) -> None:
    done = anabranch("run", write(tmp_path, line + "\n"))
    assert done.returncode == 1
    assert says in done.stderr
    assert "repair:" in done.stderr
    assert "src/anabranch" not in done.stderr, "the traceback is the user's script alone"


def test_a_script_sees_what_python_would_show_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("VALUE = 3\n")
    script = write(
        tmp_path,
        """
        import sys, beside
        print(sys.argv[1:], __name__, __file__ == sys.argv[0], beside.VALUE)
        sys.exit(7)
        """,
    )
    done = anabranch("run", script, "a", "--b")
    assert done.returncode == 7
    assert done.stdout.strip() == "['a', '--b'] __main__ True 3"


def test_a_script_is_compiled_as_python_would(tmp_path: Path) -> None:
    script = write(tmp_path, "def f(x: int): ...\nprint(f.__annotations__['x'] is int, __file__, __spec__)\n")
    done = anabranch("run", "script.py", cwd=tmp_path)
    assert done.stdout.split() == ["True", str(script), "None"]
    assert (
        done.stdout
        == subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    )


def test_a_script_by_a_link_finds_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("VALUE = 3\n")
    script = write(tmp_path, "import beside; print(beside.VALUE)\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link.py").symlink_to(script)
    assert anabranch("run", tmp_path / "other" / "link.py").stdout == "3\n"


def test_a_syntax_error_is_all_that_is_printed(tmp_path: Path) -> None:
    done = anabranch("run", write(tmp_path, "import keras\nx = (\n"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].endswith('script.py", line 2')
    assert "anabranch" not in done.stderr


def test_a_mistake_in_a_layer_is_shown_in_the_users_line(tmp_path: Path) -> None:
    done = anabranch("run", write(tmp_path, "import keras\nkeras.layers.Dense(-1)\n"))
    assert "keras.layers.Dense(-1)" in done.stderr
    assert "where:    script.py:2" in done.stderr
    assert "src/anabranch" not in done.stderr


def test_ctrl_c_ends_a_script_as_it_ends_python(tmp_path: Path) -> None:
    script = write(tmp_path, "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n")
    command = [sys.executable, "-c", "import sys; from anabranch.cli import main; sys.exit(main())", "run", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGINT
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert "anabranch" not in done.stderr


def test_an_error_that_led_to_another_is_shown(tmp_path: Path) -> None:
    done = anabranch(
        "run", write(tmp_path, "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e\n")
    )
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.endswith("KeyError: 'k'\n")


def test_an_error_in_the_script_keeps_its_line(tmp_path: Path) -> None:
    done = anabranch("run", write(tmp_path, "import keras\n\n1 / 0\n"))
    assert done.returncode == 1
    assert 'script.py", line 3' in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "cli.py" not in done.stderr


def test_tensorboard_takes_no_view_for_tensorflow(tmp_path: Path) -> None:
    script = """
        import tensorflow as tf, numpy as np
        model = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0, callbacks=[tf.keras.callbacks.TensorBoard("logs")])
        from torch.utils.tensorboard import SummaryWriter
        with SummaryWriter("mine") as writer:
            writer.add_scalar("x", 1.0)
    """
    done = anabranch("run", write(tmp_path, script), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for folder in ("logs", "mine"):
        assert list((tmp_path / folder).rglob("events.out.tfevents.*"))


def test_a_script_trains(tmp_path: Path) -> None:
    script = write(
        tmp_path,
        """
        import numpy as np
        from tensorflow import keras
        from tensorflow.keras import layers
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation="softmax")])
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(np.zeros((8, 4)), np.zeros(8), epochs=2, verbose=0)
        print(sorted(history.history))
        """,
    )
    done = anabranch("run", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['accuracy', 'loss']"


@pytest.mark.parametrize(("arguments", "says"), [(["run", "absent.py"], "there is no absent.py"), (["run", "."], "is a folder"),
                                                 (["rnu"], "did you mean run?"), (["run"], "usage")])  # fmt: skip
def test_mistakes_at_the_command(arguments: list[str], says: str) -> None:
    done = anabranch(*arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_summary_of_a_script(tmp_path: Path) -> None:
    script = write(tmp_path, IMPORTS + SEED)
    done = anabranch("summary", script)
    assert "Total params: 223,242" in done.stdout
    assert anabranch("summary", f"{script}:model").returncode == 0
    missing = anabranch("summary", f"{script}:mdoel")
    assert missing.returncode == 1
    assert "it has: model" in missing.stderr


def test_summary_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "from keras import Input, Sequential, layers\n"
        "def make():\n    return Sequential([Input((3,)), layers.Dense(2)], name='made')\n"
    )
    (tmp_path / "broken.py").write_text("import no_such_package\n")
    done = anabranch("summary", "nets:make", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'Model: "made"' in done.stdout
    empty = anabranch("summary", "nets", cwd=tmp_path)
    assert (empty.returncode, "nets leaves no model; it has: none" in empty.stderr) == (1, True)
    absent = anabranch("summary", "absent", cwd=tmp_path)
    assert (absent.returncode, "neither a file nor a module absent" in absent.stderr) == (2, True)
    broken = anabranch("summary", "broken", cwd=tmp_path)
    assert (broken.returncode, "No module named 'no_such_package'" in broken.stderr) == (1, True)


def test_help_is_no_mistake() -> None:
    for arguments in ([], ["--help"], ["run", "--help"]):
        done = anabranch(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: anabranch")


def test_doctor_and_version() -> None:
    done = anabranch("doctor")
    assert done.returncode == 0, done.stderr
    for word in ("anabranch", "torch", "device", "threads", "data folder", "cifar10"):
        assert word in done.stdout
    assert anabranch("--version").stdout.strip() == "0.1.0"


def test_the_demo_on_real_images(cifar10_folder: Path) -> None:
    done = anabranch("demo", "--epochs", 1, "--limit", 640, env=os.environ | {"ANABRANCH_DATA": str(cifar10_folder)})
    assert done.returncode == 0, done.stderr
    assert "Total params: 223,242" in done.stdout
    assert "Training on 640 images" in done.stdout
    assert "Test accuracy after 1 epoch:" in done.stdout


def test_the_demo_without_data_draws_its_own(tmp_path: Path) -> None:
    refused = {"ANABRANCH_DATA": str(tmp_path), "https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = anabranch("demo", "--epochs", 1, "--limit", 320, env=os.environ | refused)
    assert done.returncode == 0, done.stderr
    assert "Training on drawn shapes instead" in done.stdout


@pytest.mark.parametrize(("script", "arguments"), [("toy_resnet.py", ["--epochs", 1, "--limit", 320]),
                                                   ("resnet_cifar.py", ["--epochs", 1, "--limit", 256])])  # fmt: skip
def test_examples_run_on_real_images(cifar10_folder: Path, script: str, arguments: list[object]) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / script, *map(str, arguments)], capture_output=True, text=True, check=False,
        env=os.environ | {"ANABRANCH_DATA": str(cifar10_folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "est" in done.stdout


SIZES = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7, 1202: 19.4}
FIRST_AND_LAST = [pytest.param(*size, marks=() if size[0] in (20, 1202) else pytest.mark.slow) for size in SIZES.items()]


@pytest.mark.parametrize(("depth", "millions"), FIRST_AND_LAST)
def test_sizes_of_the_published_networks(depth: int, millions: float) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "resnet_cifar.py", "--depth", str(depth), "--summary"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if line.startswith("Trainable params"))
    count = int(line.split()[2].replace(",", ""))
    assert count / 1e6 == pytest.approx(millions, rel=0.02)  # He et al. 2015, table 6
