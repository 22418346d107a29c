"""``anabranch run`` beyond one script: child processes, modules, standard input, notebooks, an installed TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

CHILDREN = """
import multiprocessing, os, sys
import keras
from keras import layers
{preload}

def train(seed):
    import keras as inner
    from keras.models import Sequential
    assert inner.__doc__ == "anabranch, standing in for keras", inner
    model = Sequential([keras.Input((3,)), layers.Dense(seed + 1)])
    return model.count_params(), os.getpid(), inner.__doc__

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    with context.Pool(1) as pool:
        found = pool.map_async(train, [0, 1]).get(timeout=60)
    assert [each[0] for each in found] == [4, 8], found
    assert os.getpid() not in [each[1] for each in found]
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        print(pool.submit(train, 2).result(timeout=60)[0])
"""


def anabranch(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "anabranch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)  # type: ignore[call-overload]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A process in which real packages named keras and tensorflow are installed."""
    installed = tmp_path / "installed"
    write(installed / "keras" / "__init__.py", "raise SystemError('the real Keras was imported')\n")
    write(
        installed / "tensorflow" / "__init__.py",
        """
        from tensorflow import data, random
        from tensorflow.python import ops
        __version__ = "2.99"
        class keras:
            layers = "TensorFlow's own"
        def constant(value):
            return ("constant", value)
        """,
    )
    write(installed / "tensorflow" / "data.py", "COUNT = 0\nclass Dataset:\n    made = 'by TensorFlow'\nCOUNT += 1\n")
    write(installed / "tensorflow" / "random.py", "SEEDS = []\nset_seed = SEEDS.append\ndef normal():\n    return 7\n")
    write(installed / "tensorflow" / "python" / "__init__.py", "")
    write(installed / "tensorflow" / "python" / "ops.py", "import tensorflow.data as data\n")
    write(
        installed / "tensorflow" / "later.py", "from tensorflow.python import ops\nfrom tensorflow import constant\nVALUE = 5\n"
    )
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])}


def test_workers_of_joblib_have_the_stand_in(tmp_path: Path, env: dict[str, str]) -> None:
    script = write(
        tmp_path / "script.py",
        """
        import os
        import joblib
        import keras

        def train(seed):
            import keras as inner
            return inner.Sequential([inner.Input((3,)), inner.layers.Dense(seed + 1)]).count_params(), os.getpid()

        found = joblib.Parallel(2)(joblib.delayed(train)(seed) for seed in range(2))
        assert os.getpid() not in [process for _, process in found]
        print([count for count, _ in found])
        """,
    )
    done = anabranch("run", script, env=env)
    assert (done.stdout, done.returncode) == ("[4, 8]\n", 0), done.stderr


