"""What a history shows: text, records, a picture in a notebook, curves of matplotlib."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from small_model import data

from anabranch._errors import ArgumentTypeError, MissingExtraError, UnknownNameError
from anabranch.callbacks import History, curves


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    matplotlib.use("agg")
    yield
    plt.close("all")


def of(**values: list[float]) -> History:
    history = History()
    for epoch in range(max(map(len, values.values()))):
        history.on_epoch_end(epoch, {name: found[epoch] for name, found in values.items() if epoch < len(found)})
    return history


def test_each_value_is_in_the_record_of_its_epoch(model: Any) -> None:
    x, y = data()
    history = model.fit(x, y, epochs=4, validation_data=(x, y), validation_freq=[2, 3], verbose=0)
    records = history.records()
    assert [record["epoch"] for record in records] == [0, 1, 2, 3]
    assert ["val_loss" in record for record in records] == [False, True, True, False]
    assert [record["loss"] for record in records] == history.history["loss"]
    assert [record["val_loss"] for record in records[1:3]] == history.history["val_loss"]
    again = History()
    again.set_state(history.get_state())
    assert again.records() == records


def test_a_state_of_an_older_version_is_read() -> None:
    history = History()
    history.set_state({"epoch": [0, 1], "history": {"loss": [2.0, 1.0], "val_loss": [3.0]}})
    assert history.records() == [{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.0, "val_loss": 3.0}]


def test_values_that_users_put_in_are_shown_too() -> None:
    history = of(loss=[3.0, 2.0])
    history.history["f1"] = [0.1, 0.2, 0.3]
    assert [record.get("f1") for record in history.records()] == [0.1, 0.2, 0.3]
    assert [record.get("loss") for record in history.records()] == [None, 3.0, 2.0]
    assert "f1" in str(history)


def test_a_history_of_two_fits_goes_on(model: Any) -> None:
    x, y = data()
    history = History()
    for _ in range(2):
        model.fit(x, y, epochs=2, verbose=0, callbacks=[history])
    assert history.epoch == [0, 1]
    assert [record["epoch"] for record in history.records()] == [0, 1, 0, 1]
    assert "4 epochs" in str(history)
    assert history.plot("loss")[0].lines[0].get_xdata().tolist() == [1, 2, 3, 4]


def test_the_text_says_first_last_and_extremes() -> None:
    text = str(of(loss=[4.0, 2.0, 1.0, 3.0], val_loss=[5.0, 5.0, 5.0, 5.0]))
    assert text.splitlines() == [
        "4 epochs",
        "loss      █▃▁▆  4.0000 → 3.0000  least 1.0000 in epoch 3, most 4.0000 in epoch 1",
        "val_loss  ▁▁▁▁  5.0000 → 5.0000  least 5.0000 in epoch 1, most 5.0000 in epoch 1",
    ]
    assert repr(of(loss=[1.0])) == "<History of 1 epoch: loss>"
    assert str(History()) == "0 epochs"


def test_many_epochs_take_one_line() -> None:
    line = str(of(loss=[1 / (epoch + 1) for epoch in range(1000)])).splitlines()[1]
    assert len(line) < 140
    assert re.search(r"loss  █[▁▂▃▄▅▆▇█]{39}  1", line)


def test_values_without_end_leave_a_gap() -> None:
    history = of(loss=[2.0, float("nan"), float("inf"), 1.0])
    assert "█??▁" in str(history)
    assert "least 1.0000 in epoch 4, most 2.0000 in epoch 1" in str(history)
    assert history._repr_html_().count("M") >= 2
    assert "nan" not in re.search(r'<path d="(M[^H"]*)" fill="none"', history._repr_html_())[1]  # type: ignore[index]
    assert str(of(loss=[float("nan")])) == "1 epoch\nloss  ?  nan → nan"


def test_an_output_without_blocks_gets_ascii() -> None:
    code = (
        "from anabranch.callbacks import History; h = History(); "
        "h.on_epoch_end(0, {'loss': 2.0}); h.on_epoch_end(1, {'loss': 1.0}); print(h)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONIOENCODING": "ascii", **_paths()}
    )
    assert "#_" in done.stdout
    assert "->" in done.stdout


def _paths() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}


def test_html_is_a_picture_and_a_table() -> None:
    history = of(loss=[3.0, 2.0, 1.0], val_loss=[3.5, 2.5, 2.0], acc=[0.1, 0.2, 0.3], note=["<a>"])  # type: ignore[list-item]
    html = history._repr_html_()
    picture = ElementTree.fromstring(html[html.index("<svg") : html.index("</svg>") + len("</svg>")])
    assert [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text") if text.get("font-weight")] == [
        "loss",
        "acc",
    ]
    assert html.count('fill="none"') == 3
    assert "&lt;a&gt;" in html
    assert "<td>3</td><td>1.0000</td><td>2.0000</td><td>0.3000</td>" in html
    assert "script" not in html
    assert of(loss=[1.0])._repr_html_().startswith("<table>")  # one point is no curve


def test_many_epochs_stay_small_in_a_notebook() -> None:
    names = {f"m{number}": [float(epoch) for epoch in range(5000)] for number in range(4)}
    html = of(**names)._repr_html_()
    assert len(html) < 25_000
    assert "the last 30 of 5000 epochs" in html
    assert "<td>5000</td>" in html


def test_plot_draws_what_was_measured() -> None:
    history = of(loss=[3.0, 2.0], val_loss=[4.0, 3.0], acc=[0.1, 0.2])
    loss, accuracy = history.plot()
    assert [line.get_ydata().tolist() for line in loss.lines] == [[3.0, 2.0], [4.0, 3.0]]
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    assert accuracy.get_title() == "acc"
    assert [axis.get_title() for axis in history.plot(["acc"])] == ["acc"]
    with pytest.raises(UnknownNameError, match="did you mean 'acc'"):
        history.plot("ac")


def test_plot_saves_a_picture(tmp_path: Path) -> None:
    of(loss=[3.0, 2.0]).plot()[0].figure.savefig(tmp_path / "a.png")
    pixels = plt.imread(tmp_path / "a.png")
    assert (np.ptp(pixels[..., :3], axis=2) > 0.3).sum() > 100  # a colored line


def test_without_matplotlib_the_extra_is_named(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingExtraError, match=r"pip install anabranch\[plots\]"):
        of(loss=[3.0]).plot()


def test_a_curve_is_thinned_but_ends_at_its_last_value() -> None:
    curve = curves.Curve("loss", range(1, 1002), [float(value) for value in range(1001)])
    points = curves._thinned(curve)
    assert len(points) <= curves.MOST_POINTS
    assert points[-1] == (1001, 1000.0)


@pytest.mark.parametrize("metrics", [3, [3], b"loss", {"loss": 1}])
def test_names_that_are_none_are_refused(metrics: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="metrics of plot must be"):
        of(loss=[3.0]).plot(metrics)


@pytest.mark.parametrize("width", [0, -1, 1.5, True, "a", None])
def test_widths_that_are_none_are_refused(width: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="width of text must be"):
        of(loss=[3.0]).text(width)
