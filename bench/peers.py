"""Make the environments that peers run in, under .bench/: one for each engine, as their needs exclude each other.

    python bench/peers.py [--only torch tensorflow jax] [--into .bench] [--upgrade]

bench/run.py looks there by itself. torch is the version of constraints.txt, so that every torch peer runs what anabranch runs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = {
    "torch": "keras>=3.10 lightning>=2.5 pytorch-symbolic>=1.2 onnx>=1.17 onnxscript>=0.3 onnxruntime>=1.20 openvino>=2025.0",
    "tensorflow": "tensorflow-cpu>=2.18 keras>=3.10",
    "jax": "jax>=0.5 keras>=3.10 flax>=0.10 optax>=0.2.4",
}


def make(folder: Path, packages: list[str], upgrade: bool) -> None:
    """Make one environment, or add to it what is missing."""
    if folder.name == "torch":
        packages = ["-e", str(ROOT), *packages]
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
    words = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*words, *(["--upgrade"] if upgrade else []), *packages], check=True)


def main() -> int:
    """Make what was asked for; one that fails is said, and the others are made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(ENVIRONMENTS), default=list(ENVIRONMENTS))
    parser.add_argument("--into", type=Path, default=ROOT / ".bench")
    parser.add_argument("--upgrade", action="store_true", help="to the newest that fits")
    options = parser.parse_args()
    failed = 0
    for name in options.only:
        print(f"{name}: {ENVIRONMENTS[name]}", flush=True)
        try:
            make(options.into / name, ENVIRONMENTS[name].split(), options.upgrade)
        except (OSError, subprocess.CalledProcessError) as error:
            failed += 1
            print(f"{name}: not made, {error}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
