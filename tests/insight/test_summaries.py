"""The summary: the seed's table, Keras's rows, nothing cut, and views that agree with the rows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.demo import toy_resnet
from anabranch.insight import summarise
from anabranch.insight.columns import COLUMNS, HEADER


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras cuts its table at the terminal's width."""
    monkeypatch.setenv("COLUMNS", "240")


# Each builds one model in the words that both libraries share


def shared_layer(k: Any) -> Any:
    left, right = k.Input((8,), name="left"), k.Input((8,), name="right")
    shared = k.layers.Dense(4)
    return k.Model([left, right], k.layers.Add()([shared(left), shared(right)]), name="twins")


def operators(k: Any) -> Any:
    x = k.Input((4, 3), name="x")
    h = k.layers.Dense(3)(x)
    return k.Model(x, (h + x) * 2.0 - x / (h + 1.0), name="operators")


def several_outputs(k: Any) -> Any:
    x = k.Input((6,), name="x")
    h = k.layers.Dense(5, activation="relu")(x)
    return k.Model(x, {"a": k.layers.Dense(2)(h), "b": k.layers.Dense(1, use_bias=False)(x)}, name="heads")


def nested(k: Any) -> Any:
    inner_in = k.Input((4,), name="inner_in")
    inner = k.Model(inner_in, k.layers.Dense(3, name="inner_dense")(inner_in) * 2.0, name="inner")
    x = k.Input((4,), name="x")
    y = inner(x)
    z = inner(k.layers.Dense(4)(x))
    return k.Model(x, k.layers.Add()([y, z]), name="outer")


def in_a_row(k: Any) -> Any:
    return k.Sequential([k.Input((6,)), k.layers.Dense(4, activation="relu"), k.layers.Dense(2)], name="row")


MODELS = [toy_resnet, shared_layer, operators, several_outputs, nested, in_a_row]


def keras_rows(keras: Any, model: Any) -> list[tuple[str, str, str, str, list[str]]]:
    """Return the rows of Keras's own table, read back from its text: name, type, shape, parameters, connections."""
    lines: list[str] = []
    model.summary(line_length=200, print_fn=lambda text, **_: lines.extend(text.splitlines()))
    rows = []
    for line in lines:
        cells = [cell.strip() for cell in re.split("[│|┃]", line)[1:-1]]
        if not cells or cells[0] == "Layer (type)" or not re.fullmatch(r"\S+ \(\w+\)", cells[0]):
            continue
        name, kind = re.fullmatch(r"(\S+) \((\w+)\)", cells[0]).groups()  # type: ignore[union-attr]
        connections = [c.strip() for c in cells[3].split(",")] if len(cells) > 3 else []
        rows.append((name, kind, cells[1], cells[2], [c for c in connections if c not in ("-", "")]))
    return rows


def our_rows(model: Any) -> list[tuple[str, str, str, str, list[str]]]:
    return [(row.name, row.kind, str(row.shapes[0]), f"{row.params:,}", row.connected_to) for row in summarise(model).rows]


@pytest.mark.parametrize("build", MODELS)
def test_rows_equal_keras(keras: Any, build: Callable[[Any], Any]) -> None:
    keras.backend.clear_session()
    theirs, ours = keras_rows(keras, build(keras)), our_rows(build(ab))
    if not any(row[4] for row in theirs):
        ours = [(*row[:4], []) for row in ours]  # Keras drops the column where layers stand in a row
    assert ours == theirs


@pytest.mark.parametrize("build", MODELS)
def test_totals_equal_keras(keras: Any, build: Callable[[Any], Any]) -> None:
    theirs, ours = build(keras), summarise(build(ab))
    assert ours.total == theirs.count_params()
    assert ours.bytes_total == 4 * ours.total


def test_the_seeds_table(golden: Callable[[str, str], None]) -> None:
    golden("summary/toy_resnet.txt", summarise(toy_resnet(ab)).text())


def test_the_seeds_parameters() -> None:
    rows = summarise(toy_resnet(ab)).rows
    assert [row.params for row in rows] == [
        0, 896, 18496, 0, 36928, 36928, 0, 36928, 36928, 0, 36928, 0, 16640, 0, 2570,
    ]  # fmt: skip
    assert "Total params: 223,242" in summarise(toy_resnet(ab)).text()


