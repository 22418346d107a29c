"""``anabranch check``: what scripts of Keras need, read from their text; ``--fix`` rewrites their imports."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from anabranch import cli
from anabranch.stand_in import checking, rewriting

SCRIPT = """\
import tensorflow as tf
from keras.layers.core import Dense, Dropout  # the core
from keras.layers import LocallyConnected2D, Conv2D
from keras import backend as K
import keras

model = keras.Sequential([Dense(3, init="uniform"), keras.layers.Conv2D(4, 3, border_mode="same")])
model.compile(keras.optimizers.Adam(lr=0.1), "mse")
model.fit_generator(data, 3)
K.mean(x), tf.reduce_mean(x), tf.keras.layers.Dense(3), keras.layers.Nothing
with tf.GradientTape() as tape:
    keras.utils.np_utils.to_categorical(x)
other.predict_proba(x)
"""
FOUND = [
    (2, "former", "keras.layers.core", "keras.layers"),
    (3, "missing", "keras.layers.LocallyConnected2D", "layers.Conv2D"),
    (7, "former", "Conv2D(border_mode=…)", "padding=…"),
    (7, "former", "Dense(init=…)", "kernel_initializer=…"),
    (8, "former", "Adam(lr=…)", "learning_rate=…"),
    (9, "former", ".fit_generator(…)", ".fit(…)"),
    (10, "former", "keras.backend.mean", "keras.ops.mean"),
    (10, "missing", "keras.layers.Nothing", None),
    (10, "tensorflow", "tensorflow.reduce_mean", "keras.ops.mean(x, axis)"),
    (11, "tensorflow", "tensorflow.GradientTape", "loss = …; loss.backward(), or torch.autograd.grad(loss, tensors)"),
    (12, "former", "keras.utils.np_utils.to_categorical", "keras.utils.to_categorical"),
    (13, "former", ".predict_proba(…)", ".predict(…)"),
]


def test_what_is_found_and_where() -> None:
    found = checking.check_text(SCRIPT, "s.py")
    seen = sorted((each.line, each.kind, each.what, each.write) for each in found)
    for (line, kind, what, write), (line_, kind_, what_, write_) in zip(
        seen, sorted(FOUND, key=lambda each: each[:3]), strict=True
    ):
        assert (line, kind, what) == (line_, kind_, what_)
        assert (write or "").startswith(write_ or "")


@pytest.mark.parametrize(
    "line",
    [
        "import keras; keras.layers.Dense(3, activation='relu')",
        "from tensorflow.keras import layers; layers.Embedding(4, input_dim=3, output_dim=2)",
        "import numpy as np; np.random.predict_nothing(x, lr=3)",
        "from .keras.layers.core import Dense",
        "def keras(): ...\nkeras.layers.core",
        "other.Dense(init=3)",
        "import tensorflow as tf; tf.random.set_seed(1)",
        "model.fit(x, y, epochs=3)",
    ],
)
def test_what_is_in_order(line: str) -> None:
    assert checking.check_text(line, "s.py") == []


def test_a_notebook_and_a_folder(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["from keras.layers.core import Dense"]},
        {
            "cell_type": "code",
            "source": ["%matplotlib inline\n", "!pip list\n", "from keras.layers.core import Dense"],
            "outputs": [],
        },
        {"cell_type": "code", "source": "Dense(3, init='zeros')", "outputs": [], "metadata": {"a": 1}},
        {"cell_type": "code", "source": "%%bash\nls (", "outputs": []},
    ]
    notebook = tmp_path / "inner" / "book.ipynb"
    notebook.parent.mkdir()
    notebook.write_text(json.dumps({"cells": cells, "nbformat": 4}, indent=1) + "\n")
    (tmp_path / "script.py").write_text("import keras\n")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "script.py").write_text("import keras.nothing\n")
    paths = checking.files([str(tmp_path)])
    assert [path.name for path in paths] == ["script.py", "book.ipynb"]
    found = checking.check(notebook)
    assert [(each.place.rpartition(":")[2], each.line) for each in found] == [("cell 2", 3), ("cell 3", 1)]
    text = rewriting.rewritten(notebook)
    assert text is not None
    new = json.loads(text)
    assert new["cells"][1]["source"] == ["%matplotlib inline\n", "!pip list\n", "from anabranch.layers import Dense"]
    assert new["cells"][::2] == cells[::2]
    assert text.endswith("\n")


REWRITTEN = {
    "import keras": "import anabranch as keras",
    "import keras as k": "import anabranch as k",
    "import keras.optimizers": "import anabranch as keras",
    "from tensorflow import keras": "import anabranch as keras",
    "from keras import layers, models as m": "from anabranch import layers, models as m",
    "import keras.layers as L": "from anabranch import layers as L",
    "from tensorflow.keras.layers import *": "from anabranch.layers import *",
    "from keras.layers.core import Dense  # why": "from anabranch.layers import Dense  # why",
    "    from keras.engine.topology import Layer": "    from anabranch.layers import Layer",
    "from keras.layers import (\n    Dense,\n    Conv2D as C,\n)": "from anabranch.layers import Dense, Conv2D as C",
    "from keras.optimizers import adam": "from anabranch.optimizers import Adam as adam",
}
LEFT = [
    "import tensorflow as tf",
    "from keras import backend as K",
    "from keras.layers import NothingOfThisName",
    "from keras.layers import (\n    Dense,  # why\n    Conv2D,\n)",
    "import keras; x = 3",
    "x = 'import keras'",
]


@pytest.mark.parametrize("line", REWRITTEN)
def test_imports_are_rewritten(line: str) -> None:
    before = "if True:\n" if line.startswith(" ") else ""
    text = f"{before}{line}\n\n# the end\n"
    assert rewriting.changed(text) == f"{before}{REWRITTEN[line]}\n\n# the end\n"


@pytest.mark.parametrize("line", LEFT)
def test_what_is_left_as_it_is(line: str) -> None:
    assert rewriting.changed(f"{line}\n") is None


def test_a_script_that_was_rewritten_runs(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            from keras.layers.core import Dense
            from keras.models import Sequential
            import keras

            print(Sequential([keras.Input((3,)), Dense(2)]).count_params())
            """
        )
    )
    assert cli.main(["check", "--fix", str(script)]) == 0
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "8", done.stderr


def test_exit_codes_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(text: str, *options: str) -> tuple[int, str]:
        script = tmp_path / "script.py"
        script.write_text(text)
        code = cli.main(["check", str(script), *options])
        return code, capsys.readouterr().out

    assert run("import keras\n") == (0, "1 script: all names are here\n")
    code, text = run("from keras.layers.core import Dense\n")
    assert code == 0
    assert text.endswith("1 script: 1 of an older Keras\n")
    assert run("import keras.nothing\n")[0] == 1
    assert run("import keras (\n")[0] == 1
    code, text = run("import keras\nkeras.layers.Nothing\n", "--json")
    records: Any = json.loads(text)
    assert code == 1
    assert records[0] | {"place": ""} == {
        "place": "", "line": 2, "kind": "missing", "what": "keras.layers.Nothing", "write": records[0]["write"],
    }  # fmt: skip
    assert cli.main(["check", str(tmp_path / "none.py")]) == 2
    assert cli.main(["check"]) == 2
