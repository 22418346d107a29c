"""Every Python block of the README and of docs/ runs, in its page's order, and prints what the output block below it says."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(python|output)\n(.*?)^```", re.DOTALL | re.MULTILINE)
WITH_BLOCKS = [page for page in PAGES if BLOCK.search(page.read_text())]
# a page's blocks share their names; each is compiled so that its lines are those of the page
RUNNER = """
import json, linecache, sys
page, blocks = json.loads(sys.stdin.read())
names = {"__name__": "__main__"}
with open(page) as file:
    text = file.read().splitlines(keepends=True)
for line, block in blocks:
    name = page.rpartition("/")[2]
    linecache.cache[name] = (len(text), None, text, name)
    exec(compile("\\n" * line + block, name, "exec"), names)
    print("\\0", end="")
"""


def test_the_readme_has_blocks() -> None:
    assert ROOT / "README.md" in WITH_BLOCKS


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.stem)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    blocks: list[tuple[int, str]] = []
    expected: dict[int, str] = {}
    for found in BLOCK.finditer(text):
        kind, body = found.groups()
        if kind == "python":
            blocks.append((text[: found.start()].count("\n") + 1, body))
        else:
            expected[len(blocks) - 1] = body
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER], input=json.dumps([str(page), blocks]),
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split("\0")
    for number, output in expected.items():
        assert printed[number].strip() == output.strip()


def test_links_lead_somewhere() -> None:
    """Between pages, into the repository by its address in the package's metadata, and to pages of the API reference."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    files = re.compile(re.escape(urls["Repository"]) + r"/(?:blob|tree)/main/([^)\s#]+)")
    for page in [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "bench/README.md"))]:
        text = page.read_text()
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", text):
            if room := re.fullmatch(r"reference/(anabranch[\w.]*)\.md", target):
                importlib.import_module(room[1])
            else:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
        for target in files.findall(text):
            assert (ROOT / target).exists(), f"{page.name} links to {target}"


def test_links_of_the_readme_work_outside_the_repository() -> None:
    """As on PyPI, where nothing is beside it."""
    text = (ROOT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r"^\[[^\]]+\]: (\S+)", text, re.MULTILINE)
    targets += re.findall(r'src="([^"]+)"', text)
    assert len(targets) > 20
    assert [target for target in targets if not target.startswith("https://")] == []


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r"^ +- [^:]+: ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


@pytest.mark.slow
def test_the_site_is_built(tmp_path: Path) -> None:
    """Without a broken link, and with the arguments of a class made of fields."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reference" / "anabranch.constraints" / "index.html").read_text()
    start = page.index('id="anabranch.constraints.MaxNorm"')
    assert "the greatest norm." in page[start : page.index("<h2", start)]
    dense = (tmp_path / "reference" / "anabranch.layers" / "index.html").read_text()
    start = dense.index('id="anabranch.layers.Dense"')
    assert "kernel_regularizer" in dense[start : dense.index("<h2", start)].partition("</pre>")[2], "Args, after the call"
