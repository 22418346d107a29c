"""The interactive page driven in a real Chromium, from a file: what a person does with it, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import browser as browsers
import drawn_models
import numpy as np
import pytest

from anabranch import Input, Model, layers
from anabranch.insight.view.page import View

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]


@pytest.fixture
def opened(watched: browsers.Watched, tmp_path: Path) -> Any:
    """Open a page and return Playwright's; at the end, nothing was said and nothing was asked for."""

    def open_page(view: View) -> Any:
        file = tmp_path / "page.html"
        view.save(file)
        page = watched.page
        page.goto(file.as_uri())
        page.wait_for_function("window.viewer && viewer.panes.every((pane) => pane.drawn !== undefined)")
        return page

    yield open_page
    assert watched.said == []
    assert [address for address in watched.asked if not address.startswith(("file:", "data:"))] == []


def place(page: Any, box: str, pane: int = 0) -> tuple[float, float]:
    """Return where the middle of a box is on the screen."""
    code = """([id, number]) => { const pane = viewer.panes[number], r = pane.rect(pane.graph.byId.get(id));
        const area = pane.canvas.getBoundingClientRect(), half = Math.min(r.h / 2, 40);
        return [area.left + r.x + r.w / 2, area.top + r.y + half]; }"""
    x, y = page.evaluate(code, [box, pane])
    return x, y


def shown(page: Any, pane: int = 0) -> list[str]:
    return page.evaluate(f"viewer.panes[{pane}].scene.boxes.map((b) => b.box.id)")


def selected(page: Any, pane: int = 0) -> str | None:
    return page.evaluate(f"(viewer.panes[{pane}].graph.boxes[viewer.panes[{pane}].selected] || {{id: null}}).id")


def lit(page: Any) -> list[str]:
    return page.evaluate("[...viewer.panes[0].lit.leaves].map((n) => viewer.panes[0].graph.boxes[n].id)")


def drawn(page: Any) -> None:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_search(opened: Opened) -> None:
    page = opened(drawn_models.resnet().view(open=False))
    assert "conv2d_6" not in shown(page)  # in a block that is closed
    page.keyboard.press("/")
    page.keyboard.type("conv2d_6")
    assert page.locator("#results li").first.inner_text().split()[0] == "conv2d_6"
    page.keyboard.press("Enter")
    assert selected(page) == "conv2d_6"
    assert "conv2d_6" in shown(page)
    x, y = place(page, "conv2d_6")
    area = page.locator("canvas").bounding_box()
    assert area["x"] < x < area["x"] + area["width"]
    assert area["y"] < y < area["y"] + area["height"]
    assert page.locator("#details h2").inner_text() == "conv2d_6"
    page.fill("#search", "nothing like that")
    assert page.locator("#results").inner_text() == "Nothing found"
    page.keyboard.press("Escape")
    assert page.locator("#results").is_hidden()


def test_fold_and_unfold(opened: Opened) -> None:
    page = opened(drawn_models.gan().view(open=False))
    everything = shown(page)
    assert "generator/dense" in everything
    page.mouse.dblclick(*place(page, "generator"))
    assert "generator/dense" not in shown(page)
    assert "discriminator@0/dense" in shown(page)
    page.mouse.dblclick(*place(page, "generator"))
    assert shown(page) == everything
    page.click("#close")
    assert set(shown(page)) == {"noise", "real", "generator", "discriminator@0", "discriminator@1"}
    page.click("#open")
    assert set(shown(page)) == set(everything)
    page.locator('#tree [aria-expanded="true"] .twist').first.click()
    assert len(shown(page)) < len(everything)


def test_no_boxes_overlap_whatever_is_folded(opened: Opened) -> None:
    page = opened(drawn_models.encoder(3).view(open=False))
    overlaps = """() => { const boxes = viewer.panes[0].scene.boxes; let found = 0;
        for (const a of boxes) for (const b of boxes) if (a.box.number < b.box.number && a.box.parent === b.box.parent
            && a.x < b.x + b.w - 0.1 && b.x < a.x + a.w - 0.1 && a.y < b.y + b.h - 0.1 && b.y < a.y + a.h - 0.1) found++;
        return found; }"""
    outside = """() => { const { boxes, where } = viewer.panes[0].scene;
        const out = (a, p) => a.x < p.x || a.y < p.y || a.x + a.w > p.x + p.w || a.y + a.h > p.y + p.h;
        return boxes.filter((b) => where.has(b.box.parent) && out(b, where.get(b.box.parent))).length; }"""
    groups = page.evaluate("viewer.panes[0].graph.boxes.filter((b) => b.group).map((b) => b.number)")
    page.click("#open")
    for group in groups:
        assert page.evaluate(overlaps) == 0
        assert page.evaluate(outside) == 0
        page.evaluate(f"viewer.fold(viewer.panes[0], {group})")


