"""Drawings as files: SVG, PNG, PDF, dot and Mermaid, and Keras's functions that write them."""

import errno
import inspect
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path
from typing import Any

import pytest
from drawn_models import DRAWN, chain, gan, toy_resnet, two_towers

import anabranch as keras
from anabranch import insight, layers, utils
from anabranch._errors import ArgumentError, FileError, UnknownNameError
from anabranch.insight.drawing import raster
from anabranch.insight.drawing.looks import DARK, LIGHT

DRAWINGS = Path(__file__).parents[2] / "docs" / "drawings"  # which the pages show
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(svg).iter(f"{SVG}text")]


def pixels(png: bytes) -> tuple[int, int]:
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


@pytest.mark.parametrize("name", DRAWN)
def test_drawings_look_as_they_did(name: str, pytestconfig: pytest.Config) -> None:
    file = DRAWINGS / f"{name}.svg"
    svg = re.sub(r"\ndrawn_models\.py:\d+", "", DRAWN[name]().draw(expand_nested=True, splines="curved").svg)
    if pytestconfig.getoption("--regenerate"):
        file.write_text(svg)
    assert svg == file.read_text()


def test_svg_is_one_text_with_tooltips_labels_and_two_themes() -> None:
    svg = toy_resnet().draw().svg
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "toy_resnet: 15 boxes and 16 edges"
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert any(title and "Conv2D(64, 3, activation='relu')" in title and "18,496 parameters" in title for title in titles)
    assert "prefers-color-scheme:dark" in svg
    assert LIGHT.strong in svg and DARK.strong in svg  # noqa: PT018
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    for theme, look, other in (("light", LIGHT, DARK), ("dark", DARK, LIGHT)):
        one = toy_resnet().draw(theme=theme).svg
        assert look.strong in one
        assert other.strong not in one


def test_names_are_escaped() -> None:
    x = keras.Input((8,), name="a<b>&\"c'")
    drawing = keras.Model(x, layers.Dense(2)(x), name='<script>"').draw()
    assert texts(drawing.svg)[1] == "a<b>&\"c' · (None, 8)"
    assert "<script>" not in drawing.svg
    assert '\\"c' in drawing.dot()
    assert "a#lt;b#gt;#amp;#quot;c#39;" in drawing.mermaid()


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("show_shapes", "(None, 30, 30, 32)"), ("show_dtype", "float32"), ("show_layer_names", "conv2d_1"),
        ("show_layer_activations", "relu"), ("show_trainable", "trainable"), ("show_params", "896 params"),
    ],
)  # fmt: skip
def test_each_setting_shows_what_it_says(setting: str, word: str) -> None:
    nothing = dict.fromkeys(
        ("show_shapes", "show_dtype", "show_layer_names", "show_layer_activations", "show_trainable", "show_params"), False
    )
    plain, with_it = (toy_resnet().draw(**nothing | {setting: shown}) for shown in (False, True))
    assert not any(word in text for text in texts(plain.svg))
    assert any(word in text for text in texts(with_it.svg))
    assert word in with_it.dot() + with_it.mermaid()


def test_what_is_shared_frozen_or_not_built_says_so() -> None:
    assert "embedding@1 · shared" in texts(two_towers().draw(rankdir="LR").svg)
    row = keras.Sequential([layers.Dense(3), layers.ReLU()])
    assert "not built" in texts(row.draw(show_params=True).svg)
    model = toy_resnet()
    model.get_layer("conv2d").trainable = False
    assert "frozen" in texts(model.draw(show_trainable=True).svg)


def test_a_model_that_writes_its_own_call_says_that_the_order_is_not_known() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = layers.Dense(3), layers.Dense(4)

    drawing = Own().draw()
    assert "its own call: what goes where" in texts(drawing.svg)
    assert drawing.pdf().startswith(b"%PDF")
    assert "its own call: what goes where" not in texts(toy_resnet().draw().svg)