@pytest.mark.parametrize("build", MODELS)
def test_totals_can_be_recomputed_from_the_text(build: Callable[[Any], Any]) -> None:
    model = build(ab)
    text = summarise(model).text()
    counts = [int(found.replace(",", "")) for found in re.findall(r"\)  +([\d,]+)(?: |$)", text, re.MULTILINE)]
    total = re.search(r"^Total params: ([\d,]+)", text, re.MULTILINE)
    assert total is not None
    assert sum(counts) == int(total[1].replace(",", "")) == model.count_params()


def rejoined(text: str) -> list[list[str]]:
    """Return the cells of a table's rows, read back from its text, whatever was wrapped."""
    lines = text.splitlines()
    rules = [place for place, line in enumerate(lines) if (line and set(line) <= {"_"}) or (line and set(line) <= {"="})]
    head, body = lines[rules[0] + 1 : rules[1]], lines[rules[1] + 1 : rules[2]]
    width = max(map(len, [*head, *body]))
    used = "".join(" " if all(line.ljust(width)[place] == " " for line in [*head, *body]) else "x" for place in range(width))
    starts = [found.start() for found in re.finditer(r"(?<![^ ])(?:^|(?<=  ))x", used)]
    rows: list[list[str]] = []
    for line in body:
        parts = [line[a:b].rstrip() for a, b in zip(starts, [*starts[1:], width], strict=True)]
        if not parts[0].startswith(" ") and parts[0]:
            rows.append([part.strip() for part in parts])
        else:
            rows[-1] = [a + b.strip() for a, b in zip(rows[-1], parts, strict=True)]
    return rows


@pytest.mark.parametrize("width", [1, 20, 60, 100, 250])
def test_no_name_is_cut_at_any_width(width: int) -> None:
    long = "a_layer_whose_name_is_longer_than_any_column_that_keras_would_give_it"
    x = ab.Input((4,), name="x")
    branches = [layers.Dense(4, name=f"{long}_{i}")(x) for i in range(5)]
    text = summarise(ab.Model(x, layers.Add()(branches))).text(line_length=width)
    rows = rejoined(text)
    for i in range(5):
        assert rows[i + 1][0] == f"{long}_{i}(Dense)" if width < 250 else rows[i + 1][0] == f"{long}_{i} (Dense)"
        assert f"{long}_{i}[0][0]" in rows[6][3]
    assert len({len(line) for line in text.splitlines() if line and set(line) in ({"_"}, {"="})}) == 1


@pytest.mark.parametrize("width", [40, 80, 120, None])
@pytest.mark.parametrize("build", [toy_resnet, nested])
def test_tables_fit_a_width(build: Callable[[Any], Any], width: int | None, golden: Callable[[str, str], None]) -> None:
    found = summarise(build(ab), columns=["input_shape", "output_shape", "dtype", "params", "trainable", "connected_to"])
    text = found.fitted(width)
    golden(f"summary/{found.model}_{width}.txt", text)
    assert width is None or width == 40 or max(map(len, text.splitlines())) <= width
    found_cells = [sorted("".join(row.split())) for row in map("".join, rejoined(text))]
    assert found_cells == [sorted("".join(row.split())) for row in map("".join, rejoined(found.text()))], "nothing is cut"
    assert sum(int(row[4].replace(",", "")) for row in rejoined(text)) == found.total


def test_the_default_table_fits_a_narrow_terminal(golden: Callable[[str, str], None]) -> None:
    text = summarise(toy_resnet(ab)).fitted(40)
    golden("summary/narrow.txt", text)
    assert max(map(len, text.splitlines())) <= 40


