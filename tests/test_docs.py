"""Every Python block of the README and of docs/ runs, in its page's order, and prints what the output block below it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
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


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