def test_hover_shows_shapes_cost_settings_and_the_line(opened: Opened) -> None:
    page = opened(drawn_models.toy_resnet().view(open=False))
    page.mouse.move(*place(page, "conv2d_1"))
    tip = page.locator("#tip")
    assert tip.is_visible()
    text = tip.inner_text()
    assert "Conv2D conv2d_1" in text
    for words in (
        "(None, 30, 30, 32)",
        "(None, 28, 28, 64)",
        "18,496",
        "float32",
        "drawn_models.py:",
        "Conv2D(64",
        "MACs",
        "14.5M",
    ):
        assert words in text, words
    page.mouse.move(5, 5)
    assert tip.is_hidden()


def test_a_click_lights_up_all_paths(opened: Opened) -> None:
    page = opened(drawn_models.inception().view(open=False))
    page.mouse.click(*place(page, "conv2d_1"))
    assert selected(page) == "conv2d_1"
    assert sorted(lit(page)) == ["concatenate", "conv2d_1", "conv2d_2", "input_layer"]
    edges = page.evaluate("viewer.panes[0].lit.edges.size")
    assert edges == 3
    page.mouse.click(*place(page, "concatenate"))
    assert len(lit(page)) == page.evaluate("viewer.panes[0].graph.boxes.length")
    page.keyboard.press("Escape")
    assert page.evaluate("viewer.panes[0].lit") is None


def test_colors_by_parameters_and_by_the_numbers_of_a_run(opened: Opened) -> None:
    model = drawn_models.toy_resnet()
    model.compile("sgd", loss="mse")
    rng = np.random.default_rng(0)
    probe = model.probe(rng.random((2, 32, 32, 3), dtype="float32"), np.zeros((2, 10)))
    page = opened(model.view(open=False, probe=probe))

    def colors() -> list[str]:
        return page.evaluate(
            "viewer.panes[0].scene.boxes.map(({ box }) => viewer.style(viewer.panes[0], box, viewer.theme()).fill)"
        )

    plain = colors()
    page.select_option("#color", "params")
    by_params = colors()
    assert by_params != plain
    assert page.locator("#legend").inner_text().split() == ["parameters", "0", "36.9k"]
    page.select_option("#color", "receptive_field")
    assert page.locator("#legend").inner_text().split() == ["receptive", "field", "1", "37"]
    page.select_option("#color", "gradient_norm")
    assert colors() not in (plain, by_params)
    tones = "viewer.panes[0].scene.strands.map((s) => viewer.edgeTone(viewer.panes[0], s, viewer.theme()))"
    assert all(page.evaluate(tones))
    page.mouse.move(*place(page, "conv2d"))
    assert "gradient norm" in page.locator("#tip").inner_text()
    page.select_option("#color", "")
    assert colors() == plain


def test_two_models_beside_each_other(opened: Opened) -> None:
    old = drawn_models.toy_resnet()
    page = opened(old.view(open=False, compare=changed()))
    assert page.locator("canvas").count() == 2
    marks = "(n) => Object.fromEntries(viewer.panes[n].graph.boxes.filter((b) => b.mark).map((b) => [b.id, b.mark]))"
    assert page.evaluate(marks, 0)["dropout"] == "removed"
    assert page.evaluate(marks, 1)["extra"] == "added"
    assert page.evaluate(marks, 1)["dense_1"] == page.evaluate(marks, 0)["dense_1"] == "changed"
    page.mouse.click(*place(page, "dense_1", 0))
    assert selected(page, 0) == selected(page, 1) == "dense_1"
    assert "changed" in page.locator("#details").inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="+ extra").click()
    assert selected(page, 1) == "extra"
    page.check("#link")
    page.keyboard.press("+")
    assert page.evaluate("viewer.panes[0].camera.k === viewer.panes[1].camera.k")


def changed() -> Model:
    """Return the toy ResNet with a layer in the place of another near its end."""
    model = drawn_models.toy_resnet()
    h = layers.Dense(32, name="extra")(model.get_layer("dense").output)
    return Model(model.input, layers.Dense(10, name="dense_1")(h), name="changed")


