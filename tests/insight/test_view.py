"""The interactive page as data and as a file; what it does in a browser is in ``test_view_in_browser.py``."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import drawn_models
import numpy as np
import pytest

from anabranch import Input, Model, insight, layers
from anabranch._errors import AnabranchError, ArgumentTypeError
from anabranch.insight.drawing.picture import Picture
from anabranch.insight.drawing.repeats import with_repeats

HOSTILE = [
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "a\u2028b\u2029c",
    "\"'&<!--",
    "%%data%%",
]


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def small(name: str = "small", units: int = 4) -> Model:
    x = Input((8,), name="x")
    h = layers.Dense(units, activation="relu", name="body")(x)
    return Model(x, layers.Dense(2, name="head")(h), name=name)


def test_the_page_without_the_model_is_small_and_asks_for_nothing() -> None:
    page = small().view(open=False).html
    model = json.dumps(data_of(page), ensure_ascii=False)
    assert len(page.encode()) - len(model.encode()) < 150_000
    assert not re.search(r"https?:|src=|@import|url\(|<link(?! rel=\"icon\" href=\"data:)", page.replace(model, ""))
    assert "default-src 'none'" in page


@pytest.mark.parametrize("make", [drawn_models.toy_resnet, drawn_models.gan, drawn_models.two_towers, drawn_models.encoder])
def test_the_data_are_the_picture(make: Any) -> None:
    model = make()
    picture = with_repeats(Picture.of(model))
    data = data_of(model.view(open=False).html)["models"][0]
    assert [box["id"] for box in data["boxes"]] == [box.id for box in picture.boxes]
    ids = [box["id"] for box in data["boxes"]]
    assert [(ids[e[0]], ids[e[1]]) for e in data["edges"]] == [(e.source, e.target) for e in picture.edges]
    shown = [cell[1] for level in data["levels"].values() for cell in level["cells"] if cell[0] == 0]
    assert sorted(shown) == list(range(len(ids)))  # each box is in one level, once
    carried = {e for level in data["levels"].values() for strand in level["edges"] for e in strand}
    assert carried == set(range(len(picture.edges)))
    params = next(metric for metric in data["metrics"] if metric["key"] == "params")["values"]
    leaves = [str(n) for n, box in enumerate(picture.boxes) if not box.group]
    held = {picture.boxes[int(n)].path: params[n] for n in leaves if n in params}  # shared layers once
    assert sum(held.values()) == model.count_params()


def hostile(text: str) -> Model:
    """Return a model whose names, and the name of the class of one of its layers, are ``text``."""
    kind = type(text, (layers.ReLU,), {})
    name = text.replace("/", "")
    x = Input((3,), name=f"{name}1")
    return Model(x, kind(name=name)(x), name=name)


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_text(text: str) -> None:
    page = hostile(text).view(open=False).html
    data = data_of(page)["models"][0]
    assert data["boxes"][1]["kind"] == text
    assert data["name"] == text.replace("/", "")
    assert page.count("</script>") == 2
    assert "<img" not in page
    assert not {"\u2028", "\u2029"} & set(page.split('id="data">')[1].split("</script>")[0])
    assert f"<title>{html.escape(data['name'])}</title>" in page


def test_a_probe_colors_boxes_and_edges() -> None:
    model = drawn_models.gan()
    inputs = [np.ones((2, *tensor.shape[1:]), "float32") for tensor in model.inputs]
    model.compile("sgd", loss="mse")
    probe = model.probe(inputs, [np.zeros((2, 1))] * len(model.outputs))
    picture = Picture.of(model)
    leaves = {box.id for box in picture.boxes if not box.group and not (box.role == "input" and box.parent)}
    assert set(probe.values()) == leaves  # the ids of a probe are those of the picture
    data = data_of(model.view(open=False, probe=probe).html)["models"][0]
    metrics = {metric["key"]: metric for metric in data["metrics"]}
    assert {"params", "activation_mean", "activation_std", "zeros", "gradient_norm"} <= set(metrics)
    ids = [box["id"] for box in data["boxes"]]
    means = {ids[int(n)]: value for n, value in metrics["activation_mean"]["values"].items()}
    assert means == pytest.approx(probe.values("activation_mean"))
    inner = {n for n, (_, target, *_) in enumerate(data["edges"]) if data["boxes"][target]["role"] == "input"}
    assert {int(n) for n in metrics["gradient_norm"]["edges"]} == set(range(len(data["edges"]))) - inner


@pytest.mark.parametrize("make", [drawn_models.toy_resnet, drawn_models.gan])
def test_what_calls_cost_colors_boxes(make: Any) -> None:
    model = make()
    data = data_of(model.view(open=False).html)["models"][0]
    metrics = {metric["key"]: metric for metric in data["metrics"]}
    ids = [box["id"] for box in data["boxes"]]
    cost = model.cost()
    for key in ("macs", "activation_bytes"):
        shown = {ids[int(n)]: value for n, value in metrics[key]["values"].items()}
        assert shown == {row.id: getattr(row, key) for row in cost.rows if row.id in shown}
        assert sum(shown.values()) == sum(getattr(row, key) for row in cost.rows)
    assert metrics["receptive_field"]["values"]


def test_open_sizes_leave_parameters() -> None:
    model = drawn_models.two_towers()  # of texts of any length
    metrics = data_of(model.view(open=False).html)["models"][0]["metrics"]
    assert [metric["key"] for metric in metrics] == ["params"]


def test_two_models_side_by_side_have_marks() -> None:
    old, new = small("old"), small("new", units=5)
    data = data_of(old.view(open=False, compare=new).html)
    assert data["diff"] == str(old.diff(new)).splitlines()
    before, after = ({box["name"]: box.get("mark") for box in model["boxes"]} for model in data["models"])
    assert before == after == {"x": None, "body": "changed", "head": "changed"}
    x = Input((8,), name="x")
    shorter = Model(x, layers.Dense(2, name="head")(x))
    before, after = (
        {box["name"]: box.get("mark") for box in m["boxes"]}
        for m in data_of(old.view(open=False, compare=shorter).html)["models"]
    )
    assert before["body"] == "removed"
    assert "body" not in after
    before, after = (
        {box["name"]: box.get("mark") for box in m["boxes"]}
        for m in data_of(shorter.view(open=False, compare=old).html)["models"]
    )
    assert after["body"] == "added"


def test_it_is_saved_shown_in_notebooks_and_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    view = small().view(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == view.html
    assert opened == [(tmp_path / "page.html").as_uri()]
    view.open()
    assert Path(opened[1].removeprefix("file://")).read_text(encoding="utf-8") == view.html
    shown = view._repr_html_()
    assert html.unescape(re.search(r'srcdoc="(.*?)"', shown, re.DOTALL)[1]) == view.html  # type: ignore[index]
    assert 'sandbox="allow-scripts"' in shown
    monkeypatch.setattr("anabranch.insight.view.page.in_notebook", lambda: True)
    small().view()
    assert len(opened) == 2  # what it returns is shown
    with pytest.raises(AnabranchError, match="Could not write"):
        view.save(tmp_path / "missing" / "page.html")
    with pytest.raises(ArgumentTypeError):
        small().view(open=False, compare="old")  # type: ignore[arg-type]


def test_describing_a_model_as_a_page_loads_no_engine() -> None:
    code = (
        "import sys, drawn_models; drawn_models.gan().view(open=False); print({'torch', 'numpy', 'h5py'} & sys.modules.keys())"
    )
    folders = [str(Path(insight.__file__).parents[2]), str(Path(drawn_models.__file__).parent)]
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {folders}; {code}"], capture_output=True, text=True
    )
    assert found.stdout.strip() == "set()", found.stderr


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "models.py"
    script.write_text(
        "import keras\n"
        "x = keras.Input((3,))\n"
        "one = keras.Model(x, keras.layers.Dense(2, name='first')(x), name='one')\n"
        "def two(): return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name='two')\n"
    )
    out = tmp_path / "page.html"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "anabranch", "view", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    assert run(str(script), "--out", str(out)).returncode == 0
    assert data_of(out.read_text(encoding="utf-8"))["models"][0]["name"] == "one"
    assert run(f"{script}:two", "--out", str(out)).returncode == 0
    assert data_of(out.read_text(encoding="utf-8"))["models"][0]["name"] == "two"
    wrong = run(f"{script}:three", "--out", str(out))
    assert (wrong.returncode, "no model called 'three'" in wrong.stderr) == (1, True)
    small("saved").save(tmp_path / "m.keras")
    assert run(str(tmp_path / "m.keras"), "--out", str(out)).returncode == 0
    assert data_of(out.read_text(encoding="utf-8"))["models"][0]["name"] == "saved"
    missing = run("missing.keras", "--out", str(out))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "missing.keras" in missing.stderr
