"""The process of one contender: made ready, it times one pass for each line that comes in; with --once it ends after one.

What it says to the driver are lines of JSON behind ``@bench``; whatever else libraries print is ignored.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contenders import CONTENDERS
from works import WORKS, resized

KNOWN = (
    "anabranch", "torch", "keras", "tensorflow", "tensorflow-cpu", "jax", "jaxlib", "flax", "optax", "lightning", "numpy",
    "pytorch-symbolic", "onnx", "onnxscript", "onnxruntime", "openvino",
)  # fmt: skip


def say(**facts: Any) -> None:
    """Tell the driver."""
    print("@bench " + json.dumps(facts), flush=True)


def memory() -> dict[str, float]:
    """Return MB: resident now and at most, as Linux says; else getrusage's maximum alone; on a GPU torch's maximum, too."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        found = {"now": int(lines["VmRSS"].split()[0]) / 1024, "most": int(lines["VmHWM"].split()[0]) / 1024}
    except (OSError, KeyError):
        import resource

        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        found = {"most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        found["device"] = torch.cuda.max_memory_allocated() / (1 << 20)
    return found


def versions() -> dict[str, str]:
    """Return the versions of what is installed beside the contender."""
    from importlib import metadata

    found = {}
    for name in KNOWN:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | {"python": sys.version.split()[0]}


def timed(run: Callable[[], Any]) -> tuple[float, dict[str, float]]:
    """Return the seconds of one pass, without the garbage of the one before, and those of its stages where it reports them."""
    gc.collect()
    start = time.perf_counter()
    found = run()
    return time.perf_counter() - start, found if type(found) is dict and "build" in found else {}


def serve(passes: dict[str, Callable[[], Any]], warm_up: bool, **facts: Any) -> None:
    """Do a first pass of each case, then time one for each line."""
    first: dict[str, float] = {}
    failed: dict[str, str] = {}
    start = memory()
    for case, run in passes.items() if warm_up else ():
        try:
            first[case] = timed(run)[0]
        except Exception as error:
            failed[case] = f"{type(error).__name__}: {error}"
    say(ready=sorted(set(passes) - set(failed)), first=first, failed=failed, memory=start, versions=versions(), **facts)
    for line in sys.stdin:
        try:
            seconds, stages = timed(passes[json.loads(line)])
            say(seconds=seconds, stages=stages, memory=memory())
        except Exception as error:
            say(error=f"{type(error).__name__}: {error}")


def main() -> None:
    """Do what the driver asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work")
    parser.add_argument("contender")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--amount", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--once", help="a case of the kind start")
    options = parser.parse_args()
    work = resized(WORKS[options.work], options.quick, options.amount, options.batch)
    contender = CONTENDERS[options.contender]
    peer = importlib.import_module("runners." + contender.file)
    if options.once == "table":
        peer.table(work.net, contender.variant)
    elif options.once:
        _, passes = peer.train(work.net, {"fit": work.cases[options.once]}, contender.variant, options.device)
        say(seconds=timed(passes["fit"])[0])
    elif work.kind == "build":
        peer.build(20, contender.variant)
        passes = {key: lambda case=case: peer.build(case.amount, contender.variant) for key, case in work.cases.items()}
        serve(passes, False)
    else:
        parameters, passes = getattr(peer, work.kind)(work.net, work.cases, contender.variant, options.device)
        serve(passes, True, parameters=parameters)


if __name__ == "__main__":
    main()