def test_settings_that_are_none_are_refused() -> None:
    for settings in ({"rankdir": "UP"}, {"splines": "wavy"}, {"theme": "pink"}):
        with pytest.raises(ValueError, match=f"{next(iter(settings))} of draw must be"):
            toy_resnet().draw(**settings)
    with pytest.raises(TypeError, match="must be a model"):
        insight.draw(layers.Dense(3))


# Files


@pytest.mark.parametrize("name", ["toy_resnet", "gan"])
def test_files_of_every_format(name: str, tmp_path: Path) -> None:
    drawing = DRAWN[name]().draw(expand_nested=True)
    for ending, start in (
        (".svg", b"<svg "),
        (".png", b"\x89PNG"),
        (".pdf", b"%PDF-"),
        (".dot", b"digraph"),
        (".mmd", b"flow"),
    ):
        drawing.save(tmp_path / f"model{ending}")
        assert (tmp_path / f"model{ending}").read_bytes().startswith(start)
    assert len(list(tmp_path.iterdir())) == 5


def test_png_has_the_size_that_dpi_says_and_has_text() -> None:
    drawing = toy_resnet().draw()
    width, height = drawing.scene.width, drawing.scene.height
    assert pixels(drawing.png(96)) == (pytest.approx(width, abs=1), pytest.approx(height, abs=1))
    assert pixels(drawing.png(48))[0] == pytest.approx(width / 2, abs=1)
    without = re.sub("<text.*?</text>", "", drawing.svg)
    drawn = raster._draw(drawing.svg, 1, own_fonts=True)  # with the fonts beside the package alone
    assert len(drawn) > 1.3 * len(raster._draw(without, 1, own_fonts=True))


def test_pictures_that_nobody_could_open_are_refused() -> None:
    drawing = chain(1000).draw(repeats=False)
    with pytest.raises(ArgumentError, match=r"pixels(.|\n)*dpi=\d+ or less"):
        drawing.png()
    with pytest.raises(ValueError, match="positive"):
        drawing.png(0)


def test_letters_that_no_font_has_do_not_vanish() -> None:
    x = keras.Input((8,), name="\U0010fffc")
    drawing = keras.Model(x, layers.Dense(2, name="naïve")(x)).draw()
    assert "\U0010fffc" in drawing.svg
    letter = keras.Input((8,), name="\u1c5a")
    for written in (drawing.pdf, keras.Model(letter, layers.Dense(2)(letter)).draw().pdf):
        with pytest.raises(ArgumentError, match="would lack letters"):
            written()
    assert keras.Model(x, layers.Dense(2)(x)).draw(show_layer_names=False).pdf()


def test_pdf_is_whole() -> None:
    data = gan().draw(expand_nested=True).pdf()
    start = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
    assert data[start:].startswith(b"xref")
    places = [int(line[:10]) for line in data[start:].split(b"\n")[3:] if line.endswith(b" n ")]
    assert len(places) == 10
    for number, place in enumerate(places, 1):
        assert data[place:].startswith(f"{number} 0 obj".encode())
    content = zlib.decompress(re.search(rb"stream\n(.*?)\nendstream", data, re.DOTALL)[1])  # type: ignore[index]
    shown = [text.decode("cp1252") for text in re.findall(rb"\(((?:[^()\\]|\\.)*)\) Tj", content)]
    assert [text.replace("\\", "") for text in shown] == [
        text.word.text
        for frame in (*gan().draw(expand_nested=True).scene.groups, *gan().draw(expand_nested=True).scene.boxes)
        for text in frame.texts
    ]


def test_other_endings_folders_and_full_disks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = toy_resnet().draw()
    with pytest.raises(ArgumentError, match=r"\.jpg(.|\n)*\.svg, \.png"):
        drawing.save(tmp_path / "model.jpg")
    with pytest.raises(ArgumentError, match="without an ending"):
        drawing.save(tmp_path / "model")
    with pytest.raises(FileError, match="No such file"):
        drawing.save(tmp_path / "missing" / "model.svg")
    drawing.save(tmp_path / "model.svg")
    before = (tmp_path / "model.svg").read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FileError, match="No space left"):
        drawing.save(tmp_path / "model.svg")
    assert [file.name for file in tmp_path.iterdir()] == ["model.svg"]
    assert (tmp_path / "model.svg").read_bytes() == before