def test_everything_by_keyboard(opened: Opened) -> None:
    page = opened(drawn_models.gan().view(open=False))
    page.locator("canvas").focus()
    page.keyboard.press("ArrowDown")
    assert selected(page) == "noise"
    status = page.locator("#status")
    assert "Input noise" in status.inner_text()
    page.keyboard.press("ArrowRight")
    assert selected(page) == "real"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert selected(page) == "generator/latent"
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    assert selected(page) == "generator/conv2d_transpose_1"
    page.keyboard.press("ArrowUp")
    assert selected(page) == "generator/conv2d_transpose"
    before = page.evaluate("viewer.panes[0].camera.k")
    page.keyboard.press("+")
    assert page.evaluate("viewer.panes[0].camera.k") > before
    page.keyboard.press("-")
    page.keyboard.press("f")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()
    page.evaluate("viewer.select(viewer.panes[0], viewer.panes[0].graph.byId.get('generator'))")
    page.keyboard.press("Enter")
    assert "generator/dense" not in shown(page)
    assert "closed" in status.inner_text()
    page.keyboard.press("Enter")
    assert "generator/dense" in shown(page)


def test_the_outline_by_keyboard(opened: Opened) -> None:
    page = opened(drawn_models.gan().view(open=False))
    page.locator('#tree li[tabindex="0"]').focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert selected(page) == "generator"
    page.keyboard.press("ArrowLeft")
    assert "generator/dense" not in shown(page)
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "false"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert selected(page) == "generator/latent"


def test_what_a_screen_reader_is_given(opened: Opened) -> None:
    page = opened(drawn_models.two_towers().view(open=False))
    lines = page.get_by_role("treeitem")
    assert lines.count() == len(shown(page))
    assert "embedding" in lines.nth(2).inner_text()
    unnamed = """() => [...document.querySelectorAll('button, select, input, canvas, [role=treeitem], [role=tree]')].filter(
        (e) => e.offsetParent !== null && !(e.innerText || '').trim() && !e.getAttribute('aria-label') && !e.labels?.length
    ).map((e) => e.outerHTML)"""
    assert page.evaluate(unnamed) == []
    page.mouse.click(*place(page, "cosine"))
    assert "from query_vector, document_vector" in page.locator("#status").inner_text()
    assert page.locator("#status").get_attribute("aria-live") == "polite"


def test_light_and_dark(opened: Opened, watched: browsers.Watched) -> None:
    watched.page.emulate_media(color_scheme="dark")
    page = opened(drawn_models.toy_resnet().view(open=False))
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(20, 23, 31)"
    page.click("#theme")
    assert page.evaluate(paper) == "rgb(251, 251, 253)"


@pytest.mark.parametrize(
    "text", ["</script><script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>", "\u2028${x}`"]
)
def test_names_are_no_code(opened: Opened, text: str) -> None:
    kind, name = type(text, (layers.ReLU,), {}), text.replace("/", "")
    x = Input((3,), name=f"{name}1")
    page = opened(Model(x, kind(name=name)(x), name=name).view(open=False))
    page.evaluate("viewer.select(viewer.panes[0], 1)")
    page.mouse.move(*place(page, name))
    page.fill("#search", name[:4])
    drawn(page)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("#details h2").inner_text().strip() == name.strip()


def test_in_a_notebook(opened: Opened, watched: browsers.Watched, tmp_path: Path) -> None:
    view = drawn_models.toy_resnet().view(open=False)
    file = tmp_path / "notebook.html"
    file.write_text(f"<!doctype html><body>{view._repr_html_()}</body>", encoding="utf-8")
    watched.page.goto(file.as_uri())
    inner = watched.page.frame_locator("iframe")
    inner.get_by_role("treeitem").first.wait_for()
    assert inner.get_by_role("treeitem").count() == 15


@pytest.mark.slow
def test_5000_boxes_begin_closed_and_open(opened: Opened) -> None:
    """``bench/pages.py`` measures how long this takes."""
    page = opened(drawn_models.large().view(open=False))
    assert len(shown(page)) < 150
    assert page.locator("#details ul").first.inner_text() == "input_layer"
    page.evaluate("viewer.foldAll(true)")
    assert page.evaluate("viewer.panes[0].scene.boxes.length") >= 5000
    page.evaluate("viewer.select(viewer.panes[0], 2500)")
    assert page.evaluate("viewer.panes[0].scene.boxes.length") >= 5000
