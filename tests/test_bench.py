"""The benchmark runs end to end on a tiny workload, says what is missing and what failed, and its tables hold its figures."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

BENCH = Path(__file__).parents[1] / "bench"
sys.path.insert(0, str(BENCH))  # its files import each other, as when one of them is run
TABLE, CHART = (runpy.run_path(str(BENCH / name)) for name in ("table.py", "chart.py"))
RUN = runpy.run_path(str(BENCH / "run.py"))
WORKS = runpy.run_path(str(BENCH / "works.py"))


def run(out: Path, words: str) -> dict[str, Any]:
    """Return the figures of one run."""
    command = [sys.executable, str(BENCH / "run.py"), *shlex.split(words), "--rounds", "1", "--quick", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_a_run_and_its_tables(tmp_path: Path) -> None:
    results = run(tmp_path / "figures.json", "--work two-tower-train two-tower-infer start --peers anabranch torch --threads 1")
    every_contender_was_timed_on_every_case(results)
    networks_are_equal_and_memory_is_noted(results)
    tables_hold_the_figures(tmp_path / "figures.json", tmp_path / "page.md")
    the_picture_holds_the_figures(results)
    a_peer_that_is_missing_without_a_reason_is_refused(tmp_path / "figures.json")


def test_a_tree_is_compared_with_itself(tmp_path: Path) -> None:
    tree, out = str(BENCH.parent / "src"), tmp_path / "paired.json"
    command = [sys.executable, str(BENCH / "paired.py"), tree, tree, "--only", "cold", "--rounds", "1", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads(out.read_text())
    ((name, row),) = found["rows"].items()
    assert name == "cold start, to the summary"
    assert 0 < row["before"]["least"] <= row["before"]["median"]
    assert row["ratio"] == round(row["now"]["least"] / row["before"]["least"], 3)


def every_contender_was_timed_on_every_case(results: dict[str, Any]) -> None:
    assert set(results["left_out"].values()) == {"left out of this run"}
    assert set(results["left_out"]) == set(RUN["CONTENDERS"]) - {"anabranch", "torch"}
    assert results["machine"]["threads"] == results["setting"]["threads"] == 1
    assert {name: sorted(work["cases"]) for name, work in results["work"].items()} == {
        "two-tower-train": ["fit"],
        "two-tower-infer": ["call 1", "module 1", "predict 1", "predict 256", "predict 64"],
        "start": ["first step", "table"],
    }
    for work in results["work"].values():
        assert work["failed"] == {}
        for name, case in work["cases"].items():
            expected = {"predict 1": {"anabranch"}, "module 1": {"anabranch"}}.get(name, {"anabranch", "torch"})
            assert set(case["contenders"]) == expected
            for figures in case["contenders"].values():
                (seconds,) = figures["seconds"]
                assert 0 < seconds == figures["least"] == figures["median"] == figures["most"]


def networks_are_equal_and_memory_is_noted(results: dict[str, Any]) -> None:
    for facts in results["work"]["two-tower-train"]["facts"].values():
        assert facts["parameters"] == 10_000 * 64 + 2 * (64 * 128 + 128 + 128 * 64 + 64)
        assert 50 < facts["memory"]["most"] <= facts["memory_after"]["most"]
        assert facts["first"]["fit"] > 0
    assert results["versions"]["torch"]["torch"] == results["versions"]["anabranch"]["torch"]


def tables_hold_the_figures(file: Path, page: Path) -> None:
    results = TABLE["loaded"](file)
    short = TABLE["short"](results, (("two-tower-train", "fit"),))
    median = {name: found["median"] for name, found in results["work"]["two-tower-train"]["cases"]["fit"]["contenders"].items()}
    row = next(line for line in short.splitlines() if line.startswith("| two towers, training, batch 256 [1] |"))
    assert row.split("|")[2].strip() == f"{2_560 / median['anabranch']:,.0f}"
    assert row.split("|")[3:6] == [" – ", f" {median['torch'] / median['anabranch']:.2f} (torch) ", " – "]
    assert short.index("above 1, anabranch is better") < short.index("| work |"), "the rule is read before the figures"
    assert "[1] Not measured: keras torch, keras tensorflow, keras jax, torch.compile" in short
    assert "(left out of this run)" in short
    assert str(file) in short
    assert "not how fast" in short
    ratios = TABLE["ratios_table"](results)
    row = next(line for line in ratios.splitlines() if line.startswith("| two towers, training, batch 256 [1] |"))
    assert short[short.index("[1] Not measured") : short.index("Every figure")].rstrip() in ratios, "and says who is missing"
    assert row.split("|")[2].split() == [f"{2_560 / median['anabranch']:,.0f}", "pairs/s"]
    page.write_text(
        "before\n<!-- bench: ratios -->\nearlier\n<!-- bench: end -->\nafter\n<!-- bench: full -->\n<!-- bench: end -->\n"
    )
    assert TABLE["write"](results, (page,)) == [page]
    text = page.read_text()
    assert text.startswith(f"before\n<!-- bench: ratios -->\n{ratios}\n<!-- bench: end -->\nafter\n")
    assert "earlier" not in text
    assert text.count("**two towers, inference, predict 64**") == 1
    assert TABLE["write"](results, (page,)) == []


def a_peer_that_is_missing_without_a_reason_is_refused(file: Path) -> None:
    results = TABLE["loaded"](file)
    assert TABLE["unexplained"](results) == []
    known = json.loads(file.read_text())
    del known["left_out"]["keras jax"]
    file.write_text(json.dumps(known))
    assert "two-tower-train, fit: keras jax" in TABLE["unexplained"](TABLE["loaded"](file))
    assert "two-tower-infer, module 1: keras jax" not in TABLE["unexplained"](TABLE["loaded"](file))
    done = subprocess.run([sys.executable, str(BENCH / "table.py"), str(file)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "two-tower-train, fit: keras jax" in done.stderr


def test_figures_of_speed_have_a_file() -> None:
    """Outside the tables, a rate or a short time in the README or the docs has a link to its file in its paragraph."""
    rate = re.compile(r"\d\s?(?:ms|µs|(?:images|rows|pairs|texts|samples)(?:/s| a second)|times as (?:fast|many|long))\b")
    root = BENCH.parent
    for page in (root / "README.md", *sorted((root / "docs").glob("*.md"))):
        text = re.sub(r"<!-- bench: \w+ -->.*?<!-- bench: end -->|```.*?```", "", page.read_text(), flags=re.DOTALL)
        found = [each for each in text.split("\n\n") if rate.search(each)]
        assert [each for each in found if "results/" not in each and "[figures]" not in each] == [], page


def test_losses_of_the_readme_are_in_their_file() -> None:
    rows = json.loads((BENCH / "results" / "2026-11-23-accuracy-cpu.json").read_text())["rows"]

    def means(library: str) -> str:
        found = ([row["train_loss"] for row in rows if (row["library"], row["epoch"]) == (library, n)] for n in (1, 5, 10))
        return ", ".join(f"{statistics.mean(losses):.2f}" for losses in found)

    text = (BENCH.parent / "README.md").read_text()
    assert f"the same loss as with Keras: {means('anabranch')} after 1, 5 and 10 epochs (Keras {means('keras')};" in text


def test_time_is_shared_among_works_and_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(RUN["time"], "perf_counter", lambda: now[0])
    clock = RUN["Clock"](1)
    assert clock.share(2)
    taken = []
    for number, name in clock.rounds(["a", "b"], 5, cases=3):  # ten seconds: a fourth round would begin after them
        taken.append((number, name))
        now[0] += 2
    assert taken == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]
    assert len(list(clock.rounds([], 5))) == 0
    now[0] = 61
    assert not clock.share(1)
    assert len(list(clock.rounds(["a"], 5))) == 1, "the first round is taken in any case"
    assert RUN["Clock"](None).share(1)


def test_figures_of_the_pages_are_in_their_files() -> None:
    """What the README and docs/speed.md show between the marks is what table.py makes of the results they name."""
    root = BENCH.parent
    table = (root / "README.md").read_text().partition("<!-- bench: short -->")[2].partition("<!-- bench: end -->")[0]
    (file,) = set(re.findall(r"bench/results/[\w.-]+\.json", table))
    results = TABLE["loaded"](root / file)
    assert TABLE["unexplained"](results) == []
    for page, name, table in (
        ("README.md", "short", "short"),
        ("docs/speed.md", "ratios", "ratios_table"),
        ("docs/speed.md", "full", "full"),
    ):
        assert f"<!-- bench: {name} -->\n{TABLE[table](results)}\n<!-- bench: end -->" in (root / page).read_text()


def the_picture_holds_the_figures(results: dict[str, Any]) -> None:
    panels = (("two-tower-infer", "predict 64"), ("two-tower-train", "fit"), ("toy-train", "fit"))
    picture = ElementTree.fromstring(CHART["chart"](results, panels))
    (infer, train) = (list(group) for group in picture.findall("{*}g"))
    contenders = results["work"]["two-tower-train"]["cases"]["fit"]["contenders"]
    ranked = sorted(contenders, key=lambda name: contenders[name]["median"])
    texts = [text.text for text in train if text.tag.endswith("text")]
    gone = list(TABLE["absent"].__globals__["missing"](results, "two-tower-train", "fit"))
    assert texts[1::2] == ranked + gone
    assert texts[-1] == "not measured"
    assert texts.count("not measured") == len(gone) > 0
    first, second = (float(bar.get("width", 0)) for bar in train if bar.tag.endswith("rect"))
    assert second / first == pytest.approx(contenders[ranked[0]]["median"] / contenders[ranked[1]]["median"], abs=1e-3)
    assert infer[0].text == "two towers, inference, predict 64, pairs a second"


def test_other_amounts_and_batches_have_names_of_their_own() -> None:
    toy = WORKS["WORKS"]["toy-train"]
    assert WORKS["named"]("toy-train", None, None) == "toy-train"
    assert WORKS["named"]("toy-train", 50_000, 1024) == "toy-train amount=50000 batch=1024"
    assert WORKS["named"]("toy-infer", 50_000, 1024) == "toy-infer", "for training alone"
    assert WORKS["resized"](toy, False, None, None) == toy
    larger = WORKS["resized"](toy, False, 50_000, 1024)
    assert larger.label == "toy ResNet, training, batch 1024, 50,000 images"
    assert (larger.cases["fit"].amount, larger.cases["fit"].batch) == (50_000, 1024)


def test_what_fails_is_said(tmp_path: Path) -> None:
    found = run(tmp_path / "figures.json", "--work two-tower-train --peers torch anabranch --patience 0.01")
    failed = found["work"]["two-tower-train"]["failed"]
    assert sorted(failed) == ["anabranch", "torch"]
    assert failed["torch"].startswith("ended with exit code -9 (silent for 0 s?)")
    assert "torch: `ended with exit code -9" in TABLE["full"](found)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    found = run(tmp_path / "figures.json", '--work start --peers "python alone" "keras jax" --device cuda')
    assert {name: found["left_out"][name] for name in ("keras jax", "python alone", "torch")} == {
        "keras jax": "not run on cuda", "python alone": "not run on cuda", "torch": "left out of this run",
    }  # fmt: skip
    assert "keras jax: not run on cuda" in TABLE["full"](found)


def test_costs_are_counted_and_measured(tmp_path: Path) -> None:
    out = tmp_path / "costs.json"
    command = [sys.executable, str(BENCH / "costs.py"), "--only", "mlp", "--out", str(out)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    row = json.loads(out.read_text())["rows"]["mlp"]
    assert row["macs"] == row["macs by torch"] == 784 * 512 + 2 * 512 * 512 + 5120
    assert "| mlp | 932,362 | 930.82 k | 930.82 k |" in printed
