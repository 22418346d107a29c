"""A user's program, ``tests/typed/user.py``, under mypy and Pyright: its marked lines are reported, and no others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USER = Path(__file__).parent / "typed" / "user.py"
MARK = "# expect-error"

NOT_YET: dict[str, str] = {}  # a line: the checkers that are wrong about it. An entry goes when it holds


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy() -> dict[int, str]:
    """Return the first error of each line."""
    output = run(
        "mypy", "--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache' / 'user'}", "--no-error-summary", str(USER)
    )
    found: dict[int, str] = {}
    for line, message in re.findall(r"user\.py:(\d+): error: (.*)", output):
        found.setdefault(int(line), message)
    return found


def pyright() -> dict[int, str]:
    """Return the first error of each line."""
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable, str(USER))
    found: dict[int, str] = {}
    for each in json.loads(output)["generalDiagnostics"]:
        if each["severity"] == "error":
            found.setdefault(each["range"]["start"]["line"] + 1, each["message"])
    return found


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_users_program(checker: str) -> None:
    lines = USER.read_text().splitlines()
    found = {"mypy": mypy, "pyright": pyright}[checker]()
    expected = {number for number, line in enumerate(lines, 1) if line.endswith(MARK)}
    assert expected
    wrong = {lines[number - 1].strip(): found.get(number, "no error") for number in expected ^ found.keys()}
    not_yet = {line for line, checkers in NOT_YET.items() if checker in checkers.split()}
    new = {line: message for line, message in wrong.items() if line not in not_yet}
    assert not new, "\n".join(f"{line}\n    {message}" for line, message in new.items())
    assert not_yet <= wrong.keys(), f"These hold now; take them from NOT_YET: {sorted(not_yet - wrong.keys())}"


BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_A_LAYER = "of which class a layer of a model is, its name or position decides"
OF_A_MODULE = "a child of a torch module may be a module or a tensor, and of which class a module is, the model decides"
OF_A_SYMBOL = (
    "layers give tensors, of symbols as of values; what only symbols or only masked values have is no attribute of all"
)
OF_A_NEST = "which nest a model gives, its outputs decide"
OF_A_SIZE = "sizes of symbols may be unknown, and the page's code runs on values"
OF_A_PAGE = "the page's own flags are those of the repository, where calls without types are errors"
OF_A_NAME = "a page uses a name again for something else, which only mypy minds"
OF_TORCH = "torch declares it for its own use"
UNTYPED = {  # lines of pages that a type checker cannot follow, with the reason
    "print(x.dtype, outputs.dtype, model.layers[1].kernel.dtype)": OF_A_LAYER,
    'inner = whole.get_layer("encoder").layers[1].output': OF_A_LAYER,
    'same = Model(model.input, [layer.output for layer in model["backbone"].layers[1:]])': OF_A_LAYER,
    'assert torch.equal(model.get_layer("a").kernel.value, module["left"].weight)': OF_A_LAYER,
    'x, y = np.ones((8, 4), "float32"), np.zeros((8, 2), "float32")': OF_A_NAME,
    "module = classifier.to_torch()": OF_A_NAME,
    'assert "anabranch" not in encoder.to_torch().code': OF_A_MODULE,
    "module.pool.register_forward_hook(lambda layer, inputs, output: print(tuple(output.shape)))": OF_A_MODULE,
    'print(module.code.partition("class Net(nn.Module):")[2])': OF_A_MODULE,
    "assert x.masked and not words.masked": OF_A_SYMBOL,
    "print(table(np.array([[5, 2, 0]]))._keras_mask)": OF_A_SYMBOL,
    "assert half.masked": OF_A_SYMBOL,
    'assert given["features"][1][0].shape == (2, 64)': OF_A_NEST,
    "scores = ops.softmax(ops.matmul(q, ops.swapaxes(k, -1, -2)) / width**0.5)": OF_A_SIZE,
    "start = ops.zeros((batch, 1, width))": OF_A_SIZE,
    "grouped = inputs.unflatten(-1, (self.groups, channels // self.groups))"
    "  # type: ignore[no-untyped-call]  # untyped in torch": OF_A_PAGE,
    "return grouped.transpose(-1, -2).flatten(-2)": OF_A_PAGE,
    'torch._foreach_lerp_(state["mean"], gradients, 1 - self.momentum)': OF_TORCH,
    'descend(weights, torch._foreach_sign(state["mean"]), rate)': OF_TORCH,
    'sizes = [event.nbytes() for event in watched.profiler.kineto_results.events() if event.name() == "[memory]"]': OF_TORCH,
    "def compute_mask(self, inputs, mask=None):": "Keras calls it previous_mask, and most layers written for it mask",
}


def written_out(folder: Path) -> dict[str, Path]:
    """Write the blocks of each page into a file that has them on the page's lines; return the pages by the files' names."""
    found = {}
    for page in PAGES:
        text = page.read_text()
        lines = [""] * (text.count("\n") + 1)
        for block in BLOCK.finditer(text):
            start = text[: block.start()].count("\n") + 1
            body = block[1].splitlines()
            lines[start : start + len(body)] = body
        if any(lines):
            found[f"{page.stem.lower().replace('-', '_')}_page.py"] = page
            (folder / f"{page.stem.lower().replace('-', '_')}_page.py").write_text("\n".join(lines) + "\n")
    return found


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_blocks_of_the_pages(checker: str, tmp_path: Path) -> None:
    """Pages leave out annotations of their own functions."""
    pages = written_out(tmp_path)
    files = [str(tmp_path / name) for name in pages]
    if checker == "mypy":
        cache = f"--cache-dir={ROOT / '.mypy_cache' / 'user'}"
        untyped = ("--allow-untyped-defs", "--allow-untyped-calls", "--allow-incomplete-defs")
        output = run("mypy", "--strict", "--config-file=", cache, "--no-error-summary", *untyped, *files)
        found = re.findall(r"(\w+_page\.py):(\d+): error: (.*)", output)
    else:
        listed = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable, *files))["generalDiagnostics"]
        found = [
            (Path(each["file"]).name, each["range"]["start"]["line"] + 1, each["message"])
            for each in listed if each["severity"] == "error"
        ]  # fmt: skip
    wrong = {}
    for name, number, message in found:
        line = pages[name].read_text().splitlines()[int(number) - 1].strip()
        wrong.setdefault(line, f"{pages[name].name}:{number}: {message}")
    # torch 2.6 does not show what torch.func has
    new = {line: text for line, text in wrong.items() if line not in UNTYPED and 'module "torch.func"' not in text.lower()}
    assert not new, "\n".join(f"{line!r}\n    {message}" for line, message in new.items())
    if checker == "pyright":  # which reports most
        gone = UNTYPED.keys() - wrong.keys() - {line for line, reason in UNTYPED.items() if reason in (OF_A_PAGE, OF_A_NAME)}
        assert not gone, f"These hold now; take them from UNTYPED: {sorted(gone)}"
