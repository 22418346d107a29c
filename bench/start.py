"""Cold start: from the shell to the seed's summary, with anabranch and with real Keras, interleaved.

    python bench/start.py [--rounds 5] [--keras INTERPRETER:BACKEND ...] [--out FILE.json]

Each round starts a fresh process of every contender and takes its wall time and its greatest resident memory from the system.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def seed_script() -> str:
    """Return the toy ResNet's script as a Keras user writes it, up to its summary."""
    text = (ROOT / "examples" / "toy_resnet.py").read_text()
    body = text[text.index("inputs = ") : text.index("(x_train")]
    return "import keras\nfrom keras import layers\n\n" + body


def run(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Return wall seconds and the greatest resident memory in MB of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise RuntimeError(f"{command} ended with status {status}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keras", nargs="+", default=[f"{sys.executable}:torch"], help="interpreter:backend")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "seed.py")
        script.write_text(seed_script())
        contenders = {"anabranch run": ([sys.executable, "-m", "anabranch", "run", str(script)], dict(os.environ))}
        contenders["python, nothing else"] = [sys.executable, "-c", "pass"], dict(os.environ)
        for pair in options.keras:
            python, _, backend = pair.rpartition(":")
            contenders[f"keras on {backend}"] = [python, str(script)], os.environ | {"KERAS_BACKEND": backend}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, (command, environment) in contenders.items():
                found[name].append(run(command, environment))
    print(f"{'contender':<24}{'wall s':>8}{'least':>8}{'most':>8}{'memory MB':>12}")
    for name, values in found.items():
        seconds = sorted(s for s, _ in values)
        memory = statistics.median(m for _, m in values)
        print(f"{name:<24}{statistics.median(seconds):>8.2f}{seconds[0]:>8.2f}{seconds[-1]:>8.2f}{memory:>12.0f}")
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