@pytest.mark.parametrize(
    "preload", ["", "multiprocessing.set_forkserver_preload(['__main__', 'keras'])"], ids=["", "preloaded"]
)
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_children_have_the_stand_in(tmp_path: Path, env: dict[str, str], method: str, preload: str) -> None:
    script = write(tmp_path / "script.py", CHILDREN.format(method=method, preload=preload))
    done = anabranch("run", script, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "12\n"


def test_children_of_a_module_have_the_stand_in(tmp_path: Path, env: dict[str, str]) -> None:
    write(tmp_path / "package" / "script.py", CHILDREN.format(method="spawn", preload="from . import beside"))
    write(tmp_path / "package" / "beside.py", "import keras\n")
    write(tmp_path / "package" / "__init__.py", "")
    done = anabranch("run", "-m", "package.script", env=env, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "12\n"), done.stderr


def test_a_child_that_cannot_start_ends_with_an_error(tmp_path: Path, env: dict[str, str]) -> None:
    script = write(
        tmp_path / "script.py",
        """
        import multiprocessing
        import keras
        def fail():
            keras.layers.Dense(-1)
        if __name__ == "__main__":
            child = multiprocessing.get_context("spawn").Process(target=fail)
            child.start()
            child.join(60)
            print(child.exitcode)
        """,
    )
    done = anabranch("run", script, env=env)
    assert done.stdout == "1\n"
    assert "units of Dense must be an integer" in done.stderr
    assert "src/anabranch" not in done.stderr


def test_a_module_is_run_as_python_would(tmp_path: Path) -> None:
    text = """
        import sys
        from . import beside
        from .inner.deep import DEPTH
        print(__name__, __package__, __spec__.name, sys.argv, __file__, beside.VALUE, DEPTH)
    """
    for name in ("package/script.py", "package/__main__.py"):
        write(tmp_path / name, text)
    write(tmp_path / "package" / "__init__.py", "")
    write(tmp_path / "package" / "beside.py", "VALUE = 3\n")
    write(tmp_path / "package" / "inner" / "__init__.py", "")
    write(tmp_path / "package" / "inner" / "deep.py", "from ..beside import VALUE\nDEPTH = VALUE + 1\n")
    for name in ("package.script", "package"):
        done = anabranch("run", "-m", name, "a", "--b", cwd=tmp_path)
        plain = subprocess.run(
            [sys.executable, "-m", name, "a", "--b"], capture_output=True, text=True, cwd=tmp_path, check=True
        )
        assert done.stdout == plain.stdout, done.stderr


def test_a_module_has_keras_replaced(tmp_path: Path, env: dict[str, str]) -> None:
    write(tmp_path / "package" / "__init__.py", "")
    write(tmp_path / "package" / "nets.py", "from keras import layers\nunits = layers.Dense(3).units\n")
    write(tmp_path / "package" / "train.py", "from .nets import units\nprint(units)\n")
    done = anabranch("run", "-m", "package.train", env=env, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["-m", "absent"], "there is no module absent"), (["-m", "json.absent"], "there is no module json.absent"),
     (["-m", "json.decoder.x"], "there is no module json.decoder.x"), (["-m"], "usage")],
)  # fmt: skip
def test_modules_that_are_not_there(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = anabranch("run", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_fault_inside_a_package_is_its_own(tmp_path: Path) -> None:
    write(tmp_path / "broken" / "__init__.py", "import no_such_package\n")
    write(tmp_path / "broken" / "script.py", "print(1)\n")
    done = anabranch("run", "-m", "broken.script", cwd=tmp_path)
    assert done.returncode == 1
    assert "No module named 'no_such_package'" in done.stderr
    assert "anabranch" not in done.stderr


def test_standard_input_is_run(tmp_path: Path, env: dict[str, str]) -> None:
    write(tmp_path / "beside.py", "VALUE = 3\n")
    text = (
        "import sys, beside, keras\nprint(sys.argv, __name__, beside.VALUE, keras.layers.Dense(2).units, '__file__' in dir())\n"
    )
    done = anabranch("run", "-", "a", env=env, cwd=tmp_path, input=text)
    assert (done.returncode, done.stdout) == (0, "['-', 'a'] __main__ 3 2 False\n"), done.stderr
    wrong = anabranch("run", "-", env=env, cwd=tmp_path, input="import keras\nkeras.layers.Dense(-1)\n")
    assert (wrong.returncode, "where:    <stdin>:2" in wrong.stderr, "cli.py" in wrong.stderr) == (1, True, False)


def test_what_is_not_keras_is_tensorflows(tmp_path: Path, env: dict[str, str]) -> None:
    script = write(
        tmp_path / "script.py",
        """
        import sys
        import tensorflow as tf
        from tensorflow import keras
        from tensorflow.keras import layers
        import anabranch
        tf.random.set_seed(3)
        assert layers.Dense is anabranch.layers.Dense
        assert "tensorflow.data" not in sys.modules, "TensorFlow is loaded when it is asked for"
        assert tf.data.Dataset.made == "by TensorFlow"
        assert tf.constant(1) == ("constant", 1)
        import tensorflow.data
        from tensorflow.data import Dataset
        from tensorflow import data, constant
        import tensorflow.later as later
        assert later.VALUE == 5 and later.ops.data is data is tf.data is sys.modules["tensorflow.data"] and data.COUNT == 1
        assert tf.random.normal() == 7 and tf.random.set_seed.__module__.startswith("anabranch")
        assert sys.modules["tensorflow.python.ops"].data.Dataset is Dataset
        import tensorflow as again
        assert again is tf and again.keras.layers.Dense is layers.Dense is keras.layers.Dense
        tf.random.set_seed(4)
        print(tf._seeds if hasattr(tf, "_seeds") else sys.modules["anabranch.stand_in.real_tensorflow"]._module.random.SEEDS)
        for wrong in ("tf.nothing", "tf.keras.nothing", "tf.random.nothing"):
            try:
                eval(wrong)
            except AttributeError as error:
                print(str(error).splitlines()[0])
        try:
            import tensorflow.nothing
        except ModuleNotFoundError as error:
            print(error)
        """,
    )
    done = anabranch("run", script, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[3, 4]",
        "tensorflow.nothing is not there: anabranch replaces Keras here, and the installed TensorFlow has no such name.",
        "tensorflow.keras.nothing is not there: anabranch replaces Keras in this process and has no 'nothing'.",
        "tensorflow.random.nothing is not there: anabranch replaces Keras here, and the installed TensorFlow has no such name.",
        "No module named 'tensorflow.nothing'",
    ]


NOTEBOOK = [
    "import tensorflow as tf\nfrom tensorflow import keras\nfrom tensorflow.keras import layers",
    "model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])\nprint(model.count_params(), type(model).__module__)",
    "layers.Dense(2)(layers.Flatten()(keras.Input(())))\n",
    "print(tf.constant(1))",
]


def test_a_notebook_loads_the_stand_in(tmp_path: Path, env: dict[str, str]) -> None:
    pytest.importorskip("IPython")
    program = write(
        tmp_path / "program.py",
        f"""
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance(colors="NoColor")
        for cell in ["%load_ext anabranch", *{NOTEBOOK!r}]:
            shell.run_cell(cell, store_history=True)
        print("=====")
        for cell in ["%unload_ext anabranch", "import tensorflow\\nprint(tensorflow.keras.layers)"]:
            shell.run_cell(cell, store_history=True)
        import anabranch
        print(anabranch.config.strict_merges())
        """,
    )
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False, env=env | {"IPYTHONDIR": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    loaded, unloaded = done.stdout.split("=====\n")
    assert loaded.startswith("8 anabranch.models.sequential\n"), done.stdout + done.stderr
    assert "('constant', 1)" in loaded
    assert "src/anabranch" not in loaded
    assert unloaded == "TensorFlow's own\nTrue\n"


def test_a_keras_that_was_imported_before_is_said(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("NAME = 'real'\n")
    script = write(
        tmp_path / "script.py",
        """
        import sys, warnings
        import keras
        from anabranch import stand_in
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            stand_in.install()
        print(said[0].message, said[0].filename == __file__)
        import keras as later
        print(keras.NAME, later.layers.Dense(3).units)
        """,
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "keras was imported before anabranch took its place: what was imported from it stays keras's own. True",
        "real 3",
    ], done.stderr