def test_without_the_package_that_draws_png_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(ImportError, match="pip install resvg-py"):
        toy_resnet().draw().png()


# Keras's functions


@pytest.mark.parametrize("name", ["plot_model", "model_to_dot"])
def test_signatures_are_those_of_keras(keras: Any, name: str) -> None:
    ours, known = (inspect.signature(getattr(module, name)) for module in (utils, keras.utils))
    assert [(p.name, p.default) for p in ours.parameters.values()] == [(p.name, p.default) for p in known.parameters.values()]


def test_plot_model_writes_what_the_ending_says(tmp_path: Path) -> None:
    model = toy_resnet()
    utils.plot_model(model, str(tmp_path / "mini_resnet.png"), show_shapes=True)
    assert pixels((tmp_path / "mini_resnet.png").read_bytes())[1] > 2000  # dpi=200
    utils.plot_model(model, tmp_path / "plain")
    assert (tmp_path / "plain").read_bytes().startswith(b"\x89PNG")
    utils.plot_model(model, tmp_path / "model.svg", show_layer_names=True, rankdir="LR")
    assert "conv2d_3" in texts((tmp_path / "model.svg").read_text())
    with pytest.raises(ValueError, match="layer_range"):
        utils.plot_model(model, tmp_path / "a.png", layer_range=["conv2d", "add"])
    with pytest.raises(UnknownNameError, match="show_shape"):
        utils.plot_model(model, tmp_path / "a.png", show_shape=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mini_resnet.png", "model.svg", "plain"]


def test_plot_model_gives_notebooks_an_image(tmp_path: Path) -> None:
    from IPython.display import SVG as IPythonSVG, Image

    shown: Any = utils.plot_model(toy_resnet(), tmp_path / "model.png")
    assert isinstance(shown, Image)
    assert shown.data == (tmp_path / "model.png").read_bytes()
    assert isinstance(utils.plot_model(toy_resnet(), tmp_path / "model.svg"), IPythonSVG)
    assert utils.plot_model(toy_resnet(), tmp_path / "model.pdf") is None


def test_model_to_dot_has_clusters_and_edges(tmp_path: Path) -> None:
    dot = utils.model_to_dot(gan(), expand_nested=True, show_shapes=True, rankdir="LR")
    assert dot.source.count("subgraph") == 3
    assert dot.source.count("->") == 19
    assert "rankdir=LR" in str(dot)
    assert dot.source.count("{") == dot.source.count("}")
    assert utils.model_to_dot(gan(), subgraph=True).to_string().startswith("subgraph")
    dot.write(tmp_path / "model.gv")
    dot.write(tmp_path / "model.png", format="png")
    assert (tmp_path / "model.gv").read_text() == dot.source
    assert dot._repr_svg_().startswith("<svg")


def test_the_next_line_of_the_guide_runs_under_anabranch_run(tmp_path: Path) -> None:
    script = tmp_path / "guide.py"
    script.write_text(
        "import keras\nfrom keras import layers\n"
        "inputs = keras.Input((32, 32, 3), name='img')\nx = layers.Conv2D(32, 3, activation='relu')(inputs)\n"
        "model = keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name='toy_resnet')\n"
        "keras.utils.plot_model(model, 'mini_resnet.png', show_shapes=True)\n"
        "import sys\nprint('torch' in sys.modules, 'numpy' in sys.modules, 'IPython' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "anabranch", "run", str(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False", "False"]
    assert (tmp_path / "mini_resnet.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_in_a_notebook_is_a_drawing_and_a_table() -> None:
    html = toy_resnet()._repr_html_()
    assert html.count("<svg") == 1
    assert html.count("<table") == 1
    assert len(html) < 30_000
    large = chain(1000)._repr_html_()
    assert "1,001 layers" in large
    assert len(large) < 10_000