def test_a_terminal_gives_the_width(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    model = toy_resnet(ab)
    monkeypatch.setenv("COLUMNS", "60")
    model.summary()
    assert max(map(len, capsys.readouterr().out.splitlines())) == 110, "what is no terminal gets the whole width"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    model.summary()
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60


def test_a_terminal_without_unicode_gets_ascii() -> None:
    program = (
        "import anabranch as ab\nx = ab.Input((4,))\ninner = ab.Sequential([ab.Input((4,)), ab.layers.Dense(3)])\n"
        "ab.Model(x, inner(x)).summary(expand_nested=True)"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=environment)
    assert b"`- dense (Dense)" in done.stdout


def test_columns_are_chosen() -> None:
    x = ab.Input((None,), dtype="int32", name="words")
    h = layers.Embedding(9, 4, mask_zero=True)(x)
    model = ab.Model(x, layers.Dense(3)(h), name="chosen")
    found = summarise(model, columns=["type", "mask", "dtype", "source"])
    header, *rows = [line.split() for line in found.text().splitlines()[2:7] if "=" not in line]
    assert header == ["Layer", "Type", "Mask", "Dtype", "Source"]
    assert [row[1:4] for row in rows] == [
        ["InputLayer", "N", "int32"],
        ["Embedding", "Y", "float32"],
        ["Dense", "Y", "float32"],
    ]
    assert all(re.fullmatch(r"test_summaries\.py:\d+", row[4]) for row in rows)
    assert found.html().count("<td>int32</td>") == 1
    assert set(found.records()[1]) == {"layer", "path", "depth", *COLUMNS}


def test_a_shared_layer_has_a_row_for_each_call_and_is_counted_once() -> None:
    found = summarise(shared_layer(ab), expand_shared=True)
    rows = {row.name: row for row in found.rows}
    assert list(rows) == ["left", "right", "dense@0", "dense@1", "add"]
    assert (rows["dense@1"].connected_to, rows["dense@1"].params, rows["dense@1"].shared) == (["right[0][0]"], 0, True)
    assert sum(row.params or 0 for row in found.rows) == found.total == 36
    assert re.search(r"dense@1 .* shared", found.text())


def test_records_are_rows_of_a_data_frame() -> None:
    records = summarise(toy_resnet(ab)).records()
    assert records[1]["layer"] == "conv2d"
    assert records[1]["output_shape"] == (None, 30, 30, 32)
    assert sum(int(str(record["params"])) for record in records) == 223242


def test_columns_that_there_are_not() -> None:
    model = shared_layer(ab)
    with pytest.raises(ArgumentError, match="Unknown column 'parms'") as error:
        model.summary(columns=["parms"])
    assert "did you mean 'params'" in str(error.value)
    with pytest.raises(ArgumentTypeError, match="columns"):
        model.summary(columns="params")
    with pytest.raises(ArgumentTypeError, match="columns"):
        model.summary(columns=[3])


def test_width_and_positions() -> None:
    lines = summarise(toy_resnet(ab)).text(line_length=150).splitlines()
    assert len(lines[1]) == 150
    header = summarise(toy_resnet(ab)).text(line_length=200, positions=[0.5, 0.7, 0.8, 1.0]).splitlines()[2]
    assert [header.index(title) for title in HEADER if title != "Param #"] == [0, 102, 162]
    assert header.index("Param #") + len("Param #") == 160, "numbers are aligned at the right"
    absolute = summarise(toy_resnet(ab)).text(line_length=200, positions=[100, 140, 160, 200]).splitlines()[2]
    assert absolute == header


def test_print_fn_gets_the_whole_text_and_print_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    model = shared_layer(ab)
    given: list[str] = []
    model.summary(print_fn=given.append)
    assert given == [summarise(model).text()]
    model.summary()
    assert capsys.readouterr().out == given[0] + "\n"


def test_nested_models_open(golden: Callable[[str, str], None]) -> None:
    model = nested(ab)
    closed, opened = summarise(model), summarise(model, expand_nested=True)
    assert [row for row in opened.rows if row.depth == 0] == closed.rows
    assert [row.path for row in opened.rows if row.depth] == ["inner/inner_in", "inner/inner_dense", "inner/multiply"]
    assert opened.total == closed.total
    golden("summary/nested.txt", opened.text())


def test_deeply_nested_models_are_indented() -> None:
    model = in_a_row(ab)
    for level in range(3):
        x = ab.Input((6,), name=f"x{level}")
        model = ab.Model(x, layers.Dense(2)(model(x)), name=f"level{level}")
    rows = summarise(model, expand_nested=True).rows
    assert max(row.depth for row in rows) == 3
    assert "level1/level0/row/dense" in [row.path for row in rows]
    assert "   " * 2 + "└─ dense (Dense)" in summarise(model, expand_nested=True).text()


def test_trainable_column() -> None:
    model = shared_layer(ab)
    model.get_layer("dense").trainable = False
    text = summarise(model).text(show_trainable=True)
    assert re.search(r"^dense \(Dense\) .* N$", text, re.MULTILINE)
    assert re.search(r"^add \(Add\) .* -$", text, re.MULTILINE)
    assert "Trainable params: 0 (0.00 B)\nNon-trainable params: 36 (144.00 B)" in text
    assert [row.trainable for row in summarise(model).rows] == [None, None, False, None]


def test_a_shared_layer_shows_each_shape_it_gave() -> None:
    shared = layers.Conv2D(2, 3)
    a, b = ab.Input((8, 8, 3), name="a"), ab.Input((6, 6, 3), name="b")
    model = ab.Model([a, b], [shared(a), shared(b)])
    row = next(row for row in summarise(model).rows if row.kind == "Conv2D")
    assert row.shapes == [(None, 6, 6, 2), (None, 4, 4, 2)]
    assert row.connected_to == ["a[0][0]", "b[0][0]"]
    assert "(None, 4, 4, 2)" in summarise(model).text()


def test_later_calls_are_numbered() -> None:
    x = ab.Input((4,), name="x")
    shared = layers.Dense(4)
    y = layers.ReLU()(shared(shared(x))) if hasattr(layers, "ReLU") else layers.Activation("relu")(shared(shared(x)))
    rows = summarise(ab.Model(x, y)).rows
    assert rows[1].connected_to == ["x[0][0]", "dense[0][0]"]
    assert rows[2].connected_to == ["dense[1][0]"]


def test_outputs_of_a_nested_model_are_distinguished() -> None:
    inner_x = ab.Input((4,))
    inner = ab.Model(inner_x, [layers.Dense(2)(inner_x), layers.Dense(3)(inner_x)], name="inner")
    x = ab.Input((4,), name="x")
    a, b = inner(x)
    rows = {row.name: row for row in summarise(ab.Model(x, [layers.Dense(1, name="p")(a), layers.Dense(1, name="q")(b)])).rows}
    assert rows["p"].connected_to == ["inner[0][0]"]
    assert rows["q"].connected_to == ["inner[0][1]"]
    assert rows["inner"].shapes == [(None, 2), (None, 3)]


# What is not known yet


def test_a_sequential_without_input_says_what_is_missing(golden: Callable[[str, str], None]) -> None:
    model = ab.Sequential([layers.Dense(4), layers.Dense(2)], name="later")
    found = summarise(model)
    assert [(row.name, row.shapes, row.params) for row in found.rows] == [("dense", [], None), ("dense_1", [], None)]
    golden("summary/not_built.txt", found.text())
    model.build((None, 3))
    assert [row.params for row in summarise(model).rows] == [16, 10]
    assert "?" not in summarise(model).text()


# A part of the model


def test_layer_range_equals_keras(keras: Any) -> None:
    keras.backend.clear_session()
    theirs = toy_resnet(keras)
    for pair in [("conv2d_1", "add"), ("add", "conv2d_1"), ("conv2d_3", "conv2d_3"), (".*pool.*", "dense"), ("img", "img")]:
        lines: list[str] = []
        theirs.summary(line_length=200, layer_range=pair, print_fn=lambda text, **_: lines.extend(text.splitlines()))  # noqa: B023
        expected = [found[1] for line in lines if (found := re.match(r"[│|] (\S+) \(", line))]
        assert [row.name for row in summarise(toy_resnet(ab), layer_range=pair).rows] == expected


def test_layer_range_keeps_what_a_nested_model_holds() -> None:
    rows = summarise(nested(ab), expand_nested=True, layer_range=("inner", "inner")).rows
    assert [row.path for row in rows] == ["inner", "inner/inner_in", "inner/inner_dense", "inner/multiply"]


def test_mistakes_in_layer_range() -> None:
    model = toy_resnet(ab)
    with pytest.raises(ArgumentError, match="No layer's name fits 'con2d'") as error:
        model.summary(layer_range=("con2d", "add"))
    assert "did you mean 'conv2d'" in str(error.value)
    with pytest.raises(ArgumentError, match="a pair"):
        model.summary(layer_range=("conv2d",))
    with pytest.raises(ArgumentTypeError, match="list of strings"):
        model.summary(layer_range="ab")
    with pytest.raises(ArgumentTypeError, match="list of strings"):
        model.summary(layer_range=(1, 2))


# The other views


def test_json_holds_rows_and_totals() -> None:
    found = summarise(toy_resnet(ab))
    data = json.loads(found.to_json())
    assert data["total"] == 223242
    assert data["rows"][1]["name"] == "conv2d"
    assert data["rows"][1]["connected_to"] == ["img[0][0]"]
    assert [tuple(row["shapes"][0]) for row in data["rows"]] == [row.shapes[0] for row in found.rows]


def test_html_escapes_and_holds_every_cell() -> None:
    x = ab.Input((4,), name="x")
    html = summarise(ab.Model(x, layers.Dense(2, name="<b>&")(x), name="a<b")).html()
    assert "<td>&lt;b&gt;&amp; (Dense)</td><td>(None, 2)</td><td>10</td><td>x[0][0]</td>" in html
    assert "a&lt;b" in html
    assert summarise(toy_resnet(ab))._repr_html_().count("<tr>") == 16


def test_sizes_in_bytes() -> None:
    x = ab.Input((1000,), name="x", dtype="float64")
    model = ab.Model(x, layers.Dense(2000, use_bias=False, dtype="float64")(x))
    assert "Total params: 2,000,000 (15.26 MB)" in summarise(model).text()
    huge = ab.Model(x, layers.Dense(2_000_000, use_bias=False)(x))
    assert "(7.45 GB)" in summarise(huge).text(), "describing a model allocates nothing"


def test_neither_torch_nor_numpy_nor_rich_is_imported() -> None:
    program = (
        "import sys, anabranch as ab\nx = ab.Input((4,))\nm = ab.Model(x, ab.layers.Dense(3)(x) + 1.0)\n"
        "m.summary(expand_nested=True)\nprint([n for n in ('torch', 'numpy', 'rich', 'json') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def masked(k: Any) -> Any:
    words, other = k.Input((None,), dtype="int32", name="words"), k.Input((None, 8), name="other")
    table = k.layers.Embedding(50, 8, mask_zero=True, name="a_table_of_words_whose_name_is_never_cut")
    block_in = k.Input((None, 8), name="steps")
    block = k.Model(block_in, k.layers.Dense(8, name="inner")(block_in), name="block")
    first, second = block(table(words)), block(other)
    merged = k.layers.Add(name="sum")([first[:, 1:], second[:, 1:]])
    return k.Model([words, other], [k.layers.GlobalAveragePooling1D(name="mean")(first), merged], name="masked")


def test_masked_outputs_are_marked(golden: Callable[[str, str], None]) -> None:
    table = summarise(masked(ab), expand_nested=True)
    golden("summary/masked", table.text())
    rows = {row.name: row for row in table.rows}
    assert rows["block"].masked == [True, False], "of two calls one"
    assert rows["sum"].masked == [False], "Add gives a mask only where all branches have one"
    assert json.loads(table.to_json())["rows"][1]["masked"] == [True]
    assert "a_table_of_words_whose_name_is_never_cut" in table.html()
    plain = ab.Sequential([ab.Input((4,), dtype="int32"), layers.Embedding(5, 2, mask_zero=True), layers.Dense(2)])
    assert summarise(plain).text().count("(None, 4, 2) + mask") == 2


def test_tables_without_masks_say_nothing_of_them() -> None:
    assert "mask" not in summarise(toy_resnet(ab)).text()
    assert [row.masked for row in summarise(ab.Sequential([layers.Dense(2)])).rows] == [[]]
