"""What fit, evaluate and predict show in a notebook: one output that changes, small in the saved file."""

from __future__ import annotations

import json
import re
import sys
import time
import types
from typing import Any

import IPython.display
import nbformat
import pytest
from kernel import data_of, kinds, notebook_of, printed, run
from small_model import data

from anabranch import _notebooks, callbacks
from anabranch.callbacks import screens
from anabranch.callbacks.history import page

CELLS = (
    """
    %load_ext anabranch
    import keras, numpy as np
    from keras import layers
    """,
    """
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = np.ones((640, 4), "float32"), np.ones((640, 1), "float32")
    """,
    "model.fit(x, y, epochs=20, validation_split=0.5)",
    "model.history",
    "model.evaluate(x, y)",
    "_ = model.predict(x)",
    "model.fit(x, y, epochs=2, verbose=2); None",
    """
    class Breaks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise LookupError("mine")
    try:
        model.fit(x, y, callbacks=[Breaks()])
    except LookupError:
        print("caught")
    """,
    "keras.__doc__, keras.Model.__module__",
    "import sys; 'rich' in sys.modules",
    "inputs",
    "model.layers[-1].kernel",
    "model.explain_execution()",
)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(notebook_of(*CELLS), tmp_path_factory.mktemp("notebook"))


def test_fit_is_one_output(notebook: Any) -> None:
    cell = notebook.cells[2]
    assert kinds(cell) == ["display_data", "execute_result"]
    html = data_of(cell, index=0)
    assert re.match(r"<div>20 epochs in \d+\.\d s</div><svg ", html)
    assert html.count("<tr>") == 21
    assert "<th>time</th>" in html
    assert "val_mae" in html
    assert "border-radius" not in html  # the bar is gone
    assert "\n\n" not in html
    text = data_of(cell, "text/plain", index=0)
    assert re.match(r"20 epochs in .* s\n20 epochs\nloss      [▁-█]+ ", text)
    # the history, which is the value of the cell, does not show the same again
    assert cell.outputs[1]["data"] == {"text/plain": "<History of 20 epochs: loss, mae, val_loss, val_mae>"}


def test_the_saved_file_is_small(notebook: Any) -> None:
    assert len(json.dumps(notebook.cells[2].outputs)) < 10_000
    nbformat.validate(notebook)


def test_a_history_shows_itself_in_later_cells(notebook: Any) -> None:
    assert data_of(notebook.cells[3]).startswith("<svg ")
    assert data_of(notebook.cells[3]).count("<tr>") == 21


def test_evaluate_and_predict_are_one_output_each(notebook: Any) -> None:
    assert kinds(notebook.cells[4]) == ["display_data", "execute_result"]
    assert re.fullmatch(r"<div>Evaluate · .* s · .*loss: \d.*mae: \d.*</div>", data_of(notebook.cells[4], index=0))
    assert kinds(notebook.cells[5]) == ["display_data"]
    assert data_of(notebook.cells[5]).startswith("<div>Predict · ")


def test_lines_are_lines(notebook: Any) -> None:
    assert set(kinds(notebook.cells[6])) == {"stream"}
    assert re.fullmatch(r"(Epoch \d/2  .*\n){2}", printed(notebook.cells[6]))


def test_an_error_says_where_it_ended(notebook: Any) -> None:
    assert data_of(notebook.cells[7], index=0).startswith("<div>Epoch 1/1 ended in step ")
    assert printed(notebook.cells[7]) == "caught\n"


def test_the_notebook_needs_no_keras(notebook: Any) -> None:
    shown = data_of(notebook.cells[8], "text/plain")
    assert "standing in for keras" in shown
    assert "'anabranch.models.model'" in shown


def test_no_other_package_draws_the_bar(notebook: Any) -> None:
    assert data_of(notebook.cells[9], "text/plain") == "False"


def test_what_is_described_shows_its_facts(notebook: Any) -> None:
    tensor, weight, execution = map(data_of, notebook.cells[10:13])
    assert re.search(r"<th>Symbolic tensor</th>.*\(None, 4\).*float32.*InputLayer.*In \[2\]:1<", tensor)
    assert re.search(r"<th>Weight dense/kernel</th>.*\(4, 1\).*GlorotUniform.*mean ± deviation.* ± ", weight)
    assert re.match(r"<b>inference on cpu</b><table>.*<details><summary>code</summary><pre>.*def forward", execution, re.DOTALL)


# Without a kernel


@pytest.fixture
def shown(monkeypatch: Any) -> list[str]:
    """What is shown in a notebook that is none, in order."""
    found: list[str] = []

    def display(view: Any, display_id: object) -> Any:
        assert display_id is True
        found.append(view._repr_html_())
        return types.SimpleNamespace(update=lambda view: found.append(view._repr_html_()))

    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(_notebooks, "_shell", lambda: types.SimpleNamespace(execution_count=7))
    return found


def test_a_run_of_many_short_epochs_sends_little(model: Any, shown: list[str], monkeypatch: Any) -> None:
    x, y = data()
    written: list[str] = []
    monkeypatch.setattr(screens, "page", lambda *given: written.append(page(*given)) or written[-1])
    began = time.perf_counter()
    model.fit(x, y, epochs=200)
    seconds = time.perf_counter() - began
    assert 2 <= len(shown) <= 3 + 4 * seconds
    assert len(written) <= len(shown)  # what is not shown is not written
    assert len(shown[-1]) < 15_000
    assert "the last 30 of 200 epochs" in shown[-1]


def test_the_bar_moves(model: Any, shown: list[str]) -> None:
    x, y = data()
    slow = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.1))
    model.fit(x, y, batch_size=4, epochs=1, callbacks=[slow])
    steps = -(-len(x) // 4)
    found = [re.search(rf"Epoch 1/1 · (\d+)/{steps}( · \d:\d\d left)?", html) for html in shown]
    done = [int(each[1]) for each in found if each]
    assert done[0] == 0
    assert done == sorted(done)
    assert len(set(done)) >= 3
    assert any(each and each[2] for each in found)
    assert any(re.search(r"width:\d\d%", html) for html in shown)


def test_marimo_is_a_notebook(monkeypatch: Any) -> None:
    assert not _notebooks.in_notebook()
    monkeypatch.setitem(sys.modules, "marimo", types.SimpleNamespace(running_in_notebook=lambda: True))
    assert _notebooks.in_notebook()
    monkeypatch.setitem(sys.modules, "marimo", types.SimpleNamespace(running_in_notebook=lambda: False))
    assert not _notebooks.in_notebook()


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: object()))
    assert not _notebooks.in_notebook()
